"""Narrow bands: LU from both ends at once. What it does not do itself is left to an LU from one end, when needed."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._kernels import band_lu, two_ended_lu, two_ended_near
from stridiag._kernels import two_ended_solve as kernels
from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.threads import run_ranges
from stridiag._recycled import recycled
from stridiag._results import unfilled
from stridiag.factorization.band import BandLU
from stridiag.factorization.band_lanes import is_finite, rows_from_chains, rows_to_chains
from stridiag.factorization.band_windows import BandWindows
from stridiag.factorization.beside import SolvesFewSides
from stridiag.factorization.probing import Probed, beside_probes, split
from stridiag.factorization.singularity import Singularity
from stridiag.planning.band import BandLayout
from stridiag.planning.two_ended_band import TwoEndedBand

__all__ = ["TwoEndedLU"]

Array = NDArray[Any]

# Rows from which on each end has a thread of its own. Below, the ends take turns on one: what waits for no memory
# takes hardly longer so than one end alone, and a second thread loses where it is far away.
_FACTOR_ROWS = 150_000
# Solutions wait for memory before they are worth a second thread, which gains little then, and loses a third where it
# comes late: the ends do not take turns.
_SOLVE_ROWS = 2_000_000


class TwoEndedLU(Probed, SolvesFewSides):
    """LU with partial pivoting of a narrow band of real numbers. See `stridiag._kernels.two_ended_lu`."""

    name = BandLU.name

    def __init__(self, layout: BandLayout, values: Array, band: TwoEndedBand, sides: Array | None = None) -> None:
        self.singularity: Singularity | None = None
        self._layout, self._band = layout, band
        self._n, self._kind = band.n, values.dtype
        lower, upper, w = band.lower, band.upper, band.width
        kind = values.dtype
        self._widths = ((0,) * upper, (0,) * lower)
        self._top, self._bottom = (
            (_with_margin(steps, w + 1, kind), recycled((steps, below), kind), recycled(steps, np.uint8))
            for steps, below in zip(band.steps, (lower, upper), strict=True)
        )
        self._core = (np.empty((w, 2 * w - 1), kind), np.empty((w, w - 1), kind), np.empty(w, np.uint8))
        self._factor(values, np.empty((0, band.n), kind) if sides is None else sides)

    def _factor(self, values: Array, sides: Array) -> None:
        """Factor, and do the first half of a solution to right-hand sides in class order, (r, n), if there is room."""
        self._values = values
        band, w = self._band, self._band.width
        flat, base = band.diagonals(values)
        present = tuple(None if place == ABSENT else 0 for place in base.tolist())
        given = (flat, base, two_ended_lu.turned_base(base, band.n), *self._widths, present)
        rests = (np.empty((band.lower, w + 1), values.dtype), np.empty((band.upper, w + 1), values.dtype))
        regular = np.empty(2, np.bool_)
        if sides.shape[0] > two_ended_lu.room_for(values.itemsize, w):
            sides = sides[:0]
        self._carried = np.empty((sides.shape[0], w), values.dtype)
        along = ((0,) * sides.shape[0], sides.reshape(sides.size), self._carried)

        def some(first: int, last: int) -> None:
            two_ended_lu.factor(*given, self._top, self._bottom, first, last, rests, regular, along)

        self._run(some, _FACTOR_ROWS)
        # As a band as wide as it is long; the bottom end counts backwards.
        core = np.concatenate((rests[0][:, :w], rests[1][::-1, w - 1 :: -1]))
        rows = self._core[0]
        rows[:] = 0
        for i in range(w):
            rows[i, w - 1 - i : 2 * w - 1 - i] = core[i]
        info = band_lu.factor(*self._core, 0, -1)
        self.trusted = bool(regular.all()) and info < 0

    def _run(self, some: Any, rows: int) -> None:
        if self._band.n < rows:
            some(0, 2)
        else:
            run_ranges(some, 2)

    @classmethod
    def of(cls, layout: BandLayout, values: Array) -> Self | None:
        """Return it for a band that it serves; None for others, and where a pivot is zero."""
        band = layout.two_ended
        if band is None or values.dtype.kind == "c":
            return None
        made = cls(layout, values, band)
        return made if made.trusted else None

    @classmethod
    def factor_and_solve(cls, layout: BandLayout, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.single.SolvesAtOnce`; probes are solved with the matrix: `Probed` says why."""
        band = layout.two_ended
        if band is None or values.dtype.kind == "c":
            return None
        chain = band.chain
        sides = beside_probes(chain, b, 1)
        made = cls(layout, values, band, sides)
        if not made.trusted:
            return None
        made.solve_chains(sides, begun=True)
        x, probed = split(chain, sides)
        size = made._note(probed)
        return (made, x, size) if is_finite(x) else None

    @staticmethod
    def solve_once(layout: BandLayout, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
        """See `stridiag.factorization.single.SolvesOnce`; in windows, which store nothing."""
        band = layout.two_ended
        windows = None if band is None else BandWindows.of(band, values)
        found = None if windows is None else windows.solve(b, x)
        # No zero can be to blame for anything: all pivots have been looked at.
        return None if found is None else (found[0], found[0], found[1])

    def refill(self, values: Array) -> None:
        """See `stridiag.factorization.decomposition.Refillable`."""
        self.__dict__.pop("_stored", None)
        self._size = self._probed = None
        self._factor(values, np.empty((0, self._band.n), values.dtype))

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        chain = self._band.chain
        x = self.solve_chain(chain.to_chains(b))
        return None if x is None else chain.from_chains(x)

    def solve_chain(self, b: Array) -> Array | None:
        """Return the solution for a right-hand side in class order, (n,); None if it is not finite."""
        x = unfilled(b.shape, b.dtype)
        self._solve_pair(b, x, (0,))
        # Back substitution goes outwards, and what is not finite makes all that comes later so.
        return x if math.isfinite(x[0]) and math.isfinite(x[-1]) else None

    @cached_property
    def _stored(self) -> BandLU:
        return BandLU(self._layout, self._values)

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.decomposition.SolvesRows`."""
        chain = self._band.chain
        x = rows_to_chains(chain, x)
        if adjoint:
            for k in range(0, x.shape[0], 2):
                pair = x[k : k + 2]
                self._solve_pair_adjoint(pair.reshape(pair.size), (0,) * pair.shape[0])
        else:
            self.solve_chains(x)
        return rows_from_chains(chain, x)

    def solve_chains(self, x: Array, *, begun: bool = False) -> None:
        """Overwrite right-hand sides in class order, (r, n), with the solutions.

        `begun`: whether they are those that went along with the factorization, as far as there was room.
        """
        for k in range(0, x.shape[0], 2):
            pair = x[k : k + 2]
            sides = pair.reshape(pair.size)
            self._solve_pair(sides, sides, (0,) * pair.shape[0], self._carried[k : k + 2] if begun else None)

    def _solve_pair(self, b: Array, x: Array, sides: tuple[int, ...], carried: Array | None = None) -> None:
        """Put the solutions for one or two right-hand sides, in class order, one behind the other, into `x`.

        Which may be `b` itself. The first half is done where `carried`, (r, w), is what was left of them.
        """
        n, w, b = self._band.n, self._band.width, frozen(b)
        done = carried is not None and carried.size > 0
        core = carried if carried is not None and done else np.empty((len(sides), w), x.dtype)
        given = (*self._widths, sides, self._top, self._bottom)
        if n < _SOLVE_ROWS:
            kernels.solve(*given, self._core, n, done, b, x, core)
            return

        def forward(first: int, last: int) -> None:
            kernels.forward_substitute(*given, first, last, n, b, x, core)

        def back(first: int, last: int) -> None:
            kernels.back_substitute(*given, first, last, n, x, core)

        if not done:
            run_ranges(forward, 2)
        kernels.solve_core(self._core, self._band.steps[0], x, core)
        run_ranges(back, 2)

    def _solve_pair_adjoint(self, x: Array, sides: tuple[int, ...]) -> None:
        n, w = self._band.n, self._band.width
        parts = np.empty((2, len(sides), w), x.dtype)
        given = (*self._widths, sides, self._top, self._bottom)

        def forward(first: int, last: int) -> None:
            kernels.forward_substitute_adjoint(*given, first, last, n, x, parts)

        def back(first: int, last: int) -> None:
            kernels.back_substitute_adjoint(*given, first, last, n, x, core)

        self._run(forward, _SOLVE_ROWS)
        z = np.ascontiguousarray((parts[0] + parts[1]).T)
        band_lu.solve_adjoint(*self._core, z)
        core = np.ascontiguousarray(z.T)
        self._run(back, _SOLVE_ROWS)

    def solve_near_adjoint(self, b: Array, first: int) -> tuple[Array, int] | None:
        """See `stridiag.factorization.condition_bounds.SolvesNear`."""
        band, n, last = self._band, self._n, first + b.size
        above, below = self._widths
        if band.chain.stride > 1:
            return None
        x = unfilled((n,), b.dtype)
        x[:first] = x[last:] = 0
        x[first:last] = b
        like, small = (*below, *above), float(np.finfo(b.dtype).eps)
        if last <= band.steps[0]:
            begin, end = two_ended_near.solve_near_adjoint(below, like, self._top, 0, 1, x, first, last, small)
        elif n - first <= band.steps[1]:
            given = (above, like, self._bottom, n - 1, -1, x, n - last, n - first, small)
            end, begin = (n - row for row in two_ended_near.solve_near_adjoint(*given))
        else:
            return None
        return (x[begin:end], begin) if begin < end else None

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in (*self._top, *self._bottom, *self._core))


def _with_margin(steps: int, width: int, kind: np.dtype[Any]) -> Array:
    """Return room for rows, (steps, width), and behind it for what `two_ended_lu.factor` overwrites."""
    return recycled(steps * width + two_ended_lu.MARGIN, kind)[: steps * width].reshape(steps, width)
