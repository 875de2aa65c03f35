r"""Links on top of a long chain: what a solution without them is corrected by, and the proof that it is right.

With T the chains, and the links :math:`a_k` at (:math:`r_k`, :math:`c_k`),

.. math:: A = T + \sum_k a_k e_{r_k} e_{c_k}^T, \qquad x = T^{-1} b - \sum_r s_r z_r, \qquad z_r = T^{-1} e_r, \qquad
          s_r = \sum_{r_k = r} a_k x_{c_k}.

Where errors decay, :math:`z_r` dies away on either side of r, and is needed for `margin` rows there
(`stridiag._kernels.window_columns`). Then few of the :math:`s_r` feel each other: those whose link ends near the row of
another. They are solved for by Gauss and Seidel's iteration, which ends after as many rounds as there are links in a
row, each ending where the next one begins, or converges: links in circles come back to where they began with less and
less, if chains of many rows are between them.

That is Woodbury's formula, which is only as good as T is well conditioned, and as its sums do not cancel. So nothing of
it is believed: `correct` computes the residual of each row whose unknowns were changed, by the matrix itself. Where the
main diagonal dominates it is to be small for each row by itself; with interchanges, which promise no such thing, beside
what all rows around a link sum up, and beside the largest of these sums still smaller.

Cost: with each right-hand side 3 operations for each row that is changed, 13 for its residual.

References: W. W. Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989); W. Oettli, W. Prager, Numer. Math. 6
(1964), for the test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.link_sums import MOST_ROUNDS, different, join, sums

__all__ = ["bound", "correct", "couplings", "peel", "survey"]

Array = NDArray[Any]

# Of an unknown: a change below that is the last one on its side.
_LAST = 2.0**-56

# A bound need not be known better; and what grows by as much in each of so many rounds has none.
_ROUGHLY = 2.0**-10

# What the residual of a row may be beside the rows around its link, in units of what it may be beside all.
_NEARBY = 16.0


@kernel
def survey(
    link_rows: Array,
    link_columns: Array,
    links: Array,
    stride: int,
    margin: int,
    rows: Array,
    ends: Array,
    pair_ends: Array,
) -> tuple[int, float]:
    """Find the rows of links, and how many of these columns of the inverse of T each of the links meets.

    Parameters
    ----------
    link_rows, link_columns, links : ndarray, (links,)
        Sorted by row.
    stride, margin : int
    rows, ends, pair_ends : ndarray of int64, (links,), (links + 1,) and (links + 1,)
        Become the different rows of links, and where the links and the pairs of each end.

    Returns
    -------
    count : int
        Different rows.
    largest : float
        Magnitude of the links; NaN if one is not finite.
    """
    count, largest = different(link_rows, links, rows, ends, np.empty(rows.size))
    pair_ends[0] = 0
    for row in range(count):
        pair_ends[row + 1] = pair_ends[row]
        for k in range(ends[row], ends[row + 1]):
            first, end = _met(rows[:count], link_columns[k], margin * stride)
            for other in range(first, end):
                pair_ends[row + 1] += (link_columns[k] - rows[other]) % stride == 0
    return count, largest


@borrowing
def _met(rows: Any, column: Any, reach: Any) -> tuple[Any, Any]:
    """Return the range of rows that are within reach of a column."""
    return np.searchsorted(rows, column - reach), np.searchsorted(rows, column + reach + 1)


@kernel
def couplings(
    link_columns: Array,
    links: Array,
    stride: int,
    rows: Array,
    ends: Array,
    near: Array,
    pair_ends: Array,
    pair_rows: Array,
    pairs: Array,
) -> None:
    """Fill in, of each row, what the s of other rows (and its own) are multiplied by in the sum for its s."""
    join(
        rows,
        ends,
        link_columns,
        links,
        np.zeros(rows.size),
        near,
        near.shape[1] // 2,
        stride,
        pair_ends,
        pair_rows,
        pairs,
    )


@kernel
def bound(
    links: Array, ends: Array, sizes: Array, across: Array, pair_ends: Array, pair_rows: Array, pairs: Array
) -> float:
    """Return by how much the norm of the solution for the probe may exceed that without links; infinite if unknown.

    Parameters
    ----------
    sizes : ndarray, (rows,)
        Norms of the columns of the inverse of T at the links' rows.
    across : ndarray, (links,)
        Norms of its rows at the links' columns: what an unknown there may be for a right-hand side of unit variance.
    """
    count = sizes.size
    given, s = np.zeros(count), np.zeros(count)
    for row in range(count):
        for k in range(ends[row], ends[row + 1]):
            given[row] += abs(links[k]) * across[k]
    for _ in range(MOST_ROUNDS):
        total, still = 0.0, True
        for row in range(count):
            size, own = given[row], 1.0
            for pair in range(pair_ends[row], pair_ends[row + 1]):
                other = pair_rows[pair]
                if other == row:
                    own += pairs[pair]
                else:
                    size += abs(pairs[pair]) * s[other]
            found = size / abs(own)
            still = still and found - s[row] <= _ROUGHLY * found
            s[row] = found
            total += found * sizes[row]
        if still:
            return total
    return np.inf


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
    each: bool,
    x: Array,
) -> bool:
    """Turn `x`, the solution without links, into that with them.

    Returns
    -------
    bool
        Whether in the rows concerned the residual is at most `limit` times the magnitudes that are summed up: by `each`
        of them; or, and then it may be `_NEARBY` times that of all those around the same link, by any of them.
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
    worst_of_all = tallest_of_all = 0.0
    for row in range(count):
        at = rows[row]
        total, size = -b[at], abs(b[at])
        for k in range(ends[row], ends[row + 1]):
            term = links[k] * x[link_columns[k]]
            total, size = total + term, size + abs(term)
        total, tallest = _residual(dl, d, du, stride, at, x, total, size)
        worst = abs(total)
        # Accepts the good, so that NaN is not.
        if each and not worst <= limit * tallest:
            return False
        for k in range(-reach[row, 0] - 1, reach[row, 1] + 2):
            at = rows[row] + k * stride
            if k == 0 or not 0 <= at < d.size:
                continue
            total, size = _residual(dl, d, du, stride, at, x, -b[at], abs(b[at]))
            if not abs(total) <= limit * size:
                # A row with links of its own is looked at by itself.
                place = np.searchsorted(rows, at)
                if place < count and rows[place] == at:
                    continue
                if each or not abs(total) < np.inf:
                    return False
                worst = max(worst, abs(total))
            tallest = max(tallest, size)
        if not worst <= _NEARBY * limit * tallest:
            return False
        worst_of_all, tallest_of_all = max(worst_of_all, worst), max(tallest_of_all, tallest)
    return worst_of_all <= limit * tallest_of_all


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
def _residual(dl: Any, d: Any, du: Any, stride: Any, row: Any, x: Any, total: Any, size: Any) -> tuple[Any, Any]:
    """Return a row's residual and the magnitudes that it sums up, given what of them the chain has no part in."""
    term = d[row] * x[row]
    total, size = total + term, size + abs(term)
    if row >= stride:
        term = dl[row - stride] * x[row - stride]
        total, size = total + term, size + abs(term)
    if row + stride < d.size:
        term = du[row] * x[row + stride]
        total, size = total + term, size + abs(term)
    return total, size
