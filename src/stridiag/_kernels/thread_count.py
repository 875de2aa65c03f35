"""How many threads a call may use: what the program says, or else the smallest of all limits around it."""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["forget_the_environment", "get_num_threads", "num_threads", "set_num_threads", "use_one_thread"]

_chosen: int | None = None
_here: ContextVar[int | None] = ContextVar("stridiag_num_threads", default=None)


def set_num_threads(count: int | None) -> None:
    """Set how many threads one call of this library may use, for the whole process.

    Results do not depend on it, to the last bit. The setting takes the place of everything that
    `get_num_threads` looks at otherwise.

    Parameters
    ----------
    count : int, at least 1, or None
        The number of threads; None goes back to the default.

    Raises
    ------
    TypeError, ValueError
        If `count` is not an integer of at least 1.

    See Also
    --------
    num_threads : the same for one block of code.

    Examples
    --------
    >>> import stridiag
    >>> stridiag.set_num_threads(1)
    >>> stridiag.get_num_threads()
    1
    >>> stridiag.set_num_threads(None)
    """
    global _chosen
    _chosen = None if count is None else _positive(count)
    forget_the_environment()


def get_num_threads() -> int:
    """Give how many threads a call from here may use.

    Returns
    -------
    int
        What `num_threads` or `set_num_threads` says. If neither was used, the smallest of: the processors that this
        process may use (its affinity, and the quota of its control group); the environment variables
        ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS`` as they were when this library first asked; what
        `numba.set_num_threads` set; and, while threadpoolctl is loaded, the number of threads that it leaves to BLAS
        (so ``threadpool_limits(1)`` holds here too).

    Examples
    --------
    >>> import stridiag
    >>> stridiag.get_num_threads() >= 1
    True
    """
    here = _here.get()
    if here is not None:
        return here
    if _chosen is not None:
        return _chosen
    count = min(_start.limit(), _processors())
    numba = sys.modules.get("numba")
    if numba is not None:
        count = min(count, _numba_limit(numba, count))
    if "threadpoolctl" in sys.modules:
        count = min(count, _blas.limit(count))
    return max(1, count)


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Set how many threads one call may use, within a ``with`` block and in this thread or task alone.

    Parameters
    ----------
    count : int, at least 1
        The number of threads.

    Raises
    ------
    TypeError, ValueError
        If `count` is not an integer of at least 1.

    See Also
    --------
    set_num_threads : the same for the whole process.

    Examples
    --------
    >>> import stridiag
    >>> with stridiag.num_threads(1):
    ...     stridiag.get_num_threads()
    1
    """
    token = _here.set(_positive(count))
    try:
        yield
    finally:
        _here.reset(token)


def use_one_thread() -> None:
    """Let this thread, for good, use no other: it is one of several already."""
    _here.set(1)


def forget_the_environment() -> None:
    """Look at the limits set for the process again when next asked."""
    _start.cache = None


def _positive(count: int) -> int:
    try:
        result = operator.index(count)
    except TypeError:
        raise TypeError(f"the number of threads must be an integer, got {count!r}") from None
    if isinstance(count, bool):
        raise TypeError(f"the number of threads must be an integer, got {count!r}")
    if result < 1:
        raise ValueError(f"the number of threads must be at least 1, got {result}")
    return result


class _Start:
    """Limits that are set when a process starts: looked up once, as OpenMP and numba do."""

    cache: int | None = None

    def limit(self) -> int:
        if self.cache is None:
            variables = (os.environ.get(name, "") for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"))
            # OpenMP takes a list, one number for each level of nesting; ours is the first.
            first = (text.split(",")[0].strip() for text in variables)
            counts = [int(text) for text in first if text.isascii() and text.isdigit() and int(text) > 0]
            self.cache = min([*counts, _quota()])
        return self.cache


_start = _Start()


def _quota() -> int:
    """Give how many processors a Linux control group pays for, rounded up; a large number if there is no limit."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # another system, an older kernel, or "max"
        return sys.maxsize


def _processors() -> int:
    # Asked at each call, for it takes less than a microsecond and programs do change it.
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _numba_limit(numba: Any, otherwise: int) -> int:
    # A module that is still being imported may not have its settings yet.
    limit: int = getattr(getattr(numba, "config", None), "NUMBA_NUM_THREADS", otherwise)
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    # Asking numba starts its own threads, unless they run already, as they do once a program has set their number.
    if parallel is not None and getattr(parallel, "_is_initialized", False):
        limit = min(limit, parallel.get_num_threads())
    return limit


class _Blas:
    """What threadpoolctl leaves to BLAS; the libraries are looked up once, for that takes milliseconds."""

    libraries: list[Any] | None = None

    def limit(self, otherwise: int) -> int:
        if self.libraries is None:
            controller = getattr(sys.modules["threadpoolctl"], "ThreadpoolController", None)
            if controller is None:  # still being imported, or too old
                return otherwise
            found = controller().select(user_api="blas").lib_controllers
            # A BLAS that was built without threads says 1 whatever anybody asked for.
            self.libraries = [one for one in found if getattr(one, "threading_layer", None) != "disabled"]
        counts = (one.num_threads for one in self.libraries)
        return min((count for count in counts if count), default=otherwise)


_blas = _Blas()
