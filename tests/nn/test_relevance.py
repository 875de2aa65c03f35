from __future__ import annotations

import numpy as np

from stridiag.nn.mixed_units import draw_units
from stridiag.nn.relevance import WIDE, Relevance, gradient_product


def test_relevance_is_normalised_and_floored():
    a = np.diag([4.0, 1.0, 0.0, 1e-30])
    r = Relevance.from_product(a)
    np.testing.assert_allclose(r.scale / r.scale[0], [1.0, 0.5, 0.02, 0.02])
    np.testing.assert_allclose([r.scale @ r.scale, (r.factor**2).sum()], 4.0)
    np.testing.assert_allclose(r.metric @ r.metric, r.factor, atol=1e-12)


def test_factor_is_the_square_root():
    b = np.random.default_rng(0).standard_normal((5, 5))
    r = Relevance.from_product(b @ b.T)
    np.testing.assert_allclose(r.factor, r.factor.T, atol=1e-12)
    square = r.factor @ r.factor
    np.testing.assert_allclose(square / np.trace(square), b @ b.T / np.trace(b @ b.T), atol=1e-3)


def test_scale_of_the_product_does_not_matter():
    b = np.random.default_rng(0).standard_normal((5, 5))
    for factor in (1e-200, 1e200):
        np.testing.assert_allclose(
            Relevance.from_product(factor * (b @ b.T)).factor, Relevance.from_product(b @ b.T).factor, atol=1e-9
        )


def test_nothing_known_is_no_relevance():
    for product in (np.zeros((3, 3)), np.full((3, 3), np.nan), np.full((3, 3), np.inf)):
        r = Relevance.from_product(product)
        np.testing.assert_array_equal(r.scale, np.ones(3))
        np.testing.assert_array_equal(r.factor, np.eye(3))


def test_sharp_relevance_forgets_directions_in_which_rows_do_not_vary():
    """Columns 0 and 1 are copies: a steep gradient between them says nothing."""
    x = np.random.default_rng(0).standard_normal((500, 3))
    x[:, 1] = x[:, 0]
    spread = np.cov(x.T)
    g = np.array([5.0, -5.0, 1.0])
    blunt, sharp = Relevance.from_product(np.outer(g, g)), Relevance.from_product(np.outer(g, g), spread)
    assert blunt.scale[0] == blunt.scale[1] > 4 * blunt.scale[2]
    np.testing.assert_allclose(sharp.scale / sharp.scale[2], [0.002, 0.002, 1.0])
    np.testing.assert_allclose(np.trace(sharp.factor @ spread @ sharp.factor), np.trace(spread))


def test_sharp_relevance_of_rows_that_do_not_vary_is_none():
    r = Relevance.from_product(np.eye(3), np.zeros((3, 3)))
    np.testing.assert_array_equal(r.scale, np.ones(3))
    np.testing.assert_array_equal(r.factor, np.eye(3))


def test_product_is_the_mean_of_outer_products_of_gradients():
    rng = np.random.default_rng(0)
    none = Relevance.none(4)
    hidden = draw_units(rng.standard_normal((20, 4)), 10, 10, "dense", none.scale, none.factor, rng)
    t, c, d = rng.standard_normal((9, 4)), rng.standard_normal((hidden.columns, 3)), rng.uniform(0.5, 2, 9)
    expected = np.zeros((4, 4))
    for j in range(3):
        for i in range(9):
            g = hidden.gradients(t[i : i + 1], c[:, j])[0]
            expected += d[i] / d.sum() * np.outer(g, g)
    np.testing.assert_allclose(gradient_product(hidden, c, t, d), expected, atol=1e-12)


def test_many_outputs_are_combined_without_losing_scale():
    """Random combinations, each at its share of the rows: exact where outputs are multiples and shares the same."""
    rng = np.random.default_rng(0)
    none = Relevance.none(4)
    hidden = draw_units(rng.standard_normal((20, 4)), 10, 10, "dense", none.scale, none.factor, rng)
    t, c = np.repeat(rng.standard_normal((9, 4)), 4, axis=0), rng.standard_normal(hidden.columns)
    many = gradient_product(hidden, np.outer(c, np.ones(6)), t, np.ones(36))
    one = gradient_product(hidden, c[:, None], t, np.ones(36))
    np.testing.assert_allclose(many / np.trace(many), one / np.trace(one), atol=1e-12)


def test_of_many_columns_the_diagonal_serves():
    d = WIDE + 1
    product = np.random.default_rng(0).random(d)
    found = Relevance.from_product(product)
    assert found.factor is found.scale
    np.testing.assert_allclose(found.scale @ found.scale, d)
    np.testing.assert_allclose(found.metric**2, found.factor)
    # As from the whole matrix with nothing beside its diagonal.
    whole = Relevance.from_product(np.diag(product))
    np.testing.assert_allclose(found.scale, whole.scale)
    np.testing.assert_allclose(np.diag(found.factor), whole.factor, atol=1e-12)


def test_the_product_of_many_columns_is_its_diagonal(monkeypatch):
    rng = np.random.default_rng(0)
    rows, relevance = rng.standard_normal((50, 6)), Relevance.none(6)
    hidden = draw_units(rows[:10], 5, 5, "structured", relevance.scale, relevance.factor, rng)
    coefficients = rng.standard_normal((hidden.columns, 2))
    whole = gradient_product(hidden, coefficients, rows, np.ones(50))
    monkeypatch.setattr("stridiag.nn.relevance.WIDE", 5)
    np.testing.assert_allclose(gradient_product(hidden, coefficients, rows, np.ones(50)), np.diagonal(whole))
