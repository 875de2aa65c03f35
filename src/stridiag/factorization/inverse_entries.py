"""Entries of the inverse without the inverse: by solves, column by column in blocks of bounded size.

A decomposition may know some of them for less: see `SelectedInverse`.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition

__all__ = ["SelectedInverse", "diagonal_by_solves", "entries_by_solves", "inverse_entries"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers of one block of right-hand sides: 32 MB in double precision.
_BLOCK = 1 << 22


@runtime_checkable
class SelectedInverse(Protocol):
    """A decomposition that finds some entries of the inverse all at once."""

    @property
    def selected_worth(self) -> int:
        """Solves that take as long as `selected_entries`."""
        ...

    def selected_entries(self, rows: Index, columns: Index) -> tuple[Array, NDArray[np.bool_]]:
        """Return entries of the inverse at given positions, (k,), and which of them are known."""
        ...


def inverse_entries(decomposition: Decomposition, n: int, dtype: np.dtype[Any], rows: Index, columns: Index) -> Array:
    """Return entries of the inverse at given positions, (k,), in the cheapest way."""
    if not isinstance(decomposition, SelectedInverse) or np.unique(columns).size <= decomposition.selected_worth:
        return entries_by_solves(decomposition, n, dtype, rows, columns)
    result, known = decomposition.selected_entries(rows, columns)
    result[~known] = entries_by_solves(decomposition, n, dtype, rows[~known], columns[~known])
    return result


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
