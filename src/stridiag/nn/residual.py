r"""Training mode "residual": blocks whose hidden weights are solved together with the readout.

A first random layer lifts the inputs to a state H; each block adds to it,

.. math:: F = f(H A^T + a), \qquad H \leftarrow H + F B^T,

with A the random, anchored layer that mode "random" would draw at this depth, and B on a structure of the same
kind, solved for: given the readout W of [X, H], B minimises the error of [X, H + F B'] (`joint`), and given B, W is
solved again. Both come from one set of statistics of [X, H, F], so the alternation never touches the rows.

**The training loss never rises.** Each half step goes from the present point towards the minimiser of a penalised
quadratic, and stops at the least unpenalised loss on the way (an exact line search, cut to [0, 1]): if the minimiser
is better without its penalty, all of the way. `ResidualBlocks.losses` keeps the loss after each half step.

Cost beyond mode "random", for each block: N (p + 2 n)^2 flops for the statistics (p inputs, n units), (p + n)^3 / 3
for each readout, and what `joint` says for each B. The state of all rows is held, 16 N n bytes.

References: docs/theory/residual.md; residual random features: arXiv 2501.18283.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from stridiag.errors import StructureError
from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden, row_blocks
from stridiag.nn.joint import hadamard_product, joint_masked_least_squares
from stridiag.nn.layers import Layer
from stridiag.nn.random_features import settle
from stridiag.nn.starting import starting_layers
from stridiag.nn.statistics import Statistics
from stridiag.nn.training import Clock
from stridiag.structure import StridiagMatrix

__all__ = ["ResidualBlock", "ResidualBlocks", "fit_block", "residual_blocks"]

Array = NDArray[Any]

# Penalty of B in units of the readout's mean square row, and of the readout: per unit of weight, standardised columns.
_MIX_ALPHA, _READOUT_ALPHA = 1e-2, 1e-3
# Alternations of B and W for each block, and steps of conjugate gradients for each B.
ROUNDS, STEPS = 2, 30


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlock:
    """One block, H + f(H A' + a) B'.

    Parameters
    ----------
    branch : Layer
        A, a and f.
    mix : StridiagMatrix
        B, (units of the state, units of the branch).

    Raises
    ------
    StructureError
        If the parts do not fit.
    """

    branch: Layer
    mix: StridiagMatrix

    def __post_init__(self) -> None:
        expected = (self.branch.inputs, self.branch.units)
        if self.mix.shape != expected:
            raise StructureError(f"mix must have shape {expected}, got {self.mix.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlocks:
    """A lift and blocks that add to its values; the features are [X, H0, F1 ... FT].

    Parameters
    ----------
    lift : Layer
        Makes the first state H0 of the inputs.
    blocks : tuple of ResidualBlock
        Each adds to the state.
    losses : ndarray
        Mean squared error on the training rows, in units of the targets' variance and summed over outputs, of the
        readout of [X, H] at the start and after each half step of each block.

    Raises
    ------
    StructureError
        If a block does not fit the lift.
    """

    lift: Layer
    blocks: tuple[ResidualBlock, ...]
    losses: Array

    def __post_init__(self) -> None:
        for i, block in enumerate(self.blocks):
            if block.branch.inputs != self.lift.units:
                raise StructureError(
                    f"block {i} reads {block.branch.inputs} values, but the state has {self.lift.units}"
                )

    @property
    def inputs(self) -> int:
        """Number of columns that the lift reads."""
        return self.lift.inputs

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.lift.inputs + self.lift.units + sum(block.branch.units for block in self.blocks)

    @property
    def parameter_count(self) -> int:
        """Weights and biases of the lift and of all branches, and the entries of all B."""
        return self.lift.parameter_count + sum(b.branch.parameter_count + b.mix.nnz for b in self.blocks)

    def features(self, rows: Array) -> Array:
        """Return [X, H0, F1 ... FT], (n, columns), of rows of shape (n, inputs)."""
        state = self.lift.forward(rows)
        parts = [rows, state]
        for block in self.blocks:
            values = block.branch.forward(state)
            parts.append(values)
            state = state + (block.mix @ values.T).T
        return np.concatenate(parts, axis=1)


def residual_blocks(
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None = None,
) -> ResidualBlocks:
    """Draw the lift and the branches, and solve for what the blocks add; see the file's docstring.

    Parameters
    ----------
    x, z, d : ndarray
        Transformed rows, standardised targets, positive weights.
    architecture : Architecture
        At least two layers: the lift and a block for each further one.
    rng, clock
        Of the fit.
    start : Hidden, optional
        Layers, or residual blocks, to take the lift and the branches' directions from instead of drawing them.
    """
    layers, anchors = starting_layers(x, d, architecture, rng, clock, start)
    lift = layers[0]
    state = lift.forward(x)
    blocks: list[ResidualBlock] = []
    losses: list[float] = []
    readout: Array | None = None
    offsets = architecture.plan(x.shape[1])
    for t, layer in enumerate(layers[1:], 1):
        branch = settle(layer, state, d, (), anchors[t])
        values = branch.forward(state)
        statistics = Statistics.from_chunks(
            (np.concatenate((x[b], state[b], values[b]), axis=1), z[b], d[b])
            for b in row_blocks(x.shape[0], x.shape[1] + 2 * architecture.units)
        )
        mix = StridiagMatrix(branch.weight.structure, np.zeros(branch.weight.nnz))
        mix, readout, trace = fit_block(statistics, mix, readout)
        losses.extend(trace[1:] if losses else trace)
        blocks.append(ResidualBlock(branch, mix))
        state += (mix @ values.T).T
        clock.tick("block")
    return ResidualBlocks(lift, tuple(blocks), np.array(losses))


def fit_block(
    statistics: Statistics,
    mix: StridiagMatrix,
    readout: Array | None = None,
    *,
    rounds: int = ROUNDS,
    steps: int = STEPS,
) -> tuple[StridiagMatrix, Array, list[float]]:
    """Alternate between B and the readout W of [X, H + F B'], from statistics of [X, H, F].

    Parameters
    ----------
    statistics : Statistics
        Of p + s + m columns and the targets.
    mix : StridiagMatrix, (s, m)
        Where B starts, on the structure that it keeps.
    readout : ndarray, (p + s, q), optional
        Where W starts; the ridge solution by default.
    rounds, steps : int
        How many alternations, and steps of conjugate gradients in each.

    Returns
    -------
    mix, readout
        The last ones.
    losses : list of float
        At the start and after each half step; none above the one before, up to rounding.
    """
    problem = _Block(statistics, mix)
    if readout is None:
        readout = problem.ridge()
    losses = [problem.loss(readout)]
    for _ in range(rounds):
        problem.improve_mix(readout, steps)
        losses.append(problem.loss(readout))
        readout = problem.improve_readout(readout)
        losses.append(problem.loss(readout))
    return problem.mix, readout, losses


class _Block:
    """The quadratic that B and W share, in products per unit of weight; B is its state."""

    def __init__(self, statistics: Statistics, mix: StridiagMatrix) -> None:
        weight = statistics.weight
        self.mix = mix
        self.products = statistics.scatter / weight
        self.cross = statistics.cross / weight
        self.square = float(statistics.target_scatter.sum()) / weight
        states, branches = mix.structure.shape
        self.before = self.products.shape[0] - branches
        self.state = slice(self.before - states, self.before)
        # Constant columns have no scale; with 1 their rows and columns of products, all 0, stay 0.
        scale = statistics.column_scale()
        self.scale = np.where(scale > 0.0, scale, 1.0)
        self._mixed()

    def _mixed(self) -> None:
        """Set the products of [X, H + F B'] and their products with the targets."""
        half = self.products[:, : self.before].copy()
        half[:, self.state] += (self.mix @ self.products[self.before :]).T
        self.inner = half[: self.before].copy()
        self.inner[self.state] += self.mix @ half[self.before :]
        self.outer = self.cross[: self.before].copy()
        self.outer[self.state] += self.mix @ self.cross[self.before :]

    def loss(self, readout: Array) -> float:
        return self.square + float(np.vdot(readout, self.inner @ readout - 2.0 * self.outer))

    def ridge(self) -> Array:
        scale = np.sqrt(np.maximum(np.diagonal(self.inner), 0.0))
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
        matrix = self.inner * inverse * inverse[:, None]
        matrix[np.arange(scale.size), np.arange(scale.size)] += _READOUT_ALPHA
        return np.asarray(cho_solve(cho_factor(matrix, lower=True), self.outer * inverse[:, None]) * inverse[:, None])

    def improve_readout(self, readout: Array) -> Array:
        step = self.ridge() - readout
        slope = float(np.vdot(step, self.outer - self.inner @ readout))
        return readout + _length(slope, float(np.vdot(step, self.inner @ step))) * step

    def improve_mix(self, readout: Array, steps: int) -> None:
        structure = self.mix.structure
        _, column = structure.coordinates()
        branch = self.scale[self.before :]
        gram = self.products[self.before :, self.before :] / branch / branch[:, None]
        right = (self.cross[self.before :] - self.products[self.before :, : self.before] @ readout) / branch[:, None]
        below = readout[self.state]
        penalty = _MIX_ALPHA * float(np.mean(np.einsum("jq,jq->j", below, below)))
        present = self.mix.values * branch[column]
        start = present if present.any() else None
        found = joint_masked_least_squares(gram, right, below, structure, penalty, start=start, steps=steps).values
        step = found - present
        multiply = hadamard_product(gram, below, structure)
        row, _ = structure.coordinates()
        target = np.einsum("zq,zq->z", right[column], below[row])
        length = _length(float(step @ (target - multiply(present))), float(step @ multiply(step)))
        self.mix = self.mix.with_values((present + length * step) / branch[column], copy=False)
        self._mixed()


def _length(slope: float, curvature: float) -> float:
    """Return where a parabola that falls by `slope` at 0 is least on [0, 1]."""
    if not (slope > 0.0 and curvature > 0.0):
        return 0.0
    return min(1.0, slope / curvature)
