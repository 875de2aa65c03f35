"""`stridiag evaluate`: how good a model is on rows with known targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.fit import score_in_words
from stridiag.cli.model_files import load_model
from stridiag.cli.output import note, print_json
from stridiag.cli.table_files import Dialect, cleaned, open_rows
from stridiag.cli.tables import Cell, Table
from stridiag.cli.terminal import open_console, print_table
from stridiag.sklearn import TableModel
from stridiag.sklearn.table_columns import require_columns
from stridiag.sklearn.table_scores import confusion_of, scores_of

__all__ = ["run"]

Array = NDArray[Any]

# More classes make a table that nobody reads; --json has it.
_SHOWN_CLASSES = 20


def run(file: Path, data: str, dialect: Dialect, *, coverage: float | None, as_json: bool, quiet: bool) -> None:
    """Predict all rows and compare."""
    model = load_model(file)
    if coverage is not None and model.task == "classification":
        raise UsageError("--interval is for regression, and this model predicts classes")
    truth, predicted, more, missing = _collect(model, data, dialect, 0.9 if coverage is None else coverage)
    if missing:
        note(f"{missing:,} rows have no target and are left out", quiet=quiet)
    if not truth.shape[0]:
        raise CommandError(f"{data} has no row with a target to compare with")
    scores = scores_of(model, truth, predicted, more if model.task == "classification" else None)
    if model.task == "regression":
        lower, upper = more
        inside = (lower <= truth) & (truth <= upper)
        scores[f"{0.9 if coverage is None else coverage:.4g} interval coverage"] = float(np.mean(inside))
        scores["interval width (median)"] = float(np.median(upper - lower))
    confusion = None
    if model.task == "classification" and truth.ndim == 1:
        confusion = confusion_of(model, truth, predicted)
        unknown = [label for label in confusion[0] if label not in model.classes]
        if unknown:
            note(f"classes that the model does not know: {', '.join(map(str, unknown))}", quiet=quiet)
    if as_json:
        content: dict[str, Any] = {"model": str(file), "rows": truth.shape[0], "scores": scores}
        if confusion is not None:
            content["confusion"] = {"labels": confusion[0], "counts": confusion[1]}
        if model.task == "regression":
            content["interval"] = model.interval_method
        print_json(content)
        return
    _print(model, file, truth, scores, confusion)


def _collect(model: TableModel, data: str, dialect: Dialect, coverage: float) -> tuple[Array, Array, Any, int]:
    """Return targets, predictions, and probabilities or ends of intervals of all rows that have targets."""
    parts: list[tuple[Array, ...]] = []
    first = missing = 0
    classes = model.task == "classification"
    with open_rows(data, dialect) as rows:
        model.encoding.require(rows.names)
        require_columns([target.name for target in model.targets], rows.names)
        numbers = [column.name for column in model.encoding.columns if column.kind == "number"]
        numbers += [target.name for target in model.targets if target.kind in ("number", "integer")]
        for raw in rows.tables:
            table = cleaned(raw, rows.dialect, numbers)
            truth, there = model.read_targets(table, first_row=first)
            x = model.encoding.transform(table, first_row=first)[there]
            first += table.num_rows
            missing += int((~there).sum())
            if not x.shape[0]:
                continue
            estimator: Any = model.estimator
            if classes:
                extra: tuple[Array, ...] = (estimator.predict_proba(x),)
            else:
                extra = estimator.predict_interval(x, coverage, method=model.interval_method)
            parts.append((truth[there], estimator.predict(x), *extra))
    if not parts:
        return np.empty(0), np.empty(0), None, missing
    joined = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
    return joined[0], joined[1], joined[2] if classes else (joined[2], joined[3]), missing


def _print(model: TableModel, file: Path, truth: Array, scores: dict[str, float], confusion: Any) -> None:
    console = open_console()
    rows = [[Cell(name), Cell(score_in_words(name, value))] for name, value in scores.items()]
    trained = ""
    if model.task == "regression":
        split = model.interval_method == "split"
        trained = "Intervals come from " + ("rows held out." if split else "leave-one-out errors: approximate.")
    print_table(console, Table(f"{file}, {truth.shape[0]:,} rows", trained, ("score", "value"), rows))
    if confusion is None:
        return
    labels, counts = confusion
    if len(labels) > _SHOWN_CLASSES:
        _print_mistakes(console, labels, counts)
        return
    names = [str(label).lower() if isinstance(label, bool) else str(label) for label in labels]
    body = [
        [Cell(name), *(Cell(f"{count:,}", _tone(i, j, count)) for j, count in enumerate(row))]
        for i, (name, row) in enumerate(zip(names, counts, strict=True))
    ]
    print_table(console, Table("Confusion", "Rows: true; columns: predicted.", ("true", *names), body))


def _tone(i: int, j: int, count: int) -> Any:
    return "good" if i == j else "quiet" if not count else ""


def _print_mistakes(console: Any, labels: list[Any], counts: Array) -> None:
    """Print the commonest mistakes, where a whole table would be too large."""
    wrong = counts - np.diag(np.diag(counts))
    worst = [k for k in np.argsort(wrong, axis=None)[::-1][:10] if wrong.flat[k]]
    rows = []
    for k in worst:
        i, j = divmod(int(k), len(labels))
        share = wrong[i, j] / counts[i].sum()
        rows.append(
            [Cell(f"{labels[i]} taken for {labels[j]}"), Cell(f"{wrong[i, j]:,}"), Cell(f"{100 * share:.1f} %")]
        )
    note_ = f"{len(labels)} classes: the whole table comes with --json."
    print_table(console, Table("Commonest mistakes", note_, ("mistake", "rows", "of the class"), rows))
