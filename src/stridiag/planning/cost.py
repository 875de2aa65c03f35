"""What a plan costs: counted from the kernels' loops, or bounded where values decide.

An operation is an addition, a subtraction, a multiplication, a division or a square root of two numbers of the
matrix's type (signs, comparisons, exchanges and the few logarithms of a determinant are not counted). A solve
with the adjoint costs as much as one with the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.sparse import SparseAnalysis, analyse

__all__ = ["Cost", "Operations", "condensation", "dense", "sparse", "tridiagonal"]


# Operations of `stridiag._kernels.condensation` in double precision, counted by running its loops on numbers that
# count (tests/planning/test_cost.py): for each interior column, and for each segment.
CONDENSE, CONDENSE_SEGMENT = 43, 4
CONDENSED_SOLVE = 20


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one factorization, of one solve, and of a determinant.

    Attributes
    ----------
    factor : int
        To factor.
    solve : int
        To solve for one right-hand side.
    slogdet : int
        For the determinant, given the factors: always an upper bound.
    exact : bool
        Whether `factor` and `solve` are what is executed for any nonsingular values (a zero pivot saves its
        division); else upper bounds.
    """

    factor: int
    solve: int
    slogdet: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations, and bytes of the stored factors (float64)."""

    operations: Operations
    bytes: int


def tridiagonal(n: int) -> Cost:
    """Chains without links: `stridiag._kernels.tridiagonal_lu`."""
    factor = 5 * max(n - 1, 0)
    # One division a row; two operations for each multiplier, each entry of du and each of du2.
    solve = n + 2 * max(n - 1, 0) + 2 * max(n - 1, 0) + 2 * max(n - 2, 0)
    return Cost(Operations(factor, solve, 4 * n + 2, exact=True), 33 * n)


def dense(n: int) -> Cost:
    """LAPACK's getrf and getrs (LAPACK Working Note 41), the guard, and geqrf behind it: an upper bound."""
    lu = (4 * n**3 - 3 * n**2 - n) // 6
    qr = (8 * n**3 + 12 * n**2 + 28 * n) // 6
    lu_solve = 2 * n**2 - n
    # Blocked reflections included: LAPACK applies them to one vector as to many.
    qr_solve = 5 * n**2
    guard = 2 * (lu_solve + 2 * n**2) + 6 * n
    # What one right-hand side costs at most depends on which of the two factorizations passed the guard.
    return Cost(Operations(lu + qr + guard, qr_solve, 4 * n + 2, exact=False), 8 * n * n + 16 * n)


def sparse(analysis: SparseAnalysis, *, entries: int, orthogonal: bool) -> Cost:
    """Sparse factorization of a pattern with so many entries: bounds that hold whatever rows are exchanged.

    Where the analysis gave up for too much fill, the bounds of a dense factorization stand in: they hold too.
    """
    n = analysis.n
    if not analysis.complete:
        return dense(n)
    factor, solve = analysis.qr_operations, analysis.qr_solve_operations
    if not orthogonal:
        # Two attempts, each with two solves and two products for its check, before the orthogonal way out.
        factor += 2 * (analysis.lu_operations + 2 * (analysis.lu_solve_operations + 2 * entries) + 6 * n)
        solve = max(solve, analysis.lu_solve_operations + n)
    return Cost(Operations(factor, solve, 4 * n + 2, exact=False), analysis.qr_bytes(np.dtype(np.float64)))


def condensation(layout: CondensationLayout, *, dense_reduced: bool) -> Cost:
    """Chains with links: `stridiag._kernels.condensation`, and the bound of the reduced system."""
    segments, links = layout.first.size, layout.link_slots.size
    kept = layout.columns.size
    interior = layout.chain.n - kept
    pattern = layout.reduced
    if dense_reduced:
        reduced = dense(kept)
    else:
        reduced = sparse(analyse(pattern.compressed()), entries=pattern.indices.size, orthogonal=False)
    assembly = pattern.place.size + pattern.linked[0].size
    factor = CONDENSE * interior + CONDENSE_SEGMENT * segments + assembly + reduced.operations.factor
    solve = CONDENSED_SOLVE * interior + 3 * links + 2 * segments + reduced.operations.solve
    slogdet = 4 * interior + 4 + reduced.operations.slogdet
    stored = 64 * layout.chain.n + 8 * links + reduced.bytes
    return Cost(Operations(factor, solve, slogdet, exact=False), stored)
