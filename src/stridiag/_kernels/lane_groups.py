"""Groups of segments in the lanes of vectors: where they begin, and how their rows get into registers and back.

A group is two vectors of segments, so that one computes while the other waits for its square root. Segments of a group
may differ in length: all end together, and a lane whose segment is shorter waits for its first column. Rows pass
through a tile of 32, transposed in registers, under masks at the ends of the arrays and before a segment begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag._kernels.compile import borrowing
from stridiag._kernels.condensation import RIGHT1
from stridiag._kernels.lane_steps import first_rows, given, optional, step, weight
from stridiag._kernels.partial_moves import gather_inside, scatter_from
from stridiag._kernels.vectors import BYTES, gather, load, prefetch, scatter, splat, store

__all__ = [
    "BEGIN",
    "BEYOND_CACHE",
    "LINES",
    "P0",
    "PB",
    "PW1",
    "PW2",
    "QB",
    "QW2",
    "ROWS",
    "WEIGHT",
    "aligned",
    "ask_for",
    "begun",
    "bring",
    "bring_back",
    "end_chains",
    "group_size",
    "group_size_of",
    "load_tile",
    "loaded",
    "look_ahead",
    "pair",
    "probed",
    "segment_of",
    "set_out",
    "stored",
]

ROWS = 32
"""Rows of a tile."""

BEYOND_CACHE = 30_000
"""Entries of an array from which on lines are asked for before they are needed, the next group's while one is computed
with: four such arrays fill the cache of a core, and sixteen lanes of each are more than it follows by itself."""

LINES = 14
"""Lines of the scratch of a group: one number for each lane. What its carried rows begin with, and what they become."""

P0, PW1, PW2, PB, PZ, Q0, Q1, QW2, QB, QZ, BEGIN, WEIGHT = range(12)

# What is asked for, or None: the probe's entry in a row, a vector of the tile, a vector put away.
probed = optional(lambda probe, place, weights: None, lambda probe, place, weights: splat(probe, place) * weights)
loaded = optional(lambda asked, tile, place: None, lambda asked, tile, place: load(tile, place))
stored = optional(lambda x, array, place: None, lambda x, array, place: store(array, place, x))


def group_size(dtype: np.dtype[Any]) -> int:
    """Return how many segments a group has."""
    return 2 * BYTES // dtype.itemsize


@borrowing
def group_size_of(array: Any) -> Any:
    """Return how many segments a group has, for the numbers of an array."""
    return 2 * BYTES // array.itemsize


@borrowing
def segment_of(lanes: Any, group: Any, size: Any, lane: Any) -> Any:
    """Return the segment in a lane; in the last group the last one stands in for those that are missing."""
    return lanes[min(group * size + lane, lanes.size - 1)]


@borrowing
def aligned(array: Any) -> Any:
    """Return the first place of an array at a multiple of 64 bytes; it has room for a vector more than is used."""
    return (-(array.ctypes.data // array.itemsize)) % (BYTES // array.itemsize)


@borrowing
def set_out(
    dl: Any,
    d: Any,
    du: Any,
    b: Any,
    probe: Any,
    known: Any,
    first: Any,
    last: Any,
    kept: Any,
    lanes: Any,
    group: Any,
    size: Any,
    starts: Any,
    scratch: Any,
    line: Any,
) -> tuple[Any, Any, Any]:
    """Write down where the lanes of a group begin, and with which two rows.

    And, behind these, where those of the next group do. Returns the number of steps, that of those which not all lanes
    take, and whether vectors may be loaded throughout.
    """
    longest = 0
    shortest = d.size
    low, high = d.size, 0
    for lane in range(size):
        s = segment_of(lanes, group, size, lane)
        longest = max(longest, last[s] - first[s] + 1)
        shortest = min(shortest, last[s] - first[s] + 1)
    half = size // 2
    steps = (longest + half - 1) // half * half
    for lane in range(size):
        s = segment_of(lanes, group, size, lane)
        starts[lane] = last[s] + 1 - steps
        starts[size + lane] = last[segment_of(lanes, group + 1, size, lane)] + 1 - steps
        low = min(low, starts[lane])
        high = max(high, last[s] + 1)
        p0, pw1, pw2, pb, pz, q0, q1, qw2, qb, qz = first_rows(dl, d, du, b, probe, known, first, kept, s)
        at = line + lane
        scratch[at + P0 * size], scratch[at + PW1 * size], scratch[at + PW2 * size] = p0, pw1, pw2
        scratch[at + Q0 * size], scratch[at + Q1 * size], scratch[at + QW2 * size] = q0, q1, qw2
        scratch[at + PB * size], scratch[at + PZ * size], scratch[at + QB * size], scratch[at + QZ * size] = (
            pb,
            pz,
            qb,
            qz,
        )
        scratch[at + BEGIN * size] = steps - (last[s] - first[s] + 1)
        scratch[at + WEIGHT * size] = weight(s)
    # The super-diagonal may be one shorter than the main one.
    return steps, steps - shortest, low >= 0 and high < min(d.size, du.size)


@borrowing
def begun(scratch: Any, at: Any, size: Any, b: Any, probe: Any, fill: Any) -> Any:
    """Return the two rows that half a group begins with."""
    zero = load(scratch, at + Q0 * size) * 0.0
    return (
        load(scratch, at + P0 * size),
        zero,
        given(fill, load(scratch, at + PW1 * size)),
        given(fill, load(scratch, at + PW2 * size)),
        given(b, load(scratch, at + PB * size)),
        given(probe, load(scratch, at + PZ * size)),
        load(scratch, at + Q0 * size),
        load(scratch, at + Q1 * size),
        given(fill, zero),
        given(fill, load(scratch, at + QW2 * size)),
        given(b, load(scratch, at + QB * size)),
        given(probe, load(scratch, at + QZ * size)),
    )


@borrowing
def bring(array: Any, starts: Any, shift: Any, rows: Any, safe: Any, tile: Any, place: Any, size: Any) -> None:
    """Bring `rows` rows of all lanes of a group into the tile, from `shift` behind the lanes' starts."""
    if array is None:
        return
    half = size // 2
    if safe:
        for row in range(0, rows, half):
            gather(array, starts, 0, shift + row, tile, place + row * size, size)
            gather(array, starts, half, shift + row, tile, place + row * size + half, size)
    else:
        for row in range(0, rows, half):
            gather_inside(array, starts, 0, shift + row, tile, place + row * size, size)
            gather_inside(array, starts, half, shift + row, tile, place + row * size + half, size)


