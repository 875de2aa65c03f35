r"""Pseudoinverse of one very long real chain whose rank is very clear, by its Gram matrix, eight segments at a time.

As `stridiag.linalg.direct_chain`, where the values that are kept lie so far above the cutoff that semi-normal equations
serve: with the basis V of the k singular vectors that are dropped, on the right,

.. math:: A^+ \approx P\, (A^T A + \tau^2 I)^{-1} P A^T, \qquad P = I - V V^T ,

and refinement with :math:`A^T (b - A x)` in twice the precision. No rotation is stored, no factor of the transpose is
made, and no vectors on the left are needed: what :math:`A^T` makes of them, P takes out. A step multiplies the
error by some :math:`\epsilon \kappa_r^2`, for which a bound is known beforehand; where it is above 1e-3, or anything
else is out of the ordinary, `GramChain.settle` gives None. The rank is decided as there, by ridges 16 times as large
and 64 times: the sum of what is kept then shows far better where the smallest one must lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import lane_vectors
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.gram_lanes import LANES
from stridiag._kernels.lane_vectors import CHUNK
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.gram_lanes import ChainInLanes, GramLanes, LaneLayout
from stridiag.linalg.direct_chain import chain_survey, cutoff_bounds, far_entries
from stridiag.linalg.quick_chain import QuickChain
from stridiag.structure import StridiagMatrix

__all__ = ["GramChain"]

Array = NDArray[Any]

_EPS = float(np.finfo(np.float64).eps)
# Rows from which lanes are worth their overhead.
_FROM = 8192
_MOST_DROPPED = 8
# Of the two ridges whose determinants count, in units of the bound.
_LOWER, _UPPER = 64.0, 1024.0
_SLACK = 0.5
# Errors of a solution with the Gram matrix, in units of eps times the square of the condition of what is kept.
_ROUNDING = 16.0
# By what a refinement may multiply the error at most.
_CONTRACTION = 1e-3
_MOST_STEPS = 6
# Numbers that inverse iteration begins with.
_PERIOD = 4096
_NONE = np.empty(0)


class GramChain(QuickChain):
    """A square real matrix of three diagonals and links, its chain one connected block, its rank decided.

    Made by `settle`. Attributes as `DirectChain`.
    """

    def __init__(self, matrix: StridiagMatrix, tolerances: tuple[float, float], chain: ChainInLanes) -> None:
        super().__init__(matrix, tolerances)
        self._chain = chain
        self._exponent = 0
        self._contraction = 1.0
        self._condition = 1.0
        self._basis = np.empty((0, chain.layout.size))

    @classmethod
    def settle(cls, matrix: StridiagMatrix, rtol: float, atol: float) -> GramChain | None:
        """Decide the rank of a finite matrix, and prepare for products; None unless this way serves."""
        n = matrix.structure.shape[0]
        far = far_entries(matrix)
        if not COMPILES or n < _FROM or far is None:
            return None
        rows, columns = matrix.structure.link_rows[far], matrix.structure.link_columns[far]
        layout = LaneLayout(n, rows, columns)
        largest = max(float(matrix.values.max()), -float(matrix.values.min()))
        exponent = math.frexp(largest)[1]
        if largest == 0.0 or abs(exponent) > 1000:
            return None
        scale = math.ldexp(1.0, -exponent)
        # Zeros in front of the side diagonals and behind all.
        dl, d, du = (np.empty(max(n, layout.reach) + LANES + 1) for _ in range(3))
        for target, offset, begin in ((dl, -1, 1), (d, 0, 0), (du, 1, 1)):
            source = matrix.diagonal(offset)
            np.multiply(source, scale, out=target[begin : begin + source.size])
            target[:begin] = 0.0
            target[begin + source.size :] = 0.0
        links = matrix.values[matrix.structure.starts[-1] + far] * scale
        sums = lane_vectors.bounds(dl, d[: n + LANES], du, np.empty(LANES))
        if sums[-1] == 0.0 and not chain_survey(dl[1:n], d[:n], du[1:n])[0]:
            return None
        found = cutoff_bounds(sums[:4], rows, columns, links, rtol, math.ldexp(atol, -exponent))
        if found is None:
            return None
        least, most, low, high = found
        if not 4.0 * _UPPER * most < low:
            return None
        made = cls(matrix, (rtol, atol), ChainInLanes(dl, d, du, rows, columns, links, n, layout))
        made._exponent = exponent
        return made if made._decide(least, 2.0 * most, high) else None

    def _decide(self, least: float, bound: float, high: float) -> bool:
        """Count the singular values up to `bound`, and find their vectors; False if that is not certain."""
        n = self.shape[0]
        lower, upper = _LOWER * bound, _UPPER * bound
        self._gram = GramLanes(self._chain, (lower, upper))
        first, second = self._gram.logarithms
        count = (second - first) / math.log(_UPPER / _LOWER)
        if not count >= -_SLACK:
            return False
        dropped = round(max(count, 0.0))
        if count / _share(bound, lower, upper) > dropped + _SLACK or dropped > _MOST_DROPPED:
            return False
        rest = max(count - dropped * _share(0.5 * least, lower, upper), 0.0) + 1e-7 + 1e-11 * n
        # What those that are kept add to the count is an upper bound of the smallest one's part.
        kept = (upper**2 - lower**2) / math.expm1(2.0 * math.log(_UPPER / _LOWER) * rest) - lower**2
        if kept <= 0.0:
            return False
        rate = lower**2 / kept
        self._condition = high / math.sqrt(kept)
        self._contraction = max(rate, _ROUNDING * _EPS * self._condition**2, (_ROUNDING * _EPS * high / lower) ** 2)
        if self._contraction > _CONTRACTION:
            return False
        self.dropped = dropped
        return not dropped or self._find_basis(max(2, math.ceil(math.log(1e-9 / n) / math.log(rate))), 0.5 * least)

    # ------------------------------------------------------------------ the basis of what is dropped

    def _find_basis(self, steps: int, limit: float) -> bool:
        """Make the basis by inverse iteration; whether A makes of it what is certainly dropped."""
        chain, size = self._chain, self._chain.layout.size
        # The same numbers again and again serve as well as ever new ones.
        basis = np.empty((self.dropped, size))
        for numbers, row in zip(np.random.default_rng(2).random((self.dropped, _PERIOD)) - 0.5, basis, strict=True):
            chain.repeated(numbers, row)
        for _ in range(steps):
            # Their values of A' A + tau^2 I are almost alike: nothing is lost without making them orthogonal.
            for pair in range(0, self.dropped, 2):
                self._gram.solve(basis[pair : pair + 2])
        if not (self._orthonormalized(basis) and self._orthonormalized(basis)):
            return False
        image, low = np.empty((2, size))
        corrections = np.empty_like(basis)
        for _ in range(_MOST_STEPS):
            # Take out what they have of kept directions: their images, in twice the precision, show it.
            squares = 0.0
            for correction, row in zip(corrections, basis, strict=True):
                chain.subtract_product(False, _NONE, row, image, low=low)
                squares += float(_inner(image[None], image[None])[0, 0])
                chain.subtract_product(True, _NONE, image, correction, x_low=low)
            self._basis = basis
            for pair in range(0, self.dropped, 2):
                self._projected_solve(corrections[pair : pair + 2])
            change = 0.0
            for correction, row in zip(corrections, basis, strict=True):
                moved, largest = lane_vectors.add(correction, row, np.empty(LANES))
                change = max(change, moved / largest)
            if not self._orthonormalized(basis):
                return False
            if change * self._contraction <= 0.25 * _EPS:
                return math.sqrt(squares) * (1.0 + 1e-9) <= limit
        return False

    def _orthonormalized(self, basis: Array) -> bool:
        """Make the rows orthonormal by their Gram matrix, as far as one pass can; False if it cannot."""
        gram = _inner(basis, basis)
        lengths = np.sqrt(np.diag(gram))
        if not (np.isfinite(lengths).all() and lengths.min() > 0.0):
            return False
        try:
            triangle = np.linalg.cholesky(gram / (lengths * lengths[:, None]))
        except np.linalg.LinAlgError:
            return False
        if np.diag(triangle).min() < 1e-6:
            return False
        factors = np.linalg.inv(triangle) / lengths
        _over_chunks(lambda first, last: lane_vectors.combine(factors, basis, first, last), basis.shape[1])
        return True

    # ------------------------------------------------------------------ products

    def _project(self, xs: Array) -> None:
        if self.dropped:
            basis, factors = self._basis, _inner(self._basis, xs)
            _over_chunks(lambda first, last: lane_vectors.subtract(basis, factors, xs, first, last), xs.shape[1])

    def _projected_solve(self, xs: Array) -> None:
        """Replace the rows of `xs` by what is kept of their products with the inverse of the Gram matrix."""
        self._project(xs)
        self._gram.solve(xs)
        self._project(xs)

    def _solved(self, b: Array) -> Array:
        """Return the pseudoinverse times `b`, both in lanes."""
        chain, size = self._chain, b.size
        x, residual, low = np.zeros(size), b, _NONE
        correction = np.empty(size)
        for step in range(_MOST_STEPS):
            # The negative one, which is subtracted.
            chain.subtract_product(True, _NONE, residual, correction, x_low=low)
            self._projected_solve(correction[None])
            change, largest = lane_vectors.add(correction, x, np.empty(LANES))
            if step and change * self._contraction <= 0.25 * _EPS * largest:
                break
            if not step:
                residual, low = np.empty((2, size))
            chain.subtract_product(False, b, x, residual, low=low)
        return x

    def _solved_adjoint(self, b: Array) -> Array:
        """Return the transpose of the pseudoinverse times `b`, both in lanes."""
        chain, size = self._chain, b.size
        y, total, other = np.zeros((3, size))
        correction = b.copy()
        for step in range(_MOST_STEPS):
            self._projected_solve(correction[None])
            change, largest = lane_vectors.add(correction, total, np.empty(LANES))
            np.negative(correction, out=correction)
            chain.subtract_product(False, y, correction, other)
            y, other = other, y
            if step and change * self._contraction * self._condition <= 0.25 * _EPS * largest:
                break
            chain.subtract_product(True, b, y, correction)
        return y

    def _columns(self, b: Array, *, adjoint: bool) -> Array:
        """See `QuickChain`."""
        n, width = b.shape
        result = np.empty((n, width))
        right = np.zeros(max(n, self._chain.layout.reach))
        with np.errstate(over="ignore", under="ignore"):
            for k in range(width):
                # By a power of two: neither products nor their rounding errors may leave the range.
                exponent = int(np.frexp(max(float(b[:, k].max()), -float(b[:, k].min())))[1])
                np.ldexp(b[:, k], -exponent, out=right[:n], casting="same_kind")
                lanes = self._chain.brought_in(right)
                solved = self._solved_adjoint(lanes) if adjoint else self._solved(lanes)
                np.ldexp(self._chain.taken_out(solved), exponent - self._exponent, out=result[:, k])
        return result

    def null_vectors(self) -> Array:
        """Return an orthonormal basis of the null space, (n, dropped)."""
        return np.array([self._chain.taken_out(row) for row in self._basis]).reshape(-1, self.shape[0]).T


def _over_chunks(piece: Callable[[int, int], object], size: int) -> None:
    run_ranges(piece, -(-size // CHUNK), grain=64)


def _inner(rows: Array, xs: Array) -> Array:
    """Return the inner products of `xs`, (l, m), with `rows`, (k, m): (l, k)."""
    parts = np.empty((-(-xs.shape[1] // CHUNK), xs.shape[0], rows.shape[0]))
    _over_chunks(
        lambda first, last: lane_vectors.inner_products(rows, xs, first, last, np.empty(LANES), parts), xs.shape[1]
    )
    result: Array = parts.sum(axis=0)
    return result


def _share(sigma: float, lower: float, upper: float) -> float:
    """Return how much a singular value adds to the count."""
    gain = math.log((sigma * sigma + upper * upper) / (sigma * sigma + lower * lower))
    return gain / (2.0 * math.log(upper / lower))
