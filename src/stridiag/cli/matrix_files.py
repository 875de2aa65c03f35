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
from stridiag._validate import as_index
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
        try:
            yield kept
        except FileFormatError as error:
            raise FileFormatError(str(error).replace(str(kept), "standard input")) from None


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
            sparse, format = _from_scipy(archive)
        else:
            raise FileFormatError(
                "expected the arrays of scipy.sparse.save_npz or of stridiag.save, got "
                f"{', '.join(sorted(names)[:8]) or 'none'}"
            )
    if ours:
        return load(file), "stridiag"
    return sparse, f"scipy {format}"


def _from_scipy(archive: Archive) -> tuple[sparray, str]:
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
    rows, columns = int(shape[0]), int(shape[1])
    places = [as_index(part, name) for name, part in zip(_PARTS[format], parts, strict=True)]
    if format == "dia":
        i, j, data = _of_diagonals(places[0], data, (rows, columns))
    elif format == "coo":
        i, j = places
    elif format == "bsr":
        i, j, data = _of_blocks(places[0], places[1], data, (rows, columns))
    elif format == "csc":
        i, j = places[0], _lines(places[1], columns, places[0].size)
    else:
        i, j = _lines(places[1], rows, places[0].size), places[0]
    if not i.shape == j.shape == data.shape:
        raise FileFormatError(f"it has {i.size} and {j.size} indices for data of shape {data.shape}")
    for index, size in ((i, rows), (j, columns)):
        if index.size and not (index.min() >= 0 and index.max() < size):
            raise FileFormatError(f"indices must lie in 0 ... {size - 1}, got {index.min()} ... {index.max()}")
    return sp.coo_array((data, (i, j)), shape=(rows, columns)), format


# Not by scipy's own formats: its loops follow pointers wherever they lead, and its full check (1.17.1) lets pass those
# that rise and fall back to 0.
def _lines(pointers: Array, lines: int, entries: int) -> Array:
    """Return the line of each entry from where lines begin, (lines + 1,)."""
    counts = np.diff(pointers)
    if pointers.size != lines + 1 or pointers[0] != 0 or pointers[-1] != entries or (counts < 0).any():
        raise FileFormatError(f"indptr must ascend from 0 to {entries} in {lines} steps")
    return np.repeat(np.arange(lines), counts)


def _of_diagonals(offsets: Array, data: Array, shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return rows, columns and values of what lies inside the matrix; a row of data is a diagonal, by column."""
    if data.ndim != 2 or offsets.size != data.shape[0] or np.unique(offsets).size != offsets.size:
        raise FileFormatError(f"data of shape {data.shape} need as many offsets, each once, got {offsets.size}")
    # Beyond the matrix anyway, and differences would leave int64.
    far = np.clip(offsets, -(2**62), 2**62)
    j = np.arange(data.shape[1]) + np.zeros((offsets.size, 1), np.int64)
    i = j - far[:, None]
    inside = (i >= 0) & (i < shape[0]) & (j < shape[1])
    return i[inside], j[inside], data[inside]


def _of_blocks(indices: Array, pointers: Array, data: Array, shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return rows, columns and values of the entries of dense blocks, (blocks, height, width)."""
    if data.ndim != 3 or 0 in data.shape[1:] or shape[0] % data.shape[1] or shape[1] % data.shape[2]:
        raise FileFormatError(f"blocks of shape {data.shape[1:]} do not fill a matrix of shape {shape}")
    blocks, height, width = data.shape
    across = shape[1] // width
    if indices.size != blocks or (blocks and not (indices.min() >= 0 and indices.max() < across)):
        raise FileFormatError(f"{blocks} blocks need as many indices, each below {across}")
    down = _lines(pointers, shape[0] // height, blocks)
    i = down[:, None, None] * height + np.arange(height)[:, None] + np.zeros(width, np.int64)
    j = indices[:, None, None] * width + np.zeros((height, 1), np.int64) + np.arange(width)
    return i.ravel(), j.ravel(), data.ravel()
