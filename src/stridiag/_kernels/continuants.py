r"""The inverse of tridiagonal chains from continuants: all of it, any entries, the pattern, the sums of its columns.

Row j of a chain has :math:`l_{j-1}, d_j, u_j` in the columns j - 1, j, j + 1. Let :math:`F_j` be the determinant of the
rows of its chain before row j, :math:`G_j` that of the rows behind it, :math:`\beta_j = l_j u_j`, and

.. math:: D_j = F_j (d_j G_j - \beta_j G_{j+1}) - \beta_{j-1} F_{j-1} G_j

the determinant of the chain, expanded at row j. Then Z = A^{-1} is

.. math::
   Z_{ij} = (-1)^{i+j} \frac{F_i\, u_i \cdots u_{j-1}\, G_j}{D_j} \quad (i \le j), \qquad
   Z_{ij} = (-1)^{i+j} \frac{F_j\, l_j \cdots l_{i-1}\, G_i}{D_j} \quad (i \ge j).

In exact arithmetic all D_j of a chain are equal. Computed ones are not, and D_j is the right one for column j: it is
made from the same rounded F_j and G_j. So column j is, but for the |i - j| roundings of the products, the column of
the exact inverse of a matrix within 3 units of rounding of A, entry by entry; hence
:math:`|\delta Z| \le c\,u\,|Z||A||Z|`. Nothing is divided by a continuant, so zero ones do no harm.

**Range.** Continuants leave the exponent range near n = 300: they are pairs of `stridiag._kernels.extended_range`.

**The whole inverse** is :math:`Z_{ij} = X_i Y_j` on and above, :math:`V_i W_j` below the diagonal, with

.. math:: X_j = (-1)^j F_j / P_j, \quad Y_j = (-1)^j P_j G_j / D_j, \quad V_j = (-1)^j Q_j G_j, \quad
   W_j = (-1)^j F_j / (Q_j D_j),

P and Q running products of u and l, begun anew behind a zero. Columns are put into blocks of one exponent, so that an
entry costs one multiplication of two doubles.

Cost: see `stridiag.planning.inverse_cost`. All arrays in double precision.

References: R. A. Usmani, "Inversion of a tridiagonal Jacobi matrix", Linear Algebra Appl. 212/213 (1994); B. N. Parlett
and I. S. Dhillon, Linear Algebra Appl. 267 (1997) for the expansion at every row; column sums as I. S. Dhillon,
"Reliable computation of the condition number of a tridiagonal matrix in O(n) time", SIAM J. Matrix Anal. Appl. 19
(1998), with exponents in place of quotients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, inlined, kernel
from stridiag._kernels.extended_range import UNIT, ZERO_UNIT, normal, number, one, plus, size_of

__all__ = [
    "block_columns",
    "chain_diagonal",
    "chain_entries",
    "chain_pattern",
    "continuants",
    "generators",
    "largest_column_sum",
    "write_inverse",
]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Units by which the exponents of one block of columns may differ from its own.
_SPREAD = 1

# Rows of the continuants, and of the generators.
F, F_BEFORE, G, G_BEHIND = range(4)
X, Y, V, W = range(4)


@inlined
def _following(
    lower: Any, main: Any, upper: Any, this: Any, unit: int, share: Any, of_share: int
) -> tuple[Any, int, Any, int]:
    """Return the continuant with one more row, and the one without it, times the entries that join it to the next."""
    if lower == 0.0 and upper == 0.0:
        zero = this * 0
        return one(zero), 0, zero, ZERO_UNIT
    m, e = normal(main, 0)
    m, e = plus(m * this, e + unit, -share, of_share)
    lower, el = normal(lower, 0)
    upper, eu = normal(upper, 0)
    beta, eb = normal(lower * upper, el + eu)
    share, of_share = normal(beta * this, eb + unit)
    return m, e, share, of_share


@borrowing
def _whole(d: Any, mantissa: Any, exponent: Any, j: Any) -> tuple[Any, int]:
    """Return D_j, from what `continuants` found."""
    g, eg = mantissa[G, j], exponent[G, j]
    m, e = normal(d[j], 0)
    m, e = plus(m * g, e + eg, -mantissa[G_BEHIND, j], exponent[G_BEHIND, j])
    return plus(m * mantissa[F, j], e + exponent[F, j], -mantissa[F_BEFORE, j] * g, exponent[F_BEFORE, j] + eg)


@kernel
def continuants(dl: Array, d: Array, du: Array, mantissa: Array, exponent: Index) -> None:
    """Fill the rows of `mantissa` and `exponent`, (4, n): F_j, beta_(j-1) F_(j-1), G_j, beta_j G_(j+1).

    They begin anew where nothing couples two rows.
    """
    leading(dl, d, du, mantissa, exponent)
    trailing(dl, d, du, mantissa, exponent)


@kernel
def leading(dl: Array, d: Array, du: Array, mantissa: Array, exponent: Index) -> None:
    """Fill the first two of the rows that `continuants` fills."""
    n = d.size
    if n == 0:
        return
    zero = d[0] * 0
    this, unit = one(zero), 0
    share, of_share = zero, ZERO_UNIT
    for j in range(n):
        mantissa[F, j], exponent[F, j] = this, unit
        mantissa[F_BEFORE, j], exponent[F_BEFORE, j] = share, of_share
        if j == n - 1:
            break
        this, unit, share, of_share = _following(dl[j], d[j], du[j], this, unit, share, of_share)


@kernel
def trailing(dl: Array, d: Array, du: Array, mantissa: Array, exponent: Index) -> None:
    """Fill the last two of the rows that `continuants` fills."""
    n = d.size
    if n == 0:
        return
    zero = d[0] * 0
    this, unit = one(zero), 0
    share, of_share = zero, ZERO_UNIT
    for j in range(n - 1, -1, -1):
        mantissa[G, j], exponent[G, j] = this, unit
        mantissa[G_BEHIND, j], exponent[G_BEHIND, j] = share, of_share
        if j == 0:
            break
        this, unit, share, of_share = _following(dl[j - 1], d[j], du[j - 1], this, unit, share, of_share)


@kernel
def chain_diagonal(d: Array, mantissa: Array, exponent: Index, out: Array, first: int, last: int) -> int:
    """Fill ``out[first:last]`` with the diagonal of the inverse, from `continuants`.

    Returns -1, or a row where D_j = 0.
    """
    for j in range(first, last):
        f, ef, g, eg = mantissa[F, j], exponent[F, j], mantissa[G, j], exponent[G, j]
        whole, unit = _whole(d, mantissa, exponent, j)
        # Accepts the good, and keeps complex division from raising.
        if not 0.0 < size_of(whole) < np.inf:
            return j
        out[j] = number(f * g / whole, ef + eg - unit)
    return -1


@kernel
def chain_pattern(
    dl: Array,
    d: Array,
    du: Array,
    mantissa: Array,
    exponent: Index,
    lower: Array,
    main: Array,
    upper: Array,
    first: int,
    last: int,
) -> int:
    """Fill in the entries (j, j - 1), (j, j) and (j - 1, j) of the inverse for the rows j of a range.

    From `continuants`; each array (n,), entry j - 1 of `lower` and `upper` for row j. Returns -1, or a row where
    D_j = 0. The last entries of `lower` and `upper` are left alone.
    """
    for j in range(first, last):
        f, ef, g, eg = mantissa[F, j], exponent[F, j], mantissa[G, j], exponent[G, j]
        whole, unit = _whole(d, mantissa, exponent, j)
        if not 0.0 < size_of(whole) < np.inf:
            return j
        m, e = normal(g / whole, eg - unit)
        main[j] = number(f * m, ef + e)
        if j > 0:
            m, e = normal(-mantissa[F, j - 1] * m, exponent[F, j - 1] + e)
            below, el = normal(dl[j - 1], 0)
            above, eu = normal(du[j - 1], 0)
            lower[j - 1] = number(below * m, el + e)
            upper[j - 1] = number(above * m, eu + e)
    return -1


@inlined
def _product(p: Any, unit: int, entry: Any) -> tuple[Any, int]:
    """Return a running product with one more entry, and the sign; begun anew behind a zero."""
    if entry == 0.0:
        return one(p * 0), 0
    m, e = normal(entry, 0)
    return normal(-p * m, unit + e)


@kernel
def generators(dl: Array, d: Array, du: Array, mantissa: Array, exponent: Index) -> int:
    """Overwrite what `continuants` found with X, Y, V and W. Returns -1, or a row where D_j = 0."""
    n = d.size
    if n == 0:
        return -1
    # The running products, with the signs.
    p, ep = one(d[0] * 0), 0
    q, eq = p, ep
    for j in range(n):
        f, ef, g, eg = mantissa[F, j], exponent[F, j], mantissa[G, j], exponent[G, j]
        whole, unit = _whole(d, mantissa, exponent, j)
        if not 0.0 < size_of(whole) < np.inf:
            return j
        mantissa[X, j], exponent[X, j] = normal(f / p, ef - ep)
        mantissa[Y, j], exponent[Y, j] = normal(p * g / whole, ep + eg - unit)
        mantissa[V, j], exponent[V, j] = normal(q * g, eq + eg)
        m, e = normal(q * whole, eq + unit)
        mantissa[W, j], exponent[W, j] = normal(f / m, ef - e)
        p, ep = _product(p, ep, du[j])
        q, eq = _product(q, eq, dl[j])
    return -1


@kernel
def block_columns(mantissa: Array, exponent: Index, coupling: Array, scaled: Array, start: Index, unit: Index) -> int:
    """Put columns into blocks of one exponent: Y by `coupling` = du, or W by dl.

    Fills `scaled`, (n,), with the numbers in units of their blocks, and `start`, (n + 1,), and `unit`, (n,), with the
    first columns and the exponents of the blocks. A block ends at a zero of `coupling`. Returns how many there are.
    """
    n = mantissa.size
    count = 0
    low, high = 0, 0
    for j in range(n):
        e = exponent[j]
        here = mantissa[j] != 0.0
        begins = j == 0 or coupling[j - 1] == 0.0
        if not begins and here and low <= high:
            begins = e > low + 2 * _SPREAD or e < high - 2 * _SPREAD
        if begins:
            start[count] = j
            low, high = 1, 0
            count += 1
        if here:
            low, high = (e, e) if low > high else (min(low, e), max(high, e))
        # Halfway, so that every number of the block lies within the spread.
        unit[count - 1] = (low + high) // 2 if low <= high else 0
    start[count] = n
    for b in range(count):
        for j in range(start[b], start[b + 1]):
            scaled[j] = number(mantissa[j], exponent[j] - unit[b])
    return count


@kernel
def write_inverse(
    starts: Index,
    mantissa: Array,
    exponent: Index,
    dl: Array,
    du: Array,
    upper: Array,
    upper_start: Index,
    upper_unit: Index,
    lower: Array,
    lower_start: Index,
    lower_unit: Index,
    out: Array,
) -> None:
    """Fill `out`, (n, n), whose row and column i + k g belong to position k of chain i; g = starts.size - 1 chains.

    `upper`, `lower` and what goes with them are from `block_columns`; of `out` every entry is written.
    """
    g = starts.size - 1
    first_upper, first_lower, run = 0, 0, 0
    for chain in range(g):
        base, end = starts[chain], starts[chain + 1]
        for i in range(base, end):
            row = out[chain + (i - base) * g]
            # A block of its own begins behind every zero, so no search is needed: the pointers only move on.
            if i == base or dl[i - 1] == 0.0:
                run = i
                while lower_start[first_lower] < i:
                    first_lower += 1
            while upper_start[first_upper + 1] <= i:
                first_upper += 1
            if g > 1:
                row[:] = 0.0
            else:
                row[:run] = 0.0
            b = first_lower
            j = run
            while j < i:
                stop = min(lower_start[b + 1], i)
                _write(row, lower, j, stop, chain - base * g, g, mantissa[V, i], exponent[V, i] + lower_unit[b])
                j = stop
                b += 1
            b = first_upper
            j = i
            while True:
                stop = upper_start[b + 1]
                _write(row, upper, j, stop, chain - base * g, g, mantissa[X, i], exponent[X, i] + upper_unit[b])
                j = stop
                b += 1
                if j >= end or du[j - 1] == 0.0:
                    break
            if g == 1:
                row[j:] = 0.0


@inlined
def _write(row: Array, scaled: Array, j: int, stop: int, shift: int, g: int, m: Any, e: int) -> None:
    """Write ``scaled[j:stop]`` times a number to the places ``shift + j * g`` of a row."""
    if -3 <= e <= 3:
        if e != 0:
            m = m * math.ldexp(1.0, UNIT * int(e))
        if g == 1:
            # Slices, so that the loop begins at zero and the compiler sees that no index is negative.
            target, source = row[j:stop], scaled[j:stop]
            for k in range(stop - j):
                target[k] = m * source[k]
        else:
            for k in range(j, stop):
                row[shift + k * g] = m * scaled[k]
        return
    if e < -7:
        # The largest product, 2^400, is nothing here.
        for k in range(j, stop):
            row[shift + k * g] = 0.0
        return
    # Two powers, since one alone may lie outside the range of a double where the entry does not.
    half = min(max(e, -4), 4)
    rest = min(max(e - half, -4), 4)
    one, other = math.ldexp(1.0, UNIT * int(half)), math.ldexp(1.0, UNIT * int(rest))
    for k in range(j, stop):
        row[shift + k * g] = m * scaled[k] * one * other


@kernel
def chain_entries(
    mantissa: Array, exponent: Index, upper_run: Index, lower_run: Index, rows: Index, columns: Index, out: Array
) -> None:
    """Fill `out`, (k,), with entries of the inverse at chain positions, from the generators.

    Runs number the stretches without a zero in du, or in dl: an entry between two of them is zero.
    """
    for k in range(rows.size):
        i, j = rows[k], columns[k]
        if i <= j:
            here = upper_run[i] == upper_run[j]
            left, right = X, Y
        else:
            here = lower_run[i] == lower_run[j]
            left, right = V, W
        out[k] = 0.0
        if here:
            out[k] = number(mantissa[left, i] * mantissa[right, j], exponent[left, i] + exponent[right, j])


@kernel
def largest_column_sum(
    dl: Array, d: Array, du: Array, mantissa: Array, exponent: Index, sums: NDArray[np.float64], units: Index
) -> tuple[float, int, int]:
    r"""Return the largest column sum of magnitudes of the inverse, as mantissa and exponent, and info.

    With :math:`A_j = |u_{j-1}| A_{j-1} + |F_j|` and :math:`B_j = |l_j| (|G_{j+1}| + B_{j+1})` column j has the sum
    :math:`(A_j |G_j| + B_j |F_j|) / |D_j|`. Info is -1, or a row where D_j = 0. `mantissa`, `exponent`: from
    `continuants`; `sums`, `units`, (n,): work.
    """
    n = d.size
    best, unit = 0.0, ZERO_UNIT
    sum_, e = 0.0, ZERO_UNIT
    for j in range(n - 1, -1, -1):
        sums[j], units[j] = sum_, e
        if j > 0:
            sum_, e = plus(sum_, e, abs(mantissa[G, j]), exponent[G, j])
            m, em = normal(abs(dl[j - 1]), 0)
            sum_, e = normal(sum_ * m, e + em)
    sum_, e = 0.0, ZERO_UNIT
    for j in range(n):
        f, ef, g, eg = mantissa[F, j], exponent[F, j], mantissa[G, j], exponent[G, j]
        whole, ew = _whole(d, mantissa, exponent, j)
        if not 0.0 < size_of(whole) < np.inf:
            return np.inf, 0, j
        size = abs(f)
        sum_, e = plus(sum_, e, size, ef)
        total, et = plus(sum_ * abs(g), e + eg, sums[j] * size, units[j] + ef)
        total, et = normal(total / abs(whole), et - ew)
        # By the sign of the difference, since mantissas with different exponents overlap.
        difference, _ = plus(total, et, -best, unit)
        if difference > 0.0:
            best, unit = total, et
        m, em = normal(abs(du[j]), 0)
        sum_, e = normal(sum_ * m, e + em)
    return best, unit, -1
