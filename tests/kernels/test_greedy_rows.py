from __future__ import annotations

import numpy as np
import pytest

from stridiag._kernels.greedy_rows import extend_row, row_coefficients


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_scores_after_each_column_are_those_of_the_solve(ridge):
    rng = np.random.default_rng(0)
    p = 6
    a = np.cov(rng.standard_normal((p, 40)))
    b = rng.standard_normal(p)
    support, factor, partial = np.empty(5, np.int64), np.zeros((5, 5)), np.zeros((2, 5))
    residual, left = b.copy(), np.diagonal(a) + ridge
    size, loss = 0, 0.0
    for columns in ([4], [1, 5], [0]):
        size, decrease, gain, best = extend_row(
            a, ridge, np.array(columns), support, factor, partial, size, residual, left, 1e-10, np.empty(p)
        )
        loss += decrease
        s = support[:size]
        block = a[np.ix_(s, s)] + ridge * np.eye(size)
        w = np.linalg.solve(block, b[s])
        found = np.empty(size)
        row_coefficients(factor, partial, size, found)
        np.testing.assert_allclose(found, w, rtol=1e-10)
        assert loss == pytest.approx(b[s] @ w)
        free = np.setdiff1d(np.arange(p), s)
        r = b - a[:, s] @ w
        schur = np.diagonal(a) + ridge - np.einsum("is,si->i", a[:, s], np.linalg.solve(block, a[s]))
        np.testing.assert_allclose(residual[free], r[free], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(left[free], schur[free], rtol=1e-10)
        assert (left[s] <= 0.0).all()
        assert best == free[np.argmax(r[free] ** 2 / schur[free])]
        assert gain == pytest.approx((r[free] ** 2 / schur[free]).max())
    np.testing.assert_array_equal(support[:size], [4, 1, 5, 0])


def test_dependent_columns_are_passed_over_and_nothing_may_be_left():
    a = np.ones((2, 2))
    support, factor, partial = np.empty(3, np.int64), np.zeros((3, 3)), np.zeros((2, 3))
    residual, left = np.array([2.0, 2.0]), np.array([1.0, 1.0])
    size, decrease, gain, best = extend_row(
        a, 0.0, np.array([1, 0, 1]), support, factor, partial, 0, residual, left, 1e-10, np.empty(2)
    )
    assert (size, decrease, gain, best) == (1, 4.0, 0.0, -1)
    assert support[0] == 1
