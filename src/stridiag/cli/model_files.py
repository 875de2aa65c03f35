"""Model files of the command line, read and written; what they are is told in docs/command-line.md."""

from __future__ import annotations

import os
from pathlib import Path

from stridiag.cli.errors import CommandError
from stridiag.sklearn import TableModel, load

__all__ = ["load_model", "require_place"]


def load_model(file: Path) -> TableModel:
    """Read a model of tables.

    Raises
    ------
    CommandError
        If it is none.
    """
    model = load(file)
    if not isinstance(model, TableModel):
        raise CommandError(
            f"{file} holds a {type(model).__name__} saved from Python, which does not know the columns of tables: "
            "use it from Python (stridiag.sklearn.load)"
        )
    return model


def require_place(file: Path | None) -> None:
    """Complain about a file that cannot be written, before work that would be lost.

    Raises
    ------
    CommandError
        If there is no such folder, or it may not be written to.
    """
    if file is None:
        return
    folder = file.absolute().parent
    if file.is_dir():
        raise CommandError(f"{file} is a folder: name a file")
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"folder {folder} cannot be written to")
