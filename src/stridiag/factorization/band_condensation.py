"""Bands with links: orthogonal condensation onto the columns that the links touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import band_condensation as kernels
from stridiag._kernels import condensed_band_columns
from stridiag._kernels.band_condensation import FIRST, LAST, LEFT_COLUMNS, LEFT_ROWS, PLACE, RIGHT_COLUMNS, RIGHT_ROWS
from stridiag._kernels.band_inverse import condensed_band_pattern
from stridiag._kernels.threads import run_ranges
from stridiag._results import aligned, fresh
from stridiag.factorization.columns import serve, shows_finite, straight, units
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.inverse_entries import entries_by_solves
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Reflection
from stridiag.planning.band_condensation import BandCondensationLayout

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["BandCondensation"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Rows that are solved for from one stored state: two kilobytes a row, for what is carried and what is solved, are a
# part of the second cache.
_BLOCK = 512
# Segments may be of very different lengths.
_PIECES = 4


class BandCondensation:
    """Bands with links: orthogonal condensation onto the kept columns. See `stridiag._kernels.band_condensation`."""

    name = "orthogonal condensation of bands"

    def __init__(self, layout: BandCondensationLayout, values: Array) -> None:
        self._layout, self._values = layout, values
        w = layout.band.width
        band = layout.band.fill(values)
        count = layout.segments.shape[0]
        self._rows = np.zeros((layout.n, 3 * w + 2), values.dtype)
        leftover = np.zeros((count, w, 2 * w), values.dtype)
        entering = np.zeros((count, w + 1), values.dtype)
        info = kernels.condense(
            (0,) * w,
            layout.band.lower,
            layout.segments,
            band,
            self._rows,
            leftover,
            entering,
            np.zeros(kernels.work_size(w), values.dtype),
            # Squares of numbers up to here, and their sums, are in range.
            1e15 if values.real.dtype == np.float32 else 1e140,
        )
        links = values[layout.link_slots]
        # What the last reflections let into the pivot rows.
        self._links = np.repeat(entering[:, 0], np.diff(layout.link_start)) * links
        entries = layout.reduced.assemble(leftover, entering, links, band.ravel()[layout.reduced.outer], values)
        self._reduced: Decomposition = factor_reduced(entries, layout.reduced_method)
        self.singularity = None
        if info >= 0:
            self.singularity = Singularity(column=layout.band.chain.index(info))
        elif self._reduced.singularity is not None:
            # The reduced system's rows are mixtures; a column it names is a kept column of ours.
            column = self._reduced.singularity.column
            self.singularity = Singularity(
                column=None if column is None else layout.band.chain.index(int(layout.columns[column]))
            )

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`."""
        return not adjoint and self.singularity is None and serve(self._rows.dtype, columns)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`; `stridiag._kernels.condensed_band_columns`."""
        layout, m, b = self._layout, b.shape[1], frozen(b)
        segments, lower = layout.segments, layout.band.lower
        order, block = layout.band.chain.order, max(_BLOCK, layout.band.width)
        widths = (0,) * layout.band.width
        count = segments.shape[0] * units(b.dtype, m)
        longest = int((segments[:, LAST] - segments[:, FIRST]).max(initial=-1)) + 1
        work_size = condensed_band_columns.room(longest, block, layout.band.width)
        y = np.empty((layout.columns.size, m), b.dtype)
        y[layout.own] = b[order[layout.leftover[layout.own]]]

        def condense(first: int, last: int) -> None:
            work = aligned((work_size,), b.dtype)
            condensed_band_columns.condense_columns(
                widths, lower, segments, self._rows, order, b, y, block, work, first, last
            )

        run_ranges(condense, count, pieces_per_thread=_PIECES)
        # As in `Condensation`; with nothing below the diagonal, reflections have nothing to mix.
        finite = lower > 0 and shows_finite(y)
        z = self._reduced.solve(y)
        x = fresh(b.shape, b.dtype)
        past = straight(x)

        def expand(first: int, last: int) -> None:
            work = aligned((work_size,), b.dtype)
            condensed_band_columns.expand_columns(
                widths, lower, *self._triangle, order, b, z, x, past, block, work, first, last
            )

        run_ranges(expand, count, pieces_per_thread=_PIECES)
        x[order[layout.columns[layout.behind_none]]] = z[layout.behind_none]
        alone = segments[segments[:, LEFT_ROWS] + segments[:, RIGHT_ROWS] == 0, FIRST]
        return x, finite and shows_finite(x[order[alone]])

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.spares(b.shape[1], adjoint=adjoint):
            return self.solve_spared(b)[0]
        layout = self._layout
        x = layout.band.chain.to_chains(b)
        if adjoint:
            z = x[layout.columns]
            kernels.forward_substitute_adjoint(*self._triangle, z, x)
            x[layout.leftover] = self._reduced.solve(z, adjoint=True)
            self._reflect(x, backwards=True)
        else:
            self._reflect(x, backwards=False)
            z = self._reduced.solve(x[layout.leftover])
            kernels.back_substitute(*self._triangle, z, x)
            x[layout.columns] = z
        return layout.band.chain.from_chains(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        layout = self._layout
        y = layout.band.chain.to_chains(x)
        z = y[layout.columns]
        kernels.multiply_upper(*self._triangle, z, y)
        y[layout.leftover] = self._reduced.multiply(z)
        self._reflect(y, backwards=True)
        return layout.band.chain.from_chains(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        _, interior = self._interior()
        pivots = self._rows[interior, self._layout.band.width + 1]
        # Each reflection has determinant -1; there is one for every interior column.
        phase, log = phase_and_log(pivots, sign_of_flips(self._layout.odd + pivots.size))
        reduced_phase, reduced_log = self._reduced.slogdet()
        return phase * reduced_phase, log + reduced_log

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; from the orthogonal factor and the inverse of the reduced system."""
        none = np.empty(0, np.int64)
        in_band, _ = self._transposed_inverse(none, none)
        return self._layout.band.chain.from_chains(np.ascontiguousarray(in_band[:, self._layout.band.lower]))

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`.

        The state of the recurrence holds what the transpose needs. For the inverse itself the matrix is factored once
        more, with a pattern that has the mirror image of each entry.
        """
        layout = self._layout
        if not transpose:
            mirrored, own, mirror = layout.mirrored
            values = np.zeros(mirrored.structure.nnz, self._values.dtype)
            values[own] = self._values
            other = BandCondensation(mirrored, values)
            found = None if other.singularity is not None else other.inverse_on_pattern(transpose=True)
            return None if found is None else found[mirror]
        rows, columns = (layout.band.chain.positions(part) for part in layout.structure.coordinates())
        slots, link_rows, link_columns = layout.band.links
        in_band, linked = self._transposed_inverse(link_rows, link_columns)
        inside = np.ones(rows.size, np.bool_)
        inside[slots] = False
        result = np.empty(rows.size, in_band.dtype)
        result[inside] = in_band[rows[inside], (columns - rows)[inside] + layout.band.lower]
        result[slots] = linked
        return result if np.isfinite(result).all() else None

    def _transposed_inverse(self, link_rows: Index, link_columns: Index) -> tuple[Array, Array]:
        """Return the entries of the inverse's transpose in the band, (n, w + 1), and at links, (k,)."""
        layout, w = self._layout, self._layout.band.width
        segments, lower = layout.segments, layout.band.lower
        order = layout.columns.size
        place, left, right = segments[:, PLACE], segments[:, LEFT_COLUMNS], segments[:, RIGHT_COLUMNS]
        # Rows of the reduced inverse belong to kept columns, its columns to leftover slots.
        side = np.arange(2 * w)
        near = place[:, None] + np.where(side < w, side - left[:, None], side - w)
        near[~((side < left[:, None]) | ((side >= w) & (side - w < right[:, None])))] = -1
        number = np.arange(w)
        slots = (place - segments[:, LEFT_ROWS])[:, None] + number
        slots[number >= (segments[:, LEFT_ROWS] + segments[:, RIGHT_ROWS])[:, None]] = -1
        of_link = np.repeat(np.arange(segments.shape[0]), np.diff(layout.link_start))
        # Rows outside of all segments have kept columns only, and their own slots.
        own = layout.own
        beside = layout.columns[own][:, None] + np.arange(-lower, w + 1 - lower)
        at = np.searchsorted(layout.columns, beside)
        at[layout.columns[np.minimum(at, order - 1)] != beside] = -1
        # The row of any other link is the last of a segment: its slot leaves with the first reflection that is undone.
        target, source = np.searchsorted(layout.columns, link_columns), np.searchsorted(layout.columns, link_rows)
        apart = np.isin(link_rows, layout.columns[own])
        segment = np.searchsorted(segments[:, LAST] + lower, link_rows[~apart])
        rows = (
            at.ravel(),
            np.repeat(near, w),
            np.repeat(layout.link_kept, w),
            target[apart],
            np.repeat(target[~apart], w),
        )
        columns = (
            np.repeat(own, w + 1),
            np.repeat(slots, 2 * w, axis=0).ravel(),
            slots[of_link].ravel(),
            source[apart],
            slots[segment].ravel(),
        )
        row, column = np.concatenate(rows), np.concatenate(columns)
        there = (row >= 0) & (column >= 0)
        entries = np.zeros(row.size, self._rows.dtype)
        entries[there] = entries_by_solves(self._reduced, order, entries.dtype, row[there], column[there])
        outside, corner, linked, of_own, of_last = np.split(entries, np.cumsum([part.size for part in rows])[:-1])
        in_band = np.zeros((layout.n, w + 1), entries.dtype)
        in_band[layout.columns[own]] = outside.reshape(-1, w + 1)
        condensed_band_pattern(
            lower,
            segments,
            self._rows,
            layout.link_start,
            self._links,
            corner.reshape(-1, 2 * w, w),
            linked.reshape(-1, w),
            np.zeros((2 * w + 1, w + 1), entries.dtype),
            in_band,
        )
        of_links = np.empty(link_rows.size, entries.dtype)
        of_links[apart] = of_own
        of_links[~apart] = self._undo_last(segment, of_last.reshape(-1, w))
        return in_band, of_links

    def _undo_last(self, segment: Index, slots: Array) -> Array:
        """Return kept rows of the inverse at the last rows of segments, given what they are at the leftover slots."""
        w = self._layout.band.width
        reflection = self._rows[self._layout.segments[segment, LAST]]
        vector, tau = reflection[:, :w], reflection[:, w]
        last = self._layout.segments[segment, LEFT_ROWS] + self._layout.band.lower - 1
        index = np.arange(segment.size)
        changed = slots[index, last] - tau * (slots * vector).sum(axis=1) * vector[index, last].conj()
        # Where nothing but the pivot row is reflected, that is the last one, in which kept rows are zero.
        return np.where(last >= 0, changed, 0)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: reflections, the slots, the reduced system's factors, D, columns of (U W; 0 I).

        Between the two permutations of the classes.
        """
        layout = self._layout
        segment, interior = self._interior()
        slots = np.arange(layout.n)
        slots[interior - layout.segments[segment, LEFT_ROWS]] = interior
        slots[layout.leftover] = layout.columns
        order = np.concatenate((layout.columns[::-1], interior[::-1])).tolist()
        classes = Permutation(layout.band.chain.to_chains(np.arange(layout.n)))
        return [
            classes.inverse(),
            *self._reflections(segment, interior),
            Permutation(slots),
            *(factor.embed(layout.n, layout.columns) for factor in self._reduced.factors()),
            *columns_of_triangle(self._upper(segment, interior), order, divide="rows"),
            classes,
        ]

    @property
    def _triangle(self) -> tuple[Index, Array, Index, Index, Array]:
        """What the kernels that work on U and W are given before the vectors."""
        layout = self._layout
        return layout.segments, self._rows, layout.link_start, layout.link_kept, self._links

    def _reflect(self, x: Array, *, backwards: bool) -> None:
        layout = self._layout
        kernels.reflect(layout.band.lower, layout.segments, self._rows, x, backwards)

    def _interior(self) -> tuple[Index, Index]:
        """Return the segment and the position of each interior column, ascending."""
        segments = self._layout.segments
        segment = np.repeat(np.arange(segments.shape[0]), segments[:, LAST] - segments[:, FIRST] + 1)
        inside = np.ones(self._layout.n, np.bool_)
        inside[self._layout.columns] = False
        return segment, np.flatnonzero(inside)

    def _reflections(self, segment: Index, interior: Index) -> list[Reflection]:
        layout, w = self._layout, self._layout.band.width
        tops = interior - layout.segments[segment, LEFT_ROWS]
        ends = layout.segments[segment, LAST] + layout.segments[segment, RIGHT_ROWS]
        bottoms = np.minimum(interior + layout.band.lower, ends)
        result = []
        for j, top, bottom in zip(interior.tolist(), tops.tolist(), bottoms.tolist(), strict=True):
            tau = self._rows[j, w]
            vector = np.append(tau.dtype.type(1), self._rows[j, : bottom - top])
            result.append(Reflection(layout.n, np.arange(top, bottom + 1), vector, tau))
        return result

    def _upper(self, segment: Index, interior: Index) -> csc_array[Any]:
        """Return (U W; 0 I), the rows of U and W at their interior columns, in class order."""
        from scipy.sparse import coo_array

        layout, rows, w = self._layout, self._rows, self._layout.band.width
        segments = layout.segments[segment]
        reach = segments[:, LAST] + segments[:, RIGHT_COLUMNS] - interior
        parts = [(layout.columns, layout.columns, np.ones(layout.columns.size, rows.dtype))]
        for c in range(w + 1):
            row = interior[reach >= c]
            parts.append((row, row + c, rows[row, w + 1 + c]))
        for c in range(w):
            here = segments[:, LEFT_COLUMNS] > c
            row = interior[here]
            column = (segments[:, FIRST] - segments[:, LEFT_COLUMNS])[here] + c
            parts.append((row, column, rows[row, 2 * w + 2 + c]))
        row = np.repeat(layout.segments[:, LAST], np.diff(layout.link_start))
        parts.append((row, layout.columns[layout.link_kept], self._links))
        at, to, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return coo_array((values, (at, to)), shape=(layout.n, layout.n)).tocsc()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._rows.nbytes + self._links.nbytes + self._reduced.nbytes
