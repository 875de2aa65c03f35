r"""LU of a band with partial pivoting, its solves, products, and the inverse within the band.

.. math:: A = P_1 L_1 P_2 L_2 \cdots P_n L_n U

A has `kl` sub-diagonals and `ku` super-diagonals, ``w = kl + ku + 1``. At step i the rows i ... i + kl are the
candidates; the first with the largest entry in column i becomes the pivot row, and L_i subtracts multiples of it
from the others. Candidates are kept *left-justified*: each begins with its entry in column i, so that a row loses its
first place when it is reduced and no candidate ever has more than w entries.

==========  =================  =====================================================================================
array       shape              holds
==========  =================  =====================================================================================
``rows``    (n, w)             before: ``rows[i, c]`` is the entry (i, i - kl + c), zero outside of the matrix;
                               after: row i of U, the pivot first
``lower``   (n, kl)            multipliers: ``lower[i, k - 1]`` of row i + k at step i
``pivots``  (n,), unsigned     how far below row i its pivot row stood
==========  =================  =====================================================================================

Every product is carried out whether or not rows were exchanged and whether or not a number is zero, so the counts
depend on n, kl and ku alone. With :math:`S(k) = \sum_{i<n} \min(k, n - 1 - i)`: ``S(kl) (1 + 2 (kl + ku))`` operations
to factor, ``n + 2 S(kl) + 2 S(kl + ku)`` for each right-hand side, for A as for its adjoint.

Growth is at most :math:`2^{2 kl - 1} - (kl - 1) 2^{kl - 2}` (Bohte 1975).

References: R. S. Martin and J. H. Wilkinson, Solution of symmetric and unsymmetric band equations, Numer. Math. 9
(1967) 279-301, for the left-justified rows; Z. Bohte, Bounds for rounding errors in the Gaussian elimination for band
systems, J. Inst. Math. Appl. 16 (1975) 133-142; A. M. Erisman and W. F. Tinney, On computing certain elements of the
inverse of a sparse matrix, Comm. ACM 18 (1975) 177-179, for the idea of `inverse_diagonal` and
`inverse_in_band`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["factor", "inverse_diagonal", "inverse_in_band", "multiply", "solve", "solve_adjoint"]

Array = NDArray[Any]


@kernel
def factor(rows: Array, lower: Array, pivots: Array, first: int, info: int) -> int:
    """Overwrite the band with its factors from step `first` on, where rows first ... first + kl are left-justified.

    For ``first == 0`` the leading rows need not be: they are moved. Return `info` if that is 0 or more, else the
    first step with a zero pivot, else -1.
    """
    n, w = rows.shape
    kl = lower.shape[1]
    if first == 0:
        for i in range(min(kl, n)):
            for j in range(w - kl + i):
                rows[i, j] = rows[i, j + kl - i]
            for j in range(w - kl + i, w):
                rows[i, j] = rows[i, 0] * 0
    for i in range(first, n):
        last = min(kl, n - 1 - i)
        largest = abs(rows[i, 0])
        p = 0
        for k in range(1, last + 1):
            size = abs(rows[i + k, 0])
            if size > largest:
                largest = size
                p = k
        pivots[i] = p
        if p > 0:
            for j in range(w):
                upper = rows[i, j]
                rows[i, j] = rows[i + p, j]
                rows[i + p, j] = upper
        pivot = rows[i, 0]
        # Accepts the good, so that a NaN is reported as well as a zero.
        regular = 0.0 < largest < np.inf
        if not regular and info < 0:
            info = i
        for k in range(1, last + 1):
            multiplier = rows[i + k, 0]
            if regular:
                multiplier = multiplier / pivot
            lower[i, k - 1] = multiplier
            for j in range(1, w):
                rows[i + k, j - 1] = rows[i + k, j] - multiplier * rows[i, j]
            rows[i + k, w - 1] = multiplier * 0
    return info


@kernel
def solve_lower(lower: Array, pivots: Array, x: Array, first: int) -> None:
    """Apply the inverses of P_i L_i to `x`, (n, m), for the steps from `first` on."""
    n, m = x.shape
    kl = lower.shape[1]
    if m == 1:
        flat = x.reshape(n)
        for i in range(first, n):
            p = int(pivots[i])
            value = flat[i + p]
            flat[i + p] = flat[i]
            flat[i] = value
            for k in range(1, min(kl, n - 1 - i) + 1):
                flat[i + k] = flat[i + k] - lower[i, k - 1] * value
        return
    for i in range(first, n):
        p = int(pivots[i])
        if p > 0:
            for c in range(m):
                upper = x[i, c]
                x[i, c] = x[i + p, c]
                x[i + p, c] = upper
        for k in range(1, min(kl, n - 1 - i) + 1):
            multiplier = lower[i, k - 1]
            for c in range(m):
                x[i + k, c] = x[i + k, c] - multiplier * x[i, c]


@kernel
def solve_upper(rows: Array, x: Array, end: int) -> None:
    """Overwrite the rows from `end` on of `x`, (n, m), with those of the inverse of U times it."""
    n, m = x.shape
    w = rows.shape[1]
    if m == 1:
        # One number is carried along in a register.
        flat = x.reshape(n)
        for i in range(n - 1, end - 1, -1):
            value = flat[i]
            for j in range(min(w, n - i) - 1, 0, -1):
                value = value - rows[i, j] * flat[i + j]
            flat[i] = value / rows[i, 0]
        return
    for i in range(n - 1, end - 1, -1):
        for j in range(min(w, n - i) - 1, 0, -1):
            entry = rows[i, j]
            for c in range(m):
                x[i, c] = x[i, c] - entry * x[i + j, c]
        pivot = rows[i, 0]
        for c in range(m):
            x[i, c] = x[i, c] / pivot


def solve(rows: Array, lower: Array, pivots: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``A x = b``."""
    solve_lower(lower, pivots, x, 0)
    solve_upper(rows, x, 0)


