r"""Entries of the inverse of condensed chains at the pattern, in time proportional to the order.

Let A_j be the matrix after the reflections up to column j of a segment. Its inverse with the next reflection undone
is :math:`A_{j-1}^{-1} = A_j^{-1} H_j`, which mixes the three columns that belong to the slots of H_j; and row j of U,
times the inverse, is a row of the identity, which gives row j of the inverse from the rows behind it. So going
backwards, with the rows j + 1, j + 2, a - 1, a - 2 and two columns as state, each slot leaves the state with its column
complete: the column of the inverse that belongs to row j + 1 of A, in the rows j, j + 1 and j + 2. It starts from the
inverse of the reduced system. What belongs to rows outside all segments is in the reduced inverse itself.

A link (r, c) keeps the columns r and c, so the entries (r, c) and (c, r) of the inverse lie in *kept rows*. A kept row
starts from the reduced inverse too, and goes through the reflections of tree and segment alone, down to the column
asked for.

Source: the same recurrence as A. M. Erisman and W. F. Tinney, Comm. ACM 18 (1975), for an orthogonal factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import separator_tree
from stridiag._kernels.compile import kernel
from stridiag._kernels.condensation import LEFT1, RIGHT1, TAU, U1, U2, V1, V2, W1, W2, D

__all__ = ["condensed_pattern", "kept_row_entries"]

Array = NDArray[Any]

NODE_V1, NODE_V2, NODE_V3, NODE_TAU = separator_tree.V1, separator_tree.V2, separator_tree.V3, separator_tree.TAU
Y2, Y3, TAU2 = separator_tree.Y2, separator_tree.Y3, separator_tree.TAU2


@kernel
def condensed_pattern(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    link_start: Array,
    link_values: Array,
    corner: Array,
    link_corner: Array,
    lower: Array,
    main: Array,
    upper: Array,
) -> None:
    """Fill in the entries (r + 1, r), (r, r), (r - 1, r) of the inverse for the rows r of all segments.

    They go to ``lower[r]``, ``main[r]`` and ``upper[r - 1]``; each array is (n,).

    `corner`, (segments, 4, 2), and `link_corner`, (links of last rows, 2), hold entries of the reduced inverse: in the
    rows of the neighbours (and of the links' columns), and in the columns of the slots b and b + 1 (0 where none is).
    """
    for s in range(first.size):
        a = first[s]
        b = last[s]
        left = kept[s, LEFT1] >= 0
        right = kept[s, RIGHT1] >= 0
        zero = corner[s, 0, 0] * 0
        far0, far1 = corner[s, 0, 0], corner[s, 0, 1]
        near0, near1 = corner[s, 1, 0], corner[s, 1, 1]
        next0, next1 = corner[s, 2, 0], corner[s, 2, 1]
        after0, after1 = corner[s, 3, 0], corner[s, 3, 1]
        linked0, linked1 = zero, zero
        enters = -rows[b, TAU] * np.conj(rows[b, V2])
        for t in range(link_start[s], link_start[s + 1]):
            linked0 += enters * link_values[t] * link_corner[t, 0]
            linked1 += enters * link_values[t] * link_corner[t, 1]
        for j in range(b, a - 1, -1):
            v1, v2, tau, d = rows[j, V1], rows[j, V2], rows[j, TAU], rows[j, D]
            u1, u2, w1, w2 = rows[j, U1], rows[j, U2], rows[j, W1], rows[j, W2]
            c1, c2 = np.conj(v1), np.conj(v2)
            this0 = -(u1 * next0 + u2 * after0 + w2 * near0 + w1 * far0 + linked0) / d
            this1 = -(u1 * next1 + u2 * after1 + w2 * near1 + w1 * far1 + linked1) / d
            linked0, linked1 = zero, zero
            # Undo the reflection on the columns of the slots: pivot (zero but for row j), middle, new.
            pivot = (zero + 1.0) / d
            t = tau * (pivot + this0 * v1 + this1 * v2)
            above = this1 - t * c2
            this0, this1 = pivot - t, this0 - t * c1
            t = tau * (after0 * v1 + after1 * v2)
            below = after1 - t * c2
            t = tau * (next0 * v1 + next1 * v2)
            complete = next1 - t * c2
            next0, next1 = -t, next0 - t * c1
            t = tau * (near0 * v1 + near1 * v2)
            near0, near1 = -t, near0 - t * c1
            t = tau * (far0 * v1 + far1 * v2)
            far0, far1 = -t, far0 - t * c1
            if j < b or right:
                upper[j], main[j + 1], lower[j + 1] = above, complete, below
            if not left:
                # There is no middle slot: the pivot's becomes the new one of the column before.
                this0, this1 = zero, this0
                next0, next1 = zero, next0
            after0, after1 = next0, next1
            next0, next1 = this0, this1
        main[a], lower[a] = next1, after1
        if left:
            upper[a - 1], main[a - 1], lower[a - 1] = near1, near0, next0
            if a >= 2:
                upper[a - 2] = far0


@kernel
def kept_row_entries(
    rows: Array,
    first: Array,
    last: Array,
    kept: Array,
    children: Array,
    nodes: Array,
    root: Array,
    rightmost: Array,
    corner: Array,
    out: Array,
) -> None:
    """Fill `out`, (k,), with entries of the inverse in kept rows, in the columns of rows at the ends of the roots.

    A root is a segment, or what the nodes of a tree have made of several. Entry t lies in the column of the row behind
    the last column of ``root[t]`` if ``rightmost[t]``, else in that of the row before the first one. `corner`, (k, 2),
    holds its row's entries of the reduced inverse in the columns of the root's two leftover slots.
    """
    segments = first.size
    for t in range(root.size):
        low, high = corner[t, 0], corner[t, 1]
        s = root[t]
        while s >= segments:
            # The two reflections of a node undone, as in `stridiag._kernels.separator_tree.inverse_corners`.
            node = nodes[s - segments]
            share = node[TAU2] * (low * node[Y2] + high * node[Y3])
            z1, z2, z3 = -share, low - share * np.conj(node[Y2]), high - share * np.conj(node[Y3])
            share = node[NODE_TAU] * (z1 * node[NODE_V1] + z2 * node[NODE_V2] + z3 * node[NODE_V3])
            if rightmost[t]:
                low, high = z1 - share * np.conj(node[NODE_V1]), z3 - share * np.conj(node[NODE_V3])
                s = children[s - segments, 1]
            else:
                low, high = z2 - share * np.conj(node[NODE_V2]), -share
                s = children[s - segments, 0]
        left = kept[s, LEFT1] >= 0
        for j in range(last[s], first[s] - 1, -1):
            v1, v2, tau = rows[j, V1], rows[j, V2], rows[j, TAU]
            share = tau * (low * v1 + high * v2)
            if rightmost[t]:
                # The slot of row b + 1 takes part in no further reflection.
                high -= share * np.conj(v2)
                break
            low, high = -share, low - share * np.conj(v1)
            if not left:
                low, high = high * 0, low
        out[t] = high if rightmost[t] else low
