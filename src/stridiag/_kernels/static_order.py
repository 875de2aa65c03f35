r"""An order of elimination for small chains with links, and where each number of their LU decomposition will stand.

The pattern is taken as symmetric: a position and its mirror image are either both there or both not. Unknowns that have
at most two neighbours left, or as few as any has, are eliminated in passes; of two neighbours the first one only. So a
chain loses every other unknown in a pass, as in cyclic reduction, and what is done for one of them does not wait for
the one before.

Numbers: the diagonal by unknown, (n,); then for each unknown, in the order of elimination, and each neighbour that it
has left, those of the neighbour sooner eliminated first, the entry of U in its row and the entry of L in its column.

Cost: about n operations a pass, and for an unknown with m neighbours m n / 64 and some m^3.

References: J. W. H. Liu, "Modification of the minimum-degree algorithm by multiple elimination", ACM Trans. Math.
Softw. 11 (1985) 141-153.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel

__all__ = ["eliminate", "places"]

Array = NDArray[Any]

# Neighbours up to which an unknown does not wait for one that has fewer.
_FEW = 2


@borrowing
def _join(bits: Array, i: int, j: int) -> None:
    bits[i, j >> 6] |= np.uint64(1) << np.uint64(j & 63)


@kernel
def eliminate(n: int, g: int, rows: Array, columns: Array, node: Array, start: Array, near: Array) -> int:
    """Choose the order; return the number of pairs of neighbours, or -1 if `near` is too short.

    Parameters
    ----------
    n, g : int
        Order, and offset of the two diagonals beside the main one.
    rows, columns : ndarray of int, (links,)
        Where links are.
    node : ndarray of int, (n,)
        Receives the unknowns in the order of elimination.
    start : ndarray of int, (n + 1,)
        Receives where the neighbours of each begin, in that order.
    near : ndarray of int
        Receives the neighbours that are left, those eliminated sooner first.
    """
    words = (n + 63) // 64
    bits = np.zeros((n, words), np.uint64)
    for i in range(n - g):
        _join(bits, i, i + g)
        _join(bits, i + g, i)
    for t in range(rows.size):
        if rows[t] != columns[t]:
            _join(bits, rows[t], columns[t])
            _join(bits, columns[t], rows[t])
    degree = np.empty(n, np.int64)
    rank = np.full(n, -1, np.int64)
    seen = np.full(n, -1, np.int64)
    for i in range(n):
        degree[i] = _count(bits, i)
    done, used, pairs, turn = 0, 0, 0, 0
    start[0] = 0
    while done < n:
        least = n
        for i in range(n):
            if rank[i] < 0:
                least = min(least, degree[i])
        least = max(least, _FEW)
        for i in range(n):
            # Whose neighbour has gone in this pass waits for the next.
            if rank[i] >= 0 or degree[i] > least or seen[i] == turn:
                continue
            m = degree[i]
            if used + m > near.size:
                return -1
            _list(bits, i, near, used)
            for a in range(used, used + m):
                j = near[a]
                for w in range(words):
                    bits[j, w] |= bits[i, w]
                bits[j, i >> 6] &= ~(np.uint64(1) << np.uint64(i & 63))
                bits[j, j >> 6] &= ~(np.uint64(1) << np.uint64(j & 63))
                degree[j] = _count(bits, j)
                seen[j] = turn
            node[done] = i
            rank[i] = done
            done += 1
            used += m
            pairs += m * (m - 1) // 2
            start[done] = used
        turn += 1
    for k in range(n):
        for a in range(start[k] + 1, start[k + 1]):
            j = near[a]
            c = a
            while c > start[k] and rank[near[c - 1]] > rank[j]:
                near[c] = near[c - 1]
                c -= 1
            near[c] = j
    return pairs


@borrowing
def _count(bits: Array, i: int) -> int:
    total = 0
    for w in range(bits.shape[1]):
        word = bits[i, w]
        while word:
            word &= word - np.uint64(1)
            total += 1
    return total


@borrowing
def _list(bits: Array, i: int, near: Array, at: int) -> None:
    for w in range(bits.shape[1]):
        word = bits[i, w]
        j = 64 * w
        while word:
            if word & np.uint64(1):
                near[at] = j
                at += 1
            word >>= np.uint64(1)
            j += 1


@borrowing
def _place(n: int, rank: Array, start: Array, near: Array, i: int, j: int) -> int:
    """Return where the entry (i, j) stands."""
    if i == j:
        return i
    first, other = (i, j) if rank[i] < rank[j] else (j, i)
    a = start[rank[first]]
    while near[a] != other:
        a += 1
    place: int = n + 2 * a + (0 if first == i else 1)
    return place


@kernel
def places(
    n: int, g: int, rows: Array, columns: Array, node: Array, start: Array, near: Array, pair: Array, slot: Array
) -> None:
    """Find where numbers stand, given what `eliminate` has found.

    `pair` receives, for each two neighbours of each unknown in turn, the place of U's entry that they share, behind
    which stands L's; `slot`, (3 n - 2 g + links,), the places of the matrix's entries: those of the diagonals -g, 0
    and g, one behind the other, and then the links.
    """
    rank = np.empty(n, np.int64)
    for k in range(n):
        rank[node[k]] = k
    t = 0
    for k in range(n):
        for a in range(start[k], start[k + 1]):
            for c in range(a + 1, start[k + 1]):
                pair[t] = _place(n, rank, start, near, near[a], near[c])
                t += 1
    for i in range(n - g):
        slot[i] = _place(n, rank, start, near, i + g, i)
        slot[n - g + i] = _place(n, rank, start, near, i, i + g)
    for k in range(rows.size):
        slot[2 * n - 2 * g + k] = _place(n, rank, start, near, rows[k], columns[k])
