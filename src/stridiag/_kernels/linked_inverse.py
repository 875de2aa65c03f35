r"""Links on top of dominant chains: what they change in the inverse on the pattern.

With T the chains, and the links :math:`a_k` at (:math:`r_k`, :math:`c_k`), the notation of
`stridiag._kernels.link_sums`,

.. math:: Z = A^{-1} = T^{-1} - \sum_r \sum_k z_r\, s_{rk}\, y_{c_k}, \qquad z_r = T^{-1} e_r, \qquad
          y_c = e_c^T T^{-1},

where column k of s solves :math:`(I + K) s = a_k e_{r_k}`. Entries of the inverse of a tridiagonal matrix beyond its
pattern are products along the way:

.. math:: t_{i-1,j} = t_{ij}\, t_{i-1,i} / t_{ii} \quad (i \le j), \qquad
          t_{i+1,j} = t_{ij}\, t_{i+1,i} / t_{ii} \quad (i \ge j),

so columns and rows need no elimination, and nothing is cut off that is not known to be small: where T is dominant by
rows, no quotient is above one, and each column falls from its diagonal entry on. Hence an entry (i, j) of the pattern
changes only where i is within reach of r and c_k within reach of j: for short links, and for circles of links. (Where T
is dominant by columns, all this holds for the transpose.)

Cost: 3 operations a row of :math:`z_r`, and 12 a row where entries change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.link_sums import different, join, settle

__all__ = ["add_links"]

Array = NDArray[Any]

# A column ends where it is less than that of its diagonal entry; and a change of an entry is made from there on.
_ENDED, _FELT = 2.0**-70, 2.0**-60
# What links may weigh, of their row's diagonal entry, and how much smaller than a change its column may become.
_HEAVIEST, _SHRUNK = 16.0, 8.0


@kernel
def add_links(
    lower: Array,
    main: Array,
    upper: Array,
    link_rows: Array,
    link_columns: Array,
    links: Array,
    mirrored: bool,
    near: Array,
    pairs: Array,
    places: Array,
    amounts: Array,
    linked: Array,
) -> bool:
    """Turn the pattern of the inverse of chains into that of the inverse with links.

    Parameters
    ----------
    lower, main, upper : ndarray
        The entries (i + 1, i), (i, i) and (i, i + 1) of the inverse; its columns fall.
    link_rows, link_columns, links : ndarray, (links,)
        Sorted by row.
    mirrored : bool
        Whether to put the entries (c, r) into `linked`, and not (r, c).
    near : ndarray, (links, 2 margin + 1)
        Work space: as far as a column may reach.
    pairs, places, amounts : ndarray, (room,), (room, 2) and (room,)
        Work space: as many pairs of links that feel each other, and changes of entries.
    linked : ndarray, (links,)
        Becomes the entries of the inverse at the links.

    Returns
    -------
    bool
        False if columns reach too far, links have too much to do with each other, or an entry has cancelled: then
        nothing of the arrays is of use.
    """
    margin = near.shape[1] // 2
    rows, ends = np.empty(links.size, np.int64), np.empty(links.size + 1, np.int64)
    weights = np.empty(links.size)
    count, _ = different(link_rows, links, rows, ends, weights)
    rows = rows[:count]
    felt_from, reach = np.empty((links.size, 2), np.int64), np.empty((count, 2), np.int64)
    for k in range(links.size):
        # Overwritten below, by columns of the links' rows.
        if not (
            _column(lower, main, upper, link_columns[k], margin, near[0], felt_from[k])
            and _felt_from(lower, main, upper, link_columns[k], margin, felt_from[k])
        ):
            return False
    for p in range(count):
        sound = _column(lower, main, upper, rows[p], margin, near[p], reach[p])
        if not (sound and weights[p] * abs(near[p, margin]) <= _HEAVIEST):
            return False
    pair_ends, pair_rows = np.empty(count + 1, np.int64), np.empty(pairs.size, np.int64)
    found, norm = join(rows, ends, link_columns, links, weights, near, margin, 1, pair_ends, pair_rows, pairs)
    if found < 0 or not norm < 1.0:
        return False
    for m in range(links.size):
        row, column = link_columns[m] if mirrored else link_rows[m], link_rows[m] if mirrored else link_columns[m]
        linked[m] = _entry(lower, main, upper, row, column, margin)
    felt = np.zeros(count, np.bool_)
    for p in range(count):
        for pair in range(pair_ends[p], pair_ends[p + 1]):
            if pair_rows[pair] != p and pairs[pair] != 0.0:
                felt[pair_rows[pair]] = True
    given, s = np.zeros(count), np.empty(count)
    made = 0
    for p in range(count):
        for k in range(ends[p], ends[p + 1]):
            first, last = p, p + 1
            if felt[p]:
                first, last = 0, count
                given[p] = links[k]
                s[:] = given
                if not settle(given, pair_ends, pair_rows, pairs, s):
                    return False
                given[p] = 0.0
            else:
                own = 1.0
                for pair in range(pair_ends[p], pair_ends[p + 1]):
                    own += pairs[pair] if pair_rows[pair] == p else 0.0
                s[p] = links[k] / own
            _change_links(
                lower,
                main,
                upper,
                link_rows,
                link_columns,
                link_columns[k],
                mirrored,
                rows,
                near,
                s,
                first,
                last,
                linked,
            )
            for q in range(first, last):
                first_place, last_place = max(reach[q, 0] - 1, felt_from[k, 0]), min(reach[q, 1] + 1, felt_from[k, 1])
                if s[q] != 0.0 and first_place <= last_place:
                    made = _note_changes(
                        lower, main, upper, link_columns[k], first_place, last_place, rows[q], near[q], s[q], places,
                        amounts, made,
                    )  # fmt: skip
                    if made < 0:
                        return False
    for k in range(made):
        at = places[k, 0]
        i, j = at // 3, at // 3 + at % 3 - 1
        # The entry (i, j).
        if j == i:
            main[i] -= amounts[k]
        elif j > i:
            upper[i] -= amounts[k]
        else:
            lower[j] -= amounts[k]
    sound = True
    for k in range(made):
        # Accepts the good, so that NaN is not.
        sound = sound and abs(amounts[k]) <= _SHRUNK * abs(main[places[k, 1]])
    return sound


@borrowing
def _column(lower: Any, main: Any, upper: Any, j: Any, margin: Any, z: Any, reach: Any) -> bool:
    """Compute column j of the inverse of T as far as it reaches, and put its ends into `reach`; zeros elsewhere.

    Return whether it does end within the margin.
    """
    z[:] = 0.0
    z[margin] = main[j]
    for side in range(2):
        value, i = main[j], j
        while abs(value) > _ENDED * abs(main[j]) and (i < main.size - 1 if side else i > 0):
            value *= (lower[i] if side else upper[i - 1]) / main[i]
            i += 2 * side - 1
            if abs(i - j) > margin:
                return False
            z[margin + i - j] = value
        reach[side] = i
        # Accepts the good, so that NaN does not.
        if not abs(value) < np.inf:
            return False
    return True


@borrowing
def _felt_from(lower: Any, main: Any, upper: Any, i: Any, margin: Any, reach: Any) -> bool:
    """Put into `reach` the first and the last column of the inverse of T that has not ended in row i.

    Return whether that is within the margin.
    """
    for side in range(2):
        share, j = 1.0, i
        while j < main.size - 1 if side else j > 0:
            j += 2 * side - 1
            share *= abs((upper[j - 1] if side else lower[j]) / main[j])
            if share <= _ENDED:
                break
            if not (abs(j - i) <= margin and share < np.inf):
                return False
        reach[side] = j
    return True


@borrowing
def _entry(lower: Any, main: Any, upper: Any, i: Any, j: Any, margin: Any) -> float:
    """Return the entry (i, j) of the inverse of T, zero beyond the margin."""
    if abs(i - j) > margin:
        return 0.0
    value: float = main[j]
    for k in range(j, i, -1):
        value *= upper[k - 1] / main[k]
    for k in range(j, i):
        value *= lower[k] / main[k]
    return value


@borrowing
def _change_links(
    lower: Any, main: Any, upper: Any, link_rows: Any, link_columns: Any, column: Any, mirrored: Any, rows: Any,
    near: Any, s: Any, first: Any, last: Any, linked: Any,
) -> None:  # fmt: skip
    """Change the entries at links by what one of them does by way of the rows ``first ... last - 1``."""
    margin = near.shape[1] // 2
    for m in range(linked.size):
        i, j = link_columns[m] if mirrored else link_rows[m], link_rows[m] if mirrored else link_columns[m]
        if abs(column - j) > margin:
            continue
        y = _entry(lower, main, upper, column, j, margin)
        for q in range(first, last):
            if abs(i - rows[q]) <= margin:
                linked[m] -= near[q, margin + i - rows[q]] * s[q] * y


@borrowing
def _note_changes(
    lower: Any, main: Any, upper: Any, column: Any, first: Any, last: Any, row: Any, z: Any, s: Any, places: Any,
    amounts: Any, made: Any,
) -> int:  # fmt: skip
    """Note how the pattern changes in some columns; return the number of notes, -1 if there are too many."""
    n, margin = main.size, z.size // 2
    for side in range(2):
        y, j = main[column], column
        while j <= last if side else j >= first:
            if first <= j <= last and (side == 0 or j > column):
                for i in range(max(j - 1, row - margin, 0), min(j + 1, row + margin, n - 1) + 1):
                    amount = z[margin + i - row] * s * y
                    if not abs(amount) <= _FELT * abs(main[j]):
                        if made == amounts.size:
                            return -1
                        places[made, 0], places[made, 1], amounts[made] = 3 * i + j - i + 1, j, amount
                        made += 1
            if j == (n - 1 if side else 0):
                break
            y *= (upper[j] if side else lower[j - 1]) / main[j]
            j += 2 * side - 1
    return int(made)
