r"""Residual memory: what the network got wrong at neighbours, by leave-one-out residuals.

A smooth network leaves structure in its residuals where the target is rough or rows nearly repeat. The memory keeps the
residual e / (1 - h) that each training row has in a fit without it, and adds to a prediction

.. math:: \alpha \sum_{k \in N(t)} w_k\, \frac{e_k}{1 - h_k}, \qquad w_k \propto \lVert t - t_k \rVert^{-p},

over the nearest training rows N(t). In-sample residuals would be too small exactly where leverage is high, and say that
there is nothing to correct. Of many rows the leverages h_k are sketched where they are small, good to a twentieth of
1 - h_k (see `leverages`). How many neighbours (5 or 20), p (1, 2, 4) and the metric (inputs as they are, each times
its relevance r, or M^(1/2); see `relevance`) are chosen at some of the training rows, their own residual left out;
alpha is the least-squares coefficient there, clipped to [0, 1]. It is an estimate from rows drawn like the training
rows: on a shifted test set it can be wrong.

Cost: the leverages of all rows, a k-d tree or chunks of distances; it keeps n (d + q) numbers: the
training rows themselves. A model that must not hold training rows must not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.parts import require_array
from stridiag.nn.storage import storable

__all__ = ["TREE_COLUMNS", "Memory", "nearest"]

Array = NDArray[Any]
Index = NDArray[np.int64]

NEIGHBOURS = (5, 20)
POWERS = (1.0, 2.0, 4.0)
# Share by which the leave-one-out error has to fall.
LEAST_GAIN = 0.005
TREE_COLUMNS = 8
"""With more columns than this a k-d tree looks at nearly all rows, and one product is faster."""
_BLOCK = 1 << 21
# Entries that are compared at once where the least of many are wanted.
_GROUP = 16


def nearest(rows: Array, queries: Array, count: int) -> tuple[Array, Index]:
    """Return distances and places of the `count` nearest rows of each query, both (m, count), nearest first.

    Parameters
    ----------
    rows, queries : ndarray, (n, d) and (m, d)
        With 0 < count <= n.
    """
    if rows.shape[1] <= TREE_COLUMNS:
        from scipy.spatial import cKDTree

        distance, place = cKDTree(rows).query(queries, count)
        return np.reshape(distance, (-1, count)), np.reshape(place, (-1, count))
    distance, place = np.empty((queries.shape[0], count)), np.empty((queries.shape[0], count), np.int64)
    centre = rows.mean(axis=0)
    # Squared lengths are one more column: one product gives what distances are ordered by, |k|^2 - 2 k'a.
    kept = np.empty((rows.shape[1] + 1, rows.shape[0]), np.float32)
    np.subtract(rows.T, centre[:, None], out=kept[:-1], casting="same_kind")
    np.einsum("ij,ij->j", kept[:-1], kept[:-1], out=kept[-1])
    step = max(1, _BLOCK // rows.shape[0])
    scratch = np.empty((min(step, queries.shape[0]), rows.shape[0]), np.float32)
    # More candidates than wanted: they are found in single precision and ordered in double.
    wide = min(rows.shape[0], count + 4)
    for start in range(0, queries.shape[0], step):
        block = slice(start, start + step)
        asked = np.ones((min(step, queries.shape[0] - start), kept.shape[0]), np.float32)
        asked[:, :-1] = -2.0 * (queries[block] - centre)
        square = np.matmul(asked, kept, out=scratch[: asked.shape[0]])
        near = _least(square, wide)
        apart = rows[near]
        apart -= queries[block, None]
        exact = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
        order = np.lexsort((near, exact), axis=1)[:, :count]
        distance[block] = np.take_along_axis(exact, order, axis=1)
        place[block] = np.take_along_axis(near, order, axis=1)
    return distance, place


def _least(square: Array, count: int) -> Index:
    """Return where the `count` least entries of each row are, in no order."""
    m, n = square.shape
    groups = n // _GROUP
    if groups < 4 * count:
        return np.asarray(np.argpartition(square, count - 1, axis=1)[:, :count])
    # The least entries are in those groups whose minima are least: one pass at the speed of memory, few comparisons.
    whole = groups * _GROUP
    minima = square[:, :whole].reshape(m, _GROUP, groups).min(axis=1)
    found = np.argpartition(minima, count - 1, axis=1)[:, :count]
    members = (found[:, None, :] + groups * np.arange(_GROUP)[:, None]).reshape(m, -1)
    members = np.concatenate((members, np.tile(np.arange(whole, n), (m, 1))), axis=1)
    values = np.take_along_axis(square, members, axis=1)
    return np.asarray(np.take_along_axis(members, np.argpartition(values, count - 1, axis=1)[:, :count], axis=1))


def _measured(rows: Array, metric: Array) -> Array:
    """Return rows in coordinates whose Euclidean distance is that of the metric."""
    return np.asarray(rows * metric if metric.ndim == 1 else rows @ metric)


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Training rows and their leave-one-out residuals.

    Parameters
    ----------
    rows : ndarray, (n, d)
        Transformed training rows in the coordinates of the metric.
    metric : ndarray, (d,) or (d, d)
        What rows are multiplied by before distances are taken.
    residuals : ndarray, (n, q)
        Leave-one-out residuals.
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
    metric: Array
    residuals: Array
    neighbours: int
    power: float
    alpha: float
    gain: float

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.residuals.ndim != 2:
            raise StructureError(f"rows and residuals have two axes, got {self.rows.shape}, {self.residuals.shape}")
        n, d = self.rows.shape
        require_array(self.rows, "rows", (n, d))
        require_array(self.metric, "metric", (d,) * (1 if self.metric.ndim == 1 else 2))
        require_array(self.residuals, "residuals", (n, self.residuals.shape[1]))
        if not 1 <= self.neighbours <= n:
            raise StructureError(f"neighbours must be between 1 and {n}, got {self.neighbours}")

    @classmethod
    def fit(cls, rows: Array, residuals: Array, weights: Array, metrics: tuple[Array, ...], judges: Index) -> Memory:
        """Choose metric, number of neighbours, power and alpha.

        Parameters
        ----------
        rows, residuals : ndarray, (n, d) and (n, q)
            Transformed training rows and their leave-one-out residuals, at least two.
        weights : ndarray, (n,)
            Of the rows.
        metrics : tuple of ndarray, (d,) or (d, d)
            Those that are tried.
        judges : ndarray of int64
            The rows at which the choice is made, each without its own residual.
        """
        return cls.judged(rows, residuals, weights, metrics, judges)[0]

    @classmethod
    def judged(
        cls, rows: Array, residuals: Array, weights: Array, metrics: tuple[Array, ...], judges: Index
    ) -> tuple[Memory, Array]:
        """Do what `fit` does; return also what `left_out` says of the judges."""
        most = min(max(NEIGHBOURS), rows.shape[0] - 1)
        own, share = residuals[judges], weights[judges, None]
        before = float((share * own**2).sum())
        nothing = np.zeros_like(own)
        best = _Choice(before, 0.0, metrics[0], min(min(NEIGHBOURS), most), POWERS[0], nothing)
        for metric in metrics:
            measured = _measured(rows, metric)
            distance, place = _others(measured, judges, most)
            near = residuals[place]
            for count in sorted({min(k, most) for k in NEIGHBOURS}):
                for power in POWERS:
                    guess = _mean(_weights(distance[:, :count], power), near[:, :count])
                    square = float((share * guess**2).sum())
                    product = float((share * guess * own).sum())
                    alpha = min(max(product / square, 0.0), 1.0) if square > 0.0 else 0.0
                    after = before - 2.0 * alpha * product + alpha * alpha * square
                    if after < best.after:
                        best = _Choice(after, alpha, metric, count, power, alpha * guess)
        gain = 1.0 - float(np.sqrt(max(best.after, 0.0) / before)) if before > 0.0 else 0.0
        metric = best.metric
        memory = cls(_measured(rows, metric), metric, residuals, best.neighbours, best.power, best.alpha, gain)
        return memory, best.guess

    def left_out(self, judges: Index) -> Array:
        """Return the correction at training rows without their own residuals, (s, q)."""
        return self._sum(*_others(self.rows, judges, self.neighbours))

    def correction(self, rows: Array) -> Array:
        """Return what to add to predictions for transformed rows, (m, q)."""
        return self._sum(*nearest(self.rows, _measured(rows, self.metric), self.neighbours))

    def _sum(self, distance: Array, place: Index) -> Array:
        result = _mean(_weights(distance, self.power), self.residuals[place])
        result *= self.alpha
        return np.asarray(result)


class _Choice(NamedTuple):
    """Sum of squares that is left, and what leaves it; the corrections of the judges."""

    after: float
    alpha: float
    metric: Array
    neighbours: int
    power: float
    guess: Array


def _mean(weights: Array, near: Array) -> Array:
    """Return the weighted sums of (m, count) rows of residuals, (m, count, q), as products of small matrices."""
    return np.asarray((weights[:, None, :] @ near)[:, 0])


def _others(rows: Array, own: Index, count: int) -> tuple[Array, Index]:
    """Return distances and places of the nearest rows of some of them, themselves left out."""
    distance, place = nearest(rows, rows[own], count + 1)
    itself = place == own[:, None]
    # Equal rows may have crowded the row itself out of its list: then the last entry goes.
    itself[~itself.any(axis=1), -1] = True
    return distance[~itself].reshape(-1, count), place[~itself].reshape(-1, count)


def _weights(distance: Array, power: float) -> Array:
    # Repetitions of a row share its weight: they are a thousandth as far as the last neighbour, not nearer.
    last = np.maximum(distance[:, -1:], np.finfo(np.float64).tiny)
    w = np.maximum(distance / last, 1e-3) ** -power
    return np.asarray(w / w.sum(axis=1, keepdims=True))
