"""Residuals of a sparse matrix in twice the precision. See `stridiag._kernels.residual`.

Columns of a pseudoinverse that are refined with them are accurate to a small multiple of eps, not of eps times the
condition number, but for what the subspaces that are dropped contribute; so they fit together, and the product of the
array with the matrix is Hermitian up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.residual import subtract_product_twofold

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["TwofoldResidual"]

Array = NDArray[Any]


class TwofoldResidual:
    """The map from b and x to ``b - A x``, for numbers of moderate size.

    Parameters
    ----------
    matrix : csr_array, (m, n), of float64 or complex128

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> residual = TwofoldResidual(csr_array([[1.0 + 2.0**-30]]))
    >>> float(residual(np.ones((1, 1)), np.array([[1.0 - 2.0**-30]]))[0, 0]) == 2.0**-60
    True
    """

    def __init__(self, matrix: csr_array[Any]) -> None:
        self._columns = matrix.indices.astype(np.int64)
        self._rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self._parts = (
            (np.ascontiguousarray(matrix.data.real), np.ascontiguousarray(matrix.data.imag))
            if matrix.dtype.kind == "c"
            else (matrix.data,)
        )

    def __call__(self, b: Array, x: Array) -> Array:
        """Return ``b - A x``, (m, k), both of the matrix's number type."""
        if len(self._parts) == 1:
            return self._subtract(b, (self._parts[0], x))
        real, imaginary = self._parts
        result = np.empty_like(b)
        result.real = self._subtract(b.real, (real, x.real), (imaginary, -x.imag))
        result.imag = self._subtract(b.imag, (real, x.imag), (imaginary, x.real))
        return result

    def _subtract(self, b: Array, *products: tuple[Array, Array]) -> Array:
        high = np.array(b, order="C")
        low = np.zeros_like(high)
        none, starts = np.empty(0, np.int64), np.zeros(1, np.int64)
        for values, x in products:
            factor = np.ascontiguousarray(x)
            subtract_product_twofold(values, none, starts, self._rows, self._columns, False, factor, high, low)
        total: Array = high + low
        return total
