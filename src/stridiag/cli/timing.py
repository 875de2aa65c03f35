"""Measuring: a call's time, the law it grows by, and the machine it ran on. Prints nothing."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np

__all__ = ["Timing", "fitted_slope", "limit_threads", "machine", "measure"]

T = TypeVar("T")

_PACKAGES = ("stridiag", "numpy", "scipy", "numba", "scikit-learn", "matplotlib")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a call.

    Attributes
    ----------
    first : float
        The first call: with whatever is kept for later ones (a plan, warmed memory).
    median : float
        Of the later calls; the first one's where there was no time for a second.
    calls : int
        How many calls were made in all.
    """

    first: float
    median: float
    calls: int


def measure(call: Callable[[], T], *, repeats: int = 5, budget: float = 0.5) -> tuple[Timing, T]:
    """Call once, then up to `repeats` times more while the calls took less than `budget` seconds together.

    Examples
    --------
    >>> from stridiag.cli.timing import measure
    >>> timing, value = measure(lambda: 6 * 7, repeats=3)
    >>> timing.calls, value
    (4, 42)
    """
    start = time.perf_counter()
    value = call()
    first = time.perf_counter() - start
    spent, later = first, list[float]()
    while len(later) < repeats and spent < budget:
        start = time.perf_counter()
        value = call()
        later.append(time.perf_counter() - start)
        spent += later[-1]
    return Timing(first, statistics.median(later or [first]), 1 + len(later)), value


def fitted_slope(sizes: Iterable[float], seconds: Iterable[float], *, last: int = 3) -> float | None:
    """Return the exponent a of seconds = c n^a by least squares in logarithms, from the `last` largest sizes.

    Small sizes measure the cost of a call, not that of an algorithm. None with fewer than `last` sizes.

    Examples
    --------
    >>> from stridiag.cli.timing import fitted_slope
    >>> round(fitted_slope([10, 100, 1000, 10000], [1.0, 1.0, 10.0, 100.0]), 6)
    1.0
    """
    points = sorted(zip(sizes, seconds, strict=True))[-last:]
    if len(points) < last:
        return None
    x, y = np.log(np.array(points, np.float64)).T
    x -= x.mean()
    return float(x @ y / (x @ x))


@contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Give BLAS, OpenMP and numba this many threads, or as many as there are where that is less."""
    import numba
    from threadpoolctl import threadpool_limits

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        numba.set_num_threads(before)


def machine(threads: int) -> dict[str, str]:
    """Describe what the numbers were measured with, as label -> text."""
    from threadpoolctl import threadpool_info

    described = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "processor": f"{_processor()}, {_usable_cores()} cores usable",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version_of(name)}" for name in _PACKAGES),
        "BLAS": ", ".join(sorted({_library(info) for info in threadpool_info()})) or "unknown",
        "threads": f"{threads} for BLAS, OpenMP and kernels alike",
    }
    if hasattr(os, "getloadavg"):
        described["load"] = f"{os.getloadavg()[0]:.1f} runnable processes in the last minute, this one included"
    return described


def _library(info: dict[str, object]) -> str:
    return f"{info.get('internal_api', '?')} {info.get('version') or ''}".strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine() or "unknown"])[0]


def _usable_cores() -> int:
    # An affinity mask (containers, taskset) may leave fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
