r"""When an elimination may be believed.

Partial pivoting keeps the backward error small only as long as the numbers do not grow, and they grow on
ordinary matrices. On the chain with diagonals -0.9, 0.99 and 1, n = 333, one link of 2 at (320, 0) and a
condition number of 5, LAPACK's LU has a backward error of 0.3. So LU is asked for two solutions, of A x = b
and of :math:`A^H x = b`, and believed if the backward error of each,

.. math:: \frac{\|b - A x\|_\infty}{\|A\|_\infty \|x\|_\infty + \|b\|_\infty},

is what rounding explains. That holds for nearly singular matrices too: their solutions are large, but solve a
problem close by. Otherwise the matrix is factored again, in the end by rotations or reflections, which are
backward stable without a condition and need no guard.

**Singular or not?** A pivot of LU that is exactly zero proves nothing: growth or underflow may have made it.
The orthogonal factor R decides:

1. a diagonal entry of R is exactly zero, or missing: singular;
2. the two solutions show a condition number of 1 / (n eps) or more: R cannot tell A from a singular matrix,
   and the zero that LU found is taken at its word. This is how integer matrices, on which elimination is
   often exact, are called singular when they are;
3. otherwise LU was wrong, and R is used.

The diagonal of R by itself would not do for the second: without pivoting its smallest entry can be far larger
than the smallest singular value. (Of 4,637 singular matrices of small integers on which R had no exact zero,
it exceeded n eps times the largest on 2 per cent, by up to 150 times; the solutions found all of them, with a
factor 5 to spare.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import compressed_check
from stridiag.factorization.decomposition import Decomposition

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["Check", "backward_errors", "check_solves", "norms", "random_vector"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Check:
    """What two solves with a random right-hand side have shown.

    Attributes
    ----------
    error : float
        The larger of the two backward errors; NaN or infinite if a solution was not finite.
    growth : float
        The larger of the two ||A|| ||x|| / ||b||: a lower bound of the condition number.
    tolerance : float
        What rounding explains.
    singular_growth : float
        Condition number from which on the matrix cannot be told from a singular one: 1 / (n eps).
    column : int
        Where the solution of A x = b is largest. If the matrix is nearly singular, x is nearly a null vector,
        and so this column depends on the others.
    """

    error: float
    growth: float
    tolerance: float
    singular_growth: float
    column: int
    adjoint_size: float = math.nan
    """Largest magnitude of the solution with the adjoint, of a right-hand side of numbers between 0.5 and 1."""

    @property
    def passed(self) -> bool:
        """Whether the factorization may be used."""
        return self.error <= self.tolerance

    @property
    def nearly_singular(self) -> bool:
        """Whether the solutions are as large as those of a singular matrix."""
        return not self.growth < self.singular_growth


def check_solves(decomposition: Decomposition, matrix: Array | csc_array[Any]) -> Check:
    """Solve with `matrix` and with its adjoint, and measure the backward errors.

    Parameters
    ----------
    decomposition : Decomposition
        Of `matrix`, in its dtype.
    matrix : ndarray or csc_array, (n, n)

    Returns
    -------
    Check
    """
    n = matrix.shape[0]
    eps = float(np.finfo(matrix.dtype).eps)
    # The errors of a solve, and those of forming b - A x, are a few eps relative to |A| |x|; they add up at
    # random over the terms of a row, of which there are at most n. Where growth spoils a factor the errors
    # are orders of magnitude larger, and a random b has a part in every direction in which they show.
    tolerance = 10.0 * eps * max(n, 1) ** 0.5
    singular_growth = 1.0 / (max(n, 1) * eps)
    if n == 0:
        return Check(0.0, 0.0, tolerance, singular_growth, 0)
    with np.errstate(all="ignore"):
        row_norm, column_norm = norms(matrix)
        error, growth, column, _ = _solve_once(decomposition, matrix, row_norm, adjoint=False)
        adjoint_error, adjoint_growth, _, size = _solve_once(decomposition, matrix, column_norm, adjoint=True)
    # np.maximum, unlike max, lets NaN through.
    worst = float(np.maximum(error, adjoint_error))
    return Check(worst, float(np.maximum(growth, adjoint_growth)), tolerance, singular_growth, column, size)


def _solve_once(
    decomposition: Decomposition, matrix: Array | csc_array[Any], norm: np.float64, *, adjoint: bool
) -> tuple[float, float, int, float]:
    """Return the backward error, ||A|| ||x|| / ||b||, where x is largest, and how large for numbers up to one."""
    # b is as small as A is, so that x is about as large as the condition number; but no larger than one, so
    # that a matrix graded from 1e300 to 1e-300 does not overflow either. A power of two changes nothing else.
    # A zero or non-finite norm leaves b as it is, and the checks below see what comes of it.
    scale = 2.0 ** min(0, int(np.frexp(norm)[1]))
    b = random_vector(matrix.shape[0], matrix.dtype.char) * matrix.dtype.type(scale)
    x = decomposition.solve(b[:, None].copy(), adjoint=adjoint)[:, 0]
    # Divided by the norm of A first: its product with the norm of x may overflow.
    residual = _residual(matrix, x, b, adjoint=adjoint) / norm
    sizes = np.abs(x)
    largest = int(sizes.argmax())
    size = np.float64(sizes[largest])
    right = np.abs(b).max() / norm
    error = residual / (size + right) if np.isfinite(size) else np.inf
    return float(error), float(size / right), largest, float(size / scale)


def _residual(matrix: Array | csc_array[Any], x: Array, b: Array, *, adjoint: bool) -> np.float64:
    """Return the largest magnitude of what the solution leaves of the right-hand side."""
    if isinstance(matrix, np.ndarray):
        product = (matrix.T @ x.conj()).conj() if adjoint else matrix @ x
        return np.float64(np.abs(b - product).max())
    parts = (matrix.indptr, matrix.indices, matrix.data)
    return np.float64(compressed_check.largest_residual(*parts, x, b, adjoint, np.empty_like(b)))


def backward_errors(matrix: Any, norm: float, b: Array, x: Array, *, adjoint: bool) -> tuple[Array, Array]:
    """Return the residuals of solutions `x`, (n, m), of systems with `matrix` or its adjoint, and their errors, (m,).

    `matrix` is anything that knows its transpose and multiplies columns; `norm` is that of it or its adjoint.
    """
    r = b - ((matrix.T @ x.conj()).conj() if adjoint else matrix @ x)
    size = np.abs(r).max(axis=0, initial=0.0) / norm
    # Divided by the norm of A first: its product with the norm of x may overflow.
    scale = np.abs(x).max(axis=0, initial=0.0) + np.abs(b).max(axis=0, initial=0.0) / norm
    return r, np.where(size == 0.0, 0.0, size / scale)


def norms(matrix: Array | csc_array[Any]) -> tuple[np.float64, np.float64]:
    """Return the largest absolute row sum and column sum."""
    if isinstance(matrix, np.ndarray):
        size = np.abs(matrix)
        return np.float64(size.sum(axis=1).max()), np.float64(size.sum(axis=0).max())
    work = np.empty(matrix.shape[0])
    row, column = compressed_check.norms(matrix.indptr, matrix.indices, matrix.data, work)
    return np.float64(row), np.float64(column)


@lru_cache(maxsize=8)
def random_vector(n: int, dtype: str) -> Array:
    """Return a fixed vector of numbers between 0.5 and 1 with random signs; complex ones turned at random."""
    rng = np.random.default_rng(20220703)
    vector = rng.uniform(0.5, 1.0, n) * rng.choice([-1.0, 1.0], n)
    turned = vector * np.exp(2j * np.pi * rng.random(n)) if dtype in "FD" else vector
    result: Array = turned.astype(dtype)
    result.flags.writeable = False
    return result
