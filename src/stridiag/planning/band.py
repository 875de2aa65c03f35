"""Bands: an order of the indices in which all entries stand near the main diagonal.

Three orders are tried, all of them the same for rows and columns, so that the determinant stays what it is:

* *natural*: the indices as they are;
* *by residues*: the residue classes modulo the greatest common divisor g of the offsets, one behind the other. Offsets
  are divided by g, and a link joins whatever places its ends have got;
* *Cuthill-McKee*, reversed: on the symmetrised pattern. It costs time, so only if the others are dear.

The narrower side of the band is made the lower one, by counting the indices backwards where that is needed: exchanges
of rows widen the upper side by the lower width. Derivation: docs/theory/bands.md.

References: E. Cuthill and J. McKee, Reducing the bandwidth of sparse symmetric matrices, Proc. 24th Nat. Conf. ACM
(1969) 157-172; A. George, Computer implementation of the finite element method, thesis, Stanford (1971).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.planning.chain import ChainLayout
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.planning.layout import NotApplicable, plural
from stridiag.planning.sparse import SparseAnalysis, analyse
from stridiag.planning.two_ended_band import TwoEndedBand
from stridiag.structure import Structure

__all__ = ["MAX_BYTES", "BandLayout", "band_cost"]

Array = NDArray[Any]
Index = NDArray[np.int64]

COMPILED_WIDTH = 48
"""Lower width up to which the compiled kernel is faster than LAPACK's gbtrf."""

STABLE_WIDTH = 4
"""Lower width up to which the growth of partial pivoting is bounded by 116, whatever the values (Bohte 1975)."""

MAX_BYTES = 4 << 30
"""Bytes of stored factors above which a structure is not laid out as a band."""

