"""Sparse matrices by QR in dense fronts, at a cost known before. See `stridiag._kernels.front_householder`."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import front_columns, front_replay
from stridiag._kernels import front_householder as kernels
from stridiag._kernels import front_order as places
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.permutations import permutation_sign
from stridiag._recycled import recycled
from stridiag._results import aligned
from stridiag.factorization.columns import in_fronts, serve
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Reflection
from stridiag.planning.front_plan import FrontPlan

__all__ = ["FrontHouseholder"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class FrontHouseholder:
    """QR by Householder reflections in fronts: backward stable, so it needs no guard.

    Parameters
    ----------
    data : ndarray, (entries,)
        In the order of the pattern that was planned. Single precision is factored in double: the squares in a
        reflection have no room in it.
    plan : FrontPlan
    """

    name = "sparse QR by fronts"

    def __init__(self, data: Array, plan: FrontPlan) -> None:
        self._plan = plan
        self._dtype = data.dtype
        self._wide = double_type(data.dtype)
        self._values = recycled(plan.numbers, self._wide)
        self._values[:] = 0
        self._tau = np.empty(plan.order)
        self._seen = False
        self._packed: tuple[Array, Array] | None = None
        info = kernels.factor(data, plan.scatter, plan.fronts, plan.pool, plan.relative, self._values, self._tau)
        self.singularity = None if info < 0 else Singularity(column=info)

    @classmethod
    def of_factors(cls, values: Array, tau: Array, plan: FrontPlan) -> Self:
        """Return the decomposition that the kernel has made elsewhere, in double precision, of full rank."""
        self = cls.__new__(cls)
        self._plan, self._values, self._tau = plan, values, tau
        self._dtype = self._wide = values.dtype
        self._seen, self._packed = False, None
        self.singularity = None
        return self

    def packed(self) -> tuple[Array, Array]:
        """Return `turns` and `upper` of `stridiag._kernels.front_replay`; for real numbers only."""
        replay = self._plan.replay
        turns, upper = (aligned((size,), np.dtype(np.float64)) for size in (replay.turns, replay.upper))
        turns[:] = 0
        upper[:] = 0
        front_replay.pack(self._plan.fronts, self._values, self._tau, turns, upper)
        return turns, upper

    def _solve_again(self, b: Array) -> Array:
        """Solve for (n, 1) as `stridiag._kernels.front_replay` does."""
        if self._packed is None:
            self._packed = self.packed()
        replay = self._plan.replay
        sides, z = aligned((replay.room,), np.dtype(np.float64)), np.empty(replay.columns.size)
        sides[:] = 0
        sides[replay.places] = b[:, 0]
        front_replay.solve(replay.heads, replay.behind, *self._packed, sides, z, np.empty(replay.work))
        x = np.empty((z.size, 1), self._dtype)
        x[replay.columns, 0] = z
        return x

    @property
    def arrays(self) -> tuple[Array, Array]:
        """The numbers of all fronts, and the factors tau of the reflections."""
        return self._values, self._tau

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.singularity is not None:
            return np.full_like(b, np.nan)
        plan = self._plan
        x = b.astype(self._wide, copy=False)
        if not adjoint and serve(x.dtype, x.shape[1]):
            factors = (plan.fronts, plan.pool, plan.rows, self._values, self._tau)
            return in_fronts(partial(front_columns.solve_qr, *factors), x).astype(self._dtype, copy=False)
        if self._seen and not adjoint and x.shape[1] == 1 and x.dtype == np.float64 and COMPILES:
            return self._solve_again(x)
        self._seen = True
        y = np.empty_like(x)
        if adjoint:
            kernels.solve_upper_adjoint(plan.fronts, plan.pool, plan.rows, self._values, x, y)
            kernels.reflect(plan.fronts, plan.rows, self._values, self._tau, y, True)
        else:
            kernels.reflect(plan.fronts, plan.rows, self._values, self._tau, x, False)
            kernels.solve_upper(plan.fronts, plan.pool, plan.rows, self._values, x, y)
        return y.astype(self._dtype, copy=False)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        plan = self._plan
        z = x.astype(self._wide, copy=False)
        y = np.empty_like(z)
        kernels.multiply_upper(plan.fronts, plan.pool, plan.rows, self._values, z, y)
        kernels.reflect(plan.fronts, plan.rows, self._values, self._tau, y, True)
        return y.astype(self._dtype, copy=False)

    def _pivots(self) -> tuple[Index, Index, Index]:
        """Return row, column and place among the numbers of each pivot, in the order of elimination."""
        plan = self._plan
        counts = plan.fronts[:, places.PIVOTS]
        front = np.repeat(np.arange(counts.size), counts)
        own = plan.fronts[front]
        k = np.arange(front.size) - own[:, places.PIVOT_START]
        place = own[:, places.VALUE_START] + k * (own[:, places.COLUMNS] + 1)
        return plan.rows[own[:, places.ROW_START] + k], plan.pool[own[:, places.COLUMN_START] + k], place

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        rows, columns, place = self._pivots()
        sign = permutation_sign(rows, np.zeros(rows.size, np.uint8))
        sign *= permutation_sign(columns, np.zeros(rows.size, np.uint8))
        return phase_and_log(self._values[place], sign * sign_of_flips(int(np.count_nonzero(self._tau))))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return diagonal_by_solves(self, self._tau.size, self._dtype)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: the reflections, rows to columns, D, U by columns."""
        from scipy.sparse import coo_array

        plan, n = self._plan, self._tau.size
        values, tau = self._values.astype(self._dtype), self._tau.astype(self._dtype.type(0).real.dtype)
        reflections: list[SimpleFactor] = []
        entries: list[tuple[Index, Index, Array]] = []
        for front in plan.fronts:
            pivots, m, width = (int(front[k]) for k in (places.PIVOTS, places.ROWS, places.COLUMNS))
            top, first, begin = (int(front[k]) for k in (places.VALUE_START, places.ROW_START, places.COLUMN_START))
            dense = values[top : top + m * width].reshape(m, width)
            rows, columns = plan.rows[first : first + m], plan.pool[begin : begin + width]
            for j in range(pivots):
                vector = dense[j:, j].copy()
                vector[0] = 1
                reflections.append(Reflection(n, rows[j:], vector, tau[int(front[places.PIVOT_START]) + j]))
                entries.append((np.full(width - j, columns[j]), columns[j:], dense[j, j:]))
        row_of, column_of, _ = self._pivots()
        slots = np.empty(n, np.int64)
        slots[row_of] = column_of
        at, to, numbers = (np.concatenate(part) for part in zip(*entries, strict=True))
        upper = coo_array((numbers, (at, to)), shape=(n, n)).tocsc()
        return [
            *reflections,
            Permutation(slots),
            *columns_of_triangle(upper, column_of[::-1].tolist(), divide="rows"),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        packed = () if self._packed is None else self._packed
        return int(self._values.nbytes + self._tau.nbytes + sum(part.nbytes for part in packed))
