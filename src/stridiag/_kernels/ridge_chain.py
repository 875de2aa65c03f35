r"""QR of a real tridiagonal matrix with a multiple of the identity below it.

.. math:: \begin{pmatrix} A \\ \tau I \end{pmatrix} = \begin{pmatrix} Q_a \\ Q_b \end{pmatrix} R, \qquad
    R^T R = A^T A + \tau^2 I

R has two super-diagonals. Before column j two rows stand above row j + 1 of A: (a, b) and (0, c) in columns j and
j + 1. Four rotations clear column j and leave two such rows again:

1. (a, b) with :math:`(\tau, 0)` of the identity: the second becomes (0, y);
2. (0, c) with (0, y): the second becomes zero and is out;
3. the first with row j + 1 of A: row j of R is done;
4. what is left of row j + 1 with (0, c).

For a right-hand side the three numbers p, q (of the two rows) and beta (of row j + 1) become the entry of R's row and
the next p and q. These are eight products, and the eight coefficients are what is stored: two products follow one
another from column to column, not eight. The transposed product runs backwards.

**Two ridges at once.** A column waits for square roots and quotients, so that two factorizations side by side take
little longer than one. Of the second only the determinant is kept: two of them, of different ridges, tell how many
singular values lie below a bound (`stridiag.linalg.direct_chain`).

**Safety.** The entries of A are to be at most one in size, and tau is zero or so large that its square does not
vanish. Each number of the state comes from a rotation, so nothing grows. A rotation of two zeros is the identity.

**Cost.** A column: four square roots, four quotients and about 25 other operations; a product with :math:`Q_a^T`
12 operations, with :math:`Q_a` the same, with the inverse of R or of its transpose 5.

Reference: L. Eldén, Algorithms for the regularization of ill-conditioned least squares problems, BIT 17 (1977)
134-145.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel, literal_inlined, literal_kernel

__all__ = [
    "factor_ridges",
    "invert_gram",
    "less_product",
    "residual_block",
    "residual_rows",
    "residual_vector",
    "solve_block",
    "solve_block_adjoint",
    "solve_vector",
    "solve_vector_adjoint",
    "survey",
]

Array = NDArray[Any]

# Columns between two logarithms: a product of so many numbers between 1e-15 and 3 stays in the range.
_RUN = 16


@kernel
def survey(dl: Array, d: Array, du: Array) -> tuple[bool, float, float, float, float]:
    """Return whether it is one block, the largest sums of a row and of a column, and the largest sums of squares.

    Rows and columns are to hang together through nonzero entries, none of them being zero: row and column j + 1 join
    what came before through dl[j] and du[j], and what does not go on is cut off.
    """
    n = d.size
    together = d[0] != 0
    connected = True
    row_sum = column_sum = row_square = column_square = 0.0
    for j in range(n):
        before = abs(dl[j - 1]) if j > 0 else 0.0
        above = abs(du[j - 1]) if j > 0 else 0.0
        mid = abs(d[j])
        after = abs(du[j]) if j < n - 1 else 0.0
        below = abs(dl[j]) if j < n - 1 else 0.0
        row_sum = max(row_sum, before + mid + after)
        column_sum = max(column_sum, above + mid + below)
        row_square = max(row_square, before * before + mid * mid + after * after)
        column_square = max(column_square, above * above + mid * mid + below * below)
        if j > 0:
            right = above != 0.0
            down = before != 0.0
            if not ((right or down) if together else (right and down)):
                connected = False
            together = mid != 0.0 or (together and right and down)
    return connected and together, row_sum, column_sum, row_square, column_square


@inlined
def _step(
    a: float, b: float, c: float, tau: float, low: float, mid: float, up: float
) -> tuple[float, float, float, float, float, float, float, float, float, float, float, float, float, float]:
    """Clear a column: return the row of R, (a, b) and c of the next one, cosines and sines of the four rotations."""
    r1 = np.sqrt(a * a + tau * tau)
    k1 = 1.0
    s1 = 0.0
    if r1 != 0.0:
        back = 1.0 / r1
        k1 = a * back
        s1 = tau * back
    b1 = k1 * b
    y = -s1 * b
    q = np.sqrt(c * c + y * y)
    k2 = 1.0
    s2 = 0.0
    if q != 0.0:
        back = 1.0 / q
        k2 = c * back
        s2 = y * back
    r = np.sqrt(r1 * r1 + low * low)
    k3 = 1.0
    s3 = 0.0
    if r != 0.0:
        back = 1.0 / r
        k3 = r1 * back
        s3 = low * back
    left = k3 * mid - s3 * b1
    over = k3 * up
    top = np.sqrt(q * q + left * left)
    k4 = 1.0
    s4 = 0.0
    if top != 0.0:
        back = 1.0 / top
        k4 = q * back
        s4 = left * back
    return r, k3 * b1 + s3 * mid, s3 * up, top, s4 * over, k4 * over, k1, s1, k2, s2, k3, s3, k4, s4


@kernel
def factor_ridges(dl: Array, d: Array, du: Array, tau: float, second_tau: float, r: Array, turns: Array) -> float:
    """Factor with `tau` below; return the logarithm of the determinant of the R that has `second_tau` below.

    `r`, (n, 3), takes the inverse of R's diagonal entry and the two entries beside it times that; `turns`, (n, 8),
    the coefficients of the rotations, or nothing if it has no rows.
    """
    n = d.size
    store = turns.shape[0] > 0
    a = a2 = d[0]
    b = b2 = du[0] if n > 1 else 0.0
    c = c2 = 0.0
    total = 0.0
    product = 1.0
    for j in range(n):
        low = dl[j] if j < n - 1 else 0.0
        mid = d[j + 1] if j < n - 1 else 0.0
        up = du[j + 1] if j < n - 2 else 0.0
        pivot, beside, beyond, a, b, c, k1, s1, k2, s2, k3, s3, k4, s4 = _step(a, b, c, tau, low, mid, up)
        inverse = 1.0 / pivot
        r[j, 0] = inverse
        r[j, 1] = beside * inverse
        r[j, 2] = beyond * inverse
        if store:
            turns[j, 0] = k3 * k1
            turns[j, 1] = s3
            turns[j, 2] = k3
            turns[j, 3] = s3 * k1
            turns[j, 4] = k2
            turns[j, 5] = s2 * s1
            turns[j, 6] = k4
            turns[j, 7] = s4
        pivot, _, _, a2, b2, c2, _, _, _, _, _, _, _, _ = _step(a2, b2, c2, second_tau, low, mid, up)
        product *= pivot
        if j % _RUN == _RUN - 1:
            total += np.log(product)
            product = 1.0
    result: float = total + np.log(product)
    return result


@kernel
def invert_gram(r: Array, x: Array) -> None:
    """Replace two right-hand sides, the rows of `x`, (2, n), by their products with the inverse of R' R."""
    n = r.shape[0]
    # R' t = x, forwards: t_j = (x_j - R[j-1, j] t_{j-1} - R[j-2, j] t_{j-2}) / R[j, j], scaled by the row's pivot.
    u1 = v1 = u2 = v2 = 0.0
    for j in range(n):
        inverse = r[j, 0]
        u = x[0, j] - u2
        v = x[1, j] - v2
        if j > 0:
            u -= r[j - 1, 1] * u1
            v -= r[j - 1, 1] * v1
            u2 = r[j - 1, 2] * u1
            v2 = r[j - 1, 2] * v1
        u1 = u
        v1 = v
        x[0, j] = u * inverse * inverse
        x[1, j] = v * inverse * inverse
    # And R x = t backwards, rows divided by their pivots.
    u1 = v1 = u2 = v2 = 0.0
    for j in range(n - 1, -1, -1):
        u = x[0, j] - r[j, 2] * u2 - r[j, 1] * u1
        v = x[1, j] - r[j, 2] * v2 - r[j, 1] * v1
        u2 = u1
        v2 = v1
        u1 = u
        v1 = v
        x[0, j] = u
        x[1, j] = v


