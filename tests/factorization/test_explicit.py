"""Factors as sparse arrays: their product, their shape, over the zoo and with every method."""

import numpy as np
import pytest

import stridiag
from stridiag import SizeLimitError, StridiagMatrix, Structure
from stridiag.factorization import FactorArrays, FactorStages
from stridiag.testing import THRESHOLD, factor_ratio, zoo

METHODS = ("auto", "triangular", "cyclic", "chain", "sparse-lu", "sparse-qr", "dense")


def is_permutation(order, n):
    return order.dtype.kind == "i" and (np.sort(order) == np.arange(n)).all()


def assert_shapes(F, n, dtype):
    """Check everything that is promised but the product."""
    assert is_permutation(F.row_permutation, n)
    assert is_permutation(F.column_permutation, n)
    L, D, U = (part.toarray() for part in (F.L, F.D, F.U))
    assert L.dtype == D.dtype == U.dtype == dtype
    assert not np.triu(L, 1).any()
    assert not np.tril(U, -1).any()
    assert (np.diag(D.diagonal()) == D).all()
    odd = (L.diagonal() != 1) | (U.diagonal() != 1)
    assert (D.diagonal()[odd] == 1).all()
    if F.Q is not None:
        eps = np.finfo(dtype).eps
        Q = F.Q.toarray()
        assert np.abs(Q.conj().T @ Q - np.eye(n)).max() < 30 * max(n, 1) * eps
        assert np.abs(F.Q_operator @ np.eye(n) - Q).max() < 30 * max(n, 1) * eps
        assert np.abs(F.Q_operator.H @ Q - np.eye(n)).max() < 30 * max(n, 1) * eps
        assert (F.row_permutation == np.arange(n)).all()
    return odd.any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_the_arrays_multiply_out_to_the_matrix(method, dtype):
    sizes = (0, 1, 2, 3, 10, 50) if (method, dtype) == ("auto", "float64") else (0, 2, 5, 10)
    failures, kinds, cases = [], set(), 0
    for case in zoo(sizes=sizes, dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square:
            continue
        try:
            factor = A.factor(method=method)
        except stridiag.StructureError:
            continue
        F = factor.arrays()
        cases += 1
        n = A.shape[0]
        if n:
            ratio = factor_ratio(A, F.product().toarray())
            if not ratio < THRESHOLD:
                failures.append((case.name, ratio))
        if isinstance(F, FactorStages):
            kinds.add("stages")
            continue
        kinds.add("Q" if F.Q is not None else "LU")
        if assert_shapes(F, n, A.dtype):
            assert factor.singular or "ill-conditioned" in case.tags or "tiny" in case.tags
    assert not failures
    assert cases > 20
    expected = {"auto": {"LU"}, "triangular": {"LU"}, "sparse-qr": {"Q"}, "cyclic": {"LU"}}.get(method, {"LU", "Q"})
    # Below order one no reflections are made.
    assert kinds - {"LU"} == expected - {"LU"} or method in ("auto", "dense")


def test_arrays_of_lu_plans_are_those_of_the_definition():
    A = stridiag.random(200, (-3, 0, 3), rng=0)
    F = A.factor(method="chain").arrays()
    assert F.Q is None
    assert F.Q_operator is None
    np.testing.assert_allclose(
        (F.L @ F.D @ F.U).toarray(), A.toarray()[F.row_permutation][:, F.column_permutation], atol=1e-13
    )
    # Multipliers of partial pivoting, one for each step.
    assert np.abs(F.L.toarray()).max() == 1
    assert F.L.nnz <= 2 * 200


def test_a_triangular_matrix_is_its_own_l_or_u():
    lower = stridiag.random(30, (-4, -1, 0), rng=0)
    F = lower.factor(method="triangular").arrays()
    np.testing.assert_array_equal(F.column_permutation, np.arange(30))
    np.testing.assert_array_equal(F.D.diagonal(), lower.diagonal(0))
    assert F.U.nnz == 30
    upper = stridiag.random(30, (0, 2), rng=0)
    F = upper.factor(method="triangular").arrays()
    assert F.L.nnz == 30
    np.testing.assert_allclose(F.R.toarray(), upper.toarray(), rtol=1e-15)


def test_q_r_of_the_orthogonal_methods():
    A = stridiag.random(120, (-3, 0, 2), 8, rng=0)
    F = A.factor(method="sparse-qr").arrays()
    assert F.L.nnz == 120
    np.testing.assert_allclose((F.Q @ F.R).toarray(), A.toarray()[:, F.column_permutation], atol=1e-12)
    x = np.linspace(0, 1, 120)
    np.testing.assert_allclose(F.Q_operator @ (F.R @ x), A.toarray()[:, F.column_permutation] @ x, atol=1e-12)
    z = x * 1j
    np.testing.assert_allclose(F.Q_operator.H @ z, F.Q.T @ z, atol=1e-13)


def test_a_q_too_large_for_an_array_is_an_operator_still():
    A = stridiag.random(3000, (-1, 0, 1), 5, rng=0, dominant=True)
    F = A.factor(method="chain").arrays(max_entries=5000)
    with pytest.raises(SizeLimitError, match=r"more than 5000 entries; use Q_operator"):
        _ = F.Q
    x = np.random.default_rng(0).standard_normal((3000, 2))
    y = F.Q_operator @ (F.L @ (F.D @ (F.U @ x[F.column_permutation])))
    np.testing.assert_allclose(y, A @ x, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(y), np.linalg.norm(A @ x))


def test_cycles_with_entries_between_them_come_in_stages():
    # Two cycles, one of which feeds the other.
    structure = Structure(7, (0,), ([0, 1, 2, 3, 4, 5, 6], [1, 2, 0, 4, 3, 6, 5]))
    A = StridiagMatrix(structure, np.linspace(1, 3, structure.nnz))
    F = A.factor(method="cyclic").arrays()
    assert isinstance(F, FactorArrays)
    between = structure.union(Structure(7, (), ([3], [1])))
    A = StridiagMatrix(between, np.linspace(1, 3, between.nnz))
    F = A.factor(method="cyclic").arrays()
    assert isinstance(F, FactorStages)
    names = [stage.name for stage in F.stages]
    assert names[0] == names[-1] == "permutation"
    assert names.count("diagonal") == 1
    assert names.count("triangular") <= 4
    np.testing.assert_allclose(F.product().toarray(), A.toarray(), atol=1e-15)


def test_batches_are_refused():
    A = stridiag.random(5, rng=0)
    with pytest.raises(stridiag.StructureError, match=r"single matrix, got a batch of shape \(2,\)"):
        A.with_values(np.stack([A.values, A.values])).factor().arrays()
