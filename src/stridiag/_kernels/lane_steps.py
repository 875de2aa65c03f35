r"""One step of a condensation, on plain numbers or on vectors: the body that kernels and twins share.

Two rows, p and q, are carried along a segment. At column j they have entries in the columns j and j + 1 (p0, p1; q0,
q1), in the two kept columns to the left (pw1, pw2; ...), and up to two right-hand sides: b, and z, the probe's. What a
sweep does not ask for is None: the compiler leaves it out.

There are two kinds of steps, and each helper here takes as its first argument which: True, or None.

*Reflections* (True). A reflection of p, q and the row that comes in makes p the pivot row; q and the new row are
carried on. It is stable whatever the entries.

*Pivots as they come* (None). q, which begins as row a, is the pivot row: multiples of it are subtracted from p, which
stays row a - 1, and from the row that comes in, which becomes q. So p1 and qw1 stay zero. A step takes one division, no
square root, and a third of the operations. It is stable as long as the pivot exceeds the rest of its row,
:math:`|q_1| + |q_{w2}| \le |q_0|`, or the rest of its column, :math:`|p_0| + |n_0| \le |q_0|`: what is added to other
rows is then no larger than what is taken away from them, or than the pivot row, and the sums over a segment telescope.
Dominance, by rows or by columns, is inherited by what remains, so that with a dominant matrix each step passes. Where
one does not, the caller begins again with reflections.

References: for reflections `stridiag._kernels.condensation`; N. J. Higham, *Accuracy and Stability of Numerical
Algorithms*, 2nd ed., theorems 9.9 and 9.12; pieces of chains without interchanges: H. H. Wang, "A parallel method for
tridiagonal equations", ACM TOMS 7 (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numba.core.types import NoneType
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_form
from stridiag._kernels.condensation import LEFT1, LEFT2
from stridiag._kernels.vector_types import Vector
from stridiag._kernels.vectors import (
    both,
    choose,
    less,
    magnitude,
    multiply_add,
    square_root,
    with_sign_of,
)

__all__ = [
    "FACTORS",
    "STEADY",
    "carried",
    "either",
    "entry",
    "first_rows",
    "given",
    "held",
    "in_bounds",
    "optional",
    "scaled",
    "shares",
    "sound",
    "step",
    "times",
    "weight",
]

Array = NDArray[Any]

STEADY = 8
"""Steps between two multiplications of the carried rows."""

# What rounding may add to a sum of two entries, and more: over a segment it adds up to a tenth.
_SLACK = 1.0001

_LEVELS = 2.0 ** (0.8 * ((np.arange(65) % 64 * 0.6180339887498949) % 1.0 - 0.5))
FACTORS = _LEVELS[1:] / _LEVELS[:-1]
"""What the carried rows are multiplied by: their size stays within a factor of 1.4, and no step sees the same twice."""


def optional(nothing: Any, something: Callable[..., Any]) -> Any:
    """Return a helper that does `nothing` if its first argument is None, and `something` otherwise.

    In kernels this is decided by type, since a branch that returns None would make an optional of the other's result.
    """

    @wraps(something)
    def helper(*arguments: Any) -> Any:
        return (nothing if arguments[0] is None else something)(*arguments)

    @borrowing_form(helper)
    @wraps(something)
    def form(*kinds: Any) -> Any:
        return nothing if isinstance(kinds[0], NoneType) else something

    return helper


def _reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    r"""Return h, x1, x2, beta, 1 / d and a number, positive and finite unless x is zero or too large.

    With v = (h, x1, x2), :math:`H = I - \beta v v^T` takes x to (d, 0, 0), :math:`d = -1 / (h \beta)`. Without a
    division by h, products with v can begin before beta is known. Vectors are neither scaled nor checked.
    """
    return _scaled_reflector(x0, x1, x2)


@borrowing
def _plain_reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    square = x0 * x0 + (x1 * x1 + x2 * x2)
    towards = with_sign_of(square_root(square), x0)
    head = x0 + towards
    beta = 1.0 / (head * towards)
    return head, x1, x2, beta, -(head * beta), square


@borrowing
def _scaled_reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    size = max(abs(x0), abs(x1), abs(x2))
    if 1e-140 < size < 1e140:
        return _plain_reflector(x0, x1, x2)
    # Accepts the good, so that NaN goes on as it is.
    if not 0.0 < size < np.inf:
        return x0, x0, x0, x0, x0, size
    h, x1, x2, beta, over, _ = _plain_reflector(x0 / size, x1 / size, x2 / size)
    return h, x1, x2, beta, over / size, size


@borrowing_form(_reflector)
def _compiled_reflector(x0, x1, x2):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(x0, Vector):
        return lambda x0, x1, x2: _plain_reflector(x0, x1, x2)
    return lambda x0, x1, x2: _scaled_reflector(x0, x1, x2)


def _reflected(p: Any, q: Any, n: Any, h: Any, x1: Any, x2: Any, beta: Any) -> tuple[Any, Any, Any]:
    """Return a column of three rows after the reflection."""
    # Said in full, so that sweeps that eliminate and those that replay round alike; what comes last, enters last.
    share = beta * multiply_add(x1, q, multiply_add(h, p, x2 * n))
    return p - h * share, q - x1 * share, n - x2 * share


def _filled(p: Any, q: Any, h: Any, x1: Any, x2: Any, beta: Any) -> tuple[Any, Any]:
    share = beta * (h * p + x1 * q)
    return q - x1 * share, -(x2 * share)


# A column of three rows, and one in which the row that comes in has no entry; the latter's pivot is never needed.
carried = optional(lambda p, q, n, h, x1, x2, beta: (None, None, None), _reflected)
_carried_fill = optional(lambda p, q, h, x1, x2, beta: (None, None), _filled)
times = optional(lambda x, factor: None, lambda x, factor: x * factor)
either = optional(lambda new, old, active: None, lambda new, old, active: choose(active, new, old))
# x, or None if that for which it is asked is None.
given = optional(lambda asked, x: None, lambda asked, x: x)
entry = optional(lambda array, place: 0.0, lambda array, place: array[place])


# n - factor * q; and of a column in which n has no entry.
_taken_from = optional(lambda n, factor, q: None, lambda n, factor, q: n - factor * q)
_left_of = optional(lambda q, factor: None, lambda q, factor: -(factor * q))


@borrowing
def _reflect(state: Any, n0: Any, n1: Any, n2: Any, nb: Any, nz: Any) -> tuple[Any, Any]:
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    h, x1, x2, beta, over, square = _reflector(p0, q0, n0)
    u1, p0, q0 = carried(p1, q1, n1, h, x1, x2, beta)
    share = beta * (x2 * n2)
    u2, p1, q1 = -(h * share), -(x1 * share), n2 - x2 * share
    pw1, qw1 = _carried_fill(pw1, qw1, h, x1, x2, beta)
    pw2, qw2 = _carried_fill(pw2, qw2, h, x1, x2, beta)
    yb, pb, qb = carried(pb, qb, nb, h, x1, x2, beta)
    yz, pz, qz = carried(pz, qz, nz, h, x1, x2, beta)
    return (p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz), (x1, x2, beta, over, u1, u2, yb, yz, square, h)


@borrowing
def _subtract(state: Any, n0: Any, n1: Any, n2: Any, nb: Any, nz: Any) -> tuple[Any, Any]:
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    over = 1.0 / q0
    m, t = n0 * over, p0 * over
    found = (m, t, None, over, q1 * over, None, times(qb, over), times(qz, over), (p0, q0, q1, qw2, n0), None)
    p0, pw2 = -(t * q1), _taken_from(pw2, t, qw2)
    pb, pz = _taken_from(pb, t, qb), _taken_from(pz, t, qz)
    q0, q1, qw2 = n1 - m * q1, n2, _left_of(qw2, m)
    qb, qz = _taken_from(nb, m, qb), _taken_from(nz, m, qz)
    return (p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz), found


step = optional(
    lambda reflecting, state, n0, n1, n2, nb, nz: _subtract(state, n0, n1, n2, nb, nz),
    lambda reflecting, state, n0, n1, n2, nb, nz: _reflect(state, n0, n1, n2, nb, nz),
)
"""Eliminate one column with the row (n0, n1, n2); ``reflecting, state, n0, n1, n2, nb, nz``.

