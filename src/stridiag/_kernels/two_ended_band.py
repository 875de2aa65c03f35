r"""LU of a narrow band from both ends at once, and its solves.

The columns are eliminated in the order 0, n - 1, 1, n - 2, ...: from the top by steps of an ordinary LU of a band, from
the bottom by those of the band turned by half a circle, whose widths are exchanged. No step of one end touches a row or
a column of the other until w = l + u columns are left, in as many rows: the *core*, a small dense matrix. So the ends
run on two threads; and on one, with their steps in turns, they take little more time than one of them, since each step
waits for the one before it.

It is Gaussian elimination with partial pivoting of the matrix with its columns in another order: the candidates of a
step are all rows that have an entry in its column. With l and u at most four, growth is bounded as in
`stridiag.planning.band.STABLE_WIDTH`, and by another 2^(w - 1) at most within the core.

Storage
-------
The number (i, i - l + d) of the band is ``flat[base[d] + i]``; ``base[d]`` is `ABSENT` for a diagonal that is zero. The
bottom end counts rows and columns from the last one: see `turned_base`. An end with the widths (l, u) has

* ``rows``, (m, w + 1): the reciprocal of each step's pivot, and what stands behind it in the pivot row, divided by it;
* ``lower``, (m, l): multipliers, at most one in magnitude;
* ``pivots``, (m,): which of the l + 1 candidates was taken, which the first one replaces.

Its part of the core, ``rest``, (l, w), are the rows that are left, in the columns as it counts them. Right-hand sides
are the rows of an array (r, n), seen as one vector; what the ends leave of them, or need, goes through `core`, (r, w).

Tuples of zeros carry the numbers that are known when a kernel is compiled, once for each: l, u, w, and r.

Cost of a step with the widths (l, u): l (2 w + 1) + w + 1 operations to factor; 2 l + 2 w + 1 for each right-hand side.

References: J. J. Dongarra & A. H. Sameh, On some parallel banded system solvers, Parallel Computing 1 (1984) 223-235;
for the bounds of growth, Z. Bohte, Bounds for rounding errors in the Gaussian elimination for band systems, J. Inst.
Maths Applics 16 (1975) 133-142.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import compiled_form, inlined, kernel
from stridiag._kernels.narrow_band import (
    exchange,
    largest,
    load,
    put,
    reduce,
    reduce_all,
    store,
    store_all,
    take,
)

__all__ = [
    "back_substitute",
    "back_substitute_adjoint",
    "factor",
    "forward_substitute",
    "forward_substitute_adjoint",
    "turned_base",
]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]


# ---------------------------------------------------------------------- factors


def turned_base(base: Array, n: int) -> Array:
    """Return where the diagonals begin for the bottom end, which counts downwards."""
    result = base[::-1].copy()
    result[result != ABSENT] += n - 1
    return result


def entries(flat: Array, base: Array, d: int, row: int, step: int, like: Row) -> Row:
    """Return a row of the band from entry d on, zeros for diagonals that are not there."""
    return tuple(flat[base[d + k] + step * row] if base[d + k] != ABSENT else flat[0] * 0 for k in range(len(like)))


@compiled_form(entries)
def _entries(flat: Any, base: Any, d: Any, row: Any, step: Any, like: Any) -> Any:
    if len(like) == 0:
        return lambda flat, base, d, row, step, like: ()
    return lambda flat, base, d, row, step, like: (
        flat[base[d] + step * row] if base[d] != ABSENT else flat[0] * 0,
        *entries(flat, base, d + 1, row, step, like[1:]),
    )


def first_rows(flat: Array, base: Array, row: int, step: int, below: Widths, like: Row) -> tuple[Row, ...]:
    """Return the rows that wait for step 0, from column 0 on: their first entries belong to no column."""
    return tuple(
        entries(flat, base, len(below) - k, row + k, step, like[len(below) - k :]) + (flat[0] * 0,) * (len(below) - k)
        for k in range(len(below))
    )


@compiled_form(first_rows)
def _first_rows(flat: Any, base: Any, row: Any, step: Any, below: Any, like: Any) -> Any:
    missing = len(below)
    if missing == 0:
        return lambda flat, base, row, step, below, like: ()
    none = (0,) * missing
    return lambda flat, base, row, step, below, like: (
        (*entries(flat, base, missing, row, step, like[missing:]), *zeros(flat, none)),
        *first_rows(flat, base, row + 1, step, below[1:], like),
    )


def zeros(array: Array, like: Row) -> Row:
    """Return so many zeros of an array's type."""
    return (array[0] * 0,) * len(like)


