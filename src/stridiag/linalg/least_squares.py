r"""Least squares: minimum norm, weighted, and damped.

.. math:: \min_x \; \sum_i w_i \lvert b_i - (A x)_i \rvert^2 + d^2 \lVert x \rVert^2

With d = 0 the solution of minimum norm is :math:`(W^{1/2} A)^+ W^{1/2} b`, with numpy's truncation. With d > 0 it is
unique: that of the stacked matrix :math:`(W^{1/2} A; d I)`, whose columns are independent, by one orthogonal
factorization and a step of refinement. No normal equations are formed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag._dtypes import double_type
from stridiag._validate import as_values, require_finite
from stridiag.errors import NonFiniteError, SizeLimitError
from stridiag.factorization.front_qr import FrontQR, front_layout
from stridiag.linalg._checks import in_precision_of, require_single
from stridiag.linalg.blocks import fits
from stridiag.linalg.direct import FACTOR_WORK
from stridiag.linalg.pseudoinverse import PseudoInverse
from stridiag.linalg.spectrum import examine
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["LstsqResult", "lstsq"]

Array = NDArray[Any]


class LstsqResult(NamedTuple):
    """What `lstsq` returns, in numpy's order."""

    x: Array
    residuals: Array
    rank: int
    singular_values: Array | None


def lstsq(
    a: StridiagMatrix,
    b: ArrayLike,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
    damp: float = 0.0,
    weights: ArrayLike | None = None,
) -> LstsqResult:
    r"""Least-squares solution: of minimum norm, or damped.

    Minimises :math:`\sum_i w_i |b_i - (A x)_i|^2 + \text{damp}^2 \|x\|^2`.

    Parameters
    ----------
    a : StridiagMatrix, (m, n)
    b : array_like, (m,) or (m, k)
    rtol, atol, rcond : float, optional
        As in `pinv`; only without `damp`, which leaves nothing to truncate.
    damp : float, default 0
        As in ``scipy.sparse.linalg.lsqr``: its square is the ridge penalty.
    weights : array_like, (m,), optional
        One for each row, 0 or more; 0 leaves the row out. Default: all 1. Tolerances refer to the matrix whose rows
        have been multiplied by their square roots.

    Returns
    -------
    LstsqResult
        ``x``, (n,) or (n, k); ``residuals``, (1,) or (k,), the (weighted) squared 2-norms of ``b - a x``; ``rank``;
        ``singular_values``, (min(m, n),), descending. As ``numpy.linalg.lstsq``, which also means that `residuals`
        is empty if m <= n or the rank is below n. With `damp` residuals are always given, without the penalty, and
        the rank is n, that of the stacked matrix. ``singular_values`` is None where they are not all known: with
        `damp`, and for matrices with a large connected block.

    Raises
    ------
    SizeLimitError, ConvergenceError, NonFiniteError, ValueError
        As `pinv`; ValueError also for negative or non-finite `damp` or weights, or `damp` together with a tolerance.

    Warns
    -----
    AmbiguousRankWarning
        As `pinv`.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> A = StridiagMatrix.from_diagonals({0: [1.0, 1.0], -1: [1.0, 1.0]}, shape=(3, 2))
    >>> x, residuals, rank, sigma = linalg.lstsq(A, [2.0, 3.0, 4.0])
    >>> print(x.round(6), residuals.round(6), rank)
    [1. 3.] [3.] 2
    >>> linalg.lstsq(A, [2.0, 3.0, 4.0], damp=1.0).x.round(6)
    array([1., 2.])
    >>> linalg.lstsq(A, [2.0, 3.0, 4.0], weights=[1.0, 1.0, 0.0]).x.round(6)
    array([2., 1.])
    """
    matrix = require_single(a, "lstsq")
    right = as_values(b, "b")
    m, n = matrix.structure.shape
    if right.ndim not in (1, 2) or right.shape[0] != m:
        raise ValueError(f"b must have shape ({m},) or ({m}, k), got {right.shape}")
    require_finite(right, "b")
    if not 0.0 <= damp < np.inf:
        raise ValueError(f"damp must be 0 or more and finite, got {damp}")
    if damp > 0.0 and (rtol is not None or rcond is not None or atol != 0.0):
        raise ValueError("damp leaves no singular value to truncate: give damp or a tolerance, not both")
    matrix = in_precision_of(matrix, right)
    kind = np.result_type(matrix.dtype, right.dtype)
    rows = m
    if weights is not None:
        root = _roots(weights, m)
        rows = int(np.count_nonzero(root))
        if damp == 0.0 and rtol is None and rcond is None:
            rtol = max(m, n) * float(np.finfo(matrix.dtype).eps)
        # In double precision, whatever the types: weights may exceed the range of single precision.
        require_finite(matrix.values, "the matrix's values")
        with np.errstate(over="ignore"):
            matrix = matrix.with_values(matrix.values * root[matrix.structure.coordinates()[0]])
            right = (right.T * root).T
        if not (np.isfinite(matrix.values).all() and np.isfinite(right).all()):
            raise NonFiniteError(
                "rows of the matrix or of b overflow when they are multiplied by the square roots of their weights: "
                f"divide the weights, the largest of which is {root.max() ** 2:.3g}, by a common factor"
            )
    if damp > 0.0:
        x = _damped(matrix, right, damp)
        rank, sigma = n, None
    else:
        spectrum = examine(matrix, rtol, atol, rcond, vectors=True)
        x = PseudoInverse(spectrum, matrix.dtype) @ right
        rank, sigma = spectrum.info.rank, spectrum.singular_values
    residuals = np.zeros(0, x.real.dtype)
    if damp > 0.0 or (rows > n and rank == n):
        difference = np.abs((right - matrix @ x).reshape(m, 1 if right.ndim == 1 else right.shape[1]))
        with np.errstate(over="ignore"):
            residuals = (difference * difference).sum(axis=0)
    with np.errstate(over="ignore"):
        real = np.zeros(0, kind).real.dtype
        singular_values = None if sigma is None else sigma.astype(real, copy=False)
        return LstsqResult(x.astype(kind, copy=False), residuals.astype(real, copy=False), rank, singular_values)


