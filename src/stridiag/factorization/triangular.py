"""Matrices that are triangular in some order of rows and columns: nothing to factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import substitution as kernels
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.inverse_entries import entries_by_solves
from stridiag.factorization.ordered_inverse import entries_between_blocks
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.triangular import SubstitutionOrder, TriangularLayout

__all__ = ["NaturalTriangle", "OrderedTriangle", "inverse_diagonal_in_order", "triangle"]

Array = NDArray[Any]
Index = NDArray[np.int64]


def triangle(layout: TriangularLayout, values: Array) -> NaturalTriangle | OrderedTriangle:
    """Put values into a triangular layout."""
    if layout.order is None:
        return NaturalTriangle(layout, values)
    return OrderedTriangle(layout.order, values)


class NaturalTriangle:
    """All diagonals on one side, no links: the values as they are, no index arrays."""

    def __init__(self, layout: TriangularLayout, values: Array) -> None:
        structure = layout.structure
        self.name = f"substitution, {'upper' if layout.upper else 'lower'} triangular"
        self._structure = structure
        self._upper = layout.upper
        self._values = values
        beside = [k for k in structure.offsets if k]
        self._offsets = np.array(beside, np.int64)
        self._starts = np.array([structure.diagonal_slots(k).start for k in beside], np.int64)
        main = structure.diagonal_slots(0) if 0 in structure.offsets else slice(0, 0)
        self._main = main.start
        self._diagonal = values[main]
        zeros = np.flatnonzero(self._diagonal == 0)
        self.singularity = Singularity(row=int(zeros[0])) if zeros.size else None

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        offsets, values, upper = self._offsets, self._values, self._upper
        if adjoint:
            offsets, upper = -offsets, not upper
            values = values.conj() if values.dtype.kind == "c" else values
        kernels.substitute_diagonals(offsets, self._starts, self._main, values, upper, b)
        return b

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        kernels.multiply_diagonals(self._offsets, self._starts, self._main, self._values, self._upper, x)
        return x

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return phase_and_log(self._diagonal)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`: reciprocals."""
        result: Array = self._values.dtype.type(1) / self._diagonal
        return result

    def inverse_on_pattern(self, *, transpose: bool) -> Array:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`. Transposed, it is zero off the diagonal."""
        rows, columns = self._structure.coordinates()
        result = np.zeros_like(self._values)
        diagonal = self.inverse_diagonal()
        result[rows == columns] = diagonal
        if not transpose:
            off = np.flatnonzero(rows != columns)
            result[off] = entries_between_blocks(self, rows[off], columns[off], self._values[off], diagonal)
        return result

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: columns of L, then D; or D, then columns of U."""
        from scipy.sparse import coo_array

        n = self._structure.shape[0]
        matrix = coo_array((self._values, self._structure.coordinates()), shape=(n, n)).tocsc()
        if self._upper:
            return columns_of_triangle(matrix, range(n - 1, -1, -1), divide="rows")
        return columns_of_triangle(matrix, range(n), divide="columns")

    @property
    def nbytes(self) -> int:
        """Bytes that the values occupy: those of the matrix itself."""
        return self._values.nbytes


class OrderedTriangle:
    """Lower triangular after a permutation of rows and of columns."""

    name = "substitution, in an order in which the matrix is triangular"

    def __init__(self, order: SubstitutionOrder, values: Array) -> None:
        self._order = order
        self._diagonal = values[order.pivots]
        self._rows = (order.pointers, order.indices, values[order.slots], self._diagonal)
        zeros = np.flatnonzero(self._diagonal == 0)
        self.singularity = Singularity(row=int(order.rows[zeros[0]])) if zeros.size else None

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        order = self._order
        if adjoint:
            x = order.place_adjoint(b)
            kernels.substitute_rows_adjoint(*self._rows, x)
            return order.restore_adjoint(x)
        x = order.place(b)
        kernels.substitute_rows(*self._rows, x)
        return order.restore(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = self._order.place_adjoint(x)
        kernels.multiply_rows(*self._rows, y)
        return self._order.restore_adjoint(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return phase_and_log(self._diagonal, self._order.sign)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`: reciprocals, if all pivots lie on the main diagonal."""
        with np.errstate(divide="ignore"):
            return inverse_diagonal_in_order(self, self._order, self._diagonal.dtype.type(1) / self._diagonal)

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`. Transposed, it is zero but for the pivots.

        Otherwise only if all pivots lie on the main diagonal: then the inverse is triangular in the same order.
        """
        order, values = self._order, self._rows[2]
        result = np.zeros(self._diagonal.size + values.size, values.dtype)
        result[order.pivots] = values.dtype.type(1) / self._diagonal
        if transpose:
            return result
        if not order.symmetric:
            return None
        rows, columns = order.substituted()
        result[order.slots] = entries_between_blocks(self, rows, columns, values, self.inverse_diagonal())
        return result

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the rows, columns of L, D, the columns."""
        from scipy.sparse import csr_array, diags_array

        n = self._diagonal.size
        pointers, indices, values, diagonal = self._rows
        lower = csr_array((values, indices, pointers), shape=(n, n)) + diags_array(diagonal, dtype=diagonal.dtype)
        return [
            Permutation(self._order.rows).inverse(),
            *columns_of_triangle(lower.tocsc(), range(n), divide="columns"),
            Permutation(self._order.columns),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the values occupy, in order."""
        return self._rows[2].nbytes + self._diagonal.nbytes


def inverse_diagonal_in_order(decomposition: Decomposition, order: SubstitutionOrder, ordered: Array) -> Array:
    """Return the diagonal of the inverse, given that of the (block) triangular matrix in order.

    It is the same, but for the order, if all pivots lie on the main diagonal. Otherwise other entries of the ordered
    inverse are wanted: n solves find them.
    """
    if order.symmetric:
        return order.restore(ordered)
    n = ordered.size
    index = np.arange(n)
    return entries_by_solves(decomposition, n, ordered.dtype, index, index)
