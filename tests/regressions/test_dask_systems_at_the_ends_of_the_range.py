"""Entries whose squares overflow gave NaN, "singular" and a determinant of 0; tiny ones a false warning."""

import numpy as np
import pytest

pytest.importorskip("dask")

import dask.array as da

import dask
import stridiag
from stridiag import dask as sd
from stridiag import linalg


@pytest.mark.parametrize(
    ("kind", "size"),
    [(np.float64, 1e308), (np.float64, 1e-308), (np.complex128, 1e300), (np.float32, 1e38), (np.float32, 1e-37)],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_results_are_those_of_one_piece(kind, size, elsewhere):
    # Or of such a size in one partition only.
    n, chunk = 40, 10
    factors = np.full(n, size)
    if elsewhere:
        factors[:chunk] = factors[2 * chunk :] = 1.0
    rng = np.random.default_rng(0)
    d, u = factors.astype(kind), (factors * (rng.random(n) / 3)).astype(kind)
    lower, upper = u[1:], u[:-1]
    b = (factors * rng.random(n)).astype(kind)
    A = stridiag.StridiagMatrix.from_diagonals({-1: lower, 0: d, 1: upper})
    chunked = [da.from_array(part, chunks=chunk) for part in (lower, d, upper, b)]
    with dask.config.set(scheduler="synchronous"):
        x = sd.solve(*chunked).compute()
        sign, log = dask.compute(*sd.slogdet(*chunked[:3]))
    expected = linalg.slogdet(A)
    eps = np.finfo(kind).eps
    assert abs(log - expected.logabsdet) <= 20 * eps * abs(expected.logabsdet)
    assert abs(sign - 1) <= 20 * eps
    # Rows of the matrix are of the size of their factors.
    scaled = stridiag.StridiagMatrix.from_diagonals({-1: lower / d[1:], 0: d / d, 1: upper / d[:-1]})
    assert np.abs(scaled @ x - b / d).max() <= 20 * eps
