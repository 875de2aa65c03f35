"""Long vectors in lanes, as `stridiag._kernels.gram_lanes` lays them out: bringing in, products with A, projections.

Products are computed in twice the precision, and may be left as a sum of two numbers: what stands in the second is
below the first's last digit. Sums of inner products run in fixed chunks, so that threads do not influence them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel, literal_inlined, literal_kernel
from stridiag._kernels.gram_lanes import LANES
from stridiag._kernels.ridge_chain import less_product
from stridiag._kernels.vectors import choose, gather, less, load, magnitude, multiply_add, scatter, store

__all__ = [
    "CHUNK",
    "add",
    "bounds",
    "bring_in",
    "combine",
    "inner_products",
    "repeat",
    "subtract",
    "subtract_product",
    "subtract_product_in_rows",
    "take_out",
]

Array = NDArray[Any]

CHUNK = 1 << 11
"""Numbers whose inner products are summed up together."""


@kernel
def bring_in(
    source: Array, shift: int, starts: Array, bases: Array, sizes: Array, first: int, last: int, more: int, x: Array
) -> None:
    """Put ``source[starts[segment] + shift + i]`` into row i of the segment's lane, and zeros behind it.

    Of groups ``first ... last - 1``; `more` rows behind the segment's end are brought in too. `source` goes on far
    enough behind its end for whole blocks of eight rows.
    """
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        rows = bases[group + 1] - base
        for row in range(0, rows, LANES):
            gather(source, starts, s, shift + row, x, LANES * (base + row), LANES)
        for lane in range(LANES):
            for row in range(sizes[s + lane] + (more if sizes[s + lane] > 0 else 0), rows):
                x[LANES * (base + row) + lane] = 0.0


@kernel
def take_out(x: Array, starts: Array, bases: Array, sizes: Array, first: int, last: int, target: Array) -> None:
    """Put the rows of the segments' lanes into ``target[starts[segment] + i]``; of groups ``first ... last - 1``."""
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        # Sizes ascend.
        whole = sizes[s] // LANES * LANES
        for row in range(0, whole, LANES):
            scatter(target, starts, s, row, x, LANES * (base + row), LANES)
        for lane in range(LANES):
            for row in range(whole, sizes[s + lane]):
                target[starts[s + lane] + row] = x[LANES * (base + row) + lane]


@inlined
def _larger(x: Any, y: Any) -> Any:
    return choose(less(x, y), y, x)


@inlined
def _smaller(x: Any, y: Any) -> Any:
    return choose(less(x, y), x, y)


