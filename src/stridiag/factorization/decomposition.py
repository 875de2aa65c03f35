"""The one protocol of this room: what every kind of decomposition of a single square matrix can do.

A decomposition works on plain arrays of its own dtype; `Factor` checks and converts what users pass, and deals
with batches, warnings and errors. So a decomposition neither validates nor raises for singular values: it
records them in `singularity`, and `solve` may then return NaN or infinity.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity

__all__ = ["Decomposition", "KnowsDeterminant", "Refillable", "SolvesRows", "Sparing", "solve_rows", "spares"]

Array = NDArray[Any]


class Decomposition(Protocol):
    r"""A square matrix A of order n, factored.

    Attributes
    ----------
    singularity : Singularity or None
        Set where a pivot is exactly zero.
    name : str
        What was done, for people: "tridiagonal LU with partial pivoting", for instance.
    """

    name: str
    singularity: Singularity | None

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        r"""Return :math:`A^{-1} b`, or :math:`A^{-H} b`, for a C-contiguous `b`, (n, m), which may be overwritten."""
        ...

    def multiply(self, x: Array) -> Array:
        """Return A x from the factors alone, for a C-contiguous `x`, (n, m), which may be overwritten."""
        ...

    def slogdet(self) -> tuple[Any, float]:
        """Return the sign (or complex phase) of det A and log|det A|; (0, -inf) if singular."""
        ...

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of the inverse, (n,), of a nonsingular matrix."""
        ...

    def factors(self) -> list[SimpleFactor]:
        """Return simple factors whose product, in this order, is A; made in time linear in what is stored.

        Identities may be among them. If A is singular, their product is A still.
        """
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        ...


@runtime_checkable
class KnowsDeterminant(Protocol):
    """A decomposition that finds the determinant before it is known whether the matrix is regular. Optional."""

    def slogdet_at_once(self) -> tuple[Any, float] | None:
        """Return what `Decomposition.slogdet` does; None where that has to be asked."""
        ...


@runtime_checkable
class Refillable(Protocol):
    """A decomposition that can take other values into the storage that it has. Optional."""

    singularity: Singularity | None

    def refill(self, values: Array) -> None:
        """Factor the matrix of the same structure and type with these `values`, (nnz,), which must not change later.

        As if made anew: `singularity` included. What was stored before is lost.
        """
        ...


@runtime_checkable
class SolvesRows(Protocol):
    """A decomposition that takes right-hand sides as rows without moving them. Optional."""

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """Return the solutions for the rows of a C-contiguous `x`, (r, n), which may be overwritten."""
        ...


def solve_rows(decomposition: Decomposition, x: Array, *, adjoint: bool = False) -> Array:
    """Return the solutions for the rows of a C-contiguous `x`, (r, n), which may be overwritten."""
    if isinstance(decomposition, SolvesRows):
        return decomposition.solve_rows(x, adjoint=adjoint)
    found: Array = decomposition.solve(np.ascontiguousarray(x.T), adjoint=adjoint).T
    return found


@runtime_checkable
class Sparing(Protocol):
    """A decomposition that need not overwrite right-hand sides. Optional."""

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """Whether `solve` leaves so many right-hand sides as they are, and returns a new array."""
        ...

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """Return what `solve` does where it `spares`, and whether that shows all of `b` to be finite.

        What is not finite does not vanish in a sum or a product: it comes through to where an elimination ends. So a
        look at few numbers saves one at all of `b`. If they are not finite, sums may have overflowed, too.
        """
        ...


def spares(decomposition: Decomposition, columns: int, *, adjoint: bool) -> bool:
    """Whether a decomposition leaves so many right-hand sides as they are."""
    return isinstance(decomposition, Sparing) and decomposition.spares(columns, adjoint=adjoint)
