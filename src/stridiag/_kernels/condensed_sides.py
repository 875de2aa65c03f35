"""Right-hand sides of condensed chains: reflected on the way down, and substituted back on the way up.

Storage and cost: `stridiag._kernels.condensation`. Along a segment each number waits for the one before; so two
segments at a time are worked on, one of each half of the chain, and what is carried from one row to the next stays in
registers. What is done to a segment does not depend on that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2, TAU, U1, U2, V1, V2, W1, W2, D, halves
from stridiag._kernels.tridiagonal_lu import divided

__all__ = ["back_substitute", "back_substitute_few", "reflect", "reflect_few"]

Array = NDArray[Any]

# Right-hand sides that are taken one after the other; more of them stand side by side, and do not wait.
_FEW = 2


@borrowing
def _reflected(rows: Array, x: Array, c: int, j: int, below: bool, left: bool, top: Any, middle: Any) -> Any:
    """Apply the reflection of column j to column c of `x`; return what then stands in the slots j and j + 1.

    `top` and `middle` are what stands in the slots j - 1 and j.
    """
    v1, v2, tau = rows[j, V1], rows[j, V2], rows[j, TAU]
    c1, c2 = np.conj(v1), np.conj(v2)
    # At the end of a chain no new row comes in, and v2 is zero.
    bottom = x[j + 1, c] if below else middle
    if left:
        t = tau * (top + c1 * middle + c2 * bottom)
        x[j - 1, c] = top - t
        return middle - v1 * t, bottom - v2 * t
    if below:
        t = tau * (middle + c2 * bottom)
        x[j, c] = middle - t
        return middle, bottom - v2 * t
    x[j, c] = middle - tau * middle
    return middle, middle


@borrowing
def _put_last(x: Array, c: int, b: int, left: bool, right: bool, top: Any, middle: Any) -> None:
    """Put what the last reflection of a segment leaves into the slots b and b + 1."""
    if left:
        x[b, c] = top
    if right:
        x[b + 1, c] = middle


@borrowing_kernel
def reflect_few(rows: Array, first: Array, last: Array, kept: Array, x: Array) -> None:
    """Do what `reflect` does forwards, one column of `x` after the other."""
    count = first.size
    half = halves(first, last)
    for c in range(x.shape[1]):
        # As in `condense`, two segments at a time.
        s, t = 0, half
        while s < half or t < count:
            alone = s >= half or t >= count
            one, other = s if s < half else t, t if t < count else s
            a, b = first[one], first[other]
            left, left_other = kept[one, LEFT1] >= 0, kept[other, LEFT1] >= 0
            right, right_other = kept[one, RIGHT1] >= 0, kept[other, RIGHT1] >= 0
            middle, middle_other = x[a, c], x[b, c]
            top = x[a - 1, c] if left else middle
            top_other = x[b - 1, c] if left_other else middle_other
            steps = 0 if alone else min(last[one] - a, last[other] - b) + 1
            for k in range(steps):
                below, below_other = a + k < last[one] or right, b + k < last[other] or right_other
                top, middle = _reflected(rows, x, c, a + k, below, left, top, middle)
                top_other, middle_other = _reflected(
                    rows, x, c, b + k, below_other, left_other, top_other, middle_other
                )
            for j in range(a + steps, last[one] + 1):
                top, middle = _reflected(rows, x, c, j, j < last[one] or right, left, top, middle)
            _put_last(x, c, last[one], left, right, top, middle)
            if not alone:
                for j in range(b + steps, last[other] + 1):
                    top_other, middle_other = _reflected(
                        rows, x, c, j, j < last[other] or right_other, left_other, top_other, middle_other
                    )
                _put_last(x, c, last[other], left_other, right_other, top_other, middle_other)
            if s < half:
                s += 1
                t += 0 if alone else 1
            else:
                t += 1


@borrowing_kernel
def reflect(rows: Array, first: Array, last: Array, kept: Array, x: Array, backwards: bool) -> None:
    """Overwrite `x`, (n, m), with Q^H x, or with Q x if `backwards`: the reflections of all segments in turn."""
    if x.shape[1] <= _FEW and not backwards:
        reflect_few(rows, first, last, kept, x)
        return
    m = x.shape[1]
    for s in range(first.size):
        left = 1 if kept[s, LEFT1] >= 0 else 0
        length = last[s] - first[s] + 1
        for k in range(length):
            j = last[s] - k if backwards else first[s] + k
            v1, v2, tau = rows[j, V1], rows[j, V2], rows[j, TAU]
            c1, c2 = np.conj(v1), np.conj(v2)
            top = j - left
            # At the end of a chain no new row comes in, and v2 is zero.
            bottom = j + 1 if j < last[s] or kept[s, RIGHT1] >= 0 else j
            if left:
                for c in range(m):
                    t = tau * (x[top, c] + c1 * x[j, c] + c2 * x[bottom, c])
                    x[top, c] -= t
                    x[j, c] -= v1 * t
                    x[bottom, c] -= v2 * t
            elif bottom > j:
                for c in range(m):
                    t = tau * (x[j, c] + c2 * x[bottom, c])
                    x[j, c] -= t
                    x[bottom, c] -= v2 * t
            else:
                for c in range(m):
                    x[j, c] -= tau * x[j, c]


@borrowing
def _begin_back(
    rows: Array,
    inverse: Array,
    kept: Array,
    s: int,
    a: int,
    b: int,
    links: tuple[Array, Array, Array],
    z: Array,
    x: Array,
    c: int,
) -> Any:
    """Find the last unknowns of segment s, two if there are as many; return the two foremost ones that are known."""
    left2, left1, right1, right2 = kept[s, LEFT2], kept[s, LEFT1], kept[s, RIGHT1], kept[s, RIGHT2]
    link_start, link_kept, link_values = links
    shift = 1 if left1 >= 0 else 0
    value = x[b - shift, c]
    # What has been known for longest comes first.
    if left1 >= 0:
        value -= rows[b, W2] * z[left1, c]
    if left2 >= 0:
        value -= rows[b, W1] * z[left2, c]
    if link_start[s] < link_start[s + 1]:
        enters = -rows[b, TAU] * np.conj(rows[b, V2])
        for t in range(link_start[s], link_start[s + 1]):
            value -= enters * link_values[t] * z[link_kept[t], c]
    if right2 >= 0:
        value -= rows[b, U2] * z[right2, c]
    if right1 >= 0:
        value -= rows[b, U1] * z[right1, c]
    x1 = divided(value, rows[b, D], inverse[b])
    x[b, c] = x1
    if a == b:
        return x1, x1
    value = x[b - 1 - shift, c]
    if left1 >= 0:
        value -= rows[b - 1, W2] * z[left1, c]
    if left2 >= 0:
        value -= rows[b - 1, W1] * z[left2, c]
    if right1 >= 0:
        value -= rows[b - 1, U2] * z[right1, c]
    value -= rows[b - 1, U1] * x1
    x0 = divided(value, rows[b - 1, D], inverse[b - 1])
    x[b - 1, c] = x0
    return x0, x1


@borrowing
def _back(
    rows: Array, inverse: Array, j: int, left1: int, left2: int, near: Any, far: Any, x: Array, c: int, x1: Any, x2: Any
) -> Any:
    """Return the unknown j, given the two behind it; `near` and `far` are those of the kept columns to the left."""
    value = x[j - (1 if left1 >= 0 else 0), c]
    if left1 >= 0:
        value -= rows[j, W2] * near
    if left2 >= 0:
        value -= rows[j, W1] * far
    value -= rows[j, U2] * x2
    value -= rows[j, U1] * x1
    value = divided(value, rows[j, D], inverse[j])
    x[j, c] = value
    return value


@kernel
def back_substitute_few(
    rows: Array, first: Array, last: Array, kept: Array, links: tuple[Array, Array, Array], z: Array, x: Array
) -> None:
    """Do what `back_substitute` does, one column of `x` after the other; `links` are its start, kept and values."""
    count = first.size
    half = halves(first, last)
    inverse = np.empty(rows.shape[0], rows.dtype)
    for s in range(count):
        for j in range(first[s], last[s] + 1):
            inverse[j] = (rows[j, D] * 0 + 1) / rows[j, D]
    for c in range(x.shape[1]):
        # As in `condense`, two segments at a time.
        s, t = 0, half
        while s < half or t < count:
            alone = s >= half or t >= count
            one, other = s if s < half else t, t if t < count else s
            a, b = first[one], first[other]
            left1, left2 = kept[one, LEFT1], kept[one, LEFT2]
            near = z[left1, c] if left1 >= 0 else x[a, c]
            far = z[left2, c] if left2 >= 0 else near
            x1, x2 = _begin_back(rows, inverse, kept, one, a, last[one], links, z, x, c)
            j, steps = last[one] - 2, 0
            if not alone:
                left1_other, left2_other = kept[other, LEFT1], kept[other, LEFT2]
                near_other = z[left1_other, c] if left1_other >= 0 else x[b, c]
                far_other = z[left2_other, c] if left2_other >= 0 else near_other
                y1, y2 = _begin_back(rows, inverse, kept, other, b, last[other], links, z, x, c)
                i = last[other] - 2
                steps = min(j - a, i - b) + 1
                for _ in range(steps):
                    x1, x2 = _back(rows, inverse, j, left1, left2, near, far, x, c, x1, x2), x1
                    y1, y2 = _back(rows, inverse, i, left1_other, left2_other, near_other, far_other, x, c, y1, y2), y1
                    j -= 1
                    i -= 1
                for k in range(i, b - 1, -1):
                    y1, y2 = _back(rows, inverse, k, left1_other, left2_other, near_other, far_other, x, c, y1, y2), y1
            for k in range(j, a - 1, -1):
                x1, x2 = _back(rows, inverse, k, left1, left2, near, far, x, c, x1, x2), x1
            if s < half:
                s += 1
                t += 0 if alone else 1
            else:
                t += 1


@kernel
def back_substitute(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    z: Array,
    x: Array,
) -> None:
    """Solve U x = y - W z for the interior columns, in place of y in `x`, (n, m), given the kept `z`, (k, m)."""
    if x.shape[1] <= _FEW:
        back_substitute_few(rows, first, last, kept, (link_start, link_kept, link_values), z, x)
        return
    m = x.shape[1]
    for s in range(first.size):
        left2, left1, right1, right2 = kept[s, LEFT2], kept[s, LEFT1], kept[s, RIGHT1], kept[s, RIGHT2]
        shift = 1 if left1 >= 0 else 0
        a = first[s]
        b = last[s]
        for j in range(b, a - 1, -1):
            u1, u2, w1, w2, pivot = rows[j, U1], rows[j, U2], rows[j, W1], rows[j, W2], rows[j, D]
            reciprocal = (pivot * 0 + 1) / pivot
            for c in range(m):
                value = x[j - shift, c]
                # What has been known for longest comes first.
                if left1 >= 0:
                    value -= w2 * z[left1, c]
                if left2 >= 0:
                    value -= w1 * z[left2, c]
                if j == b and link_start[s] < link_start[s + 1]:
                    enters = -rows[b, TAU] * np.conj(rows[b, V2])
                    for t in range(link_start[s], link_start[s + 1]):
                        value -= enters * link_values[t] * z[link_kept[t], c]
                if j < b - 1:
                    value -= u2 * x[j + 2, c]
                elif j == b - 1 and right1 >= 0:
                    value -= u2 * z[right1, c]
                elif j == b and right2 >= 0:
                    value -= u2 * z[right2, c]
                if j < b:
                    value -= u1 * x[j + 1, c]
                elif right1 >= 0:
                    value -= u1 * z[right1, c]
                x[j, c] = divided(value, pivot, reciprocal)
