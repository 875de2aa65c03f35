"""Rows in tables with named columns: Parquet, Arrow IPC (Feather) and CSV files, one or many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stridiag._extras import require
from stridiag._validate import check_option
from stridiag.tables.columns import Choice, Labels, choose, require_numbers
from stridiag.tables.formats import CsvForm, batches, row_count, schema_of
from stridiag.tables.paths import Files, close_names, default_delimiter, file_marks, found_files, kind_of
from stridiag.tables.source import Piece, RowSource, grid_rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TableRows", "open_tables"]

Format = Literal["parquet", "arrow", "csv"]
_FORMATS = ("parquet", "arrow", "csv")


class TableRows(RowSource):
    """A source of rows in files with named columns; see `open_tables`."""

    columns: tuple[str, ...]

    def __init__(
        self, files: tuple[Path, ...], kind: str, choice: Choice, form: CsvForm, rows: int | None, size: int
    ) -> None:
        self._files, self._kind, self._choice, self._form = files, kind, choice, form
        self.columns = choice.rows
        self.width = len(choice.rows)
        self.rows = rows
        self.chunk_rows = size

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of the files, columns, and how they are read."""
        choice, form = self._choice, self._form
        return {
            "kind": self._kind,
            "files": file_marks(self._files),
            "columns": list(choice.rows),
            "target": list(choice.targets),
            "weight": choice.weight,
            "labels": choice.labels,
            "csv": [form.delimiter, None if form.names is None else list(form.names)],
            "chunk_rows": self.chunk_rows,
        }

    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        return ((i, self._files[i]) for i in range(first, len(self._files)))

    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        for first, batch in batches(part, self._kind, self._choice, self._form, row, self.chunk_rows):
            yield self._choice.piece(batch, str(part), first)


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
        the first 8 MB tell which. Else targets become float64.
    format : {"parquet", "arrow", "csv"}, optional
        By default as the names of the files tell.
    delimiter : str, optional
        Of CSV; by default a comma, in ``.tsv`` files a tabulator.
    names : list of str, optional
        Names of the columns of CSV files without a line of names.
    chunk_rows, chunk_bytes : int
        No chunk has more rows, or more bytes of numbers in float64. (A batch of an Arrow file, a page of Parquet, and
        8 MB of CSV are held too while they are read.)

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
    found = found_files(files)
    kind = _format(found, format)
    if kind != "csv" and (delimiter is not None or names is not None):
        raise ValueError(f"delimiter and names are of CSV files, these are {kind}")
    if labels not in (True, False, "text"):
        raise ValueError(f"labels must be True, False or 'text', got {labels!r}")
    form = CsvForm(
        default_delimiter(found[0]) if delimiter is None else delimiter,
        None if names is None else tuple(names),
        {},
    )
    schemas = [schema_of(path, kind, form) for path in found]
    # The columns of the first file: the others must have the same.
    choice = choose(schemas[0].names, target, columns, weight, labels)
    for path, schema in zip(found, schemas, strict=True):
        _same_names(path, schema, found[0], schemas[0], choice, everything=columns is None)
        if kind == "csv":
            _check_csv(schema, choice, path)
        else:
            choice.check(schema, str(path))
        _same_labels(path, schema, found[0], schemas[0], choice)
    if kind == "csv" and labels:
        form = form._replace(kinds=_label_kinds(schemas[0], choice))
    counts = [row_count(path, kind) for path in found]
    rows = None if None in counts else sum(count for count in counts if count is not None)
    if rows == 0:
        raise ValueError(f"there are no rows in {found[0]}{' and the others' if len(found) > 1 else ''}")
    return TableRows(found, kind, choice, form, rows, grid_rows(len(choice.all), chunk_rows, chunk_bytes))


def _format(files: tuple[Path, ...], format: str | None) -> str:
    if format is not None:
        return check_option(format, "format", _FORMATS)
    kinds = {kind_of(path) for path in files}
    if "npy" in kinds:
        raise ValueError(".npy files have no named columns: use open_arrays")
    if kinds - set(_FORMATS):
        odd = next(path for path in files if kind_of(path) is None)
        raise ValueError(f"the name of {odd} does not tell its format: give format='parquet', 'arrow' or 'csv'")
    if len(kinds) > 1:
        raise ValueError(f"all files must be of one format, got {sorted(map(str, kinds))}")
    return str(kinds.pop())


def _same_names(
    path: Path, schema: pa.Schema, first: Path, wanted: pa.Schema, choice: Choice, *, everything: bool
) -> None:
    have, need = set(schema.names), set(wanted.names) if everything else set(choice.all)
    lacking, more = sorted(need - have), sorted(have - need) if everything else []
    if path is not first and (lacking or more):
        told = [f"lacks {lacking[:5]}"] * bool(lacking) + [f"has also {more[:5]}"] * bool(more)
        raise ValueError(f"{path} has other columns than {first}: it {' and '.join(told)}; columns=[...] chooses")


def _check_csv(schema: pa.Schema, choice: Choice, path: Path) -> None:
    """Check what the first block shows; later ones are checked as they are read."""
    import pyarrow as pa

    for name in choice.all:
        if schema.names.count(name) == 1 and (name not in choice.targets or not choice.labels):
            # A first block without a value says nothing of a type.
            if not pa.types.is_null(schema.field(name).type):
                require_numbers(schema.field(name).type, name, str(path))
        elif schema.names.count(name) != 1:
            told = "no column" if name not in schema.names else "several columns"
            raise ValueError(f"{path} has {told} called {name!r}{close_names(name, schema.names)}")


def _label_kinds(schema: pa.Schema, choice: Choice) -> dict[str, Any]:
    import pyarrow as pa

    if choice.labels == "text":
        return {name: pa.string() for name in choice.targets}
    kinds = {name: schema.field(name).type for name in choice.targets}
    return {name: pa.string() if pa.types.is_temporal(k) or pa.types.is_null(k) else k for name, k in kinds.items()}


def _same_labels(path: Path, schema: pa.Schema, first: Path, wanted: pa.Schema, choice: Choice) -> None:
    """Raise ValueError where labels are text in one file and numbers in another."""
    import pyarrow as pa

    def is_text(of: pa.Schema, name: str) -> bool:
        kind = of.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    if choice.labels is True:
        for name in choice.targets:
            if is_text(schema, name) != is_text(wanted, name):
                raise ValueError(
                    f"labels in column {name!r} are {schema.field(name).type} in {path} and "
                    f"{wanted.field(name).type} in {first}: labels='text' reads all as text"
                )
