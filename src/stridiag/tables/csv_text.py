"""CSV as people write it: what its first lines show, and its rows in pieces that end where a row does.

Values are parsed as the numbers that they should be; where one is none, the whole piece comes as texts, and who wants
numbers of it can tell which it was (`values.as_numbers`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from stridiag.errors import FileFormatError

__all__ = ["BLOCK", "SEEN", "CsvForm", "csv_tables", "head_of", "look_at", "whole_rows"]

_LONGEST_HEADER = 1 << 24
_LONGEST_ROW = 1 << 28
# Bytes of text that are parsed together.
BLOCK = 1 << 22
# What is waited for in a pipe, so that form can be seen from it.
_PIPE_HEAD = 1 << 16
_SAMPLE_ROWS = 50
_DELIMITERS = ",;\t|"
# What stands for a missing value, beside what `missing` adds.
_MISSING = ("", "?", "NA", "N/A", "#N/A", "#NA", "NaN", "nan", "NULL", "null", "None", "<NA>", "n/a")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WITH_POINT = re.compile(r"[+-]?\d+\.\d+")
_WITH_COMMA = re.compile(r"[+-]?\d+,\d+")
_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)(?:: (.*))?", re.DOTALL)
_MARK = b"\xef\xbb\xbf"
_NOT_UTF8 = "the text is not UTF-8: convert it, for example by iconv -f latin1 -t utf8"


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How CSV is written; what is None is seen from its first lines.

    Parameters
    ----------
    delimiter, decimal : str, optional
        Between columns, and in numbers: "." or ",".
    thousands : str, optional
        What groups digits, as "," in 1,234.5.
    missing : tuple of str
        What stands for missing values beside empty texts, "?", "NA", "null" and their like.
    names : tuple of str, optional
        Names of columns, of files without a line of names.

    Raises
    ------
    ValueError
        If one of them cannot be.
    """

    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {self.decimal!r}")
        if self.thousands is not None and (
            len(self.thousands) != 1 or self.thousands in "+-0123456789eE" or self.thousands == self.decimal
        ):
            raise ValueError(f"thousands must be one character other than the decimal one, got {self.thousands!r}")

    @property
    def gaps(self) -> list[str]:
        """All texts that stand for a missing value."""
        return [*_MISSING, *self.missing]

    @property
    def open(self) -> bool:
        """Whether something is left to be seen."""
        return self.delimiter is None or self.decimal is None


# Nothing is said: all is seen.
SEEN = CsvForm()


# ------------------------------------------------------------------ the first lines


def head_of(source: io.BufferedReader, form: CsvForm, *, waiting: bool) -> bytes:
    """Return the first lines, at least one whole; `waiting`: of a pipe, no more of them than are wanted."""
    # What is told need not be seen: then rows of a pipe are answered as they come.
    size = BLOCK if not waiting else _PIPE_HEAD if form.open else 1
    head = b""
    while len(head) < size or b"\n" not in head:
        part = source.read1(size)
        if not part:
            break
        # The mark of UTF-8, and lines without anything before the names.
        head = (head + part).removeprefix(_MARK).lstrip(b"\r\n")
        if len(head) > _LONGEST_HEADER and b"\n" not in head:
            raise FileFormatError("this is no table: the first line has more than 16 MB")
    return head


