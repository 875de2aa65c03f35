r"""Orthogonal condensation of bands onto kept columns.

A band of lower width l and upper width u, w = l + u: row i has entries in the columns i - l ... i + u. The columns of
one or several bands (classes, one behind the other) are *kept* or *interior*; a segment is a maximal stretch
``[a, b]`` of interior columns of one class. The rows that touch it are a - u ... b + l, as far as the class reaches.
Separators w columns wide make these row sets disjoint, so each segment is eliminated by itself,

.. math:: Q_s^H A_{\text{rows of } s} =
   \begin{pmatrix} U_s & W_s \\ 0 & R_s \end{pmatrix},

by one reflection over at most w + 1 rows for each column. At most w rows are left over, with entries in kept columns
only. `stridiag._kernels.condensation` is the case l = u = 1, written out.

Reflections are Hermitian, :math:`H = I - \tau v v^H` with v = (1, v1, ...), and have determinant -1. With p rows to
the left of a, that for column j acts on the slots j - p ... j + l; the pivot row ends in the first of them.

Storage: ``rows[j]`` holds for each interior column j the w numbers v1 ... vw, tau, the pivot d, and its row of U and
W: w entries in the columns behind j, and at most w in the kept columns to the left of the segment, ascending.
``segments[s]`` holds a, b, the rows and columns to its left and to its right that belong to it, and the index, among
the kept columns, of the first to its right; those to its left stand just before that one.
Row b + l may carry links, all of them in kept columns: ``link_start[s]:link_start[s + 1]`` are those of segment s, and
`link_entries` their values times the share with which the last reflection lets them into its pivot row.

Cost: 8 w^2 + 7 w + 9 operations a column to factor; 4 m + 2 w + 2 k - 1 to solve, with m rows in its reflection and k
kept columns to the left: in the middle of a class m = w + 1 and k = w, near its ends there are fewer.

References: Householder reflections, Golub & Van Loan, *Matrix Computations*, section 5.1; elimination over the rows
of a block almost like S. J. Wright, SIAM J. Sci. Stat. Comput. 13 (1992).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["back_substitute", "condense", "forward_substitute_adjoint", "multiply_upper", "reflect", "work_size"]

Array = NDArray[Any]

# Columns of `segments`.
FIRST, LAST, LEFT_ROWS, LEFT_COLUMNS, RIGHT_ROWS, RIGHT_COLUMNS, PLACE = range(7)


def work_size(width: int) -> int:
    """Return how many numbers of work space `condense` needs."""
    return (width + 3) * (2 * width + 1)


@inlined
def _reflection(work: Array, size: int, vector: int, m: int, safe: float) -> tuple[Any, Any]:
    """Return tau and d, and put v, such that H (x0, ..., xm) = (d, 0, ..., 0), into `work` from `vector` on.

    x stands in `work` at multiples of `size`. Squares neither overflow nor vanish between 1 / `safe` and `safe`.
    """
    biggest = float(abs(work[0]))
    for i in range(1, m):
        biggest = max(biggest, float(abs(work[i * size])))
    scale = 1.0
    if biggest < safe and biggest * safe > 1.0:
        for i in range(m):
            work[vector + i] = work[i * size]
    elif 0.0 < biggest < np.inf:
        scale = biggest
        for i in range(m):
            work[vector + i] = work[i * size] / scale
    else:
        for i in range(m):
            work[vector + i] = work[0] * 0
        return biggest * 0.0, work[0] * 0 + biggest
    x0 = work[vector]
    magnitude = abs(x0)
    tail = magnitude * 0
    for i in range(1, m):
        tail += (work[vector + i] * np.conj(work[vector + i])).real
    norm = math.sqrt(magnitude * magnitude + tail)
    phase = x0 / magnitude if magnitude > 0.0 else x0 + 1.0
    head = magnitude + norm
    towards = np.conj(phase) / head
    for i in range(1, m):
        work[vector + i] *= towards
    return head / norm, -phase * norm * scale


@kernel
def condense(
    width: tuple[int, ...],
    lower: int,
    segments: Array,
    band: Array,
    rows: Array,
    leftover: Array,
    entering: Array,
    work: Array,
    safe: float,
) -> int:
    """Eliminate all segments.

    `band`, (n, w + 1), holds the entries of row i in the columns i - l ... i + u, zeros outside its class. Fills
    `rows`, (n, 3 w + 2), at interior columns; `leftover`, (segments, w, 2 w): for each leftover row, from the top, its
    entries in the kept columns left and right of the segment; and `entering`, (segments, w + 1): the factors with
    which the links of row b + l enter the last pivot row, and the leftover rows. `width` is a tuple of length w, `work`
    has `work_size` numbers, and `safe` is 1e140 in double and 1e15 in single precision. Returns -1, or the first
    interior column that is exactly dependent on others.
    """
    # The length of a tuple is known when compiling, once for each w: the loops over w are unrolled.
    w = len(width)
    # `work` holds rows of 2 w + 1 numbers: the entries in the columns j ... j + w, then in the kept columns. Below
    # the w + 1 rows of a reflection stand v^H times them, and v. Rows and columns that a segment at the end of a class
    # does not have come last and are zero: fewer loops would take longer, for not being unrolled.
    size = 2 * w + 1
    sums = (w + 1) * size
    vector = sums + size
    info = -1
    for s in range(segments.shape[0]):
        a, b = segments[s, FIRST], segments[s, LAST]
        above, k = segments[s, LEFT_ROWS], segments[s, LEFT_COLUMNS]
        end = b + segments[s, RIGHT_ROWS]
        zero = band[a, 0] * 0
        for i in range(sums):
            work[i] = zero
        for i in range(above + lower):
            row = a - above + i
            if row <= end:
                for c in range(w + 1):
                    column = row - lower + c
                    if column >= a:
                        work[i * size + column - a] = band[row, c]
                    elif column >= a - k:
                        work[i * size + w + 1 + column - (a - k)] = band[row, c]
        new = (above + lower) * size
        for j in range(a, b + 1):
            if j + lower <= end:
                for c in range(w + 1):
                    work[new + c] = band[j + lower, c]
            else:
                for c in range(w + 1):
                    work[new + c] = zero
            for c in range(w + 1, size):
                work[new + c] = zero
            tau, pivot = _reflection(work, size, vector, w + 1, safe)
            if not 0.0 < abs(pivot) < np.inf and info < 0:
                info = j
            for i in range(w):
                rows[j, i] = work[vector + 1 + i]
            rows[j, w] = tau
            rows[j, w + 1] = pivot
            for c in range(1, size):
                work[sums + c] = work[c]
            for i in range(1, w + 1):
                v = np.conj(work[vector + i])
                for c in range(1, size):
                    work[sums + c] += v * work[i * size + c]
            for c in range(1, size):
                work[sums + c] *= tau
                rows[j, w + 1 + c] = work[c] - work[sums + c]
            # The window moves on by one column, and the other rows move up by one place.
            for i in range(1, w + 1):
                v = work[vector + i]
                for c in range(1, w + 1):
                    work[(i - 1) * size + c - 1] = work[i * size + c] - v * work[sums + c]
                for c in range(w + 1, size):
                    work[(i - 1) * size + c] = work[i * size + c] - v * work[sums + c]
        # Links come with the last row; where no other is carried, that is the pivot row.
        alone = above + lower == 0
        share = rows[b, w] if alone else rows[b, w] * np.conj(work[vector + above + lower])
        entering[s, 0] = 1.0 - share if alone else -share
        for i in range(above + segments[s, RIGHT_ROWS]):
            for c in range(k):
                leftover[s, i, c] = work[i * size + w + 1 + c]
            for c in range(segments[s, RIGHT_COLUMNS]):
                leftover[s, i, w + c] = work[i * size + c]
            lost = work[vector + i + 1] * share
            entering[s, i + 1] = 1.0 - lost if i == above + lower - 1 else -lost
    return info


@kernel
def reflect(lower: int, segments: Array, rows: Array, x: Array, backwards: bool) -> None:
    """Overwrite `x`, (n, r), with Q^H x, or with Q x if `backwards`: the reflections of all segments in turn."""
    w = (rows.shape[1] - 2) // 3
    for s in range(segments.shape[0]):
        a, b = segments[s, FIRST], segments[s, LAST]
        end = b + segments[s, RIGHT_ROWS]
        for k in range(b - a + 1):
            j = b - k if backwards else a + k
            top = j - segments[s, LEFT_ROWS]
            m = min(j + lower, end) - top
            tau = rows[j, w]
            for c in range(x.shape[1]):
                t = x[top, c]
                for i in range(m):
                    t += np.conj(rows[j, i]) * x[top + 1 + i, c]
                t *= tau
                x[top, c] -= t
                for i in range(m):
                    x[top + 1 + i, c] -= rows[j, i] * t


@kernel
def back_substitute(
    segments: Array, rows: Array, link_start: Array, link_kept: Array, link_entries: Array, z: Array, x: Array
) -> None:
    """Solve U x = y - W z for the interior columns, in place of y in `x`, (n, r), given the kept `z`, (k, r).

    From the last segment to the first, so that the slots in which the kept z stand for a while are no longer needed.
    """
    w = (rows.shape[1] - 2) // 3
    for s in range(segments.shape[0] - 1, -1, -1):
        a, b = segments[s, FIRST], segments[s, LAST]
        left, k = segments[s, LEFT_ROWS], segments[s, LEFT_COLUMNS]
        right, place = segments[s, RIGHT_COLUMNS], segments[s, PLACE]
        for c in range(x.shape[1]):
            for i in range(right):
                x[b + 1 + i, c] = z[place + i, c]
            for t in range(link_start[s], link_start[s + 1]):
                x[b - left, c] -= link_entries[t] * z[link_kept[t], c]
        for j in range(b, a - 1, -1):
            reach = min(w, b + right - j)
            for c in range(x.shape[1]):
                value = x[j - left, c]
                for i in range(1, reach + 1):
                    value -= rows[j, w + 1 + i] * x[j + i, c]
                for i in range(k):
                    value -= rows[j, 2 * w + 2 + i] * z[place - k + i, c]
                x[j, c] = value / rows[j, w + 1]


@kernel
def forward_substitute_adjoint(
    segments: Array, rows: Array, link_start: Array, link_kept: Array, link_entries: Array, z: Array, x: Array
) -> None:
    """Solve U^H t = g for the interior columns and subtract W^H t from the kept `z`, (k, r).

    `x`, (n, r), holds g by columns; t replaces it in the slots of the pivot rows.
    """
    w = (rows.shape[1] - 2) // 3
    for s in range(segments.shape[0]):
        a, b = segments[s, FIRST], segments[s, LAST]
        left, k = segments[s, LEFT_ROWS], segments[s, LEFT_COLUMNS]
        right, place = segments[s, RIGHT_COLUMNS], segments[s, PLACE]
        for j in range(a, b + 1):
            inside = min(w, b - j)
            reach = min(w, b + right - j)
            for c in range(x.shape[1]):
                value = x[j, c] / np.conj(rows[j, w + 1])
                for i in range(1, inside + 1):
                    x[j + i, c] -= np.conj(rows[j, w + 1 + i]) * value
                for i in range(inside + 1, reach + 1):
                    z[place + j + i - b - 1, c] -= np.conj(rows[j, w + 1 + i]) * value
                for i in range(k):
                    z[place - k + i, c] -= np.conj(rows[j, 2 * w + 2 + i]) * value
                x[j - left, c] = value
        for c in range(x.shape[1]):
            for t in range(link_start[s], link_start[s + 1]):
                z[link_kept[t], c] -= np.conj(link_entries[t]) * x[b - left, c]


@kernel
def multiply_upper(
    segments: Array, rows: Array, link_start: Array, link_kept: Array, link_entries: Array, z: Array, x: Array
) -> None:
    """Put U x + W z into the slots of the pivot rows of `x`, (n, r), given x by columns and the kept `z`."""
    w = (rows.shape[1] - 2) // 3
    for s in range(segments.shape[0]):
        a, b = segments[s, FIRST], segments[s, LAST]
        left, k = segments[s, LEFT_ROWS], segments[s, LEFT_COLUMNS]
        right, place = segments[s, RIGHT_COLUMNS], segments[s, PLACE]
        for j in range(a, b + 1):
            for c in range(x.shape[1]):
                value = rows[j, w + 1] * x[j, c]
                for i in range(1, min(w, b + right - j) + 1):
                    value += rows[j, w + 1 + i] * x[j + i, c]
                for i in range(k):
                    value += rows[j, 2 * w + 2 + i] * z[place - k + i, c]
                if j == b:
                    for t in range(link_start[s], link_start[s + 1]):
                        value += link_entries[t] * z[link_kept[t], c]
                x[j - left, c] = value
