"""Rows that a command writes: CSV or JSON lines to standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from stridiag._files import written_whole
from stridiag.cli.errors import UsageError
from stridiag.cli.output import plain
from stridiag.tables.values import arrow

__all__ = ["Write", "open_output"]

# Takes an Arrow table; all have the same columns.
Write = Callable[[Any], None]

_COLUMNAR = (".parquet", ".pq", ".arrow", ".feather")
_LINES = (".jsonl", ".ndjson")


@contextmanager
def open_output(file: Path | None, names: list[str], *, as_json: bool) -> Iterator[Write]:
    """Give a function that writes a table's rows.

    Parameters
    ----------
    file : Path or None
        None for standard output. The format is that of its suffix: .parquet, .arrow, .jsonl, else CSV.
    names : list of str
        Of the columns.
    as_json : bool
        JSON lines, whatever the suffix.
    """
    if file is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Data, not words for a terminal: in the encoding that other tools expect.
            sys.stdout.reconfigure(encoding="utf-8")
        yield _text_writer(sys.stdout, names, lines=as_json)
        sys.stdout.flush()
        return
    suffix = file.suffix.lower()
    if suffix in _COLUMNAR:
        if as_json:
            raise UsageError(f"--json writes JSON lines, and {file.name} says {suffix}")
        with written_whole(file) as stream, _columnar(stream, suffix) as write:
            yield write
        return
    with written_whole(file) as stream:
        text = io.TextIOWrapper(stream, "utf-8", newline="")
        yield _text_writer(text, names, lines=as_json or suffix in _LINES)
        text.flush()
        text.detach()


def _text_writer(stream: TextIO, names: list[str], *, lines: bool) -> Write:
    if lines:

        def write_lines(table: Any) -> None:
            for row in table.to_pylist():
                stream.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
            stream.flush()

        return write_lines
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)

    def write_rows(table: Any) -> None:
        columns = [[_shown(value) for value in column.to_pylist()] for column in table.columns]
        writer.writerows(zip(*columns, strict=True))
        # The next program in a pipe need not wait for more.
        stream.flush()

    return write_rows


def _shown(value: Any) -> Any:
    # As other tools write them, and as they are read again.
    return str(value).lower() if isinstance(value, bool) else value


@contextmanager
def _columnar(stream: Any, suffix: str) -> Iterator[Write]:
    pa = arrow()
    import pyarrow.parquet

    writer: Any = None
    schema: Any = None

    def write(table: Any) -> None:
        nonlocal writer, schema
        if writer is None:
            schema = table.schema
            if suffix in (".arrow", ".feather"):
                writer = pa.ipc.new_file(stream, table.schema)
            else:
                writer = pyarrow.parquet.ParquetWriter(stream, table.schema)
        # JSON lines may have whole numbers in one piece, and others in the next.
        writer.write_table(table.cast(schema))

    yield write
    if writer is not None:
        writer.close()
