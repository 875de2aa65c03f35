r"""Chains without links: factored, solved for one vector and probed in one pass down and one pass up.

The arithmetic is that of `stridiag._kernels.tridiagonal_lu`, operation by operation, and so are the results, bit by
bit. What differs is the order: the steps of

.. math:: P A = L U, \qquad L U x = P b, \qquad U^H L^H P y = z

are taken side by side, since all three walk down the chain and then up again. Each of them is a chain of dependent
operations that leaves the processor waiting; together they take hardly more than the longest. Entries are read from
the matrix's own values and vectors in their own order, so that nothing is copied before.

Values by slot are those of the diagonals -g, 0, g, one behind the other, and nothing else: the chains are the residue
classes modulo g. Storage of the factors, and cost: as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.extremes import magnitudes
from stridiag._kernels.tridiagonal_lu import divided

__all__ = ["factor_solve_probe", "solve_once", "solve_vector"]

Array = NDArray[Any]


@kernel
def factor_solve_probe(
    values: Array,
    g: int,
    b: Array,
    start: Array,
    factors: Array,
    swapped: Array,
    x: Array,
    y: Array,
) -> tuple[int, Any]:
    """Fill in ``dl, d, du, du2``, (4, n), the exchanges, (n,), and the solution `x`, (n,), for `b`, (n,), all real.

    `start`, (n,), is the right-hand side of the probe; `y`, (n,), is scratch. Returns -1, or the first step with a zero
    pivot, or -2 if `b` holds NaN or infinity, after which nothing is solved; and the largest magnitude of the solution
    of the probe, NaN if there is one.
    """
    n = b.size
    strange = 0
    for i in range(n):
        strange += not abs(b[i]) < np.inf
    if strange:
        return -2, 0.0
    dl, d, du, du2 = factors[0], factors[1], factors[2], factors[3]
    main = n - g
    above = 2 * n - g
    k = 0
    for c in range(g):
        i = c
        this0 = values[main + i]
        this1 = values[above + i] if i + g < n else this0 * 0
        right = b[i]
        # What has been found of y: one and two steps before, and the entries of U that they meet.
        y1, y2, u1, u2, u2next = this0 * 0, this0 * 0, this0 * 0, this0 * 0, this0 * 0
        while i + g < n:
            next0 = values[i]
            next1 = values[main + i + g]
            next2 = values[above + i + g] if i + 2 * g < n else next0 * 0
            lower = b[i + g]
            exchange = abs(next0) > abs(this0)
            pivot0 = next0 if exchange else this0
            pivot1 = next1 if exchange else this1
            pivot2 = next2 if exchange else next2 * 0
            other1 = this1 if exchange else next1
            other2 = next2 * 0 if exchange else next2
            upper = lower if exchange else right
            lower = right if exchange else lower
            # Accepts the good, so that a NaN is reported as well as a zero.
            if not 0.0 < abs(pivot0) < np.inf:
                return k, y1
            # Not other0 / pivot0: both quotients can be on their way before it is known which one is asked for.
            multiplier = this0 / next0 if exchange else next0 / this0
            swapped[k] = exchange
            dl[k] = multiplier
            d[k] = pivot0
            du[k] = pivot1
            du2[k] = pivot2
            this0 = other1 - multiplier * pivot1
            this1 = other2 - multiplier * pivot2
            x[i] = upper
            right = lower - multiplier * upper
            probe = divided(start[i] - u2 * y2 - u1 * y1, pivot0, (pivot0 * 0 + 1) / pivot0)
            y[k] = probe
            y1, y2 = probe, y1
            u1, u2, u2next = pivot1, u2next, pivot2
            k += 1
            i += g
        if not 0.0 < abs(this0) < np.inf:
            return k, y1
        # Between chains the factors hold zeros.
        swapped[k] = False
        dl[k] = 0.0
        d[k] = this0
        du[k] = 0.0
        du2[k] = 0.0
        x[i] = right
        y[k] = divided(start[i] - u2 * y2 - u1 * y1, this0, (this0 * 0 + 1) / this0)
        k += 1
    largest = y[n - 1] * 0
    carried = largest
    for c in range(g - 1, -1, -1):
        i = c + (n - 1 - c) // g * g
        k -= 1
        pivot = d[k]
        x1 = divided(x[i], pivot, (pivot * 0 + 1) / pivot)
        x2 = x1 * 0
        x[i] = x1
        carried = y[k]
        i -= g
        while i >= 0:
            k -= 1
            pivot = d[k]
            value = divided(x[i] - du2[k] * x2 - du[k] * x1, pivot, (pivot * 0 + 1) / pivot)
            x[i] = value
            x1, x2 = value, x1
            settled = carried
            carried = y[k] - dl[k] * carried
            if swapped[k]:
                settled, carried = carried, settled
            size = abs(settled)
            # Once it is NaN it stays so.
            if not (size <= largest or largest != largest):
                largest = size
            i -= g
        size = abs(carried)
        if not (size <= largest or largest != largest):
            largest = size
    return -1, largest


@kernel
def solve_once(values: Array, g: int, b: Array, start: Array, x: Array) -> tuple[Any, Any, Any]:
    """Fill in `x` as `factor_solve_probe` does, and keep no factors.

    Returns the largest and the smallest magnitude of the values, infinite or NaN if a value is, and the largest of the
    solution of the probe: NaN where there is no solution.
    """
    n = b.size
    largest, smallest = magnitudes(values)
    store = np.empty((5, n), values.dtype)
    swapped = np.empty(n, np.bool_)
    info, size = factor_solve_probe(values, g, b, start, store[:4], swapped, x, store[4])
    return largest, smallest, size if info == -1 else size * np.nan


@kernel
def solve_vector(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, g: int, b: Array, x: Array) -> bool:
    """Put the solution of ``A x = b``, both in the original order, (n,), into `x`, given the factors.

    Returns whether `b` is finite; if not, nothing is solved.
    """
    n = d.size
    strange = 0
    for i in range(n):
        strange += not abs(b[i]) < np.inf
    if strange:
        return False
    k = 0
    for c in range(g):
        i = c
        right = b[i]
        while i + g < n:
            lower = b[i + g]
            upper = lower if swapped[k] else right
            lower = right if swapped[k] else lower
            x[i] = upper
            right = lower - dl[k] * upper
            k += 1
            i += g
        x[i] = right
        k += 1
    for c in range(g - 1, -1, -1):
        i = c + (n - 1 - c) // g * g
        k -= 1
        pivot = d[k]
        x1 = divided(x[i], pivot, (pivot * 0 + 1) / pivot)
        x2 = x1 * 0
        x[i] = x1
        i -= g
        while i >= 0:
            k -= 1
            pivot = d[k]
            value = divided(x[i] - du2[k] * x2 - du[k] * x1, pivot, (pivot * 0 + 1) / pivot)
            x[i] = value
            x1, x2 = value, x1
            i -= g
    return True
