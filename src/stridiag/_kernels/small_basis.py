r"""Long vectors against a few orthonormal ones, and small dense triangles.

LAPACK and BLAS would do this too, but with threads of their own, which get into each other's way where several of
ours call them, and at a price per call that counts here.

Sums run in eight parts side by side, always the same ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel, vector_kernel
from stridiag._kernels.vectors import load, store

__all__ = [
    "add",
    "inner_products",
    "multiply",
    "multiply_transposed",
    "orthonormalize",
    "project",
    "project_vector",
    "solve_triangle",
    "solve_triangle_transposed",
]

Array = NDArray[Any]

# Columns of a tile, four vectors.
_TILE = 32


@inlined
def _dot(x: Array, y: Array) -> float:
    n = x.size
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    end = n - n % 8
    for j in range(0, end, 8):
        s0 += x[j] * y[j]
        s1 += x[j + 1] * y[j + 1]
        s2 += x[j + 2] * y[j + 2]
        s3 += x[j + 3] * y[j + 3]
        s4 += x[j + 4] * y[j + 4]
        s5 += x[j + 5] * y[j + 5]
        s6 += x[j + 6] * y[j + 6]
        s7 += x[j + 7] * y[j + 7]
    for j in range(end, n):
        s0 += x[j] * y[j]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@inlined
def _subtract(factor: float, y: Array, x: Array) -> None:
    for j in range(x.size):
        x[j] -= factor * y[j]


@kernel
def orthonormalize(block: Array, passes: int) -> None:
    """Make the rows of `block`, (k, n), orthonormal by modified Gram-Schmidt; two passes do it to rounding."""
    for row in range(block.shape[0]):
        x = block[row]
        largest = 0.0
        for j in range(x.size):
            largest = max(largest, abs(x[j]))
        scale = 1.0 / largest
        for _ in range(passes):
            for j in range(x.size):
                x[j] *= scale
            for other in range(row):
                _subtract(_dot(block[other], x), block[other], x)
            scale = 1.0 / np.sqrt(_dot(x, x))
        for j in range(x.size):
            x[j] *= scale


@kernel
def add(correction: Array, x: Array, factor: float) -> bool:
    """Add the correction to `x`, (n, k); return whether no column's largest number is above `factor` times x's."""
    settled = True
    n, width = x.shape
    largest = np.zeros((2, width))
    for j in range(n):
        row = x[j]
        other = correction[j]
        for t in range(width):
            row[t] += other[t]
            largest[0, t] = max(largest[0, t], abs(other[t]))
            largest[1, t] = max(largest[1, t], abs(row[t]))
    for t in range(width):
        # So that a NaN goes on, and is seen.
        settled = settled and largest[0, t] <= factor * largest[1, t]
    return settled


@kernel
def inner_products(x: Array, y: Array, result: Array) -> None:
    """Put the inner products of the rows of `x`, (k, n), and of `y`, (l, n), into `result`, (k, l)."""
    for i in range(x.shape[0]):
        for j in range(y.shape[0]):
            result[i, j] = _dot(x[i], y[j])


@kernel
def project_vector(basis: Array, x: Array) -> None:
    """Subtract from `x`, (n,), its part in the span of the orthonormal rows of `basis`, (k, n)."""
    for t in range(basis.shape[0]):
        _subtract(_dot(basis[t], x), basis[t], x)


@inlined
def _project_columns(basis: Array, x: Array, first: int, work: Array) -> None:
    """Do what `project` does for the columns of `x` from one on."""
    n, width = x.shape
    count = basis.shape[0]
    for t in range(count):
        for i in range(first, width):
            work[t, i] = 0.0
    if first < width:
        for j in range(n):
            row = x[j]
            for t in range(count):
                value = basis[t, j]
                part = work[t]
                for i in range(first, width):
                    part[i] += value * row[i]
        for j in range(n):
            row = x[j]
            for t in range(count):
                value = basis[t, j]
                part = work[t]
                for i in range(first, width):
                    row[i] -= value * part[i]


@kernel
def project_plain(basis: Array, x: Array, work: Array) -> None:
    """Do what `project` does, in plain loops."""
    _project_columns(basis, x, 0, work)


@vector_kernel(project_plain)
def project(basis: Array, x: Array, work: Array) -> None:
    """Subtract from the columns of `x`, (n, m), their parts in the span of the orthonormal rows of `basis`, (k, n).

    `work`, (k, m), is work space. Sums for 32 columns and two rows of the basis stay in registers.
    """
    n, width = x.shape
    count = basis.shape[0]
    first = width - width % _TILE if count % 2 == 0 else 0
    for c in range(0, first, _TILE):
        for t in range(0, count, 2):
            zero = load(x, c) * 0.0
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero
            for j in range(n):
                at, one, two = j * width + c, basis[t, j], basis[t + 1, j]
                x0, x1, x2, x3 = load(x, at), load(x, at + 8), load(x, at + 16), load(x, at + 24)
                a0, a1, a2, a3 = a0 + one * x0, a1 + one * x1, a2 + one * x2, a3 + one * x3
                b0, b1, b2, b3 = b0 + two * x0, b1 + two * x1, b2 + two * x2, b3 + two * x3
            for j in range(n):
                at, one, two = j * width + c, basis[t, j], basis[t + 1, j]
                store(x, at, load(x, at) - one * a0 - two * b0)
                store(x, at + 8, load(x, at + 8) - one * a1 - two * b1)
                store(x, at + 16, load(x, at + 16) - one * a2 - two * b2)
                store(x, at + 24, load(x, at + 24) - one * a3 - two * b3)
    _project_columns(basis, x, first, work)


@kernel
def multiply(a: Array, x: Array, y: Array) -> None:
    """Put a x into `y`: (m, n) times (n, k)."""
    for i in range(a.shape[0]):
        row = y[i]
        for t in range(row.size):
            row[t] = 0.0
        for j in range(a.shape[1]):
            value = a[i, j]
            other = x[j]
            for t in range(row.size):
                row[t] += value * other[t]


@kernel
def multiply_transposed(a: Array, x: Array, y: Array) -> None:
    """Put a' x into `y`: (n, m) times (n, k)."""
    for j in range(a.shape[1]):
        row = y[j]
        for t in range(row.size):
            row[t] = 0.0
    for i in range(a.shape[0]):
        other = x[i]
        for j in range(a.shape[1]):
            value = a[i, j]
            row = y[j]
            for t in range(row.size):
                row[t] += value * other[t]


@kernel
def solve_triangle(a: Array, x: Array) -> None:
    """Solve in place with the upper triangle of `a`, (n, n), for `x`, (n, k)."""
    for i in range(a.shape[0] - 1, -1, -1):
        row = x[i]
        for j in range(i + 1, a.shape[0]):
            value = a[i, j]
            other = x[j]
            for t in range(row.size):
                row[t] -= value * other[t]
        for t in range(row.size):
            row[t] /= a[i, i]


@kernel
def solve_triangle_transposed(a: Array, x: Array) -> None:
    """Solve in place with the transposed upper triangle of `a`, (n, n), for `x`, (n, k)."""
    for i in range(a.shape[0]):
        row = x[i]
        for t in range(row.size):
            row[t] /= a[i, i]
        for j in range(i + 1, a.shape[0]):
            value = a[i, j]
            other = x[j]
            for t in range(row.size):
                other[t] -= value * row[t]
