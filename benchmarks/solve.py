"""Factor and solve beside SuperLU, KLU and LAPACK's tridiagonal solver, in one run; prints a Markdown table.

Each time is the median of several repeats, from the matrix as constructed to the solution, with the plan made
afresh each time for us and the symbolic analysis included for the others. Kernels are compiled before. The
backward error is max|b - A x| / (|A| max|x| + max|b|) in the infinity norm. A rival that is not installed is
left out and named below the table.

    python benchmarks/solve.py --sizes 1000 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy.linalg.lapack import dgtsv

import stridiag
from stridiag.planning.plan import _plan

Array = NDArray[Any]
CASES = {"(1,1,0)": (1, 1, 0), "(1,1,100)": (1, 1, 100), "(8,8,100)": (8, 8, 100), "(2,3,100)": (2, 3, 100)}


def ours(A: stridiag.StridiagMatrix, b: Array) -> Callable[[], Array]:
    """Return what is timed for this library: plan, factor and solve."""

    def run() -> Array:
        _plan.cache_clear()
        return A.factor().solve(b)

    return run


def superlu(A: stridiag.StridiagMatrix, b: Array) -> Callable[[], Array]:
    """Return scipy's SuperLU at its defaults (COLAMD)."""
    matrix = A.to_scipy("csc")
    return lambda: scipy.sparse.linalg.splu(matrix).solve(b)


def klu(A: stridiag.StridiagMatrix, b: Array) -> Callable[[], Array] | None:
    """Return SuiteSparse's KLU at its defaults, through PyKLU."""
    try:
        from PyKLU import Klu
    except ImportError:
        return None
    matrix = scipy.sparse.csc_matrix(A.to_scipy("csc"))
    return lambda: Klu(matrix).solve(b)


def gtsv(A: stridiag.StridiagMatrix, b: Array) -> Callable[[], Array] | None:
    """Return LAPACK's tridiagonal solver, where it applies."""
    if A.offsets != (-1, 0, 1) or A.structure.link_count:
        return None
    dl, d, du = A.diagonal(-1), A.diagonal(0), A.diagonal(1)
    return lambda: dgtsv(dl, d, du, b)[3]


RIVALS = {"stridiag": ours, "SuperLU": superlu, "KLU": klu, "gtsv": gtsv}


def backward_error(A: stridiag.StridiagMatrix, x: Array, b: Array) -> float:
    """Return the normwise backward error in the infinity norm."""
    norm = float(stridiag.linalg.norm(A, np.inf))
    return float(np.abs(b - A @ x).max() / (norm * np.abs(x).max() + np.abs(b).max()))


def measure(run: Callable[[], Array], repeats: int) -> tuple[float, Array]:
    """Return the median seconds of some runs, and a result."""
    result = run()
    seconds = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    finally:
        gc.enable()
    return statistics.median(seconds), result


def rows(sizes: list[int], repeats: int, dominant: bool) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for name, (p, q, links) in CASES.items():
        for n in sizes:
            A = stridiag.random(n, (-q, 0, p), links, rng=0, dominant=dominant)
            b = np.random.default_rng(1).standard_normal(n)
            cells = {}
            for rival, prepare in RIVALS.items():
                run = prepare(A, b)
                if run is not None:
                    seconds, x = measure(run, repeats)
                    cells[rival] = (seconds, backward_error(A, x, b))
            mine = cells["stridiag"][0]
            row = [name, f"{n:,}"]
            for rival in RIVALS:
                if rival in cells:
                    seconds, error = cells[rival]
                    ratio = "" if rival == "stridiag" else f", x{seconds / mine:.2f}"
                    row.append(f"{seconds * 1e3:.3g} ms{ratio} ({error:.0e})")
                else:
                    row.append("-")
            yield row


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--values", choices=["dominant", "random"], default="dominant")
    options = parser.parse_args(arguments)
    if min(options.sizes) < 50 or options.repeats < 1:
        parser.error("sizes must be 50 or more, and repeats 1 or more")
    packages = ["numpy", "scipy", "numba", "PyKLU"]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed: left out")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {', '.join(found)}")
    print(f"{options.values} values; median of {options.repeats}; xR: the rival takes R times our time\n")
    print("| (p, q, links) | n |", " | ".join(RIVALS), "|")
    print("|---|---|" + "---|" * len(RIVALS))
    for row in rows(options.sizes, options.repeats, options.values == "dominant"):
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
