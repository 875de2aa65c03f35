"""How large the condition number of a factored matrix is: roughly from one solve, exactly, or estimated from a few."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels.scatter import scatter
from stridiag._results import unfilled
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import norm_of_inverse
from stridiag.factorization.norm_estimate import ALL_COLUMNS, inverse_one_norm
from stridiag.factorization.scaled import times_power
from stridiag.factorization.survey import largest_magnitude
from stridiag.structure import StridiagMatrix, Structure
from stridiag.structure.norms import one_norm

__all__ = [
    "Condition",
    "KnowsRoughNorm",
    "certain_margin",
    "norm_bounds",
    "probe",
    "reciprocal_condition",
    "rough_condition",
]

Array = NDArray[Any]

# Order up to which probes are kept.
_SHORT = 1 << 13
# Powers of two between the right-hand sides that a condition number is estimated with and the smallest normal number.
_ROOM = 32


class Condition(NamedTuple):
    """A reciprocal condition number; `exact` but for rounding, or an estimate that is never too small but for that."""

    rcond: float
    exact: bool


@runtime_checkable
class KnowsRoughNorm(Protocol):
    """A decomposition with a shorter way to a rough norm of its inverse than a solve with its adjoint."""

    def rough_norm(self) -> float | None:
        """Return what the 1-norm of the inverse exceeds in less than one case in a hundred, as `rough_condition`."""
        ...


def rough_condition(decomposition: Decomposition, matrix: StridiagMatrix) -> float:
    r"""Return what the condition number (1-norm) of a single matrix exceeds in less than one case in a hundred.

    Entry j of :math:`A^{-H} z`, for random z of unit variance, is about as large as the 2-norm of column j of the
    inverse, and falls below a hundredth of that in less than one case in a hundred; and a column of n numbers has a
    1-norm of up to :math:`\sqrt n` times its 2-norm. NaN or infinite where the solve overflows. Cost: one solve.
    """
    n = matrix.structure.shape[0]
    if n == 0 or decomposition.singularity is not None:
        return 0.0
    known = decomposition.rough_norm() if isinstance(decomposition, KnowsRoughNorm) else None
    if known is not None:
        return known * float(norm_bounds(matrix.structure, matrix.values))
    x = decomposition.solve(probe(n, matrix.dtype)[:, None].copy(), adjoint=True)
    return 100.0 * float(np.sqrt(n)) * largest_magnitude(x) * float(norm_bounds(matrix.structure, matrix.values))


def certain_margin(structure: Structure) -> float:
    """Return by how much `rough_condition` may exceed the condition number, whatever the probe.

    It is at most 200 sqrt(6) n times the norm of a solution over that of its right-hand side, in the same norm, times
    a bound of the matrix's norm that exceeds it at most by the number of entries in a line.
    """
    return 500.0 * max(structure.shape[0], 1) * max(structure.longest_line, 1)


def probe(n: int, dtype: np.dtype[Any]) -> Array:
    """Return the vector, (n,), of unit variance that tells whether a matrix may be ill-conditioned; read-only."""
    return _short_probe(n, dtype) if n <= _SHORT else _make_probe(n, dtype)


def _make_probe(n: int, dtype: np.dtype[Any]) -> Array:
    result = unfilled((n,), dtype)
    scatter(result, 0)
    result.setflags(write=False)
    return result


_short_probe = lru_cache(maxsize=16)(_make_probe)


def reciprocal_condition(decomposition: Decomposition, matrix: StridiagMatrix, *, adjoint: bool) -> Condition:
    """Return 1 / condition of a single matrix in the 1-norm, or in the infinity-norm if `adjoint`."""
    n = matrix.structure.shape[0]
    if n == 0:
        return Condition(1.0, exact=True)
    if decomposition.singularity is not None:
        return Condition(0.0, exact=True)
    with np.errstate(all="ignore"):
        found = norm_of_inverse(decomposition, adjoint=adjoint)
        exact = found is not None or n <= ALL_COLUMNS
        # The norm of the matrix itself may overflow; its product with that of the inverse does not.
        _, power = math.frexp(float(np.abs(matrix.values).max()))
        # Nor need that of the inverse be a number of the type. One less than the power, which itself may be too large;
        # and not so small that right-hand sides, of entries down to 1 / n, would lose digits or vanish.
        shift = max(power - 1, int(np.finfo(matrix.dtype).minexp) + _ROOM)
        inverse_norm, exponent = found or (
            inverse_one_norm(decomposition, n, matrix.dtype, adjoint=adjoint, power=shift),
            -shift,
        )
        wide = matrix.astype(double_type(matrix.dtype))
        scaled = wide.with_values(times_power(wide.values, -power), copy=False)
        rcond = 1.0 / (one_norm(scaled.H if adjoint else scaled) * inverse_norm)
        # In two steps: the power alone may lie outside the range.
        half = (exponent + power) // 2
        rcond = float(np.ldexp(np.ldexp(rcond, -half), half - exponent - power))
    return Condition(rcond, exact) if np.isfinite(rcond) else Condition(0.0, exact=False)


def norm_bounds(structure: Structure, values: Array, largest: Array | None = None) -> Array:
    """Bound the 1-norms and the infinity-norms from above, in one pass over the values, (..., nnz), if any."""
    if largest is None and values.ndim == 1 and values.size:
        return np.asarray(largest_magnitude(values) * structure.longest_line)
    if largest is None and values.dtype.kind == "c":
        largest = np.abs(values).max(axis=-1, initial=0.0)
    elif largest is None:
        largest = np.maximum(values.max(axis=-1, initial=0.0), -values.min(axis=-1, initial=0.0))
    return np.asarray(largest.astype(np.float64) * structure.longest_line)
