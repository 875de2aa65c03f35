r"""Solving again with long bands that have links: what stands between the two replays of a segment's reflections.

The steps are those of `stridiag._kernels.band_replay`, of `stridiag._kernels.front_replay`, and between the two, which
`stridiag.factorization.linked_lanes` takes one after another for what has no notes. `solve` takes them in one call:
calls by themselves, and a thread's waking, take a good part of the time that the steps take. Results are the same.

The right-hand side is only read: the rows of a segment that kept unknowns contribute to are its first w and its last,
which are copied.

Cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.band_replay import fold, unfold
from stridiag._kernels.compile import kernel
from stridiag._kernels.front_replay import solve as solve_fronts

__all__ = ["between", "finish", "solve", "subtract_links"]

Array = NDArray[Any]
Row = tuple[Any, ...]


@kernel
def subtract_links(rows: Array, kept: Array, values: Array, z: Array, x: Array) -> None:
    """Subtract from rows of `x`, (r, n), what kept unknowns `z`, (k, r), give to them by links."""
    for e in range(rows.size):
        for side in range(x.shape[0]):
            x[side, rows[e]] -= values[e] * z[kept[e], side]


@kernel
def between(
    lower: int,
    segments: tuple[Array, Array, Array, Array, Array],
    reduced: tuple[Array, Array, Array, Array],
    rooms: tuple[int, int],
    kept: tuple[Array, Array, Array, Array],
    links: tuple[Array, Array, Array],
    b: Array,
    carried: Array,
    right: Array,
    edges: Array,
    z: Array,
) -> None:
    """Solve the reduced system for the kept unknowns `z`, (k,), and fill `right` and `edges` of `unfold`.

    Parameters
    ----------
    lower : int
    segments : tuple of ndarray
        ``flat``, ``base``, ``starts``, ``lengths`` and ``places`` of `stridiag._kernels.band_lanes`.
    reduced : tuple of ndarray
        ``heads``, ``behind``, ``turns``, ``upper`` of `stridiag._kernels.front_replay`.
    rooms : tuple of int
        Lengths of its array and of its work space.
    kept : tuple of ndarray
        Where the right-hand sides of the reduced system's rows go in that array, of those that are rows of the matrix
        and of those that segments leave, (segments, w); which rows of the matrix these are; and the index among the
        kept columns of each unknown of the reduced system, in the order of elimination.
    links : tuple of ndarray
        Segments, indices among the kept columns, and values of the links in last rows of segments.
    b, carried : ndarray, (n,) and (segments, 1, w)
        The right-hand side, and what `fold` made of it.
    """
    flat, base, starts, lengths, places = segments
    heads, behind, turns, upper = reduced
    own_places, left_places, own_rows, columns = kept
    link_segments, link_kept, values = links
    w, count = right.shape[2], places.size
    room, found = np.zeros(rooms[0]), np.empty(columns.size)
    for i in range(own_rows.size):
        room[own_places[i]] = b[own_rows[i]]
    for s in range(count):
        for i in range(w):
            room[left_places[s, i]] = carried[s, 0, i]
    solve_fronts(heads, behind, turns, upper, room, found, np.empty(rooms[1]))
    for k in range(columns.size):
        z[columns[k]] = found[k]
    for s in range(count):
        top, place = starts[s] - (w - lower), places[s]
        for i in range(w):
            right[s, 0, i] = z[place + i]
            edges[s, i] = b[top + i]
        edges[s, w] = b[starts[s] + lengths[s] - 1 + lower]
        for d in range(w):
            if base[d] != ABSENT:
                for i in range(w - d):
                    edges[s, i] -= flat[base[d] + top + i] * z[place - w + i + d]
    for e in range(link_segments.size):
        edges[link_segments[e], w] -= values[e] * z[link_kept[e]]
    # Repetitions of the last segment.
    for s in range(count, starts.size):
        right[s] = right[count - 1]
        edges[s] = edges[count - 1]


@kernel
def finish(starts: Array, at: Array, z: Array, x: Array) -> bool:
    """Put kept unknowns into their rows `at` of `x`, (n,), and return whether all numbers of this are finite.

    Back substitution makes all before one that is not finite like it, so the first of each segment tells.
    """
    fine = True
    for k in range(at.size):
        x[at[k]] = z[k]
        fine &= abs(z[k]) < np.inf
    for s in range(starts.size):
        fine &= abs(x[starts[s]]) < np.inf
    return fine


@kernel
def solve(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    segments: tuple[Array, Array, Array, Array, Array],
    notes: tuple[Array, Array, Array],
    reduced: tuple[Array, Array, Array, Array],
    rooms: tuple[int, int],
    kept: tuple[Array, Array, Array, Array],
    links: tuple[Array, Array, Array],
    at: Array,
    b: Array,
    x: Array,
    work: Array,
) -> bool:
    """Fill `x`, (n,), with the solution for a right-hand side `b`, in class order; return whether it is finite.

    `x` may be `b` itself.

    Parameters
    ----------
    width, lanes, lower
        As `stridiag._kernels.band_lanes` takes them.
    segments, reduced, rooms, kept, links : tuple
        As `between` takes them.
    notes : tuple of ndarray
        ``before``, ``turns``, ``pivots`` of `stridiag._kernels.band_replay`.
    at : ndarray
        Rows of the kept columns.
    work : ndarray
        As much as `fold` and `unfold` take.
    """
    starts, lengths = segments[2], segments[3]
    before, turns, pivots = notes
    w, groups = len(width), before.size - 1
    carried, right = np.empty((2, starts.size, 1, w))
    edges, z = np.empty((starts.size, w + 1)), np.empty(at.size)
    fold(width, lanes, lower, starts, lengths, 0, groups, before, turns, b, carried, work)
    between(lower, segments, reduced, rooms, kept, links, b, carried, right, edges, z)
    unfold(width, lanes, lower, starts, lengths, 0, groups, before, turns, pivots, b, edges, right, x, work)
    return finish(starts, at, z, x)
