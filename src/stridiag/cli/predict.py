"""`stridiag predict`: rows in, rows out, some thousand at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.cli.errors import UsageError
from stridiag.cli.model_files import load_model, require_place
from stridiag.cli.model_rows import open_rows
from stridiag.cli.output import note
from stridiag.cli.row_files import open_output
from stridiag.sklearn import TableModel
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.values import arrow

__all__ = ["PredictRequest", "run"]


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What was asked for.

    Attributes
    ----------
    model, data, output : Path, str, Path or None
        Files; None for standard output.
    probabilities : bool
        Columns of probabilities too.
    coverage : float or None
        Of intervals.
    copy : tuple of str
        Columns of the input that go to the output.
    copy_all : bool
        All of them.
    form : CsvForm
        Of CSV.
    """

    model: Path
    data: str
    output: Path | None
    probabilities: bool
    coverage: float | None
    copy: tuple[str, ...]
    copy_all: bool
    form: CsvForm


def run(request: PredictRequest, *, as_json: bool, quiet: bool) -> None:
    """Predict batch by batch."""
    require_place(request.output)
    model = load_model(request.model)
    if request.probabilities and model.task == "regression":
        raise UsageError("--proba is for classification, and this model predicts numbers: --interval 0.9 gives a range")
    if request.coverage is not None:
        if model.task == "classification":
            raise UsageError("--interval is for regression, and this model predicts classes: take --proba")
        if model.interval_method == "approximate":
            note(
                "intervals are approximate, from leave-one-out errors: fit with --holdout 0.2 for intervals with a "
                "promise",
                quiet=quiet,
            )
    names = _names(model, request)
    copy = None if request.copy_all else tuple(dict.fromkeys(request.copy))
    # A bar would come between the lines of a terminal.
    title = "predict" if request.output is not None else ""
    with open_rows(model, request.data, request.form, quiet=quiet, raw=copy, title=title) as rows:
        copied = rows.names if copy is None else list(copy)
        clash = [name for name in names if name in copied]
        if clash:
            raise UsageError(
                f"the input has a column {clash[0]!r} already, as the predictions are called: copy the others by name "
                "(--copy)"
            )
        with open_output(request.output, [*copied, *names], as_json=as_json) as write:
            last = 0
            for part in rows.parts:
                columns = _predicted(model, part.table, request, part.first)
                write(_beside(part.raw.select(copied), names, columns))
                last += part.table.num_rows
            if not last:
                _write_nothing(model, request, copied, names, write)


def _names(model: TableModel, request: PredictRequest) -> list[str]:
    targets = [target.name for target in model.targets]
    several = len(targets) > 1
    names = [f"prediction_{name}" for name in targets] if several else ["prediction"]
    if request.probabilities:
        names += [f"proba_{_text(label)}" for label in model.classes]
    if request.coverage is not None:
        ends = [f"_{name}" for name in targets] if several else [""]
        names += [f"lower{end}" for end in ends] + [f"upper{end}" for end in ends]
    return names


def _text(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _predicted(model: TableModel, table: Any, request: PredictRequest, first: int) -> list[NDArray[Any]]:
    x = model.encoding.transform(table, first_row=first)
    estimator: Any = model.estimator
    blocks = [estimator.predict(x)]
    if request.probabilities:
        blocks.append(estimator.predict_proba(x))
    if request.coverage is not None:
        blocks += estimator.predict_interval(x, request.coverage, method=model.interval_method)
    return [column for block in blocks for column in np.atleast_2d(block.T)]


def _beside(copied: Any, names: list[str], columns: list[NDArray[Any]]) -> Any:
    pa = arrow()
    arrays = [pa.array(column.tolist() if column.dtype.kind == "U" else column) for column in columns]
    return pa.table([*copied.columns, *arrays], names=[*copied.column_names, *names])


def _write_nothing(model: TableModel, request: PredictRequest, copied: list[str], names: list[str], write: Any) -> None:
    # A file of no rows has its columns all the same.
    pa = arrow()
    label: Any = pa.float64()
    if model.task == "classification":
        label = pa.array(np.asarray(model.classes).tolist()).type if len(model.targets) == 1 else pa.int64()
    types = [pa.string()] * len(copied) + [label] * len(model.targets)
    types += [pa.float64()] * (len(copied) + len(names) - len(types))
    arrays = [pa.array([], kind) for kind in types]
    write(pa.table(arrays, names=[*copied, *names]))
