"""SuperLU behind its guard: the matrices on which it fails must come out right all the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, diags_array

import stridiag
from stridiag.errors import SizeLimitError
from stridiag.factorization import multiply_out, sparse_lu, sparse_qr
from stridiag.factorization.guard import check_solves
from stridiag.factorization.sparse_lu import SparseLU, factor_sparse
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio

DTYPES = ["f4", "f8", "c8", "c16"]
SIZES = [0, 1, 2, 3, 5, 10, 50, 333]


def normal(rng, shape, dtype):
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype[0] == "c" else values).astype(dtype)


def random_chain(n, dtype="f8", *, offsets=(-3, 0, 2), links=5, seed=0):
    rng = np.random.default_rng([seed, n])
    matrix = np.zeros((n, n), dtype)
    for k in offsets:
        if abs(k) < n:
            matrix += np.diag(normal(rng, n - abs(k), dtype) + (2 if k == 0 else 0), k).astype(dtype)
    for i, j in rng.integers(0, max(n, 1), (links if n > 3 else 0, 2)):
        matrix[i, j] += 1
    return csc_array(matrix)


def constant_chain(n, values, *, seed=0, links=10):
    """Return the chain with constant (sub, main, super) diagonals and random links."""
    rng = np.random.default_rng(seed)
    near = diags_array([np.full(n - abs(k), values[k + 1], float) for k in (-1, 0, 1)], offsets=[-1, 0, 1])
    rows, columns = rng.integers(0, n, links), rng.integers(0, n, links)
    far = coo_array((rng.standard_normal(links), (rows, columns)), shape=(n, n))
    return csc_array(near + far)


def assert_exact(factored, matrix):
    dense = matrix.toarray()
    n = dense.shape[0]
    dtype = dense.dtype.str[1:]
    b = normal(np.random.default_rng(7), (n, 3), dtype)
    for trans in ("N", "H"):
        x = factored.solve(b.copy(), adjoint=trans == "H")
        assert x.dtype == dense.dtype
        assert x.shape == b.shape
        assert x.flags.c_contiguous
        assert solve_ratio(dense, x, b, trans) < THRESHOLD
    assert factor_ratio(dense, factored.multiply(np.eye(n, dtype=dtype))) < THRESHOLD
    condition = np.linalg.cond(dense.astype("c16")) if n else 1.0
    expected = np.linalg.slogdet(dense.astype("c16"))
    assert slogdet_ratio(factored.slogdet(), expected, n, condition, dtype=dense.dtype) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_random(n, dtype):
    matrix = random_chain(n, dtype)
    factored = factor_sparse(matrix)
    assert factored.singularity is None
    assert isinstance(factored, SparseLU if n else SparseQR)
    assert_exact(factored, matrix)
    assert n == 0 or factored.nbytes > matrix.data.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 10, 50])
def test_row_scaling_is_undone_exactly(n, dtype):
    matrix = random_chain(n, dtype, seed=1)
    exponents = np.random.default_rng(n).integers(-4, 5, n, dtype=np.int32)
    assert_exact(SparseLU(matrix, exponents), matrix)


def backward_error(factored, matrix, *, adjoint):
    """Return the normwise backward error for a right-hand side that the guard has not seen."""
    b = np.random.default_rng(99).standard_normal((matrix.shape[0], 1))
    x = factored.solve(b.copy(), adjoint=adjoint)
    operator = matrix.T if adjoint else matrix
    norm = abs(operator).sum(axis=1).max()
    return np.abs(b - operator @ x).max() / (norm * np.abs(x).max() + np.abs(b).max())


GROWING = [(-0.9, 0.99, 1.0), (1.0, 0.99, -0.9), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (1.0, 0.0, 1.0)]


@pytest.mark.parametrize("n", [50, 333, 1000, 2000])
@pytest.mark.parametrize("values", [*GROWING, (1.0, 1.0, 1.0), (1.0, -1.0, 1.0)])
def test_constant_chains(n, values):
    for seed in range(2):
        matrix = constant_chain(n, values, seed=seed)
        factored = factor_sparse(matrix)
        assert factored.singularity is None
        for adjoint in (False, True):
            error = backward_error(factored, matrix, adjoint=adjoint)
            assert error < THRESHOLD * np.finfo(float).eps * n**0.5


@pytest.mark.parametrize(("n", "seed"), [(333, 0), (1000, 0), (1000, 1), (2000, 0)])
def test_superlu_alone_fails_and_the_guard_notices(n, seed):
    matrix = constant_chain(n, (-0.9, 0.99, 1.0), seed=seed)
    alone = SparseLU(matrix)
    assert backward_error(alone, matrix, adjoint=False) > 1e-4
    assert not check_solves(alone, matrix).passed
    factored = factor_sparse(matrix)
    assert factored.name != alone.name
    assert check_solves(factored, matrix).passed


def test_determinant_where_superlu_alone_is_wrong():
    matrix = constant_chain(1000, (1.0, 0.99, -0.9), seed=1)
    expected = SparseQR(matrix).slogdet()
    # By two orders of elimination that share nothing: R's diagonal does not depend on the order of rows.
    assert np.log(np.abs(np.linalg.qr(matrix.toarray())[1].diagonal())).sum() == pytest.approx(expected[1])
    assert abs(SparseLU(matrix).slogdet()[1] - expected[1]) > 1
    assert slogdet_ratio(factor_sparse(matrix).slogdet(), expected, 1000, 10.0) < THRESHOLD


def test_well_conditioned_matrix_that_superlu_calls_singular():
    # It did with scipy 1.17; elsewhere rounding may spare it.
    matrix = constant_chain(1000, (-0.9, 0.99, 1.0), seed=7)
    assert np.linalg.cond(matrix.toarray()) < 1e4
    factored = factor_sparse(matrix)
    assert factored.singularity is None
    assert backward_error(factored, matrix, adjoint=False) < 1e-14


@pytest.mark.parametrize("failure", [RuntimeError("Factor is exactly singular"), MemoryError(), None])
def test_rotations_are_the_last_resort(monkeypatch, failure):
    tries = []

    class Failing(SparseLU):
        def __init__(self, matrix, exponents=None, *, transposed=False):
            tries.append(exponents)
            if failure is not None:
                raise failure
            super().__init__(matrix, exponents, transposed=transposed)

        def solve(self, b, *, adjoint=False):
            return 1.001 * super().solve(b, adjoint=adjoint)

    monkeypatch.setattr(sparse_lu, "SparseLU", Failing)
    matrix = random_chain(50)
    factored = factor_sparse(matrix)
    assert isinstance(factored, SparseQR)
    assert factored.singularity is None
    assert_exact(factored, matrix)
    assert tries[0] is None
    assert set(tries[1].tolist()) <= set(range(-4, 5))
    assert len(set(tries[1].tolist())) > 3


def test_too_much_fill_says_that_superlu_was_tried(monkeypatch):
    monkeypatch.setattr(sparse_qr, "MAX_FILL_BYTES", 1000)
    matrix = constant_chain(333, (-0.9, 0.99, 1.0))
    # No rounding grows where there is nothing to scale: make both attempts fail.
    monkeypatch.setattr(sparse_lu, "_random_exponents", lambda n: np.zeros(n, np.int32))
    with pytest.raises(SizeLimitError, match="limit is 1000 bytes") as caught:
        factor_sparse(matrix)
    assert "SuperLU was tried first" in caught.value.__notes__[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "rows",
    [
        [[1, 1], [1, 1]],
        [[0, 2, 1], [1, 1, 1], [0, 4, 2]],
        [[0]],
        [[1, 1, 0], [1, 2, 0], [1, 3, 0]],
        [[1, 0, 0], [0, 0, 0], [0, 0, 1]],
    ],
)
def test_singular_matrices_stay_singular(rows, dtype):
    matrix = csc_array(np.array(rows).astype(dtype))
    factored = factor_sparse(matrix)
    assert factored.singularity is not None
    without = np.delete(np.array(rows), factored.singularity.column, axis=1)
    # NumPy before 2.3 refuses matrices without columns.
    assert (np.linalg.matrix_rank(without) if without.size else 0) == np.linalg.matrix_rank(np.array(rows))
    phase, log = factored.slogdet()
    assert phase == 0
    assert log == -np.inf
    assert np.isnan(factored.solve(np.ones((len(rows), 1), dtype))).all()


def test_singular_integers_whose_zero_pivot_scaling_hides():
    hidden = 0
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(3, 9))
        dense = rng.integers(-3, 4, (n, n)).astype(float)
        dense[-1] = dense[0] + dense[1]
        matrix = csc_array(dense)
        try:
            SparseLU(matrix)
        except RuntimeError:
            factored = factor_sparse(matrix)
            assert factored.singularity is not None
            without = np.delete(dense, factored.singularity.column, axis=1)
            assert np.linalg.matrix_rank(without) == np.linalg.matrix_rank(dense)
            hidden += not SparseQR(matrix).singularity
    assert hidden > 10


def test_singular_integer_chains():
    # The second difference with free ends: row sums vanish, elimination is exact and ends with a zero.
    for n in (2, 3, 10, 50):
        main = np.full(n, 2.0)
        main[[0, -1]] = 1
        near = np.full(n - 1, -1.0)
        matrix = csc_array(diags_array([near, main, near], offsets=[-1, 0, 1]))
        assert factor_sparse(matrix).singularity is not None
        main[-1] = 2
        assert factor_sparse(csc_array(diags_array([near, main, near], offsets=[-1, 0, 1]))).singularity is None


@pytest.mark.parametrize(("dtype", "exponent"), [("f4", 36), ("f8", 300), ("c8", 36), ("c16", 300)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_far_from_one(dtype, exponent, sign):
    matrix = random_chain(50, dtype)
    scale = 10.0 ** (sign * exponent)
    matrix.data *= matrix.data.dtype.type(scale)
    factored = factor_sparse(matrix)
    assert isinstance(factored, SparseLU)
    b = (normal(np.random.default_rng(0), (50, 2), dtype) * matrix.dtype.type(scale)).astype(dtype)
    for trans in ("N", "H"):
        x = factored.solve(b.copy(), adjoint=trans == "H")
        assert solve_ratio(matrix, x, b, trans) < THRESHOLD


@pytest.mark.parametrize("side", ["rows", "columns", "both"])
def test_graded(side):
    grading = diags_array(np.logspace(-60, 60, 50))
    matrix = random_chain(50)
    matrix = matrix @ grading if side == "columns" else grading @ matrix
    matrix = csc_array(matrix @ grading if side == "both" else matrix)
    factored = factor_sparse(matrix)
    b = np.random.default_rng(0).standard_normal((50, 2))
    for trans in ("N", "H"):
        x = factored.solve(b.copy(), adjoint=trans == "H")
        assert solve_ratio(matrix, x, b, trans) < THRESHOLD


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 25, 49])
def test_non_finite_values_are_not_hidden(value, place):
    matrix = random_chain(50)
    dense = matrix.toarray()
    dense[place, place] = value
    with np.errstate(all="ignore"):  # for kernels that run uncompiled
        assert np.isnan(factor_sparse(csc_array(dense)).solve(np.ones((50, 1)))).any()


def test_leaves_an_input_with_duplicates_alone():
    matrix = csc_array(([1.0, 2.0, 5.0, 3.0, 4.0], [2, 0, 2, 1, 2], [0, 3, 4, 5]), shape=(3, 3))
    before = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
    factored = factor_sparse(matrix)
    assert_exact(factored, csc_array(matrix.toarray()))
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        np.testing.assert_array_equal(part, kept)


def test_no_right_hand_side():
    factored = factor_sparse(random_chain(10))
    for adjoint in (False, True):
        assert factored.solve(np.zeros((10, 0)), adjoint=adjoint).shape == (10, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_factors_of_the_transpose_serve_the_matrix(dtype, scaled):
    A = stridiag.random(60, (-3, 0, 2), 10, rng=0, dtype=dtype)
    matrix = A.to_scipy("csc")
    exponents = np.random.default_rng(0).integers(-3, 4, 60) if scaled else None
    lu = SparseLU(matrix, exponents, transposed=True)
    b = np.ascontiguousarray((A @ np.arange(120.0).reshape(60, 2)).astype(dtype))
    assert solve_ratio(A, lu.solve(b.copy()), b) < 30
    assert solve_ratio(A, lu.solve(b.copy(), adjoint=True), b, "H") < 30
    eye = np.eye(60, dtype=dtype)
    assert factor_ratio(A.toarray(), lu.multiply(eye)) < 30
    assert factor_ratio(A.toarray(), multiply_out(lu.factors(), eye)) < 30
    wide = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
    assert slogdet_ratio(lu.slogdet(), np.linalg.slogdet(wide), 60, np.linalg.cond(wide), dtype=dtype) < 30


@pytest.mark.parametrize("hub", ["row", "column"])
def test_hubs_are_cheap_either_way(hub):
    n = 3000
    spokes = np.arange(2, n)
    ends = (np.zeros(spokes.size, int), spokes)
    links = (*(ends if hub == "row" else ends[::-1]), np.full(spokes.size, 0.5))
    A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: 4.0, 1: 1.0}, links, shape=n)
    decomposition = factor_sparse(A.to_scipy("csc"))
    assert decomposition.nbytes < 100 * A.values.nbytes
    b = np.ones((n, 1))
    assert solve_ratio(A, decomposition.solve(b.copy()), b) < 30
