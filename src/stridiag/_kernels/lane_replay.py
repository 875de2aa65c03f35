"""Solving again with chains whose segments are swept in lanes: the steps are noted once, and replayed.

`stridiag._kernels.lane_condensation` and `stridiag._kernels.lane_substitution` eliminate anew for each right-hand side,
which takes a division in each step, and a square root where they reflect. Where the notes stay in a cache, reading them
takes less time: `fold` does what `reduce` does to a right-hand side, `unfold` what `expand` does to the solution, by
the notes of `stridiag._kernels.lane_notes`, which says how they are stored. Their operations are those of the two, in
the same order, and so are the results, bit by bit.

Cost: 12 operations an interior column to fold, 18 to unfold; where pivots are taken as they come 4 and 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2
from stridiag._kernels.lane_groups import (
    BEGIN,
    BEYOND_CACHE,
    LINES,
    PB,
    QB,
    ROWS,
    aligned,
    ask_for,
    bring,
    bring_back,
    group_size_of,
)
from stridiag._kernels.lane_leftover import united
from stridiag._kernels.lane_notes import (
    APART,
    BEGINS,
    BELOW,
    FAR,
    NEAR,
    PIVOTS,
    PLACE,
    SAFE,
    SEGMENT,
    SIDES,
    START,
    STEPS,
    UNITE_P,
    UNITE_Q,
    turns_of,
)
from stridiag._kernels.lane_steps import FACTORS, STEADY, carried, optional
from stridiag._kernels.lane_substitution import LINKS
from stridiag._kernels.vectors import choose, less, load, multiply_add, store

__all__ = ["fold", "unfold"]

Array = NDArray[Any]


def _multiplied(reflecting: Any, turns: Any, turn: Any, size: Any, p: Any, q: Any, n: Any) -> tuple[Any, Any, Any]:
    return q, p - load(turns, turn + size) * q, n - load(turns, turn) * q


def _reflected(reflecting: Any, turns: Any, turn: Any, size: Any, p: Any, q: Any, n: Any) -> tuple[Any, Any, Any]:
    h, beta = load(turns, turn), load(turns, turn + 3 * size)
    y, p, q = carried(p, q, n, h, load(turns, turn + size), load(turns, turn + 2 * size), beta)
    return y, p, q


# The pivot row's entry and the two carried on, of one column.
_turned = optional(_multiplied, _reflected)


def _put_quotient(
    reflecting: Any, turns: Any, turn: Any, pivots: Any, pivot: Any, size: Any, y: Any, rows: Any, to: Any
) -> None:
    store(rows, to, y * load(pivots, pivot + size))


def _put_pivot(
    reflecting: Any, turns: Any, turn: Any, pivots: Any, pivot: Any, size: Any, y: Any, rows: Any, to: Any
) -> None:
    store(rows, to, -(load(turns, turn) * load(turns, turn + 3 * size)))
    store(rows, to + size, y)


# What is kept of a pivot row for the way back, given its right-hand side.
_keep_turned = optional(_put_quotient, _put_pivot)
_kept_lines = optional(lambda reflecting: 1, lambda reflecting: 2)
_scaled_sides = optional(
    lambda reflecting, p, q, factor: (p, q), lambda reflecting, p, q, factor: (p * factor, q * factor)
)


@borrowing
def _bring_sides(
    b: Any, known: Any, whole: Any, real: Any, origin: Any, size: Any, starts: Any, scratch: Any, line: Any
) -> None:
    """Write down where the lanes of a group begin, with which step, and with which right-hand sides.

    And where those of the next group do.
    """
    following = min(origin + size, whole.shape[1] - size)
    for lane in range(size):
        # Places are unsigned, or each would be looked at whether it counts from the end.
        at = np.uint64(origin + lane)
        starts[lane], starts[size + lane] = whole[START, at], whole[START, np.uint64(following + lane)]
        starting = real[BEGINS, at]
        a = whole[START, at] + int(starting)
        pb, qb = b[np.uint64(a)] * 0, b[np.uint64(a)] * 1
        if whole[SIDES, at] & 1:
            pb = b[np.uint64(a - 1)] * 1
            if known is not None:
                s = np.uint64(whole[SEGMENT, at])
                pb -= multiply_add(real[FAR, at], known[s, LEFT2, 0], real[NEAR, at] * known[s, LEFT1, 0])
                qb -= real[BELOW, at] * known[s, LEFT1, 0]
        scratch[line + PB * size + lane], scratch[line + QB * size + lane] = pb, qb
        scratch[line + BEGIN * size + lane] = starting


@kernel
def fold(
    reflecting: bool | None,
    b: Array,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    begin: int,
    end: int,
    sides: Array,
) -> None:
    """Fill in `sides`, (segments, 2, 1), for the segments of the groups `begin` ... `end` - 1, as `reduce` does."""
    size = group_size_of(b)
    lines = turns_of(reflecting)
    far = b.size > BEYOND_CACHE
    half = size // 2
    starts = np.empty(2 * size, np.int64)
    tile = np.empty(ROWS * size + half, b.dtype)
    place = aligned(tile)
    scratch = np.empty(LINES * size + half, b.dtype)
    line = aligned(scratch)
    for group in range(begin, end):
        steps, apart, safe = groups[group, STEPS], groups[group, APART], groups[group, SAFE] != 0
        origin = group * size
        _bring_sides(b, None, whole, real, origin, size, starts, scratch, line)
        turn = aligned(turns) + lines * size * groups[group, PLACE]
        p, q = load(scratch, line + PB * size), load(scratch, line + QB * size)
        p_other, q_other = load(scratch, line + PB * size + half), load(scratch, line + QB * size + half)
        starting, starting_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            bring(b, starts, chunk + 1, rows, safe, tile, place, size)
            if chunk + rows == steps:
                for lane in range(size):
                    if whole[SIDES, origin + lane] & 2 == 0:
                        tile[place + (rows - 1) * size + lane] = 0.0
            for row in range(rows):
                at_step, at = chunk + row, place + row * size
                if far and row < size:
                    ask_for(b, starts[size + row] + chunk)
                old_p, old_q, old_p_other, old_q_other = p, q, p_other, q_other
                if row % STEADY == 0:
                    factor = FACTORS[(steps - at_step) // STEADY % 64]
                    p, q = _scaled_sides(reflecting, p, q, factor)
                    p_other, q_other = _scaled_sides(reflecting, p_other, q_other, factor)
                _, p, q = _turned(reflecting, turns, turn, size, p, q, load(tile, at))
                _, p_other, q_other = _turned(
                    reflecting, turns, turn + half, size, p_other, q_other, load(tile, at + half)
                )
                turn += lines * size
                if at_step < apart:
                    late, late_other = less(starting, at_step + 0.5), less(starting_other, at_step + 0.5)
                    p, q = choose(late, p, old_p), choose(late, q, old_q)
                    p_other = choose(late_other, p_other, old_p_other)
                    q_other = choose(late_other, q_other, old_q_other)
        store(scratch, line, p)
        store(scratch, line + half, p_other)
        store(scratch, line + size, q)
        store(scratch, line + size + half, q_other)
        # Lanes to spare do once more what the last one does.
        for lane in range(size):
            at = np.uint64(origin + lane)
            s, pb, qb = np.uint64(whole[SEGMENT, at]), scratch[line + lane], scratch[line + size + lane]
            if whole[SIDES, at] & 1 == 0:
                qb = united(pb, qb, real[UNITE_P, at], real[UNITE_Q, at])
                pb = pb * 0
            sides[s, 0, 0], sides[s, 1, 0] = pb, qb


def _next_unknown(
    reflecting: Any, kept_rows: Any, at: Any, pivots: Any, pivot: Any, size: Any, x1: Any, x2: Any
) -> Any:
    rest = load(kept_rows, at + size) - load(pivots, pivot + size) * x2
    return (rest - load(pivots, pivot) * x1) * load(kept_rows, at)


# The next unknown of back substitution, given the two behind it.
_substituted = optional(
    lambda reflecting, kept_rows, at, pivots, pivot, size, x1, x2: load(kept_rows, at) - load(pivots, pivot) * x1,
    _next_unknown,
)


@kernel
def unfold(
    reflecting: bool | None,
    b: Array,
    known: Array,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    pivots: Array,
    begin: int,
    end: int,
    x: Array,
    squares: Array,
) -> None:
    """Fill in `x`, (n,), at the columns of the segments of the groups `begin` ... `end` - 1, as `expand` does.

    ``squares[group]`` becomes 0, and NaN where an entry of `x` is not finite.
    """
    size = group_size_of(b)
    lines = turns_of(reflecting)
    far = b.size > BEYOND_CACHE
    half = size // 2
    starts = np.empty(2 * size, np.int64)
    tile = np.empty(ROWS * size + half, b.dtype)
    place = aligned(tile)
    scratch = np.empty(LINES * size + half, b.dtype)
    line = aligned(scratch)
    # Right-hand sides of the pivot rows of a group, and the pivots' reciprocals.
    longest = 0
    for group in range(begin, end):
        longest = max(longest, groups[group, STEPS])
    width = _kept_lines(reflecting) * size
    kept_rows = np.empty(longest * width + half, b.dtype)
    rows_from = aligned(kept_rows)
    for group in range(begin, end):
        steps, apart, safe = groups[group, STEPS], groups[group, APART], groups[group, SAFE] != 0
        origin = group * size
        _bring_sides(b, known, whole, real, origin, size, starts, scratch, line)
        turn = aligned(turns) + lines * size * groups[group, PLACE]
        pivot = aligned(pivots) + PIVOTS * size * groups[group, PLACE]
        passed = pivot
        p, q = load(scratch, line + PB * size), load(scratch, line + QB * size)
        p_other, q_other = load(scratch, line + PB * size + half), load(scratch, line + QB * size + half)
        starting, starting_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        none = starting * 0.0
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            bring(b, starts, chunk + 1, rows, safe, tile, place, size)
            if chunk + rows == steps:
                for lane in range(size):
                    at = place + (rows - 1) * size + lane
                    if whole[SIDES, origin + lane] & 2 == 0:
                        tile[at] = 0.0
                    tile[at] -= known[whole[SEGMENT, origin + lane], LINKS, 0]
            for row in range(rows):
                at_step, at = chunk + row, place + row * size
                if far and row < size:
                    ask_for(b, starts[size + row] + chunk)
                to = rows_from + at_step * width
                old_p, old_q, old_p_other, old_q_other = p, q, p_other, q_other
                if row % STEADY == 0:
                    factor = FACTORS[(steps - at_step) // STEADY % 64]
                    p, q = _scaled_sides(reflecting, p, q, factor)
                    p_other, q_other = _scaled_sides(reflecting, p_other, q_other, factor)
                y, p, q = _turned(reflecting, turns, turn, size, p, q, load(tile, at))
                _keep_turned(reflecting, turns, turn, pivots, passed, size, y, kept_rows, to)
                y, p_other, q_other = _turned(
                    reflecting, turns, turn + half, size, p_other, q_other, load(tile, at + half)
                )
                _keep_turned(reflecting, turns, turn + half, pivots, passed + half, size, y, kept_rows, to + half)
                passed += PIVOTS * size
                turn += lines * size
                if at_step < apart:
                    late, late_other = less(starting, at_step + 0.5), less(starting_other, at_step + 0.5)
                    p, q = choose(late, p, old_p), choose(late, q, old_q)
                    p_other = choose(late_other, p_other, old_p_other)
                    q_other = choose(late_other, q_other, old_q_other)
        for lane in range(size):
            s = np.uint64(whole[SEGMENT, np.uint64(origin + lane)])
            scratch[line + lane], scratch[line + size + lane] = known[s, RIGHT1, 0], known[s, RIGHT2, 0]
        x1, x2 = load(scratch, line), load(scratch, line + size)
        y1, y2 = load(scratch, line + half), load(scratch, line + size + half)
        # Zero, and NaN once an entry of x is not finite.
        trace, trace_other = none, none
        for top in range((steps - 1) // ROWS * ROWS, -1, -ROWS):
            rows = min(ROWS, steps - top)
            for row in range(rows - 1, -1, -1):
                at, of = rows_from + (top + row) * width, pivot + PIVOTS * size * (top + row)
                x1, x2 = _substituted(reflecting, kept_rows, at, pivots, of, size, x1, x2), x1
                y1, y2 = _substituted(reflecting, kept_rows, at + half, pivots, of + half, size, y1, y2), y1
                store(tile, place + row * size, x1)
                store(tile, place + row * size + half, y1)
                if top + row >= apart:
                    trace, trace_other = trace + x1 * 0.0, trace_other + y1 * 0.0
                else:
                    begins = top + row + 0.5
                    trace = choose(less(starting, begins), trace + x1 * 0.0, trace)
                    trace_other = choose(less(starting_other, begins), trace_other + y1 * 0.0, trace_other)
            # Lanes to spare bring once more what the last one does.
            bring_back(x, starts, top, rows, apart, tile, place, size, size, scratch, line)
        store(scratch, line, trace + trace_other)
        total = 0.0
        for lane in range(half):
            total += scratch[line + lane]
        squares[group] = total
