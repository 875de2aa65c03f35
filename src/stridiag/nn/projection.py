r"""Training mode "projection": every layer aims at random projections of its inputs and of the labels. One pass.

Forward projection gives unit j of a layer the target

.. math:: u_j = f(H w_j + b_j) + \tanh(Z c_j),

the value that a random unit would have (w, b as mode "random" draws them) plus a random squashed code of the labels,
c normal of variance 1 / q for q targets. The layer takes the masked least-squares solution of H W' + b = U on its own
structure: its direction, that is, with scale and bias set by the anchors of the random network. Nothing is carried
backwards, no activation needs an inverse, and a layer is never looked at again.

Cost beyond mode "random", for N rows, a layer of p inputs and n units with k entries a row: 2 N n q flops for the
codes, N p^2 + 2 N p n for the statistics, n (k^3 / 3 + 5 k^2 / 2) for the solves. The values and targets of one layer
are held, 8 N (p + n) bytes.

References: docs/theory/projection.md; R. O'Shea, B. Rajendran, "Closed-form feedback-free learning with forward
projection", arXiv 2501.16476 (dense layers, dense projections of the inputs; here they are the random layer's).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden, Stack, row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.nearest import nearest_layer
from stridiag.nn.operations import (
    Operations,
    forward_operations,
    layer_sizes,
    link_operations,
    random_operations,
    solve_operations,
    statistics_operations,
)
from stridiag.nn.random_features import draw_layers, settle
from stridiag.nn.training import Clock, Mode

__all__ = ["PROJECTION", "project"]

Array = NDArray[Any]


def project(layer: Layer, values: Array, z: Array, d: Array, codes: Array, links: int = 0) -> Layer:
    """Return the layer with the weights, on its own structure, that come nearest to its projected targets.

    Parameters
    ----------
    layer : Layer
        The random layer.
    values : ndarray, (n, inputs)
        What it reads.
    z, d : ndarray, (n, q) and (n,)
        Targets and weights of the rows.
    codes : ndarray, (q, units)
        Which combination of the targets each unit hears of.
    links : int, default 0
        How many entries the data may add.
    """
    chunks = (
        (values[b], layer.forward(values[b]) + np.tanh(z[b] @ codes), d[b])
        for b in row_blocks(values.shape[0], layer.units + layer.inputs)
    )
    return nearest_layer(layer, chunks, links)


def _hidden(
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None,
) -> Stack:
    drawn, anchors = draw_layers(x, d, architecture, rng, clock, start)
    layers: list[Layer] = []
    values = x
    for layer, anchor in zip(drawn, anchors, strict=True):
        codes = rng.standard_normal((z.shape[1], layer.units)) / np.sqrt(z.shape[1])
        random = settle(layer, values, d, (), anchor)
        layers.append(settle(project(random, values, z, d, codes, architecture.data_links), values, d, (), anchor))
        values = layers[-1].forward(values)
        clock.tick("solve")
    return Stack(x.shape[1], tuple(layers))


def _operations(rows: int, inputs: int, outputs: int, architecture: Architecture) -> Operations:
    sizes = layer_sizes(inputs, architecture)
    passes = rows * sum(2 * size.preactivation + size.forward for size in sizes)
    codes = rows * sum((2 * outputs + 2) * size.units for size in sizes)
    statistics = sum(statistics_operations(rows, size.inputs, size.units) for size in sizes)
    solves = sum(solve_operations([-(-size.nnz // size.units)] * size.units) for size in sizes)
    solves += link_operations(sizes, architecture)
    return Operations(
        random_operations(rows, sizes) + passes, forward_operations(rows, sizes) + codes, statistics, solves
    )


PROJECTION = Mode(_hidden, lambda architecture: 2 * architecture.layers, _operations, chooses_links=True)
