r"""The paper's matrix experiment: random structured matrices of growing size, ours beside every strong rival.

Each method gets the matrix in the form that it likes best, outside the clock, and is timed from there to the answer,
factorization included. Errors:

* solve: backward error :math:`\|b - A x\|_\infty / (\|A\|_\infty \|x\|_\infty + \|b\|_\infty)`;
* slogdet: relative difference of log \|det\| from dense LU, or from SuperLU where n is too large for that;
* inverse: relative residual :math:`\|A X - I\|_1 / (\|A\|_1 \|X\|_1)`;
* pseudoinverse: the worst of Penrose's four conditions, in the 1-norm, relative likewise.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag.cli.timing import Timing, measure

__all__ = [
    "CASES",
    "DENSE_LIMIT",
    "OPERATIONS",
    "Case",
    "Job",
    "Measurement",
    "budget",
    "jobs",
    "matrix_of",
    "run_job",
    "warm",
]

Array = NDArray[Any]
Operation = Literal["solve", "slogdet", "inverse", "pinv"]
OPERATIONS: tuple[Operation, ...] = ("solve", "slogdet", "inverse", "pinv")

OURS, DENSE, SUPERLU, LAPACK = "stridiag", "numpy dense", "SuperLU", "LAPACK gt"

# Dense methods stop here; by n = 10,000 one solve would take half a minute.
DENSE_LIMIT = 2000
_SIZES: dict[Operation, tuple[int, ...]] = {
    "solve": (500, 1000, 2000, 10_000, 100_000, 1_000_000),
    "slogdet": (500, 1000, 2000, 10_000, 100_000, 1_000_000),
    "inverse": (500, 1000, 2000),
    "pinv": (200, 400, 800),
}
_QUICK: dict[Operation, tuple[int, ...]] = {
    "solve": (100, 200, 400),
    "slogdet": (100, 200, 400),
    "inverse": (50, 100, 200),
    "pinv": (50, 75, 100),
}


class Case(NamedTuple):
    """Offsets +p and -q, and how many links."""

    p: int
    q: int
    links: int

    def __str__(self) -> str:
        return f"{self.p},{self.q},{self.links}"

    @property
    def is_tridiagonal(self) -> bool:
        """Whether LAPACK's tridiagonal routines apply."""
        return (self.p, self.q, self.links) == (1, 1, 0)


CASES = (Case(1, 1, 0), Case(1, 1, 100), Case(8, 8, 100), Case(2, 3, 100))


