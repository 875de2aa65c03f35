"""Matrices from files of several kinds: Matrix Market, scipy's and our own ``.npz``, and dense ``.npy``.

What a file is, its first bytes say, whatever its name. Nobody vouches for it: sizes that it claims are compared with
its length before memory is taken for them, and nothing in it is executed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag import FileFormatError, StridiagMatrix, load
from stridiag._archive import Archive, opened_archive, read_npy
from stridiag._files import opened_file
from stridiag.cli.market_files import GZIP, MARKET, read_market

if TYPE_CHECKING:
    from scipy.sparse import sparray

__all__ = ["NPY", "STDIN", "ZIP", "first_bytes", "on_disk", "read_array", "read_matrix"]

Array = NDArray[Any]

STDIN = Path("-")
ZIP, NPY = b"PK", b"\x93NUMPY"

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
        matrix, kind = read_market(file), "Matrix Market"
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
