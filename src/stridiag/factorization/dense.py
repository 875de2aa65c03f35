r"""Dense decompositions by LAPACK: LU with partial pivoting, and QR where LU cannot be believed.

.. math:: P A = L U \qquad\text{or}\qquad A = Q R, \quad Q = H_1 \cdots H_n, \quad H_i = I - \tau_i v_i v_i^H

LU takes 2/3 n^3 flops and QR twice as many; a right-hand side 2 n^2 and 3 n^2. Since H is unitary,
:math:`v^H v = 2 \operatorname{Re} \tau / |\tau|^2`, and so :math:`\det H = 1 - \tau v^H v = -\tau / \bar\tau`
(which is -1 for real numbers), or 1 if :math:`\tau = 0`.

References: LAPACK xGETRF, xGETRS, xGEQRF, xORMQR, xTRTRS; Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., ch. 9 and 19.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from stridiag.factorization.corrected import corrected_if_poor
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.guard import check_solves
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Reflection

__all__ = ["DenseLU", "DenseQR", "factor_dense"]

Array = NDArray[Any]


def factor_dense(array: Array) -> Decomposition:
    """Factor a square array by LU if that can be believed, and by QR otherwise.

    Parameters
    ----------
    array : ndarray, (n, n), of float32, float64, complex64 or complex128
        Is not changed.

    Returns
    -------
    DenseLU, Corrected or DenseQR
        See `stridiag.factorization.guard` for the rule.
    """
    lu = DenseLU(array)
    if lu.singularity is None:
        check = check_solves(lu, array)
        return corrected_if_poor(lu, array, check) if check.passed else DenseQR(array)
    qr = DenseQR(array)
    if qr.singularity is None:
        check = check_solves(qr, array)
        if check.nearly_singular:
            lu.singularity = Singularity(row=lu.singularity.row, column=check.column)
            return lu
    return qr


class DenseLU:
    """LU with partial pivoting, unguarded.

    Parameters
    ----------
    array : ndarray, (n, n)
        Is not changed.
    """

    name = "dense LU with partial pivoting"

    def __init__(self, array: Array) -> None:
        n = array.shape[0]
        self.singularity: Singularity | None = None
        if n == 0:  # LAPACK rejects a leading dimension of zero
            self._lu, self._pivots = array.copy(), np.zeros(0, dtype=np.int32)
            self._rows = np.zeros(0, dtype=np.intp)
            return
        getrf = _lapack("getrf", array)
        self._lu, self._pivots, info = getrf(array)
        self._rows = _original_rows(self._pivots)
        if info > 0:
            self.singularity = Singularity(row=int(self._rows[info - 1]))

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if b.size == 0 or self.singularity is not None:
            return np.full_like(b, np.nan)
        # Two triangular solves in place of xGETRS: that one wakes BLAS's threads even for two small right-hand
        # sides, and scipy's wrapper of it counts the shared pivots up and down, so that threads collide.
        trtrs = _lapack("trtrs", self._lu)
        if adjoint:
            y, _ = trtrs(self._lu, b, trans=2)
            z, _ = trtrs(self._lu, y, lower=1, trans=2, unitdiag=1)
            x = np.empty_like(b)
            x[self._rows] = z
            return x
        y, _ = trtrs(self._lu, b[self._rows], lower=1, unitdiag=1)
        x, _ = trtrs(self._lu, y)
        return np.ascontiguousarray(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        if x.size == 0:
            return x.copy()
        trmm: Any = get_blas_funcs("trmm", (self._lu,))
        y = np.empty_like(x)
        y[self._rows] = trmm(1, self._lu, trmm(1, self._lu, x), lower=1, diag=1)
        return y

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        swaps = np.count_nonzero(self._pivots != np.arange(self._pivots.size))
        return phase_and_log(self._lu.diagonal().copy(), sign_of_flips(int(swaps)))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._lu.shape[0], self._lu.dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the interchanges, L by columns, D, U by columns."""
        n = self._rows.size
        unit_lower = np.tril(self._lu, -1) + np.eye(n, dtype=self._lu.dtype)
        return [
            Permutation(self._rows).inverse(),
            *_columns(unit_lower, range(n)),
            *_columns(np.triu(self._lu), range(n - 1, -1, -1)),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return int(self._lu.nbytes + self._pivots.nbytes)


class DenseQR:
    """QR by Householder reflections, without pivoting.

    Parameters
    ----------
    array : ndarray, (n, n)
        Is not changed.
    """

    name = "dense QR"

    def __init__(self, array: Array) -> None:
        n = array.shape[0]
        self.singularity: Singularity | None = None
        self._apply_name = "unmqr" if array.dtype.kind == "c" else "ormqr"
        if n == 0:
            self._qr, self._tau = array.copy(), np.zeros(0, dtype=array.dtype)
            return
        work, _ = _lapack("geqrf_lwork", array)(n, n)
        self._qr, self._tau, _, _ = _lapack("geqrf", array)(array, lwork=int(work.real))
        zeros = np.flatnonzero(self.diagonal == 0)
        if zeros.size:
            self.singularity = Singularity(column=int(zeros[0]))

    @property
    def diagonal(self) -> Array:
        """Diagonal of R."""
        return self._qr.diagonal().copy()

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if b.size == 0 or self.singularity is not None:
            return np.full_like(b, np.nan)
        trtrs = _lapack("trtrs", self._qr)
        if adjoint:
            y, _ = trtrs(self._qr, b, trans=2)
            return np.ascontiguousarray(self._apply_q(y))
        x, _ = trtrs(self._qr, self._apply_q(b, adjoint=True))
        return np.ascontiguousarray(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        if x.size == 0:
            return x.copy()
        trmm: Any = get_blas_funcs("trmm", (self._qr,))
        return np.ascontiguousarray(self._apply_q(trmm(1, self._qr, x)))

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        tau = self._tau[self._tau != 0]
        # Only the phase is taken, and that of -tau^2 is the phase of -tau / conj(tau).
        unit = tau / np.abs(tau)
        reflections, _ = phase_and_log(-unit * unit)
        return phase_and_log(self.diagonal, reflections)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._qr.shape[0], self._qr.dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the reflections, D, U by columns."""
        n = self._tau.size
        vectors = np.tril(self._qr, -1) + np.eye(n, dtype=self._qr.dtype)
        places = np.arange(n)
        reflections = [Reflection(n, places[k:], vectors[k:, k], self._tau[k]) for k in range(n)]
        return [*reflections, *_columns(np.triu(self._qr), range(n - 1, -1, -1))]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return int(self._qr.nbytes + self._tau.nbytes)

    def _apply_q(self, b: Array, *, adjoint: bool = False) -> Array:
        apply = _lapack(self._apply_name, self._qr)
        trans = "N" if not adjoint else "C" if self._qr.dtype.kind == "c" else "T"
        _, work, _ = apply("L", trans, self._qr, self._tau, b, -1)
        product: Array = apply("L", trans, self._qr, self._tau, b, int(work[0].real))[0]
        return product


def _lapack(name: str, array: Array) -> Any:
    return get_lapack_funcs(name, (array,))


def _original_rows(pivots: Array) -> NDArray[np.intp]:
    """Return the original row of each row of U, given LAPACK's record of interchanges."""
    rows = np.arange(pivots.size)
    for i, other in enumerate(pivots.tolist()):
        if i != other:
            rows[i], rows[other] = rows[other], rows[i]
    return rows


def _columns(triangle: Array, order: range) -> list[SimpleFactor]:
    from scipy.sparse import csc_array

    return columns_of_triangle(csc_array(triangle), order, divide="rows")
