"""Narrow bands that are eliminated from both ends at once: what `stridiag._kernels.two_ended_lu` works on.

In class order (`stridiag.planning.chain`) the residue classes modulo g, one behind the other, make one band of widths l
and u: nothing couples one class with the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._frozen import frozen
from stridiag._kernels.band_lanes import ABSENT
from stridiag.planning.chain import ChainLayout
from stridiag.planning.cost import Cost, Operations, determinant
from stridiag.structure import Structure

__all__ = ["TwoEndedBand"]

Array = NDArray[Any]
Index = NDArray[np.int64]

MAX_WIDTH = 4
"""Largest l and largest u: what `stridiag.planning.band.STABLE_WIDTH` is for either end."""

_SHORTEST = 4096
"""Order from which on kernels made for one pair of widths are worth their compilation, a few seconds once."""


@dataclass(frozen=True, eq=False)
class TwoEndedBand:
    """How a structure's diagonals become a band.

    Attributes
    ----------
    chain : ChainLayout
        The residue classes.
    lower, upper : int
        Widths of the band, 1 or more each.
    """

    chain: ChainLayout
    lower: int
    upper: int

    @classmethod
    def of(cls, structure: Structure) -> TwoEndedBand | None:
        """Return it for a long square structure without links whose classes are narrow bands; None for others."""
        if structure.link_count or len(structure.offsets) < 2 or structure.shape[0] < _SHORTEST:
            return None
        stride = math.gcd(*structure.offsets)
        lower, upper = -structure.offsets[0] // stride, structure.offsets[-1] // stride
        if min(lower, upper) < 1 or max(lower, upper) > MAX_WIDTH:
            return None
        return cls(ChainLayout(structure, stride), lower, upper)

    @property
    def width(self) -> int:
        """Columns of the core: w = l + u."""
        return self.lower + self.upper

    @property
    def n(self) -> int:
        """Order of the matrix."""
        return self.chain.n

    @property
    def steps(self) -> tuple[int, int]:
        """Steps of the top and of the bottom."""
        columns = self.n - self.width
        return columns - columns // 2, columns // 2

    def diagonals(self, values: Array) -> tuple[Array, Index]:
        """Return numbers, and where among them the row 0 of each diagonal stands; no copy where there is one class."""
        structure, stride = self.chain.structure, self.chain.stride
        base = np.full(self.width + 1, ABSENT, np.int64)
        if stride == 1:
            for k, start in zip(structure.offsets, structure.starts[:-1], strict=True):
                base[k + self.lower] = start - max(0, -k)
            return frozen(values), base
        flat = np.zeros((len(structure.offsets), self.n), values.dtype)
        padded = np.empty(self.n, values.dtype)
        for number, k in enumerate(structure.offsets):
            slots = structure.diagonal_slots(k)
            first = max(0, -k)
            padded[:first] = 0
            padded[first : first + slots.stop - slots.start] = values[slots]
            padded[first + slots.stop - slots.start :] = 0
            flat[number] = self.chain.to_chains(padded)
            base[k // stride + self.lower] = number * self.n
        return frozen(flat.ravel()), base

    @cached_property
    def cost(self) -> Cost:
        """What `stridiag.factorization.two_ended_band` takes for real numbers: exact."""
        w = self.width
        dense, dense_solve = _dense_operations(w)
        factor, solve, stored = dense, dense_solve, 8 * w * (3 * w - 2) + w
        for steps, below in zip(self.steps, (self.lower, self.upper), strict=True):
            factor += steps * (below * (2 * w + 1) + w + 1)
            solve += steps * (2 * below + 2 * w + 1)
            stored += steps * (8 * (w + 1 + below) + 1)
        operations = Operations(factor, solve, determinant(self.n), self.n * solve, exact=True)
        return Cost(operations, stored, rate=20.0 * self.n / (factor + solve), overhead=5e4)


def _dense_operations(n: int) -> tuple[int, int]:
    """Return the operations of `stridiag._kernels.band_lu` on a dense matrix, to factor and to solve."""
    below = n * (n - 1) // 2
    return below * (1 + 2 * (2 * n - 2)), n + 4 * below
