r"""From scores to probabilities: a softmax whose temperature is fitted to leave-one-out scores.

Scores on the training rows themselves are too good, so the temperature is chosen on what the readout would
say about each row without it. With residuals E and the leverage h of one observation these are exactly

.. math:: F_{loo} = Z - E / (1 - h)

(see `readout`; after alpha="gcv", which knows no single leverages, h is their mean), and T minimises the mean of
-log softmax(F_loo / T) at the true class. Cost: 42 passes over the scores.

References: C. Guo et al., "On calibration of modern neural networks", arXiv 1706.04599 (temperature scaling).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._validate import as_floats
from stridiag.nn.readout import LEAST_LEFT

__all__ = ["brier_score", "fit_temperature", "leave_one_out", "log_loss", "softmax"]

Array = NDArray[Any]

# Probabilities sharper than this come from scores that happen to be separable, not from evidence.
_COLDEST, _HOTTEST = 0.05, 100.0


def leave_one_out(targets: Array, fitted: Array, left: Array) -> Array:
    """Return leave-one-out fits, (n, q).

    Parameters
    ----------
    targets, fitted : ndarray, (n, q)
        Their difference is the residual.
    left : ndarray, (n, q) or (1, q)
        1 - leverage; where it is 0 up to rounding the fit interpolates and is returned itself.
    """
    return targets - (targets - fitted) / np.where(left > LEAST_LEFT, left, 1.0)


def softmax(scores: Array, temperature: float) -> Array:
    """Return probabilities, (n, classes): rows sum to 1."""
    scaled = scores / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def fit_temperature(scores: Array, labels: Array, weights: Array) -> float:
    """Return the temperature of least weighted log-loss between 0.05 and 100, by golden-section search.

    Parameters
    ----------
    scores : ndarray, (n, classes)
        Scores of rows that did not take part in making them.
    labels : ndarray of int, (n,)
        The true class of each.
    weights : ndarray, (n,)
        Sample weights.
    """
    share = weights / weights.sum()
    own = scores[np.arange(labels.size), labels]

    def loss(log_temperature: float) -> float:
        scaled = (scores - own[:, None]) * np.exp(-log_temperature)
        top = scaled.max(axis=1)
        return float(share @ (top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))))

    # Convex in 1/T, so it has one valley in log T and the section search finds it.
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(40):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2.0))


def log_loss(probabilities: Array, labels: Array, weights: Array | None = None) -> float:
    """Return the weighted mean of -log p at the true class; infinite where that has probability 0.

    Parameters
    ----------
    probabilities : ndarray, (n, classes)
        Rows sum to 1.
    labels : ndarray of int, (n,)
        The true class of each row.
    weights : ndarray, (n,), optional
        Sample weights; equal by default.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import brier_score, log_loss
    >>> p, labels = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 1])
    >>> round(log_loss(p, labels), 4), round(brier_score(p, labels), 4)
    (0.4581, 0.29)
    """
    own = _checked(probabilities, labels)[np.arange(labels.size), labels]
    with np.errstate(divide="ignore"):
        return float(np.average(-np.log(own), weights=weights))


def brier_score(probabilities: Array, labels: Array, weights: Array | None = None) -> float:
    """Return the weighted mean of squared differences to the true class's indicators, summed over classes: 0 to 2.

    Parameters
    ----------
    probabilities, labels, weights
        As for `log_loss`.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    p = _checked(probabilities, labels)
    own = p[np.arange(labels.size), labels]
    # The true class has (1 - p)^2 in the place of p^2.
    return float(np.average((p * p).sum(axis=1) + 1.0 - 2.0 * own, weights=weights))


def _checked(probabilities: Array, labels: Array) -> Array:
    p = as_floats(probabilities, "probabilities")
    if p.ndim != 2 or labels.shape != p.shape[:1]:
        raise ValueError(f"probabilities and labels must be (n, classes) and (n,), got {p.shape} and {labels.shape}")
    if not (p.min(initial=0.0) >= 0.0 and np.abs(p.sum(axis=1) - 1.0).max(initial=0.0) < 1e-6):
        raise ValueError("probabilities must be nonnegative and sum to 1 in each row")
    return p
