r"""Singular value decompositions by connected components.

Rows and columns are the two sides of a graph with an edge for each nonzero entry. Its connected components are
blocks that share neither rows nor columns, so the singular values of the matrix are those of its blocks together,
and its pseudoinverse is the blocks' pseudoinverses in the transposed places. (A Dulmage-Mendelsohn decomposition
gives more blocks, but triangular ones: it must not be used for this.) Each block is decomposed as a dense matrix;
blocks of one shape are stacked.

Cost: O(nnz) to find the components, and for a block (r, c) about :math:`4 r c \min(r, c)` to
:math:`22 \min(r, c)^3` flops, as LAPACK's xGESDD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._validate import require_finite
from stridiag.errors import SizeLimitError
from stridiag.structure import StridiagMatrix

__all__ = ["BLOCK_LIMIT", "TOTAL_LIMIT", "Blocks", "SingularBlocks", "split", "svd"]

Array = NDArray[Any]
Index = NDArray[np.int64]

BLOCK_LIMIT = 2048 * 2048
"""Positions (rows times columns) of the largest block that is decomposed."""

TOTAL_LIMIT = 1 << 27
"""Positions of all blocks together: 1 GiB in double precision."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """All blocks of one shape.

    Attributes
    ----------
    rows, columns : ndarray of int64, (blocks, r) and (blocks, c)
        Where they lie in the matrix; r or c is 0 for a zero column or row.
    entries : ndarray, (blocks, r, c)
    """

    rows: Index
    columns: Index
    entries: Array


@dataclass(frozen=True, slots=True, eq=False)
class SingularBlocks:
    """Blocks of one shape as ``left @ diag(sigma) @ right``.

    Attributes
    ----------
    rows, columns : ndarray of int64
        As in `Blocks`.
    left : ndarray, (blocks, r, k)
    sigma : ndarray, (blocks, k)
        k = min(r, c), descending.
    right : ndarray, (blocks, k, c) or (blocks, c, c)
        Conjugate transposed right singular vectors; all c of them where c > r.
    """

    rows: Index
    columns: Index
    left: Array
    sigma: Array
    right: Array


def split(matrix: StridiagMatrix) -> Iterator[Blocks]:
    """Yield the blocks of a single matrix, grouped by shape.

    Raises
    ------
    SizeLimitError
        If a block, or all of them, are too large to be decomposed.
    NonFiniteError
        If a value is NaN or infinite.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    require_finite(matrix.values, "the matrix's values")
    m, n = matrix.structure.shape
    # A stored zero ties nothing together.
    stored = np.flatnonzero(matrix.values)
    row, column = (index[stored] for index in matrix.structure.coordinates())
    values = matrix.values[stored]
    graph = coo_array((np.ones(stored.size, np.int8), (row, m + column)), shape=(m + n, m + n))
    count, label = connected_components(graph, directed=False)
    rows = _Members(label[:m], count)
    columns = _Members(label[m:], count)
    _require_size(rows.counts, columns.counts)
    shape_key = rows.counts * (n + 1) + columns.counts
    order = np.argsort(shape_key, kind="stable")
    bounds = np.flatnonzero(np.diff(shape_key[order], prepend=-1, append=-1))
    entry_order = np.argsort(label[row], kind="stable")
    entry_starts = np.searchsorted(label[row][entry_order], np.arange(count + 1))
    for begin, end in pairwise(bounds):
        labels = order[begin:end]
        shape = (labels.size, int(rows.counts[labels[0]]), int(columns.counts[labels[0]]))
        entries = np.zeros(shape, matrix.dtype)
        sizes = entry_starts[labels + 1] - entry_starts[labels]
        which = np.repeat(np.arange(labels.size), sizes)
        within = np.arange(which.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        here = entry_order[np.repeat(entry_starts[labels], sizes) + within]
        entries[which, rows.local[row[here]], columns.local[column[here]]] = values[here]
        yield Blocks(rows.of(labels), columns.of(labels), entries)


def svd(matrix: StridiagMatrix) -> list[SingularBlocks]:
    """Decompose the blocks of a single matrix; raises as `split`."""
    result = []
    for blocks in split(matrix):
        _, r, c = blocks.entries.shape
        if r and c:
            left, sigma, right = np.linalg.svd(blocks.entries, full_matrices=c > r)
        else:
            left = np.zeros((*blocks.rows.shape, 0), matrix.dtype)
            sigma = np.zeros((blocks.rows.shape[0], 0), matrix.values.real.dtype)
            right = np.broadcast_to(np.eye(c, dtype=matrix.dtype), (blocks.rows.shape[0], c, c))
        result.append(SingularBlocks(blocks.rows, blocks.columns, left, sigma, right))
    return result


class _Members:
    """Which rows (or columns) carry each label."""

    def __init__(self, label: NDArray[Any], count: int) -> None:
        self.counts = np.bincount(label, minlength=count)
        self._order = np.argsort(label, kind="stable")
        self._starts = np.cumsum(self.counts) - self.counts
        self.local = np.empty(label.size, np.int64)
        self.local[self._order] = np.arange(label.size) - np.repeat(self._starts, self.counts)

    def of(self, labels: Index) -> Index:
        """Return the members of labels that all have the same number of them, (labels, members)."""
        members: Index = self._order[self._starts[labels][:, None] + np.arange(self.counts[labels[0]])]
        return members


def _require_size(row_counts: Index, column_counts: Index) -> None:
    positions = row_counts * column_counts
    if positions.size == 0:
        return
    largest = int(np.argmax(positions))
    if positions[largest] > BLOCK_LIMIT:
        raise SizeLimitError(
            f"the matrix has a connected block of {row_counts[largest]} x {column_counts[largest]}; a dense singular "
            f"value decomposition is made of blocks up to {BLOCK_LIMIT} positions (2048 x 2048). If the matrix is "
            "square and nonsingular, A.factor().solve has no such limit"
        )
    if int(positions.sum()) > TOTAL_LIMIT:
        raise SizeLimitError(
            f"the matrix's connected blocks have {int(positions.sum())} positions together, more than the limit of "
            f"{TOTAL_LIMIT}"
        )
