"""`stridiag update`: more rows into a model file."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from stridiag.cli.errors import CommandError
from stridiag.cli.fit import told
from stridiag.cli.model_files import load_model, require_place
from stridiag.cli.model_rows import open_rows
from stridiag.cli.output import note, print_json
from stridiag.tables.csv_text import CsvForm

__all__ = ["run"]


def run(
    file: Path, data: str, output: Path | None, weight: str | None, form: CsvForm, *, as_json: bool, quiet: bool
) -> None:
    """Take all rows, then write; where one of them does not fit, the file stays as it was."""
    target = file if output is None else output
    require_place(target)
    model = load_model(file)
    if not model.updatable:
        words = model.facts.get("arguments")
        again = f": {shlex.join(['stridiag', 'fit', *words, '--updatable'])}" if words else " with --updatable"
        raise CommandError(f"{file} was fitted without --updatable and keeps no statistics; fit it again{again}")
    taken, before = 0, list(model.facts["updates"])

    def say(sentence: str) -> None:
        note(sentence, quiet=quiet)

    also = [weight] if weight else []
    with open_rows(model, data, form, quiet=quiet, targets=True, also=also, title="update") as rows:
        for part in rows.parts:
            taken += model.update(part.table, weight=weight, first_row=part.first, note=say)
    if not taken:
        raise CommandError(f"{data} has no row with a target: nothing has changed")
    # However many pieces the rows came in, it was one update.
    model.facts["updates"] = [*before, {**model.facts["updates"][-1], "rows": taken}]
    model.save(target)
    if as_json:
        print_json(told(model, target))
    elif not quiet:
        total = model.facts["rows"] + sum(one["rows"] for one in model.facts["updates"])
        typer.echo(f"{target}: {taken:,} rows more, {total:,} in all")
