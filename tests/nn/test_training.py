from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from stridiag.errors import NonFiniteError, StructureError
from stridiag.linalg import pinv
from stridiag.nn import Architecture, Progress, Statistics, fit_random, fit_targets, masked_least_squares
from stridiag.nn.activations import activation
from stridiag.nn.calibration import fit_temperature, leave_one_out, softmax
from stridiag.nn.nearest import nearest_layer
from stridiag.nn.targets import _carry_back, _pull
from stridiag.nn.transforms import Standardization

FITS = [fit_random, fit_targets]
SMALL = Architecture(units=40, layers=3, diagonals=3, links=6)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((240, 6)) * [1, 10, 100, 1e-3, 1, 1] + [0, 5, 0, 0, -9, 0]
    s = (x - x.mean(axis=0)) / x.std(axis=0)
    z = np.column_stack((s[:, 0] * s[:, 1], np.sin(2 * s[:, 2]))) + 0.05 * rng.standard_normal((240, 2))
    return x, z


@pytest.mark.parametrize("fit", FITS)
def test_a_network_is_its_formula(fit, data):
    x, z = data
    net = fit(x, z, SMALL, rng=3)
    h = [net.inputs.apply(x)]
    for layer in net.layers:
        dense = layer.weight.toarray()
        h.append(np.tanh(h[-1][:, layer.source] @ dense.T + layer.bias))
    features = np.hstack(h)
    np.testing.assert_allclose(net.features(x), features, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        net.decision(x), features @ net.readout.coefficients + net.readout.intercept, rtol=0, atol=1e-11
    )
    hidden = sum(layer.weight.nnz + 40 for layer in net.layers)
    assert net.parameter_count() == (hidden, 2 * (6 + 3 * 40 + 1), hidden + 2 * 127)


@pytest.mark.parametrize("fit", FITS)
def test_seeds_decide_everything(fit, data):
    x, z = data
    first, second, other = fit(x, z, SMALL, rng=3), fit(x, z, SMALL, rng=3), fit(x, z, SMALL, rng=4)
    np.testing.assert_array_equal(first.decision(x), second.decision(x))
    assert np.abs(first.decision(x) - other.decision(x)).max() > 1e-6
    copy = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copy.decision(x), first.decision(x))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("fit", FITS)
def test_scale_and_bias_of_layers(fit, shuffle, data):
    """Each unit vanishes at one of the training rows, and no pre-activation spreads by more than 1."""
    x, z = data
    net = fit(x, z, Architecture(units=40, layers=3, shuffle=shuffle), rng=0)
    h = net.inputs.apply(x)
    for layer in net.layers:
        u = layer.preactivation(h)
        assert np.abs(u).min(axis=0).max() < 1e-12
        spread = u.std(axis=0)
        assert (spread < 1.0).all()
        # s / (s + 0.5), with s the spread of a row of norm 1: undone, the rows have norm 1 indeed.
        rows, _ = layer.weight.structure.coordinates()
        norms = np.sqrt(np.bincount(rows, layer.weight.values**2))
        np.testing.assert_allclose(norms, (1 - spread) / 0.5, rtol=1e-9)
        h = layer.forward(h)


