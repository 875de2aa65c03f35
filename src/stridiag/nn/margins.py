r"""Scores of classes that may exceed their targets: least squares again, with other targets and the same matrix.

A score of 1.4 for the true class is no error, yet least squares pays for it as for 0.6. What should be small is the
squared hinge, which counts only what a score falls short of,

.. math:: \min_{C, T \in \mathcal T} \; \| H C - T \|^2 + \alpha n \|C\|^2 ,

where the targets' set T allows any number of at least z at the true class and at most z elsewhere. For fixed C the
best targets are :math:`z + s(HC)` with s the surplus of the scores, for fixed T the readout is one more solution with
the factor that is there. Each round of both costs a pass over the rows. The second half is taken twice as far as that,
:math:`T \leftarrow T + 2 (z + s(HC) - T)`, which takes half as many rounds.

A second readout, of part of the rows, can go along: it says of the other rows what a fit without them would. Its
solutions use the matrix of all rows, in proportion, which has seen no target but holds scores of the other rows back:
of one row a share of 1 - h of the change is left, h being its leverage. `Aim.freed` divides by the mean of that.

References: Y.-C. Ho, R. L. Kashyap, "An algorithm for linear inequalities and its applications", IEEE Trans.
Electronic Computers 14 (1965); S. Xiang et al., "Discriminative least squares regression for multiclass
classification", IEEE Trans. Neural Networks 23 (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Aim", "Sums", "exceed", "surplus"]

Array = NDArray[Any]
Rows = tuple[Array, Array, Array]

# How far targets are moved, in units of the way to the best ones.
_STRIDE = 2.0


class Sums(NamedTuple):
    """What a least-squares solution knows of its rows: total weight, means of columns (p,), sums of targets (q,)."""

    weight: float
    mean: Array
    target_sum: Array


def surplus(scores: Array, targets: Array) -> Array:
    """Return by how much scores exceed standardised indicators: above positive ones, below the others.

    Examples
    --------
    >>> import numpy as np
    >>> surplus(np.array([[1.5, 0.5, -1.5, 0.5]]), np.array([[1.0, 1.0, -1.0, -1.0]]))
    array([[ 0.5,  0. , -0.5,  0. ]])
    """
    above = scores - targets
    return np.asarray(np.where(targets > 0.0, np.maximum(above, 0.0), np.minimum(above, 0.0)))


class Aim:
    """A readout whose targets move.

    Parameters
    ----------
    start : ndarray, (p, q)
        Coefficients of the least-squares solution.
    sums : Sums
        Of its rows.
    """

    def __init__(self, start: Array, sums: Sums) -> None:
        self.coefficients, self._start, self._sums = start, start, sums
        self.intercept: Array = sums.target_sum / sums.weight - sums.mean @ start
        self._moved: list[Array] = []
        self._begin()

    def _begin(self) -> None:
        self._cross = np.zeros_like(self._start)
        self._shift = np.zeros_like(self.intercept)
        self._chunk = 0

    def see(self, rows: Array, targets: Array, weights: Array) -> None:
        """Move the targets of the next chunk, the same in each round; rows of weight 0 take no part."""
        scores = rows @ self.coefficients.astype(rows.dtype) + self.intercept
        if self._chunk == len(self._moved):
            self._moved.append(np.zeros(targets.shape, np.float32))
        moved = self._moved[self._chunk]
        moved += _STRIDE * (surplus(scores, targets) - moved)
        change = moved * weights[:, None]
        self._cross += rows.T @ change.astype(rows.dtype)
        self._shift += change.sum(axis=0)
        self._chunk += 1

    def solve(self, again: Callable[[Array], Array], weight: float) -> None:
        """Take the solution for the moved targets, where `again` solves with the matrix of rows of that weight."""
        right = self._cross - np.outer(self._sums.mean, self._shift)
        self.coefficients = self._start + again(right) * (weight / self._sums.weight)
        total = self._sums.target_sum + self._shift
        self.intercept = total / self._sums.weight - self._sums.mean @ self.coefficients
        self._begin()

    def freed(self, left: float) -> tuple[Array, Array]:
        """Return coefficients and intercept as they are for rows that leave that share of a change to others."""
        coefficients = self._start + (self.coefficients - self._start) / left
        first = self._sums.target_sum / self._sums.weight - self._sums.mean @ self._start
        return coefficients, first + (self.intercept - first) / left


def exceed(
    read: Callable[[], Iterable[tuple[Rows, Array]]],
    again: Callable[[Array], Array],
    whole: Aim,
    part: Aim | None,
    weight: float,
    rounds: int,
) -> None:
    """Do some rounds: `read` gives rows, targets and weights, and the weights that these have in the part."""
    for _ in range(rounds):
        for (rows, targets, weights), fewer in read():
            whole.see(rows, targets, weights)
            if part is not None:
                part.see(rows, targets, fewer)
        whole.solve(again, weight)
        if part is not None:
            part.solve(again, weight)
