"""The table of models. Each is a name, its settings in words, and how to build it for a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from learning.ours import Line, lines

__all__ = ["DENSE_UNITS", "Model", "Problem", "models"]

DENSE_UNITS = (16, 64, 128, 256, 512, 1024, 2048, 4096)


class Problem(NamedTuple):
    """What a model may know before it sees the data."""

    classify: bool
    image_shape: tuple[int, int] | None = None
    seed: int = 0
    size: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A way to fit a data set.

    Parameters
    ----------
    name : str
        In results and tables.
    settings : str
        In words: results of other settings are measured anew.
    build : callable
        Makes the object with `fit`, `predict` and `counts` from a `Problem`.
    package : str
        What must be installed.
    images : bool
        Whether it is for images only.
    sized_by : str, optional
        The model whose stored counts on the same split set this one's size.
    """

    name: str
    settings: str
    build: Callable[[Problem], Any]
    package: str = "sklearn"
    images: bool = False
    sized_by: str | None = None


def models(estimator: type | None = None) -> dict[str, Model]:
    """Return all models by name, the cheap ones first.

    Parameters
    ----------
    estimator : type, optional
        Ours, asked for the ways that it knows; without it there are only the rivals.
    """
    table = [
        Model(
            "linear",
            "inputs standardised; ridge of 25 penalties by leave-one-out, or logistic regression, C = 1",
            _linear,
        ),
        Model("histgb", "HistGradientBoosting with its defaults", _boosting),
        *(_dense(units) for units in DENSE_UNITS[:-2]),
        *(model for line in (lines(estimator) if estimator else []) for model in _ours(line)),
        Model(
            "hpelm",
            "up to 512 sigmoid neurons (half the rows) and linear ones, their number by PRESS",
            _hpelm,
            package="hpelm",
        ),
        Model("gfdl", "512 tanh units, direct links, penalty of five on a fifth of the rows", _gfdl, package="gfdl"),
        Model("mlp", "one layer of 100, its defaults; inputs and target standardised", _perceptron),
        *(_dense(units) for units in DENSE_UNITS[-2:]),
        Model(
            "mlp, tuned",
            "the best of 8 settings on a fifth of the training rows, early stopping, no new one after 300 s",
            _tuned,
        ),
    ]
    return {model.name: model for model in table}


def _dense(units: int) -> Model:
    def build(problem: Problem) -> Any:
        from learning.features import DenseFeatures

        return DenseFeatures(units, classify=problem.classify, seed=problem.seed)

    settings = f"{units} dense tanh units, gain of four by leave-one-out on 2000 rows, anchors, leave-one-out readout"
    return Model(f"dense {units}", settings, build, package="stridiag")


def _ours(line: Line) -> list[Model]:
    from learning.ours import Ours

    def build(problem: Problem) -> Any:
        return Ours(line.options, classify=problem.classify, image_shape=problem.image_shape, seed=problem.seed)

    settings = ", ".join(f"{name}={value}" for name, value in line.options.items()) or "defaults"
    made = [Model(line.name, settings, build, package="stridiag", images=line.images)]
    if line.control == f"random places ({line.name})":
        made.append(
            Model(
                line.control,
                f"units, layers and hidden numbers of {line.name}, entries at random places"
                + ", distribution functions" * line.ranks,
                partial(_random_places, ranks=line.ranks),
                package="stridiag",
                images=line.images,
                sized_by=line.name,
            )
        )
    return made


def _random_places(problem: Problem, *, ranks: bool) -> Any:
    from learning.features import RandomPlaces

    size = problem.size or {}
    layers = max(1, size["layers"])
    # A unit has a bias beside its entries.
    entries = max(1, round(size["hidden"] / size["units"] - 1.0))
    return RandomPlaces(size["units"], layers, entries, classify=problem.classify, seed=problem.seed, ranks=ranks)


def _linear(problem: Problem) -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression, RidgeCV

    from learning.rivals import Scaled, count_linear

    linear = LogisticRegression(max_iter=1000) if problem.classify else RidgeCV(np.logspace(-3, 3, 25))
    return Scaled(linear, count_linear, classify=problem.classify)


def _boosting(problem: Problem) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from learning.rivals import Scaled, count_boosting

    kind = HistGradientBoostingClassifier if problem.classify else HistGradientBoostingRegressor
    return Scaled(kind(random_state=problem.seed), count_boosting, classify=problem.classify)


def _perceptron(problem: Problem) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    from learning.rivals import Scaled, count_perceptron

    kind = MLPClassifier if problem.classify else MLPRegressor
    return Scaled(kind(random_state=problem.seed), count_perceptron, classify=problem.classify)


def _tuned(problem: Problem) -> Any:
    from learning.rivals import TunedPerceptron

    return TunedPerceptron(classify=problem.classify, seed=problem.seed)


def _hpelm(problem: Problem) -> Any:
    from learning.rivals import Hpelm

    return Hpelm(classify=problem.classify, seed=problem.seed)


def _gfdl(problem: Problem) -> Any:
    from learning.rivals import Gfdl

    return Gfdl(classify=problem.classify, seed=problem.seed)
