"""Square sparse matrices whose entries are sums, in compressed columns: what a reduced system is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.condensation_layout import compress

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["SummedColumns", "summed_columns"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SummedColumns:
    """Where the sources of the entries go.

    Attributes
    ----------
    order : int
    indptr, indices : ndarray of int32
        Compressed columns, rows ascending.
    place : ndarray of int64
        Where in the data each source is added.
    """

    order: int
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    place: Index

    def sum_up(self, sources: Array) -> Array:
        """Return the entries, (entries,): the sums of these sources, in the order of `place`."""
        data = np.zeros(self.indices.size, sources.dtype)
        np.add.at(data, self.place, sources)
        return data

    def compressed(self, data: Array | None = None) -> csc_array[Any]:
        """Return the scipy array with these data, or with ones."""
        from scipy.sparse import csc_array

        entries = np.ones(self.indices.size) if data is None else data
        return csc_array((entries, self.indices, self.indptr), shape=(self.order, self.order))


def summed_columns(rows: Index, columns: Index, order: int) -> tuple[int, NDArray[np.int32], NDArray[np.int32], Index]:
    """Return the fields of `SummedColumns` for sources at these rows and columns."""
    count = rows.size
    indptr, indices = np.empty(order + 1, np.int32), np.empty(count, np.int32)
    place, next_, work = np.empty(count, np.int64), np.empty(order + 1, np.int64), np.empty((2, count), np.int64)
    distinct = compress(rows, columns, indptr, indices, place, work, next_)
    return order, indptr, indices[:distinct], place
