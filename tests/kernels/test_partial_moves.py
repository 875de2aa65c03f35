"""Moves of parts: what is outside is zero or stays as it is."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels.compile import kernel
from stridiag._kernels.partial_moves import gather_inside, scatter_from
from stridiag._kernels.vectors import BYTES

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")


@kernel
def bring_inside(array, starts, shift, tile):
    gather_inside(array, starts, 1, shift, tile, 5, tile.shape[1])


@kernel
def bring_back_from(array, starts, shift, tile, begins):
    scatter_from(array, starts, 1, shift, tile, 5, tile.shape[1], begins, 2)


@pytest.fixture(params=[np.float64, np.float32])
def case(request):
    """Return a random generator, the numbers of a vector, and a tile that is wider than it."""
    rng, count = np.random.default_rng(0), BYTES // np.dtype(request.param).itemsize
    return rng, count, rng.normal(size=(count + 1, count + 3)).astype(request.param)


class TestGatherInside:
    @pytest.mark.parametrize("length", [0, 1, 7, 20, 40])
    def test_zeros_stand_outside(self, case, length):
        rng, count, tile = case
        # Behind and before what is an array, more numbers stand, which must not be taken.
        whole = rng.normal(size=length + 200).astype(tile.dtype)
        array = whole[100 : 100 + length]
        for shift in (-3, 0, 4):
            starts = np.concatenate(([0], rng.integers(-40, length + 40, count)))
            starts[1:4] = -count - shift, -count + 1 - shift, length - shift - 1
            before, expected = tile.copy(), tile.copy().ravel()
            bring_inside(array, starts, shift, tile)
            for lane in range(count):
                for row in range(count):
                    at = starts[1 + lane] + shift + row
                    expected[5 + row * before.shape[1] + lane] = array[at] if 0 <= at < length else 0
            assert (tile.ravel() == expected).all()


class TestScatterFrom:
    @pytest.mark.parametrize("begins_type", [np.float64, np.float32, np.int64])
    def test_rows_before_stay(self, case, begins_type):
        rng, count, tile = case
        for shift in (-3, 0, 4):
            begins = rng.integers(shift - 5, shift + count + 5, count + 2).astype(begins_type)
            begins[2:5] = shift, shift + count - 1, shift + count
            starts = 50 + 60 * np.arange(count + 1)[::-1]
            array = rng.normal(size=60 * (count + 2)).astype(tile.dtype)
            expected = array.copy()
            bring_back_from(array, starts, shift, tile, begins)
            for lane in range(count):
                for row in range(count):
                    if shift + row >= begins[2 + lane]:
                        expected[starts[1 + lane] + shift + row] = tile.ravel()[5 + row * tile.shape[1] + lane]
            assert (array == expected).all()
