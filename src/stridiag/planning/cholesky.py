"""Hermitian positive definite matrices: the order of elimination, the pattern of L, and an exact count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.errors import SizeLimitError
from stridiag.planning.chain import best_stride
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.elimination import FilledPattern, Graph, choose_order, fill, lower_edges
from stridiag.planning.layout import NotApplicable, plural
from stridiag.structure import Structure

__all__ = ["MAX_FILL_BYTES", "ChainCholeskyLayout", "CholeskyLayout", "cholesky_layout"]

Index = NDArray[np.int64]

MAX_FILL_BYTES = 2 << 30
"""Bytes of stored factors (float64) above which `cholesky_layout` refuses."""

# An entry of L: its number, its row, and its column in the list by rows.
_ENTRY_BYTES = 16


@dataclass(frozen=True, eq=False)
class ChainCholeskyLayout:
    """Chains without links, eliminated from both ends: `stridiag._kernels.chain_cholesky`.

    Attributes
    ----------
    structure : Structure
        With a symmetric pattern, and entries on offset 0 and on one offset on either side.
    stride : int
        That offset.
    diagonal, lower, upper : slice or ndarray of int64
        Slots of the diagonal, (n,), of the entries below and of those above, (n - stride,); -1 for none.
    """

    structure: Structure
    stride: int
    diagonal: slice | Index
    lower: slice | Index
    upper: slice | Index
    method = "cholesky"

    @property
    def joins(self) -> int:
        """Entries of L below its diagonal."""
        return max(self.structure.shape[0] - self.stride, 0)

    @property
    def order(self) -> Index:
        """Unknowns in the order of elimination: by turns from the start and from the end, the middle last."""
        n = self.structure.shape[0]
        half = self.joins // 2
        start, end = np.arange(half), n - 1 - np.arange(self.joins - half)
        by_turns = np.stack((start, end[:half]), axis=1).ravel()
        return np.concatenate((by_turns, end[half:], np.arange(half, half + n - self.joins)))

    @property
    def cost(self) -> Cost:
        """See `Layout`."""
        n = self.structure.shape[0]
        solve = n + 4 * self.joins
        operations = Operations(3 * self.joins, solve, determinant(n), n * solve, exact=True)
        return Cost(operations, 8 * (n + self.joins), rate=1.0, overhead=2e4)

    def describe(self) -> str:
        """See `Layout`."""
        return f"L D L^H of {plural(min(self.stride, self.structure.shape[0]), 'chain')}, from both ends"


@dataclass(frozen=True, eq=False)
class CholeskyLayout:
    """Any symmetric pattern: `stridiag._kernels.cholesky`.

    Attributes
    ----------
    structure : Structure
    filled : FilledPattern
    lower_start : ndarray of int64, (n + 1,)
    lower_columns : ndarray of int32
        For each step, the columns of the entries that its row has in columns eliminated before.
    lower, upper : ndarray of int64
        Slots of these entries and of their mirror images.
    order_name : str
        How the order was found.
    """

    structure: Structure
    filled: FilledPattern
    lower_start: Index
    lower_columns: NDArray[np.int32]
    lower: Index
    upper: Index
    order_name: str
    method = "cholesky"

    @cached_property
    def diagonal(self) -> slice | Index:
        """Slots of the diagonal; -1 where nothing is stored."""
        return _diagonal(self.structure)

    @property
    def order(self) -> NDArray[np.int32]:
        """Unknowns in the order of elimination."""
        return self.filled.order

    @property
    def cost(self) -> Cost:
        """See `Layout`."""
        n = self.structure.shape[0]
        solve = n + 4 * self.filled.entries
        operations = Operations(self.filled.operations, solve, determinant(n), n * solve, exact=True)
        return Cost(operations, self.filled.nbytes + 8 * (n + self.filled.entries), rate=1.5, overhead=3e4)

    def describe(self) -> str:
        """See `Layout`."""
        return f"sparse L D L^H, {plural(self.filled.entries, 'entry').replace('entrys', 'entries')}; {self.order_name}"


def cholesky_layout(structure: Structure) -> ChainCholeskyLayout | CholeskyLayout:
    """Lay out a square structure for Cholesky's method.

    Raises
    ------
    NotApplicable
        If an entry has no partner on the other side of the diagonal.
    SizeLimitError
        If the factor would occupy more than `MAX_FILL_BYTES` in every order that was tried.
    """
    stride, links = best_stride(structure)
    if links == 0:
        return _chains(structure, stride)
    found = Graph.of(structure)
    if not isinstance(found[0], Graph):
        raise NotApplicable(_unpaired(*found))
    graph, slots = found
    limit = MAX_FILL_BYTES // _ENTRY_BYTES
    order, name = choose_order(graph, max_entries=limit)
    filled = fill(graph, order, max_entries=limit)
    if not isinstance(filled, FilledPattern):
        raise SizeLimitError(
            f"the Cholesky factor of {structure} would take more than {filled * _ENTRY_BYTES} bytes for more than "
            f"{filled} entries, the limit is {MAX_FILL_BYTES} bytes; use fewer links or offsets closer together"
        )
    start, edges = lower_edges(graph, order)
    return CholeskyLayout(structure, filled, start, graph.adjacent[edges], slots[graph.twin[edges]], slots[edges], name)


def _chains(structure: Structure, stride: int) -> ChainCholeskyLayout:
    n = structure.shape[0]
    below: slice | Index
    above: slice | Index
    if -stride in structure.offsets and stride in structure.offsets:
        below, above = structure.diagonal_slots(-stride), structure.diagonal_slots(stride)
    else:
        places = np.arange(max(n - stride, 0))
        below, above = structure.slots(places + stride, places), structure.slots(places, places + stride)
        lonely = np.flatnonzero((below < 0) != (above < 0))
        if lonely.size:
            i = int(lonely[0])
            raise NotApplicable(_unpaired(i, i + stride) if below[i] < 0 else _unpaired(i + stride, i))
    return ChainCholeskyLayout(structure, stride, _diagonal(structure), below, above)


def _diagonal(structure: Structure) -> slice | Index:
    if 0 in structure.offsets:
        return structure.diagonal_slots(0)
    places = np.arange(structure.shape[0])
    return structure.slots(places, places)


def _unpaired(row: int, column: int) -> str:
    return (
        f"its pattern is not symmetric: entry ({row}, {column}) is stored and ({column}, {row}) is not "
        "(store a zero there if that is what it is)"
    )
