from __future__ import annotations

import numpy as np
import pytest

from stridiag._kernels.shifted_tridiagonal import factor, inverse_trace, quadratic_forms, solve


@pytest.mark.parametrize("m", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 6, 8, 11])
def test_everything_is_that_of_the_dense_inverse(m, rows):
    rng = np.random.default_rng(m)
    e = rng.standard_normal(m - 1)
    d = np.abs(np.append(e, 0)) + np.abs(np.append(0, e)) + 0.1
    shifts = np.array([1e-9, 0.3, 1e3])
    tables = np.empty((m, 3)), np.empty((m, 3))
    assert factor(d, e, shifts, *tables) == -1
    inverses = [np.linalg.inv(np.diag(d + a) + np.diag(e, 1) + np.diag(e, -1)) for a in shifts]
    right, y = rng.standard_normal((m, 2)), rng.standard_normal((rows, m))
    x, out, trace = np.empty((m, 2, 3)), np.full((rows, 3), np.nan), np.empty(3)
    solve(*tables, right, x)
    quadratic_forms(y, *tables, np.empty((4, 3)), out)
    inverse_trace(d, e, shifts, tables[1], trace)
    for a, inverse in enumerate(inverses):
        np.testing.assert_allclose(x[:, :, a], inverse @ right, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(out[:, a], np.einsum("ij,jk,ik->i", y, inverse, y), rtol=1e-11)
        np.testing.assert_allclose(trace[a], np.trace(inverse), rtol=1e-11)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_first_pivot_that_is_not_positive_is_told(place):
    for value in (-1.0, np.nan):
        d = np.ones(5)
        d[place] = value
        tables = np.empty((5, 2)), np.empty((5, 2))
        assert factor(d, np.zeros(4), np.array([0.5, 0.1]), *tables) == place
