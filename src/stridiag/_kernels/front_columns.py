"""Systems factored in fronts, solved for many right-hand sides: a stretch of a row of them is a few registers.

The sweeps of `stridiag._kernels.front_lu` and `stridiag._kernels.front_householder`. Right-hand sides are overwritten,
so units of columns do not overlap: their number is a multiple of a register's (`stridiag._kernels.wide_vectors`).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.front_lu import DONE, IDS, SIZE, VALUES
from stridiag._kernels.front_order import (
    COLUMN_START,
    PIVOT_START,
    PIVOTS,
    ROW_START,
    ROWS,
    VALUE_START,
)
from stridiag._kernels.front_order import COLUMNS as WIDTH
from stridiag._kernels.vectors import store
from stridiag._kernels.wide_vectors import COLUMNS, column_of, lanes_of, load_like, over, wide_zeros, zeros

__all__ = ["solve_lu", "solve_qr"]

Array = NDArray[Any]


@inlined
def _lu_unit(nothing: Any, head: Any, values: Any, ids: Any, x: Any, z: Any, at: Any) -> None:
    m = x.shape[1]
    for f in range(head.shape[0]):
        done, width, begin, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for i in range(1, width):
            row = begin + i * width if i < done else begin + done * width + (i - done) * done
            place = ids[first + i] * m + at
            value = load_like(nothing, x, place)
            for t in range(min(i, done)):
                value = value - values[row + t] * load_like(nothing, x, ids[first + t] * m + at)
            store(x, place, value)
    for f in range(head.shape[0] - 1, -1, -1):
        done, width, begin, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        for t in range(done - 1, -1, -1):
            row = begin + t * width
            value = load_like(nothing, x, ids[first + t] * m + at)
            # What has been known for longest comes first.
            for k in range(width - 1, t, -1):
                value = value - values[row + k] * load_like(nothing, z, ids[first + width + k] * m + at)
            store(z, ids[first + width + t] * m + at, over(value, values[row + t]))


@kernel
def solve_lu(head: Array, values: Array, ids: Array, x: Array, z: Array, first: int, last: int) -> None:
    """Solve for the columns of `z`, (n, m), of the units `first` ... `last` - 1; those of `x` are used up.

    `head`, `values`, `ids` are those of `stridiag._kernels.front_lu`; `x` is by rows of the matrix, `z` by its columns.
    """
    m = x.shape[1]
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(x)))
        if unit < m // COLUMNS:
            _lu_unit(wide_zeros(x), head, values, ids, x, z, at)
        else:
            _lu_unit(zeros(x), head, values, ids, x, z, at)


@inlined
def _qr_unit(nothing: Any, fronts: Any, pool: Any, rows: Any, values: Any, tau: Any, x: Any, z: Any, at: Any) -> None:
    m = x.shape[1]
    for f in range(fronts.shape[0]):
        height, width, top = fronts[f, ROWS], fronts[f, WIDTH], fronts[f, VALUE_START]
        first = fronts[f, ROW_START]
        for j in range(fronts[f, PIVOTS]):
            head = rows[first + j] * m + at
            total = load_like(nothing, x, head)
            for i in range(j + 1, height):
                total = total + values[top + i * width + j] * load_like(nothing, x, rows[first + i] * m + at)
            total = tau[fronts[f, PIVOT_START] + j] * total
            store(x, head, load_like(nothing, x, head) - total)
            for i in range(j + 1, height):
                place = rows[first + i] * m + at
                store(x, place, load_like(nothing, x, place) - values[top + i * width + j] * total)
    for f in range(fronts.shape[0] - 1, -1, -1):
        width, top, begin = fronts[f, WIDTH], fronts[f, VALUE_START], fronts[f, COLUMN_START]
        for j in range(fronts[f, PIVOTS] - 1, -1, -1):
            row = top + j * width
            value = load_like(nothing, x, rows[fronts[f, ROW_START] + j] * m + at)
            for k in range(width - 1, j, -1):
                value = value - values[row + k] * load_like(nothing, z, pool[begin + k] * m + at)
            store(z, pool[begin + j] * m + at, over(value, values[row + j]))


@kernel
def solve_qr(
    fronts: Array,
    pool: Array,
    rows: Array,
    values: Array,
    tau: Array,
    x: Array,
    z: Array,
    first: int,
    last: int,
) -> None:
    """Do what `solve_lu` does, with the factors of `stridiag._kernels.front_householder`."""
    m = x.shape[1]
    for unit in range(first, last):
        at = column_of(unit, m, lanes_of(zeros(x)))
        if unit < m // COLUMNS:
            _qr_unit(wide_zeros(x), fronts, pool, rows, values, tau, x, z, at)
        else:
            _qr_unit(zeros(x), fronts, pool, rows, values, tau, x, z, at)
