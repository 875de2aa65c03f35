r"""Rank and pseudoinverse of one large connected block, linear in its size where few singular values are dropped.

The tall one of the block and its adjoint is factored as :math:`B \Pi = Q (R; 0)`, so that :math:`B^+ = \Pi R^+ Q_n^H`.
The number k of singular values at or below the cutoff is counted. If k = 0 then :math:`R^+ = R^{-1}`; otherwise

.. math:: R^+ \approx (I - V V^H)\, G\, (I - U U^H), \qquad G = R_1^{-1} Q_a^H = (R^H R + \tau^2 I)^{-1} R^H

with the singular vectors U, V that are dropped (`stridiag.linalg.subspaces`) and the bounded inner inverse G. What
tau changes is taken out again by refinement, each step of which multiplies the error by
:math:`\tau^2 / (\sigma^2 + \tau^2)` at most. Derivation and bounds: docs/theory/pseudoinverse.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._dtypes import double_type
from stridiag.errors import ConvergenceError, SizeLimitError
from stridiag.factorization.counting import SingularValueCounter
from stridiag.factorization.front_qr import FrontQR, front_layout
from stridiag.linalg.extremes import ACCURACY, COUNT_WORK, enclose, largest_singular_value, times_power
from stridiag.linalg.subspaces import grow_space, random_block, small_space
from stridiag.linalg.twofold import TwofoldResidual
from stridiag.planning.fronts import structural_rank

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["CORANK_LIMIT", "FACTOR_WORK", "ROUNDING", "SMALLEST_RTOL", "DirectBlock", "Neighbours"]

Array = NDArray[Any]
Index = NDArray[np.int64]

SMALLEST_RTOL = 100.0
"""Relative tolerance below which the direct way is refused, in units of eps of double precision."""

CORANK_LIMIT = 512
"""Singular values of one block that can be dropped."""

FACTOR_WORK = 1 << 38
"""Operations of an orthogonal factorization."""

ROUNDING = 4.0
"""Singular values up to that many eps times the largest are not told from zero by counting."""

# Numbers of each of the two bases.
_BASIS_LIMIT = 1 << 26
_COUNT_WORK = COUNT_WORK

_EPS = float(np.finfo(np.float64).eps)
# What the neighbours of the cutoff are found to.
_NEIGHBOUR_WIDTH = 1e-3


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How many singular values of a block are dropped, those next to the cutoff, and whether they were counted."""

    dropped: int
    smallest_kept: float | None
    largest_dropped: float | None
    certified: bool


