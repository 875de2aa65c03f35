"""The benchmark of learning: its loader, its metrics, what it stores, and what it makes of results."""

import importlib.util
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name):
    specification = importlib.util.spec_from_file_location(f"benchmark_{name[:-3]}", FOLDER / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


# The program puts the package of its helpers on the path.
learning = load("learning.py")

from learning import data, features, measuring, models, ours, page, rivals, store, summary  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """Two tables of the benchmark's format: two splits of a regression, and codes, gaps and no splits."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3))
    tests = np.zeros((2, 80), bool)
    tests[0, :20] = tests[1, 20:40] = True
    for task in ("regression", "classification"):
        (tmp_path / task).mkdir()
    np.savez(tmp_path / "regression" / "waves.npz", X=x, y=np.sin(x[:, 0]), test_mask=tests)
    mixed = np.column_stack([rng.integers(0, 3, 60), rng.standard_normal(60)]).astype(float)
    y = (mixed[:, 0] == 1).astype(int)
    mixed[3, 1] = mixed[4, 0] = np.nan
    np.savez(tmp_path / "classification" / "codes.npz", X=mixed, y=y, is_cat=np.array([True, False]))
    return tmp_path


class Zero:
    """Predicts 0, after it has held that many numbers for a moment."""

    def __init__(self, numbers):
        self.numbers = numbers

    def fit(self, x, y):
        np.ones(self.numbers).sum()

    def predict(self, x):
        return np.zeros(len(x))

    def counts(self):
        return {"hidden": 1, "readout": 2, "units": 3, "layers": 4}


def result(data, split, model, score, task="regression", **fields):
    return store.Result(data, task, split, model, "as it is", "ok", score, test_rows=100, **fields)


class TestData:
    def test_a_split_is_what_the_mask_says(self, folder):
        table = data.load(folder, "waves")
        split = table.split(1)
        assert split.x_train.shape == (60, 3)
        np.testing.assert_array_equal(split.x_test, table.rows[20:40])
        np.testing.assert_array_equal(split.y_test, np.sin(table.rows[20:40, 0]))

    def test_codes_are_one_hot_and_gaps_are_medians_of_the_training_part(self, folder):
        table = data.load(folder, "codes")
        split = next(table.split(k) for k in range(5) if not table.tests[k, 3])
        # Three codes and perhaps the missing one, then the number.
        assert split.x_train.shape[1] in (4, 5)
        np.testing.assert_array_equal(split.x_train[:, :-1].sum(axis=1), 1.0)
        number = next(k for k in range(5) if not table.tests[k, 3])
        train = ~table.tests[number]
        filled = split.x_train[np.flatnonzero(np.flatnonzero(train) == 3)[0], -1]
        assert filled == np.nanmedian(table.rows[train, 1])

    def test_without_splits_five_stratified_folds_meet_each_row_once(self, folder):
        table = data.load(folder, "codes")
        np.testing.assert_array_equal(table.tests.sum(axis=0), 1)
        shares = [table.labels[test].mean() for test in table.tests]
        assert max(shares) - min(shares) < 0.1

    def test_names_and_digits(self, folder):
        assert set(data.names(folder)) == {"waves", "codes", "digits"}
        digits = data.load(folder, "digits")
        assert (digits.image_shape, len(digits.tests), digits.rows.shape[1]) == ((8, 8), 5, 64)

    def test_images_are_scaled_and_the_given_test_images_are_the_test_part(self, folder):
        images = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
        labels = np.arange(5)
        np.savez(folder / "mnist.npz", x_train=images[:3], y_train=labels[:3], x_test=images[3:], y_test=labels[3:])
        assert data.names(folder)[-1] == "mnist"
        table = data.load(folder, "mnist")
        np.testing.assert_array_equal(table.split(0).x_test, images[3:].reshape(2, 6) / 255.0)
        np.testing.assert_array_equal(table.split(0).y_train, labels[:3])
        assert table.image_shape == (2, 3)

    def test_what_is_not_there_is_refused(self, folder):
        with pytest.raises(FileNotFoundError, match="clouds"):
            data.load(folder, "clouds")
        with pytest.raises(ValueError, match="splits 0 to 1, got 2"):
            data.load(folder, "waves").split(2)


class TestMetrics:
    def test_scores(self):
        assert measuring.rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(math.sqrt(2.0))
        assert measuring.accuracy(np.array([0, 1, 1]), np.array([0, 1, 2])) == pytest.approx(2 / 3)

    def test_a_gemm_of_twice_the_order_takes_longer(self):
        assert measuring.gemm_seconds(512, 0.05) > 2.0 * measuring.gemm_seconds(256, 0.05) > 0.0

    def test_mean_seconds_repeats_what_is_short(self):
        calls = []
        value, seconds = measuring.mean_seconds(lambda: calls.append(len(calls)) or len(calls), least=60.0, most=7)
        assert (value, len(calls)) == (1, 7)
        assert 0.0 <= seconds < 0.1

    def test_latency_is_of_single_rows(self):
        shapes = set()
        assert measuring.latency(lambda rows: shapes.add(rows.shape), np.zeros((5, 3))) > 0.0
        assert shapes == {(1, 3)}

    def test_bytes_are_of_the_models_own_file_where_it_has_one(self):
        class Saves:
            def save(self, path):
                path.write_bytes(b"x" * 1234)

        assert measuring.saved_bytes(Saves()) == 1234
        assert 8000 < measuring.saved_bytes(np.zeros(1000)) < 9000

    def test_memory_is_the_peak_of_the_fit(self, folder):
        split = data.load(folder, "waves").split(0)
        modest, greedy = (
            measuring.measured(models.Model("zero", "", lambda problem, n=n: Zero(n)), models.Problem(False), split)
            for n in (1, 8 * 2**20)
        )
        if Path("/proc/self/clear_refs").exists():
            assert modest["memory"] < 32 * 2**20 < 60 * 2**20 < greedy["memory"] < 96 * 2**20
        assert greedy["score"] == pytest.approx(measuring.rmse(np.zeros(20), split.y_test))
        assert [greedy[name] for name in ("hidden", "readout", "units", "layers")] == [1, 2, 3, 4]

    @pytest.mark.parametrize("classify", [False, True])
    def test_counts_are_the_numbers_of_the_fitted_model(self, classify):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((90, 4))
        y = rng.integers(0, 3, 90) if classify else x[:, 0] + 0.1 * x[:, 1] ** 2
        outputs = 3 if classify else 1
        dense = features.DenseFeatures(20, classify=classify).fit(x, y)
        # Each input beside its distribution function.
        assert dense.counts() == {"hidden": 8 * 20 + 20, "readout": (28 + 1) * outputs, "units": 20, "layers": 1}
        sparse = features.RandomPlaces(21, 2, 3, classify=classify).fit(x, y)
        assert sparse.counts() == {"hidden": 21 * 4, "readout": (8 + 21 + 1) * outputs, "units": 21, "layers": 2}
        plain = features.RandomPlaces(21, 2, 3, classify=classify, ranks=False).fit(x, y)
        assert plain.counts()["readout"] == (4 + 21 + 1) * outputs
        table = models.models()
        problem = models.Problem(classify)
        assert table["linear"].build(problem).fit(x, y).counts()["readout"] == 5 * outputs
        boosted = table["histgb"].build(problem).fit(x, y).counts()
        assert boosted["hidden"] == 2 * (boosted["readout"] - boosted["layers"])
        net = ours.Ours({"units": 30}, classify=classify, image_shape=None).fit(x, y)
        assert net.counts()["units"] == 30 * net.counts()["layers"]

    def test_the_search_takes_the_best_setting_and_keeps_to_its_budget(self, monkeypatch):
        x = np.random.default_rng(0).standard_normal((200, 2))
        settings = (((2,), "relu", 1e3, 1e-3), ((30,), "tanh", 1e-4, 1e-2))
        monkeypatch.setattr(rivals.TunedPerceptron, "settings", settings)
        y = np.sin(2 * x[:, 0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = rivals.TunedPerceptron(classify=False).fit(x, y)
            hasty = rivals.TunedPerceptron(classify=False, budget=0.0).fit(x, y)
        assert found.counts()["units"] == 30
        assert hasty.counts()["units"] == 2

    def test_dense_features_learn_what_is_not_linear(self):
        x = np.random.default_rng(0).standard_normal((1000, 3))
        y = np.sin(2 * x[:, 0]) * x[:, 1]
        dense = features.DenseFeatures(150, classify=False).fit(x[:900], y[:900])
        assert measuring.rmse(dense.predict(x[900:]), y[900:]) < 0.3 * y[900:].std()


class TestStore:
    def test_what_is_written_is_read_and_the_last_one_counts(self, tmp_path):
        first = result("waves", 0, "mlp, tuned", 0.25, fit_cpu=1.5, hidden=7, date="2000-01-01")
        store.append(tmp_path, first)
        store.append(tmp_path, result("waves", 1, "mlp, tuned", 0.5))
        later = replace(first, score=0.125)
        store.append(tmp_path, later)
        found = store.read(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mlp-tuned.csv"]
        assert {r.score for r in found} == {0.125, 0.5}
        assert [(r.hidden, r.fit_cpu, r.date) for r in found if r.split == 0] == [(7, 1.5, "2000-01-01")]

    def test_a_line_cut_short_is_not_a_result(self, tmp_path):
        store.append(tmp_path, result("waves", 0, "mlp", 0.25))
        with (tmp_path / "mlp.csv").open("a") as file:
            file.write("waves,regression,1,mlp")
        assert [r.split for r in store.read(tmp_path)] == [0]

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        with pytest.raises(ValueError, match="must have the columns"):
            store.read(tmp_path)


class TestOurs:
    def test_a_value_without_a_line_gets_one_and_an_unknown_line_is_named(self):
        class Estimator:
            def __init__(self, *, training: Literal["random", "dance"] = "random", units: int = 3) -> None: ...

        table = (ours.Line("plain"), ours.Line("sung", {"training": "song"}), ours.Line("big", {"preset": "big"}))
        assert [line.name for line in ours.lines(Estimator, table)] == ["plain", "ours, dance"]
        assert ours.missing(Estimator, table) == {
            "sung": "training may not be 'song'",
            "big": "the estimators have no parameter preset",
        }

    def test_optional_values_and_shapes(self):
        class Estimator:
            def __init__(self, *, preset: Literal["fast"] | None = None, image_shape: tuple | None = None) -> None: ...

        table = (ours.Line("pixels", {"image_shape": ours.IMAGE}),)
        assert [line.name for line in ours.lines(Estimator, table)] == ["pixels", "ours, fast"]
        assert table[0].images

    def test_each_way_of_the_estimators_is_measured(self):
        from stridiag.sklearn import StridiagClassifier

        found = {line.options.get("training", "random") for line in ours.lines(StridiagClassifier)}
        assert {"random", "targets"} <= found


class TestSummary:
    @pytest.fixture
    def runs(self):
        """Three models on four data sets of two splits: a is first on three, b on one, c always last."""
        found = []
        for name, losses in {"p": (1, 2, 3), "q": (1, 2, 3), "r": (1, 2, 3), "s": (2, 1, 3)}.items():
            for model, loss in zip("abc", losses, strict=True):
                found += [result(name, k, model, loss + 0.1 * k, fit_cpu=loss) for k in range(2)]
        return summary.runs_of(found)

    def test_ranks(self, runs):
        found = summary.mean_ranks(runs, "abc")
        assert found.ranks == {"a": 1.25, "b": 1.75, "c": 3.0}
        assert found.data == ["p", "q", "r", "s"]
        # Friedman's statistic is 12 N / (k (k + 1)) sum (R - (k + 1) / 2)^2 = 6.5 for two degrees of freedom.
        assert found.friedman == pytest.approx(math.exp(-6.5 / 2.0))

    def test_ties_share_and_data_sets_that_one_lacks_are_left_out(self, runs):
        runs["b"]["p"] = runs["a"]["p"]
        del runs["c"]["s"]
        found = summary.mean_ranks(runs, "abc")
        assert found.data == ["p", "q", "r"]
        assert found.ranks["a"] == pytest.approx(3.5 / 3)

    def test_critical_difference_is_that_of_the_source(self):
        # Demšar, table 5 and section 3.2.3: q = 2.569 for four classifiers; 1.25 on fourteen data sets.
        assert summary.critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)

    def test_holm(self):
        assert summary.holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "z": 0.06, "y": 0.06})

    def test_wilcoxon_of_a_model_that_is_always_better(self):
        found = [result(f"d{k}", 0, m, s + k) for k in range(6) for m, s in (("a", 1.0), ("b", 3.0))]
        assert summary.wilcoxon_holm(summary.runs_of(found), "a", ["b"]) == pytest.approx({"b": 2 / 2**6})

    def test_duels(self, runs):
        assert summary.duels(runs, "a", "b") == (3, 0, 1)
        noisy = [result("p", k, m, s) for k in range(2) for m, s in (("a", 1.0), ("b", 0.5 + 1.5 * k))]
        assert summary.duels(summary.runs_of(noisy), "a", "b") == (0, 1, 0)

    def test_one_split_is_judged_by_its_binomial_deviation(self):
        def duel(accuracy):
            found = [result("p", 0, m, s, "classification") for m, s in (("a", 0.9), ("b", accuracy))]
            return summary.duels(summary.runs_of(found), "a", "b")

        # sqrt(2 * 0.9 * 0.1 / 100) = 0.042
        assert duel(0.87) == (0, 1, 0)
        assert duel(0.8) == (1, 0, 0)
        one = summary.runs_of([result("p", 0, m, s) for m, s in (("a", 0.1), ("b", 0.9))])
        assert summary.duels(one, "a", "b") == (0, 0, 0)

    def test_ratios_and_totals(self, runs):
        assert summary.median_ratio(runs, "c", "a") == pytest.approx(3.05 / 1.05)
        assert summary.relative_losses(runs, "a", "b")["s"] == pytest.approx(2.05 / 1.05)
        assert summary.total_seconds(runs, "a", summary.common(runs, "ab")) == pytest.approx(5.0)
        assert math.isnan(summary.median_ratio(runs, "a", "b", "classification"))

    def test_the_dense_rival_is_at_least_as_large(self):
        found = [result("p", 0, "ours", 1.0, units=100, hidden=300, fit_cpu=0.9)]
        for units in (16, 64, 128, 256):
            found.append(result("p", 0, f"dense {units}", units, units=units, hidden=5 * units, fit_cpu=units / 100))
        runs = summary.matched(summary.runs_of(found), "ours", [f"dense {u}" for u in (16, 64, 128, 256)])
        assert {name: of["p"][0].score for name, of in runs.items()} == {
            "dense, equal units": 128,
            "dense, equal hidden numbers": 64,
            "dense, equal time": 64 if 0.9 / 0.64 < 1.28 / 0.9 else 128,
        }


class TestProgram:
    def test_goes_on_where_it_stopped(self, folder, capsys):
        done = []

        def perform(job, limit):
            done.append((job.data, job.split, job.model))
            return {"status": "ok", "score": 0.5, "fit_cpu": 1.0, "hidden": 12, "units": 3, "layers": 1}

        def run(*more):
            aside = ["--results", str(folder / "results"), "--no-page", "--models", "linear;ours;random places (ours)"]
            learning.main(["--data", str(folder), "--only", "waves", *aside, *more], perform=perform)

        run("--splits", "0")
        assert done == [("waves", 0, "linear"), ("waves", 0, "ours"), ("waves", 0, "random places (ours)")]
        # There is no third split.
        run("--splits", "0-2")
        assert len(done) == 6
        run("--splits", "0-2")
        assert len(done) == 6
        run("--splits", "0", "--redo")
        assert len(done) == 9
        assert "(3 units, 1 layers, 12 numbers)" in (folder / "results" / "random-places-ours.csv").read_text()

    def test_a_model_of_other_settings_is_measured_anew(self, folder):
        done = []

        def perform(job, limit):
            done.append(job.model)
            return {"status": "ok", "score": 0.5}

        model = models.models()["linear"]
        for asked in (model, model, replace(model, settings="others")):
            learning.run(
                folder, folder / "results", ["waves"], [asked], [0], limit=9.0, perform=perform, say=lambda text: None
            )
        assert len(done) == 2

    def test_a_control_waits_for_its_model(self, folder, capsys):
        from stridiag.sklearn import StridiagRegressor

        control = models.models(StridiagRegressor)["random places (ours)"]
        learning.run(folder, folder / "results", ["waves"], [control], [0], limit=9.0, perform=None)
        assert "waits for ours" in capsys.readouterr().out

    def test_a_rival_that_is_not_installed_is_named(self, folder, capsys, monkeypatch):
        monkeypatch.setattr(learning, "find_spec", lambda name: None if name == "hpelm" else object())
        aside = ["--results", str(folder / "results"), "--page", str(folder / "page.md"), "--plots", str(folder)]
        given = ["--data", str(folder), "--only", "waves", "--models", "hpelm;linear", *aside]
        learning.main(given, perform=lambda job, limit: {"status": "failed: tired"})
        assert "Skipped: hpelm: hpelm is not installed" in capsys.readouterr().out
        text = (folder / "page.md").read_text()
        assert "* `hpelm`: no result is stored" in text
        assert "* `linear` on waves, split 0: failed: tired" in text

    @pytest.mark.parametrize(
        "wrong", [["--models", "oracle"], ["--only", "clouds"], ["--splits", "many"], ["--splits", "3-1"]]
    )
    def test_what_is_not_there_is_refused(self, folder, wrong):
        with pytest.raises(SystemExit):
            learning.main(["--data", str(folder), "--no-page", *wrong])

    def test_a_run_from_the_shell_in_processes_of_their_own(self, folder):
        given = ["--data", str(folder), "--only", "waves,codes", "--splits", "0", "--models", "linear;ours"]
        aside = ["--results", "results", "--page", "docs/page.md", "--plots", "docs/_static"]
        command = [sys.executable, str(FOLDER / "learning.py"), *given, *aside]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = store.read(folder / "results")
        assert [r.status for r in found] == ["ok"] * 4
        assert all(r.fit_cpu > 0.0 and r.gemm_cpu > 0.0 and r.bytes > 0 and r.latency > 0.0 for r in found)
        text = (folder / "docs" / "page.md").read_text()
        assert "Regression: root mean squared error" in text
        assert "| waves |" in text

    def test_a_fit_that_takes_too_long_is_stopped_and_one_that_fails_says_why(self, folder):
        code = f"""
import sys, time
sys.path.insert(0, {str(FOLDER)!r})
from learning import measuring
job = measuring.Job({str(folder)!r}, "waves", 7, "linear")
print(measuring.in_fork(job, 60.0)["status"])
def busy(job):
    while True:
        time.process_time()
measuring.perform = busy
print(measuring.in_fork(job, 0.2)["status"])
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        first, second = done.stdout.splitlines()
        assert first == "failed: ValueError: waves has splits 0 to 1, got 7"
        assert second == "time limit"

    def test_another_interpreter_does_what_a_fork_does(self, folder):
        told = measuring.in_interpreter(sys.executable, measuring.Job(str(folder), "waves", 0, "linear"), 60.0)
        assert told["status"] == "ok"
        assert told["test_rows"] == 20

    def test_the_page_is_made_of_results_alone(self, tmp_path):
        found = []
        for k, data_set in enumerate("pqrs"):
            for split in range(2):
                for model, score in (("ours", 1.0), ("histgb", 2.0), ("mlp", 3.0), ("dense 64", 4.0)):
                    counts = {"hidden": 10, "readout": 5, "units": 64, "gemm_cpu": 0.1, "predict_cpu": 0.1}
                    found.append(result(data_set, split, model, score + k, fit_cpu=score, latency=1e-4, **counts))
        aside = tmp_path / "_static"
        page.write_page(found, tmp_path / "page.md", aside)
        text, pictures = (tmp_path / "page.md").read_text(), {p.name: p.read_bytes() for p in aside.iterdir()}
        assert "| `ours` | 1.00 | 0.71 |" in text
        assert "| `ours` | 4 / 0 / 0 | 4 / 0 / 0 | 4 / 0 / 0 |" in text
        assert "fit seconds of histgb over ours (4 tables) | ≥ 1 | 2.00 | met" in text
        assert "_static/learning-time.svg" in text
        assert set(pictures) == {"learning-time.svg", "learning-numbers.svg"}
        page.write_page(found, tmp_path / "page.md", aside)
        assert (tmp_path / "page.md").read_text() == text
        assert {p.name: p.read_bytes() for p in aside.iterdir()} == pictures
