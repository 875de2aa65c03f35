"""What passes between the segments of a condensation and its kept columns, when segments are swept in lanes.

The two leftover rows of segment s stand at the places 2 s and 2 s + 1 here, not at the slots of n rows that
`stridiag._kernels.condensation` leaves them in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.lane_substitution import LINKS

__all__ = ["core_sides", "spread"]

Array = NDArray[Any]


@kernel
def core_sides(rows: Array, places: Array, sides: Array, b: Array, probe: Array, result: Array) -> None:
    """Fill `result`, (r, 1 or 2), with the right-hand sides of the reduced system.

    Row i of it is the leftover row at ``places[i]`` of `sides`, (leftover rows, 1 or 2); if that is -1, row ``rows[i]``
    of the matrix, whose right-hand sides are `b` and a number of the probe.
    """
    for i in range(rows.size):
        if places[i] >= 0:
            for c in range(result.shape[1]):
                result[i, c] = sides[places[i], c]
        else:
            result[i, 0] = b[rows[i]]
            if result.shape[1] > 1:
                result[i, 1] = probe[i % probe.size]


@kernel
def spread(
    columns: Array,
    neighbours: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    z: Array,
    known: Array,
    x: Array,
) -> Any:
    """Put the solution at the kept columns, `z`, (k, 1 or 2), where it is needed.

    Into `x`, (n,), its first column; into `known`, (segments, 5, 1 or 2), what stands around each segment. Returns the
    sum of the squares of the second column, 0 if there is none, NaN if the first has an entry that is not finite.
    """
    last = z.shape[1] - 1
    total = 0.0
    for k in range(columns.size):
        x[columns[k]] = z[k, 0]
        if not abs(z[k, 0]) < np.inf:
            total = np.nan
        if last:
            total += z[k, last] * z[k, last]
    for s in range(neighbours.shape[0]):
        for side in range(4):
            for c in range(last + 1):
                known[s, side, c] = z[neighbours[s, side], c] if neighbours[s, side] >= 0 else 0.0
        for c in range(last + 1):
            value = 0.0
            for link in range(link_start[s], link_start[s + 1]):
                value += link_values[link] * z[link_kept[link], c]
            known[s, LINKS, c] = value
    return total
