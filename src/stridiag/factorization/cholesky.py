r"""Hermitian positive definite matrices: :math:`A = L D L^H` in the planned order of elimination.

See `stridiag._kernels.chain_cholesky`, `stridiag._kernels.cholesky` and docs/theory/cholesky.md. Here, unlike in the
other decompositions, values can be refused: who asks for Cholesky's method has promised what they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import chain_cholesky
from stridiag._kernels import cholesky as kernels
from stridiag._kernels.determinant import log_product
from stridiag.errors import NotHermitianError, NotPositiveDefiniteError
from stridiag.factorization.elementary import Diagonal, Elementary, Permutation
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.cholesky import ChainCholeskyLayout, CholeskyLayout

__all__ = ["ChainCholesky", "Cholesky", "SparseCholesky"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class Cholesky(ABC):
    r"""What the decompositions of positive definite matrices have in common.

    With :math:`C = L D^{1/2}`, in the order of elimination, :math:`A = C C^H`: `root` and `root_solve` apply C and its
    inverse, or their adjoints.
    """

    singularity: Singularity | None = None
    name: str
    _d: Array

    @abstractmethod
    def _solve_lower(self, x: Array) -> None:
        """Overwrite x with L^-1 x."""

    @abstractmethod
    def _solve_adjoint(self, x: Array) -> None:
        """Overwrite x with L^-H D^-1 x."""

    @abstractmethod
    def _multiply_lower(self, x: Array) -> None:
        """Overwrite x with L x."""

    @abstractmethod
    def _multiply_adjoint(self, x: Array) -> None:
        """Overwrite x with L^H x."""

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        self._solve_lower(b)
        self._solve_adjoint(b)
        return b

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        self._multiply_adjoint(x)
        x *= self._d[:, None]
        self._multiply_lower(x)
        return x

    def root(self, x: Array, *, adjoint: bool = False) -> Array:
        """Return C x, or C^H x, for a C-contiguous `x`, (n, m), which is overwritten."""
        scale = np.sqrt(self._d)[:, None]
        if adjoint:
            self._multiply_adjoint(x)
            x *= scale
        else:
            x *= scale
            self._multiply_lower(x)
        return x

    def root_solve(self, x: Array, *, adjoint: bool = False) -> Array:
        """Return C^-1 x, or C^-H x, for a C-contiguous `x`, (n, m), which is overwritten."""
        scale = np.sqrt(self._d)[:, None]
        if adjoint:
            x *= scale
            self._solve_adjoint(x)
        else:
            self._solve_lower(x)
            x /= scale
        return x

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`: all pivots are positive."""
        return 1.0, log_product(self._d)


