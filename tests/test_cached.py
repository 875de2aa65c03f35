"""Properties computed once, in any number of threads and in processes forked meanwhile."""

import os
import threading

import pytest

from stridiag._cached import cached_property


class Slow:
    """Its property calls what it is given."""

    def __init__(self, function):
        self.function = function

    @cached_property
    def value(self):
        """What the function gives."""
        return self.function()


def test_is_computed_once_and_can_be_forgotten():
    calls = []
    slow = Slow(lambda: calls.append(None) or len(calls))
    assert (slow.value, slow.value) == (1, 1)
    assert vars(slow)["value"] == 1
    del slow.value
    assert slow.value == 2


def test_an_error_is_not_kept():
    def fail():
        raise ValueError("not yet")

    slow = Slow(fail)
    with pytest.raises(ValueError, match="not yet"):
        _ = slow.value
    slow.function = lambda: 3
    assert slow.value == 3


def test_the_class_has_the_property():
    assert isinstance(Slow.value, cached_property)
    assert Slow.value.__doc__ == "What the function gives."


def test_two_instances_are_computed_at_the_same_time():
    both = threading.Barrier(2, timeout=30)
    numbers = []
    others = [threading.Thread(target=lambda: numbers.append(Slow(both.wait).value)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert sorted(numbers) == [0, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_while_another_thread_computes():
    within, leave = threading.Event(), threading.Event()

    def wait():
        within.set()
        return leave.wait(60)

    other = threading.Thread(target=lambda: Slow(wait).value)
    other.start()
    assert within.wait(30)
    child = os.fork()
    if child == 0:
        # In a thread: what never returns is not waited for.
        seen = []
        mine = threading.Thread(target=lambda: seen.append(Slow(lambda: 7).value), daemon=True)
        mine.start()
        mine.join(10)
        os._exit(0 if seen == [7] else 1)
    _, status = os.waitpid(child, 0)
    leave.set()
    other.join(60)
    assert os.waitstatus_to_exitcode(status) == 0
