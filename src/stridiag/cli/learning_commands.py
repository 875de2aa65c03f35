"""The commands that learn from tables in files: their arguments, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stridiag.cli.errors import UsageError, reported
from stridiag.cli.output import JsonOption, QuietOption

__all__ = ["register"]

_CSV = "How CSV is written"
_ROWS = "Columns and rows"
_RECIPE = "Recipe: chooses the network itself"
_STREAM = "Tables larger than memory"
_NETWORK = "One network, described (excludes a recipe)"

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that `stridiag fit` wrote.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="CSV, Parquet, Arrow or JSON lines, compressed or not; - for standard input.",
    ),
]
Delimiter = Annotated[
    str | None, typer.Option(help="Character between columns; default: seen from the file.", rich_help_panel=_CSV)
]
Decimal = Annotated[
    str | None, typer.Option(help=". or , in numbers; default: seen from the file.", rich_help_panel=_CSV)
]
Thousands = Annotated[
    str | None, typer.Option(help="Character that groups digits, as , in 1,234.5.", rich_help_panel=_CSV)
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT", help="Stands for a missing value, beside NA, ?, null ...; repeatable.", rich_help_panel=_CSV
    ),
]
Weight = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with weights of rows.", rich_help_panel=_ROWS)
]

Preset = Literal["auto", "fast", "accurate"]
Training = Literal["random", "residual", "targets", "corrected-targets", "autoencoder", "projection"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (fit, predict, evaluate, inspect, update, export):
        app.command(rich_help_panel="Learn from tables")(reported(command))


def fit(
    context: typer.Context,
    data: Data,
    target: Annotated[
        list[str], typer.Option("--target", "-t", metavar="COLUMN", help="Column to predict; repeatable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL", help="Model file to write.")],
    task: Annotated[
        Literal["auto", "classification", "regression"],
        typer.Option(help="auto: classes for text, true/false and at most ten different whole numbers."),
    ] = "auto",
    weight: Weight = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Numbers that are names (codes); repeatable.", rich_help_panel=_ROWS),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column that is not looked at; repeatable.", rich_help_panel=_ROWS),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column to use though it looks like a row number or free text; repeatable.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    max_categories: Annotated[
        int,
        typer.Option(min=2, help="Categories of a column that count singly; others are rare.", rich_help_panel=_ROWS),
    ] = 50,
    holdout: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.9,
            help="Share of rows to hold out: honest scores, and intervals with a promise.",
            rich_help_panel=_ROWS,
        ),
    ] = 0.0,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Read a part at a time, for tables larger than memory; also a folder or pattern of files.",
            show_default=False,
            rich_help_panel=_STREAM,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="State to go on from, if the same command is repeated.", rich_help_panel=_STREAM
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="Between two states.", rich_help_panel=_STREAM)
    ] = 60.0,
    sample_rows: Annotated[
        int | None,
        typer.Option(min=2, help="Rows that decide all but the readout.  [default: 20000]", rich_help_panel=_STREAM),
    ] = None,
    sample: Annotated[
        Literal["random", "first"] | None,
        typer.Option(help="first saves a pass, for rows in no order.  [default: random]", rich_help_panel=_STREAM),
    ] = None,
    updatable: Annotated[
        bool,
        typer.Option("--updatable", help="Keep what `stridiag update` needs; a larger file.", rich_help_panel=_ROWS),
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Give all classes the same weight.", rich_help_panel=_ROWS)
    ] = False,
    preset: Annotated[Preset, typer.Option(help="How much work the recipe does.", rich_help_panel=_RECIPE)] = "auto",
    memory: Annotated[
        Literal["auto", "yes", "no"] | None,
        typer.Option(help="Keep training rows with their errors; default: where that helps.", rich_help_panel=_RECIPE),
    ] = None,
    networks: Annotated[
        int | None, typer.Option(min=1, help="How many networks are averaged.", rich_help_panel=_RECIPE)
    ] = None,
    mixing: Annotated[
        Literal["structured", "dense", "auto"] | None,
        typer.Option(help="Whether units stand behind a dense map of the inputs.", rich_help_panel=_RECIPE),
    ] = None,
    training: Annotated[
        Training | None, typer.Option(help="How hidden weights come about.", rich_help_panel=_NETWORK)
    ] = None,
    units: Annotated[int | None, typer.Option(min=1, help="Width of each layer.", rich_help_panel=_NETWORK)] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Number of layers.", rich_help_panel=_NETWORK)] = None,
    offsets: Annotated[
        str | None,
        typer.Option(
            help="Wrapped diagonals: ternary, adjacent, random, auto, or numbers such as -3,0,3.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    diagonals: Annotated[
        int | None, typer.Option(min=1, help="Wrapped diagonals in a layer.", rich_help_panel=_NETWORK)
    ] = None,
    links: Annotated[
        int | None, typer.Option(min=0, help="Further weights in each layer.", rich_help_panel=_NETWORK)
    ] = None,
    link_choice: Annotated[
        Literal["random", "correlation"] | None,
        typer.Option(help="Where links are.", rich_help_panel=_NETWORK),
    ] = None,
    init: Annotated[
        Literal["random", "dominant", "skew"] | None,
        typer.Option(help="How weights are drawn.", rich_help_panel=_NETWORK),
    ] = None,
    activation: Annotated[
        Literal["tanh", "relu"] | None, typer.Option(help="Function of each unit.", rich_help_panel=_NETWORK)
    ] = None,
    scaling: Annotated[
        Literal["standard", "arcsinh"] | None,
        typer.Option(help="What is done to inputs.", rich_help_panel=_NETWORK),
    ] = None,
    penalty: Annotated[
        str, typer.Option(help="loo (leave-one-out), gcv, or a number: ridge penalty for each row.")
    ] = "loo",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of all that is random.")] = 0,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    missing: Missing = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn from a table: texts, dates and missing values are welcome. Writes a model file."""
    from stridiag.cli.fit import FitRequest, run

    options: dict[str, Any] = {
        "preset": preset,
        "training": training,
        "units": units,
        "layers": layers,
        "offsets": _offsets(offsets),
        "diagonals": diagonals,
        "links": links,
        "link_choice": link_choice,
        "init": init,
        "activation": activation,
        "scaling": scaling,
        "mixing": mixing,
        "memory": {"yes": True, "no": False}.get(memory or "", memory),
        "networks": networks,
        "alpha": _penalty(penalty),
        "random_state": seed,
    }
    if balanced:
        options["class_weight"] = "balanced"
    columns: dict[str, Any] = {
        "target": target,
        "task": task,
        "weight": weight,
        "categorical": categorical or (),
        "drop": drop or (),
        "keep": keep or (),
        "max_categories": max_categories,
        "holdout": holdout,
        "updatable": updatable,
    }
    if not stream and (checkpoint or sample_rows or sample):
        named = "--checkpoint" if checkpoint else "--sample-rows" if sample_rows else "--sample"
        raise UsageError(f"{named} is for --stream")
    request = FitRequest(
        data,
        output,
        columns,
        options,
        _form(delimiter, decimal, thousands, missing),
        stream,
        checkpoint,
        checkpoint_every,
        sample_rows or 20_000,
        sample or "random",
        _words(context),
    )
    run(request, as_json=as_json, quiet=quiet)


