r"""The elimination of a narrow band from both ends, each row of it in one vector.

What `stridiag._kernels.two_ended_band.factor` does, and to the same storage. A row is a pair of vectors: its first
entry in every lane, and what stands behind it, w numbers, then those of right-hand sides, then zeros. So a row is
reduced by one instruction, and chosen by two, where each of its numbers would take one. A choice is made by vectors
too, and no branch has to be foreseen; right-hand sides come along for nothing.

A step that takes the first of its candidates, as all do where the matrix is diagonally dominant, need not wait for the
choice if a branch makes it, which is then foreseen. Where one does not, some steps choose without branches. All
results are those of the plain loops.

Cost: as the plain loops; what is done to zeros, and to rows that are not taken, is not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import compiled_form, inlined, kernel, vector_kernel
from stridiag._kernels.two_ended_band import factor as factor_alone
from stridiag._kernels.two_ended_band import forward_substitute
from stridiag._kernels.vectors import (
    BYTES,
    Vector,
    _address,
    _llvm,
    _spread,
    both,
    choose,
    every,
    intrinsic,
    less,
    magnitude,
    store,
)

__all__ = ["MARGIN", "factor", "room_for"]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]

MARGIN = 16
"""Numbers behind the rows of an end that are overwritten."""


def room_for(itemsize: int, width: int) -> int:
    """Return how many right-hand sides have room in a row, of a band of total width w = l + u."""
    return BYTES // itemsize - width


_SPELL = 32
"""Steps that choose among their candidates at a time, before it is tried again whether the first ones will do."""


# ---------------------------------------------------------------------- a vector's first number


def _shuffled(builder: Any, kind: Vector, x: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), places)
    return builder.shuffle_vector(x, ir.Constant(_llvm(kind), [0.0] * kind.count), mask)


def _spread_front(typing: Any, x: Any) -> Any:
    return x(x), lambda context, builder, sig, args: _shuffled(builder, x, args[0], [0] * x.count)


def _moved_up(typing: Any, x: Any, beside: Any) -> Any:
    w = len(beside)
    places = [*range(1, w), x.count, *range(w, x.count)]
    return x(x, beside), lambda context, builder, sig, args: _shuffled(builder, x, args[0], places)


def _number_in(typing: Any, x: Any, before: Any) -> Any:
    lane = ir.Constant(ir.IntType(32), len(before))
    return x.element(x, before), lambda context, builder, sig, args: builder.extract_element(args[0], lane)


def _number_at(typing: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, array, args[0], args[1]))

    return array.dtype(array, types.intp), emit


def _put_number(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[2], sig.args[2], array.dtype)
        builder.store(number, _address(context, builder, array, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


def _with_number(typing: Any, x: Any, before: Any, value: Any) -> Any:
    lane = ir.Constant(ir.IntType(32), len(before))
    return x(x, before, value), lambda context, builder, sig, args: builder.insert_element(args[0], args[2], lane)


def _spread_number(typing: Any, array: Any, value: Any) -> Any:
    kind = Vector(array.dtype, BYTES * 8 // array.dtype.bitwidth)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, kind, context.cast(builder, args[1], sig.args[1], array.dtype))

    return kind(array, value), emit


spread_front: Any = intrinsic(_spread_front)
"""Return the number in the first lane, in every lane."""

moved_up: Any = intrinsic(_moved_up)
"""Move as many numbers as a tuple has one lane to the front, the first one out; a zero follows."""

number_in: Any = intrinsic(_number_in)
"""Return the number in the lane behind as many as a tuple is long."""

number_at: Any = intrinsic(_number_at)
"""Return an entry of a contiguous array; no index counts from the end, which saves looking."""

put_number: Any = intrinsic(_put_number)
"""Set an entry as `number_at` finds it."""

with_number: Any = intrinsic(_with_number)
"""Return a vector with a number in the lane behind as many as a tuple is long."""

spread: Any = intrinsic(_spread_number)
"""Return the vector, of the type of an array's numbers, that holds a number in every lane."""


# ---------------------------------------------------------------------- rows


def filled(flat: Array, base: Array, d: int, at: int, present: Row, before: Row, row: Any) -> Any:
    """Return a row with the entries from number d on in the lanes behind `before`, where `present` is not None."""
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(filled)
def _filled(flat: Any, base: Any, d: Any, at: Any, present: Any, before: Any, row: Any) -> Any:
    if len(present) == 0:
        return lambda flat, base, d, at, present, before, row: row
    if isinstance(present[0], types.NoneType):
        return lambda flat, base, d, at, present, before, row: filled(
            flat, base, d + 1, at, present[1:], (*before, 0), row
        )
    return lambda flat, base, d, at, present, before, row: filled(
        flat,
        base,
        d + 1,
        at,
        present[1:],
        (*before, 0),
        with_number(row, before, number_at(flat, number_at(base, d) + at)),
    )


