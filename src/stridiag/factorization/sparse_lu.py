"""Sparse LU by SuperLU, never believed without a check.

SuperLU with COLAMD and full partial pivoting returns factors with errors of 10 per cent and more for ordinary
constant chains with a few links, and calls well-conditioned matrices exactly singular. So `factor_sparse`
checks its factors by solving, tries once more with rows scaled at random, which breaks up the regularity that
lets the errors grow, and at last takes the orthogonal factorization.

References: X. S. Li, An overview of SuperLU, ACM Trans. Math. Softw. 31 (2005) 302-325.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from stridiag._dtypes import real_type
from stridiag._kernels.permutations import permutation_sign
from stridiag.errors import SizeLimitError
from stridiag.factorization.corrected import corrected_if_poor
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Diagonal, Permutation, columns_of_triangle
from stridiag.factorization.guard import Check, check_solves
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.planning.matching import unmatched_column

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["SparseLU", "factor_sparse"]

Array = NDArray[Any]

# Rows are scaled by 2**-4 ... 2**4: enough to change the choice of pivots, and rounding-free.
_SCALING = 4

# A row is a hub if it has so many times the entries of the longest column.
_HUB = 8


def factor_sparse(matrix: csc_array[Any], *, order: Callable[[], NDArray[np.int32]] | None = None) -> Decomposition:
    """Factor a square sparse matrix by SuperLU if that can be believed, by rotations otherwise.

    Parameters
    ----------
    matrix : csc_array, (n, n), of float32, float64, complex64 or complex128
        Is not changed.
    order : callable, optional
        Gives the columns in the order in which rotations shall eliminate them, if it comes to that. Default: COLAMD's
        for the nonzero entries.

    Returns
    -------
    SparseLU, Corrected or SparseQR
        See `stridiag.factorization.guard` for the rule.

    Raises
    ------
    SizeLimitError
        If SuperLU failed, and rotations would need more than
        `stridiag.factorization.sparse_qr.MAX_FILL_BYTES`.
    """
    n = matrix.shape[0]
    if not matrix.has_canonical_format or np.count_nonzero(matrix.data) < matrix.nnz:
        matrix = matrix.copy()  # SuperLU would sum duplicates and sort in place
        matrix.sum_duplicates()
        # A stored zero is an entry to SuperLU, and fills the factors like any other.
        matrix.eliminate_zeros()
    if n == 0 or unmatched_column(matrix.indices, _columns(matrix), n) is not None:
        # SuperLU rejects the one, and runs out of its arrays on the other.
        return SparseQR(matrix, order=order() if order else None)
    transposed = _has_hub_row(matrix)
    called_singular = False
    for exponents in (lambda: None, lambda: _random_exponents(n)):
        try:
            lu = SparseLU(matrix, exponents(), transposed=transposed)
        except RuntimeError:  # "Factor is exactly singular"
            called_singular = True
            continue
        except MemoryError:
            continue
        check = check_solves(lu, matrix)
        # After scaling, rounding can hide an exact zero that was there before: then R decides.
        if check.passed and not (called_singular and check.nearly_singular):
            lu.checked(check)
            return corrected_if_poor(lu, matrix, check)
    try:
        qr = SparseQR(matrix, order=order() if order else None)
    except SizeLimitError as error:
        error.add_note("SuperLU was tried first, but its factors failed the check or it called the matrix singular")
        raise
    if called_singular and qr.singularity is None:
        check = check_solves(qr, matrix)
        if check.nearly_singular:
            qr.singularity = Singularity(column=check.column)
    return qr


class SparseLU:
    r"""SuperLU's factors of D B, unguarded: :math:`P_r D B P_c = L U` with a diagonal D of powers of two.

    B is the matrix, or its transpose.

    Parameters
    ----------
    matrix : csc_array, (n, n), n > 0
        In canonical format; is not changed.
    exponents : ndarray of int, (n,), optional
        D = diag(2 ** exponents).
    transposed : bool, default False
        Factor the transpose in place of the matrix.

    Raises
    ------
    RuntimeError
        SuperLU's own, when it meets a zero pivot.
    """

    name = "sparse LU by SuperLU"

    def __init__(
        self, matrix: csc_array[Any], exponents: NDArray[np.int32] | None = None, *, transposed: bool = False
    ) -> None:
        self.singularity: Singularity | None = None
        self._exponents = exponents
        self._adjoint_size: float | None = None
        self._transposed = transposed
        self._dtype = matrix.dtype
        real = real_type(matrix.dtype)
        self._scale: Array | None = None
        if transposed:
            self.name += ", transposed"
            matrix = matrix.T.tocsc()
        if exponents is not None:
            self.name += ", rows scaled"
            self._scale = np.ldexp(np.ones(1, real), exponents)[:, None]
            scaled = matrix.copy()
            scaled.data *= self._scale[matrix.indices, 0]
            matrix = scaled
        # The stubs do not know the adjoint solve.
        self._lu: Any = splu(matrix, permc_spec="COLAMD")

    def checked(self, check: Check) -> None:
        """Keep what the check has shown of the inverse."""
        self._adjoint_size = check.adjoint_size

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`: from the check's own solve with the adjoint."""
        # Its numbers have a variance of more than a half. Twice the usual margin, since they do not go down to zero:
        # two that are alike cancel more often.
        size = self._adjoint_size
        return None if size is None else 200.0 * math.sqrt(2.0 * self._lu.shape[0]) * size

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if b.size == 0:
            return b.copy()
        if not self._transposed:
            return self._solve(b, "H" if adjoint else "N")
        return self._solve(b.conj(), "N").conj() if adjoint else self._solve(b, "T")

    def _solve(self, b: Array, trans: str) -> Array:
        """Solve with B, its transpose, or its adjoint."""
        if trans == "N":
            return np.ascontiguousarray(self._lu.solve(b if self._scale is None else self._scale * b))
        x = self._lu.solve(b, trans)
        return np.ascontiguousarray(x if self._scale is None else self._scale * x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = np.empty_like(x)
        if self._transposed:
            y[self._lu.perm_r] = x if self._scale is None else x / self._scale
            # A = P_c (L U)^T P_r D^-1, applied from the right.
            transposed: Array = (self._lu.U.T @ (self._lu.L.T @ y))[self._lu.perm_c]
            return transposed
        y[self._lu.perm_c] = x
        result: Array = (self._lu.L @ (self._lu.U @ y))[self._lu.perm_r]
        return result if self._scale is None else result / self._scale

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
        rows, columns = Permutation(self._lu.perm_r), Permutation(self._lu.perm_c)
        if self._transposed:
            return [
                columns,
                *columns_of_triangle(self._lu.U.T.tocsc(), range(n), divide="rows"),
                *columns_of_triangle(self._lu.L.T.tocsc(), range(n - 1, -1, -1), divide="rows"),
                rows.inverse(),
                *unscale,
            ]
        return [
            *unscale,
            rows,
            *columns_of_triangle(self._lu.L, range(n), divide="rows"),
            *columns_of_triangle(self._lu.U, range(n - 1, -1, -1), divide="rows"),
            columns.inverse(),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        entry = self._dtype.itemsize + self._lu.perm_c.itemsize
        return int(self._lu.nnz * entry + 4 * self._lu.perm_c.nbytes)


def _columns(matrix: csc_array[Any]) -> NDArray[np.int32]:
    """Return the column of each stored entry."""
    return np.repeat(np.arange(matrix.shape[1], dtype=np.int32), np.diff(matrix.indptr))


def _has_hub_row(matrix: csc_array[Any]) -> bool:
    """Return whether the transpose is much easier: COLAMD sets dense columns aside, but a dense row fills all of U."""
    longest_row = int(np.bincount(matrix.indices, minlength=1).max())
    longest_column = int(np.diff(matrix.indptr).max())
    return longest_row > _HUB * longest_column and longest_row > _HUB**2


def _random_exponents(n: int) -> NDArray[np.int32]:
    return np.random.default_rng(20220703).integers(-_SCALING, _SCALING, n, dtype=np.int32, endpoint=True)
