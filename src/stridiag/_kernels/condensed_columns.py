r"""Chains with links, many right-hand sides: the two sweeps of `stridiag._kernels.condensation`, in registers.

As in `stridiag._kernels.column_lanes`: a stretch of a row of the right-hand sides is a few registers, and each column a
lane. The sweep downwards keeps the rows that a segment leaves over; the one upwards computes again what is between, in
a buffer that stays in a cache. Segments are independent of one another in both, so threads share them out, and each
reads whole rows. They are visited in the order of the rows of the matrix: where chains stand among one another, what a
row brings along of its neighbours is then of use.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2, TAU, U1, U2, V1, V2, W1, W2, D
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_vectors import (
    COLUMNS,
    ask_for,
    column_of,
    lanes_of,
    load_like,
    over,
    put,
    units_of,
    wide_zeros,
    zeros,
)

__all__ = ["condense_columns", "expand_columns"]

Array = NDArray[Any]


@borrowing
def _reflected(rows: Any, j: Any, p: Any, q: Any, new: Any) -> tuple[Any, Any, Any]:
    """Return the pivot row's entries and the two that are carried on, after the reflection for column j."""
    v1, v2, tau = rows[j, V1], rows[j, V2], rows[j, TAU]
    # What comes last, enters last: the next step waits for it.
    t = (tau * v2) * new + tau * p
    t = t + (tau * v1) * q
    return p - t, q - v1 * t, new - v2 * t


@borrowing
def _condense_unit(nothing: Any, rows: Any, a: Any, e: Any, left: Any, right: Any, order: Any, b: Any, at: Any) -> Any:
    """Return what is left over of a segment: the rows in its last slot, and in the one behind it."""
    m = b.shape[1]
    # The row in the middle is empty where nothing stands to the left.
    p, q = load_like(nothing, b, order[a] * m + at), nothing
    if left:
        p, q = load_like(nothing, b, order[a - 1] * m + at), p
    for j in range(a, e + 1):
        new = load_like(nothing, b, order[j + 1] * m + at) if j < e or right else nothing
        _, p, q = _reflected(rows, j, p, q, new)
        if not left:
            p, q = q, nothing
    return (p, q) if left else (q, p)


@borrowing_kernel
def condense_columns(
    rows: Array,
    first_column: Array,
    last_column: Array,
    kept: Array,
    turns: Array,
    order: Array,
    b: Array,
    y: Array,
    slots: Array,
    first: int,
    last: int,
) -> None:
    """Put into `y`, (k, m), what the reflections of the segments ``turns[first:last]`` leave over of `b`, (n, m).

    Rows ``slots[s]`` for the slots last, last + 1 of s. `rows`, ``first_column``, ``last_column`` and `kept` are those
    of `stridiag._kernels.condensation`; row ``order[j]`` of `b` belongs to chain position j.
    """
    m = b.shape[1]
    lanes = lanes_of(zeros(b))
    for s in turns[first:last]:
        left, right = kept[s, LEFT1] >= 0, kept[s, RIGHT1] >= 0
        a, e = first_column[s], last_column[s]
        for unit in range(units_of(m, lanes)):
            at = column_of(unit, m, lanes)
            if unit < m // COLUMNS:
                p, q = _condense_unit(wide_zeros(b), rows, a, e, left, right, order, b, at)
                if left:
                    store(y, slots[s, 0] * m + at, p)
                if right:
                    store(y, slots[s, 1] * m + at, q)
            else:
                p, q = _condense_unit(zeros(b), rows, a, e, left, right, order, b, at)
                if left:
                    store(y, slots[s, 0] * m + at, p)
                if right:
                    store(y, slots[s, 1] * m + at, q)


@borrowing
def _kept_row(nothing: Any, z: Any, place: Any, at: Any) -> Any:
    """Return a row of the kept unknowns; zeros if there is none."""
    return load_like(nothing, z, place * z.shape[1] + at) if place >= 0 else nothing


@borrowing
def _expand_unit(
    nothing: Any,
    rows: Any,
    a: Any,
    e: Any,
    kept: Any,
    s: Any,
    link_start: Any,
    link_kept: Any,
    link_values: Any,
    order: Any,
    b: Any,
    z: Any,
    x: Any,
    past: Any,
    work: Any,
    at: Any,
) -> None:
    """Fill in a segment's rows of `x`."""
    m, width = b.shape[1], lanes_of(nothing)
    left, right = kept[s, LEFT1] >= 0, kept[s, RIGHT1] >= 0
    p, q = load_like(nothing, b, order[a] * m + at), nothing
    if left:
        p, q = load_like(nothing, b, order[a - 1] * m + at), p
    for j in range(a, e + 1):
        new = load_like(nothing, b, order[j + 1] * m + at) if j < e or right else nothing
        y, p, q = _reflected(rows, j, p, q, new)
        store(work, (j - a) * width, y)
        if not left:
            p, q = q, nothing
    near_left, far_left = _kept_row(nothing, z, kept[s, LEFT1], at), _kept_row(nothing, z, kept[s, LEFT2], at)
    near, far = _kept_row(nothing, z, kept[s, RIGHT1], at), _kept_row(nothing, z, kept[s, RIGHT2], at)
    if right:
        put(x, order[e + 1] * m + at, near, past)
    if kept[s, RIGHT2] >= 0:
        put(x, order[e + 2] * m + at, far, past)
    if link_start[s] < link_start[s + 1]:
        value = load_like(nothing, work, (e - a) * width)
        enters = -rows[e, TAU] * rows[e, V2]
        for t in range(link_start[s], link_start[s + 1]):
            value = value - (enters * link_values[t]) * load_like(nothing, z, link_kept[t] * m + at)
        store(work, (e - a) * width, value)
    for j in range(e, a - 1, -1):
        value = load_like(nothing, work, (j - a) * width) - rows[j, W2] * near_left
        value = value - rows[j, W1] * far_left
        value = value - rows[j, U2] * far
        value = over(value - rows[j, U1] * near, rows[j, D])
        far, near = near, value
        put(x, order[j] * m + at, value, past)
        # What the next segment begins with, if it is the one behind.
        ask_for(nothing, b, order[min(2 * e - j + 3, b.shape[0] - 1)] * m + at)


@borrowing_kernel
def expand_columns(
    rows: Array,
    first_column: Array,
    last_column: Array,
    kept: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    turns: Array,
    order: Array,
    b: Array,
    z: Array,
    x: Array,
    past: bool,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Fill in `x`, (n, m), at the columns of the segments ``turns[first:last]``, given the kept `z`, (k, m).

    And at the kept columns b + 1 and b + 2 behind each of them. `past`: whether all rows of `x` begin at multiples of
    64 bytes. `work`: ``COLUMNS * longest segment`` numbers. For the others see `condense_columns`.
    """
    m = b.shape[1]
    lanes = lanes_of(zeros(b))
    links = (link_start, link_kept, link_values)
    for s in turns[first:last]:
        a, e = first_column[s], last_column[s]
        for unit in range(units_of(m, lanes)):
            at = column_of(unit, m, lanes)
            if unit < m // COLUMNS:
                _expand_unit(wide_zeros(b), rows, a, e, kept, s, *links, order, b, z, x, past, work, at)
            else:
                _expand_unit(zeros(b), rows, a, e, kept, s, *links, order, b, z, x, past, work, at)
