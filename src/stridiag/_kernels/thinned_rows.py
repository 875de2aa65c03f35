r"""Elimination and solves with the unknowns that are taken out before a window: `stridiag._kernels.window_thinning`.

With e the eliminated unknowns, in their order, and k the others,

.. math:: \begin{pmatrix} A_{ee} & A_{ek} \\ A_{ke} & A_{kk} \end{pmatrix} =
    \begin{pmatrix} L_e & \\ L_k & I \end{pmatrix} \begin{pmatrix} U_e & U_k \\ & S \end{pmatrix}.

Pivots are the diagonal as it comes. Multipliers are looked at: where one is too large, elimination ends.

Cost: a division and two operations for each product; in a solve two for each number of L and U, and a division for each
pivot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel

__all__ = [
    "eliminate",
    "flat",
    "multiply_lower",
    "multiply_upper",
    "solve_lower",
    "solve_lower_transposed",
    "solve_upper",
    "solve_upper_transposed",
]

Array = NDArray[Any]


@kernel
def flat(values: Array, offsets: Array, starts: Array, links: Array, steepest: float) -> bool:
    """Return whether no entry is more than `steepest` times the diagonal's in its column.

    Parameters
    ----------
    values : (nnz,)
        By slot.
    offsets, starts
        Of the diagonals, ascending, one of them zero; the first slot of each, and that of the links.
    links
        Columns of the links.
    steepest
        The limit.
    """
    main = 0
    while offsets[main] != 0:
        main += 1
    diagonal = values[starts[main] : starts[main + 1]]
    found = True
    for k in range(offsets.size):
        first = max(0, offsets[k])
        entries = values[starts[k] : starts[k + 1]]
        part = diagonal[first : first + entries.size]
        for i in range(entries.size):
            # Accepts the good, here and below, so that NaN is not.
            found &= abs(entries[i]) <= steepest * abs(part[i])
        if not found:
            return False
    entries = values[starts[offsets.size] :]
    for i in range(links.size):
        found &= abs(entries[i]) <= steepest * abs(diagonal[links[i]])
    return found


@borrowing
def _taken(numbers: Array, slot: int) -> Any:
    """Return a number, and make it zero: another entry may take the slot."""
    number = numbers[slot]
    numbers[slot] = 0
    return number


@borrowing
def _subtract_row(numbers: Array, targets: Array, aim: int, factor: Any, upper: Array, up: int, more: int) -> None:
    """Subtract a multiple of a row of U: most have two or three entries, which need no loop."""
    if more == 2:
        t0, t1 = targets[aim], targets[aim + 1]
        n0, n1 = numbers[t0] - factor * upper[up], numbers[t1] - factor * upper[up + 1]
        numbers[t0], numbers[t1] = n0, n1
    elif more == 3:
        t0, t1, t2 = targets[aim], targets[aim + 1], targets[aim + 2]
        n0, n1 = numbers[t0] - factor * upper[up], numbers[t1] - factor * upper[up + 1]
        n2 = numbers[t2] - factor * upper[up + 2]
        numbers[t0], numbers[t1], numbers[t2] = n0, n1, n2
    else:
        for c in range(more):
            numbers[targets[aim + c]] -= factor * upper[up + c]


@kernel
def eliminate(
    numbers: Array,
    order: Array,
    main: Array,
    counts: Array,
    lower_slots: Array,
    upper_slots: Array,
    targets: Array,
    steepest: float,
    lower: Array,
    upper: Array,
    pivots: Array,
) -> tuple[float, float]:
    """Eliminate; return the largest magnitudes in L, and in U.

    Ends where a pivot is zero, or a multiplier larger than `steepest`: that of L is then said to be twice that.

    Parameters
    ----------
    numbers : (slots,)
        The entries, and zeros; those of S are what is wanted afterwards.
    order, main, counts, lower_slots, upper_slots, targets
        See `stridiag._kernels.window_thinning.thin_out`.
    lower, upper, pivots
        Become L, U and its diagonal.
    """
    low = up = aim = 0
    slope, largest = 0.0, 0.0
    for k in range(order.size):
        pivot = numbers[main[order[k]]]
        pivots[k] = pivot
        # Accepts the good, here and below, so that NaN ends it too.
        if not 0.0 < abs(pivot) < np.inf:
            return 2 * steepest, largest
        largest = max(largest, abs(pivot))
        many, more = counts[k, 0], counts[k, 1]
        for c in range(up, up + more):
            upper[c] = _taken(numbers, upper_slots[c])
            largest = max(largest, abs(upper[c]))
        inverse = 1 / pivot
        for r in range(low, low + many):
            factor = _taken(numbers, lower_slots[r]) * inverse
            if not abs(factor) <= steepest:
                return 2 * steepest, largest
            slope = max(slope, abs(factor))
            lower[r] = factor
            _subtract_row(numbers, targets, aim, factor, upper, up, more)
            aim += more
        low += many
        up += more
    return slope, largest


@borrowing
def _subtract(line: Array, places: Array, begin: int, end: int, e: int, x: Array, sides: int) -> None:
    """Subtract from rows of `x` their multiples of row e."""
    if sides == 1:
        value = x[e]
        for r in range(begin, end):
            x[places[r]] -= line[r] * value
    elif sides == 2:
        value, other = x[2 * e], x[2 * e + 1]
        for r in range(begin, end):
            at = 2 * places[r]
            x[at] -= line[r] * value
            x[at + 1] -= line[r] * other
    else:
        for r in range(begin, end):
            for c in range(sides):
                x[places[r] * sides + c] -= line[r] * x[e * sides + c]


@borrowing
def _gather(line: Array, places: Array, begin: int, end: int, e: int, x: Array, sides: int) -> None:
    """Subtract from row e of `x` multiples of other rows."""
    if sides == 1:
        value = x[e]
        for r in range(begin, end):
            value -= line[r] * x[places[r]]
        x[e] = value
    elif sides == 2:
        value, other = x[2 * e], x[2 * e + 1]
        for r in range(begin, end):
            at = 2 * places[r]
            value -= line[r] * x[at]
            other -= line[r] * x[at + 1]
        x[2 * e], x[2 * e + 1] = value, other
    else:
        for r in range(begin, end):
            for c in range(sides):
                x[e * sides + c] -= line[r] * x[places[r] * sides + c]


@borrowing
def _divide(x: Array, e: int, sides: int, pivot: Any) -> None:
    for c in range(e * sides, (e + 1) * sides):
        x[c] = x[c] / pivot


@kernel
def solve_lower(order: Array, counts: Array, lower: Array, rows: Array, x: Array, sides: int) -> None:
    """Overwrite `x`, (n * sides,), with the inverse of L times it."""
    at = 0
    for k in range(order.size):
        _subtract(lower, rows, at, at + counts[k, 0], order[k], x, sides)
        at += counts[k, 0]


@kernel
def solve_upper(order: Array, counts: Array, upper: Array, columns: Array, pivots: Array, x: Array, sides: int) -> None:
    """Overwrite `x`, (n * sides,), which holds the solution of what is left already, with the solution."""
    at = upper.size
    for k in range(order.size - 1, -1, -1):
        at -= counts[k, 1]
        _gather(upper, columns, at, at + counts[k, 1], order[k], x, sides)
        _divide(x, order[k], sides, pivots[k])


@kernel
def solve_upper_transposed(
    order: Array, counts: Array, upper: Array, columns: Array, pivots: Array, x: Array, sides: int
) -> None:
    """Overwrite `x`, (n * sides,), with the inverse of U's transpose times it, as far as S is not concerned."""
    at = 0
    for k in range(order.size):
        _divide(x, order[k], sides, pivots[k])
        _subtract(upper, columns, at, at + counts[k, 1], order[k], x, sides)
        at += counts[k, 1]


