"""How a reduced system is factored: by QR in dense fronts, as a dense matrix, by LU in fronts, or by SuperLU."""

from __future__ import annotations

from dataclasses import dataclass

from stridiag._cached import cached_property
from stridiag.planning.cost import Cost
from stridiag.planning.dense import small_qr_cost
from stridiag.planning.front_plan import FrontPlan
from stridiag.planning.pivot_plan import PivotPlan, crossing
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.summed import SummedColumns

__all__ = ["DENSE_REDUCED_ORDER", "ReducedMethod", "interlaced"]

DENSE_REDUCED_ORDER = 12
"""Up to this order a reduced system is factored as a dense one: it has hardly any zeros to save."""

_LARGEST_DENSE = 96
"""Up to this order it is, where fronts do not serve since its pattern is structurally singular."""

_MOST_CROSSING = 220
"""Entries across some place, two for a link; with more, QR in fronts may take longer than LU in fronts with its check.
"""

_NARROW = 64
"""Columns of the widest front up to which it does not: links that lie side by side or within one another."""


def interlaced(reduced: ReducedPattern) -> bool:
    """Whether so many links interlace that LU takes less time than QR in fronts."""
    return reduced.order > _LARGEST_DENSE and reduced.far > _MOST_CROSSING and crossing(reduced) > _MOST_CROSSING


@dataclass(frozen=True, eq=False)
class ReducedMethod:
    """The choice, with its cost.

    Attributes
    ----------
    pattern : SummedColumns
    fronts : FrontPlan or None
        For QR in fronts.
    kind : {"dense", "frontal", "pivoting", "sparse"}
    pivots : PivotPlan or None
        For LU in fronts.
    """

    pattern: SummedColumns
    fronts: FrontPlan | None
    kind: str
    pivots: PivotPlan | None = None

    @classmethod
    def choose(cls, reduced: SummedColumns, *, dense: int = DENSE_REDUCED_ORDER) -> ReducedMethod:
        """Take the dense way up to a stated order, then QR in fronts unless they would fill too much, then LU."""
        if reduced.order <= dense:
            return cls(reduced, None, "dense")
        pivots = None
        if isinstance(reduced, ReducedPattern) and interlaced(reduced):
            pivots = PivotPlan.build(reduced)
        if pivots is None or pivots.widest <= _NARROW:
            fronts = FrontPlan.build(reduced)
            if fronts is not None:
                return cls(reduced, fronts, "frontal")
        if pivots is not None:
            return cls(reduced, None, "pivoting", pivots)
        return cls(reduced, None, "dense" if reduced.order <= _LARGEST_DENSE else "sparse")

    @cached_property
    def cost(self) -> Cost:
        """Cost of the reduced system; that of SuperLU is a bound, which takes an analysis of its own."""
        if self.fronts is not None:
            return self.fronts.cost
        if self.pivots is not None:
            return self.pivots.cost
        if self.kind == "dense":
            return small_qr_cost(self.pattern.order)
        from stridiag.planning.sparse import analyse
        from stridiag.planning.sparse_layout import sparse_cost

        return sparse_cost(analyse(self.pattern.compressed()), entries=self.pattern.indices.size, orthogonal=False)
