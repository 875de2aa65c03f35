r"""Simple matrices, each inverted in closed form, into which a factored matrix falls apart.

.. math:: A = F_1 F_2 \cdots F_k, \qquad A^{-1} = F_k^{-1} \cdots F_2^{-1} F_1^{-1}

==============  =============================================  ==================================  ==================
factor          matrix                                         inverse                             determinant
==============  =============================================  ==================================  ==================
`Permutation`   P with (P x)_i = x_order[i]                    the inverse order                   its sign
`Diagonal`      D                                              reciprocals                         product
`Elementary`    identity, but v + p e_j in column j; v_j = 0   -v / p + e_j / p in column j        p, mostly 1
`Reflection`    I - tau v v^H, unitary                         I - conj(tau) v v^H                 -tau / conj(tau)
`Rotation`      (c, s; -conj(s), c) in two rows, unitary       -s in place of s                    1
==============  =============================================  ==================================  ==================

A factor stores what makes it differ from the identity, and multiplies that. How a triangular matrix becomes such
factors: `triangular_factors`. Derivation: docs/theory/factors.md.

References: Golub & Van Loan, *Matrix Computations*, 4th ed., sections 3.2 and 5.1; the form with p other than 1 is
the "product form of the inverse" of G. B. Dantzig and W. Orchard-Hays, Math. Tables Aids Comput. 8 (1954) 64-67.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels.permutations import permutation_sign
from stridiag._validate import as_index, as_values, require_finite
from stridiag.errors import SingularMatrixError, StructureError
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.simple_factor import SimpleFactor, as_places, as_vector, freeze, without_identities
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from scipy.sparse import csc_array, sparray

__all__ = ["Diagonal", "Elementary", "Permutation", "columns_of_triangle", "triangular_factors"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Permutation(SimpleFactor):
    """The permutation matrix P with ``P @ x == x[order]``.

    Parameters
    ----------
    order : array_like of int, (n,)
        Each of 0, ..., n - 1 once.

    Examples
    --------
    >>> from stridiag.factorization import Permutation
    >>> P = Permutation([2, 0, 1])
    >>> P @ [10, 11, 12]
    array([12., 10., 11.])
    >>> P.inverse() @ (P @ [10, 11, 12])
    array([10., 11., 12.])
    """

    order: Index

    def __post_init__(self) -> None:
        order = as_index(self.order, "order")
        n = order.size
        if n and not (order.min() >= 0 and order.max() < n and (np.bincount(order, minlength=n) == 1).all()):
            raise StructureError(f"order must hold each of 0, ..., {n - 1} once, got {order}")
        freeze(self, order=order)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.order.size, self.order.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """bool: a permutation keeps the type of what it is applied to."""
        return np.dtype(np.bool_)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved."""
        return bool((self.order == np.arange(self.order.size)).all())

    def inverse(self) -> Permutation:
        """Return the inverse, which is the transpose."""
        return Permutation(np.argsort(self.order))

    def embed(self, n: int, places: ArrayLike) -> Permutation:
        """See `SimpleFactor.embed`."""
        where = as_index(places, "places")
        order = np.arange(n)
        order[where] = where[self.order]
        return Permutation(order)

    def slogdet(self) -> tuple[float, float]:
        """Return the sign of the permutation, and 0."""
        return float(permutation_sign(self.order, np.zeros(self.order.size, np.uint8))), 0.0

    def apply(self, x: Array) -> Array:
        """See `SimpleFactor.apply`."""
        return x[self.order]


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal(SimpleFactor):
    """A diagonal matrix.

    Parameters
    ----------
    values : array_like, (n,)

    Examples
    --------
    >>> from stridiag.factorization import Diagonal
    >>> Diagonal([2, 4]).inverse() @ [2, 2]
    array([1. , 0.5])
    """

    values: Array

    def __post_init__(self) -> None:
        freeze(self, values=as_vector(self.values, "values"))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.size, self.values.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.values.dtype

    @property
    def is_identity(self) -> bool:
        """Whether all values are one."""
        return bool((self.values == 1).all())

    def inverse(self) -> Diagonal:
        """Return the diagonal of the reciprocals."""
        with np.errstate(all="ignore"):
            reciprocals = 1 / self.values
        return Diagonal(_require_inverse(reciprocals, self.values, "diagonal"))

    def embed(self, n: int, places: ArrayLike) -> Diagonal:
        """See `SimpleFactor.embed`."""
        values = np.ones(n, self.dtype)
        values[as_index(places, "places")] = self.values
        return Diagonal(values)

    def slogdet(self) -> tuple[Any, float]:
        """Return phase and logarithm of the magnitude of the product of the values."""
        return phase_and_log(self.values)

    def apply(self, x: Array) -> Array:
        """See `SimpleFactor.apply`."""
        x *= self.values[:, None]
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Elementary(SimpleFactor):
    r"""The identity with another column j: :math:`I + v e_j^T`, :math:`v_j = 0` (a Gauss or Frobenius matrix).

    Its inverse is :math:`I - v e_j^T`, since :math:`e_j^T v = 0`. With a pivot p the entry (j, j) is p in place of 1.

    Parameters
    ----------
    n : int
        Order.
    column : int
        j.
    rows : array_like of int, (k,)
        Where v has entries: distinct, and j is not among them.
    values : array_like, (k,)
        The entries of v.
    pivot : number, default 1
        p. Zero in the factors of a singular matrix.

    Examples
    --------
    >>> from stridiag.factorization import Elementary
    >>> L = Elementary(3, 0, [1, 2], [5, 7])
    >>> L.toarray()
    array([[1., 0., 0.],
           [5., 1., 0.],
           [7., 0., 1.]])
    >>> L.inverse().values
    array([-5., -7.])
    """

    n: int
    column: int
    rows: Index
    values: Array
    pivot: Any = 1.0

    def __post_init__(self) -> None:
        rows = as_places(self.rows, self.n)
        if not 0 <= self.column < self.n or (rows == self.column).any():
            raise StructureError(
                f"column must lie in [0, {self.n}) and not be among the rows, got {self.column} and {rows}"
            )
        values = as_vector(self.values, "values", rows.size)
        kind = np.result_type(values.dtype, self.pivot)
        if not np.isfinite(self.pivot):
            raise StructureError(f"pivot must be finite, got {self.pivot}")
        freeze(self, rows=rows, values=values.astype(kind, copy=False), pivot=kind.type(self.pivot))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n, self.n

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.values.dtype

    @property
    def is_identity(self) -> bool:
        """Whether the pivot is one and all values are zero."""
        return bool(self.pivot == 1 and not self.values.any())

    def inverse(self) -> Elementary:
        """Return the inverse: the signs flipped, and all of column j divided by the pivot."""
        if self.pivot == 1:
            return Elementary(self.n, self.column, self.rows, -self.values)
        with np.errstate(all="ignore"):
            column = np.append(-self.values, self.dtype.type(1)) / self.pivot
        _require_inverse(column, np.full(column.size, self.pivot), f"elementary matrix of column {self.column}")
        return Elementary(self.n, self.column, self.rows, column[:-1], column[-1])

    def embed(self, n: int, places: ArrayLike) -> Elementary:
        """See `SimpleFactor.embed`."""
        where = as_index(places, "places")
        return Elementary(n, int(where[self.column]), where[self.rows], self.values, self.pivot)

    def slogdet(self) -> tuple[Any, float]:
        """Return phase and logarithm of the magnitude of the pivot."""
        return phase_and_log(np.array([self.pivot]))

    def apply(self, x: Array) -> Array:
        """See `SimpleFactor.apply`."""
        x[self.rows] += self.values[:, None] * x[self.column]
        if self.pivot != 1:
            x[self.column] *= self.pivot
        return x


