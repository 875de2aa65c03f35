r"""Elimination of the separators that only cut long segments, two neighbours at a time.

Two segments (or what has grown out of several) with a separator of the columns k and k + 1 between them have left two
rows each: four rows in six columns, those of the separators to the left, in the middle and to the right, and perhaps
the links of the row behind the right one. Two reflections eliminate k and k + 1,

.. math:: H_2 H_1 \begin{pmatrix} l_1 \\ r_0 \\ l_0 \\ r_1 \end{pmatrix} =
   \begin{pmatrix} d_0 & u & w_0 \\ 0 & d_1 & w_1 \\ 0 & 0 & l_0' \\ 0 & 0 & r_1' \end{pmatrix},

and two rows in the outer columns are left: again what a segment leaves. So a binary tree over the segments of a run
ends with two rows, however long the run, and rounding errors grow with the depth of the tree only. At the end of a
chain there is no l0 or no r1: such a row is zero, and stays zero.

Storage: ``nodes[t] = (v1, v2, v3, tau, d0, u, w0[0:5], y2, y3, tau2, d1, w1[0:5])``, 20 numbers; the fifth of each w
multiplies the links. ``slots[t]`` are the rows of l1, r0, l0, r1; ``around[t]`` the indices, among the kept columns, of
k, k + 1, the two columns to the left and the two to the right (-1: none). ``tail[t]`` is the last segment below node t,
whose links enter. Nodes stand in the order of their elimination.

Cost: 168 operations a node to factor. To solve for one right-hand side 28, and 4 for each column around; 2 more for
each link, and 4 where there is any.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, kernel

__all__ = [
    "eliminate",
    "inverse_corners",
    "multiply_nodes",
    "reflect_nodes",
    "substitute_nodes",
    "substitute_nodes_adjoint",
]

Array = NDArray[Any]

# Columns of `nodes`.
V1, V2, V3, TAU, D0, U, W0 = 0, 1, 2, 3, 4, 5, 6
Y2, Y3, TAU2, D1, W1 = 11, 12, 13, 14, 15
WIDTH = 20


@borrowing
def _reflection(x0: Any, x1: Any, x2: Any, x3: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return (v1, v2, v3, tau, d) such that H (x0, x1, x2, x3) = (d, 0, 0, 0); all zero if x is zero."""
    # As for three numbers: see `stridiag._kernels.condensation`.
    size = float(max(abs(x0), abs(x1), abs(x2), abs(x3)))
    scale = 1.0
    if not 1e-140 < size < 1e140:
        if not 0.0 < size < np.inf:
            return x0 * 0, x0 * 0, x0 * 0, 0.0 * size, x0 * size
        scale = size
        x0, x1, x2, x3 = x0 / scale, x1 / scale, x2 / scale, x3 / scale
    magnitude = abs(x0)
    tail = (x1 * np.conj(x1)).real + (x2 * np.conj(x2)).real + (x3 * np.conj(x3)).real
    norm = math.sqrt(magnitude * magnitude + tail)
    phase = x0 / magnitude if magnitude > 0.0 else x0 + 1.0
    head = magnitude + norm
    towards = np.conj(phase) / head
    return x1 * towards, x2 * towards, x3 * towards, head / norm, -phase * norm * scale


@borrowing_kernel
def eliminate(children: Array, segments: int, leftover: Array, nodes: Array, work: Array) -> int:
    """Eliminate all separators of the tree; `work`, (4, 7).

    `leftover`, (segments + nodes, 2, 5), holds what the segments left, and gets what the nodes leave. Returns -1, or
    twice the first node with a dependent column, plus which one of its two columns that is.
    """
    info = -1
    for t in range(children.shape[0]):
        left, right = children[t, 0], children[t, 1]
        for row, (child, own) in enumerate(((left, 1), (right, 0), (left, 0), (right, 1))):
            here = 2 if row % 2 == 0 else 0
            work[row, 0] = leftover[child, own, here]
            work[row, 1] = leftover[child, own, here + 1]
            for c in range(5):
                work[row, 2 + c] = leftover[child, own, c] * 0
            if row % 2 == 0:
                work[row, 2] = leftover[child, own, 0]
                work[row, 3] = leftover[child, own, 1]
            else:
                work[row, 4] = leftover[child, own, 2]
                work[row, 5] = leftover[child, own, 3]
                work[row, 6] = leftover[child, own, 4]
        v1, v2, v3, tau, pivot = _reflection(work[0, 0], work[1, 0], work[2, 0], work[3, 0])
        if not 0.0 < abs(pivot) < np.inf and info < 0:
            info = 2 * t
        nodes[t, V1], nodes[t, V2], nodes[t, V3], nodes[t, TAU], nodes[t, D0] = v1, v2, v3, tau, pivot
        c1, c2, c3 = np.conj(v1), np.conj(v2), np.conj(v3)
        for c in range(1, 7):
            share = tau * (work[0, c] + c1 * work[1, c] + c2 * work[2, c] + c3 * work[3, c])
            nodes[t, D0 + c] = work[0, c] - share
            work[1, c] -= v1 * share
            work[2, c] -= v2 * share
            work[3, c] -= v3 * share
        y2, y3, _, tau, pivot = _reflection(work[1, 1], work[2, 1], work[3, 1], work[3, 1] * 0)
        if not 0.0 < abs(pivot) < np.inf and info < 0:
            info = 2 * t + 1
        nodes[t, Y2], nodes[t, Y3], nodes[t, TAU2], nodes[t, D1] = y2, y3, tau, pivot
        c2, c3 = np.conj(y2), np.conj(y3)
        for c in range(5):
            share = tau * (work[1, 2 + c] + c2 * work[2, 2 + c] + c3 * work[3, 2 + c])
            nodes[t, W1 + c] = work[1, 2 + c] - share
            leftover[segments + t, 0, c] = work[2, 2 + c] - y2 * share
            leftover[segments + t, 1, c] = work[3, 2 + c] - y3 * share
    return info


