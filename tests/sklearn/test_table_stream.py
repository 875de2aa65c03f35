"""Models of tables in files, a part at a time: equal to a fit of the sample and an update with all else."""

from __future__ import annotations

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
pq = pytest.importorskip("pyarrow.parquet")
from sklearn import metrics  # noqa: E402
from stridiag.errors import FileFormatError  # noqa: E402
from stridiag.sklearn import StridiagRegressor, TableModel, fit_stream, fit_tables, load_checkpoint  # noqa: E402
from stridiag.sklearn.row_sample import numbers_of  # noqa: E402
from stridiag.sklearn.table_scores import Scores  # noqa: E402
from stridiag.tables import open_tables  # noqa: E402

SMALL = {"training": "random", "units": 24, "layers": 1, "random_state": 0}
N = 3000


def made(n=N, seed=0):
    """Numbers with gaps, towns that come late, weights of 0, targets that are not there."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(20, 200, n)
    town = rng.choice(["Rome", "Oslo", "Kyiv"], n).astype(object)
    town[np.arange(n) % 97 == 5] = None
    town[-200:] = "Lima"
    price = 2.0 * size + np.where(town == "Oslo", 90.0, 0.0) + rng.normal(0, 4, n)
    return pa.table(
        {
            "size": pa.array(np.where(rng.random(n) < 0.1, np.nan, size), from_pandas=True),
            "town": pa.array(town.tolist()),
            "w": rng.integers(0, 3, n).astype(float),
            "price": pa.array(np.where(np.arange(n) % 50 == 7, np.nan, price), from_pandas=True),
            "grade": np.array(["A", "B"])[(price > 250).astype(int)].tolist(),
        }
    )


def written(table, folder, kind):
    """Write two files; return how to name them."""
    for k, part in enumerate((table.slice(0, 1700), table.slice(1700))):
        path = folder / f"part{k}.{kind}"
        if kind == "parquet":
            pq.write_table(part, path, row_group_size=600)
        else:
            csv.write_csv(part, path)
    return str(folder / f"part*.{kind}")


@pytest.mark.parametrize(
    "options", [SMALL, {"preset": "fast", "networks": 1, "random_state": 0}], ids=["net", "recipe"]
)
@pytest.mark.parametrize(("target", "other"), [("price", "grade"), ("grade", "price")])
def test_it_is_a_fit_of_the_sample_and_an_update(options, target, other, tmp_path):
    table = made()
    files = written(table, tmp_path, "parquet")
    model = fit_tables(files, target, options=options, weight="w", drop=[other], sample_rows=500, sample="first")
    two = TableModel.fit(table.slice(0, 500), target, options=options, weight="w", drop=[other], updatable=True)
    two.update(table.slice(500), weight="w")
    assert model.encoding.columns == two.encoding.columns
    assert model.updatable
    ask = "predict" if target == "price" else "predict_proba"
    found, wanted = getattr(model, ask)(table), getattr(two, ask)(table)
    # Probabilities hang on directions that small penalties leave open: `update` in two parts differs as much.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max() if target == "price" else 1e-6)
    weights = table["w"].to_numpy() > 0
    assert (
        model.facts["rows"] == (weights & ~np.isnan(table[target].to_numpy()) if target == "price" else weights).sum()
    )


def test_a_random_sample_of_csv_and_parquet(tmp_path):
    table = made()
    told = []
    models = [
        fit_tables(
            written(table, tmp_path, kind),
            "price",
            options=SMALL,
            drop=["grade", "w"],
            sample_rows=500,
            note=told.append,
        )
        for kind in ("parquet", "csv")
    ]
    # Rows are counted in one and not in the other, so that samples differ: what matters little on so many rows.
    spread = np.std(table["price"].drop_null().to_numpy())
    assert np.abs(models[0].predict(table) - models[1].predict(table)).mean() < 0.2 * spread
    index = numbers_of(N, 500, "random", 0)
    rest = np.setdiff1d(np.arange(N), index)
    two = TableModel.fit(table.take(index), "price", options=SMALL, drop=["grade", "w"], updatable=True)
    two.update(table.take(rest))
    np.testing.assert_allclose(models[0].predict(table), two.predict(table), rtol=0, atol=1e-7)
    assert sum("60 of 3,000 rows have no target" in sentence for sentence in told) == 2


def test_categories_that_the_sample_has_not_seen_are_counted(tmp_path):
    told = []
    files = written(made(), tmp_path, "csv")
    keep = {"options": SMALL, "drop": ["grade", "w"], "sample_rows": 500, "sample": "first"}
    model = fit_tables(files, "price", **keep, note=told.append)
    assert "200 values of column 'town' are in no row of the sample and count as rare" in told
    assert model.encoding.transform({"size": [1.0], "town": ["Lima"]}).tolist() == [[1, 0, 0, 0, 0, 0]]


def test_it_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path):
    files = written(made(), tmp_path, "csv")
    keep = {"options": SMALL, "drop": ["grade", "w"], "sample_rows": 400, "holdout": 0.25}
    state = tmp_path / "state"

    class Stop(Exception):
        pass

    def stopped(progress):
        if progress.stage == "rows" and progress.step >= 1700:
            raise Stop

    plain, told = fit_tables(files, "price", **keep), []
    with pytest.raises(Stop):
        fit_tables(files, "price", **keep, checkpoint=state, checkpoint_every=0, progress=stopped)
    assert not load_checkpoint(state).finished
    model = fit_tables(files, "price", **keep, checkpoint=state, note=told.append)
    assert "60 of 3,000 rows have no target or no weight and are left out" in told
    for one in (model, fit_tables(files, "price", **keep, checkpoint=state)):
        for found, wanted in zip(one.predict_interval(made()), plain.predict_interval(made()), strict=True):
            np.testing.assert_array_equal(found, wanted)
        facts = ("rows", "rows left out", "held out", "sample", "notes")
        assert [one.facts[name] for name in facts] == [plain.facts[name] for name in facts]
    assert plain.facts["held out"]["rows"] == 99
    with pytest.raises(ValueError, match="of other options: columns differ"):
        fit_tables(files, "price", **keep | {"drop": ["w"]}, checkpoint=state)
    with pytest.raises(ValueError, match="of other data"):
        fit_tables(tmp_path / "part0.csv", "price", **keep, checkpoint=state)
    numbers = open_tables(files, "price", columns=["w"])
    with pytest.raises(ValueError, match="of other"):
        fit_stream(StridiagRegressor(**SMALL), numbers, checkpoint=state)


def test_rows_unlike_the_sample_are_told(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,w,y\n" + "".join(f"{k % 7},1,{k % 5}.5\n" for k in range(600)) + "x,1,2.5\n")
    keep = {"options": SMALL, "sample_rows": 100, "sample": "first"}
    with pytest.raises(ValueError, match=r"rows\.csv: column 'a' must hold numbers, got 'x' in row 601"):
        fit_tables(path, "y", **keep)
    path.write_text("a,w,y\n" + "".join(f"{k % 7},{1 if k < 500 else -1},{k % 5}.5\n" for k in range(600)))
    with pytest.raises(ValueError, match=r"rows\.csv: row 501 has a negative weight"):
        fit_tables(path, "y", weight="w", **keep)
    (tmp_path / "more.csv").write_text("a,b,y\n1,2,3\n")
    with pytest.raises(ValueError, match="have other columns: 'b'"):
        fit_tables([path, tmp_path / "more.csv"], "y", **keep)
    (tmp_path / "none.csv").write_text("a,y\n")
    with pytest.raises((ValueError, FileFormatError), match="no rows"):
        fit_tables(tmp_path / "none.csv", "y", **keep)
    with pytest.raises(ValueError, match="sample_rows must be"):
        fit_tables(path, "y", sample_rows=1)


@pytest.mark.parametrize("target", ["grade", "price"])
def test_scores_that_add_up_are_those_of_scikit_learn(target):
    table = made(900, seed=1)
    model = TableModel.fit(
        table.slice(0, 500), target, options=SMALL, drop=["w", "price" if target == "grade" else "grade"]
    )
    truth, there = model.read_targets(table)
    new = table.filter(pa.array(there))
    truth, predicted = truth[there], model.predict(new)
    if target == "grade":
        # One class that the model does not know.
        truth[::9] = "Z"
        more = model.predict_proba(new)
    else:
        lower, upper = model.predict_interval(new)
        more = np.column_stack((lower, upper))
    scores = Scores(model)
    for part in np.array_split(np.arange(truth.shape[0]), 7):
        scores.add(truth[part], predicted[part], more[part] if target == "grade" else more[part].T)
    found = scores.result(0.9 if target == "price" else None)
    if target == "price":
        assert found["RMSE"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
        assert found["MAE"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
        assert found["R2"] == pytest.approx(metrics.r2_score(truth, predicted))
        assert found["0.9 interval coverage"] == pytest.approx(np.mean((lower <= truth) & (truth <= upper)))
        assert found["interval width (median)"] == pytest.approx(np.median(upper - lower))
        return
    labels, counts = scores.confusion()
    assert labels == ["A", "B", "Z"]
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(truth, predicted, labels=labels))
    assert found["balanced accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    padded = np.column_stack((more, np.zeros(truth.size)))
    assert found["log loss"] == pytest.approx(
        metrics.log_loss(truth, np.clip(padded, 1e-15, 1), labels=labels), rel=1e-6
    )
