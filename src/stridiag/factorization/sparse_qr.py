"""Sparse orthogonal decomposition: slower than LU, and never wrong. See `stridiag._kernels.sparse_qr`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import real_type
from stridiag._kernels import sparse_qr as kernels
from stridiag._kernels.permutations import permutation_sign
from stridiag.errors import SizeLimitError
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Rotation
from stridiag.planning.sparse import SparseAnalysis, analyse, last_columns, leading_columns

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["MAX_FILL_BYTES", "SparseQR"]

Array = NDArray[Any]

MAX_FILL_BYTES = 2 << 30
"""Bytes of stored factors above which `SparseQR` refuses."""


class SparseQR:
    """QR by Givens rotations, columns in COLAMD order.

    Parameters
    ----------
    matrix : csc_array, (n, n), of float32, float64, complex64 or complex128
        Is not changed.
    analysis : SparseAnalysis, optional
        That of the matrix's pattern, if it is at hand.
    order : ndarray of int32, (n,), optional
        Columns in the order of elimination, in place of COLAMD's for the pattern: that of a pattern with more entries,
        of which a bound is known.

    Raises
    ------
    SizeLimitError
        If the factors would occupy more than `MAX_FILL_BYTES`; before any numeric work.
    """

    name = "sparse QR by rotations"

    def __init__(
        self,
        matrix: csc_array[Any],
        analysis: SparseAnalysis | None = None,
        *,
        order: NDArray[np.int32] | None = None,
    ) -> None:
        n = matrix.shape[0]
        dtype = matrix.dtype
        if analysis is None:
            entry_bytes = dtype.itemsize + np.dtype(np.int32).itemsize
            analysis = analyse(matrix, max_entries=MAX_FILL_BYTES // entry_bytes, order=order)
        _require_room(analysis, dtype)

        by_rows = matrix[:, analysis.order].tocsr()
        pointers = by_rows.indptr.astype(np.int64)
        indices = by_rows.indices.astype(np.int32, copy=False)
        leads = leading_columns(pointers, indices, n)
        # Of the rows that start together the short ones come first: they fill R's row the least.
        row_order = np.lexsort((last_columns(pointers, indices), leads))

        self._order = analysis.order
        self._r = (analysis.row_pointers, analysis.columns, np.zeros(analysis.entries, dtype))
        starts = np.empty(n + 1, np.int64)
        others = np.empty(n, np.int32)
        first = np.empty(analysis.rotations, np.int32)
        cosines = np.empty(analysis.rotations, real_type(dtype))
        sines = np.empty(analysis.rotations, dtype)
        count = kernels.factor_rows(
            pointers,
            indices,
            by_rows.data,
            row_order,
            leads,
            *self._r,
            np.zeros(n, dtype),
            np.zeros(n, np.uint8),
            starts,
            others,
            first,
            cosines,
            sines,
        )
        # Copies, so that what the bound promised and the numbers did not need is given back.
        self._q = (starts, others, first[:count].copy(), cosines[:count].copy(), sines[:count].copy())
        self._slots = np.empty(n, np.int32)
        self._slots[row_order] = others
        self.singularity = self._find_singularity(analysis)

    def _find_singularity(self, analysis: SparseAnalysis) -> Singularity | None:
        if analysis.unmatched is not None:
            return Singularity(column=analysis.unmatched)
        zeros = np.flatnonzero(self.diagonal == 0)
        return Singularity(column=int(self._order[zeros[0]])) if zeros.size else None

    @property
    def diagonal(self) -> Array:
        """Diagonal of R, in the order of elimination."""
        pointers, _, values = self._r
        result = np.zeros(self._order.size, values.dtype)
        filled = np.diff(pointers) > 0
        result[filled] = values[pointers[:-1][filled]]
        return result

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.singularity is not None:
            return np.full_like(b, np.nan)
        if adjoint:
            z = b[self._order]
            if kernels.solve_upper_adjoint(*self._r, z) >= 0:  # overflow, or NaN that was there before
                return np.full_like(b, np.nan)
            kernels.undo_rotations(*self._q, z)
            return z[self._slots]
        z = np.empty_like(b)
        z[self._slots] = b
        kernels.apply_rotations(*self._q, z)
        if kernels.solve_upper(*self._r, z) >= 0:
            return np.full_like(b, np.nan)
        x = np.empty_like(b)
        x[self._order] = z
        return x

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = np.empty_like(x)
        kernels.multiply_upper(*self._r, x[self._order], y)
        kernels.undo_rotations(*self._q, y)
        return y[self._slots]

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        if self.singularity is not None:
            return 0.0, -np.inf
        n = self._order.size
        sign = permutation_sign(self._order, np.zeros(n, np.uint8))
        sign *= permutation_sign(self._slots, np.zeros(n, np.uint8))
        return phase_and_log(self.diagonal, sign)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._order.size, self._r[2].dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: rows, the rotations undone, D, U by columns, the order of the columns."""
        from scipy.sparse import csr_array

        n = self._order.size
        starts, others, first, cosines, sines = self._q
        second = np.repeat(others, np.diff(starts)).tolist()
        rotations = [
            Rotation(n, one, other, cosine, -sine)
            for one, other, cosine, sine in zip(first.tolist(), second, cosines, sines, strict=True)
        ]
        pointers, columns, values = self._r
        triangle = csr_array((values, columns, pointers), shape=(n, n)).tocsc()
        return [
            Permutation(self._slots.astype(np.int64)),
            *rotations,
            *columns_of_triangle(triangle, range(n - 1, -1, -1), divide="rows"),
            Permutation(self._order.astype(np.int64)),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in (*self._r, *self._q, self._slots, self._order))


def _require_room(analysis: SparseAnalysis, dtype: np.dtype[Any]) -> None:
    predicted = analysis.qr_bytes(dtype)
    if analysis.complete and predicted <= MAX_FILL_BYTES:
        return
    more = "" if analysis.complete else "more than "
    raise SizeLimitError(
        f"the factors of sparse QR would take {more}{predicted} bytes for {more}{analysis.entries} entries, "
        f"the limit is {MAX_FILL_BYTES} bytes; use fewer links, offsets closer together, or single precision"
    )
