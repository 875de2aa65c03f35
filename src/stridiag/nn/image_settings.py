"""Which filters, pooling and units a network for images gets: from the shape of the images and their number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from stridiag.nn.options import check_name, is_integer

__all__ = ["ImagePreset", "ImageSettings", "checked_shape", "image_settings"]

ImagePreset = Literal["fast", "balanced", "accurate"]

# Pixels up to which one layer on the pixels themselves is better than pooled filters.
_SMALL = 256
# Where images stay, and one pixel to each side.
_CROSS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0))
# Half a pixel: small images have wide ones.
_SMALL_CROSS = tuple((0.5 * down, 0.5 * right) for down, right in _CROSS)
# Up to so many features of images and their copies, copies of small images are affordable.
_COPIED = {"fast": 1 << 24, "balanced": 1 << 25, "accurate": 1 << 25}


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
    shifts : tuple of (float, float), default ((0, 0),)
        By how many pixels down and right copies of the training images are moved, the first one being the images
        themselves. Between pixels values are interpolated.
    rounds : int, default 0
        How often the readout is solved again with targets that scores of classes may exceed (see `margins`); of
        filters only.
    beside : tuple of ImageSettings, default ()
        Of further networks with filters, whose mean with this one is taken: of other windows, say, since networks that
        pool alike err alike. Their shifts and rounds are their own.

    Raises
    ------
    ValueError
        If `shifts` does not start with (0, 0), `rounds` is negative or given without filters, or there are networks
        beside one without filters, or with none themselves.
    """

    banks: tuple[tuple[int, int], ...]
    units: int
    diagonals: int
    window: int
    step: int
    networks: int = 1
    threshold: float = 0.0
    shifts: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    rounds: int = 0
    beside: tuple[ImageSettings, ...] = ()

    def __post_init__(self) -> None:
        if not self.shifts or tuple(self.shifts[0]) != (0, 0):
            raise ValueError(f"shifts must start with (0, 0), the images themselves, got {self.shifts!r}")
        if not is_integer(self.rounds) or self.rounds < 0 or (self.rounds and not self.banks):
            raise ValueError(f"rounds must be an integer of at least 0, and 0 without banks, got {self.rounds!r}")
        if not all(part.banks and self.banks and not part.beside for part in self.beside):
            raise ValueError("networks beside one with filters have filters and no others beside them")

    @property
    def each(self) -> tuple[ImageSettings, ...]:
        """Settings of each network with filters."""
        return (self, *self.beside)


def image_settings(image_shape: tuple[int, int], rows: int, preset: ImagePreset = "fast") -> ImageSettings:
    """Choose settings from the shape of the images and their number.

    Parameters
    ----------
    image_shape : tuple of int
        ``(h, w)``.
    rows : int
        Number of training images: features stay below half of it.
    preset : {"fast", "balanced", "accurate"}, default "fast"
        How much work: 3456 and 8456 features on 60,000 images of 28 x 28; "accurate" takes the mean of two networks of
        8456 and 8332, of other windows, with four copies of each image, moved by one pixel, and two rounds of moving
        targets. Of small images: averages of 3, 5 and 8
        networks, with four copies moved by half a pixel where that makes at most 2^24 numbers (2^25 but for "fast"):
        8 x 8 pixels of up to 3,495 (6,990) images.

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
        copied = len(_SMALL_CROSS) * rows * units <= _COPIED[preset]
        return ImageSettings(
            banks=(),
            units=units,
            diagonals=0,
            window=1,
            step=1,
            networks=networks,
            shifts=_SMALL_CROSS if copied else _SMALL_CROSS[:1],
        )
    filters, units = {"fast": (24, 0), "balanced": (24, 5000), "accurate": (24, 5000)}[preset]
    # Six windows of two steps along the shorter side, as on 28 x 28 pixels windows of 8 every 4.
    step = max(1, round(min(height, width) / 7))
    sides = tuple(round(step * share) // 2 * 2 + 1 for share in (1.6, 2.6))

    def network(window: int, distance: int) -> ImageSettings:
        windows = ((height - window) // distance + 1) * ((width - window) // distance + 1)
        most = rows // 2
        # As many features whatever the windows, and fewer than that.
        count = filters * usual // max(usual, windows)
        count = max(1, min(count, most // (4 * windows)))
        return ImageSettings(
            banks=tuple((side, count) for side in sides),
            units=max(0, min(units, most - 4 * windows * count)),
            diagonals=8 if preset == "accurate" else 16,
            window=window,
            step=distance,
            shifts=_CROSS if preset == "accurate" else _CROSS[:1],
            rounds=2 if preset == "accurate" else 0,
        )

    usual = ((height - 2 * step) // step + 1) * ((width - 2 * step) // step + 1)
    first = network(2 * step, step)
    if preset != "accurate":
        return first
    # Larger windows, closer to each other: 10 every 3 beside 8 every 4.
    return replace(first, beside=(network(round(2.5 * step), max(1, round(0.75 * step))),))


def checked_shape(image_shape: object) -> tuple[int, int]:
    """Return height and width, or raise ValueError."""
    if not (
        isinstance(image_shape, tuple | list)
        and len(image_shape) == 2
        and all(is_integer(size) and size >= 1 for size in image_shape)
    ):
        raise ValueError(f"image_shape must be two integers of at least 1, (height, width), got {image_shape!r}")
    return int(image_shape[0]), int(image_shape[1])
