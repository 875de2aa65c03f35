"""Singular values counted below a bound. See `stridiag._kernels.inertia`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.inertia import count_negative
from stridiag.planning.fronts import augmented_pattern
from stridiag.planning.sparse import leading_columns

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["SingularValueCounter"]

Array = NDArray[Any]

# Numbers of the triangle.
_MAX_ENTRIES = 1 << 26


class SingularValueCounter:
    """Counts the singular values of a sparse matrix below a bound.

    Parameters
    ----------
    matrix : csr_array, (m, n), of float64 or complex128
        Any shape.
    work_limit : int
        Operations of one count.

    Attributes
    ----------
    affordable : bool
        Whether a count keeps within the limit; `below` may be called only then.
    """

    def __init__(self, matrix: csr_array[Any], work_limit: int) -> None:
        from scipy.sparse import block_array, eye_array

        m, n = matrix.shape
        self._rows = m
        analysis = augmented_pattern(matrix, max_entries=_MAX_ENTRIES)
        self.affordable = analysis.complete and analysis.lu_operations <= work_limit
        if not self.affordable:
            return
        order = analysis.order
        kind = matrix.dtype
        whole = block_array(
            [[eye_array(m, dtype=kind), matrix], [matrix.conj().T, eye_array(n, dtype=kind)]], format="csr"
        )
        whole = whole[order][:, order].tocsr()
        self._pointers = whole.indptr.astype(np.int64)
        self._indices = whole.indices.astype(np.int32, copy=False)
        self._data = whole.data.copy()
        row = np.repeat(np.arange(m + n), np.diff(self._pointers))
        self._diagonal = np.flatnonzero(row == self._indices)
        self._leads = leading_columns(self._pointers, self._indices, m + n)
        self._triangle = (analysis.row_pointers, analysis.columns)

    def below(self, bound: float) -> int:
        """Return the number of singular values, of min(m, n), below the bound.

        It is that of a matrix which differs from the given one by rounding errors.
        """
        size = self._leads.size
        kind = self._data.dtype
        self._data[self._diagonal] = -bound
        negative = count_negative(
            self._pointers,
            self._indices,
            self._data,
            self._leads,
            *self._triangle,
            np.empty(self._triangle[1].size, kind),
            np.empty(size, kind),
            np.zeros(size, kind),
        )
        # Of [-t, A; A', -t] the eigenvalues -t - sigma and, one for each row or column too many, -t are negative.
        return int(negative) - max(self._rows, size - self._rows)
