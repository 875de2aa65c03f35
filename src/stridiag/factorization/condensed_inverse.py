"""The inverse of chains with links, from the orthogonal factor and the inverse of the reduced system."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import condensed_sides, inverse_panels
from stridiag._kernels import separator_tree as node_kernels
from stridiag._kernels.selected_inverse import condensed_pattern, kept_row_entries
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.chain_inverse import slots_of_chains
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import entries_by_solves
from stridiag.factorization.panels import panel_start, writes_panels
from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.inverse_cost import block_width

__all__ = ["CondensedInverse"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Columns of a block: some panels for each thread, and no more than a cache holds of the rows that are not zero.
_COLUMNS = 8 * inverse_panels.WIDTH

# Rows of segments that take some 60 microseconds.
_ROWS = 4096


class CondensedInverse:
    """What an orthogonal condensation says about the inverse.

    Parameters
    ----------
    layout : CondensationLayout
    rows, nodes, links : ndarray
        What the kernels left of segments and nodes, and the links of the segments' last rows.
    reduced : Decomposition
        Of the reduced system. Its rows are leftover slots, its columns kept columns; so those of its inverse are the
        other way round. The first slot of a root of the tree stands in the place of its left neighbour, the second in
        that of its right one.
    """

    def __init__(
        self, layout: CondensationLayout, rows: Array, nodes: Array, links: Array, reduced: Decomposition
    ) -> None:
        self._layout, self._rows, self._nodes, self._links, self._reduced = layout, rows, nodes, links, reduced

    def diagonal(self) -> Array:
        """Return the diagonal of the inverse, (n,), in the original order."""
        none = np.empty(0, np.int64)
        (_, main, _), _ = self._pattern(none, none)
        return self._layout.chain.from_chains(main)

    def by_slot(self, *, transpose: bool) -> Array:
        """Return the entries of the inverse, or of its transpose, at the pattern of the matrix, by slot."""
        slot, row, column = self._layout.chain.links
        (lower, main, upper), linked = self._pattern(column, row) if transpose else self._pattern(row, column)
        parts = (upper, main, lower) if transpose else (lower, main, upper)
        result = slots_of_chains(self._layout.chain, parts, self._rows.dtype)
        result[slot] = linked
        return result

    def _pattern(self, link_rows: Index, link_columns: Index) -> tuple[tuple[Array, Array, Array], Array]:
        """Return the diagonals of the inverse below, on and above the main one, and its entries between links' ends.

        All in chain order. Entry i of the first and the last array stands at (i + 1, i) and (i, i + 1).
        """
        layout, tree = self._layout, self._layout.tree
        n, order = layout.chain.n, layout.core.size
        core = layout.columns[layout.core]
        index = np.arange(order)
        row, column = np.searchsorted(core, link_rows), np.searchsorted(core, link_columns)
        around = layout.reduced.around
        slots = around[:, 1:3]
        of_link = np.repeat(np.arange(tree.roots.size), np.diff(layout.link_start)[tree.tails])
        # A leftover row of a root has the columns of its two slots mixed in; any other row has its own.
        owner, rightmost = np.full(order, -1, np.int64), np.zeros(order, np.bool_)
        for side in (0, 1):
            standing = np.flatnonzero(slots[:, side] >= 0)
            owner[slots[standing, side]] = standing
            rightmost[slots[standing, side]] = side == 1
        root = owner[column]
        mixed = np.flatnonzero(root >= 0)
        both = np.column_stack((column, column))
        both[mixed] = slots[root[mixed]]

        wanted = (
            *((np.where(_adjacent(core, step), index + step, -1), index) for step in (-1, 0, 1)),
            (np.repeat(around, 2), np.tile(slots, (1, 4)).ravel()),
            (np.repeat(np.searchsorted(layout.core, layout.link_kept), 2), slots[of_link].ravel()),
            (np.repeat(row, 2), both.ravel()),
        )
        at, to = (np.concatenate(part) for part in zip(*wanted, strict=True))
        asked = np.flatnonzero((at >= 0) & (to >= 0))
        entries = np.zeros(at.size, self._rows.dtype)
        entries[asked] = entries_by_solves(self._reduced, order, entries.dtype, at[asked], to[asked])
        parts = np.split(entries, np.cumsum([part.size for part, _ in wanted])[:-1])
        above, own, below, of_roots, of_last_links, of_links = parts

        lower, main, upper = np.zeros((3, n), entries.dtype)
        main[core] = own
        lower[core] = below
        # That of a chain's first column would go to the end of the chain before, where nobody reads it.
        upper[core - 1] = above
        segments = (self._rows, layout.first, layout.last, layout.neighbours)
        corner, link_corner = self._corners(of_roots.reshape(-1, 4, 2), of_last_links.reshape(-1, 2))

        def fill(first: int, last: int) -> None:
            here = slice(first, last)
            condensed_pattern(
                self._rows,
                layout.first[here],
                layout.last[here],
                layout.neighbours[here],
                layout.link_start[first : last + 1],
                self._links,
                corner[here],
                link_corner,
                lower,
                main,
                upper,
            )

        run_ranges(fill, layout.first.size, grain=max(1, _ROWS * layout.first.size // max(n, 1)))

        two = of_links.reshape(-1, 2)
        linked = two[:, 0].copy()
        found = np.empty(mixed.size, entries.dtype)
        kept_row_entries(
            *segments, tree.children, self._nodes, tree.roots[root[mixed]], rightmost[column[mixed]], two[mixed], found
        )
        linked[mixed] = found
        return (lower, main, upper), linked

    def _corners(self, of_roots: Array, of_links: Array) -> tuple[Array, Array]:
        """Return the entries of the inverse that each segment starts from, given those that the roots start from."""
        layout, tree = self._layout, self._layout.tree
        segments = layout.first.size
        corner = np.zeros((segments + tree.children.shape[0], 4, 2), of_roots.dtype)
        corner[tree.roots] = of_roots
        link_corner = of_links.copy()
        most = int(np.diff(layout.link_start).max(initial=0))
        node_kernels.inverse_corners(
            tree.children,
            segments,
            self._nodes,
            tree.tail,
            layout.link_start,
            self._links,
            corner,
            link_corner,
            np.empty((6 + most, 4), corner.dtype),
        )
        return corner[:segments], link_corner

    def write(self, out: Array) -> bool:
        """Fill `out`, (n, n), with the inverse, by columns: R^-1 Q^H times columns of the identity.

        A column of the identity passes only through the reflections of the segment that it belongs to.
        """
        layout, tree = self._layout, self._layout.tree
        n = layout.chain.n
        if layout.chain.stride == 1 and writes_panels(out):
            self._write_panels(out)
            return True
        links = (layout.link_start, layout.link_kept, self._links)
        original = layout.chain.to_chains(np.arange(n))
        width = block_width(n)
        for start in range(0, n, width):
            end = min(start + width, n)
            x = np.zeros((n, end - start), out.dtype)
            x[np.arange(start, end), np.arange(end - start)] = 1
            touched = slice(
                int(np.searchsorted(layout.last, start - 1)), int(np.searchsorted(layout.first, end, side="right"))
            )
            condensed_sides.reflect(
                self._rows, layout.first[touched], layout.last[touched], layout.neighbours[touched], x, False
            )
            node_kernels.reflect_nodes(self._nodes, tree.slots, x, False)
            z = np.empty((layout.columns.size, end - start), x.dtype)
            z[layout.core] = self._reduced.solve(x[layout.leftover])
            node_kernels.substitute_nodes(self._nodes, tree.slots, tree.around, tree.tail, *links, x, z)
            condensed_sides.back_substitute(self._rows, layout.first, layout.last, layout.neighbours, *links, z, x)
            x[layout.columns] = z
            where = slice(start, end) if layout.chain.stride == 1 else original[start:end]
            out[:, where] = layout.chain.from_chains(x)
        return True

    def _write_panels(self, out: Array) -> None:
        """Do what `write` does for a single chain in double precision, in vectors."""
        begin = panel_start(out)[0]
        run_ranges(partial(self._write_blocks, out), -(-(out.shape[0] - begin) // _COLUMNS), pieces_per_thread=2)

    def _write_blocks(self, out: Array, first: int, last: int) -> None:
        """Fill blocks of columns."""
        layout, tree = self._layout, self._layout.tree
        n = layout.chain.n
        links = (layout.link_start, layout.link_kept, self._links)
        begin, past = panel_start(out)
        x = np.zeros((n, _COLUMNS))
        z = np.empty((layout.columns.size, _COLUMNS))
        for start in range(begin + first * _COLUMNS, begin + last * _COLUMNS, _COLUMNS):
            columns = np.arange(max(start, 0), min(start + _COLUMNS, n))
            x[columns, columns - start] = 1
            touched = slice(
                int(np.searchsorted(layout.last, columns[0] - 1)),
                int(np.searchsorted(layout.first, columns[-1] + 1, side="right")),
            )
            condensed_sides.reflect(
                self._rows, layout.first[touched], layout.last[touched], layout.neighbours[touched], x, False
            )
            node_kernels.reflect_nodes(self._nodes, tree.slots, x, False)
            z[layout.core] = self._reduced.solve(x[layout.leftover])
            node_kernels.substitute_nodes(self._nodes, tree.slots, tree.around, tree.tail, *links, x, z)
            given = (self._rows, layout.first, layout.last, layout.neighbours, layout.columns, *links)
            fill = partial(self._fill, given, (touched.start, touched.stop, x, z, start, past), out)
            run_ranges(fill, -(-(columns[-1] + 1 - start) // inverse_panels.WIDTH), pieces_per_thread=4)
            # Nothing else of x is other than zero: a segment's reflections reach one row beyond it.
            low, high = columns[0], columns[-1]
            if touched.start < touched.stop:
                low, high = min(low, layout.first[touched.start] - 1), max(high, layout.last[touched.stop - 1] + 1)
            x[max(low, 0) : high + 1] = 0
            x[tree.slots] = 0

    @staticmethod
    def _fill(given: tuple[Any, ...], block: tuple[Any, ...], out: Array, first: int, last: int) -> None:
        work = np.empty((out.shape[0], inverse_panels.WIDTH))
        work[0] = 0.0
        inverse_panels.condensed_panels(*(*given, *block, first, last, work, out))


def _adjacent(columns: Index, step: int) -> NDArray[np.bool_]:
    """Whether the column so many places on is the column so many positions on."""
    result = np.zeros(columns.size, np.bool_)
    same = columns[1:] == columns[:-1] + 1
    if step == 0:
        result[:] = True
    elif step > 0:
        result[:-1] = same
    else:
        result[1:] = same
    return result
