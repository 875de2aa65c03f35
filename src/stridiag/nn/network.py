"""A fitted network: input scaling, structured layers, linear readout. Frozen; the trainings make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.layers import Layer
from stridiag.nn.readout import Readout

__all__ = ["Network", "ParameterCount", "Scaling", "Standardization", "features", "row_blocks"]

Array = NDArray[Any]
Scaling = Literal["standard", "arcsinh"]

# Numbers of features held at once: 32 MB.
_BLOCK = 1 << 22


class ParameterCount(NamedTuple):
    """How many numbers were set by training (or drawn): hidden weights and biases, readout, and both."""

    hidden: int
    readout: int
    total: int


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into blocks of about 32 MB of features."""
    step = max(1, _BLOCK // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@dataclass(frozen=True, slots=True, eq=False)
class Standardization:
    """Columns to mean 0 and deviation 1, optionally compressed; constant columns to 0.

    Columns are divided by their largest magnitude first, so that neither squares nor sums over- or underflow.

    Parameters
    ----------
    magnitude, mean, deviation : ndarray, (p,)
        ``(x / magnitude - mean) / deviation``.
    scaling : {"standard", "arcsinh"}, default "standard"
        ``"arcsinh"`` takes that function of the result: linear near the mean, logarithmic far from it, so that
        rare large entries neither drive all units that read them to saturation nor rule the readout.
    """

    magnitude: Array
    mean: Array
    deviation: Array
    scaling: Scaling = "standard"

    @classmethod
    def fit(cls, rows: Array, weights: Array, scaling: Scaling = "standard") -> Standardization:
        """Measure the columns of ``rows``, (n, p), each row counting by its weight."""
        magnitude = np.abs(rows).max(axis=0)
        magnitude[magnitude == 0.0] = 1.0
        scaled = rows / magnitude
        share = weights / weights.sum()
        mean = share @ scaled
        deviation = np.sqrt(share @ (scaled - mean) ** 2)
        # What a constant column leaves behind is rounding; dividing by it would blow it up.
        deviation[~(deviation > 64 * np.finfo(np.float64).eps)] = np.inf
        return cls(magnitude, mean, deviation, scaling)

    def apply(self, rows: Array) -> Array:
        """Return the standardised rows; entries stop at 1e6 deviations, so that nothing overflows."""
        with np.errstate(over="ignore"):
            result = rows / self.magnitude
        result -= self.mean
        result /= self.deviation
        # A column that was constant has infinite deviation: finite / inf is 0, but inf / inf would be NaN.
        result[:, np.isinf(self.deviation)] = 0.0
        np.clip(result, -1e6, 1e6, out=result)
        return np.arcsinh(result, out=result) if self.scaling == "arcsinh" else result

    def undo_scale(self) -> Array:
        """Return what one deviation, not compressed, is in the columns' own units, (p,); 0 for constant columns."""
        return np.where(np.isinf(self.deviation), 0.0, self.deviation) * self.magnitude


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Input scaling, structured layers and a readout on [X, H1 ... HT].

    Parameters
    ----------
    inputs : Standardization
        Applied first; the standardised inputs are the first features.
    layers : tuple of Layer
        Each reads the values of the one before it.
    readout : Readout
        Maps the features to the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, fit_random
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> net = fit_random(X, np.sin(2 * X[:, :1]) * X[:, 1:2], Architecture(units=64, layers=2), rng=0)
    >>> net.decision(X).shape, net.hidden(X).shape
    ((300, 1), (300, 132))
    >>> net.parameter_count()
    ParameterCount(hidden=512, readout=133, total=645)
    """

    inputs: Standardization
    layers: tuple[Layer, ...]
    readout: Readout

    def hidden(self, rows: Array) -> Array:
        """Return all features [X, H1 ... HT] of the rows, (samples, columns), at once."""
        return features(self.inputs.apply(rows), self.layers)

    def decision(self, rows: Array) -> Array:
        """Return the outputs, (samples, outputs), holding the features of a block of rows at a time."""
        coefficients = self.readout.coefficients
        result = np.empty((rows.shape[0], coefficients.shape[1]))
        for block in row_blocks(rows.shape[0], coefficients.shape[0]):
            result[block] = self.hidden(rows[block]) @ coefficients + self.readout.intercept
        return result

    def parameter_count(self) -> ParameterCount:
        """Count weights and biases of the layers, and coefficients and intercepts of the readout."""
        hidden = sum(layer.parameter_count for layer in self.layers)
        readout = self.readout.coefficients.size + self.readout.intercept.size
        return ParameterCount(hidden, readout, hidden + readout)


def features(standardized: Array, layers: tuple[Layer, ...]) -> Array:
    """Return [X, H1 ... HT] for standardised rows, (samples, columns)."""
    width = standardized.shape[1]
    result = np.empty((standardized.shape[0], width + sum(layer.units for layer in layers)))
    result[:, :width] = standardized
    values, start = standardized, width
    for layer in layers:
        values = layer.forward(values)
        result[:, start : start + layer.units] = values
        start += layer.units
    return result
