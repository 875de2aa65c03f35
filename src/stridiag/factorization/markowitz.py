"""A reduced system that is solved once, and not factored: see `stridiag._kernels.markowitz`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import compressed_check, row_pairs
from stridiag._kernels import markowitz as kernels
from stridiag._kernels.front_lu import row_step
from stridiag._recycled import recycled
from stridiag._results import aligned
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.rotated_rows import RotatedRows

__all__ = ["LARGEST", "solve_reduced_once"]

Array = NDArray[Any]

LARGEST = 1 << 16
"""Order up to which this serves: what is left to be dense is a tenth of it."""

_THRESHOLD = 0.3
"""Of the largest entry of its row a pivot has this part at least."""

_SHARE = 0.09
"""What is left is dense if so much of it is filled."""

_ROOM = 50
"""Entries for each row that its pool has room for, beside those of the matrix."""

_ACCURATE = 4.0
"""Units of rounding up to which a solution is left as it is; above, it is corrected once."""


def solve_reduced_once(pattern: ReducedPattern, data: Array, b: Array) -> Array | None:
    """Return the solutions for `b`, (n, m), in double precision; None where a pivot or a backward error is bad.

    `data`, (entries,), are those of the pattern.
    """
    rotated = RotatedRows.of(pattern)
    rotations, numbers = np.empty((2, rotated.pairs.shape[0])), np.empty(data.size)
    cosines, sines = rotations
    parts = (rotated.starts, rotated.first, rotated.second, rotated.tail)
    row_pairs.rotate_entries(data, *parts, cosines, sines, numbers)
    x = _eliminated(rotated, numbers, rotations, b)
    if x is None or _accurate(pattern, data, b, x):
        return x
    # No factors are kept, so everything is eliminated once more, for what the solutions leave.
    correction = _eliminated(rotated, numbers, rotations, b - pattern.compressed(data) @ x)
    if correction is None:
        return None
    x += correction
    return x if _accurate(pattern, data, b, x) else None


def _eliminated(rotated: RotatedRows, numbers: Array, rotations: Array, b: Array) -> Array | None:
    """Return the solutions, whatever they are worth; None where there is no pivot, or no room."""
    n, many = b.shape
    right, (cosines, sines) = b.copy(), rotations
    row_pairs.rotate_sides(rotated.pairs, cosines, sines, right)
    rows, columns = np.empty((2, kernels.LISTS, n), np.int64)
    row_columns, column_rows = recycled((2, numbers.size + _ROOM * n), np.int64)
    row_values = recycled(row_columns.size)
    seen, order, pivots = np.empty(n, np.int64), np.empty((2, n), np.int64), np.empty(n)
    steps = kernels.eliminate(
        *(rotated.pointers, rotated.columns, rotated.places, rotated.used, numbers),
        _THRESHOLD,
        _SHARE,
        *(rows, columns, row_columns, row_values, column_rows),
        *(seen, np.empty(n), order, pivots, right),
    )
    if steps < 0:
        return None
    left, x = n - steps, np.empty((n, many))
    ids, buffer, work = np.empty((2, left), np.int64), np.empty(kernels.BUFFER), np.empty(left)
    dense = aligned((left * row_step(left),), numbers.dtype, recycled)
    if not kernels.solve_rest(rows, columns, row_columns, row_values, ids, seen, buffer, work, dense, right, x):
        return None
    kernels.substitute(rows, row_columns, row_values, order, pivots, steps, right, x)
    return x


def _accurate(pattern: ReducedPattern, data: Array, b: Array, x: Array) -> bool:
    """Return whether each solution solves a system close by, as `stridiag.factorization.guard` asks it of two."""
    entries = (pattern.indptr, pattern.indices, data)
    work = np.empty(b.shape[0])
    norm, _ = compressed_check.norms(*entries, work)
    limit = _ACCURATE * float(np.finfo(data.dtype).eps)
    for side, solution in zip(np.ascontiguousarray(b.T), np.ascontiguousarray(x.T), strict=True):
        residual = compressed_check.largest_residual(*entries, solution, side, False, work)
        size = float(np.abs(solution).max()) + float(np.abs(side).max()) / norm
        # Accepts the good, so that NaN is not. Divided by the norm first: its product with another may overflow.
        if not residual / norm <= limit * size < np.inf:
            return False
    return True
