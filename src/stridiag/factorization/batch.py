"""The members of a factor, which `Factor` asks for what it returns to users: one decomposition after another.

Other kinds: `stridiag.factorization.single`, and `stridiag.factorization.chain_batch` for a whole batch of chains in
single kernel calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import NotHermitianError, NotPositiveDefiniteError
from stridiag.factorization.chain_batch import BatchedChains, all_in_range
from stridiag.factorization.condition import rough_condition
from stridiag.factorization.decompose import decompose
from stridiag.factorization.decomposition import Decomposition, Refillable, spares
from stridiag.factorization.scaled import decompose_in_range, exponents_out_of_range
from stridiag.factorization.single import Single, SolvesAtOnce
from stridiag.factorization.singularity import evident_singularity, info_of
from stridiag.factorization.survey import Survey, survey
from stridiag.planning import Plan
from stridiag.planning.chain import TridiagonalLayout
from stridiag.planning.layout import Layout
from stridiag.structure import StridiagMatrix

__all__ = ["BatchedChains", "MemberList", "Members", "at_once", "decompose_member", "decompose_members"]

Array = NDArray[Any]


class Members(Protocol):
    """The decompositions of a batch; a single matrix is a batch of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int) -> Decomposition: ...

    def __iter__(self) -> Iterator[Decomposition]: ...

    @property
    def names(self) -> list[str]:
        """What was done, each name once."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        ...

    @property
    def info(self) -> NDArray[np.int64]:
        """For each member 0, or one more than the original row or column without a pivot; -1 if none is known."""
        ...

    def solve(self, b: Array, *, adjoint: bool) -> Array:
        """Return the solutions for `b`, (members, n, m), of the matrices' type, C-contiguous; may overwrite it."""
        ...

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """Whether `solve` leaves so many right-hand sides as they are, and returns a new array."""
        ...

    def slogdet(self) -> tuple[Sequence[Any] | Array, Sequence[float] | Array]:
        """Return phases and logarithms of the magnitudes of the determinants."""
        ...

    def inverse_diagonal(self) -> Array:
        """Return the diagonals of the inverses, (members, n); whatever for singular members."""
        ...

    def rough_conditions(self, matrix: StridiagMatrix) -> Sequence[float] | Array:
        """See `rough_condition`; of each member of the batch that was factored."""
        ...

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> Members | None:
        """Factor other values by the same plan, in the storage of this; None if they do not fit there."""
        ...

    def solve_vector(self, b: Array) -> Array | None:
        """Return the solution for a vector, (n,), the short way; None where the general one has to be gone."""
        ...

    @property
    def doubtful(self) -> bool:
        """Whether what `solve_vector` returned may belong to an ill-conditioned matrix."""
        ...


def decompose_members(planned: Plan, matrix: StridiagMatrix, found: Survey | None = None) -> Members:
    """Put the values of a matrix, or of a batch, into a plan; `found` is the survey of the values, if known."""
    layout = planned.layout
    kind = at_once(layout)
    if kind is not None:
        single = Single.of(planned, matrix, found, kind)
        if single is not None:
            return single
    if isinstance(layout, TridiagonalLayout) and matrix.batch_shape and layout.chain.n and matrix.nnz:
        values = matrix.values.reshape(-1, matrix.nnz)
        # A member near the ends of the exponent range is scaled, which the loop does.
        if values.shape[0] > 1 and all_in_range(values, found):
            return BatchedChains(layout, values, planned.unmatched)
    members: list[Decomposition] = []
    for place, member in zip(np.ndindex(matrix.batch_shape), matrix.members, strict=True):
        try:
            members.append(decompose_member(planned, member, None if matrix.batch_shape else found))
        except (NotHermitianError, NotPositiveDefiniteError) as error:
            if matrix.batch_shape:
                raise error.of_member(place) from None
            raise
    return MemberList(members)


def decompose_member(planned: Plan, matrix: StridiagMatrix, found: Survey | None = None) -> Decomposition:
    """Put the values of a single matrix into a plan; `found` is the survey of the values, if known."""
    order, largest = matrix.structure.shape[0], None if found is None else found.largest
    decomposition = decompose_in_range(matrix.values, order, partial(decompose, planned), largest)
    # Rounding may leave a pivot where structure or zeros allow none.
    decomposition.singularity = decomposition.singularity or evident_singularity(planned, matrix, found)
    return decomposition


