"""inv into given memory, and the inverse as an operator."""

import pickle

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator, gmres

import stridiag
from stridiag import SingularMatrixError, linalg


@pytest.mark.parametrize("offsets", [(-2, 0, 2), (-3, 0, 2)])
@pytest.mark.parametrize("links", [0, 3])
def test_inverse_into_given_memory(offsets, links):
    A = stridiag.random(30, offsets, links, rng=0, dominant=True)
    expected = np.linalg.inv(A.toarray())
    for order in "CF":
        out = np.full((30, 30), np.nan, order=order)
        assert linalg.inv(A, out=out) is out
        np.testing.assert_allclose(out, expected, atol=1e-14)
    B = A.with_values(np.stack([A.values, 3 * A.values]))
    stack = np.empty((2, 30, 30))
    linalg.inv(B, out=stack)
    np.testing.assert_allclose(stack, [expected, expected / 3], atol=1e-14)


def test_a_singular_matrix_leaves_out_alone():
    A = stridiag.random(6, rng=0, dominant=True)
    for B in (0 * A, A.with_values(np.stack([A.values, 0 * A.values]))):
        out = np.full(B.shape, 7.0)
        with pytest.raises(SingularMatrixError):
            linalg.inv(B, out=out)
        assert (out == 7.0).all()
        with pytest.raises(SingularMatrixError):
            linalg.inv_operator(B)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_operator_is_the_inverse_in_every_form(dtype):
    A = stridiag.random(25, (-1, 0, 1), 2, rng=1, dominant=True, dtype=dtype)
    Z = linalg.inv_operator(A)
    dense = np.linalg.inv(A.toarray())
    rng = np.random.default_rng(0)
    x, X = rng.standard_normal(25) + 0j, rng.standard_normal((25, 3))
    forms = {
        "N": (Z, dense),
        "T": (Z.T, dense.T),
        "H": (Z.H, dense.conj().T),
        "conj": (Z.conj(), dense.conj()),
        "TT": (Z.T.T, dense),
        "HT": (Z.H.T, dense.conj()),
    }
    for operator, matrix in forms.values():
        assert operator.shape == (25, 25)
        assert operator.dtype == dtype
        assert operator.ndim == 2
        np.testing.assert_allclose(operator.toarray(), matrix, atol=1e-14)
        np.testing.assert_allclose(operator @ x, matrix @ x, atol=1e-14)
        np.testing.assert_allclose(operator @ X, matrix @ X, atol=1e-14)
        np.testing.assert_allclose(x @ operator, x @ matrix, atol=1e-14)
        np.testing.assert_allclose(X.T @ operator, X.T @ matrix, atol=1e-14)
        np.testing.assert_allclose(operator.matvec(x), matrix @ x, atol=1e-14)
        np.testing.assert_allclose(operator.rmatvec(x[:, None]), matrix.conj().T @ x[:, None], atol=1e-14)
        np.testing.assert_allclose(operator.matmat(X), matrix @ X, atol=1e-14)
        np.testing.assert_allclose(operator.rmatmat(X), matrix.conj().T @ X, atol=1e-14)
        np.testing.assert_allclose(pickle.loads(pickle.dumps(operator)) @ x, matrix @ x, atol=1e-14)


def test_the_operator_serves_scipy():
    A = stridiag.random(200, (-1, 0, 1), 4, rng=1, dominant=True)
    Z = linalg.inv_operator(A)
    assert isinstance(aslinearoperator(Z), LinearOperator)
    near = A.with_values(A.values * (1 + 1e-3 * np.random.default_rng(0).standard_normal(A.nnz)))
    x, info = gmres(aslinearoperator(near), np.ones(200), M=aslinearoperator(Z), rtol=1e-12, maxiter=10)
    assert info == 0
    np.testing.assert_allclose(near @ x, 1, atol=1e-9)


def test_the_operator_of_a_batch_and_its_refusals():
    A = stridiag.random(8, rng=0, dominant=True)
    B = A.with_values(np.stack([A.values, 2 * A.values]))
    Z = linalg.inv_operator(B)
    assert Z.shape == (2, 8, 8)
    assert repr(Z) == "InverseOperator(batch (2,), 8 x 8, float64)"
    np.testing.assert_allclose(B @ (Z @ np.ones(8))[..., None], np.ones((2, 8, 1)), atol=1e-13)
    with pytest.raises(AttributeError, match="frozen"):
        Z.factor = None
    with pytest.raises(ValueError, match=r"\(8,\)"):
        Z @ np.ones(7)
    with pytest.raises(TypeError):
        Z @ 3
