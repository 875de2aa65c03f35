"""Solving again with chains whose segments are swept in lanes: the steps are noted once, and replayed.

`stridiag._kernels.lane_condensation` and `stridiag._kernels.lane_substitution` eliminate anew for each right-hand side,
which takes a division in each step, and a square root where they reflect. Where the notes stay in a cache, reading them
takes less time: `note` eliminates without a right-hand side and writes down what a step is made of, `fold` does what
`reduce` does to a right-hand side, `unfold` what `expand` does to the solution. Their operations are those of the two,
in the same order, and so are the results, bit by bit. For groups that stay in the range of what is eliminated in lanes;
the plain loops that `reduce` and `expand` have for others leave no notes.

Storage:

* ``turns``, four lines for each step of a group, of a number for each lane: h, x1, x2 and beta of the reflection;
  ``pivots`` likewise two, the entries behind the pivot, whose reciprocal is ``-(h * beta)``. Where pivots are taken as
  they come, two and two: by what the pivot row is multiplied for the new row and for p; the entry behind the pivot,
  divided by it, and its reciprocal;
* ``groups``, (groups, 4): steps, those of them that not all lanes take, whether vectors may be loaded throughout, and
  how many steps the groups before have;
* ``whole``, (3, lanes), with a lane for each place of a group: the row of the group's first step, the segment, and
  whether it has neighbours to the left (1) and to the right (2);
* ``real``, (6, lanes), of float64: the step with which the segment begins; of the rows a - 1 and a the entries in the
  kept columns, a - 2 and a - 1, and a - 1; with what factors the two leftover rows of a segment that begins its chain
  become one.

Cost: 12 operations an interior column to fold, 18 to unfold; where pivots are taken as they come 4 and 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2
from stridiag._kernels.lane_condensation import put_shares
from stridiag._kernels.lane_groups import (
    BEGIN,
    BEYOND_CACHE,
    LINES,
    PB,
    PW1,
    PW2,
    QB,
    QW2,
    ROWS,
    aligned,
    ask_for,
    begun,
    bring,
    bring_back,
    end_chains,
    group_size_of,
    load_tile,
    pair,
    segment_of,
    set_out,
)
from stridiag._kernels.lane_leftover import united, uniting
from stridiag._kernels.lane_steps import FACTORS, STEADY, carried, held, optional, scaled, sound
from stridiag._kernels.lane_substitution import LINKS
from stridiag._kernels.vectors import both, choose, every, less, load, multiply_add, store

__all__ = ["PIVOTS", "TURNS", "fold", "note", "plain_note", "turns_of", "unfold"]

Array = NDArray[Any]

TURNS, PIVOTS = 4, 2
"""Lines noted of a step, at most: of the reflection, and of the pivot row."""

STEPS, APART, SAFE, PLACE = range(4)
START, SEGMENT, SIDES = range(3)
BEGINS, FAR, NEAR, BELOW, UNITE_P, UNITE_Q = range(6)


turns_of = optional(lambda reflecting: 2, lambda reflecting: TURNS)
"""Return how many lines are noted of what a step is made of."""


def _put_multipliers(reflecting: Any, turns: Any, turn: Any, pivots: Any, pivot: Any, size: Any, found: Any) -> None:
    store(turns, turn, found[0])
    store(turns, turn + size, found[1])
    store(pivots, pivot, found[4])
    store(pivots, pivot + size, found[3])


def _put_reflection(reflecting: Any, turns: Any, turn: Any, pivots: Any, pivot: Any, size: Any, found: Any) -> None:
    x1, x2, beta, _, u1, u2, _, _, _, h = found
    store(turns, turn, h)
    store(turns, turn + size, x1)
    store(turns, turn + 2 * size, x2)
    store(turns, turn + 3 * size, beta)
    store(pivots, pivot, u1)
    store(pivots, pivot + size, u2)


_put_turn = optional(_put_multipliers, _put_reflection)


@kernel
def plain_note(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    pivots: Array,
    noted: Array,
) -> None:
    """Note nothing: plain loops have no lanes to replay, and eliminate anew."""
    for group in range(begin, end):
        noted[group] = False


@vector_kernel(plain_note)
def note(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    pivots: Array,
    noted: Array,
) -> None:
    """Eliminate the segments of the groups `begin` ... `end` - 1, and note how.

    Of `groups` the places are given. `turns` and `pivots` have room for 4 and 2 lines a step, and a vector more.
    ``noted[group]`` becomes false if the notes are of no use.
    """
    size = group_size_of(d)
    half = size // 2
    lines = turns_of(reflecting)
    tiny = 1e-280 if d.itemsize == 8 else 1e-30
    starts = np.empty(2 * size, np.int64)
    tile = np.empty(4 * ROWS * size + half, d.dtype)
    place = aligned(tile)
    scratch = np.empty(LINES * size + half, d.dtype)
    line = aligned(scratch)
    for group in range(begin, end):
        steps, apart, safe = set_out(
            dl, d, du, None, None, None, first, last, kept, lanes, group, size, starts, scratch, line
        )
        groups[group, STEPS], groups[group, APART], groups[group, SAFE] = steps, apart, safe
        for lane in range(size):
            s, at = segment_of(lanes, group, size, lane), group * size + lane
            whole[START, at], whole[SEGMENT, at] = starts[lane], s
            whole[SIDES, at] = (1 if kept[s, LEFT1] >= 0 else 0) + (2 if kept[s, RIGHT1] >= 0 else 0)
            real[BEGINS, at] = scratch[line + BEGIN * size + lane]
            real[FAR, at] = scratch[line + PW1 * size + lane]
            real[NEAR, at] = scratch[line + PW2 * size + lane]
            real[BELOW, at] = scratch[line + QW2 * size + lane]
        turn = aligned(turns) + lines * size * groups[group, PLACE]
        pivot = aligned(pivots) + PIVOTS * size * groups[group, PLACE]
        one = begun(scratch, line, size, None, None, None)
        other = begun(scratch, line + half, size, None, None, None)
        starting, starting_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        fine = less(starting, np.inf)
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            load_tile(dl, d, du, None, starts, chunk, rows, safe, tile, place, size)
            if chunk + rows == steps:
                end_chains(lanes, group, size, kept, tile, place + (rows - 1) * size)
            for row in range(rows):
                at_step = chunk + row
                late, late_other = less(starting, at_step + 0.5), less(starting_other, at_step + 0.5)
                before, before_other = one, other
                if row % STEADY == 0:
                    factor = FACTORS[(steps - at_step) // STEADY % 64]
                    one, other = scaled(reflecting, one, factor), scaled(reflecting, other, factor)
                one, other, found, found_other = pair(
                    reflecting, one, other, tile, place + row * size, size, None, None, None
                )
                one, other = held(one, before, late), held(other, before_other, late_other)
                valid = choose(late, sound(reflecting, found[8], tiny, fine), fine)
                valid_other = choose(late_other, sound(reflecting, found_other[8], tiny, fine), fine)
                fine = both(fine, both(valid, valid_other))
                _put_turn(reflecting, turns, turn, pivots, pivot, size, found)
                _put_turn(reflecting, turns, turn + half, pivots, pivot + half, size, found_other)
                turn += lines * size
                pivot += PIVOTS * size
                if at_step == steps - 1:
                    put_shares(reflecting, found, scratch, line + 4 * size, size)
                    put_shares(reflecting, found_other, scratch, line + 4 * size + half, size)
        for k, (entry, entry_other) in enumerate(
            ((one[0], other[0]), (one[1], other[1]), (one[6], other[6]), (one[7], other[7]))
        ):
            store(scratch, line + k * size, entry)
            store(scratch, line + k * size + half, entry_other)
        noted[group] = every(fine)
        for lane in range(size):
            at = line + lane
            x, y = uniting(
                scratch[at],
                scratch[at + size],
                scratch[at + 2 * size],
                scratch[at + 3 * size],
                scratch[at + 4 * size],
                scratch[at + 5 * size],
            )
            real[UNITE_P, group * size + lane], real[UNITE_Q, group * size + lane] = x, y


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
