r"""QR of a chain, with links or without, and a multiple of the identity below it.

:math:`(A; \tau I) = (Q_a; Q_b) R`, so that :math:`R^T R = A^T A + \tau^2 I`. See `stridiag._kernels.ridge_chain` and
`stridiag._kernels.ridge_condensation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import ridge_chain as chain
from stridiag._kernels import ridge_condensation as condensation
from stridiag._kernels import ridge_condensation_vector as vector
from stridiag._kernels import small_basis as basis
from stridiag._kernels.threads import run_ranges

__all__ = ["MOST_KEPT", "ChainWithLinks", "CondensedRidge", "PlainRidge", "kept_columns", "ridge_of"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MOST_KEPT = 256
"""Columns of the reduced matrix, which is factored as a dense one."""


@dataclass(frozen=True, slots=True, eq=False)
class ChainWithLinks:
    """Three diagonals and entries off them, of float64: no two in one place.

    Attributes
    ----------
    dl, d, du : ndarray, (n - 1,), (n,) and (n - 1,)
    rows, columns : ndarray of int64, (m,)
    values : ndarray, (m,)
    """

    dl: Array
    d: Array
    du: Array
    rows: Index
    columns: Index
    values: Array

    @property
    def T(self) -> ChainWithLinks:
        """The transpose."""
        return ChainWithLinks(self.du, self.d, self.dl, self.columns, self.rows, self.values)

    def residual(self, b: Array, x: Array, result: Array) -> None:
        """Put b - A x, computed in twice the precision, into `result`; all of shape (n,) or (n, k), contiguous."""
        if b.ndim == 1:
            chain.residual_vector(self.dl, self.d, self.du, b, x, result)
        else:
            chain.residual_block(self.dl, self.d, self.du, b, x, result)
        if self.rows.size:
            order = np.argsort(self.rows, kind="stable")
            shape = (self.d.size, -1)
            chain.residual_rows(
                self.dl,
                self.d,
                self.du,
                self.rows[order],
                self.columns[order],
                self.values[order],
                b.reshape(shape),
                x.reshape(shape),
                result.reshape(shape),
            )


def kept_columns(n: int, rows: Index, columns: Index) -> Index:
    """Return the columns that separate segments from each other and from links: runs of two or more."""
    keep = np.zeros(n, bool)
    for ends in (rows, columns):
        for shift in (-1, 0, 1):
            keep[np.clip(ends + shift, 0, n - 1)] = True
    return np.flatnonzero(keep)


def ridge_of(matrix: ChainWithLinks, tau: float, second_tau: float, *, products: bool) -> PlainRidge | CondensedRidge:
    """Factor with `tau` below.

    Parameters
    ----------
    matrix : ChainWithLinks
        Entries of at most one in size, n >= 3.
    tau, second_tau : float
        Of the second only the determinant is made.
    products : bool
        Whether products with Q_a are wanted, for which the rotations are stored.
    """
    return (CondensedRidge if matrix.rows.size else PlainRidge)(matrix, tau, second_tau, products=products)


class PlainRidge:
    """The factorization of a chain without links; see `ridge_of`.

    Attributes
    ----------
    second_logarithm : float
        Logarithm of the determinant of the R that belongs to the second ridge.
    """

    def __init__(self, matrix: ChainWithLinks, tau: float, second_tau: float, *, products: bool) -> None:
        n = matrix.d.size
        self._rows = np.empty((n, 3))
        self._turns = np.empty((n if products else 0, 8))
        self.second_logarithm = float(
            chain.factor_ridges(matrix.dl, matrix.d, matrix.du, tau, second_tau, self._rows, self._turns)
        )

    def invert_gram(self, pair: Array) -> None:
        """Replace two vectors, (2, n), by their products with the inverse of R' R."""
        chain.invert_gram(self._rows, pair)

    def solve(self, b: Array, x: Array) -> None:
        """Put the inverse of R times Q_a' b into `x`, of shape (n,) or (n, k) as `b`."""
        if b.ndim == 1:
            chain.solve_vector(self._rows, self._turns, b, x)
        else:
            chain.solve_block(self._rows, self._turns, b, x, np.empty((2, b.shape[1])))

    def solve_adjoint(self, b: Array, x: Array) -> None:
        """Put Q_a times the inverse of R' times b into `x`."""
        if b.ndim == 1:
            chain.solve_vector_adjoint(self._rows, self._turns, b, x)
        else:
            chain.solve_block_adjoint(self._rows, self._turns, b, x, np.empty((2, b.shape[1])))


