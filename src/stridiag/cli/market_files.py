"""Matrix Market files, gzipped or not.

Not by ``scipy.io.mmread``: some damaged files end the process with a segmentation fault there (bytes 0 within a number,
and cut off later; scipy 1.17.1), and it takes memory for as many entries as a file claims.

Reference: Boisvert, Pozo, Remington 1996, The Matrix Market Exchange Formats, NISTIR 5935.
"""

from __future__ import annotations

import gzip
import os
import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stridiag import FileFormatError
from stridiag._files import opened_file

__all__ = ["GZIP", "MARKET", "read_market"]

Array = NDArray[Any]

GZIP, MARKET = b"\x1f\x8b", b"%%MatrixMarket"

_BANNER = re.compile(
    r"%%MatrixMarket\s+matrix\s+(coordinate|array)\s+(real|double|integer|unsigned-integer|complex|pattern)\s+"
    r"(general|symmetric|skew-symmetric|hermitian)\s*",
    re.ASCII | re.IGNORECASE,
)
_HEAD = re.compile(rb"[^\n]*\n(?:[ \t]*(?:%[^\n]*)?\r?\n)*([^\n]*)(?:\n|$)")
# What is unpacked of a compressed text: that many bytes, or that many times its size if this is more.
_UNPACKED, _RATIO = 1 << 28, 100


def read_market(file: Path) -> Any:
    """Read a Matrix Market file: a sparse array in coordinates, or a dense one.

    Symmetric matrices are filled up; entries of patterns are 1.

    Raises
    ------
    FileFormatError
        If it is none, or holds other numbers than it says.
    OSError
        If it cannot be read.
    """
    with opened_file(file) as stream:
        start = stream.read(2)
        stream.seek(0)
        text = _unpacked(stream) if start == GZIP else stream.read()
    try:
        return _parsed(text)
    except FileFormatError as error:
        raise FileFormatError(f"{file} is not a readable Matrix Market file: {error}") from None


def _unpacked(stream: BinaryIO) -> bytes:
    most = max(_UNPACKED, _RATIO * os.fstat(stream.fileno()).st_size)
    parts, size = [], 0
    try:
        with gzip.open(stream) as text:
            while size <= most and (part := text.read(1 << 20)):
                parts.append(part)
                size += len(part)
    except Exception as error:
        # EOFError, BadGzipFile, which is an OSError, and zlib's own error.
        raise FileFormatError(f"{stream.name} is not a readable gzip file: {error}") from error
    if size > most:
        raise FileFormatError(f"{stream.name} unpacks to more than {most:,} bytes: unpack it first")
    return b"".join(parts)


def _parsed(text: bytes) -> Any:
    head = _HEAD.match(text)
    banner = None if head is None else _BANNER.fullmatch(text[:200].split(b"\n", 1)[0].decode("latin-1"))
    if head is None or banner is None:
        raise FileFormatError("its first line is another")
    layout, field, symmetry = (word.lower() for word in banner.groups())
    sizes = head[1].split()
    wanted = 3 if layout == "coordinate" else 2
    if len(sizes) != wanted or not all(word.isdigit() and len(word) < 19 for word in sizes):
        raise FileFormatError(f"expected {wanted} sizes, got {head[1][:60].decode('latin-1').strip()!r}")
    rows, columns = int(sizes[0]), int(sizes[1])
    if symmetry != "general" and rows != columns:
        raise FileFormatError(f"a {symmetry} matrix cannot be {rows} x {columns}")
    if (layout == "array" and field == "pattern") or (symmetry == "hermitian" and field != "complex"):
        raise FileFormatError(f"there is no {layout} of field {field} that is {symmetry}")
    numbers = _numbers(text[head.end() :])
    width = {"pattern": 0, "complex": 2}.get(field, 1)
    if layout == "array":
        return _dense(numbers, rows, columns, width, symmetry)
    return _sparse(numbers, rows, columns, int(sizes[2]), width, symmetry)


def _numbers(text: bytes) -> Array:
    with warnings.catch_warnings():
        # What is no number ends the reading; newer releases of numpy raise ValueError by themselves.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            # Not of blanks alone, for which numpy returns a number.
            return np.fromstring(text, np.float64, sep=" ") if text.strip() else np.empty(0)
        except (DeprecationWarning, ValueError):
            raise FileFormatError("it holds something that is no number") from None


def _values(table: Array, width: int) -> Array:
    if width == 0:
        return np.ones(len(table))
    return np.ascontiguousarray(table[:, 0]) if width == 1 else table[:, 0] + 1j * table[:, 1]


def _sparse(numbers: Array, rows: int, columns: int, count: int, width: int, symmetry: str) -> Any:
    import scipy.sparse

    if numbers.size != count * (2 + width):
        raise FileFormatError(f"it claims {count} entries, and holds {numbers.size} numbers for them")
    table = numbers.reshape(count, 2 + width)
    place = table[:, :2]
    # So that NaN fails.
    if not ((place >= 1).all() and (place <= (rows, columns)).all() and (place == np.floor(place)).all()):
        raise FileFormatError(f"indices must be integers from 1 to {rows} and from 1 to {columns}")
    i, j = (place - 1).astype(np.int64).T
    values = _values(table[:, 2:], width)
    if symmetry != "general":
        off = i != j
        if symmetry == "skew-symmetric" and not off.all():
            raise FileFormatError("a skew-symmetric matrix has no entries on its diagonal")
        i, j = np.concatenate((i, j[off])), np.concatenate((j, i[off]))
        values = np.concatenate((values, _mirrored(values[off], symmetry)))
    return scipy.sparse.coo_array((values, (i, j)), shape=(rows, columns))


def _dense(numbers: Array, rows: int, columns: int, width: int, symmetry: str) -> Array:
    strictly = symmetry == "skew-symmetric"
    count = rows * columns if symmetry == "general" else rows * (rows - 1 if strictly else rows + 1) // 2
    if numbers.size != count * width:
        raise FileFormatError(f"it claims {rows} x {columns} numbers, and holds {numbers.size // width}")
    values = _values(numbers.reshape(count, width), width)
    if symmetry == "general":
        return values.reshape(columns, rows).T
    result = np.zeros((rows, columns), values.dtype)
    # Column by column of the lower triangle, which is row by row of the upper one.
    upper = np.triu_indices(rows, 1 if strictly else 0)
    result[upper] = _mirrored(values, symmetry)
    result[upper[::-1]] = values
    return result


def _mirrored(values: Array, symmetry: str) -> Array:
    return values.conj() if symmetry == "hermitian" else -values if symmetry == "skew-symmetric" else values
