r"""Factors as sparse arrays: the simple factors of `Factor.factors` collected into L, D, U and Q.

.. math:: A[r, :][:, c] = Q L D U

with permutations r and c, a unitary Q (the identity for LU plans), a unit lower triangular L (the identity for QR
plans), a diagonal D and a unit upper triangular U. Chains with links have a Q, and an L where the reduced system was
factored by LU. How they are found: every permutation is moved to the front, which renames the indices of the factors
before it; then consecutive elementary factors are written side by side, which needs no arithmetic as long as none of
them has an entry in the column of one before it; then diagonals are moved together.

Where no single L D U exists without further fill (cycles with entries between them) there is a list of stages instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels.block_order import peel_rows
from stridiag.factorization.elementary import Diagonal, Elementary, Permutation
from stridiag.factorization.explicit_unitary import UnitaryProduct, multiplied_rows
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.unitary import Reflection, Rotation

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array, dia_array
    from scipy.sparse.linalg import LinearOperator

__all__ = ["FactorArrays", "FactorStages", "Stage", "explicit_factors"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FactorArrays:
    r"""Sparse arrays with ``A[row_permutation][:, column_permutation] = Q L D U``. Made by `Factor.arrays`.

    Attributes
    ----------
    row_permutation, column_permutation : ndarray of int, (n,)
        Row t of the product is the row ``row_permutation[t]`` of A. With a Q the rows stay in their order.
    L : csc_array, (n, n)
        Lower triangular, ones on the diagonal.
    D : dia_array, (n, n)
        Diagonal.
    U : csc_array, (n, n)
        Upper triangular, ones on the diagonal.

    Notes
    -----
    A pivot that is zero, or too small to divide by, stays on the diagonal of L or of U, and D has a one there. So the
    product is A also if A is singular.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> A = stridiag.StridiagMatrix.from_diagonals({-1: [4.0, 3.0], 0: [2.0, 5.0, 6.0], 1: [1.0, 7.0]})
    >>> F = A.factor(method="chain").arrays()
    >>> F.row_permutation, F.column_permutation
    (array([1, 2, 0]), array([0, 1, 2]))
    >>> F.L.toarray()
    array([[ 1. ,  0. ,  0. ],
           [ 0. ,  1. ,  0. ],
           [ 0.5, -0.5,  1. ]])
    >>> F.D.diagonal(), F.Q is None
    (array([ 4. ,  3. , -0.5]), True)
    >>> np.allclose((F.L @ F.D @ F.U).toarray(), A.toarray()[F.row_permutation][:, F.column_permutation])
    True
    """

    row_permutation: Index
    L: csc_array[Any]
    D: dia_array[Any]
    U: csc_array[Any]
    column_permutation: Index
    _unitary: UnitaryProduct | None = field(repr=False)

    @cached_property
    def Q(self) -> csr_array[Any] | None:
        """The unitary factor as a csr_array, (n, n); None where there is none, as for LU.

        Made when first asked for, in time proportional to the entries that arise on the way.

        Raises
        ------
        SizeLimitError
            If there would be more than the `max_entries` of `Factor.arrays`: use `Q_operator`.
        """
        return None if self._unitary is None else self._unitary.array()

    @cached_property
    def Q_operator(self) -> LinearOperator | None:
        """The unitary factor as a scipy LinearOperator, by its reflections or rotations; None where there is none."""
        return None if self._unitary is None else self._unitary.operator()

    @property
    def R(self) -> csc_array[Any]:
        """The upper triangle D U: the R of Q R for the orthogonal methods."""
        triangle: csc_array[Any] = (self.D @ self.U).tocsc()
        return triangle

    def product(self) -> csc_array[Any]:
        """Return A, multiplied out, with its rows and columns in their order."""
        product: Any = self.L @ (self.D @ self.U)
        if self.Q is not None:
            product = self.Q @ product
        rows, columns = np.argsort(self.row_permutation), np.argsort(self.column_permutation)
        restored: csc_array[Any] = product.tocsr()[rows].tocsc()[:, columns]
        return restored


@dataclass(frozen=True, eq=False)
class Stage:
    """One factor of a `FactorStages`.

    Attributes
    ----------
    name : {"permutation", "diagonal", "triangular", "unitary"}
        What it is. A triangular one is so after a permutation of rows and columns alike.
    matrix : csr_array, (n, n)
    """

    name: Literal["permutation", "diagonal", "triangular", "unitary"]
    matrix: csr_array[Any]


@dataclass(frozen=True, eq=False)
class FactorStages:
    """Sparse arrays whose product in this order is A, where a single L D U does not exist. Made by `Factor.arrays`.

    Attributes
    ----------
    stages : tuple of Stage
    """

    stages: tuple[Stage, ...]

    def product(self) -> csc_array[Any]:
        """Return A, multiplied out."""
        result: Any = self.stages[-1].matrix
        for stage in reversed(self.stages[:-1]):
            result = stage.matrix @ result
        product: csc_array[Any] = result.tocsc()
        return product


def explicit_factors(
    factors: Sequence[SimpleFactor], n: int, dtype: np.dtype[Any], *, max_entries: int
) -> FactorArrays | FactorStages:
    """Collect simple factors, as decompositions list them (identities included), into sparse arrays."""
    with np.errstate(all="ignore"):
        found = _collect(factors, n, dtype, max_entries)
    return _staged(factors, n, dtype, max_entries) if found is None else found


def _collect(factors: Sequence[SimpleFactor], n: int, dtype: np.dtype[Any], max_entries: int) -> FactorArrays | None:
    """Return Q L D U, None if there is no order of the indices in which L and U are triangular."""
    from scipy.sparse import diags_array, eye_array

    # Factors without permutations, in the names of the columns of A; `names` leads from the names of a factor to them.
    names = np.arange(n)
    renamed: list[tuple[SimpleFactor, Index]] = []
    for factor in reversed(factors):
        if isinstance(factor, Permutation):
            names = names[factor.order]
        else:
            renamed.append((factor, names))
    renamed.reverse()

    unitary = [k for k, (factor, _) in enumerate(renamed) if isinstance(factor, Reflection | Rotation)]
    split = unitary[-1] + 1 if unitary else 0
    q_factors = [renamed[k][0].embed(n, renamed[k][1]) for k in unitary]
    diagonal = np.ones(n, dtype)
    for factor, _ in renamed[:split]:
        if isinstance(factor, Diagonal):
            # Only a multiple of the identity passes through.
            if not (factor.values == factor.values[0]).all():
                return None
            diagonal = diagonal * factor.values
        elif isinstance(factor, Elementary):
            return None

    lower: Any = eye_array(n, dtype=dtype, format="csc")
    upper: Any = eye_array(n, dtype=dtype, format="csc")
    runs = _runs(renamed[split:], n, dtype)
    last_diagonal = max((k for k, run in enumerate(runs) if run.kind == "diagonal"), default=-1)
    reached_upper = False
    for k, run in enumerate(runs):
        if run.kind == "diagonal":
            if reached_upper:
                upper = _rescaled(upper, run.scales)
            diagonal = diagonal * run.scales
        elif not reached_upper and run.kind == "lower" and k < last_diagonal:
            lower = lower @ _rescaled(run.matrix, 1 / diagonal)
        else:
            reached_upper = True
            upper = upper @ run.matrix
    upper, diagonal = _unit_rows(upper, diagonal)
    if not all(np.isfinite(part).all() for part in (lower.data, diagonal, upper.data)):
        return None

    first_names = renamed[split][1] if split < len(renamed) else np.arange(n)
    order = _triangular_order(lower, upper, first_names)
    if order is None:
        return None
    lower, upper = (part[order][:, order].tocsc() for part in (lower, upper))
    rows = np.arange(n) if unitary else np.argsort(names)[order]
    q = UnitaryProduct(q_factors, names, order, dtype, max_entries) if unitary else None
    scales: Any = diags_array(diagonal[order], dtype=dtype)
    return FactorArrays(rows, lower, scales, upper, order.copy(), q)


@dataclass(frozen=True, eq=False, slots=True)
class _Run:
    """Consecutive factors of one kind, in the names of the columns of A."""

    kind: Literal["diagonal", "lower", "upper"]
    scales: Any = None
    matrix: Any = None


def _runs(renamed: Sequence[tuple[SimpleFactor, Index]], n: int, dtype: np.dtype[Any]) -> list[_Run]:
    """Put consecutive elementary factors into one matrix each; a run is lower if so in the names it was made with."""
    result: list[_Run] = []
    run: list[tuple[Elementary, Index]] = []
    # Columns of the run at hand: a factor with an entry in one of them begins the next.
    taken = np.zeros(n, np.bool_)

    def close() -> None:
        if run:
            below = all(bool((factor.rows > factor.column).all()) for factor, _ in run)
            result.append(_Run("lower" if below else "upper", matrix=_side_by_side(run, n, dtype)))
            run.clear()
            taken[:] = False

    for factor, names in renamed:
        if isinstance(factor, Elementary):
            if taken[names[factor.rows]].any() or taken[names[factor.column]]:
                close()
            run.append((factor, names))
            taken[names[factor.column]] = True
        else:
            assert isinstance(factor, Diagonal)
            close()
            scales = np.empty(n, dtype)
            scales[names] = factor.values
            result.append(_Run("diagonal", scales=scales))
    close()
    return result


def _side_by_side(run: Sequence[tuple[Elementary, Index]], n: int, dtype: np.dtype[Any]) -> Any:
    """Return the product of elementary factors, none with an entry in the column of one before it."""
    from scipy.sparse import coo_array

    columns = np.array([names[factor.column] for factor, names in run], np.int64)
    rows = np.concatenate([names[factor.rows] for factor, names in run])
    values = np.concatenate([factor.values for factor, _ in run]).astype(dtype)
    pivots = np.ones(n, dtype)
    pivots[columns] = [factor.pivot for factor, _ in run]
    places = np.arange(n)
    counts = [factor.rows.size for factor, _ in run]
    at = (np.concatenate((rows, places)), np.concatenate((np.repeat(columns, counts), places)))
    return coo_array((np.concatenate((values, pivots)), at), shape=(n, n)).tocsc()


def _unit_rows(upper: Any, diagonal: Array) -> tuple[Any, Array]:
    """Move the diagonal of U into D where that is possible: not where it is zero, or a quotient would overflow."""
    from scipy.sparse import diags_array

    pivots = upper.diagonal()
    with np.errstate(all="ignore"):
        scaled = (diags_array(1 / np.where(pivots == 0, 1, pivots)) @ upper).tocsc()
        moved = diagonal * pivots
    if (pivots == 1).all() or not (np.isfinite(scaled.data).all() and np.isfinite(moved).all()):
        return upper, diagonal
    return scaled, np.where(pivots == 0, diagonal, moved)


def _rescaled(matrix: Any, scales: Array) -> Any:
    """Return S^-1 M S for the diagonal S."""
    entries = matrix.tocoo()
    off = entries.row != entries.col
    # The quotient first: it is one for a multiple of the identity.
    entries.data[off] *= (scales[entries.col] / scales[entries.row])[off]
    return entries.tocsc()


def _triangular_order(lower: Any, upper: Any, preferred: Index) -> Index | None:
    """Return an order in which one matrix is lower and the other upper triangular, None if there is none."""
    from scipy.sparse import coo_array

    n = preferred.size
    one, two = lower.tocoo(), upper.tocoo()
    # What has to come before what.
    before = np.concatenate((one.col, two.row)).astype(np.int64)
    after = np.concatenate((one.row, two.col)).astype(np.int64)
    there = np.concatenate((one.data, two.data)) != 0
    off = there & (before != after)
    before, after = before[off], after[off]
    position = np.argsort(preferred)
    if (position[before] < position[after]).all():
        return preferred
    places = np.arange(n)
    at = (np.concatenate((after, places)), np.concatenate((before, places)))
    pattern = coo_array((np.ones(at[0].size, np.int8), at), shape=(n, n)).tocsc()
    rows, columns, counts, sums = np.zeros((4, n), np.int64)
    taken = peel_rows(pattern.indptr, pattern.indices, counts, sums, rows, columns)
    return columns if taken == n else None


def _staged(factors: Sequence[SimpleFactor], n: int, dtype: np.dtype[Any], max_entries: int) -> FactorStages:
    """Multiply neighbours of one kind together."""
    from scipy.sparse import coo_array, csr_array, diags_array

    places = np.arange(n)
    stages: list[Stage] = []
    held: list[SimpleFactor] = []

    def close() -> None:
        if not held:
            return
        if isinstance(held[0], Elementary):
            levels: dict[int, list[tuple[Elementary, Index]]] = {}
            for factor, level in zip(held, _levels(held, n), strict=True):
                assert isinstance(factor, Elementary)
                levels.setdefault(level, []).append((factor, places))
            stages.extend(
                Stage("triangular", _side_by_side(levels[level], n, dtype).tocsr()) for level in sorted(levels)
            )
        else:
            stages.append(Stage("unitary", multiplied_rows(held, n, dtype, max_entries)))
        held.clear()

    for factor in factors:
        if held and isinstance(factor, Elementary) != isinstance(held[0], Elementary):
            close()
        if isinstance(factor, Permutation | Diagonal):
            close()
            if isinstance(factor, Diagonal):
                matrix: Any = csr_array(diags_array(factor.values, dtype=dtype))
                stages.append(Stage("diagonal", matrix))
            else:
                stages.append(
                    Stage("permutation", coo_array((np.ones(n, dtype), (places, factor.order)), (n, n)).tocsr())
                )
        else:
            held.append(factor)
    close()
    return FactorStages(tuple(stages))


def _levels(run: Sequence[SimpleFactor], n: int) -> list[int]:
    """Return for each elementary factor the first matrix into which it can go.

    It goes behind all that have their column in one of its rows, and not ahead of those with a row in its column.
    """
    by_column = np.full(n, -1)
    by_row = np.zeros(n, np.int64)
    result = []
    for factor in run:
        assert isinstance(factor, Elementary)
        rows, column = factor.rows, factor.column
        level = int(max(by_column[rows].max(initial=-1) + 1, by_row[column], by_column[column] + 1, 0))
        by_column[column] = level
        by_row[rows] = np.maximum(by_row[rows], level)
        result.append(level)
    return result
