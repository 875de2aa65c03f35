r"""Bands with links solved for many right-hand sides: `stridiag._kernels.band_condensation`, block by block.

As in `stridiag._kernels.band_columns`: a stretch of a row of the right-hand sides is a few registers, each column a
lane. The sweep downwards keeps the rows that a segment leaves over; the one upwards goes through it once more, keeps
what is carried from block to block, and computes the blocks again from the last one on, in a buffer that stays in a
cache. The rows that are carried, and the solutions below, are tuples of vectors, which stay in registers.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.band_condensation import (
    FIRST,
    LAST,
    LEFT_COLUMNS,
    LEFT_ROWS,
    PLACE,
    RIGHT_COLUMNS,
    RIGHT_ROWS,
)
from stridiag._kernels.compile import borrowing, borrowing_kernel
from stridiag._kernels.lane_rows import dot, reduce
from stridiag._kernels.narrow_band import load, subtract
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_rows import read_rows, with_first, with_last, write_rows
from stridiag._kernels.wide_vectors import (
    COLUMNS,
    ask_for,
    column_of,
    lanes_of,
    load_like,
    move,
    over,
    put,
    units_of,
    wide_zeros,
    zeros,
)

__all__ = ["condense_columns", "expand_columns", "room"]

Array = NDArray[Any]

# Rows by which the processor is told what will be needed: of stretches of rows it does not see the pattern in time.
_AHEAD = 24


def room(longest: int, block: int, width: int) -> int:
    """Return how many numbers of work space the kernels need, for bands of l + u = `width`."""
    return COLUMNS * (block + width + width * -(-longest // block))


@borrowing
def _row(nothing: Any, b: Any, order: Any, j: Any, end: Any, at: Any) -> Any:
    """Return the right-hand sides of row j, zeros behind the last row of the segment."""
    return load_like(nothing, b, order[j] * b.shape[1] + at) if j <= end else nothing


@borrowing
def _begin(nothing: Any, segments: Any, s: Any, lower: Any, order: Any, b: Any, at: Any, work: Any) -> Any:
    """Put the rows that a segment begins with into `work`; return how many are carried."""
    top = segments[s, FIRST] - segments[s, LEFT_ROWS]
    end = segments[s, LAST] + segments[s, RIGHT_ROWS]
    count = segments[s, LEFT_ROWS] + lower
    for i in range(count):
        store(work, i * lanes_of(nothing), _row(nothing, b, order, top + i, end, at))
    return count


@borrowing
def _apply(nothing: Any, rows: Any, j: Any, w: Any, count: Any, here: Any, new: Any, work: Any) -> None:
    """Apply the reflection for column j to the rows that are carried, from `here` on, and to the new one."""
    width = lanes_of(nothing)
    tau = rows[j, w]
    pivot_row = load_like(nothing, work, here) if count > 0 else new
    # Two sums, so that neither waits for long.
    t, other = tau * pivot_row, nothing
    for i in range(count - 1):
        term = (tau * rows[j, i]) * load_like(nothing, work, here + (i + 1) * width)
        if i % 2 == 0:
            t = t + term
        else:
            other = other + term
    if count > 0:
        last = rows[j, count - 1]
        other = other + (tau * last) * new
        t = t + other
        store(work, here + count * width, new - last * t)
    store(work, here, pivot_row - t)
    for i in range(count - 1):
        place = here + (i + 1) * width
        store(work, place, load_like(nothing, work, place) - rows[j, i] * t)


@borrowing
def _reflected(nothing: Any, rows: Any, j: Any, carried: Any, new: Any) -> Any:
    """Do what `_apply` does to rows in registers: return the pivot row, and the others."""
    others, v = with_last(carried, new), load(rows, j, 0, carried)
    # Two sums, so that neither waits for long.
    t = rows[j, len(carried)] * (dot(others[::2], v[::2], carried[0]) + dot(others[1::2], v[1::2], nothing))
    return carried[0] - t, reduce(others, t, v)


@borrowing
def _reflect(
    nothing: Any,
    widths: Any,
    lower: Any,
    rows: Any,
    count: Any,
    top: Any,
    stop: Any,
    end: Any,
    ahead: Any,
    order: Any,
    b: Any,
    at: Any,
    work: Any,
) -> None:
    """Apply the reflections `top` ... `stop` - 1; `work` begins with the rows that are carried, and ends with them."""
    m, width = b.shape[1], lanes_of(nothing)
    if count < len(widths):
        # At the beginning of a class.
        for j in range(top, stop):
            new = _row(nothing, b, order, j + lower, end, at)
            _apply(nothing, rows, j, len(widths), count, (j - top) * width, new, work)
        return
    carried = read_rows(nothing, work, 0, width, count, widths)
    for j in range(top, stop):
        if ahead:
            ask_for(nothing, b, order[min(j + lower + _AHEAD, b.shape[0] - 1)] * m + at)
        # Behind the end of a class nothing is made of what is loaded.
        new = load_like(nothing, b, order[min(j + lower, end)] * m + at)
        row, carried = _reflected(nothing, rows, j, carried, new)
        store(work, (j - top) * width, row)
    write_rows(work, (stop - top) * width, carried)


@borrowing
def _condense_unit(
    nothing: Any,
    widths: Any,
    lower: Any,
    segments: Any,
    s: Any,
    rows: Any,
    order: Any,
    b: Any,
    y: Any,
    block: Any,
    work: Any,
    at: Any,
) -> None:
    width = lanes_of(nothing)
    a, stop = segments[s, FIRST], segments[s, LAST] + 1
    left, right = segments[s, LEFT_ROWS], segments[s, RIGHT_ROWS]
    count = _begin(nothing, segments, s, lower, order, b, at, work)
    for top in range(a, stop, block):
        until = min(top + block, stop)
        _reflect(nothing, widths, lower, rows, count, top, until, stop - 1 + right, True, order, b, at, work)
        move(nothing, work, (until - top) * width, 0, count)
    for i in range(left + right):
        store(y, (segments[s, PLACE] - left + i) * b.shape[1] + at, load_like(nothing, work, i * width))


@borrowing_kernel
def condense_columns(
    widths: tuple[int, ...],
    lower: int,
    segments: Array,
    rows: Array,
    order: Array,
    b: Array,
    y: Array,
    block: int,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Put into `y`, (k, m), what the reflections of segments leave over of `b`, (n, m): sides of the reduced system.

    Row ``order[j]`` of `b` belongs to position j. Of each segment the units of columns are dealt out one by one:
    `first` ... `last` - 1 are among all of them. `widths`: a tuple of length l + u.
    ``block >= l + u``. `work`: `room` numbers.
    """
    m = b.shape[1]
    lanes = lanes_of(zeros(b))
    units = units_of(m, lanes)
    for piece in range(first, last):
        s, unit = piece // units, piece % units
        at = column_of(unit, m, lanes)
        if unit < m // COLUMNS:
            _condense_unit(wide_zeros(b), widths, lower, segments, s, rows, order, b, y, block, work, at)
        else:
            _condense_unit(zeros(b), widths, lower, segments, s, rows, order, b, y, block, work, at)


