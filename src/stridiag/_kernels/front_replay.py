"""Solving again with QR in fronts: what the steps need stands in the order in which they need it.

In a factorization by `stridiag._kernels.front_householder` the vectors of reflections stand across the rows of a
front, and every row and column of a front is looked up. Here a front's part of the right-hand side is a stretch of one
array, of which it passes the end on to a stretch of its parent's, since rows that are passed on stay together; small
fronts act on theirs by the product of their reflections; and unknowns are in the order of elimination. Sums are taken
in the same order: results are the same, bit by bit.

Storage: ``turns`` holds for each front the product of its reflections, by columns, or the vectors of these below their
leading one, each behind its tau. ``upper`` holds its rows of R: of one or two pivots by rows from the diagonal on, of
more by columns, first those behind the pivots. Both are filled up to whole vectors, and so are the stretches.
``heads``, (fronts, 4), holds the pivots, rows and columns of each front, and where in the array what it passes on goes
to; ``places``, (n,), where the rows of the matrix stand in the array; ``behind`` the unknowns behind the pivots of each
front, ``columns``, (n,), the column of each unknown.

Cost: as `stridiag._kernels.front_householder`, but 2 m m operations to reflect the m rows of a small front.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.dot import LANES
from stridiag._kernels.front_householder import is_rotated, lines_of, reflect_one, rotate, rotation_of
from stridiag._kernels.front_order import (
    COLUMN_START,
    COLUMNS,
    PARENT,
    PARENT_ROW,
    PIVOT_START,
    PIVOTS,
    ROW_START,
    ROWS,
    VALUE_START,
)
from stridiag._kernels.vectors import load, multiply_add, splat, store

__all__ = ["HEAD", "SIZES", "lay_out", "pack", "solve"]

Array = NDArray[Any]

HEAD, SIZES = 4, 5
"""Numbers of a head, and of what `lay_out` counts."""

_BY_ROWS = 2


@kernel
def lay_out(
    fronts: Array, pool: Array, rows: Array, heads: Array, places: Array, behind: Array, columns: Array, sizes: Array
) -> None:
    """Fill what holds no numbers, with room for `pool` in `behind`.

    `sizes`, (5,), become the lengths of `behind`, of `turns`, of `upper`, of the array, and of the work space.
    """
    count = fronts.shape[0]
    step = np.empty(columns.size, np.int64)
    for e in range(SIZES):
        sizes[e] = 0
    for f in range(count):
        pivots, m, width = fronts[f, PIVOTS], fronts[f, ROWS], fronts[f, COLUMNS]
        heads[f, 0] = pivots
        heads[f, 1] = m
        heads[f, 2] = width
        heads[f, 3] = sizes[3]
        for j in range(pivots):
            column = pool[fronts[f, COLUMN_START] + j]
            columns[fronts[f, PIVOT_START] + j] = column
            step[column] = fronts[f, PIVOT_START] + j
        sizes[1] += lines_of(m) * m if is_rotated(pivots, m) else lines_of(pivots * m - pivots * (pivots - 1) // 2)
        both = pivots * width - pivots * (pivots - 1) // 2
        sizes[2] += lines_of(both) if pivots <= _BY_ROWS else lines_of(pivots) * width
        sizes[3] += lines_of(m)
        sizes[4] = max(sizes[4], lines_of(pivots))
    for f in range(count - 1, -1, -1):
        # The first front that has a row comes last.
        for i in range(fronts[f, ROWS]):
            places[rows[fronts[f, ROW_START] + i]] = heads[f, 3] + i
    for f in range(count):
        parent = fronts[f, PARENT]
        heads[f, 3] = heads[parent, 3] + fronts[f, PARENT_ROW] if parent >= 0 else 0
        for k in range(fronts[f, PIVOTS], fronts[f, COLUMNS]):
            behind[sizes[0]] = step[pool[fronts[f, COLUMN_START] + k]]
            sizes[0] += 1


@kernel
def pack(fronts: Array, values: Array, tau: Array, turns: Array, upper: Array) -> None:
    """Fill `turns` and `upper`, which start as zeros."""
    t = u = 0
    for f in range(fronts.shape[0]):
        pivots, m, width, top = fronts[f, PIVOTS], fronts[f, ROWS], fronts[f, COLUMNS], fronts[f, VALUE_START]
        start = fronts[f, PIVOT_START]
        if is_rotated(pivots, m):
            rotation_of(values, top, width, tau, start, pivots, m, turns, t)
            t += lines_of(m) * m
        else:
            place = t
            for j in range(pivots):
                turns[place] = tau[start + j]
                for i in range(j + 1, m):
                    turns[place + i - j] = values[top + i * width + j]
                place += m - j
            t += lines_of(place - t)
        if pivots <= _BY_ROWS:
            place = u
            for j in range(pivots):
                for k in range(j, width):
                    upper[place] = values[top + j * width + k]
                    place += 1
            u += lines_of(place - u)
        else:
            for k in range(width):
                # The pivots' own columns stand behind the others.
                place = u + (k - pivots if k >= pivots else width - pivots + k) * lines_of(pivots)
                for j in range(min(pivots, k + 1)):
                    upper[place + j] = values[top + j * width + k]
            u += lines_of(pivots) * width


@kernel
def solve(heads: Array, behind: Array, turns: Array, upper: Array, sides: Array, z: Array, work: Array) -> None:
    """Solve for `z`, (n,), in the order of elimination; `sides` is the array of the stretches, and used up."""
    # Places are unsigned, or each would be looked at whether it counts from the end. Products are said to be fused with
    # sums: the compiler might make several at once, and round otherwise than the factors that are replayed.
    at = t = u = 0
    for f in range(heads.shape[0]):
        pivots, m = heads[f, 0], heads[f, 1]
        if is_rotated(pivots, m):
            rotate(turns, t, m, sides, at)
            t += lines_of(m) * m
        else:
            place = t
            for j in range(pivots):
                reflect_one(turns, place + 1, turns[place], sides, at + j, at + m)
                place += m - j
            t += lines_of(place - t)
        to = heads[f, 3]
        for i in range(pivots, m):
            sides[np.uint64(to + i - pivots)] = sides[np.uint64(at + i)]
        at += lines_of(m)
    u, k, unknown = upper.size, behind.size, z.size
    for f in range(heads.shape[0] - 1, -1, -1):
        pivots, m, rest = heads[f, 0], heads[f, 1], heads[f, 2] - heads[f, 0]
        k -= rest
        unknown -= pivots
        at -= lines_of(m)
        if pivots == 1:
            u -= lines_of(rest + 1)
            value = sides[at]
            for i in range(rest):
                value = multiply_add(-upper[np.uint64(u + 1 + i)], z[np.uint64(behind[np.uint64(k + i)])], value)
            z[unknown] = value / upper[u]
        elif pivots == 2:
            u -= lines_of(2 * rest + 3)
            value, other = sides[at], sides[at + 1]
            for i in range(rest):
                known = z[np.uint64(behind[np.uint64(k + i)])]
                value = multiply_add(-upper[np.uint64(u + 2 + i)], known, value)
                other = multiply_add(-upper[np.uint64(u + 3 + rest + i)], known, other)
            other /= upper[u + 2 + rest]
            z[unknown + 1] = other
            z[unknown] = (value - upper[u + 1] * other) / upper[u]
        else:
            lines = lines_of(pivots)
            u -= lines * (rest + pivots)
            for line in range(0, lines, LANES):
                one = load(sides, at + line)
                for i in range(rest):
                    one = one - splat(z, behind[np.uint64(k + i)]) * load(upper, u + i * lines + line)
                store(work, line, one)
            for j in range(pivots - 1, -1, -1):
                column = u + (rest + j) * lines
                value = work[np.uint64(j)] / upper[np.uint64(column + j)]
                z[np.uint64(unknown + j)] = value
                for line in range(0, j, LANES):
                    store(work, line, load(work, line) - value * load(upper, column + line))
