"""The magnitudes of a matrix's values in one pass: whether they are finite, how large, and whether one is zero."""

from __future__ import annotations

from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels.extremes import extreme_bits
from stridiag._kernels.threads import run_ranges

__all__ = ["Survey", "largest_magnitude", "survey"]

Array = NDArray[Any]

# For each type the integers of its width, all bits but that of the sign, and how Python reads the ones as the other.
_BITS: dict[Any, Any] = {
    np.dtype(np.float32): (np.dtype(np.uint32), np.uint32(0x7FFFFFFF), Struct("I").pack, Struct("f").unpack),
    np.dtype(np.float64): (np.dtype(np.uint64), np.uint64(0x7FFFFFFFFFFFFFFF), Struct("Q").pack, Struct("d").unpack),
}

# Numbers that are worth a thread's waking.
_GRAIN = 1 << 18


class Survey(NamedTuple):
    """The largest magnitude, infinite or NaN if a number is, and the smallest."""

    largest: float
    smallest: float

    @property
    def zeros(self) -> bool:
        """Whether a number is zero."""
        return self.smallest == 0.0


def survey(values: Array) -> Survey | None:
    """Return it for real values, C-contiguous, of which there is one at least; None for others."""
    known = _BITS.get(values.dtype)
    if known is None or values.size == 0:
        return None
    integers, clear, pack, unpack = known
    bits: Array = values.view(integers)
    bits = frozen(bits if bits.ndim == 1 else bits.ravel())
    if bits.size < 2 * _GRAIN:
        largest, smallest = extreme_bits(bits, clear)
    else:
        found: list[tuple[Any, Any]] = []
        run_ranges(lambda first, last: found.append(extreme_bits(bits[first:last], clear)), bits.size, grain=_GRAIN)
        largest, smallest = max(most for most, _ in found), min(least for _, least in found)
    return Survey(unpack(pack(largest))[0], unpack(pack(smallest))[0])


def largest_magnitude(values: Array) -> float:
    """Return the largest magnitude of one or more numbers; infinite or NaN if one of them is."""
    known = survey(values)
    return float(np.abs(values).max()) if known is None else known.largest
