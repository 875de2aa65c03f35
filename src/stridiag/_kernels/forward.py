r"""One structured layer in one pass: gather, product, bias and activation.

.. math:: y_s[i] = f\Bigl(b_i + \sum_k v_k[i]\, h_s[\sigma(i + o_k)] + \sum_{(i, j) \in \text{links}} v_{ij}\,
          h_s[\sigma(j)]\Bigr)

for samples s, with sigma the layer's source. Storage as in `products`: ``values`` holds the diagonals by ascending
offset, each by row, then the links by row.

**Few samples** (`forward_rows`): one after another, units side by side in the vectors. The inputs are gathered into a
scratch row once; then each stretch of units that meet the same diagonals needs no test.

**Many samples** (`forward_tiles`): as many samples as 4 vectors have lanes at a time, side by side. They are turned
into a tile, input by input, where an entry at any place costs the same: a gather is no work, and a link as cheap as
an entry of a diagonal. The entries are put in order of units first (`pack`), once for all tiles. The values of 8 (16)
units are turned back in registers and written as pieces of rows.

A unit's sum is made in one order (bias, diagonals by ascending offset, links by column) in fused operations in both,
and the activation is the same function: a sample's values do not depend, to the last bit, on how many are computed
with it.

Inputs and outputs are flat memory with a stride from sample to sample, so that a layer can read from, and write into,
the columns of a larger table. Cost: 2 flops per entry and sample; nothing is stored but one tile, 256 bytes per
input, and the packed entries, 16 bytes each.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.products import active_diagonals
from stridiag._kernels.tanh import tanh_of
from stridiag._kernels.vectors import BYTES, choose, gather, less, load, scatter, splat, store

__all__ = ["IDENTITY", "RELU", "TANH", "TOGETHER", "forward_plain", "forward_rows", "forward_tiles", "pack", "row_into"]

Array = NDArray[Any]

IDENTITY, TANH, RELU = 0, 1, 2
"""Codes of the functions that kernels know."""

TOGETHER = 64
"""Units whose values are turned back together: 16 KB, part of the first cache.

Fewer would be written to too many places at a time: rows that lie a power of two apart share few places in that cache.
"""


@inlined
def _first_start(offset: int, start: int) -> int:
    """Return where a diagonal's entry in row 0 would stand."""
    return start - max(0, -offset)


@kernel
def forward_plain(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    source: Array,
    bias: Array,
    code: int,
    x: Array,
    x_stride: int,
    y: Array,
    y_stride: int,
    first: int,
    last: int,
) -> None:
    """Compute samples first ... last - 1 by plain loops; an empty `source` reads the inputs in order."""
    for s in range(first, last):
        here = s * x_stride
        into = s * y_stride
        for i in range(bias.size):
            y[into + i] = bias[i]
        for k in range(offsets.size):
            offset = offsets[k]
            length = starts[k + 1] - starts[k]
            top = max(0, -offset)
            for t in range(length):
                column = top + t + offset
                place = column if source.size == 0 else source[column]
                y[into + top + t] += values[starts[k] + t] * x[here + place]
        for t in range(link_rows.size):
            column = link_columns[t]
            place = column if source.size == 0 else source[column]
            y[into + link_rows[t]] += values[starts[offsets.size] + t] * x[here + place]
        if code == TANH:
            for i in range(into, into + bias.size):
                y[i] = math.tanh(y[i])
        elif code == RELU:
            for i in range(into, into + bias.size):
                # This way round, so that NaN is kept.
                y[i] = 0.0 if y[i] < 0.0 else y[i]


@inlined
def relu_of(a: Any) -> Any:
    """Return the positive part, lane by lane; NaN stays."""
    return choose(less(a, 0.0), 0.0, a)


@inlined
def row_into(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    bias: Array,
    code: int,
    columns: int,
    x: Array,
    here: int,
    z: Array,
) -> None:
    """Set `z` to one sample's values, for gathered inputs at ``x[here:]``; `z` is a whole number of vectors long."""
    lanes = BYTES // values.itemsize
    units = bias.size
    i = 0
    while i < units:
        low, high, end = active_diagonals(offsets, i, units, columns)
        while i + 4 * lanes <= end:
            a, b, c, d = load(bias, i), load(bias, i + lanes), load(bias, i + 2 * lanes), load(bias, i + 3 * lanes)
            for k in range(low, high):
                v = _first_start(offsets[k], starts[k]) + i
                u = here + i + offsets[k]
                a = a + load(values, v) * load(x, u)
                b = b + load(values, v + lanes) * load(x, u + lanes)
                c = c + load(values, v + 2 * lanes) * load(x, u + 2 * lanes)
                d = d + load(values, v + 3 * lanes) * load(x, u + 3 * lanes)
            store(z, i, a)
            store(z, i + lanes, b)
            store(z, i + 2 * lanes, c)
            store(z, i + 3 * lanes, d)
            i += 4 * lanes
        while i + lanes <= end:
            a = load(bias, i)
            for k in range(low, high):
                a = a + load(values, _first_start(offsets[k], starts[k]) + i) * load(x, here + i + offsets[k])
            store(z, i, a)
            i += lanes
        while i < end:
            total = bias[i]
            for k in range(low, high):
                total = total + values[_first_start(offsets[k], starts[k]) + i] * x[here + i + offsets[k]]
            z[i] = total
            i += 1
    base = starts[offsets.size]
    for t in range(link_rows.size):
        z[link_rows[t]] += values[base + t] * x[here + link_columns[t]]
    if code == TANH:
        for i in range(0, z.size, lanes):
            store(z, i, tanh_of(load(z, i)))
    elif code == RELU:
        for i in range(0, z.size, lanes):
            store(z, i, relu_of(load(z, i)))


