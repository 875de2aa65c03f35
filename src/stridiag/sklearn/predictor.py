"""What classifier and regressor share: the choice of a recipe, the fitted model, more rows, callables, plans."""

from __future__ import annotations

import copy
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted, validate_data

from stridiag.nn.architecture import Architecture
from stridiag.nn.export import export_numpy
from stridiag.nn.hidden import Hidden
from stridiag.nn.images import train_images
from stridiag.nn.model import Model
from stridiag.nn.network import Network, ParameterCount
from stridiag.nn.options import check_name
from stridiag.nn.readout import Penalty
from stridiag.nn.recipe_plans import plan_images, plan_tabular
from stridiag.nn.selection import choose
from stridiag.nn.tabular import train_tabular
from stridiag.nn.training import LeftOut, train
from stridiag.nn.training_plan import TrainingPlan, plan_training
from stridiag.sklearn.base import DESCRIPTION, StridiagEstimator
from stridiag.sklearn.compiled import CompiledPredictor
from stridiag.sklearn.online import Online
from stridiag.sklearn.partial_sums import Measurer, PartialSums
from stridiag.sklearn.progress import reporter

__all__ = ["StridiagPredictor"]

Array = NDArray[Any]

# Options that only the recipe for tables has: they exclude those that describe a network.
_TABLES = ("mixing", "memory", "networks")
_PRESETS = ("auto", "fast", "balanced", "accurate")


