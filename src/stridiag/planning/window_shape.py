"""How a window moves over a matrix whose entries stand near the diagonal but for a few: see `WindowLayout`."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels.window_block import PANEL
from stridiag.planning.layout import NotApplicable

if TYPE_CHECKING:
    from stridiag.planning.band import BandLayout

__all__ = ["MAX_SIDE", "WindowShape", "put_off"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_SIDE = 512
"""Rows, and columns, of the widest window."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowShape:
    """How a window moves.

    Attributes
    ----------
    columns : ndarray of int64, (n,)
        The column that is eliminated at each place.
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
    sources : ndarray or None
        Where the entries stand among the numbers that are given; None if one behind the other.
    """

    columns: Index
    ring: int
    before: int
    heights: Index
    firsts: Index
    arrivals: Index
    moves: int
    _early: Index
    _row_panels: Index
    _rows: Index
    _places: Index
    sources: Array | None = None

    @classmethod
    def over(cls, rows: Index, entries: Index, columns: Index, width: int, **more: Any) -> Self:
        """Lay out a window over entries in these rows and columns, (nnz,), most of which stand in a band of `width`.

        Columns are eliminated in the order `columns`, (n,); `more` is what a class derived from this one holds beside.

        Raises
        ------
        NotApplicable
            If the window would be too large.
        """
        from stridiag._kernels.window_order import first_panels

        n = columns.size
        position = np.empty_like(columns)
        position[columns] = np.arange(n)
        places = position[entries]
        row_panels, column_panels = np.empty((2, n), np.int64)
        first_panels(rows, places, row_panels, column_panels)
        panels = -(-n // PANEL)
        ring = min(-(-width // PANEL) + 1, panels)
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
        return cls(
            columns=columns, ring=ring, before=before, heights=heights, firsts=firsts, arrivals=arrivals, moves=moves,
            _early=early, _row_panels=row_panels, _rows=rows, _places=places, **more,
        )  # fmt: skip

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.columns.size

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
            self._rows,
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
        if self.sources is not None:
            entries = self.sources[entries].astype(np.int64)
        return row_starts, order, entry_starts, entries, slots

    @property
    def numbers(self) -> int:
        """Numbers of L and U."""
        return PANEL * int(self.heights.sum() + self.widths.sum())

    @property
    def plain(self) -> BandLayout | None:
        """The band that the matrix is, if that is known to be all."""
        return None


def put_off(n: int, rows: Index, columns: Index, lower: int) -> Index:
    """Return the columns, (n,), in their order but for those with an entry more than `lower` below the diagonal.

    These come behind the column that brings the row of that entry.
    """
    far = rows - columns > lower
    if not far.any():
        return np.arange(n)
    turn = 2 * np.arange(n)
    np.maximum.at(turn, columns[far], 2 * (rows[far] - lower) + 1)
    return np.argsort(turn, kind="stable")


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
