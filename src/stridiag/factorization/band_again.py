"""Solving again with long bands that have links and are swept in lanes, without copying the right-hand side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import band_replay
from stridiag._kernels import noted_band_solve as kernels
from stridiag._kernels.compile import COMPILES
from stridiag._results import aligned
from stridiag.factorization.front_householder import FrontHouseholder

if TYPE_CHECKING:
    from stridiag.factorization.band_lanes import Lanes, Notes
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.planning.band_condensation import BandCondensationLayout
    from stridiag.planning.front_plan import FrontReplay

__all__ = ["BandAgain"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Segments = tuple[Array, Index, Index, Index, Index]

_LONG = 150_000
"""Rows from which on several threads replay; what takes less is one call on one thread."""


class BandAgain:
    """What `stridiag._kernels.noted_band_solve` takes, for a right-hand side at a time."""

    def __init__(
        self,
        layout: BandCondensationLayout,
        lanes: Lanes,
        links: Array,
        reduced: FrontHouseholder,
        replay: FrontReplay,
        marks: tuple[int, ...],
        segments: Segments,
        notes: Notes,
    ) -> None:
        self._layout, self._lanes, self._marks, self._notes = layout, lanes, marks, notes
        _, _, starts, lengths, places = self._segments = segments
        w, lower = lanes.width, lanes.lower
        left = (places - (w - lower))[:, None] + np.arange(w)
        last = (starts + lengths - 1 + lower)[: places.size]
        order = np.argsort(last)
        self._given = (
            (replay.heads, replay.behind, *reduced.packed()),
            (replay.room, replay.work),
            (replay.places[layout.own], replay.places[left], layout.columns[layout.own], replay.columns),
            (order[np.searchsorted(last[order], layout.link_rows)], layout.link_kept, links),
        )
        self._work = max(
            band_replay.fold_size(w, len(marks)), band_replay.unfold_size(w, len(marks), int(lengths.max()))
        )

    @classmethod
    def of(
        cls, layout: BandCondensationLayout, lanes: Lanes, links: Array, reduced: Decomposition, kind: np.dtype[Any]
    ) -> Self | None:
        """Return it; None for the first right-hand side, and where there are no notes or no fronts."""
        fronts = layout.reduced_method.fronts
        if not COMPILES or kind != np.float64 or fronts is None or not isinstance(reduced, FrontHouseholder):
            return None
        noted = lanes.noted()
        if noted is None:
            return None
        return cls(layout, lanes, links, reduced, fronts.replay, *noted)

    def solve(self, b: Array, x: Array) -> bool:
        """Fill `x`, (n,), with the solution for `b`, in class order; return whether it is finite. They may be one."""
        lanes, w, at, b = self._lanes, self._lanes.width, self._layout.columns, frozen(b)
        if b.size < _LONG:
            work = aligned((self._work,), x.dtype)
            given = (self._segments, self._notes, *self._given, at, b, x, work)
            return kernels.solve((0,) * w, self._marks, lanes.lower, *given)
        starts = self._segments[2]
        carried = lanes.fold(b, self._notes)
        right, edges, z = np.empty((starts.size, 1, w)), np.empty((starts.size, w + 1)), np.empty(at.size)
        kernels.between(lanes.lower, self._segments, *self._given, b, carried, right, edges, z)
        lanes.unfold(b, edges, right, x, self._notes)
        return kernels.finish(starts, at, z, x)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that are kept here too."""
        return sum(part.nbytes for part in self._given[0])
