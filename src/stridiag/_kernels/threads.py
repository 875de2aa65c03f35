"""A small pool of threads that runs kernels over ranges of work.

Kernels release the interpreter's lock, so plain threads are enough: no OpenMP, no parallel compilation. A call adds
some 10 microseconds to the longest of its pieces where another call came shortly before it, and up to 50 where the
workers sleep and the processors with them.

Who waits looks for some 50 microseconds for what it waits for, and then sleeps: the caller after its own pieces, until
the others are done; a worker after a call, for the next one, since an operation is often several calls. So a thread
burns no more than that for a call and a worker, and nothing at all where one thread is used.

A call hands pieces only to workers that are idle at that moment and does the rest itself; it waits for pieces that
have begun, never for one that has not. So no call waits for another call's work, and none can block another, from
whichever thread it comes. All calls together run on as many threads as one call may have, as long as they can: what
runs within a pool of other threads does not get a pool of its own each.

Pieces never influence a result: what is cut into pieces is cut by the structure, and each unit of work is computed
the same way in whichever piece it lies.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue

from stridiag._kernels import polling
from stridiag._kernels.shared_units import Units, new_units
from stridiag._kernels.thread_count import forget_the_environment, get_num_threads, use_one_thread

__all__ = ["run_ranges", "run_shared"]

Piece = Callable[[int, int], object]


def run_ranges(
    function: Piece, count: int, *, grain: int = 1, multiple: int | None = None, pieces_per_thread: int = 1
) -> None:
    """Call ``function(first, last)`` for contiguous pieces that make up ``range(count)``, on several threads.

    Parameters
    ----------
    function : callable
        Called once for each piece; it should call one kernel and do little else, since Python code runs on one thread
        at a time. What it computes for a unit must not depend on the piece that the unit lies in.
    count : int
        The number of units of work; with 0, nothing is called.
    grain : int
        No thread is there for less: give the number of units that take 50 microseconds or more, so that two threads
        are faster than one even if one of them has to be woken first.
    multiple : int, optional
        Pieces begin at multiples of it; by default of the grain.
    pieces_per_thread : int
        More than 1 evens out a machine that is busy with other things: who is done takes the next piece. No piece is
        less than a grain: threads that often come for another one wait for each other at the interpreter's lock.

    Raises
    ------
    BaseException
        What a piece raised, once no piece runs any more; of several, one. The pieces that had not begun are dropped.
    """
    if count < 2 * grain:
        if count > 0:
            function(0, count)
        return
    threads = min(get_num_threads(), count // grain)
    if threads == 1:
        function(0, count)
        return
    multiple = grain if multiple is None else multiple
    units = -(-count // multiple)
    pool = _pool
    call = _Call(function)
    workers = pool.take(threads)
    try:
        each = min(pieces_per_thread, count // (threads * grain))
        parts = min(units, (len(workers) + 1) * each) if workers else 1
        cuts = [multiple * (units * part // parts) for part in range(parts)] + [count]
        call.pieces.extend(pairwise(cuts[1:]))
        problem: BaseException | None = None
        try:
            # The last before the caller's own piece: who wakes finds the interpreter's lock free.
            pool.wake(workers, call)
            call.work((0, cuts[1]))
        except BaseException as error:
            call.pieces.clear()
            problem = error
        while True:
            try:
                call.wait()
                break
            except BaseException as error:  # an interrupt: the pieces that run still write to the caller's arrays
                call.pieces.clear()
                problem = error
        if problem is None and call.problems:
            problem = call.problems[0]
        # Their tracebacks hold the call.
        call.problems.clear()
    finally:
        pool.leave(workers, call)
    if problem is not None:
        try:
            raise problem
        finally:
            # The traceback holds this frame, and this frame would hold the traceback.
            del problem


def run_shared(function: Callable[[Units, bool], object], count: int, *, grain: int = 1) -> None:
    """Call ``function(units, from_end)`` on several threads, which share the units of ``range(count)`` among them.

    For kernels that take one unit after another while they run (`stridiag._kernels.shared_units`): a thread that comes
    late, or that the data has a long way to, does less. So they are worth a second thread from less work on than pieces
    that are cut beforehand.

    Parameters
    ----------
    function : callable
        As for `run_ranges`; it hands both arguments to its kernel.
    count : int
        The number of units, of some 10 microseconds or more: none is divided.
    grain : int
        No thread is there for less units.
    """
    if count > 0:
        units = new_units(0, count)
        run_ranges(lambda first, last: function(units, first > 0), max(1, count // grain))


class _Call:
    """One call's pieces: whoever comes takes the next one.

    What is waited for is told by the lists of who has entered and who has left, and by nothing that a function returns:
    an interrupt may come when it has returned, before its caller has what it gave.
    """

    __slots__ = ("done", "entered", "function", "left", "pieces", "problems", "settled")

    def __init__(self, function: Piece) -> None:
        self.function = function
        self.pieces: deque[tuple[int, int]] = deque()
        # Workers: each enters before it takes a piece, and leaves when it has none any more.
        self.entered: list[_Worker] = []
        self.left: list[_Worker] = []
        self.problems: list[BaseException] = []
        # What wakes the caller, once for each worker that has left.
        self.done: SimpleQueue[None] = SimpleQueue()
        # How many have left: to look at, while the lists are what counts.
        self.settled = polling.new_counter()

    def work(self, piece: tuple[int, int] | None = None) -> None:
        """Do pieces until none is left to begin; if one raises, no other begins."""
        try:
            while True:
                if piece is None:
                    try:
                        piece = self.pieces.popleft()
                    except IndexError:
                        return
                self.function(*piece)
                piece = None
        except BaseException:  # an interrupt too: others may still write to the caller's arrays
            self.pieces.clear()
            raise

    def help(self, worker: _Worker) -> None:
        """Do pieces, in a worker's thread."""
        self.entered.append(worker)
        try:
            self.work()
        except BaseException as error:
            self.problems.append(error)

    def wait(self) -> None:
        """Return once every worker that has taken a piece has left, if no piece is left to begin."""
        turns = polling.TURNS
        while len(self.left) < len(self.entered):
            if turns:
                polling.await_count(self.settled, len(self.entered), turns)
                turns = 0
            else:
                self.done.get()


