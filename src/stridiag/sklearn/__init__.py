"""The scikit-learn wing: structured networks as estimators."""

from __future__ import annotations

from stridiag import _extras

_extras.require("stridiag.sklearn", "sklearn", "sklearn")

from stridiag.sklearn.checkpoint import Checkpoint, load_checkpoint
from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.out_of_core import fit_stream, predict_stream
from stridiag.sklearn.partial_sums import Measurer, PartialSums
from stridiag.sklearn.pruning import PrunedMLPClassifier, PrunedMLPRegressor, prune_sklearn
from stridiag.sklearn.regressor import StridiagRegressor
from stridiag.sklearn.saved import load
from stridiag.sklearn.table_model import TableModel
from stridiag.sklearn.table_stream import fit_tables
from stridiag.sklearn.transformer import StridiagTransformer

__all__ = [
    "Checkpoint",
    "Measurer",
    "PartialSums",
    "PrunedMLPClassifier",
    "PrunedMLPRegressor",
    "StridiagClassifier",
    "StridiagRegressor",
    "StridiagTransformer",
    "TableModel",
    "fit_stream",
    "fit_tables",
    "load",
    "load_checkpoint",
    "predict_stream",
    "prune_sklearn",
]
