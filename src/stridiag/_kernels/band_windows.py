r"""Long narrow bands whose solutions forget what is far away, in one pass: each lane solves a piece and its margins.

What `stridiag._kernels.lane_windows` is for chains. Nothing of the size of the matrix is stored: pivot rows of the
windows of a group stay in a cache. Column by column, a row that comes in is reduced by the l pivot rows before it
(Crout's order), so that pivot rows are all that is carried:

.. math:: m_{ik} = a_{ik} - \sum_{j < k} m_{ij} u_{jk}, \qquad
          u_{ik} = \bigl( a_{ik} - \sum_{j < i} m_{ij} u_{jk} \bigr) / m_{ii} .

Pivots are taken as they come, and each is tested: the rest of its row must not exceed it in sum,
:math:`\sum_k |u_{ik}| \le 1`. Then what a pivot row adds to the magnitudes of another row is at most what it takes
away, so no row's sum grows, and the rows of :math:`|M||U|` exceed those of the matrix by a factor 2 (l + 1) at most:
the elimination is backward stable, row by row. Dominance by rows is inherited by what remains, so a matrix that is
dominated by its diagonal passes in exact arithmetic.

Where pieces meet, neighbors' unknowns stand in the last u and the first l rows of a piece:
`stridiag._kernels.band_window_checks.disagreeing` tells whether that changes a row's residual.

The number (i, i - l + d) of the band is ``flat[base[d] + i]``, as in `stridiag._kernels.two_ended_lu`. Tuples of zeros
have the lengths l (`below`), u (`above`) and r (`sides`: 2 with a probe); `present`, l + u + 1, has None for a diagonal
that is absent. Rows outside are those of an identity matrix.

Cost: 2 (l + 1) (u + r) - r + 1 operations a row of a window to eliminate, the test's u, and 2 u r to substitute back.

References: as for `stridiag._kernels.lane_windows`; N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd
ed., theorem 9.3 and section 9.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.band_window_checks import number_at
from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.lane_groups import BEYOND_CACHE, ROWS, aligned, ask_for, group_size_of
from stridiag._kernels.lane_steps import weight
from stridiag._kernels.lane_tuples import (
    alike,
    count_of,
    largest_of,
    less_held,
    loaded_row,
    magnitudes,
    rights_of,
    scaled,
    squared_probe,
    stored_row,
    tile_row,
    unknowns,
)
from stridiag._kernels.lane_window_rows import ask_for_room, bring, bring_back
from stridiag._kernels.lane_window_steps import SLACK
from stridiag._kernels.shared_units import Units, take, take_the_rest
from stridiag._kernels.vectors import both, every, less, load, store

__all__ = ["plain_solve_windows", "solve_windows"]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]

# How many tiles before they are needed rows are asked for.
_LEAD = 2 * ROWS


@kernel
def plain_solve_windows(
    flat: Array,
    base: Array,
    below: Widths,
    above: Widths,
    present: Row,
    sides: Widths,
    b: Array,
    probe: Array,
    piece: int,
    margin: int,
    units: Units,
    from_end: bool,
    x: Array,
    borders: Array,
    largest: Array,
    squares: Array,
) -> None:
    """Do what `solve_windows` does, one window after another."""
    n, size = b.size, group_size_of(b)
    lower, upper, right = len(below), len(above), len(sides)
    steps = piece + 2 * margin
    # Before the first row come as many of zeros, which nothing is taken from.
    rows = np.empty((lower + steps, upper + right), b.dtype)
    known = np.empty((steps + upper, right), b.dtype)
    new = np.empty(lower + upper + 1 + right, b.dtype)
    group = take(units, from_end)
    while group >= 0:
        total = most = 0.0
        trusted = True
        for lane in range(size):
            first = (group * size + lane) * piece - margin
            weighted = weight(group * size + lane)
            rows[:lower] = 0.0
            for row in range(steps):
                i = first + row
                for d in range(lower + upper + 1):
                    new[d] = number_at(flat, base, n, i, d, lower)
                    most = max(most, abs(new[d]))
                new[lower + upper + 1] = b[i] if 0 <= i < n else 0.0
                if right > 1:
                    new[lower + upper + 2] = probe[row] * weighted
                for k in range(lower):
                    for d in range(upper):
                        new[k + 1 + d] -= new[k] * rows[row + k, d]
                    for side in range(right):
                        new[lower + upper + 1 + side] -= new[k] * rows[row + k, upper + side]
                over = 1.0 / new[lower]
                total_beside = 0.0
                for d in range(upper + right):
                    rows[lower + row, d] = new[lower + 1 + d] * over
                for d in range(upper):
                    total_beside += abs(rows[lower + row, d])
                trusted = trusted and total_beside < SLACK
            known[steps:] = 0.0
            for row in range(steps - 1, margin - lower - 1, -1):
                i = first + row
                for side in range(right):
                    value = rows[lower + row, upper + side]
                    for d in range(upper - 1, -1, -1):
                        value -= rows[lower + row, d] * known[row + 1 + d, side]
                    known[row, side] = value
                if margin <= row < margin + piece and 0 <= i < n:
                    x[i] = known[row, 0]
                    if right > 1:
                        total += known[row, 1] ** 2
            for k in range(upper):
                borders[group, k, lane] = known[margin + piece + k, 0]
            for k in range(lower):
                borders[group, upper + k, lane] = known[margin - 1 - k, 0]
            total += known[margin - lower, 0] * 0.0
        largest[group] = most if trusted else math.nan
        squares[group] = total if trusted else math.nan
        if not trusted:
            take_the_rest(units)
        group = take(units, from_end)


@borrowing
def _down(
    held: Any,
    tile: Any,
    at: Any,
    given: Any,
    weights: Any,
    rows: Any,
    to: Any,
    size: Any,
    fine: Any,
    most: Any,
) -> tuple[Any, Any, Any]:
    """Reduce a row in half a group, and keep it."""
    part, present, sides, probe, row = given
    zero = weights * 0.0
    entries = tile_row(tile, at, part, zero, present)
    most = largest_of(entries, most, present)
    rights = rights_of(sides, load(tile, at + count_of(present) * part), probe, row, weights)
    entries, rights = less_held(entries, rights, held)
    over = 1.0 / entries[0]
    pivot_row, beside = scaled(entries[1:], over), scaled(rights, over)
    fine = both(fine, less(magnitudes(pivot_row, zero), SLACK))
    stored_row(pivot_row, rows, to, size)
    stored_row(beside, rows, to + len(pivot_row) * size, size)
    return (*held[1:], (pivot_row, beside)), fine, most


@borrowing
def _up(known: Any, like: Any, sides: Any, rows: Any, at: Any, size: Any) -> Any:
    """Find a row's unknowns in half a group."""
    beside = loaded_row(sides, rows, at + len(like) * size, size)
    return unknowns(beside, loaded_row(like, rows, at, size), known)


