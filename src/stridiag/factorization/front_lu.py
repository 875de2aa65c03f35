"""Reduced systems by LU in dense fronts, never believed without a check. See `stridiag._kernels.front_lu`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._dtypes import double_type
from stridiag._kernels import front_columns, front_substitution, row_pairs
from stridiag._kernels import front_lu as kernels
from stridiag._kernels.front_block import PANEL
from stridiag._kernels.front_panels import LANES
from stridiag._kernels.front_tree import WIDTH
from stridiag._kernels.permutations import permutation_sign
from stridiag._recycled import recycled
from stridiag._results import aligned
from stridiag.factorization.columns import in_fronts, serve
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.front_panels import FrontPanels
from stridiag.factorization.guard import check_solves
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Rotation
from stridiag.planning.pivot_plan import PivotPlan

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["FrontLU"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_THRESHOLD = 0.01
"""Of the largest entry of its column a pivot has to have this part."""

_ROOM = (1.25, 2.5)
"""How much wider than planned the fronts may be: the second where the first was not enough."""

_ACCURATE = 4.0
"""Units of rounding up to which a solution is left as it is; above, each is refined once."""

_FEW = 4
"""Right-hand sides that are solved for one after the other."""


class FrontLU:
    r"""LU of rotated rows, :math:`P_r G A P_c = L U`, with pivots that may be put off.

    Made by `believed`. Single precision is factored in double.
    """

    name = "sparse LU by fronts"
    singularity: Singularity | None = None

    def __init__(self, plan: PivotPlan, matrix: csc_array[Any]) -> None:
        self._plan = plan
        self._dtype = matrix.dtype
        self._wide = double_type(matrix.dtype)
        self._refined: csc_array[Any] | None = None
        count = plan.pairs.shape[0]
        self._cosines, self._sines = np.empty(count), np.empty(count, self._wide)
        data = np.empty(matrix.data.size, self._wide)
        row_pairs.rotate_entries(
            matrix.data, plan.starts, plan.first, plan.second, plan.tail, self._cosines, self._sines, data
        )
        self._complete = self._factor(data)

    @classmethod
    def believed(cls, plan: PivotPlan, matrix: csc_array[Any]) -> Self | None:
        """Factor; None where the matrix may be singular, or numbers have grown."""
        lu = cls(plan, matrix)
        if not lu._complete:
            return None
        check = check_solves(lu, matrix)
        eps = float(np.finfo(matrix.dtype).eps)
        if check.error <= _ACCURATE * eps:
            return lu
        if not check.passed:
            return None
        lu._refined = matrix
        return lu if check_solves(lu, matrix).error <= check.error else None

    def _factor(self, data: Array) -> bool:
        """Factor in arrays with room for some pivots that are put off, or for many; return whether that was enough."""
        plan = self._plan
        fronts = plan.tree.shape[0]
        columns = int(plan.tree[:, WIDTH].sum())
        for more in _ROOM:
            widest = int(more * plan.widest) + 8
            head = np.empty((fronts, kernels.HEAD), np.int64)
            values = recycled(int(max(more, 0.6 * more * more) * plan.numbers) + 64, self._wide)
            ids = recycled(int(2 * more * columns) + 64, np.int64)
            info, used, used_ids = kernels.factor(
                data,
                plan.tree,
                plan.columns,
                plan.relative,
                plan.entries,
                plan.places,
                _THRESHOLD,
                aligned((widest * kernels.row_step(widest),), self._wide, recycled),
                recycled(int(more * more * plan.peak) + 64, self._wide),
                np.empty(ids.size + 3 * fronts, np.int64),
                np.empty((4, widest), np.int64),
                np.empty(PANEL, self._wide),
                head,
                values,
                ids,
            )
            if info != kernels.NO_ROOM:
                self._head, self._values, self._ids = head, values[:used], ids[:used_ids]
                return bool(info == -1)
        return False

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        wide = b.astype(self._wide, copy=False)
        if self._refined is None:
            return self._solve(wide, adjoint=adjoint).astype(self._dtype, copy=False)
        x = self._solve(wide.copy(), adjoint=adjoint)
        product = (self._refined.T @ x.conj()).conj() if adjoint else self._refined @ x
        return (x + self._solve(np.ascontiguousarray(wide - product), adjoint=adjoint)).astype(self._dtype, copy=False)

    def _solve(self, x: Array, *, adjoint: bool) -> Array:
        """Solve once; overwrites `x`."""
        plan, factors = self._plan, (self._head, self._values, self._ids)
        if not adjoint:
            row_pairs.rotate_sides(plan.pairs, self._cosines, self._sines, x)
        if x.shape[1] <= _FEW:
            work = np.empty(self.widest, x.dtype)
            if adjoint:
                # One behind the other in memory.
                sides, y = np.ascontiguousarray(x.T), np.empty(x.shape[::-1], x.dtype)
                for side, solution in zip(sides, y, strict=True):
                    front_substitution.solve_vector_adjoint(*factors, side, solution, work)
                y = np.ascontiguousarray(y.T)
            else:
                self.panels.solve(x, work)
                y = x
        elif not adjoint and serve(x.dtype, x.shape[1]):
            y = in_fronts(partial(front_columns.solve_lu, *factors), x)
        else:
            y = np.empty_like(x)
            (front_substitution.solve_adjoint if adjoint else front_substitution.solve_columns)(*factors, x, y)
        if adjoint:
            row_pairs.rotate_sides_back(plan.pairs, self._cosines, self._sines, y)
        return y

    @property
    def arrays(self) -> tuple[tuple[Array, Array, Array], Array, Array] | None:
        """Numbers of fronts and panels, cosines and sines of the rotations; None where solutions are refined."""
        return None if self._refined is not None else (self.panels.numbers, self._cosines, self._sines)

    @cached_property
    def panels(self) -> FrontPanels:
        """What few right-hand sides are solved with."""
        return FrontPanels(self._head, self._values, self._ids, self._plan.order)

    @property
    def pairs(self) -> Index:
        """Rows that are rotated."""
        return self._plan.pairs

    @cached_property
    def widest(self) -> int:
        """Columns of the widest front; those of a vector at least."""
        return int(self._head[:, kernels.SIZE].max(initial=LANES))

    @cached_property
    def _pivots(self) -> tuple[Index, Index, Index]:
        """Row, column and place among the numbers of each pivot, in the order of elimination."""
        done, size, values, ids = (self._head[:, k] for k in (kernels.DONE, kernels.SIZE, kernels.VALUES, kernels.IDS))
        front = np.repeat(np.arange(done.size), done)
        t = np.arange(front.size) - np.repeat(np.cumsum(done) - done, done)
        at = ids[front] + t
        return self._ids[at], self._ids[at + size[front]], values[front] + t * (size[front] + 1)

    @cached_property
    def _triangles(self) -> tuple[csc_array[Any], csc_array[Any]]:
        """L with its ones, and U, both in the order of elimination."""
        from scipy.sparse import coo_array

        row_of, column_of, _ = self._pivots
        n = row_of.size
        row_at, column_at = np.empty((2, n), np.int64)
        row_at[row_of] = column_at[column_of] = np.arange(n)
        lower: list[tuple[Index, Index, Array]] = [(np.arange(n), np.arange(n), np.ones(n, self._wide))]
        upper: list[tuple[Index, Index, Array]] = []
        for done, size, begin, first, _ in self._head.tolist():
            if not done:
                continue
            rows = row_at[self._ids[first : first + size]]
            columns = column_at[self._ids[first + size : first + 2 * size]]
            top = self._values[begin : begin + done * size].reshape(done, size)
            below = self._values[begin + done * size : begin + done * (2 * size - done)].reshape(size - done, done)
            i, j = np.triu_indices(done, 0, size)
            upper.append((rows[i], columns[j], top[i, j]))
            i, j = np.tril_indices(done, -1)
            lower.append((rows[i], columns[j], top[i, j]))
            at, to = np.repeat(rows[done:], done), np.tile(columns[:done], size - done)
            lower.append((at, to, below.ravel()))
        made = []
        for parts in (lower, upper):
            at, to, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
            made.append(coo_array((numbers, (at, to)), shape=(n, n)).tocsc())
        return made[0], made[1]

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        row_of, column_of, _ = self._pivots
        lower, upper = self._triangles
        y = np.empty(x.shape, self._wide)
        y[row_of] = lower @ (upper @ x[column_of])
        row_pairs.rotate_sides_back(self._plan.pairs, self._cosines, self._sines, y)
        return y.astype(self._dtype, copy=False)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        rows, columns, place = self._pivots
        sign = permutation_sign(rows, np.zeros(rows.size, np.uint8))
        sign *= permutation_sign(columns, np.zeros(rows.size, np.uint8))
        return phase_and_log(self._values[place], sign)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._plan.order, self._dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the rotations undone, rows, L by columns, D, U by columns, columns."""
        row_of, column_of, _ = self._pivots
        n = row_of.size
        lower, upper = (part.astype(self._dtype) for part in self._triangles)
        cosines, sines = self._cosines.astype(self._dtype.type(0).real.dtype), self._sines.astype(self._dtype)
        pairs = self._plan.pairs
        return [
            *(Rotation(n, int(p[0]), int(p[1]), c, s).inverse() for p, c, s in zip(pairs, cosines, sines, strict=True)),
            Permutation(row_of).inverse(),
            *columns_of_triangle(lower, range(n), divide="rows"),
            *columns_of_triangle(upper, range(n - 1, -1, -1), divide="rows"),
            Permutation(column_of),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        parts = [self._head, self._values, self._ids, self._cosines, self._sines]
        if "panels" in self.__dict__:
            parts += [self.panels.heads, self.panels.behind, self.panels.places, *self.panels.numbers[1:]]
        refined = 0 if self._refined is None else self._refined.data.nbytes
        return sum(part.nbytes for part in parts) + refined
