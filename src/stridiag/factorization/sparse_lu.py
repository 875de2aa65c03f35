"""Sparse LU by SuperLU, never believed without a check.

SuperLU with COLAMD and full partial pivoting returns factors with errors of 10 per cent and more for ordinary
constant chains with a few links, and calls well-conditioned matrices exactly singular. So `factor_sparse`
checks its factors by solving, tries once more with rows scaled at random, which breaks up the regularity that
lets the errors grow, and at last takes the orthogonal factorization.

References: X. S. Li, An overview of SuperLU, ACM Trans. Math. Softw. 31 (2005) 302-325.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from stridiag._kernels.sparse_qr import permutation_sign
from stridiag.errors import SizeLimitError
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Diagonal, Permutation, columns_of_triangle
from stridiag.factorization.guard import check_solves
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_qr import SparseQR

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["SparseLU", "factor_sparse"]

Array = NDArray[Any]

# Rows are scaled by 2**-4 ... 2**4: enough to change the choice of pivots, and rounding-free.
_SCALING = 4


def factor_sparse(matrix: csc_array[Any]) -> Decomposition:
    """Factor a square sparse matrix by SuperLU if that can be believed, by rotations otherwise.

    Parameters
    ----------
    matrix : csc_array, (n, n), of float32, float64, complex64 or complex128
        Is not changed.

    Returns
    -------
    SparseLU or SparseQR
        See `stridiag.factorization.guard` for the rule.

    Raises
    ------
    SizeLimitError
        If SuperLU failed, and rotations would need more than
        `stridiag.factorization.sparse_qr.MAX_FILL_BYTES`.
    """
    n = matrix.shape[0]
    if not matrix.has_canonical_format:
        matrix = matrix.copy()  # SuperLU would sum duplicates and sort in place
        matrix.sum_duplicates()
    if n == 0:  # which SuperLU rejects
        return SparseQR(matrix)
    called_singular = False
    for exponents in (None, _random_exponents(n)):
        try:
            lu = SparseLU(matrix, exponents)
        except RuntimeError:  # "Factor is exactly singular"
            called_singular = True
            continue
        except MemoryError:
            continue
        check = check_solves(lu, matrix)
        # After scaling, rounding can hide an exact zero that was there before: then R decides.
        if check.passed and not (called_singular and check.nearly_singular):
            return lu
    try:
        qr = SparseQR(matrix)
    except SizeLimitError as error:
        error.add_note("SuperLU was tried first, but its factors failed the check or it called the matrix singular")
        raise
    if called_singular and qr.singularity is None:
        check = check_solves(qr, matrix)
        if check.nearly_singular:
            qr.singularity = Singularity(column=check.column)
    return qr


class SparseLU:
    r"""SuperLU's factors of D A, unguarded: :math:`P_r D A P_c = L U` with a diagonal D of powers of two.

    Parameters
    ----------
    matrix : csc_array, (n, n), n > 0
        In canonical format; is not changed.
    exponents : ndarray of int, (n,), optional
        D = diag(2 ** exponents).

    Raises
    ------
    RuntimeError
        SuperLU's own, when it meets a zero pivot.
    """

    name = "sparse LU by SuperLU"

    def __init__(self, matrix: csc_array[Any], exponents: NDArray[np.int32] | None = None) -> None:
        self.singularity: Singularity | None = None
        self._exponents = exponents
        self._dtype = matrix.dtype
        real = np.zeros(0, matrix.dtype).real.dtype
        self._scale: Array | None = None
        if exponents is not None:
            self.name = "sparse LU by SuperLU, rows scaled"
            self._scale = np.ldexp(np.ones(1, real), exponents)[:, None]
            scaled = matrix.copy()
            scaled.data *= self._scale[matrix.indices, 0]
            matrix = scaled
        # The stubs do not know the adjoint solve.
        self._lu: Any = splu(matrix, permc_spec="COLAMD")

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if b.size == 0:
            return b.copy()
        if adjoint:
            x = self._lu.solve(b, "H")
            return np.ascontiguousarray(x if self._scale is None else self._scale * x)
        return np.ascontiguousarray(self._lu.solve(b if self._scale is None else self._scale * b))

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        inner = np.empty_like(x)
        inner[self._lu.perm_c] = x
        y: Array = (self._lu.L @ (self._lu.U @ inner))[self._lu.perm_r]
        return y if self._scale is None else y / self._scale

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        n = self._lu.shape[0]
        sign = permutation_sign(self._lu.perm_r, np.zeros(n, np.uint8))
        sign *= permutation_sign(self._lu.perm_c, np.zeros(n, np.uint8))
        phase, log = phase_and_log(self._lu.U.diagonal(), sign)
        if self._exponents is not None:
            log -= int(self._exponents.sum()) * float(np.log(2.0))
        return phase, log

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._lu.shape[0], self._dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the row scaling undone, rows, L by columns, D, U by columns, columns."""
        n = self._lu.shape[0]
        unscale = [] if self._scale is None else [Diagonal(1 / self._scale[:, 0])]
        return [
            *unscale,
            Permutation(self._lu.perm_r),
            *columns_of_triangle(self._lu.L, range(n), divide="rows"),
            *columns_of_triangle(self._lu.U, range(n - 1, -1, -1), divide="rows"),
            Permutation(self._lu.perm_c).inverse(),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        entry = self._dtype.itemsize + self._lu.perm_c.itemsize
        return int(self._lu.nnz * entry + 4 * self._lu.perm_c.nbytes)


def _random_exponents(n: int) -> NDArray[np.int32]:
    return np.random.default_rng(20220703).integers(-_SCALING, _SCALING, n, dtype=np.int32, endpoint=True)
