"""Solving and inverting."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import is_array
from stridiag._validate import as_values
from stridiag.errors import SingularMatrixError
from stridiag.factorization import Factor, SolveResult, Transposition, solve_without_factor
from stridiag.linalg._checks import Assumption, factor_assuming, in_precision_of, require_matrix
from stridiag.structure import StridiagMatrix

__all__ = ["InverseOperator", "inv", "inv_operator", "solve"]

Array = NDArray[Any]


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
    # What holds the same numbers in another form goes the same way, and has the same solution, bit by bit.
    if type(b) is np.ndarray and b.flags.c_contiguous:
        right: Array = b
    else:
        right = np.asarray(as_values(b, "b"), order="C")
    # A short way for what is short, whose results agree with those of the long one.
    if trans == "N" and assume_a == "gen" and check_finite and not (refine or return_bounds):
        short = solve_without_factor(require_matrix(a), right)
        if short is not None:
            return short
    right = as_values(right, "b")
    factor = factor_assuming(in_precision_of(require_matrix(a), right), assume_a, check_finite=check_finite)
    if factor.matrix.batch_shape:
        return factor._solve(
            right,
            trans,
            refine=refine,
            return_bounds=return_bounds,
            check_finite=check_finite,
            require=partial(_require_all_regular, factor),
        )
    if return_bounds:
        return factor.solve(right, trans=trans, refine=refine, return_bounds=True, check_finite=check_finite)
    return factor.solve(right, trans=trans, refine=refine, check_finite=check_finite)


def inv(a: StridiagMatrix, *, assume_a: Assumption = "gen", out: Array | None = None) -> Array:
    """Inverse, as a dense array.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    assume_a : {"gen", "pos"}, default "gen"
        As in `solve`.
    out : ndarray, (..., n, n), optional
        Where to put it, and what is returned: of the dtype of `a`, writeable, each matrix C- or F-contiguous. Memory
        that is at hand already takes a fraction of the time of fresh memory.

    Returns
    -------
    ndarray, (..., n, n)
        n squared numbers: where products with the inverse are all that is needed, take `inv_operator`.

    Raises
    ------
    SingularMatrixError, StructureError, NonFiniteError
        As `solve`; `out` is then left as it was. `pinv` answers for singular matrices.
    TypeError, ValueError
        If `out` cannot take the result.

    Warns
    -----
    IllConditionedWarning
        As `solve`.

    Notes
    -----
    Chains without links: products of continuants, one multiplication an entry, accurate entry by entry
    (docs/theory/inverse.md). Otherwise each column solves ``a x = e_j`` with a backward stable factor. The cost is
    ``a.factor().plan.operations.inverse``.

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
    return factor.inverse(out)


def inv_operator(a: StridiagMatrix, *, assume_a: Assumption = "gen") -> InverseOperator:
    """Inverse, as an operator that solves: nothing of the order n squared is formed.

    Parameters
    ----------
    a : StridiagMatrix, (..., n, n)
    assume_a : {"gen", "pos"}, default "gen"
        As in `solve`.

    Returns
    -------
    InverseOperator

    Raises
    ------
    SingularMatrixError, StructureError, NonFiniteError
        As `solve`.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag import linalg
    >>> A = stridiag.random(1000, offsets=(-3, 0, 3), links=5, rng=0, dominant=True)
    >>> Z = linalg.inv_operator(A)
    >>> x = np.ones(1000)
    >>> bool(np.allclose(Z @ (A @ x), x)), bool(np.allclose(Z.T @ (A.T @ x), x))
    (True, True)
    >>> Z
    InverseOperator(1000 x 1000, float64)
    """
    factor = factor_assuming(require_matrix(a), assume_a)
    _require_all_regular(factor)
    if factor.singular is True:
        # Raises what every use of the operator would raise.
        factor.inverse_entries([], [])
    return InverseOperator(factor)


