r"""Orthogonal condensation of bands, many segments at a time: one segment in each lane of explicit vectors.

The elimination is that of `stridiag._kernels.band_condensation`, of segments that have all their w = l + u kept columns
on either side, so that every reflection goes over w + 1 rows. Nothing of the size of the matrix is stored:

* `condense` eliminates and keeps only what is left over, w rows of 2 w numbers a segment, and what becomes of
  right-hand sides there;
* `substitute` eliminates once more. The kept unknowns are known by then, so there are no columns for them; the rows of
  U of a group of segments stay in a cache until they have been used.

A reflection is :math:`H = I - \beta v v^T` with :math:`v = x + \operatorname{sign}(x_0) \|x\| e_0` and
:math:`\beta = 1 / (\|x\| (\|x\| + |x_0|))`: one square root and one division. Squares are taken without scaling:
`extent` reports the least and the largest :math:`\|x\|^2` of each segment, and the caller does not believe results
whose squares may have left the range, nor those of a segment with a zero column.

Where the numbers stand
-----------------------
The entry (i, i - l + d) of the band is ``flat[base[d] + i]``; ``base[d]`` is negative for a diagonal that is zero.
Right-hand sides are the rows of `x`, (r, n). Segment s has the columns ``starts[s] ... starts[s] + lengths[s] - 1``.
Segments are listed so that those of a group have similar lengths; their number is a multiple of that of the lanes: the
last may be listed several times. Lanes whose segment has ended go on with numbers that nobody looks at.

``state[(c w + i) lanes + k]`` is, in lane k, the entry of the carried row i in the c-th column from the present one,
for c < w, and behind these in the kept columns to the left; behind these come the right-hand sides, w numbers each.

With one lane the same functions are the plain loops that the vectors are compared with; they take any type of numbers.

Cost of a column with r right-hand sides, products with the zeros of an absent diagonal included: 8 w^2 + 2 w + 5 +
r (4 w + 2) operations to condense (4 w^2 less without the columns to the left), 4 w^2 + 4 w + 5 + r (6 w + 5) to
substitute; and for each segment w + 4 (2 if only right-hand sides are carried).

References: as `stridiag._kernels.band_condensation`; the pieces of one band at a time: S. J. Wright, Parallel
algorithms for banded linear systems, SIAM J. Sci. Stat. Comput. 12 (1991) 824-842.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.lane_rows import (
    TILE,
    ask,
    bring,
    dot,
    fetch,
    has_many,
    lessen,
    nothing,
    put,
    read,
    reduce,
    take_out,
    write,
    zeros_like,
)
from stridiag._kernels.vectors import choose, less, magnitude, square_root, with_sign_of

__all__ = ["ABSENT", "condense", "condense_size", "substitute", "substitute_size"]

Array = NDArray[Any]
Row = tuple[Any, ...]

ABSENT = -(1 << 60)
"""Stands in `base` for a diagonal that is zero."""


def condense_size(width: int, sides: int, lanes: int) -> int:
    """Return how many numbers of work space `condense` takes for so many right-hand sides."""
    return ((2 * width + sides) * width + (width + 2 + sides) * TILE + 2) * lanes


def substitute_size(width: int, sides: int, lanes: int, longest: int) -> int:
    """Return how many numbers of work space `substitute` takes, for segments of so many columns at most."""
    tile_and_rows = (width + 1 + sides) * (TILE + longest)
    return ((width + sides) * width + tile_and_rows + sides * (longest + width)) * lanes


@inlined
def next_end(lengths: Array, first: int, count: int, above: int) -> int:
    """Return the least length of a lane that is larger than `above`; 0 if there is none."""
    least = 0
    for k in range(count):
        length = lengths[first + k]
        if length > above and (least == 0 or length < least):
            least = length
    return least


@inlined
def begin(
    base: Array,
    flat: Array,
    x: Array,
    lower: int,
    upper: int,
    starts: Array,
    first: int,
    count: int,
    state: Array,
    fill: int,
) -> None:
    """Put the rows a - u ... a + l - 1 of every lane into its state; with the kept columns if `fill` is w, else 0."""
    w = lower + upper
    zero = state[0] * 0
    for i in range(w):
        for c in range(w + fill):
            for k in range(count):
                state[(c * w + i) * count + k] = zero
        for d in range(w + 1):
            if base[d] == ABSENT:
                continue
            # Row a - u + i has its entry d in the column a - u + i - l + d.
            c = i + d - w
            if c < 0 and fill == 0:
                continue
            c = c if c >= 0 else 2 * w + c
            for k in range(count):
                state[(c * w + i) * count + k] = flat[base[d] + starts[first + k] - upper + i]
        for r in range(x.shape[0]):
            for k in range(count):
                state[((w + fill + r) * w + i) * count + k] = x[r, starts[first + k] - upper + i]


@kernel
def condense(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    fill: int,
    flat: Array,
    base: Array,
    starts: Array,
    lengths: Array,
    first_group: int,
    last_group: int,
    x: Array,
    leftover: Array,
    entering: Array,
    carried: Array,
    extent: Array,
    work: Array,
) -> None:
    """Eliminate the segments of groups ``first_group ... last_group - 1``.

    Fills, for each segment, `leftover`, (segments, w, 2 w), with the entries of the leftover rows, from the top, in the
    kept columns to the left and to the right; `entering`, (segments, w + 1), with the factors by which links of the
    last row enter the last pivot row and the leftover rows; `carried`, (segments, r, w), with the right-hand sides
    of the leftover rows; and `extent`, (segments, 2). With ``fill == 0`` only `carried` is filled; else `fill` is w.
    """
    w = len(width)
    count = len(lanes)
    sides = x.shape[0]
    span = TILE * count
    # The parts begin at multiples of the lanes: whole cache lines, if `work` does.
    end_of_state = (2 * w + sides) * w * count
    end_of_tile = end_of_state + (w + 2 + sides) * span
    state, tile, bounds = work[:end_of_state], work[end_of_state:end_of_tile], work[end_of_tile:]
    # A diagonal that is absent stays zero.
    for i in range(tile.size):
        tile[i] = flat[0] * 0
    flat_x = x.reshape(x.size)
    n = x.shape[1]
    zero = nothing(state, lanes)
    none = zeros_like(width, zero)
    for group in range(first_group, last_group):
        first = group * count
        # The next group, which is fetched while this one is computed.
        following = starts[min(first + count, starts.size - 1)]
        begin(base, flat, x, lower, w - lower, starts, first, count, state, fill)
        steps = 0
        for k in range(count):
            steps = max(steps, lengths[first + k])
        end = next_end(lengths, first, count, 0)
        least = zero + np.inf
        most = zero
        for t in range(steps):
            r = t % TILE
            if r == 0:
                for d in range(w + 1):
                    if base[d] != ABSENT:
                        bring(flat, base[d], starts, first, t + lower, lanes, tile, d * span)
                        ask(flat, base[d] + following + t * count, lanes)
                for side in range(sides):
                    bring(flat_x, side * n, starts, first, t + lower, lanes, tile, (w + 1 + side) * span)
                    ask(flat_x, side * n + following + t * count, lanes)
            head = read(state, 0, width, lanes)
            new = fetch(tile, r * count, lanes)
            square = dot(head, head, new * new)
            norm = square_root(square)
            size = norm + magnitude(head[0])
            product = norm * size
            beta = choose(less(zero, product), 1.0 / product, zero)
            least = choose(less(square, least), square, least)
            # Accepts the good, so that a NaN is noticed.
            most = choose(less(square, most), most, square)
            v = (with_sign_of(size, head[0]),) + head[1:]  # noqa: RUF005 - numba's own trouble with stars in loops
            below = v[1:] + (new,)  # noqa: RUF005
            for c in range(1, w):
                old = read(state, c * w * count, width, lanes)
                entry = fetch(tile, (c * TILE + r) * count, lanes)
                s = beta * dot(v, old, new * entry)
                write(state, (c - 1) * w * count, reduce(old[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            entry = fetch(tile, (w * TILE + r) * count, lanes)
            s = beta * (new * entry)
            write(state, (w - 1) * w * count, reduce(none[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            for c in range(w, w + fill):
                old = read(state, c * w * count, width, lanes)
                s = beta * dot(v[1:], old[1:], v[0] * old[0])
                write(state, c * w * count, reduce(old[1:] + (zero,), s, below), lanes)  # noqa: RUF005
            for side in range(sides):
                at = (w + fill + side) * w * count
                old = read(state, at, width, lanes)
                entry = fetch(tile, ((w + 1 + side) * TILE + r) * count, lanes)
                s = beta * dot(v, old, new * entry)
                write(state, at, reduce(old[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            if t + 1 == end:
                share = beta * new
                put(tile, (w + 1 + sides) * span, share, lanes)
                put(bounds, 0, least, lanes)
                put(bounds, count, most, lanes)
                write(tile, (w + 1 + sides) * span + count, v + (new,), lanes)  # noqa: RUF005
                for k in range(count):
                    if lengths[first + k] == end:
                        segment = first + k
                        if fill > 0:
                            extent[segment, 0] = bounds[k]
                            extent[segment, 1] = bounds[count + k]
                            lost = tile[(w + 1 + sides) * span + k]
                            for i in range(w + 1):
                                entering[segment, i] = -(lost * tile[(w + 1 + sides) * span + (1 + i) * count + k])
                            entering[segment, w] += 1.0
                        for i in range(w):
                            if fill > 0:
                                for c in range(w):
                                    leftover[segment, i, w + c] = state[(c * w + i) * count + k]
                                    leftover[segment, i, c] = state[((w + c) * w + i) * count + k]
                            for side in range(sides):
                                carried[segment, side, i] = state[((w + fill + side) * w + i) * count + k]
                end = next_end(lengths, first, count, end)


@kernel
def substitute(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    flat: Array,
    base: Array,
    starts: Array,
    lengths: Array,
    first_group: int,
    last_group: int,
    x: Array,
    right: Array,
    work: Array,
) -> None:
    """Overwrite the interior columns of `x`, (r, n), with the solutions.

    What the kept unknowns contribute to the rows of the segments through the kept columns to the left, and through
    links, has been subtracted; `right`, (segments, r, w), holds the unknowns to the right.
    """
    w = len(width)
    count = len(lanes)
    sides = x.shape[0]
    span = TILE * count
    end_of_state = (w + sides) * w * count
    end_of_tile = end_of_state + (w + 1 + sides) * span
    state, tile, buffer = work[:end_of_state], work[end_of_state:end_of_tile], work[end_of_tile:]
    for i in range(tile.size):
        tile[i] = flat[0] * 0
    flat_x = x.reshape(x.size)
    n = x.shape[1]
    zero = nothing(state, lanes)
    none = zeros_like(width, zero)
    size_u = (w + 1 + sides) * count
    for group in range(first_group, last_group):
        first = group * count
        # The next group, which is fetched while this one is computed.
        following = starts[min(first + count, starts.size - 1)]
        begin(base, flat, x, lower, w - lower, starts, first, count, state, 0)
        steps = 0
        shortest = lengths[first]
        for k in range(count):
            steps = max(steps, lengths[first + k])
            shortest = min(shortest, lengths[first + k])
        for t in range(steps):
            r = t % TILE
            if r == 0:
                for d in range(w + 1):
                    if base[d] != ABSENT:
                        bring(flat, base[d], starts, first, t + lower, lanes, tile, d * span)
                        ask(flat, base[d] + following + t * count, lanes)
                for side in range(sides):
                    bring(flat_x, side * n, starts, first, t + lower, lanes, tile, (w + 1 + side) * span)
                    ask(flat_x, side * n + following + t * count, lanes)
            head = read(state, 0, width, lanes)
            new = fetch(tile, r * count, lanes)
            norm = square_root(dot(head, head, new * new))
            size = norm + magnitude(head[0])
            product = norm * size
            beta = choose(less(zero, product), 1.0 / product, zero)
            top = with_sign_of(size, head[0])
            v = (top,) + head[1:]  # noqa: RUF005
            below = v[1:] + (new,)  # noqa: RUF005
            here = t * size_u
            # The reciprocal of the pivot: 1 / norm with the other sign.
            put(buffer, here, -(beta * top), lanes)
            for c in range(1, w):
                old = read(state, c * w * count, width, lanes)
                entry = fetch(tile, (c * TILE + r) * count, lanes)
                s = beta * dot(v, old, new * entry)
                put(buffer, here + c * count, old[0] - s * top, lanes)
                write(state, (c - 1) * w * count, reduce(old[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            entry = fetch(tile, (w * TILE + r) * count, lanes)
            s = beta * (new * entry)
            put(buffer, here + w * count, -(s * top), lanes)
            write(state, (w - 1) * w * count, reduce(none[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            for side in range(sides):
                at = (w + side) * w * count
                old = read(state, at, width, lanes)
                entry = fetch(tile, ((w + 1 + side) * TILE + r) * count, lanes)
                s = beta * dot(v, old, new * entry)
                put(buffer, here + (w + 1 + side) * count, old[0] - s * top, lanes)
                write(state, at, reduce(old[1:] + (entry,), s, below), lanes)  # noqa: RUF005
        # Solutions of each right-hand side, and behind them the kept unknowns to the right: of lanes that wait, zeros.
        found, one_side = steps * size_u, (steps + w) * count
        for side in range(sides):
            write(buffer, found + side * one_side + steps * count, none, lanes)
        end = steps
        for back in range(steps):
            t = steps - 1 - back
            if t + 1 == end:
                lower_end = 0
                for k in range(count):
                    length = lengths[first + k]
                    if length == end:
                        for side in range(sides):
                            for i in range(w):
                                buffer[found + side * one_side + (t + 1 + i) * count + k] = right[first + k, side, i]
                    elif length < end:
                        lower_end = max(lower_end, length)
                end = lower_end
            here = t * size_u
            turned, u = fetch(buffer, here, lanes), read(buffer, here + count, width, lanes)
            for side in range(sides):
                place = found + side * one_side + t * count
                y = fetch(buffer, here + (w + 1 + side) * count, lanes)
                put(buffer, place, lessen(y, u, read(buffer, place + count, width, lanes)) * turned, lanes)
        for side in range(sides):
            solved = found + side * one_side
            whole = 0
            if has_many(tile, lanes):
                one = 64 // tile.itemsize
                whole = shortest // one * one
                for t in range(0, whole, one):
                    take_out(flat_x, side * n + t, starts, first, lanes, buffer, solved + t * count)
            for k in range(count):
                for t in range(whole, lengths[first + k]):
                    x[side, starts[first + k] + t] = buffer[solved + t * count + k]


@kernel
def place_known(
    lower: int, width: int, flat: Array, base: Array, starts: Array, places: Array, z: Array, x: Array, right: Array
) -> None:
    """Subtract from `x`, (r, n), what the kept unknowns `z`, (k, r), give to the rows of segments from the left.

    And put those to the right of each segment into `right`, (segments, r, w). ``places[s]`` is the index, among the
    kept columns, of the first to the right of segment s. There may be more segments in `starts` than in `places`:
    these are repetitions of the last.
    """
    count = places.size
    for s in range(right.shape[0]):
        place = places[min(s, count - 1)]
        for side in range(x.shape[0]):
            for i in range(width):
                right[s, side, i] = z[place + i, side]
    for s in range(count):
        top = starts[s] - (width - lower)
        for d in range(width):
            if base[d] == ABSENT:
                continue
            for i in range(width - d):
                entry = flat[base[d] + top + i]
                for side in range(x.shape[0]):
                    x[side, top + i] -= entry * z[places[s] - width + i + d, side]
