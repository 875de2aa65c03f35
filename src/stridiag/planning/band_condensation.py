"""Band condensation: which columns are kept, which segments lie between them, and what that costs.

A band has lower width l, upper width u, w = l + u. A link (r, c), in class order, keeps the columns
r - l + 1 ... r + u, so that row r is at most the last that enters a segment, and c. Stretches of kept columns inside a
class are at least w columns wide. A segment is a maximal stretch of other columns.
`stridiag.planning.condensation` is the case l = u = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
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
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.planning.links_apart import LinksApart
from stridiag.planning.reduced_band import ReducedBand, each, room
from stridiag.planning.reduced_method import ReducedMethod
from stridiag.planning.residue_band import MAX_WIDTH, ResidueBand
from stridiag.planning.watched_rows import WatchedRows, left_over
from stridiag.structure import Structure

__all__ = ["BandCondensationLayout", "build"]

Array = NDArray[Any]
Index = NDArray[np.int64]

SEGMENT = 512
"""Longest segment. Where the rows carried through its reflections are alike, as for constant diagonals, rounding errors
add up; but the reduced system grows as segments get shorter."""

LANES_WIDTH = 6
"""Largest l + u of which many segments are eliminated at a time: each is compiled by itself."""

LANES_CLASS = 4096
"""Order of a residue class from which on that is worth it."""

# Nanoseconds of an interior column, of an operation to factor and of one to solve, as once measured.
_COLUMN, _FACTOR, _SOLVE = 42.0, 0.14, 0.42
# And of a column of segments that are eliminated many at a time, factored and solved.
_LANES = 12.0


def build(structure: Structure) -> BandCondensationLayout:
    """Lay out a structure with links and a narrow band.

    Raises
    ------
    NotApplicable
        If there is no narrow band, or no link, or if the chains' own condensation serves, or if most columns would be
        kept.
    """
    band = ResidueBand.of(structure)
    if band is None:
        raise NotApplicable(
            f"no band of total width {MAX_WIDTH} or less, after division of the offsets by their greatest common "
            "divisor, holds the long diagonals"
        )
    if band.lower <= 1 and band.upper <= 1:
        raise NotApplicable("the bands are tridiagonal, and method 'chain' condenses these")
    if band.aside == 0:
        raise NotApplicable("there are no links to condense")
    n = structure.shape[0]
    # The rows of links are kept: many of them settle the question without a layout.
    rows = np.unique(band.links[1]).size if 2 * band.aside > n else 0
    if 2 * rows <= n:
        layout = BandCondensationLayout.build(band)
        rows = layout.columns.size
        if 2 * rows <= n:
            return layout
    raise NotApplicable(f"at least {rows:,} of {n:,} columns would be kept")


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

    band: ResidueBand
    columns: Index
    leftover: Index
    segments: Index
    link_start: Index
    link_slots: Index
    link_kept: Index
    reduced: ReducedBand
    method = "condensation"

    @classmethod
    def build(cls, band: ResidueBand, *, longest: int = SEGMENT) -> BandCondensationLayout:
        """Choose the kept columns for the links of `band`, cut segments longer than `longest`, lay out the rest."""
        chain, lower, upper, width = band.chain, band.lower, band.upper, band.width
        slots, rows, targets = band.links
        kept = _kept(rows, targets, lower, upper, chain.starts)
        if width <= LANES_WIDTH and chain.n >= LANES_CLASS and np.diff(chain.starts).min() >= LANES_CLASS:
            # With w kept columns at either end of a class too, all segments are alike but for their lengths.
            side = np.arange(width)
            kept[chain.starts[:-1, None] + side] = True
            kept[chain.starts[1:, None] - 1 - side] = True
            kept |= _widened(kept, width, chain.starts)
        first, last = _runs(~kept, chain.starts)
        cut = _dummy_separators(first, last, width, longest)
        if cut.size:
            kept[cut] = True
            first, last = _runs(~kept, chain.starts)
        columns = np.flatnonzero(kept)
        before, behind = room(first, last, chain.starts)
        segments = np.zeros((first.size, 7), np.int64)
        segments[:, FIRST], segments[:, LAST] = first, last
        segments[:, LEFT_ROWS], segments[:, LEFT_COLUMNS] = np.minimum(upper, before), np.minimum(width, before)
        segments[:, RIGHT_ROWS], segments[:, RIGHT_COLUMNS] = np.minimum(lower, behind), np.minimum(width, behind)
        place = np.searchsorted(columns, last)
        segments[:, PLACE] = place
        left, right = segments[:, LEFT_ROWS], segments[:, RIGHT_ROWS]
        # Each reflection leaves its pivot row in the first slot, so the last ones remain in place of the left rows.
        leftover = columns.copy()
        segment, up = each(left)
        leftover[place[segment] - 1 - up] = last[segment] - up
        own = np.ones(columns.size, np.bool_)
        own[place[segment] - 1 - up] = False
        segment, down = each(right)
        own[place[segment] + down] = False

        entered = np.where(right == lower, last + lower, -1)
        begin = np.searchsorted(rows, entered, side="left")
        counts = np.searchsorted(rows, entered, side="right") - begin
        link_start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        of_link, number = each(counts)
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
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.band.chain.structure

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.band.chain.n

    @cached_property
    def watched(self) -> tuple[WatchedRows, WatchedRows]:
        """Rows in which errors gather, of the matrix and of its transpose."""
        return left_over(self.structure, self.band.chain.order[self.columns])

    @cached_property
    def reduced_method(self) -> ReducedMethod:
        """How the reduced system is factored."""
        return ReducedMethod.choose(self.reduced)

    @cached_property
    def own(self) -> Index:
        """Indices, among the kept columns, of the positions whose rows belong to no segment."""
        free = np.ones(self.columns.size, np.bool_)
        left, right = self.segments[:, LEFT_ROWS], self.segments[:, RIGHT_ROWS]
        segment, number = each(left + right)
        free[(self.segments[:, PLACE] - left)[segment] + number] = False
        return np.flatnonzero(free)

    @cached_property
    def behind_none(self) -> Index:
        """Indices, among the kept columns, of those that no segment has to its right."""
        free = np.ones(self.columns.size, np.bool_)
        segment, number = each(self.segments[:, RIGHT_COLUMNS])
        free[self.segments[:, PLACE][segment] + number] = False
        return np.flatnonzero(free)

    @cached_property
    def alike(self) -> Index | None:
        """The segments by descending length, where `stridiag._kernels.band_lanes` can take many at a time."""
        width, lengths = self.band.width, self.lengths
        full = (self.segments[:, LEFT_COLUMNS] == width) & (self.segments[:, RIGHT_COLUMNS] == width)
        if width > LANES_WIDTH or self.n < LANES_CLASS or not full.all() or not full.size:
            return None
        return np.argsort(-lengths, kind="stable")

    @cached_property
    def apart(self) -> LinksApart | None:
        """The diagonals by themselves, where they may be solved for without the links."""
        return LinksApart.of(self.structure, self.band.chain.stride)

    @cached_property
    def mirrored(self) -> tuple[BandCondensationLayout, Index, Index]:
        """The layout of the same matrix with the mirror image of each entry stored, as a zero if there is none.

        And where the slots of this structure and their mirror images are in that one.
        """
        structure, band = self.structure, self.band
        rows, columns = structure.coordinates()
        both = structure.union(structure.transposed()[0])
        width = max(band.lower, band.upper)
        offsets = tuple(sorted({*band.offsets, *(-k for k in band.offsets)}))
        chain = ChainLayout(both, band.chain.stride)
        layout = BandCondensationLayout.build(ResidueBand(chain, width, width, offsets))
        return layout, both.slots(rows, columns), both.slots(columns, rows)

    @cached_property
    def transposed(self) -> tuple[BandCondensationLayout, Index | slice]:
        """The layout of the transpose, and which slot of this structure each of its slots takes."""
        band = self.band
        structure, source = self.structure.transposed()
        turned = tuple(sorted(-k for k in band.offsets))
        chain = ChainLayout(structure, band.chain.stride)
        return BandCondensationLayout.build(ResidueBand(chain, band.upper, band.lower, turned)), source

    @cached_property
    def link_rows(self) -> Index:
        """The row, the last one of its segment, that each of `link_slots` is in."""
        result: Index = np.repeat(self.segments[:, LAST], np.diff(self.link_start)) + self.band.lower
        return result

    @property
    def lengths(self) -> Index:
        """Interior columns of each segment."""
        result: Index = self.segments[:, LAST] - self.segments[:, FIRST] + 1
        return result

    @property
    def odd(self) -> int:
        """Parity of the permutation that brings the leftover slots to the kept columns."""
        return int((self.lengths * self.segments[:, LEFT_ROWS]).sum() % 2)

    @cached_property
    def kernel_operations(self) -> tuple[int, int]:
        """Operations of the kernels to factor, and to solve for one right-hand side: exact."""
        lower, width = self.band.lower, self.band.width
        if self.alike is not None:
            # See `stridiag._kernels.band_lanes`.
            columns, count = int(self.lengths.sum()), self.segments.shape[0]
            known = 2 * count * int((width - self.band.present).sum())
            substitute = columns * (8 * width * width + 16 * width + 17) + 2 * count + known
            return columns * (8 * width * width + 2 * width + 5) + count * (width + 4), (
                substitute + 2 * self.link_slots.size
            )
        lengths, segments = self.lengths, self.segments
        above, left = segments[:, LEFT_ROWS], segments[:, LEFT_COLUMNS]
        below, right = segments[:, RIGHT_ROWS], segments[:, RIGHT_COLUMNS]
        rows = above + lower + 1
        # What the last reflection lets in; where no row is carried, only the pivot row is left.
        shares = np.where(rows > 1, 1 + above + below + (below == lower), 1)
        factor = (8 * width * width + 7 * width + 9) * int(lengths.sum()) + int(shares.sum())
        # Near the end of a class there are fewer rows to reflect and fewer columns to substitute.
        fewer = 4 * _staircase(lower - below, lengths) + 2 * _staircase(width - right, lengths)
        solve = lengths * (4 * rows - 2 + 2 * width + 2 * left + 1) - fewer
        return factor, int(solve.sum()) + 2 * self.link_slots.size

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`: exact where the reduced system is dense; else with the bound of its sparse factorization."""
        kept, links = self.columns.size, self.link_slots.size
        pattern = self.reduced
        reduced = self.reduced_method.cost
        inner = reduced.operations
        condense, substitute = self.kernel_operations
        # Sums of sources, and products of links with the factors by which they enter.
        condense += pattern.place.size + pattern.linked[0].size + links
        operations = Operations(
            condense + inner.factor,
            substitute + inner.solve,
            # A sum adds up the two logarithms.
            determinant(self.n - kept) + inner.slogdet + 1,
            self.n * (substitute + inner.solve),
            exact=inner.exact,
        )
        stored = 8 * links + reduced.bytes
        if self.alike is None:
            stored += 8 * (3 * self.band.width + 2) * self.n
        # The price of the reduced system is its own; that of the rest is expressed at the same rate.
        own = _COLUMN * (self.n - kept) + _FACTOR * condense + _SOLVE * substitute
        if self.alike is not None:
            own = _LANES * self.n
        overhead = 7e4 + own + reduced.price - reduced.rate * (operations.factor + operations.solve)
        return Cost(operations, stored, reduced.rate, overhead)

    def describe(self) -> str:
        """See `Layout`."""
        return (
            f"orthogonal condensation of {plural(self.segments.shape[0], 'segment')} of bands of widths "
            f"{self.band.lower} and {self.band.upper} onto {plural(self.columns.size, 'kept column')} "
            f"({self.reduced_method.kind} reduced system)"
        )


