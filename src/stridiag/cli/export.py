"""`stridiag export`: a described network and the reading of its columns as a module that needs NumPy only."""

from __future__ import annotations

import pprint
from pathlib import Path
from typing import Any

import typer

from stridiag._files import written_whole
from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.model_files import load_model, require_place
from stridiag.nn.network import Network
from stridiag.sklearn import TableModel

__all__ = ["run"]

# Follows what `export_numpy` writes: load(file) and decision(model, rows).
_TABLE = '''

# ---- columns of the table, as they were read in training

import math
import pathlib
from datetime import datetime, timezone

COLUMNS = {columns}
TARGETS = {targets}
CLASSES = {classes}
PAIRED = {paired}
MODEL = load(pathlib.Path(__file__).with_suffix(".npz"))


def number(value, kind):
    """Return a value as a number, NaN where it is missing."""
    text = "" if value is None else str(value).strip()
    if text.lower() in ("", "?", "na", "n/a", "nan", "null", "none"):
        return math.nan
    if kind == "boolean":
        return {{"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}}[text.lower()]
    if kind == "date":
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp() / 86400.0
    return float(text)


def encode(rows):
    """Return the numbers of rows, which are dictionaries such as csv.DictReader gives."""
    numbers = [c for c in COLUMNS if c["kind"] != "category"]
    texts = [c for c in COLUMNS if c["kind"] == "category"]
    result = []
    for row in rows:
        read = [number(row[c["name"]], c["kind"]) for c in numbers]
        line = [c["fill"] if math.isnan(v) else v for c, v in zip(numbers, read)]
        line += [float(math.isnan(v)) for c, v in zip(numbers, read) if c["missing"]]
        for c in texts:
            value = None if row[c["name"]] is None else str(row[c["name"]]).strip()
            value = None if value in ("", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None") else value
            line += [float(value == one) for one in c["frequent"]]
            line += [float(value not in c["frequent"])] * c["rare"]
        result.append(line)
    return np.array(result, np.float64).reshape(len(result), -1)


def predict(rows):
    """Return labels, or numbers, of rows: dictionaries such as csv.DictReader gives."""
    scores = decision(MODEL, encode(rows))
    if not CLASSES:
        return scores[:, 0] if len(TARGETS) == 1 else scores
    if len(TARGETS) > 1:
        return (scores > 0.0).astype(int)
    best = (scores[:, 0] > 0.0).astype(int) if PAIRED else scores.argmax(axis=1)
    return [CLASSES[k] for k in best]


if __name__ == "__main__":
    import csv
    import sys

    for one in predict(list(csv.DictReader(sys.stdin))):
        print(one)
'''


def run(file: Path, output: Path, *, quiet: bool) -> None:
    """Write the module, and its arrays beside it."""
    if output.suffix != ".py":
        raise UsageError(f"--output must end in .py, got {output.name}")
    require_place(output)
    model = load_model(file)
    if not isinstance(model.estimator.model_, Network):
        raise CommandError(
            f"{file} is the model of a recipe, of several parts: only a described network is exported; fit it with "
            "--training random, for example"
        )
    arrays = output.with_suffix(".npz")
    try:
        source = model.estimator.export(arrays)
    except TypeError as error:
        raise CommandError(f"{file} cannot be exported: {error}") from None
    with written_whole(output) as stream:
        stream.write((source + _table_part(model)).encode())
    if not quiet:
        typer.echo(f"{output}, {arrays}: `python {output.name} < rows.csv` needs NumPy only")


def _table_part(model: TableModel) -> str:
    # Names and categories come from data: as literals, they cannot become code.
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "missing": column.missing,
            "fill": column.fill,
            "frequent": list(column.frequent),
            "rare": int(column.rare),
        }
        for column in model.encoding.columns
    ]
    labels: Any = getattr(model.estimator, "labels_", None)
    return _TABLE.format(
        columns=pprint.pformat(columns, width=110, sort_dicts=False),
        targets=pprint.pformat([target.name for target in model.targets], width=110),
        classes=pprint.pformat(model.classes, width=110, compact=True),
        paired=bool(labels is not None and labels.paired),
    )
