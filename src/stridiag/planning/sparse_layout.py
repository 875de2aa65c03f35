"""General sparse matrices: SuperLU, or rotations, with the columns in COLAMD order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.dense import dense_cost
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.structure import Structure

__all__ = ["SparseLayout", "sparse_cost"]


@dataclass(frozen=True, eq=False)
class SparseLayout:
    """A square structure in compressed columns.

    Attributes
    ----------
    structure : Structure
    orthogonal : bool
        Rotations rather than SuperLU.
    """

    structure: Structure
    orthogonal: bool

    @property
    def method(self) -> str:
        """See `Layout`."""
        return "sparse-qr" if self.orthogonal else "sparse-lu"

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns."""
        return CompressedColumns.build(self.structure)

    @cached_property
    def analysis(self) -> SparseAnalysis:
        """Column order and fill, found when first asked for."""
        return analyse(self.compressed.pattern())

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`; needs the analysis."""
        return sparse_cost(self.analysis, entries=self.structure.nnz, orthogonal=self.orthogonal)

    def describe(self) -> str:
        """See `Layout`."""
        if self.orthogonal:
            return "Givens rotations row by row, columns in COLAMD order"
        return "SuperLU, checked, with a sparse orthogonal factorization behind it"


def sparse_cost(analysis: SparseAnalysis, *, entries: int, orthogonal: bool) -> Cost:
    """Cost of a sparse factorization of a pattern with so many entries: bounds, whatever rows are exchanged.

    Where the analysis gave up for too much fill, the bounds of a dense factorization stand in: they hold too.
    """
    n = analysis.n
    if not analysis.complete:
        return dense_cost(n)
    factor, solve = analysis.qr_operations, analysis.qr_solve_operations
    # SuperLU does far less than the bound, which includes the way out by rotations.
    rate, overhead = (6.0, 4e5) if orthogonal else (0.15, 4e5 + 120.0 * entries)
    if not orthogonal:
        # Two attempts, each with two solves and two products for its check, before the orthogonal way out.
        factor += 2 * (analysis.lu_operations + 2 * (analysis.lu_solve_operations + 2 * entries) + 6 * n)
        solve = max(solve, analysis.lu_solve_operations + n)
    operations = Operations(factor, solve, determinant(n), n * solve, exact=False)
    return Cost(operations, analysis.qr_bytes(np.dtype(np.float64)), rate, overhead)
