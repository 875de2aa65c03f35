r"""Fronts of an elimination on the diagonal: joined where that saves time, in postorder, with places for the entries.

`stridiag._kernels.front_order` finds fronts most of which have a single pivot. What such a front passes on, its numbers
move once for one multiplication and subtraction each; so a front is joined to its parent if that adds few operations:
each of its pivots then meets the parent's columns as well. Fronts come in postorder, every front right behind the last
of its children, so that what is passed on can be kept on a stack.

References: I. S. Duff and J. K. Reid, ACM Trans. Math. Softw. 9 (1983) 302-325 (multifrontal elimination, and joining
of fronts); C. Ashcraft and R. Grimes, ACM Trans. Math. Softw. 15 (1989) 291-309 (relaxed joining).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.front_order import COLUMN_START, COLUMNS, PIVOTS

__all__ = [
    "CHILDREN",
    "COUNT",
    "ENTRY_START",
    "FIRST",
    "PARENT",
    "PIVOT_COUNT",
    "WIDTH",
    "crossing",
    "edges_of",
    "join_fronts",
    "line_up",
    "place_entries",
]

Array = NDArray[Any]

# Columns of `tree`: where the front's columns begin, its pivots and columns, its parent, where its entries begin, how
# many children it has.
FIRST, PIVOT_COUNT, WIDTH, PARENT, ENTRY_START, CHILDREN = range(6)
COUNT = 6

# What moving a number costs, in operations, and what a front costs by itself.
_MOVE, _FRONT = 20.0, 1500.0


@kernel
def edges_of(
    indptr: Array,
    indices: Array,
    row_pointers: Array,
    columns: Array,
    places: Array,
    used: Array,
    work: Array,
    pointers: Array,
    ends: Array,
    set_of: Array,
) -> int:
    """List the edges of the graph of a pattern, each once; return how many sets of places that makes.

    The pattern comes by columns, and by rows as from `stridiag._kernels.front_order.row_sets`; entries that are not
    `used`, (entries,), are left out. A place without an edge is a set by itself. `work`, (2, n). Fills `pointers` and
    `set_of`, (entries + n + 1,), and `ends`, (2 entries + n,).
    """
    n = indptr.size - 1
    seen, joined = work[0], work[1]
    for k in range(n):
        seen[k] = -1
        joined[k] = 0
    count = top = 0
    pointers[0] = 0
    for place in range(n):
        in_column = indptr[place + 1] - indptr[place]
        for e in range(in_column + row_pointers[place + 1] - row_pointers[place]):
            if e < in_column:
                entry = indptr[place] + e
                other = indices[entry]
            else:
                f = row_pointers[place] + e - in_column
                entry, other = places[f], columns[f]
            if used[entry] and other > place and seen[other] != place:
                seen[other] = place
                joined[place] = 1
                joined[other] = 1
                ends[top] = place
                ends[top + 1] = other
                top += 2
                set_of[count] = count
                count += 1
                pointers[count] = top
        if joined[place] == 0:
            # Edges to places before it have been listed.
            ends[top] = place
            top += 1
            set_of[count] = count
            count += 1
            pointers[count] = top
    return count


@kernel
def crossing(indptr: Array, indices: Array, work: Array) -> int:
    """Return how many entries at most stand far from the diagonal on both sides of some place; `work`, (n + 1,)."""
    n = indptr.size - 1
    for k in range(n + 1):
        work[k] = 0
    for column in range(n):
        for e in range(indptr[column], indptr[column + 1]):
            low, high = min(column, indices[e]), max(column, indices[e])
            if high - low > 4:
                work[low] += 1
                work[high] -= 1
    most = now = 0
    for k in range(n):
        now += work[k]
        most = max(most, now)
    return most


@inlined
def _operations(pivots: float, width: float) -> float:
    """Operations of a front, with those that its numbers are worth when they are moved."""
    rest = width - pivots
    return _FRONT + _MOVE * width * width + 2.0 * (width**3 - rest**3) / 3.0


@kernel
def join_fronts(
    fronts: Array,
    above: Array,
    pool: Array,
    work: Array,
    tree: Array,
    columns: Array,
    step: Array,
) -> int:
    """Join fronts and put them in postorder; return how many remain.

    Parameters
    ----------
    fronts : (count, 4 or more)
        Pivots, rows, columns, and where the columns begin in `pool`; children first.
    above : (count,)
        The parent of each, or -1.
    pool : (room,)
    work : (8, count)
        Work space.
    tree : (count, 6)
        Becomes the fronts that remain.
    columns : (room,)
        Becomes the columns of these, one front behind the other, its pivots first.
    step : (n,)
        Becomes the front that has each column as a pivot.
    """
    count = fronts.shape[0]
    pivots, width, joined, following = work[0], work[1], work[2], work[3]
    member, group, child, sibling = work[4], work[5], work[6], work[7]
    for f in range(count):
        pivots[f] = fronts[f, PIVOTS]
        width[f] = fronts[f, COLUMNS]
        joined[f] = -1
        member[f] = -1
        child[f] = -1
    for f in range(count):
        up = above[f]
        if up >= 0:
            p, q = float(pivots[f]), float(pivots[up])
            apart = _operations(p, float(width[f])) + _operations(q, float(width[up]))
            if _operations(p + q, width[up] + p) <= apart:
                joined[f] = up
                pivots[up] += pivots[f]
                width[up] += pivots[f]
                following[f] = member[up]
                member[up] = f
    # What each has become part of, and the children of what remains: those that were eliminated last, which are the
    # largest mostly, come first, so that little waits while they are worked on.
    for f in range(count - 1, -1, -1):
        group[f] = f if joined[f] < 0 else group[joined[f]]
    for f in range(count):
        if joined[f] < 0 and above[f] >= 0:
            up = group[above[f]]
            sibling[f] = child[up]
            child[up] = f
    done = top = 0
    for root in range(count):
        if above[root] >= 0:
            continue
        node = root
        while node >= 0:
            # Down to a leaf; children that are done are no longer listed.
            while child[node] >= 0:
                below = child[node]
                child[node] = sibling[below]
                node = below
            tree[done, FIRST] = top
            tree[done, PIVOT_COUNT] = pivots[node]
            tree[done, WIDTH] = width[node]
            tree[done, CHILDREN] = 0
            # Its own pivots, and those of all that were joined to it, directly or not.
            walk = node
            while walk >= 0:
                begin = fronts[walk, COLUMN_START]
                for k in range(fronts[walk, PIVOTS]):
                    columns[top] = pool[begin + k]
                    step[pool[begin + k]] = done
                    top += 1
                if member[walk] >= 0:
                    walk = member[walk]
                else:
                    while walk != node and following[walk] < 0:
                        walk = joined[walk]
                    walk = -1 if walk == node else following[walk]
            begin = fronts[node, COLUMN_START]
            for k in range(fronts[node, PIVOTS], fronts[node, COLUMNS]):
                columns[top] = pool[begin + k]
                top += 1
            pivots[node] = done
            node = group[above[node]] if above[node] >= 0 else -1
            tree[done, PARENT] = node
            done += 1
    for f in range(done):
        if tree[f, PARENT] >= 0:
            tree[f, PARENT] = pivots[tree[f, PARENT]]
            tree[tree[f, PARENT], CHILDREN] += 1
    return done


@kernel
def line_up(tree: Array, columns: Array, step: Array, work: Array) -> None:
    """Put the columns of each front in the order in which the child that passes most on has them.

    So what that passes on is added in long stretches. `tree`, `columns`, `step` are those of `join_fronts`, pivots
    still come first; `work`, (3, n).
    """
    largest, placed, before = work[0], work[1], work[2]
    for f in range(tree.shape[0]):
        largest[f] = -1
    for k in range(placed.size):
        placed[k] = -1
    for f in range(tree.shape[0]):
        begin, width = tree[f, FIRST], tree[f, WIDTH]
        pivot, other = begin, begin + tree[f, PIVOT_COUNT]
        child = largest[f]
        known = 0
        if child >= 0:
            for k in range(tree[child, FIRST] + tree[child, PIVOT_COUNT], tree[child, FIRST] + tree[child, WIDTH]):
                before[known] = columns[k]
                placed[columns[k]] = f
                known += 1
        count = known
        for k in range(begin, begin + width):
            if placed[columns[k]] != f:
                before[count] = columns[k]
                count += 1
        for k in range(count):
            column = before[k]
            if step[column] == f:
                columns[pivot] = column
                pivot += 1
            else:
                columns[other] = column
                other += 1
        up = tree[f, PARENT]
        if up >= 0:
            most = largest[up]
            rest = width - tree[f, PIVOT_COUNT]
            if most < 0 or rest > tree[most, WIDTH] - tree[most, PIVOT_COUNT]:
                largest[up] = f


@kernel
def place_entries(
    indptr: Array,
    indices: Array,
    used: Array,
    tree: Array,
    columns: Array,
    step: Array,
    work: Array,
    relative: Array,
    entries: Array,
    places: Array,
) -> tuple[int, int]:
    """Find where entries and what is passed on go; return how many entries, and how many numbers wait at a time.

    Parameters
    ----------
    indptr, indices, used
        See `edges_of`.
    tree, columns, step
        From `join_fronts`.
    work : (4, n)
        Work space.
    relative : as `columns`
        Becomes, for the columns that a front passes on, their places in its parent.
    entries, places : (entries,) and (entries, 2)
        Become the entries by front, and the row and the column of each within its front.
    """
    n, count = indptr.size - 1, tree.shape[0]
    next_, position, child, sibling = work[0], work[1], work[2], work[3]
    for f in range(count):
        next_[f] = 0
        child[f] = -1
    for f in range(count):
        up = tree[f, PARENT]
        if up >= 0:
            sibling[f] = child[up]
            child[up] = f
    for column in range(n):
        for e in range(indptr[column], indptr[column + 1]):
            if used[e]:
                next_[min(step[column], step[indices[e]])] += 1
    total = 0
    for f in range(count):
        tree[f, ENTRY_START] = total
        total += next_[f]
        next_[f] = tree[f, ENTRY_START]
    for column in range(n):
        for e in range(indptr[column], indptr[column + 1]):
            if used[e]:
                f = min(step[column], step[indices[e]])
                entries[next_[f]] = e
                places[next_[f], 0] = indices[e]
                places[next_[f], 1] = column
                next_[f] += 1
    waiting = peak = 0
    for f in range(count):
        begin = tree[f, FIRST]
        for k in range(tree[f, WIDTH]):
            position[columns[begin + k]] = k
        below = child[f]
        while below >= 0:
            begin = tree[below, FIRST]
            for k in range(begin + tree[below, PIVOT_COUNT], begin + tree[below, WIDTH]):
                relative[k] = position[columns[k]]
            waiting -= (tree[below, WIDTH] - tree[below, PIVOT_COUNT]) ** 2
            below = sibling[below]
        waiting += (tree[f, WIDTH] - tree[f, PIVOT_COUNT]) ** 2
        peak = max(peak, waiting)
        for e in range(tree[f, ENTRY_START], next_[f]):
            places[e, 0] = position[places[e, 0]]
            places[e, 1] = position[places[e, 1]]
    return total, peak
