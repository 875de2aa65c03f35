"""Record batches of one file: Parquet, Arrow IPC, CSV, each by pyarrow's own reader, from any row on.

Readers hold one batch, a row group's pages or a block of text, not the file: Parquet is read through a buffer, not
ahead; Arrow files through reads, not a map, whose pages would count as this process's memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stridiag.errors import FileFormatError
from stridiag.tables.columns import Choice, not_numbers_cure

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CsvForm", "batches", "readable", "row_count", "schema_of"]

# Bytes of text that are parsed together; a line may not be longer.
_BLOCK = 1 << 23
_BUFFER = 1 << 20
# Names of pyarrow's for them.
_COMPRESSION = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}
# How pyarrow tells of a text that it could not convert; the row is not always there.
_WRONG = re.compile(
    r"CSV column #(?P<column>\d+):(?: Row #(?P<row>\d+):)? CSV conversion error to .+?: invalid value '(?P<value>.*)'",
    re.DOTALL,
)


class CsvForm(NamedTuple):
    """What a CSV file does not tell of itself; `kinds` are the types of labels, as the first file shows them."""

    delimiter: str
    names: tuple[str, ...] | None
    kinds: dict[str, Any]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises about a damaged file into FileFormatError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, pa.ArrowIndexError) as error:
        raise FileFormatError(f"{path} is damaged, cut off, or not of this format: {error}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} must be text in UTF-8: {error}") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        # What pyarrow says of broken compression carries no error number; what the system says does.
        raise FileFormatError(f"{path} is damaged or cut off: {error}") from error


def schema_of(path: Path, kind: str, form: CsvForm) -> pa.Schema:
    """Return names and types of the columns; of CSV, as the first block shows them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable(path):
        if kind == "parquet":
            with pq.ParquetFile(path) as file:
                return file.schema_arrow
        if kind == "arrow":
            with pa.OSFile(str(path)) as file:
                return _arrow_reader(file, None).schema
        with _csv_reader(path, form, None) as reader:
            schema = reader.schema
        names = schema.names
    if form.names is None and all(_is_number(name) for name in names):
        raise ValueError(f"the first line of {path} must hold names of columns, got {names[:5]}: give names=[...]")
    other = next((sign for sign in ";\t|," if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        raise ValueError(f"{path} has the one column {names[0][:80]!r}: give delimiter={other!r}")
    return schema


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def row_count(path: Path, kind: str) -> int | None:
    """Return how many rows a file has, where its index tells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable(path):
        if kind == "parquet":
            return int(pq.read_metadata(path).num_rows)
        if kind == "arrow":
            with pa.OSFile(str(path)) as file:
                reader = _arrow_reader(file, None)
                return int(reader.count_rows()) if hasattr(reader, "count_rows") else None
    return None


def batches(path: Path, kind: str, choice: Choice, form: CsvForm, row: int, size: int) -> Iterator[tuple[int, Any]]:
    """Yield record batches from a row on, with the number of their first row."""
    if kind == "parquet":
        yield from _parquet(path, choice, row, size)
        return
    first = 0
    for batch in _arrow(path, choice) if kind == "arrow" else _csv(path, choice, form):
        end = first + batch.num_rows
        if end > row:
            skip = max(0, row - first)
            # In cuts, for batches of any length.
            for start in range(skip, batch.num_rows, size):
                yield first + start, batch.slice(start, size)
        first = end


def _parquet(path: Path, choice: Choice, row: int, size: int) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet as pq

    with (
        readable(path),
        pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True) as file,
    ):
        first, group = 0, 0
        lengths = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        while group < len(lengths) and first + lengths[group] <= row:
            first += lengths[group]
            group += 1
        if group == len(lengths):
            return
        wanted = list(range(group, len(lengths)))
        for batch in file.iter_batches(size, wanted, columns=list(choice.all)):
            skip = min(max(0, row - first), batch.num_rows)
            if skip < batch.num_rows:
                yield first + skip, batch.slice(skip)
            first += batch.num_rows


def _arrow_reader(file: Any, columns: list[int] | None) -> Any:
    import pyarrow as pa
    from pyarrow import ipc

    options = ipc.IpcReadOptions(included_fields=columns)
    # The file format has an index at its end; the stream format, also written to files, has none.
    start = bytes(file.read(6))
    file.seek(0)
    if start[:4] == b"FEA1":
        raise pa.ArrowInvalid("it is of version 1 of Feather: write it anew by pyarrow.feather.write_feather")
    return ipc.open_file(file, options=options) if start == b"ARROW1" else ipc.open_stream(file, options=options)


def _arrow(path: Path, choice: Choice) -> Iterator[Any]:
    import pyarrow as pa

    with readable(path), pa.OSFile(str(path)) as file:
        names = _arrow_reader(file, None).schema.names
        file.seek(0)
        reader = _arrow_reader(file, sorted(names.index(name) for name in choice.all))
        if hasattr(reader, "get_batch"):
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)
        else:
            yield from reader


@contextmanager
def _csv_reader(path: Path, form: CsvForm, choice: Choice | None) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    kinds: dict[str, Any] = {}
    if choice is not None:
        kinds = {name: form.kinds.get(name, pa.float64()) for name in choice.all}
    convert = csv.ConvertOptions(
        column_types=kinds, include_columns=None if choice is None else list(choice.all), check_utf8=True
    )
    read = csv.ReadOptions(block_size=_BLOCK, column_names=form.names)
    parse = csv.ParseOptions(delimiter=form.delimiter)
    # By the name, as pyarrow's own detection, which however is particular about capitals.
    compression = _COMPRESSION.get(path.suffix.lower())
    with pa.input_stream(str(path), compression=compression) as stream:
        yield csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)


def _csv(path: Path, choice: Choice, form: CsvForm) -> Iterator[Any]:
    import pyarrow as pa

    names: list[str] | None = None
    truths: dict[str, Any] = {}
    try:
        with readable(path):
            with _csv_reader(path, form, None) as reader:
                names = reader.schema.names
                truths = {field.name: field.type for field in reader.schema if pa.types.is_boolean(field.type)}
            with _csv_reader(path, form._replace(kinds=truths | form.kinds), choice) as reader:
                yield from reader
    except FileFormatError as error:
        wrong = _WRONG.search(str(error))
        if wrong is None or names is None:
            raise
        name, value = names[int(wrong["column"])], wrong["value"][:80]
        # Arrow counts from 1, and the line of names too.
        row = "" if wrong["row"] is None else f"row {int(wrong['row']) - (2 if form.names is None else 1)} of "
        if name in choice.targets and choice.labels:
            raise ValueError(
                f"{path}: labels in column {name!r} looked like {form.kinds[name]} at first, then {row}it has "
                f"{value!r}: labels='text' reads all of them as text"
            ) from None
        if name in truths:
            raise ValueError(
                f"{path}: column {name!r} held true and false at first, then {row}it has {value!r}: write 1 and 0"
            ) from None
        raise ValueError(
            f"{path}: {row}column {name!r} has {value!r}, which is no number: {not_numbers_cure()}"
        ) from None
