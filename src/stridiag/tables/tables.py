"""Rows in tables with named columns: Parquet, Arrow IPC (Feather) and CSV files, one or many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stridiag._extras import require
from stridiag._validate import check_option
from stridiag.tables.columns import Choice, Labels, choose
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.files import TableFiles
from stridiag.tables.paths import Files
from stridiag.tables.source import Piece, RowSource, grid_rows
from stridiag.tables.values import is_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TableRows", "open_tables"]

Format = Literal["parquet", "arrow", "csv"]
_FORMATS = ("parquet", "arrow", "csv")


class TableRows(RowSource):
    """A source of rows in files with named columns; see `open_tables`."""

    columns: tuple[str, ...]

    def __init__(
        self, files: TableFiles, choice: Choice, kinds: Mapping[str, Any], chunk_rows: int, chunk_bytes: int
    ) -> None:
        self._files, self._choice, self._kinds = files, choice, kinds
        self.columns = choice.rows
        self.width = len(choice.rows)
        self.rows = files.rows
        self.chunk_rows = grid_rows(len(choice.all), chunk_rows, chunk_bytes)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of the files, columns, and how they are read."""
        choice = self._choice
        return {
            **self._files.fingerprint,
            "columns": list(choice.rows),
            "target": list(choice.targets),
            "weight": choice.weight,
            "labels": choice.labels,
            "chunk_rows": self.chunk_rows,
        }

    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        return self._files.parts(first)

    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        choice = self._choice
        for first, table, form in self._files.tables(part, choice.all, self._kinds, row, self.chunk_rows):
            yield choice.piece(table, str(part), first, form, self._kinds)


def open_tables(
    files: Files,
    target: str | Sequence[str] | None,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    labels: Labels = False,
    format: Format | None = None,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    missing: Sequence[str] = (),
    chunk_rows: int = 1 << 17,
    chunk_bytes: int = 1 << 25,
) -> TableRows:
    r"""Return a source of rows in Parquet, Arrow IPC (Feather) or CSV files, by pyarrow.

    Parameters
    ----------
    files : path, pattern with wildcards, folder, or list of these
        All of one format. Files of a pattern or a folder come in the order of their names. CSV may be compressed:
        ``.gz``, ``.bz2``, ``.zst``, ``.lz4``, ``.br``.
    target : str or list of str
        Column or columns to predict; None for rows whose targets are not known: then the targets are (n, 0).
    columns : list of str, optional
        Columns of the rows, in this order; by default all but targets and weight, in the order of the first file, and
        all files must have the same ones. Integers, floats, decimals and truth values become float64.
    weight : str, optional
        Column of sample weights.
    labels : bool or "text", default False
        Whether targets are kept as they are stored: classes, integers or strings; "text" makes strings of them. In CSV
        the first 4 MB tell which. Else targets become float64.
    format : {"parquet", "arrow", "csv"}, optional
        Complains about files of another one; by default what their first bytes tell.
    delimiter, decimal, thousands : str, optional
        Of CSV: between columns; ".", or "," in numbers; what groups digits, as in 1,234. By default the first lines
        tell the first two, and digits are not grouped.
    names : list of str, optional
        Names of the columns of CSV files without a line of names.
    missing : list of str
        What stands for missing values in CSV, beside empty texts, "NA", "?" and their like.
    chunk_rows, chunk_bytes : int
        No chunk has more rows, or more bytes of numbers in float64. (A batch of an Arrow file, a page of Parquet, and
        4 MB of CSV are held too while they are read.)

    Raises
    ------
    ImportError
        Without pyarrow, which comes with the extra ``files``.
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If a file is empty, damaged, cut off, or not of this format.
    ValueError
        If a column is missing or not of numbers, or files have different columns.

    Examples
    --------
    >>> import os, tempfile
    >>> from stridiag.tables import open_tables
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("length,width,kind\n5.1,3.5,iris\n6.0,2.9,rose\n")
    >>> source = open_tables(path, "kind", labels=True)
    >>> chunk = next(source.read())
    >>> source.columns, chunk.rows.shape, chunk.targets.tolist()
    (('length', 'width'), (2, 2), ['iris', 'rose'])
    """
    require("reading tables from files", "files", "pyarrow")
    if format is not None:
        check_option(format, "format", _FORMATS)
    form = CsvForm(delimiter, decimal, thousands, tuple(missing), None if names is None else tuple(names))
    opened = TableFiles(files, form, format)
    if opened.kind != "csv" and form != CsvForm():
        raise ValueError(f"delimiter, decimal, thousands, names and missing are of CSV files, these are {opened.kind}")
    if labels not in (True, False, "text"):
        raise ValueError(f"labels must be True, False or 'text', got {labels!r}")
    found, schemas = opened.files, opened.schemas
    # The columns of the first file: the others must have the same.
    choice = choose(schemas[0].names, target, columns, weight, labels)
    for path, schema in zip(found, schemas, strict=True):
        _same_names(path, schema, found[0], schemas[0], choice, everything=columns is None)
        choice.check(schema, str(path))
        _same_labels(path, schema, found[0], schemas[0], choice)
    if opened.rows == 0:
        raise ValueError(f"there are no rows in {found[0]}{' and the others' if len(found) > 1 else ''}")
    kinds = _csv_kinds(schemas[0], choice) if opened.kind == "csv" else {}
    return TableRows(opened, choice, kinds, chunk_rows, chunk_bytes)


def _same_names(
    path: Path, schema: pa.Schema, first: Path, wanted: pa.Schema, choice: Choice, *, everything: bool
) -> None:
    have, need = set(schema.names), set(wanted.names) if everything else set(choice.all)
    lacking, more = sorted(need - have), sorted(have - need) if everything else []
    if path is not first and (lacking or more):
        told = [f"lacks {lacking[:5]}"] * bool(lacking) + [f"has also {more[:5]}"] * bool(more)
        raise ValueError(f"{path} has other columns than {first}: it {' and '.join(told)}; columns=[...] chooses")


def _csv_kinds(schema: pa.Schema, choice: Choice) -> dict[str, Any]:
    """Return the types that columns of CSV must have."""
    import pyarrow as pa

    truths = {field.name for field in schema if pa.types.is_boolean(field.type)}
    kinds: dict[str, Any] = {name: pa.bool_() if name in truths else pa.float64() for name in choice.all}
    for name in choice.targets if choice.labels else ():
        kind = schema.field(name).type
        odd = pa.types.is_temporal(kind) or pa.types.is_null(kind) or choice.labels == "text"
        kinds[name] = pa.string() if odd else kind
    return kinds


def _same_labels(path: Path, schema: pa.Schema, first: Path, wanted: pa.Schema, choice: Choice) -> None:
    """Raise ValueError where labels are text in one file and numbers in another."""
    if choice.labels is True:
        for name in choice.targets:
            if is_text(schema.field(name).type) != is_text(wanted.field(name).type):
                raise ValueError(
                    f"labels in column {name!r} are {schema.field(name).type} in {path} and "
                    f"{wanted.field(name).type} in {first}: labels='text' reads all as text"
                )
