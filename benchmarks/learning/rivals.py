"""The rivals as they are measured: each standardises what it needs, fits, predicts, and counts its numbers."""

# `fit`, `predict` and `counts` are what `learning.models.Model` says of them.
# ruff: noqa: D102

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

__all__ = ["Gfdl", "Hpelm", "Scaled", "TunedPerceptron", "count_boosting", "count_linear", "count_perceptron"]

Array = NDArray[Any]


class Scaled:
    """A scikit-learn estimator on standardised inputs and, in regression, a standardised target."""

    def __init__(self, estimator: Any, count: Any, *, classify: bool) -> None:
        self.estimator = estimator
        self.count = count
        self.classify = classify

    def fit(self, x: Array, y: Array) -> Self:
        self.scaler = StandardScaler().fit(x)
        self.mean, self.scale = (0.0, 1.0) if self.classify else (y.mean(), y.std() or 1.0)
        self.estimator.fit(self.scaler.transform(x), y if self.classify else (y - self.mean) / self.scale)
        return self

    def predict(self, x: Array) -> Array:
        result = self.estimator.predict(self.scaler.transform(x))
        return result if self.classify else result * self.scale + self.mean

    def counts(self) -> dict[str, int]:
        return self.count(self.estimator)


def count_linear(estimator: Any) -> dict[str, int]:
    """Count the coefficients of a linear model."""
    return {"hidden": 0, "readout": np.size(estimator.coef_) + np.size(estimator.intercept_), "units": 0, "layers": 0}


def count_perceptron(estimator: Any) -> dict[str, int]:
    """Count weights and biases of a multilayer perceptron; the last layer is its readout."""
    sizes = [w.size + b.size for w, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)]
    units = sum(b.size for b in estimator.intercepts_[:-1])
    return {"hidden": sum(sizes[:-1]), "readout": sizes[-1], "units": units, "layers": len(sizes) - 1}


def count_boosting(estimator: Any) -> dict[str, int]:
    """Count two numbers for each cut of a tree (column and threshold), and as readout one for each leaf."""
    trees = [tree for stage in estimator._predictors for tree in stage]
    leaves = sum(tree.get_n_leaf_nodes() for tree in trees)
    cuts = sum(len(tree.nodes) for tree in trees) - leaves
    return {"hidden": 2 * cuts, "readout": leaves, "units": leaves, "layers": len(trees)}


class TunedPerceptron:
    """Adam-trained perceptron of the best of eight settings on a fifth of the training rows, then fitted on all.

    From 1000 rows on, each fit stops early on a tenth of its rows; below, when the training loss stops falling. After
    `budget` CPU seconds no further setting is tried.
    """

    # Hidden layers, activation, penalty, step size.
    settings = (
        ((100,), "relu", 1e-4, 1e-3),
        ((128, 128), "relu", 1e-2, 3e-3),
        ((256,), "tanh", 1e-4, 3e-3),
        ((256, 256), "relu", 1e-2, 1e-3),
        ((128, 128), "tanh", 1e-2, 3e-3),
        ((256,), "relu", 1e-1, 1e-2),
        ((64, 64, 64), "relu", 1e-3, 3e-3),
        ((256, 128), "relu", 1.0, 1e-3),
    )

    def __init__(self, *, classify: bool, seed: int = 0, budget: float = 300.0) -> None:
        self.classify = classify
        self.seed = seed
        self.budget = budget

    def fit(self, x: Array, y: Array) -> Self:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        start = time.process_time()
        kind = MLPClassifier if self.classify else MLPRegressor
        stratify = y if self.classify and np.unique(y, return_counts=True)[1].min() > 1 else None
        a, b = train_test_split(np.arange(len(x)), test_size=0.2, random_state=self.seed, stratify=stratify)
        large = len(x) >= 1000
        tried = []
        for hidden, activation, penalty, step in self.settings:
            network = kind(
                hidden_layer_sizes=hidden,
                activation=activation,
                alpha=penalty,
                learning_rate_init=step,
                early_stopping=large,
                max_iter=200 if large else 1000,
                n_iter_no_change=15,
                random_state=self.seed,
            )
            trial = Scaled(network, count_perceptron, classify=self.classify).fit(x[a], y[a])
            guess = trial.predict(x[b])
            loss = float((guess != y[b]).mean() if self.classify else ((guess - y[b]) ** 2).mean())
            tried.append((loss, len(tried), network))
            if time.process_time() - start > self.budget:
                break
        self.best = Scaled(clone(min(tried)[2]), count_perceptron, classify=self.classify).fit(x, y)
        return self

    def predict(self, x: Array) -> Array:
        return self.best.predict(x)

    def counts(self) -> dict[str, int]:
        return self.best.counts()


