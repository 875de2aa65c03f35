"""A table read as a whole, with what its columns hold seen from all values."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from stridiag.errors import FileFormatError
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.formats import OpenTable, open_table
from stridiag.tables.opening import Place
from stridiag.tables.values import cleaned, require_apart, typed

__all__ = ["read_table", "say_form"]


def read_table(
    place: Place,
    form: CsvForm,
    texts: Collection[str] = (),
    note: Callable[[str], object] = lambda sentence: None,
) -> Any:
    """Return all rows as an Arrow table.

    Parameters
    ----------
    place : path
        File, or "-" for standard input.
    form : CsvForm
        Of CSV.
    texts : collection of str
        Columns that are texts, even if all values look like numbers.
    note : callable
        Called with a sentence for each decision.

    Raises
    ------
    ValueError
        If it is no table, has no rows, or a column of numbers has odd texts.
    """
    with open_table(place, form) as opened:
        require_apart(opened.names)
        say_form(opened, form, note)
        table = opened.whole()
        if not table.num_rows:
            raise FileFormatError("it has no rows")
        return typed(cleaned(table, opened.form), opened.form, texts)


def say_form(opened: OpenTable, form: CsvForm, note: Callable[[str], object]) -> None:
    """Tell what was seen of CSV that may be wrong."""
    if opened.form.decimal == "," and form.decimal is None:
        note("numbers are read with a decimal comma (--decimal . if that is wrong)")