@kernel
def solve_vector(r: Array, turns: Array, b: Array, x: Array) -> None:
    """Put the inverse of R times Q_a' b into `x`, (n,)."""
    n = b.size
    p = b[0]
    q = 0.0
    for j in range(n):
        beta = b[j + 1] if j < n - 1 else 0.0
        x[j] = turns[j, 0] * p + turns[j, 1] * beta
        rest = turns[j, 2] * beta - turns[j, 3] * p
        q = turns[j, 4] * q - turns[j, 5] * p
        p = turns[j, 6] * q + turns[j, 7] * rest
        q = turns[j, 6] * rest - turns[j, 7] * q
    u1 = u2 = 0.0
    for j in range(n - 1, -1, -1):
        u = x[j] * r[j, 0] - r[j, 2] * u2 - r[j, 1] * u1
        u2 = u1
        u1 = u
        x[j] = u


@kernel
def solve_vector_adjoint(r: Array, turns: Array, b: Array, x: Array) -> None:
    """Put Q_a times the inverse of R' times b into `x`, (n,)."""
    n = b.size
    u1 = u2 = 0.0
    for j in range(n):
        u = b[j] - u2
        if j > 0:
            u -= r[j - 1, 1] * u1
            u2 = r[j - 1, 2] * u1
        u1 = u
        x[j] = u * r[j, 0]
    p = q = 0.0
    for j in range(n - 1, -1, -1):
        y = x[j]
        old = turns[j, 6] * p - turns[j, 7] * q
        rest = turns[j, 7] * p + turns[j, 6] * q
        if j < n - 1:
            x[j + 1] = turns[j, 1] * y + turns[j, 2] * rest
        p = turns[j, 0] * y - turns[j, 3] * rest - turns[j, 5] * old
        q = turns[j, 4] * old
    x[0] = p