class Hpelm:
    """hpelm: sigmoid and linear neurons, as many as its leave-one-out error (PRESS) keeps of 512.

    With fewer than 1024 training rows it starts from half as many neurons as rows: it interpolates otherwise.
    """

    def __init__(self, *, classify: bool, seed: int = 0, units: int = 512) -> None:
        self.classify = classify
        self.seed = seed
        self.units = units

    def fit(self, x: Array, y: Array) -> Self:
        from hpelm import ELM

        np.random.seed(self.seed)  # noqa: NPY002 - the one generator that it draws from
        self.scaler = StandardScaler().fit(x)
        rows = self.scaler.transform(x)
        if self.classify:
            self.classes, codes = np.unique(y, return_inverse=True)
            targets = np.eye(self.classes.size)[codes]
        else:
            self.mean, self.scale = y.mean(), y.std() or 1.0
            targets = ((y - self.mean) / self.scale)[:, None]
        self.machine = ELM(rows.shape[1], targets.shape[1])
        self.machine.add_neurons(min(self.units, len(x) // 2), "sigm")
        self.machine.add_neurons(rows.shape[1], "lin")
        self.machine.train(rows, targets, *(("c", "LOO") if self.classify else ("LOO",)))
        return self

    def predict(self, x: Array) -> Array:
        scores = self.machine.predict(self.scaler.transform(x))
        return self.classes[scores.argmax(axis=1)] if self.classify else scores[:, 0] * self.scale + self.mean

    def counts(self) -> dict[str, int]:
        neurons = self.machine.nnet.get_neurons()
        units = sum(count for count, *_ in neurons)
        hidden = sum(np.size(w) + np.size(b) for _, _, w, b in neurons)
        return {"hidden": hidden, "readout": int(np.size(self.machine.nnet.get_B())), "units": units, "layers": 1}

    def __getstate__(self) -> dict[str, Any]:
        # Its machine holds open files; the numbers are what a saved model would hold.
        state = {name: value for name, value in self.__dict__.items() if name != "machine"}
        neurons = [(str(kind), np.asarray(w), np.asarray(b)) for _, kind, w, b in self.machine.nnet.get_neurons()]
        return {**state, "neurons": neurons, "B": np.asarray(self.machine.nnet.get_B())}


class Gfdl:
    """gfdl: one layer of 512 tanh units with direct links; the best of five penalties on a fifth of the rows."""

    penalties = (1e-3, 1e-1, 1e1, 1e2, 1e3)

    def __init__(self, *, classify: bool, seed: int = 0, units: int = 512) -> None:
        self.classify = classify
        self.seed = seed
        self.units = units

    def fit(self, x: Array, y: Array) -> Self:
        a, b = train_test_split(np.arange(len(x)), test_size=0.2, random_state=self.seed)
        losses = []
        for penalty in self.penalties:
            guess = self._fitted(x[a], y[a], penalty).predict(x[b])
            losses.append((guess != y[b]).mean() if self.classify else ((guess - y[b]) ** 2).mean())
        self.best = self._fitted(x, y, self.penalties[int(np.argmin(losses))])
        return self

    def _fitted(self, x: Array, y: Array, penalty: float) -> Scaled:
        from gfdl.model import GFDLClassifier, GFDLRegressor

        kind = GFDLClassifier if self.classify else GFDLRegressor
        model = kind(hidden_layer_sizes=(self.units,), activation="tanh", reg_alpha=penalty, seed=self.seed)
        return Scaled(model, self._counted, classify=self.classify).fit(x, y)

    def _counted(self, model: Any) -> dict[str, int]:
        hidden = sum(np.size(w) for w in model.W_) + sum(np.size(b) for b in model.b_)
        return {"hidden": hidden, "readout": int(np.size(model.coeff_)), "units": self.units, "layers": 1}

    def predict(self, x: Array) -> Array:
        result = self.best.predict(x)
        return result if self.classify else np.ravel(result)

    def counts(self) -> dict[str, int]:
        return self.best.counts()
