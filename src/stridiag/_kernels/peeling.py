r"""Trees peeled off a graph, and an order that brings the children of a vertex together.

*Peeling.* A vertex with a single neighbour is a leaf; it is taken away, its neighbour becomes its parent, and so on,
first come, first served. What remains is the 2-core: it is empty if and only if the graph is a forest. No lists of
neighbours are needed. For each vertex three sums over its entries are kept, of 1, of the neighbours' indices j and of
:math:`j^2`. An edge stands for one entry or for two, (i, j) and (j, i), so a leaf has either one entry, or two with

.. math:: 2 (j^2 + k^2) - (j + k)^2 = (j - k)^2 = 0,

and its neighbour is the mean. The sums may overflow without harm: the test holds modulo :math:`2^{64}` as long as
indices are below :math:`2^{32}`.

*Order.* Breadth first from the roots and the core, then reversed: every vertex comes before its parent, children of
one parent stand together, and parents ascend. Since peeling takes leaves from all sides at once, roots are near the
middle of their trees, and the two sides of a path alternate.

Both are linear in the entries. Source of the 2-core: V. Batagelj and M. Zaversnik, An O(m) algorithm for cores
decomposition of networks (2003).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel

__all__ = ["CORE", "ROOT", "find_slots", "leaves_first", "peel"]

Index = NDArray[Any]

ROOT = -1
CORE = -2


@inlined
def _is_leaf(count: int, total: int, squares: int) -> bool:
    return count == 1 or (count == 2 and 2 * squares - total * total == 0)


@kernel
def peel(rows: Index, columns: Index, sums: Index, queue: Index, parent: Index) -> int:
    """Fill `parent`, (n,), with each vertex's parent, `ROOT` or `CORE`; return the number of vertices not in the core.

    `rows` and `columns` are distinct positions of a square pattern; `sums`, (n, 3), and `queue`, (n,): work.
    """
    n = parent.size
    sums[:] = 0
    for e in range(rows.size):
        i = rows[e]
        j = columns[e]
        if i != j:
            sums[i, 0] += 1
            sums[i, 1] += j
            sums[i, 2] += j * j
            sums[j, 0] += 1
            sums[j, 1] += i
            sums[j, 2] += i * i
    filled = 0
    for v in range(n):
        parent[v] = CORE
        if sums[v, 0] == 0 or _is_leaf(sums[v, 0], sums[v, 1], sums[v, 2]):
            queue[filled] = v
            filled += 1
    head = 0
    while head < filled:
        v = queue[head]
        head += 1
        entries = sums[v, 0]
        if entries == 0:
            # No neighbour was ever there, or its last one was its child.
            parent[v] = ROOT
            continue
        u = sums[v, 1] // entries
        parent[v] = u
        sums[u, 0] -= entries
        sums[u, 1] -= entries * v
        sums[u, 2] -= entries * v * v
        # A neighbour that has no entry left is in the queue already.
        if _is_leaf(sums[u, 0], sums[u, 1], sums[u, 2]):
            queue[filled] = u
            filled += 1
    return filled


@kernel
def leaves_first(parent: Index, first: Index, following: Index, order: Index, position: Index) -> int:
    """Fill `order`, (n,), and its inverse `position`: tree vertices, then roots, then the core, ascending.

    Return the number of tree vertices that have a parent. `first` and `following`, (n,): work.
    """
    n = parent.size
    first[:] = -1
    place = n - 1
    edges = 0
    for v in range(n - 1, -1, -1):
        u = parent[v]
        if u >= 0:
            following[v] = first[u]
            first[u] = v
            edges += 1
        elif u == CORE:
            order[place] = v
            place -= 1
    for v in range(n - 1, -1, -1):
        if parent[v] == ROOT:
            order[place] = v
            place -= 1
    for k in range(n - 1, -1, -1):
        v = order[k]
        position[v] = k
        child = first[v]
        while child >= 0:
            order[place] = child
            place -= 1
            child = following[child]
    return edges


@kernel
def find_slots(
    rows: Index, columns: Index, parent: Index, position: Index, diagonal: Index, up: Index, down: Index, inner: Index
) -> int:
    """Sort the entries: return how many lie off the diagonal between core vertices, and put their numbers in `inner`.

    ``diagonal[k]``, ``up[k]`` and ``down[k]`` become the numbers of the entries (v, v), (v, parent) and (parent, v)
    of the vertex v at position k; -1 where there is none.
    """
    diagonal[:] = -1
    up[:] = -1
    down[:] = -1
    found = 0
    for e in range(rows.size):
        i = rows[e]
        j = columns[e]
        if i == j:
            diagonal[position[i]] = e
        elif parent[i] == j:
            up[position[i]] = e
        elif parent[j] == i:
            down[position[j]] = e
        else:
            inner[found] = e
            found += 1
    return found
