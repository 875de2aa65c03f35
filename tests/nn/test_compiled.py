from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from stridiag._kernels.compile import COMPILES
from stridiag.nn import Architecture, Network, Stack, compile_network, export_numpy, fit_random
from stridiag.nn.activations import ACTIVATIONS, Activation

EPS = np.finfo(np.float64).eps


def assert_same(one, other):
    """To the last bit; where nothing is compiled, sums of one row and of several are made in other orders."""
    np.testing.assert_allclose(one, other, rtol=0.0 if COMPILES else 1e-12, atol=0.0 if COMPILES else 1e-12)


def trained(*, inputs=13, outputs=3, seed=0, rows=120, scale=1.0, **options):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, inputs))
    z = np.tanh(x @ rng.standard_normal((inputs, outputs))) * scale
    return fit_random(x, z, Architecture(**{"units": 21, "layers": 2} | options), rng=seed), x


CASES = [
    {},
    {"activation": "relu"},
    {"scaling": "arcsinh"},
    {"shuffle": False, "diagonals": 5},
    {"links": 17, "layers": 3},
    {"units": 1, "layers": 1},
    {"inputs": 1, "outputs": 1},
    {"units": 5, "inputs": 70, "outputs": 11},
    {"units": 300, "layers": 1, "outputs": 2, "diagonals": 9},
    {"scale": 1e200},
]


def bound(network, x):
    """What sums of that many products may differ by, added up in any two orders."""
    h = network.features(x)
    sizes = np.abs(h) @ np.abs(network.readout.coefficients) + np.abs(network.readout.intercept)
    # arcsinh of C and of NumPy differ by an ulp, which layers of this size multiply by less than 100.
    return (h.shape[1] + 100) * EPS * sizes * network.readout.unit


@pytest.mark.parametrize("case", CASES)
def test_compiled_equals_plain(case):
    network, x = trained(**case)
    compiled = compile_network(network)
    assert compiled.whole == COMPILES
    plain = network.decision(x)
    limit = bound(network, x)
    assert (np.abs(compiled(x) - plain) <= limit).all()
    assert (np.abs(compiled(x[:7]) - plain[:7]) <= limit[:7]).all()
    for i in (0, 1, 50):
        one = compiled(x[i])
        assert one.shape == (plain.shape[1],)
        assert (np.abs(one - plain[i]) <= limit[i]).all()
        if not COMPILES:
            continue
        np.testing.assert_array_equal(one, compiled(x[i : i + 1])[0])
        # Rows are not mixed up with what the row before has left behind.
        np.testing.assert_array_equal(one, compiled(x[max(0, i - 3) : i + 1])[-1])


def test_rows_of_any_layout_and_type():
    network, x = trained()
    compiled = compile_network(network)
    whole = compiled(x[:9])
    np.testing.assert_array_equal(compiled(np.asfortranarray(x[:9])), whole)
    np.testing.assert_array_equal(compiled(x[:9].tolist()), whole)
    assert_same(compiled(np.repeat(x[0], 2)[::2]), whole[0])
    np.testing.assert_array_equal(compiled(x[0].astype(np.float32)), compiled(x[0].astype(np.float32).astype(float)))
    assert compiled(x[:0]).shape == (0, 3)
    frozen = x[0].copy()
    frozen.setflags(write=False)
    assert_same(compiled(frozen), whole[0])
    assert_same(pickle.loads(pickle.dumps(compiled))(x[0]), whole[0])


def test_extreme_rows_and_nan():
    network, x = trained(scaling="standard")
    compiled = compile_network(network)
    wild = np.stack([x[0] * 1e300, -x[1] * 1e12, np.zeros(x.shape[1])])
    assert (np.abs(compiled(wild) - network.decision(wild)) <= bound(network, wild)).all()
    broken = x[0].copy()
    broken[3] = np.nan
    assert np.isnan(compiled(broken)).all()
    # And what came through is not remembered.
    assert np.isfinite(compiled(x[0])).all()


