r"""By how much the diagonal of a matrix dominates, which bounds its inverse.

.. math:: \alpha = \min_i \Bigl(|a_{ii}| - \sum_{j \ne i} |a_{ij}|\Bigr) > 0
    \quad\Rightarrow\quad \|A^{-1}\|_\infty \le 1 / \alpha

and the same by columns for the 1-norm. Cost: an addition for each entry.

References: J. M. Varah, Linear Algebra Appl. 11 (1975) 3-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["CLEAR", "least_excess"]

Array = NDArray[Any]

CLEAR = 1e-3
"""What is left of an entry of the diagonal must be this share of it, so that rounding counts for nothing."""


@kernel
def least_excess(values: Array, offsets: Array, starts: Array, links: Array, by_columns: bool, left: Array) -> float:
    """Return the least excess of the diagonal over the rest of its row or column; zero if it is not clear.

    Parameters
    ----------
    values : (nnz,)
        By slot.
    offsets, starts
        Of the diagonals, ascending, one of them zero; the first slot of each, and that of the links.
    links
        Rows of the links or, if `by_columns`, their columns.
    left : (n,)
        Work space.
    """
    n, main = left.size, 0
    while offsets[main] != 0:
        main += 1
    diagonal = values[starts[main] : starts[main] + n]
    for i in range(n):
        left[i] = abs(diagonal[i])
    for k in range(offsets.size):
        if k != main:
            entries = values[starts[k] : starts[k + 1]]
            first = max(0, offsets[k] if by_columns else -offsets[k])
            part = left[first : first + entries.size]
            for i in range(entries.size):
                part[i] -= abs(entries[i])
    entries = values[starts[offsets.size] :]
    for i in range(links.size):
        left[links[i]] -= abs(entries[i])
    least, clear = np.inf, True
    for i in range(n):
        # Accepts the good, so that NaN is not clear.
        clear &= left[i] > CLEAR * abs(diagonal[i])
        least = min(least, left[i])
    return least if clear else 0.0
