"""`stridiag demo`: both halves of the library on real input, printed and written as a page."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from stridiag.cli.errors import CommandError
from stridiag.cli.output import print_json
from stridiag.cli.terminal import open_bars, open_console, print_text, progress
from stridiag.cli.terminal import print_table as _print

__all__ = ["DemoError", "run"]

_PAGE = "index.html"
# What each extra brings and the demo needs.
_EXTRAS = {"sklearn": "sklearn", "threadpoolctl": "sklearn", "matplotlib": "plot"}


class DemoError(CommandError):
    """The demo cannot start; the message says what to do."""


def run(output: Path, *, quick: bool, seed: int, threads: int, as_json: bool = False, quiet: bool = False) -> Path:
    """Train, measure, print and write; return the path of the page.

    Parameters
    ----------
    output : Path
        Folder for the page.
    quick : bool
        Tiny sizes.
    seed : int
        Of splits, networks and matrices.
    threads : int
        For BLAS and kernels.
    as_json : bool
        Print one JSON object instead of tables and sentences.
    quiet : bool
        Show no progress.

    Raises
    ------
    DemoError
        If an extra is missing or the page cannot be written, before any work is done; or if writing fails later.
    """
    start = time.perf_counter()
    _require_extras()
    _require_folder(output)
    from stridiag.cli import timing
    from stridiag.cli.report import write_atomically

    console, watched = open_console(quiet=as_json), open_bars(quiet=quiet)
    with timing.limit_threads(threads):
        scores, layers, kernels = _learn(console, watched, quick=quick, seed=seed)
        measured, more_kernels = _race(console, watched, quick=quick, seed=seed, threads=threads)
        facts = timing.machine(threads)
    facts["kernels"] = (
        f"{kernels + more_kernels:.1f} s to compile them or load them from numba's cache, before the clock"
    )
    facts["settings"] = f"seed {seed}{', --quick: tiny sizes, the numbers mean nothing' if quick else ''}"
    page = output / _PAGE
    text = _compose(scores, layers, measured, facts, quick=quick)
    try:
        write_atomically(page, text)
    except OSError as error:
        raise DemoError(f"cannot write {page}: {error.strerror or error}") from None
    if as_json:
        print_json({"report": page, "facts": facts, **_told(scores, measured)})
    print_text(console, f"Report: {page}   ({time.perf_counter() - start:.0f} s in all)", wrap=False)
    return page


def _require_extras() -> None:
    missing = [name for name in _EXTRAS if find_spec(name) is None]
    if missing:
        extras = ",".join(dict.fromkeys(_EXTRAS[name] for name in missing))
        raise DemoError(f"the demo needs {' and '.join(missing)}: pip install 'stridiag[{extras}]'")


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permissions promise too much (read-only mounts, full disks): writing tells.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"stridiag")
    except FileExistsError:
        raise DemoError(f"--output must be a folder, but {folder} is a file") from None
    except OSError as error:
        raise DemoError(f"cannot write to {folder}: {error.strerror or error}") from None
    page = folder / _PAGE
    # A link is replaced, whatever it leads to.
    if page.is_dir() and not page.is_symlink():
        raise DemoError(f"cannot write {page}: a folder has that name; remove it or choose another --output")


def _learn(console: Console, watched: Console, *, quick: bool, seed: int) -> tuple[Any, Any, float]:
    """Fit all contestants on all splits; return scores, the layers of a structured network, seconds of warming."""
    from stridiag.cli import learning_demo, tables

    entrants = learning_demo.contestants(quick=quick)
    queue = learning_demo.jobs(entrants)
    scores: tables.Scores = {entrant: [] for entrant in entrants}
    layers: Any = ()
    with progress(watched) as shown:
        task = shown.add_task("compiling kernels", total=len(queue))
        begin = time.perf_counter()
        learning_demo.warm(seed)
        kernels = time.perf_counter() - begin
        data = learning_demo.Digits(max(entrant.splits for entrant in entrants), seed)
        for job in queue:
            shown.update(task, description=f"digits: {job.contestant.name}")
            score, fitted = learning_demo.run_job(job, data, seed=seed)
            scores[job.contestant].append(score)
            if job.contestant is entrants[0] and not layers:
                layers = fitted.network_.layers
            shown.advance(task)
        shown.update(task, description="digits")
    _print(console, tables.accuracy_table(scores))
    print_text(console, tables.learning_verdict(scores))
    console.print()
    return scores, layers, kernels


def _race(console: Console, watched: Console, *, quick: bool, seed: int, threads: int) -> tuple[Any, float]:
    """Measure all matrix operations; return the measurements and the seconds of warming."""
    from stridiag.cli import matrix_demo, tables

    queue = matrix_demo.jobs(quick=quick)
    measured: list[matrix_demo.Measurement] = []
    with progress(watched) as shown:
        task = shown.add_task("compiling kernels", total=len(queue))
        kernels = matrix_demo.warm()
        for job in queue:
            shown.update(task, description=f"{job.operation} ({job.case}), n = {job.n:,}")
            limit = matrix_demo.budget(quick=quick)
            measured += matrix_demo.run_job(job, seed=seed, budget=limit, threads=threads)
            shown.advance(task)
        shown.update(task, description="matrices")
    for operation in matrix_demo.OPERATIONS:
        _print(console, tables.matrix_table(operation, measured, full=False))
    for sentence in tables.matrix_verdict(measured):
        print_text(console, sentence)
    console.print()
    return measured, kernels


def _told(scores: Any, measured: Any) -> dict[str, Any]:
    """Return what was measured, as JSON has it: a fit or a method in a job each."""
    fits = [{"model": entrant.name, **score._asdict()} for entrant, found in scores.items() for score in found]
    jobs = [
        {
            "operation": m.job.operation,
            **m.job.case._asdict(),
            "n": m.job.n,
            "method": m.method,
            **asdict(m.timing),
            "error": m.error,
            "ill_conditioned": m.ill_conditioned,
        }
        for m in measured
    ]
    return {"fits": fits, "matrices": jobs}


def _compose(scores: Any, layers: Any, measured: Any, facts: dict[str, str], *, quick: bool) -> str:
    from stridiag.cli import matrix_demo, plots, tables
    from stridiag.cli.report import Report

    page = Report("stridiag: what it does on this machine")
    page.paragraph(
        "Sparse-plus-tridiagonal matrices with strided diagonals: a main diagonal, one super-diagonal at offset p, "
        "one sub-diagonal at offset q, and a few links anywhere. Networks made of them learn without gradient "
        "descent; their matrix algebra is direct and, but for dense results, about linear in n. All numbers on this "
        "page were measured by this run.",
        kind="quiet",
    )
    page.summary([tables.learning_verdict(scores), *tables.matrix_verdict(measured)])
    page.heading("Learning by pseudoinverse")
    page.table(tables.accuracy_table(scores), beside=plots.accuracy_figure(scores))
    page.paragraph(tables.picture_sentence(scores), kind="note")
    page.heading("Structure of the layers", level=3)
    page.paragraph(
        "Each line is a diagonal of weights, the main one in another colour; all other places are zero. "
        + tables.structure_sentence(layers)
    )
    page.figures(plots.structure_figures(layers), kind="three")
    page.heading("Matrix algebra")
    page.paragraph(
        "Random matrices, links at random places. Entries are standard normal for solve, slogdet and inverse. For pinv "
        "the main diagonal is another: it dominates its rows, but for its ends, which are altered so that the rank is "
        "n - 2. Each method starts from the form of the matrix that it likes best and is timed to the answer. "
        "Methods take turns, up to five each after a first call, and times are medians over those; a method whose "
        f"first call takes {matrix_demo.budget(quick=quick):g} s or more makes no other. Exponents in the legends are "
        "fitted to the three largest sizes. SuperLU's determinant is measured without its sign. Our times include the "
        "checks of the input, in solve and inverse those of the condition, and the plan, made afresh each time."
    )
    for operation in matrix_demo.OPERATIONS:
        page.table(tables.matrix_table(operation, measured, full=True))
        page.figures(plots.time_figures(operation, measured))
    page.heading("How this was measured")
    page.facts(facts)
    return page.html()
