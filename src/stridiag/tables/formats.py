"""One table, opened: what its columns are called, and its rows in Arrow tables, from any row on.

What it is, is seen from its first bytes and not from its name, so that a pipe is as good as a file. Readers hold one
batch, a row group's pages or a block of text, not the file: Parquet is read through a buffer, not ahead; Arrow files
through reads, not a map, whose pages would count as this process's memory.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stridiag.errors import FileFormatError
from stridiag.tables.csv_text import SEEN, CsvForm, csv_tables, head_of, look_at, whole_rows
from stridiag.tables.opening import STDIN, Place, opened, readable, shown
from stridiag.tables.values import arrow, cleaned, typed

__all__ = ["OpenTable", "open_table"]

_BUFFER = 1 << 20
_BATCH = 1 << 15


class OpenTable(ABC):
    """A table whose rows can be read, once.

    Attributes
    ----------
    kind : {"parquet", "arrow", "csv", "json"}
        What it is.
    names : list of str
        Of the columns.
    form : CsvForm
        As found, of CSV.
    rows : int or None
        How many there are, where an index tells.
    """

    kind: str
    names: list[str]
    form: CsvForm = SEEN
    rows: int | None = None

    @property
    @abstractmethod
    def schema(self) -> Any:
        """Names and types; of CSV, as the first block shows them."""

    @abstractmethod
    def _read(self, columns: list[str], kinds: Mapping[str, Any], row: int, size: int) -> Iterator[tuple[int, Any]]:
        """Yield tables of any length, with the number of their first row; some before `row` do no harm."""

    def whole(self) -> Any:
        """Return all rows in one Arrow table."""
        pa = arrow()
        tables = [table for _, table in self.tables()]
        return pa.concat_tables(tables) if tables else pa.table({name: [] for name in self.names})

    def tables(
        self,
        columns: Collection[str] | None = None,
        kinds: Mapping[str, Any] = {},
        row: int = 0,
        size: int = _BATCH,
    ) -> Iterator[tuple[int, Any]]:
        """Yield Arrow tables with the number of their first row.

        Parameters
        ----------
        columns : collection of str, optional
            Which are read, in the order of the file.
        kinds : mapping of str to pyarrow.DataType
            Types of columns of CSV, which come as texts else, and where a value is not of that type.
        row : int, default 0
            Where to begin.
        size : int
            No table goes beyond a row whose number is a multiple of it.
        """
        wanted = set(self.names if columns is None else columns)
        chosen = [name for name in self.names if name in wanted]
        for first, table in self._read(chosen, kinds, row, size):
            start = max(0, row - first)
            while start < table.num_rows:
                end = min(table.num_rows, (first + start) // size * size + size - first)
                yield first + start, table.slice(start, end - start)
                start = end


@contextmanager
def open_table(place: Place, form: CsvForm = SEEN) -> Iterator[OpenTable]:
    """Open a file, or standard input for "-": Parquet, Arrow, JSON lines, or else CSV.

    Raises
    ------
    FileFormatError
        If it is no table, or damaged: while its rows are read, too.
    OSError
        If it cannot be read.
    """
    arrow()
    with readable(place), opened(place) as source:
        start = source.peek(8)[:8]
        try:
            if start.startswith(b"PAR1"):
                yield _Parquet(source)
            elif start.startswith((b"ARROW1", b"\xff\xff\xff\xff", b"FEA1")):
                yield _Arrow(source)
            elif start.lstrip()[:1] in (b"{", b"["):
                yield _Json(source, waiting=place == STDIN)
            else:
                yield _Csv(source, form, waiting=place == STDIN)
        except FileFormatError as error:
            told = str(error)
            raise FileFormatError(told if told.startswith(shown(place)) else f"{shown(place)}: {told}") from None


def _seekable(source: io.BufferedReader) -> Any:
    # Of a pipe or of what is compressed, all is read: the directory of these files stands at their end.
    raw = source.raw
    if isinstance(raw, io.BufferedReader) and raw.seekable():
        raw.seek(0)
        return raw
    return io.BytesIO(source.read())


class _Parquet(OpenTable):
    kind = "parquet"

    def __init__(self, source: io.BufferedReader) -> None:
        import pyarrow.parquet

        self._file = pyarrow.parquet.ParquetFile(
            _seekable(source), pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
        )
        self.names = self._file.schema_arrow.names
        self.rows = int(self._file.metadata.num_rows)

    @property
    def schema(self) -> Any:
        return self._file.schema_arrow

    def _read(self, columns: list[str], kinds: Mapping[str, Any], row: int, size: int) -> Iterator[tuple[int, Any]]:
        metadata = self._file.metadata
        first, group = 0, 0
        while group < metadata.num_row_groups and first + metadata.row_group(group).num_rows <= row:
            first += metadata.row_group(group).num_rows
            group += 1
        wanted = list(range(group, metadata.num_row_groups))
        # pyarrow may get no rows wrong where no column is asked for.
        for batch in self._file.iter_batches(size, wanted, columns=columns) if wanted else ():
            yield first, arrow().Table.from_batches([batch])
            first += batch.num_rows


class _Arrow(OpenTable):
    kind = "arrow"

    def __init__(self, source: io.BufferedReader) -> None:
        start = source.peek(8)[:8]
        if start.startswith(b"FEA1"):
            raise FileFormatError("it is of version 1 of Feather: write it anew by pyarrow.feather.write_feather")
        # The file format has an index at its end; the stream format, also written to files, has none.
        self._indexed = start.startswith(b"ARROW1")
        self._source = _seekable(source) if self._indexed else source
        self._reader = self._open(None)
        self.names = self._reader.schema.names
        if self._indexed and hasattr(self._reader, "count_rows"):
            self.rows = int(self._reader.count_rows())

    def _open(self, columns: list[int] | None) -> Any:
        ipc = arrow().ipc
        options = ipc.IpcReadOptions(included_fields=columns)
        return (ipc.open_file if self._indexed else ipc.open_stream)(self._source, options=options)

    @property
    def schema(self) -> Any:
        return self._reader.schema

    def _read(self, columns: list[str], kinds: Mapping[str, Any], row: int, size: int) -> Iterator[tuple[int, Any]]:
        first, pa = 0, arrow()
        if self._indexed and columns != self.names:
            self._source.seek(0)
            self._reader = self._open([self.names.index(name) for name in columns])
        reader = self._reader
        pieces = (reader.get_batch(i) for i in range(reader.num_record_batches)) if self._indexed else reader
        for batch in pieces:
            yield first, pa.Table.from_batches([batch])
            first += batch.num_rows


class _Csv(OpenTable):
    kind = "csv"

    def __init__(self, source: io.BufferedReader, form: CsvForm, *, waiting: bool) -> None:
        self._source, self._waiting = source, waiting
        self._head = head_of(source, form, waiting=waiting)
        self.names, self.form = look_at(self._head, form)

    @property
    def schema(self) -> Any:
        # The last row may be cut off, if it is not the only one.
        block = next(whole_rows(self._head, io.BufferedReader(io.BytesIO()), waiting=False))
        (table,) = csv_tables(iter([block]), self.names, self.form)
        # By numbers, since two may have one name.
        plain = table.rename_columns([str(k) for k in range(table.num_columns)])
        found = typed(cleaned(plain, self.form), self.form, strict=False).schema
        pa = arrow()
        return pa.schema([pa.field(name, kind) for name, kind in zip(self.names, found.types, strict=True)])

    def _read(self, columns: list[str], kinds: Mapping[str, Any], row: int, size: int) -> Iterator[tuple[int, Any]]:
        pieces = whole_rows(self._head, self._source, waiting=self._waiting)
        first = 0
        for table in csv_tables(pieces, self.names, self.form, columns, kinds):
            yield first, table
            first += table.num_rows


class _Json(OpenTable):
    kind = "json"

    def __init__(self, source: io.BufferedReader, *, waiting: bool) -> None:
        if source.peek(8)[:8].lstrip().startswith(b"["):
            raise FileFormatError("a JSON array is not read: write one object per line (for example by jq -c '.[]')")
        self._pieces = whole_rows(b"", source, waiting=waiting, quoted=False)
        self._piece = next(self._pieces)
        self._first = self._parsed(self._piece)
        self.names = self._first.column_names

    @property
    def schema(self) -> Any:
        return self._first.schema

    def whole(self) -> Any:
        # At once: then types and names are those of all rows.
        return self._parsed(b"".join([self._piece, *self._pieces]))

    @staticmethod
    def _parsed(piece: bytes) -> Any:
        import pyarrow.json

        options = pyarrow.json.ReadOptions(use_threads=False, block_size=len(piece) + 1)
        return pyarrow.json.read_json(io.BytesIO(piece), read_options=options)

    def _read(self, columns: list[str], kinds: Mapping[str, Any], row: int, size: int) -> Iterator[tuple[int, Any]]:
        pa, first = arrow(), 0
        table = self._first
        while True:
            # What a piece does not mention is missing there.
            gap, have = pa.nulls(table.num_rows), table.column_names
            yield first, pa.table([table[name] if name in have else gap for name in columns], names=columns)
            first += table.num_rows
            piece = next(self._pieces, None)
            if piece is None:
                return
            table = self._parsed(piece)
            late = [name for name in table.column_names if name not in self.names]
            # Who reads all columns would lose it unsaid; who chose some did not choose this.
            if late and len(columns) == len(self.names):
                raise FileFormatError(
                    f"the column {late[0]!r} appears after row {first:,}, but is in none of the first "
                    f"{len(self._piece):,} bytes, where columns are looked for: give it in the first line, as null "
                    "if it is missing there"
                )
