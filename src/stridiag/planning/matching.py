"""Structural rank: whether every column can have a row of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["unmatched_column"]


def unmatched_column(rows: NDArray[Any], columns: NDArray[Any], n: int) -> int | None:
    """Return a column without a partner in a maximum matching of an n x n pattern of distinct positions, or None.

    A pattern with such a column is singular whatever its values. Cost: at worst O(entries sqrt(n)) by Hopcroft
    and Karp's method, little on patterns with a full diagonal, which are matched at sight.
    """
    if np.count_nonzero(rows == columns) == n:
        return None
    if rows.size == 0:
        return 0
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    # 32-bit indices: older releases of scipy match no others.
    places = (columns.astype(np.int32), rows.astype(np.int32))
    pattern = coo_array((np.ones(rows.size, np.int8), places), shape=(n, n)).tocsr()
    alone = np.flatnonzero(maximum_bipartite_matching(pattern, perm_type="column") < 0)
    return int(alone[0]) if alone.size else None
