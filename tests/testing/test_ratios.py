"""Each ratio is small for a right answer, and detects a wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

import stridiag
from stridiag import StridiagMatrix
from stridiag.testing import (
    THRESHOLD,
    _extended,
    adjoint_ratio,
    factor_ratio,
    inverse_ratio,
    penrose_ratios,
    product_ratio,
    ratios,
    slogdet_ratio,
    solve_ratio,
)

DTYPES = ["float32", "float64", "complex64", "complex128"]


def matrix(dtype="float64", n=40, scale=1.0):
    A = stridiag.random(n, (-2, 0, 2), links=5, rng=0, dominant=True, dtype=dtype)
    return A * np.dtype(dtype).type(scale)


def eps(dtype):
    return float(np.finfo(dtype).eps)


# ---------------------------------------------------------------------- solve


@pytest.mark.parametrize("norm", [1, "inf"])
@pytest.mark.parametrize("trans", ["N", "T", "H"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_solve(dtype, trans, norm):
    A = matrix(dtype)
    op = {"N": A, "T": A.T, "H": A.H}[trans].toarray()
    b = np.random.default_rng(1).standard_normal((40, 3)).astype(dtype)
    x = np.linalg.solve(op, b)
    assert 0 < solve_ratio(A, x, b, trans, norm=norm) < THRESHOLD
    assert solve_ratio(A, x[:, 0], b[:, 0], trans, norm=norm) < THRESHOLD
    # An error in one entry of one solution, far below what allclose sees, is seen.
    wrong = x.copy()
    wrong[7, 2] += 1e5 * eps(dtype) * abs(x).max()
    assert solve_ratio(A, wrong, b, trans, norm=norm) > THRESHOLD
    if trans == "N":
        assert solve_ratio(A, x, b, "T", norm=norm) > THRESHOLD, "the system matters"


def test_solve_is_the_formula():
    A, x, b = np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([1.0, 1.0]), np.array([3.5, 4.0])
    e = eps("float64")
    # Residual (0.5, 0); norms: 1-norm of A 5, of its transpose 4; inf-norm of A 4.
    assert solve_ratio(A, x, b) == pytest.approx(0.5 / (5 * 2 * 2 * e), rel=1e-14)
    assert solve_ratio(A, x, b, norm="inf") == pytest.approx(0.5 / (4 * 1 * 2 * e), rel=1e-14)
    assert solve_ratio(A.T, x, b, "T") == solve_ratio(A, x, b)
    assert solve_ratio(A.T * (1 + 0j), x, b, "H") == solve_ratio(A, x, b)
    for form in (sp.csr_array(A), StridiagMatrix.from_dense(A), A.tolist()):
        assert solve_ratio(form, x, b) == solve_ratio(A, x, b)


@pytest.mark.parametrize(
    ("scale", "right"), [(1e300, 1e300), (1e280, 1.0), (1e-300, 1.0), (1e-300, 1e-290), (1e-150, 1e150)]
)
def test_solve_neither_overflows_nor_underflows(scale, right):
    A = matrix(scale=scale)
    x = np.linalg.solve(A.toarray() / scale, np.ones(40)) / scale * right
    b = np.full(40, right)
    assert solve_ratio(A, x, b) < THRESHOLD
    x[abs(x).argmax()] *= 1 + 1e-10
    assert THRESHOLD < solve_ratio(A, x, b) < math.inf


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_scaling_suffices_where_long_double_is_double(monkeypatch, scale):
    """As on ARM and Windows: without the wider range of x86's long double only the scaling prevents overflow."""

    def double(array):
        return array.astype(complex if array.dtype.kind == "c" else float)

    for module in (_extended, ratios):
        monkeypatch.setattr(module, "extend", double)
    A = matrix(scale=scale)
    unit = np.linalg.inv(A.toarray() / scale)
    b = np.ones(40) * (1e300 if scale > 1 else 1e-290)
    x = unit @ b / scale
    assert solve_ratio(A, x, b) < THRESHOLD
    assert THRESHOLD < solve_ratio(A, x * (1 + 1e-10), b) < math.inf
    assert product_ratio(A, x, A @ x) < 2
    assert factor_ratio(A, A.toarray()) == 0
    assert inverse_ratio(A, unit / scale) < THRESHOLD
    assert max(penrose_ratios(A, unit / scale)) < THRESHOLD
    assert adjoint_ratio(A) < 2


