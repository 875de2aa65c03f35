"""Right-hand sides from files, and results into files or onto standard output."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag import FileFormatError
from stridiag._files import opened_file, written_whole
from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.market_files import GZIP, MARKET, read_market
from stridiag.cli.matrix_files import NPY, ZIP, first_bytes, read_array

__all__ = ["check_output", "print_array", "read_columns", "write_array"]

Array = NDArray[Any]

# Numbers that a sparse file may be filled up to, with zeros.
_FILLED = 1 << 27
_SUFFIXES = (".npy", ".csv", ".txt", ".mtx")


def read_columns(file: Path, rows: int) -> Array:
    """Read one vector or several columns: ``.npy``, Matrix Market, or text with commas, semicolons or blanks.

    Parameters
    ----------
    file : path
        What to read; what it is, its content says.
    rows : int
        How long each must be.

    Returns
    -------
    ndarray, (rows,) or (rows, k)

    Raises
    ------
    FileFormatError
        If the file is none of these, or has another shape.
    OSError
        If it cannot be read.
    """
    start = first_bytes(file)
    if start.startswith(NPY):
        found = read_array(file)
    elif start.startswith((MARKET, GZIP)):
        found = read_market(file)
        if not isinstance(found, np.ndarray):
            # Before zeros fill it: the number of columns of a sparse file costs it nothing.
            if found.shape[0] != rows or rows * found.shape[1] > max(_FILLED, 100 * found.nnz):
                raise _wrong_shape(file, rows, found.shape)
            found = found.toarray()
    elif start.startswith(ZIP):
        raise FileFormatError(f"{file} is a zip file; right-hand sides are .npy, .mtx, .csv or .txt")
    else:
        found = _from_text(file)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    elif found.ndim == 2 and found.shape[0] == 1 and rows != 1:
        # One line of text is a vector, too.
        found = found[0]
    if found.ndim not in (1, 2) or found.shape[0] != rows:
        raise _wrong_shape(file, rows, found.shape)
    if not np.isfinite(found).all():
        raise FileFormatError(f"{file} holds NaN or infinity, the first in row {_first_bad(found)}, counted from 0")
    return found


def _wrong_shape(file: Path, rows: int, shape: tuple[int, ...]) -> FileFormatError:
    return FileFormatError(f"{file} must hold {rows} rows, as the matrix has, got shape {shape}")


def _first_bad(array: Array) -> int:
    bad = ~np.isfinite(array)
    return int(np.flatnonzero(bad if bad.ndim == 1 else bad.any(axis=1))[0])


def _from_text(file: Path) -> Array:
    with opened_file(file) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError(f"{file} is neither text nor .npy nor Matrix Market") from None
    if "\0" in text or not text.strip():
        raise FileFormatError(f"{file} is {'empty' if not text.strip() else 'no text'}")
    delimiter = next((sign for sign in ",;" if sign in text), None)
    for kind in (np.float64, np.complex128):
        try:
            return np.loadtxt(io.StringIO(text), dtype=kind, delimiter=delimiter, ndmin=2)
        except ValueError as error:
            why = error
    # The last attempt speaks of complex numbers, which are meant by few.
    reason = str(why).replace("complex128", "a number").split("(")[0].strip()
    raise FileFormatError(f"{file} is no table of numbers: {reason}")


def check_output(file: Path | None) -> None:
    """Raise UsageError now, and not after the work, for a name that says nothing of the format wanted."""
    if file is not None and file.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--output must end in {', '.join(_SUFFIXES)}, got {file.name!r}")
    if file is not None and not file.parent.is_dir():
        raise CommandError(f"there is no folder {file.parent} for --output")


def write_array(file: Path, array: Array) -> None:
    """Write an array whole, in the format that the name's ending says."""
    suffix = file.suffix.lower()
    with written_whole(file) as stream:
        if suffix == ".npy":
            np.save(stream, array, allow_pickle=False)
        elif suffix == ".mtx":
            from scipy.io import mmwrite

            mmwrite(stream, array if array.ndim == 2 else array[:, None], precision=17)
        else:
            for line in _lines(array, "," if suffix == ".csv" else " "):
                stream.write(line.encode())


def print_array(array: Array) -> None:
    """Print a row a line, with all digits, to standard output."""
    for line in _lines(array, " "):
        sys.stdout.write(line)


def _lines(array: Array, delimiter: str) -> Any:
    for row in array if array.ndim == 2 else array[:, None]:
        # repr has just the digits that give the number back.
        yield delimiter.join(repr(number) for number in row.tolist()) + "\n"
