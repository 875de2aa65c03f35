"""A decomposition of a matrix whose largest entry is near the end of the exponent range.

Elimination doubles numbers, and reflections add up squares: at 1e308 either overflows, on matrices that are nothing
but large. So such a matrix is factored after division by a power of two, which changes no digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity

__all__ = [
    "Scaled",
    "bounds",
    "decompose_in_range",
    "exponents_out_of_range",
    "in_range",
    "largest_parts",
    "times_power",
]

Array = NDArray[Any]

# Share of the exponent range, on either side, within which numbers are left as they are.
_SAFE = 0.9


def decompose_in_range(
    values: Array, order: int, decompose: Callable[[Array], Decomposition], largest: float | None = None
) -> Decomposition:
    """Return the decomposition of the values of a matrix of some order, scaled where they need it.

    `largest` is the largest magnitude of real values, if known.
    """
    known = None if largest is None else np.array([largest], values.dtype)
    exponent = int(exponents_out_of_range(values[None], known)[0])
    if exponent == 0:
        return decompose(values)
    return Scaled(decompose(times_power(values, -exponent)), exponent, order, values.real.dtype)


def exponents_out_of_range(values: Array, largest: Array | None = None) -> NDArray[np.int64]:
    """Return for each matrix, (members, nnz), the power of two of its largest entry; 0 if that needs no scaling."""
    largest = largest_parts(values) if largest is None else largest
    limits = np.finfo(values.dtype)
    # In double precision, so that the power of a number that is not finite in the type is that of no number.
    exponent = np.frexp(largest.astype(np.float64))[1].astype(np.int64)
    fits = (largest == 0.0) | ((_SAFE * limits.minexp < exponent) & (exponent < _SAFE * limits.maxexp))
    return np.where(fits, 0, exponent)


@lru_cache
def bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the least magnitude that needs no scaling as the largest of a matrix, and the first above that does."""
    limits = np.finfo(dtype)
    return (
        math.ldexp(1.0, math.floor(_SAFE * limits.minexp)),
        math.ldexp(1.0, math.ceil(_SAFE * limits.maxexp) - 1),
    )


def in_range(largest: float, dtype: np.dtype[Any]) -> bool:
    """Whether a matrix of that largest magnitude, more than zero, needs no scaling; not if it is no number."""
    low, high = bounds(dtype)
    return low <= largest < high


def largest_parts(values: Array) -> Array:
    """Return for each matrix, (members, nnz), the largest magnitude of a real or imaginary part."""
    # Parts are views, and so nothing of the size of the values is made.
    parts = (values.real, values.imag) if values.dtype.kind == "c" else (values,)
    ends = [end for part in parts for end in (part.max(axis=1, initial=0.0), -part.min(axis=1, initial=0.0))]
    return np.asarray(np.maximum.reduce(ends))


def times_power(values: Array, exponent: int) -> Array:
    """Return values times two to the exponent, in two steps: one power alone may not be a number of the type."""
    half = exponent // 2
    kind = values.real.dtype.type
    result: Array = values * kind(math.ldexp(1.0, half))
    result *= kind(math.ldexp(1.0, exponent - half))
    return result


class Scaled:
    """``2**exponent`` times a matrix that has been decomposed: `inner`."""

    def __init__(self, inner: Decomposition, exponent: int, order: int, dtype: np.dtype[Any]) -> None:
        self.inner = inner
        self.exponent = exponent
        self._order = order
        self._dtype = dtype
        self.name = inner.name

    @property
    def singularity(self) -> Singularity | None:
        """See `Decomposition`."""
        return self.inner.singularity

    @singularity.setter
    def singularity(self, found: Singularity | None) -> None:
        self.inner.singularity = found

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        return self.inner.solve(times_power(b, -self.exponent), adjoint=adjoint)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        return times_power(self.inner.multiply(x), self.exponent)

    def root(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.cholesky.Cholesky.root`."""
        from stridiag.factorization.cholesky import Cholesky

        assert isinstance(self.inner, Cholesky)
        return self._times_root(self.inner.root(x, adjoint=adjoint), 1)

    def root_solve(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.cholesky.Cholesky.root_solve`."""
        from stridiag.factorization.cholesky import Cholesky

        assert isinstance(self.inner, Cholesky)
        return self._times_root(self.inner.root_solve(x, adjoint=adjoint), -1)

    def _times_root(self, x: Array, sign: int) -> Array:
        """Return x times the square root of the power of two, or its reciprocal."""
        half, odd = divmod(sign * self.exponent, 2)
        result = times_power(x, half)
        result *= self._dtype.type(math.sqrt(2.0) if odd else 1.0)
        return result

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        phase, log = self.inner.slogdet()
        return phase, log + self._order * self.exponent * math.log(2.0)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return times_power(self.inner.inverse_diagonal(), -self.exponent)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the power of two as two diagonals, since one may lie beyond the type's range."""
        from stridiag.factorization.elementary import Diagonal

        half = self.exponent // 2
        powers = (math.ldexp(1.0, half), math.ldexp(1.0, self.exponent - half))
        return [*(Diagonal(np.full(self._order, power, self._dtype)) for power in powers), *self.inner.factors()]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self.inner.nbytes
