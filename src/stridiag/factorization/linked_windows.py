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
from stridiag.planning.chain import ChainLayout

__all__ = ["LinkedWindows"]

Array = NDArray[Any]

# What the residual of a row may be, in epsilons of the magnitudes that it sums up.
_SMALL = 4.0
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
        count, margin = structure.link_count, windows.margin
        columns, links = structure.link_columns, frozen(values[structure.starts[-1] :])
        near, pairs = np.empty((count, 2 * margin + 1)), np.empty(_PAIRS * count)
        (rows, ends, pair_ends), pair_rows = np.empty((3, count + 1), np.int64), np.empty(pairs.size, np.int64)
        found, self._factor, self._largest = kernels.columns_near(
            *windows.tridiagonal,
            chain.stride,
            margin,
            structure.link_rows,
            columns,
            links,
            rows,
            ends,
            near,
            pair_ends,
            pair_rows,
            pairs,
        )
        self._refused = not self._factor < math.inf
        self._stride = chain.stride
        self._around = (columns, links, rows[: max(found, 0)], ends, near, pair_ends, pair_rows, pairs)

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
        limit = _SMALL * float(np.finfo(b.dtype).eps)
        if not kernels.correct(*self._windows.tridiagonal, self._stride, *self._around, frozen(b), limit, x):
            return None
        largest, size = found
        # In this order, so that NaN is kept.
        return max(self._largest, largest), size * self._factor

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        return sum(int(part.nbytes) for part in self._around[2:])
