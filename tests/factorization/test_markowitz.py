"""Reduced systems that are solved once and not factored: solutions, corrections, and what goes the general way."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels import markowitz as kernels
from stridiag._kernels.compile import COMPILES
from stridiag.errors import IllConditionedWarning, SingularMatrixError
from stridiag.factorization import markowitz, sweeps

pytestmark = pytest.mark.skipif(not COMPILES, reason="sweeps exist in compiled code only")

EPS = np.finfo(np.float64).eps


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    """Return what became of each trial."""
    found = []

    def watched(*arguments):
        x = markowitz.solve_reduced_once(*arguments)
        found.append(x is not None)
        return x

    monkeypatch.setattr(sweeps, "solve_reduced_once", watched)
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
    x = linalg.solve(A, b)
    assert tried == [True]
    assert backward_error(A, x, b) < 4 * EPS
    A.factor().solve(b)
    assert tried == [True], "factors are what solves again"


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
    assert tried == [True]
    np.testing.assert_allclose(np.ldexp(x, 2 * power), linalg.solve(A, b), rtol=1e-9, atol=0)


def test_singular(tried):
    A = matrix("random")
    values, (_, columns) = A.values.copy(), A.structure.coordinates()
    values[columns == A.structure.link_columns[0]] = 0.0
    with pytest.raises(SingularMatrixError):
        linalg.solve(A.with_values(values), right())
    assert tried in ([], [False])


def test_nearly_singular_is_told():
    A = matrix("random")
    values, (_, columns) = A.values.copy(), A.structure.coordinates()
    values[columns == A.structure.link_columns[0]] *= 1e-30
    with pytest.warns(IllConditionedWarning):
        linalg.solve(A.with_values(values), right())


@pytest.fixture(scope="module")
def system():
    """The pattern and the numbers of a reduced system, and the dense matrix."""
    with pytest.MonkeyPatch.context() as patch:
        given = []
        patch.setattr(sweeps, "solve_reduced_once", lambda *arguments: given.append(arguments))
        linalg.solve(matrix("random", links=300), right())
    reduced, data, _ = given[0]
    return reduced, data, reduced.compressed(data).toarray()


@pytest.mark.parametrize("sides", [1, 2, 5])
def test_any_numbers(system, sides):
    reduced, data, dense = system
    b = np.random.default_rng(4).standard_normal((reduced.order, sides))
    given = b.copy()
    x = markowitz.solve_reduced_once(reduced, data, b)
    np.testing.assert_array_equal(b, given)
    size = abs(dense).sum(axis=1).max() * abs(x).max(axis=0) + abs(b).max(axis=0)
    assert (abs(dense @ x - b).max(axis=0) <= 4 * EPS * size).all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 2.0])
def test_any_share(system, share, monkeypatch):
    # All dense; none dense.
    monkeypatch.setattr(markowitz, "_SHARE", share)
    monkeypatch.setattr(markowitz, "_ROOM", 2000)
    reduced, data, dense = system
    b = np.random.default_rng(4).standard_normal((reduced.order, 2))
    x = markowitz.solve_reduced_once(reduced, data, b)
    np.testing.assert_allclose(x, np.linalg.solve(dense, b), rtol=0, atol=1e-9 * abs(x).max())


def test_inaccurate_solutions_are_corrected(system, monkeypatch):
    reduced, data, dense = system
    b = np.random.default_rng(4).standard_normal((reduced.order, 2))
    made = []

    def spoiled(*arguments):
        x = plain(*arguments)
        made.append(x)
        return x * (1 + 1e-9 * np.random.default_rng(0).random(x.shape))

    plain = markowitz._eliminated
    monkeypatch.setattr(markowitz, "_eliminated", spoiled)
    x = markowitz.solve_reduced_once(reduced, data, b)
    assert len(made) == 2
    size = abs(dense).sum(axis=1).max() * abs(x).max(axis=0) + abs(b).max(axis=0)
    assert (abs(dense @ x - b).max(axis=0) <= 4 * EPS * size).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0])
def test_what_has_no_solution(system, number):
    reduced, data, _ = system
    spoiled = data.copy()
    column = reduced.order // 2
    spoiled[reduced.indptr[column] : reduced.indptr[column + 1]] = number
    assert markowitz.solve_reduced_once(reduced, spoiled, np.ones((reduced.order, 2))) is None


def test_no_room(system, monkeypatch):
    monkeypatch.setattr(markowitz, "_ROOM", 5)
    reduced, data, _ = system
    assert markowitz.solve_reduced_once(reduced, data, np.ones((reduced.order, 1))) is None


def test_compiled_and_plain_agree(system, monkeypatch):
    reduced, data, _ = system
    b = np.random.default_rng(4).standard_normal((reduced.order, 2))
    compiled = markowitz.solve_reduced_once(reduced, data, b)
    monkeypatch.setattr(kernels, "eliminate", kernels.eliminate.py_func)
    monkeypatch.setattr(kernels, "substitute", kernels.substitute.py_func)
    plain = markowitz.solve_reduced_once(reduced, data, b)
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-9 * abs(plain).max())
