"""How large a vector is without its part along another one, in one pass and without a vector in between.

Cost: 4 n operations on real numbers, or one or two more.
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
    # Four at a time, none of which waits for another.
    a = b = c = d = wrong = other = abs(x[0]) * 0.0
    whole = x.size // 4 * 4
    for i in range(0, whole, 4):
        p, q = abs(x[i] - share * y[i]), abs(x[i + 1] - share * y[i + 1])
        r, s = abs(x[i + 2] - share * y[i + 2]), abs(x[i + 3] - share * y[i + 3])
        wrong += (p - p) + (q - q)
        other += (r - r) + (s - s)
        a, b, c, d = max(a, p), max(b, q), max(c, r), max(d, s)
    for i in range(whole, x.size):
        p = abs(x[i] - share * y[i])
        wrong += p - p
        a = max(a, p)
    return max(max(a, b), max(c, d)) + (wrong + other)
