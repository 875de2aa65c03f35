"""The products of `stridiag._kernels.ridge_condensation` for one vector, its numbers in registers.

Arguments are as there, without the last axis. A loop over one right-hand side in the other kernels takes five times as
long.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["rotate_back_vector", "rotate_vector", "solve_vector", "solve_vector_transposed"]

Array = NDArray[Any]


@kernel
def rotate_vector(
    starts: Array, ends: Array, first: int, last: int, turns: Array, begins: Array, b: Array, x: Array, left_over: Array
) -> None:
    """Apply the rotations of the segments to `b`, (n,): their rows of `x`, and `left_over`, (segments, 4)."""
    n = b.size
    for i in range(first, last):
        start = starts[i]
        p = b[start]
        q = g = h = 0.0
        if start > 0:
            q = begins[i, 0] * p - begins[i, 1] * b[start - 1]
            p = begins[i, 0] * b[start - 1] + begins[i, 1] * p
        for j in range(start, ends[i] + 1):
            turn = turns[j]
            beta = b[j + 1] if j < n - 1 else 0.0
            x[j] = turn[0] * p + turn[1] * beta
            rest = turn[2] * beta - turn[3] * p
            gone = -turn[8] * p - turn[9] * q
            lower = turn[4] * q - turn[5] * p
            p = turn[6] * lower + turn[7] * rest
            q = turn[6] * rest - turn[7] * lower
            still = turn[10] * gone - turn[11] * g
            g = turn[10] * g + turn[11] * gone
            h = turn[12] * h + turn[13] * still
        left_over[i, 0] = p
        left_over[i, 1] = q
        left_over[i, 2] = g
        left_over[i, 3] = h


@kernel
def rotate_back_vector(
    starts: Array, ends: Array, first: int, last: int, turns: Array, begins: Array, x: Array, left_over: Array
) -> None:
    """Undo `rotate_vector` in `x`, where the rows of the segments are."""
    n = x.size
    for i in range(first, last):
        start = starts[i]
        p = left_over[i, 0]
        q = left_over[i, 1]
        g = left_over[i, 2]
        h = left_over[i, 3]
        for j in range(ends[i], start - 1, -1):
            turn = turns[j]
            y = x[j]
            still = turn[13] * h
            h = turn[12] * h
            gone = turn[11] * g + turn[10] * still
            g = turn[10] * g - turn[11] * still
            lower = turn[6] * p - turn[7] * q
            rest = turn[7] * p + turn[6] * q
            if j < n - 1:
                x[j + 1] = turn[1] * y + turn[2] * rest
            p = turn[0] * y - turn[3] * rest - turn[5] * lower - turn[8] * gone
            q = turn[4] * lower - turn[9] * gone
        if start > 0:
            x[start - 1] = begins[i, 0] * p - begins[i, 1] * q
            x[start] = begins[i, 1] * p + begins[i, 0] * q
        else:
            x[0] = p


@kernel
def solve_vector(starts: Array, ends: Array, first: int, last: int, r: Array, x: Array) -> None:
    """Solve R x = z in place in the rows of segments of `x`, (n,); those of kept columns are solved."""
    n = x.size
    for i in range(first, last):
        start = starts[i]
        end = ends[i]
        far = x[start - 2] if start > 0 else 0.0
        near = x[start - 1] if start > 0 else 0.0
        one = x[end + 1] if end < n - 1 else 0.0
        two = x[end + 2] if end < n - 2 else 0.0
        for j in range(end, start - 1, -1):
            value = x[j] * r[j, 0] - (r[j, 3] * far + r[j, 4] * near) - r[j, 2] * two - r[j, 1] * one
            x[j] = value
            two = one
            one = value


@kernel
def solve_vector_transposed(
    starts: Array, ends: Array, first: int, last: int, r: Array, x: Array, left_over: Array
) -> None:
    """Solve R' z = x in place in the rows of segments; put into `left_over`, (segments, 4), what to subtract."""
    for i in range(first, last):
        one = two = far = near = 0.0
        for j in range(starts[i], ends[i] + 1):
            value = x[j] - one
            one = two + r[j, 1] * value
            two = r[j, 2] * value
            far += r[j, 3] * value
            near += r[j, 4] * value
            x[j] = value * r[j, 0]
        left_over[i, 0] = one
        left_over[i, 1] = two
        left_over[i, 2] = far
        left_over[i, 3] = near