@borrowing_kernel
def reflect_nodes(nodes: Array, slots: Array, x: Array, backwards: bool) -> None:
    """Overwrite `x`, (n, m), with Q^H x, or with Q x if `backwards`: the reflections of all nodes in turn."""
    count = slots.shape[0]
    for k in range(count):
        t = count - 1 - k if backwards else k
        s0, s1, s2, s3 = slots[t, 0], slots[t, 1], slots[t, 2], slots[t, 3]
        v1, v2, v3, tau = nodes[t, V1], nodes[t, V2], nodes[t, V3], nodes[t, TAU]
        y2, y3, tau2 = nodes[t, Y2], nodes[t, Y3], nodes[t, TAU2]
        for c in range(x.shape[1]):
            x0, x1 = x[s0, c], x[s1, c]
            # A row that is not there is zero, and its part of the reflection as well.
            x2 = x[s2, c] if s2 >= 0 else x0 * 0
            x3 = x[s3, c] if s3 >= 0 else x0 * 0
            if backwards:
                share = tau2 * (x1 + np.conj(y2) * x2 + np.conj(y3) * x3)
                x1, x2, x3 = x1 - share, x2 - y2 * share, x3 - y3 * share
            share = tau * (x0 + np.conj(v1) * x1 + np.conj(v2) * x2 + np.conj(v3) * x3)
            x0, x1, x2, x3 = x0 - share, x1 - v1 * share, x2 - v2 * share, x3 - v3 * share
            if not backwards:
                share = tau2 * (x1 + np.conj(y2) * x2 + np.conj(y3) * x3)
                x1, x2, x3 = x1 - share, x2 - y2 * share, x3 - y3 * share
            x[s0, c] = x0
            x[s1, c] = x1
            if s2 >= 0:
                x[s2, c] = x2
            if s3 >= 0:
                x[s3, c] = x3


@borrowing_kernel
def substitute_nodes(
    nodes: Array,
    slots: Array,
    around: Array,
    tail: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    x: Array,
    z: Array,
) -> None:
    """Fill in `z`, (k, m), at the columns of all nodes, from the root downwards; `x` holds the right-hand sides."""
    for t in range(slots.shape[0] - 1, -1, -1):
        s = tail[t]
        for c in range(x.shape[1]):
            value0, value1 = x[slots[t, 0], c], x[slots[t, 1], c]
            for side in range(4):
                if around[t, 2 + side] >= 0:
                    known = z[around[t, 2 + side], c]
                    value0 -= nodes[t, W0 + side] * known
                    value1 -= nodes[t, W1 + side] * known
            if link_start[s] < link_start[s + 1]:
                known = value0 * 0
                for link in range(link_start[s], link_start[s + 1]):
                    known += link_values[link] * z[link_kept[link], c]
                value0 -= nodes[t, W0 + 4] * known
                value1 -= nodes[t, W1 + 4] * known
            value1 = value1 / nodes[t, D1]
            z[around[t, 1], c] = value1
            z[around[t, 0], c] = (value0 - nodes[t, U] * value1) / nodes[t, D0]


@kernel
def substitute_nodes_adjoint(
    nodes: Array,
    slots: Array,
    around: Array,
    tail: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    x: Array,
    z: Array,
) -> None:
    """Solve with the adjoint of the nodes' rows: from `z` into the slots of `x`, the rest of `z` updated."""
    for t in range(slots.shape[0]):
        s = tail[t]
        for c in range(x.shape[1]):
            value0 = z[around[t, 0], c] / np.conj(nodes[t, D0])
            value1 = (z[around[t, 1], c] - np.conj(nodes[t, U]) * value0) / np.conj(nodes[t, D1])
            x[slots[t, 0], c] = value0
            x[slots[t, 1], c] = value1
            for side in range(4):
                if around[t, 2 + side] >= 0:
                    both = np.conj(nodes[t, W0 + side]) * value0 + np.conj(nodes[t, W1 + side]) * value1
                    z[around[t, 2 + side], c] -= both
            if link_start[s] < link_start[s + 1]:
                both = value0 * 0
                both += np.conj(nodes[t, W0 + 4]) * value0
                both += np.conj(nodes[t, W1 + 4]) * value1
                for link in range(link_start[s], link_start[s + 1]):
                    z[link_kept[link], c] -= np.conj(link_values[link]) * both


