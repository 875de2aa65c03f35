"""Memory for large results, at hand when threads begin to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.threads import run_ranges
from stridiag._recycled import LARGE_PAGE, LARGEST, SMALLEST, recycled, result

__all__ = ["ALIGNMENT", "aligned", "fresh", "unfilled"]

Array = NDArray[Any]

ALIGNMENT = 64
"""Bytes of a vector, and of a line of the caches."""

_PAGE = 1 << 12


def aligned(shape: tuple[int, ...], kind: np.dtype[Any], make: Callable[[int, Any], Array] = np.empty) -> Array:
    """Return an array, not filled, that begins at a multiple of the bytes of a vector, in memory that `make` gives."""
    return _at_multiple(ALIGNMENT, shape, kind, make)


def fresh(shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return `aligned` with its memory at hand: that of an earlier result where there is one.

    The operating system clears a large page when it is first written to, on the thread that does so; threads that write
    to the same pages would wait for one another. At both ends of a block that does not consist of whole large pages it
    hands out hundreds of small ones, which takes a third longer in all.
    """
    count = math.prod(shape) * kind.itemsize
    x = result(shape, kind, _touch)
    if x is None and SMALLEST <= count <= LARGEST:
        x = recycled(shape, kind)
    if x is None:
        x = _at_multiple(LARGE_PAGE if count >= 8 * LARGE_PAGE else ALIGNMENT, shape, kind, np.empty)
        if count >= 4 * LARGE_PAGE:
            _touch(x.reshape(-1).view(np.uint8))
    return x


def unfilled(shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Return an array, not filled: in the memory of an earlier one unless it is small, else an ordinary one."""
    x = result(shape, kind, _touch)
    return recycled(shape, kind) if x is None else x


def _at_multiple(of: int, shape: tuple[int, ...], kind: np.dtype[Any], make: Callable[[int, Any], Array]) -> Array:
    count = math.prod(shape) * kind.itemsize
    # Whole units, so that large pages end where the memory does.
    room = make(-(-count // of) * of + of, np.uint8)
    first = -room.ctypes.data % of
    return room[first : first + count].view(kind).reshape(shape)


def _touch(memory: NDArray[np.uint8]) -> None:
    """Write to each page, on several threads."""

    def touch(first: int, last: int) -> None:
        memory[first * LARGE_PAGE : last * LARGE_PAGE : _PAGE] = 0

    run_ranges(touch, -(-memory.size // LARGE_PAGE))
