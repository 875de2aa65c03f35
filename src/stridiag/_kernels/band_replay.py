"""Solving again with bands whose segments are eliminated in lanes: the reflections are noted once, and replayed.

`stridiag._kernels.band_lanes` eliminates anew for each right-hand side. Where the notes stay in a cache, reading them
takes less time: `note` eliminates without a right-hand side and writes down what a step is made of, `fold` does what
`condense` does to a right-hand side, `unfold` what `substitute` does. Their operations are those of the two, in the
same order, and so are the results, bit by bit.

Notes of a group's step are lines of as many numbers as there are lanes: ``turns`` has w + 2, v and beta of the
reflection; ``pivots`` has w, what stands behind the pivot, whose reciprocal is ``-(beta * v[0])``. ``before[group]`` is
how many steps the groups before have. Segments stand by descending length in each group; everything else is as in
`stridiag._kernels.band_lanes`.

Cost of a column: 4 w + 2 operations to fold, 6 w + 6 to unfold.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT, begin
from stridiag._kernels.compile import kernel
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

__all__ = ["fold", "fold_size", "note", "note_size", "unfold", "unfold_size"]

Array = NDArray[Any]
Row = tuple[Any, ...]


def note_size(width: int, lanes: int) -> int:
    """Return how many numbers of work space `note` takes."""
    return (width * width + (width + 1) * TILE) * lanes


def fold_size(width: int, lanes: int) -> int:
    """Return how many numbers of work space `fold` takes."""
    return (width + TILE) * lanes


def unfold_size(width: int, lanes: int, longest: int) -> int:
    """Return how many numbers of work space `unfold` takes, for segments of so many columns at most."""
    return (width + TILE + 2 * longest) * lanes


@kernel
def note(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    flat: Array,
    base: Array,
    starts: Array,
    lengths: Array,
    first_group: int,
    last_group: int,
    before: Array,
    none: Array,
    turns: Array,
    pivots: Array,
    work: Array,
) -> None:
    """Eliminate the segments of groups ``first_group ... last_group - 1``, and note how; `none` is (0, 1)."""
    w = len(width)
    count = len(lanes)
    span = TILE * count
    state, tile = work[: w * w * count], work[w * w * count :]
    for i in range(tile.size):
        tile[i] = flat[0] * 0
    zero = nothing(state, lanes)
    nil = zeros_like(width, zero)
    for group in range(first_group, last_group):
        first = group * count
        begin(base, flat, none, lower, w - lower, starts, first, count, state, 0)
        for t in range(before[group + 1] - before[group]):
            r = t % TILE
            if r == 0:
                for d in range(w + 1):
                    if base[d] != ABSENT:
                        bring(flat, base[d], starts, first, t + lower, lanes, tile, d * span)
            turn, pivot = (before[group] + t) * (w + 2) * count, (before[group] + t) * w * count
            head = read(state, 0, width, lanes)
            new = fetch(tile, r * count, lanes)
            norm = square_root(dot(head, head, new * new))
            size = norm + magnitude(head[0])
            product = norm * size
            beta = choose(less(zero, product), 1.0 / product, zero)
            top = with_sign_of(size, head[0])
            v = (top,) + head[1:]  # noqa: RUF005 - numba's own trouble with stars in loops
            below = v[1:] + (new,)  # noqa: RUF005
            write(turns, turn, v + (new, beta), lanes)  # noqa: RUF005
            for c in range(1, w):
                old = read(state, c * w * count, width, lanes)
                entry = fetch(tile, (c * TILE + r) * count, lanes)
                s = beta * dot(v, old, new * entry)
                put(pivots, pivot + (c - 1) * count, old[0] - s * top, lanes)
                write(state, (c - 1) * w * count, reduce(old[1:] + (entry,), s, below), lanes)  # noqa: RUF005
            entry = fetch(tile, (w * TILE + r) * count, lanes)
            s = beta * (new * entry)
            put(pivots, pivot + (w - 1) * count, -(s * top), lanes)
            write(state, (w - 1) * w * count, reduce(nil[1:] + (entry,), s, below), lanes)  # noqa: RUF005


@kernel
def fold(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    starts: Array,
    lengths: Array,
    first_group: int,
    last_group: int,
    before: Array,
    turns: Array,
    x: Array,
    carried: Array,
    work: Array,
) -> None:
    """Fill `carried`, (segments, 1, w), for the right-hand side `x`, (n,), as `condense` does."""
    w = len(width)
    count = len(lanes)
    state, tile = work[: w * count], work[w * count :]
    for group in range(first_group, last_group):
        first = group * count
        following = starts[min(first + count, starts.size - 1)]
        for i in range(w):
            for k in range(count):
                state[i * count + k] = x[starts[first + k] - (w - lower) + i]
        old = read(state, 0, width, lanes)
        ends = count - 1
        for t in range(before[group + 1] - before[group]):
            r = t % TILE
            if r == 0:
                bring(x, 0, starts, first, t + lower, lanes, tile, 0)
                ask(x, following + t * count, lanes)
            turn = (before[group] + t) * (w + 2) * count
            v = read(turns, turn, width, lanes)
            new, beta = fetch(turns, turn + w * count, lanes), fetch(turns, turn + (w + 1) * count, lanes)
            entry = fetch(tile, r * count, lanes)
            s = beta * dot(v, old, new * entry)
            old = reduce(old[1:] + (entry,), s, v[1:] + (new,))  # noqa: RUF005
            if ends >= 0 and t + 1 == lengths[first + ends]:
                write(state, 0, old, lanes)
                while ends >= 0 and lengths[first + ends] == t + 1:
                    for i in range(w):
                        carried[first + ends, 0, i] = state[i * count + ends]
                    ends -= 1


@kernel
def unfold(
    width: Row,
    lanes: tuple[int, ...],
    lower: int,
    starts: Array,
    lengths: Array,
    first_group: int,
    last_group: int,
    before: Array,
    turns: Array,
    pivots: Array,
    b: Array,
    edges: Array,
    right: Array,
    x: Array,
    work: Array,
) -> None:
    """Fill the interior columns of `x`, (n,), with the solutions, as `substitute` does.

    The right-hand side is `b`, (n,), which may be `x` itself; but `edges`, (segments, w + 1), in the first w rows and
    in the last row of each segment, from which what kept unknowns contribute has been subtracted.
    """
    w = len(width)
    count = len(lanes)
    state, tile, buffer = work[: w * count], work[w * count : (w + TILE) * count], work[(w + TILE) * count :]
    for group in range(first_group, last_group):
        first = group * count
        following = starts[min(first + count, starts.size - 1)]
        for i in range(w):
            for k in range(count):
                state[i * count + k] = edges[first + k, i]
        old = read(state, 0, width, lanes)
        steps = before[group + 1] - before[group]
        found = steps * count
        ends = count - 1
        for t in range(steps):
            r = t % TILE
            if r == 0:
                bring(b, 0, starts, first, t + lower, lanes, tile, 0)
                ask(b, following + t * count, lanes)
                while ends >= 0 and lengths[first + ends] <= t + TILE:
                    tile[(lengths[first + ends] - 1 - t) * count + ends] = edges[first + ends, w]
                    ends -= 1
            turn = (before[group] + t) * (w + 2) * count
            v = read(turns, turn, width, lanes)
            new, beta = fetch(turns, turn + w * count, lanes), fetch(turns, turn + (w + 1) * count, lanes)
            entry = fetch(tile, r * count, lanes)
            s = beta * dot(v, old, new * entry)
            put(buffer, t * count, -(beta * v[0]), lanes)
            put(buffer, found + t * count, old[0] - s * v[0], lanes)
            old = reduce(old[1:] + (entry,), s, v[1:] + (new,))  # noqa: RUF005
        # Lanes that end begin with the kept unknowns to their right.
        known = zeros_like(old, nothing(state, lanes))
        ends = 0
        for back in range(steps):
            t = steps - 1 - back
            if ends < count and t + 1 == lengths[first + ends]:
                write(state, 0, known, lanes)
                while ends < count and lengths[first + ends] == t + 1:
                    for i in range(w):
                        state[i * count + ends] = right[first + ends, 0, i]
                    ends += 1
                known = read(state, 0, width, lanes)
            u = read(pivots, (before[group] + t) * w * count, width, lanes)
            # The solution takes the place of what it is made of.
            y = fetch(buffer, found + t * count, lanes)
            value = lessen(y, u, known) * fetch(buffer, t * count, lanes)
            put(buffer, found + t * count, value, lanes)
            known = (value,) + known[:-1]  # noqa: RUF005
        whole = 0
        if has_many(tile, lanes):
            one = 64 // tile.itemsize
            whole = lengths[first + count - 1] // one * one
            for t in range(0, whole, one):
                take_out(x, t, starts, first, lanes, buffer, found + t * count)
        for k in range(count):
            for t in range(whole, lengths[first + k]):
                x[starts[first + k] + t] = buffer[found + t * count + k]
