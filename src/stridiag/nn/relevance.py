r"""Which inputs matter, and together with which: the average gradient outer product of a small network.

.. math:: A = \sum_i d_i \sum_c \nabla f_c(t_i)\, \nabla f_c(t_i)^T, \qquad r_j = \sqrt{A_{jj}}, \qquad M = A^{1/2},

for the outputs f_c of a closed-form network on transformed rows t_i. A unit drawn as w = M g, g normal, bends in
directions in which the target changes. No gradient descent: f is linear in its features, so its gradient is a product.

The relevances r are divided by the largest, raised to 0.02 where they are below, and scaled to norm sqrt(d), M
likewise to Frobenius norm sqrt(d): units then have the spread that they have without relevance, r = 1 and M = I.

**Sharp relevance.** Where f leaves next to nothing, gradients can be taken at their word, but for directions in which
rows hardly vary: between two copies of a column, or a column and its own rank, f may rise as steeply as it likes. With
C the covariance of the rows, A becomes

.. math:: S A S, \qquad S = C (C + \epsilon I)^{-1}, \quad \epsilon = 0.03,

the floor falls from 0.02 to 0.002, and M is scaled so that tr(M C M) = tr C. Under noise
gradients are too rough for it, and what they forget is missed.

**Many columns.** Of more than 1,000 transformed columns only the diagonal of A is taken, and M is diag r: all of A
would take d^3 operations and d^2 numbers.

References: A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism for feature learning in neural networks
and backpropagation-free machine learning models", Science 383 (2024) (recursive feature machines).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.mixed_units import MixedUnits

__all__ = ["WIDE", "Relevance", "gradient_product"]

Array = NDArray[Any]

_FLOOR = 0.02
# Of sharp relevance: the floor, and the variance of a direction that counts half.
_SHARP_FLOOR, _THIN = 0.002, 0.03
# Outputs are many in classification; so many random combinations of them say the same.
_DIRECTIONS = 4
WIDE = 1_000
"""Columns beyond which only the diagonal of the product is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Relevance of inputs, and its square root among them.

    Parameters
    ----------
    scale : ndarray, (d,)
        r: positive, of norm sqrt(d).
    factor : ndarray, (d, d) or (d,)
        M: symmetric, of Frobenius norm sqrt(d); of many columns its diagonal, which is r.
    """

    scale: Array
    factor: Array

    @property
    def metric(self) -> Array:
        """M^(1/2), (d, d) or (d,): distances that are longer where the target changes, yet forget nothing."""
        if self.factor.ndim == 1:
            return np.asarray(np.sqrt(self.factor))
        values, vectors = np.linalg.eigh(self.factor)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

    @classmethod
    def none(cls, d: int) -> Relevance:
        """Return that of d inputs of which nothing is known: ones and the identity."""
        return cls(np.ones(d), np.ones(d) if d > WIDE else np.eye(d))

    @classmethod
    def from_product(cls, product: Array, spread: Array | None = None) -> Relevance:
        """Return that of an average gradient outer product.

        Parameters
        ----------
        product : ndarray, (d, d) or (d,)
            Positive semidefinite, or its diagonal.
        spread : ndarray, (d, d), optional
            Covariance of the rows: for sharp relevance.
        """
        d = product.shape[0]
        largest = float(np.abs(product).max())
        if not 0.0 < largest < np.inf:
            return cls.none(d)
        product, floor = product / largest, _FLOOR
        if spread is not None:
            product, floor = _where_rows_vary(product, spread), _SHARP_FLOOR
            if not np.trace(product) > 0.0:
                return cls.none(d)
        scale = np.sqrt(np.maximum(product if product.ndim == 1 else np.diagonal(product), 0.0))
        scale = np.maximum(scale / scale.max(), floor)
        scale *= np.sqrt(d / (scale @ scale))
        if product.ndim == 1:
            return cls(scale, scale)
        values, vectors = np.linalg.eigh(0.5 * (product + product.T))
        roots = np.sqrt(np.maximum(values, 0.0))
        roots = np.maximum(roots / roots.max(), floor)
        factor = (vectors * roots) @ vectors.T
        square = roots @ roots / d if spread is None else np.sum((factor @ spread) * factor) / np.trace(spread)
        return cls(scale, factor / np.sqrt(square))


def _where_rows_vary(product: Array, spread: Array) -> Array:
    """Return S A S, S near the projection onto directions in which rows vary."""
    values, vectors = np.linalg.eigh(spread)
    values = np.maximum(values, 0.0)
    varied = (vectors * (values / (values + _THIN))) @ vectors.T
    return np.asarray(varied @ product @ varied)


def gradient_product(hidden: MixedUnits, coefficients: Array, rows: Array, weights: Array) -> Array:
    """Return the weighted sum over rows and outputs of gradients times their transposes, (d, d), or its diagonal, (d,).

    Parameters
    ----------
    hidden : MixedUnits
        The features.
    coefficients : ndarray, (columns, q)
        The readout, one column for each output.
    rows, weights : ndarray, (n, d) and (n,)
        Transformed rows and their weights.
    """
    root = np.sqrt(weights / weights.sum())[:, None]
    wide = hidden.inputs > WIDE
    total = np.zeros(hidden.inputs if wide else (hidden.inputs, hidden.inputs))
    outputs = coefficients.shape[1]
    shares = [slice(None)] * outputs
    if outputs > _DIRECTIONS:
        # Orthogonal directions among the outputs, always the same ones, each at its share of the rows: the product
        # of all of them in the mean.
        draw = np.random.default_rng(0).standard_normal((outputs, outputs))
        coefficients = coefficients @ np.linalg.qr(draw)[0][:, :_DIRECTIONS] * np.sqrt(outputs)
        shares = [slice(start, None, _DIRECTIONS) for start in range(_DIRECTIONS)]
    for column, share in zip(coefficients.T, shares, strict=True):
        gradient = hidden.gradients(rows[share], column)
        gradient *= root[share]
        total += np.einsum("ij,ij->j", gradient, gradient) if wide else gradient.T @ gradient
    return total
