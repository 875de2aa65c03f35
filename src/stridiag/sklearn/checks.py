"""What the estimators ask of their input, and the two forms of two-class scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_X_y

from stridiag._validate import require_finite

__all__ = ["as_weights", "checked"]

Array = NDArray[Any]


def checked(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    *,
    multi_output: bool = False,
    y_numeric: bool = False,
    least: int = 2,
) -> tuple[Array, Array]:
    """Return X and y as scikit-learn checks them, without touching the estimator."""
    # scikit-learn looks for NaN in sums, which overflow near the ends of the number range.
    with np.errstate(over="ignore", invalid="ignore"):
        x, targets = check_X_y(
            X,
            y,
            dtype=np.float64,
            multi_output=multi_output,
            y_numeric=y_numeric,
            ensure_min_samples=least,
            estimator=estimator,
        )
    return x, targets


def as_weights(sample_weight: ArrayLike | None, rows: int, *, may_vanish: bool = False) -> Array | None:
    """Return sample weights, (rows,); complain about what cannot be one, and if all are 0 unless that is allowed."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, np.float64)
    if weights.ndim == 0:
        weights = np.full(rows, float(weights))
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight must have shape ({rows},), got {weights.shape}")
    require_finite(weights, "sample_weight")
    if not weights.min(initial=0.0) >= 0.0:
        raise ValueError(f"sample_weight must be nonnegative, got {weights.min()}")
    if not (may_vanish or weights.max(initial=0.0) > 0.0):
        raise ValueError("sample_weight must not be zero for all rows")
    return weights
