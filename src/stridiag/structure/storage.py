"""Matrices in files: an ``.npz`` of plain arrays, never pickled; docs/file-formats.md describes it byte for byte.

Members are stored uncompressed and each array's header is compared with the bytes that follow it (`stridiag._archive`),
so what a file can ask for in memory is bounded by its own size.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._archive import Archive, check_version, opened_archive
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
        If there is no such file, it may not be read, or it is a folder, a pipe or a device.
    """
    with opened_archive(file, "stridiag matrix file", kinds="iufcU") as archive:
        if sorted(archive) != sorted(_MEMBERS):
            told = ", ".join(sorted(archive)[:10]) + (f" and {len(archive) - 10} more" if len(archive) > 10 else "")
            raise FileFormatError(f"expected members {', '.join(_MEMBERS)}, got {told or 'none'}")
        marker, version = archive["format"], archive["version"]
        if marker.shape != () or marker.dtype.kind != "U" or str(marker) != _FORMAT:
            raise FileFormatError(f"its format mark is {str(marker)[:80]!r}")
        if version.shape != () or version.dtype.kind not in "iu":
            raise FileFormatError(f"its version is an array {version.shape} of {version.dtype}")
        check_version(int(version), _VERSION)
        return _rebuild(archive)


def _rebuild(archive: Archive) -> StridiagMatrix:
    shape, offsets, rows, columns = (archive[name] for name in _MEMBERS[2:6])
    for name, index in zip(_MEMBERS[2:6], (shape, offsets, rows, columns), strict=True):
        if index.dtype != np.int64 or index.ndim != 1:
            raise FileFormatError(f"{name} must be one-dimensional int64, got {index.dtype} {index.shape}")
    if shape.size != 2:
        raise FileFormatError(f"shape must be two integers, got {shape.size}")
    structure = Structure((int(shape[0]), int(shape[1])), offsets.tolist(), (rows, columns))
    if structure.offsets != tuple(offsets.tolist()):
        raise FileFormatError("offsets are not in order")
    _check_links(structure, rows, columns)
    values = archive["values"]
    if values.dtype not in VALUE_TYPES:
        raise FileFormatError(f"values must be of one of the four types, got {values.dtype}")
    return StridiagMatrix(structure, values, copy=False)


def _check_links(structure: Structure, rows: NDArray[Any], columns: NDArray[Any]) -> None:
    """Refuse links that `Structure` has folded or moved: their values would go elsewhere."""
    if structure.link_count != rows.size:
        raise StructureError("links are repeated or lie on a diagonal")
    if not (np.array_equal(structure.link_rows, rows) and np.array_equal(structure.link_columns, columns)):
        raise StructureError("links are not in order")
