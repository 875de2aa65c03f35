from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import Architecture, fit_random
from stridiag.nn.selection import choose, split_rows


class Constant:
    def __init__(self, value):
        self.value = np.asarray(value, float)

    def decision(self, rows):
        return np.broadcast_to(self.value, (rows.shape[0], self.value.size))


def test_split_rows_parts_them():
    inside, outside = split_rows(10, 0.25, np.random.default_rng(0))
    assert outside.size == 2
    np.testing.assert_array_equal(np.sort(np.concatenate((inside, outside))), np.arange(10))
    for fraction in (0.01, 0.99):
        inside, outside = split_rows(3, fraction, np.random.default_rng(0))
        assert inside.size
        assert outside.size
    with pytest.raises(ValueError, match="at least 2, got 1"):
        split_rows(1, 0.5, np.random.default_rng(0))


def test_the_loss_is_the_weighted_error_over_the_variance_of_rows_held_out():
    rng = np.random.default_rng(1)
    x, z, d = rng.standard_normal((40, 2)), rng.standard_normal((40, 2)) * [1.0, 100.0], rng.random(40) + 1.0
    seen = []

    def fit(value, X, Z, weights, rng):
        seen.append((X, Z, weights, rng.random()))
        return Constant(value)

    choice = choose([[0.0, 0.0], [1.0, 50.0], [0.0, 0.0]], fit, x, z, d, fraction=0.3, rng=4)
    # The rows that no fit saw, found again by their values.
    out = ~np.isin(x[:, 0], seen[0][0][:, 0])
    assert out.sum() == 12
    share = d[out] / d[out].sum()
    variance = share @ (z[out] - share @ z[out]) ** 2
    for loss, value in zip(choice.losses, ([0.0, 0.0], [1.0, 50.0], [0.0, 0.0]), strict=True):
        assert loss == pytest.approx(np.mean(share @ (z[out] - value) ** 2 / variance))
    assert (choice.candidate, choice.place) == ([0.0, 0.0], 0)
    for other in seen[1:]:
        np.testing.assert_array_equal(other[0], seen[0][0])
        np.testing.assert_array_equal(other[2], seen[0][2])
        assert other[3] == seen[0][3]


def test_repeats_average_over_other_rows():
    rng = np.random.default_rng(2)
    x, z = rng.standard_normal((30, 1)), rng.standard_normal((30, 1))
    rows = set()

    def fit(value, X, Z, weights, rng):
        rows.add(X.tobytes())
        return Constant([value])

    choice = choose([0.0, 3.0], fit, x, z, repeats=5, rng=0)
    assert len(rows) == 5
    assert choice.losses.shape == (2,)
    assert choice.place == 0
    again = choose([0.0, 3.0], fit, x, z, repeats=5, rng=0)
    np.testing.assert_array_equal(again.losses, choice.losses)


def test_width_is_chosen_by_rows_that_took_no_part():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((120, 3))
    z = np.sin(2 * x[:, :1]) + 0.7 * rng.standard_normal((120, 1))

    def fit(architecture, X, Z, weights, rng):
        return fit_random(X, Z, architecture, alpha=1e-9, weights=weights, rng=rng)

    widths = [Architecture(units=k, layers=1) for k in (8, 80)]
    choice = choose(widths, fit, x, z, rng=0, repeats=3)
    assert choice.candidate is widths[0]
    assert choice.losses[1] > 2.0 * choice.losses[0]


def test_targets_that_are_constant_on_the_rows_held_out_do_not_count():
    x = np.arange(20.0)[:, None]
    z = np.column_stack((np.arange(20.0), np.ones(20)))
    choice = choose([[9.5, 1e6]], lambda c, X, Z, w, rng: Constant(c), x, z, rng=0)
    assert choice.losses[0] < 2.0
    only = choose([[3.0]], lambda c, X, Z, w, rng: Constant(c), x, z[:, 1:], rng=0)
    assert only.losses[0] == pytest.approx(4.0)


def test_refusals():
    x, z = np.ones((5, 1)), np.ones((5, 1))
    fit = lambda c, X, Z, w, rng: Constant([c])  # noqa: E731
    with pytest.raises(ValueError, match="at least one candidate"):
        choose([], fit, x, z)
    for repeats in (0, 1.0):
        with pytest.raises(ValueError, match="repeats must be an integer"):
            choose([1.0], fit, x, z, repeats=repeats)
    with pytest.raises(ValueError, match="fraction must be between"):
        choose([1.0], fit, x, z, fraction=1)
    with pytest.raises(ValueError, match="X and Z must be"):
        choose([1.0], fit, x, z[:2])
