"""A column that is constant over many rows was taken for one of tiny spread: its rounded mean left 1e-13 behind.

Another constant at prediction then counted as up to 1e6 deviations and decided everything (predictions of 1e13).
"""

import numpy as np
import pytest

from stridiag.nn.statistics import Statistics
from stridiag.nn.transforms import Standardization
from stridiag.sklearn import StridiagRegressor


@pytest.mark.parametrize("rows", [10_000, 100_000])
@pytest.mark.parametrize("value", [0.1, -3.3, 1e5])
def test_a_constant_column_has_no_deviation(rows, value):
    x = np.column_stack((np.full(rows, value), np.random.default_rng(0).standard_normal(rows)))
    assert np.isinf(Standardization.fit(x, np.ones(rows)).deviation[0])
    assert Statistics.from_rows(x, x[:, 1]).column_scale()[0] == 0.0


def test_a_constant_column_is_ignored_in_predictions():
    rng = np.random.default_rng(0)
    x = np.column_stack((rng.standard_normal((20_000, 3)), np.full(20_000, 0.1)))
    y = x[:, 0] + x[:, 1] ** 2
    model = StridiagRegressor(units=16, layers=1, random_state=0).fit(x, y)
    other = x[:50].copy()
    other[:, 3] = 0.2
    np.testing.assert_allclose(model.predict(other), model.predict(x[:50]), rtol=1e-9)
