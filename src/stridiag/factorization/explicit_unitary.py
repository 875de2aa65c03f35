"""The unitary factor of `stridiag.factorization.explicit`: as a sparse array, and as an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import SizeLimitError
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.unitary import Reflection, Rotation

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator

__all__ = ["UnitaryProduct", "multiplied_rows"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class UnitaryProduct:
    """The product of a permutation, reflections and rotations, and a permutation, as array and as operator."""

    def __init__(
        self, factors: Sequence[SimpleFactor], names: Index, order: Index, dtype: np.dtype[Any], max_entries: int
    ) -> None:
        self._factors = factors
        self._names = names
        self._order = order
        self._dtype = dtype
        self._max_entries = max_entries

    def array(self) -> csr_array[Any]:
        """Return the sparse array."""
        rows = multiplied_rows(self._factors, self._names.size, self._dtype, self._max_entries)
        q: csr_array[Any] = rows[self._names].tocsc()[:, self._order].tocsr()
        return q

    def operator(self) -> LinearOperator:
        """Return the operator."""
        from scipy.sparse.linalg import LinearOperator

        n = self._names.size

        def multiply(x: Array) -> Array:
            kind = np.result_type(x.dtype, self._dtype)
            y = np.empty((n, 1 if x.ndim == 1 else x.shape[1]), kind)
            y[self._order] = x.reshape(y.shape)
            for factor in reversed(self._factors):
                y = factor.apply(y)
            return y[self._names].reshape(x.shape)

        def multiply_adjoint(x: Array) -> Array:
            kind = np.result_type(x.dtype, self._dtype)
            y = np.empty((n, 1 if x.ndim == 1 else x.shape[1]), kind)
            y[self._names] = x.reshape(y.shape)
            for factor in self._factors:
                y = factor.inverse().apply(y)
            return y[self._order].reshape(x.shape)

        made: LinearOperator = LinearOperator(
            shape=(n, n),
            dtype=self._dtype,
            matvec=multiply,
            matmat=multiply,
            rmatvec=multiply_adjoint,
            rmatmat=multiply_adjoint,
        )
        return made


def multiplied_rows(factors: Sequence[SimpleFactor], n: int, dtype: np.dtype[Any], max_entries: int) -> Any:
    """Return the product of reflections and rotations as a csr_array, made row by row."""
    from scipy.sparse import csr_array

    indices = list(np.arange(n)[:, None])
    values = list(np.ones((n, 1), dtype))
    entries = n
    for factor in reversed(factors):
        if factor.is_identity:
            continue
        rows = np.array([factor.first, factor.second]) if isinstance(factor, Rotation) else factor.rows  # type: ignore[attr-defined]
        together = np.unique(np.concatenate([indices[i] for i in rows])) if rows.size else rows
        block = np.zeros((rows.size, together.size), dtype)
        for k, i in enumerate(rows.tolist()):
            block[k, np.searchsorted(together, indices[i])] = values[i]
            entries += together.size - indices[i].size
        if entries > max_entries:
            raise SizeLimitError(
                f"Q as a sparse array would hold more than {max_entries} entries; use Q_operator, which holds the "
                "reflections or rotations themselves, or a larger max_entries"
            )
        if isinstance(factor, Rotation):
            local: SimpleFactor = Rotation(2, 0, 1, factor.cosine, factor.sine)
        else:
            assert isinstance(factor, Reflection)
            local = Reflection(rows.size, np.arange(rows.size), factor.vector, factor.tau)
        block = local.apply(block)
        for k, i in enumerate(rows.tolist()):
            indices[i], values[i] = together, block[k]
    pointers = np.concatenate(([0], np.cumsum([part.size for part in indices], dtype=np.int64)))
    if n == 0:
        return csr_array((0, 0), dtype=dtype)
    return csr_array((np.concatenate(values), np.concatenate(indices), pointers), shape=(n, n))
