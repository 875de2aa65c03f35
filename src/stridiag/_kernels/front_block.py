r"""The inner loops of dense elimination in a front: rows less multiples of other rows of the same array.

.. math:: a_{ic} \leftarrow a_{ic} - \sum_{t} a_{it}\, a_{tc}

The array is flat, row i begins at ``i step``. Vectors of eight numbers run over the end of a row by up to `MARGIN`
numbers, so every row must be followed by as many that belong to nothing.

Cost: two operations for each number and each t. Real double precision is done in vectors, four rows and two vectors at
a time, so that a number loaded serves two to four multiplications; all else by the plain loops, which the tests compare
with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_form
from stridiag._kernels.vectors import load, splat, store

__all__ = ["MARGIN", "PANEL", "eliminate_window", "subtract_products"]

Array = NDArray[Any]

PANEL = 16
"""Columns of a window: two vectors."""

MARGIN = 16
"""Numbers behind a row that may be overwritten."""

_BLOCK = 96
"""Columns of a block."""


def _products_plainly(a: Array, step: int, first: int, last: int, begin: int, end: int, left: int, right: int) -> None:
    for i in range(first, last):
        row = i * step
        for t in range(begin, end):
            factor, other = a[row + t], t * step
            for c in range(left, right):
                a[row + c] -= factor * a[other + c]


def _products_in_vectors(a: Any, step: int, first: int, last: int, begin: int, end: int, left: int, right: int) -> None:
    # The other rows' part in a block of columns stays in the first cache.
    for start in range(left, right, _BLOCK):
        stop = min(start + _BLOCK, right)
        i = first
        while i + 4 <= last:
            row0 = i * step
            row1, row2, row3 = row0 + step, row0 + 2 * step, row0 + 3 * step
            for c in range(start, stop, 16):
                p0, p1 = load(a, row0 + c), load(a, row0 + c + 8)
                q0, q1 = load(a, row1 + c), load(a, row1 + c + 8)
                r0, r1 = load(a, row2 + c), load(a, row2 + c + 8)
                s0, s1 = load(a, row3 + c), load(a, row3 + c + 8)
                other = begin * step + c
                for t in range(begin, end):
                    u0, u1 = load(a, other), load(a, other + 8)
                    factor = splat(a, row0 + t)
                    p0 = p0 - factor * u0
                    p1 = p1 - factor * u1
                    factor = splat(a, row1 + t)
                    q0 = q0 - factor * u0
                    q1 = q1 - factor * u1
                    factor = splat(a, row2 + t)
                    r0 = r0 - factor * u0
                    r1 = r1 - factor * u1
                    factor = splat(a, row3 + t)
                    s0 = s0 - factor * u0
                    s1 = s1 - factor * u1
                    other += step
                store(a, row0 + c, p0)
                store(a, row0 + c + 8, p1)
                store(a, row1 + c, q0)
                store(a, row1 + c + 8, q1)
                store(a, row2 + c, r0)
                store(a, row2 + c + 8, r1)
                store(a, row3 + c, s0)
                store(a, row3 + c + 8, s1)
            i += 4
        while i < last:
            row0 = i * step
            for c in range(start, stop, 16):
                p0, p1 = load(a, row0 + c), load(a, row0 + c + 8)
                other = begin * step + c
                for t in range(begin, end):
                    factor = splat(a, row0 + t)
                    p0 = p0 - factor * load(a, other)
                    p1 = p1 - factor * load(a, other + 8)
                    other += step
                store(a, row0 + c, p0)
                store(a, row0 + c + 8, p1)
            i += 1


def _window_plainly(a: Array, step: int, first: int, last: int, k: int, left: int, buffer: Array) -> None:
    inverse = 1 / a[k * step + k]
    for i in range(first, last):
        row = i * step
        factor = a[row + k] * inverse
        a[row + k] = factor
        for c in range(PANEL):
            a[row + left + c] -= factor * buffer[c]


def _window_in_vectors(a: Any, step: int, first: int, last: int, k: int, left: int, buffer: Array) -> None:
    inverse = 1 / a[k * step + k]
    u0, u1 = load(buffer, 0), load(buffer, 8)
    for i in range(first, last):
        row = i * step
        # Unsigned, or it would be looked at whether the place counts from the end.
        place = np.uint64(row + k)
        factor = a[place] * inverse
        store(a, row + left, load(a, row + left) - factor * u0)
        store(a, row + left + 8, load(a, row + left + 8) - factor * u1)
        # Last: a number that has just been written keeps a vector that it is part of waiting.
        a[place] = factor


def subtract_products(a: Array, step: int, first: int, last: int, begin: int, end: int, left: int, right: int) -> None:
    """Subtract, from rows ``first ... last - 1``, their multiples of the rows ``begin ... end - 1``.

    In the columns ``left ... right - 1``; factors stand in the columns ``begin ... end - 1``.
    """
    _products_plainly(a, step, first, last, begin, end, left, right)


def eliminate_window(a: Array, step: int, first: int, last: int, k: int, left: int, buffer: Array) -> None:
    """Divide column k in rows ``first ... last - 1`` by the pivot in row k, and eliminate.

    Multiples of `buffer` are subtracted from the window, `PANEL` columns from `left`.
    """
    _window_plainly(a, step, first, last, k, left, buffer)


@borrowing_form(subtract_products)
def _subtract_products(a, step, first, last, begin, end, left, right):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _products_in_vectors if a.dtype is types.float64 else _products_plainly


@borrowing_form(eliminate_window)
def _eliminate_window(a, step, first, last, k, left, buffer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _window_in_vectors if a.dtype is types.float64 else _window_plainly
