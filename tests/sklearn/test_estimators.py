from __future__ import annotations

import pickle
from io import BytesIO

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.linear_model import RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from stridiag.nn import Progress
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, StridiagTransformer

ESTIMATORS = [StridiagClassifier, StridiagRegressor]


def expected_to_fail(estimator):
    if isinstance(estimator, StridiagClassifier) and estimator.units == 512:
        return {"check_class_weight_classifiers": "1536 units interpolate 75 rows, of whatever weight"}
    return {}


# What scikit-learn skips here it skips for want of SCIPY_ARRAY_API, not for any tag of ours.
@parametrize_with_checks(
    [
        StridiagClassifier(),
        StridiagRegressor(),
        StridiagClassifier(units=512),
        StridiagRegressor(units=512),
        StridiagTransformer(units=40, layers=2),
        StridiagClassifier(units=24, layers=2, training="targets", links=5),
        StridiagRegressor(units=24, layers=2, training="targets", offsets=(0, 2, -3)),
    ],
    expected_failed_checks=expected_to_fail,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 5))
    return x, np.where(x[:, 0] * x[:, 1] > 0, "yes", "no")


def small(estimator, **options):
    return estimator(units=32, layers=2, random_state=0, **options)


# ---------------------------------------------------------------- accuracy, with a margin for other BLAS libraries


@pytest.mark.parametrize(("training", "least"), [("random", 0.980), ("targets", 0.978)])
def test_digits(digits, training, least):
    x, y = digits
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_score(StridiagClassifier(training=training, random_state=0), x, y, cv=folds)
    assert scores.mean() >= least


def test_friedman():
    x, y = make_friedman1(2000, noise=1.0, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    assert cross_val_score(StridiagRegressor(random_state=0), x, y, cv=folds).mean() >= 0.935


def test_diabetes_is_not_worse_than_ridge():
    x, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    ours = cross_val_score(StridiagRegressor(random_state=0), x, y, cv=folds)
    ridge = cross_val_score(make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))), x, y, cv=folds)
    assert ours.mean() >= ridge.mean() - 0.02


# ---------------------------------------------------------------- probabilities


def test_probabilities_sum_to_one_agree_with_predict_and_beat_raw_scores(digits):
    x, y = digits
    model = small(StridiagClassifier).fit(x[:1000], y[:1000])
    proba = model.predict_proba(x[1000:])
    assert proba.shape == (797, 10)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert (proba >= 0).all()
    np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], model.predict(x[1000:]))
    np.testing.assert_array_equal(model.decision_function(x[1000:]).argmax(axis=1), proba.argmax(axis=1))
    fitted = log_loss(y[1000:], proba)
    # What the fit expects of new rows, from its own rows left out, is about what comes.
    told = model.calibration_
    brier = ((proba - np.eye(10)[y[1000:]]) ** 2).sum(axis=1).mean()
    assert told.temperature == model.temperature_
    assert 0.4 < told.log_loss / fitted < 1.2
    assert 0.4 < told.brier_score / brier < 1.2
    model.temperature_ = 1.0
    assert fitted < 0.7 * log_loss(y[1000:], model.predict_proba(x[1000:]))


def test_two_classes_share_one_score(table):
    x, y = table
    model = small(StridiagClassifier).fit(x, y)
    scores = model.decision_function(x)
    assert scores.shape == (150,)
    np.testing.assert_array_equal(model.predict(x), np.where(scores > 0, "yes", "no"))
    np.testing.assert_allclose(
        model.predict_proba(x)[:, 1], 1 / (1 + np.exp(-2 * scores / model.temperature_)), rtol=1e-9
    )
    assert list(model.classes_) == ["no", "yes"]


# ---------------------------------------------------------------- forms of input and of life


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_seed_pickle_joblib_clone(estimator, table):
    x = table[0]
    y = table[1] if estimator is StridiagClassifier else x[:, 0] * x[:, 1]
    model = small(estimator, links=7).fit(x, y)
    expected = model.predict(x)
    np.testing.assert_array_equal(clone(model).fit(x, y).predict(x), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), expected)
    stream = BytesIO()
    joblib.dump(model, stream)
    stream.seek(0)
    np.testing.assert_array_equal(joblib.load(stream).predict(x), expected)
    again = clone(model).set_params(random_state=np.random.RandomState(3)).fit(x, y)
    assert not np.array_equal(again.network_.layers[0].bias, model.network_.layers[0].bias)


