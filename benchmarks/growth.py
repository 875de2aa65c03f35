"""How the time of each operation grows with the order: a Markdown table in microseconds a row.

A method that is linear in n shows the same number in every column, but for what is constant (on the left) and for
the caches (on the right). Medians; kernels are compiled before.

    python benchmarks/growth.py --sizes 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import stridiag
from stridiag import linalg
from stridiag.cli.bench.problem import Case, Problem
from stridiag.cli.timing import measure
from stridiag.planning.plan import _plan


def tree(n: int) -> stridiag.StridiagMatrix:
    """Return a dominant matrix whose graph is a random tree."""
    child = np.arange(1, n)
    parent = np.random.default_rng(0).integers(np.maximum(child - 50, 0), child)
    rows, columns = np.concatenate((child, parent)), np.concatenate((parent, child))
    values = np.random.default_rng(1).uniform(-1, 1, rows.size)
    diagonal = 1.0 + np.bincount(rows, np.abs(values), n)
    return stridiag.StridiagMatrix.from_diagonals({0: diagonal}, (rows, columns, values))


def second_difference(n: int) -> stridiag.StridiagMatrix:
    """Return the singular second difference with free ends."""
    diagonal = np.full(n, 2.0)
    diagonal[[0, -1]] = 1.0
    return stridiag.StridiagMatrix.from_diagonals({-1: np.full(n - 1, -1.0), 0: diagonal, 1: np.full(n - 1, -1.0)})


def square(p: int, q: int, links: int) -> Callable[[int], stridiag.StridiagMatrix]:
    """Return a maker of the benchmark's dominant random matrices."""
    return lambda n: Problem(Case(p, q, links), n).matrix


STRUCTURES = {
    "(1,1,0)": square(1, 1, 0),
    "(1,1,10)": square(1, 1, 10),
    "(1,1,100)": square(1, 1, 100),
    "(8,8,10)": square(8, 8, 10),
    "(2,3,0)": square(2, 3, 0),
    "(2,3,10)": square(2, 3, 10),
    "p + q = n": lambda n: Problem(Case(n // 3, n - n // 3, 0), n).matrix,
    "tree": tree,
}


def made_afresh(A: stridiag.StridiagMatrix) -> None:
    """Plan without the cache."""
    _plan.cache_clear()
    stridiag.plan(A.structure)


def operations(A: stridiag.StridiagMatrix) -> dict[str, Callable[[], Any]]:
    """Return what is timed for a square, regular matrix."""
    F = A.factor()
    b = np.ones(A.shape[0])
    F.solve(b)
    return {
        "plan": lambda: made_afresh(A),
        "factor": A.factor,
        "solve": lambda: F.solve(b),
        "slogdet": F.slogdet,
        "inverse_diagonal": F.inverse_diagonal,
        "inverse_on_pattern": F.inverse_on_pattern,
        "cond(1)": lambda: A.factor().cond(1),
    }


def of_singular(A: stridiag.StridiagMatrix) -> dict[str, Callable[[], Any]]:
    """Return what is timed for a singular matrix."""
    P = linalg.pinv(A)
    b = np.sin(np.arange(A.shape[0]))
    return {"pinv": lambda: linalg.pinv(A), "pinv @ b": lambda: P @ b, "rank_info": lambda: linalg.rank_info(A)}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds for each operation")
    parser.add_argument("--largest-singular", type=int, default=100_000, help="largest order of the pseudoinverse")
    options = parser.parse_args(arguments)
    if min(options.sizes) < 100 or options.repeats < 1:
        parser.error("sizes must be 100 or more, and repeats 1 or more")
    print("| structure | plan | operation |", " | ".join(f"n = {n:,}" for n in options.sizes), "|")
    print("|---|---|---|" + "---|" * len(options.sizes))
    kinds: dict[str, tuple[Any, Any]] = {name: (make, operations) for name, make in STRUCTURES.items()}
    kinds["second difference"] = (second_difference, of_singular)
    for name, (make, timed_of) in kinds.items():
        table: dict[str, list[str]] = {}
        method = ""
        for n in options.sizes:
            A = make(n)
            method = stridiag.plan(A.structure).method
            singular = timed_of is of_singular
            runs = {} if singular and n > options.largest_singular else timed_of(A)
            repeats = 1 if singular else options.repeats
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                timed = measure(runs, repeats=repeats, budget=options.budget)
            for operation, (timing, _) in timed.items():
                table.setdefault(operation, []).append(f"{1e6 * timing.median / n:.3g}")
        for operation, cells in table.items():
            row = [*cells, *["-"] * (len(options.sizes) - len(cells))]
            print("|", " | ".join((name, method, operation, *row)), "|", flush=True)


if __name__ == "__main__":
    main()