@borrowing
def _expand_unit(
    nothing: Any,
    widths: Any,
    lower: Any,
    segments: Any,
    s: Any,
    rows: Any,
    link_start: Any,
    link_kept: Any,
    link_entries: Any,
    order: Any,
    b: Any,
    z: Any,
    x: Any,
    past: Any,
    block: Any,
    work: Any,
    at: Any,
) -> None:
    """Fill in a segment's rows of `x`."""
    m, width, w = b.shape[1], lanes_of(nothing), len(widths)
    a, stop = segments[s, FIRST], segments[s, LAST] + 1
    end, place = stop - 1 + segments[s, RIGHT_ROWS], segments[s, PLACE]
    k, right = segments[s, LEFT_COLUMNS], segments[s, RIGHT_COLUMNS]
    states = (block + w) * width
    count = _begin(nothing, segments, s, lower, order, b, at, work)
    blocks = -(-(stop - a) // block)
    for number in range(blocks - 1):
        top = a + number * block
        move(nothing, work, 0, states + number * count * width, count)
        _reflect(nothing, widths, lower, rows, count, top, top + block, end, True, order, b, at, work)
        move(nothing, work, block * width, 0, count)
    move(nothing, work, 0, states + (blocks - 1) * count * width, count)
    # Columns that a segment at the end of a class does not have are zero.
    near = read_rows(nothing, z, place * m + at, m, right, widths)
    left = read_rows(nothing, z, (place - k) * m + at, m, k, widths)
    for i in range(right):
        put(x, order[stop + i] * m + at, load_like(nothing, z, (place + i) * m + at), past)
    for number in range(blocks - 1, -1, -1):
        top = a + number * block
        until = min(top + block, stop)
        move(nothing, work, states + number * count * width, 0, count)
        _reflect(nothing, widths, lower, rows, count, top, until, end, blocks == 1, order, b, at, work)
        if until == stop:
            here = (stop - 1 - top) * width
            value = load_like(nothing, work, here)
            for t in range(link_start[s], link_start[s + 1]):
                value = value - link_entries[t] * load_like(nothing, z, link_kept[t] * m + at)
            store(work, here, value)
        for j in range(until - 1, top - 1, -1):
            value = load_like(nothing, work, (j - top) * width)
            value = subtract(value, rows, j, 2 * w + 2, left)
            value = over(subtract(value, rows, j, w + 2, near), rows[j, w + 1])
            put(x, order[j] * m + at, value, past)
            near = with_first(value, near)


@borrowing_kernel
def expand_columns(
    widths: tuple[int, ...],
    lower: int,
    segments: Array,
    rows: Array,
    link_start: Array,
    link_kept: Array,
    link_entries: Array,
    order: Array,
    b: Array,
    z: Array,
    x: Array,
    past: bool,
    block: int,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Fill in `x`, (n, m), at the columns of segments, and at the kept ones to their right, given the kept `z`, (k, m).

    `past`: whether all rows of `x` begin at multiples of 64 bytes. For the others see `condense_columns`.
    """
    m = b.shape[1]
    lanes = lanes_of(zeros(b))
    units = units_of(m, lanes)
    links = (link_start, link_kept, link_entries)
    for piece in range(first, last):
        s, unit = piece // units, piece % units
        at = column_of(unit, m, lanes)
        if unit < m // COLUMNS:
            _expand_unit(wide_zeros(b), widths, lower, segments, s, rows, *links, order, b, z, x, past, block, work, at)
        else:
            _expand_unit(zeros(b), widths, lower, segments, s, rows, *links, order, b, z, x, past, block, work, at)
