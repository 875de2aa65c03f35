r"""Sparse QR of a square matrix by dense fronts, planned by `stridiag._kernels.front_order`.

A front gathers its rows of the matrix and what its children have passed on, and makes one reflection for each of its
pivots, as `stridiag._kernels.small_qr`; then it holds as many rows of R, the vectors of the reflections below the
diagonal, and behind these the numbers that it passes on. Fronts are dense, whatever the numbers: so the operations are
known before. Reflections are unitary to rounding: the factorization is backward stable without any condition.

Storage: `values` holds the fronts one behind the other, each by rows; `tau` one number for each pivot, in the order of
elimination. ``fronts``, ``pool``, ``relative``, ``rows``: see `stridiag._kernels.front_order`.

Cost, for a pivot with t rows below it and c columns behind it in its front: 3 t + 8 operations to make the reflection,
4 t + 2 to apply it to each column behind it or to a right-hand side, and 2 c + 1 a right-hand side to solve with R.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form, borrowing_kernel, inlined, kernel
from stridiag._kernels.dot import LANES, dot, subtract_multiple
from stridiag._kernels.front_order import (
    COLUMN_START,
    COLUMNS,
    PARENT,
    PARENT_ROW,
    PIVOT_START,
    PIVOTS,
    ROW_START,
    ROWS,
    VALUE_START,
)
from stridiag._kernels.vectors import load, multiply_add, splat, store

__all__ = [
    "factor",
    "is_rotated",
    "lines_of",
    "multiply_upper",
    "reflect",
    "reflect_one",
    "rotate",
    "rotation_of",
    "solve_upper",
    "solve_upper_adjoint",
]

Array = NDArray[Any]

EXPLICIT = 2 * LANES
"""Rows up to which a front's reflections, if there are several, are multiplied out: their product acts on all rows at
a time, they do not."""


@borrowing
def _reflect_column(a: Array, j: int, m: int, top: int, width: int) -> tuple[Any, bool]:
    """Make the reflection for column j of a front; return its tau, and whether there was anything to reflect."""
    diagonal = top + j * width + j
    x0 = a[diagonal]
    largest = abs(x0)
    for i in range(j + 1, m):
        largest = max(largest, abs(a[top + i * width + j]))
    # As in `condensation`: squares neither overflow nor vanish between these bounds.
    size = float(largest)
    scale = 1.0
    if not 1e-140 < size < 1e140:
        if not 0.0 < size < np.inf:
            return 0.0, False
        scale = size
        x0 = x0 / scale
        for i in range(j + 1, m):
            a[top + i * width + j] = a[top + i * width + j] / scale
    magnitude = abs(x0)
    squares = magnitude * magnitude
    for i in range(j + 1, m):
        x = a[top + i * width + j]
        squares += (x * np.conj(x)).real
    norm = math.sqrt(squares)
    phase = x0 / magnitude if magnitude > 0.0 else x0 + 1.0
    head = magnitude + norm
    towards = np.conj(phase) / head
    a[diagonal] = -phase * norm * scale
    for i in range(j + 1, m):
        a[top + i * width + j] = a[top + i * width + j] * towards
    return head / norm, True


@borrowing
def _apply_to_column(a: Array, share: Any, j: int, m: int, top: int, width: int, c: int) -> None:
    total = a[top + j * width + c]
    for i in range(j + 1, m):
        total += np.conj(a[top + i * width + j]) * a[top + i * width + c]
    total = share * total
    a[top + j * width + c] -= total
    for i in range(j + 1, m):
        a[top + i * width + c] -= a[top + i * width + j] * total


def _apply(a: Array, share: Any, j: int, m: int, top: int, width: int) -> None:
    """Apply the reflection of column j to the columns behind it."""
    for c in range(j + 1, width):
        _apply_to_column(a, share, j, m, top, width, c)


def _apply_in_vectors(a: Any, share: Any, j: int, m: int, top: int, width: int) -> None:
    head = top + j * width
    c = j + 1
    while c + 16 <= width:
        s0, s1 = load(a, head + c), load(a, head + c + 8)
        row = head + width
        for _ in range(j + 1, m):
            s0 = s0 + a[row + j] * load(a, row + c)
            s1 = s1 + a[row + j] * load(a, row + c + 8)
            row += width
        s0, s1 = share * s0, share * s1
        store(a, head + c, load(a, head + c) - s0)
        store(a, head + c + 8, load(a, head + c + 8) - s1)
        row = head + width
        for _ in range(j + 1, m):
            store(a, row + c, load(a, row + c) - a[row + j] * s0)
            store(a, row + c + 8, load(a, row + c + 8) - a[row + j] * s1)
            row += width
        c += 16
    while c + 8 <= width:
        s0 = load(a, head + c)
        row = head + width
        for _ in range(j + 1, m):
            s0 = s0 + a[row + j] * load(a, row + c)
            row += width
        s0 = share * s0
        store(a, head + c, load(a, head + c) - s0)
        row = head + width
        for _ in range(j + 1, m):
            store(a, row + c, load(a, row + c) - a[row + j] * s0)
            row += width
        c += 8
    while c < width:
        _apply_to_column(a, share, j, m, top, width, c)
        c += 1


@borrowing_form(_apply)
def _apply_of(a, share, j, m, top, width):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _apply_in_vectors if a.dtype is types.float64 else _apply


@borrowing_kernel
def factor(
    data: Array,
    scatter: Array,
    fronts: Array,
    pool: Array,
    relative: Array,
    values: Array,
    tau: Array,
) -> int:
    """Factor the matrix with the entries `data`; return -1, or a column that is exactly dependent on others.

    `values` starts as zeros.
    """
    info = -1
    for e in range(data.size):
        values[scatter[e]] = data[e]
    for f in range(fronts.shape[0]):
        pivots, m, width, top = fronts[f, PIVOTS], fronts[f, ROWS], fronts[f, COLUMNS], fronts[f, VALUE_START]
        for j in range(pivots):
            share, there = _reflect_column(values, j, m, top, width)
            tau[fronts[f, PIVOT_START] + j] = share
            if there:
                _apply(values, share, j, m, top, width)
            elif info < 0:
                info = pool[fronts[f, COLUMN_START] + j]
        parent = fronts[f, PARENT]
        if parent >= 0:
            first = fronts[f, COLUMN_START] + pivots
            step = fronts[parent, COLUMNS]
            target = fronts[parent, VALUE_START] + fronts[f, PARENT_ROW] * step
            for i in range(pivots, m):
                source = top + i * width + pivots
                for c in range(width - pivots):
                    values[target + relative[first + c]] = values[source + c]
                target += step
    return info


@inlined
def is_rotated(pivots: int, m: int) -> bool:
    """Return whether the reflections of a front with so many pivots and rows are multiplied out."""
    return pivots > 1 and m <= EXPLICIT


@inlined
def lines_of(m: int) -> int:
    """Return with how many numbers a column of `rotation_of` comes, and so a right-hand side of m rows."""
    return (m + LANES - 1) // LANES * LANES


@borrowing
def rotation_of(
    values: Array, top: int, width: int, tau: Array, start: int, pivots: int, m: int, q: Array, at: int
) -> None:
    """Fill `q`, from a place on, by columns as long as `lines_of` says, with the product of a front's reflections."""
    lines = lines_of(m)
    for e in range(lines * m):
        q[at + e] = 0.0
    for i in range(m):
        q[at + i * lines + i] = 1.0
    # The last one stands to the left.
    for j in range(pivots - 1, -1, -1):
        share = tau[start + j]
        for line in range(at, at + lines, LANES):
            own = load(q, j * lines + line)
            total = own
            for i in range(j + 1, m):
                total = total + values[top + i * width + j] * load(q, i * lines + line)
            total = share * total
            store(q, j * lines + line, own - total)
            for i in range(j + 1, m):
                store(q, i * lines + line, load(q, i * lines + line) - values[top + i * width + j] * total)