def look_at(head: bytes, form: CsvForm) -> tuple[list[str], CsvForm]:
    """Return the names of the columns, and the form with what was open decided.

    Raises
    ------
    FileFormatError
        If this is no text, or has no line of names.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError("the text is UTF-16: convert it to UTF-8, for example by iconv -f utf16 -t utf8")
    if head.startswith(b"\x93NUMPY"):
        raise FileFormatError(".npy files have no named columns: they are for stridiag.tables.open_arrays")
    if b"\0" in head:
        raise FileFormatError("this is no table that is known: neither CSV, Parquet, Arrow nor JSON lines")
    try:
        # Only up to the last line's end: the rest may be cut within a character.
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        raise FileFormatError(_NOT_UTF8) from None
    text = head.decode("utf-8", "replace")
    if not text.strip():
        raise FileFormatError("there is nothing in it: the first line must hold the names of columns")
    delimiter = form.delimiter or _delimiter_of(text)
    rows = _first_rows(text, delimiter)
    if not rows:
        raise FileFormatError("this is no table: the first line cannot be read as names of columns")
    names = rows[0] if form.names is None else list(form.names)
    if form.names is None and all(_NUMBER.fullmatch(name.strip()) for name in names):
        raise FileFormatError("the first line must hold names of columns, and it holds numbers")
    decimal = form.decimal or _decimal_of(delimiter, rows[1:])
    return names, replace(form, delimiter=delimiter, decimal=decimal)


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    # Of a text of more than 128 kB, what came before it must do.
    with suppress(csv.Error):
        # Not `splitlines`: line ends may stand between quotation marks.
        rows.extend(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), _SAMPLE_ROWS))
    rows = [row for row in rows if row]
    # The last one may be cut off.
    return rows[:-1] if 1 < len(rows) < _SAMPLE_ROWS and not text.endswith("\n") else rows


def _delimiter_of(text: str) -> str:
    def merit(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in _first_rows(text, delimiter)] or [0]
        # First: how many lines have as many columns as the header. One column is what every delimiter can find.
        return (sum(width == widths[0] for width in widths) if widths[0] > 1 else 0, widths[0])

    return max(_DELIMITERS, key=merit)


def _decimal_of(delimiter: str, rows: list[list[str]]) -> str:
    if delimiter == ",":
        return "."
    values = [value.strip() for row in rows for value in row]
    commas = any(_WITH_COMMA.fullmatch(value) for value in values)
    return "," if commas and not any(_WITH_POINT.fullmatch(value) for value in values) else "."


# ------------------------------------------------------------------ rows


def csv_tables(
    pieces: Iterator[bytes],
    names: list[str],
    form: CsvForm,
    columns: Collection[str] | None = None,
    kinds: Mapping[str, Any] = {},
) -> Iterator[Any]:
    """Yield Arrow tables of the rows; all columns are texts as they stand there, but those of `kinds`.

    Parameters
    ----------
    pieces : iterator of bytes
        Each of whole rows; the first begins with the names, unless the form has them.
    names : list of str
        Of all columns.
    form : CsvForm
        As `look_at` returned it.
    columns : collection of str, optional
        Which are read.
    kinds : mapping of str to pyarrow.DataType
        Types of columns, which come as texts all the same where a value is not of that type.

    Raises
    ------
    FileFormatError
        If a row has more or fewer columns, or the text is not UTF-8; the message counts lines from 1.
    """
    import pyarrow as pa
    import pyarrow.csv

    # By their numbers, since nothing keeps names from standing there twice.
    chosen = set(names if columns is None else columns)
    wanted = [k for k, name in enumerate(names) if name in chosen]
    texts = {str(k): pa.string() for k in wanted}
    typed = texts | {str(k): kinds[names[k]] for k in wanted if names[k] in kinds}
    # Grouped digits only texts can hold.
    ways = [texts] if form.thousands or typed == texts else [typed, texts]
    before, skipped = 0, int(form.names is None)
    for piece in pieces:
        for way in ways:
            try:
                table = pyarrow.csv.read_csv(
                    pa.BufferReader(piece),
                    read_options=pyarrow.csv.ReadOptions(
                        use_threads=False,
                        block_size=max(len(piece), 1 << 10) + 1,
                        column_names=[str(k) for k in range(len(names))],
                        skip_rows_after_names=skipped,
                    ),
                    parse_options=pyarrow.csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=way,
                        include_columns=list(texts),
                        null_values=form.gaps,
                        strings_can_be_null=False,
                        decimal_point=form.decimal,
                        check_utf8=True,
                    ),
                )
                break
            except pa.ArrowInvalid as error:
                ragged = _RAGGED.search(str(error))
                if ragged is not None:
                    raise FileFormatError(_ragged(ragged, before)) from None
                if "invalid UTF8" in str(error):
                    raise FileFormatError(_NOT_UTF8) from None
                if way is texts:
                    raise
        before += table.num_rows + skipped
        skipped = 0
        yield table.rename_columns([names[k] for k in wanted])


def _ragged(found: re.Match[str], before: int) -> str:
    line = "" if found[1] is None else f"line {int(found[1]) + before}: "
    row = "" if found[4] is None else f": {found[4][:60]}"
    return f"{line}Expected {found[2]} columns, got {found[3]}{row}"


def whole_rows(head: bytes, source: io.BufferedReader, *, waiting: bool, quoted: bool = True) -> Iterator[bytes]:
    """Yield the text in pieces that end where a row does; `waiting`: what is there as soon as it is there."""
    rest = head
    while True:
        end = _end_of_rows(rest) if quoted else rest.rfind(b"\n") + 1
        if end and rest[:end].strip():
            yield rest[:end]
            rest = rest[end:]
        part = source.read1(BLOCK) if waiting else source.read(BLOCK)
        if not part:
            break
        rest += part
        if len(rest) > _LONGEST_ROW:
            raise FileFormatError("a row has more than 256 MB: is a quotation mark not closed?")
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
