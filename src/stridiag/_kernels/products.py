r"""Product of a structured matrix with vectors stored as rows or as columns.

.. math:: y_i = \sum_k v_k[i]\, x_{i + o_k} + \sum_{(i, j) \in \text{links}} v_{ij}\, x_j

Storage: ``values`` holds the diagonals by ascending offset, each by row, then the links. Cost: two flops per
slot and vector. Rows are taken in blocks that stay in the first cache while all diagonals pass over them, so
memory sees each number once: 8 (diagonals + 2) bytes per row in double precision.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["multiply_columns", "multiply_rows"]

Array = NDArray[Any]

_BLOCK = 1024


@kernel
def multiply_rows(
    values: Array, offsets: Array, starts: Array, link_rows: Array, link_columns: Array, x: Array, y: Array
) -> None:
    """Set ``y[s] = A x[s]`` for every row s of `x`, (samples, columns), and `y`, (samples, rows)."""
    samples, rows = y.shape
    columns = x.shape[1]
    for top in range(0, rows, _BLOCK):
        bottom = min(top + _BLOCK, rows)
        for s in range(samples):
            out = y[s, top:bottom]
            for i in range(out.size):
                out[i] = 0
            for k in range(offsets.size):
                offset = offsets[k]
                first = max(top, -offset)
                last = min(bottom, columns - offset)
                if first < last:
                    start = starts[k] + first - max(0, -offset)
                    part = values[start : start + last - first]
                    source = x[s, first + offset : last + offset]
                    target = y[s, first:last]
                    for i in range(target.size):
                        target[i] += part[i] * source[i]
    base = starts[offsets.size]
    for s in range(samples):
        for t in range(link_rows.size):
            y[s, link_rows[t]] += values[base + t] * x[s, link_columns[t]]


@kernel
def multiply_columns(
    values: Array, offsets: Array, starts: Array, link_rows: Array, link_columns: Array, x: Array, y: Array
) -> None:
    """Set ``y = A x`` for row-major `x`, (columns, vectors), and `y`, (rows, vectors)."""
    rows = y.shape[0]
    columns = x.shape[0]
    for i in range(rows):
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
    base = starts[offsets.size]
    for t in range(link_rows.size):
        value = values[base + t]
        out = y[link_rows[t]]
        source = x[link_columns[t]]
        for c in range(out.size):
            out[c] += value * source[c]
