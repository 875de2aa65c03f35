"""Solves with many right-hand sides in registers: room for the kernels that do so, and threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import COMPILES
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES
from stridiag._kernels.wide_vectors import COLUMNS
from stridiag._recycled import recycled
from stridiag.factorization.survey import survey

__all__ = ["TILE", "in_fronts", "reaches", "rows_at", "serve", "shows_finite", "straight", "units"]

Array = NDArray[Any]
Index = NDArray[np.int64]

TILE = 1 << 10
"""Rows that are solved for as soon as they are eliminated: with those that are looked at below, half a second cache."""

# The most rows that are looked at below a tile.
_FARTHEST = 1 << 10

# Rows of a unit of columns, in a system with fill, that are worth a thread's waking.
_GRAIN = 1 << 8


def serve(kind: np.dtype[Any], columns: int) -> bool:
    """Whether so many right-hand sides of a type go in lanes."""
    # Vectors exist in compiled code only.
    return COMPILES and kind.kind == "f" and columns >= BYTES // kind.itemsize


def units(kind: np.dtype[Any], columns: int) -> int:
    """Return how many units so many columns are: `stridiag._kernels.wide_vectors`."""
    return columns // COLUMNS + -(-(columns % COLUMNS) // (BYTES // kind.itemsize))


def reaches(kind: np.dtype[Any], n: int, fill: Callable[[int, int, float, Index], bool]) -> Index | None:
    """Return how far below each tile a solution has to be looked at, (ceil(n / TILE),); None if too far.

    `fill` is told the rows of a tile, the most rows, and the part of the largest number of a solution that is nothing:
    so small a part that not even a decay over many orders of magnitude is cut off where somebody would look.
    """
    reach = np.empty(-(-n // TILE), np.int64)
    return reach if fill(TILE, _FARTHEST, float(np.finfo(kind).eps) ** 4, reach) else None


def in_fronts(run: Callable[[Array, Array, int, int], object], x: Array) -> Array:
    """Return what ``run(x, z, first, last)`` makes of `x`, (n, m), for the units of columns; `x` may be used up."""
    n, m = x.shape
    whole = -(-m // (BYTES // x.itemsize)) * (BYTES // x.itemsize)
    if whole > m:
        # Units that overlap would overwrite what others have done.
        wider = np.zeros((n, whole), x.dtype)
        wider[:, :m] = x
        x = wider
    z = recycled(x.shape, x.dtype)
    run_ranges(lambda first, last: run(x, z, first, last), units(x.dtype, whole), grain=max(1, _GRAIN // max(n, 1)))
    return z if whole == m else np.ascontiguousarray(z[:, :m])


def rows_at(x: Array, places: Index) -> Array:
    """Return rows of `x`, (n, m), at places that are there, as another array."""
    # Were places looked at, rows would be copied twice.
    return x.take(places, axis=0, out=recycled((places.size, x.shape[1]), x.dtype), mode="clip")


def shows_finite(x: Array) -> bool:
    """Whether numbers that others have come to are finite, which shows that so were all of these."""
    found = survey(x)
    return x.size == 0 or (found is not None and found.largest < math.inf)


def straight(x: Array) -> bool:
    """Whether all rows of an array, (n, m), begin at multiples of the bytes of a vector."""
    return x.ctypes.data % BYTES == 0 and x.strides[0] % BYTES == 0
