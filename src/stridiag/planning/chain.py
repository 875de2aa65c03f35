"""Chains: which rows follow one another, and which entries are left aside as links.

The stride g is the offset, on either side, whose diagonals leave the fewest entries aside. Indices of one residue
class modulo g form a tridiagonal chain of their own. In *chain order* the classes stand one behind the other;
everything off the chains is a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._recycled import recycled
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.inverse_cost import chain_inverse
from stridiag.planning.layout import plural
from stridiag.structure import Structure

__all__ = ["SWEPT", "ChainLayout", "TridiagonalLayout", "best_stride"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Chains, and entries of a vector, from which on it is brought into chain order by lanes.
_LANES, _LONG = 8, 1000

SWEPT = 1500
"""Rows of a matrix from which on its chains are solved in sweeps over segments."""


def best_stride(structure: Structure) -> tuple[int, int]:
    """Return the stride whose chains leave the fewest entries aside, the smallest on a tie, and how many those are.

    An entry lies on the chains of a stride if its offset is 0 or the stride, on either side. Without any diagonal
    beside the main one the stride is 1.
    """
    held = dict.fromkeys(map(abs, (0, *structure.offsets)), 0)
    if len(held) == 1:
        held[1] = 0
    for k, first, end in zip(structure.offsets, structure.starts[:-1], structure.starts[1:], strict=True):
        held[abs(k)] += end - first
    if structure.link_count:
        distance = np.abs(structure.link_columns - structure.link_rows)
        for k in held:
            held[k] += int(np.count_nonzero(distance == k))
    main = held.pop(0)
    stride = min(held, key=lambda k: (-held[k], k))
    return stride, structure.nnz - main - held[stride]


@dataclass(frozen=True, eq=False)
class ChainLayout:
    """How the slots of a square structure become chains and links.

    Attributes
    ----------
    structure : Structure
        Square.
    stride : int
        Offset g of the super- and sub-diagonal, 1 or more.
    """

    structure: Structure
    stride: int

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.structure.shape[0]

    @cached_property
    def starts(self) -> Index:
        """First chain position of each chain, and n at the end."""
        classes = np.arange(min(self.stride, self.n) + 1)
        # The first so many chains are longer by one.
        return classes * (self.n // self.stride) + np.minimum(classes, self.n % self.stride)

    def positions(self, indices: Index) -> Index:
        """Return the chain positions of original indices."""
        return self.starts[indices % self.stride] + indices // self.stride

    def index(self, position: int) -> int:
        """Return the original index at one chain position."""
        chain = int(np.searchsorted(self.starts, position, side="right")) - 1
        return chain + (position - int(self.starts[chain])) * self.stride

    @cached_property
    def order(self) -> Index:
        """Original index at each chain position."""
        return self.to_chains(np.arange(self.n))

    def to_chains(self, x: Array) -> Array:
        """Return `x`, (n, ...), contiguous, with its first axis in chain order; a copy if that differs."""
        if self.stride == 1:
            return x
        result = recycled(x.shape, x.dtype)
        self._put(x, result)
        return result

    def from_chains(self, y: Array) -> Array:
        """Return `y`, (n, ...), contiguous and in chain order, in the original order; a copy if that differs."""
        if self.stride == 1:
            return y
        result = recycled(y.shape, y.dtype)
        if self._in_blocks(y):
            from stridiag._kernels import chain_order

            chain_order.from_chains(y, self.starts, result)
            return result
        for original, chained in self._blocks(result, y):
            original[...] = chained
        return result

    def _in_blocks(self, x: Array) -> bool:
        """Whether a vector is long, real and in one piece, and the chains are enough, for a transposition in lanes."""
        return (
            self.stride >= _LANES and x.ndim == 1 and x.size >= _LONG and x.dtype.kind == "f" and x.flags.c_contiguous
        )

    def _blocks(self, x: Array, y: Array) -> tuple[tuple[Array, Array], ...]:
        """Return views of `x` (original order) and of `y` (chain order) that hold the same entries.

        The original order is a table with one column for each chain; its last row is filled for `tall` chains.
        """
        g, rest = self.stride, x.shape[1:]
        height = -(-self.n // g)
        tall = self.n - (height - 1) * g
        table = x[: (height - 1) * g].reshape(height - 1, g, *rest)
        high = y[: tall * height].reshape(tall, height, *rest)
        low = y[tall * height :].reshape(g - tall, height - 1, *rest)
        return (
            (table[:, :tall].swapaxes(0, 1), high[:, :-1]),
            (x[(height - 1) * g :], high[:, -1]),
            (table[:, tall:].swapaxes(0, 1), low),
        )

    @cached_property
    def plain(self) -> bool:
        """Whether the values are those of the three diagonals of the chains, one behind the other, and then links."""
        return self.structure.offsets == (-self.stride, 0, self.stride)

    @cached_property
    def folded(self) -> dict[int, tuple[Index, Index]]:
        """Links that lie on a chain: for -g, 0 and g their slots and their places among the chain's entries."""
        rows, columns = self.structure.link_rows, self.structure.link_columns
        offset = columns - rows
        result = {}
        for k in (-self.stride, 0, self.stride):
            on = np.flatnonzero(offset == k)
            if on.size:
                # Entry i of a chain's off-diagonals joins the positions i and i + 1.
                result[k] = (self.structure.starts[-1] + on, self.positions(np.minimum(rows, columns)[on]))
        return result

    def tridiagonal(self, values: Array) -> tuple[Array, Array, Array]:
        """Return ``dl``, ``d``, ``du``, each (n,), in chain order, from the values by slot; fresh arrays."""
        dl, d, du = (recycled(self.n, values.dtype) for _ in range(3))
        self.fill(values, dl, d, du)
        return dl, d, du

    def entries(self, values: Array) -> tuple[Array, Array, Array]:
        """Return ``dl``, ``d``, ``du`` in chain order, the outer two of n - 1 or n entries; not to be written to."""
        if self.stride == 1 and self.plain:
            starts = self.structure.starts
            return values[: starts[1]], values[starts[1] : starts[2]], values[starts[2] : starts[3]]
        return self.tridiagonal(values)

    def vector_to_chains(self, b: Array) -> Array:
        """Return a vector, (n,), in chain order: itself for stride 1."""
        return self.to_chains(b) if self.stride > 1 else b

    def vector_from_chains(self, x: Array) -> Array:
        """Return a vector, (n,), in the original order: itself for stride 1."""
        return self.from_chains(x) if self.stride > 1 else x

    def fill(self, values: Array, dl: Array, d: Array, du: Array) -> None:
        """Put ``dl``, ``d``, ``du``, in chain order, from the values by slot, into arrays that are there, (n,)."""
        if self.n == 0:
            return
        for k, part in ((-self.stride, dl), (0, d), (self.stride, du)):
            if k not in self.structure.offsets:
                part[:] = 0
            elif k == 0:
                self._put(values[self.structure.diagonal_slots(0)], part)
            else:
                self._put_off_diagonal(values[self.structure.diagonal_slots(k)], part)
            if k in self.folded:
                slot, place = self.folded[k]
                part[place] += values[slot]

    def _put(self, given: Array, part: Array) -> None:
        """Put the n entries, or rows, of an array into chain order."""
        if self._in_blocks(given):
            from stridiag._kernels import chain_order

            chain_order.to_chains(frozen(given), self.starts, part)
            return
        for original, chained in self._blocks(given, part):
            chained[...] = original

    def _put_off_diagonal(self, given: Array, part: Array) -> None:
        """Put the n - g entries beside the diagonal into chain order, a zero after those of each chain."""
        if self._in_blocks(given):
            from stridiag._kernels import chain_order

            chain_order.to_chains(frozen(given), self.starts, part)
            return
        g = self.stride
        height = -(-self.n // g)
        tall = self.n - (height - 1) * g
        # As `_blocks`, each chain shorter by one.
        table = given[: (height - 2) * g].reshape(height - 2, g)
        high = part[: tall * height].reshape(tall, height)
        low = part[tall * height :].reshape(g - tall, height - 1)
        high[:, : height - 2] = table[:, :tall].T
        high[:, height - 2] = given[(height - 2) * g :]
        high[:, height - 1] = 0
        low[:, : height - 2] = table[:, tall:].T
        low[:, height - 2] = 0

    @cached_property
    def links(self) -> tuple[Index, Index, Index]:
        """Slots, rows and columns (chain positions) of the entries off the chains, sorted by (row, column)."""
        structure = self.structure
        on_chain = (-self.stride, 0, self.stride)
        others = [structure.diagonal_slots(k) for k in structure.offsets if k not in on_chain]
        if not others and not structure.link_count:
            none = np.empty(0, np.int64)
            return none, none, none
        distance = np.abs(structure.link_columns - structure.link_rows)
        off = np.flatnonzero((distance != 0) & (distance != self.stride))
        slot = structure.starts[-1] + off
        if others:
            slot = np.concatenate([*(np.arange(part.start, part.stop) for part in others), slot])
            rows, columns = _coordinates_of(structure, slot)
        else:
            rows, columns = structure.link_rows[off], structure.link_columns[off]
            if self.stride == 1:
                # In the structure they are sorted.
                return slot, rows, columns
        row, column = self.positions(rows), self.positions(columns)
        order = np.lexsort((column, row)) if others else np.argsort(row * self.n + column)
        return slot[order], row[order], column[order]


def _coordinates_of(structure: Structure, slots: Index) -> tuple[Index, Index]:
    """Return rows and columns of some slots, without writing down those of all."""
    starts = np.array(structure.starts, np.int64)
    kind = np.searchsorted(starts, slots, side="right") - 1
    # Of several empty diagonals with one start, searchsorted names the last, which is the one that holds it.
    link = kind == len(structure.offsets)
    offsets = np.array((*structure.offsets, 0), np.int64)[kind]
    rows = slots - starts[kind] - np.minimum(offsets, 0)
    columns = rows + offsets
    place = slots[link] - starts[-1]
    rows[link] = structure.link_rows[place]
    columns[link] = structure.link_columns[place]
    return rows, columns


@dataclass(frozen=True, eq=False)
class TridiagonalLayout:
    """Chains without links: `stridiag._kernels.tridiagonal_lu`."""

    chain: ChainLayout
    method = "chain"

    @property
    def structure(self) -> Structure:
        """See `Layout`."""
        return self.chain.structure

    @property
    def cost(self) -> Cost:
        """See `Layout`."""
        n = self.chain.n
        factor = 5 * max(n - 1, 0)
        # A reciprocal and a product a row; two operations for each multiplier, each entry of du and each of du2.
        solve = 2 * n + 2 * max(n - 1, 0) + 2 * max(n - 1, 0) + 2 * max(n - 2, 0)
        inverse = chain_inverse(np.diff(self.chain.starts).tolist())
        return Cost(Operations(factor, solve, determinant(n), inverse, exact=True), 33 * n, rate=1.3, overhead=2e4)

    def describe(self) -> str:
        """See `Layout`."""
        return f"{plural(self.chain.starts.size - 1, 'tridiagonal chain')}, LU with partial pivoting"
