"""Condensation: which columns are kept, which segments lie between them, and how the reduced system is put together.

A link (r, c), in chain order, keeps the columns r, r + 1 and c; a kept column that stands alone inside a chain keeps
its right neighbour too, since separators must be two wide. A segment is a maximal stretch of other columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stridiag.planning.chain import ChainLayout
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.inverse_cost import condensed_inverse
from stridiag.planning.layout import plural
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.reduced_method import ReducedMethod
from stridiag.planning.separator_tree import SeparatorTree
from stridiag.structure import Structure

__all__ = ["CondensationLayout"]

Index = NDArray[np.int64]

# Operations of `stridiag._kernels.condensation` in double precision, counted by running its loops on numbers that
# count (tests/planning/test_cost.py): for each interior column, for each segment, and for each node of the tree.
CONDENSE, CONDENSE_SEGMENT, CONDENSE_NODE = 43, 4, 168

SEGMENT = 256
"""Longest segment. Two rows are carried through all of its reflections, and where these are alike, as on a chain of
constant coefficients, their rounding errors add up: about 0.08 eps a column."""


@dataclass(frozen=True, eq=False)
class CondensationLayout:
    """Kept columns, segments, and the pattern of the reduced system; all positions are chain positions.

    Attributes
    ----------
    chain : ChainLayout
    columns : ndarray of int64, (k,)
        Kept columns, ascending.
    core : ndarray of int64, (r,)
        Indices among `columns` of those of the reduced system; the others cut long segments, and go in a tree.
    leftover : ndarray of int64, (r,)
        Row slots that form the reduced system, in the order of `core`.
    first, last : ndarray of int64, (segments,)
        Interior stretches.
    neighbours : ndarray of int64, (segments, 4)
        Indices among `columns` of first - 2, first - 1, last + 1 and last + 2; -1 where the chain ends before.
    tree : SeparatorTree
        How the separators that cut long segments are eliminated.
    around : ndarray of int64, (roots, 4)
        As `neighbours`, for the roots of the tree, as indices among `core`.
    link_start : ndarray of int64, (segments + 1,)
        Which of `link_slots`, `link_kept` belong to the row last + 1 of each segment.
    link_slots, link_kept : ndarray of int64
        Slot, and index among `columns` of the column, of the links in the last rows of segments.
    link_core : ndarray of int64
        `link_kept` as indices among `core`.
    odd : int
        Parity of the permutation that brings the leftover rows to the kept columns.
    reduced : ReducedPattern
        How the reduced system is put together.
    """

    chain: ChainLayout
    columns: Index
    core: Index
    leftover: Index
    first: Index
    last: Index
    neighbours: Index
    tree: SeparatorTree
    around: Index
    link_start: Index
    link_slots: Index
    link_kept: Index
    link_core: Index
    odd: int
    reduced: ReducedPattern
    method = "chain"

    @property
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.chain.structure

    @cached_property
    def reduced_method(self) -> ReducedMethod:
        """How the reduced system is factored."""
        return ReducedMethod.choose(self.reduced)

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`: exact where the reduced system is dense; else with the bound of its sparse factorization."""
        nodes = self.tree.tail.size
        interior = self.chain.n - self.columns.size
        reduced = self.reduced_method.cost
        inner = reduced.operations
        condense = CONDENSE * interior + CONDENSE_SEGMENT * self.first.size + CONDENSE_NODE * nodes
        assemble = self.reduced.place.size + self.reduced.linked[0].size
        reflect, rest = self._solve_operations()
        substitute = int(reflect.sum()) + rest
        operations = Operations(
            condense + assemble + inner.factor,
            substitute + inner.solve,
            # Two sums add up the three logarithms.
            determinant(interior) + determinant(2 * nodes) + inner.slogdet + 2,
            # The reciprocals of the pivots are made once for a block of columns.
            condensed_inverse(
                self.chain.n, self.first, self.last, reflect, rest - interior + inner.solve, shared=interior
            ),
            exact=inner.exact,
        )
        stored = 64 * self.chain.n + 160 * nodes + 8 * self.link_slots.size + reduced.bytes
        # The price of the reduced system is its own; that of the rest is expressed at the same rate.
        own = 0.7 * (condense + substitute)
        overhead = 4e4 + own + reduced.price - reduced.rate * (operations.factor + operations.solve)
        return Cost(operations, stored, reduced.rate, overhead)

    @cached_property
    def places_outside(self) -> tuple[Index, Index, Index, Index]:
        """Where rows stand when only those are kept that are no pivot rows of segments.

        Returns
        -------
        outside : ndarray of int64, (k,)
            Their slots, in chain order.
        segments : ndarray of int64, (segments, 2)
            Where, among them, the slots ``last`` and ``last + 1`` of segments stand; -1 where a segment has none.
        nodes : ndarray of int64, (nodes, 4)
            The tree's slots among them, -1 where there is none.
        leftover : ndarray of int64
            The slots of the reduced system's rows.
        """
        left, right = self.neighbours[:, 1] >= 0, self.neighbours[:, 2] >= 0
        pivot = np.ones(self.chain.n, np.bool_)
        # Slots of pivot rows: from ``first - left`` to ``last - left``.
        pivot[self.columns] = False
        pivot[self.first[left] - 1] = True
        pivot[self.last[left]] = False
        outside = np.flatnonzero(~pivot)
        among = np.full(self.chain.n + 1, -1, np.int64)
        among[outside] = np.arange(outside.size)
        ends = np.column_stack((np.where(left, self.last, -1), np.where(right, self.last + 1, -1)))
        return outside, among[ends], among[self.tree.slots], among[self.leftover]

    def _solve_operations(self) -> tuple[Index, int]:
        """Count `reflect`, by segment, and `back_substitute` and what the nodes do, for one right-hand side."""
        length = self.last - self.first + 1
        left2, left1, right1, right2 = (self.neighbours >= 0).T
        reflect = np.where(left1, 10 * length, 6 * length - 4 * ~right1)
        u1 = length - 1 + right1
        u2 = np.maximum(length - 2, 0) + (right1 & (length > 1)) + right2
        # A reciprocal and a product with it for each pivot.
        substitute = 2 * length + 2 * (u1 + u2) + 2 * length * (left1.astype(np.int64) + left2)
        links = np.diff(self.link_start)
        around, below = self.tree.around[:, 2:] >= 0, links[self.tree.tail]
        nodes = 28 * below.size + 4 * around.sum() + (2 * below + 4 * (below > 0)).sum()
        return reflect, int(substitute.sum() + 3 * links.sum() + (links > 0).sum() + nodes)

    def describe(self) -> str:
        """See `Layout`."""
        nodes = self.tree.tail.size
        cut = f", {plural(nodes, 'dummy separator')}" if nodes else ""
        return (
            f"orthogonal condensation of {plural(self.first.size, 'segment')}{cut}, "
            f"{self.reduced_method.kind} reduced system of order {self.core.size}"
        )

    @classmethod
    def build(cls, chain: ChainLayout) -> CondensationLayout:
        """Choose the kept columns for the links of `chain` and lay out the rest."""
        slots, rows, targets = chain.links
        chain_first, chain_last = chain.starts[:-1], chain.starts[1:] - 1
        columns = _kept_columns(rows, targets, chain_first, chain_last)
        first, last = _segments(columns, chain_first, chain_last)
        cuts = _dummy_separators(first, last)
        if cuts.size:
            columns = np.union1d(columns, cuts)
            first, last = _segments(columns, chain_first, chain_last)
        has_left = ~np.isin(first, chain_first)
        has_right = ~np.isin(last, chain_last)
        neighbours = np.full((first.size, 4), -1, np.int64)
        place = np.searchsorted(columns, first) - 1
        neighbours[has_left, 1] = place[has_left]
        two_left = has_left & ~np.isin(first - 1, chain_first)
        neighbours[two_left, 0] = place[two_left] - 1
        place = np.searchsorted(columns, last)
        neighbours[has_right, 2] = place[has_right]
        two_right = has_right & ~np.isin(last + 1, chain_last)
        neighbours[two_right, 3] = place[two_right] + 1
        tree = SeparatorTree.build(np.isin(last[:-1] + 1, cuts), last, neighbours)

        begin = np.searchsorted(rows, last + 1, side="left")
        end = np.where(has_right, np.searchsorted(rows, last + 1, side="right"), begin)
        link_start = np.concatenate(([0], np.cumsum(end - begin))).astype(np.int64)
        which = np.repeat(begin - link_start[:-1], end - begin) + np.arange(link_start[-1])
        link_slots, link_kept = slots[which], np.searchsorted(columns, targets[which])

        core = np.flatnonzero(~np.isin(columns, cuts))
        # Where each kept column stands among those of the reduced system; the last entry serves the -1 of "none".
        among = np.full(columns.size + 1, -1, np.int64)
        among[core] = np.arange(core.size)
        around = among[np.column_stack((neighbours[tree.heads, :2], neighbours[tree.tails, 2:]))]
        # Each reflection leaves its pivot row one slot further up, so slot `last` remains in place of first - 1.
        leftover = columns[core]
        with_left = around[:, 1] >= 0
        leftover[around[with_left, 1]] = last[tree.heads[with_left]]
        link_core = among[link_kept]
        # Only the last segment of a root has links in the row behind it, so their order is that of the roots.
        last_row_links = (np.diff(link_start)[tree.tails], np.arange(link_slots.size), link_core)
        outside = np.isin(rows, _rows_outside(columns[core], around))
        reduced = ReducedPattern.build(
            columns[core],
            tree.roots,
            around,
            last_row_links,
            (slots[outside], rows[outside], targets[outside]),
            chain,
        )
        lengths = last - first + 1
        return cls(
            chain=chain,
            columns=columns,
            core=core,
            leftover=leftover,
            first=first,
            last=last,
            neighbours=neighbours,
            tree=tree,
            around=around,
            link_start=link_start,
            link_slots=link_slots,
            link_kept=link_kept,
            link_core=link_core,
            odd=int(lengths[has_left].sum() % 2),
            reduced=reduced,
        )


