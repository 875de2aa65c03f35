"""Compiled models of recipes say what the models say: up to the order of sums, on one row and on several."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from stridiag._kernels.compile import COMPILES
from stridiag.nn import compile_network, fit_images, load, save
from stridiag.nn.average import Average
from stridiag.nn.memory import Memory
from stridiag.nn.tabular import fit_tabular
from stridiag.nn.training import check_training_data
from stridiag.sklearn import StridiagClassifier, StridiagRegressor


def table(columns=9, outputs=1, rows=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=(rows, columns))
    x[:, 0] = rng.integers(0, 2, rows)  # without ranks
    if columns > 2:
        x[:, 2] = 1.0  # constant
    return x, np.tanh(x @ rng.standard_normal((columns, outputs))) + 0.3 * rng.standard_normal((rows, outputs))


def assert_says_what(model, x):
    """One row, a few rows and many rows are those of the model's decision."""
    compiled = compile_network(model)
    assert compiled.whole == COMPILES
    plain = model.decision(x)
    scale = np.abs(plain).max()
    for got in (compiled(x), compiled(x[:9]), np.stack([compiled(row) for row in x[:40]])):
        np.testing.assert_allclose(got, plain[: len(got)], rtol=1e-11, atol=1e-11 * scale)
    again = pickle.loads(pickle.dumps(compiled))
    np.testing.assert_array_equal(again(x[3]), compiled(x[3]))


@pytest.mark.parametrize("preset", ["fast", "accurate"])
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"classification": True}, {"mixing": "dense"}, {"outputs": 3}, {"columns": 3}, {"columns": 1, "units": 2}],
)
def test_models_for_tables(preset, memory, options):
    options = dict(options)
    x, z = table(columns=options.pop("columns", 9), outputs=options.pop("outputs", 1))
    if options.get("classification"):
        z = np.where(z > 0.0, 1.0, -1.0)
    options.setdefault("units", 37)
    model = fit_tabular(x[:120], z[:120], preset=preset, networks=2, memory=memory, rng=0, **options)
    assert (model.memory is not None) == memory
    # Rows of the training, others, and some beyond all bounds.
    assert_says_what(model, np.concatenate((x, x[:5] * 1e6, -x[:5] * 1e3)))


def test_every_metric_of_a_memory():
    x, z = table()
    model = fit_tabular(x, z, units=20, networks=1, memory=True, rng=0)
    t = model.inputs.apply(x)
    d = t.shape[1]
    rng = np.random.default_rng(1)
    # 150 rows in blocks of 16, and more neighbours than there are rows but one.
    for metric in (np.ones(d), rng.random(d), rng.standard_normal((d, d))):
        for neighbours in (1, 5, 149, 150):
            rows = t * metric if metric.ndim == 1 else t @ metric
            residuals = rng.standard_normal((150, 1))
            memory = Memory(rows, metric, residuals, neighbours, 2.0, 0.7, 0.1)
            assert_says_what(replace(model, memory=memory), np.concatenate((x[:9] * 1.01, x[:9])))


def test_repeated_rows_share_their_weight():
    x, z = table(rows=60)
    x, z = np.repeat(x, 3, axis=0), np.repeat(z, 3, axis=0) + np.tile([[0.0], [0.1], [0.2]], (60, 1))
    assert_says_what(fit_tabular(x, z, units=20, networks=1, memory=True, rng=0), x)


@pytest.mark.skipif(not COMPILES, reason="parts are computed in the order of the rows' products")
@pytest.mark.parametrize("columns", [3, 9])
@pytest.mark.parametrize("memory", [False, True])
def test_no_number_in_a_row(columns, memory):
    x, z = table(columns)
    compiled = compile_network(fit_tabular(x, z, units=20, networks=2, memory=memory, rng=0))
    before = compiled(x[1])
    broken = x[0].copy()
    broken[1] = np.nan
    assert np.isnan(compiled(broken)).all()
    # What came through is not remembered.
    np.testing.assert_array_equal(compiled(x[1]), before)


