r"""Chains with links: condensed, solved for one vector and probed in one call.

The steps are those of `stridiag._kernels.condensation`, `stridiag._kernels.separator_tree`,
`stridiag._kernels.reduced_sums` and `stridiag._kernels.front_householder`, which are called one after another; what
this adds is the way from the matrix's values by slot to the chains, and the ways in and out of the chains' order. For
systems of some hundred rows these small steps, made one by one from outside, take several times the arithmetic; and so
does handing over some thirty arrays. So what the plan says comes in one array of integers, the `program`, and what is
kept in one array of numbers, the `store`.

Values by slot: those of the diagonals -g, 0, g, one behind the other, and then the links. Storage and cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, spliced
from stridiag._kernels.condensation import condense
from stridiag._kernels.condensed_sides import back_substitute_few, reflect_few
from stridiag._kernels.front_householder import factor as factor_fronts
from stridiag._kernels.front_householder import reflect as reflect_fronts
from stridiag._kernels.front_householder import solve_upper
from stridiag._kernels.front_order import COLUMNS, VALUE_START
from stridiag._kernels.front_order import ROWS as FRONT_ROWS
from stridiag._kernels.front_order import WIDTH as FRONT_WIDTH
from stridiag._kernels.reduced_sums import add_up
from stridiag._kernels.separator_tree import WIDTH, eliminate, reflect_nodes, substitute_nodes

__all__ = ["factor_solve_probe", "sizes", "solve_vector"]

Array = NDArray[Any]

# The parts of a program, of a layout of `stridiag.planning.condensation`, its trees, its reduced system and that one's
# fronts, in the order in which they stand. Before them stands where each begins, and where the last one ends.
# NumPy's numbers: for each of Python's, which are types of their own, a helper would be compiled anew.
STRIDE, FIRST, LAST, NEIGHBOURS, LINK_START, LINK_KEPT, LINK_SLOTS, CHILDREN, SLOTS, AROUND, TAIL = np.arange(11)
KEPT, CORE, LEFTOVER, PLACE, SOURCES, LINKED, ENDS, SCATTER, FRONTS, POOL, RELATIVE, ROWS = np.arange(11, 23)
_TWO, _FOUR, _SIX, _NINE = np.array([2, 4, 6, FRONT_WIDTH])
_SOLUTION, _PROBE = np.arange(2)


@spliced
def _part(program: Array, k: Any) -> Array:
    return program[program[k] : program[k + 1]]


@spliced
def _table(program: Array, k: Any, width: Any) -> Array:
    part = program[program[k] : program[k + 1]]
    return part.reshape(part.size // width, width)


@spliced
def _size(program: Array, k: Any) -> Any:
    return program[k + 1] - program[k]


@spliced
def _stored(program: Array, store: Array, n: int) -> tuple[Array, Array, Array, Array, Array]:
    """Return rows, nodes, links, numbers of the fronts, and their tau: the parts of the store."""
    nodes, links, order = _size(program, TAIL), _size(program, LINK_SLOTS), _size(program, CORE)
    one = 8 * n
    two = one + WIDTH * nodes
    three = two + links
    four = store.size - order
    return (
        store[:one].reshape(n, 8),
        store[one:two].reshape(nodes, WIDTH),
        store[two:three],
        store[three:four],
        store[four:],
    )


@borrowing
def _to_chains(b: Array, g: int, x: Array, c: Any) -> int:
    """Put `b`, (n,), into column c of `x` in the order of the chains; return how many numbers are not finite."""
    k = 0
    strange = 0
    for first in range(g):
        for i in range(first, b.size, g):
            x[k, c] = b[i]
            strange += not abs(b[i]) < np.inf
            k += 1
    return strange


@borrowing
def _from_chains(x: Array, g: int, b: Array) -> None:
    """Undo `_to_chains` for column 0."""
    k = 0
    for first in range(g):
        for i in range(first, b.size, g):
            b[i] = x[k, 0]
            k += 1


@borrowing
def _fill(values: Array, g: int, dl: Array, d: Array, du: Array) -> None:
    """Fill ``dl, d, du``, (n,), in the order of the chains, zeros between them."""
    n = d.size
    k = 0
    for first in range(g):
        for i in range(first, n, g):
            more = i + g < n
            dl[k] = values[i] if more else 0.0
            d[k] = values[n - g + i]
            du[k] = values[2 * n - g + i] if more else 0.0
            k += 1


@spliced
def _solve(program: Array, store: Array, x: Array, scratch: Array) -> None:
    """Overwrite `x`, (n, 1 or 2), in the order of the chains, with the solutions."""
    n, m = x.shape
    rows, nodes, links, numbers, tau = _stored(program, store, n)
    first, last, neighbours = _part(program, FIRST), _part(program, LAST), _table(program, NEIGHBOURS, _FOUR)
    link_start, link_kept = _part(program, LINK_START), _part(program, LINK_KEPT)
    slots, around, tail = _table(program, SLOTS, _FOUR), _table(program, AROUND, _SIX), _part(program, TAIL)
    columns, core, leftover = _part(program, KEPT), _part(program, CORE), _part(program, LEFTOVER)
    fronts, pool, front_rows = _table(program, FRONTS, _NINE), _part(program, POOL), _part(program, ROWS)
    r, k = core.size, columns.size
    inner = scratch[: r * m].reshape(r, m)
    found = scratch[r * m : 2 * r * m].reshape(r, m)
    z = scratch[2 * r * m : (2 * r + k) * m].reshape(k, m)
    reflect_few(rows, first, last, neighbours, x)
    reflect_nodes(nodes, slots, x, False)
    for i in range(r):
        for c in range(m):
            inner[i, c] = x[leftover[i], c]
    reflect_fronts(fronts, front_rows, numbers, tau, inner, False)
    solve_upper(fronts, pool, front_rows, numbers, inner, found)
    for i in range(r):
        for c in range(m):
            z[core[i], c] = found[i, c]
    substitute_nodes(nodes, slots, around, tail, link_start, link_kept, links, x, z)
    back_substitute_few(rows, first, last, neighbours, (link_start, link_kept, links), z, x)
    for i in range(k):
        for c in range(m):
            x[columns[i], c] = z[i, c]


@spliced
def _factor(program: Array, values: Array, store: Array, scratch: Array, n: int) -> bool:
    """Fill the store; return whether no column was found to be dependent."""
    rows, nodes, links, numbers, tau = _stored(program, store, n)
    first, tail, place = _part(program, FIRST), _part(program, TAIL), _part(program, PLACE)
    slots, fronts = _part(program, LINK_SLOTS), _table(program, FRONTS, _NINE)
    segments, entries = first.size, _size(program, SCATTER)
    count = segments + tail.size
    dl, d, du = scratch[:n], scratch[n : 2 * n], scratch[2 * n : 3 * n]
    leftover = scratch[3 * n : 3 * n + 10 * count].reshape(count, 2, 5)
    sums = scratch[3 * n + 10 * count : 3 * n + 10 * count + entries]
    _fill(values, program[program[STRIDE]], dl, d, du)
    for i in range(links.size):
        links[i] = values[slots[i]]
    if condense(dl, d, du, first, _part(program, LAST), _table(program, NEIGHBOURS, _FOUR), rows, leftover) >= 0:
        return False
    if tail.size:
        work = scratch[3 * n + 10 * count : 3 * n + 10 * count + 28].reshape(4, 7)
        if eliminate(_table(program, CHILDREN, _TWO), segments, leftover, nodes, work) >= 0:
            return False
    for e in range(entries):
        sums[e] = 0.0
    sources, linked, ends = _part(program, SOURCES), _part(program, LINKED), _part(program, ENDS)
    add_up(values, dl, d, du, leftover, links, place, sources, linked, ends, sums)
    for e in range(numbers.size):
        numbers[e] = 0.0
    pool, relative = _part(program, POOL), _part(program, RELATIVE)
    info = factor_fronts(sums, _part(program, SCATTER), fronts, pool, relative, numbers, tau)
    return bool(info < 0)


@borrowing_kernel
def factor_solve_probe(
    program: Array, values: Array, b: Array, start: Array, store: Array, scratch: Array, x: Array
) -> Any:
    """Fill the store and the solution `x`, (n,), for the right-hand side `b`, all in double precision.

    `store` and `scratch` are as long as `sizes` says. Returns the 2-norm of the solution for the probe `start`; or NaN,
    after which there is no solution, if a column is dependent or `b` not finite.
    """
    n, g = b.size, program[program[STRIDE]]
    y = scratch[: 2 * n].reshape(n, 2)
    rest = scratch[2 * n :]
    if _to_chains(b, g, y, _SOLUTION) or not _factor(program, values, store, rest, n):
        return np.nan
    _to_chains(start, g, y, _PROBE)
    _solve(program, store, y, rest)
    _from_chains(y, g, x)
    squares = 0.0
    for i in range(n):
        squares += y[i, 1] * y[i, 1]
    return np.sqrt(squares)


@borrowing_kernel
def solve_vector(program: Array, b: Array, store: Array, scratch: Array, x: Array) -> bool:
    """Put the solution of ``A x = b``, both in the original order, (n,), into `x`, given the factors.

    `scratch` as above. Returns whether `b` is finite; if not, nothing is solved.
    """
    n, g = b.size, program[program[STRIDE]]
    y = scratch[:n].reshape(n, 1)
    if _to_chains(b, g, y, _SOLUTION):
        return False
    _solve(program, store, y, scratch[n:])
    _from_chains(y, g, x)
    return True


def sizes(program: Array, n: int) -> tuple[int, int]:
    """Return the lengths of a store and of its scratch for a program of order n."""
    part = np.diff(program[: ROWS + 2]).tolist()
    fronts = program[program[FRONTS] : program[FRONTS + 1]].reshape(-1, FRONT_WIDTH)
    numbers = 0
    if fronts.size:
        numbers = int(fronts[-1, VALUE_START] + fronts[-1, FRONT_ROWS] * fronts[-1, COLUMNS])
    store = 8 * n + WIDTH * part[TAIL] + part[LINK_SLOTS] + numbers + part[CORE]
    factor = 3 * n + 10 * (part[FIRST] + part[TAIL]) + max(part[SCATTER] + int(fronts[:, COLUMNS].max(initial=0)), 28)
    return store, 2 * n + max(factor, 2 * (2 * part[CORE] + part[KEPT]))
