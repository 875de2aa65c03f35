r"""LU of a narrow band, and its solves for one right-hand side, with the candidates held in registers.

The same factors, storage and counts as in `stridiag._kernels.band_lu`, for few sub-diagonals. The candidates of a
step are tuples, whose lengths are known when the kernel is compiled: their loops are unrolled, and the pivot row is
chosen by selecting numbers and not by branches, which a processor cannot foresee. Each pair (kl, ku) is a kernel of
its own, compiled when it is first used; two tuples of zeros carry the widths: `below`, of length kl, and `beside`, of
length kl + ku.

The helpers are plain functions of tuples. Their compiled forms (the functions with an underscore) take a tuple apart
entry by entry, since loops over tuples are not unrolled by the compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lu import factor as factor_rest
from stridiag._kernels.band_lu import solve_lower, solve_upper
from stridiag._kernels.compile import compiled_form, kernel

__all__ = ["factor", "solve"]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]


# ---------------------------------------------------------------------- rows


def load(array: Array, i: int, j: int, like: Row) -> Row:
    """Return the entries (i, j), (i, j + 1), ..., as many as `like` has."""
    return tuple(array[i, j + k] for k in range(len(like)))


@compiled_form(load)
def _load(array: Any, i: Any, j: Any, like: Any) -> Any:
    if len(like) == 0:
        return lambda array, i, j, like: ()
    return lambda array, i, j, like: (array[i, j], *load(array, i, j + 1, like[1:]))


def store(array: Array, i: int, j: int, row: Row) -> None:
    """Write a row to the entries (i, j), (i, j + 1), ..."""
    for k, value in enumerate(row):
        array[i, j + k] = value


@compiled_form(store)
def _store(array: Any, i: Any, j: Any, row: Any) -> Any:
    if len(row) == 0:
        return lambda array, i, j, row: None

    def first_and_rest(array: Any, i: Any, j: Any, row: Any) -> None:
        array[i, j] = row[0]
        store(array, i, j + 1, row[1:])

    return first_and_rest


def select(take: bool, this: Row, other: Row) -> Row:
    """Return one of two rows."""
    return this if take else other


@compiled_form(select)
def _select(take: Any, this: Any, other: Any) -> Any:
    if len(this) == 0:
        return lambda take, this, other: ()
    return lambda take, this, other: (
        this[0] if take else other[0],
        *select(take, this[1:], other[1:]),
    )


def reduce(row: Row, multiplier: Any, pivot: Row) -> Row:
    """Return ``row - multiplier * pivot``."""
    return tuple(entry - multiplier * above for entry, above in zip(row, pivot, strict=True))


@compiled_form(reduce)
def _reduce(row: Any, multiplier: Any, pivot: Any) -> Any:
    if len(row) == 0:
        return lambda row, multiplier, pivot: ()
    return lambda row, multiplier, pivot: (
        row[0] - multiplier * pivot[0],
        *reduce(row[1:], multiplier, pivot[1:]),
    )


# ---------------------------------------------------------------------- candidates


def load_all(array: Array, i: int, below: Widths, like: Row) -> tuple[Row, ...]:
    """Return the rows i, i + 1, ..., as many as `below` has."""
    return tuple(load(array, i + k, 0, like) for k in range(len(below)))


@compiled_form(load_all)
def _load_all(array: Any, i: Any, below: Any, like: Any) -> Any:
    if len(below) == 0:
        return lambda array, i, below, like: ()
    return lambda array, i, below, like: (load(array, i, 0, like), *load_all(array, i + 1, below[1:], like))


def store_all(array: Array, i: int, rows: tuple[Row, ...]) -> None:
    """Write rows i, i + 1, ..."""
    for k, row in enumerate(rows):
        store(array, i + k, 0, row)


@compiled_form(store_all)
def _store_all(array: Any, i: Any, rows: Any) -> Any:
    if len(rows) == 0:
        return lambda array, i, rows: None

    def first_and_rest(array: Any, i: Any, rows: Any) -> None:
        store(array, i, 0, rows[0])
        store_all(array, i + 1, rows[1:])

    return first_and_rest


def largest(rows: tuple[Row, ...], best: Row, size: float, p: int, k: int) -> tuple[Row, float, int]:
    """Return the first row of largest leading entry, that entry's size, and the row's number; `k` is the next one."""
    for row in rows:
        if abs(row[0]) > size:
            best, size, p = row, abs(row[0]), k
        k += 1
    return best, size, p


@compiled_form(largest)
def _largest(rows: Any, best: Any, size: Any, p: Any, k: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, best, size, p, k: (best, size, p)

    def first_and_rest(rows: Any, best: Any, size: Any, p: Any, k: Any) -> Any:
        row = rows[0]
        other = abs(row[0])
        take = other > size
        return largest(rows[1:], select(take, row, best), other if take else size, k if take else p, k + 1)

    return first_and_rest


def exchange(rows: tuple[Row, ...], row: Row, p: int, k: int) -> tuple[Row, ...]:
    """Return the rows, numbered from k, with `row` in the place of number p."""
    return tuple(row if k + place == p else old for place, old in enumerate(rows))


@compiled_form(exchange)
def _exchange(rows: Any, row: Any, p: Any, k: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, row, p, k: ()
    return lambda rows, row, p, k: (select(k == p, row, rows[0]), *exchange(rows[1:], row, p, k + 1))


def multipliers(rows: tuple[Row, ...], pivot: Any, regular: bool) -> Row:
    """Return the leading entries, divided by the pivot if that is possible."""
    return tuple(row[0] / pivot if regular else row[0] for row in rows)


@compiled_form(multipliers)
def _multipliers(rows: Any, pivot: Any, regular: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, pivot, regular: ()
    return lambda rows, pivot, regular: (
        rows[0][0] / pivot if regular else rows[0][0],
        *multipliers(rows[1:], pivot, regular),
    )


def reduce_all(rows: tuple[Row, ...], by: Row, pivot: Row) -> tuple[Row, ...]:
    """Return the reduced rows: without their first entry, and with a zero behind the last."""
    return tuple(
        (*reduce(row[1:], multiplier, pivot[1:]), multiplier * 0) for row, multiplier in zip(rows, by, strict=True)
    )


@compiled_form(reduce_all)
def _reduce_all(rows: Any, by: Any, pivot: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, by, pivot: ()
    return lambda rows, by, pivot: (
        (*reduce(rows[0][1:], by[0], pivot[1:]), by[0] * 0),
        *reduce_all(rows[1:], by[1:], pivot),
    )


@kernel
def factor(rows: Array, lower: Array, pivots: Array, below: Widths, beside: Widths) -> int:
    """See `band_lu.factor`, with ``first == 0``."""
    n, w = rows.shape
    kl = lower.shape[1]
    like = (0, *beside)
    if n <= kl:
        return factor_rest(rows, lower, pivots, 0, -1)
    info = -1
    for i in range(kl):
        for j in range(w - kl + i):
            rows[i, j] = rows[i, j + kl - i]
        for j in range(w - kl + i, w):
            rows[i, j] = rows[i, 0] * 0
    carried = load_all(rows, 0, below, like)
    for i in range(n - kl):
        candidates = (*carried, load(rows, i + kl, 0, like))
        row, size, p = largest(candidates[1:], candidates[0], abs(candidates[0][0]), 0, 1)
        others = exchange(candidates[1:], candidates[0], p, 1)
        # Accepts the good, so that a NaN is reported as well as a zero.
        regular = 0.0 < size < np.inf
        if not regular and info < 0:
            info = i
        by = multipliers(others, row[0], regular)
        pivots[i] = p
        store(rows, i, 0, row)
        store(lower, i, 0, by)
        carried = reduce_all(others, by, row)
    store_all(rows, n - kl, carried)
    return factor_rest(rows, lower, pivots, n - kl, info)


# ---------------------------------------------------------------------- one right-hand side


def subtract(value: Any, array: Array, i: int, j: int, known: Row) -> Any:
    """Return `value` minus the products of the entries (i, j), (i, j + 1), ... with `known`, the last one first."""
    for k in range(len(known) - 1, -1, -1):
        value = value - array[i, j + k] * known[k]
    return value


@compiled_form(subtract)
def _subtract(value: Any, array: Any, i: Any, j: Any, known: Any) -> Any:
    if len(known) == 0:
        return lambda value, array, i, j, known: value
    return lambda value, array, i, j, known: subtract(value, array, i, j + 1, known[1:]) - array[i, j] * known[0]


def take(values: Row, value: Any, p: int, k: int) -> Any:
    """Return number p of the values, which are numbered from k, or `value` if there is no such number."""
    return values[p - k] if p >= k else value


@compiled_form(take)
def _take(values: Any, value: Any, p: Any, k: Any) -> Any:
    if len(values) == 0:
        return lambda values, value, p, k: value
    return lambda values, value, p, k: take(values[1:], values[0] if p == k else value, p, k + 1)


def put(values: Row, value: Any, p: int, k: int) -> Row:
    """Return the values, numbered from k, with `value` in the place of number p."""
    return tuple(value if k + place == p else old for place, old in enumerate(values))


@compiled_form(put)
def _put(values: Any, value: Any, p: Any, k: Any) -> Any:
    if len(values) == 0:
        return lambda values, value, p, k: ()
    return lambda values, value, p, k: (value if k == p else values[0], *put(values[1:], value, p, k + 1))


@kernel
def solve(rows: Array, lower: Array, pivots: Array, x: Array, below: Widths, beside: Widths) -> None:
    """Overwrite the right-hand side `x`, (n, 1), with the solution of ``A x = b``."""
    n, w = rows.shape
    kl = lower.shape[1]
    if n < w:
        solve_lower(lower, pivots, x, 0)
        solve_upper(rows, x, 0)
        return
    carried = load(x.T, 0, 0, below)
    for i in range(n - kl):
        p = int(pivots[i])
        following = carried[1:] + (x[i + kl, 0],)  # noqa: RUF005 - numba's own trouble with stars in loops
        value = take(following, carried[0], p, 1)
        x[i, 0] = value
        carried = reduce(put(following, carried[0], p, 1), value, load(lower, i, 0, below))
    store(x.T, 0, n - kl, carried)
    solve_lower(lower, pivots, x, n - kl)
    solve_upper(rows, x, n - w + 1)
    known = load(x.T, 0, n - w + 1, beside)
    for i in range(n - w, -1, -1):
        value = subtract(x[i, 0], rows, i, 1, known) / rows[i, 0]
        x[i, 0] = value
        known = (value,) + known[:-1]  # noqa: RUF005
