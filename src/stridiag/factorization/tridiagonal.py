"""Chains without links: LU with partial pivoting."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen, writable
from stridiag._kernels import chain_solve, column_lanes, tridiagonal_lu
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.wide_vectors import COLUMNS
from stridiag._results import aligned, fresh
from stridiag.factorization.columns import TILE, reaches, serve, shows_finite, straight, units
from stridiag.factorization.condition import probe
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.inverse_entries import diagonal_by_solves
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.chain import TridiagonalLayout

__all__ = ["TridiagonalLU"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Rows that are solved for from one stored state: their right-hand sides stay in the first cache.
_BLOCK = 128
# Rows of a unit of columns that are worth a thread's waking.
_GRAIN = 1 << 10


class TridiagonalLU:
    """Chains without links: LU with partial pivoting. See `stridiag._kernels.tridiagonal_lu`."""

    name = "tridiagonal LU with partial pivoting"
    singularity: Singularity | None

    def __init__(self, layout: TridiagonalLayout, values: Array) -> None:
        self._layout = layout.chain
        n = self._layout.n
        dl, d, du, du2 = (np.empty(n, values.dtype) for _ in range(4))
        self._factors = (dl, d, du, du2, np.zeros(n, np.bool_))
        self.refill(values)

    @classmethod
    def of_factors(
        cls, layout: TridiagonalLayout, values: Array, factors: tuple[Array, Array, Array, Array, Array], info: int
    ) -> Self:
        """Return the decomposition that the kernel `stridiag._kernels.tridiagonal_lu.factor` has made elsewhere."""
        self = cls.__new__(cls)
        self._layout = layout.chain
        self._factors = factors
        self._keep(values, info)
        return self

    @classmethod
    def factor_and_solve(cls, layout: TridiagonalLayout, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        if not layout.chain.plain:
            return None
        n, start = b.size, probe(b.size, values.dtype)
        factors, swapped, x = np.empty((4, n)), np.empty(n, np.bool_), np.empty(n)
        stride, work = layout.chain.stride, np.empty(n)
        info, largest = chain_solve.factor_solve_probe(values, stride, writable(b), start, factors, swapped, x, work)
        if info != -1:
            return None
        dl, d, du, du2 = factors
        return cls.of_factors(layout, values, (dl, d, du, du2, swapped), info), x, largest

    @staticmethod
    def solve_once(layout: TridiagonalLayout, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
        """See `stridiag.factorization.single.SolvesOnce`."""
        chain = layout.chain
        if not chain.plain:
            return None
        start = probe(b.size, values.dtype)
        found: tuple[float, float, float] = chain_solve.solve_once(values, chain.stride, writable(b), start, x)
        return found

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        x = np.empty(b.size, b.dtype)
        return x if chain_solve.solve_vector(*self._factors, self._layout.stride, writable(b), x) else None

    def refill(self, values: Array) -> None:
        """See `Refillable`; without any new array of n numbers."""
        dl, d, du, _, _ = self._factors
        self._layout.fill(values, dl, d, du)
        self._keep(values, tridiagonal_lu.factor(*self._factors))

    def _keep(self, values: Array, info: int) -> None:
        self._values = values
        self.__dict__.pop("_reach", None)
        self.singularity = None if info < 0 else Singularity(row=self._layout.index(info))

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`."""
        regular = self.singularity is None and self._layout.n > 0
        return regular and not adjoint and serve(self._factors[1].dtype, columns)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.spares(b.shape[1], adjoint=adjoint):
            return self.solve_spared(b)[0]
        x = self._layout.to_chains(b)
        (tridiagonal_lu.solve_adjoint if adjoint else tridiagonal_lu.solve)(*self._factors, x)
        return self._layout.from_chains(x)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`; `stridiag._kernels.column_lanes`."""
        b = frozen(b)
        kind: np.dtype[Any] = b.dtype
        x = fresh(b.shape, kind)
        past, order, (n, m) = straight(x), self._layout.order, b.shape
        reach = self._reach

        def run(first: int, last: int) -> None:
            if reach is None:
                work = aligned((COLUMNS * (_BLOCK - (-n // _BLOCK)),), kind)
                column_lanes.solve_columns(*self._factors, order, b, x, past, _BLOCK, work, first, last)
            else:
                work = aligned((COLUMNS * (min(TILE, n) + int(reach.max())),), kind)
                column_lanes.solve_columns_at_once(*self._factors, order, b, x, past, TILE, reach, work, first, last)

        run_ranges(run, units(kind, m), grain=max(1, _GRAIN // n))
        # Each row is carried on into the next one, and between chains too, times zero.
        return x, shows_finite(x[order[n - 1]])

    @cached_property
    def _reach(self) -> Index | None:
        _, d, du, du2, _ = self._factors
        return reaches(d.dtype, d.size, partial(column_lanes.reaches, d, du, du2))

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = self._layout.to_chains(x)
        tridiagonal_lu.multiply(*self._factors, y)
        return self._layout.from_chains(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return phase_and_log(self._factors[1], sign_of_flips(int(np.count_nonzero(self._factors[4]))))

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; by continuants, from the matrix itself, in double precision."""
        from stridiag.factorization import chain_inverse

        found = chain_inverse.chain_diagonal(self._layout, self._values)
        return diagonal_by_solves(self, self._layout.n, self._values.dtype) if found is None else found

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        from stridiag.factorization import chain_inverse

        return chain_inverse.chain_pattern(self._layout, self._values, transpose=transpose)

    def inverse_entries(self, rows: Index, columns: Index) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsEntries`."""
        from stridiag.factorization import chain_inverse

        return chain_inverse.chain_entries(self._layout, self._values, rows, columns)

    def inverse_norm(self, *, adjoint: bool) -> tuple[float, int] | None:
        """See `stridiag.factorization.inverse_entries.KnowsNorm`."""
        from stridiag.factorization import chain_inverse

        return chain_inverse.chain_norm(self._layout, self._values, adjoint=adjoint)

    def write_inverse(self, out: Array) -> bool:
        """See `stridiag.factorization.inverse_entries.KnowsInverse`."""
        from stridiag.factorization import chain_inverse

        return chain_inverse.write_chain_inverse(self._layout, self._values, out)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: a permutation, L by columns, D, U by columns, the chain permutation.

        All interchanges are moved to the front, where they are one permutation with that of the chains.
        """
        from scipy.sparse import diags_array

        from stridiag.factorization.elementary import Elementary, Permutation, columns_of_triangle

        multipliers, pivots, du, du2, swapped = self._factors
        n = pivots.size
        if n == 0:
            return []
        # A row that does not become a pivot row is carried on to the first step that leaves it where it is.
        places = np.arange(n)
        settled = np.minimum.accumulate(np.where(swapped, n, places)[::-1])[::-1]
        begins = np.concatenate(([True], ~swapped[:-1]))
        run = np.maximum.accumulate(np.where(begins, places, 0))
        rows = np.where(swapped, places + 1, run)
        lower: list[SimpleFactor] = [
            Elementary(n, int(i), settled[i + 1 : i + 2], multipliers[i : i + 1])
            for i in np.flatnonzero(multipliers[:-1])
        ]
        width = min(n, 3)
        above = [part[: n - k] for k, part in enumerate((pivots, du, du2)[:width])]
        upper: Any = diags_array(above, offsets=list(range(width)), shape=(n, n), format="csc")
        order = self._layout.to_chains(places)
        return [
            Permutation(order[rows]).inverse(),
            *lower,
            *columns_of_triangle(upper, range(n - 1, -1, -1), divide="rows"),
            Permutation(order),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in self._factors)
