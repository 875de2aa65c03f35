"""Difference correction; the plain recursion is checked in test_training.py."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.linalg import pinv
from stridiag.nn import MODES, Architecture, fit_random, fit_targets, train
from stridiag.nn.activations import activation
from stridiag.nn.targets import _carry_back

SHAPE = Architecture(units=40, layers=3, diagonals=3, links=6)


class Silent:
    def tick(self, stage):
        assert stage == "target"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6))
    return x, np.column_stack((x[:, 0] * x[:, 1], np.sin(2 * x[:, 2])))


def values_of(net, x):
    h = [net.inputs.apply(x)]
    for layer in net.layers:
        h.append(layer.forward(h[-1]))
    return h


def test_corrected_targets_are_their_recursion(data):
    x, z = data
    control = fit_random(x, z, SHAPE, rng=2)
    h = values_of(control, x)
    aims = _carry_back(z, control.layers, np.random.default_rng(9), Silent(), h[1:])
    readout = np.random.default_rng(9).standard_normal((40, 2))
    t = h[-1] + (z - h[-1] @ readout) @ np.linalg.pinv(readout)
    for i in (2, 1, 0):
        layer = control.layers[i]
        f = activation("tanh")
        low, high = t.min(axis=0), t.max(axis=0)
        np.testing.assert_allclose(aims[i], f.preimage(t, low, high), rtol=0, atol=1e-7)
        change = (aims[i] - f.preimage(h[i + 1], low, high)) @ np.linalg.pinv(layer.weight.toarray()).T
        t = h[i].copy()
        if i:
            t[:, layer.source] += change


def test_the_last_targets_are_the_nearest_that_give_the_labels(data):
    """Through the random readout they are the labels; and the change has nothing in the readout's null space."""
    x, z = data
    h = values_of(fit_random(x, z, SHAPE, rng=2), x)
    readout = np.random.default_rng(9).standard_normal((40, 2))
    t = h[-1] + (z - h[-1] @ readout) @ np.linalg.pinv(readout)
    np.testing.assert_allclose(t @ readout, z, atol=1e-10)
    null = np.linalg.svd(readout.T)[2][2:]
    np.testing.assert_allclose((t - h[-1]) @ null.T, 0.0, atol=1e-10)


def test_nothing_to_correct_moves_nothing(data):
    """Labels that the random readout gives already: every layer aims at what it does, up to the range's scale."""
    x, z = data
    control = fit_random(x, z, SHAPE, rng=2)
    h = values_of(control, x)
    readout = np.random.default_rng(9).standard_normal((40, 2))
    aims = _carry_back(h[-1] @ readout, control.layers, np.random.default_rng(9), Silent(), h[1:])
    for values, aim in zip(h[1:], aims, strict=True):
        own = activation("tanh").preimage(values, values.min(axis=0), values.max(axis=0))
        np.testing.assert_allclose(aim, own, rtol=0, atol=1e-6)
    assert pinv(control.layers[1].weight).rank == 40


def test_correction_is_an_option(data):
    x, z = data
    plain, corrected = (fit_targets(x, z, SHAPE, rng=0, correct=c) for c in (False, True))
    assert not np.allclose(plain.decision(x), corrected.decision(x))
    by_name = train(MODES["corrected-targets"], x, z, SHAPE, rng=0).model
    np.testing.assert_array_equal(by_name.decision(x), corrected.decision(x))
    for a, b in zip(plain.layers, corrected.layers, strict=True):
        assert a.weight.structure == b.weight.structure


def test_a_start_is_where_targets_are_carried_back_from(data):
    x, z = data
    base = fit_random(x, z, SHAPE, rng=9)
    net = fit_targets(x, z, SHAPE, rng=0, start=base.hidden)
    fresh = fit_targets(x, z, SHAPE, rng=0)
    np.testing.assert_array_equal(net.layers[0].source, base.layers[0].source)
    assert not np.array_equal(net.layers[0].source, fresh.layers[0].source)


def test_relu_cannot_be_inverted(data):
    with pytest.raises(ValueError, match="invertible activation"):
        fit_targets(*data, Architecture(activation="relu"), correct=True)
