r"""Many small ridge problems that share one matrix: a Cholesky factorization for each set of columns.

Unit j may use the columns S = ``columns[starts[j]:starts[j + 1]]``. With C the products of all columns, B those with
the units' targets and D a scale for each column, its coefficients are

.. math:: x = D_S (D_S C[S, S] D_S + \alpha I)^{-1} D_S B[S, j].

The small matrix is gathered into one workspace and factored there as U' U, by rows, so that all inner loops run
along contiguous rows. Cost: k^3 / 3 + 5 k^2 / 2 flops for a support of k, and k^2 / 2 reads from C.

A pivot of at most `least` (or NaN) stops the unit: its coefficients are 0 and it is marked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["masked_ridge"]

Array = NDArray[Any]


@kernel
def masked_ridge(
    products: Array,
    cross: Array,
    scale: Array,
    starts: Array,
    columns: Array,
    alpha: float,
    least: float,
    work: Array,
    values: Array,
    weak: Array,
) -> int:
    """Fill `values`, as `columns`; mark units that stopped in `weak`, (units,), and return how many.

    `work` is (k, k) for the largest support k; units of larger supports are marked too.
    """
    stopped = 0
    room = work.shape[0]
    for j in range(starts.size - 1):
        low = starts[j]
        k = starts[j + 1] - low
        sound = k <= room
        if sound:
            x = values[low : low + k]
            for i in range(k):
                row = columns[low + i]
                own = scale[row]
                for t in range(i, k):
                    other = columns[low + t]
                    work[i, t] = products[row, other] * own * scale[other]
                work[i, i] += alpha
                x[i] = cross[row, j] * own
            for i in range(k):
                pivot = work[i, i]
                # A pivot that is NaN takes the branch too.
                if not pivot > least:
                    sound = False
                    break
                root = 1.0 / np.sqrt(pivot)
                for t in range(i, k):
                    work[i, t] *= root
                for s in range(i + 1, k):
                    factor = work[i, s]
                    for t in range(s, k):
                        work[s, t] -= factor * work[i, t]
                # The forward substitution goes along: rows of U' are columns of U.
                top = x[i] * root
                x[i] = top
                for t in range(i + 1, k):
                    x[t] -= work[i, t] * top
        if sound:
            for i in range(k - 1, -1, -1):
                total = x[i]
                for t in range(i + 1, k):
                    total -= work[i, t] * x[t]
                x[i] = total / work[i, i]
            for i in range(k):
                x[i] *= scale[columns[low + i]]
        else:
            values[low : low + k] = 0.0
            weak[j] = True
            stopped += 1
    return stopped
