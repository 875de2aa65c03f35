"""Entries of the inverse without the inverse: by solves, column by column in blocks of bounded size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition

__all__ = ["diagonal_by_solves", "entries_by_solves"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers of one block of right-hand sides: 32 MB in double precision.
_BLOCK = 1 << 22


def entries_by_solves(decomposition: Decomposition, n: int, dtype: np.dtype[Any], rows: Index, columns: Index) -> Array:
    """Return entries of the inverse at given positions, (k,), at the cost of one solve for each distinct column."""
    result = np.empty(rows.size, dtype)
    distinct, which = np.unique(columns, return_inverse=True)
    width = max(1, _BLOCK // max(n, 1))
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(0, distinct.size + width, width))
    for block, start in enumerate(range(0, distinct.size, width)):
        wanted = distinct[start : start + width]
        right = np.zeros((n, wanted.size), dtype)
        right[wanted, np.arange(wanted.size)] = 1
        solution = decomposition.solve(right)
        here = order[bounds[block] : bounds[block + 1]]
        result[here] = solution[rows[here], which[here] - start]
    return result


def diagonal_by_solves(decomposition: Decomposition, n: int, dtype: np.dtype[Any]) -> Array:
    """Return the diagonal of the inverse, (n,), by n solves."""
    index = np.arange(n)
    return entries_by_solves(decomposition, n, dtype, index, index)
