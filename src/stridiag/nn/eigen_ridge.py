r"""Ridge regression at all penalties through one eigendecomposition.

With A = V S V', and P the left singular vectors of the standardised rows, u = P' Z the targets' coordinates along them,

.. math:: \nu(\alpha) = \sum_k \frac{s_k}{s_k + \alpha}, \qquad E(\alpha) = Z - P\, \frac{s}{s + \alpha}\, u .

K has the eigenvectors P themselves; from A they are H V S^-1/2. Directions whose eigenvalue is rounding take no part,
so that a penalty of 0 gives the solution of minimum norm. Cost: about 9 m^3 flops, and 2 p^2 for the projection of
each row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.ridge_forms import System

__all__ = ["EigenForm"]

Array = NDArray[Any]


class EigenForm:
    """A `Form` for any penalties of at least 0."""

    def __init__(self, system: System, alphas: Array) -> None:
        squares, vectors = np.linalg.eigh(system.matrix)
        # A correlation matrix is known to about eps times its trace.
        some = squares > 4 * np.finfo(np.float64).eps * max(1, system.columns)
        self._system = system
        self._squares, self._vectors = squares[some], vectors[:, some]
        self._along = self._vectors.T @ system.right
        root = np.sqrt(self._squares)
        self._coordinates = self._along if system.by_rows else self._along / root[:, None]
        self._alphas = alphas
        self._shrink = self._squares / (self._squares + alphas[:, None])
        self._onto = self._vectors if system.by_rows else (self._vectors * system.inverse_scale[:, None]) / root

    def freedom(self) -> Array:
        """Return the traces, (penalties,)."""
        return np.asarray(self._shrink.sum(axis=1))

    def residuals(self) -> Array:
        """Return mean squared residuals, (penalties, outputs)."""
        outside = np.maximum(self._system.squares - (self._coordinates**2).sum(axis=0), 0.0)
        return np.asarray((1.0 - self._shrink) ** 2 @ self._coordinates**2 + outside)

    def project(self, rows: Array | None) -> Array:
        """Return rows of P."""
        return self._onto if rows is None else rows @ self._onto

    def leverages(self, basis: Array) -> Array:
        """Return leverages, (n, penalties)."""
        return np.asarray((basis * basis) @ self._shrink.T)

    def fits(self, basis: Array, output: int) -> Array:
        """Return fits, (n, penalties)."""
        return np.asarray(basis @ (self._shrink * self._coordinates[:, output]).T)

    def solution(self, chosen: Array) -> Array:
        """Return the solution, (m, outputs)."""
        return np.asarray(self._vectors @ (self._along / (self._squares[:, None] + self._alphas[chosen])))
