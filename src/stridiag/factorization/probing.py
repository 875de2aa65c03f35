"""Solutions for random right-hand sides that a decomposition finds in passing, and what they tell of the inverse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.leftover_size import sum_without
from stridiag._kernels.scatter import scatter
from stridiag._results import fresh, unfilled
from stridiag.planning.chain import ChainLayout

__all__ = ["Probed", "beside_probes", "one_norm_of", "random_rows", "split"]

Array = NDArray[Any]

_SLACK = {1: 100.0, 2: 10.0}
"""The 1-norm of the inverse exceeds that of so many solutions by more in less than one case in a hundred: with k of
them in (sqrt(2/3) / slack)^k at most, see `stridiag.factorization.condition_bounds`."""


class Probed:
    """A decomposition that solves for random numbers beside the first right-hand side, or when it is asked.

    Entry i of :math:`A^{-1} z` is about as large as the 2-norm of row i of the inverse, which none of its entries
    exceeds. So no column has a larger 1-norm than the sum of them all.
    """

    _n: int
    _kind: np.dtype[Any]
    # What the 1-norm of the inverse exceeds in less than one case in a hundred.
    _size: float | None = None
    _probed: Array | None = None

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.decomposition.SolvesRows`."""
        raise NotImplementedError

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`."""
        if self._size is None:
            self._note(self.solve_rows(random_rows(1, self._n, self._kind, 0)))
        return self._size

    def take_probes(self) -> Array | None:
        """See `stridiag.factorization.condition_bounds.KeepsProbes`."""
        probed, self._probed = self._probed, None
        return probed

    def _note(self, probed: Array) -> float:
        """Keep the solutions; return what is told of them by `SolvesAtOnce.factor_and_solve`."""
        self._probed = probed
        # By numpy, which does not pass over NaN.
        self._size = _SLACK[len(probed)] * float(np.max([one_norm_of(x) for x in probed]))
        # The caller multiplies by this.
        return self._size / (100.0 * math.sqrt(self._n))


def beside_probes(chain: ChainLayout, b: Array, count: int) -> Array:
    """Return a right-hand side, (n,), real, and behind it 1 or 2 random ones, in chain order: (1 + count, n)."""
    n = b.size
    shape = (1 + count, n)
    sides = fresh(shape, b.dtype)
    sides[0] = chain.to_chains(b)
    if chain.stride == 1:
        scatter(sides[1:].reshape(count * n), 0)
    else:
        for k, z in enumerate(random_rows(count, n, b.dtype, 0), 1):
            sides[k] = chain.to_chains(z)
    return sides


def split(chain: ChainLayout, found: Array) -> tuple[Array, Array]:
    """Return the first solution and the others in the original order; the first keeps no other memory than its own."""
    if chain.stride > 1:
        return chain.from_chains(found[0]), np.stack([chain.from_chains(row) for row in found[1:]])
    x = fresh(found[0].shape, found.dtype)
    x[:] = found[0]
    return x, found[1:]


def one_norm_of(x: Array) -> float:
    """Return the sum of magnitudes of a vector; NaN if one of them is not finite."""
    return float(sum_without(x, x, x.dtype.type(0))) if x.size else 0.0


def random_rows(count: int, n: int, dtype: np.dtype[Any], first: int) -> Array:
    """Return vectors first ... first + count - 1 of those of which `probe` is number 0: (count, n)."""
    result = unfilled((count * n,), dtype)
    scatter(result, first * n)
    return result.reshape(count, n)
