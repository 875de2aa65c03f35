"""Memory that goes from one array to the next, and never to two at a time."""

import gc
import threading

import numpy as np
import pytest

from stridiag import _recycled
from stridiag._recycled import KEPT, LARGEST, recycled


@pytest.fixture(autouse=True)
def store(monkeypatch):
    fresh = _recycled._Store()
    monkeypatch.setattr(_recycled, "_store", fresh)
    monkeypatch.setattr(_recycled._Block.__del__, "__defaults__", (fresh.give,))
    return fresh


def test_memory_comes_back_when_the_last_view_is_gone():
    a = recycled((100, 200))
    place = a.ctypes.data
    assert place % 64 == 0
    a[:] = 1.0
    view = a[3:5].reshape(-1).view(np.int64)
    del a
    gc.collect()
    other = recycled((100, 200))
    assert other.ctypes.data != place
    assert (view.view(np.float64) == 1.0).all()
    del view
    gc.collect()
    assert recycled((200, 101)).ctypes.data == place


@pytest.mark.parametrize("shape", [30_000, (30_000,), (2, 3, 5_000)])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.complex128, np.int64, np.bool_])
def test_shapes_and_types_are_those_asked_for(shape, kind):
    a, b = recycled(shape, kind), np.empty(shape, kind)
    assert (a.shape, a.dtype, type(a)) == (b.shape, b.dtype, np.ndarray)
    assert a.flags.c_contiguous
    assert a.flags.writeable
    a[...] = 1
    assert a.all()


def test_small_and_very_large_arrays_are_ordinary():
    assert recycled(10).flags.owndata
    assert recycled(LARGEST // 8 + 1).flags.owndata


def test_no_more_is_kept_than_is_stated(store):
    held = [recycled(LARGEST // 8) for _ in range(KEPT // LARGEST + 3)]
    held += [recycled(40_000) for _ in range(20)]
    del held
    gc.collect()
    assert 0 < store.kept <= KEPT
    assert store.kept == sum(size * len(blocks) for size, blocks in store.free.items())


def test_threads_never_get_the_same_memory(store):
    wrong = []

    def work(mark):
        for _ in range(50):
            a, b = recycled(20_000), recycled(20_000)
            a[:] = mark
            b[:] = -mark
            if not ((a == mark).all() and (b == -mark).all()):
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in (1.0, 2.0, 3.0, 4.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.kept == sum(size * len(blocks) for size, blocks in store.free.items())
