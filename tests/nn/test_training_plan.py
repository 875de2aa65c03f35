from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stridiag._kernels.forward import IDENTITY
from stridiag.nn import MODES, Architecture, Operations, Statistics, plan_training, train
from stridiag.nn.activations import activation
from stridiag.nn.layers import Layer
from stridiag.nn.operations import layer_sizes
from stridiag.nn.training import Clock

MODE = pytest.mark.parametrize("mode", sorted(MODES))
SHAPES = pytest.mark.parametrize(
    "shape",
    [
        Architecture(units=30, layers=3, diagonals=3, links=5),
        Architecture(units=7, layers=4, diagonals=2),
        Architecture(units=12, layers=3, offsets=[0, 1, 13], shuffle=False),
    ],
)


def counted(mode, rows, inputs, outputs, shape, monkeypatch):
    """Return the operations of layers and of statistics that the hidden part really took."""
    count = {"layers": 0, "statistics": 0}
    forward, from_rows = Layer._map, Statistics.from_rows.__func__

    def count_forward(self, h, out, function):
        count["layers"] += h.shape[0] * (2 * self.weight.nnz + self.units * (1 if function == IDENTITY else 2))
        return forward(self, h, out, function)

    def count_statistics(cls, h, z, d=None):
        count["statistics"] += h.shape[0] * (h.shape[1] ** 2 + 2 * h.shape[1] * z.shape[1])
        return from_rows(cls, h, z, d)

    monkeypatch.setattr(Layer, "_map", count_forward)
    monkeypatch.setattr(Statistics, "from_rows", classmethod(count_statistics))
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((rows, inputs)), rng.standard_normal((rows, outputs))
    hidden = MODES[mode].hidden(x, z, np.ones(rows), shape, rng, Clock(None, 99), None)
    monkeypatch.undo()
    return count, hidden


@MODE
@SHAPES
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(50, 9, 2), (13, 40, 1)])
def test_operations_of_layers_and_statistics_are_those_that_happen(mode, shape, rows, inputs, outputs, monkeypatch):
    count, hidden = counted(mode, rows, inputs, outputs, shape, monkeypatch)
    told = MODES[mode].operations(rows, inputs, outputs, shape)
    sizes = layer_sizes(inputs, shape)
    assert [(s.inputs, s.units, s.nnz) for s in sizes] == [
        (layer.inputs, layer.units, layer.weight.nnz) for layer in hidden.layers
    ]
    assert told.statistics == count["statistics"]
    expected = count["layers"]
    once = rows * sum(size.forward for size in sizes)
    # Passes that are told as the making of targets; and products with B, which are no layer's.
    if mode in ("autoencoder", "projection", "corrected-targets"):
        assert told.targets >= once
        expected -= once
    if mode == "residual":
        expected += rows * sum(2 * size.nnz + size.units for size in sizes[1:-1])
    assert told.layers == expected


@MODE
def test_plans_count_the_parameters_of_the_model(mode):
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((60, 5)), rng.standard_normal((60, 2))
    shape = Architecture(units=20, layers=4, diagonals=3, links=3)
    plan = plan_training(mode, x.shape, 2, shape)
    net = train(MODES[mode], x, z, shape, rng=0).model
    assert (plan.hidden_parameters, plan.readout_parameters) == net.parameter_count()[:2]
    assert plan.features == net.hidden.columns
    assert plan.total == plan.passes + plan.readout + sum(plan.hidden)


@MODE
def test_what_doubles_with_the_rows(mode):
    shape = Architecture(units=64, layers=3)
    one, two = (plan_training(mode, (n, 20), 3, shape, alpha=0.1) for n in (4000, 8000))
    assert two.hidden.statistics == 2 * one.hidden.statistics
    assert two.hidden.targets == 2 * one.hidden.targets
    assert two.hidden.solves == one.hidden.solves
    # Anchors do not depend on the rows.
    assert two.hidden.layers == pytest.approx(2 * one.hidden.layers, rel=0.05)
    # All of the readout but its eigendecomposition.
    assert two.readout == 2 * one.readout - 9 * one.features**3