class InverseOperator:
    """The inverse of a matrix, by its factor; made by `inv_operator`. Immutable.

    It works wherever scipy takes a linear operator: it has ``shape``, ``dtype``, ``matvec``, ``rmatvec``, ``matmat``,
    ``rmatmat``.

    Attributes
    ----------
    factor : Factor
        Of the matrix itself.
    """

    __slots__ = ("_conjugated", "_transposed", "factor")
    # ndarray @ operator comes to __rmatmul__ instead of being taken apart element by element.
    __array_ufunc__ = None

    factor: Factor
    _transposed: bool
    _conjugated: bool

    def __init__(self, factor: Factor, *, transposed: bool = False, conjugated: bool = False) -> None:
        write = object.__setattr__
        write(self, "factor", factor)
        write(self, "_transposed", transposed)
        # Of a real matrix there is nothing to conjugate.
        write(self, "_conjugated", conjugated and factor.dtype.kind == "c")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an InverseOperator is frozen: cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _operator, (self.factor, self._transposed, self._conjugated)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, n)``, after the axes of the batch if there is one."""
        return self.factor.shape

    @property
    def ndim(self) -> int:
        """Number of axes: 2 for a single matrix."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the matrix's values."""
        return self.factor.dtype

    @property
    def T(self) -> InverseOperator:
        """The transpose."""
        return InverseOperator(self.factor, transposed=not self._transposed, conjugated=self._conjugated)

    @property
    def H(self) -> InverseOperator:
        """The conjugate transpose."""
        return InverseOperator(self.factor, transposed=not self._transposed, conjugated=not self._conjugated)

    def conj(self) -> InverseOperator:
        """Return the complex conjugate."""
        return InverseOperator(self.factor, transposed=self._transposed, conjugated=not self._conjugated)

    def __repr__(self) -> str:
        size = " x ".join(str(k) for k in self.shape[-2:])
        batch = f"batch {self.shape[:-2]}, " if self.ndim > 2 else ""
        return f"InverseOperator({batch}{size}, {self.dtype})"

    def __matmul__(self, x: Any) -> Array:
        """Multiply a vector, (n,), or a block, (..., n, m): `Factor.solve`, with its errors and warnings."""
        if not is_array(x):
            return NotImplemented
        right = as_values(x, "the right operand")
        if self._conjugated and not self._transposed:
            return self.factor.solve(right.conj()).conj()
        return self.factor.solve(right, trans="N" if not self._transposed else "H" if self._conjugated else "T")

    def __rmatmul__(self, x: Any) -> Array:
        """Multiply from the left: a vector, (n,), or a block, (..., m, n)."""
        left = as_values(x, "the left operand")
        if left.ndim == 1:
            return self.T @ left
        return np.swapaxes(self.T @ np.swapaxes(left, -1, -2), -1, -2)

    def matvec(self, x: ArrayLike) -> Array:
        """Return the product with x, (n,) or (n, 1), in x's form."""
        return self @ as_values(x, "x")

    def rmatvec(self, x: ArrayLike) -> Array:
        """Return the product of the conjugate transpose with x, (n,) or (n, 1), in x's form."""
        return self.H @ as_values(x, "x")

    def matmat(self, x: ArrayLike) -> Array:
        """Return the product with x, (n, k)."""
        return self @ as_values(x, "x")

    def rmatmat(self, x: ArrayLike) -> Array:
        """Return the product of the conjugate transpose with x, (n, k)."""
        return self.H @ as_values(x, "x")

    def toarray(self) -> Array:
        """Return the dense inverse, (..., n, n)."""
        result = self.factor.inverse()
        result = np.swapaxes(result, -1, -2) if self._transposed else result
        return result.conj() if self._conjugated else result


def _operator(factor: Factor, transposed: bool, conjugated: bool) -> InverseOperator:
    return InverseOperator(factor, transposed=transposed, conjugated=conjugated)


def _require_all_regular(factor: Factor) -> None:
    """Raise as numpy does if any member of a batch is singular; `Factor.solve` speaks for single matrices."""
    if not factor.matrix.batch_shape:
        return
    singular = np.flatnonzero(factor.singular)
    if singular.size:
        first = tuple(int(k) for k in np.unravel_index(singular[0], factor.matrix.batch_shape))
        raise SingularMatrixError(
            f"{singular.size} of {factor.singular.size} matrices are singular, the first at {first}; "
            "A.factor().solve(b) solves for the others and gives NaN for these"
        )