@kernel
def solve_block(r: Array, turns: Array, b: Array, x: Array, work: Array) -> None:
    """Do `solve_vector` for the columns of `b`, (n, k), into `x`; `work`, (2, k), is work space."""
    n, width = b.shape
    p = work[0]
    q = work[1]
    for i in range(width):
        p[i] = b[0, i]
        q[i] = 0.0
    for j in range(n):
        t0, t1, t2, t3 = turns[j, 0], turns[j, 1], turns[j, 2], turns[j, 3]
        t4, t5, t6, t7 = turns[j, 4], turns[j, 5], turns[j, 6], turns[j, 7]
        inverse = r[j, 0]
        following = b[min(j + 1, n - 1)]
        row = x[j]
        if j == n - 1:
            t1 = t2 = 0.0
        for i in range(width):
            beta = following[i]
            upper = p[i]
            row[i] = (t0 * upper + t1 * beta) * inverse
            rest = t2 * beta - t3 * upper
            lower = t4 * q[i] - t5 * upper
            p[i] = t6 * lower + t7 * rest
            q[i] = t6 * rest - t7 * lower
    for j in range(n - 2, -1, -1):
        beside = r[j, 1]
        beyond = r[j, 2] if j < n - 2 else 0.0
        row = x[j]
        one = x[j + 1]
        two = x[min(j + 2, n - 1)]
        for i in range(width):
            row[i] -= beside * one[i] + beyond * two[i]


@kernel
def solve_block_adjoint(r: Array, turns: Array, b: Array, x: Array, work: Array) -> None:
    """Do `solve_vector_adjoint` for the columns of `b`, (n, k), into `x`; `work`, (2, k), is work space."""
    n, width = b.shape
    for i in range(width):
        work[0, i] = 0.0
        work[1, i] = 0.0
    p = work[0]
    q = work[1]
    for j in range(n):
        row = x[j]
        right = b[j]
        # Rows of x hold the solution before the division by the pivot, which the next two rows want.
        beside = r[j - 1, 1] if j > 0 else 0.0
        beyond = r[j - 2, 2] if j > 1 else 0.0
        one = x[max(j - 1, 0)] if j > 0 else work[0]
        two = x[j - 2] if j > 1 else work[0]
        for i in range(width):
            row[i] = right[i] - beside * one[i] - beyond * two[i]
    for j in range(n - 1, -1, -1):
        t0, t1, t2, t3 = turns[j, 0], turns[j, 1], turns[j, 2], turns[j, 3]
        t4, t5, t6, t7 = turns[j, 4], turns[j, 5], turns[j, 6], turns[j, 7]
        inverse = r[j, 0]
        row = x[j]
        target = x[min(j + 1, n - 1)]
        for i in range(width):
            y = row[i] * inverse
            old = t6 * p[i] - t7 * q[i]
            rest = t7 * p[i] + t6 * q[i]
            target[i] = t1 * y + t2 * rest
            p[i] = t0 * y - t3 * rest - t5 * old
            q[i] = t4 * old
    row = x[0]
    for i in range(width):
        row[i] = p[i]


