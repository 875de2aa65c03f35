"""Targets that scores may exceed: the limit is the squared hinge, and held-out rows are told of as without them."""

import numpy as np
import pytest
from scipy.optimize import minimize

from stridiag.nn.large_readout import SAFE, LargeChunk, solve_large
from stridiag.nn.margins import surplus


@pytest.fixture(scope="module")
def classes():
    """Return rows, standardised indicators, weights and which rows are held out."""
    rng = np.random.default_rng(5)
    labels = rng.integers(3, size=700)
    rows = rng.standard_normal((700, 30))
    rows[:, :3] += 1.5 * np.eye(3)[labels]
    indicators = np.eye(3)[labels]
    indicators -= indicators.mean(axis=0)
    return rows, indicators / indicators.std(axis=0), rng.integers(1, 4, 700).astype(float), np.arange(700) % 8 == 0


def chunked(rows, targets, weights, held, size=100):
    return lambda: [
        LargeChunk(rows[i : i + size], targets[i : i + size], weights[i : i + size], held[i : i + size])
        for i in range(0, len(rows), size)
    ]


def short_of(scores, targets, weights):
    """Return the squares of what scores fall short of their targets."""
    return weights @ np.square(targets + surplus(scores, targets) - scores)


def test_surplus_is_what_lies_beyond_the_target():
    targets = np.array([[2.0, -0.5], [2.0, -0.5], [2.0, -0.5]])
    scores = np.array([[3.0, -1.0], [1.0, 0.0], [2.0, -0.5]])
    np.testing.assert_array_equal(surplus(scores, targets), [[1.0, -0.5], [0.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("alpha", [0.1, SAFE / 10])
def test_many_rounds_are_the_squared_hinge(classes, alpha):
    rows, targets, weights, _ = classes
    fit = solve_large(chunked(*classes), (30, 3), alpha, np.full(30, 0.2), rounds=150).readout
    penalty = alpha * weights.sum()

    def objective(flat, q):
        scores = rows @ flat[1:] + flat[0]
        short = targets[:, q] + surplus(scores[:, None], targets[:, q, None])[:, 0] - scores
        slope = -2 * weights * short
        return weights @ short**2 + penalty * flat[1:] @ flat[1:], np.append(
            slope.sum(), rows.T @ slope + 2 * penalty * flat[1:]
        )

    for q in range(3):
        start = np.append(fit.intercept[q], fit.coefficients[:, q])
        best = minimize(objective, np.zeros(31), args=(q,), jac=True, method="BFGS", options={"gtol": 1e-7})
        assert objective(start, q)[0] <= best.fun * (1 + 1e-5)
        np.testing.assert_allclose(start, best.x, rtol=0, atol=2e-3)


def test_two_rounds_are_most_of_the_way(classes):
    rows, targets, weights, _ = classes
    losses = []
    for rounds in (0, 1, 2, 150):
        fit = solve_large(chunked(*classes), (30, 3), 0.01, np.zeros(30), rounds=rounds).readout
        losses.append(short_of(rows @ fit.coefficients + fit.intercept, targets, weights).sum())
    assert losses[0] > losses[1] > losses[2] > losses[3]
    assert losses[2] - losses[3] < 0.1 * (losses[0] - losses[3])


def test_held_out_scores_are_those_of_a_fit_without_the_rows(classes):
    rows, targets, weights, held = classes
    fit, said = solve_large(chunked(*classes), (30, 3), "holdout", np.zeros(30), rounds=2)
    plain = solve_large(chunked(*classes), (30, 3), "holdout", np.zeros(30))
    np.testing.assert_allclose(fit.alpha, plain.readout.alpha * np.sqrt(10.0))
    rest = [part[~held] for part in (rows, targets, weights, held)]
    without = solve_large(chunked(*rest), (30, 3), float(fit.alpha[0]), np.zeros(30), rounds=2).readout
    expected = without.apply(rows[held])
    # The matrix of all rows stands for that of the others: not exactly theirs, but near beside least squares.
    near, far = np.abs(said - expected).max(), np.abs(plain.held_out - expected).max()
    assert near < 0.25 * far
    few = solve_large(chunked(*classes), (30, 3), "holdout", np.zeros(30), rounds=2, scored=20).held_out
    np.testing.assert_array_equal(few, said[:20])


def test_weights_count_as_repetition(classes):
    rows, targets, weights, held = classes
    times = weights.astype(int)
    repeated = (np.repeat(part, times, axis=0) for part in (rows, targets, np.ones(700), held))
    once = solve_large(chunked(*classes), (30, 3), "holdout", np.zeros(30), rounds=2).readout
    twice = solve_large(chunked(*repeated), (30, 3), "holdout", np.zeros(30), rounds=2).readout
    np.testing.assert_allclose(once.coefficients, twice.coefficients, rtol=0, atol=1e-5)
    np.testing.assert_allclose(once.intercept, twice.intercept, rtol=0, atol=1e-5)
