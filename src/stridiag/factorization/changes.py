"""How a factor changes: the same plan with other values, and updates of a few entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._cached import cached_property
from stridiag._validate import as_index, as_values, check_option, require_finite
from stridiag.errors import StructureError
from stridiag.factorization.batch import MemberList, Members, decompose_member, decompose_members
from stridiag.factorization.condition import Condition
from stridiag.factorization.condition_bounds import Bounds
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.survey import survey
from stridiag.planning import Plan, plan
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from stridiag.factorization.update import UpdateMethod

__all__ = ["Changeable"]

Array = NDArray[Any]


class Changeable:
    """What `Factor` holds, and how it comes to hold something else."""

    matrix: StridiagMatrix

    # Arrays of values made by `refactor`: the one that it may overwrite next, and that of the present matrix.
    _spare: Array | None = None
    _own: Array | None = None
    # How large the condition numbers may be, found at the first solve.
    _rough: Sequence[float] | Array | None = None
    # Whether they have been found to be no cause for a warning.
    _sound: bool = False

    def __init__(self, planned: Plan, matrix: StridiagMatrix, *, check_finite: bool = True) -> None:
        if planned.structure != matrix.structure:
            raise StructureError(f"the plan is for {planned.structure}, the matrix has {matrix.structure}")
        found = survey(matrix.values)
        if check_finite and not (found is not None and found.largest < math.inf):
            require_finite(matrix.values, "the matrix's values")
        self._hold(planned, matrix, decompose_members(planned, matrix, found))

    def _hold(self, planned: Plan | None, matrix: StridiagMatrix, members: Members) -> None:
        self._plan = planned
        self.matrix = matrix
        self._members = members
        self._conditions: dict[tuple[int, bool], Condition] = {}
        self._bounds: dict[int, Bounds] = {}

    def _forget(self) -> None:
        """Drop what has been derived from the values."""
        self.__dict__.pop("_matrices", None)
        self._rough = None
        self._sound = False
        self._conditions = {}
        self._bounds = {}

    @property
    def plan(self) -> Plan:
        """How the matrix was factored; after an update with new positions, how it would be."""
        if self._plan is None:
            self._plan = plan(self.matrix.structure)
        return self._plan

    @cached_property
    def _matrices(self) -> tuple[StridiagMatrix, ...]:
        return self.matrix.members

    def refactor(self, values: ArrayLike, *, overwrite: bool = False) -> Self:
        """Return the factor of a matrix of the same structure with other values, (..., nnz), by the same plan.

        Parameters
        ----------
        values : array_like, (..., nnz)
            By slot, as `StridiagMatrix` takes them.
        overwrite : bool, default False
            Reuse the storage of this factor, which becomes that of the new values and is returned. Nothing of the
            size of the matrix is allocated for chains, once two calls have been made; for chains with links only
            the reduced system is. `values` must have the dtype and the batch of the matrix. Not while other threads
            use this factor; and a `matrix` taken from it after the first such call is overwritten by a later one.

        Raises
        ------
        StructureError, NonFiniteError, TypeError
            If `values` do not fit or are not finite. The factor then is what it was.

        Examples
        --------
        >>> import stridiag
        >>> A = stridiag.random(100, links=4, rng=0, dominant=True)
        >>> F = A.factor()
        >>> F.refactor(2 * A.values).slogdet().logabsdet - F.slogdet().logabsdet    # 100 log 2
        np.float64(69.31...)
        >>> F.refactor(3 * A.values, overwrite=True) is F
        True
        """
        if not overwrite:
            return type(self)(self.plan, self.matrix.with_values(values))
        given = as_values(values, "values")
        if given.shape != self.matrix.values.shape:
            raise StructureError(f"overwrite needs values of shape {self.matrix.values.shape}, got {given.shape}")
        if given.dtype != self.matrix.dtype:
            raise TypeError(f"overwrite needs values of {self.matrix.dtype}, got {given.dtype}; refactor without it")
        require_finite(given, "values")
        store = np.empty_like(self.matrix.values) if self._spare is None else self._spare
        store[...] = given
        matrix = self.matrix.with_values(store, copy=False)
        try:
            members = self._members.refill(self.plan, matrix) or decompose_members(self.plan, matrix)
        except BaseException:
            # Out of memory, or an interrupt: what has been overwritten is made anew.
            self._members = decompose_members(self.plan, self.matrix)
            raise
        self._members, self.matrix = members, matrix
        self._spare, self._own = self._own, store
        self._forget()
        return self

    def updated(self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike, *, method: UpdateMethod = "auto") -> Self:
        r"""Return the factor of the matrix with other values at k positions, stored ones or new ones.

        Parameters
        ----------
        rows, columns : array_like of int, (k,)
            Positions, all different. Where nothing is stored a link is added.
        values : array_like, (k,) or (..., k)
            What the entries will be, not what is added to them; leading axes as those of a batch.
        method : {"auto", "low-rank", "refactor"}
            ``"low-rank"`` keeps the old factor and corrects it (Sherman, Morrison, Woodbury), each solution being
            checked by its residual; where a check fails the matrix is factored anew, and `Factor.method` says so.
            ``"refactor"`` factors anew at once. ``"auto"`` takes what is predicted to take less time. Batches are
            factored anew.

        Returns
        -------
        Factor
            This one stays what it is. Updates of updates start from the first factor: their ranks add up.

        Raises
        ------
        StructureError, NonFiniteError, TypeError
            If a position lies outside or comes twice, if shapes do not fit, or if values are not finite, or complex
            for a real matrix.

        Notes
        -----
        An update of rank r, at most k, costs r solves, and about 4 n r operations more for each solve with it.
        See docs/theory/updates.md.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.random(500, offsets=(-30, -7, 0, 1, 20), links=100, rng=0, dominant=True)
        >>> F = A.factor().updated([3, 400], [450, 400], [2.0, -1.0])
        >>> F.method
        'update of rank 2 of banded LU with partial pivoting, in a moving window'
        >>> b = np.ones(500)
        >>> bool(abs(F.matrix @ F.solve(b) - b).max() < 1e-13)
        True
        """
        check_option(method, "method", ("auto", "low-rank", "refactor"))
        from stridiag.factorization.update import changed_matrix, low_rank_update

        matrix = changed_matrix(self.matrix, rows, columns, values)
        result = object.__new__(type(self))
        result._hold(self.plan if matrix.structure == self.matrix.structure else None, matrix, MemberList([]))
        # Asked for the plan only when needed: that of new positions takes as long as many a factorization.
        planned = result._plan
        update = None
        if not matrix.batch_shape:

            def refactor() -> Decomposition:
                return decompose_member(planned or plan(matrix.structure), matrix)

            positions = (as_index(rows, "rows"), as_index(columns, "columns"))
            update = low_rank_update(
                self._members[0], self.matrix, matrix, positions, self.plan, refactor, method=method
            )
        result._members = decompose_members(result.plan, matrix) if update is None else MemberList([update])
        return result
