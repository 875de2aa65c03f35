"""How large the condition number of a factored matrix is: roughly from one solve, or estimated from a few."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.norm_estimate import inverse_one_norm
from stridiag.structure import StridiagMatrix, Structure
from stridiag.structure.norms import one_norm

__all__ = ["norm_bounds", "probe", "reciprocal_condition", "rough_condition"]

Array = NDArray[Any]


def rough_condition(decomposition: Decomposition, matrix: StridiagMatrix) -> float:
    r"""Return what the condition number (1-norm) of a single matrix exceeds in less than one case in a hundred.

    Entry j of :math:`A^{-H} z`, for random z of unit variance, is about as large as the 2-norm of column j of the
    inverse, and falls below a hundredth of that in less than one case in a hundred; and a column of n numbers has a
    1-norm of up to :math:`\sqrt n` times its 2-norm. NaN or infinite where the solve overflows. Cost: one solve.
    """
    n = matrix.structure.shape[0]
    if n == 0 or decomposition.singularity is not None:
        return 0.0
    x = decomposition.solve(probe(n).astype(matrix.dtype), adjoint=True)
    return 100.0 * float(np.sqrt(n)) * float(np.abs(x).max()) * float(norm_bounds(matrix.structure, matrix.values))


def probe(n: int) -> Array:
    """Return the random vector, (n, 1), of unit variance that tells whether a matrix may be ill-conditioned."""
    numbers = np.random.default_rng(20220703).random((n, 1), np.float32)
    return np.asarray((numbers - np.float32(0.5)) * np.float32(12**0.5))


def reciprocal_condition(decomposition: Decomposition, matrix: StridiagMatrix, *, adjoint: bool) -> float:
    """Estimate 1 / condition of a single matrix in the 1-norm, or in the infinity-norm if `adjoint`."""
    n = matrix.structure.shape[0]
    if n == 0:
        return 1.0
    if decomposition.singularity is not None:
        return 0.0
    with np.errstate(all="ignore"):
        # The norm of the matrix itself may overflow; its product with that of the inverse does not.
        largest = float(np.abs(matrix.values).max())
        inverse_norm = inverse_one_norm(decomposition, n, matrix.dtype, adjoint=adjoint) * largest
        rcond = 1.0 / (one_norm((matrix.H if adjoint else matrix) / largest) * inverse_norm)
    return rcond if np.isfinite(rcond) else 0.0


def norm_bounds(structure: Structure, values: Array, largest: Array | None = None) -> Array:
    """Bound the 1-norms and the infinity-norms from above, in one pass over the values, (..., nnz), if any."""
    per_line = len(structure.offsets)
    if structure.link_count:
        lines = (structure.link_rows, structure.link_columns)
        per_line += max(int(np.unique(line, return_counts=True)[1].max()) for line in lines)
    if largest is None and values.dtype.kind == "c":
        largest = np.abs(values).max(axis=-1, initial=0.0)
    elif largest is None:
        largest = np.maximum(values.max(axis=-1, initial=0.0), -values.min(axis=-1, initial=0.0))
    return np.asarray(largest.astype(np.float64) * per_line)
