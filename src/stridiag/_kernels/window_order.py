"""What the window of an LU holds, panel by panel: see `stridiag._kernels.window_lu`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.window_block import PANEL

__all__ = ["first_panels", "list_entries"]

Array = NDArray[Any]


@kernel
def first_panels(rows: Array, places: Array, row_panels: Array, column_panels: Array) -> None:
    """Find the panel with which each row enters, and the one with which each column does.

    Parameters
    ----------
    rows, places : (nnz,)
        Of each entry the row, and the place of its column in the order of elimination.
    row_panels, column_panels : (n,)
        Become the panels; columns by place.
    """
    n = row_panels.size
    for i in range(n):
        row_panels[i] = n
        column_panels[i] = i // PANEL
    for e in range(rows.size):
        row_panels[rows[e]] = min(row_panels[rows[e]], places[e] // PANEL)
    for e in range(rows.size):
        column_panels[places[e]] = min(column_panels[places[e]], row_panels[rows[e]])


@kernel
def list_entries(
    rows: Array,
    places: Array,
    row_panels: Array,
    early: Array,
    ring: int,
    main: int,
    turn: Array,
    row_starts: Array,
    order: Array,
    entry_starts: Array,
    entries: Array,
    slots: Array,
) -> None:
    """List rows in the order in which they enter, and their entries with their slots.

    Parameters
    ----------
    rows, places, row_panels
        See `first_panels`.
    early : (n,)
        The slot of a column, by place, before it comes into the ring.
    ring, main : int
        Blocks of the ring, and its first slot.
    turn : (n,)
        Work space.
    row_starts, order : (panels + 1,) and (n,)
        Become where the rows of each panel begin, and these. To be given as zeros.
    entry_starts, entries, slots : (n + 1,), (nnz,) and (nnz,)
        Become where the entries of each of these rows begin, which they are, and their slots. The first as zeros.
    """
    n, panels = row_panels.size, row_starts.size - 1
    for i in range(n):
        row_starts[row_panels[i] + 1] += 1
    for t in range(panels):
        row_starts[t + 1] += row_starts[t]
    for i in range(n):
        turn[i] = row_starts[row_panels[i]]
        order[turn[i]] = i
        # Until the end, starts are those of what comes next.
        row_starts[row_panels[i]] += 1
    for t in range(panels, 0, -1):
        row_starts[t] = row_starts[t - 1]
    row_starts[0] = 0
    for e in range(rows.size):
        entry_starts[turn[rows[e]] + 1] += 1
    for i in range(n):
        entry_starts[i + 1] += entry_starts[i]
    for e in range(rows.size):
        i, panel = turn[rows[e]], places[e] // PANEL
        here = entry_starts[i]
        entries[here] = e
        slots[here] = early[places[e]]
        if panel < row_panels[rows[e]] + ring:
            slots[here] = main + PANEL * (panel % ring) + places[e] % PANEL
        entry_starts[i] += 1
    for i in range(n, 0, -1):
        entry_starts[i] = entry_starts[i - 1]
    entry_starts[0] = 0
