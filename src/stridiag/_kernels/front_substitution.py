"""Solving with what `stridiag._kernels.front_lu` has made of a matrix: fronts upwards with L, downwards with U.

By rows of numbers for several right-hand sides (`solve_columns`, `solve_adjoint`), and with the adjoint for one
(`solve_vector_adjoint`); one to four others are solved for by `stridiag._kernels.front_panels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.dot import subtract_multiple
from stridiag._kernels.front_lu import DONE, IDS, SIZE, VALUES

__all__ = ["solve_adjoint", "solve_columns", "solve_vector_adjoint"]

Array = NDArray[Any]


@kernel
def solve_vector_adjoint(head: Array, values: Array, ids: Array, z: Array, x: Array, work: Array) -> None:
    """Solve with the adjoint for `x`, (n,), by rows of the matrix; `z` is by its columns, and used up."""
    for f in range(head.shape[0]):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for k in range(width):
            work[k] = z[ids[first + width + k]]
        for t in range(done):
            row = at + t * width
            value = work[t] / np.conj(values[row + t])
            x[ids[first + t]] = value
            subtract_multiple(values, row + t + 1, value, work, t + 1, width)
        for k in range(done, width):
            z[ids[first + width + k]] = work[k]
    for f in range(head.shape[0] - 1, -1, -1):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for t in range(done):
            work[t] = x[ids[first + t]]
        row = at + done * width
        for i in range(done, width):
            value = x[ids[first + i]]
            subtract_multiple(values, row, value, work, 0, done)
            row += done
        for i in range(done - 1, -1, -1):
            row, value = at + i * width, work[i]
            x[ids[first + i]] = value
            subtract_multiple(values, row, value, work, 0, i)


@kernel
def solve_columns(head: Array, values: Array, ids: Array, x: Array, z: Array) -> None:
    """Solve for `z`, (n, m), by columns of the matrix; `x` is by its rows, and used up."""
    for f in range(head.shape[0]):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for i in range(1, width):
            begin = at + i * width if i < done else at + done * width + (i - done) * done
            row = ids[first + i]
            for t in range(min(i, done)):
                number, other = values[begin + t], ids[first + t]
                for c in range(x.shape[1]):
                    x[row, c] -= number * x[other, c]
    for f in range(head.shape[0] - 1, -1, -1):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for t in range(done - 1, -1, -1):
            begin, row, column = at + t * width, ids[first + t], ids[first + width + t]
            for c in range(x.shape[1]):
                z[column, c] = x[row, c]
            for k in range(t + 1, width):
                number, other = values[begin + k], ids[first + width + k]
                for c in range(x.shape[1]):
                    z[column, c] -= number * z[other, c]
            for c in range(x.shape[1]):
                z[column, c] = z[column, c] / values[begin + t]


@kernel
def solve_adjoint(head: Array, values: Array, ids: Array, z: Array, x: Array) -> None:
    """Solve with the adjoint for `x`, (n, m), by rows of the matrix; `z` is by its columns, and used up."""
    for f in range(head.shape[0]):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for t in range(done):
            begin, row, column = at + t * width, ids[first + t], ids[first + width + t]
            pivot = np.conj(values[begin + t])
            for c in range(x.shape[1]):
                x[row, c] = z[column, c] / pivot
            for k in range(t + 1, width):
                number, other = np.conj(values[begin + k]), ids[first + width + k]
                for c in range(x.shape[1]):
                    z[other, c] -= number * x[row, c]
    for f in range(head.shape[0] - 1, -1, -1):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for i in range(width - 1, 0, -1):
            begin = at + i * width if i < done else at + done * width + (i - done) * done
            row = ids[first + i]
            for t in range(min(i, done)):
                number, other = np.conj(values[begin + t]), ids[first + t]
                for c in range(x.shape[1]):
                    x[other, c] -= number * x[row, c]
