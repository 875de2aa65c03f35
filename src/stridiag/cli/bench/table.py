"""The one table of cells: which operations, cases and sizes are measured, and what ratios are aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, get_args

from stridiag.cli.bench.operations import OPERATIONS, operation_named
from stridiag.cli.bench.problem import Case, Values

__all__ = ["PRESETS", "Cell", "Preset", "Row", "Target", "rows_of", "select", "targets_of"]

T = TypeVar("T")
Preset = Literal["quick", "paper", "table"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


class Target(NamedTuple):
    """The ratio rival / ours aimed at.

    Attributes
    ----------
    ratio : float
        At least this.
    rivals : tuple of str
        Beginnings of names; the fastest stable one of these counts. Empty for all.
    plus : float
        Seconds by which ours may besides be slower.
    """

    ratio: float
    rivals: tuple[str, ...] = ()
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One operation on matrices of one structure.

    Attributes
    ----------
    operation : str
        Name of an `Operation`.
    case : Case
        Offsets and links.
    n : int
        Order.
    values : tuple of str
        Kinds of values that are timed.
    checked : tuple of str
        Kinds of values with which every method runs once, for its error.
    threads : int
        At most so many; 0 for as many as the run has.
    alone : bool
        Only ours is measured.
    """

    operation: str
    case: Case
    n: int
    values: tuple[Values, ...]
    checked: tuple[Values, ...] = ()
    threads: int = 0
    alone: bool = False


class Cell(NamedTuple):
    """What one comparison is about; `threads` as measured."""

    operation: str
    case: Case
    n: int
    values: Values
    threads: int


_CHAIN, _TEN, _HUNDRED, _THOUSAND = Case(1, 1, 0), Case(1, 1, 10), Case(1, 1, 100), Case(1, 1, 1000)
_STRIDED, _STRIDED_LINKED, _WIDE = Case(8, 8, 0), Case(8, 8, 100), Case(64, 64, 100)
_BAND, _BAND_LINKED, _ODD = Case(2, 3, 0), Case(2, 3, 100), Case(17, 29, 50)
_LINKED = (_TEN, _HUNDRED, _THOUSAND, _STRIDED_LINKED, _WIDE, _BAND_LINKED, _ODD)
_FAST = (_CHAIN, _STRIDED, _BAND, *_LINKED[:-1])
_E2, _E3, _E4, _E5, _E6, _E7 = (10**k for k in range(2, 8))
_KLU, _SUPERLU, _GTSV, _OWN = ("klu",), ("superlu",), ("gtsv",), ("own-solve",)
# Of a method that hands over to SuperLU: its time over a bare call's.
_OVERHEAD = 1.2

# (operation, cases, sizes, targets on all cores)
_TABLE: tuple[tuple[str, tuple[Case, ...], tuple[int, ...], tuple[Target, ...]], ...] = (
    ("factor-solve", (_CHAIN,), (_E5, _E6), (Target(6, _GTSV), Target(2.5, ("tridiag",)))),
    ("factor-solve", (_TEN, _HUNDRED), (_E5,), (Target(15),)),
    ("factor-solve", (_TEN, _HUNDRED), (_E6,), (Target(25),)),
    ("factor-solve", (_THOUSAND,), (_E5,), (Target(6),)),
    ("factor-solve", (_THOUSAND,), (_E6,), (Target(15),)),
    ("factor-solve", (_STRIDED,), (_E5, _E6), (Target(4, _GTSV), Target(50, ("gbsv",)))),
    ("factor-solve", (_STRIDED_LINKED, _WIDE), (_E5,), (Target(15),)),
    ("factor-solve", (_BAND,), (_E5, _E6), (Target(3),)),
    ("factor-solve", (_BAND_LINKED,), (_E5,), (Target(4),)),
    ("factor-solve", (_ODD,), (_E5,), (Target(1 / _OVERHEAD, _SUPERLU),)),
    ("refactor-solve", _LINKED, (_E5,), (Target(3, ("klu-refactor",)),)),
    ("solve", _FAST, (_E4, _E5, _E6), (Target(3),)),
    ("solve-64", _FAST, (_E5,), (Target(5),)),
    ("slogdet", (_CHAIN,), (_E5, _E6), (Target(12),)),
    ("slogdet", (_HUNDRED,), (_E5, _E6), (Target(20),)),
    ("inverse-diagonal", (_CHAIN, _HUNDRED), (_E5,), (Target(1 / 4, _OWN),)),
    ("inverse-pattern", (_CHAIN, _HUNDRED), (_E5,), (Target(1 / 4, _OWN),)),
    ("inverse", (_CHAIN, _TEN, _BAND), (4000,), (Target(60, ("dense",)), Target(3, _KLU))),
    ("inverse-out", (_CHAIN, _TEN, _BAND), (4000,), (Target(6, _KLU),)),
    ("pinv", (_CHAIN, _TEN), (2000,), (Target(50),)),
    ("pinv-apply", (_CHAIN, _TEN), (_E5,), (Target(1 / 10, _OWN),)),
    ("batch", (_CHAIN,), (64, 256), (Target(4, _GTSV),)),
    ("matvec", (_CHAIN, Case(3, 5, 100)), (_E6,), (Target(2),)),
    ("matvec-64", (_CHAIN, Case(3, 5, 100)), (_E6,), (Target(2),)),
    ("small", (_CHAIN,), (100,), (Target(1, _GTSV, 10e-6),)),
    ("small", (_CHAIN,), (1000,), (Target(1, _GTSV),)),
    ("small", (_TEN,), (100, 1000), (Target(4, _KLU),)),
)
_ONE_THREAD = {("factor-solve", _CHAIN, n): (Target(3.5, _GTSV),) for n in (_E5, _E6)}

