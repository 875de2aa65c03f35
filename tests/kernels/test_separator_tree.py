"""Separators eliminated in a tree, and the small QR behind it, by themselves: many short segments at small orders."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import small_qr
from stridiag._kernels.separator_tree import _reflection
from stridiag.factorization import multiply_out
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.small_qr import SmallQR
from stridiag.planning import condensation as planned
from stridiag.planning.chain import ChainLayout
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio

reflection = getattr(_reflection, "py_func", _reflection)
DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def condense(A, stride):
    return Condensation(planned.CondensationLayout.build(ChainLayout(A.structure, stride)), A.values)


def check(A, stride):
    """Hold everything that the decomposition can do against dense arrays."""
    C, dense, n = condense(A, stride), A.toarray(), A.shape[0]
    b = np.random.default_rng(n).standard_normal((n, 2)).astype(A.dtype)
    assert solve_ratio(A, C.solve(b.copy()), b) < THRESHOLD
    assert solve_ratio(A, C.solve(b.copy(), adjoint=True), b, "H") < THRESHOLD
    assert factor_ratio(A, C.multiply(np.eye(n, dtype=A.dtype))) < THRESHOLD
    assert factor_ratio(A, multiply_out(C.factors(), np.eye(n, dtype=A.dtype))) < THRESHOLD
    wide = dense.astype(np.complex128 if A.dtype.kind == "c" else np.float64)
    cond = np.linalg.cond(wide, 1)
    assert slogdet_ratio(C.slogdet(), np.linalg.slogdet(wide), n, cond, dtype=A.dtype) < THRESHOLD
    inverse = np.linalg.inv(wide)
    error = np.abs(C.inverse_diagonal() - inverse.diagonal()).max()
    assert error <= THRESHOLD * np.finfo(A.dtype).eps * cond * np.abs(inverse).max()


@pytest.mark.parametrize("segment", [5, 9])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("links", [1, 4])
@pytest.mark.parametrize(("n", "stride"), [(23, 1), (64, 1), (65, 2), (140, 3)])
def test_many_short_segments(monkeypatch, segment, dtype, links, n, stride):
    monkeypatch.setattr(planned, "SEGMENT", segment)
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n + links)
    if np.dtype(dtype).kind == "c":
        rows, _ = A.structure.coordinates()
        A = A.with_values(A.values * np.array([1, 1j, -1, -1j])[rows % 4])
    check(A.astype(dtype), stride)


@pytest.mark.parametrize("coefficients", [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 0.0, 1.0), (0.0, 1.0, 2.0)])
def test_constant_coefficients(monkeypatch, coefficients):
    monkeypatch.setattr(planned, "SEGMENT", 8)
    lower, main, upper = coefficients
    A = stridiag.StridiagMatrix.from_diagonals(
        {-1: lower, 0: main, 1: upper}, ([0, 150, 71], [149, 3, 120], [1.0, -1.0, 2.0]), shape=152
    )
    check(A, 1)


def test_many_links_in_one_row_enter_every_node_on_the_way(monkeypatch):
    monkeypatch.setattr(planned, "SEGMENT", 6)
    n = 160
    A = stridiag.random(n, (-1, 0, 1), rng=0) + stridiag.StridiagMatrix.from_diagonals(
        {}, (np.full(7, 150), np.arange(151, 158), np.arange(1.0, 8.0)), shape=n
    )
    layout = planned.CondensationLayout.build(ChainLayout(A.structure, 1))
    assert np.diff(layout.link_start)[layout.tree.tail].max() >= 5
    check(A, 1)


def test_the_reduced_system_does_not_grow_with_n():
    orders = set()
    for n in (1_000, 10_000, 300_000):
        layout = stridiag.plan(stridiag.Structure(n, (-1, 0, 1), ([5, 700], [600, 100]))).layout
        orders.add(layout.core.size)
        # A binary tree: every separator is eliminated once, at a depth of the logarithm.
        assert 2 * layout.tree.tail.size + layout.core.size == layout.columns.size
    assert orders == {8}


def test_a_dependent_column_at_a_separator_is_named(monkeypatch):
    monkeypatch.setattr(planned, "SEGMENT", 5)
    A = stridiag.random(60, (-1, 0, 1), 2, rng=3)
    layout = planned.CondensationLayout.build(ChainLayout(A.structure, 1))
    separators = layout.columns[layout.tree.around[:, :2]].ravel()
    for column in separators[[0, -1]]:
        values = A.values.copy()
        values[A.structure.coordinates()[1] == column] = 0.0
        assert condense(A.with_values(values), 1).singularity.column == column


@pytest.mark.parametrize(
    "x",
    [(1.0, 2.0, -2.0, 4.0), (0.0, 0.0, 3.0, 0.0), (1e200, 1e200, 0.0, -1e200), (1j, 2.0, 0.0, -3j), (0, 0, 0, 1e-300)],
)
def test_a_reflection_of_four_numbers(x):
    scale = max(map(abs, x))
    *vector, tau, d = reflection(*map(complex, x))
    v = np.array([1.0, *vector])
    H = np.eye(4) - tau * np.outer(v, v.conj())
    np.testing.assert_allclose(H @ (np.array(x) / scale), [d / scale, 0, 0, 0], atol=2e-15)
    np.testing.assert_allclose(H @ H, np.eye(4), atol=2e-15)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 40])
@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_small_qr(n, scale, dtype):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((n, n)).astype(dtype)
    if A.dtype.kind == "c":
        A = A + 1j * rng.standard_normal((n, n))
    A *= scale
    F = SmallQR(A.copy())
    b = rng.standard_normal((n, 3)).astype(dtype) * scale
    assert solve_ratio(A, F.solve(b.copy()), b) < THRESHOLD
    assert solve_ratio(A, F.solve(b.copy(), adjoint=True), b, "H") < THRESHOLD
    assert factor_ratio(A, F.multiply(np.eye(n, dtype=dtype))) < THRESHOLD
    assert factor_ratio(A, multiply_out(F.factors(), np.eye(n, dtype=dtype))) < THRESHOLD
    sign, log = np.linalg.slogdet(A / scale)
    cond = np.linalg.cond(A, 1) if n else 1.0
    assert slogdet_ratio(F.slogdet(), (sign, log + n * np.log(scale)), n, cond) < THRESHOLD


def test_small_qr_of_tiny_columns_in_single_precision():
    A = np.random.default_rng(0).standard_normal((5, 5)).astype(np.float32)
    A[:, 2] *= np.float32(1e-30)
    F = SmallQR(A.copy())
    b = np.ones((5, 1), np.float32)
    x = F.solve(b.copy())
    assert x.dtype == np.float32
    assert solve_ratio(A, x, b) < THRESHOLD
    assert np.isfinite(F.slogdet()[1])


def test_small_qr_finds_the_first_dependent_column():
    A = np.random.default_rng(0).standard_normal((6, 6))
    A[:, 3] = 0.0
    assert SmallQR(A).singularity.column == 3
    assert small_qr.factor(np.full((2, 2), np.nan), np.empty(2), np.empty(2)) == 0
