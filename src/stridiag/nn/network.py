"""A fitted network: input transform, hidden part, linear readout. Frozen; the trainings make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats, require_finite
from stridiag.errors import StructureError
from stridiag.nn.hidden import Hidden, row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.parts import require_columns
from stridiag.nn.readout import Readout
from stridiag.nn.storage import storable
from stridiag.nn.transforms import Transform

__all__ = ["FeatureMap", "Network", "ParameterCount", "checked_rows"]

Array = NDArray[Any]


class ParameterCount(NamedTuple):
    """How many numbers were set by training (or drawn): hidden weights and biases, readout, and both."""

    hidden: int
    readout: int
    total: int


def checked_rows(rows: ArrayLike, columns: int) -> Array:
    """Return rows in float64, (samples, columns); complain about other shapes and about NaN.

    Raises
    ------
    StructureError
        If the shape is another.
    NonFiniteError
        If a number is NaN or infinite.
    """
    x = as_floats(rows, "rows")
    if x.ndim != 2 or x.shape[1] != columns:
        raise StructureError(f"rows must have shape (samples, {columns}), got {x.shape}")
    require_finite(x, "rows")
    return x


@storable
@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """Input transform and hidden part, without a readout.

    Parameters
    ----------
    inputs : Transform
        Applied first, to rows as they come.
    hidden : Hidden
        Makes features of transformed rows.
    """

    inputs: Transform
    hidden: Hidden

    def __post_init__(self) -> None:
        require_columns(self.inputs.columns, self.hidden.inputs, "the hidden part")

    def features(self, rows: ArrayLike) -> Array:
        """Return all features, (samples, columns), of rows of shape (samples, inputs), at once.

        Raises
        ------
        StructureError
            If the shape is another.
        NonFiniteError
            If a number is NaN or infinite.
        """
        return self.hidden.features(self.inputs.apply(checked_rows(rows, self.inputs.inputs)))


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Input transform, hidden part and a readout of its features.

    Parameters
    ----------
    inputs : Transform
        Applied first, to rows as they come; a `Standardization`, for example.
    hidden : Hidden
        Makes features of transformed rows; a `Stack` of layers, for example.
    readout : Readout
        Maps the features to the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, fit_random
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> net = fit_random(X, np.sin(2 * X[:, :1]) * X[:, 1:2], Architecture(units=64, layers=2), rng=0)
    >>> net.decision(X).shape, net.features(X).shape
    ((300, 1), (300, 132))
    >>> net.parameter_count()
    ParameterCount(hidden=512, readout=133, total=645)
    """

    inputs: Transform
    hidden: Hidden
    readout: Readout

    def __post_init__(self) -> None:
        require_columns(self.inputs.columns, self.hidden.inputs, "the hidden part")
        require_columns(self.hidden.columns, self.readout.coefficients.shape[0], "the readout")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of a network that is a stack of them.

        Raises
        ------
        AttributeError
            If the hidden part is of another kind.
        """
        layers: tuple[Layer, ...] = self.hidden.layers  # type: ignore[attr-defined]  # the error named above
        return layers

    def features(self, rows: ArrayLike) -> Array:
        """Return all features, (samples, columns), of rows of shape (samples, inputs), at once.

        Raises
        ------
        StructureError
            If the shape is another.
        NonFiniteError
            If a number is NaN or infinite.
        """
        return FeatureMap(self.inputs, self.hidden).features(rows)

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (samples, outputs), holding the features of a block of rows at a time.

        Raises
        ------
        StructureError, NonFiniteError
            As for `features`.
        """
        x = checked_rows(rows, self.inputs.inputs)
        columns, outputs = self.readout.coefficients.shape
        result = np.empty((x.shape[0], outputs))
        for block in row_blocks(x.shape[0], columns):
            result[block] = self.readout.apply(self.hidden.features(self.inputs.apply(x[block])))
        return result

    def parameter_count(self) -> ParameterCount:
        """Count weights and biases of the hidden part, and coefficients and intercepts of the readout."""
        hidden = self.hidden.parameter_count
        readout = self.readout.coefficients.size + self.readout.intercept.size
        return ParameterCount(hidden, readout, hidden + readout)
