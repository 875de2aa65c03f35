r"""QR of a sparse matrix with at least as many rows as columns, by fronts.

.. math:: A \Pi = Q \begin{pmatrix} R \\ 0 \end{pmatrix}

:math:`\Pi` is the order of the columns, which the caller has applied; it is a postorder of the column elimination
tree. The front of column k has the columns of R's row k. Into it come the rows of A that are led by k and what the
fronts of k's children left over, one row after the other: a row is rotated against the rows that stand in the front
already until it finds a free place or has become zero. The first row of the front is row k of R, the others go to
the parent. A front never passes on more rows than it has columns, so that a matrix of many rows, or one with
:math:`\tau I` below it, costs a bounded number of rotations a row, where rows that were rotated directly into R
would each walk up the whole tree.

**Structure.** That of the Cholesky factor of :math:`A^H A`: :math:`U_k` is the union of the rows led by k and of
:math:`U_j \setminus \{j\}` over the children j. Numbers that are zero are skipped, wherever they stand.

**Storage.** R by rows, columns ascending; a row that no row of A has reached is zero, its ``slots`` entry -1. The
rotations in the order of their use, each with the two rows of A on which it works (``first`` the one that stood in
the front). What is left over waits on a stack, each row packed from its leading column on.

**Cost.** A row that enters a front of r columns takes at most r rotations and :math:`3 r (r + 1)` flops besides
making them. Rotations are unitary to rounding: the factorization is backward stable without any condition.

References: A. George and M. Heath, Linear Algebra Appl. 34 (1980) 69-83; J. W. H. Liu, On general row merging
schemes for sparse Givens transformations, SIAM J. Sci. Stat. Comput. 7 (1986) 1190-1211.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.sparse_qr import rotation

__all__ = ["factor_fronts", "rotate", "rotate_back", "stack_room"]

Array = NDArray[Any]


@kernel
def stack_room(r_pointers: Array, parents: Array, starts: Array) -> tuple[int, int]:
    """Return how many numbers and how many rows can wait on the stack; `starts`, (n,) twice, is work space."""
    n = parents.size
    numbers = 0
    rows = 0
    most_numbers = 0
    most_rows = 0
    for k in range(n):
        starts[0, k] = -1
    for k in range(n):
        own_numbers = numbers
        own_rows = rows
        if starts[0, k] >= 0:
            own_numbers = starts[0, k]
            own_rows = starts[1, k]
        count = r_pointers[k + 1] - r_pointers[k]
        numbers = own_numbers + count * (count - 1) // 2
        rows = own_rows + count - 1
        most_numbers = max(most_numbers, numbers)
        most_rows = max(most_rows, rows)
        parent = parents[k]
        # Children come in ascending order, so the first one lies lowest.
        if parent >= 0 and starts[0, parent] < 0:
            starts[0, parent] = own_numbers
            starts[1, parent] = own_rows
    return most_numbers, most_rows


@inlined
def _enter(
    lead: int,
    width: int,
    slot: int,
    front: Array,
    front_slots: Array,
    work: Array,
    count: int,
    first: Array,
    second: Array,
    cosines: Array,
    sines: Array,
) -> int:
    """Rotate the row in `work` into the front; leave zeros there, and return the number of rotations so far."""
    for i in range(lead, width):
        # '!=' so that a NaN is rotated in, and seen.
        if work[i] != 0:
            row = front[i]
            if front_slots[i] < 0:
                for j in range(i, width):
                    row[j] = work[j]
                    work[j] = 0
                front_slots[i] = slot
                break
            c, s, r = rotation(row[i], work[i])
            row[i] = r
            work[i] = 0
            cosines[count] = c
            sines[count] = s
            first[count] = front_slots[i]
            second[count] = slot
            # Read back, so that the loop runs in the precision of the matrix.
            cosine = cosines[count]
            sine = sines[count]
            conjugate = np.conj(sine)
            for j in range(i + 1, width):
                u = row[j]
                v = work[j]
                row[j] = cosine * u + sine * v
                work[j] = cosine * v - conjugate * u
            count += 1
    return count


@kernel
def factor_fronts(
    pointers: Array,
    indices: Array,
    data: Array,
    own_starts: Array,
    own_rows: Array,
    r_pointers: Array,
    r_columns: Array,
    r_values: Array,
    child_first: Array,
    child_next: Array,
    slots: Array,
    stack: Array,
    stack_slots: Array,
    stack_leads: Array,
    left_over: Array,
    front: Array,
    front_slots: Array,
    position: Array,
    work: Array,
    first: Array,
    second: Array,
    cosines: Array,
    sines: Array,
    state: Array,
) -> bool:
    """Make R and the rotations; return whether all is done.

    ``own_rows[own_starts[k]:own_starts[k + 1]]`` are the rows led by column k. `left_over`, (3, n), takes where
    each front's rows lie on the stack: numbers, rows, and how many. `front`, (r, r), `position`, (n,), and `work`,
    (r,), are work space for the widest front; `work` starts as zeros, `front_slots`, (r,), as -1. `state` holds the
    next column, the number of rotations, and the two tops of the stack; it starts as zeros. Called again with more
    room for rotations the kernel goes on.
    """
    n = r_pointers.size - 1
    while state[0] < n:
        k = state[0]
        top = r_pointers[k]
        width = r_pointers[k + 1] - top
        # The child with the most rows is taken over as it stands.
        favourite = -1
        entering = own_starts[k + 1] - own_starts[k]
        low_numbers = state[2]
        low_rows = state[3]
        child = child_first[k]
        while child >= 0:
            entering += left_over[2, child]
            if favourite < 0 or left_over[2, child] > left_over[2, favourite]:
                favourite = child
            low_numbers = min(low_numbers, left_over[0, child])
            low_rows = min(low_rows, left_over[1, child])
            child = child_next[child]
        if favourite >= 0:
            entering -= left_over[2, favourite]
        count = state[1]
        if count + entering * width > first.size:
            return False
        for p in range(top, top + width):
            position[r_columns[p]] = p - top
        if favourite >= 0:
            child_top = r_pointers[favourite]
            child_width = r_pointers[favourite + 1] - child_top
            at = left_over[0, favourite]
            for t in range(left_over[2, favourite]):
                entry = left_over[1, favourite] + t
                lead = stack_leads[entry]
                place = position[r_columns[child_top + lead]]
                row = front[place]
                for j in range(place, width):
                    row[j] = 0
                for j in range(lead, child_width):
                    row[position[r_columns[child_top + j]]] = stack[at]
                    at += 1
                front_slots[place] = stack_slots[entry]
        child = child_first[k]
        while child >= 0:
            if child != favourite:
                child_top = r_pointers[child]
                child_width = r_pointers[child + 1] - child_top
                at = left_over[0, child]
                for t in range(left_over[2, child]):
                    entry = left_over[1, child] + t
                    lead = stack_leads[entry]
                    for j in range(lead, child_width):
                        work[position[r_columns[child_top + j]]] = stack[at]
                        at += 1
                    place = position[r_columns[child_top + lead]]
                    slot = stack_slots[entry]
                    count = _enter(place, width, slot, front, front_slots, work, count, first, second, cosines, sines)
            child = child_next[child]
        for t in range(own_starts[k], own_starts[k + 1]):
            slot = own_rows[t]
            for p in range(pointers[slot], pointers[slot + 1]):
                work[position[indices[p]]] += data[p]
            count = _enter(0, width, slot, front, front_slots, work, count, first, second, cosines, sines)
        # Everything that waited for this front has been taken from the stack.
        slots[k] = front_slots[0]
        taken = front_slots[0] >= 0
        for j in range(width):
            r_values[top + j] = front[0, j] if taken else 0
        front_slots[0] = -1
        left_over[0, k] = low_numbers
        left_over[1, k] = low_rows
        numbers = low_numbers
        rows = low_rows
        for i in range(1, width):
            if front_slots[i] >= 0:
                stack_slots[rows] = front_slots[i]
                stack_leads[rows] = i
                rows += 1
                for j in range(i, width):
                    stack[numbers] = front[i, j]
                    numbers += 1
                front_slots[i] = -1
        left_over[2, k] = rows - low_rows
        state[0] = k + 1
        state[1] = count
        state[2] = numbers
        state[3] = rows
    return True


@kernel
def rotate(first: Array, second: Array, cosines: Array, sines: Array, z: Array) -> None:
    """Apply the rotations to the rows of `z`, (m, k), in the order of their making."""
    for i in range(first.size):
        c = cosines[i]
        s = sines[i]
        conjugate = np.conj(s)
        high = z[first[i]]
        low = z[second[i]]
        for q in range(high.size):
            u = high[q]
            v = low[q]
            high[q] = c * u + s * v
            low[q] = c * v - conjugate * u


@kernel
def rotate_back(first: Array, second: Array, cosines: Array, sines: Array, z: Array) -> None:
    """Undo `rotate`."""
    for i in range(first.size - 1, -1, -1):
        c = cosines[i]
        s = sines[i]
        conjugate = np.conj(s)
        high = z[first[i]]
        low = z[second[i]]
        for q in range(high.size):
            u = high[q]
            v = low[q]
            high[q] = c * u - s * v
            low[q] = c * v + conjugate * u
