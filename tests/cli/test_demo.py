"""The demo end to end at tiny sizes, its measuring code by itself, and the ways in which it may not start."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from rich.console import Console
from typer.testing import CliRunner

import stridiag
from stridiag.cli import demo, learning_demo, matrix_demo, plots, report, tables, terminal, timing
from stridiag.cli.app import app
from stridiag.cli.bench.problem import Case, Problem
from stridiag.cli.matrix_demo import CASES, Job


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Run the whole demo once; return what it printed and the folder."""
    folder = tmp_path_factory.mktemp("demo") / "made" / "by the demo"
    result = CliRunner().invoke(app, ["demo", "--quick", "--output", str(folder), "--seed", "3"])
    assert result.exit_code == 0, result.output
    return result.output, folder


class Page(HTMLParser):
    """Collects what a test wants to know of a page, and checks that tags close in order."""

    void = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.headings = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.references.append(value)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and re.fullmatch("h[1-3]", self.open[-1]):
            self.headings.append(data)


def test_quick_run_prints_both_halves(quick):
    output, _ = quick
    for text in ("structured, random", "structured, targets", "dense random", "RidgeClassifierCV", "MLPClassifier"):
        assert text in output
    for text in ("±", "Solve one", "determinant", "Inverse", "Pseudoinverse", "SuperLU", "LAPACK gt", "numpy dense"):
        assert text in output
    assert "index.html" in output
    assert "Warning" not in output


def test_page_stands_alone(quick):
    _, folder = quick
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.tags)
    # What is referred to is there, once.
    assert len(set(page.ids)) == len(page.ids)
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
    # No placeholder colour has been left over: each has become a variable that the page defines.
    assert not re.search("#0a0b0[0-9a-f]", text)
    assert set(re.findall(r"var\((--[a-z0-9]+)\)", text)) <= set(re.findall(r"(--[a-z0-9]+):", text))
    assert "prefers-color-scheme: dark" in text


def test_page_has_its_sections(quick):
    _, folder = quick
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    for heading in ("Learning by pseudoinverse", "Structure of the layers", "Matrix algebra", "How this was measured"):
        assert heading in page.headings
    # Accuracy, three layers, four operations of four cases.
    assert page.tags.count("svg") == 1 + 3 + 4 * len(CASES)
    assert page.tags.count("table") == 5
    assert "n^" in text
    for fact in ("numpy " + np.__version__, "seed 3", "1 for BLAS"):
        assert fact in text


def test_page_says_what_was_run(quick):
    _, folder = quick
    text = (folder / "index.html").read_text(encoding="utf-8")
    # Three layers of 32 units start over at stride 1, nothing is larger than dense methods can take.
    assert "Strides, layer by layer: 1, 7, 1. Through" in text
    assert "first call takes 0.02 s or more" in text
    assert "on 1 of the 2 splits and so without bars" in text
    assert "n &gt; 2000" not in text
    assert "altered so that the rank is n - 2" in text
    assert learning_demo.penalty_rule() in text


def test_nothing_else_is_left_in_the_folder(quick):
    _, folder = quick
    assert [path.name for path in folder.iterdir()] == ["index.html"]


# ---------------------------------------------------------------- terminals


