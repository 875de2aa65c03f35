"""Small dense matrices by QR, at a cost that depends on their order alone. See `stridiag._kernels.small_qr`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import small_qr as kernels
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import columns_of_triangle
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Reflection

__all__ = ["SmallQR"]

Array = NDArray[Any]


class SmallQR:
    """QR by Householder reflections, without pivoting: backward stable, so it needs no guard.

    Parameters
    ----------
    array : ndarray, (n, n)
        Is overwritten if it is in double precision. Single precision is factored in double: the squares in a reflection
        have no room in it.
    """

    name = "dense QR"

    def __init__(self, array: Array) -> None:
        n = array.shape[0]
        self._dtype = array.dtype
        self._wide = double_type(array.dtype)
        self._qr = array.astype(self._wide, copy=False)
        self._tau = np.empty(n)
        info = kernels.factor(self._qr, self._tau, np.empty(n, self._wide))
        self.singularity = None if info < 0 else Singularity(column=info)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.singularity is not None:
            return np.full_like(b, np.nan)
        x = b.astype(self._wide, copy=False)
        if adjoint:
            kernels.solve_upper_adjoint(self._qr, x)
            kernels.reflect(self._qr, self._tau, x, True)
        else:
            kernels.reflect(self._qr, self._tau, x, False)
            kernels.solve_upper(self._qr, x)
        return x.astype(self._dtype, copy=False)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = x.astype(self._wide, copy=False)
        kernels.multiply_upper(self._qr, y)
        kernels.reflect(self._qr, self._tau, y, True)
        return y.astype(self._dtype, copy=False)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        flips = int(np.count_nonzero(self._tau))
        return phase_and_log(np.ascontiguousarray(self._qr.diagonal()), sign_of_flips(flips))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._tau.size, self._dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the reflections, D, U by columns."""
        from scipy.sparse import csc_array

        n = self._tau.size
        packed = self._qr.astype(self._dtype)
        vectors = np.tril(packed, -1) + np.eye(n, dtype=self._dtype)
        tau = self._tau.astype(packed.real.dtype)
        places = np.arange(n)
        upper = csc_array(np.triu(packed))
        return [
            *(Reflection(n, places[k:], vectors[k:, k], tau[k]) for k in range(n)),
            *columns_of_triangle(upper, range(n - 1, -1, -1), divide="rows"),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return int(self._qr.nbytes + self._tau.nbytes)
