"""LU with partial pivoting in a moving window. See `stridiag.planning.window`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._dtypes import double_type
from stridiag._frozen import frozen
from stridiag._kernels import window_entries, window_solve
from stridiag._kernels import window_lu as kernels
from stridiag._kernels.permutations import permutation_sign
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.window_block import PANEL
from stridiag._recycled import recycled
from stridiag._results import aligned
from stridiag.factorization.as_band import AsBand
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.window_shape import WindowShape

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["WindowLU"]

Array = NDArray[Any]


class WindowLU(AsBand):
    """LU with partial pivoting in a moving window, unguarded. Single precision is factored in double.

    Parameters
    ----------
    layout : WindowShape
    values : ndarray
        The numbers that the layout takes its entries from: by slot, (nnz,), or more.
    """

    name = "banded LU with partial pivoting, in a moving window"

    def __init__(self, layout: WindowShape, values: Array) -> None:
        self._layout = layout
        if layout.plain is not None:
            # For the band itself, which knows entries of the inverse.
            self._values = values
        self._dtype = values.dtype
        self._wide = double_type(values.dtype)
        n, places = layout.n, int(layout.heights.max(initial=0))
        # An odd number of vectors, so that columns spread in caches.
        step = layout.slots // PANEL * PANEL
        step += PANEL * (1 - step // PANEL % 2)
        window = aligned((places * step,), self._wide)
        window[:] = 0
        # So that no vector crosses the lines of the caches.
        self._lower = aligned((PANEL * int(layout.heights.sum()),), self._wide, recycled)
        self._upper = aligned((PANEL * int(layout.widths.sum()),), self._wide, recycled)
        self._pivots = np.empty(n, self._wide)
        # The place of each pivot row, which row it is, and the places that rows took when they entered.
        self._chosen, self._origin, self._taken = np.empty((3, n), np.int32)
        self._moved = np.empty((layout.moves, 2), np.int32)
        self._until = np.empty(layout.heights.size + 1, np.int32)
        info, largest = kernels.factor(
            frozen(values.astype(self._wide, copy=False)),
            layout.heights,
            layout.firsts,
            layout.ring,
            *layout.lists,
            layout.arrivals,
            window,
            layout.slots,
            np.arange(places) * step,
            np.full(places, -1),
            np.arange(places, dtype=np.float64),
            np.empty(3 * PANEL, self._wide),
            self._lower,
            self._upper,
            self._pivots,
            self._chosen,
            self._origin,
            self._taken,
            self._moved,
            self._until,
        )
        self.largest: float = largest
        self.singularity = None if info < 0 else Singularity(column=int(layout.columns[info]))

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        wide = b.astype(self._wide, copy=False)
        x = np.empty_like(wide)
        lanes = 1 if wide.shape[1] == 1 else PANEL
        solve = self._solve_transposed if adjoint else self._solve

        def run(first: int, last: int) -> None:
            for block in range(first, last):
                solve(wide, x, block * lanes, lanes)

        if adjoint and self._wide.kind == "c":
            np.conjugate(wide, out=wide)
        if wide.size:
            run_ranges(run, -(-wide.shape[1] // lanes))
        if adjoint and self._wide.kind == "c":
            np.conjugate(x, out=x)
        return x.astype(self._dtype, copy=False)

    def _solve(self, b: Array, x: Array, left: int, lanes: int) -> None:
        """Solve for a few columns."""
        layout = self._layout
        y = np.empty(layout.n * lanes, self._wide)
        row_starts, rows = layout.lists[:2]
        moves = self._taken, self._moved, self._until
        work = np.zeros(int(layout.heights.max()) * lanes, self._wide)
        window_solve.solve_lower(
            layout.heights, row_starts, rows, self._lower, self._chosen, *moves, b, left, lanes, y, work
        )
        work, buffer = np.zeros(layout.slots * lanes, self._wide), np.empty(PANEL**2, self._wide)
        window_solve.solve_upper(*self._by_columns, y, lanes, x, left, work, buffer)

    def _solve_transposed(self, b: Array, x: Array, left: int, lanes: int) -> None:
        """Solve for a few columns with the transpose."""
        layout = self._layout
        y = np.empty(layout.n * lanes, self._wide)
        work = np.zeros(layout.slots * lanes, self._wide)
        window_solve.solve_upper_transposed(*self._by_columns, b, left, lanes, y, work)
        work, buffer = np.zeros(int(layout.heights.max()) * lanes, self._wide), np.empty(PANEL**2, self._wide)
        moves = self._origin, self._moved, self._until
        window_solve.solve_lower_transposed(
            layout.heights, self._lower, self._chosen, *moves, y, lanes, x, left, work, buffer
        )

    @property
    def _by_columns(self) -> tuple[Array, Array, int, Array, Array, Array]:
        """What a solve with U takes."""
        layout = self._layout
        return layout.firsts, layout.arrivals, layout.before, layout.columns, self._upper, self._pivots

    @cached_property
    def _triangles(self) -> tuple[csc_array[Any], csc_array[Any]]:
        """L with its ones, and U, both in the order of elimination."""
        from scipy.sparse import coo_array, diags_array

        layout = self._layout
        n = layout.n
        turn = np.empty(n, np.int64)
        turn[self._origin] = np.arange(n)
        count = int(np.count_nonzero(self._lower))
        (row, column), numbers = np.empty((2, count), np.int64), np.empty(count, self._wide)
        window_entries.list_lower(
            layout.heights,
            *layout.lists[:2],
            self._lower,
            turn,
            self._taken,
            self._moved,
            self._until,
            np.empty(int(layout.heights.max(initial=0)), np.int64),
            row,
            column,
            numbers,
        )
        lower = coo_array((numbers, (row, column)), shape=(n, n)).tocsc()
        count = int(np.count_nonzero(self._upper))
        (row, column), numbers = np.empty((2, count), np.int64), np.empty(count, self._wide)
        window_entries.list_upper(
            layout.firsts,
            layout.arrivals,
            layout.before,
            self._upper,
            self._pivots,
            np.empty(layout.slots, np.int64),
            row,
            column,
            numbers,
        )
        upper = coo_array((numbers, (row, column)), shape=(n, n)).tocsc()
        ones = diags_array(np.ones(n, self._wide))
        return (lower + ones).tocsc(), (upper + diags_array(self._pivots)).tocsc()

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        lower, upper = self._triangles
        y = np.empty(x.shape, self._wide)
        y[self._origin] = lower @ (upper @ x[self._layout.columns])
        return y.astype(self._dtype, copy=False)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        n = self._layout.n
        sign = permutation_sign(self._origin.astype(np.int64), np.zeros(n, np.uint8))
        sign *= permutation_sign(self._layout.columns, np.zeros(n, np.uint8))
        return phase_and_log(self._pivots, sign)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: rows, L by columns, D, U by columns, columns."""
        return self.factors_as(self._dtype)

    def factors_as(self, dtype: np.dtype[Any]) -> list[SimpleFactor]:
        """Return `factors` with numbers of a type."""
        n = self._layout.n
        lower, upper = (part.astype(dtype) for part in self._triangles)
        return [
            Permutation(self._origin.astype(np.int64)).inverse(),
            *columns_of_triangle(lower, range(n), divide="rows"),
            *columns_of_triangle(upper, range(n - 1, -1, -1), divide="rows"),
            Permutation(self._layout.columns),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        indices = (self._chosen, self._origin, self._taken, self._moved, self._until)
        return sum(part.nbytes for part in (self._lower, self._upper, self._pivots, *indices))
