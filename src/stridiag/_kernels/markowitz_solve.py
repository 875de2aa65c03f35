r"""Solving with the LU of `stridiag._kernels.markowitz`: all that is needed stands in the order in which it is needed.

Unknowns and right-hand sides are in one array, in the order of the pivots, those of the dense rest last. Outside of
that columns are short, of L as of U: what counts is not how many numbers they have but how often a loop ends where it
was not expected to. So all their entries are taken in one loop, each with two places, where it is multiplied from and
where it is subtracted. Rows of U are divided by their pivots. The dense rest is taken in blocks of `LANES` rows, each a
vector, from which columns are subtracted; its order is filled up to whole blocks.

Storage: ``places``, (2, n), where the rows and the columns of the matrix stand among the pivots; ``sizes``, the pivots
outside of the dense rest, the entries of L there, and the numbers of the dense rest; ``entries``, of L by columns, of U
by columns, the last one first, the place of the column times `PLACES`, plus that of the row; ``numbers``, the blocks of
the dense L and, the last one first, those of U, the reciprocals of all pivots, and the numbers of the entries. A block
has its columns beside the pivots' own, then these but one, in the order in which they are known.

Cost: 2 operations for each number, and one for each pivot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form, borrowing_kernel, kernel
from stridiag._kernels.dot import LANES
from stridiag._kernels.front_lu import row_step
from stridiag._kernels.markowitz import SIZE, START
from stridiag._kernels.vectors import load, splat, store

__all__ = ["LANES", "PLACES", "count", "dense_size", "pack", "solve"]

Array = NDArray[Any]

PLACES = 1 << 32
"""More than there are places."""


def dense_size(left: int) -> int:
    """Return how many numbers a dense rest of that order has, filled up to whole blocks."""
    blocks = -(-left // LANES)
    # Of L and of U, for each pair of blocks, and in each block all columns but one.
    return LANES * (LANES * blocks * (blocks - 1) + 2 * (LANES - 1) * blocks)


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
    work: Array,
    sizes: Array,
    places: Array,
    entries: Array,
    numbers: Array,
) -> None:
    """Fill `places`, `entries` and `numbers` from what `markowitz.eliminate` and `factor_rest` have made.

    `sizes` is given; `numbers`, the pivots filled up to whole blocks, those of `entries` and of the dense rest, are of
    that length, and zero. `work`, (n,), is work space.
    """
    steps, left = sizes[0], ids.shape[1]
    reciprocals, at = sizes[2], sizes[2] + steps + -(-left // LANES) * LANES
    for step in range(steps):
        places[0, order[0, step]] = step
        places[1, order[1, step]] = step
        numbers[reciprocals + step] = 1.0 / pivots[step]
    for k in range(left):
        places[0, ids[0, k]] = steps + k
        places[1, ids[1, k]] = steps + k
    e = 0
    for step in range(steps):
        while e < lower_ends[step]:
            entries[e] = step * PLACES + places[0, np.uint64(lower_rows[e])]
            numbers[at + e] = lower[e]
            e += 1
    _pack_dense(left, a, numbers, reciprocals + steps)
    # Where the columns of U begin.
    for k in range(work.size):
        work[k] = 0
    for step in range(steps):
        begin = rows[START, order[0, step]]
        for place in range(begin, begin + rows[SIZE, order[0, step]]):
            work[np.uint64(places[1, np.uint64(row_columns[place])])] += 1
    for k in range(work.size - 1, -1, -1):
        many = work[k]
        work[k] = e
        e += many
    for step in range(steps):
        begin = rows[START, order[0, step]]
        for place in range(begin, begin + rows[SIZE, order[0, step]]):
            column = np.uint64(places[1, np.uint64(row_columns[place])])
            to = work[column]
            entries[to] = column * np.uint64(PLACES) + np.uint64(step)
            numbers[at + to] = row_values[place] * numbers[reciprocals + step]
            work[column] = to + 1


@borrowing
def _pack_dense(left: int, a: Array, numbers: Array, reciprocals: int) -> None:
    step, whole, at = row_step(left), -(-left // LANES) * LANES, 0
    for k in range(left):
        numbers[reciprocals + k] = 1.0 / a[k * step + k]
    for start in range(0, whole, LANES):
        for k in range(start + LANES - 1):
            for row in range(max(start, k + 1), min(start + LANES, left)):
                numbers[np.uint64(at + row - start)] = a[np.uint64(row * step + k)]
            at += LANES
    for start in range(whole - LANES, -1, -LANES):
        for j in range(whole - start - 1):
            # Those behind the block, then its own, the last one first.
            behind = whole - start - LANES
            k = start + LANES + j if j < behind else start + LANES - 1 - (j - behind)
            if k < left:
                for row in range(start, min(start + LANES, k)):
                    numbers[np.uint64(at + row - start)] = a[np.uint64(row * step + k)] * numbers[reciprocals + row]
            at += LANES


def _subtract_block(numbers: Array, at: int, w: Array, start: int, first: int, last: int, upward: bool) -> None:
    """Subtract columns `first` to `last` - 1 from a block of `w`, then its own: from below, if `upward`, or above."""
    for k in range(first, last):
        for i in range(LANES):
            w[start + i] -= w[k] * numbers[at + i]
        at += LANES
    for j in range(LANES - 1):
        value = w[start + LANES - 1 - j] if upward else w[start + j]
        for i in range(LANES):
            w[start + i] -= value * numbers[at + i]
        at += LANES


@borrowing_form(_subtract_block)
def _subtract_block_form(numbers, at, w, start, first, last, upward):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _subtract_block_in_vectors if w.dtype is types.float64 else _subtract_block


def _subtract_block_in_vectors(numbers: Any, at: Any, w: Any, start: Any, first: Any, last: Any, upward: Any) -> None:
    own = load(w, start)
    one = own - own
    two, three = one, one
    k = first
    # A block has a whole number of blocks beside it. Four sums, which do not wait for one another.
    while k < last:
        own = own - splat(w, k) * load(numbers, at)
        one = one - splat(w, k + 1) * load(numbers, at + LANES)
        two = two - splat(w, k + 2) * load(numbers, at + 2 * LANES)
        three = three - splat(w, k + 3) * load(numbers, at + 3 * LANES)
        at += 4 * LANES
        k += 4
    own = (own + one) + (two + three)
    for j in range(LANES - 1):
        store(w, start, own)
        own = own - splat(w, start + LANES - 1 - j if upward else start + j) * load(numbers, at)
        at += LANES
    store(w, start, own)


@borrowing
def _subtract(entries: Array, first: int, last: int, numbers: Array, at: int, w: Array) -> None:
    shift = np.uint64(at - first)
    e: Any
    # Unsigned, or each place would be looked at whether it counts from the end.
    for e in range(np.uint64(first), np.uint64(last)):
        entry = np.uint64(entries[e])
        w[entry & np.uint64(PLACES - 1)] -= numbers[e + shift] * w[entry >> np.uint64(32)]


@kernel
def solve(places: Array, sizes: Array, entries: Array, numbers: Array, b: Array, w: Array, x: Array) -> None:
    """Solve for `x`, (n, m), given `b`; both may be the same. `w`, (n + `LANES`,), is work space."""
    n, steps, lower = b.shape[0], sizes[0], sizes[1]
    end = steps + -(-(n - steps) // LANES) * LANES
    at_pivots, behind = sizes[2], sizes[2] + end
    for side in range(b.shape[1]):
        for i in range(n):
            w[np.uint64(places[0, i])] = b[i, side]
        for i in range(n, end):
            w[i] = 0.0
        _subtract(entries, 0, lower, numbers, behind, w)
        at = 0
        for start in range(steps, end, LANES):
            _subtract_block(numbers, at, w, start, steps, start, False)
            at += LANES * (start - steps + LANES - 1)
        for step in range(end):
            w[step] *= numbers[at_pivots + step]
        for start in range(end - LANES, steps - 1, -LANES):
            _subtract_block(numbers, at, w, start, start + LANES, end, True)
            at += LANES * (end - start - 1)
        _subtract(entries, lower, entries.size, numbers, behind + lower, w)
        for i in range(n):
            x[i, side] = w[np.uint64(places[1, i])]
