r"""Columns of the inverse of long chains, near the diagonal: for `stridiag._kernels.linked_windows`.

Where errors decay, :math:`z = T^{-1} e_r` is next to nothing some dozen, or some hundred, rows away from r, and needs
no more of T than these. The rows above r are eliminated downwards, those below upwards, with interchanges
(`stridiag._kernels.lane_window_steps`), as if the chain ended beyond. Two rows are left over,
:math:`q_0 z_{r-1} + q_1 z_r = 0` and :math:`p_0 z_{r+1} + p_1 z_r = 0`; so, with a, d and c the entries of row r,

.. math:: (z_{r-1}, z_r, z_{r+1}) = (-q_1 p_0, q_0 p_0, -q_0 p_1) / (d q_0 p_0 - a q_1 p_0 - c q_0 p_1),

which the pivot rows carry on outwards.

A vector has a column in each lane; the sides of r are two streams, so that one computes while the other waits.

Cost: 11 operations a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, vector_kernel
from stridiag._kernels.lane_groups import aligned, group_size_of
from stridiag._kernels.lane_steps import optional
from stridiag._kernels.lane_window_steps import back, larger, step
from stridiag._kernels.vectors import gather, load, magnitude, scatter, store

__all__ = ["columns", "plain_columns"]

Array = NDArray[Any]


def plain_columns(
    dl: Array,
    d: Array,
    du: Array,
    stride: int,
    margin: int,
    rows: Array,
    near: Array | None,
    sizes: Array,
    ended: Array,
) -> None:
    """Do what `columns` does, one after another."""
    pivots = np.empty((margin, 2))
    for which in range(rows.size):
        row = rows[which]
        z = np.zeros(2 * margin + 1)
        sides: list[Any] = []
        for side in range(2):
            q: Any = (1.0, 0.0, None, None)
            for k in range(margin, 0, -1):
                n0, n1, n2 = _outside_in(dl, d, du, row + (2 * side - 1) * k * stride, stride, side)
                n0 = 0.0 if k == margin else n0
                q, kept, _ = step(True, q, n0, n1, n2, None, None, False)
                pivots[k - 1] = kept[:2]
            sides.append((*q[:2], pivots.copy()))
        (q0, q1, above), (p0, p1, below) = sides
        own = _at(dl, row - stride, 0.0), d[row], _at(du, row, 0.0)
        z[margin - 1], z[margin], z[margin + 1] = _middle(q0, q1, p0, p1, *own)
        for way, kept in ((-1, above), (1, below)):
            for k in range(1, margin):
                x1, x2 = z[margin + way * k], z[margin + way * (k - 1)]
                z[margin + way * (k + 1)] = back(True, 0.0, kept[k - 1, 0], kept[k - 1, 1], x1, x2)
        sizes[which] = np.abs(z).sum()
        ended[which] = max(abs(z[0]), abs(z[-1])) / np.abs(z).max()
        if near is not None:
            near[which] = z


@borrowing
def _at(array: Any, place: Any, outside: Any) -> Any:
    return array[place] if 0 <= place < array.size else outside


@borrowing
def _outside_in(dl: Any, d: Any, du: Any, at: Any, stride: Any, side: Any) -> Any:
    """Return a row's entries, the one nearest to the column's own row last."""
    before, behind = _at(dl, at - stride, 0.0), _at(du, at, 0.0)
    if side == 1:
        before, behind = behind, before
    return before, _at(d, at, 1.0), behind


@borrowing
def _middle(q0: Any, q1: Any, p0: Any, p1: Any, before: Any, own: Any, behind: Any) -> tuple[Any, Any, Any]:
    """Return the unknowns at the row and on both sides of it."""
    over_q, over_p = 1.0 / larger(magnitude(q0), magnitude(q1)), 1.0 / larger(magnitude(p0), magnitude(p1))
    q0, q1, p0, p1 = q0 * over_q, q1 * over_q, p0 * over_p, p1 * over_p
    over = 1.0 / (own * (q0 * p0) - before * (q1 * p0) - behind * (q0 * p1))
    return -(q1 * p0) * over, q0 * p0 * over, -(q0 * p1) * over


@borrowing
def _bring(
    array: Any, outside: Any, stride: Any, starts: Any, first: Any, shift: Any, safe: Any, tile: Any, place: Any
) -> None:
    """Bring as many rows of as many windows as a vector has lanes into the tile, `shift` behind their starts."""
    half = group_size_of(tile) // 2
    if safe and stride == 1:
        gather(array, starts, first, shift, tile, place, half)
    elif safe:
        for lane in range(half):
            at = np.uint64(starts[first + lane] + shift * stride)
            to = np.uint64(place + lane)
            for row in range(half):
                tile[to + np.uint64(row * half)] = array[at + np.uint64(row) * np.uint64(stride)]
    else:
        for lane in range(half):
            for row in range(half):
                at = starts[first + lane] + (shift + row) * stride
                tile[place + row * half + lane] = _at(array, at, outside)


@borrowing
def _kept(carried: Any, tile: Any, at: Any, part: Any, pivots: Any, to: Any, half: Any) -> Any:
    """Eliminate one column on one side, and keep the pivot row; return the row carried on."""
    n0, n1, n2 = load(tile, at), load(tile, at + part), load(tile, at + 2 * part)
    carried, kept, _ = step(True, carried, n0, n1, n2, None, None, None)
    store(pivots, to, kept[0])
    store(pivots, to + half, kept[1])
    return carried


_scattered = optional(
    lambda near, starts, first, shift, tile, place, half: None,
    lambda near, starts, first, shift, tile, place, half: scatter(near, starts, first, shift, tile, place, half),
)
_put = optional(lambda near, place, number: None, lambda near, place, number: _set(near, place, number))


@borrowing
def _set(near: Any, place: Any, number: Any) -> None:
    near.flat[place] = number


@vector_kernel(plain_columns)
def columns(
    dl: Array,
    d: Array,
    du: Array,
    stride: int,
    margin: int,
    rows: Array,
    near: Array | None,
    sizes: Array,
    ended: Array,
) -> None:
    """Compute columns of the inverse of T, `margin` rows to either side of the diagonal.

    Parameters
    ----------
    dl, d, du : ndarray, (n - stride,), (n,) and (n - stride,)
    stride, margin : int
        Margins are multiples of a vector's length.
    rows : ndarray of int64, (count,)
        Which columns.
    near : ndarray, (count, 2 margin + 1), or None
        Becomes each column, from `margin` places before its row to `margin` behind it, `stride` apart.
    sizes, ended : ndarray, (count,)
        Become the 1-norms of columns, and what their ends are of their largest entries.
    """
    half = group_size_of(d) // 2
    part = half * half
    # Where windows begin in the matrix, above and below their rows, and where these are in `near`.
    starts, places = np.empty(2 * half, np.int64), np.empty(half, np.int64)
    tile, pivots = np.empty(6 * part + half), np.empty(4 * half * margin + half)
    place, origin = aligned(tile), aligned(pivots)
    other = place + 3 * part
    # Pivot rows of one side behind those of the other.
    aside = origin + 2 * half * margin
    for first in range(0, rows.size, half):
        low, high = d.size, 0
        for lane in range(half):
            # In the last vector the last column stands in for those that are missing.
            which = min(first + lane, rows.size - 1)
            row = rows[which]
            starts[lane], starts[half + lane] = row - margin * stride, row + stride
            places[lane] = which * (2 * margin + 1) + margin
            tile[place + lane] = _at(dl, row - stride, 0.0)
            tile[place + half + lane] = d[row]
            tile[place + 2 * half + lane] = _at(du, row, 0.0)
            low, high = min(low, row), max(high, row)
        safe = low >= (margin + 1) * stride and high + (margin + 1) * stride < d.size
        before, own, behind = load(tile, place), load(tile, place + half), load(tile, place + 2 * half)
        zero = own * 0.0
        q: Any = (zero + 1.0, zero, None, None)
        p: Any = (zero + 1.0, zero, None, None)
        for k in range(margin - half, -1, -half):
            # Above from the first of these rows to the last, below from the last to the first.
            top = margin - half - k
            _bring(dl, 0.0, stride, starts, 0, top - 1, safe, tile, place)
            _bring(d, 1.0, stride, starts, 0, top, safe, tile, place + part)
            _bring(du, 0.0, stride, starts, 0, top, safe, tile, place + 2 * part)
            _bring(du, 0.0, stride, starts, half, k, safe, tile, other)
            _bring(d, 1.0, stride, starts, half, k, safe, tile, other + part)
            _bring(dl, 0.0, stride, starts, half, k - 1, safe, tile, other + 2 * part)
            if k == margin - half:
                # Beyond are zeros.
                store(tile, place, zero)
                store(tile, other + part - half, zero)
            for step_ in range(half):
                back_at = half - 1 - step_
                to = 2 * half * (k + back_at)
                q = _kept(q, tile, place + step_ * half, part, pivots, origin + to, half)
                p = _kept(p, tile, other + back_at * half, part, pivots, aside + to, half)
        x1, x2, y1 = _middle(q[0], q[1], p[0], p[1], before, own, behind)
        y2 = x2
        store(tile, place, x2)
        for lane in range(half):
            _put(near, places[lane], tile[place + lane])
        total = peak = magnitude(x2)
        for k in range(0, margin, half):
            for row in range(half):
                if k + row > 0:
                    at = 2 * half * (k + row - 1)
                    u, w = load(pivots, origin + at), load(pivots, origin + at + half)
                    s, t = load(pivots, aside + at), load(pivots, aside + at + half)
                    x1, x2 = back(True, 0.0, u, w, x1, x2), x1
                    y1, y2 = back(True, 0.0, s, t, y1, y2), y1
                store(tile, place + (half - 1 - row) * half, x1)
                store(tile, other + row * half, y1)
                total = total + (magnitude(x1) + magnitude(y1))
                peak = larger(peak, larger(magnitude(x1), magnitude(y1)))
            _scattered(near, places, 0, -k - half, tile, place, half)
            _scattered(near, places, 0, k + 1, tile, other, half)
        store(tile, place, total)
        store(tile, place + half, larger(magnitude(x1), magnitude(y1)) / peak)
        for lane in range(min(half, rows.size - first)):
            sizes[first + lane] = tile[place + lane]
            ended[first + lane] = tile[place + half + lane]