def triangular_factors(matrix: StridiagMatrix | sparray) -> list[SimpleFactor]:
    r"""Decompose a nonsingular triangular matrix into elementary factors and one diagonal.

    .. math:: L = L_1 L_2 \cdots L_n D \qquad\text{or}\qquad U = U_n \cdots U_2 U_1 D

    Column j of the elementary factor j is that of the matrix, divided by its diagonal entry.

    Parameters
    ----------
    matrix : StridiagMatrix or scipy sparse array, (n, n)
        Lower or upper triangular.

    Returns
    -------
    list of SimpleFactor
        `Elementary` factors, ascending for a lower and descending for an upper triangle, then a `Diagonal`;
        identities are left out. Every factor is inverted without arithmetic but signs and reciprocals. Made in time
        proportional to the stored entries.

    Raises
    ------
    StructureError
        If the matrix is not square, or not triangular, or a batch.
    SingularMatrixError
        If an entry of the diagonal is zero.

    Examples
    --------
    >>> from stridiag import StridiagMatrix
    >>> from stridiag.factorization import triangular_factors
    >>> L = StridiagMatrix.from_diagonals({0: [2, 4, 5], -1: [6, 8]}, links=([2], [0], [1]))
    >>> *columns, D = triangular_factors(L)
    >>> [(E.column, E.rows.tolist(), E.values.tolist()) for E in columns], D.values
    ([(0, [1, 2], [3.0, 0.5]), (1, [2], [2.0])], array([2., 4., 5.]))
    """
    from scipy.sparse import csc_array, issparse

    if isinstance(matrix, StridiagMatrix):
        if matrix.batch_shape:
            raise StructureError(f"triangular_factors takes a single matrix, got a batch of shape {matrix.batch_shape}")
        given: Any = matrix.to_scipy("csc")
    elif issparse(matrix):
        given = matrix
    else:
        raise TypeError(f"matrix must be a StridiagMatrix or a scipy sparse array, got {type(matrix).__name__}")
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise StructureError(f"matrix must be square, got shape {given.shape}")
    columns = csc_array(given, copy=True)
    columns.sum_duplicates()
    columns = csc_array((as_values(columns.data, "matrix"), columns.indices, columns.indptr), shape=columns.shape)
    require_finite(columns.data, "the matrix's values")
    entries = columns.tocoo()
    stored = entries.data != 0
    below, above = (np.flatnonzero(stored & side) for side in (entries.row > entries.col, entries.row < entries.col))
    if below.size and above.size:
        places = " and ".join(f"({entries.row[k[0]]}, {entries.col[k[0]]})" for k in (below, above))
        raise StructureError(f"matrix must be triangular, got entries on both sides of the diagonal, as at {places}")
    zero = np.flatnonzero(columns.diagonal() == 0)
    if zero.size:
        k = int(zero[0])
        raise SingularMatrixError(f"the triangular matrix is singular: its diagonal is zero at {k}", row=k, column=k)
    n = columns.shape[0]
    order = range(n - 1, -1, -1) if above.size else range(n)
    return without_identities(columns_of_triangle(columns, order, divide="columns"))


