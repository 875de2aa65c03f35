r"""What a sparse factorization can cost, from the pattern alone.

The columns are put into COLAMD order. Merging rows in that order gives, for each column k, the number m_k of
rows that can be active there and the number r_k of entries in row k of R. They bound both factorizations:

* LU with any interchanges of rows takes at most :math:`\sum_k (m_k - 1) (1 + 2 (r_k - 1))` operations;
* Givens QR takes at most :math:`\sum_k (m_k - 1)` rotations, of :math:`6 (r_k - 1) + 12` operations each.

References: A. George and E. Ng, SIAM J. Sci. Stat. Comput. 6 (1985) 390-409; T. A. Davis, J. R. Gilbert,
S. I. Larimore and E. G. Ng, Algorithm 836: COLAMD, ACM Trans. Math. Softw. 30 (2004) 377-380.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import real_type
from stridiag._kernels.sparse_qr import merge_rows
from stridiag.planning.matching import matched_rows, unmatched_column

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = [
    "DEFAULT_MAX_ENTRIES",
    "SparseAnalysis",
    "analyse",
    "colamd",
    "last_columns",
    "leading_columns",
    "merge",
]

Index = NDArray[np.int32]
Pointers = NDArray[np.int64]

DEFAULT_MAX_ENTRIES = 1 << 27
"""Entries of R at which `analyse` gives up: 1.6 GiB of factors in double precision."""

# Making a rotation: two shifts of scale, two squares, a sum, a root, four divisions or products for c and s,
# and two for the new diagonal entry.
_ROTATION = 12


@dataclass(frozen=True, slots=True, eq=False)
class SparseAnalysis:
    """Structure and cost of the sparse factorizations of one square pattern.

    Attributes
    ----------
    order : ndarray of int32, (n,)
        ``order[k]`` is the original column that is eliminated k-th.
    active : ndarray of int32, (n,)
        m_k, the number of rows that can have an entry in column k when its turn comes.
    row_pointers, columns : ndarray of int64, (n + 1,), and of int32
        Structure of R by rows, each with its diagonal entry first; a row is empty where ``active`` is zero.
    unmatched : int or None
        An original column that no choice of nonzeros can make independent of the others: the pattern is
        structurally singular.
    complete : bool
        False where the limit of entries stopped the analysis. All counts are then those of the columns
        reached: neither bounds nor estimates, except that the truth is larger.
    """

    order: Index
    active: Index
    row_pointers: Pointers
    columns: Index
    unmatched: int | None
    complete: bool

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.order.size

    @property
    def row_counts(self) -> Pointers:
        """Entries r_k in each row of R."""
        return np.diff(self.row_pointers)

    @property
    def entries(self) -> int:
        """Entries of R, an upper bound of those of U."""
        return self.columns.size

    @property
    def rotations(self) -> int:
        """Upper bound of the rotations, and of the entries of L below its diagonal."""
        return int(self._passed_on().sum())

    @property
    def lu_operations(self) -> int:
        """Upper bound of the operations of LU, whatever rows are interchanged."""
        return int((self._passed_on() * (1 + 2 * self._beside_diagonal())).sum())

    @property
    def lu_solve_operations(self) -> int:
        """Upper bound of the operations of LU for one right-hand side."""
        return 2 * (self.rotations + self.entries) - self.n

    @property
    def qr_operations(self) -> int:
        """Upper bound of the operations of Givens QR, square roots included."""
        return int((self._passed_on() * (_ROTATION + 6 * self._beside_diagonal())).sum())

    @property
    def qr_solve_operations(self) -> int:
        """Upper bound of the operations of Givens QR for one right-hand side."""
        return 6 * self.rotations + 2 * self.entries - self.n

    def qr_bytes(self, number: np.dtype[Any]) -> int:
        """Return an upper bound of the bytes of the factors of Givens QR, for numbers of that type."""
        real = real_type(number)
        pointers = 2 * self.row_pointers.nbytes + 3 * self.order.nbytes
        rotation = number.itemsize + real.itemsize + self.columns.itemsize
        entry = number.itemsize + self.columns.itemsize
        return int(pointers + self.entries * entry + self.rotations * rotation)

    def _passed_on(self) -> Pointers:
        return np.maximum(self.active.astype(np.int64) - 1, 0)

    def _beside_diagonal(self) -> Pointers:
        return np.maximum(self.row_counts - 1, 0)


def analyse(
    pattern: csc_array[Any], *, max_entries: int = DEFAULT_MAX_ENTRIES, order: Index | None = None
) -> SparseAnalysis:
    """Order the columns of a square pattern and find the structure of its factors.

    Parameters
    ----------
    pattern : csc_array, (n, n)
        Without duplicates. Stored entries count, whatever their values.
    max_entries : int
        Stop when R has more entries than this; the result then says ``complete=False``.
    order : ndarray of int32, (n,), optional
        Original columns in the order of elimination, in place of COLAMD's.

    Returns
    -------
    SparseAnalysis

    Examples
    --------
    >>> import scipy.sparse
    >>> analysis = analyse(scipy.sparse.csc_array([[1.0, 1.0], [1.0, 1.0]]))
    >>> analysis.entries, analysis.rotations, analysis.lu_operations
    (3, 1, 3)
    """
    n = pattern.shape[1]
    if order is None:
        order, unmatched = colamd(pattern)
    else:
        unmatched = unmatched_column(pattern.indices, np.repeat(np.arange(n), np.diff(pattern.indptr)), n)
    by_rows = pattern[:, order].tocsr()
    pointers = by_rows.indptr.astype(np.int64)
    indices = by_rows.indices.astype(np.int32, copy=False)
    leads = leading_columns(pointers, indices, n)

    active = np.bincount(leads, minlength=n + 1)[:n].astype(np.int32)
    row_pointers, columns, reached = merge(pointers, indices, leads, active, max_entries)
    active[reached:] = 0
    result = (order, active, row_pointers, columns)
    for array in result:
        array.flags.writeable = False
    return SparseAnalysis(*result, unmatched=unmatched, complete=reached == n)


def merge(
    pointers: Pointers, indices: Index, leads: Index, active: Index, max_entries: int
) -> tuple[Pointers, Index, int]:
    """Find the structure of R for the rows of a CSR pattern, whose leading columns are known.

    Parameters
    ----------
    pointers, indices : ndarray of int64, (m + 1,), and of int32
    leads : ndarray of int32, (m,)
    active : ndarray of int32, (n,)
        The number of rows led by each column; becomes m_k. What is added to it stands for rows that have entries in
        one column only.
    max_entries : int
        Stop when R has more entries than this.

    Returns
    -------
    row_pointers, columns : ndarray of int64, (n + 1,), and of int32
        As in `SparseAnalysis`.
    reached : int
        The column at which the limit was met, n if it was not.
    """
    n = active.size
    own_first, own_next = _chains(leads, n)
    child_first = np.full(n, -1, dtype=np.int32)
    child_next = np.full(n, -1, dtype=np.int32)
    marker = np.full(n, -1, dtype=np.int32)
    row_pointers = np.zeros(n + 1, dtype=np.int64)
    columns = np.empty(min(4 * indices.size + n, max_entries), dtype=np.int32)
    reached = 0
    while True:
        reached = merge_rows(
            pointers,
            indices,
            own_first,
            own_next,
            child_first,
            child_next,
            active,
            marker,
            row_pointers,
            columns,
            reached,
        )
        if reached == n or columns.size >= max_entries:
            break
        larger = np.empty(min(2 * columns.size, max_entries), dtype=np.int32)
        larger[: columns.size] = columns
        columns = larger
    row_pointers[reached + 1 :] = row_pointers[reached]
    return row_pointers, columns[: row_pointers[reached]].copy(), reached


def colamd(pattern: csc_array[Any]) -> tuple[Index, int | None]:
    """Return SuperLU's COLAMD order of the columns, and a column without a partner (None if there is none).

    SuperLU gives its order only together with a factorization, so it gets numbers for which that cannot fail.
    A maximum matching of rows and columns is moved onto the diagonal, and completed where the pattern is
    structurally singular. COLAMD does not see the order of rows. The diagonal dominates its column and every
    other entry is negative: in such an M-matrix no sum cancels, so no pivot vanishes, whatever is dropped.
    The factorization is an incomplete one that drops all it may, so its fill is no concern either.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import spilu

    n = pattern.shape[1]
    if n < 2 or pattern.nnz == 0:
        return np.arange(n, dtype=np.int32), 0 if n > pattern.nnz else None
    rows = pattern.indices
    columns = np.repeat(np.arange(n, dtype=np.int32), np.diff(pattern.indptr))
    partner = matched_rows(rows, columns, n)
    lonely_columns = np.flatnonzero(partner < 0)
    unmatched = int(lonely_columns[0]) if lonely_columns.size else None
    if lonely_columns.size:
        free = np.ones(n, bool)
        free[partner[partner >= 0]] = False
        partner[lonely_columns] = np.flatnonzero(free)
    new_row = np.empty(n, dtype=np.int32)
    new_row[partner] = np.arange(n, dtype=np.int32)
    rows = new_row[rows]
    everywhere = np.arange(n, dtype=np.int32)
    dominant = np.diff(pattern.indptr) + 2.0
    matrix = coo_array(
        (
            np.concatenate([np.full(rows.size, -1.0), dominant]),
            (np.concatenate([rows, everywhere]), np.concatenate([columns, everywhere])),
        ),
        shape=(n, n),
    ).tocsc()
    position = spilu(matrix, drop_tol=1.0, fill_factor=1.0, permc_spec="COLAMD").perm_c
    order = np.empty(n, dtype=np.int32)
    order[position] = everywhere
    return order, unmatched


