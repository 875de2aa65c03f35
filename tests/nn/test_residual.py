from __future__ import annotations

import numpy as np
import pytest

from stridiag import StridiagMatrix
from stridiag.errors import StructureError
from stridiag.nn import MODES, Architecture, Statistics, fit_random, train, wrapped_structure
from stridiag.nn.residual import ResidualBlock, ResidualBlocks, fit_block

SHAPE = Architecture(units=40, layers=5, diagonals=3, links=6)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 6))
    z = np.column_stack((x[:, 0] * x[:, 1], np.sin(2 * x[:, 2]), x[:, 3] ** 2)) + 0.05 * rng.standard_normal((300, 3))
    return x, z


def fit(x, z, shape=SHAPE, **options):
    return train(MODES["residual"], x, z, shape, **{"rng": 0, **options}).model


def parts(seed=0, rows=150, outputs=2):
    """Return rows of [X, H, F], targets, weights, and a B of zeros."""
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((rows, 3 + 8 + 10)) + rng.standard_normal(21)
    structure = wrapped_structure((8, 10), (0, 1, 3))
    z = np.tanh(q @ rng.standard_normal((21, outputs))) + 1.0
    return q, z, rng.random(rows) + 0.1, StridiagMatrix(structure, np.zeros(structure.nnz))


def loss(q, z, d, mix, readout):
    """Return the weighted mean squared error of the readout of [X, H + F B'], its intercept free."""
    e = q[:, :11].copy()
    e[:, 3:] += q[:, 11:] @ mix.toarray().T
    left = z - e @ readout
    left -= d @ left / d.sum()
    return float((d @ left**2).sum() / d.sum())


@pytest.mark.parametrize("steps", [0, 1, 2, 30])
@pytest.mark.parametrize("outputs", [1, 4])
def test_the_loss_never_rises_however_early_conjugate_gradients_stop(steps, outputs):
    q, z, d, mix = parts(outputs=outputs)
    mix, readout, losses = fit_block(Statistics.from_rows(q, z, d), mix, rounds=5, steps=steps)
    assert len(losses) == 11
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] == pytest.approx(loss(q, z, d, mix, readout), rel=1e-9)
    if steps:
        assert losses[-1] < losses[2]


def test_it_goes_on_from_any_point_without_rising():
    """B and W far from any optimum, and B = 0 with a readout that ridge would change: both only fall."""
    q, z, d, mix = parts()
    rng = np.random.default_rng(3)
    for values in (np.zeros(mix.nnz), 3 * rng.standard_normal(mix.nnz)):
        start = mix.with_values(values)
        readout = rng.standard_normal((11, 2))
        best = np.linalg.lstsq(np.column_stack((q[:, :11], np.ones(150))), z, rcond=None)[0][:11]
        for w in (readout, best):
            _, _, losses = fit_block(Statistics.from_rows(q, z, d), start, w, rounds=3)
            assert losses[0] == pytest.approx(loss(q, z, d, start, w), rel=1e-9)
            assert (np.diff(losses) <= 1e-12 * losses[0]).all()


def test_losses_fall_over_the_blocks_of_a_network_and_are_those_of_its_states(data):
    x, z = data
    net = fit(x, z)
    losses = net.hidden.losses
    # Three blocks of two rounds of two half steps, and the start.
    assert losses.shape == (13,)
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] < 0.8 * losses[0]
    # The least any readout of the last state can leave is below, and of the first state not far from the start.
    rows = net.inputs.apply(x)
    state = net.hidden.lift.forward(rows)
    aims = (z - z.mean(axis=0)) / z.std(axis=0)

    def least(h):
        full = np.column_stack((rows, h, np.ones(len(x))))
        return ((aims - full @ np.linalg.lstsq(full, aims, rcond=None)[0]) ** 2).mean(axis=0).sum()

    assert least(state) <= losses[0]
    for block in net.hidden.blocks:
        state = state + (block.mix @ block.branch.forward(state).T).T
    assert least(state) <= losses[-1]
    assert least(state) < 0.9 * least(net.hidden.lift.forward(rows))


def test_features_are_the_formula(data):
    x, z = data
    net = fit(x, z)
    rows = net.inputs.apply(x)
    state = np.tanh(rows[:, net.hidden.lift.source] @ net.hidden.lift.weight.toarray().T + net.hidden.lift.bias)
    expected = [rows, state]
    for block in net.hidden.blocks:
        inner = state[:, block.branch.source] @ block.branch.weight.toarray().T + block.branch.bias
        expected.append(np.tanh(inner))
        state = state + expected[-1] @ block.mix.toarray().T
    expected.append(net.hidden.last.forward(state))
    np.testing.assert_allclose(net.hidden.features(net.inputs.apply(x)), np.hstack(expected), rtol=0, atol=1e-11)
    assert net.hidden.columns == 6 + 5 * 40
    nnz = sum(layer.weight.nnz + 40 for layer in net.layers) + sum(block.mix.nnz for block in net.hidden.blocks)
    assert net.parameter_count().hidden == nnz


def test_the_control_has_the_same_draws(data):
    """The lift is that of mode "random"; behind it only the state, hence scale and bias, differ."""
    x, z = data
    net, control = fit(x, z), fit_random(x, z, SHAPE, rng=0)
    np.testing.assert_allclose(net.hidden.lift.weight.values, control.layers[0].weight.values, rtol=1e-12)
    for a, b in zip(net.layers, control.layers, strict=True):
        rows, _ = a.weight.structure.coordinates()
        # Directions, row by row.
        for layer in (a, b):
            assert (np.bincount(rows, layer.weight.values**2) > 0).all()
        ratio = a.weight.values / b.weight.values
        first = np.full(40, np.nan)
        first[rows[::-1]] = ratio[::-1]
        np.testing.assert_allclose(ratio, first[rows], rtol=1e-9)


def test_a_warm_start_from_residual_blocks_begins_where_they_ended(data):
    x, z = data
    first = fit(x, z, Architecture(units=40, layers=3))
    second = fit(x, z, Architecture(units=40, layers=3), start=first.hidden)
    assert second.hidden.losses[0] < first.hidden.losses[0]
    assert second.hidden.losses[-1] <= second.hidden.losses[0]
    assert not np.allclose(second.hidden.blocks[0].mix.values, first.hidden.blocks[0].mix.values)


def test_refusals(data):
    with pytest.raises(ValueError, match=r"needs at least 3 layers, a lift, a block .* got layers=2"):
        fit(*data, Architecture(layers=2))
    net = fit(*data)
    block = net.hidden.blocks[0]
    with pytest.raises(StructureError, match=r"mix must have shape \(40, 40\), got \(7, 40\)"):
        ResidualBlock(block.branch, StridiagMatrix(wrapped_structure((7, 40), (0,)), np.zeros(40)))
    narrow = fit_random(data[0], data[1], Architecture(units=7, layers=2), rng=0).layers
    with pytest.raises(StructureError, match="layer 1 reads 40 values, but the state has 7"):
        ResidualBlocks(narrow[0], (block,), narrow[1], np.zeros(1))
