r"""Structured pruning of a whole multilayer perceptron, layer after layer, and its readout solved again.

Layer t of the pruned network is fitted to the pre-activations of the *dense* network's layer t, on the inputs that the
*pruned* network's earlier layers really give it: errors made before are corrected as far as the next layer can. The
last, linear layer stays dense and is solved again by ridge regression on the pruned features, for the dense network's
outputs or for targets that are given. Works on plain arrays: the weights of any library.

The order in which a pruned layer puts out its units is folded into what the next layer reads; outputs come in the
dense network's order. No gradient step.

Cost: for each layer one pass of the rows through both networks and N n^2 flops for its statistics, beside those of
`pruning`; the values of one layer of all rows are held for both networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats, require_finite
from stridiag.errors import StructureError
from stridiag.nn.activations import activation as activation_of
from stridiag.nn.hidden import row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.network import checked_rows
from stridiag.nn.pruning import PrunedLayer, Stage, prune_layer
from stridiag.nn.readout import Penalty, ridge_from_rows
from stridiag.nn.statistics import Statistics

__all__ = ["PrunedNetwork", "prune_mlp", "pruning_ladder"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class PrunedNetwork:
    """Structured layers and a dense readout; `prune_mlp` makes it.

    Parameters
    ----------
    layers : tuple of Layer
        The hidden layers; each reads the one before through its `source`.
    coefficients, intercept : ndarray, (units, outputs) and (outputs,)
        The readout.
    reports : tuple of PrunedLayer
        How each layer was pruned, in the order of the dense network's units.
    """

    layers: tuple[Layer, ...]
    coefficients: Array
    intercept: Array
    reports: tuple[PrunedLayer, ...]

    @property
    def density(self) -> float:
        """Stored entries of the hidden weights over those of the dense ones; the readout is not counted."""
        kept = sum(report.weight.nnz for report in self.reports)
        return kept / sum(int(np.prod(report.weight.structure.shape)) for report in self.reports)

    @property
    def parameter_count(self) -> int:
        """All weights and biases, the readout's included."""
        return sum(layer.parameter_count for layer in self.layers) + self.coefficients.size + self.intercept.size

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (samples, outputs), before any softmax."""
        h = checked_rows(rows, self.layers[0].inputs)
        result = np.empty((h.shape[0], self.intercept.size))
        for block in row_blocks(h.shape[0], max(layer.units for layer in self.layers)):
            values = h[block]
            for layer in self.layers:
                values = layer.forward(values)
            result[block] = values @ self.coefficients + self.intercept
        return result


def prune_mlp(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activation: str,
    rows: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    density: float,
    diagonals: int | None = None,
    permute: bool = True,
    stage: Stage = "links",
    solve_readout: bool = True,
    alpha: float = 1e-4,
    readout_alpha: Penalty = "loo",
    rng: int | np.random.Generator | None = None,
) -> PrunedNetwork:
    """Prune the hidden layers of a trained multilayer perceptron and solve its readout again.

    Parameters
    ----------
    weights, biases : sequences of array_like, (n_out, n_in) and (n_out,)
        Hidden layers first, then the linear readout: at least two. Of a scikit-learn network, ``[w.T for w in
        mlp.coefs_]`` and ``mlp.intercepts_``.
    activation : str
        Of the hidden layers; see `ACTIVATIONS`.
    rows : array_like, (samples, n_in)
        Inputs to be true on: training rows, a few thousand or more.
    targets : array_like, (samples, outputs), optional
        What the readout is solved for: the dense network's outputs by default, so that no labels are needed.
    density : float
        Entries to keep in each hidden weight, over all of it.
    diagonals, permute, stage, alpha, rng
        As for `prune_layer`. Links compete by the squared weights with which the next layer reads their unit.
    solve_readout : bool, default True
        Whether to solve the readout again; else it is the dense network's.
    readout_alpha : float, "loo" or "gcv", default "loo"
        As for `ridge_from_rows`.

    Returns
    -------
    PrunedNetwork

    Raises
    ------
    StructureError
        If shapes do not chain.
    ValueError
        As for `prune_layer`; or if there is no hidden layer.
    NonFiniteError
        If a number is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import prune_mlp
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.standard_normal((64, 20)) / 4, rng.standard_normal((3, 64)) / 8]
    >>> biases = [np.zeros(64), np.zeros(3)]
    >>> X = rng.standard_normal((400, 20))
    >>> small = prune_mlp(weights, biases, "tanh", X, density=0.2)
    >>> dense = np.tanh(X @ weights[0].T) @ weights[1].T
    >>> small.density, bool(np.corrcoef(small.decision(X).ravel(), dense.ravel())[0, 1] > 0.9)
    (0.2, True)
    """
    function = activation_of(activation)
    ws, bs = ([as_floats(part, "weights and biases") for part in parts] for parts in (weights, biases))
    x = as_floats(rows, "rows")
    _check_chain(ws, bs, x)
    generator = np.random.default_rng(rng)
    dense, values = x, x
    # The order in which the pruned network's last layer puts out its units.
    order = np.arange(x.shape[1])
    layers: list[Layer] = []
    reports: list[PrunedLayer] = []
    for w, b, following in zip(ws[:-1], bs[:-1], ws[1:], strict=True):
        aim = dense @ w.T + b
        moments = Statistics.from_chunks(
            (values[block], aim[block], np.ones(aim[block].shape[0]))
            for block in row_blocks(values.shape[0], w.shape[0] + w.shape[1])
        )
        pruned = prune_layer(
            w[:, order], b, moments, density=density, diagonals=diagonals, permute=permute, stage=stage,
            targets="given", importance=np.square(following).sum(axis=0), alpha=alpha, rng=generator,
        )  # fmt: skip
        layers.append(Layer(pruned.weight, pruned.bias, activation, pruned.inputs, w.shape[1]))
        reports.append(_in_dense_order(pruned, order))
        order = pruned.outputs
        function.apply_inplace(aim)
        dense, values = aim, layers[-1].forward(values)
    coefficients, intercept = ws[-1].T[order], bs[-1]
    if solve_readout:
        wanted = dense @ ws[-1].T + bs[-1] if targets is None else as_floats(targets, "targets")
        if wanted.shape != (x.shape[0], bs[-1].size):
            raise StructureError(f"targets must have shape {(x.shape[0], bs[-1].size)}, got {wanted.shape}")
        require_finite(wanted, "targets")
        readout = ridge_from_rows(values, wanted, np.ones(x.shape[0]), readout_alpha)
        coefficients, intercept = readout.coefficients * readout.unit, readout.intercept * readout.unit
    return PrunedNetwork(tuple(layers), coefficients, intercept, tuple(reports))


def pruning_ladder(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activation: str,
    rows: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    density: float,
    rng: int | np.random.Generator | None = None,
) -> dict[str, PrunedNetwork]:
    """Prune a network once for each stage, to see what each is worth.

    Parameters
    ----------
    weights, biases, activation, rows, targets, density, rng
        As for `prune_mlp`.

    Returns
    -------
    dict
        ``"mask"``, ``"refit"``, ``"permutation"`` and ``"links"`` with the dense network's readout, ``"readout"``
        (links, and the readout solved again), and the controls ``"random"`` and ``"random + readout"``: as many
        entries at random places, refit.
    """
    stages: list[tuple[str, Stage, bool]] = [
        ("mask", "mask", False),
        ("refit", "refit", False),
        ("permutation", "permutation", False),
        ("links", "links", False),
        ("readout", "links", True),
        ("random", "random", False),
        ("random + readout", "random", True),
    ]
    return {
        name: prune_mlp(
            weights, biases, activation, rows, targets, density=density, stage=stage, solve_readout=solve, rng=rng
        )
        for name, stage, solve in stages
    }


def _check_chain(weights: list[Array], biases: list[Array], x: Array) -> None:
    if len(weights) < 2 or len(weights) != len(biases):
        raise ValueError(
            f"a hidden layer and a readout are needed, got {len(weights)} weights and {len(biases)} biases"
        )
    if x.ndim != 2:
        raise StructureError(f"rows must have shape (samples, inputs), got {x.shape}")
    width = x.shape[1]
    for t, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if w.ndim != 2 or w.shape[1] != width or b.shape != w.shape[:1]:
            raise StructureError(
                f"layer {t} must have a weight of (m, {width}) and a bias of (m,), got {w.shape}, {b.shape}"
            )
        require_finite(w, f"weight {t}")
        require_finite(b, f"bias {t}")
        width = w.shape[0]
    require_finite(x, "rows")


def _in_dense_order(pruned: PrunedLayer, order: NDArray[np.int64]) -> PrunedLayer:
    """Return the report whose `inputs` name units of the dense network, not those of the pruned layer before."""
    return PrunedLayer(pruned.weight, pruned.bias, order[pruned.inputs], pruned.outputs, pruned.error, pruned.errors)
