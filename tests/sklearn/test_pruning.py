"""Fitted multilayer perceptrons, pruned."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_friedman1
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

from stridiag.nn.network_pruning import prune_mlp
from stridiag.sklearn.pruning import prune_sklearn

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")


@pytest.mark.parametrize("classes", [2, 10])
def test_classifiers(classes):
    x, y = load_digits(n_class=classes, return_X_y=True)
    names = np.array([f"digit {i}" for i in range(classes)])[y]
    mlp = MLPClassifier((32, 32), max_iter=40, random_state=0).fit(x / 16.0, names)
    small = prune_sklearn(mlp, x / 16.0, density=0.2)
    twin = prune_mlp([w.T for w in mlp.coefs_], mlp.intercepts_, "relu", x / 16.0, density=0.2)
    scores = twin.decision(x / 16.0)
    np.testing.assert_allclose(small.decision_function(x / 16.0), scores[:, 0] if classes == 2 else scores)
    chances = small.predict_proba(x / 16.0)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    np.testing.assert_array_equal(small.predict(x / 16.0), small.classes_[chances.argmax(axis=1)])
    assert small.score(x / 16.0, names) > mlp.score(x / 16.0, names) - 0.03
    # At density 1 probabilities are the perceptron's.
    whole = prune_sklearn(mlp, x / 16.0, density=1.0, alpha=1e-12, readout_alpha=1e-12)
    np.testing.assert_allclose(whole.predict_proba(x / 16.0), mlp.predict_proba(x / 16.0), atol=2e-3)
    assert small.n_features_in_ == 64


@pytest.mark.parametrize("outputs", [1, 2])
def test_regressors(outputs):
    x, y = make_friedman1(400, random_state=0)
    y = y if outputs == 1 else np.column_stack((y, -y))
    shape = {"hidden_layer_sizes": (48,), "activation": "tanh", "solver": "lbfgs"}
    mlp = MLPRegressor(**shape, max_iter=300, random_state=0).fit(x, y)
    small = prune_sklearn(mlp, x, density=0.5, diagonals=0)
    assert small.predict(x).shape == y.shape
    assert small.score(x, y) > mlp.score(x, y) - 0.1


def test_refusals():
    x, y = load_digits(return_X_y=True)
    with pytest.raises(TypeError, match="must be an MLPClassifier"):
        prune_sklearn(object(), x, density=0.1)
    with pytest.raises(NotFittedError):
        prune_sklearn(MLPClassifier(), x, density=0.1)
    with pytest.raises(ValueError, match="activation must be one of"):
        prune_sklearn(MLPClassifier((4,), activation="logistic", max_iter=2).fit(x, y), x, density=0.1)
    with pytest.raises(ValueError, match="multilabel"):
        prune_sklearn(MLPClassifier((4,), max_iter=2).fit(x, np.eye(10, dtype=int)[y]), x, density=0.1)
    with pytest.raises(ValueError, match="density must be"):
        prune_sklearn(MLPClassifier((4,), max_iter=2).fit(x, y), x, density=2.0)
