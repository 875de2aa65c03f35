"""The paper's matrix experiment for the demo: the benchmark's preset of that name beside three rivals.

What is measured, and how errors are defined, is the benchmark's: see `stridiag.cli.bench`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from stridiag import linalg
from stridiag.cli.bench.measuring import ILL_CONDITIONED, Settings, run_cell
from stridiag.cli.bench.problem import Case, Problem
from stridiag.cli.bench.rivals import rival_named
from stridiag.cli.bench.table import Cell, rows_of
from stridiag.cli.timing import Timing

__all__ = [
    "CASES",
    "OPERATIONS",
    "Job",
    "Measurement",
    "budget",
    "jobs",
    "run_job",
    "warm",
]

Operation = Literal["solve", "slogdet", "inverse", "pinv"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
# The benchmark's names of operations where they are not the demo's.
_FIRST = {"solve": "factor-solve"}

OURS, DENSE, SUPERLU, LAPACK = "stridiag", "numpy dense", "SuperLU", "LAPACK gt"
# The methods by the benchmark's names.
_METHODS = {"stridiag": OURS, "dense": DENSE, "superlu-colamd": SUPERLU, "gtsv": LAPACK}

# By n = 10,000 one dense solve would take half a minute; the preset has no size between.
_PAPER = rows_of("paper")
CASES = tuple(dict.fromkeys(row.case for row in _PAPER))
_QUICK: dict[Operation, tuple[int, ...]] = {
    "solve": (100, 200, 400),
    "slogdet": (100, 200, 400),
    "inverse": (100, 150, 200),
    "pinv": (100, 110, 120),
}


class Job(NamedTuple):
    """One operation on one matrix, by all methods that apply."""

    operation: Operation
    case: Case
    n: int

    @property
    def cell(self) -> Cell:
        """What the benchmark calls it."""
        kind: Literal["singular", "random"] = "singular" if self.operation == "pinv" else "random"
        return Cell(_FIRST.get(self.operation, self.operation), self.case, self.n, kind, 0)


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
    error : float
        As the benchmark's operation says.
    ill_conditioned : bool
        Whether the method warned that the matrix is singular to working precision (only ours says so).
    """

    job: Job
    method: str
    timing: Timing
    error: float
    ill_conditioned: bool


def jobs(*, quick: bool = False) -> list[Job]:
    """List the whole experiment, operation by operation."""
    cells = {operation: Job(operation, CASES[0], 0).cell.operation for operation in OPERATIONS}
    return [
        Job(operation, case, n)
        for operation in OPERATIONS
        for case in CASES
        for n in (
            _QUICK[operation]
            if quick
            else [row.n for row in _PAPER if (row.operation, row.case) == (cells[operation], case)]
        )
    ]


def budget(*, quick: bool = False) -> float:
    """Return the seconds after which a method makes no further call in a job."""
    return 0.02 if quick else 0.3


def warm() -> float:
    """Run each kernel once; return the seconds that took: compilation, or loading where the cache has them."""
    start = time.perf_counter()
    for case in CASES:
        # Of several sizes, since the plan changes with the size; the largest has that of all beyond.
        for n in (1_000, 10_000, 30_000):
            problem = Problem(case, n, "random")
            linalg.solve(problem.matrix, problem.matrix @ np.ones(n))
            linalg.solve(problem.matrix, np.ones((n, 8)))
            linalg.slogdet(problem.matrix)
        linalg.inv(Problem(case, 300, "random").matrix)
        linalg.pinv(Problem(case, 400, "singular").matrix).toarray()
    return time.perf_counter() - start


def run_job(job: Job, *, seed: int, repeats: int = 5, budget: float = 0.3, threads: int = 1) -> list[Measurement]:
    """Measure all methods on one matrix, ours first.

    Parameters
    ----------
    job : Job
        What to do.
    seed : int
        Of matrix and right-hand side.
    repeats, budget
        As for `measure`, for each method.
    threads : int
        For all methods alike.
    """
    settings = Settings([rival_named(name) for name in _METHODS], threads, repeats, budget, seed)
    return [
        Measurement(job, _METHODS[record.rival], record.timing, record.error, record.note == ILL_CONDITIONED)
        for record in run_cell(job.cell._replace(threads=threads), settings)
        if record.timing is not None and record.error is not None
    ]
