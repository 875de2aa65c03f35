"""Solving again, in one call, with chains of some thousand rows that are swept in lanes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import writable
from stridiag._kernels import noted_solve as kernels
from stridiag._kernels.markowitz_solve import LANES
from stridiag._results import aligned
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.markowitz import MarkowitzLU

if TYPE_CHECKING:
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.factorization.sweeps import Notes
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["LONGEST", "Again"]

Array = NDArray[Any]
Index = NDArray[np.int64]

LONGEST = 1 << 14
"""Rows up to which one thread is as fast as several, whose waking takes as long as half the work."""


class Again:
    """What `stridiag._kernels.noted_solve` takes."""

    def __init__(self, notes: Notes, program: Index, parts: tuple[Array, ...]) -> None:
        self._starts, self._store = _joined(parts, 0, np.float64)
        self._program = program
        self._reflecting = notes.reflecting
        self._notes = (*notes.tables, notes.turns, notes.pivots)

    @classmethod
    def of(
        cls,
        layout: CondensationLayout,
        notes: Notes,
        nodes: Array,
        links: Array,
        reduced: Decomposition | MarkowitzLU | None,
    ) -> Self | None:
        """Return it; None where the reduced system is factored in ways that are not known here, or refined."""
        none = np.empty(0)
        if reduced is None:
            return cls(notes, _program(layout), (none, none, none, nodes, links, none, none))
        if isinstance(reduced, FrontHouseholder):
            return cls(notes, _program(layout), (*reduced.packed(), none, nodes, links, none, none))
        if isinstance(reduced, FrontLU) and reduced.arrays is not None:
            (values, lower, upper), cosines, sines = reduced.arrays
            panels = reduced.panels
            parts = (panels.heads, panels.behind, panels.places, reduced.pairs)
            program = _joined_program(layout, kernels.BY_LU, parts, lengths=(panels.length, reduced.widest))
            return cls(notes, program, (values, cosines, sines, nodes, links, lower, upper))
        if isinstance(reduced, MarkowitzLU) and not reduced.refined:
            lists = (reduced.sizes, reduced.entries, reduced.places, reduced.pairs)
            program = _joined_program(layout, kernels.BY_MARKOWITZ, lists, lengths=(0, layout.core.size + LANES))
            return cls(notes, program, (reduced.numbers, reduced.cosines, reduced.sines, nodes, links, none, none))
        return None

    def solve(self, b: Array) -> tuple[Array, float]:
        """Return the solution for `b`, (n,), contiguous; and zero, or NaN where it is not finite."""
        x, given = np.empty(b.size), (self._program, self._starts, self._store)
        return x, kernels.solve(self._reflecting, *given, writable(b), *self._notes, x)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that are kept here too."""
        return self._store.nbytes


# As many as there are plans.
@lru_cache(maxsize=16)
def _program(layout: CondensationLayout) -> Index:
    if not layout.core.size:
        return _joined_program(layout, kernels.NOTHING, ())
    fronts = layout.reduced_method.fronts
    assert fronts is not None
    replay = fronts.replay
    parts = (replay.heads, replay.behind, replay.places, np.empty(0, np.int64))
    return _joined_program(layout, kernels.BY_QR, parts, layout.core[replay.columns], (replay.room, replay.work))


def _joined_program(
    layout: CondensationLayout,
    kind: int,
    reduced: tuple[Index, ...],
    core: Index | None = None,
    lengths: tuple[int, ...] = (),
) -> Index:
    tree, segments = layout.tree, layout.first.size
    # What stands around each segment, the sum of its links last; behind the kept columns stands a zero.
    around = np.full((segments, 5), layout.columns.size)
    around[:, :4] = np.where(layout.neighbours < 0, layout.columns.size, layout.neighbours)
    # In the order of the kernels' names for them.
    parts = (
        np.array([kind, *lengths]),
        *(tree.places, tree.around, tree.tail),
        *(layout.link_start, layout.link_kept, layout.columns, around),
        *(layout.leftover, layout.core_places, layout.core if core is None else core),
        np.repeat(np.arange(segments), np.diff(layout.link_start)),
        layout.chain.starts if layout.chain.stride > 1 else np.empty(0, np.int64),
        *(reduced or 4 * (np.empty(0, np.int64),)),
    )
    starts, joined = _joined(parts, len(parts) + 1, np.int64)
    return np.concatenate((starts, joined))


def _joined(parts: tuple[Array, ...], first: int, kind: Any) -> tuple[Index, Array]:
    """Return where parts begin and end if they stand one behind the other from `first` on, and them so."""
    starts = np.cumsum([first, *(part.size for part in parts)])
    joined = aligned((int(starts[-1]) - first,), np.dtype(kind))
    np.concatenate([part.ravel() for part in parts], out=joined)
    return starts, joined
