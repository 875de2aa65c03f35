"""Looking for what another thread does."""

import threading
import time

import pytest

import stridiag
from stridiag._kernels import polling
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.threads import run_ranges

FOREVER = 1 << 40

compiled = pytest.mark.skipif(not COMPILES, reason="the plain twins do not look")


def value(counter):
    return int(counter[counter != 0].sum())


def test_counters_begin_at_zero_and_are_set():
    counter = polling.new_counter()
    assert not counter.any()
    polling.set_count(counter, 7)
    assert value(counter) == 7


@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_counting_adds_and_leaves_the_bell_alone(form):
    count = polling.count_and_rest if form == "compiled" else polling._count_plain
    counter, bell = polling.new_counter(), polling.new_counter()
    for more in (3, 0, 4):
        count(counter, more, bell, 0, 5)
    assert value(counter) == 7
    assert not bell.any()


@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_waiting_changes_nothing_and_ends(form):
    wait = polling.await_count if form == "compiled" else polling._await_plain
    counter = polling.new_counter()
    wait(counter, 1, 100)
    polling.set_count(counter, 2)
    wait(counter, 2, FOREVER)
    wait(counter, 1, FOREVER)
    assert value(counter) == 2


@compiled
def test_what_another_thread_counts_is_seen():
    # Each thread waits without an end of its own for what the other does: neither holds the interpreter's lock.
    counter, bell = polling.new_counter(), polling.new_counter()
    done = []

    def rest():
        polling.count_and_rest(counter, 1, bell, 0, FOREVER)
        done.append(True)

    other = threading.Thread(target=rest, daemon=True)
    other.start()
    polling.await_count(counter, 1, FOREVER)
    assert value(counter) == 1
    time.sleep(0.02)
    assert not done
    polling.set_count(bell, 1)
    other.join(30)
    assert done


@compiled
def test_no_count_is_lost():
    counter, bell = polling.new_counter(), polling.new_counter()

    def count():
        for _ in range(5000):
            polling.count_and_rest(counter, 1, bell, 0, 0)

    others = [threading.Thread(target=count) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert value(counter) == 20_000


@compiled
def test_looking_takes_some_time_and_not_long():
    counter, bell = polling.new_counter(), polling.new_counter()
    shortest = {}
    for name, look in {
        "wait": lambda: polling.await_count(counter, 1, polling.TURNS),
        "rest": lambda: polling.count_and_rest(counter, 0, bell, 0, polling.TURNS),
    }.items():
        times = []
        for _ in range(30):
            start = time.perf_counter()
            look()
            times.append(time.perf_counter() - start)
        shortest[name] = min(times)
    assert all(5e-6 < took < 1e-3 for took in shortest.values()), shortest


@compiled
def test_threads_call_what_was_loaded():
    polling.load()
    at_work = threading.Barrier(2, timeout=30)
    with stridiag.num_threads(2):
        for _ in range(3):
            run_ranges(lambda first, last: at_work.wait(), 2)
    # None was compiled for other types.
    assert [len(look.signatures) for look in (polling.await_count, polling.count_and_rest)] == [1, 1]
