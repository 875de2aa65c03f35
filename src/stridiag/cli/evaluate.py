"""`stridiag evaluate`: how good a model is on rows with known targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.fit import score_in_words
from stridiag.cli.model_files import load_model
from stridiag.cli.model_rows import open_rows
from stridiag.cli.output import note, print_json
from stridiag.cli.tables import Cell, Table
from stridiag.cli.terminal import open_console, print_table
from stridiag.sklearn import TableModel
from stridiag.sklearn.table_scores import Scores
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.opening import shown

__all__ = ["run"]

Array = NDArray[Any]

# More classes make a table that nobody reads; --json has it.
_SHOWN_CLASSES = 20


def run(file: Path, data: str, form: CsvForm, *, coverage: float | None, as_json: bool, quiet: bool) -> None:
    """Predict all rows, some thousand at a time, and compare."""
    model = load_model(file)
    if coverage is not None and model.task == "classification":
        raise UsageError("--interval is for regression, and this model predicts classes")
    share = 0.9 if coverage is None else coverage
    scores, missing = _added_up(model, data, form, share, quiet=quiet)
    if missing:
        note(f"{missing:,} rows have no target and are left out", quiet=quiet)
    if not scores.rows:
        raise CommandError(f"{shown(data)} has no row with a target to compare with")
    result = scores.result(share if model.task == "regression" else None)
    confusion = None
    if model.task == "classification" and len(model.targets) == 1:
        confusion = scores.confusion()
        unknown = [label for label in confusion[0] if label not in model.classes]
        if unknown:
            note(f"classes that the model does not know: {', '.join(map(str, unknown))}", quiet=quiet)
    if as_json:
        content: dict[str, Any] = {"model": str(file), "rows": scores.rows, "scores": result}
        if confusion is not None:
            content["confusion"] = {"labels": confusion[0], "counts": confusion[1]}
        if model.task == "regression":
            content["interval"] = model.interval_method
        print_json(content)
        return
    _print(model, file, scores.rows, result, confusion)


def _added_up(model: TableModel, data: str, form: CsvForm, coverage: float, *, quiet: bool) -> tuple[Scores, int]:
    """Return the scores, and how many rows have no target."""
    scores, missing = Scores(model), 0
    estimator: Any = model.estimator
    with open_rows(model, data, form, quiet=quiet, targets=True, title="evaluate") as rows:
        for part in rows.parts:
            truth, there = model.read_targets(part.table, first_row=part.first)
            x = model.encoding.transform(part.table, first_row=part.first)[there]
            missing += int((~there).sum())
            if not x.shape[0]:
                continue
            if model.task == "classification":
                more = estimator.predict_proba(x)
            else:
                more = estimator.predict_interval(x, coverage, method=model.interval_method)
            scores.add(truth[there], estimator.predict(x), more)
    return scores, missing


def _print(model: TableModel, file: Path, count: int, scores: dict[str, float], confusion: Any) -> None:
    console = open_console()
    rows = [[Cell(name), Cell(score_in_words(name, value))] for name, value in scores.items()]
    trained = ""
    if model.task == "regression":
        split = model.interval_method == "split"
        trained = "Intervals come from " + ("rows held out." if split else "leave-one-out errors: approximate.")
    print_table(console, Table(f"{file}, {count:,} rows", trained, ("score", "value"), rows))
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
