"""Long chains that forget what is far away, solved in one pass: as accurate as in two sweeps, and as careful."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.shared_units import new_units
from stridiag.factorization import chain_windows, swept
from stridiag.factorization.chain_windows import Windows
from stridiag.factorization.sweeps import Sweeps

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

EPS = np.finfo(np.float64).eps
N = 13_001


@pytest.fixture(autouse=True)
def tried(watched, monkeypatch):
    """Solve short chains in windows too; return what became of each trial."""
    monkeypatch.setattr(swept, "REPLAYED", 0)
    return watched(Windows)


def dominant(n=N, stride=1):
    return stridiag.random(n, (-stride, 0, stride), rng=n, dominant=True)


def constant(below, on, above, n=N):
    return stridiag.StridiagMatrix.from_diagonals({-1: below, 0: on, 1: above}, shape=n)


def normwise_error(A, x, b):
    """Of all rows together."""
    norm = abs(A.to_scipy()).sum(axis=1).max()
    return abs(A @ x - b).max() / (norm * abs(x).max() + abs(b).max())


def backward_error(A, x, b):
    """Of each row by itself, the largest."""
    return (abs(A @ x - b) / (abs(A.to_scipy()) @ abs(x) + abs(b) + 1e-300)).max()


@pytest.mark.parametrize("stride", [1, 3, 8, 16, 24])
def test_solutions(tried, stride):
    A = dominant(40_000, stride)
    b = np.random.default_rng(0).normal(size=40_000)
    x = linalg.solve(A, b)
    assert tried == [True]
    assert backward_error(A, x, b) < 4 * EPS
    F = A.factor()
    for _ in range(3):
        assert (F.solve(b) == x).all()
    assert (F.solve(b[:, None])[:, 0] == x).all()
    assert backward_error(A.T, F.solve(b, trans="T"), b) < 4 * EPS
    assert all(tried)


KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "graded": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.uniform(-8, 8, size=n),
    "sparse": lambda rng, n: rng.normal(size=n) * (rng.random(n) < 0.9),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [1, 3, 8, 16, 24])
def test_solutions_with_interchanges(tried, stride, kind):
    n, rng = 60_000, np.random.default_rng(stride)
    structure = stridiag.Structure(n, offsets=(-stride, 0, stride))
    A = stridiag.StridiagMatrix(structure, KINDS[kind](rng, structure.nnz))
    b = rng.normal(size=n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stridiag.IllConditionedWarning)
        try:
            x = linalg.solve(A, b)
        except stridiag.SingularMatrixError:
            assert kind == "sparse"
            return
        assert tried[:1] == [True]
        assert normwise_error(A, x, b) < 4 * EPS
        F = A.factor()
        for _ in range(3):
            assert (F.solve(b) == x).all()
        if kind == "normal":
            # What may be singular takes other factors for more than a vector.
            assert (F.solve(b[:, None])[:, 0] == x).all()
        assert normwise_error(A.T, F.solve(b, trans="T"), b) < 4 * EPS


def test_a_factor_replays_notes_where_that_takes_less_time(tried, monkeypatch):
    monkeypatch.setattr(swept, "REPLAYED", N)
    A, b = stridiag.random(N, rng=0), np.random.default_rng(0).normal(size=N)
    x = linalg.solve(A, b)
    F = A.factor()
    for _ in range(swept.BY_WINDOWS):
        assert (F.solve(b) == x).all()
    assert tried == [True] * (1 + swept.BY_WINDOWS)
    y = F.solve(b)
    for _ in range(3):
        assert (F.solve(b) == y).all()
    assert len(tried) == 1 + swept.BY_WINDOWS
    assert 0.0 < abs(x - y).max() < 1e-8 * abs(x).max()
    # The transpose has windows of its own, and notes when as many solutions have been asked for.
    z = F.solve(b, trans="T")
    assert normwise_error(A.T, z, b) < 4 * EPS
    assert len(tried) == 1 + swept.BY_WINDOWS


def test_what_disagrees_is_solved_again_with_wider_margins(tried, monkeypatch):
    # So narrow that a few borders in a hundred do not fit.
    monkeypatch.setattr(chain_windows, "_WIDE_MARGINS", (128,))
    monkeypatch.setattr(chain_windows, "_SPARE", 0.5)
    monkeypatch.setattr(chain_windows, "_FEW", 1)
    margins = []
    solver = Windows._solver

    def noted(self, b, numbers, margin, made):
        run = solver(self, b, numbers, margin, made)

        def counted(units, from_end):
            margins.append(margin)
            run(units, from_end)

        return counted

    monkeypatch.setattr(Windows, "_solver", noted)
    A, b = stridiag.random(200_000, rng=1), np.random.default_rng(0).normal(size=200_000)
    found = []
    for count in (1, 3):
        margins.clear()
        with stridiag.num_threads(count):
            found.append(linalg.solve(A, b))
        assert 128 in margins
        # Each group by itself, and not all of them.
        assert 0 < margins.count(256) < 200_000 // (16 * chain_windows._LONG_PIECE)
    assert (found[0] == found[1]).all()
    assert tried == [True, True]
    assert normwise_error(A, found[0], b) < 4 * EPS
    # Too many of them: swept.
    monkeypatch.setattr(chain_windows, "_FEW", 10**9)
    monkeypatch.setattr(chain_windows, "_WIDE_MARGINS", (64,))
    monkeypatch.setattr(chain_windows, "_SPARE", 0.25)
    assert normwise_error(A, linalg.solve(A, b), b) < 4 * EPS
    assert tried == [True, True, False]


def test_unknowns_beyond_a_piece_that_are_too_large_are_noticed(tried):
    # The row carried across the end of a piece goes on for hundreds of rows, and is eliminated with what is there.
    A, b = stridiag.random(N, rng=0), np.random.default_rng(0).normal(size=N)
    windows = A.factor()._members[0]._windows
    borders = np.zeros((windows._groups, 4, 16))
    made = np.empty(N), borders, np.empty(windows._groups), np.empty(windows._groups)
    windows._solver(b, None, windows.margin, made)(new_units(0, windows._groups), False)
    assert windows._fits(b, None, made)
    borders[0, 3, 2] = 3 * borders[:, 2].max()
    assert not windows._fits(b, None, made)
    borders[0, 3, 2] = np.nan
    assert not windows._fits(b, None, made)


@pytest.mark.parametrize(
    ("below", "on", "above", "margin"),
    [
        (1.0, 4.0, 1.0, 32),
        (-1.0, 2.5, -1.0, 64),
        (-1.0, 2.1, -1.0, 128),
        (-1.0, 2.08, -1.0, 256),
        (-1.0, 2.03, -1.0, 384),
    ],
)
def test_margins_are_as_wide_as_they_need_to_be(tried, below, on, above, margin):
    A, b = constant(below, on, above), np.random.default_rng(0).normal(size=N)
    windows = A.factor()._members[0]._windows
    assert windows.margin == margin
    assert windows.interchanging is (None if margin <= 128 else True)
    assert backward_error(A, linalg.solve(A, b), b) < 4 * EPS
    assert tried == [True]


def test_what_does_not_decay_is_swept(tried):
    b = np.random.default_rng(0).normal(size=N)
    for A in (constant(-1.0, 2.0, -1.0), constant(1.0, 1.5, 1.0), constant(1.0, -0.5, 1.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stridiag.IllConditionedWarning)
            linalg.solve(A, b)
    assert tried == []


def test_numbers_of_threads_do_not_matter(tried, monkeypatch):
    # Each group of windows is worth a thread.
    for name in ("_GRAIN", "_LONG_GRAIN"):
        monkeypatch.setattr(f"stridiag.factorization.chain_windows.{name}", 1)
    for stride, values in ((1, True), (8, True), (1, False), (8, False)):
        A = stridiag.random(80_000, (-stride, 0, stride), rng=1, dominant=values)
        b = np.random.default_rng(1).normal(size=80_000)
        found = []
        for count in (1, 2, 3):
            with stridiag.num_threads(count):
                found.append((linalg.solve(A, b), A.factor().solve(b, trans="T")))
        for others in zip(*found, strict=True):
            assert all((other == others[0]).all() for other in others)
    assert all(tried)


def test_solutions_that_die_away_keep_their_digits(tried):
    # Far from where the right-hand side is, windows see nothing of it.
    A, b = constant(1.0, 4.0, 1.0), np.zeros(N)
    b[5000] = 1.0
    x = linalg.solve(A, b)
    assert x[5300] == pytest.approx((np.sqrt(3) - 2) ** 300 / np.sqrt(12), rel=1e-12)
    # Of this one entries enough differ from zero, but too few rows are near to those that do not.
    b = np.where(np.arange(N) < 9000, np.random.default_rng(0).normal(size=N), 0.0)
    x = linalg.solve(A, b)
    assert x[9300] / x[9200] == pytest.approx((np.sqrt(3) - 2) ** 100, rel=1e-12)
    assert tried == [False, False]
    F = A.factor()
    assert (F.solve(b) == x).all()
    assert (F.solve(b) == x).all()


def test_a_pivot_that_fails_later_is_found(tried):
    A, b = dominant(), np.random.default_rng(0).normal(size=N)
    values = A.values.copy()
    values[[part + 7000 for part in A.structure.starts[:3]]] = 30.0, 1e-3, 30.0
    A = A.with_values(values)
    x = linalg.solve(A, b)
    assert abs(A @ x - b).max() < 8 * EPS * (60.0 * abs(x).max() + abs(b).max())
    assert tried == [False]
    F = A.factor()
    for _ in range(3):
        assert (F.solve(b) == x).all()
    # What a pivot is does not depend on the right-hand side.
    assert tried == [False, False]


@pytest.mark.parametrize("power", [-1000, 900, 1015])
@pytest.mark.parametrize("values", [True, False])
def test_numbers_near_the_ends_of_the_range(power, values):
    A = stridiag.random(N, rng=2, dominant=values)
    x = np.random.default_rng(0).normal(size=N)
    scaled = A.with_values(np.ldexp(A.values, power))
    loss = 1.0 if values else 1e5
    np.testing.assert_allclose(linalg.solve(scaled, scaled @ x), x, rtol=1e-11 * loss, atol=1e-12 * loss)


@pytest.mark.parametrize("values", [True, False])
def test_numbers_that_are_not_finite_are_told(values):
    A, b = stridiag.random(N, rng=0, dominant=values), np.ones(N)
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, 5000, N - 2, N - 1, N + 4000, 2 * N - 2, 2 * N - 1, 3 * N - 3):
            values = A.values.copy()
            values[place] = bad
            with pytest.raises(stridiag.NonFiniteError):
                linalg.solve(A.with_values(values), b)
        for place in (0, 7000, N - 1):
            right = b.copy()
            right[place] = bad
            with pytest.raises(stridiag.NonFiniteError):
                linalg.solve(A, right)


@pytest.mark.parametrize("values", [True, False])
def test_singular_and_ill_conditioned_matrices_are_told(values):
    A, b = stridiag.random(N, rng=0, dominant=values), np.ones(N)
    starts = A.structure.starts
    for slots in (
        [starts[0] + 7777, starts[1] + 7777, starts[2] + 7776],
        [starts[0] + 7776, starts[1] + 7777, starts[2] + 7777],
    ):
        values = A.values.copy()
        values[slots] = 0.0
        with pytest.raises(stridiag.SingularMatrixError):
            linalg.solve(A.with_values(values), b)
    values = A.values.copy()
    # A row and a column of their own, far too small.
    values[[starts[0] + 7776, starts[0] + 7777, starts[2] + 7776, starts[2] + 7777]] = 0.0
    values[starts[1] + 7777] = 1e-30
    for solve in (linalg.solve, lambda A, b: A.factor().solve(b)):
        with pytest.warns(stridiag.IllConditionedWarning):
            solve(A.with_values(values), b)


@pytest.mark.parametrize("values", [True, False])
def test_other_values_in_the_same_factor(tried, values):
    A, b = dominant(), np.random.default_rng(0).normal(size=N)
    other = stridiag.random(N, rng=5, dominant=values)
    F = A.factor()
    F.solve(b)
    F.solve(b, trans="T")
    F.refactor(other.values, overwrite=True)
    assert (F.solve(b) == linalg.solve(other, b)).all()
    assert normwise_error(other.T, F.solve(b, trans="T"), b) < 4 * EPS
    assert all(tried)


def test_nothing_is_planned_or_kept(monkeypatch):
    def forbidden(*args, **options):
        raise AssertionError("swept")

    monkeypatch.setattr(Sweeps, "__init__", forbidden)
    A = dominant()
    F = A.factor()
    F.solve(np.ones(N))
    assert F.nbytes == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.solve(np.ones(N))
