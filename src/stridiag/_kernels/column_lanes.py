r"""Solves with many right-hand sides: a stretch of a row of them is a few registers, and each column a lane.

`stridiag._kernels.tridiagonal_lu.solve`, step by step. What takes time is moving the right-hand sides, so they are read
where they stand, chains of a stride greater than one included, and solutions are written where they shall stand, past
the caches where their address allows it. What one step hands to the next stays in registers. The sweep forwards keeps
next to nothing of what it computes: one row now and then. The sweep backwards computes it again, block by block, into a
buffer that stays in the first cache, and solves there. So right-hand sides are read twice and solutions written once.

**Once is enough where solutions forget.** A row of the solution depends on one far below by a product of as many small
matrices as there are rows between, and with most matrices that is soon nothing. `reaches` finds, for tiles of rows, how
far below each of them the sweep backwards has to begin, from zeros, to be right to the last bit and far beyond: what is
missing is under a limit, times the largest number of the solution. Then a tile is solved as soon as the sweep forwards
has come so far, while it is in the second cache. `solve_columns_at_once` does so: it reads right-hand sides once.
What is missing at the border of a tile is a backward error: the equations within are satisfied whatever stands below.

Columns are dealt out in units (`stridiag._kernels.wide_vectors`): the kernel takes a range of them.

References: that of the module; keeping a state now and then, and computing again what lies between: A. Griewank
and A. Walther, *Evaluating Derivatives*, SIAM 2008, chapter 12.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_vectors import (
    COLUMNS,
    ask_for,
    column_of,
    lanes_of,
    load_like,
    move,
    over,
    put,
    wide_zeros,
    zeros,
)

__all__ = ["reaches", "solve_columns", "solve_columns_at_once"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Rows by which the processor is told what will be needed: a row's stretch is too short for it to see the pattern.
_AHEAD = 24
# Rows below a tile that are tried first; then half as many more, and so on.
_NEAREST = 16


@borrowing
def _solve_unit(
    nothing: Any,
    dl: Any,
    d: Any,
    du: Any,
    du2: Any,
    swapped: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    block: Any,
    work: Any,
    at: Any,
) -> None:
    """Solve for the columns from `at` on."""
    n, m = b.shape
    width = lanes_of(nothing)
    blocks = -(-n // block)
    states = block * width
    # Forwards: what is carried into each block.
    carried = load_like(nothing, b, order[0] * m + at)
    for number in range(blocks - 1):
        store(work, states + number * width, carried)
        for i in range(number * block, number * block + block):
            new = load_like(nothing, b, order[i + 1] * m + at)
            carried = carried - dl[i] * new if swapped[i] else new - dl[i] * carried
    store(work, states + (blocks - 1) * width, carried)
    # Backwards, block by block.
    near, far = nothing, nothing
    for number in range(blocks - 1, -1, -1):
        top, end = number * block, min(number * block + block, n)
        carried = load_like(nothing, work, states + number * width)
        for i in range(top, min(end, n - 1)):
            new = load_like(nothing, b, order[i + 1] * m + at)
            if swapped[i]:
                store(work, (i - top) * width, new)
                carried = carried - dl[i] * new
            else:
                store(work, (i - top) * width, carried)
                carried = new - dl[i] * carried
        if end == n:
            store(work, (n - 1 - top) * width, carried)
        for i in range(end - 1, top - 1, -1):
            near_factor = du[i] if i + 1 < n else du[i] * 0
            far_factor = du2[i] if i + 2 < n else du[i] * 0
            value = load_like(nothing, work, (i - top) * width) - far_factor * far
            value = over(value - near_factor * near, d[i])
            far, near = near, value
            put(x, order[i] * m + at, value, past)


@borrowing_kernel
def solve_columns(
    dl: Array,
    d: Array,
    du: Array,
    du2: Array,
    swapped: Array,
    order: Array,
    b: Array,
    x: Array,
    past: bool,
    block: int,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Fill the columns of `x`, (n, m), of the units `first` ... `last` - 1.

    Row ``order[i]`` of `b`, (n, m), and of `x` belongs to row i of the factors. `past`: whether all rows of `x` begin
    at multiples of 64 bytes. `work`: ``COLUMNS * (block + ceil(n / block))`` numbers.
    """
    m = b.shape[1]
    factors = (dl, d, du, du2, swapped, order, b, x)
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit(wide_zeros(b), *factors, past, block, work, at)
        else:
            _solve_unit(zeros(b), *factors, past, block, work, at)


