"""What a factor says about the inverse: all of it, its entries, its norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag._dtypes import eps_of
from stridiag._results import unfilled
from stridiag._validate import as_index, check_option
from stridiag.errors import StructureError
from stridiag.factorization.changes import Changeable
from stridiag.factorization.condition import Condition, certain_margin, reciprocal_condition
from stridiag.factorization.condition_bounds import Bounds, condition_bounds
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import entries_of_inverse, pattern_of_inverse, write_inverse
from stridiag.factorization.singularity import singular_error
from stridiag.factorization.solving import warn_of_condition
from stridiag.structure import StridiagMatrix

__all__ = ["Inverting"]

Array = NDArray[Any]


class Inverting(Changeable):
    """What `Factor` says about the inverse."""

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of the inverse, (..., n).

        Raises
        ------
        SingularMatrixError
            If the matrix, or every member of the batch, is singular; other singular members give NaN.

        Notes
        -----
        In O(n) operations for chains, bands of a given width, forests, and triangular and cyclic matrices with all
        pivots on the main diagonal; O(n) and the inverse of the reduced system where links are condensed; on the
        pattern of L for ``method="cholesky"``; by n solves for the dense and the general sparse methods. See
        docs/theory/selected-inverse.md.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> A.factor().inverse_diagonal()
        array([0.75, 1.  , 0.75])
        """
        self._require_some_regular()
        if not len(self._members):
            return np.empty((*self.matrix.batch_shape, self.matrix.shape[-1]), self.matrix.dtype)
        with np.errstate(all="ignore"):
            result = self._members.inverse_diagonal()
        result[self._members.info != 0] = np.nan
        return result.reshape((*self.matrix.batch_shape, self.matrix.shape[-1]))

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
        row, column = np.broadcast_arrays(as_array(rows, "rows"), as_array(columns, "columns"))
        n = self.matrix.structure.shape[0]
        i, j = as_index(row.ravel(), "rows"), as_index(column.ravel(), "columns")
        for name, index in (("rows", i), ("columns", j)):
            if index.size and not (index.min() >= 0 and index.max() < n):
                raise StructureError(f"{name} must lie in 0 ... {n - 1}, got {index.min()} ... {index.max()}")
        found = self._entries(lambda member: entries_of_inverse(member, n, self.matrix.dtype, i, j), i.size)
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
        Every slot is answered, explicit zeros included. In O(n) operations for chains, bands and forests; O(n) and the
        inverse of order k where k columns are kept for links; for the methods "triangular" and "cyclic" with
        `transpose`, and without it for entries that are the only way from their row to their column; otherwise one
        solve for each distinct column of the pattern. See docs/theory/selected-inverse.md.

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
            lambda member: pattern_of_inverse(member, structure, self.matrix.dtype, transpose=transpose), structure.nnz
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
        result = unfilled(self.matrix.shape, self.matrix.dtype) if out is None else self._checked_out(out)
        self._require_some_regular()
        with np.errstate(all="ignore"):
            for place, member in zip(np.ndindex(self.matrix.batch_shape), self._members, strict=True):
                if member.singularity is None:
                    write_inverse(member, result[place])
                else:
                    result[place] = np.nan
        self._warn_if_ill_conditioned()
        return result

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

    def _bounds_of_member(self, k: int) -> Bounds:
        """Return bounds of the condition number of member k; found once."""
        if k not in self._bounds:
            self._bounds[k] = condition_bounds(self._members[k], self._matrices[k], 1.0 / eps_of(self.matrix.dtype))
        return self._bounds[k]

    def _warn_if_ill_conditioned(self) -> bool:
        """Warn of members that are singular to working precision; return whether there were any."""
        matrix = self.matrix
        if self._rough is None:
            with np.errstate(all="ignore"):
                self._rough = self._members.rough_conditions(matrix)
        return warn_of_condition(
            self._rough,
            self._members.info != 0,
            self._bounds_of_member,
            lambda k: self._condition_of_member(k).rcond,
            eps_of(matrix.dtype),
            matrix.batch_shape,
            certain_margin(matrix.structure),
        )

    # ------------------------------------------------------------------ inner workings

    def _entries(self, of: Callable[[Decomposition], Array], count: int) -> Array:
        """Return so many numbers of each member's inverse, (..., count); NaN for singular members."""
        self._require_some_regular()
        if not self.matrix.batch_shape:
            with np.errstate(all="ignore"):
                return of(self._members[0])
        result = np.full((len(self._members), count), np.nan, self.matrix.dtype)
        with np.errstate(all="ignore"):
            for k, member in enumerate(self._members):
                if member.singularity is None:
                    result[k] = of(member)
        return result.reshape((*self.matrix.batch_shape, count))

    def _checked_out(self, out: Any) -> Array:
        """Return `out` if it can take the inverse of every member."""
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
        if out.shape != self.matrix.shape or out.dtype != self.matrix.dtype:
            raise ValueError(
                f"out must have shape {self.matrix.shape} and dtype {self.matrix.dtype}, "
                f"got {out.shape} and {out.dtype}"
            )
        if not out.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if any(not result.flags.forc for result in (out[place] for place in np.ndindex(self.matrix.batch_shape))):
            raise ValueError(f"out must hold C- or F-contiguous matrices, got strides {out.strides}: pass a copy of it")
        return out

    def _require_some_regular(self) -> None:
        info = self._members.info
        if not info.size or not info.all():
            return
        first = self._members[0].singularity
        assert first is not None
        raise singular_error(first, batch=self.matrix.batch_shape)
