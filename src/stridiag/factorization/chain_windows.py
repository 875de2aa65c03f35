"""Long chains of real numbers that forget what is far away, solved in one pass: see `stridiag._kernels.lane_windows`.

An offer for what is ordinary. Where the matrix does not decay fast enough, a pivot cannot be trusted, or windows do not
agree, nothing is returned, and the caller goes the general way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import lane_windows, window_checks
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import ROWS, group_size
from stridiag._kernels.shared_units import Units, new_units
from stridiag._kernels.threads import run_shared
from stridiag._results import unfilled
from stridiag.factorization.condition import probe
from stridiag.planning.chain import ChainLayout

__all__ = ["AGREED", "SHORTEST", "SHRUNK", "Windows", "mostly_zero", "natural", "settled"]

Array = NDArray[Any]

_DOUBLE = np.dtype(np.float64)
_SIZE = group_size(_DOUBLE)
_EPS = float(np.finfo(_DOUBLE).eps)

SHORTEST = 50_000
"""Rows of a matrix from which on its chains are solved in windows."""

# Rows of a piece, where pivots are taken as they come, and with interchanges: the pivot rows of a group fill a quarter
# of a common cache of the second level, or half of one.
_PIECE, _LONG_PIECE = 384, 832
# Margins, and what an error has to shrink by over each: by more over the narrowest, where a few rows that are not
# looked at, and shrink it by less, matter most.
SHRUNK = 2.0**-57
_MARGINS = {32: 2.0**-60, 64: SHRUNK, 128: SHRUNK}
# Rows that are looked at to choose one: so many, or a share of all, since the longer the chains the slower is the
# slowest decay somewhere.
_LOOKED_AT, _LOOKED_AT_SHARE = 1024, 128
# Margins with interchanges, how many places are looked at, and how much wider a margin is than any of these needs.
_WIDE_MARGINS = (128, 192, 256, 384)
_PLACES, _SPARE = 8, 1.5
# Entries of a right-hand side that are looked at.
_SAMPLE = 64
# What neighbors may differ by, in epsilons of the magnitudes of a row.
AGREED = 2.0
# How much larger unknowns may be where a row of a piece is carried on in the margin.
_TALLER = 2.0
# Groups that may be solved once more, with margins twice as wide: one in so many, and one.
_FEW = 2
# Groups of windows that are worth a thread of their own, wherever the processors lie: decision 0043.
_GRAIN, _LONG_GRAIN = 6, 2


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
    interchanging : bool or None
        Whether rows are interchanged; None where pivots are taken as they come.

    Attributes
    ----------
    tridiagonal : tuple of ndarray
        ``dl``, ``d``, ``du``.
    margin : int
    interchanging : bool or None
    refused : bool
        Whether a pivot was found that cannot be trusted, so that no right-hand side is worth another trial.
    """

    # Nothing is kept between solutions.
    nbytes = 0

    def __init__(
        self, chain: ChainLayout, dl: Array, d: Array, du: Array, margin: int, interchanging: bool | None
    ) -> None:
        self._chain = chain
        self.tridiagonal = (frozen(dl), frozen(d), frozen(du))
        longest = _PIECE if interchanging is None else _LONG_PIECE
        stride = chain.stride if natural(chain, longest) else 1
        self._stride, self.margin, self.interchanging = stride, margin, interchanging
        # Windows of one group that follow one another in a chain, and groups side by side.
        beside = 1 if stride == 1 else _SIZE if stride % _SIZE == 0 else _SIZE // 2
        lanes, blocks = _SIZE // beside, stride // beside
        height = -(-d.size // stride)
        count = max(round(height / (lanes * longest)), 1)
        self._piece = -(-height // (lanes * count * ROWS)) * ROWS
        self._groups = -(-height // (lanes * self._piece)) * blocks
        self._numbers = probe(self._piece + 4 * margin, _DOUBLE)
        self.refused = False

    @classmethod
    def of(cls, chain: ChainLayout, values: Array, *, adjoint: bool = False, linked: bool = False) -> Self | None:
        """Return them for values, (nnz,), by slot, or for the transpose; None unless some rows promise well.

        And None where there are links, unless they are left out: `linked`, for chains as they lie in memory alone.
        """
        if not COMPILES or values.dtype != _DOUBLE or chain.n < SHORTEST or not chain.plain:
            return None
        structure, stride = chain.structure, chain.stride
        if structure.link_count and not linked:
            return None
        starts = structure.starts
        dl, d, du = values[: starts[1]], values[starts[1] : starts[2]], values[starts[2] : starts[3]]
        # The transpose decays alike: what multiplies in elimination and in back substitution is exchanged.
        margin, interchanging = _margin(frozen(dl), frozen(d), frozen(du), stride)
        if margin is None:
            return None
        if not natural(chain, _PIECE if interchanging is None else _LONG_PIECE):
            if linked:
                return None
            dl, d, du = chain.entries(values)
        return cls(chain, *((du, d, dl) if adjoint else (dl, d, du)), margin, interchanging)

    def solve(self, b: Array, x: Array, *, probing: bool = False) -> tuple[float, float] | None:
        """Put the solution for `b`, (n,), into `x`.

        Returns
        -------
        tuple or None
            The largest magnitude of an entry of the matrix, and the 2-norm of the solution for a random right-hand side
            of unit variance, if `probing`, or 0. None, and `x` means nothing, where another way has to be gone.
        """
        if mostly_zero(b):
            return None
        if self._stride != self._chain.stride:
            y = unfilled(b.shape, _DOUBLE)
            found = self._solve_in_order(self._chain.to_chains(b), y, probing=probing)
            x[:] = self._chain.from_chains(y)
            return found
        return self._solve_in_order(b, x, probing=probing)

    def _solve_in_order(self, b: Array, x: Array, *, probing: bool) -> tuple[float, float] | None:
        b = frozen(b)
        borders = np.zeros((self._groups, 4, _SIZE))
        largest, squares = np.empty(self._groups), np.empty(self._groups)
        made = x, borders, largest, squares
        numbers = self._numbers if probing else None
        grain = _GRAIN if self.interchanging is None else _LONG_GRAIN
        run_shared(self._solver(b, numbers, self.margin, made), self._groups, grain=grain)
        most = float(largest.max())
        if math.isnan(most):
            self.refused = True
            return None
        # Accepts the good, so that NaN does not.
        if not (squares.sum() < math.inf and self._fits(b, numbers, made)):
            return None
        return most, math.sqrt(squares.sum())

    def _solver(
        self, b: Array, numbers: Array | None, margin: int, made: tuple[Array, ...]
    ) -> Callable[[Units, bool], None]:
        """Return what solves the windows of groups that threads share."""
        (dl, d, du), (x, borders, largest, squares) = self.tridiagonal, made
        how, stride, piece = self.interchanging, self._stride, self._piece

        def run(units: Units, from_end: bool) -> None:
            lane_windows.solve_windows(
                how, dl, d, du, b, numbers, stride, piece, margin, units, from_end, x, borders, largest, squares
            )

        return run

    def _fits(self, b: Array, numbers: Array | None, made: tuple[Array, ...]) -> bool:
        """Return whether neighbors agree, if need be after some groups have got wider margins."""
        x, borders = made[:2]
        dl, d, du = self.tridiagonal
        limit = AGREED * _EPS

        def disagreeing(found: Array) -> int:
            return window_checks.disagreeing(dl, d, du, self._stride, self._piece, x, borders, limit, found)

        solve = self._solver(b, numbers, 2 * self.margin, made)
        if not settled(disagreeing, lambda group: solve(new_units(group, group + 1), False), self._groups):
            return False
        # Without interchanges all are zero.
        within, below = (float(borders[:, which].max()) for which in (window_checks.WITHIN, window_checks.BELOW))
        return below <= _TALLER * within


def mostly_zero(b: Array) -> bool:
    """Return whether most entries of a right-hand side seem to be zero.

    A solution that dies away from a few rows is zero for windows far from them, and they would not agree.
    """
    return bool(2 * np.count_nonzero(b[:: b.size // _SAMPLE]) < _SAMPLE)


def settled(disagreeing: Callable[[Array], int], again: Callable[[int], object], groups: int) -> bool:
    """Return whether neighbors agree, if need be after some groups have got wider margins.

    Parameters
    ----------
    disagreeing : callable
        Notes in an array which groups differ from neighbors, and returns how many do.
    again : callable
        Solves a group once more.
    groups : int
        How many there are.
    """
    found = np.empty(groups, np.int64)
    # In the second turn perhaps their neighbors.
    for _ in range(3):
        count = disagreeing(found)
        if count == 0:
            return True
        if count > 1 + groups // _FEW:
            return False
        for group in found[:count]:
            again(int(group))
    return False


def _margin(dl: Array, d: Array, du: Array, stride: int) -> tuple[int | None, bool | None]:
    """Return how wide margins have to be, None if too wide, and whether rows are to be interchanged."""
    height = dl.size // stride
    rows = min(max(_LOOKED_AT, d.size // _LOOKED_AT_SHARE), height)
    if rows < _LOOKED_AT // 8:
        return None, None
    margin = None
    # Most of what does not decay is told by the first few.
    for looked_at in (rows // 8, rows):
        worst = window_checks.decay(dl, d, du, stride, looked_at, ROWS)
        # Accepts the good, so that NaN does not.
        margin = next((margin for margin, most in _MARGINS.items() if worst <= most ** (ROWS / margin)), None)
        if margin is None:
            break
    if margin is not None:
        return margin, None
    rows = int(_WIDE_MARGINS[-1] / _SPARE) + 1
    places = min(_PLACES, height // (2 * rows + 4))
    if places == 0:
        return None, None
    far = _SPARE * window_checks.reach(dl, d, du, stride, places, rows, SHRUNK)
    return next((margin for margin in _WIDE_MARGINS if far <= margin), None), True


def natural(chain: ChainLayout, piece: int = _PIECE) -> bool:
    """Whether chains fill vectors as they lie in memory, and are long enough for that; one chain does not matter."""
    return chain.stride == 1 or (chain.stride % (_SIZE // 2) == 0 and 2 * chain.n >= 3 * piece * chain.stride)
