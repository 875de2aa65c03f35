"""Entries of the inverse of matrices that are triangular in some order, but perhaps for blocks on the diagonal.

An entry of the inverse is a sum over the ways through the graph of the matrix. If the entry (p, q) is the only one in
its row of blocks, or in its column of blocks, off the diagonal, then no other way leads from p to q.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import entries_by_solves

__all__ = ["entries_between_blocks"]

Array = NDArray[Any]
Index = NDArray[np.int64]


def entries_between_blocks(
    decomposition: Decomposition,
    rows: Index,
    columns: Index,
    values: Array,
    diagonal: Array,
    blocks: Index | None = None,
) -> Array:
    """Return the entries of the inverse at the entries of the matrix between blocks, (k,).

    Parameters
    ----------
    decomposition : Decomposition
        For the entries with more than one way: one solve for each of their distinct columns, or rows if fewer.
    rows, columns : ndarray of int64, (k,)
        All positions of the matrix between blocks.
    values : ndarray, (k,)
        What stands there.
    diagonal : ndarray, (n,)
        Diagonal of the inverse.
    blocks : ndarray of int64, (n,), optional
        The number of each index's block; by default every index is one.
    """
    above, below = (rows, columns) if blocks is None else (blocks[rows], blocks[columns])
    single = (np.bincount(above)[above] == 1) | (np.bincount(below)[below] == 1)
    with np.errstate(over="ignore", invalid="ignore"):
        # Not the product of the two entries of the diagonal first: that may leave the range of exponents.
        result: Array = -diagonal[rows] * (values * diagonal[columns])
    rest = np.flatnonzero(~(single & np.isfinite(result)))
    if rest.size:
        result[rest] = entries_by_solves(decomposition, diagonal.size, values.dtype, rows[rest], columns[rest])
    return result
