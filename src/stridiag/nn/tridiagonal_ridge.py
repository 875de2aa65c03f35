r"""Ridge regression at many penalties by a tridiagonal matrix: what an eigendecomposition does first, and no more.

With A = Q T Q', T tridiagonal (Householder), each penalty is a shift of T, and everything follows from recurrences
of length m: solutions :math:`x = Q (T + \alpha I)^{-1} Q^T b`, the leverage :math:`y^T (T + \alpha I)^{-1} y` of a
row whose coordinates y = Q' x are computed once for all penalties, and degrees of freedom
:math:`m - \alpha\,\mathrm{tr}\,(T + \alpha I)^{-1}`. For K, leverages are
:math:`1 - \alpha\, y^T (T + \alpha I)^{-1} y` with y the rows of Q. All are exact; an eigendecomposition would go on
from T at three times the cost.

Cost: 4/3 m^3 flops for T (half of them products of matrix and vector), 4/3 m^3 for Q where rows are left out, then
2 m^2 a row, and 4 m operations a row and penalty.

References: L. Elden, "A note on the computation of the generalized cross-validation function for ill-conditioned least
squares problems", BIT 24 (1984) (GCV from a bidiagonal matrix); LAPACK xSYTRD.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.shifted_tridiagonal import factor, inverse_trace, quadratic_forms, solve
from stridiag.nn.ridge_forms import System

__all__ = ["TridiagonalForm"]

Array = NDArray[Any]

# LAPACK's blocks.
_WIDTH = 64


class TridiagonalForm:
    """A `Form` for penalties that are positive beyond rounding; overwrites the system's matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a shifted matrix is not positive definite.
    """

    def __init__(self, system: System, alphas: Array) -> None:
        from scipy.linalg import lapack

        m = system.matrix.shape[0]
        # The transposed view is in Fortran's order, and symmetric.
        reflectors, d, e, tau, _ = lapack.dsytrd(system.matrix.T, lower=1, lwork=_WIDTH * m, overwrite_a=1)
        # Reflector j leaves the first j + 1 entries alone: below the first row these are reflectors of a QR.
        self._reflectors, self._tau = np.asfortranarray(reflectors[1:, : m - 1]), tau
        self._system, self._alphas = system, alphas
        self._factor = np.empty((m, alphas.size)), np.empty((m, alphas.size))
        info = factor(d, e, alphas, *self._factor)
        if info >= 0:
            raise np.linalg.LinAlgError(f"pivot {info} of {m} is not positive at penalty {alphas.min()}")
        self._trace = np.empty(alphas.size)
        inverse_trace(d, e, alphas, self._factor[1], self._trace)
        self._right = self._reflect(system.right, "T")
        # (m, outputs, penalties)
        self._solutions = np.empty((*system.right.shape, alphas.size))
        solve(*self._factor, self._right, self._solutions)
        self._basis: Array | None = None

    def _reflect(self, columns: Array, direction: str) -> Array:
        """Return Q' times some columns, or Q times them."""
        from scipy.linalg import lapack

        result: Array = np.array(columns, np.float64, order="F")
        if result.shape[0] > 1 and result.shape[1]:
            work = max(1, _WIDTH * result.shape[1])
            result[1:] = lapack.dormqr(
                "L", direction, self._reflectors, self._tau, np.asfortranarray(result[1:]), work
            )[0]
        return np.asarray(result)

    def freedom(self) -> Array:
        """Return the traces, (penalties,)."""
        return np.asarray(self._right.shape[0] - self._alphas * self._trace)

    def residuals(self) -> Array:
        """Return mean squared residuals, (penalties, outputs)."""
        squares = self._alphas * np.einsum("jka,jka->ka", self._solutions, self._solutions)
        if self._system.by_rows:
            return np.asarray((self._alphas * squares).T)
        explained = np.einsum("jka,jk->ka", self._solutions, self._right) + squares
        return np.asarray(np.maximum(self._system.squares - explained.T, 0.0))

    def project(self, rows: Array | None) -> Array:
        """Return rows times Q, formed when first needed: a product of matrices is faster than many reflections."""
        if self._basis is None:
            from scipy.linalg import lapack

            m = self._right.shape[0]
            self._basis = np.zeros((m, m))
            self._basis[0, 0] = 1.0
            if m > 1:
                self._basis[1:, 1:] = lapack.dorgqr(self._reflectors, self._tau, _WIDTH * m)[0]
            if not self._system.by_rows:
                self._basis *= self._system.inverse_scale[:, None]
        return self._basis if rows is None else rows @ self._basis

    def leverages(self, basis: Array) -> Array:
        """Return leverages, (n, penalties)."""
        result = np.empty((basis.shape[0], self._alphas.size))
        quadratic_forms(basis, *self._factor, np.empty((4, self._alphas.size)), result)
        if self._system.by_rows:
            result *= -self._alphas
            result += np.einsum("ij,ij->i", basis, basis)[:, None]
        return result

    def fits(self, basis: Array, output: int) -> Array:
        """Return fits, (n, penalties)."""
        x = self._solutions[:, output]
        if self._system.by_rows:
            # K (K + alpha)^-1 z = z - alpha (K + alpha)^-1 z
            x = self._right[:, output, None] - self._alphas * x
        return np.asarray(basis @ x)

    def solution(self, chosen: Array) -> Array:
        """Return the solution, (m, outputs)."""
        return self._reflect(self._solutions[:, np.arange(chosen.size), chosen], "N")
