from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import NonFiniteError, StructureError
from stridiag.nn import Architecture, Network, Statistics, Stream, fit_images, fit_random, ridge, row_keys
from stridiag.nn.chunks import indicators
from stridiag.nn.storage import load, save


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 5))
    z = np.column_stack((np.tanh(x[:, 0] * x[:, 1]), 100.0 + x[:, 2] ** 2)) + 0.1 * rng.standard_normal((n, 2))
    return x, z, rng.random(n) + 0.5


@pytest.fixture(scope="module")
def net():
    x, z, _ = data()
    return fit_random(x[:100], z[:100], Architecture(units=40, layers=2), rng=0)


def cut(stream, x, y, d, places):
    for part in np.split(np.arange(len(x)), places):
        stream = stream.update(x[part], y[part], d[part])
    return stream


@pytest.mark.parametrize("alpha", ["gcv", 1e-6, 0.1])
@pytest.mark.parametrize("places", [[], [1], [150], [10, 11, 12, 299], list(range(1, 300, 7))])
def test_updates_are_one_fit_on_the_union(net, places, alpha):
    x, z, d = data()
    stream = cut(Stream.begin(net.inputs, net.hidden, x[:100], z[:100], d[:100]), x[100:], z[100:], d[100:], places)
    whole = Stream.begin(net.inputs, net.hidden, x, z, d)
    assert stream.rows == whole.rows == 400
    found, expected = stream.network(alpha), whole.network(alpha)
    np.testing.assert_array_equal(found.readout.alpha, expected.readout.alpha)
    np.testing.assert_allclose(found.decision(x), expected.decision(x), rtol=1e-10, atol=1e-10)
    # And of the fit written down: standardised features, targets in units of their spread.
    h = net.features(x)
    scaled = z / np.sqrt(d @ (z - d @ z / d.sum()) ** 2 / d.sum())
    direct = ridge(Statistics.from_rows(h, scaled, d), found.readout.alpha[0])
    np.testing.assert_allclose(found.decision(x) / z * scaled, direct.apply(h), rtol=1e-9, atol=1e-9)


def test_what_is_forgotten_might_never_have_come(net):
    x, z, d = data()
    part = Stream.begin(net.inputs, net.hidden, x[:300], z[:300], d[:300])
    back = part.update(x[300:], z[300:], d[300:]).forget(x[300:], z[300:], d[300:])
    assert back.rows == 300
    np.testing.assert_allclose(back.network(1e-3).decision(x), part.network(1e-3).decision(x), rtol=1e-9, atol=1e-9)


def test_classes_that_appear_are_added_exactly(net):
    x, _, d = data()
    labels = np.array(["m", "z", "a", "q"])[np.searchsorted([100, 250, 300], np.arange(400), side="right")]
    stream = cut(
        Stream.begin(net.inputs, net.hidden, x[:50], labels[:50], d[:50], classify=True),
        x[50:],
        labels[50:],
        d[50:],
        [30, 150, 220, 300],
    )
    np.testing.assert_array_equal(stream.classes, ["a", "m", "q", "z"])
    h = net.features(x)
    whole = Statistics.from_rows(h, indicators(labels, stream.classes), d)
    for field in ("target_mean", "cross", "target_scatter", "scatter"):
        a, b = getattr(stream.statistics, field), getattr(whole, field)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max())
    again = Stream.begin(net.inputs, net.hidden, x, labels, d, classify=True)
    np.testing.assert_allclose(
        stream.network("gcv").decision(x), again.network("gcv").decision(x), rtol=1e-8, atol=1e-10
    )
    # Without rows a class keeps its column: nothing has it.
    gone = stream.forget(x[300:], labels[300:], d[300:])
    np.testing.assert_allclose(gone.network(0.1).decision(x)[:, 2], -1.0, atol=1e-9)


def test_rows_that_were_never_there_are_refused(net):
    x, z, _ = data()
    stream = Stream.begin(net.inputs, net.hidden, x[:200], z[:200])
    with pytest.raises(ValueError, match="nothing would be left"):
        stream.forget(x[:200], z[:200])
    with pytest.raises(ValueError, match="were not part"):
        stream.forget(x[200:390], z[200:390])
    with pytest.raises(ValueError, match="were not part"):
        stream.forget(x[:5], z[:5] + 1e3)
    with pytest.raises(ValueError, match="were not part"):
        stream.forget(x[:1], z[:1], [199.0])
    labelled = Stream.begin(net.inputs, net.hidden, x[:200], np.arange(200) % 2, classify=True)
    with pytest.raises(ValueError, match="not among the classes"):
        labelled.forget(x[:1], [2])
    with pytest.raises(ValueError, match="were not part"):
        labelled.update(x[200:201], [7]).forget(x[:2], [7, 7])


