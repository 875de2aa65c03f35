r"""Cholesky without roots of Hermitian chains, eliminated from both ends towards the middle.

.. math:: A = L D L^H

A has entries on its diagonal and at distance g, the stride, from it. With h = (n - g) // 2 (n > g) the unknowns
0, 1, ..., h - 1 are eliminated upwards, each into the one g above, the unknowns n - 1, n - 2, ..., h + g downwards,
each into the one g below, and the g between them last. The two directions depend on each other nowhere before the
middle, so a processor works on both at once: a recurrence of dependent divisions is what such a factorization waits
for. With a stride of g there are 2 g of them.

**Storage.** ``l[i]``, i < n - g, joins i and i + g. On entry it holds A[i + g, i], afterwards the entry of L: in row
i + g for i < h, in row i otherwise. `d` holds the diagonal, then D.

3 (n - g) operations to factor, 5 n - 4 g for a right-hand side, if n > g. Backward stable: the pivots do not grow.

References: LAPACK xPTTRF and xPTTRS; J. J. Dongarra et al., *LINPACK Users' Guide*, SIAM 1979, chapter 7 (xPTSL:
elimination from both ends); Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., chapter 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["factor", "inverse_diagonal", "multiply_adjoint", "multiply_lower", "solve_adjoint", "solve_lower"]

Array = NDArray[Any]


@kernel
def factor(g: int, d: Array, l: Array) -> int:  # noqa: E741
    """Overwrite `d` and `l` with the factors; return -1, or the first unknown found whose pivot is not positive."""
    n = d.size
    joins = l.size
    h = joins // 2
    if g == 1 and n > 0:
        # The numbers that the next step waits for stay in registers.
        up = d[0]
        down = d[n - 1]
        for i in range(h):
            j = joins - 1 - i
            # Accepts the good, so that a NaN is refused.
            if not 0.0 < up < np.inf:
                return i
            if not 0.0 < down < np.inf:
                return j + 1
            d[i] = up
            d[j + 1] = down
            from_below = l[i]
            from_above = np.conj(l[j])
            entry = from_below / up
            other = from_above / down
            l[i] = entry
            l[j] = other
            up = d[i + 1] - (entry * np.conj(from_below)).real
            if j > i + 1:
                down = d[j] - (other * np.conj(from_above)).real
            else:
                up = up - (other * np.conj(from_above)).real
        if joins % 2 == 1:
            if not 0.0 < down < np.inf:
                return h + 1
            from_above = np.conj(l[h])
            d[h + 1] = down
            l[h] = from_above / down
            up = up - (l[h] * np.conj(from_above)).real
        d[h] = up
        return -1 if 0.0 < up < np.inf else h
    for i in range(joins - h):
        j = joins - 1 - i
        if i < h:
            if not 0.0 < d[i] < np.inf:
                return i
            other = l[i]
            l[i] = other / d[i]
            d[i + g] = d[i + g] - (l[i] * np.conj(other)).real
        if not 0.0 < d[j + g] < np.inf:
            return j + g
        other = np.conj(l[j])
        l[j] = other / d[j + g]
        d[j] = d[j] - (l[j] * np.conj(other)).real
    for i in range(h, h + min(g, n)):
        if not 0.0 < d[i] < np.inf:
            return i
    return -1


@kernel
def solve_lower(g: int, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^-1 x``."""
    m = x.shape[1]
    joins = l.size
    h = joins // 2
    if g == 1 and m == 1 and joins > 0:
        up = x[0, 0]
        down = x[joins, 0]
        for i in range(h):
            j = joins - 1 - i
            x[i, 0] = up
            x[j + 1, 0] = down
            up = x[i + 1, 0] - l[i] * up
            if j > i + 1:
                down = x[j, 0] - l[j] * down
            else:
                up = up - l[j] * down
        if joins % 2 == 1:
            x[h + 1, 0] = down
            up = up - l[h] * down
        x[h, 0] = up
        return
    for i in range(joins - h):
        j = joins - 1 - i
        for c in range(m):
            x[j, c] = x[j, c] - l[j] * x[j + g, c]
        if i < h:
            for c in range(m):
                x[i + g, c] = x[i + g, c] - l[i] * x[i, c]


@kernel
def solve_adjoint(g: int, d: Array, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^-H D^-1 x``."""
    n, m = x.shape
    joins = l.size
    h = joins // 2
    for i in range(h, h + min(g, n)):
        for c in range(m):
            x[i, c] = x[i, c] / d[i]
    if g == 1 and m == 1 and joins > 0:
        up = x[h, 0]
        down = up
        if joins % 2 == 1:
            down = x[h + 1, 0] / d[h + 1] - np.conj(l[h]) * up
            x[h + 1, 0] = down
        for i in range(h - 1, -1, -1):
            j = joins - 1 - i
            up = x[i, 0] / d[i] - np.conj(l[i]) * up
            down = x[j + 1, 0] / d[j + 1] - np.conj(l[j]) * down
            x[i, 0] = up
            x[j + 1, 0] = down
        return
    for i in range(joins - h - 1, -1, -1):
        j = joins - 1 - i
        for c in range(m):
            x[j + g, c] = x[j + g, c] / d[j + g] - np.conj(l[j]) * x[j, c]
        if i < h:
            for c in range(m):
                x[i, c] = x[i, c] / d[i] - np.conj(l[i]) * x[i + g, c]


@kernel
def multiply_lower(g: int, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L x``."""
    m = x.shape[1]
    joins = l.size
    h = joins // 2
    for i in range(h - 1, -1, -1):
        for c in range(m):
            x[i + g, c] = x[i + g, c] + l[i] * x[i, c]
    for j in range(h, joins):
        for c in range(m):
            x[j, c] = x[j, c] + l[j] * x[j + g, c]


@kernel
def multiply_adjoint(g: int, l: Array, x: Array) -> None:  # noqa: E741
    """Overwrite `x`, (n, m), with ``L^H x``."""
    m = x.shape[1]
    joins = l.size
    h = joins // 2
    for i in range(h):
        for c in range(m):
            x[i, c] = x[i, c] + np.conj(l[i]) * x[i + g, c]
    for j in range(joins - 1, h - 1, -1):
        for c in range(m):
            x[j + g, c] = x[j + g, c] + np.conj(l[j]) * x[j, c]


@kernel
def inverse_diagonal(g: int, d: Array, l: Array, diagonal: Array) -> None:  # noqa: E741
    """Write the diagonal of the inverse: a sum of positive terms, 3 operations a join and a division each."""
    n = d.size
    joins = l.size
    h = joins // 2
    for i in range(h, h + min(g, n)):
        diagonal[i] = 1.0 / d[i]
    for i in range(joins - h - 1, -1, -1):
        j = joins - 1 - i
        diagonal[j + g] = 1.0 / d[j + g] + (l[j] * np.conj(l[j])).real * diagonal[j]
        if i < h:
            diagonal[i] = 1.0 / d[i] + (l[i] * np.conj(l[i])).real * diagonal[i + g]
