"""Segments of long narrow bands, condensed many at a time, with nothing of the size of the matrix stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import band_lanes as kernels
from stridiag._kernels import band_replay
from stridiag._kernels.extremes import magnitudes
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES
from stridiag._results import aligned
from stridiag.factorization.survey import survey
from stridiag.planning.chain import ChainLayout

__all__ = ["Lanes", "Notes", "is_finite", "rows_from_chains", "rows_to_chains"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Notes = tuple[Index, Array, Array]

NOTED = 2_000_000
"""Columns up to which reflections are noted, 2 w + 2 numbers each: 200 megabytes for w = 5. Outside of caches too that
takes less time than eliminating anew, 0.6 of it at a million columns."""

# Numbers from which on several threads look whether they are finite.
_SHORT = 1 << 18

# Groups of segments that are worth a thread of their own, without notes and with them (decision 0032).
_GRAIN = 2
_NOTED_GRAIN = 15


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
        self._carried = False
        self._notes: Notes | None = None

    def eliminate(self, x: Array | None = None) -> tuple[Array, Array, Array, bool]:
        """Return `leftover`, `entering` and `carried` of `kernels.condense`, and whether the numbers are in range."""
        count, w = self._starts.size, self.width
        dtype = self._flat.dtype
        leftover = np.empty((count, w, 2 * w), dtype)
        entering = np.empty((count, w + 1), dtype)
        extent = np.empty((count, 2), dtype)
        carried = self._condense(np.empty((0, 1), dtype) if x is None else x, leftover, entering, extent)
        self._carried = x is not None
        # Squares within these bounds, and their sums, have lost nothing. NaN is not within.
        low, high = (1e-28, 1e28) if dtype == np.float32 else (1e-280, 1e280)
        fine = bool(extent[:, 0].min() > low and extent[:, 1].max() < high)
        own = self.places.size
        return leftover[:own], entering[:own], carried, fine

    def carry(self, x: Array) -> Array:
        """Return what becomes of right-hand sides, (r, n), in the leftover rows: (segments, r, w).

        Where right-hand sides have been carried before, what the segments' elimination is made of is noted.
        """
        notes = self._noted() if self._carried and x.shape[0] == 1 else None
        self._carried = True
        if notes is not None:
            return self.fold(frozen(x[0]), notes)
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

        run_ranges(some, self._groups, grain=_GRAIN, multiple=1)
        return carried

    def noted(
        self,
    ) -> tuple[tuple[int, ...], tuple[Array, Index, Index, Index, Index], Notes] | None:
        """Return lanes, segments and notes, as `stridiag._kernels.noted_band_solve` takes them.

        None before the first right-hand side, and where there are too many columns for notes.
        """
        notes = self._noted() if self._carried else None
        if notes is None:
            return None
        return self._lanes, (self._flat, self._base, self._starts, self._lengths, self.places), notes

    def _noted(self) -> Notes | None:
        if self._notes is None and self._lengths.sum() <= NOTED:
            lanes, w, kind = self._lanes, self.width, self._flat.dtype
            before = np.zeros(self._groups + 1, np.int64)
            np.cumsum(self._lengths.reshape(-1, len(lanes)).max(axis=1), out=before[1:])
            turns, pivots = (_aligned(int(before[-1]) * lines * len(lanes), kind) for lines in (w + 2, w))
            none = np.empty((0, 1), kind)
            given = (self._flat, self._base, self._starts, self._lengths)

            def some(first: int, last: int) -> None:
                work = _aligned(band_replay.note_size(w, len(lanes)), kind)
                out = (before, none, turns, pivots, work)
                band_replay.note((0,) * w, lanes, self.lower, *given, first, last, *out)

            run_ranges(some, self._groups, grain=_GRAIN, multiple=1)
            self._notes = before, turns, pivots
        return self._notes

    def fold(self, b: Array, notes: Notes) -> Array:
        """Return what becomes of a right-hand side, (n,), in the leftover rows: (segments, 1, w)."""
        lanes, w = self._lanes, self.width
        carried = np.empty((self._starts.size, 1, w), b.dtype)

        def some(first: int, last: int) -> None:
            work = aligned((band_replay.fold_size(w, len(lanes)),), b.dtype)
            given = (self._starts, self._lengths, first, last, *notes[:2], b, carried, work)
            band_replay.fold((0,) * w, lanes, self.lower, *given)

        run_ranges(some, self._groups, grain=_NOTED_GRAIN, multiple=1)
        return carried

    def unfold(self, b: Array, edges: Array, right: Array, x: Array, notes: Notes) -> None:
        """Fill the interior columns of `x`, (n,), as `band_replay.unfold` does."""
        lanes, w = self._lanes, self.width
        longest = int(self._lengths.max())

        def some(first: int, last: int) -> None:
            work = aligned((band_replay.unfold_size(w, len(lanes), longest),), x.dtype)
            given = (self._starts, self._lengths, first, last, *notes, b, edges, right, x, work)
            band_replay.unfold((0,) * w, lanes, self.lower, *given)

        run_ranges(some, self._groups, grain=_NOTED_GRAIN, multiple=1)

    @property
    def nbytes(self) -> int:
        """Bytes of the notes, if there are any."""
        return 0 if self._notes is None else sum(part.nbytes for part in self._notes)

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
        if self._notes is not None and x.shape[0] == 1:
            side, last = x[0], self._starts + self._lengths - 1 + self.lower
            tops = (self._starts - (self.width - self.lower))[:, None] + np.arange(self.width)
            edges = side[np.column_stack((tops, last))]
            self.unfold(frozen(side), edges, right, side, self._notes)
            return
        lanes, w = self._lanes, self.width
        longest = int(self._lengths.max())
        given = (self._flat, self._base, self._starts, self._lengths)

        def some(first: int, last: int) -> None:
            work = _aligned(kernels.substitute_size(w, x.shape[0], len(lanes), longest), x.dtype)
            kernels.substitute((0,) * w, lanes, self.lower, *given, first, last, x, right, work)

        run_ranges(some, self._groups, grain=_GRAIN, multiple=1)


def rows_to_chains(chain: ChainLayout, x: Array) -> Array:
    """Return the rows of `x`, (r, n), in chain order; a copy if that differs."""
    return x if chain.stride == 1 else np.stack([chain.to_chains(row) for row in x])


def rows_from_chains(chain: ChainLayout, x: Array) -> Array:
    """Return the rows of `x`, (r, n), in the original order; a copy if that differs."""
    return x if chain.stride == 1 else np.stack([chain.from_chains(row) for row in x])


def is_finite(x: Array) -> bool:
    """Return whether all numbers of a vector, C-contiguous and real, are finite."""
    if x.dtype == np.float64 and x.size < _SHORT:
        # In one call, which for so few takes longer than looking does.
        return bool(magnitudes(x)[0] < math.inf)
    found = survey(x)
    return found is not None and found.largest < math.inf


def _aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """Return zeros, from a cache line on: lanes that wait read what stands there, and must find numbers."""
    return aligned((size,), dtype, np.zeros)
