"""Stretches of numbers: cleared, copied, and added to one another, in vectors where numbers are real.

A vector may reach behind the end of what is cleared or copied, by less than `SPILL` numbers: these must be there, and
belong to nothing or be written later. What is added to ends where it ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_form
from stridiag._kernels.vectors import load, store
from stridiag._kernels.wide_vectors import zeros

__all__ = ["SPILL", "add_stretch", "clear", "copy_stretch"]

Array = NDArray[Any]

SPILL = 8
"""Numbers of a vector of double precision."""


def clear(a: Array, begin: int, end: int) -> None:
    """Make numbers zero."""
    for k in range(begin, end):
        a[k] = 0


def copy_stretch(source: Array, begin: int, count: int, target: Array, to: int) -> None:
    """Copy so many numbers to `to` in another array."""
    for k in range(count):
        target[to + k] = source[begin + k]


def add_stretch(source: Array, begin: int, count: int, target: Array, to: int) -> None:
    """Add so many numbers to those at `to` in another array."""
    for k in range(count):
        target[to + k] += source[begin + k]


def _clear_in_vectors(a: Any, begin: int, end: int) -> None:
    zero = zeros(a)
    for k in range(begin, end, SPILL):
        store(a, k, zero)


def _copy_in_vectors(source: Any, begin: int, count: int, target: Any, to: int) -> None:
    for k in range(0, count, SPILL):
        store(target, to + k, load(source, begin + k))


def _add_in_vectors(source: Any, begin: int, count: int, target: Any, to: int) -> None:
    k = 0
    while k + SPILL <= count:
        store(target, to + k, load(target, to + k) + load(source, begin + k))
        k += SPILL
    while k < count:
        # Unsigned, or each place would be looked at whether it counts from the end.
        target[np.uint64(to + k)] += source[np.uint64(begin + k)]
        k += 1


@borrowing_form(clear)
def _clear(a, begin, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _clear_in_vectors if a.dtype is types.float64 else clear


@borrowing_form(copy_stretch)
def _copy_stretch(source, begin, count, target, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _copy_in_vectors if source.dtype is types.float64 else copy_stretch


@borrowing_form(add_stretch)
def _add_stretch(source, begin, count, target, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _add_in_vectors if source.dtype is types.float64 else add_stretch
