"""What is done to a table before an estimator learns from it, and what is noted of the fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._version import __version__
from stridiag.nn.options import check_name
from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.regressor import StridiagRegressor
from stridiag.sklearn.table_encoding import TableEncoding
from stridiag.sklearn.table_targets import Target, Task, decide_task
from stridiag.tables.values import arrow, as_numbers, require_columns

__all__ = [
    "Prepared",
    "facts_of",
    "made_estimator",
    "now",
    "prepare",
    "read_all_targets",
    "settings_of",
    "split_rows",
    "usable",
]

Array = NDArray[Any]

# A text of more values, in more than half of the rows another one, is hardly a class.
_FEW_CLASSES = 20
_TASKS = ("auto", "classification", "regression")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table as arrays, and how they came about.

    Attributes
    ----------
    x, y, weights : ndarray
        Rows that have targets and weigh something.
    there : ndarray of bool
        Which rows of the table these are.
    inputs : pyarrow.Table
        Their columns, before encoding.
    encoding, targets, task
        How they were read.
    """

    x: Array
    y: Array
    weights: Array | None
    there: Array
    inputs: Any
    encoding: TableEncoding
    targets: tuple[Target, ...]
    task: Task


def prepare(
    table: Any,
    target: str | Sequence[str],
    task: str,
    weight: str | None,
    categorical: Collection[str],
    drop: Collection[str],
    keep: Collection[str],
    max_categories: int,
    say: Callable[[str], object],
) -> Prepared:
    """Choose columns and rows, decide the task, learn the encoding; `TableModel.fit` tells of the parameters."""
    check_name(task, "task", _TASKS)
    names = [target] if isinstance(target, str) else list(target)
    _require_apart(table.column_names, names, weight, drop)
    targets = tuple(Target.of(table[name], name) for name in names)
    there, weights = usable(table, targets, weight)
    left_out = int((~there).sum())
    if left_out == there.size:
        raise ValueError("there is no row with a target" + (" and a weight" if weight else ""))
    if left_out:
        say(f"{left_out:,} of {there.size:,} rows have no target or no weight and are left out")
        table = table.filter(arrow().array(there))
        weights = None if weights is None else weights[there]
    decided = _decided(table, targets, task, say)
    y = read_all_targets(table, targets, decided)
    if decided == "regression":
        for target_, values in zip(targets, y.reshape(y.shape[0], -1).T, strict=True):
            if values.min() == values.max():
                say(f"target {target_.name!r} is {values[0]:.15g} in all rows: there is nothing to learn")
    inputs = table.drop_columns([*names, *([weight] if weight else []), *dict.fromkeys(drop)])
    encoding = TableEncoding.fit(inputs, categorical=categorical, keep=keep, max_categories=max_categories)
    for one in encoding.dropped:
        say(f"column {one.name!r} is not used: {one.reason}")
    for column in encoding.columns:
        if column.kind == "date":
            say(f"column {column.name!r} is read as days since 1970-01-01")
    return Prepared(encoding.transform(inputs), y, weights, there, inputs, encoding, targets, decided)


def facts_of(read: Prepared, estimator: Any, y: Array) -> dict[str, Any]:
    """Return what is known of a fit to the targets `y`."""
    return {
        "stridiag": __version__,
        "created": now(),
        "rows": int(y.shape[0]),
        "rows left out": int((~read.there).sum()),
        "task": read.task,
        "settings": settings_of(estimator),
        "leave-one-out": _left_out_scores(estimator, y),
        "schema": read.encoding.digest,
        "updates": [],
    }


def made_estimator(task: Task, options: Mapping[str, Any] | None) -> Any:
    """Return the estimator for a task; ValueError if it has not all the options."""
    maker: Any = StridiagClassifier if task == "classification" else StridiagRegressor
    options = dict(options or {})
    unknown = sorted(set(options) - set(maker().get_params()))
    if unknown:
        shown = "class_weight (--balanced)" if unknown[0] == "class_weight" else unknown[0]
        raise ValueError(f"{task} has no option {shown}")
    return maker(**options)


