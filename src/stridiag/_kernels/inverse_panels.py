"""The dense inverse by panels of 32 columns, four vectors, written as the back substitution goes along.

A row of a panel is written at once, past the caches if the result is large; of what has been written, the next rows
need the last few, which are in registers or in the cache. Instead of dividing 32 numbers by a pivot they are
multiplied by its reciprocal: one division for a row of a panel, and one rounding more. What would be subnormal becomes
zero, since some processors take a hundred times as long for it.

Panels begin where the result's addresses are multiples of 64 bytes; so the first one and the last one may stick out,
and what sticks out is not written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2, TAU, U1, U2, V2, W1, W2, D
from stridiag._kernels.vectors import choose, less, load, magnitude, store, store_past_caches

__all__ = ["WIDTH", "band_panels", "condensed_panels"]

Array = NDArray[Any]
Index = NDArray[np.int64]

WIDTH = 32
"""Columns of a panel."""
_LANES = 8
_NORMAL = 2.0**-1022


@inlined
def _normal(x: Any) -> Any:
    """Return a number, or 0 in place of a subnormal one."""
    return choose(less(magnitude(x), _NORMAL), x * 0.0, x)


@kernel
def band_panels(
    rows: Array,
    lower: Array,
    pivots: Array,
    order: Index,
    place: Index,
    begin: int,
    past: bool,
    first: int,
    last: int,
    work: Array,
    out: Array,
) -> None:
    """Fill panels of `out`, (n, n), with the inverse, from the factors of `stridiag._kernels.band_lu`.

    Parameters
    ----------
    rows, lower, pivots : ndarray
    order, place : ndarray of int64, (n,)
        Original index of each row of the band, and the row of each original index.
    begin : int
        Column at which panel 0 begins, at most 0.
    past : bool
        Whether to write past the caches: addresses in `out` at ``begin``, modulo 8, are multiples of 64 in every row.
    first, last : int
    work : ndarray, (n, 32)
    """
    n, w = rows.shape
    kl = lower.shape[1]
    for panel in range(first, last):
        column = begin + panel * WIDTH
        inside = column >= 0 and column + WIDTH <= n
        start = n
        for c in range(max(column, 0), min(column + WIDTH, n)):
            start = min(start, place[c])
        # An interchange brings a row up by at most kl.
        start = max(start - kl, 0)
        for i in range(start, n):
            for c in range(WIDTH):
                work[i, c] = 0.0
        for c in range(max(column, 0), min(column + WIDTH, n)):
            work[place[c], c - column] = 1.0
        for i in range(start, n):
            at, other = i * WIDTH, (i + pivots[i]) * WIDTH
            x, y, z, t = (
                load(work, other),
                load(work, other + _LANES),
                load(work, other + 2 * _LANES),
                load(work, other + 3 * _LANES),
            )
            if other != at:
                for k in range(0, WIDTH, _LANES):
                    store(work, other + k, load(work, at + k))
                store(work, at, x)
                store(work, at + _LANES, y)
                store(work, at + 2 * _LANES, z)
                store(work, at + 3 * _LANES, t)
            for k in range(1, min(kl, n - 1 - i) + 1):
                factor, below = lower[i, k - 1], at + k * WIDTH
                store(work, below, load(work, below) - factor * x)
                store(work, below + _LANES, load(work, below + _LANES) - factor * y)
                store(work, below + 2 * _LANES, load(work, below + 2 * _LANES) - factor * z)
                store(work, below + 3 * _LANES, load(work, below + 3 * _LANES) - factor * t)
        for i in range(n - 1, -1, -1):
            at = i * WIDTH
            if i < start:
                for k in range(0, WIDTH, _LANES):
                    store(work, at + k, load(work, start * WIDTH + k) * 0.0)
            x, y, z, t = (
                load(work, at),
                load(work, at + _LANES),
                load(work, at + 2 * _LANES),
                load(work, at + 3 * _LANES),
            )
            for k in range(min(w, n - i) - 1, 0, -1):
                entry, known = rows[i, k], at + k * WIDTH
                x = x - entry * load(work, known)
                y = y - entry * load(work, known + _LANES)
                z = z - entry * load(work, known + 2 * _LANES)
                t = t - entry * load(work, known + 3 * _LANES)
            share = 1.0 / rows[i, 0]
            x, y, z, t = _normal(x * share), _normal(y * share), _normal(z * share), _normal(t * share)
            store(work, at, x)
            store(work, at + _LANES, y)
            store(work, at + 2 * _LANES, z)
            store(work, at + 3 * _LANES, t)
            target = order[i] * n + column
            if inside and past:
                store_past_caches(out, target, x)
                store_past_caches(out, target + 8, y)
                store_past_caches(out, target + 16, z)
                store_past_caches(out, target + 24, t)
            elif inside:
                store(out, target, x)
                store(out, target + 8, y)
                store(out, target + 16, z)
                store(out, target + 24, t)
        if not inside:
            for i in range(n):
                for c in range(max(column, 0), min(column + WIDTH, n)):
                    out[order[i], c] = work[i, c - column]


@inlined
def _interior(
    y: Any, near: Any, far: Any, left: Any, beyond: Any, u1: Any, u2: Any, w1: Any, w2: Any, share: Any
) -> Any:
    # What has been known for longest comes first: the row before is still on its way.
    return _normal((y - w1 * beyond - w2 * left - u2 * far - u1 * near) * share)


@kernel
def condensed_panels(
    rows: Array,
    segment_first: Index,
    segment_last: Index,
    kept: Index,
    columns: Index,
    link_start: Index,
    link_kept: Index,
    link_values: Array,
    touched_first: int,
    touched_last: int,
    x: Array,
    z: Array,
    begin: int,
    past: bool,
    first: int,
    last: int,
    work: Array,
    out: Array,
) -> None:
    """Fill panels of `out`, (n, n), with rows of the inverse in chain order.

    As `stridiag._kernels.condensed_sides.back_substitute`, for one chain, given the kept rows `z`, (k, m), of some
    columns of the inverse; m is a multiple of 32.

    Parameters
    ----------
    touched_first, touched_last : int
        Segments in whose rows `x`, (n, m), may be other than zero.
    begin : int
        Column of `out` where x begins; see `band_panels`, also for `past`.
    first, last : int
        Panels of x.
    work : ndarray, (n, 32)
        It begins with 8 finite numbers.
    """
    n, m = x.shape
    zero = load(work, 0) * 0.0
    for panel in range(first, last):
        at = panel * WIDTH
        column = begin + at
        inside = column >= 0 and column + WIDTH <= n
        low, high = max(column, 0), min(column + WIDTH, n)
        for k in range(columns.size):
            for c in range(low, high):
                out[columns[k], c] = z[k, c - begin]
        for s in range(segment_first.size):
            left2, left1, right1, right2 = kept[s, LEFT2], kept[s, LEFT1], kept[s, RIGHT1], kept[s, RIGHT2]
            a0 = b0 = c0 = d0 = zero
            a1 = b1 = c1 = d1 = zero
            a2 = b2 = c2 = d2 = zero
            a3 = b3 = c3 = d3 = zero
            shift = 0
            # near, far, left and beyond: rows j + 1, j + 2, first - 1 and first - 2.
            if right1 >= 0:
                p = right1 * m + at
                a0, a1, a2, a3 = load(z, p), load(z, p + 8), load(z, p + 16), load(z, p + 24)
            if right2 >= 0:
                p = right2 * m + at
                b0, b1, b2, b3 = load(z, p), load(z, p + 8), load(z, p + 16), load(z, p + 24)
            if left1 >= 0:
                shift = 1
                p = left1 * m + at
                c0, c1, c2, c3 = load(z, p), load(z, p + 8), load(z, p + 16), load(z, p + 24)
            if left2 >= 0:
                p = left2 * m + at
                d0, d1, d2, d3 = load(z, p), load(z, p + 8), load(z, p + 16), load(z, p + 24)
            last_row = segment_last[s]
            touched = touched_first <= s < touched_last
            for j in range(last_row, segment_first[s] - 1, -1):
                u1, u2, w1, w2 = rows[j, U1], rows[j, U2], rows[j, W1], rows[j, W2]
                share = 1.0 / rows[j, D]
                y0 = y1 = y2 = y3 = zero
                if touched:
                    p = (j - shift) * m + at
                    y0, y1, y2, y3 = load(x, p), load(x, p + 8), load(x, p + 16), load(x, p + 24)
                if j == last_row:
                    enters = -rows[j, TAU] * rows[j, V2]
                    for link in range(link_start[s], link_start[s + 1]):
                        factor, p = enters * link_values[link], link_kept[link] * m + at
                        y0 = y0 - factor * load(z, p)
                        y1 = y1 - factor * load(z, p + 8)
                        y2 = y2 - factor * load(z, p + 16)
                        y3 = y3 - factor * load(z, p + 24)
                y0 = _interior(y0, a0, b0, c0, d0, u1, u2, w1, w2, share)
                y1 = _interior(y1, a1, b1, c1, d1, u1, u2, w1, w2, share)
                y2 = _interior(y2, a2, b2, c2, d2, u1, u2, w1, w2, share)
                y3 = _interior(y3, a3, b3, c3, d3, u1, u2, w1, w2, share)
                b0, b1, b2, b3 = a0, a1, a2, a3
                a0, a1, a2, a3 = y0, y1, y2, y3
                target = j * n + column
                if inside and past:
                    store_past_caches(out, target, y0)
                    store_past_caches(out, target + 8, y1)
                    store_past_caches(out, target + 16, y2)
                    store_past_caches(out, target + 24, y3)
                elif inside:
                    store(out, target, y0)
                    store(out, target + 8, y1)
                    store(out, target + 16, y2)
                    store(out, target + 24, y3)
                else:
                    target = j * WIDTH
                    store(work, target, y0)
                    store(work, target + 8, y1)
                    store(work, target + 16, y2)
                    store(work, target + 24, y3)
            if not inside:
                for j in range(segment_first[s], last_row + 1):
                    for c in range(low, high):
                        out[j, c] = work[j, c - column]