def predict(
    model: ModelFile,
    data: Data = "-",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="CSV, or by its suffix .parquet, .arrow, .jsonl; default: standard output.",
        ),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities of classes too.")] = False,
    interval: Annotated[
        float | None, typer.Option(metavar="COVERAGE", help="Ends of intervals too, such as 0.9.")
    ] = None,
    copy: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column of the input to copy; repeatable.")
    ] = None,
    copy_all: Annotated[bool, typer.Option("--copy-all", help="Copy all columns of the input.")] = False,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    missing: Missing = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict the rows of a table; a line for each."""
    _check_coverage(interval)
    from stridiag.cli.predict import PredictRequest, run

    form = _form(delimiter, decimal, thousands, missing)
    request = PredictRequest(model, data, output, proba, interval, tuple(copy or ()), copy_all, form)
    run(request, as_json=as_json, quiet=quiet)


def evaluate(
    model: ModelFile,
    data: Data = "-",
    interval: Annotated[
        float | None, typer.Option(metavar="COVERAGE", help="Of the intervals that are checked; default 0.9.")
    ] = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    missing: Missing = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a model on rows whose targets are known."""
    _check_coverage(interval)
    from stridiag.cli.evaluate import run

    form = _form(delimiter, decimal, thousands, missing)
    run(model, data, form, coverage=interval, as_json=as_json, quiet=quiet)


def inspect(model: ModelFile, as_json: JsonOption = False) -> None:
    """Tell what is in a model file: columns, layers, scores, size, speed."""
    from stridiag.cli.inspect import run

    run(model, as_json=as_json)


def update(
    model: ModelFile,
    data: Data = "-",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="MODEL", help="Model file to write; default: the same.")
    ] = None,
    weight: Weight = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    missing: Missing = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add rows to a model that was fitted with --updatable; classes may be new."""
    from stridiag.cli.update import run

    run(model, data, output, weight, _form(delimiter, decimal, thousands, missing), as_json=as_json, quiet=quiet)


def export(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.py", help="Module to write; its arrays go beside it.")
    ],
    quiet: QuietOption = False,
) -> None:
    """Write a described network as Python that needs NumPy only."""
    from stridiag.cli.export import run

    run(model, output, quiet=quiet)


def _form(delimiter: str | None, decimal: str | None, thousands: str | None, missing: list[str] | None) -> Any:
    from stridiag.tables.csv_text import CsvForm

    try:
        return CsvForm("\t" if delimiter in ("\\t", "tab") else delimiter, decimal, thousands, tuple(missing or ()))
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _words(context: typer.Context) -> tuple[str, ...]:
    """Return the options of this command as they were given, in the order of its help."""
    words: list[str] = []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        if parameter.param_type_name == "argument":
            words.insert(0, str(value))
        elif isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [parameter.opts[0], str(one)]
    return tuple(words)


def _check_coverage(coverage: float | None) -> None:
    if coverage is not None and not 0.0 < coverage < 1.0:
        raise UsageError(f"--interval must be between 0 and 1, such as 0.9, got {coverage}")


def _penalty(text: str) -> str | float:
    if text in ("loo", "gcv"):
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--penalty must be loo, gcv or a number, got {text!r}") from None


def _offsets(text: str | None) -> str | tuple[int, ...] | None:
    if text is None or (text.strip().isalnum() and not text.strip().isdigit()):
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--offsets must be a name or whole numbers such as -3,0,3, got {text!r}") from None
