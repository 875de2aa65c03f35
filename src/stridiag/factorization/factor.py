"""The factor that users hold: checks, batches, warnings and errors around a decomposition."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index, as_values, check_option, require_finite, warn_user
from stridiag.errors import IllConditionedWarning, NotHermitianError, NotPositiveDefiniteError, StructureError
from stridiag.factorization.condition import Condition, reciprocal_condition, rough_condition
from stridiag.factorization.decompose import decompose
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import entries_of_inverse, pattern_of_inverse, write_inverse
from stridiag.factorization.sampling import NormalVectors
from stridiag.factorization.scaled import decompose_in_range
from stridiag.factorization.simple_factor import SimpleFactor, without_identities
from stridiag.factorization.singularity import evident_singularity, singular_error
from stridiag.planning import Method, Plan, plan
from stridiag.structure import StridiagMatrix

__all__ = ["Factor", "SlogdetResult", "Transposition", "factorize"]

Array = NDArray[Any]
Transposition = Literal["N", "T", "H"]


class SlogdetResult(NamedTuple):
    """Sign (or complex phase) and logarithm of the magnitude of a determinant."""

    sign: Any
    logabsdet: Any


def factorize(matrix: StridiagMatrix, *, method: Method = "auto") -> Factor:
    """Factor a square matrix or a batch; see `StridiagMatrix.factor`."""
    return Factor(plan(matrix.structure, method=method), matrix)


class Factor(NormalVectors):
    r"""A factorization of a square matrix, or of each member of a batch; immutable, safe to share by threads.

    Made by `StridiagMatrix.factor`.

    Attributes
    ----------
    matrix : StridiagMatrix
        What was factored.
    plan : Plan
        How.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> A = stridiag.random(1000, offsets=(-2, 0, 2), links=10, rng=0)
    >>> F = A.factor()
    >>> F.method
    'orthogonal condensation'
    >>> b = np.ones(1000)
    >>> bool(abs(A @ F.solve(b) - b).max() < 1e-12 * abs(F.solve(b)).max())
    True
    >>> F.slogdet()
    SlogdetResult(sign=np.float64(...), logabsdet=np.float64(...))
    """

    def __init__(self, planned: Plan, matrix: StridiagMatrix) -> None:
        if planned.structure != matrix.structure:
            raise StructureError(f"the plan is for {planned.structure}, the matrix has {matrix.structure}")
        require_finite(matrix.values, "the matrix's values")
        self.plan = planned
        self.matrix = matrix
        self._matrices = matrix.members
        order = matrix.structure.shape[0]
        self._members: list[Decomposition] = []
        for place, member in zip(np.ndindex(matrix.batch_shape), self._matrices, strict=True):
            try:
                self._members.append(decompose_in_range(member.values, order, partial(decompose, planned)))
            except (NotHermitianError, NotPositiveDefiniteError) as error:
                if matrix.batch_shape:
                    raise error.of_member(place) from None
                raise
        for member, decomposition in zip(self._matrices, self._members, strict=True):
            # Rounding may leave a pivot where structure or zeros allow none.
            decomposition.singularity = decomposition.singularity or evident_singularity(planned, member)
        # How large the condition numbers may be, found at the first solve.
        self._rough: list[float] | None = None
        self._conditions: dict[tuple[int, bool], Condition] = {}

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
        return ", ".join(dict.fromkeys(member.name for member in self._members))

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(member.nbytes for member in self._members)

    @property
    def singular(self) -> Any:
        """Whether an exactly zero pivot was met: a bool, or an array over the batch."""
        found = [member.singularity is not None for member in self._members]
        return np.array(found, bool).reshape(self.matrix.batch_shape) if self.matrix.batch_shape else found[0]

    def __reduce__(self) -> tuple[Any, ...]:
        # Factored anew when loaded: SuperLU's objects cannot be stored, and the values take less room.
        return Factor, (self.plan, self.matrix)

    def __repr__(self) -> str:
        return f"Factor({self.matrix!r}, {self.method or self.plan.method})"

    # ------------------------------------------------------------------ mathematics

    def solve(self, b: ArrayLike, *, trans: Transposition = "N") -> Array:
        r"""Solve :math:`A x = b`, :math:`A^T x = b` or :math:`A^H x = b`.

        Parameters
        ----------
        b : array_like, (n,) or (..., n, m)
            Right-hand sides; one-dimensional for one vector, else as columns, as in ``numpy.linalg.solve``.
            Batch axes broadcast against those of the matrix.
        trans : {"N", "T", "H"}
            Solve with the matrix, its transpose, or its conjugate transpose.

        Returns
        -------
        ndarray
            Of the shape of `b`, with the batch axes broadcast. Computed in the matrix's precision, whatever that
            of `b`; `linalg.solve` takes the higher one.

        Raises
        ------
        SingularMatrixError
            If a pivot is exactly zero. In a batch, only if every member is singular: else the solutions of
            singular members are NaN, with a warning, and `singular` tells which.
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
        """
        check_option(trans, "trans", ("N", "T", "H"))
        right = as_values(b, "b")
        n = self.matrix.structure.shape[0]
        if right.ndim == 0 or right.shape[0 if right.ndim == 1 else -2] != n:
            raise ValueError(f"b must have shape ({n},) or (..., {n}, m), got {right.shape}")
        require_finite(right, "b")
        self._require_some_regular()
        columns = right[:, None] if right.ndim == 1 else right
        kind = np.result_type(self.dtype, right.dtype)
        batch = np.broadcast_shapes(self.matrix.batch_shape, columns.shape[:-2])
        with np.errstate(all="ignore"):
            self._estimate_roughly()
            if batch:
                columns = np.broadcast_to(columns, batch + columns.shape[-2:])
                result = np.empty(columns.shape, kind)
                which = np.broadcast_to(np.arange(len(self._members)).reshape(self.matrix.batch_shape), batch)
                for place in np.ndindex(batch):
                    result[place] = self._solve_member(int(which[place]), columns[place], trans)
            else:
                result = self._solve_member(0, columns, trans).astype(kind, copy=False)
        self._warn_of_condition()
        return result[..., 0] if right.ndim == 1 else result

    def slogdet(self) -> SlogdetResult:
        """Return sign (or phase) and log of the magnitude of the determinant; (0, -inf) if singular.

        Returns
        -------
        SlogdetResult
            ``sign, logabsdet``: numbers, or arrays over the batch. Never overflows.
        """
        pairs = [(0.0, -np.inf) if member.singularity is not None else member.slogdet() for member in self._members]
        real = np.empty(0, self.dtype).real.dtype
        signs = np.array([sign for sign, _ in pairs], self.dtype).reshape(self.matrix.batch_shape)
        logs = np.array([log for _, log in pairs], real).reshape(self.matrix.batch_shape)
        return SlogdetResult(signs[()], logs[()])

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of the inverse, (..., n).

        Raises
        ------
        SingularMatrixError
            If the matrix, or every member of the batch, is singular; other singular members give NaN.

        Notes
        -----
        In O(n) operations for chains, and O(n) and the inverse of order k where k columns are kept for links; by n
        solves for the dense and the general sparse methods.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> A.factor().inverse_diagonal()
        array([0.75, 1.  , 0.75])
        """
        n = self.matrix.structure.shape[0]
        return self._entries(lambda member: member.inverse_diagonal(), n)

    def inverse_entries(self, rows: ArrayLike, columns: ArrayLike) -> Array:
        """Return entries of the inverse at given positions.

        Parameters
        ----------
        rows, columns : array_like of int
            Of one shape, or broadcast to one; each between 0 and n - 1.

        Returns
        -------
        ndarray, (..., k), or a number
            Batch axes first, then the shape of the positions.

        Raises
        ------
        SingularMatrixError
            As `inverse_diagonal`.
        StructureError
            If a position lies outside.

        Notes
        -----
        Cost: O(n + k) for chains without links. Otherwise one solve for each distinct column, or for each distinct
        row where these are fewer; no more than 32 MB of right-hand sides at a time. With
        ``method="cholesky"`` entries on the pattern of L, to which that of the matrix belongs, come from Takahashi's
        equations instead where these take less.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> A.factor().inverse_entries([0, 0, 2], [0, 2, 0])
        array([0.75, 0.25, 0.25])
        """
        row, column = np.broadcast_arrays(np.asarray(rows), np.asarray(columns))
        n = self.matrix.structure.shape[0]
        i, j = as_index(row.ravel(), "rows"), as_index(column.ravel(), "columns")
        for name, index in (("rows", i), ("columns", j)):
            if index.size and not (index.min() >= 0 and index.max() < n):
                raise StructureError(f"{name} must lie in 0 ... {n - 1}, got {index.min()} ... {index.max()}")
        found = self._entries(lambda member: entries_of_inverse(member, n, self.dtype, i, j), i.size)
        return found.reshape(self.matrix.batch_shape + row.shape)[()]

    def inverse_on_pattern(self, *, transpose: bool = False) -> StridiagMatrix:
        r"""Return the entries of the inverse at the pattern of the matrix, as a matrix of the same structure.

        Parameters
        ----------
        transpose : bool
            If False, the slot (i, j) holds :math:`(A^{-1})_{ij}`. If True, it holds :math:`(A^{-1})_{ji}`: the
            derivative of :math:`\log |\det A|` (of a complex matrix: of :math:`\log \det A`) by the entry
            :math:`a_{ij}`.

        Returns
        -------
        StridiagMatrix
            With the batch axes of the matrix.

        Raises
        ------
        SingularMatrixError
            As `inverse_diagonal`.

        Notes
        -----
        Every slot is answered, explicit zeros included. In O(n) operations for chains, and O(n) and the inverse of
        order k where k columns are kept for links; otherwise one solve for each distinct column of the pattern.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({0: [2.0, 3.0, 4.0], 1: [1.0, 1.0]}, ([2], [0], [5.0]))
        >>> gradient = A.factor().inverse_on_pattern(transpose=True)
        >>> gradient.structure == A.structure
        True
        >>> step = 1e-6 * np.eye(6)[5]                      # the last slot is the link
        >>> F, G = A.factor(), A.with_values(A.values + step).factor()
        >>> bool(abs((G.slogdet().logabsdet - F.slogdet().logabsdet) / 1e-6 - gradient.values[5]) < 1e-6)
        True
        """
        structure = self.matrix.structure
        found = self._entries(
            lambda member: pattern_of_inverse(member, structure, self.dtype, transpose=transpose), structure.nnz
        )
        return self.matrix.with_values(found, copy=False)

    def inverse(self, out: Array | None = None) -> Array:
        """Return the dense inverse, (..., n, n).

        Parameters
        ----------
        out : ndarray, (..., n, n), optional
            Where to put it, and what is returned: of the factor's dtype, writeable, each matrix C- or F-contiguous.

        Raises
        ------
        SingularMatrixError
            As `inverse_diagonal`; `out` is then left as it was.
        TypeError, ValueError
            If `out` cannot take the result.

        Warns
        -----
        IllConditionedWarning
            As `solve`.

        Notes
        -----
        Cost: ``plan.operations.inverse``. For chains without links one multiplication an entry, accurate entry by
        entry; see docs/theory/inverse.md.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> A.factor().inverse()
        array([[0.75, 0.5 , 0.25],
               [0.5 , 1.  , 0.5 ],
               [0.25, 0.5 , 0.75]])
        """
        result = np.empty(self.shape, self.dtype) if out is None else self._checked_out(out)
        self._require_some_regular()
        with np.errstate(all="ignore"):
            self._estimate_roughly()
            for place, member in zip(np.ndindex(self.matrix.batch_shape), self._members, strict=True):
                if member.singularity is None:
                    write_inverse(member, result[place])
                else:
                    result[place] = np.nan
        self._warn_of_condition()
        return result

    def refactor(self, values: ArrayLike) -> Factor:
        """Return the factor of a matrix of the same structure with other values, (..., nnz), by the same plan.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.random(100, links=4, rng=0, dominant=True)
        >>> F = A.factor()
        >>> F.refactor(2 * A.values).slogdet().logabsdet - F.slogdet().logabsdet    # 100 log 2
        np.float64(69.31...)
        """
        return Factor(self.plan, self.matrix.with_values(values))

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

    # ------------------------------------------------------------------ condition

    @property
    def rcond(self) -> Any:
        r"""Reciprocal condition number :math:`1 / (\|A\|_1 \|A^{-1}\|_1)`; 0 if singular, 1 if n = 0.

        A number, or an array over the batch. Exact but for rounding if `cond_is_exact`; else the norm of the inverse
        is estimated from a few solves (Higham and Tisseur 2000), and the result is never too small but for rounding,
        rarely too large by more than a factor of three.
        """
        found = [self._condition_of_member(k).rcond for k in range(len(self._members))]
        return np.array(found).reshape(self.matrix.batch_shape)[()]

    def cond(self, p: Literal[1] | float = 1) -> Any:
        r"""Return the condition number in the 1- or infinity-norm: exact if `cond_is_exact`, else a lower bound.

        Parameters
        ----------
        p : {1, inf}
            Which norm. For others see `stridiag.linalg.cond`.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=99)
        >>> F = A.factor()
        >>> round(float(F.cond(1)), 9), F.cond_is_exact      # 4 times (n + 1)^2 / 8
        (5000.0, True)
        """
        check_option(p, "p", (1, np.inf))
        found = [self._condition_of_member(k, adjoint=p != 1).rcond for k in range(len(self._members))]
        with np.errstate(divide="ignore"):
            result = np.reciprocal(np.array(found))
        return result.reshape(self.matrix.batch_shape)[()]

    @property
    def cond_is_exact(self) -> bool:
        """Whether `rcond` and `cond` are exact but for rounding, for all members: chains without links, or n <= 4.

        Otherwise they are estimates. Found out by computing them in both norms.
        """
        return all(
            self._condition_of_member(k, adjoint=adjoint).exact
            for k in range(len(self._members))
            for adjoint in (False, True)
        )

    def _condition_of_member(self, k: int, *, adjoint: bool = False) -> Condition:
        """Return the reciprocal condition of member k in the 1-norm, or in the infinity-norm; found once."""
        if (k, adjoint) not in self._conditions:
            self._conditions[k, adjoint] = reciprocal_condition(self._members[k], self._matrices[k], adjoint=adjoint)
        return self._conditions[k, adjoint]

    def _estimate_roughly(self) -> None:
        if self._rough is None:
            self._rough = list(map(rough_condition, self._members, self._matrices))

    # ------------------------------------------------------------------ inner workings

    def _entries(self, of: Callable[[Decomposition], Array], count: int) -> Array:
        """Return so many numbers of each member's inverse, (..., count); NaN for singular members."""
        self._require_some_regular()
        result = np.full((len(self._members), count), np.nan, self.dtype)
        with np.errstate(all="ignore"):
            for k, member in enumerate(self._members):
                if member.singularity is None:
                    result[k] = of(member)
        return result.reshape((*self.matrix.batch_shape, count))

    def _checked_out(self, out: Any) -> Array:
        """Return `out` if it can take the inverse of every member."""
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(
                f"out must have shape {self.shape} and dtype {self.dtype}, got {out.shape} and {out.dtype}"
            )
        if not out.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if any(not result.flags.forc for result in (out[place] for place in np.ndindex(self.matrix.batch_shape))):
            raise ValueError(f"out must hold C- or F-contiguous matrices, got strides {out.strides}: pass a copy of it")
        return out

    def _solve_member(self, k: int, b: Array, trans: Transposition) -> Array:
        """Solve with member k for `b`, (n, m), of any dtype."""
        member = self._members[k]
        if member.singularity is not None:
            return np.full(b.shape, np.nan, np.result_type(self.dtype, b.dtype))
        if b.dtype.kind == "c" and self.dtype.kind != "c":
            both = self._solve_member(k, np.concatenate((b.real, b.imag), axis=1), trans)
            return both[:, : b.shape[1]] + 1j * both[:, b.shape[1] :]
        conjugate = trans == "T" and self.dtype.kind == "c"
        n, m = b.shape
        right = np.empty((n, m), self.dtype)
        if conjugate:
            np.conjugate(b, out=right)
        else:
            np.copyto(right, b, casting="same_kind")
        if right.dtype.itemsize < b.dtype.itemsize:
            require_finite(right, f"b, in the matrix's type {self.dtype}; linalg.solve takes the higher precision: it")
        x = member.solve(right, adjoint=trans != "N")
        return x.conj() if conjugate else x

    def _require_some_regular(self) -> None:
        singular = [member.singularity for member in self._members]
        if not singular or any(found is None for found in singular):
            return
        first = singular[0]
        assert first is not None
        raise singular_error(first, batch=self.matrix.batch_shape)

    def _warn_of_condition(self) -> None:
        assert self._rough is not None
        eps = float(np.finfo(self.dtype).eps)
        # Accepts the good, so that NaN is looked at more closely.
        doubtful = [k for k, size in enumerate(self._rough) if not size < 1.0 / eps]
        singular = [k for k, member in enumerate(self._members) if member.singularity is not None]
        bad = sorted({k for k in doubtful if not self._condition_of_member(k).rcond >= eps} | set(singular))
        if not bad:
            return
        batch = self.matrix.batch_shape
        if batch:
            first = tuple(int(index) for index in np.unravel_index(bad[0], batch))
            message = (
                f"{len(bad)} matrices of the batch {batch} are singular to working precision, the first at {first}"
            )
        else:
            rcond = self._condition_of_member(0).rcond
            message = f"the matrix is singular to working precision: rcond = {rcond:.2g} < eps = {eps:.2g}"
        warn_user(
            f"{message}; such a solution may have no correct digit. linalg.lstsq gives the minimum-norm answer",
            IllConditionedWarning,
        )
