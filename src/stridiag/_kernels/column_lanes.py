r"""Solves with many right-hand sides: a row of the right-hand sides is a few vectors, and each column a lane.

`stridiag._kernels.tridiagonal_lu.solve`, and the two sweeps of `stridiag._kernels.condensation`, step by step.
What takes time is moving the right-hand sides, so they are read where they stand, chains of a stride greater than one
included, and solutions are written where they shall stand. The sweep forwards keeps next to nothing of what it
computes: one row now and then, or the rows that a segment leaves over. The sweep backwards computes it again, block by
block, into a buffer that stays in the second cache, and solves there. So right-hand sides are read twice and solutions
written once, which is less than half of what sweeps over all rows in place have to move.

Columns are dealt out in units of one vector: the kernels take a range of them, ``first ... last - 1``. The last unit
may be cut short by the number m of right-hand sides; buffers are as wide as whole units, and hold zeros there at first.

References: those of the two modules; keeping a state now and then, and computing again what lies between: A. Griewank
and A. Walther, *Evaluating Derivatives*, SIAM 2008, chapter 12.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, TAU, U1, U2, V1, V2, W1, W2, D
from stridiag._kernels.vectors import load, store

__all__ = ["condense_columns", "expand_columns", "solve_columns"]

Array = NDArray[Any]


@kernel
def solve_columns(
    dl: Array,
    d: Array,
    du: Array,
    du2: Array,
    swapped: Array,
    order: Array,
    b: Array,
    x: Array,
    block: int,
    work: Array,
    lanes: int,
    first: int,
    last: int,
) -> None:
    """Fill `x`, (n, m), with the solutions for `b`; row ``order[i]`` of both belongs to row i of the factors.

    `work`: ``(last - first) * lanes * (block + 2 + blocks)`` numbers, where ``blocks = ceil(n / block)``, and
    ``block >= 2``.
    """
    n, m = b.shape
    begin = first * lanes
    count = min(last * lanes, m) - begin
    full, vectors = count // lanes, last - first
    whole, width = full * lanes, vectors * lanes
    blocks = -(-n // block)
    states = (block + 2) * width
    # Forwards: what is carried into each block.
    for r in range(2):
        for k in range(width):
            work[r * width + k] = 0.0
    row = order[0] * m + begin
    for k in range(count):
        work[k] = b[order[0], begin + k]
    this, other = 0, width
    for i in range(0 if blocks < 2 else (blocks - 1) * block):
        if i % block == 0:
            for v in range(vectors):
                k = v * lanes
                store(work, states + i // block * width + k, load(work, this + k))
        row = order[i + 1] * m + begin
        multiplier = dl[i]
        if swapped[i]:
            for v in range(full):
                k = v * lanes
                store(work, this + k, load(work, this + k) - multiplier * load(b, row + k))
            for k in range(whole, count):
                work[this + k] = work[this + k] - multiplier * b[order[i + 1], begin + k]
        else:
            for v in range(full):
                k = v * lanes
                store(work, other + k, load(b, row + k) - multiplier * load(work, this + k))
            for k in range(whole, count):
                work[other + k] = b[order[i + 1], begin + k] - multiplier * work[this + k]
            this, other = other, this
    for v in range(vectors):
        k = v * lanes
        store(work, states + (blocks - 1) * width + k, load(work, this + k))
    # Backwards, block by block. Behind the last row stand two of zeros.
    height = n - (blocks - 1) * block
    for k in range(2 * width):
        work[height * width + k] = 0.0
    for number in range(blocks - 1, -1, -1):
        top = number * block
        if number < blocks - 1:
            height = block
            for k in range(0, 2 * width, lanes):
                store(work, block * width + k, load(work, k))
        for v in range(vectors):
            k = v * lanes
            store(work, k, load(work, states + number * width + k))
        for r in range(height - 1):
            i = top + r
            here, below = r * width, (r + 1) * width
            row = order[i + 1] * m + begin
            multiplier = dl[i]
            if swapped[i]:
                for v in range(full):
                    k = v * lanes
                    upper = load(b, row + k)
                    store(work, below + k, load(work, here + k) - multiplier * upper)
                    store(work, here + k, upper)
                for k in range(whole, count):
                    entry = b[order[i + 1], begin + k]
                    work[below + k] = work[here + k] - multiplier * entry
                    work[here + k] = entry
            else:
                for v in range(full):
                    k = v * lanes
                    store(work, below + k, load(b, row + k) - multiplier * load(work, here + k))
                for k in range(whole, count):
                    work[below + k] = b[order[i + 1], begin + k] - multiplier * work[here + k]
        if number < blocks - 1 and swapped[top + height - 1]:
            # The exchange with the first row of the next block.
            here, row = (height - 1) * width, order[top + height] * m + begin
            for v in range(full):
                k = v * lanes
                store(work, here + k, load(b, row + k))
            for k in range(whole, count):
                work[here + k] = b[order[top + height], begin + k]
        for r in range(height - 1, -1, -1):
            i = top + r
            here, below, far = r * width, (r + 1) * width, (r + 2) * width
            near_factor = du[i] if i + 1 < n else du[i] * 0
            far_factor = du2[i] if i + 2 < n else du[i] * 0
            reciprocal = 1.0 / d[i]
            if np.isfinite(reciprocal):
                for v in range(vectors):
                    k = v * lanes
                    value = load(work, here + k) - far_factor * load(work, far + k)
                    value = value - near_factor * load(work, below + k)
                    store(work, here + k, value * reciprocal)
            else:
                for v in range(vectors):
                    k = v * lanes
                    value = load(work, here + k) - far_factor * load(work, far + k)
                    value = value - near_factor * load(work, below + k)
                    store(work, here + k, value / d[i])
            row = order[i] * m + begin
            for v in range(full):
                k = v * lanes
                store(x, row + k, load(work, here + k))
            for k in range(whole, count):
                x[order[i], begin + k] = work[here + k]


@kernel
def condense_columns(
    rows: Array,
    first_column: Array,
    last_column: Array,
    kept: Array,
    order: Array,
    b: Array,
    y: Array,
    slots: Array,
    work: Array,
    lanes: int,
    first: int,
    last: int,
) -> None:
    """Put into `y` what the reflections leave over of `b`, (n, m): rows ``slots[s]`` for the slots last, last + 1 of s.

    `rows`, ``first_column``, ``last_column`` and `kept` are those of `stridiag._kernels.condensation`; row ``order[j]``
    of `b` belongs to chain position j. `y` is as wide as whole units. `work`: ``3 * (last - first) * lanes`` numbers.
    """
    m = b.shape[1]
    begin = first * lanes
    count = min(last * lanes, m) - begin
    full, vectors = count // lanes, last - first
    whole, width = full * lanes, vectors * lanes
    for k in range(3 * width):
        work[k] = 0.0
    nothing = load(work, 0)
    for s in range(first_column.size):
        left = 1 if kept[s, LEFT1] >= 0 else 0
        right = kept[s, RIGHT1] >= 0
        a, e = first_column[s], last_column[s]
        p, q, new = 0, width, 2 * width
        for r in range(1 + left):
            row = order[a - left + r] * m + begin
            for v in range(full):
                k = v * lanes
                store(work, (r - left + 1) * width + k, load(b, row + k))
            for k in range(whole, count):
                work[(r - left + 1) * width + k] = b[order[a - left + r], begin + k]
        for j in range(a, e + 1):
            if j < e or right:
                row = order[j + 1] * m + begin
                for v in range(full):
                    k = v * lanes
                    store(work, new + k, load(b, row + k))
                for k in range(whole, count):
                    work[new + k] = b[order[j + 1], begin + k]
            else:
                for v in range(vectors):
                    k = v * lanes
                    store(work, new + k, nothing)
            v1, v2, tau = rows[j, V1], rows[j, V2], rows[j, TAU]
            if left:
                for v in range(vectors):
                    k = v * lanes
                    one, two = load(work, q + k), load(work, new + k)
                    t = tau * (load(work, p + k) + v1 * one + v2 * two)
                    store(work, q + k, one - v1 * t)
                    store(work, new + k, two - v2 * t)
                p, q, new = q, new, p
            else:
                for v in range(vectors):
                    k = v * lanes
                    two = load(work, new + k)
                    t = tau * (load(work, q + k) + v2 * two)
                    store(work, new + k, two - v2 * t)
                q, new = new, q
        if left:
            for v in range(vectors):
                k = v * lanes
                store(y, slots[s, 0] * y.shape[1] + begin + k, load(work, p + k))
        if right:
            for v in range(vectors):
                k = v * lanes
                store(y, slots[s, 1] * y.shape[1] + begin + k, load(work, q + k))


@kernel
def expand_columns(
    rows: Array,
    first_column: Array,
    last_column: Array,
    kept: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    order: Array,
    b: Array,
    z: Array,
    x: Array,
    work: Array,
    lanes: int,
    first: int,
    last: int,
) -> None:
    """Fill in `x`, (n, m), at the interior columns, given the kept `z`, which is as wide as whole units.

    `work`: ``(longest segment + 2) * (last - first) * lanes`` numbers. For the others see `condense_columns`.
    """
    m, across = b.shape[1], z.shape[1]
    begin = first * lanes
    count = min(last * lanes, m) - begin
    full, vectors = count // lanes, last - first
    whole, width = full * lanes, vectors * lanes
    for k in range(work.size):
        work[k] = 0.0
    nothing = load(work, 0)
    for s in range(first_column.size):
        left = 1 if kept[s, LEFT1] >= 0 else 0
        right = kept[s, RIGHT1] >= 0
        a, e = first_column[s], last_column[s]
        for j in range(a - left, e + 2 if right else e + 1):
            row, to = order[j] * m + begin, (j - a + left) * width
            for v in range(full):
                k = v * lanes
                store(work, to + k, load(b, row + k))
            for k in range(whole, count):
                work[to + k] = b[order[j], begin + k]
            # The reflection whose last row this is.
            i = j - 1
            if i < a:
                continue
            v1, v2, tau = rows[i, V1], rows[i, V2], rows[i, TAU]
            if left:
                for v in range(vectors):
                    k = v * lanes
                    one, two = load(work, to - width + k), load(work, to + k)
                    t = tau * (load(work, to - 2 * width + k) + v1 * one + v2 * two)
                    store(work, to - 2 * width + k, load(work, to - 2 * width + k) - t)
                    store(work, to - width + k, one - v1 * t)
                    store(work, to + k, two - v2 * t)
            else:
                for v in range(vectors):
                    k = v * lanes
                    one, two = load(work, to - width + k), load(work, to + k)
                    t = tau * (one + v2 * two)
                    store(work, to - width + k, one - t)
                    store(work, to + k, two - v2 * t)
        end = (e - a + 1) * width
        if not right:
            # The last one, without a row below.
            v1, tau = rows[e, V1], rows[e, TAU]
            for v in range(vectors):
                k = v * lanes
                one = load(work, end - width + left * width + k)
                if left:
                    t = tau * (load(work, end - width + k) + v1 * one)
                    store(work, end - width + k, load(work, end - width + k) - t)
                else:
                    store(work, end - width + k, one - tau * one)
        # The columns behind the last one take the place of the rows that are left over.
        for side in range(2):
            place = kept[s, RIGHT1 + side]
            for v in range(vectors):
                k = v * lanes
                if place >= 0:
                    store(work, end + side * width + k, load(z, place * across + begin + k))
                else:
                    store(work, end + side * width + k, nothing)
        left1, left2 = kept[s, LEFT1] * across + begin, kept[s, LEFT2] * across + begin
        two_left = kept[s, LEFT2] >= 0
        if link_start[s] < link_start[s + 1]:
            enters = -rows[e, TAU] * rows[e, V2]
            for t in range(link_start[s], link_start[s + 1]):
                share = enters * link_values[t]
                for v in range(vectors):
                    k = v * lanes
                    value = load(work, end - width + k) - share * load(z, link_kept[t] * across + begin + k)
                    store(work, end - width + k, value)
        for j in range(e, a - 1, -1):
            here = (j - a) * width
            u1, u2, w1, w2, pivot = rows[j, U1], rows[j, U2], rows[j, W1], rows[j, W2], rows[j, D]
            for v in range(vectors):
                k = v * lanes
                value = load(work, here + k) - u1 * load(work, here + width + k)
                value = value - u2 * load(work, here + 2 * width + k)
                if left:
                    value = value - w2 * load(z, left1 + k)
                if two_left:
                    value = value - w1 * load(z, left2 + k)
                store(work, here + k, value / pivot)
            row = order[j] * m + begin
            for v in range(full):
                k = v * lanes
                store(x, row + k, load(work, here + k))
            for k in range(whole, count):
                x[order[j], begin + k] = work[here + k]
