"""Which rows and columns of a tridiagonal matrix are dominant: their diagonal entry as large as the others together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["dominance", "weak_rows"]

Array = NDArray[Any]

# Rows between two looks at whether all have been dominant.
_BLOCK = 256


@kernel
def dominance(dl: Array, d: Array, du: Array) -> tuple[bool, bool]:
    """Whether each diagonal entry is as large as the others of its row together; and of its column."""
    n = d.size
    by_rows = by_columns = n == 1 or (n > 1 and abs(du[0]) <= abs(d[0]) and abs(dl[n - 2]) <= abs(d[n - 1]))
    if n > 1:
        by_columns = abs(dl[0]) <= abs(d[0]) and abs(du[n - 2]) <= abs(d[n - 1])
    for begin in range(1, n - 1, _BLOCK):
        end = min(begin + _BLOCK, n - 1)
        # Slices, whose places the compiler need not look at.
        left, below, mid = dl[begin - 1 : end - 1], dl[begin:end], d[begin:end]
        above, right = du[begin - 1 : end - 1], du[begin:end]
        rows = columns = 0
        for i in range(mid.size):
            size = abs(mid[i])
            rows += abs(left[i]) + abs(right[i]) <= size
            columns += abs(below[i]) + abs(above[i]) <= size
        by_rows = by_rows and rows == mid.size
        by_columns = by_columns and columns == mid.size
        if not (by_rows or by_columns):
            break
    return by_rows, by_columns


@kernel
def weak_rows(dl: Array, d: Array, du: Array, least: float, rows: NDArray[np.int64]) -> int:
    """Find the rows whose diagonal entry exceeds the others together by less than `least`.

    Returns how many there are, and puts them into `rows`; if there are more than it has room for, one more than that.
    """
    n = d.size
    count = 0
    for begin in range(0, n, _BLOCK):
        end = min(begin + _BLOCK, n)
        first, last = max(begin, 1), min(end, n - 1)
        # Slices, whose places the compiler need not look at.
        left, mid, right = dl[first - 1 : last - 1], d[first:last], du[first:last]
        strong = 0
        for i in range(mid.size):
            strong += abs(mid[i]) - (abs(left[i]) + abs(right[i])) >= least
        if strong == mid.size == end - begin:
            continue
        for i in range(begin, end):
            others = (abs(dl[i - 1]) if i > 0 else 0.0) + (abs(du[i]) if i < n - 1 else 0.0)
            if abs(d[i]) - others >= least:
                continue
            if count == rows.size:
                return count + 1
            rows[count] = i
            count += 1
    return count
