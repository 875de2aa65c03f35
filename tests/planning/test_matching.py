"""Maximum matchings against scipy's count, on small random patterns of any shape, and on long alternating paths."""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.sparse.csgraph import structural_rank

from stridiag.planning.matching import matched_columns, matched_rows, unmatched_column


def test_random_patterns():
    rng = np.random.default_rng(0)
    for _ in range(400):
        m, n = rng.integers(1, 13, 2)
        pattern = random_array((m, n), density=rng.uniform(0.05, 0.5), rng=rng, format="csr")
        partner = matched_columns(pattern)
        rows = np.flatnonzero(partner >= 0)
        assert np.unique(partner[rows]).size == rows.size == structural_rank(pattern)
        assert (pattern.toarray()[rows, partner[rows]] != 0).all()


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_one_path_through_all_rows(n):
    # Greedily row i takes column i, and the last row finds its only column taken.
    rows = np.concatenate((np.arange(n - 1), np.arange(n - 1), [n - 1]))
    columns = np.concatenate((np.arange(n - 1), np.arange(1, n), [0]))
    pattern = csr_array((np.ones(rows.size), (rows, columns)), shape=(n, n))
    np.testing.assert_array_equal(matched_columns(pattern), [*range(1, n), 0])
    np.testing.assert_array_equal(matched_rows(columns, rows, n), [*range(1, n), 0])
    assert unmatched_column(rows, columns, n) is None


def test_empty_patterns():
    assert matched_columns(csr_array((3, 0))).tolist() == [-1, -1, -1]
    assert matched_columns(csr_array((0, 3))).size == 0
    assert matched_rows(np.array([], int), np.array([], int), 2).tolist() == [-1, -1]
