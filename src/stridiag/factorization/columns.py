"""Solves with many right-hand sides in lanes: room for the kernels of `stridiag._kernels.column_lanes`, and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import column_lanes
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES

__all__ = ["BUFFER", "aligned", "in_units", "serve", "units"]

Array = NDArray[Any]

BUFFER = 1 << 18
"""Bytes of the buffer of one thread, which should stay in the second cache with what passes through it."""
# Units of columns that one call takes: rows of half a kilobyte.
_UNITS = 8
# Numbers that are worth a thread's waking.
_GRAIN = 1 << 15


def serve(kind: np.dtype[Any], columns: int) -> bool:
    """Whether so many right-hand sides of a type go in lanes."""
    # Vectors exist in compiled code only.
    compiled = hasattr(column_lanes.solve_columns, "nopython_signatures")
    return compiled and kind.kind == "f" and columns >= BYTES // kind.itemsize


def units(kind: np.dtype[Any], columns: int) -> int:
    """Return how many vectors it takes to hold a row."""
    return -(-columns // (BYTES // kind.itemsize))


def aligned(shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return an array, not filled, whose address is a multiple of the bytes of a vector."""
    count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    room = np.empty(count + BYTES, np.uint8)
    first = -room.ctypes.data % BYTES
    return room[first : first + count].view(kind).reshape(shape)


def in_units(
    run: Callable[[Array, int, int, int], None],
    kind: np.dtype[Any],
    n: int,
    columns: int,
    room: Callable[[int], int],
) -> None:
    """Call ``run(work, lanes, first, last)`` for pieces of all units, with ``room(width)`` numbers of work."""
    lanes = BYTES // kind.itemsize
    count = units(kind, columns)

    def piece(first: int, last: int) -> None:
        for begin in range(first, last, _UNITS):
            end = min(begin + _UNITS, last)
            run(aligned((room((end - begin) * lanes),), kind), lanes, begin, end)

    run_ranges(piece, count, grain=max(1, _GRAIN // max(n * lanes, 1)))
