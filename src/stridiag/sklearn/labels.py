"""Labels as targets of least squares, and scores as labels and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from stridiag.nn.calibration import brier_score, fit_temperature, log_loss, softmax
from stridiag.nn.storage import storable

__all__ = ["Calibration", "Labels", "as_labels"]

Array = NDArray[Any]


def as_labels(y: Array) -> Array:
    """Return strings that a data frame holds as objects as strings, of which parts can be compared; others as is."""
    return y.astype(str) if y.dtype.kind == "O" and all(isinstance(label, str) for label in y.flat) else y


@storable
@dataclass(frozen=True, slots=True)
class Calibration:
    """How probabilities are made of scores, and how good they are on rows that were left out.

    Parameters
    ----------
    temperature : float
        Divides the scores.
    log_loss : float
        Mean of -log of the true class's probability.
    brier_score : float
        Mean of squared differences to the indicators of the true class, summed over classes: 0 to 2.
    accuracy : float, default nan
        Share of the weight of rows whose true class has the highest score; nan in files of older releases.
    """

    temperature: float
    log_loss: float
    brier_score: float
    accuracy: float = float("nan")


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """How labels are coded: +-1 for each class, or +-1 for each of several labels that a row may have.

    Parameters
    ----------
    classes : ndarray, (n_classes,)
        Sorted; for multi-label targets the numbers of the labels.
    multilabel : bool
        Whether a row may have any number of them.
    paired : bool
        Whether two classes share one column of scores, which is positive for the second.
    """

    classes: Array
    multilabel: bool
    paired: bool

    @classmethod
    def of(cls, y: Array) -> Labels:
        """Find the classes.

        Raises
        ------
        ValueError
            If there are fewer than two classes, or `y` holds no labels.
        """
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multilabel-indicator":
            return cls(np.arange(y.shape[1]), True, False)
        if y.ndim != 1:
            raise ValueError(
                f"y must be labels, (n_samples,), or 0 and 1 for each of several labels, got a {kind} target of shape "
                f"{y.shape}; for several outputs of several classes use sklearn.multioutput.MultiOutputClassifier"
            )
        classes = np.unique(y)
        if classes.size < 2:
            raise ValueError(f"a classifier needs at least two classes, got {classes.size} class: {classes}")
        return cls(classes, False, classes.size == 2)

    def targets(self, y: Array) -> Array:
        """Return +-1 indicators, (n, columns).

        Raises
        ------
        ValueError
            If there is a label that is none of the classes.
        """
        if self.multilabel:
            return np.where(np.asarray(y) > 0, 1.0, -1.0)
        place = np.minimum(np.searchsorted(self.classes, y), self.classes.size - 1)
        unknown = self.classes[place] != y
        if unknown.any():
            raise ValueError(f"y has labels that the fit did not see: {np.unique(y[unknown])}")
        z = np.where(place[:, None] == np.arange(self.classes.size), 1.0, -1.0)
        return z[:, 1:] if self.paired else z

    def names(self, scores: Array) -> Array:
        """Return the labels of highest score, (n,), or 1 for each label of positive score, (n, n_labels)."""
        if self.multilabel:
            return (scores > 0.0).astype(np.int64)
        return np.asarray(self.classes[self._sides(scores).argmax(axis=1)])

    def calibrate(self, scores: Array, targets: Array, weights: Array) -> Calibration:
        """Fit the temperature to scores of rows that did not take part in making them, and say how good that is."""
        sides = self._sides(scores)
        truth = self._sides(targets).argmax(axis=1)
        counts = np.repeat(weights, sides.shape[0] // scores.shape[0])
        temperature = fit_temperature(sides, truth, counts)
        made = softmax(sides, temperature)
        right = float(np.average(sides.argmax(axis=1) == truth, weights=counts))
        return Calibration(temperature, log_loss(made, truth, counts), brier_score(made, truth, counts), right)

    def probabilities(self, scores: Array, temperature: float) -> Array:
        """Return softmax(scores / temperature), (n, n_classes), or the probability of each label, (n, n_labels)."""
        both = softmax(self._sides(scores), temperature)
        return both[:, 1].reshape(scores.shape) if self.multilabel else both

    def _sides(self, scores: Array) -> Array:
        """Return one column for each class; each label of each row is a choice between two."""
        if self.multilabel:
            scores = scores.reshape(-1, 1)
        return np.hstack((-scores, scores)) if self.multilabel or self.paired else scores
