"""What the simple factors have in common: one protocol, products of many of them, and the checks of what they hold.

The factors themselves: `stridiag.factorization.elementary`, `stridiag.factorization.unitary`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index, as_values, require_finite
from stridiag.errors import StructureError

__all__ = [
    "MAX_Q_ENTRIES",
    "SimpleFactor",
    "as_places",
    "as_vector",
    "freeze",
    "inverse_factors",
    "multiply_out",
    "without_identities",
]

Array = NDArray[Any]

MAX_Q_ENTRIES = 1 << 24
"""Entries above which Q is not made as a sparse array, unless asked for: 200 MB in double precision."""
Index = NDArray[np.int64]


class SimpleFactor(ABC):
    """A square matrix with a closed-form inverse; immutable. The common base of this module's classes."""

    __slots__ = ()
    # ndarray @ factor is refused instead of being taken apart element by element.
    __array_ufunc__ = None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values; bool for a permutation, which goes with any."""

    @abstractmethod
    def inverse(self) -> SimpleFactor:
        """Return the inverse, of the same kind.

        Raises
        ------
        SingularMatrixError
            If there is none that the dtype can hold.
        """

    @abstractmethod
    def embed(self, n: int, places: ArrayLike) -> SimpleFactor:
        """Return the matrix of order `n` that acts as this one on the rows `places`, and leaves the others alone."""

    @abstractmethod
    def slogdet(self) -> tuple[Any, float]:
        """Return sign (or phase) and logarithm of the magnitude of the determinant; (0, -inf) if singular."""

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """Return the product with `x`, (n, m), of a type that can hold it. Unchecked; `x` may be overwritten."""

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether this is the identity matrix exactly."""

    def det(self) -> Any:
        """Return the determinant; it may overflow where `slogdet` does not."""
        phase, log = self.slogdet()
        with np.errstate(over="ignore"):
            return phase * np.exp(log)

    def toarray(self) -> Array:
        """Return the dense matrix."""
        kind = np.float64 if self.dtype == np.bool_ else self.dtype
        return self.apply(np.eye(self.shape[0], dtype=kind))

    def __matmul__(self, x: ArrayLike) -> Array:
        """Multiply a vector, (n,), or the columns of a block, (n, m), in time proportional to the stored entries."""
        if isinstance(x, SimpleFactor):
            return NotImplemented
        return multiply_out([self], x)


def multiply_out(factors: Iterable[SimpleFactor], x: ArrayLike) -> Array:
    """Return the product of all factors, in the given order, with `x`.

    Parameters
    ----------
    factors : iterable of SimpleFactor
        All of order n. None at all stand for the identity.
    x : array_like, (n,) or (n, m)

    Returns
    -------
    ndarray
        Of the shape of `x`. Costs one pass over the entries that the factors store, where ``factor @ x`` for one
        after the other copies the vector every time.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag.factorization import inverse_factors, multiply_out
    >>> A = stridiag.random(30, offsets=(-2, 0, 2), links=2, rng=0, dominant=True)
    >>> factors = A.factor().factors()
    >>> bool(np.allclose(multiply_out(factors, np.ones(30)), A @ np.ones(30)))
    True
    >>> bool(np.allclose(A @ multiply_out(inverse_factors(factors), np.ones(30)), 1))
    True
    """
    chain = list(factors)
    right = as_values(x, "x")
    orders = {factor.shape[0] for factor in chain}
    if right.ndim not in (1, 2) or not orders <= {right.shape[0]}:
        n = min(orders, default="n")
        raise ValueError(f"x must have shape ({n},) or ({n}, m), got {right.shape}")
    kind = np.result_type(right.dtype, *{factor.dtype for factor in chain})
    result = np.array(right[:, None] if right.ndim == 1 else right, kind, order="C")
    for factor in reversed(chain):
        result = factor.apply(result)
    return result[:, 0] if right.ndim == 1 else result


def inverse_factors(factors: Iterable[SimpleFactor]) -> list[SimpleFactor]:
    """Return the inverses in reverse order: factors of the inverse of the product.

    Raises
    ------
    SingularMatrixError
        If one of them has no inverse.
    """
    return [factor.inverse() for factor in reversed(list(factors))]


def without_identities(factors: Iterable[SimpleFactor]) -> list[SimpleFactor]:
    """Return the factors that do something."""
    return [factor for factor in factors if not factor.is_identity]


# ---------------------------------------------------------------------- checks


def freeze(factor: SimpleFactor, **fields: Any) -> None:
    """Put checked values into a frozen factor, arrays read-only."""
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            value = value.view()
            value.setflags(write=False)
        object.__setattr__(factor, name, value)


def as_places(rows: ArrayLike, n: int) -> Index:
    """Return row numbers, checked to be distinct and below n."""
    index = as_index(rows, "rows")
    if index.size and not (index.min() >= 0 and index.max() < n):
        raise StructureError(f"rows must lie in [0, {n}), got {index}")
    if index.size > 1 and not (np.diff(index) > 0).all() and np.unique(index).size < index.size:
        raise StructureError(f"rows must be distinct, got {index}")
    return index


def as_vector(values: ArrayLike, name: str, size: int | None = None) -> Array:
    """Return a copy of finite values, (size,)."""
    array = as_values(values, name)
    if array.ndim != 1 or (size is not None and array.size != size):
        raise StructureError(f"{name} must have shape ({'n' if size is None else size},), got {array.shape}")
    require_finite(array, name)
    return np.array(array)
