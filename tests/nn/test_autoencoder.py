from __future__ import annotations

import numpy as np
import pytest

from stridiag import Structure
from stridiag.nn import MODES, Architecture, Layer, fit_random, train
from stridiag.nn.autoencoder import decoder_directions
from stridiag.structure import StridiagMatrix

SHAPE = Architecture(units=24, layers=2, diagonals=3, links=4)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 9)) @ rng.standard_normal((9, 9))
    return x, x[:, :1] * x[:, 1:2]


def dense_decoder(layer, directions):
    """Return D, (inputs, units), summed over slots that name the same pair."""
    unit, place = layer.weight.structure.coordinates()
    d = np.zeros((layer.inputs, layer.units))
    np.add.at(d, (place if layer.source is None else layer.source[place], unit), directions)
    return d


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("units", [4, 9, 40])
def test_the_decoder_is_optimal_on_its_support(units, shuffle, data):
    """The gradient of the penalised error is orthogonal to every entry that D may have; elsewhere D is 0."""
    x, z = data
    net = fit_random(x, z, Architecture(units=units, layers=1, diagonals=3, shuffle=shuffle), rng=1)
    layer, h, alpha = net.layers[0], net.inputs.apply(x), 1e-2
    d = np.random.default_rng(2).random(200) + 0.1
    found = dense_decoder(layer, decoder_directions(layer, h, d, alpha))
    e = layer.forward(h)
    share = d / d.sum()
    e, h = e - share @ e, h - share @ h
    gradient = ((h - e @ found.T) * share[:, None]).T @ e - alpha * found * (share @ e**2)
    allowed = dense_decoder(layer, np.ones(layer.weight.nnz)) > 0
    assert np.abs(gradient[allowed]).max() < 1e-12
    assert (found[~allowed] == 0.0).all()
    assert np.abs(gradient[~allowed]).max(initial=1.0) > 1e-6


def test_a_square_orthogonal_encoder_is_rebuilt_exactly():
    """Units in their linear part, each reading all inputs: then D W = I, so D' = W^-T up to scale."""
    rng = np.random.default_rng(3)
    dense = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    rows, columns = np.nonzero(np.ones((4, 4)))
    layer = Layer(StridiagMatrix(Structure((4, 4), (), (rows, columns)), dense.ravel() * 1e-4), np.zeros(4), "tanh")
    values = rng.standard_normal((300, 4))
    found = dense_decoder(layer, decoder_directions(layer, values, np.ones(300), 0.0))
    np.testing.assert_allclose(found * 1e-4, dense.T, atol=1e-6)


def test_an_input_read_twice_by_a_unit_shares_its_entry():
    rng = np.random.default_rng(4)
    weight = StridiagMatrix(Structure((2, 4), (), ([0, 0, 1, 1], [0, 2, 1, 3])), rng.standard_normal(4))
    layer = Layer(weight, np.zeros(2), "tanh", np.array([0, 1, 0, 1]), 2)
    directions = decoder_directions(layer, rng.standard_normal((50, 2)), np.ones(50))
    unit, place = weight.structure.coordinates()
    for j in range(2):
        own = directions[unit == j]
        assert own[0] == own[1] != 0.0
    assert set(place.tolist()) == {0, 1, 2, 3}


def test_labels_do_not_matter_to_the_hidden_part(data):
    x, z = data
    nets = [train(MODES["autoencoder"], x, aims, SHAPE, rng=0).model for aims in (z, z**2 - 1)]
    for a, b in zip(nets[0].layers, nets[1].layers, strict=True):
        np.testing.assert_array_equal(a.weight.values, b.weight.values)
        np.testing.assert_array_equal(a.bias, b.bias)


def test_only_directions_differ_from_the_random_control(data):
    x, z = data
    net, control = train(MODES["autoencoder"], x, z, SHAPE, rng=5).model, fit_random(x, z, SHAPE, rng=5)
    for a, b in zip(net.layers, control.layers, strict=True):
        assert a.weight.structure == b.weight.structure
        np.testing.assert_array_equal(a.source, b.source)
        assert not np.allclose(a.weight.values, b.weight.values)
    # Same anchors: a row at which a unit of either network vanishes.
    rows = net.inputs.apply(x)
    zeros = [np.abs(n.layers[0].preactivation(rows)) < 1e-12 for n in (net, control)]
    assert (zeros[0] & zeros[1]).any(axis=0).all()


def test_relu_layers_can_be_encoders(data):
    x, z = data
    net = train(MODES["autoencoder"], x, z, Architecture(units=24, layers=2, activation="relu"), rng=0).model
    assert np.isfinite(net.decision(x)).all()
