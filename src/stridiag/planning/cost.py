"""What a plan costs: counted from the kernels' loops, or bounded where values decide.

An operation is an addition, a subtraction, a multiplication, a division or a square root of two numbers of the
matrix's type (signs, comparisons, exchanges and powers of two are not counted). A
solve with the adjoint costs as much as one with the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cost", "Operations", "determinant"]


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one factorization, of one solve, of a determinant and of a dense inverse.

    Attributes
    ----------
    factor : int
        To factor.
    solve : int
        To solve for one right-hand side.
    slogdet : int
        For the determinant, given the factors.
    inverse : int
        For the dense inverse, given the factors.
    exact : bool
        Whether all four are what is executed for any nonsingular values (a zero pivot saves its division); else
        they are upper bounds.
    """

    factor: int
    solve: int
    slogdet: int
    inverse: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations, bytes of the stored factors (float64), and what an operation takes.

    Attributes
    ----------
    operations : Operations
    bytes : int
        A bound unless ``operations.exact``.
    rate : float
        Nanoseconds for an operation, as once measured: LAPACK's dense loops take a small fraction of what a recurrence
        takes, in which every operation waits for the last; and bounds count what is hardly ever executed. Only ratios
        between methods matter.
    overhead : float
        Nanoseconds for everything that does not grow with the operations.
    """

    operations: Operations
    bytes: int
    rate: float = 1.0
    overhead: float = 5e4

    @property
    def price(self) -> float:
        """Predicted nanoseconds of a factorization and one solve: by this, methods are compared."""
        return self.overhead + self.rate * (self.operations.factor + self.operations.solve)


def determinant(n: int) -> int:
    """Return the operations of `stridiag._kernels.determinant`: n products, and the sum of two logarithms."""
    return n + 1
