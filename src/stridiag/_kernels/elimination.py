r"""Symmetric elimination without numbers: vertices with few neighbours first, counts of entries, the filled pattern.

A symmetric pattern is a graph. Eliminating a vertex joins all its remaining neighbours; their number is the count of
its column of L. ``start`` and ``adjacent`` list the neighbours of each vertex, itself left out.

References: J. W. H. Liu, "The role of elimination trees in sparse factorization", SIAM J. Matrix Anal. Appl. 11 (1990)
134-172; T. A. Davis, *Direct Methods for Sparse Linear Systems*, SIAM 2006, chapter 4; S. Arnborg and A. Proskurowski,
"Characterization and recognition of partial 3-trees", SIAM J. Alg. Disc. Meth. 7 (1986) 305-314 (vertices of degree
0, 1 and 2).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["count_columns", "fill_pattern", "lower_rows", "peel"]

Array = NDArray[Any]

# Of two neighbours, one must have had at most so many at the start: whether they are joined is found by going through
# the shorter list. Two hubs with many paths between them would else take quadratic time.
LONGEST_SEARCH = 256


@kernel
def peel(start: Array, target: Array, twin: Array, degree: Array, order: Array, waiting: Array) -> int:
    """Eliminate vertices with at most two neighbours as long as there are any; return how many.

    First leaves, which cost least, each followed inwards; then vertices with two neighbours, which become joined.

    Parameters
    ----------
    start, target : ndarray
        Neighbours of each vertex; `target` is overwritten with what is left: -1 for an edge that is gone.
    twin : ndarray
        Where the same edge stands in the list of the other vertex; overwritten.
    degree : ndarray
        Number of neighbours; on return of those left, -1 for eliminated vertices.
    order : ndarray
        Receives the eliminated vertices.
    waiting : ndarray
        Workspace, 3 n + 1.
    """
    n = degree.size
    count = 0
    for v in range(n):
        x = v
        while x >= 0 and degree[x] >= 0 and degree[x] <= 1:
            order[count] = x
            count += 1
            following = -1
            if degree[x] == 1:
                for e in range(start[x], start[x + 1]):
                    if target[e] >= 0:
                        following = target[e]
                        target[twin[e]] = -1
                        degree[following] -= 1
                        break
            degree[x] = -1
            x = following
    for v in range(n):
        waiting[0] = v
        top = 1
        while top > 0:
            top -= 1
            x = waiting[top]
            if degree[x] < 0 or degree[x] > 2:
                continue
            first = -1
            second = -1
            for e in range(start[x], start[x + 1]):
                if target[e] >= 0:
                    if first < 0:
                        first = e
                    else:
                        second = e
            if second >= 0:
                u = target[first]
                w = target[second]
                short = u if start[u + 1] - start[u] <= start[w + 1] - start[w] else w
                other = u + w - short
                if start[short + 1] - start[short] > LONGEST_SEARCH:
                    continue
                joined = False
                for e in range(start[short], start[short + 1]):
                    if target[e] == other:
                        joined = True
                        break
                if joined:
                    target[twin[first]] = -1
                    target[twin[second]] = -1
                    for y in (u, w):
                        degree[y] -= 1
                        if degree[y] <= 2:
                            waiting[top] = y
                            top += 1
                else:
                    # The two edges to x become the two halves of the new edge.
                    from_u = twin[first]
                    from_w = twin[second]
                    target[from_u] = w
                    target[from_w] = u
                    twin[from_u] = from_w
                    twin[from_w] = from_u
            elif first >= 0:
                u = target[first]
                target[twin[first]] = -1
                degree[u] -= 1
                if degree[u] <= 2:
                    waiting[top] = u
                    top += 1
            order[count] = x
            count += 1
            degree[x] = -1
    return count


@kernel
def count_columns(
    start: Array,
    adjacent: Array,
    order: Array,
    position: Array,
    parent: Array,
    marker: Array,
    counts: Array,
    most_operations: int,
    most_entries: int,
) -> tuple[int, int]:
    """Count the entries of each column of L below its diagonal, and find the elimination tree.

    `position` is the inverse of `order`; `parent` and `marker` are -1 and `counts` 0 on entry. Returns the operations
    of the factorization and the entries; they are above a limit if and only if the work was broken off. Takes time in
    proportion to the entries.
    """
    operations = 0
    entries = 0
    for k in range(order.size):
        v = order[k]
        marker[v] = v
        for e in range(start[v], start[v + 1]):
            i = adjacent[e]
            if position[i] < k:
                while marker[i] != v:
                    if parent[i] < 0:
                        parent[i] = v
                    operations += 2 * counts[i] + 3
                    counts[i] += 1
                    entries += 1
                    marker[i] = v
                    i = parent[i]
        if operations > most_operations or entries > most_entries:
            break
    return operations, entries


@kernel
def fill_pattern(
    start: Array,
    adjacent: Array,
    order: Array,
    position: Array,
    parent: Array,
    marker: Array,
    free: Array,
    stack: Array,
    row_start: Array,
    row_columns: Array,
    rows: Array,
) -> None:
    """Write down the pattern of L by rows and by columns, as `stridiag._kernels.cholesky` stores it.

    `free` holds for each unknown where its column begins, `marker` is -1 on entry, `stack` workspace, (n,).
    """
    n = order.size
    place = 0
    row_start[0] = 0
    for k in range(n):
        v = order[k]
        marker[v] = v
        # Paths up the tree gather at the end of the stack: each stands before those found earlier, which it ends in.
        top = n
        for e in range(start[v], start[v + 1]):
            i = adjacent[e]
            if position[i] < k:
                length = 0
                while marker[i] != v:
                    stack[length] = i
                    length += 1
                    marker[i] = v
                    i = parent[i]
                while length > 0:
                    length -= 1
                    top -= 1
                    stack[top] = stack[length]
        for t in range(top, n):
            j = stack[t]
            row_columns[place] = j
            place += 1
            rows[free[j]] = v
            free[j] += 1
        row_start[k + 1] = place


@kernel
def lower_rows(start: Array, adjacent: Array, order: Array, position: Array, lower_start: Array, edges: Array) -> None:
    """List, for each step of the elimination, the edges to unknowns eliminated before."""
    place = 0
    lower_start[0] = 0
    for k in range(order.size):
        v = order[k]
        for e in range(start[v], start[v + 1]):
            if position[adjacent[e]] < k:
                edges[place] = e
                place += 1
        lower_start[k + 1] = place