def test_solve_at_the_edges():
    empty = stridiag.random(0, (0,))
    assert solve_ratio(empty, np.empty(0), np.empty(0)) == 0
    assert solve_ratio(empty, np.empty((0, 2)), np.empty((0, 2))) == 0
    A = matrix()
    assert solve_ratio(A, np.empty((40, 0)), np.empty((40, 0))) == 0
    assert solve_ratio(A, np.zeros(40), np.zeros(40)) == 0
    assert solve_ratio(A, np.zeros(40), np.eye(40)[0]) == math.inf
    assert solve_ratio(A * 0, np.ones(40), np.zeros(40)) == 0
    assert solve_ratio(A * 0, np.ones(40), np.ones(40)) == math.inf
    assert 0 < solve_ratio(A, 1e-20 * np.eye(40)[1], np.zeros(40)) > THRESHOLD


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_solve_of_something_not_finite_is_infinite(bad):
    A = matrix()
    for place in (0, 20, 39):
        x, b = np.ones((40, 2)), A @ np.ones((40, 2))
        x[place, 1] = bad
        assert solve_ratio(A, x, b) == math.inf
        assert solve_ratio(A, np.ones((40, 2)), x) == math.inf
    broken = A.with_values(np.where(np.arange(A.nnz) == 5, bad, A.values))
    assert solve_ratio(broken, np.ones(40), np.ones(40)) == math.inf


def test_solve_judges_by_the_lower_precision():
    A = matrix()
    b = A @ np.ones(40)
    x = np.linalg.solve(A.astype("float32").toarray(), b.astype("float32"))
    assert solve_ratio(A, x, b) < THRESHOLD
    assert solve_ratio(A, x.astype(float), b) > THRESHOLD


def test_solve_refusals():
    A = matrix()
    with pytest.raises(ValueError, match="trans must be one of 'N', 'T', 'H', got 'C'"):
        solve_ratio(A, np.ones(40), np.ones(40), "C")
    with pytest.raises(ValueError, match="norm must be one of 1, 'inf', got 2"):
        solve_ratio(A, np.ones(40), np.ones(40), norm=2)
    with pytest.raises(ValueError, match=r"expected x of shape \(40,\).*got \(39,\) and \(40,\)"):
        solve_ratio(A, np.ones(39), np.ones(40))
    with pytest.raises(ValueError, match=r"got \(40,\) and \(40, 2\)"):
        solve_ratio(A, np.ones(40), np.ones((40, 2)))


def test_rectangular_residuals():
    A = stridiag.random((12, 8), (0, 1), rng=0)
    x = np.ones(8)
    assert solve_ratio(A, x, A @ x) < THRESHOLD
    assert solve_ratio(A, x, A @ x + 1e-10) > THRESHOLD


# ---------------------------------------------------------------------- product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_product(dtype, scale):
    A = matrix(dtype, scale=scale)
    x = np.random.default_rng(1).standard_normal((40, 2)).astype(dtype)
    y = A @ x
    assert product_ratio(A, x, y) < 2
    # Componentwise: a row whose product is far smaller than the others counts as much.
    x[:, 0] *= 10.0 ** -np.linspace(0, 6, 40)
    y = A @ x
    assert product_ratio(A, x, y) < 2
    y[39, 0] *= 1 + 50 * eps(dtype) * 6
    assert product_ratio(A, x, y) > 2


def test_product_at_the_edges():
    A = matrix()
    assert product_ratio(A, np.zeros(40), np.zeros(40)) == 0
    assert product_ratio(A, np.zeros(40), np.eye(40)[0]) > THRESHOLD
    assert product_ratio(A, np.ones(40), np.full(40, np.nan)) == math.inf
    assert product_ratio(stridiag.random((0, 3), (0,)), np.ones(3), np.ones(0)) == 0
    assert product_ratio(stridiag.random((3, 0), (0,)), np.ones(0), np.zeros(3)) == 0
    with pytest.raises(ValueError, match=r"do not fit a matrix of shape \(40, 40\): \(39,\), \(40,\)"):
        product_ratio(A, np.ones(39), np.ones(40))
    # Products below the smallest normal number are not accurate, and need not be.
    tiny = A * 1e-300
    x = np.full(40, 1e-18)
    assert product_ratio(tiny, x, tiny @ x) < 2


# ---------------------------------------------------------------------- factors, inverses


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e35, 1e-35])
def test_factor(dtype, scale):
    A = matrix(dtype, scale=scale)
    Q, R = np.linalg.qr(A.toarray() / np.dtype(dtype).type(scale))
    product = (Q @ R) * np.dtype(dtype).type(scale)
    assert 0 < factor_ratio(A, product) < THRESHOLD
    assert factor_ratio(A.toarray(), product) == factor_ratio(A, product)
    product[3, 5] += 1e5 * eps(dtype) * abs(product).max()
    assert factor_ratio(A, product) > THRESHOLD
    product[3, 5] = np.nan
    assert factor_ratio(A, product) == math.inf


