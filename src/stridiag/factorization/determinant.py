"""Determinants as phase and logarithm: from the factors, a product of many numbers, or without any."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._frozen import frozen
from stridiag._kernels import lane_continuants as lanes
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.determinant import log_product, unit_product
from stridiag._kernels.shared_units import Units
from stridiag._kernels.threads import run_shared
from stridiag.planning.chain import ChainLayout

__all__ = ["chain_determinant", "chain_diagonals", "is_as_it_stands", "phase_and_log", "sign_of_flips"]

# From this order on a chain is cut into segments; the rows of one segment at most, and those before it.
_FROM, _LENGTH, _WARM = 1000, 1000, 32
# Rows that are worth a thread of their own, and those that outweigh what the caller has put in order before, which goes
# from one processor's cache to another's: decision 0043.
_GRAIN, _ORDERED_GRAIN = 125_000, 200_000


def phase_and_log(factors: NDArray[Any], phase: complex = 1.0) -> tuple[Any, float]:
    """Return phase and log of the magnitude of `phase`, of magnitude one, times the product of all factors, (k,)."""
    log = log_product(np.abs(factors))
    if log == -np.inf:
        return complex(phase) * 0 if factors.dtype.kind == "c" else 0.0, log
    if factors.dtype.kind == "c":
        return unit_product(factors, complex(phase)), log
    return float(phase.real) * sign_of_flips(int(np.count_nonzero(factors < 0))), log


def sign_of_flips(count: int) -> int:
    """Return the determinant of so many interchanges, or of so many reflections."""
    return -1 if count % 2 else 1


def chain_determinant(layout: ChainLayout, values: NDArray[Any]) -> tuple[float, float] | None:
    """Return sign and logarithm of the determinant of real chains without links, from the values alone.

    By continuants, see `stridiag._kernels.lane_continuants`; in double precision, whatever that of the values. None if
    the determinant is zero, or where another way is needed: numbers far apart, or that are not finite.
    """
    dl, d, du = chain_diagonals(layout, values)
    n = d.size
    groups, length, start = _segments(n)
    head = n - length * start.size
    found, guess = np.empty((lanes.FIELDS, start.size)), np.empty((2, start.size))

    def run(guesses: NDArray[Any] | None) -> tuple[float, float, float]:
        given = (dl, d, du, start, length, _WARM, guesses)

        def some(units: Units, from_end: bool) -> None:
            if COMPILES:
                lanes.run_lanes(*given, units, from_end, np.empty(lanes.TILE), found)
            else:
                lanes.run_plain(*given, units, from_end, found)

        grain = -(-(_GRAIN if is_as_it_stands(layout) else _ORDERED_GRAIN) // (lanes.GROUP * length))
        run_shared(some, groups, grain=grain)
        return lanes.join(dl, d, du, head, found, guess)

    m, e, trust = run(None) if groups else lanes.join(dl, d, du, n, found, guess)
    if m != 0.0 and not trust < 1.0:
        m, e, trust = run(guess.copy())
    if m == 0.0 or not trust < 1.0:
        return None
    return math.copysign(1.0, m), e * math.log(2.0) + math.log(abs(m))


@lru_cache(maxsize=16)
def _segments(n: int) -> tuple[int, int, NDArray[np.int64]]:
    """Return how a chain of n rows is cut: groups of segments, rows of each segment, and the segments' first rows."""
    groups = 0 if n < _FROM else max(1, n // (lanes.GROUP * _LENGTH))
    segments = lanes.GROUP * groups
    length = lanes.BLOCK * ((n - _WARM - 1) // (lanes.BLOCK * segments)) if segments else 0
    if length % 64 == 0 and length:
        # Segments so many powers of two apart would compete for the same places of a cache.
        length -= lanes.BLOCK
    start = n - segments * length + length * np.arange(segments)
    return groups, length, start


def is_as_it_stands(layout: ChainLayout) -> bool:
    """Whether a matrix is one chain, in order, whose three diagonals stand in its values."""
    # Without links nothing need be looked for among them.
    return layout.stride == 1 and layout.plain and not (layout.structure.link_count and layout.folded)


def chain_diagonals(layout: ChainLayout, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return dl, d and du in chain order and double precision; views of the values where they are that already."""
    values = frozen(values.astype(double_type(values.dtype), copy=False))
    if is_as_it_stands(layout):
        return layout.entries(values)
    dl, d, du = map(frozen, layout.tridiagonal(values))
    return dl, d, du
