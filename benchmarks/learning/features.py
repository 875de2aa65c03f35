"""Random features without our structure: dense ones, and sparse ones with entries at random places.

Both read standardised inputs, and beside them their empirical distribution functions (which is best for dense ones on
most tables; sparse ones read what those of ours read that they stand beside). They have these among the columns of the
readout, biases anchored at random training rows, and the readout of `stridiag.nn`, whose penalty exact leave-one-out
errors choose.
"""

# `fit`, `predict` and `counts` are what `learning.models.Model` says of them.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stridiag.nn.readout import solve_ridge

__all__ = ["DenseFeatures", "RandomPlaces"]

Array = NDArray[Any]

# Numbers of features in memory at once: 64 MB.
_BLOCK = 1 << 23
_QUANTILES = 256
_GAINS = (0.25, 0.5, 1.0, 2.0)
_ROWS_OF_CHOICE = 2000
_UNITS_OF_CHOICE = 512


class _Inputs:
    """Standardised columns cut off at 5 deviations, and the empirical distribution function of those of many values."""

    def __init__(self, rows: Array, *, ranks: bool = True) -> None:
        self.mean = rows.mean(axis=0)
        deviation = rows.std(axis=0)
        self.scale = np.where(deviation > 1e-12 * (1.0 + np.abs(self.mean)), deviation, np.inf)
        steps = np.linspace(0.0, 1.0, _QUANTILES)
        quantiles = np.quantile(rows, steps, axis=0)
        self.curves = {}
        for column in range(rows.shape[1] if ranks else 0):
            values, first = np.unique(quantiles[:, column], return_index=True)
            if values.size > 4:
                # Where values repeat, the middle of their quantiles.
                last = np.append(first[1:], _QUANTILES) - 1
                self.curves[column] = values, (steps[first] + steps[last]) / 2.0

    def apply(self, rows: Array) -> Array:
        scaled = np.clip((rows - self.mean) / self.scale, -5.0, 5.0)
        # A uniform variable has deviation 1 / sqrt(12).
        ranks = [(np.interp(rows[:, c], *curve) - 0.5) * np.sqrt(12.0) for c, curve in self.curves.items()]
        return np.column_stack([scaled, *ranks])


