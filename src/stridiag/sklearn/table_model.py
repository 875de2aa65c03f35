"""A model of a table with named columns: how they are read, an estimator, and what is known of its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._version import __version__
from stridiag.nn.options import check_name
from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.regressor import StridiagRegressor
from stridiag.sklearn.saved import save_table_model
from stridiag.tables.values import arrow, as_numbers, as_table, require_columns
from stridiag.sklearn.table_encoding import TableEncoding
from stridiag.sklearn.table_scores import Scores
from stridiag.sklearn.table_targets import Target, Task, decide_task

__all__ = ["TableModel"]

Array = NDArray[Any]

_TASKS = ("auto", "classification", "regression")


class TableModel:
    """A classifier or regressor of tables with named columns: texts, dates and missing values are welcome.

    A table is what offers Arrow's C stream (pyarrow, pandas, polars), or a dictionary of columns. The columns are found
    by their names. The command line's model files hold one of these; `stridiag.sklearn.load` returns it.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        Fitted.
    encoding : TableEncoding
        How columns become its numbers.
    targets : tuple of Target
        What it predicts.
    facts : dict
        Of its training: rows, date, version, scores on rows left out, settings. Numbers and texts only.

    Examples
    --------
    >>> import os, tempfile
    >>> from stridiag.sklearn import TableModel, load
    >>> rows = {
    ...     "size": [float(k % 17) for k in range(300)],
    ...     "color": [("red", "blue", None)[k % 3] for k in range(300)],
    ...     "price": [k % 17 + 5.0 * (k % 3) + 0.25 for k in range(300)],
    ... }
    >>> model = TableModel.fit(rows, "price", options={"random_state": 0})
    >>> model.task, model.encoding.names
    ('regression', ('size', 'color=blue', 'color=red', 'color=missing'))
    >>> path = os.path.join(tempfile.mkdtemp(), "price.stridiag")
    >>> model.save(path)
    >>> [round(float(value)) for value in load(path).predict({"color": ["red", None], "size": [4, 4]})]
    [4, 14]
    """

    def __init__(
        self,
        estimator: StridiagClassifier | StridiagRegressor,
        encoding: TableEncoding,
        targets: tuple[Target, ...],
        facts: dict[str, Any],
    ) -> None:
        self.estimator = estimator
        self.encoding = encoding
        self.targets = targets
        self.facts = facts

    @property
    def task(self) -> Task:
        """Whether it predicts classes or numbers: "classification" or "regression"."""
        return "classification" if isinstance(self.estimator, StridiagClassifier) else "regression"

    @property
    def updatable(self) -> bool:
        """Whether it can take more rows."""
        return getattr(self.estimator, "_online", None) is not None

    @classmethod
    def fit(
        cls,
        rows: Any,
        target: str | Sequence[str],
        *,
        task: Literal["auto", "classification", "regression"] = "auto",
        options: Mapping[str, Any] | None = None,
        weight: str | None = None,
        categorical: Collection[str] = (),
        drop: Collection[str] = (),
        keep: Collection[str] = (),
        max_categories: int = 50,
        holdout: float = 0.0,
        updatable: bool = False,
        note: Callable[[str], object] | None = None,
    ) -> TableModel:
        """Fit a model to a table.

        Parameters
        ----------
        rows : table
            Inputs and targets. Rows without a target, or of weight 0, are left out.
        target : str or sequence of str
            Columns to predict. Several: numbers, or 0 and 1 for each of several labels that a row may have.
        task : {"auto", "classification", "regression"}, default "auto"
            "auto": classification for texts, truth values and at most ten different whole numbers.
        options : mapping, optional
            Parameters of `StridiagClassifier` or `StridiagRegressor`.
        weight : str, optional
            Column with the weights of rows.
        categorical, keep, max_categories
            See `TableEncoding.fit`.
        drop : collection of str
            Columns that are not looked at.
        holdout : float, default 0
            Share of rows that the fit does not see. Scores are measured on them, and intervals have a promise.
        updatable : bool, default False
            Whether `update` may add rows later: the file is larger, and no recipe keeps a memory of rows.
        note : callable, optional
            Called with a sentence for each decision that was made.

        Raises
        ------
        ValueError
            If columns are not there, targets do not fit the task, or options do not go together.
        """
        started = time.perf_counter()
        say = note or (lambda sentence: None)
        table = as_table(rows)
        check_name(task, "task", _TASKS)
        names = [target] if isinstance(target, str) else list(target)
        _require_apart(table.column_names, names, weight, drop)
        if not 0.0 <= holdout < 1.0:
            raise ValueError(f"holdout must be a share of rows, at least 0 and below 1, got {holdout}")
        targets = tuple(Target.of(table[name], name) for name in names)
        there, weights = _usable(table, targets, weight)
        left_out = int((~there).sum())
        if left_out == there.size:
            raise ValueError("there is no row with a target" + (" and a weight" if weight else ""))
        if left_out:
            say(f"{left_out:,} of {there.size:,} rows have no target or no weight and are left out")
            table = table.filter(arrow().array(there))
            weights = None if weights is None else weights[there]
        decided = _decided(table, targets, task, say)
        y = _read_targets(table, targets, decided)
        inputs = table.drop_columns([*names, *([weight] if weight else []), *dict.fromkeys(drop)])
        encoding = TableEncoding.fit(inputs, categorical=categorical, keep=keep, max_categories=max_categories)
        for one in encoding.dropped:
            say(f"column {one.name!r} is not used: {one.reason}")
        for column in encoding.columns:
            if column.kind == "date":
                say(f"column {column.name!r} is read as days since 1970-01-01")
        maker = StridiagClassifier if decided == "classification" else StridiagRegressor
        estimator: Any = _made(maker, dict(options or {}), decided)
        x = encoding.transform(inputs)
        kept, held = _split(y, holdout, decided)
        learn = estimator.partial_fit if updatable else estimator.fit
        learn(x[kept], y[kept], sample_weight=None if weights is None else weights[kept])
        facts: dict[str, Any] = {
            "stridiag": __version__,
            "created": _now(),
            "rows": int(kept.size),
            "rows left out": left_out,
            "task": decided,
            "settings": _settings(estimator),
            "leave-one-out": _left_out_scores(estimator, y[kept]),
            "schema": encoding.digest,
            "updates": [],
        }
        model = cls(estimator, encoding, targets, facts)
        if held.size:
            model.check_on(x[held], y[held])
        facts["seconds"] = round(time.perf_counter() - started, 3)
        return model

    def check_on(self, x: Array, y: Array) -> None:
        """Take scores, and for numbers the width of intervals, from encoded rows that no fit has seen."""
        estimator: Any = self.estimator
        if isinstance(estimator, StridiagRegressor):
            estimator.conformalize(x, y)
        scores = Scores(self)
        scores.add(y, estimator.predict(x), self._probabilities(x))
        self.facts["held out"] = {"rows": int(y.shape[0]), **scores.result()}

    def update(
        self,
        rows: Any,
        *,
        weight: str | None = None,
        first_row: int = 0,
        note: Callable[[str], object] | None = None,
    ) -> int:
        """Take more rows; return how many.

        The readout then is that of one fit on all rows so far; hidden layers and the reading of columns stay. Classes
        may be new, categories that are new count as rare.

        Raises
        ------
        ValueError
            If the model was not fitted with ``updatable=True``, or rows do not fit it. Nothing has changed then.
        """
        if not self.updatable:
            raise ValueError("the model keeps no statistics to add rows to: fit it again with updatable (--updatable)")
        table = as_table(rows)
        require_columns([target.name for target in self.targets], table.column_names)
        # Before rows are left out, so that messages count rows as the caller does.
        x = self.encoding.transform(table, first_row=first_row)
        there, weights = _usable(table, self.targets, weight)
        if not there.all() and note is not None:
            note(f"{(~there).sum():,} rows have no target or no weight and are left out")
        if not there.any():
            return 0
        y = _read_targets(table, self.targets, self.task, first_row=first_row)[there]
        x, weights = x[there], None if weights is None else weights[there]
        before = self.classes
        self.estimator.partial_fit(x, y, sample_weight=weights)
        if isinstance(self.estimator, StridiagRegressor):
            # Their promise was for the model that the held-out rows were measured with.
            self.estimator._split = None
        new = [str(one) for one in self.classes if one not in before]
        if new and note is not None:
            note(f"new classes: {', '.join(new)}")
        self.facts["updates"].append({"rows": int(y.shape[0]), "date": _now(), "stridiag": __version__})
        return int(y.shape[0])

    @property
    def classes(self) -> list[Any]:
        """Labels in the order of `predict_proba`'s columns; names of the targets for several; empty for numbers."""
        if self.task == "regression":
            return []
        if len(self.targets) > 1:
            return [target.name for target in self.targets]
        labels: list[Any] = self.estimator.classes_.tolist()
        return labels

    def predict(self, rows: Any, *, first_row: int = 0) -> Array:
        """Return labels or numbers, (n,), or (n, n_targets) for several targets.

        Parameters
        ----------
        rows : table
            With the columns that the model reads; others are not looked at.
        first_row : int, default 0
            Number of the first row, for messages.
        """
        x = self.encoding.transform(rows, first_row=first_row)
        return np.asarray(self.estimator.predict(x)) if x.shape[0] else self._nothing()

    def predict_proba(self, rows: Any, *, first_row: int = 0) -> Array:
        """Return probabilities, (n, n_classes), in the order of `classes`.

        Raises
        ------
        ValueError
            If the model predicts numbers.
        """
        if not isinstance(self.estimator, StridiagClassifier):
            # What is wrong is the question, not the type of an argument.
            raise ValueError(  # noqa: TRY004
                "probabilities are for classification; this model predicts numbers: ask for intervals"
            )
        x = self.encoding.transform(rows, first_row=first_row)
        return self.estimator.predict_proba(x) if x.shape[0] else np.empty((0, len(self.classes)))

    def predict_interval(self, rows: Any, coverage: float = 0.9, *, first_row: int = 0) -> tuple[Array, Array]:
        """Return lower and upper ends of intervals, as `predict` returns: see `interval_method`.

        Raises
        ------
        ValueError
            If the model predicts classes, or `coverage` is not between 0 and 1.
        """
        if not isinstance(self.estimator, StridiagRegressor):
            raise ValueError(  # noqa: TRY004
                "intervals are for regression; this model predicts classes: ask for probabilities"
            )
        x = self.encoding.transform(rows, first_row=first_row)
        if not x.shape[0]:
            return self._nothing(), self._nothing()
        return self.estimator.predict_interval(x, coverage, method=self.interval_method)

    @property
    def interval_method(self) -> Literal["split", "approximate"]:
        """Whence intervals come: "split", with a promise, from rows held out; or "approximate", see the regressor."""
        return "approximate" if getattr(self.estimator, "_split", None) is None else "split"

    def read_targets(self, rows: Any, *, first_row: int = 0) -> tuple[Array, Array]:
        """Return what is to be predicted, and in which rows it is not missing."""
        table = as_table(rows)
        require_columns([target.name for target in self.targets], table.column_names)
        read = [target.read(table[target.name], self.task, first_row=first_row) for target in self.targets]
        there = ~np.any([missing for _, missing in read], axis=0)
        values = [values for values, _ in read]
        return (np.column_stack(values) if len(values) > 1 else values[0]), there

    def save(self, file: str | PathLike[str]) -> None:
        """Write it to a file of arrays and JSON, nothing that could be executed; `stridiag.sklearn.load` reads it."""
        save_table_model(self, file)

    def _probabilities(self, x: Array) -> Array | None:
        return self.estimator.predict_proba(x) if isinstance(self.estimator, StridiagClassifier) else None

    def _nothing(self) -> Array:
        shape = (0,) if len(self.targets) == 1 else (0, len(self.targets))
        return np.empty(shape, np.float64 if self.task == "regression" else self.estimator.labels_.classes.dtype)


def _made(maker: Any, options: dict[str, Any], task: Task) -> Any:
    unknown = sorted(set(options) - set(maker().get_params()))
    if unknown:
        shown = "class_weight (--balanced)" if unknown[0] == "class_weight" else unknown[0]
        raise ValueError(f"{task} has no option {shown}")
    return maker(**options)


def _now() -> str:
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


def _usable(table: Any, targets: tuple[Target, ...], weight: str | None) -> tuple[Array, Array | None]:
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
        return decided
    return "classification" if task == "classification" else "regression"


def _read_targets(table: Any, targets: tuple[Target, ...], task: Task, *, first_row: int = 0) -> Array:
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


def _split(y: Array, holdout: float, task: Task) -> tuple[Array, Array]:
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


def _settings(estimator: Any) -> dict[str, Any]:
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
