"""Timing calls: the limits on threads hold within the block, and nothing of them is left behind."""

from __future__ import annotations

import pytest

pytest.importorskip("threadpoolctl")

import numba

import stridiag
from stridiag._kernels import thread_count
from stridiag.cli.timing import limit_threads


def test_limits_hold_within_the_block_alone():
    before = numba.get_num_threads(), stridiag.get_num_threads()
    with limit_threads(1):
        assert (numba.get_num_threads(), stridiag.get_num_threads()) == (1, 1)
    assert (numba.get_num_threads(), stridiag.get_num_threads()) == before


def test_a_limit_does_not_become_the_programs_setting(monkeypatch):
    with limit_threads(1):
        pass
    with pytest.raises(ZeroDivisionError), limit_threads(2):
        1 / 0  # noqa: B018
    monkeypatch.setattr(thread_count, "_processors", lambda: 1)
    assert stridiag.get_num_threads() == 1
