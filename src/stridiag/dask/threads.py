"""Threads of a task: as many as it was told, one by default, whatever else its process does at the same time.

A worker of k threads runs k tasks at a time, so each may use one processor. Our kernels are told by
`stridiag.num_threads`, which holds for one thread of a process. The BLAS libraries have one setting for the whole
process: the first task that starts sets it and the last one that ends puts it back. (Each task for itself would put
back what another one had set.)

threadpoolctl lets one thread alone change OpenBLAS, the first that does, for as long as it lives. So all changes are
made by one thread that is there for nothing else. Where another one was first, OpenBLAS stays as that one has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from stridiag._kernels.thread_count import num_threads

__all__ = ["task_threads"]

_lock = Lock()
_running = 0
_limits: Any = None


@cache
def _setter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="stridiag-blas")


@contextmanager
def task_threads(count: int) -> Iterator[None]:
    """Let our kernels and BLAS use that many threads within the block.

    Parameters
    ----------
    count : int, at least 1
        Of tasks that run in one process at the same time the first one's holds for BLAS.
    """
    global _running, _limits
    with num_threads(count):
        with _lock:
            if not _running:
                from threadpoolctl import threadpool_limits

                _limits = _setter().submit(threadpool_limits, count, user_api="blas").result()
            _running += 1
        try:
            yield
        finally:
            with _lock:
                _running -= 1
                if not _running:
                    _setter().submit(_limits.restore_original_limits).result()
                    _limits = None
