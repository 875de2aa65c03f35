"""Matrices and vectors in long double, scaled by powers of two: what the test ratios are formed with."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import StridiagMatrix

__all__ = [
    "Extended",
    "extend",
    "ldexp",
    "matrix_norm",
    "normal_vector",
    "product",
    "quotient",
    "scaled",
    "two_norm",
    "unit_of",
    "vector_norm",
]

Array = NDArray[Any]


class Extended:
    """A matrix by its entries, scaled by a power of two to a largest entry of about 1, in long double."""

    def __init__(self, matrix: Any) -> None:
        if isinstance(matrix, StridiagMatrix):
            matrix._require_single("a test ratio")
            self.rows, self.columns = matrix.structure.coordinates()
            values: Array = matrix.values
            self.shape = matrix.structure.shape
        else:
            if hasattr(matrix, "toarray"):
                matrix = matrix.toarray()
            array = np.asarray(matrix)
            if array.ndim != 2:
                raise ValueError(f"expected a matrix, got an array of shape {array.shape}")
            self.shape = (array.shape[0], array.shape[1])
            self.rows, self.columns = (k.ravel() for k in np.indices(self.shape))
            values = array.ravel()
        self.eps = unit_of(values)
        self.values, self.exponent = scaled(values)

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.values).all())

    def _like(self, rows: Array, columns: Array, values: Array, shape: tuple[int, int]) -> Extended:
        other = object.__new__(Extended)
        other.rows, other.columns, other.values, other.shape = rows, columns, values, shape
        other.eps, other.exponent = self.eps, self.exponent
        return other

    def transposed(self, *, conjugate: bool) -> Extended:
        values = self.values.conj() if conjugate else self.values
        return self._like(self.columns, self.rows, values, self.shape[::-1])

    def magnitudes(self) -> Extended:
        return self._like(self.rows, self.columns, abs(self.values), self.shape)

    @property
    def is_dense(self) -> bool:
        return self.values.size == self.shape[0] * self.shape[1]

    def dense(self) -> Array:
        result = np.zeros(self.shape, self.values.dtype)
        result[self.rows, self.columns] = self.values
        return result

    def times(self, x: Array) -> Array:
        if self.is_dense:
            return np.asarray(self.dense() @ x)
        result = np.zeros((self.shape[0], x.shape[1]), np.result_type(self.values, x))
        np.add.at(result, self.rows, self.values[:, None] * x[self.columns])
        return result

    def norm(self, which: Literal[1, "inf"]) -> Any:
        sums = np.zeros(self.shape[1 if which == 1 else 0], np.longdouble)
        np.add.at(sums, self.columns if which == 1 else self.rows, abs(self.values))
        return sums.max(initial=0)


def product(first: Extended, second: Extended) -> Array:
    """Return the dense product, with the sparser one kept sparse."""
    if first.values.size <= second.values.size:
        return first.times(second.dense())
    left = second.transposed(conjugate=False)
    return left.times(first.dense().T).T


def unit_of(array: Array) -> float:
    """Return the rounding unit of an array's type; 0 for integers, which are exact."""
    return float(np.finfo(array.dtype).eps) if array.dtype.kind in "fc" else 0.0


def extend(array: Array) -> Array:
    return array.astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)


def scaled(array: Array) -> tuple[Array, int]:
    """Return the array in long double, divided by a power of two, and that power."""
    extended = extend(array)
    parts = (extended.real, extended.imag) if extended.dtype.kind == "c" else (extended,)
    # By parts, since abs of a complex number may overflow.
    top = max((abs(part).max(initial=0) for part in parts), default=0)
    if not 0 < top < np.inf:
        return extended, 0
    exponent = int(np.frexp(top)[1])
    return ldexp(extended, -exponent), exponent


def ldexp(array: Any, exponent: int) -> Any:
    """Return ``array * 2**exponent``, exactly, for real and complex arrays and scalars."""
    if np.iscomplexobj(array):
        result = np.empty_like(array)
        result.real, result.imag = np.ldexp(array.real, exponent), np.ldexp(array.imag, exponent)
        return result
    return np.ldexp(array, exponent)


def vector_norm(vector: Array, norm: Literal[1, "inf"]) -> Any:
    return abs(vector).sum() if norm == 1 else abs(vector).max(initial=0)


def two_norm(vector: Array) -> Any:
    return np.sqrt(np.sum(abs(vector) ** 2))


def matrix_norm(matrix: Array) -> Any:
    return abs(matrix).sum(axis=0).max(initial=0)


def normal_vector(generator: np.random.Generator, size: int, dtype: np.dtype[Any]) -> Array:
    values = generator.standard_normal(size)
    if dtype.kind == "c":
        values = values + 1j * generator.standard_normal(size)
    return values.astype(dtype)


def quotient(error: Any, bound: Any, unit: float) -> float:
    if error == 0:
        return 0.0
    # Written so that a NaN on either side ends here as well.
    if not (error < np.inf and 0 < bound * unit < np.inf):
        return math.inf
    return float(error / bound / unit)
