r"""Residual memory: what the network got wrong at neighbours, by exact leave-one-out residuals.

A smooth network leaves structure in its residuals where the target is rough or rows nearly repeat. The memory keeps the
residual e / (1 - h) that each training row has in a fit without it, and adds to a prediction

.. math:: \alpha \sum_{k \in N(t)} w_k\, \frac{e_k}{1 - h_k}, \qquad w_k \propto \lVert t - t_k \rVert^{-p},

over the nearest training rows N(t). In-sample residuals would be too small exactly where leverage is high, and say that
there is nothing to correct. How many neighbours (5 or 20), p (1, 2, 4) and the metric (inputs as they are, or each times its
relevance) are chosen on at most 1,500 training rows, their own residual left out; alpha is the least-squares coefficient
there, clipped to [0, 1]. It is an estimate from rows drawn like the training rows: on a shifted test set it can be wrong.

Cost: the leverages of all rows (n D^2 flops), a k-d tree or chunks of distances; it keeps n (d + q) numbers: the training
rows themselves. A model that must not hold training rows must not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Memory", "Metric", "nearest"]

Array = NDArray[Any]
Index = NDArray[np.int64]

NEIGHBOURS = (5, 20)
POWERS = (1.0, 2.0, 4.0)
# Share by which the leave-one-out error has to fall.
LEAST_GAIN = 0.005
_JUDGES = 1500
# A k-d tree looks at most rows of a long list once there are this many columns.
_TREE_COLUMNS = 8
_BLOCK = 1 << 22


def nearest(rows: Array, queries: Array, count: int) -> tuple[Array, Index]:
    """Return distances and places of the `count` nearest rows of each query, both (m, count), nearest first.

    Parameters
    ----------
    rows, queries : ndarray, (n, d) and (m, d)
        With 0 < count <= n.
    """
    if rows.shape[1] <= _TREE_COLUMNS or _low_dimensional(rows):
        distance, place = cKDTree(rows).query(queries, count)
        return distance.reshape(-1, count), place.reshape(-1, count)
    distance, place = np.empty((queries.shape[0], count)), np.empty((queries.shape[0], count), np.int64)
    centre = rows.mean(axis=0)
    kept = (rows - centre).astype(np.float32)
    lengths = np.einsum("ij,ij->i", kept, kept)
    step = max(1, _BLOCK // rows.shape[0])
    # More candidates than wanted: they are found in single precision and ordered in double.
    wide = min(rows.shape[0], count + 4)
    for start in range(0, queries.shape[0], step):
        block = slice(start, start + step)
        asked = (queries[block] - centre).astype(np.float32)
        square = asked @ kept.T
        square *= -2.0
        square += lengths
        near = np.argpartition(square, wide - 1, axis=1)[:, :wide] if wide < rows.shape[0] else None
        if near is None:
            near = np.broadcast_to(np.arange(wide), (asked.shape[0], wide))
        exact = np.sqrt(np.square(rows[near] - queries[block, None]).sum(axis=2))
        order = np.lexsort((near, exact), axis=1)[:, :count]
        distance[block] = np.take_along_axis(exact, order, axis=1)
        place[block] = np.take_along_axis(near, order, axis=1)
    return distance, place


def _low_dimensional(rows: Array) -> bool:
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """How neighbours are weighted."""

    scale: Array
    neighbours: int
    power: float


def _weights(distance: Array, power: float) -> Array:
    # Exact repetitions share all the weight; the floor is far below any other distance.
    floor = 1e-9 + 1e-3 * distance[:, -1:]
    w = (np.maximum(distance, floor) / np.maximum(distance[:, -1:], 1e-9)) ** -power
    return np.asarray(w / w.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Training rows and their leave-one-out residuals.

    Parameters
    ----------
    rows : ndarray, (n, d)
        Transformed training rows times `scale`.
    scale : ndarray, (d,)
        What the columns of a query are multiplied by.
    residuals : ndarray, (n, q)
        Exact leave-one-out residuals.
    neighbours : int
        How many are read.
    power : float
        Of the inverse distance.
    alpha : float
        Between 0 and 1.
    gain : float
        Share by which the memory lowered the leave-one-out error of the training rows.
    """

    rows: Array
    scale: Array
    residuals: Array
    neighbours: int
    power: float
    alpha: float
    gain: float

    @classmethod
    def fit(cls, rows: Array, residuals: Array, weights: Array, scales: tuple[Array, ...], judges: Index) -> Memory:
        """Choose metric, number of neighbours and power; see the module.

        Parameters
        ----------
        rows, residuals : ndarray, (n, d) and (n, q)
            Transformed training rows and their leave-one-out residuals, at least two.
        weights : ndarray, (n,)
            Of the rows.
        scales : tuple of ndarray, (d,)
            The metrics that are tried.
        judges : ndarray of int64
            The rows on whose residuals the choice is made; the first 1,500 of them are used.
        """
        judges = judges[:_JUDGES]
        most = min(max(NEIGHBOURS), rows.shape[0] - 1)
        own, share = residuals[judges], weights[judges, None]
        best: tuple[float, float, Array, int, float] | None = None
        before = float((share * own**2).sum())
        for scale in scales:
            scaled = rows * scale
            distance, place = nearest(scaled, scaled[judges], most + 1)
            distance, place = _without_self(distance, place, judges)
            for count in sorted({min(k, most) for k in NEIGHBOURS}):
                near = residuals[place[:, :count]]
                for power in POWERS:
                    guess = np.einsum("ij,ijk->ik", _weights(distance[:, :count], power), near)
                    square = float((share * guess**2).sum())
                    product = float((share * guess * own).sum())
                    alpha = min(max(product / square, 0.0), 1.0) if square > 0.0 else 0.0
                    after = before - 2.0 * alpha * product + alpha * alpha * square
                    if best is None or after < best[0]:
                        best = after, alpha, scale, count, power
        assert best is not None
        after, alpha, scale, count, power = best
        gain = 1.0 - np.sqrt(max(after, 0.0) / before) if before > 0.0 else 0.0
        return cls(rows * scale, scale, residuals, count, power, alpha, float(gain))

    def correction(self, rows: Array) -> Array:
        """Return what to add to predictions for transformed rows, (m, q)."""
        distance, place = nearest(self.rows, rows * self.scale, self.neighbours)
        result = np.einsum("ij,ijk->ik", _weights(distance, self.power), self.residuals[place])
        result *= self.alpha
        return np.asarray(result)


def _without_self(distance: Array, place: Index, own: Index) -> tuple[Array, Index]:
    """Take each query itself off its list (or the last entry, where equal rows crowded it out)."""
    itself = place == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = place.shape[0], place.shape[1] - 1
    return distance[~itself].reshape(shape), place[~itself].reshape(shape)
