r"""The nearest of some rows to one row, and the mean of what they hold, weighted by inverse distance.

Rows are looked at side by side, as many as a vector of single precision has lanes: `places` holds them block by block,
each block column by column. Single precision finds a few more candidates than are wanted; they are ordered by their
distances in double precision, those at equal distance by place. Cost: n d operations on vectors of 16 lanes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.network_rows import bounded
from stridiag._kernels.vectors import BYTES, every, less, load, splat, store

__all__ = ["CANDIDATES", "LANES", "add_weighted", "nearest_row"]

Array = NDArray[Any]

LANES = BYTES // 4
"""Rows in a block."""

CANDIDATES = 4
"""How many more rows than wanted are compared in double precision."""


@inlined
def _sorted_in(distances: Array, places: Array, count: int, distance: float, place: int) -> None:
    """Put a row into a list in ascending order of distance and place, of which the last one falls out."""
    k = count - 1
    while k > 0 and (distances[k - 1] > distance or (distances[k - 1] == distance and places[k - 1] > place)):
        distances[k] = distances[k - 1]
        places[k] = places[k - 1]
        k -= 1
    distances[k] = distance
    places[k] = place


@kernel
def nearest_row(
    blocks: Array,
    rows: Array,
    centre: Array,
    metric: Array,
    x: Array,
    wide: int,
    query: Array,
    single: Array,
    rough: Array,
    candidates: Array,
    distances: Array,
    places: Array,
) -> None:
    """Set `distances` and `places` to those of the rows that are nearest to one, nearest first.

    Parameters
    ----------
    blocks : float32, (blocks * d * LANES,)
        ``rows - centre``, as the module says; what is left over of the last block lies far away.
    rows : (n, d)
        In the coordinates of the metric.
    centre : (d,)
        Mean of the rows: what is left when it is taken off loses no more digits than it must.
    metric : (1, d) or (d, d)
        What `x` is multiplied by, entry by entry or as a matrix.
    x : (at least d,)
        A row in other coordinates.
    wide : int
        How many candidates, at least as many as are wanted and at most n.
    query, single, rough, candidates
        Scratch: (d,), float32 (d,), float32 (LANES + wide,), int64 (wide,).
    distances, places : (wide,), int64 (wide,)
        As many as are wanted at the front.
    """
    n, d = rows.shape
    for j in range(d):
        query[j] = 0.0
    if metric.shape[0] == 1 and d > 1:
        for j in range(d):
            query[j] = x[j] * metric[0, j]
    else:
        for i in range(d):
            for j in range(d):
                query[j] += x[i] * metric[i, j]
    for j in range(d):
        single[j] = np.float32(query[j] - centre[j])
    worst = LANES + wide - 1
    for k in range(wide):
        rough[LANES + k] = np.inf
        # What stays where the row is no number.
        candidates[k] = k
    for first in range(0, n, LANES):
        at = first * d
        gap = load(blocks, at) - splat(single, 0)
        total = gap * gap
        for j in range(1, d):
            gap = load(blocks, at + j * LANES) - splat(single, j)
            total = total + gap * gap
        if every(less(splat(rough, worst), total)):
            continue
        store(rough, 0, total)
        for k in range(min(LANES, n - first)):
            if rough[k] < rough[worst]:
                _sorted_in(rough[LANES:], candidates, wide, rough[k], first + k)
    for k in range(wide):
        distances[k] = np.inf
        places[k] = 0
    for k in range(wide):
        place = candidates[k]
        square = 0.0
        for j in range(d):
            gap_of = rows[place, j] - query[j]
            square += gap_of * gap_of
        _sorted_in(distances, places, wide, math.sqrt(square), place)


@kernel
def add_weighted(
    distances: Array,
    places: Array,
    count: int,
    residuals: Array,
    power: float,
    alpha: float,
    lower: Array,
    upper: Array,
    y: Array,
) -> None:
    """Add to `y`, (q,), `alpha` times the mean of the nearest rows' residuals, and keep it within bounds.

    Weights are distances to minus `power`; repetitions of a row share its weight: they are a thousandth as far as the
    last neighbour, not nearer.
    """
    last = max(distances[count - 1], np.finfo(np.float64).tiny)
    weight = 0.0
    for k in range(count):
        weight += bounded(distances[k] / last, 1e-3, np.inf) ** -power
    for k in range(count):
        share = alpha * (bounded(distances[k] / last, 1e-3, np.inf) ** -power / weight)
        for j in range(y.size):
            y[j] += share * residuals[places[k], j]
    for j in range(y.size):
        y[j] = bounded(y[j], lower[j], upper[j])
