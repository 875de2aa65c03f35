r"""Bands with links by LU in a window that moves along the diagonal: `stridiag._kernels.window_lu`.

A link makes the band no wider: its column is in the window from where its row enters to where it is eliminated itself.
That holds for links above the diagonal. The column of a link far below is *put off* until the first panel in which the
band brings the link's row; otherwise that row would enter early, with all its entries, for each of which a column would
be open. Then a row more than before is in the window, since no row leaves it for the column that waits.

So for each place of the diagonal the window is as wide as the band, and a column wider for each link that passes over
it; and as high as the band is below the diagonal, and a row higher for each of those from below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.window_block import PANEL
from stridiag.planning.band import BandLayout
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.structure import Structure

__all__ = ["WindowLayout", "band_or_window"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_SIDE = 512
"""Rows, and columns, of the widest window."""

# Nanoseconds for a row up to which no other order than that of the diagonals is looked for.
_CHEAP = 600.0


@dataclass(frozen=True, eq=False)
class WindowLayout:
    """How a window moves over a square structure.

    Attributes
    ----------
    structure : Structure
        Square, with a main diagonal.
    band : BandLayout
        Of the structure without its links.
    columns : ndarray of int64, (n,)
        The original column that is eliminated at each place.
    ring : int
        Blocks of columns that are in the window anyway.
    before : int
        Slots of columns that come early, in front of the ring; a multiple of `PANEL`.
    heights : ndarray of int64, (panels,)
        Places for rows while each panel is eliminated; multiples of `PANEL`.
    firsts : ndarray of int64, (panels,)
        The first slot that is in use; multiples of `PANEL`.
    arrivals : ndarray of int64, (k, 3)
        Columns that come into the ring: with which panel, from which slot, to which.
    moves : int
        Rows that change their places, at most.
    """

    structure: Structure
    band: BandLayout
    columns: Index
    ring: int
    before: int
    heights: Index
    firsts: Index
    arrivals: Index
    moves: int
    _early: Index
    _row_panels: Index
    _places: Index
    method = "band"

    @classmethod
    def build(cls, structure: Structure, band: BandLayout) -> WindowLayout:
        """Lay out a window over the links and the band of the other entries.

        Raises
        ------
        NotApplicable
            If the main diagonal is not stored, or the window would be too large.
        """
        from stridiag._kernels.window_order import first_panels

        if 0 not in structure.offsets:
            raise NotApplicable("the main diagonal is not stored")
        n = structure.shape[0]
        columns = _order(structure, band)
        position = np.empty_like(columns)
        position[columns] = np.arange(n)
        rows, places = structure.coordinates()
        places = position[places]
        row_panels, column_panels = np.empty((2, n), np.int64)
        first_panels(rows, places, row_panels, column_panels)
        panels = -(-n // PANEL)
        ring = min(-(-(band.lower + band.upper) // PANEL) + 1, panels)
        inside = np.cumsum(np.bincount(row_panels, minlength=panels)) - PANEL * np.arange(panels)
        heights = _whole_panels(inside)
        far = np.flatnonzero(column_panels + ring <= np.arange(n) // PANEL)
        opened, closed = column_panels[far], far // PANEL - ring + 1
        waiting = np.cumsum(np.bincount(opened, minlength=panels) - np.bincount(closed, minlength=panels))
        if max(int(heights.max(initial=0)), PANEL * ring + int(waiting.max(initial=0))) > MAX_SIDE:
            raise NotApplicable(f"rows and columns of the window would be more than {MAX_SIDE}")
        slots, used = _slots(opened, closed)
        before = int(_whole_panels(np.array([used]))[0])
        # The nearest to the ring is taken first.
        slots = before - 1 - slots
        early = np.zeros(n, np.int64)
        early[far] = slots
        firsts = np.full(panels, before)
        _lowest(firsts, opened, closed, slots)
        arrivals = np.stack((closed, slots, before + far % (PANEL * ring)), axis=1)
        arrivals = arrivals[np.argsort(closed, kind="stable")]
        moves = int(np.maximum(heights[:-1] - heights[1:], 0).sum())
        return cls(structure, band, columns, ring, before, heights, firsts, arrivals, moves, early, row_panels, places)

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.structure.shape[0]

    @property
    def slots(self) -> int:
        """Slots for columns."""
        return self.before + PANEL * self.ring

    @cached_property
    def widths(self) -> Index:
        """Slots in use while each panel is eliminated."""
        return self.slots - self.firsts

    @cached_property
    def lists(self) -> tuple[Index, Index, Index, Index, Index]:
        """Where the rows of each panel begin, and these; where their entries begin, these, and their slots."""
        from stridiag._kernels.window_order import list_entries

        n, count = self.n, self._places.size
        row_starts, entry_starts = np.zeros(self.heights.size + 1, np.int64), np.zeros(n + 1, np.int64)
        turn, order = np.empty((2, n), np.int64)
        entries, slots = np.empty((2, count), np.int64)
        list_entries(
            self.structure.coordinates()[0],
            self._places,
            self._row_panels,
            self._early,
            self.ring,
            self.before,
            turn,
            row_starts,
            order,
            entry_starts,
            entries,
            slots,
        )
        return row_starts, order, entry_starts, entries, slots

    @property
    def numbers(self) -> int:
        """Numbers of L and U."""
        return PANEL * int(self.heights.sum() + self.widths.sum())

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`."""
        n, h, w = self.n, self.heights, self.widths
        factor = 8 * n + int((64 * h + 56 * w + 16 * h * w).sum())
        solve = n + 2 * self.numbers
        # Checked where numbers grow; behind that rotations, which never meet more rows or columns than are here.
        likely = factor + solve
        factor += 2 * (solve + 2 * self.structure.nnz) + 6 * n + int((PANEL * h * (12 + 6 * w)).sum())
        rotated = int((PANEL * (6 * h + 2 * w)).sum())
        stored = max(8 * self.numbers, int((PANEL * (20 * h + 12 * w)).sum())) + 40 * n
        operations = Operations(factor, max(solve, rotated), determinant(n), n * solve, exact=False)
        # Nanoseconds: for rows and pivots, for numbers that are written and read, and for products.
        time = 60.0 * n + 1.5 * self.numbers + 0.02 * likely
        return Cost(operations, stored, rate=time / max(factor + operations.solve, 1), overhead=1e5)

    @property
    def plain(self) -> BandLayout | None:
        """The band that the matrix is, if there are no links."""
        return None if self.structure.link_count else self.band

    def describe(self) -> str:
        """See `Layout`."""
        links = f", {plural(self.structure.link_count, 'link')}" if self.structure.link_count else ""
        below, above = plural(self.band.lower, "sub-diagonal"), plural(self.band.upper, "super-diagonal")
        return (
            f"{below}, {above}{links}; LU with partial pivoting in a window of at most "
            f"{int(self.heights.max(initial=0))} x {int(self.widths.max(initial=0))}"
        )

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns, for the check and the orthogonal way out."""
        return CompressedColumns.build(self.structure)

    @cached_property
    def analysis(self) -> SparseAnalysis:
        """What rotations do to the columns in the order of the window."""
        return analyse(self.compressed.pattern(), order=self.columns.astype(np.int32))


def band_or_window(structure: Structure) -> BandLayout | WindowLayout:
    """Return the cheapest way to eliminate along the diagonal.

    Raises
    ------
    NotApplicable
        If nothing narrow enough is found.
    """
    if not structure.link_count:
        band = BandLayout.build(structure)
        if band.stable or band.permutation is not None:
            return band
        window = _window(structure, band)
        return band if window is None or band.cost.price <= window.cost.price else window
    diagonals = BandLayout.without_links(structure)
    window = _window(structure, diagonals)
    # The diagonals alone hardly become a narrower band, and the other order takes as long as the window.
    if window is not None and diagonals.dear and window.cost.price < _CHEAP * structure.shape[0]:
        return window
    try:
        band = BandLayout.build(structure)
    except NotApplicable:
        if window is None:
            raise
        return window
    return band if window is None or band.cost.price <= window.cost.price else window


def _window(structure: Structure, band: BandLayout) -> WindowLayout | None:
    try:
        return WindowLayout.build(structure, band)
    except NotApplicable:
        return None


def _order(structure: Structure, band: BandLayout) -> Index:
    """Return the columns in the order of elimination: that of the band, those of links far below put off."""
    n = structure.shape[0]
    key = np.empty(n, np.int64)
    at = band.positions(np.arange(n))
    row, column = at[structure.link_rows], at[structure.link_columns]
    key[at] = np.arange(n)
    result: Index = key
    far = row - column > band.lower
    if far.any():
        turn = 2 * np.arange(n)
        # Behind the column that brings the row.
        np.maximum.at(turn, column[far], 2 * (row[far] - band.lower) + 1)
        result = key[np.argsort(turn, kind="stable")]
    return result


def _whole_panels(counts: Index) -> Index:
    return -(-counts // PANEL) * PANEL


def _slots(opened: Index, closed: Index) -> tuple[Index, int]:
    """Return for intervals the first slot that is free when they begin, and how many slots are used."""
    slots = np.empty_like(opened)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    for k in np.argsort(opened, kind="stable").tolist():
        while busy and busy[0][0] <= opened[k]:
            heappush(free, heappop(busy)[1])
        if not free:
            heappush(free, used)
            used += 1
        slots[k] = heappop(free)
        heappush(busy, (int(closed[k]), int(slots[k])))
    return slots, used


def _lowest(firsts: Index, opened: Index, closed: Index, slots: Index) -> None:
    """Lower the first slot in use, a multiple of `PANEL`, to that of each interval while it lasts."""
    for begin, end, slot in zip(opened.tolist(), closed.tolist(), (slots // PANEL * PANEL).tolist(), strict=True):
        np.minimum(firsts[begin:end], slot, out=firsts[begin:end])
