"""One vector at a time: a condensation whose segments are swept in lanes, and whose rows are not stored.

See `stridiag._kernels.lane_condensation` and `stridiag._kernels.lane_substitution`. What is kept between solutions is
what belongs to the kept columns: the nodes of the separator trees, and the reduced system's factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import kept_columns, lane_condensation, lane_substitution
from stridiag._kernels import separator_tree as trees
from stridiag._kernels.lane_groups import group_size
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.condition import probe

if TYPE_CHECKING:
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["Sweeps"]

Array = NDArray[Any]

# Groups of segments that are worth handing to another thread: about 40 microseconds' work.
_GRAIN = 8


class Sweeps:
    """Chains, with or without links, of real numbers.

    Parameters
    ----------
    layout : CondensationLayout
    tridiagonal : tuple of ndarray
        ``dl``, ``d``, ``du`` in chain order; the first and the last have n or n - 1 entries.
    values : ndarray, (nnz,)
        By slot.

    Attributes
    ----------
    regular : bool or None
        Whether no pivot was found to be zero; None before the first solution.
    """

    def __init__(self, layout: CondensationLayout, tridiagonal: tuple[Array, Array, Array], values: Array) -> None:
        self._layout = layout
        dl, d, du = map(_frozen, tridiagonal)
        self._tridiagonal = (dl, d, du)
        self._values = values
        self._links = values[layout.link_slots]
        self._nodes: Array | None = None
        self._reduced: Decomposition | None = None
        self._groups = -(-layout.first.size // group_size(values.dtype))
        self._numbers = probe(layout.longest + 20, values.dtype)
        self.regular: bool | None = None

    def solve(self, b: Array, *, probing: bool = False) -> tuple[Array, float]:
        """Return the solution for `b`, (n,), in chain order, of the matrix's type.

        And the 2-norm of the solution for a random right-hand side of unit variance, if `probing`, or 0; NaN where an
        entry of the solution is not finite.
        """
        layout = self._layout
        tree, segments = layout.tree, layout.first.size
        count = 2 if probing else 1
        b = _frozen(b)
        sides, leftover = self._reduce(b, probing=probing)
        nodes = self._factor(leftover) if self._nodes is None else self._nodes
        flat = sides.reshape(2 * segments, count)
        z = np.empty((layout.columns.size, count))
        if tree.tail.size:
            trees.reflect_nodes(nodes, layout.places, flat, False)
        if layout.core.size and self._reduced is not None:
            core = np.empty((layout.core.size, count))
            kept_columns.core_sides(layout.leftover, layout.core_places, flat, b, self._numbers, core)
            z[layout.core] = self._reduced.solve(core.astype(self._values.dtype, copy=False))
        links = (layout.link_start, layout.link_kept, self._links)
        if tree.tail.size:
            trees.substitute_nodes(nodes, layout.places, tree.around, tree.tail, *links, flat, z)
        known = np.empty((segments, 5, count))
        x = np.empty(b.size, self._values.dtype)
        total = kept_columns.spread(layout.columns, layout.neighbours, *links, z, known, x)
        squares = np.empty(self._groups)
        numbers = self._numbers if probing else None
        around = (layout.first, layout.last, layout.neighbours, layout.lanes)
        dl, d, du = self._tridiagonal

        def expand(begin: int, end: int) -> None:
            lane_substitution.expand(dl, d, du, b, numbers, known, *around, begin, end, x, squares)

        run_ranges(expand, self._groups, grain=_GRAIN)
        return x, float(np.sqrt(squares.sum() + (total if probing else total * 0.0)))

    def _reduce(self, b: Array | None, *, probing: bool) -> tuple[Array, Array]:
        """Return the right-hand sides of the leftover rows, (segments, 2, 1 or 2), and the rows with room for nodes."""
        layout = self._layout
        segments = layout.first.size
        leftover = np.empty((segments + layout.tree.tail.size, 2, 5))
        sides = np.empty((segments, 2, 2 if probing else 1))
        dependent = np.empty(self._groups, np.int64)
        numbers = self._numbers if probing else None
        around = (layout.first, layout.last, layout.neighbours, layout.lanes)
        dl, d, du = self._tridiagonal

        def reduce(begin: int, end: int) -> None:
            lane_condensation.reduce(dl, d, du, b, numbers, *around, begin, end, leftover, sides, dependent)

        run_ranges(reduce, self._groups, grain=_GRAIN)
        if self.regular is None:
            self.regular = bool((dependent < 0).all())
        return sides, leftover

    def _factor(self, leftover: Array) -> Array:
        """Factor what belongs to the kept columns; return what the nodes of the trees are."""
        layout = self._layout
        tree = layout.tree
        nodes = np.empty((tree.tail.size, trees.WIDTH))
        info = trees.eliminate(tree.children, layout.first.size, leftover, nodes, np.empty((4, 7)))
        self.regular = bool(self.regular and info < 0)
        if layout.core.size:
            from stridiag.factorization.reduced import factor_reduced

            rows = leftover.astype(self._values.dtype, copy=False)
            matrix = layout.reduced.assemble(rows, self._links, self._tridiagonal, self._values)
            self._reduced = factor_reduced(matrix, layout.reduced_method)
            self.regular = self.regular and self._reduced.singularity is None
        self._nodes = nodes
        return nodes

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        nodes = 0 if self._nodes is None else self._nodes.nbytes
        return nodes + self._links.nbytes + (0 if self._reduced is None else self._reduced.nbytes)


def _frozen(array: Array) -> Array:
    """Return a read-only view: to the compiler an array that may be written to is another type."""
    view = array.view()
    view.setflags(write=False)
    return view
