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

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import require_finite
from stridiag.nn.activations import activation
from stridiag.nn.layers import Layer, draw_source, draw_weight, source_width
from stridiag.nn.network import Network, Scaling, Standardization, features, row_blocks
from stridiag.nn.offsets import OffsetSpec, layer_offsets
from stridiag.nn.options import check_name, check_penalty, is_integer
from stridiag.nn.readout import CRITERIA, Penalty, Solved, solve_ridge

__all__ = [
    "Architecture",
    "Progress",
    "ProgressHook",
    "as_counts",
    "draw_layers",
    "fit_random",
    "solve_readout",
    "train_random",
]

Array = NDArray[Any]

# Added to the deviation of a pre-activation: a unit whose inputs hardly vary is not blown up to full range.
_SPREAD_FLOOR = 0.5
# Weights beyond this mean are no more numbers of observations: leaving one out changes nothing in float64.
_MOST_OBSERVATIONS = 2.0**40
# Numbers of features that are kept between the two passes of the readout instead of computed twice: 128 MB.
_KEPT = 1 << 24
# Targets beyond this magnitude, or below its inverse, are fitted in another unit.
_LARGE = 1e150


class Progress(NamedTuple):
    """One step of a fit has ended: `step` of `steps`, of kind `stage`, `seconds` after the start."""

    stage: str
    step: int
    steps: int
    seconds: float