class ChainCholesky(Cholesky):
    """Chains without links, eliminated from both ends. See `stridiag._kernels.chain_cholesky`."""

    name = "Cholesky (L D L^H) of chains"

    def __init__(self, layout: ChainCholeskyLayout, values: Array) -> None:
        self._layout = layout
        self._d = _real_diagonal(layout, values)
        self._l = _gather(values, layout.lower)
        if not np.array_equal(self._l, _conjugate(_gather(values, layout.upper))):
            columns = np.arange(layout.joins)
            _refuse(values, columns + layout.stride, columns, layout.lower, layout.upper)
        _require_positive(chain_cholesky.factor(layout.stride, self._d, self._l))

    def _solve_lower(self, x: Array) -> None:
        chain_cholesky.solve_lower(self._layout.stride, self._l, x)

    def _solve_adjoint(self, x: Array) -> None:
        chain_cholesky.solve_adjoint(self._layout.stride, self._d, self._l, x)

    def _multiply_lower(self, x: Array) -> None:
        chain_cholesky.multiply_lower(self._layout.stride, self._l, x)

    def _multiply_adjoint(self, x: Array) -> None:
        chain_cholesky.multiply_adjoint(self._layout.stride, self._l, x)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`: sums of positive terms."""
        result = np.empty_like(self._d)
        chain_cholesky.inverse_diagonal(self._layout.stride, self._d, self._l, result)
        return result.astype(self._l.dtype, copy=False)

    @property
    def selected_worth(self) -> int:
        """See `SelectedInverse`."""
        return 1

    def selected_entries(self, rows: Index, columns: Index) -> tuple[Array, NDArray[np.bool_]]:
        """See `SelectedInverse`: the diagonal, and the entries beside it."""
        diagonal = self.inverse_diagonal()
        result = diagonal[columns]
        g, half = self._layout.stride, self._layout.joins // 2
        first = np.minimum(rows, columns)
        on = np.abs(rows - columns) == g
        place = first[on]
        # The row of L, which is eliminated later, is the larger index in the first half and the smaller behind it.
        later = np.where(place < half, place + g, place)
        beside = -self._l[place] * diagonal[later]
        result[on] = np.where(rows[on] == later, beside, _conjugate(beside))
        return result, on | (rows == columns)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the order of elimination undone, L by columns, D, L^H by columns, the order."""
        n, half = self._d.size, self._layout.joins // 2
        places = np.arange(self._layout.joins)
        rows = np.where(places < half, places + self._layout.stride, places)
        columns = np.where(places < half, places, places + self._layout.stride)
        return _as_factors(n, self._d, self._layout.order, rows, columns, self._l)

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._d.nbytes + self._l.nbytes


class SparseCholesky(Cholesky):
    """Any symmetric pattern. See `stridiag._kernels.cholesky`."""

    name = "sparse Cholesky (L D L^H)"

    def __init__(self, layout: CholeskyLayout, values: Array) -> None:
        self._layout = layout
        filled = layout.filled
        self._d = _real_diagonal(layout, values)
        lower = values[layout.lower]
        if not np.array_equal(lower, _conjugate(values[layout.upper])):
            rows = np.repeat(filled.order, np.diff(layout.lower_start)).astype(np.int64)
            _refuse(values, rows, layout.lower_columns.astype(np.int64), layout.lower, layout.upper)
        self._l = np.empty(filled.entries, values.dtype)
        info = kernels.factor(
            filled.order,
            layout.lower_start,
            layout.lower_columns,
            lower,
            filled.row_start,
            filled.row_columns,
            filled.begin,
            filled.rows,
            self._l,
            self._d,
            filled.begin.copy(),
            np.zeros(self._d.size, values.dtype),
        )
        _require_positive(info)

    def _solve_lower(self, x: Array) -> None:
        filled = self._layout.filled
        kernels.solve_lower(filled.order, filled.column_start, filled.rows, self._l, x)

    def _solve_adjoint(self, x: Array) -> None:
        filled = self._layout.filled
        kernels.solve_adjoint(filled.order, filled.column_start, filled.rows, self._l, self._d, x)

    def _multiply_lower(self, x: Array) -> None:
        filled = self._layout.filled
        kernels.multiply_lower(filled.order, filled.column_start, filled.rows, self._l, x)

    def _multiply_adjoint(self, x: Array) -> None:
        filled = self._layout.filled
        kernels.multiply_adjoint(filled.order, filled.column_start, filled.rows, self._l, x)

    def selected_inverse(self) -> tuple[Array, Array]:
        """Return the entries of the inverse on the pattern of L, laid out as it is, and the diagonal, real."""
        filled = self._layout.filled
        below, diagonal = np.zeros_like(self._l), np.empty_like(self._d)
        where = np.full(self._d.size, -1, np.int64)
        kernels.selected_inverse(
            filled.order, filled.column_start, filled.begin, filled.rows, self._l, self._d, where, below, diagonal
        )
        return below, diagonal

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`: by Takahashi's equations."""
        return self.selected_inverse()[1].astype(self._l.dtype, copy=False)

    @property
    def selected_worth(self) -> int:
        """See `SelectedInverse`."""
        filled = self._layout.filled
        return 2 * filled.operations // max(filled.order.size + 4 * filled.entries, 1)

    def selected_entries(self, rows: Index, columns: Index) -> tuple[Array, NDArray[np.bool_]]:
        """See `SelectedInverse`: the entries on the pattern of L."""
        filled = self._layout.filled
        below, diagonal = self.selected_inverse()
        n = diagonal.size
        position = np.empty(n, np.int64)
        position[filled.order] = np.arange(n)
        r, c = position[rows], position[columns]
        # Ascending: columns stand in the order of elimination, and rows do within each.
        keys = np.repeat(np.arange(n) * n, np.diff(filled.column_start)) + position[filled.rows]
        wanted = np.minimum(r, c) * n + np.maximum(r, c)
        place = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
        known = keys[place] == wanted if keys.size else np.zeros(rows.size, bool)
        result = diagonal[columns].astype(self._l.dtype)
        found = below[place[known]]
        result[known] = np.where(r[known] > c[known], found, _conjugate(found))
        return result, known | (rows == columns)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the order of elimination undone, L by columns, D, L^H by columns, the order."""
        filled = self._layout.filled
        columns = np.repeat(filled.order, np.diff(filled.column_start)).astype(np.int64)
        return _as_factors(self._d.size, self._d, filled.order, filled.rows.astype(np.int64), columns, self._l)

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy, with the part of the plan that describes them."""
        return self._d.nbytes + self._l.nbytes + self._layout.filled.nbytes


