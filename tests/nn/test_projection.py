from __future__ import annotations

import numpy as np
import pytest

from stridiag import StridiagMatrix
from stridiag.nn import MODES, Architecture, fit_random, train
from stridiag.nn.projection import project

SHAPE = Architecture(units=24, layers=2, diagonals=3, links=4)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 9))
    return x, np.column_stack((x[:, 0] * x[:, 1], x[:, 2]))


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_unit_comes_nearest_to_its_projected_targets(shuffle, data):
    """The gradient of the penalised error is orthogonal to every entry of the support."""
    x, z = data
    net = fit_random(x, z, Architecture(units=15, layers=1, diagonals=3, shuffle=shuffle), rng=1)
    layer, h = net.layers[0], net.inputs.apply(x)
    rng = np.random.default_rng(2)
    codes, d = rng.standard_normal((2, 15)), rng.random(200) + 0.1
    found = project(layer, h, z, d, codes)
    assert found.weight.structure == layer.weight.structure
    share = d / d.sum()
    aims = layer.forward(h) + np.tanh(z @ codes)
    read = h if layer.source is None else h[:, layer.source]
    read, aims = read - share @ read, aims - share @ aims
    weight = StridiagMatrix(found.weight.structure, found.weight.values).toarray()
    gradient = ((aims - read @ weight.T) * share[:, None]).T @ read - 1e-3 * weight * (share @ read**2)
    allowed = StridiagMatrix(found.weight.structure, np.ones(found.weight.nnz)).toarray() > 0
    assert np.abs(gradient[allowed]).max() < 1e-12
    assert np.abs(gradient[~allowed]).max() > 1e-6


def test_labels_matter_and_only_directions_differ_from_the_control(data):
    x, z = data
    net, other = (train(MODES["projection"], x, aims, SHAPE, rng=5).model for aims in (z, z[:, ::-1] ** 2))
    control = fit_random(x, z, SHAPE, rng=5)
    for a, b, c in zip(net.layers, other.layers, control.layers, strict=True):
        assert a.weight.structure == c.weight.structure
        np.testing.assert_array_equal(a.source, c.source)
        assert not np.allclose(a.weight.values, b.weight.values)
        assert not np.allclose(a.weight.values, c.weight.values)
    rows = net.inputs.apply(x)
    zeros = [np.abs(n.layers[0].preactivation(rows)) < 1e-12 for n in (net, control)]
    assert (zeros[0] & zeros[1]).any(axis=0).all()


def test_units_that_explain_the_labels_turn_towards_them():
    """Labels that are one input: units that read it lean on it more than random ones do."""
    x = np.random.default_rng(0).standard_normal((500, 8))
    shape = Architecture(units=200, layers=1, diagonals=3)
    shares = []
    for mode in ("random", "projection"):
        layer = train(MODES[mode], x, np.sign(x[:, :1]), shape, rng=0).model.layers[0]
        unit, place = layer.weight.structure.coordinates()
        squares = np.bincount(unit, layer.weight.values**2)
        own = np.bincount(unit, np.where(layer.source[place] == 0, layer.weight.values**2, 0.0))
        readers = np.bincount(unit, layer.source[place] == 0) > 0
        shares.append((own / squares)[readers].mean())
    assert shares[1] > shares[0] + 0.1


def test_relu_needs_no_inverse(data):
    x, z = data
    net = train(MODES["projection"], x, z, Architecture(units=24, layers=2, activation="relu"), rng=0).model
    assert np.isfinite(net.decision(x)).all()