def _staircase(missing: Index, lengths: Index) -> Index:
    """Return missing + (missing - 1) + ..., as far as that is positive, in at most `lengths` terms."""
    terms = np.minimum(missing, lengths)
    result: Index = terms * missing - terms * (terms - 1) // 2
    return result


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
    return kept | _widened(kept, lower + upper, starts)


def _widened(kept: NDArray[np.bool_], width: int, starts: Index) -> NDArray[np.bool_]:
    """Return the columns that make narrow stretches of kept columns `width` wide."""
    # Only columns of links stand in stretches that are too narrow. At either end of a class any width will do.
    first, last = _runs(kept, starts)
    before, behind = room(first, last, starts)
    narrow = (last - first + 1 < width) & (before > 0) & (behind > 0)
    more = np.minimum(width - (last - first + 1), behind)[narrow]
    stretch, number = each(more)
    result = np.zeros_like(kept)
    result[last[narrow][stretch] + 1 + number] = True
    return result


def _dummy_separators(first: Index, last: Index, width: int, longest: int) -> Index:
    """Return columns that cut long segments into equal pieces, `width` for each cut."""
    lengths = last - first + 1
    # Each cut takes columns of its own.
    pieces = -(-(lengths + width) // (longest + width))
    segment, number = each(pieces - 1)
    position = first[segment] + ((number + 1) * (lengths[segment] + width)) // pieces[segment] - width
    result: Index = (position[:, None] + np.arange(width)).ravel()
    return result
