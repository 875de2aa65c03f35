"""The benchmark: methods agree with numpy, errors notice wrong answers, targets, files, pages and options."""

from __future__ import annotations

import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("threadpoolctl")
pytest.importorskip("matplotlib")

from typer.testing import CliRunner

from stridiag.cli.app import app
from stridiag.cli.bench import command, document, limits, page, show, store, summary, table
from stridiag.cli.bench.measuring import Record, Settings, cells_of, run_cell
from stridiag.cli.bench.operations import OPERATIONS, operation_named
from stridiag.cli.bench.problem import VALUES, Case, Problem
from stridiag.cli.bench.rivals import OURS, RIVALS, YARDSTICK, Prepared, Rival, rival_named
from stridiag.cli.bench.table import PRESETS, Cell, Row, Target
from stridiag.cli.timing import Timing

HERE = [rival for rival in RIVALS if not rival.missing()]
SMALL = (Case(1, 1, 0), Case(1, 1, 6), Case(3, 3, 0), Case(2, 3, 4), Case(2, 3, 0))


def dense_answer(operation, problem):
    """Return what numpy says, for one matrix or a batch."""
    full = problem.matrix.toarray()
    if operation in ("factor-solve", "solve", "small"):
        return np.linalg.solve(full, problem.right)
    if operation == "batch":
        return np.linalg.solve(full, problem.right[..., None])[..., 0]
    if operation == "refactor-solve":
        return np.linalg.solve(problem.matrix.with_values(problem.other_values).toarray(), problem.right)
    if operation == "solve-64":
        return np.linalg.solve(full, problem.rights)
    if operation in ("inverse", "inverse-out"):
        return np.linalg.inv(full)
    if operation == "pinv":
        return np.linalg.pinv(full)
    if operation == "pinv-apply":
        return np.linalg.pinv(full) @ problem.right
    if operation == "matvec":
        return full @ problem.right
    if operation == "matvec-64":
        return full @ problem.rights
    if operation == "inverse-diagonal":
        return np.diag(np.linalg.inv(full))
    if operation == "inverse-pattern":
        return np.where(problem.matrix.with_values(np.ones(problem.structure.nnz)).toarray(), np.linalg.inv(full), 0.0)
    return None


@pytest.mark.parametrize("case", SMALL, ids=str)
@pytest.mark.parametrize("rival", HERE, ids=lambda rival: rival.name)
def test_every_method_agrees_with_numpy(rival, case):
    for operation in OPERATIONS:
        members = 4 if operation.name == "batch" else 1
        problem = Problem(case, 30, operation.values[0], seed=5, members=members)
        prepared = rival.prepare(operation.name, problem)
        part = rival.partial.get(operation.name, "")
        if prepared is None or "only" in part or operation.name == "plan":
            continue
        for _ in range(2):  # what is prepared must serve more than one call
            if prepared.before is not None:
                prepared.before()
            value = prepared.run()
        if operation.name == "slogdet":
            sign, logarithm = np.linalg.slogdet(problem.matrix.toarray())
            assert value[1] == pytest.approx(logarithm, rel=1e-12)
            assert value[0] == sign or (value[0] is None and part == "without the sign")
        else:
            if operation.name == "inverse-pattern":
                value = value.toarray()
            expected = dense_answer(operation.name, problem)
            np.testing.assert_allclose(
                np.asarray(value).reshape(expected.shape), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()
            )
        assert operation.error(problem, value if operation.name != "inverse-pattern" else prepared.run()) < 1e-13


