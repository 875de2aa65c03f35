r"""Orders of rows and columns that bring the large entries of a matrix onto a few wrapped diagonals.

With scores s_ij >= 0 and offsets O, permutations pi of the rows and sigma of the columns are sought that make

.. math:: \sum_{o \in O} \; \sum_{j - i \equiv o} s_{\pi(i), \sigma(j)}, \qquad \text{congruence modulo } \min(m, n),

large (see `offsets` for wrapped diagonals). For one diagonal this is the assignment problem, solved exactly. For
several it is a quadratic assignment problem, which is hard, and taken in two steps:

1. *Start.* An assignment pairs rows with columns (the first diagonal); a second one gives each pair a successor, the
   row of one and the column of the other (the second diagonal). Its cycles are patched into one, at the least loss for
   each patch, and the pairs are put in that order.
2. *Alternate.* With the rows fixed, the best order of the columns for *all* diagonals is an assignment problem; so is
   that of the rows with the columns fixed. The sum never falls; it stops where neither moves it.

Both are done from that start and from the given order. Cost: two assignments of min(m, n), and for each start at most
`sweeps` of either size, O(size^3) at worst each.

References: R. Jonker, A. Volgenant, Computing 38 (1987) (assignment); R. M. Karp, "A patching algorithm for the
nonsymmetric traveling-salesman problem", SIAM J. Comput. 8 (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats
from stridiag.errors import StructureError

__all__ = ["DiagonalOrder", "diagonal_scores", "order_for_diagonals"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class DiagonalOrder(NamedTuple):
    """Which row and which column of the matrix goes where, and the sum of the scores on the diagonals then."""

    rows: Index
    columns: Index
    score: float


def diagonal_scores(scores: Array) -> Array:
    """Return the sum of the scores on each wrapped diagonal, (min(m, n),), by offset 0, 1, ...."""
    rows, columns = scores.shape
    offset = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    return np.bincount((offset % min(rows, columns)).ravel(), scores.ravel(), min(rows, columns))


def order_for_diagonals(scores: ArrayLike, offsets: Sequence[int], *, sweeps: int = 4) -> DiagonalOrder:
    """Permute rows and columns so that a few wrapped diagonals carry a large sum of scores.

    Parameters
    ----------
    scores : array_like, (m, n)
        Finite and nonnegative.
    offsets : sequence of int
        The wrapped diagonals, at least one.
    sweeps : int, default 4
        At most so many times each side is put in order.

    Returns
    -------
    DiagonalOrder
        Of a score that is at least that of the given order.

    Raises
    ------
    StructureError
        If the matrix is empty or there is no offset.
    ValueError
        If a score is negative or not finite.

    Examples
    --------
    A shuffled bidiagonal matrix is found again, up to where its cycle begins:

    >>> import numpy as np
    >>> from stridiag.nn.diagonal_order import order_for_diagonals
    >>> rng = np.random.default_rng(0)
    >>> A = 4.0 * np.eye(6) + np.roll(np.eye(6), 1, axis=1)
    >>> shuffled = A[rng.permutation(6)][:, rng.permutation(6)]
    >>> order = order_for_diagonals(shuffled, (0, 1))
    >>> order.score, bool((shuffled[np.ix_(order.rows, order.columns)] == A).all())
    (30.0, True)
    """
    s = as_floats(scores, "scores")
    if s.ndim != 2 or not s.size or not len(offsets):
        raise StructureError(f"a matrix with entries and an offset are needed, got shape {s.shape}, offsets {offsets}")
    if not (np.isfinite(s).all() and s.min() >= 0.0):
        raise ValueError("scores must be finite and nonnegative")
    if s.shape[0] > s.shape[1]:
        # The transpose of a wrapped diagonal is the one of the opposite offset.
        columns, rows, score = order_for_diagonals(s.T, [-o for o in offsets], sweeps=sweeps)
        return DiagonalOrder(rows, columns, score)
    m, n = s.shape
    residues = list(dict.fromkeys(int(o) % m for o in offsets))
    best = DiagonalOrder(np.arange(m), np.arange(n), float(diagonal_scores(s)[residues].sum()))
    for rows in (_cycle_order(s, residues), np.arange(m)):
        found = _alternate(s, residues, rows, sweeps)
        if found.score > best.score:
            best = found
    return best


def _alternate(s: Array, residues: list[int], rows: Index, sweeps: int) -> DiagonalOrder:
    m, n = s.shape
    place = np.arange(m)
    score = -1.0
    columns = np.arange(n)
    for _ in range(max(1, sweeps)):
        # What a column would bring at each residue, its rows being where they are.
        by_residue = np.asarray(sum(s[rows[(place - o) % m]] for o in residues))
        columns = _assign(by_residue[np.arange(n) % m])
        folded = np.zeros((m, m))
        for start in range(0, n, m):
            part = columns[start : start + m]
            folded[:, : part.size] += s[:, part]
        gain = np.asarray(sum(folded[:, (place + o) % m] for o in residues))
        rows = _assign(gain.T)
        total = float(gain[rows, place].sum())
        if not total > score * (1.0 + 1e-12):
            break
        score = total
    return DiagonalOrder(rows, columns, score)


def _assign(gain: Array) -> Index:
    """Return which column each row takes in the assignment of largest sum."""
    # Not at the top: scipy.optimize takes longer to import than most layers to fit.
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(gain, maximize=True)[1], np.int64)


def _cycle_order(s: Array, residues: list[int]) -> Index:
    """Return an order of the rows in which the first two diagonals can carry much."""
    m = s.shape[0]
    stride = (residues[1] - residues[0]) % m if len(residues) > 1 else 0
    if m < 3 or gcd(stride, m) != 1:
        return np.arange(m)
    paired = s[:, _assign(s)]
    # A pair is not its own successor unless nothing else is left; that would be a cycle of one, patched as any other.
    np.fill_diagonal(paired, -paired.sum() - 1.0)
    follower = _patched(paired, _assign(paired))
    order = np.empty(m, np.int64)
    row = 0
    for k in range(m):
        order[k * stride % m] = row
        row = int(follower[row])
    return order


def _patched(gain: Array, follower: Index) -> Index:
    """Join the cycles of a permutation into one, each time by the exchange of two followers that costs least."""
    follower = follower.copy()
    label = np.full(follower.size, -1)
    for start in range(follower.size):
        row = start
        while label[row] < 0:
            label[row] = start
            row = int(follower[row])
    while (label != label[0]).any():
        names, counts = np.unique(label, return_counts=True)
        inside = np.flatnonzero(label == names[np.argmin(counts)])
        outside = np.flatnonzero(label != label[inside[0]])
        own = gain[np.arange(follower.size), follower]
        change = gain[np.ix_(inside, follower[outside])] - own[inside][:, None]
        change += gain[np.ix_(outside, follower[inside])].T - own[outside][None, :]
        a, b = np.unravel_index(int(np.argmax(change)), change.shape)
        i, j = inside[a], outside[b]
        follower[i], follower[j] = follower[j], follower[i]
        label[inside] = label[j]
    return follower
