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

from stridiag._dtypes import eps_of
from stridiag._kernels.scatter import scatter
from stridiag.factorization.condition import probe
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
"""Random vectors that are solved for with the matrix, and with its adjoint."""

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


def condition_bounds(decomposition: Decomposition, matrix: StridiagMatrix) -> Bounds:
    """Return bounds of the condition number, 1-norm, that tell whether it is below ``1 / eps``, as far as is cheap.

    (0, inf) where the condition number itself is no dearer. Cost: solves for three or four vectors, or for three with
    the adjoint, or both.
    """
    n = matrix.structure.shape[0]
    inner = decomposition.inner if isinstance(decomposition, Scaled) else decomposition
    if n <= ALL_COLUMNS or decomposition.singularity is not None or isinstance(inner, KnowsNorm):
        return Bounds(0.0, math.inf)
    with np.errstate(all="ignore"):
        return _Search(decomposition, matrix).bounds()


class _Search:
    """Bounds for one matrix, with what is shared by the two ways to find them."""

    def __init__(self, decomposition: Decomposition, matrix: StridiagMatrix) -> None:
        self._decomposition = decomposition
        self._n, self._dtype = matrix.structure.shape[0], matrix.dtype
        self._norm = float(one_norm(matrix))
        self._limit = 1.0 / eps_of(matrix.dtype)
        kept = decomposition.take_probe() if isinstance(decomposition, KeepsProbe) else None
        # The part of rank one: x, and y once it is known.
        self._x = kept
        self._y: Array | None = None
        # Of the inverse: what is known so far.
        self._lower = 0.0
        # Solutions of random right-hand sides, which stand beside them.
        self._given = self._found = np.empty((0, self._n), self._dtype)

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
        given = _random_rows(_FORWARD, self._n, self._dtype, 1)
        if self._x is None:
            given = np.vstack((probe(self._n, self._dtype), given))
        found = solve_rows(self._decomposition, given.copy())
        if self._x is None:
            self._x, given, found = found[0].copy(), given[1:], found[1:]
        self._given, self._found = given, found
        return self._rest()

    def _by_adjoint(self) -> float:
        """Return an upper bound from solves with the adjoint, and set the lower one."""
        x = self._x
        assert x is not None
        sizes = np.abs(x)
        total = float(sizes.sum(dtype=np.float64))
        given = np.empty((1 if len(self._found) else 1 + _ADJOINT, self._n), self._dtype)
        # Where x is zero any number of size one will do.
        given[0] = np.where(sizes > 0.0, x / np.where(sizes > 0.0, sizes, 1.0), 1.0)
        given[1:] = _random_rows(len(given) - 1, self._n, self._dtype, 1 + _FORWARD)
        found = solve_rows(self._decomposition, given.copy(), adjoint=True)
        self._y = y = found[0].copy()
        self._lower = float(np.abs(y).max())
        if len(self._found):
            return self._rest()
        largest = 0.0
        for q, w in zip(given[1:], found[1:], strict=True):
            largest = float(np.maximum(largest, np.abs(w - y * (np.vdot(x, q) / total)).max()))
        # The 1-norm of a column is at most the square root of n times its 2-norm.
        return self._lower + math.sqrt(self._n) * _slack(_ADJOINT) * largest

    def _rest(self) -> float:
        """Return the upper bound that solutions of random right-hand sides give, the part of rank one apart if known."""
        x, y = self._x, self._y
        assert x is not None
        total = 1.0 if y is None else _size(x)
        largest = 0.0
        for z, found in zip(self._given, self._found, strict=True):
            left = found if y is None else found - x * (np.vdot(y, z) / total)
            # Unlike max, this lets NaN through.
            largest = float(np.maximum(largest, _size(left)))
        return self._lower + _slack(len(self._given)) * largest


def _slack(count: int) -> float:
    """Return by how much so many random vectors may fall short, but for one case in a thousand."""
    return math.sqrt(2.0 / 3.0) / _MISSED ** (1.0 / count)


def _size(x: Array) -> float:
    return float(np.abs(x).sum(dtype=np.float64))


def _random_rows(count: int, n: int, dtype: np.dtype[Any], first: int) -> Array:
    """Return vectors first ... first + count - 1 of those of which `probe` is number 0: (count, n)."""
    result = np.empty(count * n, dtype)
    scatter(result, first * n)
    return result.reshape(count, n)
