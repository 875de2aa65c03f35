r"""Diagonal of the inverse, in time proportional to the order.

*Chains without links.* With leading and trailing continuants :math:`f_k, g_k` (determinants of leading and trailing
blocks) and :math:`\beta_i = b_i c_i`, the products of opposite off-diagonal entries,

.. math:: Z_{ii} = \frac{f_{i-1}\, g_{i+1}}
   {a_i f_{i-1} g_{i+1} - \beta_{i-1} f_{i-2} g_{i+1} - \beta_i f_{i-1} g_{i+2}} .

Only the ratios :math:`f_{i-1} : f_{i-2}` and :math:`g_{i+1} : g_{i+2}` matter, so each pair is rescaled by powers of
two as it goes and nothing overflows; no division by a continuant occurs, so zero ones do no harm. 13 operations an
entry. This is the twisted factorization of B. N. Parlett and I. S. Dhillon, Linear Algebra Appl. 267 (1997), freed
from its divisions.

*Condensed chains.* Let A_j be the matrix after the reflections up to column j of a segment. Its inverse with the
next reflection undone is :math:`A_{j-1}^{-1} = A_j^{-1} H_j`, which mixes the three columns that belong to the slots
of H_j; and row j of U, times the inverse, is a row of the identity, which gives row j of the inverse from the rows
behind it. So going backwards, with the rows j + 1, j + 2, a - 1, a - 2 and two columns as state, each slot leaves the
state with its entries complete. It starts from the inverse of the reduced system. About 70 operations a column.
The diagonal entries of rows outside all segments are those of the reduced inverse. Source: the same recurrence as
A. M. Erisman and W. F. Tinney, Comm. ACM 18 (1975), for an orthogonal factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.condensation import LEFT1, RIGHT1, TAU, U1, U2, V1, V2, W1, W2, D

__all__ = ["condensed_diagonal", "tridiagonal_diagonal"]

Array = NDArray[Any]

_LARGE = 2.0**40
_SMALL = 2.0**-40


@inlined
def _rescaled(x: Any, y: Any) -> tuple[Any, Any]:
    """Return a pair of the same ratio with the larger member of moderate size; (0, 0) as it is."""
    size = max(abs(x), abs(y))
    while size > _LARGE:
        x, y, size = x * _SMALL, y * _SMALL, size * _SMALL
    while 0.0 < size < _SMALL:
        x, y, size = x * _LARGE, y * _LARGE, size * _LARGE
    return x, y


@kernel
def tridiagonal_diagonal(dl: Array, d: Array, du: Array, pairs: Array, out: Array) -> None:
    """Fill `out`, (n,), with the diagonal of the inverse; NaN where underflow hides it. `pairs`, (n, 2): work.

    All arrays in double precision, entries of magnitude at most one.
    """
    n = d.size
    if n == 0:
        return
    zero = d[0] * 0
    x, y = zero + 1.0, zero
    for i in range(n):
        pairs[i, 0] = x
        pairs[i, 1] = y
        beta = dl[i - 1] * du[i - 1] if i > 0 else zero
        x, y = _rescaled(d[i] * x - beta * y, x)
    p, q = zero + 1.0, zero
    for i in range(n - 1, -1, -1):
        x, y = pairs[i, 0], pairs[i, 1]
        before = dl[i - 1] * du[i - 1] if i > 0 else zero
        behind = dl[i] * du[i] if i < n - 1 else zero
        trailing = d[i] * p - behind * q
        denominator = x * trailing - before * y * p
        # Complex division by zero would raise.
        out[i] = x * p / denominator if abs(denominator) > 0.0 else denominator * np.nan
        p, q = _rescaled(trailing, p)


@kernel
def condensed_diagonal(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    link_start: Array,
    link_values: Array,
    corner: Array,
    link_corner: Array,
    out: Array,
) -> None:
    """Fill `out`, (n,), with the diagonal of the inverse at the rows of all segments.

    `corner`, (segments, 4, 2), and `link_corner`, (links of last rows, 2), hold entries of the reduced inverse: in the
    rows of the neighbours (and of the links' columns), and in the columns of the slots b and b + 1 (0 where none is).
    """
    for s in range(first.size):
        a = first[s]
        b = last[s]
        left = kept[s, LEFT1] >= 0
        right = kept[s, RIGHT1] >= 0
        zero = corner[s, 0, 0] * 0
        far0, far1 = corner[s, 0, 0], corner[s, 0, 1]
        near0, near1 = corner[s, 1, 0], corner[s, 1, 1]
        next0, next1 = corner[s, 2, 0], corner[s, 2, 1]
        after0, after1 = corner[s, 3, 0], corner[s, 3, 1]
        linked0, linked1 = zero, zero
        enters = -rows[b, TAU] * np.conj(rows[b, V2])
        for t in range(link_start[s], link_start[s + 1]):
            linked0 += enters * link_values[t] * link_corner[t, 0]
            linked1 += enters * link_values[t] * link_corner[t, 1]
        for j in range(b, a - 1, -1):
            v1, v2, tau, d = rows[j, V1], rows[j, V2], rows[j, TAU], rows[j, D]
            u1, u2, w1, w2 = rows[j, U1], rows[j, U2], rows[j, W1], rows[j, W2]
            c1, c2 = np.conj(v1), np.conj(v2)
            this0 = -(u1 * next0 + u2 * after0 + w2 * near0 + w1 * far0 + linked0) / d
            this1 = -(u1 * next1 + u2 * after1 + w2 * near1 + w1 * far1 + linked1) / d
            linked0, linked1 = zero, zero
            # Undo the reflection on the columns of the slots: pivot (zero but for row j), middle, new.
            pivot = (zero + 1.0) / d
            t = tau * (pivot + this0 * v1 + this1 * v2)
            this0, this1 = pivot - t, this0 - t * c1
            t = tau * (next0 * v1 + next1 * v2)
            complete = next1 - t * c2
            next0, next1 = -t, next0 - t * c1
            t = tau * (near0 * v1 + near1 * v2)
            near0, near1 = -t, near0 - t * c1
            t = tau * (far0 * v1 + far1 * v2)
            far0, far1 = -t, far0 - t * c1
            if j < b or right:
                out[j + 1] = complete
            if not left:
                # There is no middle slot: the pivot's becomes the new one of the column before.
                this0, this1 = zero, this0
                next0, next1 = zero, next0
            after0, after1 = next0, next1
            next0, next1 = this0, this1
        out[a] = next1
        if left:
            out[a - 1] = near0