def _roots(weights: ArrayLike, m: int) -> Array:
    given = as_array(weights, "weights")
    if given.shape != (m,) or given.dtype.kind not in "biuf":
        raise ValueError(f"weights must be {m} real numbers, got dtype {given.dtype} and shape {given.shape}")
    require_finite(given, "weights")
    if not np.all(given >= 0):
        raise ValueError(f"weights must be 0 or more, got {given.min()}")
    return np.sqrt(given.astype(np.float64))


def _damped(matrix: StridiagMatrix, b: Array, damp: float) -> Array:
    from scipy.sparse import csr_array, eye_array, vstack

    require_finite(matrix.values, "the matrix's values")
    m, n = matrix.structure.shape
    kind = np.result_type(matrix.dtype, b.dtype)
    columns = b[:, None] if b.ndim == 1 else b
    double = double_type(kind)
    operand: Any = matrix.to_scipy()
    sparse: Any = csr_array(operand, dtype=double)
    sparse.eliminate_zeros()
    # Divided by a power of two, so that squares neither overflow nor vanish.
    exponent = math.frexp(max(float(np.abs(sparse.data).max(initial=0.0)), damp))[1]
    half = -(exponent // 2)
    for power in (half, -exponent - half):
        sparse.data *= math.ldexp(1.0, power)
        damp = math.ldexp(damp, power)
    stacked: Any = csr_array(vstack([sparse, damp * eye_array(n)], format="csr"), dtype=double)
    target = np.zeros((m + n, columns.shape[1]), double)
    target[:m] = columns
    solve = _solver(stacked)
    x = solve(target)
    x += solve(target - stacked @ x)
    for power in (half, -exponent - half):
        x *= math.ldexp(1.0, power)
    result: Array = (x[:, 0] if b.ndim == 1 else x).astype(kind)
    return result


def _solver(stacked: csr_array[Any]) -> Any:
    """Return the function that solves least-squares problems with a matrix of independent columns."""
    rows, n = stacked.shape
    try:
        layout = front_layout(stacked, FACTOR_WORK)
        factor = FrontQR.of(stacked, layout)
    except SizeLimitError as error:
        if not fits((rows, n)):
            raise SizeLimitError(f"the damped problem is too large: {error}") from error
        q, r = np.linalg.qr(stacked.toarray())
        return lambda b: np.linalg.solve(r, q.conj().T @ b)

    def solve(b: Array) -> Array:
        z = factor.solve_upper(factor.rotate(b)[:n])
        x = np.empty_like(z)
        x[layout.order] = z
        return x

    return solve
