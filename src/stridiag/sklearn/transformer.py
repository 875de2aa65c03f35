"""Features of structured hidden layers, for estimators of other makers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from stridiag.nn.modes import MODES, UNSUPERVISED
from stridiag.nn.network import FeatureMap
from stridiag.nn.offsets import OffsetSpec
from stridiag.nn.options import check_name
from stridiag.nn.training import Progress, train_features
from stridiag.nn.transforms import Scaling
from stridiag.sklearn.base import Seed, StridiagEstimator
from stridiag.sklearn.checks import as_weights, checked
from stridiag.sklearn.labels import Labels
from stridiag.sklearn.progress import reporter

__all__ = ["StridiagTransformer"]

Array = NDArray[Any]


class StridiagTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, StridiagEstimator):  # type: ignore[misc]
    """Features of structured hidden layers [X, H1 ... HT], for a readout of another maker.

    Parameters
    ----------
    training, offsets, diagonals, links, link_choice, shuffle, init, tied, activation, scaling, image_shape, \
warm_start, random_state, verbose, callback
        As for `StridiagClassifier`, with ``scaling="standard"`` and 3 diagonals. "random" and "autoencoder" do not look
        at targets; the other modes need them. `image_shape` is for ``offsets="stencil2d"``, with ``shuffle=False``.
    units : int, optional
        Width of each layer. Default 512.
    layers : int, optional
        Number of layers. Default 1.

    Attributes
    ----------
    map_ : stridiag.nn.FeatureMap
        Input transform and hidden part.
    n_features_in_, feature_names_in_
        As for `StridiagClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import RidgeClassifierCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from stridiag.sklearn import StridiagTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(StridiagTransformer(units=400, random_state=0), RidgeClassifierCV([1, 10, 100]))
    >>> bool(model.fit(X[:1300], y[:1300]).score(X[1300:], y[1300:]) > 0.93)
    True
    """

    map_: FeatureMap

    _defaults: ClassVar[dict[str, Any]] = {"units": 512, "layers": 1, "diagonals": 3, "scaling": "standard"}
    _fitted_names: ClassVar[frozenset[str]] = frozenset({"map_", "n_features_in_", "feature_names_in_"})

    def __init__(
        self,
        *,
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
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
        callback: Callable[[Progress], object] | None = None,
    ) -> None:
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
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Make the hidden part.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Finite numbers; at least two rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs), optional
            Labels or numbers, for modes of training that need targets; others do not look at them.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative; a weight of 2 counts as two rows.

        Returns
        -------
        self
        """
        name = check_name("random" if self.training is None else self.training, "training", MODES)
        if name in UNSUPERVISED:
            with np.errstate(over="ignore", invalid="ignore"):
                x = check_array(X, dtype=np.float64, ensure_min_samples=2, estimator=self)
            z = np.zeros((x.shape[0], 1))
        elif y is None:
            raise ValueError(f"training={name!r} needs targets y; {UNSUPERVISED} do not")
        else:
            x, targets = checked(self, X, y, multi_output=True)
            kind = type_of_target(targets)
            numbers = kind.startswith("continuous")
            z = (
                np.asarray(targets, np.float64).reshape(x.shape[0], -1)
                if numbers
                else Labels.of(targets).targets(targets)
            )
        weights = as_weights(sample_weight, x.shape[0])
        architectures = self._architecture(x.shape[1])
        if len(architectures) > 1:
            raise ValueError("offsets='auto' is chosen by what a readout makes of it: here say which, got 'auto'")
        start = self.map_.hidden if self.warm_start and hasattr(self, "map_") else None
        with reporter(type(self).__name__, self.verbose, self.callback) as hook:
            fitted = train_features(
                MODES[name], x, z, architectures[0], weights=weights, rng=self._seed(), progress=hook, start=start
            )
        validate_data(self, X, skip_check_array=True)
        self.map_ = fitted
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the features [X, H1 ... HT], (n_samples, columns), X standardised."""
        check_is_fitted(self)
        with np.errstate(over="ignore", invalid="ignore"):
            x = validate_data(self, X, reset=False, dtype=np.float64)
        return self.map_.features(x)

    @property
    def _n_features_out(self) -> int:
        return self.map_.hidden.columns

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether there is a hidden part."""
        return hasattr(self, "map_")

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn whether targets are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.training is not None and self.training not in UNSUPERVISED
        return tags
