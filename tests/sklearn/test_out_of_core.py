"""Fits on chunks from files: equal to partial_fit, whatever the cut, the weights and the order of classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_friedman1

from stridiag.errors import FileFormatError, NonFiniteError
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, fit_stream, load_checkpoint, predict_stream
from stridiag.sklearn.row_sample import draw_rows
from stridiag.tables import open_arrays, open_chunks, open_tables

NETWORK = {"units": 32, "layers": 2, "random_state": 0}
RECIPE = {"preset": "fast", "networks": 2, "random_state": 0}


@pytest.fixture(scope="module")
def friedman():
    return make_friedman1(3000, noise=0.5, random_state=0)


def stored(folder, x, y, d=None):
    """Return a source of two files of each kind."""
    for name, array in (("x", x), ("y", y), ("d", d)):
        if array is not None:
            (folder / name).mkdir(exist_ok=True)
            np.save(folder / name / "0.npy", array[:1100])
            np.save(folder / name / "1.npy", array[1100:])
    labels = np.asarray(y).dtype.kind != "f"
    weights = None if d is None else folder / "d"
    return open_arrays(folder / "x", folder / "y", weights, labels=labels, chunk_rows=256)


def random_sample(rows, of, seed=0):
    return np.sort(np.random.default_rng(seed).choice(of, rows, replace=False, shuffle=False))


@pytest.mark.parametrize("options", [NETWORK, RECIPE], ids=["network", "recipe"])
@pytest.mark.parametrize("sample", ["random", "first"])
def test_it_is_partial_fit_on_the_sample_and_then_the_others(options, sample, friedman, tmp_path):
    x, y = friedman
    weights = np.random.default_rng(0).integers(0, 3, 3000).astype(float)
    # A chunk in which no row weighs anything.
    weights[512:768] = 0.0
    source = stored(tmp_path, x, y, weights)
    model = fit_stream(StridiagRegressor(**options), source, sample_rows=400, sample=sample)
    index = random_sample(400, 3000) if sample == "random" else np.arange(400)
    rest = np.setdiff1d(np.arange(3000), index)
    expected = StridiagRegressor(**options).partial_fit(x[index], y[index], weights[index])
    expected.partial_fit(x[rest], y[rest], weights[rest])
    want = expected.predict(x)
    np.testing.assert_allclose(model.predict(x), want, rtol=0, atol=1e-10 * np.abs(want).max())
    # And is an ordinary estimator: more rows, and rows back that were not in the sample.
    model.partial_fit(x[:50] + 1.0, y[:50]).forget(x[:50] + 1.0, y[:50])
    np.testing.assert_allclose(model.predict(x), want, rtol=0, atol=1e-8 * np.abs(want).max())


def test_chunks_of_other_sizes_and_sources_are_the_same_fit(friedman, tmp_path):
    x, y = friedman
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({**{f"x{i}": column for i, column in enumerate(x.T)}, "y": y})
    parquet.write_table(table, tmp_path / "all.parquet", row_group_size=700)
    sources = [stored(tmp_path, x, y), open_tables(tmp_path / "all.parquet", "y", chunk_rows=999)]
    models = [fit_stream(StridiagRegressor(**NETWORK), source, sample_rows=300) for source in sources]
    assert list(models[1].feature_names_in_) == [f"x{i}" for i in range(10)]
    wants = [np.concatenate(list(predict_stream(model, sources[1]))) for model in models]
    np.testing.assert_allclose(wants[0], wants[1], rtol=0, atol=1e-10 * np.abs(wants[0]).max())
    np.testing.assert_allclose(models[1].predict(table.to_pandas().drop(columns="y")), wants[1], rtol=1e-12)
    with pytest.raises(ValueError, match="must have the columns of the fit"):
        predict_stream(models[1], open_tables(tmp_path / "all.parquet", "y", columns=["x1", "x0"]))
    with pytest.raises(ValueError, match="has no predict_proba"):
        predict_stream(models[1], sources[1], method="predict_proba")
    with pytest.raises(ValueError, match="rows must have 10 columns, got 9"):
        predict_stream(models[0], open_arrays(tmp_path / "x", -1))


def test_the_sample_of_rows_that_nobody_has_counted_is_uniform_and_does_not_depend_on_chunks():
    x = np.arange(4000.0)[:, None] * [1.0, -1.0]

    def source(step):
        def make(first):
            return ((x[i : i + step], x[i : i + step, 0]) for i in range(first * step, 4000, step))

        return open_chunks(make, key="numbers")

    drawn = [draw_rows(source(step), 200, "random", 3, lambda seen: None) for step in (100, 333, 4000)]
    assert all(one.total == 4000 for one in drawn)
    for one in drawn:
        np.testing.assert_array_equal(one.numbers, drawn[0].numbers)
        np.testing.assert_array_equal(one.piece.rows[:, 0], one.numbers)
    assert np.unique(drawn[0].numbers).size == 200
    often = np.zeros(4000)
    for seed in range(200):
        often[draw_rows(source(1000), 400, "random", seed, lambda seen: None).numbers] += 1
    # Binomial of 200 and 1/10; by quarters of the rows, 200 times 100 each with standard deviation below 134.
    assert np.abs(often.reshape(4, -1).sum(axis=1) - 20_000).max() < 5 * 134
    assert often.max() < 20 + 6 * 4.3


@pytest.mark.parametrize("strings", [False, True])
def test_classes_that_come_late(strings, tmp_path):
    x, y = load_digits(return_X_y=True)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    y = np.array([f"digit {'x' * i}" for i in range(10)])[y] if strings else y
    source = stored(tmp_path, x, y)
    model = fit_stream(StridiagClassifier(**NETWORK), source, sample_rows=300, sample="first")
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    expected = StridiagClassifier(**NETWORK).partial_fit(x[:300], y[:300]).partial_fit(x[300:], y[300:])
    want = expected.decision_function(x)
    np.testing.assert_allclose(model.decision_function(x), want, rtol=0, atol=1e-10 * np.abs(want).max())
    # The order of the rows costs little where the sample is drawn from all of them.
    drawn = fit_stream(StridiagClassifier(**NETWORK), source, sample_rows=300)
    assert drawn.score(x, y) > 0.9
    with pytest.raises(ValueError, match="at least two classes"):
        fit_stream(StridiagClassifier(**NETWORK), source, sample_rows=100, sample="first")
    named = fit_stream(StridiagClassifier(**NETWORK), source, sample_rows=150, sample="first", classes=np.unique(y))
    assert named.classes_.size == 10


def test_all_rows_may_be_the_sample(friedman, tmp_path):
    x, y = friedman
    model = fit_stream(StridiagRegressor(**NETWORK), stored(tmp_path, x, y), sample_rows=10_000)
    want = StridiagRegressor(**NETWORK).partial_fit(x, y).predict(x)
    np.testing.assert_allclose(model.predict(x), want, rtol=0, atol=1e-10 * np.abs(want).max())


def test_progress_is_told_in_rows(friedman, tmp_path, capsys):
    x, y = friedman
    seen = []
    fit_stream(StridiagRegressor(**NETWORK), stored(tmp_path, x, y), sample_rows=300, progress=seen.append)
    rows = [p.step for p in seen if p.stage == "rows"]
    assert rows == sorted(rows)
    assert rows[-1] == 3000
    assert {p.steps for p in seen} == {3000}
    assert "sample" in {p.stage for p in seen}
    fit_stream(StridiagRegressor(**NETWORK), stored(tmp_path, x, y), sample_rows=300, progress=True)
    assert "3000 of 3000: rows" in capsys.readouterr().out
    with pytest.raises(TypeError, match="progress must be"):
        fit_stream(StridiagRegressor(**NETWORK), stored(tmp_path, x, y), progress="yes")


def test_what_cannot_be(friedman, tmp_path):
    x, y = friedman
    source = stored(tmp_path, x, y)
    with pytest.raises(TypeError, match="estimator must be"):
        fit_stream(object(), source)
    with pytest.raises(TypeError, match="source must be what"):
        fit_stream(StridiagRegressor(), x)
    for options in (
        {"sample_rows": 1},
        {"sample_seed": -1},
        {"checkpoint_every": -1.0},
        {"sample": "last"},
        {"classes": [0]},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(options))} (must be|are for)"):
            fit_stream(StridiagRegressor(), source, **options)
    with pytest.raises(FileNotFoundError, match="no folder"):
        fit_stream(StridiagRegressor(), source, checkpoint=tmp_path / "none" / "state")
    with pytest.raises(ValueError, match="no targets"):
        fit_stream(StridiagRegressor(**NETWORK), open_arrays(tmp_path / "x", None), sample_rows=50)


def test_an_estimator_is_as_it_was_if_a_row_is_bad(friedman, tmp_path):
    x, y = friedman
    model = StridiagRegressor(**NETWORK).fit(x, y)
    before = model.predict(x)
    bad = x.copy()
    bad[2900, 3] = np.nan
    source = stored(tmp_path, bad, y)
    with pytest.raises(NonFiniteError, match=r"1\.npy: row 1800 has nan in column '3'"):
        fit_stream(model, source, sample_rows=300, sample="first")
    np.testing.assert_array_equal(model.predict(x), before)


def test_a_checkpoint_of_something_else_is_refused(friedman, tmp_path):
    x, y = friedman
    source = stored(tmp_path, x, y)
    state = tmp_path / "state.npz"
    model = fit_stream(StridiagRegressor(**NETWORK), source, sample_rows=300, checkpoint=state, checkpoint_every=0)
    found = load_checkpoint(state)
    assert str(found) == "finished: all 3000 rows"
    np.testing.assert_array_equal(found.estimator().predict(x), model.predict(x))

    def again(source=source, estimator=None, **options):
        estimator = StridiagRegressor(**NETWORK) if estimator is None else estimator
        return fit_stream(estimator, source, **{"sample_rows": 300, "checkpoint": state, **options})

    seen = []
    np.testing.assert_array_equal(again(progress=seen.append).predict(x), model.predict(x))
    assert not seen
    with pytest.raises(ValueError, match=r"of other options: sample_rows differ.*300 then, 200 now"):
        again(sample_rows=200)
    with pytest.raises(ValueError, match=r"of other options: units differ.*32 then, 33 now"):
        again(estimator=StridiagRegressor(**{**NETWORK, "units": 33}))
    with pytest.raises(ValueError, match=r"of other options: .*estimator"):
        again(estimator=StridiagClassifier(**NETWORK))
    with pytest.raises(ValueError, match="of other data: chunk_rows differ"):
        again(open_arrays(tmp_path / "x", tmp_path / "y", chunk_rows=100))
    np.save(tmp_path / "y" / "1.npy", y[1100:] + 1.0)
    with pytest.raises(ValueError, match="of other data: files differ"):
        again()
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FileFormatError):
        again()
    model.save(state)
    with pytest.raises(FileFormatError, match="holds a SavedEstimator, not a checkpoint"):
        again()


MEMORY = """
import numpy as np
from pathlib import Path
from stridiag.sklearn import StridiagRegressor, fit_stream
from stridiag.tables import open_chunks

def source(chunks):
    def make(first):
        for i in range(first, chunks):
            rows = np.random.default_rng(i).random((40_000, 60))
            yield rows, rows[:, 0] * rows[:, 1]
    return open_chunks(make, key="memory", rows=40_000 * chunks, chunk_rows=10_000)

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def fit(chunks):
    fit_stream(StridiagRegressor(units=32, layers=1, random_state=0), source(chunks), sample_rows=4000)

fit(1)
before = peak()
fit(16)
print(before, peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is told by Linux alone")
def test_memory_does_not_grow_with_the_rows():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=600)
    before, after = map(int, done.stdout.split())
    # 307 MB of rows came by; what one chunk of 19 MB and one of 5 MB need was there before.
    assert after - before < 60_000
