r"""What a rectangular orthogonal factorization by fronts costs, and what counting singular values costs.

The columns of a matrix with at least as many rows as columns are put into COLAMD order and that into a postorder of
the column elimination tree. The structure of R is that of the Cholesky factor of :math:`A^H A`; it holds for any
numbers, and for rows :math:`\tau e_k` appended to the matrix too (`stridiag._kernels.front_qr`).

The singular values are the positive eigenvalues of the matrix with A and its adjoint off the diagonal. Its order of
elimination is chosen for LU with any exchanges of rows, rows and columns alike (`stridiag._kernels.inertia`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.front_qr import stack_room
from stridiag.planning.matching import matched_columns
from stridiag.planning.sparse import SparseAnalysis, analyse, colamd, leading_columns, merge

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

__all__ = ["FrontLayout", "augmented_pattern", "structural_rank"]

Index = NDArray[np.int32]
Pointers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FrontLayout:
    """Order of the columns, structure of R, and the tree of fronts.

    Attributes
    ----------
    order : ndarray of int32, (n,)
        ``order[k]`` is the original column that is eliminated k-th.
    row_pointers, columns : ndarray of int64, (n + 1,), and of int32
        Structure of R by rows, columns ascending.
    child_first, child_next : ndarray of int32, (n,)
        The children of each front, as linked lists that end with -1.
    stack : tuple of int
        How many numbers, and how many rows, can wait at a time.
    widest : int
        Columns of the widest front.
    row_work, tau_work : int
        Upper bounds of the operations for the rows of the pattern, and for R's own rows with as many of one entry.
    """

    order: Index
    row_pointers: Pointers
    columns: Index
    child_first: Index
    child_next: Index
    stack: tuple[int, int]
    widest: int
    row_work: int
    tau_work: int

    @property
    def entries(self) -> int:
        """Entries of R."""
        return self.columns.size

    @classmethod
    def build(cls, pattern: csr_array[Any], *, max_entries: int) -> FrontLayout | None:
        """Order the columns of a pattern without duplicates, (m, n) with m >= n; None if R has too many entries."""
        n = pattern.shape[1]
        order = _column_order(pattern)
        structure = _structure(pattern, order, max_entries)
        if structure is None:
            return None
        post = _postorder(_parents(*structure))
        order = order[post]
        structure = _structure(pattern, order, max_entries)
        if structure is None:
            return None
        pointers, columns = structure
        _sort_rows(pointers, columns)
        parents = _parents(pointers, columns)
        child_first, child_next = _children(parents)
        room = stack_room(pointers, parents, np.empty((2, n), np.int64))
        counts = np.diff(pointers)
        rows = pattern[:, order]
        leads = leading_columns(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), n)
        own = np.bincount(leads, minlength=n + 1)[:n]
        merging = _merged_rows(counts, parents)
        squares = 3 * counts * (counts + 5)
        return cls(
            order=order,
            row_pointers=pointers,
            columns=columns,
            child_first=child_first,
            child_next=child_next,
            stack=(int(room[0]), int(room[1])),
            widest=int(counts.max(initial=0)),
            row_work=int((squares * (own + merging)).sum()),
            tau_work=int((squares * (2 + merging)).sum()),
        )


def structural_rank(pattern: csr_array[Any]) -> int:
    """Return the size of a maximum matching of rows and columns: no values can give a higher rank."""
    return int((matched_columns(pattern) >= 0).sum())


def augmented_pattern(pattern: csr_array[Any], *, max_entries: int) -> SparseAnalysis:
    """Analyse the matrix ``[[I, A], [A', I]]`` of a pattern: rows first, then columns."""
    from scipy.sparse import block_array, eye_array

    m, n = pattern.shape
    ones = pattern.copy()
    ones.data = np.ones(pattern.nnz)
    whole = block_array([[eye_array(m), ones], [ones.T, eye_array(n)]], format="csc")
    return analyse(whole, max_entries=max_entries)


def _column_order(pattern: csr_array[Any]) -> Index:
    """Return COLAMD's order of the columns of a matrix that may have more rows than columns."""
    m, n = pattern.shape
    square: csc_array[Any] = pattern.tocsc()
    if m > n:
        from scipy.sparse import csc_array, hstack

        # Each row without a partner gets a column of its own, which tells COLAMD nothing new.
        matched = matched_columns(pattern)
        lonely = np.flatnonzero(matched < 0)[: m - n]
        unit = csc_array((np.ones(m - n), lonely, np.arange(m - n + 1)), shape=(m, m - n))
        square = hstack([square, unit], format="csc")
    order = colamd(square)[0]
    return order[order < n]


def _structure(pattern: csr_array[Any], order: Index, max_entries: int) -> tuple[Pointers, Index] | None:
    n = pattern.shape[1]
    rows = pattern[:, order]
    pointers = rows.indptr.astype(np.int64)
    indices = rows.indices.astype(np.int32, copy=False)
    leads = leading_columns(pointers, indices, n)
    # Two more than there are: then something is passed on from every column, as for the Cholesky factor.
    active = (np.bincount(leads, minlength=n + 1)[:n] + 2).astype(np.int32)
    row_pointers, columns, reached = merge(pointers, indices, leads, active, max_entries)
    return (row_pointers, columns) if reached == n else None


def _parents(pointers: Pointers, columns: Index) -> Index:
    parents = np.full(pointers.size - 1, -1, np.int32)
    several = np.flatnonzero(np.diff(pointers) > 1)
    parents[several] = columns[pointers[several] + 1]
    return parents


def _children(parents: Index) -> tuple[Index, Index]:
    n = parents.size
    first = np.full(n, -1, np.int32)
    following = np.full(n, -1, np.int32)
    children = np.flatnonzero(parents >= 0).astype(np.int32)
    children = children[np.argsort(parents[children], kind="stable")]
    same = parents[children[1:]] == parents[children[:-1]]
    following[children[:-1][same]] = children[1:][same]
    first[parents[children][::-1]] = children[::-1]
    return first, following


def _postorder(parents: Index) -> Index:
    """Return an order in which every subtree is contiguous and comes before its root."""
    n = parents.size
    if np.array_equal(parents[:-1], np.arange(1, n)):
        return np.arange(n, dtype=np.int32)
    # Parents have larger numbers: sizes upwards, places downwards, each a pass by levels of depth would cost as much.
    sizes = np.ones(n, np.int64)
    pairs = parents.tolist()
    for child, parent in enumerate(pairs):
        if parent >= 0:
            sizes[parent] += sizes[child]
    size_list = sizes.tolist()
    end = [0] * n
    roots = 0
    begin = [0] * n
    for node in range(n - 1, -1, -1):
        parent = pairs[node]
        if parent < 0:
            end[node] = n - roots
            roots += size_list[node]
        else:
            end[node] = begin[parent]
            begin[parent] -= size_list[node]
        begin[node] = end[node] - 1
    post = np.empty(n, np.int32)
    post[np.array(end, np.int64) - 1] = np.arange(n, dtype=np.int32)
    return post


def _merged_rows(counts: Pointers, parents: Index) -> Pointers:
    """Return an upper bound of the rows that enter each front from all children but the largest."""
    n = counts.size
    inner = parents >= 0
    total = np.bincount(parents[inner], weights=(counts - 1)[inner], minlength=n)
    largest = np.zeros(n)
    np.maximum.at(largest, parents[inner], (counts - 1)[inner].astype(float))
    return (total - largest).astype(np.int64)


def _sort_rows(pointers: Pointers, columns: Index) -> None:
    from scipy.sparse import csr_array

    n = pointers.size - 1
    rows = csr_array((np.zeros(columns.size, np.int8), columns, pointers), shape=(n, n))
    rows.sort_indices()
    columns[:] = rows.indices
