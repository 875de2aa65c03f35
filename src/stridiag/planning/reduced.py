"""The reduced system of a condensation: which numbers make it up, and where they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.condensation_layout import lay_out_reduced
from stridiag._kernels.reduced_sums import ABOVE, CARRIED, PRODUCTS, add_up
from stridiag.planning.chain import ChainLayout
from stridiag.planning.separator_tree import SeparatorTree
from stridiag.planning.summed import SummedColumns, summed_columns

__all__ = ["ReducedPattern"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ReducedPattern(SummedColumns):
    """How the reduced system is summed up from its sources, in compressed columns.

    Sources, one behind the other: the entries (root, leftover row, neighbour) of what the roots of the separator
    trees have left; the products of links in last rows with their two factors; the chain entries (sub, main, super)
    of rows outside all segments; the links of such rows.

    Attributes
    ----------
    sources : ndarray of int64
        Where each stands: see `stridiag._kernels.reduced_sums`.
    linked : ndarray of int64, (products,)
        The links in the products.
    ends : ndarray of int64, (5,)
        Where the sources of each kind end.
    around : ndarray of int64, (roots, 4)
        What stands around the roots of the trees, as `CondensationLayout.neighbours`, by places in the system.
    """

    sources: Index
    linked: Index
    ends: Index
    around: Index

    @classmethod
    def build(
        cls,
        chain: ChainLayout,
        columns: Index,
        core: Index,
        among: Index,
        segments: tuple[Index, Index, SeparatorTree],
        link_start: Index,
        links: Index,
    ) -> tuple[ReducedPattern, Index, Index]:
        """Lay out the entries of the reduced system.

        Parameters
        ----------
        chain : ChainLayout
        columns, core, among : ndarray of int64
            Kept columns, the indices of those of the reduced system, and the reverse, -1 for dummies.
        segments : tuple
            Last columns and neighbours of the segments, and the trees over them.
        link_start : ndarray of int64, (segments + 1,)
            Which links stand in the last row of each segment,
        links : ndarray of int64, (3, links)
            and of all links, those in last rows first, slots, rows, and columns as places in the system.

        Returns
        -------
        ReducedPattern
        leftover, core_places : ndarray of int64
            See `stridiag.planning.condensation.CondensationLayout`.
        """
        last, neighbours, tree = segments
        size, roots, count = core.size, tree.roots.size, links.shape[1]
        around, (leftover, places) = np.empty((roots, 4), np.int64), np.empty((2, size), np.int64)
        entries, linked = np.empty((3, 8 * roots + 3 * count + 3 * size), np.int64), np.empty(2 * count, np.int64)
        ends = np.empty(5, np.int64)
        total = lay_out_reduced(
            chain.starts,
            columns,
            core,
            among,
            last,
            neighbours,
            tree.roots,
            tree.heads,
            tree.tails,
            link_start,
            links,
            around,
            leftover,
            places,
            entries,
            linked,
            ends,
        )
        rows, targets, sources = entries[:, :total]
        pattern = cls(
            *summed_columns(rows, targets, size),
            sources=sources,
            linked=linked[: int(ends[PRODUCTS] - ends[CARRIED])],
            ends=ends,
            around=around,
        )
        return pattern, leftover, places

    @property
    def pairs(self) -> Index:
        """Rows that a segment, or what has grown out of several, has left, (pairs, 3).

        The first and the second, by the names of the kept columns k + 1 and m that stand nearest to it on either side,
        and k.
        """
        around = self.around
        return around[(around[:, 1] >= 0) & (around[:, 2] >= 0)][:, [1, 2, 0]]

    @property
    def assembly(self) -> int:
        """Operations that put the system together."""
        return self.place.size + self.linked.size

    @property
    def far(self) -> int:
        """Entries that need not stand near the diagonal, at most: those of links."""
        return int(self.linked.size + self.sources.size - self.ends[ABOVE])

    def assemble(self, leftover: Array, last_links: Array, dl: Array, d: Array, du: Array, values: Array) -> Array:
        """Return the entries of the reduced system, given what the kernels left and the matrix's own entries."""
        sums = np.zeros(self.indices.size, values.dtype)
        add_up(values, dl, d, du, leftover, last_links, self.place, self.sources, self.linked, self.ends, sums)
        return sums