def _rows_outside(columns: Index, around: Index) -> Index:
    """Return the rows of the kept columns at which no leftover row stands."""
    standing = np.zeros(columns.size, bool)
    standing[around[:, 1:3][around[:, 1:3] >= 0]] = True
    return columns[~standing]


def _kept_columns(rows: Index, columns: Index, chain_first: Index, chain_last: Index) -> Index:
    below = rows[~np.isin(rows, chain_last)] + 1
    kept = np.unique(np.concatenate((rows, below, columns)))
    at_start, at_end = np.isin(kept, chain_first), np.isin(kept, chain_last)
    follows = np.zeros(kept.size, bool)
    follows[1:] = np.diff(kept) == 1
    has_left = follows & ~at_start
    has_right = np.zeros(kept.size, bool)
    has_right[:-1] = has_left[1:]
    alone = ~(has_left | has_right | at_start | at_end)
    return np.union1d(kept, kept[alone] + 1)


def _dummy_separators(first: Index, last: Index) -> Index:
    """Return pairs of columns that cut long segments into equal pieces."""
    lengths = last - first + 1
    # Each cut takes two columns of its own.
    pieces = -(-(lengths + 2) // (SEGMENT + 2))
    cuts = pieces - 1
    segment = np.repeat(np.arange(first.size), cuts)
    number = np.arange(1, segment.size + 1) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    position = first[segment] + (number * (lengths[segment] + 2)) // pieces[segment] - 2
    return np.concatenate((position, position + 1)).astype(np.int64)


def _segments(columns: Index, chain_first: Index, chain_last: Index) -> tuple[Index, Index]:
    after = columns[~np.isin(columns, chain_last)] + 1
    before = columns[~np.isin(columns, chain_first)] - 1
    first = np.union1d(np.setdiff1d(after, columns), np.setdiff1d(chain_first, columns))
    last = np.union1d(np.setdiff1d(before, columns), np.setdiff1d(chain_last, columns))
    return first, last
