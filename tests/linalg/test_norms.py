"""Norms and condition numbers against numpy.linalg."""

import time

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, linalg

ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
MATRICES = {
    "chain": stridiag.random(40, (-1, 0, 1), 3, rng=0),
    "offset": stridiag.random(40, (-3, 0, 2), 3, rng=1, dominant=True),
    "complex": stridiag.random(20, (-2, 0, 2), 3, rng=2, dtype="complex128"),
    "tall": stridiag.random((30, 12), (-7, 0, 2), 3, rng=3),
    "wide": stridiag.random((3, 12), (-1, 0, 2), 3, rng=4),
    "one": StridiagMatrix.from_diagonals({0: [-3.0]}),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", MATRICES)
def test_norms(name, order):
    A = MATRICES[name]
    assert linalg.norm(A, order) == pytest.approx(np.linalg.norm(A.toarray(), order), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["chain", "offset", "complex", "one"])
def test_condition_numbers(name, order):
    A = MATRICES[name]
    ours, theirs = linalg.cond(A, order), np.linalg.cond(A.toarray(), order)
    if order in (1, np.inf):
        # An estimate, said to be one.
        assert theirs / 3 <= ours <= theirs * (1 + 1e-9)
    else:
        assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("order", [None, 2, -2])
@pytest.mark.parametrize("name", ["tall", "wide"])
def test_condition_of_rectangular_matrices(name, order):
    A = MATRICES[name]
    assert linalg.cond(A, order) == pytest.approx(np.linalg.cond(A.toarray(), order), rel=1e-11)


def test_large_matrices_take_lanczos():
    n = 3000
    A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 4.0, 1: -1.0}, shape=n)
    largest = 4 + 2 * np.cos(np.pi / (n + 1))
    smallest = 4 - 2 * np.cos(np.pi / (n + 1))
    assert linalg.norm(A, 2) == pytest.approx(largest, rel=1e-9)
    assert linalg.cond(A) == pytest.approx(largest / smallest, rel=1e-6)
    assert linalg.cond(A, -2) == pytest.approx(smallest / largest, rel=1e-6)
    for order in ("nuc", -2):
        with pytest.raises(stridiag.SizeLimitError, match="2048"):
            linalg.norm(A, order)
    with pytest.raises(stridiag.SizeLimitError, match="2048"):
        linalg.cond(A, "fro")
    with pytest.raises(stridiag.SizeLimitError, match="rectangular"):
        linalg.cond(stridiag.random((3000, 2500), (0,), rng=0))


def test_an_iteration_that_does_not_settle_says_so_in_time():
    A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=200_000)
    start = time.perf_counter()
    with pytest.raises(stridiag.ConvergenceError, match=r"Orders 1, inf and 'fro' need no iteration"):
        linalg.norm(A, 2)
    assert time.perf_counter() - start < 120


def test_frobenius_norm_does_not_overflow():
    A = StridiagMatrix.from_diagonals({0: [3e300, 4e300]})
    assert linalg.norm(A) == pytest.approx(5e300, rel=1e-15)
    assert linalg.norm(StridiagMatrix.from_diagonals({0: [3e-300, 4e-300]})) == pytest.approx(5e-300, rel=1e-15)
    assert linalg.norm(StridiagMatrix.from_diagonals({0: [0.0, 0.0]})) == 0.0
    assert linalg.norm(StridiagMatrix.from_diagonals({0: [np.inf, 1.0]})) == np.inf
    assert np.isnan(linalg.norm(StridiagMatrix.from_diagonals({0: [np.nan, 1.0]})))


def test_batches():
    A = stridiag.random(6, rng=0)
    B = A.with_values(np.stack([A.values, 2 * A.values]))
    for order in ORDERS:
        np.testing.assert_allclose(linalg.norm(B, order), [linalg.norm(A, order), 2 * linalg.norm(A, order)])
        np.testing.assert_allclose(linalg.cond(B, order), np.repeat(linalg.cond(A, order), 2), rtol=1e-9)


def test_a_zero_matrix_has_infinite_condition_in_every_order():
    for order in (None, 1, np.inf, 2, -2, "fro"):
        assert linalg.cond(StridiagMatrix.from_diagonals({0: [0.0, 0.0]}), order) == np.inf


def test_singular_matrices_have_infinite_condition():
    A = StridiagMatrix.from_diagonals({0: [1.0, 0.0]})
    for order in (None, 1, np.inf, 2, "fro"):
        assert linalg.cond(A, order) == np.inf


def test_refusals():
    A = stridiag.random(3, rng=0)
    with pytest.raises(ValueError, match=r"ord must be one of .*got 3"):
        linalg.norm(A, 3)
    with pytest.raises(ValueError, match=r"p must be one of .*got 'max'"):
        linalg.cond(A, "max")
    empty = StridiagMatrix.from_diagonals({0: np.zeros(0)})
    assert linalg.norm(empty) == 0.0
    for function in (lambda: linalg.norm(empty, 1), lambda: linalg.cond(empty)):
        with pytest.raises(ValueError, match=r"\(0, 0\)"):
            function()
    for order in (2, "fro"):
        with pytest.raises(stridiag.NonFiniteError):
            linalg.cond(A.with_values(np.full(A.nnz, np.nan)), order)
