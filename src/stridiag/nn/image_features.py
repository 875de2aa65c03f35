"""The hidden parts of networks for images, and what happens to pixels before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.layers import Layer
from stridiag.nn.parts import require_array, require_count
from stridiag.nn.patches import TiedPatches
from stridiag.nn.storage import storable

__all__ = ["ImageFeatures", "PixelRange", "StencilFeatures"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class PixelRange:
    """Pixels in units of the range that they had in training, from 0 up: ``(x - lowest) / (highest - lowest)``.

    Parameters
    ----------
    inputs : int
        Number of pixels.
    lowest, highest : float
        Over all training images. Pixels beyond twice that range stop there.
    """

    inputs: int
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        require_count(self.inputs, "inputs")

    @property
    def columns(self) -> int:
        """Number of columns it makes."""
        return self.inputs

    @property
    def unit(self) -> float:
        """Half of the range; 1 where there is none."""
        half = 0.5 * self.highest - 0.5 * self.lowest
        return half if half > 0.0 else 1.0

    @classmethod
    def fit(cls, rows: Array) -> PixelRange:
        """Measure ``rows``, (n, pixels)."""
        return cls(rows.shape[1], float(rows.min()), float(rows.max()))

    def apply(self, rows: Array) -> Array:
        """Return the pixels in float32, (n, pixels)."""
        # Halves, so that a range near the largest number does not overflow.
        scaled = (0.5 * rows - 0.5 * self.lowest) / self.unit
        return np.clip(scaled, -1.0, 2.0).astype(np.float32)


@storable
@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """Pooled values of tied patches, standardised, and a sparse layer that reads them.

    Parameters
    ----------
    patches : tuple of TiedPatches
        Banks of filters; each reads the same images.
    mean, scale : ndarray of float32, (pooled,)
        Pooled features become ``(p - mean) / scale``.
    layer : Layer, optional
        Its values are further features.

    Raises
    ------
    StructureError
        If the parts do not fit.
    """

    of_one_scale: ClassVar[bool] = True
    """A readout penalises its columns as they are, not standardised; see `Stream.readout`."""

    patches: tuple[TiedPatches, ...]
    mean: Array
    scale: Array
    layer: Layer | None = None

    def __post_init__(self) -> None:
        pooled = sum(bank.columns for bank in self.patches)
        if not self.patches or len({bank.image_shape for bank in self.patches}) != 1:
            raise StructureError("an image network needs banks of filters for images of one shape")
        require_array(self.mean, "mean", (pooled,))
        require_array(self.scale, "scale", (pooled,))
        if self.layer is not None and self.layer.inputs != pooled:
            raise StructureError(f"the layer reads {self.layer.inputs} values, but {pooled} come to it")

    @property
    def inputs(self) -> int:
        """Number of pixels."""
        return self.patches[0].inputs

    @property
    def pooled(self) -> int:
        """Number of pooled features."""
        return self.mean.size

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.pooled + (0 if self.layer is None else self.layer.units)

    @property
    def parameter_count(self) -> int:
        """Tied numbers of the filters counted once, weights and biases of the layer; as for all parts, no scaling."""
        layer = 0 if self.layer is None else self.layer.parameter_count
        return sum(bank.parameter_count for bank in self.patches) + layer

    def features(self, rows: Array) -> Array:
        """Return the features in float32, (n, columns), of images read line by line, (n, inputs)."""
        result = np.empty((rows.shape[0], self.columns), np.float32)
        at = 0
        for bank in self.patches:
            bank.write(rows, result[:, at : at + bank.columns])
            at += bank.columns
        pooled = result[:, :at]
        pooled -= self.mean
        pooled /= self.scale
        if self.layer is not None:
            result[:, at:] = self.layer.forward(pooled)
        return result


@storable
@dataclass(frozen=True, slots=True, eq=False)
class StencilFeatures:
    """The values of one layer on pixels, without the pixels: with them scores were lower (docs/theory/images.md).

    Parameters
    ----------
    layer : Layer
        Its diagonals form a stencil of neighbouring pixels.
    """

    layer: Layer

    @property
    def inputs(self) -> int:
        """Number of pixels."""
        return self.layer.inputs

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.layer.units

    @property
    def parameter_count(self) -> int:
        """Weights and biases."""
        return self.layer.parameter_count

    def features(self, rows: Array) -> Array:
        """Return the layer's values, (n, columns), of images read line by line, (n, inputs)."""
        return self.layer.forward(rows)
