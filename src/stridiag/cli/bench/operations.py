r"""What is measured, and the error of its result.

*Backward error* is :math:`\max_i |b - A x|_i / (\|A\|_\infty \|x\|_\infty + \|b\|_\infty)`, the worst over columns and
members. For what is no solution of a system, `Operation.error_kind` says what stands in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from stridiag.cli.bench.problem import Array, Problem, Values

__all__ = ["OPERATIONS", "Operation", "operation_named"]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to do with a matrix.

    Attributes
    ----------
    name : str
        As on the command line; the rivals' methods have the name, with "_" for "-".
    title : str
        In words.
    error_kind : str
        What `error` measures; empty where nothing is.
    error : callable
        ``error(problem, value)``; the result is to be small.
    numbers : callable
        ``numbers(problem)``: the doubles that must be read or written at least, from which the memory floor.
    values : tuple of str
        The kinds of values that make sense.
    """

    name: str
    title: str
    error_kind: str
    error: Callable[[Problem, Any], float]
    numbers: Callable[[Problem], float]
    values: tuple[Values, ...] = ("dominant", "random", "constant", "signs")


def _worst(errors: Array) -> float:
    # max() would pass over a NaN that does not stand first.
    return float(np.max(errors)) if np.isfinite(errors).all() else math.inf


def _backward(problem: Problem, x: Array, b: Array, matrix: Any) -> float:
    """Return the worst backward error over columns and members."""
    members, n = problem.members, problem.n
    x, b = (np.asarray(v).reshape(members * n, -1) for v in (x, b))
    if not np.isfinite(x).all():
        return math.inf
    residual = np.abs(b - matrix @ x).reshape(members, n, -1).max(axis=1)
    norms = np.asarray(abs(matrix).sum(axis=1)).reshape(members, n, 1).max(axis=1)
    x, b = (np.abs(v).reshape(members, n, -1).max(axis=1) for v in (x, b))
    return _worst(residual / (norms * x + b))


def _solved(problem: Problem, x: Array) -> float:
    return _backward(problem, x, problem.right, problem.csr)


def _solved_others(problem: Problem, x: Array) -> float:
    return _backward(problem, x, problem.right, problem.other_csr)


def _solved_many(problem: Problem, x: Array) -> float:
    return _backward(problem, x, problem.rights, problem.csr)


def _determined(problem: Problem, value: tuple[Any, Any]) -> float:
    """Return the relative difference from SuperLU's log |det|; a sign, where one is given, is checked by it too."""
    sign, expected = _determinant(problem)
    found, logarithm = value
    if found is not None and found != sign:
        return 2.0
    return float(abs(logarithm - expected) / max(1.0, abs(expected)))


# Kept for the other methods in the same cell.
@lru_cache(maxsize=1)
def _determinant(problem: Problem) -> tuple[float, float]:
    from scipy.sparse.linalg import splu

    factor = splu(problem.csc)
    upper, lower = factor.U.diagonal(), factor.L.diagonal()
    sign = _parity(factor.perm_r) * _parity(factor.perm_c) * np.prod(np.sign(upper)) * np.prod(np.sign(lower))
    return float(sign), float(np.log(np.abs(upper)).sum() + np.log(np.abs(lower)).sum())


def _parity(permutation: Array) -> int:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(permutation)
    cycles, _ = connected_components(coo_array((np.ones(n), (np.arange(n), permutation)), shape=(n, n)))
    return -1 if (n - cycles) % 2 else 1


def _inverted(problem: Problem, inverse: Array) -> float:
    residual = problem.csr @ inverse
    np.einsum("ii->i", residual)[:] -= 1.0
    return _one_norm(residual) / (float(abs(problem.csr).sum(axis=0).max()) * _one_norm(inverse))


def _columns_of_inverse(problem: Problem) -> tuple[Array, Array]:
    """Return a few places and these columns of the inverse, solved for."""
    from scipy.sparse.linalg import splu

    places = np.unique(np.linspace(0, problem.n - 1, 7).astype(np.int64))
    units = np.zeros((problem.n, len(places)))
    units[places, np.arange(len(places))] = 1.0
    return places, splu(problem.csc).solve(units)


def _diagonal_inverted(problem: Problem, diagonal: Array) -> float:
    places, columns = _columns_of_inverse(problem)
    expected = columns[places, np.arange(len(places))]
    return _worst(np.abs(diagonal[places] - expected) / np.abs(columns).max(axis=0))


def _pattern_inverted(problem: Problem, pattern: Any) -> float:
    places, columns = _columns_of_inverse(problem)
    found = pattern.to_scipy("csc")
    worst = 0.0
    for k, place in enumerate(places):
        span = slice(found.indptr[place], found.indptr[place + 1])
        difference = np.abs(found.data[span] - columns[found.indices[span], k])
        worst = max(worst, _worst(difference) / float(np.abs(columns[:, k]).max()))
    return worst


