"""The steps of segments that are swept in lanes, noted once, to be replayed by `stridiag._kernels.lane_replay`.

`note` eliminates without a right-hand side, as `stridiag._kernels.lane_condensation` does, and writes down what a step
is made of. For groups that stay in the range of what is eliminated in lanes; the plain loops that `reduce` and `expand`
have for others leave no notes.

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
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel, vector_kernel
from stridiag._kernels.condensation import LEFT1, RIGHT1
from stridiag._kernels.lane_condensation import put_shares
from stridiag._kernels.lane_groups import (
    BEGIN,
    LINES,
    PW1,
    PW2,
    QW2,
    ROWS,
    aligned,
    begun,
    end_chains,
    group_size_of,
    load_tile,
    pair,
    segment_of,
    set_out,
)
from stridiag._kernels.lane_leftover import uniting
from stridiag._kernels.lane_steps import FACTORS, STEADY, held, optional, scaled, sound
from stridiag._kernels.vectors import both, choose, every, less, load, store

__all__ = [
    "APART",
    "BEGINS",
    "BELOW",
    "FAR",
    "NEAR",
    "PIVOTS",
    "PLACE",
    "SAFE",
    "SEGMENT",
    "SIDES",
    "START",
    "STEPS",
    "TURNS",
    "UNITE_P",
    "UNITE_Q",
    "note",
    "plain_note",
    "turns_of",
]

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
