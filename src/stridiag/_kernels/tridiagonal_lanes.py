r"""Tridiagonal LU of many matrices at once, one in each lane of two vectors, recomputed rather than stored.

The algorithm is that of `stridiag._kernels.tridiagonal_lu`, operation by operation; rows are exchanged by selects.
A group of matrices, two vectors of them, is transposed in registers from the values as they lie in memory into a
`tile` that stays in the second cache, factored there, and solved with; only the solutions leave. So a solve reads
values and right-hand side once, and writes the solution once; factors that are stored would be read from memory too,
and are longer than the values.

One pass serves up to two right-hand sides: `b`, with the matrices, and `probe`, the same for all of them, with the
adjoint matrices, of whose solutions the largest magnitude is kept: what tells how large the condition numbers may be.
They share the pivots, and nearly all of the memory traffic.

Chains of stride g > 1 stay where they are: rows i and i + g are neighbours.

Storage: ``values``, (members, nnz), with the entries (i + g, i), (i, i) and (i, i + g) of a member from its slots
``slots[0]``, ``slots[1]`` and ``slots[2]`` on, in the order of i; -1 stands for a diagonal that is not stored. Where
slots do not lie like that, or the order less g is less than a vector, ``slots[1]`` is -2, and ``source``, (3, n), which
names the slot of each entry, is gone by; so it is for the last group, if it is not full.
Right-hand sides and solutions are (members, n). The tile holds for each row seven pairs of vectors: multiplier, pivot,
two super-diagonals of U, right-hand side, probe, whether rows were exchanged.

``reached``, (members,), counts the steps up to the first pivot that is zero, or is no number: n if there is none.
What comes out for a member with another count means nothing; no member sees another's numbers.

Reference: that of `stridiag._kernels.tridiagonal_lu`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.vectors import both, choose, gather, less, load, magnitude, prefetch, scatter, splat, store

__all__ = ["ROW", "determinant_groups", "solve_groups"]

Array = NDArray[Any]

ROW = 7
"""Pairs of vectors of a row of the tile."""
LOWER, PIVOT, UPPER, UPPER2, RIGHT, PROBE, SWAPPED = range(ROW)


@inlined
def _eliminate(this0: Any, this1: Any, next0: Any, next1: Any, next2: Any) -> tuple[Any, Any, Any, Any, Any, Any, Any]:
    """Return whether rows are exchanged, the pivot row, the multiplier, and what remains of the other row."""
    exchange = less(magnitude(this0), magnitude(next0))
    pivot0, other0 = choose(exchange, next0, this0), choose(exchange, this0, next0)
    pivot1, other1 = choose(exchange, next1, this1), choose(exchange, this1, next1)
    pivot2, other2 = choose(exchange, next2, 0.0), choose(exchange, 0.0, next2)
    multiplier = other0 / pivot0
    return exchange, pivot0, pivot1, pivot2, multiplier, other1 - multiplier * pivot1, other2 - multiplier * pivot2


@inlined
def _sound(pivot: Any) -> Any:
    """Return whether a pivot is neither zero nor infinite nor NaN."""
    size = magnitude(pivot)
    return both(less(0.0, size), less(size, np.inf))


@inlined
def _larger(size: Any, x: Any) -> Any:
    """Return the larger of a size and the magnitude of a number, unless that is NaN."""
    other = magnitude(x)
    return choose(less(size, other), other, size)


@inlined
def _between(x: Any, low: float, high: float) -> Any:
    """Return whether a magnitude lies between two others."""
    size = magnitude(x)
    return both(less(low, size), less(size, high))


@inlined
def _in_range(product: Any, units: Any, low: float, high: float, unit: float) -> tuple[Any, Any]:
    """Bring a product back between `low` and `high`, by one unit at most."""
    size = magnitude(product)
    large, small = less(high, size), less(size, low)
    nothing = units * 0.0
    shift = choose(large, nothing + 1.0 / unit, choose(small, nothing + unit, 1.0))
    return product * shift, units + choose(large, nothing + 1.0, choose(small, nothing - 1.0, 0.0))


@inlined
def _bring_matrices(
    values: Any, value_starts: Any, source: Any, slots: Any, stride: int, group: int, count: int, tile: Any, lanes: int
) -> None:
    """Fill the tile with a group of matrices; lanes that are left over hold identities."""
    n, pair = source.shape[1], 2 * lanes
    line = ROW * pair
    if count < pair or slots[1] == -2:
        for i in range(n):
            for kind in range(3):
                slot = source[kind, i]
                for lane in range(pair):
                    entry = 1.0 if kind == PIVOT else 0.0
                    if lane < count:
                        entry = values[group + lane, slot] if slot >= 0 else 0.0
                    tile[i * line + kind * pair + lane] = entry
        return
    for kind in range(3):
        rows = n if kind == PIVOT else n - stride
        row = 0
        while row < rows and slots[kind] >= 0:
            # The last block overlaps the one before.
            row = min(row, rows - lanes)
            place = row * line + kind * pair
            gather(values, value_starts, group, slots[kind] + row, tile, place, line)
            gather(values, value_starts, group + lanes, slots[kind] + row, tile, place + lanes, line)
            row += lanes
        for i in range(0 if slots[kind] < 0 else rows, n):
            for lane in range(pair):
                tile[i * line + kind * pair + lane] = 0.0


@kernel
def solve_groups(
    values: Array,
    value_starts: Array,
    source: Array,
    slots: Array,
    stride: int,
    b: Array | None,
    b_starts: Array,
    x: Array | None,
    c: Array | None,
    z: Array | None,
    growth: Array | None,
    sizes: Array | None,
    row_starts: Array,
    reached: Array,
    tile: Array,
    lanes: int,
    first: int,
    last: int,
) -> None:
    """Factor, and solve, for the groups first ... last - 1, of two vectors of members each; fill `reached`.

    `x` gets the solutions for `b`, (members, n); `z` those for `c` with the adjoints. With `growth`, (members,), `c`,
    (1, n), serves all members, and growth gets the largest magnitude of each solution instead; `sizes`, (members,),
    that of each member's entries. What is None is left out. Members begin in `values`, in `b`, and in `c`, `x` and `z`,
    all seen flat, where `value_starts`, `b_starts` and `row_starts` say, each (members,). `tile`:
    ``2 * lanes * ROW * n`` numbers, at an address that is a multiple of 64; `lanes` is the number of those in a vector.
    """
    members, n = reached.size, source.shape[1]
    pair = 2 * lanes
    line = ROW * pair
    step = stride * line
    cache_lines = -(-2 * values.shape[1] // n)
    # What stands in the tile at first may be NaN.
    tile[0] = 0.0
    nothing = splat(tile, 0)
    one = nothing + 1.0
    for number in range(first, last):
        group = number * pair
        count = min(pair, members - group)
        regular = count == pair and slots[1] > -2
        _bring_matrices(values, value_starts, source, slots, stride, group, count, tile, lanes)
        if b is not None:
            row = 0
            while row < n and regular:
                row = min(row, n - lanes)
                place = row * line + RIGHT * pair
                gather(b, b_starts, group, row, tile, place, line)
                gather(b, b_starts, group + lanes, row, tile, place + lanes, line)
                row += lanes
            if not regular:
                flat = b.reshape(b.size)
                for lane in range(pair):
                    for i in range(n):
                        entry = flat[b_starts[group + lane] + i] if lane < count else 0.0
                        tile[i * line + RIGHT * pair + lane] = entry
        if c is not None and growth is not None:
            for i in range(n):
                store(tile, i * line + PROBE * pair, splat(c, i))
                store(tile, i * line + PROBE * pair + lanes, splat(c, i))
        elif c is not None:
            row = 0
            while row < n and regular:
                row = min(row, n - lanes)
                place = row * line + PROBE * pair
                gather(c, row_starts, group, row, tile, place, line)
                gather(c, row_starts, group + lanes, row, tile, place + lanes, line)
                row += lanes
            if not regular:
                for lane in range(pair):
                    for i in range(n):
                        tile[i * line + PROBE * pair + lane] = c[group + lane, i] if lane < count else 0.0

        alive_a, alive_b = less(nothing, one), less(nothing, one)
        steps_a, steps_b = nothing, nothing
        largest_a, largest_b = nothing, nothing
        size_a, size_b = nothing, nothing
        trace_a, trace_b = nothing, nothing
        # The next group's numbers are asked for row by row, since no processor follows as many streams as members.
        following = min(group + pair, members - 1)
        ahead, ahead_of_b = value_starts[following], b_starts[following]
        for chain in range(stride):
            length = (n - chain + stride - 1) // stride
            at = chain * line
            # What is carried from row to row: of the matrix, of the right-hand side, of the adjoint system.
            this_a, next_a = load(tile, at + PIVOT * pair), load(tile, at + UPPER * pair)
            this_b, next_b = load(tile, at + PIVOT * pair + lanes), load(tile, at + UPPER * pair + lanes)
            if sizes is not None:
                size_a, size_b = _larger(size_a, this_a), _larger(size_b, this_b)
                size_a, size_b = _larger(size_a, next_a), _larger(size_b, next_b)
            y_a, y_b = nothing, nothing
            if b is not None:
                y_a, y_b = load(tile, at + RIGHT * pair), load(tile, at + RIGHT * pair + lanes)
            t1_a, t2_a, u1_a, w1_a, w2_a = nothing, nothing, nothing, nothing, nothing
            t1_b, t2_b, u1_b, w1_b, w2_b = nothing, nothing, nothing, nothing, nothing
            for k in range(length):
                for line_of_cache in range(cache_lines):
                    prefetch(values, ahead + line_of_cache * lanes)
                ahead += cache_lines * lanes
                if b is not None:
                    prefetch(b, ahead_of_b)
                    prefetch(b, ahead_of_b + lanes)
                    ahead_of_b += pair
                pivot_a, upper_a, upper2_a = this_a, next_a, nothing
                pivot_b, upper_b, upper2_b = this_b, next_b, nothing
                if k < length - 1:
                    to = at + step
                    entry_a, main_a, over_a = (
                        load(tile, at),
                        load(tile, to + PIVOT * pair),
                        load(tile, to + UPPER * pair),
                    )
                    entry_b, main_b, over_b = (
                        load(tile, at + lanes),
                        load(tile, to + PIVOT * pair + lanes),
                        load(tile, to + UPPER * pair + lanes),
                    )
                    if sizes is not None:
                        size_a, size_b = _larger(size_a, entry_a), _larger(size_b, entry_b)
                        size_a, size_b = _larger(size_a, main_a), _larger(size_b, main_b)
                        size_a, size_b = _larger(size_a, over_a), _larger(size_b, over_b)
                    exchange_a, pivot_a, upper_a, upper2_a, multiplier_a, this_a, next_a = _eliminate(
                        this_a, next_a, entry_a, main_a, over_a
                    )
                    exchange_b, pivot_b, upper_b, upper2_b, multiplier_b, this_b, next_b = _eliminate(
                        this_b, next_b, entry_b, main_b, over_b
                    )
                    if b is not None:
                        low_a, low_b = load(tile, to + RIGHT * pair), load(tile, to + RIGHT * pair + lanes)
                        top_a, top_b = choose(exchange_a, low_a, y_a), choose(exchange_b, low_b, y_b)
                        store(tile, at + RIGHT * pair, top_a)
                        store(tile, at + RIGHT * pair + lanes, top_b)
                        y_a = choose(exchange_a, y_a, low_a) - multiplier_a * top_a
                        y_b = choose(exchange_b, y_b, low_b) - multiplier_b * top_b
                    if c is not None:
                        store(tile, at, multiplier_a)
                        store(tile, at + lanes, multiplier_b)
                        store(tile, at + SWAPPED * pair, choose(exchange_a, one, 0.0))
                        store(tile, at + SWAPPED * pair + lanes, choose(exchange_b, one, 0.0))
                elif b is not None:
                    store(tile, at + RIGHT * pair, y_a)
                    store(tile, at + RIGHT * pair + lanes, y_b)
                alive_a, alive_b = both(alive_a, _sound(pivot_a)), both(alive_b, _sound(pivot_b))
                steps_a, steps_b = steps_a + choose(alive_a, one, 0.0), steps_b + choose(alive_b, one, 0.0)
                if b is not None:
                    store(tile, at + PIVOT * pair, pivot_a)
                    store(tile, at + PIVOT * pair + lanes, pivot_b)
                    store(tile, at + UPPER * pair, upper_a)
                    store(tile, at + UPPER * pair + lanes, upper_b)
                    store(tile, at + UPPER2 * pair, upper2_a)
                    store(tile, at + UPPER2 * pair + lanes, upper2_b)
                if c is not None:
                    t_a = (load(tile, at + PROBE * pair) - u1_a * t1_a - w2_a * t2_a) / pivot_a
                    t_b = (load(tile, at + PROBE * pair + lanes) - u1_b * t1_b - w2_b * t2_b) / pivot_b
                    store(tile, at + PROBE * pair, t_a)
                    store(tile, at + PROBE * pair + lanes, t_b)
                    t2_a, t1_a, w2_a, w1_a, u1_a = t1_a, t_a, w1_a, upper2_a, upper_a
                    t2_b, t1_b, w2_b, w1_b, u1_b = t1_b, t_b, w1_b, upper2_b, upper_b
                at += step
            x1_a, x2_a, x1_b, x2_b = nothing, nothing, nothing, nothing
            for k in range(length):
                at -= step
                if b is not None:
                    x_a = load(tile, at + RIGHT * pair)
                    x_b = load(tile, at + RIGHT * pair + lanes)
                    x_a = x_a - load(tile, at + UPPER * pair) * x1_a - load(tile, at + UPPER2 * pair) * x2_a
                    x_b = x_b - load(tile, at + UPPER * pair + lanes) * x1_b
                    x_b = x_b - load(tile, at + UPPER2 * pair + lanes) * x2_b
                    x_a, x_b = x_a / load(tile, at + PIVOT * pair), x_b / load(tile, at + PIVOT * pair + lanes)
                    store(tile, at + RIGHT * pair, x_a)
                    store(tile, at + RIGHT * pair + lanes, x_b)
                    x2_a, x1_a, x2_b, x1_b = x1_a, x_a, x1_b, x_b
                if c is not None and k > 0:
                    high_a = load(tile, at + PROBE * pair) - load(tile, at) * t1_a
                    high_b = load(tile, at + PROBE * pair + lanes) - load(tile, at + lanes) * t1_b
                    swapped_a = less(nothing, load(tile, at + SWAPPED * pair))
                    swapped_b = less(nothing, load(tile, at + SWAPPED * pair + lanes))
                    low_a, low_b = choose(swapped_a, high_a, t1_a), choose(swapped_b, high_b, t1_b)
                    t1_a, t1_b = choose(swapped_a, t1_a, high_a), choose(swapped_b, t1_b, high_b)
                    if growth is None:
                        store(tile, at + step + PROBE * pair, low_a)
                        store(tile, at + step + PROBE * pair + lanes, low_b)
                    else:
                        largest_a, largest_b = _larger(largest_a, low_a), _larger(largest_b, low_b)
                        # A comparison passes over NaN; the product with zero keeps it.
                        trace_a, trace_b = trace_a + low_a * 0.0, trace_b + low_b * 0.0
            if c is not None:
                if growth is None:
                    store(tile, at + PROBE * pair, t1_a)
                    store(tile, at + PROBE * pair + lanes, t1_b)
                else:
                    largest_a, largest_b = _larger(largest_a, t1_a), _larger(largest_b, t1_b)
                    trace_a, trace_b = trace_a + t1_a * 0.0, trace_b + t1_b * 0.0

        if x is not None:
            row = 0
            while row < n and regular:
                row = min(row, n - lanes)
                place = row * line + RIGHT * pair
                scatter(x, row_starts, group, row, tile, place, line)
                scatter(x, row_starts, group + lanes, row, tile, place + lanes, line)
                row += lanes
            if not regular:
                for lane in range(count):
                    for i in range(n):
                        x[group + lane, i] = tile[i * line + RIGHT * pair + lane]
        if z is not None:
            row = 0
            while row < n and regular:
                row = min(row, n - lanes)
                place = row * line + PROBE * pair
                scatter(z, row_starts, group, row, tile, place, line)
                scatter(z, row_starts, group + lanes, row, tile, place + lanes, line)
                row += lanes
            if not regular:
                for lane in range(count):
                    for i in range(n):
                        z[group + lane, i] = tile[i * line + PROBE * pair + lane]
        # The tile has been emptied.
        store(tile, 0, steps_a)
        store(tile, lanes, steps_b)
        for lane in range(count):
            reached[group + lane] = int(tile[lane])
        if growth is not None:
            store(tile, 0, largest_a + trace_a)
            store(tile, lanes, largest_b + trace_b)
            for lane in range(count):
                growth[group + lane] = tile[lane]
        if sizes is not None:
            store(tile, 0, size_a)
            store(tile, lanes, size_b)
            for lane in range(count):
                sizes[group + lane] = tile[lane]


@kernel
def determinant_groups(
    values: Array,
    value_starts: Array,
    source: Array,
    slots: Array,
    stride: int,
    unit: float,
    products: Array,
    units: Array,
    ordinary: Array,
    tile: Array,
    lanes: int,
    first: int,
    last: int,
) -> None:
    """Fill in determinants, ``products * unit ** units``, for the groups first ... last - 1; each array (members,).

    `unit`: a power of four of which the square root and the cube are numbers of the type. A product stays within the
    square root, and so is exact but for one rounding a row; `ordinary` says whether no pivot of the member lies beyond
    the unit or its reciprocal. If not, the other numbers mean nothing. For the other arguments see `solve_groups`.
    """
    members, n = products.size, source.shape[1]
    pair = 2 * lanes
    line = ROW * pair
    step = stride * line
    # What stands in the tile at first may be NaN.
    tile[0] = 0.0
    nothing = splat(tile, 0)
    one = nothing + 1.0
    high, low = math.sqrt(unit), 1.0 / math.sqrt(unit)
    for number in range(first, last):
        group = number * pair
        count = min(pair, members - group)
        _bring_matrices(values, value_starts, source, slots, stride, group, count, tile, lanes)
        good_a, good_b = less(nothing, one), less(nothing, one)
        product_a, product_b, units_a, units_b = one, one, nothing, nothing
        for chain in range(stride):
            length = (n - chain + stride - 1) // stride
            at = chain * line
            this_a, next_a = load(tile, at + PIVOT * pair), load(tile, at + UPPER * pair)
            this_b, next_b = load(tile, at + PIVOT * pair + lanes), load(tile, at + UPPER * pair + lanes)
            for k in range(length):
                factor_a, factor_b = this_a, this_b
                if k < length - 1:
                    to = at + step
                    exchange_a, pivot_a, _, _, _, this_a, next_a = _eliminate(
                        this_a,
                        next_a,
                        load(tile, at),
                        load(tile, to + PIVOT * pair),
                        load(tile, to + UPPER * pair),
                    )
                    exchange_b, pivot_b, _, _, _, this_b, next_b = _eliminate(
                        this_b,
                        next_b,
                        load(tile, at + lanes),
                        load(tile, to + PIVOT * pair + lanes),
                        load(tile, to + UPPER * pair + lanes),
                    )
                    factor_a, factor_b = choose(exchange_a, -pivot_a, pivot_a), choose(exchange_b, -pivot_b, pivot_b)
                good_a = both(good_a, _between(factor_a, 1.0 / unit, unit))
                good_b = both(good_b, _between(factor_b, 1.0 / unit, unit))
                product_a, units_a = _in_range(product_a * factor_a, units_a, low, high, unit)
                product_b, units_b = _in_range(product_b * factor_b, units_b, low, high, unit)
                at = at + step
        store(tile, 0, product_a)
        store(tile, lanes, product_b)
        store(tile, pair, units_a)
        store(tile, pair + lanes, units_b)
        store(tile, 2 * pair, choose(good_a, one, 0.0))
        store(tile, 2 * pair + lanes, choose(good_b, one, 0.0))
        for lane in range(count):
            products[group + lane] = tile[lane]
            units[group + lane] = tile[pair + lane]
            ordinary[group + lane] = tile[2 * pair + lane] > 0.0
