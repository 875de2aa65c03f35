r"""Bounds of a condition number that settle, by few solutions, nearly all that the rough one leaves open.

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

The inverse of a matrix that is singular but for rounding is nearly of rank one, and these bounds are then close. All of
this holds too where s, and x in R, are zero but in a few rows, and y is cut short: docs/theory/condition.md.

Each upper bound used here is wrong in less than one case in a thousand; the lower ones are no matter of chance.

References: K. Ball, "Cube slicing in R^n", Proc. Amer. Math. Soc. 97 (1986) 465-473; C. S. Kenney and A. J. Laub,
"Small-sample statistical condition estimates for general matrix functions", SIAM J. Sci. Comput. 15 (1994) 36-61, for
few random vectors; W. W. Hager, "Condition estimates", SIAM J. Sci. Stat. Comput. 5 (1984) 311-316, for the signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.leftover_size import product, sum_without
from stridiag._kernels.scatter import scatter
from stridiag.factorization.decomposition import Decomposition, solve_rows
from stridiag.factorization.inverse_entries import KnowsNorm
from stridiag.factorization.norm_estimate import ALL_COLUMNS
from stridiag.factorization.probing import one_norm_of, random_rows
from stridiag.factorization.scaled import Scaled
from stridiag.structure import StridiagMatrix
from stridiag.structure.norms import one_norm

__all__ = ["Bounds", "KeepsProbes", "SolvesNear", "condition_bounds"]

Array = NDArray[Any]

_MISSED = 1e-3
"""What an upper bound may be wrong in, at most."""

_FIRST, _MORE = 3, 2
"""Random vectors that are solved for where none are known, and, if they are needed, after these or those known."""

_PARTS = 8
"""Parts of rank one that are looked for around few rows, where one does not settle it."""

_REACH = 2048
"""Rows on either side of the largest entry that the part of rank one is made of, where that spares a whole solution."""


class Bounds(NamedTuple):
    """Of a condition number: `lower` is sure but for rounding, `upper` in all but one case in a thousand."""

    lower: float
    upper: float


class KeepsProbes(Protocol):
    """A decomposition that has solved for random vectors in passing."""

    def take_probes(self) -> Array | None:
        """Return the solutions for the first ones of `random_rows`, (k, n), for the last time; None if not there."""
        ...


class SolvesNear(Protocol):
    """A decomposition of real numbers that finds where solutions are not zero to working precision."""

    def solve_near_adjoint(self, b: Array, first: int) -> tuple[Array, int] | None:
        """Solve with the adjoint for a right-hand side that is `b` from row `first` on, and zero elsewhere.

        Returns
        -------
        tuple or None
            The solution where it is not small, and its first row. That of a right-hand side that differs by less than
            the precision from what is given, in the largest magnitude. None where a whole solution takes less time.
        """
        ...


def condition_bounds(decomposition: Decomposition, matrix: StridiagMatrix, limit: float) -> Bounds:
    """Return bounds of the condition number, 1-norm, that tell whether it is below a limit, as far as that is cheap.

    (0, inf) where the condition number itself is no dearer. Cost: nothing but sums where solutions for random vectors
    tell that are there, or else solves for two or three vectors, or for one with the adjoint, or both.
    """
    n = matrix.structure.shape[0]
    inner = decomposition.inner if isinstance(decomposition, Scaled) else decomposition
    if n <= ALL_COLUMNS or decomposition.singularity is not None or isinstance(inner, KnowsNorm):
        return Bounds(0.0, math.inf)
    with np.errstate(all="ignore"):
        return _Search(decomposition, matrix, limit).bounds()


class _Part(NamedTuple):
    """Of the inverse, the part ``x y^H / total``: the vectors are these from a row on, and zero elsewhere."""

    x: Array
    first: int
    y: Array
    first_y: int
    total: float
    norm: float

    @property
    def last(self) -> int:
        return self.first + self.x.size

    def meets(self, other: _Part) -> bool:
        """Whether there may be a column in which neither is zero."""
        return self.first_y < other.first_y + other.y.size and other.first_y < self.first_y + self.y.size

    def left(self, found: Array, number: int) -> float:
        """Return the 1-norm, in the rows of this part, of a solution without it: that for random vector `number`."""
        z = np.empty(self.y.size, found.dtype)
        scatter(z, number * found.size + self.first_y)
        return float(sum_without(found[self.first : self.last], self.x, product(self.y, z) / self.total))


def _part(x: Array, first: int, y: Array, first_y: int) -> _Part:
    return _Part(x, first, y, first_y, one_norm_of(x), float(np.abs(y).max()))


class _Search:
    """Bounds for one matrix, with what is shared by the ways to find them."""

    def __init__(self, decomposition: Decomposition, matrix: StridiagMatrix, limit: float) -> None:
        self._decomposition = decomposition
        self._n, self._dtype = matrix.structure.shape[0], matrix.dtype
        self._norm = float(one_norm(matrix))
        self._limit = limit
        # By their names: asking whether it is a `KeepsProbes` takes as long as a pass over many rows does.
        take: Callable[[], Array | None] | None = getattr(decomposition, "take_probes", None)
        kept = None if take is None else take()
        self._near: Callable[[Array, int], Any] | None = getattr(decomposition, "solve_near_adjoint", None)
        # Solutions for random vectors, and their sizes.
        self._found = [*(self._solve_for(0, _FIRST) if kept is None else kept)]
        self._sizes = [_size(x) for x in self._found]
        # In the order of their rows, none of which is in two of them.
        self._parts: list[_Part] = []

    def bounds(self) -> Bounds:
        """Go one way after another until it is settled."""
        upper = self._upper()
        for way in self._ways():
            if not self._open(upper):
                break
            way()
            upper = self._upper()
        return Bounds(self._lower * self._norm, upper * self._norm)

    def _ways(self) -> list[Callable[[], None]]:
        """Return what may settle it, the most promising first."""
        two_more = partial(self._add, _MORE)
        if self._near is not None:
            return [self._find_part, partial(self._add, 1), two_more, *[self._find_part] * (_PARTS - 1)]
        # Beyond this, more random vectors would hardly tell.
        near = not max(self._sizes) * _slack(len(self._found) + _MORE) * self._norm < self._limit
        return [self._find_part, two_more] if near else [two_more, self._find_part]

    @property
    def _lower(self) -> float:
        return max((part.norm for part in self._parts), default=0.0)

    def _open(self, upper: float) -> bool:
        # Accepts the good, so that overflow settles nothing.
        sure = self._limit < self._lower * self._norm < math.inf
        return not (sure or upper * self._norm < self._limit)

    def _upper(self) -> float:
        """Return the least upper bound of the inverse that is known: by solutions, or by what the parts leave."""
        upper = _slack(len(self._sizes)) * max(self._sizes)
        parts, others = self._parts, self._found[1:]
        if not parts or not others:
            return upper
        norm = max(sum(other.norm for other in parts if other.meets(part)) for part in parts)
        left = max(self._left(found, k) for k, found in enumerate(others, 1))
        # Accepts the good: a part may have overflowed.
        found = norm + _slack(len(others), 1 if len(parts) == 1 else _PARTS) * left
        return found if found < upper else upper

    def _left(self, found: Array, number: int) -> float:
        """Return the 1-norm of what the parts leave of the solution for random vector `number`."""
        size, row = 0.0, 0
        for part in self._parts:
            size += one_norm_of(found[row : part.first]) + part.left(found, number)
            row = part.last
        return _finite(size + one_norm_of(found[row:]))

    def _add(self, count: int) -> None:
        """Solve for more random vectors."""
        more = self._solve_for(len(self._found), count)
        self._found.extend(more)
        self._sizes.extend(map(_size, more))

    def _find_part(self) -> None:
        """Find the part of rank one, or one more, from the first solution."""
        part = self._near_part()
        if part is None and not self._parts:
            part = self._whole_part()
        if part is not None:
            self._parts = sorted([*self._parts, part], key=lambda part: part.first)

    def _near_part(self) -> _Part | None:
        """Return a part near the largest entry outside of the others, if it is to be had without a whole solution."""
        x = self._found[0]
        if self._near is None or not self._sizes[0] < math.inf:
            return None
        if self._parts:
            x = x.copy()
            for part in self._parts:
                x[part.first : part.last] = 0.0
        most, least = int(x.argmax()), int(x.argmin())
        middle = most if x[most] > -x[least] else least
        first = max([middle - _REACH, 0, *(part.last for part in self._parts if part.last <= middle)])
        last = min([middle + _REACH, self._n, *(part.first for part in self._parts if part.first > middle)])
        x = x[first:last]
        found = self._near(np.sign(x), first) if x.any() else None
        return None if found is None else _part(x, first, *found)

    def _whole_part(self) -> _Part:
        x = self._found[0]
        return _part(x, 0, solve_rows(self._decomposition, np.sign(x)[None], adjoint=True)[0], 0)

    def _solve_for(self, first: int, count: int) -> Array:
        return solve_rows(self._decomposition, random_rows(count, self._n, self._dtype, first))


def _slack(count: int, tries: int = 1) -> float:
    """Return by how much so many random vectors may fall short, but for one case in a thousand, in one of the tries."""
    return float(math.sqrt(2.0 / 3.0) / (_MISSED / tries) ** (1.0 / count))


def _size(x: Array) -> float:
    return _finite(one_norm_of(x))


def _finite(size: Any) -> float:
    """Return a size as it is, infinite if it is no number."""
    return math.inf if math.isnan(size) else float(size)
