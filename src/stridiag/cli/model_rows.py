"""Rows of a table as a model reads them, some thousand at a time, with a count of them on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from stridiag.cli.output import rows_shown
from stridiag.sklearn import TableModel
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.formats import open_table
from stridiag.tables.values import arrow, cleaned, require_apart, require_columns

__all__ = ["Part", "RowsOfModel", "open_rows"]


class Part(NamedTuple):
    """Rows as they stand in the file, as the model takes them, and the number of their first."""

    raw: Any
    table: Any
    first: int


class RowsOfModel(NamedTuple):
    """Names of the columns, and the rows."""

    names: list[str]
    parts: Iterator[Part]


@contextmanager
def open_rows(
    model: TableModel,
    place: str,
    form: CsvForm,
    *,
    quiet: bool,
    targets: bool = False,
    also: Collection[str] = (),
    raw: Collection[str] | None = (),
    title: str = "",
) -> Iterator[RowsOfModel]:
    """Open the rows for a model.

    Parameters
    ----------
    model : TableModel
        Whose columns must be there.
    place, form : str, CsvForm
        Table.
    quiet : bool
        Whether no count is shown.
    targets : bool, default False
        Whether those of the model are wanted too.
    also : collection of str
        Columns of further numbers.
    raw : collection of str, or None
        Columns that are wanted as they stand in the file; None for all.
    title : str
        Of the count; none is shown without.
    """
    with open_table(place, form) as opened, rows_shown(title, opened.rows, quiet=quiet or not title) as show:
        names = opened.names
        require_apart(names)
        model.encoding.require(names)
        wanted = [one.name for one in model.targets] if targets else []
        require_columns([*wanted, *also, *(raw or ())], names)
        numbers = {one.name for one in model.encoding.columns if one.kind == "number"} | set(also)
        if targets:
            numbers |= {one.name for one in model.targets if one.kind in ("number", "integer")}
        columns = names if raw is None else {*(one.name for one in model.encoding.columns), *wanted, *also, *raw}
        # As numbers at once, but for what is to be copied as it stands there.
        direct = numbers - set(names if raw is None else raw)
        kinds = dict.fromkeys(direct, arrow().float64())

        def parts() -> Iterator[Part]:
            for first, table in opened.tables(columns, kinds):
                yield Part(table, cleaned(table, opened.form, numbers), first)
                show(first + table.num_rows)

        yield RowsOfModel(names, parts())
