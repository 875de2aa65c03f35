"""The two rows that are left over of a segment, and become one where the segment begins its chain.

A segment without left neighbours has a row of zeros above it (`stridiag._kernels.lane_condensation`). Then its leftover
rows are parallel, and what they say of right-hand sides agrees, but for rounding errors. Unless the rows of the segment
are singular by themselves: then a pivot was nothing but rounding errors, and what is lost of a right-hand side tells.
"""

from __future__ import annotations

import math
from typing import Any

from stridiag._kernels.compile import borrowing
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2
from stridiag._kernels.lane_steps import optional
from stridiag._kernels.vectors import multiply_add

__all__ = ["finish", "loose", "united", "uniting"]


def _set_side(side: Any, sides: Any, s: Any, row: Any, which: Any) -> None:
    sides[s, row, which] = side


_keep_side = optional(lambda side, sides, s, row, which: None, _set_side)
_nothing = optional(lambda side: None, lambda side: side * 0)


# The row that two parallel rows are multiples of, x and y.
united = optional(lambda one, other, x, y: None, lambda one, other, x, y: multiply_add(x, one, y * other))


@borrowing
def _difference(p: Any, q: Any, x: Any, y: Any) -> Any:
    """Return what of two right-hand sides does not go into one; all, where both rows are zero."""
    if abs(x) + abs(y) > 0.0:
        return abs(y * p - x * q)
    return abs(p) + abs(q)


@borrowing
def _lost_of(asked: Any, p: Any, q: Any, x: Any, y: Any, first: Any, end: Any, loose: Any) -> bool:
    largest = 0.0
    for j in range(first, min(end, asked.size)):
        largest = max(largest, abs(asked[j]))
    # Accepts the good, so that NaN is none.
    return not _difference(p, q, x, y) <= loose * largest


# Whether more is lost of a right-hand side than rounding errors when parallel rows become one: they are not parallel.
_lost = optional(
    lambda b, p, q, x, y, first, end, loose: False,
    lambda b, p, q, x, y, first, end, loose: _lost_of(b, p, q, x, y, first, end, loose),
)
# The numbers of the probe are about 1.
_lost_of_probe = optional(
    lambda probe, p, q, x, y, loose: False, lambda probe, p, q, x, y, loose: not _difference(p, q, x, y) <= loose
)


@borrowing
def uniting(p0: Any, p1: Any, q0: Any, q1: Any, share0: Any, share1: Any) -> tuple[Any, Any]:
    """Return with what factors two parallel rows make one, the other being zero.

    From the largest entries of both. Of a segment that is its whole chain nothing is left over.
    """
    x, y = p0, q0
    if abs(p1) + abs(q1) > abs(x) + abs(y):
        x, y = p1, q1
    if abs(share0) + abs(share1) > abs(x) + abs(y):
        x, y = share0, share1
    if abs(x) > abs(y):
        y = y / x
        x = 1.0 / math.sqrt(1.0 + abs(y) * abs(y)) + x * 0
        y = y * x
    elif abs(y) > 0.0:
        x = x / y
        y = 1.0 / math.sqrt(1.0 + abs(x) * abs(x)) + y * 0
        x = x * y
    return x, y


@borrowing
def loose(d: Any) -> float:
    """Return what may be lost of a right-hand side, of its size: far more than rounding errors."""
    return 1e-8 if d.itemsize == 8 else 1e-3


@borrowing
def finish(
    state: Any,
    share0: Any,
    share1: Any,
    b: Any,
    probe: Any,
    first: Any,
    last: Any,
    kept: Any,
    s: Any,
    loose: Any,
    leftover: Any,
    sides: Any,
) -> int:
    """Write down the two leftover rows of a segment; without left neighbours they are parallel, and become one.

    Unless a pivot was nothing but rounding errors, in the direction in which the row of zeros was: then what is lost of
    right-hand sides is not small. Returns -1, or the segment's first column if more than `loose` is lost.
    """
    info = -1
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    if kept[s, LEFT1] >= 0:
        leftover[s, 0, LEFT2], leftover[s, 0, LEFT1], leftover[s, 0, RIGHT1], leftover[s, 0, RIGHT2] = pw1, pw2, p0, p1
        leftover[s, 0, 4] = share0
    else:
        x, y = uniting(p0, p1, q0, q1, share0, share1)
        if _lost_of_probe(probe, pz, qz, x, y, loose) or _lost(b, pb, qb, x, y, first[s], last[s] + 2, loose):
            info = int(first[s])
        q0, q1, share1 = united(p0, q0, x, y), united(p1, q1, x, y), united(share0, share1, x, y)
        qb, qz = united(pb, qb, x, y), united(pz, qz, x, y)
        qw1, qw2 = qw1 * 0, qw2 * 0
        pb, pz = _nothing(pb), _nothing(pz)
        leftover[s, 0, :] = 0.0
    leftover[s, 1, LEFT2], leftover[s, 1, LEFT1], leftover[s, 1, RIGHT1], leftover[s, 1, RIGHT2] = qw1, qw2, q0, q1
    leftover[s, 1, 4] = share1
    _keep_side(pb, sides, s, 0, 0)
    _keep_side(pz, sides, s, 0, 1)
    _keep_side(qb, sides, s, 1, 0)
    _keep_side(qz, sides, s, 1, 1)
    return info
