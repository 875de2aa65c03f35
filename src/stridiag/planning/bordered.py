r"""Bands with borders: a few rows and columns with many entries, *stretched* until all of the matrix is a narrow band.

A **hub** is a row or a column with many more entries than the others. The order of the band is cut into blocks. The sum
over a hub row is taken block by block: a new unknown :math:`s_k` for each block carries it on towards the hub's own
place,

.. math:: \sum_{j \in \text{block } k} a_{rj} x_j + \sigma s_{k-1} - \sigma s_k = 0,

and row r holds :math:`\sigma s` of its neighbours on either side in place of its far entries. The unknown of a hub
column is carried outwards by copies, :math:`\tau y_{k-1} - \tau y_k = 0`, and block k multiplies its own copy. Each
entry then stands within a block of the diagonal. The matrix is the Schur complement of the new unknowns in the
stretched one, so that its inverse is a part of the stretched inverse, and its determinant the stretched one over the
product of all :math:`-\sigma` and :math:`-\tau`, which are powers of two. Derivation: docs/theory/borders.md.

References: J. F. Grcar, Matrix stretching for linear equations, Tech. Rep. SAND90-8723, Sandia National Laboratories
(1990), arXiv:1203.2377.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.planning.band import BandLayout, band_cost
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.structure import Structure

__all__ = ["BorderedLayout"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_HUBS = 8
"""Rows and columns that may be hubs, together."""

# A row or column is a hub if it has more links than this, and than so many for each diagonal.
_HUB, _HUB_PER_DIAGONAL = 16, 4


@dataclass(frozen=True, eq=False)
class BorderedLayout:
    """How a square structure with hubs is stretched to a band.

    Attributes
    ----------
    structure : Structure
        Square.
    hub_rows, hub_columns : ndarray of int64
        Original indices.
    places : ndarray of int64, (n,)
        Place of each original row and column in the stretched matrix.
    inner : BandLayout
        Of the stretched matrix, whose entries are all links.
    sources : ndarray of int64, (inner.structure.nnz,)
        Where the value of each entry of the stretched matrix is found in the values by slot, followed by the
        connectors: for each hub, rows first, plus and minus its power of two.
    chains : tuple of (hub, ndarray of int64)
        Number of a hub, and the places of the unknowns that carry its sum or its copies along one side, in the
        direction in which they are carried.
    """

    structure: Structure
    hub_rows: Index
    hub_columns: Index
    places: Index
    inner: BandLayout
    sources: Index
    chains: tuple[tuple[int, Index], ...]
    method = "bordered"

    @classmethod
    def build(cls, structure: Structure) -> BorderedLayout:
        """Find the hubs, order the rest as a band, and stretch.

        Raises
        ------
        NotApplicable
            If there is no hub, or there are more than `MAX_HUBS`; or if the rest is no narrow band.
        """
        n = structure.shape[0]
        least = _HUB + _HUB_PER_DIAGONAL * len(structure.offsets)
        hub_rows, hub_columns = (
            np.flatnonzero(np.bincount(index, minlength=n) > least)
            for index in (structure.link_rows, structure.link_columns)
        )
        hubs = hub_rows.size + hub_columns.size
        if hubs == 0:
            raise NotApplicable(f"no row or column has more than {least} links")
        if hubs > MAX_HUBS:
            raise NotApplicable(f"{hubs} rows and columns have more than {least} links each, the limit is {MAX_HUBS}")
        in_row = np.isin(structure.link_rows, hub_rows)
        in_column = np.isin(structure.link_columns, hub_columns)
        near = ~in_row & ~in_column
        rest = Structure(n, structure.offsets, (structure.link_rows[near], structure.link_columns[near]))
        band = BandLayout.build(rest)
        if not band.compiled:
            raise NotApplicable(f"without the hubs there are still {band.lower} sub-diagonals")
        reach = band.upper
        length = min(range(1, 2 * (reach + hubs) + 1), key=lambda t: _price(n, reach, hubs, t))
        return _stretch(structure, band, hub_rows, hub_columns, length)

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.structure.shape[0]

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`."""
        inner = self.inner.cost
        operations = Operations(
            inner.operations.factor,
            inner.operations.solve,
            determinant(self.inner.n),
            self.n * inner.operations.solve,
            inner.operations.exact,
        )
        return Cost(operations, inner.bytes, inner.rate, overhead=inner.overhead + 20.0 * self.inner.structure.nnz)

    def describe(self) -> str:
        """See `Layout`."""
        return (
            f"{plural(self.hub_rows.size, 'hub row')} and {plural(self.hub_columns.size, 'hub column')} stretched to a "
            f"band of order {self.inner.n:,}; {self.inner.describe()}"
        )

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns."""
        return CompressedColumns.build(self.structure)

    @cached_property
    def hub_slots(self) -> tuple[Index, ...]:
        """Slots of the links of each hub, rows first."""
        first = self.structure.starts[-1]
        return tuple(
            first + np.flatnonzero(index == hub)
            for index, hubs in (
                (self.structure.link_rows, self.hub_rows),
                (self.structure.link_columns, self.hub_columns),
            )
            for hub in hubs.tolist()
        )

    @cached_property
    def origins(self) -> Index:
        """Original index at each place of the stretched matrix; that of the hub for what was put in."""
        result = np.empty(self.inner.n, np.int64)
        result[self.places] = np.arange(self.n)
        hubs = np.concatenate((self.hub_rows, self.hub_columns))
        for hub, chain in self.chains:
            result[chain] = hubs[hub]
        return result


def _price(n: int, reach: int, hubs: int, length: int) -> float:
    """Return what a stretched band costs whose blocks have some length: close enough to choose among lengths."""
    width = max(length + hubs, reach + -(-reach // length) * hubs)
    return band_cost(n + -(-n // length) * hubs, width, width, entries=0).price


def _stretch(
    structure: Structure, band: BandLayout, hub_rows: Index, hub_columns: Index, length: int
) -> BorderedLayout:
    n, hubs = structure.shape[0], hub_rows.size + hub_columns.size
    blocks = -(-n // length)
    stride = length + hubs
    order = band.positions(np.arange(n))
    block, within = np.divmod(order, length)
    # Every block ends with one place for each hub, used or not; `used` will close the gaps.
    place = block * stride + within
    slot_rows, slot_columns = structure.coordinates()
    rows, columns = place[slot_rows], place[slot_columns]
    used = np.zeros(blocks * stride, bool)
    used[place] = True
    entries: list[tuple[Index, Index, Index]] = []
    chains: list[tuple[int, Index]] = []
    first_link = structure.starts[-1]
    rowwise = np.isin(slot_rows[first_link:], hub_rows)
    for hub, index in enumerate(np.concatenate((hub_rows, hub_columns)).tolist()):
        is_row = hub < hub_rows.size
        if is_row:
            slots = first_link + np.flatnonzero(slot_rows[first_link:] == index)
            ends = block[slot_columns[slots]]
        else:
            slots = first_link + np.flatnonzero((slot_columns[first_link:] == index) & ~rowwise)
            ends = block[slot_rows[slots]]
        far = ends != block[index]
        target = ends[far] * stride + length + hub
        if is_row:
            rows[slots[far]] = target
        else:
            columns[slots[far]] = target
        plus = structure.nnz + 2 * hub
        for side in (
            range(int(block[index]) + 1, int(ends.max(initial=0)) + 1),
            range(int(block[index]) - 1, int(ends.min(initial=blocks)) - 1, -1),
        ):
            chain = np.array(side, np.int64) * stride + length + hub
            if chain.size == 0:
                continue
            used[chain] = True
            inner_ends = np.concatenate((place[index : index + 1], chain[:-1]))
            # Outwards, the neighbour of a copy is the one before it; a sum is handed to the one before it.
            pair = (inner_ends, chain) if is_row else (chain, inner_ends)
            entries.append((chain, chain, np.full(chain.size, plus + 1)))
            entries.append((*pair, np.full(chain.size, plus)))
            chains.append((hub, chain[::-1] if is_row else chain))
    closed = np.cumsum(used) - 1
    all_rows = closed[np.concatenate([rows, *(part[0] for part in entries)])]
    all_columns = closed[np.concatenate([columns, *(part[1] for part in entries)])]
    sources = np.concatenate([np.arange(structure.nnz), *(part[2] for part in entries)])
    order_of_links = np.lexsort((all_columns, all_rows))
    stretched = Structure(int(np.count_nonzero(used)), (), (all_rows, all_columns))
    return BorderedLayout(
        structure,
        hub_rows,
        hub_columns,
        closed[place],
        BandLayout.natural(stretched),
        sources[order_of_links],
        tuple((hub, closed[chain]) for hub, chain in chains),
    )
