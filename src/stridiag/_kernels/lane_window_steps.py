"""One step of a window, on plain numbers or on vectors: for `stridiag._kernels.lane_windows`.

A row is carried down the window: it has entries in two columns, q0 and q1, a right-hand side, and perhaps the probe's.
There are two kinds of steps, and each helper here takes as its first argument which: None, or True.

*Pivots as they come* (None). The row that is carried is the pivot row. Each pivot is tested: it must be at least as
large as the entry below it or as the one beside it. Then no entry of :math:`|L||U|` exceeds a small multiple of the
largest one of the matrix.

*Interchanges* (True). Of the row that is carried and the one that comes in, the one with the larger entry in the column
is the pivot row: partial pivoting. A pivot row has entries in up to three columns. Nothing has to be tested: a pivot
that is zero makes an unknown that is no number.

Pivot rows are kept divided by the pivot, so that nothing is divided in back substitution. Once an unknown is not
finite, none above it is.

References: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., theorem 9.4 and sections 9.3, 9.6.
"""

from __future__ import annotations

from typing import Any

from stridiag._kernels.compile import borrowing
from stridiag._kernels.lane_steps import optional, times
from stridiag._kernels.vectors import both, choose, less, magnitude, multiply_add

__all__ = ["SLACK", "back", "back_probe", "height", "larger", "squared", "step"]

SLACK = 1.0001
"""What rounding may add to an entry."""

_taken_from = optional(lambda n, m, q: None, lambda n, m, q: n - m * q)
_chosen = optional(lambda x, y, condition: None, lambda x, y, condition: choose(condition, x, y))
squared = optional(lambda x, total: None, lambda x, total: multiply_add(x, x, total))


@borrowing
def larger(x: Any, y: Any) -> Any:
    """Return the larger one, lane by lane."""
    return choose(less(x, y), y, x)


@borrowing
def _smaller(x: Any, y: Any) -> Any:
    return choose(less(x, y), x, y)


@borrowing
def _take(carried: Any, n0: Any, n1: Any, n2: Any, nb: Any, nz: Any, fine: Any) -> tuple[Any, Any, Any]:
    q0, q1, qb, qz = carried
    over = 1.0 / q0
    m = n0 * over
    trusted = less(_smaller(magnitude(n0), magnitude(q1)), magnitude(q0) * SLACK)
    kept = q1 * over, None, qb * over, times(qz, over)
    return (n1 - m * q1, n2, nb - m * qb, _taken_from(nz, m, qz)), kept, both(fine, trusted)


@borrowing
def _interchange(carried: Any, n0: Any, n1: Any, n2: Any, nb: Any, nz: Any, fine: Any) -> tuple[Any, Any, Any]:
    q0, q1, qb, qz = carried
    comes = less(magnitude(q0), magnitude(n0))
    over = 1.0 / choose(comes, n0, q0)
    m = choose(comes, q0, n0) * over
    p1, pb, pz = choose(comes, n1, q1), _chosen(nb, qb, comes), _chosen(nz, qz, comes)
    p2 = choose(comes, n2, 0.0)
    kept = p1 * over, p2 * over, times(pb, over), times(pz, over)
    q0, q1 = choose(comes, q1, n1) - m * p1, choose(comes, 0.0, n2) - m * p2
    qb, qz = _taken_from(_chosen(qb, nb, comes), m, pb), _taken_from(_chosen(qz, nz, comes), m, pz)
    return (q0, q1, qb, qz), kept, comes


step = optional(
    lambda interchanging, carried, n0, n1, n2, nb, nz, fine: _take(carried, n0, n1, n2, nb, nz, fine),
    lambda interchanging, carried, n0, n1, n2, nb, nz, fine: _interchange(carried, n0, n1, n2, nb, nz, fine),
)
"""Eliminate one column with the row (n0, n1, n2); ``interchanging, carried, n0, n1, n2, nb, nz, fine``.

Returns the row carried on, the pivot row divided by the pivot (the entry beside it, the next one or None, and the
right-hand sides), and whether all pivots so far can be trusted, `fine` being that before; with interchanges, whether
the row that came in is the pivot row, so that the other one is carried on.

Cost: 8 operations and 3 for the probe; with interchanges 11 and 3.
"""

back = optional(
    lambda interchanging, y, u, w, x1, x2: y - u * x1,
    lambda interchanging, y, u, w, x1, x2: (y - w * x2) - u * x1,
)
"""Return an unknown, given the two below; ``interchanging, y, u, w, x1, x2``."""

back_probe = optional(
    lambda probe, interchanging, y, u, w, x1, x2: None,
    lambda probe, interchanging, y, u, w, x1, x2: back(interchanging, y, u, w, x1, x2),
)
"""Return `back`, if there is a probe."""

height = optional(
    lambda interchanging, most, x, inside: None,
    lambda interchanging, most, x, inside: choose(both(inside, less(most, magnitude(x))), magnitude(x), most),
)
"""Return the largest magnitude so far; ``interchanging, most, x, inside``: x does not count where it is not inside."""