class Job(NamedTuple):
    """One operation on one matrix, by all methods that apply."""

    operation: Operation
    case: Case
    n: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One method's part in a job.

    Attributes
    ----------
    job : Job
        What was done.
    method : str
        By whom.
    timing : Timing
        How fast.
    error : float or None
        As the module says; None for the method that served as reference.
    ill_conditioned : bool
        Whether the method warned that the matrix is singular to working precision (only ours says so).
    """

    job: Job
    method: str
    timing: Timing
    error: float | None
    ill_conditioned: bool


def jobs(*, quick: bool = False) -> list[Job]:
    """List the whole experiment, operation by operation."""
    sizes = _QUICK if quick else _SIZES
    return [Job(operation, case, n) for operation in OPERATIONS for case in CASES for n in sizes[operation]]


def budget(*, quick: bool = False) -> float:
    """Return the seconds after which a method makes no further call in a job."""
    return 0.02 if quick else 0.3


def warm() -> float:
    """Run each kernel once; return the seconds that took: compilation, or loading where the cache has them."""
    start = time.perf_counter()
    for case in CASES:
        # Of several sizes, since the plan changes with the size; the largest has that of all beyond.
        for n in (1_000, 10_000, 30_000):
            matrix = matrix_of(Job("solve", case, n), seed=0)
            linalg.solve(matrix, matrix @ np.ones(n))
            linalg.solve(matrix, np.ones((n, 8)))
            linalg.slogdet(matrix)
        linalg.inv(matrix_of(Job("inverse", case, 300), seed=0))
        linalg.pinv(matrix_of(Job("pinv", case, 400), seed=0)).toarray()
    return time.perf_counter() - start


def matrix_of(job: Job, seed: int) -> StridiagMatrix:
    """Draw the matrix of a job: standard normal entries; for "pinv" a nearly dominant one of rank n - 1.

    The singular one is made from a dominant one: of the entry (0, 0), the only one to change, the determinant is
    an affine function, which vanishes at 1 / (inverse's entry (0, 0)) below its value.
    """
    case, n = job.case, job.n
    singular = job.operation == "pinv"
    # Links of its own for each operation, so that none finds its plan made by another.
    rng = np.random.default_rng([seed, OPERATIONS.index(job.operation), *case, n])
    matrix = stridiag.random(n, (-case.q, 0, case.p), case.links, rng=rng, dominant=singular)
    if not singular:
        return matrix
    unit = np.zeros(n)
    unit[0] = 1.0
    values = matrix.values.copy()
    values[matrix.structure.diagonal_slots(0).start] -= 1.0 / linalg.solve(matrix, unit)[0]
    return matrix.with_values(values)


def run_job(job: Job, *, seed: int, repeats: int = 5, budget: float = 0.3) -> list[Measurement]:
    """Measure all methods on one matrix, ours first.

    Parameters
    ----------
    job : Job
        What to do.
    seed : int
        Of matrix and right-hand side.
    repeats, budget
        As for `measure`, for each method.

    Returns
    -------
    list of Measurement
        Ours first.
    """
    matrix = matrix_of(job, seed)
    right = np.random.default_rng([seed, job.n]).standard_normal(job.n)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        # Random chains of a million are singular to working precision now and then; that is data, not noise.
        warnings.simplefilter("always", stridiag.IllConditionedWarning)
        timed = measure(dict(_contestants(job, matrix, right)), repeats=repeats, budget=budget)
    errors = _errors(job.operation, matrix, right, {method: value for method, (_, value) in timed.items()})
    return [
        # Only ours says so.
        Measurement(job, method, timing, errors[method], ill_conditioned=bool(caught) and method == OURS)
        for method, (timing, _) in timed.items()
    ]


def _contestants(job: Job, matrix: StridiagMatrix, right: Array) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the methods that apply, each with its own copy of the matrix made."""
    from scipy.linalg import lapack
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    n, operation = job.n, job.operation
    ours: dict[str, Callable[[], Any]] = {
        "solve": lambda: linalg.solve(matrix, right),
        "slogdet": lambda: linalg.slogdet(matrix).logabsdet,
        "inverse": lambda: linalg.inv(matrix),
        "pinv": lambda: linalg.pinv(matrix).toarray(),
    }
    yield OURS, ours[operation]
    if n <= DENSE_LIMIT:
        full = matrix.toarray()
        dense: dict[str, Callable[[], Any]] = {
            "solve": lambda: np.linalg.solve(full, right),
            "slogdet": lambda: np.linalg.slogdet(full).logabsdet,
            "inverse": lambda: np.linalg.inv(full),
            # rtol=None is the cutoff max(m, n) eps, which is ours too.
            "pinv": lambda: np.linalg.pinv(full, rtol=None),  # type: ignore[call-overload]
        }
        yield DENSE, dense[operation]
    if operation == "pinv":
        return
    columns = csc_array(matrix.to_scipy())
    superlu: dict[str, Callable[[], Any]] = {
        "solve": lambda: splu(columns).solve(right),
        # The sign would take the parity of two permutations: left out, in SuperLU's favour.
        "slogdet": lambda: np.log(np.abs(splu(columns).U.diagonal())).sum(),
        "inverse": lambda: splu(columns).solve(np.eye(n)),
    }
    yield SUPERLU, superlu[operation]
    if job.case.is_tridiagonal:
        diagonals = [np.array(matrix.diagonal(k)) for k in (-1, 0, 1)]
        tridiagonal: dict[str, Callable[[], Any]] = {
            "solve": lambda: lapack.dgtsv(*diagonals, right)[3],
            "slogdet": lambda: np.log(np.abs(lapack.dgttrf(*diagonals)[1])).sum(),
            "inverse": lambda: lapack.dgtsv(*diagonals, np.eye(n))[3],
        }
        yield LAPACK, tridiagonal[operation]


def _errors(
    operation: Operation, matrix: StridiagMatrix, right: Array, results: dict[str, Any]
) -> dict[str, float | None]:
    if operation == "slogdet":
        reference = DENSE if DENSE in results else SUPERLU
        expected = float(results[reference])
        return {
            method: None if method == reference else abs(float(value) - expected) / max(1.0, abs(expected))
            for method, value in results.items()
        }
    error = {"solve": _backward_error, "inverse": _inverse_error, "pinv": _penrose_error}[operation]
    return {method: error(matrix, right, value) for method, value in results.items()}


def _backward_error(matrix: StridiagMatrix, right: Array, x: Array) -> float:
    rows, _ = matrix.structure.coordinates()
    norm = np.bincount(rows, np.abs(matrix.values)).max()
    scale = norm * np.abs(x).max() + np.abs(right).max()
    return float(np.abs(right - matrix @ x).max() / scale)


def _inverse_error(matrix: StridiagMatrix, right: Array, inverse: Array) -> float:
    del right
    residual = matrix.to_scipy() @ inverse
    np.einsum("ii->i", residual)[:] -= 1.0
    return _one_norm(residual) / (_one_norm(matrix.toarray()) * _one_norm(inverse))


def _penrose_error(matrix: StridiagMatrix, right: Array, inverse: Array) -> float:
    del right
    full = matrix.toarray()
    left, other = full @ inverse, inverse @ full
    condition = _one_norm(full) * _one_norm(inverse)
    errors = (
        _one_norm(left @ full - full) / (condition * _one_norm(full)),
        _one_norm(other @ inverse - inverse) / (condition * _one_norm(inverse)),
        _one_norm(left - left.T) / condition,
        _one_norm(other - other.T) / condition,
    )
    # max() would pass over a NaN that does not stand first.
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def _one_norm(array: Array) -> float:
    return float(np.abs(array).sum(axis=0).max())
