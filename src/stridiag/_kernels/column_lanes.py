r"""Solves with many right-hand sides: a stretch of a row of them is a few registers, and each column a lane.

`stridiag._kernels.tridiagonal_lu.solve`, step by step. What takes time is moving the right-hand sides, so they are read
where they stand, chains of a stride greater than one included, and solutions are written where they shall stand, past
the caches where their address allows it. What one step hands to the next stays in registers. The sweep forwards keeps
next to nothing of what it computes: one row now and then. The sweep backwards computes it again, block by block, into a
buffer that stays in the first cache, and solves there. So right-hand sides are read twice and solutions written once.

Columns are dealt out in units (`stridiag._kernels.wide_vectors`): the kernel takes a range of them.

References: that of the module; keeping a state now and then, and computing again what lies between: A. Griewank
and A. Walther, *Evaluating Derivatives*, SIAM 2008, chapter 12.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_vectors import (
    COLUMNS,
    column_of,
    lanes_of,
    load_like,
    over,
    put,
    wide_zeros,
    zeros,
)

__all__ = ["solve_columns"]

Array = NDArray[Any]


@inlined
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


@kernel
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
