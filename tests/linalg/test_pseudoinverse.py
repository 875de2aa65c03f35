"""Pseudoinverse, least squares, rank and null space against numpy.linalg and the Penrose conditions."""

import warnings

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given

import stridiag
from stridiag import AmbiguousRankWarning, SizeLimitError, StridiagMatrix, linalg
from stridiag.linalg import blocks as dense_blocks
from stridiag.linalg.blocks import split
from stridiag.testing import THRESHOLD, adjoint_ratio, closed_forms, penrose_ratios, zoo
from stridiag.testing.strategies import matrices


def cutoff_of(A):
    return max(A.structure.shape) * np.finfo(A.dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_penrose_conditions_and_rank_over_the_zoo(dtype):
    ambiguous = checked = 0
    for case in zoo(sizes=(0, 1, 2, 3, 5, 10, 50), dtypes=[dtype]):
        A = case.matrix
        try:
            P = linalg.pinv(A)
        except AmbiguousRankWarning:
            ambiguous += 1
            continue
        assert P.shape == A.shape[::-1]
        assert P.dtype == A.dtype
        if 0 in A.shape:
            continue
        assert max(penrose_ratios(A, P.toarray())) < THRESHOLD, case.name
        assert adjoint_ratio(P) < THRESHOLD, case.name
        wide = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
        assert P.rank == np.linalg.matrix_rank(wide, rtol=cutoff_of(A)), case.name
        if "singular" in case.tags:
            assert P.rank < A.shape[0], case.name
        checked += 1
    assert checked > 200
    assert ambiguous < 0.03 * checked


def agreement(A, P, **tolerance):
    """Return the difference from numpy's pseudoinverse in units of eps times condition."""
    M = A.toarray()
    theirs = np.linalg.pinv(M, **(tolerance or {"rtol": cutoff_of(A)}))
    sigma = np.linalg.svd(M, compute_uv=False)
    kept = sigma[: P.rank]
    condition = kept[0] / kept[-1] if kept.size else 1.0
    scale = np.abs(theirs).max() or 1.0
    return np.abs(P.toarray() - theirs).max() / (scale * condition * np.finfo(A.dtype).eps)


@given(matrices(max_size=12))
def test_agreement_with_numpy(A):
    with warnings.catch_warnings():
        warnings.simplefilter("error", AmbiguousRankWarning)
        try:
            P = linalg.pinv(A)
        except AmbiguousRankWarning:
            return
    if 0 in A.shape:
        assert P.toarray().shape == A.shape[::-1]
        return
    assert agreement(A, P) < 200


def test_rank_deficient_matrices_of_every_shape():
    rng = np.random.default_rng(0)
    for shape in ((20, 20), (30, 12), (12, 30), (1, 8), (8, 1)):
        for _ in range(5):
            A = stridiag.random(shape, [k for k in (-2, 0, 1) if -shape[0] < k < shape[1]], 0, rng=rng)
            values = np.where(rng.random(A.nnz) < 0.4, 0.0, A.values)
            A = A.with_values(values)
            P = linalg.pinv(A)
            assert agreement(A, P) < 200
            b = rng.standard_normal((shape[0], 3))
            ours = linalg.lstsq(A, b)
            theirs = np.linalg.lstsq(A.toarray(), b, rcond=None)
            np.testing.assert_allclose(ours.x, theirs[0], atol=1e-10)
            assert ours.residuals.shape == theirs[1].shape
            np.testing.assert_allclose(ours.residuals, theirs[1], atol=1e-10)
            assert ours.rank == theirs[2] == P.rank == linalg.matrix_rank(A)
            np.testing.assert_allclose(ours.singular_values, theirs[3], atol=1e-12)


def test_operator_forms_agree():
    A = stridiag.random((9, 14), (-2, 0, 3), 3, rng=5, dtype="complex128")
    P = linalg.pinv(A)
    D = P.toarray()
    rng = np.random.default_rng(0)
    b, B = rng.standard_normal(9), rng.standard_normal((9, 4)) + 1j
    left = rng.standard_normal((2, 14))
    np.testing.assert_allclose(P @ b, D @ b, atol=1e-13)
    np.testing.assert_allclose(P @ b.tolist(), D @ b, atol=1e-13)
    np.testing.assert_allclose(P @ B, D @ B, atol=1e-13)
    np.testing.assert_allclose(left @ P, left @ D, atol=1e-13)
    np.testing.assert_allclose(left[0] @ P, left[0] @ D, atol=1e-13)
    np.testing.assert_allclose(P.T.toarray(), D.T, atol=1e-15)
    np.testing.assert_allclose(P.H.toarray(), D.conj().T, atol=1e-15)
    np.testing.assert_allclose(P.T.T.toarray(), D, atol=1e-15)
    assert P.T.shape == P.H.shape == (9, 14)
    operator = scipy.sparse.linalg.aslinearoperator(P)
    np.testing.assert_allclose(operator @ b, D @ b, atol=1e-13)
    np.testing.assert_allclose(operator.H @ left.T, D.conj().T @ left.T, atol=1e-13)
    assert repr(P) == f"PseudoInverse(14 x 9, complex128, rank {P.rank})"
    for bad in (np.ones(14), np.ones((2, 9, 1)), np.float64(1.0)):
        with pytest.raises(ValueError, match="needs b of shape"):
            P @ bad


def test_null_space():
    for case in zoo(sizes=(1, 2, 5, 10), dtypes=["float64", "complex128"]):
        A = case.matrix
        try:
            N = linalg.null_space(A)
        except AmbiguousRankWarning:
            continue
        n = A.shape[1]
        assert N.shape == (n, n - linalg.matrix_rank(A)), case.name
        np.testing.assert_allclose(N.conj().T @ N, np.eye(N.shape[1]), atol=1e-13)
        largest = np.abs(A.values).max(initial=0.0)
        if largest > 0:
            assert np.abs((A / largest) @ N).max(initial=0.0) < 1e-12, case.name


def test_tolerances():
    A = StridiagMatrix.from_diagonals({0: [1.0, 1e-3, 1e-6]})
    assert linalg.matrix_rank(A) == 3
    assert linalg.matrix_rank(A, rtol=1e-4) == linalg.matrix_rank(A, rcond=1e-4) == 2
    assert linalg.matrix_rank(A, atol=0.1) == 1
    assert linalg.matrix_rank(A, atol=0.1, rtol=1e-20) == 1
    np.testing.assert_allclose(linalg.pinv(A, rtol=1e-4).toarray(), np.diag([1.0, 1e3, 0.0]))
    assert linalg.lstsq(A, np.ones(3), rtol=1e-4).rank == 2
    assert linalg.null_space(A, rtol=1e-4).shape == (3, 1)
    with pytest.raises(ValueError, match="give one of them"):
        linalg.pinv(A, rtol=1e-3, rcond=1e-3)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="0 or more"):
            linalg.pinv(A, rtol=bad)
        with pytest.raises(ValueError, match="0 or more"):
            linalg.pinv(A, atol=bad)


