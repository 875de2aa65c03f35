"""Inner products in vectors against the plain loops."""

import numpy as np
import pytest

from stridiag._kernels.compile import COMPILES, kernel
from stridiag._kernels.dot import dot, subtract_multiple


@kernel
def products(values, at, other, first, last):
    return dot(values, at, other, first, last)


@kernel
def subtracted(values, at, factor, other, first, last):
    subtract_multiple(values, at, factor, other, first, last)


@pytest.mark.skipif(not COMPILES, reason="compares compiled code with the plain loops")
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_any_length_from_any_place(dtype):
    rng = np.random.default_rng(0)
    values, other = rng.standard_normal((2, 100)).astype(dtype)
    if dtype is np.complex128:
        values = values + 1j * rng.standard_normal(100)
    for length in range(70):
        for at, first in ((0, 0), (3, 1), (20, 20)):
            expected = values[at : at + length] @ other[first : first + length]
            for function in (products, dot):
                found = function(values, at, other, first, first + length)
                assert abs(found - expected) <= 1e-14 * max(1, length)
            for function in (subtracted, subtract_multiple):
                kept = other.copy()
                function(values, at, 0.5, kept, first, first + length)
                changed = other.copy()
                changed[first : first + length] -= 0.5 * values[at : at + length].conj()
                np.testing.assert_allclose(kept, changed, rtol=1e-15, atol=1e-15)
