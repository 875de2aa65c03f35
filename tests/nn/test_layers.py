from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from stridiag import StridiagMatrix, num_threads
from stridiag._kernels.compile import COMPILES
from stridiag.errors import StructureError
from stridiag.nn import ACTIVATIONS, Architecture, Layer, activation, fit_random, wrapped_structure
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


FLOATS = [np.float64, np.float32]


def of_type(layer, dtype):
    return replace(
        layer, weight=layer.weight.with_values(layer.weight.values.astype(dtype)), bias=layer.bias.astype(dtype)
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["tanh", "relu"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("units", "inputs"), [*SHAPES, (33, 65), (65, 17), (130, 8)])
def test_errors_are_a_few_units_in_the_last_place(units, inputs, shuffle, name, dtype):
    links = 5 if units * inputs > 200 else 0
    layer = of_type(draw(units, inputs, shuffle=shuffle, links=links, name=name), dtype)
    dense = np.abs(layer.weight.toarray()).astype(np.longdouble)
    entries = int((dense > 0).sum(axis=1).max())
    for samples in (0, 1, 3, 8, 9, 31, 32, 33, 70, 130):
        h = np.random.default_rng(samples).standard_normal((samples, inputs)).astype(dtype)
        read = (h if layer.source is None else h[:, layer.source]).astype(np.longdouble)
        z = read @ layer.weight.toarray().astype(np.longdouble).T + layer.bias
        exact = np.tanh(z) if name == "tanh" else np.maximum(z, 0)
        # One rounding for each fused product; neither function stretches distances; tanh adds 3 units of its own.
        limit = np.finfo(dtype).eps * ((entries + 1) * (np.abs(read) @ dense.T + np.abs(layer.bias)) + 3)
        values = layer.forward(h)
        assert values.dtype == dtype
        assert values.shape == (samples, units)
        assert (np.abs(values - exact) <= limit).all()


@pytest.mark.skipif(not COMPILES, reason="the plain loops take the tangent of the C library")
@pytest.mark.parametrize(("dtype", "least", "units"), [(np.float64, -300.0, 3.0), (np.float32, -37.0, 3.0)])
def test_tanh_to_three_units_in_the_last_place(dtype, least, units):
    """Over the whole number range; odd, never beyond 1, NaN kept."""
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [rng.standard_normal(20000) * 3, rng.uniform(-1, 1, 20000), 10.0 ** rng.uniform(least, 3, 20000)]
    )
    z = np.concatenate([z, [0.0, 0.34657, 0.34658, 1.03972, 9.01, 19.06, 20.0, 710.0, 1e30, np.inf]]).astype(dtype)
    one = Layer(StridiagMatrix.from_diagonals({0: np.ones(1, dtype)}), np.zeros(1, dtype), "tanh")
    values = one.forward(z[:, None])[:, 0]
    exact = np.tanh(z.astype(np.longdouble))
    assert (np.abs(values - exact) <= units * np.spacing(np.abs(exact).astype(dtype))).all()
    assert (np.abs(values) <= 1).all()
    np.testing.assert_array_equal(one.forward(-z[:, None])[:, 0], -values)
    assert np.isnan(one.forward(np.full((1, 1), np.nan, dtype))).all()
    assert np.isnan(one.forward(np.full((40, 1), np.nan, dtype))).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_row_is_the_same_alone_and_among_others(shuffle, dtype):
    layer = of_type(draw(77, 50, shuffle=shuffle, links=30), dtype)
    h = np.random.default_rng(1).standard_normal((200, 50)).astype(dtype)
    whole = layer.forward(h)
    for samples in (1, 2, 5, 8, 15, 16, 17, 63, 64, 65):
        np.testing.assert_array_equal(layer.forward(h[:samples]), whole[:samples])
    with num_threads(1):
        alone = layer.forward(np.tile(h, (40, 1)))
    with num_threads(4):
        np.testing.assert_array_equal(layer.forward(np.tile(h, (40, 1))), alone)


