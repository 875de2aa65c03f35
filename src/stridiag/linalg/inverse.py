"""Solving and inverting."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_values
from stridiag.errors import SingularMatrixError
from stridiag.factorization import Factor, SolveResult, Transposition
from stridiag.linalg._checks import Assumption, factor_assuming, in_precision_of, require_matrix
from stridiag.structure import StridiagMatrix

__all__ = ["inv", "solve"]


@overload
def solve(
    a: StridiagMatrix,
    b: ArrayLike,
    *,
    trans: Transposition = "N",
    refine: bool = False,
    return_bounds: Literal[False] = False,
    check_finite: bool = True,
    assume_a: Assumption = "gen",
) -> NDArray[Any]: ...


@overload
def solve(
    a: StridiagMatrix,
    b: ArrayLike,
    *,
    trans: Transposition = "N",
    refine: bool = False,
    return_bounds: Literal[True],
    check_finite: bool = True,
    assume_a: Assumption = "gen",
) -> SolveResult: ...


def solve(
    a: StridiagMatrix,
    b: ArrayLike,
    *,
    trans: Transposition = "N",
    refine: bool = False,
    return_bounds: bool = False,
    check_finite: bool = True,
    assume_a: Assumption = "gen",
) -> NDArray[Any] | SolveResult:
    """Solve ``a x = b``, or with the transpose or the conjugate transpose of `a`.

    To solve with one matrix many times, keep ``a.factor()``.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    b : array_like, (n,) or (..., n, m)
        One vector if one-dimensional, else columns; as ``numpy.linalg.solve``.
    trans : {"N", "T", "H"}
        Solve with the matrix, its transpose, or its conjugate transpose.
    refine : bool, default False
        Correct the solution with residuals of twice its precision, until it is correct to working precision or nothing
        is gained.
    return_bounds : bool, default False
        Return bounds of the errors of each solution too.
    check_finite : bool, default True
        Whether to look for NaN and infinity in `a` and `b`. Without, they make results that mean nothing, or a
        `SingularMatrixError`; the libraries behind some methods may even not return.
    assume_a : {"gen", "pos"}, default "gen"
        As in ``scipy.linalg.solve``: ``"pos"`` promises a Hermitian positive definite matrix, and takes Cholesky's
        method. The promise is checked, at no more cost than reading the values.

    Returns
    -------
    ndarray or SolveResult
        Of the shape of `b`, with the batch axes broadcast; computed in the higher precision of the two. With bounds a
        named tuple ``(x, backward_error, forward_error, steps)``, see `Factor.solve`.

    Raises
    ------
    SingularMatrixError
        If `a`, or a member of the batch, has an exactly zero pivot.
    StructureError
        If `a` is not square.
    NonFiniteError
        If a number is NaN or infinite.
    ValueError
        If shapes do not fit.
    NotHermitianError, NotPositiveDefiniteError
        With ``assume_a="pos"``, if the matrix is not what was promised.

    Warns
    -----
    IllConditionedWarning
        If the reciprocal condition number is below eps.

    Examples
    --------
    A periodic system is a chain with two links:

    >>> from stridiag import StridiagMatrix, linalg
    >>> A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 3.0, 1: -1.0}, ([0, 4], [4, 0], [-1.0, -1.0]), shape=5)
    >>> linalg.solve(A, [1.0, 2.0, 3.0, 4.0, 5.0])
    array([2.36363636, 2.45454545, 3.        , 3.54545455, 3.63636364])
    """
    right = as_values(b, "b")
    factor = factor_assuming(in_precision_of(require_matrix(a), right), assume_a, check_finite=check_finite)
    _require_all_regular(factor)
    if return_bounds:
        return factor.solve(right, trans=trans, refine=refine, return_bounds=True, check_finite=check_finite)
    return factor.solve(right, trans=trans, refine=refine, check_finite=check_finite)


def inv(a: StridiagMatrix, *, assume_a: Assumption = "gen") -> NDArray[Any]:
    """Inverse, as a dense array.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    assume_a : {"gen", "pos"}, default "gen"
        As in `solve`.

    Returns
    -------
    ndarray, (..., n, n)
        n squared numbers: where products with the inverse are all that is needed, keep ``a.factor()``.

    Raises
    ------
    SingularMatrixError, StructureError, NonFiniteError
        As `solve`; `pinv` answers for singular matrices.

    Warns
    -----
    IllConditionedWarning
        As `solve`.

    Notes
    -----
    Each column solves ``a x = e_j`` with a backward stable factor. Cost: one factorization and n right-hand
    sides.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> linalg.inv(StridiagMatrix.from_diagonals({0: [1.0, 1.0, 1.0], 1: [2.0, 2.0]}))
    array([[ 1., -2.,  4.],
           [ 0.,  1., -2.],
           [ 0.,  0.,  1.]])
    """
    factor = factor_assuming(require_matrix(a), assume_a)
    _require_all_regular(factor)
    return factor.solve(np.eye(a.structure.shape[0], dtype=a.dtype))


def _require_all_regular(factor: Factor) -> None:
    """Raise as numpy does if any member of a batch is singular; `Factor.solve` speaks for single matrices."""
    singular = np.flatnonzero(np.atleast_1d(factor.singular))
    if factor.matrix.batch_shape and singular.size:
        first = tuple(int(k) for k in np.unravel_index(singular[0], factor.matrix.batch_shape))
        raise SingularMatrixError(
            f"{singular.size} of {factor.singular.size} matrices are singular, the first at {first}; "
            "A.factor().solve(b) solves for the others and gives NaN for these"
        )
