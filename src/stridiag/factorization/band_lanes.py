"""Long narrow bands: orthogonal condensation of many segments at a time, nothing of the size of the matrix stored."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import band_lanes as kernels
from stridiag._kernels import band_lu
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES
from stridiag.factorization.band import BandLU
from stridiag.factorization.condition import probe
from stridiag.factorization.decomposition import spares
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.survey import survey
from stridiag.planning.band import BandLayout
from stridiag.planning.band_lanes import LaneBand
from stridiag.planning.chain import ChainLayout

__all__ = ["SIDES", "LaneBandQR", "Lanes", "is_finite", "rows_from_chains", "rows_to_chains"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# What the growth of the reduced LU may be: that of four sub-diagonals, whatever the values (Bohte 1975).
_MILD_GROWTH = 116.0

SIDES = 8
"""Right-hand sides that are solved for at once; for more than these, stored factors take less time."""

# A group of segments takes some 30 microseconds.
_GRAIN = 2


class Lanes:
    """Segments of a band that are eliminated many at a time.

    Parameters
    ----------
    lower, width : int
        l and w = l + u.
    flat, base : ndarray
        See `stridiag._kernels.band_lanes`.
    starts, lengths, places : ndarray of int64, (segments,)
        First columns, lengths, and indices, among the kept columns, of the first column to the right.
    """

    def __init__(
        self, lower: int, width: int, flat: Array, base: Index, starts: Index, lengths: Index, places: Index
    ) -> None:
        self.lower, self.width, self.places = lower, width, places
        self._flat, self._base = flat, base
        # Two vectors: the one computes while the other waits.
        self._lanes = (0,) * (2 * BYTES // flat.itemsize)
        more = -starts.size % len(self._lanes)
        self._starts, self._lengths = (np.concatenate((part, np.repeat(part[-1:], more))) for part in (starts, lengths))
        self._groups = self._starts.size // len(self._lanes)

    def eliminate(self, x: Array | None = None) -> tuple[Array, Array, Array, bool]:
        """Return `leftover`, `entering` and `carried` of `kernels.condense`, and whether the numbers are in range."""
        count, w = self._starts.size, self.width
        dtype = self._flat.dtype
        leftover = np.empty((count, w, 2 * w), dtype)
        entering = np.empty((count, w + 1), dtype)
        extent = np.empty((count, 2), dtype)
        carried = self._condense(np.empty((0, 1), dtype) if x is None else x, leftover, entering, extent)
        # Squares within these bounds, and their sums, have lost nothing. NaN is not within.
        low, high = (1e-28, 1e28) if dtype == np.float32 else (1e-280, 1e280)
        fine = bool(extent[:, 0].min() > low and extent[:, 1].max() < high)
        own = self.places.size
        return leftover[:own], entering[:own], carried, fine

    def carry(self, x: Array) -> Array:
        """Return what becomes of right-hand sides, (r, n), in the leftover rows: (segments, r, w)."""
        none = np.empty((0, self.width, 2 * self.width), x.dtype)
        return self._condense(x, none, none[:, 0], none[:, 0])

    def _condense(self, x: Array, leftover: Array, entering: Array, extent: Array) -> Array:
        lanes, w = self._lanes, self.width
        carried = np.empty((self._starts.size, x.shape[0], w), x.dtype)
        given = (self._flat, self._base, self._starts, self._lengths)

        def some(first: int, last: int) -> None:
            work = _aligned(kernels.condense_size(w, x.shape[0], len(lanes)), x.dtype)
            fill = w if leftover.size else 0
            out = (leftover, entering, carried, extent, work)
            kernels.condense((0,) * w, lanes, self.lower, fill, *given, first, last, x, *out)

        run_ranges(some, self._groups, grain=_GRAIN)
        return carried

    def gather(self, x: Array, carried: Array, kept: Index, own: Index) -> Array:
        """Return the right-hand sides of the reduced system, (k, r)."""
        c = np.empty((kept.size, x.shape[0]), x.dtype)
        c[own] = x[:, kept[own]].T
        rows = (self.places - (self.width - self.lower))[:, None] + np.arange(self.width)
        c[rows] = carried[: self.places.size].swapaxes(1, 2)
        return c

    def place(self, z: Array, x: Array) -> Array:
        """Subtract what the kept unknowns `z`, (k, r), give from the left; return those to the right of segments."""
        right = np.empty((self._starts.size, x.shape[0], self.width), x.dtype)
        kernels.place_known(self.lower, self.width, self._flat, self._base, self._starts, self.places, z, x, right)
        return right

    def substitute(self, x: Array, right: Array) -> None:
        """Overwrite the interior columns of `x`, (r, n), with the solutions."""
        lanes, w = self._lanes, self.width
        longest = int(self._lengths.max())
        given = (self._flat, self._base, self._starts, self._lengths)

        def some(first: int, last: int) -> None:
            work = _aligned(kernels.substitute_size(w, x.shape[0], len(lanes), longest), x.dtype)
            kernels.substitute((0,) * w, lanes, self.lower, *given, first, last, x, right, work)

        run_ranges(some, self._groups, grain=_GRAIN)


class _Side:
    """A band, or its transpose, condensed; with right-hand sides `x`, (r, n), that are carried along, if any."""

    def __init__(self, band: LaneBand, flat: Array, base: Index, x: Array | None = None) -> None:
        self._band = band
        w = band.width
        self._lanes = Lanes(band.lower, w, flat, base, *band.segments)
        leftover, _, self.carried, fine = self._lanes.eliminate(x)
        kept = band.columns.size
        rows = np.zeros((kept, 3 * w - 1), flat.dtype)
        place, row, entry = band.own_entries
        there = base[entry] != kernels.ABSENT
        rows.ravel()[place[there]] = flat[base[entry[there]] + row[there]]
        kernels.reduced_band(band.lower, w, self._lanes.places, leftover, rows)
        largest = float(np.abs(rows).max(initial=0.0))
        self.factors = (rows, np.zeros((kept, band.lower + w - 1), flat.dtype), np.empty(kept, np.uint8))
        info = band_lu.factor(*self.factors, 0, -1)
        # Accepts the good, so that NaN is not.
        self.trusted = info < 0 and fine and float(np.abs(rows).max(initial=0.0)) <= _MILD_GROWTH * largest

    def solve(self, x: Array, carried: Array | None = None) -> None:
        """Overwrite right-hand sides in class order, (r, n), with the solutions."""
        band, lanes = self._band, self._lanes
        z = lanes.gather(x, lanes.carry(x) if carried is None else carried, band.columns, band.own)
        band_lu.solve(*self.factors, z)
        lanes.substitute(x, lanes.place(z, x))
        x[:, band.columns] = z.T


class LaneBandQR:
    """A long narrow band of real numbers, condensed; what it does not do itself is left to an LU made when needed."""

    name = "orthogonal condensation of a band"

    def __init__(self, layout: BandLayout, values: Array, band: LaneBand, x: Array | None = None) -> None:
        self.singularity: Singularity | None = None
        self._size: float | None = None
        self._probed: Array | None = None
        self._layout, self._values, self._band = layout, values, band
        self._flat, self._base = band.diagonals(values)
        self.direct = _Side(band, self._flat, self._base, x)
        self._adjoint: _Side | None = None

    @classmethod
    def of(cls, layout: BandLayout, values: Array) -> Self | None:
        """Return it for a band that it serves; None for others, and where its numbers cannot be believed."""
        band = layout.lanes
        if band is None or values.dtype.kind == "c":
            return None
        made = cls(layout, values, band)
        return made if made.direct.trusted else None

    @classmethod
    def factor_and_solve(cls, layout: BandLayout, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.single.SolvesAtOnce`; the probe is solved with the matrix, not its adjoint.

        Entry i of :math:`A^{-1} z` is about as large as the 2-norm of row i of the inverse, which none of its entries
        exceeds. So no column has a larger 1-norm than the sum of them all, and that sum over the square root of n is
        returned: the caller multiplies by the square root.
        """
        band = layout.lanes
        if band is None:
            return None
        both = np.empty((2, b.size), b.dtype)
        for side, right in zip(both, (b, probe(b.size, b.dtype)), strict=True):
            side[:] = band.chain.to_chains(right)
        made = cls(layout, values, band, both)
        if not made.direct.trusted:
            return None
        made.direct.solve(both, made.direct.carried)
        x = band.chain.from_chains(both[0].copy() if band.chain.stride == 1 else both[0])
        made._probed = band.chain.from_chains(both[1])
        made._size = float(np.abs(made._probed).sum())
        return (made, x, made._size / math.sqrt(b.size)) if is_finite(x) else None

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`, and `factor_and_solve` for the reason."""
        if self._size is None:
            self._probed = self.solve_rows(probe(self._layout.n, self._values.dtype)[None].copy())[0]
            self._size = float(np.abs(self._probed).sum())
        return 100.0 * self._size

    def take_probe(self) -> Array | None:
        """See `stridiag.factorization.condition_bounds.KeepsProbe`."""
        probed, self._probed = self._probed, None
        return probed

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        x = self.solve_rows(b[None].copy())[0]
        return x if is_finite(x) else None

    @cached_property
    def _stored(self) -> BandLU:
        return BandLU(self._layout, self._values)

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`: where what is stored does."""
        return columns > SIDES and not adjoint and spares(self._stored, columns, adjoint=adjoint)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if not 0 < b.shape[1] <= SIDES:
            return self._stored.solve(b, adjoint=adjoint)
        found = self.solve_rows(np.ascontiguousarray(b.T), adjoint=adjoint)
        return np.ascontiguousarray(found.T)

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.decomposition.SolvesRows`."""
        chain, carried = self._band.chain, None
        x = rows_to_chains(chain, x)
        if adjoint and self._adjoint is None:
            # What is solved for first is carried along.
            base = self._band.transposed_base(self._base)
            self._adjoint = _Side(self._band.transposed, self._flat, base, x)
            carried = self._adjoint.carried
        side = self._adjoint if adjoint and self._adjoint is not None else self.direct
        if not side.trusted:
            stored = self._stored.solve(np.ascontiguousarray(rows_from_chains(chain, x).T), adjoint=adjoint)
            return np.ascontiguousarray(stored.T)
        side.solve(x, carried)
        return rows_from_chains(chain, x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        return self._stored.multiply(x)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return self._stored.slogdet()

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return self._stored.inverse_diagonal()

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        return self._stored.inverse_on_pattern(transpose=transpose)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: those of the LU."""
        return self._stored.factors()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in self.direct.factors)


def rows_to_chains(chain: ChainLayout, x: Array) -> Array:
    """Return the rows of `x`, (r, n), in chain order; a copy if that differs."""
    return x if chain.stride == 1 else np.stack([chain.to_chains(row) for row in x])


def rows_from_chains(chain: ChainLayout, x: Array) -> Array:
    """Return the rows of `x`, (r, n), in the original order; a copy if that differs."""
    return x if chain.stride == 1 else np.stack([chain.from_chains(row) for row in x])


def is_finite(x: Array) -> bool:
    """Return whether all numbers of a vector, C-contiguous and real, are finite."""
    found = survey(x)
    return found is not None and found.largest < math.inf


def _aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """Return zeros, from a cache line on: lanes that wait read what stands there, and must find numbers."""
    room = np.zeros(size + BYTES // dtype.itemsize, dtype)
    shift = -room.ctypes.data % BYTES // dtype.itemsize
    return room[shift : shift + size]
