"""`ridge` took the total weight for the number of rows: weights that sum to 1 gave the largest penalty, silently."""

import numpy as np

from stridiag.nn import Statistics, ridge


def test_weights_that_sum_to_one():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((100, 4))
    z = h @ [1.0, 2.0, 3.0, 4.0]
    expected = ridge(Statistics.from_rows(h, z)).coefficients
    actual = ridge(Statistics.from_rows(h, z, np.full(100, 0.01))).coefficients
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
