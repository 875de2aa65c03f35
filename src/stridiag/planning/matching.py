"""Structural rank: whether every column can have a row of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.matching import match

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["matched_columns", "matched_rows", "unmatched_column"]


def matched_rows(rows: NDArray[Any], columns: NDArray[Any], n: int) -> NDArray[np.int32]:
    """Return the partner of each column in a maximum matching of an n x n pattern of distinct positions; -1 for none.

    Cost: at worst O(entries sqrt(n)), see `stridiag._kernels.matching`; a full diagonal is taken at sight.
    """
    if np.count_nonzero(rows == columns) == n:
        return np.arange(n, dtype=np.int32)
    if rows.size == 0:
        return np.full(n, -1, np.int32)
    from scipy.sparse import coo_array

    places = (columns.astype(np.int32), rows.astype(np.int32))
    return matched_columns(coo_array((np.ones(rows.size, np.int8), places), shape=(n, n)).tocsr())


def matched_columns(pattern: csr_array[Any]) -> NDArray[np.int32]:
    """Return the column of each row in a maximum matching of a pattern, (m, n); -1 for none."""
    rows, columns = pattern.shape
    partner, of_column = np.full(rows, -1, np.int32), np.full(columns, -1, np.int32)
    pointers, indices = (part.astype(np.int32, copy=False) for part in (pattern.indptr, pattern.indices))
    match(pointers, indices, partner, of_column, np.empty((3, rows), np.int32))
    return partner


def unmatched_column(rows: NDArray[Any], columns: NDArray[Any], n: int) -> int | None:
    """Return a column without a partner, None if all have one.

    A pattern with such a column is singular whatever its values.
    """
    alone = np.flatnonzero(matched_rows(rows, columns, n) < 0)
    return int(alone[0]) if alone.size else None