def test_a_singular_value_on_the_cutoff_counts_as_zero_as_in_numpy():
    A = StridiagMatrix.from_diagonals({0: [1.0, 0.25]})
    with pytest.warns(AmbiguousRankWarning, match="AMBIGUOUS"):
        assert linalg.matrix_rank(A, rtol=0.25) == np.linalg.matrix_rank(A.toarray(), rtol=0.25) == 1


@pytest.mark.parametrize(("factor", "ambiguous"), [(3.0, False), (1.9, True), (0.6, True), (0.3, False)])
def test_ambiguity_is_flagged_near_the_cutoff_only(factor, ambiguous):
    A = StridiagMatrix.from_diagonals({0: [1.0, factor * 1e-8]})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        info = linalg.rank_info(A, rtol=1e-8)
    assert info.ambiguous is ambiguous
    assert [w.category for w in caught] == [AmbiguousRankWarning] * ambiguous
    assert ("AMBIGUOUS" in str(info)) is ambiguous
    assert info.rank == 1 + (factor > 1)
    assert f"cutoff {info.cutoff:.3g}" in str(info)


def test_the_cutoff_is_that_of_the_whole_matrix():
    # Two blocks: what is small in the second is large beside it, not beside the first.
    A = StridiagMatrix.from_diagonals({0: [1e20, 1.0, 2.0], 1: [0.0, 1.0]})
    assert linalg.matrix_rank(A) == np.linalg.matrix_rank(A.toarray()) == 1


