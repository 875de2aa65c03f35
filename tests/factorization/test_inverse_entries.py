"""Diagonal and entries of the inverse, against numpy's inverse and in units of eps times condition."""

import numpy as np
import pytest

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, StructureError
from stridiag.testing import closed_forms, zoo

METHODS = ("auto", "chain", "forest", "sparse-lu", "sparse-qr", "dense")


def factored(A, method):
    """Return the factor, or None where the method does not serve the structure."""
    try:
        return A.factor(method=method)
    except StructureError:
        if method != "forest":
            raise
        return None


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_diagonals_over_the_zoo(method, dtype):
    eps = np.finfo(dtype).eps
    sizes = (0, 1, 2, 3, 5, 10, 50) if dtype == "float64" else (1, 3, 10)
    if method == "auto":
        sizes = (*sizes, 50, 333)
    checked = 0
    for case in zoo(sizes=sizes, dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or "singular" in case.tags:
            continue
        n = A.shape[0]
        M = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
        scale = 2.0 ** -np.floor(np.log2(np.abs(M).max(initial=1e-300) or 1.0))
        M = M * scale
        condition = np.linalg.cond(M) if n else 1.0
        if not condition * n * eps < 1e-3:
            continue
        expected = np.diagonal(np.linalg.inv(M)) * scale
        F = factored(A, method)
        if F is None:
            continue
        result = F.inverse_diagonal()
        assert result.dtype == A.dtype
        if not np.isfinite(expected.astype(dtype)).all():
            continue
        error = np.abs(result - expected).max(initial=0.0) / np.abs(np.linalg.inv(M) * scale).max(initial=1e-300)
        assert error < 30 * n * eps * condition + 4 * eps, case.name
        checked += 1
    assert checked > (40 if method == "forest" else 60)


@pytest.mark.parametrize("links", [0, 1, 3, 12])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_condensed_diagonals_of_random_layouts(links, stride):
    rng = np.random.default_rng(links + 10 * stride)
    for n in (6, 7, 13, 40, 90):
        for dtype in ("float64", "complex128"):
            A = stridiag.random(n, (-stride, 0, stride), links, rng=rng, dtype=dtype)
            inverse = np.linalg.inv(A.toarray())
            result = A.factor(method="chain").inverse_diagonal()
            bound = 50 * np.finfo(float).eps * n * np.linalg.cond(A.toarray()) * np.abs(inverse).max()
            assert np.abs(result - np.diagonal(inverse)).max() < bound


@pytest.mark.parametrize("n", [1, 2, 3, 100, 5000])
def test_closed_form(n):
    A = closed_forms.second_difference(n)
    k = np.arange(1.0, n + 1)
    np.testing.assert_allclose(A.factor().inverse_diagonal(), k * (n + 1 - k) / (n + 1), rtol=1e-12 * n)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
@pytest.mark.parametrize("n", [100, 2000])
def test_long_chains_in_every_precision(dtype, n):
    A = closed_forms.second_difference(n).astype(dtype)
    k = np.arange(1.0, n + 1)
    np.testing.assert_allclose(
        A.factor().inverse_diagonal(), k * (n + 1 - k) / (n + 1), rtol=np.finfo(dtype).eps * 4 * n
    )
    B = stridiag.random(n, (-1, 0, 1), rng=0, dominant=True, dtype=dtype)
    expected = np.diagonal(np.linalg.inv(B.toarray().astype("complex128")))
    np.testing.assert_allclose(B.factor().inverse_diagonal(), expected, rtol=np.finfo(dtype).eps * 10)


@pytest.mark.parametrize("n", [6, 400])
def test_chains_graded_over_the_exponent_range(n):
    d = np.where(np.arange(n) % 2, 1.0, 1e-250)
    A = StridiagMatrix.from_diagonals({0: d, 1: 0.0, -1: 0.0}, shape=n)
    np.testing.assert_allclose(A.factor().inverse_diagonal(), 1 / d, rtol=1e-14)
    B = StridiagMatrix.from_diagonals({0: d, 1: 1e-260, -1: 1e-260}, shape=n)
    np.testing.assert_allclose(B.factor().inverse_diagonal(), 1 / d, rtol=1e-9)


def test_zero_continuants_do_no_harm():
    # Leading and trailing blocks of odd order are singular.
    A = StridiagMatrix.from_diagonals({-1: 1.0, 0: 0.0, 1: 2.0}, shape=20)
    np.testing.assert_allclose(A.factor().inverse_diagonal(), np.zeros(20), atol=1e-15)
    B = StridiagMatrix.from_diagonals({-1: 1.0, 0: [0.0, 0.0, 3.0, 0.0, 0.0, 0.0], 1: 2.0}, shape=6)
    np.testing.assert_allclose(B.factor().inverse_diagonal(), np.diagonal(np.linalg.inv(B.toarray())), atol=1e-15)


def test_the_diagonal_of_a_large_chain_with_links():
    A = stridiag.random(200_000, (-2, 0, 2), 30, rng=0, dominant=True)
    F = A.factor()
    diagonal = F.inverse_diagonal()
    some = np.array([0, 1, 17, 99_999, 199_999, *A.structure.link_rows[:5], *A.structure.link_columns[:5]])
    np.testing.assert_allclose(diagonal[some], F.inverse_entries(some, some), rtol=1e-12)


def test_many_links_through_a_sparse_reduced_system():
    A = stridiag.random(3000, (-1, 0, 1), 200, rng=0, dominant=True)
    inverse = np.linalg.inv(A.toarray())
    np.testing.assert_allclose(A.factor().inverse_diagonal(), np.diagonal(inverse), rtol=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_entries(method):
    A = stridiag.random(30, (-2, 0, 2), 4, rng=0, dominant=True)
    F = A.factor(method=method)
    inverse = np.linalg.inv(A.toarray())
    rows, columns = np.array([[0, 29, 5], [5, 7, 7]]), np.array([[3, 3, 3], [29, 0, 7]])
    np.testing.assert_allclose(F.inverse_entries(rows, columns), inverse[rows, columns], atol=1e-14)
    np.testing.assert_allclose(F.inverse_entries(4, [1, 2]), inverse[4, [1, 2]], atol=1e-14)
    assert F.inverse_entries(4, 1) == pytest.approx(inverse[4, 1], abs=1e-14)
    assert F.inverse_entries([], np.zeros(0, int)).shape == (0,)


def test_entries_in_several_blocks(monkeypatch):
    monkeypatch.setattr("stridiag.factorization.inverse_entries._BLOCK", 100)
    A = stridiag.random(40, (-1, 0, 1), 2, rng=0, dominant=True)
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 40, (2, 200))
    np.testing.assert_allclose(
        A.factor().inverse_entries(rows, columns), np.linalg.inv(A.toarray())[rows, columns], atol=1e-14
    )


def test_batches_and_singular_members():
    A = stridiag.random(12, (-1, 0, 1), 2, rng=0, dominant=True)
    B = A.with_values(np.stack([A.values, 2 * A.values, 0 * A.values]))
    F = B.factor()
    one = A.factor().inverse_diagonal()
    diagonal = F.inverse_diagonal()
    np.testing.assert_allclose(diagonal[:2], [one, one / 2], rtol=1e-14)
    assert np.isnan(diagonal[2]).all()
    assert F.inverse_entries([0, 1], [1, 2]).shape == (3, 2)
    for call in (lambda F: F.inverse_diagonal(), lambda F: F.inverse_entries(0, 0)):
        with pytest.raises(SingularMatrixError):
            call((0 * A).factor())


def test_refusals():
    F = stridiag.random(5, rng=0, dominant=True).factor()
    with pytest.raises(StructureError, match=r"rows must lie in 0 \.\.\. 4, got -1 \.\.\. 2"):
        F.inverse_entries([-1, 2], 0)
    with pytest.raises(StructureError, match="columns must hold integers"):
        F.inverse_entries(0, 1.5)