def test_values_are_written_where_they_are_asked_for():
    layer = draw(30, 20, shuffle=True)
    table = np.full((45, 60), 7.0)
    table[:, 3:23] = np.random.default_rng(0).standard_normal((45, 20))
    for samples in (45, 1):
        part = table[:samples]
        values = layer.forward(part[:, 3:23].copy())
        out = part[:, 25:55]
        assert layer.forward(part[:, 3:23], out=out) is out
        np.testing.assert_array_equal(out, values)
        assert (part[:, [0, 1, 2, 23, 24, 55, 59]] == 7.0).all()
    frozen = np.empty((45, 30))
    frozen.setflags(write=False)
    rows = table[:, 3:23]
    for bad, message in (
        (np.empty((45, 29)), "out must be float64 of shape"),
        (np.empty((45, 30), np.float32), "out must be float64 of shape"),
        (np.empty((30, 45)).T, "each of its rows contiguous"),
        (frozen, "must be writeable"),
        (table[:, 10:40], "must not share memory"),
    ):
        with pytest.raises(StructureError, match=message):
            layer.forward(rows, out=bad)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16, ">f8"])
def test_rows_of_other_types_become_double(dtype):
    layer = draw(30, 20, shuffle=True)
    h = np.random.default_rng(0).integers(0, 2, (11, 20))
    values = layer.forward(h.astype(dtype))
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, layer.forward(h.astype(float)))


def test_odd_layouts():
    layer = draw(30, 20, shuffle=False)
    base = np.random.default_rng(0).standard_normal((80, 40))
    for h in (base[::-1, :20], base[:, ::2], base[:, 19::-1], base[::3, 5:25], np.broadcast_to(base[0, :20], (9, 20))):
        np.testing.assert_array_equal(layer.forward(h), layer.forward(h.copy()))


def test_no_memory_of_the_size_of_rows_times_entries():
    layer = draw(600, 600, shuffle=True)
    wide = replace(layer, weight=draw_weight((600, 600), tuple(range(60)), 0, np.random.default_rng(0)))
    h = np.random.default_rng(0).standard_normal((3000, 600))
    out = np.empty((3000, 600))
    with num_threads(1):
        wide.forward(h, out=out)
        tracemalloc.start()
        wide.forward(h, out=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # A tile, the packed entries (16 bytes each), and what is small; rows times entries would be 864 MB.
    assert peak < 600 * 256 + 24 * wide.weight.nnz + 200_000


@pytest.mark.parametrize("units", [40, 30])
def test_tied_layers(units):
    weight = draw_weight((units, 20), (0, 1, -4), 0, np.random.default_rng(0), tied=True)
    layer = Layer(weight, np.zeros(units), "relu", tied=True)
    assert layer.parameter_count == 3 + units
    # Each wrapped diagonal holds one number.
    dense = weight.toarray()
    i, j = np.nonzero(dense)
    for offset in (0, 1, 16):
        assert np.unique(dense[i, j][(j - i) % 20 == offset]).size == 1
    values = weight.values.copy()
    values[3] += 1e-9
    with pytest.raises(StructureError, match=r"must be constant, but that of entry \(\d+, \d+\) is not"):
        replace(layer, weight=weight.with_values(values))
    linked = draw_weight((units, 20), (0,), 1, np.random.default_rng(0))
    with pytest.raises(StructureError, match="tied diagonals go without links"):
        replace(layer, weight=linked)


def test_training_keeps_tied_diagonals_tied():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 16))
    shape = Architecture(units=32, layers=2, tied=True, shuffle=False, diagonals=4)
    network = fit_random(x, x[:, :1] ** 2, shape, rng=0)
    assert all(layer.tied for layer in network.layers)
    assert network.parameter_count().hidden == 2 * (4 + 32)
    with pytest.raises(ValueError, match="without links"):
        Architecture(tied=True, links=1)
    with pytest.raises(ValueError, match="tied must be True or False"):
        Architecture(tied="yes")