Returns the two rows carried on, and what the step was made of. Of a reflection: x1, x2 and beta, the reciprocal of the
pivot, the pivot row's other entries, its right-hand sides, what `in_bounds` looks at, and h. Where pivots are taken as
they come: by what the pivot row was multiplied for the new row and for p, nothing, the pivot's reciprocal, the pivot
row's other entry divided by the pivot, nothing, its right-hand sides divided likewise, what `in_bounds` looks at,
nothing.

Cost: 42 operations, 14 less without the kept columns, and 12 for each right-hand side; where pivots are taken as they
come 10, 3 less without the kept columns, and 5 for each right-hand side.
"""


@borrowing
def _trusted(p0: Any, q0: Any, q1: Any, qw2: Any, n0: Any, tiny: Any) -> Any:
    size = magnitude(q0)
    across, down = magnitude(q1) + magnitude(qw2), magnitude(p0) + magnitude(n0)
    rest = choose(less(across, down), across, down)
    return both(less(rest, size * _SLACK), both(less(tiny, size), less(size, 1.0 / tiny)))


@borrowing
def _in_range(square: Any, tiny: Any) -> Any:
    return both(less(tiny, square), less(square, 1.0 / tiny))


in_bounds = optional(
    lambda reflecting, measure, tiny: _trusted(measure[0], measure[1], measure[2], measure[3], measure[4], tiny),
    lambda reflecting, measure, tiny: _in_range(measure, tiny),
)
"""Return whether a pivot can be trusted, lane by lane; not if it is NaN.

