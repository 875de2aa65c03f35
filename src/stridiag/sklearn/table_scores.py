"""How good predictions are: the usual scores, by scikit-learn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn import metrics

if TYPE_CHECKING:
    from stridiag.sklearn.table_model import TableModel

__all__ = ["confusion_of", "scores_of"]

Array = NDArray[Any]

# Probabilities of 0 would have an infinite logarithm.
_LEAST = 1e-15


def scores_of(model: TableModel, truth: Array, predicted: Array, probabilities: Array | None) -> dict[str, float]:
    """Return scores by name, of rows with known targets.

    Parameters
    ----------
    model : TableModel
        That predicted.
    truth, predicted : ndarray, (n,) or (n, n_targets)
        Labels or numbers.
    probabilities : ndarray, (n, n_classes), or None
        Of a classifier, in the order of ``model.classes``.

    Returns
    -------
    dict
        Classes: accuracy, balanced accuracy (mean over classes of the share found), log loss, Brier score (sum over
        classes of squared differences). A class that the model does not know has probability 0, cut off at 1e-15.
        Several labels: accuracy of single labels, share of rows where all are right. Numbers: RMSE, MAE, R2, over
        several targets their means.
    """
    if model.task == "regression":
        scores = {
            "RMSE": float(np.mean(metrics.root_mean_squared_error(truth, predicted, multioutput="raw_values"))),
            "MAE": float(metrics.mean_absolute_error(truth, predicted)),
        }
        return scores | ({"R2": float(metrics.r2_score(truth, predicted))} if truth.shape[0] > 1 else {})
    assert probabilities is not None
    if truth.ndim == 2:
        clipped = np.clip(np.where(truth > 0, probabilities, 1.0 - probabilities), _LEAST, 1.0)
        return {
            "accuracy": float(np.mean(truth == predicted)),
            "all labels right": float(np.mean((truth == predicted).all(axis=1))),
            "log loss": float(-np.mean(np.log(clipped))),
            "Brier score": float(np.mean(2.0 * (truth - probabilities) ** 2)),
        }
    classes = np.asarray(model.classes)
    hit = truth[:, None] == classes
    of_truth = np.where(hit, probabilities, 0.0).sum(axis=1)
    with warnings.catch_warnings():
        # Classes that are predicted and never true do not count, which is what is wanted.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        balanced = float(metrics.balanced_accuracy_score(truth, predicted))
    unknown = ~hit.any(axis=1)
    return {
        "accuracy": float(np.mean(truth == predicted)),
        "balanced accuracy": balanced,
        "log loss": float(-np.mean(np.log(np.clip(of_truth, _LEAST, 1.0)))),
        "Brier score": float(np.mean(((probabilities - hit) ** 2).sum(axis=1) + unknown)),
    }


def confusion_of(model: TableModel, truth: Array, predicted: Array) -> tuple[list[Any], Array]:
    """Return labels, those that the model does not know last, and counts of (true, predicted)."""
    known = model.classes
    labels = known + [one for one in np.unique(truth).tolist() if one not in known]
    return labels, np.asarray(metrics.confusion_matrix(truth, predicted, labels=labels))