def test_random_state_may_be_a_generator(table):
    models = [
        small(StridiagClassifier).set_params(random_state=np.random.default_rng(s)).fit(*table) for s in (1, 1, 2)
    ]
    biases = [model.network_.layers[0].bias for model in models]
    np.testing.assert_array_equal(biases[0], biases[1])
    assert not np.array_equal(biases[0], biases[2])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_failed_refit_keeps_the_width_too(estimator, table):
    x = table[0]
    y = x[:, 0] > 0
    model = small(estimator).fit(x, y)
    before = model.predict(x)
    with pytest.raises(ValueError, match="alpha must be"):
        model.set_params(alpha="cv").fit(x[:, :3], np.arange(150) % 3)
    assert model.n_features_in_ == 5
    np.testing.assert_array_equal(model.predict(x), before)


@pytest.mark.parametrize("alpha", ["loo", "gcv", 0.01])
def test_ways_to_choose_the_penalty(alpha, table):
    model = small(StridiagClassifier, alpha=alpha).fit(*table)
    assert model.network_.readout.criterion == ("gcv" if alpha == "gcv" else "loo")
    assert log_loss(table[1], model.predict_proba(table[0])) < np.log(2)


def test_outputs_keep_their_form_and_their_own_penalty(table):
    x = table[0]
    y = np.column_stack((x[:, 0] * x[:, 1], np.random.default_rng(1).standard_normal(150), np.full(150, 4.0)))
    model = small(StridiagRegressor).fit(x, y)
    assert model.predict(x).shape == (150, 3)
    np.testing.assert_allclose(model.predict(x)[:, 2], 4.0, rtol=1e-12)
    alpha = model.network_.readout.alpha
    assert alpha[1] > alpha[0]
    single = small(StridiagRegressor).fit(x, y[:, 0])
    np.testing.assert_allclose(single.predict(x), model.predict(x)[:, 0], rtol=0, atol=1e-10)
    assert small(StridiagRegressor).fit(x, y[:, :1]).predict(x).shape == (150, 1)


def test_parameters_are_counted(digits):
    x, y = digits
    model = StridiagClassifier(units=100, layers=2, diagonals=3, links=10, random_state=0).fit(x[:300], y[:300])
    # Three wrapped diagonals of 100 entries, 10 links and 100 biases in each layer; 10 outputs read 64 + 200.
    assert model.n_parameters_ == (2 * 410, 265 * 10, 2 * 410 + 2650)
    assert model.n_features_in_ == 64


def test_progress_hook_and_verbose(table, capsys):
    x, y = table
    seen: list[Progress] = []
    small(StridiagClassifier, callback=seen.append).fit(x, y)
    assert [(p.stage, p.step, p.steps) for p in seen] == [("layer", 1, 3), ("layer", 2, 3), ("readout", 3, 3)]
    assert capsys.readouterr().out == ""
    small(StridiagClassifier, verbose=1).fit(x, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("[StridiagClassifier] 1 of 3: layer, ")


def test_searches_and_pipelines(table):
    x, y = table
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small(StridiagClassifier)),
        {"stridiagclassifier__offsets": ["adjacent", (0, 1)], "stridiagclassifier__activation": ["tanh", "relu"]},
        cv=2,
    )
    assert search.fit(x, y).best_score_ > 0.5


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training": "backprop"}, "training must be one of 'random', 'residual'"),
        ({"activation": "sine"}, "activation must be one of"),
        ({"activation": "relu", "training": "targets"}, "invertible activation"),
        ({"scaling": "log"}, "scaling must be one of"),
        ({"scaling": np.array(["standard"])}, "scaling must be one of"),
        ({"training": np.array(["random"])}, "training must be one of"),
        ({"offsets": b"ternary"}, "offsets must be one of"),
        ({"offsets": "spiral"}, "offsets must be one of"),
        ({"offsets": (0, 1), "diagonals": 3}, "leave it out"),
        ({"offsets": ((0, 1),)}, "one sequence for each of 2 layers"),
        ({"diagonals": 0}, "diagonals must be"),
        ({"links": -1}, "links must be"),
        ({"links": 10**6}, "links must lie in"),
        ({"alpha": "cv"}, "alpha must be"),
        ({"alpha": -1.0}, "alpha must be"),
        ({"shuffle": 2}, "shuffle must be"),
        ({"verbose": -1}, "verbose must be"),
        ({"callback": 3}, "callback must be callable"),
    ],
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_unknown_options_are_errors(estimator, options, message, table):
    x = table[0]
    model = small(estimator).set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(x, x[:, 0] > 0 if estimator is StridiagClassifier else x[:, 0])


