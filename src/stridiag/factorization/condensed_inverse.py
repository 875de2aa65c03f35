"""The inverse of chains with links, from the orthogonal factor and the inverse of the reduced system."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import condensation as kernels
from stridiag._kernels.selected_inverse import condensed_pattern, kept_row_entries
from stridiag.factorization.chain_inverse import slots_of_chains
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import entries_by_solves
from stridiag.planning.condensation import CondensationLayout

__all__ = ["CondensedInverse"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Bytes of one block of columns of the inverse: it is passed over twice, so it should stay in the cache.
_BLOCK_BYTES = 1 << 20


class CondensedInverse:
    """What an orthogonal condensation says about the inverse.

    Parameters
    ----------
    layout : CondensationLayout
    rows, links : ndarray
        What `stridiag._kernels.condensation.condense` left, and the links of the segments' last rows.
    reduced : Decomposition
        Of the reduced system. Its rows are the leftover slots, its columns the kept columns; so those of its inverse
        are the other way round.
    """

    def __init__(self, layout: CondensationLayout, rows: Array, links: Array, reduced: Decomposition) -> None:
        self._layout, self._rows, self._links, self._reduced = layout, rows, links, reduced

    def by_slot(self, nnz: int, *, transpose: bool) -> Array:
        """Return the entries of the inverse, or of its transpose, at the pattern of the matrix, by slot."""
        layout = self._layout
        slot, row, column = layout.chain.links
        ends = (column, row) if transpose else (row, column)
        (lower, main, upper), linked = self.pattern(*ends)
        parts = (upper, main, lower) if transpose else (lower, main, upper)
        result = slots_of_chains(layout.chain, parts, self._rows.dtype)
        result[slot] = linked
        return result

    def pattern(
        self, rows: Index | None = None, columns: Index | None = None
    ) -> tuple[tuple[Array, Array, Array], Array]:
        """Return the three diagonals of the inverse, in chain order, and its entries at given kept rows and columns.

        Entry i of the first and the last array stands at (i + 1, i) and (i, i + 1).
        """
        layout = self._layout
        n, order = layout.chain.n, layout.columns.size
        none = np.empty(0, np.int64)
        row = np.searchsorted(layout.columns, none if rows is None else rows)
        column = np.searchsorted(layout.columns, none if columns is None else columns)
        index = np.arange(order)
        slots = layout.neighbours[:, 1:3]
        of_link = np.repeat(np.arange(layout.first.size), np.diff(layout.link_start))
        # Rows of all segments are told by `owner`; the columns of the reduced inverse belong to the slots.
        owner = np.full(order, -1, np.int64)
        for side in (0, 1):
            there = np.flatnonzero(slots[:, side] >= 0)
            owner[slots[there, side]] = there
        segment = owner[column]
        inside = segment >= 0
        ends = np.where(inside[:, None], slots[segment], np.stack((column, column), axis=1))

        wanted_rows = (
            *(np.where(_joined(layout, index, step), index + step, -1) for step in (-1, 0, 1)),
            np.repeat(layout.neighbours, 2),
            np.repeat(layout.link_kept, 2),
            np.repeat(row, 2),
        )
        wanted_columns = (index, index, index, np.tile(slots, (1, 4)).ravel(), slots[of_link].ravel(), ends.ravel())
        at, to = np.concatenate(wanted_rows), np.concatenate(wanted_columns)
        asked = np.flatnonzero((at >= 0) & (to >= 0))
        entries = np.zeros(at.size, self._rows.dtype)
        entries[asked] = entries_by_solves(self._reduced, order, entries.dtype, at[asked], to[asked])
        above, own, below, corner, linked, far = np.split(entries, np.cumsum([part.size for part in wanted_rows])[:-1])

        lower, main, upper = np.zeros((3, n), entries.dtype)
        main[layout.columns] = own
        lower[layout.columns] = below
        # That of a chain's first column would go to the end of the chain before, which nobody reads.
        upper[layout.columns - 1] = above
        segments = (self._rows, layout.first, layout.last, layout.neighbours)
        condensed_pattern(
            *segments,
            layout.link_start,
            self._links,
            corner.reshape(-1, 4, 2),
            linked.reshape(-1, 2),
            lower,
            main,
            upper,
        )
        corners = far.reshape(-1, 2)
        result = corners[:, 0].copy()
        some = np.empty(int(np.count_nonzero(inside)), entries.dtype)
        kept_row_entries(*segments, segment[inside], layout.columns[column[inside]], corners[inside], some)
        result[inside] = some
        return (lower, main, upper), result

    def write(self, out: Array) -> bool:
        """Fill `out`, (n, n), with the inverse, by columns: R^-1 Q^H times columns of the identity.

        A column of the identity passes only through the reflections of the segment that it belongs to.
        """
        layout = self._layout
        n = layout.chain.n
        links = (layout.link_start, layout.link_kept, self._links)
        original = layout.chain.to_chains(np.arange(n))
        width = max(8, _BLOCK_BYTES // max(1, n * out.itemsize))
        for start in range(0, n, width):
            end = min(start + width, n)
            x = np.zeros((n, end - start), out.dtype)
            x[np.arange(start, end), np.arange(end - start)] = 1
            touched = slice(
                int(np.searchsorted(layout.last, start - 1)), int(np.searchsorted(layout.first, end, side="right"))
            )
            kernels.reflect(
                self._rows, layout.first[touched], layout.last[touched], layout.neighbours[touched], x, False
            )
            z = self._reduced.solve(x[layout.leftover])
            kernels.back_substitute(self._rows, layout.first, layout.last, layout.neighbours, *links, z, x)
            x[layout.columns] = z
            where = slice(start, end) if layout.chain.stride == 1 else original[start:end]
            out[:, where] = layout.chain.from_chains(x)
        return True


def _joined(layout: CondensationLayout, index: Index, step: int) -> NDArray[np.bool_]:
    """Whether the neighbour so many chain positions on is the kept column so many places on."""
    other = index + step
    inside = (other >= 0) & (other < index.size)
    result = np.zeros(index.size, np.bool_)
    result[inside] = layout.columns[other[inside]] == layout.columns[index[inside]] + step
    return result
