r"""Every other unknown eliminated, a few times, before a window moves over what is left.

For values whose diagonal can be taken as pivots: see `stridiag._kernels.window_thinning`, and
`stridiag.factorization.thinned_window` for when they can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.planning.band import BandLayout
from stridiag.planning.layout import NotApplicable
from stridiag.planning.window_shape import WindowShape, put_off
from stridiag.structure import Structure

__all__ = ["MAX_PRODUCTS", "Thinning", "thin"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_PRODUCTS = 16
"""Products for each row of the matrix, at most: what is executed beyond what a window alone would take."""

# Entries that elimination may add, for each row.
_MAX_FILL = 8
# Rounds, and products for one unknown: beyond, what is left is so full that the window is the faster way.
_ROUNDS, _DEAREST = 3, 100
# Entries for each row from which on hardly any unknown is free of neighbours.
_FULL = 12
# Diagonals with fewer entries, as a share of the rows, are links.
_SPARSE = 1.0 / 8


@dataclass(frozen=True, eq=False)
class Thinning:
    """What is eliminated before a window, and the window for the rest.

    Attributes
    ----------
    order : ndarray of uint32, (k,)
        The eliminated unknowns, in their order.
    main : ndarray of uint32, (n,)
        Slots of the diagonal.
    counts : ndarray of uint32, (k, 2)
        How many other entries the column and the row of each have when it is eliminated.
    lower, lower_rows, upper, upper_columns : ndarray of uint32
        The slots of these entries, and where they stand.
    targets : ndarray of uint32
        Slots from which products are subtracted.
    slots : int
        Of the entries of the matrix, and of those that elimination adds.
    kept : ndarray of int64, (n - k,)
        The unknowns that are left, in the order in which the window counts them.
    window : WindowShape
        For the entries between these.
    """

    order: Array
    main: Array
    counts: Array
    lower: Array
    lower_rows: Array
    upper: Array
    upper_columns: Array
    targets: Array
    slots: int
    kept: Index
    window: WindowShape


def thin(structure: Structure, band: BandLayout, *, rounds: int = _ROUNDS) -> Thinning | None:
    """Return what to eliminate beforehand from a structure with a main diagonal; None if that is not worth it."""
    from stridiag._kernels.window_thinning import list_left, thin_out

    n, nnz = structure.shape[0], structure.nnz
    room = nnz + _MAX_FILL * n
    if nnz > _FULL * n or room >= 1 << 31:
        return None
    at = band.positions(np.arange(n))
    original = np.empty(n, np.int32)
    original[at] = np.arange(n)
    rows, columns, next_in_row, next_in_column = (np.empty(room, np.int32) for _ in range(4))
    lower_slots, lower_rows, upper_slots, upper_columns = (np.empty(room, np.int32) for _ in range(4))
    rows[:nnz], columns[:nnz] = (at[part] for part in structure.coordinates())
    row_heads, column_heads = np.full((2, n), -1, np.int32)
    main, order = np.empty((2, n), np.int32)
    gone, counts, targets = np.zeros(n, np.uint8), np.empty((n, 2), np.int32), np.empty(MAX_PRODUCTS * n, np.int32)
    width = band.lower + band.upper
    done, low, up, used, aims = thin_out(
        rows, columns, nnz, width, _DEAREST, rounds, row_heads, next_in_row, column_heads, next_in_column, main, gone,
        order, counts, lower_slots, lower_rows, upper_slots, upper_columns, targets,
    )  # fmt: skip
    if not n // 4 <= done < n:
        return None
    kept = np.flatnonzero(gone == 0)
    place = np.empty(n, np.int32)
    place[kept] = np.arange(kept.size)
    # No longer in use.
    sources, left, right = next_in_column, np.empty(used, np.int32), np.empty(used, np.int32)
    count = list_left(row_heads, next_in_row, columns, gone, place, sources, left, right)
    row, column = left[:count].astype(np.int64), right[:count].astype(np.int64)
    lower, upper = _sides(row - column, kept.size, 4 * width)
    try:
        order_left = put_off(kept.size, row, column, lower)
        window = WindowShape.over(row, column, order_left, lower + upper, sources=sources[:count].copy())
    except NotApplicable:
        return None
    # Without a sign, so that kernels do not ask of each index whether it counts from the end.
    return Thinning(
        original[order[:done]].view(np.uint32),
        main[at].view(np.uint32),
        counts[:done].astype(np.uint32),
        lower_slots[:low].astype(np.uint32),
        original[lower_rows[:low]].view(np.uint32),
        upper_slots[:up].astype(np.uint32),
        original[upper_columns[:up]].view(np.uint32),
        targets[:aims].astype(np.uint32),
        used,
        original[kept].astype(np.int64),
        window,
    )


def _sides(distances: Index, n: int, far: int) -> tuple[int, int]:
    """Return how many sub- and super-diagonals a band has, but for entries on diagonals that hold few."""
    near = distances[np.abs(distances) < far]
    common = np.flatnonzero(np.bincount(near + far) > _SPARSE * n) - far
    return max(int(common.max(initial=0)), 0), max(-int(common.min(initial=0)), 0)
