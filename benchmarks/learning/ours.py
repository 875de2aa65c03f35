"""Our estimators: one line for each way to fit them. Lines that this build does not know are named and left out."""

# `fit`, `predict` and `counts` are what `learning.models.Model` says of them.
# ruff: noqa: D102

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from numpy.typing import NDArray

__all__ = ["IMAGE", "LINES", "Line", "Ours", "lines", "missing"]

Array = NDArray[Any]

# Stands for the shape of the data set's images.
IMAGE = "the images' shape"


@dataclass(frozen=True, slots=True)
class Line:
    """One way to fit our estimators.

    Parameters
    ----------
    name : str
        In results and tables.
    options : dict
        Parameters of the estimators.
    control : str
        The name of the model that shows what the way is worth: of a trained way the random one, of a random one
        entries at random places.
    ranks : bool
        Whether the inputs are read beside their empirical distribution functions; the control does so too.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    control: str = "ours"
    ranks: bool = False

    @property
    def images(self) -> bool:
        """Whether only data sets of images have it."""
        return IMAGE in self.options.values()


# Adding a way is adding a line; values of `training` and `preset` without a line get one by themselves.
LINES = (
    Line("ours", {"preset": "fast"}, control="random places (ours)", ranks=True),
    Line("ours, without memory", {"memory": False}, control="ours", ranks=True),
    Line("ours, dense premix", {"mixing": "dense"}, control="ours", ranks=True),
    Line("ours, accurate", {"preset": "accurate"}, control="ours", ranks=True),
    Line("ours, random", {"training": "random"}, control="random places (ours, random)"),
    Line("ours, targets", {"training": "targets"}, control="ours, random"),
    Line("ours, corrected targets", {"training": "corrected-targets"}, control="ours, random"),
    Line("ours, residual", {"training": "residual", "layers": 3}, control="ours, random"),
    Line("ours, autoencoder", {"training": "autoencoder"}, control="ours, random"),
    Line("ours, projection", {"training": "projection"}, control="ours, random"),
    Line("ours, image", {"image_shape": IMAGE}, control="random places (ours, image)"),
    Line("ours, image, balanced", {"image_shape": IMAGE, "preset": "balanced"}, control="ours, image"),
    Line("ours, image, accurate", {"image_shape": IMAGE, "preset": "accurate"}, control="ours, image"),
)
# The parameters whose values are ways of their own.
_DISCOVERED = ("training", "preset")


def lines(estimator: type, table: tuple[Line, ...] = LINES) -> list[Line]:
    """Return the lines that an estimator knows, and one for each value of a way without a line.

    Parameters
    ----------
    estimator : type
        Its ``__init__`` names parameters, and lists what they may be as `typing.Literal`.
    table : tuple of Line
        The lines.
    """
    known = _choices(estimator)
    found = [line for line in table if not _unknown(line, known)]
    for parameter in _DISCOVERED:
        default = inspect.signature(estimator).parameters.get(parameter)
        for value in known.get(parameter) or ():
            listed = any(line.options.get(parameter) == value for line in table)
            if not listed and value is not None and value != default.default:
                found.append(Line(f"ours, {value}", {parameter: value}))
    return found


def missing(estimator: type, table: tuple[Line, ...] = LINES) -> dict[str, str]:
    """Return the names of the lines that an estimator does not know, and why."""
    known = _choices(estimator)
    return {line.name: _unknown(line, known) for line in table if _unknown(line, known)}


def _unknown(line: Line, known: Mapping[str, tuple[Any, ...] | None]) -> str:
    for parameter, value in line.options.items():
        if parameter not in known:
            return f"the estimators have no parameter {parameter}"
        values = known[parameter]
        if values is not None and value != IMAGE and value not in values:
            return f"{parameter} may not be {value!r}"
    return ""


def _choices(estimator: type) -> dict[str, tuple[Any, ...] | None]:
    """Return what each parameter may be; None where any value may do."""
    hints = get_type_hints(estimator.__init__)
    parameters = [name for name in inspect.signature(estimator).parameters if name != "self"]
    return {name: _literals(hints.get(name)) for name in parameters}


def _literals(hint: Any) -> tuple[Any, ...] | None:
    """Return what a hint lists; None where it names a type beside that, or lists nothing."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    parts = [part for part in get_args(hint) if part is not type(None)]
    listed = [_literals(part) for part in parts]
    if not listed or None in listed:
        return None
    return tuple(value for values in listed if values for value in values)


class Ours:
    """One of our estimators with the options of a line."""

    def __init__(
        self, options: Mapping[str, Any], *, classify: bool, image_shape: tuple[int, int] | None, seed: int = 0
    ) -> None:
        from stridiag.sklearn import StridiagClassifier, StridiagRegressor

        chosen = {name: image_shape if value == IMAGE else value for name, value in options.items()}
        kind = StridiagClassifier if classify else StridiagRegressor
        self.estimator = kind(**chosen, random_state=seed)

    def fit(self, x: Array, y: Array) -> Self:
        self.estimator.fit(x, y)
        return self

    def predict(self, x: Array) -> Array:
        return self.estimator.predict(x)

    def counts(self) -> dict[str, int]:
        found, model = self.estimator.n_parameters_, self.estimator.model_
        parts = getattr(model, "members", (model,))
        # Features of stacks and of tables have the inputs beside the units.
        beside = 0 if self.estimator.image_shape is not None else model.inputs.columns
        layers = getattr(parts[0].hidden, "layers", (None,))
        return {
            "hidden": found.hidden,
            "readout": found.readout,
            "units": sum(part.hidden.columns - beside for part in parts),
            "layers": len(layers),
        }
