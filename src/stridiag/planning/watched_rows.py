"""Rows of a matrix and of its transpose in which errors of its solutions gather, or which stand for the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import Structure

__all__ = ["WatchedRows", "left_over", "watched_rows"]

Index = NDArray[np.int64]

# Of all rows at most this part is looked at; and of the transpose, whose errors are spread more evenly, this part of
# those that are not left over.
_PART, _PART_BETWEEN = 2, 4


class WatchedRows(NamedTuple):
    """Rows of a matrix, or of its transpose, and where their entries stand: `stridiag._kernels.watched_rows`."""

    rows: Index
    starts: Index
    slots: Index
    columns: Index


def left_over(structure: Structure, rows: Index) -> tuple[WatchedRows, WatchedRows]:
    """Return rows that the segments of a condensation leave over, evenly chosen where they are many."""
    n = structure.shape[0]
    step = max(1, -(-_PART * rows.size // n))
    between = np.union1d(rows, np.arange(0, n, _PART_BETWEEN))
    return watched_rows(structure, np.sort(rows)[::step]), watched_rows(structure, between, transposed=True)


def watched_rows(structure: Structure, rows: Index, *, transposed: bool = False) -> WatchedRows:
    """Return ascending `rows` of a square matrix, or of its transpose, and their entries."""
    parts = [_along(structure, k, rows, transposed=transposed) for k in range(len(structure.offsets))]
    at, to = structure.link_rows, structure.link_columns
    if transposed:
        at, to = to, at
    place = np.minimum(np.searchsorted(rows, at), max(rows.size - 1, 0))
    linked = np.flatnonzero(rows[place] == at) if rows.size else place[:0]
    parts.append((place[linked], structure.starts[-1] + linked, to[linked]))
    numbers, slots, columns = (np.concatenate(part).astype(np.int64) for part in zip(*parts, strict=True))
    by_row = np.argsort(numbers, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(numbers, minlength=rows.size)))).astype(np.int64)
    return WatchedRows(rows, starts, slots[by_row], columns[by_row])


def _along(structure: Structure, k: int, rows: Index, *, transposed: bool) -> tuple[Index, Index, Index]:
    """Return which of `rows` meet diagonal `k`, and there the slots and the columns."""
    offset = int(structure.offsets[k])
    columns = rows - offset if transposed else rows + offset
    slots = (columns if transposed else rows) + min(offset, 0) + structure.starts[k]
    there = np.flatnonzero((slots >= structure.starts[k]) & (slots < structure.starts[k + 1]))
    return there, slots[there], columns[there]
