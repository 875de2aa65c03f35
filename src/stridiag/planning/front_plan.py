"""The reduced system of a condensation by dense fronts: its order of elimination, and what it costs, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels import front_order as kernels
from stridiag._kernels import front_replay
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.summed import SummedColumns

__all__ = ["FrontPlan", "FrontReplay"]

Index = NDArray[np.int64]

_SHARE = 0.8
"""A front with this share of the columns that are left takes all of them."""

_MOST = 5e7
"""About so many operations are too many: sparse LU has so much less fill then that it is faster, guard and all."""

_ROOM = 40
"""Columns of all fronts for each column of the matrix at most: with more, other methods are better."""


@dataclass(frozen=True, eq=False)
class FrontReplay:
    """What `stridiag._kernels.front_replay` takes, but for the numbers.

    Attributes
    ----------
    heads, places, behind, columns : ndarray of int64
        As there.
    turns, upper : int
        Numbers of the fronts.
    room, work : int
        Lengths of the array of right-hand sides, and of the work space.
    """

    heads: Index
    places: Index
    behind: Index
    columns: Index
    turns: int
    upper: int
    room: int
    work: int


@dataclass(frozen=True, eq=False)
class FrontPlan:
    """The fronts of a square sparse pattern, for `stridiag._kernels.front_householder`.

    Attributes
    ----------
    order : int
    fronts : ndarray of int64, (fronts, 9)
        See `stridiag._kernels.front_order`.
    pool, relative, rows : ndarray of int64
        Columns of the fronts, those of them that are passed on as places in the parent, and rows.
    scatter : ndarray of int64, (entries,)
        Where each entry goes among the numbers of the fronts.
    numbers : int
        How many numbers the fronts hold.
    """

    order: int
    fronts: Index
    pool: Index
    relative: Index
    rows: Index
    scatter: Index
    numbers: int

    @classmethod
    def build(cls, pattern: SummedColumns) -> FrontPlan | None:
        """Order a pattern; None where it has no full matching, or too much fill for fronts."""
        n, entries = pattern.order, pattern.indices.size
        pointers, set_of, work = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.empty((5, n), np.int64)
        columns, places, members = np.empty((3, entries), np.int64)
        sets = kernels.row_sets(pattern.indptr, pattern.indices, pointers, columns, places, set_of, work[0])
        pool = np.empty(entries + _ROOM * n, np.int64)
        start, width, passed, parent = np.empty((4, sets + n), np.int64)
        fronts = np.empty((n, kernels.WIDTH), np.int64)
        count = kernels.order_fronts(
            pointers,
            columns,
            set_of,
            sets,
            _SHARE,
            _MOST,
            False,
            start,
            width,
            passed,
            parent,
            np.empty(n + 1, np.int64),
            np.empty(n, np.int64),
            members,
            np.empty(n + 1, np.int64),
            work,
            np.empty((2, sets + n), np.int64),
            pool,
            fronts,
        )
        if count < 0:
            return None
        fronts = fronts[:count].copy()
        if count:
            pool = pool[: int(fronts[-1, kernels.COLUMN_START] + fronts[-1, kernels.COLUMNS])].copy()
        relative, scatter = np.empty(pool.size, np.int64), np.empty(entries, np.int64)
        rows = np.empty(int(fronts[:, kernels.ROWS].sum()), np.int64)
        numbers = kernels.place_entries(
            pointers, columns, places, set_of, sets, parent, pool, fronts, work[:3], relative, rows, scatter
        )
        return cls(n, fronts, pool, relative, rows, scatter, numbers)

    @cached_property
    def widest(self) -> int:
        """Columns of the widest front."""
        return int(self.fronts[:, kernels.COLUMNS].max(initial=0))

    @cached_property
    def replay(self) -> FrontReplay:
        """How one right-hand side is solved for again."""
        heads = np.empty((self.fronts.shape[0], front_replay.HEAD), np.int64)
        (places, columns), behind = np.empty((2, self.order), np.int64), np.empty_like(self.pool)
        sizes = np.empty(front_replay.SIZES, np.int64)
        front_replay.lay_out(self.fronts, self.pool, self.rows, heads, places, behind, columns, sizes)
        passed, turns, upper, room, work = sizes.tolist()
        return FrontReplay(heads, places, behind[:passed].copy(), columns, turns, upper, room, work)

    @cached_property
    def cost(self) -> Cost:
        """Cost of the factorization: exact."""
        p, m, c = self.fronts[:, : kernels.COLUMNS + 1].T
        # Sums over the pivots of a front of the rows t below, the columns d behind, and of t d.
        half = p * (p - 1) // 2
        below, behind = p * (m - 1) - half, p * (c - 1) - half
        both = p * (m - 1) * (c - 1) - (m + c - 2) * half + half * (2 * p - 1) // 3
        factor = int((3 * below + 8 * p + 4 * both + 2 * behind).sum())
        solve = int((4 * below + 2 * behind + 3 * p).sum())
        operations = Operations(factor, solve, determinant(self.order), self.order * solve, exact=True)
        return Cost(operations, 8 * (self.numbers + self.order), rate=0.12, overhead=1e4 + 200.0 * p.size)
