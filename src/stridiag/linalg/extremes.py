r"""Single singular values of a large sparse matrix: the largest one, and those on either side of a bound.

Golub-Kahan-Lanczos bidiagonalization approaches the largest singular value from below. Where the largest ones lie
close together, as those of a long chain of constant coefficients do, it takes very many steps; then the value is
enclosed by counting (`stridiag.factorization.counting`) between what Lanczos has reached and
:math:`\sqrt{\|A\|_1 \|A\|_\infty}`. Counting also encloses the neighbours of a cutoff.

Reference: G. H. Golub and W. Kahan, Calculating the singular values and pseudo-inverse of a matrix, SIAM J. Numer.
Anal. 2 (1965) 205-224.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag.factorization.counting import SingularValueCounter

Array = NDArray[Any]

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from stridiag.structure import StridiagMatrix

__all__ = ["ACCURACY", "COUNT_WORK", "counted_two_norm", "enclose", "largest_singular_value", "times_power", "two_norm"]

ACCURACY = 1e-12
"""Relative width to which the largest singular value is enclosed."""

COUNT_WORK = 1 << 31
"""Operations that one count may take."""

_STEPS = 40
# Without counting nothing else is at hand, so it may take longer.
_MANY_STEPS = 400


def two_norm(matrix: StridiagMatrix, *, work_limit: int = COUNT_WORK) -> float:
    """Return the largest singular value of a single matrix, of any size.

    To a relative 1e-12 if a count of its singular values takes at most `work_limit` operations, otherwise what 400
    Lanczos steps give, a lower bound.

    Examples
    --------
    >>> from stridiag import StridiagMatrix
    >>> A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=5000)
    >>> bool(abs(two_norm(A) / (2.0 + 2.0 * math.cos(math.pi / 5001)) - 1.0) < 1e-11)
    True
    """
    sparse, exponent = _scaled(matrix)
    if sparse.nnz == 0:
        return 0.0
    return times_power(largest_singular_value(sparse, SingularValueCounter(sparse, work_limit)), exponent)


def counted_two_norm(matrix: StridiagMatrix, work_limit: int = COUNT_WORK) -> float | None:
    """Return the largest singular value to a relative 1e-12, or None where a count would exceed the limit."""
    sparse, exponent = _scaled(matrix)
    if sparse.nnz == 0:
        return 0.0
    counter = SingularValueCounter(sparse, work_limit)
    return times_power(largest_singular_value(sparse, counter), exponent) if counter.affordable else None


def _scaled(matrix: StridiagMatrix) -> tuple[Any, int]:
    """Return the nonzero entries in double precision, below one, and the power of two that was taken out."""
    from scipy.sparse import csr_array

    operand: Any = matrix.to_scipy()
    sparse: Any = csr_array(operand)
    sparse = sparse.astype(double_type(matrix.dtype))
    sparse.eliminate_zeros()
    exponent = math.frexp(float(np.abs(sparse.data).max(initial=0.0)))[1]
    half = -(exponent // 2)
    for power in (half, -exponent - half):
        sparse.data *= math.ldexp(1.0, power)
    return sparse, exponent


def times_power(value: float, exponent: int) -> float:
    """Return ``value * 2**exponent``, infinite beyond the range of double precision."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf


def largest_singular_value(matrix: csr_array[Any], counter: SingularValueCounter) -> float:
    """Return the largest singular value of a matrix that is not zero, numbers of moderate size."""
    low, settled = _lanczos(matrix, _STEPS if counter.affordable else _MANY_STEPS)
    if not counter.affordable:
        return low
    side = min(matrix.shape)
    # A Ritz value never exceeds the norm but for rounding, and if it has settled it may have done so on a lower one.
    if settled and counter.below(low * (1.0 + ACCURACY)) == side:
        return low
    size = abs(matrix)
    high = math.sqrt(float(size.sum(axis=0).max()) * float(size.sum(axis=1).max())) * (1.0 + 1e-10)
    step = 1e-3
    while low * (1.0 + step) < high and counter.below(low * (1.0 + step)) < side:
        step *= 8.0
    return enclose(counter, side - 1, low * (1.0 - 1e-10), min(high, low * (1.0 + step)), ACCURACY)


def enclose(counter: SingularValueCounter, index: int, low: float, high: float, width: float) -> float:
    """Return the singular value with that many below it, to a relative width, given bounds on both sides."""
    while high > low * (1.0 + width):
        middle = math.sqrt(low) * math.sqrt(high)
        if not low < middle < high:
            break
        if counter.below(middle) > index:
            high = middle
        else:
            low = middle
    return high


def _lanczos(matrix: csr_array[Any], steps: int) -> tuple[float, bool]:
    """Return the largest Ritz value, and whether its residual is below the accuracy asked for."""
    adjoint = matrix.conj().T.tocsr()
    rng = np.random.default_rng(0)
    right = rng.standard_normal(matrix.shape[1]).astype(matrix.dtype)
    right /= _length(right)
    left = np.zeros(matrix.shape[0], matrix.dtype)
    beta = 0.0
    alphas: list[float] = []
    betas: list[float] = []
    value = 0.0
    for step in range(min(steps, *matrix.shape)):
        left = matrix @ right - beta * left
        alpha = _length(left)
        if alpha == 0.0:
            break
        left /= alpha
        right = adjoint @ left - alpha * right
        beta = _length(right)
        alphas.append(alpha)
        if step % 10 == 9 or step + 1 == min(steps, *matrix.shape) or beta == 0.0:
            bidiagonal = np.diag(alphas) + np.diag(betas, 1)
            outer, sigma, _ = np.linalg.svd(bidiagonal)
            value = float(sigma[0])
            # The residual is beta times the last component of the left vector; the value errs by its square.
            if (beta * abs(outer[-1, 0])) ** 2 <= 0.1 * ACCURACY * value * value:
                return value, True
        if beta == 0.0:
            break
        right /= beta
        betas.append(beta)
    if alphas and value == 0.0:
        value = float(np.linalg.svd(np.diag(alphas) + np.diag(betas[: len(alphas) - 1], 1), compute_uv=False)[0])
    return value, False


def _length(x: Array) -> float:
    size = np.abs(x)
    return math.sqrt(float((size * size).sum()))
