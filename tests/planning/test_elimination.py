"""Orders of elimination, the pattern of L, and the counts: predicted, and executed on numbers that count."""

import time

import numpy as np
import pytest
import scipy.sparse

import stridiag
from stridiag import Structure
from stridiag._kernels import chain_cholesky, determinant
from stridiag._kernels import cholesky as kernels
from stridiag.planning.cholesky import ChainCholeskyLayout, cholesky_layout
from stridiag.planning.elimination import Graph, choose_order, fill, minimum_degree
from stridiag.testing import count, counted


def linked(n, pairs, offsets=(0,)):
    rows, columns = np.array(list(pairs), int).reshape(-1, 2).T
    return Structure(n, [k for k in offsets if abs(k) < max(n, 1)], (np.r_[rows, columns], np.r_[columns, rows]))


def tree(n, seed=0):
    rng = np.random.default_rng(seed)
    return linked(n, [(v, int(rng.integers(0, v))) for v in range(1, n)])


def structures():
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 3, 4, 5, 10, 33):
        yield Structure(n)
        for stride in (1, 2, 3, 7):
            yield linked(n, [], (-stride, 0, stride))
        yield tree(n)
        yield linked(n, [(0, v) for v in range(1, n)])
        if n > 3:
            yield linked(n, [(0, n - 1)], (-1, 0, 1))
            yield linked(n, rng.integers(0, n, (3, 2)), (-1, 0, 1))
            yield linked(n, rng.integers(0, n, (n, 2)), (-1, 0, 1))
            yield linked(n, rng.integers(0, n, (3, 2)), (-2, -1, 0, 1, 2))
            yield linked(n, [], (-3, -1, 0, 1, 3))
            yield linked(n, [(i, j) for i in range(n) for j in range(i)])


VALUES = {
    "dominant": lambda rng, k: rng.uniform(-1, 1, k) / 40,
    "zero": lambda rng, k: np.zeros(k),
    "graded": lambda rng, k: rng.choice([-1.0, 1.0], k) * 10.0 ** -rng.uniform(2, 200, k),
}


@pytest.mark.parametrize("kind", list(VALUES))
def test_counts_are_exact_whatever_the_values(kind):
    rng = np.random.default_rng(1)
    for structure in structures():
        layout = cholesky_layout(structure)
        predicted = layout.cost.operations
        assert predicted.exact
        n = structure.shape[0]
        d = counted(np.ones(n))
        if isinstance(layout, ChainCholeskyLayout):
            numbers = counted(VALUES[kind](rng, layout.joins))
            assert count(chain_cholesky.factor, layout.stride, d, numbers) == predicted.factor
            lower = (chain_cholesky.solve_lower, layout.stride, numbers)
            adjoint = (chain_cholesky.solve_adjoint, layout.stride, d, numbers)
        else:
            filled = layout.filled
            numbers = counted(np.zeros(filled.entries))
            executed = count(
                kernels.factor,
                filled.order,
                layout.lower_start,
                layout.lower_columns,
                counted(VALUES[kind](rng, layout.lower.size)),
                filled.row_start,
                filled.row_columns,
                filled.begin,
                filled.rows,
                numbers,
                d,
                filled.begin.copy(),
                counted(np.zeros(n)),
            )
            assert executed == predicted.factor
            lower = (kernels.solve_lower, filled.order, filled.column_start, filled.rows, numbers)
            adjoint = (kernels.solve_adjoint, filled.order, filled.column_start, filled.rows, numbers, d)
        for m in (1, 3):
            x = counted(rng.standard_normal((n, m)))
            assert count(*lower, x) + count(*adjoint, x) == m * predicted.solve, structure
        assert count(determinant.log_product, d) == predicted.slogdet
        assert predicted.inverse == n * predicted.solve


def test_counts_of_the_selected_inverse():
    for structure in structures():
        layout = cholesky_layout(structure)
        n = structure.shape[0]
        if isinstance(layout, ChainCholeskyLayout):
            numbers, result = counted(np.full(layout.joins, 0.25)), counted(np.ones(n))
            executed = count(chain_cholesky.inverse_diagonal, layout.stride, counted(np.ones(n)), numbers, result)
            assert executed == n + 3 * layout.joins
            continue
        filled = layout.filled
        numbers, z = counted(np.full(filled.entries, 0.01)), counted(np.zeros(filled.entries))
        where, diagonal = np.full(n, -1), counted(np.ones(n))
        executed = count(
            kernels.selected_inverse,
            *(filled.order, filled.column_start, filled.begin, filled.rows, numbers, counted(np.ones(n))),
            *(where, z, diagonal),
        )
        assert executed == int((2 * filled.counts**2 + 2 * filled.counts + 1).sum())
        assert (where == -1).all()


