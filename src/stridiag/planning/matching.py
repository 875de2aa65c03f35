"""Structural rank: whether every column can have a row of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["matched_rows", "unmatched_column"]


def matched_rows(rows: NDArray[Any], columns: NDArray[Any], n: int) -> NDArray[np.int32]:
    """Return the partner of each column in a maximum matching of an n x n pattern of distinct positions; -1 for none.

    Cost: at worst O(entries sqrt(n)) by Hopcroft and Karp's method; a full diagonal is taken at sight.
    """
    if np.count_nonzero(rows == columns) == n:
        return np.arange(n, dtype=np.int32)
    if rows.size == 0:
        return np.full(n, -1, np.int32)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    # 32-bit indices: older releases of scipy match no others.
    places = (columns.astype(np.int32), rows.astype(np.int32))
    pattern = coo_array((np.ones(rows.size, np.int8), places), shape=(n, n)).tocsr()
    return np.asarray(maximum_bipartite_matching(pattern, perm_type="column"), np.int32)


def unmatched_column(rows: NDArray[Any], columns: NDArray[Any], n: int) -> int | None:
    """Return a column without a partner, None if all have one.

    A pattern with such a column is singular whatever its values.
    """
    alone = np.flatnonzero(matched_rows(rows, columns, n) < 0)
    return int(alone[0]) if alone.size else None
