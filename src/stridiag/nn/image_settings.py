"""Which filters, pooling and units a network for images gets: from the shape of the images and their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stridiag.nn.options import check_name, is_integer

__all__ = ["ImagePreset", "ImageSettings", "checked_shape", "image_settings"]

ImagePreset = Literal["fast", "balanced", "accurate"]

# Pixels up to which one layer on the pixels themselves is better than pooled filters.
_SMALL = 256
# Where images stay, and one pixel to each side.
_CROSS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


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
    networks : int, default 1
        How many are averaged; of stencils only.
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
    networks: int = 1
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
        How much work: 3456, 8456 and 10608 features on 60,000 images of 28 x 28, the last ones with four copies
        of each image, moved by one pixel. Of small images: averages of 3, 5 and 8 networks.

    Examples
    --------
    >>> from stridiag.nn import image_settings
    >>> image_settings((28, 28), 60_000).banks
    ((7, 24), (11, 24))
    >>> image_settings((8, 8), 1500).units
    960
    """
    check_name(preset, "preset", ("fast", "balanced", "accurate"))
    height, width = checked_shape(image_shape)
    if height * width <= _SMALL or min(height, width) < 12:
        units = min(15 * height * width, max(16, int(0.67 * rows)))
        networks = {"fast": 3, "balanced": 5, "accurate": 8}[preset]
        return ImageSettings(banks=(), units=units, diagonals=0, window=1, step=1, networks=networks)
    filters, units = {"fast": (24, 0), "balanced": (24, 5000), "accurate": (32, 6000)}[preset]
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


def checked_shape(image_shape: object) -> tuple[int, int]:
    """Return height and width, or raise ValueError."""
    if not (
        isinstance(image_shape, tuple | list)
        and len(image_shape) == 2
        and all(is_integer(size) and size >= 1 for size in image_shape)
    ):
        raise ValueError(f"image_shape must be two integers of at least 1, (height, width), got {image_shape!r}")
    return int(image_shape[0]), int(image_shape[1])
