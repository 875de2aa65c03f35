"""Norms of a matrix in compressed columns, and what a solution leaves of a right-hand side.

Cost: two operations for each entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["largest_residual", "norms"]

Array = NDArray[Any]


@kernel
def _largest(numbers: Array) -> float:
    """Return the largest magnitude; NaN if one of the numbers is."""
    largest = 0.0
    for k in range(numbers.size):
        size = abs(numbers[k])
        if np.isnan(size):
            return np.nan
        largest = max(largest, size)
    return largest


@kernel
def norms(indptr: Array, indices: Array, data: Array, work: Array) -> tuple[float, float]:
    """Return the largest sums of magnitudes in a row and in a column; `work`, (n,), of float64."""
    for i in range(work.size):
        work[i] = 0.0
    column_norm = 0.0
    for column in range(indptr.size - 1):
        total = 0.0
        for e in range(indptr[column], indptr[column + 1]):
            size = abs(data[e])
            total += size
            work[indices[e]] += size
        column_norm = max(column_norm, total)
    row_norm = _largest(work)
    # What is no number is in a row too.
    return row_norm, row_norm if np.isnan(row_norm) else column_norm


@kernel
def largest_residual(
    indptr: Array, indices: Array, data: Array, x: Array, b: Array, adjoint: bool, residual: Array
) -> float:
    """Return the largest magnitude of ``b - A x``, or of that for the adjoint, which `residual`, (n,), becomes."""
    for i in range(b.size):
        residual[i] = b[i]
    for column in range(indptr.size - 1):
        if adjoint:
            total = residual[column]
            for e in range(indptr[column], indptr[column + 1]):
                total -= np.conj(data[e]) * x[indices[e]]
            residual[column] = total
        else:
            factor = x[column]
            for e in range(indptr[column], indptr[column + 1]):
                residual[indices[e]] -= data[e] * factor
    return _largest(residual)
