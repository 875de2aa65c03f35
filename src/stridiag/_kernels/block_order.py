"""Orders in which a pattern is triangular, or block triangular.

References: A. B. Kahn, Topological sorting of large networks, Comm. ACM 5 (1962) 558-562; I. S. Duff and J. K. Reid,
An implementation of Tarjan's algorithm for the block triangularization of a matrix, ACM Trans. Math. Softw. 4 (1978).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["order_blocks", "peel_rows"]

Array = NDArray[Any]


@kernel
def peel_rows(pointers: Array, indices: Array, counts: Array, sums: Array, rows: Array, columns: Array) -> int:
    """Take rows with a single column left, with that column, until there is none; return how many.

    If all are taken the pattern is lower triangular in that order, and in no other pairing of rows and columns.

    Parameters
    ----------
    pointers, indices : ndarray
        The pattern by columns: its rows are ``indices[pointers[j]:pointers[j + 1]]``.
    counts, sums : ndarray, (n,)
        Zeros. Count the columns of each row that are left, and add them up: when there is one, it is the sum.
    rows, columns : ndarray, (n,)
        Receive the order. Rows wait in a queue: neighbours in the matrix then stay neighbours in the order.
    """
    n = counts.size
    found = 0
    for j in range(n):
        for k in range(pointers[j], pointers[j + 1]):
            counts[indices[k]] += 1
            sums[indices[k]] += j
    for i in range(n):
        if counts[i] == 1:
            rows[found] = i
            found += 1
    taken = 0
    while taken < found:
        i = rows[taken]
        # Two rows that end with the same column: the later one has lost it.
        if counts[i] != 1:
            return taken
        j = sums[i]
        columns[taken] = j
        taken += 1
        for k in range(pointers[j], pointers[j + 1]):
            other = indices[k]
            counts[other] -= 1
            sums[other] -= j
            if counts[other] == 1:
                rows[found] = other
                found += 1
    return taken


@kernel
def order_blocks(
    pointers: Array,
    indices: Array,
    owner: Array,
    labels: Array,
    waiting: Array,
    first: Array,
    successor: Array,
    queue: Array,
    columns: Array,
    starts: Array,
) -> None:
    """Put blocks of columns in an order in which the matrix is block lower triangular.

    Parameters
    ----------
    pointers, indices : ndarray
        The pattern by columns, as in `peel_rows`.
    owner : ndarray, (n,)
        The column matched with each row.
    labels : ndarray, (n,)
        The block of each column.
    waiting : ndarray, (blocks,)
        Entries of the block's rows in columns of other blocks; used up.
    first : ndarray, (blocks,)
        A column of each block; from it the others are found by `successor`, (n,), which leads around the block.
    queue : ndarray, (blocks,)
        Workspace.
    columns, starts : ndarray, (n,) and (blocks + 1,)
        Receive the columns in order, and where each block begins.
    """
    blocks = waiting.size
    found = 0
    for label in range(blocks):
        if waiting[label] == 0:
            queue[found] = label
            found += 1
    place = 0
    for taken in range(blocks):
        label = queue[taken]
        starts[taken] = place
        j = first[label]
        while True:
            columns[place] = j
            place += 1
            for k in range(pointers[j], pointers[j + 1]):
                other = labels[owner[indices[k]]]
                if other != label:
                    waiting[other] -= 1
                    if waiting[other] == 0:
                        queue[found] = other
                        found += 1
            j = successor[j]
            if j == first[label]:
                break
    starts[blocks] = place
