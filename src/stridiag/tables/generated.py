"""Rows that a function makes, chunk after chunk: simulations, databases, anything with an order that comes again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.chunks import read_chunks
from stridiag.tables.source import Piece, RowSource, check_numbers, grid_rows

__all__ = ["GeneratedRows", "open_chunks"]

Array = NDArray[Any]


class GeneratedRows(RowSource):
    """A source of the chunks that a function makes; see `open_chunks`."""

    def __init__(
        self, make: Callable[[int], Iterable[tuple[Any, ...]]], key: str, rows: int | None, limits: tuple[int, int]
    ) -> None:
        self._make, self._key = make, key
        self.rows = rows
        self.columns = None
        first = next(iter(make(0)), None)
        if first is None:
            raise ValueError("make(0) must give at least one chunk, got none")
        piece = next(self._pieces((first, 0), 0), None)
        if piece is None:
            raise ValueError("the first chunk must have rows, got none")
        self.width = piece.rows.shape[1]
        self.chunk_rows = grid_rows(self.width + 2, *limits)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The key that the caller gave, and sizes."""
        return {"kind": "chunks", "key": self._key, "width": self.width, "chunk_rows": self.chunk_rows}

    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        return ((i, (chunk, i)) for i, chunk in zip(count(first), self._make(first), strict=False))

    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        chunk, number = part
        at = 0
        # Taken as they come, and cut by what the readers of chunks find to be too long.
        for rows, targets, weights in read_chunks([chunk]):
            if number and rows.shape[1] != self.width:
                raise ValueError(f"chunk {number} has {rows.shape[1]} columns, the first has {self.width}")
            end = at + rows.shape[0]
            if end > row:
                skip = max(0, row - at)
                names = tuple(str(i) for i in range(rows.shape[1]))
                check_numbers(rows[skip:], f"chunk {number}", names, at + skip)
                given = weights[skip:] if len(chunk) == 3 and chunk[2] is not None else None
                yield Piece(rows[skip:], targets[skip:], given)
            at = end


def open_chunks(
    make: Callable[[int], Iterable[tuple[Any, ...]]],
    *,
    key: str,
    rows: int | None = None,
    chunk_rows: int = 1 << 17,
    chunk_bytes: int = 1 << 25,
) -> GeneratedRows:
    """Return a source of the chunks that a function makes.

    Parameters
    ----------
    make : callable
        ``make(i)`` returns an iterable of chunks ``(rows, targets)`` or ``(rows, targets, weights)`` that begins with
        chunk number i. It is called for every pass and every resumption, and must give the same chunks each time.
    key : str
        Names the data: a computation that stopped with one key is not resumed with another.
    rows : int, optional
        How many rows there will be.
    chunk_rows, chunk_bytes : int
        Longer chunks are cut to at most so many rows, and bytes of rows in float64.

    Raises
    ------
    ValueError
        If there is no chunk, or the first has no rows.
    TypeError
        If chunks are no such tuples.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.tables import open_chunks
    >>> def make(first):
    ...     for i in range(first, 3):
    ...         X = np.random.default_rng(i).standard_normal((10, 2))
    ...         yield X, X[:, 0]
    >>> source = open_chunks(make, key="three normal chunks", chunk_rows=6)
    >>> [(chunk.rows.shape, tuple(chunk.after)) for chunk in source.read()][:3]
    [((6, 2), (0, 6)), ((4, 2), (1, 0)), ((6, 2), (1, 6))]
    """
    if not callable(make):
        raise TypeError(f"make must be a function of the number of the first chunk, got {type(make).__name__}")
    if not isinstance(key, str) or not key:
        raise ValueError(f"key must be a string that names the data, got {key!r}")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int | np.integer) or rows < 1):
        raise ValueError(f"rows must be a positive integer, or None if it is not known, got {rows!r}")
    return GeneratedRows(make, key, rows, (chunk_rows, chunk_bytes))
