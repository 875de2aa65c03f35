"""Units of work that threads take one by one."""

import threading

import numpy as np
import pytest

import stridiag
from stridiag._kernels import threads
from stridiag._kernels.compile import COMPILES, kernel
from stridiag._kernels.shared_units import new_units, take, take_the_rest
from stridiag._kernels.threads import run_shared


@kernel
def take_compiled(units, from_end):
    return take(units, from_end)


@kernel
def take_the_rest_compiled(units):
    take_the_rest(units)


@kernel
def note_all(units, from_end, noted):
    taken = 0
    unit = take(units, from_end)
    while unit >= 0:
        noted[unit] += 1
        taken += 1
        unit = take(units, from_end)
    return taken


FORMS = {"plain": (take, take_the_rest), "compiled": (take_compiled, take_the_rest_compiled)}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@forms
@pytest.mark.parametrize(("first", "last"), [(0, 7), (3, 4), (5, 5), (10, 16)])
@pytest.mark.parametrize("ends", [[False], [True], [False, True], [True, False, False]], ids=str)
def test_each_unit_is_taken_once_from_its_end(form, first, last, ends):
    units, left, turn = new_units(first, last), list(range(first, last)), 0
    while left:
        from_end = ends[turn % len(ends)]
        assert form[0](units, from_end) == left.pop(-1 if from_end else 0)
        turn += 1
    assert [form[0](units, from_end) for from_end in (False, True, False)] == [-1, -1, -1]


@forms
@pytest.mark.parametrize("from_end", [False, True])
def test_the_rest_is_nobodys(form, from_end):
    units = new_units(0, 1000)
    assert form[0](units, from_end) == (999 if from_end else 0)
    form[1](units)
    assert form[0](units, False) == form[0](units, True) == -1


@pytest.mark.skipif(not COMPILES, reason="takes long without compiled code")
def test_no_unit_is_lost_or_taken_twice():
    noted, taken = np.zeros(200_000, np.int64), []
    units, begin = new_units(0, noted.size), threading.Barrier(4, timeout=30)
    note_all(new_units(0, 0), False, noted)

    def run(from_end):
        begin.wait()
        taken.append(note_all(units, from_end, noted))

    others = [threading.Thread(target=run, args=(k > 0,)) for k in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert (noted == 1).all()
    assert sum(taken) == noted.size


# ---------------------------------------------------------------- among the pool's threads


def sharing(*, late=None, count=20):
    """Share units among two threads, of which one, if that is said, begins when the other has done all it can."""
    doers, other_is_done = np.full(count, -1), threading.Event()

    def some(units, from_end):
        if from_end is late:
            assert other_is_done.wait(30)
        while (unit := take(units, from_end)) >= 0:
            assert doers[unit] == -1
            doers[unit] = from_end
        if from_end is not late:
            other_is_done.set()

    with stridiag.num_threads(2):
        run_shared(some, count)
    return doers


@pytest.mark.parametrize("late", [None, True, False], ids=["none", "helper", "caller"])
def test_who_comes_late_is_not_waited_for(late):
    end = threading.Event()
    while threads._pool.running:
        assert not end.wait(0.001)
    doers = sharing(late=late)
    if late is None:
        # The caller's units come first, whoever did more.
        assert (np.diff(doers) >= 0).all()
        assert (doers >= 0).all()
    else:
        assert (doers == (not late)).all()


@pytest.mark.parametrize(("count", "grain", "allowed"), [(1, 1, 4), (5, 3, 4), (100, 1, 1)])
def test_little_work_and_one_thread_touch_no_pool(monkeypatch, count, grain, allowed):
    monkeypatch.setattr(threads._Pool, "take", lambda *_: pytest.fail("the pool was asked"))
    calls = []

    def some(units, from_end):
        calls.append((note_all(units, from_end, noted), from_end))

    noted = np.zeros(count, np.int64)
    with stridiag.num_threads(allowed):
        run_shared(some, count, grain=grain)
    assert calls == [(count, False)]
    assert (noted == 1).all()


def test_nothing_to_do_is_not_called():
    run_shared(lambda *_: pytest.fail("called"), 0)


@pytest.mark.parametrize("place", [False, True], ids=["caller", "helper"])
def test_what_a_thread_raises_reaches_the_caller(place):
    both = threading.Barrier(2, timeout=30)

    def some(units, from_end):
        both.wait()
        if from_end is place:
            raise ValueError("from one of two")

    end = threading.Event()
    while threads._pool.running:
        assert not end.wait(0.001)
    with stridiag.num_threads(2), pytest.raises(ValueError, match="from one of two"):
        run_shared(some, 2)
