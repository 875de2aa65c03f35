"""The hidden part of a network: from transformed inputs to the features that the readout sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.layers import Layer
from stridiag.nn.parts import require_count
from stridiag.nn.storage import storable

__all__ = ["Hidden", "Stack", "row_blocks"]

Array = NDArray[Any]

# Numbers of features held at once: 32 MB.
_BLOCK = 1 << 22


class Hidden(Protocol):
    """A frozen map from transformed inputs to features."""

    @property
    def inputs(self) -> int:
        """Number of columns it reads."""

    @property
    def columns(self) -> int:
        """Number of features it makes."""

    @property
    def parameter_count(self) -> int:
        """How many of its numbers were drawn or solved for."""

    def features(self, rows: Array) -> Array:
        """Return the features, (n, columns), of rows of shape (n, inputs)."""


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into blocks of about 32 MB of features."""
    step = max(1, _BLOCK // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Layers one behind another; the features are [X, H1 ... HT], the values of all of them.

    Parameters
    ----------
    inputs : int
        Number of columns that the first layer reads.
    layers : tuple of Layer
        Each reads the values of the one before it. None at all leaves the inputs as the only features.

    Raises
    ------
    StructureError
        If a layer does not fit the one before it.
    """

    inputs: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        require_count(self.inputs, "inputs")
        size = self.inputs
        for i, layer in enumerate(self.layers):
            if layer.inputs != size:
                raise StructureError(f"layer {i} reads {layer.inputs} values, but {size} come to it")
            size = layer.units

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.inputs + sum(layer.units for layer in self.layers)

    @property
    def parameter_count(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.parameter_count for layer in self.layers)

    def features(self, rows: Array) -> Array:
        """Return [X, H1 ... HT], (n, columns), of rows of shape (n, inputs)."""
        result = np.empty((rows.shape[0], self.columns))
        result[:, : self.inputs] = rows
        values, start = result[:, : self.inputs], self.inputs
        for layer in self.layers:
            values = layer.forward(values, out=result[:, start : start + layer.units])
            start += layer.units
        return result

    def last(self, rows: Array) -> Array:
        """Return the values of the last layer, or the rows where there is none."""
        for layer in self.layers:
            rows = layer.forward(rows)
        return rows
