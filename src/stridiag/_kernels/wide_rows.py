"""Rows of right-hand sides, a vector of each, that a sweep carries along in registers: tuples.

Of a length that is known when a kernel is compiled, as in `stridiag._kernels.narrow_band`, which shows how compiled
forms take a tuple apart. They serve the sweeps of bands in `stridiag._kernels.wide_vectors`' stretches.
"""

from __future__ import annotations

from typing import Any

from stridiag._kernels.compile import borrowing_form, inlined
from stridiag._kernels.vectors import both, choose, less, store
from stridiag._kernels.wide_vectors import lanes_of, load_like

__all__ = ["exchanged", "picked", "read_rows", "with_first", "with_last", "write_rows"]


@inlined
def with_last(rows: Any, new: Any) -> Any:
    """Return the rows without the first one, and a new one behind them."""
    return (*rows[1:], new)


@inlined
def with_first(new: Any, rows: Any) -> Any:
    """Return a new row and, behind it, the rows without the last one."""
    return (new, *rows[:-1])


def read_rows(nothing: Any, array: Any, place: Any, step: Any, count: Any, like: Any) -> Any:
    """Return the vectors at `place` and every `step` behind it, `count` of them, and then `nothing`; as `like` has."""
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing_form(read_rows)
def _read_rows(nothing: Any, array: Any, place: Any, step: Any, count: Any, like: Any) -> Any:
    if len(like) == 0:
        return lambda nothing, array, place, step, count, like: ()

    def first_and_rest(nothing: Any, array: Any, place: Any, step: Any, count: Any, like: Any) -> Any:
        return (
            load_like(nothing, array, place) if count > 0 else nothing,
            *read_rows(nothing, array, place + step, step, count - 1, like[1:]),
        )

    return first_and_rest


def write_rows(array: Any, place: Any, rows: Any) -> None:
    """Store vectors at `place` and one after another behind it."""
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing_form(write_rows)
def _write_rows(array: Any, place: Any, rows: Any) -> Any:
    if len(rows) == 0:
        return lambda array, place, rows: None

    def first_and_rest(array: Any, place: Any, rows: Any) -> None:
        store(array, place, rows[0])
        write_rows(array, place + lanes_of(rows[0]), rows[1:])

    return first_and_rest


def picked(rows: Any, number: Any, other: Any, first: int) -> Any:
    """Return the row of a number, in every lane of which that stands; rows count from `first`, before is `other`."""
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing_form(picked)
def _picked(rows: Any, number: Any, other: Any, first: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, number, other, first: other
    # What comes later has the last word.
    return lambda rows, number, other, first: picked(
        rows[1:], number, choose(less(first - 0.5, number), rows[0], other), first + 1
    )


def exchanged(rows: Any, number: Any, other: Any, first: int) -> Any:
    """Return the rows, which count from `first`, with `other` in the place of the one of that number."""
    raise NotImplementedError("vectors exist in compiled code only")


@borrowing_form(exchanged)
def _exchanged(rows: Any, number: Any, other: Any, first: Any) -> Any:
    if len(rows) == 0:
        return lambda rows, number, other, first: ()
    return lambda rows, number, other, first: (
        choose(both(less(first - 0.5, number), less(number, first + 0.5)), other, rows[0]),
        *exchanged(rows[1:], number, other, first + 1),
    )
