r"""Links on top of a long dominant chain: what a solution without them is corrected by, and the proof that it is right.

With T the chains, and the links :math:`a_k` at (:math:`r_k`, :math:`c_k`),

.. math:: A = T + \sum_k a_k e_{r_k} e_{c_k}^T, \qquad x = T^{-1} b - \sum_r s_r z_r, \qquad z_r = T^{-1} e_r, \qquad
          s_r = \sum_{r_k = r} a_k x_{c_k}.

Where the main diagonal dominates, :math:`z_r` dies away on either side of r, and is needed for `margin` rows there
(`columns_near`). Then few of the :math:`s_r` feel each other: those whose link ends near the row of another. They are
solved for by Gauss and Seidel's iteration, which ends after as many rounds as there are links in a row, each ending
where the next one begins, or converges.

That is Woodbury's formula, which is only as good as T is well conditioned, and as its sums do not cancel. So nothing of
it is believed: `correct` computes the residual of each row whose unknowns were changed, by the matrix itself, and
accepts it if it is small for that row.

Cost: 10 operations a row of :math:`z_r`; with each right-hand side 3 for each row that is changed, 13 for its residual.

References: W. W. Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989); W. Oettli, W. Prager, Numer. Math. 6
(1964), for the test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.link_sums import different, join, sums

__all__ = ["columns_near", "correct", "peel"]

Array = NDArray[Any]

# Links whose columns are computed side by side: each waits for one division after the other.
_BESIDE = 8

# Of an unknown: a change below that is the last one on its side.
_LAST = 2.0**-56


@kernel
def columns_near(
    dl: Array,
    d: Array,
    du: Array,
    stride: int,
    margin: int,
    link_rows: Array,
    link_columns: Array,
    links: Array,
    rows: Array,
    ends: Array,
    near: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
) -> tuple[int, float, float]:
    """Compute the columns of the inverse of T that links need, near their rows.

    Parameters
    ----------
    dl, d, du : ndarray, (n - stride,), (n,) and (n - stride,)
    stride, margin : int
    link_rows, link_columns, links : ndarray, (links,)
        Sorted by row.
    rows, ends : ndarray of int64, (links,) and (links + 1,)
        Become the different rows of links, and where the links of each end.
    near : ndarray, (links, 2 margin + 1)
        Becomes z for each of these rows: the places `margin` before it to `margin` behind it, `stride` apart.
    pair_ends, pair_rows, pairs : ndarray, (links + 1,), (room,) and (room,)
        Become, of each row, what the s of other rows (and its own) are multiplied by in the sum for its s.

    Returns
    -------
    count : int
        Different rows; -1 if there is no room for all pairs.
    factor : float
        By how much the norm of a solution may exceed that of the solution without links; infinite if nothing is known.
    largest : float
        Magnitude of the links; NaN if one is not finite.
    """
    weights = np.empty(rows.size)
    count, largest = different(link_rows, links, rows, ends, weights)
    quotients = np.empty((2, margin + 1, _BESIDE))
    total = 0.0
    for first in range(0, count, _BESIDE):
        _columns(dl, d, du, stride, margin, rows, first, min(first + _BESIDE, count), quotients, near)
    for row in range(count):
        size = 0.0
        for place in range(2 * margin + 1):
            size += abs(near[row, place])
        total += weights[row] * size
    made, worst = join(
        rows[:count], ends, link_columns, links, weights, near, margin, stride, pair_ends, pair_rows, pairs
    )
    if made < 0:
        return -1, np.inf, largest
    # The unknowns at the links' columns are (I + K)^-1 times those without links; worst is a norm of K.
    return count, 1.0 + total / (1.0 - worst) if worst < 1.0 else np.inf, largest


@borrowing
def _columns(
    dl: Any, d: Any, du: Any, stride: Any, margin: Any, rows: Any, first: Any, end: Any, quotients: Any, near: Any
) -> None:
    """Compute the columns for some rows, by elimination from both ends of their windows."""
    n, many = d.size, end - first
    for k in range(margin, 0, -1):
        for lane in range(many):
            above, below = rows[first + lane] - k * stride, rows[first + lane] + k * stride
            quotients[0, k, lane] = quotients[1, k, lane] = 0.0
            if above >= 0:
                pivot = d[above]
                if k < margin and above >= stride:
                    pivot -= dl[above - stride] * quotients[0, k + 1, lane]
                quotients[0, k, lane] = du[above] / pivot
            if below < n:
                pivot = d[below]
                if k < margin and below + stride < n:
                    pivot -= du[below] * quotients[1, k + 1, lane]
                quotients[1, k, lane] = dl[below - stride] / pivot
    for lane in range(many):
        row = rows[first + lane]
        pivot = d[row]
        if row >= stride:
            pivot -= dl[row - stride] * quotients[0, 1, lane]
        if row + stride < n:
            pivot -= du[row] * quotients[1, 1, lane]
        up = down = near[first + lane, margin] = 1.0 / pivot
        for k in range(1, margin + 1):
            up *= -quotients[0, k, lane]
            down *= -quotients[1, k, lane]
            near[first + lane, margin - k], near[first + lane, margin + k] = up, down


@kernel
def correct(
    dl: Array,
    d: Array,
    du: Array,
    stride: int,
    link_columns: Array,
    links: Array,
    rows: Array,
    ends: Array,
    near: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
    b: Array,
    limit: float,
    x: Array,
) -> bool:
    """Turn `x`, the solution without links, into that with them.

    Returns
    -------
    bool
        Whether in each row concerned the residual is at most `limit` times the magnitudes that it sums up.
    """
    count, margin = rows.size, near.shape[1] // 2
    s = np.empty(count)
    if not sums(link_columns, links, ends, pair_ends, pair_rows, pairs, x, np.empty(count), s):
        return False
    reach = np.empty((count, 2), np.int64)
    for row in range(count):
        x[rows[row]] -= near[row, margin] * s[row]
        for side in range(2):
            way = 2 * side - 1
            reach[row, side] = _change(near[row], margin, way, s[row], rows[row], way * stride, x)
    for row in range(count):
        total, size = -b[rows[row]], abs(b[rows[row]])
        for k in range(ends[row], ends[row + 1]):
            term = links[k] * x[link_columns[k]]
            total, size = total + term, size + abs(term)
        if not _small(dl, d, du, stride, rows[row], x, total, size, limit):
            return False
        for k in range(-reach[row, 0] - 1, reach[row, 1] + 2):
            at = rows[row] + k * stride
            if k == 0 or not 0 <= at < d.size or _small(dl, d, du, stride, at, x, -b[at], abs(b[at]), limit):
                continue
            # A row with links of its own is looked at by itself.
            place = np.searchsorted(rows, at)
            if not (place < count and rows[place] == at):
                return False
    return True


@kernel
def peel(pair_ends: Array, pair_rows: Array, pairs: Array, alone: Array) -> None:
    """Find what the matrix that s is solved from, the identity plus `pairs`, has on its diagonal alone.

    A row that no pair joins to others, or a column that none joins them to, has no part in any cycle: the determinant
    is 1 plus its own pair times that of the rest. ``alone[row]`` becomes that factor; NaN for rows that remain.
    """
    count = alone.size
    alone[:] = np.nan
    joined = np.empty(count, np.bool_)
    found = True
    while found:
        found = False
        joined[:] = False
        for row in range(count):
            if alone[row] == alone[row]:
                continue
            own, others = 1.0, False
            for pair in range(pair_ends[row], pair_ends[row + 1]):
                other = pair_rows[pair]
                if other == row:
                    own += pairs[pair]
                elif alone[other] != alone[other]:
                    joined[other] = others = True
            if not others:
                alone[row] = own
                found = True
        for row in range(count):
            if alone[row] != alone[row] and not joined[row]:
                alone[row] = 1.0
                for pair in range(pair_ends[row], pair_ends[row + 1]):
                    if pair_rows[pair] == row:
                        alone[row] += pairs[pair]
                found = True


@borrowing
def _change(near: Any, margin: Any, way: Any, s: Any, row: Any, step: Any, x: Any) -> int:
    """Subtract one side of a column, as far as it changes anything; return how many rows that is."""
    quiet = 0
    for k in range(1, margin + 1):
        at = row + k * step
        if not 0 <= at < x.size:
            return int(k) - 1
        change = near[margin + way * k] * s
        x[at] -= change
        quiet = quiet + 1 if abs(change) <= _LAST * abs(x[at]) else 0
        if quiet == 2:
            return int(k)
    return int(margin)


@borrowing
def _small(dl: Any, d: Any, du: Any, stride: Any, row: Any, x: Any, total: Any, size: Any, limit: Any) -> bool:
    """Return whether a row's residual is small, given what of it the chain has no part in."""
    term = d[row] * x[row]
    total, size = total + term, size + abs(term)
    if row >= stride:
        term = dl[row - stride] * x[row - stride]
        total, size = total + term, size + abs(term)
    if row + stride < d.size:
        term = du[row] * x[row + stride]
        total, size = total + term, size + abs(term)
    return bool(abs(total) <= limit * size)