@borrowing_kernel
def reaches(d: Array, du: Array, du2: Array, tile: int, most: int, limit: float, reach: Index) -> bool:
    """Fill `reach`, (ceil(n / tile),), with the rows below each tile that determine its solution; False if too many.

    Those after which what stands below changes no number of the tile by more than `limit` times the largest number of
    the solution; up to `most`, or to the last row.
    """
    n = d.size
    for number in range(reach.size):
        end = min(number * tile + tile, n)
        count = _NEAREST
        while end + count < n:
            # What becomes of (1, 0) and (0, 1) in the two rows below, in double precision.
            near0, near1, far0, far1 = 1.0, 0.0, 0.0, 1.0
            for i in range(end + count - 1, end - 1, -1):
                a, c = 1.0 * du[i] / d[i], (1.0 * du2[i] / d[i] if i + 2 < n else 0.0)
                near0, far0 = -a * near0 - c * far0, near0
                near1, far1 = -a * near1 - c * far1, near1
            # Accepts the good, so that NaN does not.
            if abs(near0) + abs(near1) <= limit and abs(far0) + abs(far1) <= limit:
                break
            count += count // 2
            if count > most:
                return False
        reach[number] = min(count, n - end)
    return True


@borrowing
def _solve_unit_at_once(
    nothing: Any,
    dl: Any,
    d: Any,
    du: Any,
    du2: Any,
    swapped: Any,
    order: Any,
    b: Any,
    x: Any,
    past: Any,
    tile: Any,
    reach: Any,
    work: Any,
    at: Any,
) -> None:
    """Solve for the columns from `at` on."""
    n, m = b.shape
    width = lanes_of(nothing)
    carried = load_like(nothing, b, order[0] * m + at)
    # Rows that have been eliminated; `work` holds those from the tile's first one on.
    done = 0
    for number in range(reach.size):
        top, end = number * tile, min(number * tile + tile, n)
        stop = end + reach[number]
        for i in range(done, min(stop, n - 1)):
            ask_for(nothing, b, order[min(i + _AHEAD, n - 1)] * m + at)
            new = load_like(nothing, b, order[i + 1] * m + at)
            if swapped[i]:
                store(work, (i - top) * width, new)
                carried = carried - dl[i] * new
            else:
                store(work, (i - top) * width, carried)
                carried = new - dl[i] * carried
        if stop == n:
            store(work, (n - 1 - top) * width, carried)
        done = max(done, stop)
        near, far = nothing, nothing
        for i in range(stop - 1, end - 1, -1):
            near_factor = du[i] if i + 1 < n else du[i] * 0
            far_factor = du2[i] if i + 2 < n else du[i] * 0
            value = load_like(nothing, work, (i - top) * width) - far_factor * far
            value = over(value - near_factor * near, d[i])
            far, near = near, value
        for i in range(end - 1, top - 1, -1):
            near_factor = du[i] if i + 1 < n else du[i] * 0
            far_factor = du2[i] if i + 2 < n else du[i] * 0
            value = load_like(nothing, work, (i - top) * width) - far_factor * far
            value = over(value - near_factor * near, d[i])
            far, near = near, value
            put(x, order[i] * m + at, value, past)
        move(nothing, work, (end - top) * width, 0, done - end)


@borrowing_kernel
def solve_columns_at_once(
    dl: Array,
    d: Array,
    du: Array,
    du2: Array,
    swapped: Array,
    order: Array,
    b: Array,
    x: Array,
    past: bool,
    tile: int,
    reach: Index,
    work: Array,
    first: int,
    last: int,
) -> None:
    """Do what `solve_columns` does, tile by tile: `reach` is filled by `reaches`.

    `work`: ``COLUMNS * (tile + max(reach))`` numbers.
    """
    m = b.shape[1]
    factors = (dl, d, du, du2, swapped, order, b, x)
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(b)))
        if unit < m // COLUMNS:
            _solve_unit_at_once(wide_zeros(b), *factors, past, tile, reach, work, at)
        else:
            _solve_unit_at_once(zeros(b), *factors, past, tile, reach, work, at)
