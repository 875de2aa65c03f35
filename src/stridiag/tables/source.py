"""Rows that are read a chunk at a time, from any place: what all sources of rows share.

A source is a list of *parts*, files mostly, and every part is cut by the same grid: chunk k of a part holds its rows
k c up to (k + 1) c, and only the last one of a part is shorter. So the chunks that follow a `Position` do not depend on
where reading began, and a computation that goes on from there meets the same chunks, and rounds in the same way, as one
that was never interrupted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._cached import cached_property
from stridiag.errors import NonFiniteError

__all__ = ["START", "Chunk", "Piece", "Position", "RowSource", "check_numbers", "grid_rows", "joined", "number_of"]

Array = NDArray[Any]


class Position(NamedTuple):
    """A place between two rows of a source: part (file, or chunk of a generator) `file`, before its row `row`."""

    file: int
    row: int


START = Position(0, 0)


class Piece(NamedTuple):
    """Rows (n, p), targets (n,) or (n, q), and weights (n,) or None."""

    rows: Array
    targets: Array
    weights: Array | None

    def cut(self, start: int, end: int) -> Piece:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[start:end]
        return Piece(self.rows[start:end], self.targets[start:end], weights)

    def pick(self, index: Array) -> Piece:
        """Return the rows of these numbers."""
        weights = None if self.weights is None else self.weights[index]
        return Piece(self.rows[index], self.targets[index], weights)


class Chunk(NamedTuple):
    """Rows (n, p) in float64, targets (n,) or (n, q), weights (n,) or None, and the position behind them."""

    rows: Array
    targets: Array
    weights: Array | None
    after: Position


def grid_rows(width: int, chunk_rows: int, chunk_bytes: int) -> int:
    """Return how many rows of `width` numbers make a chunk that keeps both bounds; at least one.

    Raises
    ------
    ValueError
        If a bound is no positive integer.
    """
    for name, value in (("chunk_rows", chunk_rows), ("chunk_bytes", chunk_bytes)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(max(1, min(chunk_rows, chunk_bytes // (8 * width))))


def check_numbers(values: Array, place: str, names: tuple[str, ...], first: int | Array) -> None:
    """Raise NonFiniteError that tells file, row and column of the first number that is none.

    Parameters
    ----------
    values : ndarray of float64, (n, p)
    place : str
        Of the file, for the message.
    names : tuple of str
        Of the columns, (p,).
    first : int or ndarray, (n,)
        Number of the first of these rows within the file, or of each.
    """
    # One sum tells of most arrays that all is well; it may also overflow without a bad number in it.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.unravel_index(int(bad.argmax()), values.shape)
        raise NonFiniteError(
            f"{place}: row {number_of(int(row), first)} has {values[row, column]} in column {names[column]!r} "
            "(rows count from 0): fill or drop such rows first"
        )


def number_of(row: int, first: int | Array) -> int:
    """Return the number within its file of a row of a piece; see `check_numbers`."""
    return first + row if isinstance(first, int) else int(first[row])


class RowSource(ABC):
    """Rows, targets and weights from somewhere, a chunk at a time.

    Attributes
    ----------
    width : int
        Number of columns of the rows.
    columns : tuple of str or None
        Their names, where there are any.
    rows : int or None
        How many rows there are, where that is known without reading them all.
    chunk_rows : int
        Rows of a full chunk.
    """

    width: int
    columns: tuple[str, ...] | None
    rows: int | None
    chunk_rows: int

    @cached_property
    def counts(self) -> dict[str, int]:
        """What was counted while the rows up to the last chunk were read; checkpoints keep it."""
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What tells these rows, in this order and these chunks, from others: of plain JSON."""

    @abstractmethod
    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        """Yield the parts from number `first` on, with their numbers."""

    @abstractmethod
    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        """Yield the rows of a part from `row` on, in pieces of any size that fit into memory."""

    def read(self, start: Position = START) -> Iterator[Chunk]:
        """Yield chunks from a position on, which the `after` of an earlier chunk has told, or from the start.

        Parameters
        ----------
        start : Position
            Rows of files with an index (Parquet, Arrow, ``.npy``) before it are skipped; rows of CSV are parsed anew.

        Raises
        ------
        NonFiniteError
            If a number is missing, NaN or infinite; the message names file, row and column.
        FileFormatError
            If a file is damaged.
        """
        file, row = start
        size = self.chunk_rows
        for number, part in self._parts(file):
            at = row if number == file else 0
            for piece in _regrouped(self._pieces(part, at), size):
                at += piece.rows.shape[0]
                # A chunk that is not full ends its part.
                after = Position(number, at) if piece.rows.shape[0] == size else Position(number + 1, 0)
                yield Chunk(*piece, after)

    def take(self, index: ArrayLike, watch: Callable[[int], object] | None = None) -> Piece:
        """Return rows by their numbers, counted through all parts.

        Parameters
        ----------
        index : array_like of int, (m,)
            Increasing.
        watch : callable, optional
            Called with the number of rows read so far.

        Notes
        -----
        Reads everything once, unless the source can do better: ``.npy`` files are read at these rows only.
        """
        wanted = np.asarray(index, np.int64)
        found, seen = [], 0
        for chunk in self.read():
            count = chunk.rows.shape[0]
            low, high = np.searchsorted(wanted, (seen, seen + count))
            if high > low:
                found.append(Piece(*chunk[:3]).pick(wanted[low:high] - seen))
            seen += count
            if watch is not None:
                watch(seen)
            if high == wanted.size:
                break
        else:
            if self.rows is not None:
                raise ValueError(f"the source was to have {self.rows} rows, and has {seen}")
        return joined(found)


def joined(pieces: list[Piece]) -> Piece:
    """Return pieces one below the other; where only some have weights, the others weigh 1.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not pieces:
        raise ValueError("the source has no rows")
    if len(pieces) == 1:
        return pieces[0]
    weights = None
    if any(p.weights is not None for p in pieces):
        weights = np.concatenate([np.ones(p.rows.shape[0]) if p.weights is None else p.weights for p in pieces])
    return Piece(np.concatenate([p.rows for p in pieces]), np.concatenate([p.targets for p in pieces]), weights)


def _regrouped(pieces: Iterator[Piece], size: int) -> Iterator[Piece]:
    """Yield the same rows in pieces of `size` rows; the last one may be shorter."""
    waiting: list[Piece] = []
    count = 0
    for piece in pieces:
        start, end = 0, piece.rows.shape[0]
        while count + end - start >= size:
            waiting.append(piece.cut(start, start + size - count))
            start += size - count
            yield joined(waiting)
            waiting, count = [], 0
        if end > start:
            waiting.append(piece.cut(start, end))
            count += end - start
    if count:
        yield joined(waiting)
