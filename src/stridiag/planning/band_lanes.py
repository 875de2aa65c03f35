"""Long narrow bands in many segments of like lengths: what `stridiag._kernels.band_lanes` works on.

In class order (`stridiag.planning.chain`) each residue class modulo g is a band of widths l and u, w = l + u. Its first
and its last w columns are kept, and w columns between any two segments. So every segment has w kept columns on either
side, and the reduced system is a band again, of widths l + w - 1 and u + w - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag.planning.chain import ChainLayout
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.structure import Structure

__all__ = ["LaneBand"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_WIDTH = 6
"""Largest l + u: each is compiled by itself, and work grows with its square."""

_SHORTEST_CLASS = 4096
"""Order of a residue class from which on segments are worth their reduced system."""

SEGMENT = 256
"""Columns of a segment: the more, the fewer kept columns; but a group of segments should stay in a cache, and rounding
errors add up along a segment (see `stridiag.planning.band_condensation.SEGMENT`)."""

_GROUP = 32
"""A class is cut into a multiple of that many segments: full groups of lanes, and as many for either of two threads."""


@dataclass(frozen=True, eq=False)
class LaneBand:
    """How a structure's diagonals become segments.

    Attributes
    ----------
    chain : ChainLayout
        The residue classes.
    lower, upper : int
        Widths of the band, 1 or more each.
    """

    chain: ChainLayout
    lower: int
    upper: int

    @classmethod
    def of(cls, structure: Structure) -> LaneBand | None:
        """Return it for a square structure without links whose classes are long, and narrow bands; None for others."""
        if structure.link_count or len(structure.offsets) < 2:
            return None
        stride = math.gcd(*structure.offsets)
        lower, upper = -structure.offsets[0] // stride, structure.offsets[-1] // stride
        if min(lower, upper) < 1 or lower + upper > MAX_WIDTH or structure.shape[0] // stride < _SHORTEST_CLASS:
            return None
        return cls(ChainLayout(structure, stride), lower, upper)

    @property
    def width(self) -> int:
        """Kept columns on either side of a segment: w = l + u."""
        return self.lower + self.upper

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.chain.n

    @cached_property
    def _pieces(self) -> Index:
        """Segments of each class."""
        lengths = np.diff(self.chain.starts)
        return np.asarray(_GROUP * -(-lengths // (_GROUP * (SEGMENT + self.width))))

    @cached_property
    def segments(self) -> tuple[Index, Index, Index]:
        """First columns, lengths, and the index among the kept columns of the first one to the right."""
        w = self.width
        firsts, lengths = [], []
        for start, end, pieces in zip(self.chain.starts[:-1], self.chain.starts[1:], self._pieces, strict=True):
            # Each segment begins behind a separator, and ends where the next one begins.
            bounds = w + np.arange(pieces + 1) * (end - start - w) // pieces
            firsts.append(start + bounds[:-1])
            lengths.append(np.diff(bounds) - w)
        first, length = np.concatenate(firsts), np.concatenate(lengths)
        # Everything before the first column to the right is kept or belongs to this segment or an earlier one.
        return first, length, first + length - np.cumsum(length)

    @cached_property
    def columns(self) -> Index:
        """Kept columns, ascending."""
        first, length, _ = self.segments
        # What is left of a segment is right of the one before, but for the first and the last of a class.
        begins = np.union1d(first - self.width, first + length)
        return (begins[:, None] + np.arange(self.width)).ravel()

    @cached_property
    def own(self) -> Index:
        """Indices, among the kept columns, of the rows that belong to no segment: first and last ones of a class."""
        ends = (self._pieces + 1).cumsum() * self.width
        begins = ends - (self._pieces + 1) * self.width
        return np.concatenate(
            ((begins[:, None] + np.arange(self.lower)).ravel(), (ends[:, None] - 1 - np.arange(self.upper)).ravel())
        )

    @cached_property
    def own_entries(self) -> tuple[Index, Index, Index]:
        """Entries in these rows: flat places in the band of the reduced system, rows, and places in a row."""
        w = self.width
        row = self.columns[self.own]
        of = np.searchsorted(self.chain.starts, row, side="right") - 1
        column = row[:, None] - self.lower + np.arange(w + 1)
        inside = (column >= self.chain.starts[of, None]) & (column < self.chain.starts[of + 1, None])
        which, entry = np.nonzero(inside)
        # Row and column are kept columns next to each other: their distance is the same in the reduced system.
        return self.own[which] * (3 * w - 1) + w - 1 + entry, row[which], entry

    def diagonals(self, values: Array) -> tuple[Array, Index]:
        """Return numbers, and where among them the row 0 of each diagonal stands; no copy where there is one class."""
        structure, stride = self.chain.structure, self.chain.stride
        base = np.full(self.width + 1, ABSENT, np.int64)
        if stride == 1:
            for k, start in zip(structure.offsets, structure.starts[:-1], strict=True):
                base[k + self.lower] = start - max(0, -k)
            return values, base
        flat = np.zeros((len(structure.offsets), self.n), values.dtype)
        padded = np.empty(self.n, values.dtype)
        for number, k in enumerate(structure.offsets):
            slots = structure.diagonal_slots(k)
            first = max(0, -k)
            padded[:first] = 0
            padded[first : first + slots.stop - slots.start] = values[slots]
            padded[first + slots.stop - slots.start :] = 0
            flat[number] = self.chain.to_chains(padded)
            base[k // stride + self.lower] = number * self.n
        return flat.ravel(), base

    @cached_property
    def transposed(self) -> LaneBand:
        """That of the transpose; its numbers stand where those of the matrix do: see `transposed_base`."""
        return LaneBand(self.chain, self.upper, self.lower)

    def transposed_base(self, base: Index) -> Index:
        """Return where the diagonals of the transpose stand among the same numbers."""
        result = base[::-1].copy()
        there = result != ABSENT
        result[there] += np.arange(self.width + 1)[there] - self.upper
        return result

    @cached_property
    def cost(self) -> Cost:
        """What `stridiag.factorization.band_lanes` takes for real numbers: exact, reduced system included."""
        first, length, _ = self.segments
        w, columns = self.width, int(length.sum())
        kept = self.n - columns
        reduced = _lu_operations(kept, self.lower + w - 1, 3 * w - 2)
        offsets = [k // self.chain.stride for k in self.chain.structure.offsets]
        # Products with kept unknowns to the left, and sums.
        known = 2 * first.size * sum(self.upper - k for k in offsets)
        factor = columns * (8 * w * w + 2 * w + 5) + first.size * (w + 4) + reduced[0]
        solve = columns * (8 * w * w + 16 * w + 17) + 2 * first.size + known + reduced[1]
        operations = Operations(factor, solve, determinant(self.n), self.n * solve, exact=True)
        stored = 8 * kept * (3 * w - 1 + self.lower + w - 1) + kept
        return Cost(operations, stored, rate=12.0 * self.n / (factor + solve), overhead=2.5e5)


def _lu_operations(n: int, below: int, beside: int) -> tuple[int, int]:
    """Return the operations of `stridiag._kernels.band_lu` to factor, and to solve."""
    lower, upper = (k * n - k * (k + 1) // 2 for k in (below, beside))
    return lower * (1 + 2 * beside), n + 2 * lower + 2 * upper
