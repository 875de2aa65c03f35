"""Sparse QR: solves, determinants, structure and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import splu

from stridiag.errors import SizeLimitError
from stridiag.factorization import sparse_qr
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.planning.sparse import analyse
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio

DTYPES = ["f4", "f8", "c8", "c16"]
SIZES = [0, 1, 2, 3, 5, 10, 50, 333]


def normal(rng, shape, dtype):
    values = rng.standard_normal(shape)
    if dtype[0] == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def chain(n, dtype="f8", *, offsets=(-3, 0, 2), links=5, seed=0):
    """Return a random matrix of diagonals and links, a little away from singular."""
    rng = np.random.default_rng([seed, n])
    matrix = np.zeros((n, n), dtype)
    for k in offsets:
        if abs(k) < n:
            matrix += np.diag(normal(rng, n - abs(k), dtype) + (2 if k == 0 else 0), k).astype(dtype)
    for i, j in rng.integers(0, max(n, 1), (links if n > 3 else 0, 2)):
        matrix[i, j] += 1
    return matrix


def assert_exact(factored, matrix, *, columns=3):
    """Solve, adjoint solve, product and determinant against the matrix itself."""
    n = matrix.shape[0]
    dtype = matrix.dtype.str[1:]
    b = normal(np.random.default_rng(7), (n, columns), dtype)
    for trans in ("N", "H"):
        x = factored.solve(b.copy(), adjoint=trans == "H")
        assert x.dtype == matrix.dtype
        assert x.flags.c_contiguous
        assert solve_ratio(matrix, x, b, trans) < THRESHOLD
    assert factor_ratio(matrix, factored.multiply(np.eye(n, dtype=dtype))) < THRESHOLD
    condition = np.linalg.cond(matrix.astype("c16")) if n else 1.0
    expected = np.linalg.slogdet(matrix.astype("c16"))
    assert slogdet_ratio(factored.slogdet(), expected, n, condition, dtype=matrix.dtype) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-3, 0, 2), (-2, 5)])
def test_random_chains_with_links(n, dtype, offsets):
    matrix = chain(n, dtype, offsets=offsets)
    if 0 not in offsets:
        matrix += np.eye(n, dtype=dtype)[::-1]
    assert_exact(SparseQR(csc_array(matrix)), matrix)


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_matrix(dtype):
    matrix = normal(np.random.default_rng(0), (40, 40), dtype)
    factored = SparseQR(csc_array(matrix))
    assert_exact(factored, matrix)
    size = np.linalg.norm(np.linalg.qr(matrix)[1], axis=1)
    # R is unique up to the phases of its rows, so its diagonal must be that of any other QR.
    other = np.linalg.qr(matrix[:, factored._order])[1].diagonal()
    np.testing.assert_allclose(abs(factored.diagonal), abs(other), atol=100 * np.finfo(dtype).eps * size.max())


@pytest.mark.parametrize("columns", [0, 1, 2, 7])
def test_right_hand_sides_do_not_mix(columns):
    matrix = chain(50)
    factored = SparseQR(csc_array(matrix))
    b = np.random.default_rng(0).standard_normal((50, columns))
    for adjoint in (False, True):
        together = factored.solve(b.copy(), adjoint=adjoint)
        assert together.shape == b.shape
        for i in range(columns):
            alone = factored.solve(b[:, i : i + 1].copy(), adjoint=adjoint)
            np.testing.assert_allclose(together[:, i : i + 1], alone, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 50])
def test_permutations_are_exact(n):
    permutation = np.random.default_rng(n).permutation(n)
    matrix = np.eye(n)[permutation]
    factored = SparseQR(csc_array(matrix))
    b = np.random.default_rng(1).standard_normal((n, 2))
    np.testing.assert_array_equal(factored.solve(b.copy()), matrix.T @ b)
    np.testing.assert_array_equal(factored.multiply(b.copy()), matrix @ b)
    assert factored.slogdet() == (round(np.linalg.det(matrix)), 0.0)


@pytest.mark.parametrize(("dtype", "exponent"), [("f4", 36), ("f8", 300), ("c8", 36), ("c16", 300)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_far_from_one(dtype, exponent, sign):
    matrix = (chain(50, dtype) / 8 * dtype_power(dtype, sign * exponent)).astype(dtype)
    factored = SparseQR(csc_array(matrix))
    size = np.abs(matrix).max()
    b = (normal(np.random.default_rng(0), (50, 2), dtype) * size).astype(dtype)
    for trans in ("N", "H"):
        assert solve_ratio(matrix, factored.solve(b.copy(), adjoint=trans == "H"), b, trans) < THRESHOLD
    unscaled = matrix.astype("c16") / float(size)
    phase, log = np.linalg.slogdet(unscaled)
    expected = phase, log + 50 * np.log(float(size))
    condition = np.linalg.cond(unscaled)
    assert slogdet_ratio(factored.slogdet(), expected, 50, condition, dtype=dtype) < THRESHOLD


def dtype_power(dtype, exponent):
    return np.dtype(dtype).type(10.0) ** np.dtype(dtype).type(0).real.dtype.type(exponent)


@pytest.mark.parametrize("side", ["rows", "columns", "both"])
def test_graded(side):
    grading = np.logspace(-100, 100, 50)
    matrix = chain(50)
    if side != "columns":
        matrix = grading[:, None] * matrix
    if side != "rows":
        matrix = matrix * grading
    factored = SparseQR(csc_array(matrix))
    b = np.random.default_rng(0).standard_normal((50, 2))
    for trans in ("N", "H"):
        assert solve_ratio(matrix, factored.solve(b.copy(), adjoint=trans == "H"), b, trans) < THRESHOLD


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 0, 0], [0, 0, 0], [0, 0, 1]],
        [[1, 1, 0], [1, 2, 0], [1, 3, 0]],
        [[0, 0, 1], [0, 0, 1], [1, 1, 0]],
        [[0]],
        [[0, 0], [0, 0]],
    ],
)
def test_structurally_singular(rows):
    matrix = np.array(rows, float)
    factored = SparseQR(csc_array(matrix))
    column = factored.singularity.column
    # With a column of zeros in its place, for older numpys know no rank of an empty matrix.
    assert np.linalg.matrix_rank(np.where(np.arange(len(rows)) == column, 0.0, matrix)) == np.linalg.matrix_rank(matrix)
    assert factored.slogdet() == (0, -np.inf)
    assert np.isnan(factored.solve(np.ones((len(rows), 1)))).all()
    np.testing.assert_allclose(factored.multiply(np.eye(len(rows))), matrix, atol=1e-15)


def test_structural_singularity_that_fill_hides():
    # Columns 1 and 2 meet only row 0; rotations spread them over all rows, and rounding leaves no exact zero.
    rng = np.random.default_rng(1)
    matrix = np.zeros((6, 6))
    matrix[0] = rng.standard_normal(6)
    matrix[1:, [0, 3, 4, 5]] = rng.standard_normal((5, 4))
    factored = SparseQR(csc_array(matrix))
    assert factored.singularity in (Singularity(column=1), Singularity(column=2))


def test_exact_zero_of_r_names_the_original_column():
    matrix = np.array([[4.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    matrix[2, 0] = 3.0
    factored = SparseQR(csc_array(matrix))
    assert factored.singularity in (Singularity(column=1), Singularity(column=2))


def test_cancellation_leaves_rows_on_their_predicted_path():
    # Equal rows cancel completely wherever they meet, and must not fall outside the structure.
    rng = np.random.default_rng(0)
    for _ in range(30):
        matrix = rng.integers(-1, 2, (12, 12)) * (rng.random((12, 12)) < 0.4).astype(float)
        matrix[rng.integers(0, 12, 3)] = matrix[rng.integers(0, 12, 3)]
        factored = SparseQR(csc_array(matrix))
        np.testing.assert_allclose(factored.multiply(np.eye(12)), matrix, atol=1e-13)
        if np.linalg.matrix_rank(matrix) == 12:
            assert factored.singularity is None
            assert_exact(factored, matrix)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 25, 49])
def test_non_finite_values_are_not_hidden(value, place):
    matrix = chain(50)
    matrix[place, place] = value
    with np.errstate(all="ignore"):  # for kernels that run uncompiled
        factored = SparseQR(csc_array(matrix))
        for adjoint in (False, True):
            assert np.isnan(factored.solve(np.ones((50, 2)), adjoint=adjoint)).all()


def test_predicted_size_bounds_the_stored_size():
    for dtype in DTYPES:
        matrix = csc_array(chain(333, dtype, links=30))
        analysis = analyse(matrix)
        factored = SparseQR(matrix, analysis)
        assert 0.8 * analysis.qr_bytes(matrix.dtype) < factored.nbytes <= analysis.qr_bytes(matrix.dtype)


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_refuses_before_any_numeric_work(monkeypatch, share):
    matrix = csc_array(chain(50))
    predicted = analyse(matrix).qr_bytes(matrix.dtype)
    monkeypatch.setattr(sparse_qr, "MAX_FILL_BYTES", predicted)
    SparseQR(matrix)
    monkeypatch.setattr(sparse_qr, "MAX_FILL_BYTES", int(predicted * share))
    monkeypatch.setattr(sparse_qr.kernels, "factor_rows", None)
    with pytest.raises(SizeLimitError, match=rf"limit is {int(predicted * share)} bytes; use fewer links"):
        SparseQR(matrix)


def test_analysis_stops_at_its_limit():
    hub = np.eye(500)
    hub[0] = 1
    hub[:, 0] = 1
    full = analyse(csc_array(hub))
    assert full.complete
    assert full.entries == 500 * 501 // 2
    stopped = analyse(csc_array(hub), max_entries=1000)
    assert not stopped.complete
    assert stopped.entries <= 1000
    assert analyse(csc_array(hub), max_entries=full.entries).complete


@pytest.mark.parametrize("kind", ["empty", "half", "no diagonal", "row", "column"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 50])
def test_every_pattern_gets_an_order(kind, n):
    matrix = np.zeros((n, n))
    if kind == "half":
        matrix[: n // 2, : n // 2] = 1
    elif kind == "no diagonal":
        matrix = np.eye(n, k=1)
    elif kind == "row":
        matrix[:1] = 1
    elif kind == "column":
        matrix[:, :1] = 1
    analysis = analyse(csc_array(matrix))
    assert sorted(analysis.order.tolist()) == list(range(n))
    matched = n == 0 or np.linalg.matrix_rank(matrix * np.random.default_rng(0).random((n, n))) == n
    assert (analysis.unmatched is None) == matched
    assert SparseQR(csc_array(matrix), analysis).singularity == (
        None if matched else Singularity(column=analysis.unmatched)
    )


def test_order_is_superlu_s():
    for seed in range(5):
        matrix = csc_array(chain(333, links=40, seed=seed) + 20 * np.eye(333))
        order = np.argsort(splu(matrix, permc_spec="COLAMD").perm_c)
        np.testing.assert_array_equal(analyse(matrix).order, order)


def test_bound_of_lu_holds_whatever_rows_are_exchanged():
    rng = np.random.default_rng(0)
    tight = 0.0
    for seed in range(40):
        n = int(rng.integers(2, 25))
        matrix = csc_array(chain(n, offsets=(-2, 0, 1), links=n // 3, seed=seed))
        analysis = analyse(matrix)
        remaining = matrix.toarray()[:, analysis.order] != 0
        operations = lower = upper = 0
        for k in range(n):
            candidates = np.flatnonzero(remaining[k:, k]) + k
            chosen = rng.choice(candidates)
            remaining[[k, chosen]] = remaining[[chosen, k]]
            below = np.flatnonzero(remaining[k + 1 :, k]) + k + 1
            right = np.count_nonzero(remaining[k, k + 1 :])
            assert below.size + 1 <= analysis.active[k]
            assert right + 1 <= analysis.row_counts[k]
            operations += below.size * (1 + 2 * right)
            lower += below.size
            upper += 1 + right
            remaining[below] |= remaining[k]
            remaining[below, k] = False
        assert operations <= analysis.lu_operations
        assert 2 * (lower + upper) - n <= analysis.lu_solve_operations
        tight = max(tight, operations / max(analysis.lu_operations, 1))
    assert tight > 0.8


def test_work_stays_within_its_bound():
    for links in (0, 20):
        matrix = csc_array(chain(333, links=links))
        analysis = analyse(matrix)
        factored = SparseQR(matrix, analysis)
        _, _, first, _, _ = factored._q
        assert 0.8 * analysis.rotations < first.size <= analysis.rotations
        spent = 12 * first.size + 6 * (analysis.row_counts[first] - 1).sum()
        assert spent <= analysis.qr_operations
        assert analysis.qr_solve_operations == 6 * analysis.rotations + 2 * analysis.entries - 333


def test_takes_unsorted_duplicates_and_leaves_the_input_alone():
    rows, columns = [2, 0, 1, 2, 0, 2], [0, 0, 1, 2, 0, 0]
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    dense = coo_array((values, (rows, columns)), shape=(3, 3)).toarray()
    matrix = csc_array((values[:2] + values[4:] + values[2:4], [2, 0, 0, 2, 1, 2], [0, 4, 5, 6]), shape=(3, 3))
    before = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
    assert_exact(SparseQR(matrix), dense)
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        np.testing.assert_array_equal(part, kept)


def test_growth_does_not_exist():
    n = 2000
    rng = np.random.default_rng(0)
    near = diags_array([np.full(n - 1, -0.9), np.full(n, 0.99), np.ones(n - 1)], offsets=[-1, 0, 1])
    links = coo_array((np.ones(10), rng.integers(0, n, (2, 10))), shape=(n, n))
    matrix = csc_array(near + links)
    b = rng.standard_normal((n, 1))
    norm = abs(matrix).sum(axis=1).max()
    x = SparseQR(matrix).solve(b.copy())
    error = np.abs(b - matrix @ x).max() / (norm * np.abs(x).max() + np.abs(b).max())
    assert error < 10 * np.finfo(float).eps
