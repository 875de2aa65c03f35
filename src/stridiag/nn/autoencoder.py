r"""Training mode "autoencoder": each layer turned into the transpose of the decoder that undoes it. No labels.

A random, anchored, structured layer encodes its inputs, E = f(H W' + b). The decoder D that comes nearest to
H = E D' is solved for on the transposed structure: input i is rebuilt from the units that read it, by masked least
squares,

.. math:: d_i = (C[S_i, S_i] + \lambda\, w\, D_{S_i}^2)^{-1} B[S_i, i], \qquad S_i = \{j : W_{ji} \ne 0\}.

The layer then takes the directions of D', rows brought to norm 1 and scale and bias set by the same anchors as before:
against the random network of the same seed, only the directions differ. A unit that helps to rebuild what it reads
keeps weight on it, one that other units make superfluous turns away.

Cost beyond mode "random", for N rows, a layer of p inputs and n units with k entries a row: N n^2 + 2 N n p flops
for the statistics, and p (n k / p)^3 / 3 for the solves: many inputs make them cheap, few do not. The values of one
layer are held, 8 N (p + n) bytes.

References: docs/theory/autoencoder.md; PILAE, arXiv 1811.01545, and B. Xu, P. Guo, "Pseudoinverse learning algorithm
for fast sparse autoencoder training", 2018 (dense: the encoder there is a truncated pseudoinverse of the inputs).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden, Stack, row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.masked import solve_supports
from stridiag.nn.operations import (
    Operations,
    forward_operations,
    layer_sizes,
    random_operations,
    solve_operations,
    statistics_operations,
)
from stridiag.nn.random_features import draw_layers, settle
from stridiag.nn.statistics import Statistics
from stridiag.nn.training import Clock, Mode

__all__ = ["AUTOENCODER", "decoder_directions"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Penalty of the decoder, on standardised columns.
_DECODER_ALPHA = 1e-3


def decoder_directions(layer: Layer, values: Array, d: Array, alpha: float = _DECODER_ALPHA) -> Array:
    """Return the entries, by slot of the layer's weight, of the decoder of its values on the transposed structure.

    Parameters
    ----------
    layer : Layer
        The encoder.
    values : ndarray, (n, inputs)
        What it reads, and what is to be rebuilt.
    d : ndarray, (n,)
        Weights of the rows.
    alpha : float, default 1e-3
        Ridge penalty on standardised columns.

    Returns
    -------
    ndarray, (layer.weight.nnz,)
        A pair of unit and input that has several slots shares its entry among them.
    """
    chunks = (
        (layer.forward(values[b]), values[b], d[b]) for b in row_blocks(values.shape[0], layer.units + layer.inputs)
    )
    unit, place = layer.weight.structure.coordinates()
    read = place if layer.source is None else layer.source[place]
    # One problem per input, on each unit once.
    pairs, slot_pair, slots_of_pair = np.unique(read * layer.units + unit, return_inverse=True, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(layer.inputs + 1) * layer.units).astype(np.int64)
    entries = solve_supports(Statistics.from_chunks(chunks), starts, pairs % layer.units, alpha)
    return np.asarray((entries / slots_of_pair)[slot_pair])


def _hidden(
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None,
) -> Stack:
    del z  # the hidden part of this mode does not look at the targets
    drawn, anchors = draw_layers(x, d, architecture, rng, clock, start)
    layers: list[Layer] = []
    values = x
    for layer, anchor in zip(drawn, anchors, strict=True):
        encoder = settle(layer, values, d, (), anchor)
        directions = decoder_directions(encoder, values, d)
        turned = replace(encoder, weight=encoder.weight.with_values(directions, copy=False))
        layers.append(settle(turned, values, d, (), anchor))
        values = layers[-1].forward(values)
        clock.tick("solve")
    return Stack(x.shape[1], tuple(layers))


def _operations(rows: int, inputs: int, outputs: int, architecture: Architecture) -> Operations:
    del outputs
    sizes = layer_sizes(inputs, architecture)
    passes = rows * sum(2 * size.preactivation + size.forward for size in sizes)
    statistics = sum(statistics_operations(rows, size.units, size.inputs) for size in sizes)
    # Supports of the transposed structure: units share their entries evenly among the inputs.
    solves = sum(solve_operations([min(size.units, -(-size.nnz // size.inputs))] * size.inputs) for size in sizes)
    return Operations(random_operations(rows, sizes) + passes, forward_operations(rows, sizes), statistics, solves)


AUTOENCODER = Mode(_hidden, lambda architecture: 2 * architecture.layers, _operations)