def now() -> str:
    """Return date and time."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _require_apart(there: list[str], targets: list[str], weight: str | None, drop: Collection[str]) -> None:
    used = [*targets, *([weight] if weight else []), *drop]
    if not targets:
        raise ValueError("target must name at least one column")
    require_columns(used, there)
    # A column may be dropped twice, which says nothing else.
    once = [*targets, *([weight] if weight else []), *set(drop)]
    twice = sorted({name for name in once if once.count(name) > 1})
    if twice:
        raise ValueError(f"column {twice[0]!r} cannot be used in two ways: as target, weight or not at all")


def usable(table: Any, targets: tuple[Target, ...], weight: str | None) -> tuple[Array, Array | None]:
    """Return in which rows there are targets and a weight other than 0, and the weights of all."""
    there = np.ones(table.num_rows, bool)
    for target in targets:
        there &= ~table[target.name].is_null(nan_is_null=True).to_numpy()
    if weight is None:
        return there, None
    require_columns([weight], table.column_names)
    weights = as_numbers(table[weight], weight, "number")
    return there & ~np.isnan(weights) & (weights != 0.0), weights


def _decided(table: Any, targets: tuple[Target, ...], task: str, say: Callable[[str], object]) -> Task:
    if task == "auto":
        columns = [target.read(table[target.name], "classification")[0] for target in targets]
        decided, reason = decide_task(targets, columns)
        say(f"task: {decided}, since {reason}")
        for target, values in zip(targets, columns, strict=True):
            distinct = len(set(values.tolist())) if target.kind == "text" else 0
            if distinct > max(_FEW_CLASSES, values.size // 2):
                raise ValueError(
                    f"target {target.name!r} is text with {distinct:,} different values in {values.size:,} rows, such "
                    f"as {str(values[0])!r}: numbers must stand without units; if these are classes, ask for task "
                    "classification (--task classification)"
                )
        return decided
    return "classification" if task == "classification" else "regression"


def read_all_targets(table: Any, targets: tuple[Target, ...], task: Task, *, first_row: int = 0) -> Array:
    """Return what is to be predicted, (n,) or (n, n_targets); rows without it must be gone, or count nothing."""
    columns = [target.read(table[target.name], task, first_row=first_row)[0] for target in targets]
    if len(columns) == 1:
        return columns[0]
    if task == "classification":
        for target, values in zip(targets, columns, strict=True):
            if values.dtype.kind not in "bi" or not np.isin(values, (0, 1)).all():
                raise ValueError(
                    f"of several targets to classify each must be 0 or 1, and {target.name!r} is not: "
                    "fit a model for it alone"
                )
        return np.column_stack(columns).astype(np.int64)
    return np.column_stack(columns)


def split_rows(y: Array, holdout: float, task: Task) -> tuple[Array, Array]:
    """Return the numbers of rows to learn from and of those held out, both ascending."""
    rows = np.arange(y.shape[0])
    if holdout == 0.0:
        return rows, rows[:0]
    from sklearn.model_selection import train_test_split

    labels = y if task == "classification" and y.ndim == 1 else None
    # Where a class has a single row, there is nothing to spread evenly.
    if labels is not None and np.unique(labels, return_counts=True)[1].min() < 2:
        labels = None
    kept, held = train_test_split(rows, test_size=holdout, random_state=0, stratify=labels)
    return np.sort(kept), np.sort(held)


def settings_of(estimator: Any) -> dict[str, Any]:
    """Return what was chosen otherwise than by default."""
    defaults = type(estimator)().get_params()
    chosen = {name: value for name, value in estimator.get_params().items() if value != defaults[name]}
    return {name: _plain(value) for name, value in chosen.items() if name not in ("callback", "verbose")}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _left_out_scores(estimator: Any, y: Array) -> dict[str, float]:
    """Return scores at training rows of the readout that was solved without them."""
    if isinstance(estimator, StridiagClassifier):
        found = estimator.calibration_
        return {"accuracy": found.accuracy, "log loss": found.log_loss, "Brier score": found.brier_score}
    errors = estimator._approximate.scores
    squares = float(np.mean(errors**2))
    spread = float(np.mean(np.var(y.reshape(y.shape[0], -1), axis=0)))
    scores = {"RMSE": squares**0.5, "MAE": float(np.mean(errors))}
    return scores | ({"R2": 1.0 - squares / spread} if spread else {})
