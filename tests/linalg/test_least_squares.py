"""Damped and weighted least squares, and the formulas for gradients of the documentation."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg

import stridiag
from stridiag import SizeLimitError, StridiagMatrix, linalg
from stridiag.linalg import blocks, least_squares

EPS = 2.0**-52
SHAPES = [(30, 30), (50, 20), (20, 50), (1, 6), (6, 1)]


def random(shape, seed=0, dtype="float64"):
    offsets = [k for k in (-2, 0, 1) if -shape[0] < k < shape[1]]
    return stridiag.random(shape, offsets, 4 if min(shape) > 5 else 0, rng=seed, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("damp", [1e-3, 0.7, 100.0])
def test_damp_is_a_ridge(shape, damp, dtype):
    A = random(shape, dtype=dtype)
    b = np.random.default_rng(1).standard_normal((shape[0], 3))
    M = A.toarray()
    n = shape[1]
    stacked = np.vstack([M, damp * np.eye(n)])
    theirs = np.linalg.lstsq(stacked, np.vstack([b, np.zeros((n, 3))]), rcond=None)[0]
    ours = linalg.lstsq(A, b, damp=damp)
    sigma = np.linalg.svd(stacked, compute_uv=False)
    error = np.linalg.norm(ours.x - theirs)
    assert error < 30 * EPS * sigma[0] / sigma[-1] * np.linalg.norm(b) / sigma[-1]
    assert ours.rank == n
    assert ours.singular_values is None
    np.testing.assert_allclose(ours.residuals, (np.abs(b - M @ theirs) ** 2).sum(axis=0), rtol=1e-9, atol=1e-13)
    one = linalg.lstsq(A, b[:, 0], damp=damp)
    assert one.x.shape == (n,)
    assert one.residuals.shape == (1,)
    if dtype == "float64":
        x = scipy.sparse.linalg.lsqr(A, b[:, 0], damp=damp, atol=1e-14, btol=1e-14)[0]
        np.testing.assert_allclose(one.x, x, atol=1e-7 * np.abs(x).max())


def test_damp_makes_singular_matrices_harmless():
    n = 3000
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, ([0, n - 1], [n - 1, 0], [1.0, 1.0]), shape=n)
    b = np.cos(2 * np.pi * 7 * np.arange(n) / n) + 5.0
    x = linalg.lstsq(A, b, damp=0.1).x
    eigenvalue = 2 * np.cos(2 * np.pi * 7 / n) - 2
    np.testing.assert_allclose(x, (b - 5.0) * eigenvalue / (eigenvalue**2 + 0.01), atol=1e-10)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_damp_at_the_ends_of_the_range(scale):
    A = random((20, 20))
    x = linalg.lstsq(A, np.ones(20), damp=0.5).x
    np.testing.assert_allclose(linalg.lstsq(A * scale, np.ones(20), damp=0.5 * scale).x * scale, x, rtol=1e-10)


def test_zero_matrices_and_single_precision_with_damp():
    zero = StridiagMatrix.from_diagonals({0: np.zeros(3)}, shape=(3, 4))
    np.testing.assert_array_equal(linalg.lstsq(zero, np.ones(3), damp=2.0).x, np.zeros(4))
    A = random((20, 20), dtype="float32")
    x = linalg.lstsq(A, np.ones(20, np.float32), damp=0.5).x
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, linalg.lstsq(A, np.ones(20), damp=0.5).x, rtol=1e-5)


@pytest.mark.parametrize("damp", [0.0, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights(shape, damp):
    rng = np.random.default_rng(2)
    A = random(shape)
    b = rng.standard_normal((shape[0], 2))
    w = rng.random(shape[0]) * (rng.random(shape[0]) < 0.8)
    ours = linalg.lstsq(A, b, weights=w, damp=damp)
    root = np.sqrt(w)[:, None]
    n = shape[1]
    stacked = np.vstack([root * A.toarray(), damp * np.eye(n)])
    target = np.vstack([root * b, np.zeros((n, 2))])
    # Leaving a row out is to have it zero.
    theirs = np.linalg.lstsq(stacked, target, rcond=max(shape) * EPS)[0]
    np.testing.assert_allclose(ours.x, theirs, atol=1e-8 * max(np.abs(theirs).max(), 1e-8))
    if damp or ((w > 0).sum() > n and ours.rank == n):
        np.testing.assert_allclose(ours.residuals, (root**2 * (b - A.toarray() @ theirs) ** 2).sum(axis=0), rtol=1e-8)
    else:
        assert ours.residuals.shape == (0,)


def test_weights_of_zero_drop_rows_and_their_rank():
    A = StridiagMatrix.from_diagonals({0: [1.0, 2.0, 3.0]})
    result = linalg.lstsq(A, [1.0, 1.0, 1.0], weights=[1, 0, 4])
    np.testing.assert_allclose(result.x, [1.0, 0.0, 1 / 3])
    assert result.rank == 2
    np.testing.assert_allclose(result.singular_values, [6.0, 1.0, 0.0])


def test_where_fill_is_too_much_a_dense_factorization_serves(monkeypatch):
    A, b = random((30, 30)), np.ones(30)
    x = linalg.lstsq(A, b, damp=0.5).x
    monkeypatch.setattr(least_squares, "FACTOR_WORK", 10)
    np.testing.assert_allclose(linalg.lstsq(A, b, damp=0.5).x, x, rtol=1e-11)
    monkeypatch.setattr(blocks, "BLOCK_LIMIT", 100)
    with pytest.raises(SizeLimitError, match=r"the damped problem is too large: .*limit is 1\.0e\+01"):
        linalg.lstsq(A, b, damp=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damp": -1.0}, "damp must be 0 or more and finite, got -1.0"),
        ({"damp": np.nan}, "damp must be 0 or more"),
        ({"damp": np.inf}, "damp must be 0 or more"),
        ({"damp": 1.0, "rtol": 1e-3}, "give damp or a tolerance"),
        ({"damp": 1.0, "rcond": 1e-3}, "give damp or a tolerance"),
        ({"damp": 1.0, "atol": 1e-3}, "give damp or a tolerance"),
        ({"weights": [1.0, 2.0]}, r"weights must be 3 real numbers, got dtype float64 and shape \(2,\)"),
        ({"weights": [1.0, 2.0, 1j]}, "weights must be 3 real numbers, got dtype complex128"),
        ({"weights": [1.0, -2.0, 1.0]}, "weights must be 0 or more, got -2.0"),
        ({"weights": [1.0, np.inf, 1.0]}, "weights must be finite"),
    ],
)
def test_refusals(options, message):
    A = StridiagMatrix.from_diagonals({0: np.ones(3)})
    with pytest.raises(ValueError, match=message):
        linalg.lstsq(A, np.ones(3), **options)


def test_non_finite_values_are_refused_with_damp_too():
    A = StridiagMatrix.from_diagonals({0: [1.0, np.nan, 1.0]})
    with pytest.raises(stridiag.NonFiniteError):
        linalg.lstsq(A, np.ones(3), damp=1.0)


def gradients(A, P, b, g):
    """Gradients of g' A^+ b by b and by the entries of A on its pattern: docs/theory/pseudoinverse.md."""
    x = P @ b
    w = P.T @ g
    r = b - A @ x
    y = P.T @ x
    s = P @ w
    p = g - P @ (A @ g)
    rows, columns = A.structure.coordinates()
    return w, -w[rows] * x[columns] + r[rows] * s[columns] + y[rows] * p[columns]