@pytest.mark.parametrize("memory", [False, True])
def test_many_threads_share_one_callable(memory):
    x, z = table()
    compiled = compile_network(fit_tabular(x, z, units=50, networks=3, memory=memory, rng=0))
    alone = np.stack([compiled(row) for row in x])
    with ThreadPoolExecutor(8) as pool:
        together = np.stack(list(pool.map(compiled, np.tile(x, (10, 1)))))
    np.testing.assert_array_equal(together, np.tile(alone, (10, 1)))


def test_a_stored_model_compiles_to_the_same(tmp_path):
    x, z = table()
    model = fit_tabular(x, z, units=20, networks=2, memory=True, rng=0)
    save(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(compile_network(load(tmp_path / "model.npz"))(x[0]), compile_network(model)(x[0]))


def images(side, count=150, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.random((count, side, side))
    noise[::2] += np.linspace(0, 1, side)
    return noise.reshape(count, -1) * 255.0, np.where(np.arange(count) % 2, 1.0, -1.0)[:, None]


def test_small_images_and_averages():
    x, z = images(8)
    one = fit_images(x, z, (8, 8), rng=0)
    members = one.members if isinstance(one, Average) else (one,)
    other = fit_images(x * 2.0, z, (8, 8), rng=1)
    # Those of one transform, and of two.
    for model in (one, Average((*members, other if not isinstance(other, Average) else other.members[0]))):
        assert_says_what(model, np.concatenate((x[:50], 10.0 * x[:5], -x[:5])))


def test_large_images_go_by_parts():
    x, z = images(20)
    model = fit_images(x, z, (20, 20), rng=0)
    compiled = compile_network(model)
    assert not compiled.whole
    # Single precision adds up in another order for one row and for many.
    np.testing.assert_allclose(compiled(x[0]), model.decision(x[:1])[0], rtol=1e-5)
    np.testing.assert_array_equal(compiled(x), model.decision(x))


def test_models_of_other_kinds_are_called():
    class Sum:
        def decision(self, rows):
            return np.asarray(rows).sum(axis=1, keepdims=True)

    compiled = compile_network(Sum())
    assert not compiled.whole
    assert compiled(np.arange(4.0)) == [6.0]
    x, z, _ = check_training_data(*table(), None)
    model = fit_tabular(x, z, units=20, networks=1, memory=False, rng=0)

    class Own(type(model)):
        """It may compute something else."""

    own = Own(model.inputs, model.members, None, model.lower, model.upper)
    assert not compile_network(own).whole
    np.testing.assert_array_equal(compile_network(own)(x[0]), own.decision(x[:1])[0])


@pytest.mark.parametrize("preset", ["fast", "accurate"])
@pytest.mark.parametrize("memory", [False, True])
def test_estimators_predict_the_same(preset, memory):
    x, z = table(outputs=2)
    common = {"preset": preset, "networks": 2, "memory": memory, "random_state": 0}
    labels = np.array(["a", "b", "c"])[(z[:, 0] > -0.5).astype(int) + (z[:, 0] > 0.5)]
    for y in (labels, labels == "a", (z > 0.0).astype(int)):
        model = StridiagClassifier(**common).fit(x, y)
        compiled = model.compile()
        assert compiled.scores.whole == COMPILES
        np.testing.assert_array_equal([compiled(row) for row in x[:25]], model.predict(x[:25]))
        np.testing.assert_array_equal(compiled(x), model.predict(x))
    for y in (z, z[:, 0]):
        model = StridiagRegressor(**common).fit(x, y)
        compiled = pickle.loads(pickle.dumps(model.compile()))
        np.testing.assert_allclose([compiled(row) for row in x[:25]], model.predict(x[:25]), rtol=1e-10, atol=1e-10)
