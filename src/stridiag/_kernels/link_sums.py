r"""Links on top of a matrix T: what couples the corrections that they make to a solution without them.

With the links :math:`a_k` at (:math:`r_k`, :math:`c_k`),

.. math:: A = T + \sum_k a_k e_{r_k} e_{c_k}^T, \qquad x = T^{-1} b - \sum_r s_r z_r, \qquad z_r = T^{-1} e_r, \qquad
          s_r = \sum_{r_k = r} a_k x_{c_k}.

Where each :math:`z_r` is known for a stretch around row r, and dies away there, few of the :math:`s_r` feel each other:
those whose link ends near the row of another. They are solved for by Gauss and Seidel's iteration, which ends after as
many rounds as there are links in a row, each ending where the next one begins, or converges.

Cost: 2 operations for each link, and each round 2 for each pair of links that feel each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag._kernels.compile import borrowing, inlined

__all__ = ["MOST_ROUNDS", "different", "join", "settle", "sums"]

MOST_ROUNDS = 60
_SETTLED = 2.0**-53


@borrowing
def different(link_rows: Any, links: Any, rows: Any, ends: Any, weights: Any) -> tuple[int, float]:
    """Find the different rows of links, where the links of each end, and their magnitudes' sums.

    Return how many rows there are, and the largest magnitude of a link: NaN if one is not finite.
    """
    count, largest, sound = 0, 0.0, True
    ends[0] = 0
    for k in range(link_rows.size):
        if k == 0 or link_rows[k] != link_rows[k - 1]:
            rows[count] = link_rows[k]
            weights[count] = 0.0
            count += 1
        ends[count] = k + 1
        weights[count - 1] += abs(links[k])
        largest = max(largest, abs(links[k]))
        sound = sound and abs(links[k]) < np.inf
    return count, largest if sound else np.nan


@inlined
def join(
    rows: Any,
    ends: Any,
    link_columns: Any,
    links: Any,
    weights: Any,
    near: Any,
    margin: Any,
    stride: Any,
    pair_ends: Any,
    pair_rows: Any,
    pairs: Any,
) -> tuple[int, float]:
    """Find, for each row, what the s of other rows (and its own) are multiplied by in the sum for its s.

    `near`, (rows, 2 margin + 1), is z for each of the `rows`, at places `stride` apart. Returns how many pairs there
    are, -1 if there is no room for all; and the largest sum of what an unknown at a link's column feels, a norm of the
    matrix that they make.
    """
    made, worst = 0, 0.0
    reach = margin * stride
    pair_ends[0] = 0
    count = rows.size
    for row in range(count):
        for k in range(ends[row], ends[row + 1]):
            column = link_columns[k]
            felt = 0.0
            for other in range(np.searchsorted(rows, column - reach), count):
                apart = column - rows[other]
                if apart < -reach:
                    break
                if apart % stride == 0:
                    z = near[other, margin + apart // stride]
                    if z == 0.0:
                        continue
                    if made == pairs.size:
                        return -1, np.inf
                    pair_rows[made], pairs[made] = other, links[k] * z
                    felt += abs(z) * weights[other]
                    made += 1
            worst = max(worst, felt)
        pair_ends[row + 1] = made
    return made, worst


@borrowing
def sums(
    link_columns: Any, links: Any, ends: Any, pair_ends: Any, pair_rows: Any, pairs: Any, x: Any, given: Any, s: Any
) -> bool:
    """Compute s from `x`, the solution without links; return whether it came to rest. `given` is work space."""
    for row in range(s.size):
        total = 0.0
        for k in range(ends[row], ends[row + 1]):
            total += links[k] * x[link_columns[k]]
        given[row] = s[row] = total
    return settle(given, pair_ends, pair_rows, pairs, s)


@borrowing
def settle(given: Any, pair_ends: Any, pair_rows: Any, pairs: Any, s: Any) -> bool:
    """Solve for s, beginning with what it is; return whether it came to rest."""
    for _ in range(MOST_ROUNDS):
        still = True
        for row in range(s.size):
            total, size, own = given[row], abs(given[row]), 1.0
            for pair in range(pair_ends[row], pair_ends[row + 1]):
                other = pair_rows[pair]
                if other == row:
                    own += pairs[pair]
                else:
                    term = pairs[pair] * s[other]
                    total, size = total - term, size + abs(term)
            found = total / own
            # Accepts the good, so that NaN never rests.
            still = still and abs((found - s[row]) * own) <= _SETTLED * size
            s[row] = found
        if still:
            return True
    return False
