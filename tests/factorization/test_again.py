"""Solving again in one call: the first solution's numbers, bit by bit, and the same errors."""

import numpy as np
import pytest

import stridiag
from stridiag import NonFiniteError, SingularMatrixError
from stridiag._kernels.compile import COMPILES
from stridiag.factorization.again import LONGEST
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.markowitz import MarkowitzLU
from stridiag.planning.chain import SWEPT

pytestmark = pytest.mark.skipif(not COMPILES, reason="plain loops take no notes")


def again_of(F):
    return F._members._made._sweeps._again


@pytest.mark.parametrize("dominant", [True, False])
@pytest.mark.parametrize(
    ("n", "g", "links"),
    [(SWEPT, 1, 0), (4000, 1, 0), (4001, 3, 0), (4000, 1, 1), (4000, 1, 40), (5000, 8, 60), (6000, 1, 600)],
)
def test_the_same_numbers_again_and_again(n, g, links, dominant):
    A = stridiag.random(n, (-g, 0, g), links, rng=n + links, dominant=dominant)
    F = A.factor()
    rng = np.random.default_rng(1)
    b, c = rng.standard_normal((2, n))
    x = F.solve(b)
    assert again_of(F) is None
    before = F.nbytes
    y = F.solve(c)
    assert again_of(F) is not None
    assert F.nbytes > before
    np.testing.assert_array_equal(F.solve(b), x)
    np.testing.assert_array_equal(F.solve(c), y)
    np.testing.assert_array_equal(A.factor().solve(c), y)
    np.testing.assert_array_equal(F.solve(b[:, None])[:, 0], x)
    size = np.abs(A.to_scipy()).sum(axis=1).max()
    assert np.abs(A @ y - c).max() <= 4e-15 * (size * np.abs(y).max() + np.abs(c).max())


def test_several_links_of_one_row():
    # The separator's row behind a segment holds more than one link.
    n = 3000
    rows, columns = np.repeat([700, 1500, 2200], 5), np.arange(15) * 190 + 20
    A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 4.0, 1: -1.0}, (rows, columns, np.ones(15)), shape=n)
    F = A.factor()
    b = np.linspace(-1.0, 1.0, n)
    x = F.solve(b)
    np.testing.assert_array_equal(F.solve(b), x)
    assert again_of(F) is not None


@pytest.mark.parametrize("fronts", [False, True])
def test_a_system_whose_solutions_are_refined_goes_on_as_before(fronts, monkeypatch):
    if fronts:
        monkeypatch.setattr(MarkowitzLU, "believed", lambda *_: None)
    A = stridiag.random(6000, (-1, 0, 1), 600, rng=0, dominant=True)
    b = np.ones(6000)
    F = A.factor()
    x = F.solve(b)
    monkeypatch.setattr(FrontLU, "arrays", None)
    monkeypatch.setattr(MarkowitzLU, "refined", True)
    np.testing.assert_array_equal(F.solve(b), x)
    assert again_of(F) is None


def test_fronts_solve_again_where_markowitz_rule_fails(monkeypatch):
    monkeypatch.setattr(MarkowitzLU, "believed", lambda *_: None)
    A = stridiag.random(6000, (-1, 0, 1), 600, rng=0, dominant=True)
    b = np.random.default_rng(0).standard_normal(6000)
    F = A.factor()
    x = F.solve(b)
    for _ in range(2):
        np.testing.assert_array_equal(F.solve(b), x)
    assert again_of(F) is not None
    assert isinstance(F._members._made._sweeps._reduced, FrontLU)


def test_long_chains_stay_with_several_threads():
    A = stridiag.random(LONGEST + 1, (-1, 0, 1), rng=0, dominant=True)
    F = A.factor()
    x = F.solve(np.ones(LONGEST + 1))
    np.testing.assert_array_equal(F.solve(np.ones(LONGEST + 1)), x)
    assert again_of(F) is None


@pytest.mark.parametrize("links", [0, 40])
def test_errors_are_those_of_the_first_time(links):
    A = stridiag.random(4000, (-1, 0, 1), links, rng=2, dominant=True)
    F = A.factor()
    b = np.ones(4000)
    for place in (0, 1999, 3999):
        x = F.solve(b)
        for bad in (np.nan, np.inf):
            wrong = b.copy()
            wrong[place] = bad
            with pytest.raises(NonFiniteError, match=rf"b must be finite.*\[{place}\]"):
                F.solve(wrong)
        np.testing.assert_array_equal(F.solve(b), x)
    _, columns = A.structure.coordinates()
    G = F.refactor(np.where(columns == 2000, 0.0, A.values))
    for _ in range(2):
        with pytest.raises(SingularMatrixError):
            G.solve(b)
    F = F.refactor(2 * A.values, overwrite=True)
    for _ in range(2):
        np.testing.assert_allclose(F.solve(b), x / 2, rtol=1e-12)
