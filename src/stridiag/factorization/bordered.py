"""Bands with borders: stretched to a narrow band, and factored as one. See `stridiag.planning.bordered`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.band import factor_band
from stridiag.factorization.inverse_entries import entries_by_solves, known_pattern
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.planning.bordered import BorderedLayout

__all__ = ["BorderedLU"]

Array = NDArray[Any]


class BorderedLU:
    """A matrix with hubs, stretched to a band.

    Parameters
    ----------
    layout : BorderedLayout
    values : ndarray, (nnz,)
        By slot.
    """

    def __init__(self, layout: BorderedLayout, values: Array) -> None:
        self._layout = layout
        self._values = values
        kind = values.real.dtype.type
        sizes = [float(np.abs(values[slots]).max(initial=0.0)) for slots in layout.hub_slots]
        # As large as the hub's largest entry, so that a sum carries no more than rounding changes in its terms.
        self._exponents = [math.frexp(size)[1] if size else 0 for size in sizes]
        powers = np.array([math.ldexp(1.0, exponent) for exponent in self._exponents], kind)
        connectors = np.stack((powers, -powers), axis=1).ravel().astype(values.dtype)
        self._inner = factor_band(layout.inner, np.concatenate((values, connectors))[layout.sources])
        self.name = f"{self._inner.name}, stretched"
        self.singularity = self._found()

    def _found(self) -> Singularity | None:
        inner, origins = self._inner.singularity, self._layout.origins
        if inner is None:
            return None
        if inner.row is not None:
            return Singularity(row=int(origins[inner.row]))
        return Singularity(column=None if inner.column is None else int(origins[inner.column]))

    def _lifted(self, x: Array) -> Array:
        y = np.zeros((self._layout.inner.n, x.shape[1]), x.dtype)
        y[self._layout.places] = x
        return y

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`: the right-hand side is zero in the equations that were put in."""
        return np.ascontiguousarray(self._inner.solve(self._lifted(b), adjoint=adjoint)[self._layout.places])

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`: once to find what the new unknowns are, once with them."""
        lifted = self._lifted(x)
        product = self._inner.multiply(lifted.copy())
        for hub, chain in self._layout.chains:
            power = self._values.real.dtype.type(math.ldexp(1.0, self._exponents[hub]))
            lifted[chain] = np.cumsum(product[chain], axis=0) / power
        return np.ascontiguousarray(self._inner.multiply(lifted)[self._layout.places])

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        phase, log = self._inner.slogdet()
        added = 0
        power = 0
        for hub, chain in self._layout.chains:
            added += chain.size
            power += chain.size * self._exponents[hub]
        return (-phase if added % 2 else phase), log - power * math.log(2.0)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        result: Array = self._inner.inverse_diagonal()[self._layout.places]
        return result

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; None if the band does not know its own.

        Transposed, it is the gradient of log|det A|, which is that of the stretched matrix, but for a constant: so it
        is read off where the entries have gone. Otherwise those that have not moved are, and each hub with others takes
        one solve.
        """
        layout = self._layout
        found = known_pattern(self._inner, transpose=transpose)
        if found is None:
            return None
        slots = layout.sources
        own = slots < self._values.size
        slots, found = slots[own], found[own]
        result = np.empty_like(self._values)
        result[slots] = found
        if transpose:
            return result
        rows, columns = layout.structure.coordinates()
        there = [part[own] for part in layout.inner.structure.coordinates()]
        moved_row, moved_column = (
            slots[layout.places[here[slots]] != place] for here, place in zip((rows, columns), there, strict=True)
        )
        for moved in (moved_row, moved_column):
            # Apart, so that those of hub rows are rows of the inverse, those of hub columns columns.
            if moved.size:
                result[moved] = entries_by_solves(self, layout.n, result.dtype, rows[moved], columns[moved])
        return result

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`. Those of the guarded sparse LU of the same values, made when asked for.

        The stretched matrix is larger than A: its factors are of another order, and A is no product of them.
        """
        return factor_sparse(self._layout.compressed.fill(self._values)).factors()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._inner.nbytes
