"""Which files are meant: names, lists, wildcards, folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stridiag.errors import FileFormatError

__all__ = ["COMPRESSIONS", "Files", "close_names", "file_marks", "found_files", "kind_of"]

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4", ".br")
_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".npy": "npy",
}


def kind_of(path: Path) -> str | None:
    """Return "parquet", "arrow", "csv" or "npy" as the name tells, None where it does not."""
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    kind = _KINDS.get(name.suffix.lower())
    return kind if name is path or kind == "csv" else None


def found_files(files: Files) -> tuple[Path, ...]:
    """Return the files of a name, a list of names, a pattern with wildcards, or a folder.

    Those of a pattern or a folder come in the order of their names; hidden files in a folder, and such as begin with
    "_", are left out.

    Raises
    ------
    FileNotFoundError
        If there is none.
    FileFormatError
        If one has no bytes at all.
    ValueError
        If a file is named twice, or none is.
    """
    given = [files] if isinstance(files, str | os.PathLike) else list(files)
    found: list[Path] = []
    for one in given:
        path = Path(one)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] not in "._" and kind_of(p))
            if not inside:
                raise FileNotFoundError(f"the folder {path} has no Parquet, Arrow, CSV or .npy files")
            found += inside
        elif path.exists() or not glob.has_magic(str(one)):
            if not path.exists():
                raise FileNotFoundError(f"there is no file {path}{close_names(path.name, _beside(path))}")
            found.append(path)
        else:
            matches = sorted(glob.glob(str(one), recursive=True))
            if not matches:
                raise FileNotFoundError(f"no file matches {str(one)!r}")
            found += [Path(m) for m in matches if Path(m).is_file()]
    if not found:
        raise ValueError(f"expected at least one file, got {files!r}")
    # However it is spelled.
    seen: dict[str, Path] = {}
    for path in found:
        first = seen.setdefault(os.path.realpath(path), path)
        if first is not path:
            raise ValueError(f"{path} is given twice" + (f", also as {first}" if first != path else ""))
    for path in found:
        if path.stat().st_size == 0:
            raise FileFormatError(f"{path} is empty: it has no bytes")
    return tuple(found)


def _beside(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []


def close_names(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean ...?" with what is spelled alike, or nothing."""
    # Imported here, since it takes a moment and is needed when things go wrong only.
    import difflib

    near = difflib.get_close_matches(name, list(names), n=3)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""


def file_marks(paths: Iterable[Path]) -> list[list[Any]]:
    """Return name, size and time of last change of each file."""
    marks = []
    for path in paths:
        told = path.stat()
        marks.append([path.name, told.st_size, told.st_mtime_ns])
    return marks
