"""Vectors in chain order: lanes and plain loops put the same entries in the same places."""

import numpy as np
import pytest

from stridiag._kernels import chain_order


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("g", [1, 2, 8, 9, 16, 37])
@pytest.mark.parametrize("n", [40, 64, 127, 300])
def test_there_and_back(n, g, dtype):
    order = np.concatenate([np.arange(c, n, g) for c in range(g)])
    starts = np.concatenate(([0], np.cumsum([len(range(c, n, g)) for c in range(g)])))
    b = np.arange(n).astype(dtype)
    for to, back in (
        (chain_order.to_chains, chain_order.from_chains),
        (chain_order.plain_to_chains, chain_order.plain_from_chains),
    ):
        x, y = np.full((2, n), np.nan, dtype)
        to(b, starts, x)
        np.testing.assert_array_equal(x, b[order])
        back(x, starts, y)
        np.testing.assert_array_equal(y, b)
        # Of a diagonal beside the main one each chain has an entry less: a zero takes its place.
        to(b[: n - g], starts, x)
        np.testing.assert_array_equal(x, np.where(order < n - g, b[order], 0))