def test_ours_offers_every_operation():
    ours = rival_named(OURS)
    for operation in OPERATIONS:
        problem = Problem(Case(1, 1, 0), 20, operation.values[0], members=3 if operation.name == "batch" else 1)
        assert ours.prepare(operation.name, problem) is not None


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.error_kind], ids=lambda o: o.name)
def test_errors_notice_wrong_answers(operation):
    problem = Problem(Case(1, 1, 4), 40, operation.values[0], seed=1, members=3 if operation.name == "batch" else 1)
    prepared = rival_named(OURS).prepare(operation.name, problem)
    good = prepared.run()
    assert operation.error(problem, good) < 1e-13
    if operation.name == "slogdet":
        assert operation.error(problem, (-good[0], good[1])) == 2.0
        assert operation.error(problem, (good[0], good[1] + 0.1)) > 1e-4
    elif operation.name == "inverse-pattern":
        assert operation.error(problem, good.with_values(1.001 * good.values)) > 1e-5
    else:
        assert operation.error(problem, 1.001 * good) > 1e-6
        assert not operation.error(problem, good * np.nan) < 1.0


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_what_they_are_called(kind):
    problem = Problem(Case(2, 3, 5), 40, kind, seed=2)
    full = problem.matrix.toarray()
    if kind == "dominant":
        rest = np.abs(full).sum(axis=1) - np.abs(np.diag(full))
        np.testing.assert_allclose(np.abs(np.diag(full)) - rest, 1.0)
    elif kind == "constant":
        assert set(full.ravel()) == {0.0, -0.9, 0.99, 1.0}
    elif kind == "signs":
        assert set(np.diag(full)) == {-1.0}
        assert full[3, 0] == 1.0
    np.testing.assert_array_equal(problem.fresh().toarray(), full)
    assert np.any(problem.other_values != problem.matrix.values) == (kind in ("dominant", "random"))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_singular_matrices_have_corank_two(case):
    sigma = np.linalg.svd(Problem(case, 120, "singular", seed=2).matrix.toarray(), compute_uv=False)
    assert sigma[-2] < 1e-13 * sigma[0]
    assert sigma[-3] > 1e-4 * sigma[0]


def test_chains_one_after_another_are_the_matrix():
    problem = Problem(Case(3, 3, 0), 11, "random")
    below, main, above = problem.chained
    order = problem.chain_order
    joined = np.diag(main) + np.diag(below, -1) + np.diag(above, 1)
    np.testing.assert_array_equal(joined, problem.matrix.toarray()[np.ix_(order, order)])


def test_batches_become_one_block_diagonal_matrix():
    problem = Problem(Case(1, 1, 0), 5, "random", members=3)
    full = problem.csc.toarray()
    for k, member in enumerate(problem.matrix.toarray()):
        np.testing.assert_array_equal(full[5 * k : 5 * k + 5, 5 * k : 5 * k + 5], member)
    assert np.count_nonzero(full) == 3 * 13


# ---------------------------------------------------------------- measuring


class Failing(Rival):
    name = "gtsv"

    def solve(self, problem):
        def run():
            raise ZeroDivisionError("no pivot")

        return run

    def slogdet(self, problem):
        raise MemoryError("too large")


def test_failures_are_rows_too():
    settings = Settings([rival_named(OURS), Failing()], 1, repeats=1, budget=0.01)
    for operation, why in (("solve", "ZeroDivisionError: no pivot"), ("slogdet", "MemoryError: too large")):
        records = run_cell(Cell(operation, Case(1, 1, 0), 20, "dominant", 1), settings)
        assert [r.rival for r in records] == [OURS, "gtsv"]
        assert records[1].timing is None
        assert records[1].note == f"failed: {why}"


def test_what_was_hopeless_is_not_run_at_larger_sizes(monkeypatch):
    monkeypatch.setattr("stridiag.cli.bench.measuring._LARGE", 10)

    class Slow(Rival):
        name = "superlu-mmd"

        def solve(self, problem):
            return lambda: sum(range(300_000)) and problem.right

    class Fast(Rival):
        name = "gbsv"

        def solve(self, problem):
            return lambda: problem.right

    settings = Settings([rival_named(OURS), Slow(), Fast()], 1, repeats=1, budget=0.01)
    first = run_cell(Cell("solve", Case(1, 1, 0), 20, "dominant", 1), settings)
    assert all(r.timing for r in first)
    assert all(r.timing for r in run_cell(first[0].cell, settings))
    second = {r.rival: r for r in run_cell(Cell("solve", Case(1, 1, 0), 40, "dominant", 1), settings)}
    assert second["superlu-mmd"].timing is None
    assert second["superlu-mmd"].note.endswith("times slower than the fastest at n = 20")
    assert second["gbsv"].timing
    # Other values are another matter.
    assert all(r.timing for r in run_cell(Cell("solve", Case(1, 1, 0), 40, "random", 1), settings))


