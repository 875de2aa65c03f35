r"""LU of a tridiagonal matrix with partial pivoting, its solves and its determinant.

.. math:: A = P_1 L_1 P_2 L_2 \cdots P_{n-1} L_{n-1} U

At step i the rows i and i + 1 are the only candidates; the one with the larger entry in column i becomes the
pivot row, and L_i subtracts ``dl[i]`` times it from the other. U has two super-diagonals.

Storage (LAPACK's letters): ``dl`` multipliers, ``d`` pivots, ``du`` and ``du2`` the super-diagonals of U, and
``swapped[i]`` whether step i exchanged its rows. Several independent chains may lie one behind the other with
zeros in ``dl`` and ``du`` between them. Every product is carried out whether or not rows were exchanged, so the
count depends on n alone: 5 (n - 1) operations to factor, 7 n - 8 for each right-hand side (n >= 2) and n more for all
of them, for A as for its adjoint.

Solves multiply by the reciprocals of the pivots, which do not wait for one another as divisions on the way do.

Growth is at most 2 (Bohte 1975): backward stable. References: LAPACK xGTTRF and xGTTRS; Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed., sections 9.5 and 9.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["divided", "factor", "multiply", "solve", "solve_adjoint"]

Array = NDArray[Any]


@inlined
def divided(value: Any, pivot: Any, reciprocal: Any) -> Any:
    """Return ``value / pivot``, by the reciprocal unless that is too large for the type."""
    return value * reciprocal if np.isfinite(reciprocal) else value / pivot


@kernel
def factor(dl: Array, d: Array, du: Array, du2: Array, swapped: Array) -> int:
    """Overwrite ``dl``, ``d``, ``du`` with the factors; return -1, or the first step with a zero pivot."""
    n = d.size
    info = -1
    if n == 0:
        return info
    this0 = d[0]
    this1 = du[0]
    for i in range(n - 1):
        next0 = dl[i]
        next1 = d[i + 1]
        next2 = du[i + 1]
        exchange = abs(next0) > abs(this0)
        if exchange:
            pivot0, pivot1, pivot2 = next0, next1, next2
            other0, other1, other2 = this0, this1, next2 * 0
        else:
            pivot0, pivot1, pivot2 = this0, this1, next2 * 0
            other0, other1, other2 = next0, next1, next2
        multiplier = other0
        # Accepts the good, so that a NaN is reported as well as a zero.
        if 0.0 < abs(pivot0) < np.inf:
            multiplier = other0 / pivot0
        elif info < 0:
            info = i
        swapped[i] = exchange
        dl[i] = multiplier
        d[i] = pivot0
        du[i] = pivot1
        du2[i] = pivot2
        this0 = other1 - multiplier * pivot1
        this1 = other2 - multiplier * pivot2
    d[n - 1] = this0
    if info < 0 and not 0.0 < abs(this0) < np.inf:
        info = n - 1
    return info


@kernel
def solve(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``A x = b``."""
    n, m = x.shape
    for i in range(n - 1):
        for c in range(m):
            upper = x[i, c]
            lower = x[i + 1, c]
            if swapped[i]:
                upper, lower = lower, upper
            x[i, c] = upper
            x[i + 1, c] = lower - dl[i] * upper
    for i in range(n - 1, -1, -1):
        pivot = d[i]
        reciprocal = (pivot * 0 + 1) / pivot
        for c in range(m):
            value = x[i, c]
            # The farther one first: it has been known for longer.
            if i + 2 < n:
                value = value - du2[i] * x[i + 2, c]
            if i + 1 < n:
                value = value - du[i] * x[i + 1, c]
            x[i, c] = divided(value, pivot, reciprocal)


@kernel
def solve_adjoint(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``A^H x = b``."""
    n, m = x.shape
    for i in range(n):
        pivot = np.conj(d[i])
        reciprocal = (pivot * 0 + 1) / pivot
        for c in range(m):
            value = x[i, c]
            if i >= 2:
                value = value - np.conj(du2[i - 2]) * x[i - 2, c]
            if i >= 1:
                value = value - np.conj(du[i - 1]) * x[i - 1, c]
            x[i, c] = divided(value, pivot, reciprocal)
    for i in range(n - 2, -1, -1):
        for c in range(m):
            lower = x[i + 1, c]
            upper = x[i, c] - np.conj(dl[i]) * lower
            if swapped[i]:
                upper, lower = lower, upper
            x[i, c] = upper
            x[i + 1, c] = lower


@kernel
def multiply(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with A x, from the factors."""
    n, m = x.shape
    for i in range(n):
        for c in range(m):
            value = d[i] * x[i, c]
            if i + 1 < n:
                value = value + du[i] * x[i + 1, c]
            if i + 2 < n:
                value = value + du2[i] * x[i + 2, c]
            x[i, c] = value
    for i in range(n - 2, -1, -1):
        for c in range(m):
            upper = x[i, c]
            lower = x[i + 1, c] + dl[i] * upper
            if swapped[i]:
                upper, lower = lower, upper
            x[i, c] = upper
            x[i + 1, c] = lower
