"""Chains: which rows follow one another, which columns are kept, and what the reduced system looks like.

The stride g is the offset, on either side, whose diagonals leave the fewest entries aside. Indices of one residue
class modulo g form a tridiagonal chain of their own. In *chain order* the classes stand one behind the other;
everything off the chains is a link. A link (r, c) keeps the columns r, r + 1 and c of the chain; separators are
completed to a width of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import Structure

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["ChainLayout", "CondensationLayout", "best_stride", "off_chain_count"]

Array = NDArray[Any]
Index = NDArray[np.int64]


def off_chain_count(structure: Structure, stride: int) -> int:
    """Return how many slots lie neither on the main diagonal nor at the offsets ``-stride`` and ``stride``."""
    on = sum(
        part.stop - part.start
        for part in (structure.diagonal_slots(k) for k in structure.offsets if abs(k) in (0, stride))
    )
    offset = structure.link_columns - structure.link_rows
    return int(structure.nnz - on - np.isin(offset, (-stride, 0, stride)).sum())


def best_stride(structure: Structure) -> int:
    """Return the stride whose chains leave the fewest entries as links; 1 if there is only a main diagonal."""
    candidates = sorted({abs(offset) for offset in structure.offsets if offset}) or [1]
    return min(candidates, key=lambda stride: off_chain_count(structure, stride))


@dataclass(frozen=True)
class ChainLayout:
    """How the slots of a square structure become chains and links.

    Attributes
    ----------
    structure : Structure
        Square.
    stride : int
        Offset g of the super- and sub-diagonal, 1 or more.
    """

    structure: Structure
    stride: int

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.structure.shape[0]

    @cached_property
    def starts(self) -> Index:
        """First chain position of each chain, and n at the end."""
        classes = np.arange(min(self.stride, self.n))
        lengths = (self.n - classes + self.stride - 1) // self.stride
        return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)

    def positions(self, indices: Index) -> Index:
        """Return the chain positions of original indices."""
        return self.starts[indices % self.stride] + indices // self.stride

    def index(self, position: int) -> int:
        """Return the original index at one chain position."""
        chain = int(np.searchsorted(self.starts, position, side="right")) - 1
        return chain + (position - int(self.starts[chain])) * self.stride

    def to_chains(self, x: Array) -> Array:
        """Return `x`, (n, ...), contiguous, with its first axis in chain order; a copy if that differs."""
        if self.stride == 1:
            return x
        result = np.empty_like(x)
        for original, chained in self._blocks(x, result):
            chained[...] = original
        return result

    def from_chains(self, y: Array) -> Array:
        """Return `y`, (n, ...), contiguous and in chain order, in the original order; a copy if that differs."""
        if self.stride == 1:
            return y
        result = np.empty_like(y)
        for original, chained in self._blocks(result, y):
            original[...] = chained
        return result

    def _blocks(self, x: Array, y: Array) -> tuple[tuple[Array, Array], ...]:
        """Return views of `x` (original order) and of `y` (chain order) that hold the same entries.

        The original order is a table with one column for each chain; its last row is filled for `tall` chains.
        """
        g, rest = self.stride, x.shape[1:]
        height = -(-self.n // g)
        tall = self.n - (height - 1) * g
        table = x[: (height - 1) * g].reshape(height - 1, g, *rest)
        high = y[: tall * height].reshape(tall, height, *rest)
        low = y[tall * height :].reshape(g - tall, height - 1, *rest)
        return (
            (table[:, :tall].swapaxes(0, 1), high[:, :-1]),
            (x[(height - 1) * g :], high[:, -1]),
            (table[:, tall:].swapaxes(0, 1), low),
        )

    @cached_property
    def folded(self) -> dict[int, tuple[Index, Index]]:
        """Links that lie on a chain: for -g, 0 and g their slots and their places among the chain's entries."""
        rows, columns = self.structure.link_rows, self.structure.link_columns
        offset = columns - rows
        result = {}
        for k in (-self.stride, 0, self.stride):
            on = np.flatnonzero(offset == k)
            if on.size:
                # Entry i of a chain's off-diagonals joins the positions i and i + 1.
                result[k] = (self.structure.starts[-1] + on, self.positions(np.minimum(rows, columns)[on]))
        return result

    def tridiagonal(self, values: Array) -> tuple[Array, Array, Array]:
        """Return ``dl``, ``d``, ``du``, each (n,), in chain order, from the values by slot; fresh arrays."""
        parts = []
        for k in (-self.stride, 0, self.stride):
            padded = np.zeros(self.n, values.dtype)
            if k in self.structure.offsets:
                slots = self.structure.diagonal_slots(k)
                padded[: slots.stop - slots.start] = values[slots]
            part = padded if self.stride == 1 else self.to_chains(padded)
            if k in self.folded:
                slot, place = self.folded[k]
                part[place] += values[slot]
            parts.append(part)
        return parts[0], parts[1], parts[2]

    @cached_property
    def links(self) -> tuple[Index, Index, Index]:
        """Slots, rows and columns (chain positions) of the entries off the chains, sorted by (row, column)."""
        structure = self.structure
        on_chain = (-self.stride, 0, self.stride)
        slots = [
            np.arange(part.stop - part.start) + part.start
            for part in (structure.diagonal_slots(k) for k in structure.offsets if k not in on_chain)
        ]
        off = ~np.isin(structure.link_columns - structure.link_rows, on_chain)
        slots.append(structure.starts[-1] + np.flatnonzero(off))
        slot = np.concatenate(slots).astype(np.int64)
        if slot.size == 0:
            return slot, slot, slot
        rows, columns = _coordinates_of(structure, slot)
        row, column = self.positions(rows), self.positions(columns)
        order = np.lexsort((column, row))
        return slot[order], row[order], column[order]


