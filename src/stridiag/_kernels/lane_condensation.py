r"""Orthogonal condensation of many segments at a time, one segment in each lane of a vector.

The mathematics is that of `stridiag._kernels.condensation`: a segment [a, b] of interior columns is eliminated by one
reflection of three rows for each column, over the rows a - 1 ... b + 1, and two rows are left over, in the kept columns
a - 2, a - 1, b + 1, b + 2. What differs is what is stored: nothing. A first sweep, `reduce`, keeps the leftover rows
alone; when the kept columns are known, a second one (`stridiag._kernels.lane_substitution`) eliminates again, with
right-hand sides from which the known columns have been subtracted (so that there is no fill), and substitutes back
while its rows are still in a cache. Recomputing costs less than the nine numbers a row that would have to be stored and
fetched.

Segments are taken in groups (`stridiag._kernels.lane_groups`), and one step is in `stridiag._kernels.lane_steps`.

Every eighth step the two rows that are carried along are multiplied by a number near one, right-hand sides included.
That changes nothing but the rounding errors: on a chain of constant coefficients the carried rows converge, and without
it each step would make the same error again, so that the errors would add up instead of averaging out.

Squares neither overflow nor vanish while the entries of a reflection lie between 1e-140 and 1e140 (1e-15 and 1e15 in
single precision). A group with entries beyond is left to the plain loop `reduce_segment`, which scales. `plain_reduce`,
the twin of `reduce`, consists of nothing else. Complex numbers go another way: `stridiag._kernels.condensation`.

References: `stridiag._kernels.condensation`. Recomputing instead of storing, segments as lanes: L.-W. Chang, J. A.
Stratton, H.-S. Kim, W.-M. W. Hwu, "A scalable, numerically stable, high-performance tridiagonal solver using GPUs",
SC 2012, who do so for diagonal pivoting.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2
from stridiag._kernels.lane_groups import (
    BEGIN,
    BEYOND_CACHE,
    LINES,
    ROWS,
    WEIGHT,
    aligned,
    begun,
    end_chains,
    group_size_of,
    load_tile,
    look_ahead,
    pair,
    probed,
    set_out,
    stored,
)
from stridiag._kernels.lane_steps import (
    FACTORS,
    STEADY,
    either,
    entry,
    first_rows,
    given,
    held,
    in_bounds,
    optional,
    scaled,
    shares,
    step,
    times,
    weight,
)
from stridiag._kernels.vectors import both, choose, every, exponent_of, less, load, multiply_add, power_below, store

__all__ = ["plain_reduce", "put_shares", "reduce", "reduce_segment", "united", "uniting"]

Array = NDArray[Any]


def _set_side(side: Any, sides: Any, s: Any, row: Any, which: Any) -> None:
    sides[s, row, which] = side


NOT_TO_BE_TRUSTED = -2
"""What is said of a group with a pivot that is too small to be taken as it comes."""

# In the lanes of single precision they end at 1e-30.
_LEAST_PIVOT = 1e-280

_nothing = optional(lambda side: None, lambda side: side * 0)


@borrowing
def _difference(p: Any, q: Any, x: Any, y: Any) -> Any:
    """Return what of two right-hand sides does not go into one; all, where both rows are zero."""
    if abs(x) + abs(y) > 0.0:
        return abs(y * p - x * q)
    return abs(p) + abs(q)


@borrowing
def _lost_of(asked: Any, p: Any, q: Any, x: Any, y: Any, first: Any, end: Any, loose: Any) -> bool:
    largest = 0.0
    for j in range(first, min(end, asked.size)):
        largest = max(largest, abs(asked[j]))
    # Accepts the good, so that NaN is none.
    return not _difference(p, q, x, y) <= loose * largest


# Whether more is lost of a right-hand side than rounding errors when parallel rows become one: they are not parallel.
_lost = optional(
    lambda b, p, q, x, y, first, end, loose: False,
    lambda b, p, q, x, y, first, end, loose: _lost_of(b, p, q, x, y, first, end, loose),
)
# The numbers of the probe are about 1.
_lost_of_probe = optional(
    lambda probe, p, q, x, y, loose: False, lambda probe, p, q, x, y, loose: not _difference(p, q, x, y) <= loose
)


def _set_product(product: Any, exponent: Any, products: Any, s: Any) -> None:
    products[s, 0], products[s, 1] = product, exponent


def _brought_to_one(product: Any, exponent: Any) -> Any:
    power = power_below(product)
    return product / power, exponent + exponent_of(product)


# The product of the pivots' reciprocals, with its exponent apart, where it is asked for.
_normalised = optional(lambda product, exponent: (None, None), _brought_to_one)
_keep_product = optional(lambda product, exponent, products, s: None, _set_product)
_keep_side = optional(lambda side, sides, s, row, which: None, _set_side)
# The row that two parallel rows are multiples of, x and y.
united = optional(lambda one, other, x, y: None, lambda one, other, x, y: multiply_add(x, one, y * other))


@borrowing
def uniting(p0: Any, p1: Any, q0: Any, q1: Any, share0: Any, share1: Any) -> tuple[Any, Any]:
    """Return with what factors two parallel rows make one, the other being zero.

    From the largest entries of both. Of a segment that is its whole chain nothing is left over.
    """
    x, y = p0, q0
    if abs(p1) + abs(q1) > abs(x) + abs(y):
        x, y = p1, q1
    if abs(share0) + abs(share1) > abs(x) + abs(y):
        x, y = share0, share1
    if abs(x) > abs(y):
        y = y / x
        x = 1.0 / math.sqrt(1.0 + abs(y) * abs(y)) + x * 0
        y = y * x
    elif abs(y) > 0.0:
        x = x / y
        y = 1.0 / math.sqrt(1.0 + abs(x) * abs(x)) + y * 0
        x = x * y
    return x, y


@borrowing
def _loose(d: Any) -> float:
    """Return what may be lost of a right-hand side, of its size: far more than rounding errors."""
    return 1e-8 if d.itemsize == 8 else 1e-3


@borrowing
def _finish(
    state: Any,
    share0: Any,
    share1: Any,
    b: Any,
    probe: Any,
    first: Any,
    last: Any,
    kept: Any,
    s: Any,
    loose: Any,
    leftover: Any,
    sides: Any,
) -> int:
    """Write down the two leftover rows of a segment; without left neighbours they are parallel, and become one.

    Unless a pivot was nothing but rounding errors, in the direction in which the row of zeros was: then what is lost of
    right-hand sides is not small. Returns -1, or the segment's first column if more than `loose` is lost.
    """
    info = -1
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    if kept[s, LEFT1] >= 0:
        leftover[s, 0, LEFT2], leftover[s, 0, LEFT1], leftover[s, 0, RIGHT1], leftover[s, 0, RIGHT2] = pw1, pw2, p0, p1
        leftover[s, 0, 4] = share0
    else:
        x, y = uniting(p0, p1, q0, q1, share0, share1)
        if _lost_of_probe(probe, pz, qz, x, y, loose) or _lost(b, pb, qb, x, y, first[s], last[s] + 2, loose):
            info = int(first[s])
        q0, q1, share1 = united(p0, q0, x, y), united(p1, q1, x, y), united(share0, share1, x, y)
        qb, qz = united(pb, qb, x, y), united(pz, qz, x, y)
        qw1, qw2 = qw1 * 0, qw2 * 0
        pb, pz = _nothing(pb), _nothing(pz)
        leftover[s, 0, :] = 0.0
    leftover[s, 1, LEFT2], leftover[s, 1, LEFT1], leftover[s, 1, RIGHT1], leftover[s, 1, RIGHT2] = qw1, qw2, q0, q1
    leftover[s, 1, 4] = share1
    _keep_side(pb, sides, s, 0, 0)
    _keep_side(pz, sides, s, 0, 1)
    _keep_side(qb, sides, s, 1, 0)
    _keep_side(qz, sides, s, 1, 1)
    return info


# What a step of one segment says of its pivot: -1, unless the column depends on others, or it is not to be trusted.
_verdict = optional(
    lambda reflecting, measure, j: -1 if in_bounds(None, measure, _LEAST_PIVOT) else NOT_TO_BE_TRUSTED,
    lambda reflecting, square, j: -1 if 0.0 < square < np.inf else j,
)


@kernel
def reduce_segment(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array | None,
    probe: Array | None,
    first: Array,
    last: Array,
    kept: Array,
    s: int,
    leftover: Array,
    sides: Array | None,
    products: Array | None,
) -> int:
    """Do what `reduce` does to one segment; returns what that says of it."""
    info = -1
    begin, end = first[s], last[s]
    right = kept[s, RIGHT1] >= 0
    p0, pw1, pw2, pb, pz, q0, q1, qw2, qb, qz = first_rows(dl, d, du, b, probe, None, first, kept, s)
    zero = q0 * 0
    state = (
        p0,
        zero,
        pw1,
        pw2,
        given(b, pb),
        given(probe, pz),
        q0,
        q1,
        zero,
        qw2,
        given(b, qb),
        given(probe, qz),
    )
    share0, share1 = zero, zero
    product, exponent = given(products, zero + 1), given(products, zero)
    for j in range(begin, end + 1):
        there = j < end or right
        after = j + 1 if there else j
        n0, n1, n2, nb = zero, zero, zero, zero
        if there:
            n0, n1, nb = dl[j] * 1, d[after] * 1, entry(b, after) * 1
            if after < du.size:
                n2 = du[after] * 1
        nz = entry(probe, 2 + end - j + 1) * weight(s)
        if (end - j + 1) % STEADY == 0:
            state = scaled(reflecting, state, FACTORS[(end - j + 1) // STEADY % 64])
        state, found = step(reflecting, state, n0, n1, n2, given(b, nb), given(probe, nz))
        if j == end:
            share0, share1 = shares(reflecting, found)
        product = times(product, found[3])
        if (end - j) % STEADY == 0:
            product, exponent = _normalised(product, exponent)
        if info == -1:
            info = _verdict(reflecting, found[8], j)
    lost = _finish(state, share0, share1, b, probe, first, last, kept, s, _loose(d), leftover, sides)
    if info == -1:
        info = lost
    _keep_product(product, exponent, products, s)
    return info


def _reduce_segments(
    reflecting: Any,
    dl: Any,
    d: Any,
    du: Any,
    b: Any,
    probe: Any,
    first: Any,
    last: Any,
    kept: Any,
    lanes: Any,
    group: Any,
    leftover: Any,
    sides: Any,
    products: Any,
) -> int:
    size = group_size_of(d)
    info = -1
    for place in range(group * size, min((group + 1) * size, lanes.size)):
        s = lanes[place]
        found = reduce_segment(reflecting, dl, d, du, b, probe, first, last, kept, s, leftover, sides, products)
        if found >= 0 and info < 0:
            info = found
    return info


def _give_up(
    reflecting: Any,
    dl: Any,
    d: Any,
    du: Any,
    b: Any,
    probe: Any,
    first: Any,
    last: Any,
    kept: Any,
    lanes: Any,
    group: Any,
    leftover: Any,
    sides: Any,
    products: Any,
) -> int:
    return NOT_TO_BE_TRUSTED


# What remains to be done with a group that has no place in lanes.
_one_by_one = optional(_give_up, _reduce_segments)


@kernel
def plain_reduce(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array | None,
    probe: Array | None,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    leftover: Array,
    sides: Array | None,
    dependent: Array,
    products: Array | None,
) -> None:
    """Do what `reduce` does, one segment after another."""
    size = group_size_of(d)
    for group in range(begin, end):
        dependent[group] = -1
        for place in range(group * size, min((group + 1) * size, lanes.size)):
            info = reduce_segment(
                reflecting, dl, d, du, b, probe, first, last, kept, lanes[place], leftover, sides, products
            )
            if info != -1 and dependent[group] == -1:
                dependent[group] = info


@borrowing
def put_shares(reflecting: Any, found: Any, scratch: Any, at: Any, size: Any) -> None:
    """Write down, from the last step, with what factors links of the last row enter the two leftover rows."""
    share0, share1 = shares(reflecting, found)
    store(scratch, at, share0)
    store(scratch, at + size, share1)


@borrowing
def _put_down(state: Any, scratch: Any, at: Any, size: Any) -> None:
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    store(scratch, at, p0)
    store(scratch, at + size, p1)
    store(scratch, at + 2 * size, pw1)
    store(scratch, at + 3 * size, pw2)
    store(scratch, at + 4 * size, q0)
    store(scratch, at + 5 * size, q1)
    store(scratch, at + 6 * size, qw1)
    store(scratch, at + 7 * size, qw2)
    stored(pb, scratch, at + 10 * size)
    stored(qb, scratch, at + 11 * size)
    stored(pz, scratch, at + 12 * size)
    stored(qz, scratch, at + 13 * size)


@borrowing
def _taken_up(scratch: Any, at: Any, size: Any, b: Any, probe: Any) -> tuple[Any, Any, Any]:
    """Return, of one lane, the two leftover rows and the shares of the links in them."""
    state = (
        scratch[at],
        scratch[at + size],
        scratch[at + 2 * size],
        scratch[at + 3 * size],
        given(b, scratch[at + 10 * size]),
        given(probe, scratch[at + 12 * size]),
        scratch[at + 4 * size],
        scratch[at + 5 * size],
        scratch[at + 6 * size],
        scratch[at + 7 * size],
        given(b, scratch[at + 11 * size]),
        given(probe, scratch[at + 13 * size]),
    )
    return state, scratch[at + 8 * size], scratch[at + 9 * size]


@vector_kernel(plain_reduce)
def reduce(
    reflecting: bool | None,
    dl: Array,
    d: Array,
    du: Array,
    b: Array | None,
    probe: Array | None,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    leftover: Array,
    sides: Array | None,
    dependent: Array,
    products: Array | None,
) -> None:
    """Eliminate the segments of the groups `begin` ... `end` - 1, and keep what is left over.

    `lanes` orders the segments, those of one group about equally long. Fills `leftover` as
    `stridiag._kernels.condensation.condense` does, and `sides`, (segments, 2, 1 or 2), with the right-hand sides of the
    two leftover rows: `b`, and a pseudo-random one made of the numbers `probe`, of which there are at least as many as
    the longest segment has columns, and 20. `products`, (segments, 2), holds the products of the pivots' reciprocals,
    times two to the power of the second number. ``dependent[group]`` becomes -1, or a column that depends on
    others: the first one of a segment at the beginning of a chain if any of it does.
    """
    size = group_size_of(d)
    half = size // 2
    # The square of the smallest entry that is trusted; its reciprocal for the largest.
    tiny = 1e-280 if d.itemsize == 8 else 1e-30
    far = d.size > BEYOND_CACHE
    starts = np.empty(2 * size, np.int64)
    tile = np.empty(4 * ROWS * size + half, d.dtype)
    place = aligned(tile)
    scratch = np.empty(LINES * size + half, d.dtype)
    line = aligned(scratch)
    for group in range(begin, end):
        steps, apart, safe = set_out(
            dl, d, du, b, probe, None, first, last, kept, lanes, group, size, starts, scratch, line
        )
        one = begun(scratch, line, size, b, probe, d)
        other = begun(scratch, line + half, size, b, probe, d)
        starting, starting_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        weights, weights_other = load(scratch, line + WEIGHT * size), load(scratch, line + WEIGHT * size + half)
        fine = less(starting, np.inf)
        unit = starting * 0.0 + 1.0
        product, product_other = given(products, unit), given(products, unit)
        exponent, exponent_other = given(products, unit - 1.0), given(products, unit - 1.0)
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            load_tile(dl, d, du, b, starts, chunk, rows, safe, tile, place, size)
            if chunk + rows == steps:
                end_chains(lanes, group, size, kept, tile, place + (rows - 1) * size)
            for row in range(rows):
                if far:
                    look_ahead(dl, d, du, b, starts, chunk, row, size)
                at_step = chunk + row
                at = place + row * size
                rest = 2 + steps - at_step
                factor = FACTORS[(steps - at_step) // STEADY % 64]
                nz, nz_other = probed(probe, rest, weights), probed(probe, rest, weights_other)
                # Apart from each other, so that the rows before the step need not be kept where all lanes take it.
                if at_step < apart:
                    late, late_other = less(starting, at_step + 0.5), less(starting_other, at_step + 0.5)
                    before, before_other = one, other
                    if row % STEADY == 0:
                        one, other = scaled(reflecting, one, factor), scaled(reflecting, other, factor)
                    one, other, found, found_other = pair(reflecting, one, other, tile, at, size, b, nz, nz_other)
                    one, other = held(one, before, late), held(other, before_other, late_other)
                    product = either(times(product, found[3]), product, late)
                    product_other = either(times(product_other, found_other[3]), product_other, late_other)
                    valid = choose(late, in_bounds(reflecting, found[8], tiny), fine)
                    valid_other = choose(late_other, in_bounds(reflecting, found_other[8], tiny), fine)
                    fine = both(fine, both(valid, valid_other))
                else:
                    if row % STEADY == 0:
                        one, other = scaled(reflecting, one, factor), scaled(reflecting, other, factor)
                    one, other, found, found_other = pair(reflecting, one, other, tile, at, size, b, nz, nz_other)
                    product = times(product, found[3])
                    product_other = times(product_other, found_other[3])
                    valid = in_bounds(reflecting, found[8], tiny)
                    fine = both(fine, both(valid, in_bounds(reflecting, found_other[8], tiny)))
                if row % STEADY == STEADY - 1:
                    product, exponent = _normalised(product, exponent)
                    product_other, exponent_other = _normalised(product_other, exponent_other)
                if rest == 3:
                    put_shares(reflecting, found, scratch, line + 8 * size, size)
                    put_shares(reflecting, found_other, scratch, line + 8 * size + half, size)
            if not every(fine):
                break
        info = -1
        if every(fine):
            _put_down(one, scratch, line, size)
            _put_down(other, scratch, line + half, size)
            for lane in range(min(size, lanes.size - group * size)):
                s = lanes[group * size + lane]
                state, share0, share1 = _taken_up(scratch, line + lane, size, b, probe)
                lost = _finish(state, share0, share1, b, probe, first, last, kept, s, _loose(d), leftover, sides)
                info = lost if info < 0 else info
            stored(product, scratch, line)
            stored(product_other, scratch, line + half)
            stored(exponent, scratch, line + size)
            stored(exponent_other, scratch, line + size + half)
            if products is not None:
                for lane in range(min(size, lanes.size - group * size)):
                    s = lanes[group * size + lane]
                    products[s, 0], products[s, 1] = scratch[line + lane], scratch[line + size + lane]
        else:
            info = _one_by_one(
                reflecting, dl, d, du, b, probe, first, last, kept, lanes, group, leftover, sides, products
            )
        dependent[group] = info
