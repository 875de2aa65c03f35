r"""Bands solved for many right-hand sides: the sweeps of `stridiag._kernels.band_lu`, block by block.

As in `stridiag._kernels.column_lanes`: a stretch of a row of the right-hand sides is a few registers, each column a
lane. The sweep forwards keeps the rows that are carried from block to block; the sweep backwards computes a block again
in a buffer that stays in the first cache, and solves there. Where solutions forget what stands far below, it goes tile
by tile, and right-hand sides are read once.

Of narrow bands, the rows that a step needs are tuples of vectors, which stay in registers; the pivot row is chosen by
selecting, since no branch would be foreseen. Of others they stand in the buffer. Both give the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form, borrowing_kernel, kernel
from stridiag._kernels.lane_rows import reduce, zeros_like
from stridiag._kernels.narrow_band import Widths, load, subtract
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_rows import exchanged, picked, read_rows, with_first, with_last, write_rows
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


def _down(
    nothing: Any,
    below: Any,
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
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing
def _new_row(nothing: Any, order: Any, b: Any, i: Any, ahead: Any, at: Any) -> Any:
    """Return the right-hand sides of row i, zeros behind the last one."""
    n, m = b.shape
    if ahead:
        ask_for(nothing, b, order[min(i + _AHEAD, n - 1)] * m + at)
    return load_like(nothing, b, order[i] * m + at) if i < n else nothing


@borrowing_form(_down)
def _compiled_down(
    nothing: Any,
    below: Any,
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
) -> Any:
    def in_memory(
        nothing: Any,
        below: Any,
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
        kl, width = lower.shape[1], lanes_of(nothing)
        for i in range(start, end):
            here = (i - top) * width
            store(work, here + kl * width, _new_row(nothing, order, b, i + kl, ahead, at))
            p = int(pivots[i])
            value = load_like(nothing, work, here + p * width)
            if p > 0:
                store(work, here + p * width, load_like(nothing, work, here))
                store(work, here, value)
            for k in range(1, min(kl, b.shape[0] - 1 - i) + 1):
                place = here + k * width
                store(work, place, load_like(nothing, work, place) - lower[i, k - 1] * value)

    def in_registers(
        nothing: Any,
        below: Any,
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
        kl, width = lower.shape[1], lanes_of(nothing)
        carried = read_rows(nothing, work, (start - top) * width, width, kl, below)
        for i in range(start, end):
            others = with_last(carried, _new_row(nothing, order, b, i + kl, ahead, at))
            p = nothing + pivots[i]
            value = picked(others, p, carried[0], 1)
            store(work, (i - top) * width, value)
            # Rows behind the last one are never chosen.
            carried = reduce(exchanged(others, p, carried[0], 1), value, load(lower, i, 0, below))
        write_rows(work, (end - top) * width, carried)

    return in_registers if len(below) > 0 else in_memory


def _up(
    nothing: Any,
    rows: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    top: Any,
    start: Any,
    end: Any,
    stop: Any,
    written: Any,
    asked: Any,
    solved: Any,
    near: Any,
    at: Any,
    work: Any,
) -> Any:
    """Solve for the rows `end` - 1 ... `start`, where what is from `stop` on counts for nothing.

    Those from `end` on are `near`, and what is returned are those from `start` on; if there is no room for them, they
    stand in `work` from `solved` on, `top` first. `written`: whether solutions go to `x`. `asked`: a row of `b` that
    will be needed, before those behind it; -1 if there is none.
    """
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing_form(_up)
def _compiled_up(
    nothing: Any,
    rows: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    top: Any,
    start: Any,
    end: Any,
    stop: Any,
    written: Any,
    asked: Any,
    solved: Any,
    near: Any,
    at: Any,
    work: Any,
) -> Any:
    def in_memory(
        nothing: Any,
        rows: Any,
        order: Any,
        b: Any,
        x: Any,
        past: Any,
        top: Any,
        start: Any,
        end: Any,
        stop: Any,
        written: Any,
        asked: Any,
        solved: Any,
        near: Any,
        at: Any,
        work: Any,
    ) -> Any:
        m, w, width = b.shape[1], rows.shape[1], lanes_of(nothing)
        last = load_like(nothing, work, solved + (end - top) * width) if end < stop else nothing
        for i in range(end - 1, start - 1, -1):
            here = (i - top) * width
            value = load_like(nothing, work, here)
            # What has been known for longest comes first.
            for j in range(min(w, stop - i) - 1, 1, -1):
                value = value - rows[i, j] * load_like(nothing, work, solved + here + j * width)
            if i + 1 < stop and w > 1:
                value = value - rows[i, 1] * last
            last = over(value, rows[i, 0])
            store(work, solved + here, last)
            if written:
                put(x, order[i] * m + at, last, past)
            if asked >= 0:
                ask_for(nothing, b, order[min(asked + end - 1 - i, b.shape[0] - 1)] * m + at)
        return near

    def in_registers(
        nothing: Any,
        rows: Any,
        order: Any,
        b: Any,
        x: Any,
        past: Any,
        top: Any,
        start: Any,
        end: Any,
        stop: Any,
        written: Any,
        asked: Any,
        solved: Any,
        near: Any,
        at: Any,
        work: Any,
    ) -> Any:
        m, width = b.shape[1], lanes_of(nothing)
        for i in range(end - 1, start - 1, -1):
            value = over(subtract(load_like(nothing, work, (i - top) * width), rows, i, 1, near), rows[i, 0])
            near = with_first(value, near)
            if written:
                put(x, order[i] * m + at, value, past)
            if asked >= 0:
                ask_for(nothing, b, order[min(asked + end - 1 - i, b.shape[0] - 1)] * m + at)
        return near

    return in_registers if len(near) > 0 else in_memory


@borrowing
def _solve_unit(
    nothing: Any,
    below: Any,
    beside: Any,
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
        top = number * block
        _down(nothing, below, lower, pivots, order, b, top, top, top + block, True, at, work)
        move(nothing, work, block * width, 0, kl)
    move(nothing, work, 0, states + (blocks - 1) * kl * width, kl)
    near = zeros_like(beside, nothing)
    for number in range(blocks - 1, -1, -1):
        top, end = number * block, min(number * block + block, n)
        move(nothing, work, states + number * kl * width, 0, kl)
        _down(nothing, below, lower, pivots, order, b, top, top, end, False, at, work)
        asked = top - block + kl if number > 0 else -1
        near = _up(nothing, rows, order, b, x, past, top, top, end, n, True, asked, solved, near, at, work)
        # From the last one on, since they may overlap.
        for k in range(w - 1, -1, -1):
            store(work, solved + (block + k) * width, load_like(nothing, work, solved + k * width))


@borrowing_kernel
def solve_columns(
    below: Widths,
    beside: Widths,
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

    `below`, `beside`: those of `stridiag._kernels.narrow_band`; empty where rows do not stay in registers. Row
    ``order[i]`` of `b`, (n, m), and of `x` belongs to row i of the factors. `past`: whether all rows of `x` begin at
    multiples of 64 bytes. `work`: `room` numbers.
    """
    m = b.shape[1]
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit(wide_zeros(b), below, beside, rows, lower, pivots, order, b, x, past, block, work, at)
        else:
            _solve_unit(zeros(b), below, beside, rows, lower, pivots, order, b, x, past, block, work, at)


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
    below: Any,
    beside: Any,
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
    kl, width = lower.shape[1], lanes_of(nothing)
    for k in range(min(kl, n)):
        store(work, k * width, load_like(nothing, b, order[k] * m + at))
    # Steps that are done; `work` holds their rows, from the tile's first one on, and what is carried.
    done = 0
    for number in range(reach.size):
        top, end = number * tile, min(number * tile + tile, n)
        stop = end + reach[number]
        if done < stop:
            _down(nothing, below, lower, pivots, order, b, top, done, stop, True, at, work)
            done = stop
        near = zeros_like(beside, nothing)
        near = _up(nothing, rows, order, b, x, past, top, end, stop, stop, False, -1, solved, near, at, work)
        _up(nothing, rows, order, b, x, past, top, top, end, stop, True, -1, solved, near, at, work)
        move(nothing, work, (end - top) * width, 0, done + kl - end)


@borrowing_kernel
def solve_columns_at_once(
    below: Widths,
    beside: Widths,
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
    factors = (below, beside, rows, lower, pivots, order, b, x)
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit_at_once(wide_zeros(b), *factors, past, tile, reach, solved * COLUMNS, work, at)
        else:
            _solve_unit_at_once(zeros(b), *factors, past, tile, reach, solved * COLUMNS, work, at)
