r"""The 1-norm of a matrix that is known by its products only, such as an inverse.

.. math:: \|B\|_1 = \max_{\|x\|_1 = 1} \|B x\|_1

is attained at a unit vector. The block algorithm climbs towards it: from the signs of :math:`Y = B X` the
gradient :math:`Z = B^H \operatorname{sign}(Y)` names the unit vectors to try next. What it returns is a lower bound
but for rounding, exact in most cases. The starting block is fixed, so that results repeat.

Cost: 2 to 5 pairs of products with 4 vectors each, and one more; for an inverse, so many solves.

References: N. J. Higham and F. Tisseur, "A block algorithm for matrix 1-norm estimation, with an application to
1-norm pseudospectra", SIAM J. Matrix Anal. Appl. 21 (2000), algorithm 2.4; the last test vector is that of LAPACK's
xLACN2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.scaled import times_power

__all__ = ["ALL_COLUMNS", "inverse_one_norm", "product_one_norm"]

Array = NDArray[Any]

_COLUMNS = 4
ALL_COLUMNS = _COLUMNS
"""Order up to which all columns are tried, so that nothing is estimated."""
_STEPS = 5


def inverse_one_norm(
    decomposition: Decomposition, n: int, dtype: np.dtype[Any], *, adjoint: bool, power: int = 0
) -> float:
    """Estimate the 1-norm of the inverse times two to a power, or of its adjoint (its infinity-norm).

    Parameters
    ----------
    decomposition : Decomposition
        Of a nonsingular matrix of order n.
    n : int
        1 or more.
    dtype : numpy.dtype
        Of the decomposition.
    adjoint : bool
        Whether to estimate that of the adjoint.
    power : int
        That of the matrix's largest entry keeps the solutions in the range of the type, where the inverse is not.

    Returns
    -------
    float
        Infinite or NaN if a solve overflows.
    """

    def times(x: Array) -> Array:
        return decomposition.solve(times_power(x, power), adjoint=adjoint)

    def adjoint_times(x: Array) -> Array:
        return decomposition.solve(times_power(x, power), adjoint=not adjoint)

    return product_one_norm(times, adjoint_times, n, dtype)


def product_one_norm(
    times: Callable[[Array], Array], adjoint_times: Callable[[Array], Array], n: int, dtype: np.dtype[Any]
) -> float:
    """Estimate the 1-norm of a square matrix B.

    Parameters
    ----------
    times, adjoint_times : callable
        From a C-contiguous block X, (n, k), which may be overwritten, to B X and to the adjoint of B times X.
    n : int
        Order of B, 1 or more.
    dtype : numpy.dtype
        Of the blocks.

    Returns
    -------
    float
        Infinite or NaN if a product overflows.
    """
    if n <= _COLUMNS:
        return float(np.abs(times(np.eye(n, dtype=dtype))).sum(axis=0).max())
    rng = np.random.default_rng(20000)
    x = np.where(rng.random((n, _COLUMNS)) < 0.5, -1.0, 1.0).astype(dtype)
    x[:, 0] = 1.0
    x /= n
    best = 0.0
    tried = np.zeros(n, bool)
    for _ in range(_STEPS):
        y = times(x)
        sums = np.abs(y).sum(axis=0)
        largest = float(sums.max())
        if not largest > best:
            # Neither a gain nor, if this is NaN, a number.
            best = best if largest <= best else largest
            break
        best = largest
        size = np.abs(y)
        signs = np.where(size > 0.0, y / np.where(size > 0.0, size, 1.0), 1.0).astype(dtype)
        gradient = np.abs(adjoint_times(np.ascontiguousarray(signs))).max(axis=1)
        gradient[tried] = -1.0
        following = np.argpartition(-gradient, _COLUMNS - 1)[:_COLUMNS]
        if not gradient[following].max() > 0.0:
            break
        tried[following] = True
        x = np.zeros((n, _COLUMNS), dtype)
        x[following, np.arange(_COLUMNS)] = 1.0
    # Alternating signs of growing size catch what cancels in the climb.
    alternating = ((1 - 2 * (np.arange(n) % 2)) * (1.0 + np.arange(n) / (n - 1))).astype(dtype)
    last = np.abs(times(alternating[:, None].copy())).sum()
    # Unlike max, this hands on NaN.
    return float(np.maximum(best, 2.0 * last / (3.0 * n)))