def test_many_threads_share_one_callable():
    network, x = trained(units=64)
    compiled = compile_network(network)
    alone = np.stack([compiled(row) for row in x])
    with ThreadPoolExecutor(8) as pool:
        together = np.stack(list(pool.map(compiled, np.tile(x, (20, 1)))))
    np.testing.assert_array_equal(together, np.tile(alone, (20, 1)))


class Doubled:
    """A transform that the kernel does not know."""

    inputs = columns = 13

    def apply(self, rows):
        return 2.0 * rows


def test_parts_that_are_not_compiled(monkeypatch):
    network, x = trained()
    other = replace(network, inputs=Doubled())
    compiled = compile_network(other)
    assert compiled.whole == COMPILES
    for rows in (x[:5], x):
        assert (np.abs(compiled(rows) - other.decision(rows)) <= bound(other, rows)).all()
    assert (np.abs(compiled(x[0]) - other.decision(x[:1])[0]) <= bound(other, x[:1])[0]).all()

    class Own(Stack):
        def features(self, rows):
            return np.square(super().features(rows))

    strange = replace(network, hidden=Own(network.hidden.inputs, network.layers))
    assert not compile_network(strange).whole
    np.testing.assert_array_equal(compile_network(strange)(x), strange.decision(x))

    def softsign(z):
        z /= 1.0 + np.abs(z)

    monkeypatch.setitem(ACTIVATIONS, "softsign", Activation("softsign", softsign, None, (-1.0, 1.0)))
    layers = tuple(replace(layer, activation="softsign") for layer in network.layers)
    unknown = replace(network, hidden=Stack(network.hidden.inputs, layers))
    z = layers[0].preactivation(x)
    np.testing.assert_array_equal(layers[0].forward(x), z / (1.0 + np.abs(z)))
    assert not compile_network(unknown).whole
    np.testing.assert_array_equal(compile_network(unknown)(x[4]), unknown.decision(x[4:5])[0])
    with pytest.raises(TypeError, match="layer 0 has 'softsign'"):
        export_numpy(unknown, "never-written.npz")


def test_no_layers_at_all():
    network, x = trained()
    bare = Network(
        network.inputs, Stack(13, ()), replace(network.readout, coefficients=network.readout.coefficients[:13])
    )
    assert (np.abs(compile_network(bare)(x[2]) - bare.decision(x[2:3])[0]) <= bound(bare, x[2:3])[0]).all()


@pytest.mark.parametrize("case", [*CASES, {"tied": True}, {"init": "skew"}])
def test_export_runs_without_this_library(case, tmp_path):
    network, x = trained(**case)
    (tmp_path / "net.py").write_text(export_numpy(network, tmp_path / "net.npz"))
    np.save(tmp_path / "rows.npy", x)
    program = (
        "import sys; sys.path.insert(0, '.'); import net, numpy as np\n"
        "np.save('out.npy', net.decision(net.load('net.npz'), np.load('rows.npy')))\n"
        "assert not any(name.startswith(('stridiag', 'numba', 'scipy')) for name in sys.modules)\n"
    )
    # Isolated: neither PYTHONPATH nor this directory; a development install is not imported, as the program checks.
    subprocess.run([sys.executable, "-I", "-c", program], check=True, cwd=tmp_path, timeout=120)
    plain = network.decision(x)
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), plain, rtol=1e-12, atol=1e-12 * np.abs(plain).max(initial=0.0)
    )


def test_export_refuses_what_it_cannot_say(tmp_path):
    network, _ = trained()
    with pytest.raises(TypeError, match="got Doubled and Stack"):
        export_numpy(replace(network, inputs=Doubled()), tmp_path / "net.npz")


def test_layers_are_what_compiled_ones_are():
    """The features of one compiled row are those of the layers, to the last bit: a readout of one feature shows it."""
    network, x = trained(units=40, layers=3)
    width = network.readout.coefficients.shape[0]
    features = network.features(x[:6])
    for j in (0, 12, 13, 52, 60, width - 1):
        pick = np.zeros((width, 1))
        pick[j] = 1.0
        readout = replace(network.readout, coefficients=pick, intercept=np.zeros(1), unit=np.ones(1))
        np.testing.assert_array_equal(compile_network(replace(network, readout=readout))(x[:6])[:, 0], features[:, j])
