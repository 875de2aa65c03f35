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

from stridiag._kernels.compile import inlined, kernel, vector_kernel
from stridiag._kernels.products import BLOCK, active_diagonals, add_links_to_rows, multiply_rows
from stridiag._kernels.vectors import BYTES, load, store

__all__ = ["layer_rows", "pattern_dots", "pattern_dots_of_batch", "rows_worth_a_thread"]

Array = NDArray[Any]

_SUMS = 512
"""Rows whose sums stay in the first cache."""


def rows_worth_a_thread(products: int, each: int) -> int:
    """Return how many rows make so many products of two numbers, in whole blocks, if a row takes `each`."""
    return -(-products // (max(1, each) * BLOCK)) * BLOCK


@kernel
def _plain_layer_rows(
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
    """See `layer_rows`."""
    multiply_rows(values, offsets, starts, link_rows, link_columns, x, y, first, last)
    if bias.size:
        for s in range(y.shape[0]):
            for i in range(first, last):
                y[s, i] += bias[i]


@inlined
def _sum_of_one(
    values: Array, offsets: Array, starts: Array, low: int, high: int, x: Array, bias: Array, s: int, i: int
) -> Any:
    """Return entry i of sample s."""
    total = x.dtype.type(0)
    for k in range(low, high):
        total = total + values[starts[k] + i - max(0, -offsets[k])] * x[s, i + offsets[k]]
    return total + bias[i] if bias.size else total


@inlined
def _four_samples(
    values: Array,
    offsets: Array,
    starts: Array,
    low: int,
    high: int,
    x: Array,
    bias: Array,
    y: Array,
    s: int,
    row: int,
    end: int,
) -> None:
    """Set rows row ... end - 1 of ``y[s:s + 4]``, which all meet diagonals low ... high - 1."""
    lanes = BYTES // values.itemsize
    rows = y.shape[1]
    columns = x.shape[1]
    i = row
    if low < high:
        while i + 2 * lanes <= end:
            v = starts[low] + i - max(0, -offsets[low])
            u = s * columns + i + offsets[low]
            w, z = load(values, v), load(values, v + lanes)
            a0, a1 = w * load(x, u), z * load(x, u + lanes)
            u += columns
            b0, b1 = w * load(x, u), z * load(x, u + lanes)
            u += columns
            c0, c1 = w * load(x, u), z * load(x, u + lanes)
            u += columns
            d0, d1 = w * load(x, u), z * load(x, u + lanes)
            for k in range(low + 1, high):
                v = starts[k] + i - max(0, -offsets[k])
                u = s * columns + i + offsets[k]
                w, z = load(values, v), load(values, v + lanes)
                a0, a1 = a0 + w * load(x, u), a1 + z * load(x, u + lanes)
                u += columns
                b0, b1 = b0 + w * load(x, u), b1 + z * load(x, u + lanes)
                u += columns
                c0, c1 = c0 + w * load(x, u), c1 + z * load(x, u + lanes)
                u += columns
                d0, d1 = d0 + w * load(x, u), d1 + z * load(x, u + lanes)
            if bias.size:
                w, z = load(bias, i), load(bias, i + lanes)
                a0, a1, b0, b1, c0, c1, d0, d1 = a0 + w, a1 + z, b0 + w, b1 + z, c0 + w, c1 + z, d0 + w, d1 + z
            t = s * rows + i
            store(y, t, a0)
            store(y, t + lanes, a1)
            store(y, t + rows, b0)
            store(y, t + rows + lanes, b1)
            store(y, t + 2 * rows, c0)
            store(y, t + 2 * rows + lanes, c1)
            store(y, t + 3 * rows, d0)
            store(y, t + 3 * rows + lanes, d1)
            i += 2 * lanes
        while i + lanes <= end:
            v = starts[low] + i - max(0, -offsets[low])
            u = s * columns + i + offsets[low]
            w = load(values, v)
            a = w * load(x, u)
            b = w * load(x, u + columns)
            c = w * load(x, u + 2 * columns)
            d = w * load(x, u + 3 * columns)
            for k in range(low + 1, high):
                v = starts[k] + i - max(0, -offsets[k])
                u = s * columns + i + offsets[k]
                w = load(values, v)
                a = a + w * load(x, u)
                b = b + w * load(x, u + columns)
                c = c + w * load(x, u + 2 * columns)
                d = d + w * load(x, u + 3 * columns)
            if bias.size:
                w = load(bias, i)
                a, b, c, d = a + w, b + w, c + w, d + w
            t = s * rows + i
            store(y, t, a)
            store(y, t + rows, b)
            store(y, t + 2 * rows, c)
            store(y, t + 3 * rows, d)
            i += lanes
    while i < end:
        for r in range(s, s + 4):
            y[r, i] = _sum_of_one(values, offsets, starts, low, high, x, bias, r, i)
        i += 1


@inlined
def _one_sample(
    values: Array,
    offsets: Array,
    starts: Array,
    low: int,
    high: int,
    x: Array,
    bias: Array,
    y: Array,
    s: int,
    row: int,
    end: int,
) -> None:
    """Set rows row ... end - 1 of ``y[s]``, which all meet diagonals low ... high - 1."""
    lanes = BYTES // values.itemsize
    source = s * x.shape[1]
    into = s * y.shape[1]
    i = row
    if low < high:
        while i + 2 * lanes <= end:
            v = starts[low] + i - max(0, -offsets[low])
            u = source + i + offsets[low]
            a = load(values, v) * load(x, u)
            b = load(values, v + lanes) * load(x, u + lanes)
            for k in range(low + 1, high):
                v = starts[k] + i - max(0, -offsets[k])
                u = source + i + offsets[k]
                a = a + load(values, v) * load(x, u)
                b = b + load(values, v + lanes) * load(x, u + lanes)
            if bias.size:
                a = a + load(bias, i)
                b = b + load(bias, i + lanes)
            store(y, into + i, a)
            store(y, into + i + lanes, b)
            i += 2 * lanes
        while i + lanes <= end:
            a = load(values, starts[low] + i - max(0, -offsets[low])) * load(x, source + i + offsets[low])
            for k in range(low + 1, high):
                a = a + load(values, starts[k] + i - max(0, -offsets[k])) * load(x, source + i + offsets[k])
            store(y, into + i, a + load(bias, i) if bias.size else a)
            i += lanes
    while i < end:
        y[s, i] = _sum_of_one(values, offsets, starts, low, high, x, bias, s, i)
        i += 1


@vector_kernel(_plain_layer_rows)
def layer_rows(
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
    """Set rows first ... last - 1 of ``y[s] = A x[s] + bias`` for every s; an empty bias is none.

    `first` is a multiple of `BLOCK`. Four samples at a time share the entries that are loaded and the places of links.
    """
    columns = x.shape[1]
    samples = y.shape[0]
    for top in range(first, last, BLOCK):
        bottom = min(top + BLOCK, last)
        for s in range(0, samples, 4):
            four = s + 4 <= samples
            row = top
            while row < bottom:
                low, high, end = active_diagonals(offsets, row, bottom, columns)
                if four:
                    _four_samples(values, offsets, starts, low, high, x, bias, y, s, row, end)
                else:
                    for r in range(s, samples):
                        _one_sample(values, offsets, starts, low, high, x, bias, y, r, row, end)
                row = end
            if link_rows.size:
                base = starts[offsets.size]
                add_links_to_rows(values, base, link_rows, link_columns, x[s : s + 4], y[s : s + 4], top, bottom)


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
