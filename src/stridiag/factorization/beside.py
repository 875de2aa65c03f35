"""What a decomposition that only solves leaves to one that is made beside it, when it is first asked for."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition, Sparing, spares
from stridiag.factorization.inverse_entries import KnowsPattern
from stridiag.factorization.simple_factor import SimpleFactor

__all__ = ["SIDES", "SolvesFewSides"]

Array = NDArray[Any]

SIDES = 8
"""Right-hand sides that are solved for a few at once; for more than these, stored factors take less time."""


class _Stored(Decomposition, KnowsPattern, Protocol):
    """What is left to it."""


class SolvesFewSides:
    """A decomposition that solves for few right-hand sides by `solve_rows`, and has `_stored` for everything else."""

    @property
    def _stored(self) -> _Stored:
        raise NotImplementedError

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.decomposition.SolvesRows`."""
        raise NotImplementedError

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`: where what is stored does."""
        return columns > SIDES and not adjoint and spares(self._stored, columns, adjoint=adjoint)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`."""
        assert isinstance(self._stored, Sparing)
        return self._stored.solve_spared(b)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if not 0 < b.shape[1] <= SIDES:
            return self._stored.solve(b, adjoint=adjoint)
        found = self.solve_rows(np.ascontiguousarray(b.T), adjoint=adjoint)
        return np.ascontiguousarray(found.T)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        return self._stored.multiply(x)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return self._stored.slogdet()

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return self._stored.inverse_diagonal()

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        return self._stored.inverse_on_pattern(transpose=transpose)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`."""
        return self._stored.factors()
