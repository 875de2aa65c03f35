r"""Residual memory: what the network got wrong at neighbours, by leave-one-out residuals.

A smooth network leaves structure in its residuals where the target is rough or rows nearly repeat. The memory keeps the
residual e / (1 - h) that each training row has in a fit without it, and adds to a prediction

.. math:: \alpha \sum_{k \in N(t)} w_k\, \frac{e_k}{1 - h_k}, \qquad w_k \propto \lVert t - t_k \rVert^{-p},

over the nearest training rows N(t). In-sample residuals would be too small exactly where leverage is high, and say that
there is nothing to correct. Of many rows the leverages h_k are sketched where they are small, and 1 - h_k is good to a
twentieth (see `leverages`). How many neighbours (5 or 20), p (1, 2, 4) and the metric (each input times its relevance
r, or all times M^(1/2); see `relevance`) are chosen at some of the training rows, their own residual left out; alpha is
the least-squares coefficient there, clipped to [0, 1]. It is an estimate from rows drawn like the training rows: on a
shifted test set it can be wrong.

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

__all__ = ["TREE_COLUMNS", "Choice", "Memory", "Near", "choose", "nearest"]

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
    kept = np.empty((rows.shape[0], rows.shape[1] + 1), np.float32)
    np.subtract(rows, centre, out=kept[:, :-1], casting="same_kind")
    np.einsum("ij,ij->i", kept[:, :-1], kept[:, :-1], out=kept[:, -1])
    step = max(1, _BLOCK // rows.shape[0])
    scratch = np.empty((min(step, queries.shape[0]), rows.shape[0]), np.float32)
    # More candidates than wanted: they are found in single precision and ordered in double.
    wide = min(rows.shape[0], count + 4)
    for start in range(0, queries.shape[0], step):
        block = slice(start, start + step)
        asked = np.ones((min(step, queries.shape[0] - start), kept.shape[1]), np.float32)
        asked[:, :-1] = -2.0 * (queries[block] - centre)
        square = np.matmul(asked, kept.T, out=scratch[: asked.shape[0]])
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
        near = [Near.of(rows, metric, judges) for metric in metrics]
        return cls.of(choose(residuals, weights, near, judges), residuals)

    @classmethod
    def of(cls, choice: Choice, residuals: Array) -> Memory:
        """Return the memory of a choice that was made, for residuals as in `fit`."""
        near = choice.near
        return cls(near.rows, near.metric, residuals, choice.neighbours, choice.power, choice.alpha, choice.gain)

    def left_out(self, judges: Index) -> Array:
        """Return the correction at training rows without their own residuals, (s, q)."""
        near = Near.of(self.rows, np.ones(self.rows.shape[1]), judges)
        return self._sum(near.distance[:, : self.neighbours], near.place[:, : self.neighbours])

    def correction(self, rows: Array) -> Array:
        """Return what to add to predictions for transformed rows, (m, q)."""
        return self._sum(*nearest(self.rows, _measured(rows, self.metric), self.neighbours))

    def _sum(self, distance: Array, place: Index) -> Array:
        result = _mean(_weights(distance, self.power), self.residuals[place])
        result *= self.alpha
        return np.asarray(result)


class Near(NamedTuple):
    """Which training rows are nearest to some of them, themselves left out.

    Parameters
    ----------
    rows : ndarray, (n, d)
        The training rows in the coordinates of the metric.
    metric : ndarray, (d,) or (d, d)
        What they were multiplied by.
    distance, place : ndarray, (s, count)
        Nearest first, as many as a memory may read.
    """

    rows: Array
    metric: Array
    distance: Array
    place: Index

    @classmethod
    def of(cls, rows: Array, metric: Array, judges: Index) -> Near:
        """Find them for the rows `judges`."""
        return cls._between(_measured(rows, metric), metric, judges)

    @classmethod
    def _between(cls, rows: Array, metric: Array, judges: Index) -> Near:
        return cls(rows, metric, *_others(rows, judges, min(max(NEIGHBOURS), rows.shape[0] - 1)))

    def among(self, judges: Index, known: Index) -> Near:
        """Return those of all judges, of which the ones at the places `known` are these."""
        new = np.ones(judges.size, np.bool_)
        new[known] = False
        found = Near._between(self.rows, self.metric, judges[new])
        distance, place = (np.empty((judges.size, part.shape[1]), part.dtype) for part in found[2:])
        distance[known], place[known] = self.distance, self.place
        distance[new], place[new] = found.distance, found.place
        return Near(self.rows, self.metric, distance, place)


class Choice(NamedTuple):
    """What a memory is to be, and what it does for its judges.

    Parameters
    ----------
    gain : float
        Share by which it lowers their root mean squared error.
    alpha, near, neighbours, power
        As for `Memory`; `near` holds the metric.
    guess : ndarray, (s, q)
        The corrections of the judges.
    """

    gain: float
    alpha: float
    near: Near
    neighbours: int
    power: float
    guess: Array


def choose(residuals: Array, weights: Array, candidates: list[Near], judges: Index) -> Choice:
    """Choose metric, number of neighbours, power and alpha at some training rows.

    Parameters
    ----------
    residuals, weights : ndarray, (n, q) and (n,)
        Of all training rows.
    candidates : list of Near
        What is nearest to the judges, for each metric that is tried.
    judges : ndarray of int64, (s,)
        Numbers of those rows.
    """
    own, share = residuals[judges], weights[judges, None]
    before = least = float((share * own**2).sum())
    most = candidates[0].place.shape[1]
    best = Choice(0.0, 0.0, candidates[0], min(min(NEIGHBOURS), most), POWERS[0], np.zeros_like(own))
    for near in candidates:
        values = residuals[near.place]
        for count in sorted({min(k, most) for k in NEIGHBOURS}):
            for power in POWERS:
                guess = _mean(_weights(near.distance[:, :count], power), values[:, :count])
                square = float((share * guess**2).sum())
                product = float((share * guess * own).sum())
                alpha = min(max(product / square, 0.0), 1.0) if square > 0.0 else 0.0
                after = before - 2.0 * alpha * product + alpha * alpha * square
                if after < least:
                    least = after
                    best = Choice(
                        1.0 - float(np.sqrt(max(after, 0.0) / before)), alpha, near, count, power, alpha * guess
                    )
    return best


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
