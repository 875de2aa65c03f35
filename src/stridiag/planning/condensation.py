"""Condensation: which columns are kept, which segments lie between them, and how the reduced system is put together.

A link (r, c), in chain order, keeps the columns r, r + 1 and c; a kept column that stands alone inside a chain keeps
its right neighbour too, since separators must be two wide. A segment is a maximal stretch of other columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.planning.chain import ChainLayout
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.dense import dense_cost
from stridiag.planning.layout import plural
from stridiag.planning.sparse import analyse
from stridiag.planning.sparse_layout import sparse_cost
from stridiag.structure import Structure

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["CondensationLayout", "ReducedPattern"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Operations of `stridiag._kernels.condensation` in double precision, counted by running its loops on numbers that
# count (tests/planning/test_cost.py): for each interior column, and for each segment.
CONDENSE, CONDENSE_SEGMENT = 43, 4
CONDENSED_SOLVE = 20

# Up to this order the reduced system is factored as a dense one.
DENSE_REDUCED_ORDER = 128

SEGMENT = 256
"""Longest segment. Two rows are carried through all of its reflections, and where these are alike, as on a chain of
constant coefficients, their rounding errors add up: about 0.08 eps a column."""


@dataclass(frozen=True, eq=False)
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
    method = "chain"

    @property
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.chain.structure

    @property
    def dense_reduced(self) -> bool:
        """Whether the reduced system is small enough for LAPACK."""
        return self.columns.size <= DENSE_REDUCED_ORDER

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`: the kernels' loops, and the bound of the reduced system."""
        segments, links = self.first.size, self.link_slots.size
        kept = self.columns.size
        interior = self.chain.n - kept
        pattern = self.reduced
        if self.dense_reduced:
            reduced = dense_cost(kept)
        else:
            reduced = sparse_cost(analyse(pattern.compressed()), entries=pattern.indices.size, orthogonal=False)
        inner = reduced.operations
        assembly = pattern.place.size + pattern.linked[0].size
        condense = CONDENSE * interior + CONDENSE_SEGMENT * segments + assembly
        substitute = CONDENSED_SOLVE * interior + 3 * links + 2 * segments
        operations = Operations(
            condense + inner.factor,
            substitute + inner.solve,
            determinant(interior) + inner.slogdet,
            self.chain.n * (substitute + inner.solve),
            exact=False,
        )
        stored = 64 * self.chain.n + 8 * links + reduced.bytes
        # The price of the reduced system is its own; that of the rest is expressed at the same rate.
        own = 0.7 * (condense + substitute)
        overhead = 2e5 + own + reduced.price - reduced.rate * (operations.factor + operations.solve)
        return Cost(operations, stored, reduced.rate, overhead)

    def describe(self) -> str:
        """See `Layout`."""
        kind = "dense" if self.dense_reduced else "sparse"
        return (
            f"orthogonal condensation of {plural(self.first.size, 'segment')} onto "
            f"{plural(self.columns.size, 'kept column')} ({kind} reduced system)"
        )

    @classmethod
    def build(cls, chain: ChainLayout) -> CondensationLayout:
        """Choose the kept columns for the links of `chain` and lay out the rest."""
        slots, rows, targets = chain.links
        chain_first, chain_last = chain.starts[:-1], chain.starts[1:] - 1
        columns = _kept_columns(rows, targets, chain_first, chain_last)
        first, last = _segments(columns, chain_first, chain_last)
        extra = _dummy_separators(first, last)
        if extra.size:
            columns = np.union1d(columns, extra)
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


def _dummy_separators(first: Index, last: Index) -> Index:
    """Return pairs of columns that cut long segments into equal pieces."""
    lengths = last - first + 1
    # Each cut takes two columns of its own.
    pieces = -(-(lengths + 2) // (SEGMENT + 2))
    cuts = pieces - 1
    segment = np.repeat(np.arange(first.size), cuts)
    number = np.arange(1, segment.size + 1) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    position = first[segment] + (number * (lengths[segment] + 2)) // pieces[segment] - 2
    return np.concatenate((position, position + 1)).astype(np.int64)


def _segments(columns: Index, chain_first: Index, chain_last: Index) -> tuple[Index, Index]:
    after = columns[~np.isin(columns, chain_last)] + 1
    before = columns[~np.isin(columns, chain_first)] - 1
    first = np.union1d(np.setdiff1d(after, columns), np.setdiff1d(chain_first, columns))
    last = np.union1d(np.setdiff1d(before, columns), np.setdiff1d(chain_last, columns))
    return first, last


@dataclass(frozen=True, eq=False)
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