@kernel
def solve_lower_transposed(order: Array, counts: Array, lower: Array, rows: Array, x: Array, sides: int) -> None:
    """Overwrite `x`, (n * sides,), which holds the solution of what is left already, with that of L's transpose."""
    at = lower.size
    for k in range(order.size - 1, -1, -1):
        at -= counts[k, 0]
        _gather(lower, rows, at, at + counts[k, 0], order[k], x, sides)


@kernel
def multiply_upper(
    order: Array, counts: Array, upper: Array, columns: Array, pivots: Array, x: Array, sides: int
) -> None:
    """Overwrite the eliminated rows of `x`, (n * sides,), with U times it."""
    at = 0
    for k in range(order.size):
        e = order[k] * sides
        for c in range(sides):
            x[e + c] *= pivots[k]
            for r in range(at, at + counts[k, 1]):
                x[e + c] += upper[r] * x[columns[r] * sides + c]
        at += counts[k, 1]


@kernel
def multiply_lower(order: Array, counts: Array, lower: Array, rows: Array, x: Array, sides: int) -> None:
    """Overwrite `x`, (n * sides,), with L times it."""
    at = lower.size
    for k in range(order.size - 1, -1, -1):
        e = order[k] * sides
        at -= counts[k, 0]
        for r in range(at, at + counts[k, 0]):
            for c in range(sides):
                x[rows[r] * sides + c] += lower[r] * x[e + c]
