"""Reduced systems of many links that interlace, by LU with Markowitz's rule: see `stridiag._kernels.markowitz`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import compressed_check, row_pairs
from stridiag._kernels import markowitz as kernels
from stridiag._kernels import markowitz_solve as solving
from stridiag._kernels.front_lu import row_step
from stridiag._recycled import recycled
from stridiag._results import aligned
from stridiag.factorization.guard import random_vector
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.rotated_rows import RotatedRows

__all__ = ["MarkowitzLU"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_THRESHOLD = 0.3
"""Of the largest entry of its row a pivot has this part at least."""

_SHARE = 0.09
"""What is left is dense if so much of it is filled."""

_ROOM = 50
"""Entries for each row that its pool has room for, beside those of the matrix."""

_ACCURATE = 4.0
"""Units of rounding up to which a solution is left as it is; above, each is corrected once."""


class MarkowitzLU:
    """LU of rotated rows in double precision, which solves for few right-hand sides, and does nothing else.

    Made by `believed`.

    Parameters
    ----------
    rotated : RotatedRows
    pattern : ReducedPattern
        Of which the rows are.
    data : ndarray of float64, (entries,)
        Those of the pattern.
    """

    singularity = None

    def __init__(self, rotated: RotatedRows, pattern: ReducedPattern, data: Array) -> None:
        self._pattern, self._data, self._refined = pattern, data, False
        self.pairs = rotated.pairs
        self.cosines, self.sines = np.empty((2, self.pairs.shape[0]))
        numbers, parts = np.empty(data.size), (rotated.starts, rotated.first, rotated.second, rotated.tail)
        row_pairs.rotate_entries(data, *parts, self.cosines, self.sines, numbers)
        self._complete = self._factor(rotated, numbers)

    @classmethod
    def believed(cls, rotated: RotatedRows, pattern: ReducedPattern, data: Array) -> Self | None:
        """Factor; None where there is no pivot, or no room, or a solution has a backward error."""
        if data.dtype != np.float64:
            return None
        lu = cls(rotated, pattern, data)
        if not lu._complete:
            return None
        for refined in (False, True):
            lu._refined = refined
            if lu._accurate():
                return lu
        return None

    def _factor(self, rotated: RotatedRows, numbers: Array) -> bool:
        n = rotated.pointers.size - 1
        rows, columns = np.empty((2, kernels.LISTS, n), np.int64)
        row_columns, column_rows, lower_rows = recycled((3, numbers.size + _ROOM * n), np.int64)
        row_values, lower = recycled((2, row_columns.size))
        (seen, lower_ends), order, pivots = np.empty((2, n), np.int64), np.empty((2, n), np.int64), np.empty(n)
        steps = kernels.eliminate(
            *(rotated.pointers, rotated.columns, rotated.places, rotated.used, numbers),
            _THRESHOLD,
            _SHARE,
            *(rows, columns, row_columns, row_values, column_rows),
            *(seen, np.empty(n), order, pivots, lower_ends, lower_rows, lower),
        )
        if steps < 0:
            return False
        left = n - steps
        ids, buffer = np.empty((2, left), np.int64), np.empty(kernels.BUFFER)
        dense = aligned((left * row_step(left),), numbers.dtype, recycled)
        if not kernels.factor_rest(rows, columns, row_columns, row_values, ids, seen, buffer, dense):
            return False
        lower_size = int(lower_ends[steps - 1]) if steps else 0
        total = solving.count(rows, order, steps, lower_size)
        inner = solving.dense_size(left)
        self.sizes, self.places = np.array([steps, lower_size, inner]), np.empty((2, n), np.int64)
        self.entries = np.empty(total, np.int64)
        self.numbers = aligned((inner + n + solving.LANES + total,), numbers.dtype)
        self.numbers[:] = 0.0
        made = (rows, row_columns, row_values, order, pivots, lower_ends, lower_rows, lower, ids, dense)
        solving.pack(*made, seen, self.sizes, self.places, self.entries, self.numbers)
        return True

    def solve(self, b: Array) -> Array:
        """Return the solutions for `b`, (n, m)."""
        x = self._solve(b.copy())
        if self._refined:
            x += self._solve(b - self._pattern.compressed(self._data) @ x)
        return x

    def _solve(self, x: Array) -> Array:
        """Solve once; overwrites `x`."""
        row_pairs.rotate_sides(self.pairs, self.cosines, self.sines, x)
        solving.solve(self.places, self.sizes, self.entries, self.numbers, x, np.empty(x.shape[0] + solving.LANES), x)
        return x

    def _accurate(self) -> bool:
        """Return whether the solution for a random vector is one of a system close by: see `guard`."""
        pattern, data = self._pattern, self._data
        entries, work = (pattern.indptr, pattern.indices, data), np.empty(pattern.order)
        norm, _ = compressed_check.norms(*entries, work)
        # So that the solution is about as large as the condition number, and nothing overflows.
        b = random_vector(pattern.order, "d") * 2.0 ** min(0, int(np.frexp(norm)[1]))
        x = self.solve(b[:, None])[:, 0]
        residual = compressed_check.largest_residual(*entries, x, b, False, work)
        size = float(np.abs(x).max()) + float(np.abs(b).max()) / norm
        # Accepts the good, so that NaN is not. Divided by the norm first: its product with another may overflow.
        return bool(residual / norm <= _ACCURATE * float(np.finfo(data.dtype).eps) * size < np.inf)

    @property
    def refined(self) -> bool:
        """Whether each solution is corrected once."""
        return self._refined

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        parts = (self.cosines, self.sines, self.places, self.entries, self.numbers, self._data)
        return sum(part.nbytes for part in parts)
