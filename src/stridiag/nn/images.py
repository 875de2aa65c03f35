r"""Networks for images: the user says the shape of an image, everything else follows from it.

Images of up to 256 pixels get one ordinary structured layer, a wrapped stencil of 5 x 5 diagonals (offsets w a + b,
-2 <= a, b <= 2) with as many units as pay; the readout sees them alone, not the pixels. Larger ones get tied
diagonals: banks of small filters over the whole image, rectified and pooled (see `patches`), and a sparse layer of
units that read k pooled features each, under a fresh permutation for each wrap; pre-activations have unit spread, and
the bias is minus the pre-activation at one training row. The readout is solved (see `readout` and `large_readout`);
nothing else is trained, and filters and layer never see the targets.

Statistics can be added over shifted copies of the images too, at one more pass for each.

Cost, for N images, K filters of r x r taps, D features and s copies: 2 N s K h (w + r) r^2 flops for the maps,
N s D^2 for the products, D^3 / 3 for each penalty.

References: docs/theory/images.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag import structure as structures
from stridiag.errors import StructureError
from stridiag.nn.large_readout import LargeChunk, solve_large
from stridiag.nn.layers import Layer, draw_source, source_width
from stridiag.nn.network import Network
from stridiag.nn.offsets import wrapped_offsets
from stridiag.nn.options import check_name, check_penalty, is_integer
from stridiag.nn.patches import TiedPatches, draw_filters
from stridiag.nn.random_features import settle
from stridiag.nn.training import Clock, ProgressHook, check_training_data, in_target_units, solve_readout
from stridiag.nn.transforms import Standardization

__all__ = [
    "ImageFeatures",
    "ImagePreset",
    "ImageSettings",
    "PixelRange",
    "StencilFeatures",
    "fit_images",
    "image_settings",
]

Array = NDArray[Any]
ImagePreset = Literal["fast", "balanced", "accurate"]

# Pixels up to which one layer on the pixels themselves is better than pooled filters.
_SMALL = 256
# Rows on which means, spreads and anchors are measured, and rows of features in memory at a time.
_SAMPLE, _CHUNK = 4096, 2048
# Added to the deviation of a pooled feature, in units of their mean deviation: features that hardly vary stay small.
_DEVIATION_FLOOR = 0.05
# Added to the deviation of pre-activations, in the unit of which all but a few are larger.
_SPREAD_FLOOR = 0.1
# Where images stay, and one pixel to each side.
_CROSS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
# Largest share and number of rows that are held out for the choice of the penalty.
_HELD_SHARE, _HELD = 0.1, 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Everything about a network for images that is not data.

    Parameters
    ----------
    banks : tuple of (int, int)
        ``(side, count)`` of each bank of filters. None at all: the stencil on pixels.
    units : int
        Of the layer behind the filters (0: none), or of the stencil.
    diagonals : int
        Wrapped diagonals of the layer behind the filters.
    window, step : int
        Of the pooling; see `TiedPatches`.
    threshold : float, default 0
        Of the rectification, in units of the range of pixels.
    shifts : tuple of (int, int), default ((0, 0),)
        By how many pixels down and right copies of the training images are moved.
    """

    banks: tuple[tuple[int, int], ...]
    units: int
    diagonals: int
    window: int
    step: int
    threshold: float = 0.0
    shifts: tuple[tuple[int, int], ...] = ((0, 0),)


