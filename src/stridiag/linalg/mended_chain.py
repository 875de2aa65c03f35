r"""Pseudoinverse of a long real chain that is dominant but for a few rows, which are what makes it singular.

With E the unit vectors of the k rows that are not dominant, and D what their diagonal entries are raised by,

.. math:: A' = A + E D E^T

is dominant, and well conditioned: with m the least by which a diagonal entry exceeds the others of its row together,
:math:`\sigma_{\min}(A') \ge m / \sqrt{n}`, and by Weyl's inequality all but k singular values of A are at least that.
If A vanishes on the columns Z of :math:`A'^{-1} E`, and its transpose on those of :math:`A'^{-T} E`, the rank is n - k;
with the orthonormal bases V and U of these spaces

.. math:: A^+ = (I - V V^T)\, A'^{-1}\, (I - U U^T) ,

since for :math:`b = A y` is :math:`A'^{-1} b = y - Z D E^T y`, and A vanishes on Z. Z dies away on either side of
these rows, so bases and projections are local. Left are two solutions with A', for the vector and for its residual in
twice the precision.

An offer for what is ordinary, and exactly singular up to rounding: `MendedChain.settle` gives None for anything else.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import small_basis, window_columns
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.extremes import magnitudes
from stridiag._kernels.strong_rows import weak_rows
from stridiag._recycled import copied
from stridiag._results import unfilled
from stridiag.factorization.ridge import ChainWithLinks
from stridiag.factorization.survey import survey
from stridiag.linalg.direct_chain import chain_survey, cutoff_bounds, far_entries
from stridiag.linalg.inverse import solve
from stridiag.linalg.quick_chain import QuickChain
from stridiag.structure import StridiagMatrix

__all__ = ["MendedChain"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_EPS = float(np.finfo(np.float64).eps)
# Rows from which the other ways take longer.
_FROM = 8192
_MOST_DROPPED = 8
# What a diagonal entry has to exceed the others of its row by, of the largest entry.
_LEAST = 2.0**-10
# Rows that a null vector reaches on either side, and what it is to be there, of its largest number.
_MARGIN, _ENDED = 96, 2.0**-60
# What the matrix may make of a null vector, in epsilons of its norm.
_NOTHING = 8.0
# Exponents of numbers whose products stay in the range.
_RANGE = 400


class _Basis(NamedTuple):
    """An orthonormal basis of a space of vectors that vanish but for some rows."""

    rows: Index
    vectors: Array

    def project(self, x: Array) -> None:
        """Take out of `x`, (n,), what lies in the space."""
        here = x[self.rows]
        small_basis.project_vector(self.vectors, here)
        x[self.rows] = here


class MendedChain(QuickChain):
    """A chain that is dominant but for the rows that make it singular.

    Made by `settle`. Attributes as `QuickChain`.
    """

    def __init__(self, matrix: StridiagMatrix, tolerances: tuple[float, float], chain: ChainWithLinks) -> None:
        super().__init__(matrix, tolerances)
        self._chain = chain
        self._mended = matrix
        self._bases = (_Basis(np.empty(0, np.int64), np.empty((0, 0))),) * 2

    @classmethod
    def settle(cls, matrix: StridiagMatrix, rtol: float, atol: float) -> MendedChain | None:
        """Decide the rank of a finite matrix, and prepare for products; None unless this way serves."""
        structure, n = matrix.structure, matrix.structure.shape[0]
        far = far_entries(matrix) if COMPILES and n >= _FROM and structure.offsets == (-1, 0, 1) else None
        if far is None:
            return None
        matrix = matrix.astype(np.float64)
        known = survey(matrix.values)
        if known is None or not 2.0**-_RANGE <= known.largest <= 2.0**_RANGE:
            return None
        starts = structure.starts
        dl, d, du, links = (matrix.values[a:b] for a, b in zip(starts, (*starts[1:], None), strict=True))
        rows, columns = structure.link_rows, structure.link_columns
        largest = known.largest
        bounds = cutoff_bounds((3.0 * largest, 3.0 * largest, largest**2, largest**2), rows, columns, links, rtol, atol)
        least = _LEAST * largest
        # All that is kept is to be above twice the cutoff.
        if bounds is None or not 4.0 * bounds[1] * math.sqrt(n) < least:
            return None
        weak = _weak(dl, d, du, rows, links, least)
        if weak is None or (known.zeros and not chain_survey(dl, d, du)[0]):
            return None
        made = cls(matrix, (rtol, atol), ChainWithLinks(dl, d, du, rows, columns, links))
        return made if not weak.size or made._mend(weak, bounds) else None

    def _mend(self, weak: Index, bounds: tuple[float, float, float, float]) -> bool:
        """Make the weak rows dominant, and find what A and its transpose vanish on; False if that is not so."""
        chain = self._chain
        ends = np.concatenate((chain.rows, chain.columns))
        # Null vectors would go on where a link begins or ends.
        if (np.abs(ends[:, None] - weak) <= _MARGIN + 1).any():
            return False
        values = copied(self._matrix.values)
        main = values[self._matrix.structure.diagonal_slots(0)]
        # As if the largest sum of a row stood on the diagonal.
        main[weak] = np.copysign(bounds[3], chain.d[weak])
        self._mended = self._matrix.with_values(values, copy=False)
        right = _null_space(chain, main, weak)
        left = _null_space(chain.T, main, weak)
        if right is None or left is None:
            return False
        self._bases = (left[0], right[0])
        self.dropped = weak.size
        return max(left[1], right[1]) <= min(_NOTHING * _EPS * bounds[3], 0.5 * bounds[0])

    def _columns(self, b: Array, *, adjoint: bool) -> Array:
        """See `QuickChain`."""
        columns = [self._product(copied(b[:, k].astype(np.float64, copy=False)), adjoint) for k in range(b.shape[1])]
        return columns[0][:, None] if len(columns) == 1 else np.array(columns).reshape(-1, self.shape[0]).T

    def _product(self, b: Array, adjoint: bool) -> Array:
        """Return the pseudoinverse, or its transpose, times a vector, which is overwritten."""
        largest = float(magnitudes(b)[0])
        if largest == 0.0 or not largest < math.inf:
            return np.full(b.size, 0.0 if largest == 0.0 else math.nan)
        exponent = math.frexp(largest)[1]
        if abs(exponent) > _RANGE:
            with np.errstate(over="ignore", under="ignore"):
                return np.ldexp(self._product(np.ldexp(b, -exponent), adjoint), exponent)
        left, right = self._bases[::-1] if adjoint else self._bases
        mended, chain = (self._mended.T, self._chain.T) if adjoint else (self._mended, self._chain)

        def once(right_hand_side: Array) -> Array:
            if self.dropped:
                left.project(right_hand_side)
            y = solve(mended, right_hand_side)
            if self.dropped:
                right.project(y)
            return y

        x = once(b)
        residual = unfilled(b.shape, b.dtype)
        chain.residual(b, x, residual)
        x += once(residual)
        return x

    def null_vectors(self) -> Array:
        """Return an orthonormal basis of the null space, (n, dropped)."""
        result = np.zeros((self.shape[0], self.dropped))
        result[self._bases[1].rows] = self._bases[1].vectors.T
        return result


def _weak(dl: Array, d: Array, du: Array, rows: Index, links: Array, least: float) -> Index | None:
    """Return the rows that are not dominant; None if they are many."""
    found = np.empty(_MOST_DROPPED, np.int64)
    count = weak_rows(dl, d, du, least, found)
    if count > _MOST_DROPPED:
        return None
    weak = found[:count]
    if rows.size:
        linked, which = np.unique(rows, return_inverse=True)
        others = np.bincount(which, np.abs(links))
        others += np.where(linked > 0, np.abs(dl[np.maximum(linked - 1, 0)]), 0.0)
        others += np.where(linked < du.size, np.abs(du[np.minimum(linked, du.size - 1)]), 0.0)
        weak = np.union1d(weak, linked[~(np.abs(d[linked]) - others >= least)])
    return weak if weak.size <= _MOST_DROPPED else None


def _null_space(chain: ChainWithLinks, main: Array, weak: Index) -> tuple[_Basis, float] | None:
    """Return an orthonormal basis of the columns of the mended matrix's inverse, and a bound of what A makes of it.

    `main` is its main diagonal. None if columns reach too far.
    """
    n, count = main.size, weak.size
    near, (sizes, ended) = np.empty((count, 2 * _MARGIN + 1)), np.empty((2, count))
    window_columns.columns(chain.dl, frozen(main), chain.du, 1, _MARGIN, frozen(weak), near, sizes, ended)
    # Accepts the good, so that NaN is not.
    if not (ended <= _ENDED).all():
        return None
    # With the rows around, on which A may make something of them.
    window = np.arange(-_MARGIN - 1, _MARGIN + 2)
    rows = np.unique(np.clip(weak[:, None] + window, 0, n - 1))
    places = weak[:, None] + window[1:-1]
    column, inside = np.nonzero((places >= 0) & (places < n))
    vectors = np.zeros((count, rows.size))
    vectors[column, np.searchsorted(rows, places[column, inside])] = near[column, inside]
    small_basis.orthonormalize(vectors, 2)
    image = chain.d[rows] * vectors
    # Rows that follow one another: elsewhere vectors have ended.
    joined = np.flatnonzero(np.diff(rows) == 1)
    image[:, joined + 1] += chain.dl[rows[joined]] * vectors[:, joined]
    image[:, joined] += chain.du[rows[joined]] * vectors[:, joined + 1]
    return _Basis(rows, vectors), float(np.linalg.norm(image))
