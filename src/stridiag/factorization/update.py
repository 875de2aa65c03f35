r"""The factor of a matrix of which a few entries have changed: a low-rank correction of the old factor.

With the changes :math:`A_1 = A + U V^T`, r columns each,

.. math:: A_1^{-1} = A^{-1} - Z C^{-1} V^T A^{-1}, \qquad Z = A^{-1} U, \qquad C = I + V^T Z,

(Sherman, Morrison, Woodbury). r solves with A and a dense matrix C of order r stand in for a factorization. The
formula is not stable where A is nearly singular, however harmless :math:`A_1` is; so every solution is checked by its
backward error, corrected if need be, and if that does not help the matrix is factored after all. Theory:
docs/theory/updates.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index, as_values, require_finite
from stridiag.errors import StructureError
from stridiag.factorization.condition import reciprocal_condition
from stridiag.factorization.corrected import correct
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.dense import factor_dense
from stridiag.factorization.guard import backward_errors, random_vector
from stridiag.factorization.norm_estimate import inverse_one_norm
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning import Plan
from stridiag.structure import StridiagMatrix, Structure
from stridiag.structure.norms import one_norm

__all__ = ["LowRankUpdate", "UpdateMethod", "changed_matrix", "low_rank_update"]

Array = NDArray[Any]
Index = NDArray[np.int64]
UpdateMethod = Literal["auto", "low-rank", "refactor"]

# Nanoseconds an entry to lay out a structure that has got new positions.
_PLANNING = 60.0
# By how much more than the matrix itself the determinant's two parts may amplify errors.
_SENSITIVITY = 100.0


def changed_matrix(matrix: StridiagMatrix, rows: ArrayLike, columns: ArrayLike, values: ArrayLike) -> StridiagMatrix:
    """Return the matrix, or batch, with other values at k positions; new positions become links.

    Raises
    ------
    StructureError
        If a position lies outside or occurs twice, or if shapes do not fit.
    NonFiniteError, TypeError
        For values that are not finite, or complex where the matrix is real.
    """
    structure = matrix.structure
    row, column = as_index(rows, "rows"), as_index(columns, "columns")
    if row.shape != column.shape:
        raise StructureError(f"rows and columns must be of one length, got {row.size} and {column.size}")
    for name, index, size in (("rows", row, structure.shape[0]), ("columns", column, structure.shape[1])):
        if index.size and not (index.min() >= 0 and index.max() < size):
            raise StructureError(f"{name} must lie in 0 ... {size - 1}, got {index.min()} ... {index.max()}")
    places, counts = np.unique(row * structure.shape[1] + column, return_counts=True)
    if places.size < row.size:
        twice = tuple(int(k) for k in divmod(int(places[np.argmax(counts > 1)]), structure.shape[1]))
        raise StructureError(f"positions must be distinct, got {twice} twice: which of its values is meant?")
    given = as_values(values, "values")
    if given.dtype.kind == "c" and matrix.dtype.kind != "c":
        raise TypeError(f"values must be real for a matrix of {matrix.dtype}, got {given.dtype}: factor it as complex")
    wanted = (*matrix.batch_shape, row.size)
    try:
        given = np.broadcast_to(given, wanted)
    except ValueError:
        raise StructureError(
            f"values must have shape (..., {row.size}), or broadcast to {wanted}, got {given.shape}"
        ) from None
    with np.errstate(over="ignore"):
        given = given.astype(matrix.dtype)
    require_finite(given, "values")
    slots = structure.slots(row, column)
    new = slots < 0
    if not new.any():
        changed = matrix.values.copy()
        changed[..., slots] = given
        return matrix.with_values(changed, copy=False)
    old_rows, old_columns = structure.link_rows, structure.link_columns
    links = (np.concatenate((old_rows, row[new])), np.concatenate((old_columns, column[new])))
    wider = Structure(structure.shape, structure.offsets, links)
    first = structure.starts[-1]
    changed = np.zeros((*matrix.batch_shape, wider.nnz), matrix.dtype)
    changed[..., :first] = matrix.values[..., :first]
    changed[..., wider.slots(old_rows, old_columns)] = matrix.values[..., first:]
    changed[..., wider.slots(row, column)] = given
    return StridiagMatrix(wider, changed, copy=False)


def low_rank_update(
    old: Decomposition,
    matrix: StridiagMatrix,
    changed: StridiagMatrix,
    positions: tuple[Index, Index],
    planned: Plan,
    refactor: Callable[[], Decomposition],
    *,
    method: UpdateMethod,
) -> LowRankUpdate | None:
    """Return the decomposition of the changed matrix as an update of an old one, or None where factoring is better.

    Parameters
    ----------
    old : Decomposition
        Of `matrix`; if it is an update itself, the new one starts from where that started.
    matrix, changed : StridiagMatrix
        Single matrices before and after.
    positions : tuple of ndarray of int64
        Rows and columns of the entries that differ.
    planned : Plan
        Of `old`'s own structure, whose cost is compared.
    refactor : callable
        Factors the changed matrix anew.
    method : {"auto", "low-rank", "refactor"}
        Whether to compare costs.
    """
    rows, columns = positions
    base, base_matrix = old, matrix
    if isinstance(old, LowRankUpdate):
        base, base_matrix, before = old.origin
        places = np.concatenate(
            (before[0] * matrix.structure.shape[1] + before[1], rows * matrix.structure.shape[1] + columns)
        )
        rows, columns = np.divmod(np.unique(places), matrix.structure.shape[1])
    deltas = changed[rows, columns] - base_matrix[rows, columns]
    moved = np.flatnonzero(deltas)
    rows, columns, deltas = rows[moved], columns[moved], deltas[moved]
    if method == "refactor" or base.singularity is not None:
        return None
    if method == "auto":
        rank = min(np.unique(rows).size, np.unique(columns).size)
        if not _is_cheaper(rank, planned, matrix, changed):
            return None
    return LowRankUpdate(base, base_matrix, changed, (rows, columns, deltas), refactor)


def _is_cheaper(rank: int, planned: Plan, matrix: StridiagMatrix, changed: StridiagMatrix) -> bool:
    """Whether an update is predicted to take less time than a factorization."""
    cost = planned.cost
    factoring = cost.overhead + cost.rate * cost.operations.factor
    if changed.structure != matrix.structure:
        factoring += _PLANNING * changed.nnz
    # One solve for each column of U, two for the probes; C, and what it takes to form it.
    solving = (
        cost.overhead
        + cost.rate * cost.operations.solve * (rank + 2)
        + rank**3
        + 1.0 * rank * changed.structure.shape[0]
    )
    return solving < factoring


class LowRankUpdate:
    """A decomposition of a matrix that differs from a factored one in a few entries.

    Parameters
    ----------
    base : Decomposition
        Of the matrix before; not singular.
    base_matrix, matrix : StridiagMatrix
        Single matrices of one shape and type, before and after.
    changes : tuple of ndarray
        Rows, columns and differences, (k,) each, positions distinct.
    refactor : callable
        Factors `matrix` anew, for when the update cannot be believed.
    """

    def __init__(
        self,
        base: Decomposition,
        base_matrix: StridiagMatrix,
        matrix: StridiagMatrix,
        changes: tuple[Index, Index, Array],
        refactor: Callable[[], Decomposition],
    ) -> None:
        rows, columns, deltas = changes
        self._base, self._base_matrix, self._matrix = base, base_matrix, matrix
        self._positions = (rows, columns)
        self._refactor = refactor
        self._fresh: Decomposition | None = None
        self._lock = threading.Lock()
        n, kind = matrix.structure.shape[0], matrix.dtype
        self._tolerance = 10.0 * float(np.finfo(kind).eps) * max(n, 1) ** 0.5
        with np.errstate(all="ignore"):
            self._norms = (one_norm(matrix.T), one_norm(matrix))
            some_rows, row = np.unique(rows, return_inverse=True)
            self._columns, column = np.unique(columns, return_inverse=True)
            block = np.zeros((some_rows.size, self._columns.size), kind)
            block[row, column] = deltas
            # U V^T = E_rows (block E_columns^T), or (E_rows block) E_columns^T: whichever has the lower rank.
            by_rows = some_rows.size <= self._columns.size
            self.rank = min(block.shape)
            right = np.zeros((n, self.rank), kind)
            right[some_rows] = np.eye(self.rank, dtype=kind) if by_rows else block
            self.name = f"update of rank {self.rank} of {base.name}"
            self._mixed = block if by_rows else np.eye(self.rank, dtype=kind)
            self._z = base.solve(right)
            self._capacitance = self._mixed @ self._z[self._columns] + np.eye(self.rank, dtype=kind)
            if not np.isfinite(self._z).all() or not np.isfinite(self._capacitance).all():
                self._fall_back()
                return
            self._small = factor_dense(self._capacitance)
            if self._small.singularity is not None or not self._serves():
                self._fall_back()

    @property
    def origin(self) -> tuple[Decomposition, StridiagMatrix, tuple[Index, Index]]:
        """The decomposition that a further update starts from, its matrix, and where that differs from this one."""
        if self._fresh is not None:
            return self._fresh, self._matrix, (self._positions[0][:0], self._positions[1][:0])
        return self._base, self._base_matrix, self._positions

    @property
    def singularity(self) -> Singularity | None:
        """See `Decomposition`."""
        return None if self._fresh is None else self._fresh.singularity

    @singularity.setter
    def singularity(self, found: Singularity | None) -> None:
        self._fall_back().singularity = found

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`; each solution checked."""
        if self._fresh is None:
            x, error = self._checked(b, adjoint=adjoint)
            if (error <= self._tolerance).all():
                return x
        return self._fall_back().solve(b, adjoint=adjoint)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`: the old factors and the changes."""
        if self._fresh is not None:
            return self._fresh.multiply(x)
        changed = self._matrix[self._positions] - self._base_matrix[self._positions]
        y = self._base.multiply(x.copy())
        np.add.at(y, self._positions[0], changed[:, None] * x[self._positions[1]])
        return y

    def slogdet(self) -> tuple[Any, float]:
        r"""See `Decomposition.slogdet`: :math:`\det A_1 = \det A \det C`, where neither is more sensitive by far."""
        if self._fresh is None:
            before = reciprocal_condition(self._base, self._base_matrix, adjoint=False).rcond
            small = self._reciprocal_condition_of_capacitance()
            now = reciprocal_condition(self, self._matrix, adjoint=False).rcond
            if before * small * _SENSITIVITY >= now:
                phase, log = self._base.slogdet()
                small_phase, small_log = self._small.slogdet()
                return phase * small_phase, log + small_log
        return self._fall_back().slogdet()

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; not checked by a residual, so the matrix is factored anew."""
        return self._fall_back().inverse_diagonal()

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`; an update is no product of simple factors, so the matrix is factored anew."""
        return self._fall_back().factors()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy, those of the base included."""
        if self._fresh is not None:
            return self._fresh.nbytes
        return int(self._base.nbytes + self._z.nbytes + self._mixed.nbytes + self._small.nbytes)

    # ------------------------------------------------------------------ inner workings

    def _apply(self, b: Array, *, adjoint: bool) -> Array:
        """Return the formula's solution; `b` is kept."""
        if adjoint:
            b = b.copy()
            weights = self._small.solve(np.ascontiguousarray(self._z.conj().T @ b), adjoint=True)
            b[self._columns] -= self._mixed.conj().T @ weights
            return self._base.solve(b, adjoint=True)
        y = self._base.solve(b.copy())
        y -= self._z @ self._small.solve(np.ascontiguousarray(self._mixed @ y[self._columns]))
        return y

    def _checked(self, b: Array, *, adjoint: bool) -> tuple[Array, Array]:
        """Return a solution, corrected where that is needed, and its backward errors, (m,)."""
        with np.errstate(all="ignore"):
            x = self._apply(b, adjoint=adjoint)
            solve, errors = partial(self._apply, adjoint=adjoint), partial(self._residual, adjoint=adjoint)
            return correct(solve, errors, b, x, float(np.finfo(x.dtype).eps))

    def _residual(self, b: Array, x: Array, *, adjoint: bool) -> tuple[Array, Array]:
        return backward_errors(self._matrix, self._norms[adjoint], b, x, adjoint=adjoint)

    def _serves(self) -> bool:
        """Whether two solves with a random vector are right, and not as large as those of a singular matrix."""
        n = self._matrix.structure.shape[0]
        for adjoint in (False, True):
            norm = self._norms[adjoint]
            b = (
                random_vector(n, self._matrix.dtype.char)
                * self._matrix.dtype.type(2.0 ** min(0, int(np.frexp(norm)[1])))
            )[:, None]
            x, error = self._checked(b, adjoint=adjoint)
            growth = np.abs(x).max(initial=0.0) / (np.abs(b).max(initial=0.0) / norm)
            # Accepts the good, so that NaN is refused.
            if not (error <= self._tolerance).all() or not growth * n * float(np.finfo(b.dtype).eps) < 1.0:
                return False
        return True

    def _reciprocal_condition_of_capacitance(self) -> float:
        norm = float(np.abs(self._capacitance).sum(axis=0).max(initial=0.0))
        if self.rank == 0:
            return 1.0
        return 1.0 / (norm * inverse_one_norm(self._small, self.rank, self._capacitance.dtype, adjoint=False))

    def _fall_back(self) -> Decomposition:
        with self._lock:
            if self._fresh is None:
                self._fresh = self._refactor()
                self.name = f"{self._fresh.name} (an update of rank {self.rank} failed its check)"
        return self._fresh
