"""A random sample of the rows of a source, the same one for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.tables.source import Piece, RowSource, joined

__all__ = ["RowSample", "draw_rows"]

Array = NDArray[Any]


class RowSample(NamedTuple):
    """Rows, their numbers in the source, increasing, and how many rows there are, where that is known now."""

    piece: Piece
    numbers: Array
    total: int | None


def draw_rows(
    source: RowSource, rows: int, how: Literal["random", "first"], seed: int, watch: Callable[[int], object]
) -> RowSample:
    """Return the first rows of a source, or rows drawn without replacement, each with the same probability.

    Where the number of rows is known, their numbers are drawn, and then read. Otherwise each row gets a random key in
    one pass, and those with the least keys stay: which sample it is depends on seed and order alone, not on chunks.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if how == "first" or source.rows is not None:
        if source.rows is None or rows >= source.rows:
            index = np.arange(rows if source.rows is None else source.rows)
        elif how == "first":
            index = np.arange(rows)
        else:
            index = np.sort(np.random.default_rng(seed).choice(source.rows, rows, replace=False, shuffle=False))
        piece = source.take(index, watch)
        return RowSample(piece, index[: piece.rows.shape[0]], source.rows)
    return _least_keys(source, rows, seed, watch)


def _least_keys(source: RowSource, rows: int, seed: int, watch: Callable[[int], object]) -> RowSample:
    rng = np.random.default_rng(seed)
    keys, index = np.empty(0), np.empty(0, np.int64)
    pieces: list[Piece] = []
    bound: float = np.inf
    seen = 0
    for chunk in source.read():
        count = chunk.rows.shape[0]
        drawn = np.asarray(rng.random(count))
        # Fewer and fewer: the share of what is wanted in what has been seen.
        low = np.flatnonzero(drawn < bound)
        keys, index = np.append(keys, drawn[low]), np.append(index, low + seen)
        weights = None if chunk.weights is None else chunk.weights[low]
        pieces.append(Piece(chunk.rows[low], chunk.targets[low], weights))
        seen += count
        if keys.size > rows:
            kept = np.sort(np.argpartition(keys, rows - 1)[:rows])
            keys, index = keys[kept], index[kept]
            bound = float(keys.max())
            if kept.size < sum(p.rows.shape[0] for p in pieces):
                whole = joined(pieces)
                weights = None if whole.weights is None else whole.weights[kept]
                pieces = [Piece(whole.rows[kept], whole.targets[kept], weights)]
        watch(seen)
    return RowSample(joined(pieces), index, seen)
