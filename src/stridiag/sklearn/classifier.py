"""Classifier of structured networks and solved readouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import column_or_1d

from stridiag.nn.offsets import OffsetSpec
from stridiag.nn.readout import Penalty
from stridiag.nn.training import LeftOut, Progress, as_counts
from stridiag.nn.transforms import Scaling
from stridiag.sklearn.base import Seed
from stridiag.sklearn.checks import as_weights, checked
from stridiag.sklearn.labels import Calibration, Labels, as_labels
from stridiag.sklearn.partial_sums import PartialSums
from stridiag.sklearn.predictor import StridiagPredictor

__all__ = ["StridiagClassifier"]

Array = NDArray[Any]


class StridiagClassifier(ClassifierMixin, StridiagPredictor):  # type: ignore[misc]
    r"""Classifier: structured hidden layers, and a readout by least squares alone. No gradient descent.

    Without options it is the recipe for tables: an average of networks whose units read few inputs each, drawn where
    small networks found the targets to vary, with a penalty by leave-one-out errors and, where that helps, a memory of
    what they got wrong (docs/theory/tables.md). ``image_shape`` switches to the recipe for images
    (docs/theory/images.md). Any of the options from `training` to `scaling` describes one network instead, of layers
    :math:`f(H W^T + b)` with W of a few wrapped diagonals and links, whose readout sees the inputs and the values of
    all layers.

    Parameters
    ----------
    preset : {"auto", "fast", "balanced", "accurate"}, default "auto"
        How much work a recipe does; "balanced" is for images. "auto": "fast", or no recipe where options describe a
        network. Asking for a preset and describing a network at once is an error.
    training : {"random", "residual", "targets", "corrected-targets", "autoencoder", "projection"}, optional
        How the weights of a described network come about; see `stridiag.nn.MODES`. "random": drawn. "targets": solved
        for, neuron by neuron, from labels carried backwards through the layers' structured pseudoinverses; needs
        ``activation="tanh"``. Default "random".
    units : int, optional
        Width of each layer. Default 512.
    layers : int, optional
        Number of layers. Default 3 (regressor: 2).
    offsets : {"ternary", "adjacent", "random", "stencil2d", "auto"} or sequence of int or sequence of such, optional
        Which wrapped diagonals each layer has. "ternary", the default, takes ever longer strides from layer to layer
        (powers of `diagonals`), "adjacent" always neighbours, "random" any; "stencil2d", with `image_shape`, has
        neighbourhoods in an image; "auto" takes what errs least on a quarter of the rows, held out for that. Explicit
        offsets hold for every layer, or for one each.
    diagonals : int, optional
        Wrapped diagonals in a layer: weights for each unit. Default 7 (regressor: 3; stencils: 9); not with explicit
        offsets.
    links : int, optional
        Further weights in each layer. Default 0.
    link_choice : {"random", "correlation"}, optional
        Where these are: anywhere, the default, or where they lower the residual of what the units aim at most (see
        `stridiag.nn.choose_links`); for training by targets or projection.
    shuffle : bool, optional
        Whether layers read their inputs in a random order, the default. False where neighbouring features belong
        together.
    init : {"random", "dominant", "skew"}, optional
        How weights are drawn; the last two bound the condition of each layer (see `stridiag.nn.draw_weight`). Default
        "random".
    tied : bool, optional
        Whether each wrapped diagonal holds one number, as in a convolution. Default False; for ``training="random"``.
    activation : {"tanh", "relu"}, optional
        The function f. Default "tanh".
    scaling : {"standard", "arcsinh"}, optional
        Inputs are brought to mean 0 and deviation 1; "arcsinh", the default (regressor: "standard"), then takes that
        function of them, which leaves the middle linear and compresses rare large entries.
    image_shape : tuple of int, optional
        ``(height, width)``: rows are images, read line by line. Alone: the recipe for images.
    mixing : {"structured", "dense", "auto"}, optional
        Recipe for tables: whether units stand behind a dense map of the inputs, whose numbers are counted; "auto":
        where that lowers leave-one-out errors. Default "structured": they do not.
    memory : {"auto", True, False}, optional
        Recipe for tables: whether the model keeps training rows with their leave-one-out residuals. Default "auto":
        where that lowers the error by more than 0.5 %.
    networks : int, optional
        Recipe for tables: how many networks are averaged. Default by the number
        of rows: 6 to 1, 10 to 3 with "accurate".
    alpha : float, "loo" or "gcv", default "loo"
        Ridge penalty per observation on standardised columns, or how it is chosen: "loo" by the exact errors at each
        row of the fit without it (of large images: on held-out rows); "gcv", for described networks, by
        generalised cross-validation, which saves a pass over the rows but fails on heavy-tailed columns and on columns
        of few levels.
    class_weight : dict, "balanced" or None, default None
        Weights of classes, multiplied with those of samples. "balanced": inversely proportional to their frequencies.
    warm_start : bool, default False
        Whether the next `fit` of a described network starts from the layers of the last one, of whatever `training`.
    random_state : int, RandomState, Generator or None
        Seed of everything random: the same seed gives the same model.
    verbose : int, default 0
        Whether `fit` shows its progress: a bar on a terminal where rich is installed, else a line for each step.
    callback : callable, optional
        Called with a `stridiag.nn.Progress` (stage, step, steps, seconds) after each step of `fit`; what it
        returns is ignored.

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
        The labels.
    model_ : stridiag.nn.Network or stridiag.nn.Ensemble
        What was fitted.
    network_ : stridiag.nn.Network
        The same, where it is a single network.
    n_parameters_ : stridiag.nn.ParameterCount
        ``(hidden, readout, total)`` numbers in the model.
    temperature_ : float
        Divides the scores in `predict_proba`.
    calibration_ : Calibration
        ``(temperature, log_loss, brier_score, accuracy)``, the last three of training rows left out.
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

    A sample weight of 2 is the same as the row given twice (with the recipe for tables: up to sampling), and 0 as the
    row left out; weights of mean below 1 are scaled up to mean 1.

    Cost: see `plan`.

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

    _defaults: ClassVar[dict[str, Any]] = {"units": 512, "layers": 3, "diagonals": 7, "scaling": "arcsinh"}
    _fitted_names: ClassVar[frozenset[str]] = StridiagPredictor._fitted_names | {
        "labels_",
        "calibration_",
        "temperature_",
    }

    def __init__(
        self,
        *,
        preset: Literal["auto", "fast", "balanced", "accurate"] = "auto",
        training: str | None = None,
        units: int | None = None,
        layers: int | None = None,
        offsets: OffsetSpec | Literal["auto"] | None = None,
        diagonals: int | None = None,
        links: int | None = None,
        link_choice: Literal["random", "correlation"] | None = None,
        shuffle: bool | None = None,
        init: Literal["random", "dominant", "skew"] | None = None,
        tied: bool | None = None,
        activation: Literal["tanh", "relu"] | None = None,
        scaling: Scaling | None = None,
        image_shape: tuple[int, int] | None = None,
        mixing: Literal["auto", "dense", "structured"] | None = None,
        memory: bool | Literal["auto"] | None = None,
        networks: int | None = None,
        alpha: Penalty = "loo",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
        callback: Callable[[Progress], object] | None = None,
    ) -> None:
        self.preset = preset
        self.training = training
        self.units = units
        self.layers = layers
        self.offsets = offsets
        self.diagonals = diagonals
        self.links = links
        self.link_choice = link_choice
        self.shuffle = shuffle
        self.init = init
        self.tied = tied
        self.activation = activation
        self.scaling = scaling
        self.image_shape = image_shape
        self.mixing = mixing
        self.memory = memory
        self.networks = networks
        self.alpha = alpha
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that a row may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Finite numbers; at least two rows.
        y : array_like, (n_samples,) or (n_samples, n_labels)
            Labels of any type that sorts, strings too, at least two different ones; or 0 and 1 for each of several
            labels that a row may have.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative; a weight of 2 counts as two rows.

        Returns
        -------
        self
        """
        x, y, weights = self._labelled(X, y, sample_weight)
        labels = Labels.of(y)
        z = labels.targets(y)
        model, left_out = self._fit_model(x, z, weights, regression=False)
        calibration = _calibrate(labels, z, weights, left_out)
        self._keep(model, X)
        self.labels_ = labels
        self.calibration_ = calibration
        self.temperature_ = calibration.temperature
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Take more rows; the readout is that of one fit on all rows so far, given the hidden part.

        The first call makes transform and hidden part of its rows, so these should be typical, and at least a few
        hundred. From then on only the readout changes. With ``alpha="loo"`` its whole penalty, not that for each row,
        stays the one that the first call chose, since leaving rows out needs the rows; "gcv" chooses anew. The
        temperature of `predict_proba` stays that of the first call. Classes may appear later. After `fit`, a first call
        starts anew: `fit` keeps no statistics.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; ``class_weight="balanced"`` needs all rows at once and is refused.
        classes : array_like, optional
            In the first call: labels that will come.

        Returns
        -------
        self

        Notes
        -----
        Cost: n D^2 flops for n rows and D features; the readout, about 9 D^3, is solved when a prediction asks for it.
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' needs all rows at once: give a dict to use partial_fit")
        online = getattr(self, "_online", None)
        if online is None:
            x, y, weights = self._labelled(X, y, sample_weight)
            y = as_labels(y)
            labels = Labels.of(y if classes is None or y.ndim > 1 else np.union1d(y, as_labels(np.asarray(classes))))
            labels = Labels(labels.classes, labels.multilabel, False)
            z = labels.targets(y)
            online, left_out = self._begin(x, z, weights, regression=False)
            calibration = _calibrate(labels, z, weights, left_out)
            self._keep(online.frame, X)
            self.calibration_ = calibration
            self.temperature_ = calibration.temperature
            self._online = online if labels.multilabel else online.named(labels.classes)
            self.labels_ = labels
            self._model = None
        else:
            self.absorb(online.gauges.measure(*self._rows_to_measure(X, y, sample_weight, least=1)))
        return self

    def absorb(self, sums: PartialSums) -> Self:
        """Take rows that were measured elsewhere, of new classes too; the rest is as in `partial_fit`.

        Parameters
        ----------
        sums : stridiag.sklearn.PartialSums
            Of one call of `measurer`, or the sum of several.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the sums are of another model, or there was no first call of `partial_fit`.
        """
        super().absorb(sums)
        assert self._online is not None
        if not self.labels_.multilabel:
            self.labels_ = Labels(np.asarray(self._online.streams[0].classes), False, False)
        return self

    def _later(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int
    ) -> tuple[Array, Array, Array | None]:
        x, labels, weights = self._labelled(X, y, sample_weight, least=least)
        return x, self._indicators(labels) if self.labels_.multilabel else as_labels(labels), weights

    def _labelled(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int = 2
    ) -> tuple[Array, Array, Array | None]:
        """Return rows of positive weight, their labels and weights."""
        x, labels = checked(self, X, y, multi_output=True, least=least)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = column_or_1d(labels, warn=True)
        weights = as_weights(sample_weight, x.shape[0], may_vanish=not least)
        if self.class_weight is not None:
            by_class = self._by_class(labels, part=least < 2)
            weights = by_class if weights is None else weights * by_class
        if weights is not None:
            some = weights > 0.0
            x, labels, weights = x[some], labels[some], weights[some]
        return x, labels, weights

    def _by_class(self, labels: Array, *, part: bool) -> Array:
        """Return what class_weight says of each row."""
        if not (part and isinstance(self.class_weight, dict) and labels.ndim == 1):
            return np.asarray(compute_sample_weight(self.class_weight, labels))
        # Part of the rows need not have every class, on which scikit-learn's function insists.
        factors = np.ones(labels.size)
        for label, factor in self.class_weight.items():
            factors[labels == label] = factor
        return factors

    def _indicators(self, y: Array) -> Array:
        if y.shape[1:] != self.labels_.classes.shape:
            raise ValueError(f"y must have {self.labels_.classes.size} columns of labels, got shape {y.shape}")
        return self.labels_.targets(y)

    @property
    def classes_(self) -> Array:
        """The labels, (n_classes,).

        Raises
        ------
        AttributeError
            Before a fit.
        """
        try:
            return self.labels_.classes
        except AttributeError:
            raise AttributeError("classes_ is known after a fit") from None

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
        if scores.shape[1] == 1:
            return scores[:, 0]
        # After partial_fit two classes have a column each, of which one says all.
        two = self.labels_.classes.size == 2 and not self.labels_.multilabel
        return scores[:, 1] if two else scores

    def predict(self, X: ArrayLike) -> Array:
        """Return the label of highest score for each row, (n_samples,), or indicators, (n_samples, n_labels)."""
        return self.labels_.names(self._decide(X)) if self.__sklearn_is_fitted__() else self._decide(X)

    def predict_proba(self, X: ArrayLike) -> Array:
        r"""Return softmax(scores / temperature), (n_samples, n_classes); rows sum to 1.

        Least-squares scores are not log-odds. The temperature makes them the best probabilities that one
        number can: it minimises the log-loss of leave-one-out scores (`stridiag.nn.fit_temperature`). For
        multi-label targets: the probability of each label by itself.
        """
        scores = self._decide(X)
        return self.labels_.probabilities(scores, self.temperature_)

    def _answer(self) -> tuple[Any, ...]:
        return self.labels_, False


def _calibrate(labels: Labels, z: Array, weights: Array | None, left_out: LeftOut) -> Calibration:
    counts = as_counts(np.ones(z.shape[0]) if weights is None else weights)
    rows = left_out.rows
    return labels.calibrate(left_out.scores, z[rows], counts[rows])
