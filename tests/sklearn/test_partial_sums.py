"""Estimators whose rows are measured in parts."""

from __future__ import annotations

import operator
import pickle
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, make_friedman1

from stridiag.sklearn import Measurer, PartialSums, StridiagClassifier, StridiagRegressor

NETWORK = {"units": 48, "layers": 2, "random_state": 0}
RECIPE = {"preset": "fast", "networks": 2, "random_state": 0}


def chunks(size, *arrays):
    return [[a[start : start + size] for a in arrays] for start in range(300, len(arrays[0]), size)]


@pytest.mark.parametrize("options", [NETWORK, RECIPE])
@pytest.mark.parametrize("outputs", [1, 3])
def test_sums_are_the_fit_of_the_parts(options, outputs):
    x, y = make_friedman1(900, noise=0.5, random_state=0)
    if outputs > 1:
        y = np.column_stack((y, -(y**2), x[:, 0]))
    weights = np.random.default_rng(0).integers(0, 3, 900).astype(float)
    make = StridiagRegressor
    first = x[:300], y[:300], weights[:300]
    parts, absorbed = make(**options, alpha=1e-4).partial_fit(*first), make(**options, alpha=1e-4).partial_fit(*first)
    measurer = pickle.loads(pickle.dumps(absorbed.measurer()))
    assert isinstance(measurer, Measurer)
    sums = []
    for part in chunks(97, x, y, weights):
        parts.partial_fit(*part)
        sums.append(measurer(*part))
    absorbed.absorb(reduce(operator.add, sums[::-1], PartialSums()))
    expected = parts.predict(x)
    np.testing.assert_allclose(absorbed.predict(x), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert absorbed.model_.parameter_count() == parts.model_.parameter_count()


def test_one_part_is_partial_fit_to_the_last_bit():
    x, y = make_friedman1(500, random_state=0)
    a, b = (StridiagRegressor(**NETWORK).partial_fit(x[:300], y[:300]) for _ in range(2))
    a.partial_fit(x[300:], y[300:])
    b.absorb(b.measurer()(x[300:], y[300:]))
    np.testing.assert_array_equal(a.predict(x), b.predict(x))


@pytest.mark.parametrize("options", [NETWORK, RECIPE])
def test_classes_may_appear_in_any_part(options):
    x, y = load_digits(return_X_y=True)
    order = np.argsort(y, kind="stable")
    few, rest = order[:400], order[400:]
    names = np.array([f"digit {label}" for label in y])
    parts = StridiagClassifier(**options).partial_fit(x[few], names[few])
    absorbed = StridiagClassifier(**options).partial_fit(x[few], names[few])
    measurer = absorbed.measurer()
    pieces = np.array_split(rest, 7)
    for piece in pieces:
        parts.partial_fit(x[piece], names[piece])
    absorbed.absorb(reduce(operator.add, [measurer(x[piece], names[piece]) for piece in pieces[::-1]]))
    assert absorbed.classes_.tolist() == sorted(set(names))
    expected = parts.decision_function(x)
    np.testing.assert_allclose(absorbed.decision_function(x), expected, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_array_equal(absorbed.predict(x), parts.predict(x))


def test_labels_of_data_frames():
    x, y = load_digits(return_X_y=True)
    frame = pd.DataFrame(x).rename(columns="p{}".format)
    names = np.char.add("digit ", y.astype(str))
    plain = StridiagClassifier(**NETWORK).partial_fit(frame[:300], names[:300]).partial_fit(frame[300:], names[300:])
    for labels in (
        pd.Series(names, dtype="category"),
        pd.Series(names, dtype=object),
        pd.Series(names, dtype="string"),
    ):
        model = StridiagClassifier(**NETWORK).partial_fit(frame[:300], labels[:300])
        model.absorb(model.measurer()(frame[300:], labels[300:]))
        np.testing.assert_array_equal(model.classes_, plain.classes_)
        np.testing.assert_array_equal(model.decision_function(frame), plain.decision_function(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.measurer()(frame[300:].iloc[:, ::-1], labels[300:])


def test_class_weights_and_labels_of_several_columns():
    x, y = load_digits(return_X_y=True)
    weights = {0: 2.0, 1: 0.0, 5: 3.0}
    model = StridiagClassifier(**NETWORK, class_weight=weights).partial_fit(x[:300], y[:300])
    by_hand = StridiagClassifier(**NETWORK)
    factor = np.array([weights.get(label, 1.0) for label in y])
    by_hand.partial_fit(x[:300], y[:300], sample_weight=factor[:300])
    some = np.isin(y[300:], [2, 5])
    model.absorb(model.measurer()(x[300:][some], y[300:][some]))
    by_hand.partial_fit(x[300:][some], y[300:][some], sample_weight=factor[300:][some])
    # The scale of the features may differ in rounding, since weights of the first call do.
    np.testing.assert_allclose(model.decision_function(x), by_hand.decision_function(x), atol=1e-10)
    assert model.measurer()(x[y == 1], y[y == 1]).empty
    several = np.column_stack((y % 2, y > 4)).astype(int)
    model = StridiagClassifier(**NETWORK).partial_fit(x[:300], several[:300])
    expected = StridiagClassifier(**NETWORK).partial_fit(x[:300], several[:300]).partial_fit(x[300:], several[300:])
    model.absorb(model.measurer()(x[300:], several[300:]))
    np.testing.assert_array_equal(model.predict_proba(x), expected.predict_proba(x))


def test_no_rows_and_wrong_rows():
    x, y = make_friedman1(400, random_state=0)
    with pytest.raises(ValueError, match="partial_fit"):
        StridiagRegressor(**NETWORK).fit(x, y).measurer()
    model = StridiagRegressor(**NETWORK).partial_fit(x[:300], y[:300])
    measurer, before = model.measurer(), model.predict(x)
    none = measurer(x[:0], y[:0]) + measurer(x[:5], y[:5], np.zeros(5))
    assert none.empty
    assert (none.rows, none.nbytes) == (0, 0)
    assert (none + measurer(x[300:], y[300:])).rows == 100
    np.testing.assert_array_equal(model.absorb(none).predict(x), before)
    with pytest.raises(ValueError, match="features"):
        measurer(x[:, 1:], y)
    with pytest.raises(ValueError, match="columns"):
        measurer(x, np.column_stack((y, y)))
    with pytest.raises(ValueError, match="nonnegative"):
        measurer(x, y, -np.ones(400))
    two = StridiagRegressor(**RECIPE).partial_fit(x[:300], y[:300])
    with pytest.raises(ValueError, match="one model"):
        measurer(x, y) + two.measurer()(x, y)
    with pytest.raises(ValueError, match="this model"):
        two.absorb(measurer(x, y))
    with pytest.raises(ValueError, match="zero for all rows"):
        model.partial_fit(x[300:], y[300:], np.zeros(100))
    assert len(pickle.dumps(measurer)) < len(pickle.dumps(model)) / 3


def test_sums_can_be_stored(tmp_path):
    from stridiag.nn import load, save

    x, y = make_friedman1(400, random_state=0)
    model = StridiagRegressor(**RECIPE).partial_fit(x[:300], y[:300])
    sums = model.measurer()(x[300:], y[300:])
    save(sums, tmp_path / "sums.npz")
    again = load(tmp_path / "sums.npz")
    assert again.nbytes == sums.nbytes
    np.testing.assert_array_equal(again.tallies[1].statistics.scatter, sums.tallies[1].statistics.scatter)
