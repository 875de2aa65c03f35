"""The members of a factor: one decomposition after another, or a whole batch of chains in single kernel calls.

`Factor` asks the members for what it returns to users; both kinds answer alike, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import continuants, tridiagonal_batch
from stridiag.errors import NotHermitianError, NotPositiveDefiniteError
from stridiag.factorization.band_lanes import LaneBandQR
from stridiag.factorization.condition import norm_bounds, probe, rough_condition
from stridiag.factorization.decompose import decompose
from stridiag.factorization.decomposition import Decomposition, Refillable
from stridiag.factorization.linked_lanes import LinkedLanes
from stridiag.factorization.scaled import decompose_in_range, exponents_out_of_range, largest_parts
from stridiag.factorization.single import Single, SolvesAtOnce
from stridiag.factorization.singularity import Singularity, evident_singularity, info_of
from stridiag.factorization.survey import Survey
from stridiag.factorization.tridiagonal import TridiagonalLU
from stridiag.planning import Plan
from stridiag.planning.band import BandLayout
from stridiag.planning.band_condensation import BandCondensationLayout
from stridiag.planning.chain import TridiagonalLayout
from stridiag.structure import StridiagMatrix

__all__ = ["BatchedChains", "MemberList", "Members", "decompose_member", "decompose_members"]

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


def decompose_members(planned: Plan, matrix: StridiagMatrix, found: Survey | None = None) -> Members:
    """Put the values of a matrix, or of a batch, into a plan; `found` is the survey of the values, if known."""
    layout = planned.layout
    kind = _AT_ONCE.get(type(layout))
    if kind is not None:
        single = Single.of(planned, matrix, found, kind)
        if single is not None:
            return single
    if isinstance(layout, TridiagonalLayout) and matrix.batch_shape and layout.chain.n:
        values = matrix.values.reshape(-1, matrix.nnz) if matrix.nnz else None
        if values is not None and values.shape[0] > 1:
            largest = largest_parts(values)
            # A member near the ends of the exponent range is scaled, which the loop does.
            if not exponents_out_of_range(values, largest).any():
                return BatchedChains(layout, values, largest, planned.unmatched)
    members: list[Decomposition] = []
    for place, member in zip(np.ndindex(matrix.batch_shape), matrix.members, strict=True):
        try:
            members.append(decompose_member(planned, member))
        except (NotHermitianError, NotPositiveDefiniteError) as error:
            if matrix.batch_shape:
                raise error.of_member(place) from None
            raise
    return MemberList(members)


def decompose_member(planned: Plan, matrix: StridiagMatrix) -> Decomposition:
    """Put the values of a single matrix into a plan."""
    decomposition = decompose_in_range(matrix.values, matrix.structure.shape[0], partial(decompose, planned))
    # Rounding may leave a pivot where structure or zeros allow none.
    decomposition.singularity = decomposition.singularity or evident_singularity(planned, matrix)
    return decomposition


# What can factor and solve in one step.
_AT_ONCE: dict[type, type[SolvesAtOnce]] = {
    TridiagonalLayout: TridiagonalLU,
    BandLayout: LaneBandQR,
    BandCondensationLayout: LinkedLanes,
}


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
        for k, member in enumerate(self._members):
            b[k] = np.nan if member.singularity is not None else member.solve(b[k], adjoint=adjoint)
        return b

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

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> Members:
        """See `Members`."""
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


class BatchedChains:
    """Chains without links, a batch of them: see `stridiag._kernels.tridiagonal_batch`.

    Parameters
    ----------
    layout : TridiagonalLayout
    values : ndarray, (members, nnz)
        C-contiguous, and of moderate size.
    largest : ndarray, (members,)
        See `largest_parts`.
    unmatched : int or None
        A column that makes every matrix of the structure singular.
    """

    def __init__(self, layout: TridiagonalLayout, values: Array, largest: Array, unmatched: int | None) -> None:
        members, n = values.shape[0], layout.chain.n
        self._layout = layout
        self._unmatched = unmatched
        dl, d, du, du2 = (np.empty((members, n), values.dtype) for _ in range(4))
        self._factors = (dl, d, du, du2, np.zeros((members, n), np.bool_))
        self._steps = np.empty(members, np.int64)
        # The slots of dl, d and du: the layout itself says where each number goes.
        numbered = layout.chain.tridiagonal(np.arange(1.0, values.shape[1] + 1.0))
        self._source = np.stack(numbered).astype(np.int64) - 1
        strided = layout.chain.stride > 1
        self._order = layout.chain.to_chains(np.arange(n)) if strided else None
        self._factor(values, largest)

    def _factor(self, values: Array, largest: Array) -> None:
        self._values = values
        self._largest = largest
        carry = np.empty((2, tridiagonal_batch.LANES), np.result_type(values.dtype, np.float64))
        tridiagonal_batch.factor(values, self._source, *self._factors, self._steps, carry)

    def __len__(self) -> int:
        return int(self._steps.size)

    def __getitem__(self, k: int) -> TridiagonalLU:
        dl, d, du, du2, swapped = self._factors
        factors = (dl[k], d[k], du[k], du2[k], swapped[k])
        member = TridiagonalLU.of_factors(self._layout, self._values[k], factors, int(self._steps[k]))
        if member.singularity is None and self._unmatched is not None:
            member.singularity = Singularity(column=self._unmatched)
        return member

    def __iter__(self) -> Iterator[Decomposition]:
        return (self[k] for k in range(len(self)))

    @property
    def names(self) -> list[str]:
        """See `Members`."""
        return [TridiagonalLU.name]

    @property
    def nbytes(self) -> int:
        """See `Members`."""
        return sum(part.nbytes for part in (*self._factors, self._steps))

    @property
    def info(self) -> NDArray[np.int64]:
        """See `Members`."""
        result = np.zeros(len(self), np.int64)
        failed = self._steps >= 0
        order = np.arange(self._layout.chain.n) if self._order is None else self._order
        result[failed] = 1 + order[self._steps[failed]]
        if self._unmatched is not None:
            result[~failed] = 1 + self._unmatched
        return result

    def solve(self, b: Array, *, adjoint: bool) -> Array:
        """See `Members`."""
        x = b if self._order is None else np.ascontiguousarray(b[:, self._order])
        dl, d, du, du2, swapped = self._factors
        failed = self.info != 0
        if failed.any():
            # Compiled complex division raises at a zero.
            d = np.where(d == 0, d.dtype.type(1), d)
        run = tridiagonal_batch.solve_adjoint if adjoint else tridiagonal_batch.solve
        run(dl, d, du, du2, swapped, x)
        if self._order is not None:
            b[:, self._order] = x
        b[failed] = np.nan
        return b

    def slogdet(self) -> tuple[Sequence[Any] | Array, Sequence[float] | Array]:
        """See `Members`."""
        pivots = self._factors[1]
        singular = self.info != 0
        flips = np.count_nonzero(self._factors[4], axis=1)
        logs = np.empty(len(self))
        tridiagonal_batch.log_products(np.abs(pivots), logs)
        if pivots.dtype.kind == "c":
            phases = np.where(flips % 2, -1.0, 1.0).astype(np.complex128)
            safe = np.where(singular[:, None], pivots.dtype.type(1), pivots)
            tridiagonal_batch.unit_products(safe, phases)
        else:
            phases = np.where((flips + np.count_nonzero(pivots < 0, axis=1)) % 2, -1.0, 1.0)
        return np.where(singular, 0.0, phases), np.where(singular, -np.inf, logs)

    def inverse_diagonal(self) -> Array:
        """See `Members`."""
        kind = self._values.dtype
        wide = double_type(kind)
        parts = []
        for source in self._source:
            part = self._values[:, source].astype(wide)
            part[:, source < 0] = 0
            parts.append(part)
        dl, d, du = parts
        out = np.empty_like(d)
        work = np.empty((4, d.shape[1]), wide), np.empty((4, d.shape[1]), np.int64)
        hidden = []
        regular = self.info == 0
        for k in range(len(self)):
            # The single kernels: one that went through all members would round differently here and there.
            continuants.continuants(dl[k], d[k], du[k], *work)
            if continuants.chain_diagonal(d[k], *work, out[k]) >= 0 and regular[k]:
                hidden.append(k)
        result = np.empty(out.shape, kind)
        result[:, slice(None) if self._order is None else self._order] = out
        for k in hidden:
            # The single member has another way.
            result[k] = self[k].inverse_diagonal()
        return result

    def rough_conditions(self, matrix: StridiagMatrix) -> Sequence[float] | Array:
        """See `Members`."""
        n = self._layout.chain.n
        start = np.broadcast_to(probe(n, matrix.dtype)[:, None], (len(self), n, 1)).copy()
        x = self.solve(start, adjoint=True)[:, :, 0]
        # The magnitude of a complex number may exceed its parts, by less than the probe's margin.
        bounds = norm_bounds(matrix.structure, self._values, self._largest)
        rough = 100.0 * math.sqrt(n) * np.abs(x).max(axis=1).astype(np.float64) * bounds
        return np.where(self.info != 0, 0.0, rough)

    def solve_vector(self, b: Array) -> Array | None:
        """See `Members`."""
        return None

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> Members | None:
        """See `Members`."""
        values = matrix.values.reshape(-1, matrix.nnz)
        largest = largest_parts(values)
        if exponents_out_of_range(values, largest).any():
            return None
        self._factor(values, largest)
        return self
