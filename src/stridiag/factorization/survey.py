"""The magnitudes of a matrix's values in one pass: are they finite, how large, and is there a zero among them?"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.extremes import extreme_bits

__all__ = ["Survey", "survey"]

Array = NDArray[Any]

# For each type the integers of its width, all bits but that of the sign, and the two letters of `struct`.
_BITS = {
    np.dtype(np.float32): (np.dtype(np.uint32), np.uint32(0x7FFFFFFF), "I", "f"),
    np.dtype(np.float64): (np.dtype(np.uint64), np.uint64(0x7FFFFFFFFFFFFFFF), "Q", "d"),
}


class Survey(NamedTuple):
    """The largest magnitude, infinite or NaN if a number is; and whether one is zero."""

    largest: float
    zeros: bool


def survey(values: Array) -> Survey | None:
    """Return it for real values, C-contiguous, of which there is one at least; None for others."""
    known = _BITS.get(values.dtype)
    if known is None or values.size == 0:
        return None
    integers, clear, letter, number = known
    largest, smallest = extreme_bits(values.view(integers).ravel(), clear)
    return Survey(struct.unpack(number, struct.pack(letter, largest))[0], smallest == 0)
