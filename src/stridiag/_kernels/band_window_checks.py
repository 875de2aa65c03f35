"""What is measured before bands are solved in windows, and checked afterwards: see `stridiag._kernels.band_windows`.

`reach` looks at the first rows, and tells how wide margins have to be. `disagreeing` tells where windows do not fit
together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.lane_window_steps import SLACK

__all__ = ["disagreeing", "number_at", "reach"]

Array = NDArray[Any]


@borrowing
def number_at(flat: Any, base: Any, n: Any, i: Any, d: Any, lower: Any) -> Any:
    """Return the number (i, i - lower + d) of the band, or of the identity around it."""
    if base[d] != ABSENT and 0 <= i < n and 0 <= i - lower + d < n:
        return flat[base[d] + i]
    # Of a row of the band there is nothing beyond the last column.
    return 1.0 if d == lower and not 0 <= i < n else 0.0


@kernel
def reach(flat: Array, base: Array, lower: int, n: int, rows: int, limit: float) -> int:
    """Return over how many rows an error shrinks to `limit`, the worst case among the first `rows`; at most `rows`.

    Also `rows` if a pivot is not to be trusted. An error that is the same in all of as many rows as the band is wide is
    carried on, down by elimination and up by substitution, until it has shrunk, and again from there.
    """
    upper = base.size - 1 - lower
    # Of row i: what elimination and what substitution multiply by, row lower + i.
    down, up = np.zeros((lower + rows, lower)), np.zeros((lower + rows, upper))
    new = np.empty(lower + upper + 1)
    for i in range(rows):
        for d in range(lower + upper + 1):
            new[d] = number_at(flat, base, n, i, d, lower)
        for k in range(lower):
            for d in range(upper):
                new[k + 1 + d] -= new[k] * up[i + k, d]
        over = 1.0 / new[lower]
        total = 0.0
        for d in range(upper):
            up[lower + i, d] = new[lower + 1 + d] * over
            total += abs(up[lower + i, d])
        if not total < SLACK:
            return rows
        for k in range(lower):
            down[lower + i, k] = new[k] * over
    last = np.empty(max(lower, upper))
    worst: int = max(_shrinking(down, last, lower, rows, limit, 1), _shrinking(up, last, lower, rows, limit, -1))
    return worst


@borrowing
def _shrinking(by: Any, last: Any, lower: Any, rows: Any, limit: Any, way: Any) -> Any:
    """Return how many rows an error takes to shrink one way; `last` is work space for the latest errors."""
    width = by.shape[1]
    last[:width] = 1.0
    worst = since = 0
    for step in range(rows):
        row = lower + (step if way > 0 else rows - 1 - step)
        value = 0.0
        for k in range(width):
            value -= by[row, width - 1 - k if way > 0 else k] * last[k]
        since += 1
        largest = abs(value)
        for k in range(width - 1, 0, -1):
            last[k] = last[k - 1]
            largest = max(largest, abs(last[k]))
        last[0] = value
        if largest <= limit:
            worst, since = max(worst, since), 0
            last[:width] = 1.0
    return rows if worst == 0 else max(worst, since)


@borrowing
def _changes_little(
    flat: Any,
    base: Any,
    lower: Any,
    i: Any,
    first: Any,
    past: Any,
    x: Any,
    borders: Any,
    group: Any,
    lane: Any,
    limit: Any,
) -> Any:
    """Return whether row i's residual is as good with the neighbors' unknowns as with the piece's own."""
    n, upper = x.size, base.size - 1 - lower
    change = total = 0.0
    for d in range(base.size):
        j = i - lower + d
        if base[d] == ABSENT or not 0 <= j < n:
            continue
        entry = flat[base[d] + i]
        total += abs(entry * x[j])
        if j >= past:
            change += abs(entry * (x[j] - borders[group, j - past, lane]))
        elif j < first:
            change += abs(entry * (x[j] - borders[group, upper + first - 1 - j, lane]))
    # Accepts the good, so that NaN is none.
    return change <= limit * total


@kernel
def disagreeing(
    flat: Array, base: Array, lower: int, piece: int, x: Array, borders: Array, limit: float, groups: Array
) -> int:
    """Note in `groups` which of them differ from neighbors, where pieces meet; return how many do.

    They do if the difference changes a row's residual by more than `limit` times the magnitudes of the row.
    """
    n, upper, size = x.size, base.size - 1 - lower, borders.shape[2]
    count = 0
    for group in range(borders.shape[0]):
        fits = True
        for lane in range(size):
            first = (group * size + lane) * piece
            if first >= n:
                break
            past = min(first + piece, n)
            # Equal they are, as a rule.
            same = True
            for k in range(upper):
                same = same and (past + k >= n or x[past + k] == borders[group, k, lane])
            for k in range(lower):
                same = same and (first - 1 - k < 0 or x[first - 1 - k] == borders[group, upper + k, lane])
            if same:
                continue
            for k in range(lower):
                i = first + k
                fits = fits and _changes_little(flat, base, lower, i, first, past, x, borders, group, lane, limit)
            for k in range(upper):
                i = past - 1 - k
                fits = fits and _changes_little(flat, base, lower, i, first, past, x, borders, group, lane, limit)
        if not fits:
            groups[count] = group
            count += 1
    return count