@kernel
def solve_adjoint(rows: Array, lower: Array, pivots: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``A^H x = b``."""
    n, m = x.shape
    w, kl = rows.shape[1], lower.shape[1]
    if m == 1:
        flat = x.reshape(n)
        for i in range(n):
            value = flat[i] / np.conj(rows[i, 0])
            flat[i] = value
            for j in range(1, min(w, n - i)):
                flat[i + j] = flat[i + j] - np.conj(rows[i, j]) * value
        for i in range(n - 1, -1, -1):
            value = flat[i]
            for k in range(min(kl, n - 1 - i), 0, -1):
                value = value - np.conj(lower[i, k - 1]) * flat[i + k]
            p = int(pivots[i])
            flat[i] = flat[i + p]
            flat[i + p] = value
        return
    for i in range(n):
        pivot = np.conj(rows[i, 0])
        for c in range(m):
            x[i, c] = x[i, c] / pivot
        for j in range(1, min(w, n - i)):
            entry = np.conj(rows[i, j])
            for c in range(m):
                x[i + j, c] = x[i + j, c] - entry * x[i, c]
    for i in range(n - 1, -1, -1):
        for k in range(min(kl, n - 1 - i), 0, -1):
            multiplier = np.conj(lower[i, k - 1])
            for c in range(m):
                x[i, c] = x[i, c] - multiplier * x[i + k, c]
        p = int(pivots[i])
        if p > 0:
            for c in range(m):
                upper = x[i, c]
                x[i, c] = x[i + p, c]
                x[i + p, c] = upper


@kernel
def multiply(rows: Array, lower: Array, pivots: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with A x, from the factors."""
    n, m = x.shape
    w, kl = rows.shape[1], lower.shape[1]
    for i in range(n):
        for c in range(m):
            x[i, c] = rows[i, 0] * x[i, c]
        for j in range(1, min(w, n - i)):
            entry = rows[i, j]
            for c in range(m):
                x[i, c] = x[i, c] + entry * x[i + j, c]
    for i in range(n - 1, -1, -1):
        for k in range(1, min(kl, n - 1 - i) + 1):
            multiplier = lower[i, k - 1]
            for c in range(m):
                x[i + k, c] = x[i + k, c] + multiplier * x[i, c]
        p = int(pivots[i])
        if p > 0:
            for c in range(m):
                upper = x[i, c]
                x[i, c] = x[i + p, c]
                x[i + p, c] = upper


@inlined
def _step_back(rows: Array, lower: Array, pivots: Array, window: Array, i: int) -> None:
    """Take `window` from the inverse of what is left after step i to that of what is left before it."""
    n, w = rows.shape
    slots = window.shape[1]
    here, mine = i % w, i % slots
    below = min(lower.shape[1], n - 1 - i)
    pivot = rows[i, 0]
    for k in range(1, min(slots - 1, n - 1 - i) + 1):
        s = (i + k) % slots
        total = pivot * 0
        for j in range(min(w, n - i) - 1, 0, -1):
            total = total + rows[i, j] * window[(i + j) % w, s]
        window[here, s] = -total / pivot
    # The column of this step takes the place of one that is no longer needed.
    for j in range(min(w, n - i)):
        v = (i + j) % w
        total = pivot * 0
        if j == 0:
            total = 1 / pivot
        for k in range(1, below + 1):
            total = total - lower[i, k - 1] * window[v, (i + k) % slots]
        window[v, mine] = total
    p = int(pivots[i])
    if p > 0:
        s = (i + p) % slots
        for j in range(min(w, n - i)):
            v = (i + j) % w
            kept = window[v, mine]
            window[v, mine] = window[v, s]
            window[v, s] = kept


@kernel
def inverse_diagonal(rows: Array, lower: Array, pivots: Array, window: Array, out: Array) -> None:
    r"""Put the diagonal of the inverse into `out`, (n,), with a work array `window`, (w, kl + 1), of zeros.

    Let Z be the inverse of what is left of A before step i. Then

    .. math:: Z = \begin{pmatrix} 1 / u_{ii} & -u^T Z' / u_{ii} \\ 0 & Z' \end{pmatrix} L_i^{-1} P_i,

    with Z' the inverse of what is left after it. Of Z only the rows i ... i + kl + ku and the columns i ... i + kl
    are ever used again; ``window[(v % w), s % (kl + 1)]`` holds row v, column s. The row of A that stands at i + kl
    before step i is touched by no earlier step: then its entry of the diagonal is final.
    """
    n, w = rows.shape
    kl = lower.shape[1]
    slots = kl + 1
    for i in range(n - 1, -1, -1):
        _step_back(rows, lower, pivots, window, i)
        if i + kl < n:
            out[i + kl] = window[(i + kl) % w, (i + kl) % slots]
    for i in range(min(kl, n)):
        out[i] = window[i % w, i % slots]


@kernel
def inverse_in_band(rows: Array, lower: Array, pivots: Array, transpose: bool, window: Array, out: Array) -> None:
    """Fill `out`, (n, w), with the entries of the inverse, or of its transpose, where the band of A is.

    ``out[i, c]`` belongs to the entry (i, i - kl + c) of A, and is left alone outside of the matrix. As
    `inverse_diagonal`; a column s that is final at step s - kl has its rows s - kl ... s + ku in the window, which is
    row s of the transpose. The inverse itself needs, of column s, the rows s - ku ... s + kl: so columns stay up to
    step s - ku, and ``kl <= ku`` is expected. `window`, zeros: (w, kl + 1) if `transpose`, else (w, ku + 1).
    """
    n, w = rows.shape
    kl = lower.shape[1]
    slots = window.shape[1]
    for i in range(n - 1, -kl - 1, -1):
        first = max(i, 0)
        if i >= 0:
            _step_back(rows, lower, pivots, window, i)
        # Behind step 0 all columns are final that are left.
        s = i + kl
        if s < n:
            for v in range(first, min(s + (w - 1 - kl if transpose else kl) + 1, n)):
                entry = window[v % w, s % slots]
                if transpose:
                    out[s, v - s + kl] = entry
                else:
                    out[v, s - v + kl] = entry
        if not transpose and i >= 0:
            for s in range(i + kl + 1, min(i + slots, n)):
                out[i, s - i + kl] = window[i % w, s % slots]
