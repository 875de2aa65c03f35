"""Predictions without validation, for single rows in a hurry."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag.nn.compiled import compile_network
from stridiag.nn.model import Model
from stridiag.sklearn.labels import Labels

__all__ = ["CompiledPredictor"]

Array = NDArray[Any]


class CompiledPredictor:
    """What an estimator predicts, without its checks; made by ``estimator.compile()``.

    Parameters
    ----------
    model : Model
        What `stridiag.nn.compile_network` takes.
    labels : Labels or None
        Of a classifier.
    single : bool
        Whether the answer for one row is one number.
    """

    def __init__(self, model: Model, labels: Labels | None, single: bool) -> None:
        self.scores = compile_network(model)
        self._labels = labels
        self._single = single
        plain = labels is not None and not labels.multilabel
        self._classes = labels.classes if labels is not None and plain else None
        self._paired = labels is not None and labels.paired

    def __call__(self, rows: Array) -> Any:
        """Return the prediction for one row, (n_features,), or for several, (n, n_features)."""
        scores = self.scores(rows)
        if scores.ndim == 1:
            if self._classes is not None:
                return self._classes[int(scores[0] > 0.0) if self._paired else scores.argmax()]
            if self._labels is not None:
                return self._labels.names(scores[None])[0]
            return scores[0] if self._single else scores
        if self._labels is not None:
            return self._labels.names(scores)
        return scores[:, 0] if self._single else scores
