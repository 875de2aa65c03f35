"""Dense LU and QR, and the choice between them."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.factorization.dense import DenseLU, DenseQR, factor_dense
from stridiag.factorization.guard import check_solves
from stridiag.factorization.singularity import Singularity
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio

DTYPES = ["f4", "f8", "c8", "c16"]
SIZES = [0, 1, 2, 3, 5, 10, 50, 333]


def normal(shape, dtype, seed=0):
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype[0] == "c" else values).astype(dtype)


def assert_exact(factored, matrix, *, columns=3, scale=1.0):
    n = matrix.shape[0]
    dtype = matrix.dtype.str[1:]
    b = (normal((n, columns), dtype, seed=7) * np.dtype(dtype).type(scale)).astype(dtype)
    for trans in ("N", "H"):
        x = factored.solve(b.copy(), adjoint=trans == "H")
        assert x.dtype == matrix.dtype
        assert x.shape == b.shape
        assert x.flags.c_contiguous
        assert solve_ratio(matrix, x, b, trans) < THRESHOLD
    assert factor_ratio(matrix, factored.multiply(np.eye(n, dtype=dtype))) < THRESHOLD
    unscaled = matrix.astype("c16") / scale
    phase, log = np.linalg.slogdet(unscaled)
    condition = np.linalg.cond(unscaled) if n else 1.0
    expected = phase, log + n * np.log(scale)
    assert slogdet_ratio(factored.slogdet(), expected, n, condition, dtype=matrix.dtype) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", [DenseLU, DenseQR, factor_dense])
def test_random(n, dtype, kind):
    matrix = normal((n, n), dtype)
    kept = matrix.copy()
    factored = kind(matrix)
    np.testing.assert_array_equal(matrix, kept)
    assert factored.singularity is None
    assert_exact(factored, matrix)
    assert factored.nbytes >= matrix.nbytes
    if kind is factor_dense:
        assert isinstance(factored, DenseLU)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [DenseLU, DenseQR])
def test_every_layout(order, kind):
    matrix = np.asarray(normal((20, 20), "f8"), order=order)
    matrix.flags.writeable = False
    assert_exact(kind(matrix), matrix)
    strided = normal((40, 40), "f8")[::2, ::-2]
    assert_exact(kind(strided), strided)


@pytest.mark.parametrize("columns", [0, 1])
@pytest.mark.parametrize("kind", [DenseLU, DenseQR])
def test_few_right_hand_sides(columns, kind):
    matrix = normal((10, 10), "f8")
    assert_exact(kind(matrix), matrix, columns=columns)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [DenseLU, DenseQR])
def test_determinants_of_triangular_and_permuted_matrices(dtype, kind):
    # Zero columns below the diagonal: reflections with tau = 0 have determinant 1, not -1.
    triangular = np.triu(normal((9, 9), dtype)) + 2 * np.eye(9, dtype=dtype)
    assert_exact(kind(triangular), triangular)
    rotated = triangular[np.random.default_rng(3).permutation(9)]
    assert_exact(kind(rotated), rotated)


@pytest.mark.parametrize(("dtype", "scale"), [("f4", 1e36), ("f4", 1e-36), ("c16", 1e300), ("f8", 1e-300)])
@pytest.mark.parametrize("kind", [DenseLU, DenseQR, factor_dense])
def test_far_from_one(dtype, scale, kind):
    matrix = (normal((20, 20), dtype) * np.dtype(dtype).type(scale)).astype(dtype)
    assert_exact(kind(matrix), matrix, scale=scale)


@pytest.mark.parametrize("side", ["rows", "columns", "both"])
def test_graded(side):
    grading = np.logspace(-60, 60, 20)
    matrix = normal((20, 20), "f8")
    matrix = matrix * grading if side == "columns" else grading[:, None] * matrix
    if side == "both":
        matrix = matrix * grading
    factored = factor_dense(matrix)
    b = normal((20, 2), "f8", seed=1)
    for trans in ("N", "H"):
        assert solve_ratio(matrix, factored.solve(b.copy(), adjoint=trans == "H"), b, trans) < THRESHOLD


def wilkinson(n):
    """Return the matrix on which partial pivoting doubles the last column at each step."""
    matrix = np.eye(n) - np.tril(np.ones((n, n)), -1)
    matrix[:, -1] = 1
    return matrix


@pytest.mark.parametrize("dtype", DTYPES)
def test_growth_is_noticed(dtype):
    matrix = wilkinson(100).astype(dtype)
    # Entries of -1 and 1 alone stay exact; random ones behind them do not.
    matrix[:, -1] += normal((100,), dtype) / 10
    assert not check_solves(DenseLU(matrix), matrix).passed
    factored = factor_dense(matrix)
    assert isinstance(factored, DenseQR)
    assert check_solves(factored, matrix).passed
    assert_exact(factored, matrix)


def test_false_zero_pivot_is_overruled():
    # Growth of 2**79 swallows the difference of the last two columns, and LU meets an exact zero.
    n = 80
    matrix = np.zeros((n, n))
    matrix[:, :-1] = (np.eye(n) - np.tril(np.ones((n, n)), -1))[:, :-1]
    matrix[:, -2:] = 1
    matrix[-1, -1] = 3
    assert np.linalg.cond(matrix) < 1e4
    assert DenseLU(matrix).singularity is not None
    factored = factor_dense(matrix)
    assert isinstance(factored, DenseQR)
    assert factored.singularity is None
    b = normal((n, 2), "f8")
    assert solve_ratio(matrix, factored.solve(b.copy()), b) < THRESHOLD


@pytest.mark.parametrize(("place", "value"), [((320, 0), 2.0), ((332, 0), -3.0), ((320, 10), 2.0)])
def test_lapack_alone_fails_on_a_constant_chain_with_one_link(place, value):
    n = 333
    matrix = np.diag(np.full(n - 1, -0.9), -1) + 0.99 * np.eye(n) + np.diag(np.ones(n - 1), 1)
    matrix[place] = value
    assert np.linalg.cond(matrix) < 10
    assert check_solves(DenseLU(matrix), matrix).error > 0.01
    factored = factor_dense(matrix)
    assert isinstance(factored, DenseQR)
    b = normal((n, 2), "f8")
    for trans in ("N", "H"):
        assert solve_ratio(matrix, factored.solve(b.copy(), adjoint=trans == "H"), b, trans) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
def test_singular_matrix_whose_qr_has_no_exact_zero(dtype):
    matrix = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).astype(dtype)
    matrix = matrix[:, [1, 0, 2]]
    matrix[:, 2] = matrix[:, 0] - 3 * matrix[:, 1]
    factored = factor_dense(matrix)
    assert factored.singularity is not None
    phase, log = factored.slogdet()
    assert phase == 0
    assert log == -np.inf
    assert np.isnan(factored.solve(np.ones((3, 1), dtype))).all()


def test_lu_names_the_row_without_a_pivot():
    matrix = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.0, 4.0, 2.0]])
    factored = factor_dense(matrix)
    assert isinstance(factored, DenseLU)
    # Row 2 holds the larger pivot of column 1, so row 0 is left without one; column 2 is half of column 1.
    assert factored.singularity == Singularity(row=0, column=2)


def test_qr_names_a_zero_column():
    matrix = normal((6, 6), "f8")
    matrix[:, 3] = 0
    factored = factor_dense(matrix)
    assert factored.singularity.column == 3
    assert factored.slogdet() == (0, -np.inf)
    np.testing.assert_allclose(factored.multiply(np.eye(6)), matrix, atol=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 5, 9])
def test_non_finite_values_are_not_hidden(value, place):
    matrix = normal((10, 10), "f8")
    matrix[place, place] = value
    x = factor_dense(matrix).solve(np.ones((10, 1)))
    assert not np.isfinite(x).all()
