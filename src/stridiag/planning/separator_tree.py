"""Which separators are eliminated in a binary tree over the segments they cut, and in what order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.condensation_layout import grow_trees

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
    places : ndarray of int64, (nodes, 4)
        Where these rows stand among the leftover rows of the segments, of which segment s has 2 s and 2 s + 1.
    around : ndarray of int64, (nodes, 6)
        Indices among the kept columns of k, k + 1, two to the left and two to the right; -1 where there is none.
    tail : ndarray of int64, (nodes,)
        Last segment below each node.
    roots, heads, tails : ndarray of int64, (roots,)
        What remains (a segment or segments plus node), with its first and its last segment.
    """

    children: Index
    slots: Index
    places: Index
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
        joined : ndarray of bool, (segments,)
            Whether a separator that may be eliminated stands behind each segment.
        last : ndarray of int64, (segments,)
            Last column of each segment.
        neighbours : ndarray of int64, (segments, 4)
            Indices among the kept columns of the two to the left and the two to the right; -1 where there is none.
        """
        count = last.size
        ids, heads, tails, tail = np.empty((4, count), np.int64)
        children = np.empty((count, 2), np.int64)
        (slots, places), around = np.empty((2, count, 4), np.int64), np.empty((count, 6), np.int64)
        nodes, roots = grow_trees(joined, last, neighbours, ids, heads, tails, children, slots, places, around, tail)
        of_nodes = (part[:nodes] for part in (children, slots, places, around, tail))
        return cls(*of_nodes, *(part[:roots] for part in (ids, heads, tails)))
