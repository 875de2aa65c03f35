"""How the reduced system of a condensation is factored: as a dense matrix, by rotations, or by SuperLU."""

from __future__ import annotations

from dataclasses import dataclass

from stridiag.planning.cost import Cost
from stridiag.planning.dense import small_qr_cost
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.planning.sparse_layout import cheaper_sparse_cost
from stridiag.planning.summed import SummedColumns

__all__ = ["DENSE_REDUCED_ORDER", "ReducedMethod"]

DENSE_REDUCED_ORDER = 96
"""Up to this order a reduced system is factored as a dense one, and counted exactly. It takes 0.26 milliseconds
then, and would take 0.6 at order 128, where sparse rotations take less."""


@dataclass(frozen=True, eq=False)
class ReducedMethod:
    """The choice, with its cost.

    Attributes
    ----------
    cost : Cost
    analysis : SparseAnalysis or None
        For rotations.
    kind : {"dense", "sparse"}
    """

    cost: Cost
    analysis: SparseAnalysis | None
    kind: str

    @classmethod
    def choose(cls, reduced: SummedColumns) -> ReducedMethod:
        """Take the dense way for small systems, and the sparse way of the lower price otherwise."""
        if reduced.order <= DENSE_REDUCED_ORDER:
            return cls(small_qr_cost(reduced.order), None, "dense")
        pattern = reduced.compressed()
        analysis = analyse(pattern)
        cost, orthogonal = cheaper_sparse_cost(analysis, entries=pattern.nnz)
        return cls(cost, analysis if orthogonal and analysis.complete else None, "sparse")