class _RandomFeatures:
    """Fit and prediction of random hidden layers, classification by indicators of +-1."""

    ranks = True

    def __init__(self, units: int, *, classify: bool, seed: int = 0) -> None:
        self.units = units
        self.classify = classify
        self.seed = seed

    def fit(self, x: Array, y: Array) -> Self:
        self.inputs = _Inputs(x, ranks=self.ranks)
        rng = np.random.default_rng(self.seed)
        if self.classify:
            self.classes, codes = np.unique(y, return_inverse=True)
            z = np.where(codes[:, None] == np.arange(self.classes.size), 1.0, -1.0)
            z = z[:, 1:] if self.classes.size == 2 else z
        else:
            z = y[:, None].astype(np.float64)
        self.draw(x, rng)
        step = max(1, _BLOCK // (self.units + self.width))

        def read() -> Iterator[tuple[Array, Array, Array]]:
            for start in range(0, len(x), step):
                block = slice(start, start + step)
                yield self.features(x[block]), z[block], np.ones(len(z[block]))

        columns = self.features(x[:1]).shape[1]
        self.readout = solve_ridge(read, (len(x), columns), "loo", per_output=not self.classify).readout
        return self

    def predict(self, x: Array) -> Array:
        step = max(1, _BLOCK // (self.units + self.width))
        parts = [self.readout.apply(self.features(x[start : start + step])) for start in range(0, len(x), step)]
        scores = np.concatenate(parts)
        if not self.classify:
            return scores[:, 0]
        return self.classes[(scores[:, 0] > 0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)]

    @property
    def width(self) -> int:
        """Columns that the hidden layers read."""
        return self.inputs.mean.size + len(self.inputs.curves)

    def draw(self, x: Array, rng: np.random.Generator) -> None:
        raise NotImplementedError

    def features(self, x: Array) -> Array:
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        raise NotImplementedError


class DenseFeatures(_RandomFeatures):
    """tanh(T W + b) with W dense, N(0, g^2 / d), at the gain g of the least leave-one-out error.

    The gain is chosen among a quarter, a half, 1 and 2 on at most 2000 training rows and 512 units, by the
    readout's own score.
    """

    gain: float | None = None

    def draw(self, x: Array, rng: np.random.Generator) -> None:
        if self.gain is None:
            raise ValueError("the gain has not been chosen")
        d = self.width
        self.weight = rng.standard_normal((d, self.units)) * (self.gain / np.sqrt(d))
        anchors = self.inputs.apply(x[rng.integers(len(x), size=self.units)])
        self.bias = -np.einsum("ud,du->u", anchors, self.weight)

    def fit(self, x: Array, y: Array) -> Self:
        self.gain = self._chosen(x, y) if self.gain is None else self.gain
        return super().fit(x, y)

    def _chosen(self, x: Array, y: Array) -> float:
        some = np.random.default_rng(self.seed).permutation(len(x))[:_ROWS_OF_CHOICE]
        scores = []
        for gain in _GAINS:
            trial = DenseFeatures(min(self.units, _UNITS_OF_CHOICE), classify=self.classify, seed=self.seed)
            trial.gain = gain
            scores.append(trial.fit(x[some], y[some]).readout.score.sum())
        return _GAINS[int(np.argmin(scores))]

    def features(self, x: Array) -> Array:
        inputs = self.inputs.apply(x)
        result = np.empty((len(x), self.width + self.units))
        result[:, : self.width] = inputs
        hidden = result[:, self.width :]
        np.matmul(inputs, self.weight, out=hidden)
        hidden += self.bias
        np.tanh(hidden, out=hidden)
        return result

    def counts(self) -> dict[str, int]:
        readout = self.readout.coefficients.size + self.readout.intercept.size
        return {"hidden": self.weight.size + self.bias.size, "readout": readout, "units": self.units, "layers": 1}


class RandomPlaces(_RandomFeatures):
    """The control of our structure: the same number of layers, units and entries, each entry at a random place.

    Parameters
    ----------
    units : int
        In all layers together.
    layers : int
        They share the units evenly.
    entries : int
        Weights of a unit.
    ranks : bool
        Whether it reads the distribution functions too: as the way does that it stands beside.
    """

    def __init__(
        self, units: int, layers: int, entries: int, *, classify: bool, seed: int = 0, ranks: bool = True
    ) -> None:
        super().__init__(units, classify=classify, seed=seed)
        self.ranks = ranks
        self.layers = layers
        self.entries = entries

    def draw(self, x: Array, rng: np.random.Generator) -> None:
        # Deviations from some thousand rows: they only set the scale.
        values = self.inputs.apply(x[rng.permutation(len(x))[:4096]])
        each, self.parts = self.units // self.layers, []
        for layer in range(self.layers):
            count = self.units - each * (self.layers - 1) if layer == 0 else each
            d = values.shape[1]
            entries = min(self.entries, d)
            places = np.argsort(rng.random((count, d)), axis=1)[:, :entries]
            weights = rng.standard_normal((count, entries))
            weights /= np.linalg.norm(weights, axis=1, keepdims=True)
            index = np.arange(0, count * entries + 1, entries)
            matrix = sparse.csr_array((weights.ravel(), places.ravel(), index), shape=(count, d))
            hidden = values @ matrix.T
            scale = 1.0 / (hidden.std(axis=0) + 0.5)
            matrix = sparse.csr_array(sparse.diags_array(scale) @ matrix)
            hidden *= scale
            bias = -hidden[rng.integers(len(hidden), size=count), np.arange(count)]
            values = np.tanh(hidden + bias)
            self.parts.append((matrix, bias))

    def features(self, x: Array) -> Array:
        values = self.inputs.apply(x)
        columns = [values]
        for matrix, bias in self.parts:
            values = np.tanh(values @ matrix.T + bias)
            columns.append(values)
        return np.hstack(columns)

    def counts(self) -> dict[str, int]:
        readout = self.readout.coefficients.size + self.readout.intercept.size
        hidden = sum(matrix.nnz + bias.size for matrix, bias in self.parts)
        return {"hidden": hidden, "readout": readout, "units": self.units, "layers": self.layers}