@borrowing
def ask_for(array: Any, place: Any) -> None:
    """Ask for what a tile holds of one lane."""
    if array is not None:
        for row in range(0, ROWS, BYTES // array.itemsize):
            prefetch(array, place + row)


@borrowing
def look_ahead(dl: Any, d: Any, du: Any, b: Any, starts: Any, chunk: Any, row: Any, size: Any) -> None:
    """Ask, while one row of a tile is computed with, for a share of what this tile holds in the next group.

    All at once would be more than can be under way.
    """
    lane = row & (size - 1)
    place = starts[size + lane] + chunk
    if row == lane:
        ask_for(dl, place)
        ask_for(d, place)
    if row != lane or size == ROWS:
        ask_for(du, place)
        ask_for(b, place)


@borrowing
def load_tile(
    dl: Any, d: Any, du: Any, b: Any, starts: Any, step: Any, rows: Any, safe: Any, tile: Any, place: Any, size: Any
) -> None:
    """Bring the rows that come in at `rows` steps into the tile: row j + 1 at the step of column j."""
    bring(dl, starts, step, rows, safe, tile, place, size)
    bring(d, starts, step + 1, rows, safe, tile, place + ROWS * size, size)
    bring(du, starts, step + 1, rows, safe, tile, place + 2 * ROWS * size, size)
    bring(b, starts, step + 1, rows, safe, tile, place + 3 * ROWS * size, size)


@borrowing
def pair(
    reflecting: Any, one: Any, other: Any, tile: Any, at: Any, size: Any, b: Any, nz: Any, nz_other: Any
) -> tuple[Any, Any, Any, Any]:
    """Take one step with both halves of a group, with the row of the tile that begins at a place."""
    half = size // 2
    one, found = step(
        reflecting,
        one,
        load(tile, at),
        load(tile, at + ROWS * size),
        load(tile, at + 2 * ROWS * size),
        loaded(b, tile, at + 3 * ROWS * size),
        nz,
    )
    other, found_other = step(
        reflecting,
        other,
        load(tile, at + half),
        load(tile, at + ROWS * size + half),
        load(tile, at + 2 * ROWS * size + half),
        loaded(b, tile, at + 3 * ROWS * size + half),
        nz_other,
    )
    return one, other, found, found_other


@borrowing
def end_chains(lanes: Any, group: Any, size: Any, kept: Any, tile: Any, place: Any) -> None:
    """Clear the last row of the tile in the lanes of segments that end their chain: no row comes in there."""
    for lane in range(size):
        if kept[segment_of(lanes, group, size, lane), RIGHT1] < 0:
            for part in range(4):
                tile[place + part * ROWS * size + lane] = 0.0


@borrowing
def bring_back(
    x: Any,
    starts: Any,
    top: Any,
    rows: Any,
    apart: Any,
    tile: Any,
    place: Any,
    size: Any,
    used: Any,
    scratch: Any,
    line: Any,
) -> None:
    """Bring `rows` rows of the tile to x, but for those that come before the segment of a lane, and idle lanes."""
    half = size // 2
    for row in range(0, rows, half):
        if top + row >= apart and used == size:
            scatter(x, starts, 0, top + row, tile, place + row * size, size)
            scatter(x, starts, half, top + row, tile, place + row * size + half, size)
        elif used == size:
            begins = line + BEGIN * size
            scatter_from(x, starts, 0, top + row, tile, place + row * size, size, scratch, begins)
            scatter_from(x, starts, half, top + row, tile, place + row * size + half, size, scratch, begins + half)
        else:
            for lane in range(used):
                for each in range(row, row + half):
                    if top + each >= scratch[line + BEGIN * size + lane]:
                        x[starts[lane] + top + each] = tile[place + each * size + lane]
