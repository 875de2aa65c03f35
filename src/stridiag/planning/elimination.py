r"""In which order a symmetric pattern is eliminated, and what L then holds.

Eliminating an unknown with c neighbours left takes :math:`c (c + 2)` operations and joins these neighbours. So
unknowns with at most two neighbours come first, as long as there are any (`stridiag._kernels.elimination.peel`): they
are all of a chain, of a forest, of a cycle, of a band of two diagonals on either side, and all of a chain with links
but the places that links touch. What remains, the *core*, is a graph in which everyone has three neighbours or more.
Three orders of it are compared: as it stands, reverse Cuthill-McKee, and minimum degree. The last is the dearest to
find, and is not asked for where another is within a factor of two of what any order takes.

References: A. George and J. W. H. Liu, *Computer Solution of Large Sparse Positive Definite Systems*, Prentice-Hall
1981; J. W. H. Liu, "Modification of the minimum-degree algorithm by multiple elimination", ACM Trans. Math. Softw. 11
(1985) 141-153.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels import elimination as kernels
from stridiag.planning.compressed import CompressedColumns
from stridiag.structure import Structure

__all__ = ["FilledPattern", "Graph", "choose_order", "fill", "lower_edges", "minimum_degree"]

Index = NDArray[np.int32]
Pointers = NDArray[np.int64]

# An order that is quick to find is not followed further than to so many entries for each entry of the graph.
_CHEAP_FILL = 64


@dataclass(frozen=True, eq=False)
class Graph:
    """A symmetric pattern without its diagonal.

    Attributes
    ----------
    start : ndarray of int64, (n + 1,)
    adjacent : ndarray of int32
        The neighbours of each vertex, ascending.
    """

    start: Pointers
    adjacent: Index

    @property
    def n(self) -> int:
        """Number of vertices."""
        return self.start.size - 1

    @cached_property
    def twin(self) -> Index:
        """Where each edge stands in the list of its other end."""
        from scipy.sparse import csr_array

        if self.adjacent.size == 0:
            return np.empty(0, np.int32)
        numbered = csr_array(
            (np.arange(self.adjacent.size, dtype=np.int32), self.adjacent, self.start), shape=(self.n, self.n)
        )
        transposed: Index = numbered.tocsc().data
        return transposed

    @classmethod
    def of(cls, structure: Structure) -> tuple[Graph, Pointers] | tuple[int, int]:
        """Return the graph of a square structure and the slot (column, row) of each edge; or an unpaired entry."""
        compressed = CompressedColumns.build(structure)
        columns = np.repeat(np.arange(structure.shape[0], dtype=np.int32), np.diff(compressed.indptr))
        off = compressed.indices != columns
        rows, columns, slots = compressed.indices[off], columns[off], compressed.slots[off]
        start = np.searchsorted(columns, np.arange(structure.shape[0] + 1)).astype(np.int64)
        graph = cls(start, rows)
        counts = np.bincount(rows, minlength=structure.shape[0])
        if (counts == np.diff(start)).all() and (columns[graph.twin] == rows).all():
            return graph, slots
        lonely = np.flatnonzero(structure.slots(columns, rows) < 0)
        first = lonely[np.lexsort((columns[lonely], rows[lonely]))[0]]
        return int(rows[first]), int(columns[first])


@dataclass(frozen=True, eq=False)
class FilledPattern:
    """The pattern of L, as `stridiag._kernels.cholesky` reads it; unknowns keep their original numbers.

    Attributes
    ----------
    order : ndarray of int32, (n,)
        ``order[k]`` is eliminated k-th.
    counts : ndarray of int64, (n,)
        Entries below the diagonal of the column of each unknown.
    row_start, column_start : ndarray of int64, (n + 1,)
        By step.
    begin : ndarray of int64, (n,)
        `column_start` by unknown.
    row_columns, rows : ndarray of int32
        The columns of each row, and the rows of each column.
    """

    order: Index
    counts: Pointers
    row_start: Pointers
    column_start: Pointers
    begin: Pointers
    row_columns: Index
    rows: Index

    @property
    def entries(self) -> int:
        """Entries of L below its diagonal."""
        return self.rows.size

    @property
    def operations(self) -> int:
        """Operations of the factorization."""
        return int((self.counts * (self.counts + 2)).sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that solves and factorizations read, but for the numbers."""
        return sum(
            part.nbytes
            for part in (self.order, self.row_start, self.column_start, self.begin, self.row_columns, self.rows)
        )


def choose_order(graph: Graph, *, max_entries: int) -> tuple[Index, str]:
    """Return an order of elimination with few operations, and what it is called.

    Orders that would leave more than `max_entries` in L are passed over, unless there is no other.
    """
    peeled, core, left = _peel(graph)
    name = "fewest neighbours first"
    if left.size == 0:
        return peeled, name
    best: tuple[float, Index, str] | None = None
    # Below this no order of the core can be: each of its edges is an entry of L, and evenly spread they cost least.
    edges = core.adjacent.size // 2
    floor = edges * (edges / left.size + 2.0)
    for found, order_name, entries in _core_orders(core, max_entries):
        limit = np.iinfo(np.int64).max if best is None else int(best[0])
        operations, filled, _, _ = _count(core, found, most_operations=limit, most_entries=entries)
        if filled <= entries and (best is None or operations < best[0]):
            best = operations, found, order_name
        if best is not None and best[0] <= 2.0 * floor:
            break
    if best is None:
        best = np.inf, found, order_name
    whole = np.concatenate((peeled, left[best[1]])).astype(np.int32)
    return whole, (best[2] if peeled.size == 0 else f"{name}, then {best[2]}")


