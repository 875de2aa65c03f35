"""Columns of Arrow tables as arrays: numbers with NaN, texts with None; and what texts from CSV mean.

Everything that offers Arrow's C stream is a table: those of pyarrow, pandas and polars among others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._extras import require
from stridiag._validate import nearest
from stridiag.tables.csv_text import CsvForm

__all__ = [
    "Kind",
    "arrow",
    "as_numbers",
    "as_table",
    "as_texts",
    "cleaned",
    "first_odd",
    "is_text",
    "kind_of",
    "require_apart",
    "require_columns",
    "typed",
]

Array = NDArray[Any]
Kind = Literal["number", "integer", "boolean", "date", "text"]

_DAY = 86_400_000_000
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_GROUPED = r"^[+-]?\d{1,3}([,' ]\d{3})+(\.\d+)?$"
# A text column of mostly numbers is a column of numbers with something odd in it.
_MOSTLY = 0.9


def arrow() -> Any:
    """Return the module pyarrow, with its computing functions loaded.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    require("tables with named columns", "files", "pyarrow")
    import pyarrow
    import pyarrow.compute

    return pyarrow


def as_table(rows: Any) -> Any:
    """Return an Arrow table of what is one, of what offers Arrow's C stream, or of a mapping of names to columns.

    Raises
    ------
    TypeError
        If it is nothing of these.
    ValueError
        If two columns have one name.
    """
    pa = arrow()
    if isinstance(rows, pa.Table):
        table = rows
    elif isinstance(rows, pa.RecordBatch):
        table = pa.Table.from_batches([rows])
    elif hasattr(rows, "__arrow_c_stream__") or isinstance(rows, Mapping):
        table = pa.table(dict(rows) if isinstance(rows, Mapping) else rows)
    else:
        raise TypeError(
            f"rows must be a table with named columns (pyarrow, pandas, polars, or a dict of columns), got {type(rows)}"
        )
    require_apart(table.column_names)
    return table


def require_apart(names: list[str]) -> None:
    """Complain if two columns have one name.

    Raises
    ------
    ValueError
        It says which.
    """
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        places = [k + 1 for k, name in enumerate(names) if name == twice]
        raise ValueError(f"two columns are called {twice!r}, numbers {places[0]} and {places[1]}: rename one")


def require_columns(names: Iterable[str], there: Iterable[str]) -> None:
    """Complain about the first name that is not there.

    Raises
    ------
    ValueError
        It says what is near, or what there is.
    """
    there = dict.fromkeys(there)
    for name in names:
        if name not in there:
            first = list(there)[:8]
            shown = ", ".join(map(repr, first)) + (", ..." if len(there) > 8 else "")
            raise ValueError(f"there is no column {name!r}{nearest(name, there) or f'; there are {shown}'}")


def kind_of(values: Any, name: str) -> Kind | None:
    """Return what a column of an Arrow table holds, None where it has no value at all.

    Raises
    ------
    ValueError
        If it is of lists, records or bytes.
    """
    pa = arrow()
    kind, types = values.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if values.null_count == len(values):
        return None
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_temporal(kind):
        return "date"
    if is_text(kind):
        return "text"
    raise ValueError(f"column {name!r} is of type {kind}, which is neither number, date nor text: leave it out")


def cleaned(table: Any, form: CsvForm, numbers: Collection[str] = ()) -> Any:
    """Return a table with texts trimmed, missing ones as such, and those of `numbers` as Python writes numbers."""
    pa = arrow()
    pc = pa.compute
    gaps = pa.array(form.gaps)
    columns = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            texts = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
            texts = pc.if_else(pc.is_in(texts, value_set=gaps), None, texts)
            columns.append(_plain(texts, form) if name in numbers else texts)
        else:
            columns.append(values)
    # Not `set_column`, which copies the list of all columns for each.
    return pa.table(columns, names=table.column_names) if columns else table


def _plain(texts: Any, form: CsvForm) -> Any:
    pc = arrow().compute
    if form.thousands:
        texts = pc.replace_substring(texts, form.thousands, "")
    return pc.replace_substring(texts, ",", ".") if form.decimal == "," else texts


def typed(table: Any, form: CsvForm, texts: Collection[str] = (), *, strict: bool = True) -> Any:
    """Return a table of texts, as `cleaned` leaves them, with numbers, dates and truth values as such.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of other types stay.
    form : CsvForm
        How numbers are written.
    texts : collection of str
        Columns that are texts, even if all values look like numbers.
    strict : bool, default True
        Whether to complain about columns of numbers with a few odd texts; else these are texts.

    Raises
    ------
    ValueError
        If there is such a column.
    """
    pa = arrow()
    columns = [
        _typed(values, name, form, strict) if pa.types.is_string(values.type) and name not in texts else values
        for name, values in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names) if columns else table


