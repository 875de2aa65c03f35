r"""An order of elimination for the sparse orthogonal factorization of a small square matrix, by fronts.

Eliminating a column joins all rows that have it: they become one dense *front*, whose columns are those of all these
rows together. So nothing but sets of rows has to be remembered: each with its columns, and the number of its rows.
The next column is the one whose rows have the fewest columns together (minimum degree on the pattern of A^H A, which
is never formed); columns all of whose rows come into the front anyway are eliminated with it. Once a front would hold
a stated share of all columns that are left, these are left to one last front.

A front of m rows, c columns and p pivots passes m - p rows on, which are in one set. If the pattern has a full
matching, p <= m <= c throughout; the last front is square. (Without a full matching this is mostly violated somewhere;
where it is not, the numbers will be singular.)

Cost: about the sum, over the columns of all fronts, of the number of sets that these are in.

References: A. George and J. W. H. Liu, SIAM Review 31 (1989) 1-19 (quotient graphs); A. Pothen and C. Sun, SIAM J.
Matrix Anal. Appl. 14 (1993); P. R. Amestoy, T. A. Davis and I. S. Duff, SIAM J. Matrix Anal. Appl. 17 (1996) 886-905
(the bound of the degree); T. A. Davis, *Direct Methods for Sparse Linear Systems*, SIAM 2006, chapter 7 (column orders
without the product).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel

__all__ = ["NO_ROOM", "order_fronts", "place_entries", "row_sets"]

Array = NDArray[Any]

# Columns of `fronts`: its pivots, rows and columns; where its columns, its rows and its numbers begin; the front that
# takes what it passes on, and from which row on; where its pivots begin.
PIVOTS, ROWS, COLUMNS, COLUMN_START, ROW_START, VALUE_START, PARENT, PARENT_ROW, PIVOT_START = range(9)
WIDTH = 9

NO_ROOM = -2
"""What `order_fronts` returns if its pool is too short."""


@borrowing_kernel
def row_sets(
    indptr: Array, indices: Array, pointers: Array, columns: Array, entries: Array, set_of: Array, work: Array
) -> int:
    """Sort a pattern in compressed columns by rows, and join neighbouring rows of one pattern; return how many sets.

    Fills `pointers`, (n + 1,), `columns`, where each of these `entries` was, and the set of each row; `work`, (n,).
    """
    n = indptr.size - 1
    for k in range(n + 1):
        pointers[k] = 0
    for e in range(indptr[n]):
        pointers[indices[e] + 1] += 1
    for k in range(n):
        pointers[k + 1] += pointers[k]
        work[k] = pointers[k]
    for column in range(n):
        for e in range(indptr[column], indptr[column + 1]):
            row = indices[e]
            columns[work[row]] = column
            entries[work[row]] = e
            work[row] += 1
    sets = 0
    for row in range(n):
        same = row > 0
        if same:
            begin, before = pointers[row], pointers[row - 1]
            same = begin - before == pointers[row + 1] - begin
            e = 0
            while same and before + e < begin:
                same = columns[before + e] == columns[begin + e]
                e += 1
        if not same:
            sets += 1
        set_of[row] = sets - 1
    return sets


@borrowing
def _unlink(column: int, degree: int, head: Array, following: Array, previous: Array) -> None:
    after, before = following[column], previous[column]
    if before >= 0:
        following[np.uint64(before)] = after
    else:
        head[np.uint64(degree)] = after
    if after >= 0:
        previous[np.uint64(after)] = before


@borrowing
def _link(column: int, degree: int, head: Array, following: Array, previous: Array) -> None:
    # Unsigned, here and below, or each place would be looked at whether it counts from the end.
    after = head[np.uint64(degree)]
    following[column] = after
    previous[column] = -1
    if after >= 0:
        previous[np.uint64(after)] = column
    head[np.uint64(degree)] = column


@borrowing_kernel
def order_fronts(
    pointers: Array,
    columns: Array,
    set_of: Array,
    sets: int,
    share: float,
    limit: float,
    square: bool,
    set_start: Array,
    set_width: Array,
    set_rows: Array,
    parent: Array,
    member_start: Array,
    member_count: Array,
    members: Array,
    head: Array,
    column_work: Array,
    set_work: Array,
    pool: Array,
    fronts: Array,
) -> int:
    """Find the fronts; return how many, or a negative number.

    That is -1 if it turns out that there is no full matching, `NO_ROOM` if `pool` is too short, -3 if the fronts take
    too many operations.

    Parameters
    ----------
    pointers, columns, set_of, sets
        See `row_sets`.
    share : float
        A front with this share of the columns that are left takes all of them.
    limit : float
        About so many operations are too many.
    square : bool
        Every front has as many rows as columns, and the sets are those of an undirected graph, of any number: for an
        elimination on the diagonal. Else, sets are of rows.
    set_start, set_width, set_rows, parent : (sets + n,)
        Of each set: where its columns are in `pool`, how many columns and rows it has, and the front that takes it.
        That of front f is ``sets + f``.
    member_start, member_count, members : (n + 1,), (n,) and (entries,)
        Work space: the sets that each column is in.
    head, column_work, set_work : (n + 1,), (5, n) and (2, sets + n)
        Work space.
    pool : (room,)
        Becomes the columns of all sets, those of the fronts with pivots first.
    fronts : (n, WIDTH)
        Becomes the fronts but for rows and places.
    """
    # Sometimes unsigned: see `_link`.
    k: Any
    other: Any
    n = member_count.size
    degree, following, previous = column_work[0], column_work[1], column_work[2]
    mark, stamp = column_work[3], column_work[4]
    seen, outside = set_work[0], set_work[1]
    top = 0
    for s in range(sets):
        set_rows[s] = 0
    for k in range(n):
        member_count[k] = 0
        mark[k] = -1
        stamp[k] = -1
        head[k] = -1
    head[n] = -1
    for row in range(pointers.size - 1):
        s = set_of[row]
        parent[s] = -1
        if set_rows[s] == 0:
            set_start[s] = top
            set_width[s] = pointers[row + 1] - pointers[row]
            if top + set_width[s] > pool.size:
                return NO_ROOM
            for e in range(pointers[row], pointers[row + 1]):
                pool[top] = columns[e]
                member_count[columns[e]] += 1
                top += 1
        set_rows[s] += 1
    member_start[0] = 0
    for k in range(n):
        member_start[k + 1] = member_start[k] + member_count[k]
        member_count[k] = 0
    for s in range(sets):
        for e in range(set_start[s], set_start[s] + set_width[s]):
            k = pool[e]
            members[member_start[k] + member_count[k]] = s
            member_count[k] += 1
    # `stamp` and `seen` start below every tick.
    ticks = 0
    for s in range(sets + n):
        seen[s] = -1
    for k in range(n):
        width = 0
        for e in range(member_start[k], member_start[k + 1]):
            s = members[e]
            for f in range(set_start[s], set_start[s] + set_width[s]):
                if stamp[pool[f]] != ticks:
                    stamp[pool[f]] = ticks
                    width += 1
        ticks += 1
        degree[k] = width
    for k in range(n - 1, -1, -1):
        _link(k, degree[k], head, following, previous)
    count = 0
    left = n
    least = 0
    operations = 0.0
    while left > 0:
        least = max(least, 0)
        while head[least] < 0:
            least += 1
        if least == 0:
            return -1
        # Hardly any front to come is narrower, until the last one, which is square and as wide as that at least.
        if operations + 2.0 * least * least * max(left - least, 0) + 1.3 * least**3 > limit:
            return -3
        s = sets + count
        start = top
        rows = pivots = 0
        if least >= share * left:
            # All that is left: every set without a parent.
            if top + left > pool.size:
                return NO_ROOM
            for other in range(s):
                if parent[other] < 0:
                    parent[other] = count
                    rows += set_rows[other]
            for k in range(n):
                if mark[k] < 0:
                    pool[top] = k
                    top += 1
            pivots = left
            if square:
                rows = left
            left = 0
        else:
            pivot = head[least]
            if top + least > pool.size:
                return NO_ROOM
            for e in range(member_start[pivot], member_start[pivot] + member_count[pivot]):
                other = np.uint64(members[np.uint64(e)])
                parent[other] = count
                rows += set_rows[other]
                for f in range(set_start[other], set_start[other] + set_width[other]):
                    k = np.uint64(pool[np.uint64(f)])
                    if stamp[k] != ticks:
                        stamp[k] = ticks
                        pool[np.uint64(top)] = k
                        top += 1
            ticks += 1
            # Those whose sets are all in the front are its pivots; others keep what has a row left. What each of these
            # sets has outside the front is found in passing: what two of them share is seen twice there only.
            for f in range(start, top):
                k = np.uint64(pool[np.uint64(f)])
                _unlink(k, degree[k], head, following, previous)
                remaining = 0
                begin = member_start[k]
                for e in range(begin, begin + member_count[k]):
                    other = np.uint64(members[np.uint64(e)])
                    if parent[other] < 0:
                        members[np.uint64(begin + remaining)] = other
                        remaining += 1
                        if seen[other] != ticks:
                            seen[other] = ticks
                            outside[other] = set_width[other]
                        outside[other] -= 1
                if remaining == 0:
                    mark[k] = count
                    pool[f] = pool[start + pivots]
                    pool[start + pivots] = k
                    pivots += 1
                else:
                    members[begin + remaining] = s
                    member_count[k] = remaining + 1
            if square:
                rows = top - start
            if pivots == rows:
                for f in range(start + pivots, top):
                    member_count[pool[f]] -= 1
            left -= pivots
        width = top - start
        if pivots > rows or rows > width:
            return -1
        set_start[s] = start + pivots
        set_width[s] = width - pivots
        set_rows[s] = rows - pivots
        parent[s] = -1
        operations += 4.0 * pivots * (rows - 0.5 * pivots) * (width - 0.5 * pivots)
        if operations > limit:
            return -3
        fronts[count, PIVOTS] = pivots
        fronts[count, ROWS] = rows
        fronts[count, COLUMNS] = width
        fronts[count, COLUMN_START] = start
        if left > 0:
            passed = width - pivots if rows > pivots else 1
            shared = 1 if rows > pivots else 0
            for f in range(start + pivots, top):
                k = np.uint64(pool[np.uint64(f)])
                size = passed
                # The last of its sets is this one.
                for e in range(member_start[k], member_start[k] + member_count[k] - shared):
                    size += outside[np.uint64(members[np.uint64(e)])]
                size = min(size, left)
                degree[k] = size
                _link(k, size, head, following, previous)
            least = 0
        count += 1
    return count


@borrowing_kernel
def place_entries(
    pointers: Array,
    columns: Array,
    entries: Array,
    set_of: Array,
    sets: int,
    parent: Array,
    pool: Array,
    fronts: Array,
    work: Array,
    relative: Array,
    rows: Array,
    scatter: Array,
) -> int:
    """Complete the fronts; return how many numbers they hold.

    Parameters
    ----------
    pointers, columns, entries, set_of, sets, parent, pool
        From `row_sets` and `order_fronts`.
    fronts : (fronts, WIDTH)
        Is completed.
    work : (3, n)
        Work space.
    relative : (room,)
        Becomes, for the columns that a front passes on, their places in its parent; as `pool`.
    rows : (all rows of fronts,)
        Becomes the rows of each front, its own ones first.
    scatter : (entries,)
        Becomes the place of each entry, in compressed columns, among the numbers.
    """
    n, count = pointers.size - 1, fronts.shape[0]
    filled, child_head, child_next = work[0], work[1], work[2]
    at = numbers = pivots = 0
    for f in range(count):
        fronts[f, ROW_START] = at
        fronts[f, VALUE_START] = numbers
        fronts[f, PIVOT_START] = pivots
        at += fronts[f, ROWS]
        numbers += fronts[f, ROWS] * fronts[f, COLUMNS]
        pivots += fronts[f, PIVOTS]
        filled[f] = 0
        child_head[f] = -1
    for row in range(n):
        f = parent[set_of[row]]
        rows[fronts[f, ROW_START] + filled[f]] = row
        filled[f] += 1
    for f in range(count):
        # Its own rows are followed by those of the children, all of which stand before it.
        own = filled[f]
        child = child_head[f]
        while child >= 0:
            fronts[child, PARENT_ROW] = own
            begin = fronts[child, ROW_START]
            for i in range(fronts[child, PIVOTS], fronts[child, ROWS]):
                rows[fronts[f, ROW_START] + own] = rows[begin + i]
                own += 1
            child = child_next[child]
        up = parent[sets + f]
        fronts[f, PARENT] = up
        fronts[f, PARENT_ROW] = 0
        if up >= 0:
            child_next[f] = child_head[up]
            child_head[up] = f
    # `filled` still holds the number of own rows.
    position = parent
    for f in range(count):
        begin, width = fronts[f, COLUMN_START], fronts[f, COLUMNS]
        for j in range(width):
            position[pool[begin + j]] = j
        child = child_head[f]
        while child >= 0:
            first = fronts[child, COLUMN_START]
            for j in range(first + fronts[child, PIVOTS], first + fronts[child, COLUMNS]):
                relative[j] = position[pool[j]]
            child = child_next[child]
        for i in range(filled[f]):
            row = rows[fronts[f, ROW_START] + i]
            place = fronts[f, VALUE_START] + i * width
            for e in range(pointers[row], pointers[row + 1]):
                scatter[entries[e]] = place + position[columns[e]]
    return numbers
