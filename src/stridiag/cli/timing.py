"""Measuring: a call's time, the law it grows by, and the machine it ran on. Prints nothing."""

from __future__ import annotations

import gc
import mmap
import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import stridiag

__all__ = ["Timed", "Timing", "fitted_slope", "limit_threads", "machine", "measure", "usable_cores"]

_PACKAGES = ("stridiag", "numpy", "scipy", "numba", "scikit-learn", "matplotlib")
_CALLS_IN_TURN = 10
_SECONDS_OF_TURN = 0.005
_LEAST_TOUCHED = 2**26


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a call.

    Attributes
    ----------
    first : float
        The first call: with whatever is kept for later ones (a plan, warmed memory, compiled code).
    median, lower, upper, minimum : float
        Median, quartiles and least of the later calls; the first one's time where there was no time for a second.
    calls : int
        How many calls were made in all.
    """

    first: float
    median: float
    lower: float
    upper: float
    minimum: float
    calls: int

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """Sum up the seconds of all calls, the first one first."""
        later = seconds[1:] or seconds
        lower, median, upper = np.quantile(later, (0.25, 0.5, 0.75))
        return cls(seconds[0], float(median), float(lower), float(upper), min(later), len(seconds))


class Timed(NamedTuple):
    """A call's time and its value."""

    timing: Timing
    value: Any


def measure(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 5,
    budget: float = 0.5,
    before: Mapping[str, Callable[[], Any]] | None = None,
    compiling: Collection[str] = (),
    patience: float = 1.0,
) -> dict[str, Timed]:
    """Call each once, then in up to `repeats` turns, while its calls took less than `budget` seconds together.

    Taking turns lets what else the machine does meet all of them. A turn of a fast call has several calls: one alone
    would be measured in caches that the call before it has filled. The collector of garbage waits. Before each turn
    memory for a result is taken, touched and given back: a virtual machine hands memory that has been free for two
    seconds back to its host, and the next to ask for it, whoever that is, would wait forty times as long.

    Parameters
    ----------
    calls : dict
        What to time, by name.
    repeats : int
        Turns after the first call.
    budget : float
        Seconds.
    before : dict, optional
        What to do before each call of that name, outside the clock and the budget.
    compiling : collection of str
        Names whose first call does not count against the budget, since it may compile.
    patience : float
        How many times the budget a first call may take and still be followed by a second one, which finds its memory
        allocated.

    Examples
    --------
    >>> from stridiag.cli.timing import measure
    >>> timed = measure({"product": lambda: 6 * 7}, repeats=3)["product"]
    >>> timed.timing.calls, timed.value
    (31, 42)
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    values: dict[str, Any] = {}
    before = before or {}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(1 + repeats):
            for name, call in calls.items():
                spent = seconds[name]
                counted = spent[1:] if name in compiling else spent
                if sum(counted) < budget * (patience if len(counted) == 1 else 1.0):
                    _touch_memory(2 * _size_of(values.get(name)))
                    values[name] = _turn(call, before.get(name), spent, _CALLS_IN_TURN if turn else 1)
    finally:
        if collecting:
            gc.enable()
    return {name: Timed(Timing.of(spent), values[name]) for name, spent in seconds.items()}


def _size_of(value: Any) -> int:
    if isinstance(value, tuple | list):
        return sum(_size_of(part) for part in value)
    return int(getattr(value, "nbytes", 0))


def _touch_memory(size: int) -> None:
    """Write to each page of a new array of `size` bytes, or a few million at least."""
    np.empty(max(size, _LEAST_TOUCHED), np.uint8)[:: mmap.PAGESIZE] = 1


def _turn(call: Callable[[], Any], before: Callable[[], Any] | None, spent: list[float], most: int) -> Any:
    value, begin = None, len(spent)
    for _ in range(most):
        if before is not None:
            before()
        # The value before is freed outside the clock.
        value = None
        start = time.perf_counter()
        value = call()
        spent.append(time.perf_counter() - start)
        if sum(spent[begin:]) >= _SECONDS_OF_TURN:
            break
    return value


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
    """Give BLAS, OpenMP, numba and our kernels this many threads, or as many as there are where that is less."""
    import numba
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    before = numba.get_num_threads()
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined, unused-ignore]
    numba.set_num_threads(min(threads, most))
    try:
        with threadpool_limits(limits=threads), stridiag.num_threads(threads):
            yield
    finally:
        numba.set_num_threads(before)


def machine(threads: int) -> dict[str, str]:
    """Describe what the numbers were measured with, as label -> text."""
    from threadpoolctl import threadpool_info

    libraries = [info for info in threadpool_info() if info.get("user_api") == "blas"]
    described = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "processor": f"{_processor()}, {usable_cores()} cores usable",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version_of(name)}" for name in _PACKAGES),
        "BLAS": ", ".join(sorted({_library(info) for info in libraries})) or "unknown",
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


def usable_cores() -> int:
    """Return how many cores this process may use."""
    # An affinity mask (containers, taskset) may leave fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
