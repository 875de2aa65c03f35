r"""Correlation of images with small filters, rectified both ways and pooled to root mean squares.

For one image P, padded to (h + r - 1) x s with s = w + c - 1 and read row by row as one vector, a filter F of r x c
taps is a matrix of r c *constant* diagonals,

.. math:: v_i = \sum_{a < r,\, b < c} F_{ab}\, P_{i + a s + b},

of which the entries i = y s + x with x < w are the map. Then, for each window of the grid,

.. math:: o^\pm = \Bigl(\tfrac{1}{m^2} \sum_{\text{window}} \max(\pm v - t, 0)^2\Bigr)^{1/2} .

Each diagonal passes over the whole vector, four at a time, so that all loops are long and nothing leaves the first
cache. Windows are summed by rows first. Cost: 2 h s r c flops for the map of one filter, 4 h w ceil(m / stride) for
the sums of its rows.

A call makes images ``first`` to ``last - 1``, and nothing depends on that range: images are shared out among threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["pooled_patches"]

Array = NDArray[Any]


@inlined
def _pad(image: Array, taps_down: int, taps_across: int, wrapped: bool, padded: Array) -> None:
    """Write an image, its margins taken from the other side or 0, with the filter's middle on each pixel."""
    height, width = image.shape
    stride = width + taps_across - 1
    above, before = (taps_down - 1) // 2, (taps_across - 1) // 2
    padded[:] = 0.0
    for i in range(height + taps_down - 1):
        y = i - above
        if wrapped or 0 <= y < height:
            for j in range(stride):
                x = j - before
                if wrapped or 0 <= x < width:
                    padded[i * stride + j] = image[y % height, x % width]


@inlined
def _correlate(padded: Array, taps: Array, stride: int, values: Array) -> None:
    """Write the sum of all diagonals: `values` has one entry for each pixel of the rows, margins included."""
    size, across = values.size, taps.shape[1]
    values[:] = 0.0
    for a in range(taps.shape[0]):
        b = 0
        while b + 4 < across:
            at = a * stride + b
            w0, w1, w2, w3 = taps[a, b], taps[a, b + 1], taps[a, b + 2], taps[a, b + 3]
            p0, p1 = padded[at : at + size], padded[at + 1 : at + 1 + size]
            p2, p3 = padded[at + 2 : at + 2 + size], padded[at + 3 : at + 3 + size]
            for i in range(size):
                values[i] += w0 * p0[i] + w1 * p1[i] + w2 * p2[i] + w3 * p3[i]
            b += 4
        # One to four are left: those beyond the filter's width have weight 0 and read what is at hand.
        at = a * stride + b
        more = across - b
        zero = values.dtype.type(0)
        w0 = taps[a, b]
        w1 = taps[a, b + 1] if more > 1 else zero
        w2 = taps[a, b + 2] if more > 2 else zero
        w3 = taps[a, b + 3] if more > 3 else zero
        p0 = padded[at : at + size]
        if more == 1:
            for i in range(size):
                values[i] += w0 * p0[i]
        else:
            p1 = padded[at + 1 : at + 1 + size]
            s2, s3 = at + (2 if more > 2 else 0), at + (3 if more > 3 else 0)
            p2, p3 = padded[s2 : s2 + size], padded[s3 : s3 + size]
            for i in range(size):
                values[i] += w0 * p0[i] + w1 * p1[i] + w2 * p2[i] + w3 * p3[i]


@inlined
def _rectify(values: Array, threshold: Any, up: Array, down: Array) -> None:
    """Write the squares of both signs beyond the threshold."""
    zero = values.dtype.type(0)
    for i in range(values.size):
        plus, minus = max(values[i] - threshold, zero), max(-values[i] - threshold, zero)
        up[i] = plus * plus
        down[i] = minus * minus


@inlined
def _add_shifted(source: Array, count: int, distance: int, sums: Array) -> None:
    """Write ``sums[i] = source[i] + source[i + distance] + ...``, `count` terms: diagonals of ones."""
    size = sums.size
    j = 1
    if count >= 4:
        s0, s1 = source[:size], source[distance : distance + size]
        s2, s3 = source[2 * distance : 2 * distance + size], source[3 * distance : 3 * distance + size]
        for i in range(size):
            sums[i] = s0[i] + s1[i] + s2[i] + s3[i]
        j = 4
    else:
        sums[:] = source[:size]
    while j + 4 <= count:
        at = j * distance
        s0, at = source[at : at + size], at + distance
        s1, at = source[at : at + size], at + distance
        s2, at = source[at : at + size], at + distance
        s3 = source[at : at + size]
        for i in range(size):
            sums[i] += s0[i] + s1[i] + s2[i] + s3[i]
        j += 4
    while j < count:
        at = j * distance
        s0 = source[at : at + size]
        for i in range(size):
            sums[i] += s0[i]
        j += 1


@kernel
def pooled_patches(
    images: Array,
    filters: Array,
    wrapped: bool,
    threshold: Any,
    window: int,
    step: int,
    start: Array,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Pool the maps of all filters of some images.

    Parameters
    ----------
    images : (n, h, w)
    filters : (K, r, c)
        Of the same type.
    wrapped : bool
        Whether margins come from the other side of the image instead of being 0.
    threshold : number of the same type
        t, at least 0.
    window, step : int
        Side of a window, and distance of two.
    start : (2,) int64
        Row and column where the first window begins.
    out : (n, K, 2, rows, columns)
        Overwritten: both signs of each filter on the grid of windows.
    first, last : int
        Which images.
    """
    height, width = images.shape[1:]
    count, down, across = filters.shape
    stride = width + across - 1
    # The last diagonal ends this far behind the last row.
    padded = np.zeros((height + down - 1) * stride + across - 1, images.dtype)
    values = np.empty(height * stride, images.dtype)
    rows, columns = out.shape[3:]
    squares = np.empty((2, values.size), images.dtype)
    tall = np.empty((height - window + 1) * stride, images.dtype)
    sums = np.empty(tall.size - window + 1, images.dtype)
    share = images.dtype.type(1.0 / (window * window))
    for n in range(first, last):
        _pad(images[n], down, across, wrapped, padded)
        for k in range(count):
            _correlate(padded, filters[k], stride, values)
            _rectify(values, threshold, squares[0], squares[1])
            for sign in range(2):
                _add_shifted(squares[sign], window, stride, tall)
                _add_shifted(tall, window, 1, sums)
                for g in range(rows):
                    at = (start[0] + g * step) * stride + start[1]
                    for c in range(columns):
                        out[n, k, sign, g, c] = np.sqrt(sums[at + c * step] * share)