@borrowing
def rotate(q: Array, at: int, m: int, x: Array, first: int) -> None:
    """Overwrite m rows of a right-hand side, and what fills up their vectors, with their product by a rotation."""
    # Said in full, so that all that rotate round alike: of a sum of two products the compiler fuses either.
    one = splat(x, first) * load(q, at)
    if m > LANES:
        two = splat(x, first) * load(q, at + LANES)
        for k in range(1, m):
            number = splat(x, first + k)
            one = multiply_add(number, load(q, at + 2 * k * LANES), one)
            two = multiply_add(number, load(q, at + (2 * k + 1) * LANES), two)
        store(x, first, one)
        store(x, first + LANES, two)
        return
    one = multiply_add(splat(x, first + 1), load(q, at + LANES), one)
    if m > 3:
        # Two sums, which do not wait for one another.
        two = splat(x, first + 2) * load(q, at + 2 * LANES)
        two = multiply_add(splat(x, first + 3), load(q, at + 3 * LANES), two)
        k = 4
        while k + 1 < m:
            one = multiply_add(splat(x, first + k), load(q, at + k * LANES), one)
            two = multiply_add(splat(x, first + k + 1), load(q, at + (k + 1) * LANES), two)
            k += 2
        one = one + two
    if m & 1:
        one = multiply_add(splat(x, first + m - 1), load(q, at + (m - 1) * LANES), one)
    store(x, first, one)


@borrowing
def reflect_one(vector: Array, at: int, share: Any, x: Array, first: int, last: int) -> None:
    """Reflect ``x[first ... last - 1]``, by (1, vector[at ...])."""
    total = share * (x[first] + dot(vector, at, x, first + 1, last))
    x[first] -= total
    subtract_multiple(vector, at, total, x, first + 1, last)


def _reflect_forwards(fronts: Array, rows: Array, values: Array, tau: Array, x: Array, work: Array) -> None:
    """Overwrite `x`, (n, m), with Q^H x."""
    _reflect(fronts, rows, values, tau, x, False)


