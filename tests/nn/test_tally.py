"""Rows measured in parts, added in any tree."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from stridiag.nn import Architecture, Gauge, Statistics, Stream, Tally, fit_random


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 5)) * [1e-3, 1.0, 10.0, 1.0, 1e3] + [0.0, 100.0, 0.0, -3.0, 0.0]
    return x, np.tanh(x[:, :2] - [0.0, 100.0]), rng.integers(0, 4, 900).astype(float)


@pytest.fixture(scope="module")
def net(table):
    x, z, _ = table
    return fit_random(x[:300], z[:300], Architecture(units=24, layers=2), rng=0)


def in_pairs(parts):
    """Add them up as a tree does."""
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) // 2 * 2 :]
    return parts[0]


@pytest.mark.parametrize("size", [1, 37, 450])
def test_any_tree_is_one_measure_of_all_rows(size, net, table):
    x, z, d = table
    gauge = pickle.loads(pickle.dumps(Stream.begin(net.inputs, net.hidden, x[:10], z[:10], d[:10]).gauge))
    cuts = [slice(start, start + size) for start in range(0, 900, size)]
    parts = [gauge.measure(x[c], z[c], d[c]) for c in cuts if d[c].any()]
    one = gauge.measure(x, z, d).statistics
    scale, target_scale = np.sqrt(np.diagonal(one.scatter)), np.sqrt(one.target_scatter)
    bound = len(parts) * np.finfo(float).eps * 10
    for total in (in_pairs(parts), in_pairs(parts[::-1]), sum(parts[1:], parts[0])):
        found = total.statistics
        assert found.count == one.count
        assert found.weight == pytest.approx(one.weight, rel=1e-14)
        assert (np.abs(found.scatter - one.scatter) <= bound * scale * scale[:, None]).all()
        assert (np.abs(found.cross - one.cross) <= bound * scale[:, None] * target_scale).all()
        assert (np.abs(found.row_mean - one.row_mean) <= bound * (np.abs(one.row_mean) + scale)).all()


def test_update_is_measure_and_absorb(net, table):
    x, z, d = table
    stream = Stream.begin(net.inputs, net.hidden, x[:300], z[:300], d[:300])
    updated, absorbed = (
        stream.update(x[300:], z[300:], d[300:]),
        stream.absorb(stream.measure(x[300:], z[300:], d[300:])),
    )
    np.testing.assert_array_equal(updated.statistics.scatter, absorbed.statistics.scatter)
    np.testing.assert_array_equal(updated.readout().coefficients, absorbed.readout().coefficients)


def test_classes_are_united_exactly(net, table):
    x, _, _ = table
    labels = np.array(["c", "a", "d", "b"])[np.arange(900) * 4 // 900]
    gauge = Gauge(net.inputs, net.hidden, np.array(["a"]))
    parts = [gauge.measure(x[c], labels[c]) for c in (slice(0, 225), slice(225, 500), slice(500, 900))]
    assert [part.classes.tolist() for part in parts] == [["a", "c"], ["a", "d"], ["a", "b", "d"]]
    for total in (parts[0] + parts[1] + parts[2], parts[2] + (parts[1] + parts[0])):
        assert total.classes.tolist() == ["a", "b", "c", "d"]
        whole = Gauge(net.inputs, net.hidden, total.classes).measure_known(x, labels).statistics
        np.testing.assert_allclose(total.statistics.cross, whole.cross, atol=1e-12 * np.abs(whole.cross).max())
        np.testing.assert_allclose(total.statistics.target_mean, whole.target_mean, rtol=1e-14)
    # No row of the first part has class b: its column is what it would have been, to the last bit.
    wide = parts[0].with_classes(["b"])
    known = Gauge(net.inputs, net.hidden, wide.classes).measure_known(x[:225], labels[:225])
    np.testing.assert_array_equal(wide.statistics.cross, known.statistics.cross)


def test_features_are_made_of_few_rows_at_a_time(net, monkeypatch, table):
    monkeypatch.setattr("stridiag.nn.chunks._CHUNK", 100 * net.hidden.columns)
    x, z, _ = table
    seen = []
    features = type(net.hidden).features
    monkeypatch.setattr(type(net.hidden), "features", lambda self, t: (seen.append(len(t)), features(self, t))[1])
    Gauge(net.inputs, net.hidden).measure(x, z)
    assert seen == [100] * 9


def test_what_cannot_be_added(net, table):
    x, z, _ = table
    numbers = Gauge(net.inputs, net.hidden).measure(x, z)
    classes = Gauge(net.inputs, net.hidden, np.arange(2)).measure(x, np.arange(900) % 2)
    with pytest.raises(TypeError, match="tally of classes"):
        numbers + classes
    with pytest.raises(TypeError, match="kind of the classes"):
        classes + Gauge(net.inputs, net.hidden, np.array(["a"])).measure(x, ["a"] * 900)
    with pytest.raises(ValueError, match="must agree"):
        numbers + Gauge(net.inputs, net.hidden).measure(x, z[:, :1])
    with pytest.raises(ValueError, match="not among the classes"):
        Gauge(net.inputs, net.hidden, np.arange(2)).measure_known(x, np.arange(900) % 3)
    with pytest.raises(ValueError, match="as many targets"):
        Tally(Statistics.from_rows(x, z), np.arange(3))
