r"""QR of a chain and a multiple of the identity below it, a segment of the columns in each lane: R, and solves.

As `stridiag._kernels.ridge_condensation`, with two differences. A vector holds the same column of eight segments, and
R comes alone, as :math:`R^T R = U^T D U` with ones on U's diagonal: rows carry weights, and a rotation of two rows

.. math:: \sqrt{p}\,(1, x), \quad \sqrt{q}\,(c, y) \quad\to\quad
    \sqrt{s}\,\bigl(1, (p x + q c y) / s\bigr), \quad \sqrt{p q / s}\,(0, y - c x), \qquad s = p + q c^2

takes a quotient and no square root. Before column j there are two rows, of weight p in the columns j, j + 1 and on the
left, and of weight q in column j + 1 and on the left, and a triangle of order two on the left (g, h).

**Layout.** `sizes` holds how many columns the segments have, ascending in every group of eight; lane k of row
``bases[group] + i`` of a vector is column i of segment ``8 * group + k``. Behind a segment's columns there is at least
one row more, in which the matrix goes on and vectors are zero. Kept columns follow behind all groups.

**Safety.** Entries to the right that vanish are taken as 1e-40, of a matrix whose largest entry is about one, so that
no weight is zero: far below rounding errors. tau^2 is not to underflow.

**Cost.** A column and ridge: five quotients and about 50 other operations; a solve with U' or U 9. R takes 40 bytes.

Reference: W. M. Gentleman, Least squares computations by Givens transformations without square roots, J. Inst. Math.
Appl. 12 (1973) 329-336.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import compiled_form, inlined, kernel
from stridiag._kernels.vectors import (
    choose,
    exponent_of,
    less,
    load,
    magnitude,
    power_below,
    prefetch,
    splat,
    store,
)

__all__ = ["FIELDS", "LANES", "STATE", "factor", "solve", "solve_transposed"]

Array = NDArray[Any]

LANES = 8
"""Segments of a group."""
STATE = 13
"""What is left of a segment: p, b, w, w', q, c, v, v', g, g', h, the product of D and its power of two."""
FIELDS = 5
"""Numbers kept of a column: the inverse of D, and U's entries: two on the right, two on the left."""

_LEAST = 1e-40
# Rows between two looks at the range of the product of D.
_RUN = 8
# Bytes of R are asked for so many rows ahead.
_AHEAD = 12


@inlined
def _step(state: Any, ridge: Any, low: Any, mid: Any, up: Any) -> Any:
    """Clear a column: return D and U's row, and the next state without the product of D."""
    p, b, w1, w2, q, c, v1, v2, g, g2, h = state
    # The first row with the ridge's; that becomes (b, w) in the next column, of weight y.
    p1 = p + ridge
    k = p / p1
    y = ridge * k
    kb, kw1, kw2 = k * b, k * w1, k * w2
    # The second row with that; (l, l') of weight z is left.
    qc, yb = q * c, y * b
    q1 = qc * c + yb * b
    back = 1.0 / q1
    qc, yb = qc * back, yb * back
    o1, o2 = qc * v1 + yb * w1, qc * v2 + yb * w2
    l1, l2 = c * w1 - b * v1, c * w2 - b * v2
    z = q * y * back
    # Into the triangle.
    zl = z * l1
    g1 = g + zl * l1
    some = less(0.0, g1)
    back = 1.0 / choose(some, g1, g1 + 1.0)
    share = choose(some, g * back, g + 1.0)
    rest = l2 - l1 * g2
    new_g2 = share * g2 + zl * back * l2
    new_h = h + z * share * rest * rest
    # The first with the next row of the matrix: a row of U is done.
    pivot = p1 + low * low
    back = 1.0 / pivot
    c3, s3 = p1 * back, low * back
    row = (back, c3 * kb + s3 * mid, s3 * up, c3 * kw1, c3 * kw2)
    # What is left of that with the second.
    left = mid - low * kb
    x1, x2 = low * kw1, low * kw2
    weighted = c3 * left
    new_p = q1 + weighted * left
    back = 1.0 / new_p
    c4, s4 = q1 * back, weighted * back
    following = (
        new_p, s4 * up, c4 * o1 - s4 * x1, c4 * o2 - s4 * x2,
        c3 * c4, up, -x1 - left * o1, -x2 - left * o2,
        g1, new_g2, new_h,
    )  # fmt: skip
    return pivot, row, following


@inlined
def _taken(product: Any, exponent: Any) -> Any:
    """Take the power of two out of a product."""
    return product / power_below(product), exponent + exponent_of(product)


