"""The pool that runs kernels over ranges, and how many threads it may use."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from queue import SimpleQueue

import numba
import numpy as np
import pytest

import stridiag
from stridiag._kernels import thread_count, threads
from stridiag._kernels.threads import run_ranges


@pytest.fixture(autouse=True)
def _default_afterwards():
    yield
    stridiag.set_num_threads(None)


@pytest.fixture
def interruptible():
    # What a shell starts in the background ignores interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fresh(code, **environment):
    """Run code in a process of its own, whatever this one's limits are, and give what it prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def pieces_of(count, **options):
    seen = []
    run_ranges(lambda first, last: seen.append((first, last)), count, **options)
    return sorted(seen)


@pytest.mark.parametrize("threads_allowed", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 64, 1000])
@pytest.mark.parametrize("grain", [1, 8, 2000])
@pytest.mark.parametrize("multiple", [None, 1, 6])
@pytest.mark.parametrize("each", [1, 3])
def test_pieces_make_up_the_range(threads_allowed, count, grain, multiple, each):
    with stridiag.num_threads(threads_allowed):
        pieces = pieces_of(count, grain=grain, multiple=multiple, pieces_per_thread=each)
    assert [i for first, last in pieces for i in range(first, last)] == list(range(count))
    assert all(first % (multiple or grain) == 0 for first, _ in pieces)
    assert len(pieces) <= max(1, min(threads_allowed, count // grain) * each)


def test_pieces_are_even_where_any_number_begins_one():
    at_rest()
    with stridiag.num_threads(2):
        assert pieces_of(56, grain=24) == [(0, 24), (24, 56)]
        at_rest()
        assert pieces_of(56, grain=24, multiple=1) == [(0, 28), (28, 56)]


def at_rest():
    """Wait until no worker is busy with going back to sleep."""
    end = time.perf_counter() + 30
    while threads._pool.running:
        assert time.perf_counter() < end
        time.sleep(0.001)


def meeting(parties):
    """Make a piece that ends only when so many pieces run at the same time."""
    at_rest()
    barrier = threading.Barrier(parties, timeout=30)
    names = []

    def piece(first, last):
        names.append(threading.current_thread().name)
        barrier.wait()

    return piece, names


@pytest.mark.parametrize("count", [2, 3, 5])
def test_pieces_run_at_the_same_time_and_one_on_the_callers_thread(count):
    piece, names = meeting(count)
    with stridiag.num_threads(count):
        run_ranges(piece, count)
    assert len(set(names)) == count
    assert names.count(threading.current_thread().name) == 1


def test_little_work_and_one_thread_touch_no_pool(monkeypatch):
    monkeypatch.setattr(threads._Pool, "take", lambda *_: pytest.fail("the pool was asked"))
    with stridiag.num_threads(4):
        assert pieces_of(10, grain=10) == [(0, 10)]
        assert pieces_of(19, grain=10) == [(0, 19)]
    with stridiag.num_threads(1):
        assert pieces_of(10) == [(0, 10)]


@pytest.mark.parametrize("place", ["caller", "worker"])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_a_piece_raises_reaches_the_caller(place, kind):
    at_rest()
    home = threading.current_thread()
    finished = []
    begun = threading.Barrier(2, timeout=30)

    def piece(first, last):
        begun.wait()
        if (threading.current_thread() is home) == (place == "caller"):
            raise kind("from a piece")
        time.sleep(0.05)
        finished.append(first)

    with stridiag.num_threads(2):
        with pytest.raises(kind, match="from a piece"):
            run_ranges(piece, 2)
        # The other piece was waited for, and the pool works as before.
        assert len(finished) == 1
        piece, names = meeting(2)
        run_ranges(piece, 2)
    assert len(set(names)) == 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system does not send signals to threads")
@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_an_interrupt_while_waiting_lets_pieces_end(interruptible, seconds):
    # The caller still looks for the other piece when it is interrupted, or sleeps already.
    at_rest()
    home = threading.current_thread()
    finished = []
    begun = threading.Barrier(2, timeout=30)

    def piece(first, last):
        begun.wait()
        if threading.current_thread() is not home:
            time.sleep(seconds)
            signal.pthread_kill(home.ident, signal.SIGINT)
            time.sleep(seconds)
            finished.append(first)

    def call():
        run_ranges(piece, 2)
        time.sleep(1)  # where the signal is late

    with stridiag.num_threads(2):
        with pytest.raises(KeyboardInterrupt):
            call()
        assert len(finished) == 1
        piece, names = meeting(2)
        run_ranges(piece, 2)
    assert len(set(names)) == 2


def test_an_interrupt_when_a_wait_has_just_ended_does_not_wait_for_ever(monkeypatch):
    # What a queue has given is lost then.
    class Interrupting(SimpleQueue):
        def get(self):
            super().get()
            raise KeyboardInterrupt

    at_rest()
    home = threading.current_thread()
    begun = threading.Barrier(2, timeout=30)
    finished = []

    def piece(first, last):
        begun.wait()
        if threading.current_thread() is not home:
            time.sleep(0.1)
            finished.append(first)

    monkeypatch.setattr(threads, "SimpleQueue", Interrupting)
    with stridiag.num_threads(2), pytest.raises(KeyboardInterrupt):
        run_ranges(piece, 2)
    assert len(finished) == 1


def test_an_interrupt_when_the_callers_pieces_have_just_ended_lets_others_end(monkeypatch):
    at_rest()
    home = threading.current_thread()
    begun = threading.Barrier(2, timeout=30)
    finished, work = [], threads._Call.work

    def interrupted(self, *piece):
        result = work(self, *piece)
        if threading.current_thread() is home:
            raise KeyboardInterrupt
        return result

    def piece(first, last):
        begun.wait()
        if threading.current_thread() is not home:
            time.sleep(0.1)
            finished.append(first)

    monkeypatch.setattr(threads._Call, "work", interrupted)
    with stridiag.num_threads(2), pytest.raises(KeyboardInterrupt):
        run_ranges(piece, 2)
    assert len(finished) == 1


@pytest.mark.parametrize("allowed", [2, 4])
def test_calls_one_after_another_at_any_distance(allowed):
    # Workers are found resting, falling asleep and sleeping, and callers look for them or sleep.
    out = np.zeros(40, np.int64)

    def piece(first, last):
        out[first:last] += 1
        if first % 3 == 2:
            time.sleep(1e-5 * (first % 7))

    with stridiag.num_threads(allowed):
        for k in range(600):
            run_ranges(piece, 40, pieces_per_thread=1 + k % 3)
            end = time.perf_counter() + 1e-6 * (k % 100)
            while time.perf_counter() < end:
                pass
    assert (out == 600).all()
    at_rest()


def test_without_compiled_code_callers_and_workers_sleep():
    code = """
        import threading
        import stridiag
        from stridiag._kernels import polling
        from stridiag._kernels.threads import run_ranges

        stridiag.set_num_threads(2)
        barrier = threading.Barrier(2, timeout=30)
        for _ in range(20):
            run_ranges(lambda first, last: barrier.wait(), 2)
        print(polling.await_count is polling._await_plain)
    """
    assert fresh(code, NUMBA_DISABLE_JIT="1") == ["True"]


def test_pieces_not_begun_are_dropped_after_an_error():
    count = []

    def piece(first, last):
        count.append(first)
        raise ValueError("stop")

    with stridiag.num_threads(2), pytest.raises(ValueError, match="stop"):
        run_ranges(piece, 1000, pieces_per_thread=500)
    assert len(count) <= 2


def test_a_call_within_a_piece_runs_there():
    inner = []

    def piece(first, last):
        if threading.current_thread().name.startswith("stridiag-"):
            run_ranges(lambda a, b: inner.append((threading.current_thread().name, a, b)), 100)
        barrier.wait()

    at_rest()
    barrier = threading.Barrier(2, timeout=30)
    with stridiag.num_threads(2):
        run_ranges(piece, 2)
    assert [(a, b) for _, a, b in inner] == [(0, 100)]


def test_a_call_within_the_callers_piece_does_not_wait():
    with stridiag.num_threads(2):
        run_ranges(lambda a, b: run_ranges(lambda c, d: run_ranges(lambda *_: None, 10), 10), 10)


def test_callers_share_the_threads_and_never_wait_for_each_other():
    # Eight callers that may use three threads each: while one has the workers, the others do their pieces themselves.
    lock = threading.Lock()
    sums = np.zeros(8)
    most, now = 0, 0
    begin = threading.Barrier(8, timeout=30)

    def caller(mine):
        begin.wait()
        for _ in range(200):
            out = np.zeros(64)

            def piece(first, last, out=out):
                nonlocal most, now
                with lock:
                    now += 1
                    most = max(most, now)
                out[first:last] = np.arange(first, last)
                with lock:
                    now -= 1

            run_ranges(piece, 64)
            sums[mine] += out.sum()

    stridiag.set_num_threads(3)
    users = [threading.Thread(target=caller, args=(k,)) for k in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert list(sums) == [200 * 63 * 32] * 8
    assert most <= 8 + 2
    at_rest()


def test_a_second_caller_gets_no_worker_while_all_threads_are_at_work():
    # Two threads are allowed; another caller holds both. This one does its work alone, at once.
    at_rest()
    inside, leave = threading.Barrier(3, timeout=30), threading.Event()

    def hold(first, last):
        inside.wait()
        leave.wait(30)

    stridiag.set_num_threads(2)
    other = threading.Thread(target=run_ranges, args=(hold, 2))
    other.start()
    inside.wait()
    assert pieces_of(100) == [(0, 100)]
    leave.set()
    other.join(30)
    assert not other.is_alive()


def test_nothing_of_a_call_is_kept():
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    piece, _ = meeting(2)

    def uses(first, last, big=big):
        piece(first, last)

    with stridiag.num_threads(2):
        run_ranges(uses, 2)
    del big, uses
    for _ in range(100):
        gc.collect()
        if gone() is None:
            break
        time.sleep(0.01)
    assert gone() is None


def test_threads_that_cannot_be_started_are_done_without(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", threads._Pool())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with stridiag.num_threads(4):
        assert pieces_of(8) == [(0, 8)]


# ---------------------------------------------------------------- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_a_pool_of_its_own():
    code = """
        import os, threading, warnings
        import stridiag
        from stridiag._kernels.threads import run_ranges
        warnings.simplefilter("ignore", DeprecationWarning)

        def together():
            barrier = threading.Barrier(2, timeout=30)
            run_ranges(lambda first, last: barrier.wait(), 2)

        stridiag.set_num_threads(2)
        together()
        child = os.fork()
        together()
        if child:
            print(os.waitpid(child, 0)[1])
    """
    assert fresh(code) == ["0"]


def test_the_interpreter_ends_with_workers_asleep_and_at_work():
    code = """
        import atexit, threading, time
        import stridiag

        # Registered first, so run last: the pool is closed by then.
        atexit.register(lambda: run_ranges(lambda a, b: print(a, b), 5))
        from stridiag._kernels.threads import run_ranges

        stridiag.set_num_threads(3)
        barrier = threading.Barrier(3, timeout=30)
        run_ranges(lambda first, last: barrier.wait(), 3)
        inside = threading.Barrier(4, timeout=30)

        def slow(first, last):
            inside.wait()
            time.sleep(30)

        threading.Thread(target=run_ranges, args=(slow, 3), daemon=True).start()
        inside.wait()
    """
    start = time.perf_counter()
    assert fresh(code) == ["0", "5"]
    assert time.perf_counter() - start < 20


# ---------------------------------------------------------------- how many


def test_set_and_reset():
    default = stridiag.get_num_threads()
    stridiag.set_num_threads(5)
    assert stridiag.get_num_threads() == 5
    with stridiag.num_threads(2):
        assert stridiag.get_num_threads() == 2
        with stridiag.num_threads(np.int64(3)):
            assert stridiag.get_num_threads() == 3
        assert stridiag.get_num_threads() == 2
    assert stridiag.get_num_threads() == 5
    stridiag.set_num_threads(None)
    assert stridiag.get_num_threads() == default


def test_a_block_is_one_threads_own():
    seen = []
    stridiag.set_num_threads(5)
    with stridiag.num_threads(2):
        other = threading.Thread(target=lambda: seen.append(stridiag.get_num_threads()))
        other.start()
        other.join()
    assert seen == [5]


@pytest.mark.parametrize("bad", [0, -1])
def test_too_few_threads_are_refused(bad):
    with pytest.raises(ValueError, match="at least 1, got"):
        stridiag.set_num_threads(bad)
    with pytest.raises(ValueError, match="at least 1, got"), stridiag.num_threads(bad):
        pass


@pytest.mark.parametrize("bad", [1.5, "2", True])
def test_no_number_is_refused(bad):
    with pytest.raises(TypeError, match="must be an integer, got"):
        stridiag.set_num_threads(bad)
    with pytest.raises(TypeError, match="must be an integer, got"), stridiag.num_threads(bad):
        pass


SAY = "import stridiag; print(stridiag.get_num_threads())"


@pytest.fixture
def processors(monkeypatch):
    """Pretend that the machine has 16 processors, all of them free, and the environment no wishes."""
    monkeypatch.setattr(thread_count, "_processors", lambda: 16)
    monkeypatch.setattr(thread_count, "_quota", lambda: sys.maxsize)
    # Numba reads the environment again when anything is compiled, in whichever thread.
    monkeypatch.setattr(numba.config._env_reloader, "update", lambda **_: None)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 16)
    monkeypatch.setattr(thread_count, "_numba_limit", lambda numba, otherwise: numba.config.NUMBA_NUM_THREADS)
    monkeypatch.setattr(thread_count._blas, "libraries", [])
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(thread_count._start, "cache", None)
    return monkeypatch


def test_all_processors_by_default(processors):
    assert stridiag.get_num_threads() == 16


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("OMP_NUM_THREADS", "3", 3),
        ("NUMBA_NUM_THREADS", "2", 2),
        ("OMP_NUM_THREADS", "4,2", 4),
        ("OMP_NUM_THREADS", "", 16),
        ("OMP_NUM_THREADS", "many", 16),
        ("OMP_NUM_THREADS", "0", 16),
        ("OMP_NUM_THREADS", "64", 16),
    ],
)
def test_environment(processors, name, value, count):
    processors.setenv(name, value)
    assert stridiag.get_num_threads() == count


def test_quota(processors):
    processors.setattr(thread_count, "_quota", lambda: 2)
    assert stridiag.get_num_threads() == 2


def test_numbas_configuration(processors):
    processors.setattr(numba.config, "NUMBA_NUM_THREADS", 3)
    assert stridiag.get_num_threads() == 3


def test_environment_in_a_fresh_process():
    assert fresh(SAY, OMP_NUM_THREADS="1") == ["1"]
    assert fresh(SAY, NUMBA_NUM_THREADS="1") == ["1"]
    assert (
        fresh(SAY + "; import stridiag.linalg; print(stridiag.get_num_threads())", NUMBA_NUM_THREADS="1") == ["1"] * 2
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + SAY
    assert fresh(code) == ["1"]


def test_numbas_setting_counts_once_made_and_asking_starts_no_threads():
    code = """
        import numba, numba.np.ufunc.parallel as parallel
        import stridiag
        print(stridiag.get_num_threads() <= 2, parallel._is_initialized)
        numba.set_num_threads(1)
        print(stridiag.get_num_threads(), parallel._is_initialized)
    """
    assert fresh(code, NUMBA_NUM_THREADS="2") == ["True", "False", "1", "True"]


def test_limit_of_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    if not threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers:
        pytest.skip("numpy's BLAS is none that threadpoolctl knows")
    before = stridiag.get_num_threads()
    with threadpoolctl.threadpool_limits(1):
        assert stridiag.get_num_threads() == 1
        with stridiag.num_threads(3):
            assert stridiag.get_num_threads() == 3
    assert stridiag.get_num_threads() == before


def test_a_blas_without_threads_says_nothing(processors):
    pytest.importorskip("threadpoolctl")

    class Library:
        num_threads = 1
        threading_layer = "disabled"

    class Controller:
        lib_controllers = (Library(),)

        def select(self, **_):
            return self

    processors.setattr("threadpoolctl.ThreadpoolController", Controller)
    processors.setattr(thread_count._blas, "libraries", None)
    assert stridiag.get_num_threads() == 16


def test_asking_is_cheap():
    stridiag.get_num_threads()
    times = []
    for _ in range(200):
        start = time.perf_counter()
        stridiag.get_num_threads()
        times.append(time.perf_counter() - start)
    assert min(times) < 20e-6


# ---------------------------------------------------------------- within other pools


def test_within_loky():
    joblib = pytest.importorskip("joblib")

    def threads_in_a_worker_process():
        # A function within a function, which goes to the other process by value.
        import stridiag

        return stridiag.get_num_threads()

    jobs = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else multiprocessing.cpu_count())
    with joblib.parallel_config(backend="loky", n_jobs=jobs):
        counts = joblib.Parallel()(joblib.delayed(threads_in_a_worker_process)() for _ in range(jobs))
    assert counts == [1] * jobs


def test_within_joblibs_threads():
    joblib = pytest.importorskip("joblib")
    lock = threading.Lock()
    now, most = 0, 0

    def piece(first, last):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1

    stridiag.set_num_threads(4)
    joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(run_ranges)(piece, 100) for _ in range(60))
    # Four callers, and at first perhaps the workers of the first: not four times four.
    assert most <= 7
