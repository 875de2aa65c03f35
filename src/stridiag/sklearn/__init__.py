"""The scikit-learn wing: structured networks as estimators."""

from __future__ import annotations

from stridiag._extras import require

require("stridiag.sklearn", "sklearn", "sklearn")

from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.pruning import PrunedMLPClassifier, PrunedMLPRegressor, prune_sklearn
from stridiag.sklearn.regressor import StridiagRegressor
from stridiag.sklearn.saved import load
from stridiag.sklearn.transformer import StridiagTransformer

__all__ = [
    "PrunedMLPClassifier",
    "PrunedMLPRegressor",
    "StridiagClassifier",
    "StridiagRegressor",
    "StridiagTransformer",
    "load",
    "prune_sklearn",
]