@kernel
def forward_rows(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    source: Array,
    bias: Array,
    code: int,
    columns: int,
    x: Array,
    x_stride: int,
    y: Array,
    y_stride: int,
    gathered: Array,
    z: Array,
    first: int,
    last: int,
) -> None:
    """Compute samples first ... last - 1, units side by side.

    `gathered`, (columns,) where there is a source, and `z`, the units rounded up to whole vectors, are scratch; `z`
    must hold numbers.
    """
    for s in range(first, last):
        here = s * x_stride
        if source.size:
            for j in range(columns):
                gathered[j] = x[here + source[j]]
            row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, gathered, 0, z)
        else:
            row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, x, here, z)
        into = s * y_stride
        for i in range(bias.size):
            y[into + i] = z[i]


@kernel
def pack(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    source: Array,
    columns: int,
    width: int,
    begins: Array,
    places: Array,
    entries: Array,
) -> None:
    """Put the entries in order of units, each with `width` times the number of the input that it reads."""
    units = begins.size - 1
    count = 0
    link = 0
    base = starts[offsets.size]
    low, high, end = 0, 0, 0
    for i in range(units):
        if i == end:
            low, high, end = active_diagonals(offsets, i, units, columns)
        begins[i] = count
        for k in range(low, high):
            places[count] = i + offsets[k]
            entries[count] = values[_first_start(offsets[k], starts[k]) + i]
            count += 1
        while link < link_rows.size and link_rows[link] == i:
            places[count] = link_columns[link]
            entries[count] = values[base + link]
            count += 1
            link += 1
    begins[units] = count
    for t in range(count):
        if source.size:
            places[t] = source[places[t]]
        places[t] *= width


@inlined
def _four(
    begins: Array, places: Array, entries: Array, bias: Array, code: int, tile: Array, i: int, z: Array, to: int
) -> None:
    """Set the 4 vectors at ``z[to:]`` to unit i's values for the samples of a tile."""
    lanes = BYTES // entries.itemsize
    a = splat(bias, i)
    b, c, d = a, a, a
    for t in range(begins[i], begins[i + 1]):
        w = splat(entries, t)
        u = places[t]
        a = a + w * load(tile, u)
        b = b + w * load(tile, u + lanes)
        c = c + w * load(tile, u + 2 * lanes)
        d = d + w * load(tile, u + 3 * lanes)
    if code == TANH:
        a, b, c, d = tanh_of(a), tanh_of(b), tanh_of(c), tanh_of(d)
    elif code == RELU:
        a, b, c, d = relu_of(a), relu_of(b), relu_of(c), relu_of(d)
    store(z, to, a)
    store(z, to + lanes, b)
    store(z, to + 2 * lanes, c)
    store(z, to + 3 * lanes, d)


@inlined
def _one(
    begins: Array,
    places: Array,
    entries: Array,
    bias: Array,
    code: int,
    tile: Array,
    i: int,
    shift: int,
    z: Array,
    to: int,
) -> None:
    """Set the vector at ``z[to:]`` to unit i's values for the samples whose inputs begin at ``tile[shift:]``."""
    a = splat(bias, i)
    for t in range(begins[i], begins[i + 1]):
        a = a + splat(entries, t) * load(tile, places[t] + shift)
    if code == TANH:
        a = tanh_of(a)
    elif code == RELU:
        a = relu_of(a)
    store(z, to, a)


@kernel
def forward_tiles(
    begins: Array,
    places: Array,
    entries: Array,
    bias: Array,
    code: int,
    inputs: int,
    x: Array,
    x_stride: int,
    y: Array,
    y_stride: int,
    tile: Array,
    z: Array,
    reads: Array,
    writes: Array,
    first: int,
    last: int,
) -> None:
    """Compute samples first ... last - 1, samples side by side.

    Scratch: `tile`, (inputs, 4 vectors), `z`, (TOGETHER, 4 vectors), `reads` and `writes`, int64, (4 vectors,). It
    comes from outside, since arrays that a kernel makes are counted anew wherever they are handed on.
    """
    lanes = BYTES // entries.itemsize
    width = 4 * lanes
    units = bias.size
    for begin in range(first, last, width):
        vectors = min(4, (last - begin + lanes - 1) // lanes)
        for k in range(width):
            # Lanes that are left over repeat the last sample: they write what is there.
            s = min(begin + k, last - 1)
            reads[k] = s * x_stride
            writes[k] = s * y_stride
        for v in range(vectors):
            lane = v * lanes
            j = 0
            while j + lanes <= inputs:
                gather(x, reads, lane, j, tile, j * width + lane, width)
                j += lanes
            while j < inputs:
                for k in range(lane, lane + lanes):
                    tile[j * width + k] = x[reads[k] + j]
                j += 1
        for top in range(0, units, TOGETHER):
            bottom = min(top + TOGETHER, units)
            # The two loops stand here and not in a function: one with both would not disappear into this one.
            if vectors == 4:
                for i in range(top, bottom):
                    _four(begins, places, entries, bias, code, tile, i, z, (i - top) * width)
            else:
                for i in range(top, bottom):
                    for v in range(vectors):
                        to = (i - top) * width + v * lanes
                        _one(begins, places, entries, bias, code, tile, i, v * lanes, z, to)
            for v in range(vectors):
                lane = v * lanes
                i = top
                while i + lanes <= bottom:
                    scatter(y, writes, lane, i, z, (i - top) * width + lane, width)
                    i += lanes
                while i < bottom:
                    for k in range(lane, lane + lanes):
                        y[writes[k] + i] = z[(i - top) * width + k]
                    i += 1
