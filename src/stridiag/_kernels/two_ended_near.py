"""Solves with the adjoint of a band factored from both ends, for what is zero but in a few rows, and around these only.

See `stridiag._kernels.two_ended_lu` for what is stored. The inverse of a long band decays, as a rule, away from its
diagonal. So the elimination of a right-hand side may stop some rows behind the last one that is not zero, where what is
left of it is small beside the right-hand side: to leave that out is to solve for one that differs by so much. And the
substitution back stops where what it finds is small beside what it has found. All in one end, and no row of the core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel
from stridiag._kernels.narrow_band import load
from stridiag._kernels.two_ended_solve import down_adjoint, fill_sides, of_sides, up_adjoint

__all__ = ["solve_near_adjoint"]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]
End = tuple[Array, Array, Array]

_LOOK = 16
"""Steps from one look at how small the numbers have become to the next."""


@kernel
def solve_near_adjoint(
    below: Widths, like: Row, end: End, start: int, step: int, x: Array, first: int, last: int, small: float
) -> tuple[int, int]:
    """Overwrite `x`, (n,), zero but in the rows `first` ... `last` - 1, with the solution.

    Row i, as the end counts, is at ``start + step * i``; `below` and `like` have the lengths l and w. `small` is what
    is left out at most of a right-hand side of ones, and of the solution, beside its largest entry found so far.

    Returns
    -------
    tuple of int
        The rows outside of which the solution was not looked for, and is left at zero. (0, 0) if there is more than
        `small` left where the core begins: then `x` means nothing.
    """
    rows, lower, pivots = end
    n, w, l = x.size, rows.shape[1] - 1, lower.shape[1]  # noqa: E741 - the names of the widths throughout
    waiting = of_sides(x, start + step * first, step, n, like, (0,))
    i, size = first, np.inf
    while i < pivots.size and size > small:
        place = start + step * i
        waiting = down_adjoint(waiting, x, place + step * w, True, place, n, rows[i, 0], load(rows, i, 1, like))
        i += 1
        if i >= last and i % _LOOK == 0:
            size = largest_of(waiting[0])
    # Accepts the good, so that NaN does not.
    if not size <= small:
        return 0, 0
    stop = i + l
    carried = of_sides(x, start + step * i, step, n, below, (0,))
    most, size = 0.0, np.inf
    while i > 0 and size > small * most:
        i -= 1
        place = start + step * i
        carried = up_adjoint(carried, x, place, place + step * l, n, int(pivots[i]), load(lower, i, 0, below))
        most = max(most, abs(x[place + step * l]))
        # Rows before the first one wait for nothing but what is carried.
        if i < first and i % _LOOK == 0:
            size = largest_of(carried[0])
    fill_sides(x, start + step * i, step, n, carried)
    return i, stop


@kernel
def largest_of(numbers: Row) -> float:
    """Return the largest magnitude; NaN if one of them is not finite."""
    most = wrong = 0.0
    for number in numbers:
        most = max(most, abs(number))
        wrong += number - number
    return most + wrong