def _typed(texts: Any, name: str, form: CsvForm, strict: bool) -> Any:
    pa = arrow()
    pc = pa.compute
    if texts.null_count == len(texts):
        return pa.nulls(len(texts))
    plain = _plain(texts, form)
    for kind, values in [
        (pa.int64(), plain),
        (pa.float64(), plain),
        (pa.bool_(), texts),
        (pa.date32(), texts),
        (pa.timestamp("us"), texts),
        (pa.timestamp("us", "UTC"), texts),
        (pa.time64("us"), texts),
    ]:
        try:
            return pc.cast(values, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    if not strict:
        return texts
    numeric = pc.match_substring_regex(plain, _NUMBER)
    share = _share(numeric)
    if share >= _MOSTLY:
        row = pc.index(pc.fill_null(numeric, True), False).as_py()
        odd = texts[row].as_py()
        raise ValueError(
            f"column {name!r} holds numbers, but {odd!r} in row {row + 1}: if that means missing, add "
            f"--missing {odd!r}; if the numbers are names, add --categorical {name!r}"
        )
    grouped = pc.match_substring_regex(texts, _GROUPED)
    if form.thousands is None and _share(pc.or_(numeric, grouped)) >= _MOSTLY:
        odd = texts[pc.index(grouped, True).as_py()].as_py()
        mark = next(sign for sign in odd if sign in ",' ")
        raise ValueError(
            f"column {name!r} holds numbers with grouped digits, such as {odd!r}: add --thousands {mark!r}; if they "
            f"are names, add --categorical {name!r}"
        )
    return texts


def _share(found: Any) -> float:
    pa = arrow()
    return float(pa.compute.mean(pa.compute.cast(found, pa.float64())).as_py())


def as_numbers(values: Any, name: str, kind: Kind, *, first_row: int = 0, finite: bool = True) -> Array:
    """Return a column as float64 with NaN where there is none; dates as days since 1970-01-01.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Of numbers, truth values, dates, or of texts that can be read as such.
    name : str
        For messages.
    kind : str
        What is expected of texts.
    first_row : int, default 0
        Number of the first row, for messages.
    finite : bool, default True
        Whether to complain about infinities.

    Raises
    ------
    ValueError
        If a value is no number, or infinite; the message says where.
    """
    pa = arrow()
    pc, types = pa.compute, pa.types
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if types.is_null(values.type):
        return np.full(len(values), np.nan)
    if kind_of(values, name) == "text":
        trimmed = pc.utf8_trim_whitespace(values)
        trimmed = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
        values = _parsed(trimmed, kind)
        if values is None:
            row = first_odd(trimmed, kind)
            raise ValueError(
                f"column {name!r} must hold {_PLURALS[kind]}, got {trimmed[row].as_py()!r} in row {first_row + row + 1}"
            )
    if types.is_temporal(values.type):
        values = _days(values)
    result = np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    endless = np.isinf(result)
    if finite and endless.any():
        raise ValueError(f"column {name!r} is infinite in row {first_row + int(endless.argmax()) + 1}")
    return result


_PLURALS = {"number": "numbers", "integer": "numbers", "boolean": "true or false", "date": "dates", "text": "text"}


def _days(values: Any) -> Any:
    pa = arrow()
    pc, types = pa.compute, pa.types
    kind = values.type
    if types.is_time(kind):
        values = pc.cast(values, pa.time64("us"))
    elif types.is_duration(kind):
        values = pc.cast(values, pa.duration("us"), safe=False)
    else:
        values = pc.cast(values, pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
    return pc.divide(pc.cast(pc.cast(values, pa.int64()), pa.float64(), safe=False), float(_DAY))


def _parsed(texts: Any, kind: Kind) -> Any:
    """Return what the texts mean, None if one of them means nothing of that kind."""
    pa = arrow()
    types: list[Any] = [pa.float64()]
    if kind == "boolean":
        types = [pa.bool_()]
    elif kind == "date":
        # With and without a zone, and times of day.
        types = [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.time64("us")]
    for wanted in types:
        try:
            return pa.compute.cast(texts, wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return None


def first_odd(texts: Any, kind: Kind) -> int:
    """Return the number of the first text that means nothing of that kind; -1 if there is none."""
    pa = arrow()
    if _parsed(texts, kind) is not None:
        return -1
    return next(k for k, text in enumerate(texts) if _parsed(pa.array([text.as_py()], pa.string()), kind) is None)


def is_text(kind: Any) -> bool:
    """Whether a column of that type holds texts."""
    types = arrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view")


def as_texts(values: Any) -> Array:
    """Return a column as an array of str, with None where there is none."""
    pa = arrow()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return np.asarray(pa.compute.cast(values, pa.string()).to_numpy(zero_copy_only=False), object)
