from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn import Architecture, fit_random
from stridiag.nn.capacity import CapacitySurface, capacity_surface


class Polynomial:
    """Least squares on powers up to a degree: capacity that a test can reason about."""

    def __init__(self, degree, slope):
        self.degree, self.slope = degree, slope

    def features(self, x):
        return self.slope * x[:, :1] ** np.arange(self.degree + 1)

    def decision(self, x):
        return self.features(x) @ self.coefficients


def polynomial(x, y, rng, degree, slope):
    model = Polynomial(degree, slope)
    model.coefficients = np.linalg.lstsq(model.features(x), y.reshape(len(y), -1), rcond=None)[0]
    model.seed = rng
    return model


def noisy(n=60):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x) + 0.3 * rng.standard_normal((n, 1))


def test_more_capacity_never_lowers_the_training_score_and_the_held_out_score_peaks():
    x, y = noisy()
    surface = capacity_surface(polynomial, x, y, {"degree": [0, 1, 3, 25], "slope": [1.0, 2.0]}, seeds=4)
    assert surface.train.shape == surface.held_out.shape == surface.deviation.shape == (4, 2)
    assert (np.diff(surface.train, axis=0) > 0.0).all()
    np.testing.assert_allclose(surface.train[0], 0.0, atol=1e-12)
    assert surface.best()["degree"] == 3
    assert surface.gap[3].min() > surface.gap[2].max()
    # The scale of all features changes nothing.
    np.testing.assert_allclose(surface.train[:3, 0], surface.train[:3, 1], rtol=1e-9, atol=1e-12)
    assert surface.names == ("degree", "slope")
    assert surface.values == ((0, 1, 3, 25), (1.0, 2.0))


def test_all_settings_of_a_seed_share_rows_and_random_numbers():
    seen = {}

    def fit(x, y, rng, a, b):
        seen.setdefault((rng, x.tobytes(), y.tobytes()), []).append((a, b))
        return polynomial(x, y, rng, 1, 1.0)

    x, y = noisy(20)
    surface = capacity_surface(fit, x, y[:, 0], {"a": "xy", "b": (0, 1, 2)}, seeds=3, rng=5)
    assert len(seen) == 3
    assert all(len(settings) == 6 for settings in seen.values())
    assert np.ptp(surface.held_out) == 0.0
    assert surface.deviation.min() > 0.0
    assert surface.best() == {"a": "x", "b": 0}
    one = capacity_surface(fit, x, y, {"a": "x", "b": (0,)}, seeds=1)
    assert one.deviation == 0.0


def test_estimators_are_copied_set_and_scored_by_themselves():
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(1)
    x = rng.standard_normal((120, 3))
    y = np.array(["no", "yes"])[(x[:, 0] * x[:, 1] > 0).astype(int)]
    tree = DecisionTreeClassifier(max_depth=7)
    knobs = {"max_depth": [1, 6], "min_samples_leaf": [1, 20]}
    surface = capacity_surface(tree, x, y, knobs, seeds=2)
    assert tree.get_params()["max_depth"] == 7
    assert not hasattr(tree, "tree_")
    assert surface.train[1, 0] > surface.train[0, 1]
    np.testing.assert_array_equal(capacity_surface(tree, x, y, knobs, seeds=2).held_out, surface.held_out)
    own = capacity_surface(
        LogisticRegression(), x, y, {"C": [1.0], "max_iter": [50]}, score=lambda m, x, y: float(len(x)), fraction=0.1
    )
    assert (own.train.item(), own.held_out.item()) == (108.0, 12.0)


def test_networks_of_ours():
    x, y = noisy()

    def fit(x, y, rng, diagonals, links):
        return fit_random(x, y, Architecture(units=16, layers=1, diagonals=diagonals, links=links), rng=rng)

    surface = capacity_surface(fit, x, y, {"diagonals": [1, 2], "links": [0, 8]}, seeds=2)
    assert (surface.held_out > 0.7).all()


def test_plot():
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    scores = np.array([[0.5, 0.75, 0.25]])
    surface = CapacitySurface(("links", "units"), ((3,), (1, 2, 4)), scores + 0.125, scores, 0 * scores, 2)
    ax = surface.plot()
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["0.500\n(0.625)", "0.750\n(0.875)", "0.250\n(0.375)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("units", "links")
    ax.figure.canvas.draw()
    given = plt.figure().add_subplot()
    assert surface.plot(given) is given
    plt.close("all")


def test_refusals():
    x, y = noisy(10)
    for knobs in ({"degree": [1]}, {"degree": [1], "slope": []}, {"a": [1], "b": [1], "c": [1]}):
        with pytest.raises(ValueError, match="knobs must be two names"):
            capacity_surface(polynomial, x, y, knobs)
    knobs = {"degree": [1], "slope": [1.0]}
    for seeds in (0, 1.5):
        with pytest.raises(ValueError, match="seeds must be an integer"):
            capacity_surface(polynomial, x, y, knobs, seeds=seeds)
    for fraction in (0.0, 1.0, "half"):
        with pytest.raises(ValueError, match="fraction must be between 0 and 1"):
            capacity_surface(polynomial, x, y, knobs, fraction=fraction)
    with pytest.raises(TypeError, match="fit must be a function or an estimator, got str"):
        capacity_surface("random", x, y, knobs)
    with pytest.raises(ValueError, match="X and y must be"):
        capacity_surface(polynomial, x, y[:3], knobs)
    with pytest.raises(TypeError, match="neither score nor decision"):
        capacity_surface(lambda x, y, rng, degree, slope: 3.0, x, y, knobs)