`tiny` and its reciprocal are the bounds of squares, or of pivots.
"""


sound = optional(
    lambda reflecting, measure, tiny, fine: fine,
    lambda reflecting, measure, tiny, fine: in_bounds(reflecting, measure, tiny),
)
"""Return `in_bounds`, or `fine` where pivots are taken as they come: for sweeps after the first, which has looked."""


@borrowing
def _shares(found: Any) -> tuple[Any, Any]:
    x1, x2, beta = found[0], found[1], found[2]
    share = beta * x2
    return -(x1 * share), 1.0 - x2 * share


shares = optional(
    lambda reflecting, found: (found[0] * 0.0, found[0] * 0.0 + 1.0), lambda reflecting, found: _shares(found)
)
"""Return, from the last step, with what factors links of the last row enter the two leftover rows."""


@borrowing
def _scaled(state: Any, factor: Any) -> Any:
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    return (
        p0 * factor,
        p1 * factor,
        times(pw1, factor),
        times(pw2, factor),
        times(pb, factor),
        times(pz, factor),
        q0 * factor,
        q1 * factor,
        times(qw1, factor),
        times(qw2, factor),
        times(qb, factor),
        times(qz, factor),
    )


scaled = optional(lambda reflecting, state, factor: state, lambda reflecting, state, factor: _scaled(state, factor))
"""Multiply the rows carried along, right-hand sides included; nothing, where pivots are taken as they come."""


@borrowing
def held(new: Any, old: Any, active: Any) -> Any:
    """Return the new rows where the segment has begun, the old ones elsewhere."""
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11 = new
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11 = old
    return (
        choose(active, a0, b0),
        choose(active, a1, b1),
        either(a2, b2, active),
        either(a3, b3, active),
        either(a4, b4, active),
        either(a5, b5, active),
        choose(active, a6, b6),
        choose(active, a7, b7),
        either(a8, b8, active),
        either(a9, b9, active),
        either(a10, b10, active),
        either(a11, b11, active),
    )


@borrowing
def weight(s: Any) -> Any:
    """Return what the probe is multiplied by in the rows of a segment, as if by chance; the mean square is about 1.

    Not 1 or -1 alone: a null vector may have two equal entries, in the same row of two segments.
    """
    mixed = s * 40503
    return (1.0 - 2.0 * ((mixed >> 7) & 1)) * (0.6 + 0.75 / 1024 * ((mixed >> 8) & 1023))


@borrowing
def first_rows(
    dl: Any, d: Any, du: Any, b: Any, probe: Any, known: Any, first: Any, kept: Any, s: Any
) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]:
    """Return the two rows that a segment begins with, a - 1 and a, in double precision; zeros for one that is missing.

    If `known` is not None, the kept columns to the left are moved to the right-hand sides.
    """
    a = first[s]
    # Times one: in double precision, whatever the type.
    zero = d[a] * 0
    p0 = pw1 = pw2 = qw2 = zero
    pb, pz, qb, qz = zero, zero, entry(b, a) * 1, entry(probe, 1) * weight(s)
    if kept[s, LEFT1] >= 0:
        p0, pw2, qw2 = du[a - 1] * 1, d[a - 1] * 1, dl[a - 1] * 1
        if a >= 2:
            pw1 = dl[a - 2] * 1
        pb, pz = entry(b, a - 1) * 1, entry(probe, 0) * weight(s)
        if known is not None:
            pb -= multiply_add(pw1, known[s, LEFT2, 0], pw2 * known[s, LEFT1, 0])
            qb -= qw2 * known[s, LEFT1, 0]
            if probe is not None:
                pz -= multiply_add(pw1, known[s, LEFT2, 1], pw2 * known[s, LEFT1, 1])
                qz -= qw2 * known[s, LEFT1, 1]
    # The super-diagonal may be one shorter than the main one.
    return p0, pw1, pw2, pb, pz, d[a] * 1, (du[a] * 1 if a < du.size else zero), qw2, qb, qz
