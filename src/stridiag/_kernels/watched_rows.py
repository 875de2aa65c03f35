r"""Backward errors of solutions in a few rows, in which they are known to gather.

.. math:: \frac{\max_i |b_i - (A x)_i|}{\max_i \sum_j |a_{ij}| \, \max_i |x_i| + \max_i |b_i|}

with all maxima over these rows alone: a look that costs as much as they are part of the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["alike", "look"]

Array = NDArray[Any]

# How many stretches are looked at, and of how many rows.
_STRETCHES, _LENGTH = 8, 32


@kernel
def alike(values: Array, starts: Array) -> bool:
    """Whether there is a stretch in which the numbers of some diagonal differ by less than a factor of two.

    Diagonal k has the slots ``starts[k]`` to ``starts[k + 1]``. Numbers drawn at random hardly ever do so 32
    times in a row. One diagonal is enough: beside ones, small numbers at random lose the same digits again, too.
    """
    for k in range(starts.size - 1):
        room = starts[k + 1] - starts[k] - _LENGTH
        for stretch in range(_STRETCHES if room >= 0 else 0):
            first = starts[k] + room * stretch // (_STRETCHES - 1)
            least = most = abs(values[first])
            for slot in range(first + 1, first + _LENGTH):
                size = abs(values[slot])
                least, most = min(least, size), max(most, size)
            if most <= 2.0 * least:
                return True
    return False


@kernel
def look(
    rows: Array,
    starts: Array,
    slots: Array,
    columns: Array,
    conjugate: bool,
    values: Array,
    b: Array,
    x: Array,
    left: Array,
    work: Array,
) -> None:
    """Put the error of each solution in `x`, (n, m), into the first row of `work`, (3, m), of real numbers.

    Row k of those that are looked at is ``rows[k]``, with entries ``values[slots]`` in `columns` from ``starts[k]`` to
    ``starts[k + 1]``; `left`, (m,), is of the type of `x`.
    """
    m = x.shape[1]
    for c in range(m):
        work[0, c] = work[1, c] = work[2, c] = 0.0
    norm = 0.0
    for k in range(rows.size):
        i = rows[k]
        for c in range(m):
            left[c] = b[i, c]
        total = 0.0
        for e in range(starts[k], starts[k + 1]):
            value = np.conj(values[slots[e]]) if conjugate else values[slots[e]]
            total += abs(value)
            j = columns[e]
            for c in range(m):
                left[c] -= value * x[j, c]
        norm = max(norm, total)
        for c in range(m):
            work[0, c] = max(work[0, c], abs(left[c]))
            work[1, c] = max(work[1, c], abs(x[i, c]))
            work[2, c] = max(work[2, c], abs(b[i, c]))
    for c in range(m):
        # Divided by the norm first: its product with a solution may overflow.
        size = work[1, c] + work[2, c] / norm if norm > 0.0 else 0.0
        work[0, c] = work[0, c] / norm / size if size > 0.0 else 0.0
