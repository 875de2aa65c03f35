"""Long dominant chains with links: solved in one pass without them, and corrected near their rows.

See `stridiag._kernels.linked_windows`. An offer for what is ordinary, like `stridiag.factorization.chain_windows`: what
cannot be proved is not returned, and the caller goes the general way.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import linked_windows as kernels
from stridiag.factorization.chain_windows import Windows, frozen, natural
from stridiag.factorization.determinant import chain_determinant, phase_and_log
from stridiag.planning.chain import ChainLayout

__all__ = ["LinkedWindows"]

Array = NDArray[Any]

# What the residual of a row may be, of the magnitudes that it sums up.
_SMALL = 4.0 * float(np.finfo(np.float64).eps)
# What the ends of a column may be, of its middle, for a determinant.
_ENDED = 2.0**-45
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
        self._windows = windows
        structure = chain.structure
        # Less than a window has, whose margins are wide enough for every place of the matrix.
        count, margin = structure.link_count, max(32, 3 * windows.margin // 4)
        columns, links = structure.link_columns, frozen(values[structure.starts[-1] :])
        near, pairs = np.empty((count, 2 * margin + 1)), np.empty(_PAIRS * count)
        (rows, ends, pair_ends), pair_rows = np.empty((3, count + 1), np.int64), np.empty(pairs.size, np.int64)
        dl, d, du = windows.tridiagonal
        of_links = (structure.link_rows, columns, links)
        made = (rows, ends, near, pair_ends, pair_rows, pairs)
        found, self._factor, self._largest = kernels.columns_near(dl, d, du, chain.stride, margin, *of_links, *made)
        self._refused = not self._factor < math.inf
        self._chain, self._values = chain, values
        self._stride = chain.stride
        self._around = (columns, links, rows[: max(found, 0)], *made[1:])

    @classmethod
    def of(cls, chain: ChainLayout, values: Array) -> Self | None:
        """Return them for values, (nnz,), by slot; None unless the first rows promise well."""
        windows = Windows.of(chain, values, linked=True) if natural(chain) else None
        return None if windows is None else cls(windows, chain, values)

    @property
    def refused(self) -> bool:
        """See `Windows`; or the links have too much to do with each other."""
        return self._refused or self._windows.refused

    def solve(self, b: Array, x: Array, *, probing: bool = False) -> tuple[float, float] | None:
        """See `Windows.solve`; with links, what is returned for the random right-hand side is a bound."""
        if self.refused:
            return None
        found = self._windows.solve(b, x, probing=probing)
        if found is None:
            return None
        dl, d, du = self._windows.tridiagonal
        if not kernels.correct(dl, d, du, self._stride, *self._around, frozen(b), _SMALL, x):
            return None
        largest, size = found
        # In this order, so that NaN is kept.
        return max(self._largest, largest), size * self._factor

    def slogdet(self) -> tuple[float, float] | None:
        """Return sign and logarithm of the determinant; None where another way has to be gone.

        That of the chains, by continuants, times that of the small matrix which the links' unknowns are solved from.
        """
        if self.refused:
            return None
        rows, _, near, pair_ends, pair_rows, pairs = self._around[2:]
        near = np.abs(near[: rows.size])
        # Where columns end they are to be next to nothing. Accepts the good, so that NaN is not.
        least = _ENDED * near[:, near.shape[1] // 2]
        if not ((near[:, 0] <= least) & (near[:, -1] <= least)).all():
            return None
        chains = chain_determinant(self._chain, self._values)
        if chains is None:
            return None
        factors = np.empty(rows.size)
        kernels.peel(pair_ends, pair_rows, pairs, factors)
        remaining = np.flatnonzero(np.isnan(factors))
        if remaining.size > _DENSE:
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
