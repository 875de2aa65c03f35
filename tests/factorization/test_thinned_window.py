"""Pivots from the diagonal before a window: against dense arithmetic, and where the diagonal may not be taken."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import stridiag
from stridiag.factorization import thinned_window
from stridiag.factorization.elementary import Permutation
from stridiag.factorization.simple_factor import multiply_out
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.factorization.thinned_window import ThinnedLU
from stridiag.factorization.window import factor_window
from stridiag.factorization.window_lu import WindowLU

CASES = [(60, (-5, 0, 4), 0), (200, (-29, 0, 17), 12), (300, (-9, 0, 20), 3), (300, (-12, 0, 20), 10)]
TYPES = ["float32", "float64", "complex64", "complex128"]


@pytest.fixture(autouse=True)
def _from_the_smallest(monkeypatch):
    monkeypatch.setattr(thinned_window, "FROM", 0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("n", "offsets", "links"), CASES)
def test_it_does_what_dense_arithmetic_does(n, offsets, links, dtype, window, random_sides):
    rng = np.random.default_rng(n)
    A = stridiag.random(n, offsets=offsets, links=links, rng=n, dtype=dtype, dominant=True)
    lu, dense = factor_window(window(A.structure), A.values), A.toarray()
    assert isinstance(lu, ThinnedLU)
    eps = float(np.finfo(dtype).eps)
    for columns in (0, 1, 2, 8, 11):
        b = random_sides(rng, (n, columns), dtype)
        for adjoint in (False, True):
            x = lu.solve(b.copy(), adjoint=adjoint)
            assert x.dtype == A.dtype
            assert x.shape == b.shape
            if b.size:
                matrix = dense.conj().T if adjoint else dense
                size = np.abs(matrix).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
                assert np.abs(matrix @ x - b).max() < 5 * eps * size
    x = random_sides(rng, (n, 3), dtype)
    assert np.abs(lu.multiply(x.copy()) - dense @ x).max() < 30 * eps * np.abs(dense).sum(1).max()
    sign, logarithm = np.linalg.slogdet(dense)
    found = lu.slogdet()
    assert abs(found[0] - sign) < 1000 * eps
    assert abs(found[1] - logarithm) < 100 * eps * abs(logarithm)
    assert lu.nbytes > 0


def test_factors_multiply_out(window):
    for n, offsets, links in CASES[:2]:
        for dtype in TYPES[:2]:
            A = stridiag.random(n, offsets=offsets, links=links, rng=n, dominant=True, dtype=dtype)
            factors = factor_window(window(A.structure), A.values).factors()
            assert {factor.dtype for factor in factors if not isinstance(factor, Permutation)} == {A.dtype}
            product = np.eye(n, dtype=dtype)
            for factor in reversed(factors):
                product = factor.apply(product)
            assert np.abs(product - A.toarray()).max() < 50 * np.finfo(dtype).eps * np.abs(A.values).max()
            assert np.array_equal(multiply_out(factors, np.eye(n, dtype=dtype)), product)


def test_the_inverse_of_a_band_and_of_one_with_links(window):
    for links in (0, 6):
        A = stridiag.random(200, offsets=(-30, 0, 33), links=links, rng=2, dominant=True)
        lu, inverse = factor_window(window(A.structure), A.values), np.linalg.inv(A.toarray())
        assert isinstance(lu, ThinnedLU)
        assert np.allclose(lu.inverse_diagonal(), np.diag(inverse), rtol=1e-12)
        pattern = lu.inverse_on_pattern(transpose=True)
        if links:
            assert pattern is None
        else:
            rows, columns = A.structure.coordinates()
            assert np.allclose(pattern, inverse[columns, rows], rtol=1e-12)


def test_steep_columns_and_zero_pivots_go_the_other_way(window):
    A = stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0, dominant=True)
    layout = window(A.structure)
    main = A.structure.diagonal_slots(0).start
    assert isinstance(
        factor_window(layout, stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0).values), WindowLU
    )
    for entry in (1e-3, 0.0):
        values = A.values.copy()
        values[main + 100] = entry
        lu = factor_window(layout, values)
        assert isinstance(lu, WindowLU)
        b = np.ones((300, 1))
        x = lu.solve(b.copy())
        assert np.abs(A.with_values(values) @ x - b).max() < 1e-14 * (np.abs(x).max() * 20 + 1)
    assert "thinning" not in vars(window(A.structure))


def test_a_pivot_that_becomes_zero_goes_the_other_way(window):
    # Two rows that are alike in the columns of both, of which one is eliminated first.
    S = stridiag.Structure(64, (-29, -17, 0, 17, 29))
    e = int(window(S).thinning.order[0])
    other = e + 17 if e + 17 < 64 else e - 29
    dense = np.zeros((64, 64))
    np.fill_diagonal(dense, 4.0)
    dense[[e, e, other, other], [e, other, e, other]] = 1.0
    rows, columns = S.coordinates()
    lu = factor_window(window(S), dense[rows, columns])
    assert not isinstance(lu, ThinnedLU)
    assert lu.singularity is not None


def test_growth_is_not_accepted(window):
    # A chain of doublings: no multiplier above one, and no pivot zero.
    n = 400
    A = stridiag.StridiagMatrix.from_diagonals({-7: 4.0, 0: 1.0, 9: -4.0}, shape=n)
    lu = factor_window(window(A.structure), A.values)
    assert isinstance(lu, WindowLU | SparseQR)
    b = np.random.default_rng(0).standard_normal((n, 1))
    x = lu.solve(b.copy())
    assert np.abs(A @ x - b).max() < 1e-14 * (9 * np.abs(x).max() + np.abs(b).max())


def test_singular_to_working_precision_is_said():
    A = stridiag.random(500, offsets=(-29, 0, 17), links=20, rng=4, dominant=True)
    values = A.values.copy()
    # A row and its diagonal so small that the condition number is large, in a column that is no steeper for it.
    at = int(np.flatnonzero(np.bincount(A.structure.link_columns, minlength=500) == 0)[250])
    columns = A.structure.coordinates()[1]
    values[columns == at] *= 1e-20
    F = A.with_values(values).factor(method="band")
    with pytest.warns(stridiag.IllConditionedWarning):
        F.solve(np.ones(500))
    assert F.method == ThinnedLU.name
    values[columns == at] = 0
    with pytest.raises(stridiag.SingularMatrixError):
        A.with_values(values).factor(method="band").solve(np.ones(500))


def test_numbers_near_the_ends_of_the_range():
    for scale in (1e-300, 1e300):
        A = stridiag.random(200, offsets=(-20, 0, 30), links=6, rng=3, dominant=True)
        A = A.with_values(A.values * scale)
        x = A.factor(method="band").solve(np.full(200, scale))
        assert np.allclose(A.with_values(A.values / scale).toarray() @ x, 1.0, rtol=1e-12)


def test_one_thread_and_two_agree_bit_by_bit():
    A = stridiag.random(500, offsets=(-29, 0, 17), links=20, rng=4, dominant=True)
    b = np.random.default_rng(0).standard_normal((500, 40))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(A.factor(method="band").solve(b))
    assert np.array_equal(*found)


def test_other_values_of_either_kind_by_the_same_plan():
    A = stridiag.random(500, offsets=(-29, 0, 17), links=20, rng=4, dominant=True)
    B = A.with_values(np.random.default_rng(0).standard_normal(A.values.shape))
    b = np.ones(500)
    F = A.factor(method="band")
    once = F.solve(b)
    # Memory that is used again changes nothing.
    for overwrite in (False, True):
        G = F
        for M in (B, A, B, A):
            G = G.refactor(M.values, overwrite=overwrite)
            assert np.array_equal(G.solve(b), M.factor(method="band").solve(b))
            assert (G.method == ThinnedLU.name) == (M is A)
    assert np.array_equal(once, A.factor(method="band").solve(b))


def test_large_ones_take_it_by_themselves():
    A = stridiag.random(20_000, offsets=(-29, 0, 17), links=20, rng=0, dominant=True)
    F = A.factor()
    b = np.random.default_rng(1).standard_normal(20_000)
    x = F.solve(b)
    assert F.method == ThinnedLU.name
    assert np.abs(A @ x - b).max() < 1e-15 * (np.abs(A.values).max() * 4 * np.abs(x).max() + np.abs(b).max())
    # The first solution, with which the condition was probed, is no other than the next.
    assert np.array_equal(F.solve(b), x)
    assert F.nbytes <= F.plan.layout.cost.bytes / 4


@pytest.mark.parametrize("by_columns", [False, True])
def test_dominance_bounds_the_inverse_and_else_a_probe_does(by_columns, window):
    A = stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0, dominant=True)
    A = A.T if by_columns else A
    values, main = A.values.copy(), A.structure.diagonal_slots(0)
    values[main] *= np.where(np.arange(300) % 40 == 7, 0.3, 1.0)
    b = np.random.default_rng(0).standard_normal((300, 1))
    for given, proved in ((A, True), (A.with_values(values), False)):
        lu = ThinnedLU.believed(window(given.structure), given.values)
        assert (lu.rough_norm() is not None) == proved
        once, again = lu.solve(b.copy()), lu.solve(b.copy())
        assert np.allclose(once, again, rtol=1e-13)
        assert np.allclose(given @ once, b, atol=1e-13)
        assert lu.rough_norm() >= np.abs(np.linalg.inv(given.toarray())).sum(axis=0).max()
