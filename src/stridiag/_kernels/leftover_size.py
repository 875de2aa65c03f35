"""How large a vector is without its part along another one, in one pass and without a vector in between; that part.

Real numbers go through explicit vectors, two at a time; complex ones through plain loops.

Cost: 4 n operations on real numbers, or one or two more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import COMPILES, kernel, vector_kernel
from stridiag._kernels.vectors import BYTES, choose, less, load, magnitude, store, total_of

__all__ = ["largest_without", "product", "sum_without"]

Array = NDArray[Any]


def sum_without(x: Array, y: Array, share: Any) -> Any:
    """Return the sum of the magnitudes of ``x - share * y``; NaN if one of them is not finite."""
    found: Any = sum_by_vectors if _in_vectors(x, y) else sum_plainly
    return found(x, y, x.dtype.type(share))


def largest_without(x: Array, y: Array, share: Any) -> Any:
    """Return the largest magnitude of ``x - share * y``; NaN if one of them is not finite."""
    found: Any = largest_by_vectors if _in_vectors(x, y) else largest_plainly
    return found(x, y, x.dtype.type(share))


def product(x: Array, y: Array) -> Any:
    """Return the scalar product, the first vector conjugated: by this thread, which waits for none of a library's."""
    return product_by_vectors(x, y) if _in_vectors(x, y) else np.vdot(x, y)


def _in_vectors(x: Array, y: Array) -> bool:
    return COMPILES and x.dtype.kind == "f" and x.flags.c_contiguous and y.flags.c_contiguous


@kernel
def sum_plainly(x: Array, y: Array, share: Any) -> Any:
    """See `sum_without`."""
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
def largest_plainly(x: Array, y: Array, share: Any) -> Any:
    """See `largest_without`."""
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


@vector_kernel(sum_plainly)
def sum_by_vectors(x: Array, y: Array, share: Any) -> Any:
    """See `sum_without`."""
    lanes = BYTES // x.itemsize
    whole = x.size // (2 * lanes) * (2 * lanes)
    rest = share * 0
    for i in range(whole, x.size):
        rest += abs(x[i] - share * y[i])
    if whole > 0:
        even = odd = load(x, 0) * 0.0
        for i in range(0, whole, 2 * lanes):
            even = even + magnitude(load(x, i) - load(y, i) * share)
            odd = odd + magnitude(load(x, i + lanes) - load(y, i + lanes) * share)
        rest += total_of(even + odd)
    return rest + (rest - rest)


@vector_kernel(largest_plainly)
def largest_by_vectors(x: Array, y: Array, share: Any) -> Any:
    """See `largest_without`."""
    lanes = BYTES // x.itemsize
    whole = x.size // (2 * lanes) * (2 * lanes)
    most = wrong = share * 0
    for i in range(whole, x.size):
        p = abs(x[i] - share * y[i])
        wrong += p - p
        most = max(most, p)
    if whole > 0:
        best = trace = magnitude(load(x, 0)) * 0.0
        for i in range(0, whole, 2 * lanes):
            even = magnitude(load(x, i) - load(y, i) * share)
            odd = magnitude(load(x, i + lanes) - load(y, i + lanes) * share)
            trace = trace + ((even - even) + (odd - odd))
            larger = choose(less(even, odd), odd, even)
            best = choose(less(best, larger), larger, best)
        found = np.empty(lanes, x.dtype)
        store(found, 0, best)
        for lane in range(lanes):
            most = max(most, found[lane])
        wrong += total_of(trace)
    return most + wrong


@kernel
def product_plainly(x: Array, y: Array) -> Any:
    """See `product`; for real numbers."""
    total = x[0] * 0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@vector_kernel(product_plainly)
def product_by_vectors(x: Array, y: Array) -> Any:
    """See `product`."""
    lanes = BYTES // x.itemsize
    whole = x.size // (2 * lanes) * (2 * lanes)
    rest = x[0] * 0
    for i in range(whole, x.size):
        rest += x[i] * y[i]
    if whole > 0:
        even = odd = load(x, 0) * 0.0
        for i in range(0, whole, 2 * lanes):
            even = even + load(x, i) * load(y, i)
            odd = odd + load(x, i + lanes) * load(y, i + lanes)
        rest += total_of(even + odd)
    return rest