def printed(table, width, encoding="utf-8"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    terminal.print_table(Console(file=stream, width=width, force_terminal=False), table)
    stream.seek(0)
    return stream.read()


@pytest.fixture
def wide():
    columns = ("name", "time", "rival", "rival's error")
    row = [tables.Cell(text) for text in ("a long name", "1,000,000 µs", "2 ± 1", "1e-16")]
    return tables.Table("[title]", "A note.", columns, [row, row], (1,), ("rival's error", "rival"))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("width", [1, 5, 12, 18, 25, 30, 40, 60, 80])
def test_tables_cut_nothing_off(wide, width, encoding):
    text = printed(wide, width, encoding)
    assert "…" not in text
    assert "..." not in text
    assert all(len(line) <= width for line in text.splitlines())
    micro, plus = ("u", "+-") if encoding == "ascii" else ("µ", "±")
    shown, joined = "".join(text.split()), " ".join(text.split())
    assert f"1,000,000{micro}s" in shown
    assert "[title]" in shown
    if "rival" not in joined.partition("for want of width")[2]:
        assert f"2{plus}1" in shown
    if width >= 18:
        assert f"1,000,000 {micro}s" in text


@pytest.mark.parametrize(("width", "left_out"), [(60, None), (25, "rival's error"), (22, "rival, rival's error")])
def test_narrow_tables_name_what_they_leave_out(wide, width, left_out):
    note = " ".join(printed(wide, width).split()).partition("A note.")[2]
    assert note == (f" Not shown for want of width: {left_out}." if left_out else "")


@pytest.mark.parametrize("width", [10, 40, 60, 70, 80, 200])
def test_progress_fits(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    longest = max(
        [f"digits: {entrant.name}" for entrant in learning_demo.contestants()]
        + [f"{job.operation} ({job.case}), n = {job.n:,}" for job in matrix_demo.jobs()],
        key=len,
    )
    with terminal.progress(console) as shown:
        shown.add_task(longest, total=100)
    assert width < 57 or longest in console.file.getvalue()
    assert width < 40 or "…" not in console.file.getvalue()


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", "?"), ("ascii", "?"), ("latin-1", "?")])
def test_names_of_bytes_that_are_no_text_are_printed(encoding, text):
    assert terminal.encodable("a\udcff", encoding) == "a" + text


def test_json_has_every_fit_and_every_method(tmp_path, monkeypatch):
    everyone, everything = learning_demo.contestants(quick=True), matrix_demo.jobs(quick=True)
    monkeypatch.setattr(learning_demo, "contestants", lambda quick: everyone[:2])
    monkeypatch.setattr(matrix_demo, "jobs", lambda quick: everything[:1])
    # Tables, sentences and pictures need all contestants.
    for name, empty in (("learning_verdict", ""), ("matrix_verdict", []), ("matrix_table", None)):
        monkeypatch.setattr(tables, name, lambda *results, empty=empty, **options: empty)
    monkeypatch.setattr(demo, "_print", lambda console, table: None)
    monkeypatch.setattr(demo, "_compose", lambda *results, quick: "a page")
    result = CliRunner().invoke(app, ["demo", "--quick", "--output", str(tmp_path), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert Path(content["report"]).read_text() == "a page"
    assert {fit["model"] for fit in content["fits"]} == {entrant.name for entrant in everyone[:2]}
    assert all(0.5 < fit["accuracy"] <= 1 and fit["seconds"] > 0 for fit in content["fits"])
    assert {job["method"] for job in content["matrices"]} >= {"stridiag", "numpy dense"}
    assert all(job["operation"] == "solve" and job["median"] > 0 for job in content["matrices"])
    assert "numpy" in content["facts"]["packages"]


# ---------------------------------------------------------------- ways not to start


def test_output_may_not_be_a_file(tmp_path):
    path = tmp_path / "taken"
    path.write_text("mine")
    result = CliRunner().invoke(app, ["demo", "--quick", "--output", str(path)])
    assert result.exit_code == 1
    assert "must be a folder" in result.output
    assert str(path) in result.output
    assert path.read_text() == "mine"


def test_output_may_not_lie_below_a_file(tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = CliRunner().invoke(app, ["demo", "--quick", "--output", str(tmp_path / "taken" / "below")])
    assert result.exit_code == 1
    assert "cannot write" in result.output


def test_a_link_in_place_of_the_page_may_be_replaced(tmp_path):
    (tmp_path / "index.html").symlink_to(tmp_path, target_is_directory=True)
    demo._require_folder(tmp_path)


def test_folder_that_refuses_files_is_found_before_the_work(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(demo.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(demo, "_learn", lambda *_, **__: pytest.fail("the work has begun"))
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "Permission denied" in result.output


@pytest.mark.parametrize(("module", "extra"), [("sklearn", "sklearn"), ("matplotlib", "plot")])
def test_missing_extra_is_named(tmp_path, monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(app, ["demo", "--quick", "--output", str(tmp_path / "new")])
    assert result.exit_code == 1
    assert f"pip install 'stridiag[{extra}]'" in result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments",
    [["demo", "--fast"], ["demo", "--seed", "-1"], ["demo", "--seed", "x"], ["demo", "--threads", "0"], ["dance"]],
)
def test_wrong_arguments(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_version():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, f"stridiag {stridiag.__version__}")


def test_main_without_typer_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from stridiag.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs typer" in done.stderr
    assert "pip install 'stridiag[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_room_loads_no_command_line():
    code = "import sys, stridiag.cli; print(sorted({'typer', 'rich', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- measuring


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("operation", matrix_demo.OPERATIONS)
def test_errors_of_all_methods_are_small(operation, case):
    measured = matrix_demo.run_job(Job(operation, case, 120), seed=1, repeats=1)
    expected = {matrix_demo.OURS, matrix_demo.DENSE}
    if operation != "pinv":
        expected |= {matrix_demo.SUPERLU} | ({matrix_demo.LAPACK} if case.is_tridiagonal else set())
    assert {m.method for m in measured} == expected
    assert all(m.error < 1e-12 for m in measured)


def test_ill_conditioned_matrices_are_marked(monkeypatch):
    values = np.r_[np.zeros(49), np.ones(49), 1e-17, np.zeros(49)]
    monkeypatch.setattr(Problem, "_draw", lambda *_: values)
    measured = matrix_demo.run_job(Job("solve", Case(1, 1, 0), 50), seed=0, repeats=1)
    assert {m.method for m in measured if m.ill_conditioned} == {matrix_demo.OURS}
    table = tables.matrix_table("solve", measured, full=True)
    assert table.rows[0][1].text == "50*"
    assert "working precision" in table.note


def test_losses_are_told():
    def timed(method, seconds):
        return matrix_demo.Measurement(job, method, timing.Timing.of([seconds, seconds]), 1e-16, ill_conditioned=False)

    job = Job("solve", Case(1, 1, 0), 1000)
    measured = [timed(matrix_demo.OURS, 0.2), timed(matrix_demo.SUPERLU, 0.1)]
    measured += [
        matrix_demo.Measurement(Job(operation, *job[1:]), m.method, m.timing, m.error, ill_conditioned=False)
        for operation in matrix_demo.OPERATIONS[1:]
        for m in reversed(measured)
    ]
    table = tables.matrix_table("solve", measured, full=False)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["speed-up"] == ("0.50", "bad")
    assert "0.50 for (1,1,0)" in tables.matrix_verdict(measured)[0]
    assert "faster in 0, slower in 1 of 1" in tables.matrix_verdict(measured)[0]


def test_dense_random_features_learn_and_repeat():
    data = learning_demo.Digits(1, 0)
    x, y, x_test, y_test = data.split(0)
    assert x.shape[0] == 1347
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-12)
    for units in (200, 1400):
        model = learning_demo.DenseRandomFeatures(units, 1, seed=0).fit(x, y)
        again = learning_demo.DenseRandomFeatures(units, 1, seed=0).fit(x, y)
        np.testing.assert_array_equal(model.predict(x_test), again.predict(x_test))
        assert (model.predict(x_test) == y_test).mean() > 0.94


def test_contestants_have_names_of_their_own_and_true_counts():
    for quick_run in (False, True):
        names = [entrant.name for entrant in learning_demo.contestants(quick=quick_run)]
        assert len(set(names)) == len(names)
    data = learning_demo.Digits(1, 0)
    expected = {
        "dense random features, 1 x 96": (64 * 96 + 96, (64 + 96) * 10 + 10),
        "MLPClassifier (Adam), 1 x 8": (520, 90),
    }
    for entrant in learning_demo.contestants(quick=True):
        if entrant.name in expected:
            score, _ = learning_demo.run_job(learning_demo.Job(entrant, 0), data, seed=0)
            assert (score.hidden, score.readout) == expected.pop(entrant.name)
    assert not expected


def test_patience_and_compiling_calls(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += 2.0

    counts = [
        timing.measure({"a": call}, repeats=4, budget=1.0, **more)["a"].timing.calls
        for more in ({}, {"patience": 3.0}, {"compiling": ["a"]}, {"compiling": ["a"], "patience": 3.0})
    ]
    assert counts == [1, 2, 2, 3]


def test_memory_is_touched_before_each_turn(monkeypatch):
    sizes = []
    monkeypatch.setattr(timing, "_touch_memory", sizes.append)
    timing.measure({"a": lambda: (np.zeros(3), np.zeros((2, 5))), "b": lambda: None}, repeats=1)
    assert sizes == [0, 0, 2 * 8 * 13, 0]


def test_calls_take_turns_until_their_budget_is_spent(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call(name, seconds):
        def run():
            clock[0] += seconds * (10 if name not in log else 1)
            log.append(name)
            return name.upper()

        return run

    timed = timing.measure({"a": call("a", 0.01), "b": call("b", 0.2)}, repeats=2, budget=1.0)
    assert log == ["a", "b", "a", "a"]
    assert timed["a"].value == "A"
    first = timed["a"].timing
    assert (first.first, first.median, first.upper, first.minimum) == pytest.approx((0.1, 0.01, 0.01, 0.01))
    assert first.calls == 3
    # The first call took the whole budget: it is all there is.
    assert (timed["b"].timing.median, timed["b"].timing.calls) == (pytest.approx(2.0), 1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_fitted_slope(exponent):
    sizes = [10, 100, 1000, 10_000]
    assert timing.fitted_slope(sizes, [3.0 * n**exponent for n in sizes]) == pytest.approx(exponent, abs=1e-12)
    assert timing.fitted_slope(sizes[:2], [1.0, 2.0]) is None


def test_atomic_write_replaces_or_leaves_alone(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    report.write_atomically(path, "one")
    report.write_atomically(path, "two ±")
    assert path.read_text(encoding="utf-8") == "two ±"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        report.write_atomically(path, "three")
    assert path.read_text(encoding="utf-8") == "two ±"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_texts_are_escaped():
    page = report.Report("<b>")
    table = tables.Table("a < b", "n & m", ("<i>",), [[tables.Cell("<u>", "bad")]])
    page.table(table)
    page.facts({"<s>": "<em>"})
    page.summary(["<q>"])
    assert {"b", "i", "u", "s", "em", "q"}.isdisjoint(Page(page.html()).tags)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2e-6, "3.2 µs"), (0.00123, "1.23 ms"), (0.4567, "457 ms"), (0.9999, "1.00 s"), (12.3, "12.30 s")],
)
def test_seconds_are_readable(seconds, text):
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1e-9, "1 ns"), (1e-6, "1 µs"), (1e-5, "10 µs"), (0.1, "100 ms"), (10, "10 s")]
)
def test_axis_labels(seconds, text):
    assert plots._duration(seconds) == text
