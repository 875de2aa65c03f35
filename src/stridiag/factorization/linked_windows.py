"""Long dominant chains with links: solved in one pass without them, and corrected near their rows.

See `stridiag._kernels.linked_windows`. An offer for what is ordinary, like `stridiag.factorization.chain_windows`: what
cannot be proved is not returned, and the caller goes the general way.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import linked_windows as kernels
from stridiag._kernels.window_columns import columns
from stridiag.factorization.chain_windows import Windows, frozen
from stridiag.factorization.determinant import chain_determinant, phase_and_log
from stridiag.planning.chain import ChainLayout

__all__ = ["LinkedWindows"]

Array = NDArray[Any]

# What the residual of a row may be, of the magnitudes that it sums up.
_SMALL = 4.0 * float(np.finfo(np.float64).eps)
# What the ends of a column may be, of its largest entry: for a determinant; beyond the other, they are looked for
# farther away.
_ENDED, _UNENDED = 2.0**-45, 2.0**-50
# Rows to either side of a link that are looked at with interchanges, at least.
_WIDE = 192
# Rows to either side that make up the norm of a row of the inverse, but for a part that does not matter.
_NORMED = 64
# Links that feel each other in circles, for a determinant.
_DENSE = 128
# Pairs of links that may feel each other, for each link.
_PAIRS = 8


class LinkedWindows:
    """A matrix of chains with links.

    Parameters
    ----------
    windows : Windows
        For the chains.
    chain : ChainLayout
    values : ndarray of float64, (nnz,)
        By slot.
    """

    def __init__(self, windows: Windows, chain: ChainLayout, values: Array) -> None:
        self._windows, self._chain, self._values = windows, chain, values
        self._each = windows.interchanging is None
        structure = chain.structure
        self._columns, self._links = structure.link_columns, frozen(values[structure.starts[-1] :])
        self._refused = False
        # Of dominant chains less than a window has, whose margins are wide enough for every place of the matrix.
        self._margin = max(32, 3 * windows.margin // 4) if self._each else max(_WIDE, windows.margin)
        if not self._look_around() and not self._each:
            self._margin *= 2
            self._look_around()

    def _look_around(self) -> bool:
        """Compute what is near the links; return whether that is all there is."""
        structure, stride, count = self._chain.structure, self._chain.stride, self._links.size
        rows, ends, pair_ends = np.empty(count, np.int64), np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
        of_links = (structure.link_rows, self._columns, self._links)
        found, self._largest = kernels.survey(*of_links, stride, self._margin, rows, ends, pair_ends)
        rows, ends, pair_ends = rows[:found], ends[: found + 1], pair_ends[: found + 1]
        made = int(pair_ends[-1])
        self._refused = made > _PAIRS * count
        near, self._sizes, self._ended = np.empty((found, 2 * self._margin + 1)), np.empty(found), np.empty(found)
        pair_rows, pairs = np.empty(made, np.int64), np.empty(made)
        self._around = (self._columns, self._links, rows, ends, near, pair_ends, pair_rows, pairs)
        if self._refused:
            return True
        columns(*self._windows.tridiagonal, stride, self._margin, rows, near, self._sizes, self._ended)
        kernels.couplings(self._columns, self._links, stride, rows, ends, near, pair_rows, pairs)
        return bool(self._ended.max() <= _UNENDED)

    @classmethod
    def of(cls, chain: ChainLayout, values: Array) -> Self | None:
        """Return them for values, (nnz,), by slot; None unless the first rows promise well."""
        windows = Windows.of(chain, values, linked=True)
        return None if windows is None else cls(windows, chain, values)

    @property
    def refused(self) -> bool:
        """See `Windows`; or the links may have too much to do with each other."""
        return self._refused or self._windows.refused

    def solve(self, b: Array, x: Array, *, probing: bool = False) -> tuple[float, float] | None:
        """See `Windows.solve`; with links, what is returned for the random right-hand side is a bound."""
        if self.refused:
            return None
        found = self._windows.solve(b, x, probing=probing)
        if found is None:
            return None
        given = (*self._windows.tridiagonal, self._chain.stride, *self._around)
        if not kernels.correct(*given, frozen(b), _SMALL, self._each, x):
            return None
        largest, size = found
        # In this order, so that NaN is kept.
        return max(self._largest, largest), size + self._more if probing else 0.0

    @cached_property
    def _more(self) -> float:
        """What links may add to the norm of a solution for random numbers."""
        dl, d, du = self._windows.tridiagonal
        across, ended = np.empty((2, self._links.size))
        columns(du, d, dl, self._chain.stride, min(self._margin, _NORMED), self._columns, None, across, ended)
        _, _, _, ends, _, *pairs = self._around
        return kernels.bound(self._links, ends, self._sizes, across, *pairs)

    def slogdet(self) -> tuple[float, float] | None:
        """Return sign and logarithm of the determinant; None where another way has to be gone.

        That of the chains, by continuants, times that of the small matrix which the links' unknowns are solved from.
        """
        if self.refused:
            return None
        rows, *_, pair_ends, pair_rows, pairs = self._around[2:]
        # Where columns end they are to be next to nothing. Accepts the good, so that NaN is not.
        if not (self._ended <= _ENDED).all():
            return None
        factors = np.empty(rows.size)
        kernels.peel(pair_ends, pair_rows, pairs, factors)
        remaining = np.flatnonzero(np.isnan(factors))
        chains = chain_determinant(self._chain, self._values) if remaining.size <= _DENSE else None
        if chains is None:
            return None
        sign, log = chains
        parts = [phase_and_log(factors[~np.isnan(factors)])]
        if remaining.size:
            places, ends = np.repeat(np.arange(rows.size), np.diff(pair_ends[: rows.size + 1])), pair_ends[rows.size]
            small = np.zeros((rows.size, remaining.size))
            small[remaining, np.arange(remaining.size)] = 1.0
            inside = np.isin(pair_rows[:ends], remaining)
            columns = np.searchsorted(remaining, pair_rows[:ends][inside])
            np.add.at(small, (places[inside], columns), pairs[:ends][inside])
            parts.append(np.linalg.slogdet(small[remaining]))
        for phase, part in parts:
            sign, log = sign * float(phase), log + float(part)
        return (sign, log) if math.isfinite(log) else None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        return sum(int(part.nbytes) for part in self._around[2:])
