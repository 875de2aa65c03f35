from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn.memory import Memory, Near, _least, nearest


@pytest.mark.parametrize("d", [2, 30])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_nearest_is_brute_force(d, count):
    rng = np.random.default_rng(0)
    rows, queries = rng.standard_normal((40, d)), rng.standard_normal((17, d))
    distance, place = nearest(rows, queries, count)
    whole = np.linalg.norm(queries[:, None] - rows, axis=2)
    np.testing.assert_array_equal(place, np.argsort(whole, axis=1)[:, :count])
    np.testing.assert_allclose(distance, np.sort(whole, axis=1)[:, :count], atol=1e-12)


def test_nearest_far_from_the_origin():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 20))
    np.testing.assert_array_equal(nearest(rows + 1e4, rows[:9] + 1e4, 3)[1], nearest(rows, rows[:9], 3)[1])


def test_a_smooth_residual_is_remembered():
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (800, 2))
    smooth = np.sin(4 * t[:, :1])
    memory = Memory.fit(t, smooth, np.ones(800), (np.ones(2),), np.arange(800))
    assert memory.gain > 0.8
    assert 0.9 < memory.alpha <= 1.0
    q = rng.uniform(-0.9, 0.9, (100, 2))
    assert np.abs(memory.correction(q) - np.sin(4 * q[:, :1])).mean() < 0.05


def test_noise_is_not():
    rng = np.random.default_rng(0)
    memory = Memory.fit(
        rng.uniform(-1, 1, (2000, 3)), rng.standard_normal((2000, 1)), np.ones(2000), (np.ones(3),), np.arange(1500)
    )
    assert memory.gain < 0.005
    assert 0.0 <= memory.alpha < 0.2


def test_opposite_neighbours_are_not_subtracted():
    """Alternating residuals would ask for a negative alpha."""
    t = np.linspace(0, 1, 200)[:, None]
    memory = Memory.fit(
        t, np.where(np.arange(200) % 2, 1.0, -1.0)[:, None], np.ones(200), (np.ones(1),), np.arange(200)
    )
    assert 0.0 <= memory.alpha <= 1.0
    assert memory.gain >= 0.0
    zero = Memory.fit(t, np.zeros((200, 2)), np.ones(200), (np.ones(1),), np.arange(200))
    assert zero.gain == 0.0
    assert (zero.correction(t) == 0.0).all()


def test_the_metric_that_helps_is_chosen():
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (1500, 6))
    scales = np.ones(6), np.array([1.0, 0.02, 0.02, 0.02, 0.02, 0.02])
    memory = Memory.fit(t, np.sin(6 * t[:, :1]), np.ones(1500), scales, np.arange(500))
    assert memory.metric is scales[1]
    turned = np.diag(scales[1])
    as_matrix = Memory.fit(t, np.sin(6 * t[:, :1]), np.ones(1500), (scales[0], turned), np.arange(500))
    np.testing.assert_allclose(as_matrix.correction(t[:50]), memory.correction(t[:50]), atol=1e-9)


def test_left_out_is_the_memory_without_the_row():
    rng = np.random.default_rng(0)
    t, e = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    memory = Memory(t, np.ones(3), e, 5, 2.0, 0.7, 0.0)
    left = memory.left_out(np.array([0, 31, 59]))
    for row, i in zip(left, (0, 31, 59), strict=True):
        others = np.arange(60) != i
        without = Memory(t[others], np.ones(3), e[others], 5, 2.0, 0.7, 0.0)
        np.testing.assert_allclose(without.correction(t[i : i + 1])[0], row, atol=1e-12)


def test_repeated_rows_share_the_weight():
    t = np.repeat(np.arange(10.0), 8)[:, None]
    e = np.arange(80.0)[:, None]
    memory = Memory(t, np.ones(1), e, 8, 4.0, 1.0, 0.0)
    np.testing.assert_allclose(memory.correction(np.array([[3.0]])), e[24:32].mean(), rtol=1e-6)
    assert np.isfinite(memory.left_out(np.arange(80))).all()


@pytest.mark.parametrize("n", [333, 1000, 4003])
@pytest.mark.parametrize("count", [1, 9, 24])
def test_least_entries_of_many_are_found_by_groups(n, count):
    square = np.random.default_rng(0).integers(0, 10**6, (13, n)).astype(np.float32)
    found = np.sort(np.take_along_axis(square, _least(square, count), axis=1), axis=1)
    np.testing.assert_array_equal(found, np.sort(square, axis=1)[:, :count])


@pytest.mark.parametrize("metric", [np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])])
def test_what_is_near_to_some_judges_is_found_once(metric):
    rows = np.random.default_rng(0).standard_normal((200, 3))
    judges, known = np.arange(0, 200, 3), np.array([4, 0, 31])
    whole = Near.of(rows, metric, judges)
    grown = Near.of(rows, metric, judges[known]).among(judges, known)
    assert not (whole.place == judges[:, None]).any()
    np.testing.assert_array_equal(grown.place, whole.place)
    np.testing.assert_array_equal(grown.distance, whole.distance)
