"""The rows of a reduced system, and which pairs of them are rotated: `stridiag._kernels.row_pairs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import front_order, row_pairs
from stridiag._recycled import recycled
from stridiag.planning.reduced import ReducedPattern

__all__ = ["RotatedRows"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RotatedRows:
    """A pattern by rows, less the tails of first rows.

    Attributes
    ----------
    pointers, columns, places : ndarray of int64
        The rows of the pattern: see `stridiag._kernels.front_order.row_sets`.
    pairs, starts, first, second, tail, used : ndarray
        See `stridiag._kernels.row_pairs.find_pairs`.
    """

    pointers: Index
    columns: Index
    places: Index
    pairs: Index
    starts: Index
    first: Index
    second: Index
    tail: NDArray[np.bool_]
    used: NDArray[np.bool_]

    @classmethod
    def of(cls, pattern: ReducedPattern) -> Self:
        """Return those of a pattern."""
        n, entries = pattern.order, pattern.indices.size
        pointers, (set_of, work) = np.empty(n + 1, np.int64), np.empty((2, n), np.int64)
        columns, places = recycled((2, entries), np.int64)
        front_order.row_sets(pattern.indptr, pattern.indices, pointers, columns, places, set_of, work)
        pairs = pattern.pairs.copy()
        starts, used = np.empty(pairs.shape[0] + 1, np.int64), np.empty(entries, np.bool_)
        first, second = recycled((2, entries), np.int64)
        tail = np.empty(entries, np.bool_)
        count = row_pairs.find_pairs(pointers, columns, places, pairs, starts, first, second, tail, used)
        total = int(starts[count])
        listed = (first[:total], second[:total], tail[:total])
        return cls(pointers, columns, places, pairs[:count], starts[: count + 1], *listed, used)
