r"""QR of a small dense matrix by Householder reflections, with operations that depend on its order alone.

.. math:: H_{n-1} \cdots H_1 H_0 A = R, \quad H_j = I - \tau_j v_j v_j^H

Each reflection is Hermitian: tau is real, and the first entry of v is one. Storage: R on and above the diagonal, v_j
below it in column j, ``tau``. LAPACK does the same (xGEQRF), and for large orders faster; but what it executes cannot
be counted, and for the reduced systems of condensation, of order 100 or less, a call of it costs as much as the work.

Cost, with t = n - 1 - j entries below the diagonal of column j: ``3 t + 8`` operations to make the reflection, and
``4 t + 2`` to apply it to a column behind or to a right-hand side; ``2 t + 1`` more for R.

References: Golub & Van Loan, *Matrix Computations*, section 5.2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["factor", "multiply_upper", "reflect", "solve_upper", "solve_upper_adjoint"]

Array = NDArray[Any]


@kernel
def factor(a: Array, tau: Array, work: Array) -> int:
    """Overwrite `a`, (n, n), with R and the reflections, and `tau`, (n,). Return -1 or a dependent column.

    `work`, (n,).
    """
    n = a.shape[0]
    info = -1
    for j in range(n):
        x0 = a[j, j]
        size = abs(x0)
        for i in range(j + 1, n):
            size = max(size, abs(a[i, j]))
        # As in `condensation`: squares neither overflow nor vanish between these bounds.
        size = float(size)
        scale = 1.0
        if not 1e-140 < size < 1e140:
            if not 0.0 < size < np.inf:
                tau[j] = 0.0
                if info < 0:
                    info = j
                continue
            scale = size
            x0 = x0 / scale
            for i in range(j + 1, n):
                a[i, j] = a[i, j] / scale
        magnitude = abs(x0)
        squares = magnitude * magnitude
        for i in range(j + 1, n):
            squares += (a[i, j] * np.conj(a[i, j])).real
        norm = math.sqrt(squares)
        phase = x0 / magnitude if magnitude > 0.0 else x0 + 1.0
        head = magnitude + norm
        towards = np.conj(phase) / head
        share = head / norm
        tau[j] = share
        a[j, j] = -phase * norm * scale
        for i in range(j + 1, n):
            a[i, j] = a[i, j] * towards
        for c in range(j + 1, n):
            work[c] = a[j, c]
        # Four rows at a time, added in their order: a quarter of the traffic to and from `work`.
        four = j + 1 + (n - j - 1) // 4 * 4
        for i in range(j + 1, four, 4):
            v0, v1, v2, v3 = np.conj(a[i, j]), np.conj(a[i + 1, j]), np.conj(a[i + 2, j]), np.conj(a[i + 3, j])
            for c in range(j + 1, n):
                total = work[c] + v0 * a[i, c]
                total += v1 * a[i + 1, c]
                total += v2 * a[i + 2, c]
                total += v3 * a[i + 3, c]
                work[c] = total
        for i in range(four, n):
            v = np.conj(a[i, j])
            for c in range(j + 1, n):
                work[c] += v * a[i, c]
        for c in range(j + 1, n):
            work[c] = share * work[c]
            a[j, c] -= work[c]
        for i in range(j + 1, four, 4):
            v0, v1, v2, v3 = a[i, j], a[i + 1, j], a[i + 2, j], a[i + 3, j]
            for c in range(j + 1, n):
                part = work[c]
                a[i, c] -= v0 * part
                a[i + 1, c] -= v1 * part
                a[i + 2, c] -= v2 * part
                a[i + 3, c] -= v3 * part
        for i in range(four, n):
            v = a[i, j]
            for c in range(j + 1, n):
                a[i, c] -= v * work[c]
    return info


@kernel
def reflect(a: Array, tau: Array, x: Array, backwards: bool) -> None:
    """Overwrite `x`, (n, m), with Q^H x, or with Q x if `backwards`."""
    n = a.shape[0]
    for k in range(n):
        j = n - 1 - k if backwards else k
        for c in range(x.shape[1]):
            total = x[j, c]
            for i in range(j + 1, n):
                total += np.conj(a[i, j]) * x[i, c]
            total = tau[j] * total
            x[j, c] -= total
            for i in range(j + 1, n):
                x[i, c] -= a[i, j] * total


@kernel
def solve_upper(a: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with the solution of R x = b."""
    n = a.shape[0]
    for i in range(n - 1, -1, -1):
        for c in range(x.shape[1]):
            value = x[i, c]
            for k in range(i + 1, n):
                value -= a[i, k] * x[k, c]
            x[i, c] = value / a[i, i]


@kernel
def solve_upper_adjoint(a: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with the solution of R^H x = b."""
    n = a.shape[0]
    for i in range(n):
        for c in range(x.shape[1]):
            value = x[i, c] / np.conj(a[i, i])
            x[i, c] = value
            for k in range(i + 1, n):
                x[k, c] -= np.conj(a[i, k]) * value


@kernel
def multiply_upper(a: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with R x."""
    n = a.shape[0]
    for i in range(n):
        for c in range(x.shape[1]):
            value = a[i, i] * x[i, c]
            for k in range(i + 1, n):
                value += a[i, k] * x[k, c]
            x[i, c] = value
