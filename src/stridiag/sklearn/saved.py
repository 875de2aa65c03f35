"""Fitted estimators in files: arrays and JSON, see `stridiag.nn.storage`."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from stridiag.errors import FileFormatError
from stridiag.nn import storage
from stridiag.sklearn.table_encoding import TableEncoding
from stridiag.sklearn.table_targets import Target

if TYPE_CHECKING:
    from stridiag.sklearn.base import StridiagEstimator
    from stridiag.sklearn.table_model import TableModel

__all__ = ["SavedEstimator", "from_saved", "load", "save_estimator", "save_table_model", "to_saved"]

_KINDS = ("StridiagClassifier", "StridiagRegressor", "StridiagTransformer")


@storage.storable
@dataclass(frozen=True, slots=True, eq=False)
class SavedEstimator:
    """An estimator's class, its options, and what a fit has set.

    Parameters
    ----------
    kind : str
        Name of the class.
    options : dict
        What ``get_params`` returns, less what no file can hold.
    fitted : dict
        What ``vars`` has beside the options.
    """

    kind: str
    options: dict[str, Any]
    fitted: dict[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, got {self.kind!r}")


@storage.storable
@dataclass(frozen=True, slots=True, eq=False)
class SavedTableModel:
    """A model of tables with named columns.

    Parameters
    ----------
    estimator : SavedEstimator
        A classifier or a regressor.
    encoding : TableEncoding
        How columns become its numbers.
    targets : tuple of Target
        What it predicts.
    facts : dict
        Of its training.
    """

    estimator: SavedEstimator
    encoding: TableEncoding
    targets: tuple[Target, ...]
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        if self.estimator.kind == "StridiagTransformer" or not self.targets:
            raise ValueError("a model of tables needs a classifier or regressor, and targets")


def save_estimator(estimator: StridiagEstimator, file: str | PathLike[str]) -> None:
    """Write a fitted estimator; the parameters are those of ``estimator.save``."""
    storage.save(to_saved(estimator), file)


def save_table_model(model: TableModel, file: str | PathLike[str]) -> None:
    """Write a model of tables; the parameters are those of ``model.save``."""
    content = SavedTableModel(to_saved(model.estimator), model.encoding, model.targets, model.facts)
    storage.save(content, file)


def to_saved(estimator: StridiagEstimator) -> SavedEstimator:
    """Return a fitted estimator as what a file holds of it."""
    options = estimator.get_params(deep=False)
    fitted = {name: value for name, value in vars(estimator).items() if name not in options}
    options["callback"] = None
    if not isinstance(options["random_state"], int | np.integer):
        options["random_state"] = None
    weights = options.get("class_weight")
    if isinstance(weights, dict):
        # Labels of classes need not be strings, as keys in a file are.
        options["class_weight"] = [[key, float(value)] for key, value in weights.items()]
    names = fitted.pop("feature_names_in_", None)
    if names is not None:
        fitted["feature_names_in_"] = np.asarray(names, str)
    return SavedEstimator(type(estimator).__name__, options, fitted)


def _fits(name: str, value: Any) -> bool:
    """Whether a fit may have set that: what is used later without being looked at again."""
    from stridiag.nn.average import Average
    from stridiag.nn.ensemble import Ensemble
    from stridiag.nn.network import FeatureMap, Network

    match name:
        case "_model":
            return value is None or isinstance(value, Network | Average | Ensemble)
        case "map_":
            return isinstance(value, FeatureMap)
        case "n_features_in_":
            return type(value) is int and value >= 0
        case "feature_names_in_":
            return isinstance(value, np.ndarray) and value.ndim == 1
        case "temperature_":
            return isinstance(value, float)
    # Classes of this wing, which have looked at their own fields, and truth values.
    return value is None or isinstance(value, bool) or is_dataclass(value)


def load(file: str | PathLike[str]) -> StridiagEstimator | TableModel:
    """Read a fitted estimator, or a model of tables, that its `save` or the command line wrote.

    Parameters
    ----------
    file : path
        Nothing in it is executed, whoever made it.

    Returns
    -------
    StridiagClassifier, StridiagRegressor, StridiagTransformer or TableModel

    Raises
    ------
    stridiag.errors.FileFormatError
        If it is no such file, or damaged.
    OSError
        If there is none, or it may not be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from stridiag.sklearn import StridiagRegressor, load
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> model = StridiagRegressor(units=32, layers=1, random_state=0).fit(X, X[:, 0] * X[:, 1])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> model.save(path)
    >>> bool((load(path).predict(X) == model.predict(X)).all())
    True
    """
    content = storage.load(file)
    if isinstance(content, SavedEstimator):
        return from_saved(content, file)
    if not isinstance(content, SavedTableModel):
        raise FileFormatError(f"{file} holds a {type(content).__name__}, not an estimator")
    from stridiag.sklearn.table_model import TableModel

    estimator: Any = from_saved(content.estimator, file)
    width = len(content.encoding.names)
    if getattr(estimator, "n_features_in_", None) != width:
        raise FileFormatError(f"{file} has columns that make {width} numbers, and an estimator of others")
    return TableModel(estimator, content.encoding, content.targets, content.facts)


def from_saved(content: SavedEstimator, file: str | PathLike[str]) -> StridiagEstimator:
    """Return the estimator that a file held; `file` is for messages."""
    from stridiag import sklearn as wing

    kind = getattr(wing, content.kind)
    options = dict(content.options)
    if isinstance(options.get("class_weight"), list):
        options["class_weight"] = dict(options["class_weight"])
    try:
        estimator: StridiagEstimator = kind(**options)
    except TypeError as error:
        raise FileFormatError(f"{file} has options that {content.kind} does not know: {error}") from error
    fitted = dict(content.fitted)
    names = fitted.pop("feature_names_in_", None)
    if names is not None:
        fitted["feature_names_in_"] = np.asarray(names, object)
    allowed = kind._fitted_names
    if not set(fitted) <= allowed:
        raise FileFormatError(f"{file} would set {sorted(set(fitted) - allowed)} of {content.kind}, which it has not")
    for name, value in fitted.items():
        if not _fits(name, value):
            raise FileFormatError(f"{file}: {name} of {content.kind} cannot be a {type(value).__name__}")
        setattr(estimator, name, value)
    return estimator
