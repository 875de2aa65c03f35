r"""Links on top of a narrow band whose main diagonal dominates near them: corrections of a solution without links.

The algebra is that of `stridiag._kernels.link_sums`. Column r of the inverse of the band T, :math:`z_r`, is found by
Gaussian elimination without interchanges in the stretch of `margin` rows on either side of r, eight of them side by
side, and ends where it is next to nothing (`columns_near`).

When to believe it
------------------
Woodbury's formula is as good as T is well conditioned, and as its sums do not cancel. Here

1. in each stretch every pivot is at least as large as the rest of its row of U, or each as large as the rest of its
   column of L, so that nothing grows, and :math:`T z_r` is :math:`e_r` but for rounding errors;
2. each :math:`z_r` is next to nothing where its stretch ends;
3. the sums of :math:`\lvert z_r \rvert_i \sum_{r_k = r} \lvert a_k \rvert` over r are at most 1 for each i, so that no
   unknown is more than twice the largest one before the correction, nor what is taken from it larger than that;
4. at the links' columns they are at most 1/2, so that the iteration for s settles.

So the residual of a corrected solution is that of the band's solution, and a few units of rounding of the magnitudes
that it sums up more, whatever the right-hand side: nothing has to be proved for each.

Cost: about :math:`2 l u + l + 3 u` operations for each row of a :math:`z_r`, widths l and u; with each right-hand side
2 for each row that is changed.

References: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed. (2002), section 9.5, for matrices
that are dominated by their diagonal; W. W. Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import borrowing, inlined, kernel
from stridiag._kernels.lane_numbers import LANES, eliminate_step, set_lanes, substitute_step
from stridiag._kernels.link_sums import different, join, sums

__all__ = ["columns_near", "correct", "correct_columns"]

Array = NDArray[Any]

# Of the largest entry of a column: what is left out where it ends, and what may stand where its stretch does.
_NOTHING, _ENDED = 2.0**-58, 2.0**-54

# Rows that are brought into lanes at a time.
_ROWS = 32

# By how much rounding errors may spoil dominance.
_SLACK = 1.0 - 1e-12


@kernel
def columns_near(
    flat: Array,
    base: Array,
    lower: int,
    n: int,
    margin: int,
    link_rows: Array,
    link_columns: Array,
    links: Array,
    rows: Array,
    ends: Array,
    near: Array,
    spans: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
) -> int:
    """Compute the columns of the inverse of the band that links need, near their rows.

    Parameters
    ----------
    flat, base : ndarray
        As `stridiag._kernels.band_lanes` takes them.
    lower, n, margin : int
    link_rows, link_columns, links : ndarray, (links,)
        Sorted by row.
    rows, ends : ndarray of int64, (links,) and (links + 1,)
        Become the different rows of links, and where the links of each end.
    near : ndarray, (links, 2 margin + 1)
        Becomes z for each of these rows: the places `margin` before it to `margin` behind it.
    spans : ndarray of int64, (links, 2)
        Becomes the first place that counts of each z, and the one behind the last: what is outside is zero.
    pair_ends, pair_rows, pairs : ndarray, (links + 1,), (room,) and (room,)
        See `stridiag._kernels.link_sums.join`.

    Returns
    -------
    int
        How many rows; 0 if what is said above does not hold, -1 if a wider margin may help.
    """
    weights = np.empty(rows.size)
    count, largest = different(link_rows, links, rows, ends, weights)
    if not largest < np.inf:
        return 0
    width = base.size
    held = np.empty(_room(lower, width, margin))
    for first in range(0, count, LANES):
        many = min(LANES, count - first)
        _fill(flat, base, lower, n, margin, rows[first : first + many], held)
        sides, least = _solve(lower, width, margin, held)
        for lane in range(many):
            if not max(held[least + lane], held[least + LANES + lane]) >= 0.0:
                return 0
            if not _take_out(held[sides + lane :: LANES], near[first + lane], spans[first + lane]):
                return -1
    made, worst = join(rows[:count], ends, link_columns, links, weights, near, margin, 1, pair_ends, pair_rows, pairs)
    if made < 0 or not worst <= 0.5:
        return 0
    return count if _bounded(rows[:count], weights, near, spans, np.empty(near.size)) else 0


@inlined
def _room(lower: int, width: int, margin: int) -> int:
    """Return how many numbers `_solve` works on: rows, right-hand sides, and what is left over of pivots."""
    stretch = 2 * margin + 1
    return ((stretch + lower) * width + stretch + width + 2) * LANES


@borrowing
def _fill(flat: Any, base: Any, lower: Any, n: Any, margin: Any, rows: Any, held: Any) -> None:
    """Bring the rows of some stretches into lanes: entry d of a row is d - lower columns from the diagonal.

    Where the band has no row or column, and in lanes that are not needed, the diagonal is 1 and all else 0.
    """
    held[:] = 0.0
    width, stretch = base.size, 2 * margin + 1
    for lane in range(LANES):
        start = rows[lane] - margin if lane < rows.size else n
        for i in range(stretch + lower):
            if not (0 <= start + i < n and i < stretch):
                held[(i * width + lower) * LANES + lane] = 1.0
    # As many rows at a time as stay in the first cache level.
    for top in range(0, stretch, _ROWS):
        bottom = min(top + _ROWS, stretch)
        for d in range(width):
            for lane in range(rows.size):
                start, away = rows[lane] - margin, d - lower
                # Where row and column lie in the band.
                begin, end = max(top, -start, -start - away), min(bottom, n - start, n - start - away)
                if base[d] != ABSENT:
                    for i in range(begin, end):
                        held[np.uint64((i * width + d) * LANES + lane)] = flat[np.uint64(base[d] + start + i)]


@inlined
def _solve(lower: int, width: int, margin: int, held: Array) -> tuple[int, int]:
    """Eliminate without interchanges, and substitute back.

    Return where in `held` the solutions stand, and what is left of pivots less the rest of their rows, at the least,
    and less that of their columns.
    """
    step, upper, stretch = width * LANES, width - 1 - lower, 2 * margin + 1
    sides = (stretch + lower) * step
    least = held.size - 2 * LANES
    set_lanes(held, least, np.inf)
    set_lanes(held, least + LANES, np.inf)
    set_lanes(held, sides + margin * LANES, 1.0)
    for i in range(stretch):
        pivot, side = i * step + lower * LANES, sides + i * LANES
        eliminate_step(held, pivot, side, least, step, lower, upper, _SLACK)
    # Behind the stretch unknowns are zero.
    for i in range(stretch, stretch + width):
        set_lanes(held, sides + i * LANES, 0.0)
    for i in range(stretch - 1, -1, -1):
        pivot, side = i * step + lower * LANES, sides + i * LANES
        substitute_step(held, pivot, side, upper)
    return sides, least


@borrowing
def _take_out(side: Any, z: Any, span: Any) -> bool:
    """Copy the part of a column that counts, zeros around it; return whether the stretch was long enough."""
    end = z.size
    most = abs(side[end // 2])
    # Accepts the good, so that NaN does not end a column.
    fine = most > 0.0 and abs(side[0]) <= _ENDED * most and abs(side[end - 1]) <= _ENDED * most
    begin = 0
    while begin < end and abs(side[begin]) <= _NOTHING * most:
        begin += 1
    while begin < end and abs(side[end - 1]) <= _NOTHING * most:
        end -= 1
    z[:] = 0.0
    for i in range(begin, end):
        z[i] = side[i]
    span[0], span[1] = begin, end
    return bool(fine)


@borrowing
def _bounded(rows: Any, weights: Any, near: Any, spans: Any, felt: Any) -> bool:
    """Return whether no unknown feels more than 1 of all columns, each times the magnitudes of its row's links."""
    margin, stretch = near.shape[1] // 2, near.shape[1]
    # Where in `felt` row 0 would stand: between stretches that do not meet nothing is kept.
    shift, end = 0, 0
    for row in range(rows.size):
        top = rows[row] - margin
        if row == 0 or top > end:
            shift += top if row == 0 else top - end
            end = top
        felt[end - shift : top + stretch - shift] = 0.0
        end = top + stretch
        for place in range(spans[row, 0], spans[row, 1]):
            at = top - shift + place
            felt[at] += abs(near[row, place]) * weights[row]
            # Accepts the good, so that NaN is refused.
            if not felt[at] <= 1.0:
                return False
    return True