class DirectBlock:
    """One connected block of a matrix, (r, c), without zero rows and columns.

    Parameters
    ----------
    rows, columns : ndarray of int64, (r,) and (c,)
        Where it lies in the matrix.
    matrix : csr_array, (r, c), of any value type
        Its nonzero entries. The work is done in double precision.
    """

    def __init__(self, rows: Index, columns: Index, matrix: csr_array[Any]) -> None:
        self.rows = rows
        self.columns = columns
        self.shape: tuple[int, int] = matrix.shape
        self.wide = self.shape[0] < self.shape[1]
        double = matrix.astype(double_type(matrix.dtype))
        # By a power of two, which changes no digit: squares must neither overflow nor vanish.
        self._exponent = math.frexp(float(np.abs(double.data).max()))[1]
        half = -(self._exponent // 2)
        double.data *= math.ldexp(1.0, half)
        double.data *= math.ldexp(1.0, -self._exponent - half)
        self._tall: csr_array[Any] = double.conj().T.tocsr() if self.wide else double
        self._dropped: int | None = None

    @cached_property
    def _adjoint(self) -> csr_array[Any]:
        return self._tall.conj().T.tocsr()

    @cached_property
    def _counter(self) -> SingularValueCounter:
        return SingularValueCounter(self._tall, _COUNT_WORK)

    @cached_property
    def _norm(self) -> float:
        """Return the largest singular value of the scaled block."""
        return largest_singular_value(self._tall, self._counter)

    @property
    def sigma_max(self) -> float:
        """Largest singular value; infinite where it exceeds the range of double precision."""
        return times_power(self._norm, self._exponent)

    @property
    def countable(self) -> bool:
        """Whether its singular values can be counted within the limit of operations."""
        return self._counter.affordable

    def sigma_min(self) -> float:
        """Return the smallest singular value of a block that is `countable`.

        It is enclosed to a relative 1e-12, of a matrix within rounding errors of the given one; zero if it cannot be
        told from zero, being at most 4 eps times the largest.
        """
        norm = self._norm
        floor = ROUNDING * _EPS * norm
        if structural_rank(self._tall) < self._tall.shape[1] or self._counter.below(floor) > 0:
            return 0.0
        return times_power(enclose(self._counter, 0, floor, norm * (1.0 + 1e-9), ACCURACY), self._exponent)

    @cached_property
    def _qr(self) -> FrontQR:
        return FrontQR.of(self._tall, front_layout(self._tall, FACTOR_WORK))

    # ------------------------------------------------------------------ rank

    def neighbours(self, cutoff: float) -> Neighbours:
        """Decide how many singular values are at most `cutoff`; later calls of other methods go by that.

        Raises
        ------
        SizeLimitError
            If the cutoff is too small for the direct way, or too many singular values are dropped to be found
            without counting.
        """
        side = self._tall.shape[1]
        scaled = times_power(cutoff, -self._exponent)
        norm = self._norm
        if not scaled >= SMALLEST_RTOL * _EPS * norm:
            raise SizeLimitError(
                f"the cutoff {cutoff:.3g} is less than {SMALLEST_RTOL:.0f} eps times its largest singular value "
                f"{self.sigma_max:.3g}, so that rounding would decide; raise rtol or atol"
            )
        self._cutoff = scaled
        self._smallest_kept = norm
        if scaled >= norm:
            self._dropped = side
            return Neighbours(side, None, self.sigma_max, certified=True)
        result = self._counted(scaled, norm, side) if self._counter.affordable else self._estimated(scaled, norm)
        missing = side - structural_rank(self._tall)
        if result.dropped < missing:
            raise ConvergenceError(
                f"{result.dropped} singular values were found at or below the cutoff, but its pattern alone makes "
                f"{missing} of them zero; raise rtol"
            )
        self._dropped = result.dropped
        self._smallest_kept = result.smallest_kept or norm
        kept, dropped = (
            None if value is None else times_power(value, self._exponent)
            for value in (result.smallest_kept, result.largest_dropped)
        )
        return Neighbours(result.dropped, kept, dropped, result.certified)

    def _counted(self, cutoff: float, norm: float, side: int) -> Neighbours:
        counter = self._counter
        # One that equals the cutoff is dropped, as in numpy.
        above = math.nextafter(cutoff, math.inf)
        dropped = counter.below(above)
        kept = None
        if dropped < side:
            kept = enclose(counter, dropped, above, norm * (1.0 + 1e-9), _NEIGHBOUR_WIDTH)
        small = None
        if dropped:
            # Below that, rounding errors are all there is to see.
            floor = _EPS * norm
            small = floor
            if counter.below(floor) < dropped:
                small = min(enclose(counter, dropped - 1, floor, above, _NEIGHBOUR_WIDTH), cutoff)
        return Neighbours(dropped, kept, small, certified=True)

    def _estimated(self, cutoff: float, norm: float) -> Neighbours:
        most = self._corank_limit()
        tau = self._tau(norm)
        ridge = self._qr.with_ridge(tau)
        n = self._qr.shape[1]
        found = grow_space(
            lambda x: ridge.solve_upper(ridge.solve_upper_adjoint(x)),
            self._qr.multiply_upper,
            n,
            self._tall.dtype,
            cutoff,
            most,
        )
        if found is None:
            raise SizeLimitError(
                f"counting its singular values would take too many operations, and more than {most} are dropped"
            )
        block = random_block((n, min(n, found + _guards(found))), self._tall.dtype)
        values = small_space(
            lambda x: ridge.solve_upper(ridge.solve_upper_adjoint(x)), self._qr.multiply_upper, block, found, norm
        ).values
        return Neighbours(
            found,
            float(values[found]) if found < n else None,
            float(values[found - 1]) if found else None,
            certified=False,
        )

    def _corank_limit(self) -> int:
        return min(CORANK_LIMIT, _BASIS_LIMIT // max(1, self._tall.shape[0]))

    def _tau(self, norm: float) -> float:
        # Large enough for the vectors on the left, whose eigenvalues tau^2 / (sigma^2 + tau^2) must stand out from
        # rounding errors, and far below all that is kept.
        rtol = self._cutoff / norm
        return norm * max(10.0 * _EPS, min(rtol * math.sqrt(rtol), 0.1 * rtol))

    # ------------------------------------------------------------------ subspaces

    def prepare(self) -> None:
        """Make the factors and bases that products and null spaces take, after `neighbours`.

        Raises
        ------
        SizeLimitError
            If too many singular values are dropped, or the factors would be too large.
        ConvergenceError
            If the bases do not settle.
        """
        if self._dropped is None:
            raise RuntimeError("neighbours() comes first")
        if self._dropped > self._corank_limit() and self._dropped < self._tall.shape[1]:
            raise SizeLimitError(
                f"{self._dropped} of its singular values are dropped, more than the direct way takes "
                f"({self._corank_limit()} for this size); use a smaller rtol, or damp in lstsq"
            )
        if self._dropped < self._tall.shape[1]:
            _ = self._bases

    @cached_property
    def _ridge(self) -> FrontQR:
        return self._qr.with_ridge(self._tau(self._norm))

    @cached_property
    def _bases(self) -> tuple[Array, Array]:
        """Return U and V for R, (n, k) each."""
        qr, norm, wanted = self._qr, self._norm, self._dropped or 0
        n = qr.shape[1]
        if wanted == 0:
            if not np.all(qr.diagonal != 0):
                raise ConvergenceError("no singular value was counted below the cutoff, but its factor is singular")
            empty = np.zeros((n, 0), self._tall.dtype)
            return empty, empty
        ridge = self._ridge
        start = random_block((n, min(n, wanted + _guards(wanted))), self._tall.dtype)
        right = small_space(
            lambda x: ridge.solve_upper(ridge.solve_upper_adjoint(x)), qr.multiply_upper, start, wanted, norm
        )
        left = small_space(self._complement, self._multiply_adjoint, start, wanted, norm)
        self._check(left.basis, right.basis)
        return left.basis, right.basis

    def _check(self, left: Array, right: Array) -> None:
        """Refuse bases that R does not carry into each other."""
        image = self._qr.multiply_upper(right)
        outside = image - left @ (left.conj().T @ image)
        largest = float(np.linalg.norm(outside, 2))
        if not largest <= 1e4 * _EPS * self._norm:
            raise ConvergenceError(
                f"the left and right singular vectors below the cutoff do not fit together: residual {largest:.1e}"
            )

    def _complement(self, x: Array) -> Array:
        """Apply I - Qa Qa^H."""
        n = self._qr.shape[1]
        stacked = np.zeros((2 * n, x.shape[1]), x.dtype)
        stacked[:n] = x
        z = self._ridge.rotate(stacked)
        z[:n] = 0
        return self._ridge.rotate_back(z)[:n]

    def _multiply_adjoint(self, x: Array) -> Array:
        """Return R^H x."""
        qr = self._qr
        result: Array = (self._adjoint @ qr.rotate_back(x))[qr.layout.order]
        return result

    # ------------------------------------------------------------------ products

    def apply(self, b: Array, *, adjoint: bool) -> Array:
        """Return the block's pseudoinverse, or its adjoint, times `b`, (r, k) or (c, k), in double precision."""
        if self._dropped == self._tall.shape[1]:
            return np.zeros((self.shape[0] if adjoint else self.shape[1], b.shape[1]), np.result_type(self._tall, b))
        if self._tall.dtype.kind != "c" and b.dtype.kind == "c":
            both = self.apply(np.hstack((b.real, b.imag)), adjoint=adjoint)
            return both[:, : b.shape[1]] + 1j * both[:, b.shape[1] :]
        b = b.astype(self._tall.dtype, copy=False)
        # By a power of two for each column: neither products nor their rounding errors may leave the range.
        largest = np.maximum(np.abs(b.real).max(axis=0), np.abs(b.imag).max(axis=0))
        exponents = np.frexp(largest)[1]
        b = _times_powers(b, -exponents)
        once = self._once_adjoint if adjoint is not self.wide else self._once
        residual = self._residual_adjoint if adjoint is not self.wide else self._residual
        x = once(b)
        for _ in range(self._refinements):
            x += once(residual(b, x))
        return _times_powers(x, exponents - self._exponent)

    @cached_property
    def _residual(self) -> TwofoldResidual:
        return TwofoldResidual(self._tall)

    @cached_property
    def _residual_adjoint(self) -> TwofoldResidual:
        return TwofoldResidual(self._adjoint)

    @cached_property
    def _refinements(self) -> int:
        if not self._dropped:
            return 1
        rate = (self._tau(self._norm) / self._smallest_kept) ** 2
        return min(60, max(2, math.ceil(math.log(_EPS) / math.log(rate))))

    def _once(self, b: Array) -> Array:
        qr, n = self._qr, self._qr.shape[1]
        z = qr.rotate(b)[:n]
        if self._dropped:
            left, right = self._bases
            z = _without(left, z)
            z = self._ridge.solve_upper(self._ridge.rotate(np.concatenate((z, np.zeros_like(z))))[:n])
            z = _without(right, z)
        else:
            z = qr.solve_upper(z)
        x = np.empty_like(z)
        x[qr.layout.order] = z
        return x

    def _once_adjoint(self, x: Array) -> Array:
        qr, n = self._qr, self._qr.shape[1]
        z = x[qr.layout.order]
        if self._dropped:
            left, right = self._bases
            z = self._ridge.solve_upper_adjoint(_without(right, z))
            z = _without(left, self._ridge.rotate_back(z)[:n])
        else:
            z = qr.solve_upper_adjoint(z)
        return qr.rotate_back(z)

    def null_vectors(self) -> Array:
        """Return an orthonormal basis of the block's null space, (c, c - rank).

        Raises
        ------
        SizeLimitError
            If that is too large.
        """
        r, c = self.shape
        side = self._tall.shape[1]
        dropped = self._dropped or 0
        if dropped == side:
            _require_room(c, c)
            return np.eye(c, dtype=self._tall.dtype)
        qr = self._qr
        if not self.wide:
            basis = np.empty((c, dropped), self._tall.dtype)
            basis[qr.layout.order] = self._bases[1]
            return basis
        # The tall matrix is the adjoint, so these are left vectors: U, and all that Q has beyond R.
        _require_room(c, c - r + dropped)
        z = np.zeros((c, c - r + dropped), self._tall.dtype)
        z[:side, :dropped] = self._bases[0]
        z[side:, dropped:] = np.eye(c - r)
        return qr.rotate_back(z)


def _times_powers(x: Array, exponents: Array) -> Array:
    """Return the columns of `x` times powers of two."""
    with np.errstate(over="ignore", under="ignore"):
        if x.dtype.kind != "c":
            return np.asarray(np.ldexp(x, exponents))
        result = np.empty_like(x)
        result.real, result.imag = np.ldexp(x.real, exponents), np.ldexp(x.imag, exponents)
        return result


def _without(basis: Array, z: Array) -> Array:
    result: Array = z - basis @ (basis.conj().T @ z)
    return result


def _guards(wanted: int) -> int:
    return max(4, wanted // 2)


def _require_room(rows: int, columns: int) -> None:
    if rows * columns > _BASIS_LIMIT:
        raise SizeLimitError(f"a basis of its null space has {rows} x {columns} numbers, the limit is {_BASIS_LIMIT}")