@inlined
def _keep(state: Any, product: Any, exponent: Any, lane: int, work: Array, target: Array) -> None:
    """Write a lane's state."""
    p, b, w1, w2, q, c, v1, v2, g, g2, h = state
    for k, vector in enumerate((p, b, w1, w2, q, c, v1, v2, g, g2, h, product, exponent)):
        store(work, 0, vector)
        target[k] = work[lane]


@kernel
def factor(
    dl: Array,
    d: Array,
    du: Array,
    bases: Array,
    sizes: Array,
    first: int,
    last: int,
    begins: Array,
    ridges: Array,
    work: Array,
    r: Array,
    left_over: Array,
) -> None:
    """Eliminate the columns of groups ``first ... last - 1`` with two ridges; keep R of the first one.

    Parameters
    ----------
    dl, d, du : ndarray, (rows * 8,)
        Entries of a row left of the diagonal, on it and right of it, in lanes.
    bases, sizes : ndarray of int64, (groups,) and (groups * 8,)
    begins : ndarray, (8, groups * 8)
        p, b, w, w', q, c, v, v' before the first column.
    ridges : ndarray, (2,)
        Squares of the two.
    work : ndarray, (8,)
        Ones, as work space.
    r : ndarray, (rows * 40,)
    left_over : ndarray, (2, groups * 8, 13)
    """
    segments = sizes.size
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        for k in range(LANES):
            work[k] = 1.0
        unit = load(work, 0)
        zero = unit - unit
        one = (
            load(begins, s), load(begins, segments + s), load(begins, 2 * segments + s),
            load(begins, 3 * segments + s), load(begins, 4 * segments + s), load(begins, 5 * segments + s),
            load(begins, 6 * segments + s), load(begins, 7 * segments + s), zero, zero, zero,
        )  # fmt: skip
        two = one
        product = second_product = unit
        exponent = second_exponent = zero
        ridge, second = splat(ridges, 0), splat(ridges, 1)
        row = 0
        for lane in range(LANES):
            for j in range(row, sizes[s + lane]):
                at = LANES * (base + j + 1)
                low, mid, up = load(dl, at), load(d, at), load(du, at)
                up = choose(less(magnitude(up), _LEAST), zero + _LEAST, up)
                pivot, entries, one = _step(one, ridge, low, mid, up)
                place = FIELDS * LANES * (base + j)
                store(r, place, entries[0])
                store(r, place + LANES, entries[1])
                store(r, place + 2 * LANES, entries[2])
                store(r, place + 3 * LANES, entries[3])
                store(r, place + 4 * LANES, entries[4])
                product = product * pivot
                pivot, entries, two = _step(two, second, low, mid, up)
                second_product = second_product * pivot
                if j % _RUN == _RUN - 1:
                    product, exponent = _taken(product, exponent)
                    second_product, second_exponent = _taken(second_product, second_exponent)
            row = sizes[s + lane]
            _keep(one, product, exponent, lane, work, left_over[0, s + lane])
            _keep(two, second_product, second_exponent, lane, work, left_over[1, s + lane])


# ------------------------------------------------------------------- one vector or several at a time


def _fetched(xs: Any, at: Any) -> Any:
    return tuple(load(x, at) for x in xs)


@compiled_form(_fetched)
def _compiled_fetched(xs: Any, at: Any) -> Any:
    if len(xs) == 1:
        return lambda xs, at: (load(xs[0], at),)
    return lambda xs, at: (load(xs[0], at), *_fetched(xs[1:], at))


def _stored(xs: Any, at: Any, values: Any) -> None:
    for x, value in zip(xs, values, strict=True):
        store(x, at, value)


@compiled_form(_stored)
def _compiled_stored(xs: Any, at: Any, values: Any) -> Any:
    def one(xs: Any, at: Any, values: Any) -> None:
        store(xs[0], at, values[0])

    def several(xs: Any, at: Any, values: Any) -> None:
        store(xs[0], at, values[0])
        _stored(xs[1:], at, values[1:])

    return one if len(xs) == 1 else several


def _times(row: Any, factor: Any) -> Any:
    return tuple(value * factor for value in row)


@compiled_form(_times)
def _compiled_times(row: Any, factor: Any) -> Any:
    if len(row) == 1:
        return lambda row, factor: (row[0] * factor,)
    return lambda row, factor: (row[0] * factor, *_times(row[1:], factor))


def _plus(row: Any, factor: Any, other: Any) -> Any:
    return tuple(value + factor * more for value, more in zip(row, other, strict=True))


@compiled_form(_plus)
def _compiled_plus(row: Any, factor: Any, other: Any) -> Any:
    if len(row) == 1:
        return lambda row, factor, other: (row[0] + factor * other[0],)
    return lambda row, factor, other: (row[0] + factor * other[0], *_plus(row[1:], factor, other[1:]))


