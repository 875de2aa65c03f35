"""Draws of rows with probabilities equal to their weights, whatever the order in which rows are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowSampler"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class RowSampler:
    """Rows along one random projection, their weights added up: draws are quantiles there.

    Parameters
    ----------
    rows : ndarray, (n, d)
        At least one.
    weights : ndarray, (n,)
        Positive.
    rng : numpy.random.Generator
        Draws the projection.
    """

    def __init__(self, rows: Array, weights: Array, rng: np.random.Generator) -> None:
        self._order = np.argsort(rows @ rng.standard_normal(rows.shape[1]), kind="stable")
        self._cumulated = np.cumsum(weights[self._order])

    def draw(self, count: int, rng: np.random.Generator) -> Index:
        """Draw `count` rows independently of each other, repetitions included."""
        return self._at(rng.random(count))

    def spread(self, count: int, rng: np.random.Generator) -> Index:
        """Return at most `count` different rows, evenly spaced in weight; all rows where they weigh no more."""
        if self._cumulated[-1] <= count:
            return np.arange(self._order.size)
        return np.unique(self._at((np.arange(count) + rng.random()) / count))

    def every_other(self, rows: Index) -> Index:
        """Return positions in `rows`, different ones, of every other one along the projection."""
        place = np.empty_like(self._order)
        place[self._order] = np.arange(self._order.size)
        return np.asarray(np.argsort(place[rows])[::2])

    def _at(self, quantiles: Array) -> Index:
        place = np.searchsorted(self._cumulated, quantiles * self._cumulated[-1], side="right")
        return np.asarray(self._order[np.minimum(place, self._order.size - 1)])
