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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel, vector_kernel
from stridiag._kernels.condensation import RIGHT1
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
from stridiag._kernels.lane_leftover import finish, loose
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
from stridiag._kernels.vectors import both, choose, every, exponent_of, less, load, power_below, store

__all__ = ["plain_reduce", "put_shares", "reduce", "reduce_segment"]

Array = NDArray[Any]


NOT_TO_BE_TRUSTED = -2
"""What is said of a group with a pivot that is too small to be taken as it comes."""

# In the lanes of single precision they end at 1e-30.
_LEAST_PIVOT = 1e-280


def _set_product(product: Any, exponent: Any, products: Any, s: Any) -> None:
    products[s, 0], products[s, 1] = product, exponent


def _brought_to_one(product: Any, exponent: Any) -> Any:
    power = power_below(product)
    return product / power, exponent + exponent_of(product)


# The product of the pivots' reciprocals, with its exponent apart, where it is asked for.
_normalised = optional(lambda product, exponent: (None, None), _brought_to_one)
_keep_product = optional(lambda product, exponent, products, s: None, _set_product)
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
    lost = finish(state, share0, share1, b, probe, first, last, kept, s, loose(d), leftover, sides)
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
                lost = finish(state, share0, share1, b, probe, first, last, kept, s, loose(d), leftover, sides)
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