# Ours by itself: first plans, one thread beside all, and ten times the largest size.
_ALONE = (
    *(Row("plan", case, n, ("dominant",), alone=True) for case in (_CHAIN, _TEN, _ODD) for n in (_E2, _E3, _E5)),
    *(
        Row("factor-solve", case, _E6, ("dominant",), threads=1, alone=True)
        for case in (_TEN, _HUNDRED, _THOUSAND, _STRIDED, _BAND)
    ),
    *(Row(operation, _CHAIN, _E6, ("dominant",), threads=1, alone=True) for operation in ("solve", "slogdet")),
    Row("solve-64", _CHAIN, _E5, ("dominant",), threads=1, alone=True),
    *(Row("factor-solve", case, _E7, ("dominant",), alone=True) for case in (_CHAIN, _HUNDRED, _STRIDED, _BAND)),
    *(Row(operation, _CHAIN, _E7, ("dominant",), alone=True) for operation in ("solve", "slogdet")),
)
_CHECKED = ("factor-solve", "refactor-solve", "solve")
_QUICK_SIZES = (1000, 10_000)
_GROWING = (500, 1000, 2000, 10_000, 100_000, _E6)
_PAPER: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("factor-solve", _GROWING),
    ("slogdet", _GROWING),
    ("inverse", (500, 1000, 2000)),
    ("pinv", (200, 400, 800)),
)
_PAPER_CASES = (_CHAIN, _HUNDRED, _STRIDED_LINKED, _BAND_LINKED)


def rows_of(preset: Preset) -> list[Row]:
    """List the rows of a preset, operation by operation.

    quick: a few small sizes. paper: inverse, determinant, pseudoinverse and solve of random matrices of growing size.
    table: everything that has a target, on all cores and where it matters on one, growth to ten million rows.
    """
    if preset == "quick":
        rows = [
            Row(operation, case, n, ("dominant",))
            for operation in ("factor-solve", "solve", "slogdet")
            for case in (_CHAIN, _HUNDRED, _STRIDED_LINKED, _BAND)
            for n in _QUICK_SIZES
        ]
    elif preset == "paper":
        rows = [
            Row(operation, case, n, ("singular",) if operation == "pinv" else ("random",))
            for operation, sizes in _PAPER
            for case in _PAPER_CASES
            for n in sizes
        ]
    else:
        rows = list(_table())
    order = [operation.name for operation in OPERATIONS]
    return sorted(rows, key=lambda row: order.index(row.operation))


def _table() -> Iterator[Row]:
    for operation, cases, sizes, _ in _TABLE:
        kinds = operation_named(operation).values
        timed = tuple(kind for kind in kinds if kind not in ("constant", "signs"))
        for case in cases:
            # The growth families once a case; not larger, since SuperLU's fill on them grows quadratically.
            if operation in _CHECKED and _E5 in sizes:
                yield Row(operation, case, _E4, (), ("constant", "signs"))
            for n in sizes:
                yield Row(operation, case, n, timed)
                if (operation, case, n) in _ONE_THREAD:
                    yield Row(operation, case, n, timed, threads=1)
    yield from _ALONE


def targets_of(cell: Cell, cores: int) -> tuple[Target, ...]:
    """Return what is aimed at in a cell; nothing where the table does not have it."""
    key = (cell.operation, cell.case, cell.n)
    if cell.threads == 1 and cores > 1:
        return _ONE_THREAD.get(key, ())
    for operation, cases, sizes, targets in _TABLE:
        if operation == cell.operation and cell.case in cases and cell.n in sizes:
            return targets
    return ()


def select(
    preset: Preset,
    *,
    operations: Sequence[str] = (),
    cases: Sequence[Case] = (),
    sizes: Sequence[int] = (),
    values: Sequence[Values] = (),
) -> list[Row]:
    """Take some operations of a preset, or run them with other cases, sizes or values.

    Operations that the preset does not have take the table's cases and sizes, where others are not given.

    Raises
    ------
    ValueError
        If an operation is unknown, a size cannot hold a case, or values do not suit an operation.
    """
    known = [operation_named(name).name for name in operations]
    base = rows_of(preset)
    for name in known:
        if all(row.operation != name for row in base):
            base += [row for row in rows_of("table") if row.operation == name and not (row.alone and row.threads)]
    rows = [row for row in base if not known or row.operation in known]
    if cases or sizes:
        rows = list(_remade(rows, cases, sizes))
    rows = [_with_values(row, values) for row in rows] if values else rows
    for row in rows:
        if row.n < row.case.smallest:
            raise ValueError(f"n = {row.n} cannot hold ({row.case}), which needs n >= {row.case.smallest}")
    return rows


def _remade(rows: list[Row], cases: Sequence[Case], sizes: Sequence[int]) -> Iterator[Row]:
    for operation in dict.fromkeys(row.operation for row in rows):
        mine = [row for row in rows if row.operation == operation]
        kinds = _unique(kind for row in mine for kind in row.values)
        for case in cases or _unique(row.case for row in mine):
            for n in sizes or sorted({row.n for row in mine}):
                yield Row(operation, case, n, kinds, alone=all(row.alone for row in mine))


def _with_values(row: Row, values: Sequence[Values]) -> Row:
    allowed = operation_named(row.operation).values
    wrong = [kind for kind in values if kind not in allowed]
    if wrong and allowed != ("singular",):
        raise ValueError(f"{row.operation} is measured with {', '.join(allowed)} values, not {', '.join(wrong)}")
    kinds = row.values if allowed == ("singular",) else tuple(values)
    return Row(row.operation, row.case, row.n, kinds, (), row.threads, row.alone)


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
