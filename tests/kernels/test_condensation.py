"""The two chain decompositions by themselves: exactness on what is kept, growth, extremes of the exponent."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels.condensation import _reflection
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.determinant import phase_and_log
from stridiag.factorization.tridiagonal import TridiagonalLU
from stridiag.planning.chain import ChainLayout, TridiagonalLayout, best_stride
from stridiag.planning.condensation import CondensationLayout
from stridiag.testing import THRESHOLD, factor_ratio, solve_ratio

reflection = getattr(_reflection, "py_func", _reflection)


def decompose(A):
    layout = ChainLayout(A.structure, best_stride(A.structure)[0])
    if layout.links[0].size == 0:
        return TridiagonalLU(TridiagonalLayout(layout), A.values)
    return Condensation(CondensationLayout.build(layout), A.values)


@pytest.mark.parametrize(
    "x",
    [
        (3.0, 4.0, 12.0),
        (-3.0, 4.0, 0.0),
        (0.0, 0.0, 5.0),
        (0.0, -1e-200, 0.0),
        (1e300, -1e300, 1e299),
        (1e-300, 2e-300, 2e-300),
        (3e-308, 0.0, -4e-308),
        (2.0, 0.0, 0.0),
        (1 + 2j, -3j, 2.0 + 0j),
        (0j, 1e250j, 1e250 + 0j),
    ],
)
def test_a_reflection_maps_its_vector_to_the_first_axis(x):
    v1, v2, tau, d = reflection(*x)
    v = np.array([1.0, v1, v2])
    H = np.eye(3) - tau * np.outer(v, v.conj())
    scale = max(map(abs, x))
    image = H @ (np.array(x) / scale)
    np.testing.assert_allclose(image, [d / scale, 0, 0], atol=1e-15)
    np.testing.assert_allclose(H @ H, np.eye(3), atol=2e-15)
    assert np.linalg.det(H) == pytest.approx(-1.0)


@pytest.mark.parametrize("bad", [0.0, np.inf, np.nan])
def test_a_reflection_of_nothing_has_no_pivot(bad):
    *_, d = reflection(bad, 0.0, bad)
    assert not 0.0 < abs(d) < np.inf


@pytest.mark.parametrize(
    ("sub", "main", "super_"), [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 1.0)]
)
@pytest.mark.parametrize("links", [1, 2, 10])
@pytest.mark.parametrize("n", [256, 2000])
def test_constant_chains_with_links_show_no_growth(sub, main, super_, links, n):
    rng = np.random.default_rng(n + links)
    rows, columns = rng.integers(0, n, (2, links))
    A = stridiag.StridiagMatrix.from_diagonals(
        {-1: sub, 0: main, 1: super_}, (rows, columns, rng.standard_normal(links)), shape=n
    )
    F = decompose(A)
    b = A @ rng.standard_normal((n, 2))
    assert solve_ratio(A, F.solve(b.copy()), b) < THRESHOLD
    b = A.T @ rng.standard_normal((n, 2))
    assert solve_ratio(A, F.solve(b.copy(), adjoint=True), b, "T") < THRESHOLD


def test_a_singular_segment_is_no_trouble():
    # The stretch 10 ... 20 of the chain is singular by itself: its main diagonal is zero and its length odd.
    n = 60
    d = np.ones(n)
    d[10:21] = 0.0
    A = stridiag.StridiagMatrix.from_diagonals(
        {-1: np.ones(n - 1), 0: d, 1: np.ones(n - 1)}, ([8, 22], [40, 3], [2.0, -1.0])
    )
    F = decompose(A)
    b = A @ np.arange(1.0, n + 1)[:, None]
    assert solve_ratio(A, F.solve(b.copy()), b) < THRESHOLD
    sign, log = F.slogdet()
    expected = np.linalg.slogdet(A.toarray())
    assert sign == expected[0]
    assert log == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
@pytest.mark.parametrize("links", [0, 3])
def test_extreme_exponents(scale, links):
    A = stridiag.random(100, (-1, 0, 1), links, rng=5)
    F, S = decompose(A), decompose(A * scale)
    b = np.linspace(-1.0, 1.0, 100)[:, None]
    np.testing.assert_allclose(S.solve(b * scale), F.solve(b.copy()), rtol=1e-9)
    assert factor_ratio((A * scale).toarray() / scale, S.multiply(np.eye(100)) / scale) < THRESHOLD
    assert S.slogdet()[1] == pytest.approx(F.slogdet()[1] + 100 * np.log(scale), rel=1e-14)


def test_many_right_hand_sides_equal_one_at_a_time():
    A = stridiag.random(80, (-2, 0, 2), 0, rng=2)
    F = decompose(A)
    B = np.random.default_rng(0).standard_normal((80, 5))
    together = F.solve(B.copy())
    for j in range(5):
        np.testing.assert_array_equal(together[:, j], F.solve(B[:, j : j + 1].copy())[:, 0])


def test_phase_and_log_of_a_product():
    factors = np.array([-2.0, 1e300, 1e300, -1e-250, 0.5, -3.0])
    phase, log = phase_and_log(factors)
    assert phase == -1.0
    assert log == pytest.approx(np.log(np.abs(factors)).sum(), rel=1e-15)
    assert phase_and_log(np.zeros(3)) == (0.0, -np.inf)
    assert phase_and_log(np.zeros(0)) == (1.0, 0.0)
    phase, log = phase_and_log(np.array([1j, 1j, -2.0 + 0j]))
    assert phase == pytest.approx(1.0)
    assert log == pytest.approx(np.log(2.0))
