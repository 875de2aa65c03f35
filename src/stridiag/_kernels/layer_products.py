r"""What a linear layer needs beside the plain product: a bias added on the way, and the gradient of the weights.

.. math:: y_s = A x_s + b, \qquad G_{ij} = \sum_s g_{s,i}\, x_{s,j} \quad\text{for } (i, j) \text{ on the pattern}

Vectors are rows: ``x`` is (samples, columns), ``y`` and ``g`` are (samples, rows), row-major. Cost: two flops per slot
and sample for each of the two.

The sums over samples stay in the first cache: rows are taken in blocks, and over each block all samples pass, four at
a time, while the sums of its diagonals are added to in place.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import COMPILES, inlined, kernel, vector_kernel
from stridiag._kernels.products import BLOCK
from stridiag._kernels.products import multiply_rows as multiply_rows_plainly
from stridiag._kernels.vectors import BYTES, load, store

if COMPILES:
    from stridiag._kernels.product_lanes import multiply_rows
else:
    multiply_rows = multiply_rows_plainly

__all__ = ["multiply_rows_and_add", "pattern_dots", "pattern_dots_of_batch"]

Array = NDArray[Any]

_SUMS = 512
"""Rows whose sums stay in the first cache."""


@kernel
def multiply_rows_and_add(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    bias: Array,
    y: Array,
    first: int,
    last: int,
) -> None:
    """Set rows first ... last - 1 of ``y[s] = A x[s] + bias`` for every s; `first` is a multiple of `BLOCK`."""
    for top in range(first, last, BLOCK):
        bottom = min(top + BLOCK, last)
        part = bias[top:bottom]
        # Four samples at a time share the places of links.
        for s in range(0, y.shape[0], 4):
            multiply_rows(values, offsets, starts, link_rows, link_columns, x[s : s + 4], y[s : s + 4], top, bottom)
            for r in range(s, min(s + 4, y.shape[0])):
                out = y[r, top:bottom]
                for i in range(out.size):
                    out[i] += part[i]


@inlined
def _link_dots(base: int, link_rows: Array, link_columns: Array, x: Array, g: Array, out: Array) -> None:
    for t in range(link_rows.size):
        total = out.dtype.type(0)
        for s in range(g.shape[0]):
            total += g[s, link_rows[t]] * x[s, link_columns[t]]
        out[base + t] = total


@kernel
def _plain_pattern_dots(
    offsets: Array, starts: Array, link_rows: Array, link_columns: Array, x: Array, g: Array, out: Array
) -> None:
    """See `pattern_dots`."""
    rows = g.shape[1]
    columns = x.shape[1]
    for k in range(offsets.size):
        begin = max(0, -offsets[k])
        for i in range(begin, min(rows, columns - offsets[k])):
            total = out.dtype.type(0)
            for s in range(g.shape[0]):
                total += g[s, i] * x[s, i + offsets[k]]
            out[starts[k] + i - begin] = total
    _link_dots(starts[offsets.size], link_rows, link_columns, x, g, out)


@vector_kernel(_plain_pattern_dots)
def pattern_dots(
    offsets: Array, starts: Array, link_rows: Array, link_columns: Array, x: Array, g: Array, out: Array
) -> None:
    """Set ``out``, (nnz,), to the sums over s of ``g[s, i] x[s, j]`` at every slot (i, j)."""
    lanes = BYTES // out.itemsize
    samples = g.shape[0]
    rows = g.shape[1]
    columns = x.shape[1]
    for top in range(0, rows, _SUMS):
        bottom = min(top + _SUMS, rows)
        for k in range(offsets.size):
            begin = max(top, -offsets[k])
            end = min(bottom, columns - offsets[k])
            for v in range(starts[k] + begin - max(0, -offsets[k]), starts[k] + end - max(0, -offsets[k])):
                out[v] = 0
        s = 0
        while s < samples:
            four = s + 4 <= samples
            for k in range(offsets.size):
                offset = offsets[k]
                begin = max(top, -offset)
                end = min(bottom, columns - offset)
                shift = starts[k] - max(0, -offset)
                i = begin
                a = s * rows
                b = s * columns + offset
                if four:
                    while i + lanes <= end:
                        total = load(out, shift + i) + load(g, a + i) * load(x, b + i)
                        total = total + load(g, a + rows + i) * load(x, b + columns + i)
                        total = total + load(g, a + 2 * rows + i) * load(x, b + 2 * columns + i)
                        total = total + load(g, a + 3 * rows + i) * load(x, b + 3 * columns + i)
                        store(out, shift + i, total)
                        i += lanes
                    while i < end:
                        for r in range(s, s + 4):
                            out[shift + i] += g[r, i] * x[r, i + offset]
                        i += 1
                else:
                    while i + lanes <= end:
                        store(out, shift + i, load(out, shift + i) + load(g, a + i) * load(x, b + i))
                        i += lanes
                    while i < end:
                        out[shift + i] += g[s, i] * x[s, i + offset]
                        i += 1
            s += 4 if four else 1
    _link_dots(starts[offsets.size], link_rows, link_columns, x, g, out)


@kernel
def pattern_dots_of_batch(
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    x: Array,
    g: Array,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Set ``out[b]`` for b = first ... last - 1, each from ``x[b]``, (samples, columns), and ``g[b]``."""
    for b in range(first, last):
        pattern_dots(offsets, starts, link_rows, link_columns, x[b], g[b], out[b])
