"""Vectors do, lane by lane, what plain numbers do."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels.compile import kernel
from stridiag._kernels.gathered_products import gather_products
from stridiag._kernels.vectors import (
    BYTES,
    both,
    choose,
    every,
    exponent_of,
    gather,
    least_of,
    less,
    load,
    magnitude,
    power_below,
    prefetch,
    scatter,
    splat,
    square_root,
    store,
    store_past_caches,
    with_sign_of,
)

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")


def body(x, y):
    inside = both(less(-0.5, x), less(x, 2.0))
    return choose(inside, with_sign_of(square_root(x * x + y * y), y), -x / (magnitude(y) + 1.0) - 3.0 * y)


compiled_body = kernel(body)


@kernel
def on_vectors(a, b, out):
    store(out, 0, compiled_body(load(a, 0), load(b, 0)))
    return every(less(load(a, 0), load(b, 0)))


@kernel
def spread(a, out):
    prefetch(a, 10**6)
    store(out, 0, splat(a, 3))


@kernel
def there_and_back(array, starts, tile, result):
    gather(array, starts, 1, 2, tile, 5, tile.shape[1])
    scatter(result, starts, 1, 2, tile, 5, tile.shape[1])


@kernel
def products_there(array, other, starts, tile):
    gather_products(array, other, starts, 1, 2, tile, 5, tile.shape[1])


@kernel
def past(a, out, place):
    store_past_caches(out, place, load(a, 0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
class TestVectors:
    def count(self, dtype):
        return BYTES // np.dtype(dtype).itemsize

    def test_arithmetic_is_that_of_numbers(self, dtype):
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(2, self.count(dtype))).astype(dtype)
        a[0], b[1], a[2] = np.nan, -0.0, np.inf
        out = np.empty_like(a)
        with np.errstate(all="ignore"):
            on_vectors(a, b, out)
            expected = np.array([body(x, y) for x, y in zip(a, b, strict=True)])
        np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps)

    def test_every_lane_counts_and_nan_is_never_less(self, dtype):
        a, b = np.zeros(self.count(dtype), dtype), np.ones(self.count(dtype), dtype)
        out = np.empty_like(a)
        assert on_vectors(a, b, out)
        for place in range(a.size):
            for wrong in (1.0, np.nan):
                c = a.copy()
                c[place] = wrong
                assert not on_vectors(c, b, out)

    def test_splat(self, dtype):
        out = np.zeros(self.count(dtype), dtype)
        spread(np.arange(10, dtype=dtype), out)
        assert (out == 3).all()

    def test_gather_transposes_and_scatter_brings_back(self, dtype):
        rng = np.random.default_rng(0)
        count = self.count(dtype)
        array = rng.normal(size=50 * count).astype(dtype)
        starts = np.concatenate(([-7], 45 * np.arange(count)[::-1])).astype(np.int64)
        tile = np.zeros((count + 1, count + 3), dtype)
        result = np.zeros_like(array)
        there_and_back(array, starts, tile, result)
        for lane in range(count):
            piece = slice(starts[1 + lane] + 2, starts[1 + lane] + 2 + count)
            flat = tile.ravel()[5 + lane :: count + 3][:count]
            assert (flat == array[piece]).all()
            assert (result[piece] == array[piece]).all()
        assert np.count_nonzero(result) == count * count

    def test_gather_products_transposes_products(self, dtype):
        rng = np.random.default_rng(1)
        count = self.count(dtype)
        array, other = rng.normal(size=(2, 50 * count)).astype(dtype)
        starts = np.concatenate(([-7], 45 * np.arange(count)[::-1])).astype(np.int64)
        tile = np.zeros((count + 1, count + 3), dtype)
        products_there(array, other, starts, tile)
        for lane in range(count):
            piece = slice(starts[1 + lane] + 2, starts[1 + lane] + 2 + count)
            assert (tile.ravel()[5 + lane :: count + 3][:count] == array[piece] * other[piece]).all()
        assert np.count_nonzero(tile) == count * count

    def test_store_past_caches(self, dtype):
        count = self.count(dtype)
        out = np.zeros(4 * count, dtype)
        place = -(out.ctypes.data // out.itemsize) % count
        past(np.arange(count, dtype=dtype), out, place)
        assert (out[place : place + count] == np.arange(count)).all()


def test_a_vector_needs_a_contiguous_array():
    out = np.zeros(8)
    with pytest.raises(Exception, match="C-contiguous"):
        spread(np.arange(32.0)[::2], out)


@kernel
def exponents(a, power, exponent, least):
    store(power, 0, power_below(load(a, 0)))
    store(exponent, 0, exponent_of(load(a, 0)))
    store(least, 0, least_of(load(least, 0), load(a, 0)))


@kernel
def plain_exponents(a, power, exponent, least):
    for k in range(a.size):
        power[k], exponent[k], least[k] = power_below(a[k]), exponent_of(a[k]), least_of(least[k], a[k])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exponents_of_vectors_and_of_numbers(dtype):
    count = BYTES // np.dtype(dtype).itemsize
    a = np.resize(np.array([1.0, -3.7, 1e-30, -1e30, 0.5, 2.0**-60, 1.9999, 7.0]), count).astype(dtype)
    power, exponent, least = np.zeros((3, count), dtype)
    least[:] = 0.75
    exponents(a, power, exponent, least)
    np.testing.assert_array_equal(exponent, np.frexp(a)[1] - 1)
    np.testing.assert_array_equal(power, np.ldexp(dtype(1), np.frexp(a)[1] - 1))
    below = np.nextafter(np.abs(a), dtype(0))
    np.testing.assert_array_equal(least, np.minimum(dtype(0.75), below))
    others = np.zeros((3, count), dtype)
    others[2] = 0.75
    plain_exponents(a, *others)
    np.testing.assert_array_equal(others, [power, exponent, least])
    if dtype == np.float64:
        np.testing.assert_array_equal(power, list(map(power_below, a.tolist())))
        np.testing.assert_array_equal(exponent, list(map(exponent_of, a.tolist())))
        np.testing.assert_array_equal(least, [least_of(0.75, x) for x in a.tolist()])


def test_zero_is_not_the_least_number():
    a = np.array([0.0, -0.0, np.nan, -np.inf, 5e-324, 1.0, 0.25, 0.0])
    power, exponent, least = np.zeros((3, 8))
    least[:] = 0.5
    exponents(a, power, exponent, least)
    assert least.tolist() == [0.5, 0.5, 0.5, 0.5, 0.0, 0.5, np.nextafter(0.25, 0), 0.5]
    assert least.tolist() == [least_of(0.5, x) for x in a.tolist()]
    assert power[:2].tolist() == [0.0, 0.0]
    assert not np.isfinite(power[2:4]).any()
