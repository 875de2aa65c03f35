"""Fits of Dask collections are those of one machine."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, make_friedman1

import dask
import stridiag.dask as wing
from stridiag.nn import Stream
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, StridiagTransformer

# Dask's own, in its reader of Parquet files with a pandas newer than it.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
NETWORK = {"units": 32, "layers": 2, "random_state": 0}
RECIPE = {"preset": "fast", "networks": 2, "random_state": 0}
SAMPLE = 300


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def friedman():
    return make_friedman1(900, noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:900], np.char.add("digit ", y[:900].astype(str))


def sampled(rows, seed=0):
    """Say which rows the documented draw takes."""
    taken = np.zeros(rows, bool)
    taken[np.random.default_rng(seed).choice(rows, SAMPLE, replace=False, shuffle=False)] = True
    return taken


def one_machine(model, x, y, weights=None):
    first = sampled(len(x))
    for part in (first, ~first):
        model.partial_fit(x[part], y[part], sample_weight=None if weights is None else weights[part])
    return model


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("options", [NETWORK, RECIPE])
@pytest.mark.parametrize("cuts", [900, (1, 2, 500, 397), 40])
def test_any_partitioning_is_the_fit_of_one_machine(options, cuts, friedman):
    x, y = friedman
    weights = np.random.default_rng(1).integers(0, 3, 900).astype(float)
    rows = da.from_array(x, chunks=(cuts, 4))
    model = wing.fit(
        StridiagRegressor(**options),
        rows,
        da.from_array(y, chunks=450),
        sample_weight=da.from_array(weights, chunks=cuts),
        sample_rows=SAMPLE,
        fan_in=3,
    )
    expected = one_machine(StridiagRegressor(**options), x, y, weights)
    close(model.predict(x), expected.predict(x))


def test_the_readout_is_that_of_one_stream_of_all_rows(friedman):
    x, y = friedman
    model = wing.fit(
        StridiagRegressor(**NETWORK, alpha=1e-3),
        da.from_array(x, chunks=(64, 10)),
        da.from_array(y, chunks=64),
        sample_rows=SAMPLE,
    )
    net = model.network_
    stream = Stream.begin(net.inputs, net.hidden, x, y[:, None])
    expected = stream.network(1e-3, per_output=True).decision(x)[:, 0]
    close(model.predict(x), expected)


def test_order_of_rows_outside_the_sample_does_not_matter(friedman):
    x, y = friedman
    first = sampled(900)
    rest = np.flatnonzero(~first)
    order = np.arange(900)
    order[rest] = rest[::-1]
    models = [
        wing.fit(
            StridiagRegressor(**NETWORK),
            da.from_array(x[o], chunks=(50, 10)),
            da.from_array(y[o], chunks=50),
            sample_rows=SAMPLE,
        )
        for o in (np.arange(900), order)
    ]
    close(models[1].predict(x), models[0].predict(x))


def test_frames_with_labels_of_categories(digits, tmp_path):
    x, names = digits
    frame = pd.DataFrame(x).rename(columns="p{}".format)
    frame["label"] = pd.Categorical(names)
    frame["weight"] = np.where(np.arange(900) % 3, 1.0, 2.0)
    features = [column for column in frame if column.startswith("p")]
    expected = one_machine(StridiagClassifier(**NETWORK), x, names, frame["weight"].to_numpy())
    dd.from_pandas(frame, npartitions=3, sort=False).to_parquet(tmp_path)
    # Partitions of other sizes, an empty one, and one that is read from files.
    cuts = dd.concat([dd.from_pandas(frame.iloc[a:b], npartitions=1) for a, b in ((0, 100), (100, 800), (800, 900))])
    for table in (dd.from_pandas(frame, npartitions=7, sort=False), cuts, dd.read_parquet(tmp_path)):
        model = wing.fit(
            StridiagClassifier(**NETWORK),
            table[features],
            table["label"],
            sample_weight=table["weight"],
            sample_rows=SAMPLE,
        )
        assert model.feature_names_in_.tolist() == features
        assert model.classes_.tolist() == sorted(set(names))
        close(model.decision_function(frame[features]), expected.decision_function(x))
    # Some partitions are empty.
    table = dd.from_pandas(frame.sort_values("p20", ignore_index=True), npartitions=7, sort=False)
    late = table[table["p20"] > 5.0]
    assert (late.map_partitions(len).compute() == 0).sum() >= 2
    few = wing.fit(StridiagClassifier(**NETWORK), late[features], late["label"], sample_rows=200)
    assert few._online.streams[0].rows == (frame["p20"] > 5.0).sum()
    # By name, in any order of columns: as scikit-learn, it refuses another order.
    with pytest.raises(ValueError, match="feature names"):
        wing.partial_fit(model, table[features[::-1]], table["label"])


def test_arrays_of_unknown_sizes(digits):
    x, names = digits
    keep = x[:, 20] > 3.0
    rows, labels = da.from_array(x, chunks=(200, 64)), da.from_array(names, chunks=200)
    some = rows[:, 20] > 3.0
    known = wing.fit(
        StridiagClassifier(**NETWORK), da.from_array(x[keep], chunks=150), da.from_array(names[keep], chunks=150)
    )
    model = wing.fit(StridiagClassifier(**NETWORK), rows[some], labels[some])
    assert np.isnan(rows[some].chunks[0]).all()
    close(model.decision_function(x), known.decision_function(x))
    lazy = wing.predict_proba(model, rows[some])
    np.testing.assert_allclose(lazy.compute(), model.predict_proba(x[keep]), rtol=1e-12)


def test_classes_that_the_sample_lacks(digits):
    x, names = digits
    order = np.argsort(names, kind="stable")
    x, names = x[order], names[order]
    first = sampled(900)
    names[first & (names == "digit 3")] = "digit 4"
    rows, labels = da.from_array(x, chunks=(80, 64)), da.from_array(names, chunks=80)
    model = wing.fit(StridiagClassifier(**NETWORK), rows, labels, sample_rows=SAMPLE)
    assert "digit 3" not in names[first]
    assert "digit 3" in model.classes_
    close(model.decision_function(x), one_machine(StridiagClassifier(**NETWORK), x, names).decision_function(x))
    told = wing.fit(
        StridiagClassifier(**NETWORK), rows, labels, sample_rows=SAMPLE, classes=[f"digit {k}" for k in range(12)]
    )
    assert told.classes_.size == 12


def test_more_rows_later_and_files(friedman, tmp_path):
    from stridiag.sklearn import load

    x, y = friedman
    both = np.column_stack((y, -y))
    rows, targets = da.from_array(x, chunks=(100, 10)), da.from_array(both, chunks=(100, 1))
    model = wing.fit(StridiagRegressor(**NETWORK), rows[:500], targets[:500], sample_rows=SAMPLE)
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    wing.partial_fit(again, rows[500:], targets[500:])
    model.partial_fit(x[500:], both[500:])
    close(again.predict(x), model.predict(x))
    light = model.without_statistics()
    np.testing.assert_array_equal(light.predict(x), model.predict(x))
    light.save(tmp_path / "light.npz")
    assert (tmp_path / "light.npz").stat().st_size < (tmp_path / "model.npz").stat().st_size / 2


def test_predictions_are_lazy_and_keep_index_and_names(digits):
    x, names = digits
    frame = pd.DataFrame(x, index=pd.Index(np.arange(900)[::-1] * 3, name="key")).rename(columns="p{}".format)
    table = dd.from_pandas(frame, npartitions=4, sort=False)
    model = StridiagClassifier(**NETWORK).fit(frame, names)
    label = wing.predict(model, table)
    assert label.npartitions == 4
    assert (label.name, label.dtype) == ("prediction", pd.Series(model.predict(frame)).dtype)
    expected = pd.Series(model.predict(frame), index=frame.index, name="prediction")
    pd.testing.assert_series_equal(label.compute(), expected)
    for method in ("predict_proba", "decision_function"):
        lazy = getattr(wing, method)(model, table)
        assert lazy.columns.tolist() == model.classes_.tolist()
        whole = pd.DataFrame(getattr(model, method)(frame), index=frame.index, columns=model.classes_.tolist())
        pd.testing.assert_frame_equal(lazy.compute(), whole, rtol=1e-12)
        # Partitions that a filter leaves empty.
        none = getattr(wing, method)(model, table[table["p0"] > 1e9]).compute()
        assert none.shape == (0, 10)
        assert none.dtypes.tolist() == whole.dtypes.tolist()
    two = StridiagClassifier(**NETWORK).fit(frame, names == "digit 3")
    assert wing.decision_function(two, table).compute().name == "score"
    made = StridiagTransformer(units=16, layers=1, random_state=0).fit(frame)
    features = wing.transform(made, table)
    assert features.columns.tolist() == made.get_feature_names_out().tolist()
    np.testing.assert_allclose(features.compute(), made.transform(frame), rtol=1e-12)


def test_predictions_of_arrays(friedman, digits):
    x, y = friedman
    rows = da.from_array(x, chunks=(250, 3))
    for targets in (y, np.column_stack((y, -y))):
        model = StridiagRegressor(**NETWORK).fit(x, targets)
        lazy = wing.predict(model, rows)
        assert lazy.shape == targets.shape
        assert lazy.chunks[0] == rows.chunks[0]
        assert lazy.dtype == np.float64
        np.testing.assert_allclose(lazy.compute(), model.predict(x), rtol=1e-12)
        np.testing.assert_allclose(lazy[:10].compute(), model.predict(x[:10]), rtol=1e-12)
    x, names = digits
    model = StridiagClassifier(**NETWORK).fit(x, names)
    lazy = wing.predict(model, da.from_array(x.astype(np.float32), chunks=(333, 64)))
    assert lazy.dtype == names.dtype
    np.testing.assert_array_equal(lazy.compute(), model.predict(x))
    made = StridiagTransformer(units=16, layers=1, random_state=0).fit(x)
    assert wing.transform(made, da.from_array(x, chunks=(333, 64))).shape == (900, 80)


def test_what_is_refused(friedman):
    x, y = friedman
    rows, targets = da.from_array(x, chunks=(300, 10)), da.from_array(y, chunks=300)
    frame = dd.from_pandas(pd.DataFrame(x), npartitions=3)
    model = StridiagRegressor(**NETWORK)
    bad = [
        (TypeError, "Dask array or data frame", {"X": x}),
        (TypeError, "Dask array or data frame", {"y": y}),
        (TypeError, "Dask array or data frame", {"sample_weight": y}),
        (TypeError, "StridiagClassifier or", {"estimator": StridiagTransformer()}),
        (ValueError, "as many rows", {"y": targets[:-1]}),
        (ValueError, "one column", {"X": frame[0]}),
        (ValueError, "as many partitions", {"X": frame.repartition(npartitions=2)}),
        (ValueError, "same divisions", {"X": frame, "y": frame.repartition(divisions=(0, 10, 20, 899))[0]}),
        (ValueError, "2 axes", {"X": targets}),
        (ValueError, "sample_rows", {"sample_rows": 1}),
        (TypeError, "sample_rows", {"sample_rows": 0.5}),
        (ValueError, "fan_in", {"fan_in": 1}),
        (ValueError, "threads_per_task", {"threads_per_task": 0}),
        (ValueError, "needs a distributed", {"retries": 1}),
        (ValueError, "classes", {"classes": [0, 1]}),
        (ValueError, "at least one row", {"X": rows[:0], "y": targets[:0]}),
        (ValueError, "memory", {"estimator": StridiagRegressor(memory=True)}),
    ]
    for error, match, changed in bad:
        given = {"estimator": model, "X": rows, "y": targets} | changed
        with pytest.raises(error, match=match):
            wing.fit(**given)
    with pytest.raises(ValueError, match="partial_fit"):
        wing.partial_fit(StridiagRegressor(**NETWORK).fit(x, y), rows, targets)
    with pytest.raises(TypeError, match="predict_proba"):
        wing.predict_proba(StridiagRegressor(**NETWORK).fit(x, y), rows)
    with pytest.raises(ValueError, match="features"):
        wing.predict(StridiagRegressor(**NETWORK).fit(x, y), rows[:, :5])
    broken = x.copy()
    broken[800, 3] = np.nan
    started = wing.fit(model, rows, targets)
    before = started.predict(x)
    with pytest.raises(ValueError, match="NaN"):
        wing.partial_fit(started, da.from_array(broken, chunks=(300, 10)), targets)
    np.testing.assert_array_equal(started.predict(x), before)


def test_systems_need_no_scikit_learn_and_fits_say_so():
    code = """
import sys
sys.modules["sklearn"] = None
import stridiag.dask as wing
assert {"fit", "solve"} <= set(dir(wing))
wing.solve
try:
    wing.fit
except ImportError as error:
    assert "stridiag[dask,sklearn]" in str(error), error
else:
    raise AssertionError
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        wing.train  # noqa: B018