def _core_orders(core: Graph, max_entries: int) -> Iterator[tuple[Index, str, int]]:
    """Yield orders of a graph, the quickest to find first, their names, and how many entries they are allowed."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    allowed = min(max_entries, _CHEAP_FILL * core.adjacent.size)
    yield np.arange(core.n, dtype=np.int32), "the given order", allowed
    ones = csr_array((np.ones(core.adjacent.size, np.int8), core.adjacent, core.start.astype(np.int32)))
    narrow: Index = reverse_cuthill_mckee(ones, symmetric_mode=True).astype(np.int32)
    yield narrow, "reverse Cuthill-McKee", allowed
    yield minimum_degree(core), "minimum degree", max_entries


def _peel(graph: Graph) -> tuple[Index, Graph, Index]:
    """Return the order of the vertices that are peeled off, the graph of the others, and who these are."""
    n = graph.n
    target, twin = graph.adjacent.copy(), graph.twin.copy()
    degree = np.diff(graph.start).astype(np.int32)
    order = np.empty(n, np.int32)
    count = kernels.peel(graph.start, target, twin, degree, order, np.empty(3 * n + 1, np.int32))
    if count == n:
        return order, graph, order[:0]
    alive = degree >= 0
    left = np.flatnonzero(alive).astype(np.int32)
    number = np.cumsum(alive, dtype=np.int32) - 1
    owner = np.repeat(np.arange(n, dtype=np.int32), np.diff(graph.start))
    kept = alive[owner] & (target >= 0)
    start = np.concatenate(([0], np.cumsum(degree[left], dtype=np.int64)))
    return order[:count], Graph(start, number[target[kept]]), left


def minimum_degree(graph: Graph) -> Index:
    """Return SuperLU's multiple-minimum-degree order, made as `stridiag.planning.sparse.colamd` makes its own."""
    from scipy.sparse import csc_array, diags_array
    from scipy.sparse.linalg import spilu

    n = graph.n
    if n < 2:
        return np.arange(n, dtype=np.int32)
    off = csc_array((np.full(graph.adjacent.size, -1.0), graph.adjacent, graph.start), shape=(n, n))
    matrix: Any = (off + diags_array(np.diff(graph.start) + 2.0)).tocsc()
    # In SuperLU's symmetric mode the order is that of the elimination tree of A itself, not of A'A.
    options = {"SymmetricMode": True}
    position = spilu(matrix, drop_tol=1.0, fill_factor=1.0, permc_spec="MMD_AT_PLUS_A", options=options).perm_c
    order = np.empty(n, dtype=np.int32)
    order[position] = np.arange(n, dtype=np.int32)
    return order


def _count(graph: Graph, order: Index, *, most_operations: int, most_entries: int) -> tuple[int, int, Pointers, Index]:
    n = graph.n
    parent, marker = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    counts = np.zeros(n, np.int64)
    operations, entries = kernels.count_columns(
        graph.start, graph.adjacent, order, _inverse(order), parent, marker, counts, most_operations, most_entries
    )
    return operations, entries, counts, parent


def fill(graph: Graph, order: Index, *, max_entries: int) -> FilledPattern | int:
    """Return the pattern of L for an order; or more than `max_entries`, where it would hold more."""
    n = graph.n
    position = _inverse(order)
    unlimited = np.iinfo(np.int64).max
    _, entries, counts, parent = _count(graph, order, most_operations=unlimited, most_entries=max_entries)
    if entries > max_entries:
        return entries
    column_start = np.zeros(n + 1, np.int64)
    np.cumsum(counts[order], out=column_start[1:])
    begin = np.empty(n, np.int64)
    begin[order] = column_start[:-1]
    row_start = np.empty(n + 1, np.int64)
    row_columns, rows = np.empty(entries, np.int32), np.empty(entries, np.int32)
    scratch = (np.full(n, -1, np.int32), begin.copy(), np.empty(n, np.int32))
    kernels.fill_pattern(graph.start, graph.adjacent, order, position, parent, *scratch, row_start, row_columns, rows)
    return FilledPattern(order, counts, row_start, column_start, begin, row_columns, rows)


def lower_edges(graph: Graph, order: Index) -> tuple[Pointers, Pointers]:
    """Return where the edges of each step to vertices eliminated before start, (n + 1,), and these edges."""
    start = np.empty(graph.n + 1, np.int64)
    edges = np.empty(graph.adjacent.size // 2, np.int64)
    kernels.lower_rows(graph.start, graph.adjacent, order, _inverse(order), start, edges)
    return start, edges


def _inverse(order: Index) -> Index:
    position = np.empty_like(order)
    position[order] = np.arange(order.size, dtype=np.int32)
    return position