def test_the_pattern_of_the_factor_is_that_of_elimination():
    for structure in structures():
        n = structure.shape[0]
        graph, _ = Graph.of(structure)
        order, _ = choose_order(graph, max_entries=10**6)
        assert sorted(order) == list(range(n))
        filled = fill(graph, order, max_entries=10**6)
        rows, columns = structure.coordinates()
        dense = np.zeros((n, n), bool)
        dense[rows, columns] = True
        for k, v in enumerate(order):
            later = order[k + 1 :][dense[order[k + 1 :], v]]
            dense[np.ix_(later, later)] = True
            column = slice(filled.column_start[k], filled.column_start[k + 1])
            np.testing.assert_array_equal(filled.rows[column], later)
            assert filled.counts[v] == later.size
            assert filled.begin[v] == column.start
            row = filled.row_columns[filled.row_start[k] : filled.row_start[k + 1]]
            assert set(row) == set(order[:k][dense[v, order[:k]]])


@pytest.mark.parametrize("n", [4, 50, 999])
def test_counts_of_chains_forests_cycles_and_narrow_bands(n):
    def factor(structure):
        return cholesky_layout(structure).cost.operations.factor

    for stride in (1, 2, 3):
        assert factor(linked(n, [], (-stride, 0, stride))) == 3 * (n - stride)
    assert factor(tree(n)) == 3 * (n - 1)
    assert factor(linked(n, [(0, v) for v in range(1, n)])) == 3 * (n - 1)
    # A cycle: two neighbours each, until two are left.
    assert factor(linked(n, [(0, n - 1)], (-1, 0, 1))) == 8 * (n - 2) + 3
    assert factor(linked(n, [], (-2, -1, 0, 1, 2))) == 8 * (n - 2) + 3
    # A chain whose links hang on it like leaves stays a tree.
    assert factor(linked(n, [(0, n - 1)], (0,))) == 3


def test_links_cost_a_few_columns_each_and_not_a_wide_band():
    rng = np.random.default_rng(0)
    P = stridiag.plan(linked(20_000, rng.integers(0, 20_000, (100, 2)), (-1, 0, 1)), method="cholesky")
    assert P.operations.factor < 14 * 20_000
    natural = fill(Graph.of(P.structure)[0], np.arange(20_000, dtype=np.int32), max_entries=10**7)
    assert natural.operations > 20 * P.operations.factor


def test_the_given_order_serves_a_band_and_minimum_degree_a_grid():
    band = cholesky_layout(linked(3000, [], (-3, -1, 0, 1, 3)))
    assert "the given order" in band.describe()
    assert band.cost.operations.factor < 15 * 3000
    grid = cholesky_layout(linked(2500, [], (-50, -1, 0, 1, 50)))
    assert "minimum degree" in grid.describe()
    # The band of width 50 would take 50 * 52 for each column.
    assert grid.cost.operations.factor < 50 * 52 * 2500 / 3


def test_minimum_degree_fills_less_than_superlu_reports():
    graph, _ = Graph.of(linked(900, [], (-30, -1, 0, 1, 30)))
    filled = fill(graph, minimum_degree(graph), max_entries=10**6)
    pattern = scipy.sparse.csc_array(
        (np.full(graph.adjacent.size, -1.0), graph.adjacent, graph.start), shape=(900, 900)
    )
    matrix = (pattern + scipy.sparse.diags_array(np.full(900, 5.0))).tocsc()
    options = {"SymmetricMode": True}
    lu = scipy.sparse.linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    assert filled.entries + 900 <= lu.L.nnz


def test_two_hubs_and_their_many_common_neighbours_take_linear_time():
    n = 60_000
    pairs = [(v, hub) for v in range(2, n) for hub in (0, 1)]
    cholesky_layout(linked(100, pairs[:196]))
    begin = time.perf_counter()
    layout = cholesky_layout(linked(n, pairs))
    assert time.perf_counter() - begin < 20.0
    assert layout.cost.operations.factor == 8 * (n - 2) + 3


def test_layouts_are_cached_with_the_plan():
    structure = tree(100)
    assert stridiag.plan(structure, method="cholesky") is stridiag.plan(tree(100), method="cholesky")