@borrowing
def _bring_inside(
    array: Any,
    shift: Any,
    low: Any,
    high: Any,
    outside: Any,
    starts: Any,
    chunk: Any,
    tile: Any,
    place: Any,
    size: Any,
) -> None:
    """Bring a tile's rows of an array, that of row i from ``shift + i``; there are the rows `low` ... `high` - 1."""
    if starts[0] + chunk >= low and starts[size - 1] + chunk + ROWS <= high:
        bring(array, outside, 1, starts, shift + chunk, ROWS, True, tile, place, size)
        return
    for lane in range(size):
        first = starts[lane] + chunk
        begin, end = min(max(low - first, 0), ROWS), min(max(high - first, 0), ROWS)
        for row in range(begin):
            tile[place + row * size + lane] = outside
        for row in range(begin, end):
            tile[place + row * size + lane] = array[shift + first + row]
        for row in range(max(begin, end), ROWS):
            tile[place + row * size + lane] = outside


@borrowing
def _bring_rows(
    flat: Any, base: Any, lower: Any, b: Any, starts: Any, chunk: Any, tile: Any, place: Any, size: Any
) -> None:
    """Bring a tile's rows of all diagonals that are present, and behind them those of the right-hand side."""
    n = b.size
    for d in range(base.size):
        if base[d] != ABSENT:
            low, high, outside = max(lower - d, 0), min(n, n + lower - d), 1.0 if d == lower else 0.0
            _bring_inside(flat, base[d], low, high, outside, starts, chunk, tile, place, size)
            place += ROWS * size
    _bring_inside(b, 0, 0, n, 0.0, starts, chunk, tile, place, size)


@borrowing
def _look_ahead(flat: Any, base: Any, b: Any, place: Any) -> None:
    """Ask for a lane's share of a tile."""
    for d in range(base.size):
        if base[d] != ABSENT:
            ask_for(flat, base[d] + place)
    ask_for(b, place)


