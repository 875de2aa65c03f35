from __future__ import annotations

import numpy as np
import pytest

from stridiag import StridiagMatrix, Structure
from stridiag.errors import StructureError
from stridiag.nn import Statistics, masked_least_squares, unit_conditions, wrapped_structure


def by_hand(h, z, d, structure, alpha, source=None):
    """Ridge on the support of each row with a free intercept, as an augmented dense problem."""
    dense = np.zeros(structure.shape)
    bias = np.zeros(structure.shape[0])
    rows, columns = structure.coordinates()
    w = d.sum()
    for j in range(structure.shape[0]):
        support = columns[rows == j]
        own = h[:, support if source is None else source[support]]
        deviation = np.sqrt(d @ (own - d @ own / w) ** 2 / w)
        top = np.column_stack((own, np.ones(len(h)))) * np.sqrt(d)[:, None]
        bottom = np.column_stack((np.diag(deviation * np.sqrt(alpha * w)), np.zeros(support.size)))
        right = np.concatenate((z[:, j] * np.sqrt(d), np.zeros(support.size)))
        solution = np.linalg.lstsq(np.vstack((top, bottom)), right, rcond=None)[0]
        dense[j, support], bias[j] = solution[:-1], solution[-1]
    return dense, bias


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("shape", [(13, 7), (7, 13), (1, 5), (5, 1), (12, 12)])
def test_each_row_is_ridge_on_its_support(shape, alpha):
    rng = np.random.default_rng(3)
    links = (np.arange(3) % shape[0], np.arange(3) % shape[1])
    structure = wrapped_structure(shape, (0, 2), links)
    h = rng.standard_normal((80, shape[1])) * np.logspace(-2, 2, shape[1]) + 10
    z = rng.standard_normal((80, shape[0]))
    d = rng.random(80) + 0.5
    values, bias = masked_least_squares(Statistics.from_rows(h, z, d), structure, alpha)
    dense, constant = by_hand(h, z, d, structure, alpha)
    scale = h.std(axis=0)
    np.testing.assert_allclose(StridiagMatrix(structure, values).toarray() * scale, dense * scale, rtol=0, atol=1e-10)
    np.testing.assert_allclose(bias, constant, rtol=1e-7, atol=1e-9 * np.abs(dense).max() * 10)


def test_columns_may_read_inputs_through_a_source():
    rng = np.random.default_rng(4)
    h, z = rng.standard_normal((60, 5)), rng.standard_normal((60, 9))
    source = np.concatenate((rng.permutation(5), rng.permutation(5)))[:9]
    structure = wrapped_structure((9, 9), (0, 1))
    values, bias = masked_least_squares(Statistics.from_rows(h, z), structure, 0.1, source)
    dense, constant = by_hand(h, z, np.ones(60), structure, 0.1, source)
    np.testing.assert_allclose(StridiagMatrix(structure, values).toarray(), dense, rtol=0, atol=1e-11)
    np.testing.assert_allclose(bias, constant, rtol=0, atol=1e-11)


def test_dependent_and_constant_inputs():
    rng = np.random.default_rng(5)
    h = rng.standard_normal((50, 4))
    h[:, 1] = h[:, 0]
    h[:, 2] = 3.0
    z = rng.standard_normal((50, 4))
    structure = wrapped_structure((4, 4), (0, 1, 2))
    for alpha in (0.0, 1e-6):
        values, bias = masked_least_squares(Statistics.from_rows(h, z), structure, alpha)
        weight = StridiagMatrix(structure, values).toarray()
        assert np.isfinite(weight).all()
        assert np.isfinite(bias).all()
        assert (weight[:, 2] == 0.0).all()
        # Minimum norm shares the weight among equal columns.
        assert weight[0, 0] == pytest.approx(weight[0, 1], abs=1e-8)


def test_empty_rows_and_refusals():
    h, z = np.random.default_rng(0).standard_normal((2, 30, 3))
    structure = Structure((3, 3), (), ([0], [1]))
    values, bias = masked_least_squares(Statistics.from_rows(h, z), structure, 0.0)
    assert values.shape == (1,)
    np.testing.assert_allclose(bias[1:], z.mean(axis=0)[1:])
    statistics = Statistics.from_rows(h, z)
    with pytest.raises(StructureError, match="structure must be 3 x 3"):
        masked_least_squares(statistics, wrapped_structure((3, 4), (0,)), 0.1)
    for alpha in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha must be"):
            masked_least_squares(statistics, structure, alpha)
    for alpha in ("loo", None):
        with pytest.raises(ValueError, match="alpha must be a finite number"):
            masked_least_squares(statistics, structure, alpha)
    for source in ([0, 1, -1], [0, 1, 3]):
        with pytest.raises(StructureError, match="source must hold indices from 0 to 2"):
            masked_least_squares(statistics, structure, 0.1, source)
    with pytest.raises(StructureError, match="source must hold integers"):
        masked_least_squares(statistics, structure, 0.1, [0.0, 1.0, 2.0])
    listed, _ = masked_least_squares(statistics, structure, 0.1, [0, 1, 2])
    np.testing.assert_array_equal(listed, masked_least_squares(statistics, structure, 0.1)[0])


