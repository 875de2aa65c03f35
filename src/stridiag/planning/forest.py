"""Forests: trees peeled off a pattern, the order of their elimination, and the core that is left to another method.

The graph of a square pattern joins i and j if (i, j) or (j, i) is stored, i != j. If it has no cycle, all vertices are
eliminated from the leaves; else the trees are, and the 2-core is planned like any other matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels import peeling
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.structure import Structure

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from stridiag.planning.plan import Plan

__all__ = ["CoreLayout", "ForestLayout"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Nanoseconds for an operation.
RATE = 1.5


@dataclass(frozen=True, eq=False)
class ForestLayout:
    """A square structure with trees: which vertices are eliminated, in which order, and where their entries are.

    Positions are those of the order of elimination: first the vertices with a parent, then the roots of whole trees,
    then the core.

    Attributes
    ----------
    structure : Structure
    order : ndarray of int64, (n,)
        The original index at each position.
    parent : ndarray of int64, (edges,)
        The position of each eliminated vertex's parent, ascending.
    roots : int
        Number of trees that are not attached to the core; single vertices count.
    diagonal, up, down : ndarray of int64, (n,), (edges,), (edges,)
        Slots of the entries (v, v), (v, parent) and (parent, v), by position of v; -1 where there is none.
    core : CoreLayout or None
    """

    structure: Structure
    order: Index
    parent: Index
    roots: int
    diagonal: Index
    up: Index
    down: Index
    core: CoreLayout | None
    method = "forest"

    @classmethod
    def build(cls, structure: Structure) -> ForestLayout:
        """Peel the trees off a square structure.

        Raises
        ------
        NotApplicable
            If there are none.
        """
        n = structure.shape[0]
        rows, columns = structure.coordinates()
        tree = np.empty(n, np.int64)
        work = np.empty((n, 3), np.int64)
        order, position = np.empty(n, np.int64), np.empty(n, np.int64)
        peeled = peeling.peel(rows, columns, work, order, tree)
        if peeled == 0 and n > 0:
            raise NotApplicable("every index lies on a cycle, or on a path from one to another")
        edges = peeling.leaves_first(tree, work[:, 0], work[:, 1], order, position)
        diagonal, up, down = (np.empty(n, np.int64) for _ in range(3))
        inner = np.empty(structure.nnz if peeled < n else 0, np.int64)
        found = peeling.find_slots(rows, columns, tree, position, diagonal, up, down, inner)
        parent = position[tree[order[:edges]]]
        core = None
        if peeled < n:
            inner = inner[:found]
            inside = (position[rows[inner]] - peeled, position[columns[inner]] - peeled)
            attached = np.unique(parent[parent >= peeled]) - peeled
            core = CoreLayout.build(n - peeled, inner, inside, attached)
        return cls(structure, order, parent, peeled - edges, diagonal, up[:edges].copy(), down[:edges].copy(), core)

    @property
    def trees(self) -> int:
        """Number of eliminated vertices, roots included."""
        return self.parent.size + self.roots

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`; that of the core included."""
        n, edges = self.structure.shape[0], self.parent.size
        inner = int(np.unique(self.parent[self.parent < edges]).size)
        factor = 6 * edges
        solve = 9 * edges + self.roots + 2 * inner
        slogdet = determinant(self.trees)
        stored = 8 * (5 * edges + self.trees)
        if self.core is None:
            operations = Operations(factor, solve, slogdet, n * solve, exact=True)
            return Cost(operations, stored, rate=RATE)
        inside = self.core.plan.cost
        beside = self.core.beside.nnz
        # The core's entries times their rows' scales; and what passes between the trees and the core.
        factor += self.core.slots.size + inside.operations.factor
        solve += 2 * beside + self.core.structure.shape[0] + inside.operations.solve
        operations = Operations(factor, solve, slogdet + 1 + inside.operations.slogdet, n * solve, exact=False)
        # The overhead carries what the core's operations cost more, or less, than those of the trees.
        dearer = (inside.rate - RATE) * (inside.operations.factor + inside.operations.solve)
        return Cost(operations, stored + 12 * beside + inside.bytes, RATE, 1e5 + inside.overhead + dearer)

    def describe(self) -> str:
        """See `Layout`."""
        if self.core is None:
            return f"{plural(self.roots, 'tree')}, LU from the leaves with interchanges of child and parent"
        within = self.core.plan.layout
        return (
            f"{plural(self.trees, 'row')} on trees, LU from the leaves; the core of order "
            f"{self.core.structure.shape[0]:,} by {within.method}: {within.describe()}"
        )


@dataclass(frozen=True, eq=False)
class CoreLayout:
    """What is left when the trees are gone: the vertices on cycles and between them.

    Attributes
    ----------
    structure : Structure
        Its main diagonal is full, since the trees add to it.
    slots : ndarray of int64, (k,)
        Slots, in the whole structure, of the entries off the diagonal.
    rows, columns : ndarray of int64, (k,)
        Their positions in the core.
    attached : ndarray of int64
        Rows that have a tree, ascending.
    """

    structure: Structure
    slots: Index
    rows: Index
    columns: Index
    attached: Index

    @classmethod
    def build(cls, order: int, slots: Index, inside: tuple[Index, Index], attached: Index) -> CoreLayout:
        """Lay out the core's entries off its diagonal; chains within it are found where they keep their order."""
        rows, columns = inside
        offset = columns - rows
        chosen = [k for k in (-1, 1) if 2 * int(np.count_nonzero(offset == k)) > order]
        return cls(Structure(order, (0, *chosen), (rows, columns)), slots, rows, columns, attached)

    @cached_property
    def plan(self) -> Plan:
        """How the core is factored."""
        # Imported late: the planner is what builds this layout.
        from stridiag.planning.plan import plan

        return plan(self.structure)

    @cached_property
    def targets(self) -> tuple[Index, Index]:
        """Slots, in the core's structure, of the entries off the diagonal and of the diagonal."""
        everywhere = np.arange(self.structure.shape[0])
        return self.structure.slots(self.rows, self.columns), self.structure.slots(everywhere, everywhere)

    @cached_property
    def beside(self) -> csr_array[Any]:
        """The entries off the diagonal in the rows that have a tree, as a matrix of the numbers of their slots."""
        from scipy.sparse import coo_array

        here = np.zeros(self.structure.shape[0], np.bool_)
        here[self.attached] = True
        which = np.flatnonzero(here[self.rows])
        places = (self.rows[which].astype(np.int32), self.columns[which].astype(np.int32))
        return coo_array((self.slots[which], places), shape=self.structure.shape).tocsr()

    @cached_property
    def beside_slots(self) -> Index:
        """The slots, in the core's structure, of the entries of `beside`."""
        places = self.beside.tocoo()
        return self.structure.slots(places.row.astype(np.int64), places.col.astype(np.int64))

    def values(self, values: Array, diagonal: Array, alpha: Array) -> Array:
        """Return the core's values by its own slots, once the trees have changed its diagonal and scaled its rows."""
        result = np.zeros(self.structure.nnz, values.dtype)
        off, on = self.targets
        result[off] = values[self.slots] * alpha[self.rows]
        result[on] = diagonal
        return result
