r"""Triangular systems that need no elimination: substitution, in the natural order or in a planned one.

Two storages, each with a solve, a solve with the adjoint, and a product:

* *by diagonals*: all offsets on one side of the main diagonal. ``offsets`` (without 0) and ``starts`` say where each
  diagonal lies in ``values``, ``main`` where the main one does; there are no index arrays. Since a diagonal keeps
  its inner order when a matrix is transposed, the adjoint is solved by the same loops with the offsets negated;
* *by rows*: after the permutations of a plan the matrix is lower triangular, with ``diagonal`` and, in row t, the
  entries ``values[pointers[t]:pointers[t + 1]]`` in the columns ``indices[...]``, all smaller than t.

Each entry off the diagonal takes a multiplication and a subtraction, each diagonal entry a division, for the matrix
as for its adjoint; nothing is stored beside the values. Substitution is backward stable row by row: the solution is
that of a matrix whose entries differ by at most k eps of their own size, k the entries of the row.

References: Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., theorem 8.5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = [
    "multiply_diagonals",
    "multiply_rows",
    "substitute_diagonals",
    "substitute_rows",
    "substitute_rows_adjoint",
]

Array = NDArray[Any]


@kernel
def substitute_diagonals(offsets: Array, starts: Array, main: int, values: Array, upper: bool, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions for a matrix given by diagonals.

    For the adjoint give the conjugates of ``values``, the offsets negated, and the other side.
    """
    n, m = x.shape
    for step in range(n):
        i = n - 1 - step if upper else step
        for k in range(offsets.size):
            j = i + offsets[k]
            if 0 <= j < n:
                entry = values[starts[k] + min(i, j)]
                for c in range(m):
                    x[i, c] = x[i, c] - entry * x[j, c]
        pivot = values[main + i]
        for c in range(m):
            x[i, c] = x[i, c] / pivot


@kernel
def multiply_diagonals(offsets: Array, starts: Array, main: int, values: Array, upper: bool, x: Array) -> None:
    """Overwrite `x`, (n, m), with A x."""
    n, m = x.shape
    for step in range(n):
        # A row is overwritten once no other needs it.
        i = step if upper else n - 1 - step
        pivot = values[main + i]
        for c in range(m):
            x[i, c] = pivot * x[i, c]
        for k in range(offsets.size):
            j = i + offsets[k]
            if 0 <= j < n:
                entry = values[starts[k] + min(i, j)]
                for c in range(m):
                    x[i, c] = x[i, c] + entry * x[j, c]


@kernel
def substitute_rows(pointers: Array, indices: Array, values: Array, diagonal: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``L x = b``."""
    n, m = x.shape
    for t in range(n):
        for k in range(pointers[t], pointers[t + 1]):
            j = indices[k]
            entry = values[k]
            for c in range(m):
                x[t, c] = x[t, c] - entry * x[j, c]
        pivot = diagonal[t]
        for c in range(m):
            x[t, c] = x[t, c] / pivot


@kernel
def substitute_rows_adjoint(pointers: Array, indices: Array, values: Array, diagonal: Array, x: Array) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``L^H x = b``."""
    n, m = x.shape
    for t in range(n - 1, -1, -1):
        pivot = np.conj(diagonal[t])
        for c in range(m):
            x[t, c] = x[t, c] / pivot
        for k in range(pointers[t], pointers[t + 1]):
            j = indices[k]
            entry = np.conj(values[k])
            for c in range(m):
                x[j, c] = x[j, c] - entry * x[t, c]


@kernel
def multiply_rows(pointers: Array, indices: Array, values: Array, diagonal: Array, x: Array) -> None:
    """Overwrite `x`, (n, m), with L x."""
    n, m = x.shape
    for t in range(n - 1, -1, -1):
        pivot = diagonal[t]
        for c in range(m):
            x[t, c] = pivot * x[t, c]
        for k in range(pointers[t], pointers[t + 1]):
            j = indices[k]
            entry = values[k]
            for c in range(m):
                x[t, c] = x[t, c] + entry * x[j, c]
