r"""Givens QR of a square sparse matrix, one row after the other.

.. math:: P A \Pi = G^H R, \qquad G = G_t \cdots G_2 G_1, \qquad
          G_i = \begin{pmatrix} c & s \\ -\bar s & c \end{pmatrix}, \quad c \ge 0, \quad c^2 + |s|^2 = 1

:math:`\Pi` is the order of the columns, which the caller has applied. A row enters at its leading column k.
If row k of R is still free it becomes that row. Otherwise one rotation with row k of R removes its entry in
column k, and it goes on to the next column of R's row k. P says which row of A ended as which row of R.

**Structure.** With :math:`U_k` the structure of R's row k, m_k the number of rows that come to column k, and
:math:`p(k) = \min U_k \setminus \{k\}`,

.. math:: U_k = \bigcup_{\text{rows led by } k} \text{row} \;\cup
          \bigcup_{p(j) = k,\; m_j > 1} U_j \setminus \{j\}, \qquad
          m_k = |\text{rows led by } k| + \sum_{p(j) = k,\; m_j > 1} (m_j - 1).

The numeric pass takes its rows along the very same path, whatever the numbers: a row whose entry in column k
happens to be zero still calls at k, where it is free of charge. So nothing can fall outside the predicted
structure, and every row of R with m_k > 0 is taken. Rows that run out of columns are zero by then; they stand
for the rows of R with m_k = 0.

**Storage.** R by rows, each led by its diagonal entry, the others in no particular order. The rotations in
the order of their use: ``first`` is the row of R concerned, and ``starts`` tells which rotations belong to
the t-th row that entered, which is ``others[t]`` in R. Columns are 32-bit, pointers 64-bit.

**Cost.** At most :math:`\sum_k (m_k - 1)` rotations with :math:`6 (r_k - 1)` flops each, where
:math:`r_k = |U_k|`; a right-hand side takes 6 flops a rotation and 2 per entry of R. Rotations are unitary to
rounding, so the factorization is backward stable without any condition.

References: A. George and M. Heath, Solution of sparse linear least squares problems using Givens rotations,
Linear Algebra Appl. 34 (1980) 69-83; A. George and E. Ng, An implementation of Gaussian elimination with
partial pivoting for sparse systems, SIAM J. Sci. Stat. Comput. 6 (1985) 390-409 (:math:`U_k` and m_k also
bound LU with any interchanges of rows); safe rotations: E. Anderson, Algorithm 978, ACM Trans. Math. Softw.
44 (2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = [
    "apply_rotations",
    "factor_rows",
    "merge_rows",
    "multiply_upper",
    "rotation",
    "solve_upper",
    "solve_upper_adjoint",
    "undo_rotations",
]

Array = NDArray[Any]

# Numbers whose squares neither overflow nor vanish lie between _LOW and _HIGH; outside, a shift by 2**700 (or
# 2**-700) brings every double, subnormal ones too, into that range.
_LOW = 1e-140
_HIGH = 1e140
_UP = 2.0**700
_DOWN = 2.0**-700


@kernel
def merge_rows(
    pointers: Array,
    indices: Array,
    own_first: Array,
    own_next: Array,
    child_first: Array,
    child_next: Array,
    active: Array,
    marker: Array,
    r_pointers: Array,
    r_columns: Array,
    begin: int,
) -> int:
    """Find the structure of R from column `begin` on; return the column at which `r_columns` was full, or n.

    ``own_first[k]`` and ``own_next`` chain the rows led by column k; `active` starts as their number and ends
    as m_k. All of `marker` and of the child lists starts as -1. Called again with more room and the column
    that was returned, the kernel goes on.
    """
    n = r_pointers.size - 1
    room = r_columns.size
    for k in range(begin, n):
        top = r_pointers[k]
        end = top
        if active[k] > 0:
            full = end == room
            if not full:
                r_columns[end] = k
                marker[k] = k
                end += 1
            row = own_first[k]
            while row >= 0 and not full:
                for t in range(pointers[row], pointers[row + 1]):
                    j = indices[t]
                    if marker[j] != k:
                        if end == room:
                            full = True
                            break
                        marker[j] = k
                        r_columns[end] = j
                        end += 1
                row = own_next[row]
            child = child_first[k]
            while child >= 0 and not full:
                for t in range(r_pointers[child] + 1, r_pointers[child + 1]):
                    j = r_columns[t]
                    if marker[j] != k:
                        if end == room:
                            full = True
                            break
                        marker[j] = k
                        r_columns[end] = j
                        end += 1
                child = child_next[child]
            if full:
                for t in range(top, end):
                    marker[r_columns[t]] = -1
                return k
            if end > top + 1:
                # The second entry is the next leading column: both passes look it up there.
                least = top + 1
                for t in range(top + 2, end):
                    if r_columns[t] < r_columns[least]:
                        least = t
                parent = r_columns[least]
                r_columns[least] = r_columns[top + 1]
                r_columns[top + 1] = parent
                if active[k] > 1:
                    active[parent] += active[k] - 1
                    child_next[k] = child_first[parent]
                    child_first[parent] = k
        r_pointers[k + 1] = end
    return n


@inlined
def _largest_part(x: complex) -> float:
    return max(abs(x.real), abs(x.imag))


@inlined
def rotation(pivot: complex, entry: complex) -> tuple[float, complex, complex]:
    """Return c, s and r with c pivot + s entry = r and c entry = conj(s) pivot, in double precision.

    `entry` is not zero. Single precision is covered by computing in double.
    """
    # float64, not 1.0, which would leave single precision single where the kernels run uncompiled.
    f = pivot * np.float64(1.0)
    g = entry * np.float64(1.0)
    back = 1.0
    largest = max(_largest_part(f), _largest_part(g))
    if largest < _LOW:
        f, g, back = f * _UP, g * _UP, _DOWN
    elif largest > _HIGH:
        f, g, back = f * _DOWN, g * _DOWN, _UP
    f_size = abs(f)
    g_size = abs(g)
    # One of the two may be too small for its square; then it does not matter next to the other.
    r = np.sqrt(f_size * f_size + g_size * g_size)
    if f_size == 0.0:
        phase = f * 0.0 + 1.0
    elif f_size < _LOW:
        # A subnormal pivot has lost digits in f_size, but its direction must have length one.
        shifted = f * _UP
        phase = shifted / abs(shifted)
    else:
        phase = f / f_size
    c = f_size / r
    s = phase * (np.conj(g) / r)
    return c, s, phase * r * back


@kernel
def factor_rows(
    pointers: Array,
    indices: Array,
    data: Array,
    order: Array,
    leads: Array,
    r_pointers: Array,
    r_columns: Array,
    r_values: Array,
    work: Array,
    taken: Array,
    starts: Array,
    others: Array,
    first: Array,
    cosines: Array,
    sines: Array,
) -> int:
    """Rotate the rows of A into R in the given order; return the number of rotations.

    `work` (n,) starts and ends as zeros, `taken` (n,) starts as zeros. ``leads[i]`` is the leading column of
    row i, n if it has none. ``others[t]`` becomes the row of R in which the t-th row of `order` ended.
    """
    n = r_pointers.size - 1
    count = 0
    for t in range(n):
        starts[t] = count
        row = order[t]
        for p in range(pointers[row], pointers[row + 1]):
            work[indices[p]] += data[p]
        k = leads[row]
        others[t] = -1
        while k < n:
            top = r_pointers[k]
            end = r_pointers[k + 1]
            if taken[k] == 0:
                for p in range(top, end):
                    r_values[p] = work[r_columns[p]]
                    work[r_columns[p]] = 0
                taken[k] = 1
                others[t] = k
                break
            # '!=' so that a NaN is rotated in, and seen.
            if work[k] != 0:
                c, s, r = rotation(r_values[top], work[k])
                r_values[top] = r
                work[k] = 0
                cosines[count] = c
                sines[count] = s
                first[count] = k
                # Read back, so that the loop runs in the precision of the matrix.
                cosine = cosines[count]
                sine = sines[count]
                conjugate = np.conj(sine)
                for p in range(top + 1, end):
                    j = r_columns[p]
                    u = r_values[p]
                    v = work[j]
                    r_values[p] = cosine * u + sine * v
                    work[j] = cosine * v - conjugate * u
                count += 1
            k = r_columns[top + 1] if end > top + 1 else n
    starts[n] = count
    free = 0
    for t in range(n):
        if others[t] < 0:
            while taken[free] != 0:
                free += 1
            taken[free] = 1
            others[t] = free
    return count


@kernel
def apply_rotations(starts: Array, others: Array, first: Array, cosines: Array, sines: Array, z: Array) -> None:
    """Set ``z = G z`` for row-major `z`, (n, m), whose rows stand in the order of R."""
    for t in range(others.size):
        low = z[others[t]]
        for i in range(starts[t], starts[t + 1]):
            c = cosines[i]
            s = sines[i]
            conjugate = np.conj(s)
            high = z[first[i]]
            for q in range(high.size):
                u = high[q]
                v = low[q]
                high[q] = c * u + s * v
                low[q] = c * v - conjugate * u


@kernel
def undo_rotations(starts: Array, others: Array, first: Array, cosines: Array, sines: Array, z: Array) -> None:
    """Set ``z = G^H z``: the rotations inverted, last one first."""
    for t in range(others.size - 1, -1, -1):
        low = z[others[t]]
        for i in range(starts[t + 1] - 1, starts[t] - 1, -1):
            c = cosines[i]
            s = sines[i]
            conjugate = np.conj(s)
            high = z[first[i]]
            for q in range(high.size):
                u = high[q]
                v = low[q]
                high[q] = c * u - s * v
                low[q] = c * v + conjugate * u


@kernel
def solve_upper(r_pointers: Array, r_columns: Array, r_values: Array, z: Array) -> int:
    """Overwrite `z`, (n, m), with ``R^-1 z``; return -1, or the row of R without a usable diagonal entry."""
    for k in range(r_pointers.size - 2, -1, -1):
        top = r_pointers[k]
        end = r_pointers[k + 1]
        if not (end > top and 0.0 < abs(r_values[top]) < np.inf):
            return k
        row = z[k]
        for p in range(top + 1, end):
            value = r_values[p]
            source = z[r_columns[p]]
            for q in range(row.size):
                row[q] -= value * source[q]
        # A reciprocal would overflow for a diagonal entry below 1e-308.
        diagonal = r_values[top]
        for q in range(row.size):
            row[q] /= diagonal
    return -1


@kernel
def solve_upper_adjoint(r_pointers: Array, r_columns: Array, r_values: Array, z: Array) -> int:
    """Overwrite `z`, (n, m), with ``R^-H z``; return -1, or the row of R without a usable diagonal entry."""
    for k in range(r_pointers.size - 1):
        top = r_pointers[k]
        end = r_pointers[k + 1]
        if not (end > top and 0.0 < abs(r_values[top]) < np.inf):
            return k
        row = z[k]
        diagonal = np.conj(r_values[top])
        for q in range(row.size):
            row[q] /= diagonal
        for p in range(top + 1, end):
            value = np.conj(r_values[p])
            target = z[r_columns[p]]
            for q in range(row.size):
                target[q] -= value * row[q]
    return -1


@kernel
def multiply_upper(r_pointers: Array, r_columns: Array, r_values: Array, x: Array, y: Array) -> None:
    """Set ``y = R x`` for row-major `x` and `y`, (n, m)."""
    for k in range(r_pointers.size - 1):
        out = y[k]
        for q in range(out.size):
            out[q] = 0
        for p in range(r_pointers[k], r_pointers[k + 1]):
            value = r_values[p]
            source = x[r_columns[p]]
            for q in range(out.size):
                out[q] += value * source[q]
