"""Dense results that kernels write in vectors: where these begin, and when they pass the caches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import COMPILES

__all__ = ["numbers_beyond", "panel_start", "passes_caches", "writes_panels"]

Array = NDArray[Any]

# Smaller results stay in a cache, where they will be read.
_CACHE = 1 << 22
# From this order on, vectors.
_VECTORS_FROM = 32


def writes_panels(out: Array) -> bool:
    """Whether a result, (n, n), is for vectors to write."""
    return COMPILES and out.dtype == np.float64 and out.shape[0] >= _VECTORS_FROM and bool(out.flags.c_contiguous)


def numbers_beyond(out: Array) -> int:
    """Return how many numbers an array begins behind a multiple of 64 bytes."""
    return out.ctypes.data // out.itemsize % 8


def passes_caches(out: Array) -> bool:
    """Whether to write past the caches: an array that none of them can hold, whose numbers lie where they should."""
    return out.nbytes > _CACHE and out.ctypes.data % out.itemsize == 0


def panel_start(out: Array) -> tuple[int, bool]:
    """Return the column where the first panel begins, 0 or less, and whether panels are written past the caches.

    That takes rows that all begin alike.
    """
    begin = -numbers_beyond(out)
    return begin, passes_caches(out) and out.shape[1] % 8 == 0
