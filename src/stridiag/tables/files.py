"""One or many files of the same columns, as one table whose rows are cut by a grid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stridiag.tables.csv_text import SEEN, CsvForm
from stridiag.tables.formats import open_table
from stridiag.tables.paths import Files, file_marks, found_files
from stridiag.tables.values import arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TableFiles"]


class TableFiles:
    """Files that were looked at: what they are, their columns, and their rows from any of them on.

    Parameters
    ----------
    files : path, pattern with wildcards, folder, or list of these
        All of one format.
    form : CsvForm
        Of CSV.
    format : str, optional
        That they must have.

    Attributes
    ----------
    kind : str
        Their format.
    schemas : list of pyarrow.Schema
        Of each file; of CSV, as its first block shows it.
    rows : int or None
        Of all, where an index tells.
    form : CsvForm
        That of the first file, where it is CSV.

    Raises
    ------
    FileFormatError, FileNotFoundError
        If one is none, damaged, or not there.
    ValueError
        If formats differ.
    """

    def __init__(self, files: Files, form: CsvForm = SEEN, format: str | None = None) -> None:
        arrow()
        self.files: tuple[Path, ...] = found_files(files)
        self.form = self._form = form
        self.schemas: list[pa.Schema] = []
        counts: list[int | None] = []
        kinds: list[str] = []
        for path in self.files:
            with open_table(path, form) as table:
                self.schemas.append(table.schema)
                self.form = table.form if not kinds else self.form
                counts.append(table.rows)
                kinds.append(table.kind)
            if kinds[-1] != (format or kinds[0]):
                other = f", and {self.files[0]} {kinds[0]}" if format is None else ""
                raise ValueError(f"all files must be {format or 'of one format'}: {path} holds {kinds[-1]}{other}")
        self.kind: str = kinds[0]
        self.rows = None if None in counts else sum(count for count in counts if count is not None)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of the files, and how they are written."""
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self._form).items()}
        return {"kind": self.kind, "files": file_marks(self.files), "csv": told}

    def parts(self, first: int) -> Iterator[tuple[int, Path]]:
        """Yield the files from number `first` on, with their numbers."""
        return ((i, self.files[i]) for i in range(first, len(self.files)))

    def tables(
        self, path: Path, columns: Collection[str], kinds: Mapping[str, Any], row: int, size: int
    ) -> Iterator[tuple[int, Any, CsvForm]]:
        """Yield tables of a file's rows from `row` on, with the number of their first row, and the form found.

        Other parameters: those of `OpenTable.tables`.
        """
        with open_table(path, self._form) as table:
            for first, part in table.tables(columns, kinds, row, size):
                yield first, part, table.form
