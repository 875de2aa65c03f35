r"""Whole models on one row after another, in one call: transforms, layers, readouts, and their mean.

For rows that come singly, where calls cost more than numbers. A model is a list of steps on one row of numbers,
``features``: each reads at one place and writes at another. ``plan`` holds integers: `HEADER` numbers (steps, inputs,
outputs), a record of `RECORD` for each step, then what these point to; ``numbers`` holds values that do not change. A
record begins with the kind of step, then where it reads and writes, how many numbers it makes, and where its values
begin in ``numbers``:

* `COPY` the row; `PIXELS`, in units of their range, rounded to single precision (values: half of the lowest, unit);
* `STANDARD`, then 1 for arcsinh: 5 pieces of `inputs` (magnitude, lower, upper, mean, deviation), where values stop;
* `RANKS`, then where columns, starts and values of the knots begin: distribution functions between knots;
* `DENSE`, then how many numbers it reads: a matrix by rows, each rounded up to whole vectors;
* `LAYER`, then columns of its weight, diagonals, links, entries of its source, code of its function, then where
  offsets, starts, rows and columns of links, and source begin in ``plan``, and the biases in ``numbers``;
* `READOUT`, then how many features it reads, rounded up: coefficients by outputs, intercepts, limits, units. Outputs
  of several are added up.

At the end sums are divided by the number of readouts, and stop at the last numbers: lower and upper bounds.

What a step writes is filled with 0 up to a whole vector; coefficients there are 0. A layer is computed as in
`forward.forward_rows`, to the last bit; the readout adds up in other order than a matrix product of a library.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.forward import row_into
from stridiag._kernels.vectors import BYTES, load, store

__all__ = [
    "COPY", "DENSE", "HEADER", "LAYER", "PIXELS", "RANKS", "READOUT", "RECORD", "STANDARD", "bounded", "network_rows",
]  # fmt: skip

Array = NDArray[Any]

HEADER, RECORD = 4, 16
"""Integers about the model, and about each step."""

COPY, PIXELS, STANDARD, RANKS, DENSE, LAYER, READOUT = range(7)
"""Kinds of steps."""


@inlined
def bounded(value: float, lower: float, upper: float) -> float:
    """Return a number within bounds; NaN stays."""
    value = lower if value < lower else value
    return upper if value > upper else value


@inlined
def _standardise(
    numbers: Array, at: int, inputs: int, arcsinh: int, x: Array, start: int, features: Array, to: int
) -> None:
    stop = numbers[at + 5 * inputs]
    for j in range(inputs):
        k = at + j
        value = bounded(x[start + j] / numbers[k], numbers[k + inputs], numbers[k + 2 * inputs])
        value = (value - numbers[k + 3 * inputs]) / numbers[k + 4 * inputs]
        features[to + j] = bounded(math.asinh(value) if arcsinh else value, -stop, stop)


@inlined
def _between_knots(numbers: Array, knots: int, values: int, count: int, x: float) -> Any:
    """Return the piecewise linear function through the knots; beyond them it is constant."""
    if not x < numbers[knots + count - 1]:
        return x if math.isnan(x) else numbers[values + count - 1]
    if not x > numbers[knots]:
        return numbers[values]
    low, high = 0, count - 1
    while high - low > 1:
        middle = (low + high) // 2
        if numbers[knots + middle] <= x:
            low = middle
        else:
            high = middle
    rise = numbers[values + high] - numbers[values + low]
    return rise / (numbers[knots + high] - numbers[knots + low]) * (x - numbers[knots + low]) + numbers[values + low]


@inlined
def _dot(numbers: Array, start: int, features: Array, read: int, length: int, sums: Array) -> float:
    lanes = BYTES // numbers.itemsize
    a = load(numbers, start) * load(features, read)
    j = lanes
    if length >= 4 * lanes:
        b = load(numbers, start + lanes) * load(features, read + lanes)
        c = load(numbers, start + 2 * lanes) * load(features, read + 2 * lanes)
        d = load(numbers, start + 3 * lanes) * load(features, read + 3 * lanes)
        j = 4 * lanes
        while j + 4 * lanes <= length:
            u = read + j
            a = a + load(numbers, start + j) * load(features, u)
            b = b + load(numbers, start + j + lanes) * load(features, u + lanes)
            c = c + load(numbers, start + j + 2 * lanes) * load(features, u + 2 * lanes)
            d = d + load(numbers, start + j + 3 * lanes) * load(features, u + 3 * lanes)
            j += 4 * lanes
        a = (a + b) + (c + d)
    while j < length:
        a = a + load(numbers, start + j) * load(features, read + j)
        j += lanes
    store(sums, 0, a)
    total = 0.0
    for k in range(lanes):
        total += sums[k]
    return total


@inlined
def _layer(plan: Array, r: int, numbers: Array, features: Array, gathered: Array, z: Array) -> None:
    read, units, at, columns, diagonals, links, sources, code = (
        plan[r + 1], plan[r + 3], plan[r + 4], plan[r + 5], plan[r + 6], plan[r + 7], plan[r + 8], plan[r + 9],
    )  # fmt: skip
    values = numbers[at:]
    offsets = plan[plan[r + 10] : plan[r + 10] + diagonals]
    starts = plan[plan[r + 11] : plan[r + 11] + diagonals + 1]
    link_rows = plan[plan[r + 12] : plan[r + 12] + links]
    link_columns = plan[plan[r + 13] : plan[r + 13] + links]
    bias = numbers[plan[r + 15] : plan[r + 15] + units]
    if sources:
        source = plan[r + 14]
        for j in range(columns):
            gathered[j] = features[read + plan[source + j]]
        row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, gathered, 0, z)
    else:
        row_into(values, offsets, starts, link_rows, link_columns, bias, code, columns, features, read, z)


@kernel
def network_rows(
    plan: Array, numbers: Array, x: Array, y: Array, features: Array, gathered: Array, sums: Array, rows: int
) -> None:
    """Set `y`, (rows, outputs), for `x`, (rows, inputs), both flat.

    Scratch: `features`, `gathered`, as long as the widest weight, `sums`, one vector. Of the last row the features that
    the last readout has seen stay in `features`.
    """
    lanes = BYTES // numbers.itemsize
    steps, inputs, outputs, bounds = plan[0], plan[1], plan[2], plan[3]
    for s in range(rows):
        own, here, readouts = s * outputs, s * inputs, 0
        for k in range(outputs):
            y[own + k] = 0.0
        for step in range(steps):
            r = HEADER + RECORD * step
            kind, read, write, count, at = plan[r], plan[r + 1], plan[r + 2], plan[r + 3], plan[r + 4]
            if kind == READOUT:
                length = plan[r + 5]
                shifts = at + outputs * length
                for k in range(outputs):
                    value = _dot(numbers, at + k * length, features, read, length, sums) + numbers[shifts + k]
                    limit = numbers[shifts + outputs + k]
                    y[own + k] += bounded(value, -limit, limit) * numbers[shifts + 2 * outputs + k]
                readouts += 1
                continue
            # Padding is multiplied by 0, which must not meet what is no number.
            for j in range(write + count, -(-(write + count) // lanes) * lanes):
                features[j] = 0.0
            if kind == LAYER:
                _layer(plan, r, numbers, features, gathered, features[write : write - (-count // lanes) * lanes])
            elif kind == COPY:
                for j in range(count):
                    features[write + j] = x[here + j]
            elif kind == PIXELS:
                for j in range(count):
                    value = (0.5 * x[here + j] - numbers[at]) / numbers[at + 1]
                    features[write + j] = np.float32(bounded(value, -1.0, 2.0))
            elif kind == STANDARD:
                _standardise(numbers, at, count, plan[r + 5], x, here, features, write)
            elif kind == RANKS:
                for j in range(count):
                    first = plan[plan[r + 6] + j]
                    knots = plan[plan[r + 6] + j + 1] - first
                    value = x[here + plan[plan[r + 5] + j]]
                    features[write + j] = _between_knots(numbers, at + first, plan[r + 7] + first, knots, value)
            elif kind == DENSE:
                length = plan[r + 5]
                for j in range(count):
                    features[write + j] = _dot(numbers, at + j * length, features, read, length, sums)
        for k in range(outputs):
            mean = y[own + k] / readouts
            y[own + k] = bounded(mean, numbers[bounds + k], numbers[bounds + outputs + k])
