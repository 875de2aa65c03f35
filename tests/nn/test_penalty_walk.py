from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import Statistics, ridge_from_rows
from stridiag.nn.penalty_walk import Judges, _walk, solve_by_walk, solve_rows_by_walk


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((120, 9)) * np.logspace(-3, 3, 9) + 5.0
    h[:, 4] = 2.0
    z = np.column_stack((h[:, 0] * 1e3 + np.sin(h[:, 3]), rng.standard_normal(120)))
    return h, z, rng.integers(1, 4, 120).astype(float)


def judge(h, z, d, rows=slice(None)):
    return Judges(h[rows], z[rows], d[rows])


def test_it_is_ridge_regression(data):
    h, z, d = data
    fit = solve_by_walk(Statistics.from_rows(h, z, d), judge(h, z, d), 1e-2)
    expected = ridge_from_rows(h, z, d, 1e-2)
    np.testing.assert_allclose(fit.readout.apply(h), expected.apply(h), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.readout.score, expected.score, rtol=1e-9)
    np.testing.assert_allclose(fit.readout.degrees_of_freedom, expected.degrees_of_freedom, rtol=1e-9)


def test_residuals_without_a_row_are_exact(data):
    """Means, deviations and n alpha of the whole are kept, so the refit is by hand."""
    h, z, _ = data
    n, alpha = len(h), 0.03
    fit = solve_by_walk(Statistics.from_rows(h, z), judge(h, z, np.ones(n)), alpha)
    x, y = h - h.mean(axis=0), z - z.mean(axis=0)
    scale = np.where(np.ptp(h, axis=0) > 0, x.std(axis=0), np.inf)
    x = x / scale
    error = (z - fit.readout.apply(h)) / fit.leverages.left(h, np.ones(n))[:, None]
    np.testing.assert_allclose(fit.left_out, error, rtol=1e-8, atol=1e-10)
    design = np.column_stack((x, np.ones(n)))
    penalty = n * alpha * np.diag([*np.ones(9), 0.0])
    for i in (0, 57, 119):
        keep = np.arange(n) != i
        beta = np.linalg.solve(design[keep].T @ design[keep] + penalty, design[keep].T @ y[keep])
        np.testing.assert_allclose(y[i] - design[i] @ beta, error[i], rtol=1e-8, atol=1e-10)


def test_walk_finds_about_the_penalty_of_the_grid():
    rng = np.random.default_rng(1)
    for noise in (1e-6, 0.3, 30.0):
        h = rng.standard_normal((300, 40))
        z = h @ rng.standard_normal((40, 1)) + noise * rng.standard_normal((300, 1))
        fit = solve_by_walk(Statistics.from_rows(h, z), judge(h, z, np.ones(300)))
        grid = ridge_from_rows(h, z, np.ones(300))
        assert fit.readout.score[0] <= 1.02 * grid.score[0]


@pytest.mark.parametrize("bottom", [-10.0, -6.3, -3.0, 0.2, 2.0])
@pytest.mark.parametrize("start", [-12.0, -3.0, 5.0])
def test_walk_ends_in_the_valley(bottom, start):
    asked = []

    def error(e):
        asked.append(e)
        return 1.0 + (e - bottom) ** 2

    assert abs(_walk(error, start, fine=True) - bottom) <= 0.5
    assert abs(_walk(error, start, fine=False) - bottom) <= 1.0
    assert min(asked) >= -11.0
    assert max(asked) <= 3.0


def test_where_nothing_is_judged_the_largest_penalty_is_taken():
    assert _walk(lambda e: np.inf, -3.0, fine=True) >= 2.0
    assert _walk(lambda e: 0.0, -3.0, fine=True) >= 2.0


def test_a_penalty_too_small_is_an_error():
    h = np.ones((10, 2)) * np.arange(10.0)[:, None]
    with pytest.raises(ValueError, match="too small"):
        solve_by_walk(Statistics.from_rows(h, h), judge(h, h, np.ones(10)), 1e-300)


def test_columns_that_are_almost_dead_do_not_speak():
    """A unit that rounding lights up at one row is no evidence of what it does where it is fully lit."""
    rng = np.random.default_rng(0)
    h = np.column_stack((rng.standard_normal((100, 2)), np.zeros(100)))
    h[7, 2] = 1e-16
    z = h[:, :1] + 0.1 * rng.standard_normal((100, 1))
    z[7] += 5.0
    statistics, judges = Statistics.from_rows(h, z), judge(h, z, np.ones(100))
    lit = np.array([[0.0, 0.0, 1.0]])
    assert np.abs(solve_by_walk(statistics, judges, 1e-3).readout.apply(lit)).max() > 1e10
    assert np.abs(solve_by_walk(statistics, judges, 1e-3, least_spread=0.01).readout.apply(lit)).max() < 1.0


