"""The reduced system of a condensation: which numbers make it up, and where they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.condensation_layout import lay_out_reduced
from stridiag.planning.chain import ChainLayout
from stridiag.planning.separator_tree import SeparatorTree
from stridiag.planning.summed import SummedColumns, summed_columns

if TYPE_CHECKING:
    from scipy.sparse import csc_array

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
    carried : ndarray of int64
        Flat indices of the used entries of the kernel's ``leftover[..., :4]``.
    linked : tuple of ndarray of int64
        Flat indices of the factors ``leftover[..., 4]`` and of the links they multiply.
    outer : tuple of ndarray of int64
        Indices into ``dl``, ``d`` and ``du`` of the chain entries in rows outside all segments.
    outer_slots : ndarray of int64
        Slots of the links in such rows.
    pairs : ndarray of int64, (pairs, 3)
        Rows that a segment, or what has grown out of several, has left: the first and the second, by the names of the
        kept columns k + 1 and m that stand nearest to it on either side, and k.
    """

    carried: Index
    linked: tuple[Index, Index]
    outer: tuple[Index, Index, Index]
    outer_slots: Index
    pairs: Index

    @classmethod
    def build(
        cls,
        chain: ChainLayout,
        columns: Index,
        core: Index,
        among: Index,
        segments: tuple[Index, Index, SeparatorTree],
        links: tuple[Index, Index, Index, Index, Index],
    ) -> tuple[ReducedPattern, Index, Index, Index]:
        """Lay out the entries of the reduced system.

        Parameters
        ----------
        chain : ChainLayout
        columns, core, among : ndarray of int64
            Kept columns, the indices of those of the reduced system, and the reverse, -1 for dummies.
        segments : tuple
            Last columns and neighbours of the segments, and the trees over them.
        links : tuple of ndarray
            Which links stand in the last row of each segment; slots, rows and columns of the links; their order, those
            in last rows first; and the indices of their columns, in that order, among the kept ones.

        Returns
        -------
        ReducedPattern
        around, leftover, link_core : ndarray of int64
            See `stridiag.planning.condensation.CondensationLayout`; `link_core` for all links.
        """
        last, neighbours, tree = segments
        link_start, slots, rows, link_order, link_kept = links
        size, roots, count = core.size, tree.roots.size, link_order.size
        around, leftover = np.empty((roots, 4), np.int64), np.empty(size, np.int64)
        carried, (factor, linked) = np.empty(8 * roots, np.int64), np.empty((2, 2 * count), np.int64)
        outer, sizes = np.empty((4, size), np.int64), np.empty(6, np.int64)
        row, column = np.empty((2, 8 * roots + 3 * count + 3 * size), np.int64)
        link_core = among[link_kept]
        lay_out_reduced(
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
            rows[link_order],
            link_core,
            around,
            leftover,
            row,
            column,
            carried,
            factor,
            linked,
            outer,
            sizes,
        )
        entries, products, below, on, above, total = sizes.tolist()
        pattern = cls(
            *summed_columns(row[:total], column[:total], size),
            carried=carried[:entries],
            linked=(factor[:products], linked[:products]),
            outer=(outer[0, :below], outer[1, :on], outer[2, :above]),
            outer_slots=slots[link_order[int(link_start[-1]) :]],
            pairs=around[(around[:, 1] >= 0) & (around[:, 2] >= 0)][:, [1, 2, 0]],
        )
        return pattern, around, leftover, link_core

    def assemble(
        self,
        leftover: Array,
        last_links: Array,
        tridiagonal: tuple[Array, Array, Array],
        values: Array,
    ) -> csc_array[Any]:
        """Return the reduced system, given what the kernels left and the matrix's own entries."""
        return self.sum_up(self.sources(leftover, last_links, tridiagonal, values))

    def sources(
        self,
        leftover: Array,
        last_links: Array,
        tridiagonal: tuple[Array, Array, Array],
        values: Array,
    ) -> Array:
        """Return the numbers that are added up, in the order of `place`."""
        flat = leftover.ravel()
        dl, d, du = (part[index] for part, index in zip(tridiagonal, self.outer, strict=True))
        products = flat[self.linked[0]] * last_links[self.linked[1]]
        return np.concatenate((flat[self.carried], products, dl, d, du, values[self.outer_slots]))
