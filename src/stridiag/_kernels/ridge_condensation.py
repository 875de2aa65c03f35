r"""QR of a chain with links and a multiple of the identity below it, by condensation.

The chain is cut into segments by runs of kept columns, two or more each, so that no row of a link touches a segment.
Over the columns A0 ... B0 of a segment this is `stridiag._kernels.ridge_chain`, but that rows also have entries in the
two kept columns to the left, A0 - 2 and A0 - 1:

* the first two rows, A0 - 1 and A0, are rotated so that the second begins one column later;
* what rotation 2 leaves there, (0, 0 | l, l'), does not vanish: two more rotations add it to a triangle of order two;
* after the last column the two rows that are left, in columns B0 + 1 and B0 + 2 and the two on the left, and the
  triangle, are four rows of the *reduced* matrix. Its other rows are those of A in kept columns alone, and
  :math:`\tau I`. It is small and dense, and its QR is the caller's.

A segment at the end of the chain has no columns to the right, one at the beginning none to the left; numbers there
are zero.

**Cost.** A column: six square roots, six quotients and about 50 other operations; a product with :math:`Q_a^T` 24,
with its transpose the same, with the inverse of R or of its transpose 9. Segments are independent of each other.

Reference: L. Eldén, Algorithms for the regularization of ill-conditioned least squares problems, BIT 17 (1977)
134-145; condensation: docs/theory/condensation.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = [
    "COEFFICIENTS",
    "factor_segments",
    "rotate_back_segments",
    "rotate_segments",
    "solve_segments",
    "solve_segments_transposed",
]

Array = NDArray[Any]

COEFFICIENTS = 14
"""Numbers kept of the rotations of a column."""


@inlined
def _turn(x: float, y: float) -> tuple[float, float, float]:
    """Return r, c and s with c x + s y = r and c y = s x, r being the length of (x, y)."""
    r = np.sqrt(x * x + y * y)
    c = 1.0
    s = 0.0
    if r != 0.0:
        back = 1.0 / r
        c = x * back
        s = y * back
    return r, c, s


@inlined
def _clear(
    a: float,
    b: float,
    c: float,
    w1: float,
    w2: float,
    v1: float,
    v2: float,
    g1: float,
    g2: float,
    h2: float,
    tau: float,
    low: float,
    mid: float,
    up: float,
) -> Any:
    """Clear a column: return the row of R, the next state (a, b, c, w, v, g, h), and the six rotations."""
    r1, k1, s1 = _turn(a, tau)
    b1 = k1 * b
    z1 = -s1 * w1
    z2 = -s1 * w2
    q, k2, s2 = _turn(c, -s1 * b)
    l1 = k2 * z1 - s2 * v1
    l2 = k2 * z2 - s2 * v2
    o1 = k2 * v1 + s2 * z1
    o2 = k2 * v2 + s2 * z2
    pivot, k3, s3 = _turn(r1, low)
    left = k3 * mid - s3 * b1
    over = k3 * up
    u1 = k1 * w1
    u2 = k1 * w2
    top, k4, s4 = _turn(q, left)
    new_g1, k5, s5 = _turn(g1, l1)
    rest = k5 * l2 - s5 * g2
    new_g2 = k5 * g2 + s5 * l2
    new_h2, k6, s6 = _turn(h2, rest)
    row = (pivot, k3 * b1 + s3 * mid, s3 * up, k3 * u1, k3 * u2)
    ends = (k4 * o1 - s4 * s3 * u1, k4 * o2 - s4 * s3 * u2, -k4 * s3 * u1 - s4 * o1, -k4 * s3 * u2 - s4 * o2)
    state = (top, s4 * over, k4 * over, ends[0], ends[1], ends[2], ends[3], new_g1, new_g2, new_h2)
    return row, state, (k1, s1, k2, s2, k3, s3, k4, s4, k5, s5, k6, s6)


@inlined
def _leave(state: Any, rows: Array) -> None:
    a, b, c, w1, w2, v1, v2, g1, g2, h2 = state
    for i in range(4):
        for k in range(4):
            rows[i, k] = 0.0
    rows[0, 0] = a
    rows[0, 1] = b
    rows[0, 2] = w1
    rows[0, 3] = w2
    rows[1, 1] = c
    rows[1, 2] = v1
    rows[1, 3] = v2
    rows[2, 2] = g1
    rows[2, 3] = g2
    rows[3, 3] = h2


@kernel
def factor_segments(
    dl: Array,
    d: Array,
    du: Array,
    tau: float,
    second_tau: float,
    starts: Array,
    ends: Array,
    first: int,
    last: int,
    r: Array,
    turns: Array,
    begins: Array,
    left_over: Array,
    second_left_over: Array,
    logarithms: Array,
) -> None:
    """Eliminate the columns of segments ``first ... last - 1``; segment i is columns ``starts[i] ... ends[i]``.

    `r`, (n, 5), takes the inverse of R's diagonal entry and, times that, the two entries to the right and the two on
    the left; `turns`, (n, 14), the coefficients of the rotations, unless it has no rows; `begins`, (segments, 2), the
    first rotation; `left_over`, (segments, 4, 4), the rows that are left, in the columns B0 + 1, B0 + 2, A0 - 2 and
    A0 - 1. With `second_tau` below, `second_left_over` takes the same, and `logarithms`, (segments,), the logarithm of
    the product of R's diagonal.
    """
    n = d.size
    store = turns.shape[0] > 0
    for i in range(first, last):
        start = starts[i]
        a = d[start]
        b = du[start] if start < n - 1 else 0.0
        c = w1 = w2 = v1 = v2 = 0.0
        begins[i, 0] = 1.0
        begins[i, 1] = 0.0
        if start > 0:
            top, k, s = _turn(du[start - 1], a)
            w1 = k * dl[start - 2]
            v1 = -s * dl[start - 2]
            w2 = k * d[start - 1] + s * dl[start - 1]
            v2 = k * dl[start - 1] - s * d[start - 1]
            a = top
            c = k * b
            b = s * b
            begins[i, 0] = k
            begins[i, 1] = s
        one = (a, b, c, w1, w2, v1, v2, 0.0, 0.0, 0.0)
        two = one
        total = 0.0
        product = 1.0
        for j in range(start, ends[i] + 1):
            low = dl[j] if j < n - 1 else 0.0
            mid = d[j + 1] if j < n - 1 else 0.0
            up = du[j + 1] if j < n - 2 else 0.0
            row, one, rotations = _clear(
                one[0], one[1], one[2], one[3], one[4], one[5], one[6], one[7], one[8], one[9], tau, low, mid, up
            )
            inverse = 1.0 / row[0]
            entries = r[j]
            entries[0] = inverse
            entries[1] = row[1] * inverse
            entries[2] = row[2] * inverse
            entries[3] = row[3] * inverse
            entries[4] = row[4] * inverse
            if store:
                k1, s1, k2, s2, k3, s3, k4, s4, k5, s5, k6, s6 = rotations
                turn = turns[j]
                turn[0] = k3 * k1
                turn[1] = s3
                turn[2] = k3
                turn[3] = s3 * k1
                turn[4] = k2
                turn[5] = s2 * s1
                turn[6] = k4
                turn[7] = s4
                turn[8] = k2 * s1
                turn[9] = s2
                turn[10] = k5
                turn[11] = s5
                turn[12] = k6
                turn[13] = s6
            row, two, rotations = _clear(
                two[0], two[1], two[2], two[3], two[4], two[5], two[6], two[7], two[8], two[9], second_tau, low, mid, up
            )
            product *= row[0]
            if j % 16 == 15:
                total += np.log(product)
                product = 1.0
        logarithms[i] = total + np.log(product)
        _leave(one, left_over[i])
        _leave(two, second_left_over[i])


@kernel
def rotate_segments(
    starts: Array, ends: Array, first: int, last: int, turns: Array, begins: Array, b: Array, x: Array, left_over: Array
) -> None:
    """Apply the rotations of the segments to `b`, (n, k): their rows of `x`, and `left_over`, (segments, 4, k)."""
    n, width = b.shape
    for i in range(first, last):
        start = starts[i]
        p = left_over[i, 0]
        q = left_over[i, 1]
        g = left_over[i, 2]
        h = left_over[i, 3]
        k = begins[i, 0]
        s = begins[i, 1]
        before = b[max(start - 1, 0)]
        here = b[start]
        for t in range(width):
            above = before[t] if start > 0 else here[t]
            row = here[t] if start > 0 else 0.0
            p[t] = k * above + s * row
            q[t] = k * row - s * above
            g[t] = 0.0
            h[t] = 0.0
        for j in range(start, ends[i] + 1):
            turn = turns[j]
            c0, c1, c2, c3, c4, c5, c6 = turn[0], turn[1], turn[2], turn[3], turn[4], turn[5], turn[6]
            c7, c8, c9, c10, c11, c12, c13 = turn[7], turn[8], turn[9], turn[10], turn[11], turn[12], turn[13]
            following = b[min(j + 1, n - 1)]
            if j == n - 1:
                c1 = c2 = 0.0
            row = x[j]
            for t in range(width):
                beta = following[t]
                upper = p[t]
                lower = q[t]
                row[t] = c0 * upper + c1 * beta
                rest = c2 * beta - c3 * upper
                gone = -c8 * upper - c9 * lower
                lower = c4 * lower - c5 * upper
                p[t] = c6 * lower + c7 * rest
                q[t] = c6 * rest - c7 * lower
                still = c10 * gone - c11 * g[t]
                g[t] = c10 * g[t] + c11 * gone
                h[t] = c12 * h[t] + c13 * still


@kernel
def rotate_back_segments(
    starts: Array, ends: Array, first: int, last: int, turns: Array, begins: Array, x: Array, left_over: Array
) -> None:
    """Undo `rotate_segments` in `x`, where the rows of the segments are; `left_over` is work space afterwards.

    A segment's rows begin one row before its columns, if that exists, and end one row after them; rows of `x` in kept
    columns that belong to segments are overwritten.
    """
    n, width = x.shape
    for i in range(first, last):
        start = starts[i]
        p = left_over[i, 0]
        q = left_over[i, 1]
        g = left_over[i, 2]
        h = left_over[i, 3]
        for j in range(ends[i], start - 1, -1):
            turn = turns[j]
            c0, c1, c2, c3, c4, c5, c6 = turn[0], turn[1], turn[2], turn[3], turn[4], turn[5], turn[6]
            c7, c8, c9, c10, c11, c12, c13 = turn[7], turn[8], turn[9], turn[10], turn[11], turn[12], turn[13]
            row = x[j]
            target = x[min(j + 1, n - 1)]
            for t in range(width):
                y = row[t]
                still = c13 * h[t]
                h[t] = c12 * h[t]
                gone = c11 * g[t] + c10 * still
                g[t] = c10 * g[t] - c11 * still
                lower = c6 * p[t] - c7 * q[t]
                rest = c7 * p[t] + c6 * q[t]
                target[t] = c1 * y + c2 * rest
                p[t] = c0 * y - c3 * rest - c5 * lower - c8 * gone
                q[t] = c4 * lower - c9 * gone
        k = begins[i, 0]
        s = begins[i, 1]
        row = x[start]
        if start > 0:
            above = x[start - 1]
            for t in range(width):
                above[t] = k * p[t] - s * q[t]
                row[t] = s * p[t] + k * q[t]
        else:
            for t in range(width):
                row[t] = p[t]


@kernel
def solve_segments(starts: Array, ends: Array, first: int, last: int, r: Array, x: Array) -> None:
    """Solve R x = z in place in the rows of segments of `x`, (n, k); those of kept columns are solved."""
    n, width = x.shape
    for i in range(first, last):
        start = starts[i]
        outer = x[max(start - 2, 0)]
        inner = x[max(start - 1, 0)]
        for j in range(ends[i], start - 1, -1):
            row = x[j]
            inverse, beside, beyond, far, near = r[j, 0], r[j, 1], r[j, 2], r[j, 3], r[j, 4]
            one = x[min(j + 1, n - 1)]
            two = x[min(j + 2, n - 1)]
            # What does not exist has a coefficient of zero, but may be infinite or not a number.
            if start == 0:
                if j < n - 2:
                    for t in range(width):
                        row[t] = row[t] * inverse - beside * one[t] - beyond * two[t]
                elif j < n - 1:
                    for t in range(width):
                        row[t] = row[t] * inverse - beside * one[t]
                else:
                    for t in range(width):
                        row[t] *= inverse
            elif j < n - 1:
                for t in range(width):
                    row[t] = row[t] * inverse - beside * one[t] - beyond * two[t] - (far * outer[t] + near * inner[t])
            else:
                for t in range(width):
                    row[t] = row[t] * inverse - (far * outer[t] + near * inner[t])


@kernel
def solve_segments_transposed(
    starts: Array, ends: Array, first: int, last: int, r: Array, x: Array, left_over: Array
) -> None:
    """Solve R' z = x in place in the rows of segments; put into `left_over`, (segments, 4, k), what to subtract.

    That is from the rows of the columns B0 + 1, B0 + 2, A0 - 2 and A0 - 1 of each segment.
    """
    width = x.shape[1]
    for i in range(first, last):
        start = starts[i]
        one = left_over[i, 0]
        two = left_over[i, 1]
        outer = left_over[i, 2]
        inner = left_over[i, 3]
        for t in range(width):
            one[t] = two[t] = outer[t] = inner[t] = 0.0
        for j in range(start, ends[i] + 1):
            inverse, beside, beyond, far, near = r[j, 0], r[j, 1], r[j, 2], r[j, 3], r[j, 4]
            row = x[j]
            for t in range(width):
                value = row[t] - one[t]
                one[t] = two[t] + beside * value
                two[t] = beyond * value
                outer[t] += far * value
                inner[t] += near * value
                row[t] = value * inverse
