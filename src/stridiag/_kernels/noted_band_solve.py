r"""Solving again with bands of some thousand rows that have links: all steps in one call.

The steps are those of `stridiag._kernels.band_replay`, of `stridiag._kernels.front_replay`, and between the two, which
`stridiag.factorization.linked_lanes` takes one after another for longer bands, on several threads. For some thousand
rows the calls by themselves, and a thread's waking, take as long as the steps. Results are the same.

Cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import place_known
from stridiag._kernels.band_replay import fold, unfold
from stridiag._kernels.compile import kernel
from stridiag._kernels.front_replay import solve as solve_fronts

__all__ = ["solve", "subtract_links"]

Array = NDArray[Any]
Row = tuple[Any, ...]


@kernel
def subtract_links(rows: Array, kept: Array, values: Array, z: Array, x: Array) -> None:
    """Subtract from rows of `x`, (r, n), what kept unknowns `z`, (k, r), give to them by links."""
    for e in range(rows.size):
        for side in range(x.shape[0]):
            x[side, rows[e]] -= values[e] * z[kept[e], side]


@kernel
def solve(
    x: Array,
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    segments: tuple[Array, Array, Array, Array, Array],
    notes: tuple[Array, Array, Array],
    reduced: tuple[Array, Array, Array, Array],
    rooms: tuple[int, int],
    kept: tuple[Array, Array, Array, Array],
    links: tuple[Array, Array, Array],
    sizes: tuple[int, int],
    at: Array,
) -> None:
    """Overwrite a right-hand side `x`, (1, n), in class order, with the solution.

    Parameters
    ----------
    width, lanes, lower
        As `stridiag._kernels.band_lanes` takes them.
    segments : tuple of ndarray
        ``flat``, ``base``, ``starts``, ``lengths`` and ``places`` of it.
    notes : tuple of ndarray
        ``before``, ``turns``, ``pivots`` of `stridiag._kernels.band_replay`.
    reduced : tuple of ndarray
        ``heads``, ``behind``, ``turns``, ``upper`` of `stridiag._kernels.front_replay`.
    rooms : tuple of int
        Lengths of its array and of its work space.
    kept : tuple of ndarray
        Where the right-hand sides of the reduced system's rows go in that array, of those that are rows of the matrix
        and of those that segments leave, (segments, w); which rows of the matrix these are; and the kept column of
        each unknown of the reduced system, in the order of elimination, as an index among the next.
    links : tuple of ndarray
        Rows, indices among the kept columns, and values of the links in last rows of segments.
    sizes : tuple of int
        How much work space `fold` and `unfold` take.
    at : ndarray
        Rows of the kept columns.
    """
    flat, base, starts, lengths, places = segments
    before, turns, pivots = notes
    heads, behind, front_turns, upper = reduced
    own_places, left_places, own_rows, columns = kept
    link_rows, link_kept, values = links
    w, groups, side = len(width), before.size - 1, x[0]
    carried = np.empty((starts.size, 1, w))
    # Lanes that wait read what stands there, and must find numbers.
    work = np.zeros(max(sizes[0], sizes[1]))
    fold(width, lanes, lower, starts, lengths, 0, groups, before, turns, side, carried, work)
    room, found = np.zeros(rooms[0]), np.empty(columns.size)
    for i in range(own_rows.size):
        room[own_places[i]] = side[own_rows[i]]
    for s in range(left_places.shape[0]):
        for i in range(w):
            room[left_places[s, i]] = carried[s, 0, i]
    solve_fronts(heads, behind, front_turns, upper, room, found, np.empty(rooms[1]))
    z = np.empty((columns.size, 1))
    for k in range(columns.size):
        z[columns[k], 0] = found[k]
    right = np.empty((starts.size, 1, w))
    place_known(lower, w, flat, base, starts, places, z, x, right)
    subtract_links(link_rows, link_kept, values, z, x)
    unfold(width, lanes, lower, starts, lengths, 0, groups, before, turns, pivots, side, right, work)
    for k in range(at.size):
        side[at[k]] = z[k, 0]
