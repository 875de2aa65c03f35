"""Norms and condition numbers, with the orders of ``numpy.linalg``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from stridiag._validate import check_option, require_finite
from stridiag.errors import ConvergenceError, IllConditionedWarning, SizeLimitError
from stridiag.factorization.scaled import times_power
from stridiag.linalg._checks import require_matrix
from stridiag.linalg.blocks import fits, split
from stridiag.linalg.direct import DirectBlock
from stridiag.linalg.extremes import counted_two_norm
from stridiag.structure import StridiagMatrix
from stridiag.structure.norms import column_sums

__all__ = ["DENSE_LIMIT", "cond", "norm"]

DENSE_LIMIT = 2048
"""Order up to which a full singular value decomposition is made."""

# For Lanczos iterations where counting costs too much: relative accuracy, and restarts times order.
_TOLERANCE = 1e-8
_WORK = 30_000_000

Order = Literal["fro", "nuc", 1, -1, 2, -2] | float | None
_ORDERS = (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)


def norm(a: StridiagMatrix, ord: Order = None) -> Any:
    r"""Matrix norm.

    Parameters
    ----------
    a : StridiagMatrix, (..., m, n)
    ord : {None, "fro", 1, -1, inf, -inf, 2, -2, "nuc"}
        As in ``numpy.linalg.norm``; None is the Frobenius norm.

    Returns
    -------
    float or ndarray
        Over the batch.

    Raises
    ------
    SizeLimitError
        For "nuc", which needs all singular values, if both sides exceed 2048; for -2 as `cond`.
    ConvergenceError
        For 2 and -2 of a matrix with so many links that its singular values cannot be counted, if Lanczos iterations
        do not settle.

    Notes
    -----
    O(nnz) except for 2, -2 and "nuc". These take a dense singular value decomposition of up to 2048 x 2048
    positions ("nuc": a smaller side of 2048). Beyond that 2 and -2 are enclosed by counting singular values, as for
    `cond`.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> A = StridiagMatrix.from_diagonals({0: [3.0, 4.0], 1: [-2.0]})
    >>> float(linalg.norm(A, 1)), float(linalg.norm(A, float("inf")))
    (6.0, 5.0)
    """
    matrix = require_matrix(a)
    check_option(ord, "ord", _ORDERS)
    if ord in (2, -2, "nuc"):
        results = [_spectral_norm(member, ord) for member in matrix.members]
        return np.array(results, _real(matrix)).reshape(matrix.batch_shape)[()]
    if ord in (None, "fro"):
        size = np.abs(matrix.values)
        largest = size.max(axis=-1, keepdims=True, initial=0.0)
        scale = np.where(np.isfinite(largest) & (largest > 0.0), largest, 1.0)
        scaled = size / scale
        return scale[..., 0] * np.sqrt((scaled * scaled).sum(axis=-1))
    sums = column_sums(matrix if ord in (1, -1) else matrix.T)
    if sums.shape[-1] == 0:
        raise ValueError(f"a matrix without entries has no norm of order {ord}, got shape {matrix.shape}")
    return sums.max(axis=-1) if ord in (1, np.inf) else sums.min(axis=-1)


def cond(a: StridiagMatrix, p: Order = None) -> Any:
    r"""Condition number :math:`\|A\|_p \|A^{-1}\|_p`.

    Parameters
    ----------
    a : StridiagMatrix, (..., m, n)
        Square, except for p = None, 2 and -2.
    p : {None, 1, inf, 2, -2, "fro", "nuc", -1, -inf}
        As in ``numpy.linalg.cond``; None means 2.

    Returns
    -------
    float or ndarray
        Infinite for singular matrices, as numpy.

    Raises
    ------
    SizeLimitError
        Where a dense decomposition is needed and the order exceeds 2048; for None, 2 and -2 only if a rectangular
        matrix has so many links that its singular values cannot be counted, or if its small connected blocks have
        more than 2^27 positions together.
    ConvergenceError
        As `norm`, for None, 2 and -2.

    Notes
    -----
    For 1 and inf chains without links have exact values, in O(n); otherwise the norm of the inverse is *estimated* from
    a few solves (Higham and Tisseur 2000): a lower bound, rarely off by more than a factor of three.
    `Factor.cond_is_exact` tells which.

    For None, 2 and -2: dense singular values of up to 2048 x 2048 positions; beyond that, connected block by block,
    the smallest and the largest are enclosed by counting how many lie below a bound, in linear time if links are few.
    Both are those of a matrix within rounding errors, to a relative 1e-12: the relative error of a condition number is
    a small multiple of eps times itself, as numpy's. It is infinite if the smallest singular value of a block is at
    most 4 eps times its largest one. Where one count takes more than 2^31 operations, Lanczos iterations with the
    matrix and with its factor give both to a relative 1e-6. All other orders form the dense inverse.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> float(linalg.cond(StridiagMatrix.from_diagonals({0: [1.0, 10.0, 1000.0]})))
    1000.0
    """
    matrix = require_matrix(a)
    check_option(p, "p", _ORDERS)
    if 0 in matrix.structure.shape:
        raise ValueError(f"an empty matrix has no condition number, got shape {matrix.shape}")
    if p in (1, np.inf):
        return matrix.factor().cond(1 if p == 1 else np.inf)
    require_finite(matrix.values, "the matrix's values")
    results = [_cond_single(member, p) for member in matrix.members]
    return np.array(results, _real(matrix)).reshape(matrix.batch_shape)[()]


def _cond_single(matrix: StridiagMatrix, p: Order) -> float:
    if p in (None, 2, -2):
        if fits(matrix.structure.shape):
            sigma = np.linalg.svd(matrix.toarray(), compute_uv=False)
            largest, smallest = float(sigma[0]), float(sigma[-1])
        else:
            largest, smallest = _extreme_singular_values(matrix)
        # The condition number of a zero matrix is infinite in every order, as in numpy.
        if largest == 0.0:
            return np.inf
        ratio = largest / smallest if smallest > 0.0 else np.inf
        return 1.0 / ratio if p == -2 else ratio
    if max(matrix.structure.shape) > DENSE_LIMIT:
        raise SizeLimitError(
            f"cond of order {p!r} needs the dense inverse, which is made up to order {DENSE_LIMIT}, got "
            f"{matrix.structure.shape}; orders 1, inf and 2 have no such limit"
        )
    # A power of two changes no digit, and keeps the inverse, and squares of its entries, in the range of the type.
    _, power = math.frexp(float(np.abs(matrix.values).max(initial=0.0)))
    matrix = matrix.with_values(times_power(matrix.values, -power), copy=False)
    factor = matrix.factor()
    if factor.singular:
        return float("inf")
    with _quietly():
        inverse = factor.solve(np.eye(matrix.structure.shape[0]))
        return float(norm(matrix, p)) * float(np.linalg.norm(inverse, p))


def _spectral_norm(matrix: StridiagMatrix, ord: Order) -> float:
    require_finite(matrix.values, "the matrix's values")
    shape = matrix.structure.shape
    if ord == "nuc":
        if min(shape) > DENSE_LIMIT:
            raise SizeLimitError(
                f"norm of order 'nuc' needs all singular values, which are found up to a smaller side of "
                f"{DENSE_LIMIT}, got {shape}"
            )
    elif not fits(shape):
        if ord == 2:
            counted = counted_two_norm(matrix)
            return _largest_singular_value(matrix, "the 2-norm") if counted is None else counted
        return _extreme_singular_values(matrix)[1]
    dense = matrix.toarray()
    return float(np.linalg.norm(dense, ord)) if dense.size else 0.0


def _largest_singular_value(operator: Any, what: str) -> float:
    from scipy.sparse.linalg import ArpackNoConvergence, svds

    n = min(operator.shape)
    start = np.random.default_rng(0).standard_normal(n)
    restarts = max(20, _WORK // n)
    try:
        sigma = svds(operator, k=1, v0=start, tol=_TOLERANCE, maxiter=restarts, return_singular_vectors=False)
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            f"{what} by Lanczos iterations has not converged to {_TOLERANCE:.0e} after {restarts} restarts: the "
            "largest singular values lie too close together, and links are too many to count them. Orders 1, inf and "
            "'fro' need no iteration; sqrt(norm(a, 1) * norm(a, inf)) bounds the 2-norm from above"
        ) from error
    return float(sigma[0])


def _extreme_singular_values(matrix: StridiagMatrix) -> tuple[float, float]:
    """Return the largest and the smallest of the min(m, n) singular values; the latter as zero if it may be."""
    stacks, alone = split(matrix)
    sigma = [np.linalg.svd(stack.entries, compute_uv=False) for stack in stacks if 0 not in stack.entries.shape]
    blocks = [DirectBlock(block.rows, block.columns, block.entries) for block in alone]
    if not all(block.countable for block in blocks):
        return _by_lanczos(matrix)
    largest = max([float(part.max()) for part in sigma] + [block.sigma_max for block in blocks], default=0.0)
    found = sum(part.size for part in sigma) + sum(min(block.shape) for block in blocks)
    if found < min(matrix.structure.shape):
        return largest, 0.0
    return largest, min([float(part.min()) for part in sigma] + [block.sigma_min() for block in blocks])


def _by_lanczos(matrix: StridiagMatrix) -> tuple[float, float]:
    from scipy.sparse.linalg import LinearOperator

    if not matrix.structure.is_square:
        raise SizeLimitError(
            "counting the singular values of this rectangular matrix would take too many operations, and its shape "
            f"{matrix.structure.shape} exceeds 2048 x 2048 positions, up to which they are found densely; rank_info "
            "estimates the smallest one above a cutoff"
        )
    factor = matrix.factor()
    largest = _largest_singular_value(matrix, "the 2-norm")
    if factor.singular:
        return largest, 0.0
    n = matrix.structure.shape[0]
    inverse = LinearOperator(
        (n, n), matvec=factor.solve, rmatvec=lambda x: factor.solve(x, trans="H"), dtype=matrix.dtype
    )
    with _quietly():
        return largest, 1.0 / _largest_singular_value(inverse, "the 2-norm of the inverse")


@contextmanager
def _quietly() -> Iterator[None]:
    """Whoever asks for a condition number need not be warned that it is large."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        yield


def _real(matrix: StridiagMatrix) -> np.dtype[Any]:
    return np.empty(0, matrix.dtype).real.dtype
