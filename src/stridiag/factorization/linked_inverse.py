"""The inverse of dominant chains with links on the pattern: that of the chains, changed near links.

See `stridiag._kernels.linked_inverse`. An offer for what is ordinary: both functions answer None where the chains do
not dominate, where their inverse does not fall within some rows, or where links have too much to do with each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import linked_inverse as kernels
from stridiag._kernels.strong_rows import dominance
from stridiag._results import unfilled
from stridiag.factorization.chain_inverse import fill_pattern, in_slots, room_for_pattern
from stridiag.factorization.determinant import chain_diagonals
from stridiag.planning.chain import ChainLayout

__all__ = ["linked_diagonal", "linked_pattern"]

Array = NDArray[Any]

# Rows that a column of the inverse may reach, on either side.
_MARGIN = 128
# Links, and for each of them pairs that may feel each other and entries that may change.
_MOST, _PAIRS, _CHANGES = 2000, 16, 256


def linked_diagonal(layout: ChainLayout, values: Array) -> Array | None:
    """Return the diagonal of the inverse, (n,), in the original order."""
    found = _filled(layout, values, tuple(unfilled((3, layout.n), np.dtype(np.float64))), transpose=False)
    return None if found is None else layout.from_chains(found[0][1]).astype(values.dtype, copy=False)


def linked_pattern(layout: ChainLayout, values: Array, *, transpose: bool) -> Array | None:
    """Return the entries of the inverse, or of its transpose, at the pattern of the matrix, by slot."""
    result, parts = room_for_pattern(layout, values.dtype, transpose=transpose)
    found = _filled(layout, values, parts, transpose=transpose)
    if found is None:
        return None
    result = in_slots(layout, result, parts, values.dtype, transpose=transpose)
    result[layout.links[0]] = found[1]
    return result


def _filled(
    layout: ChainLayout, values: Array, parts: tuple[Array, ...], *, transpose: bool
) -> tuple[tuple[Array, ...], Array] | None:
    """Fill in what stands below, on and above the diagonal of the inverse; return it, and the entries at the links."""
    slot, rows, columns = layout.links
    count = slot.size
    if count > _MOST:
        return None
    dl, d, du = chain_diagonals(layout, values)
    by_rows, by_columns = dominance(dl, d, du)
    if not (by_rows or by_columns):
        return None
    lower, main, upper = parts
    if not fill_pattern(dl, d, du, lower, main, upper):
        return None
    linked, links = np.empty(count), values[slot].astype(np.float64)
    order = None
    if not by_rows:
        # By columns: all is said of the transpose.
        lower, upper = upper, lower
        order = np.argsort(columns, kind="stable")
        rows, columns, links = columns[order], rows[order], links[order]
    near, pairs = np.empty((count, 2 * _MARGIN + 1)), np.empty(_PAIRS * count)
    places, amounts = np.empty((_CHANGES * count, 2), np.int64), np.empty(_CHANGES * count)
    room = near, pairs, places, amounts, linked
    if not kernels.add_links(lower, main, upper, frozen(rows), frozen(columns), frozen(links), transpose, *room):
        return None
    if order is None:
        return parts, linked
    at_links = np.empty(count)
    at_links[order] = linked
    return parts, at_links