def _gather(values: Array, slots: slice | Index) -> Array:
    """Return a copy of the values in these slots, zero where there is none."""
    if isinstance(slots, slice):
        return values[slots].copy()
    if values.size == 0:
        return np.zeros(slots.size, values.dtype)
    return np.where(slots >= 0, values[slots], values.dtype.type(0))


def _conjugate(values: Array) -> Array:
    return values.conj() if values.dtype.kind == "c" else values


def _real_diagonal(layout: ChainCholeskyLayout | CholeskyLayout, values: Array) -> Array:
    diagonal = _gather(values, layout.diagonal)
    if values.dtype.kind != "c":
        return diagonal
    bad = np.flatnonzero(diagonal.imag)
    if bad.size:
        i = int(bad[0])
        raise NotHermitianError(
            f"the matrix is not Hermitian: entry ({i}, {i}) is not real; Cholesky's method needs a Hermitian matrix",
            row=i,
            column=i,
        )
    return diagonal.real.copy()


def _refuse(values: Array, rows: Index, columns: Index, lower: slice | Index, upper: slice | Index) -> None:
    """Raise for the first pair of entries, by row and column of the one below the diagonal, that do not mirror."""
    below, above = _gather(values, lower), _conjugate(_gather(values, upper))
    bad = np.flatnonzero(below != above)
    row, column = np.maximum(rows, columns)[bad], np.minimum(rows, columns)[bad]
    first = np.lexsort((column, row))[0]
    i, j, k = int(row[first]), int(column[first]), bad[first]
    # The numbers themselves may be scaled here, so only their ratio is told.
    size = max(abs(below[k]), abs(above[k]))
    apart = abs(below[k] / size - above[k] / size)
    raise NotHermitianError(
        f"the matrix is not Hermitian: entries ({i}, {j}) and ({j}, {i}) are not "
        f"{'conjugate' if values.dtype.kind == 'c' else 'equal'}, they differ by {apart:.2g} of the larger one "
        f"({bad.size} such pairs); if only rounding did that, factor (A + A.H) * 0.5",
        row=i,
        column=j,
    )


def _require_positive(info: int) -> None:
    if info >= 0:
        raise NotPositiveDefiniteError(
            f"the matrix is not positive definite: the pivot of row {info} is not positive (and finite); "
            "the other methods of A.factor need no such matrix",
            row=int(info),
        )


def _as_factors(n: int, d: Array, order: Array, rows: Index, columns: Index, numbers: Array) -> list[SimpleFactor]:
    """Return P^T, L, D, L^H and P, given the entries of L by their original rows and columns."""
    position = np.empty(n, np.int64)
    position[order] = np.arange(n)
    r, c = position[rows], position[columns]

    def by_column(row: Index, column: Index, values: Array) -> dict[int, Elementary]:
        sort = np.argsort(column, kind="stable")
        row, column, values = row[sort], column[sort], values[sort]
        present, starts = np.unique(column, return_index=True)
        ends = np.append(starts, column.size)[1:]
        return {
            int(j): Elementary(n, int(j), row[a:b], values[a:b])
            for j, a, b in zip(present, starts.tolist(), ends.tolist(), strict=True)
        }

    lower = by_column(r, c, numbers)
    upper = by_column(c, r, _conjugate(numbers))
    place = Permutation(np.asarray(order, np.int64))
    return [
        place.inverse(),
        *(lower[j] for j in sorted(lower)),
        Diagonal(d[order].astype(numbers.dtype, copy=False)),
        *(upper[j] for j in sorted(upper, reverse=True)),
        place,
    ]
