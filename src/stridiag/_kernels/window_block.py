r"""The inner loops of LU in a moving window (`stridiag._kernels.window_lu`): panels, rows of U, and what is left.

A **panel** are `PANEL` columns, a vector of doubles. Its part of L, `lower`, holds one column behind the other, each
with a number for every place of a row; the number of places, `height`, is a multiple of `PANEL`. The rows of U, in
`upper`, are `width` numbers long, a multiple of `PANEL` too. So there are no ends of loops.

Real double precision is done in vectors, all else by the plain loops, which the tests compare with.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form
from stridiag._kernels.vectors import choose, gather, less, load, magnitude, splat, store

__all__ = [
    "PANEL",
    "clear",
    "clear_block",
    "clear_rows",
    "largest_place",
    "reduce_panel",
    "subtract_products",
    "take_panel",
    "upper_rows",
]

Array = NDArray[Any]

PANEL = 8
"""Columns of a panel."""


def clear(a: Array, begin: int, end: int) -> None:
    """Make numbers zero."""
    for k in range(begin, end):
        a[k] = 0


def clear_rows(
    a: Array, starts: Array, shift: int, width: int, chosen: Array, first: int, count: int, numbers: Array
) -> None:
    """Make the rows at the places ``chosen[first : first + count]`` zero, `width` numbers from `shift` on."""
    for k in range(first, first + count):
        clear(a, starts[chosen[k]] + shift, starts[chosen[k]] + shift + width)


def clear_block(a: Array, starts: Array, shift: int, height: int, numbers: Array) -> None:
    """Make `PANEL` numbers of the rows at all places zero."""
    for i in range(height):
        clear(a, starts[i] + shift, starts[i] + shift + PANEL)


def take_panel(a: Array, starts: Array, shift: int, lower: Array, at: int, height: int) -> None:
    """Copy a panel into `lower` at `at`; its rows begin at `starts` in `a`, and the panel `shift` behind that."""
    for k in range(PANEL):
        for i in range(height):
            lower[at + k * height + i] = a[starts[i] + shift + k]


def largest_place(lower: Array, at: int, height: int, numbers: Array, buffer: Array) -> int:
    """Return the first of the places with the largest magnitude; NaN is taken for zero.

    `numbers` are 0.0, 1.0, ...: here and below, what vectors know of places.
    """
    largest, best = 0.0, 0
    for i in range(height):
        size = abs(lower[at + i])
        if size > largest:
            largest = size
            best = i
    return best


def reduce_panel(
    lower: Array, at: int, height: int, k: int, place: int, inverse: Any, numbers: Array, buffer: Array
) -> int:
    """Multiply column k of a panel by `inverse`, and subtract its multiples from those behind it.

    What stands at `place`, the pivot row, becomes zero; but in columns before k. Return `largest_place` of the next
    column, 0 if there is none.
    """
    source = at + k * height
    lower[source + place] = 0
    for i in range(height):
        lower[source + i] = lower[source + i] * inverse
    for j in range(k + 1, PANEL):
        target = at + j * height
        factor = lower[target + place]
        for i in range(height):
            lower[target + i] -= factor * lower[source + i]
        lower[target + place] = 0
    return largest_place(lower, source + height, height, numbers, buffer) if k + 1 < PANEL else 0


def upper_rows(
    a: Array, starts: Array, shift: int, width: int, lower: Array, at: int, height: int, chosen: Array, first: int,
    upper: Array, to: int, count: int, largest: float, buffer: Array,
) -> float:  # fmt: skip
    """Make the `count` rows of U of a panel out of those at the places ``chosen[first ...]``.

    Return the largest magnitude among them, or `largest` if that is larger.
    A row has `width` numbers, from `shift` behind its start on. What belongs to the panel itself is not meant.
    """
    for k in range(count):
        p, row = chosen[first + k], to + k * width
        for c in range(width):
            value = a[starts[p] + shift + c]
            for j in range(k):
                value -= lower[at + j * height + p] * upper[to + j * width + c]
            upper[row + c] = value
            largest = max(largest, abs(value))
    return largest


def subtract_products(
    a: Array, starts: Array, shift: int, width: int, lower: Array, at: int, height: int, upper: Array, to: int
) -> None:
    """Subtract from the rows at all places their multiples of the rows of U."""
    for i in range(height):
        row = starts[i] + shift
        for k in range(PANEL):
            for c in range(width):
                a[row + c] -= lower[at + k * height + i] * upper[to + k * width + c]


# ---------------------------------------------------------------------------------------------------- in vectors


def _take_in_vectors(a: Any, starts: Any, shift: Any, lower: Any, at: Any, height: Any) -> None:
    for i in range(0, height, PANEL):
        gather(a, starts, i, shift, lower, at + i, height)


def _clear_rows_in_vectors(
    a: Any, starts: Any, shift: Any, width: Any, chosen: Any, first: Any, count: Any, numbers: Any
) -> None:
    zero = splat(numbers, 0)
    for k in range(first, first + count):
        row = starts[chosen[k]] + shift
        for c in range(0, width, 8):
            store(a, row + c, zero)


def _clear_block_in_vectors(a: Any, starts: Any, shift: Any, height: Any, numbers: Any) -> None:
    zero = splat(numbers, 0)
    for i in range(height):
        store(a, starts[i] + shift, zero)


@borrowing
def _first_of_largest(most: Any, where: Any, buffer: Any) -> int:
    """Return where the largest of eight magnitudes was found, the first of them."""
    store(buffer, 0, most)
    store(buffer, 8, where)
    largest, best = buffer[0], buffer[8]
    for k in range(1, 8):
        size, place = buffer[k], buffer[8 + k]
        better = size > largest or (size == largest and place < best)
        largest = size if better else largest
        best = place if better else best
    return int(best)


def _largest_in_vectors(lower: Any, at: Any, height: Any, numbers: Any, buffer: Any) -> int:
    most, where = splat(numbers, 0), load(numbers, 0)
    for i in range(0, height, 8):
        size = magnitude(load(lower, at + i))
        better = less(most, size)
        most, where = choose(better, size, most), choose(better, load(numbers, i), where)
    return _first_of_largest(most, where, buffer)


def _reduce_in_vectors(
    lower: Any, at: Any, height: Any, k: Any, place: Any, inverse: Any, numbers: Any, buffer: Any
) -> int:
    source = at + k * height
    following = source + height
    for j in range(k + 1, PANEL):
        buffer[16 + j] = lower[at + j * height + place]
    most, where = splat(numbers, 0), load(numbers, 0)
    if k + 1 < PANEL:
        # First what the next pivot waits for.
        for i in range(0, height, 8):
            number = load(numbers, i)
            here = less(magnitude(number - place), 0.5)
            factors = choose(here, 0.0, load(lower, source + i) * inverse)
            store(lower, source + i, factors)
            left = choose(here, 0.0, load(lower, following + i) - splat(buffer, 17 + k) * factors)
            store(lower, following + i, left)
            size = magnitude(left)
            better = less(most, size)
            most, where = choose(better, size, most), choose(better, number, where)
        for i in range(0, height, 8):
            here = less(magnitude(load(numbers, i) - place), 0.5)
            factors = load(lower, source + i)
            for j in range(k + 2, PANEL):
                target = at + j * height + i
                store(lower, target, choose(here, 0.0, load(lower, target) - splat(buffer, 16 + j) * factors))
    else:
        for i in range(0, height, 8):
            here = less(magnitude(load(numbers, i) - place), 0.5)
            store(lower, source + i, choose(here, 0.0, load(lower, source + i) * inverse))
    return _first_of_largest(most, where, buffer)


def _upper_in_vectors(
    a: Any, starts: Any, shift: Any, width: Any, lower: Any, at: Any, height: Any, chosen: Any, first: Any,
    upper: Any, to: Any, count: Any, largest: Any, buffer: Any,
) -> float:  # fmt: skip
    buffer[0] = 0.0
    most = splat(buffer, 0)
    for k in range(count):
        p, row = chosen[first + k], to + k * width
        source, factors = starts[p] + shift, at + p
        c = 0
        while c + 16 <= width:
            v0, v1 = load(a, source + c), load(a, source + c + 8)
            for j in range(k):
                factor = splat(lower, factors + j * height)
                v0 = v0 - factor * load(upper, to + j * width + c)
                v1 = v1 - factor * load(upper, to + j * width + c + 8)
            store(upper, row + c, v0)
            store(upper, row + c + 8, v1)
            s0, s1 = magnitude(v0), magnitude(v1)
            s0 = choose(less(s0, s1), s1, s0)
            most = choose(less(most, s0), s0, most)
            c += 16
        if c < width:
            v0 = load(a, source + c)
            for j in range(k):
                v0 = v0 - splat(lower, factors + j * height) * load(upper, to + j * width + c)
            store(upper, row + c, v0)
            s0 = magnitude(v0)
            most = choose(less(most, s0), s0, most)
    store(buffer, 0, most)
    result: float = largest
    for k in range(PANEL):
        result = buffer[k] if buffer[k] > result else result
    return result


def _products_in_vectors(
    a: Any, starts: Any, shift: Any, width: Any, lower: Any, at: Any, height: Any, upper: Any, to: Any
) -> None:
    for i in range(0, height, 8):
        row0, row1 = starts[i] + shift, starts[i + 1] + shift
        row2, row3 = starts[i + 2] + shift, starts[i + 3] + shift
        row4, row5 = starts[i + 4] + shift, starts[i + 5] + shift
        row6, row7 = starts[i + 6] + shift, starts[i + 7] + shift
        c = 0
        while c + 16 <= width:
            p0, q0 = load(a, row0 + c), load(a, row0 + c + 8)
            p1, q1 = load(a, row1 + c), load(a, row1 + c + 8)
            p2, q2 = load(a, row2 + c), load(a, row2 + c + 8)
            p3, q3 = load(a, row3 + c), load(a, row3 + c + 8)
            p4, q4 = load(a, row4 + c), load(a, row4 + c + 8)
            p5, q5 = load(a, row5 + c), load(a, row5 + c + 8)
            p6, q6 = load(a, row6 + c), load(a, row6 + c + 8)
            p7, q7 = load(a, row7 + c), load(a, row7 + c + 8)
            first, other = at + i, to + c
            for _ in range(PANEL):
                u, v = load(upper, other), load(upper, other + 8)
                f = splat(lower, first)
                p0, q0 = p0 - f * u, q0 - f * v
                f = splat(lower, first + 1)
                p1, q1 = p1 - f * u, q1 - f * v
                f = splat(lower, first + 2)
                p2, q2 = p2 - f * u, q2 - f * v
                f = splat(lower, first + 3)
                p3, q3 = p3 - f * u, q3 - f * v
                f = splat(lower, first + 4)
                p4, q4 = p4 - f * u, q4 - f * v
                f = splat(lower, first + 5)
                p5, q5 = p5 - f * u, q5 - f * v
                f = splat(lower, first + 6)
                p6, q6 = p6 - f * u, q6 - f * v
                f = splat(lower, first + 7)
                p7, q7 = p7 - f * u, q7 - f * v
                first += height
                other += width
            store(a, row0 + c, p0)
            store(a, row0 + c + 8, q0)
            store(a, row1 + c, p1)
            store(a, row1 + c + 8, q1)
            store(a, row2 + c, p2)
            store(a, row2 + c + 8, q2)
            store(a, row3 + c, p3)
            store(a, row3 + c + 8, q3)
            store(a, row4 + c, p4)
            store(a, row4 + c + 8, q4)
            store(a, row5 + c, p5)
            store(a, row5 + c + 8, q5)
            store(a, row6 + c, p6)
            store(a, row6 + c + 8, q6)
            store(a, row7 + c, p7)
            store(a, row7 + c + 8, q7)
            c += 16
        if c < width:
            p0, p1, p2, p3 = load(a, row0 + c), load(a, row1 + c), load(a, row2 + c), load(a, row3 + c)
            p4, p5, p6, p7 = load(a, row4 + c), load(a, row5 + c), load(a, row6 + c), load(a, row7 + c)
            first, other = at + i, to + c
            for _ in range(PANEL):
                u = load(upper, other)
                p0 = p0 - splat(lower, first) * u
                p1 = p1 - splat(lower, first + 1) * u
                p2 = p2 - splat(lower, first + 2) * u
                p3 = p3 - splat(lower, first + 3) * u
                p4 = p4 - splat(lower, first + 4) * u
                p5 = p5 - splat(lower, first + 5) * u
                p6 = p6 - splat(lower, first + 6) * u
                p7 = p7 - splat(lower, first + 7) * u
                first += height
                other += width
            store(a, row0 + c, p0)
            store(a, row1 + c, p1)
            store(a, row2 + c, p2)
            store(a, row3 + c, p3)
            store(a, row4 + c, p4)
            store(a, row5 + c, p5)
            store(a, row6 + c, p6)
            store(a, row7 + c, p7)


@borrowing_form(take_panel)
def _take_panel(a, starts, shift, lower, at, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _take_in_vectors if a.dtype is types.float64 else take_panel


@borrowing_form(clear_rows)
def _clear_rows(a, starts, shift, width, chosen, first, count, numbers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _clear_rows_in_vectors if a.dtype is types.float64 else clear_rows


@borrowing_form(clear_block)
def _clear_block(a, starts, shift, height, numbers):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _clear_block_in_vectors if a.dtype is types.float64 else clear_block


@borrowing_form(largest_place)
def _largest_place(lower, at, height, numbers, buffer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _largest_in_vectors if lower.dtype is types.float64 else largest_place


@borrowing_form(reduce_panel)
def _reduce_panel(lower, at, height, k, place, inverse, numbers, buffer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _reduce_in_vectors if lower.dtype is types.float64 else reduce_panel


@borrowing_form(upper_rows)
def _upper_rows(  # type: ignore[no-untyped-def]  # noqa: ANN202
    a, starts, shift, width, lower, at, height, chosen, first, upper, to, count, largest, buffer  # noqa: ANN001
):  # fmt: skip
    return _upper_in_vectors if a.dtype is types.float64 else upper_rows


@borrowing_form(subtract_products)
def _subtract_products(a, starts, shift, width, lower, at, height, upper, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _products_in_vectors if a.dtype is types.float64 else subtract_products


@borrowing_form(clear)
def _clear(a, begin, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return clear
