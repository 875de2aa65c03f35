"""What all trainings share: checks, the input transform, a mode that makes the hidden part, and the readout.

A mode is a function of transformed rows, targets in units of their spread, and weights, that draws or solves the
hidden part. Everything else is here, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats, require_finite
from stridiag.nn.architecture import Architecture
from stridiag.nn.calibration import leave_one_out
from stridiag.nn.hidden import Hidden, row_blocks
from stridiag.nn.network import FeatureMap, Network
from stridiag.nn.operations import Operations
from stridiag.nn.options import check_penalty
from stridiag.nn.readout import CRITERIA, LEAST_SPREAD, Penalty, Readout, Solved, solve_ridge
from stridiag.nn.transforms import Standardization

__all__ = [
    "Clock",
    "LeftOut",
    "Mode",
    "Progress",
    "ProgressHook",
    "Trained",
    "as_counts",
    "check_training_data",
    "in_target_units",
    "left_out",
    "solve_readout",
    "train",
    "train_features",
]

Array = NDArray[Any]

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


class Clock:
    """Tells a hook how far a fit has come."""

    def __init__(self, hook: ProgressHook | None, steps: int) -> None:
        self._hook = hook
        self._steps = steps
        self._step = 0
        self._start = time.perf_counter()

    def expect(self, steps: int) -> None:
        """Say how many steps there are after all."""
        self._steps = steps

    def tick(self, stage: str) -> None:
        """Report that one more step, of kind `stage`, is done."""
        self._step += 1
        if self._hook is not None:
            self._hook(Progress(stage, self._step, self._steps, time.perf_counter() - self._start))


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to make the hidden part.

    Parameters
    ----------
    hidden : callable
        ``(x, z, d, architecture, rng, clock, start) -> Hidden`` for transformed rows x, (n, inputs), standardised
        targets z, (n, outputs), positive weights d, (n,), and the hidden part to start from, or None.
    steps : callable
        How often it ticks the clock, for an architecture.
    operations : callable
        ``(rows, inputs, outputs, architecture) -> Operations`` of the hidden part, known before it is trained.
    check : callable, optional
        Raises ValueError for architectures that it cannot train.
    mixed : callable, optional
        ``(inputs, architecture) -> int``, how many numbers the hidden part has beside the layers' weights and biases.
    chooses_links : bool, default False
        Whether it can place links where the data ask for them.
    keeps_ties : bool, default False
        Whether tied diagonals stay tied.
    """

    hidden: Callable[[Array, Array, Array, Architecture, np.random.Generator, Clock, Hidden | None], Hidden]
    steps: Callable[[Architecture], int]
    operations: Callable[[int, int, int, Architecture], Operations]
    check: Callable[[Architecture], None] | None = None
    mixed: Callable[[int, Architecture], int] | None = None
    chooses_links: bool = False
    keeps_ties: bool = False

    def check_architecture(self, architecture: Architecture) -> None:
        """Raise ValueError for an architecture that this mode cannot train."""
        if architecture.link_choice == "correlation" and not self.chooses_links:
            raise ValueError(
                "link_choice='correlation' is for modes whose layers aim at something: targets, projection"
            )
        if architecture.tied and not self.keeps_ties:
            raise ValueError("tied diagonals are for training='random': other modes solve for every weight by itself")
        if self.check is not None:
            self.check(architecture)


class LeftOut(NamedTuple):
    """What a model says of some training rows without them, for calibration.

    Parameters
    ----------
    rows : ndarray of int64, (s,)
        Which ones, of those of positive weight.
    scores : ndarray, (s, q)
        The outputs: exact for the readout, given the hidden part; of rows that were held out where a model has no
        leave-one-out errors.
    """

    rows: NDArray[np.int64]
    scores: Array


class Trained(NamedTuple):
    """A model, and what it says of training rows without them; no rows where nobody asked."""

    model: Network
    left_out: LeftOut


def train(
    mode: Mode,
    X: ArrayLike,
    Z: ArrayLike,
    architecture: Architecture,
    *,
    alpha: Penalty = "loo",
    per_output: bool = False,
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
    keep: bool = False,
    start: Hidden | None = None,
) -> Trained:
    """Train by one mode; the parameters are those of `stridiag.nn.fit_random`; `keep` asks for `left_out`.

    `start` is the hidden part of another network, for the mode to start from instead of fresh draws.
    """
    check_penalty(alpha, CRITERIA)
    x, z, d = check_training_data(X, Z, weights)
    clock = Clock(progress, mode.steps(architecture) + 1)
    inputs, hidden = _features(mode, x, z, d, architecture, rng, clock, start)
    x = inputs.apply(x)
    solved = solve_readout(x, hidden, z, d, alpha, per_output=per_output, keep=keep)
    clock.tick("readout")
    nothing = LeftOut(np.empty(0, np.int64), np.empty((0, z.shape[1])))
    return Trained(Network(inputs, hidden, solved.readout), left_out(x, hidden, z, solved) if keep else nothing)


