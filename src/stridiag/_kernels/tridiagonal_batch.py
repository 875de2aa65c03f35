r"""Tridiagonal LU of many matrices at once: `stridiag._kernels.tridiagonal_lu` with a batch axis in front.

The recurrence of one matrix waits for the last division at every step. So a few matrices, `LANES` of them, go through
their steps side by side, and divisions overlap; more than four compete for the first cache. Every number is
computed by the operations, in the order, of the single kernels, so results agree with theirs bit by bit, and no member
sees another's numbers. With several right-hand sides there is nothing to overlap: members go one by one.

Storage: that of the single kernels, with members along the first axis; right-hand sides are (members, n, m). ``info``
holds, for each member, -1 or the first step with a zero pivot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.determinant import log_product, unit_product
from stridiag._kernels.tridiagonal_lu import divided
from stridiag._kernels.tridiagonal_lu import solve as solve_one
from stridiag._kernels.tridiagonal_lu import solve_adjoint as solve_one_adjoint

__all__ = ["LANES", "factor", "log_products", "solve", "solve_adjoint", "unit_products"]

Array = NDArray[Any]

LANES = 4


@inlined
def _over(value: Any, pivot: Any) -> Any:
    return divided(value, pivot, (pivot * 0 + 1) / pivot)


@kernel
def factor(
    values: Array, source: Array, dl: Array, d: Array, du: Array, du2: Array, swapped: Array, info: Array, carry: Array
) -> None:
    """Gather the entries from `values`, (members, nnz), and factor.

    ``source``, (3, n), holds the slots of ``dl``, ``d`` and ``du``, -1 for a zero. `carry`, (2, LANES): the rows
    carried along, in double precision, as the single kernel carries its own in registers.
    """
    members, n = d.shape
    if n == 0:
        return
    for start in range(0, members, LANES):
        count = min(LANES, members - start)
        for lane in range(count):
            given, sub, main, sup = values[start + lane], dl[start + lane], d[start + lane], du[start + lane]
            for i in range(n):
                sub[i] = given[source[0, i]] if source[0, i] >= 0 else 0
                main[i] = given[source[1, i]] if source[1, i] >= 0 else 0
                sup[i] = given[source[2, i]] if source[2, i] >= 0 else 0
            info[start + lane] = -1
            carry[0, lane] = main[0]
            carry[1, lane] = sup[0]
        for i in range(n - 1):
            for lane in range(count):
                b = start + lane
                this0 = carry[0, lane]
                this1 = carry[1, lane]
                next0 = dl[b, i]
                next1 = d[b, i + 1]
                next2 = du[b, i + 1]
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
                elif info[b] < 0:
                    info[b] = i
                swapped[b, i] = exchange
                dl[b, i] = multiplier
                d[b, i] = pivot0
                du[b, i] = pivot1
                du2[b, i] = pivot2
                carry[0, lane] = other1 - multiplier * pivot1
                carry[1, lane] = other2 - multiplier * pivot2
        for lane in range(count):
            b = start + lane
            last = carry[0, lane]
            d[b, n - 1] = last
            if info[b] < 0 and not 0.0 < abs(last) < np.inf:
                info[b] = n - 1


@kernel
def solve(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (members, n, m), with the solutions of ``A x = b``."""
    members, n, m = x.shape
    if m != 1:
        for b in range(members):
            solve_one(dl[b], d[b], du[b], du2[b], swapped[b], x[b])
        return
    y = x.reshape(members, n)
    for start in range(0, members if n else 0, LANES):
        end = min(start + LANES, members)
        for i in range(n - 1):
            for b in range(start, end):
                exchange = swapped[b, i]
                first, second = y[b, i], y[b, i + 1]
                upper = second if exchange else first
                lower = first if exchange else second
                y[b, i] = upper
                y[b, i + 1] = lower - dl[b, i] * upper
        for b in range(start, end):
            y[b, n - 1] = _over(y[b, n - 1], d[b, n - 1])
            if n > 1:
                y[b, n - 2] = _over(y[b, n - 2] - du[b, n - 2] * y[b, n - 1], d[b, n - 2])
        for i in range(n - 3, -1, -1):
            for b in range(start, end):
                y[b, i] = _over(y[b, i] - du2[b, i] * y[b, i + 2] - du[b, i] * y[b, i + 1], d[b, i])


@kernel
def solve_adjoint(dl: Array, d: Array, du: Array, du2: Array, swapped: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (members, n, m), with the solutions of ``A^H x = b``."""
    members, n, m = x.shape
    if m != 1:
        for b in range(members):
            solve_one_adjoint(dl[b], d[b], du[b], du2[b], swapped[b], x[b])
        return
    y = x.reshape(members, n)
    for start in range(0, members if n else 0, LANES):
        end = min(start + LANES, members)
        for b in range(start, end):
            y[b, 0] = _over(y[b, 0], np.conj(d[b, 0]))
            if n > 1:
                y[b, 1] = _over(y[b, 1] - np.conj(du[b, 0]) * y[b, 0], np.conj(d[b, 1]))
        for i in range(2, n):
            for b in range(start, end):
                value = y[b, i] - np.conj(du2[b, i - 2]) * y[b, i - 2] - np.conj(du[b, i - 1]) * y[b, i - 1]
                y[b, i] = _over(value, np.conj(d[b, i]))
        for i in range(n - 2, -1, -1):
            for b in range(start, end):
                second = y[b, i + 1]
                first = y[b, i] - np.conj(dl[b, i]) * second
                exchange = swapped[b, i]
                y[b, i] = second if exchange else first
                y[b, i + 1] = first if exchange else second


@kernel
def log_products(sizes: Array, logs: Array) -> None:
    """Fill `logs`, (members,), with the logarithms of the products of the magnitudes `sizes`, (members, n)."""
    for b in range(logs.size):
        logs[b] = log_product(sizes[b])


@kernel
def unit_products(factors: Array, phases: Array) -> None:
    """Multiply each of the `phases`, (members,), by the phase of the product of its `factors`, (members, n)."""
    for b in range(phases.size):
        phases[b] = unit_product(factors[b], phases[b])