def test_factor_is_the_formula():
    A = np.array([[2.0, 1.0], [0.0, 4.0]])
    assert factor_ratio(A, A + np.diag([0, 0.5])) == pytest.approx(0.5 / (5 * 2 * eps("float64")), rel=1e-14)
    assert factor_ratio(A, A) == 0
    assert factor_ratio(np.empty((0, 0)), np.empty((0, 0))) == 0
    assert factor_ratio(0 * A, A) == math.inf
    with pytest.raises(ValueError, match=r"must have shape \(2, 2\), got \(3, 3\)"):
        factor_ratio(A, np.eye(3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_inverse(dtype, scale):
    A = matrix(dtype, scale=scale)
    inverse = np.linalg.inv(A.toarray())
    for side in ("left", "right"):
        assert 0 < inverse_ratio(A, inverse, side=side) < THRESHOLD
        wrong = inverse * (1 + 1e5 * eps(dtype))
        assert inverse_ratio(A, wrong, side=side) > THRESHOLD
        wrong = inverse.copy()
        wrong[0, 39] = np.inf
        assert inverse_ratio(A, wrong, side=side) == math.inf
        assert inverse_ratio(A, inverse.T, side=side) > THRESHOLD


def test_inverse_is_the_formula():
    A, X = np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([[0.5, 0.0], [0.0, 0.5]])
    assert inverse_ratio(A, X) == pytest.approx(1 / (4 * 0.5 * 2 * eps("float64")), rel=1e-14)
    assert inverse_ratio(A, np.diag([0.5, 0.25])) == 0
    assert inverse_ratio(np.empty((0, 0)), np.empty((0, 0))) == 0
    # The two sides differ for an X that solves one of the two equations better.
    B = np.array([[1.0, 1e8], [0.0, 1.0]])
    Y = np.array([[1.0, -1e8], [0.0, 1.0]])
    Y[1, 0] = 1e-9
    assert inverse_ratio(B, Y, side="right") != inverse_ratio(B, Y, side="left")
    with pytest.raises(ValueError, match="two square matrices"):
        inverse_ratio(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="side must be one of 'right', 'left', got 'both'"):
        inverse_ratio(A, X, side="both")


# ---------------------------------------------------------------------- Penrose


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("shape", [(12, 12), (9, 14), (14, 9)])
def test_penrose(dtype, scale, shape):
    A = stridiag.random(shape, (-1, 0, 2), links=4, rng=0, dtype=dtype)
    rows, _ = A.structure.coordinates()
    A = A.with_values(np.where(rows == 3, 0, A.values))  # singular
    P = np.linalg.pinv(A.toarray(), rcond=100 * eps(dtype)) / np.dtype(dtype).type(scale)
    A = A * np.dtype(dtype).type(scale)
    assert max(penrose_ratios(A, P)) < THRESHOLD
    assert min(penrose_ratios(A, P * (1 + 1e6 * eps(dtype)))[:2]) > THRESHOLD


def test_each_penrose_condition_by_itself():
    """Matrices that satisfy all conditions but one."""
    A = np.array([[1.0, 1.0], [0.0, 0.0]])
    candidates = {
        # P = 0 fails only A P A = A.
        0: np.zeros((2, 2)),
        # The pseudoinverse plus something that A annihilates on both sides fails only P A P = P.
        1: np.array([[0.5, 1.0], [0.5, -1.0]]),
    }
    for condition, P in candidates.items():
        ratios = penrose_ratios(A, P)
        assert ratios[condition] > THRESHOLD
        assert max(r for k, r in enumerate(ratios) if k != condition) < THRESHOLD
    # A left inverse that is not the pseudoinverse: only A P is not symmetric; its mirror image: only P A.
    tall = np.array([[1.0], [1.0]])
    assert [r > THRESHOLD for r in penrose_ratios(tall, [[1.0, 0.0]])] == [False, False, True, False]
    assert [r > THRESHOLD for r in penrose_ratios(tall.T, [[1.0], [0.0]])] == [False, False, False, True]


def test_penrose_is_hermitian_not_symmetric():
    A = np.array([[1.0, 1.0j], [0, 0]])
    assert max(penrose_ratios(A, np.linalg.pinv(A))) < THRESHOLD
    assert max(penrose_ratios(A, np.linalg.pinv(A).conj())) > THRESHOLD


def test_penrose_at_the_edges():
    assert penrose_ratios(np.zeros((2, 3)), np.zeros((3, 2))) == (0, 0, 0, 0)
    assert penrose_ratios(np.zeros((2, 3)), np.ones((3, 2)))[1] == math.inf
    assert penrose_ratios(np.empty((0, 3)), np.empty((3, 0))) == (0, 0, 0, 0)
    assert penrose_ratios(np.eye(2), np.full((2, 2), np.nan)) == (math.inf,) * 4
    with pytest.raises(ValueError, match=r"P must have shape \(3, 2\), got \(2, 3\)"):
        penrose_ratios(np.ones((2, 3)), np.ones((2, 3)))


# ---------------------------------------------------------------------- adjoint


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e36, 1e-36])
def test_adjoint(dtype, scale):
    A = stridiag.random((30, 20), (-2, 0, 3), links=5, rng=0, dtype=dtype) * np.dtype(dtype).type(scale)
    assert adjoint_ratio(A) < 2
    assert adjoint_ratio(A.toarray()) < 2
    assert adjoint_ratio(A, A.H, rng=np.random.default_rng(3)) < 2
    # One entry of the adjoint off by a little.
    values = A.H.values.copy()
    values[4] *= 1 + 1e5 * eps(dtype)
    assert adjoint_ratio(A, A.H.with_values(values)) > 2
    if A.dtype.kind == "c":
        assert adjoint_ratio(A, A.T) > THRESHOLD


