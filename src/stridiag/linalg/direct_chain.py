r"""Pseudoinverse of one long real chain, with links or without, whose rank is clear, in a few passes over its rows.

With :math:`(A; \tau I) = (Q_a; Q_b) R` and the bases U, V of the k singular vectors that are dropped

.. math:: A^+ \approx (I - V V^T)\, R^{-1} Q_a^T\, (I - U U^T), \qquad
    R^{-1} Q_a^T = (A^T A + \tau^2 I)^{-1} A^T ,

and refinement, as in `stridiag.linalg.direct`; but here R belongs to a chain (`stridiag.factorization.ridge`), and the
rank is decided without knowing a single singular value:

* **The largest one** lies between the largest 2-norm of a row or column and :math:`\sqrt{\|A\|_1 \|A\|_\infty}`, so
  the cutoff lies between two bounds.
* **No more than k** values lie below a bound c. With :math:`L(\tau) = \log \det R` each of them adds

  .. math:: g(\sigma) = \frac{1}{2 \ln(\tau_2 / \tau_1)} \ln \frac{\sigma^2 + \tau_2^2}{\sigma^2 + \tau_1^2}
      \ge g(c)

  to :math:`N = (L(\tau_2) - L(\tau_1)) / \ln(\tau_2 / \tau_1)`, and no value adds less than nothing, so there are at
  most N / g(c) of them. Here c is twice the upper bound of the cutoff, :math:`\tau_1 = 4 c, \tau_2 = 16 c`.
* **At least k** lie below half the lower bound of the cutoff, since :math:`\|A V\|` does, and V is orthonormal.

If the two meet, the rank is certain, and not ambiguous. If they do not, or anything else is out of the ordinary,
`DirectChain.settle` gives None, and the general way decides. Derivation: docs/theory/pseudoinverse.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import ridge_chain as kernels
from stridiag._kernels import small_basis
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.ridge import MOST_KEPT, ChainWithLinks, CondensedRidge, PlainRidge, ridge_of
from stridiag.linalg.direct import SMALLEST_RTOL
from stridiag.structure import StridiagMatrix

__all__ = ["DirectChain", "chain_survey", "cutoff_bounds", "far_entries"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Ridge = PlainRidge | CondensedRidge

chain_survey = kernels.survey

_EPS = float(np.finfo(np.float64).eps)
# Values dropped. More go the general way, whose bases are made by LAPACK.
_MOST_DROPPED = 8
# Of the two ridges whose determinants count, in units of the bound.
_LOWER, _UPPER = 4.0, 16.0
# By how much a count may be off: rounding errors of the logarithms, and of singular values next to the ridge.
_SLACK = 0.5
# Numbers of a block of right-hand sides, which is to stay in the cache between passes.
_BLOCK = 1 << 17
# Errors of a solution by the inner inverse, in units of eps times the condition of what is kept.
_ROUNDING = 16.0


class DirectChain:
    """A square real matrix of three diagonals and links, its chain one connected block, its rank decided.

    Made by `settle`.

    Attributes
    ----------
    shape : tuple of int
    dropped : int
        Singular values that count as zero.
    """

    def __init__(self, matrix: ChainWithLinks, exponent: int, tau: float) -> None:
        n = matrix.d.size
        self.shape = (n, n)
        self.dropped = 0
        self._sides = (matrix, matrix.T)
        self._exponent = exponent
        self._tau = tau
        self._bases = (np.empty((0, n)), np.empty((0, n)))
        self._refinements = 2
        self._contraction = 1.0

    @classmethod
    def settle(cls, matrix: StridiagMatrix, rtol: float, atol: float) -> DirectChain | None:
        """Decide the rank of a finite matrix, and prepare for products; None unless the quick way serves."""
        far = far_entries(matrix)
        if far is None:
            return None
        structure = matrix.structure
        links = matrix.values[structure.starts[-1] + far].astype(np.float64)
        dl, d, du = (matrix.diagonal(offset).astype(np.float64, copy=False) for offset in (-1, 0, 1))
        largest = max(float(np.abs(part).max(initial=0.0)) for part in (dl, d, du, links))
        if largest == 0.0:
            return None
        exponent = math.frexp(largest)[1]
        half = -(exponent // 2)
        for part in (dl, d, du, links):
            part *= math.ldexp(1.0, half)
            part *= math.ldexp(1.0, -exponent - half)
        connected, *sums = chain_survey(dl, d, du)
        if not connected:
            return None
        rows, columns = structure.link_rows[far], structure.link_columns[far]
        chain = ChainWithLinks(dl, d, du, rows, columns, links)
        try:
            scaled = math.ldexp(atol, -exponent)
        except OverflowError:
            return None
        found = cutoff_bounds((sums[0], sums[1], sums[2], sums[3]), rows, columns, links, rtol, scaled)
        if found is None:
            return None
        least, most, low, high = found
        # Room for the ridges below what is kept.
        if not 4.0 * _UPPER * most < low:
            return None
        relative = least / high
        tau = high * max(10.0 * _EPS, min(relative * math.sqrt(relative), 0.1 * relative))
        made = cls(chain, exponent, tau)
        return made if made._decide(least, 2.0 * most, high) else None

    def _decide(self, least: float, bound: float, high: float) -> bool:
        """Count the singular values up to `bound`, and find their vectors; False if that is not certain."""
        n = self.shape[0]
        probes = (_LOWER * bound, _UPPER * bound)
        made: list[Ridge | None] = [None, None]

        def factor(first: int, last: int) -> None:
            for side in range(first, last):
                made[side] = ridge_of(self._sides[side], self._tau, probes[side], products=side == 0)

        run_ranges(factor, 2, grain=1 if n > 500 else 2)
        ridge, other = made
        if ridge is None or other is None:
            raise RuntimeError("a factorization is missing")
        self._ridge = ridge
        count = (other.second_logarithm - ridge.second_logarithm) / math.log(_UPPER / _LOWER)
        if not count >= -_SLACK:
            return False
        dropped = round(max(count, 0.0))
        if count / _share(bound, bound) > dropped + _SLACK or dropped > _MOST_DROPPED:
            return False
        self.dropped = dropped
        rate = (self._tau / _smallest_kept(count, dropped, 0.5 * least, bound, n)) ** 2
        if not rate < 1e-4:
            return False
        largest = 0.0
        if dropped:
            steps = math.ceil(math.log(1e-22) / math.log(rate)) + 1
            largest = self._find_bases((ridge, other), dropped, steps, high)
            if not largest <= 0.5 * least:
                return False
            self._purify()
        kept = _smallest_kept(count, dropped, largest, bound, n)
        rate = (self._tau / kept) ** 2
        self._refinements = max(2, math.ceil(math.log(_EPS) / math.log(rate)))
        # By what a refinement multiplies the error: the ridge's part, and that of rounding.
        self._contraction = max(rate, _ROUNDING * _EPS * high / kept)
        return True

    def _find_bases(self, ridges: tuple[Ridge, Ridge], count: int, steps: int, high: float) -> float:
        """Make the bases, and return a bound of the singular values that belong to them; NaN if they do not fit."""
        n = self.shape[0]
        start = np.random.default_rng(2).random((count + count % 2, n)) - 0.5
        start[count:] = 0.0
        found = [start, start]
        leaving = [np.inf, np.inf]
        sizes = [np.inf, np.inf]
        skew = [np.inf, np.inf]

        def iterate(first: int, last: int) -> None:
            for side in range(first, last):
                block = found[side].copy()
                for step in range(steps):
                    for pair in range(0, block.shape[0], 2):
                        ridges[side].invert_gram(block[pair : pair + 2])
                    small_basis.orthonormalize(block[:count], 1 + (step == steps - 1))
                found[side] = block[:count]

        def check(first: int, last: int) -> None:
            # What the bases are carried to: nearly nothing, and that within one another's span.
            for side in range(first, last):
                image = np.empty((count, n))
                nothing = np.zeros(n)
                gram = np.empty((count, count))
                for row in range(count):
                    self._sides[side].residual(nothing, found[side][row], image[row])
                other = found[1 - side]
                sizes[side] = _norm(image, gram)
                for row in range(count):
                    small_basis.project_vector(other, image[row])
                leaving[side] = _norm(image, gram)
                small_basis.inner_products(other, other, gram)
                skew[side] = float(np.abs(gram - np.eye(count)).max())

        grain = 1 if n > 500 else 2
        run_ranges(iterate, 2, grain=grain)
        run_ranges(check, 2, grain=grain)
        self._bases = (np.ascontiguousarray(found[1]), np.ascontiguousarray(found[0]))
        fitting = all(part <= 1e4 * _EPS * high for part in leaving) and all(part <= 1e-12 for part in skew)
        return sizes[0] * (1.0 + 1e-9) if fitting else math.nan

    def _purify(self) -> None:
        """Take out of the bases what they have of kept directions: their images, in twice the precision, show it.

        That leaves errors of a few eps where inverse iteration leaves eps times the condition.
        """
        n = self.shape[0]
        purified = [basis.copy() for basis in self._bases]
        work = np.empty((0, 1))

        def purify(first: int, last: int) -> None:
            for side in range(first, last):
                adjoint = side == 0
                image, correction, nothing = np.empty(n), np.empty(n), np.zeros(n)
                for row in purified[side]:
                    self._sides[adjoint].residual(nothing, row, image)
                    self._once(image, correction, adjoint, work, overwrite=True)
                    row += correction
                small_basis.orthonormalize(purified[side], 2)

        run_ranges(purify, 2, grain=1 if n > 500 else 2)
        self._bases = (purified[0], purified[1])

    # ------------------------------------------------------------------ products

    def apply(self, b: Array, *, adjoint: bool) -> Array:
        """Return the pseudoinverse, or its transpose, times `b`, (n, k), in double precision."""
        if b.dtype.kind == "c":
            both = self.apply(np.hstack((b.real, b.imag)), adjoint=adjoint)
            return both[:, : b.shape[1]] + 1j * both[:, b.shape[1] :]
        n, width = b.shape
        # By a power of two for each column: neither products nor their rounding errors may leave the range.
        exponents = np.frexp(np.abs(b).max(axis=0))[1]
        x = np.empty((n, width))
        step = _block_width(n)

        def solve(first: int, last: int) -> None:
            with np.errstate(over="ignore", under="ignore"):
                for begin in range(first * step, min(last * step, width), step):
                    here = slice(begin, min(begin + step, width))
                    part = np.ldexp(b[:, here], -exponents[here], order="C").astype(np.float64, copy=False)
                    np.ldexp(self._refined(part, adjoint), exponents[here] - self._exponent, out=x[:, here])

        run_ranges(solve, -(-width // step))
        return x

    def write(self, result: Array, *, adjoint: bool) -> None:
        """Write all entries of the pseudoinverse, or of its transpose, into `result`, (n, n)."""
        n = self.shape[0]
        step = _block_width(n)

        def solve(first: int, last: int) -> None:
            units = np.zeros((n, step))
            for begin in range(first * step, min(last * step, n), step):
                end = min(begin + step, n)
                # The last columns may be fewer; they need rows without gaps.
                unit = units if end - begin == step else np.zeros((n, end - begin))
                ones = np.arange(begin, end), np.arange(end - begin)
                unit[ones] = 1.0
                x = self._refined(unit, adjoint)
                unit[ones] = 0.0
                with np.errstate(over="ignore", under="ignore"):
                    if abs(self._exponent) < 1000:
                        np.multiply(x, math.ldexp(1.0, -self._exponent), out=result[:, begin:end], casting="same_kind")
                    else:
                        result[:, begin:end] = np.ldexp(x, -self._exponent)

        run_ranges(solve, -(-n // step), pieces_per_thread=4)

    def _refined(self, b: Array, adjoint: bool) -> Array:
        """Solve for a block of numbers of moderate size."""
        single = b.shape[1] == 1
        matrix = self._sides[adjoint]
        right = b[:, 0] if single else b
        x, r = np.empty_like(right), np.empty_like(right)
        work = np.empty((self.dropped, b.shape[1]))
        shape, enough = b.shape, 0.25 * _EPS / self._contraction
        self._once(right, x, adjoint, work)
        correction = np.empty_like(right)
        for _ in range(self._refinements):
            matrix.residual(right, x, r)
            self._once(r, correction, adjoint, work, overwrite=True)
            # Another step would change less than rounding does.
            if small_basis.add(correction.reshape(shape), x.reshape(shape), enough):
                break
        return x[:, None] if single else x

    def _once(self, b: Array, x: Array, adjoint: bool, work: Array, *, overwrite: bool = False) -> None:
        """Put the projected inner inverse times `b` into `x`; `b` may be overwritten if that is said."""
        left, right = self._bases
        if adjoint:
            left, right = right, left
        if self.dropped:
            b = b if overwrite else b.copy()
            _project(left, b, work)
        (self._ridge.solve_adjoint if adjoint else self._ridge.solve)(b, x)
        if self.dropped:
            _project(right, x, work)

    def null_vectors(self) -> Array:
        """Return an orthonormal basis of the null space, (n, dropped)."""
        return self._bases[1].T.copy()


def far_entries(matrix: StridiagMatrix) -> Index | None:
    """Return which links lie off the three diagonals; None unless the matrix is a real chain with few of them."""
    structure = matrix.structure
    n = structure.shape[0]
    if structure.shape != (n, n) or n < 3 or matrix.dtype.kind == "c":
        return None
    if any(abs(offset) > 1 for offset in structure.offsets):
        return None
    far = np.flatnonzero(np.abs(structure.link_columns - structure.link_rows) > 1)
    # Up to six columns are kept for each.
    return far if 6 * far.size <= MOST_KEPT else None


def cutoff_bounds(
    sums: tuple[float, float, float, float], rows: Index, columns: Index, links: Array, rtol: float, atol: float
) -> tuple[float, float, float, float] | None:
    """Return bounds of the cutoff and of the largest singular value; None where the cutoff is too low.

    `sums` are the largest sums of a row and of a column of the chain, and of their squares.
    """
    row_sum, column_sum, row_square, column_square = sums
    largest_link = float(np.abs(links).max(initial=0.0))
    low = max(math.sqrt(max(row_square, column_square)), largest_link) * (1.0 - 1e-12)
    row_sum += float(np.bincount(rows, np.abs(links), 1).max())
    column_sum += float(np.bincount(columns, np.abs(links), 1).max())
    high = math.sqrt(row_sum * column_sum) * (1.0 + 1e-12)
    least, most = max(atol, rtol * low), max(atol, rtol * high)
    return (least, most, low, high) if least >= SMALLEST_RTOL * _EPS * high else None


def _share(sigma: float, bound: float) -> float:
    """Return how much a singular value adds to the count."""
    upper, lower = _UPPER * bound, _LOWER * bound
    gain = math.log((sigma * sigma + upper * upper) / (sigma * sigma + lower * lower))
    return gain / (2.0 * math.log(_UPPER / _LOWER))


def _smallest_kept(count: float, dropped: int, largest: float, bound: float, n: int) -> float:
    """Return a lower bound of the smallest singular value that is kept, if none that is dropped exceeds `largest`.

    What the values that are kept add to the count is an upper bound for the smallest one's part.
    """
    noise = 1e-7 + 1e-11 * n
    rest = max(count - dropped * _share(largest, bound), 0.0) + noise
    return bound * math.sqrt((_UPPER**2 - _LOWER**2) / (2.0 * math.log(_UPPER / _LOWER) * rest))


def _norm(rows: Array, gram: Array) -> float:
    """Return the 2-norm of `rows`, (k, n); `gram` is work space."""
    small_basis.inner_products(rows, rows, gram)
    return math.sqrt(float(np.linalg.norm(gram, 2)))


def _project(basis: Array, x: Array, work: Array) -> None:
    if x.ndim == 1:
        small_basis.project_vector(basis, x)
    else:
        small_basis.project(basis, x, work)


def _block_width(n: int) -> int:
    # A multiple of the processor's vectors.
    return min(256, max(8, _BLOCK // n // 8 * 8))
