from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stridiag.errors import NonFiniteError
from stridiag.nn import Statistics

FIELDS = ("weight", "row_mean", "target_mean", "scatter", "cross", "target_scatter")


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    # Means far from zero and unequal scales, where a naive Gram matrix would lose digits.
    h = rng.standard_normal((90, 7)) * np.logspace(-3, 3, 7) + 1e4
    return h, rng.standard_normal((90, 3)) - 5, rng.random(90) + 0.1


def close(a, b, tolerance=1e-10):
    for field in FIELDS:
        x, y = np.asarray(getattr(a, field)), np.asarray(getattr(b, field))
        assert np.abs(x - y).max() <= tolerance * np.abs(y).max(), field


def test_moments_are_the_definition(data):
    h, z, d = data
    ones = np.column_stack((h, np.ones(len(h))))
    gram, right = Statistics.from_rows(h, z, d).moments()
    np.testing.assert_allclose(gram, ones.T @ (d[:, None] * ones), rtol=1e-12)
    np.testing.assert_allclose(right, ones.T @ (d[:, None] * z), rtol=1e-11)


@pytest.mark.parametrize("cuts", [[1], [45], [89], [10, 11, 60]])
def test_parts_add_up(data, cuts):
    h, z, d = data
    whole = Statistics.from_rows(h, z, d)
    bounds = [0, *cuts, len(h)]
    pieces = [slice(a, b) for a, b in pairwise(bounds)]
    close(Statistics.from_chunks((h[p], z[p], d[p]) for p in pieces), whole)
    close(Statistics.from_chunks((h[p], z[p], d[p]) for p in reversed(pieces)), whole)


def test_what_was_added_can_be_taken_away(data):
    h, z, d = data
    whole, part = Statistics.from_rows(h, z, d), Statistics.from_rows(h[60:], z[60:], d[60:])
    close(whole - part, Statistics.from_rows(h[:60], z[:60], d[:60]))


def test_weights_are_repetitions(data):
    h, z, _ = data
    counts = np.arange(90) % 4
    close(Statistics.from_rows(h, z, counts), Statistics.from_rows(h.repeat(counts, 0), z.repeat(counts, 0)))


def test_constant_columns_have_no_scale():
    h = np.random.default_rng(0).standard_normal((1000, 3))
    h[:, 1] = 0.1
    scale = Statistics.from_rows(h, h[:, 0]).column_scale()
    assert scale[1] == 0.0
    np.testing.assert_allclose(scale[[0, 2]], h[:, [0, 2]].std(axis=0))


def test_failures(data):
    h, z, d = data
    whole = Statistics.from_rows(h, z, d)
    with pytest.raises(ValueError, match="cannot take weight"):
        Statistics.from_rows(h[:5], z[:5], d[:5]) - whole
    with pytest.raises(ValueError, match="were not part"):
        Statistics.from_rows(h, z) - Statistics.from_rows(h[:50] * 1e3, z[:50])
    with pytest.raises(ValueError, match="must agree"):
        whole + Statistics.from_rows(h[:, :3], z)
    with pytest.raises(TypeError, match="expected Statistics"):
        whole + 1
    with pytest.raises(ValueError, match="rows and targets"):
        Statistics.from_rows(h, z[:-1])
    with pytest.raises(ValueError, match="rows and targets"):
        Statistics.from_rows(h[:0], z[:0])
    with pytest.raises(ValueError, match="weights must have shape"):
        Statistics.from_rows(h, z, d[:-1])
    with pytest.raises(ValueError, match="nonnegative"):
        Statistics.from_rows(h, z, -d)
    with pytest.raises(ValueError, match="nonnegative"):
        Statistics.from_rows(h, z, np.zeros(90))
    with pytest.raises(ValueError, match="at least one row"):
        Statistics.from_chunks([])
    for place in (0, 45, -1):
        bad = z.copy()
        bad[place, 1] = np.nan
        with pytest.raises(NonFiniteError, match="targets must be finite"):
            Statistics.from_rows(h, bad)


def test_rows_of_no_weight_are_not_counted_and_do_not_move_constants():
    h = np.full((2000, 1), 0.1)
    h[0] = 5.0
    d = np.ones(2000)
    d[0] = 0.0
    statistics = Statistics.from_rows(h, h, d)
    assert statistics.count == 1999
    assert statistics.scatter[0, 0] == 0.0
    assert statistics.row_mean[0] == 0.1


def test_count_is_added_and_taken_away(data):
    h, z, d = data
    whole, part = Statistics.from_rows(h, z, d), Statistics.from_rows(h[60:], z[60:], d[60:])
    assert (whole.count, (part + whole).count, (whole - part).count) == (90, 120, 60)


def test_squares_beyond_the_number_range_are_refused(data):
    h, z, d = data
    with pytest.raises(NonFiniteError, match="squares of column 6 of rows overflow"):
        Statistics.from_rows(h * [1, 1, 1, 1, 1, 1, 1e200], z)
    with pytest.raises(NonFiniteError, match="squares of column 0 of targets overflow"):
        Statistics.from_rows(h, z * 1e200)
    with pytest.raises(NonFiniteError, match="squares of column 0 of rows overflow"):
        Statistics.from_rows(np.zeros((3, 1)), np.zeros(3)) + Statistics.from_rows(np.full((3, 1), 1e200), np.zeros(3))
    with pytest.raises(ValueError, match="finite sum"):
        Statistics.from_rows(h, z, d * 1e308)


def test_a_column_that_was_constant_cannot_lose_scatter():
    h = np.column_stack((np.full(50, 0.1), np.arange(50.0)))
    whole = Statistics.from_rows(h, h)
    assert (whole - Statistics.from_rows(h[:20], h[:20])).column_scale()[0] == 0.0
    h[3, 0] = 0.2
    with pytest.raises(ValueError, match="column 0 would have negative scatter"):
        whole - Statistics.from_rows(h[:20], h[:20])
