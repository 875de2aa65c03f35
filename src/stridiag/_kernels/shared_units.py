"""Units of work that several threads share while they compute: whoever is done with one takes the next.

The caller takes units from the front, helpers take them from the end, so that from call to call each finds most of its
rows in its own cache. A helper that comes late, or is far away, does less; the others never wait for more than the unit
that it is at. One atomic addition takes a unit: no lock, neither the interpreter's nor another.

Which thread has taken a unit must not matter for what is computed.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_form, inlined
from stridiag._kernels.polling import PLACE, add, new_counter

__all__ = ["Units", "new_units", "take", "take_the_rest"]

Units = NDArray[np.int64]

# Taken from the front, in the lower half of the counter, and from the end, in the upper half. Beside it in the array:
_FIRST, _LAST = PLACE + 1, PLACE + 2
_FROM_END = 1 << 32
# More than anyone has.
_MANY = 1 << 24

_lock = threading.Lock()


def new_units(first: int, last: int) -> Units:
    """Return the units `first` ... `last` - 1, none of them taken."""
    units = new_counter()
    units[_FIRST], units[_LAST] = first, last
    return units


@inlined
def _unit(first: Any, last: Any, taken: Any, from_end: Any) -> Any:
    before, behind = taken & (_FROM_END - 1), taken >> 32
    if before + behind >= last - first:
        return -1
    return last - 1 - behind if from_end else first + before


def take(units: Units, from_end: bool) -> int:
    """Return the first unit that nobody has taken, or the last; -1 if none is left."""
    with _lock:
        taken = int(units[PLACE])
        units[PLACE] += _FROM_END if from_end else 1
    return int(_unit(int(units[_FIRST]), int(units[_LAST]), taken, from_end))


@borrowing_form(take)
def _take(units: Any, from_end: Any) -> Any:
    return lambda units, from_end: _unit(
        units[_FIRST], units[_LAST], add(units, _FROM_END if from_end else 1), from_end
    )


def take_the_rest(units: Units) -> None:
    """Leave nothing to anybody."""
    with _lock:
        units[PLACE] += _MANY


@borrowing_form(take_the_rest)
def _take_the_rest(units: Any) -> Any:
    def rest(units: Any) -> None:
        add(units, _MANY)

    return rest
