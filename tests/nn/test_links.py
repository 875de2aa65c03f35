from __future__ import annotations

import numpy as np
import pytest

from stridiag import Structure
from stridiag.errors import StructureError
from stridiag.nn import Statistics, masked_least_squares, wrapped_structure
from stridiag.nn.links import choose_links


def problem(seed=0, n=60, p=7, q=4):
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((n, p)) @ rng.standard_normal((p, p)) + 3.0
    z = h @ rng.standard_normal((p, q)) * np.logspace(0, 1, q) + rng.standard_normal((n, q))
    return h, z, rng.random(n) + 0.5


def penalised(statistics, structure, values, bias, h, z, d, alpha, source=None):
    """Return each row's mean squared error plus penalty, from the rows of data."""
    rows, columns = structure.coordinates()
    read = columns if source is None else source[columns]
    weight = np.zeros((structure.shape[0], h.shape[1]))
    np.add.at(weight, (rows, read), values)
    error = d @ (z - h @ weight.T - bias) ** 2 / d.sum()
    penalty = np.bincount(rows, (values * statistics.column_scale()[read]) ** 2, structure.shape[0])
    return error + alpha * penalty


def loss_of(statistics, structure, h, z, d, alpha):
    values, bias = masked_least_squares(statistics, structure, alpha)
    return penalised(statistics, structure, values, bias, h, z, d, alpha)


def with_entry(structure, row, column):
    links = (np.append(structure.link_rows, row), np.append(structure.link_columns, column))
    return Structure(structure.shape, structure.offsets, links)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("offsets", [(), (0, 2)])