ProgressHook = Callable[[Progress], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Width, depth and structure of the hidden layers: everything about them that is not data.

    Parameters
    ----------
    units : int, default 512
        Width of each layer.
    layers : int, default 3
        Number of layers.
    offsets : {"adjacent", "ternary"} or sequences of int, default "ternary"
        See `layer_offsets`.
    diagonals : int, optional
        Wrapped diagonals in a layer, for schedules; 3 by default.
    links : int, default 0
        Entries off the diagonals in each layer, at random places.
    shuffle : bool, default True
        Whether each layer reads its inputs through a random permutation (a fresh one for each time that it
        wraps around them). False where neighbouring inputs belong together, as in signals and images.
    activation : str, default "tanh"
        "tanh" or "relu".
    scaling : {"standard", "arcsinh"}, default "standard"
        What is done to the inputs; see `Standardization`.

    Raises
    ------
    ValueError
        If an option is unknown or a number out of range.
    """

    units: int = 512
    layers: int = 3
    offsets: OffsetSpec = "ternary"
    diagonals: int | None = None
    links: int = 0
    shuffle: bool = True
    activation: str = "tanh"
    scaling: Scaling = "standard"

    def __post_init__(self) -> None:
        for name, least in (("units", 1), ("layers", 1), ("links", 0)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if not isinstance(self.shuffle, bool | np.bool_):
            raise ValueError(f"shuffle must be True or False, got {self.shuffle!r}")  # noqa: TRY004 - an option
        activation(self.activation)
        check_name(self.scaling, "scaling", ("standard", "arcsinh"))
        self.plan(self.units)

    def plan(self, inputs: int) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
        """Return shape and wrapped offsets of each layer's weight, for that many inputs."""
        sizes = [inputs] + [self.units] * (self.layers - 1)
        shapes = [(self.units, source_width(self.units, size, shuffle=self.shuffle)) for size in sizes]
        return list(zip(shapes, layer_offsets(self.offsets, shapes, self.diagonals), strict=True))


class Clock:
    """Tells a hook how far a fit has come."""

    def __init__(self, hook: ProgressHook | None, steps: int) -> None:
        self._hook = hook
        self._steps = steps
        self._step = 0
        self._start = time.perf_counter()

    def tick(self, stage: str) -> None:
        """Report that one more step, of kind `stage`, is done."""
        self._step += 1
        if self._hook is not None:
            self._hook(Progress(stage, self._step, self._steps, time.perf_counter() - self._start))


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
    return train_random(X, Z, architecture, alpha, per_output, weights, rng, progress)[0]


def train_random(
    X: ArrayLike,
    Z: ArrayLike,
    architecture: Architecture,
    alpha: Penalty,
    per_output: bool,
    weights: ArrayLike | None,
    rng: int | np.random.Generator | None,
    progress: ProgressHook | None,
    keep: bool = False,
) -> tuple[Network, Array]:
    """Do what `fit_random` says; return also what `Solved.left` holds for the rows of positive weight."""
    check_penalty(alpha, CRITERIA)
    x, z, d = check_training_data(X, Z, weights)
    clock = Clock(progress, architecture.layers + 1)
    inputs = Standardization.fit(x, d, architecture.scaling)
    x = inputs.apply(x)
    layers, _ = draw_layers(x, d, architecture, np.random.default_rng(rng), clock)
    readout, left = solve_readout(x, layers, z, d, alpha, per_output=per_output, keep=keep)
    clock.tick("readout")
    return Network(inputs, layers, readout), left


def check_training_data(rows: ArrayLike, targets: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Return rows of positive weight, targets and weights in float64; complain about the rest."""
    x, z = np.asarray(rows, np.float64), np.asarray(targets, np.float64)
    if x.ndim != 2 or z.ndim != 2 or x.shape[0] != z.shape[0]:
        raise ValueError(f"X and Z must be (n, d) and (n, q), got {x.shape} and {z.shape}")
    if not (x.shape[1] and z.shape[1]):
        raise ValueError(f"X and Z need at least one column, got {x.shape} and {z.shape}")
    require_finite(x, "X")
    require_finite(z, "Z")
    d = np.ones(x.shape[0]) if weights is None else np.asarray(weights, np.float64)
    if d.shape != x.shape[:1]:
        raise ValueError(f"weights must have shape {x.shape[:1]}, got {d.shape}")
    require_finite(d, "weights")
    if not d.min(initial=0.0) >= 0.0:
        raise ValueError(f"weights must be nonnegative, got {d.min()}")
    some = d > 0.0
    if not some.all():
        x, z, d = x[some], z[some], d[some]
    if x.shape[0] < 2:
        raise ValueError(f"a fit needs at least 2 rows of positive weight, got {x.shape[0]}")
    return x, z, as_counts(d)


def as_counts(d: Array) -> Array:
    """Return positive weights as numbers of observations: scaled up to mean 1, or down to mean 2^40, if beyond."""
    share = d / d.max()
    mean = float(share.mean() * d.max())
    if 1.0 <= mean <= _MOST_OBSERVATIONS:
        return d
    return np.asarray(share / share.mean() * min(max(mean, 1.0), _MOST_OBSERVATIONS))


def draw_layers(
    x: Array, d: Array, architecture: Architecture, rng: np.random.Generator, clock: Clock
) -> tuple[tuple[Layer, ...], list[Array]]:
    """Draw the random layers for transformed rows x, (n, inputs), of weights d; and each layer's anchors."""
    order = np.argsort(x @ rng.standard_normal(x.shape[1]), kind="stable")
    cumulated = np.cumsum(d[order])
    layers: tuple[Layer, ...] = ()
    anchors: list[Array] = []
    size = x.shape[1]
    for shape, offsets in architecture.plan(size):
        source = draw_source(architecture.units, size, rng) if architecture.shuffle else None
        weight = draw_weight(shape, offsets, architecture.links, rng)
        place = np.searchsorted(cumulated, rng.random(architecture.units) * cumulated[-1], side="right")
        anchors.append(order[np.minimum(place, order.size - 1)])
        raw = Layer(weight, np.zeros(architecture.units), architecture.activation, source, size)
        layers = (*layers, settle(raw, x, d, layers, anchors[-1]))
        size = architecture.units
        clock.tick("layer")
    return layers, anchors


def settle(layer: Layer, x: Array, d: Array, before: tuple[Layer, ...], anchors: Array) -> Layer:
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
    """
    rows, columns = layer.weight.structure.coordinates()
    values = layer.weight.values
    norms = np.sqrt(np.bincount(rows, values**2, minlength=layer.units))
    values = np.divide(values, norms[rows], out=np.zeros_like(values), where=norms[rows] > 0.0)
    unit = replace(layer, weight=layer.weight.with_values(values, copy=False), bias=np.zeros(layer.units))
    spread = preactivation_spread(x, d, before, unit)
    values = values / (spread + _SPREAD_FLOOR)[rows]
    read = columns if layer.source is None else layer.source[columns]
    reached = last_values(x[anchors], before)
    bias = -np.bincount(rows, values * reached[rows, read], minlength=layer.units)
    return replace(unit, weight=layer.weight.with_values(values, copy=False), bias=bias)


def last_values(x: Array, layers: tuple[Layer, ...]) -> Array:
    """Return the values of the last layer, or x where there is none."""
    for layer in layers:
        x = layer.forward(x)
    return x


def preactivation_spread(x: Array, d: Array, before: tuple[Layer, ...], layer: Layer) -> Array:
    """Return the weighted deviation of each unit's pre-activation, (units,), block by block."""
    weight, mean, scatter = 0.0, np.zeros(layer.units), np.zeros(layer.units)
    for block in row_blocks(x.shape[0], layer.units):
        z = layer.preactivation(last_values(x[block], before))
        total = float(d[block].sum())
        here = d[block] @ z / total
        z -= here
        np.square(z, out=z)
        shift = here - mean
        scatter += d[block] @ z + weight * total / (weight + total) * shift**2
        mean += total / (weight + total) * shift
        weight += total
    return np.asarray(np.sqrt(scatter / weight))


def solve_readout(
    x: Array,
    layers: tuple[Layer, ...],
    z: Array,
    d: Array,
    alpha: Penalty,
    *,
    per_output: bool,
    keep: bool = False,
) -> Solved:
    """Solve the readout on [X, H1 ... HT] for standardised rows; see `solve_ridge`."""
    # Targets in units of their own spread: squares of very large or small ones would leave the number range.
    outputs = Standardization.fit(z, d)
    scaled = outputs.apply(z)
    columns = x.shape[1] + sum(layer.units for layer in layers)
    cached: list[Array] = []

    def read() -> Iterator[tuple[Array, Array, Array]]:
        for i, block in enumerate(row_blocks(x.shape[0], columns)):
            if i < len(cached):
                values = cached[i]
            else:
                values = features(x[block], layers)
                if x.shape[0] * columns <= _KEPT:
                    cached.append(values)
            yield values, scaled[block], d[block]

    solved, left = solve_ridge(read, (x.shape[0], columns), alpha, per_output=per_output, keep=keep)
    # Coefficients are numbers only if targets are not too near the ends of the number range.
    extreme = (outputs.magnitude > _LARGE) | (outputs.magnitude < 1.0 / _LARGE)
    unit = np.where(extreme, np.exp2(np.floor(np.log2(outputs.magnitude))), 1.0)
    magnitude = outputs.magnitude / unit
    deviation = np.where(np.isinf(outputs.deviation), 0.0, outputs.deviation)
    # A squared error may lie outside the number range where the targets do not: then it is infinite or 0.
    with np.errstate(over="ignore", under="ignore"):
        score = solved.score * (deviation * magnitude) ** 2 * unit * unit
    readout = replace(
        solved,
        coefficients=solved.coefficients * (deviation * magnitude),
        intercept=(solved.intercept * deviation + outputs.mean) * magnitude,
        score=score,
        unit=unit,
    )
    return Solved(readout, left)