def test_single_precision_changes_leverages_by_rounding_only():
    rng = np.random.default_rng(0)
    h = np.tanh(rng.standard_normal((300, 4)) @ rng.standard_normal((4, 120)))
    z, d = h[:, :1] + 0.1 * rng.standard_normal((300, 1)), np.ones(300)
    statistics, judges = Statistics.from_rows(h, z), judge(h, z, d)
    for alpha in (1e-8, 1e-3):
        double = solve_by_walk(statistics, judges, alpha)
        single = solve_by_walk(statistics, judges, alpha, single=True)
        assert single.leverages.factor.dtype == np.float32
        c, expected = single.readout.coefficients, double.readout.coefficients
        np.testing.assert_allclose(c, expected, atol=1e-9 * np.abs(expected).max())
        np.testing.assert_allclose(single.leverages.left(h, d), double.leverages.left(h, d), rtol=1e-3)
    assert solve_by_walk(statistics, judges, 1e-10, single=True).leverages.factor.dtype == np.float64


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [None, 1e-6, 1e-2])
def test_by_rows_is_by_columns(weighted, alpha):
    rng = np.random.default_rng(0)
    h = np.tanh(rng.standard_normal((60, 3)) @ rng.standard_normal((3, 90)) + rng.standard_normal(90))
    h[:, 7] = 2.0
    z = np.column_stack((np.sin(h[:, 0]), rng.standard_normal(60)))
    d = rng.choice([0.5, 1.0, 2.0, 3.0], 60) if weighted else np.ones(60)
    columns = solve_by_walk(Statistics.from_rows(h, z, d), judge(h, z, d), alpha, least_spread=0.01)
    rows = solve_rows_by_walk(judge(h, z, d), alpha, least_spread=0.01)
    assert rows.readout.alpha[0] == pytest.approx(columns.readout.alpha[0], rel=1e-6)
    # Products are known to rounding, which a small penalty divides.
    tolerance = 1e-4 if alpha == 1e-6 else 1e-6
    np.testing.assert_allclose(rows.readout.apply(h), columns.readout.apply(h), atol=tolerance)
    np.testing.assert_allclose(rows.left_out, columns.left_out, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(rows.readout.score, columns.readout.score, rtol=tolerance)
    np.testing.assert_allclose(rows.readout.degrees_of_freedom, columns.readout.degrees_of_freedom, rtol=1e-6)


def test_a_regression_of_the_same_kind_settles_where_the_first_ended():
    rng = np.random.default_rng(0)
    h, d = rng.standard_normal((200, 5)), np.ones(200)
    z = h[:, :1] + rng.standard_normal((200, 1))
    for start in (-7.5, -2.0):
        fit = solve_by_walk(Statistics.from_rows(h, z), judge(h, z, d), start=start, settle=True)
        assert fit.readout.alpha[0] == 10.0**start
    # Without leave-one-out errors there it walks.
    h = rng.standard_normal((50, 60))
    fit = solve_by_walk(Statistics.from_rows(h, z[:50]), judge(h, z[:50], d[:50]), start=-9.0, settle=True)
    assert fit.readout.alpha[0] > 1e-6


def test_walk_stops_at_the_lowest_penalty():
    assert _walk(lambda e: e + 20.0, -3.0, fine=True, lowest=-5.0) == -5.0
    assert _walk(lambda e: e + 20.0, -9.0, fine=True, lowest=-5.0) == -5.0


def test_choosers_choose_and_all_judges_judge():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((400, 30))
    z, d = h[:, :1] + rng.standard_normal((400, 1)), np.ones(400)
    statistics, some = Statistics.from_rows(h, z), np.arange(1, 400, 2)
    fit = solve_by_walk(statistics, Judges(h, z, d, some))
    alone = solve_by_walk(statistics, judge(h, z, d, some))
    assert fit.readout.alpha[0] == alone.readout.alpha[0]
    assert fit.left_out.shape == (400, 1)
    np.testing.assert_allclose(fit.left_out[some], alone.left_out, rtol=1e-12)
    np.testing.assert_allclose(fit.readout.score, np.mean(fit.left_out**2))


def test_sketched_leverages_choose_as_exact_ones_do():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((3000, 60))
    z, d = h[:, :1] + rng.standard_normal((3000, 1)), np.ones(3000)
    statistics, some = Statistics.from_rows(h, z), np.arange(0, 1000, 2)
    judges = Judges(h[:1000], z[:1000], d[:1000], some)
    exact, rough = (solve_by_walk(statistics, judges, rough=asked, fine=False) for asked in (False, True))
    assert rough.readout.alpha[0] == exact.readout.alpha[0]
    # What all judges say is exact in either case; where all of them choose it is a sketch.
    np.testing.assert_allclose(rough.left_out, exact.left_out, rtol=1e-12)
    alone = solve_by_walk(statistics, judge(h, z, d, some), rough=True, fine=False)
    assert 0.0 < np.abs(alone.left_out - exact.left_out[some]).max() < 0.05


def test_a_vertex_at_a_penalty_that_was_tried_is_that_penalty():
    seen = []
    assert _walk(lambda e: seen.append(e) or 2.0 + (e + 2.05) ** 2, -3.0, fine=True) == -2.0
    assert sorted(set(seen)) == [-4.0, -3.0, -2.0, -1.0]
