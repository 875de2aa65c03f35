r"""Bands solved for many right-hand sides: the sweeps of `stridiag._kernels.band_lu`, block by block.

As in `stridiag._kernels.column_lanes`: a stretch of a row of the right-hand sides is a few registers, each column a
lane. The sweep forwards keeps the rows that are carried from block to block; the sweep backwards computes a block again
in a buffer that stays in the first cache, and solves there. Where solutions forget what stands far below, it goes tile
by tile, and right-hand sides are read once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, kernel
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_vectors import (
    COLUMNS,
    ask_for,
    column_of,
    lanes_of,
    load_like,
    move,
    over,
    put,
    wide_zeros,
    zeros,
)

__all__ = ["reaches", "room", "room_at_once", "solve_columns", "solve_columns_at_once"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Rows by which the processor is told what will be needed: of stretches of rows it does not see the pattern in time.
_AHEAD = 24
# Rows below a tile that are tried first; then half as many more, and so on.
_NEAREST = 16


def room(n: int, block: int, lower: int, width: int) -> int:
    """Return how many numbers of work space `solve_columns` needs."""
    return COLUMNS * (2 * block + lower + width + lower * -(-n // block))


def room_at_once(tile: int, reach: int, lower: int, width: int) -> int:
    """Return how many numbers of work space `solve_columns_at_once` needs, where `reach` is the farthest."""
    return COLUMNS * (2 * (tile + reach) + lower + width)


@borrowing
def _down(
    nothing: Any,
    lower: Any,
    pivots: Any,
    order: Any,
    b: Any,
    top: Any,
    start: Any,
    end: Any,
    ahead: Any,
    at: Any,
    work: Any,
) -> None:
    """Eliminate the steps `start` ... `end` - 1; `work`, which begins with row `top`, ends with what is carried."""
    n, m = b.shape
    kl, width = lower.shape[1], lanes_of(nothing)
    for i in range(start, end):
        here = (i - top) * width
        if ahead:
            ask_for(nothing, b, order[min(i + kl + _AHEAD, n - 1)] * m + at)
        new = load_like(nothing, b, order[i + kl] * m + at) if i + kl < n else nothing
        store(work, here + kl * width, new)
        p = int(pivots[i])
        value = load_like(nothing, work, here + p * width)
        if p > 0:
            store(work, here + p * width, load_like(nothing, work, here))
            store(work, here, value)
        for k in range(1, min(kl, n - 1 - i) + 1):
            below = here + k * width
            store(work, below, load_like(nothing, work, below) - lower[i, k - 1] * value)


@borrowing
def _solve_unit(
    nothing: Any,
    rows: Any,
    lower: Any,
    pivots: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    block: Any,
    work: Any,
    at: Any,
) -> None:
    """Solve for the columns from `at` on."""
    n, m = b.shape
    w, kl, width = rows.shape[1], lower.shape[1], lanes_of(nothing)
    blocks = -(-n // block)
    # Behind the rows of a block stand solutions, those of a block and the first ones of the block below.
    solved = (block + kl) * width
    states = solved + (block + w) * width
    for k in range(min(kl, n)):
        store(work, k * width, load_like(nothing, b, order[k] * m + at))
    for number in range(blocks - 1):
        move(nothing, work, 0, states + number * kl * width, kl)
        _down(nothing, lower, pivots, order, b, number * block, number * block, number * block + block, True, at, work)
        move(nothing, work, block * width, 0, kl)
    move(nothing, work, 0, states + (blocks - 1) * kl * width, kl)
    near = nothing
    for number in range(blocks - 1, -1, -1):
        top, end = number * block, min(number * block + block, n)
        move(nothing, work, states + number * kl * width, 0, kl)
        _down(nothing, lower, pivots, order, b, top, top, end, False, at, work)
        for i in range(end - 1, top - 1, -1):
            here = (i - top) * width
            value = load_like(nothing, work, here)
            # What has been known for longest comes first.
            for j in range(min(w, n - i) - 1, 1, -1):
                value = value - rows[i, j] * load_like(nothing, work, solved + here + j * width)
            if i + 1 < n and w > 1:
                value = value - rows[i, 1] * near
            near = over(value, rows[i, 0])
            store(work, solved + here, near)
            put(x, order[i] * m + at, near, past)
            ask_for(nothing, b, order[max(top - block + kl + end - 1 - i, 0)] * m + at)
        # From the last one on, since they may overlap.
        for k in range(w - 1, -1, -1):
            store(work, solved + (block + k) * width, load_like(nothing, work, solved + k * width))


@borrowing_kernel
def solve_columns(
    rows: Array,
    lower: Array,
    pivots: Array,
    order: Array,
    b: Array,
    x: Array,
    past: bool,
    block: int,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Fill the columns of `x`, (n, m), of the units `first` ... `last` - 1.

    Row ``order[i]`` of `b`, (n, m), and of `x` belongs to row i of the factors. `past`: whether all rows of `x` begin
    at multiples of 64 bytes. `work`: `room` numbers.
    """
    m = b.shape[1]
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit(wide_zeros(b), rows, lower, pivots, order, b, x, past, block, work, at)
        else:
            _solve_unit(zeros(b), rows, lower, pivots, order, b, x, past, block, work, at)