def test_adjoint_at_the_edges():
    A = stridiag.random((4, 3), (0,), rng=0)
    with pytest.raises(ValueError, match=r"must have shape \(3, 4\), got \(4, 3\)"):
        adjoint_ratio(A, A)
    assert adjoint_ratio(stridiag.random((0, 3), (0,))) == 0
    assert adjoint_ratio(A * 0) == 0
    assert adjoint_ratio(A * 0, A.H) > THRESHOLD
    assert adjoint_ratio(A * np.nan) == math.inf


# ---------------------------------------------------------------------- determinant


def test_slogdet():
    A = matrix()
    sign, log = np.linalg.slogdet(A.toarray())
    cond = np.linalg.cond(A.toarray(), 1)
    _, R = np.linalg.qr(A.toarray())
    other = np.log(abs(np.diag(R))).sum()
    assert slogdet_ratio((sign, other), (sign, log), 40, cond) < THRESHOLD
    for wrong in (
        (-sign, log),
        (0.0, log),
        (sign, log + 1e-9),
        (sign, -np.inf),
        (0.0, -np.inf),
        (sign, np.nan),
    ):
        assert slogdet_ratio(wrong, (sign, log), 40, cond) > THRESHOLD, wrong
    for wrong in ((np.nan, log), (sign, np.inf)):
        assert slogdet_ratio(wrong, (sign, log), 40, cond) == math.inf


def test_slogdet_is_the_formula():
    e = eps("float64")
    assert slogdet_ratio((1, 2.5), (1, 2.0), 3, 10) == pytest.approx(0.5 / (32 * e))
    assert slogdet_ratio((1j, 2.0), (1, 2.0), 3, 10) == pytest.approx(math.sqrt(2) / (32 * e))
    assert slogdet_ratio((1, 2.5), (1, 2.0), 3, 10, dtype="float32") == pytest.approx(0.5 / (32 * eps("float32")))
    assert slogdet_ratio((1.0, 0.0), (1.0, 0.0), 0, 1) == 0


def test_slogdet_of_singular_matrices():
    assert slogdet_ratio((0.0, -np.inf), (0.0, -np.inf), 5, np.inf) == 0
    assert slogdet_ratio((1.0, -np.inf), (0.0, -np.inf), 5, np.inf) == math.inf, "the sign must be zero"
    assert slogdet_ratio((1.0, -40.0), (0.0, -np.inf), 5, 1e20) == math.inf
    assert slogdet_ratio((0.0, -np.inf), (1.0, -40.0), 5, 1e20) == math.inf


def test_sign_counts_where_it_is_determined():
    # n cond eps > 1: rounding alone can turn the sign.
    assert slogdet_ratio((-1.0, -30.0), (1.0, -30.0), 10, 1e17) < THRESHOLD
    assert slogdet_ratio((-1.0, -30.0), (1.0, -30.0), 10, 1e10) > THRESHOLD