def _coordinates_of(structure: Structure, slots: Index) -> tuple[Index, Index]:
    """Return rows and columns of some slots, without writing down those of all."""
    starts = np.array(structure.starts, np.int64)
    kind = np.searchsorted(starts, slots, side="right") - 1
    # Of several empty diagonals with one start, searchsorted names the last, which is the one that holds it.
    link = kind == len(structure.offsets)
    offsets = np.array((*structure.offsets, 0), np.int64)[kind]
    rows = slots - starts[kind] - np.minimum(offsets, 0)
    columns = rows + offsets
    place = slots[link] - starts[-1]
    rows[link] = structure.link_rows[place]
    columns[link] = structure.link_columns[place]
    return rows, columns


@dataclass(frozen=True)
class CondensationLayout:
    """Kept columns, segments, and the pattern of the reduced system; all positions are chain positions.

    Attributes
    ----------
    chain : ChainLayout
    columns : ndarray of int64, (k,)
        Kept columns, ascending.
    leftover : ndarray of int64, (k,)
        Row slots that form the reduced system, ascending.
    first, last : ndarray of int64, (segments,)
        Interior stretches.
    neighbours : ndarray of int64, (segments, 4)
        Indices among `columns` of first - 2, first - 1, last + 1 and last + 2; -1 where the chain ends before.
    link_start : ndarray of int64, (segments + 1,)
        Which of `link_slots`, `link_kept` belong to the row last + 1 of each segment.
    link_slots, link_kept : ndarray of int64
        Slot, and index among `columns` of the column, of the links in the last rows of segments.
    odd : int
        Parity of the permutation that brings the leftover rows to the kept columns.
    reduced : ReducedPattern
        How the reduced system is put together.
    """

    chain: ChainLayout
    columns: Index
    leftover: Index
    first: Index
    last: Index
    neighbours: Index
    link_start: Index
    link_slots: Index
    link_kept: Index
    odd: int
    reduced: ReducedPattern

    @classmethod
    def build(cls, chain: ChainLayout) -> CondensationLayout:
        """Choose the kept columns for the links of `chain` and lay out the rest."""
        slots, rows, targets = chain.links
        chain_first, chain_last = chain.starts[:-1], chain.starts[1:] - 1
        columns = _kept_columns(rows, targets, chain_first, chain_last)
        first, last = _segments(columns, chain_first, chain_last)
        has_left = ~np.isin(first, chain_first)
        has_right = ~np.isin(last, chain_last)
        neighbours = np.full((first.size, 4), -1, np.int64)
        place = np.searchsorted(columns, first) - 1
        neighbours[has_left, 1] = place[has_left]
        two_left = has_left & ~np.isin(first - 1, chain_first)
        neighbours[two_left, 0] = place[two_left] - 1
        place = np.searchsorted(columns, last)
        neighbours[has_right, 2] = place[has_right]
        two_right = has_right & ~np.isin(last + 1, chain_last)
        neighbours[two_right, 3] = place[two_right] + 1
        # Each reflection leaves its pivot row one slot further up, so slot `last` remains in place of first - 1.
        leftover = columns.copy()
        leftover[neighbours[has_left, 1]] = last[has_left]
        lengths = last - first + 1

        begin = np.searchsorted(rows, last + 1, side="left")
        end = np.where(has_right, np.searchsorted(rows, last + 1, side="right"), begin)
        link_start = np.concatenate(([0], np.cumsum(end - begin))).astype(np.int64)
        which = np.repeat(begin - link_start[:-1], end - begin) + np.arange(link_start[-1])
        link_slots, link_kept = slots[which], np.searchsorted(columns, targets[which])

        in_segment = np.zeros(columns.size, bool)
        in_segment[neighbours[has_left, 1]] = True
        in_segment[neighbours[has_right, 2]] = True
        outside = np.searchsorted(rows, columns[~in_segment], side="left")
        outside_end = np.searchsorted(rows, columns[~in_segment], side="right")
        counts = outside_end - outside
        free = np.repeat(outside - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
        reduced = ReducedPattern.build(
            columns,
            neighbours,
            in_segment,
            (link_start, link_kept),
            (slots[free], rows[free], targets[free]),
            chain,
        )
        return cls(
            chain=chain,
            columns=columns,
            leftover=leftover,
            first=first,
            last=last,
            neighbours=neighbours,
            link_start=link_start,
            link_slots=link_slots,
            link_kept=link_kept,
            odd=int(lengths[has_left].sum() % 2),
            reduced=reduced,
        )


def _kept_columns(rows: Index, columns: Index, chain_first: Index, chain_last: Index) -> Index:
    below = rows[~np.isin(rows, chain_last)] + 1
    kept = np.unique(np.concatenate((rows, below, columns)))
    at_start, at_end = np.isin(kept, chain_first), np.isin(kept, chain_last)
    follows = np.zeros(kept.size, bool)
    follows[1:] = np.diff(kept) == 1
    has_left = follows & ~at_start
    has_right = np.zeros(kept.size, bool)
    has_right[:-1] = has_left[1:]
    alone = ~(has_left | has_right | at_start | at_end)
    return np.union1d(kept, kept[alone] + 1)


def _segments(columns: Index, chain_first: Index, chain_last: Index) -> tuple[Index, Index]:
    after = columns[~np.isin(columns, chain_last)] + 1
    before = columns[~np.isin(columns, chain_first)] - 1
    first = np.union1d(np.setdiff1d(after, columns), np.setdiff1d(chain_first, columns))
    last = np.union1d(np.setdiff1d(before, columns), np.setdiff1d(chain_last, columns))
    return first, last


@dataclass(frozen=True)
class ReducedPattern:
    """How the reduced system is summed up from its sources, in compressed columns.

    Sources, one behind the other: the entries (segment, carried row, neighbour) of the segments' leftover rows;
    the products of links in last rows with their two factors; the chain entries (sub, main, super) of rows
    outside all segments; the links of such rows.

    Attributes
    ----------
    order : int
    indptr, indices : ndarray of int32
        Compressed columns of the reduced system.
    place : ndarray of int64
        Where in the data each source entry is added.
    carried : ndarray of int64
        Flat indices of the used entries of the kernel's ``leftover[..., :4]``.
    linked : tuple of ndarray of int64
        Flat indices of the factors ``leftover[..., 4]`` and of the links they multiply.
    outer : tuple of ndarray of int64
        Indices into ``dl``, ``d`` and ``du`` of the chain entries in rows outside all segments.
    outer_slots : ndarray of int64
        Slots of the links in such rows.
    """

    order: int
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    place: Index
    carried: Index
    linked: tuple[Index, Index]
    outer: tuple[Index, Index, Index]
    outer_slots: Index

    @classmethod
    def build(
        cls,
        columns: Index,
        neighbours: Index,
        in_segment: NDArray[np.bool_],
        last_row_links: tuple[Index, Index],
        outer_links: tuple[Index, Index, Index],
        chain: ChainLayout,
    ) -> ReducedPattern:
        """Lay out the entries of the reduced system; arguments as in `CondensationLayout.build`."""
        # Leftover row 0 of a segment stands at the kept column first - 1, row 1 at last + 1.
        at = neighbours[:, 1:3]
        used = (at[:, :, None] >= 0) & (neighbours[:, None, :] >= 0)
        segment, carry, side = np.nonzero(used)
        carried = (segment * 2 + carry) * 5 + side

        link_start, link_kept = last_row_links
        of_link = np.repeat(np.arange(neighbours.shape[0]), np.diff(link_start))
        link = np.arange(of_link.size)
        left = at[of_link, 0] >= 0
        factor = np.concatenate(((of_link[left] * 2) * 5 + 4, (of_link * 2 + 1) * 5 + 4))
        linked = np.concatenate((link[left], link))

        free = np.flatnonzero(~in_segment)
        position = columns[free]
        down = ~np.isin(position, chain.starts[:-1])
        up = ~np.isin(position, chain.starts[1:] - 1)
        outer = (position[down] - 1, position, position[up])

        slots, rows, targets = outer_links
        row = np.concatenate(
            (
                at[segment, carry],
                at[of_link[left], 0],
                at[of_link, 1],
                free[down],
                free,
                free[up],
                np.searchsorted(columns, rows),
            )
        )
        column = np.concatenate(
            (
                neighbours[segment, side],
                link_kept[left],
                link_kept,
                free[down] - 1,
                free,
                free[up] + 1,
                np.searchsorted(columns, targets),
            )
        )
        order = columns.size
        keys, place = np.unique(column * max(order, 1) + row, return_inverse=True)
        indptr = np.searchsorted(keys, np.arange(order + 1) * max(order, 1))
        return cls(
            order=order,
            indptr=indptr.astype(np.int32),
            indices=(keys % max(order, 1)).astype(np.int32),
            place=place.astype(np.int64),
            carried=carried,
            linked=(factor, linked),
            outer=outer,
            outer_slots=slots,
        )

    def assemble(
        self,
        leftover: Array,
        last_links: Array,
        tridiagonal: tuple[Array, Array, Array],
        values: Array,
    ) -> csc_array[Any]:
        """Return the reduced system, given what the kernel left and the matrix's own entries."""
        flat = leftover.ravel()
        dl, d, du = (part[index] for part, index in zip(tridiagonal, self.outer, strict=True))
        sources = np.concatenate(
            (
                flat[self.carried],
                flat[self.linked[0]] * last_links[self.linked[1]],
                dl,
                d,
                du,
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
