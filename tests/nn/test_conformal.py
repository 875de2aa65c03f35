from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import NonFiniteError
from stridiag.nn import Conformal, ridge_from_rows
from stridiag.nn.calibration import brier_score, log_loss
from stridiag.nn.readout import solve_ridge


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("normalised", [False, True])
def test_coverage_is_what_was_promised(level, normalised):
    """Over 300 draws of everything: at least the level, at most 1/(n + 1) above, within four binomial deviations."""
    n, new, draws = 39, 20, 300
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(draws):
        x = rng.uniform(0.5, 3.0, (60 + n + new, 2))
        # Noise that grows with x, and heavy tails: nothing that the model knows of.
        z = x**2 + x * rng.standard_t(3, x.shape)
        fit = ridge_from_rows(x[:60], z[:60], np.ones(60), 0.01)
        held, test = slice(60, 60 + n), slice(60 + n, None)
        scale = (lambda part: x[part]) if normalised else (lambda part: None)  # noqa: B023 - called at once
        band = Conformal.split(z[held], fit.apply(x[held]), scale(held))
        lower, upper = band.interval(fit.apply(x[test]), level, scale(test))
        inside.append(((lower <= z[test]) & (z[test] <= upper)).mean(axis=0))
    inside = np.array(inside)
    # Draws are independent, what happens within one is not.
    margin = 4.0 * inside.std(axis=0) / np.sqrt(draws)
    assert (inside.mean(axis=0) >= level - margin).all()
    assert (inside.mean(axis=0) <= level + 1.0 / (n + 1) + margin).all()


def test_normalised_intervals_are_narrow_where_noise_is():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 3.0, (4000, 1))
    z = x * rng.standard_normal(x.shape)
    plain, scaled = Conformal.split(z, 0 * z), Conformal.split(z, 0 * z, x)
    near = x[:, 0] < 0.3
    for band, scale, low, high in ((plain, None, 0.99, 1.01), (scaled, x[near], 0.83, 0.97)):
        lower, upper = band.interval(np.zeros((near.sum(), 1)), 0.9, scale)
        assert low <= ((lower <= z[near]) & (z[near] <= upper)).mean() <= high


def test_the_rank_is_exact():
    band = Conformal.split(np.arange(1.0, 10.0)[::-1, None] * [[1.0, 2.0]], np.zeros((9, 2)))
    for level, rank in ((0.1, 1), (0.11, 2), (0.5, 5), (0.8, 8), (0.9, 9)):
        np.testing.assert_array_equal(band.half_width(level), [rank, 2 * rank])
    assert np.isinf(band.half_width(0.91)).all()
    lower, upper = band.interval([[1.0, 1.0]], 0.95)
    assert np.isinf(lower).all()
    assert np.isinf(upper).all()


def test_leave_one_out_intervals_are_those_of_refits_and_say_what_they_are():
    rng = np.random.default_rng(1)
    h = rng.standard_normal((50, 4))
    z = h[:, :1] + rng.standard_normal((50, 1))
    fit, left = solve_ridge(lambda: iter([(h, z, np.ones(50))]), h.shape, 1e-3, keep=True)
    band = Conformal.approximate(z, fit.apply(h), left)
    assert (band.kind, band.normalised) == ("approximate", False)
    np.testing.assert_allclose((band.scores**2).mean(), fit.score[0])


def test_intervals_refuse_what_they_cannot_take():
    z = np.ones((5, 1))
    band, scaled = Conformal.split(z, z), Conformal.split(z, z, z)
    for level in (0.0, 1.0, np.nan, "0.9", True):
        with pytest.raises(ValueError, match="level"):
            band.half_width(level)
    with pytest.raises(ValueError, match="not normalised"):
        band.interval(z, 0.5, z)
    with pytest.raises(ValueError, match="are normalised"):
        scaled.interval(z, 0.5)
    with pytest.raises(ValueError, match="predictions must have shape"):
        band.interval(np.ones((5, 2)), 0.5)
    with pytest.raises(ValueError, match="must both be"):
        Conformal.split(z, z[:3])
    with pytest.raises(ValueError, match="scale must be positive"):
        Conformal.split(z, z, 0 * z)
    with pytest.raises(ValueError, match="scale must have shape"):
        Conformal.split(z, z, z[:2])
    with pytest.raises(NonFiniteError, match="predictions must be finite"):
        Conformal.split(z, z * np.nan)
    with pytest.raises(ValueError, match="ascending"):
        Conformal(np.array([[2.0], [1.0]]), "split")
    with pytest.raises(ValueError, match="nonnegative"):
        Conformal(np.array([[-2.0], [1.0]]), "split")


def test_losses_of_probabilities():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 50)
    labels, weights = rng.integers(0, 4, 50), rng.random(50)
    true = np.eye(4)[labels]
    share = weights / weights.sum()
    assert brier_score(p, labels, weights) == pytest.approx(share @ ((p - true) ** 2).sum(axis=1))
    assert log_loss(p, labels, weights) == pytest.approx(-share @ np.log((p * true).sum(axis=1)))
    assert log_loss(np.array([[0.0, 1.0]]), np.array([0])) == np.inf
    assert brier_score(np.array([[0.0, 1.0]]), np.array([0])) == 2.0
    for bad in (p + 0.1, -p, p[0]):
        with pytest.raises(ValueError, match="probabilities"):
            log_loss(bad, labels)
