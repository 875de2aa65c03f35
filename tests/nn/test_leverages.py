from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cholesky

from stridiag.nn.leverages import Leverages, serves


def leverages(n, p, kind=np.float64):
    """Return features, and what their leverages come from; some rows stand out."""
    rng = np.random.default_rng(0)
    h = rng.standard_normal((n, p)) + 3.0
    h[: n // 50] *= 6.0
    mean, inverse = h.mean(axis=0), 1.0 / h.std(axis=0)
    x = (h - mean) * inverse
    factor = np.asfortranarray(cholesky(x.T @ x / n + 1e-3 * np.eye(p), lower=True), kind)
    return h, Leverages(factor, mean, inverse, float(n))


def test_leverages_are_the_diagonal_of_the_hat_matrix():
    h, own = leverages(300, 20)
    x = (h - own.row_mean) * own.inverse
    hat = x @ np.linalg.solve(x.T @ x + 0.3 * np.eye(20), x.T) + 1.0 / 300
    np.testing.assert_allclose(own.left(h, np.ones(300)), 1.0 - np.diagonal(hat), rtol=1e-10)
    # Of a row of weight 2 one observation is left out; of a light one all there is.
    np.testing.assert_allclose(own.left(h, np.full(300, 0.5)), 1.0 - 0.5 * np.diagonal(hat), rtol=1e-10)
    np.testing.assert_array_equal(own.left(h, np.full(300, 2.0)), own.left(h, np.ones(300)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sketch_errs_by_a_twentieth_and_is_exact_where_leverage_is_large(kind):
    n = 3000
    h, own = leverages(n, 150, kind)
    counts = np.ones(n)
    exact = own.left(h, counts)
    sketch = own.sketch()
    found = sketch.left(h.astype(kind), counts)
    error = found / exact - 1.0
    assert np.sqrt(np.mean(error**2)) < 0.03
    assert np.abs(error).max() < 0.2
    far = exact < 0.7
    assert 20 < far.sum() < n // 10
    np.testing.assert_allclose(found[far], exact[far], rtol=1e-3)
    # Without mending, rows of large leverage are about right and never below a tenth.
    rough = own.sketch(mended=False).left(h.astype(kind), counts)
    assert rough.min() >= 0.1
    assert np.abs(rough[far] / exact[far] - 1.0).max() > 0.05
    np.testing.assert_array_equal(found, own.sketch().left(h.astype(kind), counts))


def test_sketches_serve_where_leverages_are_small():
    assert serves(100.0, 1000.0)
    assert not serves(300.0, 1000.0)