@kernel
def multiply_nodes(
    nodes: Array,
    slots: Array,
    around: Array,
    tail: Array,
    link_start: Array,
    link_kept: Array,
    link_values: Array,
    x: Array,
    z: Array,
) -> None:
    """Put the products of the nodes' rows with `z`, (k, m), into their slots of `x`."""
    for t in range(slots.shape[0]):
        s = tail[t]
        for c in range(x.shape[1]):
            value1 = nodes[t, D1] * z[around[t, 1], c]
            value0 = nodes[t, D0] * z[around[t, 0], c] + nodes[t, U] * z[around[t, 1], c]
            for side in range(4):
                if around[t, 2 + side] >= 0:
                    value0 += nodes[t, W0 + side] * z[around[t, 2 + side], c]
                    value1 += nodes[t, W1 + side] * z[around[t, 2 + side], c]
            for link in range(link_start[s], link_start[s + 1]):
                known = link_values[link] * z[link_kept[link], c]
                value0 += nodes[t, W0 + 4] * known
                value1 += nodes[t, W1 + 4] * known
            x[slots[t, 0], c] = value0
            x[slots[t, 1], c] = value1


@kernel
def inverse_corners(
    children: Array,
    segments: int,
    nodes: Array,
    tail: Array,
    link_start: Array,
    link_values: Array,
    corner: Array,
    link_corner: Array,
    work: Array,
) -> None:
    """Pass entries of the inverse down from the roots to the segments; `work`, (6 + links of a segment at most, 4).

    `corner`, (segments + nodes, 4, 2), holds for every root the entries in the rows of the two kept columns to the left
    and the two to the right, and in the columns of its two leftover slots; `link_corner`, (links of last rows, 2),
    those in the rows of the links' columns. Both are filled in for everything below, by the recurrence of
    `stridiag._kernels.selected_inverse`: two reflections undone, from the inverse after both to that before.
    """
    for t in range(children.shape[0] - 1, -1, -1):
        left, right = children[t, 0], children[t, 1]
        begin, end = link_start[tail[t]], link_start[tail[t] + 1]
        zero = nodes[t, D0] * 0
        # Rows: k, k + 1, the four around, the links. Columns: the slots of l1, r0 (pivot rows now), l0, r1.
        for side in range(4):
            for own in range(2):
                work[2 + side, own] = zero
                work[2 + side, 2 + own] = corner[segments + t, side, own]
        for link in range(begin, end):
            for own in range(2):
                work[6 + link - begin, own] = zero
                work[6 + link - begin, 2 + own] = link_corner[link, own]
        for own in range(2, 4):
            sum0, sum1 = zero, zero
            for side in range(4):
                sum0 += nodes[t, W0 + side] * work[2 + side, own]
                sum1 += nodes[t, W1 + side] * work[2 + side, own]
            for link in range(begin, end):
                known = link_values[link] * work[6 + link - begin, own]
                sum0 += nodes[t, W0 + 4] * known
                sum1 += nodes[t, W1 + 4] * known
            work[1, own] = -sum1 / nodes[t, D1]
            work[0, own] = -(sum0 + nodes[t, U] * work[1, own]) / nodes[t, D0]
        work[1, 0] = zero
        work[1, 1] = (zero + 1.0) / nodes[t, D1]
        work[0, 0] = (zero + 1.0) / nodes[t, D0]
        work[0, 1] = -nodes[t, U] * work[1, 1] / nodes[t, D0]
        v1, v2, v3, tau = nodes[t, V1], nodes[t, V2], nodes[t, V3], nodes[t, TAU]
        y2, y3, tau2 = nodes[t, Y2], nodes[t, Y3], nodes[t, TAU2]
        for row in range(6 + end - begin):
            z0, z1, z2, z3 = work[row, 0], work[row, 1], work[row, 2], work[row, 3]
            share = tau2 * (z1 + z2 * y2 + z3 * y3)
            z1, z2, z3 = z1 - share, z2 - share * np.conj(y2), z3 - share * np.conj(y3)
            share = tau * (z0 + z1 * v1 + z2 * v2 + z3 * v3)
            z0, z1 = z0 - share, z1 - share * np.conj(v1)
            z2, z3 = z2 - share * np.conj(v2), z3 - share * np.conj(v3)
            work[row, 0], work[row, 1], work[row, 2], work[row, 3] = z0, z1, z2, z3
        for own in range(2):
            # l0 and l1 for the left child, r0 and r1 for the right one.
            one, other = (2, 1) if own == 0 else (0, 3)
            corner[left, 0, own] = work[2, one]
            corner[left, 1, own] = work[3, one]
            corner[left, 2, own] = work[0, one]
            corner[left, 3, own] = work[1, one]
            corner[right, 0, own] = work[0, other]
            corner[right, 1, own] = work[1, other]
            corner[right, 2, own] = work[4, other]
            corner[right, 3, own] = work[5, other]
            for link in range(begin, end):
                link_corner[link, own] = work[6 + link - begin, other]
