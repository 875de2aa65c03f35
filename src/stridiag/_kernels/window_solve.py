"""Solves with the factors of `stridiag._kernels.window_lu`, and with their transposes.

Unknowns that are worked on stand where the factors have their numbers: a vector of all places, or of all slots, moves
along the diagonal, and numbers enter and leave it. So there is nothing to be gathered. Unused places and slots meet
zeros.

Right-hand sides are columns of an array (n, m): one, or up to `PANEL` of them as the lanes of vectors. In between they
are in the order of elimination, (n, lanes).

Cost: two operations for each number of L and U, and a division for each pivot.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.window_block import PANEL, clear
from stridiag._kernels.window_sides import dot_products, subtract_multiples

__all__ = ["solve_lower", "solve_lower_transposed", "solve_upper", "solve_upper_transposed"]

Array = NDArray[Any]


@borrowing
def _copy(source: Array, one: int, target: Array, other: int, lanes: int) -> None:
    for s in range(lanes):
        target[other * lanes + s] = source[one * lanes + s]


@kernel
def solve_lower(
    heights: Array,
    row_starts: Array,
    rows: Array,
    lower: Array,
    chosen: Array,
    taken: Array,
    moved: Array,
    until: Array,
    b: Array,
    left: int,
    lanes: int,
    y: Array,
    work: Array,
) -> None:
    """Fill `y`, (n * lanes,), with the inverse of L times the columns of `b`, (n, m), from `left` on.

    `work`: zeros, `lanes` for each place.
    """
    n, at = b.shape[0], 0
    sides = min(lanes, b.shape[1] - left)
    for t in range(heights.size):
        height = heights[t]
        for k in range(until[t], until[t + 1]):
            _copy(work, moved[k, 0], work, moved[k, 1], lanes)
        for r in range(row_starts[t], row_starts[t + 1]):
            for s in range(sides):
                work[taken[r] * lanes + s] = b[rows[r], left + s]
        for k in range(t * PANEL, min(t * PANEL + PANEL, n)):
            _copy(work, chosen[k], y, k, lanes)
            subtract_multiples(lower, at, height, y, k, work, 0, lanes)
            at += height


@kernel
def solve_upper(
    firsts: Array,
    arrivals: Array,
    main: int,
    columns: Array,
    upper: Array,
    pivots: Array,
    y: Array,
    lanes: int,
    x: Array,
    left: int,
    work: Array,
    buffer: Array,
) -> None:
    """Fill the columns of `x`, (n, m), from `left` on with the inverse of U times `y`.

    `main` is the first slot of the ring. `work`: zeros, `lanes` for each slot. `buffer`: ``PANEL ** 2`` numbers.
    """
    n, to, arrived = x.shape[0], upper.size, arrivals.shape[0]
    past = work.size // lanes
    ring = (past - main) // PANEL
    sides = min(lanes, x.shape[1] - left)
    for t in range(firsts.size - 1, -1, -1):
        width, own, first = past - firsts[t], main + PANEL * (t % ring), t * PANEL
        to -= PANEL * width
        clear(work, own * lanes, (own + PANEL) * lanes)
        dot_products(upper, to, width, work, firsts[t], lanes, buffer)
        count = min(PANEL, n - first)
        for k in range(count - 1, -1, -1):
            row = to + k * width + own - firsts[t]
            for s in range(lanes):
                value = y[(first + k) * lanes + s] - buffer[k * lanes + s]
                for j in range(k + 1, count):
                    value -= upper[row + j] * work[(own + j) * lanes + s]
                work[(own + k) * lanes + s] = value / pivots[first + k]
            for s in range(sides):
                x[columns[first + k], left + s] = work[(own + k) * lanes + s]
        while arrived > 0 and arrivals[arrived - 1, 0] == t:
            arrived -= 1
            _copy(work, arrivals[arrived, 2], work, arrivals[arrived, 1], lanes)


@kernel
def solve_upper_transposed(
    firsts: Array,
    arrivals: Array,
    main: int,
    columns: Array,
    upper: Array,
    pivots: Array,
    b: Array,
    left: int,
    lanes: int,
    y: Array,
    work: Array,
) -> None:
    """Fill `y`, (n * lanes,), with the inverse of U's transpose times the columns of `b`, (n, m), from `left` on.

    `work`: zeros, `lanes` for each slot.
    """
    n, to, arrived = b.shape[0], 0, 0
    past = work.size // lanes
    ring = (past - main) // PANEL
    sides = min(lanes, b.shape[1] - left)
    for t in range(firsts.size):
        width, own = past - firsts[t], main + PANEL * (t % ring)
        while arrived < arrivals.shape[0] and arrivals[arrived, 0] == t:
            source = arrivals[arrived, 1]
            _copy(work, source, work, arrivals[arrived, 2], lanes)
            clear(work, source * lanes, (source + 1) * lanes)
            arrived += 1
        for k in range(t * PANEL, min(t * PANEL + PANEL, n)):
            slot = own + k % PANEL
            for s in range(sides):
                work[slot * lanes + s] += b[columns[k], left + s]
            for s in range(lanes):
                y[k * lanes + s] = work[slot * lanes + s] / pivots[k]
            subtract_multiples(upper, to, width, y, k, work, firsts[t], lanes)
            to += width
        clear(work, own * lanes, (own + PANEL) * lanes)


@kernel
def solve_lower_transposed(
    heights: Array,
    lower: Array,
    chosen: Array,
    origin: Array,
    moved: Array,
    until: Array,
    y: Array,
    lanes: int,
    x: Array,
    left: int,
    work: Array,
    buffer: Array,
) -> None:
    """Fill the columns of `x`, (n, m), from `left` on with the inverse of L's transpose times `y`.

    `work`: zeros, `lanes` for each place. `buffer`: ``PANEL ** 2`` numbers.
    """
    n, at = x.shape[0], lower.size
    sides = min(lanes, x.shape[1] - left)
    for t in range(heights.size - 1, -1, -1):
        height, first = heights[t], t * PANEL
        at -= PANEL * height
        count = min(PANEL, n - first)
        for k in range(first, first + count):
            clear(work, chosen[k] * lanes, (chosen[k] + 1) * lanes)
        dot_products(lower, at, height, work, 0, lanes, buffer)
        for k in range(count - 1, -1, -1):
            place = chosen[first + k]
            for s in range(lanes):
                value = y[(first + k) * lanes + s] - buffer[k * lanes + s]
                for j in range(k + 1, count):
                    other = chosen[first + j]
                    value -= lower[at + k * height + other] * work[other * lanes + s]
                work[place * lanes + s] = value
            for s in range(sides):
                x[origin[first + k], left + s] = work[place * lanes + s]
        for k in range(until[t + 1] - 1, until[t] - 1, -1):
            _copy(work, moved[k, 1], work, moved[k, 0], lanes)
