"""Images and their copies: errors without an image are those of fits without all of its rows."""

import numpy as np
import pytest

from stridiag.nn.copies_readout import ALPHAS, choose_together, fit_copies
from stridiag.nn.readout import solve_ridge


@pytest.fixture(scope="module")
def copies():
    """Return features (n, K, p), targets and weights."""
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((90, 1, 20)) + 0.5 * rng.standard_normal((90, 4, 20)) + 3.0
    targets = np.tanh(rows[:, 0, :2] - 3.0) + 0.3 * rng.standard_normal((90, 2))
    return rows, targets, rng.integers(1, 4, 90).astype(float)


def solve_copies(rows, targets, weights, alpha):
    """Fit one network, its penalty chosen for None."""
    fit = fit_copies(rows, targets, weights, ALPHAS if alpha is None else np.array([alpha]))
    (readout,), left_out = choose_together([fit], targets, weights, classification=False)
    return readout, left_out


def by_rows(rows, targets, share, penalty, scale):
    """Return intercept and coefficients of weighted ridge regression, column by column of `scale`."""
    a = np.hstack([np.ones((len(rows), 1)), rows / scale])
    ridge = np.diag(np.append(0.0, np.full(rows.shape[1], penalty)))
    x = np.linalg.solve((a.T * share) @ a + ridge, (a.T * share) @ targets)
    return x[0], x[1:] / scale[:, None]


def test_errors_are_those_without_the_image(copies):
    rows, targets, weights = copies
    alpha = 0.03
    readout, left_out = solve_copies(rows, targets, weights, alpha)
    flat, share = rows.reshape(-1, 20), np.repeat(weights / 4, 4)
    mean = np.average(flat, axis=0, weights=share)
    scale = np.sqrt(np.average((flat - mean) ** 2, axis=0, weights=share))
    # The penalty is that of the whole, on centred rows: so is the intercept's column.
    penalty = alpha * weights.sum()
    z = np.repeat(targets, 4, axis=0)
    intercept, coefficients = by_rows(flat - mean, z, share, penalty, scale)
    np.testing.assert_allclose(readout.coefficients, coefficients, rtol=0, atol=1e-10)
    np.testing.assert_allclose(readout.intercept, intercept - mean @ coefficients, rtol=0, atol=1e-10)
    expected = np.empty_like(targets)
    for i in range(90):
        fewer = share.copy()
        fewer[4 * i : 4 * i + 4] -= 0.25
        b, c = by_rows(flat - mean, z, fewer, penalty, scale)
        expected[i] = b + (rows[i, 0] - mean) @ c
    np.testing.assert_allclose(left_out, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(readout.score, np.average((targets - expected) ** 2, axis=0, weights=weights))
    hat = np.linalg.solve(((flat - mean).T * share) @ (flat - mean) + penalty * np.diag(scale**2), np.eye(20))
    trace = np.trace(hat @ (((flat - mean).T * share) @ (flat - mean)))
    np.testing.assert_allclose(readout.degrees_of_freedom, 1 + trace)


def test_the_penalty_has_least_error_without_the_image(copies):
    rows, targets, weights = copies
    chosen = solve_copies(rows, targets, weights, None)[0]
    scores = {a: solve_copies(rows, targets, weights, a)[0].score.sum() for a in ALPHAS}
    np.testing.assert_allclose(chosen.alpha, min(scores, key=scores.get))


def test_row_by_row_copies_would_tell_of_their_image():
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((90, 1, 60)) + 0.2 * rng.standard_normal((90, 4, 60))
    targets = rows[:, 0, :1] + rng.standard_normal((90, 1))
    chosen = solve_copies(rows, targets, np.ones(90), None)[0]
    flat, z = rows.reshape(-1, 60), np.repeat(targets, 4, axis=0)
    naive = solve_ridge(lambda: [(flat, z, np.ones(360))], flat.shape, "loo").readout
    assert naive.alpha[0] < 0.5 * chosen.alpha[0]
    assert naive.score[0] < 0.8 * chosen.score[0]


def test_one_copy_is_ridge_with_leave_one_out(copies):
    rows, targets, weights = copies
    readout, left_out = solve_copies(rows[:, :1], targets, weights, 0.1)
    single = rows[:, 0]
    solved = solve_ridge(lambda: [(single, targets, weights)], single.shape, 0.1, keep=True)
    np.testing.assert_allclose(readout.coefficients, solved.readout.coefficients, rtol=0, atol=1e-11)
    np.testing.assert_allclose(readout.score, solved.readout.score, rtol=1e-9)
    np.testing.assert_allclose(
        left_out, targets - (targets - solved.readout.apply(single)) / solved.left, rtol=0, atol=1e-9
    )


def test_weights_count_as_repetition(copies):
    rows, targets, weights = copies
    times = weights.astype(int)
    once = solve_copies(rows, targets, weights, None)
    repeated = solve_copies(np.repeat(rows, times, 0), np.repeat(targets, times, 0), np.ones(times.sum()), None)
    assert once[0].alpha[0] == repeated[0].alpha[0]
    np.testing.assert_allclose(once[0].coefficients, repeated[0].coefficients, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.repeat(once[1], times, 0), repeated[1], rtol=0, atol=1e-9)


def test_networks_whose_mean_is_taken_share_a_penalty():
    rng = np.random.default_rng(8)
    targets = rng.standard_normal((120, 1))
    targets -= targets.mean()
    targets /= targets.std()
    draws = [targets[:, None] + 3 * rng.standard_normal((120, 1, 80)) for _ in range(6)]
    rows = [draw + 0.3 * rng.standard_normal((120, 3, 80)) for draw in draws]
    fits = [fit_copies(part, targets, np.ones(120), ALPHAS) for part in rows]
    alone = [choose_together([fit], targets, np.ones(120), classification=False)[0][0].alpha[0] for fit in fits]
    readouts, said = choose_together(fits, targets, np.ones(120), classification=False)
    assert len({readout.alpha[0] for readout in readouts}) == 1
    assert readouts[0].alpha[0] < min(alone)
    at = int(np.flatnonzero(readouts[0].alpha[0] == ALPHAS)[0])
    np.testing.assert_allclose(said, np.mean([fit.left_out[at] for fit in fits], axis=0))
    np.testing.assert_allclose(readouts[0].score, ((said - targets) ** 2).mean())


def test_what_scores_exceed_is_no_error_of_classes():
    rng = np.random.default_rng(9)
    labels = rng.integers(2, size=150)
    targets = (2.0 * labels - 1.0)[:, None]
    rows = targets[:, :, None] + rng.standard_normal((150, 1, 10)) + 0.1 * rng.standard_normal((150, 2, 10))
    fit = fit_copies(rows, targets, np.ones(150), np.array([0.1]))
    (strict,), said = choose_together([fit], targets, np.ones(150), classification=False)
    (lenient,), _ = choose_together([fit], targets, np.ones(150), classification=True)
    short = np.maximum(1.0 - said * targets, 0.0)
    np.testing.assert_allclose(lenient.score, (short**2).mean(axis=0))
    assert lenient.score[0] < strict.score[0]