def with_sides(x: Array, place: int, n: int, sides: Widths, before: Row, row: Any) -> Any:
    """Return a row with the numbers of the right-hand sides at a place in the lanes behind `before`."""
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(with_sides)
def _with_sides(x: Any, place: Any, n: Any, sides: Any, before: Any, row: Any) -> Any:
    if len(sides) == 0:
        return lambda x, place, n, sides, before, row: row
    return lambda x, place, n, sides, before, row: with_sides(
        x, place + n, n, sides[1:], (*before, 0), with_number(row, before, number_at(x, place))
    )


def put_sides(x: Array, place: int, n: int, sides: Widths, before: Row, row: Any) -> None:
    """Write the numbers that `with_sides` puts into a row to a place."""
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(put_sides)
def _put_sides(x: Any, place: Any, n: Any, sides: Any, before: Any, row: Any) -> Any:
    if len(sides) == 0:
        return lambda x, place, n, sides, before, row: None

    def first_and_rest(x: Any, place: Any, n: Any, sides: Any, before: Any, row: Any) -> None:
        put_number(x, place, number_in(row, before))
        put_sides(x, place + n, n, sides[1:], (*before, 0), row)

    return first_and_rest


def first_entry(flat: Array, base: Array, d: int, at: int, present: Row) -> Any:
    """Return entry d of a row in every lane."""
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(first_entry)
def _first_entry(flat: Any, base: Any, d: Any, at: Any, present: Any) -> Any:
    if isinstance(present[0], types.NoneType):
        return lambda flat, base, d, at, present: spread(flat, 0.0)
    return lambda flat, base, d, at, present: spread(flat, number_at(flat, number_at(base, d) + at))


@inlined
def _row(flat: Any, base: Any, d: Any, number: Any, step: Any, present: Any, beside: Any, right: Any) -> Any:
    """Return a row of the band, as an end counts, from its entry d on."""
    x, start, n, sides = right
    row = filled(flat, base, d + 1, step * number, present[1:], (), spread(flat, 0.0))
    row = with_sides(x, start + step * number, n, sides, beside, row)
    return first_entry(flat, base, d, step * number, present), row


