r"""Training mode "residual": blocks whose hidden weights are solved together with the readout.

A first random layer lifts the inputs to a state H; each block adds to it,

.. math:: F = f(H A^T + a), \qquad H \leftarrow H + F B^T,

with A the random, anchored layer that mode "random" would draw at this depth, and B on a structure of the same
kind, solved for: given the readout W of [X, H], B minimises the error of [X, H + F B'] (`joint`), and given B, W is
solved again. Both come from one set of statistics of [X, H, F], so the alternation never touches the rows. A last
random layer reads the final state. The network's own readout sees [X, H0, F1 ... FT]: all of the random network's
features, of which those behind the first block were made from states that know the targets. (It could read [X, HT]
only, which is in their span: that is cheaper, and measured worse.) B of a block that no other layer reads would
change nothing but the basis, which is why the last layer has none.

**The training loss never rises.** Each half step goes from the present point towards the minimiser of a penalised
quadratic, and stops at the least unpenalised loss on the way (an exact line search, cut to [0, 1]): if the minimiser
is better without its penalty, all of the way. `ResidualBlocks.losses` keeps the loss after each half step.

Cost beyond mode "random", for each block: N (p + 2 n)^2 flops for the statistics (p inputs, n units), (p + n)^3 / 3
for each readout, and what `joint` says for each B. The state of all rows is held, and what is added to it: 16 N n
bytes.

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
from stridiag.nn.joint import DIRECT_LIMIT, direct_size, hadamard_product, joint_masked_least_squares
from stridiag.nn.layers import Layer
from stridiag.nn.operations import Operations, layer_sizes, random_operations, statistics_operations
from stridiag.nn.parts import require_array
from stridiag.nn.random_features import draw_layers, settle
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import storable
from stridiag.nn.training import Clock, Mode
from stridiag.structure import StridiagMatrix

__all__ = ["RESIDUAL", "ResidualBlock", "ResidualBlocks", "fit_block"]

Array = NDArray[Any]

# Penalty of B in units of the readout's mean square row, and of the readout: per unit of weight, standardised columns.
_MIX_ALPHA, _READOUT_ALPHA = 1e-2, 1e-3
# Alternations of B and W for each block, and steps of conjugate gradients for each B.
ROUNDS, STEPS = 2, 30


@storable
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
        if self.mix.shape != expected or self.mix.dtype.kind != "f":
            raise StructureError(
                f"mix must have shape {expected}, got {self.mix.shape} of {self.mix.dtype}; it is real"
            )


@storable
@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlocks:
    """A lift, blocks that add to its values, and a last layer; the features are [X, H0, F1 ... FT].

    Parameters
    ----------
    lift : Layer
        Makes the first state H0 of the inputs.
    blocks : tuple of ResidualBlock
        Each adds to the state.
    last : Layer
        Reads the last state.
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
    last: Layer
    losses: Array

    def __post_init__(self) -> None:
        require_array(self.losses, "losses", (self.losses.size,))
        for i, layer in enumerate(self.layers[1:], 1):
            if layer.inputs != self.lift.units:
                raise StructureError(f"layer {i} reads {layer.inputs} values, but the state has {self.lift.units}")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The lift, the blocks' branches and the last layer."""
        return (self.lift, *(block.branch for block in self.blocks), self.last)

    @property
    def inputs(self) -> int:
        """Number of columns that the lift reads."""
        return self.lift.inputs

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.lift.inputs + sum(layer.units for layer in self.layers)

    @property
    def parameter_count(self) -> int:
        """Weights and biases of all layers, and the entries of all B."""
        return sum(layer.parameter_count for layer in self.layers) + sum(block.mix.nnz for block in self.blocks)

    def features(self, rows: Array) -> Array:
        """Return [X, H0, F1 ... FT], (n, columns), of rows of shape (n, inputs)."""
        state = self.lift.forward(rows)
        parts = [rows, state]
        for block in self.blocks:
            parts.append(block.branch.forward(state))
            state = state + (block.mix @ parts[-1].T).T
        parts.append(self.last.forward(state))
        return np.concatenate(parts, axis=1)


def _hidden(
    x: Array,
    z: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None,
) -> ResidualBlocks:
    layers, anchors = draw_layers(x, d, architecture, rng, clock, start)
    # A state that was mixed before stays so at the start; else nothing is added yet.
    mixes = [block.mix for block in start.blocks] if isinstance(start, ResidualBlocks) else []
    state = layers[0].forward(x)
    blocks: list[ResidualBlock] = []
    losses: list[float] = []
    readout: Array | None = None
    for t, layer in enumerate(layers[1:-1]):
        branch = settle(layer, state, d, (), anchors[t + 1])
        values = branch.forward(state)
        statistics = Statistics.from_chunks(
            (np.concatenate((x[b], state[b], values[b]), axis=1), z[b], d[b])
            for b in row_blocks(x.shape[0], x.shape[1] + 2 * branch.units)
        )
        mix = mixes[t] if t < len(mixes) else branch.weight.with_values(np.zeros(branch.weight.nnz), copy=False)
        mix, readout, trace = fit_block(statistics, mix, readout)
        losses.extend(trace[1:] if losses else trace)
        blocks.append(ResidualBlock(branch, mix))
        state += (mix @ values.T).T
        clock.tick("block")
    last = settle(layers[-1], state, d, (), anchors[-1])
    return ResidualBlocks(layers[0], tuple(blocks), last, np.array(losses))


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
        # A direct solve needs no start, and its answer does not hang on rounding as that of few steps does.
        direct = direct_size(structure, below.shape[1]) <= DIRECT_LIMIT
        start = present if not direct and present.any() else None
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


def _check(architecture: Architecture) -> None:
    if architecture.layers < 3:
        raise ValueError(
            "training by residual blocks needs at least 3 layers, a lift, a block and one that reads its state, "
            f"got layers={architecture.layers}"
        )


def _operations(rows: int, inputs: int, outputs: int, architecture: Architecture) -> Operations:
    sizes = layer_sizes(inputs, architecture)
    units, blocks = architecture.units, sizes[1:-1]
    passes = sizes[0].forward + sizes[-1].preactivation
    passes += sum(s.preactivation + s.forward + 2 * s.nnz + s.units for s in blocks)
    statistics = len(blocks) * statistics_operations(rows, inputs + 2 * units, outputs)
    # Each round: B, the products of what it mixes, W; one W more at the very start.
    readouts = ROUNDS * len(blocks) + 1
    solves = readouts * ((inputs + units) ** 3 // 3 + 2 * (inputs + units) ** 2 * outputs)
    for size in blocks:
        step = 2 * units**2 * outputs + 4 * size.nnz * outputs + 10 * size.nnz
        few = units * outputs
        mix = size.nnz**3 // 3 if size.nnz <= few else 2 * few**3 // 3
        if min(size.nnz, few) > DIRECT_LIMIT:
            mix = STEPS * step
        solves += ROUNDS * (mix + 2 * size.nnz * (inputs + 3 * units))
    return Operations(random_operations(rows, sizes) + rows * passes, 0, statistics, solves)


def _mixed(inputs: int, architecture: Architecture) -> int:
    return sum(size.nnz for size in layer_sizes(inputs, architecture)[1:-1])


RESIDUAL = Mode(_hidden, lambda architecture: 2 * architecture.layers - 2, _operations, _check, _mixed)