def test_rows_that_the_hidden_part_holds_are_refused(net):
    x, z, _ = data()
    stream = Stream.begin(net.inputs, net.hidden, x, z, held=x[[3, 77]])
    for rows in ([77], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="held by the hidden part"):
            stream.forget(x[rows], z[rows])
    assert stream.forget(x[:3], z[:3]).rows == 397
    assert stream.update(x[:3], z[:3]).held.shape == (2, 16)


def test_keys_of_rows():
    x = data()[0]
    keys = row_keys(x)
    assert len(np.unique(keys, axis=0)) == 400
    np.testing.assert_array_equal(row_keys(np.asfortranarray(x)), keys)
    np.testing.assert_array_equal(row_keys(x[::2]), keys[::2])
    assert row_keys(np.empty((0, 3))).shape == (0, 16)
    with pytest.raises(ValueError, match="two-dimensional"):
        row_keys(x[0])


def test_a_stream_is_stored_and_goes_on(net, tmp_path):
    x, _, _ = data()
    labels = np.arange(400) % 3
    stream = Stream.begin(net.inputs, net.hidden, x[:200], labels[:200], classify=True, held=x[:4])
    save(stream, tmp_path / "s")
    loaded = load(tmp_path / "s")
    rows = [s.update(x[200:], labels[200:]).network(1e-4).decision(x) for s in (stream, loaded)]
    np.testing.assert_array_equal(*rows)
    with pytest.raises(ValueError, match="held by"):
        loaded.forget(x[:1], labels[:1])
    save(net, tmp_path / "n")
    loaded = load(tmp_path / "n")
    assert isinstance(loaded, Network)
    np.testing.assert_array_equal(loaded.decision(x), net.decision(x))


def test_labels_of_frames_are_strings(net, tmp_path):
    series = pytest.importorskip("pandas").Series
    x = data()[0]
    stream = Stream.begin(net.inputs, net.hidden, x[:2], series(["b", "a"], dtype=object), classify=True)
    stream = stream.update(x[2:4], series(["cc", "a"], dtype=object))
    save(stream, tmp_path / "s")
    assert load(tmp_path / "s").classes.tolist() == ["a", "b", "cc"]
    with pytest.raises(TypeError, match=r"labels must be|not supported"):
        stream.update(x[:2], np.array([None, None]))


def test_failures(net):
    x, z, _ = data()
    stream = Stream.begin(net.inputs, net.hidden, x, z)
    with pytest.raises(StructureError, match="rows must have shape"):
        stream.update(x[:, :3], z)
    with pytest.raises(ValueError, match="must agree"):
        stream.update(x, z[:, :1])
    with pytest.raises(NonFiniteError):
        stream.update(x * np.nan, z)
    with pytest.raises(ValueError, match="alpha must be 'gcv'"):
        stream.readout("loo")
    with pytest.raises(TypeError, match="of the kind of the classes"):
        Stream.begin(net.inputs, net.hidden, x[:2], ["a", "b"], classify=True).update(x[:1], [3])
    with pytest.raises(ValueError, match="held must be"):
        Stream(net.inputs, net.hidden, stream.statistics, None, np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="classes need as many"):
        Stream(net.inputs, net.hidden, stream.statistics, np.arange(3), stream.held)
    with pytest.raises(ValueError, match="statistics must be of"):
        Stream(net.inputs, net.hidden, Statistics.from_rows(x, z), None, stream.held)


def test_large_images_are_penalised_as_in_their_fit(monkeypatch):
    """Their columns as they are: sums in single precision are all that differs."""
    rng = np.random.default_rng(0)
    images = rng.random((300, 20, 20))
    images[::2] += np.linspace(0, 1, 20)
    x, z = images.reshape(300, -1), np.where(np.arange(300) % 2, 1.0, -1.0)[:, None]
    network = fit_images(x, z, (20, 20), alpha=0.1, rng=0)
    whole = Stream.begin(network.inputs, network.hidden, x, z)
    parts = Stream.begin(network.inputs, network.hidden, x[:120], z[:120]).update(x[120:], z[120:])
    size = np.abs(network.readout.coefficients).max()
    for stream in (whole, parts):
        readout = stream.readout(0.1)
        np.testing.assert_allclose(readout.coefficients, network.readout.coefficients, rtol=0.0, atol=1e-4 * size)
        np.testing.assert_allclose(readout.alpha, 0.1)
        np.testing.assert_allclose(stream.network(0.1).decision(x), network.decision(x), rtol=1e-3, atol=1e-4)
    chosen = whole.readout("gcv")
    again = whole.readout(float(chosen.alpha[0]))
    np.testing.assert_allclose(again.coefficients, chosen.coefficients, rtol=1e-6, atol=1e-9)
    # Standardised columns would be another regression.
    monkeypatch.setattr(type(network.hidden), "of_one_scale", False)
    other = whole.readout(0.1).coefficients
    assert np.abs(other - network.readout.coefficients).max() > 0.01 * size
