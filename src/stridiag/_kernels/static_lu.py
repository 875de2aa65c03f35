r"""Small chains with links: LU in a fixed order, its solutions proved by their residuals.

Pivots are taken as they come, in an order that makes few numbers (`stridiag._kernels.static_order`). That takes a
fraction of the time of a stable way, and nothing says beforehand that its result is any good. So each solution is
tested: it is accepted only if

.. math:: |b - A x|_i \le 6\,\epsilon\,(|A| |x| + |b|)_i \quad \text{for every row } i,

which makes it the exact one of a system whose entries differ by no more than 6 eps each (Oettli and Prager): backward
stable, entry by entry, whatever the pivots were. Where pivots were small, corrections by LU of the residual bring that
about in one or two steps, unless the condition number times the growth exceeds 1 / eps; then there is no result, and
whoever calls has another way. The random numbers that probe the condition number go along as a second right-hand side
and are held to the same.

Values by slot: those of the diagonals -g, 0, g, one behind the other, and then the links. Cost: 2 m^2 + m + 1
operations for an unknown with m neighbours left, to factor; 4 m + 1 to solve for one right-hand side.

References: W. Oettli and W. Prager, Numer. Math. 6 (1964) 405-409; R. D. Skeel, "Iterative refinement implies numerical
stability for Gaussian elimination", Math. Comp. 35 (1980) 817-832; X. S. Li and J. W. Demmel, "SuperLU_DIST",
ACM Trans. Math. Softw. 29 (2003), for pivots fixed beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.extremes import MAGNITUDE, extreme_bits

__all__ = ["HEAD", "solve_once"]

Array = NDArray[Any]

HEAD = 4
"""Integers of a program before the probe."""

# Rounding errors of the residual itself are about half as large.
_PROVED = 6.0 * 2.0**-52
# What is lost to underflow may be that large, relative to the largest number of the right-hand side.
_NOTHING = 1e-100
_STEPS = 3
# Pivots that are not between them are left to others: there numbers overflow.
_TINY, _HUGE = 1e-150, 1e150


@borrowing
def _signed(i: Any) -> Any:
    """Return an integer of a program as one that differences may be taken of."""
    return np.int64(i)


@borrowing
def _factor(n: int, node: Array, start: Array, near: Array, pair: Array, v: Array, y: Array, z: Array) -> bool:
    """Overwrite `v` with the factors, pivots with their reciprocals, and `y` and `z`, (n,), with L's solutions.

    Returns whether all pivots are of a size that can be worked with.
    """
    t = 0
    for k in range(n):
        i, s, end = node[k], _signed(start[k]), _signed(start[k + 1])
        # Accepts the good, so that NaN ends here.
        if not _TINY < abs(v[i]) < _HUGE:
            return False
        r = 1.0 / v[i]
        v[i] = r
        yi, zi = y[i], z[i]
        if end - s == 2:
            # Most of them by far.
            a, c, q = near[s], near[s + 1], n + 2 * s
            up, right = v[q], v[q + 2]
            down, below = v[q + 1] * r, v[q + 3] * r
            v[q + 1] = down
            v[q + 3] = below
            v[a] -= down * up
            v[c] -= below * right
            p = pair[t]
            t += 1
            v[p] -= down * right
            v[p + 1] -= below * up
            y[a] -= down * yi
            y[c] -= below * yi
            z[a] -= down * zi
            z[c] -= below * zi
            continue
        for e in range(s, end):
            v[n + 2 * e + 1] *= r
        for e in range(s, end):
            a = near[e]
            up, down = v[n + 2 * e], v[n + 2 * e + 1]
            v[a] -= down * up
            y[a] -= down * yi
            z[a] -= down * zi
            for f in range(e + 1, end):
                p = pair[t]
                t += 1
                v[p] -= down * v[n + 2 * f]
                v[p + 1] -= v[n + 2 * f + 1] * up
    return True


@borrowing
def _forward(n: int, node: Array, start: Array, near: Array, v: Array, y: Array, z: Array) -> None:
    for k in range(n):
        i, s, end = node[k], _signed(start[k]), _signed(start[k + 1])
        yi, zi = y[i], z[i]
        if end - s == 2:
            a, c = near[s], near[s + 1]
            down, below = v[n + 2 * s + 1], v[n + 2 * s + 3]
            y[a] -= down * yi
            z[a] -= down * zi
            y[c] -= below * yi
            z[c] -= below * zi
            continue
        for e in range(s, end):
            down = v[n + 2 * e + 1]
            y[near[e]] -= down * yi
            z[near[e]] -= down * zi


@borrowing
def _back(n: int, node: Array, start: Array, near: Array, v: Array, y: Array, z: Array) -> None:
    for k in range(n - 1, -1, -1):
        i, s, end = node[k], _signed(start[k]), _signed(start[k + 1])
        yi, zi = y[i], z[i]
        if end - s == 2:
            a, c, up, right = near[s], near[s + 1], v[n + 2 * s], v[n + 2 * s + 2]
            y[i] = (yi - right * y[c] - up * y[a]) * v[i]
            z[i] = (zi - right * z[c] - up * z[a]) * v[i]
            continue
        # From the neighbour eliminated last on, which has been known for longest.
        for e in range(end - 1, s - 1, -1):
            right = v[n + 2 * e]
            yi -= right * y[near[e]]
            zi -= right * z[near[e]]
        y[i] = yi * v[i]
        z[i] = zi * v[i]


@borrowing
def _outside(values: Array, g: int, rows: Array, columns: Array, b: Array, x: Array, c: Array, w: Array) -> None:
    """Put into `c` and `w` what `b` and links contribute to the residuals and to what they are measured by."""
    n = b.size
    for i in range(n):
        c[i] = b[i]
        w[i] = abs(b[i])
    for t in range(rows.size):
        product = values[3 * n - 2 * g + t] * x[columns[t]]
        c[rows[t]] -= product
        w[rows[t]] += abs(product)
    # The rows at the ends, which meet two diagonals.
    for i in range(g):
        product = values[2 * n - g + i] * x[i + g]
        c[i] -= product
        w[i] += abs(product)
        last = n - g + i
        product = values[last - g] * x[last - g]
        c[last] -= product
        w[last] += abs(product)


@borrowing
def _failures(values: Array, g: int, x: Array, c: Array, w: Array, floor: float) -> int:
    """Count the rows whose residuals are too large, after `_outside`."""
    n = x.size
    middle = n - 2 * g
    main = values[n - g : 2 * n - g]
    lower, upper = values[:middle], values[2 * n : 2 * n + middle]
    before, here, behind = x[:middle], x[g : g + middle], x[2 * g :]
    inner, c_inner, w_inner = main[g : g + middle], c[g : g + middle], w[g : g + middle]
    failed = 0
    for i in range(middle):
        one, two, three = lower[i] * before[i], inner[i] * here[i], upper[i] * behind[i]
        size = w_inner[i] + abs(one) + abs(two) + abs(three)
        # Accepts the good, so that NaN fails.
        failed += not abs(c_inner[i] - one - two - three) <= _PROVED * size + floor
    for i in range(g):
        last = n - g + i
        one, other = main[i] * x[i], main[last] * x[last]
        failed += not abs(c[i] - one) <= _PROVED * (w[i] + abs(one)) + floor
        failed += not abs(c[last] - other) <= _PROVED * (w[last] + abs(other)) + floor
    return failed


@borrowing
def _inside(values: Array, g: int, x: Array, c: Array) -> None:
    """Finish the residuals in `c`, after `_outside`."""
    n = x.size
    middle = n - 2 * g
    main = values[n - g : 2 * n - g]
    # One after the other, and each from zero on, or they would not be taken in vectors.
    for i in range(n):
        c[i] -= main[i] * x[i]
    inner, lower, before = c[g : g + middle], values[:middle], x[:middle]
    for i in range(middle):
        inner[i] -= lower[i] * before[i]
    upper, behind = values[2 * n : 2 * n + middle], x[2 * g :]
    for i in range(middle):
        inner[i] -= upper[i] * behind[i]


@borrowing
def _solve(program: Array, values: Array, b: Array, floor: float, v: Array, work: Array, x: Array) -> Any:
    n, g, links = b.size, _signed(program[0]), _signed(program[1])
    held, pairs = _signed(program[2]), _signed(program[3])
    at = HEAD + 2 * n
    probe = program[HEAD:at].view(np.float64)
    node = program[at : at + n]
    at += n
    start = program[at : at + n + 1]
    at += n + 1
    near = program[at : at + held]
    at += held
    pair = program[at : at + pairs]
    at += pairs
    slot = program[at : at + values.size - n]
    at += slot.size
    rows, columns = program[at : at + links], program[at + links : at + 2 * links]
    z, c, w, d, u = work[:n], work[n : 2 * n], work[2 * n : 3 * n], work[3 * n : 4 * n], work[4 * n :]
    main = values[n - g : 2 * n - g]
    for i in range(n):
        v[i] = main[i]
        c[i] = b[i]
        d[i] = probe[i]
        x[i] = 0.0
        z[i] = 0.0
    entries = v[n:]
    for e in range(entries.size):
        entries[e] = 0.0
    before, behind = slot[: n - g], slot[n - g :]
    for e in range(before.size):
        v[before[e]] += values[e]
    others = values[2 * n - g :]
    for e in range(behind.size):
        v[behind[e]] += others[e]
    for step in range(_STEPS + 1):
        # In c and d stand the right-hand sides, and then the residuals.
        if step > 0:
            _inside(values, g, x, c)
            _inside(values, g, z, d)
            _forward(n, node, start, near, v, c, d)
        elif not _factor(n, node, start, near, pair, v, c, d):
            return np.nan
        _back(n, node, start, near, v, c, d)
        for i in range(n):
            x[i] += c[i]
            z[i] += d[i]
        _outside(values, g, rows, columns, b, x, c, w)
        _outside(values, g, rows, columns, probe, z, d, u)
        if _failures(values, g, x, c, w, floor) + _failures(values, g, z, d, u, 0.0) == 0:
            squares = 0.0
            for i in range(n):
                squares += z[i] * z[i]
            return np.sqrt(squares)
    return np.nan


@kernel
def solve_once(program: Array, values: Array, b: Array, x: Array) -> tuple[Any, Any, Any]:
    """Put the solution of ``A x = b`` into `x`, (n,), all in double precision, if it can be proved to be one.

    Parameters
    ----------
    program : ndarray of uint32
        g, the numbers of links, neighbours and pairs; the numbers of the probe, (n,), two integers each; ``node, start,
        near, pair, slot`` of `stridiag._kernels.static_order`; and the links' rows and columns. 2 g <= n. Unsigned,
        since a signed index is first tested for counting from the end; and one array, since handing over each takes
        time.
    values, b : ndarray, (nnz,), (n,)

    Returns
    -------
    tuple
        The largest and the smallest magnitude of the values, infinite or NaN if a value is, and the 2-norm of the
        solution for the probe: NaN where there is no solution.
    """
    split = b.size + 2 * _signed(program[2])
    room = np.empty(split + 5 * b.size)
    # Integers grow with magnitudes, and can be compared side by side: see `stridiag._kernels.extremes`.
    bits = room[:3].view(np.uint64)
    bits[0], bits[1] = extreme_bits(values.view(np.uint64), MAGNITUDE)
    bits[2], _ = extreme_bits(b.view(np.uint64), MAGNITUDE)
    largest, smallest, size = room[0], room[1], room[2]
    # Accepts the good, so that NaN ends here.
    if not (largest < np.inf and size < np.inf):
        return largest, smallest, np.nan
    found = _solve(program, values, b, _NOTHING * size, room[:split], room[split:], x)
    return largest, smallest, found
