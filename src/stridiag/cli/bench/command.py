"""`stridiag bench`: choose, measure, print, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from stridiag.cli.bench.limits import measure_limits
from stridiag.cli.bench.measuring import Record, Settings, cells_of, run_cell
from stridiag.cli.bench.page import compose
from stridiag.cli.bench.problem import VALUES, Case, Values
from stridiag.cli.bench.rivals import OURS, RIVALS, YARDSTICK, Rival, rival_named
from stridiag.cli.bench.show import all_tables
from stridiag.cli.bench.store import as_rows, to_csv
from stridiag.cli.bench.table import Preset, Row, select
from stridiag.cli.errors import CommandError
from stridiag.cli.output import print_json
from stridiag.cli.report import write_atomically
from stridiag.cli.terminal import open_bars, open_console, print_table, print_text, progress
from stridiag.cli.timing import machine, usable_cores

__all__ = ["BenchError", "Options", "results", "run"]


class BenchError(CommandError):
    """The benchmark cannot start, or its files cannot be written; the message says what to do."""


@dataclass(frozen=True)
class Options:
    """What the command line says; empty sequences stand for what the preset has."""

    preset: Preset = "quick"
    operations: Sequence[str] = ()
    cases: Sequence[str] = ()
    sizes: Sequence[int] = ()
    rivals: Sequence[str] = ()
    values: Sequence[str] = ()
    threads: int = field(default_factory=usable_cores)
    repeats: int = 9
    budget: float = 0.6
    members: int = 10_000
    seed: int = 0
    limits: bool = False
    csv: Path | None = None
    html: Path | None = None
    json: bool = False
    quiet: bool = False


def rows_for(options: Options) -> list[Row]:
    """Return the rows that are asked for.

    Raises
    ------
    BenchError
        If something asked for does not exist.
    """
    kinds: list[Values] = [kind for kind in VALUES if kind in options.values]
    unknown = [kind for kind in options.values if kind not in VALUES]
    if unknown:
        raise BenchError(f"there are no {unknown[0]!r} values; choose from {', '.join(VALUES)}")
    try:
        cases = [Case.parse(text) for text in options.cases]
        rows = select(options.preset, operations=options.operations, cases=cases, sizes=options.sizes, values=kinds)
    except ValueError as error:
        raise BenchError(str(error)) from None
    return rows


def rivals_for(names: Sequence[str]) -> tuple[list[Rival], list[str]]:
    """Return the methods that can run, ours always among them, and why others cannot.

    Raises
    ------
    BenchError
        If a name is unknown, or a method that was asked for cannot run.
    """
    try:
        asked = [rival_named(name) for name in names] or list(RIVALS)
    except ValueError as error:
        raise BenchError(str(error)) from None
    reasons = {rival.name: rival.missing() for rival in asked}
    left_out = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    if names and left_out:
        raise BenchError("; ".join(left_out))
    chosen = [rival for rival in RIVALS if rival.name in reasons and not reasons[rival.name]]
    always = [rival for rival in RIVALS if rival.name in (OURS, YARDSTICK) and rival not in chosen]
    return [*always, *chosen], left_out


def results(options: Options, console: Console) -> tuple[list[Record], dict[str, str]]:
    """Measure all that is asked for; return the records, and what they were measured with.

    Raises
    ------
    BenchError
        If something asked for does not exist.
    """
    rows = rows_for(options)
    rivals, left_out = rivals_for(options.rivals)
    settings = Settings(
        rivals, options.threads, options.repeats, options.budget, seed=options.seed, members=options.members
    )
    facts = machine(options.threads)
    packages = dict.fromkeys(f"{r.package} {r.version()}" for r in rivals if r.package)
    facts["rivals"] = ", ".join(packages) or "none but scipy and numpy"
    if left_out:
        facts["left out"] = "; ".join(left_out)
    facts["settings"] = (
        f"preset {options.preset}, up to {options.repeats} turns or {options.budget:g} s for each method, "
        f"batches of {options.members:,}, seed {options.seed}"
    )
    for label, text in facts.items():
        print_text(console, f"{label}: {text}")
    console.print()
    watched = open_bars(quiet=options.quiet)
    queue = [(row, cell, timed) for row in rows for cell, timed in cells_of(row, options.threads)]
    records = []
    with progress(watched) as shown:
        task = shown.add_task("", total=len(queue))
        for row, cell, timed in queue:
            shown.update(task, description=f"{cell.operation} ({cell.case}), n = {cell.n:,}")
            records += run_cell(cell, settings, timed=timed, alone=row.alone)
            shown.advance(task)
    return records, facts


def run(options: Options) -> None:
    """Measure, print, and write the files that are asked for.

    Raises
    ------
    BenchError
        As `Options` are wrong, or files cannot be written.
    """
    _require_packages(options)
    for path in (options.csv, options.html):
        if path is not None and not path.resolve().parent.is_dir():
            raise BenchError(f"cannot write {path}: there is no folder {path.parent}")
    console = open_console(quiet=options.json)
    records, facts = results(options, console)
    limits = measure_limits(options.threads) if options.limits else None
    for table in all_tables(records, limits, options.threads):
        print_table(console, table)
    if options.csv is not None:
        _write(options.csv, to_csv(records, facts), console)
    if options.html is not None:
        _write(options.html, compose(records, facts, limits), console)
    if options.json:
        measured = None if limits is None else asdict(limits)
        print_json({"facts": facts, "records": as_rows(records), "limits": measured})


def _require_packages(options: Options) -> None:
    needed = ["threadpoolctl"] + (["matplotlib"] if options.html is not None else [])
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise BenchError(f"the benchmark needs {' and '.join(missing)}: pip install 'stridiag[bench]'")


def _write(path: Path, text: str, console: Console) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror or error}") from None
    print_text(console, f"Written: {path}", wrap=False)
