r"""Tied patches: small filters over images as matrices of constant diagonals, rectified and pooled.

A layer of K filters of r x c taps on images of h x w pixels has K h w outputs, but r c K numbers only: each filter is
one matrix of r c diagonals, each constant, on the image padded to rows of w + c - 1 pixels (see `TiedPatches.matrix`).
Both signs of its values, beyond a threshold, are pooled to root mean squares on a grid of windows: 2 K features for
each window.

Filters are patches of training images themselves, mean 0 and norm 1, chosen for diversity: from a few thousand
candidates always the one whose largest |cosine| with those chosen before is least.

References: A. Coates, A. Y. Ng, "The importance of encoding versus training with sparse coding and vector
quantization", ICML 2011 (random patches as dictionary, rectified both ways); M. D. McDonnell, T. Vladusich, "Enhanced
image classification with a fast-learning shallow convolutional neural network", arXiv 1503.04596 (squares, pooling and
the root before a solved readout).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.patches import pooled_patches
from stridiag._kernels.threads import run_ranges
from stridiag.errors import StructureError
from stridiag.nn.options import check_name
from stridiag.nn.storage import storable
from stridiag.structure import StridiagMatrix

__all__ = ["Padding", "TiedPatches", "draw_filters"]

Array = NDArray[Any]
Padding = Literal["zero", "wrapped"]

# A patch that varies by less than this share of the images' range says nothing.
_LEAST_DEVIATION = 0.05


@storable
@dataclass(frozen=True, slots=True, eq=False)
class TiedPatches:
    r"""Filters, both signs of their values, pooled: :math:`\bigl(\mathrm{mean}\,\max(\pm v - t, 0)^2\bigr)^{1/2}`.

    Parameters
    ----------
    image_shape : tuple of int
        ``(h, w)``; rows of inputs are images read line by line.
    filters : ndarray, (K, r, c)
        float32 or float64; features are of that type. Their middle, ((r - 1) // 2, (c - 1) // 2), lies on the pixel.
    threshold : float, default 0
        t, at least 0.
    window, step : int, default 8 and 4
        Side of the windows that are pooled, and distance of two of them; the grid lies in the middle of the image.
    padding : {"zero", "wrapped"}, default "zero"
        What lies beyond the edges: 0, or the other side of the image.

    Raises
    ------
    StructureError
        If shapes do not fit: filters of three axes, windows and filters no larger than the image.
    ValueError
        If the threshold is negative or the padding unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import TiedPatches
    >>> edges = np.array([[[-1.0, 1.0]]])
    >>> layer = TiedPatches((2, 3), edges, window=2, step=1)
    >>> layer.features(np.array([[0.0, 1.0, 1.0, 0.0, 1.0, 1.0]])).round(3)
    array([[0.707, 0.   , 0.   , 0.707]])
    >>> layer.matrix(0)                           # on the image padded to rows of 4
    StridiagMatrix(8 x 9, float64, offsets (0, 1), 0 links)
    """

    image_shape: tuple[int, int]
    filters: Array
    threshold: float = 0.0
    window: int = 8
    step: int = 4
    padding: Padding = "zero"

    def __post_init__(self) -> None:
        height, width = self.image_shape
        if self.filters.ndim != 3 or self.filters.dtype not in (np.float32, np.float64) or not self.filters.size:
            raise StructureError(
                f"filters must be (K, r, c) of float32 or float64, got {self.filters.shape} of {self.filters.dtype}"
            )
        if self.filters.shape[1] > height or self.filters.shape[2] > width:
            raise StructureError(f"filters of {self.filters.shape[1:]} do not fit into images of {self.image_shape}")
        if not (1 <= self.window <= min(height, width) and self.step >= 1):
            raise StructureError(
                f"windows must fit into images of {self.image_shape}, got window {self.window}, step {self.step}"
            )
        if not 0.0 <= self.threshold < np.inf:
            raise ValueError(f"threshold must be a finite number of at least 0, got {self.threshold!r}")
        check_name(self.padding, "padding", ("zero", "wrapped"))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        height, width = self.image_shape
        return (height - self.window) // self.step + 1, (width - self.window) // self.step + 1

    @property
    def inputs(self) -> int:
        """Number of pixels."""
        return self.image_shape[0] * self.image_shape[1]

    @property
    def columns(self) -> int:
        """Number of features: both signs of each filter, for each window."""
        return 2 * len(self.filters) * self.grid[0] * self.grid[1]

    @property
    def parameter_count(self) -> int:
        """Numbers on the diagonals, tied ones counted once, and the threshold."""
        return int(self.filters.size) + 1

    def features(self, rows: Array) -> Array:
        """Return the features, (n, columns), ordered by filter, sign and window, of rows of shape (n, inputs).

        Cost: 2 h (w + c - 1) r c flops for each filter and image; images are shared out among threads.

        Raises
        ------
        StructureError
            If the number of inputs differs.
        """
        result = np.empty((rows.shape[0], self.columns), self.filters.dtype)
        self.write(rows, result)
        return result

    def write(self, rows: Array, out: Array) -> None:
        """Do what `features` does, into `out`, (n, columns), of contiguous rows."""
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise StructureError(f"rows must have shape (samples, {self.inputs}), got {rows.shape}")
        kind = self.filters.dtype
        images = np.ascontiguousarray(rows, kind).reshape(-1, *self.image_shape)
        shape = (rows.shape[0], self.filters.shape[0], 2, *self.grid)
        # A view, although the rows may be parts of longer ones.
        view = np.lib.stride_tricks.as_strided(
            out, shape, (out.strides[0], *(kind.itemsize * s for s in _row_major(shape[1:]))), writeable=True
        )
        left = [(size - self.window) % self.step // 2 for size in self.image_shape]
        start = np.array(left, np.int64)
        filters = np.ascontiguousarray(self.filters)
        threshold = kind.type(self.threshold)
        wrapped = self.padding == "wrapped"

        def piece(first: int, last: int) -> None:
            pooled_patches(images, filters, wrapped, threshold, self.window, self.step, start, view, first, last)

        run_ranges(piece, rows.shape[0], grain=4, pieces_per_thread=4)

    def padded(self, rows: Array) -> Array:
        """Return images as the diagonals see them, (n, (h + r - 1) s + c - 1), s = w + c - 1, for `matrix`."""
        down, across = self.filters.shape[1:]
        before = ((down - 1) // 2, (across - 1) // 2)
        margins = [(b, size - 1 - b) for b, size in zip(before, (down, across), strict=True)]
        images = rows.reshape(-1, *self.image_shape)
        mode: Any = "wrap" if self.padding == "wrapped" else "constant"
        flat = np.pad(images, [(0, 0), *margins], mode=mode).reshape(rows.shape[0], -1)
        return np.pad(flat, [(0, 0), (0, across - 1)])

    def matrix(self, k: int) -> StridiagMatrix:
        """Return filter k as a matrix of constant diagonals, (h s, (h + r - 1) s + c - 1), on `padded` images.

        Row y s + x holds the value at pixel (y, x); rows with x >= w belong to no pixel.
        """
        down, across = self.filters.shape[1:]
        height, stride = self.image_shape[0], self.image_shape[1] + across - 1
        length = height * stride
        taps = {a * stride + b: np.full(length, self.filters[k, a, b]) for a in range(down) for b in range(across)}
        return StridiagMatrix.from_diagonals(taps, shape=(length, (height + down - 1) * stride + across - 1))


def _row_major(shape: tuple[int, ...]) -> list[int]:
    """Return how many numbers apart neighbours along each axis are."""
    return [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]


def draw_filters(images: Array, count: int, side: int, rng: np.random.Generator, *, candidates: int = 2000) -> Array:
    """Choose diverse patches of some images as filters, (count, side, side), of the images' type.

    Parameters
    ----------
    images : ndarray, (n, h, w)
        In units of their range: patches of deviation up to 0.05 are passed over.
    count, side : int
        How many filters, and their height and width.
    rng : numpy.random.Generator
        Where places come from.
    candidates : int, default 2000
        How many patches are drawn to choose from.

    Raises
    ------
    ValueError
        If hardly any patch varies, as in constant images.
    """
    n, height, width = images.shape
    drawn = max(candidates, 4 * count)
    which = rng.integers(n, size=drawn)
    top, left = rng.integers(height - side + 1, size=drawn), rng.integers(width - side + 1, size=drawn)
    down = np.arange(side)
    taps = images[which[:, None, None], (top[:, None] + down)[:, :, None], (left[:, None] + down)[:, None, :]]
    taps = taps.reshape(drawn, -1)
    taps = taps[taps.std(axis=1) > _LEAST_DEVIATION]
    if taps.shape[0] < count:
        raise ValueError(
            f"images must vary: of {drawn} patches of {side} x {side} pixels only {taps.shape[0]} do, "
            f"and {count} are needed"
        )
    taps -= taps.mean(axis=1, keepdims=True)
    taps /= np.linalg.norm(taps, axis=1, keepdims=True)
    chosen = [0]
    nearest = np.abs(taps @ taps[0])
    while len(chosen) < count:
        # What was chosen has cosine 1 with itself, up to rounding; duplicates come last.
        nearest[chosen[-1]] = 2.0
        chosen.append(int(np.argmin(nearest)))
        np.maximum(nearest, np.abs(taps @ taps[chosen[-1]]), out=nearest)
    return np.ascontiguousarray(taps[chosen].reshape(count, side, side))
