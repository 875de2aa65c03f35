r"""Long dominant chains in one pass: each lane eliminates a piece of a chain and a margin of rows on either side.

Where the main diagonal dominates, an unknown hardly feels what is some dozen rows away: back substitution multiplies
an error at the lower end of a window by all quotients :math:`u_j` of the rows between, elimination one at the upper end
by all multipliers. So a *window*, a piece of `piece` rows with `margin` rows more at each end, is solved as if the
chain ended there, and the rows of the piece are kept. All is done while the window is in a cache; the matrix is read
once.

The result is checked, not believed. Within a piece the unknowns satisfy their equations: they are those of one
elimination. Only in the first and in the last row of a piece an unknown of the neighboring window stands where the own
one stood: `agree` tells whether that changes the row's residual by no more than a small part of the magnitudes that it
sums up. Elimination takes pivots as they come, and tests each: it must be at least as large as the entry below it or as
the one beside it. Then no entry of :math:`|L||U|` exceeds a small multiple of the largest one of the matrix. Whether a
pivot fails depends on the matrix alone.

How rows get into lanes and back is in `stridiag._kernels.lane_window_rows`. Rows outside the arrays are those of an
identity matrix.

Cost: 10 operations a row of a window, 5 more for the probe, and the tests.

References: E. Polizzi, A. H. Sameh, "A parallel hybrid banded system solver: the SPIKE algorithm", Parallel Computing
32 (2006); C. C. K. Mikkelsen, M. Manguoglu, "Analysis of the truncated SPIKE algorithm", SIAM J. Matrix Anal. Appl. 30
(2008), for what decays; N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., theorem 9.4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.lane_groups import BEYOND_CACHE, ROWS, aligned, group_size_of, loaded, probed, stored
from stridiag._kernels.lane_steps import entry, given, optional, sign, times
from stridiag._kernels.lane_window_rows import (
    ask_for_room,
    bring,
    bring_back,
    first_place,
    look_ahead,
    squares_inside,
)
from stridiag._kernels.vectors import (
    both,
    choose,
    every,
    less,
    load,
    magnitude,
    multiply_add,
    store,
)

__all__ = ["AHEAD", "BEHIND", "agree", "decay", "plain_solve_windows", "solve_windows"]

Array = NDArray[Any]

AHEAD, BEHIND = 0, 1
"""Of a window: its unknown behind the last row of its piece, and the one before the first."""

# What rounding may add to an entry.
_SLACK = 1.0001

_taken_from = optional(lambda n, m, q: None, lambda n, m, q: n - m * q)
_less = optional(lambda y, u, x: None, lambda y, u, x: y - u * x)
_squared = optional(lambda x, total: None, lambda x, total: multiply_add(x, x, total))


@borrowing
def _larger(x: Any, y: Any) -> Any:
    return choose(less(x, y), y, x)


@borrowing
def _smaller(x: Any, y: Any) -> Any:
    return choose(less(x, y), x, y)


@kernel
def decay(dl: Array, d: Array, du: Array, stride: int, rows: int, block: int) -> float:
    """Return by how much an error shrinks over `block` rows, the worst case over the first `rows` of a chain.

    NaN if a pivot is zero.
    """
    worst = 0.0
    q0, q1 = d[0], du[0]
    for first in range(0, rows - block, block):
        up = down = 1.0
        for row in range(first, first + block):
            m = dl[row * stride] / q0
            up *= abs(q1 / q0)
            down *= abs(m)
            q0, q1 = d[(row + 1) * stride] - m * q1, du[(row + 1) * stride]
        worst = max(worst, up, down)
        if not (up < np.inf and down < np.inf):
            return math.nan
    return worst


@borrowing
def _changes_little(entry_beside: Any, entry: Any, used: Any, own: Any, x: Any, limit: Any) -> Any:
    """Return whether a row's residual is as good with a neighbor's unknown as with its own."""
    # Equal they are, as a rule. Accepts the good, so that NaN is none.
    return used == own or abs(entry_beside * (used - own)) <= limit * (abs(entry * x) + abs(entry_beside * used))


@kernel
def agree(
    dl: Array, d: Array, du: Array, stride: int, piece: int, margin: int, x: Array, borders: Array, limit: float
) -> bool:
    """Return whether neighbors differ, where pieces meet, by no more than `limit` times the magnitudes of a row."""
    n, size = d.size, borders.shape[2]
    for group in range(borders.shape[0]):
        for lane in range(size):
            first = first_place(stride, size, piece, margin, group, lane) + margin * stride
            last = first + (piece - 1) * stride
            before, below = first - stride, last + stride
            if below < n and not _changes_little(
                du[last], d[last], x[below], borders[group, AHEAD, lane], x[last], limit
            ):
                return False
            if (
                before >= 0
                and first < n
                and not _changes_little(dl[before], d[first], x[before], borders[group, BEHIND, lane], x[first], limit)
            ):
                return False
    return True


@kernel
def plain_solve_windows(
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    stride: int,
    piece: int,
    margin: int,
    begin: int,
    end: int,
    x: Array,
    borders: Array,
    largest: Array,
    squares: Array,
) -> None:
    """Do what `solve_windows` does, one window after another."""
    n = d.size
    size = group_size_of(d)
    steps = piece + 2 * margin
    rows = np.empty((steps, 3), d.dtype)
    for group in range(begin, end):
        total = most = 0.0
        trusted = True
        for lane in range(size):
            top = first_place(stride, size, piece, margin, group, lane)
            signed = sign(first_place(1, size, 1, 0, group, lane))
            q0, q1 = 1.0, 0.0
            qb = qz = 0.0
            if 0 <= top < n:
                q0, q1, qb = d[top], (du[top] if top < du.size else 0.0), b[top]
            for row in range(steps):
                at = top + row * stride
                after = at + stride
                n0 = dl[at] if 0 <= at < dl.size else 0.0
                n1, n2, nb = 1.0, 0.0, 0.0
                if 0 <= after < n:
                    n1, n2, nb = d[after], (du[after] if after < du.size else 0.0), b[after]
                if not min(abs(n0), abs(q1)) < abs(q0) * _SLACK:
                    total, trusted = math.nan, False
                most = max(most, abs(n0), abs(q1), abs(n1))
                rows[row, 0], rows[row, 1], rows[row, 2] = q1 / q0, qb / q0, qz / q0
                m = n0 / q0
                q0, q1, qb, qz = n1 - m * q1, n2, nb - m * qb, entry(probe, row) * signed - m * qz
            x1 = z1 = 0.0
            for row in range(steps - 1, margin - 2, -1):
                x1 = rows[row, 1] - rows[row, 0] * x1
                z1 = rows[row, 2] - rows[row, 0] * z1
                at = top + row * stride
                if row == margin + piece:
                    borders[group, AHEAD, lane] = x1
                elif row == margin - 1:
                    borders[group, BEHIND, lane] = x1
                elif row < margin + piece and 0 <= at < n:
                    x[at] = x1
                    total += z1 * z1 + x1 * 0.0
        largest[group] = most if trusted else math.nan
        squares[group] = total


@borrowing
def _step(
    q0: Any, q1: Any, qb: Any, qz: Any, nz: Any, tile: Any, at: Any, part: Any, rows: Any, to: Any, size: Any, most: Any
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Eliminate one column, and keep the pivot row, divided by the pivot.

    Returns the row carried on, whether the pivot can be trusted, and the largest magnitude so far.
    """
    n0, n1 = load(tile, at), load(tile, at + part)
    over = 1.0 / q0
    m = n0 * over
    below, beside = magnitude(n0), magnitude(q1)
    trusted = less(_smaller(below, beside), magnitude(q0) * _SLACK)
    most = _larger(_larger(most, magnitude(n1)), _larger(below, beside))
    store(rows, to, q1 * over)
    store(rows, to + size, qb * over)
    stored(times(qz, over), rows, to + 2 * size)
    q0, q1, qb = n1 - m * q1, load(tile, at + 2 * part), load(tile, at + 3 * part) - m * qb
    return q0, q1, qb, _taken_from(nz, m, qz), trusted, most


