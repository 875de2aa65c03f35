r"""Product of a structured matrix with vectors stored as rows or as columns.

.. math:: y_i = \sum_k v_k[i]\, x_{i + o_k} + \sum_{(i, j) \in \text{links}} v_{ij}\, x_j

Storage: ``values`` holds the diagonals by ascending offset, each by row, then the links by row. Cost: two flops per
slot and vector. Rows are taken in blocks that stay in the first cache while all diagonals pass over them, so
memory sees each number once: 8 (diagonals + 2) bytes per row in double precision.

A call makes rows ``first`` to ``last - 1``, and nothing it does depends on that range as long as it begins at a
multiple of `BLOCK`: ranges can be shared out among threads. These are the plain loops, for complex numbers; for real
ones `product_lanes` does the same with explicit SIMD vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = [
    "BLOCK",
    "active_diagonals",
    "add_links_to_columns",
    "add_links_to_rows",
    "multiply_columns",
    "multiply_columns_of_batch",
    "multiply_rows",
    "multiply_rows_of_batch",
]

Array = NDArray[Any]

BLOCK = 1024
"""Rows that stay in the first cache while all diagonals pass over them."""


@inlined
def active_diagonals(offsets: Array, row: int, bottom: int, columns: int) -> tuple[int, int, int]:
    """Return which diagonals a row meets, low ... high - 1, and before which row, at most `bottom`, this changes."""
    low = 0
    while low < offsets.size and row + offsets[low] < 0:
        low += 1
    high = offsets.size
    while high > low and row + offsets[high - 1] >= columns:
        high -= 1
    end = bottom
    if low > 0:
        # The nearest diagonal that has not begun.
        end = min(end, -offsets[low - 1])
    if high > low:
        # The first to end.
        end = min(end, columns - offsets[high - 1])
    return low, high, end


@inlined
def _first_link(link_rows: Array, row: int) -> int:
    """Return the first link in a row or below it: links are ordered by row."""
    low = 0
    high = link_rows.size
    while low < high:
        middle = (low + high) // 2
        if link_rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def add_links_to_rows(
    values: Array, base: int, link_rows: Array, link_columns: Array, x: Array, y: Array, first: int, last: int
) -> None:
    """Add what links in rows first ... last - 1 contribute to vectors stored as rows."""
    end = _first_link(link_rows, last)
    t = _first_link(link_rows, first)
    entries = values[base:]
    while t < end:
        i = link_rows[t]
        stop = t + 1
        # Links are sorted by row: where the eighth one ahead is of this row, all between are.
        while stop + 8 <= end and link_rows[stop + 7] == i:
            stop += 8
        while stop < end and link_rows[stop] == i:
            stop += 1
        # Sums in registers: through memory, each addition would wait for the store before it. Columns unsigned: a
        # signed index is first tested for counting from the end.
        s = 0
        while s + 4 <= y.shape[0]:
            y0, y1, y2, y3 = y[s, i], y[s + 1, i], y[s + 2, i], y[s + 3, i]
            x0, x1, x2, x3 = x[s], x[s + 1], x[s + 2], x[s + 3]
            for k in range(np.uint64(t), np.uint64(stop)):
                value = entries[k]
                j = np.uint64(link_columns[k])
                y0 += value * x0[j]
                y1 += value * x1[j]
                y2 += value * x2[j]
                y3 += value * x3[j]
            y[s, i], y[s + 1, i], y[s + 2, i], y[s + 3, i] = y0, y1, y2, y3
            s += 4
        while s < y.shape[0]:
            total = y[s, i]
            row = x[s]
            for k in range(np.uint64(t), np.uint64(stop)):
                total += entries[k] * row[np.uint64(link_columns[k])]
            y[s, i] = total
            s += 1
        t = stop


@inlined
def add_links_to_columns(
    values: Array, base: int, link_rows: Array, link_columns: Array, x: Array, y: Array, first: int, last: int
) -> None:
    """Add what links in rows first ... last - 1 contribute to vectors stored as columns."""
    for t in range(_first_link(link_rows, first), _first_link(link_rows, last)):
        i = link_rows[t]
        j = link_columns[t]
        value = values[base + t]
        for c in range(y.shape[1]):
            y[i, c] += value * x[j, c]


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
    """Set rows first ... last - 1 of ``y[s] = A x[s]`` for every s of `x`, (samples, columns), and `y`."""
    samples = y.shape[0]
    columns = x.shape[1]
    for top in range(first, last, BLOCK):
        bottom = min(top + BLOCK, last)
        for s in range(samples):
            out = y[s, top:bottom]
            for i in range(out.size):
                out[i] = 0
            for k in range(offsets.size):
                offset = offsets[k]
                begin = max(top, -offset)
                end = min(bottom, columns - offset)
                if begin < end:
                    start = starts[k] + begin - max(0, -offset)
                    part = values[start : start + end - begin]
                    source = x[s, begin + offset : end + offset]
                    target = y[s, begin:end]
                    for i in range(target.size):
                        target[i] += part[i] * source[i]
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
) -> None:
    """Set rows first ... last - 1 of ``y = A x`` for row-major `x`, (columns, vectors), and `y`."""
    columns = x.shape[0]
    for i in range(first, last):
        out = y[i]
        for c in range(out.size):
            out[c] = 0
        for k in range(offsets.size):
            offset = offsets[k]
            j = i + offset
            if 0 <= j < columns:
                value = values[starts[k] + i - max(0, -offset)]
                source = x[j]
                for c in range(out.size):
                    out[c] += value * source[c]
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
    """Set ``y[b]``, b = first ... last - 1, to member ``of[b]`` of the matrices times member ``at[b]`` of `x`."""
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
    """Set ``y[b]``, b = first ... last - 1, to member ``of[b]`` of the matrices times member ``at[b]`` of `x`."""
    for b in range(first, last):
        multiply_columns(values[of[b]], offsets, starts, link_rows, link_columns, x[at[b]], y[b], 0, y.shape[1])
