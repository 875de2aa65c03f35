"""A task uses the threads that it was told to, beside others in its process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stridiag.dask.threads import task_threads

# In a process of its own: threadpoolctl lets the first thread that changes OpenBLAS be the only one, for its life.
SIDE_BY_SIDE = """
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_info

import stridiag
from stridiag.dask.threads import task_threads


def blas():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


np.linalg.inv(np.eye(3))
before = blas()
both, out = threading.Barrier(2, timeout=60), threading.Event()


def early():
    with task_threads(1):
        both.wait()
        seen = blas(), stridiag.get_num_threads()
    out.set()
    return seen


def late():
    with task_threads(1):
        both.wait()
        assert out.wait(60)
        # The other, which may have been the first, has ended; this one still runs.
        return blas(), stridiag.get_num_threads()


with ThreadPoolExecutor(2) as pool:
    for _ in range(3):
        both.reset()
        out.clear()
        futures = [pool.submit(early), pool.submit(late)]
        assert [found.result() for found in futures] == [({1}, 1), ({1}, 1)]
        assert blas() == before, (blas(), before)
try:
    with task_threads(2):
        assert blas() == before
        assert stridiag.get_num_threads() == 2
        raise RuntimeError
except RuntimeError:
    assert blas() == before
"""


def test_tasks_side_by_side_leave_blas_as_it_was():
    two = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    run = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE], env={**os.environ, **two}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="at least 1"), task_threads(0):
        pass