def test_what_is_ruinous_at_a_tenth_is_not_run_at_all(monkeypatch):
    monkeypatch.setattr("stridiag.cli.bench.measuring._LARGE", 100)
    # Seconds by hand: what others do for the first time, in whichever test comes first, must not be judged here.
    seconds = itertools.count()
    late = []
    monkeypatch.setattr(
        "stridiag.cli.bench.measuring.time", SimpleNamespace(perf_counter=lambda: next(seconds) + sum(late))
    )

    class Quadratic(Rival):
        name = "superlu-mmd"

        def solve(self, problem):
            if problem.n > 20:
                raise AssertionError("must not be run")
            return lambda: late.append(1000) or problem.right

    rivals = [rival_named(OURS), Quadratic(), rival_named("gtsv")]
    settings = Settings(rivals, 1, repeats=1, budget=0.01)
    records = {r.rival: r for r in run_cell(Cell("solve", Case(1, 1, 0), 200, "dominant", 1), settings)}
    assert records["gtsv"].timing
    assert records["superlu-mmd"].note.startswith("not run")


def test_cells_that_are_only_checked_have_no_time():
    row = Row("solve", Case(1, 1, 0), 30, ("dominant",), ("constant", "signs"))
    found = list(cells_of(row, 2))
    assert [(cell.values, timed) for cell, timed in found] == [
        ("dominant", True),
        ("constant", False),
        ("signs", False),
    ]
    settings = Settings([rival_named(OURS), rival_named("gtsv")], 1)
    records = run_cell(found[1][0], settings, timed=False)
    assert all(r.timing is None and r.error < 1e-15 for r in records)
    assert len(records) == 2


def test_what_is_done_before_a_call_is_not_timed():
    log = []
    prepared = Prepared(lambda: log.append("run"), lambda: log.append("before"))

    class Noisy(Rival):
        name = "gtsv"

        def matvec(self, problem):
            return prepared

    run_cell(Cell("plan", Case(1, 1, 0), 10, "dominant", 1), Settings([rival_named(OURS), Noisy()], 1, 1, 0.001))
    assert log == []
    with pytest.raises(TypeError):
        # A product that is None is no result: the error is looked for.
        run_cell(Cell("matvec", Case(1, 1, 0), 10, "dominant", 1), Settings([Noisy()], 1, 1, 0.001))
    assert log[:4] == ["before", "run", "before", "run"]


# ---------------------------------------------------------------- summing up


def record(rival, seconds, error=1e-16, **changes):
    cell = Cell("factor-solve", Case(1, 1, 0), 10**5, "dominant", 2)._replace(**changes)
    return Record(cell, rival, None if seconds is None else Timing.of([seconds, seconds]), error)


def test_only_stable_rivals_count():
    found = summary.comparisons([record(OURS, 1.0), record("gtsv", 7.0), record("tridiag", 2.0, 1e-3)], 2)[0]
    assert found.best.rival == "gtsv"
    gtsv, thomas = found.verdicts
    assert (gtsv.target, gtsv.rival, gtsv.ratio, gtsv.met) == (Target(6, ("gtsv",)), "gtsv", 7.0, True)
    assert (thomas.ratio, thomas.met) == (None, None)
    stable = summary.comparisons([record(OURS, 1.0), record("gtsv", 5.0), record("tridiag", 2.0)], 2)[0]
    assert [verdict.met for verdict in stable.verdicts] == [False, False]
    assert not summary.is_stable(record("gtsv", 1.0, float("nan")))


def test_targets_with_seconds_to_spare():
    small = {"operation": "small", "n": 100}
    for ours, met in ((11e-6, True), (14e-6, False)):
        found = summary.comparisons([record(OURS, ours, **small), record("gtsv", 2e-6, **small)], 2)[0]
        assert found.verdicts[0].met is met


def test_one_thread_has_targets_of_its_own():
    cell = record(OURS, 1.0).cell
    assert table.targets_of(cell._replace(threads=1), cores=2) == (Target(3.5, ("gtsv",)),)
    assert len(table.targets_of(cell._replace(threads=1), cores=1)) == 2
    assert table.targets_of(cell._replace(n=77), cores=2) == ()


