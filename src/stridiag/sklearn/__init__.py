"""The scikit-learn wing: structured networks as estimators."""

from __future__ import annotations

from stridiag.sklearn.estimators import StridiagClassifier, StridiagRegressor

__all__ = ["StridiagClassifier", "StridiagRegressor"]
