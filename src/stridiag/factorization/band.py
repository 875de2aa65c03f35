"""Bands: LU with partial pivoting, by compiled kernels or by LAPACK, and rotations where its numbers grow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._kernels import band_columns, band_lu
from stridiag._kernels.threads import run_ranges
from stridiag._results import aligned, fresh
from stridiag.factorization.columns import TILE, reaches, serve, shows_finite, straight, units
from stridiag.factorization.corrected import ACCURATE, Corrected
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Elementary, Permutation, columns_of_triangle
from stridiag.factorization.guard import check_solves
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.panels import panel_start, writes_panels
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.planning.band import BandLayout

if TYPE_CHECKING:
    from stridiag.planning.compressed import CompressedColumns
    from stridiag.planning.sparse import SparseAnalysis

__all__ = ["MILD_GROWTH", "TAME_GROWTH", "BandLU", "believed_or_rotated", "factor_band"]

Array = NDArray[Any]

TAME_GROWTH = 4.0
"""What growth is at most on ordinary matrices: solutions are left as they are."""

MILD_GROWTH = 116.0
"""What the growth is at most where there are four sub-diagonals: LU is accepted without a look at solutions."""

# From this order on the kernels made for one pair of widths are worth their compilation, a few seconds once.
_NARROW_ORDER = 10_000
_NARROW_WIDTH = 12
# Width of U up to which the rows of a stretch of columns that a step needs stay in registers.
_REGISTERS = 7
# Rows that are solved for from one stored state: their right-hand sides stay in the first cache.
_BLOCK = 64
# Width of U up to which it costs little to find out how soon solutions forget: an operation for each entry of U.
_FORGETFUL_WIDTH = 16
# Entries of an inverse that take some 30 microseconds to write.
_GRAIN = 1 << 15


def factor_band(layout: BandLayout, values: Array) -> Decomposition:
    """Factor a band by LU if that can be believed, by rotations otherwise: see `believed_or_rotated`.

    Parameters
    ----------
    layout : BandLayout
    values : ndarray, (nnz,)
        By slot.

    Returns
    -------
    BandLU or SparseQR

    Raises
    ------
    SizeLimitError
        If LU failed, and rotations would need more than `stridiag.factorization.sparse_qr.MAX_FILL_BYTES`.
    """
    lu = BandLU(layout, values)
    return lu if layout.stable else believed_or_rotated(lu, layout, values)


class _Believable(Decomposition, Protocol):
    """LU with partial pivoting that knows the magnitude of the largest entry of U."""

    @property
    def largest(self) -> float: ...


class _WithWayOut(Protocol):
    """A layout that knows what the check and rotations take."""

    @property
    def compressed(self) -> CompressedColumns: ...

    @property
    def analysis(self) -> SparseAnalysis: ...


def believed_or_rotated(lu: _Believable, layout: _WithWayOut, values: Array) -> Decomposition:
    """Return `lu`, of a matrix with these `values`, if it can be believed, or else a factorization by rotations.

    Up to `BandLayout.stable` LU can, by a theorem. Beyond, growth decides: LU solves a problem within the rounding
    errors of :math:`|L| |U|`, and the entries of L are at most one. If growth is more than mild, two solves are
    checked, as `stridiag.factorization.guard` describes. What is believed although numbers grew corrects its
    solutions: see `stridiag.factorization.corrected`, and that this suffices is checked too.
    """
    size = np.abs(values).max(initial=0.0)
    # Accepts the good, so that NaN is looked at more closely.
    if lu.largest <= TAME_GROWTH * size:
        return lu
    matrix = layout.compressed.fill(values)
    if lu.largest <= MILD_GROWTH * size:
        return Corrected(lu, matrix)
    # Where numbers grow, a pivot that is zero proves nothing.
    if lu.singularity is None and check_solves(lu, matrix).passed:
        corrected = Corrected(lu, matrix)
        # Not where the matrix is so ill-conditioned that corrections are worth nothing.
        if check_solves(corrected, matrix).error <= ACCURATE * float(np.finfo(values.dtype).eps):
            return corrected
    qr = SparseQR(matrix, layout.analysis)
    if lu.singularity is not None and qr.singularity is None:
        check = check_solves(qr, matrix)
        if check.nearly_singular:
            qr.singularity = Singularity(column=check.column)
    # Stable, but of thousands of rotations in a row.
    return Corrected(qr, matrix)


class BandLU:
    """LU of a band with partial pivoting, unguarded. See `stridiag._kernels.band_lu`.

    Parameters
    ----------
    layout : BandLayout
    values : ndarray, (nnz,)
        By slot.
    """

    name = "banded LU with partial pivoting"

    def __init__(self, layout: BandLayout, values: Array) -> None:
        self._layout = layout
        self._dtype = values.dtype
        self._widths: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self._lapack: tuple[Array, Array] | None = None
        if layout.compiled:
            info = self._factor_compiled(layout.rows(values))
        else:
            info = self._factor_lapack(layout.lapack(values))
        self.singularity = None if info < 0 else Singularity(row=layout.index(info))

    def _factor_compiled(self, rows: Array) -> int:
        layout = self._layout
        lower = np.empty((layout.n, layout.lower), self._dtype)
        # The last rows have no candidates below them; what stands there is never read, but it is stored.
        lower[max(layout.n - layout.lower, 0) :] = 0
        self._rows = (rows, lower, np.empty(layout.n, layout.pivot_type))
        narrow = layout.lower > 0 and layout.stable and layout.width <= _NARROW_WIDTH and layout.n >= _NARROW_ORDER
        if not narrow:
            return band_lu.factor(*self._rows, 0, -1)
        from stridiag._kernels import narrow_band

        self._widths = (0,) * layout.lower, (0,) * (layout.width - 1)
        return narrow_band.factor(*self._rows, *self._widths)

    def _factor_lapack(self, band: Array) -> int:
        from scipy.linalg import get_lapack_funcs

        functions: Any = get_lapack_funcs(("gbtrf", "gbtrs"), (band,))
        # The stubs do not know what these functions are.
        gbtrf, self._gbtrs = functions
        lu, pivots, info = gbtrf(band, self._layout.lower, self._layout.upper, overwrite_ab=1)
        self._lapack = lu, pivots
        return int(info) - 1

    @property
    def largest(self) -> float:
        """Magnitude of the largest entry of U."""
        upper = self._rows[0] if self._lapack is None else self._lapack[0][: self._layout.width]
        return float(np.abs(upper).max(initial=0.0))

    def _by_rows(self) -> tuple[Array, Array, Array]:
        """Return the factors as the compiled kernels have them; a copy where LAPACK made them."""
        if self._lapack is None:
            return self._rows
        lu, pivots = self._lapack
        n, kl, width = self._layout.n, self._layout.lower, self._layout.width
        rows = np.zeros((n, width), self._dtype)
        for k in range(min(width, n)):
            rows[: n - k, k] = lu[width - 1 - k, k:]
        lower = np.ascontiguousarray(lu[width:].T)
        for k in range(1, kl + 1):
            lower[max(n - k, 0) :, k - 1] = 0
        return rows, lower, (pivots - np.arange(n)).astype(self._layout.pivot_type)

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`."""
        ours = self._lapack is None and self.singularity is None and self._layout.n > 0
        return ours and not adjoint and serve(self._dtype, columns)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`; `stridiag._kernels.band_columns`."""
        layout, (n, m), b = self._layout, b.shape, frozen(b)
        x, order = fresh(b.shape, b.dtype), layout.original
        past, reach, (lower, width) = straight(x), self._reach, (layout.lower, layout.width)
        # What is carried along stays in registers, if there is room for it.
        widths = self._widths if self._widths is not None and width <= _REGISTERS else ((), ())

        def run(first: int, last: int) -> None:
            if reach is None:
                work = aligned((band_columns.room(n, _BLOCK, lower, width),), b.dtype)
                band_columns.solve_columns(*widths, *self._rows, order, b, x, past, _BLOCK, work, first, last)
            else:
                tile, farthest = min(TILE, n), int(reach.max())
                work = aligned((band_columns.room_at_once(tile, farthest, lower, width),), b.dtype)
                given = (*widths, *self._rows, order, b, x, past, TILE, reach, tile + farthest + lower)
                band_columns.solve_columns_at_once(*given, work, first, last)

        run_ranges(run, units(b.dtype, m))
        # Each pivot row is subtracted from the next one; where there are no multipliers, nothing shows.
        return x, lower > 0 and shows_finite(x[order[n - 1]])

    @cached_property
    def _reach(self) -> NDArray[np.int64] | None:
        rows, _, _ = self._rows
        if not 1 < rows.shape[1] <= _FORGETFUL_WIDTH:
            return None
        return reaches(rows.dtype, rows.shape[0], partial(band_columns.reaches, rows))

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.spares(b.shape[1], adjoint=adjoint):
            return self.solve_spared(b)[0]
        x = self._layout.to_band(b)
        if self._lapack is not None:
            lu, pivots = self._lapack
            if x.size:
                trans = (2 if self._dtype.kind == "c" else 1) if adjoint else 0
                x, _ = self._gbtrs(lu, self._layout.lower, self._layout.upper, x, pivots, trans=trans)
        elif adjoint:
            band_lu.solve_adjoint(*self._rows, x)
        elif self._widths is not None and x.shape[1] == 1:
            from stridiag._kernels import narrow_band

            narrow_band.solve(*self._rows, x, *self._widths)
        else:
            band_lu.solve(*self._rows, x)
        return self._layout.from_band(np.ascontiguousarray(x))

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = self._layout.to_band(x)
        band_lu.multiply(*self._by_rows(), y)
        return self._layout.from_band(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        if self._lapack is not None:
            lu, rows = self._lapack
            pivots, flips = lu[self._layout.width - 1], rows != np.arange(rows.size)
        else:
            pivots, flips = self._rows[0][:, 0], self._rows[2]
        return phase_and_log(np.ascontiguousarray(pivots), sign_of_flips(int(np.count_nonzero(flips))))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; in O(n width lower) operations."""
        layout = self._layout
        out = np.empty(layout.n, self._dtype)
        window = np.zeros((layout.width, layout.lower + 1), self._dtype)
        band_lu.inverse_diagonal(*self._by_rows(), window, out)
        if not np.isfinite(out).all():
            # A number in between may overflow although no entry asked for does.
            return diagonal_by_solves(self, layout.n, self._dtype)
        return layout.from_band(out)

    def write_inverse(self, out: Array) -> bool:
        """See `stridiag.factorization.inverse_entries.KnowsInverse`; in vectors, for the compiled factors."""
        if self._lapack is not None or not writes_panels(out):
            return False
        from stridiag._kernels.inverse_panels import WIDTH, band_panels
        from stridiag._kernels.threads import run_ranges

        n = self._layout.n
        begin, past = panel_start(out)
        order = self._layout.to_band(np.arange(n))
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)

        def fill(first: int, last: int) -> None:
            work = np.empty((n, WIDTH))
            band_panels(*self._rows, order, place, begin, past, first, last, work, out)

        run_ranges(fill, -(-(n - begin) // WIDTH), grain=max(1, _GRAIN // n), pieces_per_thread=4)
        return True

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; in O(n width upper) operations.

        None if a number overflows: one in between may, although no entry asked for does.
        """
        layout = self._layout
        found = np.zeros((layout.n, layout.width), self._dtype)
        window = np.zeros((layout.width, (layout.lower if transpose else layout.upper) + 1), self._dtype)
        band_lu.inverse_in_band(*self._by_rows(), transpose, window, found)
        rows, columns = (layout.positions(part) for part in layout.structure.coordinates())
        result: Array = found[rows, columns - rows + layout.lower]
        return result if np.isfinite(result).all() else None

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: a permutation, L by columns, D, U by columns, the order of the band.

        All interchanges are moved to the front, where they are one permutation with the order of the band.
        """
        from scipy.sparse import dia_array

        n = self._layout.n
        if n == 0:
            return []
        rows, lower, pivots = self._by_rows()
        # Backwards, an interchange at step i moves the multipliers of earlier steps: find where each row goes.
        places = np.arange(n)
        settled: list[NDArray[np.int64]] = []
        for i in range(n - 1, -1, -1):
            below = np.arange(i + 1, min(i + 1 + lower.shape[1], n))
            settled.append(places[below].copy())
            p = int(pivots[i])
            if p:
                places[i], places[i + p] = places[i + p], places[i]
        columns: list[SimpleFactor] = []
        for i, where in enumerate(reversed(settled)):
            kept = np.flatnonzero(lower[i, : where.size])
            if kept.size:
                columns.append(Elementary(n, i, where[kept], lower[i, kept]))
        width = min(self._layout.width, n)
        data = np.zeros((width, n), self._dtype)
        for k in range(width):
            data[k, k:] = rows[: n - k, k]
        upper: Any = dia_array((data, np.arange(width)), shape=(n, n)).tocsc()
        order = self._layout.to_band(np.arange(n))
        into = np.empty(n, np.int64)
        into[places] = np.arange(n)
        return [
            Permutation(order[into]).inverse(),
            *columns,
            *columns_of_triangle(upper, range(n - 1, -1, -1), divide="rows"),
            Permutation(order),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in (self._rows if self._lapack is None else self._lapack))
