"""Chains of real numbers whose segments are swept in lanes for each right-hand side, with or without links.

What asks for stored factors (several right-hand sides at a time, the factors themselves, determinants, inverses) gets
them from the decomposition that stores, which is made when first needed. Long ones that forget what is far away need
not be swept twice: `stridiag.factorization.chain_windows`, and with links `stridiag.factorization.linked_windows`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._results import unfilled
from stridiag.factorization.chain_windows import Windows
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.condition import norm_bounds, probe
from stridiag.factorization.determinant import chain_determinant
from stridiag.factorization.linked_windows import LinkedWindows
from stridiag.factorization.scaled import in_range
from stridiag.factorization.survey import largest_magnitude, survey
from stridiag.factorization.sweeps import NOTED, Sweeps
from stridiag.factorization.tridiagonal import TridiagonalLU

if TYPE_CHECKING:
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.factorization.simple_factor import SimpleFactor
    from stridiag.factorization.singularity import Singularity
    from stridiag.planning.chain import ChainLayout
    from stridiag.planning.condensation import CondensationLayout
    from stridiag.planning.swept import SweptLayout

__all__ = ["REPLAYED", "SweptChains", "SweptCondensation", "condense", "sweep"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Stored = TypeVar("Stored", TridiagonalLU, Condensation)

# Right-hand sides that are swept one after another; more of them take the factors that are stored.
_FEW = 3

REPLAYED = 200_000
"""Rows up to which replaying notes takes less time than windows with interchanges: as long as notes stay in a cache."""

BY_WINDOWS = 8
"""Solutions by windows, where notes are replayed in less time: as many more cost what sweeps and their notes do."""


def sweep(layout: SweptLayout, values: Array) -> Decomposition:
    """Factor chains without links: complex ones, which have no lanes, by LU."""
    return TridiagonalLU(layout, values) if values.dtype.kind == "c" else SweptChains(layout, values)


def condense(layout: CondensationLayout, values: Array) -> Decomposition:
    """Factor chains with links: in sweeps if they are long and real."""
    if layout.swept and values.dtype.kind == "f":
        return SweptCondensation(layout, values)
    return Condensation(layout, values)


class _Swept(Generic[Stored]):
    """What both kinds share.

    Parameters
    ----------
    layout : SweptLayout or CondensationLayout
    values : ndarray, (nnz,)
        Real.
    """

    name = "orthogonal condensation in lanes"
    _chain: ChainLayout

    def __init__(self, layout: Any, values: Array) -> None:
        self._layout = layout
        self._chain = layout.chain
        self._values = values
        self._evident: Singularity | None = None
        self._plainly_regular: bool | None = None
        self._solutions, self._replaying = 0, False

    @classmethod
    def solve_once(cls, layout: Any, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
        """See `stridiag.factorization.single.SolvesOnce`."""
        self = cls(layout, values)
        windows = self._windows
        if windows is None and not self._greedy:
            return None
        found = None if windows is None else windows.solve(b, x, probing=True)
        if found is not None:
            # No zero can be to blame for anything: all pivots have been looked at.
            return found[0], found[0], found[1]
        # A factor would try windows first, and once more in vain.
        known = survey(values)
        if known is None or not in_range(known.largest, values.dtype):
            return None
        sweeps = Sweeps(self._segments, self._chain.entries(values), values)
        plain = self._chain.stride == 1
        solution, size = sweeps.solve(self._chain.vector_to_chains(b), probing=True, x=x if plain else None)
        if not plain:
            x[:] = self._chain.vector_from_chains(solution)
        return known.largest, known.smallest, size if sweeps.regular else math.nan

    @property
    def _greedy(self) -> bool:
        """Whether the reduced system is factored in so little time that a factor need not be made for one solution."""
        return False

    @property
    def _windows(self) -> Windows | LinkedWindows | None:
        """Windows; None where sweeps are better from the first solution on."""
        raise NotImplementedError

    def _replays(self, windows: Any) -> bool:
        """Return whether sweeps solve again in less time, once their steps are noted."""
        raise NotImplementedError

    @property
    def _adjoint_windows(self) -> Windows | None:
        return None

    @cached_property
    def _sweeps(self) -> Sweeps:
        return Sweeps(self._segments, self._chain.entries(self._values), self._values)

    def _solved(self, b: Array, *, probing: bool = False, adjoint: bool = False) -> tuple[Array, float] | None:
        """Return the solution for `b`, (n,), contiguous, and what `Sweeps.solve` returns beside it.

        NaN in place of the latter if a pivot is zero. None if the adjoint has no sweeps.
        """
        windows = self._windows_for_now(adjoint=adjoint)
        if windows is not None and not windows.refused:
            x = unfilled(b.shape, b.dtype)
            found = windows.solve(b, x, probing=probing)
            if found is not None:
                return x, found[1]
        return self._by_sweeps(b, probing=probing, adjoint=adjoint)

    def _windows_for_now(self, *, adjoint: bool) -> Windows | LinkedWindows | None:
        """Return windows for the next solution; None where sweeps have been made, or are worth making by now."""
        which, sweeps = ("_adjoint_windows", "_adjoint_sweeps") if adjoint else ("_windows", "_sweeps")
        self._solutions += 1
        made = sweeps in self.__dict__
        windows: Windows | LinkedWindows | None = None if made and self._replaying else getattr(self, which)
        if windows is None or not self._replays(windows):
            return windows
        self._replaying = made or self._solutions > BY_WINDOWS
        if not self._replaying:
            return windows
        # What is not needed any more takes room.
        self.__dict__.pop(which, None)
        return None

    def _by_sweeps(self, b: Array, *, probing: bool = False, adjoint: bool = False) -> tuple[Array, float] | None:
        """Do what `_solved` does, in sweeps."""
        sweeps = self._adjoint_sweeps if adjoint else self._sweeps
        if sweeps is None:
            return None
        again = None if probing else sweeps.again()
        if again is not None:
            x, size = again.solve(b)
        else:
            x, size = sweeps.solve(self._chain.vector_to_chains(b), probing=probing)
            x = self._chain.vector_from_chains(x)
        return x, size if sweeps.regular else math.nan

    @property
    def _segments(self) -> CondensationLayout:
        raise NotImplementedError

    @property
    def _stored(self) -> Stored:
        raise NotImplementedError

    @classmethod
    def factor_and_solve(cls, layout: Any, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        self = cls(layout, values)
        found = self._solved(b, probing=True)
        # Accepts the good, so that NaN goes the other way.
        if found is None or not found[1] < math.inf:
            return None
        x, size = found
        return self, x, size

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        found = self._solved(b)
        return found[0] if found is not None and found[1] < math.inf else None

    @property
    def singularity(self) -> Singularity | None:
        """See `Decomposition`: asked of the factors that are stored, unless a solution shows that there is none."""
        if self._evident is not None:
            return self._evident
        if self._plainly_regular is None:
            n = self._chain.n
            start = probe(n, self._values.dtype)
            found = self._solved(start)
            self._plainly_regular = False
            if found is not None and found[1] < math.inf:
                norm = float(norm_bounds(self._chain.structure, self._values))
                rough = 100.0 * math.sqrt(n) * largest_magnitude(found[0]) * norm
                self._plainly_regular = rough < 1 / float(np.finfo(start.dtype).eps)
        return None if self._plainly_regular else self._stored.singularity

    @singularity.setter
    def singularity(self, found: Singularity | None) -> None:
        self._evident = found

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        # What may be singular goes to LU with partial pivoting, where that is what is stored.
        if b.shape[1] > _FEW or not self._plainly_regular:
            return self._stored.solve(b, adjoint=adjoint)
        for column in range(b.shape[1]):
            found = self._solved(np.ascontiguousarray(b[:, column]), adjoint=adjoint)
            if found is None:
                return self._stored.solve(b, adjoint=adjoint)
            b[:, column] = found[0]
        return b

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Sparing`: where what is stored does."""
        return columns > _FEW and not adjoint and self._stored.spares(columns, adjoint=adjoint)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `Sparing`."""
        return self._stored.solve_spared(b)

    @property
    def _adjoint_sweeps(self) -> Sweeps | None:
        """Sweeps for the transpose; None where its segments are not those of the matrix."""
        return None

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        return self._stored.multiply(x)

    def slogdet_at_once(self) -> tuple[Any, float] | None:
        """See `stridiag.factorization.decomposition.KnowsDeterminant`."""
        raise NotImplementedError

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        found = self.slogdet_at_once()
        return self._stored.slogdet() if found is None else found

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return self._stored.inverse_diagonal()

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        return self._stored.inverse_on_pattern(transpose=transpose)

    def write_inverse(self, out: Array) -> bool:
        """See `stridiag.factorization.inverse_entries.KnowsInverse`."""
        return self._stored.write_inverse(out)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: those of the decomposition that stores."""
        return self._stored.factors()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions, and those of the stored factors once they are there."""
        made = (self.__dict__.get(name) for name in ("_sweeps", "_stored", "_windows"))
        return sum(int(each.nbytes) for each in made if each is not None)


class SweptChains(_Swept[TridiagonalLU]):
    """Chains without links: in windows, where that will do."""

    @cached_property
    def _windows(self) -> Windows | None:
        return Windows.of(self._chain, self._values)

    @cached_property
    def _adjoint_windows(self) -> Windows | None:
        return Windows.of(self._chain, self._values, adjoint=True)

    def _replays(self, windows: Windows) -> bool:
        return windows.interchanging is not None and self._chain.n <= REPLAYED

    @property
    def _segments(self) -> CondensationLayout:
        segments: CondensationLayout = self._layout.segments
        return segments

    @cached_property
    def _stored(self) -> TridiagonalLU:
        return TridiagonalLU(self._layout, self._values)

    @cached_property
    def _adjoint_sweeps(self) -> Sweeps:
        dl, d, du = self._chain.entries(self._values)
        return Sweeps(self._segments, (du, d, dl), self._values)

    def slogdet_at_once(self) -> tuple[Any, float] | None:
        """See `stridiag.factorization.decomposition.KnowsDeterminant`; from continuants."""
        return chain_determinant(self._chain, self._values)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; from continuants."""
        from stridiag.factorization import chain_inverse

        found = chain_inverse.chain_diagonal(self._chain, self._values)
        return self._stored.inverse_diagonal() if found is None else found

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; from continuants."""
        from stridiag.factorization import chain_inverse

        return chain_inverse.chain_pattern(self._chain, self._values, transpose=transpose)

    def inverse_entries(self, rows: Index, columns: Index) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsEntries`."""
        return self._stored.inverse_entries(rows, columns)

    def inverse_norm(self, *, adjoint: bool) -> tuple[float, int] | None:
        """See `stridiag.factorization.inverse_entries.KnowsNorm`."""
        return self._stored.inverse_norm(adjoint=adjoint)


