from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stridiag.errors import NonFiniteError, StructureError
from stridiag.nn.ensemble import PRESETS, sizes_for
from stridiag.nn.tabular import fit_tabular


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 4))
    z = np.column_stack((np.sin(3 * x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3]))
    return fit_tabular(x, z, units=40, networks=3, memory=True, mixing="dense", rng=0), x, z


def test_decision_is_the_mean_and_the_memory_within_bounds(model):
    net, x, z = model
    t = net.inputs.apply(x)
    mean = np.mean([m.readout.apply(m.hidden.features(t)) for m in net.members], axis=0)
    np.testing.assert_allclose(
        net.decision(x), np.clip(mean + net.memory.correction(t), net.lower, net.upper), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(replace(net, memory=None).decision(x[:7]), mean[:7], rtol=0, atol=1e-12)
    margin = 0.1 * np.ptp(z, axis=0)
    np.testing.assert_allclose(net.lower, z.min(axis=0) - margin)
    np.testing.assert_allclose(net.upper, z.max(axis=0) + margin)


def test_predictions_stop_at_the_bounds(model):
    net, _, _ = model
    far = net.decision(np.full((1, 4), 1e300) * [[1, -1, 1, -1]])
    assert (far >= net.lower).all()
    assert (far <= net.upper).all()
    low = replace(net, upper=net.lower)
    np.testing.assert_array_equal(low.decision(np.zeros((2, 4))), np.tile(net.lower, (2, 1)))


def test_parameters_are_counted(model):
    net, _, _ = model
    count = net.parameter_count()
    assert count.hidden == sum(m.hidden.parameter_count for m in net.members)
    assert count.readout == 3 * 2 * (8 + 40 + 1)
    assert count.total == count.hidden + count.readout
    assert net.premix_count == 3 * 64


def test_bad_rows(model):
    net, x, _ = model
    with pytest.raises(StructureError, match="4"):
        net.decision(x[:, :3])
    with pytest.raises(NonFiniteError, match="rows"):
        net.decision(np.array([[0.0, np.nan, 0.0, 0.0]]))
    assert net.decision(x[:0]).shape == (0, 2)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_sizes_are_bounded_by_the_rows(preset):
    for n in (2, 3, 10, 100, 1500, 1501, 5001, 12001, 10**9):
        sizes = sizes_for(n, preset)
        assert 1 <= sizes.units <= 2 * n
        assert 1 <= sizes.small_units <= max(1, n / 2)
        assert sizes.networks >= 1
