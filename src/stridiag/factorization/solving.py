"""What stands between a user's right-hand side and a decomposition: checks, types, batches, bounds, and the warning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._results import unfilled
from stridiag._validate import as_values, require_finite, warn_user
from stridiag.errors import IllConditionedWarning
from stridiag.factorization.batch import Members
from stridiag.factorization.condition_bounds import Bounds
from stridiag.factorization.decomposition import Sparing
from stridiag.factorization.refinement import SolveResult, solve_with_bounds
from stridiag.factorization.survey import survey

if TYPE_CHECKING:
    from stridiag.structure import StridiagMatrix

__all__ = [
    "Transposition",
    "as_plain_vector",
    "as_right_side",
    "looks_itself",
    "solve_all",
    "solve_as",
    "solve_with_errors",
    "warn_of_condition",
]

Array = NDArray[Any]
Transposition = Literal["N", "T", "H"]


def as_right_side(b: ArrayLike, n: int, *, check_finite: bool) -> Array:
    """Return `b`, checked: (n,) or (..., n, m), of one of the four types."""
    right = as_values(b, "b")
    if right.ndim == 0 or right.shape[0 if right.ndim == 1 else -2] != n:
        raise ValueError(f"b must have shape ({n},) or (..., {n}, m), got {right.shape}")
    if check_finite:
        _require_finite(right)
    return right


def as_plain_vector(b: ArrayLike, dtype: np.dtype[Any]) -> Array | None:
    """Return one vector of another form or type in one block, of type `dtype`; None if it is that, or cannot be."""
    if type(b) is np.ndarray and (b.ndim != 1 or (b.dtype == dtype and b.flags.c_contiguous)):
        return None
    right = as_values(b, "b")
    if right.ndim != 1 or np.result_type(right, dtype) != dtype:
        return None
    return np.ascontiguousarray(right, dtype)


def _require_finite(right: Array) -> None:
    # One pass over the bits, where they are those of real numbers in one block.
    found = survey(right) if right.flags.c_contiguous else None
    if not (found is not None and found.largest < math.inf):
        require_finite(right, "b")


def looks_itself(members: Members, b: ArrayLike, trans: Transposition, dtype: np.dtype[Any]) -> bool:
    """Whether `solve_all` finds out in passing if `b` is finite: many right-hand sides as they are, of one matrix."""
    if trans != "N" or not isinstance(b, np.ndarray) or b.ndim != 2 or b.dtype != dtype:
        return False
    return len(members) == 1 and isinstance(members[0], Sparing) and members.spares(b.shape[1], adjoint=False)


def solve_as(
    run: Callable[[Array, bool], Array],
    b: Array,
    trans: Transposition,
    dtype: np.dtype[Any],
    *,
    check_finite: bool,
    spared: bool = False,
) -> Array:
    """Solve for `b`, (..., n, m), of any type, with a decomposition of a type of its own.

    `run` takes a C-contiguous block of that type, which it may overwrite unless `spared`, and whether to solve with
    the adjoint.
    """
    if spared and b.dtype == dtype and dtype.kind != "c":
        return run(np.ascontiguousarray(b), trans != "N")
    if b.dtype.kind == "c" and dtype.kind != "c":
        both = solve_as(run, np.concatenate((b.real, b.imag), axis=-1), trans, dtype, check_finite=check_finite)
        return np.asarray(both[..., : b.shape[-1]] + 1j * both[..., b.shape[-1] :])
    conjugate = trans == "T" and dtype.kind == "c"
    right = unfilled(b.shape, dtype)
    if conjugate:
        np.conjugate(b, out=right, casting="same_kind")
    else:
        np.copyto(right, b, casting="same_kind")
    if check_finite and right.dtype.itemsize < b.dtype.itemsize:
        require_finite(right, f"b, in the matrix's type {dtype}; linalg.solve takes the higher precision: it")
    x = run(right, trans != "N")
    return x.conj() if conjugate else x


def solve_all(
    members: Members,
    columns: Array,
    batch_shape: tuple[int, ...],
    trans: Transposition,
    dtype: np.dtype[Any],
    *,
    check_finite: bool,
    unseen: bool = False,
) -> Array:
    """Solve for `columns`, (..., n, m), with the members of a batch, whose axes broadcast; NaN for singular ones.

    `unseen`: whether nobody has looked for NaN and infinity, since it `looks_itself`.
    """
    if unseen:
        member = members[0]
        assert isinstance(member, Sparing)
        found, finite = member.solve_spared(np.ascontiguousarray(columns))
        if not finite:
            _require_finite(columns)
        return found
    kind = np.result_type(dtype, columns.dtype)
    batch = _joint_batch(batch_shape, columns)
    n, m = columns.shape[-2:]
    if batch == batch_shape:
        # The count is spelled out, since -1 cannot be told from a block without entries.
        block = np.broadcast_to(columns, (*batch, n, m)).reshape(len(members), n, m)

        def run(b: Array, adjoint: bool) -> Array:
            return members.solve(b, adjoint=adjoint)

        x = solve_as(
            run, block, trans, dtype, check_finite=check_finite, spared=members.spares(m, adjoint=trans != "N")
        )
        return x.reshape(*batch, n, m).astype(kind, copy=False)
    result = np.full((*batch, n, m), np.nan, kind)
    for place, k, b in _places(columns, batch_shape, batch):
        if members[k].singularity is None:
            result[place] = solve_as(_run_of(members, k), b, trans, dtype, check_finite=check_finite)
    return result


def solve_with_errors(
    members: Members,
    matrices: Sequence[StridiagMatrix],
    columns: Array,
    batch_shape: tuple[int, ...],
    trans: Transposition,
    *,
    refine: bool,
    bounds: bool,
) -> SolveResult:
    """Solve as `solve_all`, one member after another, with refinement or bounds; NaN for singular members."""
    dtype = matrices[0].dtype if matrices else columns.dtype
    batch = _joint_batch(batch_shape, columns)
    n, m = columns.shape[-2:]
    x = np.full((*batch, n, m), np.nan, np.result_type(dtype, columns.dtype))
    backward, forward = np.full((2, *batch, m), np.nan)
    steps = np.zeros((*batch, m), np.int64)
    for place, k, b in _places(columns, batch_shape, batch):
        if members[k].singularity is None:
            solve = partial(_solve_in, _run_of(members, k), dtype)
            found = solve_with_bounds(matrices[k], solve, b, trans, refine=refine, bounds=bounds)
            x[place], backward[place], forward[place], steps[place] = found
    return SolveResult(x, backward, forward, steps)


def _joint_batch(batch_shape: tuple[int, ...], columns: Array) -> tuple[int, ...]:
    """Return the batch axes of solutions."""
    given = columns.shape[:-2]
    try:
        return np.broadcast_shapes(batch_shape, given)
    except ValueError:
        raise ValueError(
            f"b of shape {columns.shape} has batch axes {given}, which do not broadcast against those of the "
            f"matrices, {batch_shape}: give b the shape {(*batch_shape, *columns.shape[-2:])}, or no batch axes"
        ) from None


def _solve_in(run: Callable[[Array, bool], Array], dtype: np.dtype[Any], b: Array, trans: Transposition) -> Array:
    # What a refinement solves for is scaled into the range of the type.
    return solve_as(run, b, trans, dtype, check_finite=False)


def _run_of(members: Members, k: int) -> Callable[[Array, bool], Array]:
    member = members[k]
    return lambda b, adjoint: member.solve(b, adjoint=adjoint)


def _places(columns: Array, batch_shape: tuple[int, ...], batch: tuple[int, ...]) -> Any:
    """Yield the places of the broadcast batch, with the number of the member and the right-hand sides there."""
    spread = np.broadcast_to(columns, batch + columns.shape[-2:])
    count = int(np.prod(batch_shape, dtype=np.int64))
    which = np.broadcast_to(np.arange(count).reshape(batch_shape), batch)
    for place in np.ndindex(batch):
        yield place, int(which[place]), spread[place]


def warn_of_condition(
    rough: Sequence[float] | Array,
    singular: Array,
    bounds: Callable[[int], Bounds],
    rcond: Callable[[int], float],
    eps: float,
    batch_shape: tuple[int, ...],
    margin: float,
) -> bool:
    """Warn, and return True, if a member is singular, or has ``rcond < eps``.

    Bounds are found only where `rough` does not tell, and estimates only where these do not. What `rough` has been
    found from is a solution for a right-hand side: `rough` over `margin` is a lower bound of the condition number.
    """
    limit = 1.0 / eps
    # Reciprocal condition numbers, or what they are at most.
    found: dict[int, float] = {}
    estimated = False
    # Accepts the good, so that NaN is looked at more closely.
    for k in np.flatnonzero(~(np.asarray(rough) < limit)).tolist():
        lower = rough[k] / margin
        if not limit < lower < np.inf:
            lower, upper = bounds(k)
            if upper < limit:
                continue
        if limit < lower < np.inf:
            found[k] = 1.0 / lower
        else:
            estimate = rcond(k)
            if not estimate >= eps:
                found[k], estimated = estimate, True
    bad = sorted(set(found) | set(np.flatnonzero(singular).tolist()))
    if not bad:
        return False
    if batch_shape:
        first = tuple(int(index) for index in np.unravel_index(bad[0], batch_shape))
        message = (
            f"{len(bad)} matrices of the batch {batch_shape} are singular to working precision, the first at {first}"
        )
    else:
        size = f"{'=' if estimated else '<='} {found[0]:.2g}"
        message = f"the matrix is singular to working precision: rcond {size} < eps = {eps:.2g}"
    warn_user(
        f"{message}; such a solution may have no correct digit. linalg.lstsq gives the minimum-norm answer",
        IllConditionedWarning,
    )
    return True
