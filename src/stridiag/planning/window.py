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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels.window_block import PANEL
from stridiag.planning.band import BandLayout
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.planning.watched_rows import WatchedRows, watched_rows
from stridiag.planning.window_shape import WindowShape, put_off
from stridiag.planning.window_thinning import MAX_PRODUCTS, Thinning, thin
from stridiag.structure import Structure

__all__ = ["WindowLayout", "band_or_window"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Nanoseconds for a row up to which no other order than that of the diagonals is looked for.
_CHEAP = 600.0


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowLayout(WindowShape):
    """How a window moves over a square structure.

    Attributes
    ----------
    structure : Structure
        Square, with a main diagonal.
    band : BandLayout
        Of the structure without its links.
    """

    structure: Structure
    band: BandLayout
    method = "band"

    @classmethod
    def build(cls, structure: Structure, band: BandLayout) -> WindowLayout:
        """Lay out a window over the links and the band of the other entries.

        Raises
        ------
        NotApplicable
            If the main diagonal is not stored, or the window would be too large.
        """
        if 0 not in structure.offsets:
            raise NotApplicable("the main diagonal is not stored")
        rows, columns = structure.coordinates()
        order = _order(structure, band)
        return cls.over(rows, columns, order, band.lower + band.upper, structure=structure, band=band)

    @cached_property
    def watched(self) -> tuple[WatchedRows, WatchedRows]:
        """All rows of the matrix and of its transpose: few entries, beside those of the factors."""
        rows = np.arange(self.n)
        return watched_rows(self.structure, rows), watched_rows(self.structure, rows, transposed=True)

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`."""
        n, h, w = self.n, self.heights, self.widths
        factor = 8 * n + int((64 * h + 56 * w + 16 * h * w).sum())
        solve = n + 2 * self.numbers
        # Checked where numbers grow; behind that rotations, which never meet more rows or columns than are here.
        likely = factor + solve
        factor += (
            3 * MAX_PRODUCTS * n + 2 * (solve + 2 * self.structure.nnz) + 6 * n + int((PANEL * h * (12 + 6 * w)).sum())
        )
        rotated = int((PANEL * (6 * h + 2 * w)).sum())
        stored = max(8 * self.numbers, int((PANEL * (20 * h + 12 * w)).sum())) + 40 * n
        operations = Operations(factor, max(solve, rotated), determinant(n), n * solve, exact=False)
        # Nanoseconds: for rows and pivots, for numbers that are written and read, and for products.
        time = 60.0 * n + 1.5 * self.numbers + 0.02 * likely
        return Cost(operations, stored, rate=time / max(factor + operations.solve, 1), overhead=1e5)

    @cached_property
    def thinning(self) -> Thinning | None:
        """What may be eliminated beforehand, where the diagonal can be taken as pivots; None if nothing."""
        return thin(self.structure, self.band)

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
    at = band.positions(np.arange(structure.shape[0]))
    original = np.empty_like(at)
    original[at] = np.arange(at.size)
    result: Index = original[put_off(at.size, at[structure.link_rows], at[structure.link_columns], band.lower)]
    return result
