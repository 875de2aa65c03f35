"""A random sample of the rows of a source, the same one for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stridiag.tables.source import Piece, RowSource, joined

__all__ = ["RowSample", "draw_rows", "least_keys", "numbers_of"]

Array = NDArray[Any]
T = TypeVar("T")

_KEYS = 0x6B657973


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
    index = numbers_of(source.rows, rows, how, seed)
    if index is not None:
        piece = source.take(index, watch)
        return RowSample(piece, index[: piece.rows.shape[0]], source.rows)
    pieces = ((chunk.rows.shape[0], Piece(*chunk[:3])) for chunk in source.read())
    found, index, seen = least_keys(pieces, Piece.pick, joined, rows, seed, watch)
    return RowSample(found, index, seen)


def numbers_of(total: int | None, rows: int, how: Literal["random", "first"], seed: int) -> Array | None:
    """Return the numbers of the rows to take, increasing; None where they cannot be told without reading."""
    if total is None:
        return np.arange(rows) if how == "first" else None
    if rows >= total or how == "first":
        return np.arange(min(rows, total))
    return np.sort(np.random.default_rng(seed).choice(total, rows, replace=False, shuffle=False))


def least_keys(
    pieces: Iterator[tuple[int, T]],
    pick: Callable[[T, Array], T],
    join: Callable[[list[T]], T],
    rows: int,
    seed: int,
    watch: Callable[[int], object],
) -> tuple[T, Array, int]:
    """Return rows with the least random keys in one pass, their numbers, and how many rows there are.

    Parameters
    ----------
    pieces : iterator of (int, T)
        How many rows a piece has, and the piece.
    pick, join : callable
        Give rows of a piece by their numbers, and pieces one below the other.
    rows, seed, watch
        See `draw_rows`.
    """
    # Not the numbers of `default_rng(seed)`: rows may be made of these, and keys would choose among their values.
    rng = np.random.default_rng([seed, _KEYS])
    keys, index = np.empty(0), np.empty(0, np.int64)
    kept: list[T] = []
    bound: float = np.inf
    seen = 0
    for count, piece in pieces:
        drawn = np.asarray(rng.random(count))
        # Fewer and fewer: the share of what is wanted in what has been seen.
        low = np.flatnonzero(drawn < bound)
        if low.size:
            keys, index = np.append(keys, drawn[low]), np.append(index, low + seen)
            kept.append(pick(piece, low))
        seen += count
        if keys.size > rows:
            least = np.sort(np.argpartition(keys, rows - 1)[:rows])
            keys, index, kept = keys[least], index[least], [pick(join(kept), least)]
            bound = float(keys.max())
        watch(seen)
    if not kept:
        raise ValueError("the source has no rows")
    return join(kept), index, seen
