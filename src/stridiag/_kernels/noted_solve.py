r"""Solving again with chains of some thousand rows: all steps from one vector to the other in one call.

The steps are those of `stridiag._kernels.chain_order`, `stridiag._kernels.lane_replay`,
`stridiag._kernels.kept_columns`, `stridiag._kernels.separator_tree` and of the reduced system, which
`stridiag.factorization.sweeps` calls one after another, on several threads where that pays. For some thousand rows it
does not, and the calls by themselves take a quarter of the time. So what the plan says of the kept columns comes in one
array of integers, the `program`, as in `stridiag._kernels.condensed_solve`, what is kept of the numbers in another, the
`store`; and the notes as they are.

Cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.chain_order import from_chains, to_chains
from stridiag._kernels.compile import borrowing, inlined, kernel
from stridiag._kernels.front_panels import HEAD as PANEL_HEAD
from stridiag._kernels.front_panels import solve as solve_by_lu
from stridiag._kernels.front_replay import HEAD
from stridiag._kernels.front_replay import solve as solve_by_qr
from stridiag._kernels.kept_columns import core_sides
from stridiag._kernels.lane_replay import fold, unfold
from stridiag._kernels.lane_substitution import LINKS as SUMS
from stridiag._kernels.markowitz_solve import solve as solve_by_markowitz
from stridiag._kernels.row_pairs import rotate_sides
from stridiag._kernels.separator_tree import WIDTH, reflect_nodes, substitute_nodes
from stridiag._kernels.vectors import multiply_add

__all__ = ["BY_LU", "BY_MARKOWITZ", "BY_QR", "NOTHING", "solve"]

Array = NDArray[Any]

NOTHING, BY_QR, BY_LU, BY_MARKOWITZ = range(4)
"""How the reduced system is factored."""

# The parts of a program, in the order in which they stand; before them where each begins, and where the last one ends.
# Where chains begin and end is there if there are several.
KIND, PLACES, AROUND, TAIL, LINK_START, LINK_KEPT, COLUMNS, NEIGHBOURS, LEFTOVER, CORE_PLACES, CORE = range(11)
LINK_SEGMENT, CHAINS = 11, 12
# Of QR in fronts its heads, what is behind the pivots, and the places of rows; the core is in the order of elimination.
# Of LU in fronts the heads of its panels, what is behind pivots, the places of rows and columns, and the pairs. Behind
# the kind then the lengths of the array of the places and of the work space. Of LU by Markowitz's rule its sizes,
# entries, the places of rows and columns, and the pairs.
FIRST, SECOND, THIRD, FOURTH = range(13, 17)
# The parts of the store: of QR in fronts the turns and the upper factor, of LU the numbers, cosines and sines; the
# nodes, and the links; of LU the numbers of panels, lower and upper.
NUMBERS, TURNS, MORE, NODES, LINKS, LOWER, UPPER = range(7)


@inlined
def _part(table: Array, starts: Array, k: int) -> Array:
    return table[starts[k] : starts[k + 1]]


@inlined
def _table(table: Array, starts: Array, k: int, width: int) -> Array:
    part = table[starts[k] : starts[k + 1]]
    return part.reshape(part.size // width, width)


@kernel
def _solve_reduced(program: Array, store: Array, starts: Array, x: Array, z: Array) -> None:
    """Solve for `z`, (r, 1); `x` is used up."""
    numbers, turns = _part(store, starts, NUMBERS), _part(store, starts, TURNS)
    first, second = _part(program, program, FIRST), _part(program, program, SECOND)
    kind = program[KIND]
    # What is passed on to it, and what fills up vectors, is zero at first.
    sides, work = np.zeros(program[kind + 1]), np.empty(program[kind + 2])
    if program[kind] == BY_QR:
        rows = _part(program, program, THIRD)
        for i in range(x.size):
            sides[np.uint64(rows[i])] = x[i, 0]
        heads = first.reshape(first.size // HEAD, HEAD)
        solve_by_qr(heads, second, numbers, turns, sides, z.reshape(z.size), work)
        return
    rotate_sides(_table(program, program, FOURTH, 3), turns, _part(store, starts, MORE), x)
    places = _part(program, program, THIRD).reshape(2, x.size)
    if program[kind] == BY_MARKOWITZ:
        solve_by_markowitz(places, first, second, numbers, x, work, z)
    else:
        lower, upper = _part(store, starts, LOWER), _part(store, starts, UPPER)
        solve_by_lu(
            first.reshape(first.size // PANEL_HEAD, PANEL_HEAD),
            second.reshape(2, second.size // 2),
            places,
            numbers,
            lower,
            upper,
            x,
            sides.reshape(1, sides.size),
            work,
            z,
        )


@borrowing
def _spread(
    columns: Array, around: Array, link_segment: Array, link_kept: Array, links: Array, z: Array, known: Array, x: Array
) -> Any:
    """Do what `stridiag._kernels.kept_columns.spread` does, for one right-hand side and by lists.

    `z` has a zero behind its numbers, which `around` names where a segment has no neighbour, and in place of links.
    """
    # Places are unsigned, or each would be looked at whether it counts from the end.
    total = 0.0
    for k in range(columns.size):
        x[np.uint64(columns[k])] = z[k]
        if not abs(z[k]) < np.inf:
            total = np.nan
    for k in range(around.size):
        known[k] = z[np.uint64(around[k])]
    for link in range(links.size):
        # Several links of a segment stand one behind the other.
        place = np.uint64(5 * link_segment[link] + SUMS)
        known[place] = multiply_add(links[link], z[np.uint64(link_kept[link])], known[place])
    return total


@kernel
def _solve_in_chain_order(
    reflecting: bool | None,
    program: Array,
    starts: Array,
    store: Array,
    b: Array,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    pivots: Array,
    x: Array,
) -> Any:
    """Do what `solve` does with vectors in the order of the chains."""
    nodes, links = _table(store, starts, NODES, WIDTH), _part(store, starts, LINKS)
    places, around = _table(program, program, PLACES, 4), _table(program, program, AROUND, 6)
    tail, neighbours = _part(program, program, TAIL), _part(program, program, NEIGHBOURS)
    link_start, link_kept = _part(program, program, LINK_START), _part(program, program, LINK_KEPT)
    columns, core = _part(program, program, COLUMNS), _part(program, program, CORE)
    segments, count, r = neighbours.size // 5, groups.shape[0], core.size
    room = np.empty(7 * segments + 2 * r + columns.size + 1 + count)
    sides, known = room[: 2 * segments], room[2 * segments : 7 * segments]
    rest = room[7 * segments :]
    right, found = rest[:r].reshape(r, 1), rest[r : 2 * r].reshape(r, 1)
    z = rest[2 * r : 2 * r + columns.size + 1]
    z[columns.size] = 0.0
    squares = rest[2 * r + columns.size + 1 :]
    fold(reflecting, b, groups, whole, real, turns, 0, count, sides.reshape(segments, 2, 1))
    flat = sides.reshape(2 * segments, 1)
    reflect_nodes(nodes, places, flat, False)
    if r:
        # There is no probe, whose numbers it could take.
        core_sides(_part(program, program, LEFTOVER), _part(program, program, CORE_PLACES), flat, b, b, right)
        _solve_reduced(program, store, starts, right, found)
        for i in range(r):
            z[np.uint64(core[i])] = found[i, 0]
    substitute_nodes(nodes, places, around, tail, link_start, link_kept, links, flat, z.reshape(z.size, 1))
    total = _spread(columns, neighbours, _part(program, program, LINK_SEGMENT), link_kept, links, z, known, x)
    unfold(reflecting, b, known.reshape(segments, 5, 1), groups, whole, real, turns, pivots, 0, count, x, squares)
    for group in range(count):
        total += squares[group]
    return total


@kernel
def solve(
    reflecting: bool | None,
    program: Array,
    starts: Array,
    store: Array,
    b: Array,
    groups: Array,
    whole: Array,
    real: Array,
    turns: Array,
    pivots: Array,
    x: Array,
) -> Any:
    """Put the solution for `b`, (n,), into `x`; return NaN if it is not finite, else zero.

    `starts` says where the parts of the store begin; `groups` to `pivots` are the notes, of reflections or not.
    """
    chains = _part(program, program, CHAINS)
    if not chains.size:
        return _solve_in_chain_order(reflecting, program, starts, store, b, groups, whole, real, turns, pivots, x)
    y = np.empty(x.size)
    to_chains(b, chains, x)
    total = _solve_in_chain_order(reflecting, program, starts, store, x, groups, whole, real, turns, pivots, y)
    from_chains(y, chains, x)
    return total
