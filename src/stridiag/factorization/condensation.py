"""Chains with links: orthogonal condensation onto the columns that the links touch."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._dtypes import double_type
from stridiag._frozen import frozen, writable
from stridiag._kernels import condensation as kernels
from stridiag._kernels import condensed_columns, condensed_sides, condensed_solve
from stridiag._kernels import separator_tree as node_kernels
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.wide_vectors import COLUMNS
from stridiag._recycled import recycled
from stridiag._results import aligned, fresh
from stridiag.factorization import static_lu
from stridiag.factorization.columns import rows_at, serve, shows_finite, straight
from stridiag.factorization.condensed_inverse import CondensedInverse
from stridiag.factorization.condition import probe
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.unitary import Reflection
from stridiag.planning.condensation import CondensationLayout

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["Condensation"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers that are worth a thread's waking.
_GRAIN = 1 << 15
# Rows of segments that take some 60 microseconds to eliminate.
_ROWS = 4096


# As many as there are plans.
@lru_cache(maxsize=16)
def _program(layout: CondensationLayout) -> tuple[Index, int, int]:
    """Return a layout as `stridiag._kernels.condensed_solve` takes it, and the sizes of its store and scratch."""
    tree, reduced, fronts = layout.tree, layout.reduced, layout.reduced_method.fronts
    assert fronts is not None
    # In the order of the kernels' names for them.
    of_chains = (layout.chain.stride, layout.first, layout.last, layout.neighbours)
    of_links = (layout.link_start, layout.link_kept, layout.link_slots)
    of_trees = (tree.children, tree.slots, tree.around, tree.tail)
    of_columns = (layout.columns, layout.core, layout.leftover)
    of_reduced = (reduced.place, reduced.sources, reduced.linked, reduced.ends)
    of_fronts = (fronts.scatter, fronts.fronts, fronts.pool, fronts.relative, fronts.rows)
    parts = [np.ravel(part) for part in (*of_chains, *of_links, *of_trees, *of_columns, *of_reduced, *of_fronts)]
    ends = np.cumsum([len(parts) + 1, *(part.size for part in parts)])
    program = np.concatenate((ends, *parts)).astype(np.int64)
    return program, *condensed_solve.sizes(program, layout.chain.n)


class Condensation:
    """Chains with links: orthogonal condensation onto the kept columns. See `stridiag._kernels.condensation`."""

    name = "orthogonal condensation"

    def __init__(self, layout: CondensationLayout, values: Array) -> None:
        self._layout = layout
        self._rows = np.zeros((layout.chain.n, 8), values.dtype)
        self._nodes = np.zeros((layout.tree.children.shape[0], node_kernels.WIDTH), values.dtype)
        self._scratch: tuple[Array, Array, Array] | None = None
        self._store: Array | None = None
        self._factor(values, layout.chain.tridiagonal(values))

    @classmethod
    def factor_and_solve(cls, layout: CondensationLayout, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.single.SolvesAtOnce`; where the reduced system is factored in fronts."""
        if not layout.fused:
            return None
        program, kept, needed = _program(layout)
        store, x = np.empty(kept), np.empty(b.size)
        start = probe(b.size, values.dtype)
        size = condensed_solve.factor_solve_probe(program, values, writable(b), start, store, np.empty(needed), x)
        # Accepts the good, so that NaN goes the other way.
        if not size < np.inf:
            return None
        self = cls.__new__(cls)
        self._layout, self._store = layout, store
        self._scratch = None
        self.singularity = None
        return self, x, size

    @staticmethod
    def solve_once(layout: CondensationLayout, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
        """See `stridiag.factorization.single.SolvesOnce`."""
        return static_lu.solve_once(layout, values, b, x) if layout.fused else None

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        if not self._layout.fused:
            return None
        program, _, needed = _program(self._layout)
        if self._store is None:
            reduced = self._reduced.arrays  # type: ignore[attr-defined]
            self._store = np.concatenate([part.ravel() for part in (self._rows, self._nodes, self._links, *reduced)])
        x = np.empty(b.size)
        return x if condensed_solve.solve_vector(program, writable(b), self._store, np.empty(needed), x) else None

    # What was factored and solved at once stands in the store, and is taken apart when that is asked for.

    def _stored(self, first: int, count: int) -> Array:
        assert self._store is not None
        return self._store[first : first + count]

    @cached_property
    def _rows(self) -> Array:
        return self._stored(0, 8 * self._layout.chain.n).reshape(-1, 8)

    @cached_property
    def _nodes(self) -> Array:
        count, width = self._layout.tree.tail.size, node_kernels.WIDTH
        return self._stored(8 * self._layout.chain.n, count * width).reshape(count, width)

    @cached_property
    def _links(self) -> Array:
        return self._stored(8 * self._layout.chain.n + self._nodes.size, self._layout.link_slots.size)

    @cached_property
    def _reduced(self) -> Decomposition:
        fronts = self._layout.reduced_method.fronts
        assert fronts is not None
        first = self._rows.size + self._nodes.size + self._links.size
        numbers, tau = self._stored(first, fronts.numbers), self._stored(first + fronts.numbers, fronts.order)
        return FrontHouseholder.of_factors(numbers, tau, fronts)

    def refill(self, values: Array) -> None:
        """See `Refillable`; the first call keeps three arrays of n for the next, the reduced system is made anew."""
        if self._scratch is None:
            self._scratch = self._layout.chain.tridiagonal(values)
        else:
            self._layout.chain.fill(values, *self._scratch)
        # Taken apart before it is given up: an interrupted call is to find all of them.
        _, nodes, _, _ = self._rows, self._nodes, self._links, self._reduced
        self._store = None
        nodes[...] = 0
        self._factor(values, self._scratch)

    def _factor(self, values: Array, tridiagonal: tuple[Array, Array, Array]) -> None:
        layout, (dl, d, du) = self._layout, map(frozen, tridiagonal)
        tree, segments = layout.tree, layout.first.size
        nodes = tree.children.shape[0]
        self._links = values[layout.link_slots]
        leftover = np.zeros((segments + nodes, 2, 5), values.dtype)
        named = np.full(segments, -1)

        def condense(first: int, last: int) -> None:
            here = slice(first, last)
            given = (layout.first[here], layout.last[here], layout.neighbours[here], self._rows, leftover[here])
            named[first] = kernels.condense(dl, d, du, *given)

        run_ranges(condense, segments, grain=max(1, _ROWS * segments // layout.chain.n))
        info = int(named[np.argmax(named >= 0)]) if segments else -1
        # In double precision, since the squares of single numbers have no room in their own.
        work = np.empty((4, 7), double_type(values.dtype))
        node_info = node_kernels.eliminate(tree.children, segments, leftover, self._nodes, work)
        self._take(layout.reduced.assemble(leftover, self._links, dl, d, du, values))
        self.singularity: Singularity | None = None
        if info >= 0:
            self.singularity = Singularity(column=layout.chain.index(info))
        elif node_info >= 0:
            kept = tree.around[node_info // 2, node_info % 2]
            self.singularity = Singularity(column=layout.chain.index(int(layout.columns[kept])))
        elif self._reduced.singularity is not None:
            # The reduced system's rows are mixtures; a column it names is a kept column of ours.
            column = self._reduced.singularity.column
            self.singularity = Singularity(
                column=None if column is None else layout.chain.index(int(layout.columns[layout.core[column]]))
            )

    def _take(self, entries: Array) -> None:
        """Factor the reduced system."""
        self._reduced = factor_reduced(entries, self._layout.reduced_method)

    @property
    def _segments(self) -> tuple[Array, Index, Index, Index]:
        layout = self._layout
        return self._rows, layout.first, layout.last, layout.neighbours

    @property
    def _last_row_links(self) -> tuple[Index, Index, Array]:
        return self._layout.link_start, self._layout.link_kept, self._links

    @property
    def _tree(self) -> tuple[Array, Index, Index, Index, Index, Index, Array]:
        tree = self._layout.tree
        return self._nodes, tree.slots, tree.around, tree.tail, *self._last_row_links

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`."""
        return not adjoint and self.singularity is None and serve(self._rows.dtype, columns)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        if self.spares(b.shape[1], adjoint=adjoint):
            return self.solve_spared(b)[0]
        layout, slots = self._layout, self._layout.tree.slots
        x = layout.chain.to_chains(b)
        if adjoint:
            z = x[layout.columns]
            kernels.forward_substitute_adjoint(*self._segments, *self._last_row_links, z, x)
            node_kernels.substitute_nodes_adjoint(*self._tree, x, z)
            x[layout.leftover] = self._reduced.solve(z[layout.core], adjoint=True)
            node_kernels.reflect_nodes(self._nodes, slots, x, True)
            condensed_sides.reflect(*self._segments, x, True)
        else:
            self._down(x)
            self._up(x, self._reduced.solve(x[layout.leftover]))
        return layout.chain.from_chains(x)

    def _down(self, x: Array) -> None:
        """Apply all reflections to right-hand sides in chain order: the reduced system's are then among them."""
        condensed_sides.reflect(*self._segments, x, False)
        node_kernels.reflect_nodes(self._nodes, self._layout.tree.slots, x, False)

    def _up(self, x: Array, core: Array) -> None:
        """Turn what `_down` left into solutions, given those of the reduced system."""
        layout = self._layout
        z = np.empty((layout.columns.size, x.shape[1]), x.dtype)
        z[layout.core] = core
        node_kernels.substitute_nodes(*self._tree, x, z)
        condensed_sides.back_substitute(*self._segments, *self._last_row_links, z, x)
        x[layout.columns] = z

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`; `stridiag._kernels.condensed_columns`."""
        layout, m, kind, b = self._layout, b.shape[1], b.dtype, frozen(b)
        order, segments = layout.chain.order, layout.first.size
        outside, slots, node_slots, leftover, own = layout.places_outside
        y = recycled((outside.size, m), kind)
        y[own] = b[order[outside[own]]]

        def condense(first: int, last: int) -> None:
            condensed_columns.condense_columns(*self._segments, layout.turns, order, b, y, slots, first, last)

        grain = max(1, _GRAIN // (m * max(layout.longest, 1)))
        run_ranges(condense, segments, grain=grain)
        # Reflections carry what is not finite into the rows that are left over, or, where there are none, into the
        # first number of the segment that is solved for last.
        finite = shows_finite(y)
        node_kernels.reflect_nodes(self._nodes, node_slots, y, False)
        z = recycled((layout.columns.size, m), kind)
        z[layout.core] = self._reduced.solve(rows_at(y, leftover))
        node_kernels.substitute_nodes(self._nodes, node_slots, *self._tree[2:], y, z)
        x = fresh(b.shape, kind)
        past = straight(x)

        def expand(first: int, last: int) -> None:
            work = aligned((COLUMNS * layout.longest,), kind)
            condensed_columns.expand_columns(
                *self._segments, *self._last_row_links, layout.turns, order, b, z, x, past, work, first, last
            )

        run_ranges(expand, segments, grain=grain)
        rest = layout.behind_none
        x[order[layout.columns[rest]]] = z[rest]
        alone = layout.first[(layout.neighbours[:, 1] < 0) & (layout.neighbours[:, 2] < 0)]
        return x, finite and shows_finite(x[order[alone]])

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        layout = self._layout
        y = layout.chain.to_chains(x)
        z = y[layout.columns]
        kernels.multiply_upper(*self._segments, *self._last_row_links, z, y)
        node_kernels.multiply_nodes(*self._tree, y, z)
        y[layout.leftover] = self._reduced.multiply(z[layout.core])
        node_kernels.reflect_nodes(self._nodes, layout.tree.slots, y, True)
        condensed_sides.reflect(*self._segments, y, True)
        return layout.chain.from_chains(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        phase, log = self._slogdet_of_interior()
        reduced_phase, reduced_log = self._reduced.slogdet()
        return phase * reduced_phase, log + reduced_log

    def _slogdet_of_interior(self) -> tuple[Any, float]:
        """Return what the determinant is but for that of the reduced system."""
        _, interior = self._interior()
        pivots = self._rows[interior, kernels.D]
        # A reflection has determinant -1. There is one for every interior column, and two for every node.
        phase, log = phase_and_log(pivots, sign_of_flips(self._layout.odd + pivots.size))
        node_phase, node_log = phase_and_log(self._nodes[:, [node_kernels.D0, node_kernels.D1]].ravel())
        return phase * node_phase, log + node_log

    @property
    def _inverse(self) -> CondensedInverse:
        return CondensedInverse(self._layout, self._rows, self._nodes, self._links, self._reduced)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; from the orthogonal factor and the inverse of the reduced system."""
        return self._inverse.diagonal()

    def inverse_on_pattern(self, *, transpose: bool) -> Array:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        return self._inverse.by_slot(transpose=transpose)

    def write_inverse(self, out: Array) -> bool:
        """See `stridiag.factorization.inverse_entries.KnowsInverse`."""
        return self._inverse.write(out)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: reflections, the slots, the reduced system's factors, D, columns of (U W; 0 I).

        Between the two permutations of the chains.
        """
        layout = self._layout
        n = layout.chain.n
        segment, interior = self._interior()
        has_left = layout.neighbours[segment, 1] >= 0
        core = layout.columns[layout.core]
        separators = layout.columns[layout.tree.around[:, :2]]
        slots = np.arange(n)
        slots[interior - has_left] = interior
        slots[layout.tree.slots[:, :2]] = separators
        slots[layout.leftover] = core
        order = np.concatenate((core[::-1], separators.ravel()[::-1], interior[::-1])).tolist()
        chains = Permutation(layout.chain.to_chains(np.arange(n)))
        return [
            chains.inverse(),
            *self._reflections(segment, interior),
            *self._node_reflections(),
            Permutation(slots),
            *(factor.embed(n, core) for factor in self._reduced.factors()),
            *columns_of_triangle(self._upper(segment, interior), order, divide="rows"),
            chains,
        ]

    def _interior(self) -> tuple[Index, Index]:
        """Return the segment and the chain position of each interior column, ascending."""
        first, last = self._layout.first, self._layout.last
        segment = np.repeat(np.arange(first.size), last - first + 1)
        inside = np.ones(self._layout.chain.n, np.bool_)
        inside[self._layout.columns] = False
        return segment, np.flatnonzero(inside)

    def _reflections(self, segment: Index, interior: Index) -> list[Reflection]:
        layout = self._layout
        n = layout.chain.n
        has_left = layout.neighbours[segment, 1] >= 0
        has_below = (interior < layout.last[segment]) | (layout.neighbours[segment, 2] >= 0)
        result = []
        for j, left, below in zip(interior.tolist(), has_left.tolist(), has_below.tolist(), strict=True):
            v1, v2, tau = self._rows[j, : kernels.TAU + 1]
            vector = [tau.dtype.type(1), *([v1] if left else []), *([v2] if below else [])]
            result.append(Reflection(n, np.arange(j - left, j + below + 1), np.array(vector), tau))
        return result

    def _node_reflections(self) -> list[Reflection]:
        n = self._layout.chain.n
        result = []
        for slots, node in zip(self._layout.tree.slots, self._nodes, strict=True):
            one = node.dtype.type(1)
            first = np.array([one, *node[: node_kernels.TAU]])
            second = np.array([one, node[node_kernels.Y2], node[node_kernels.Y3]])
            for rows, vector, tau in ((slots, first, node_kernels.TAU), (slots[1:], second, node_kernels.TAU2)):
                there = rows >= 0
                result.append(Reflection(n, rows[there], vector[there], node[tau]))
        return result

    def _upper(self, segment: Index, interior: Index) -> csc_array[Any]:
        """Return (U W; 0 I), the rows of U and W at their interior columns, in chain order."""
        from scipy.sparse import coo_array

        layout, rows = self._layout, self._rows
        n = layout.chain.n
        last = layout.last[segment]
        left2, left1, right1, right2 = (layout.neighbours[segment] >= 0).T
        to_end = last - interior
        core = layout.columns[layout.core]
        parts = [(core, core, np.ones(core.size, rows.dtype)), *self._upper_of_nodes()]
        for letter, shift, present in (
            (kernels.D, 0, to_end >= 0),
            (kernels.U1, 1, (to_end >= 1) | right1),
            (kernels.U2, 2, (to_end >= 2) | ((to_end == 1) & right1) | ((to_end == 0) & right2)),
        ):
            row = interior[present]
            parts.append((row, row + shift, rows[row, letter]))
        for letter, back, present in ((kernels.W1, 2, left2), (kernels.W2, 1, left1)):
            row = interior[present]
            parts.append((row, (layout.first[segment] - back)[present], rows[row, letter]))
        # The links of row `last + 1` have come into row `last` of U by its reflection.
        row = np.repeat(layout.last, np.diff(layout.link_start))
        enters = -rows[row, kernels.TAU] * rows[row, kernels.V2].conj()
        parts.append((row, layout.columns[layout.link_kept], enters * self._links))
        at, to, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return coo_array((values, (at, to)), shape=(n, n)).tocsc()

    def _upper_of_nodes(self) -> list[tuple[Array, Array, Array]]:
        """Return rows, columns and values of the nodes' rows of U, in chain order."""
        layout, tree, nodes = self._layout, self._layout.tree, self._nodes
        k, after = layout.columns[tree.around[:, 0]], layout.columns[tree.around[:, 1]]
        parts = [
            (k, k, nodes[:, node_kernels.D0]),
            (k, after, nodes[:, node_kernels.U]),
            (after, after, nodes[:, node_kernels.D1]),
        ]
        counts = np.diff(layout.link_start)[tree.tail]
        of_node = np.repeat(np.arange(tree.tail.size), counts)
        begins = np.cumsum(counts) - counts
        link = np.repeat(layout.link_start[tree.tail] - begins, counts) + np.arange(of_node.size)
        for row, letter in ((k, node_kernels.W0), (after, node_kernels.W1)):
            for side in range(4):
                there = tree.around[:, 2 + side] >= 0
                parts.append((row[there], layout.columns[tree.around[there, 2 + side]], nodes[there, letter + side]))
            columns = layout.columns[layout.link_kept[link]]
            parts.append((row[of_node], columns, nodes[of_node, letter + 4] * self._links[link]))
        return parts

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        scratch = sum(part.nbytes for part in self._scratch or ())
        return self._rows.nbytes + self._nodes.nbytes + self._links.nbytes + self._reduced.nbytes + scratch