def first_rows(
    flat: Array, base: Array, number: int, step: int, below: Widths, present: Row, beside: Row, right: Any
) -> Any:
    """Return the rows that wait for step 0, from column 0 on."""
    raise NotImplementedError("vectors exist in compiled code only")


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
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(none_larger)
def _none_larger(rows: Any, size: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, size: True
    return lambda rows, size: (not abs(number_in(rows[0][0], ())) > size) and none_larger(rows[1:], size)


def largest(rows: Any, best: Any, size: Any, p: Any, k: float) -> Any:
    """Return the first row of largest first entry, and its number, in every lane; `k` is the next one."""
    raise NotImplementedError("vectors exist in compiled code only")


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
    raise NotImplementedError("vectors exist in compiled code only")


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
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(reduced)
def _reduced(rows: Any, chosen: Any, reciprocal: Any, beside: Any, lower: Any, place: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, chosen, reciprocal, beside, lower, place: ()

    def first_and_rest(rows: Any, chosen: Any, reciprocal: Any, beside: Any, lower: Any, place: Any) -> Any:
        by = rows[0][0] * reciprocal
        put_number(lower, place, number_in(by, ()))
        left = rows[0][1] - by * chosen[1]
        return (
            (spread_front(left), moved_up(left, beside)),
            *reduced(rows[1:], chosen, reciprocal, beside, lower, place + 1),
        )

    return first_and_rest


def put_rows(rows: Any, out: Array, k: int, right: Any, core: Array, place: int, step: int, room: Array) -> None:
    """Write rows to the lines k, k + 1, ... of `out`, and their right-hand sides into `core`."""
    raise NotImplementedError("vectors exist in compiled code only")


@compiled_form(put_rows)
def _put_rows(rows: Any, out: Any, k: Any, right: Any, core: Any, place: Any, step: Any, room: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, out, k, right, core, place, step, room: None

    def first_and_rest(rows: Any, out: Any, k: Any, right: Any, core: Any, place: Any, step: Any, room: Any) -> None:
        w = out.shape[1] - 1
        store(room, 0, rows[0][1])
        out[k, 0] = number_in(rows[0][0], ())
        for c in range(w):
            out[k, c + 1] = room[c]
        for side in range(len(right[3])):
            core[side, place] = room[w + side]
        put_rows(rows[1:], out, k + 1, right, core, place + step, step, room)

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
    put_number(rows, place, number_in(reciprocal, ()))
    put_number(pivots, i, p)
    put_sides(x, start + step * i, n, sides, present[1:], chosen[1])
    # Accepts the good, so that NaN is no pivot either, nor is what has no reciprocal.
    length = magnitude(reciprocal)
    fine = both(fine, both(less(0.0, length), less(length, np.inf)))
    return reduced(others, chosen, reciprocal, present[1:], lower, i * len(others)), fine


@inlined
def _stays(carried: Any, new: Any) -> Any:
    """Return whether the next step takes the first of its candidates."""
    return none_larger((*carried[1:], new), abs(number_in(carried[0][0], ())))


@inlined
def _first(carried: Any, new: Any, fine: Any, i: Any, band: Any, right: Any, end: Any) -> Any:
    """Do step i where it `_stays`."""
    return _finish(carried[0], (*carried[1:], new), 0, fine, i, band, right, end)


@inlined
def _any(carried: Any, new: Any, fine: Any, i: Any, band: Any, right: Any, end: Any) -> Any:
    """Do step i."""
    others = (*carried[1:], new)
    length = magnitude(carried[0][0])
    chosen, p = largest(others, carried[0], length, length - length, 1.0)
    others = exchange(others, carried[0], p, 1.0)
    return _finish(chosen, others, int(number_in(p, ())), fine, i, band, right, end)


@inlined
def _alone(carried: Any, fine: Any, band: Any, right: Any, end: Any, i: Any, stop: Any) -> Any:
    """Do the steps i ... `stop` - 1 of one end."""
    while i < stop:
        new = _new_row(band, right, i)
        while i < stop and _stays(carried, new):
            carried, fine = _first(carried, new, fine, i, band, right, end)
            i += 1
            # Behind the last step comes a row of the core, which is there.
            new = _new_row(band, right, i)
        for k in range(i, min(stop, i + _SPELL)):
            carried, fine = _any(carried, _new_row(band, right, k), fine, k, band, right, end)
        i = min(stop, i + _SPELL)
    return carried, fine


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
    top_rest: Array,
    bottom_rest: Array,
    regular: Array,
    sides: Widths,
    x: Array,
    core: Array,
) -> None:
    """Do what `factor` does by plain loops, one after the other."""
    factor_alone(flat, base, turned, above, below, like, top, bottom, first, last, top_rest, bottom_rest, regular)
    if len(sides) > 0:
        ends = (top[1], top[2], bottom[1], bottom[2])
        forward_substitute(above, below, sides, *ends, first, last, x.size // len(sides), x, core)


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
    top_rest: Array,
    bottom_rest: Array,
    regular: Array,
    sides: Widths,
    x: Array,
    core: Array,
) -> None:
    """Do what `two_ended_band.factor` does, and `two_ended_band.forward_substitute` to the right-hand sides.

    `like` has None for a diagonal that is absent, and no more than `room_for` sides have room. Behind the rows of an
    end, `MARGIN` numbers are overwritten.
    """
    steps = top[2].size if first == 0 else 0
    turned_steps = bottom[2].size if last == 2 else 0
    ends = min(steps, turned_steps)
    n = top[2].size + bottom[2].size + len(like) - 1
    band, turned_band = (flat, base, 1, below, like), (flat, turned, -1, above, like[::-1])
    right, turned_right = (x, 0, n, sides), (x, n - 1, n, sides)
    one = first_rows(flat, base, 0, 1, below, like, like[1:], right)
    other = first_rows(flat, turned, 0, -1, above, like[::-1], like[1:], turned_right)
    fine = turned_fine = less(spread(flat, 0.0), 1.0)
    i = 0
    while i < ends:
        new, turned_new = _new_row(band, right, i), _new_row(turned_band, turned_right, i)
        while i < ends and _stays(one, new) and _stays(other, turned_new):
            one, fine = _first(one, new, fine, i, band, right, top)
            other, turned_fine = _first(other, turned_new, turned_fine, i, turned_band, turned_right, bottom)
            i += 1
            # Behind the last step come rows of the core, which are there.
            new, turned_new = _new_row(band, right, i), _new_row(turned_band, turned_right, i)
        for k in range(i, min(ends, i + _SPELL)):
            new, turned_new = _new_row(band, right, k), _new_row(turned_band, turned_right, k)
            one, fine = _any(one, new, fine, k, band, right, top)
            other, turned_fine = _any(other, turned_new, turned_fine, k, turned_band, turned_right, bottom)
        i = min(ends, i + _SPELL)
    one, fine = _alone(one, fine, band, right, top, ends, steps)
    other, turned_fine = _alone(other, turned_fine, turned_band, turned_right, bottom, ends, turned_steps)
    room = np.empty(MARGIN, flat.dtype)
    if first == 0:
        put_rows(one, top_rest, 0, right, core, 0, 1, room)
        regular[0] = every(fine)
    if last == 2:
        put_rows(other, bottom_rest, 0, turned_right, core, len(like) - 2, -1, room)
        regular[1] = every(turned_fine)
