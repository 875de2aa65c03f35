r"""What is measured before chains are solved in windows, and checked afterwards: see `stridiag._kernels.lane_windows`.

`decay` and `reach` look at a few rows, and tell how wide margins have to be: for pivots as they come by the
multipliers, for interchanges by what a right-hand side in a window's first row comes to further on. `disagreeing` tells
where the windows do not fit together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.lane_window_rows import first_place
from stridiag._kernels.lane_window_steps import SLACK

__all__ = ["AHEAD", "BEHIND", "BELOW", "WITHIN", "decay", "disagreeing", "reach"]

Array = NDArray[Any]

AHEAD, BEHIND, WITHIN, BELOW = range(4)
"""Of a window: its unknown behind the last row of its piece, and the one before the first; and the largest magnitudes
of unknowns in some windows of its group: in their pieces, and as far below these as a row is carried."""


@kernel
def decay(dl: Array, d: Array, du: Array, stride: int, rows: int, block: int) -> float:
    """Return by how much an error shrinks over `block` rows, the worst case over the first `rows` of a chain.

    NaN if a pivot cannot be trusted: see `stridiag._kernels.lane_window_steps`.
    """
    worst = 0.0
    q0, q1 = d[0], du[0]
    for first in range(0, rows - block, block):
        up = down = 1.0
        for row in range(first, first + block):
            n0 = dl[row * stride]
            if not min(abs(n0), abs(q1)) < abs(q0) * SLACK:
                return math.nan
            m = n0 / q0
            up *= abs(q1 / q0)
            down *= abs(m)
            q0, q1 = d[(row + 1) * stride] - m * q1, du[(row + 1) * stride]
        worst = max(worst, up, down)
        if not (up < np.inf and down < np.inf):
            return math.nan
    return worst


@borrowing
def _reach_one_way(below: Any, d: Any, beside: Any, stride: Any, shift: Any, place: Any, rows: Any, limit: Any) -> Any:
    q0, q1 = d[place], beside[place + shift]
    qb = max(abs(q0), abs(q1))
    for row in range(rows):
        if abs(qb) <= limit * max(abs(q0), abs(q1)):
            return row
        n0 = below[place + shift]
        place += stride
        n1, n2 = d[place], beside[place + shift]
        if abs(n0) > abs(q0):
            m = q0 / n0
            q0, q1, qb = q1 - m * n1, -m * n2, qb
        else:
            m = n0 / q0
            q0, q1, qb = n1 - m * q1, n2, -m * qb
    return rows


@kernel
def reach(dl: Array, d: Array, du: Array, stride: int, places: int, rows: int, limit: float) -> int:
    """Return over how many rows an error shrinks to `limit`, the worst case at some places; at most `rows`.

    A right-hand side that is zero but in a window's first row is eliminated with row interchanges, until the row
    carried on has nearly none of it; downwards, and upwards. The places are far from one another and from the ends, in
    different chains if there are some: `rows` + 2 times `places` times `stride` are at most half of the matrix.
    """
    worst = 0
    for k in range(places):
        place = (2 * k + 1) * (d.size // stride) // (2 * places) * stride + k % stride
        worst = max(worst, _reach_one_way(dl, d, du, stride, 0, place, rows, limit))
        worst = max(worst, _reach_one_way(du, d, dl, -stride, -stride, place, rows, limit))
        if worst == rows:
            break
    return worst


@borrowing
def _changes_little(entry_beside: Any, entry: Any, used: Any, own: Any, x: Any, limit: Any) -> Any:
    """Return whether a row's residual is as good with a neighbor's unknown as with its own."""
    # Equal they are, as a rule. Accepts the good, so that NaN is none.
    return used == own or abs(entry_beside * (used - own)) <= limit * (abs(entry * x) + abs(entry_beside * used))


@kernel
def disagreeing(
    dl: Array,
    d: Array,
    du: Array,
    stride: int,
    piece: int,
    x: Array,
    borders: Array,
    limit: float,
    groups: Array,
) -> int:
    """Note in `groups` which of them differ from neighbors, where pieces meet; return how many do.

    They do if the difference changes a row's residual by more than `limit` times the magnitudes of the row.
    """
    n, size = d.size, borders.shape[2]
    count = 0
    for group in range(borders.shape[0]):
        fits = True
        for lane in range(size):
            first = first_place(stride, size, piece, 0, group, lane)
            last = first + (piece - 1) * stride
            before, below = first - stride, last + stride
            if below < n:
                own = borders[group, AHEAD, lane]
                fits = fits and _changes_little(du[last], d[last], x[below], own, x[last], limit)
            if before >= 0 and first < n:
                own = borders[group, BEHIND, lane]
                fits = fits and _changes_little(dl[before], d[first], x[before], own, x[first], limit)
        if not fits:
            groups[count] = group
            count += 1
    return count
