"""Matrices in files: an ``.npz`` of plain arrays, never pickled.

Members are stored uncompressed, so what a file can ask for in memory is bounded by its own size.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stridiag.errors import FileFormatError, StructureError
from stridiag.structure.matrix import StridiagMatrix
from stridiag.structure.structure import Structure

__all__ = ["load", "save"]

_FORMAT = "stridiag matrix"
_VERSION = 1
_MEMBERS = ("format", "version", "shape", "offsets", "link_rows", "link_columns", "values")


def save(file: str | os.PathLike[str], matrix: StridiagMatrix) -> None:
    """Write a matrix to an ``.npz`` file.

    The file is written beside its place and then moved there: an interrupted write leaves an old file as it
    was. The name is taken as given, without adding a suffix.

    Parameters
    ----------
    file : path
        Where to write.
    matrix : StridiagMatrix
        What to write; batches too.

    Examples
    --------
    >>> import os, tempfile, stridiag
    >>> A = stridiag.random(50, links=3, rng=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "A.npz")
    >>> stridiag.save(path, A)
    >>> stridiag.load(path).equals(A)
    True
    """
    structure = matrix.structure
    members = (
        np.array(_FORMAT),
        np.array(_VERSION),
        np.array(structure.shape, np.int64),
        np.array(structure.offsets, np.int64),
        structure.link_rows,
        structure.link_columns,
        matrix.values,
    )
    path = Path(file)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **dict(zip(_MEMBERS, members, strict=True)))  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(file: str | os.PathLike[str]) -> StridiagMatrix:
    """Read a matrix that `save` wrote.

    Parameters
    ----------
    file : path
        What to read. Nothing in the file is executed, whoever made it.

    Returns
    -------
    StridiagMatrix

    Raises
    ------
    FileFormatError
        If the file is not one of ours, is of a newer version, or is damaged.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(file)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in _MEMBERS}
    except FileNotFoundError:
        raise
    except FileFormatError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, SyntaxError, MemoryError) as error:
        raise FileFormatError(f"{path} is not a readable stridiag matrix file: {error}") from error
    return _rebuild(content, path)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names = {f"{name}.npy" for name in _MEMBERS}
    found = {member.filename for member in archive.infolist()}
    if found != names:
        raise FileFormatError(
            f"{path} is not a stridiag matrix file: expected {sorted(names)}, got {sorted(found)}"
        )
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise FileFormatError(f"{path}: member {member.filename} is compressed; ours never are")
        if member.file_size > path.stat().st_size:
            raise FileFormatError(f"{path}: member {member.filename} claims more bytes than the file has")


def _rebuild(content: dict[str, np.ndarray[Any, Any]], path: Path) -> StridiagMatrix:
    marker, version = content["format"], content["version"]
    if marker.shape != () or marker.dtype.kind != "U" or str(marker) != _FORMAT:
        raise FileFormatError(f"{path} is not a stridiag matrix file: its format mark is {marker!r}")
    if version.shape != () or version.dtype.kind not in "iu" or not 1 <= int(version) <= _VERSION:
        raise FileFormatError(f"{path} has version {version!r}; this release reads versions 1 to {_VERSION}")
    shape, offsets = content["shape"], content["offsets"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or offsets.dtype.kind not in "iu":
        raise FileFormatError(f"{path}: shape and offsets must be integers, got {shape!r} and {offsets!r}")
    try:
        structure = Structure(
            (int(shape[0]), int(shape[1])),
            offsets.tolist(),
            (content["link_rows"], content["link_columns"]),
        )
        if structure.link_count != content["link_rows"].size:
            raise StructureError("links are repeated or lie on a diagonal")
        order = structure.slots(content["link_rows"], content["link_columns"])
        if not np.array_equal(order, structure.starts[-1] + np.arange(order.size)):
            raise StructureError("links are not in order")
        return StridiagMatrix(structure, content["values"], copy=False)
    except (StructureError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} holds no valid matrix: {error}") from error
