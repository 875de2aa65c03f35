r"""The inverse of condensed bands within the band, in time proportional to the order.

The recurrence of `stridiag._kernels.selected_inverse` for condensed chains, with w + 1 slots in place of three. Let
A_j be the matrix after the reflections up to column j of a segment. Row j of U and W, times the inverse of A_j, is a
row of the identity; that gives row j of the inverse from those of the w columns behind j and of the kept columns to
the left. Undoing the reflection, :math:`A_{j-1}^{-1} = A_j^{-1} H_j`, mixes the columns of its slots, and leaves that
of row j + l as it is in the inverse of A; the state holds all of its entries in the columns of that row of the band.
So the state is one table of 2 w + 1 rows and w + 1 columns, and a column of A costs about 12 w^2 operations. It starts
from the inverse of the reduced system.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_condensation import FIRST, LAST, LEFT_COLUMNS, LEFT_ROWS, RIGHT_ROWS
from stridiag._kernels.compile import kernel

__all__ = ["condensed_band_pattern"]

Array = NDArray[Any]


@kernel
def condensed_band_pattern(
    lower: int,
    segments: Array,
    rows: Array,
    link_start: Array,
    link_entries: Array,
    corner: Array,
    link_corner: Array,
    state: Array,
    out: Array,
) -> None:
    """Fill `out`, (n, w + 1), with the entries of the inverse's transpose in the band, at the rows of all segments.

    ``out[r, c]`` is the entry (r - l + c, r) of the inverse, and is left alone, or 0, outside of the class.

    `corner`, (segments, 2 w, w), and `link_corner`, (links of last rows, w), hold entries of the reduced inverse: in
    the rows of the kept columns left and right of the segment (and of the links' columns), and in the columns of the
    leftover slots; 0 where there is none. `state`, (2 w + 1, w + 1): work.
    """
    w = (rows.shape[1] - 2) // 3
    for s in range(segments.shape[0]):
        a, b = segments[s, FIRST], segments[s, LAST]
        left, k = segments[s, LEFT_ROWS], segments[s, LEFT_COLUMNS]
        m = left + lower + 1
        end = b + segments[s, RIGHT_ROWS]
        zero = rows[b, w] * 0
        # Rows: the columns j ... j + w of A, then the kept columns to the left. Columns: the slots of reflection j.
        for i in range(1, w + 1):
            for c in range(1, w + 1):
                state[c, i] = corner[s, w + c - 1, i - 1]
                state[w + c, i] = corner[s, c - 1, i - 1]
        for j in range(b, a - 1, -1):
            d = rows[j, w + 1]
            for i in range(1, m):
                t = zero
                for c in range(1, w + 1):
                    t += rows[j, w + 1 + c] * state[c, i]
                for c in range(k):
                    t += rows[j, 2 * w + 2 + c] * state[w + 1 + c, i]
                if j == b:
                    for link in range(link_start[s], link_start[s + 1]):
                        t += link_entries[link] * link_corner[link, i - 1]
                state[0, i] = -t / d
            for c in range(1, w + 1 + k):
                state[c, 0] = zero
            state[0, 0] = (zero + 1.0) / d
            for c in range(w + 1 + k):
                t = state[c, 0]
                for i in range(1, m):
                    t += state[c, i] * rows[j, i - 1]
                t *= rows[j, w]
                state[c, 0] -= t
                for i in range(1, m):
                    state[c, i] -= t * np.conj(rows[j, i - 1])
            if j + lower <= end:
                for c in range(w + 1):
                    out[j + lower, c] = state[c, m - 1]
            if j > a:
                for i in range(m - 1, 0, -1):
                    for c in range(w, 0, -1):
                        state[c, i] = state[c - 1, i - 1]
                    for c in range(k):
                        state[w + 1 + c, i] = state[w + 1 + c, i - 1]
        for i in range(m - 1):
            r = a - left + i
            if r <= end:
                for c in range(w + 1):
                    ahead = r - lower + c - a
                    if ahead >= 0:
                        out[r, c] = state[ahead, i]
                    elif ahead >= -k:
                        out[r, c] = state[w + 1 + k + ahead, i]
