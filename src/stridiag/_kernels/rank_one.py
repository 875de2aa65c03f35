r"""Rank-one updates of triangular factors by Givens rotations, and least squares that forget.

A triangle R with R' R = G, and u with R w = u, hold a least-squares problem. A new row (x, y) is rotated in: for
j = 0 ... k - 1,

.. math:: \begin{pmatrix} c & s \\ -s & c \end{pmatrix}
          \begin{pmatrix} R_{j,\cdot} & u_j \\ x & y \end{pmatrix},
          \qquad c = R_{jj} / \rho,\; s = x_j / \rho,\; \rho = \sqrt{R_{jj}^2 + x_j^2},

which makes x_j zero. Everything known may first be scaled by the root of a forgetting factor. Rotations are
orthogonal, so R stays as accurate as one QR factorization of all rows.

Every step also tops up the penalty of one coordinate, in turns: its pseudo-row :math:`\sqrt{t}\, e_j` with target
:math:`\sqrt{t}\, a_j` (0, or the weight as it is) is rotated in, where t is what forgetting has taken from that
coordinate's penalty since its last turn. So G never falls below the penalty times f^k, whatever the rows are.

Storage: `triangle` is row by row, (k, k), of which the upper half is used; for many small problems, (k, k, n), problems
fastest, so that they go side by side. Cost of a step: 6 k (k + q) operations, and as many to top up; 2 k^2 to solve.

References: LINPACK xCHUD; W. M. Gentleman, "Least squares computations by Givens transformations without square
roots", IMA J. Appl. Math. 12 (1973); S. Haykin, Adaptive Filter Theory (QR-RLS).
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["back_substitute", "update_many", "update_one"]

Array = NDArray[Any]

# Below this numbers are set to 0: those of no consequence would become subnormal, which processors are slow at.
_TINY = 1e-250


@inlined
def _rotate_in(triangle: Array, right: Array, x: Array, y: Array, start: int) -> None:
    k, q = right.shape
    for j in range(start, k):
        if x[j] == 0.0:
            continue
        old = triangle[j, j]
        rho = math.sqrt(old * old + x[j] * x[j])
        c, s = old / rho, x[j] / rho
        triangle[j, j] = rho
        for i in range(j + 1, k):
            above, below = triangle[j, i], x[i]
            triangle[j, i] = c * above + s * below
            x[i] = c * below - s * above
        for i in range(q):
            above, below = right[j, i], y[i]
            right[j, i] = c * above + s * below
            y[i] = c * below - s * above


@kernel
def back_substitute(triangle: Array, right: Array, first: int, weights: Array) -> None:
    """Fill rows `first` and later of `weights`, (k, q), with those of the solution of R w = u."""
    k, q = right.shape
    for j in range(k - 1, first - 1, -1):
        for i in range(q):
            weights[j, i] = right[j, i]
        for m in range(j + 1, k):
            for i in range(q):
                weights[j, i] -= triangle[j, m] * weights[m, i]
        for i in range(q):
            weights[j, i] /= triangle[j, j]


@kernel
def update_one(
    rows: Array,
    targets: Array,
    forgetting: float,
    penalty: float,
    hold: bool,
    turn: int,
    triangle: Array,
    right: Array,
    kept: Array,
    x: Array,
    y: Array,
    weights: Array,
) -> int:
    """Take the `rows`, (n, k), and `targets`, (n, q), one after another; return whose turn it is next.

    ``kept``, (k,), is the penalty that each coordinate has; ``x``, (k,), ``y``, (q,), and ``weights``, (k, q), are
    scratch.
    """
    k, q = right.shape
    root = math.sqrt(forgetting)
    for row in range(rows.shape[0]):
        if forgetting < 1.0:
            for j in range(k):
                kept[j] *= forgetting
                for i in range(j, k):
                    value = triangle[j, i] * root
                    triangle[j, i] = value if abs(value) > _TINY else 0.0
                for i in range(q):
                    value = right[j, i] * root
                    right[j, i] = value if abs(value) > _TINY else 0.0
            if hold:
                back_substitute(triangle, right, turn, weights)
            more = math.sqrt(max(penalty - kept[turn], 0.0))
            x[:] = 0.0
            x[turn] = more
            for i in range(q):
                y[i] = more * weights[turn, i] if hold else 0.0
            _rotate_in(triangle, right, x, y, turn)
            kept[turn] = penalty
            turn = turn + 1 if turn + 1 < k else 0
        for j in range(k):
            x[j] = rows[row, j]
        for i in range(q):
            y[i] = targets[row, i]
        _rotate_in(triangle, right, x, y, 0)
    return turn


@kernel
def update_many(
    rows: Array,
    targets: Array,
    source: Array,
    constant: bool,
    forgetting: float,
    penalty: float,
    hold: bool,
    turn: int,
    triangle: Array,
    right: Array,
    kept: Array,
    x: Array,
    y: Array,
    rotation: Array,
    weights: Array,
    errors: Array,
) -> int:
    """Take rows, (samples, inputs), and targets, (samples, n), for n problems of k coordinates; return the next turn.

    Coordinate j of problem i reads input ``source[j, i]``, or nothing where that is -1; the last one reads 1 if
    `constant`. ``errors``, (samples, n), gets each target's difference to what the weights before it said; ``triangle``
    is (k, k, n), ``right``, ``weights`` and the scratch ``x`` are (k, n), ``kept`` is (k,), the scratch ``y`` (n,)
    and ``rotation`` (2, n).
    """
    k, n = right.shape
    root = math.sqrt(forgetting)
    for row in range(rows.shape[0]):
        if forgetting < 1.0:
            more = math.sqrt(max(penalty - kept[turn] * forgetting, 0.0))
            for j in range(k):
                kept[j] *= forgetting
                for i in range(n):
                    value = right[j, i] * root
                    right[j, i] = value if abs(value) > _TINY else 0.0
                for m in range(j, k):
                    for i in range(n):
                        value = triangle[j, m, i] * root
                        triangle[j, m, i] = value if abs(value) > _TINY else 0.0
            kept[turn] = penalty
            for j in range(k):
                for i in range(n):
                    x[j, i] = 0.0
            for i in range(n):
                x[turn, i] = more
                y[i] = more * weights[turn, i] if hold else 0.0
            _rotate_many(triangle, right, x, y, rotation, turn)
            turn = turn + 1 if turn + 1 < k else 0
        for i in range(n):
            y[i] = 0.0
        for j in range(k):
            for i in range(n):
                place = source[j, i]
                value = rows[row, place] if place >= 0 else 0.0
                if constant and j == k - 1:
                    value = 1.0
                x[j, i] = value
                y[i] += value * weights[j, i]
        for i in range(n):
            errors[row, i] = targets[row, i] - y[i]
            y[i] = targets[row, i]
        _rotate_many(triangle, right, x, y, rotation, 0)
        for j in range(k - 1, -1, -1):
            for i in range(n):
                weights[j, i] = right[j, i]
            for m in range(j + 1, k):
                for i in range(n):
                    weights[j, i] -= triangle[j, m, i] * weights[m, i]
            for i in range(n):
                weights[j, i] /= triangle[j, j, i]
    return turn


@inlined
def _rotate_many(triangle: Array, right: Array, x: Array, y: Array, rotation: Array, start: int) -> None:
    k, n = right.shape
    c, s = rotation[0], rotation[1]
    for j in range(start, k):
        for i in range(n):
            old, new = triangle[j, j, i], x[j, i]
            rho = math.sqrt(old * old + new * new)
            triangle[j, j, i] = rho
            c[i] = old / rho
            s[i] = new / rho
        for m in range(j + 1, k):
            for i in range(n):
                above, below = triangle[j, m, i], x[m, i]
                triangle[j, m, i] = c[i] * above + s[i] * below
                x[m, i] = c[i] * below - s[i] * above
        for i in range(n):
            above, below = right[j, i], y[i]
            right[j, i] = c[i] * above + s[i] * below
            y[i] = c[i] * below - s[i] * above
