"""Patterns that are triangular in some order of rows and columns, and those that are so but for cycles.

*Triangular* is a pattern whose rows can be put in an order in which each has one column more than those before it:
then there is one pairing of rows and columns, its entries are the pivots, and nothing has to be eliminated. *Cyclic*
is one whose strongly connected parts are single entries or simple cycles. Two offsets p and -q beside the main
diagonal, without links and with g their greatest common divisor, are triangular if and only if p + q >= n + g, and
cyclic if and only if p + q >= n. See docs/theory/triangular.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels.block_order import order_blocks, peel_rows
from stridiag._kernels.permutations import permutation_sign
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.planning.matching import matched_rows
from stridiag.structure import Structure

__all__ = ["CyclicLayout", "SubstitutionOrder", "TriangularLayout"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_NOT_SQUARE_RANK = "no pairing of rows and columns covers them all: every such matrix is singular"


@dataclass(frozen=True, eq=False)
class SubstitutionOrder:
    """Rows and columns in an order in which the pattern is (block) lower triangular.

    Attributes
    ----------
    rows, columns : ndarray of int64, (n,)
        The original row and column of each position. One and the same array if pivots lie on the main diagonal.
    pivots : ndarray of int64, (n,)
        The slot of each position's pivot.
    pointers, indices : ndarray of int32, (n + 1,) and (entries,)
        The entries that are substituted, by rows: positions of their columns, ascending.
    slots : ndarray of int64, (entries,)
        Their slots.
    """

    rows: Index
    columns: Index
    pivots: Index
    pointers: NDArray[np.int32]
    indices: NDArray[np.int32]
    slots: Index

    @property
    def symmetric(self) -> bool:
        """Whether all pivots lie on the main diagonal."""
        return self.rows is self.columns

    @cached_property
    def sign(self) -> int:
        """Determinant of the two permutations together."""
        if self.symmetric:
            return 1
        signs = [permutation_sign(part, np.zeros(part.size, np.uint8)) for part in (self.rows, self.columns)]
        return signs[0] * signs[1]

    def substituted(self) -> tuple[Index, Index]:
        """Return the original rows and columns of the entries that are substituted, by rows in order."""
        rows = np.repeat(self.rows, np.diff(self.pointers))
        return rows, self.columns[self.indices]

    def place(self, b: Array) -> Array:
        """Return the rows of `b`, (n, m), in order."""
        return b[self.rows]

    def place_adjoint(self, b: Array) -> Array:
        """Return the rows of `b`, (n, m), in the order of the columns."""
        return b[self.columns]

    def restore(self, x: Array) -> Array:
        """Undo `place_adjoint`."""
        result = np.empty_like(x)
        result[self.columns] = x
        return result

    def restore_adjoint(self, x: Array) -> Array:
        """Undo `place`."""
        result = np.empty_like(x)
        result[self.rows] = x
        return result


@dataclass(frozen=True, eq=False)
class TriangularLayout:
    """A pattern that is triangular: substitution without any factorization, `stridiag._kernels.substitution`.

    Attributes
    ----------
    structure : Structure
    order : SubstitutionOrder or None
        None where all diagonals lie on one side and there are no links: then the natural order serves.
    upper : bool
        For the natural order, the side.
    """

    structure: Structure
    order: SubstitutionOrder | None
    upper: bool = False
    method = "triangular"

    @classmethod
    def build(cls, structure: Structure) -> TriangularLayout:
        """Find the order.

        Raises
        ------
        NotApplicable
            If there is none.
        """
        n = structure.shape[0]
        below, above = min(structure.offsets, default=0) < 0, max(structure.offsets, default=0) > 0
        if n == 0 or (0 in structure.offsets and not structure.link_count and not (below and above)):
            return cls(structure, None, above)
        _refuse_cycles(structure, allowed=False)
        by_column = CompressedColumns.build(structure)
        rows, columns = np.empty((2, n), np.int64)
        counts, sums = np.zeros((2, n), np.int64)
        taken = peel_rows(by_column.indptr, by_column.indices, counts, sums, rows, columns)
        if taken == 0:
            raise NotApplicable("no row has a single entry")
        if taken < n:
            raise NotApplicable("its graph has a cycle, or no pairing of rows and columns covers them all")
        if np.array_equal(rows, columns):
            columns = rows
        return cls(structure, _ordered(structure, rows, columns, np.arange(n + 1))[0])

    @property
    def cost(self) -> Cost:
        """See `Layout`: a division for each row, two operations for each entry off the diagonal."""
        n, entries = self.structure.shape[0], self.structure.nnz
        solve = 2 * entries - n if n else 0
        operations = Operations(0, solve, determinant(n), n * solve, exact=True)
        rate, overhead = (2.0, 1e4) if self.order is None else (3.0, 1e4)
        return Cost(operations, 8 * entries, rate=rate, overhead=overhead)

    def describe(self) -> str:
        """See `Layout`."""
        if self.order is None:
            return f"{'upper' if self.upper else 'lower'} triangular, substitution"
        return "triangular after a permutation, substitution"


@dataclass(frozen=True, eq=False)
class CyclicLayout:
    """A pattern that is triangular but for cycles: `stridiag._kernels.cyclic_lu`.

    Attributes
    ----------
    structure : Structure
    order : SubstitutionOrder
        Positions of a cycle follow one another, each with an entry in the column of the next.
    starts : ndarray of int64, (blocks + 1,)
        First position of each block.
    upper : ndarray of int64, (n,)
        For positions in cycles the slot of that entry, for the last one of a cycle the one in its first column;
        -1 elsewhere.
    """

    structure: Structure
    order: SubstitutionOrder
    starts: Index
    upper: Index
    method = "cyclic"

    @classmethod
    def build(cls, structure: Structure) -> CyclicLayout:
        """Find the blocks and their order.

        Raises
        ------
        NotApplicable
            If a strongly connected part is more than a simple cycle.
        """
        n = structure.shape[0]
        _refuse_cycles(structure, allowed=True)
        by_column = CompressedColumns.build(structure)
        row = by_column.indices
        if n and min(np.bincount(row, minlength=n).min(), np.diff(by_column.indptr).min()) > 2:
            raise NotApplicable("no row, or no column, has less than three entries")
        entry_column = np.repeat(np.arange(n, dtype=np.int32), np.diff(by_column.indptr))
        matched = np.arange(n, dtype=np.int32) if 0 in structure.offsets else matched_rows(row, entry_column, n)
        if (matched < 0).any():
            raise NotApplicable(_NOT_SQUARE_RANK)
        owner = np.empty(n, np.int32)
        owner[matched] = np.arange(n, dtype=np.int32)
        entry_owner = owner[row]
        count, labels = _strong_components(entry_owner, entry_column, n)
        inside = labels[entry_owner] == labels[entry_column]
        own = inside & (entry_owner != entry_column)
        sizes = np.bincount(labels, minlength=count)
        # A strongly connected part of m > 1 columns has at least m entries; with just m it is a simple cycle.
        if np.count_nonzero(own) > sizes[sizes > 1].sum():
            raise NotApplicable("two cycles of its graph meet")
        successor = np.arange(n, dtype=np.int64)
        successor[entry_owner[own]] = entry_column[own]
        first = np.empty(count, np.int64)
        first[labels[::-1]] = np.arange(n - 1, -1, -1)
        columns, starts = np.empty(n, np.int64), np.empty(count + 1, np.int64)
        order_blocks(
            by_column.indptr,
            row,
            owner,
            labels,
            np.bincount(labels[entry_owner[~inside]], minlength=count),
            first,
            successor,
            np.empty(count, np.int64),
            columns,
            starts,
        )
        rows = columns if 0 in structure.offsets else matched[columns].astype(np.int64)
        if np.array_equal(rows, columns):
            rows = columns
        order, upper = _ordered(structure, rows, columns, starts)
        return cls(structure, order, starts, upper)

    @property
    def cycle_lengths(self) -> Index:
        """Lengths of the cycles, in order."""
        sizes = np.diff(self.starts)
        return sizes[sizes > 1]

    @property
    def cost(self) -> Cost:
        """See `Layout`: 2 m - 1 operations to factor a cycle of length m, 5 m - 4 to solve with it."""
        n, lengths = self.structure.shape[0], self.cycle_lengths
        factor = int((2 * lengths - 1).sum())
        solve = 2 * self.order.slots.size + n - int(lengths.sum()) + int((5 * lengths - 4).sum())
        operations = Operations(factor, solve, determinant(n), n * solve, exact=True)
        return Cost(operations, 25 * n + 8 * self.order.slots.size, rate=3.0, overhead=3e4)

    def describe(self) -> str:
        """See `Layout`."""
        return f"{plural(self.cycle_lengths.size, 'cycle')}, LU along each, and substitution between them"


def _refuse_cycles(structure: Structure, *, allowed: bool) -> None:
    """Raise `NotApplicable` where it is plain that there is a cycle, or (if cycles are allowed) that two of them meet.

    With the main diagonal stored, offsets p and -q close a cycle if p + q < n + g, and their cycles meet if p + q < n.
    """
    n = structure.shape[0]
    if structure.nnz < n:
        raise NotApplicable(_NOT_SQUARE_RANK)
    if 0 not in structure.offsets:
        return
    for p in structure.offsets:
        for q in structure.offsets:
            g = 0 if allowed else math.gcd(p, q)
            if p > 0 > q and p - q < n + g:
                what, bound = ("cycles that meet", f"{n}") if allowed else ("a cycle", f"{n} + {g}")
                raise NotApplicable(f"the offsets {q} and {p} close {what}, since {p} + {-q} < {bound}")
    if not allowed and structure.link_count:
        distance = structure.link_columns - structure.link_rows
        for k in structure.offsets:
            if k and ((distance * k < 0) & (distance % k == 0)).any():
                raise NotApplicable(f"a link closes a cycle with the offset {k}")


def _ordered(structure: Structure, rows: Index, columns: Index, starts: Index) -> tuple[SubstitutionOrder, Index]:
    """Sort the slots into pivots, entries that are substituted, and (second) the other entries of cycles."""
    from scipy.sparse import coo_array

    n = structure.shape[0]
    position_of_row, position_of_column = np.empty((2, n), np.int32)
    position_of_row[rows] = np.arange(n)
    position_of_column[columns] = np.arange(n)
    original_row, original_column = structure.coordinates()
    row, column = position_of_row[original_row], position_of_column[original_column]
    pivots, upper = np.full((2, n), -1, np.int64)
    on = np.flatnonzero(row == column)
    pivots[row[on]] = on
    off = row != column
    if starts.size <= n:
        block = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        inside = np.flatnonzero(off & (block[row] == block[column]))
        upper[row[inside]] = inside
        off[inside] = False
    slot = np.flatnonzero(off)
    # scipy's conversion sorts by counting: let it carry the numbers of the slots.
    numbered = coo_array((slot, (row[slot], column[slot])), shape=(n, n)).tocsr()
    numbered.sort_indices()
    return SubstitutionOrder(rows, columns, pivots, numbered.indptr, numbered.indices, numbered.data), upper


def _strong_components(row: Array, column: Array, n: int) -> tuple[int, Array]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(row.size, np.int8), (row, column)), shape=(n, n)).tocsr()
    count, labels = connected_components(graph, directed=True, connection="strong")
    return int(count), labels
