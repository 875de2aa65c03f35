"""Back substitution for many segments at a time, once the kept columns are known: the second sweep over a chain.

Each segment is eliminated as in `stridiag._kernels.lane_condensation`, but with the kept columns to the left on the
right-hand side, so that no columns fill. The pivot rows, four numbers each and one more with a probe, stay in a cache
until the segment is substituted back.

Cost: 45 operations an interior column for one right-hand side, 28 of which serve a second one too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.condensation import RIGHT1, RIGHT2
from stridiag._kernels.lane_groups import (
    BEGIN,
    BEYOND_CACHE,
    LINES,
    P0,
    ROWS,
    WEIGHT,
    aligned,
    begun,
    bring_back,
    end_chains,
    group_size_of,
    load_tile,
    look_ahead,
    pair,
    probed,
    segment_of,
    set_out,
    stored,
)
from stridiag._kernels.lane_steps import (
    FACTORS,
    STEADY,
    entry,
    first_rows,
    given,
    held,
    optional,
    scaled,
    sound,
    step,
    weight,
)
from stridiag._kernels.vectors import both, choose, every, less, load, prefetch, store

__all__ = ["expand", "expand_segment", "plain_expand"]

Array = NDArray[Any]

LINKS = 4
"""Row of ``known[s]`` that holds what the links of the last row contribute."""

# Numbers kept of a pivot row: the right-hand sides, the entries behind the pivot, its reciprocal. Or, where pivots are
# taken as they come, the right-hand sides and the entry behind the pivot, divided by it.
_width = optional(lambda reflecting, sides: 1 + sides, lambda reflecting, sides: 3 + sides)


def _set_side(yz: Any, rows: Any, row: Any) -> None:
    rows[row, 1] = yz


def _set_entry(reflecting: Any, found: Any, rows: Any, row: Any, sides: Any) -> None:
    rows[row, sides] = found[4]


def _set_entries(reflecting: Any, found: Any, rows: Any, row: Any, sides: Any) -> None:
    rows[row, sides], rows[row, sides + 1], rows[row, sides + 2] = found[4], found[5], found[3]


# One segment's pivot rows, and the next unknown of back substitution, given the two behind it.
_keep_side = optional(lambda yz, rows, row: None, _set_side)
_keep_entries = optional(_set_entry, _set_entries)
_unknown = optional(
    lambda reflecting, rows, row, which, sides, x1, x2: rows[row, which] - rows[row, sides] * x1,
    lambda reflecting, rows, row, which, sides, x1, x2: (
        (rows[row, which] - rows[row, sides] * x1 - rows[row, sides + 1] * x2) * rows[row, sides + 2]
    ),
)

_less = optional(lambda x, y: None, lambda x, y: x - y)
_links_of = optional(lambda probe, known, s: 0.0, lambda probe, known, s: known[s, LINKS, 1])


@kernel
def expand_segment(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    known: Array,
    first: Array,
    last: Array,
    kept: Array,
    s: int,
    x: Array,
) -> float:
    """Do what `expand` does to one segment; returns what it adds to the group's sum."""
    a, end = first[s], last[s]
    right = kept[s, RIGHT1] >= 0
    p0, _, _, pb, pz, q0, q1, _, qb, qz = first_rows(dl, d, du, b, probe, known, first, kept, s)
    zero = q0 * 0
    state = (p0, zero, None, None, pb, given(probe, pz), q0, q1, None, None, qb, given(probe, qz))
    sides = known.shape[2]
    rows = np.empty((end - a + 1, _width(reflecting, sides)), known.dtype)
    for j in range(a, end + 1):
        there = j < end or right
        after = j + 1 if there else j
        n0, n1, n2, nb, nz = zero, zero, zero, zero, zero
        if there:
            n0, n1, nb = dl[j] * 1, d[after] * 1, b[after] * 1
            if after < du.size:
                n2 = du[after] * 1
            nz = entry(probe, 2 + end - j + 1) * weight(s)
        if j == end:
            nb -= known[s, LINKS, 0]
            nz -= _links_of(probe, known, s)
        if (end - j + 1) % STEADY == 0:
            state = scaled(reflecting, state, FACTORS[(end - j + 1) // STEADY % 64])
        state, found = step(reflecting, state, n0, n1, n2, nb, given(probe, nz))
        rows[j - a, 0] = found[6]
        _keep_side(found[7], rows, j - a)
        _keep_entries(reflecting, found, rows, j - a, sides)
    total = 0.0
    for which in range(sides):
        x1, x2 = known[s, RIGHT1, which] * 1, known[s, RIGHT2, which] * 1
        for j in range(end, a - 1, -1):
            x1, x2 = _unknown(reflecting, rows, j - a, which, sides, x1, x2), x1
            if which == 0:
                x[j] = x1
                if not abs(x1) < np.inf:
                    total = np.nan
            else:
                total += abs(x1) * abs(x1)
    return total


@kernel
def plain_expand(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    known: Array,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    x: Array,
    squares: Array,
) -> None:
    """Do what `expand` does, one segment after another."""
    size = group_size_of(d)
    for group in range(begin, end):
        total = 0.0
        for place in range(group * size, min((group + 1) * size, lanes.size)):
            total += expand_segment(reflecting, dl, d, du, b, probe, known, first, last, kept, lanes[place], x)
        squares[group] = total


def _store_entry(reflecting: Any, rows: Any, at: Any, size: Any, found: Any) -> None:
    store(rows, at, found[4])


def _store_entries(reflecting: Any, rows: Any, at: Any, size: Any, found: Any) -> None:
    store(rows, at, found[4])
    store(rows, at + size, found[5])
    store(rows, at + 2 * size, found[3])


_put_entries = optional(_store_entry, _store_entries)


@borrowing
def _keep_pivot_row(reflecting: Any, rows: Any, at: Any, size: Any, sides: Any, found: Any) -> None:
    store(rows, at, found[6])
    stored(found[7], rows, at + size)
    _put_entries(reflecting, rows, at + sides * size, size, found)


def _next_unknown(reflecting: Any, rows: Any, side: Any, at: Any, size: Any, x1: Any, x2: Any) -> Any:
    rest = load(rows, side) - load(rows, at + size) * x2
    return (rest - load(rows, at) * x1) * load(rows, at + 2 * size)


# The next unknown of back substitution, given the two behind it.
_substituted = optional(
    lambda reflecting, rows, side, at, size, x1, x2: load(rows, side) - load(rows, at) * x1, _next_unknown
)


def _probed_too(probe: Any, reflecting: Any, rows: Any, at: Any, size: Any, behind: Any) -> Any:
    x1, x2, total = behind
    x1, x2 = _substituted(reflecting, rows, at + size, at + 2 * size, size, x1, x2), x1
    return x1, x2, total + x1 * x1


def _held_back(probe: Any, new: Any, old: Any, active: Any) -> Any:
    return new[0], new[1], choose(active, new[2], old[2])


def _summed(probe: Any, one: Any, other: Any, scratch: Any, line: Any, size: Any, used: Any) -> float:
    store(scratch, line, one[2])
    store(scratch, line + size // 2, other[2])
    result = 0.0
    for lane in range(used):
        result += scratch[line + lane]
    return result


# For the probe: the next unknown, the one behind it, and the sum of the squares; what it is where a segment has not
# begun; and the sum over the lanes in use.
_probe_substituted = optional(lambda probe, reflecting, rows, at, size, behind: behind, _probed_too)
_probe_held = optional(lambda probe, new, old, active: old, _held_back)
_square_sum = optional(lambda probe, one, other, scratch, line, size, used: 0.0, _summed)


@vector_kernel(plain_expand)
def expand(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    known: Array,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    x: Array,
    squares: Array,
) -> None:
    """Fill in `x`, (n,), at the columns of the segments of the groups `begin` ... `end` - 1, from the kept columns.

    ``known[s]``, (5, 1 or 2), holds what is known around segment s, for `b` and for the probe: x at the kept columns
    a - 2, a - 1, b + 1, b + 2 (zero where there is none), and the sum of the links in row b + 1 times x.
    ``squares[group]`` becomes the sum of the squares of the probe's solution, 0 without a probe; and NaN where an entry
    of `x` is not finite.
    """
    size = group_size_of(d)
    half = size // 2
    tiny = 1e-280 if d.itemsize == 8 else 1e-30
    far = d.size > BEYOND_CACHE
    starts = np.empty(2 * size, np.int64)
    tile = np.empty(4 * ROWS * size + half, d.dtype)
    place = aligned(tile)
    scratch = np.empty(LINES * size + half, d.dtype)
    line = aligned(scratch)
    # The pivot rows of a group.
    longest = 0
    for group in range(begin, end):
        for lane in range(size):
            s = segment_of(lanes, group, size, lane)
            longest = max(longest, last[s] - first[s] + 1)
    sides = known.shape[2]
    width = _width(reflecting, sides) * size
    kept_rows = np.empty((longest + half) * width + half, d.dtype)
    origin = aligned(kept_rows)
    for group in range(begin, end):
        steps, apart, safe = set_out(
            dl, d, du, b, probe, known, first, last, kept, lanes, group, size, starts, scratch, line
        )
        one = begun(scratch, line, size, b, probe, None)
        other = begun(scratch, line + half, size, b, probe, None)
        starting, starting_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        weights, weights_other = load(scratch, line + WEIGHT * size), load(scratch, line + WEIGHT * size + half)
        fine = less(starting, np.inf)
        none = starting * 0.0
        links, links_other = none, none
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            load_tile(dl, d, du, b, starts, chunk, rows, safe, tile, place, size)
            if chunk + rows == steps:
                end_chains(lanes, group, size, kept, tile, place + (rows - 1) * size)
                for lane in range(size):
                    s = segment_of(lanes, group, size, lane)
                    tile[place + (3 * ROWS + rows - 1) * size + lane] -= known[s, LINKS, 0]
                    scratch[line + P0 * size + lane] = _links_of(probe, known, s)
            if x.size > BEYOND_CACHE and chunk + rows == steps:
                for lane in range(size):
                    for row in range(0, ROWS, half):
                        prefetch(x, starts[lane] + chunk + row)
            for row in range(rows):
                if far:
                    look_ahead(dl, d, du, b, starts, chunk, row, size)
                at_step = chunk + row
                at = place + row * size
                to = origin + at_step * width
                rest = 2 + steps - at_step
                factor = FACTORS[(steps - at_step) // STEADY % 64]
                if rest == 3:
                    links, links_other = load(scratch, line + P0 * size), load(scratch, line + P0 * size + half)
                nz = _less(probed(probe, rest, weights), links)
                nz_other = _less(probed(probe, rest, weights_other), links_other)
                if at_step < apart:
                    late, late_other = less(starting, at_step + 0.5), less(starting_other, at_step + 0.5)
                    before, before_other = one, other
                    if row % STEADY == 0:
                        one, other = scaled(reflecting, one, factor), scaled(reflecting, other, factor)
                    one, other, found, found_other = pair(reflecting, one, other, tile, at, size, b, nz, nz_other)
                    one, other = held(one, before, late), held(other, before_other, late_other)
                    valid = choose(late, sound(reflecting, found[8], tiny, fine), fine)
                    valid_other = choose(late_other, sound(reflecting, found_other[8], tiny, fine), fine)
                    fine = both(fine, both(valid, valid_other))
                else:
                    if row % STEADY == 0:
                        one, other = scaled(reflecting, one, factor), scaled(reflecting, other, factor)
                    one, other, found, found_other = pair(reflecting, one, other, tile, at, size, b, nz, nz_other)
                    valid = sound(reflecting, found[8], tiny, fine)
                    fine = both(fine, both(valid, sound(reflecting, found_other[8], tiny, fine)))
                _keep_pivot_row(reflecting, kept_rows, to, size, sides, found)
                _keep_pivot_row(reflecting, kept_rows, to + half, size, sides, found_other)
        used = min(size, lanes.size - group * size)
        if not every(fine):
            total = 0.0
            for lane in range(used):
                s = lanes[group * size + lane]
                total += expand_segment(reflecting, dl, d, du, b, probe, known, first, last, kept, s, x)
            squares[group] = total
            continue
        for lane in range(size):
            s = segment_of(lanes, group, size, lane)
            for which in range(sides):
                scratch[line + 2 * which * size + lane] = known[s, RIGHT1, which]
                scratch[line + (2 * which + 1) * size + lane] = known[s, RIGHT2, which]
        x1, x2 = load(scratch, line), load(scratch, line + size)
        y1, y2 = load(scratch, line + half), load(scratch, line + size + half)
        z = load(scratch, line + 2 * size), load(scratch, line + 3 * size), none
        z_other = load(scratch, line + 2 * size + half), load(scratch, line + 3 * size + half), none
        # Zero, and NaN once an entry of x is not finite.
        trace, trace_other = none, none
        for top in range((steps - 1) // ROWS * ROWS, -1, -ROWS):
            rows = min(ROWS, steps - top)
            if x.size > BEYOND_CACHE and top > 0:
                for lane in range(size):
                    for row in range(0, ROWS, half):
                        prefetch(x, starts[lane] + top - ROWS + row)
            for row in range(rows - 1, -1, -1):
                at = origin + (top + row) * width
                entries = at + sides * size
                x1, x2 = _substituted(reflecting, kept_rows, at, entries, size, x1, x2), x1
                y1, y2 = _substituted(reflecting, kept_rows, at + half, entries + half, size, y1, y2), y1
                before, before_other = z, z_other
                z = _probe_substituted(probe, reflecting, kept_rows, at, size, z)
                z_other = _probe_substituted(probe, reflecting, kept_rows, at + half, size, z_other)
                store(tile, place + row * size, x1)
                store(tile, place + row * size + half, y1)
                if top + row >= apart:
                    trace, trace_other = trace + x1 * 0.0, trace_other + y1 * 0.0
                else:
                    late, late_other = less(starting, top + row + 0.5), less(starting_other, top + row + 0.5)
                    trace = choose(late, trace + x1 * 0.0, trace)
                    trace_other = choose(late_other, trace_other + y1 * 0.0, trace_other)
                    z = _probe_held(probe, z, before, late)
                    z_other = _probe_held(probe, z_other, before_other, late_other)
            bring_back(x, starts, top, rows, apart, tile, place, size, used, scratch, line)
        total = _square_sum(probe, z, z_other, scratch, line, size, used)
        store(scratch, line, trace + trace_other)
        for lane in range(half):
            total += scratch[line + lane]
        squares[group] = total
