r"""Sums of products of features, of some thousand rows at a time in single precision, added up in double.

Columns are shifted near mean 0 first: products of columns of large mean would drown in it. Rounding leaves about 1e-7
of the largest eigenvalue in the sum, hence `SAFE`, the smallest penalty of a regression that such sums may serve.

Cost: n p^2 flops, in single precision at twice the speed of double; 8 p^2 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.deviations import mirror
from stridiag.nn.statistics import Statistics

__all__ = ["SAFE", "ShiftedProducts"]

Array = NDArray[Any]

SAFE = 1e-5
"""Smallest penalty for which products in float32 are good enough."""
# From so many columns on the product of all at once is a second matrix that matters; columns of a panel of it.
_WIDE = 4096
_PANEL = 512


class ShiftedProducts:
    """Sums of products of rows shifted by `centre`, in float64.

    Parameters
    ----------
    columns, outputs : int
        Numbers of features and of targets.
    centre : ndarray, (columns,)
        About the mean of the features.
    kind : type
        Of the products, numpy.float32 or numpy.float64.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn.shifted_products import ShiftedProducts
    >>> H = np.random.default_rng(0).standard_normal((500, 3)) + 7.0
    >>> products = ShiftedProducts(3, 1, np.full(3, 7.0), np.float32)
    >>> products.add(H, H[:, :1], np.ones(500))
    >>> bool(np.allclose(products.statistics().row_mean, H.mean(axis=0), rtol=1e-6))
    True
    """

    def __init__(self, columns: int, outputs: int, centre: Array, kind: type[np.floating[Any]]) -> None:
        self.gram = np.zeros((columns, columns))
        self.cross = np.zeros((columns, outputs))
        self.row_sum, self.target_sum = np.zeros(columns), np.zeros(outputs)
        self.target_squares = np.zeros(outputs)
        self.weight = 0.0
        self.count = 0
        self._centre = centre.astype(kind)
        self._kind = kind
        # Of the largest piece so far: memory is used again, not mapped again.
        self._scratch = np.empty((0, columns), kind)

    def add(self, rows: Array, targets: Array, weights: Array) -> None:
        """Add rows (n, columns), targets (n, outputs) and weights (n,)."""
        if self._scratch.shape[0] < rows.shape[0]:
            self._scratch = np.empty(rows.shape, self._kind)
        h = np.subtract(rows, self._centre, out=self._scratch[: rows.shape[0]], casting="same_kind")
        root = np.sqrt(weights)
        # The same array on both sides of @ lets numpy take the symmetric product at half the cost.
        if weights.min() != 1.0 or weights.max() != 1.0:
            h *= root.astype(self._kind)[:, None]
        z = targets * root[:, None]
        if h.shape[1] <= _WIDE:
            self.gram += h.T @ h
        else:
            # The lower triangle, a panel at a time: no second matrix of this size, and half of the sums.
            for start in range(0, h.shape[1], _PANEL):
                panel = slice(start, start + _PANEL)
                self.gram[start:, panel] += h[:, start:].T @ h[:, panel]
        self.cross += h.T @ z.astype(self._kind)
        self.row_sum += root.astype(self._kind) @ h
        self.target_sum += root @ z
        self.target_squares += np.einsum("ij,ij->j", z, z)
        self.weight += float(weights.sum())
        self.count += weights.size

    def complete(self) -> Array:
        """Return the sum of the products of the shifted features, both triangles, (columns, columns): no copy."""
        if self.gram.shape[0] > _WIDE:
            mirror(self.gram)
        return self.gram

    def statistics(self) -> Statistics:
        """Return the sums as statistics; little cancels, for means of shifted columns are near 0."""
        shift, target_mean = self.row_sum / self.weight, self.target_sum / self.weight
        scatter = np.outer(-self.weight * shift, shift)
        scatter += self.complete()
        squares = self.target_squares - self.weight * target_mean**2
        return Statistics(
            self.weight,
            self._centre + shift,
            target_mean,
            scatter,
            self.cross - np.outer(shift, self.target_sum),
            np.maximum(squares, 0.0),
            self.count,
        )
