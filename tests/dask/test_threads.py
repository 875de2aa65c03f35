"""A task uses the threads that it was told to, beside others in its process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import stridiag
from stridiag.dask.threads import task_threads


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_tasks_side_by_side_leave_blas_as_it_was():
    np.linalg.inv(np.eye(3))
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        both, first_is_out = threading.Barrier(2, timeout=60), threading.Event()

        def early():
            with task_threads(1):
                both.wait()
                seen = blas_threads()
            first_is_out.set()
            return seen, stridiag.get_num_threads()

        def late():
            with task_threads(1):
                both.wait()
                assert first_is_out.wait(60)
                # The other has ended, and this still runs.
                return blas_threads(), stridiag.get_num_threads()

        with ThreadPoolExecutor(2) as pool:
            (one, _), (other, inside) = (found.result() for found in [pool.submit(early), pool.submit(late)])
        assert one == other == {1}
        assert inside == 1
        assert blas_threads() == before


def test_as_many_as_told_and_back_after_an_error():
    with threadpool_limits(1, user_api="blas"):
        outside = stridiag.get_num_threads()

        def fail():
            with task_threads(2):
                assert stridiag.get_num_threads() == 2
                assert blas_threads() == {2}
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert blas_threads() == {1}
        assert stridiag.get_num_threads() == outside
    with pytest.raises(ValueError, match="at least 1"), task_threads(0):
        pass
