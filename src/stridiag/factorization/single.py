"""One matrix of double precision, factored when that is first needed: for a vector, in the same pass as it is solved.

`A.factor().solve(b)` and `linalg.solve(A, b)` of a small matrix take less time in arithmetic than in calls from one
function to another. So a decomposition may offer to factor, to solve for one vector and to probe the condition number
at once (`SolvesAtOnce`). That is an offer for what is ordinary: wherever something is not (a zero pivot, numbers that
are not finite, a condition number that may be large), the general way is gone as if this one did not exist, and says
what is to be said. Results are the same, bit by bit; but `solve_once`, which keeps no factor, may have a way of its own
(`stridiag.factorization.static_lu`), and so have the first solutions of a factor of long chains
(`stridiag.factorization.swept`): their results agree to rounding errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import eps_of
from stridiag._results import unfilled
from stridiag.factorization.condition import rough_condition
from stridiag.factorization.decompose import decompose
from stridiag.factorization.decomposition import Decomposition, spares
from stridiag.factorization.scaled import bounds, in_range
from stridiag.factorization.singularity import evident_singularity, info_of
from stridiag.factorization.survey import Survey, survey
from stridiag.factorization.watching import sound, watched_by
from stridiag.planning import Plan
from stridiag.structure import StridiagMatrix

__all__ = ["Single", "SolvesAtOnce", "SolvesOnce", "solve_once"]

Array = NDArray[Any]

_DOUBLE = np.dtype(np.float64)
# Of the rough condition number, from which on the true one is asked for.
_LIMIT = 1.0 / eps_of(_DOUBLE)
_LOW, _HIGH = bounds(_DOUBLE)
# Of a solution for the probe: where the squares that its norm is made of are lost, nothing is known of it.
_TINY = 2.0**-500
# Rows from which on a solution may be made in the memory of an earlier one.
_LARGE = 1 << 14


class SolvesAtOnce(Decomposition, Protocol):
    """A decomposition that can be made and used in one step."""

    @classmethod
    def factor_and_solve(cls, layout: Any, values: Array, b: Array) -> tuple[Self, Array, float] | None:
        """Factor, solve for the vector `b`, (n,), and for a probe, all in double precision.

        Returns
        -------
        tuple or None
            The decomposition, the solution, (n,), and what `rough_condition` multiplies: of a solution for random
            numbers of unit variance, the largest magnitude with the adjoint, or the 2-norm with the matrix itself, or a
            bound of that; of two solutions (`stridiag.factorization.probing`) a tenth of the larger one. None
            if a pivot is zero, a number is not finite, or the layout is not one that this serves.
        """
        ...

    def solve_vector(self, b: Array) -> Array | None:
        """Return the solution for a vector, (n,), in double precision; None if that is not finite."""
        ...


class SolvesOnce(Protocol):
    """A decomposition's way to solve for one vector, and no more, without being made."""

    def __call__(self, layout: Any, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
        """Put into `x` what `SolvesAtOnce.factor_and_solve` would return, and keep no factors.

        Returns
        -------
        tuple or None
            The largest and the smallest magnitude of the values, and the size of the solution for the probe: NaN where
            there is no solution. In place of the smallest any number other than zero, where all pivots are known not to
            be zero. None if the layout or the matrix is not one that this serves.
        """
        ...


def solve_once(planned: Plan, matrix: StridiagMatrix, b: Array, once: SolvesOnce) -> Array | None:
    """Return the solution for a vector `b` of double precision; None where the general way has to be gone.

    All that `Single` would ask of the matrix is asked: that its numbers are finite and of ordinary size, that it is
    not singular at sight, and that its condition number is not large.
    """
    structure = matrix.structure
    n = structure.shape[0]
    # Of a wrong length, or without a solution: the general way tells.
    if b.size != n or not b.flags.c_contiguous or planned.unmatched is not None:
        return None
    # Told here, since looking for used memory takes as long as a tenth of a small matrix.
    x = np.empty(n) if n < _LARGE else unfilled((n,), _DOUBLE)
    found = once(planned.layout, matrix.values, b, x)
    if found is None:
        return None
    largest, smallest, size = found
    # Accepts the good, so that NaN goes the general way.
    rough = 100.0 * math.sqrt(n) * largest * structure.longest_line * size
    if not (_LOW <= largest < _HIGH and size > _TINY and rough < _LIMIT):
        return None
    return None if smallest == 0.0 and evident_singularity(planned, matrix) is not None else x


class Single:
    """The only member of a factor, whose decomposition has type `kind` and is made when first needed."""

    def __init__(self, planned: Plan, matrix: StridiagMatrix, kind: type[SolvesAtOnce], largest: float) -> None:
        self._planned = planned
        self._matrix = matrix
        self._kind = kind
        n = matrix.structure.shape[0]
        self._n = n
        self._dtype = matrix.dtype
        # What the probe's largest entry is multiplied by: see `rough_condition`.
        self._scale = 100.0 * math.sqrt(n) * largest * matrix.structure.longest_line
        self._watched = None if getattr(planned.layout, "steady", False) else watched_by(planned, matrix)
        self._made: SolvesAtOnce | None = None
        self._rough: float | None = None
        self._regular = False
        self.doubtful = False

    @classmethod
    def of(cls, planned: Plan, matrix: StridiagMatrix, found: Survey | None, kind: type[SolvesAtOnce]) -> Self | None:
        """Return it for a matrix that is ordinary at sight; None for others."""
        # In single precision the kernels that store and those that do not would round at different places.
        if found is None or matrix.batch_shape or matrix.dtype != np.float64:
            return None
        if not in_range(found.largest, matrix.dtype):
            return None
        if planned.unmatched is not None or (found.zeros and evident_singularity(planned, matrix) is not None):
            return None
        return cls(planned, matrix, kind, found.largest)

    def solve_vector(self, b: Array) -> Array | None:
        """Return the solution for `b`, (n,), if all is ordinary; else None, and the general way tells why."""
        if b.dtype is not self._dtype or b.shape != (self._n,) or not b.flags.c_contiguous:
            return None
        made = self._made
        if made is None:
            found = self._kind.factor_and_solve(self._planned.layout, self._matrix.values, b)
            if found is None or not found[2] > _TINY:
                return None
            made, x, largest = found
            rough = self._scale * largest
            # In this order, since another thread that sees the decomposition takes the rest for known.
            self._settle(made, rough, sound=True)
            self._made = made
            return x if self._regular and self._shows_sound(b, x) else None
        if self._rough is None:
            self._settle(made, rough_condition(made, self._matrix), sound=False)
        # What could not be trusted, `decompose` has replaced by something else.
        if not (self._regular and isinstance(made, self._kind)):
            return None
        again = made.solve_vector(b)
        return again if again is not None and self._shows_sound(b, again) else None

    def _shows_sound(self, b: Array, x: Array) -> bool:
        # What does not is corrected in the general way.
        return self._watched is None or sound(self._watched[0], self._matrix.values, b, x)

    def _settle(self, made: SolvesAtOnce, rough: float, *, sound: bool) -> None:
        # Accepts the good, so that NaN goes the general way. To find a singularity may cost a solution, and where the
        # probe went along with the first one, and is small, there is none.
        self.doubtful = not rough < _LIMIT
        self._regular = rough < math.inf and ((sound and not self.doubtful) or made.singularity is None)
        # By its name: asking whether it is a `KeepsProbes` takes as long as a small matrix does.
        forget = None if self.doubtful else getattr(made, "take_probes", None)
        if forget is not None:
            forget()
        self._rough = rough

    @property
    def _member(self) -> Any:
        if self._made is None:
            # Two threads may do so at the same time, and get the same numbers.
            self._made = decompose(self._planned, self._matrix.values)  # type: ignore[assignment]
        return self._made

    def __len__(self) -> int:
        return 1

    def __getitem__(self, k: int) -> Decomposition:
        found: Decomposition = (self._member,)[k]
        return found

    def __iter__(self) -> Iterator[Decomposition]:
        yield self._member

    @property
    def names(self) -> list[str]:
        """See `Members`."""
        return [self._kind.name]

    @property
    def nbytes(self) -> int:
        """See `Members`."""
        return int(self._member.nbytes)

    @property
    def info(self) -> NDArray[np.int64]:
        """See `Members`."""
        return np.array([info_of(self._member.singularity)], np.int64)

    def solve(self, b: Array, *, adjoint: bool) -> Array:
        """See `Members`."""
        member = self._member
        if self.spares(b.shape[2], adjoint=adjoint):
            x: Array = member.solve(b[0], adjoint=adjoint)
            return x[None]
        b[0] = np.nan if member.singularity is not None else member.solve(b[0], adjoint=adjoint)
        return b

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Members`."""
        return spares(self._member, columns, adjoint=adjoint)

    def slogdet(self) -> tuple[Sequence[Any] | Array, Sequence[float] | Array]:
        """See `Members`."""
        member = self._member
        # Asked first, though another way to the determinant may make a small number of a zero pivot: a factor that
        # solves nothing has determinant zero.
        if member.singularity is not None:
            return [0.0], [-np.inf]
        # By its name: asking whether it is a `KnowsDeterminant` takes as long as a small matrix does.
        at_once = getattr(member, "slogdet_at_once", None)
        found = None if at_once is None else at_once()
        sign, log = member.slogdet() if found is None else found
        return [sign], [log]

    def inverse_diagonal(self) -> Array:
        """See `Members`."""
        result: Array = self._member.inverse_diagonal()[None]
        return result

    def rough_conditions(self, matrix: StridiagMatrix) -> Sequence[float] | Array:
        """See `Members`."""
        if self._rough is None:
            self._rough = rough_condition(self._member, matrix)
        return [self._rough]

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> Single | None:
        """Factor other values in the storage of this one; None, and nothing done, if they are not ordinary."""
        found = survey(matrix.values)
        fresh = Single.of(planned, matrix, found, self._kind)
        # See `Refillable`. What stores nothing of the size of the matrix has nothing to reuse.
        refill = getattr(self._made, "refill", None)
        if fresh is not None and refill is not None:
            refill(matrix.values)
            fresh._made = self._made
        return fresh
