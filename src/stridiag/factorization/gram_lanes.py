r"""R of a long chain and a multiple of the identity below it, eight segments side by side; the Gram matrix's inverse.

See `stridiag._kernels.gram_lanes`. `stridiag.factorization.ridge` does the same with one column after another, and
keeps the rotations too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import gram_lanes as kernels
from stridiag._kernels import lane_vectors, small_basis
from stridiag._kernels.gram_lanes import LANES
from stridiag._kernels.threads import run_ranges

__all__ = ["ChainInLanes", "GramLanes", "LaneLayout"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Segments that a chain without links is cut into: two groups, for two threads.
_SEGMENTS = 16
_NONE = np.empty(0)
_LEAST = 1e-40


class LaneLayout:
    """Which columns are kept, which are segments', and where each stands in a vector.

    Attributes
    ----------
    kept : ndarray of int64
        Columns between segments, two or more in a run.
    starts, sizes : ndarray of int64, (groups * 8,)
        First columns of the segments, and how many; ascending sizes in a group. Of nothing there are none.
    bases : ndarray of int64, (groups + 1,)
        Rows of vectors where groups begin.
    size : int
        Numbers of a vector.
    reach : int
        Up to where numbers are read when a vector is brought in.
    """

    def __init__(self, n: int, rows: Index, columns: Index) -> None:
        starts, sizes = _segments(n, rows, columns)
        order = np.argsort(sizes, kind="stable")
        spare = -starts.size % LANES
        self.sizes = np.concatenate((np.zeros(spare, np.int64), sizes[order]))
        self.starts = np.concatenate((np.zeros(spare, np.int64), starts[order]))
        # At least one row behind the columns.
        lengths = (self.sizes[LANES - 1 :: LANES] // LANES + 1) * LANES
        self.bases = np.concatenate(([0], np.cumsum(lengths)))
        begins, ends = np.append(0, starts + sizes), np.append(starts, n)
        self.kept = np.concatenate([np.arange(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True)])
        self.first_kept = LANES * int(self.bases[-1])
        self.size = self.first_kept + (self.kept.size + LANES - 1) // LANES * LANES
        self.reach = int((self.starts.reshape(-1, LANES).max(axis=1) + lengths).max()) + LANES
        number = spare + np.argsort(order)
        self._in_order = (starts, sizes, LANES * self.bases[number // LANES] + number % LANES)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.bases.size - 1

    def places(self, columns: Index) -> Index:
        """Return where columns stand in a vector."""
        starts, sizes, firsts = self._in_order
        segment = np.maximum(np.searchsorted(starts, columns, "right") - 1, 0)
        away = columns - starts[segment]
        inside = (away >= 0) & (away < sizes[segment])
        return np.where(inside, firsts[segment] + LANES * away, self.first_kept + np.searchsorted(self.kept, columns))

    def neighbours(self) -> Index:
        """Return which kept columns stand beside segments, (segments, 4): two behind, two before; -1 for none."""
        ends = self.starts + self.sizes
        columns = np.stack((ends, ends + 1, self.starts - 2, self.starts - 1), axis=1)
        columns[self.sizes == 0] = -1
        place = np.searchsorted(self.kept, columns)
        found = (columns >= 0) & (place < self.kept.size)
        found[found] = self.kept[place[found]] == columns[found]
        return np.where(found, place, -1)


def _segments(n: int, rows: Index, columns: Index) -> tuple[Index, Index]:
    """Return first columns and sizes of segments: what lies between ends of links, cut where it is long."""
    near = np.concatenate((rows, columns))[:, None] + np.array((-1, 0, 1))
    bounds = np.unique(np.concatenate(((-1, n), np.clip(near, 0, n - 1).ravel())))
    here = np.flatnonzero(np.diff(bounds) > 1)
    starts, sizes = [], []
    longest = -(-n // _SEGMENTS)
    for begin, end in zip((bounds[here] + 1).tolist(), bounds[here + 1].tolist(), strict=True):
        pieces = -(-(end - begin) // longest)
        size, over = divmod(end - begin - 2 * (pieces - 1), pieces)
        for number in range(pieces):
            starts.append(begin)
            sizes.append(size)
            begin += size + 2 + (number < over)
    return np.array(starts, np.int64), np.array(sizes, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of a matrix that products compute one by one; see `lane_vectors.subtract_product_in_rows`."""

    places: Index
    begins: Index
    columns: Index
    values: Array


