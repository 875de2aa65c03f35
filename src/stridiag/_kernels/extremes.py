r"""The largest and the smallest magnitude in one pass over the bits, whatever the numbers are.

Without its sign bit the pattern of a binary floating-point number, read as an integer, grows with the magnitude;
infinity stands above all numbers, and NaN above infinity. So one comparison of integers a number finds the largest
magnitude, tells whether all of them are finite, and vectorizes, as comparisons that must mind NaN do not.

Reference: IEEE 754-2019, section 3.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["MAGNITUDE", "extreme_bits", "magnitudes"]

Array = NDArray[Any]

MAGNITUDE = np.uint64(0x7FFFFFFFFFFFFFFF)
"""The bits of a number of double precision but for its sign."""


@kernel
def extreme_bits(bits: Array, clear: Any) -> tuple[Any, Any]:
    """Return the largest and the smallest of the integers ``bits & clear``, one or more of them."""
    largest = bits[0] & clear
    smallest = largest
    for i in range(bits.size):
        size = bits[i] & clear
        largest = max(largest, size)
        smallest = min(smallest, size)
    return largest, smallest


@kernel
def magnitudes(values: Array) -> tuple[Any, Any]:
    """Return the largest and the smallest magnitude of numbers of double precision, as numbers.

    The largest is infinite or NaN if one of them is.
    """
    found = np.empty(2, np.uint64)
    found[0], found[1] = extreme_bits(values.view(np.uint64), MAGNITUDE)
    numbers = found.view(np.float64)
    return numbers[0], numbers[1]