class StridiagPredictor(StridiagEstimator):
    """Options and life of classifier and regressor; `StridiagClassifier` says what the options mean."""

    preset: Any
    mixing: str | None
    memory: bool | str | None
    networks: int | None
    alpha: Penalty

    _fitted_names: ClassVar[frozenset[str]] = frozenset({"_model", "_online", "n_features_in_", "feature_names_in_"})

    def _recipe(self) -> Any:
        """Return the preset, or None for a network that the options describe."""
        check_name(self.preset, "preset", _PRESETS)
        described = [name for name in DESCRIPTION if getattr(self, name) is not None]
        tables = [name for name in _TABLES if getattr(self, name) is not None]
        asked = [f"preset={self.preset!r}"] * (self.preset != "auto") + tables
        if described and asked:
            raise ValueError(f"{asked[0]} belongs to a recipe, which chooses {', '.join(described)} itself")
        if self.image_shape is not None and tables:
            raise ValueError(f"the recipe for images (image_shape) does not know {', '.join(tables)}")
        if described:
            return None
        return "fast" if self.preset == "auto" else self.preset

    def _start(self) -> Hidden | None:
        """Return the hidden part that a warm start begins with."""
        return self.network_.hidden if self.warm_start and hasattr(self, "model_") else None

    # Fitted attributes are set when all is done, so that a fit that fails leaves the estimator as it was.
    def _fit_model(
        self, x: Array, z: Array, weights: Array | None, *, regression: bool, **tables: Any
    ) -> tuple[Model, LeftOut]:
        """Fit what the options ask for; `tables` overrides options of the recipe for tables."""
        recipe = self._recipe()
        with reporter(type(self).__name__, self.verbose, self.callback) as hook:
            common: dict[str, Any] = {"weights": weights, "rng": self._seed(), "progress": hook}
            if recipe is None:
                return self._fit_described(x, z, per_output=regression, **common)
            if self.warm_start:
                raise ValueError("warm_start is for a network that is described, by training and units for example")
            if self.image_shape is not None:
                alpha: Any = "auto" if isinstance(self.alpha, str) and self.alpha == "loo" else self.alpha
                images: dict[str, Any] = {"preset": recipe, "classification": not regression, "alpha": alpha}
                return train_images(x, z, self.image_shape, **images, **common)
            penalty: dict[str, Any] = {"alpha": self.alpha}
            given: dict[str, Any] = {"mixing": "structured", "memory": "auto", "networks": None, "units": None}
            given.update((name, getattr(self, name)) for name in _TABLES if getattr(self, name) is not None)
            given.update(tables)
            return train_tabular(x, z, preset=recipe, classification=not regression, **given, **common, **penalty)

    def _fit_described(self, x: Array, z: Array, *, per_output: bool, **common: Any) -> tuple[Network, LeftOut]:
        mode, candidates = self._mode(), self._architecture(x.shape[1])
        options: dict[str, Any] = {"alpha": self.alpha, "per_output": per_output, "start": self._start()}
        chosen = candidates[0]
        if len(candidates) > 1:

            def fit(one: Architecture, x: Array, z: Array, d: Array, rng: np.random.Generator) -> Network:
                return train(mode, x, z, one, weights=d, rng=rng, **options).model

            chosen = choose(candidates, fit, x, z, common["weights"], rng=common["rng"]).candidate
        return train(mode, x, z, chosen, keep=True, **options, **common)

    def _keep(self, model: Model, X: ArrayLike) -> None:
        validate_data(self, X, skip_check_array=True)
        self._model: Model | None = model
        self._online: Online | None = None

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether there is a model."""
        return getattr(self, "_model", None) is not None or getattr(self, "_online", None) is not None

    @property
    def model_(self) -> Model:
        """The fitted model; after `partial_fit` its readout is solved when it is first asked for.

        Raises
        ------
        AttributeError
            Before a fit.
        """
        if not self.__sklearn_is_fitted__():
            raise AttributeError("model_ is there after a fit")
        if self._model is None:
            assert self._online is not None
            self._model = self._online.model(self.alpha)
        return self._model

    @property
    def n_parameters_(self) -> ParameterCount:
        """``(hidden, readout, total)`` numbers in the model.

        Raises
        ------
        AttributeError
            Before a fit.
        """
        return self.model_.parameter_count()

    @property
    def network_(self) -> Network:
        """The fitted network, where the model is a single one.

        Raises
        ------
        AttributeError
            Before a fit; or if the recipe for tables made the model: see ``model_``.
        """
        model = getattr(self, "model_", None)
        if isinstance(model, Network):
            return model
        raise AttributeError("network_ is there after a fit of a single network; see model_ otherwise")

    def _decide(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        with np.errstate(over="ignore", invalid="ignore"):
            x = validate_data(self, X, reset=False, dtype=np.float64)
        return self.model_.decision(x)

    def _rows_to_measure(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int = 0
    ) -> tuple[Array, Array, Array | None]:
        """Return rows that come after the first call of `partial_fit`, as `_later` does."""
        with np.errstate(over="ignore", invalid="ignore"):
            validate_data(self, X, reset=False, dtype=np.float64, ensure_min_samples=least)
        return self._later(X, y, sample_weight, least=least)

    def measurer(self) -> Measurer:
        """Return a callable that measures rows for `absorb`, here or in other processes and machines.

        ``model.absorb(measurer(X, y, sample_weight))`` is ``model.partial_fit(X, y, sample_weight=sample_weight)``, and
        sums of several parts are added by ``+``, in any order: the model is the same up to rounding.

        Returns
        -------
        stridiag.sklearn.Measurer
            It has the hidden part, and can be pickled.

        Raises
        ------
        ValueError
            Before a first call of `partial_fit`.
        """
        gauges = self._started().gauges
        checker = copy.copy(self)
        # Measuring does without these, and callbacks need not be such that they can be pickled.
        checker.callback = None
        checker._model = checker._online = None
        return Measurer(checker, gauges)

    def absorb(self, sums: PartialSums) -> Self:
        """Take rows that were measured elsewhere; the rest is as in `partial_fit`.

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
        self._online = self._started().absorb(sums)
        self._model = None
        return self

    def _started(self) -> Online:
        online: Online | None = getattr(self, "_online", None)
        if online is None:
            raise ValueError("this needs rows that came by partial_fit, which keeps their statistics; there are none")
        return online

    def _begin(self, x: Array, z: Array, weights: Array | None, *, regression: bool) -> tuple[Online, LeftOut]:
        """Fit the hidden part to the first rows and start their statistics."""
        if self.memory is not None and self.memory is not False:
            raise ValueError(
                f"partial_fit keeps no rows, and so no memory of them: leave memory out, got {self.memory!r}"
            )
        without = {} if self._recipe() is None or self.image_shape is not None else {"memory": False}
        model, left_out = self._fit_model(x, z, weights, regression=regression, **without)
        return Online.begin(model, x, z, weights, per_output=regression), left_out

    def without_statistics(self) -> Self:
        """Return a copy that predicts the same and takes no more rows: smaller, to be sent or saved.

        Statistics of `partial_fit` are p^2 numbers for p features, beside a model of a few thousand.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        """
        check_is_fitted(self)
        light = copy.copy(self)
        light.callback = None
        light._model, light._online = self.model_, None
        return light

    def forget(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Take rows back that came by `partial_fit`: the readout is that of the rows left, given the hidden part.

        Rows of the first call are refused, since transform and hidden part were made of them. What is left is checked
        to be possible, which finds most rows that never came.

        Parameters
        ----------
        X, y, sample_weight
            As they came.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a row is one of the first call, or the rows never came. Nothing has changed then.
        """
        online = self._started()
        self._online = online.forget(*self._rows_to_measure(X, y, sample_weight, least=1))
        self._model = None
        return self

    def _later(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, least: int
    ) -> tuple[Array, Array, Array | None]:
        """Return rows of positive weight that come after the first ones, their labels or targets, and weights.

        With `least` 0 there may be none.
        """
        raise NotImplementedError

    def compile(self) -> CompiledPredictor:
        """Return a callable that predicts without validation, for single rows in a hurry.

        ``compiled(row)`` for a contiguous float64 row, (n_features,), returns what `predict` says of it, and
        ``compiled(rows)`` the same for several. Nothing is checked. It holds the model of now; a later fit does not
        change it.
        """
        check_is_fitted(self)
        return CompiledPredictor(self.model_, *self._answer())

    def _answer(self) -> tuple[Any, ...]:
        """Return labels, or None, and whether an answer for a row is one number."""
        raise NotImplementedError

    def export(self, file: str | PathLike[str]) -> str:
        """Write the arrays of a single network to an ``.npz`` file; return NumPy source that evaluates it.

        See `stridiag.nn.export_numpy`: the source has ``load(file)`` and ``decision(model, rows)``, the scores of
        `decision_function` or the predictions, and needs nothing but NumPy.

        Raises
        ------
        AttributeError
            If a recipe made a model of several parts.
        TypeError
            If the network is of parts that have no such form: of images, or of residual blocks.
        """
        check_is_fitted(self)
        return export_numpy(self.network_, file)

    def plan(self, shape: tuple[int, int], outputs: int = 1) -> TrainingPlan:
        """Return what `fit` will cost, from sizes alone.

        Parameters
        ----------
        shape : tuple of int
            ``X.shape``.
        outputs : int, default 1
            Targets, or classes where there are more than two.

        Returns
        -------
        stridiag.nn.TrainingPlan
            Operations by stage, parameters; ``print`` shows a table. Of the recipe for tables they depend on noise, see
            `stridiag.nn.plan_tabular`: a fit takes between half of them, where there is much, and five times as many,
            where there is none. A memory is not counted.
        """
        recipe = self._recipe()
        if recipe is None:
            training = "random" if self.training is None else self.training
            return plan_training(training, shape, outputs, self._architecture(shape[1])[0], alpha=self.alpha)
        if self.image_shape is not None:
            return plan_images(shape, outputs, self.image_shape, recipe, classification=is_classifier(self))
        mixing: Any = "structured" if self.mixing is None else self.mixing
        return plan_tabular(shape, outputs, recipe, networks=self.networks, mixing=mixing)
