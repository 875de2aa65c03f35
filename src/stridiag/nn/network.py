"""A fitted network: input scaling, structured layers, linear readout. Frozen; the trainings make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import require_finite
from stridiag.errors import StructureError
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
        ``(x / magnitude - mean) / deviation``; the deviation of a constant column is infinite.
    lower, upper : ndarray, (p,)
        Where ``x / magnitude`` is cut off: the range of the training rows, widened by half of it at each end.
    scaling : {"standard", "arcsinh"}, default "standard"
        ``"arcsinh"`` takes that function of the result: linear near the mean, logarithmic far from it, so that
        rare large entries neither drive all units that read them to saturation nor rule the readout.
    """

    magnitude: Array
    mean: Array
    deviation: Array
    lower: Array
    upper: Array
    scaling: Scaling = "standard"

    @classmethod
    def fit(cls, rows: Array, weights: Array, scaling: Scaling = "standard") -> Standardization:
        """Measure the columns of ``rows``, (n, p), each row counting by its weight."""
        magnitude = np.abs(rows).max(axis=0)
        magnitude[magnitude == 0.0] = 1.0
        scaled = rows / magnitude
        lower, upper = scaled.min(axis=0), scaled.max(axis=0)
        margin = 0.5 * (upper - lower)
        share = weights / weights.sum()
        # Deviations from the first row: exactly 0 in a constant column, where those from a rounded mean are not.
        first = scaled[0].copy()
        scaled -= first
        shift = share @ scaled
        scaled -= shift
        deviation = np.sqrt(share @ np.square(scaled, out=scaled))
        # A few units in the last place of the largest entry are rounding; dividing by them would blow it up.
        deviation[~(deviation > 64 * np.finfo(np.float64).eps)] = np.inf
        return cls(magnitude, first + shift, deviation, lower - margin, upper + margin, scaling)

    def apply(self, rows: Array) -> Array:
        """Return the standardised rows; entries stop at half a training range beyond the training range."""
        with np.errstate(over="ignore"):
            result = rows / self.magnitude
        np.clip(result, self.lower, self.upper, out=result)
        result -= self.mean
        result /= self.deviation
        return np.arcsinh(result, out=result) if self.scaling == "arcsinh" else result


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

    def hidden(self, rows: ArrayLike) -> Array:
        """Return all features [X, H1 ... HT], (samples, columns), of rows of shape (samples, inputs), at once.

        Raises
        ------
        StructureError
            If the shape is another.
        NonFiniteError
            If a number is NaN or infinite.
        """
        return features(self.inputs.apply(self._check(rows)), self.layers)

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (samples, outputs), holding the features of a block of rows at a time.

        Raises
        ------
        StructureError, NonFiniteError
            As for `hidden`.
        """
        x = self._check(rows)
        columns, outputs = self.readout.coefficients.shape
        result = np.empty((x.shape[0], outputs))
        for block in row_blocks(x.shape[0], columns):
            result[block] = self.readout.apply(features(self.inputs.apply(x[block]), self.layers))
        return result

    def _check(self, rows: ArrayLike) -> Array:
        x = np.asarray(rows, np.float64)
        if x.ndim != 2 or x.shape[1] != self.inputs.mean.size:
            raise StructureError(f"rows must have shape (samples, {self.inputs.mean.size}), got {x.shape}")
        require_finite(x, "rows")
        return x

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
