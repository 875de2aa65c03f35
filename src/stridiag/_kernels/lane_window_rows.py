"""Where the windows of chains begin, and how their rows get into lanes and back: for `stridiag._kernels.lane_windows`.

Two vectors of windows make a group. If `stride` is 1, they follow one another in one chain, and rows are transposed on
their way into the lanes. If it is a multiple of a vector's length, that many chains, interleaved in memory, fill a
vector as they are; the second vector takes the chains beside them, or else the next window of the same ones. Windows
begin and end outside of the matrix: `safe` says that what is brought does not.
"""

from __future__ import annotations

from typing import Any

from stridiag._kernels.compile import borrowing
from stridiag._kernels.lane_groups import ROWS, ask_for
from stridiag._kernels.vectors import gather, load, prefetch, scatter, store

__all__ = ["ask_for_room", "bring", "bring_back", "first_place", "look_ahead", "squares_inside"]


@borrowing
def first_place(stride: Any, size: Any, piece: Any, margin: Any, group: Any, lane: Any) -> Any:
    """Return the place of the first row of the window in a lane; may be negative."""
    if stride == 1:
        return (group * size + lane) * piece - margin
    # Chains side by side in a group: as many as it has lanes, or half of them.
    beside = size if stride % size == 0 else size // 2
    blocks = stride // beside
    which = group // blocks * (size // beside) + lane // beside
    return (which * piece - margin) * stride + group % blocks * beside + lane % beside


@borrowing
def bring(
    array: Any,
    outside: Any,
    stride: Any,
    starts: Any,
    shift: Any,
    rows: Any,
    safe: Any,
    tile: Any,
    place: Any,
    size: Any,
) -> None:
    """Bring `rows` rows of all windows of a group into the tile; what lies outside of the array is given."""
    half = size // 2
    if not safe:
        for lane in range(size):
            for row in range(rows):
                at = starts[lane] + (shift + row) * stride
                tile[place + row * size + lane] = array[at] if 0 <= at < array.size else outside
    elif stride == 1:
        for row in range(0, rows, half):
            gather(array, starts, 0, shift + row, tile, place + row * size, size)
            gather(array, starts, half, shift + row, tile, place + row * size + half, size)
    else:
        one, other = starts[0] + shift * stride, starts[half] + shift * stride
        for row in range(rows):
            store(tile, place + row * size, load(array, one + row * stride))
            store(tile, place + row * size + half, load(array, other + row * stride))


@borrowing
def bring_back(x: Any, stride: Any, starts: Any, shift: Any, safe: Any, tile: Any, place: Any, size: Any) -> None:
    """Bring the rows of the tile to x."""
    half = size // 2
    if not safe:
        for lane in range(size):
            for row in range(ROWS):
                at = starts[lane] + (shift + row) * stride
                if 0 <= at < x.size:
                    x[at] = tile[place + row * size + lane]
    elif stride == 1:
        for row in range(0, ROWS, half):
            scatter(x, starts, 0, shift + row, tile, place + row * size, size)
            scatter(x, starts, half, shift + row, tile, place + row * size + half, size)
    else:
        one, other = starts[0] + shift * stride, starts[half] + shift * stride
        for row in range(ROWS):
            store(x, one + row * stride, load(tile, place + row * size))
            store(x, other + row * stride, load(tile, place + row * size + half))


@borrowing
def look_ahead(
    dl: Any, d: Any, du: Any, b: Any, stride: Any, starts: Any, chunk: Any, row: Any, lead: Any, size: Any
) -> None:
    """Ask, while one row is computed with, for a share of what comes later.

    Of one chain `lead` rows ahead; of interleaved chains, some rows ahead.
    """
    if stride == 1:
        lane = row & (size - 1)
        place = starts[lane] + lead + chunk
        if row == lane:
            ask_for(dl, place)
            ask_for(d, place)
        if row != lane or size == ROWS:
            ask_for(du, place)
            ask_for(b, place)
    else:
        few = max(4, 384 // stride)
        for lane in (0, size // 2):
            place = starts[lane] + (chunk + row + few) * stride
            prefetch(dl, place)
            prefetch(d, place)
            prefetch(du, place)
            prefetch(b, place)


@borrowing
def ask_for_room(x: Any, stride: Any, starts: Any, shift: Any, size: Any) -> None:
    """Ask for the place of the rows of a tile."""
    half = size // 2
    if stride == 1:
        for lane in range(size):
            for row in range(0, ROWS, half):
                prefetch(x, starts[lane] + shift + row)
    else:
        for row in range(ROWS):
            prefetch(x, starts[0] + (shift + row) * stride)
            prefetch(x, starts[half] + (shift + row) * stride)


@borrowing
def squares_inside(n: Any, stride: Any, starts: Any, shift: Any, tile: Any, place: Any, size: Any) -> Any:
    """Return the sum of the squares of the numbers in a tile that belong to rows of the matrix."""
    total = 0.0
    for lane in range(size):
        for row in range(ROWS):
            if 0 <= starts[lane] + (shift + row) * stride < n:
                total += tile[place + row * size + lane] * tile[place + row * size + lane]
    return total