class ChainInLanes:
    """Three diagonals and entries off them, in lanes.

    Parameters
    ----------
    dl, d, du : ndarray
        The diagonals, `dl` and `du` after a zero; all with zeros behind, up to the layout's `reach` + 1.
    rows, columns, values : ndarray
        Entries off them.
    layout : LaneLayout
    """

    def __init__(
        self, dl: Array, d: Array, du: Array, rows: Index, columns: Index, values: Array, n: int, layout: LaneLayout
    ) -> None:
        self.layout = layout
        self.natural = (dl, d, du)
        self.links = (rows, columns, values)
        self.n = n
        lanes = [np.empty(layout.size) for _ in range(3)]
        arguments = (layout.starts, layout.bases, layout.sizes)

        def bring(first: int, last: int) -> None:
            for source, shift, target in zip((dl, d, du), (0, 0, 1), lanes, strict=True):
                lane_vectors.bring_in(source, shift, *arguments, first, last, 1, target)

        run_ranges(bring, layout.groups)
        self.dl, self.d, self.du = lanes
        self._special = (self._rows(transposed=False), self._rows(transposed=True))

    def _rows(self, *, transposed: bool) -> _Rows:
        """Return the rows of kept columns, those at either end of segments, and those behind, which are empty."""
        layout, n = self.layout, self.n
        dl, d, du = self.natural
        link_rows, link_columns, values = self.links
        if transposed:
            dl, du = du, dl
            link_rows, link_columns = link_columns, link_rows
        there = layout.sizes > 0
        starts, sizes = layout.starts[there], layout.sizes[there]
        rows = np.concatenate((layout.kept, starts, (starts + sizes - 1)[sizes > 1]))
        # Ends of links are kept, and these come first.
        found = [np.searchsorted(layout.kept, link_rows)]
        columns = [link_columns]
        entries = [values]
        for shift, diagonal, offset in ((-1, dl, 0), (0, d, 0), (1, du, 1)):
            inside = (rows + shift >= 0) & (rows + shift < n)
            found.append(np.flatnonzero(inside))
            columns.append(rows[inside] + shift)
            entries.append(diagonal[rows[inside] + offset])
        row = np.concatenate(found)
        order = np.argsort(row, kind="stable")
        behind = layout.places(starts) + LANES * sizes
        begins = np.searchsorted(row[order], np.arange(rows.size + 1))
        return _Rows(
            np.concatenate((layout.places(rows), behind)),
            np.concatenate((begins, np.full(behind.size, row.size))),
            layout.places(np.concatenate(columns)[order]),
            np.concatenate(entries)[order],
        )

    def subtract_product(
        self, transposed: bool, b: Array, x: Array, high: Array, *, x_low: Array = _NONE, low: Array = _NONE
    ) -> None:
        """Put b - A x, or with the transpose, into ``high + low``; see `lane_vectors.subtract_product`."""
        layout = self.layout

        def piece(first: int, last: int) -> None:
            lane_vectors.subtract_product(
                self.dl, self.d, self.du, layout.bases, first, last, transposed, b, x, x_low, high, low
            )

        run_ranges(piece, layout.groups)
        high[layout.first_kept + layout.kept.size :] = 0.0
        low[layout.first_kept + layout.kept.size :] = 0.0
        special = self._special[transposed]
        lane_vectors.subtract_product_in_rows(
            special.places, special.begins, special.columns, special.values, b, x, x_low, high, low
        )

    def repeated(self, numbers: Array, x: Array) -> None:
        """Fill a vector in lanes with the same numbers, a multiple of 8, again and again."""
        layout = self.layout

        def piece(first: int, last: int) -> None:
            lane_vectors.repeat(numbers, layout.bases, layout.sizes, first, last, x)

        run_ranges(piece, layout.groups)
        x[layout.first_kept :] = 0.0
        x[layout.first_kept : layout.first_kept + layout.kept.size] = np.resize(numbers, layout.kept.size)

    def brought_in(self, b: Array) -> Array:
        """Return a vector, (reach,) with anything behind the n-th number, in lanes."""
        layout = self.layout
        x = np.empty(layout.size)

        def piece(first: int, last: int) -> None:
            lane_vectors.bring_in(b, 0, layout.starts, layout.bases, layout.sizes, first, last, 0, x)

        run_ranges(piece, layout.groups)
        x[layout.first_kept :] = 0.0
        x[layout.first_kept : layout.first_kept + layout.kept.size] = b[layout.kept]
        return x

    def taken_out(self, x: Array) -> Array:
        """Return a vector in lanes as it was, (n,)."""
        layout = self.layout
        result = np.empty(self.n)

        def piece(first: int, last: int) -> None:
            lane_vectors.take_out(x, layout.starts, layout.bases, layout.sizes, first, last, result)

        run_ranges(piece, layout.groups)
        result[layout.kept] = x[layout.first_kept : layout.first_kept + layout.kept.size]
        return result


