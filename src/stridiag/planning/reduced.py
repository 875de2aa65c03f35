"""The reduced system of a condensation: which numbers make it up, and where they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.planning.chain import ChainLayout
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
    """

    carried: Index
    linked: tuple[Index, Index]
    outer: tuple[Index, Index, Index]
    outer_slots: Index

    @classmethod
    def build(
        cls,
        columns: Index,
        roots: Index,
        neighbours: Index,
        last_row_links: tuple[Index, Index, Index],
        outer_links: tuple[Index, Index, Index],
        chain: ChainLayout,
    ) -> ReducedPattern:
        """Lay out the entries of the reduced system.

        Parameters
        ----------
        columns : ndarray of int64, (k,)
            Chain positions of its columns.
        roots : ndarray of int64, (roots,)
            Places in the kernel's `leftover`.
        neighbours : ndarray of int64, (roots, 4)
            Indices among `columns`; -1 where there is none.
        last_row_links : tuple of ndarray
            The number of links in the last row of each root, their indices among all such links of the layout, and
            among `columns`.
        outer_links : tuple of ndarray
            Slots, rows and columns (chain positions) of the links of rows outside all segments.
        chain : ChainLayout
        """
        # Leftover row 0 of a root stands at the kept column to its left, row 1 at that to its right.
        at = neighbours[:, 1:3]
        used = (at[:, :, None] >= 0) & (neighbours[:, None, :] >= 0)
        root, carry, side = np.nonzero(used)
        carried = (roots[root] * 2 + carry) * 5 + side

        counts, link, link_kept = last_row_links
        of_link = np.repeat(np.arange(roots.size), counts)
        left = at[of_link, 0] >= 0
        base = roots[of_link] * 10 + 4
        factor = np.concatenate((base[left], base + 5))
        linked = np.concatenate((link[left], link))

        standing = np.zeros(columns.size, bool)
        standing[at[at >= 0]] = True
        free = np.flatnonzero(~standing)
        position = columns[free]
        down = ~np.isin(position, chain.starts[:-1])
        up = ~np.isin(position, chain.starts[1:] - 1)
        outer = (position[down] - 1, position, position[up])

        slots, rows, targets = outer_links
        row = np.concatenate(
            (
                at[root, carry],
                at[of_link[left], 0],
                at[of_link, 1],
                free[down],
                free,
                free[up],
                np.searchsorted(columns, rows),
            )
        )
        column = np.concatenate(
            (
                neighbours[root, side],
                link_kept[left],
                link_kept,
                np.searchsorted(columns, position[down] - 1),
                free,
                np.searchsorted(columns, position[up] + 1),
                np.searchsorted(columns, targets),
            )
        )
        return cls(
            *summed_columns(row, column, columns.size),
            carried=carried,
            linked=(factor, linked),
            outer=outer,
            outer_slots=slots,
        )

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
