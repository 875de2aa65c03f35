r"""Orthogonal condensation of tridiagonal chains onto kept columns.

The columns of one or several chains (one behind the other, zeros in ``dl`` and ``du`` between them) are either
*kept* or *interior*. A segment is a maximal stretch ``[a, b]`` of interior columns of one chain. The rows that
touch its columns are a - 1 (if a kept column stands to its left), a ... b, and b + 1 (if one stands to its
right). Separators two columns wide make these row sets disjoint, so each segment is eliminated by itself:

.. math:: Q_s^H A_{\text{rows of } s} =
   \begin{pmatrix} U_s & W_s \\ 0 & R_s \end{pmatrix}

One reflection over at most three rows eliminates one column. The rows that are left over (one for each kept
neighbour) have entries in kept columns only; together with the rows outside all segments they form the reduced
system R, of the order of the number of kept columns. Interior columns have full rank whenever A is nonsingular,
so no breakdown occurs, even where a segment by itself is singular. Partial pivoting in place of reflections is
not stable here: the entries in the kept columns to the left are never pivoted and can grow like 1.62^L.

Reflections are Hermitian, :math:`H = I - \tau v v^H` with v = (1, v1, v2), so each is its own inverse and has
determinant -1. They act on the slots (j - 1, j, j + 1) for column j of a segment with left neighbours, on
(j, j + 1) otherwise (v1 = 0); the pivot row ends in the first slot.

Storage: ``rows[j] = (v1, v2, tau, d, u1, u2, w1, w2)`` for each interior column j: its reflection, and its row of
U: the pivot, the columns j + 1 and j + 2, and the kept columns a - 2 and a - 1. Segments: ``first``, ``last``
(a, b), ``kept[s] = `` indices, among the kept columns, of a - 2, a - 1, b + 1, b + 2 (-1 where there is none).
Row b + 1 may carry links, all of them in kept columns: ``link_start[s]:link_start[s + 1]`` are those of segment s.

Cost: 43 operations an interior column to factor (3 more where entries lie beyond 1e+-140), and 21 to solve for one
right-hand side (plus 3 per link of a segment's last row, and 1 where there is any).

References: Householder reflections, Golub & Van Loan, *Matrix Computations*, section 5.1; elimination over the
rows of a block almost like S. J. Wright, "Stable parallel algorithms for two-point boundary value problems",
SIAM J. Sci. Stat. Comput. 13 (1992).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, kernel
from stridiag._kernels.tridiagonal_lu import divided

__all__ = ["condense", "forward_substitute_adjoint", "halves", "multiply_upper"]

Array = NDArray[Any]

# Columns of `rows`.
V1, V2, TAU, D, U1, U2, W1, W2 = range(8)
# Columns of `kept`.
LEFT2, LEFT1, RIGHT1, RIGHT2 = range(4)


@borrowing
def _reflection(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any]:
    """Return (v1, v2, tau, d) such that H (x0, x1, x2) = (d, 0, 0); all zero if x is zero."""
    # A float even for single precision, whose own range the bounds below exceed.
    size = float(max(abs(x0), abs(x1), abs(x2)))
    scale = 1.0
    # Squares neither overflow nor vanish between these bounds; outside them pay for a division.
    if not 1e-140 < size < 1e140:
        if not 0.0 < size < np.inf:
            return x0 * 0, x0 * 0, 0.0 * size, x0 * size
        scale = size
        x0, x1, x2 = x0 / scale, x1 / scale, x2 / scale
    magnitude = abs(x0)
    tail = (x1 * np.conj(x1)).real + (x2 * np.conj(x2)).real
    norm = math.sqrt(magnitude * magnitude + tail)
    phase = x0 / magnitude if magnitude > 0.0 else x0 + 1.0
    head = magnitude + norm
    towards = np.conj(phase) / head
    return x1 * towards, x2 * towards, head / norm, -phase * norm * scale


@borrowing
def _begun(dl: Array, d: Array, du: Array, kept: Array, s: int, a: int) -> tuple[Any, ...]:
    """Return the two rows that segment s, from column a on, begins with: what `_eliminated` carries along.

    Entries in columns j and j + 1, and in the kept columns a - 2 and a - 1, of the one and then of the other row.
    """
    zero = d[a] * 0
    if kept[s, LEFT1] >= 0:
        return du[a - 1], zero, dl[a - 2] if a >= 2 else zero, d[a - 1], d[a], du[a], zero, dl[a - 1]
    return d[a], du[a], zero, zero, zero, zero, zero, zero


@borrowing
def _eliminated(
    dl: Array, d: Array, du: Array, j: int, below: bool, left: bool, state: tuple[Any, ...], rows: Array
) -> tuple[Any, ...]:
    """Eliminate column j with row j + 1, if there is one `below`; return the next two rows and v1, v2, tau, pivot."""
    p0, p1, pw1, pw2, q0, q1, qw1, qw2 = state
    zero = d[j] * 0
    n0, n1, n2 = zero, zero, zero
    if below:
        n0, n1, n2 = dl[j], d[j + 1], du[j + 1]
    v1, v2, tau, pivot = _reflection(p0, q0, n0)
    c1 = np.conj(v1)
    c2 = np.conj(v2)
    t1 = tau * (p1 + c1 * q1 + c2 * n1)
    t2 = tau * (c2 * n2)
    s1 = tau * (pw1 + c1 * qw1)
    s2 = tau * (pw2 + c1 * qw2)
    rows[j, V1] = v1
    rows[j, V2] = v2
    rows[j, TAU] = tau
    rows[j, D] = pivot
    rows[j, U1] = p1 - t1
    rows[j, U2] = -t2
    rows[j, W1] = pw1 - s1
    rows[j, W2] = pw2 - s2
    # The middle row and the new one stay; without left neighbours the middle one is empty.
    q0, q1, qw1, qw2 = q1 - v1 * t1, -v1 * t2, qw1 - v1 * s1, qw2 - v1 * s2
    n1, n2 = n1 - v2 * t1, n2 - v2 * t2
    nw1, nw2 = -v2 * s1, -v2 * s2
    if left:
        return (q0, q1, qw1, qw2, n1, n2, nw1, nw2), v1, v2, tau, pivot
    return (n1, n2, pw1, pw2, zero, zero, qw1, qw2), v1, v2, tau, pivot


@borrowing
def _leave(leftover: Array, s: int, left: bool, state: tuple[Any, ...], v1: Any, v2: Any, tau: Any) -> None:
    """Put what segment s leaves where it belongs."""
    p0, p1, pw1, pw2, q0, q1, qw1, qw2 = state
    if left:
        leftover[s, 0, LEFT2] = pw1
        leftover[s, 0, LEFT1] = pw2
        leftover[s, 0, RIGHT1] = p0
        leftover[s, 0, RIGHT2] = p1
        leftover[s, 1, LEFT2] = qw1
        leftover[s, 1, LEFT1] = qw2
        leftover[s, 1, RIGHT1] = q0
        leftover[s, 1, RIGHT2] = q1
    else:
        # One row only; the other is nothing, whatever stood there.
        for c in range(4):
            leftover[s, 0, c] = p0 * 0
        leftover[s, 1, LEFT2] = p0 * 0
        leftover[s, 1, LEFT1] = p0 * 0
        leftover[s, 1, RIGHT1] = p0
        leftover[s, 1, RIGHT2] = p1
    share = tau * np.conj(v2)
    leftover[s, 0, 4] = -v1 * share
    leftover[s, 1, 4] = 1.0 - v2 * share


@borrowing
def halves(first: Array, last: Array) -> int:
    """Return the segment with which the second half of all interior columns begins."""
    total = 0
    for s in range(first.size):
        total += last[s] - first[s] + 1
    s, seen = 0, 0
    while 2 * seen < total:
        seen += last[s] - first[s] + 1
        s += 1
    return s


@borrowing_kernel
def condense(
    dl: Array, d: Array, du: Array, first: Array, last: Array, kept: Array, rows: Array, leftover: Array
) -> int:
    """Eliminate all segments.

    Fills `rows`, (n, 8), at interior columns, and `leftover`, (segments, 2, 5): for the leftover rows in the
    slots b and b + 1 their entries in the kept columns a - 2, a - 1, b + 1, b + 2, and the factor with which the
    links of row b + 1 enter. Returns -1, or the first interior column that is exactly dependent on others.
    """
    count = first.size
    if count == 0:
        return -1
    # Two segments at a time, one of each half: each waits for its own square roots and quotients, and they overlap.
    half = halves(first, last)
    s, t = 0, half if half < count else 0
    a, b = first[s], first[t]
    one, other = _begun(dl, d, du, kept, s, a), _begun(dl, d, du, kept, t, b)
    bad = bad_other = dl.size + d.size
    while s < half and t < count and half < count:
        left, left_other = kept[s, LEFT1] >= 0, kept[t, LEFT1] >= 0
        right, right_other = kept[s, RIGHT1] >= 0, kept[t, RIGHT1] >= 0
        v1, v2, tau = d[0] * 0, d[0] * 0, 0.0
        y1, y2, tau_other = d[0] * 0, d[0] * 0, 0.0
        steps = min(last[s] - a, last[t] - b) + 1
        for k in range(steps):
            below, below_other = a + k < last[s] or right, b + k < last[t] or right_other
            one, v1, v2, tau, pivot = _eliminated(dl, d, du, a + k, below, left, one, rows)
            other, y1, y2, tau_other, pivot_other = _eliminated(dl, d, du, b + k, below_other, left_other, other, rows)
            # Accepts the good, so that a NaN is reported as well as a zero.
            if not 0.0 < abs(pivot) < np.inf:
                bad = min(bad, a + k)
            if not 0.0 < abs(pivot_other) < np.inf:
                bad_other = min(bad_other, b + k)
        a += steps
        b += steps
        if a > last[s]:
            _leave(leftover, s, left, one, v1, v2, tau)
            s += 1
            if s < half:
                a = first[s]
                one = _begun(dl, d, du, kept, s, a)
        if b > last[t]:
            _leave(leftover, t, left_other, other, y1, y2, tau_other)
            t += 1
            if t < count:
                b = first[t]
                other = _begun(dl, d, du, kept, t, b)
    if s < half:
        t, b, other, end = s, a, one, half
    else:
        end = count
    while t < end:
        left, right = kept[t, LEFT1] >= 0, kept[t, RIGHT1] >= 0
        v1, v2, tau = d[0] * 0, d[0] * 0, 0.0
        for j in range(b, last[t] + 1):
            other, v1, v2, tau, pivot = _eliminated(dl, d, du, j, j < last[t] or right, left, other, rows)
            if not 0.0 < abs(pivot) < np.inf:
                bad = min(bad, j)
        _leave(leftover, t, left, other, v1, v2, tau)
        t += 1
        if t < end:
            b = first[t]
            other = _begun(dl, d, du, kept, t, b)
    bad = min(bad, bad_other)
    return bad if bad < dl.size + d.size else -1


@kernel
def forward_substitute_adjoint(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    z: Array,
    x: Array,
) -> None:
    """Solve U^H t = g for the interior columns and subtract W^H t from the kept `z`, (k, m).

    `x`, (n, m), holds g by columns; t replaces it in the slots of the pivot rows.
    """
    m = x.shape[1]
    for s in range(first.size):
        left2, left1, right1, right2 = kept[s, LEFT2], kept[s, LEFT1], kept[s, RIGHT1], kept[s, RIGHT2]
        shift = 1 if left1 >= 0 else 0
        a = first[s]
        b = last[s]
        for j in range(a, b + 1):
            pivot = np.conj(rows[j, D])
            reciprocal = (pivot * 0 + 1) / pivot
            above1 = np.conj(rows[j - 1, U1]) if j > a else pivot
            above2 = np.conj(rows[j - 2, U2]) if j > a + 1 else pivot
            u1, u2 = np.conj(rows[j, U1]), np.conj(rows[j, U2])
            w1, w2 = np.conj(rows[j, W1]), np.conj(rows[j, W2])
            for c in range(m):
                value = x[j, c]
                if j > a + 1:
                    value -= above2 * x[j - 2 - shift, c]
                if j > a:
                    value -= above1 * x[j - 1 - shift, c]
                value = divided(value, pivot, reciprocal)
                x[j - shift, c] = value
                if left1 >= 0:
                    z[left1, c] -= w2 * value
                if left2 >= 0:
                    z[left2, c] -= w1 * value
                if j == b:
                    if right1 >= 0:
                        z[right1, c] -= u1 * value
                    if right2 >= 0:
                        z[right2, c] -= u2 * value
                    if link_start[s] < link_start[s + 1]:
                        enters = np.conj(-rows[b, TAU] * np.conj(rows[b, V2]))
                        for t in range(link_start[s], link_start[s + 1]):
                            z[link_kept[t], c] -= enters * np.conj(link_values[t]) * value
                elif j == b - 1 and right1 >= 0:
                    z[right1, c] -= u2 * value


@kernel
def multiply_upper(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    z: Array,
    x: Array,
) -> None:
    """Put U x + W z into the slots of the pivot rows of `x`, (n, m), given x by columns and the kept `z`."""
    m = x.shape[1]
    for s in range(first.size):
        left2, left1, right1, right2 = kept[s, LEFT2], kept[s, LEFT1], kept[s, RIGHT1], kept[s, RIGHT2]
        shift = 1 if left1 >= 0 else 0
        b = last[s]
        enters = -rows[b, TAU] * np.conj(rows[b, V2])
        for j in range(first[s], b + 1):
            for c in range(m):
                value = rows[j, D] * x[j, c]
                if j < b:
                    value += rows[j, U1] * x[j + 1, c]
                elif right1 >= 0:
                    value += rows[j, U1] * z[right1, c]
                if j < b - 1:
                    value += rows[j, U2] * x[j + 2, c]
                elif j == b - 1 and right1 >= 0:
                    value += rows[j, U2] * z[right1, c]
                elif j == b and right2 >= 0:
                    value += rows[j, U2] * z[right2, c]
                if left1 >= 0:
                    value += rows[j, W2] * z[left1, c]
                if left2 >= 0:
                    value += rows[j, W1] * z[left2, c]
                if j == b:
                    for t in range(link_start[s], link_start[s + 1]):
                        value += enters * link_values[t] * z[link_kept[t], c]
                x[j - shift, c] = value
