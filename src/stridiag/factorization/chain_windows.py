"""Long dominant chains of real numbers, solved in one pass: see `stridiag._kernels.lane_windows`.

An offer for what is ordinary. Where the matrix does not decay fast enough, a pivot cannot be trusted, or windows do not
agree, nothing is returned, and the caller goes the general way.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import lane_windows
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import ROWS, group_size
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.condition import probe
from stridiag.planning.chain import ChainLayout

__all__ = ["SHORTEST", "Windows", "frozen", "natural"]

Array = NDArray[Any]

_DOUBLE = np.dtype(np.float64)
_SIZE = group_size(_DOUBLE)
_EPS = float(np.finfo(_DOUBLE).eps)

SHORTEST = 50_000
"""Rows of a matrix from which on its chains are solved in windows."""

# Rows of a piece: the pivot rows of a group fill a quarter of a common cache of the second level, or a third.
_PIECE = 384
# Margins, and what an error has to shrink by over each: by more over the narrowest, where a few rows that are not
# looked at, and shrink it by less, matter most.
_MARGINS = {32: 2.0**-60, 64: 2.0**-57, 128: 2.0**-57}
# Rows that are looked at to choose one: so many, or a share of all, since the longer the chains the slower is the
# slowest decay somewhere.
_LOOKED_AT, _LOOKED_AT_SHARE = 1024, 128
# Entries of a right-hand side that are looked at.
_SAMPLE = 64
# What neighbors may differ by, in epsilons of the magnitudes of a row.
_AGREED = 2.0
# Groups of windows that take some 60 microseconds.
_GRAIN = 4


class Windows:
    """A matrix whose chains have no links.

    Parameters
    ----------
    chain : ChainLayout
        Without links.
    dl, d, du : ndarray of float64
        As they lie in memory where `natural`, in chain order elsewhere.
    margin : int
        Rows that a window has more than its piece, at either end.

    Attributes
    ----------
    tridiagonal : tuple of ndarray
        ``dl``, ``d``, ``du``.
    margin : int
    refused : bool
        Whether a pivot was found that cannot be trusted, so that no right-hand side is worth another trial.
    """

    # Nothing is kept between solutions.
    nbytes = 0

    def __init__(self, chain: ChainLayout, dl: Array, d: Array, du: Array, margin: int) -> None:
        self._chain = chain
        self.tridiagonal = (frozen(dl), frozen(d), frozen(du))
        stride = chain.stride if natural(chain) else 1
        self._stride, self.margin = stride, margin
        # Windows of one group that follow one another in a chain, and groups side by side.
        beside = 1 if stride == 1 else _SIZE if stride % _SIZE == 0 else _SIZE // 2
        lanes, blocks = _SIZE // beside, stride // beside
        height = -(-d.size // stride)
        count = max(round(height / (lanes * _PIECE)), 1)
        self._piece = -(-height // (lanes * count * ROWS)) * ROWS
        self._groups = -(-height // (lanes * self._piece)) * blocks
        self._numbers = probe(self._piece + 2 * margin, _DOUBLE)
        self.refused = False

    @classmethod
    def of(cls, chain: ChainLayout, values: Array, *, adjoint: bool = False, linked: bool = False) -> Self | None:
        """Return them for values, (nnz,), by slot, or for the transpose; None unless the first rows promise well.

        And None where there are links, unless they are left out: `linked`.
        """
        if not COMPILES or values.dtype != _DOUBLE or chain.n < SHORTEST or not chain.plain:
            return None
        structure, stride = chain.structure, chain.stride
        if structure.link_count and not linked:
            return None
        starts = structure.starts
        dl, d, du = values[: starts[1]], values[starts[1] : starts[2]], values[starts[2] : starts[3]]
        rows = min(max(_LOOKED_AT, chain.n // _LOOKED_AT_SHARE), dl.size // stride)
        if rows < _LOOKED_AT // 8:
            return None
        margin = 0
        # Most of what does not decay is told by the first few.
        for looked_at in (rows // 8, rows):
            # The transpose decays alike: what multiplies in elimination and in back substitution is exchanged.
            worst = lane_windows.decay(frozen(dl), frozen(d), frozen(du), stride, looked_at, ROWS)
            # Accepts the good, so that NaN does not.
            margin = next((margin for margin, most in _MARGINS.items() if worst ** (margin / ROWS) <= most), 0)
            if not margin:
                return None
        if not natural(chain):
            dl, d, du = chain.entries(values)
        return cls(chain, du, d, dl, margin) if adjoint else cls(chain, dl, d, du, margin)

    def solve(self, b: Array, x: Array, *, probing: bool = False) -> tuple[float, float] | None:
        """Put the solution for `b`, (n,), into `x`.

        Returns
        -------
        tuple or None
            The largest magnitude of an entry of the matrix, and the 2-norm of the solution for a random right-hand side
            of unit variance, if `probing`, or 0. None, and `x` means nothing, where another way has to be gone.
        """
        # A solution that dies away from a few rows is zero for windows far from them, and they would not agree.
        if 2 * np.count_nonzero(b[:: b.size // _SAMPLE]) < _SAMPLE:
            return None
        if self._stride != self._chain.stride:
            y = np.empty(b.size)
            found = self._solve_in_order(self._chain.to_chains(b), y, probing=probing)
            x[:] = self._chain.from_chains(y)
            return found
        return self._solve_in_order(b, x, probing=probing)

    def _solve_in_order(self, b: Array, x: Array, *, probing: bool) -> tuple[float, float] | None:
        dl, d, du = self.tridiagonal
        b = frozen(b)
        stride, piece, margin = self._stride, self._piece, self.margin
        borders = np.empty((self._groups, 2, _SIZE))
        largest, squares = np.empty(self._groups), np.empty(self._groups)
        numbers = self._numbers if probing else None

        def run(begin: int, end: int) -> None:
            lane_windows.solve_windows(
                dl, d, du, b, numbers, stride, piece, margin, begin, end, x, borders, largest, squares
            )

        run_ranges(run, self._groups, grain=_GRAIN, multiple=1)
        most, total = float(largest.max()), float(squares.sum())
        if math.isnan(most):
            self.refused = True
            return None
        # Accepts the good, so that NaN does not.
        if not total < math.inf:
            return None
        if not lane_windows.agree(dl, d, du, stride, piece, margin, x, borders, _AGREED * _EPS):
            return None
        return most, math.sqrt(total)


def natural(chain: ChainLayout) -> bool:
    """Whether chains fill vectors as they lie in memory, and are long enough for that; one chain does not matter."""
    return chain.stride == 1 or (chain.stride % (_SIZE // 2) == 0 and chain.n >= 2 * _PIECE * chain.stride)


def frozen(array: Array) -> Array:
    """Return a read-only view: to the compiler an array that may be written to is another type."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.setflags(write=False)
    return view
