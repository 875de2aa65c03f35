from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import shifted_products
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


def test_panels_of_a_wide_matrix_make_the_same_sums(monkeypatch):
    h = np.random.default_rng(0).standard_normal((300, 40)) + 1.0
    plain, wide = (ShiftedProducts(40, 1, np.ones(40), np.float32) for _ in range(2))
    plain.add(h, h[:, :1], np.ones(300))
    monkeypatch.setattr(shifted_products, "_WIDE", 8)
    monkeypatch.setattr(shifted_products, "_PANEL", 16)
    for rows in (h[:100], h[100:]):
        wide.add(rows, rows[:, :1], np.ones(len(rows)))
    np.testing.assert_allclose(wide.complete(), plain.complete(), atol=1e-3)
    np.testing.assert_array_equal(wide.gram, wide.gram.T)
