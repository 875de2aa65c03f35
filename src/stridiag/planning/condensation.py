"""Condensation: which columns are kept, which segments lie between them, and how the reduced system is put together.

A link (r, c), in chain order, keeps the columns r, r + 1 and c; a kept column that stands alone inside a chain keeps
its right neighbour too, since separators must be two wide. A segment is a maximal stretch of other columns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels import condensation_layout as kernels
from stridiag.planning.chain import SWEPT, ChainLayout
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.inverse_cost import condensed_inverse
from stridiag.planning.layout import plural
from stridiag.planning.reduced import ReducedPattern
from stridiag.planning.reduced_method import ReducedMethod, interlaced
from stridiag.planning.rotated_rows import RotatedRows
from stridiag.planning.separator_tree import SeparatorTree
from stridiag.planning.sweep_cost import swept_cost
from stridiag.planning.watched_rows import WatchedRows, left_over
from stridiag.structure import Structure

__all__ = ["CondensationLayout"]

Index = NDArray[np.int64]

# Operations of `stridiag._kernels.condensation` in double precision, counted by running its loops on numbers that
# count (tests/planning/test_cost.py): for each interior column, for each segment, and for each node of the tree.
CONDENSE, CONDENSE_SEGMENT, CONDENSE_NODE = 43, 4, 168

SEGMENT, LONG_SEGMENT, LONG_CHAIN = 62, 126, 20_000
"""Longest segment, that of matrices of so many rows and more. Two rows are carried through all of its reflections, and
where these are alike, as on a chain of constant coefficients, their rounding errors may add up: see
docs/decisions/0020-steady-errors.md. Neither is a multiple of a power of two, with the two columns of a separator,
which would bring all lanes to the same place of a cache."""

_LARGEST_GREEDY = 1 << 16
"""Order of a reduced system up to which `stridiag._kernels.markowitz` serves: what is left dense is a tenth of it."""

# Columns of the shortest segment through which errors of a vector are worth a look.
_LONG = 32

LANES = 16
"""Segments that are worth the lanes of vectors."""


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
    core_places : ndarray of int64, (r,)
        Where these rows stand among the leftover rows of the segments; -1 for rows of the matrix.
    first, last : ndarray of int64, (segments,)
        Interior stretches.
    neighbours : ndarray of int64, (segments, 4)
        Indices among `columns` of first - 2, first - 1, last + 1 and last + 2; -1 where the chain ends before.
    tree : SeparatorTree
        How the separators that cut long segments are eliminated.
    link_start : ndarray of int64, (segments + 1,)
        Which of `link_slots`, `link_kept` belong to the row last + 1 of each segment.
    link_slots, link_kept : ndarray of int64
        Slot, and index among `columns` of the column, of the links in the last rows of segments.
    reduced : ReducedPattern
        How the reduced system is put together.
    """

    chain: ChainLayout
    columns: Index
    core: Index
    leftover: Index
    core_places: Index
    first: Index
    last: Index
    neighbours: Index
    tree: SeparatorTree
    link_start: Index
    link_slots: Index
    link_kept: Index
    reduced: ReducedPattern
    method = "chain"

    @property
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.chain.structure

    @cached_property
    def odd(self) -> int:
        """Parity of the permutation that brings the leftover rows to the kept columns."""
        with_left = self.neighbours[:, 1] >= 0
        return int((self.last - self.first + 1)[with_left].sum() % 2)

    @cached_property
    def reduced_method(self) -> ReducedMethod:
        """How the reduced system is factored."""
        return ReducedMethod.choose(self.reduced, dense=0)

    @cached_property
    def fused(self) -> bool:
        """Whether vectors of double precision are solved for in one call: `stridiag._kernels.condensed_solve`."""
        return self.chain.plain and not self.swept and self.reduced_method.fronts is not None

    @cached_property
    def swept(self) -> bool:
        """Whether real vectors are solved for in sweeps: `stridiag.factorization.sweeps`."""
        return self.first.size >= LANES and self.chain.n >= SWEPT

    @property
    def steady(self) -> bool:
        """Whether errors of a single vector remain small by themselves: in sweeps, and in short segments."""
        return self.swept or self.longest < _LONG

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`: exact where the reduced system is not left to SuperLU; else with a bound for that."""
        if self.swept:
            return swept_cost(self, self.stored_cost.operations.slogdet, self.stored_cost.operations.inverse)
        return self.stored_cost

    @cached_property
    def stored_cost(self) -> Cost:
        """Cost where what is eliminated is stored: what has not to do with single real vectors needs that."""
        nodes = self.tree.tail.size
        interior = self.chain.n - self.columns.size
        reduced = self.reduced_method.cost
        inner = reduced.operations
        condense = CONDENSE * interior + CONDENSE_SEGMENT * self.first.size + CONDENSE_NODE * nodes
        assemble = self.reduced.assembly
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
        calls, each = (0.0, 0.35) if self.fused else (8e4, 0.7)
        overhead = (
            calls
            + each * (condense + substitute)
            + reduced.price
            - reduced.rate * (operations.factor + operations.solve)
        )
        return Cost(operations, stored, reduced.rate, overhead)

    @cached_property
    def places_outside(self) -> tuple[Index, Index, Index, Index, Index]:
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
        alone : ndarray of int64
            Which of `outside` are no slots of segments.
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
        alone = np.ones(outside.size, np.bool_)
        alone[among[ends[ends >= 0]]] = False
        return outside, among[ends], among[self.tree.slots], among[self.leftover], np.flatnonzero(alone)

    @cached_property
    def turns(self) -> Index:
        """Segments, (segments,), in the order of the matrix's rows that they begin with."""
        return np.argsort(self.chain.order[self.first], kind="stable")

    @cached_property
    def behind_none(self) -> Index:
        """Which kept columns stand neither next nor next but one behind a segment."""
        found = np.ones(self.columns.size + 1, np.bool_)
        # Where there is none, -1 is the last place.
        found[self.neighbours[:, 2:]] = False
        return np.flatnonzero(found[:-1])

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
        return reflect, int(substitute.sum() + 3 * links.sum() + (links > 0).sum()) + self.node_operations

    @cached_property
    def node_operations(self) -> int:
        """What the nodes of the trees do for one right-hand side."""
        around, below = self.tree.around[:, 2:] >= 0, np.diff(self.link_start)[self.tree.tail]
        return int(28 * below.size + 4 * around.sum() + (2 * below + 4 * (below > 0)).sum())

    def describe(self) -> str:
        """See `Layout`."""
        nodes = self.tree.tail.size
        cut = f", {plural(nodes, 'dummy separator')}" if nodes else ""
        return (
            f"orthogonal condensation of {plural(self.first.size, 'segment')}{cut}, "
            f"{self.reduced_method.kind} reduced system of order {self.core.size}"
        )

    @cached_property
    def lanes(self) -> Index:
        """Segments, (segments,), sorted by length.

        So that consecutive ones can be worked on in the lanes of vectors.
        """
        order = np.empty(self.first.size, np.int64)
        kernels.by_length(self.first, self.last, np.empty(self.longest + 2, np.int64), order)
        return order

    @cached_property
    def greedy(self) -> RotatedRows | None:
        """Rows of a reduced system whose pivots are chosen as it is eliminated; None where fronts serve sweeps too."""
        reduced = self.reduced
        return RotatedRows.of(reduced) if reduced.order <= _LARGEST_GREEDY and interlaced(reduced) else None

    @cached_property
    def watched(self) -> tuple[WatchedRows, WatchedRows]:
        """Rows in which errors gather, of the matrix and of its transpose."""
        return left_over(self.structure, self.chain.order[self.columns])

    @cached_property
    def longest(self) -> int:
        """Columns of the longest segment."""
        return int((self.last - self.first).max(initial=-1)) + 1

    @classmethod
    def later(cls, chain: ChainLayout) -> CondensationLayout:
        """Return what `build` does, laid out when anything but the chains is first asked for.

        For long chains with so few links that there are segments enough for sweeps. Where windows serve, no more is
        needed: `stridiag.factorization.linked_windows`.
        """
        made = cls.__new__(cls)
        made.__dict__.update(chain=chain, swept=True)
        return made

    def __getattr__(self, name: str) -> Any:
        # Called for what is not there, which is what `later` has put off. Two threads may do so at the same time, and
        # lay out the same.
        if name not in _LAID_OUT:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__.update(type(self).build(self.chain).__dict__)
        return self.__dict__[name]

    @classmethod
    def build(cls, chain: ChainLayout, segment: int | None = None, kept: Index | None = None) -> CondensationLayout:
        """Choose the kept columns for the links of `chain`, if there are any, and lay out the rest.

        Parameters
        ----------
        chain : ChainLayout
        segment : int, optional
            Longest segment, 3 or more; default `SEGMENT`. Longer stretches are cut into pieces whose lengths differ by
            one at most.
        kept : ndarray of int64, optional
            Columns, as chain positions in any order, that are to be in the reduced system although no link is there.

        Returns
        -------
        CondensationLayout
        """
        longest = segment or (SEGMENT if chain.n < LONG_CHAIN else LONG_SEGMENT)
        if longest < 3:
            raise ValueError(f"segments must be 3 columns long or more, got {longest}")
        slots, rows, targets = chain.links
        starts, links = chain.starts, rows.size
        sorted_columns = np.sort(targets if kept is None else np.concatenate((targets, kept)))
        # Kept columns fall into two runs a link at most.
        pieces = starts.size + links + sorted_columns.size
        pieces += (chain.n + pieces) // (longest + 2)
        width = 2 * links + 2 * pieces
        columns, among, core = np.empty((3, width), np.int64)
        first, last = np.empty((2, pieces), np.int64)
        neighbours = np.empty((pieces, 4), np.int64)
        joined = np.empty(pieces, np.bool_)
        link_start = np.empty(pieces + 1, np.int64)
        scratch = np.empty(2 * links + sorted_columns.size, np.int64)
        link_order, link_kept = np.empty((2, links), np.int64)
        sizes = np.empty(4, np.int64)
        kernels.lay_out(
            starts,
            rows,
            sorted_columns,
            targets,
            longest,
            scratch,
            columns,
            among,
            core,
            first,
            last,
            neighbours,
            joined,
            link_start,
            link_order,
            link_kept,
            sizes,
        )
        kept_count, inner, segments, entering = sizes.tolist()
        columns, core = columns[:kept_count], core[:inner]
        first, last, neighbours = first[:segments], last[:segments], neighbours[:segments]
        link_start = link_start[: segments + 1]
        tree = SeparatorTree.build(joined, last, neighbours)
        own = slots[link_order]
        reduced, leftover, core_places = ReducedPattern.build(
            chain,
            columns,
            core,
            among,
            (last, neighbours, tree),
            link_start,
            np.stack((own, rows[link_order], among[link_kept])),
        )
        return cls(
            chain=chain,
            columns=columns,
            core=core,
            leftover=leftover,
            first=first,
            last=last,
            neighbours=neighbours,
            tree=tree,
            core_places=core_places,
            link_start=link_start,
            link_slots=own[:entering],
            link_kept=link_kept[:entering],
            reduced=reduced,
        )


_LAID_OUT = frozenset(field.name for field in fields(CondensationLayout)) - {"chain"}
