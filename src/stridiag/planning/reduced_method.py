"""How the reduced system of a condensation is factored: by dense fronts, as a dense matrix, by rotations, or by SuperLU."""

from __future__ import annotations

from dataclasses import dataclass

from stridiag.planning.cost import Cost
from stridiag.planning.dense import small_qr_cost
from stridiag.planning.front_plan import FrontPlan
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.planning.sparse_layout import cheaper_sparse_cost
from stridiag.planning.summed import SummedColumns

__all__ = ["DENSE_REDUCED_ORDER", "ReducedMethod"]

DENSE_REDUCED_ORDER = 12
"""Up to this order a reduced system is factored as a dense one: it has hardly any zeros to save."""

_LARGEST_DENSE = 96
"""Up to this order it is, where its pattern is structurally singular."""

_GOOD = 6e6
"""A price of so many nanoseconds for fronts is taken without asking for an analysis of the others."""


@dataclass(frozen=True, eq=False)
class ReducedMethod:
    """The choice, with its cost.

    Attributes
    ----------
    cost : Cost
    analysis : SparseAnalysis or None
        For rotations.
    fronts : FrontPlan or None
        For fronts.
    kind : {"dense", "frontal", "sparse"}
    """

    cost: Cost
    analysis: SparseAnalysis | None
    fronts: FrontPlan | None
    kind: str

    @classmethod
    def choose(cls, reduced: SummedColumns) -> ReducedMethod:
        """Take the dense way for the smallest systems, fronts up to a price, and otherwise the lowest price."""
        if reduced.order <= DENSE_REDUCED_ORDER:
            return cls(small_qr_cost(reduced.order), None, None, "dense")
        fronts = FrontPlan.build(reduced)
        if fronts is not None and fronts.cost.price <= _GOOD:
            return cls(fronts.cost, None, fronts, "frontal")
        if fronts is None and reduced.order <= _LARGEST_DENSE:
            return cls(small_qr_cost(reduced.order), None, None, "dense")
        pattern = reduced.compressed()
        analysis = analyse(pattern)
        cost, orthogonal = cheaper_sparse_cost(analysis, entries=pattern.nnz)
        if fronts is not None and fronts.cost.price <= cost.price:
            return cls(fronts.cost, None, fronts, "frontal")
        return cls(cost, analysis if orthogonal and analysis.complete else None, None, "sparse")
