"""`stridiag fit`: a table into a model file."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from stridiag.cli.errors import UsageError
from stridiag.cli.model_files import require_place
from stridiag.cli.output import note, print_json, steps_shown
from stridiag.nn.training import Progress
from stridiag.sklearn import StridiagRegressor, TableModel
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.reading import read_table

__all__ = ["FitRequest", "run"]


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What was asked for.

    Attributes
    ----------
    data, output : str, Path
        Table, and model file.
    columns : dict
        Arguments of `TableModel.fit` that speak of columns and rows.
    options : dict
        Parameters of the estimator.
    form : CsvForm
        Of CSV.
    """

    data: str
    output: Path
    columns: dict[str, Any]
    options: dict[str, Any]
    form: CsvForm


def run(request: FitRequest, *, as_json: bool, quiet: bool) -> None:
    """Read, fit, write, and say how good it is."""
    require_place(request.output)
    _check_together(request.options)
    started = time.perf_counter()

    def say(sentence: str) -> None:
        note(sentence, quiet=quiet)

    table = read_table(request.data, request.form, request.columns["categorical"], say)
    options = dict(request.options)
    with steps_shown("fit", quiet=quiet) as show, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if show is not None:

            def hook(progress: Progress) -> None:
                show(progress.stage, progress.step, progress.steps)

            options["callback"] = hook
        notes: list[str] = []
        model = TableModel.fit(table, **request.columns, options=options, note=notes.append)
    for sentence in [*notes, *(f"warning: {one.message}" for one in caught)]:
        say(sentence)
    model.facts["source"] = "standard input" if request.data == "-" else Path(request.data).name
    model.facts["notes"] = notes
    model.save(request.output)
    if as_json:
        print_json(told(model, request.output))
        return
    if not quiet:
        typer.echo(_summary(model, request.output, time.perf_counter() - started))


def _check_together(options: dict[str, Any]) -> None:
    """Complain about options that exclude each other before a table is read."""
    told_ = {name: value for name, value in options.items() if name not in ("class_weight", "callback")}
    if not isinstance(told_["offsets"], str):
        # Explicit ones must fit the width of the data, which is not known yet.
        told_["offsets"] = None
    try:
        StridiagRegressor(**told_).plan((1000, 10))
    except ValueError as error:
        raise UsageError(str(error)) from None


def told(model: TableModel, file: Path) -> dict[str, Any]:
    """Return what JSON says of a model."""
    count = model.estimator.n_parameters_
    return {
        "model": str(file),
        "bytes": file.stat().st_size,
        "task": model.task,
        "targets": [target.name for target in model.targets],
        "classes": model.classes,
        "updatable": model.updatable,
        "columns": [
            {"name": one.name, "kind": one.kind, "missing": one.missing, "numbers": one.width}
            for one in model.encoding.columns
        ],
        "not used": {one.name: one.reason for one in model.encoding.dropped},
        "inputs": len(model.encoding.names),
        "parameters": {"hidden": count.hidden, "readout": count.readout, "total": count.total},
        **{name: value for name, value in model.facts.items() if name != "task"},
    }


def scores_in_words(scores: dict[str, float]) -> str:
    """Return scores as one phrase.

    Examples
    --------
    >>> from stridiag.cli.fit import scores_in_words
    >>> scores_in_words({"accuracy": 0.98765, "log loss": 0.0561})
    'accuracy 98.77 %, log loss 0.0561'
    """
    return ", ".join(f"{name} {score_in_words(name, value)}" for name, value in scores.items() if name != "rows")


def score_in_words(name: str, value: float) -> str:
    """Return a score with as many digits as matter."""
    if name in ("accuracy", "balanced accuracy", "all labels right") or name.endswith("coverage"):
        return f"{100 * value:.2f} %"
    return f"{value:.4f}" if name == "R2" else f"{value:.4g}"


def _summary(model: TableModel, file: Path, seconds: float) -> str:
    facts, count = model.facts, model.estimator.n_parameters_
    lines = [
        f"{file}: {model.task} of {', '.join(target.name for target in model.targets)} from "
        f"{len(model.encoding.columns)} columns, {facts['rows']:,} rows, {count.total:,} parameters, {seconds:.1f} s",
        f"leave-one-out: {scores_in_words(facts['leave-one-out'])}",
    ]
    if "held out" in facts:
        lines.append(f"on {facts['held out']['rows']:,} rows held out: {scores_in_words(facts['held out'])}")
    return "\n".join(lines)