class _Worker:
    """A thread that rests, and then sleeps, until it is handed a call."""

    def __init__(self, pool: _Pool, number: int) -> None:
        # All of these belong to whoever holds the pool's lock.
        self.call: _Call | None = None
        self.called = False
        self.end = False
        # How often the bell has been rung, for who rests; and a lock, which wakes a thread that sleeps as fast as
        # anything that Python has.
        self.rings = 0
        self.rung = polling.new_counter()
        self.bell = threading.Lock()
        self.bell.acquire()
        self.thread = threading.Thread(target=self._run, args=(pool,), name=f"stridiag-{number}", daemon=True)
        self.thread.start()

    def ring(self) -> None:
        """Wake the thread, unless it has been called already and is not awake yet."""
        if not self.called:
            self.called = True
            self.rings += 1
            polling.set_count(self.rung, self.rings)
            self.bell.release()

    def _run(self, pool: _Pool) -> None:
        # What a worker runs is one of several pieces already, and asks for no further threads.
        use_one_thread()
        while True:
            self.bell.acquire()
            with pool.lock:
                call, self.call = self.call, None
                self.called = False
                heard = self.rings
                if self.end:
                    return
            if call is None:  # its caller needed no help after all
                continue
            call.help(self)
            left, done, counter = call.left, call.done, call.settled
            # Nothing of a finished call, whose arrays may be large, is kept by a thread that sleeps. And it is at hand
            # again before the caller hears of it, who may begin the next call at once.
            del call
            with pool.lock:
                pool.running -= 1
                pool.idle.append(self)
            left.append(self)
            done.put(None)
            del left, done
            polling.count_and_rest(counter, 1, self.rung, heard, polling.TURNS)


class _Pool:
    """Workers, made when first needed and kept, and the number of threads that are at work."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[_Worker] = []
        self.made = 0
        self.running = 0
        self.closed = False

    def take(self, threads: int) -> list[_Worker]:
        """Give the workers that a caller may use who wants so many threads, itself among them, at work in all."""
        taken: list[_Worker] = []
        with self.lock:
            self.running += 1
            while self.running < threads and not self.closed:
                if not self.idle and not self._make(threads):
                    break
                taken.append(self.idle.pop())
                self.running += 1
        return taken

    def _make(self, threads: int) -> bool:
        if self.made >= threads - 1:
            return False
        try:
            self.idle.append(_Worker(self, self.made + 1))
        except RuntimeError:  # no more threads to be had, or the interpreter is about to end
            return False
        self.made += 1
        return True

    def wake(self, workers: list[_Worker], call: _Call) -> None:
        """Hand a call to workers that were taken for it."""
        if workers:
            with self.lock:
                for worker in workers:
                    worker.call = call
                    worker.ring()

    def leave(self, workers: list[_Worker], call: _Call) -> None:
        """End a call: take back the workers that are not awake yet; the others see to themselves."""
        with self.lock:
            self.running -= 1
            for worker in workers:
                if worker.call is call:
                    worker.call = None
                    self.running -= 1
                    self.idle.append(worker)

    def close(self) -> None:
        """End the workers that sleep; later calls run on their callers' threads alone."""
        with self.lock:
            self.closed = True
            idle, self.idle = self.idle, []
            for worker in idle:
                worker.end = True
                worker.ring()
        for worker in idle:
            worker.thread.join()


_pool = _Pool()
# At the interpreter's end no worker is left that could wake up in it.
atexit.register(lambda: _pool.close())


def _forget() -> None:
    """Begin anew in a forked process, where the parent's threads do not exist and its locks may never be released."""
    global _pool
    _pool = _Pool()
    forget_the_environment()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
