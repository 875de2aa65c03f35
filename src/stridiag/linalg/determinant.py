"""Determinants: `slogdet` is the one that never overflows, `det` derives from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag.factorization import SlogdetResult, slogdet_without_factor
from stridiag.linalg._checks import Assumption, factor_assuming, require_matrix
from stridiag.structure import StridiagMatrix

__all__ = ["det", "slogdet"]


def slogdet(a: StridiagMatrix, *, assume_a: Assumption = "gen") -> SlogdetResult:
    r"""Compute sign and logarithm of the magnitude of the determinant.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    assume_a : {"gen", "pos"}, default "gen"
        As in `solve`.

    Returns
    -------
    SlogdetResult
        ``sign`` (a phase for complex matrices) and ``logabsdet``, numbers, or arrays over the batch, such that
        ``det = sign * exp(logabsdet)``. A singular matrix gives ``(0, -inf)``, order 0 gives ``(1, 0)``.

    Raises
    ------
    StructureError
        If the matrix is not square.
    NonFiniteError
        If it holds NaN or infinity.
    NotHermitianError, NotPositiveDefiniteError
        With ``assume_a="pos"``, if the matrix is not what was promised.

    Notes
    -----
    Cost: that of a factorization, and ``plan(a.structure).operations.slogdet``; for real chains without links no factor
    is made, and about 9 operations a row take the place of both. See docs/theory/chains.md. As
    ``numpy.linalg.slogdet``.

    What is singular but for rounding may have a tiny determinant here, where no factor is made, while a factor meets a
    pivot of exactly zero: `Factor.slogdet` agrees with `Factor.singular` and with what `Factor.solve` raises.

    Examples
    --------
    The determinant of the second difference of order n is (-1)^n (n + 1):

    >>> import stridiag
    >>> from stridiag import linalg
    >>> A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: -2.0, 1: 1.0}, shape=100_001)
    >>> sign, logabsdet = linalg.slogdet(A)
    >>> print(sign, round(float(logabsdet), 6))
    -1.0 11.512945
    """
    matrix = require_matrix(a)
    found = slogdet_without_factor(matrix) if assume_a == "gen" else None
    return factor_assuming(matrix, assume_a).slogdet() if found is None else found


def det(a: StridiagMatrix, *, assume_a: Assumption = "gen") -> Any:
    """Compute the determinant; it overflows and underflows where the number itself does: see `slogdet`.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    assume_a : {"gen", "pos"}, default "gen"
        As in `solve`.

    Returns
    -------
    scalar or ndarray
        Over the batch, of the matrix's dtype; 0 for a singular matrix.

    Raises
    ------
    StructureError, NonFiniteError
        As `slogdet`.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> float(round(linalg.det(StridiagMatrix.from_diagonals({0: [2, 3], 1: [5], -1: [1]})), 12))
    1.0
    """
    sign, logabsdet = slogdet(a, assume_a=assume_a)
    with np.errstate(over="ignore", under="ignore"):
        return (sign * np.exp(logabsdet)).astype(a.dtype)
