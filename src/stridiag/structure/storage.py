"""Matrices in files: an ``.npz`` of plain arrays, never pickled.

Members are stored uncompressed and each array's header is compared with the bytes that follow it, so what a
file can ask for in memory is bounded by its own size.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._files import written_whole
from stridiag._validate import VALUE_TYPES
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
    with written_whole(file) as stream:
        np.savez(stream, **dict(zip(_MEMBERS, members, strict=True)))  # type: ignore[arg-type]


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
    OSError
        If there is no such file, or it may not be read.
    """
    path = Path(file)
    # Opened first, so that a file that is missing or may not be read says so itself.
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                _check_members(archive, path)
                content = {name: _read_member(archive.read(f"{name}.npy"), name) for name in _MEMBERS}
        except FileFormatError:
            raise
        except Exception as error:
            # Damage makes the parsers of zip and of array headers raise almost anything: NotImplementedError,
            # RecursionError and tokenize.TokenError among others.
            raise FileFormatError(f"{path} is not a readable stridiag matrix file: {error}") from error
    return _rebuild(content, path)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names = sorted(f"{name}.npy" for name in _MEMBERS)
    found = sorted(member.filename for member in archive.infolist())
    if found != names:
        told = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
        raise FileFormatError(
            f"{path} is not a stridiag matrix file: expected members {', '.join(names)}, got {told or 'none'}"
        )
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise FileFormatError(f"{path}: member {member.filename} is compressed; ours never are")
        if member.file_size > path.stat().st_size:
            raise FileFormatError(f"{path}: member {member.filename} claims more bytes than the file has")


def _read_member(member: bytes, name: str) -> NDArray[Any]:
    """Return the array in the bytes of an ``.npy`` member, without pickle and without trusting its header."""
    stream = io.BytesIO(member)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name} has array format {version}, expected (1, 0)")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    size = len(member) - stream.tell()
    # math.prod, since a product in int64 could wrap round to the true size.
    if fortran or dtype.hasobject or math.prod(shape) * dtype.itemsize != size or min(shape, default=0) < 0:
        raise ValueError(f"{name} claims shape {shape} of {dtype} for {size} bytes")
    return np.frombuffer(member, dtype, count=math.prod(shape), offset=stream.tell()).reshape(shape)


def _rebuild(content: dict[str, NDArray[Any]], path: Path) -> StridiagMatrix:
    marker, version = content["format"], content["version"]
    if marker.shape != () or marker.dtype.kind != "U" or str(marker) != _FORMAT:
        raise FileFormatError(f"{path} is not a stridiag matrix file: its format mark is {marker!r}")
    if version.shape != () or version.dtype.kind not in "iu" or not 1 <= int(version) <= _VERSION:
        raise FileFormatError(f"{path} has version {version!r}; this release reads versions 1 to {_VERSION}")
    shape, offsets = content["shape"], content["offsets"]
    for name in ("shape", "offsets", "link_rows", "link_columns"):
        if content[name].dtype != np.int64 or content[name].ndim != 1:
            told = f"{content[name].dtype} {content[name].shape}"
            raise FileFormatError(f"{path}: {name} must be one-dimensional int64, got {told}")
    if shape.size != 2:
        raise FileFormatError(f"{path}: shape must be two integers, got {shape.size}")
    if content["values"].dtype not in VALUE_TYPES:
        raise FileFormatError(f"{path}: values must be of one of the four types, got {content['values'].dtype}")
    try:
        structure = Structure(
            (int(shape[0]), int(shape[1])),
            offsets.tolist(),
            (content["link_rows"], content["link_columns"]),
        )
        _check_links(structure, content["link_rows"], content["link_columns"])
        # Copied, since the bytes of a file need not be aligned.
        return StridiagMatrix(structure, content["values"])
    except (StructureError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} holds no valid matrix: {error}") from error


def _check_links(structure: Structure, rows: NDArray[Any], columns: NDArray[Any]) -> None:
    """Refuse links that `Structure` has folded or moved: their values would go elsewhere."""
    if structure.link_count != rows.size:
        raise StructureError("links are repeated or lie on a diagonal")
    if not (np.array_equal(structure.link_rows, rows) and np.array_equal(structure.link_columns, columns)):
        raise StructureError("links are not in order")