@kernel
def correct(
    link_columns: Array,
    links: Array,
    rows: Array,
    ends: Array,
    near: Array,
    spans: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
    x: Array,
) -> bool:
    """Turn `x`, (r, n), solutions without links in class order, into those with them.

    Return whether all that was changed is finite.
    """
    margin, fine = near.shape[1] // 2, True
    given, s = np.empty(rows.size), np.empty(rows.size)
    for number in range(x.shape[0]):
        one = x[number]
        sums(link_columns, links, ends, pair_ends, pair_rows, pairs, one, given, s)
        for row in range(rows.size):
            start, change = rows[row] - margin, s[row]
            for place in range(np.uint64(spans[row, 0]), np.uint64(spans[row, 1])):
                value = one[np.uint64(start + place)] - near[row, place] * change
                one[np.uint64(start + place)] = value
                fine &= abs(value) < np.inf
    return fine


@kernel
def correct_columns(
    stride: int,
    link_columns: Array,
    links: Array,
    rows: Array,
    ends: Array,
    near: Array,
    spans: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
    x: Array,
) -> None:
    """Turn the columns of `x`, (n, m), solutions without links in the original order, into those with them.

    `rows` and `link_columns` are in that order too, in which neighbors of a class are `stride` apart.
    """
    count, many, margin = rows.size, x.shape[1], near.shape[1] // 2
    given, s, all_s = np.empty(count), np.empty(count), np.empty((count, many))
    for k in range(many):
        sums(link_columns, links, ends, pair_ends, pair_rows, pairs, x[:, k], given, s)
        all_s[:, k] = s
    for row in range(count):
        for place in range(spans[row, 0], spans[row, 1]):
            at, z = rows[row] + (place - margin) * stride, near[row, place]
            for k in range(many):
                x[at, k] -= z * all_s[row, k]
