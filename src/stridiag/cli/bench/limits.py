"""What the machine can do at most, and how much memory a solve takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from stridiag._kernels.compile import kernel
from stridiag.cli.bench.problem import Array, Case

__all__ = ["Limits", "Peak", "measure_limits", "peak_memory", "triad_bandwidth"]

_TRIAD_LENGTH = 20_000_000


@kernel
def _triad(a: Array, b: Array, c: Array, scale: float) -> None:
    for i in range(a.shape[0]):
        a[i] = b[i] + scale * c[i]


def triad_bandwidth(threads: int, *, length: int = _TRIAD_LENGTH, repeats: int = 7) -> float:
    """Return bytes a second of a[i] = b[i] + s c[i], the best of some runs; 24 bytes an element, as STREAM counts.

    References
    ----------
    J. McCalpin, Memory bandwidth and machine balance in current high performance computers, 1995.
    """
    a, b, c = np.zeros(length), np.ones(length), np.full(length, 2.0)
    cuts = np.linspace(0, length, threads + 1).astype(np.int64)
    _triad(a[:8], b[:8], c[:8], 3.0)
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            parts = [pool.submit(_triad, a[low:high], b[low:high], c[low:high], 3.0) for low, high in pairwise(cuts)]
            for part in parts:
                part.result()
            best = min(best, time.perf_counter() - start)
    return 24.0 * length / best


class Peak(NamedTuple):
    """Memory beyond matrix and right-hand side at the worst moment of a solve, solution included, in n doubles.

    Attributes
    ----------
    arrays : float
        By the arrays that numpy allocated.
    resident : float or None
        By the growth of the process's largest resident size; None where the system does not tell.
    """

    arrays: float
    resident: float | None


_MEMORY = """
import gc, sys, tracemalloc, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from stridiag import linalg
from stridiag.cli.bench.problem import Case, Problem
from stridiag.planning.plan import _plan
p, q, links, n, traced = map(int, sys.argv[1:])
def resident(field):
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    found = [line for line in lines if line.startswith(field)]
    return 1024.0 * float(found[0].split()[1]) if found else float("nan")
# Compiles kernels and starts pools of threads; small, so that no memory is left over for the measured solve.
warm = Problem(Case(p, q, links), max(n // 20, Case(p, q, links).smallest), "dominant", 1)
linalg.solve(warm.matrix, warm.right)
problem = Problem(Case(p, q, links), n)
matrix, right = problem.matrix, problem.right
del warm
_plan.cache_clear()
gc.collect()
try:
    # Resets the high-water mark.
    Path("/proc/self/clear_refs").write_text("5")
except OSError:
    pass
before = resident("VmRSS")
if traced:
    tracemalloc.start()
x = linalg.solve(matrix, right)
if traced:
    print(tracemalloc.get_traced_memory()[1] / (8.0 * n))
else:
    print((resident("VmHWM") - before) / (8.0 * n))
"""


def peak_memory(case: Case, n: int) -> Peak:
    """Measure plan, factor and solve in processes of their own."""

    def run(traced: int) -> float:
        arguments = [sys.executable, "-c", _MEMORY, *map(str, (*case, n, traced))]
        return float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)

    arrays, resident = run(1), run(0)
    return Peak(arrays, None if np.isnan(resident) else resident)


@dataclass(frozen=True)
class Limits:
    """Memory: how fast, in bytes a second by threads, and how much a solve takes, by case and order."""

    bandwidth: dict[int, float]
    peaks: dict[tuple[Case, int], Peak]

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        peaks = [[*case, n, *peak] for (case, n), peak in self.peaks.items()]
        return json.dumps({"bandwidth": self.bandwidth, "peaks": peaks}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Limits:
        """Read what `to_json` wrote."""
        stored = json.loads(text)
        peaks = {(Case(*line[:3]), line[3]): Peak(*line[4:]) for line in stored["peaks"]}
        return cls({int(threads): speed for threads, speed in stored["bandwidth"].items()}, peaks)


def measure_limits(threads: int, *, n: int = 10**6, length: int = _TRIAD_LENGTH) -> Limits:
    """Measure bandwidth on one thread and on all, and the memory of solves of order `n`."""
    bandwidth = {k: triad_bandwidth(k, length=length) for k in sorted({1, threads})}
    cases = (Case(1, 1, 0), Case(1, 1, 100), Case(8, 8, 0), Case(2, 3, 0))
    return Limits(bandwidth, {(case, n): peak_memory(case, n) for case in cases})