@compiled_form(zeros)
def _zeros(array: Any, like: Any) -> Any:
    if len(like) == 0:
        return lambda array, like: ()
    return lambda array, like: (array[0] * 0, *zeros(array, like[1:]))


def scaled(row: Row, factor: Any) -> Row:
    """Return a row times a number."""
    return tuple(entry * factor for entry in row)


@compiled_form(scaled)
def _scaled(row: Any, factor: Any) -> Any:
    if len(row) == 0:
        return lambda row, factor: ()
    return lambda row, factor: (row[0] * factor, *scaled(row[1:], factor))


def leading(rows: tuple[Row, ...], factor: Any) -> Row:
    """Return the first entries of the rows, times a number."""
    return tuple(row[0] * factor for row in rows)


@compiled_form(leading)
def _leading(rows: Any, factor: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, factor: ()
    return lambda rows, factor: (rows[0][0] * factor, *leading(rows[1:], factor))


@inlined
def _eliminate(carried: Any, flat: Any, base: Any, row: Any, step: Any, i: Any, like: Any, end: Any) -> Any:
    """Do step i of one end; return the rows that are carried on, and whether there was a pivot."""
    rows, lower, pivots = end
    new = entries(flat, base, 0, row, step, like)
    candidates = (*carried, new)
    chosen, _, p = largest(candidates[1:], candidates[0], abs(candidates[0][0]), 0, 1)
    others = exchange(candidates[1:], candidates[0], p, 1)
    reciprocal = 1.0 / chosen[0]
    # Accepts the good, so that NaN is no pivot either, nor is what has no reciprocal.
    regular = 0.0 < abs(reciprocal) < np.inf
    by = leading(others, reciprocal)
    pivots[i] = p
    rows[i, 0] = reciprocal
    store(rows, i, 1, scaled(chosen[1:], reciprocal))
    store(lower, i, 0, by)
    return reduce_all(others, by, chosen), regular


@kernel
def factor(
    flat: Array,
    base: Array,
    turned: Array,
    above: Widths,
    below: Widths,
    like: Row,
    top: tuple[Array, Array, Array],
    bottom: tuple[Array, Array, Array],
    first: int,
    last: int,
    top_rest: Array,
    bottom_rest: Array,
    regular: Array,
) -> None:
    """Factor the ends `first` ... `last` - 1 of the top (0) and the bottom (1).

    `below` and `above` have the lengths l and u, `like` w + 1; an end is ``(rows, lower, pivots)``. ``regular[end]``
    becomes whether each step had a pivot.
    """
    steps = top[2].size if first == 0 else 0
    turned_steps = bottom[2].size if last == 2 else 0
    both = min(steps, turned_steps)
    l, u = len(below), len(above)  # noqa: E741 - the names of the widths throughout
    one, other = first_rows(flat, base, 0, 1, below, like), first_rows(flat, turned, 0, -1, above, like)
    fine = turned_fine = True
    for i in range(both):
        one, good = _eliminate(one, flat, base, i + l, 1, i, like, top)
        other, turned_good = _eliminate(other, flat, turned, i + u, -1, i, like, bottom)
        fine, turned_fine = fine and good, turned_fine and turned_good
    for i in range(both, steps):
        one, good = _eliminate(one, flat, base, i + l, 1, i, like, top)
        fine = fine and good
    for i in range(both, turned_steps):
        other, turned_good = _eliminate(other, flat, turned, i + u, -1, i, like, bottom)
        turned_fine = turned_fine and turned_good
    if first == 0:
        store_all(top_rest, 0, one)
        regular[0] = fine
    if last == 2:
        store_all(bottom_rest, 0, other)
        regular[1] = turned_fine


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


def down(carried: tuple[Row, ...], x: Array, come: int, go: int, n: int, p: int, by: Row) -> tuple[Row, ...]:
    """Take the pivot row's numbers out, to `go`, from those that are carried and come; return what is carried on."""
    result = []
    for k, row in enumerate(carried):
        following = (*row[1:], x[come + k * n])
        value = take(following, row[0], p, 1)
        x[go + k * n] = value
        result.append(reduce(put(following, row[0], p, 1), value, by))
    return tuple(result)


@compiled_form(down)
def _down(carried: Any, x: Any, come: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
    if len(carried) == 0:
        return lambda carried, x, come, go, n, p, by: ()

    def first_and_rest(carried: Any, x: Any, come: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
        row = carried[0]
        following = (*row[1:], x[come])
        value = take(following, row[0], p, 1)
        x[go] = value
        return (
            reduce(put(following, row[0], p, 1), value, by),
            *down(carried[1:], x, come + n, go + n, n, p, by),
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
def _up(known: Any, x: Any, place: Any, n: Any, reciprocal: Any, row: Any) -> Any:
    if len(known) == 0:
        return lambda known, x, place, n, reciprocal, row: ()

    def first_and_rest(known: Any, x: Any, place: Any, n: Any, reciprocal: Any, row: Any) -> Any:
        behind = known[0]
        value = less_products(x[place] * reciprocal, row, behind)
        x[place] = value
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
def _down_adjoint(waiting: Any, x: Any, come: Any, taken: Any, go: Any, n: Any, reciprocal: Any, row: Any) -> Any:
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
        first = take(row, value, p, 1)
        rest = put(row, value, p, 1)
        x[go + k * n] = rest[-1]
        result.append((first, *rest[:-1]))
    return tuple(result)


@compiled_form(up_adjoint)
def _up_adjoint(carried: Any, x: Any, place: Any, go: Any, n: Any, p: Any, by: Any) -> Any:
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


# ---------------------------------------------------------------------- sweeps


@kernel
def forward_substitute(
    above: Widths,
    below: Widths,
    sides: Widths,
    lower: Array,
    pivots: Array,
    turned_lower: Array,
    turned_pivots: Array,
    first: int,
    last: int,
    n: int,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverses of the exchanges and of L to the sides `x`, (r n,); put what is left into `core`, (r, w).

    For the ends `first` ... `last` - 1.
    """
    steps = pivots.size if first == 0 else 0
    turned_steps = turned_pivots.size if last == 2 else 0
    both = min(steps, turned_steps)
    l, u = len(below), len(above)  # noqa: E741
    one, other = of_sides(x, 0, 1, n, below, sides), of_sides(x, n - 1, -1, n, above, sides)
    for i in range(both):
        one = down(one, x, i + l, i, n, int(pivots[i]), load(lower, i, 0, below))
        other = down(other, x, n - 1 - i - u, n - 1 - i, n, int(turned_pivots[i]), load(turned_lower, i, 0, above))
    for i in range(both, steps):
        one = down(one, x, i + l, i, n, int(pivots[i]), load(lower, i, 0, below))
    for i in range(both, turned_steps):
        other = down(other, x, n - 1 - i - u, n - 1 - i, n, int(turned_pivots[i]), load(turned_lower, i, 0, above))
    flat, w = core.reshape(core.size), core.shape[1]
    if first == 0:
        fill_sides(flat, 0, 1, w, one)
    if last == 2:
        fill_sides(flat, w - 1, -1, w, other)


@kernel
def back_substitute(
    like: Row, sides: Widths, top: Array, bottom: Array, first: int, last: int, n: int, x: Array, core: Array
) -> None:
    """Apply the inverse of U to the sides `x`, (r n,), given the unknowns of the core, (r, w).

    For the ends `first` ... `last` - 1; `rows` of each are given. `like` has w numbers.
    """
    steps = top.shape[0] if first == 0 else 0
    turned_steps = bottom.shape[0] if last == 2 else 0
    both = min(steps, turned_steps)
    flat, w = core.reshape(core.size), core.shape[1]
    one, other = of_sides(flat, 0, 1, w, like, sides), of_sides(flat, w - 1, -1, w, like, sides)
    for i in range(steps - 1, both - 1, -1):
        one = up(one, x, i, n, top[i, 0], load(top, i, 1, like))
    for i in range(turned_steps - 1, both - 1, -1):
        other = up(other, x, n - 1 - i, n, bottom[i, 0], load(bottom, i, 1, like))
    for i in range(both - 1, -1, -1):
        one = up(one, x, i, n, top[i, 0], load(top, i, 1, like))
        other = up(other, x, n - 1 - i, n, bottom[i, 0], load(bottom, i, 1, like))


@kernel
def forward_substitute_adjoint(
    like: Row, sides: Widths, top: Array, bottom: Array, first: int, last: int, n: int, x: Array, core: Array
) -> None:
    """Apply the inverse of U's transpose to the sides `x`, (r n,); put what is left into `core`, (2, r, w).

    To be summed over the ends; of which those from `first` to `last` - 1 are taken.
    """
    steps = top.shape[0] if first == 0 else 0
    turned_steps = bottom.shape[0] if last == 2 else 0
    both = min(steps, turned_steps)
    w = len(like)
    one, other = of_sides(x, 0, 1, n, like, sides), of_sides(x, n - 1, -1, n, like, sides)
    end = bottom.shape[0]
    for i in range(both):
        one = down_adjoint(one, x, i + w, True, i, n, top[i, 0], load(top, i, 1, like))
        # What stands in the core is taken in once, from the top.
        other = down_adjoint(other, x, n - 1 - i - w, i + w < end, n - 1 - i, n, bottom[i, 0], load(bottom, i, 1, like))
    for i in range(both, steps):
        one = down_adjoint(one, x, i + w, True, i, n, top[i, 0], load(top, i, 1, like))
    for i in range(both, turned_steps):
        other = down_adjoint(other, x, n - 1 - i - w, i + w < end, n - 1 - i, n, bottom[i, 0], load(bottom, i, 1, like))
    flat = core.reshape(core.size)
    if first == 0:
        fill_sides(flat, 0, 1, w, one)
    if last == 2:
        fill_sides(flat, flat.size // 2 + w - 1, -1, w, other)


@kernel
def back_substitute_adjoint(
    above: Widths,
    below: Widths,
    sides: Widths,
    lower: Array,
    pivots: Array,
    turned_lower: Array,
    turned_pivots: Array,
    first: int,
    last: int,
    n: int,
    x: Array,
    core: Array,
) -> None:
    """Apply the inverse of L's transpose, and the exchanges, to the sides `x`, (r n,), given the core's, (r, w).

    For the ends `first` ... `last` - 1.
    """
    steps = pivots.size if first == 0 else 0
    turned_steps = turned_pivots.size if last == 2 else 0
    both = min(steps, turned_steps)
    l, u = len(below), len(above)  # noqa: E741
    flat, w = core.reshape(core.size), core.shape[1]
    one, other = of_sides(flat, 0, 1, w, below, sides), of_sides(flat, w - 1, -1, w, above, sides)
    for i in range(steps - 1, both - 1, -1):
        one = up_adjoint(one, x, i, i + l, n, int(pivots[i]), load(lower, i, 0, below))
    for i in range(turned_steps - 1, both - 1, -1):
        other = up_adjoint(
            other, x, n - 1 - i, n - 1 - i - u, n, int(turned_pivots[i]), load(turned_lower, i, 0, above)
        )
    for i in range(both - 1, -1, -1):
        one = up_adjoint(one, x, i, i + l, n, int(pivots[i]), load(lower, i, 0, below))
        other = up_adjoint(
            other, x, n - 1 - i, n - 1 - i - u, n, int(turned_pivots[i]), load(turned_lower, i, 0, above)
        )
    if first == 0:
        fill_sides(x, 0, 1, n, one)
    if last == 2:
        fill_sides(x, n - 1, -1, n, other)
