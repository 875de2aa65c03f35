"""Rows carried through a long segment gather the errors of every reflection, and on a constant chain they add up.

Periodic (1, -1, -1), condition about 6: backward error 80 eps at n = 1e3, 1e4 eps at n = 1e5. The guard's own
tolerance for an LU is 10 eps sqrt(n).
"""

import numpy as np
import pytest

import stridiag
from stridiag import linalg


@pytest.mark.parametrize("trans", ["N", "T"])
def test_long_constant_periodic_chain(trans):
    n = 100_000
    links = ([0, n - 1], [n - 1, 0], [-1.0, 0.5])
    A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: -1.0, 1: -1.0}, links, shape=n)
    F = A.factor()
    assert F.rcond > 0.1
    B = A if trans == "N" else A.T
    for seed in range(5):
        b = np.random.default_rng(seed).standard_normal(n)
        x = F.solve(b, trans=trans)
        error = abs(B @ x - b).max() / (linalg.norm(B, np.inf) * abs(x).max() + abs(b).max())
        assert error <= 10 * np.finfo(float).eps * np.sqrt(n)
