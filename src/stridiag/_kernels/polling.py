"""Looking for a moment whether another thread has come so far, before going to sleep.

To wake a thread that sleeps takes the operating system 10 to 50 microseconds, as long as many a piece of work takes.
Who expects to be called, or another to be done, within that time looks for it without pause, with the interpreter's
lock released, for some `TURNS`, and only then goes to sleep.

Nothing depends on what is seen, or on when: who has looked asks a lock or a queue, which wait as long as they must.
So the plain twins need not look at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import vector_kernel

__all__ = ["PLACE", "TURNS", "add", "await_count", "count_and_rest", "load", "new_counter", "set_count"]

Counter = NDArray[np.int64]

TURNS = 12_000
"""How often is looked: some 50 microseconds."""

# From the sight of a call to its being answered: 6 microseconds, in which the caller goes on to a kernel of its own
# and releases the interpreter's lock. Who asks for the lock before that is put to sleep by it.
_BACK = 1500

PLACE = 8
"""Where a counter stands in its array: amid so many bytes that nothing of another array is in its cache line."""

_SIZE = 2 * PLACE

# Its own annotations describe the function that is decorated, not the one that comes out.
intrinsic: Any = extending.intrinsic


def new_counter() -> Counter:
    """Return a counter that stands at 0."""
    return np.zeros(_SIZE, np.int64)


def set_count(counter: Counter, count: int) -> None:
    """Set a counter that no other thread sets."""
    counter[PLACE] = count


def _address(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    data = context.make_array(sig.args[0])(context, builder, args[0]).data
    return builder.gep(data, [ir.Constant(ir.IntType(64), PLACE)])


@intrinsic
def _seen(typing: Any, counter: Any) -> Any:
    """Read a counter; anew at each turn of a loop, where a compiler would read a plain number once."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, sig, args), "acquire", 8)

    return types.int64(counter), emit


@intrinsic
def add(typing: Any, counter: Any, more: Any) -> Any:
    """Add to a counter, whatever others add at the same time, and return what it stood at."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[1], sig.args[1], types.int64)
        return builder.atomic_rmw("add", _address(context, builder, sig, args), number, "seq_cst")

    return types.int64(counter, more), emit


def _await_plain(counter: Counter, least: int, turns: int) -> float:
    return 0.0


@vector_kernel(_await_plain)
def await_count(counter: Counter, least: int, turns: int) -> float:
    """Return once a counter has come to `least`, or after so many turns; what is returned means nothing."""
    number = 1.0
    for _ in range(turns):
        if _seen(counter) >= least:
            break
        # A division takes its time, on every processor, and leaves the memory alone.
        number = 1.0 / (number + 1.0)
    return number


def _count_plain(counter: Counter, more: int, bell: Counter, heard: int, turns: int) -> float:
    counter[PLACE] += more
    return 0.0


@vector_kernel(_count_plain)
def count_and_rest(counter: Counter, more: int, bell: Counter, heard: int, turns: int) -> float:
    """Add to one counter, and return once another is not as it was `heard`, or after so many turns.

    Both in one call, so that who awaits the count finds the interpreter's lock free.
    """
    add(counter, more)
    number = 1.0
    for _ in range(turns):
        if _seen(bell) != heard:
            for _ in range(_BACK):
                number = 1.0 / (number + 1.0)
            break
        number = 1.0 / (number + 1.0)
    return number


def load() -> None:
    """Compile what looks, or load it from the cache, before two threads need it."""
    counter = new_counter()
    await_count(counter, 0, 0)
    count_and_rest(counter, 0, counter, 0, 0)
