"""The reduced system of condensed bands: how it is summed up from what the segments leave and from the outer rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_condensation import LEFT_COLUMNS, LEFT_ROWS, PLACE, RIGHT_COLUMNS, RIGHT_ROWS
from stridiag.planning.residue_band import ResidueBand
from stridiag.planning.summed import SummedColumns, summed_columns

__all__ = ["ReducedBand", "each", "room"]

Array = NDArray[Any]
Index = NDArray[np.int64]


def each(counts: Index) -> tuple[Index, Index]:
    """Return which item, and which of its `counts` members, for all members of all items in turn."""
    which = np.repeat(np.arange(counts.size), counts)
    return which, np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts)


def room(first: Index, last: Index, starts: Index) -> tuple[Index, Index]:
    """Return how many positions of its class stand before and behind each stretch."""
    of = np.searchsorted(starts, first, side="right") - 1
    return first - starts[of], starts[of + 1] - 1 - last


@dataclass(frozen=True, eq=False)
class ReducedBand(SummedColumns):
    """How the reduced system is summed up from its sources, in compressed columns.

    Sources, one behind the other: the entries of the segments' leftover rows; the products of links in last rows
    with the factors by which they enter leftover rows; the band entries of rows outside all segments; the links of
    such rows.

    Attributes
    ----------
    carried : ndarray of int64
        Flat indices of the used entries of the kernel's `leftover`.
    linked : tuple of ndarray of int64
        Flat indices of the factors in the kernel's `entering`, and of the links they multiply.
    outer : ndarray of int64
        Flat indices of the band entries in rows outside all segments.
    outer_slots : ndarray of int64
        Slots of the links in such rows.
    """

    carried: Index
    linked: tuple[Index, Index]
    outer: Index
    outer_slots: Index

    @classmethod
    def build(
        cls,
        band: ResidueBand,
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
        link, number = each(rows[of_link])
        factor = of_link[link] * (width + 1) + 1 + number

        chain = band.chain
        before, behind = room(columns[own], columns[own], chain.starts)
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
        return cls(
            *summed_columns(at, to, columns.size),
            carried=carried,
            linked=(factor, link),
            outer=position * (width + 1) + band.present[entry],
            outer_slots=slots,
        )

    def assemble(self, leftover: Array, entering: Array, last_links: Array, outer: Array, values: Array) -> Array:
        """Return the system's entries, given what the kernel left, `outer_entries` and the matrix's values by slot."""
        return self.sum_up(self.sources(leftover, entering, last_links, outer, values))

    def sources(self, leftover: Array, entering: Array, last_links: Array, outer: Array, values: Array) -> Array:
        """Return the numbers that are added up, in the order of `place`."""
        products = entering.ravel()[self.linked[0]] * last_links[self.linked[1]]
        return np.concatenate((leftover.ravel()[self.carried], products, outer, values[self.outer_slots]))

    def outer_entries(self, flat: Array, base: Index) -> Array:
        """Return the band entries in rows outside all segments: (i, d) of the band stands at ``base[d] + i``."""
        row, entry = np.divmod(self.outer, base.size)
        result: Array = flat[base[entry] + row]
        return result
