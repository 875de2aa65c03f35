"""QR of a chain with a ridge below it, with links and without, against dense arrays."""

import numpy as np
import pytest

from stridiag.factorization.ridge import ChainWithLinks, CondensedRidge, PlainRidge, kept_columns, ridge_of

RNG = np.random.default_rng(0)
FAMILIES = {
    "random": lambda n: (RNG.uniform(-1, 1, n - 1), RNG.uniform(-1, 1, n), RNG.uniform(-1, 1, n - 1)),
    "growth": lambda n: (np.full(n - 1, -0.9), np.full(n, 0.99), np.ones(n - 1)),
    "signs": lambda n: tuple(RNG.choice([-1.0, 1.0], n - k) for k in (1, 0, 1)),
    "integers": lambda n: tuple(RNG.integers(-1, 2, n - k) * 1.0 for k in (1, 0, 1)),
    "diagonal": lambda n: (np.zeros(n - 1), RNG.uniform(-1, 1, n), np.zeros(n - 1)),
    "zero": lambda n: (np.zeros(n - 1), np.zeros(n), np.zeros(n - 1)),
}


def with_links(n, family, count):
    dl, d, du = FAMILIES[family](n)
    places = {(int(r), int(c)) for r, c in RNG.integers(0, n, (count, 2)) if abs(r - c) > 1}
    rows = np.array([r for r, _ in sorted(places)], np.int64)
    columns = np.array([c for _, c in sorted(places)], np.int64)
    values = RNG.uniform(-1, 1, rows.size)
    dense = np.diag(d) + np.diag(dl, -1) + np.diag(du, 1)
    dense[rows, columns] = values
    return ChainWithLinks(dl, d, du, rows, columns, values), dense


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("links", [0, 1, 3])
def test_against_dense_arrays(family, links):
    kinds = set()
    for n in (3, 4, 5, 8, 13, 21, 50, 90):
        matrix, dense = with_links(n, family, links)
        for chain, A in ((matrix, dense), (matrix.T, dense.T)):
            ridge = ridge_of(chain, 0.1, 0.3, products=True)
            kinds.add(type(ridge))
            gram = A.T @ A + 0.01 * np.eye(n)
            expected = 0.5 * np.linalg.slogdet(A.T @ A + 0.09 * np.eye(n))[1]
            assert ridge.second_logarithm == pytest.approx(expected, abs=1e-12 * n)
            pair = RNG.standard_normal((2, n))
            solved = pair.copy()
            ridge.invert_gram(solved)
            assert np.abs(gram @ solved.T - pair.T).max() < 1e-14 * np.abs(solved).max() * n
            for shape in ((n,), (n, 5)):
                b, x, r = RNG.standard_normal(shape), np.empty(shape), np.empty(shape)
                ridge.solve(b, x)
                np.testing.assert_allclose(x, np.linalg.solve(gram, A.T @ b), atol=1e-11)
                chain.residual(b, x, r)
                np.testing.assert_allclose(r, b - A @ x, atol=1e-13)
                ridge.solve_adjoint(b, x)
                np.testing.assert_allclose(x, A @ np.linalg.solve(gram, b), atol=1e-11)
    # Of few columns no two may be far enough apart for a link.
    assert (CondensedRidge in kinds) == (links > 0)
    assert links or kinds == {PlainRidge}


@pytest.mark.parametrize("links", [0, 4])
def test_one_column_of_a_block_is_as_a_vector(links):
    matrix, _ = with_links(70, "random", links)
    ridge = ridge_of(matrix, 1e-3, 1e-2, products=True)
    b = RNG.standard_normal((70, 3))
    for product in (ridge.solve, ridge.solve_adjoint):
        block, single = np.empty_like(b), np.empty(70)
        product(b, block)
        product(b[:, 1].copy(), single)
        np.testing.assert_allclose(single, block[:, 1], atol=1e-12 * np.abs(block).max())


def test_residuals_are_exact_where_everything_cancels():
    matrix, dense = with_links(40, "random", 5)
    x = RNG.standard_normal((40, 2))
    b = np.asarray(dense.astype(np.longdouble) @ x, np.float64)
    exact = np.asarray(b.astype(np.longdouble) - dense.astype(np.longdouble) @ x.astype(np.longdouble), np.float64)
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("no extended precision here")
    result = np.empty_like(b)
    matrix.residual(b, x, result)
    assert np.abs(result - exact).max() < 1e-18


def test_what_is_kept_comes_in_runs_of_two_or_more():
    for _ in range(50):
        n = int(RNG.integers(3, 40))
        rows, columns = RNG.integers(0, n, (2, 3))
        kept = np.zeros(n + 2, bool)
        kept[kept_columns(n, rows, columns) + 1] = True
        assert not (kept[1:-1] & ~kept[:-2] & ~kept[2:]).any()
        for row in rows:
            assert kept[max(row, 1) : min(row, n - 1) + 3].all() or row in (0, n - 1)