def leading_columns(pointers: Pointers, indices: Index, n: int) -> Index:
    """Return the smallest column of each row of a CSR pattern, n for an empty row."""
    return _reduce_rows(np.minimum, pointers, indices, empty=n)


def last_columns(pointers: Pointers, indices: Index) -> Index:
    """Return the largest column of each row of a CSR pattern, -1 for an empty row."""
    return _reduce_rows(np.maximum, pointers, indices, empty=-1)


def _reduce_rows(function: np.ufunc, pointers: Pointers, indices: Index, *, empty: int) -> Index:
    result = np.full(pointers.size - 1, empty, dtype=np.int32)
    filled = np.flatnonzero(np.diff(pointers))
    if filled.size:
        result[filled] = function.reduceat(indices, pointers[filled])
    return result


def _chains(leads: Index, n: int) -> tuple[Index, Index]:
    """Return linked lists of the rows led by each of n columns: first row, and next row of the same column."""
    first = np.full(n + 1, -1, dtype=np.int32)
    following = np.full(leads.size, -1, dtype=np.int32)
    grouped = np.argsort(leads, kind="stable").astype(np.int32)
    sorted_leads = leads[grouped]
    same = sorted_leads[1:] == sorted_leads[:-1]
    following[grouped[:-1][same]] = grouped[1:][same]
    first[sorted_leads[::-1]] = grouped[::-1]
    return first, following
