"""Long bands with links: orthogonal condensation of many segments at a time."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_condensation import FIRST, LAST, PLACE
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.band_lanes import Lanes
from stridiag.factorization.condition import probe
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.band_condensation import BandCondensationLayout

__all__ = ["LinkedLanes"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Right-hand sides that are solved for at once; for more than these, stored factors take less time.
_SIDES = 8


class LinkedLanes:
    """Bands with links, condensed with nothing stored of the size of the matrix.

    The same algorithm as `BandCondensation`, which does what this does not: it is made when that is needed.
    """

    name = BandCondensation.name

    def __init__(self, layout: BandCondensationLayout, values: Array, order: Index, x: Array | None = None) -> None:
        self.singularity: Singularity | None = None
        self._size: float | None = None
        self._layout, self._values = layout, values
        band, reduced = layout.band, layout.reduced
        flat, base = band.diagonals(values)
        places = layout.segments[order, PLACE]
        self._lanes = Lanes(
            band.lower, band.width, flat, base, layout.segments[order, FIRST], layout.lengths[order], places
        )
        leftover, entering, self._carried, fine = self._lanes.eliminate(x)
        turned = np.empty_like(order)
        turned[order] = np.arange(order.size)
        leftover, entering = leftover[turned], entering[turned]
        self._links = values[layout.link_slots]
        matrix = reduced.assemble(leftover, entering, self._links, reduced.outer_entries(flat, base), values)
        self._reduced = factor_reduced(matrix, layout.reduced_method)
        self.trusted = fine and self._reduced.singularity is None

    @classmethod
    def of(cls, layout: BandCondensationLayout, values: Array) -> Self | None:
        """Return it for a layout that it serves; None for others, and where its numbers cannot be believed."""
        order = layout.alike
        if order is None or values.dtype.kind == "c":
            return None
        made = cls(layout, values, order)
        return made if made.trusted else None

    @classmethod
    def factor_and_solve(
        cls, layout: BandCondensationLayout, values: Array, b: Array
    ) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.band_lanes.LaneBandQR.factor_and_solve`."""
        order = layout.alike
        if order is None:
            return None
        chain = layout.band.chain
        both = np.empty((2, b.size), b.dtype)
        for side, right in zip(both, (b, probe(b.size, b.dtype)), strict=True):
            side[:] = chain.to_chains(right)
        made = cls(layout, values, order, both)
        if not made.trusted:
            return None
        made._solve(both, made._carried)
        made._size = float(np.abs(both[1]).sum())
        size = made._size / math.sqrt(b.size)
        return made, chain.from_chains(both[0].copy() if chain.stride == 1 else both[0]), size

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`, and `factor_and_solve` for the reason."""
        if self._size is None:
            start = probe(self._layout.n, self._values.dtype)[:, None].copy()
            self._size = float(np.abs(self.solve(start)).sum())
        return 100.0 * self._size

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        x = self.solve(b[:, None].copy())[:, 0]
        return x if np.isfinite(x).all() else None

    def _solve(self, x: Array, carried: Array) -> None:
        """Overwrite right-hand sides in class order, (r, n), with the solutions."""
        layout, lanes = self._layout, self._lanes
        z = self._reduced.solve(lanes.gather(x, carried, layout.columns, layout.own))
        right = lanes.place(z, x)
        # Links of the last rows of segments, whose unknowns are kept ones.
        rows = np.repeat(layout.segments[:, LAST], np.diff(layout.link_start)) + layout.band.lower
        for side in range(x.shape[0]):
            np.subtract.at(x[side], rows, self._links * z[layout.link_kept, side])
        lanes.substitute(x, right)
        x[:, layout.columns] = z.T

    @cached_property
    def _stored(self) -> BandCondensation:
        return BandCondensation(self._layout, self._values)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        n, m = b.shape
        if adjoint or m > _SIDES or m == 0:
            return self._stored.solve(b, adjoint=adjoint)
        chain = self._layout.band.chain
        x = np.ascontiguousarray(chain.to_chains(b).T)
        self._solve(x, self._lanes.carry(x))
        return chain.from_chains(np.ascontiguousarray(x.T)).reshape(n, m)

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

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._reduced.nbytes + self._links.nbytes
