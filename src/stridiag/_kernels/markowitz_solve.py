r"""Solving with the LU of `stridiag._kernels.markowitz`: all that is needed stands in the order in which it is needed.

Unknowns and right-hand sides are in one array, in the order of the pivots, those of the dense rest last. Columns of L
are subtracted as soon as their right-hand side is known, rows of U are summed up when all their unknowns are.

Storage: ``places``, (2, n), where the rows and the columns of the matrix stand among the pivots; ``entries``, the
places of the rows of L's columns, then those of the columns of U's rows, the last row first; ``ends``, where the entries
of each of them end; ``numbers``, the entries of L, the rows of the dense L, those of the dense U, the last one first,
each with the reciprocal of its pivot behind it, and in the same way the rows of U.

Cost: 2 operations for each number, and one for each pivot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_kernel, kernel
from stridiag._kernels.dot import dot
from stridiag._kernels.front_lu import row_step
from stridiag._kernels.markowitz import SIZE, START

__all__ = ["count", "pack", "solve"]

Array = NDArray[Any]


@borrowing_kernel
def count(rows: Array, order: Array, steps: int, lower: int) -> int:
    """Return how many entries there are: `lower` in L, those of rows of U behind them."""
    total = lower
    for step in range(steps):
        total += rows[SIZE, order[0, step]]
    return total


@borrowing_kernel
def pack(
    rows: Array,
    row_columns: Array,
    row_values: Array,
    order: Array,
    pivots: Array,
    lower_ends: Array,
    lower_rows: Array,
    lower: Array,
    ids: Array,
    a: Array,
    places: Array,
    ends: Array,
    entries: Array,
    numbers: Array,
) -> None:
    """Fill `places`, `ends`, `entries` and `numbers` from what `markowitz.eliminate` and `factor_rest` have made.

    `ends`, (2 steps,), `entries` and `numbers`, those of `entries`, of a square and of the pivots, are of that length.
    """
    steps, left = ends.size // 2, ids.shape[1]
    for step in range(steps):
        places[0, order[0, step]] = step
        places[1, order[1, step]] = step
    for k in range(left):
        places[0, ids[0, k]] = steps + k
        places[1, ids[1, k]] = steps + k
    e = lower_ends[steps - 1] if steps else 0
    for k in range(e):
        entries[k] = places[0, np.uint64(lower_rows[k])]
        numbers[k] = lower[k]
    at, step = e, row_step(left)
    for i in range(left):
        for k in range(i):
            numbers[np.uint64(at + k)] = a[np.uint64(i * step + k)]
        at += i
    for i in range(left - 1, -1, -1):
        for k in range(i + 1, left):
            numbers[np.uint64(at + k - i - 1)] = a[np.uint64(i * step + k)]
        at += left - i
        numbers[at - 1] = 1.0 / a[i * step + i]
    for k in range(steps):
        ends[k] = lower_ends[k]
        row = order[0, steps - 1 - k]
        for place in range(rows[START, row], rows[START, row] + rows[SIZE, row]):
            entries[e] = places[1, np.uint64(row_columns[place])]
            numbers[at] = row_values[place]
            e += 1
            at += 1
        numbers[at] = 1.0 / pivots[steps - 1 - k]
        at += 1
        ends[steps + k] = e


@kernel
def solve(places: Array, ends: Array, entries: Array, numbers: Array, b: Array, w: Array, x: Array) -> None:
    """Solve for `x`, (n, m), given `b`; both may be the same. `w`, (n,), is work space."""
    # Unsigned, or each place would be looked at whether it counts from the end.
    e: Any
    n, steps = b.shape[0], ends.size // 2
    left = n - steps
    for side in range(b.shape[1]):
        for i in range(n):
            w[np.uint64(places[0, i])] = b[i, side]
        e = np.uint64(0)
        for step in range(steps):
            value, end = w[step], np.uint64(ends[step])
            while e < end:
                w[np.uint64(entries[e])] -= numbers[e] * value
                e += np.uint64(1)
        at = np.int64(e)
        for i in range(left):
            w[steps + i] -= dot(numbers, at, w, steps, steps + i)
            at += i
        for i in range(left - 1, -1, -1):
            known = dot(numbers, at, w, steps + i + 1, n)
            at += left - i
            w[steps + i] = (w[steps + i] - known) * numbers[at - 1]
        place = np.uint64(at)
        for k in range(steps):
            total, end = w[steps - 1 - k], np.uint64(ends[steps + k])
            while e < end:
                total -= numbers[place] * w[np.uint64(entries[e])]
                place += np.uint64(1)
                e += np.uint64(1)
            w[steps - 1 - k] = total * numbers[place]
            place += np.uint64(1)
        for i in range(n):
            x[i, side] = w[np.uint64(places[1, i])]