@kernel
def bounds(dl: Array, d: Array, du: Array, work: Array) -> tuple[float, float, float, float, float]:
    """Return the largest sums of a row's and of a column's entries, those of their squares, and the smallest entry.

    Sizes are meant. `dl` and `du` begin with a zero; `d`, (n,), and they go on with eight zeros. `work`, (8,), is work
    space.
    """
    n = d.size - LANES
    for k in range(LANES):
        work[k] = 0.0
    row_sum = column_sum = row_square = column_square = load(work, 0)
    least = row_sum + np.inf
    for j in range(0, n, LANES):
        before, above, mid = magnitude(load(dl, j)), magnitude(load(du, j)), magnitude(load(d, j))
        after, below = magnitude(load(du, j + 1)), magnitude(load(dl, j + 1))
        row_sum = _larger(row_sum, before + mid + after)
        column_sum = _larger(column_sum, above + mid + below)
        square = mid * mid
        row_square = _larger(row_square, before * before + square + after * after)
        column_square = _larger(column_square, above * above + square + below * below)
        if j + LANES < n:
            least = _smaller(_smaller(least, mid), _smaller(after, below))
    result = (0.0, 0.0, 0.0, 0.0)
    store(work, 0, row_sum)
    a = np.max(work)
    store(work, 0, column_sum)
    b = np.max(work)
    store(work, 0, row_square)
    c = np.max(work)
    store(work, 0, column_square)
    result = (a, b, c, np.max(work))
    store(work, 0, least)
    smallest = np.min(work)
    for j in range(max((n - 1) // LANES * LANES, 0), n):
        smallest = min(smallest, abs(d[j]))
        if j < n - 1:
            smallest = min(smallest, min(abs(dl[j + 1]), abs(du[j + 1])))
    return result[0], result[1], result[2], result[3], smallest


@literal_inlined
def _sum(b: Any, low: Any, mid: Any, up: Any, before: Any, here: Any, after: Any) -> Any:
    high, error = less_product(b, b - b, low, before)
    high, error = less_product(high, error, mid, here)
    high, error = less_product(high, error, up, after)
    return high, error


@literal_kernel
def subtract_product(
    dl: Array,
    d: Array,
    du: Array,
    bases: Array,
    first: int,
    last: int,
    transposed: bool,
    b: Array,
    x: Array,
    x_low: Array,
    high: Array,
    low: Array,
) -> None:
    """Put b - op(A) x into ``high + low``, for x given as ``x + x_low``, in the lanes of groups ``first ... last - 1``.

    An empty `b` or `x_low` stands for zeros, an empty `low` says that it is not wanted. Rows next to kept columns, and
    those behind a segment, are not right: `subtract_product_in_rows` is to follow.
    """
    for group in range(first, last):
        begin = LANES * bases[group]
        end = LANES * bases[group + 1]
        nothing = load(x, begin) - load(x, begin)
        for at in range(begin, end, LANES):
            right = load(b, at) if b.size > 0 else nothing
            before = load(x, at - LANES) if at > begin else nothing
            after = load(x, at + LANES) if at + LANES < end else nothing
            if transposed:
                left = load(du, at - LANES) if at > begin else nothing
                beyond = load(dl, at + LANES) if at + LANES < end else nothing
            else:
                left = load(dl, at)
                beyond = load(du, at)
            mid = load(d, at)
            total, error = _sum(right, left, mid, beyond, before, load(x, at), after)
            if x_low.size > 0:
                error = error - mid * load(x_low, at)
                if at > begin:
                    error = error - left * load(x_low, at - LANES)
                if at + LANES < end:
                    error = error - beyond * load(x_low, at + LANES)
            result = total + error
            store(high, at, result)
            if low.size > 0:
                store(low, at, error - (result - total))


@literal_kernel
def subtract_product_in_rows(
    places: Array,
    begins: Array,
    columns: Array,
    values: Array,
    b: Array,
    x: Array,
    x_low: Array,
    high: Array,
    low: Array,
) -> None:
    """Do `subtract_product` in the rows that stand at `places`: row i has entries ``begins[i] ... begins[i + 1] - 1``.

    `columns` holds where the entries' columns stand.
    """
    for i in range(places.size):
        at = places[i]
        total = b[at] if b.size > 0 else 0.0
        error = 0.0
        for k in range(begins[i], begins[i + 1]):
            total, error = less_product(total, error, values[k], x[columns[k]])
            if x_low.size > 0:
                error = error - values[k] * x_low[columns[k]]
        result = total + error
        high[at] = result
        if low.size > 0:
            low[at] = error - (result - total)


@kernel
def inner_products(basis: Array, xs: Array, first: int, last: int, work: Array, result: Array) -> None:
    """Put the inner products of the rows of `basis`, (k, m), with those of `xs`, (l, m), into `result`, (chunks, l, k).

    Of chunks ``first ... last - 1``; m is a multiple of 8, `work`, (8,), work space.
    """
    m = xs.shape[1]
    for chunk in range(first, last):
        begin = CHUNK * chunk
        end = min(begin + CHUNK, m)
        for i in range(xs.shape[0]):
            for t in range(basis.shape[0]):
                for k in range(LANES):
                    work[k] = 0.0
                zero = load(work, 0)
                s0, s1, s2, s3 = zero, zero, zero, zero
                one, other = t * m, i * m
                at = begin
                while at + 4 * LANES <= end:
                    s0 = multiply_add(load(basis, one + at), load(xs, other + at), s0)
                    s1 = multiply_add(load(basis, one + at + LANES), load(xs, other + at + LANES), s1)
                    s2 = multiply_add(load(basis, one + at + 2 * LANES), load(xs, other + at + 2 * LANES), s2)
                    s3 = multiply_add(load(basis, one + at + 3 * LANES), load(xs, other + at + 3 * LANES), s3)
                    at += 4 * LANES
                while at < end:
                    s0 = multiply_add(load(basis, one + at), load(xs, other + at), s0)
                    at += LANES
                store(work, 0, (s0 + s1) + (s2 + s3))
                total = 0.0
                for k in range(LANES):
                    total += work[k]
                result[chunk, i, t] = total


@kernel
def subtract(basis: Array, factors: Array, xs: Array, first: int, last: int) -> None:
    """Subtract `factors`, (l, k), times `basis`, (k, m), from `xs`, (l, m), in chunks ``first ... last - 1``."""
    m = xs.shape[1]
    for chunk in range(first, last):
        begin = CHUNK * chunk
        end = min(begin + CHUNK, m)
        for i in range(xs.shape[0]):
            for at in range(begin, end, LANES):
                value = load(xs, i * m + at)
                for t in range(basis.shape[0]):
                    value = load(basis, t * m + at) * (-factors[i, t]) + value
                store(xs, i * m + at, value)


@kernel
def combine(factors: Array, basis: Array, first: int, last: int) -> None:
    """Multiply `basis`, (k, m), by the lower triangle of `factors`, (k, k), in chunks ``first ... last - 1``."""
    m = basis.shape[1]
    for chunk in range(first, last):
        begin = CHUNK * chunk
        end = min(begin + CHUNK, m)
        for t in range(basis.shape[0] - 1, -1, -1):
            for at in range(begin, end, LANES):
                value = load(basis, t * m + at) * factors[t, t]
                for i in range(t):
                    value = load(basis, i * m + at) * factors[t, i] + value
                store(basis, t * m + at, value)


@kernel
def repeat(numbers: Array, bases: Array, sizes: Array, first: int, last: int, x: Array) -> None:
    """Put the same numbers, a multiple of 8, again and again into groups ``first ... last - 1``, zeros behind."""
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        place = 0
        for at in range(LANES * base, LANES * bases[group + 1], LANES):
            store(x, at, load(numbers, place))
            place += LANES
            if place == numbers.size:
                place = 0
        for lane in range(LANES):
            for row in range(sizes[s + lane], bases[group + 1] - base):
                x[LANES * (base + row) + lane] = 0.0


@kernel
def add(correction: Array, x: Array, work: Array) -> tuple[float, float]:
    """Subtract the correction from `x`, both (m,); return the largest number of each, m being a multiple of 8.

    NaN comes out as NaN.
    """
    for k in range(LANES):
        work[k] = 0.0
    largest = other = sums = load(work, 0)
    for at in range(0, x.size, LANES):
        change = load(correction, at)
        value = load(x, at) - change
        store(x, at, value)
        largest = _larger(largest, magnitude(change))
        other = _larger(other, magnitude(value))
        sums = sums + value * 0.0
    store(work, 0, sums)
    wrong = np.sum(work)
    store(work, 0, largest)
    first = np.max(work) + wrong
    store(work, 0, other)
    return first, np.max(work) + wrong
