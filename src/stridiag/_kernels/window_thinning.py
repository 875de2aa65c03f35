r"""Every other unknown eliminated, again and again, before a window takes what is left: which, and with what effect.

An unknown without a neighbour among those eliminated in the same round needs nothing but its own row and column. In
a band of a few diagonals these have a handful of entries, while a row of the window has dozens; and since what is left
has half the rows, twice as far apart, its band is as wide as before. So each round halves the work of the window, until
rows have become full.

**Rounds.** Unknowns are met breadth first, along entries near the diagonal, and each without a chosen neighbour is
chosen: so neighbours alternate wherever the graph allows it. One whose elimination takes more than a given number of
products waits. The ends of links, entries far from the diagonal, stay for the window: eliminated, one would leave a
link for each pair of its neighbours. Chosen ones are eliminated in the order of their indices.

**Entries** have *slots*, those of the matrix first, then those that elimination adds; these take the slots of entries
that were eliminated in rounds before, as long as there are some. They stand in linked lists by
rows and by columns, from which unknowns that are gone are taken out when a list is next gone through.

Cost: linear in the products, plus the entries of the rows that they change.

References: D. J. Rose, A graph-theoretic study of the numerical solution of sparse positive definite systems of linear
equations, in Graph Theory and Computing (1972); H. M. Markowitz, The elimination form of the inverse and its
application to linear programming, Management Science 3 (1957) 255-269, for the products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel

__all__ = ["list_left", "thin_out"]

Array = NDArray[Any]

_NEVER = -1


@borrowing
def _living(heads: Array, following: Array, ends: Array, gone: Array, i: int, out: Array, near: Array) -> int:
    """List the slots of line i, but that of the diagonal, and the lines that they lead to; return how many.

    What leads to an unknown that is gone leaves the list.
    """
    count, last, slot = 0, -1, heads[i]
    while slot >= 0:
        other, after = ends[slot], following[slot]
        if gone[other]:
            if last < 0:
                heads[i] = after
            else:
                following[last] = after
        else:
            if other != i:
                out[count], near[count] = slot, other
                count += 1
            last = slot
        slot = after
    return count


@borrowing
def _add(heads: Array, following: Array, i: int, slot: int) -> None:
    following[slot] = heads[i]
    heads[i] = slot


@kernel
def thin_out(
    rows: Array,
    columns: Array,
    used: int,
    reach: int,
    limit: int,
    rounds: int,
    row_heads: Array,
    next_in_row: Array,
    column_heads: Array,
    next_in_column: Array,
    main: Array,
    gone: Array,
    order: Array,
    counts: Array,
    lower: Array,
    lower_rows: Array,
    upper: Array,
    upper_columns: Array,
    targets: Array,
) -> tuple[int, int, int, int, int]:
    """Choose what is eliminated, and list what each elimination takes.

    Parameters
    ----------
    rows, columns : (room,)
        Of each slot; the first `used` are those of the matrix.
    reach : int
        Entries so far from the diagonal are near it, in the first round; in each further one twice as far.
    limit, rounds : int
        Products of one elimination, and rounds, at most.
    row_heads, next_in_row, column_heads, next_in_column : (n,), (room,), (n,) and (room,)
        Become the lists, of what is left too. Heads are to be given as -1.
    main : (n,)
        Slots of the diagonal.
    gone : (n,)
        Becomes 1 for what is eliminated; to be given as zeros.
    order : (n,)
        Becomes the unknowns in the order of their elimination.
    counts : (n, 2)
        Becomes, for each of these, how many entries its column and its row have beside the diagonal.
    lower, lower_rows, upper, upper_columns : (room,)
        Become the slots of these entries, and where they stand.
    targets : (space,)
        Becomes the slots from which products are subtracted: for each entry of the column those of the row.

    Returns
    -------
    tuple of int
        How many unknowns are eliminated, entries of `lower` and of `upper`, slots, and `targets`. Elimination ends
        early where `room` or `space` would not do.
    """
    n, room = main.size, rows.size
    for s in range(used):
        if rows[s] == columns[s]:
            main[rows[s]] = s
        _add(row_heads, next_in_row, rows[s], s)
        _add(column_heads, next_in_column, columns[s], s)
    queue, blocked, met, chosen = np.zeros((4, n), np.int32)
    for s in range(used):
        if abs(rows[s] - columns[s]) > reach:
            chosen[rows[s]] = chosen[columns[s]] = _NEVER
    stamps, stamped = np.zeros(n, np.int64), np.zeros(n, np.int32)
    stamp = 0
    below, lines, beside, others = np.empty((4, n), np.int32)
    done = low = up = aims = low_free = up_free = 0
    for turn in range(1, rounds + 1):
        alive = picked = 0
        for start in range(n):
            if gone[start] or met[start] == turn:
                continue
            met[start] = turn
            queue[0] = start
            head, tail = 0, 1
            while head < tail:
                i = queue[head]
                head += 1
                alive += 1
                many = _living(column_heads, next_in_column, rows, gone, i, below, lines)
                more = _living(row_heads, next_in_row, columns, gone, i, beside, others)
                pick = chosen[i] != _NEVER and blocked[i] != turn and many * more <= limit
                if pick:
                    chosen[i] = turn
                    picked += 1
                for k in range(many + more):
                    j = lines[k] if k < many else others[k - many]
                    if pick:
                        blocked[j] = turn
                    if met[j] != turn and abs(i - j) <= reach:
                        met[j] = turn
                        queue[tail] = j
                        tail += 1
        if 8 * picked < alive:
            break
        # All lists have been gone through: what was eliminated in rounds before is in none of them.
        low_past, up_past = low, up
        for e in range(n):
            if chosen[e] != turn:
                continue
            many = _living(column_heads, next_in_column, rows, gone, e, below, lines)
            more = _living(row_heads, next_in_row, columns, gone, e, beside, others)
            if used + many * more > room or aims + many * more > targets.size or max(low + many, up + more) > room:
                return done, low, up, used, aims
            gone[e] = 1
            order[done] = e
            counts[done, 0], counts[done, 1] = many, more
            done += 1
            for k in range(more):
                upper[up + k], upper_columns[up + k] = beside[k], others[k]
            up += more
            for r in range(many):
                i = lines[r]
                lower[low], lower_rows[low] = below[r], i
                low += 1
                stamp += 1
                slot, last = row_heads[i], -1
                while slot >= 0:
                    j, after = columns[slot], next_in_row[slot]
                    if gone[j]:
                        if last < 0:
                            row_heads[i] = after
                        else:
                            next_in_row[last] = after
                    else:
                        stamps[j], stamped[j] = stamp, slot
                        last = slot
                    slot = after
                for k in range(more):
                    j = others[k]
                    if stamps[j] != stamp:
                        if low_free < low_past:
                            slot = lower[low_free]
                            low_free += 1
                        elif up_free < up_past:
                            slot = upper[up_free]
                            up_free += 1
                        else:
                            slot = used
                            used += 1
                        rows[slot], columns[slot] = i, j
                        _add(row_heads, next_in_row, i, slot)
                        _add(column_heads, next_in_column, j, slot)
                        stamps[j], stamped[j] = stamp, slot
                    targets[aims] = stamped[j]
                    aims += 1
        reach *= 2
    return done, low, up, used, aims


@kernel
def list_left(
    row_heads: Array, next_in_row: Array, columns: Array, gone: Array, place: Array, slots: Array, rows: Array,
    others: Array,
) -> int:  # fmt: skip
    """List the slots of what is left, with their rows and columns by `place` among what is left; return how many."""
    count = 0
    for i in range(gone.size):
        if not gone[i]:
            slot = row_heads[i]
            while slot >= 0:
                if not gone[columns[slot]]:
                    slots[count], rows[count], others[count] = slot, place[i], place[columns[slot]]
                    count += 1
                slot = next_in_row[slot]
    return count
