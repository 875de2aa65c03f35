from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import Statistics, readout, ridge
from stridiag.nn.readout import ALPHAS, FREEDOM_LIMIT, ridge_from_rows, solve_ridge


@pytest.fixture(autouse=True, params=["eigenvalues", "direct"])
def _form(request, monkeypatch):
    """Every test by eigenvalues, and by the forms for large systems."""
    if request.param == "direct":
        monkeypatch.setattr(readout, "EIGEN_LIMIT", 0)


def problem(n, p, q=3, seed=0):
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((n, p)) @ rng.standard_normal((p, p)) * np.logspace(-2, 2, p) + 3.0
    z = np.tanh(h @ rng.standard_normal((p, q)) / np.sqrt(p)) + 0.3 * rng.standard_normal((n, q)) + [5.0, 0.0, -1.0][:q]
    return h, z, np.ones(n)


def hat_matrix(h, d, alpha):
    """The map from targets to fits, written down: standardise, add the penalty, centre."""
    w = d.sum()
    centred = h - d @ h / w
    scaled = centred / np.sqrt(d @ centred**2 / w)
    gram = scaled.T @ (d[:, None] * scaled) / w + alpha * np.eye(h.shape[1])
    return scaled @ np.linalg.solve(gram, scaled.T * d / w) + d / w


def solvers(h, z, d, alpha, **options):
    """By "gcv" from statistics, and from rows in the smaller of their forms."""
    yield ridge(Statistics.from_rows(h, z, d), alpha, **options)
    yield ridge_from_rows(h, z, d, alpha, **options)


def both_forms(h, z, d, alpha, **options):
    """Through the columns' products and through the rows', whichever is smaller; in chunks."""
    for columns in (0, len(h)):
        yield solve_ridge(lambda: chunks(h, z, d), (len(h), columns), alpha, **options)


def chunks(h, z, d):
    for part in np.array_split(np.arange(len(h)), 3):
        yield h[part], z[part], d[part]


