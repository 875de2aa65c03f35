"""A row with many links costs n^2, its transpose (a column with many links) is linear.

The factor of the transpose solves with the matrix just as well.
"""

import numpy as np

import stridiag


def test_a_hub_row_costs_no_more_than_a_hub_column():
    n = 4000
    hub = np.arange(2, n)
    row = (np.zeros(hub.size, int), hub, np.full(hub.size, 0.5))
    A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: 4.0, 1: 1.0}, row, shape=n)
    assert A.factor().nbytes < 10 * A.T.factor().nbytes
