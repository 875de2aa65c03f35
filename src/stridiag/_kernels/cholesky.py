r"""Cholesky without roots of a sparse Hermitian matrix: the factor, its solves and products, the selected inverse.

.. math:: A = L D L^H

with L unit lower triangular in the order of elimination and D > 0. Nothing depends on values but whether a pivot
fails, so every count is known from the pattern. With c_j entries of L in column j, without the diagonal: the
factor takes :math:`\sum_j c_j (c_j + 2)` operations, a right-hand side :math:`n + 4 \sum_j c_j`.

**Storage.** Unknowns keep their original numbers throughout: no vector is ever permuted. ``order[k]`` is the k-th to
be eliminated. Its column of L stands at ``column_start[k]``, ..., ``column_start[k + 1] - 1`` in `rows` and `l`, in
the order of elimination; `begin` gives the same start by unknown. ``row_columns[row_start[k] : row_start[k + 1]]`` are
the columns in which row ``order[k]`` of L has entries, each behind those that update it. `d` stands by unknown.

The factor is made row by row ("up-looking"): with w = L^-1 of what A has in row k so far, entry j is w_j / d_j.

References: T. A. Davis, *Direct Methods for Sparse Linear Systems*, SIAM 2006, sections 4.7 and 4.8; K. Takahashi,
J. Fagan and M. S. Chin, 8th PICA Conference (1973) 63-69; A. M. Erisman and W. F. Tinney, Comm. ACM 18 (1975) 177-179.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["factor", "multiply_adjoint", "multiply_lower", "selected_inverse", "solve_adjoint", "solve_lower"]

Array = NDArray[Any]


@kernel
def factor(
    order: Array,
    lower_start: Array,
    lower_columns: Array,
    lower: Array,
    row_start: Array,
    row_columns: Array,
    begin: Array,
    rows: Array,
    l: Array,  # noqa: E741
    d: Array,
    free: Array,
    work: Array,
) -> int:
    """Write L into `l` and D over the diagonal in `d`; return -1, or the first unknown whose pivot is not positive.

    `lower` holds, for each step, what A has in the row of that step and in columns eliminated before. `free` is a copy
    of `begin`, `work` n zeros.
    """
    for k in range(order.size):
        v = order[k]
        for t in range(lower_start[k], lower_start[k + 1]):
            work[lower_columns[t]] = lower[t]
        pivot = d[v]
        for t in range(row_start[k], row_start[k + 1]):
            j = row_columns[t]
            w = work[j]
            work[j] = w * 0
            end = free[j]
            for s in range(begin[j], end):
                work[rows[s]] = work[rows[s]] - w * np.conj(l[s])
            entry = w / d[j]
            l[end] = entry
            free[j] = end + 1
            pivot = pivot - (entry * np.conj(w)).real
        d[v] = pivot
        # Accepts the good, so that a NaN is refused.
        if not 0.0 < pivot < np.inf:
            return int(v)
    return -1


@kernel
def solve_lower(order: Array, column_start: Array, rows: Array, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^-1 x``."""
    n, m = x.shape
    if m == 1:
        # A loop of one round for every entry would cost more than the entry.
        for k in range(n):
            value = x[order[k], 0]
            for s in range(column_start[k], column_start[k + 1]):
                x[rows[s], 0] = x[rows[s], 0] - l[s] * value
        return
    for k in range(n):
        v = order[k]
        for s in range(column_start[k], column_start[k + 1]):
            i = rows[s]
            multiplier = l[s]
            for c in range(m):
                x[i, c] = x[i, c] - multiplier * x[v, c]


@kernel
def solve_adjoint(order: Array, column_start: Array, rows: Array, l: Array, d: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^-H D^-1 x``."""
    n, m = x.shape
    if m == 1:
        for k in range(n - 1, -1, -1):
            v = order[k]
            value = x[v, 0] / d[v]
            for s in range(column_start[k], column_start[k + 1]):
                value = value - np.conj(l[s]) * x[rows[s], 0]
            x[v, 0] = value
        return
    for k in range(n - 1, -1, -1):
        v = order[k]
        for c in range(m):
            x[v, c] = x[v, c] / d[v]
        for s in range(column_start[k], column_start[k + 1]):
            i = rows[s]
            multiplier = np.conj(l[s])
            for c in range(m):
                x[v, c] = x[v, c] - multiplier * x[i, c]


@kernel
def multiply_lower(order: Array, column_start: Array, rows: Array, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L x``."""
    n, m = x.shape
    for k in range(n - 1, -1, -1):
        v = order[k]
        for s in range(column_start[k], column_start[k + 1]):
            i = rows[s]
            multiplier = l[s]
            for c in range(m):
                x[i, c] = x[i, c] + multiplier * x[v, c]


@kernel
def multiply_adjoint(order: Array, column_start: Array, rows: Array, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^H x``."""
    n, m = x.shape
    for k in range(n):
        v = order[k]
        for s in range(column_start[k], column_start[k + 1]):
            i = rows[s]
            multiplier = np.conj(l[s])
            for c in range(m):
                x[v, c] = x[v, c] + multiplier * x[i, c]


@kernel
def selected_inverse(
    order: Array,
    column_start: Array,
    begin: Array,
    rows: Array,
    l: Array,  # noqa: E741
    d: Array,
    where: Array,
    z: Array,
    diagonal: Array,
) -> None:
    r"""Write the entries of the inverse on the pattern of L into `z`, laid out as `l`, and the diagonal.

    From :math:`Z L = L^{-H} D^{-1}`, whose lower triangle vanishes, column by column from the last: the entries of
    column j need those between the rows of column j only, which are on the pattern since elimination joined these
    rows. `z` holds zeros before, `where` -1 for each unknown before and after. 2 c^2 + 2 c + 1 operations a column.
    """
    for k in range(order.size - 1, -1, -1):
        first = column_start[k]
        last = column_start[k + 1]
        for s in range(first, last):
            where[rows[s]] = s
        for s in range(first, last):
            u = rows[s]
            z[s] = z[s] - diagonal[u] * l[s]
            missing = last - 1 - s
            t = begin[u]
            while missing > 0:
                other = where[rows[t]]
                if other >= 0:
                    z[other] = z[other] - z[t] * l[s]
                    z[s] = z[s] - np.conj(z[t]) * l[other]
                    missing -= 1
                t += 1
        value = 1.0 / d[order[k]]
        for s in range(first, last):
            value = value - (np.conj(z[s]) * l[s]).real
            where[rows[s]] = -1
        diagonal[order[k]] = value
