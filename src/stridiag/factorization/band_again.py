"""Solving again, in one call, with bands of some thousand rows that have links and are swept in lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import band_replay
from stridiag._kernels import noted_band_solve as kernels
from stridiag._kernels.compile import COMPILES
from stridiag.factorization.again import LONGEST
from stridiag.factorization.front_householder import FrontHouseholder

if TYPE_CHECKING:
    from stridiag.factorization.band_lanes import Lanes
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.planning.band_condensation import BandCondensationLayout

__all__ = ["BandAgain"]

Array = NDArray[Any]


class BandAgain:
    """What `stridiag._kernels.noted_band_solve` takes."""

    def __init__(self, *given: Any) -> None:
        self._given = given

    @classmethod
    def of(
        cls, layout: BandCondensationLayout, lanes: Lanes, links: Array, reduced: Decomposition, kind: np.dtype[Any]
    ) -> Self | None:
        """Return it; None for the first right-hand side, for long bands, and where there are no fronts."""
        fronts = layout.reduced_method.fronts
        short = COMPILES and layout.n <= LONGEST and kind == np.float64
        if not short or fronts is None or not isinstance(reduced, FrontHouseholder):
            return None
        noted = lanes.noted()
        if noted is None:
            return None
        count, segments, notes = noted
        w, lower, replay = lanes.width, lanes.lower, fronts.replay
        left = (lanes.places - (w - lower))[:, None] + np.arange(w)
        return cls(
            (0,) * w,
            count,
            lower,
            segments,
            notes,
            (replay.heads, replay.behind, *reduced.packed()),
            (replay.room, replay.work),
            (replay.places[layout.own], replay.places[left], layout.columns[layout.own], replay.columns),
            (layout.link_rows, layout.link_kept, links),
            (
                band_replay.fold_size(w, len(count)),
                band_replay.unfold_size(w, len(count), int(segments[3].max())),
            ),
            layout.columns,
        )

    def solve(self, x: Array) -> None:
        """Overwrite a right-hand side, (1, n), in class order, with the solution."""
        kernels.solve(x, *self._given)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that are kept here too."""
        return sum(part.nbytes for part in self._given[5])
