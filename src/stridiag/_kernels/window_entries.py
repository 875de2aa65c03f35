"""The factors of `stridiag._kernels.window_lu` entry by entry, rows and columns in the order of elimination."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.window_block import PANEL

__all__ = ["list_lower", "list_upper"]

Array = NDArray[Any]


@kernel
def list_lower(
    heights: Array,
    row_starts: Array,
    rows: Array,
    lower: Array,
    turn: Array,
    taken: Array,
    moved: Array,
    until: Array,
    ids: Array,
    at_row: Array,
    at_column: Array,
    values: Array,
) -> None:
    """List the entries of L below its ones that are not zero.

    `turn`, (n,): when each row of A becomes a pivot row. `ids`, (places,): work space.
    """
    n, at, count = turn.size, 0, 0
    for t in range(heights.size):
        for k in range(until[t], until[t + 1]):
            ids[moved[k, 1]] = ids[moved[k, 0]]
        for r in range(row_starts[t], row_starts[t + 1]):
            ids[taken[r]] = rows[r]
        for k in range(t * PANEL, min(t * PANEL + PANEL, n)):
            for i in range(heights[t]):
                if abs(lower[at + i]) != 0:
                    at_row[count], at_column[count], values[count] = turn[ids[i]], k, lower[at + i]
                    count += 1
            at += heights[t]


@kernel
def list_upper(
    firsts: Array,
    arrivals: Array,
    main: int,
    upper: Array,
    pivots: Array,
    ids: Array,
    at_row: Array,
    at_column: Array,
    values: Array,
) -> None:
    """List the entries of U beside its diagonal that are not zero, rows downwards. `ids`, (slots,): work space."""
    n, to, count, arrived = pivots.size, upper.size, 0, arrivals.shape[0]
    past = ids.size
    ring = (past - main) // PANEL
    for t in range(firsts.size - 1, -1, -1):
        width, own = past - firsts[t], main + PANEL * (t % ring)
        for k in range(PANEL):
            ids[own + k] = t * PANEL + k
        to -= PANEL * width
        for k in range(min(PANEL, n - t * PANEL)):
            for c in range(width):
                value = upper[to + k * width + c]
                if abs(value) != 0:
                    at_row[count], at_column[count], values[count] = t * PANEL + k, ids[firsts[t] + c], value
                    count += 1
        while arrived > 0 and arrivals[arrived - 1, 0] == t:
            arrived -= 1
            ids[arrivals[arrived, 1]] = ids[arrivals[arrived, 2]]
