"""Solving with what `stridiag._kernels.front_lu` has made of a matrix: fronts upwards with L, downwards with U.

One to four right-hand sides are solved for one behind the other in memory (`solve_vectors`, `solve_vector_adjoint`),
more of them by rows of numbers (`solve_columns`, `solve_adjoint`). Sums of real numbers are taken in vectors of eight,
so they differ from those of the plain loops in their last digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.dot import dot, subtract_multiple
from stridiag._kernels.front_lu import DONE, IDS, SIZE, VALUES

__all__ = ["SPARE", "solve_adjoint", "solve_columns", "solve_vector_adjoint", "solve_vectors"]

Array = NDArray[Any]


SPARE = 16
"""Numbers of work space behind a front's; and pivots up to which its rows are taken one number at a time, many rows at
once: a vector would hardly be full."""


@kernel
def solve_vectors(head: Array, values: Array, ids: Array, x: Array, z: Array, work: Array) -> None:
    """Solve for `z`, (m, n), by columns of the matrix; `x` is by its rows, and used up.

    `work`, (m, as wide as a front and `SPARE` more). Each number of the factors is brought from memory once.
    """
    span = work.shape[1]
    flat = work.reshape(work.size)
    for f in range(head.shape[0]):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        if done <= SPARE:
            for side in range(x.shape[0]):
                _forward(values, at, done, width, ids, first, x, side, flat, side * span)
            continue
        row = at
        for i in range(width):
            known = min(i, done)
            for side in range(x.shape[0]):
                value = x[side, ids[first + i]]
                value -= dot(values, row, flat, side * span, side * span + known)
                if i < done:
                    flat[side * span + i] = value
                x[side, ids[first + i]] = value
            row += width if i < done else done
    for f in range(head.shape[0] - 1, -1, -1):
        done, width, at, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for side in range(x.shape[0]):
            for c in range(done, width):
                flat[side * span + c] = z[side, ids[first + width + c]]
        if done <= SPARE:
            for side in range(x.shape[0]):
                _backward(values, at, done, width, ids, first, x, z, side, flat, side * span)
            continue
        for t in range(done - 1, -1, -1):
            row = at + t * width
            for side in range(x.shape[0]):
                here = side * span
                known = dot(values, row + t + 1, flat, here + t + 1, here + width)
                value = (x[side, ids[first + t]] - known) / values[row + t]
                flat[here + t] = value
                z[side, ids[first + width + t]] = value


@borrowing
def _forward(
    values: Array, at: int, done: int, width: int, ids: Array, first: int, x: Array, side: int, flat: Array, here: int
) -> None:
    row = at
    for i in range(done):
        value = x[side, ids[first + i]]
        for t in range(i):
            value -= values[row + t] * flat[here + t]
        flat[here + i] = value
        x[side, ids[first + i]] = value
        row += width
    for i in range(done, width):
        value = x[side, ids[first + i]]
        for t in range(done):
            value -= values[row + t] * flat[here + t]
        x[side, ids[first + i]] = value
        row += done


@borrowing
def _backward(
    values: Array,
    at: int,
    done: int,
    width: int,
    ids: Array,
    first: int,
    x: Array,
    z: Array,
    side: int,
    flat: Array,
    here: int,
) -> None:
    # What is known from above does not wait for the front's own unknowns, nor do the divisions.
    for t in range(done):
        row = at + t * width
        flat[here + t] = x[side, ids[first + t]] - dot(values, row + done, flat, here + done, here + width)
        flat[here + width + t] = 1.0 / values[row + t]
    for t in range(done - 1, -1, -1):
        row = at + t * width
        value = flat[here + t]
        for k in range(done - 1, t, -1):
            value -= values[row + k] * flat[here + k]
        value = value * flat[here + width + t]
        flat[here + t] = value
        z[side, ids[first + width + t]] = value


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
