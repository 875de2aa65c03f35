"""`stridiag demo`: both halves of the library on real input, printed and written as a page."""

from __future__ import annotations

import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from stridiag.cli.tables import Table

__all__ = ["DemoError", "run"]

_STYLES = {"": "", "good": "green", "bad": "red", "quiet": "dim"}
# What each extra brings and the demo needs.
_EXTRAS = {"sklearn": "sklearn", "threadpoolctl": "sklearn", "matplotlib": "plot"}


class DemoError(Exception):
    """The demo cannot start; the message says what to do."""


def run(output: Path, *, quick: bool, seed: int, threads: int) -> Path:
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

    Raises
    ------
    DemoError
        If an extra is missing or the folder cannot be written, before any work is done; or if writing fails later.
    """
    start = time.perf_counter()
    _require_extras()
    _require_folder(output)
    from stridiag.cli import timing
    from stridiag.cli.report import write_atomically

    # Where nobody watches (a pipe, a log), 80 columns would break the tables.
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    with timing.limit_threads(threads):
        scores, layers, kernels = _learn(console, quick=quick, seed=seed)
        measured, more_kernels = _race(console, quick=quick, seed=seed)
        facts = timing.machine(threads)
    facts["kernels"] = (
        f"{kernels + more_kernels:.1f} s to compile them or load them from numba's cache, before the clock"
    )
    facts["settings"] = f"seed {seed}{', --quick: tiny sizes, the numbers mean nothing' if quick else ''}"
    page = output / "index.html"
    text = _compose(scores, layers, measured, facts)
    try:
        write_atomically(page, text)
    except OSError as error:
        raise DemoError(f"cannot write {page}: {error.strerror or error}") from None
    console.print(f"Report: [bold]{page}[/bold]   ({time.perf_counter() - start:.0f} s in all)")
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


def _learn(console: Console, *, quick: bool, seed: int) -> tuple[Any, Any, float]:
    """Fit all contestants on all splits; return scores, the layers of a structured network, seconds of warming."""
    from stridiag.cli import learning_demo, tables

    entrants = learning_demo.contestants(quick=quick)
    queue = learning_demo.jobs(entrants)
    scores: tables.Scores = {entrant: [] for entrant in entrants}
    layers: Any = ()
    with _progress(console) as progress:
        task = progress.add_task("compiling kernels", total=len(queue))
        begin = time.perf_counter()
        learning_demo.warm(seed)
        kernels = time.perf_counter() - begin
        data = learning_demo.Digits(max(entrant.splits for entrant in entrants), seed)
        for job in queue:
            progress.update(task, description=f"digits: {job.contestant.name}")
            score, fitted = learning_demo.run_job(job, data, seed=seed)
            scores[job.contestant].append(score)
            if job.contestant is entrants[0] and not layers:
                layers = fitted.network_.layers
            progress.advance(task)
        progress.update(task, description="digits")
    _print(console, tables.accuracy_table(scores))
    console.print(tables.learning_verdict(scores))
    console.print()
    return scores, layers, kernels


def _race(console: Console, *, quick: bool, seed: int) -> tuple[Any, float]:
    """Measure all matrix operations; return the measurements and the seconds of warming."""
    from stridiag.cli import matrix_demo, tables

    queue = matrix_demo.jobs(quick=quick)
    measured: list[matrix_demo.Measurement] = []
    with _progress(console) as progress:
        task = progress.add_task("compiling kernels", total=len(queue))
        kernels = matrix_demo.warm()
        for job in queue:
            progress.update(task, description=f"{job.operation}: p, q, links = {job.case}, n = {job.n:,}")
            measured += matrix_demo.run_job(job, seed=seed, budget=0.02 if quick else 0.3)
            progress.advance(task)
        progress.update(task, description="matrices")
    for operation in matrix_demo.OPERATIONS:
        _print(console, tables.matrix_table(operation, measured, full=False))
    for sentence in tables.matrix_verdict(measured):
        console.print(sentence)
    console.print()
    return measured, kernels


def _compose(scores: Any, layers: Any, measured: Any, facts: dict[str, str]) -> str:
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
    few = min(len(marks) for marks in scores.values())
    page.paragraph(
        f"The picture adds other widths, on {few} of the splits; bars are one standard deviation. Parameters that were "
        "drawn count as much as those that were learned.",
        kind="note",
    )
    page.heading("Structure of the layers", level=3)
    page.paragraph(
        "Each line is a diagonal of weights, the main one in another colour; all other places are zero. Strides grow "
        "from layer to layer, so that a few layers lead from every input to every unit."
    )
    page.figures(plots.structure_figures(layers), kind="three")
    page.heading("Matrix algebra")
    page.paragraph(
        "Random matrices, standard normal entries, links at random places. Each method starts from the form of the "
        "matrix that it likes best and is timed to the answer. Methods take turns, up to five each after a first "
        "call, and times are medians over those; a call of more than 0.3 s is made once. Exponents in the legends are "
        "fitted to the three largest sizes. SuperLU's determinant is measured without its sign. Our times include the "
        "checks of the input, and in solve and inverse those of the condition; a plan, once made, is kept."
    )
    for operation in matrix_demo.OPERATIONS:
        page.table(tables.matrix_table(operation, measured, full=True))
        page.figures(plots.time_figures(operation, measured))
    page.heading("How this was measured")
    page.facts(facts)
    return page.html()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<52}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _print(console: Console, table: Table) -> None:
    shown = RichTable(title=table.title, caption=table.note, box=box.SIMPLE_HEAD, title_justify="left")
    shown.title_style, shown.caption_justify = "bold", "left"
    for k, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if k else "left", no_wrap=True)
    for k, row in enumerate(table.rows):
        if k in table.groups:
            shown.add_section()
        shown.add_row(*(f"[{_STYLES[cell.tone]}]{cell.text}[/]" if cell.tone else cell.text for cell in row))
    console.print(shown)
    console.print()
