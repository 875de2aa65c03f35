"""The pseudoinverse on the blocks of a matrix: what `stridiag.linalg.PseudoInverse` is put together from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.linalg.blocks import SingularBlocks
from stridiag.linalg.direct import DirectBlock
from stridiag.linalg.direct_chain import DirectChain
from stridiag.linalg.quick_chain import QuickChain

__all__ = ["ChainPart", "DensePart", "DirectPart", "Part"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers of one block of unit vectors.
_BLOCK = 1 << 22


class Part(Protocol):
    """The pseudoinverse on one block, or on several of one shape; parts share neither rows nor columns."""

    def put_product(self, columns: Array, result: Array) -> None:
        """Write the part's rows of the product with `columns`, (m, k), into `result`, (n, k)."""
        ...

    def write(self, result: Array) -> None:
        """Write the part's entries into `result`, (n, m)."""
        ...

    def transposed(self) -> Part:
        """Return the part of the transpose."""
        ...

    def conjugated(self) -> Part:
        """Return the part of the complex conjugate."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DensePart:
    """Blocks of one shape as products ``outer @ inner``: results go to `places`, operands come from `sources`."""

    places: Index
    sources: Index
    outer: Array
    inner: Array

    @classmethod
    def kept(cls, stack: SingularBlocks, cutoff: float) -> DensePart | None:
        """Invert what lies above the cutoff; None if nothing does."""
        keep = stack.sigma > cutoff
        if not keep.any():
            return None
        # Largest first, so what is kept stands in front; stacks are cut where the last one ends.
        k = int(keep.sum(axis=1).max())
        with np.errstate(divide="ignore"):
            scale = np.where(keep[:, :k], 1.0 / stack.sigma[:, :k], 0.0).astype(stack.sigma.dtype)
        right = stack.right[:, :k].conj().swapaxes(-1, -2) * scale[:, None, :]
        left = stack.left[:, :, :k].conj().swapaxes(-1, -2)
        return cls(stack.columns, stack.rows, right, left)

    def put_product(self, columns: Array, result: Array) -> None:
        """See `Part`."""
        result[self.places] = self.outer @ (self.inner @ columns[self.sources])

    def write(self, result: Array) -> None:
        """See `Part`."""
        result[self.places[:, :, None], self.sources[:, None, :]] = self.outer @ self.inner

    def transposed(self) -> DensePart:
        """See `Part`."""
        return DensePart(self.sources, self.places, self.inner.swapaxes(-1, -2), self.outer.swapaxes(-1, -2))

    def conjugated(self) -> DensePart:
        """See `Part`."""
        return DensePart(self.places, self.sources, self.outer.conj(), self.inner.conj())


@dataclass(frozen=True, slots=True, eq=False)
class DirectPart:
    """A large block, whose products are made by its factors."""

    block: DirectBlock
    adjoint: bool = False
    conjugate: bool = False

    def _places(self) -> tuple[Index, Index]:
        block = self.block
        return (block.rows, block.columns) if self.adjoint else (block.columns, block.rows)

    def _product(self, b: Array) -> Array:
        if not self.conjugate:
            return self.block.apply(b, adjoint=self.adjoint)
        return self.block.apply(b.conj(), adjoint=self.adjoint).conj()

    def put_product(self, columns: Array, result: Array) -> None:
        """See `Part`."""
        places, sources = self._places()
        result[places] = self._product(columns[sources])

    def write(self, result: Array) -> None:
        """See `Part`."""
        places, sources = self._places()
        width = max(1, _BLOCK // max(self.block.shape))
        for start in range(0, sources.size, width):
            here = np.arange(start, min(start + width, sources.size))
            unit = np.zeros((sources.size, here.size))
            unit[here, here - start] = 1.0
            result[np.ix_(places, sources[here])] = self._product(unit)

    def transposed(self) -> DirectPart:
        """See `Part`."""
        return DirectPart(self.block, adjoint=not self.adjoint, conjugate=not self.conjugate)

    def conjugated(self) -> DirectPart:
        """See `Part`."""
        return DirectPart(self.block, adjoint=self.adjoint, conjugate=not self.conjugate)


@dataclass(frozen=True, slots=True, eq=False)
class ChainPart:
    """A chain that is the whole matrix, and real, so that conjugates are the thing itself."""

    chain: DirectChain | QuickChain
    adjoint: bool = False

    def put_product(self, columns: Array, result: Array) -> None:
        """See `Part`."""
        result[...] = self.chain.apply(columns, adjoint=self.adjoint)

    def write(self, result: Array) -> None:
        """See `Part`."""
        self.chain.write(result, adjoint=self.adjoint)

    def transposed(self) -> ChainPart:
        """See `Part`."""
        return ChainPart(self.chain, adjoint=not self.adjoint)

    def conjugated(self) -> ChainPart:
        """See `Part`."""
        return self
