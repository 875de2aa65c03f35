"""Fitted scikit-learn multilayer perceptrons, pruned to structured layers in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_array, check_is_fitted

from stridiag.nn.activations import ACTIVATIONS
from stridiag.nn.calibration import softmax
from stridiag.nn.network_pruning import PrunedNetwork, prune_mlp
from stridiag.nn.readout import Penalty

__all__ = ["PrunedMLPClassifier", "PrunedMLPRegressor", "prune_sklearn"]

Array = NDArray[Any]


class _Pruned(BaseEstimator):  # type: ignore[misc]
    """A predictor that is there already: it has no `fit`."""

    network: PrunedNetwork

    @property
    def n_features_in_(self) -> int:
        """Number of inputs."""
        return self.network.layers[0].inputs

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _decision(self, X: ArrayLike) -> Array:
        return self.network.decision(check_array(X, dtype=np.float64, estimator=self))


class PrunedMLPClassifier(ClassifierMixin, _Pruned):  # type: ignore[misc]
    """Predicts classes as the perceptron did that it was pruned from; made by `prune_sklearn`.

    Parameters
    ----------
    network : PrunedNetwork
        Its outputs are logits.
    classes : ndarray, (n_classes,)
        Labels.
    """

    def __init__(self, network: PrunedNetwork, classes: Array) -> None:
        self.network = network
        self.classes = classes

    @property
    def classes_(self) -> Array:
        """Labels, in the order of the columns of `predict_proba`."""
        return self.classes

    def decision_function(self, X: ArrayLike) -> Array:
        """Return logits, (n,) for two classes and (n, n_classes) for more."""
        logits = self._decision(X)
        return logits[:, 0] if self.classes.size == 2 else logits

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return probabilities, (n, n_classes)."""
        logits = self._decision(X)
        if self.classes.size == 2:
            positive = expit(logits)
            return np.hstack((1.0 - positive, positive))
        return softmax(logits, 1.0)

    def predict(self, X: ArrayLike) -> Array:
        """Return labels, (n,)."""
        return np.asarray(self.classes[self.predict_proba(X).argmax(axis=1)])


class PrunedMLPRegressor(RegressorMixin, _Pruned):  # type: ignore[misc]
    """Predicts numbers as the perceptron did that it was pruned from; made by `prune_sklearn`.

    Parameters
    ----------
    network : PrunedNetwork
        What predicts.
    """

    def __init__(self, network: PrunedNetwork) -> None:
        self.network = network

    def predict(self, X: ArrayLike) -> Array:
        """Return predictions, (n,) or (n, outputs)."""
        values = self._decision(X)
        return values[:, 0] if values.shape[1] == 1 else values


def prune_sklearn(
    mlp: MLPClassifier | MLPRegressor,
    X: ArrayLike,
    *,
    density: float,
    diagonals: int | None = None,
    permute: bool = True,
    alpha: float = 1e-4,
    readout_alpha: Penalty = "loo",
) -> PrunedMLPClassifier | PrunedMLPRegressor:
    """Prune a fitted multilayer perceptron: few entries in each hidden weight, the readout solved again.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        Fitted, with at least one hidden layer of "relu" or "tanh" units. It is not changed.
    X : array_like, (n, n_features)
        Inputs to be true on: training rows, a few thousand or more. Labels are not needed.
    density, diagonals, permute, alpha, readout_alpha
        As for `stridiag.nn.prune_mlp`. ``diagonals=0`` keeps most accuracy.

    Returns
    -------
    PrunedMLPClassifier or PrunedMLPRegressor
        With the methods that predict.

    Raises
    ------
    TypeError
        If it is no multilayer perceptron.
    ValueError
        If its activation is another one, it is a multilabel classifier, or an option is out of range.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from stridiag.sklearn import prune_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier((32, 32), solver="lbfgs", random_state=0, max_iter=1000).fit(X, y)
    >>> small = prune_sklearn(mlp, X, density=0.25)
    >>> round(small.network.density, 2), bool(small.score(X, y) > 0.9)
    (0.25, True)
    """
    if not isinstance(mlp, MLPClassifier | MLPRegressor):
        raise TypeError(f"mlp must be an MLPClassifier or an MLPRegressor, got {type(mlp).__name__}")
    check_is_fitted(mlp)
    if mlp.activation not in ACTIVATIONS:
        raise ValueError(f"the activation must be one of {', '.join(ACTIVATIONS)}, got {mlp.activation!r}")
    classifies = isinstance(mlp, MLPClassifier)
    if classifies and mlp.out_activation_ == "logistic" and mlp.n_outputs_ > 1:
        raise ValueError("a multilabel classifier cannot be pruned: fit one classifier for each label")
    network = prune_mlp(
        [w.T for w in mlp.coefs_], mlp.intercepts_, mlp.activation, check_array(X, dtype=np.float64), density=density,
        diagonals=diagonals, permute=permute, alpha=alpha, readout_alpha=readout_alpha,
    )  # fmt: skip
    return PrunedMLPClassifier(network, mlp.classes_) if classifies else PrunedMLPRegressor(network)
