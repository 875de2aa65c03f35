"""Dense matrices: LAPACK."""

from __future__ import annotations

from dataclasses import dataclass

from stridiag._cached import cached_property
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.structure import Structure

__all__ = ["DenseLayout", "dense_cost", "small_qr_cost"]


@dataclass(frozen=True, eq=False)
class DenseLayout:
    """A square structure written out as a dense array."""

    structure: Structure
    method = "dense"

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns, from which the array is made."""
        return CompressedColumns.build(self.structure)

    @property
    def cost(self) -> Cost:
        """See `Layout`."""
        return dense_cost(self.structure.shape[0])

    def describe(self) -> str:
        """See `Layout`."""
        return "LAPACK's LU, checked, with QR behind it"


def dense_cost(n: int) -> Cost:
    """Cost of LAPACK's getrf and getrs (LAPACK Working Note 41), the guard, and geqrf behind it: an upper bound."""
    lu = (4 * n**3 - 3 * n**2 - n) // 6
    qr = (8 * n**3 + 12 * n**2 + 28 * n) // 6
    lu_solve = 2 * n**2 - n
    # Blocked reflections included: LAPACK applies them to one vector as to many.
    qr_solve = 5 * n**2
    guard = 2 * (lu_solve + 2 * n**2) + 6 * n
    # What one right-hand side costs at most depends on which of the two factorizations passed the guard.
    operations = Operations(lu + qr + guard, qr_solve, determinant(2 * n), n * qr_solve, exact=False)
    # The bound has LU and QR; nearly always LU is all that happens.
    return Cost(operations, 8 * n * n + 16 * n, rate=0.015, overhead=1e5)


def small_qr_cost(n: int) -> Cost:
    """Cost of `stridiag._kernels.small_qr`: exact."""
    below = sum(range(n))
    squares = sum(t * t for t in range(n))
    factor = 4 * squares + 5 * below + 8 * n
    solve = 6 * below + 3 * n
    return Cost(Operations(factor, solve, determinant(n), n * solve, exact=True), 8 * n * (n + 1), 0.5, 2e4)