# Products for a row above which the order of Cuthill and McKee is worth looking for.
_DEAR = 400
# Columns of LAPACK's blocks, by which its loops may run over the edges of the band.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class BandLayout:
    """Where the slots of a square structure stand in a band.

    Attributes
    ----------
    structure : Structure
        Square.
    stride : int
        g where the residue classes modulo g stand one behind the other; 1 for the natural order.
    permutation : ndarray of int64, (n,), or None
        The original index at each place, for the order of Cuthill and McKee; `stride` is then 1.
    backwards : bool
        Whether the places are counted from the last one.
    lower, upper : int
        Widths kl and ku of the band, with everything above applied; ``lower <= upper``.

    Examples
    --------
    >>> from stridiag import Structure
    >>> layout = BandLayout.build(Structure(1000, offsets=(-6, 0, 4)))
    >>> layout.stride, layout.backwards, layout.lower, layout.upper
    (2, True, 2, 3)
    >>> wide = BandLayout.build(Structure(20_000, offsets=(-1001, 0, 1000)))
    >>> wide.permutation is not None, max(wide.lower, wide.upper)
    (True, 39)
    """

    structure: Structure
    stride: int
    permutation: Index | None
    backwards: bool
    lower: int
    upper: int
    method = "band"

    @classmethod
    def build(cls, structure: Structure, *, max_bytes: int = MAX_BYTES) -> BandLayout:
        """Take the cheapest of the orders.

        Raises
        ------
        NotApplicable
            If the factors would take more than `max_bytes`.
        """
        best = min((cls._in_order(structure, stride) for stride in _strides(structure)), key=lambda band: band._work)
        if best.dear:
            best = min((best, cls._by_cuthill_mckee(structure)), key=lambda band: band._work)
        if best.cost.bytes > max_bytes:
            raise NotApplicable(
                f"the narrowest band found has {best.lower} sub-diagonals and {best.upper} super-diagonals, "
                f"{best.cost.bytes} bytes"
            )
        return best

    @classmethod
    def natural(cls, structure: Structure) -> BandLayout:
        """Take the indices as they are, but for the direction in which they are counted."""
        return cls._in_order(structure, 1)

    @classmethod
    def without_links(cls, structure: Structure) -> BandLayout:
        """Take the cheaper of the natural order and that by residues, for the diagonals alone."""
        diagonals = Structure(structure.shape, structure.offsets)
        return min((cls._in_order(diagonals, stride) for stride in _strides(diagonals)), key=lambda band: band._work)

    @classmethod
    def _in_order(cls, structure: Structure, stride: int) -> BandLayout:
        offsets = [k // stride for k in structure.offsets]
        if structure.link_count:
            chain = ChainLayout(structure, stride)
            distance = chain.positions(structure.link_columns) - chain.positions(structure.link_rows)
            offsets += [int(distance.min()), int(distance.max())]
        return cls._facing_up(structure, stride, None, max((-k for k in offsets), default=0), max(offsets, default=0))

    @classmethod
    def _by_cuthill_mckee(cls, structure: Structure) -> BandLayout:
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        pattern = CompressedColumns.build(structure).pattern()
        permutation = reverse_cuthill_mckee(pattern.tocsr(), symmetric_mode=False).astype(np.int64)
        place = np.empty_like(permutation)
        place[permutation] = np.arange(permutation.size)
        rows, columns = structure.coordinates()
        distance = place[columns] - place[rows]
        lower, upper = -int(distance.min(initial=0)), int(distance.max(initial=0))
        return cls._facing_up(structure, 1, permutation, lower, upper)

    @classmethod
    def _facing_up(
        cls, structure: Structure, stride: int, permutation: Index | None, lower: int, upper: int
    ) -> BandLayout:
        lower, upper = max(lower, 0), max(upper, 0)
        return cls(structure, stride, permutation, lower > upper, min(lower, upper), max(lower, upper))

    @property
    def _work(self) -> int:
        """Operations for a row, and numbers stored for it."""
        return self.lower * (1 + 2 * (self.lower + self.upper)) + 2 * (2 * self.lower + self.upper)

    @property
    def dear(self) -> bool:
        """Whether a row takes so much that another order is worth looking for."""
        return self._work > _DEAR

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.structure.shape[0]

    @property
    def width(self) -> int:
        """Entries of a row of U, its pivot included: ``lower + upper + 1``."""
        return self.lower + self.upper + 1

    @property
    def order(self) -> Literal["natural", "residues", "cuthill-mckee"]:
        """Which order was taken."""
        if self.permutation is not None:
            return "cuthill-mckee"
        return "natural" if self.stride == 1 else "residues"

    @property
    def compiled(self) -> bool:
        """Whether the compiled kernel does the work; else LAPACK."""
        return self.lower <= COMPILED_WIDTH

    @property
    def stable(self) -> bool:
        """Whether LU is backward stable whatever the values, so that no check is needed."""
        return self.lower <= STABLE_WIDTH

    @cached_property
    def two_ended(self) -> TwoEndedBand | None:
        """The band that is eliminated from both ends; None if it is from one."""
        return TwoEndedBand.of(self.structure)

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`."""
        stored = band_cost(self.n, self.lower, self.upper, entries=self.structure.nnz)
        if self.two_ended is None:
            return stored
        # The determinant and the dense inverse take the LU from one end.
        found, kept = self.two_ended.cost, stored.operations
        operations = replace(found.operations, slogdet=kept.slogdet, inverse=kept.inverse)
        return replace(found, operations=operations)

    def describe(self) -> str:
        """See `Layout`."""
        kind = {
            "natural": "as it is",
            "residues": f"residue classes modulo {self.stride} one behind the other",
            "cuthill-mckee": "in reverse Cuthill-McKee order",
        }[self.order]
        who = "LU" if self.compiled else "LAPACK's LU"
        if self.two_ended is not None:
            who += " from both ends"
        behind = "" if self.stable else ", its growth checked"
        return (
            f"{plural(self.lower, 'sub-diagonal')} and {plural(self.upper, 'super-diagonal')}, {kind}"
            f"{', backwards' if self.backwards else ''}; {who} with partial pivoting{behind}"
        )

    # ------------------------------------------------------------------ order

    @cached_property
    def _chain(self) -> ChainLayout:
        return ChainLayout(self.structure, self.stride)

    @cached_property
    def _places(self) -> Index:
        """Place of each original index, for the order of Cuthill and McKee, not yet backwards."""
        assert self.permutation is not None
        result = np.empty_like(self.permutation)
        result[self.permutation] = np.arange(self.n)
        return result

    def positions(self, indices: Index) -> Index:
        """Return the places of original indices."""
        forward = self._chain.positions(indices) if self.permutation is None else self._places[indices]
        return self.n - 1 - forward if self.backwards else forward

    def index(self, position: int) -> int:
        """Return the original index at one place."""
        forward = self.n - 1 - position if self.backwards else position
        return self._chain.index(forward) if self.permutation is None else int(self.permutation[forward])

    def to_band(self, x: Array) -> Array:
        """Return `x`, (n, ...), C-contiguous, with its first axis in the order of the band; a copy if that differs."""
        y = self._chain.to_chains(x) if self.permutation is None else x[self.permutation]
        return np.ascontiguousarray(y[::-1]) if self.backwards else y

    @cached_property
    def original(self) -> Index:
        """Original index at each place of the band."""
        return self.to_band(np.arange(self.n))

    def from_band(self, y: Array) -> Array:
        """Return `y`, (n, ...), given in the order of the band, in the original order; a copy if that differs."""
        y = np.ascontiguousarray(y[::-1]) if self.backwards else y
        return self._chain.from_chains(y) if self.permutation is None else y[self._places]

    # ------------------------------------------------------------------ values

    @property
    def pivot_type(self) -> np.dtype[Any]:
        """Type that numbers the candidates of a step."""
        return np.dtype(np.uint8 if self.lower < 256 else np.int32)

    def rows(self, values: Array) -> Array:
        """Return the band by rows, (n, width): ``[i, c]`` is the entry (i, i - lower + c); fresh, and in C order."""
        return self._banded(values, self.width, self.lower, by_columns=False)

    def lapack(self, values: Array) -> Array:
        """Return the band as gbtrf takes it, (2 lower + upper + 1, n); fresh, and in Fortran order."""
        size = self.width + self.lower
        return self._banded(values, size, self.lower + self.upper, by_columns=True).T

    def _banded(self, values: Array, width: int, main: int, *, by_columns: bool) -> Array:
        """Return a table, (n, width), with the main diagonal in column `main`, and a row for each row or column."""
        result = np.zeros((self.n, width), values.dtype)
        # Seen in the forward order, and with the offset of an entry growing to the right.
        seen = result[::-1] if self.backwards else result
        step = -1 if self.backwards != by_columns else 1
        if self.permutation is None:
            for k in self.structure.offsets:
                slots = self.structure.diagonal_slots(k)
                first = max(k, 0) if by_columns else max(-k, 0)
                place = main + step * (k // self.stride)
                if self.stride == 1:
                    seen[first : first + slots.stop - slots.start, place] = values[slots]
                else:
                    padded = np.zeros(self.n, values.dtype)
                    padded[first : first + slots.stop - slots.start] = values[slots]
                    seen[:, place] = self._chain.to_chains(padded)
        slot, row, column = self._scattered
        if by_columns:
            result[column, main + row - column] = values[slot]
        else:
            result[row, main + column - row] = values[slot]
        return result

    @cached_property
    def _scattered(self) -> tuple[Array, Index, Index]:
        """Slots, and places of rows and columns, of the entries that are not written by whole diagonals."""
        if self.permutation is None:
            slot = np.arange(self.structure.starts[-1], self.structure.nnz)
            return slot, self.positions(self.structure.link_rows), self.positions(self.structure.link_columns)
        rows, columns = self.structure.coordinates()
        return np.arange(rows.size), self.positions(rows), self.positions(columns)

    # ------------------------------------------------------------------ the way out

    @cached_property
    def compressed(self) -> CompressedColumns:
        """The structure in compressed columns, for the check and the orthogonal way out."""
        return CompressedColumns.build(self.structure)

    @cached_property
    def analysis(self) -> SparseAnalysis:
        """What rotations do to the columns in the order of the band."""
        return analyse(self.compressed.pattern(), order=self.to_band(np.arange(self.n)).astype(np.int32))


def band_cost(n: int, lower: int, upper: int, *, entries: int) -> Cost:
    """Cost of `stridiag.factorization.band` for a band of order n with so many entries, ``lower <= upper``."""
    width = lower + upper + 1
    below, beside = _entries(n, lower), _entries(n, width - 1)
    factor = below * (1 + 2 * (width - 1))
    solve = n + 2 * below + 2 * beside
    compiled, stable = lower <= COMPILED_WIDTH, lower <= STABLE_WIDTH
    # LAPACK numbers its pivots by int32, however few candidates there are.
    stored = n * (8 * (width + lower) + (1 if compiled and lower < 256 else 4))
    # Nanoseconds a row: choosing a pivot, waiting for the last number, and products that run in parallel.
    time = 20 + 3 * lower + 1.2 * width + (0.09 if compiled else 0.05) * 2 * lower * (width - 1)
    if not compiled:
        factor = _entries(n, lower + _BLOCK) * (1 + 2 * (width - 1 + _BLOCK))
    if not stable:
        # The check, and behind it rotations in the order of the band: at most `lower` for each column, none over more
        # than the width.
        factor += 2 * (solve + 2 * entries) + 6 * n + below * (12 + 6 * (width - 1))
        solve = max(solve, 6 * below + 2 * (n + beside))
        stored = max(stored, 12 * (n + beside) + 20 * below + 28 * n + 16)
    operations = Operations(factor, solve, determinant(n), n * solve, exact=stable)
    return Cost(operations, stored, rate=(0.7 if compiled else 1.0) * n * time / max(factor + solve, 1), overhead=5e4)


def _strides(structure: Structure) -> tuple[int, ...]:
    """Return 1, and the greatest common divisor of the offsets if that is larger."""
    g = math.gcd(*structure.offsets)
    return (1, g) if g > 1 else (1,)


def _entries(n: int, k: int) -> int:
    """Return the number of entries on the first k diagonals beside the main one of a matrix of order n."""
    k = min(k, max(n - 1, 0))
    return k * n - k * (k + 1) // 2
