r"""LU with partial pivoting of block triangular matrices whose blocks are single entries or cycles.

A cycle of length m is the block

.. math:: C = \begin{pmatrix} d_1 & c_1 \\ & d_2 & c_2 \\ & & \ddots & \ddots \\ c_m & & & d_m \end{pmatrix}, \qquad
          \det C = \prod d_i - (-1)^m \prod c_i .

One row is carried along, with e in column i and f in the last column; at first it is row m, e = c_m and f = d_m.
The only other row with an entry in column i < m is row i:

* if :math:`|d_i| \ge |e|` row i is the pivot row, l = e / d_i, and what is carried on is (-l c_i, f);
* else the carried row (e, f) is the pivot row, l = d_i / e, and what is carried on is (c_i, -l f).

Both products are new entries, nothing is added to anything before i = m - 1, where column i + 1 is the last one and
the two meet: f - l c_i, or c_i - l f. So all numbers but the last pivot are at most max(|d|, |c|), and that one is
at most twice as large: growth is at most 2. Row i of U has a single entry beside its pivot: ``upper[i]``, in the
next column, or in the last one if ``swapped[i]``.

Storage: positions of a block follow one another, from ``starts[k]`` to ``starts[k + 1]``; ``diagonal`` d, then
the pivots; ``upper`` c (for the last row of a cycle: the entry in its first column), then U's; ``multiplier``;
``swapped``. Entries before the block are kept by rows in ``pointers``, ``indices``, ``values``, as they are.

Cost: 2 m - 1 operations to factor a cycle (m >= 2), 5 m - 4 for a right-hand side, and 2 for each entry off the blocks.

References: Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 9.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["factor", "inverse_against", "inverse_along", "inverse_diagonal", "multiply", "solve", "solve_adjoint"]

Array = NDArray[Any]

# Far beyond the range of exponents of any type, and small enough for a few steps.
_FAR = 4000
_STEP = 1000


@inlined
def _times_power(x: Any, exponent: int) -> Any:
    """Return x times two to the exponent, in steps: the power alone may not be a number."""
    exponent = min(max(exponent, -_FAR), _FAR)
    while exponent > _STEP:
        x = x * 2.0**_STEP
        exponent -= _STEP
    while exponent < -_STEP:
        x = x * 2.0**-_STEP
        exponent += _STEP
    return x * 2.0**exponent


@kernel
def factor(starts: Array, diagonal: Array, upper: Array, multiplier: Array, swapped: Array) -> int:
    """Overwrite ``diagonal`` and ``upper`` with the factors; return -1, or the first position with a zero pivot."""
    info = -1
    for block in range(starts.size - 1):
        first = starts[block]
        last = starts[block + 1] - 1
        e = upper[last]
        f = diagonal[last]
        for i in range(first, last):
            d = diagonal[i]
            c = upper[i]
            exchange = abs(e) > abs(d)
            pivot = d
            other = e
            if exchange:
                pivot = e
                other = d
                diagonal[i] = e
                upper[i] = f
            ratio = other
            # Accepts the good, so that a NaN is reported as well as a zero.
            if 0.0 < abs(pivot) < np.inf:
                ratio = other / pivot
            elif info < 0:
                info = i
            multiplier[i] = ratio
            swapped[i] = exchange
            if i + 1 < last:
                if exchange:
                    e = c
                    f = -(ratio * f)
                else:
                    e = -(ratio * c)
            elif exchange:
                f = c - ratio * f
            else:
                f = f - ratio * c
        diagonal[last] = f
        if info < 0 and not 0.0 < abs(f) < np.inf:
            info = last
    return info


@kernel
def solve(
    starts: Array,
    pointers: Array,
    indices: Array,
    values: Array,
    diagonal: Array,
    upper: Array,
    multiplier: Array,
    swapped: Array,
    x: Array,
) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``B x = b``, from the factors."""
    m = x.shape[1]
    for block in range(starts.size - 1):
        first = starts[block]
        last = starts[block + 1] - 1
        for i in range(first, last + 1):
            for k in range(pointers[i], pointers[i + 1]):
                j = indices[k]
                entry = values[k]
                for c in range(m):
                    x[i, c] = x[i, c] - entry * x[j, c]
        for i in range(first, last):
            for c in range(m):
                above = x[i, c]
                carried = x[last, c]
                if swapped[i]:
                    above, carried = carried, above
                x[i, c] = above
                x[last, c] = carried - multiplier[i] * above
        for c in range(m):
            x[last, c] = x[last, c] / diagonal[last]
        for i in range(last - 1, first - 1, -1):
            j = last if swapped[i] else i + 1
            for c in range(m):
                x[i, c] = (x[i, c] - upper[i] * x[j, c]) / diagonal[i]


@kernel
def solve_adjoint(
    starts: Array,
    pointers: Array,
    indices: Array,
    values: Array,
    diagonal: Array,
    upper: Array,
    multiplier: Array,
    swapped: Array,
    x: Array,
) -> None:
    """Overwrite the right-hand sides `x`, (n, m), with the solutions of ``B^H x = b``, from the factors."""
    m = x.shape[1]
    for block in range(starts.size - 2, -1, -1):
        first = starts[block]
        last = starts[block + 1] - 1
        for i in range(first, last):
            j = last if swapped[i] else i + 1
            for c in range(m):
                x[i, c] = x[i, c] / np.conj(diagonal[i])
                x[j, c] = x[j, c] - np.conj(upper[i]) * x[i, c]
        for c in range(m):
            x[last, c] = x[last, c] / np.conj(diagonal[last])
        for i in range(last - 1, first - 1, -1):
            for c in range(m):
                carried = x[last, c]
                above = x[i, c] - np.conj(multiplier[i]) * carried
                if swapped[i]:
                    above, carried = carried, above
                x[i, c] = above
                x[last, c] = carried
        for i in range(first, last + 1):
            for k in range(pointers[i], pointers[i + 1]):
                j = indices[k]
                entry = np.conj(values[k])
                for c in range(m):
                    x[j, c] = x[j, c] - entry * x[i, c]