def _reflect_gathered(fronts: Any, rows: Any, values: Any, tau: Any, x: Any, work: Any) -> None:
    # A side in the first half of the work space; in the other a rotation, or the vector of a reflection.
    half = work.size // 2
    q = work[half:]
    for f in range(fronts.shape[0]):
        pivots, m, width, top = fronts[f, PIVOTS], fronts[f, ROWS], fronts[f, COLUMNS], fronts[f, VALUE_START]
        first, start = fronts[f, ROW_START], fronts[f, PIVOT_START]
        explicit = is_rotated(pivots, m)
        if explicit:
            rotation_of(values, top, width, tau, start, pivots, m, q, 0)
        for c in range(x.shape[1]):
            for i in range(m):
                work[i] = x[rows[first + i], c]
            if explicit:
                rotate(q, 0, m, work, 0)
            else:
                for j in range(pivots):
                    place = top + (j + 1) * width + j
                    for i in range(m - j - 1):
                        q[i] = values[place]
                        place += width
                    reflect_one(q, 0, tau[start + j], work, j, m)
            for i in range(m):
                x[rows[first + i], c] = work[i]


@borrowing_form(_reflect_forwards)
def _reflect_forwards_of(fronts, rows, values, tau, x, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _reflect_gathered if values.dtype is types.float64 and x.dtype is types.float64 else _reflect_forwards


@kernel
def reflect(fronts: Array, rows: Array, values: Array, tau: Array, x: Array, backwards: bool) -> None:
    """Overwrite `x`, (n, m), by rows of the matrix, with Q^H x, or with Q x if `backwards`."""
    if backwards:
        _reflect(fronts, rows, values, tau, x, True)
    else:
        room = max(x.shape[0], EXPLICIT * EXPLICIT)
        _reflect_forwards(fronts, rows, values, tau, x, np.empty(2 * room, values.dtype))


@borrowing
def _reflect(fronts: Array, rows: Array, values: Array, tau: Array, x: Array, backwards: bool) -> None:
    count, several = fronts.shape[0], x.shape[1]
    for t in range(count):
        f = count - 1 - t if backwards else t
        pivots, m, width, top = fronts[f, PIVOTS], fronts[f, ROWS], fronts[f, COLUMNS], fronts[f, VALUE_START]
        first = fronts[f, ROW_START]
        for k in range(pivots):
            j = pivots - 1 - k if backwards else k
            share = tau[fronts[f, PIVOT_START] + j]
            head = rows[first + j]
            for c in range(several):
                total = x[head, c]
                for i in range(j + 1, m):
                    total += np.conj(values[top + i * width + j]) * x[rows[first + i], c]
                total = share * total
                x[head, c] -= total
                for i in range(j + 1, m):
                    x[rows[first + i], c] -= values[top + i * width + j] * total


@borrowing_kernel
def solve_upper(fronts: Array, pool: Array, rows: Array, values: Array, x: Array, z: Array) -> None:
    """Solve R z = x for `z`, (n, m), by columns of the matrix; `x` is by its rows."""
    for f in range(fronts.shape[0] - 1, -1, -1):
        pivots, width = fronts[f, PIVOTS], fronts[f, COLUMNS]
        top, begin = fronts[f, VALUE_START], fronts[f, COLUMN_START]
        for j in range(pivots - 1, -1, -1):
            at = top + j * width
            row, column = rows[fronts[f, ROW_START] + j], pool[begin + j]
            for c in range(x.shape[1]):
                value = x[row, c]
                # In the order in which they become known.
                for k in range(pivots, width):
                    value -= values[at + k] * z[pool[begin + k], c]
                for k in range(pivots - 1, j, -1):
                    value -= values[at + k] * z[pool[begin + k], c]
                z[column, c] = value / values[at + j]


@kernel
def solve_upper_adjoint(fronts: Array, pool: Array, rows: Array, values: Array, z: Array, x: Array) -> None:
    """Solve R^H x = z for `x`, (n, m), by rows of the matrix; `z`, by its columns, is used up."""
    for f in range(fronts.shape[0]):
        width, top, begin = fronts[f, COLUMNS], fronts[f, VALUE_START], fronts[f, COLUMN_START]
        for j in range(fronts[f, PIVOTS]):
            at = top + j * width
            row, column = rows[fronts[f, ROW_START] + j], pool[begin + j]
            for c in range(z.shape[1]):
                value = z[column, c] / np.conj(values[at + j])
                x[row, c] = value
                for k in range(j + 1, width):
                    z[pool[begin + k], c] -= np.conj(values[at + k]) * value


@kernel
def multiply_upper(fronts: Array, pool: Array, rows: Array, values: Array, z: Array, x: Array) -> None:
    """Set x = R z, `x`, (n, m), by rows of the matrix and `z` by its columns."""
    for f in range(fronts.shape[0]):
        width, top, begin = fronts[f, COLUMNS], fronts[f, VALUE_START], fronts[f, COLUMN_START]
        for j in range(fronts[f, PIVOTS]):
            at, row = top + j * width, rows[fronts[f, ROW_START] + j]
            for c in range(z.shape[1]):
                value = values[at + j] * z[pool[begin + j], c]
                for k in range(j + 1, width):
                    value += values[at + k] * z[pool[begin + k], c]
                x[row, c] = value