def test_tables_tell_targets_and_losses():
    records = [record(OURS, 1.0), record("gtsv", 0.5), record("tridiag", 9.0), record(OURS, 2.5, threads=1)]
    (main,) = show.main_tables(records, 2)
    row = dict(zip(main.columns, main.rows[0], strict=True))
    assert row["ratio"] == ("0.50", "bad")
    assert row["target"] == ("6.0 over gtsv: 0.50 missed; 2.5 over tridiag: 9.0", "bad")
    full = show.rivals_table(records, "factor-solve", 2)
    assert "tridiag*" in full.columns
    growth = show.growth_table([*records, record(OURS, 9.0, n=10**6), record(OURS, 130.0, n=10**7)])
    assert [(r[3].text, r[5]) for r in growth.rows] == [
        ("1 thread over 2", ("2.5", "good")),
        ("10,000,000 over 1,000,000 rows", ("14", "bad")),
    ]
    floor = show.floor_table([record(OURS, 0.02, n=10**6)], {2: 1e10})
    # 5 doubles a row.
    assert [c.text for c in floor.rows[0][4:]] == ["40", "20.00", "4.00", "5.0"]


def test_markdown_marks_what_is_bad():
    text = show.markdown(show.main_tables([record(OURS, 1.0), record("gtsv", 0.5)], 2)[0])
    assert "**0.50**" in text
    assert text.splitlines()[1].startswith("|---|---:|")


def test_files_keep_all(tmp_path):
    records = [
        record(OURS, 0.25),
        record("gtsv", None, None)._replace(note="failed: a, b: c"),
        Record(Cell("solve", Case(2, 3, 4), 50, "signs", 1), "gbsv", None, 3e-17),
    ]
    facts = {"date": "today: now", "machine": "this one"}
    path = tmp_path / "results.csv"
    path.write_text(store.to_csv(records, facts), encoding="utf-8")
    assert store.read(path) == (records, facts)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(store.StoredError, match=r"results\.csv: expected the columns"):
        store.read(path)
    text = store.to_csv(records, facts).replace("0.25", "quick")
    with pytest.raises(store.StoredError, match="cannot be read"):
        store.parse(text)


def test_limits_are_measured_and_kept():
    speed = limits.triad_bandwidth(2, length=10_000, repeats=2)
    assert 1e6 < speed < 1e13
    peak = limits.peak_memory(Case(1, 1, 0), 20_000)
    # At least the solution.
    assert peak.arrays >= 1.0
    kept = limits.Limits({1: speed}, {(Case(1, 1, 0), 20_000): peak})
    assert limits.Limits.from_json(kept.to_json()) == kept


# ---------------------------------------------------------------- presets and options


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_of_presets_fit(preset):
    for row in table.rows_of(preset):
        assert row.n >= row.case.smallest or row.operation == "batch"
        allowed = operation_named(row.operation).values
        assert set(row.values) | set(row.checked) <= set(allowed)
    assert table.select(preset) == table.rows_of(preset)


def test_the_table_has_every_operation_and_its_growth_families():
    rows = table.rows_of("table")
    assert {row.operation for row in rows} == {operation.name for operation in OPERATIONS}
    checked = {row.case for row in rows if row.operation == "factor-solve" and row.checked}
    assert checked == {row.case for row in rows if row.operation == "factor-solve"}


def test_selection():
    rows = table.select("quick", operations=["slogdet"], cases=[Case(1, 1, 5)], sizes=[30, 40])
    assert [(row.operation, row.case, row.n) for row in rows] == [
        ("slogdet", Case(1, 1, 5), 30),
        ("slogdet", Case(1, 1, 5), 40),
    ]
    (pinv,) = table.select("quick", operations=["pinv"], cases=[Case(1, 1, 5)], sizes=[30])
    assert pinv.values == ("singular",)
    assert {row.values for row in table.select("quick", values=["random"])} == {("random",)}


def invoke(*arguments):
    return CliRunner().invoke(app, ["bench", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--operations", "dance"], 1, "no operation 'dance'"),
        (["--cases", "1,1"], 1, "a case is p,q,links"),
        (["--cases", "0,1,3"], 1, "p and q at least 1"),
        (["--cases", "8,8,100", "--sizes", "50"], 1, "n = 50 cannot hold (8,8,100), which needs n >= 100"),
        (["--rivals", "abacus"], 1, "no rival 'abacus'"),
        (["--values", "pretty"], 1, "no 'pretty' values"),
        (["--operations", "inverse-diagonal", "--values", "random"], 1, "measured with dominant values"),
        (["--csv", "nowhere/at/all.csv"], 1, "there is no folder"),
        (["--preset", "huge"], 2, "huge"),
        (["--repeats", "0"], 2, "repeats"),
        (["--colour", "red"], 2, "--colour"),
    ],
)
def test_wrong_options_are_errors(arguments, code, message):
    result = invoke(*arguments)
    assert result.exit_code == code
    assert message in " ".join(result.output.split())