@pytest.mark.parametrize(("n", "p"), [(60, 10), (40, 40), (25, 60)])
@pytest.mark.parametrize("alpha", [1e-4, 0.1, 30.0])
def test_fit_freedom_and_gcv_are_those_of_the_hat_matrix(n, p, alpha):
    h, z, d = problem(n, p)
    hat = hat_matrix(h, d, alpha)
    residual = z - hat @ z
    freedom = np.trace(hat)
    for fit in solvers(h, z, d, alpha):
        np.testing.assert_allclose(h @ fit.coefficients + fit.intercept, hat @ z, rtol=0, atol=1e-9)
        np.testing.assert_allclose(fit.degrees_of_freedom, freedom, rtol=1e-9)
        expected = (residual**2).mean(axis=0) / (1 - freedom / n) ** 2
        if fit.criterion == "loo":
            expected = ((residual / (1 - np.diagonal(hat)[:, None])) ** 2).mean(axis=0)
        np.testing.assert_allclose(fit.score, expected, rtol=1e-7)
    assert fit.criterion == "loo"
    for fit, left in both_forms(h, z, d, alpha, keep=True):
        np.testing.assert_allclose(fit.score, expected, rtol=1e-7)
        np.testing.assert_allclose(left, np.repeat(1 - np.diagonal(hat)[:, None], 3, axis=1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("per_output", [False, True])
def test_gcv_takes_the_best_penalty_of_its_grid(per_output):
    h, z, d = problem(80, 12)
    scores = []
    for alpha in ALPHAS:
        hat = hat_matrix(h, d, alpha)
        allowed = np.trace(hat) <= FREEDOM_LIMIT * len(h)
        score = ((z - hat @ z) ** 2).mean(axis=0) / (1 - np.trace(hat) / len(h)) ** 2
        scores.append(score if allowed else np.full(3, np.inf))
    scores = np.array(scores)
    best = ALPHAS[scores.argmin(axis=0)] if per_output else np.full(3, ALPHAS[scores.sum(axis=1).argmin()])
    for fit in solvers(h, z, d, "gcv", per_output=per_output):
        np.testing.assert_array_equal(fit.alpha, best)
    if per_output:
        assert len(set(best)) > 1


@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize(("n", "p"), [(80, 12), (40, 50)])
def test_loo_takes_the_best_penalty_of_its_grid(n, p, per_output):
    h, z, d = problem(n, p)
    scores = np.full((ALPHAS.size, 3), np.inf)
    for i, alpha in enumerate(ALPHAS):
        hat = hat_matrix(h, d, alpha)
        if np.trace(hat) <= FREEDOM_LIMIT * n:
            scores[i] = (((z - hat @ z) / (1 - np.diagonal(hat)[:, None])) ** 2).mean(axis=0)
    best = scores.argmin(axis=0) if per_output else np.full(3, scores.sum(axis=1).argmin())
    for fit, _ in both_forms(h, z, d, "loo", per_output=per_output):
        np.testing.assert_array_equal(fit.alpha, ALPHAS[best])
        np.testing.assert_allclose(fit.score, scores[best, range(3)], rtol=1e-6)


@pytest.mark.parametrize("p", [6, 60])
def test_leaving_out_one_observation_of_a_weighted_row_is_leaving_out_one_repetition(p):
    h, z, _ = problem(40, p)
    d = np.random.default_rng(1).integers(1, 4, 40).astype(float)
    again = d.astype(int)
    for alpha in ("loo", 0.01):
        for (fit, left), (twice, each) in zip(
            both_forms(h, z, d, alpha, keep=True),
            both_forms(h.repeat(again, 0), z.repeat(again, 0), np.ones(again.sum()), alpha, keep=True),
            strict=True,
        ):
            np.testing.assert_allclose(fit.score, twice.score, rtol=1e-7)
            np.testing.assert_allclose(left.repeat(again, 0), each, rtol=1e-7)
            np.testing.assert_array_equal(fit.alpha, twice.alpha)


def test_light_rows_are_left_out_whole():
    """Of a row that weighs 1/2, no more than 1/2 can be left out: exactly, in the mean of numbers."""
    z = np.random.default_rng(0).standard_normal((6, 1))
    d = np.array([0.5, 0.5, 1.0, 1.0, 1.5, 1.5])
    (_, left), *_ = both_forms(np.ones((6, 1)), z, d, 1.0, keep=True)
    for i in range(6):
        rest = d.copy()
        rest[i] -= min(1.0, d[i])
        without = rest @ z[:, 0] / rest.sum()
        error = z[i, 0] - d @ z[:, 0] / d.sum()
        assert error / left[i, 0] == pytest.approx(z[i, 0] - without)


def test_an_interpolated_row_has_no_score():
    h, z, d = problem(20, 4)
    h[:, 0] = np.eye(20)[0]
    for fit, left in both_forms(h, z, d, 0.0, keep=True):
        assert np.isinf(fit.score).all()
        assert np.abs(left[0]).max() < 1e-9


def test_statistics_cannot_leave_one_out():
    with pytest.raises(ValueError, match="'loo' needs rows"):
        ridge(Statistics.from_rows(np.eye(3), np.ones(3)), "loo")


def test_gcv_is_near_exact_leave_one_out():
    """GCV replaces each leverage by the mean; over rows of equal law the two choose alike."""
    h, z, d = problem(120, 10, q=1)
    exact = []
    for alpha in ALPHAS:
        hat = hat_matrix(h, d, alpha)
        exact.append(np.mean(((z - hat @ z)[:, 0] / (1 - np.diagonal(hat))) ** 2))
    fit = ridge(Statistics.from_rows(h, z, d))
    assert fit.score[0] == pytest.approx(min(exact), rel=0.05)
    # The shortcut e / (1 - h) itself, against refits without the row.
    alpha = 0.1
    hat = hat_matrix(h, d, alpha)
    shortcut = (z - hat @ z)[:, 0] / (1 - np.diagonal(hat))
    some = np.arange(0, 120, 10)
    refits = []
    for i in some:
        rest = np.arange(120) != i
        # A refit with the same absolute penalty on the same scale: weights keep both nearly so.
        part = ridge(Statistics.from_rows(h[rest], z[rest]), alpha)
        refits.append(z[i, 0] - (h[i] @ part.coefficients + part.intercept)[0])
    np.testing.assert_allclose(shortcut[some], refits, rtol=0, atol=0.02)


@pytest.mark.parametrize(("n", "p"), [(20, 60), (30, 30)])
def test_near_interpolation_the_freedom_is_capped(n, p):
    h, z, d = problem(n, p)
    # Duplicates make leaving a row out look harmless at interpolation.
    h, z, d = np.vstack((h, h)), np.vstack((z, z)), np.ones(2 * n)
    for fit in solvers(h, z, d, "gcv"):
        assert (fit.degrees_of_freedom <= FREEDOM_LIMIT * 2 * n).all()
        assert np.isfinite(fit.score).all()


def test_both_forms_agree_with_weights():
    h, z, _ = problem(50, 20)
    d = np.random.default_rng(1).integers(0, 4, 50).astype(float)
    first, second = solvers(h, z, d, "gcv")
    np.testing.assert_allclose(first.coefficients, second.coefficients, rtol=1e-6, atol=1e-9)
    repeated = ridge_from_rows(h.repeat(d.astype(int), 0), z.repeat(d.astype(int), 0), np.ones(int(d.sum())), "gcv")
    np.testing.assert_allclose(repeated.coefficients, second.coefficients, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(repeated.score, second.score, rtol=1e-9)


def test_no_penalty_is_least_squares_of_minimum_norm():
    h, z, d = problem(40, 6)
    exact = np.linalg.lstsq(np.column_stack((h, np.ones(40))), z, rcond=None)[0]
    for fit in solvers(h, z, d, 0.0):
        np.testing.assert_allclose(fit.coefficients, exact[:-1], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fit.intercept, exact[-1], rtol=1e-6, atol=1e-6)
    twice = np.hstack((h, h))
    for fit in solvers(twice, z, d, 0.0):
        np.testing.assert_allclose(fit.coefficients[:6], exact[:-1] / 2, rtol=1e-5, atol=1e-8)


def test_constant_columns_get_nothing():
    h, z, d = problem(40, 6)
    h[:, 2] = 7.7
    for alpha in ("gcv", 0.0, 1.0):
        for fit in solvers(h, z, d, alpha):
            assert (fit.coefficients[2] == 0.0).all()
            assert np.isfinite(fit.coefficients).all()
    for fit in solvers(np.ones((40, 3)), z, d, "gcv"):
        assert (fit.coefficients == 0.0).all()
        np.testing.assert_allclose(fit.intercept, z.mean(axis=0))


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf, "cv", None, True, np.ones(2)])
def test_bad_penalties_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha must be 'loo', 'gcv'"):
        ridge_from_rows(np.eye(3), np.ones((3, 1)), np.ones(3), alpha)
    with pytest.raises(ValueError, match="alpha must be 'gcv'"):
        ridge(Statistics.from_rows(np.eye(3), np.ones(3)), alpha)
