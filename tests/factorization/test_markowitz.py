"""Reduced systems of many links by Markowitz's rule: solutions, corrections, and what goes the general way."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels import markowitz as kernels
from stridiag._kernels import markowitz_solve as solving
from stridiag._kernels.compile import COMPILES
from stridiag.errors import IllConditionedWarning, SingularMatrixError
from stridiag.factorization import markowitz, sweeps
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.markowitz import MarkowitzLU

pytestmark = pytest.mark.skipif(not COMPILES, reason="sweeps exist in compiled code only")

EPS = np.finfo(np.float64).eps


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    """Return what became of each trial: whether solutions are refined, or None."""
    found = []

    class Watched(MarkowitzLU):
        @classmethod
        def believed(cls, *arguments):
            lu = MarkowitzLU.believed(*arguments)
            found.append(None if lu is None else lu.refined)
            return lu

    monkeypatch.setattr(sweeps, "MarkowitzLU", Watched)
    return found


def matrix(kind, n=6000, links=400, stride=1, seed=0):
    A = stridiag.random(n, (-stride, 0, stride), links, rng=seed)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(A.nnz)
    if kind in ("constant", "signs"):
        values[:] = 1.0
        for offset, number in zip(
            (-stride, 0, stride), (-0.9, 0.99, 1.0) if kind == "constant" else (1.0, -1.0, -1.0), strict=True
        ):
            values[A.structure.diagonal_slots(offset)] = number
    elif kind == "graded":
        values *= 10.0 ** rng.uniform(-8, 8, values.size)
    elif kind == "weak":
        values[A.structure.diagonal_slots(0)] *= 1e-12
    return A.with_values(values)


def right(n=6000):
    return np.random.default_rng(1).standard_normal(n)


def backward_error(A, x, b):
    size = abs(A.to_scipy()).sum(axis=1).max()
    return abs(A @ x - b).max() / (size * abs(x).max() + abs(b).max())


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("kind", ["random", "constant", "signs", "graded", "weak"])
def test_solutions(tried, kind, stride):
    A, b = matrix(kind, stride=stride), right()
    F = A.factor()
    x = linalg.solve(A, b)
    for _ in range(4):
        np.testing.assert_array_equal(F.solve(b), x)
    # More often where the condition number was asked for.
    assert len(tried) >= 2
    assert set(tried) in ({False}, {True})
    assert backward_error(A, x, b) < 4 * EPS
    # What is stored for blocks, for the transpose and for determinants is another factor.
    assert backward_error(A, F.solve(np.column_stack((b, 2 * b, b, b)))[:, 0], b) < 50 * EPS
    assert backward_error(A.T, F.solve(b, trans="T"), b) < 50 * EPS


def test_one_call_solves_again():
    A, b = matrix("random"), right()
    F = A.factor()
    for _ in range(3):
        F.solve(b)
    made = F._members[0]._sweeps
    assert isinstance(made._reduced, MarkowitzLU)
    assert made._again is not None
    assert F.nbytes > made._reduced.numbers.nbytes


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(threads):
    A, b = matrix("random", n=40_000), right(40_000)
    x = linalg.solve(A, b)
    with stridiag.num_threads(threads):
        np.testing.assert_array_equal(linalg.solve(A, b), x)


def test_few_links_go_by_fronts(tried):
    A = matrix("random", links=60)
    linalg.solve(A, right())
    assert tried == []


@pytest.mark.parametrize("power", [-280, 280])
def test_extreme_magnitudes(tried, power):
    A = matrix("random")
    scaled, b = A.with_values(np.ldexp(A.values, 3 * power)), right()
    x = linalg.solve(scaled, np.ldexp(b, power))
    assert set(tried) == {False}
    np.testing.assert_allclose(np.ldexp(x, 2 * power), linalg.solve(A, b), rtol=1e-9, atol=0)


def test_singular(tried):
    A = matrix("random")
    values, (_, columns) = A.values.copy(), A.structure.coordinates()
    values[columns == A.structure.link_columns[0]] = 0.0
    with pytest.raises(SingularMatrixError):
        linalg.solve(A.with_values(values), right())
    assert tried in ([], [None], [None, None])


def test_nearly_singular_is_told():
    A = matrix("random")
    values, (_, columns) = A.values.copy(), A.structure.coordinates()
    values[columns == A.structure.link_columns[0]] *= 1e-30
    with pytest.warns(IllConditionedWarning):
        linalg.solve(A.with_values(values), right())


@pytest.fixture(scope="module")
def system():
    """What is given for a reduced system, and the dense matrix."""
    A = matrix("random", links=300)
    layout = stridiag.plan(A.structure).layout
    swept = sweeps.Sweeps(layout, layout.chain.entries(A.values), A.values)
    swept.solve(right())
    given = (layout.greedy, layout.reduced, swept._reduced._data)
    return given, layout.reduced.compressed(given[2]).toarray()


def sides(given, count):
    return np.random.default_rng(4).standard_normal((given[1].order, count))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_numbers(system, count):
    given, dense = system
    b = sides(given, count)
    kept = b.copy()
    x = MarkowitzLU.believed(*given).solve(b)
    np.testing.assert_array_equal(b, kept)
    size = abs(dense).sum(axis=1).max() * abs(x).max(axis=0) + abs(b).max(axis=0)
    assert (abs(dense @ x - b).max(axis=0) <= 4 * EPS * size).all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 2.0])
def test_any_share(system, share, monkeypatch):
    # All dense; none dense.
    monkeypatch.setattr(markowitz, "_SHARE", share)
    monkeypatch.setattr(markowitz, "_ROOM", 2000)
    given, dense = system
    b = sides(given, 2)
    x = MarkowitzLU.believed(*given).solve(b)
    np.testing.assert_allclose(x, np.linalg.solve(dense, b), rtol=0, atol=1e-9 * abs(x).max())


def test_inaccurate_solutions_are_corrected(system, monkeypatch):
    given, dense = system
    plain = MarkowitzLU._solve

    def spoiled(self, x):
        found = plain(self, x)
        return found * (1 + 1e-9 * np.random.default_rng(0).random(x.shape))

    monkeypatch.setattr(MarkowitzLU, "_solve", spoiled)
    lu, b = MarkowitzLU.believed(*given), sides(given, 2)
    assert lu.refined
    x = lu.solve(b)
    size = abs(dense).sum(axis=1).max() * abs(x).max(axis=0) + abs(b).max(axis=0)
    assert (abs(dense @ x - b).max(axis=0) <= 4 * EPS * size).all()
    # Beyond what one correction mends.
    monkeypatch.setattr(MarkowitzLU, "_solve", lambda self, x: 1.1 * plain(self, x))
    assert MarkowitzLU.believed(*given) is None


@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0])
def test_what_has_no_solution(system, number):
    (rows, reduced, data), _ = system
    spoiled = data.copy()
    column = reduced.order // 2
    spoiled[reduced.indptr[column] : reduced.indptr[column + 1]] = number
    assert MarkowitzLU.believed(rows, reduced, spoiled) is None


def test_single_precision_goes_another_way(system):
    (rows, reduced, data), _ = system
    assert MarkowitzLU.believed(rows, reduced, data.astype(np.float32)) is None


def test_no_room(system, monkeypatch, tried):
    given, _ = system
    monkeypatch.setattr(markowitz, "_ROOM", 5)
    assert MarkowitzLU.believed(*given) is None
    # Then fronts do.
    A, b = matrix("random"), right()
    F = A.factor()
    assert backward_error(A, F.solve(b), b) < 4 * EPS
    assert tried == [None]
    assert isinstance(F._members[0]._sweeps._reduced, FrontLU)


def test_compiled_and_plain_agree(system, monkeypatch):
    given, _ = system
    b = sides(given, 2)
    compiled = MarkowitzLU.believed(*given).solve(b)
    for module, name in ((kernels, "eliminate"), (solving, "count"), (solving, "pack"), (solving, "solve")):
        monkeypatch.setattr(module, name, getattr(module, name).py_func)
    plain = MarkowitzLU.believed(*given).solve(b)
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-9 * abs(plain).max())
