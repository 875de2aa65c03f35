r"""Products with real vectors by explicit SIMD vectors; the plain loops, and the mathematics, are in `products`.

**One vector**, or several one after another: the sums of 4 times as many rows as a vector has lanes stay in registers
while all diagonals pass over them. Which diagonals a row meets changes only where one begins or ends, so that rows fall
into stretches with the same diagonals, and nothing is tested inside. Memory sees each number once.

**Many vectors side by side**, row-major: row i of the result stays in registers, in stretches of 4 vectors, while the
row of x at each diagonal is multiplied by its number. A row of x comes from memory once if the offsets' span fits into
the cache. A result too large for the caches is written past them, which saves reading what will be overwritten, and the
rows of x are asked for ahead.

Rows are taken in blocks that are counted from the first row of all, so that a row's sum is made in the same way
whatever the range that is asked for.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.products import BLOCK, active_diagonals, add_links_to_columns, add_links_to_rows
from stridiag._kernels.vectors import BYTES, load, prefetch, splat, store, store_past_caches

__all__ = ["multiply_columns", "multiply_columns_of_batch", "multiply_rows", "multiply_rows_of_batch"]

Array = NDArray[Any]

# Bytes by which the processor is told what will be needed: it follows a stream by itself to the end of a page only.
_AHEAD = 8192


@inlined
def _stretch(
    values: Array, offsets: Array, starts: Array, low: int, high: int, x: Array, y: Array, s: int, row: int, end: int
) -> None:
    """Set rows row ... end - 1 of ``y[s]``, which all meet diagonals low ... high - 1."""
    lanes = BYTES // values.itemsize
    into = s * y.shape[1]
    source = s * x.shape[1]
    i = row
    if low < high:
        while i + 4 * lanes <= end:
            v = starts[low] + i - max(0, -offsets[low])
            u = source + i + offsets[low]
            a = load(values, v) * load(x, u)
            b = load(values, v + lanes) * load(x, u + lanes)
            c = load(values, v + 2 * lanes) * load(x, u + 2 * lanes)
            d = load(values, v + 3 * lanes) * load(x, u + 3 * lanes)
            for k in range(low + 1, high):
                v = starts[k] + i - max(0, -offsets[k])
                u = source + i + offsets[k]
                a = a + load(values, v) * load(x, u)
                b = b + load(values, v + lanes) * load(x, u + lanes)
                c = c + load(values, v + 2 * lanes) * load(x, u + 2 * lanes)
                d = d + load(values, v + 3 * lanes) * load(x, u + 3 * lanes)
            store(y, into + i, a)
            store(y, into + i + lanes, b)
            store(y, into + i + 2 * lanes, c)
            store(y, into + i + 3 * lanes, d)
            i += 4 * lanes
    while i < end:
        total = y.dtype.type(0)
        for k in range(low, high):
            total = total + values[starts[k] + i - max(0, -offsets[k])] * x[s, i + offsets[k]]
        y[s, i] = total
        i += 1


@kernel
def multiply_rows(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    y: Array,
    first: int,
    last: int,
) -> None:
    """See `stridiag._kernels.products.multiply_rows`."""
    samples = y.shape[0]
    columns = x.shape[1]
    for top in range(first, last, BLOCK):
        bottom = min(top + BLOCK, last)
        for s in range(samples):
            row = top
            while row < bottom:
                low, high, end = active_diagonals(offsets, row, bottom, columns)
                _stretch(values, offsets, starts, low, high, x, y, s, row, end)
                row = end
    add_links_to_rows(values, starts[offsets.size], link_rows, link_columns, x, y, first, last)


@kernel
def multiply_columns(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    y: Array,
    first: int,
    last: int,
    past: bool,
) -> None:
    """See `stridiag._kernels.products.multiply_columns`.

    With `past` the result is written past the caches: each of its rows must begin at a multiple of 64 bytes.
    """
    lanes = BYTES // values.itemsize
    columns = x.shape[0]
    width = y.shape[1]
    low, high, end = 0, 0, first
    for i in range(first, last):
        if i == end:
            low, high, end = active_diagonals(offsets, i, last, columns)
        c = 0
        if low < high:
            into = i * width
            while c + 4 * lanes <= width:
                v = starts[low] + i - max(0, -offsets[low])
                u = (i + offsets[low]) * width + c
                w = splat(values, v)
                p0 = w * load(x, u)
                p1 = w * load(x, u + lanes)
                p2 = w * load(x, u + 2 * lanes)
                p3 = w * load(x, u + 3 * lanes)
                for k in range(low + 1, high):
                    v = starts[k] + i - max(0, -offsets[k])
                    u = (i + offsets[k]) * width + c
                    w = splat(values, v)
                    p0 = p0 + w * load(x, u)
                    p1 = p1 + w * load(x, u + lanes)
                    p2 = p2 + w * load(x, u + 2 * lanes)
                    p3 = p3 + w * load(x, u + 3 * lanes)
                if past:
                    u += _AHEAD // values.itemsize
                    prefetch(x, u)
                    prefetch(x, u + lanes)
                    prefetch(x, u + 2 * lanes)
                    prefetch(x, u + 3 * lanes)
                    store_past_caches(y, into + c, p0)
                    store_past_caches(y, into + c + lanes, p1)
                    store_past_caches(y, into + c + 2 * lanes, p2)
                    store_past_caches(y, into + c + 3 * lanes, p3)
                else:
                    store(y, into + c, p0)
                    store(y, into + c + lanes, p1)
                    store(y, into + c + 2 * lanes, p2)
                    store(y, into + c + 3 * lanes, p3)
                c += 4 * lanes
            while c + lanes <= width:
                p0 = splat(values, starts[low] + i - max(0, -offsets[low])) * load(x, (i + offsets[low]) * width + c)
                for k in range(low + 1, high):
                    v = starts[k] + i - max(0, -offsets[k])
                    p0 = p0 + splat(values, v) * load(x, (i + offsets[k]) * width + c)
                store(y, into + c, p0)
                c += lanes
        while c < width:
            total = y.dtype.type(0)
            for k in range(low, high):
                total = total + values[starts[k] + i - max(0, -offsets[k])] * x[i + offsets[k], c]
            y[i, c] = total
            c += 1
    add_links_to_columns(values, starts[offsets.size], link_rows, link_columns, x, y, first, last)


@kernel
def multiply_rows_of_batch(
    values: Array,
    of: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    at: Array,
    y: Array,
    first: int,
    last: int,
) -> None:
    """See `stridiag._kernels.products.multiply_rows_of_batch`."""
    for b in range(first, last):
        multiply_rows(values[of[b]], offsets, starts, link_rows, link_columns, x[at[b]], y[b], 0, y.shape[2])


@kernel
def multiply_columns_of_batch(
    values: Array,
    of: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    at: Array,
    y: Array,
    first: int,
    last: int,
) -> None:
    """See `stridiag._kernels.products.multiply_columns_of_batch`."""
    for b in range(first, last):
        multiply_columns(values[of[b]], offsets, starts, link_rows, link_columns, x[at[b]], y[b], 0, y.shape[1], False)
