"""What plans of the recipe for tables say against what fits do: operations are counted where they happen."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import penalty_walk
from stridiag.nn.mixed_units import MixedUnits
from stridiag.nn.recipe_plans import plan_tabular
from stridiag.nn.shifted_products import ShiftedProducts
from stridiag.nn.tabular import fit_tabular


def one_way(units):
    layers = sum(2 * layer.weight.nnz + 2 * layer.units for layer in units.sparse + units.mixed)
    return layers + (0 if units.premix is None else 2 * units.premix.size)


@pytest.fixture
def count(monkeypatch):
    """Operations by stage, counted while the recipe runs."""
    done = {"layers": 0, "statistics": 0, "solves": 0}

    def counting(owner, name, stage, operations):
        plain = getattr(owner, name)

        def counted(*arguments):
            done[stage] += operations(*arguments)
            return plain(*arguments)

        monkeypatch.setattr(owner, name, counted)

    def products(_, rows, targets, weights):
        return rows.shape[0] * rows.shape[1] * (rows.shape[1] + 2 * targets.shape[1])

    counting(ShiftedProducts, "add", "statistics", products)
    counting(penalty_walk, "of_rows", "statistics", lambda rows, *_: rows.shape[0] ** 2 * rows.shape[1])
    counting(penalty_walk, "_try", "solves", lambda gram, *_: len(gram) ** 3 // 3)
    counting(penalty_walk, "_try_rows", "solves", lambda products, *_: 2 * len(products) ** 3 // 3)
    counting(penalty_walk, "left_of", "solves", lambda factor, rows, *_: rows.shape[0] * rows.shape[1] ** 2)
    counting(MixedUnits, "features", "layers", lambda units, rows: rows.shape[0] * one_way(units))
    counting(MixedUnits, "gradients", "layers", lambda units, rows, _: 2 * rows.shape[0] * one_way(units))
    return done


def table(rows, columns, outputs, noise):
    rng = np.random.default_rng(0)
    x = rng.random((rows, columns))
    z = 10.0 * np.sin(np.pi * x[:, :1] * x[:, 1:2]) + 20.0 * (x[:, 2:3] - 0.5) ** 2 + 10.0 * x[:, 3:4]
    deviation = {"none": 0.0, "some": 1.0, "much": 4.0}[noise]
    return x, z + deviation * rng.standard_normal((rows, outputs))


@pytest.mark.parametrize("preset", ["fast", "accurate"])
@pytest.mark.parametrize(
    ("noise", "rows", "columns", "outputs"),
    [
        ("none", 300, 4, 1),
        ("none", 600, 4, 2),
        ("some", 300, 5, 1),
        ("some", 500, 6, 3),
        ("much", 150, 6, 1),
        ("much", 500, 10, 3),
    ],
)
def test_plans_say_what_fits_do(preset, noise, rows, columns, outputs, count):
    x, z = table(rows, columns, outputs, noise)
    # Few networks, so that the test is short.
    fit_tabular(x, z, preset=preset, networks=2, memory=False, rng=0)
    plan = plan_tabular(x.shape, outputs, preset, networks=2, noise=noise)
    assert plan.total == sum(plan.hidden)
    low, high = (0.75, 1.33) if noise == "none" else (0.85, 1.18)
    assert low < plan.total / sum(count.values()) < high


def test_the_default_is_within_the_factors_that_are_told():
    for rows in (200, 1000, 3000, 8000, 50_000):
        for preset in ("fast", "accurate"):
            much, some, none = (
                plan_tabular((rows, 20), 1, preset, noise=noise).total for noise in ("much", "some", "none")
            )
            assert 0.4 < much / some <= 1.0
            assert 0.5 < none / some < 5.0


def test_parameters_are_nearly_those_of_the_model():
    x, z = table(500, 10, 1, "some")
    for mixing in ("structured", "dense"):
        model = fit_tabular(x, z, mixing=mixing, networks=1, memory=False, rng=0)
        plan = plan_tabular(x.shape, 1, mixing=mixing, networks=1)
        # The share of sparse units is chosen by the data: none, half or all.
        assert 0.5 < plan.hidden_parameters / model.parameter_count().hidden < 2.0
        assert plan.readout_parameters == model.parameter_count().readout
    with pytest.raises(ValueError, match="noise must be one of"):
        plan_tabular((500, 10), 1, noise="little")
