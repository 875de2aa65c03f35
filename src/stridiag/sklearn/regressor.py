"""Regressor of structured networks and solved readouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin

from stridiag.nn.conformal import Conformal
from stridiag.nn.offsets import OffsetSpec
from stridiag.nn.options import check_name
from stridiag.nn.readout import Penalty
from stridiag.nn.training import Progress
from stridiag.nn.transforms import Scaling
from stridiag.sklearn.base import Seed
from stridiag.sklearn.checks import as_weights, checked
from stridiag.sklearn.predictor import StridiagPredictor

__all__ = ["StridiagRegressor"]

Array = NDArray[Any]


class StridiagRegressor(RegressorMixin, MultiOutputMixin, StridiagPredictor):  # type: ignore[misc]
    """Regressor: structured hidden layers, and a readout by least squares alone. No gradient descent.

    Without options it is the recipe for tables; ``image_shape`` switches to the recipe for images; any of the options
    from `training` to `scaling` describes one network instead. `StridiagClassifier` says more.

    Parameters
    ----------
    preset, training, offsets, diagonals, links, link_choice, shuffle, init, tied, activation, image_shape, mixing, \
memory, networks, alpha, warm_start, random_state, verbose, callback
        As for `StridiagClassifier`. A described network has a penalty for each output.
    units : int, optional
        Width of each layer of a described network. Default 512.
    layers : int, optional
        Number of layers of a described network. Default 2.
    scaling : {"standard", "arcsinh"}, optional
        What is done to the inputs of a described network. Default "standard".

    Attributes
    ----------
    model_, network_, n_parameters_, n_features_in_, feature_names_in_
        As for `StridiagClassifier`; ``network_.readout.score`` estimates the mean squared error on new rows.

    Notes
    -----
    Bad input, sample weights and cost are as for `StridiagClassifier`. A constant target is predicted as
    such. The recipe for tables stops predictions a tenth of the training range beyond it.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from stridiag.sklearn import StridiagRegressor
    >>> X, y = make_friedman1(1200, noise=1.0, random_state=0)
    >>> model = StridiagRegressor(random_state=0).fit(X[:800], y[:800])
    >>> bool(model.score(X[1000:], y[1000:]) > 0.9)
    True

    Intervals that hold nine truths of ten, from rows that the fit did not see:

    >>> lower, upper = model.conformalize(X[800:1000], y[800:1000]).predict_interval(X[1000:], coverage=0.9)
    >>> bool(0.85 < ((lower <= y[1000:]) & (y[1000:] <= upper)).mean() <= 0.95)
    True
    """

    _single: bool
    _split: Conformal | None
    _approximate: Conformal

    _defaults: ClassVar[dict[str, Any]] = {"units": 512, "layers": 2, "diagonals": 3, "scaling": "standard"}
    _fitted_names: ClassVar[frozenset[str]] = StridiagPredictor._fitted_names | {"_single", "_split", "_approximate"}

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
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Finite numbers; at least two rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative; a weight of 2 counts as two rows.

        Returns
        -------
        self
        """
        x, z, weights, single = self._numbers(X, y, sample_weight)
        model, left_out = self._fit_model(x, z, weights, regression=True)
        approximate = Conformal.split(z[left_out.rows], left_out.scores)
        self._keep(model, X)
        self._set(single, approximate)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Take more rows; the readout is that of one fit on all rows so far, given the hidden part.

        The first call makes transform and hidden part of its rows, so these should be typical, and at least a few
        hundred. From then on only the readout changes. With ``alpha="loo"`` its whole penalty, not that for each row,
        stays the one that the first call chose, since leaving rows out needs the rows; "gcv" chooses anew. After `fit`,
        a first call starts anew: `fit` keeps no statistics.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Notes
        -----
        Cost: n D^2 flops for n rows and D features; the readout, about 9 D^3, is solved when a prediction asks for it.
        """
        online = getattr(self, "_online", None)
        if online is None:
            x, z, weights, single = self._numbers(X, y, sample_weight)
            online, left_out = self._begin(x, z, weights, regression=True)
            approximate = Conformal.split(z[left_out.rows], left_out.scores)
            self._keep(online.frame, X)
            self._set(single, approximate)
            self._online = online
        else:
            self.absorb(online.gauges.measure(*self._rows_to_measure(X, y, sample_weight, least=1)))
        self._model = None
        return self

    def _later(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int
    ) -> tuple[Array, Array, Array | None]:
        x, z, weights, _ = self._numbers(X, y, sample_weight, least=least)
        return x, z, weights

    def predict(self, X: ArrayLike) -> Array:
        """Return the predictions, (n_samples,) or (n_samples, n_outputs), as the y of `fit` was."""
        values = self._decide(X)
        return values[:, 0] if self._single else values

    def conformalize(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Measure errors at rows that the fit did not see, for intervals with a promise.

        Parameters
        ----------
        X, y
            Rows that took no part in `fit` and come from where new rows will come from.

        Returns
        -------
        self
        """
        _, z, _, _ = self._numbers(X, y, None, least=1)
        self._split = Conformal.split(z, self._decide(X))
        return self

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.9, *, method: Literal["split", "approximate"] = "split"
    ) -> tuple[Array, Array]:
        """Return intervals that hold the truth with a given probability.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Rows.
        coverage : float, default 0.9
            The probability, between 0 and 1. Intervals are infinite where too few rows were held out to promise it.
        method : {"split", "approximate"}, default "split"
            "split": from the rows that `conformalize` was given. Over rows exchangeable with these the probability is
            at least `coverage`, whatever the model. "approximate": from leave-one-out errors of the training rows, with
            no promise: they are exact for the readout, but the hidden part has seen these rows, and the recipe for
            images has them on few rows only.

        Returns
        -------
        lower, upper : ndarray, as `predict` returns

        Raises
        ------
        ValueError
            If `coverage` is out of range, or "split" is asked for without rows that were held out.
        """
        check_name(method, "method", ("split", "approximate"))
        values = self._decide(X)
        errors = self._split if method == "split" else self._approximate
        if errors is None:
            raise ValueError(
                "intervals with a promise need rows that the fit did not see: call conformalize(X, y) with some, or "
                "take method='approximate'"
            )
        lower, upper = errors.interval(values, coverage)
        return (lower[:, 0], upper[:, 0]) if self._single else (lower, upper)

    def _set(self, single: bool, approximate: Conformal) -> None:
        self._single = single
        self._approximate = approximate
        self._split = None

    def _numbers(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int = 2
    ) -> tuple[Array, Array, Array | None, bool]:
        """Return rows of positive weight, their targets (n, q) and weights, and whether y was one column."""
        x, targets = checked(self, X, y, multi_output=True, y_numeric=True, least=least)
        weights = as_weights(sample_weight, x.shape[0], may_vanish=not least)
        single = targets.ndim == 1
        z = np.asarray(targets, np.float64).reshape(x.shape[0], -1)
        if weights is not None:
            some = weights > 0.0
            x, z, weights = x[some], z[some], weights[some]
        return x, z, weights, single

    def _answer(self) -> tuple[Any, ...]:
        return None, self._single