@kernel
def reaches(rows: Array, tile: int, most: int, limit: float, reach: Index) -> bool:
    """Do for a band what `stridiag._kernels.column_lanes.reaches` does for chains."""
    n, w = rows.shape
    # What becomes of the units of the rows below, by row from here on; the sum over the units is a bound.
    below = np.empty((w, w - 1))
    for number in range(reach.size):
        end = min(number * tile + tile, n)
        count = _NEAREST
        while end + count < n:
            below[:] = 0.0
            for j in range(1, w):
                below[j, j - 1] = 1.0
            for i in range(end + count - 1, end - 1, -1):
                for c in range(w - 1):
                    value = 0.0
                    for j in range(min(w, n - i) - 1, 0, -1):
                        value -= rows[i, j] * below[j, c]
                    below[0, c] = value / rows[i, 0]
                    for j in range(w - 1, 0, -1):
                        below[j, c] = below[j - 1, c]
            forgotten = True
            for j in range(1, w):
                total = 0.0
                for c in range(w - 1):
                    total += abs(below[j, c])
                # Accepts the good, so that NaN does not.
                forgotten = forgotten and total <= limit
            if forgotten:
                break
            count += count // 2
            if count > most:
                return False
        reach[number] = min(count, n - end)
    return True


@borrowing
def _solve_unit_at_once(
    nothing: Any,
    rows: Any,
    lower: Any,
    pivots: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    tile: Any,
    reach: Any,
    solved: Any,
    work: Any,
    at: Any,
) -> None:
    """Solve for the columns from `at` on; solutions of a tile, and below, stand in `work` from `solved` on."""
    n, m = b.shape
    w, kl, width = rows.shape[1], lower.shape[1], lanes_of(nothing)
    for k in range(min(kl, n)):
        store(work, k * width, load_like(nothing, b, order[k] * m + at))
    # Steps that are done; `work` holds their rows, from the tile's first one on, and what is carried.
    done = 0
    for number in range(reach.size):
        top, end = number * tile, min(number * tile + tile, n)
        stop = end + reach[number]
        if done < stop:
            _down(nothing, lower, pivots, order, b, top, done, stop, True, at, work)
            done = stop
        near = nothing
        for i in range(stop - 1, end - 1, -1):
            here = (i - top) * width
            value = load_like(nothing, work, here)
            # What has been known for longest comes first.
            for j in range(min(w, stop - i) - 1, 1, -1):
                value = value - rows[i, j] * load_like(nothing, work, solved + here + j * width)
            if i + 1 < stop and w > 1:
                value = value - rows[i, 1] * near
            near = over(value, rows[i, 0])
            store(work, solved + here, near)
        for i in range(end - 1, top - 1, -1):
            here = (i - top) * width
            value = load_like(nothing, work, here)
            # What has been known for longest comes first.
            for j in range(min(w, stop - i) - 1, 1, -1):
                value = value - rows[i, j] * load_like(nothing, work, solved + here + j * width)
            if i + 1 < stop and w > 1:
                value = value - rows[i, 1] * near
            near = over(value, rows[i, 0])
            store(work, solved + here, near)
            put(x, order[i] * m + at, near, past)
        move(nothing, work, (end - top) * width, 0, done + kl - end)


@borrowing_kernel
def solve_columns_at_once(
    rows: Array,
    lower: Array,
    pivots: Array,
    order: Array,
    b: Array,
    x: Array,
    past: bool,
    tile: int,
    reach: Index,
    solved: int,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Do what `solve_columns` does, tile by tile: `reach` is filled by `reaches`.

    `work`: `room_at_once` numbers, solutions after `solved` rows.
    """
    m = b.shape[1]
    factors = (rows, lower, pivots, order, b, x)
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit_at_once(wide_zeros(b), *factors, past, tile, reach, solved * COLUMNS, work, at)
        else:
            _solve_unit_at_once(zeros(b), *factors, past, tile, reach, solved * COLUMNS, work, at)
