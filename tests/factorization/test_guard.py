"""The guard must refuse what is wrong, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from stridiag._kernels import compressed_check
from stridiag.factorization.dense import DenseLU, DenseQR
from stridiag.factorization.guard import check_solves


class Spoiled:
    """A right decomposition whose solutions get an error of a given relative size."""

    def __init__(self, matrix, error, *, adjoint):
        self.inner = DenseQR(matrix)
        self.error = error
        self.adjoint = adjoint

    def solve(self, b, *, adjoint=False):
        x = self.inner.solve(b, adjoint=adjoint)
        if adjoint == self.adjoint:
            x[-1] += self.error * np.abs(x).max()
        return x


def normal(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, n))
    return (matrix + 1j * rng.standard_normal((n, n)) if dtype[0] == "c" else matrix).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("n", [1, 2, 10, 100])
@pytest.mark.parametrize("kind", [np.array, csc_array])
def test_accepts_the_right_and_refuses_the_wrong(dtype, n, kind):
    matrix = normal(n, dtype)
    eps = np.finfo(dtype).eps
    assert check_solves(DenseQR(matrix), kind(matrix)).passed
    for adjoint in (False, True):
        for error in (1e4 * eps, 1.0, np.inf, np.nan):
            assert not check_solves(Spoiled(matrix, error, adjoint=adjoint), kind(matrix)).passed


def test_dense_and_sparse_agree():
    matrix = normal(50, "c16") * (np.random.default_rng(1).random((50, 50)) < 0.2)
    spoiled = Spoiled(matrix, 1e-3, adjoint=True)
    dense, sparse = check_solves(spoiled, matrix), check_solves(spoiled, csc_array(matrix))
    assert dense.error == pytest.approx(sparse.error, rel=1e-10)
    assert dense.growth == pytest.approx(sparse.growth, rel=1e-10)


@pytest.mark.parametrize(("dtype", "exponent"), [("f4", 36), ("f8", 300), ("c8", 36), ("c16", 300)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_scale_does_not_matter(dtype, exponent, sign):
    scale = np.dtype(dtype).type(0).real.dtype.type(10.0) ** (sign * exponent)
    matrix = (normal(20, dtype) * scale).astype(dtype)
    check = check_solves(DenseLU(matrix), matrix)
    assert check.passed
    reference = check_solves(DenseLU(normal(20, dtype)), normal(20, dtype))
    assert check.growth == pytest.approx(reference.growth, rel=1e-3)
    assert not check_solves(Spoiled(matrix, 1e-2, adjoint=False), matrix).passed


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_grading_over_the_whole_range(dtype):
    exponent = {"f4": 36, "f8": 300}[dtype]
    matrix = np.diag(np.logspace(-exponent, exponent, 20)).astype(dtype)
    assert check_solves(DenseLU(matrix), matrix).passed


def test_nearly_singular_matrices_pass():
    left, _ = np.linalg.qr(normal(30, "f8"))
    right, _ = np.linalg.qr(normal(30, "f8", seed=1))
    for smallest in (1e-8, 1e-12, 1e-17):
        matrix = (left * np.append(np.ones(29), smallest)) @ right
        check = check_solves(DenseLU(matrix), matrix)
        assert check.passed
        assert check.nearly_singular == (smallest < 1e-16)
        assert check.growth > 0.01 / max(smallest, 1e-15)


def test_empty_matrix_passes():
    check = check_solves(DenseLU(np.zeros((0, 0))), np.zeros((0, 0)))
    assert check.passed
    assert not check.nearly_singular


def test_names_a_column_that_depends_on_the_others():
    rng = np.random.default_rng(2)
    for _ in range(10):
        matrix = rng.standard_normal((12, 12))
        part = rng.choice(12, 4, replace=False)
        matrix[:, part[0]] = matrix[:, part[1:]] @ rng.uniform(0.5, 2, 3)
        check = check_solves(DenseQR(matrix), matrix)
        assert check.nearly_singular
        assert check.column in part


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_norms_and_residuals_of_compressed_columns(dtype):
    rng = np.random.default_rng(4)
    dense = rng.standard_normal((30, 30)) * (rng.random((30, 30)) < 0.2)
    if np.dtype(dtype).kind == "c":
        dense = dense * np.exp(1j * rng.random((30, 30)))
    dense = dense.astype(dtype)
    x, b = rng.standard_normal((2, 30)).astype(dtype)
    sparse = csc_array(dense)
    parts = (sparse.indptr, sparse.indices, sparse.data)
    row, column = compressed_check.norms(*parts, np.empty(30))
    np.testing.assert_allclose((row, column), (np.abs(dense).sum(1).max(), np.abs(dense).sum(0).max()), rtol=1e-6)
    for adjoint, matrix in ((False, dense), (True, dense.conj().T)):
        rest = np.empty_like(b)
        found = compressed_check.largest_residual(*parts, x, b, adjoint, rest)
        np.testing.assert_allclose(rest, b - matrix @ x, atol=1e-4 if dtype is np.float32 else 1e-13)
        assert found == pytest.approx(np.abs(rest).max(), rel=1e-6)
    sparse.data[3] = np.nan
    assert np.isnan(compressed_check.norms(*parts, np.empty(30))).all()
    assert np.isnan(compressed_check.largest_residual(*parts, x, b, False, np.empty_like(b)))
