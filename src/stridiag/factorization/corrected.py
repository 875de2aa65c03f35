"""LU whose numbers have grown: each solution is corrected until its residual is what rounding explains.

With a growth of some ten a solution is as many units of rounding away from solving a problem close by. Refinement in
working precision mends that: r = b - A x, A d = r, and x + d has a backward error of about one unit as long as the
error of LU, times the condition number, is less than one (R. D. Skeel, Math. Comp. 35 (1980) 817-832).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.condition import KnowsRoughNorm
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.guard import Check, backward_errors, norms
from stridiag.factorization.inverse_entries import KnowsPattern
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["ACCURATE", "Corrected", "correct", "corrected_if_poor"]

Array = NDArray[Any]

ACCURATE = 4.0
"""Units of rounding that the backward error of a check may have if solutions are to be left as they are."""

# How often a solution is corrected.
_STEPS = 2


def corrected_if_poor(lu: Decomposition, matrix: csc_array[Any] | Array, check: Check) -> Decomposition:
    """Return a decomposition of `matrix` that a check has passed: itself, or corrected where its errors are larger."""
    # Accepts the good, so that NaN is corrected.
    return lu if check.error <= ACCURATE * float(np.finfo(matrix.dtype).eps) else Corrected(lu, matrix)


def correct(
    solve: Callable[[Array], Array],
    errors: Callable[[Array, Array], tuple[Array, Array]],
    b: Array,
    x: Array,
    enough: float,
) -> tuple[Array, Array]:
    """Correct the columns of `x`, solutions for those of `b`, whose errors are more than `enough`.

    Parameters
    ----------
    solve : callable
        From a block, which may be overwritten, to the solutions.
    errors : callable
        From right-hand sides and solutions to the residuals, (n, m), and the backward errors, (m,).
    b, x : ndarray, (n, m)
        Right-hand sides, and solutions, which are overwritten.
    enough : float
        No error above it is left that a correction makes smaller.

    Returns
    -------
    x, errors : ndarray, (n, m) and (m,)
        No correction is kept that makes an error larger.
    """
    r, error = errors(b, x)
    # Where x is not finite, no number is: nothing is corrected.
    poor = np.flatnonzero(error > enough)
    for _ in range(_STEPS):
        if not poor.size:
            break
        y = x[:, poor] + solve(np.ascontiguousarray(r[:, poor]))
        left, after = errors(b[:, poor], y)
        # What became no better is left alone.
        better = after < error[poor]
        kept = poor[better]
        x[:, kept], r[:, kept], error[kept] = y[:, better], left[:, better], after[better]
        poor = kept[error[kept] > enough]
    return x, error


class Corrected:
    """A decomposition whose solutions are corrected where their backward errors are more than a unit of rounding.

    Parameters
    ----------
    inner : Decomposition
    matrix : csc_array or ndarray, (n, n)
        What it is of, in its dtype.
    """

    def __init__(self, inner: Decomposition, matrix: csc_array[Any] | Array) -> None:
        self.inner = inner
        self.name = inner.name
        self._matrix = matrix
        self._norms = norms(matrix)
        self._enough = float(np.finfo(matrix.dtype).eps)

    @property
    def singularity(self) -> Singularity | None:
        """See `Decomposition`."""
        return self.inner.singularity

    @singularity.setter
    def singularity(self, found: Singularity | None) -> None:
        self.inner.singularity = found

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`; no correction is kept that makes an error larger."""
        x = self.inner.solve(b.copy(), adjoint=adjoint)
        solve, errors = partial(self.inner.solve, adjoint=adjoint), partial(self._errors, adjoint=adjoint)
        return correct(solve, errors, b, x, self._enough)[0]

    def _errors(self, b: Array, x: Array, *, adjoint: bool) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            return backward_errors(self._matrix, self._norms[adjoint], b, x, adjoint=adjoint)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        return self.inner.multiply(x)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        return self.inner.slogdet()

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`."""
        return self.inner.inverse_diagonal()

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        return self.inner.inverse_on_pattern(transpose=transpose) if isinstance(self.inner, KnowsPattern) else None

    def rough_norm(self) -> float | None:
        """See `stridiag.factorization.condition.KnowsRoughNorm`."""
        return self.inner.rough_norm() if isinstance(self.inner, KnowsRoughNorm) else None

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`."""
        return self.inner.factors()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy, and the values of the matrix."""
        values = self._matrix if isinstance(self._matrix, np.ndarray) else self._matrix.data
        return self.inner.nbytes + int(values.nbytes)