class GramLanes:
    """R of (A; tau I), and the determinant of the R that another tau gives.

    Attributes
    ----------
    logarithms : tuple of float
        Of the determinants of R with the first and with the second tau; not finite where numbers left the range.
    """

    def __init__(self, matrix: ChainInLanes, taus: tuple[float, float]) -> None:
        layout = self._layout = matrix.layout
        self._neighbours = layout.neighbours()
        self._places = np.nonzero(self._neighbours >= 0)
        segments = layout.sizes.size
        # What is behind a segment is never written, but multiplied with zeros.
        self._r = np.empty(kernels.FIELDS * layout.first_kept)
        left_over = np.empty((2, segments, kernels.STATE))
        ridges = np.square(taus)
        begins = self._begins(matrix)

        def piece(first: int, last: int) -> None:
            kernels.factor(
                matrix.dl, matrix.d, matrix.du, layout.bases, layout.sizes, first, last,
                begins, ridges, np.ones(LANES), self._r, left_over,
            )  # fmt: skip

        run_ranges(piece, layout.groups)
        logarithms = []
        with np.errstate(all="ignore"):
            for tau, left in zip(taus, left_over, strict=True):
                reduced = self._reduced(matrix, left, tau)
                if not np.isfinite(reduced).all():
                    self.logarithms = (math.nan, math.nan)
                    return
                triangle = np.linalg.qr(reduced, mode="r")
                there = layout.sizes > 0
                product, power = left[there, -2], left[there, -1]
                total = 0.5 * float(np.log(product).sum() + math.log(2.0) * power.sum())
                logarithms.append(total + float(np.log(np.abs(np.diag(triangle))).sum()))
                if len(logarithms) == 1:
                    self._triangle = np.ascontiguousarray(triangle)
        self.logarithms = (logarithms[0], logarithms[1])

    def _begins(self, matrix: ChainInLanes) -> Array:
        """Return the two rows that segments begin with, rotated so that the second begins one column later."""
        starts = self._layout.starts
        dl, d, du = matrix.natural
        inner = starts > 0
        above = np.where(inner, du[starts], 0.0)
        above[np.abs(above) < _LEAST] = _LEAST
        outer = np.where(inner, dl[np.maximum(starts - 1, 0)], 0.0)
        here = np.where(inner, d[np.maximum(starts - 1, 0)], 0.0)
        below = np.where(inner, dl[starts], 0.0)
        beside = du[starts + 1].copy()
        beside[np.abs(beside) < _LEAST] = _LEAST
        weight = above * above + d[starts] * d[starts]
        return np.stack(
            (
                weight,
                d[starts] * beside / weight,
                above * outer / weight,
                (above * here + d[starts] * below) / weight,
                1.0 / weight,
                above * beside,
                -d[starts] * outer,
                above * below - d[starts] * here,
            )
        )

    def _reduced(self, matrix: ChainInLanes, left: Array, tau: float) -> Array:
        """Return the rows that segments leave over, those of kept columns alone, and the ridge's."""
        layout, n = self._layout, matrix.n
        dl, d, du = matrix.natural
        kept = layout.kept
        size = kept.size
        there = np.flatnonzero(layout.sizes > 0)
        ends = layout.starts[there] + layout.sizes[there]
        own = np.setdiff1d(kept, np.concatenate((layout.starts[there] - 1, ends)))
        p, b, w1, w2, q, c, v1, v2, g, g2, h = left.T[:11]
        p, q, g, h = (np.sqrt(weight) for weight in (p, q, g, h))
        zero = np.zeros_like(p)
        rows = np.array(((p, p * b, p * w1, p * w2), (zero, q * c, q * v1, q * v2), (zero, zero, g, g * g2),
                         (zero, zero, zero, h)))  # fmt: skip
        count = left.shape[0]
        reduced = np.zeros((4 * count + own.size + size, size))
        segment, column = self._places
        for row in range(4):
            reduced[4 * segment + row, self._neighbours[segment, column]] = rows[row, column, segment]
        place = np.searchsorted(kept, own)
        number = np.arange(4 * count, 4 * count + own.size)
        reduced[number, place] = d[own]
        # Their neighbours are kept too.
        after, before = own < n - 1, own > 0
        reduced[number[after], place[after] + 1] = du[own[after] + 1]
        reduced[number[before], place[before] - 1] = dl[own[before]]
        rows_, columns, values = matrix.links
        reduced[number[np.searchsorted(own, rows_)], np.searchsorted(kept, columns)] = values
        reduced[4 * count + own.size :] = tau * np.eye(size)
        return reduced

    def solve(self, rows: Array) -> None:
        """Replace vectors in lanes, one or two rows, by their products with the inverse of A' A + tau^2 I."""
        layout, width, xs = self._layout, rows.shape[0], tuple(rows)
        left_over = np.empty((layout.sizes.size, 4, width))

        def down(first: int, last: int) -> None:
            kernels.solve_transposed(self._r, layout.bases, layout.sizes, first, last, xs, np.empty(LANES), left_over)

        run_ranges(down, layout.groups)
        span = slice(layout.first_kept, layout.first_kept + layout.kept.size)
        right = np.zeros((layout.kept.size + 1, width))
        for k, x in enumerate(xs):
            right[:-1, k] = x[span]
        segment, column = self._places
        np.subtract.at(right, self._neighbours[segment, column], left_over[segment, column])
        small_basis.solve_triangle_transposed(self._triangle, right[:-1])
        small_basis.solve_triangle(self._triangle, right[:-1])
        for k, x in enumerate(xs):
            x[span] = right[:-1, k]
        # The last one is zero, which -1 finds.
        ends = right[self._neighbours]

        def up(first: int, last: int) -> None:
            kernels.solve(self._r, layout.bases, layout.sizes, first, last, xs, np.empty(LANES), ends)

        run_ranges(up, layout.groups)
