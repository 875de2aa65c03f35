"""A whole batch of chains without links, in single kernel calls.

Real members go through `stridiag._kernels.tridiagonal_lanes`, a group of them side by side, and nothing is stored:
factors take longer to read than to make again. The first solve for a single right-hand side finds out in the same pass
which members are singular, and how large their condition numbers may be. The algorithm is that of single matrices,
with other operations fused, so a member's solution agrees with that of the matrix by itself to rounding errors, and
not always bit by bit; it never depends on the other members.

Complex members, very long ones, and what needs the factors, take `stridiag._kernels.tridiagonal_batch`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import continuants, tridiagonal_batch, tridiagonal_lanes
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES
from stridiag._results import aligned
from stridiag.factorization.condition import norm_bounds, probe
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.scaled import exponents_out_of_range, in_range, largest_parts
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.survey import Survey, survey
from stridiag.factorization.tridiagonal import TridiagonalLU
from stridiag.planning import Plan
from stridiag.planning.chain import TridiagonalLayout
from stridiag.structure import StridiagMatrix

__all__ = ["BatchedChains", "all_in_range"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Order up to which members go in lanes: beyond, the tile of a group leaves the caches.
_LONGEST = 4096
# Rows of all members together that are worth a thread's waking.
_GRAIN = 1 << 15


def all_in_range(values: Array, found: Survey | None) -> bool:
    """Whether no member of a batch, (members, nnz), is near the ends of the exponent range."""
    # Of most batches the largest and the smallest number of all tell without another pass.
    if found is not None and all(in_range(size, values.dtype) for size in (found.largest, found.smallest)):
        return True
    return not exponents_out_of_range(values).any()


class _State(NamedTuple):
    """What a pass finds out about each member: steps up to a bad pivot, and what bounds the condition number."""

    steps: Index
    growth: Array
    sizes: Array


class BatchedChains:
    """Chains without links, a batch of them.

    Parameters
    ----------
    layout : TridiagonalLayout
    values : ndarray, (members, nnz)
        C-contiguous, and of moderate size.
    unmatched : int or None
        A column that makes every matrix of the structure singular.
    """

    def __init__(self, layout: TridiagonalLayout, values: Array, unmatched: int | None) -> None:
        self._layout = layout
        self._unmatched = unmatched
        self._values = values
        self._places: tuple[Index, Index, Index] | None = None
        # Made when needed. Two threads may do so at the same time, and get the same numbers.
        self._state: _State | None = None
        self._made: tuple[Array, Array, Array, Array, Array, Index] | None = None

    # ------------------------------------------------------------------ where things lie

    def _sources(self) -> tuple[Index, Index, Index]:
        """Return the slots of dl, d and du, by entry, in chain order; in the original order; and the first of each."""
        if self._places is None:
            chain = self._layout.chain
            # The layout itself says where each number goes.
            numbered = chain.tridiagonal(np.arange(1.0, self._values.shape[1] + 1.0))
            source = np.stack(numbered).astype(np.int64) - 1
            original = np.empty_like(source)
            original[:, chain.to_chains(np.arange(chain.n))] = source
            slots = original[:, 0].copy()
            # A matrix of the order of a vector, or one with links on its chains, is gathered number by number.
            lengths = np.array([chain.n - chain.stride, chain.n, chain.n - chain.stride])
            expected = np.where(slots[:, None] < 0, -1, slots[:, None] + np.arange(chain.n))
            expected[np.arange(chain.n) >= lengths[:, None]] = -1
            if lengths.min() < BYTES // self._values.dtype.itemsize or (expected != original).any():
                slots[1] = -2
            self._places = source, original, slots
        return self._places

    @property
    def _order(self) -> Index | None:
        chain = self._layout.chain
        return chain.to_chains(np.arange(chain.n)) if chain.stride > 1 else None

    @property
    def _in_lanes(self) -> bool:
        # Vectors exist in compiled code only.
        return self._values.dtype.kind == "f" and self._layout.chain.n <= _LONGEST and COMPILES

    # ------------------------------------------------------------------ lanes

    def _in_groups(self, run: Any) -> None:
        """Call ``run(tile, lanes, first, last)`` for pieces of all groups."""
        members, n = len(self), self._layout.chain.n
        kind = self._values.dtype
        lanes = BYTES // kind.itemsize
        pair = 2 * lanes

        def piece(first: int, last: int) -> None:
            run(aligned((pair * tridiagonal_lanes.ROW * n,), kind), lanes, first, last)

        run_ranges(piece, -(-members // pair), grain=max(1, _GRAIN // (pair * n)), pieces_per_thread=2)

    def _pass(self, b: Array | None, x: Array | None, c: Array | None, z: Array | None, state: _State | None) -> None:
        """Go through all members once: see `stridiag._kernels.tridiagonal_lanes.solve_groups`."""
        members, n = len(self), self._layout.chain.n
        _, source, slots = self._sources()
        starts = np.arange(members)
        value_starts, row_starts = starts * self._values.shape[1], starts * n
        b_starts = row_starts if b is None or b.shape[0] == members else starts * 0
        steps, growth, sizes = (np.empty(members, np.int64), None, None) if state is None else state
        self._in_groups(
            partial(
                tridiagonal_lanes.solve_groups,
                self._values,
                value_starts,
                source,
                slots,
                self._layout.chain.stride,
                b,
                b_starts,
                x,
                c,
                z,
                growth,
                sizes,
                row_starts,
                steps,
            )
        )

    def _probing_pass(self, b: Array | None, x: Array | None) -> _State:
        kind, members, n = self._values.dtype, len(self), self._layout.chain.n
        state = _State(np.empty(members, np.int64), np.empty(members, kind), np.empty(members, kind))
        self._pass(b, x, probe(n, kind)[None], None, state)
        self._state = state
        return state

    # ------------------------------------------------------------------ what was stored

    @property
    def _factors(self) -> tuple[Array, Array, Array, Array, Array, Index]:
        """``dl, d, du, du2, swapped`` of `stridiag._kernels.tridiagonal_batch`, and the first bad step, or -1."""
        if self._made is None:
            members, n, kind = len(self), self._layout.chain.n, self._values.dtype
            dl, d, du, du2 = (np.empty((members, n), kind) for _ in range(4))
            swapped, steps = np.zeros((members, n), np.bool_), np.empty(members, np.int64)
            carry = np.empty((2, tridiagonal_batch.LANES), np.result_type(kind, np.float64))
            source, _, _ = self._sources()
            tridiagonal_batch.factor(self._values, source, dl, d, du, du2, swapped, steps, carry)
            self._made = dl, d, du, du2, swapped, steps
        return self._made

    def __len__(self) -> int:
        return int(self._values.shape[0])

    def __getitem__(self, k: int) -> TridiagonalLU:
        dl, d, du, du2, swapped, steps = self._factors
        factors = (dl[k], d[k], du[k], du2[k], swapped[k])
        member = TridiagonalLU.of_factors(self._layout, self._values[k], factors, int(steps[k]))
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
        return sum(part.nbytes for part in (*(self._made or ()), *(self._state or ())))

    @property
    def info(self) -> Index:
        """See `Members`."""
        n = self._layout.chain.n
        result = np.zeros(len(self), np.int64)
        if self._in_lanes:
            steps = (self._state or self._probing_pass(None, None)).steps
            failed = steps < n
        else:
            steps = self._factors[-1]
            failed = steps >= 0
        if failed.any():
            order = np.arange(n) if self._order is None else self._order
            result[failed] = 1 + order[steps[failed]]
        if self._unmatched is not None:
            result[~failed] = 1 + self._unmatched
        return result

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `Members`."""
        return columns == 1 and self._in_lanes

    def solve(self, b: Array, *, adjoint: bool) -> Array:
        """See `Members`."""
        return (
            self._solve_in_lanes(b, adjoint)
            if self.spares(b.shape[2], adjoint=adjoint)
            else self._solve_stored(b, adjoint)
        )

    def _solve_in_lanes(self, b: Array, adjoint: bool) -> Array:
        right = b.reshape(b.shape[:2])
        x = np.empty((len(self), b.shape[1]), b.dtype)
        if adjoint:
            self._pass(None, None, right, x, None)
        elif self._state is None:
            self._probing_pass(right, x)
        else:
            self._pass(right, x, None, None, None)
        failed = self.info != 0
        if failed.any():
            x[failed] = np.nan
        return x[:, :, None]

    def _solve_stored(self, b: Array, adjoint: bool) -> Array:
        order = self._order
        x = b if order is None else np.ascontiguousarray(b[:, order])
        dl, d, du, du2, swapped, _ = self._factors
        failed = self.info != 0
        if failed.any():
            # Compiled complex division raises at a zero.
            d = np.where(d == 0, d.dtype.type(1), d)
        run = tridiagonal_batch.solve_adjoint if adjoint else tridiagonal_batch.solve
        run(dl, d, du, du2, swapped, x)
        if order is not None:
            b[:, order] = x
        b[failed] = np.nan
        return b

    def solve_vector(self, b: Array) -> Array | None:
        """See `Members`."""
        return None

    @property
    def doubtful(self) -> bool:
        """See `Members`."""
        return False

    def slogdet(self) -> tuple[Sequence[Any] | Array, Sequence[float] | Array]:
        """See `Members`."""
        if self._in_lanes and self._unmatched is None:
            return self._determinants()
        pivots, swapped = self._factors[1], self._factors[4]
        singular = self.info != 0
        flips = np.count_nonzero(swapped, axis=1)
        logs = np.empty(len(self))
        tridiagonal_batch.log_products(np.abs(pivots), logs)
        if pivots.dtype.kind == "c":
            phases = np.where(flips % 2, -1.0, 1.0).astype(np.complex128)
            safe = np.where(singular[:, None], pivots.dtype.type(1), pivots)
            tridiagonal_batch.unit_products(safe, phases)
        else:
            phases = np.where((flips + np.count_nonzero(pivots < 0, axis=1)) % 2, -1.0, 1.0)
        return np.where(singular, 0.0, phases), np.where(singular, -np.inf, logs)

    def _determinants(self) -> tuple[Array, Array]:
        kind, members = self._values.dtype, len(self)
        products, units = np.empty(members, kind), np.empty(members, kind)
        ordinary = np.empty(members, np.bool_)
        # The cube of it, and that of its reciprocal, are numbers of the type.
        power = 300 if kind == np.float64 else 36
        _, source, slots = self._sources()
        starts = np.arange(members) * self._values.shape[1]
        self._in_groups(
            partial(
                tridiagonal_lanes.determinant_groups,
                self._values,
                starts,
                source,
                slots,
                self._layout.chain.stride,
                2.0**power,
                products,
                units,
                ordinary,
            )
        )
        signs = np.sign(products).astype(np.float64)
        # A product without meaning may be zero or NaN.
        products[~ordinary] = 1.0
        logs = np.log(np.abs(products.astype(np.float64)))
        logs += units.astype(np.float64) * (power * math.log(2.0))
        for k in np.flatnonzero(~ordinary).tolist():
            member = self[k]
            signs[k], logs[k] = (0.0, -np.inf) if member.singularity is not None else member.slogdet()
        return signs, logs

    def inverse_diagonal(self) -> Array:
        """See `Members`."""
        kind = self._values.dtype
        wide = double_type(kind)
        parts = []
        for source in self._sources()[0]:
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
            if continuants.chain_diagonal(d[k], *work, out[k], 0, d.shape[1]) >= 0 and regular[k]:
                hidden.append(k)
        order = self._order
        result = np.empty(out.shape, kind)
        result[:, slice(None) if order is None else order] = out
        for k in hidden:
            # The single member has another way.
            result[k] = self[k].inverse_diagonal()
        return result

    def rough_conditions(self, matrix: StridiagMatrix) -> Sequence[float] | Array:
        """See `Members`."""
        n = self._layout.chain.n
        if self._in_lanes:
            _, growth, sizes = self._state or self._probing_pass(None, None)
        else:
            start = np.broadcast_to(probe(n, matrix.dtype)[:, None], (len(self), n, 1)).copy()
            x = self.solve(start, adjoint=True)[:, :, 0]
            growth, sizes = np.abs(x).max(axis=1), largest_parts(self._values)
        # The magnitude of a complex number may exceed its parts, by less than the probe's margin.
        bounds = norm_bounds(matrix.structure, self._values, sizes)
        rough = 100.0 * math.sqrt(n) * growth.astype(np.float64) * bounds
        return np.where(self.info != 0, 0.0, rough)

    def refill(self, planned: Plan, matrix: StridiagMatrix) -> BatchedChains | None:
        """See `Members`."""
        values = matrix.values.reshape(-1, matrix.nnz)
        if not all_in_range(values, survey(values)):
            return None
        self._values = values
        self._state = self._made = None
        return self
