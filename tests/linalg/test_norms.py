"""Norms and condition numbers against numpy.linalg."""

import math

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag.factorization.counting import SingularValueCounter
from stridiag.linalg import blocks, norms

EPS = 2.0**-52
RNG = np.random.default_rng(0)

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


def second_difference(n, links=None):
    return StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, links, shape=n)


def test_long_constant_chains_by_counting():
    n = 100_000
    A = second_difference(n)
    largest, smallest = (4.0 * math.sin(k * math.pi / (2 * n + 2)) ** 2 for k in (n, 1))
    assert linalg.norm(A, 2) == pytest.approx(largest, rel=4e-12)
    # A value is that of a matrix within rounding errors: eps times the condition number, here 4e9.
    assert linalg.norm(A, -2) == pytest.approx(smallest, abs=2 * EPS * largest)
    assert linalg.cond(A) == pytest.approx(largest / smallest, rel=2 * EPS * largest / smallest + 1e-11)
    assert linalg.cond(A, -2) == 1.0 / linalg.cond(A, 2)
    shifted = A + StridiagMatrix.from_diagonals({0: 1.0}, shape=n)
    assert linalg.cond(shifted) == pytest.approx((largest + 1.0) / (smallest + 1.0), rel=1e-11)


def test_singular_chains_have_infinite_condition():
    n = 30_000
    periodic = second_difference(n, ([0, n - 1], [n - 1, 0], [-1.0, -1.0]))
    assert linalg.norm(periodic, 2) == pytest.approx(4.0, rel=4e-12)
    assert linalg.norm(periodic, -2) == 0.0
    assert linalg.cond(periodic) == np.inf
    assert linalg.cond(periodic, -2) == 0.0
    up, down = RNG.random(n - 1) + 0.1, RNG.random(n - 1) + 0.1
    generator = {1: up, -1: down, 0: -np.append(up, 0) - np.append(0, down)}
    assert linalg.cond(StridiagMatrix.from_diagonals(generator)) == np.inf
    # Zero rows, and blocks with more rows than columns beside blocks with fewer, leave values out.
    rows = np.arange(n)
    two_in_a_column = StridiagMatrix.from_diagonals({}, (rows, rows // 2, np.ones(n)), shape=n)
    assert linalg.cond(two_in_a_column) == np.inf
    assert linalg.norm(two_in_a_column, 2) == pytest.approx(math.sqrt(2.0), rel=4e-12)


LARGE = {
    "chain": stridiag.random(2500, (-1, 0, 1), rng=1),
    "links": stridiag.random(300, (-1, 0, 1), 12, rng=2),
    "blocks": stridiag.random(300, (-5, 0, 5), rng=3),
    "many blocks": stridiag.random(300, (-60, 0, 60), rng=9),
    "complex": stridiag.random(300, (-1, 0, 1), 5, rng=4, dtype="complex128"),
    "single": stridiag.random(300, (-1, 0, 1), 5, rng=5, dtype="float32", dominant=True),
    "tall": stridiag.random((450, 200), (-250, -1, 0, 1), 5, rng=6),
    "wide": stridiag.random((200, 450), (-1, 0, 1, 250), 5, rng=7, dtype="complex64"),
    "thin": stridiag.random((50_000, 9), (0, -3, -10_000, -49_900), 5, rng=8),
    "huge": stridiag.random(300, (-1, 0, 1), rng=1) * 1e300,
    "tiny": stridiag.random(300, (-1, 0, 1), rng=1) * 1e-300,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_matrices_against_dense(name, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_LIMIT", 1000)
    monkeypatch.setattr(blocks, "DENSE_SIDE", 8)
    A = LARGE[name]
    eps = EPS if A.dtype.itemsize >= 8 and A.dtype != "complex64" else 2.0**-23
    M = A.toarray()
    # Not numpy's Gram matrix of the thin one: QR keeps the singular values.
    sigma = np.linalg.svd(np.linalg.qr(M, mode="r") if name == "thin" else M, compute_uv=False)
    condition = float(sigma[0] / sigma[-1])
    assert linalg.norm(A, 2) == pytest.approx(sigma[0], rel=20 * eps + 2e-12)
    assert linalg.norm(A, -2) == pytest.approx(sigma[-1], rel=20 * eps * condition + 2e-12)
    assert linalg.cond(A) == pytest.approx(condition, rel=20 * eps * condition + 4e-12)
    assert linalg.cond(A).dtype == A.values.real.dtype


def test_iterations_where_counting_costs_too_much(monkeypatch):
    counter = SingularValueCounter.__init__
    monkeypatch.setattr(SingularValueCounter, "__init__", lambda self, matrix, _limit: counter(self, matrix, 10))
    monkeypatch.setattr(blocks, "BLOCK_LIMIT", 1000)
    monkeypatch.setattr(blocks, "DENSE_SIDE", 8)
    A = stridiag.random(300, (-1, 0, 1), 3, rng=10)
    sigma = np.linalg.svd(A.toarray(), compute_uv=False)
    assert linalg.norm(A, 2) == pytest.approx(sigma[0], rel=1e-8)
    assert linalg.norm(A, -2) == pytest.approx(sigma[-1], rel=1e-6)
    assert linalg.cond(A) == pytest.approx(sigma[0] / sigma[-1], rel=1e-6)
    with pytest.raises(stridiag.SizeLimitError, match="rectangular matrix would take too many operations"):
        linalg.cond(stridiag.random((300, 250), (-1, 0, 1), rng=0))
    monkeypatch.setattr(norms, "_WORK", 1)
    with pytest.raises(stridiag.ConvergenceError, match=r"Orders 1, inf and 'fro' need no iteration"):
        linalg.norm(second_difference(4000), 2)


def test_orders_that_need_all_singular_values_have_a_limit():
    A = second_difference(3000)
    with pytest.raises(stridiag.SizeLimitError, match="2048"):
        linalg.norm(A, "nuc")
    with pytest.raises(stridiag.SizeLimitError, match="2048"):
        linalg.cond(A, "fro")


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
