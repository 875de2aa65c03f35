"""How large a vector is without its part along another one, in one pass and without a vector in between.

Cost: 4 n operations on real numbers.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["largest_without", "sum_without"]

Array = NDArray[Any]


@kernel
def sum_without(x: Array, y: Array, share: Any) -> Any:
    """Return the sum of the magnitudes of ``x - share * y``; NaN if one of them is not finite."""
    # Two sums, so that one addition need not wait for the other.
    even = odd = abs(x[0]) * 0.0
    for i in range(0, x.size - 1, 2):
        even += abs(x[i] - share * y[i])
        odd += abs(x[i + 1] - share * y[i + 1])
    if x.size % 2 == 1:
        even += abs(x[-1] - share * y[-1])
    total = even + odd
    return total + (total - total)


@kernel
def largest_without(x: Array, y: Array, share: Any) -> Any:
    """Return the largest magnitude of ``x - share * y``; NaN if one of them is not finite."""
    largest = wrong = abs(x[0]) * 0.0
    for i in range(x.size):
        size = abs(x[i] - share * y[i])
        wrong += size - size
        largest = max(largest, size)
    return largest + wrong