@vector_kernel(plain_solve_windows)
def solve_windows(
    flat: Array,
    base: Array,
    below: Widths,
    above: Widths,
    present: Row,
    sides: Widths,
    b: Array,
    probe: Array,
    piece: int,
    margin: int,
    units: Units,
    from_end: bool,
    x: Array,
    borders: Array,
    largest: Array,
    squares: Array,
) -> None:
    """Solve the windows of the groups that are taken, see `shared_units`, and fill in their pieces of `x`, (n,).

    `piece` and `margin` are multiples of a tile's rows; `probe` has at least as many numbers as a window has rows, or
    none where there is one side. Of each group: ``borders[group]``, (u + l, lanes), become the unknowns behind the
    piece, and those before it, backwards; ``largest[group]`` the largest magnitude of an entry of the matrix;
    ``squares[group]`` the sum of the squares of the probe's solution, NaN if a number of x is not finite or a pivot is
    not to be trusted, as is then what is largest. Then those not yet taken are not solved, and nothing is known of
    theirs.
    """
    n, size = b.size, group_size_of(b)
    half = size // 2
    part = ROWS * size
    steps = piece + 2 * margin
    lower, upper, slots = len(below), len(above), count_of(present)
    starts = np.empty(size, np.int64)
    tile = np.empty((slots + 1) * part + half, b.dtype)
    place = aligned(tile)
    # Of the margin above the piece only the last tile is kept.
    width = (upper + len(sides)) * size
    dropped = margin - ROWS
    rows = np.empty((steps - dropped) * width + half, b.dtype)
    origin = aligned(rows)
    group = take(units, from_end)
    while group >= 0:
        for lane in range(size):
            starts[lane] = (group * size + lane) * piece - margin
            tile[place + lane] = weight(group * size + lane)
        weights, weights_other = load(tile, place), load(tile, place + half)
        zero = weights * 0.0
        one = alike(below, (alike(above, zero), alike(sides, zero)))
        other = one
        most = zero
        fine = fine_other = less(zero, np.inf)
        for chunk in range(0, steps, ROWS):
            _bring_rows(flat, base, lower, b, starts, chunk, tile, place, size)
            for row in range(ROWS):
                if n > BEYOND_CACHE and row < size:
                    _look_ahead(flat, base, b, starts[row] + chunk + _LEAD)
                at = place + row * size
                to = origin + (max(chunk - dropped, 0) + row) * width
                given = (part, present, sides, probe, chunk + row)
                one, fine, most = _down(one, tile, at, given, weights, rows, to, size, fine, most)
                other, fine_other, most = _down(
                    other, tile, at + half, given, weights_other, rows, to + half, size, fine_other, most
                )
        if not every(both(fine, fine_other)):
            squares[group] = np.nan
            largest[group] = np.nan
            take_the_rest(units)
            break
        store(tile, place, most)
        largest[group] = 0.0
        for lane in range(half):
            largest[group] = max(largest[group], tile[place + lane])
        known = alike(sides, alike(above, zero))
        known_other = known
        total = zero
        # Of groups with rows outside the matrix.
        ends = 0.0
        for top in range(steps - ROWS, margin - ROWS - 1, -ROWS):
            inner = margin <= top < margin + piece
            safe = starts[0] + top >= 0 and starts[size - 1] + top + ROWS <= n
            if n > BEYOND_CACHE and inner:
                ask_for_room(x, 1, starts, top - ROWS, size)
            # Before the piece a few rows are enough.
            for row in range(ROWS - 1, -1 if top >= margin else ROWS - 1 - lower, -1):
                at = origin + (top - dropped + row) * width
                known = _up(known, above, sides, rows, at, size)
                known_other = _up(known_other, above, sides, rows, at + half, size)
                store(tile, place + row * size, known[0][0])
                store(tile, place + row * size + half, known_other[0][0])
                if inner:
                    if safe:
                        total = squared_probe(known_other, squared_probe(known, total))
                    else:
                        store(tile, place + part + row * size, squared_probe(known, zero))
                        store(tile, place + part + row * size + half, squared_probe(known_other, zero))
            if top == margin + piece:
                for k in range(upper):
                    for lane in range(size):
                        borders[group, k, lane] = tile[place + k * size + lane]
            elif top < margin:
                for k in range(lower):
                    for lane in range(size):
                        borders[group, upper + k, lane] = tile[place + (ROWS - 1 - k) * size + lane]
            if inner:
                bring_back(x, 1, starts, top, safe, tile, place, size)
                if not safe:
                    ends += _sum_inside(n, starts, top, tile, place + part, size)
        # Zero, and NaN if an entry of x is not finite: none above it is.
        store(tile, place, total + (known[0][0] + known_other[0][0]) * 0.0)
        for lane in range(half):
            ends += tile[place + lane]
        squares[group] = ends
        group = take(units, from_end)


@borrowing
def _sum_inside(n: Any, starts: Any, shift: Any, tile: Any, place: Any, size: Any) -> Any:
    """Return the sum of the numbers in a tile that belong to rows of the matrix."""
    total = 0.0
    for lane in range(size):
        for row in range(ROWS):
            if 0 <= starts[lane] + shift + row < n:
                total += tile[place + row * size + lane]
    return total