def train_features(
    mode: Mode,
    X: ArrayLike,
    Z: ArrayLike,
    architecture: Architecture,
    *,
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
    start: Hidden | None = None,
) -> FeatureMap:
    """Train the hidden part by one mode, without a readout; the parameters are those of `train`."""
    x, z, d = check_training_data(X, Z, weights)
    clock = Clock(progress, mode.steps(architecture))
    return FeatureMap(*_features(mode, x, z, d, architecture, rng, clock, start))


def _features(
    mode: Mode,
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: int | np.random.Generator | None,
    clock: Clock,
    start: Hidden | None,
) -> tuple[Standardization, Hidden]:
    mode.check_architecture(architecture)
    inputs = Standardization.fit(x, d, architecture.scaling)
    aims = Standardization.fit(z, d).apply(z)
    return inputs, mode.hidden(inputs.apply(x), aims, d, architecture, np.random.default_rng(rng), clock, start)


def left_out(x: Array, hidden: Hidden, z: Array, solved: Solved) -> LeftOut:
    """Return what the readout would say of each row without it, for transformed rows."""
    readout, left = solved
    fitted = np.empty_like(z)
    for block in row_blocks(x.shape[0], hidden.columns):
        fitted[block] = readout.apply(hidden.features(x[block]))
    largest = np.finfo(np.float64).max
    # Targets near the ends of the number range leave residuals beyond it.
    with np.errstate(over="ignore"):
        scores = np.clip(leave_one_out(z, fitted, left), -largest, largest)
    return LeftOut(np.arange(x.shape[0]), scores)


def check_training_data(rows: ArrayLike, targets: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Return rows of positive weight, targets and weights in float64; complain about the rest."""
    x, z = as_floats(rows, "X"), as_floats(targets, "Z")
    if x.ndim != 2 or z.ndim != 2 or x.shape[0] != z.shape[0]:
        raise ValueError(f"X and Z must be (n, d) and (n, q), got {x.shape} and {z.shape}")
    if not (x.shape[1] and z.shape[1]):
        raise ValueError(f"X and Z need at least one column, got {x.shape} and {z.shape}")
    require_finite(x, "X")
    require_finite(z, "Z")
    d = np.ones(x.shape[0]) if weights is None else as_floats(weights, "weights")
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


def solve_readout(
    x: Array,
    hidden: Hidden,
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
    columns = hidden.columns
    cached: list[Array] = []

    def read() -> Iterator[tuple[Array, Array, Array]]:
        for i, block in enumerate(row_blocks(x.shape[0], columns)):
            if i < len(cached):
                values = cached[i]
            else:
                values = hidden.features(x[block])
                if x.shape[0] * columns <= _KEPT:
                    cached.append(values)
            yield values, scaled[block], d[block]

    solved, left = solve_ridge(
        read, (x.shape[0], columns), alpha, per_output=per_output, keep=keep, least_spread=LEAST_SPREAD
    )
    return Solved(in_target_units(solved, outputs), left)


def in_target_units(solved: Readout, outputs: Standardization) -> Readout:
    """Return a readout for targets as they came, of one that was solved for standardised targets."""
    # Coefficients are numbers only if targets are not too near the ends of the number range.
    extreme = (outputs.magnitude > _LARGE) | (outputs.magnitude < 1.0 / _LARGE)
    unit = np.where(extreme, np.exp2(np.floor(np.log2(outputs.magnitude))), 1.0)
    magnitude = outputs.magnitude / unit
    deviation = np.where(np.isinf(outputs.deviation), 0.0, outputs.deviation)
    # A squared error may lie outside the number range where the targets do not: then it is infinite or 0.
    with np.errstate(over="ignore", under="ignore"):
        score = solved.score * (deviation * magnitude) ** 2 * unit * unit
    return replace(
        solved,
        coefficients=solved.coefficients * (deviation * magnitude),
        intercept=(solved.intercept * deviation + outputs.mean) * magnitude,
        score=score,
        unit=unit,
    )
