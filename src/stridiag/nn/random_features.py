r"""Training mode "random": structured random layers, and all training in the readout.

Layer t draws weights g |g|, g standard normal, on its wrapped diagonals and links, scales each row to norm 1
and divides it by s + 0.5, with s the deviation that its pre-activation has on the training rows; the bias is
minus the pre-activation of one training row, drawn for each unit (its *anchor*), so that each unit bends
somewhere among the data. The readout is ridge regression on [X, H1 ... HT] (see `readout`).

Anchors are weighted quantiles along one random projection of the inputs: a draw of rows with probabilities
equal to their weights that depends neither on the order of the rows nor on whether a row of weight 2 is
written twice.

Cost, for N samples, L layers of n units with k entries a row, and D = d + L n features: 2 N L n k flops and N
L n evaluations of the activation for the layers (twice), N D^2 for the statistics, about 9 min(N, D)^3 for
the readout.

References: docs/theory/random-features.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden, Stack, row_blocks
from stridiag.nn.initialisers import draw_weight
from stridiag.nn.layers import Layer, draw_source
from stridiag.nn.network import Network
from stridiag.nn.operations import Operations, layer_sizes, random_operations
from stridiag.nn.readout import Penalty
from stridiag.nn.starting import fitting, layers_of
from stridiag.nn.training import Clock, Mode, ProgressHook, train

__all__ = ["RANDOM", "draw_layers", "fit_random", "preactivation_spread", "settle"]

Array = NDArray[Any]

# Added to the deviation of a pre-activation: a unit whose inputs hardly vary is not blown up to full range.
_SPREAD_FLOOR = 0.5


def fit_random(
    X: ArrayLike,
    Z: ArrayLike,
    architecture: Architecture,
    *,
    alpha: Penalty = "loo",
    per_output: bool = False,
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
) -> Network:
    """Fit a network of random structured layers and a solved readout.

    Parameters
    ----------
    X : array_like, (n, d)
        Inputs; at least two rows.
    Z : array_like, (n, q)
        Targets.
    architecture : Architecture
        The hidden layers.
    alpha : float, "loo" or "gcv", default "loo"
        Penalty of the readout, or how it is chosen: by exact leave-one-out errors, or by the faster but
        unsafe generalised cross-validation; see `ridge_from_rows`.
    per_output : bool, default False
        Whether each output has a penalty of its own choice.
    weights : array_like, (n,), optional
        Sample weights: an integer weight counts as repetition. Weights of mean below 1 are scaled up to mean
        1, since the choice of the penalty needs to know how many observations there are.
    rng : int, numpy.random.Generator or None
        Seed or generator of everything random.
    progress : callable, optional
        Called with a `Progress` after each layer and after the readout.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If shapes do not match, `alpha` is unknown, or fewer than two rows have positive weight.
    NonFiniteError
        If a number is NaN or infinite.
    """
    return train(
        RANDOM, X, Z, architecture, alpha=alpha, per_output=per_output, weights=weights, rng=rng, progress=progress
    ).model


def draw_layers(
    x: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None = None,
) -> tuple[tuple[Layer, ...], list[Array]]:
    """Draw the random layers for transformed rows x, (n, inputs), of weights d; and each layer's anchors.

    The layers of `start` take the place of as many drawn ones: structure, order of inputs and directions are theirs,
    scale and bias are set on these rows.
    """
    given = layers_of(start, architecture.layers)
    order = np.argsort(x @ rng.standard_normal(x.shape[1]), kind="stable")
    cumulated = np.cumsum(d[order])
    layers: tuple[Layer, ...] = ()
    anchors: list[Array] = []
    size = x.shape[1]
    for shape, offsets in architecture.plan(size):
        units = shape[0]
        source = draw_source(units, size, rng) if architecture.shuffle else None
        weight = draw_weight(
            shape, offsets, architecture.drawn_links, rng, init=architecture.init, tied=architecture.tied
        )
        place = np.searchsorted(cumulated, rng.random(units) * cumulated[-1], side="right")
        anchors.append(order[np.minimum(place, order.size - 1)])
        raw = Layer(weight, np.zeros(units), architecture.activation, source, size, architecture.tied)
        if len(layers) < len(given):
            raw = fitting(given[len(layers)], raw, len(layers))
        layers = (*layers, settle(raw, x, d, layers, anchors[-1]))
        size = units
        clock.tick("layer")
    return layers, anchors


def settle(
    layer: Layer, x: Array, d: Array, before: tuple[Layer, ...], anchors: Array, *, floor: float = _SPREAD_FLOOR
) -> Layer:
    """Set a layer's scale and bias: rows to norm 1, then over their spread on the data; bias by the anchors.

    Parameters
    ----------
    layer : Layer
        Only the direction of each row counts.
    x, d : ndarray
        Transformed rows and their weights.
    before : tuple of Layer
        The layers that lead to this one.
    anchors : ndarray of int, (units,)
        For each unit the row at which its pre-activation is to vanish.
    floor : float, default 0.5
        Added to the spread, so that a unit whose inputs hardly vary is not blown up to full range.
    """
    rows, columns = layer.weight.structure.coordinates()
    values = layer.weight.values
    norms = _common(layer, np.sqrt(np.bincount(rows, values**2, minlength=layer.units)))
    values = np.divide(values, norms[rows], out=np.zeros_like(values), where=norms[rows] > 0.0)
    unit = replace(layer, weight=layer.weight.with_values(values, copy=False), bias=np.zeros(layer.units))
    spread = _common(layer, preactivation_spread(x, d, before, unit))
    values = values / (spread + floor)[rows]
    read = columns if layer.source is None else layer.source[columns]
    reached = Stack(x.shape[1], before).last(x[anchors])
    bias = -np.bincount(rows, values * reached[rows, read], minlength=layer.units)
    return replace(unit, weight=layer.weight.with_values(values, copy=False), bias=bias)


def _common(layer: Layer, scale: Array) -> Array:
    """Return scales of rows as they are, or the root of their mean square for all where diagonals are tied."""
    return np.full_like(scale, np.sqrt(np.mean(scale**2))) if layer.tied else scale


def preactivation_spread(x: Array, d: Array, before: tuple[Layer, ...], layer: Layer) -> Array:
    """Return the weighted deviation of each unit's pre-activation, (units,), block by block."""
    weight, mean, scatter = 0.0, np.zeros(layer.units), np.zeros(layer.units)
    stack = Stack(x.shape[1], before)
    for block in row_blocks(x.shape[0], layer.units):
        z = layer.preactivation(stack.last(x[block]))
        total = float(d[block].sum())
        here = d[block] @ z / total
        z -= here
        np.square(z, out=z)
        shift = here - mean
        scatter += d[block] @ z + weight * total / (weight + total) * shift**2
        mean += total / (weight + total) * shift
        weight += total
    return np.asarray(np.sqrt(scatter / weight))


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
    return Stack(x.shape[1], draw_layers(x, d, architecture, rng, clock, start)[0])


def _operations(rows: int, inputs: int, outputs: int, architecture: Architecture) -> Operations:
    del outputs
    return Operations(layers=random_operations(rows, layer_sizes(inputs, architecture)))


RANDOM = Mode(_hidden, lambda architecture: architecture.layers, _operations, keeps_ties=True)