@kernel
def multiply(
    starts: Array,
    pointers: Array,
    indices: Array,
    values: Array,
    diagonal: Array,
    upper: Array,
    multiplier: Array,
    swapped: Array,
    x: Array,
) -> None:
    """Overwrite `x`, (n, m), with B x, from the factors."""
    m = x.shape[1]
    for block in range(starts.size - 2, -1, -1):
        first = starts[block]
        last = starts[block + 1] - 1
        for i in range(first, last):
            j = last if swapped[i] else i + 1
            for c in range(m):
                x[i, c] = diagonal[i] * x[i, c] + upper[i] * x[j, c]
        for c in range(m):
            x[last, c] = diagonal[last] * x[last, c]
        for i in range(last - 1, first - 1, -1):
            for c in range(m):
                above = x[i, c]
                carried = x[last, c] + multiplier[i] * above
                if swapped[i]:
                    above, carried = carried, above
                x[i, c] = above
                x[last, c] = carried
        for i in range(first, last + 1):
            for k in range(pointers[i], pointers[i + 1]):
                j = indices[k]
                entry = values[k]
                for c in range(m):
                    x[i, c] = x[i, c] + entry * x[j, c]


@inlined
def _split(x: Any) -> tuple[Any, int]:
    """Return x without its power of two, and the power; (1, 0) for zero."""
    if abs(x) == 0.0:
        return x * 0 + 1, 0
    shift = math.frexp(abs(x))[1]
    return _times_power(x, -shift), shift


@inlined
def _product_over_determinant(first: int, last: int, entries: Array, pivots: Array, swapped: Array) -> Any:
    r"""Return :math:`\prod x_k / \det C` over the entries that are not zero, its power of two, and how many are."""
    product = entries[first] * 0 + 1
    exponent = 0
    zeros = 0
    for i in range(first, last + 1):
        if abs(entries[i]) == 0.0:
            zeros += 1
        top, up = _split(entries[i])
        bottom, down = _split(pivots[i])
        product = product * top / bottom
        if swapped[i] and i < last:
            product = -product
        product, shift = _split(product)
        exponent += up - down + shift
    return product, exponent, zeros


@kernel
def inverse_diagonal(starts: Array, original: Array, pivots: Array, swapped: Array, out: Array) -> None:
    r"""Put the diagonal of the inverse into `out`, (n,), from the diagonal of the matrix and the pivots.

    Without its row and column i a cycle is triangular, so that entry is :math:`\prod_{k \ne i} d_k / \det C`. The
    product is taken of the quotients d_k / pivot_k, its power of two apart. All arrays in double precision.
    """
    for block in range(starts.size - 1):
        first = starts[block]
        last = starts[block + 1] - 1
        if first == last:
            out[first] = 1.0 / original[first]
            continue
        product, exponent, zeros = _product_over_determinant(first, last, original, pivots, swapped)
        for i in range(first, last + 1):
            own, shift = _split(original[i])
            out[i] = product * 0
            if zeros == int(abs(original[i]) == 0.0):
                out[i] = _times_power(product / own, exponent - shift)


@kernel
def inverse_along(starts: Array, original: Array, beside: Array, pivots: Array, swapped: Array, out: Array) -> None:
    r"""Put the entries (i, i + 1) of the inverses of cycles into `out`, (n,), that of the last row in its first column.

    The way from i to its successor is one entry long: :math:`-c_i \prod_{k \ne i, i + 1} d_k / \det C`, with d the
    `original` diagonal and c what stands `beside` it. Zeros for blocks that are no cycles.
    """
    for block in range(starts.size - 1):
        first = starts[block]
        last = starts[block + 1] - 1
        if first == last:
            out[first] = original[first] * 0
            continue
        product, exponent, zeros = _product_over_determinant(first, last, original, pivots, swapped)
        for i in range(first, last + 1):
            j = i + 1 if i < last else first
            own, shift = _split(original[i])
            other, other_shift = _split(original[j])
            step, step_shift = _split(beside[i])
            out[i] = product * 0
            if zeros == int(abs(original[i]) == 0.0) + int(abs(original[j]) == 0.0) and abs(beside[i]) > 0.0:
                out[i] = _times_power(-step * product / own / other, exponent + step_shift - shift - other_shift)


@kernel
def inverse_against(starts: Array, beside: Array, pivots: Array, swapped: Array, out: Array) -> None:
    r"""Put the entries (i + 1, i) of the inverses of cycles into `out`, (n,), by i: that of the first row comes last.

    The way from i + 1 to i leads around the cycle: :math:`(-1)^{m - 1} \prod_{k \ne i} c_k / \det C`. Zeros for blocks
    that are no cycles.
    """
    inverse_diagonal(starts, beside, pivots, swapped, out)
    for block in range(starts.size - 1):
        first = starts[block]
        last = starts[block + 1] - 1
        if first == last:
            out[first] = beside[first] * 0
        elif (last - first) % 2 == 1:
            for i in range(first, last + 1):
                out[i] = -out[i]
