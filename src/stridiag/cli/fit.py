"""`stridiag fit`: a table into a model file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.memory import share_of_memory
from stridiag.cli.model_files import require_place
from stridiag.cli.output import note, print_json, rows_shown, steps_shown
from stridiag.nn.training import Progress
from stridiag.sklearn import StridiagRegressor, TableModel, fit_tables, load_checkpoint
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.opening import STDIN
from stridiag.tables.reading import read_table

__all__ = ["FitRequest", "run"]

# Shares of the memory from which on a part at a time is better, and all at once would not do.
_LARGE, _TOO_LARGE = 1 / 8, 1 / 2


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
    stream : bool or None
        Whether the table is read a part at a time; None: not, but that is suggested for a large one.
    checkpoint, checkpoint_every, sample_rows, sample
        See `stridiag.sklearn.fit_tables`.
    words : tuple of str
        The command, for who wants to repeat it.
    """

    data: str
    output: Path
    columns: dict[str, Any]
    options: dict[str, Any]
    form: CsvForm
    stream: bool | None
    checkpoint: Path | None
    checkpoint_every: float
    sample_rows: int
    sample: Literal["random", "first"]
    words: tuple[str, ...]


def run(request: FitRequest, *, as_json: bool, quiet: bool) -> None:
    """Read, fit, write, and say how good it is."""
    require_place(request.output)
    _check_together(request.options)
    started = time.perf_counter()

    def say(sentence: str) -> None:
        note(sentence, quiet=quiet)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = _streamed(request, say, quiet=quiet) if request.stream else _in_memory(request, say, quiet=quiet)
    for one in caught:
        say(f"warning: {one.message}")
    model.facts["source"] = "standard input" if request.data == STDIN else Path(request.data).name
    model.facts["arguments"] = list(request.words)
    model.save(request.output)
    if as_json:
        print_json(told(model, request.output))
        return
    if not quiet:
        typer.echo(_summary(model, request.output, time.perf_counter() - started))


def _in_memory(request: FitRequest, say: Callable[[str], None], *, quiet: bool) -> TableModel:
    if request.stream is None:
        _suggest_streaming(request, say)
    table = read_table(request.data, request.form, request.columns["categorical"], say)
    options = dict(request.options)
    notes: list[str] = []
    with steps_shown("fit", quiet=quiet) as show:
        if show is not None:

            def hook(progress: Progress) -> None:
                show(progress.stage, progress.step, progress.steps)

            options["callback"] = hook
        model = TableModel.fit(table, **request.columns, options=options, note=notes.append)
    for sentence in notes:
        say(sentence)
    model.facts["notes"] = notes
    return model


def _suggest_streaming(request: FitRequest, say: Callable[[str], None]) -> None:
    share = share_of_memory(request.data, request.form)
    if share > _TOO_LARGE:
        raise CommandError(
            f"{request.data} takes {100 * share:.0f} % of this machine's memory, and a fit several times as much: "
            "--stream reads a part at a time (--no-stream insists)"
        )
    if share > _LARGE:
        say(f"{request.data} takes {100 * share:.0f} % of this machine's memory: --stream reads a part at a time")


def _streamed(request: FitRequest, say: Callable[[str], None], *, quiet: bool) -> TableModel:
    if request.data == STDIN:
        raise UsageError("--stream reads the table twice, which standard input cannot give: name a file")
    columns = {name: value for name, value in request.columns.items() if name != "updatable"}
    file = request.checkpoint
    if file is not None:
        require_place(file)
        if file.exists():
            say(f"going on from {file}: {load_checkpoint(file)}")
    with rows_shown("fit", quiet=quiet) as show:
        return fit_tables(
            request.data,
            **columns,
            options=request.options,
            form=request.form,
            sample_rows=request.sample_rows,
            sample=request.sample,
            sample_seed=request.options["random_state"],
            checkpoint=file,
            checkpoint_every=request.checkpoint_every,
            progress=lambda progress: show(progress.step, progress.steps, progress.stage),
            note=say,
        )


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
