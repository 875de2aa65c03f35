"""Memory that goes from one array to the next, and never to two at a time."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import stridiag
from stridiag import _recycled, _results
from stridiag._recycled import KEPT, KEPT_RESULTS, LARGE_PAGE, LARGEST, recycled

MIB = 1 << 20


@pytest.fixture(autouse=True)
def store(monkeypatch):
    fresh = _recycled._Store(KEPT)
    monkeypatch.setattr(_recycled, "_small", fresh)
    return fresh


@pytest.fixture(autouse=True)
def large(monkeypatch):
    fresh = _recycled._PageStore(KEPT_RESULTS)
    monkeypatch.setattr(_recycled, "_large", fresh)
    return fresh


def result(mib, kind=np.float64):
    """An array of so many MiB, as solutions are made."""
    kind = np.dtype(kind)
    return _results.fresh((mib * MIB // (8 * kind.itemsize), 8), kind)


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


# ------------------------------------------------------------------------------------------------- large results


@pytest.mark.parametrize("mib", [16, 24, 50, 122])
def test_a_result_lies_where_an_earlier_one_lay(mib, large):
    x = result(mib)
    place = x.ctypes.data
    assert place % LARGE_PAGE == 0
    x[:] = 1.0
    row = x[3]
    del x
    gc.collect()
    assert large.kept == 0
    other = result(mib)
    assert other.ctypes.data != place
    other[:] = 2.0
    assert (row == 1.0).all()
    del row
    gc.collect()
    assert large.kept >= mib * MIB
    assert result(mib).ctypes.data == place


@pytest.mark.parametrize("mib", [1, 15, 129])
def test_other_results_are_not_kept(mib, large):
    x = result(mib)
    x[:] = 1.0
    assert x.ctypes.data % 64 == 0
    del x
    gc.collect()
    assert large.kept == large.made == 0


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.complex128])
def test_a_result_is_an_ordinary_array(kind):
    x = result(16, kind)
    assert (type(x), x.dtype, x.shape[1]) == (np.ndarray, np.dtype(kind), 8)
    assert x.flags.c_contiguous
    assert x.flags.writeable
    assert x.flags.aligned
    x[...] = np.arange(8)
    assert (pickle.loads(pickle.dumps(x[:100])) == x[:100]).all()
    twin = copy.deepcopy(x)
    assert twin.flags.owndata
    assert not np.shares_memory(x, twin)
    assert np.shares_memory(x, x[5:].T)
    assert (twin == x).all()
    # As for any view.
    with pytest.raises(ValueError, match="resize"):
        x.resize((1, 8))


def test_only_new_memory_is_prepared():
    given = []
    shape, kind = (2 * MIB, 1), np.dtype(np.float64)
    x = _recycled.result(shape, kind, lambda memory: given.append(memory.size))
    assert given == [16 * MIB]
    del x
    gc.collect()
    _recycled.result(shape, kind, lambda memory: given.append(memory.size))
    assert given == [16 * MIB]


def test_no_more_results_are_kept_than_is_stated(large):
    held = [result(48) for _ in range(5)]
    del held
    gc.collect()
    assert 0 < large.kept <= KEPT_RESULTS
    assert large.kept == sum(size * len(blocks) for size, blocks in large.free.items())


def test_memory_is_released_on_demand(store, large):
    held = [result(16), result(48), recycled(20_000)]
    del held
    gc.collect()
    assert large.kept
    assert store.kept
    stridiag.release_memory()
    assert (large.kept, large.free, store.kept, store.free) == (0, {}, 0, {})
    # And goes on as before.
    x = result(16)
    del x
    gc.collect()
    assert large.kept == 16 * MIB


def test_a_limit_can_be_set(large):
    stridiag.release_memory(most=20 * MIB)
    small, big = result(16), result(48)
    del big
    gc.collect()
    assert large.kept == 0
    del small
    gc.collect()
    assert large.kept == 16 * MIB
    x = result(16)
    stridiag.release_memory(most=0)
    x[:] = 3.0
    del x
    gc.collect()
    assert large.kept == 0
    with pytest.raises(ValueError, match="at least 0, got -1"):
        stridiag.release_memory(most=-1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells about a process")
def test_the_system_may_take_what_nobody_uses():
    def lent():
        with open("/proc/self/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("LazyFree:")) << 10

    x = result(48)
    x[:] = 1.0
    before = lent()
    del x
    gc.collect()
    assert lent() - before >= 40 * MIB
    x = result(48)
    x[:] = 2.0
    assert lent() == before
    assert (x == 2.0).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_begins_with_nothing_and_leaves_the_parents_alone():
    code = """
import gc, os, sys, numpy as np
from stridiag import _recycled, _results
kind = np.dtype(float)
x, y = (_results.fresh((1 << 21, 1), kind) for _ in range(2))
x[:], y[:] = 1.0, 2.0
del y
kept = _recycled._large.kept
child = os.fork()
if child == 0:
    z = _results.fresh((1 << 21, 1), kind)
    z[:] = 3.0
    fine = _recycled._large.made == 1 and (x == 1.0).all()
    x[:] = 4.0
    os._exit(0 if fine else 1)
_, status = os.waitpid(child, 0)
assert status == 0 and (x == 1.0).all() and kept == _recycled._large.kept > 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_large_inverse_is_a_result_and_a_small_one_an_ordinary_array(large):
    chain = {-1: -1.0, 0: 2.5, 1: -1.0}
    made = [stridiag.StridiagMatrix.from_diagonals(chain, shape=n).factor().inverse() for n in (100, 1500)]
    assert made[0].flags.owndata
    assert large.made == 1


def test_results_that_outlive_the_library_do_no_harm():
    code = (
        "import numpy as np; from stridiag import _results; x = _results.fresh((1 << 21, 1), np.dtype(float)); x.sum()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_solutions_that_are_held_are_never_written_to():
    A = stridiag.random(40_000, (-1, 0, 1), rng=0).with_values(np.repeat([1.0, 4.0, 1.0], [39_999, 40_000, 39_999]))
    F, b = A.factor(), np.random.default_rng(0).standard_normal((40_000, 64))
    x = F.solve(b)
    first = x.copy()
    again = [F.solve(-b), F.solve(2 * b), A @ b]
    assert (x == first).all()
    assert (again[0] == -first).all()
    assert (again[1] == 2 * first).all()
    del again
    gc.collect()
    # In memory that was used before.
    assert (F.solve(b) == first).all()