@pytest.mark.parametrize("value", [0, -3, 1.5, "many"])
@pytest.mark.parametrize("name", ["units", "layers"])
def test_sizes_must_be_counts(name, value, table):
    with pytest.raises(ValueError, match=f"{name} must be an integer"):
        StridiagClassifier(**{name: value}).fit(*table)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 75, -1])
def test_non_finite_numbers_are_refused(estimator, value, place, table):
    x, y = table[0].copy(), (table[0][:, 0] > 0).astype(float)
    x[place, 3] = value
    with pytest.raises(ValueError, match="Input X contains"):
        small(estimator).fit(x, y)
    with pytest.raises(ValueError, match="Input X contains"):
        small(estimator).fit(table[0], y).predict(x)
    y[place] = value
    with pytest.raises(ValueError, match="Input y contains"):
        small(estimator).fit(table[0], y)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_rows_and_weights_that_cannot_be(estimator, table):
    x, y = table[0], (table[0][:, 0] > 0).astype(float)
    with pytest.raises(ValueError, match="0 sample"):
        small(estimator).fit(x[:0], y[:0])
    with pytest.raises(ValueError, match="1 sample"):
        small(estimator).fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="0 sample"):
        small(estimator).fit(x, y).predict(x[:0])
    with pytest.raises(ValueError, match="expecting 5 features"):
        small(estimator).fit(x, y).predict(x[:, :3])
    for weights, message in (
        (np.ones(3), "sample_weight must have shape"),
        (-np.ones(150), "sample_weight must be nonnegative"),
        (np.zeros(150), "must not be zero for all rows"),
        (np.full(150, np.nan), "sample_weight must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            small(estimator).fit(x, y, sample_weight=weights)


def test_one_class_is_refused(table):
    x, y = table
    with pytest.raises(ValueError, match="at least two classes, got 1 class"):
        small(StridiagClassifier).fit(x, np.full(150, "yes"))
    with pytest.raises(ValueError, match="at least two classes, got 1 class"):
        small(StridiagClassifier).fit(x, y, sample_weight=(y == "yes").astype(float))
    with pytest.raises(ValueError, match="Unknown label type"):
        small(StridiagClassifier).fit(x, x[:, 0])


@pytest.mark.parametrize("training", ["random", "targets"])
def test_constant_columns_few_rows_and_huge_scales(training, table):
    x, y = table
    model = small(StridiagClassifier, training=training)
    plain = model.fit(x, y).predict_proba(x)
    np.testing.assert_allclose(clone(model).fit(x * 1e150, y).predict_proba(x * 1e150), plain, atol=1e-6)
    constant = np.column_stack((x, np.full(150, 7.0)))
    padded = clone(model).fit(constant, y)
    assert (padded.network_.readout.coefficients[5] == 0.0).all()
    constant[:, 5] = 8.0
    assert np.isfinite(padded.predict_proba(constant)).all()
    wide = np.tile(x[:8], (1, 30))
    assert np.isfinite(clone(model).fit(wide, y[:8]).predict_proba(wide)).all()
    nothing = clone(model).fit(np.ones_like(x), y).predict_proba(np.ones_like(x))
    np.testing.assert_allclose(nothing[:, 1], nothing[0, 1])