def image_settings(image_shape: tuple[int, int], rows: int, preset: ImagePreset = "fast") -> ImageSettings:
    """Choose settings from the shape of the images and their number.

    Parameters
    ----------
    image_shape : tuple of int
        ``(h, w)``.
    rows : int
        Number of training images: features stay below half of it.
    preset : {"fast", "balanced", "accurate"}, default "fast"
        How much work: 3456, 5956 and 10608 features on 60,000 images of 28 x 28, the last ones with four copies
        of each image, moved by one pixel.

    Examples
    --------
    >>> from stridiag.nn import image_settings
    >>> image_settings((28, 28), 60_000).banks
    ((7, 24), (11, 24))
    >>> image_settings((8, 8), 1500).units
    960
    """
    check_name(preset, "preset", ("fast", "balanced", "accurate"))
    height, width = _checked_shape(image_shape)
    if height * width <= _SMALL or min(height, width) < 12:
        units = min(15 * height * width, max(16, int(0.67 * rows)))
        return ImageSettings(banks=(), units=units, diagonals=0, window=1, step=1)
    filters, units = {"fast": (24, 0), "balanced": (24, 2500), "accurate": (32, 6000)}[preset]
    # Six windows of two steps along the shorter side, as on 28 x 28 pixels windows of 8 every 4.
    step = max(1, round(min(height, width) / 7))
    windows = ((height - 2 * step) // step + 1) * ((width - 2 * step) // step + 1)
    most = rows // 2
    filters = max(1, min(filters, most // (4 * windows)))
    units = max(0, min(units, most - 4 * windows * filters))
    sides = [round(step * share) // 2 * 2 + 1 for share in (1.6, 2.6)]
    return ImageSettings(
        banks=tuple((side, filters) for side in sides),
        units=units,
        diagonals=16,
        window=2 * step,
        step=step,
        shifts=_CROSS if preset == "accurate" else _CROSS[:1],
    )


def _checked_shape(image_shape: object) -> tuple[int, int]:
    if not (
        isinstance(image_shape, tuple | list)
        and len(image_shape) == 2
        and all(is_integer(size) and size >= 1 for size in image_shape)
    ):
        raise ValueError(f"image_shape must be two integers of at least 1, (height, width), got {image_shape!r}")
    return int(image_shape[0]), int(image_shape[1])


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

    @property
    def columns(self) -> int:
        """Number of columns it makes."""
        return self.inputs

    @classmethod
    def fit(cls, rows: Array) -> PixelRange:
        """Measure ``rows``, (n, pixels)."""
        return cls(rows.shape[1], float(rows.min()), float(rows.max()))

    def apply(self, rows: Array) -> Array:
        """Return the pixels in float32, (n, pixels)."""
        half = 0.5 * self.highest - 0.5 * self.lowest
        unit = half if half > 0.0 else 1.0
        # Halves, so that a range near the largest number does not overflow.
        scaled = (0.5 * rows - 0.5 * self.lowest) / unit
        return np.clip(scaled, -1.0, 2.0).astype(np.float32)


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

    patches: tuple[TiedPatches, ...]
    mean: Array
    scale: Array
    layer: Layer | None = None

    def __post_init__(self) -> None:
        pooled = sum(bank.columns for bank in self.patches)
        if not self.patches or len({bank.image_shape for bank in self.patches}) != 1:
            raise StructureError("an image network needs banks of filters for images of one shape")
        if not self.mean.shape == self.scale.shape == (pooled,):
            raise StructureError(f"mean and scale must be ({pooled},), got {self.mean.shape} and {self.scale.shape}")
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


def fit_images(
    X: ArrayLike,
    Z: ArrayLike,
    image_shape: tuple[int, int],
    *,
    preset: ImagePreset = "fast",
    settings: ImageSettings | None = None,
    alpha: float | Literal["auto"] = "auto",
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
) -> Network:
    """Fit a network to images: fixed features and a solved readout.

    Parameters
    ----------
    X : array_like, (n, h w)
        Images, each read line by line; any range of numbers.
    Z : array_like, (n, q)
        Targets.
    image_shape : tuple of int
        ``(h, w)``.
    preset : {"fast", "balanced", "accurate"}, default "fast"
        See `image_settings`.
    settings : ImageSettings, optional
        Instead of what the preset chooses.
    alpha : float or "auto", default "auto"
        Penalty of the readout. "auto" chooses it: by exact leave-one-out errors for small images, otherwise on a tenth
        of the images (at most 5,000) that the choice, not the last solve, leaves out.
    weights : array_like, (n,), optional
        Sample weights: an integer weight counts as repetition.
    rng : int, numpy.random.Generator or None
        Seed or generator of everything random.
    progress : callable, optional
        Called with a `Progress` after each step.

    Returns
    -------
    Network
        Its hidden part is an `ImageFeatures`, or a `StencilFeatures` for small images.

    Raises
    ------
    StructureError
        If images of that shape do not have as many pixels as X has columns.
    ValueError
        If shapes do not match, an option is unknown, fewer than two rows have positive weight, or hardly any patch
        of the images varies.
    NonFiniteError
        If a number is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import fit_images
    >>> noise = np.random.default_rng(0).random((300, 20, 20))
    >>> noise[:150] += np.linspace(0, 1, 20)                    # half of them are brighter to the right
    >>> X, Z = noise.reshape(300, -1), np.repeat([[1.0], [-1.0]], 150, axis=0)
    >>> net = fit_images(X[::2], Z[::2], (20, 20), rng=0)
    >>> float(((net.decision(X[1::2]) > 0) == (Z[1::2] > 0)).mean())
    1.0
    """
    shape = _checked_shape(image_shape)
    check_penalty(alpha, ("auto",))
    x, z, d = check_training_data(X, Z, weights)
    if shape[0] * shape[1] != x.shape[1]:
        raise StructureError(f"images of {shape[0]} x {shape[1]} have {shape[0] * shape[1]} pixels, got {x.shape[1]}")
    chosen = image_settings(shape, int(d.sum()), preset) if settings is None else settings
    generator = np.random.default_rng(rng)
    inputs = PixelRange.fit(x)
    x = inputs.apply(x)
    if not chosen.banks:
        clock = Clock(progress, 2)
        hidden = StencilFeatures(_stencil(x, d, shape, chosen.units, generator))
        clock.tick("layer")
        solved = solve_readout(x, hidden, z, d, "loo" if alpha == "auto" else alpha, per_output=False)
        clock.tick("readout")
        return Network(inputs, hidden, solved.readout)
    chunks = len(chosen.shifts) * -(-x.shape[0] // _CHUNK)
    clock = Clock(progress, 2 + chunks + 1)
    features, centre = _draw(x, d, shape, chosen, generator, clock)
    outputs = Standardization.fit(z, d)
    targets = outputs.apply(z)
    held = _held_out(x, d, generator)

    def read() -> Iterator[LargeChunk]:
        for shift in chosen.shifts:
            for first in range(0, x.shape[0], _CHUNK):
                part = slice(first, first + _CHUNK)
                rows = features.features(_shifted(x[part], shape, shift))
                yield LargeChunk(rows, targets[part], d[part], held[part])
                clock.tick("features")

    readout = solve_large(read, (features.columns, z.shape[1]), "holdout" if alpha == "auto" else float(alpha), centre)
    clock.tick("readout")
    return Network(inputs, features, in_target_units(readout, outputs))


def _draws(x: Array, d: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows with probabilities equal to their weights.

    They are quantiles along a random direction: neither the order of the rows matters nor whether a row of weight 2
    is written twice.
    """
    direction = np.asarray(rng.standard_normal(x.shape[1]), x.dtype)
    order = np.argsort(x @ direction, kind="stable")
    cumulated = np.cumsum(d[order])
    place = np.searchsorted(cumulated, rng.random(count) * cumulated[-1], side="right")
    return np.asarray(order[np.minimum(place, order.size - 1)], np.int64)


def _stencil(x: Array, d: Array, shape: tuple[int, int], units: int, rng: np.random.Generator) -> Layer:
    """Draw the layer of 5 x 5 wrapped diagonals on pixels."""
    offsets = sorted({shape[1] * a + b for a in range(-2, 3) for b in range(-2, 3)})
    size = (units, x.shape[1])
    weight = structures.random(size, wrapped_offsets(size, offsets), rng=rng)
    raw = Layer(weight, np.zeros(units), "tanh")
    return settle(raw, x, d, (), _draws(x, d, units, rng), floor=_SPREAD_FLOOR)


def _draw(
    x: Array, d: Array, shape: tuple[int, int], chosen: ImageSettings, rng: np.random.Generator, clock: Clock
) -> tuple[ImageFeatures, Array]:
    """Draw filters and layer, measure scales on a sample; return also the features' means."""
    sample = x[_draws(x, d, _SAMPLE, rng)]
    images = sample.reshape(-1, *shape)
    banks = tuple(
        TiedPatches(
            shape, draw_filters(images, count, side, rng), chosen.threshold, window=chosen.window, step=chosen.step
        )
        for side, count in chosen.banks
    )
    clock.tick("filters")
    pooled = sum(bank.columns for bank in banks)
    plain = ImageFeatures(banks, np.zeros(pooled, np.float32), np.ones(pooled, np.float32))
    values = plain.features(sample)
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    scale = deviation + _DEVIATION_FLOOR * deviation.mean()
    hidden = replace(plain, mean=mean.astype(np.float32), scale=scale.astype(np.float32))
    centre = np.zeros(pooled)
    if chosen.units:
        values -= hidden.mean
        values /= hidden.scale
        layer = _sparse_layer(values, chosen, rng)
        centre = np.concatenate((centre, layer.forward(values).mean(axis=0, dtype=np.float64)))
        hidden = replace(hidden, layer=layer)
    clock.tick("layer")
    return hidden, centre


def _sparse_layer(values: Array, chosen: ImageSettings, rng: np.random.Generator) -> Layer:
    """Draw the layer behind the pooled features from their values on a sample, whose rows are its anchors."""
    units, inputs = chosen.units, values.shape[1]
    source = draw_source(units, inputs, rng)
    size = (units, source_width(units, inputs, shuffle=True))
    weight = structures.random(size, wrapped_offsets(size, range(chosen.diagonals)), rng=rng)
    raw = Layer(weight, np.zeros(units), "tanh", source, inputs)
    # The rows of the sample are drawn at random already.
    anchors = np.arange(units) % values.shape[0]
    layer = settle(raw, values, np.ones(values.shape[0]), (), anchors, floor=_SPREAD_FLOOR)
    return replace(layer, weight=layer.weight.astype(np.float32), bias=layer.bias.astype(np.float32))


def _held_out(x: Array, d: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose rows by a checksum of their content, so that copies of an image fall on one side."""
    share = min(_HELD_SHARE, _HELD / float(d.sum()))
    start = int(rng.integers(1 << 32))
    marks = np.fromiter((zlib.crc32(row.data, start) for row in x), np.uint64, x.shape[0])
    held: NDArray[np.bool_] = marks < share * (1 << 32)
    if not held.any() or held.all():
        held[:] = False
        held[: max(1, x.shape[0] // 10)] = True
    return held


def _shifted(x: Array, shape: tuple[int, int], shift: tuple[int, int]) -> Array:
    """Move images down and right by some pixels; what comes in is 0."""
    if shift == (0, 0):
        return x
    images = x.reshape(-1, *shape)
    moved = np.zeros_like(images)
    (down, right), (height, width) = shift, shape
    moved[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = images[
        :, max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    return moved.reshape(x.shape)
