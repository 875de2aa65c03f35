r"""The readout: ridge regression on standardised columns, its penalty by generalised cross-validation.

With columns standardised to deviation 1 and per unit of weight, A = D^-1 C D^-1 / w is their correlation
matrix and

.. math:: \beta = (A + \alpha I)^{-1} D^{-1} B / w .

One eigendecomposition A = V S V' serves all penalties. With u = S^{-1/2} V' D^-1 B / w, the targets'
coordinates along the left singular vectors, the mean squared residual and the effective degrees of freedom
(intercept included) are

.. math:: \rho(\alpha) = \zeta - \sum u_i^2 + \sum u_i^2 \Bigl(\frac{\alpha}{s_i + \alpha}\Bigr)^2, \qquad
          \nu(\alpha) = 1 + \sum \frac{s_i}{s_i + \alpha},

and the penalty minimises

.. math:: \mathrm{GCV}(\alpha) = \rho(\alpha) / (1 - \nu(\alpha) / n)^2

over a grid of quarter decades, among those with nu <= 0.9 n: nearer to interpolation both sides of the
quotient vanish and rounding (or one pair of duplicate rows) decides; where even the largest penalty exceeds
that, it is taken. Equal scores go to the larger penalty. Where rows are fewer than columns, the eigenvectors
come from the n x n matrix of the rows' products instead: same answer, less work.

Cost: about 9 m^3 flops for the eigendecomposition, m the smaller of rows and columns; then O(m) for each
penalty.

References: G. H. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a good
ridge parameter", Technometrics 21 (1979).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.statistics import Statistics

__all__ = ["Penalty", "Readout", "ridge", "ridge_from_rows"]

Array = NDArray[Any]
Penalty = float | Literal["gcv"]

ALPHAS = np.logspace(-9.0, 3.0, 49)
FREEDOM_LIMIT = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """A fitted linear map ``H @ coefficients + intercept``.

    Parameters
    ----------
    coefficients : ndarray, (p, q)
        In the units of the columns; 0 for constant columns.
    intercept : ndarray, (q,)
        Not penalised.
    alpha : ndarray, (q,)
        Penalty used for each output, per unit of weight on standardised columns.
    degrees_of_freedom : ndarray, (q,)
        Trace of the hat matrix at that penalty, the intercept included.
    gcv : ndarray, (q,)
        The generalised cross-validation score: an estimate of the mean squared error on new rows. Infinite
        where the fit interpolates.
    """

    coefficients: Array
    intercept: Array
    alpha: Array
    degrees_of_freedom: Array
    gcv: Array


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """Squared singular values, the targets' coordinates, and the way back to standardised coefficients."""

    squares: Array
    coordinates: Array
    outside: Array
    weight: float
    back: Callable[[Array], Array]


def ridge(statistics: Statistics, alpha: Penalty = "gcv", *, per_output: bool = False) -> Readout:
    """Solve the ridge regression that some statistics define.

    Parameters
    ----------
    statistics : Statistics
        Of the rows and targets.
    alpha : float or "gcv", default "gcv"
        Penalty per unit of weight on standardised columns, at least 0 (0: least squares of minimum norm).
    per_output : bool, default False
        Choose a penalty for each output instead of one for the sum of their scores.

    Returns
    -------
    Readout

    Raises
    ------
    ValueError
        If `alpha` is neither "gcv" nor a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics, ridge
    >>> H = np.random.default_rng(0).standard_normal((200, 3))
    >>> ridge(Statistics.from_rows(H, H @ [1.0, 2.0, 3.0] + 4), 0.0).coefficients.ravel().round(10)
    array([1., 2., 3.])
    """
    _check_penalty(alpha)
    scale = statistics.column_scale()
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    weight = statistics.weight
    correlation = statistics.scatter * (inverse / weight) * inverse[:, None]
    squares, vectors = np.linalg.eigh(correlation)
    # A correlation matrix is known to about eps times its trace.
    keep = squares > 4 * np.finfo(np.float64).eps * max(1, scale.size)
    squares, vectors = squares[keep], vectors[:, keep]
    coordinates = vectors.T @ (statistics.cross * (inverse / weight)[:, None]) / np.sqrt(squares)[:, None]
    outside = statistics.target_scatter / weight - (coordinates**2).sum(axis=0)
    spectrum = _Spectrum(
        squares,
        coordinates,
        np.maximum(outside, 0.0),
        weight,
        lambda c: vectors @ (np.sqrt(squares)[:, None] * c),
    )
    return _solve(spectrum, statistics.row_mean, statistics.target_mean, inverse, alpha, per_output)


