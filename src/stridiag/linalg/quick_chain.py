"""What the quick ways to the pseudoinverse of a chain share: single vectors are theirs, blocks of vectors are not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.linalg.direct_chain import DirectChain
from stridiag.structure import StridiagMatrix

__all__ = ["QuickChain"]

Array = NDArray[Any]

# More right-hand sides go the way of blocks.
_MOST_COLUMNS = 4


class QuickChain:
    """A square real matrix of three diagonals and links, its chain one connected block, its rank decided.

    Attributes as `DirectChain`, whose kernels are made for blocks of vectors, and make them.
    """

    def __init__(self, matrix: StridiagMatrix, tolerances: tuple[float, float]) -> None:
        self.shape = matrix.structure.shape
        self.dropped = 0
        self._matrix = matrix
        self._tolerances = tolerances

    def apply(self, b: Array, *, adjoint: bool) -> Array:
        """Return the pseudoinverse, or its transpose, times `b`, (n, k), in double precision."""
        width = b.shape[1]
        if b.dtype.kind == "c":
            both = self.apply(np.hstack((b.real, b.imag)), adjoint=adjoint)
            return both[:, :width] + 1j * both[:, width:]
        if width > _MOST_COLUMNS and self._blocks is not None:
            return self._blocks.apply(b, adjoint=adjoint)
        return self._columns(b, adjoint=adjoint)

    def _columns(self, b: Array, *, adjoint: bool) -> Array:
        """Do what `apply` does for a few columns of real numbers."""
        raise NotImplementedError

    @cached_property
    def _blocks(self) -> DirectChain | None:
        """What makes products with blocks of vectors."""
        return DirectChain.settle(self._matrix, *self._tolerances)

    def write(self, result: Array, *, adjoint: bool) -> None:
        """Write all entries of the pseudoinverse, or of its transpose, into `result`, (n, n)."""
        if self._blocks is not None:
            self._blocks.write(result, adjoint=adjoint)
            return
        unit = np.zeros((self.shape[0], 1))
        for column in range(self.shape[0]):
            unit[column] = 1.0
            result[:, column] = self.apply(unit, adjoint=adjoint)[:, 0]
            unit[column] = 0.0
