"""Bands of residue classes: which diagonals lie in them, and which entries are left aside as links.

Some of the diagonals have offsets with a greatest common divisor g. In each residue class modulo g they form a band of
lower width l and upper width u, narrower by the factor g. In *class order* the classes stand one behind the other, as
the chains of `stridiag.planning.chain` do; everything outside the bands is a link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._kernels.band_lanes import ABSENT
from stridiag.planning.chain import ChainLayout
from stridiag.structure import Structure
from stridiag.structure.structure import diagonal_length

__all__ = ["MAX_WIDTH", "ResidueBand"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_WIDTH = 8
"""Largest l + u: operations a column grow with its square, and kept columns for each link with it."""


@dataclass(frozen=True, eq=False)
class ResidueBand:
    """How the slots of a square structure become bands and links; positions are in class order.

    Attributes
    ----------
    chain : ChainLayout
        The residue classes.
    lower, upper : int
        Widths of the band.
    offsets : tuple of int
        Original offsets of the diagonals that lie in it.
    """

    chain: ChainLayout
    lower: int
    upper: int
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, structure: Structure) -> ResidueBand | None:
        """Return the band of the longest diagonals that leaves the fewest entries aside.

        None if there is no narrow one without half of a diagonal's rows left aside.
        """
        n = structure.shape[0]
        best: ResidueBand | None = None
        for most in sorted({abs(k) for k in structure.offsets if k}):
            offsets = tuple(k for k in structure.offsets if abs(k) <= most)
            if any(2 * (n - abs(k)) > n for k in structure.offsets if abs(k) > most):
                continue
            stride = math.gcd(*offsets)
            lower, upper = -min(*offsets, 0) // stride, max(*offsets, 0) // stride
            if lower + upper <= MAX_WIDTH:
                band = cls(ChainLayout(structure, stride), lower, upper, offsets)
                if best is None or band.aside < best.aside:
                    best = band
        return best

    @property
    def width(self) -> int:
        """Entries of a row beside the first."""
        return self.lower + self.upper

    @cached_property
    def aside(self) -> int:
        """Entries on the diagonals and links that lie outside the bands."""
        structure = self.chain.structure
        outside = sum(diagonal_length(structure.shape, k) for k in self._others)
        return outside + int(np.count_nonzero(~self._folds))

    @property
    def _others(self) -> list[int]:
        return [k for k in self.chain.structure.offsets if k not in self.offsets]

    @cached_property
    def _folds(self) -> NDArray[np.bool_]:
        """Which links lie in the bands."""
        structure = self.chain.structure
        across, rest = np.divmod(structure.link_columns - structure.link_rows, self.chain.stride)
        result: NDArray[np.bool_] = (rest == 0) & (-self.lower <= across) & (across <= self.upper)
        return result

    @cached_property
    def _folded(self) -> tuple[Index, Index, Index]:
        """Slots, positions of the rows, and places in the band, of the links that lie in the bands."""
        structure = self.chain.structure
        on = np.flatnonzero(self._folds)
        rows = structure.link_rows[on]
        across = (structure.link_columns[on] - rows) // self.chain.stride
        return structure.starts[-1] + on, self.chain.positions(rows), across + self.lower

    @cached_property
    def present(self) -> Index:
        """Places in the band, 0 ... w, in which the structure has entries."""
        stored = {k // self.chain.stride + self.lower for k in self.offsets}
        return np.array(sorted(stored | set(self._folded[2].tolist())), np.int64)

    def fill(self, values: Array) -> Array:
        """Return the entries of row i in the columns i - l ... i + u, (n, w + 1), from the values by slot."""
        structure, stride = self.chain.structure, self.chain.stride
        natural = np.zeros((self.chain.n, self.width + 1), values.dtype)
        for k in self.offsets:
            slots = structure.diagonal_slots(k)
            first = max(0, -k)
            natural[first : first + slots.stop - slots.start, k // stride + self.lower] = values[slots]
        band = self.chain.to_chains(natural)
        slot, row, place = self._folded
        band[row, place] += values[slot]
        return band

    def diagonals(self, values: Array) -> tuple[Array, Index]:
        """Return numbers, and where among them row 0 of each diagonal stands; no copy where they stand as stored."""
        structure = self.chain.structure
        base = np.full(self.width + 1, ABSENT, np.int64)
        if self.chain.stride == 1 and not self._folds.any():
            for k in self.offsets:
                base[k + self.lower] = structure.diagonal_slots(k).start - max(0, -k)
            return frozen(values), base
        base[self.present] = self.present * self.chain.n
        return frozen(np.ascontiguousarray(self.fill(values).T).ravel()), base

    @cached_property
    def links(self) -> tuple[Index, Index, Index]:
        """Slots, rows and columns (positions) of the entries outside the bands, sorted by (row, column)."""
        structure = self.chain.structure
        off = np.flatnonzero(~self._folds)
        slots, rows, columns = [structure.starts[-1] + off], [structure.link_rows[off]], [structure.link_columns[off]]
        for k in self._others:
            part = structure.diagonal_slots(k)
            row = max(0, -k) + np.arange(part.stop - part.start)
            slots.append(np.arange(part.start, part.stop))
            rows.append(row)
            columns.append(row + k)
        slot = np.concatenate(slots).astype(np.int64)
        row, column = (self.chain.positions(np.concatenate(part)) for part in (rows, columns))
        order = np.lexsort((column, row))
        return slot[order], row[order], column[order]