def _moved_out(row: Any, lane: int, work: Array, target: Array, at: int) -> Any:
    """Write a lane's numbers, and return the row with zeros in their place."""
    return row


@compiled_form(_moved_out)
def _compiled_moved_out(row: Any, lane: Any, work: Any, target: Any, at: Any) -> Any:
    def one(row: Any, lane: Any, work: Any, target: Any, at: Any) -> Any:
        store(work, 0, row[0])
        target[at] = work[lane]
        work[lane] = 0.0
        return (load(work, 0),)

    def several(row: Any, lane: Any, work: Any, target: Any, at: Any) -> Any:
        store(work, 0, row[0])
        target[at] = work[lane]
        work[lane] = 0.0
        return (load(work, 0), *_moved_out(row[1:], lane, work, target, at + 1))

    return one if len(row) == 1 else several


def _moved_in(row: Any, lane: int, work: Array, source: Array, at: int) -> Any:
    """Return the row with other numbers in a lane."""
    return row


@compiled_form(_moved_in)
def _compiled_moved_in(row: Any, lane: Any, work: Any, source: Any, at: Any) -> Any:
    def one(row: Any, lane: Any, work: Any, source: Any, at: Any) -> Any:
        store(work, 0, row[0])
        work[lane] = source[at]
        return (load(work, 0),)

    def several(row: Any, lane: Any, work: Any, source: Any, at: Any) -> Any:
        store(work, 0, row[0])
        work[lane] = source[at]
        return (load(work, 0), *_moved_in(row[1:], lane, work, source, at + 1))

    return one if len(row) == 1 else several


@kernel
def solve_transposed(
    r: Array, bases: Array, sizes: Array, first: int, last: int, xs: Any, work: Array, left_over: Array
) -> None:
    """Replace vectors, a tuple of them, by the inverse of D times that of U' times them, in the segments' columns.

    `left_over`, (groups * 8, 4, vectors), takes what is to be subtracted from the rows of the kept columns: the two
    behind each segment, and the two before it. `work`, (8,), is work space.
    """
    width = left_over.shape[2]
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        for k in range(LANES):
            work[k] = 0.0
        zero = load(work, 0)
        nothing = _times(_fetched(xs, LANES * base), 0.0)
        one = two = far = near = nothing
        row = 0
        for lane in range(LANES):
            for j in range(row, sizes[s + lane]):
                at = LANES * (base + j)
                place = FIELDS * at
                for k in range(FIELDS):
                    prefetch(r, place + LANES * (FIELDS * _AHEAD + k))
                value = _plus(_fetched(xs, at), zero - 1.0, one)
                one = _plus(two, load(r, place + LANES), value)
                two = _times(value, load(r, place + 2 * LANES))
                far = _plus(far, load(r, place + 3 * LANES), value)
                near = _plus(near, load(r, place + 4 * LANES), value)
                _stored(xs, at, _times(value, load(r, place)))
            row = sizes[s + lane]
            target = left_over[s + lane].ravel()
            one = _moved_out(one, lane, work, target, 0)
            two = _moved_out(two, lane, work, target, width)
            far = _moved_out(far, lane, work, target, 2 * width)
            near = _moved_out(near, lane, work, target, 3 * width)


@kernel
def solve(r: Array, bases: Array, sizes: Array, first: int, last: int, xs: Any, work: Array, ends: Array) -> None:
    """Replace vectors, a tuple of them, by the inverse of U times them, in the segments' columns.

    `ends`, (groups * 8, 4, vectors), holds the solution in the kept columns: the two behind each segment, and the two
    before it. `work`, (8,), is work space.
    """
    width = ends.shape[2]
    for group in range(first, last):
        s = LANES * group
        base = bases[group]
        one = two = far = near = _times(_fetched(xs, LANES * base), 0.0)
        for lane in range(LANES - 1, -1, -1):
            source = ends[s + lane].ravel()
            if sizes[s + lane] > 0:
                one = _moved_in(one, lane, work, source, 0)
                two = _moved_in(two, lane, work, source, width)
                far = _moved_in(far, lane, work, source, 2 * width)
                near = _moved_in(near, lane, work, source, 3 * width)
            before = sizes[s + lane - 1] if lane > 0 else 0
            for j in range(sizes[s + lane] - 1, before - 1, -1):
                at = LANES * (base + j)
                place = FIELDS * at
                for k in range(1, FIELDS):
                    prefetch(r, place - LANES * (FIELDS * _AHEAD - k))
                value = _plus(_fetched(xs, at), -load(r, place + 2 * LANES), two)
                value = _plus(value, -load(r, place + 3 * LANES), far)
                value = _plus(value, -load(r, place + 4 * LANES), near)
                two = one
                one = _plus(value, -load(r, place + LANES), one)
                _stored(xs, at, one)
