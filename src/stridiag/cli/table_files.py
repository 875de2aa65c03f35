"""Tables in files and pipes, read by pyarrow: CSV of any delimiter, Parquet, Arrow, JSON lines; compressed or not.

What a file is, is seen from its first bytes and not from its name, so that a pipe is as good as a file.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from stridiag.cli.errors import CommandError, UsageError
from stridiag.sklearn.table_columns import arrow

__all__ = ["Dialect", "Rows", "cleaned", "open_rows", "read_table"]

_HEAD = 1 << 16
_LONGEST_HEADER = 1 << 24
_LONGEST_ROW = 1 << 28
_BLOCK = 1 << 22
_BATCH = 1 << 15
_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50
# What stands for a missing value, beside what `--missing` adds.
_MISSING = ("", "?", "NA", "N/A", "#N/A", "#NA", "NaN", "nan", "NULL", "null", "None", "<NA>", "n/a")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WITH_POINT = re.compile(r"[+-]?\d+\.\d+")
_WITH_COMMA = re.compile(r"[+-]?\d+,\d+")
# A text column of mostly numbers is a column of numbers with something odd in it.
_MOSTLY = 0.9
_NOT_UTF8 = "the text is not UTF-8: convert it, for example by iconv -f latin1 -t utf8"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How CSV is written; None: seen from the first lines.

    Attributes
    ----------
    delimiter, decimal : str or None
        Between columns, and in numbers.
    missing : tuple of str
        What stands for missing values beside the usual.
    """

    delimiter: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise UsageError(f"--delimiter must be one character, got {self.delimiter!r}")
        if self.decimal not in (None, ".", ","):
            raise UsageError(f"--decimal must be '.' or ',', got {self.decimal!r}")

    @property
    def gaps(self) -> list[str]:
        """All texts that stand for a missing value."""
        return [*_MISSING, *self.missing]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that come in tables, in their order.

    Attributes
    ----------
    names : list of str
        Of the columns.
    tables : iterator of pyarrow.Table
        Columns of CSV are texts as they stand in the file: see `cleaned`.
    dialect : Dialect
        As found; its delimiter is None where the rows were not CSV.
    """

    names: list[str]
    tables: Iterator[Any]
    dialect: Dialect


def read_table(
    place: str, dialect: Dialect, texts: Collection[str], note: Callable[[str], object] = lambda sentence: None
) -> Any:
    """Return all rows as an Arrow table whose types are seen from the values.

    Parameters
    ----------
    place : str
        File, or "-" for standard input.
    dialect : Dialect
        Of CSV.
    texts : collection of str
        Columns that are texts, even if all values look like numbers.
    note : callable
        Called with a sentence for each decision.

    Raises
    ------
    CommandError
        If it is no table.
    """
    pa = arrow()
    with _opened(place) as source, _told(place):
        if _is_csv(source.peek(8)[:8]):
            head = _head(source, _HEAD)
            names, found = _look_at(head, dialect)
            if found.decimal == "," and dialect.decimal is None:
                note("numbers are read with a decimal comma (--decimal . if that is wrong)")
            import pyarrow.csv

            table = pyarrow.csv.read_csv(
                # Read here and not by pyarrow, which hears no signal while it waits for a pipe.
                pa.BufferReader(head + source.read()),
                read_options=pyarrow.csv.ReadOptions(use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(delimiter=found.delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={name: pa.string() for name in texts if name in names},
                    null_values=found.gaps,
                    strings_can_be_null=True,
                    decimal_point=found.decimal,
                ),
            )
            if any(pa.types.is_binary(kind) for kind in table.schema.types):
                raise CommandError(f"{_name(place)}: {_NOT_UTF8}")
        else:
            rows = _binary_rows(source)
            tables = list(rows.tables)
            found, table = dialect, pa.concat_tables(tables) if tables else pa.table({name: [] for name in rows.names})
        if not table.num_rows:
            raise CommandError(f"{_name(place)} has no rows")
        return _with_kinds(cleaned(table, found), texts)


@contextmanager
def open_rows(place: str, dialect: Dialect) -> Iterator[Rows]:
    """Open rows that are read as they are asked for, so that a file may be larger than memory.

    Raises
    ------
    CommandError
        If it is no table; while rows are read, too.
    """
    with _opened(place) as source, _told(place):
        if not _is_csv(source.peek(8)[:8]):
            yield _binary_rows(source)
            return
        # What is told need not be seen: then rows of a pipe are answered as they come.
        head = _head(source, 1 if dialect.delimiter and dialect.decimal else _HEAD)
        names, found = _look_at(head, dialect)
        yield Rows(names, _csv_rows(_whole_lines(head, source), names, found), found)


def cleaned(table: Any, dialect: Dialect, numbers: Collection[str] = ()) -> Any:
    """Return the table with texts trimmed, missing ones as such, and decimal commas of `numbers` as points."""
    pa = arrow()
    pc = pa.compute
    gaps = pa.array(dialect.gaps)
    for k, name in enumerate(table.column_names):
        values = table.column(k)
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            continue
        values = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
        values = pc.if_else(pc.is_in(values, value_set=gaps), None, values)
        if dialect.decimal == "," and name in numbers:
            values = pc.replace_substring(values, ",", ".")
        table = table.set_column(k, name, values)
    return table


# ------------------------------------------------------------------ sources


@contextmanager
def _opened(place: str) -> Iterator[io.BufferedReader]:
    """Give the bytes behind all compression."""
    if place == "-":
        if sys.stdin.isatty():
            raise CommandError("standard input is a terminal: pipe a table into the command, or name a file")
        # The bytes behind the buffer, which would wait until it is full.
        yield _decompressed(cast("BinaryIO", getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)))
        return
    with Path(place).open("rb") as stream:
        yield _decompressed(stream)


def _decompressed(stream: BinaryIO) -> io.BufferedReader:
    source: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", stream), _HEAD)
    start = source.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=source), _HEAD)
    if start.startswith(b"BZh"):
        return io.BufferedReader(bz2.BZ2File(source), _HEAD)
    if start.startswith(b"\xfd7zXZ\x00"):
        return io.BufferedReader(lzma.LZMAFile(source), _HEAD)
    return source


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Say in which file it went wrong."""
    pa = arrow()
    # While it parses, pyarrow puts handlers of its own in the place of Python's, and sometimes loses a SIGTERM.
    pa.enable_signal_handlers(False)
    try:
        yield
    except pa.ArrowInvalid as error:
        reason = _counted(str(error), 0)
        if "invalid UTF8" in reason:
            reason = _NOT_UTF8
        raise CommandError(f"{_name(place)}: {reason}") from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise CommandError(f"{_name(place)}: the compressed data is damaged or cut off ({error})") from None