class SweptCondensation(_Swept[Condensation]):
    """Chains with links: in windows for some solutions, and for all where sweeps would note nothing."""

    @property
    def _greedy(self) -> bool:
        return self._layout.greedy is not None

    @cached_property
    def _windows(self) -> LinkedWindows | None:
        return LinkedWindows.of(self._chain, self._values)

    def _replays(self, windows: LinkedWindows) -> bool:
        return self._chain.n <= NOTED

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; from continuants, where links change little."""
        from stridiag.factorization import linked_inverse

        found = linked_inverse.linked_diagonal(self._chain, self._values)
        return self._stored.inverse_diagonal() if found is None else found

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; from continuants, where links change little."""
        from stridiag.factorization import linked_inverse

        found = linked_inverse.linked_pattern(self._chain, self._values, transpose=transpose)
        return self._stored.inverse_on_pattern(transpose=transpose) if found is None else found

    @staticmethod
    def slogdet_once(layout: CondensationLayout, values: Array) -> tuple[Any, float] | None:
        """Return sign and logarithm of the determinant, in double precision; None where the general way tells why."""
        known = survey(values) if values.dtype == np.float64 else None
        # Of a row of stored zeros reflections make rounding errors: the general way looks for such rows first.
        if known is None or known.zeros or not in_range(known.largest, values.dtype):
            return None
        return SweptCondensation(layout, values).slogdet_at_once()

    def slogdet_at_once(self) -> tuple[Any, float] | None:
        """See `stridiag.factorization.decomposition.KnowsDeterminant`; by windows, or from one sweep."""
        windows = self._windows
        found = None if windows is None else windows.slogdet()
        return self._sweeps.slogdet() if found is None else found

    @property
    def _segments(self) -> CondensationLayout:
        segments: CondensationLayout = self._layout
        return segments

    @cached_property
    def _stored(self) -> Condensation:
        return Condensation(self._layout, self._values)
