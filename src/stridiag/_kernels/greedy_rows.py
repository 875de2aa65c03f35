r"""One step of orthogonal least squares for one row: a column joins the support, and all others are scored again.

With the ridged Gram matrix A + a I, right side b and a support S of k columns, L L' = A[S, S] + a I,

.. math::
    r = b - A[:, S]\, w, \qquad s_i = A_{ii} + a - \|L^{-1} A[S, i]\|^2,

r are the correlations of all columns with the residual and s what is left of each column beside the support. The
loss falls by exactly r_i^2 / s_i when column i joins. Then, with l = L^{-1} A[S, i], c = L^{-T} l and d the root of
s_i,

.. math::
    v = (A[i, :] - c^T A[S, :]) / d, \qquad r \leftarrow r - v\, r_i / d, \qquad s \leftarrow s - v^2,

and (l, d) is the new row of L. Nothing but L and the two rows of scores is kept: v is made from rows of A, which all
rows of the layer share.

Cost: 2 p k + k^2 flops for p columns, against p k^2 for scores made afresh.

References: S. Chen, S. A. Billings, W. Luo, "Orthogonal least squares methods and their application to non-linear
system identification", Int. J. Control 50 (1989); L. Rebollo-Neira, D. Lowe, "Optimized orthogonal matching pursuit
approach", IEEE Signal Processing Letters 9 (2002).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["extend_row", "row_coefficients"]

Array = NDArray[Any]


@inlined
def _join(
    gram: Array, ridge: float, column: int, support: Array, factor: Array, partial: Array, size: int,
    residual: Array, left: Array, least: float, work: Array,
) -> float:  # fmt: skip
    """Let a column join; return by how much the loss falls, or -1 if it depends on the support."""
    norm = 0.0
    for i in range(size):
        total = gram[support[i], column]
        for j in range(i):
            total -= factor[i, j] * factor[size, j]
        total /= factor[i, i]
        factor[size, i] = total
        norm += total * total
    pivot = gram[column, column] + ridge - norm
    if not pivot > least * (gram[column, column] + ridge):
        left[column] = 0.0
        return -1.0
    root = np.sqrt(pivot)
    factor[size, size] = root
    for i in range(gram.shape[0]):
        work[i] = gram[column, i]
    # c = L^-T l, from its last entry; each is used as soon as it is known.
    for i in range(size - 1, -1, -1):
        total = factor[size, i]
        for j in range(i + 1, size):
            total -= factor[j, i] * partial[1, j]
        total /= factor[i, i]
        partial[1, i] = total
        row = support[i]
        for j in range(gram.shape[0]):
            work[j] -= total * gram[row, j]
    step = residual[column] / root
    scale = 1.0 / root
    for i in range(gram.shape[0]):
        v = work[i] * scale
        residual[i] -= v * step
        left[i] -= v * v
    support[size] = column
    partial[0, size] = step
    residual[column] = 0.0
    left[column] = 0.0
    return float(step * step)


@kernel
def extend_row(
    gram: Array, ridge: float, columns: Array, support: Array, factor: Array, partial: Array, size: int,
    residual: Array, left: Array, least: float, work: Array,
) -> tuple[int, float, float, int]:  # fmt: skip
    """Let columns join a row's support one after another, and find which one should be next.

    Parameters
    ----------
    gram : (p, p), symmetric
    ridge : float
    columns : (c,) of int64
        Those that join; the ones that depend on the support are passed over.
    support, factor, partial : (m,) of int64, (m, m), (2, m)
        Support in the order of joining, L, and L^-1 b with a row of workspace; the first `size` entries are set, and
        m is at least size + c.
    size : int
    residual, left : (p,)
        r and s; s is 0 or less for columns that cannot join, those of the support among them.
    least : float
        A column whose s is at most this share of its diagonal depends on the support.
    work : (p,)

    Returns
    -------
    size : int
        Of the support now.
    decrease : float
        Of the loss, by all that joined.
    gain : float
        By how much the next one would lower it; 0 if there is none.
    best : int
        Which that is, the first of equals; -1 if there is none.
    """
    decrease = 0.0
    for c in range(columns.size):
        fall = _join(gram, ridge, columns[c], support, factor, partial, size, residual, left, least, work)
        if fall >= 0.0:
            decrease += fall
            size += 1
    gain, best = 0.0, -1
    for i in range(gram.shape[0]):
        if left[i] > least * (gram[i, i] + ridge):
            score = residual[i] * residual[i] / left[i]
            if score > gain:
                gain, best = score, i
    return size, decrease, gain, best


@kernel
def row_coefficients(factor: Array, partial: Array, size: int, out: Array) -> None:
    """Solve L' w = partial[0] for the first `size` coefficients, in the order of joining."""
    for i in range(size - 1, -1, -1):
        total = partial[0, i]
        for j in range(i + 1, size):
            total -= factor[j, i] * out[j]
        out[i] = total / factor[i, i]
