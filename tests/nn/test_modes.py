"""What every training mode promises, whatever it does to the hidden part."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import NonFiniteError
from stridiag.nn import MODES, Architecture, Progress, train

SMALL = Architecture(units=30, layers=3, diagonals=3, links=5)
MODE = pytest.mark.parametrize("mode", sorted(MODES))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6)) * [1, 10, 100, 1e-3, 1, 1] + [0, 5, 0, 0, -9, 0]
    s = (x - x.mean(axis=0)) / x.std(axis=0)
    z = np.column_stack((s[:, 0] * s[:, 1], np.sin(2 * s[:, 2]))) + 0.05 * rng.standard_normal((200, 2))
    return x, z


def fit(mode, x, z, shape=SMALL, **options):
    return train(MODES[mode], x, z, shape, **{"rng": 0, **options}).model


@MODE
def test_seeds_decide_everything(mode, data):
    first, second, other = (fit(mode, *data, rng=seed).decision(data[0]) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-6


@MODE
def test_weights_are_repetitions_and_order_does_not_matter(mode, data):
    x, z = data
    counts = np.random.default_rng(1).integers(0, 3, len(x))
    weighted = fit(mode, x, z, weights=counts).decision(x)
    repeated = fit(mode, x.repeat(counts, 0), z.repeat(counts, 0)).decision(x)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-6)
    order = np.random.default_rng(2).permutation(len(x))
    np.testing.assert_allclose(fit(mode, x[order], z[order]).decision(x), fit(mode, x, z).decision(x), atol=1e-6)


@MODE
@pytest.mark.parametrize("outputs", [1, 7])
def test_any_number_of_outputs(mode, outputs, data):
    x, z = data
    aims = z @ np.random.default_rng(5).standard_normal((2, outputs))
    error = ((fit(mode, x, aims).decision(x) - aims) ** 2).mean(axis=0)
    assert (error < 0.5 * aims.var(axis=0)).all()


@MODE
def test_constant_columns_and_targets_change_nothing(mode, data):
    x, z = data
    wide = np.column_stack((x, np.full(len(x), 0.1), np.zeros(len(x))))
    net = fit(mode, wide, z)
    other = wide + np.outer(np.ones(len(x)), [0] * 6 + [5, -3])
    np.testing.assert_allclose(net.decision(other), net.decision(wide), atol=1e-9)
    nothing = fit(mode, np.ones((50, 3)), z[:50])
    np.testing.assert_allclose(nothing.decision(np.ones((2, 3))), np.tile(z[:50].mean(axis=0), (2, 1)), atol=1e-12)
    flat = fit(mode, x, np.full((len(x), 1), 3.0))
    np.testing.assert_allclose(flat.decision(x), 3.0, rtol=1e-12)


@MODE
@pytest.mark.parametrize("shape", [(2, 1), (3, 9), (30, 1), (5, 200)])
def test_shapes_at_the_edge(mode, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    net = fit(mode, x, x[:, :1], Architecture(units=5, layers=3))
    assert np.isfinite(net.decision(x)).all()


@MODE
def test_ten_layers_stay_finite_and_alive(mode, data):
    x, z = data
    net = fit(mode, x, z, Architecture(units=24, layers=10))
    features = net.hidden.features(net.inputs.apply(x))
    assert features.shape == (200, 6 + 240)
    assert np.isfinite(features).all()
    # The last layer still tells rows apart: no collapse into one value, none into saturation.
    assert (features[:, -24:].std(axis=0) > 0.05).all()
    error = ((net.decision(x) - z) ** 2).mean(axis=0)
    assert (error < z.var(axis=0)).all()


@MODE
def test_progress_is_told_to_the_end(mode, data):
    seen: list[Progress] = []
    fit(mode, *data, progress=seen.append)
    assert [p.step for p in seen] == list(range(1, seen[0].steps + 1))
    assert seen[-1].stage == "readout"


@MODE
def test_bad_input(mode, data):
    x, z = data
    for value in (np.nan, np.inf):
        bad = x.copy()
        bad[7, 2] = value
        with pytest.raises(NonFiniteError, match="X must be finite"):
            fit(mode, bad, z)
    with pytest.raises(ValueError, match="weights must be nonnegative"):
        fit(mode, x, z, weights=-np.ones(len(x)))
    with pytest.raises(ValueError, match="at least 2 rows"):
        fit(mode, x[:1], z[:1])


@MODE
def test_a_warm_start_keeps_structure_and_is_another_network(mode, data):
    """Every mode starts from what mode "random" and what it itself made, with fewer layers or as many."""
    x, z = data
    for before in ("random", mode):
        base = fit(before, x, z, rng=9)
        net = fit(mode, x, z, start=base.hidden)
        for a, b in zip(net.layers, base.layers, strict=True):
            assert a.weight.structure == b.weight.structure
            np.testing.assert_array_equal(a.source, b.source)
        assert not np.allclose(net.decision(x), fit(mode, x, z).decision(x))
        deeper = fit(mode, x, z, Architecture(units=30, layers=4, diagonals=3, links=5), start=base.hidden)
        assert len(deeper.layers) == 4
        assert deeper.layers[2].weight.structure == base.layers[2].weight.structure


@MODE
def test_starts_that_do_not_fit(mode, data):
    x, z = data
    base = fit("random", x, z).hidden
    with pytest.raises(ValueError, match=r"start has 3 layers, more than the 2|at least 3 layers"):
        fit(mode, x, z, Architecture(units=30, layers=2), start=base)
    with pytest.raises(ValueError, match="layer 0 of start maps 6 values to 30 by 'tanh'"):
        fit(mode, x, z, Architecture(units=31, layers=3), start=base)
    with pytest.raises(TypeError, match="can start from a stack of layers or from residual blocks, not dict"):
        fit(mode, x, z, start={})


@pytest.mark.parametrize("mode", ["targets", "corrected-targets", "projection"])
def test_links_go_where_the_aim_asks_for_them(mode, data):
    """With the same draws, links chosen by correlation lower the residual of the first layer more than random ones."""
    x, z = data
    by_data = Architecture(units=24, layers=2, links=30, link_choice="correlation")
    net = train(MODES[mode], x, z, by_data, rng=0).model
    bare = train(MODES[mode], x, z, Architecture(units=24, layers=2), rng=0).model
    for layer, without in zip(net.layers, bare.layers, strict=True):
        assert 0 < layer.weight.nnz - without.weight.nnz <= 30
    assert np.isfinite(net.decision(x)).all()


def test_options_that_a_mode_cannot_follow(data):
    x, z = data
    for mode in ("random", "autoencoder", "residual"):
        with pytest.raises(ValueError, match="whose layers aim at something"):
            train(MODES[mode], x, z, Architecture(units=24, links=3, link_choice="correlation"))
    for mode in set(MODES) - {"random"}:
        with pytest.raises(ValueError, match="tied diagonals are for training='random'"):
            train(MODES[mode], x, z, Architecture(units=24, tied=True))