def _pseudoinverted(problem: Problem, inverse: Array) -> float:
    """Return the worst of Penrose's four conditions, in the 1-norm, relative to the norms of the factors."""
    matrix = problem.csr
    size = float(abs(matrix).sum(axis=0).max())
    left, other = matrix @ inverse, inverse @ matrix
    condition = size * _one_norm(inverse)
    errors = (
        _one_norm((matrix.T @ left.T).T - matrix.toarray()) / (condition * size),
        _one_norm(other @ inverse - inverse) / (condition * _one_norm(inverse)),
        _one_norm(left - left.T) / condition,
        _one_norm(other - other.T) / condition,
    )
    return _worst(np.array(errors))


def _least_squares(problem: Problem, x: Array) -> float:
    """Return |A' (b - A x)| relative to what the norms explain: zero for a least squares solution."""
    matrix, b = problem.csr, problem.right
    norm = float(abs(matrix).sum(axis=1).max())
    gradient = matrix.T @ (b - matrix @ x)
    return float(np.abs(gradient).max() / (norm * (norm * np.abs(x).max() + np.abs(b).max())))


def _product(problem: Problem, y: Array, x: Array) -> float:
    matrix = problem.csr
    norm = float(abs(matrix).sum(axis=1).max())
    return float(np.abs(y - matrix @ x).max() / (norm * np.abs(x).max()))


def _one_norm(array: Array) -> float:
    return float(np.abs(array).sum(axis=0).max())


def _unchecked(problem: Problem, value: Any) -> float:
    return 0.0


def _with_vectors(count: int) -> Callable[[Problem], float]:
    """Count the values once and `count` vectors, read and written."""
    return lambda problem: problem.members * (problem.structure.nnz + 2.0 * count * problem.n)


def _values(problem: Problem) -> float:
    return float(problem.structure.nnz)


_BACKWARD = "backward error"
_REGULAR: tuple[Values, ...] = ("dominant", "random")
OPERATIONS: tuple[Operation, ...] = (
    Operation("factor-solve", "plan, factor and solve", _BACKWARD, _solved, _with_vectors(1)),
    Operation("refactor-solve", "new values, same structure: factor and solve", _BACKWARD, _solved_others,
              _with_vectors(1)),
    Operation("solve", "solve again", _BACKWARD, _solved, _with_vectors(1)),
    Operation("solve-64", "solve again, 64 right-hand sides", _BACKWARD, _solved_many, _with_vectors(64)),
    Operation("slogdet", "sign and logarithm of the determinant", "difference of log|det| from SuperLU's, relative",
              _determined, _values, _REGULAR),
    Operation("inverse-diagonal", "diagonal of the inverse", "difference from columns solved for", _diagonal_inverted,
              lambda p: p.structure.nnz + p.n, ("dominant",)),
    Operation("inverse-pattern", "inverse on the pattern", "difference from columns solved for", _pattern_inverted,
              lambda p: 2.0 * p.structure.nnz, ("dominant",)),
    Operation("inverse", "inverse, a dense array", "residual of A X = I", _inverted, lambda p: float(p.n) ** 2,
              _REGULAR),
    Operation("inverse-out", "inverse into an array that is there", "residual of A X = I", _inverted,
              lambda p: float(p.n) ** 2, _REGULAR),
    Operation("pinv", "pseudoinverse, a dense array", "worst of Penrose's conditions", _pseudoinverted,
              lambda p: float(p.n) ** 2, ("singular",)),
    Operation("pinv-apply", "pseudoinverse applied to a vector", "residual of the normal equations", _least_squares,
              _with_vectors(1), ("singular",)),
    Operation("batch", "a batch of matrices: factor and solve each", _BACKWARD, _solved, _with_vectors(1)),
    Operation("matvec", "matrix times vector", "difference from scipy's", lambda p, y: _product(p, y, p.right),
              _with_vectors(1), _REGULAR),
    Operation("matvec-64", "matrix times 64 vectors", "difference from scipy's", lambda p, y: _product(p, y, p.rights),
              _with_vectors(64), _REGULAR),
    Operation("small", "factor and solve, the plan known", _BACKWARD, _solved, _with_vectors(1)),
    Operation("plan", "the plan by itself", "", _unchecked, lambda p: 0.0, ("dominant",)),
)  # fmt: skip


def operation_named(name: str) -> Operation:
    """Return the operation of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    for operation in OPERATIONS:
        if operation.name == name:
            return operation
    raise ValueError(f"there is no operation {name!r}; choose from {', '.join(o.name for o in OPERATIONS)}")
