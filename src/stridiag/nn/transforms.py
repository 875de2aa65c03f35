"""What happens to rows of inputs before the first layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.parts import require_array
from stridiag.nn.storage import storable

__all__ = ["Scaling", "Standardization", "Transform"]

Array = NDArray[Any]
Scaling = Literal["standard", "arcsinh"]


class Transform(Protocol):
    """A map of rows, measured on training rows and then frozen."""

    @property
    def inputs(self) -> int:
        """Number of columns it takes."""

    @property
    def columns(self) -> int:
        """Number of columns it makes."""

    def apply(self, rows: Array) -> Array:
        """Return the transformed rows, (n, columns), of finite rows of shape (n, inputs)."""


@storable
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

    def __post_init__(self) -> None:
        if self.mean.ndim != 1:
            raise StructureError(f"mean must be one-dimensional, got {self.mean.shape}")
        for name in ("magnitude", "mean", "deviation", "lower", "upper"):
            require_array(getattr(self, name), name, self.mean.shape)

    @property
    def inputs(self) -> int:
        """Number of columns it takes."""
        return self.mean.size

    @property
    def columns(self) -> int:
        """Number of columns it makes."""
        return self.mean.size

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

    def undo(self, rows: Array) -> Array:
        """Return rows whose standardised form these are; for scaling "standard". Constant columns come back."""
        return (rows * np.where(np.isinf(self.deviation), 0.0, self.deviation) + self.mean) * self.magnitude

    def apply(self, rows: Array) -> Array:
        """Return the standardised rows; entries stop at half a training range beyond the training range."""
        with np.errstate(over="ignore"):
            result = rows / self.magnitude
        np.clip(result, self.lower, self.upper, out=result)
        result -= self.mean
        result /= self.deviation
        return np.arcsinh(result, out=result) if self.scaling == "arcsinh" else result
