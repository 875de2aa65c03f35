"""Presets and descriptions, several labels, intervals, features, files, callables, plans."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import stridiag.sklearn as wing
from stridiag.errors import FileFormatError
from stridiag.nn import MODES, Network
from stridiag.nn.ensemble import Ensemble
from stridiag.nn.storage import save as save_anything
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, StridiagTransformer

SMALL = {"units": 32, "layers": 3, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:700]
    return x[order], y[order]


@pytest.fixture(scope="module")
def friedman():
    return make_friedman1(600, noise=1.0, random_state=0)


# ---------------------------------------------------------------- recipes and descriptions


def test_what_makes_a_recipe_and_what_a_network(friedman):
    x, y = friedman
    assert isinstance(StridiagRegressor(networks=1).fit(x, y).model_, Ensemble)
    assert isinstance(StridiagRegressor(**SMALL).fit(x, y).model_, Network)
    with pytest.raises(AttributeError, match="single network"):
        StridiagRegressor(networks=1).fit(x, y).network_  # noqa: B018
    for options, message in (
        ({"preset": "fast", "units": 3}, "chooses units itself"),
        ({"memory": True, "layers": 2}, "memory belongs to a recipe"),
        ({"image_shape": (2, 5), "memory": False}, "does not know memory"),
        ({"preset": "slow"}, "preset must be one of"),
        ({"preset": "balanced"}, "preset must be one of"),
        ({"image_shape": (3, 3)}, "9 pixels, got 10"),
        ({"networks": 0}, "networks must be"),
        ({"memory": "maybe"}, "memory must be"),
        ({"mixing": "none"}, "mixing must be"),
        ({"alpha": "gcv"}, "alpha must be"),
        ({"warm_start": True}, "warm_start is for"),
        ({"units": 8, "tied": True, "links": 3}, "tied"),
        ({"units": 8, "init": "orthogonal"}, "init must be one of"),
        ({"units": 8, "image_shape": (2, 5)}, "image_shape is for offsets='stencil2d'"),
        ({"offsets": "auto", "image_shape": (2, 5)}, "only with shuffle=False"),
        ({"units": 8, "link_choice": "correlation"}, "give links too"),
    ):
        with pytest.raises(ValueError, match=message):
            StridiagRegressor(**options).fit(x, y)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_plan_and_learns(mode, friedman):
    x, y = friedman
    model = StridiagRegressor(training=mode, **SMALL)
    plan = model.plan(x.shape)
    model.fit(x[:450], y[:450])
    assert model.score(x[450:], y[450:]) > 0.7
    hidden, readout, _ = model.n_parameters_
    assert (plan.hidden_parameters, plan.readout_parameters) == (hidden, readout)
    assert "operations" in str(plan)


def test_plans_of_recipes(digits):
    x, _ = digits
    tables = StridiagClassifier().plan(x.shape, 10)
    assert tables.total > StridiagClassifier(networks=1).plan(x.shape, 10).total
    image = StridiagClassifier(image_shape=(8, 8)).plan(x.shape, 10)
    model = StridiagClassifier(image_shape=(8, 8), random_state=0).fit(x, digits[1])
    assert image.readout_parameters == model.n_parameters_.readout
    large = StridiagClassifier(image_shape=(28, 28), preset="balanced").plan((60_000, 784), 10)
    assert 5_000 < large.features < 10_000
    accurate = {"image_shape": (28, 28), "preset": "accurate"}
    # Scores of classes may exceed their targets: two more passes.
    fit, other = (kind(**accurate).plan((60_000, 784), 10) for kind in (StridiagClassifier, StridiagRegressor))
    assert 2 * fit.hidden.layers < fit.hidden.targets < 2.1 * fit.hidden.layers + fit.hidden.statistics / 10
    assert other.hidden.targets == 0
    with pytest.raises(ValueError, match="columns"):
        StridiagClassifier(image_shape=(28, 28)).plan((60_000, 64), 10)


def test_warm_start_keeps_structure(friedman):
    x, y = friedman
    model = StridiagRegressor(**SMALL).fit(x, y)
    before = model.network_.layers[0].weight.structure
    model.set_params(warm_start=True, training="residual", random_state=7).fit(x, y)
    assert model.network_.hidden.lift.weight.structure == before
    cold = clone(model).set_params(warm_start=False, links=4).fit(x, y)
    assert cold.network_.hidden.lift.weight.structure != before


def test_schedules_are_chosen_on_held_out_rows(digits):
    x, y = digits
    model = StridiagClassifier(offsets="auto", shuffle=False, image_shape=(8, 8), units=128, layers=1, random_state=0)
    model.fit(x[:500], y[:500])
    fixed = [
        clone(model).set_params(offsets=name, image_shape=shape).fit(x[:500], y[:500]).predict(x[500:]).tolist()
        for name, shape in (("ternary", None), ("random", None), ("stencil2d", (8, 8)))
    ]
    assert model.predict(x[500:]).tolist() in fixed


def test_images(digits):
    x, y = digits
    model = StridiagClassifier(image_shape=(8, 8), random_state=0).fit(x[:500], y[:500])
    assert model.score(x[500:], y[500:]) > 0.95
    np.testing.assert_allclose(model.predict_proba(x[500:]).sum(axis=1), 1.0)


# ---------------------------------------------------------------- labels


def test_several_labels(friedman):
    x, _ = friedman
    y = (x[:, :3] > 0.5).astype(int)
    for options in (SMALL, {"networks": 1, "random_state": 0}):
        model = StridiagClassifier(**options).fit(x[:450], y[:450])
        assert model.predict(x).shape == (600, 3)
        assert (model.predict(x[450:]) == y[450:]).mean() > 0.9
        proba = model.predict_proba(x[450:])
        np.testing.assert_array_equal(proba > 0.5, model.predict(x[450:]) == 1)
        assert 0.0 <= proba.min() <= proba.max() <= 1.0
    with pytest.raises(ValueError, match="MultiOutputClassifier"):
        StridiagClassifier(**SMALL).fit(x, np.digitize(x[:, :2], [0.3, 0.6]))


def test_weights_of_classes(digits):
    x, y = digits
    rare = y == 8
    keep = ~rare | (np.cumsum(rare) <= 8)
    plain = StridiagClassifier(units=24, layers=1, random_state=0).fit(x[keep], y[keep])
    balanced = clone(plain).set_params(class_weight="balanced").fit(x[keep], y[keep])
    assert (balanced.predict(x[rare]) == 8).mean() > (plain.predict(x[rare]) == 8).mean()
    named = clone(plain).set_params(class_weight={8: 3.0}).fit(x[keep], y[keep])
    weights = np.where(y[keep] == 8, 3.0, 1.0)
    np.testing.assert_array_equal(named.predict(x), clone(plain).fit(x[keep], y[keep], weights).predict(x))


# ---------------------------------------------------------------- intervals


def test_intervals_hold_what_they_promise():
    """Over many draws the share of held truths is at least 0.8, less four standard errors, and not much more."""
    shares = []
    for seed in range(40):
        x, y = make_friedman1(400, noise=2.0, random_state=seed)
        model = StridiagRegressor(units=40, layers=1, random_state=seed).fit(x[:150], y[:150])
        lower, upper = model.conformalize(x[150:250], y[150:250]).predict_interval(x[250:], 0.8)
        shares.append(((lower <= y[250:]) & (y[250:] <= upper)).mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert 0.8 - 4 * error < np.mean(shares) < 0.81 + 4 * error


@pytest.mark.parametrize("options", [SMALL, {"networks": 1, "random_state": 0}])
def test_approximate_intervals_and_errors(options, friedman):
    x, y = friedman
    model = StridiagRegressor(**options).fit(x[:400], np.column_stack((y, -y))[:400])
    with pytest.raises(ValueError, match="call conformalize"):
        model.predict_interval(x)
    lower, upper = model.predict_interval(x[400:], method="approximate")
    inside = (lower[:, 0] <= y[400:]) & (y[400:] <= upper[:, 0])
    assert lower.shape == (200, 2)
    assert 0.7 < inside.mean() < 1.0
    with pytest.raises(ValueError, match="level must be"):
        model.predict_interval(x, 1.5, method="approximate")
    with pytest.raises(ValueError, match="method must be one of"):
        model.predict_interval(x, method="bootstrap")
    model.conformalize(x[400:404], np.column_stack((y, -y))[400:404])
    assert np.isinf(model.predict_interval(x, 0.9)[1]).all()


# ---------------------------------------------------------------- features


@pytest.mark.parametrize("mode", MODES)
def test_features_for_others(mode, friedman):
    x, y = friedman
    features = StridiagTransformer(training=mode, **SMALL)
    model = make_pipeline(features, Ridge(1.0)).fit(x[:450], y[:450])
    assert model.score(x[450:], y[450:]) > 0.6
    names = features.get_feature_names_out()
    assert names.shape == (features.transform(x).shape[1],)
    if mode not in ("random", "autoencoder"):
        with pytest.raises(ValueError, match="needs targets y"):
            clone(features).fit(x)


def test_features_of_frames_and_of_labels(friedman):
    x, y = friedman
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(10)])
    features = StridiagTransformer(**SMALL).set_output(transform="pandas")
    out = features.fit_transform(frame)
    assert out.shape == (600, 10 + 3 * 32)
    assert list(features.feature_names_in_) == list(frame.columns)
    assert features.fit_transform(frame, np.where(y > 10, "a", "b")).shape == out.shape
    by_labels = StridiagTransformer(training="projection", **SMALL).fit(x, np.where(y > 10, "a", "b"))
    assert by_labels.transform(x).shape == out.shape
    with pytest.raises(ValueError, match="image_shape is for offsets='stencil2d'"):
        StridiagTransformer(image_shape=(2, 5)).fit(x)
    with pytest.raises(ValueError, match="say which"):
        StridiagTransformer(offsets="auto").fit(x)


def test_metadata_goes_through_pipelines(friedman):
    import sklearn

    x, y = friedman
    weights = np.r_[np.ones(300), np.zeros(300)]
    with sklearn.config_context(enable_metadata_routing=True):
        features = StridiagTransformer(**SMALL).set_fit_request(sample_weight=True)
        last = StridiagRegressor(**SMALL).set_fit_request(sample_weight=True)
        routed = make_pipeline(features, last).fit(x, y, sample_weight=weights).predict(x)
    alone = make_pipeline(StridiagTransformer(**SMALL), StridiagRegressor(**SMALL)).fit(x[:300], y[:300]).predict(x)
    np.testing.assert_allclose(routed, alone, atol=1e-6)


# ---------------------------------------------------------------- files and callables


@pytest.mark.parametrize(
    "model",
    [
        StridiagClassifier(**SMALL, class_weight={0: 2.0}),
        StridiagClassifier(networks=2, memory=True, random_state=0),
        StridiagClassifier(image_shape=(8, 8), random_state=0),
        *(StridiagClassifier(training=mode, **SMALL) for mode in MODES if mode != "random"),
    ],
)
def test_files_hold_everything(model, digits, tmp_path):
    x, y = digits
    model = clone(model).fit(x, y)
    model.save(tmp_path / "model")
    again = wing.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(clone(again).fit(x, y).predict(x), model.predict(x))


def test_streams_and_transformers_in_files(friedman, tmp_path):
    x, y = friedman
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(10)])
    model = StridiagRegressor(**SMALL, callback=print).partial_fit(frame[:300], y[:300])
    model.conformalize(frame[300:400], y[300:400])
    model.save(tmp_path / "model")
    again = wing.load(tmp_path / "model")
    assert again.callback is None
    assert list(again.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(again.predict_interval(frame), model.predict_interval(frame))
    model.partial_fit(frame[300:], y[300:])
    again.partial_fit(frame[300:], y[300:])
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    features = StridiagTransformer(**SMALL).fit(x)
    features.save(tmp_path / "features")
    np.testing.assert_array_equal(wing.load(tmp_path / "features").transform(x), features.transform(x))


def test_files_that_are_none_of_ours(friedman, tmp_path):
    x, y = friedman
    path = tmp_path / "model"
    with pytest.raises(FileNotFoundError):
        wing.load(path)
    path.write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(FileFormatError):
        wing.load(path)
    model = StridiagRegressor(**SMALL).fit(x, y)
    save_anything(model.network_, path)
    with pytest.raises(FileFormatError, match="not an estimator"):
        wing.load(path)
    model.predict_ = np.ones(3)
    model.save(path)
    with pytest.raises(FileFormatError, match="predict_"):
        wing.load(path)
    with pytest.raises(ValueError, match="not fitted"):
        StridiagRegressor().save(path)


@pytest.mark.parametrize("options", [SMALL, {"networks": 1, "random_state": 0}])
def test_compiled_callables_say_what_predict_says(options, digits, friedman):
    x, y = digits
    names = np.array([f"n{k}" for k in range(10)])[y]
    for labels in (names, names == "n3", np.column_stack((y > 4, y % 2)).astype(int)):
        model = StridiagClassifier(**options).fit(x, labels)
        compiled = model.compile()
        np.testing.assert_array_equal(compiled(x[:50]), model.predict(x[:50]))
        for i in range(5):
            np.testing.assert_array_equal(compiled(x[i]), model.predict(x[i : i + 1])[0])
    x, y = friedman
    for targets in (y, np.column_stack((y, y * y))):
        model = StridiagRegressor(**options).fit(x, targets)
        compiled = model.compile()
        np.testing.assert_allclose(compiled(x[:50]), model.predict(x[:50]), rtol=1e-9)
        np.testing.assert_allclose(compiled(x[7]), model.predict(x[7:8])[0], rtol=1e-9)


def test_numpy_alone_evaluates_an_export(digits, tmp_path):
    x, y = digits
    model = StridiagClassifier(**SMALL).fit(x, y)
    source = model.export(tmp_path / "net.npz")
    (tmp_path / "alone.py").write_text(source)
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np; sys.modules['stridiag'] = None; import alone;"
        "np.save('scores.npy', alone.decision(alone.load('net.npz'), np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": "."})
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), model.decision_function(x), atol=1e-10)
    with pytest.raises(AttributeError, match="single network"):
        StridiagClassifier(networks=1).fit(x, y).export(tmp_path / "no.npz")


# ---------------------------------------------------------------- data as they are


def test_wide_tables_and_constant_ones():
    x, y = load_diabetes(return_X_y=True)
    wide = np.tile(x[:40], (1, 9)) + np.random.default_rng(0).standard_normal((40, 90))
    assert np.isfinite(StridiagRegressor(random_state=0).fit(wide, y[:40]).predict(wide)).all()
    flat = StridiagRegressor(random_state=0).fit(np.ones((50, 3)), y[:50])
    np.testing.assert_allclose(flat.predict(np.ones((2, 3))), y[:50].mean())
    same = StridiagRegressor(random_state=0).fit(x, np.full(len(x), 3.0))
    np.testing.assert_allclose(same.predict(x), 3.0)
    huge = StridiagRegressor(random_state=0, networks=1).fit(x * 1e200, y * 1e-200)
    plain = StridiagRegressor(random_state=0, networks=1).fit(x, y)
    np.testing.assert_allclose(huge.predict(x * 1e200) * 1e200, plain.predict(x), rtol=1e-4)
    two = StridiagRegressor(random_state=0).fit(x[:2], y[:2])
    assert np.isfinite(two.predict(x)).all()
