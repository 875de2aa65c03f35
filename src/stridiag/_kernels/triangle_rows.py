r"""Triangular systems whose right-hand sides are rows, as a batch of samples is stored: solved side by side in vectors.

.. math:: L x_s = b_s - c \quad\text{for every sample } s

Storage as in `products`: ``values`` holds the diagonals by ascending offset, each by row, then the links by row; the
main diagonal is among them, everything else lies on one side of it. ``x`` and ``b`` are (samples, n), row-major.

A solution is a chain of n steps, each of which waits for the one before; so samples go in lanes. As many samples as
two vectors have lanes are turned into a tile, unit by unit, in registers; the substitution runs down (or up) the tile,
and the solutions are turned back. Two flops per slot and sample, one division per unit and sample unless its pivot is
1. A sample's solution does not depend on the others. Nothing is tested: a pivot of zero leaves infinities and NaN.

`substitution` solves for right-hand sides that are columns, one kernel for many orders of the unknowns.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel, vector_kernel
from stridiag._kernels.vectors import BYTES, gather, load, scatter, splat, store

__all__ = ["add_products_to_rows", "solve_rows", "tile_width"]

Array = NDArray[Any]


def tile_width(itemsize: int) -> int:
    """Return how many samples a tile of `solve_rows` holds."""
    return 2 * BYTES // itemsize


@kernel
def _plain_solve_rows(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    upper: bool,
    b: Array,
    shift: Array,
    x: Array,
    tile: Array,
    places: Array,
    first: int,
    last: int,
) -> None:
    """See `solve_rows`."""
    n = x.shape[1]
    base = starts[offsets.size]
    for s in range(first, last):
        link = link_rows.size - 1 if upper else 0
        for step in range(n):
            i = n - 1 - step if upper else step
            total = b[s, i]
            if shift.size:
                total -= shift[i]
            pivot = total
            for k in range(offsets.size):
                j = i + offsets[k]
                if 0 <= j < n:
                    entry = values[starts[k] + min(i, j)]
                    if j == i:
                        pivot = entry
                    else:
                        total -= entry * x[s, j]
            while 0 <= link < link_rows.size and link_rows[link] == i:
                total -= values[base + link] * x[s, link_columns[link]]
                link += -1 if upper else 1
            x[s, i] = total / pivot


@inlined
def _substitute(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    upper: bool,
    shift: Array,
    tile: Array,
    n: int,
    width: int,
) -> None:
    """Overwrite the tile with the solutions."""
    lanes = BYTES // values.itemsize
    base = starts[offsets.size]
    link = link_rows.size - 1 if upper else 0
    for step in range(n):
        i = n - 1 - step if upper else step
        at = i * width
        a = load(tile, at)
        b = load(tile, at + lanes)
        if shift.size:
            c = splat(shift, i)
            a = a - c
            b = b - c
        main = 0
        for k in range(offsets.size):
            j = i + offsets[k]
            if offsets[k] == 0:
                main = starts[k] + i
            elif 0 <= j < n:
                w = splat(values, starts[k] + min(i, j))
                a = a - w * load(tile, j * width)
                b = b - w * load(tile, j * width + lanes)
        while 0 <= link < link_rows.size and link_rows[link] == i:
            w = splat(values, base + link)
            j = link_columns[link]
            a = a - w * load(tile, j * width)
            b = b - w * load(tile, j * width + lanes)
            link += -1 if upper else 1
        if values[main] != 1:
            w = splat(values, main)
            a = a / w
            b = b / w
        store(tile, at, a)
        store(tile, at + lanes, b)


@vector_kernel(_plain_solve_rows)
def solve_rows(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    upper: bool,
    b: Array,
    shift: Array,
    x: Array,
    tile: Array,
    places: Array,
    first: int,
    last: int,
) -> None:
    """Set ``x[s]`` to the solution for ``b[s] - shift``, s = first ... last - 1; an empty shift is none.

    Scratch: `tile`, (n, samples of a tile), and `places`, int64, (samples of a tile,). `x` may be `b`.
    """
    lanes = BYTES // values.itemsize
    width = 2 * lanes
    n = x.shape[1]
    for begin in range(first, last, width):
        for k in range(width):
            # Lanes that are left over repeat the last sample: they write what is there.
            places[k] = min(begin + k, last - 1) * n
        for lane in range(0, width, lanes):
            i = 0
            while i + lanes <= n:
                gather(b, places, lane, i, tile, i * width + lane, width)
                i += lanes
            while i < n:
                for k in range(lane, lane + lanes):
                    tile[i, k] = b[min(begin + k, last - 1), i]
                i += 1
        _substitute(values, offsets, starts, link_rows, link_columns, upper, shift, tile, n, width)
        for lane in range(0, width, lanes):
            i = 0
            while i + lanes <= n:
                scatter(x, places, lane, i, tile, i * width + lane, width)
                i += lanes
            while i < n:
                for k in range(lane, lane + lanes):
                    x[min(begin + k, last - 1), i] = tile[i, k]
                i += 1


@kernel
def add_products_to_rows(rows: Array, left: Array, right: Array, out: Array) -> None:
    """Add ``left[t] right[t]`` to ``out[rows[t]]`` for every slot t."""
    for t in range(rows.size):
        out[rows[t]] += left[t] * right[t]
