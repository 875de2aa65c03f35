r"""LU of a sparse matrix whose pivots are chosen as the elimination goes, by Markowitz's rule.

The entries of a row that go with a pivot, and those of its column, are :math:`r` and :math:`c`; that with the least
:math:`(r - 1)(c - 1)` among those looked at is taken whose magnitude is `threshold` of the largest of its row, or more.
Lines with the fewest entries are looked at first, `_LINES` of them at most. What a link couples it couples in one
direction, so rows and columns fill at different rates; an order for the pattern of :math:`A + A^H` sees nothing of it,
and ends with a dense rest of about twice the order. The rest is eliminated as a dense matrix, by
`stridiag._kernels.front_lu`, once a share of it is filled.

Rows keep their entries in one pool, and move to its end when they outgrow their place: those of pivots are then rows of
U. The columns of L go into a pool of their own, one behind the other. `stridiag._kernels.markowitz_solve` puts both in
the order of use.

Cost: depends on the numbers.

References: H. M. Markowitz, Management Science 3 (1957) 255-269; I. S. Duff, A. M. Erisman and J. K. Reid, *Direct
Methods for Sparse Matrices*, 2nd ed., Oxford 2017, chapters 7 and 10; Z. Zlatev, SIAM J. Numer. Anal. 17 (1980) 18-30
(looking at few lines).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel
from stridiag._kernels.front_block import PANEL
from stridiag._kernels.front_lu import _eliminate, row_step
from stridiag._kernels.front_order import _link, _unlink
from stridiag._kernels.stretches import clear

__all__ = ["BUFFER", "DONE", "LISTS", "SIZE", "START", "eliminate", "factor_rest"]

Array = NDArray[Any]

_LINES = 4
"""Rows and columns that are looked at for a pivot."""

_SLACK = 4
"""Entries that a row, and a column, may gain before it moves."""

BUFFER = PANEL

START, SIZE, ROOM, HEAD, NEXT, PREVIOUS, DONE = range(7)
LISTS = 7
"""Rows of a table of lines: where each begins in its pool, its entries, how many it has room for, lists of the lines
with so many entries, and the place of each among the pivots, or -1."""


@borrowing
def _lay_out(
    pointers: Array,
    columns: Array,
    places: Array,
    used: Array,
    data: Array,
    rows: Array,
    cols: Array,
    row_columns: Array,
    row_values: Array,
    column_rows: Array,
) -> tuple[int, int, int]:
    """Put the used entries into rows and columns; return how far the pools are filled, and how many there are."""
    n = pointers.size - 1
    for k in range(n):
        cols[SIZE, k] = 0
    top = active = 0
    for row in range(n):
        rows[START, row] = top
        for e in range(pointers[row], pointers[row + 1]):
            place = places[e]
            if used[place]:
                row_columns[top] = columns[e]
                row_values[top] = data[place]
                cols[SIZE, columns[e]] += 1
                top += 1
        rows[SIZE, row] = top - rows[START, row]
        active += rows[SIZE, row]
        rows[ROOM, row] = rows[SIZE, row] + _SLACK
        top = rows[START, row] + rows[ROOM, row]
    end = 0
    for k in range(n):
        cols[START, k] = end
        cols[ROOM, k] = cols[SIZE, k] + _SLACK
        end += cols[ROOM, k]
        cols[SIZE, k] = 0
    for row in range(n):
        for e in range(rows[START, row], rows[START, row] + rows[SIZE, row]):
            k = row_columns[e]
            column_rows[cols[START, k] + cols[SIZE, k]] = row
            cols[SIZE, k] += 1
    for lines in (rows, cols):
        for k in range(n):
            lines[HEAD, k] = -1
            lines[DONE, k] = -1
        for k in range(n - 1, -1, -1):
            # None has more entries than n; one that is full counts as having one less.
            _link(k, min(lines[SIZE, k], n - 1), lines[HEAD], lines[NEXT], lines[PREVIOUS])
    return top, end, active


@borrowing
def _unlist(lines: Array, k: Any) -> None:
    _unlink(k, min(lines[SIZE, k], lines.shape[1] - 1), lines[HEAD], lines[NEXT], lines[PREVIOUS])


@borrowing
def _list(lines: Array, k: Any) -> None:
    _link(k, min(lines[SIZE, k], lines.shape[1] - 1), lines[HEAD], lines[NEXT], lines[PREVIOUS])


@borrowing
def _largest(values: Array, first: Any, last: Any) -> float:
    largest = 0.0
    for e in range(first, last):
        largest = max(largest, abs(values[e]))
    return largest


@borrowing
def _choose(
    rows: Array, cols: Array, row_columns: Array, row_values: Array, column_rows: Array, threshold: float
) -> tuple[int, int]:
    """Return the row of a pivot, and where it stands in the pool; -1 if there is none."""
    n = rows.shape[1]
    best_row, best_at, best = -1, -1, n * n
    looked = 0
    for count in range(1, n + 1):
        if best <= (count - 1) * (count - 1):
            break
        row = rows[HEAD, min(count, n - 1)]
        while row >= 0 and (looked < _LINES or best_row < 0) and best > (count - 1) * (count - 1):
            first, last = rows[START, row], rows[START, row] + rows[SIZE, row]
            least = threshold * _largest(row_values, first, last)
            for e in range(first, last):
                merit = (count - 1) * (cols[SIZE, np.uint64(row_columns[np.uint64(e)])] - 1)
                if merit < best and 0.0 < abs(row_values[np.uint64(e)]) >= least:
                    best, best_row, best_at = merit, row, e
            looked += 1
            row = rows[NEXT, row]
        if best <= count * (count - 1):
            break
        column = cols[HEAD, min(count, n - 1)]
        while column >= 0 and (looked < _LINES or best_row < 0) and best > (count - 1) * (count - 1):
            begin = cols[START, column]
            for f in range(begin, begin + cols[SIZE, column]):
                row = column_rows[np.uint64(f)]
                merit = (count - 1) * (rows[SIZE, row] - 1)
                if merit < best:
                    first, last = rows[START, row], rows[START, row] + rows[SIZE, row]
                    at = first
                    while row_columns[np.uint64(at)] != column:
                        at += 1
                    if 0.0 < abs(row_values[at]) >= threshold * _largest(row_values, first, last):
                        best, best_row, best_at = merit, row, at
            looked += 1
            column = cols[NEXT, column]
        if looked >= _LINES and best_row >= 0:
            break
    return best_row, best_at


@borrowing_kernel
def eliminate(
    pointers: Array,
    columns: Array,
    places: Array,
    used: Array,
    data: Array,
    threshold: float,
    share: float,
    rows: Array,
    cols: Array,
    row_columns: Array,
    row_values: Array,
    column_rows: Array,
    seen: Array,
    spread: Array,
    order: Array,
    pivots: Array,
    ends: Array,
    lower_rows: Array,
    lower: Array,
) -> int:
    """Eliminate until a share of what is left is filled; return how many pivots that took, or -1.

    That is -1 where a row has no pivot, or a pool is too short.

    Parameters
    ----------
    pointers, columns, places
        The rows of the pattern: see `stridiag._kernels.front_order.row_sets`.
    used : (entries,)
        Whether each entry counts.
    data : (entries,)
    threshold, share : float
    rows, cols : (LISTS, n)
        Become the lines.
    row_columns, row_values, column_rows : (room,)
        Pools: become the entries of the rows, pivot rows without their pivots, and the rows of the columns.
    seen, spread : (n,)
        Work space.
    order, pivots : (2, n) and (n,)
        Become the rows and the columns of the pivots, and these.
    ends, lower_rows, lower : (n,), (room,) and (room,)
        Become where the columns of L end, their rows and their entries.
    """
    # Sometimes unsigned: see `stridiag._kernels.front_order`.
    e: Any
    k: Any
    n = pointers.size - 1
    top, end, active = _lay_out(pointers, columns, places, used, data, rows, cols, row_columns, row_values, column_rows)
    for k in range(n):
        seen[k] = -1
        spread[k] = 0.0
    ticks = down = 0
    for step in range(n):
        left = n - step
        if active >= share * left * left:
            return step
        row, at = _choose(rows, cols, row_columns, row_values, column_rows, threshold)
        if row < 0:
            return -1
        column, pivot = row_columns[at], row_values[at]
        if not abs(pivot) < np.inf:
            return -1
        order[0, step], order[1, step], pivots[step] = row, column, pivot
        rows[DONE, row] = cols[DONE, column] = step
        _unlist(rows, row)
        _unlist(cols, column)
        first, width = rows[START, row], rows[SIZE, row] - 1
        row_columns[at], row_values[at] = row_columns[first + width], row_values[first + width]
        rows[SIZE, row] = width
        for e in range(first, first + width):
            k = np.uint64(row_columns[np.uint64(e)])
            spread[k] = row_values[np.uint64(e)]
            _unlist(cols, k)
            place = np.uint64(cols[START, k])
            while column_rows[place] != row:
                place += np.uint64(1)
            cols[SIZE, k] -= 1
            column_rows[place] = column_rows[np.uint64(cols[START, k] + cols[SIZE, k])]
        active -= width + cols[SIZE, column]
        inverse = 1.0 / pivot
        for f in range(cols[START, column], cols[START, column] + cols[SIZE, column]):
            other = np.uint64(column_rows[np.uint64(f)])
            if other == row:
                continue
            _unlist(rows, other)
            begin, size = rows[START, other], rows[SIZE, other]
            e = np.uint64(begin)
            while row_columns[e] != column:
                e += np.uint64(1)
            factor = row_values[e] * inverse
            size -= 1
            row_columns[e], row_values[e] = row_columns[np.uint64(begin + size)], row_values[np.uint64(begin + size)]
            for e in range(begin, begin + size):
                k = np.uint64(row_columns[np.uint64(e)])
                seen[k] = ticks
                row_values[np.uint64(e)] -= factor * spread[k]
            if size + width > rows[ROOM, other]:
                # To the end of the pool, with room for half as much again.
                room = size + width + (size + width) // 2
                if top + room > row_columns.size:
                    return -1
                for e in range(size):
                    row_columns[np.uint64(top + e)] = row_columns[np.uint64(begin + e)]
                    row_values[np.uint64(top + e)] = row_values[np.uint64(begin + e)]
                rows[START, other], rows[ROOM, other] = top, room
                begin = top
                top += room
            before = size
            for e in range(first, first + width):
                k = np.uint64(row_columns[np.uint64(e)])
                if seen[k] != ticks:
                    row_columns[np.uint64(begin + size)] = k
                    row_values[np.uint64(begin + size)] = -factor * spread[k]
                    size += 1
                    count = cols[SIZE, k]
                    if count == cols[ROOM, k]:
                        if end + 2 * count > column_rows.size:
                            return -1
                        source = cols[START, k]
                        for g in range(count):
                            column_rows[np.uint64(end + g)] = column_rows[np.uint64(source + g)]
                        cols[START, k], cols[ROOM, k] = end, 2 * count
                        end += 2 * count
                    column_rows[np.uint64(cols[START, k] + count)] = other
                    cols[SIZE, k] = count + 1
            active += size - before
            ticks += 1
            rows[SIZE, other] = size
            _list(rows, other)
            if down == lower.size:
                return -1
            lower_rows[down] = other
            lower[down] = factor
            down += 1
        ends[step] = down
        for e in range(first, first + width):
            k = np.uint64(row_columns[np.uint64(e)])
            spread[k] = 0.0
            _list(cols, k)
    return n


@borrowing_kernel
def factor_rest(
    rows: Array,
    cols: Array,
    row_columns: Array,
    row_values: Array,
    ids: Array,
    place: Array,
    buffer: Array,
    a: Array,
) -> bool:
    """Factor what `eliminate` has left, as a dense matrix with row interchanges; return whether it has all pivots.

    Parameters
    ----------
    rows, cols, row_columns, row_values
        From `eliminate`.
    ids : (2, left)
        Become its rows, in the order of the pivots, and its columns.
    place, buffer : (n,), (BUFFER,)
        Work space.
    a : (left * row_step(left),)
        Become L and U, by rows.
    """
    n, left = rows.shape[1], ids.shape[1]
    step = row_step(left)
    clear(a, 0, left * step)
    count = 0
    for k in range(n):
        if cols[DONE, k] < 0:
            ids[1, count] = k
            place[k] = count
            count += 1
    count = 0
    for row in range(n):
        if rows[DONE, row] < 0:
            ids[0, count] = row
            for e in range(rows[START, row], rows[START, row] + rows[SIZE, row]):
                a[count * step + place[row_columns[e]]] = row_values[e]
            count += 1
    return bool(_eliminate(a, step, left, left, 0.0, ids[0], ids[1], buffer) == left)
