r"""LU of a narrow band from both ends at once, each row of it in one vector.

The columns are eliminated in the order 0, n - 1, 1, n - 2, ...: from the top by steps of an ordinary LU of a band, from
the bottom by those of the band turned by half a circle, whose widths are exchanged. No step of one end touches a row or
a column of the other until w = l + u columns are left, in as many rows: the *core*, a small dense matrix. So the ends
run on two threads; on one their steps take turns, since each waits for the one before it.

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
are the rows of an array (r, n), seen as one vector; what is left of them goes to `core`, (r, w). Tuples of zeros carry
the numbers that are known when a kernel is compiled, once for each: l, u, w, and r. `stridiag._kernels.two_ended_solve`
solves.

Vectors
-------
A row is a pair of vectors: its first entry in every lane, and what stands behind it, w numbers, then those of
right-hand sides, then zeros. So a row is reduced by one instruction, and chosen by two, where each of its numbers would
take one. A choice is made by vectors too, and no branch has to be foreseen; right-hand sides come along for nothing.

A step that takes its first candidate, as most do where the diagonal dominates, need not wait for the choice if a branch
makes it, which is then foreseen. Where one does not, the next steps choose without branches: one, or, each time that
this happens soon again, twice as many as before. The results are those of `factor_plainly`.

Cost of a step with the widths (l, u): l (2 w + 1) + w + 1 operations to factor; what is done to zeros, and to rows that
are not taken, is not counted.

References: J. J. Dongarra & A. H. Sameh, On some parallel banded system solvers, Parallel Computing 1 (1984) 223-235;
for the bounds of growth, Z. Bohte, Bounds for rounding errors in the Gaussian elimination for band systems, J. Inst.
Maths Applics 16 (1975) 133-142.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import compiled_form, inlined, kernel, vector_kernel
from stridiag._kernels.two_ended_solve import forward_substitute
from stridiag._kernels.vector_numbers import (
    first_moved_out,
    front,
    numbers_at,
    put_number,
    put_numbers,
    spread,
    spread_front,
    with_numbers,
)
from stridiag._kernels.vectors import BYTES, both, choose, every, less, magnitude, store

__all__ = ["MARGIN", "factor", "room_for", "turned_base"]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]

MARGIN = 16
"""Numbers behind the rows of an end that are overwritten."""

# Steps before which a branch fails soon; and most steps that choose without branches before one is tried again.
_SOON, _LONGEST = 4, 32


def turned_base(base: Array, n: int) -> Array:
    """Return where the diagonals begin for the bottom end, which counts downwards."""
    result = base[::-1].copy()
    result[result != ABSENT] += n - 1
    return result


def room_for(itemsize: int, width: int) -> int:
    """Return how many right-hand sides have room in a row, of a band of total width w = l + u."""
    return BYTES // itemsize - width


@kernel
def _end_plainly(flat: Array, base: Array, step: int, end: tuple[Array, Array, Array], rest: Array) -> bool:
    """Factor one end; return whether each step had a pivot."""
    rows, lower, pivots = end
    l, w = lower.shape[1], rows.shape[1] - 1  # noqa: E741 - the names of the widths throughout
    none = flat[0] * 0
    # The candidates, from the column of the step on. The first rows have entries that belong to no column.
    held = [[none for _ in range(w + 1)] for _ in range(l + 1)]
    for k in range(l):
        for d in range(l - k, w + 1):
            if base[d] != ABSENT:
                held[k][d - l + k] = flat[base[d] + step * k]
    fine = True
    for i in range(pivots.size):
        held[l] = [flat[base[d] + step * (i + l)] if base[d] != ABSENT else none for d in range(w + 1)]
        p = 0
        for k in range(1, l + 1):
            if abs(held[k][0]) > abs(held[p][0]):
                p = k
        chosen = held[p]
        held[p] = held[0]
        reciprocal = 1.0 / chosen[0]
        fine = fine and 0.0 < abs(reciprocal) < np.inf
        pivots[i] = p
        rows[i, 0] = reciprocal
        for d in range(1, w + 1):
            rows[i, d] = chosen[d] * reciprocal
        for k in range(l):
            by = held[k + 1][0] * reciprocal
            lower[i, k] = by
            held[k] = [held[k + 1][d + 1] - by * chosen[d + 1] if d < w else none for d in range(w + 1)]
    for k in range(l):
        for d in range(w + 1):
            rest[k, d] = held[k][d]
    return fine


@kernel
def factor_plainly(
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
    rests: tuple[Array, Array],
    regular: Array,
    along: tuple[Widths, Array, Array],
) -> None:
    """Do what `factor` does by plain loops, one after the other."""
    sides, x, core = along
    if first == 0:
        regular[0] = _end_plainly(flat, base, 1, top, rests[0])
    if last == 2:
        regular[1] = _end_plainly(flat, turned, -1, bottom, rests[1])
    if len(sides) > 0:
        forward_substitute(above, below, sides, top, bottom, first, last, x.size // len(sides), x, x, core)


# ---------------------------------------------------------------------- rows: in compiled code only


@inlined
def _row(flat: Any, base: Any, d: Any, number: Any, step: Any, present: Any, beside: Any, right: Any) -> Any:
    """Return a row of the band, as an end counts, from its entry d on."""
    x, start, n, sides = right
    at = step * number
    row = with_numbers(numbers_at(flat, base, d + 1, at, present[1:]), beside, x, start + at, n, sides)
    return spread_front(numbers_at(flat, base, d, at, present[:1])), row


def first_rows(
    flat: Array, base: Array, number: int, step: int, below: Widths, present: Row, beside: Row, right: Any
) -> Any:
    """Return the rows that wait for step 0, from column 0 on."""
    raise NotImplementedError


@compiled_form(first_rows)
def _first_rows(flat: Any, base: Any, number: Any, step: Any, below: Any, present: Any, beside: Any, right: Any) -> Any:
    missing = len(below)
    if missing == 0:
        return lambda flat, base, number, step, below, present, beside, right: ()
    return lambda flat, base, number, step, below, present, beside, right: (
        _row(flat, base, missing, number, step, present[missing:], beside, right),
        *first_rows(flat, base, number + 1, step, below[1:], present, beside, right),
    )


def none_larger(rows: Any, size: Any) -> bool:
    """Return whether no row has a first entry larger in magnitude."""
    raise NotImplementedError


@compiled_form(none_larger)
def _none_larger(rows: Any, size: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, size: True
    return lambda rows, size: (not abs(front(rows[0][0])) > size) and none_larger(rows[1:], size)


def largest(rows: Any, best: Any, size: Any, p: Any, k: float) -> Any:
    """Return the first row of largest first entry, and its number, in every lane; `k` is the next one."""
    raise NotImplementedError


@compiled_form(largest)
def _largest(rows: Any, best: Any, size: Any, p: Any, k: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, best, size, p, k: (best, p)

    def first_and_rest(rows: Any, best: Any, size: Any, p: Any, k: Any) -> Any:
        row = rows[0]
        other = magnitude(row[0])
        take = less(size, other)
        chosen = (choose(take, row[0], best[0]), choose(take, row[1], best[1]))
        return largest(rows[1:], chosen, choose(take, other, size), choose(take, k, p), k + 1.0)

    return first_and_rest


def exchange(rows: Any, row: Any, p: Any, k: float) -> Any:
    """Return the rows, numbered from k, with `row` in the place of number p."""
    raise NotImplementedError


@compiled_form(exchange)
def _exchange(rows: Any, row: Any, p: Any, k: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, row, p, k: ()

    def first_and_rest(rows: Any, row: Any, p: Any, k: Any) -> Any:
        here = both(less(k - 0.5, p), less(p, k + 0.5))
        return (
            (choose(here, row[0], rows[0][0]), choose(here, row[1], rows[0][1])),
            *exchange(rows[1:], row, p, k + 1.0),
        )

    return first_and_rest


def reduced(rows: Any, chosen: Any, reciprocal: Any, beside: Row, lower: Array, place: int) -> Any:
    """Return the rows less their multiples of the chosen one; the multipliers are noted."""
    raise NotImplementedError


@compiled_form(reduced)
def _reduced(rows: Any, chosen: Any, reciprocal: Any, beside: Any, lower: Any, place: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, chosen, reciprocal, beside, lower, place: ()

    def first_and_rest(rows: Any, chosen: Any, reciprocal: Any, beside: Any, lower: Any, place: Any) -> Any:
        by = rows[0][0] * reciprocal
        put_number(lower, place, front(by))
        left = rows[0][1] - by * chosen[1]
        return (
            (spread_front(left), first_moved_out(left, beside)),
            *reduced(rows[1:], chosen, reciprocal, beside, lower, place + 1),
        )

    return first_and_rest


def put_rows(rows: Any, rest: Array, k: int, beside: Row, sides: Widths, core: Array, place: int, step: int) -> None:
    """Write rows to the lines k, k + 1, ... of `rest`, and their right-hand sides into `core`."""
    raise NotImplementedError


@compiled_form(put_rows)
def _put_rows(rows: Any, rest: Any, k: Any, beside: Any, sides: Any, core: Any, place: Any, step: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, rest, k, beside, sides, core, place, step: None

    def first_and_rest(rows: Any, rest: Any, k: Any, beside: Any, sides: Any, core: Any, place: Any, step: Any) -> None:
        w = len(beside)
        put_number(rest, k * (w + 1), front(rows[0][0]))
        put_numbers(rows[0][1], (), rest, k * (w + 1) + 1, 1, beside)
        put_numbers(rows[0][1], beside, core, place, w, sides)
        put_rows(rows[1:], rest, k + 1, beside, sides, core, place + step, step)

    return first_and_rest


# ---------------------------------------------------------------------- steps of one end


@inlined
def _new_row(band: Any, right: Any, i: Any) -> Any:
    """Return the row that comes with step i."""
    flat, base, step, below, present = band
    return _row(flat, base, 0, i + len(below), step, present, present[1:], right)


@inlined
def _finish(chosen: Any, others: Any, p: Any, fine: Any, i: Any, band: Any, right: Any, end: Any) -> Any:
    """Note step i; return the rows that are carried on, and whether there has been a pivot so far."""
    rows, lower, pivots = end
    _, _, step, _, present = band
    x, start, n, sides = right
    reciprocal = 1.0 / chosen[0]
    place = i * len(present)
    store(rows, place + 1, chosen[1] * reciprocal)
    put_number(rows, place, front(reciprocal))
    put_number(pivots, i, p)
    put_numbers(chosen[1], present[1:], x, start + step * i, n, sides)
    # Accepts the good, so that NaN is no pivot either, nor is what has no reciprocal.
    length = magnitude(reciprocal)
    fine = both(fine, both(less(0.0, length), less(length, np.inf)))
    return reduced(others, chosen, reciprocal, present[1:], lower, i * len(others)), fine


@inlined
def _stays(carried: Any, new: Any) -> Any:
    """Return whether the next step takes the first of its candidates."""
    return none_larger((*carried[1:], new), abs(front(carried[0][0])))


@inlined
def _first(carried: Any, new: Any, fine: Any, i: Any, band: Any, right: Any, end: Any) -> Any:
    """Do step i where it `_stays`."""
    return _finish(carried[0], (*carried[1:], new), 0, fine, i, band, right, end)


@inlined
def _any(carried: Any, fine: Any, i: Any, band: Any, right: Any, end: Any) -> Any:
    """Do step i."""
    others = (*carried[1:], _new_row(band, right, i))
    length = magnitude(carried[0][0])
    chosen, p = largest(others, carried[0], length, length - length, 1.0)
    others = exchange(others, carried[0], p, 1.0)
    return _finish(chosen, others, int(front(p)), fine, i, band, right, end)


@inlined
def _alone(carried: Any, fine: Any, band: Any, right: Any, end: Any, i: Any, stop: Any) -> Any:
    """Do the steps i ... `stop` - 1 of one end, as `factor` does those of both."""
    spell = 1
    while i < stop:
        start = i
        new = _new_row(band, right, i)
        while i < stop and _stays(carried, new):
            carried, fine = _first(carried, new, fine, i, band, right, end)
            i += 1
            new = _new_row(band, right, i)
        spell = min(2 * spell, _LONGEST) if i - start < _SOON else 1
        for k in range(i, min(stop, i + spell)):
            carried, fine = _any(carried, fine, k, band, right, end)
        i = min(stop, i + spell)
    return carried, fine


@vector_kernel(factor_plainly)
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
    rests: tuple[Array, Array],
    regular: Array,
    along: tuple[Widths, Array, Array],
) -> None:
    """Factor the ends `first` ... `last` - 1 of the top (0) and the bottom (1).

    `below` and `above` have the lengths l and u; `like`, w + 1, has None for a diagonal that is absent. An end is
    ``(rows, lower, pivots)``; behind its rows, `MARGIN` numbers are overwritten. ``regular[end]`` becomes whether each
    step had a pivot. `along` is ``(sides, x, core)`` as `forward_substitute` takes it, which is done too: no more sides
    than `room_for` tells have room.
    """
    sides, x, core = along
    steps = top[2].size if first == 0 else 0
    turned_steps = bottom[2].size if last == 2 else 0
    ends = min(steps, turned_steps)
    n, beside = top[2].size + bottom[2].size + len(like) - 1, like[1:]
    band, turned_band = (flat, base, 1, below, like), (flat, turned, -1, above, like[::-1])
    right, turned_right = (x, 0, n, sides), (x, n - 1, n, sides)
    one = first_rows(flat, base, 0, 1, below, like, beside, right)
    other = first_rows(flat, turned, 0, -1, above, like[::-1], beside, turned_right)
    fine = turned_fine = less(spread(flat, 0.0), 1.0)
    i, spell = 0, 1
    while i < ends:
        start = i
        # Behind the last step come rows of the core, which are there.
        new, turned_new = _new_row(band, right, i), _new_row(turned_band, turned_right, i)
        while i < ends and _stays(one, new) and _stays(other, turned_new):
            one, fine = _first(one, new, fine, i, band, right, top)
            other, turned_fine = _first(other, turned_new, turned_fine, i, turned_band, turned_right, bottom)
            i += 1
            new, turned_new = _new_row(band, right, i), _new_row(turned_band, turned_right, i)
        spell = min(2 * spell, _LONGEST) if i - start < _SOON else 1
        for k in range(i, min(ends, i + spell)):
            one, fine = _any(one, fine, k, band, right, top)
            other, turned_fine = _any(other, turned_fine, k, turned_band, turned_right, bottom)
        i = min(ends, i + spell)
    one, fine = _alone(one, fine, band, right, top, ends, steps)
    other, turned_fine = _alone(other, turned_fine, turned_band, turned_right, bottom, ends, turned_steps)
    if first == 0:
        put_rows(one, rests[0], 0, beside, sides, core, 0, 1)
        regular[0] = every(fine)
    if last == 2:
        put_rows(other, rests[1], 0, beside, sides, core, len(beside) - 1, -1)
        regular[1] = every(turned_fine)
