"""Solving for few right-hand sides with LU in fronts: what the steps need stands in the order in which they need it.

In the factors of `stridiag._kernels.front_lu` numbers stand by rows, and every row and column of a front is looked up.
Here unknowns and right-hand sides are in the order of elimination, in one array w, in which a front's pivots fill whole
vectors. A front of up to `MOST` pivots becomes panels of up to `LANES`; a panel's part of w is one vector, from which
columns of L and U are subtracted: sums in the lanes of vectors need no adding up, and a step hardly any instructions.
Larger fronts stay by rows: their sums are long.

Storage: ``heads``, (panels, 6), with for each panel its pivots, the rows behind them, where its part of w begins, where
the places of what is behind begin, and where its numbers begin in ``lower`` and ``upper``; for a front by rows, where
they begin in the factors. ``places``, (2, n), where the rows and the columns of the matrix stand in w; ``behind``,
(2, all), the places of rows and columns behind pivots. ``lower`` holds the columns of L at the pivots but for the last,
then those of the rows behind, a line of `LANES` after the other; ``upper`` the reciprocals of the pivots, then, divided
by the pivots, the columns of U behind them and those at them, the last one first.

Cost: 2 operations for each number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form, kernel
from stridiag._kernels.dot import LANES, dot
from stridiag._kernels.front_lu import DONE, IDS, SIZE, VALUES
from stridiag._kernels.vectors import gather, load, multiply_add, splat, store
from stridiag._kernels.wide_vectors import zeros

__all__ = ["HEAD", "LANES", "MOST", "SPILL", "lay_out", "pack", "solve"]

Array = NDArray[Any]

MOST = 2 * LANES
"""Pivots of the largest front that is taken in panels."""

SPILL = LANES * LANES
"""Numbers that may be written behind those of the panels."""

PIVOTS, REST, START, BEHIND, LOWER, UPPER = range(6)
HEAD = 6


@kernel
def lay_out(head: Array, ids: Array, places: Array, heads: Array) -> tuple[int, int, int, int, int]:
    """Fill `places` and `heads`, which has room for two panels a front.

    Returns the panels, and the lengths of `behind`, `lower`, `upper` and w.
    """
    panels = behind = lower = upper = start = 0
    for f in range(head.shape[0]):
        done, width, first = head[f, DONE], head[f, SIZE], head[f, IDS]
        for t in range(done):
            places[0, ids[first + t]] = start + t
            places[1, ids[first + width + t]] = start + t
        size = LANES if done <= MOST else done
        for t in range(0, done, size):
            pivots = min(size, done - t)
            rest = width - t - pivots
            heads[panels, PIVOTS] = pivots
            heads[panels, REST] = rest
            heads[panels, START] = start + t
            heads[panels, BEHIND] = behind + t + pivots - min(size, done)
            heads[panels, LOWER] = lower if done <= MOST else head[f, VALUES]
            heads[panels, UPPER] = upper
            if done <= MOST:
                lower += LANES * (pivots - 1 + pivots * (-(-rest // LANES)))
                upper += LANES * (pivots + rest)
            panels += 1
        behind += width - min(size, done)
        start += -(-done // LANES) * LANES
    return panels, behind, lower, upper, start


@kernel
def pack(
    head: Array, values: Array, ids: Array, places: Array, behind: Array, lower: Array, upper: Array, starts: Array
) -> None:
    """Fill `behind`, `lower` and `upper`.

    Behind `values` there must be numbers for a vector, behind the last two room for `SPILL`; `starts`, (LANES,), is
    work space.
    """
    at = down = up = 0
    for f in range(head.shape[0]):
        done, width, begin, first = head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS]
        size = LANES if done <= MOST else done
        for k in range(min(size, done), width):
            behind[0, at] = places[0, ids[first + k]]
            behind[1, at] = places[1, ids[first + width + k]]
            at += 1
        if done > MOST:
            continue
        for t in range(0, done, LANES):
            pivots = min(LANES, done - t)
            down = _pack_lower(values, begin, done, width, t, pivots, lower, down, starts)
            up = _pack_upper(values, begin, width, t, pivots, upper, up, starts)


@borrowing
def _pack_lower(
    values: Array, begin: int, done: int, width: int, t: int, pivots: int, lower: Array, at: int, starts: Array
) -> int:
    corner, nothing = begin + t * width + t, values[0] * 0
    for j in range(pivots - 1):
        for i in range(LANES):
            inside = j < i < pivots
            lower[np.uint64(at + i)] = values[np.uint64(corner + i * width + j)] if inside else nothing
        at += LANES
    for line in range(t + pivots, width, LANES):
        for i in range(LANES):
            # What fills up the last line repeats a row, and is not used.
            row = min(line + i, width - 1)
            starts[i] = begin + (row * width if row < done else done * width + (row - done) * done) + t
        _put_across(values, starts, 0, pivots, lower, at)
        at += pivots * LANES
    return at


@borrowing
def _pack_upper(
    values: Array, begin: int, width: int, t: int, pivots: int, upper: Array, at: int, starts: Array
) -> int:
    rest = width - t - pivots
    nothing = values[0] * 0
    for i in range(LANES):
        # Lanes without a pivot hold zeros.
        starts[i] = begin + (t + min(i, pivots - 1)) * width + t
        upper[at + i] = 1.0 / values[starts[i] + i] if i < pivots else nothing
    end = at + LANES * (1 + rest)
    _put_across(values, starts, pivots, rest, upper, at + LANES)
    for k in range(pivots - 1, 0, -1):
        for i in range(LANES):
            upper[np.uint64(end + i)] = values[np.uint64(starts[i] + k)] if i < k else nothing
        end += LANES
    _scale(upper, at, end)
    return end


def _put_across(values: Array, starts: Array, shift: int, count: int, target: Array, at: int) -> None:
    """Put so many numbers of `LANES` rows, which begin at `starts`, by columns."""
    for k in range(count):
        for i in range(LANES):
            target[at + k * LANES + i] = values[starts[i] + shift + k]


def _put_across_in_vectors(values: Any, starts: Any, shift: int, count: int, target: Any, at: int) -> None:
    for k in range(0, count, LANES):
        gather(values, starts, 0, shift + k, target, at + k * LANES, LANES)


def _scale(upper: Array, at: int, end: int) -> None:
    """Multiply what follows the line at a place by that."""
    for line in range(at + LANES, end, LANES):
        for i in range(LANES):
            upper[line + i] *= upper[at + i]


def _scale_in_vectors(upper: Any, at: int, end: int) -> None:
    inverse = load(upper, at)
    for line in range(at + LANES, end, LANES):
        store(upper, line, load(upper, line) * inverse)


@borrowing_form(_put_across)
def _put_across_form(values, starts, shift, count, target, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _put_across_in_vectors if values.dtype is types.float64 else _put_across


@borrowing_form(_scale)
def _scale_form(upper, at, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _scale_in_vectors if upper.dtype is types.float64 else _scale


@kernel
def solve(
    heads: Array,
    behind: Array,
    places: Array,
    values: Array,
    lower: Array,
    upper: Array,
    b: Array,
    w: Array,
    work: Array,
    x: Array,
) -> None:
    """Solve for `x`, (n, m), by columns of the matrix, given `b` by its rows; both may be the same.

    `values` are the numbers of `stridiag._kernels.front_lu`; `w`, (m, length), starts as zeros; `work`, (as wide as a
    front, but `LANES` at least). Each number of the factors is brought from memory once.
    """
    for i in range(b.shape[0]):
        for side in range(w.shape[0]):
            w[side, places[0, i]] = b[i, side]
    span = w.shape[1]
    flat = w.reshape(w.size)
    rows, columns = behind[0], behind[1]
    for f in range(heads.shape[0]):
        pivots, rest, first, at = heads[f, PIVOTS], heads[f, REST], heads[f, BEHIND], heads[f, LOWER]
        if pivots > LANES:
            _down_by_rows(values, at, pivots, rest, rows, first, w, heads[f, START])
            continue
        for side in range(w.shape[0]):
            shift = side * span
            _down(lower, at, pivots, rest, rows, first, flat, shift, shift + heads[f, START], work)
    for f in range(heads.shape[0] - 1, -1, -1):
        pivots, rest, first, at = heads[f, PIVOTS], heads[f, REST], heads[f, BEHIND], heads[f, UPPER]
        for side in range(w.shape[0]):
            shift = side * span
            if pivots <= LANES:
                _up(upper, at, pivots, rest, columns, first, flat, shift, shift + heads[f, START])
                continue
            for k in range(rest):
                work[k] = flat[shift + columns[first + k]]
            _up_by_rows(values, heads[f, LOWER], pivots, rest, flat, shift + heads[f, START], work)
    for i in range(x.shape[0]):
        for side in range(w.shape[0]):
            x[i, side] = w[side, places[1, i]]


@borrowing
def _down_by_rows(
    values: Array, at: int, pivots: int, rest: int, rows: Array, first: int, w: Array, start: int
) -> None:
    flat, span = w.reshape(w.size), w.shape[1]
    row = at
    for i in range(pivots + rest):
        place = start + i if i < pivots else rows[first + i - pivots]
        for side in range(w.shape[0]):
            here = side * span
            w[side, place] -= dot(values, row, flat, here + start, here + start + min(i, pivots))
        row += pivots + rest if i < pivots else pivots


@borrowing
def _up_by_rows(values: Array, at: int, pivots: int, rest: int, w: Array, start: int, work: Array) -> None:
    width = pivots + rest
    for t in range(pivots - 1, -1, -1):
        row = at + t * width
        known = dot(values, row + t + 1, w, start + t + 1, start + pivots)
        known += dot(values, row + pivots, work, 0, rest)
        w[start + t] = (w[start + t] - known) / values[row + t]


def _down(
    lower: Array,
    at: int,
    pivots: int,
    rest: int,
    rows: Array,
    first: int,
    w: Array,
    shift: int,
    start: int,
    work: Array,
) -> None:
    for t in range(pivots - 1):
        value = w[start + t]
        for i in range(LANES):
            w[start + i] -= value * lower[at + i]
        at += LANES
    for line in range(0, rest, LANES):
        for i in range(LANES):
            work[i] = w[start] * lower[at + i]
        at += LANES
        for t in range(1, pivots):
            for i in range(LANES):
                work[i] += w[start + t] * lower[at + i]
            at += LANES
        for i in range(min(LANES, rest - line)):
            w[shift + rows[first + line + i]] -= work[i]


def _down_in_vectors(
    lower: Any,
    at: int,
    pivots: int,
    rest: int,
    rows: Any,
    first: int,
    w: Any,
    shift: int,
    start: int,
    work: Any,
) -> None:
    own = load(w, start)
    for t in range(pivots - 1):
        # Stored, so that one of its numbers can be had in all lanes.
        store(w, start, own)
        own = own - splat(w, start + t) * load(lower, at)
        at += LANES
    store(w, start, own)
    for line in range(0, rest, LANES):
        known = splat(w, start) * load(lower, at)
        at += LANES
        for t in range(1, pivots):
            known = multiply_add(splat(w, start + t), load(lower, at), known)
            at += LANES
        store(work, 0, known)
        for i in range(min(LANES, rest - line)):
            # Unsigned, or each place would be looked at whether it counts from the end.
            w[np.uint64(shift + rows[np.uint64(first + line + i)])] -= work[np.uint64(i)]


def _up(
    upper: Array, at: int, pivots: int, rest: int, columns: Array, first: int, w: Array, shift: int, start: int
) -> None:
    for i in range(LANES):
        w[start + i] *= upper[at + i]
    at += LANES
    for k in range(rest):
        value = w[shift + columns[first + k]]
        for i in range(LANES):
            w[start + i] -= value * upper[at + i]
        at += LANES
    for t in range(pivots - 1, 0, -1):
        value = w[start + t]
        for i in range(LANES):
            w[start + i] -= value * upper[at + i]
        at += LANES


def _up_in_vectors(
    upper: Any, at: int, pivots: int, rest: int, columns: Any, first: int, w: Any, shift: int, start: int
) -> None:
    own, more = load(w, start) * load(upper, at), zeros(w)
    at += LANES
    k = 0
    # Two sums, which do not wait for one another.
    while k + 2 <= rest:
        own = own - splat(w, shift + columns[np.uint64(first + k)]) * load(upper, at)
        more = more - splat(w, shift + columns[np.uint64(first + k + 1)]) * load(upper, at + LANES)
        at += 2 * LANES
        k += 2
    if k < rest:
        own = own - splat(w, shift + columns[np.uint64(first + k)]) * load(upper, at)
        at += LANES
    own = own + more
    for t in range(pivots - 1, 0, -1):
        store(w, start, own)
        own = own - splat(w, start + t) * load(upper, at)
        at += LANES
    store(w, start, own)


@borrowing_form(_down)
def _down_form(lower, at, pivots, rest, rows, first, w, shift, start, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _down_in_vectors if w.dtype is types.float64 else _down


@borrowing_form(_up)
def _up_form(upper, at, pivots, rest, columns, first, w, shift, start):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _up_in_vectors if w.dtype is types.float64 else _up