def columns_of_triangle(
    matrix: csc_array[Any], order: Iterable[int], *, divide: Literal["rows", "columns"]
) -> list[SimpleFactor]:
    """Split a matrix that is triangular in some order into a diagonal and elementary columns.

    Parameters
    ----------
    matrix : csc_array, (n, n)
        Unless it is singular, its diagonal is free of zeros.
    order : iterable of int
        All columns, so that no column has an entry in the row of one that comes before it: ascending for a lower
        triangle, descending for an upper one.
    divide : {"rows", "columns"}
        ``"rows"`` gives the diagonal first and divides rows by it, ``"columns"`` gives it last.

    Returns
    -------
    list of SimpleFactor
        Their product is the matrix. A diagonal entry by which nothing can be divided, zero above all, becomes the
        pivot of its elementary column: that takes no division.
    """
    entries = matrix.tocsc(copy=True)
    entries.sum_duplicates()
    n = entries.shape[0]
    diagonal = entries.diagonal()
    listed = entries.tocoo()
    off = (listed.row != listed.col) & (listed.data != 0)
    rows, columns, values = listed.row[off].astype(np.int64), listed.col[off], listed.data[off]
    by = rows if divide == "rows" else columns
    with np.errstate(all="ignore"):
        quotients = values / diagonal[by]
    usable = (diagonal != 0) & np.isfinite(diagonal)
    usable[by[~np.isfinite(quotients)]] = False
    values = np.where(usable[by], quotients, values)
    one = diagonal.dtype.type(1)
    pivots = np.where(usable, one, diagonal)
    starts = np.searchsorted(columns, np.arange(n + 1)).tolist()
    factors: list[SimpleFactor] = [
        Elementary(n, j, rows[starts[j] : starts[j + 1]], values[starts[j] : starts[j + 1]], pivots[j])
        for j in order
        if starts[j] < starts[j + 1] or not usable[j]
    ]
    scales = Diagonal(np.where(usable, diagonal, one))
    return [scales, *factors] if divide == "rows" else [*factors, scales]


def _require_inverse(inverse: Array, pivots: Array, what: str) -> Array:
    """Return `inverse` if it is finite; name the first pivot without one otherwise."""
    bad = np.flatnonzero(~np.isfinite(inverse))
    if bad.size:
        pivot = pivots[bad[0]]
        why = "is zero" if pivot == 0 else f"is too small for an inverse in {inverse.dtype}: {pivot}"
        raise SingularMatrixError(f"the {what} has no inverse: entry {bad[0]} {why}")
    return inverse