def test_path_is_the_greedy_one_and_its_losses_are_those_of_the_solves(alpha, offsets):
    h, z, d = problem()
    statistics = Statistics.from_rows(h, z, d)
    structure = wrapped_structure((4, 7), offsets) if offsets else Structure((4, 7), ())
    found = choose_links(statistics, structure, 8, alpha)
    for step in range(9):
        now = loss_of(statistics, structure, h, z, d, alpha)
        assert found.losses[step] == pytest.approx(now.sum(), rel=1e-9)
        if step == 8:
            break
        taken = {(int(i), int(j)) for i, j in zip(*structure.coordinates(), strict=True)}
        best = max(
            (now.sum() - loss_of(statistics, with_entry(structure, i, j), h, z, d, alpha).sum(), -i, -j)
            for i in range(4)
            for j in range(7)
            if (i, j) not in taken
        )
        assert (found.rows[step], found.columns[step]) == (-best[1], -best[2])
        structure = with_entry(structure, found.rows[step], found.columns[step])
    assert found.structure == structure
    end = penalised(statistics, structure, found.values, found.bias, h, z, d, alpha)
    assert end.sum() == pytest.approx(found.losses[-1], rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_budget_for_everything_is_the_full_least_squares(alpha):
    h, z, d = problem(1, 50, 6, 3)
    statistics = Statistics.from_rows(h, z, d)
    found = choose_links(statistics, wrapped_structure((3, 6), (1,)), 100, alpha)
    full = wrapped_structure((3, 6), range(3))
    values, bias = masked_least_squares(statistics, full, alpha)
    rows, columns = full.coordinates()
    dense = np.zeros((3, 6))
    dense[rows, columns] = values
    assert found.structure.nnz == 18
    np.testing.assert_allclose(found.weight.toarray(), dense, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.bias, bias, rtol=1e-8, atol=1e-8)


def test_limits_by_layer_row_and_importance():
    h, z, d = problem(2, 80, 9, 4)
    statistics = Statistics.from_rows(h, z, d)
    empty = Structure((4, 9), ())
    found = choose_links(statistics, empty, 100, per_row=2)
    np.testing.assert_array_equal(np.bincount(found.rows, minlength=4), 2)
    # What a row chooses does not depend on the other rows: only how much of the budget it gets does.
    alone = choose_links(statistics, empty, 100, importance=[0.0, 0.0, 1.0, 0.0])
    assert set(alone.rows) == {2}
    np.testing.assert_array_equal(alone.columns[:2], found.columns[found.rows == 2])
    assert (np.diff(alone.losses) < 0.0).all()
    nothing = choose_links(statistics, empty, 0)
    assert nothing.structure == empty
    assert nothing.losses.shape == (1,)
    np.testing.assert_allclose(nothing.bias, d @ z / d.sum())


def test_ties_dependent_and_constant_columns():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((40, 3))
    # Columns 0 and 1 are equal, 4 is a sum of others, 5 is constant; rows 0 and 1 have equal targets.
    h = np.column_stack((base[:, 0], base[:, 0], base[:, 1], base[:, 2], base[:, 1] + base[:, 2], np.full(40, 2.0)))
    target = base @ [3.0, 1.0, 0.5] + 0.1 * rng.standard_normal(40)
    statistics = Statistics.from_rows(h, np.column_stack((target, target)))
    found = choose_links(statistics, Structure((2, 6), ()), 100)
    assert (found.rows[0], found.columns[0]) == (0, 0)
    assert (found.rows[1], found.columns[1]) == (1, 0)
    for row in (0, 1):
        columns = found.columns[found.rows == row]
        assert columns.size == 3
        assert not {1, 5} & set(columns)
    again = choose_links(statistics, Structure((2, 6), ()), 100)
    np.testing.assert_array_equal(again.columns, found.columns)
    # A first support that is dependent and partly constant is kept, and the losses are still right.
    start = Structure((2, 6), (), ([0, 0, 0], [0, 1, 5]))
    found = choose_links(statistics, start, 1)
    d = np.ones(40)
    assert found.structure.nnz == 4
    values = penalised(statistics, found.structure, found.values, found.bias, h, np.column_stack((target,) * 2), d, 0.0)
    assert values.sum() == pytest.approx(found.losses[-1], rel=1e-9)


def test_an_exact_fit_takes_no_more_links():
    h = np.random.default_rng(4).standard_normal((60, 8))
    found = choose_links(Statistics.from_rows(h, h[:, [2]] - 2.0 * h[:, [5]]), Structure((1, 8), ()), 8)
    assert sorted(found.columns) == [2, 5]
    assert found.losses[-1] < 1e-25


def test_source_links_through_the_first_column_that_reads_an_input():
    h, z, d = problem(5, 60, 3, 4)
    source = np.array([1, 1, 2, 1])
    statistics = Statistics.from_rows(h, z, d)
    found = choose_links(statistics, wrapped_structure((4, 4), (0,)), 100, source=source)
    # Input 0 is read by nothing; each row ends with inputs 1 and 2, through columns 0 and 2 where linked.
    assert set(found.columns) == {0, 2}
    assert found.structure.nnz == 8
    own = penalised(statistics, found.structure, found.values, found.bias, h, z, d, 0.0, source)
    assert own.sum() == pytest.approx(found.losses[-1], rel=1e-9)


def test_held_out_rows_stop_the_path():
    rng = np.random.default_rng(6)
    h = rng.standard_normal((300, 40)) + 1.0
    z = h[:, :5] @ rng.standard_normal((5, 3)) + 2.0 * rng.standard_normal((300, 3))
    train, other = Statistics.from_rows(h[:60], z[:60]), Statistics.from_rows(h[60:], z[60:])
    found = choose_links(train, Structure((3, 40), ()), 100, held_out=other)
    assert 0 < found.rows.size < 60
    assert found.held_out.shape == (101,)
    assert np.argmin(found.held_out) == found.rows.size
    assert found.losses.shape == (found.rows.size + 1,)
    for links in (0, found.rows.size):
        part = choose_links(train, Structure((3, 40), ()), links)
        error = np.mean((z[60:] - h[60:] @ part.weight.toarray().T - part.bias) ** 2, axis=0).sum()
        assert found.held_out[links] == pytest.approx(error, rel=1e-9)
    everything = choose_links(train, Structure((3, 40), ()), 100)
    error = np.mean((z[60:] - h[60:] @ everything.weight.toarray().T - everything.bias) ** 2, axis=0).sum()
    assert error > 1.2 * found.held_out.min()


def test_refusals():
    h, z, _ = problem()
    statistics = Statistics.from_rows(h, z)
    structure = wrapped_structure((4, 7), (0,))
    with pytest.raises(StructureError, match="structure must be 4 x 7"):
        choose_links(statistics, wrapped_structure((4, 6), (0,)), 1)
    with pytest.raises(StructureError, match="source must hold indices from 0 to 6"):
        choose_links(statistics, structure, 1, source=[0, 1, 2, 3, 4, 5, 7])
    for budget in (-1, 1.0, True):
        with pytest.raises(ValueError, match="budget must be an integer"):
            choose_links(statistics, structure, budget)
    with pytest.raises(ValueError, match="per_row must be an integer"):
        choose_links(statistics, structure, 1, per_row=-1)
    with pytest.raises(ValueError, match="alpha must be"):
        choose_links(statistics, structure, 1, -1.0)
    for importance in ([1.0, 1.0], [1.0, -1.0, 1.0, 1.0], [np.nan] * 4):
        with pytest.raises(ValueError, match="importance must be 4 finite numbers"):
            choose_links(statistics, structure, 1, importance=importance)
    with pytest.raises(ValueError, match="held_out must have 7 columns and 4 targets"):
        choose_links(statistics, structure, 1, held_out=Statistics.from_rows(h, z[:, :2]))
