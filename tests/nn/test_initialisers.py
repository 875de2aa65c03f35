from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import Architecture, Layer, condition_bound, condition_numbers, draw_weight, fit_random
from stridiag.nn.initialisers import INITS

SHAPES = [(1, 1), (2, 2), (3, 3), (8, 8), (64, 64), (128, 64), (64, 128), (100, 64), (64, 150), (333, 5), (5, 333)]
OFFSETS = [(0,), (0, 1, -1), (0, 9, -9, 18, -18), (3, 1, 5), (0, 1), (2, 7, 11, 32)]


@pytest.mark.parametrize("init", ["dominant", "skew"])
@pytest.mark.parametrize("offsets", OFFSETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_conditions_stay_below_their_bound(shape, offsets, init):
    distinct = tuple({o % min(shape): o for o in reversed(offsets)}.values())[::-1]
    short = min(shape)
    steps = {(o - distinct[0]) % short for o in distinct[1:]}
    paired = all(-s % short in steps and 2 * s % short for s in steps)
    for seed in range(3):
        for links in (0, 4) if min(shape) > 20 else (0,):
            weight = draw_weight(shape, distinct, links, np.random.default_rng(seed), init=init)
            cond = np.linalg.cond(weight.toarray())
            assert cond <= condition_bound(shape, init, paired=paired and not links) * (1 + 1e-12)


def test_the_pivots_and_what_is_around_them():
    dominant = draw_weight((50, 50), (4, 1, 9), 30, np.random.default_rng(0), init="dominant").toarray()
    pivots = dominant[np.arange(50), (np.arange(50) + 4) % 50]
    assert set(np.abs(pivots)) == {1.0}
    assert set(pivots) == {-1.0, 1.0}
    assert np.abs(dominant).sum(axis=1).max() <= 1.5 + 1e-12
    assert np.abs(dominant).sum(axis=0).max() <= 1.5 + 1e-12
    skew = draw_weight((50, 50), (0, 7, -7), 0, np.random.default_rng(0), init="skew").toarray()
    rest = np.sign(np.diagonal(skew))[:, None] * skew - np.eye(50)
    np.testing.assert_array_equal(rest, -rest.T)
    # Neighbours weigh as much as the pivot and more: that is what it is for.
    assert 1.0 < np.abs(rest).sum(axis=1).max() <= 2.0 + 1e-12


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("shape", [(64, 64), (128, 64), (64, 192)])
def test_tied_draws_are_tied(shape, init):
    weight = draw_weight(shape, (0, 3, -3, 1), 0, np.random.default_rng(1), init=init, tied=True)
    layer = Layer(weight, np.zeros(shape[0]), "tanh", tied=True)
    assert layer.parameter_count == 4 + shape[0]
    assert np.linalg.cond(weight.toarray()) <= condition_bound(shape, init, paired=False) * (1 + 1e-9)


def test_gaussian_draws_have_no_bound_and_the_report_says_so():
    layers = [
        Layer(draw_weight((256, 256), (0, 1, -1), 0, np.random.default_rng(3), init=init), np.zeros(256), "tanh")
        for init in INITS
    ]
    numbers = condition_numbers(layers)
    np.testing.assert_allclose(numbers, [np.linalg.cond(layer.weight.toarray()) for layer in layers], rtol=1e-6)
    assert numbers[0] > 100.0
    assert max(numbers[1:]) <= 3.0
    large = Layer(
        draw_weight((3000, 3000), (0, 1, -1), 0, np.random.default_rng(0), init="dominant"), np.zeros(3000), "tanh"
    )
    # In the 1-norm: (1 + 1/2) times the inverse's, at most 1 / (1 - 1/2).
    assert 1.0 < condition_numbers([large])[0] <= 3.0


def test_trained_networks_take_them():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 24))
    for init in INITS:
        network = fit_random(x, x[:, :1] * x[:, 1:2], Architecture(units=24, init=init, shuffle=False), rng=0)
        scales = [np.abs(layer.weight.toarray()).max(axis=1) for layer in network.layers]
        if init == "dominant":
            # Rows are rescaled by the training: pivots, the largest of their rows, show by how much.
            for cond, scale in zip(condition_numbers(network.layers), scales, strict=True):
                assert cond <= 3.0 * scale.max() / scale.min() * (1 + 1e-12)


def test_bad_options_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="init must be one of 'random', 'dominant', 'skew'"):
        draw_weight((4, 4), (0,), 0, rng, init="glorot")
    with pytest.raises(ValueError, match="init must be one of"):
        Architecture(init="glorot")
    with pytest.raises(ValueError, match="without links, got 2"):
        draw_weight((4, 4), (0,), 2, rng, tied=True)
    with pytest.raises(ValueError, match="multiple of the other"):
        draw_weight((10, 4), (0, 1, -1), 0, rng, init="skew", tied=True)
    assert condition_bound((4, 4), "random") == np.inf
