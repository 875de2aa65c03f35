r"""Long chains whose solutions forget what is far away, in one pass: each lane solves a piece and a margin around it.

Where errors decay, an unknown hardly feels what is some dozen, or some hundred, rows away: back substitution multiplies
an error at the lower end of a window by what stands beside the pivots, divided by them, elimination one at the upper
end by all multipliers. So a *window*, a piece of `piece` rows with `margin` rows more at each end, is solved as if the
chain ended there, and the rows of the piece are kept. All is done while the window is in a cache; the matrix is read
once.

The result is checked, not believed. Within a piece the unknowns satisfy their equations: they are those of one
elimination. Only in the first and in the last row of a piece an unknown of the neighboring window stands where the own
one stood: `stridiag._kernels.window_checks.disagreeing` tells whether that changes the row's residual by more than a
small part of the magnitudes that it sums up. With interchanges one row more has to be thought of: the one that is
carried across the lower end of a piece may be carried on for some rows, and what it is eliminated with there enters its
rounding errors; so the unknowns of those rows, as the window has them, are measured.

How a column is eliminated is in `stridiag._kernels.lane_window_steps`: with pivots as they come, or with interchanges.
How rows get into lanes and back is in `stridiag._kernels.lane_window_rows`. Rows outside the arrays are those of an
identity matrix.

Cost: 10 operations a row of a window, 5 more for the probe, and the tests; with interchanges 15 and 7.

References: E. Polizzi, A. H. Sameh, "A parallel hybrid banded system solver: the SPIKE algorithm", Parallel Computing
32 (2006); C. C. K. Mikkelsen, M. Manguoglu, "Analysis of the truncated SPIKE algorithm", SIAM J. Matrix Anal. Appl. 30
(2008), for what decays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.lane_groups import BEYOND_CACHE, ROWS, aligned, group_size_of, loaded, probed, stored
from stridiag._kernels.lane_steps import entry, given, optional, weight
from stridiag._kernels.lane_window_rows import (
    ask_for_room,
    bring,
    bring_back,
    first_place,
    look_ahead,
    squares_inside,
)
from stridiag._kernels.lane_window_steps import back, back_probe, height, larger, squared, step
from stridiag._kernels.shared_units import Units, take, take_the_rest
from stridiag._kernels.vectors import both, choose, every, less, load, magnitude, store
from stridiag._kernels.window_checks import AHEAD, BEHIND, BELOW, WITHIN

__all__ = ["plain_solve_windows", "solve_windows"]

Array = NDArray[Any]


@kernel
def plain_solve_windows(
    interchanging: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    stride: int,
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
    n = d.size
    size = group_size_of(d)
    steps = piece + 2 * margin
    rows = np.empty((steps, 4), d.dtype)
    group = take(units, from_end)
    while group >= 0:
        total = most = 0.0
        trusted = True
        for lane in range(size):
            fine, held, on = True, False, 0
            top = first_place(stride, size, piece, margin, group, lane)
            weighted = weight(first_place(1, size, 1, 0, group, lane))
            carried = 1.0, 0.0, 0.0, 0.0
            if 0 <= top < n:
                carried = d[top], (du[top] if top < du.size else 0.0), b[top], 0.0
            for row in range(steps):
                at = top + row * stride
                after = at + stride
                n0 = dl[at] if 0 <= at < dl.size else 0.0
                n1, n2, nb = 1.0, 0.0, 0.0
                if 0 <= after < n:
                    n1, n2, nb = d[after], (du[after] if after < du.size else 0.0), b[after]
                most = max(most, abs(n0), abs(n1), abs(n2))
                nz = entry(probe, row) * weighted
                carried, kept, fine = step(interchanging, carried, n0, n1, n2, nb, nz, fine)
                rows[row, 0], rows[row, 1], rows[row, 2] = kept[0], kept[2], kept[3]
                if interchanging is not None:
                    rows[row, 3] = kept[1]
                    # How many steps the row takes that is carried across the end of the piece.
                    if row >= margin + piece - 1:
                        on += held
                        held = fine and (held or row < margin + piece)
            trusted = trusted and (fine or interchanging is not None)
            x1 = x2 = z1 = z2 = tallest = 0.0
            for row in range(steps - 1, margin - 2, -1):
                u, w = rows[row, 0], rows[row, 3]
                x1, x2 = back(interchanging, rows[row, 1], u, w, x1, x2), x1
                z1, z2 = back(interchanging, rows[row, 2], u, w, z1, z2), z1
                at = top + row * stride
                if interchanging is not None and margin <= row < margin + piece + on + 1:
                    tallest = max(tallest, abs(x1))
                if row == margin + piece:
                    borders[group, AHEAD, lane] = x1
                    borders[group, BELOW, lane] = tallest
                    tallest = 0.0
                elif row == margin - 1:
                    borders[group, BEHIND, lane] = x1
                    borders[group, WITHIN, lane] = tallest
                elif row < margin + piece and 0 <= at < n:
                    x[at] = x1
                    total += z1 * z1
            total += x1 * 0.0
        largest[group] = most if trusted else math.nan
        squares[group] = total if trusted else math.nan
        if not trusted:
            take_the_rest(units)
        group = take(units, from_end)


@borrowing
def _sum(x: Any, scratch: Any, at: Any, count: Any) -> Any:
    store(scratch, at, x)
    total = scratch[at]
    for lane in range(1, count):
        total += scratch[at + lane]
    return total


_inside = optional(
    lambda probe, n, stride, starts, shift, tile, place, size: 0.0,
    lambda probe, n, stride, starts, shift, tile, place, size: squares_inside(
        n, stride, starts, shift, tile, place, size
    ),
)
_sum_of = optional(lambda x, scratch, at, count: 0.0, lambda x, scratch, at, count: _sum(x, scratch, at, count))


_lead = optional(
    lambda interchanging, lead: lead,
    lambda interchanging, lead: 2 * ROWS,
)


@borrowing
def _within(starts: Any, shift: Any, stride: Any, n: Any) -> Any:
    """Return whether the rows of a tile, and the next one, lie in the matrix, in all lanes."""
    return starts[0] + shift * stride >= 0 and starts[starts.size - 1] + (shift + ROWS) * stride < n


@borrowing
def _first(probe: Any, zero: Any, tile: Any, at: Any, part: Any) -> tuple[Any, Any, Any, Any]:
    """Return the row that half a group begins with."""
    return load(tile, at), load(tile, at + part), load(tile, at + 2 * part), given(probe, zero)


@borrowing
def _down(
    interchanging: Any,
    carried: Any,
    nz: Any,
    tile: Any,
    at: Any,
    part: Any,
    rows: Any,
    to: Any,
    size: Any,
    probes: Any,
    fine: Any,
    most: Any,
) -> tuple[Any, Any, Any]:
    """Eliminate one column in half a group, and keep the pivot row."""
    n0, n1, n2 = load(tile, at), load(tile, at + part), load(tile, at + 2 * part)
    carried, kept, fine = step(interchanging, carried, n0, n1, n2, load(tile, at + 3 * part), nz, fine)
    store(rows, to, kept[0])
    store(rows, to + size, kept[2])
    stored(kept[1], rows, to + 2 * size)
    stored(kept[3], rows, to + probes)
    return carried, fine, larger(larger(most, magnitude(n1)), larger(magnitude(n0), magnitude(n2)))


@vector_kernel(plain_solve_windows)
def solve_windows(
    interchanging: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    stride: int,
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

    `interchanging` is True, or None where pivots are taken as they come. `dl` and `du` have n or n - `stride` entries;
    `piece` and `margin` are multiples of a tile's rows; `probe` has at least as many numbers as a window has rows, and
    stands for a pseudo-random right-hand side. Of each group: ``borders[group]`` becomes, lane by lane, what
    `disagreeing` looks at, and with interchanges the largest unknowns; ``largest[group]`` the largest magnitude of an
    entry of the matrix; ``squares[group]`` the sum of the squares of the probe's solution, NaN if a number of x is not
    finite or a pivot is not to be trusted. Then those not yet taken are not solved, and nothing is known of theirs.
    """
    size = group_size_of(d)
    half = size // 2
    part = ROWS * size
    steps = piece + 2 * margin
    far = d.size > BEYOND_CACHE
    # The next group, in the direction in which they are taken.
    lead = -size * piece if from_end else size * piece
    starts = np.empty(size, np.int64)
    tile = np.empty(4 * part + half, d.dtype)
    place = aligned(tile)
    # The pivot rows of a group: two vectors each, one for entries two columns on, and last the probe's. Of the margin
    # above the piece only the last tile is kept.
    probes = 2 * size if interchanging is None else 3 * size
    width = probes if probe is None else probes + size
    dropped = margin - ROWS
    rows = np.empty((steps - dropped) * width + half, d.dtype)
    origin = aligned(rows)
    group = take(units, from_end)
    while group >= 0:
        for lane in range(size):
            starts[lane] = first_place(stride, size, piece, margin, group, lane)
            tile[place + 3 * part + lane] = weight(first_place(1, size, 1, 0, group, lane))
        safe = _within(starts, 0, stride, min(d.size, du.size))
        weights, weights_other = load(tile, place + 3 * part), load(tile, place + 3 * part + half)
        bring(d, 1.0, stride, starts, 0, half, safe, tile, place, size)
        bring(du, 0.0, stride, starts, 0, half, safe, tile, place + part, size)
        bring(b, 0.0, stride, starts, 0, half, safe, tile, place + 2 * part, size)
        zero = weights * 0.0
        one = _first(probe, zero, tile, place, part)
        other = _first(probe, zero, tile, place + half, part)
        most = zero
        fine = fine_other = less(zero, np.inf)
        # How many steps the row takes that is carried across the end of the piece, and whether it still is.
        on = on_other = zero
        held, held_other = fine, fine_other
        for chunk in range(0, steps, ROWS):
            safe = _within(starts, chunk, stride, min(d.size, du.size))
            bring(dl, 0.0, stride, starts, chunk, ROWS, safe, tile, place, size)
            bring(d, 1.0, stride, starts, chunk + 1, ROWS, safe, tile, place + part, size)
            bring(du, 0.0, stride, starts, chunk + 1, ROWS, safe, tile, place + 2 * part, size)
            bring(b, 0.0, stride, starts, chunk + 1, ROWS, safe, tile, place + 3 * part, size)
            beyond = chunk >= margin + piece
            if chunk == margin + piece:
                held, held_other = fine, fine_other
            for row in range(ROWS):
                if far:
                    look_ahead(dl, d, du, b, stride, starts, chunk, row, _lead(interchanging, lead), size)
                at = place + row * size
                to = origin + (max(chunk - dropped, 0) + row) * width
                nz, nz_other = probed(probe, chunk + row, weights), probed(probe, chunk + row, weights_other)
                one, fine, most = _down(interchanging, one, nz, tile, at, part, rows, to, size, probes, fine, most)
                other, fine_other, most = _down(
                    interchanging,
                    other,
                    nz_other,
                    tile,
                    at + half,
                    part,
                    rows,
                    to + half,
                    size,
                    probes,
                    fine_other,
                    most,
                )
                if beyond:
                    on, on_other = choose(held, on + 1.0, on), choose(held_other, on_other + 1.0, on_other)
                    held, held_other = both(held, fine), both(held_other, fine_other)
        if interchanging is None and not every(both(fine, fine_other)):
            squares[group] = np.nan
            largest[group] = np.nan
            take_the_rest(units)
            break
        store(tile, place, most)
        largest[group] = 0.0
        for lane in range(half):
            largest[group] = max(largest[group], tile[place + lane])
        x1, y1, x2, y2 = zero, zero, zero, zero
        z1, w1, total = given(probe, zero), given(probe, zero), given(probe, zero)
        z2, w2 = given(probe, zero), given(probe, zero)
        tallest = given(interchanging, zero)
        # Of tiles with rows outside the matrix.
        ends = 0.0
        for top in range(steps - ROWS, margin - ROWS - 1, -ROWS):
            inner = margin <= top < margin + piece
            safe = _within(starts, top, stride, x.size)
            if far and inner:
                ask_for_room(x, stride, starts, top - ROWS, size)
            # Before the piece one row is enough.
            for row in range(ROWS - 1, -1 if top >= margin else ROWS - 2, -1):
                at = origin + (top - dropped + row) * width
                u, v = load(rows, at), load(rows, at + half)
                s, t = loaded(interchanging, rows, at + 2 * size), loaded(interchanging, rows, at + 2 * size + half)
                x1, x2 = back(interchanging, load(rows, at + size), u, s, x1, x2), x1
                y1, y2 = back(interchanging, load(rows, at + size + half), v, t, y1, y2), y1
                z1, z2 = back_probe(probe, interchanging, loaded(probe, rows, at + probes), u, s, z1, z2), z1
                w1, w2 = back_probe(probe, interchanging, loaded(probe, rows, at + probes + half), v, t, w1, w2), w1
                store(tile, place + row * size, x1)
                store(tile, place + row * size + half, y1)
                if top >= margin:
                    behind = top + row - (margin + piece) - 1.0
                    tallest = height(interchanging, tallest, x1, less(behind, on))
                    tallest = height(interchanging, tallest, y1, less(behind, on_other))
                if inner:
                    if safe:
                        total = squared(w1, squared(z1, total))
                    else:
                        stored(z1, tile, place + part + row * size)
                        stored(w1, tile, place + part + row * size + half)
            if top == margin + piece or top < margin:
                which = AHEAD if top > margin else BEHIND
                store(borders, (4 * group + which) * size, x1)
                store(borders, (4 * group + which) * size + half, y1)
                which = BELOW if top > margin else WITHIN
                stored(tallest, borders, (4 * group + which) * size)
                stored(tallest, borders, (4 * group + which) * size + half)
                tallest = given(interchanging, zero)
            if inner:
                bring_back(x, stride, starts, top, safe, tile, place, size)
                if not safe:
                    ends += _inside(probe, x.size, stride, starts, top, tile, place + part, size)
        # Zero, and NaN if an entry of x is not finite: none above it is.
        trace = (x1 + y1) * 0.0
        squares[group] = ends + _sum(trace, tile, place, half) + _sum_of(total, tile, place, half)
        group = take(units, from_end)
