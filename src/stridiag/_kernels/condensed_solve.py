r"""Chains with links: condensed, solved for one vector and probed in one call.

The steps are those of `stridiag._kernels.condensation`, `stridiag._kernels.separator_tree` and
`stridiag._kernels.small_qr`, which are called one after another; what this adds is the way from the matrix's values by
slot to the chains, the sums that make up the dense reduced system, and the ways in and out of the chains' order. For
systems of some hundred rows these small steps, made one by one from outside, take several times the arithmetic.

Values by slot: those of the diagonals -g, 0, g, one behind the other, and then the links. Storage and cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel, literal_kernel
from stridiag._kernels.condensation import back_substitute, condense, forward_substitute_adjoint, reflect
from stridiag._kernels.separator_tree import (
    eliminate,
    reflect_nodes,
    substitute_nodes,
    substitute_nodes_adjoint,
)
from stridiag._kernels.small_qr import factor as factor_dense
from stridiag._kernels.small_qr import reflect as reflect_dense
from stridiag._kernels.small_qr import solve_upper, solve_upper_adjoint

__all__ = ["factor_solve_probe", "solve_vector"]

Array = NDArray[Any]


@kernel
def _to_chains(b: Array, g: int, x: Array) -> int:
    """Put `b`, (n,), into `x`, (n, 1), in the order of the chains; return how many numbers are not finite."""
    k = 0
    strange = 0
    for c in range(g):
        for i in range(c, b.size, g):
            x[k, 0] = b[i]
            strange += not abs(b[i]) < np.inf
            k += 1
    return strange


@kernel
def _from_chains(x: Array, g: int, b: Array) -> None:
    """Undo `_to_chains`."""
    k = 0
    for c in range(g):
        for i in range(c, b.size, g):
            b[i] = x[k, 0]
            k += 1


@kernel
def _fill(values: Array, g: int, tridiagonal: Array) -> None:
    """Fill ``dl, d, du``, (3, n), in the order of the chains, zeros between them."""
    n = tridiagonal.shape[1]
    k = 0
    for c in range(g):
        for i in range(c, n, g):
            more = i + g < n
            tridiagonal[0, k] = values[i] if more else 0.0
            tridiagonal[1, k] = values[n - g + i]
            tridiagonal[2, k] = values[2 * n - g + i] if more else 0.0
            k += 1


@literal_kernel
def _assemble(
    values: Array, tridiagonal: Array, leftover: Array, links: Array, reduced: tuple[Array, ...], a: Array
) -> None:
    """Add up the dense reduced system `a`, which is zero before, from its sources one behind the other.

    No product is fused with the sum it goes into: numpy, which does the same elsewhere, would not.
    """
    place, carried, factor, link, below, main, above, slots = reduced
    flat, sums = leftover.reshape(leftover.size), a.reshape(a.size)
    k = 0
    for i in range(carried.size):
        sums[place[k]] += flat[carried[i]]
        k += 1
    for i in range(factor.size):
        sums[place[k]] += flat[factor[i]] * links[link[i]]
        k += 1
    for i in range(below.size):
        sums[place[k]] += tridiagonal[0, below[i]]
        k += 1
    for i in range(main.size):
        sums[place[k]] += tridiagonal[1, main[i]]
        k += 1
    for i in range(above.size):
        sums[place[k]] += tridiagonal[2, above[i]]
        k += 1
    for i in range(slots.size):
        sums[place[k]] += values[slots[i]]
        k += 1


@kernel
def _solve(
    segments: tuple[Array, ...],
    last_row_links: tuple[Array, ...],
    tree: tuple[Array, ...],
    kept: tuple[Array, ...],
    rows: Array,
    nodes: Array,
    links: Array,
    a: Array,
    tau: Array,
    x: Array,
    z: Array,
    core_part: Array,
) -> None:
    """Overwrite `x`, (n, 1), in the order of the chains, with the solution; `z`, (k, 1), `core_part`, (r, 1)."""
    first, last, neighbours = segments
    link_start, link_kept, _ = last_row_links
    _, slots, around, tail = tree
    columns, core, leftover = kept
    reflect(rows, first, last, neighbours, x, False)
    reflect_nodes(nodes, slots, x, False)
    for i in range(core.size):
        core_part[i, 0] = x[leftover[i], 0]
    reflect_dense(a, tau, core_part, False)
    solve_upper(a, core_part)
    for i in range(core.size):
        z[core[i], 0] = core_part[i, 0]
    substitute_nodes(nodes, slots, around, tail, link_start, link_kept, links, x, z)
    back_substitute(rows, first, last, neighbours, link_start, link_kept, links, z, x)
    for i in range(columns.size):
        x[columns[i], 0] = z[i, 0]


@kernel
def _solve_adjoint(
    segments: tuple[Array, ...],
    last_row_links: tuple[Array, ...],
    tree: tuple[Array, ...],
    kept: tuple[Array, ...],
    rows: Array,
    nodes: Array,
    links: Array,
    a: Array,
    tau: Array,
    x: Array,
    z: Array,
    core_part: Array,
) -> None:
    """As `_solve`, with the adjoint."""
    first, last, neighbours = segments
    link_start, link_kept, _ = last_row_links
    _, slots, around, tail = tree
    columns, core, leftover = kept
    for i in range(columns.size):
        z[i, 0] = x[columns[i], 0]
    forward_substitute_adjoint(rows, first, last, neighbours, link_start, link_kept, links, z, x)
    substitute_nodes_adjoint(nodes, slots, around, tail, link_start, link_kept, links, x, z)
    for i in range(core.size):
        core_part[i, 0] = z[core[i], 0]
    solve_upper_adjoint(a, core_part)
    reflect_dense(a, tau, core_part, True)
    for i in range(core.size):
        x[leftover[i], 0] = core_part[i, 0]
    reflect_nodes(nodes, slots, x, True)
    reflect(rows, first, last, neighbours, x, True)


@kernel
def factor_solve_probe(
    values: Array,
    g: int,
    b: Array,
    start: Array,
    segments: tuple[Array, ...],
    last_row_links: tuple[Array, ...],
    tree: tuple[Array, ...],
    kept: tuple[Array, ...],
    reduced: tuple[Array, ...],
    tridiagonal: Array,
    rows: Array,
    nodes: Array,
    leftover: Array,
    links: Array,
    a: Array,
    tau: Array,
    work: Array,
    x: Array,
) -> tuple[int, Any]:
    """Fill in the factors and the solution `x`, (n,), for the right-hand side `b`, all in double precision.

    ``segments`` are (first, last, neighbours), ``last_row_links`` (link_start, link_kept, link_slots), ``tree``
    (children, slots, around, tail), ``kept`` (columns, core, leftover rows) of the layout; ``reduced`` the places in
    the flat `a`, (r, r), which is zero, of its sources and where these come from. `tridiagonal`, (3, n), and `work`,
    (n + columns + r,), are scratch. Returns 0; or 1, after which nothing is solved, if a column is dependent or `b` not
    finite; and the largest magnitude of the solution of the probe `start` with the adjoint, NaN if there is one.
    """
    n = b.size
    columns = kept[0].size
    y = work[:n].reshape(n, 1)
    z = work[n : n + columns].reshape(columns, 1)
    core_part = work[n + columns :].reshape(a.shape[0], 1)
    if _to_chains(b, g, y):
        return 1, 0.0
    first, last, neighbours = segments
    _fill(values, g, tridiagonal)
    for i in range(links.size):
        links[i] = values[last_row_links[2][i]]
    if condense(tridiagonal[0], tridiagonal[1], tridiagonal[2], first, last, neighbours, rows, leftover) >= 0:
        return 1, 0.0
    if tree[0].shape[0] and eliminate(tree[0], first.size, leftover, nodes, np.empty((4, 7))) >= 0:
        return 1, 0.0
    _assemble(values, tridiagonal, leftover, links, reduced, a)
    if factor_dense(a, tau, work[n + columns :]) >= 0:
        return 1, 0.0
    _solve(segments, last_row_links, tree, kept, rows, nodes, links, a, tau, y, z, core_part)
    _from_chains(y, g, x)
    _to_chains(start, g, y)
    _solve_adjoint(segments, last_row_links, tree, kept, rows, nodes, links, a, tau, y, z, core_part)
    largest = 0.0
    for i in range(n):
        size = abs(y[i, 0])
        # Once it is NaN it stays so.
        if not (size <= largest or largest != largest):
            largest = size
    return 0, largest


@kernel
def solve_vector(
    g: int,
    b: Array,
    segments: tuple[Array, ...],
    last_row_links: tuple[Array, ...],
    tree: tuple[Array, ...],
    kept: tuple[Array, ...],
    rows: Array,
    nodes: Array,
    links: Array,
    a: Array,
    tau: Array,
    work: Array,
    x: Array,
) -> bool:
    """Put the solution of ``A x = b``, both in the original order, (n,), into `x`, given the factors.

    `work` as above. Returns whether `b` is finite; if not, nothing is solved.
    """
    n = b.size
    columns = kept[0].size
    y = work[:n].reshape(n, 1)
    z = work[n : n + columns].reshape(columns, 1)
    core_part = work[n + columns :].reshape(a.shape[0], 1)
    if _to_chains(b, g, y):
        return False
    _solve(segments, last_row_links, tree, kept, rows, nodes, links, a, tau, y, z, core_part)
    _from_chains(y, g, x)
    return True