def at_once(layout: Layout) -> type[SolvesAtOnce] | None:
    """Return what can factor and solve in one step, if there is such a thing for the layout."""
    name = _AT_ONCE.get(type(layout).__name__, "")
    # Told by its name, since its module is not imported before a plan asks for it.
    if name == "condensation.Condensation" and getattr(layout, "swept", False):
        name = "swept.SweptCondensation"
    return _found(name) if name else None


# By class of layout: a module of this room, and a name in it.
_AT_ONCE = {
    "SweptLayout": "swept.SweptChains",
    "TridiagonalLayout": "tridiagonal.TridiagonalLU",
    "CondensationLayout": "condensation.Condensation",
    "BandLayout": "two_ended_band.TwoEndedLU",
    "BandCondensationLayout": "linked_lanes.LinkedLanes",
}


@cache
def _found(name: str) -> type[SolvesAtOnce]:
    # A module and its kernels are imported when a plan first asks for them.
    module, _, kind = name.partition(".")
    return getattr(import_module(f"stridiag.factorization.{module}"), kind)  # type: ignore[no-any-return]


class MemberList:
    """Members decomposed one by one."""

    def __init__(self, members: list[Decomposition]) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, k: int) -> Decomposition:
        return self._members[k]

    def __iter__(self) -> Iterator[Decomposition]:
        return iter(self._members)

    @property
    def names(self) -> list[str]:
        """See `Members`."""
        return list(dict.fromkeys(member.name for member in self._members))

    @property
    def nbytes(self) -> int:
        """See `Members`."""
        return sum(member.nbytes for member in self._members)

    @property
    def info(self) -> NDArray[np.int64]:
        """See `Members`."""
        return np.array([info_of(member.singularity) for member in self._members], np.int64)

    def solve(self, b: Array, *, adjoint: bool) -> Array:
        """See `Members`."""
        if self.spares(b.shape[2], adjoint=adjoint):
            return self._members[0].solve(b[0], adjoint=adjoint)[None]
        for k, member in enumerate(self._members):
            b[k] = np.nan if member.singularity is not None else member.solve(b[k], adjoint=adjoint)
        return b

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Members`."""
        return len(self._members) == 1 and spares(self._members[0], columns, adjoint=adjoint)

    def slogdet(self) -> tuple[Sequence[Any] | Array, Sequence[float] | Array]:
        """See `Members`."""
        pairs = [(0.0, -np.inf) if member.singularity is not None else member.slogdet() for member in self._members]
        return [sign for sign, _ in pairs], [log for _, log in pairs]

    def inverse_diagonal(self) -> Array:
        """See `Members`."""
        rows = [None if member.singularity is not None else member.inverse_diagonal() for member in self._members]
        like = next(row for row in rows if row is not None)
        return np.stack([np.full_like(like, np.nan) if row is None else row for row in rows])

    def rough_conditions(self, matrix: StridiagMatrix) -> Sequence[float] | Array:
        """See `Members`."""
        return list(map(rough_condition, self._members, matrix.members))

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> Members | None:
        """See `Members`."""
        if isinstance(planned.layout, TridiagonalLayout) and len(self) > 1:
            # A loop only as long as members are near the ends of the exponent range.
            values = matrix.values.reshape(-1, matrix.nnz)
            if matrix.nnz and all_in_range(values, survey(values)):
                return None
        matrices = matrix.members
        fits = [
            isinstance(member, Refillable) and not exponents_out_of_range(single.values[None])[0]
            for member, single in zip(self._members, matrices, strict=True)
        ]
        # What can fail comes first, while the other members are still what they were.
        fresh = {k: decompose_member(planned, matrices[k]) for k, fit in enumerate(fits) if not fit}
        for k, member in enumerate(self._members):
            if isinstance(member, Refillable) and k not in fresh:
                member.refill(matrices[k].values)
                member.singularity = member.singularity or evident_singularity(planned, matrices[k])
        return MemberList([fresh.get(k, member) for k, member in enumerate(self._members)])

    def solve_vector(self, b: Array) -> Array | None:
        """See `Members`."""
        return None

    @property
    def doubtful(self) -> bool:
        """See `Members`."""
        return False
