"""Compressed columns of a structure, found once and filled with values many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import Structure

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["CompressedColumns"]


@dataclass(frozen=True, slots=True, eq=False)
class CompressedColumns:
    """Where each slot goes in scipy's compressed columns.

    Attributes
    ----------
    shape : tuple of int
    indptr, indices : ndarray of int32
        As in ``scipy.sparse.csc_array``, rows ascending within a column.
    slots : ndarray of int64, (nnz,)
        The slot of each entry.
    """

    shape: tuple[int, int]
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    slots: NDArray[np.int64]

    @classmethod
    def build(cls, structure: Structure) -> CompressedColumns:
        """Sort the slots of a structure by column, then by row."""
        from scipy.sparse import coo_array

        # scipy's conversion sorts by counting: let it carry the numbers of the slots.
        rows, columns = (part.astype(np.int32) for part in structure.coordinates())
        numbered = coo_array((np.arange(rows.size), (rows, columns)), shape=structure.shape).tocsc()
        numbered.sort_indices()
        for part in (numbered.indptr, numbered.indices, numbered.data):
            part.setflags(write=False)
        return cls(structure.shape, numbered.indptr, numbered.indices, numbered.data)

    def fill(self, values: NDArray[Any]) -> csc_array[Any]:
        """Return the scipy array with these values, (nnz,), given by slot."""
        from scipy.sparse import csc_array

        return csc_array((values[self.slots], self.indices, self.indptr), shape=self.shape)

    def pattern(self) -> csc_array[Any]:
        """Return the scipy array with ones for values."""
        return self.fill(np.ones(self.slots.size))
