r"""Training mode "targets": labels carried back through structured pseudoinverses, then masked least squares.

The paper's family of methods (pseudoinverse learning, ZORB): no gradient, one sweep back and one forth.
Starting from the network of `fit_random` (same structure, same draws) with layers H_i = f(H_{i-1} W_i' +
b_i),

.. math::
    T_L = Z V^+, \qquad U_i = f^{-1}(\text{scaled } T_i), \qquad T_{i-1} = (U_i - b_i)\, (W_i^+)^T,

with V a random readout; every unit's targets are scaled into the range of f by themselves. Then, forwards,
each layer takes the masked least-squares solution of H_{i-1} W' + b = U_i on its own structure, with the
*direction* of each row kept, and its scale and bias set as in `fit_random`, by the same anchors: a few inputs
explain little of a target, and what they explain would stay in the linear part of f. At the end the readout
is solved on all features. So a network and its random control differ in the directions of the rows and in
nothing else.

With **difference correction** (mode "corrected-targets") targets are changes of what the layers do already,

.. math::
    T_L = H_L + (Z - H_L V)\, V^+, \qquad
    T_{i-1} = H_{i-1} + \bigl(U_i - f^{-1}(\text{scaled } H_i)\bigr) (W_i^+)^T,

both inverses with the scale of T_i: where nothing is to change, the targets are the values themselves, and what the
pseudoinverse cannot carry back stays as it was.

Cost beyond `fit_random`: one pseudoinverse of each layer but the first and N products with it; for each layer
N n^2 flops for the statistics and n (k^3 / 3 + 3 k^2) for the solve. All rows' targets of all layers are
held, 8 N L n bytes, and those of one layer two or three times more while they are carried back.

References: Sarayi and Bahrami, arXiv 2207.00903; P. Guo, M. R. Lyu, "Pseudoinverse learning
algorithm for feedforward neural networks", 2001; ZORB, arXiv 2011.08895; D.-H. Lee and others, "Difference target
propagation", arXiv 1412.7525.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.linalg import pinv
from stridiag.nn.activations import activation
from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden, Stack, row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.nearest import nearest_layer
from stridiag.nn.network import Network
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
from stridiag.nn.readout import Penalty
from stridiag.nn.training import Clock, Mode, ProgressHook, train

__all__ = ["CORRECTED_TARGETS", "TARGETS", "fit_targets"]

Array = NDArray[Any]


def fit_targets(
    X: ArrayLike,
    Z: ArrayLike,
    architecture: Architecture,
    *,
    alpha: Penalty = "loo",
    per_output: bool = False,
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
    correct: bool = False,
    start: Hidden | None = None,
) -> Network:
    """Fit a network by target propagation through structured pseudoinverses.

    With the same `architecture` and seed, `fit_random` gives its random control: identical structure, random
    weights, solved readout.

    Parameters
    ----------
    X, Z, alpha, per_output, weights, rng, progress
        As for `fit_random`.
    architecture : Architecture
        The hidden layers; the activation must have an inverse.
    correct : bool, default False
        Whether targets are corrections to what the layers do already (difference target propagation).
    start : Hidden, optional
        A stack of layers to start from instead of fresh draws.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        As for `fit_random`; or if the activation has no inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, fit_random, fit_targets
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> shape = Architecture(units=32, layers=2)
    >>> net = fit_targets(X, X[:, :1] * X[:, 1:2], shape, rng=0)
    >>> control = fit_random(X, X[:, :1] * X[:, 1:2], shape, rng=0)
    >>> net.layers[1].weight.structure == control.layers[1].weight.structure
    True
    """
    mode = CORRECTED_TARGETS if correct else TARGETS
    return train(
        mode,
        X,
        Z,
        architecture,
        alpha=alpha,
        per_output=per_output,
        weights=weights,
        rng=rng,
        progress=progress,
        start=start,
    ).model


def _check(architecture: Architecture) -> None:
    if activation(architecture.activation).inverse is None:
        raise ValueError(f"training by targets needs an invertible activation, 'tanh', got {architecture.activation!r}")


def _train(
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None,
    *,
    correct: bool,
) -> Stack:
    control, anchors = draw_layers(x, d, architecture, rng, clock, start)
    outputs: list[Array] | None = None
    if correct:
        outputs = []
        for layer in control:
            outputs.append(layer.forward(outputs[-1] if outputs else x))
    aims = _carry_back(z, control, rng, clock, outputs)
    del outputs
    layers: list[Layer] = []
    values = x
    links = architecture.data_links
    for layer, aim, anchor in zip(control, aims, anchors, strict=True):
        layers.append(settle(nearest_layer(layer, _chunks(layer, values, aim, d), links), values, d, (), anchor))
        values = layers[-1].forward(values)
        clock.tick("solve")
    return Stack(x.shape[1], tuple(layers))


def _carry_back(
    z: Array,
    layers: tuple[Layer, ...],
    rng: np.random.Generator,
    clock: Clock,
    outputs: list[Array] | None = None,
) -> list[Array]:
    """Return the target pre-activations of each layer, (n, units) each; with `outputs`, difference-corrected."""
    function = activation(layers[0].activation)
    random_readout = rng.standard_normal((layers[-1].units, z.shape[1]))
    back = np.linalg.pinv(random_readout)
    # With correction: of all values that the random readout maps to the labels, those nearest to the present ones.
    targets = z @ back if outputs is None else outputs[-1] + (z - outputs[-1] @ random_readout) @ back
    aims: list[Array] = []
    for i in reversed(range(len(layers))):
        lower, upper = targets.min(axis=0), targets.max(axis=0)
        aims.insert(0, function.preimage(targets, lower, upper))
        if i and outputs is None:
            targets = _pull(layers[i], aims[0] - layers[i].bias)
        elif i and outputs is not None:
            targets = outputs[i - 1] + _pull(layers[i], aims[0] - function.preimage(outputs[i], lower, upper))
        clock.tick("target")
    return aims


def _pull(layer: Layer, rows: Array) -> Array:
    """Return rows (W^+)', in the order of the layer's inputs."""
    inverse = pinv(layer.weight)
    result = np.empty((rows.shape[0], layer.inputs))
    for block in row_blocks(*rows.shape):
        pulled = (inverse @ rows[block].T).T
        if layer.source is None:
            result[block] = pulled
        else:
            # Behind the first layer widths agree, so the source is a permutation: this undoes it.
            result[block, layer.source] = pulled
    return result


def _chunks(layer: Layer, values: Array, aim: Array, d: Array) -> Iterator[tuple[Array, Array, Array]]:
    return ((values[b], aim[b], d[b]) for b in row_blocks(values.shape[0], layer.units + layer.inputs))


def _operations(rows: int, inputs: int, outputs: int, architecture: Architecture, *, correct: bool) -> Operations:
    sizes = layer_sizes(inputs, architecture)
    passes = rows * sum(size.preactivation + size.forward for size in sizes)
    carried = 2 * rows * outputs * architecture.units * (2 if correct else 1)
    # A pseudoinverse acts as two dense orthogonal factors; an inverse of the activation is a value for each target.
    carried += 4 * rows * sum(size.units**2 for size in sizes[1:])
    carried += rows * sum(size.units for size in sizes) * (2 if correct else 1)
    forward = forward_operations(rows, sizes) if correct else 0
    statistics = sum(statistics_operations(rows, size.inputs, size.units) for size in sizes)
    solves = sum(solve_operations([-(-size.nnz // size.units)] * size.units) for size in sizes)
    solves += link_operations(sizes, architecture)
    # Singular values and both factors, dense.
    solves += 20 * sum(size.units**3 for size in sizes[1:])
    return Operations(random_operations(rows, sizes) + passes, carried + forward, statistics, solves)


def _mode(*, correct: bool) -> Mode:
    return Mode(
        partial(_train, correct=correct),
        lambda architecture: 3 * architecture.layers,
        partial(_operations, correct=correct),
        _check,
        chooses_links=True,
    )


TARGETS = _mode(correct=False)
CORRECTED_TARGETS = _mode(correct=True)
