"""LU in fronts, laid out for few right-hand sides: see `stridiag._kernels.front_panels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import front_panels as kernels
from stridiag._recycled import recycled
from stridiag._results import aligned

__all__ = ["FrontPanels"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class FrontPanels:
    """What the kernel takes.

    Parameters
    ----------
    head, values, ids
        From `stridiag._kernels.front_lu`; behind `values` there must be numbers for a vector.
    order : int

    Attributes
    ----------
    heads, behind, places : ndarray of int64
    numbers : tuple of ndarray
        ``values``, ``lower`` and ``upper``.
    length : int
        Of the array of unknowns in the order of elimination.
    """

    def __init__(self, head: Index, values: Array, ids: Index, order: int) -> None:
        self.places, room = np.empty((2, order), np.int64), recycled((2 * head.shape[0], kernels.HEAD), np.int64)
        panels, rest, down, up, self.length = kernels.lay_out(head, ids, self.places, room)
        self.heads, self.behind = room[:panels], np.empty((2, rest), np.int64)
        lower, upper = (aligned((size + kernels.SPILL,), values.dtype, recycled) for size in (down, up))
        starts = np.empty(kernels.LANES, np.int64)
        kernels.pack(head, values, ids, self.places, self.behind, lower, upper, starts)
        self.numbers = (values, lower[:down], upper[:up])

    def solve(self, b: Array, work: Array) -> None:
        """Put the solution for `b`, (n, m), in its place; `work`, (as wide as the widest front,)."""
        # What fills up vectors is zero.
        w = np.zeros((b.shape[1], self.length), b.dtype)
        kernels.solve(self.heads, self.behind, self.places, *self.numbers, b, w, work, b)
