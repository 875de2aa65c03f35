"""The reduced system of a condensation by LU in fronts, one unknown a separator: its order of elimination."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels import front_order, front_tree
from stridiag._recycled import recycled
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.dense import dense_cost
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.rotated_rows import RotatedRows
from stridiag.planning.summed import SummedColumns

__all__ = ["PivotPlan", "crossing"]

Index = NDArray[np.int64]

_MOST = 4e11
"""About twice so many operations are too many: a minute's."""

_ROOM = (20, 200)
"""Columns of all fronts for each column of the matrix at most: the second where the first was not enough."""


def crossing(pattern: SummedColumns) -> int:
    """Return how many entries at most pass over some place, which shows how far links interlace."""
    return int(front_tree.crossing(pattern.indptr, pattern.indices, np.empty(pattern.order + 1, np.int64)))


@dataclass(frozen=True, eq=False)
class PivotPlan:
    """Rotations of pairs of rows, and fronts on the diagonal: `stridiag._kernels.row_pairs`, `front_tree`, `front_lu`.

    Attributes
    ----------
    order : int
    pairs : ndarray of int64, (pairs, 3)
        Rows that are rotated, first and second.
    starts, first, second, tail : ndarray
        Their entries: see `stridiag._kernels.row_pairs.find_pairs`.
    tree, columns, relative, entries, places : ndarray of int64
        The fronts: see `stridiag._kernels.front_tree`.
    peak : int
        Numbers that are passed on at a time, if no pivot is put off.
    """

    order: int
    pairs: Index
    starts: Index
    first: Index
    second: Index
    tail: NDArray[np.bool_]
    tree: Index
    columns: Index
    relative: Index
    entries: Index
    places: Index
    peak: int

    @classmethod
    def build(cls, pattern: ReducedPattern) -> PivotPlan | None:
        """Order a pattern; None where that fills too much."""
        n, entries = pattern.order, pattern.indices.size
        rows = RotatedRows.of(pattern)
        work = np.empty((5, n), np.int64)
        edges, edge_of = recycled((2, entries + n + 1), np.int64)
        ends = recycled(2 * entries + n, np.int64)
        sets = front_tree.edges_of(
            *(pattern.indptr, pattern.indices, rows.pointers, rows.columns, rows.places, rows.used),
            *(work, edges, ends, edge_of),
        )
        start, width, passed, parent = recycled((4, sets + n), np.int64)
        members, head = recycled(ends.size, np.int64), np.empty(n + 1, np.int64)
        set_work, fronts = recycled((2, sets + n), np.int64), recycled((n, front_order.WIDTH), np.int64)
        for room in _ROOM:
            pool = recycled(ends.size + room * n, np.int64)
            made = front_order.order_fronts(
                edges[: sets + 1],
                ends,
                edge_of,
                sets,
                1.0,
                _MOST,
                True,
                start,
                width,
                passed,
                parent,
                np.empty(n + 1, np.int64),
                np.empty(n, np.int64),
                members,
                head,
                work,
                set_work,
                pool,
                fronts,
            )
            if made != front_order.NO_ROOM:
                break
        if made < 0:
            return None
        tree, step = np.empty((made, front_tree.COUNT), np.int64), np.empty(n, np.int64)
        # A front that is joined to its parent adds its pivots to that alone.
        listed = recycled(int(fronts[:made, front_order.COLUMNS].sum()) + n, np.int64)
        left = front_tree.join_fronts(
            fronts[:made], parent[sets : sets + made], pool, np.empty((8, made), np.int64), tree, listed, step
        )
        tree = tree[:left].copy()
        size = int(tree[:, front_tree.WIDTH].sum())
        listed = listed[:size].copy()
        front_tree.line_up(tree, listed, step, work[:3])
        relative, order = np.empty(size, np.int64), np.empty(entries, np.int64)
        where = recycled((entries, 2), np.int64)
        kept, peak = front_tree.place_entries(
            pattern.indptr,
            pattern.indices,
            rows.used,
            tree,
            listed,
            step,
            np.empty((4, n), np.int64),
            relative,
            order,
            where,
        )
        return cls(
            n,
            rows.pairs,
            rows.starts,
            rows.first,
            rows.second,
            rows.tail,
            tree,
            listed,
            relative,
            order[:kept],
            where[:kept],
            peak,
        )

    @cached_property
    def widest(self) -> int:
        """Columns of the widest front, if no pivot is put off."""
        return int(self.tree[:, front_tree.WIDTH].max(initial=0))

    @cached_property
    def numbers(self) -> int:
        """Numbers of L and U, if no pivot is put off."""
        p, w = self.tree[:, front_tree.PIVOT_COUNT], self.tree[:, front_tree.WIDTH]
        return int((p * (2 * w - p)).sum())

    @cached_property
    def cost(self) -> Cost:
        """Bounds, which hold if all pivots are put off to the last front, with the orthogonal way out behind that.

        The price is that of the fronts as they are.
        """
        n = self.order
        p, w = (self.tree[:, k].astype(float) for k in (front_tree.PIVOT_COUNT, front_tree.WIDTH))
        likely = float((2.0 * (w**3 - (w - p) ** 3) / 3.0).sum()) + 8.0 * self.numbers
        worst = dense_cost(n).operations
        factor, solve = 4 * worst.factor, 4 * worst.solve
        operations = Operations(factor, solve, determinant(n), n * solve, exact=False)
        moved = float((w * w).sum())
        price = 2e5 + 200.0 * p.size + 1.5 * moved + 0.05 * likely
        rate = 0.05 * likely / max(factor + solve, 1)
        return Cost(operations, 16 * n * n, rate, price - rate * (factor + solve))
