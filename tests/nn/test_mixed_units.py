from __future__ import annotations

import numpy as np
import pytest

from stridiag.nn.mixed_units import draw_units
from stridiag.nn.relevance import Relevance


def draw(mixing, d=7, sparse=30, mixed=25, seed=0, relevance=None):
    rng = np.random.default_rng(seed)
    anchors = rng.standard_normal((sparse + mixed, d))
    relevance = Relevance.none(d) if relevance is None else relevance
    return draw_units(anchors, sparse, mixed, mixing, relevance.scale, relevance.factor, rng), anchors


def dense_units(hidden):
    """Return each unit's weights on T, bias and activation."""
    for layers, premix in ((hidden.sparse, None), (hidden.mixed, hidden.premix)):
        for layer in layers:
            w = np.zeros((layer.units, hidden.inputs))
            rows, columns = layer.weight.structure.coordinates()
            np.add.at(w, (rows, layer.source[columns]), layer.weight.values)
            yield (w if premix is None else w @ premix), layer.bias, layer.activation


@pytest.mark.parametrize("mixing", ["dense", "structured"])
@pytest.mark.parametrize(("d", "sparse", "mixed"), [(7, 30, 25), (1, 5, 4), (40, 30, 25), (6, 0, 9), (6, 9, 0)])
def test_features_are_their_formula(mixing, d, sparse, mixed):
    hidden, _ = draw(mixing, d, sparse, mixed)
    t = np.random.default_rng(1).standard_normal((20, d))
    parts = [t]
    for w, b, name in dense_units(hidden):
        u = t @ w.T + b
        parts.append(np.maximum(u, 0) if name == "relu" else np.tanh(u))
    features = hidden.features(t)
    assert features.shape == (20, hidden.columns)
    assert hidden.columns == d + sparse + mixed
    np.testing.assert_allclose(features, np.hstack(parts), atol=1e-12)


@pytest.mark.parametrize("mixing", ["dense", "structured"])
def test_each_unit_bends_at_its_anchor(mixing):
    hidden, anchors = draw(mixing)
    start = 0
    for w, b, _ in dense_units(hidden):
        own = anchors[start : start + b.size]
        np.testing.assert_allclose(np.einsum("ij,ij->i", own, w) + b, 0.0, atol=1e-12)
        start += b.size


def test_parameters_are_counted():
    dense, _ = draw("dense")
    plain, _ = draw("structured")
    assert plain.premix is None
    for hidden in (dense, plain):
        layers = sum(np.count_nonzero(layer.weight.values) + layer.units for layer in hidden.sparse + hidden.mixed)
        assert hidden.parameter_count == layers + (49 if hidden is dense else 0)


def test_gradients_are_those_of_finite_differences():
    for mixing in ("dense", "structured"):
        hidden, _ = draw(mixing)
        rng = np.random.default_rng(3)
        t, c = rng.standard_normal((15, 7)), rng.standard_normal(hidden.columns)
        step = 1e-6
        expected = np.stack(
            [(hidden.features(t + step * e) @ c - hidden.features(t - step * e) @ c) / (2 * step) for e in np.eye(7)],
            axis=1,
        )
        np.testing.assert_allclose(hidden.gradients(t, c), expected, rtol=1e-6, atol=1e-6)


def test_structured_weights_are_marginals_of_dense_ones():
    """With as many diagonals as inputs they are N(0, A / d) themselves, up to the gains, which leave correlations."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    relevance = Relevance.from_product(root @ root.T)
    hidden, _ = draw("structured", 4, 0, 8000, relevance=relevance)
    (w, _, _), *_ = dense_units(hidden)
    # Entry by entry: signs of a normal pair of correlation c agree with probability 1/2 + arcsin(c) / pi.
    a = relevance.factor @ relevance.factor
    c = a / np.sqrt(np.outer(np.diag(a), np.diag(a)))
    agree = (np.sign(w)[:, :, None] == np.sign(w)[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(agree, 0.5 + np.arcsin(np.clip(c, -1, 1)) / np.pi, atol=0.03)


def test_seeds_decide_everything():
    t = np.random.default_rng(1).standard_normal((5, 7))
    first, same, other = (draw("dense", seed=s)[0].features(t) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("mixing", ["dense", "structured"])
def test_single_precision_is_the_same_up_to_rounding(mixing):
    rng = np.random.default_rng(0)
    none = Relevance.none(5)
    units = draw_units(rng.standard_normal((30, 5)), 15, 15, mixing, none.scale, none.factor, rng)
    rows = rng.standard_normal((40, 5))
    single = units.single().features(rows.astype(np.float32))
    assert single.dtype == np.float32
    assert units.features(rows).dtype == units.single().features(rows).dtype == np.float64
    np.testing.assert_allclose(single, units.features(rows), atol=1e-4)
