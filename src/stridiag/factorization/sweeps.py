"""One vector at a time: a condensation whose segments are swept in lanes.

See `stridiag._kernels.lane_condensation` and `stridiag._kernels.lane_substitution`. What is kept between solutions is
what belongs to the kept columns: the nodes of the separator trees, and the reduced system's factor. From the second
solution on, what the segments' steps are made of is kept too, unless they are too many for a cache
(`stridiag._kernels.lane_replay`); results are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import condensation, kept_columns, lane_condensation, lane_notes, lane_replay, lane_substitution
from stridiag._kernels import separator_tree as trees
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import group_size
from stridiag._kernels.lane_steps import FACTORS, STEADY
from stridiag._kernels.threads import run_ranges
from stridiag._results import unfilled
from stridiag.factorization.again import LONGEST, Again
from stridiag.factorization.condition import probe
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.markowitz import MarkowitzLU
from stridiag.factorization.reduced import factor_reduced

if TYPE_CHECKING:
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["NOTED", "Notes", "Sweeps"]

Array = NDArray[Any]

_LOG2 = float(np.log(2.0))

# By what carried rows have been multiplied after so many times: the logarithm.
_LEVEL = np.concatenate(([0.0], np.cumsum(np.log(np.resize(np.roll(FACTORS, -1), 1024)))))

NOTED = 400_000
"""Rows up to which steps are noted: as long as the notes, six numbers a row, stay in a cache of some size."""

_LOOKED_AT = 64

# Rows that are worth a thread of their own, wherever the processors lie: decision 0032.
_GRAIN = 75_000
# The same where the caller has just written all that is read, or reads next what is written: numbers that go from one
# processor's cache to another's take longer than the work itself, as long as the caches hold them.
_CARRIED_GRAIN = 150_000


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
        dl, d, du = map(frozen, tridiagonal)
        self._tridiagonal = (dl, d, du)
        self._values = values
        self._links = values[layout.link_slots]
        self._nodes: Array | None = None
        self._reduced: Decomposition | MarkowitzLU | None = None
        self._notes: Notes | None = None
        self._again: Again | None = None
        self._groups = -(-layout.first.size // group_size(values.dtype))
        self._worth_noting = COMPILES and self._groups > 0 and d.size <= NOTED
        # Pivots as they come (None), where that promises to be stable; the first sweep finds out, and reflects if not.
        self._reflecting: bool | None = None if COMPILES and _looks_dominant(dl, d, du) else True
        self._numbers = probe(layout.longest + 20, values.dtype)
        self.regular: bool | None = None

    def solve(self, b: Array, *, probing: bool = False, x: Array | None = None) -> tuple[Array, float]:
        """Return the solution for `b`, (n,), in chain order, of the matrix's type; in `x`, (n,), if that is given.

        And the 2-norm of the solution for a random right-hand side of unit variance, if `probing`, or 0; NaN where an
        entry of the solution is not finite.
        """
        sides, core = self.down(b, probing=probing)
        if core.size:
            core = core if self._reduced is None else self._reduced.solve(core)
        return self.up(b, sides, core, probing=probing, x=x)

    def down(self, b: Array, *, probing: bool = False) -> tuple[Array, Array]:
        """Eliminate the interior columns: the first half of `solve`, for `b`, (n,).

        Returns
        -------
        sides : ndarray of float64, (2 segments, 1 or 2)
            What `up` takes: right-hand sides of the leftover rows, after the nodes of the trees.
        core : ndarray, (r, 1 or 2)
            Right-hand sides of the reduced system.
        """
        layout = self._layout
        count = 2 if probing else 1
        b = frozen(b)
        nodes = self._nodes
        notes = None if nodes is None or probing else self._found_notes()
        if nodes is None or notes is None:
            sides, leftover = self._reduce(b, probing=probing)
            nodes = self._factor(leftover) if nodes is None else nodes
        else:
            sides = self._fold(b, notes)
        flat = sides.reshape(2 * layout.first.size, count)
        if layout.tree.tail.size:
            trees.reflect_nodes(nodes, layout.tree.places, flat, False)
        core = np.empty((layout.core.size, count), self._values.dtype)
        if core.size:
            kept_columns.core_sides(layout.leftover, layout.core_places, flat, b, self._numbers, core)
        return flat, core

    def up(
        self, b: Array, flat: Array, core: Array, *, probing: bool = False, x: Array | None = None
    ) -> tuple[Array, float]:
        """Substitute back: the second half of `solve`, given what `down` made and the reduced system's solution."""
        layout = self._layout
        tree, segments = layout.tree, layout.first.size
        count = 2 if probing else 1
        b = frozen(b)
        z = np.empty((layout.columns.size, count))
        if core.size:
            z[layout.core] = core
        nodes = self._nodes
        links = (layout.link_start, layout.link_kept, self._links)
        if tree.tail.size and nodes is not None:
            trees.substitute_nodes(nodes, layout.tree.places, tree.around, tree.tail, *links, flat, z)
        known = np.empty((segments, 5, count))
        x = unfilled(b.shape, self._values.dtype) if x is None else x
        total = kept_columns.spread(layout.columns, layout.neighbours, *links, z, known, x)
        squares = np.empty(self._groups)
        numbers = self._numbers if probing else None
        around = (layout.first, layout.last, layout.neighbours, layout.lanes)
        dl, d, du = self._tridiagonal

        notes = None if probing else self._notes

        def expand(begin: int, end: int) -> None:
            if notes is not None:
                lane_replay.unfold(
                    self._reflecting, b, known, *notes.tables, notes.turns, notes.pivots, begin, end, x, squares
                )
            else:
                lane_substitution.expand(
                    self._reflecting, dl, d, du, b, numbers, known, *around, begin, end, x, squares
                )

        _run_groups(expand, layout, self._groups, _GRAIN)
        return x, math.sqrt(squares.sum() + (total if probing else total * 0.0))

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
            how = self._reflecting
            lane_condensation.reduce(how, dl, d, du, b, numbers, *around, begin, end, leftover, sides, dependent, None)

        _run_groups(reduce, layout, self._groups, _GRAIN)
        if self._reflecting is None and (dependent == lane_condensation.NOT_TO_BE_TRUSTED).any():
            self._reflecting = True
            _run_groups(reduce, layout, self._groups, _GRAIN)
        if self.regular is None:
            self.regular = bool((dependent < 0).all())
        return sides, leftover

    def _found_notes(self) -> Notes | None:
        """Return the notes, taken when first asked for; None if there are none to be had."""
        if self._notes is None and self._worth_noting:
            notes = Notes(self._layout, self._tridiagonal, self._reflecting)
            if notes.useful:
                self._notes = notes
            else:
                self._worth_noting = False
        return self._notes

    def again(self) -> Again | None:
        """Return what solves again in one call; None before the first solution, and where that does not serve."""
        nodes, short = self._nodes, self._layout.chain.n <= LONGEST
        if self._again is None and nodes is not None and short and self._values.dtype == np.float64:
            notes = self._found_notes()
            if notes is not None:
                self._again = Again.of(self._layout, notes, nodes, self._links, self._reduced)
        return self._again

    def _fold(self, b: Array, notes: Notes) -> Array:
        """Return what `_reduce` does for one right-hand side, by the notes."""
        sides = np.empty((self._layout.first.size, 2, 1))

        def fold(begin: int, end: int) -> None:
            lane_replay.fold(self._reflecting, b, *notes.tables, notes.turns, begin, end, sides)

        _run_groups(fold, self._layout, self._groups, _GRAIN)
        return sides

    def slogdet(self) -> tuple[float, float] | None:
        """Return sign and logarithm of the determinant; None if that needs another way."""
        own = self.slogdet_of_interior()
        if own is None:
            return None
        sign, log, entries = own
        if entries is not None:
            phase, part = factor_reduced(entries, self._layout.reduced_method).slogdet()
            sign, log = sign * float(phase), log + part
        return (sign, log) if np.isfinite(log) else None

    def slogdet_of_interior(self) -> tuple[float, float, Array | None] | None:
        """Return the part of the interior columns in the determinant, and the reduced system; None as `slogdet`.

        From the pivots of one sweep without a right-hand side, whose product lanes form as they go. Each reflection has
        determinant -1, and what the carried rows were multiplied by is divided out again. The lanes give the segments
        that begin their chain a row of zeros, so those few are eliminated by themselves.
        """
        layout = self._layout
        segments, nodes = layout.first.size, layout.tree.tail.size
        leftover, products = np.empty((segments + nodes, 2, 5)), np.empty((segments, 2))
        dependent = np.empty(self._groups, np.int64)
        around = (layout.first, layout.last, layout.neighbours, layout.lanes)
        dl, d, du = self._tridiagonal

        def reduce(begin: int, end: int) -> None:
            lane_condensation.reduce(
                True, dl, d, du, None, None, *around, begin, end, leftover, None, dependent, products
            )

        _run_groups(reduce, layout, self._groups, _CARRIED_GRAIN)
        begins = np.flatnonzero(layout.neighbours[:, 1] < 0)
        first, last = layout.first[begins], layout.last[begins]
        rows, left = np.empty((int(last.max(initial=-1)) + 1, 8)), np.zeros((begins.size, 2, 5))
        info = condensation.condense(dl, d, du, first, last, layout.neighbours[begins], rows, left)
        leftover[begins] = left
        # None at all, where links keep the first column of every chain.
        pivots = np.concatenate(
            [rows[:0, 0], *(rows[a : b + 1, condensation.D] for a, b in zip(first, last, strict=True))]
        )
        products[begins] = 1.0, 0.0
        made = np.empty((nodes, trees.WIDTH))
        node_info = trees.eliminate(layout.tree.children, segments, leftover, made, np.empty((4, 7)))
        parts = [phase_and_log(pivots), phase_and_log(made[:, [trees.D0, trees.D1]].ravel())]
        lengths = layout.last - layout.first + 1
        steady = 2.0 * _LEVEL[lengths // STEADY]
        steady[begins] = 0.0
        log = -float(np.log(np.abs(products[:, 0])).sum() + _LOG2 * products[:, 1].sum() + steady.sum())
        flips = np.count_nonzero(products[:, 0] < 0) + layout.odd + int(lengths.sum())
        sign = float(sign_of_flips(int(flips)))
        for phase, part in parts:
            sign, log = sign * float(phase), log + part
        if info >= 0 or node_info >= 0 or (dependent >= 0).any() or not np.isfinite(log):
            return None
        return sign, log, self._assembled(leftover) if layout.core.size else None

    def _assembled(self, leftover: Array) -> Array:
        """Return the entries of the reduced system."""
        rows = leftover.astype(self._values.dtype, copy=False)
        return self._layout.reduced.assemble(rows, self._links, *self._tridiagonal, self._values)

    def _factor(self, leftover: Array) -> Array:
        """Factor what belongs to the kept columns; return what the nodes of the trees are."""
        layout = self._layout
        tree = layout.tree
        nodes = np.empty((tree.tail.size, trees.WIDTH))
        info = trees.eliminate(tree.children, layout.first.size, leftover, nodes, np.empty((4, 7)))
        self.regular = bool(self.regular and info < 0)
        if layout.core.size:
            self._take(self._assembled(leftover))
        self._nodes = nodes
        return nodes

    def _take(self, entries: Array) -> None:
        """Factor the reduced system."""
        layout, found = self._layout, None
        if layout.greedy is not None:
            found = MarkowitzLU.believed(layout.greedy, layout.reduced, entries)
        self._reduced = found or factor_reduced(entries, layout.reduced_method)
        self.regular = bool(self.regular and self._reduced.singularity is None)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        nodes = 0 if self._nodes is None else self._nodes.nbytes
        notes = 0 if self._notes is None else self._notes.nbytes
        notes += 0 if self._again is None else self._again.nbytes
        return nodes + notes + self._links.nbytes + (0 if self._reduced is None else self._reduced.nbytes)


class Notes:
    """The steps of all segments, in the order in which they are replayed: `stridiag._kernels.lane_notes`.

    Attributes
    ----------
    reflecting : bool or None
        What the steps are: see `stridiag._kernels.lane_steps`.
    useful : bool
        Whether all groups could be noted.
    tables : tuple of ndarray
        ``groups``, ``whole``, ``real``.
    turns, pivots : ndarray
    nbytes : int
    """

    def __init__(
        self, layout: CondensationLayout, tridiagonal: tuple[Array, Array, Array], reflecting: bool | None
    ) -> None:
        self.reflecting = reflecting
        dl, d, du = tridiagonal
        size, lanes = group_size(d.dtype), layout.lanes
        half = size // 2
        length = (layout.last - layout.first + 1)[lanes]
        steps = -(-np.maximum.reduceat(length, np.arange(0, lanes.size, size)) // half) * half
        groups, total = np.empty((steps.size, 4), np.int64), int(steps.sum())
        groups[:, lane_notes.PLACE] = np.cumsum(steps) - steps
        whole, real = np.empty((3, steps.size * size), np.int64), np.empty((6, steps.size * size))
        turns = np.empty(total * size * lane_notes.turns_of(reflecting) + half, d.dtype)
        pivots = np.empty(total * size * lane_notes.PIVOTS + half, d.dtype)
        noted = np.empty(steps.size, np.bool_)
        around = (layout.first, layout.last, layout.neighbours, lanes)

        def note(begin: int, end: int) -> None:
            lane_notes.note(reflecting, dl, d, du, *around, begin, end, groups, whole, real, turns, pivots, noted)

        _run_groups(note, layout, steps.size, _GRAIN)
        self.useful = bool(noted.all())
        self.tables = (frozen(groups), frozen(whole), frozen(real))
        self.turns, self.pivots = frozen(turns), frozen(pivots)
        self.nbytes = sum(array.nbytes for array in (groups, whole, real, turns, pivots))


def _run_groups(piece: Callable[[int, int], None], layout: CondensationLayout, groups: int, worth: int) -> None:
    """Call ``piece(first, last)`` for ranges of groups; of all the rows in them so many are worth a thread."""
    chain = layout.chain
    # Interleaved chains are put in order by the caller, before and after.
    rows = worth if chain.stride == 1 else max(worth, _CARRIED_GRAIN)
    run_ranges(piece, groups, grain=max(1, rows * groups // max(1, chain.n)), multiple=1)


def _looks_dominant(dl: Array, d: Array, du: Array) -> bool:
    """Return whether the first rows, or the first columns, are dominated by the main diagonal."""
    middle = np.abs(d[1 : min(_LOOKED_AT, d.size - 1)])
    count = middle.size
    across = np.abs(dl[:count]) + np.abs(du[1 : count + 1])
    down = np.abs(du[:count]) + np.abs(dl[1 : count + 1])
    return bool((across <= middle).all() or (down <= middle).all())
