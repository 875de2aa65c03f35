"""Targets near the end of the number range gave NaN predictions; weights there an error about rows that were finite."""

import numpy as np

from stridiag.sklearn import StridiagRegressor


def table():
    x = np.random.default_rng(0).standard_normal((150, 5))
    return x, np.where(x[:, 0] > 0, 1.0, -1.0)


def test_targets_near_the_largest_number():
    x, y = table()
    model = StridiagRegressor(units=32, layers=2, random_state=0)
    plain = model.fit(x, y).predict(x)
    np.testing.assert_allclose(model.fit(x, 1e308 * y).predict(x) / 1e308, plain, atol=1e-6)


def test_weights_whose_sum_overflows():
    x, y = table()
    model = StridiagRegressor(units=32, layers=2, random_state=0, alpha=0.1)
    plain = model.fit(x, y).predict(x)
    np.testing.assert_allclose(model.fit(x, y, sample_weight=np.full(150, 1e307)).predict(x), plain, atol=1e-6)
