"""Bands with links, by LU in a moving window: against dense arithmetic, and on values for which LU is known to fail."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import stridiag
from stridiag.factorization.decompose import decompose
from stridiag.factorization.elementary import Permutation
from stridiag.factorization.simple_factor import multiply_out
from stridiag.factorization.window import factor_window
from stridiag.factorization.window_lu import WindowLU
from stridiag.planning import plan

# Sizes around a panel's; rings of one block and of many; windows that grow and shrink; links only.
CASES = [
    (0, (0,), 0),
    (1, (0,), 0),
    (7, (0, 1), 3),
    (8, (-1, 0), 3),
    (9, (-2, 0, 1), 4),
    (17, (-3, 0, 2), 9),
    (60, (-29, 0, 17), 5),
    (64, (-5, 0, 5), 0),
    (100, (0,), 30),
    (150, (-10, 0, 4), 40),
    (400, (-29, 0, 17), 10),
]
TYPES = ["float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("n", "offsets", "links"), CASES)
def test_it_does_what_dense_arithmetic_does(n, offsets, links, dtype, window, random_sides):
    rng = np.random.default_rng(n)
    A = stridiag.random(n, offsets=offsets, links=links, rng=n, dtype=dtype)
    lu, dense = WindowLU(window(A.structure), A.values), A.toarray()
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
                assert np.abs(matrix @ x - b).max() < 30 * eps * size
    x = random_sides(rng, (n, 3), dtype)
    assert np.abs(lu.multiply(x.copy()) - dense @ x).max(initial=0) < 100 * eps * np.abs(dense).sum(1).max(initial=1)
    sign, logarithm = np.linalg.slogdet(dense)
    found = lu.slogdet()
    assert abs(found[0] - sign) < 1000 * eps
    assert abs(found[1] - logarithm) < 1000 * eps * max(1.0, abs(logarithm))


@pytest.mark.parametrize(("n", "offsets", "links"), [case for case in CASES if 0 < case[0] <= 100])
def test_factors_multiply_out(n, offsets, links, window):
    A = stridiag.random(n, offsets=offsets, links=links, rng=n)
    factors = WindowLU(window(A.structure), A.values).factors()
    assert isinstance(factors[0], Permutation)
    product = np.eye(n)
    for factor in reversed(factors):
        product = factor.apply(product)
    assert np.abs(product - A.toarray()).max() < 1e-13 * np.abs(A.values).max()
    assert np.array_equal(multiply_out(factors, np.eye(n)), product)


def test_every_way_of_counting(window):
    # Residue classes, backwards, and the order as it is.
    for offsets in ((-12, 0, 20), (-40, 0, 12), (-6, 0, 12)):
        A = stridiag.random(300, offsets=offsets, links=12, rng=1)
        F = decompose(plan(A.structure, method="band"), A.values)
        lu = WindowLU(window(A.structure), A.values)
        b = np.arange(300.0)[:, None]
        assert np.allclose(lu.solve(b.copy()), np.linalg.solve(A.toarray(), b), rtol=1e-8)
        assert np.allclose(F.solve(b.copy()), lu.solve(b.copy()), rtol=1e-8)


def test_the_inverse_of_a_band_and_of_one_with_links(window):
    for links in (0, 6):
        A = stridiag.random(200, offsets=(-30, 0, 33), links=links, rng=2, dominant=True)
        lu, inverse = WindowLU(window(A.structure), A.values), np.linalg.inv(A.toarray())
        assert np.allclose(lu.inverse_diagonal(), np.diag(inverse), rtol=1e-12)
        pattern = lu.inverse_on_pattern(transpose=True)
        if links:
            assert pattern is None
        else:
            rows, columns = A.structure.coordinates()
            assert np.allclose(pattern, inverse[columns, rows], rtol=1e-12)


@pytest.mark.parametrize("diagonals", [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 1.0, 1.0)])
def test_constant_bands_are_solved_whatever_numbers_grow(diagonals):
    below, main, above = diagonals
    n = 1500
    A = stridiag.StridiagMatrix.from_diagonals(
        {-29: below, 0: main, 17: above},
        shape=n,
        links=([1400, 30, 700, 2], [3, 1200, 100, 800], [2.0, -1.0, 1.0, 0.5]),
    )
    F = A.factor(method="band")
    b = np.random.default_rng(0).standard_normal(n)
    x = F.solve(b)
    assert np.abs(A @ x - b).max() < 1e-15 * (np.abs(x).max() * 6 + np.abs(b).max())


def test_bands_of_signs():
    rng = np.random.default_rng(5)
    for seed in range(5):
        A = stridiag.random(700, offsets=(-17, 0, 29), links=20, rng=seed)
        A = A.with_values(rng.choice([-1.0, 1.0], A.values.shape))
        b = rng.standard_normal(700)
        x = A.factor(method="band").solve(b)
        assert np.abs(A @ x - b).max() < 1e-15 * (np.abs(x).max() * 6 + np.abs(b).max())


def test_a_zero_column_is_singular(window):
    A = stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0)
    values = A.values.copy()
    values[A.structure.coordinates()[1] == 123] = 0
    lu = factor_window(window(A.structure), values)
    assert lu.singularity.column == 123
    assert lu.slogdet()[1] == -np.inf
    # The factors are of the matrix still.
    product = np.eye(300)
    for factor in reversed(lu.factors()):
        product = factor.apply(product)
    assert np.abs(product - A.with_values(values).toarray()).max() < 1e-13
    with pytest.raises(stridiag.SingularMatrixError):
        A.with_values(values).factor(method="band").solve(np.ones(300))


def test_equal_rows_are_singular():
    A = stridiag.random(200, offsets=(-20, 0, 30), links=6, rng=3)
    dense = np.round(4 * A.toarray())
    np.fill_diagonal(dense, 1.0)
    rows, columns = A.structure.coordinates()
    values = dense[rows, columns]
    values[rows == 77] = 0
    F = A.with_values(values).factor(method="band")
    assert F.singular
    assert F.slogdet() == (0.0, -np.inf)


def test_numbers_near_the_ends_of_the_range():
    for scale in (1e-300, 1e300):
        A = stridiag.random(200, offsets=(-20, 0, 30), links=6, rng=3, dominant=True)
        A = A.with_values(A.values * scale)
        x = A.factor(method="band").solve(np.full(200, scale))
        assert np.allclose(A.with_values(A.values / scale).toarray() @ x, 1.0, rtol=1e-12)


def test_a_pivot_too_small_for_a_reciprocal(window):
    # Rows are not scaled here: what `WindowLU` itself makes of it.
    A = stridiag.random(40, offsets=(-9, 0, 5), links=3, rng=1, dominant=True)
    values = A.values.copy()
    values[A.structure.coordinates()[1] == 11] *= 2.0**-1060
    lu = WindowLU(window(A.structure), values)
    assert lu.singularity is None
    dense, x = A.with_values(values).toarray(), np.ones((40, 1))
    assert np.allclose(lu.multiply(x.copy()), dense @ x, rtol=1e-12)
    x[:, 0], x[11] = 0, 2.0**1000
    assert np.allclose(lu.multiply(x.copy()), dense @ x, rtol=1e-3)


def test_one_thread_and_two_agree_bit_by_bit():
    A = stridiag.random(500, offsets=(-29, 0, 17), links=20, rng=4)
    b = np.random.default_rng(0).standard_normal((500, 40))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(A.factor(method="band").solve(b))
    assert np.array_equal(*found)


def test_refactoring_keeps_the_plan_and_forgets_the_values():
    A = stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0, dominant=True)
    F = A.factor(method="band")
    b = np.ones(300)
    once = F.solve(b)
    G = F.refactor(2 * A.values, overwrite=True)
    assert G is F
    assert np.allclose(2 * G.solve(b), once, rtol=1e-12)
    assert F.plan.layout.structure == A.structure
