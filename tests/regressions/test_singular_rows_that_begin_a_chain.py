"""Sweeps solved singular matrices without a word where the dependent rows were the first ones of a chain.

A segment that begins a chain is given a row of zeros. Rounding errors in that row's direction served as the pivot of a
column that depended on others, and what the equations contradicted each other by was lost.
"""

import numpy as np
import pytest

import stridiag
from stridiag import linalg


def _matrix(n, stride, block, dominant):
    """Return a matrix whose first rows of the first chain are cut from the others and are tridiagonal `block`."""
    rng = np.random.default_rng(n)
    size = block.shape[0]
    dl, d, du = rng.normal(size=n - stride), rng.normal(size=n), rng.normal(size=n - stride)
    if dominant:
        d += np.copysign(8.0, d)
    places = stride * np.arange(size)
    d[places] = np.diag(block)
    dl[places[:-1]], du[places[:-1]] = np.diag(block, -1), np.diag(block, 1)
    dl[places[-1]] = du[places[-1]] = 0.0
    return stridiag.StridiagMatrix.from_diagonals({-stride: dl, 0: d, stride: du}), rng.normal(size=n)


def _path(size):
    """Return the Laplacian of a path, whose rows sum to zero."""
    block = np.diag(np.full(size, 2.0)) - np.diag(np.ones(size - 1), 1) - np.diag(np.ones(size - 1), -1)
    block[0, 0] = block[-1, -1] = 1.0
    return block


@pytest.mark.parametrize("dominant", [True, False])
@pytest.mark.parametrize("stride", [1, 8])
@pytest.mark.parametrize("n", [2000, 51_000])
@pytest.mark.parametrize("block", [np.ones((2, 2)), _path(2), _path(3), _path(30)], ids=["ones", "2", "3", "30"])
def test_singular_rows_that_begin_a_chain(n, stride, block, dominant):
    A, b = _matrix(n, stride, block, dominant)
    for solve in (
        lambda: linalg.solve(A, b),
        lambda: A.factor().solve(b),
        lambda: A.factor().solve(b, trans="T"),
        lambda: A.factor().solve(np.column_stack((b, b, b, b))),
    ):
        with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
            solve()


def test_regular_rows_that_begin_a_chain_are_swept():
    A, b = _matrix(2000, 1, _path(30) + np.eye(30), dominant=False)
    x = linalg.solve(A, b)
    assert np.abs(A @ x - b).max() <= 1e-15 * (np.abs(x).max() * 30.0 + np.abs(b).max())


def test_rows_that_leave_nothing_for_those_behind():
    # The first thousand rows, 2, 1, 0.3 each, have a left null vector in all but name, which dies away like 2^-k.
    n = 20_001
    rng = np.random.default_rng(0)
    dl, d, du = rng.random(n - 1), rng.random(n), rng.random(n - 1)
    dl[:1000], d[:1000], du[:1000] = 2.0, 1.0, 0.3
    A = stridiag.StridiagMatrix.from_diagonals({-1: dl, 0: d, 1: du})
    for solve in (lambda: linalg.solve(A, np.ones(n)), lambda: A.factor().solve(np.ones(n))):
        with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
            solve()