@literal_inlined
def _halves(a: float) -> tuple[float, float]:
    """Split a number of 53 bits into two of 26."""
    wide = 134217729.0 * a
    high = wide - (wide - a)
    return high, a - high


@literal_inlined
def less_product(high: float, low: float, a: float, x: float) -> tuple[float, float]:
    """Subtract a x from ``high + low``, as `stridiag._kernels.residual` does."""
    value = -a
    value_high, value_low = _halves(value)
    factor_high, factor_low = _halves(x)
    product = value * x
    lost = value_low * factor_low - (
        ((product - value_high * factor_high) - value_low * factor_high) - value_high * factor_low
    )
    total = high + product
    part = total - high
    rest = (high - (total - part)) + (product - part)
    return total, low + (rest + lost)


@literal_inlined
def _row(b: float, low: float, mid: float, up: float, before: float, here: float, after: float) -> float:
    high, error = less_product(b, 0.0, low, before)
    high, error = less_product(high, error, mid, here)
    high, error = less_product(high, error, up, after)
    return high + error


@literal_kernel
def residual_vector(dl: Array, d: Array, du: Array, b: Array, x: Array, result: Array) -> None:
    """Put b - A x, (n,), computed in twice the precision, into `result`; n is at least 2."""
    n = d.size
    result[0] = _row(b[0], 0.0, d[0], du[0], 0.0, x[0], x[1])
    for j in range(1, n - 1):
        result[j] = _row(b[j], dl[j - 1], d[j], du[j], x[j - 1], x[j], x[j + 1])
    result[n - 1] = _row(b[n - 1], dl[n - 2], d[n - 1], 0.0, x[n - 2], x[n - 1], 0.0)


@literal_kernel
def residual_block(dl: Array, d: Array, du: Array, b: Array, x: Array, result: Array) -> None:
    """Do `residual_vector` for the columns of `b` and `x`, (n, k)."""
    n, width = b.shape
    for j in range(n):
        low = dl[j - 1] if j > 0 else 0.0
        up = du[j] if j < n - 1 else 0.0
        mid = d[j]
        right = b[j]
        before = x[max(j - 1, 0)]
        here = x[j]
        after = x[min(j + 1, n - 1)]
        row = result[j]
        for i in range(width):
            row[i] = _row(right[i], low, mid, up, before[i], here[i], after[i])


@literal_kernel
def residual_rows(
    dl: Array, d: Array, du: Array, rows: Array, columns: Array, values: Array, b: Array, x: Array, result: Array
) -> None:
    """Compute those rows of the residual, (n, k), again that have links too, which are given row by row."""
    n, width = b.shape
    begin = 0
    while begin < rows.size:
        j = rows[begin]
        end = begin + 1
        while end < rows.size and rows[end] == j:
            end += 1
        for i in range(width):
            high = b[j, i]
            low = 0.0
            if j > 0:
                high, low = less_product(high, low, dl[j - 1], x[j - 1, i])
            high, low = less_product(high, low, d[j], x[j, i])
            if j < n - 1:
                high, low = less_product(high, low, du[j], x[j + 1, i])
            for k in range(begin, end):
                high, low = less_product(high, low, values[k], x[columns[k], i])
            result[j, i] = high + low
        begin = end
