"""What the records of a cell say: the fastest stable rival, ratios, targets met or missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stridiag.cli.bench.measuring import Record
from stridiag.cli.bench.rivals import OURS, YARDSTICK, rival_named
from stridiag.cli.bench.table import Cell, Target, targets_of

__all__ = ["STABLE", "Comparison", "Verdict", "comparisons", "is_stable", "unpivoted", "worst_errors"]

# A rival counts as stable in a cell below this: ten times what is aimed at for backward errors.
STABLE = 1e-14
# Operations whose error is no backward error, and grows with the condition: there all rivals count.
_BACKWARD = ("factor-solve", "refactor-solve", "solve", "solve-64", "batch", "small")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what became of it; `ratio` is None where no such rival ran stably."""

    target: Target
    rival: str
    ratio: float | None
    met: bool | None


@dataclass(frozen=True)
class Comparison:
    """All methods in one cell.

    Attributes
    ----------
    cell : Cell
        Which.
    ours : Record
        Our part.
    rivals : tuple of Record
        The others, the fastest first, those without a time last.
    verdicts : tuple of Verdict
        On the cell's targets.
    """

    cell: Cell
    ours: Record
    rivals: tuple[Record, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def best(self) -> Record | None:
        """The fastest stable rival."""
        return next((r for r in self.rivals if r.timing and is_stable(r)), None)

    @property
    def timed(self) -> bool:
        """Whether times were measured."""
        return self.ours.timing is not None

    def ratio(self, rival: Record) -> float:
        """Return a rival's median over ours."""
        assert rival.timing is not None
        assert self.ours.timing is not None
        return rival.timing.median / self.ours.timing.median


def is_stable(record: Record) -> bool:
    """Return whether the error, where it is a backward error, is small in this cell."""
    if record.cell.operation not in _BACKWARD or record.error is None:
        return True
    return record.error < STABLE


def comparisons(records: Iterable[Record], cores: int) -> list[Comparison]:
    """Group records by cell, in the order in which the cells come; cells without our part are left out."""
    cells: dict[Cell, list[Record]] = {}
    for record in records:
        cells.setdefault(record.cell, []).append(record)
    result = []
    for cell, found in cells.items():
        ours = next((r for r in found if r.rival == OURS), None)
        if ours is None:
            continue
        rivals = sorted(
            (r for r in found if r is not ours), key=lambda r: r.timing.median if r.timing else float("inf")
        )
        made = Comparison(cell, ours, tuple(rivals), ())
        verdicts = tuple(_verdict(made, target) for target in targets_of(cell, cores)) if made.timed else ()
        result.append(Comparison(cell, ours, tuple(rivals), verdicts))
    return result


def _verdict(comparison: Comparison, target: Target) -> Verdict:
    named = [
        r
        for r in comparison.rivals
        if r.timing and is_stable(r) and (r.rival.startswith(target.rivals) if target.rivals else r.rival != YARDSTICK)
    ]
    if not named or comparison.ours.timing is None:
        return Verdict(target, "", None, None)
    best = named[0]
    assert best.timing is not None
    allowed = best.timing.median / target.ratio + target.plus
    return Verdict(target, best.rival, comparison.ratio(best), comparison.ours.timing.median <= allowed)


def worst_errors(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Return for each method the worst backward error with each kind of values."""
    result: dict[str, dict[str, float]] = {}
    for record in records:
        if record.error is not None and record.cell.operation in _BACKWARD:
            row = result.setdefault(record.rival, {})
            kind = record.cell.values
            row[kind] = max(row.get(kind, 0.0), record.error)
    return result


def unpivoted(name: str) -> bool:
    """Return whether a method takes pivots as they come."""
    return not rival_named(name).pivots