def ridge_from_rows(
    rows: Array, targets: Array, weights: Array, alpha: Penalty = "gcv", *, per_output: bool = False
) -> Readout:
    """Solve the same ridge regression through the rows' n x n products: for fewer rows than columns.

    Parameters
    ----------
    rows : ndarray, (n, p)
        float64.
    targets : ndarray, (n, q)
        float64.
    weights : ndarray, (n,)
        Nonnegative, not all zero.
    alpha, per_output
        As for `ridge`.

    Returns
    -------
    Readout
    """
    _check_penalty(alpha)
    weight = float(weights.sum())
    row_mean, target_mean = weights @ rows / weight, weights @ targets / weight
    root = np.sqrt(weights / weight)[:, None]
    h = (rows - row_mean) * root
    scale = np.sqrt(np.einsum("ij,ij->j", h, h))
    scale[~(scale > 64 * np.finfo(np.float64).eps * np.abs(row_mean))] = 0.0
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    h *= inverse
    z = (targets - target_mean) * root
    squares, vectors = np.linalg.eigh(h @ h.T)
    keep = squares > 4 * np.finfo(np.float64).eps * max(1, scale.size)
    squares, vectors = squares[keep], vectors[:, keep]
    coordinates = vectors.T @ z
    outside = np.einsum("ij,ij->j", z, z) - (coordinates**2).sum(axis=0)
    spectrum = _Spectrum(squares, coordinates, np.maximum(outside, 0.0), weight, lambda c: h.T @ (vectors @ c))
    return _solve(spectrum, row_mean, target_mean, inverse, alpha, per_output)


def _check_penalty(alpha: Penalty) -> None:
    good = alpha == "gcv" if isinstance(alpha, str) else _is_number(alpha) and 0.0 <= alpha < np.inf
    if not good:
        raise ValueError(f"alpha must be 'gcv' or a finite number of at least 0, got {alpha!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _solve(
    spectrum: _Spectrum, row_mean: Array, target_mean: Array, inverse: Array, alpha: Penalty, per_output: bool
) -> Readout:
    outputs = target_mean.size
    if isinstance(alpha, str):
        freedom, residual = _curves(spectrum, ALPHAS)
        score = _gcv(residual, freedom[:, None], spectrum.weight)
        score[freedom > FREEDOM_LIMIT * spectrum.weight] = np.inf
        if not per_output:
            score = np.repeat(score.sum(axis=1, keepdims=True), outputs, axis=1)
        # From the largest penalty down, so that ties (and a column of infinities) choose it.
        chosen = ALPHAS[::-1][np.argmin(score[::-1], axis=0)]
    else:
        chosen = np.full(outputs, float(alpha))
    freedom, residual = _curves(spectrum, chosen)
    own_residual = np.diagonal(residual)
    s = spectrum.squares[:, None]
    coefficients = spectrum.back(spectrum.coordinates / (s + chosen)) * inverse[:, None]
    return Readout(
        coefficients,
        target_mean - row_mean @ coefficients,
        chosen,
        freedom,
        _gcv(own_residual, freedom, spectrum.weight),
    )


def _curves(spectrum: _Spectrum, alphas: Array) -> tuple[Array, Array]:
    """Return degrees of freedom, (a,), and mean squared residuals, (a, q), at each penalty."""
    total = spectrum.squares + alphas[:, None]
    freedom = 1.0 + (spectrum.squares / total).sum(axis=1)
    residual = (alphas[:, None] / total) ** 2 @ spectrum.coordinates**2 + spectrum.outside
    return freedom, residual


def _gcv(residual: Array, freedom: Array, weight: float) -> Array:
    left = 1.0 - freedom / weight
    safe = np.where(left > 0.0, left, 1.0)
    return np.where(left > 0.0, residual / safe**2, np.inf)
