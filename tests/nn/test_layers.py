from __future__ import annotations

import pickle

import numpy as np
import pytest

from stridiag import StridiagMatrix
from stridiag.errors import StructureError
from stridiag.nn import ACTIVATIONS, Layer, activation, wrapped_structure
from stridiag.nn.initialisers import draw_weight
from stridiag.nn.layers import draw_source

SHAPES = [(13, 7), (7, 13), (1, 5), (5, 1), (1, 1), (20, 20), (64, 10), (300, 64)]


def draw(units, inputs, *, shuffle, links=0, name="tanh", seed=0):
    rng = np.random.default_rng(seed)
    source = draw_source(units, inputs, rng) if shuffle else None
    width = inputs if source is None else source.size
    weight = draw_weight((units, width), (0, 2), links, rng)
    return Layer(weight, rng.standard_normal(units), name, source, inputs)


def dense_weight(layer):
    """The layer's map on its inputs as a plain matrix, the source written out as a selection."""
    dense = layer.weight.toarray()
    if layer.source is None:
        return dense
    return dense @ np.eye(layer.inputs)[layer.source]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
@pytest.mark.parametrize("samples", [0, 1, 2, 37])
def test_forward_is_the_dense_formula(units, inputs, samples, shuffle):
    layer = draw(units, inputs, shuffle=shuffle)
    h = np.random.default_rng(1).standard_normal((samples, inputs))
    z = h @ dense_weight(layer).T + layer.bias
    np.testing.assert_allclose(layer.preactivation(h), z, rtol=0, atol=1e-14 * 30 * max(1, inputs))
    np.testing.assert_allclose(layer.forward(h), np.tanh(z), rtol=0, atol=1e-14 * 30 * max(1, inputs))


def test_blocks_of_samples_change_nothing():
    """More samples than fit one block: bitwise the same as one by one, whatever the memory layout."""
    layer = draw(300, 64, shuffle=True, links=20)
    h = np.random.default_rng(1).standard_normal((1500, 64))
    whole = layer.forward(h)
    for i in (0, 435, 436, 1499):
        np.testing.assert_array_equal(layer.forward(h[i : i + 1])[0], whole[i])
    np.testing.assert_array_equal(layer.forward(np.asfortranarray(h)), whole)
    np.testing.assert_array_equal(layer.forward(h[::3]), whole[::3])
    frozen = h.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(layer.forward(frozen), whole)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
def test_every_input_and_output_is_connected(units, inputs, shuffle):
    layer = draw(units, inputs, shuffle=shuffle)
    rows, columns = layer.weight.structure.coordinates()
    read = columns if layer.source is None else layer.source[columns]
    assert set(rows.tolist()) == set(range(units))
    assert set(read.tolist()) == set(range(inputs))


@pytest.mark.parametrize(("units", "inputs"), [(10, 3), (9, 3), (3, 10), (5, 5)])
def test_sources_are_fresh_permutations(units, inputs):
    source = draw_source(units, inputs, np.random.default_rng(0))
    assert source.size == max(units, inputs)
    for start in range(0, source.size, inputs):
        wrap = source[start : start + inputs]
        assert len(set(wrap.tolist())) == wrap.size
    assert np.bincount(source, minlength=inputs).min() >= 1


def test_layers_count_refuse_and_travel():
    layer = draw(13, 7, shuffle=True, links=4)
    assert layer.parameter_count == layer.weight.nnz + 13
    assert (layer.units, layer.inputs) == (13, 7)
    copy = pickle.loads(pickle.dumps(layer))
    h = np.ones((2, 7))
    np.testing.assert_array_equal(copy.forward(h), layer.forward(h))
    for bad in (np.ones((2, 6)), np.ones(7)):
        with pytest.raises(StructureError, match="rows must have shape"):
            layer.forward(bad)
    weight = StridiagMatrix(wrapped_structure((3, 2), [0]), np.ones(3))
    with pytest.raises(StructureError, match="bias must have shape"):
        Layer(weight, np.zeros(2), "tanh")
    with pytest.raises(ValueError, match="activation must be one of 'tanh', 'relu'"):
        Layer(weight, np.zeros(3), "sine")
    with pytest.raises(StructureError, match="inputs must be 2"):
        Layer(weight, np.zeros(3), "tanh", None, 5)
    for source in (np.array([0]), np.array([0, 5]), np.array([-1, 0])):
        with pytest.raises(StructureError, match="source must hold"):
            Layer(weight, np.zeros(3), "tanh", source, 5)
    for values in (np.ones((2, 3)), np.ones(3, complex)):
        with pytest.raises(StructureError, match="one real matrix"):
            Layer(weight.with_values(values), np.zeros(3), "tanh")
    with pytest.raises(StructureError, match="links must lie in"):
        draw_weight((2, 2), (0, 1), 1, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation_and_inverse(name):
    function = activation(name)
    z = np.linspace(-3, 3, 25)
    y = z.copy()
    function.apply_inplace(y)
    low, high = function.image
    assert ((y >= low) & (y <= high)).all()
    if function.inverse is None:
        with pytest.raises(ValueError, match="has no inverse"):
            function.preimage(y[:, None], y[:1], y[:1])
    else:
        np.testing.assert_allclose(function.inverse(y), z, rtol=0, atol=1e-12)


def test_preimages_scale_each_unit_by_itself_and_keep_its_order():
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((50, 4)) * [1e-3, 1.0, 1e6, 0.0] + [0.0, 5.0, -1e7, 2.0]
    u = activation("tanh").preimage(targets, targets.min(axis=0), targets.max(axis=0))
    assert np.isfinite(u).all()
    values = np.tanh(u)
    for j in range(3):
        # Affine on the targets: distances keep their ratios, which clipping would not do.
        slope, constant = np.polyfit(targets[:, j] - targets[:, j].mean(), values[:, j], 1)
        fit = slope * (targets[:, j] - targets[:, j].mean()) + constant
        np.testing.assert_allclose(values[:, j], fit, atol=1e-8)
        np.testing.assert_allclose([values[:, j].min(), values[:, j].max()], [-0.9, 0.9], atol=1e-8)
    assert (u[:, 3] == 0.0).all()


def test_a_source_needs_the_number_of_inputs():
    weight = draw_weight((2, 2), (0,), 0, np.random.default_rng(0))
    with pytest.raises(StructureError, match="inputs must say how many"):
        Layer(weight, np.zeros(2), "tanh", np.array([1, 0]))


def test_options_that_are_no_strings_are_named():
    with pytest.raises(ValueError, match="activation must be one of 'tanh', 'relu'"):
        activation(np.array(["tanh", "relu"]))
