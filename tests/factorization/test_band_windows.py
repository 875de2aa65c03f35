"""Long bands that their diagonal dominates, solved in one pass: as accurate as by LU, and as careful."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import band_windows
from stridiag.factorization.band_windows import BandWindows

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

EPS = np.finfo(np.float64).eps
N = 30_001


@pytest.fixture
def tried(watched):
    """Solve short bands in windows too; return what became of each trial."""
    return watched(BandWindows)


def dominant(n=N, offsets=(-3, 0, 2)):
    return stridiag.random(n, offsets, rng=n, dominant=True)


def backward_error(A, x, b):
    """Of all rows together."""
    norm = abs(A.to_scipy()).sum(axis=1).max()
    return abs(A @ x - b).max() / (norm * abs(x).max() + abs(b).max())


def error_by_rows(A, x, b):
    """Of each row by itself, the largest; beside the largest of the unknowns around, since elimination fills a band."""
    width = max(abs(k) for k in A.structure.offsets)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(abs(x), width), 2 * width + 1).max(axis=1)
    return (abs(A @ x - b) / (abs(A.to_scipy()).sum(axis=1) * near + abs(b))).max()


@pytest.fixture
def b():
    return np.random.default_rng(0).normal(size=N)


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-1, 0, 2), (-6, 0, 4), (-2, 0, 3)])
def test_solutions(tried, b, offsets):
    A = dominant(offsets=offsets)
    x = linalg.solve(A, b)
    assert tried == [True]
    assert error_by_rows(A, x, b) < 4 * EPS
    # A factor keeps what it solves with.
    F = A.factor()
    y = F.solve(b)
    assert (F.solve(b) == y).all()
    assert tried == [True]
    np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-14)


def test_solutions_do_not_depend_on_threads(tried, b):
    found = []
    for count in (1, 2, 3):
        with stridiag.num_threads(count):
            found.append(linalg.solve(dominant(), b))
    assert tried == [True] * 3
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("scale", [2.0**-400, 1e-140, 1e140])
def test_magnitudes(tried, b, scale):
    A = dominant()
    A = A.with_values(A.values * scale)
    x = linalg.solve(A, b)
    assert error_by_rows(A, x, b) < 4 * EPS


def test_rows_of_different_size(tried, b):
    A = dominant()
    rows, _ = A.structure.coordinates()
    A = A.with_values(A.values * 2.0 ** np.random.default_rng(1).integers(-8, 9, N)[rows])
    x = linalg.solve(A, b)
    assert tried == [True]
    assert error_by_rows(A, x, b) < 4 * EPS


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
def test_what_does_not_decay_is_left_to_lu(tried, b):
    for values in ((-0.5, 1.0, -0.5), (-1.0, 1.0, 1.0)):
        A = stridiag.StridiagMatrix.from_diagonals(dict(zip((-3, 0, 2), values, strict=True)), shape=N)
        x = linalg.solve(A, b)
        assert backward_error(A, x, b) < 1e-15
    assert tried == []


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
def test_what_dominates_at_its_beginning_only_is_left_to_lu(tried, b):
    A = dominant()
    values = A.values.copy()
    values[A.structure.diagonal_slots(0)][N // 2 :] *= 0.1
    A = A.with_values(values)
    x = linalg.solve(A, b)
    assert tried == [False]
    assert backward_error(A, x, b) < 1e-15


def test_what_decays_slowly_somewhere_is_solved_again(tried, b, monkeypatch):
    A = dominant()
    values = A.values.copy()
    below, main, above = (values[A.structure.diagonal_slots(k)] for k in (-3, 0, 2))
    # Over some hundred rows an error loses but a part.
    here = slice(9000, 9200)
    below[here], main[here], above[here] = -0.5, 1.0001, -0.5
    margins = []
    solver = BandWindows._solver

    def noted(self, b, margin, made):
        run = solver(self, b, margin, made)

        def counted(units, from_end):
            margins.append(margin)
            run(units, from_end)

        return counted

    monkeypatch.setattr(BandWindows, "_solver", noted)
    monkeypatch.setattr(band_windows, "_ROOM", 1000)
    A = A.with_values(values)
    x = linalg.solve(A, b)
    assert error_by_rows(A, x, b) < 4 * EPS
    assert len(set(margins)) == 2


def test_right_sides_that_are_zero_for_the_most_part_are_left_to_lu(tried):
    A, b = dominant(), np.zeros(N)
    b[N // 3] = 1.0
    x = linalg.solve(A, b)
    assert tried == [False]
    assert backward_error(A, x, b) < 4 * EPS


def test_what_is_not_finite_is_told(tried, b):
    b[77] = np.nan
    with pytest.raises(stridiag.NonFiniteError):
        linalg.solve(dominant(), b)
    A = dominant()
    values = A.values.copy()
    values[A.structure.diagonal_slots(0)][N // 2] = 0.0
    values[A.structure.diagonal_slots(-3)][N // 2 - 3] = 0.0
    values[A.structure.diagonal_slots(2)][N // 2] = 0.0
    with pytest.raises(stridiag.SingularMatrixError):
        linalg.solve(A.with_values(values), np.ones(N))
