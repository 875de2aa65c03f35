"""The factor that users hold: checks, batches, warnings and errors around a decomposition."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._dtypes import real_type
from stridiag._validate import check_option
from stridiag.errors import StructureError
from stridiag.factorization.batch import at_once
from stridiag.factorization.determinant import chain_determinant
from stridiag.factorization.inverting import Inverting
from stridiag.factorization.mending import mend
from stridiag.factorization.refinement import SolveResult
from stridiag.factorization.sampling import NormalVectors
from stridiag.factorization.simple_factor import MAX_Q_ENTRIES, SimpleFactor, without_identities
from stridiag.factorization.single import SolvesOnce, solve_once
from stridiag.factorization.solving import (
    Transposition,
    as_plain_vector,
    as_right_side,
    looks_itself,
    solve_all,
    solve_with_errors,
)
from stridiag.planning import Method, plan
from stridiag.planning.chain import TridiagonalLayout
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from stridiag.factorization.explicit import FactorArrays, FactorStages

__all__ = [
    "Factor",
    "SlogdetResult",
    "Transposition",
    "factorize",
    "slogdet_without_factor",
    "solve_without_factor",
]

Array = NDArray[Any]

_DOUBLE = np.dtype(np.float64)


class SlogdetResult(NamedTuple):
    """Sign (or complex phase) and logarithm of the magnitude of a determinant."""

    sign: Any
    logabsdet: Any


def factorize(matrix: StridiagMatrix, *, method: Method = "auto", check_finite: bool = True) -> Factor:
    """Factor a square matrix or a batch; see `StridiagMatrix.factor`, and `Factor.solve` for `check_finite`."""
    return Factor(plan(matrix.structure, method=method), matrix, check_finite=check_finite)


def solve_without_factor(matrix: StridiagMatrix, b: Array) -> Array | None:
    """Return the solution for one vector where no factor is needed; None for most, and where something is to be said.

    In double precision: of a small matrix, for which making the objects that hold a factor takes as long as solving,
    and of a long dominant chain, whose values are then read once.
    """
    values = matrix.values
    # Numpy has one object for the type; were there another, the general way would be gone, and no harm done.
    if b.dtype is not _DOUBLE or values.dtype is not _DOUBLE or values.ndim != 1 or b.ndim != 1:
        return None
    planned = plan(matrix.structure)
    once: SolvesOnce | None = getattr(at_once(planned.layout), "solve_once", None)
    return None if once is None else solve_once(planned, matrix, b, once)


def slogdet_without_factor(matrix: StridiagMatrix) -> SlogdetResult | None:
    """Return sign and logarithm of the determinant of a matrix where no factor is needed; None for most.

    Of real chains with a stored diagonal, without links or long, if the determinant is not zero.
    """
    if matrix.batch_shape or matrix.dtype.kind == "c" or 0 not in matrix.structure.offsets:
        return None
    layout = plan(matrix.structure).layout
    once = getattr(at_once(layout), "slogdet_once", None)
    with np.errstate(all="ignore"):
        if isinstance(layout, TridiagonalLayout):
            found = chain_determinant(layout.chain, matrix.values)
        else:
            found = None if once is None else once(layout, matrix.values)
    if found is None:
        return None
    return SlogdetResult(*(matrix.dtype.type(number) for number in found))


class Factor(Inverting, NormalVectors):
    r"""A factorization of a square matrix, or of each member of a batch; safe to share by threads.

    Made by `StridiagMatrix.factor`. Only ``refactor(..., overwrite=True)`` changes it.

    Attributes
    ----------
    matrix : StridiagMatrix
        What was factored.
    plan : Plan
        How.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> A = stridiag.random(1000, offsets=(-3, 0, 2), rng=0)
    >>> F = A.factor()
    >>> F.method
    'banded LU with partial pivoting'
    >>> b = np.ones(1000)
    >>> bool(abs(A @ F.solve(b) - b).max() < 1e-12 * abs(F.solve(b)).max())
    True
    >>> F.slogdet()
    SlogdetResult(sign=np.float64(...), logabsdet=np.float64(...))
    """

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the matrix, batch axes first."""
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the matrix's values."""
        return self.matrix.dtype

    @property
    def method(self) -> str:
        """What was done: the decompositions' names, one after another where members of a batch differ."""
        return ", ".join(self._members.names)

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._members.nbytes

    @property
    def singular(self) -> Any:
        """Whether an exactly zero pivot was met: a bool, or an array over the batch."""
        found = self._members.info != 0
        return found.reshape(self.matrix.batch_shape) if self.matrix.batch_shape else bool(found[0])

    @property
    def info(self) -> Any:
        """Where a pivot was exactly zero, as LAPACK tells it: an int, or an array over the batch.

        0 for a nonsingular matrix; else k > 0, where index k - 1 is that of the original row without a pivot or,
        where a method knows no row, of a column that depends on others; -1 if the place is not known.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({0: [1.0, 1.0, 1.0]})
        >>> A.with_values([[1.0, 2.0, 3.0], [1.0, 2.0, 0.0]]).factor().info
        array([0, 3])
        """
        found = self._members.info
        return found.reshape(self.matrix.batch_shape) if self.matrix.batch_shape else int(found[0])

    def __reduce__(self) -> tuple[Any, ...]:
        # Factored anew when loaded: SuperLU's objects cannot be stored, and the values take less room.
        return Factor, (self.plan, self.matrix)

    def __repr__(self) -> str:
        return f"Factor({self.matrix!r}, {self.method or self.plan.method})"

    # ------------------------------------------------------------------ mathematics

    @overload
    def solve(
        self,
        b: ArrayLike,
        *,
        trans: Transposition = "N",
        refine: bool = False,
        return_bounds: Literal[False] = False,
        check_finite: bool = True,
    ) -> Array: ...

    @overload
    def solve(
        self,
        b: ArrayLike,
        *,
        trans: Transposition = "N",
        refine: bool = False,
        return_bounds: Literal[True],
        check_finite: bool = True,
    ) -> SolveResult: ...

    def solve(
        self,
        b: ArrayLike,
        *,
        trans: Transposition = "N",
        refine: bool = False,
        return_bounds: bool = False,
        check_finite: bool = True,
    ) -> Array | SolveResult:
        r"""Solve :math:`A x = b`, :math:`A^T x = b` or :math:`A^H x = b`.

        Parameters
        ----------
        b : array_like, (n,) or (..., n, m)
            Right-hand sides; one-dimensional for one vector, else as columns, as in ``numpy.linalg.solve``.
            Batch axes broadcast against those of the matrix.
        trans : {"N", "T", "H"}
            Solve with the matrix, its transpose, or its conjugate transpose.
        refine : bool, default False
            Correct the solution with residuals of twice the precision of the result, until it is correct to that
            precision or nothing is gained: one to three more solves, as a rule, at most ten. The result may have
            a higher precision than the matrix, that of `b`.
        return_bounds : bool, default False
            Return the errors of each solution too. Each right-hand side costs two estimates of a condition number.
        check_finite : bool, default True
            Whether to look for NaN and infinity in `b`. Without, they make results that mean nothing.

        Returns
        -------
        ndarray or SolveResult
            Of the shape of `b`, with the batch axes broadcast. Computed in the matrix's precision, whatever that
            of `b`, unless refined; `linalg.solve` takes the higher one. With bounds a named tuple
            ``(x, backward_error, forward_error, steps)``; see `SolveResult`, and docs/theory/refinement.md.

        Raises
        ------
        SingularMatrixError
            If a pivot is exactly zero. In a batch, only if every member is singular: else the solutions of
            singular members are NaN, with a warning, and `singular` and `info` tell which.
        NonFiniteError
            If `b` holds NaN or infinity.
        ValueError
            If shapes do not fit.

        Warns
        -----
        IllConditionedWarning
            If ``rcond < eps``. One solve with a random vector, made before the first, tells whether the condition
            number can be large; only then is `rcond` estimated.

        Notes
        -----
        Cost: ``plan.operations.solve`` for each right-hand side.

        The same right-hand side has the same solution, bit by bit, for any number of threads. But a factor of long
        chains (50,000 to 400,000 rows) goes over to another way after some solutions, the ninth as a rule: that one and
        an earlier one agree to rounding errors.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=1000)
        >>> x, backward, forward, steps = A.factor().solve(A @ ([1.0] * 1000), refine=True, return_bounds=True)
        >>> bool(abs(x - 1).max() <= forward < 1e-15 and backward < 1e-15)
        True
        """
        if trans == "N" and check_finite and not refine and not return_bounds:
            short = self._members.solve_vector(b) if type(b) is np.ndarray else None
            if short is None:
                # What holds the same numbers in another form has the same solution, bit by bit.
                plain = as_plain_vector(b, self.dtype)
                short = None if plain is None else self._members.solve_vector(plain)
            if short is not None:
                if self._members.doubtful and not self._sound:
                    self._sound = not self._warn_if_ill_conditioned()
                return short
        return self._solve(
            b,
            trans,
            refine=refine,
            return_bounds=return_bounds,
            check_finite=check_finite,
            require=self._require_some_regular,
        )

    def _solve(
        self,
        b: ArrayLike,
        trans: Transposition,
        *,
        refine: bool,
        return_bounds: bool,
        check_finite: bool,
        require: Callable[[], None],
    ) -> Array | SolveResult:
        """Solve the general way; `require` raises unless members enough are nonsingular."""
        check_option(trans, "trans", ("N", "T", "H"))
        batch = self.matrix.batch_shape
        unseen = check_finite and not (refine or return_bounds or batch)
        unseen = unseen and looks_itself(self._members, b, trans, self.dtype)
        right = as_right_side(b, self.matrix.structure.shape[0], check_finite=check_finite and not unseen)
        columns = right[:, None] if right.ndim == 1 else right
        result: SolveResult | None = None
        with np.errstate(all="ignore"):
            if refine or return_bounds:
                result = solve_with_errors(
                    self._members, self._matrices, columns, batch, trans, refine=refine, bounds=return_bounds
                )
                x = result.x
            else:
                x = solve_all(
                    self._members, columns, batch, trans, self.dtype, check_finite=check_finite, unseen=unseen
                )
                if not batch and columns.ndim == 2:
                    x = mend(self.plan, self._members, self.matrix, columns, x, trans)
            # Behind the solve, which may find out in passing what these ask for.
            require()
        self._warn_if_ill_conditioned()
        if result is None or not return_bounds:
            return np.asarray(x[..., 0]) if right.ndim == 1 else np.asarray(x)
        return SolveResult(*(part[..., 0][()] for part in result)) if right.ndim == 1 else result

    def slogdet(self) -> SlogdetResult:
        """Return sign (or phase) and log of the magnitude of the determinant; (0, -inf) if singular.

        Returns
        -------
        SlogdetResult
            ``sign, logabsdet``: numbers, or arrays over the batch. Never overflows.
        """
        phases, logarithms = self._members.slogdet()
        real = real_type(self.dtype)
        signs = np.array(phases, self.dtype).reshape(self.matrix.batch_shape)
        logs = np.array(logarithms, real).reshape(self.matrix.batch_shape)
        return SlogdetResult(signs[()], logs[()])

    def reconstruct(self) -> Array:
        """Multiply the factors out: a dense array, (..., n, n), equal to the matrix up to rounding.

        A check of the factorization; cost and memory are quadratic in n.
        """
        n = self.matrix.structure.shape[0]
        result = np.empty(self.shape, self.dtype)
        for place, member in zip(np.ndindex(self.matrix.batch_shape), self._members, strict=True):
            result[place] = member.multiply(np.eye(n, dtype=self.dtype))
        return result

    def factors(self) -> list[SimpleFactor]:
        """Return simple factors, each with a closed-form inverse, whose product in this order is the matrix.

        See `stridiag.factorization.multiply_out` and docs/theory/factors.md. Linear in the stored entries. If the
        matrix is singular by an exactly zero pivot, the product still is the matrix, and one factor has no inverse.

        Raises
        ------
        StructureError
            For a batch.
        """
        if self.matrix.batch_shape:
            raise StructureError(f"factors takes a single matrix, got a batch of shape {self.matrix.batch_shape}")
        return without_identities(self._members[0].factors())

    def arrays(self, *, max_entries: int = MAX_Q_ENTRIES) -> FactorArrays | FactorStages:
        """Return the factors as scipy sparse arrays: ``A[row_permutation][:, column_permutation] = Q L D U``.

        Parameters
        ----------
        max_entries : int
            Up to how many entries `FactorArrays.Q` may have; its operator form needs no such limit.

        Returns
        -------
        FactorArrays or FactorStages
            L D U for the LU methods, Q R with ``R = D U`` for the orthogonal ones, Q L D U for chains with links where
            the reduced system was factored by LU. A list of stages for ``method="cyclic"`` with entries between the
            cycles: they have no L D U without further fill.

        Raises
        ------
        StructureError
            For a batch.

        Notes
        -----
        Made from `factors`, at its cost: this is for use elsewhere, `solve` is faster.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.random(40, offsets=(-1, 0, 1), links=3, rng=0)
        >>> F = A.factor(method="chain").arrays()
        >>> abs(F.product() - A.to_scipy()).max() < 1e-14 * abs(A.values).max() * 40
        np.True_
        >>> abs(F.Q.T @ F.Q - np.eye(40)).max() < 1e-14
        np.True_
        """
        if self.matrix.batch_shape:
            raise StructureError(f"arrays takes a single matrix, got a batch of shape {self.matrix.batch_shape}")
        from stridiag.factorization.explicit import explicit_factors

        n = self.matrix.structure.shape[0]
        return explicit_factors(self._members[0].factors(), n, self.dtype, max_entries=max_entries)
