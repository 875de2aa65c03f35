"""Windows of narrow bands in lanes, against plain loops over one window at a time."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import band_window_checks, band_windows
from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.shared_units import new_units
from stridiag.planning.chain import ChainLayout
from stridiag.planning.two_ended_band import TwoEndedBand

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

PIECE, MARGIN = 96, 160
EPS = np.finfo(np.float64).eps


class Case:
    """A dominant band, and what kernels are given of it."""

    def __init__(self, n, offsets, seed=0):
        self.A = stridiag.random(n, offsets, rng=seed, dominant=True)
        self.n, self.lower, self.upper = n, -offsets[0], offsets[-1]
        self.band = TwoEndedBand(ChainLayout(self.A.structure, 1), self.lower, self.upper)
        self.b = np.random.default_rng(seed).normal(size=n)
        self.b.setflags(write=False)
        self.groups = -(-n // (16 * PIECE))

    def given(self):
        flat, base = self.band.diagonals(self.A.values)
        present = tuple(None if place == ABSENT else 0 for place in base.tolist())
        return flat, base, (0,) * self.lower, (0,) * self.upper, present

    def solved(self, kernel, probing, margin=MARGIN):
        sides, probe = (0, 0) if probing else (0,), np.random.default_rng(1).normal(size=PIECE + 2 * margin)
        probe.setflags(write=False)
        x, borders = np.full(self.n, 7.0), np.zeros((self.groups, self.lower + self.upper, 16))
        largest, squares = np.empty((2, self.groups))
        given = (*self.given(), sides, self.b, probe, PIECE, margin)
        # Groups by themselves do what all do together, from either end.
        kernel(*given, new_units(0, 1), False, x, borders, largest, squares)
        kernel(*given, new_units(1, self.groups), True, x, borders, largest, squares)
        return x, borders, largest, squares

    def disagreeing(self, x, borders, limit=2 * EPS):
        flat, base = self.band.diagonals(self.A.values)
        groups = np.full(self.groups, -1)
        count = band_window_checks.disagreeing(flat, base, self.lower, PIECE, x, borders, limit, groups)
        assert (groups[count:] == -1).all()
        return list(groups[:count])


def largest_near(x, width):
    """Return the largest magnitude among the numbers around each: elimination fills the band."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(abs(x), width), 2 * width + 1).max(axis=1)


KERNELS = [band_windows.solve_windows, band_windows.plain_solve_windows]
SHAPES = [(-3, 0, 2), (-1, 0, 2), (-2, -1, 0, 1, 2, 3, 4)]


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize("n", [3 * 16 * PIECE, 5000, 40_001])
@pytest.mark.parametrize("offsets", SHAPES)
def test_lanes_do_what_plain_loops_do(offsets, n, probing):
    case = Case(n, offsets)
    x, borders, largest, squares = case.solved(band_windows.solve_windows, probing)
    plain = case.solved(band_windows.plain_solve_windows, probing)
    np.testing.assert_allclose(x, plain[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(borders, plain[1], rtol=1e-12, atol=1e-15)
    assert (largest == plain[2]).all()
    np.testing.assert_allclose(squares, plain[3], rtol=1e-12)
    assert largest.max() == abs(case.A.values).max()
    assert (squares > 0).all() if probing else (squares == 0).all()
    size = abs(case.A.to_scipy()).sum(axis=1) * largest_near(x, 4) + abs(case.b)
    assert (abs(case.A @ x - case.b) / size).max() < 2 * EPS
    assert case.disagreeing(x, borders) == []


def test_the_probe_is_solved_for_in_every_row():
    # Its solution has the mean square that the inverse's rows have.
    case = Case(30_000, (-3, 0, 2))
    squares = case.solved(band_windows.solve_windows, probing=True)[3]
    z = np.random.default_rng(5).normal(size=case.n)
    assert squares.sum() == pytest.approx((case.A.factor().solve(z) ** 2).sum(), rel=0.2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_neighbors_that_differ_are_noticed(kernel):
    case = Case(6000, (-3, 0, 2))
    x, borders, _, _ = case.solved(kernel, probing=False)
    for k in range(case.lower + case.upper):
        for change in (1e-10, np.nan, np.inf):
            other = borders.copy()
            other[1, k, 3] += change
            assert case.disagreeing(x, other) == [1]
            other[3, k, 5] += change
            assert case.disagreeing(x, other) == [1, 3]
    # Beyond the matrix there is nothing to differ from.
    other = borders.copy()
    other[0, case.upper :, 0] = other[-1, :, -1] = np.nan
    assert case.disagreeing(x, other) == []


def test_margins_that_are_too_narrow_show():
    case = Case(20_000, (-3, 0, 2))
    x, borders, _, _ = case.solved(band_windows.solve_windows, probing=False, margin=32)
    assert len(case.disagreeing(x, borders)) > case.groups // 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bad", [0.0, 1e-9, 0.5, np.nan])
def test_pivots_that_cannot_be_trusted_are_told(kernel, bad):
    case = Case(6000, (-3, 0, 2))
    values = case.A.values.copy()
    below, main, above = (case.A.structure.diagonal_slots(k) for k in (-3, 0, 2))
    values[main][3333] = bad
    values[above][3333] = 3.0
    # In the elimination of the columns before, rounding cannot help it.
    values[below][3330] = 0.0
    case.A = unchecked(case.A, values)
    _, _, largest, squares = case.solved(kernel, probing=False)
    group = 3333 // (16 * PIECE)
    assert np.isnan(squares[group])
    assert np.isnan(largest[group])
    assert squares[0] == 0.0


def unchecked(A, values):
    """Return the matrix with values that are not finite."""

    class Given:
        structure = A.structure

    made = Given()
    values.setflags(write=False)
    made.values = values
    return made


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e308])
def test_solutions_that_are_not_finite_are_told(kernel, bad):
    case = Case(6000, (-3, 0, 2))
    b = case.b.copy()
    b[3333] = bad
    case.b = b
    case.A = case.A.with_values(case.A.values / 64)
    squares = case.solved(kernel, probing=False)[3]
    assert np.isnan(squares[3333 // (16 * PIECE)])


def reaches(offsets, diagonals, rows=256, limit=2.0**-57):
    A = stridiag.StridiagMatrix.from_diagonals(dict(zip(offsets, diagonals, strict=True)), shape=1000)
    band = TwoEndedBand(ChainLayout(A.structure, 1), -offsets[0], offsets[-1])
    flat, base = band.diagonals(A.values)
    return band_window_checks.reach(flat, base, band.lower, 1000, rows, limit)


def test_reach_is_what_errors_take_to_shrink():
    # Eliminated with an eighth, and substituted with a quarter: 57 powers of two are 29 steps over two columns.
    assert reaches((-1, 0, 2), (1e-30, 1.0, 0.25)) == pytest.approx(2 * 29, abs=2)
    assert reaches((-3, 0, 1), (0.125, 1.0, 1e-30)) == pytest.approx(3 * 19, abs=3)
    # Both ways the slower one counts.
    assert reaches((-3, 0, 1), (0.125, 1.0, 0.25)) >= 3 * 19 - 3
    # Nothing shrinks, or a pivot is not to be trusted.
    assert reaches((-1, 0, 2), (-0.5, 1.0, -0.5)) == 256
    assert reaches((-1, 0, 2), (1e-30, 1.0, 1.5)) == 256
    assert reaches((-1, 0, 2), (0.1, 0.0, 0.1)) == 256
