"""Matrices from files of several kinds: Matrix Market, scipy's and our own ``.npz``, and dense ``.npy``.

What a file is, its first bytes say, whatever its name. Nobody vouches for it: sizes that it claims are compared with
its length before memory is taken for them, and nothing in it is executed.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stridiag import FileFormatError, StridiagMatrix, load
from stridiag._archive import Archive, opened_archive, read_npy
from stridiag._files import opened_file

if TYPE_CHECKING:
    from scipy.sparse import sparray

__all__ = [
    "GZIP",
    "MARKET",
    "NPY",
    "STDIN",
    "ZIP",
    "first_bytes",
    "market_entries",
    "on_disk",
    "read_array",
    "read_matrix",
]

Array = NDArray[Any]

STDIN = Path("-")
ZIP, NPY, GZIP, MARKET = b"PK", b"\x93NUMPY", b"\x1f\x8b", b"%%MatrixMarket"

_BANNER = re.compile(
    r"%%MatrixMarket\s+matrix\s+(coordinate|array)\s+(real|double|integer|unsigned-integer|complex|pattern)\s+"
    r"(general|symmetric|skew-symmetric|hermitian)\s*",
    re.ASCII | re.IGNORECASE,
)
# What is unpacked of a compressed text: that many bytes, or that many times its size if this is more.
_UNPACKED, _RATIO = 1 << 28, 100
# Rows and columns that a matrix may have without entries to show for them.
_FREE = 1 << 24
# Arrays of each of scipy's formats, beside format, shape and data.
_PARTS = {
    "csr": ("indices", "indptr"),
    "csc": ("indices", "indptr"),
    "bsr": ("indices", "indptr"),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}


@contextmanager
def on_disk(file: Path) -> Iterator[Path]:
    """Give a path that can be read more than once: the file itself, or what comes through standard input, in a file."""
    if file != STDIN:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="stridiag-") as folder:
        kept = Path(folder) / "standard input"
        with kept.open("wb") as stream:
            while part := sys.stdin.buffer.read(1 << 20):
                stream.write(part)
        yield kept


def read_matrix(file: Path) -> tuple[Any, str]:
    """Read a matrix from a file of any kind.

    Parameters
    ----------
    file : path
        A file; what comes through standard input is put into one by `on_disk`.

    Returns
    -------
    matrix : StridiagMatrix, scipy sparse array or ndarray, (m, n)
        What `stridiag.detect` takes.
    kind : str
        What the file was, for people.

    Raises
    ------
    FileFormatError
        If it is none of these kinds, or damaged.
    OSError
        If it cannot be read.
    """
    start = first_bytes(file)
    if start.startswith(ZIP):
        matrix, kind = _from_archive(file)
    elif start.startswith(NPY):
        matrix, kind = read_array(file), "NumPy array"
        if matrix.ndim != 2:
            raise FileFormatError(f"{file} holds an array of shape {matrix.shape}, and a matrix has two axes")
    elif start.startswith((MARKET, GZIP)):
        matrix, kind = market_entries(file), "Matrix Market"
    else:
        raise FileFormatError(
            f"{file} is no matrix file: expected Matrix Market (.mtx, .mtx.gz), .npz of scipy.sparse.save_npz or of "
            "stridiag.save, or .npy"
        )
    if isinstance(matrix, StridiagMatrix) and matrix.batch_shape:
        raise FileFormatError(f"{file} holds a batch of shape {matrix.batch_shape}: commands take one matrix")
    _require_plausible(matrix, file)
    return matrix, kind


def first_bytes(file: Path) -> bytes:
    """Return the beginning of a file, by which its kind is known."""
    with opened_file(file) as stream:
        return stream.read(64)


def read_array(file: Path) -> Array:
    """Read an ``.npy`` file of numbers."""
    with opened_file(file) as stream:
        try:
            return read_npy(stream, os.fstat(stream.fileno()).st_size, "biufc", foreign=True)
        except Exception as error:
            # The parser of the header raises what Python's own parser raises: SyntaxError, TokenError and others.
            raise FileFormatError(f"{file} is not a readable NumPy array: {error}") from error


def _require_plausible(matrix: Any, file: Path) -> None:
    """Refuse shapes for which a few bytes would ask for any amount of memory."""
    entries = matrix.size if isinstance(matrix, np.ndarray) else matrix.nnz
    rows, columns = matrix.shape
    if rows + columns > max(_FREE, 4 * entries):
        raise FileFormatError(f"{file} claims {rows} x {columns} for {entries} entries: nearly all rows would be empty")


# ------------------------------------------------------------------ npz


def _from_archive(file: Path) -> tuple[Any, str]:
    with opened_archive(file, "npz file with a matrix", compressed=True, kinds="biufcSU") as archive:
        names = set(archive)
        if {"format", "version", "offsets", "link_rows", "values"} <= names:
            ours = True
        elif {"format", "shape", "data"} <= names:
            ours = False
            sparse = _from_scipy(archive)
        else:
            raise FileFormatError(
                "expected the arrays of scipy.sparse.save_npz or of stridiag.save, got "
                f"{', '.join(sorted(names)[:8]) or 'none'}"
            )
    if ours:
        return load(file), "stridiag"
    return sparse, f"scipy {sparse.format}"


def _from_scipy(archive: Archive) -> sparray:
    import scipy.sparse as sp

    mark = archive["format"]
    if mark.shape != () or mark.dtype.kind not in "SU":
        raise FileFormatError("its format is no word")
    word = mark.item()
    format = word.decode("ascii") if isinstance(word, bytes) else word
    if format not in _PARTS:
        raise FileFormatError(f"sparse format {format[:20]!r} is none of {', '.join(_PARTS)}")
    missing = [name for name in _PARTS[format] if name not in archive]
    if missing:
        raise FileFormatError(f"it has no {missing[0]}, which the format {format} needs")
    shape, data = archive["shape"], archive["data"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or shape.min() < 0 or shape.max() > np.iinfo(np.int64).max:
        raise FileFormatError("its shape is not two numbers")
    if data.dtype.kind not in "biufc":
        raise FileFormatError(f"entries of {data.dtype} are no numbers")
    parts = [archive[name] for name in _PARTS[format]]
    for name, part in zip(_PARTS[format], parts, strict=True):
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise FileFormatError(f"{name} must be integers along one axis, got {part.dtype} {part.shape}")
    size = int(shape[0]), int(shape[1])
    if format == "coo":
        return sp.coo_array((data, (parts[0], parts[1])), shape=size)
    if format == "dia":
        return sp.dia_array((data, parts[0]), shape=size)
    made: Any = {"csr": sp.csr_array, "csc": sp.csc_array, "bsr": sp.bsr_array}[format]
    matrix = made((data, *parts), shape=size)
    # Or scipy's loops would follow indices wherever they lead.
    matrix.check_format(full_check=True)
    result: sparray = matrix
    return result


# ------------------------------------------------------------------ Matrix Market


def market_entries(file: Path) -> Any:
    """Read a Matrix Market file, gzipped or not: a sparse array in coordinates, or a dense one.

    Raises
    ------
    FileFormatError
        If it is none, or claims more entries than it has room for.
    """
    from scipy.io import mmread

    with opened_file(file) as stream:
        text = _unpacked(stream, file) if first_bytes(file).startswith(GZIP) else stream
        size = text.seek(0, os.SEEK_END)
        text.seek(0)
        _check_market_header(text, size, file)
        text.seek(0)
        try:
            return mmread(text, spmatrix=False)
        except Exception as error:
            # Of the parser: ValueError, OverflowError, MemoryError and others.
            raise FileFormatError(f"{file} is not a readable Matrix Market file: {error}") from error


def _unpacked(stream: BinaryIO, file: Path) -> io.BytesIO:
    most = max(_UNPACKED, _RATIO * os.fstat(stream.fileno()).st_size)
    result = io.BytesIO()
    try:
        with gzip.open(stream) as text:
            while result.tell() <= most and (part := text.read(1 << 20)):
                result.write(part)
    except Exception as error:
        # EOFError, BadGzipFile, which is an OSError, and zlib's own error.
        raise FileFormatError(f"{file} is not a readable gzip file: {error}") from error
    if result.tell() > most:
        raise FileFormatError(f"{file} unpacks to more than {most:,} bytes: unpack it first")
    return result


def _check_market_header(text: Any, size: int, file: Path) -> None:
    banner = _BANNER.fullmatch(text.readline(200).decode("latin-1"))
    if banner is None:
        raise FileFormatError(f"{file} is no Matrix Market file of a matrix: its first line is another")
    layout, field = banner[1].lower(), banner[2].lower()
    # scipy's reader takes comments of any length before the sizes.
    line = text.readline(4096)
    while line and (line.startswith(b"%") or not line.strip()):
        line = text.readline(1 << 16)
    found = line.split()
    try:
        numbers = [int(word) for word in found if len(word) < 20]
    except ValueError:
        numbers = []
    if len(numbers) != (3 if layout == "coordinate" else 2) or len(found) != len(numbers) or min(numbers) < 0:
        raise FileFormatError(f"{file}: expected the sizes of the matrix, got {line[:60].decode('latin-1').strip()!r}")
    rows, columns = numbers[:2]
    if layout == "coordinate":
        # Two indices, a value, and what stands between and behind them.
        claimed, least = numbers[2], {"pattern": 4, "complex": 8}.get(field, 6)
    else:
        # Of a symmetric matrix one triangle is written, in any case more than a third of all entries.
        claimed, least = rows * columns // 3, {"complex": 4}.get(field, 2)
    if claimed * least > size + least or max(rows, columns) > np.iinfo(np.int64).max:
        raise FileFormatError(
            f"{file} claims {' x '.join(map(str, numbers[:2]))} and {claimed} entries in {size} bytes"
        )