@borrowing
def _sum(x: Any, scratch: Any, at: Any, count: Any) -> Any:
    store(scratch, at, x)
    total = scratch[at]
    for lane in range(1, count):
        total += scratch[at + lane]
    return total


_inside = optional(
    lambda probe, n, stride, starts, shift, tile, place, size: 0.0,
    lambda probe, n, stride, starts, shift, tile, place, size: squares_inside(
        n, stride, starts, shift, tile, place, size
    ),
)
_sum_of = optional(lambda x, scratch, at, count: 0.0, lambda x, scratch, at, count: _sum(x, scratch, at, count))


@vector_kernel(plain_solve_windows)
def solve_windows(
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    stride: int,
    piece: int,
    margin: int,
    begin: int,
    end: int,
    x: Array,
    borders: Array,
    largest: Array,
    squares: Array,
) -> None:
    """Solve the windows of the groups `begin` ... `end` - 1, and fill in their pieces of `x`, (n,).

    `dl` and `du` have n or n - `stride` entries; `piece` and `margin` are multiples of a tile's rows; `probe` has as
    many numbers as a window has rows, and stands for a pseudo-random right-hand side. Of each group: ``borders[group]``
    becomes, lane by lane, what `agree` looks at; ``largest[group]`` the largest magnitude of an entry of the
    matrix; ``squares[group]`` the sum of the squares of the probe's solution, NaN if a number of x is not finite or a
    pivot is not to be trusted. Then the groups behind are not solved, and theirs are NaN too.
    """
    size = group_size_of(d)
    half = size // 2
    part = ROWS * size
    steps = piece + 2 * margin
    far = d.size > BEYOND_CACHE
    starts = np.empty(size, np.int64)
    tile = np.empty(4 * part + half, d.dtype)
    place = aligned(tile)
    # The pivot rows of a group.
    width = (2 if probe is None else 3) * size
    rows = np.empty(steps * width + half, d.dtype)
    origin = aligned(rows)
    for group in range(begin, end):
        for lane in range(size):
            starts[lane] = first_place(stride, size, piece, margin, group, lane)
            tile[place + 3 * part + lane] = sign(first_place(1, size, 1, 0, group, lane))
        high = starts[size - 1] + steps * stride
        safe = starts[0] >= 0 and high < min(d.size, du.size)
        signs, signs_other = load(tile, place + 3 * part), load(tile, place + 3 * part + half)
        bring(d, 1.0, stride, starts, 0, half, safe, tile, place, size)
        bring(du, 0.0, stride, starts, 0, half, safe, tile, place + part, size)
        bring(b, 0.0, stride, starts, 0, half, safe, tile, place + 2 * part, size)
        q0, r0 = load(tile, place), load(tile, place + half)
        q1, r1 = load(tile, place + part), load(tile, place + part + half)
        qb, rb = load(tile, place + 2 * part), load(tile, place + 2 * part + half)
        zero = signs * 0.0
        qz, rz = given(probe, zero), given(probe, zero)
        most = zero
        fine = less(zero, np.inf)
        for chunk in range(0, steps, ROWS):
            bring(dl, 0.0, stride, starts, chunk, ROWS, safe, tile, place, size)
            bring(d, 1.0, stride, starts, chunk + 1, ROWS, safe, tile, place + part, size)
            bring(du, 0.0, stride, starts, chunk + 1, ROWS, safe, tile, place + 2 * part, size)
            bring(b, 0.0, stride, starts, chunk + 1, ROWS, safe, tile, place + 3 * part, size)
            for row in range(ROWS):
                if far:
                    look_ahead(dl, d, du, b, stride, starts, chunk, row, piece, size)
                at = place + row * size
                to = origin + (chunk + row) * width
                nz, nz_other = probed(probe, chunk + row, signs), probed(probe, chunk + row, signs_other)
                q0, q1, qb, qz, trusted, most = _step(q0, q1, qb, qz, nz, tile, at, part, rows, to, size, most)
                r0, r1, rb, rz, trusted_other, most = _step(
                    r0, r1, rb, rz, nz_other, tile, at + half, part, rows, to + half, size, most
                )
                fine = both(fine, both(trusted, trusted_other))
        if not every(fine):
            squares[group:end] = np.nan
            largest[group:end] = np.nan
            break
        store(tile, place, most)
        largest[group] = 0.0
        for lane in range(half):
            largest[group] = max(largest[group], tile[place + lane])
        x1, y1 = zero, zero
        z1, w1, total = given(probe, zero), given(probe, zero), given(probe, zero)
        # Zero, and NaN once an entry of x is not finite.
        trace = zero
        # Of groups with rows outside the matrix.
        ends = 0.0
        for top in range(steps - ROWS, margin - ROWS - 1, -ROWS):
            inner = margin <= top < margin + piece
            if far and inner:
                ask_for_room(x, stride, starts, top - ROWS, size)
            # Before the piece one row is enough.
            for row in range(ROWS - 1, -1 if top >= margin else ROWS - 2, -1):
                at = origin + (top + row) * width
                u, v = load(rows, at), load(rows, at + half)
                x1, y1 = load(rows, at + size) - u * x1, load(rows, at + size + half) - v * y1
                z1 = _less(loaded(probe, rows, at + 2 * size), u, z1)
                w1 = _less(loaded(probe, rows, at + 2 * size + half), v, w1)
                store(tile, place + row * size, x1)
                store(tile, place + row * size + half, y1)
                if inner:
                    trace = trace + (x1 + y1) * 0.0
                    if safe:
                        total = _squared(w1, _squared(z1, total))
                    else:
                        stored(z1, tile, place + part + row * size)
                        stored(w1, tile, place + part + row * size + half)
            if top == margin + piece or top < margin:
                which = AHEAD if top > margin else BEHIND
                store(borders, (2 * group + which) * size, x1)
                store(borders, (2 * group + which) * size + half, y1)
            if inner:
                bring_back(x, stride, starts, top, safe, tile, place, size)
                if not safe:
                    ends += _inside(probe, x.size, stride, starts, top, tile, place + part, size)
        squares[group] = ends + _sum(trace, tile, place, half) + _sum_of(total, tile, place, half)
