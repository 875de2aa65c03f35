"""Running the cells of the table: all rivals in turns, errors after the clock."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import stridiag
from stridiag.cli.bench.operations import operation_named
from stridiag.cli.bench.problem import Case, Problem, Values
from stridiag.cli.bench.rivals import OURS, YARDSTICK, Rival
from stridiag.cli.bench.table import Cell, Row, targets_of
from stridiag.cli.timing import Timing, limit_threads, measure

__all__ = ["ILL_CONDITIONED", "Record", "Settings", "cells_of", "run_cell"]

ILL_CONDITIONED = "singular to working precision"
# A rival that took this many times the fastest one's time is not run at larger sizes.
HOPELESS = 6.0
_LARGE = 50_000
# Of a first call, in budgets.
_PATIENCE = 10.0
_LARGEST_CHECKED = 2_000_000
# What a rehearsal at a tenth of the size, set-up included, must take besides.
_SECONDS_OF_REHEARSAL = 0.2


class Hopeless(NamedTuple):
    """At what order a rival was too slow, and how many times slower than the fastest."""

    n: int
    times: float


class Record(NamedTuple):
    """One method's part in a cell.

    Attributes
    ----------
    cell : Cell
        Which comparison.
    rival : str
        Name of the method.
    timing : Timing or None
        Seconds; None where it was run for its error only, not at all, or in vain.
    error : float or None
        As the operation says; None where there is nothing to check.
    note : str
        Why there is no time, or what part of the operation was done.
    """

    cell: Cell
    rival: str
    timing: Timing | None
    error: float | None
    note: str = ""


@dataclass
class Settings:
    """How to measure.

    Attributes
    ----------
    rivals : sequence of Rival
        All that can run here.
    threads : int
        The most.
    repeats, budget
        As for `measure`, for each method.
    seed : int
        Of all that is random.
    members : int
        Matrices in a batch.
    """

    rivals: Sequence[Rival]
    threads: int
    repeats: int = 9
    budget: float = 0.6
    seed: int = 0
    members: int = 10_000
    # Operation, case, values -> rivals that were hopeless.
    hopeless: dict[tuple[str, Case, str], dict[str, Hopeless]] = field(default_factory=dict)


class _Trial:
    """A call that remembers why it failed instead of raising."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.failure = ""

    def __call__(self) -> Any:
        if self.failure:
            return None
        try:
            return self._call()
        except Exception as error:  # rivals raise all sorts of things; a row of the table must not stop the others
            self.failure = f"{type(error).__name__}: {error}".partition("\n")[0]
            return None


@lru_cache(maxsize=1)
def _problem(case: Case, n: int, values: Values, seed: int, members: int) -> Problem:
    # Kept for the next operation on the same matrix.
    return Problem(case, n, values, seed, members)


def cells_of(row: Row, threads: int) -> Iterator[tuple[Cell, bool]]:
    """Yield the cells of a row, and whether they are timed or only checked."""
    most = min(row.threads or threads, threads)
    for kind in row.values:
        yield Cell(row.operation, row.case, row.n, kind, most), True
    for kind in row.checked:
        yield Cell(row.operation, row.case, row.n, kind, most), False


def run_cell(cell: Cell, settings: Settings, *, timed: bool = True, alone: bool = False) -> list[Record]:
    """Measure all methods in one cell, ours first.

    Parameters
    ----------
    cell : Cell
        What to do.
    settings : Settings
        How.
    timed : bool
        Whether to repeat; else each method runs once, and only its error is of interest.
    alone : bool
        Whether only ours is measured.
    """
    members = settings.members if cell.operation == "batch" else 1
    key = (cell.operation, cell.case, cell.values)
    if timed and not alone and cell.n >= _LARGE and key not in settings.hopeless:
        settings.hopeless[key] = _rehearse(cell, settings)
    known = settings.hopeless.setdefault(key, {})
    skipped = {} if alone else {name: found for name, found in known.items() if found.n < cell.n}
    rivals = [r for r in settings.rivals if r.name == OURS or not (alone or r.name in skipped)]
    problem = _problem(cell.case, cell.n, cell.values, settings.seed, members)
    with warnings.catch_warnings(record=True) as caught, limit_threads(cell.threads):
        warnings.simplefilter("ignore")
        # Random chains of a million are singular to working precision now and then; that is data, not noise.
        warnings.simplefilter("always", stridiag.IllConditionedWarning)
        records = list(_run(cell, problem, rivals, settings, timed=timed))
    if caught and records:
        # Only ours says so, and comes first.
        records[0] = records[0]._replace(note=ILL_CONDITIONED)
    if timed and not alone and cell.n >= _LARGE:
        _note_hopeless(records, settings, known)
    return records + [
        Record(cell, name, None, None, f"not run: {times:.0f} times slower than the fastest at n = {n:,}")
        for name, (n, times) in skipped.items()
    ]


