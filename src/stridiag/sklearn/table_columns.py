"""Columns of Arrow tables as arrays that transformers take: numbers with NaN, texts with None, and what is in the way.

Everything that offers Arrow's C stream is a table: those of pyarrow, pandas and polars among others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._extras import require
from stridiag._validate import nearest

__all__ = ["Kind", "arrow", "as_numbers", "as_table", "as_texts", "kind_of", "require_columns"]

Array = NDArray[Any]
Kind = Literal["number", "integer", "boolean", "date", "text"]

_DAY = 86_400_000_000


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
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"two columns are called {twice[0]!r}")
    return table


def require_columns(names: Iterable[str], there: Iterable[str]) -> None:
    """Complain about the first name that is not there.

    Raises
    ------
    ValueError
        It says what is near, or what there is.
    """
    there = list(there)
    for name in names:
        if name not in there:
            shown = ", ".join(map(repr, there[:8])) + (", ..." if len(there) > 8 else "")
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
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        return "text"
    raise ValueError(f"column {name!r} is of type {kind}, which is neither number, date nor text: leave it out")


def as_numbers(values: Any, name: str, kind: Kind, *, first_row: int = 0) -> Array:
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
            texts = trimmed.to_pylist()
            row = next(k for k, text in enumerate(texts) if _parsed(pa.array([text], pa.string()), kind) is None)
            raise ValueError(
                f"column {name!r} must hold {_PLURALS[kind]}, got {texts[row]!r} in row {first_row + row + 1}"
            )
    if types.is_temporal(values.type):
        values = _days(values)
    result = np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    endless = np.isinf(result)
    if endless.any():
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


def as_texts(values: Any) -> Array:
    """Return a column as an array of str, with None where there is none."""
    pa = arrow()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return np.asarray(pa.compute.cast(values, pa.string()).to_numpy(zero_copy_only=False), object)
