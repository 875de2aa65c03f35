"""Matrices that are triangular but for cycles: LU along each cycle, substitution between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import cyclic_lu as kernels
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Elementary, Permutation, columns_of_triangle
from stridiag.factorization.ordered_inverse import entries_between_blocks
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.triangular import inverse_diagonal_in_order
from stridiag.planning.triangular import CyclicLayout

__all__ = ["CyclicLU"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class CyclicLU:
    """Triangular but for cycles: LU with partial pivoting along each. See `stridiag._kernels.cyclic_lu`."""

    name = "LU of cycles with partial pivoting"

    def __init__(self, layout: CyclicLayout, values: Array) -> None:
        self._layout = layout
        order = layout.order
        self._values = values
        pivots = values[order.pivots]
        upper = np.zeros_like(pivots)
        on_cycle = np.flatnonzero(layout.upper >= 0)
        upper[on_cycle] = values[layout.upper[on_cycle]]
        self._cycles = (pivots, upper, np.zeros_like(upper), np.zeros(upper.size, np.bool_))
        self._between = (layout.starts, order.pointers, order.indices, values[order.slots])
        info = kernels.factor(layout.starts, *self._cycles)
        self.singularity = None if info < 0 else Singularity(row=int(order.rows[info]))

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        order = self._layout.order
        if adjoint:
            x = order.place_adjoint(b)
            kernels.solve_adjoint(*self._between, *self._cycles, x)
            return order.restore_adjoint(x)
        x = order.place(b)
        kernels.solve(*self._between, *self._cycles, x)
        return order.restore(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = self._layout.order.place_adjoint(x)
        kernels.multiply(*self._between, *self._cycles, y)
        return self._layout.order.restore_adjoint(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        pivots, _, _, swapped = self._cycles
        return phase_and_log(pivots, self._layout.order.sign * sign_of_flips(int(np.count_nonzero(swapped))))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`: in closed form, if all pivots lie on the main diagonal."""
        return inverse_diagonal_in_order(self, self._layout.order, self._diagonal_of_blocks())

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`: along cycles in closed form.

        Transposed, it is zero between the blocks. Otherwise the inverse is found only if all pivots lie on the main
        diagonal: then it is block triangular in the same order.
        """
        layout, order = self._layout, self._layout.order
        if not (transpose or order.symmetric):
            return None
        diagonal = self._diagonal_of_blocks()
        result = np.zeros_like(self._values)
        result[order.pivots] = diagonal
        cycles = np.flatnonzero(layout.upper >= 0)
        result[layout.upper[cycles]] = self._beside_the_diagonal(cycles, transpose=transpose)
        if not np.isfinite(result).all():
            return None
        if order.slots.size and not transpose:
            rows, columns = order.substituted()
            blocks = np.empty(diagonal.size, np.int64)
            blocks[order.rows] = np.repeat(np.arange(layout.starts.size - 1), np.diff(layout.starts))
            result[order.slots] = entries_between_blocks(
                self, rows, columns, self._between[3], order.restore(diagonal), blocks
            )
        return result

    def _diagonal_of_blocks(self) -> Array:
        """Return the diagonal of the inverse in order."""
        original, pivots, swapped = self._widened()
        out = np.empty_like(pivots)
        kernels.inverse_diagonal(self._layout.starts, original, pivots, swapped, out)
        return out.astype(self._values.dtype)

    def _beside_the_diagonal(self, cycles: Index, *, transpose: bool) -> Array:
        """Return the entries of the inverse from each position in `cycles` to the next one, or back."""
        original, pivots, swapped = self._widened()
        out, beside = np.empty_like(pivots), np.ones_like(pivots)
        beside[cycles] = self._values[self._layout.upper[cycles]]
        if transpose:
            kernels.inverse_against(self._layout.starts, beside, pivots, swapped, out)
        else:
            kernels.inverse_along(self._layout.starts, original, beside, pivots, swapped, out)
        with np.errstate(over="ignore"):
            return out[cycles].astype(self._values.dtype)

    def _widened(self) -> tuple[Array, Array, Array]:
        """Return the original diagonal, the pivots and the marks of exchanges, numbers in double precision."""
        pivots, _, _, swapped = self._cycles
        wide = double_type(pivots.dtype)
        return self._values[self._layout.order.pivots].astype(wide), pivots.astype(wide), swapped

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the rows, then for each block columns of L and of (U; N), D, the columns.

        N is what stands below the block. All interchanges are moved to the front. Without any N all of D comes
        between L and U.
        """
        from scipy.sparse import coo_array

        order = self._layout.order
        n = order.rows.size
        starts, pointers, indices, values = self._between
        pivots, upper, multipliers, swapped = self._cycles
        places = np.arange(n)
        block = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        first, last = starts[block], starts[block + 1] - 1
        # The row carried along is the one left over by the interchange before, at first the last one of the cycle.
        before = np.concatenate(([-1], np.maximum.accumulate(np.where(swapped, places, -1))[:-1]))[:n]
        carried = np.where(before >= first, before, last)
        rows = np.where(swapped | (places == last), carried, places)
        # It comes to rest at the next interchange, or at the end.
        settles = np.where(swapped | (places == last), places, n)
        rest = np.append(np.minimum.accumulate(settles[::-1])[::-1], n)[1:]
        lower: list[SimpleFactor] = [
            Elementary(n, int(i), rest[i : i + 1], multipliers[i : i + 1]) for i in np.flatnonzero(multipliers)
        ]

        inner = np.flatnonzero(places < last)
        settled_row = np.empty(n, np.int64)
        settled_row[rows] = places
        below = settled_row[np.repeat(places, np.diff(pointers))]
        entries = (
            np.concatenate((pivots, upper[inner], values)),
            (
                np.concatenate((places, inner, below)),
                np.concatenate((places, np.where(swapped, last, places + 1)[inner], indices)),
            ),
        )
        matrix = coo_array(entries, shape=(n, n)).tocsc()
        front, back = Permutation(order.rows[rows]).inverse(), Permutation(order.columns)
        if not values.size:
            return [front, *lower, *columns_of_triangle(matrix, range(n - 1, -1, -1), divide="rows"), back]
        descending = (first + last - places).tolist()
        *columns, scales = columns_of_triangle(matrix, descending, divide="columns")
        both = [factor for factor in (*lower, *columns) if isinstance(factor, Elementary)]
        # Stable: of one block the columns of L stay ahead of the others.
        both.sort(key=lambda factor: int(block[factor.column]))
        return [front, *both, scales, back]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in (*self._cycles, self._between[3]))
