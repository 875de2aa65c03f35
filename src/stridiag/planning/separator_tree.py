"""Which separators are eliminated in a binary tree over the segments they cut, and in what order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SeparatorTree"]

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SeparatorTree:
    """The nodes of all trees in the order of elimination; storage as `stridiag._kernels.separator_tree` needs it.

    Attributes
    ----------
    children : ndarray of int64, (nodes, 2)
        Left and right child: a segment, or the number of segments plus a node before this one.
    slots : ndarray of int64, (nodes, 4)
        Rows l1, r0, l0, r1; -1 where there is none.
    around : ndarray of int64, (nodes, 6)
        Indices among the kept columns of k, k + 1, two to the left and two to the right; -1 where there is none.
    tail : ndarray of int64, (nodes,)
        Last segment below each node.
    roots, heads, tails : ndarray of int64, (roots,)
        What remains (a segment or segments plus node), with its first and its last segment.
    """

    children: Index
    slots: Index
    around: Index
    tail: Index
    roots: Index
    heads: Index
    tails: Index

    @classmethod
    def build(cls, joined: NDArray[np.bool_], last: Index, neighbours: Index) -> SeparatorTree:
        """Pair the segments of every run, then the pairs, and so on.

        Parameters
        ----------
        joined : ndarray of bool, (segments - 1,)
            Whether a separator that may be eliminated stands behind each segment but the last.
        last : ndarray of int64, (segments,)
            Last column of each segment.
        neighbours : ndarray of int64, (segments, 4)
            Indices among the kept columns of the two to the left and the two to the right; -1 where there is none.
        """
        count = last.size
        ids = np.arange(count)
        heads, tails = ids.copy(), ids.copy()
        run = np.concatenate(([0], np.cumsum(~joined))).astype(np.int64)[:count]
        levels: list[tuple[Any, ...]] = []
        nodes = 0
        while ids.size:
            begins = np.searchsorted(run, run)
            even = (np.arange(ids.size) - begins) % 2 == 0
            pairs = np.zeros(ids.size, bool)
            pairs[:-1] = even[:-1] & (run[1:] == run[:-1])
            left = np.flatnonzero(pairs)
            if left.size == 0:
                break
            right = left + 1
            levels.append((ids[left], ids[right], heads[left], tails[left], heads[right], tails[right]))
            ids[left] = count + nodes + np.arange(left.size)
            tails[left] = tails[right]
            nodes += left.size
            stays = np.ones(ids.size, bool)
            stays[right] = False
            ids, heads, tails, run = ids[stays], heads[stays], tails[stays], run[stays]
        empty: tuple[Any, ...] = (np.zeros(0, np.int64),) * 6
        one, other, first, middle, next_, end = (
            np.concatenate(part).astype(np.int64) for part in zip(*(levels or [empty]), strict=True)
        )
        slots = np.column_stack(
            (
                last[middle] + 1,
                last[next_],
                np.where(neighbours[first, 1] >= 0, last[first], -1),
                np.where(neighbours[end, 2] >= 0, last[end] + 1, -1),
            )
        )
        around = np.column_stack((neighbours[middle, 2:], neighbours[first, :2], neighbours[end, 2:]))
        return cls(np.column_stack((one, other)), slots, around, end, ids, heads, tails)