def _name(place: str) -> str:
    return "standard input" if place == "-" else place


# ------------------------------------------------------------------ formats


def _is_csv(start: bytes) -> bool:
    return not (start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")) or start.lstrip()[:1] in (b"{", b"["))


def _binary_rows(source: io.BufferedReader) -> Rows:
    """Return rows of a format that knows its types."""
    pa = arrow()
    start = source.peek(8)[:8]
    if start.startswith(b"PAR1"):
        import pyarrow.parquet

        parquet = pyarrow.parquet.ParquetFile(_seekable(source))
        batches = (pa.Table.from_batches([batch]) for batch in parquet.iter_batches(_BATCH))
        return Rows(parquet.schema_arrow.names, batches, Dialect())
    if start.startswith(b"ARROW1"):
        file = pa.ipc.open_file(_seekable(source))
        pieces = (file.get_batch(k) for k in range(file.num_record_batches))
        return Rows(file.schema.names, (pa.Table.from_batches([batch]) for batch in pieces), Dialect())
    if start.startswith(b"\xff\xff\xff\xff"):
        stream = pa.ipc.open_stream(source)
        return Rows(stream.schema.names, (pa.Table.from_batches([batch]) for batch in stream), Dialect())
    if start.lstrip().startswith(b"["):
        raise CommandError("a JSON array is not read: write one object per line (for example by jq -c '.[]')")
    import pyarrow.json

    table = pyarrow.json.read_json(source)
    return Rows(table.column_names, iter([table]), Dialect())


def _seekable(source: io.BufferedReader) -> Any:
    # Of a pipe or of what is compressed, all is read: the directory of these files stands at their end.
    raw = source.raw
    if isinstance(raw, io.BufferedReader) and raw.seekable():
        raw.seek(0)
        return raw
    return io.BytesIO(source.read())


def _csv_rows(pieces: Iterator[bytes], names: list[str], dialect: Dialect) -> Iterator[Any]:
    import pyarrow.csv

    pa = arrow()
    lines = 0
    for piece in pieces:
        # The first piece begins with the header, which may be of several lines.
        given = None if not lines else names
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(piece),
                read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=given),
                parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise CommandError(_counted(str(error), lines)) from None
        lines += table.num_rows + (given is None)
        for start in range(0, table.num_rows, _BATCH):
            yield table.slice(start, _BATCH)


def _counted(message: str, before: int) -> str:
    """Return pyarrow's message with lines counted from the first of all."""
    return re.sub(r"Row #(\d+)", lambda found: f"line {int(found[1]) + before}", message)


def _whole_lines(head: bytes, source: io.BufferedReader) -> Iterator[bytes]:
    """Yield what is there as soon as it is there, in pieces that end where a row does."""
    rest = head
    while True:
        end = _end_of_rows(rest)
        if end and rest[:end].strip():
            yield rest[:end]
            rest = rest[end:]
        part = source.read1(_BLOCK)
        if not part:
            break
        rest += part
        if len(rest) > _LONGEST_ROW:
            raise CommandError("a row has more than 256 MB: is a quotation mark not closed?")
    if rest.strip():
        yield rest


def _end_of_rows(text: bytes) -> int:
    """Return where the last whole row ends: behind a line end that no quotation marks enclose."""
    end = text.rfind(b"\n") + 1
    open_marks = text.count(b'"', 0, end) % 2
    while end and open_marks:
        before = text.rfind(b"\n", 0, end - 1) + 1
        open_marks ^= text.count(b'"', before, end) % 2
        end = before
    return end


def _head(source: io.BufferedReader, size: int) -> bytes:
    """Return the first lines, of at least that size, and at least one whole."""
    head = b""
    while len(head) < size or b"\n" not in head:
        part = source.read1(_HEAD)
        if not part:
            break
        head += part
        if len(head) > _LONGEST_HEADER:
            raise CommandError("this is no table: the first line has more than 16 MB")
    return head


def _look_at(head: bytes, dialect: Dialect) -> tuple[list[str], Dialect]:
    """Return the names of the columns, and the dialect with what was open decided."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CommandError("the text is UTF-16: convert it to UTF-8, for example by iconv -f utf16 -t utf8")
    if b"\0" in head:
        raise CommandError("this is no table that is known: neither CSV, Parquet, Arrow nor JSON lines")
    lines = head.decode("utf-8-sig", "replace").splitlines()
    if len(head) >= _HEAD and len(lines) > 1:
        # The last one may be cut off.
        lines.pop()
    lines = lines[:_SAMPLE_LINES]
    if not lines or not lines[0].strip():
        raise CommandError("there is nothing in it, or the first line is empty: it must hold the names of columns")
    delimiter = dialect.delimiter or _delimiter_of(lines)
    rows = list(csv.reader(lines, delimiter=delimiter))
    names = rows[0]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CommandError(f"two columns are called {twice[0]!r}")
    if all(_NUMBER.fullmatch(name.strip()) for name in names):
        raise CommandError("the first line must hold the names of columns, and it holds numbers")
    decimal = dialect.decimal or _decimal_of(delimiter, rows[1:])
    return names, Dialect(delimiter, decimal, dialect.missing)


def _delimiter_of(lines: list[str]) -> str:
    def merit(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        # First: how many lines have as many columns as the header. One column is what every delimiter can find.
        return (sum(width == widths[0] for width in widths) if widths[0] > 1 else 0, widths[0])

    return max(_DELIMITERS, key=merit)


def _decimal_of(delimiter: str, rows: list[list[str]]) -> str:
    if delimiter == ",":
        return "."
    values = [value.strip() for row in rows for value in row]
    commas = any(_WITH_COMMA.fullmatch(value) for value in values)
    return "," if commas and not any(_WITH_POINT.fullmatch(value) for value in values) else "."


def _with_kinds(table: Any, texts: Collection[str]) -> Any:
    """Return the table with texts that are numbers as such; complain of columns of numbers with a few odd values."""
    pa = arrow()
    pc = pa.compute
    for k, name in enumerate(table.column_names):
        values = table.column(k)
        if name in texts or not pa.types.is_string(values.type) or values.null_count == len(values):
            continue
        numeric = pc.match_substring_regex(values, rf"^(?:{_NUMBER.pattern})$")
        share = pc.mean(pc.cast(numeric, pa.float64())).as_py()
        if share == 1.0:
            table = table.set_column(k, name, pc.cast(values, pa.float64()))
        elif share >= _MOSTLY:
            row = pc.index(pc.fill_null(numeric, True), False).as_py()
            odd = values[row].as_py()
            raise CommandError(
                f"column {name!r} holds numbers, but {odd!r} in row {row + 1}: if that means missing, add "
                f"--missing {odd!r}; if the numbers are names, add --categorical {name!r}"
            )
    return table
