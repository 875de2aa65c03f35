r"""Bounds of a condition number that settle, by two passes at most, nearly all that the rough one leaves open.

Let G be the inverse, and z a vector of independent numbers evenly spread about zero, of unit variance. For a fixed s

.. math:: P(\lvert s^H G z \rvert < \delta \lVert G^H s \rVert_2) \le \sqrt{2/3}\, \delta,

since the density of a sum of such numbers, of unit variance too, is nowhere above :math:`1 / \sqrt 6` (Ball 1986: a
cube's slices). Let column j of G have the largest 1-norm, and s its signs. Then :math:`\lVert G z \rVert_1` is at least
the left-hand side, and entry j of :math:`G^H s` is :math:`\lVert G \rVert_1`. So k such vectors give

.. math:: P(\max_k \lVert G z_k \rVert_1 < \delta \lVert G \rVert_1) \le (\sqrt{2/3}\, \delta)^k,

without a factor that grows with the order. The same holds for any fixed matrix in place of G, such as what is left of
it without its part of rank one in the direction where it is largest: with x = G z, s the signs of x and
:math:`y = G^H s`,

.. math:: R = x y^H / \lVert x \rVert_1, \qquad R z = G z, \quad R^H s = G^H s, \quad
          \lVert R \rVert_1 = \max_j \lvert y_j \rvert \le \lVert G \rVert_1 \le
          \lVert R \rVert_1 + \lVert G - R \rVert_1 .

The inverse of a matrix that is singular but for rounding is nearly of rank one, and these bounds are then close.

Each upper bound used here is wrong in less than one case in a thousand; the lower ones are no matter of chance.

References: K. Ball, "Cube slicing in R^n", Proc. Amer. Math. Soc. 97 (1986) 465-473; C. S. Kenney and A. J. Laub,
"Small-sample statistical condition estimates for general matrix functions", SIAM J. Sci. Comput. 15 (1994) 36-61, for
few random vectors; W. W. Hager, "Condition estimates", SIAM J. Sci. Stat. Comput. 5 (1984) 311-316, for the signs.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.leftover_size import largest_without, product, sum_without
from stridiag._kernels.scatter import scatter
from stridiag.factorization.condition import one_norm_of, probe
from stridiag.factorization.decomposition import Decomposition, solve_rows
from stridiag.factorization.inverse_entries import KnowsNorm
from stridiag.factorization.norm_estimate import ALL_COLUMNS
from stridiag.factorization.scaled import Scaled
from stridiag.structure import StridiagMatrix
from stridiag.structure.norms import one_norm

__all__ = ["Bounds", "KeepsProbe", "condition_bounds"]

Array = NDArray[Any]

_MISSED = 1e-3
"""What an upper bound may be wrong in, at most."""

_FORWARD, _ADJOINT = 3, 2
"""Random vectors that are solved for with the matrix, one of which is the probe unless the part of rank one is made of
it, and with its adjoint: of these the second one if it is needed."""

_NEAR = 0.05
"""Of the limit: where the first probe alone is that large, more of the kind would hardly tell."""


class Bounds(NamedTuple):
    """Of a condition number: `lower` is sure but for rounding, `upper` in all but one case in a thousand."""

    lower: float
    upper: float


@runtime_checkable
class KeepsProbe(Protocol):
    """A decomposition that has solved for `probe` in passing."""

    def take_probe(self) -> Array | None:
        """Return the solution, (n,), for the last time; None if it is not there."""
        ...


def condition_bounds(decomposition: Decomposition, matrix: StridiagMatrix, limit: float) -> Bounds:
    """Return bounds of the condition number, 1-norm, that tell whether it is below a limit, as far as that is cheap.

    (0, inf) where the condition number itself is no dearer. Cost: solves for three vectors, or for three with the
    adjoint, or both.
    """
    n = matrix.structure.shape[0]
    inner = decomposition.inner if isinstance(decomposition, Scaled) else decomposition
    if n <= ALL_COLUMNS or decomposition.singularity is not None or isinstance(inner, KnowsNorm):
        return Bounds(0.0, math.inf)
    with np.errstate(all="ignore"):
        return _Search(decomposition, matrix, limit).bounds()


class _Search:
    """Bounds for one matrix, with what is shared by the two ways to find them."""

    def __init__(self, decomposition: Decomposition, matrix: StridiagMatrix, limit: float) -> None:
        self._decomposition = decomposition
        self._n, self._dtype = matrix.structure.shape[0], matrix.dtype
        self._norm = float(one_norm(matrix))
        self._limit = limit
        kept = decomposition.take_probe() if isinstance(decomposition, KeepsProbe) else None
        # The part of rank one: x, and y once it is known.
        self._x = kept
        self._y: Array | None = None
        # Of the inverse: what is known so far.
        self._lower = 0.0
        # Solutions of random right-hand sides.
        self._found = np.empty((0, self._n), self._dtype)

    def bounds(self) -> Bounds:
        """Go the way that promises to settle it first, and the other if it did not."""
        near = self._x is not None and not _size(self._x) * self._norm < _NEAR * self._limit
        upper = self._by_adjoint() if near else self._by_probes()
        if self._open(upper):
            upper = self._by_probes() if near else self._by_adjoint()
        return Bounds(self._lower * self._norm, upper * self._norm)

    def _open(self, upper: float) -> bool:
        # Accepts the good, so that overflow settles nothing.
        sure = self._limit < self._lower * self._norm < math.inf
        return not (sure or upper * self._norm < self._limit)

    def _by_probes(self) -> float:
        """Return an upper bound from solves with the matrix."""
        # The probe is a random vector too, as long as its direction is not what the part of rank one is made of.
        count = _FORWARD if self._y is not None else _FORWARD - 1
        if self._x is None:
            found = solve_rows(self._decomposition, np.vstack((probe(self._n, self._dtype), self._random(count))))
            self._x, self._found = found[0], found[1:]
        else:
            self._found = solve_rows(self._decomposition, self._random(count))
        return self._rest()

    def _by_adjoint(self) -> float:
        """Return an upper bound from solves with the adjoint, and set the lower one."""
        x = self._x
        assert x is not None
        total = _size(x)
        # Probes with the matrix need no more than the signs; nor does, most likely, what is beyond the limit already.
        first = 0 if len(self._found) or total * self._norm > self._limit else 1
        given = np.empty((1 + first, self._n), self._dtype)
        np.sign(x, out=given[0])
        given[1:] = self._adjoint_probes(0, first)
        # In advance: the solutions take the place of what is given.
        shares = [product(x, q) / total for q in given[1:]]
        found = solve_rows(self._decomposition, given, adjoint=True)
        self._y = y = found[0]
        self._lower = float(np.abs(y).max())
        if len(self._found):
            return self._rest()
        largest = _largest_without(found[1], y, shares[0]) if first else 0.0
        upper = self._by_columns(1, largest) if first else math.inf
        for k in range(first, _ADJOINT):
            if not self._open(upper):
                break
            given = self._adjoint_probes(k, 1)
            share = product(x, given[0]) / total
            found = solve_rows(self._decomposition, given, adjoint=True)
            largest = max(largest, _largest_without(found[0], y, share))
            upper = self._by_columns(k + 1, largest)
        return upper

    def _by_columns(self, count: int, largest: float) -> float:
        """Return the upper bound that so many random vectors give, with the adjoint, of what is left of a column."""
        # The 1-norm of a column is at most the square root of n times its 2-norm.
        return self._lower + math.sqrt(self._n) * _slack(count) * largest

    def _adjoint_probes(self, first: int, count: int) -> Array:
        return _random_rows(count, self._n, self._dtype, 1 + _FORWARD + first)

    def _rest(self) -> float:
        """Return the upper bound that random right-hand sides give, with the part of rank one apart if it is known."""
        x, y = self._x, self._y
        assert x is not None
        if y is None:
            largest, count = max(map(_size, (x, *self._found))), 1 + len(self._found)
        else:
            total, count = _size(x), len(self._found)
            shares = (product(y, z) / total for z in self._random(count))
            largest = max(
                _finite(sum_without(found, x, share)) for found, share in zip(self._found, shares, strict=True)
            )
        return self._lower + _slack(count) * largest

    def _random(self, count: int) -> Array:
        return _random_rows(count, self._n, self._dtype, 1)


def _slack(count: int) -> float:
    """Return by how much so many random vectors may fall short, but for one case in a thousand."""
    return float(math.sqrt(2.0 / 3.0) / _MISSED ** (1.0 / count))


def _size(x: Array) -> float:
    return _finite(one_norm_of(x))


def _largest_without(w: Array, y: Array, share: Any) -> float:
    return _finite(largest_without(w, y, share))


def _finite(size: Any) -> float:
    """Return a size as it is, infinite if it is no number."""
    return math.inf if math.isnan(size) else float(size)


def _random_rows(count: int, n: int, dtype: np.dtype[Any], first: int) -> Array:
    """Return vectors first ... first + count - 1 of those of which `probe` is number 0: (count, n)."""
    result = np.empty(count * n, dtype)
    scatter(result, first * n)
    return result.reshape(count, n)