@pytest.mark.parametrize("fit", FITS)
def test_weights_are_repetitions_and_order_does_not_matter(fit, data):
    x, z = data
    counts = np.random.default_rng(1).integers(0, 3, len(x))
    weighted = fit(x, z, SMALL, weights=counts, rng=0).decision(x)
    repeated = fit(x.repeat(counts, 0), z.repeat(counts, 0), SMALL, rng=0).decision(x)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-6)
    order = np.random.default_rng(2).permutation(len(x))
    np.testing.assert_allclose(
        fit(x[order], z[order], SMALL, rng=0).decision(x), fit(x, z, SMALL, rng=0).decision(x), atol=1e-6
    )
    # Weights that only sum to one still count as as many observations as there are.
    shares = np.full(len(x), 1.0 / len(x))
    np.testing.assert_allclose(
        fit(x, z, SMALL, weights=shares, rng=0).decision(x), fit(x, z, SMALL, rng=0).decision(x), atol=1e-6
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_units_of_inputs_and_targets_do_not_matter(fit, factor, data):
    x, z = data
    plain = fit(x, z, SMALL, rng=0).decision(x)
    np.testing.assert_allclose(fit(x * factor, z, SMALL, rng=0).decision(x * factor), plain, atol=1e-6)
    np.testing.assert_allclose(fit(x, z * factor, SMALL, rng=0).decision(x) / factor, plain, atol=1e-6)


def test_far_away_rows_stay_finite(data):
    x, z = data
    x = np.column_stack((x, np.ones(len(x))))
    net = fit_random(x, z, SMALL, rng=0)
    far = np.full((2, 7), 1e308) * [[1.0], [-1.0]]
    assert np.isfinite(net.decision(far)).all()


def test_inputs_stop_half_a_training_range_beyond_it(data):
    x, z = data
    net = fit_random(x, z, SMALL, rng=0)
    low, high = x.min(axis=0), x.max(axis=0)
    reach = 0.5 * (high - low)
    np.testing.assert_allclose(net.decision([high + reach]), net.decision([high + 9 * reach]), rtol=1e-9)
    np.testing.assert_allclose(net.decision([low - reach]), net.decision([low - 9 * reach]), rtol=1e-9)
    inside = net.inputs.apply(np.stack((low - 0.4 * reach, high + 0.4 * reach)))
    expected = (np.stack((low - 0.4 * reach, high + 0.4 * reach)) - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(inside, expected, rtol=1e-9)


def test_rows_to_decide_are_checked(data):
    x, z = data
    net = fit_random(x, z, SMALL, rng=0)
    np.testing.assert_array_equal(net.decision(x[:3].tolist()), net.decision(x[:3]))
    for method in (net.decision, net.features):
        with pytest.raises(StructureError, match=r"rows must have shape \(samples, 6\), got \(240, 5\)"):
            method(x[:, :5])
        with pytest.raises(StructureError, match="rows must have shape"):
            method(x[0])
        with pytest.raises(NonFiniteError, match="rows must be finite"):
            method(np.full((2, 6), np.nan))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [1e-320, 1e305])
def test_targets_at_the_ends_of_the_number_range(fit, size, data):
    x, z = data
    z = np.round(z, 1)
    plain = fit(x, z, SMALL, rng=0).decision(x)
    rounding = 1e-6 if size > 1 else 1e-2
    np.testing.assert_allclose(fit(x, z * size, SMALL, rng=0).decision(x) / size, plain, atol=rounding)


@pytest.mark.parametrize("size", [1e-310, 1e-3, 1e13, 1e307])
def test_equal_weights_are_no_weights(size, data):
    x, z = data
    plain = fit_random(x, z, SMALL, rng=0, alpha=0.1).decision(x)
    weighted = fit_random(x, z, SMALL, rng=0, alpha=0.1, weights=np.full(len(x), size)).decision(x)
    np.testing.assert_allclose(weighted, plain, atol=1e-9)


def test_options_are_checked_before_anything_is_drawn(data):
    seen = []
    with pytest.raises(ValueError, match="alpha must be 'loo', 'gcv'"):
        fit_random(*data, SMALL, alpha="cv", progress=seen.append)
    assert seen == []
    with pytest.raises(ValueError, match="scaling must be one of"):
        Architecture(scaling=np.array(["standard"]))


def test_standardization_of_constants_and_extremes():
    rows = np.column_stack((np.full(100, 0.1), np.zeros(100), np.arange(100) * 1e306, np.arange(100) * 1e-310))
    inputs = Standardization.fit(rows, np.ones(100))
    compressed = Standardization.fit(rows, np.ones(100), "arcsinh").apply(rows)
    np.testing.assert_allclose(compressed, np.arcsinh(inputs.apply(rows)), rtol=1e-14)
    scaled = inputs.apply(rows)
    assert (scaled[:, :2] == 0.0).all()
    np.testing.assert_allclose(scaled[:, 2:].std(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(scaled[:, 2:].mean(axis=0), 0.0, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_progress_is_told(fit, data):
    x, z = data
    seen: list[Progress] = []
    fit(x, z, SMALL, rng=0, progress=seen.append)
    assert [p.step for p in seen] == list(range(1, seen[0].steps + 1))
    assert [p.stage for p in seen].count("layer") == 3
    assert seen[-1].stage == "readout"
    assert all(a.seconds <= b.seconds for a, b in pairwise(seen))


def test_random_features_beat_the_line(data):
    x, z = data
    net = fit_random(x[:180], z[:180], Architecture(units=128, layers=2), rng=0)
    error = ((net.decision(x[180:]) - z[180:]) ** 2).mean(axis=0) / z[180:].var(axis=0)
    assert (error < 0.6).all()


def test_targets_change_directions_only(data):
    """Against its control: the same structures, sources and anchors; other weights."""
    x, z = data
    net, control = fit_targets(x, z, SMALL, rng=5), fit_random(x, z, SMALL, rng=5)
    for a, b in zip(net.layers, control.layers, strict=True):
        assert a.weight.structure == b.weight.structure
        np.testing.assert_array_equal(a.source, b.source)
        assert not np.allclose(a.weight.values, b.weight.values)
    # The first layers have the same anchors, which are rows of the data.
    x0 = net.inputs.apply(x)
    zeros = [np.abs(n.layers[0].preactivation(x0)) < 1e-12 for n in (net, control)]
    assert (zeros[0] & zeros[1]).any(axis=0).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_pulling_back_undoes_a_layer(shuffle, data):
    """W (W^+ t) = t for a layer of full rank: the pulled targets, put through the layer, are the targets."""
    x, z = data
    net = fit_random(x, z, Architecture(units=30, layers=2, shuffle=shuffle, diagonals=3), rng=1)
    layer = net.layers[1]
    targets = np.random.default_rng(0).standard_normal((20, 30))
    pulled = _pull(layer, targets)
    assert pinv(layer.weight).rank == 30
    np.testing.assert_allclose(layer.preactivation(pulled) - layer.bias, targets, rtol=0, atol=1e-8)


def test_targets_are_the_recursion_of_the_docstring(data):
    x, z = data
    control = fit_random(x, z, SMALL, rng=2)
    x0 = control.inputs.apply(x)

    class Silent:
        def tick(self, stage):
            assert stage == "target"

    scaled = Standardization.fit(z, np.ones(len(x))).apply(z)
    aims = _carry_back(scaled, control.layers, np.random.default_rng(9), Silent())
    out = np.random.default_rng(9).standard_normal((40, 2))
    t = scaled @ np.linalg.pinv(out)
    for layer, aim in zip(reversed(control.layers), reversed(aims), strict=True):
        u = activation("tanh").preimage(t, t.min(axis=0), t.max(axis=0))
        np.testing.assert_allclose(aim, u, rtol=0, atol=1e-7)
        dense = layer.weight.toarray()
        if layer is not control.layers[0]:
            t = np.empty((len(x), 40))
            t[:, layer.source] = (aim - layer.bias) @ np.linalg.pinv(dense).T
    first = nearest_layer(control.layers[0], [(x0, aims[0], np.ones(len(x)))])
    values, _ = masked_least_squares(Statistics.from_rows(x0, aims[0]), first.weight.structure, 1e-3, first.source)
    np.testing.assert_allclose(first.weight.values, values, rtol=1e-10)


@pytest.mark.parametrize("fit", FITS)
def test_failures(fit, data):
    x, z = data
    for place in (0, 120, -1):
        for value in (np.nan, np.inf):
            bad = x.copy()
            bad[place, 2] = value
            with pytest.raises(NonFiniteError, match="X must be finite"):
                fit(bad, z, SMALL)
            bad = z.copy()
            bad[place, 1] = value
            with pytest.raises(NonFiniteError, match="Z must be finite"):
                fit(x, bad, SMALL)
    with pytest.raises(ValueError, match="X and Z must be"):
        fit(x, z[:-1], SMALL)
    with pytest.raises(ValueError, match="at least one column"):
        fit(x[:, :0], z, SMALL)
    with pytest.raises(ValueError, match="at least 2 rows"):
        fit(x[:1], z[:1], SMALL)
    with pytest.raises(ValueError, match="at least 2 rows"):
        fit(x, z, SMALL, weights=np.eye(len(x))[0])
    with pytest.raises(ValueError, match="weights must have shape"):
        fit(x, z, SMALL, weights=np.ones(3))
    with pytest.raises(ValueError, match="weights must be nonnegative"):
        fit(x, z, SMALL, weights=-np.ones(len(x)))
    with pytest.raises(ValueError, match="alpha must be"):
        fit(x, z, SMALL, alpha="cv")
    if fit is fit_targets:
        with pytest.raises(ValueError, match="invertible activation"):
            fit(x, z, Architecture(activation="relu"))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(2, 1), (3, 9), (30, 1), (5, 200)])
def test_shapes_at_the_edge(fit, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    net = fit(x, x[:, :1], Architecture(units=5, layers=2), rng=0)
    assert np.isfinite(net.decision(x)).all()
    constant = fit(np.ones(shape), x[:, :1], Architecture(units=5, layers=2), rng=0)
    np.testing.assert_allclose(constant.decision(np.ones(shape)), x[:, 0].mean(), atol=1e-12)
    flat = fit(x, np.full((shape[0], 1), 3.0), Architecture(units=5, layers=2), rng=0)
    np.testing.assert_allclose(flat.decision(x), 3.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units must be an integer of at least 1"),
        ({"units": 2.0}, "units must be"),
        ({"layers": 0}, "layers must be"),
        ({"links": -1}, "links must be"),
        ({"shuffle": "yes"}, "shuffle must be True or False"),
        ({"activation": "sine"}, "activation must be one of"),
        ({"scaling": "log"}, "scaling must be one of"),
        ({"offsets": "spiral"}, "offsets must be one of"),
        ({"offsets": [0, 1], "diagonals": 3}, "leave it out"),
        ({"diagonals": 0}, "diagonals must be"),
    ],
)
def test_bad_architectures_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**options)


def test_temperature_is_the_best_one():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((4000, 3)) * 2
    labels = np.array([rng.choice(3, p=p) for p in softmax(true, 1.0)])
    for scale in (0.1, 1.0, 7.0):
        assert fit_temperature(true * scale, labels, np.ones(4000)) == pytest.approx(scale, rel=0.1)
    # Separable scores and scores that say nothing run into the bounds instead of to 0 or infinity.
    eye = np.eye(3)[labels]
    assert fit_temperature(eye * 1e3, labels, np.ones(4000)) == pytest.approx(0.05, rel=1e-3)
    assert np.isfinite(fit_temperature(np.zeros((4000, 3)), labels, np.ones(4000)))
    probabilities = softmax(np.array([[1e300, -1e300, 0.0], [1.0, 1.0, 1.0]]), 0.05)
    np.testing.assert_allclose(probabilities, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])


def test_leave_one_out_is_exact_for_equal_leverages():
    """The mean of n numbers has leverage 1/n everywhere: leaving one out gives the mean of the others."""
    y = np.random.default_rng(0).standard_normal((10, 1))
    others = (y.sum() - y) / 9
    np.testing.assert_allclose(leave_one_out(y, np.full_like(y, y.mean()), np.full((1, 1), 0.9)), others)
    np.testing.assert_array_equal(leave_one_out(y, y, np.zeros((1, 1))), y)
