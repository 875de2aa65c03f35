"""Entries of a matrix, rows and columns as vectors, and blocks as matrices: what ``A[i, j]`` means.

A block of consecutive rows and columns has the same diagonals, at shifted offsets, and the links inside: a chain stays
a chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._arrays import as_array
from stridiag.structure.structure import Structure

if TYPE_CHECKING:
    from stridiag.structure.matrix import StridiagMatrix

__all__ = ["pick"]

Array = NDArray[Any]


def pick(matrix: StridiagMatrix, index: Any) -> Any:
    """Return what `StridiagMatrix.__getitem__` promises."""
    if not isinstance(index, tuple) or len(index) != 2:
        raise IndexError("index a matrix with two indices, A[i, j]: integers, integer arrays or slices")
    if not any(isinstance(k, slice) for k in index):
        return _entries(matrix, index)
    if all(isinstance(k, slice) for k in index):
        return _block(matrix, *(_window(k, size) for k, size in zip(index, matrix.structure.shape, strict=True)))
    along = 0 if isinstance(index[0], slice) else 1
    line = as_array(index[1 - along], "an index")
    if line.ndim:
        raise IndexError("A[i, j] takes a slice with an integer or another slice; with an array, use A.to_scipy()")
    window = _window(index[along], matrix.structure.shape[along])
    run = np.arange(window.start, window.stop)
    return _entries(matrix, (run, line) if along == 0 else (line, run))


def _entries(matrix: StridiagMatrix, index: tuple[Any, Any]) -> Any:
    shape = matrix.structure.shape
    pair = [as_array(k, "an index") for k in index]
    if any(k.dtype.kind not in "iu" for k in pair):
        raise IndexError("A[i, j] takes integers, integer arrays or slices")
    for axis, (k, size) in enumerate(zip(pair, shape, strict=True)):
        if k.size and not (k.min() >= -size and k.max() < size):
            raise IndexError(f"index out of range for axis {axis} of size {size}")
    rows, columns = np.broadcast_arrays(*(np.where(k < 0, k + size, k) for k, size in zip(pair, shape, strict=True)))
    slots = matrix.structure.slots(rows.ravel(), columns.ravel())
    entries = np.zeros(matrix.batch_shape + slots.shape, matrix.dtype)
    stored = slots >= 0
    entries[..., stored] = matrix.values[..., slots[stored]]
    result = entries.reshape(matrix.batch_shape + rows.shape)
    return result if result.ndim else result[()]


def _window(part: slice, size: int) -> range:
    window = range(*part.indices(size))
    if window.step != 1:
        raise IndexError(f"slices of a matrix go in steps of 1, got {window.step}; for others use A.to_scipy()")
    return range(window.start, max(window.start, window.stop))


def _block(matrix: StridiagMatrix, rows: range, columns: range) -> StridiagMatrix:
    whole = matrix.structure
    shift = rows.start - columns.start
    offsets, pieces = [], []
    for offset in whole.offsets:
        first = max(rows.start, columns.start - offset, 0, -offset)
        length = min(rows.stop, columns.stop - offset) - first
        if length > 0:
            start = whole.diagonal_slots(offset).start + first - max(0, -offset)
            offsets.append(offset + shift)
            pieces.append(np.arange(start, start + length))
    inside = np.flatnonzero(
        (whole.link_rows >= rows.start)
        & (whole.link_rows < rows.stop)
        & (whole.link_columns >= columns.start)
        & (whole.link_columns < columns.stop)
    )
    links = whole.link_rows[inside] - rows.start, whole.link_columns[inside] - columns.start
    pieces.append(whole.starts[-1] + inside)
    structure = Structure((len(rows), len(columns)), offsets, links)
    return type(matrix)(structure, matrix.values[..., np.concatenate(pieces)], copy=False)
