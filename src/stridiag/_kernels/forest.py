r"""LU of a matrix whose graph is a forest, with interchanges between child and parent; trees on a core as well.

Vertices are eliminated from the leaves. When the turn of v comes, only the rows of v and of its parent u have an
entry in column v; the larger one is the pivot, and the rows exchange places if it is that of u. The chain, with
:math:`u = v + 1`, is LAPACK's xGTTRF.

*No fill is stored.* Row v, when its turn comes, has two entries: its children's columns are gone, its parent's is
left. So what reaches row u from a child changes column u only, and all other entries of row u remain those of A, times
one common number :math:`\alpha_u`: 1 at first, multiplied by :math:`-m` at each interchange (then row u becomes row
v minus m times itself). A pivot row taken from u is therefore described by two numbers, its entry in column u and
:math:`\alpha_u`, however many entries it has. That keeps stars linear: written out, their factor is quadratic.

Storage, by position in the order of elimination (`stridiag._kernels.peeling.leaves_first`): ``parent`` of the first
vertices, whose number is that of the edges; then come the roots and the core, whose rows are changed but not
eliminated. For the vertex v at position k

* ``up[k]``, ``down[k]``: the entries (v, u) and (u, v) of A;
* ``d[k]``, ``multipliers[k]``: pivot, and what the pivot row was multiplied by;
* ``beside[k]``: the pivot row's entry in column u;
* ``scales[k]``: :math:`\alpha_u` before step k if the rows were interchanged, else 0.

A pivot row is thus :math:`d_k x_v + \text{beside}_k x_u + \text{scales}_k s`, where s is row u of A times x, over the
children of u still there and its parent, or its neighbours in the core. Since siblings stand together, s is a
running sum.

*Cost.* Every product is carried out whether or not rows were exchanged. With e edges, r roots and i vertices that
have both a parent and a child: 6 e operations to factor, 9 e + r + 2 i for a right-hand side, for A as for its adjoint.

*Stability.* Multipliers are at most 1 and :math:`|\alpha| \le 1`, so with c children the diagonal entry grows to at
most 1 + c times the largest entry of A, and no other entry grows. For chains this is Bohte's 2.

References: LAPACK xGTTRF; M. Hines, Int. J. Biomed. Comput. 15 (1984) 69-76, for trees without pivoting;
S. Parter, SIAM Review 3 (1961) 119-130; A. M. Erisman and W. F. Tinney, Comm. ACM 18 (1975), for `selected_inverse`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = [
    "factor",
    "interchange",
    "multiply_lower",
    "multiply_upper",
    "rescale",
    "selected_inverse",
    "settle",
    "solve_lower",
    "solve_lower_adjoint",
    "solve_upper",
    "solve_upper_adjoint",
]

Array = NDArray[Any]
Index = NDArray[np.int64]


@kernel
def factor(
    parent: Index, up: Array, down: Array, d: Array, alpha: Array, multipliers: Array, beside: Array, scales: Array
) -> int:
    """Overwrite ``d`` by the pivots, ``alpha``, ones at first, by the scales of the rows; fill the rest.

    Return -1, or the first position among the eliminated with a zero pivot.
    """
    info = -1
    for k in range(parent.size):
        u = parent[k]
        scale = alpha[u]
        own = d[k]
        other = scale * down[k]
        right = alpha[k] * up[k]
        exchange = abs(other) > abs(own)
        if exchange:
            pivot, rest = other, own
            pivot_right, rest_right = d[u], right
        else:
            pivot, rest = own, other
            pivot_right, rest_right = right, d[u]
        multiplier = rest
        # Accepts the good, so that a NaN is reported as well as a zero.
        if 0.0 < abs(pivot) < np.inf:
            multiplier = rest / pivot
        elif info < 0:
            info = k
        d[k] = pivot
        multipliers[k] = multiplier
        beside[k] = pivot_right
        scales[k] = scale if exchange else scale * 0
        d[u] = rest_right - multiplier * pivot_right
        product = scale * multiplier
        alpha[u] = -product if exchange else scale
    return info


@kernel
def solve_lower(parent: Index, multipliers: Array, scales: Array, x: Array) -> None:
    """Apply interchanges and multipliers to the right-hand sides `x`, (n, m), in the order of elimination."""
    m = x.shape[1]
    for k in range(parent.size):
        u = parent[k]
        factor = multipliers[k]
        exchange = abs(scales[k]) > 0.0
        for c in range(m):
            upper = x[k, c]
            lower = x[u, c]
            if exchange:
                upper, lower = lower, upper
            x[k, c] = upper
            x[u, c] = lower - factor * upper


@kernel
def solve_lower_adjoint(parent: Index, multipliers: Array, scales: Array, x: Array) -> None:
    """Apply the adjoint of the inverse of the lower factor: `solve_lower` transposed and conjugated."""
    m = x.shape[1]
    for k in range(parent.size - 1, -1, -1):
        u = parent[k]
        factor = np.conj(multipliers[k])
        exchange = abs(scales[k]) > 0.0
        for c in range(m):
            lower = x[u, c]
            upper = x[k, c] - factor * lower
            if exchange:
                upper, lower = lower, upper
            x[k, c] = upper
            x[u, c] = lower


@kernel
def multiply_lower(parent: Index, multipliers: Array, scales: Array, x: Array) -> None:
    """Undo `solve_lower`."""
    m = x.shape[1]
    for k in range(parent.size - 1, -1, -1):
        u = parent[k]
        factor = multipliers[k]
        exchange = abs(scales[k]) > 0.0
        for c in range(m):
            upper = x[k, c]
            lower = x[u, c] + factor * upper
            if exchange:
                upper, lower = lower, upper
            x[k, c] = upper
            x[u, c] = lower


@kernel
def solve_upper(
    parent: Index, up: Array, down: Array, d: Array, beside: Array, scales: Array, sums: Array, x: Array
) -> None:
    """Substitute back into the eliminated rows of `x`, (n, m); those of the core hold its solution.

    `sums`, (n + 1 - trees, m), with trees the number of eliminated vertices, roots included: first a row of work, then
    the rows of A within the core, off its diagonal, times the solution in the core.
    """
    n, m = x.shape
    edges = parent.size
    trees = n + 1 - sums.shape[0]
    for k in range(edges, trees):
        for c in range(m):
            x[k, c] = x[k, c] / d[k]
    last = -1
    for k in range(edges - 1, -1, -1):
        u = parent[k]
        if u != last:
            last = u
            for c in range(m):
                sums[0, c] = x[u, c] * 0
            if u < edges:
                for c in range(m):
                    sums[0, c] = sums[0, c] + up[u] * x[parent[u], c]
            elif u >= trees:
                for c in range(m):
                    sums[0, c] = sums[u - trees + 1, c]
        for c in range(m):
            value = (x[k, c] - beside[k] * x[u, c] - scales[k] * sums[0, c]) / d[k]
            x[k, c] = value
            sums[0, c] = sums[0, c] + down[k] * value


@kernel
def solve_upper_adjoint(
    parent: Index, up: Array, down: Array, d: Array, beside: Array, scales: Array, sums: Array, x: Array
) -> None:
    """Substitute forward with the adjoint of the upper factor; `sums` as in `solve_upper`, but filled here.

    Its rows for the core are what the adjoint of A within the core, off its diagonal, is to be applied to; the result
    is to be subtracted from the core's rows of `x`.
    """
    n, m = x.shape
    edges = parent.size
    trees = n + 1 - sums.shape[0]
    for k in range(edges):
        u = parent[k]
        if k == 0 or u != parent[k - 1]:
            for c in range(m):
                sums[0, c] = x[k, c] * 0
        for c in range(m):
            value = (x[k, c] - np.conj(down[k]) * sums[0, c]) / np.conj(d[k])
            x[k, c] = value
            x[u, c] = x[u, c] - np.conj(beside[k]) * value
            sums[0, c] = sums[0, c] + np.conj(scales[k]) * value
        if k + 1 == edges or u != parent[k + 1]:
            if u < edges:
                for c in range(m):
                    x[parent[u], c] = x[parent[u], c] - np.conj(up[u]) * sums[0, c]
            elif u >= trees:
                for c in range(m):
                    sums[u - trees + 1, c] = sums[0, c]
    for k in range(edges, trees):
        for c in range(m):
            x[k, c] = x[k, c] / np.conj(d[k])


@kernel
def multiply_upper(
    parent: Index, up: Array, down: Array, d: Array, beside: Array, scales: Array, sums: Array, x: Array, y: Array
) -> None:
    """Fill the eliminated rows of `y`, (n, m), with the upper factor times `x`; `sums` as in `solve_upper`."""
    n, m = x.shape
    edges = parent.size
    trees = n + 1 - sums.shape[0]
    for k in range(edges, trees):
        for c in range(m):
            y[k, c] = d[k] * x[k, c]
    last = -1
    for k in range(edges - 1, -1, -1):
        u = parent[k]
        if u != last:
            last = u
            for c in range(m):
                sums[0, c] = x[u, c] * 0
            if u < edges:
                for c in range(m):
                    sums[0, c] = sums[0, c] + up[u] * x[parent[u], c]
            elif u >= trees:
                for c in range(m):
                    sums[0, c] = sums[u - trees + 1, c]
        for c in range(m):
            y[k, c] = d[k] * x[k, c] + beside[k] * x[u, c] + scales[k] * sums[0, c]
            sums[0, c] = sums[0, c] + down[k] * x[k, c]


@kernel
def selected_inverse(
    parent: Index,
    up: Array,
    down: Array,
    d: Array,
    multipliers: Array,
    beside: Array,
    scales: Array,
    sums: Array,
    z: Array,
    above: Array,
    below: Array,
) -> None:
    """Fill `z`, (n,), with the diagonal of the inverse, `above` and `below`, (edges,), with what `rescale` completes.

    Undoing one step at a time: let Z be the inverse of the matrix on the vertices behind v. With v, its columns v and
    u are, up to the interchange, those of Z and of the pivot row, mixed by the multiplier. For each u two numbers are
    carried: Z[u, u], and in `sums`, (n,), row u of A (off the diagonal) times column u of Z, given for the core too.
    The entries of `z` for the core are given as well, and still change. What is put into `above` and `below` are the
    entries (v, u) and (u, v) of the inverse of the matrix on v and the vertices behind it.
    """
    edges = parent.size
    for k in range(edges - 1, -1, -1):
        u = parent[k]
        factor = multipliers[k]
        corner = z[u]
        total = sums[u]
        rest = (beside[k] * corner + scales[k] * total) / d[k]
        own = 1.0 / d[k] + factor * rest
        mixed = -factor * corner
        if abs(scales[k]) > 0.0:
            z[k] = -rest
            above[k] = own
            below[k] = corner
            sums[k] = up[k] * corner
            z[u] = mixed
            sums[u] = down[k] * own - factor * total
        else:
            z[k] = own
            above[k] = -rest
            below[k] = mixed
            sums[k] = up[k] * mixed
            sums[u] = total - down[k] * rest


@kernel
def rescale(parent: Index, multipliers: Array, scales: Array, alpha: Array, above: Array, below: Array) -> None:
    """Turn the entries that `selected_inverse` leaves in `above` and `below` into those of the inverse of A.

    A step only multiplies what stands in column u of the inverse, by minus the multiplier if the rows are interchanged.
    So the entry (v, u) lacks the factors of the steps before that of v, and the entry (u, v) those of all children of
    v. `alpha`, (n,), ones at first, is multiplied by the factors of all steps: the core's columns are to be as well.
    """
    for k in range(parent.size):
        u = parent[k]
        above[k] = alpha[u] * above[k]
        below[k] = alpha[k] * below[k]
        if abs(scales[k]) > 0.0:
            alpha[u] = -multipliers[k] * alpha[u]


@kernel
def interchange(parent: Index, scales: Array, rows: Index) -> None:
    """Carry out all interchanges on `rows`, (n,): its row k becomes what stands at position k in the end."""
    for k in range(parent.size):
        if abs(scales[k]) > 0.0:
            u = parent[k]
            rows[k], rows[u] = rows[u], rows[k]


@kernel
def settle(parent: Index, scales: Array, settled: Index) -> None:
    """Fill `settled`, (edges,), with the position at which the row ends that step k leaves at the parent."""
    edges = parent.size
    for k in range(edges - 1, -1, -1):
        u = parent[k]
        # The next step that touches row u: that of the next sibling, or after the last one its own.
        step = k + 1 if k + 1 < edges and parent[k + 1] == u else u
        if step >= edges:
            settled[k] = u
        elif abs(scales[step]) > 0.0:
            settled[k] = step if step != u else settled[u]
        else:
            settled[k] = settled[step] if step != u else u
