"""General sparse matrices: SuperLU, or rotations, with the columns in COLAMD order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stridiag._cached import cached_property
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.dense import dense_cost
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.structure import Structure

__all__ = ["SparseLayout", "SparsePattern", "sparse_cost"]


@dataclass(frozen=True, eq=False)
class SparsePattern:
    """A square structure in compressed columns, and the analysis that SuperLU and rotations share."""

    structure: Structure

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns."""
        return CompressedColumns.build(self.structure)

    @cached_property
    def analysis(self) -> SparseAnalysis:
        """Column order and fill, found when first asked for."""
        return analyse(self.compressed.pattern())


@dataclass(frozen=True, eq=False)
class SparseLayout:
    """A square structure prepared for SuperLU, or for rotations.

    Attributes
    ----------
    pattern : SparsePattern
    orthogonal : bool
        Rotations rather than SuperLU.
    """

    pattern: SparsePattern
    orthogonal: bool

    @classmethod
    def both(cls, structure: Structure) -> tuple[SparseLayout, SparseLayout]:
        """Return the layouts for SuperLU and for rotations, with one analysis."""
        pattern = _pattern(structure)
        return cls(pattern, orthogonal=False), cls(pattern, orthogonal=True)

    @property
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.pattern.structure

    @property
    def method(self) -> str:
        """See `Layout`."""
        return "sparse-qr" if self.orthogonal else "sparse-lu"

    @property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns."""
        return self.pattern.compressed

    @property
    def analysis(self) -> SparseAnalysis:
        """Column order and fill, found when first asked for."""
        return self.pattern.analysis

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`; needs the analysis."""
        return sparse_cost(self.analysis, entries=self.structure.nnz, orthogonal=self.orthogonal)

    def describe(self) -> str:
        """See `Layout`."""
        if self.orthogonal:
            return "Givens rotations row by row, columns in COLAMD order"
        return "SuperLU, checked, with a sparse orthogonal factorization behind it"


@lru_cache(maxsize=1)
def _pattern(structure: Structure) -> SparsePattern:
    """Return the pattern, the last one again: the choice of a method and its alternatives ask for it many times."""
    return SparsePattern(structure)


def sparse_cost(analysis: SparseAnalysis, *, entries: int, orthogonal: bool) -> Cost:
    """Cost of a sparse factorization of a pattern with so many entries: bounds, whatever rows are exchanged.

    Where the analysis gave up for too much fill, the bounds of a dense factorization stand in: they hold too.
    """
    n = analysis.n
    if not analysis.complete:
        return dense_cost(n)
    factor, solve = analysis.qr_operations, analysis.qr_solve_operations
    # Both do far less than the bound. Measured on bands, chains with links and what these leave when condensed, n from
    # 60 to 100,000: the prices are within a factor of two of the time.
    rate, overhead = 0.15, 2e5 + 55.0 * entries
    if not orthogonal:
        # Two attempts, each with two solves and two products for its check, before the orthogonal way out.
        factor += 2 * (analysis.lu_operations + 2 * (analysis.lu_solve_operations + 2 * entries) + 6 * n)
        solve = max(solve, analysis.lu_solve_operations + n)
        # The way out is in the bound, but hardly ever taken.
        rate = 0.2 * analysis.lu_operations / max(factor + solve, 1)
        overhead = 2.2e5 + 150.0 * entries
    operations = Operations(factor, solve, determinant(n), n * solve, exact=False)
    return Cost(operations, analysis.qr_bytes(np.dtype(np.float64)), rate, overhead)