@pytest.mark.parametrize("side", [4, 256])
@pytest.mark.parametrize("shape", [(24, 24), (30, 20), (20, 30)])
def test_gradients_of_full_rank_least_squares(monkeypatch, shape, side):
    monkeypatch.setattr(blocks, "DENSE_SIDE", side)
    A = stridiag.random(shape, (-1, 0, 1), 2, rng=3, dominant=True)
    rng = np.random.default_rng(0)
    b, g = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    db, dA = gradients(A, linalg.pinv(A, rtol=1e-12), b, g)
    step = 1e-6
    for slot in range(A.nnz):
        e = np.zeros(A.nnz)
        e[slot] = step
        up = g @ linalg.lstsq(A.with_values(A.values + e), b, rtol=1e-12).x
        down = g @ linalg.lstsq(A.with_values(A.values - e), b, rtol=1e-12).x
        assert dA[slot] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6 * np.abs(dA).max())
    np.testing.assert_allclose(db, linalg.pinv(A).toarray().T @ g, atol=1e-10 * np.abs(db).max())


@pytest.mark.parametrize("side", [4, 256])
def test_gradients_where_the_rank_is_deficient(monkeypatch, side):
    # Scaling rows and columns keeps the rank, and so the formula must hold along such directions.
    monkeypatch.setattr(blocks, "DENSE_SIDE", side)
    n = 30
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, ([0, n - 1], [n - 1, 0], [1.0, 1.0]), shape=n)
    rng = np.random.default_rng(0)
    b, g = rng.standard_normal(n), rng.standard_normal(n)
    P = linalg.pinv(A, rtol=1e-12)
    assert P.rank == n - 1
    _, dA = gradients(A, P, b, g)
    rows, columns = A.structure.coordinates()
    for _ in range(5):
        left, right = rng.standard_normal(n), rng.standard_normal(n)

        def value(t, left=left, right=right):
            scaled = A.with_values(A.values * np.exp(t * left[rows]) * np.exp(t * right[columns]))
            return g @ linalg.lstsq(scaled, b, rtol=1e-12).x

        direction = A.values * (left[rows] + right[columns])
        numeric = (value(1e-5) - value(-1e-5)) / 2e-5
        assert dA @ direction == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize("weight", [1e-300, 1e300])
@pytest.mark.parametrize("damp", [0.0, 1e-2])
def test_weights_beyond_single_precision(weight, damp):
    A = stridiag.random((12, 5), (-7, -1, 0), 2, rng=0, dtype="float32")
    b = np.arange(12, dtype="float32")
    if damp:
        # A penalty that is as small or large as the weights.
        damp *= math.sqrt(weight)
    ours = linalg.lstsq(A, b, weights=np.full(12, weight), damp=damp)
    theirs = linalg.lstsq(A, b, damp=1e-2 if damp else 0.0)
    assert ours.x.dtype == ours.residuals.dtype == np.float32
    assert ours.rank == theirs.rank == 5
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-4)
    if not damp:
        assert ours.singular_values.dtype == np.float32


def test_weights_that_overflow_are_refused():
    A = StridiagMatrix.from_diagonals({0: [1e200, 1.0]})
    with pytest.raises(
        stridiag.NonFiniteError, match=r"rows .* overflow .* largest of which is 1e\+300.*common factor"
    ):
        linalg.lstsq(A, [1.0, 1.0], weights=[1e300, 1.0])


@pytest.mark.parametrize("weights", [False, True])
def test_damped_problems_without_rows(weights):
    A = StridiagMatrix.from_dense(np.zeros((0, 5)))
    ours = linalg.lstsq(A, np.zeros(0), damp=1.0, weights=np.ones(0) if weights else None)
    np.testing.assert_array_equal(ours.x, np.zeros(5))
    np.testing.assert_array_equal(ours.residuals, [0.0])
