"""Rows that come later, and rows that are taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, make_friedman1

from stridiag.nn import Stream
from stridiag.sklearn import StridiagClassifier, StridiagRegressor

NETWORK = {"units": 64, "layers": 2, "random_state": 0}
RECIPE = {"preset": "fast", "networks": 2, "random_state": 0}


@pytest.fixture(scope="module")
def friedman():
    return make_friedman1(900, noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.mark.parametrize("options", [NETWORK, RECIPE])
@pytest.mark.parametrize("step", [7, 100, 600])
def test_parts_are_one_fit_on_the_union(options, step, friedman):
    x, y = friedman
    whole = StridiagRegressor(**options, alpha=1e-4).partial_fit(x[:300], y[:300]).partial_fit(x[300:], y[300:])
    parts = StridiagRegressor(**options, alpha=1e-4).partial_fit(x[:300], y[:300])
    for start in range(300, 900, step):
        parts.partial_fit(x[start : start + step], y[start : start + step])
    expected = whole.predict(x)
    np.testing.assert_allclose(parts.predict(x), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    # The readout is that of one solve on all features, from nothing but rows.
    if options is NETWORK:
        net = whole.network_
        stream = Stream.begin(net.inputs, net.hidden, x, y[:, None])
        fresh = stream.readout(1e-4, per_output=True)
        np.testing.assert_allclose(
            replace(net, readout=fresh).decision(x)[:, 0], expected, rtol=0, atol=1e-10 * np.abs(expected).max()
        )


@pytest.mark.parametrize("estimator", [StridiagClassifier, StridiagRegressor])
def test_more_rows_help(estimator, digits):
    x, y = digits
    model = estimator(units=200, layers=1, random_state=0).partial_fit(x[:200], y[:200])
    first = model.score(x[1200:], y[1200:])
    model.partial_fit(x[200:1200], y[200:1200])
    assert model.score(x[1200:], y[1200:]) > first + 0.02


@pytest.mark.parametrize("options", [NETWORK, RECIPE])
def test_rows_taken_back_leave_the_fit_without_them(options, friedman):
    x, y = friedman
    weights = np.random.default_rng(0).integers(1, 4, 900).astype(float)
    model = StridiagRegressor(**options, alpha=1e-3).partial_fit(x[:300], y[:300], weights[:300])
    expected = clone(model).partial_fit(x[:300], y[:300], weights[:300]).partial_fit(x[600:], y[600:], weights[600:])
    model.partial_fit(x[300:], y[300:], weights[300:]).forget(x[300:600], y[300:600], weights[300:600])
    want = expected.predict(x)
    np.testing.assert_allclose(model.predict(x), want, rtol=0, atol=1e-8 * np.abs(want).max())


def test_what_may_not_be_taken_back(friedman):
    x, y = friedman
    model = StridiagRegressor(**NETWORK).partial_fit(x[:300], y[:300]).partial_fit(x[300:500], y[300:500])
    before = model.predict(x)
    with pytest.raises(ValueError, match="held by the hidden part"):
        model.forget(x[290:310], y[290:310])
    with pytest.raises(ValueError, match="not part"):
        model.forget(100.0 * x[600:700], y[600:700])
    np.testing.assert_array_equal(model.predict(x), before)
    with pytest.raises(ValueError, match="came by partial_fit"):
        StridiagRegressor(**NETWORK).fit(x, y).forget(x[:3], y[:3])
    with pytest.raises(ValueError, match="memory"):
        StridiagRegressor(memory=True).partial_fit(x, y)


def test_classes_that_come_later(digits):
    x, y = digits
    early = y < 7
    first, rest = np.flatnonzero(early)[:500], np.r_[np.flatnonzero(early)[500:], np.flatnonzero(~early)]
    late = StridiagClassifier(**NETWORK, alpha=1e-4).partial_fit(x[first], y[first])
    assert list(late.classes_) == list(range(7))
    assert late.predict_proba(x[:5]).shape == (5, 7)
    late.partial_fit(x[rest], y[rest])
    told = StridiagClassifier(**NETWORK, alpha=1e-4).partial_fit(x[first], y[first], classes=range(10))
    assert told.predict_proba(x[:5]).shape == (5, 10)
    told.partial_fit(x[rest], y[rest])
    assert list(late.classes_) == list(told.classes_) == list(range(10))
    np.testing.assert_allclose(late.decision_function(x), told.decision_function(x), rtol=0, atol=1e-8)
    assert late.score(x, y) > 0.95


def test_two_classes_named_by_strings(friedman):
    x, y = friedman
    names = np.where(y > np.median(y), "high", "low")
    model = StridiagClassifier(**NETWORK).partial_fit(x[:300], names[:300]).partial_fit(x[300:], names[300:])
    scores = model.decision_function(x)
    assert scores.shape == (900,)
    np.testing.assert_array_equal(model.predict(x), np.where(scores > 0, "low", "high"))
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1.0)
    model.partial_fit(x[:1], ["middle"])
    assert list(model.classes_) == ["high", "low", "middle"]
    with pytest.raises(TypeError, match="labels must be of the kind"):
        model.partial_fit(x[:1], [3])


def test_several_labels_in_parts(friedman):
    x, _ = friedman
    y = (x[:, :3] > 0.5).astype(int)
    model = StridiagClassifier(**NETWORK).partial_fit(x[:300], y[:300]).partial_fit(x[300:700], y[300:700])
    assert (model.predict(x[700:]) == y[700:]).mean() > 0.95
    model.forget(x[300:400], y[300:400])
    assert (model.predict(x[700:]) == y[700:]).mean() > 0.95
    with pytest.raises(ValueError, match="3 columns of labels"):
        model.partial_fit(x[:5], y[:5, :2])


def test_bad_parts_change_nothing(friedman):
    x, y = friedman
    model = StridiagRegressor(**NETWORK).partial_fit(x[:300], y[:300])
    before = model.predict(x)
    for rows, targets, message in (
        (x[:5, :4], y[:5], "features"),
        (np.full((5, 10), np.nan), y[:5], "NaN"),
        (x[:0], y[:0], "0 sample"),
        (x[:5], y[:4], "inconsistent"),
    ):
        with pytest.raises(ValueError, match=message):
            model.partial_fit(rows, targets)
    np.testing.assert_array_equal(model.predict(x), before)
    with pytest.raises(ValueError, match="balanced"):
        StridiagClassifier(class_weight="balanced").partial_fit(x, y > 10)
    with pytest.raises(ValueError, match="two classes"):
        StridiagClassifier(**NETWORK).partial_fit(x, np.zeros(900, int))


def test_weights_and_one_row_at_a_time(friedman):
    x, y = friedman
    model = StridiagRegressor(**NETWORK, alpha=1e-3).partial_fit(x[:300], y[:300])
    twice = clone(model).partial_fit(x[:300], y[:300])
    for i in range(300, 310):
        model.partial_fit(x[i : i + 1], y[i : i + 1], [2.0])
        twice.partial_fit(x[[i, i]], y[[i, i]])
    np.testing.assert_allclose(model.predict(x), twice.predict(x), rtol=1e-8)


def test_fit_starts_anew(friedman):
    x, y = friedman
    model = StridiagRegressor(**NETWORK).partial_fit(x[:300], y[:300]).fit(x, y)
    np.testing.assert_array_equal(model.predict(x), StridiagRegressor(**NETWORK).fit(x, y).predict(x))
