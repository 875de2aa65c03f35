from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn.ranks import Both, Ranks


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    heavy = rng.standard_cauchy(500) * 1e6
    return np.column_stack((heavy, rng.integers(0, 3, 500), rng.integers(0, 40, 500), np.full(500, 7.0)))


def test_ranks_are_mid_points_of_the_distribution_function(rows):
    x = rows[:200]
    ranks = Ranks.fit(x, np.ones(200))
    assert ranks.picked.tolist() == [0, 2]
    assert (ranks.inputs, ranks.columns) == (4, 2)
    got = ranks.apply(x)
    for i, j in enumerate(ranks.picked):
        c = x[:, j]
        expected = ((c[:, None] > c).sum(axis=1) + 0.5 * (c[:, None] == c).sum(axis=1)) / 200
        expected = (expected - expected.mean()) / expected.std()
        np.testing.assert_allclose(got[:, i], expected, atol=1e-12)


def test_long_columns_keep_a_bounded_table(rows):
    x = np.random.default_rng(1).lognormal(sigma=4, size=(20000, 1))
    ranks = Ranks.fit(x, np.ones(len(x)))
    assert ranks.knots.size <= 257
    exact = (np.argsort(np.argsort(x[:, 0])) + 0.5) / len(x)
    got = ranks.apply(x)[:, 0]
    assert np.abs(got * np.sqrt(1 / 12) + 0.5 - exact).max() < 0.005
    assert abs(got.mean()) < 1e-12
    assert abs(got.std() - 1) < 1e-12


def test_ranks_do_not_see_monotone_maps(rows):
    x = np.abs(rows[:200, :1]) + 1.0
    plain, other = (Ranks.fit(f(x), np.ones(200)).apply(f(x)) for f in (np.array, np.log))
    np.testing.assert_allclose(plain, other, atol=1e-12)


def test_weights_are_repetitions_and_order_does_not_matter(rows):
    counts = np.random.default_rng(2).integers(1, 4, 500)
    repeated = np.repeat(rows, counts, axis=0)
    weighted = Both.fit(rows, counts.astype(float)).apply(rows)
    np.testing.assert_allclose(Both.fit(repeated, np.ones(len(repeated))).apply(rows), weighted, atol=1e-9)
    order = np.random.default_rng(3).permutation(500)
    np.testing.assert_allclose(Both.fit(rows[order], counts[order].astype(float)).apply(rows), weighted, atol=1e-9)


def test_entries_beyond_the_training_range_count_as_its_ends(rows):
    ranks = Ranks.fit(rows, np.ones(500))
    ends = ranks.apply(np.vstack((rows.min(axis=0), rows.max(axis=0))))
    np.testing.assert_array_equal(ranks.apply(np.vstack((np.full(4, -1e300), np.full(4, 1e300)))), ends)
    np.testing.assert_array_equal(ends[0], ranks.apply(rows).min(axis=0))


def test_both_bounds_standardised_columns(rows):
    both = Both.fit(rows, np.ones(500))
    out = both.apply(rows)
    assert out.shape == (500, 6)
    assert (both.inputs, both.columns) == (4, 6)
    assert np.abs(out).max() <= 5.0
    assert (out[:, 3] == 0.0).all()


def test_tables_without_a_column_of_many_values():
    x = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(float)
    both = Both.fit(x, np.ones(50))
    assert both.columns == 3
    assert both.apply(x).shape == (50, 3)