def test_blocks_partition_the_matrix():
    A = stridiag.random((40, 35), (-3, 0), 0, rng=0)
    A = A.with_values(np.where(np.random.default_rng(1).random(A.nnz) < 0.5, 0.0, A.values))
    M = np.zeros(A.shape)
    rows, columns = [], []
    stacks, large = split(A)
    assert not large
    for blocks in stacks:
        for r, c, entries in zip(blocks.rows, blocks.columns, blocks.entries, strict=True):
            M[np.ix_(r, c)] = entries
            rows.extend(r)
            columns.extend(c)
    assert sorted(rows) == list(range(40))
    assert sorted(columns) == list(range(35))
    np.testing.assert_array_equal(M, A.toarray())


@pytest.mark.parametrize("n", [2, 3, 10, 63])
def test_the_singular_circulant_has_its_closed_form(n):
    P = linalg.pinv(closed_forms.circulant(n))
    assert P.rank == n - 1
    np.testing.assert_allclose(P.toarray(), closed_forms.difference_circulant_pinv(n), atol=1e-13)


def test_many_small_blocks_are_no_trouble():
    n = 100_000
    A = stridiag.random(n, (0, n // 2), 0, rng=0)
    P = linalg.pinv(A)
    assert P.rank == n
    b = np.ones(n)
    np.testing.assert_allclose(A @ (P @ b), b, atol=1e-9)


def test_too_large_a_block_is_refused_with_a_way_out():
    # With half of all singular values dropped the direct way would need bases as large as the matrix.
    with pytest.raises(SizeLimitError, match=r"3000 x 3000.*dropped.*2048 x 2048.*A\.factor\(\)\.solve"):
        linalg.pinv(StridiagMatrix.from_diagonals({-1: 1.0, 0: -2.0, 1: 1.0}, shape=3000), rtol=0.5)


def test_too_many_dense_blocks_are_refused(monkeypatch):
    A = StridiagMatrix.from_diagonals({0: 1.0, 40: 1.0, -40: 1.0}, shape=800)
    assert linalg.matrix_rank(A) == np.linalg.matrix_rank(A.toarray())
    monkeypatch.setattr(dense_blocks, "TOTAL_LIMIT", 15_000)
    with pytest.raises(SizeLimitError, match="16000 positions together"):
        linalg.matrix_rank(A)


def test_many_long_chains():
    # Forty chains of a thousand: each is a large block.
    A = StridiagMatrix.from_diagonals({0: 2.1, 40: 1.0, -40: 1.0}, shape=40_000)
    info = linalg.rank_info(A)
    assert info.rank == 40_000
    assert info.sigma_max == pytest.approx(2.1 + 2.0 * np.cos(np.pi / 1001), rel=1e-11)


def test_batches():
    A = stridiag.random(5, rng=0)
    B = A.with_values(np.stack([A.values, 0 * A.values]))
    np.testing.assert_array_equal(linalg.matrix_rank(B), [5, 0])
    for function in (linalg.pinv, linalg.null_space, linalg.rank_info, lambda a: linalg.lstsq(a, np.ones(5))):
        with pytest.raises(stridiag.StructureError, match="takes a single matrix, got a batch"):
            function(B)


def test_refusals():
    A = stridiag.random((4, 3), (0,), rng=0)
    with pytest.raises(TypeError, match="expected a StridiagMatrix"):
        linalg.pinv(np.eye(3))
    with pytest.raises(stridiag.NonFiniteError):
        linalg.pinv(A.with_values([1.0, np.inf, 1.0]))
    with pytest.raises(stridiag.NonFiniteError):
        linalg.lstsq(A, [1.0, np.nan, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"b must have shape \(4,\) or \(4, k\), got \(3,\)"):
        linalg.lstsq(A, np.ones(3))


def test_zero_and_empty_matrices():
    zero = StridiagMatrix.from_diagonals({0: [0.0, 0.0]}, shape=(3, 2))
    P = linalg.pinv(zero)
    assert P.rank == 0
    np.testing.assert_array_equal(P.toarray(), np.zeros((2, 3)))
    np.testing.assert_array_equal(np.abs(linalg.null_space(zero)).sum(axis=0), [1.0, 1.0])
    assert linalg.rank_info(zero).smallest_kept is None
    empty = StridiagMatrix.from_diagonals({0: np.zeros(0)}, shape=(0, 4))
    assert linalg.pinv(empty).toarray().shape == (4, 0)
    assert linalg.null_space(empty).shape == (4, 4)
    assert linalg.lstsq(empty, np.zeros(0)).x.tolist() == [0.0] * 4
