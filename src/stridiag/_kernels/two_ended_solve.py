"""Solves with an LU from both ends of a narrow band: see `stridiag._kernels.two_ended_lu` for what is stored.

Right-hand sides are the rows of an array (r, n), seen as one vector. What the ends leave of them, or need, goes through
`core`, (r, w). All sweeps go over the ends `first` ... `last` - 1 of the top (0) and the bottom (1), which are
``(rows, lower, pivots)``; tuples of zeros have the lengths l (`below`), u (`above`), and r (`sides`).

Where both ends are gone over, their steps take turns: each step waits for the one before it, not for the other end's.

Cost of a step with the widths (l, u), w = l + u: 2 l + 2 w + 1 operations for each right-hand side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lu import solve_lower, solve_upper
from stridiag._kernels.compile import borrowing, compiled_form, kernel
from stridiag._kernels.narrow_band import load, put, reduce, take

__all__ = [
    "back_substitute",
    "back_substitute_adjoint",
    "forward_substitute",
    "forward_substitute_adjoint",
    "solve",
    "solve_core",
]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]
End = tuple[Array, Array, Array]


# ---------------------------------------------------------------------- right-hand sides, each a row of n numbers


def places(x: Array, place: int, step: int, like: Row) -> Row:
    """Return the numbers at a place and behind it, as an end counts."""
    return tuple(x[place + step * k] for k in range(len(like)))


@compiled_form(places)
def _places(x: Any, place: Any, step: Any, like: Any) -> Any:
    if len(like) == 0:
        return lambda x, place, step, like: ()
    return lambda x, place, step, like: (x[place], *places(x, place + step, step, like[1:]))


def fill_places(x: Array, place: int, step: int, row: Row) -> None:
    """Write numbers to a place and behind it, as an end counts."""
    for k, value in enumerate(row):
        x[place + step * k] = value


@compiled_form(fill_places)
def _fill_places(x: Any, place: Any, step: Any, row: Any) -> Any:
    if len(row) == 0:
        return lambda x, place, step, row: None

    def first_and_rest(x: Any, place: Any, step: Any, row: Any) -> None:
        x[place] = row[0]
        fill_places(x, place + step, step, row[1:])

    return first_and_rest


def of_sides(x: Array, place: int, step: int, n: int, like: Row, sides: Widths) -> tuple[Row, ...]:
    """Return `places` of every right-hand side."""
    return tuple(places(x, place + k * n, step, like) for k in range(len(sides)))


@compiled_form(of_sides)
def _of_sides(x: Any, place: Any, step: Any, n: Any, like: Any, sides: Any) -> Any:
    if len(sides) == 0:
        return lambda x, place, step, n, like, sides: ()
    return lambda x, place, step, n, like, sides: (
        places(x, place, step, like),
        *of_sides(x, place + n, step, n, like, sides[1:]),
    )


def fill_sides(x: Array, place: int, step: int, n: int, rows: tuple[Row, ...]) -> None:
    """Write the `places` of every right-hand side."""
    for k, row in enumerate(rows):
        fill_places(x, place + k * n, step, row)


@compiled_form(fill_sides)
def _fill_sides(x: Any, place: Any, step: Any, n: Any, rows: Any) -> Any:
    if len(rows) == 0:
        return lambda x, place, step, n, rows: None

    def first_and_rest(x: Any, place: Any, step: Any, n: Any, rows: Any) -> None:
        fill_places(x, place, step, rows[0])
        fill_sides(x, place + n, step, n, rows[1:])

    return first_and_rest


# ---------------------------------------------------------------------- steps, for every right-hand side in turn


def down(carried: tuple[Row, ...], b: Array, x: Array, come: int, go: int, n: int, p: int, by: Row) -> tuple[Row, ...]:
    """Take the pivot row's numbers out, to `go`, from those that are carried and come; return what is carried on."""
    result = []
    for k, row in enumerate(carried):
        following = (*row[1:], b[come + k * n])
        value = take(following, row[0], p, 1)
        x[go + k * n] = value
        result.append(reduce(put(following, row[0], p, 1), value, by))
    return tuple(result)


