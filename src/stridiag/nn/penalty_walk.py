r"""Ridge regression whose penalty is found by a short walk, a Cholesky factorization a step.

With A the correlation matrix of the columns and H their standardised rows (each times the root of its share of the
weight), one factorization :math:`A + \alpha I = L L^T` gives coefficients, residuals and leverages

.. math:: \beta = L^{-T} L^{-1} H^T Z, \qquad h_i = \frac1n + \frac{1}{d_i} \lVert L^{-1} H_i^T \rVert^2,

and so the exact leave-one-out error of any row. The walk starts at :math:`\alpha = 10^{-3}`, goes on by decades while the
leave-one-out error falls, and ends with half a decade to either side. Where rows are many the criterion is the mean over
*some* rows: an unbiased estimate of the whole PRESS, which a few thousand rows decide as well, at a fraction of its cost;
and unlike generalised cross-validation it does not take leverages to be equal.

Cost for n rows, p columns and s rows judged: n p^2 flops once, then p^3/3 + s p^2 for each of about six penalties. The
eigendecomposition behind `solve_ridge` costs about 9 p^3 once and 2 n p^2 more for leaving rows out.

References: as for `readout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from stridiag.nn.readout import FREEDOM_LIMIT, LEAST_LEFT, Readout, Solved

__all__ = ["StandardRows", "solve_by_walk"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_START, _LOWEST, _HIGHEST = -3.0, -10.0, 2.0
# A smaller step has to lower the error by this share: below it is noise, and the larger penalty is the safer one.
_GAIN = 1e-3
# Numbers in one block of rows: 8 MB.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class StandardRows:
    """Features and targets, centred and scaled, each row times the root of its share of the weight.

    Parameters
    ----------
    features : ndarray, (n, p)
        Columns of norm 1; constant columns are 0.
    targets : ndarray, (n, q)
        Deviations from the mean.
    counts : ndarray, (n,)
        How many observations each row stands for.
    row_mean, inverse_scale : ndarray, (p,)
        What was taken off, and what the columns were then multiplied by.
    target_mean : ndarray, (q,)
        What was taken off the targets.
    """

    features: Array
    targets: Array
    counts: Array
    row_mean: Array
    inverse_scale: Array
    target_mean: Array

    @classmethod
    def take(cls, features: Array, targets: Array, counts: Array) -> StandardRows:
        """Standardise features, (n, p), in place, and targets, (n, q), of rows that stand for `counts` observations."""
        share = counts / counts.sum()
        # Deviations from the first row: exactly 0 in a constant column, where those from a rounded mean are not.
        first = features[0].copy()
        features -= first
        shift = share @ features
        features -= shift
        root = np.sqrt(share)[:, None]
        features *= root
        scale = np.sqrt(np.einsum("ij,ij->j", features, features))
        mean = first + shift
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 64 * np.finfo(float).eps * np.abs(mean))
        features *= inverse
        target_mean = share @ targets
        return cls(features, (targets - target_mean) * root, counts, mean, inverse, target_mean)


def solve_by_walk(rows: StandardRows, alpha: float | None, judges: Index, *, keep: bool = False) -> Solved:
    """Solve the ridge regression.

    Parameters
    ----------
    rows : StandardRows
        Features and targets.
    alpha : float or None
        Penalty per observation on standardised columns; None: by the walk.
    judges : ndarray of int64, (s,)
        Rows whose leave-one-out errors are the criterion.
    keep : bool, default False
        Whether `Solved.left`, 1 - leverage of one observation of every row, (n, 1), is wanted; NaN otherwise.

    Returns
    -------
    Solved
        ``readout.score`` is the mean of the squared leave-one-out errors of the judges.
    """
    h = rows.features
    gram = h.T @ h
    right = h.T @ rows.targets
    tried: dict[float, tuple[float, _Trial]] = {}

    def error(exponent: float) -> float:
        if exponent not in tried:
            trial = _try(rows, gram, right, 10.0**exponent, judges)
            tried[exponent] = (trial.judged, trial)
        return tried[exponent][0]

    if alpha is None:
        best = _walk(error)
        trial = tried[best][1]
    else:
        trial = _try(rows, gram, right, float(alpha), judges)
    coefficients = trial.beta * rows.inverse_scale[:, None]
    outputs = right.shape[1]
    readout = Readout(
        coefficients,
        rows.target_mean - rows.row_mean @ coefficients,
        np.full(outputs, trial.alpha),
        np.full(outputs, trial.freedom),
        trial.score,
        "loo",
        np.ones(outputs),
    )
    left = np.full((1, 1), np.nan)
    if keep:
        left = np.empty((h.shape[0], 1))
        step = max(1, _BLOCK // max(1, h.shape[1]))
        for start in range(0, h.shape[0], step):
            block = slice(start, start + step)
            left[block, 0] = _left(trial.factor, h[block], rows.counts[block], float(rows.counts.sum()))
    return Solved(readout, left)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    alpha: float
    factor: Array
    beta: Array
    score: Array
    freedom: float
    judged: float


def _try(rows: StandardRows, gram: Array, right: Array, alpha: float, judges: Index) -> _Trial:
    outputs = right.shape[1]
    damped = gram.copy()
    damped[np.diag_indices_from(damped)] += alpha
    factor, info = scipy.linalg.lapack.dpotrf(damped, lower=1, overwrite_a=1)
    if info:
        worst = np.full(outputs, np.inf)
        return _Trial(alpha, factor, np.zeros_like(right), worst, np.inf, np.inf)
    beta, _ = scipy.linalg.lapack.dpotrs(factor, right, lower=1)
    h, count = rows.features[judges], rows.counts[judges]
    total = float(rows.counts.sum())
    left = _left(factor, h, count, total)
    # Both sides carry the root of the share count / total.
    error = rows.targets[judges] - h @ beta
    good = left > LEAST_LEFT
    error /= np.where(good, left, 1.0)[:, None]
    score = np.einsum("ij,ij->j", error, error) * (total / count.sum())
    # The trace of the hat matrix, estimated from the judges (all rows, where those are all).
    freedom = 1.0 + float(((1.0 - left) * np.maximum(count, 1.0)).sum()) * (total / float(count.sum())) - 1.0
    judged = float(score.sum()) if good.all() and freedom <= FREEDOM_LIMIT * total else np.inf
    return _Trial(alpha, factor, beta, score, freedom, judged)


def _left(factor: Array, h: Array, count: Array, total: float) -> Array:
    """Return 1 - leverage of one observation of each row (of all of it, where it is lighter than one)."""
    half = scipy.linalg.solve_triangular(factor, h.T, lower=True, check_finite=False)
    leverage = np.einsum("ij,ij->j", half, half) * np.minimum(1.0, 1.0 / count)
    return np.asarray(1.0 - leverage - np.minimum(1.0, count) / total)


def _walk(error: Any) -> float:
    """Return the exponent of ten at which the walk ends."""
    at = _START
    if error(at - 1.0) < (1.0 - _GAIN) * error(at):
        step = -1.0
    elif error(at + 1.0) <= error(at):
        step = 1.0
    else:
        step = 0.0
    if step:
        at += step
        while _LOWEST < at < _HIGHEST and error(at + step) < (1.0 - _GAIN if step < 0 else 1.0) * error(at):
            at += step
    # Equal errors go to the larger penalty.
    return min((at + 0.5, at, at - 0.5), key=error)
