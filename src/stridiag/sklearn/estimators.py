"""Classifier and regressor of structured random layers and a solved readout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from stridiag.nn.architecture import Architecture
from stridiag.nn.calibration import fit_temperature, leave_one_out, softmax
from stridiag.nn.modes import MODES
from stridiag.nn.network import Network
from stridiag.nn.offsets import OffsetSpec
from stridiag.nn.options import check_name
from stridiag.nn.readout import Penalty
from stridiag.nn.training import Progress, Trained, as_counts, train
from stridiag.nn.transforms import Scaling
from stridiag.sklearn.checks import as_weights, both_sides, checked

__all__ = ["StridiagClassifier", "StridiagRegressor"]

Array = NDArray[Any]
Seed = int | np.random.RandomState | np.random.Generator | None


class _StridiagEstimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: the options, and the fit of a network."""

    units: int
    layers: int
    offsets: OffsetSpec
    diagonals: int | None
    links: int
    shuffle: bool
    activation: str
    scaling: Scaling
    training: str
    alpha: Penalty
    random_state: Seed
    verbose: int
    callback: Callable[[Progress], object] | None

    # What diagonals=None means for a schedule of offsets.
    _diagonals: ClassVar[int]

    # Fitted attributes are set when all is done, so that a fit that fails leaves the estimator as it was.
    def _train(self, x: Array, z: Array, weights: Array | None, *, per_output: bool, keep: bool) -> Trained:
        mode = MODES[check_name(self.training, "training", MODES)]
        if not isinstance(self.verbose, int | np.integer) or self.verbose < 0:
            raise ValueError(f"verbose must be an integer of at least 0, got {self.verbose!r}")
        if self.callback is not None and not callable(self.callback):
            raise ValueError(f"callback must be callable or None, got {self.callback!r}")
        scheduled = isinstance(self.offsets, str) and self.diagonals is None
        architecture = Architecture(
            units=self.units,
            layers=self.layers,
            offsets=self.offsets,
            diagonals=self._diagonals if scheduled else self.diagonals,
            links=self.links,
            shuffle=self.shuffle,
            activation=self.activation,
            scaling=self.scaling,
        )
        hook = self._report if self.verbose or self.callback is not None else None
        return train(
            mode,
            x,
            z,
            architecture,
            alpha=self.alpha,
            per_output=per_output,
            weights=weights,
            rng=self._seed(),
            progress=hook,
            keep=keep,
        )

    def _seed(self) -> int:
        largest = np.iinfo(np.int32).max
        if isinstance(self.random_state, np.random.Generator):
            return int(self.random_state.integers(largest))
        return int(check_random_state(self.random_state).randint(largest))

    def _keep(self, network: Network, X: ArrayLike) -> None:
        validate_data(self, X, skip_check_array=True)
        self.network_ = network
        self.n_parameters_ = network.parameter_count()

    def _report(self, progress: Progress) -> None:
        if self.verbose:
            print(
                f"[{type(self).__name__}] {progress.step} of {progress.steps}: "
                f"{progress.stage}, {progress.seconds:.2f} s"
            )
        if self.callback is not None:
            self.callback(progress)

    def _decide(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        with np.errstate(over="ignore", invalid="ignore"):
            x = validate_data(self, X, reset=False, dtype=np.float64)
        return self.network_.decision(x)


class StridiagClassifier(ClassifierMixin, _StridiagEstimator):  # type: ignore[misc]
    r"""Classifier: structured random layers, trained by least squares alone.

    Each layer is :math:`f(H W^T + b)` with W of a few wrapped diagonals and links; scores are a ridge
    regression of +-1 class indicators on the inputs and all hidden values [X, H1 ... HT]. There is no
    gradient descent and nothing to tune: the penalty is chosen by exact leave-one-out errors.

    Parameters
    ----------
    units : int, default 512
        Width of each layer.
    layers : int, default 3
        Number of layers.
    offsets : {"ternary", "adjacent"} or sequence of int or sequence of such, default "ternary"
        Which wrapped diagonals each layer has. ``"ternary"`` takes ever longer strides from layer to layer
        (powers of `diagonals`, so that with ``shuffle=False`` ceil(log_d units) layers lead from every unit to
        every unit, and with random orders from most to most), ``"adjacent"`` always neighbours. Explicit
        offsets hold for every layer, or for one each.
    diagonals : int, optional
        Wrapped diagonals in a layer: weights for each unit. Default 7 (regressor: 3); not with explicit
        offsets.
    links : int, default 0
        Further weights in each layer, at random places.
    shuffle : bool, default True
        Whether layers read their inputs in a random order. False where neighbouring features belong together.
    activation : {"tanh", "relu"}, default "tanh"
        The function f.
    scaling : {"standard", "arcsinh"}, default "arcsinh" (regressor: "standard")
        Inputs are brought to mean 0 and deviation 1; ``"arcsinh"`` then takes that function of them, which leaves
        the middle linear and compresses rare large entries.
    training : {"random", "targets"}, default "random"
        ``"random"``: hidden weights are drawn. ``"targets"``: they are solved for, neuron by neuron, from
        labels carried backwards through the layers' structured pseudoinverses; needs ``activation="tanh"``.
    alpha : float, "loo" or "gcv", default "loo"
        Ridge penalty per observation on standardised columns, or how it is chosen: ``"loo"`` by the exact errors
        at each row of the fit without it; ``"gcv"`` by generalised cross-validation, which saves a pass over the
        rows but fails on heavy-tailed columns and on columns of few levels.
    random_state : int, RandomState, Generator or None
        Seed of everything random: the same seed gives the same model.
    verbose : int, default 0
        Whether `fit` prints a line after each step.
    callback : callable, optional
        Called with a `stridiag.nn.Progress` (stage, step, steps, seconds) after each step of `fit`; what it
        returns is ignored.

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
        The labels.
    network_ : stridiag.nn.Network
        Layers, readout and input scaling.
    n_parameters_ : stridiag.nn.ParameterCount
        ``(hidden, readout, total)`` numbers in the model.
    temperature_ : float
        Divides the scores in `predict_proba`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, if X had string names.

    Notes
    -----
    `fit` raises ValueError for unknown options, NaN or infinite numbers, fewer than two rows and fewer than
    two classes; the estimator then is as it was before. Constant columns are ignored. Rows may be fewer than
    features. Columns may have any scale. In rows to be predicted, entries beyond the training range of their
    column by more than half of it are moved to that bound: there is no extrapolation further out.

    A sample weight of 2 is the same as the row given twice, and 0 as the row left out; weights of mean below
    1 are scaled up to mean 1.

    Cost, with N rows, n units, L layers of k weights a unit and D = features + L n: 4 N L n k flops for the
    layers, N D^2 + 9 min(N, D)^3 for the readout (3 N D^2 where N > D, unless ``alpha="gcv"``), and
    N D n_classes for each prediction.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from stridiag.sklearn import StridiagClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = StridiagClassifier(units=200, layers=2, random_state=0).fit(X[:1300], y[:1300])
    >>> bool(model.score(X[1300:], y[1300:]) > 0.93)
    True
    >>> model.n_parameters_
    ParameterCount(hidden=3200, readout=4650, total=7850)
    """

    _diagonals = 7

    def __init__(
        self,
        *,
        units: int = 512,
        layers: int = 3,
        offsets: OffsetSpec = "ternary",
        diagonals: int | None = None,
        links: int = 0,
        shuffle: bool = True,
        activation: Literal["tanh", "relu"] = "tanh",
        scaling: Scaling = "arcsinh",
        training: Literal["random", "targets"] = "random",
        alpha: Penalty = "loo",
        random_state: Seed = None,
        verbose: int = 0,
        callback: Callable[[Progress], object] | None = None,
    ) -> None:
        self.units = units
        self.layers = layers
        self.offsets = offsets
        self.diagonals = diagonals
        self.links = links
        self.shuffle = shuffle
        self.activation = activation
        self.scaling = scaling
        self.training = training
        self.alpha = alpha
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Finite numbers; at least two rows.
        y : array_like, (n_samples,)
            Labels of any type that sorts, strings too; at least two different ones.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative; a weight of 2 counts as two rows.

        Returns
        -------
        self
        """
        x, labels = checked(self, X, y)
        check_classification_targets(labels)
        weights = as_weights(sample_weight, x.shape[0])
        if weights is not None:
            some = weights > 0.0
            x, labels, weights = x[some], labels[some], weights[some]
        classes, index = np.unique(labels, return_inverse=True)
        if classes.size < 2:
            raise ValueError(f"a classifier needs at least two classes, got {classes.size} class: {classes}")
        z = np.where(index[:, None] == np.arange(classes.size), 1.0, -1.0)
        if classes.size == 2:
            z = z[:, 1:]
        network, left = self._train(x, z, weights, per_output=False, keep=True)
        counts = as_counts(np.ones(index.size) if weights is None else weights)
        scores = leave_one_out(z, network.decision(x), left)
        temperature = fit_temperature(both_sides(scores), index, counts)
        self._keep(network, X)
        self.classes_ = classes
        self.temperature_ = temperature
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the scores: the fitted class indicators, about 1 for the class that it is and -1 for others.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray, (n_samples, n_classes), or (n_samples,) for two classes: positive for ``classes_[1]``
        """
        scores = self._decide(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> Array:
        """Return the label of highest score for each row, (n_samples,)."""
        scores = both_sides(self._decide(X))
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    def predict_proba(self, X: ArrayLike) -> Array:
        r"""Return softmax(scores / temperature), (n_samples, n_classes); rows sum to 1.

        Least-squares scores are not log-odds. The temperature makes them the best probabilities that one
        number can: it minimises the log-loss of leave-one-out scores (see
        `stridiag.nn.calibration`).
        """
        return softmax(both_sides(self._decide(X)), self.temperature_)


class StridiagRegressor(RegressorMixin, MultiOutputMixin, _StridiagEstimator):  # type: ignore[misc]
    r"""Regressor: structured random layers, trained by least squares alone.

    Each layer is :math:`f(H W^T + b)` with W of a few wrapped diagonals and links; predictions are a ridge
    regression on the inputs and all hidden values [X, H1 ... HT]. There is no gradient descent and nothing to
    tune: the penalty is chosen by exact leave-one-out errors, for each output by itself.

    Parameters
    ----------
    units : int, default 512
        Width of each layer.
    layers : int, default 2
        Number of layers.
    offsets, diagonals, links, shuffle, activation, scaling, training, alpha, random_state, verbose, callback
        As for `StridiagClassifier`.

    Attributes
    ----------
    network_ : stridiag.nn.Network
        Layers, readout and input scaling; ``network_.readout.score`` estimates the mean squared error on
        new rows, by leaving each training row out.
    n_parameters_ : stridiag.nn.ParameterCount
        ``(hidden, readout, total)`` numbers in the model.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, if X had string names.

    Notes
    -----
    Bad input, sample weights and cost are as for `StridiagClassifier`. A constant target is predicted as
    such.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from stridiag.sklearn import StridiagRegressor
    >>> X, y = make_friedman1(1000, random_state=0)
    >>> model = StridiagRegressor(units=200, random_state=0).fit(X[:800], y[:800])
    >>> bool(model.score(X[800:], y[800:]) > 0.9)
    True
    """

    _diagonals = 3

    def __init__(
        self,
        *,
        units: int = 512,
        layers: int = 2,
        offsets: OffsetSpec = "ternary",
        diagonals: int | None = None,
        links: int = 0,
        shuffle: bool = True,
        activation: Literal["tanh", "relu"] = "tanh",
        scaling: Scaling = "standard",
        training: Literal["random", "targets"] = "random",
        alpha: Penalty = "loo",
        random_state: Seed = None,
        verbose: int = 0,
        callback: Callable[[Progress], object] | None = None,
    ) -> None:
        self.units = units
        self.layers = layers
        self.offsets = offsets
        self.diagonals = diagonals
        self.links = links
        self.shuffle = shuffle
        self.activation = activation
        self.scaling = scaling
        self.training = training
        self.alpha = alpha
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Finite numbers; at least two rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets; predictions have the same form.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative; a weight of 2 counts as two rows.

        Returns
        -------
        self
        """
        x, z = checked(self, X, y, multi_output=True, y_numeric=True)
        z = np.asarray(z, np.float64)
        flat = z.ndim == 1
        weights = as_weights(sample_weight, x.shape[0])
        network, _ = self._train(x, z[:, None] if flat else z, weights, per_output=True, keep=False)
        self._keep(network, X)
        self._flat = flat
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Return predictions, (n_samples,) or (n_samples, n_outputs) as y was.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Rows.
        """
        result = self._decide(X)
        return result[:, 0] if self._flat else result
