"""How good predictions are: the usual scores, added up a block of rows at a time, so that rows need not be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stridiag.sklearn.table_model import TableModel

__all__ = ["Scores"]

Array = NDArray[Any]

# Probabilities of 0 would have an infinite logarithm.
_LEAST = 1e-15
# Widths of intervals that are kept for their median; of more rows, each 2nd, 4th, ... is.
_WIDTHS = 1 << 20


class Scores:
    """Scores of a model on rows with known targets.

    Classes: accuracy, balanced accuracy (mean over classes of the share found), log loss, Brier score (sum over classes
    of squared differences); a class that the model does not know has probability 0, cut off at 1e-15. Several labels:
    accuracy of single labels, share of rows where all are right. Numbers: RMSE, MAE, R2, over several targets their
    means; with intervals, the share of truths in them, and their median width.

    Parameters
    ----------
    model : TableModel
        That predicts.

    Examples
    --------
    >>> from stridiag.sklearn import TableModel
    >>> from stridiag.sklearn.table_scores import Scores
    >>> rows = {"a": [float(k) for k in range(60)], "y": [2.0 * k + 1.5 for k in range(60)]}
    >>> model = TableModel.fit(rows, "y", options={"units": 8, "layers": 1, "random_state": 0})
    >>> scores = Scores(model)
    >>> scores.add([1.0, 2.0], [1.5, 2.5])
    >>> scores.add([4.0], [4.0])
    >>> scores.rows, round(scores.result()["MAE"], 4)
    (3, 0.3333)
    """

    def __init__(self, model: TableModel) -> None:
        self._task = model.task
        self._known = model.classes
        self._several = len(model.targets) > 1
        self.rows = 0
        # Of single labels right, rows right, logarithms, squares.
        self._sums = np.zeros(4)
        self._counts: dict[tuple[Any, Any], int] = {}
        # Of numbers: squared and absolute errors, mean of the truth and squared distances to it.
        self._errors: tuple[Any, Any, Any, Any] = (0.0, 0.0, 0.0, 0.0)
        self._inside = 0
        self._widths: list[Array] = []
        self._stride = 1

    def add(self, truth: Any, predicted: Any, more: Any = None) -> None:
        """Take some rows.

        Parameters
        ----------
        truth, predicted : array_like, (n,) or (n, n_targets)
            Labels or numbers.
        more : ndarray, (n, n_classes), or two arrays, optional
            Probabilities in the order of ``model.classes``, which a classifier needs; or lower and upper ends of
            intervals.
        """
        truth, predicted = np.asarray(truth), np.asarray(predicted)
        if not truth.shape[0]:
            return
        if self._task == "regression":
            self._add_numbers(truth, predicted, more)
        elif self._several:
            clipped = np.clip(np.where(truth > 0, more, 1.0 - more), _LEAST, 1.0)
            right = truth == predicted
            logs, squares = -np.mean(np.log(clipped), axis=1), np.mean(2.0 * (truth - more) ** 2, axis=1)
            self._sums += [right.mean(axis=1).sum(), right.all(axis=1).sum(), logs.sum(), squares.sum()]
        else:
            self._add_labels(truth, predicted, more)
        self.rows += truth.shape[0]

    def _add_labels(self, truth: Array, predicted: Array, probabilities: Array) -> None:
        hit = truth[:, None] == np.asarray(self._known)
        of_truth = np.where(hit, probabilities, 0.0).sum(axis=1)
        unknown = ~hit.any(axis=1)
        squares = ((probabilities - hit) ** 2).sum() + unknown.sum()
        logs = -np.log(np.clip(of_truth, _LEAST, 1.0)).sum()
        right = (truth == predicted).sum()
        self._sums += [right, right, logs, squares]
        true, inverse = np.unique(truth, return_inverse=True)
        labels = np.asarray(self._known)
        order = np.argsort(labels)
        columns = order[np.searchsorted(labels, predicted, sorter=order)]
        pairs, counts = np.unique(inverse.reshape(-1) * labels.size + columns, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            key = true[pair // labels.size].item(), self._known[pair % labels.size]
            self._counts[key] = self._counts.get(key, 0) + count

    def _add_numbers(self, truth: Array, predicted: Array, more: Any) -> None:
        squares, absolute, mean, spread = self._errors
        error, n, m = truth - predicted, truth.shape[0], self.rows
        # Means of parts, and what they are apart, as Chan, Golub and LeVeque add them up.
        part = truth.mean(axis=0)
        apart = part - mean
        spread = spread + ((truth - part) ** 2).sum(axis=0) + apart**2 * (n * m / (n + m))
        mean = mean + apart * (n / (n + m))
        self._errors = squares + (error**2).sum(axis=0), absolute + np.abs(error).sum(axis=0), mean, spread
        if more is None:
            return
        lower, upper = more
        self._inside += int(((lower <= truth) & (truth <= upper)).sum())
        skip = -self.rows % self._stride
        self._widths.append((upper - lower)[skip :: self._stride])
        if sum(part.shape[0] for part in self._widths) > _WIDTHS:
            self._widths = [np.concatenate(self._widths)[::2]]
            self._stride *= 2

    def result(self, coverage: float | None = None) -> dict[str, float]:
        """Return the scores by name; `coverage` is what intervals promise, if there are any."""
        n = self.rows
        if self._task == "regression":
            squares, absolute, _, spread = self._errors
            scores = {"RMSE": float(np.mean(np.sqrt(squares / n))), "MAE": float(np.mean(absolute / n))}
            if n > 1:
                # As scikit-learn: of a constant, 1 if all is right, else 0.
                flat = np.where(squares == 0.0, 1.0, 0.0)
                with np.errstate(divide="ignore", invalid="ignore"):
                    scores["R2"] = float(np.mean(np.where(spread == 0.0, flat, 1.0 - squares / spread)))
            if coverage is not None:
                widths = np.concatenate(self._widths)
                scores[f"{coverage:.4g} interval coverage"] = self._inside / (n * widths[0].size)
                scores["interval width (median)"] = float(np.median(widths))
            return scores
        right, whole, logs, squares = self._sums / n
        if self._several:
            second = {"all labels right": float(whole)}
        else:
            labels, counts = self.confusion()
            of = counts.sum(axis=1)
            found = np.diagonal(counts)[of > 0] / of[of > 0]
            second = {"balanced accuracy": float(found.mean())} if labels else {}
        return {"accuracy": float(right), **second, "log loss": float(logs), "Brier score": float(squares)}

    def confusion(self) -> tuple[list[Any], Array]:
        """Return labels, those that the model does not know last, and counts of (true, predicted)."""
        labels = self._known + sorted({true for true, _ in self._counts} - set(self._known))
        place = {label: k for k, label in enumerate(labels)}
        counts = np.zeros((len(labels), len(labels)), np.int64)
        for (true, predicted), count in self._counts.items():
            counts[place[true], place[predicted]] += count
        return labels, counts