def test_missing_rivals_are_named(monkeypatch):
    monkeypatch.setattr(
        "stridiag.cli.bench.rivals.base._failure", lambda module, package: f"{package} is not installed"
    )
    rivals, left_out = command.rivals_for(())
    assert {OURS, YARDSTICK, "gtsv"} <= {rival.name for rival in rivals}
    assert "klu-pyklu: pyklu is not installed" in left_out
    result = invoke("--rivals", "klu-pyklu,gtsv")
    assert result.exit_code == 1
    assert "pyklu is not installed" in result.output


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_a_tiny_run_prints_and_writes_everything(preset, tmp_path):
    csv, html = tmp_path / "results.csv", tmp_path / "page.html"
    result = invoke(
        *(
            "--preset",
            preset,
            "--cases",
            "1,1,0",
            "--cases",
            "2,3,4",
            "--sizes",
            "30",
            "--sizes",
            "60",
            "--repeats",
            "1",
        ),
        *("--budget", "0.01", "--threads", "1", "--csv", str(csv), "--html", str(html)),
        *("--rivals", "gtsv,gbsv,dense,superlu-colamd"),
    )
    assert result.exit_code == 0, result.output
    for text in ("processor", "numpy", "threads: 1", "Sign and logarithm of the determinant", "gtsv"):
        assert text in result.output
    records, facts = store.read(csv)
    assert all(r.error < 1e-13 for r in records if r.error is not None)
    assert facts["settings"].startswith(f"preset {preset}")
    text = html.read_text(encoding="utf-8")
    operations = {r.cell.operation for r in records}
    # Two cases of each operation have a picture.
    assert text.count("<svg") == 2 * len(operations)
    assert "prefers-color-scheme: dark" in text
    assert "p = 2, q = 3, 4 links" in text


def test_json_has_what_the_file_has(tmp_path):
    csv = tmp_path / "results.csv"
    case = ("--operations", "slogdet", "--cases", "1,1,0", "--sizes", "30", "--rivals", "gtsv", "--values", "random")
    result = invoke(*case, "--repeats", "1", "--budget", "0.01", "--csv", str(csv), "--json", "--quiet")
    assert result.exit_code == 0, result.output
    # One object, and nothing else on either stream.
    content = json.loads(result.output)
    records, facts = store.read(csv)
    assert content["facts"] == facts
    assert content["limits"] is None
    assert {row["rival"] for row in content["records"]} >= {OURS, "gtsv"}
    for row, kept in zip(content["records"], records, strict=True):
        assert (row["operation"], row["n"], row["rival"], row["note"]) == ("slogdet", 30, kept.rival, kept.note)
        if kept.timing is not None:
            np.testing.assert_allclose(row["median"], kept.timing.median, rtol=1e-3)
            assert row["calls"] == kept.timing.calls


def test_page_of_documentation_counts_targets():
    records = [record(OURS, 1.0), record("gtsv", 7.0), record("tridiag", 2.0)]
    text = document.speed_page(records, {"date": "today"}, None, 2)
    assert "Targets: 1 met, 1 missed, 0 without" in text
    assert "faster in 1, slower in 0" in text
    assert "* date: today" in text
    for rival in RIVALS[2:]:
        assert f"* {rival.name}: {rival.title}" in text


def test_html_has_no_pictures_of_single_sizes():
    assert page.figures([record(OURS, 1.0), record("gtsv", 2.0)], "factor-solve", 2) == []
    text = page.compose([record(OURS, 1.0), record("gtsv", 2.0)], {"date": "<today>"})
    assert "&lt;today&gt;" in text


def test_options_have_the_defaults_of_the_command_line():
    defaults = {f.name: f.default for f in dataclasses.fields(command.Options)}
    assert (defaults["repeats"], defaults["budget"], defaults["members"], defaults["seed"]) == (9, 0.6, 10_000, 0)