@pytest.mark.parametrize("mode", ["autoencoder", "corrected-targets", "projection", "targets"])
def test_solves_grow_with_the_cube_of_the_support(mode):
    few, many = (
        MODES[mode].operations(1000, 512, 1, Architecture(units=512, layers=1, diagonals=k)).solves for k in (10, 40)
    )
    assert 30 < many / few < 64


def test_the_solves_of_a_block_by_every_method():
    """Small supports by entries, few outputs by outputs, else by conjugate gradients."""
    solves = [
        MODES["residual"].operations(100, 4, q, Architecture(units=u, layers=3, diagonals=k)).solves
        for u, k, q in ((100, 3, 10), (600, 3, 1), (600, 3, 10))
    ]
    ridge = [5 * ((4 + u) ** 3 // 3 + 2 * (4 + u) ** 2 * q) for u, q in ((100, 10), (600, 1), (600, 10))]
    mixing = [2 * 2 * u * k * (4 + 3 * u) for u, k in ((100, 3), (600, 3), (600, 3))]
    systems = [300**3 // 3, 2 * 600**3 // 3, 30 * (2 * 600**2 * 10 + 4 * 1800 * 10 + 10 * 1800)]
    # Three readouts (at the start and one per round) and two B for one block.
    for found, r, m, s in zip(solves, ridge, mixing, systems, strict=True):
        assert found == 3 * r // 5 + m + 2 * s


def test_gcv_saves_a_pass_and_wide_tables_go_through_the_rows():
    shape = Architecture(units=100, layers=1)
    loo, gcv = (plan_training("random", (5000, 10), 1, shape, alpha=a).readout for a in ("loo", "gcv"))
    assert loo - gcv == 2 * 5000 * 110 * 49 * 2 + 2 * 5000 * 110**2
    assert plan_training("random", (50, 10), 1, shape, alpha="gcv").readout == 9 * 50**3 + 50**2 * 110 + 2 * 50 * 110
    # Features beyond 128 MB are made twice.
    large = plan_training("random", (200_000, 10), 1, shape)
    assert large.passes == 2 * plan_training("random", (200_000, 10), 1, shape, alpha="gcv").passes


def test_a_plan_is_a_table():
    text = str(plan_training("residual", (1797, 64), 10, Architecture(units=256, layers=3)))
    lines = text.splitlines()
    assert lines[0] == "training 'residual': 1797 rows, 64 inputs, 10 outputs, 832 features"
    assert [line.split()[0] for line in lines[1:]] == [
        "layers", "statistics", "solves", "features", "readout", "total", "model:",
    ]  # fmt: skip
    assert sum(float(line.split()[-2]) for line in lines[1:6]) == pytest.approx(100.0, abs=0.3)
    assert Operations(1, 2, 3, 4).total == 10


def test_refusals():
    shape = Architecture(units=8, layers=3)
    with pytest.raises(ValueError, match="mode must be one of 'random', 'residual'"):
        plan_training("adam", (10, 2), 1, shape)
    for bad in ((0, 2), (10, 0), (10.0, 2)):
        with pytest.raises(ValueError, match="must be an integer of at least 1"):
            plan_training("random", bad, 1, shape)
    with pytest.raises(ValueError, match="outputs must be an integer"):
        plan_training("random", (10, 2), 0, shape)
    with pytest.raises(ValueError, match="at least 3 layers"):
        plan_training("residual", (10, 2), 1, replace(shape, layers=2))
    with pytest.raises(ValueError, match="invertible"):
        plan_training("targets", (10, 2), 1, replace(shape, activation="relu"))
    with pytest.raises(ValueError, match="alpha must be"):
        plan_training("random", (10, 2), 1, shape, alpha="cv")
    assert activation("relu").inverse is None