def _rehearse(cell: Cell, settings: Settings) -> dict[str, Hopeless]:
    """Run every rival once at a tenth of the size; return those that will not do, and how much slower they are.

    The time or the fill of some grows quadratically: one call at full size would take minutes.
    """
    if cell.n // 10 < cell.case.smallest:
        return {}
    problem = _problem(cell.case, cell.n // 10, cell.values, settings.seed, 1)
    spent = {}
    with warnings.catch_warnings(), limit_threads(cell.threads):
        warnings.simplefilter("ignore")
        for rival in settings.rivals:
            # What compiles would be judged by that.
            if not rival.compiles:
                seconds = _seconds_with_preparation(rival, cell.operation, problem)
                if seconds is not None:
                    spent[rival.name] = seconds
    best = min(spent.values(), default=0.0)
    limit = max(HOPELESS * best, _SECONDS_OF_REHEARSAL)
    return {name: Hopeless(problem.n, t / best) for name, t in spent.items() if t > limit}


def _seconds_with_preparation(rival: Rival, operation: str, problem: Problem) -> float | None:
    start = time.perf_counter()
    try:
        prepared = rival.prepare(operation, problem)
        if prepared is None:
            return None
        if prepared.before is not None:
            prepared.before()
        prepared.run()
    except Exception:  # the cell itself tells of failures
        return None
    return time.perf_counter() - start


def _run(cell: Cell, problem: Problem, rivals: Sequence[Rival], settings: Settings, *, timed: bool) -> Iterator[Record]:
    calls: dict[str, _Trial] = {}
    before: dict[str, Callable[[], Any]] = {}
    failed: dict[str, str] = {}
    entrants = {rival.name: rival for rival in rivals}
    for name, rival in entrants.items():
        try:
            prepared = rival.prepare(cell.operation, problem)
        except Exception as error:  # a factorization that fails before the clock
            failed[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
            continue
        if prepared is not None:
            calls[name] = _Trial(prepared.run)
            if prepared.before is not None:
                before[name] = prepared.before
    results = measure(
        calls,
        repeats=settings.repeats if timed else 0,
        budget=settings.budget if timed else math.inf,
        before=before,
        compiling=[name for name, rival in entrants.items() if rival.compiles],
        patience=_PATIENCE,
    )
    operation = operation_named(cell.operation)
    for name, (timing, value) in results.items():
        note = entrants[name].partial.get(cell.operation, "")
        if calls[name].failure:
            failed[name] = calls[name].failure
            continue
        # Checking ten million rows takes far longer than solving; the sizes below are checked.
        nothing = (
            not operation.error_kind
            or cell.n > _LARGEST_CHECKED
            or note in ("factorization only", "factor and solve only")
        )
        inexact = None if nothing else operation.error(problem, value)
        yield Record(cell, name, timing if timed else None, inexact, note)
    for name, why in failed.items():
        yield Record(cell, name, None, None, f"failed: {why}")


def _note_hopeless(records: list[Record], settings: Settings, known: dict[str, Hopeless]) -> None:
    cell = records[0].cell
    aimed = tuple(name for target in targets_of(cell, settings.threads) for name in target.rivals)
    times = {r.rival: r.timing.median for r in records if r.timing and r.rival not in (OURS, YARDSTICK)}
    pivoted = [times[rival.name] for rival in settings.rivals if rival.name in times and rival.pivots]
    if pivoted:
        best = min(pivoted)
        for name, spent in times.items():
            # What a target names is shown at every size.
            if spent > HOPELESS * best and not name.startswith(aimed):
                known[name] = Hopeless(cell.n, spent / best)
