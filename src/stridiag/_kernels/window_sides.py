"""The inner loops of solves with the factors of `stridiag._kernels.window_lu`.

Right-hand sides are the lanes of `x`: one, in which case vectors run along the rows of a table; or `PANEL`, in which
case they run across. Real double precision is done in vectors, all else by the plain loops, which the tests compare
with.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_form
from stridiag._kernels.vectors import load, splat, store
from stridiag._kernels.window_block import PANEL

__all__ = ["dot_products", "subtract_multiples"]

Array = NDArray[Any]


def dot_products(table: Array, at: int, width: int, x: Array, begin: int, lanes: int, buffer: Array) -> None:
    """Fill ``buffer[: PANEL * lanes]`` with the products of the rows, of `width`, of a table with `x` from `begin` on.

    Of as many vectors, lane by lane, as `lanes` says: 1 or `PANEL`.
    """
    for k in range(PANEL):
        for s in range(lanes):
            total = x[begin * lanes + s] * 0
            for c in range(width):
                total += table[at + k * width + c] * x[(begin + c) * lanes + s]
            buffer[k * lanes + s] = total


def subtract_multiples(table: Array, at: int, width: int, y: Array, row: int, x: Array, begin: int, lanes: int) -> None:
    """Subtract a row of a table times ``y[row]`` from `x` from `begin` on; see `dot_products` for `lanes`."""
    for c in range(width):
        for s in range(lanes):
            x[(begin + c) * lanes + s] -= table[at + c] * y[row * lanes + s]


def _dots_in_vectors(table: Any, at: Any, width: Any, x: Any, begin: Any, lanes: Any, buffer: Any) -> None:
    y = load(x, begin * lanes) * 0.0
    t0, t1, t2, t3, t4, t5, t6, t7 = y, y, y, y, y, y, y, y
    if lanes == 1:
        for c in range(0, width, 8):
            y = load(x, begin + c)
            row = at + c
            t0 = t0 + load(table, row) * y
            t1 = t1 + load(table, row + width) * y
            t2 = t2 + load(table, row + 2 * width) * y
            t3 = t3 + load(table, row + 3 * width) * y
            t4 = t4 + load(table, row + 4 * width) * y
            t5 = t5 + load(table, row + 5 * width) * y
            t6 = t6 + load(table, row + 6 * width) * y
            t7 = t7 + load(table, row + 7 * width) * y
    else:
        for c in range(width):
            y = load(x, (begin + c) * 8)
            row = at + c
            t0 = t0 + splat(table, row) * y
            t1 = t1 + splat(table, row + width) * y
            t2 = t2 + splat(table, row + 2 * width) * y
            t3 = t3 + splat(table, row + 3 * width) * y
            t4 = t4 + splat(table, row + 4 * width) * y
            t5 = t5 + splat(table, row + 5 * width) * y
            t6 = t6 + splat(table, row + 6 * width) * y
            t7 = t7 + splat(table, row + 7 * width) * y
    store(buffer, 0, t0)
    store(buffer, 8, t1)
    store(buffer, 16, t2)
    store(buffer, 24, t3)
    store(buffer, 32, t4)
    store(buffer, 40, t5)
    store(buffer, 48, t6)
    store(buffer, 56, t7)
    if lanes == 1:
        for k in range(PANEL):
            total = buffer[8 * k]
            for c in range(1, 8):
                total += buffer[8 * k + c]
            buffer[k] = total


def _multiples_in_vectors(table: Any, at: Any, width: Any, y: Any, row: Any, x: Any, begin: Any, lanes: Any) -> None:
    if lanes == 1:
        factor = splat(y, row)
        for c in range(0, width, 8):
            store(x, begin + c, load(x, begin + c) - factor * load(table, at + c))
    else:
        factors = load(y, row * 8)
        for c in range(width):
            place = (begin + c) * 8
            store(x, place, load(x, place) - splat(table, at + c) * factors)


@borrowing_form(dot_products)
def _dot_products(table, at, width, x, begin, lanes, buffer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _dots_in_vectors if table.dtype is types.float64 else dot_products


@borrowing_form(subtract_multiples)
def _subtract_multiples(table, at, width, y, row, x, begin, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _multiples_in_vectors if table.dtype is types.float64 else subtract_multiples
