"""Operations of what is made of an inverse, counted from the kernels' loops.

Those of chains, by `stridiag._kernels.continuants`, take the lengths of the chains. They are what is executed for any
values; but an off-diagonal entry or a continuant that is exactly zero saves the operations on it, and so do, in the
dense inverse, stretches of a row that underflow.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "block_width",
    "chain_diagonal",
    "chain_entries",
    "chain_inverse",
    "chain_pattern",
    "condensed_inverse",
]

Index = NDArray[np.int64]

# Numbers of one block of columns of an inverse: it is passed over twice, so it should stay in the cache.
_BLOCK = 1 << 17


def chain_inverse(lengths: Iterable[int]) -> int:
    """Count the dense inverse: the continuants and generators of each chain, and one multiplication an entry."""
    return sum(length * length + _generators(length) for length in lengths)


def chain_diagonal(lengths: Iterable[int]) -> int:
    """Count the diagonal of the inverse."""
    return sum(_continuants(length) + 7 * length for length in lengths)


def chain_pattern(lengths: Iterable[int]) -> int:
    """Count the entries of the inverse on the three diagonals; between two chains they are worked out too."""
    several = [length for length in lengths if length]
    return sum(_continuants(length) + 10 * length for length in several) - (3 if several else 0)


def chain_entries(lengths: Iterable[int], count: int) -> int:
    """Count so many entries of the inverse, each inside a chain; one between two chains costs nothing."""
    return sum(_generators(length) for length in lengths) + count


def condensed_inverse(n: int, first: Index, last: Index, reflect: Index, rest: int, shared: int = 0) -> int:
    """Count the dense inverse of condensed chains.

    Parameters
    ----------
    n : int
        Order.
    first, last : ndarray of int64, (segments,)
        Interior stretches.
    reflect : ndarray of int64, (segments,)
        Operations of the reflections of each segment for one right-hand side.
    rest : int
        All others of a solve for one right-hand side,
    shared : int
        but for those that all right-hand sides of a block share.
    """
    width = block_width(n)
    start = np.arange(0, n, width)
    end = np.minimum(start + width, n)
    before = np.concatenate(([0], np.cumsum(reflect)))
    touched = before[np.searchsorted(first, end, side="right")] - before[np.searchsorted(last, start - 1)]
    return int(((end - start) * (touched + rest)).sum()) + shared * start.size


def block_width(n: int) -> int:
    """Return how many columns of an inverse of order n are solved for at a time."""
    return max(8, _BLOCK // max(1, n))


def _continuants(length: int) -> int:
    return 8 * max(length - 1, 0)


def _generators(length: int) -> int:
    return _continuants(length) + max(13 * length - 2, 0)
