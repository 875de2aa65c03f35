r"""One symmetric tridiagonal matrix under many positive shifts: solves, quadratic forms, and the inverse's diagonal.

For each shift :math:`\alpha_a` the positive definite matrix is factored without pivoting,

.. math:: T + \alpha_a I = L_a D_a L_a^T ,

with unit bidiagonal L. Quadratic forms follow from the forward half of a solve, :math:`L u = y`:
:math:`y^T (T + \alpha I)^{-1} y = \sum_j u_j^2 / D_j`. The inverse's diagonal comes from the pivots :math:`D^+` of the
elimination downwards and :math:`D^-` of the one upwards: its j-th entry is
:math:`1 / (D^+_j + D^-_j - T_{jj} - \alpha)`.

Storage: shifts run fastest, so that the recurrences, which wait for each step, go side by side for all of them:
multipliers and reciprocal pivots are (m, shifts). Cost for each shift: 3 m operations to factor, 5 m q for q right-hand
sides, 4 m for a quadratic form, 5 m for the trace.

References: G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed., sec. 4.3.6; L. Elden, "Algorithms for the
regularization of ill-conditioned least squares problems", BIT 17 (1977).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["factor", "inverse_trace", "quadratic_forms", "solve"]

Array = NDArray[Any]


@kernel
def factor(d: Array, e: Array, shifts: Array, multiplier: Array, reciprocal: Array) -> int:
    """Fill `multiplier` and `reciprocal`, (m, shifts); return -1, or the first step with a pivot that is not positive.

    ``d``, (m,), is the diagonal and ``e``, (m - 1,), the one beside it. ``multiplier[0]`` is 0.
    """
    info = -1
    for j in range(d.size):
        for a in range(shifts.size):
            if j == 0:
                multiplier[0, a] = 0.0
                pivot = d[0] + shifts[a]
            else:
                multiplier[j, a] = e[j - 1] * reciprocal[j - 1, a]
                pivot = d[j] + shifts[a] - e[j - 1] * multiplier[j, a]
            # Accepts the good, so that NaN is reported too.
            if not pivot > 0.0 and info < 0:
                info = j
            reciprocal[j, a] = 1.0 / pivot
    return info


@kernel
def solve(multiplier: Array, reciprocal: Array, right: Array, x: Array) -> None:
    """Fill `x`, (m, q, shifts), with the solutions for the right-hand sides `right`, (m, q)."""
    m, q, shifts = x.shape
    for j in range(m):
        for k in range(q):
            for a in range(shifts):
                x[j, k, a] = right[j, k] - (multiplier[j, a] * x[j - 1, k, a] if j > 0 else 0.0)
    for j in range(m - 1, -1, -1):
        for k in range(q):
            for a in range(shifts):
                below = multiplier[j + 1, a] * x[j + 1, k, a] if j + 1 < m else 0.0
                x[j, k, a] = x[j, k, a] * reciprocal[j, a] - below


@kernel
def quadratic_forms(y: Array, multiplier: Array, reciprocal: Array, carry: Array, out: Array) -> None:
    """Fill `out`, (rows, shifts), with ``y_i' (T + alpha_a I)^-1 y_i`` for the rows of `y`, (rows, m).

    ``carry``, (4, shifts), is scratch: four rows go together, so that each multiplier is read once for them.
    """
    rows, m = y.shape
    shifts = multiplier.shape[1]
    out[:] = 0.0
    for first in range(0, rows, 4):
        # The last rows may be visited twice, which only computes them again.
        start = max(0, min(first, rows - 4))
        count = min(4, rows - start)
        carry[:] = 0.0
        if start < first:
            out[start:first] = 0.0
        for j in range(m):
            for r in range(count):
                value = y[start + r, j]
                for a in range(shifts):
                    u = value - multiplier[j, a] * carry[r, a]
                    carry[r, a] = u
                    out[start + r, a] += u * u * reciprocal[j, a]


@kernel
def inverse_trace(d: Array, e: Array, shifts: Array, reciprocal: Array, out: Array) -> None:
    """Fill `out`, (shifts,), with the trace of the inverse at each shift."""
    m = d.size
    for a in range(shifts.size):
        total = 0.0
        above = 1.0
        for j in range(m - 1, -1, -1):
            diagonal = d[j] + shifts[a]
            upwards = diagonal - (e[j] * e[j] / above if j + 1 < m else 0.0)
            total += 1.0 / (1.0 / reciprocal[j, a] + upwards - diagonal)
            above = upwards
        out[a] = total