@compiled_form(down)
def _down_form(carried: Any, b: Any, x: Any, come: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
    if len(carried) == 0:
        return lambda carried, b, x, come, go, n, p, by: ()

    def first_and_rest(carried: Any, b: Any, x: Any, come: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
        row = carried[0]
        # Places are unsigned, or each would be looked at whether it counts from the end.
        following = (*row[1:], b[np.uint64(come)])
        value = take(following, row[0], p, 1)
        x[np.uint64(go)] = value
        return (
            reduce(put(following, row[0], p, 1), value, by),
            *down(carried[1:], b, x, come + n, go + n, n, p, by),
        )

    return first_and_rest


def up(known: tuple[Row, ...], x: Array, place: int, n: int, reciprocal: Any, row: Row) -> tuple[Row, ...]:
    """Replace the numbers at `place` by unknowns, given those behind it; return these with the new ones in front."""
    result = []
    for k, behind in enumerate(known):
        value = less_products(x[place + k * n] * reciprocal, row, behind)
        x[place + k * n] = value
        result.append((value, *behind[:-1]))
    return tuple(result)


@compiled_form(up)
def _up_form(known: Any, x: Any, place: Any, n: Any, reciprocal: Any, row: Any) -> Any:
    if len(known) == 0:
        return lambda known, x, place, n, reciprocal, row: ()

    def first_and_rest(known: Any, x: Any, place: Any, n: Any, reciprocal: Any, row: Any) -> Any:
        behind = known[0]
        value = less_products(x[np.uint64(place)] * reciprocal, row, behind)
        x[np.uint64(place)] = value
        return ((value, *behind[:-1]), *up(known[1:], x, place + n, n, reciprocal, row))

    return first_and_rest


def less_products(value: Any, row: Row, known: Row) -> Any:
    """Return `value` minus the products, the first of them last: it is what was found last."""
    for entry, number in zip(row[::-1], known[::-1], strict=True):
        value = value - entry * number
    return value


@compiled_form(less_products)
def _less_products(value: Any, row: Any, known: Any) -> Any:
    if len(row) == 0:
        return lambda value, row, known: value
    return lambda value, row, known: less_products(value, row[1:], known[1:]) - row[0] * known[0]


def down_adjoint(
    waiting: tuple[Row, ...], x: Array, come: int, taken: bool, go: int, n: int, reciprocal: Any, row: Row
) -> tuple[Row, ...]:
    """Take the first of the numbers that wait out, and its products from the others and from what comes.

    Zeros come in place of what is not `taken`.
    """
    result = []
    for k, held in enumerate(waiting):
        x[go + k * n] = held[0] * reciprocal
        result.append(reduce((*held[1:], x[come + k * n] if taken else held[0] * 0), held[0], row))
    return tuple(result)


@compiled_form(down_adjoint)
def _down_adjoint_form(waiting: Any, x: Any, come: Any, taken: Any, go: Any, n: Any, reciprocal: Any, row: Any) -> Any:
    if len(waiting) == 0:
        return lambda waiting, x, come, taken, go, n, reciprocal, row: ()

    def first_and_rest(waiting: Any, x: Any, come: Any, taken: Any, go: Any, n: Any, reciprocal: Any, row: Any) -> Any:
        held = waiting[0]
        coming = x[come] if taken else held[0] * 0
        x[go] = held[0] * reciprocal
        return (
            reduce((*held[1:], coming), held[0], row),
            *down_adjoint(waiting[1:], x, come + n, taken, go + n, n, reciprocal, row),
        )

    return first_and_rest


def up_adjoint(carried: tuple[Row, ...], x: Array, place: int, go: int, n: int, p: int, by: Row) -> tuple[Row, ...]:
    """Undo `down`, transposed: from the numbers at `place` and those that are carried."""
    result = []
    for k, row in enumerate(carried):
        value = less_products(x[place + k * n], by, row)
        rest = put(row, value, p, 1)
        x[go + k * n] = rest[-1]
        result.append((take(row, value, p, 1), *rest[:-1]))
    return tuple(result)


@compiled_form(up_adjoint)
def _up_adjoint_form(carried: Any, x: Any, place: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
    if len(carried) == 0:
        return lambda carried, x, place, go, n, p, by: ()

    def first_and_rest(carried: Any, x: Any, place: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
        row = carried[0]
        value = less_products(x[place], by, row)
        rest = put(row, value, p, 1)
        x[go] = rest[-1]
        return (
            (take(row, value, p, 1), *rest[:-1]),
            *up_adjoint(carried[1:], x, place + n, go + n, n, p, by),
        )

    return first_and_rest


# ---------------------------------------------------------------------- a step of one end


@borrowing
def _down(carried: Any, i: Any, end: Any, sides: Any) -> Any:
    (_, lower, pivots), (b, x, start, step, n, below) = end, sides
    row: Any = np.uint64(i)
    place = start + step * i
    return down(carried, b, x, place + step * len(below), place, n, int(pivots[row]), load(lower, row, 0, below))


@borrowing
def _up(known: Any, i: Any, end: Any, sides: Any) -> Any:
    (rows, _, _), (x, start, step, n, like) = end, sides
    row: Any = np.uint64(i)
    return up(known, x, start + step * i, n, rows[row, 0], load(rows, row, 1, like))


@borrowing
def _down_adjoint(waiting: Any, i: Any, end: Any, sides: Any) -> Any:
    (rows, _, _), (x, start, step, n, like, stop) = end, sides
    place = start + step * i
    come, taken = place + step * len(like), i + len(like) < stop
    return down_adjoint(waiting, x, come, taken, place, n, rows[i, 0], load(rows, i, 1, like))


@borrowing
def _up_adjoint(carried: Any, i: Any, end: Any, sides: Any) -> Any:
    (_, lower, pivots), (x, start, step, n, below) = end, sides
    place = start + step * i
    return up_adjoint(carried, x, place, place + step * len(below), n, int(pivots[i]), load(lower, i, 0, below))


# ---------------------------------------------------------------------- sweeps


@borrowing
def _steps(top: Any, bottom: Any, first: Any, last: Any) -> Any:
    """Return the steps of the top, of the bottom, and those in which both take turns."""
    steps = top[2].size if first == 0 else 0
    turned_steps = bottom[2].size if last == 2 else 0
    return steps, turned_steps, min(steps, turned_steps)


@borrowing
def _inwards(step: Any, one: Any, other: Any, top: Any, bottom: Any, first: Any, last: Any, sides: Any) -> Any:
    """Take all steps from the ends; what the top and the bottom carry changes from step to step."""
    steps, turned_steps, both = _steps(top, bottom, first, last)
    for i in range(both):
        one, other = step(one, i, top, sides[0]), step(other, i, bottom, sides[1])
    for i in range(both, steps):
        one = step(one, i, top, sides[0])
    for i in range(both, turned_steps):
        other = step(other, i, bottom, sides[1])
    return one, other


@borrowing
def _outwards(step: Any, one: Any, other: Any, top: Any, bottom: Any, first: Any, last: Any, sides: Any) -> Any:
    """Take all steps to the ends, as `_inwards` does from them."""
    steps, turned_steps, both = _steps(top, bottom, first, last)
    for i in range(steps - 1, both - 1, -1):
        one = step(one, i, top, sides[0])
    for i in range(turned_steps - 1, both - 1, -1):
        other = step(other, i, bottom, sides[1])
    for i in range(both - 1, -1, -1):
        one, other = step(one, i, top, sides[0]), step(other, i, bottom, sides[1])
    return one, other


@kernel
def forward_substitute(
    above: Widths,
    below: Widths,
    sides: Widths,
    top: End,
    bottom: End,
    first: int,
    last: int,
    n: int,
    b: Array,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverses of the exchanges and of L to the sides `b`, (r n,); put what is left into `core`, (r, w).

    The rest goes to `x`, which may be `b` itself.
    """
    flat, w = core.reshape(core.size), core.shape[1]
    one, other = of_sides(b, 0, 1, n, below, sides), of_sides(b, n - 1, -1, n, above, sides)
    both = (b, x, 0, 1, n, below), (b, x, n - 1, -1, n, above)
    one, other = _inwards(_down, one, other, top, bottom, first, last, both)
    if first == 0:
        fill_sides(flat, 0, 1, w, one)
    if last == 2:
        fill_sides(flat, w - 1, -1, w, other)


@kernel
def back_substitute(
    above: Widths,
    below: Widths,
    sides: Widths,
    top: End,
    bottom: End,
    first: int,
    last: int,
    n: int,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverse of U to the sides `x`, (r n,), given the unknowns of the core, (r, w)."""
    flat, w = core.reshape(core.size), core.shape[1]
    like = (*below, *above)
    one, other = of_sides(flat, 0, 1, w, like, sides), of_sides(flat, w - 1, -1, w, like, sides)
    _outwards(_up, one, other, top, bottom, first, last, ((x, 0, 1, n, like), (x, n - 1, -1, n, like)))


@kernel
def solve_core(middle: End, start: int, x: Array, core: Array) -> None:
    """Overwrite what is left of the sides, (r, w), with the unknowns of the core; put them into `x`, (r n,), too.

    `middle` are the core's factors, as `stridiag._kernels.band_lu` stores them; its columns begin at `start`.
    """
    rows, lower, pivots = middle
    sides, w = core.shape
    for k in range(sides):
        side = core[k].reshape(w, 1)
        solve_lower(lower, pivots, side, 0)
        solve_upper(rows, side, 0)
        first = k * (x.size // sides) + start
        x[first : first + w] = core[k]


@kernel
def solve(
    above: Widths,
    below: Widths,
    sides: Widths,
    top: End,
    bottom: End,
    middle: End,
    n: int,
    done: bool,
    b: Array,
    x: Array,
    core: Array,
) -> None:
    """Put the solutions for the sides `b`, (r n,), into `x`, which may be `b` itself: all steps in one call.

    Where few rows are solved for, each call by itself takes some tenth of the time. `core`, (r, w), is work space, or,
    if `done`, what the first half has left there.
    """
    if not done:
        forward_substitute(above, below, sides, top, bottom, 0, 2, n, b, x, core)
    solve_core(middle, top[2].size, x, core)
    back_substitute(above, below, sides, top, bottom, 0, 2, n, x, core)


@kernel
def forward_substitute_adjoint(
    above: Widths,
    below: Widths,
    sides: Widths,
    top: End,
    bottom: End,
    first: int,
    last: int,
    n: int,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverse of U's transpose to the sides `x`, (r n,); put what is left into `core`, (2, r, w).

    To be summed over the ends. What stands in the core is taken in once, from the top.
    """
    flat, w = core.reshape(core.size), core.shape[2]
    like = (*below, *above)
    one, other = of_sides(x, 0, 1, n, like, sides), of_sides(x, n - 1, -1, n, like, sides)
    both = (x, 0, 1, n, like, n), (x, n - 1, -1, n, like, bottom[2].size)
    one, other = _inwards(_down_adjoint, one, other, top, bottom, first, last, both)
    if first == 0:
        fill_sides(flat, 0, 1, w, one)
    if last == 2:
        fill_sides(flat, flat.size // 2 + w - 1, -1, w, other)


@kernel
def back_substitute_adjoint(
    above: Widths,
    below: Widths,
    sides: Widths,
    top: End,
    bottom: End,
    first: int,
    last: int,
    n: int,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverse of L's transpose, and the exchanges, to the sides `x`, (r n,), given the core's, (r, w)."""
    flat, w = core.reshape(core.size), core.shape[1]
    one, other = of_sides(flat, 0, 1, w, below, sides), of_sides(flat, w - 1, -1, w, above, sides)
    both = (x, 0, 1, n, below), (x, n - 1, -1, n, above)
    one, other = _outwards(_up_adjoint, one, other, top, bottom, first, last, both)
    if first == 0:
        fill_sides(x, 0, 1, n, one)
    if last == 2:
        fill_sides(x, n - 1, -1, n, other)
