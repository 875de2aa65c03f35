from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn.shifted_products import ShiftedProducts
from stridiag.nn.statistics import Statistics


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_statistics(kind, weighted):
    rng = np.random.default_rng(0)
    h, z = rng.standard_normal((700, 40)) + rng.uniform(-9, 9, 40), rng.standard_normal((700, 3))
    d = rng.uniform(0.5, 3.0, 700) if weighted else np.ones(700)
    products = ShiftedProducts(40, 3, h[:50].mean(axis=0), kind)
    for start in range(0, 700, 256):
        own = slice(start, start + 256)
        products.add(h[own], z[own], d[own])
    found, expected = products.statistics(), Statistics.from_rows(h, z, d)
    tolerance = 1e-5 if kind is np.float32 else 1e-12
    scale = np.diagonal(expected.scatter).max()
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=tolerance * scale)
    np.testing.assert_allclose(found.scatter, found.scatter.T, atol=1e-12 * scale)
    np.testing.assert_allclose(found.cross, expected.cross, atol=tolerance * scale)
    np.testing.assert_allclose(found.row_mean, expected.row_mean, atol=10 * tolerance)
    np.testing.assert_allclose(found.target_mean, expected.target_mean, atol=1e-12)
    np.testing.assert_allclose(found.target_scatter, expected.target_scatter, rtol=1e-12)
    assert found.weight == pytest.approx(expected.weight)
    assert found.count == 700
