"""Projections of many columns in explicit vectors, against plain loops and against numpy."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels import small_basis

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")


@pytest.mark.parametrize("width", [1, 8, 31, 32, 64, 75])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_project(count, width):
    rng = np.random.default_rng(count)
    n = 203
    basis = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((n, count)))[0].T)
    x = rng.standard_normal((n, width))
    work = np.empty((count, width))
    one, other = x.copy(), x.copy()
    small_basis.project(basis, one, work)
    small_basis.project_plain(basis, other, work)
    expected = x - basis.T @ (basis @ x)
    bound = 8 * np.finfo(float).eps * np.abs(x).max() * np.sqrt(n)
    assert np.abs(one - other).max() <= bound
    assert np.abs(one - expected).max() <= bound
    assert np.abs(basis @ one).max() <= bound
