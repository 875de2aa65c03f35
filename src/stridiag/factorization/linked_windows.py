"""Long chains with links that forget what is far away: solved in one pass without them, and corrected near their rows.

See `stridiag._kernels.linked_windows`. An offer for what is ordinary, like `stridiag.factorization.chain_windows`: what
cannot be proved is not returned, and the caller goes the general way.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._kernels import linked_windows as kernels
from stridiag._kernels.window_columns import columns
from stridiag._recycled import recycled
from stridiag.factorization.chain_windows import Windows
from stridiag.factorization.determinant import chain_determinant, phase_and_log
from stridiag.planning.chain import ChainLayout

__all__ = ["LinkedWindows"]

Array = NDArray[Any]
# What `correct` takes: columns and values of links, the rows, where links end, the columns near them, and the pairs.
_Around = tuple[Array, Array, Array, Array, Array, Array, Array, Array]

# What the residual of a row may be, of the magnitudes that it sums up.
_SMALL = 4.0 * float(np.finfo(np.float64).eps)
# What the ends of a column may be, of its largest entry: for a determinant; beyond the other, they are looked for
# farther away.
_ENDED, _UNENDED = 2.0**-45, 2.0**-50
# Rows to either side of a link that are looked at with interchanges, at least.
_WIDE = 192
# The part of a margin that makes up the norm of a row of the inverse, but for what does not matter; a vector's length.
_NORMED, _LANES = 3, 8
# Links that feel each other in circles, for a determinant.
_DENSE = 128
# Pairs of links that may feel each other, for each link.
_PAIRS = 8
# How much stronger than an unknown that links meet what they make of it may be, for a determinant.
_STRONG = 128.0


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
        # Of dominant chains less than a window has, whose margins are wide enough for every place of the matrix.
        self._margin = max(32, 3 * windows.margin // 4) if self._each else max(_WIDE, windows.margin)
        self._found = self._survey(self._margin)
        self._largest, self._pairs = self._found[-1], int(self._found[2][-1])
        self._refused = self._pairs > _PAIRS * self._links.size

    def _survey(self, margin: int) -> tuple[Array, Array, Array, float]:
        """Return the rows of links, where the links and the pairs of each end, and the largest magnitude of a link."""
        count, structure = self._links.size, self._chain.structure
        rows, ends, pair_ends = np.empty(count, np.int64), np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
        given = (structure.link_rows, self._columns, self._links, self._chain.stride, margin)
        found, largest = kernels.survey(*given, rows, ends, pair_ends)
        return rows[:found], ends[: found + 1], pair_ends[: found + 1], largest

    @cached_property
    def _near(self) -> tuple[_Around, Array, Array]:
        """What belongs to the links; the norms of the columns of the inverse near them, and what their ends are."""
        made = self._look_around(self._margin, *self._found)
        # Accepts the good, so that NaN is not.
        if self._each or made[2].max(initial=0.0) <= _UNENDED:
            return made
        margin = 2 * self._margin
        return self._look_around(margin, *self._survey(margin))

    def _look_around(
        self, margin: int, rows: Array, ends: Array, pair_ends: Array, _: float
    ) -> tuple[_Around, Array, Array]:
        near, (sizes, ended) = recycled((rows.size, 2 * margin + 1)), np.empty((2, rows.size))
        pair_rows, pairs = np.empty(pair_ends[-1], np.int64), np.empty(pair_ends[-1])
        stride = self._chain.stride
        columns(*self._windows.tridiagonal, stride, margin, rows, near, sizes, ended)
        kernels.couplings(self._columns, self._links, stride, rows, ends, near, pair_ends, pair_rows, pairs)
        return (self._columns, self._links, rows, ends, near, pair_ends, pair_rows, pairs), sizes, ended

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
        (dl, d, du), around = self._windows.tridiagonal, self._near[0]
        if not kernels.correct(dl, d, du, self._chain.stride, *around, frozen(b), _SMALL, self._each, x):
            return None
        largest, size = found
        # In this order, so that NaN is kept.
        return max(self._largest, largest), size + self._more if probing else 0.0

    @cached_property
    def _more(self) -> float:
        """What links may add to the norm of a solution for random numbers."""
        dl, d, du = self._windows.tridiagonal
        across, ended = np.empty((2, self._links.size))
        margin = self._margin // (_NORMED * _LANES) * _LANES
        columns(du, d, dl, self._chain.stride, margin, self._columns, None, across, ended)
        (_, _, _, ends, _, *pairs), sizes, _ = self._near
        return kernels.bound(self._links, ends, sizes, across, *pairs)

    def slogdet(self) -> tuple[float, float] | None:
        """Return sign and logarithm of the determinant; None where another way has to be gone.

        That of the chains, by continuants, times that of the small matrix which the links' unknowns are solved from.
        """
        # Links that are near each other more often than not are in circles.
        crowded = self._links.size > _DENSE and self._pairs > 2 * self._links.size
        if self.refused or crowded:
            return None
        (_, _, rows, *_, pair_ends, pair_rows, pairs), _, ended = self._near
        # Where columns end they are to be next to nothing. Accepts the good, so that NaN is not.
        if not (ended <= _ENDED).all():
            return None
        factors = np.empty(rows.size)
        kernels.peel(pair_ends, pair_rows, pairs, factors)
        alone = ~np.isnan(factors)
        remaining = np.flatnonzero(~alone)
        count = pair_ends[rows.size]
        inside = np.isin(pair_rows[:count], remaining)
        joined = pairs[:count][inside]
        # Beyond, the chains may be that much nearer to a singular matrix than the whole is: the digits that cancel here
        # are those which their determinant has lost. Accepts the good, so that NaN is not.
        if not max(np.abs(factors[alone]).max(initial=0.0), np.abs(joined).max(initial=0.0)) <= _STRONG:
            return None
        chains = chain_determinant(self._chain, self._values) if remaining.size <= _DENSE else None
        if chains is None:
            return None
        sign, log = chains
        parts = [phase_and_log(factors[alone])]
        if remaining.size:
            places = np.repeat(np.arange(rows.size), np.diff(pair_ends[: rows.size + 1]))
            small = np.zeros((rows.size, remaining.size))
            small[remaining, np.arange(remaining.size)] = 1.0
            columns = np.searchsorted(remaining, pair_rows[:count][inside])
            np.add.at(small, (places[inside], columns), joined)
            parts.append(np.linalg.slogdet(small[remaining]))
        for phase, part in parts:
            sign, log = sign * float(phase), log + float(part)
        return (sign, log) if math.isfinite(log) else None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        made = self.__dict__.get("_near")
        return 0 if made is None else sum(int(part.nbytes) for part in made[0][2:])
