r"""Rotations of pairs of rows of a sparse matrix that are multiples of each other in some columns.

The two rows that a segment leaves have got all their entries behind the kept column m from row m of the matrix, by two
factors: in these columns, the *tail*, they are multiples of each other. A rotation

.. math:: \begin{pmatrix} c & s \\ -\bar s & c \end{pmatrix}

takes the tail out of the first row. What is left of it has the columns k, k + 1 and m only, and eliminates k + 1: then
one unknown is left of each separator's two, and a link joins single unknowns.

Cost: 6 operations for each entry that the rows have in common, and for a right-hand side; 7 to make a rotation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["find_pairs", "rotate_entries", "rotate_sides", "rotate_sides_back"]

Array = NDArray[Any]


@kernel
def find_pairs(
    pointers: Array,
    columns: Array,
    places: Array,
    pairs: Array,
    starts: Array,
    first: Array,
    second: Array,
    tail: Array,
    used: Array,
) -> int:
    """List the entries of pairs of rows; return how many of the pairs have the same columns and a tail.

    Parameters
    ----------
    pointers, columns, places : (n + 1,), (entries,) and (entries,)
        The rows of the pattern, and where each entry is stored.
    pairs : (pairs, 3)
        Two rows, each named like the column that it shall eliminate, and a column: all but these three are the tail.
        Those with a tail become the first.
    starts, first, second, tail : (pairs + 1,) and (entries,)
        Become where the entries of each pair begin, those of its two rows, and whether they are in the tail.
    used : (entries,)
        Becomes False for the tails of first rows, True for all else.
    """
    count = total = 0
    for e in range(used.size):
        used[e] = True
    starts[0] = 0
    for p in range(pairs.shape[0]):
        one, other, near = pairs[p, 0], pairs[p, 1], pairs[p, 2]
        begin, behind = pointers[one], pointers[other]
        size = pointers[one + 1] - begin
        same = size == pointers[other + 1] - behind
        some = False
        k = 0
        while same and k < size:
            column = columns[begin + k]
            same = column == columns[behind + k]
            rest = column != one and column != other and column != near
            some = some or rest
            first[total + k] = places[begin + k]
            second[total + k] = places[behind + k]
            tail[total + k] = rest
            k += 1
        if same and some:
            for k in range(total, total + size):
                if tail[k]:
                    used[first[k]] = False
            total += size
            pairs[count, 0] = one
            pairs[count, 1] = other
            count += 1
            starts[count] = total
    return count


@kernel
def rotate_entries(
    data: Array,
    starts: Array,
    first: Array,
    second: Array,
    tail: Array,
    cosines: Array,
    sines: Array,
    rotated: Array,
) -> None:
    """Make the rotations from the entries `data`, and apply them: `rotated`, (entries,), may be of a wider type."""
    for e in range(data.size):
        rotated[e] = data[e]
    for p in range(cosines.size):
        # The largest numbers of the tail show best what its factors are.
        largest, at = 0.0, starts[p]
        for k in range(starts[p], starts[p + 1]):
            if tail[k]:
                size = max(abs(data[first[k]]), abs(data[second[k]]))
                if size > largest:
                    largest = float(size)
                    at = k
        cosine, sine = 1.0, rotated[first[at]] * 0
        if 0.0 < largest < np.inf:
            x, y = rotated[first[at]] / largest, rotated[second[at]] / largest
            magnitude = abs(y)
            norm = math.sqrt((x * np.conj(x)).real + magnitude * magnitude)
            cosine = magnitude / norm
            sine = -x * (np.conj(y) / magnitude if magnitude > 0.0 else 1.0) / norm
        cosines[p] = cosine
        sines[p] = sine
        for k in range(starts[p], starts[p + 1]):
            x, y = rotated[first[k]], rotated[second[k]]
            rotated[first[k]] = cosine * x + sine * y
            rotated[second[k]] = cosine * y - np.conj(sine) * x


@kernel
def rotate_sides(pairs: Array, cosines: Array, sines: Array, x: Array) -> None:
    """Rotate the rows of `x`, (n, m)."""
    for p in range(cosines.size):
        one, other = pairs[p, 0], pairs[p, 1]
        for c in range(x.shape[1]):
            a, b = x[one, c], x[other, c]
            x[one, c] = cosines[p] * a + sines[p] * b
            x[other, c] = cosines[p] * b - np.conj(sines[p]) * a


@kernel
def rotate_sides_back(pairs: Array, cosines: Array, sines: Array, x: Array) -> None:
    """Undo `rotate_sides`."""
    for p in range(cosines.size):
        one, other = pairs[p, 0], pairs[p, 1]
        for c in range(x.shape[1]):
            a, b = x[one, c], x[other, c]
            x[one, c] = cosines[p] * a - sines[p] * b
            x[other, c] = cosines[p] * b + np.conj(sines[p]) * a