class CondensedRidge:
    """The factorization of a chain with links; see `ridge_of`. Attributes and methods as `PlainRidge`."""

    def __init__(self, matrix: ChainWithLinks, tau: float, second_tau: float, *, products: bool) -> None:
        n = matrix.d.size
        kept = kept_columns(n, matrix.rows, matrix.columns)
        inner = np.ones(n + 2, bool)
        inner[kept + 1] = inner[0] = inner[-1] = False
        change = np.diff(inner.view(np.int8))
        self._starts = np.flatnonzero(change == 1)
        self._ends = np.flatnonzero(change == -1) - 1
        # A row belongs to a segment if it touches one of its columns.
        self._own = np.flatnonzero(~(inner[:-2] | inner[1:-1] | inner[2:]))
        self._kept = kept
        count = self._starts.size
        place = np.full(n + 2, -1)
        place[kept] = np.arange(kept.size)
        # The columns of what a segment leaves over; -1, which place[-1] is too, where there is none.
        self._neighbours = place[np.stack((self._ends + 1, self._ends + 2, self._starts - 2, self._starts - 1), axis=1)]
        self._places = np.nonzero(self._neighbours >= 0)
        self._r = np.empty((n, 5))
        self._turns = np.empty((n if products else 0, condensation.COEFFICIENTS))
        self._begins = np.empty((count, 2))
        logarithms = np.empty(count)
        segments = (self._starts, self._ends)
        left_over = np.empty((count, 4, 4))
        second_left_over = np.empty((count, 4, 4))

        def factor(first: int, last: int) -> None:
            condensation.factor_segments(
                matrix.dl,
                matrix.d,
                matrix.du,
                tau,
                second_tau,
                *segments,
                first,
                last,
                self._r,
                self._turns,
                self._begins,
                left_over,
                second_left_over,
                logarithms,
            )

        run_ranges(factor, count, pieces_per_thread=4)
        second = np.linalg.qr(self._reduced(matrix, place, second_left_over, second_tau), mode="r")
        with np.errstate(divide="ignore"):
            self.second_logarithm = float(logarithms.sum() + np.log(np.abs(np.diag(second))).sum())
        q, triangle = np.linalg.qr(self._reduced(matrix, place, left_over, tau))
        # Rows of the ridge have zeros on the right and are not asked for.
        self._q = np.ascontiguousarray(q[: 4 * count + self._own.size])
        self._triangle = np.ascontiguousarray(triangle)

    def _reduced(self, matrix: ChainWithLinks, place: Index, left_over: Array, tau: float) -> Array:
        """Return the rows that segments leave over, those of kept columns alone, and the ridge's."""
        count, size, own = self._starts.size, self._kept.size, self._own
        reduced = np.zeros((4 * count + own.size + size, size))
        segment, column = self._places
        for row in range(4):
            reduced[4 * segment + row, self._neighbours[segment, column]] = left_over[segment, row, column]
        number = np.full(matrix.d.size, -1)
        number[own] = np.arange(4 * count, 4 * count + own.size)
        reduced[number[own], place[own]] = matrix.d[own]
        after, before = own[own < matrix.d.size - 1], own[own > 0]
        reduced[number[after], place[after + 1]] = matrix.du[after]
        reduced[number[before], place[before - 1]] = matrix.dl[before - 1]
        reduced[number[matrix.rows], place[matrix.columns]] = matrix.values
        reduced[4 * count + own.size :] = tau * np.eye(size)
        return reduced

    def _over_segments(self, kernel: Any, *arguments: Any) -> None:
        def piece(first: int, last: int) -> None:
            kernel(self._starts, self._ends, first, last, *arguments)

        run_ranges(piece, self._starts.size, pieces_per_thread=4)

    def _transposed_upper(self, x: Array, left_over: Array) -> Array:
        """Solve R' z = x in place in the rows of segments, and return the rows of kept columns."""
        single = x.shape[1] == 1
        kernel = vector.solve_vector_transposed if single else condensation.solve_segments_transposed
        self._over_segments(kernel, self._r, _flat(x), _flat(left_over))
        right = x[self._kept]
        segment, column = self._places
        np.subtract.at(right, self._neighbours[segment, column], left_over[segment, column])
        basis.solve_triangle_transposed(self._triangle, right)
        return right

    def _upper(self, right: Array, x: Array) -> None:
        """Solve R x = z in place; the rows of kept columns are in `right`, which is overwritten."""
        basis.solve_triangle(self._triangle, right)
        x[self._kept] = right
        single = x.shape[1] == 1
        self._over_segments(vector.solve_vector if single else condensation.solve_segments, self._r, _flat(x))

    def _room(self, width: int) -> Array:
        return np.empty((self._starts.size, 4, width))

    def invert_gram(self, pair: Array) -> None:
        """See `PlainRidge`."""
        for row in pair:
            x = row[:, None]
            self._upper(self._transposed_upper(x, self._room(1)), x)

    def solve(self, b: Array, x: Array) -> None:
        """See `PlainRidge`."""
        columns, result = b.reshape(b.shape[0], -1), x.reshape(x.shape[0], -1)
        width = columns.shape[1]
        left_over = self._room(width)
        kernel = vector.rotate_vector if width == 1 else condensation.rotate_segments
        self._over_segments(kernel, self._turns, self._begins, _flat(columns), _flat(result), _flat(left_over))
        right = np.concatenate((left_over.reshape(-1, width), columns[self._own]))
        upper = np.empty((self._kept.size, width))
        basis.multiply_transposed(self._q, right, upper)
        self._upper(upper, result)

    def solve_adjoint(self, b: Array, x: Array) -> None:
        """See `PlainRidge`."""
        result = x.reshape(x.shape[0], -1)
        width = result.shape[1]
        result[:] = b.reshape(b.shape[0], -1)
        left_over = self._room(width)
        rest = np.empty((self._q.shape[0], width))
        basis.multiply(self._q, self._transposed_upper(result, left_over), rest)
        count = self._starts.size
        left_over[:] = rest[: 4 * count].reshape(left_over.shape)
        kernel = vector.rotate_back_vector if width == 1 else condensation.rotate_back_segments
        self._over_segments(kernel, self._turns, self._begins, _flat(result), _flat(left_over))
        result[self._own] = rest[4 * count :]


def _flat(x: Array) -> Array:
    """Return an array of one right-hand side without its last axis."""
    return x[..., 0] if x.shape[-1] == 1 else x
