"""A model of a table with named columns: how they are read, an estimator, and what is known of its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._version import __version__
from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.regressor import StridiagRegressor
from stridiag.sklearn.saved import save_table_model
from stridiag.sklearn.table_encoding import TableEncoding
from stridiag.sklearn.table_scores import Scores
from stridiag.sklearn.table_targets import Target, Task
from stridiag.sklearn.table_training import (
    facts_of,
    made_estimator,
    now,
    prepare,
    read_all_targets,
    split_rows,
    usable,
)
from stridiag.tables.values import as_table, require_columns

__all__ = ["TableModel"]

Array = NDArray[Any]


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
        if not 0.0 <= holdout < 1.0:
            raise ValueError(f"holdout must be a share of rows, at least 0 and below 1, got {holdout}")
        read = prepare(as_table(rows), target, task, weight, categorical, drop, keep, max_categories, say)
        x, y, weights = read.x, read.y, read.weights
        estimator = made_estimator(read.task, options)
        kept, held = split_rows(y, holdout, read.task)
        learn = estimator.partial_fit if updatable else estimator.fit
        learn(x[kept], y[kept], sample_weight=None if weights is None else weights[kept])
        model = cls(estimator, read.encoding, read.targets, facts_of(read, estimator, y[kept]))
        if held.size:
            model.check_on(x[held], y[held])
        model.facts["seconds"] = round(time.perf_counter() - started, 3)
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
        there, weights = usable(table, self.targets, weight)
        if not there.all() and note is not None:
            note(f"{(~there).sum():,} rows have no target or no weight and are left out")
        if not there.any():
            return 0
        y = read_all_targets(table, self.targets, self.task, first_row=first_row)[there]
        x, weights = x[there], None if weights is None else weights[there]
        before = self.classes
        self.estimator.partial_fit(x, y, sample_weight=weights)
        if isinstance(self.estimator, StridiagRegressor):
            # Their promise was for the model that the held-out rows were measured with.
            self.estimator._split = None
        new = [str(one) for one in self.classes if one not in before]
        if new and note is not None:
            note(f"new classes: {', '.join(new)}")
        self.facts["updates"].append({"rows": int(y.shape[0]), "date": now(), "stridiag": __version__})
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
