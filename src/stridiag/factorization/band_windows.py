"""Long narrow bands that are dominated by their diagonal, solved in one pass: see `stridiag._kernels.band_windows`.

An offer for one solution of what is ordinary, as `stridiag.factorization.chain_windows` is for chains. Where the matrix
does not decay fast enough, a pivot cannot be trusted, or windows do not agree, nothing is returned, and the caller goes
the general way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import band_window_checks as checks
from stridiag._kernels import band_windows as kernels
from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import ROWS, group_size
from stridiag._kernels.shared_units import Units, new_units
from stridiag._kernels.threads import run_shared
from stridiag._results import unfilled
from stridiag.factorization import chain_windows
from stridiag.factorization.chain_windows import AGREED, SHRUNK, mostly_zero, settled
from stridiag.factorization.condition import probe
from stridiag.planning.two_ended_band import TwoEndedBand

__all__ = ["BandWindows"]

Array = NDArray[Any]

_DOUBLE = np.dtype(np.float64)
_SIZE = group_size(_DOUBLE)
_EPS = float(np.finfo(_DOUBLE).eps)

# Rows that are looked at to choose a margin, how much wider it is than any of these needs, and what is too wide.
_LOOKED_AT, _SPARE, _WIDEST = 512, 1.25, 192
# Vectors that the pivot rows of half a group may have, so that those of a group take 400 kB: they stay in a common
# cache of the second level.
_ROOM = 3200
# Groups that are worth a thread of their own: decision 0043.
_GRAIN = 3


class BandWindows:
    """A narrow band without links.

    Parameters
    ----------
    band : TwoEndedBand
    values : ndarray of float64, (nnz,)
        By slot.
    flat, base : ndarray
        What `TwoEndedBand.diagonals` made of them.
    margin : int
        Rows that a window has more than its piece, at either end.
    """

    def __init__(self, band: TwoEndedBand, flat: Array, base: Array, margin: int) -> None:
        self._band, self._base = band, base
        self._margin = margin
        present = tuple(None if place == ABSENT else 0 for place in base.tolist())
        self._given = (flat, base, (0,) * band.lower, (0,) * band.upper, present)
        longest = max(_ROOM // (band.upper + 2) - margin, 2 * margin)
        count = max(round(band.n / (_SIZE * longest)), 1)
        self._piece = -(-band.n // (_SIZE * count * ROWS)) * ROWS
        self._groups = -(-band.n // (_SIZE * self._piece))

    @classmethod
    def of(cls, band: TwoEndedBand, values: Array) -> Self | None:
        """Return them for values, (nnz,), by slot; None unless the first rows promise well."""
        if not COMPILES or values.dtype != _DOUBLE or band.n < chain_windows.SHORTEST:
            return None
        flat, base = band.diagonals(values)
        flat = frozen(flat)
        far = _SPARE * checks.reach(flat, base, band.lower, band.n, _LOOKED_AT, SHRUNK)
        margin = math.ceil(far / ROWS) * ROWS
        return cls(band, flat, base, margin) if margin <= _WIDEST else None

    def solve(self, b: Array, x: Array) -> tuple[float, float] | None:
        """Put the solution for `b`, (n,), into `x`.

        Returns
        -------
        tuple or None
            The largest magnitude of an entry of the matrix, and the 2-norm of the solution for a random right-hand side
            of unit variance. None, and `x` means nothing, where another way has to be gone.
        """
        if mostly_zero(b):
            return None
        chain = self._band.chain
        if chain.stride == 1:
            return self._solve_in_order(frozen(b), x)
        y = unfilled(b.shape, _DOUBLE)
        found = self._solve_in_order(frozen(chain.to_chains(b)), y)
        x[:] = chain.from_chains(y)
        return found

    def _solve_in_order(self, b: Array, x: Array) -> tuple[float, float] | None:
        borders = np.empty((self._groups, self._band.width, _SIZE))
        largest, squares = np.empty((2, self._groups))
        made = x, borders, largest, squares
        run_shared(self._solver(b, self._margin, made), self._groups, grain=_GRAIN)
        # Accepts the good, so that NaN does not.
        if not squares.sum() < math.inf:
            return None
        flat, base, lower = self._given[0], self._base, self._band.lower

        def disagreeing(found: Array) -> int:
            return checks.disagreeing(flat, base, lower, self._piece, x, borders, AGREED * _EPS, found)

        solve = self._solver(b, 2 * self._margin, made)
        if not settled(disagreeing, lambda group: solve(new_units(group, group + 1), False), self._groups):
            return None
        return float(largest.max()), math.sqrt(squares.sum())

    def _solver(self, b: Array, margin: int, made: tuple[Array, ...]) -> Callable[[Units, bool], None]:
        """Return what solves the windows of groups that threads share."""
        numbers = probe(self._piece + 2 * margin, _DOUBLE)

        def run(units: Units, from_end: bool) -> None:
            kernels.solve_windows(*self._given, (0, 0), b, numbers, self._piece, margin, units, from_end, *made)

        return run
