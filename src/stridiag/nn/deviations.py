"""Rows and targets as deviations from their means: what centred products are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats, require_finite

__all__ = ["Deviations", "deviations", "mirror"]

Array = NDArray[Any]

# Rows of a matrix that are mirrored at once.
_TILE = 512


class Deviations(NamedTuple):
    """Weight and means of some rows, and deviations from them, times the roots of the weights."""

    weight: float
    row_mean: Array
    target_mean: Array
    rows: Array
    targets: Array


def deviations(rows: ArrayLike, targets: ArrayLike, weights: ArrayLike | None) -> Deviations:
    """Check rows, targets and weights, and centre them; see `Statistics.from_rows`."""
    h = as_floats(rows, "rows")
    z = as_floats(targets, "targets")
    z = z[:, None] if z.ndim == 1 else z
    if h.ndim != 2 or z.ndim != 2 or h.shape[0] != z.shape[0] or not h.shape[0]:
        raise ValueError(f"rows and targets must be (n, p) and (n, q) with n > 0, got {h.shape} and {z.shape}")
    d = np.ones(h.shape[0]) if weights is None else as_floats(weights, "weights")
    if d.shape != h.shape[:1]:
        raise ValueError(f"weights must have shape {h.shape[:1]}, got {d.shape}")
    for array, name in ((h, "rows"), (z, "targets"), (d, "weights")):
        require_finite(array, name)
    with np.errstate(over="ignore"):
        total = float(d.sum())
    if not (d.min() >= 0.0 and 0.0 < total < np.inf):
        raise ValueError(
            f"weights must be nonnegative, not all zero and of finite sum, got minimum {d.min()}, sum {total}"
        )
    some = d > 0.0
    if not some.all():
        h, z, d = h[some], z[some], d[some]
    share = d / total
    with np.errstate(over="ignore", invalid="ignore"):
        # Deviations from the first row: exactly 0 in a constant column, where those from a rounded mean are not.
        a, b = h - h[0], z - z[0]
        h_shift, z_shift = share @ a, share @ b
        a -= h_shift
        b -= z_shift
        if d.min() != 1.0 or d.max() != 1.0:
            root = np.sqrt(d)[:, None]
            a *= root
            b *= root
    return Deviations(total, h[0] + h_shift, z[0] + z_shift, a, b)


def mirror(square: Array) -> None:
    """Copy the lower triangle of a matrix to its upper one, by blocks that fit the cache."""
    for start in range(0, square.shape[0], _TILE):
        rows = slice(start, start + _TILE)
        corner = square[rows, rows]
        corner[...] = np.tril(corner) + np.tril(corner, -1).T
        square[:start, rows] = square[rows, :start].T
