"""A reflection of numbers around 1e25 was called zero in single precision, whose squares overflow there."""

import numpy as np
import pytest

import stridiag
from stridiag.factorization.small_qr import SmallQR


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("power", [-25, 25])
def test_small_qr_at_the_ends_of_single_precision(dtype, power):
    array = (np.random.default_rng(0).standard_normal((6, 6)) * 10.0**power).astype(dtype)
    F = SmallQR(array.copy())
    assert F.singularity is None
    np.testing.assert_allclose(F.solve(array @ np.ones((6, 1), dtype)), 1.0, rtol=1e-4)


@pytest.mark.parametrize("power", [-25, 25])
def test_separators_at_the_ends_of_single_precision(power):
    A = stridiag.random(2000, (-1, 0, 1), 3, rng=0, dominant=True, dtype="float32") * np.float32(10.0**power)
    F = A.factor(method="chain")
    assert not F.singular
    b = A @ np.ones(2000, np.float32)
    np.testing.assert_allclose(F.solve(b), 1.0, rtol=1e-4)
