r"""Connected components, and singular value decompositions of the small ones.

Rows and columns are the two sides of a graph with an edge for each nonzero entry. Its connected components are
blocks that share neither rows nor columns, so the singular values of the matrix are those of its blocks together,
and its pseudoinverse is the blocks' pseudoinverses in the transposed places. (A Dulmage-Mendelsohn decomposition
gives more blocks, but triangular ones: it must not be used for this.) Small blocks are decomposed as dense
matrices, blocks of one shape together; large ones are left to `stridiag.linalg.direct`.

Cost: O(nnz) to find the components, and for a small block (r, c) about :math:`4 r c \min(r, c)` to
:math:`22 \min(r, c)^3` flops, as LAPACK's xGESDD.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._validate import require_finite
from stridiag.errors import SizeLimitError
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "BLOCK_LIMIT",
    "DENSE_SIDE",
    "TOTAL_LIMIT",
    "Blocks",
    "LargeBlock",
    "SingularBlocks",
    "fits",
    "require_total",
    "split",
    "stacked",
    "svd",
]

Array = NDArray[Any]
Index = NDArray[np.int64]

DENSE_SIDE = 256
"""Order of a square block up to which it counts as small; in general the cube root of r c min(r, c)."""

BLOCK_LIMIT = 2048 * 2048
"""Positions (rows times columns; of a wide block columns squared) of the largest block decomposed as a dense matrix."""

TOTAL_LIMIT = 1 << 27
"""Positions of all such blocks together: 1 GiB in double precision."""


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


@dataclass(frozen=True, slots=True, eq=False)
class LargeBlock:
    """A block that is kept sparse: its rows and columns in the matrix, and its entries."""

    rows: Index
    columns: Index
    entries: csr_array[Any]


def split(matrix: StridiagMatrix) -> tuple[list[Blocks], list[LargeBlock]]:
    """Return the small blocks of a single matrix, grouped by shape, and the large ones.

    Raises
    ------
    SizeLimitError
        If all small blocks together are too large to be decomposed.
    NonFiniteError
        If a value is NaN or infinite.
    """
    from scipy.sparse import coo_array, csr_array
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
    large = _is_large(rows.counts, columns.counts)
    require_total(int(_numbers(rows.counts, columns.counts)[~large].sum()))
    shape_key = rows.counts * (n + 1) + columns.counts
    shape_key[large] = -1
    order = np.argsort(shape_key, kind="stable")
    large_count = int(large.sum())
    small = order[large_count:]
    bounds = np.flatnonzero(np.diff(shape_key[small], prepend=-1, append=-1))
    entry_order = np.argsort(label[row], kind="stable")
    entry_starts = np.searchsorted(label[row][entry_order], np.arange(count + 1))
    stacks = []
    for begin, end in pairwise(bounds):
        labels = small[begin:end]
        shape = (labels.size, int(rows.counts[labels[0]]), int(columns.counts[labels[0]]))
        entries = np.zeros(shape, matrix.dtype)
        sizes = entry_starts[labels + 1] - entry_starts[labels]
        which = np.repeat(np.arange(labels.size), sizes)
        within = np.arange(which.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        here = entry_order[np.repeat(entry_starts[labels], sizes) + within]
        entries[which, rows.local[row[here]], columns.local[column[here]]] = values[here]
        stacks.append(Blocks(rows.of(labels), columns.of(labels), entries))
    alone = []
    for component in order[:large_count]:
        here = entry_order[entry_starts[component] : entry_starts[component + 1]]
        one = np.array([component])
        size = (int(rows.counts[component]), int(columns.counts[component]))
        places = (rows.local[row[here]].astype(np.int32), columns.local[column[here]].astype(np.int32))
        alone.append(
            LargeBlock(rows.of(one)[0], columns.of(one)[0], csr_array(coo_array((values[here], places), shape=size)))
        )
    return stacks, alone


def stacked(block: LargeBlock) -> Blocks:
    """Return a large block as a dense one."""
    return Blocks(block.rows[None], block.columns[None], block.entries.toarray()[None])


def svd(stacks: Iterable[Blocks]) -> list[SingularBlocks]:
    """Decompose dense blocks."""
    result = []
    for blocks in stacks:
        _, r, c = blocks.entries.shape
        kind = blocks.entries.dtype
        if r and c:
            left, sigma, right = np.linalg.svd(blocks.entries, full_matrices=c > r)
        else:
            left = np.zeros((*blocks.rows.shape, 0), kind)
            sigma = np.zeros((blocks.rows.shape[0], 0), blocks.entries.real.dtype)
            right = np.broadcast_to(np.eye(c, dtype=kind), (blocks.rows.shape[0], c, c))
        result.append(SingularBlocks(blocks.rows, blocks.columns, left, sigma, right))
    return result


def fits(shape: tuple[int, int]) -> bool:
    """Return whether a block may be decomposed as a dense matrix."""
    return bool(_numbers(*(np.array([side]) for side in shape))[0] <= BLOCK_LIMIT)


def require_total(numbers: int) -> None:
    """Raise unless the singular vectors of dense blocks may have so many numbers together."""
    if numbers > TOTAL_LIMIT:
        raise SizeLimitError(
            f"the matrix's connected blocks have {numbers} positions together, more than the limit of {TOTAL_LIMIT}"
        )


def _numbers(row_counts: Index, column_counts: Index) -> Index:
    """Return the positions of blocks; of wide ones those of all their right singular vectors."""
    result: Index = column_counts * np.maximum(row_counts, np.where(row_counts > 0, column_counts, 1))
    return result


def _is_large(row_counts: Index, column_counts: Index) -> NDArray[np.bool_]:
    work = row_counts.astype(float) * column_counts * np.minimum(row_counts, column_counts)
    large: NDArray[np.bool_] = (work > float(DENSE_SIDE) ** 3) | (_numbers(row_counts, column_counts) > BLOCK_LIMIT)
    # A zero row or column has no entries.
    return large & (np.minimum(row_counts, column_counts) > 0)


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
