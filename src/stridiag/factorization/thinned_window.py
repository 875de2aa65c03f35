"""Bands with links whose diagonal can be taken as pivots: most unknowns one by one, and a window for the rest.

See `stridiag.planning.window_thinning`. The diagonal may be taken as it comes where no multiplier is large and no
number grows: LU solves a problem within the rounding errors of :math:`|L| |U|`. Both are measured, and where the
product of the largest multiplier and the largest entry of U exceeds what is accepted of a band, or a pivot is zero, the
matrix goes the way with partial pivoting from its beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._dtypes import double_type
from stridiag._kernels import thinned_rows as kernels
from stridiag._kernels.dominance import least_excess
from stridiag._recycled import recycled
from stridiag.factorization.as_band import AsBand
from stridiag.factorization.band import MILD_GROWTH
from stridiag.factorization.condition import probe
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.elementary import columns_of_triangle
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.survey import largest_magnitude
from stridiag.factorization.window_lu import WindowLU

if TYPE_CHECKING:
    from scipy.sparse import csc_array

    from stridiag.factorization.singularity import Singularity
    from stridiag.planning.window import WindowLayout
    from stridiag.planning.window_thinning import Thinning

__all__ = ["FROM", "ThinnedLU"]

Array = NDArray[Any]

FROM = 4096
"""Rows from which on unknowns are eliminated beforehand."""

# Multipliers above which the diagonal is not taken.
_STEEPEST = 16.0


class ThinnedLU(AsBand):
    """LU of most unknowns with pivots from the diagonal, and with partial pivoting of what they leave.

    Made by `believed`. Single precision is factored in double.
    """

    _layout: WindowLayout
    name = "banded LU, every other unknown beforehand, with partial pivoting in a moving window"

    def __init__(
        self,
        layout: WindowLayout,
        thinning: Thinning,
        values: Array,
        parts: tuple[Array, Array, Array],
        inner: WindowLU,
        growth: float,
    ) -> None:
        self._layout = layout
        self._thinning = thinning
        self._values = values
        self._dtype = values.dtype
        self._wide = double_type(values.dtype)
        self._lower, self._upper, self._pivots = parts
        self._inner = inner
        # The entries of L may be larger than one: times the largest of them.
        self.growth = growth
        self.singularity: Singularity | None = None
        # Of a solution for random numbers.
        self._size: float | None = None

    @classmethod
    def believed(cls, layout: WindowLayout, values: Array) -> Self | None:
        """Factor the matrix with these `values`, (nnz,), by slot; None if the diagonal cannot be taken as pivots."""
        if layout.n < FROM:
            return None
        # Before anything is planned that only such values need.
        structure = layout.structure
        diagonals = np.array(structure.offsets), np.array(structure.starts)
        flat = kernels.flat(values, *diagonals, structure.link_columns, _STEEPEST)
        thinning = layout.thinning if flat else None
        if thinning is None:
            return None
        wide = double_type(values.dtype)
        numbers = recycled(thinning.slots, wide)
        numbers[: values.size], numbers[values.size :] = values, 0
        lower, upper = recycled(thinning.lower.size, wide), recycled(thinning.upper.size, wide)
        pivots = recycled(thinning.order.size, wide)
        steepest, largest = kernels.eliminate(
            numbers, thinning.order, thinning.main, thinning.counts, thinning.lower, thinning.upper, thinning.targets,
            _STEEPEST, lower, upper, pivots,
        )  # fmt: skip
        if not steepest <= _STEEPEST:
            return None
        inner = WindowLU(thinning.window, numbers)
        size = largest_magnitude(values)
        # Accepts the good, so that NaN is refused.
        grown = float(np.maximum(largest, inner.largest)) * max(steepest, 1.0)
        if not grown <= MILD_GROWTH * size or inner.singularity is not None:
            return None
        return cls(layout, thinning, values, (lower, upper, pivots), inner, grown / size)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`; the first one for a vector may solve for the probe of the condition too."""
        if adjoint or b.shape[1] != 1 or self._size is not None or self._dtype != np.float64 or self._proved:
            return self._solve(b, adjoint=adjoint)
        both = np.empty((b.shape[0], 2))
        both[:, 0], both[:, 1] = b[:, 0], probe(b.shape[0], self._dtype)
        x = self._solve(both)
        self._size = float(np.abs(x[:, 1]).sum())
        return np.ascontiguousarray(x[:, :1])

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`: |x_i| is about the 2-norm of row i of the inverse."""
        return self._proved or (None if self._size is None else 100.0 * self._size)

    @cached_property
    def _proved(self) -> float | None:
        """A bound of the 1-norm of the inverse, where the diagonal dominates by rows or by columns."""
        structure = self._layout.structure
        offsets, starts = np.array(structure.offsets), np.array(structure.starts)
        for lines, by_columns in ((structure.link_rows, False), (structure.link_columns, True)):
            excess = least_excess(self._values, offsets, starts, lines, by_columns, np.empty(self._layout.n))
            if excess > 0.0:
                # By rows it is the largest row sum that one over the excess bounds.
                return (1 if by_columns else self._layout.n) / excess
        return None

    def _solve(self, b: Array, *, adjoint: bool = False) -> Array:
        thinning = self._thinning
        order, counts = thinning.order, thinning.counts
        below = order, counts, self._lower, thinning.lower_rows
        above = order, counts, self._upper, thinning.upper_columns, self._pivots
        x = b.astype(self._wide, copy=False)
        turned = adjoint and self._wide.kind == "c"
        if turned:
            np.conjugate(x, out=x)
        flat, sides = x.reshape(-1), x.shape[1]
        if adjoint:
            kernels.solve_upper_transposed(*above, flat, sides)
        else:
            kernels.solve_lower(*below, flat, sides)
        left = x[thinning.kept]
        if turned:
            # The adjoint of what is left, which conjugates too.
            np.conjugate(left, out=left)
        if sides == 2:
            # As two vectors: in lanes they would take as long as eight.
            for c in range(2):
                left[:, c : c + 1] = self._inner.solve(np.ascontiguousarray(left[:, c : c + 1]), adjoint=adjoint)
        else:
            left = self._inner.solve(left, adjoint=adjoint)
        if turned:
            np.conjugate(left, out=left)
        x[thinning.kept] = left
        if adjoint:
            kernels.solve_lower_transposed(*below, flat, sides)
        else:
            kernels.solve_upper(*above, flat, sides)
        if turned:
            np.conjugate(x, out=x)
        return x.astype(self._dtype, copy=False)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        thinning = self._thinning
        order, counts = thinning.order, thinning.counts
        y = x.astype(self._wide, copy=False)
        flat, sides = y.reshape(-1), y.shape[1]
        kernels.multiply_upper(order, counts, self._upper, thinning.upper_columns, self._pivots, flat, sides)
        y[thinning.kept] = self._inner.multiply(y[thinning.kept])
        kernels.multiply_lower(order, counts, self._lower, thinning.lower_rows, flat, sides)
        return y.astype(self._dtype, copy=False)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`; rows and columns are exchanged alike, which changes no sign."""
        (sign, log), (other, rest) = phase_and_log(self._pivots), self._inner.slogdet()
        return sign * other, log + rest

    def _triangles(self) -> tuple[csc_array[Any], csc_array[Any]]:
        """L, and U's rows of eliminated unknowns, with ones on the diagonal for the others."""
        from scipy.sparse import coo_array

        thinning, n = self._thinning, self._layout.n
        order = thinning.order.astype(np.int64)
        diagonal = np.ones(n, self._wide)
        every = np.arange(n)
        below, beside = (np.repeat(order, thinning.counts[:, side]) for side in (0, 1))
        lower = coo_array(
            (np.append(self._lower, diagonal), (np.append(thinning.lower_rows, every), np.append(below, every))),
            shape=(n, n),
        )
        diagonal[order] = self._pivots
        upper = coo_array(
            (np.append(self._upper, diagonal), (np.append(beside, every), np.append(thinning.upper_columns, every))),
            shape=(n, n),
        )
        return lower.astype(self._dtype).tocsc(), upper.astype(self._dtype).tocsc()

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: L by columns, those of what is left, D, and U by columns."""
        n, kept, order = self._layout.n, self._thinning.kept, self._thinning.order
        lower, upper = self._triangles()
        return [
            *columns_of_triangle(lower, [*order.tolist(), *kept.tolist()], divide="rows"),
            *(factor.embed(n, kept) for factor in self._inner.factors_as(self._dtype)),
            *columns_of_triangle(upper, [*kept.tolist(), *order[::-1].tolist()], divide="rows"),
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in (self._lower, self._upper, self._pivots)) + self._inner.nbytes