def test_supports_of_many_sizes_and_beyond_the_kernels_room():
    """Rows of 0, 1, 2, 5, 128, 129 and 140 entries at once, penalised and not."""
    rng = np.random.default_rng(6)
    sizes = [0, 1, 2, 5, 128, 129, 140]
    rows = np.repeat(np.arange(7), sizes)
    columns = np.concatenate([rng.permutation(150)[:k] for k in sizes])
    structure = Structure((7, 150), (), (rows, columns))
    h, z, d = rng.standard_normal((400, 150)), rng.standard_normal((400, 7)), rng.random(400) + 0.1
    for alpha in (0.0, 1e-20, 1e-2):
        values, bias = masked_least_squares(Statistics.from_rows(h, z, d), structure, alpha)
        dense, constant = by_hand(h, z, d, structure, alpha)
        np.testing.assert_allclose(StridiagMatrix(structure, values).toarray(), dense, rtol=0, atol=1e-9)
        np.testing.assert_allclose(bias, constant, rtol=0, atol=1e-9)


def test_sample_weights_are_repetitions_and_units_do_not_matter():
    rng = np.random.default_rng(7)
    h, z = rng.standard_normal((40, 6)), rng.standard_normal((40, 6))
    counts = rng.integers(0, 3, 40)
    structure = wrapped_structure((6, 6), (0, 2, 3))
    for alpha in (0.0, 0.1):
        weighted = masked_least_squares(Statistics.from_rows(h, z, counts), structure, alpha)
        repeated = masked_least_squares(
            Statistics.from_rows(h.repeat(counts, 0), z.repeat(counts, 0)), structure, alpha
        )
        other = masked_least_squares(Statistics.from_rows(h * 1e-9, z, counts * 1e6), structure, alpha)
        for a, b, c, factor in zip(weighted, repeated, other, (1e-9, 1.0), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(c * factor, a, rtol=1e-6, atol=1e-10)


def test_an_input_read_twice_shares_its_weight():
    h, z = np.random.default_rng(8).standard_normal((2, 50, 2))
    structure = wrapped_structure((2, 4), (0, 1))
    once, _ = masked_least_squares(Statistics.from_rows(h, z), wrapped_structure((2, 2), (0, 1)), 0.0)
    twice, _ = masked_least_squares(Statistics.from_rows(h, z), structure, 0.0, [0, 1, 0, 1])
    dense = StridiagMatrix(structure, twice).toarray()
    np.testing.assert_allclose(dense[:, :2], dense[:, 2:], atol=1e-12)
    once = StridiagMatrix(wrapped_structure((2, 2), (0, 1)), once).toarray()
    np.testing.assert_allclose(2 * dense[:, :2], once, atol=1e-12)


def test_conditions_are_those_of_the_correlation_matrices():
    rng = np.random.default_rng(9)
    h = rng.standard_normal((60, 5)) * [1, 10, 1e-3, 1, 1] + 7
    h[:, 4] = h[:, 3] + 1e-3 * h[:, 0]
    structure = wrapped_structure((5, 5), (0, 1))
    statistics = Statistics.from_rows(h, np.zeros((60, 5)))
    row, column = structure.coordinates()
    correlation = np.corrcoef(h.T)
    for alpha in (0.0, 0.5):
        found = unit_conditions(statistics, structure, alpha)
        for j in range(5):
            own = correlation[np.ix_(column[row == j], column[row == j])] + alpha * np.eye(2)
            assert found[j] == pytest.approx(np.linalg.cond(own), rel=1e-6)


def test_singular_systems_are_told():
    """Constant or equal columns, columns that add up, more columns than rows: infinite, but not with a penalty."""
    rng = np.random.default_rng(10)
    h = rng.standard_normal((50, 6))
    h[:, 1] = -2 * h[:, 0] + 3
    h[:, 2] = 1.0
    h[:, 5] = h[:, 3] + h[:, 4]
    supports = [(0, 1), (0, 2), (3, 4), (3, 4, 5), (4, 5), ()]
    rows = np.repeat(np.arange(6), [len(s) for s in supports])
    structure = Structure((6, 6), (), (rows, np.concatenate(supports).astype(int)))
    found = unit_conditions(Statistics.from_rows(h, h), structure)
    assert np.isinf(found).tolist() == [True, True, False, True, False, False]
    assert found[5] == 1.0
    assert (unit_conditions(Statistics.from_rows(h, h), structure, 0.01) <= 1 + 3 / 0.01 + 1e-6).all()
    # Three distinct rows have two directions: no support of three is regular, however often rows are repeated.
    few = rng.standard_normal((3, 6)).repeat(10, 0)
    few_found = unit_conditions(Statistics.from_rows(few, few), wrapped_structure((6, 6), (0, 1, 2)))
    assert np.isinf(few_found).all()
    assert np.isfinite(unit_conditions(Statistics.from_rows(few, few), wrapped_structure((6, 6), (0, 1)))).all()
    with pytest.raises(ValueError, match="alpha must be"):
        unit_conditions(Statistics.from_rows(h, h), structure, -1.0)
