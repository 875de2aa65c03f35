"""Steps of an elimination that eight small bands take side by side: in vectors where kernels are compiled.

All numbers are in one array, the eight systems' one behind the other. A row of a band, in natural order, is followed by
the next one `step` numbers on, and an entry by that beside it `LANES` on; right-hand sides stand by themselves, those
of one row `LANES` before those of the next.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_form
from stridiag._kernels.vectors import choose, less, load, magnitude, store
from stridiag._kernels.wide_vectors import zeros

__all__ = ["LANES", "eliminate_step", "set_lanes", "substitute_step"]

Array = NDArray[Any]

LANES = 8
"""Numbers of a vector of double precision."""


def set_lanes(a: Array, at: int, value: float) -> None:
    """Give all systems a number."""
    a[at : at + LANES] = value


def eliminate_step(
    a: Array, pivot: int, side: int, least: int, step: int, lower: int, upper: int, share: float
) -> None:
    """Take multiples of a row, and of its right-hand side, from those below; its pivot becomes the reciprocal.

    What is left of the pivot's magnitude less a share of those beside it, and behind that less a share of those below
    it, is kept at `least` if it is less than what stands there.
    """
    for lane in range(LANES):
        at, diagonal = pivot + lane, side + lane
        right = sum(abs(a[at + j * LANES]) for j in range(1, upper + 1))
        below = sum(abs(a[at + k * (step - LANES)]) for k in range(1, lower + 1))
        for place, total in ((least + lane, right), (least + LANES + lane, below)):
            excess = abs(a[at]) - total * share
            a[place] = excess if excess < a[place] else a[place]
        a[at] = 1.0 / a[at]
        for k in range(1, lower + 1):
            row = at + k * (step - LANES)
            by = a[row] * a[at]
            for j in range(1, upper + 1):
                a[row + j * LANES] -= by * a[at + j * LANES]
            a[diagonal + k * LANES] -= by * a[diagonal]


def substitute_step(a: Array, pivot: int, side: int, upper: int) -> None:
    """Replace a right-hand side by the unknown, given those behind it."""
    for lane in range(LANES):
        value = a[side + lane]
        for j in range(upper, 0, -1):
            value = value - a[pivot + j * LANES + lane] * a[side + j * LANES + lane]
        a[side + lane] = value * a[pivot + lane]


def _set_in_vectors(a: Any, at: int, value: float) -> None:
    store(a, at, zeros(a) + value)


def _eliminate_in_vectors(
    a: Any, pivot: int, side: int, least: int, step: int, lower: int, upper: int, share: float
) -> None:
    diagonal, given = load(a, pivot), load(a, side)
    inverse = 1.0 / diagonal
    store(a, pivot, inverse)
    right = zeros(a)
    below = zeros(a)
    for j in range(1, upper + 1):
        right = right + magnitude(load(a, pivot + j * LANES))
    for k in range(1, lower + 1):
        row = pivot + k * (step - LANES)
        entry = load(a, row)
        below = below + magnitude(entry)
        by = entry * inverse
        for j in range(1, upper + 1):
            store(a, row + j * LANES, load(a, row + j * LANES) - by * load(a, pivot + j * LANES))
        store(a, side + k * LANES, load(a, side + k * LANES) - by * given)
    excess, known = magnitude(diagonal) - right * share, load(a, least)
    store(a, least, choose(less(excess, known), excess, known))
    excess, known = magnitude(diagonal) - below * share, load(a, least + LANES)
    store(a, least + LANES, choose(less(excess, known), excess, known))


def _substitute_in_vectors(a: Any, pivot: int, side: int, upper: int) -> None:
    value = load(a, side)
    for j in range(upper, 0, -1):
        value = value - load(a, pivot + j * LANES) * load(a, side + j * LANES)
    store(a, side, value * load(a, pivot))


@borrowing_form(set_lanes)
def _set_form(a: Any, at: Any, value: Any) -> Any:
    return _set_in_vectors


@borrowing_form(eliminate_step)
def _eliminate_form(a: Any, pivot: Any, side: Any, least: Any, step: Any, lower: Any, upper: Any, share: Any) -> Any:
    return _eliminate_in_vectors


@borrowing_form(substitute_step)
def _substitute_form(a: Any, pivot: Any, side: Any, upper: Any) -> Any:
    return _substitute_in_vectors
