r"""Leverages of rows by a Cholesky factor: exact, or of many rows from a sketch that is exact where it matters.

With A + alpha I = L L' for the correlation matrix A of n observations' features and x_i a row of standardised features,

.. math:: h_i = \frac1n + \frac1n \lVert L^{-1} x_i \rVert^2 .

**Sketch.** For a k x p matrix S of random signs over root k, :math:`\lVert S L^{-1} x_i \rVert^2` has the same mean and
at most the variance :math:`2/k` times the square of it, and S L^{-1} is computed once: 2 k p flops a row, not p^2. What
a residual e / (1 - h) needs is 1 - h, whose relative error is :math:`\sqrt{2/k}\, h / (1 - h)`. Rows where that may be
more than a twentieth get the exact leverage; with k = 32 these are the ones above a sixth. Where the mean leverage is
as large as that there is no sketch.

Triangular solves may be in single precision: each row's is backward stable, so its relative error is below
:math:`2^{-24} \sqrt{p / \alpha}` and in practice a thousandth of that.

Reference: P. Drineas, M. Magdon-Ismail, M. W. Mahoney, D. P. Woodruff, "Fast approximation of matrix coherence and
statistical leverage", Journal of Machine Learning Research 13 (2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIRECTIONS", "Leverages", "Sketch", "left_of", "serves", "sketched"]

Array = NDArray[Any]

DIRECTIONS = 32
"""Directions of a sketch."""
# Relative error of 1 - leverage, one standard deviation, up to which a sketch is good enough.
_TOLERANCE = 0.05
# Relative deviation of a sketched leverage; what is taken to be left of a row whose sketch says less.
_SPREAD, _LEAST = float(np.sqrt(2.0 / DIRECTIONS)), 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Leverages:
    """What the leverages of rows come from.

    Parameters
    ----------
    factor : ndarray, (p, p)
        L in the lower triangle, Fortran order; float32 or float64.
    row_mean, inverse : ndarray, (p,)
        Standardise features.
    weight : float
        Number of observations, n.
    """

    factor: Array
    row_mean: Array
    inverse: Array
    weight: float

    def left(self, features: Array, counts: Array) -> Array:
        """Return what one observation of each row leaves of its own residual, 1 - leverage, (s,), exactly.

        Of a row that weighs less than one observation all is left out.
        """
        kind = self.factor.dtype
        x = features.astype(kind)
        x -= self.row_mean.astype(kind)
        x *= self.inverse.astype(kind)
        return left_of(self.factor, x, counts, self.weight)

    def sketch(self, *, mended: bool = True) -> Sketch:
        """Return the sketch, always of the same signs; `mended`: exact for rows of large leverage."""
        from scipy.linalg import blas

        p = self.factor.shape[0]
        signs = np.random.default_rng(0).integers(0, 2, (p, DIRECTIONS)) * 2.0 - 1.0
        signs /= np.sqrt(DIRECTIONS)
        solve = blas.strsm if self.factor.dtype == np.float32 else blas.dtrsm
        directions = solve(1.0, self.factor, np.asfortranarray(signs, self.factor.dtype), lower=1, trans_a=1)
        directions *= self.inverse[:, None].astype(directions.dtype)
        return Sketch(self, directions, self.row_mean @ directions, mended)


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Leverages along some random directions; made by `Leverages.sketch`.

    Parameters
    ----------
    exact : Leverages
        What it is a sketch of.
    directions : ndarray, (p, k)
        What features are multiplied by.
    mean : ndarray, (k,)
        Of the product.
    mended : bool
        Whether rows of large leverage get the exact one.
    """

    exact: Leverages
    directions: Array
    mean: Array
    mended: bool

    def left(self, features: Array, counts: Array) -> Array:
        """Return about what `Leverages.left` returns, (s,), at least a tenth where it is not exact."""
        y = features @ self.directions
        y -= self.mean.astype(y.dtype)
        own = _own(np.einsum("ij,ij->i", y, y), counts, self.exact.weight)
        left = np.maximum(1.0 - own, _LEAST)
        if self.mended:
            far = np.flatnonzero(_SPREAD * own > _TOLERANCE * left)
            if far.size:
                left[far] = self.exact.left(features[far], counts[far])
        return left


def serves(freedom: float, weight: float) -> bool:
    """Return whether a sketch decides most rows of a regression of that many degrees of freedom."""
    mean = freedom / weight
    return bool(_SPREAD * mean < _TOLERANCE * (1.0 - mean))


def left_of(factor: Array, rows: Array, counts: Array, weight: float) -> Array:
    """Return 1 - leverage of one observation of each of some standardised rows, (s,)."""
    from scipy.linalg import blas

    solve = blas.strsm if factor.dtype == np.float32 else blas.dtrsm
    half = solve(1.0, factor, rows.T, lower=1)
    return 1.0 - _own(np.einsum("ij,ij->j", half, half), counts, weight)


def sketched(factor: Array, rows: Array, counts: Array, weight: float) -> Array:
    """Do what `left_of` does by a sketch where that is exact enough."""
    standard = Leverages(factor, np.zeros(rows.shape[1]), np.ones(rows.shape[1]), weight)
    return standard.sketch().left(rows, counts)


def _own(squares: Array, counts: Array, weight: float) -> Array:
    return np.asarray((1.0 + squares) * (np.minimum(counts, 1.0) / weight), np.float64)
