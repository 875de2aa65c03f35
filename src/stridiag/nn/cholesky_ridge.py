r"""Ridge regression at one penalty by a Cholesky factor: the fastest where there is nothing to choose.

With A + alpha I = L L', the leverage of a row x is :math:`\|L^{-1} x\|^2` and the degrees of freedom are
:math:`m - \alpha\,\|L^{-1}\|_F^2`. Cost: m^3 / 3 flops for L and as much for its inverse; m^2 for the leverage of each
row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.ridge_forms import System

__all__ = ["CholeskyForm"]

Array = NDArray[Any]


class CholeskyForm:
    """A `Form` for one penalty that is positive beyond rounding; overwrites the system's matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the shifted matrix is not positive definite.
    """

    def __init__(self, system: System, alphas: Array) -> None:
        from scipy.linalg import lapack

        self._system, (self._alpha,) = system, alphas
        matrix = system.matrix.T
        matrix[np.diag_indices_from(matrix)] += self._alpha
        self._factor, info = lapack.dpotrf(matrix, lower=1, clean=1, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError(f"pivot {info - 1} of {matrix.shape[0]} is not positive at penalty {alphas[0]}")
        self._x = lapack.dpotrs(self._factor, system.right, lower=1)[0]

    def freedom(self) -> Array:
        """Return the trace, (1,)."""
        from scipy.linalg import lapack

        inverse = lapack.dtrtri(self._factor, lower=1)[0].T
        return np.array([inverse.shape[0] - self._alpha * float(np.einsum("ij,ij->", inverse, inverse))])

    def residuals(self) -> Array:
        """Return mean squared residuals, (1, outputs)."""
        squares = self._alpha * np.einsum("ij,ij->j", self._x, self._x)
        if self._system.by_rows:
            return np.asarray(self._alpha * squares)[None]
        explained = np.einsum("ij,ij->j", self._x, self._system.right) + squares
        return np.asarray(np.maximum(self._system.squares - explained, 0.0)[None])

    def project(self, rows: Array | None) -> Array:
        """Return the rows themselves, standardised."""
        return np.eye(self._x.shape[0]) if rows is None else rows * self._system.inverse_scale

    def leverages(self, basis: Array) -> Array:
        """Return leverages, (n, 1)."""
        from scipy.linalg import blas

        half = blas.dtrsm(1.0, self._factor, basis.T, lower=1)
        squares = np.einsum("ji,ji->i", half, half)[:, None]
        return np.asarray(1.0 - self._alpha * squares if self._system.by_rows else squares)

    def fits(self, basis: Array, output: int) -> Array:
        """Return fits, (n, 1)."""
        x = self._x[:, output, None]
        return np.asarray(
            basis @ (self._system.right[:, output, None] - self._alpha * x if self._system.by_rows else x)
        )

    def solution(self, chosen: Array) -> Array:
        """Return the solution, (m, outputs)."""
        return np.asarray(self._x)
