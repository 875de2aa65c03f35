"""Matrices, inverses and pseudoinverses where SciPy and PyLops take a Jacobian, an operator or a preconditioner."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares, minimize, root
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

from stridiag import StridiagMatrix, linalg

N = 40


@pytest.fixture(scope="module")
def ring():
    """Return a symmetric positive definite matrix: a chain with corners."""
    return StridiagMatrix.from_diagonals({0: 4.0, 1: -1.0, -1: -1.0}, ([0, N - 1], [N - 1, 0], [-1.0, -1.0]), shape=N)


@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_jacobians_of_solve_ivp(ring, method):
    values, vectors = np.linalg.eigh(ring.toarray())
    start = np.random.default_rng(0).normal(size=N)
    exact = vectors @ (np.exp(-values) * (vectors.T @ start))
    for options in (
        {"jac": -ring.to_scipy("csc")},
        {"jac": lambda t, u: -ring.to_scipy("csc")},
        {"jac_sparsity": ring.to_scipy("csc")},
    ):
        found = solve_ivp(lambda t, u: -(ring @ u), (0, 1), start, method=method, rtol=1e-8, atol=1e-10, **options)
        assert found.success
        np.testing.assert_allclose(found.y[:, -1], exact, atol=1e-6)


def test_hessians_of_minimize(ring):
    b = np.ones(N)
    problem = {"fun": lambda x: 0.5 * x @ (ring @ x) - b @ x, "x0": np.zeros(N), "jac": lambda x: ring @ x - b}
    exact = linalg.solve(ring, b)
    for options in (
        {"method": "trust-ncg", "hessp": lambda x, p: ring @ p},
        {"method": "Newton-CG", "hessp": lambda x, p: ring @ p},
        {"method": "trust-constr", "hess": lambda x: aslinearoperator(ring)},
        {"method": "trust-constr", "hess": lambda x: ring.to_scipy()},
    ):
        np.testing.assert_allclose(minimize(**problem, **options).x, exact, atol=1e-5)


def test_preconditioner_of_root(ring):
    inner = aslinearoperator(linalg.inv_operator(ring))
    found = root(
        lambda x: ring @ x + 0.1 * np.tanh(x) - 1.0,
        np.zeros(N),
        method="krylov",
        options={"fatol": 1e-10, "jac_options": {"inner_M": inner}},
    )
    assert found.success
    assert abs(ring @ found.x + 0.1 * np.tanh(found.x) - 1.0).max() < 1e-9


def test_jacobians_of_least_squares(ring):
    b = np.arange(float(N))
    for jacobian in (ring.to_scipy("csr"), aslinearoperator(ring)):
        found = least_squares(lambda x: ring @ x - b, np.zeros(N), jac=lambda x, J=jacobian: J, tr_solver="lsmr")
        np.testing.assert_allclose(found.x, linalg.solve(ring, b), atol=1e-6)


@pytest.mark.parametrize("make", [lambda A: A, linalg.inv_operator, linalg.pinv], ids=["matrix", "inverse", "pinv"])
def test_operators_of_pylops(ring, make):
    pylops = pytest.importorskip("pylops")
    ours = make(ring)
    operator = pylops.aslinearoperator(aslinearoperator(ours))
    assert pylops.utils.dottest(operator, N, N, rtol=1e-10)
    x = np.random.default_rng(0).normal(size=N)
    stacked = pylops.VStack([operator, 2.0 * pylops.Identity(N)])
    np.testing.assert_allclose(stacked @ x, np.r_[ours @ x, 2.0 * x], rtol=1e-13)
    np.testing.assert_allclose((operator.H @ operator) @ x, ours.H @ (ours @ x), rtol=1e-12, atol=1e-13)


def test_preconditioner_for_structured_plus_something_else(ring):
    u = np.random.default_rng(0).normal(size=(N, 2))
    full = LinearOperator((N, N), matvec=lambda x: ring @ x + u @ (u.T @ x), dtype=float)
    steps = []
    preconditioner = aslinearoperator(linalg.inv_operator(ring))
    x, info = cg(full, np.ones(N), M=preconditioner, rtol=1e-12, callback=steps.append)
    assert info == 0
    # The preconditioned matrix has three distinct eigenvalues.
    assert len(steps) <= 5
    np.testing.assert_allclose(ring @ x + u @ (u.T @ x), np.ones(N), atol=1e-9)
