"""Band condensation: which columns of a band are kept, which segments lie between, and how the reduced system arises.

The offsets of the long diagonals have a greatest common divisor g; in each residue class modulo g they form a band of
lower width l and upper width u, w = l + u. A link (r, c), in class order, keeps the columns r - l + 1 ... r + u, so
that row r is at most the last that enters a segment, and c. Stretches of kept columns inside a class are at least w
columns wide. A segment is a maximal stretch of other columns. `stridiag.planning.condensation` is the case w = 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_condensation import (
    FIRST,
    LAST,
    LEFT_COLUMNS,
    LEFT_ROWS,
    PLACE,
    RIGHT_COLUMNS,
    RIGHT_ROWS,
)
from stridiag.planning.chain import ChainLayout
from stridiag.structure import Structure

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["MAX_WIDTH", "Band", "BandCondensationLayout"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_WIDTH = 8
"""Largest w: operations a column grow with its square, and kept columns for each link with it."""

SEGMENT = 512
"""Longest segment; see `stridiag.planning.condensation.SEGMENT`."""


@dataclass(frozen=True, eq=False)
class Band:
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
    def of(cls, structure: Structure) -> Band | None:
        """Return the band of the longest diagonals that leaves the fewest entries aside; None if all are too wide."""
        best: Band | None = None
        fewest = structure.nnz + 1
        for most in sorted({abs(k) for k in structure.offsets if k}):
            offsets = tuple(k for k in structure.offsets if abs(k) <= most)
            stride = math.gcd(*offsets)
            lower, upper = -min(*offsets, 0) // stride, max(*offsets, 0) // stride
            if lower + upper > MAX_WIDTH:
                continue
            band = cls(ChainLayout(structure, stride), lower, upper, offsets)
            if band.aside < fewest:
                best, fewest = band, band.aside
        return best

    @property
    def width(self) -> int:
        """Entries of a row beside the first."""
        return self.lower + self.upper

    @cached_property
    def aside(self) -> int:
        """Entries on the diagonals and links that lie outside the bands."""
        structure = self.chain.structure
        outside = [part.stop - part.start for part in map(structure.diagonal_slots, self._others)]
        return sum(outside) + int(np.count_nonzero(~self._folds))

    @property
    def _others(self) -> list[int]:
        return [k for k in self.chain.structure.offsets if k not in self.offsets]

    @cached_property
    def _folds(self) -> NDArray[np.bool_]:
        """Which links lie in the bands."""
        structure = self.chain.structure
        across, rest = np.divmod(structure.link_columns - structure.link_rows, self.chain.stride)
        return (rest == 0) & (-self.lower <= across) & (across <= self.upper)

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


@dataclass(frozen=True, eq=False)
class BandCondensationLayout:
    """Kept columns, segments, and the pattern of the reduced system; all positions are in class order.

    Attributes
    ----------
    band : Band
    columns : ndarray of int64, (k,)
        Kept columns, ascending.
    leftover : ndarray of int64, (k,)
        Row slots that form the reduced system, ascending.
    segments : ndarray of int64, (segments, 7)
        See `stridiag._kernels.band_condensation`.
    link_start : ndarray of int64, (segments + 1,)
        Which of `link_slots`, `link_kept` belong to the last row of each segment.
    link_slots, link_kept : ndarray of int64
        Slot, and index among `columns` of the column, of the links in the last rows of segments.
    reduced : ReducedBand
        How the reduced system is put together.
    """

    band: Band
    columns: Index
    leftover: Index
    segments: Index
    link_start: Index
    link_slots: Index
    link_kept: Index
    reduced: ReducedBand

    @classmethod
    def build(cls, band: Band, *, longest: int = SEGMENT) -> BandCondensationLayout:
        """Choose the kept columns for the links of `band`, cut segments longer than `longest`, lay out the rest."""
        chain, lower, upper, width = band.chain, band.lower, band.upper, band.width
        slots, rows, targets = band.links
        kept = _kept(rows, targets, lower, upper, chain.starts)
        first, last = _runs(~kept, chain.starts)
        cut = _dummy_separators(first, last, width, longest)
        if cut.size:
            kept[cut] = True
            first, last = _runs(~kept, chain.starts)
        columns = np.flatnonzero(kept)
        before, behind = _room(first, last, chain.starts)
        segments = np.zeros((first.size, 7), np.int64)
        segments[:, FIRST], segments[:, LAST] = first, last
        segments[:, LEFT_ROWS], segments[:, LEFT_COLUMNS] = np.minimum(upper, before), np.minimum(width, before)
        segments[:, RIGHT_ROWS], segments[:, RIGHT_COLUMNS] = np.minimum(lower, behind), np.minimum(width, behind)
        place = np.searchsorted(columns, last)
        segments[:, PLACE] = place
        left, right = segments[:, LEFT_ROWS], segments[:, RIGHT_ROWS]
        # Each reflection leaves its pivot row in the first slot, so the last ones remain in place of the left rows.
        leftover = columns.copy()
        segment, up = _each(left)
        leftover[place[segment] - 1 - up] = last[segment] - up
        own = np.ones(columns.size, np.bool_)
        own[place[segment] - 1 - up] = False
        segment, down = _each(right)
        own[place[segment] + down] = False

        entered = np.where(right == lower, last + lower, -1)
        begin = np.searchsorted(rows, entered, side="left")
        counts = np.searchsorted(rows, entered, side="right") - begin
        link_start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        of_link, number = _each(counts)
        which = begin[of_link] + number
        outside = np.ones(rows.size, np.bool_)
        outside[which] = False
        link_kept = np.searchsorted(columns, targets[which])
        reduced = ReducedBand.build(
            band,
            columns,
            segments,
            (of_link, link_kept),
            np.flatnonzero(own),
            (slots[outside], rows[outside], targets[outside]),
        )
        return cls(
            band=band,
            columns=columns,
            leftover=leftover,
            segments=segments,
            link_start=link_start,
            link_slots=slots[which],
            link_kept=link_kept,
            reduced=reduced,
        )

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.band.chain.n

    @property
    def odd(self) -> int:
        """Parity of the permutation that brings the leftover slots to the kept columns."""
        lengths = self.segments[:, LAST] - self.segments[:, FIRST] + 1
        return int((lengths * self.segments[:, LEFT_ROWS]).sum() % 2)


def _each(counts: Index) -> tuple[Index, Index]:
    """Return which item, and which of its `counts` members, for all members of all items in turn."""
    which = np.repeat(np.arange(counts.size), counts)
    return which, np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts)


def _room(first: Index, last: Index, starts: Index) -> tuple[Index, Index]:
    """Return how many positions of its class stand before and behind each stretch."""
    of = np.searchsorted(starts, first, side="right") - 1
    return first - starts[of], starts[of + 1] - 1 - last


def _runs(inside: NDArray[np.bool_], starts: Index) -> tuple[Index, Index]:
    """Return the first and last positions of the maximal stretches within classes."""
    n = inside.size
    begins, ends = inside.copy(), inside.copy()
    begins[1:] &= ~inside[:-1]
    ends[:-1] &= ~inside[1:]
    bounds = starts[:-1][starts[:-1] < n]
    begins[bounds] = inside[bounds]
    ends[bounds - 1] = inside[bounds - 1]
    return np.flatnonzero(begins), np.flatnonzero(ends)


def _kept(rows: Index, targets: Index, lower: int, upper: int, starts: Index) -> NDArray[np.bool_]:
    kept = np.zeros(int(starts[-1]), np.bool_)
    kept[targets] = True
    rows = np.unique(rows)
    of = np.searchsorted(starts, rows, side="right") - 1
    for k in range(1 - lower, upper + 1):
        near = rows + k
        kept[near[(starts[of] <= near) & (near < starts[of + 1])]] = True
    # Only columns of links stand in stretches that are too narrow. At either end of a class any width will do.
    first, last = _runs(kept, starts)
    before, behind = _room(first, last, starts)
    width = lower + upper
    narrow = (last - first + 1 < width) & (before > 0) & (behind > 0)
    more = np.minimum(width - (last - first + 1), behind)[narrow]
    stretch, number = _each(more)
    kept[last[narrow][stretch] + 1 + number] = True
    return kept


def _dummy_separators(first: Index, last: Index, width: int, longest: int) -> Index:
    """Return columns that cut long segments into equal pieces, `width` for each cut."""
    lengths = last - first + 1
    # Each cut takes columns of its own.
    pieces = -(-(lengths + width) // (longest + width))
    segment, number = _each(pieces - 1)
    position = first[segment] + ((number + 1) * (lengths[segment] + width)) // pieces[segment] - width
    result: Index = (position[:, None] + np.arange(width)).ravel()
    return result


@dataclass(frozen=True, eq=False)
class ReducedBand:
    """How the reduced system is summed up from its sources, in compressed columns.

    Sources, one behind the other: the entries of the segments' leftover rows; the products of links in last rows
    with the factors by which they enter leftover rows; the band entries of rows outside all segments; the links of
    such rows.

    Attributes
    ----------
    order : int
    indptr, indices : ndarray of int32
        Compressed columns of the reduced system.
    place : ndarray of int64
        Where in the data each source entry is added.
    carried : ndarray of int64
        Flat indices of the used entries of the kernel's `leftover`.
    linked : tuple of ndarray of int64
        Flat indices of the factors in the kernel's `entering`, and of the links they multiply.
    outer : ndarray of int64
        Flat indices of the band entries in rows outside all segments.
    outer_slots : ndarray of int64
        Slots of the links in such rows.
    """

    order: int
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    place: Index
    carried: Index
    linked: tuple[Index, Index]
    outer: Index
    outer_slots: Index

    @classmethod
    def build(
        cls,
        band: Band,
        columns: Index,
        segments: Index,
        last_row_links: tuple[Index, Index],
        own: Index,
        outer_links: tuple[Index, Index, Index],
    ) -> ReducedBand:
        """Lay out the entries; arguments as in `BandCondensationLayout.build`, `own` the kept rows in no segment."""
        width = band.width
        rows = segments[:, LEFT_ROWS] + segments[:, RIGHT_ROWS]
        top = segments[:, PLACE] - segments[:, LEFT_ROWS]
        side = np.arange(2 * width)
        left, right = segments[:, LEFT_COLUMNS, None], segments[:, RIGHT_COLUMNS, None]
        there = (side < left) | ((side >= width) & (side < width + right))
        used = (np.arange(width)[:, None] < rows[:, None, None]) & there[:, None, :]
        segment, row, column = np.nonzero(used)
        carried = (segment * width + row) * (2 * width) + column
        # Columns to the left end, and those to the right begin, at the same place among the kept ones.
        shift = np.where(column < width, column - segments[segment, LEFT_COLUMNS], column - width)

        of_link, link_kept = last_row_links
        link, number = _each(rows[of_link])
        factor = of_link[link] * (width + 1) + 1 + number

        chain = band.chain
        before, behind = _room(columns[own], columns[own], chain.starts)
        across = band.present - band.lower
        inside = (-across <= before[:, None]) & (across <= behind[:, None])
        which, entry = np.nonzero(inside)
        position = columns[own][which]

        slots, link_rows, link_targets = outer_links
        at = np.concatenate(
            (
                top[segment] + row,
                top[of_link[link]] + number,
                own[which],
                np.searchsorted(columns, link_rows),
            )
        )
        to = np.concatenate(
            (
                segments[segment, PLACE] + shift,
                link_kept[link],
                np.searchsorted(columns, position + across[entry]),
                np.searchsorted(columns, link_targets),
            )
        )
        order = columns.size
        keys, place = np.unique(to * max(order, 1) + at, return_inverse=True)
        return cls(
            order=order,
            indptr=np.searchsorted(keys, np.arange(order + 1) * max(order, 1)).astype(np.int32),
            indices=(keys % max(order, 1)).astype(np.int32),
            place=place.astype(np.int64),
            carried=carried,
            linked=(factor, link),
            outer=position * (width + 1) + band.present[entry],
            outer_slots=slots,
        )

    def assemble(self, leftover: Array, entering: Array, last_links: Array, band: Array, values: Array) -> csc_array[Any]:
        """Return the reduced system, given what the kernel left, the band and the matrix's values by slot."""
        sources = np.concatenate(
            (
                leftover.ravel()[self.carried],
                entering.ravel()[self.linked[0]] * last_links[self.linked[1]],
                band.ravel()[self.outer],
                values[self.outer_slots],
            )
        )
        data = np.zeros(self.indices.size, leftover.dtype)
        np.add.at(data, self.place, sources)
        return self.compressed(data)

    def compressed(self, data: Array | None = None) -> csc_array[Any]:
        """Return the scipy array with these data, or with ones."""
        from scipy.sparse import csc_array

        entries = np.ones(self.indices.size) if data is None else data
        return csc_array((entries, self.indices, self.indptr), shape=(self.order, self.order))
