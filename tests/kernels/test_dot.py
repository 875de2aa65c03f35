"""Inner products in vectors against the plain loops."""

import numpy as np
import pytest

from stridiag._kernels.compile import COMPILES, kernel
from stridiag._kernels.dot import LANES, dot


@kernel
def products(values, at, other, first, last):
    return dot(values, at, other, first, last)


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
                kept = other.copy()
                found = function(values, at, kept, first, first + length)
                assert abs(found - expected) <= 1e-14 * max(1, length)
                # The last entries are work space.
                np.testing.assert_array_equal(kept[:-LANES], other[:-LANES])
