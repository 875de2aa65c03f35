r"""LU with partial pivoting in a window that moves along the diagonal: for bands with some links far off.

.. math:: P A Q = L U

The columns, in an order Q that the plan decides, are eliminated in panels of `PANEL`. A row enters the window when the
first of its columns is eliminated, and leaves it as a pivot row; so the candidates of a step are all rows that have
something in its column, and this is Gaussian elimination with partial pivoting of A Q. A column comes into the window
with the first row that has an entry in it. What the window holds is known from the structure, whichever rows are
chosen: so many rows enter and leave.

**Columns** have *slots*. Those of the next panels stand in a ring, a block for each panel: block ``t % ring`` for panel
t. Columns that rows need before their panel has come into the ring have slots in front of it, and are brought to their
block when it comes. **Rows** have *places*. Those that enter take what is free, the first ones; as soon as the rows
fit into fewer places, the last ones move. So nothing moves with the window but these few.

==========  ==============================================  ============================================================
array       shape                                           holds
==========  ==============================================  ============================================================
``lower``   for panel t: (PANEL, heights[t])                L's columns: multipliers of the rows at all places
``upper``   for panel t: (PANEL, width of t)                U's rows behind their pivots, by slots from ``firsts[t]`` on
``pivots``  (n,)                                            the pivots
``chosen``  (n,)                                            places of the pivot rows
``origin``  (n,)                                            which row of A each pivot row is
``taken``   (n,)                                            places that rows took, in the order in which they entered
``moved``   (moves, 2)                                      places from which, and to which, rows were moved
``until``   (panels + 1,)                                   how many moves there were before each panel
==========  ==============================================  ============================================================

Multipliers at places without a row are zero, as are numbers of U in slots without a column. In the last panel, what
belongs to no column of the matrix is zero.

Cost: at most, for a panel with h places and w slots, 8 + 64 h + 56 w + 16 h w operations.

References: B. M. Irons, A frontal solution program for finite element analysis, Int. J. Numer. Methods Eng. 2 (1970)
5-32; P. Hood, Frontal solution program for unsymmetric matrices, ibid. 10 (1976) 379-399.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.window_block import (
    PANEL,
    clear,
    clear_block,
    clear_rows,
    largest_place,
    reduce_panel,
    subtract_products,
    take_panel,
    upper_rows,
)

__all__ = ["factor"]

Array = NDArray[Any]


@borrowing
def _free_place(ids: Array, begin: int) -> int:
    while ids[begin] >= 0:
        begin += 1
    return begin


@borrowing
def _make_room(
    a: Array, starts: Array, past: int, ids: Array, height: int, before: int, moved: Array, count: int
) -> int:
    """Move rows from the places behind `height` to free ones in front; return how many have been moved in all."""
    free = 0
    for place in range(height, before):
        if ids[place] >= 0:
            free = _free_place(ids, free)
            ids[free], ids[place] = ids[place], -1
            for c in range(past):
                a[starts[free] + c] = a[starts[place] + c]
            clear(a, starts[place], starts[place] + past)
            moved[count, 0], moved[count, 1] = place, free
            count += 1
    return count


@kernel
def factor(
    data: Array,
    heights: Array,
    firsts: Array,
    ring: int,
    row_starts: Array,
    rows: Array,
    entry_starts: Array,
    entries: Array,
    slots: Array,
    arrivals: Array,
    a: Array,
    past: int,
    starts: Array,
    ids: Array,
    numbers: Array,
    buffer: Array,
    lower: Array,
    upper: Array,
    pivots: Array,
    chosen: Array,
    origin: Array,
    taken: Array,
    moved: Array,
    until: Array,
) -> tuple[int, float]:
    """Factor; return -1 or the first column without a pivot, and the largest magnitude in U, NaN if there is one.

    Parameters
    ----------
    data : (nnz,)
        The entries.
    heights, firsts : (panels,)
        How many places there are, and the first slot that is in use.
    ring : int
        Blocks of the ring.
    row_starts, rows : (panels + 1,) and (n,)
        The rows that enter with each panel.
    entry_starts, entries, slots : (n + 1,), (nnz,) and (nnz,)
        The entries of these, and their slots.
    arrivals : (k, 3)
        For each column that comes into the ring from a slot before it, sorted: the panel, this slot, and that one.
    a : (room,)
        Work space, zeros: the window.
    past : int
        How many slots there are.
    starts : (places,)
        Where the row at each place begins in `a`.
    ids : (places,)
        Work space, filled with -1.
    numbers : (places,)
        0.0, 1.0, ...
    buffer : (3 * PANEL,)
        Work space.
    lower, upper, pivots, chosen, origin, taken, moved, until
        Become the factors.
    """
    n = pivots.size
    info, largest = -1, 0.0
    until[0] = 0
    at = to = arrived = moves = before = 0
    main = past - PANEL * ring
    for t in range(heights.size):
        height, shift = heights[t], firsts[t]
        width = past - shift
        while arrived < arrivals.shape[0] and arrivals[arrived, 0] == t:
            source, target = arrivals[arrived, 1], arrivals[arrived, 2]
            for i in range(before):
                a[starts[i] + target] = a[starts[i] + source]
                a[starts[i] + source] = 0
            arrived += 1
        moves = _make_room(a, starts, past, ids, height, before, moved, moves)
        until[t + 1] = moves
        before, free = height, 0
        for r in range(row_starts[t], row_starts[t + 1]):
            free = _free_place(ids, free)
            ids[free] = rows[r]
            taken[r] = free
            for e in range(entry_starts[r], entry_starts[r + 1]):
                a[starts[free] + slots[e]] += data[entries[e]]

        own = main + PANEL * (t % ring)
        first = t * PANEL
        count = min(PANEL, n - first)
        take_panel(a, starts, own, lower, at, height)
        p = largest_place(lower, at, height, numbers, buffer)
        for k in range(count):
            column = at + k * height
            pivot = lower[column + p]
            # Accepts the good, so that a NaN is reported as well as a zero.
            regular = 0.0 < abs(pivot) < np.inf
            if not regular:
                info = first + k if info < 0 else info
                # Any row will do, and none changes.
                p = 0
                while ids[p] < 0:
                    p += 1
                for i in range(height):
                    if not abs(lower[column + i]) < np.inf:
                        largest = np.nan
                pivot = lower[column + p]
            pivots[first + k] = pivot
            chosen[first + k], origin[first + k] = p, ids[p]
            ids[p] = -1
            inverse = 1 / pivot if regular else pivot * 0
            if not abs(inverse) < np.inf:
                # Too small a pivot to have a reciprocal.
                for i in range(height):
                    lower[column + i] = lower[column + i] / pivot
                inverse = pivot * 0 + 1
            p = reduce_panel(lower, at, height, k, p, inverse, numbers, buffer)

        # The panel's own block comes out as it did above, if all of the row is treated alike.
        largest = upper_rows(
            a, starts, shift, width, lower, at, height, chosen, first, upper, to, count, largest, buffer
        )
        subtract_products(a, starts, shift, width, lower, at, height, upper, to)
        clear(upper, to + count * width, to + PANEL * width)
        for k in range(count):
            begin = to + k * width + own - shift
            clear(upper, begin, begin + k + 1)
        clear_rows(a, starts, shift, width, chosen, first, count, numbers)
        clear_block(a, starts, own, height, numbers)
        at += PANEL * height
        to += PANEL * width
    return info, largest
