"""A whole network on one row after another, in one call: transform, layers, readout.

For rows that come singly, where calls cost more than numbers. Everything about a network lies in two arrays. ``plan``
holds integers: `HEADER` numbers (layers, inputs, columns of the transformed row, outputs, features with padding, kind
of transform), a record of `RECORD` for each layer (units, columns of its weight, diagonals, links, entries of its
source, code of its function, then where offsets, starts, rows and columns of links, and source begin in `plan`,
values and biases in ``numbers``), then what these point to. ``numbers`` begins with the transform (5 pieces of
`inputs`: magnitude, lower, upper, mean, deviation), then the readout (outputs x features, intercepts, limits, units).

Features are X, H1, ..., each rounded up to whole vectors; coefficients at the padding are 0. A layer is computed as in
`forward.forward_rows`, to the last bit; the readout adds up in other order than a matrix product of a library.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.forward import row_into
from stridiag._kernels.vectors import BYTES, load, store

__all__ = ["ARCSINH", "HEADER", "RECORD", "STANDARD", "TRANSFORMED", "network_rows"]

Array = NDArray[Any]

HEADER, RECORD = 6, 13
"""Integers about the network, and about each layer."""

TRANSFORMED, STANDARD, ARCSINH = 0, 1, 2
"""Kinds of transform; rows of the first kind come transformed."""


@inlined
def _transform(numbers: Array, inputs: int, kind: int, x: Array, start: int, features: Array) -> None:
    for j in range(inputs):
        value = x[start + j] / numbers[j]
        # This way round, so that NaN is kept.
        value = numbers[inputs + j] if value < numbers[inputs + j] else value
        value = numbers[2 * inputs + j] if value > numbers[2 * inputs + j] else value
        value = (value - numbers[3 * inputs + j]) / numbers[4 * inputs + j]
        features[j] = math.asinh(value) if kind == ARCSINH else value


@inlined
def _dot(numbers: Array, start: int, features: Array, length: int, sums: Array) -> float:
    lanes = BYTES // numbers.itemsize
    a = load(numbers, start) * load(features, 0)
    j = lanes
    if length >= 4 * lanes:
        b = load(numbers, start + lanes) * load(features, lanes)
        c = load(numbers, start + 2 * lanes) * load(features, 2 * lanes)
        d = load(numbers, start + 3 * lanes) * load(features, 3 * lanes)
        j = 4 * lanes
        while j + 4 * lanes <= length:
            a = a + load(numbers, start + j) * load(features, j)
            b = b + load(numbers, start + j + lanes) * load(features, j + lanes)
            c = c + load(numbers, start + j + 2 * lanes) * load(features, j + 2 * lanes)
            d = d + load(numbers, start + j + 3 * lanes) * load(features, j + 3 * lanes)
            j += 4 * lanes
        a = (a + b) + (c + d)
    while j < length:
        a = a + load(numbers, start + j) * load(features, j)
        j += lanes
    store(sums, 0, a)
    total = 0.0
    for k in range(lanes):
        total += sums[k]
    return total


@kernel
def network_rows(
    plan: Array, numbers: Array, x: Array, y: Array, features: Array, gathered: Array, sums: Array, rows: int
) -> None:
    """Set `y`, (rows, outputs), for `x`, (rows, inputs), both flat.

    Scratch: `features`, padded and finite, `gathered`, as long as the widest weight, `sums`, one vector.
    """
    lanes = BYTES // numbers.itemsize
    layers, inputs, width, outputs, length, kind = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    readout = 0 if kind == TRANSFORMED else 5 * inputs
    shifts = readout + outputs * length
    for s in range(rows):
        if kind == TRANSFORMED:
            for j in range(width):
                features[j] = x[s * inputs + j]
        else:
            _transform(numbers, inputs, kind, x, s * inputs, features)
        before = 0
        here = -(-width // lanes) * lanes
        for layer in range(layers):
            r = HEADER + RECORD * layer
            units, columns, diagonals, links, sources, code = (
                plan[r], plan[r + 1], plan[r + 2], plan[r + 3], plan[r + 4], plan[r + 5],
            )  # fmt: skip
            values = numbers[plan[r + 11] :]
            offsets = plan[plan[r + 6] : plan[r + 6] + diagonals]
            starts = plan[plan[r + 7] : plan[r + 7] + diagonals + 1]
            link_rows = plan[plan[r + 8] : plan[r + 8] + links]
            link_columns = plan[plan[r + 9] : plan[r + 9] + links]
            bias = numbers[plan[r + 12] : plan[r + 12] + units]
            z = features[here : here - (-units // lanes) * lanes]
            if sources:
                source = plan[r + 10]
                for j in range(columns):
                    gathered[j] = features[before + plan[source + j]]
                row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, gathered, 0, z)
            else:
                row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, features, before, z)
            before = here
            here += z.size
        for k in range(outputs):
            value = _dot(numbers, readout + k * length, features, length, sums) + numbers[shifts + k]
            limit = numbers[shifts + outputs + k]
            value = limit if value > limit else (-limit if value < -limit else value)
            y[s * outputs + k] = value * numbers[shifts + 2 * outputs + k]
