"""Sparse LU by fronts with pivots that may be put off: on reduced systems of chains with links of all kinds."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import front_block, front_lu, front_panels, front_substitution, front_tree, stretches
from stridiag._kernels.compile import kernel
from stridiag.factorization import front_lu as module
from stridiag.factorization import multiply_out
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.front_panels import FrontPanels
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.front_plan import FrontPlan
from stridiag.planning.pivot_plan import PivotPlan, crossing
from stridiag.planning.reduced_method import ReducedMethod

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def reduced_pattern(n, links, seed, offset=1):
    structure = stridiag.random(n, (-offset, 0, offset), links, rng=seed).structure
    return CondensationLayout.build(ChainLayout(structure, offset)).reduced


def reduced_matrix(n, links, seed, dtype=np.float64, offset=1, kind="random"):
    """Return the pattern and the numbers of a reduced system, from the condensation itself."""
    A = stridiag.random(n, (-offset, 0, offset), links, rng=seed)
    rng = np.random.default_rng(seed)
    count = A.values.size
    values = {
        "random": lambda: rng.standard_normal(count),
        "signs": lambda: rng.choice([-1.0, 1.0], count),
        "ones": lambda: np.ones(count),
    }[kind]()
    if kind == "skew":
        values[:] = 1.0
    if np.dtype(dtype).kind == "c":
        values = values * np.exp(2j * np.pi * rng.random(count))
    A = A.with_values(values.astype(dtype))
    layout = CondensationLayout.build(ChainLayout(A.structure, offset))
    return layout.reduced, layout.reduced.compressed(entries_of(layout, A))


def entries_of(layout, A):
    from stridiag._dtypes import double_type
    from stridiag._kernels import condensation, separator_tree

    segments, nodes = layout.first.size, layout.tree.children.shape[0]
    rows = np.zeros((layout.chain.n, 8), A.values.dtype)
    leftover = np.zeros((segments + nodes, 2, 5), A.values.dtype)
    tridiagonal = layout.chain.tridiagonal(A.values)
    condensation.condense(*tridiagonal, layout.first, layout.last, layout.neighbours, rows, leftover)
    made = np.zeros((nodes, separator_tree.WIDTH), A.values.dtype)
    work = np.empty((4, 7), double_type(A.values.dtype))
    separator_tree.eliminate(layout.tree.children, segments, leftover, made, work)
    return layout.reduced.assemble(leftover, A.values[layout.link_slots], *tridiagonal, A.values)


def front_tree_root(lu):
    """Return the pivots of the last front as planned."""
    return lu._plan.tree[-1, front_tree.PIVOT_COUNT]


def check(matrix, lu, units=30):
    n, eps = matrix.shape[0], np.finfo(matrix.dtype).eps
    wide = matrix.toarray().astype(np.complex128 if matrix.dtype.kind == "c" else np.float64)
    b = np.random.default_rng(n).standard_normal((n, 7)).astype(matrix.dtype)
    for dense, adjoint in ((wide, False), (wide.conj().T, True)):
        for columns in (1, 3, 7):
            x = lu.solve(b[:, :columns].copy(), adjoint=adjoint)
            assert x.dtype == matrix.dtype
            size = np.abs(dense).sum(1).max() * np.abs(x).max() + np.abs(b).max()
            assert np.abs(dense @ x - b[:, :columns]).max() <= units * eps * size
    eye = np.eye(n, dtype=matrix.dtype)
    norm = np.abs(wide).sum(1).max()
    assert np.abs(lu.multiply(eye.copy()) - wide).max() <= 200 * eps * norm
    assert np.abs(multiply_out(lu.factors(), eye.copy()) - wide).max() <= 200 * eps * norm
    sign, log = lu.slogdet()
    expected_sign, expected_log = np.linalg.slogdet(wide)
    cond = np.linalg.cond(wide, 1)
    assert abs(sign - expected_sign) <= 30 * n * eps * cond
    assert abs(log - expected_log) <= 30 * n * eps * cond
    inverse = np.linalg.inv(wide)
    assert np.abs(lu.inverse_diagonal() - inverse.diagonal()).max() <= 200 * eps * cond * np.abs(inverse).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "links", "offset"), [(60, 3, 1), (200, 20, 1), (300, 60, 1), (240, 30, 4)])
def test_random_links(n, links, offset, dtype):
    for seed in range(2):
        pattern, matrix = reduced_matrix(n, links, seed, dtype, offset)
        lu = FrontLU.believed(PivotPlan.build(pattern), matrix)
        assert lu is not None
        check(matrix, lu)
        assert lu.nbytes > 8 * matrix.shape[0]


@pytest.mark.parametrize("kind", ["signs", "ones"])
def test_pivots_are_put_off_where_they_are_zero(kind):
    """On chains of ones every third stretch is singular by itself, so that its unknown waits for its neighbours."""
    late = 0
    for seed in range(4):
        pattern, matrix = reduced_matrix(400, 60, seed, kind=kind)
        lu = FrontLU(PivotPlan.build(pattern), matrix)
        assert lu._complete or np.linalg.cond(matrix.toarray()) > 1e12
        if lu._complete and np.linalg.cond(matrix.toarray()) < 1e10:
            late += int((lu._head[:, front_lu.SIZE] - lu._head[:, front_lu.DUE]).sum())
            check(matrix, lu)
    assert late > 0


def test_a_front_takes_the_rows_that_have_come_late_as_its_own(monkeypatch):
    # Hardly any pivot is a hundred times all others of its column: nearly all wait for the root.
    monkeypatch.setattr(module, "_THRESHOLD", 100.0)
    monkeypatch.setattr(module, "_ROOM", (40.0,))
    pattern, matrix = reduced_matrix(200, 20, 3)
    lu = FrontLU(PivotPlan.build(pattern), matrix)
    assert lu._complete
    late = lu._head[:, front_lu.SIZE] - lu._head[:, front_lu.DUE]
    assert late.sum() > matrix.shape[0] // 2
    assert lu._head[-1, front_lu.DONE] > front_tree_root(lu)
    check(matrix, lu)


def test_arrays_grow_once_and_then_it_gives_up(monkeypatch):
    pattern, matrix = reduced_matrix(300, 40, 1, kind="random")
    plan = PivotPlan.build(pattern)
    monkeypatch.setattr(module, "_ROOM", (0.5, 2.0))
    check(matrix, FrontLU.believed(plan, matrix))
    monkeypatch.setattr(module, "_ROOM", (0.4, 0.5))
    assert FrontLU.believed(plan, matrix) is None


def test_what_is_not_accurate_is_refined_or_refused(monkeypatch):
    pattern, matrix = reduced_matrix(300, 60, 2)
    plan = PivotPlan.build(pattern)
    monkeypatch.setattr(module, "_ACCURATE", 0.0)
    lu = FrontLU.believed(plan, matrix)
    assert lu._refined is matrix
    check(matrix, lu)
    changed = matrix.copy()
    changed.data *= 1 + 1e-9 * np.random.default_rng(0).standard_normal(matrix.nnz)
    # The factors of another matrix, about as near as elimination that has lost seven digits.
    monkeypatch.setattr(FrontLU, "_factor", lambda self, data, plainly=FrontLU._factor: plainly(self, data * 1.001))
    assert FrontLU.believed(plan, changed) is None


@pytest.mark.parametrize("spoil", ["zero", "column", "nan"])
def test_singular_matrices_are_left_to_the_orthogonal_way(spoil):
    pattern, matrix = reduced_matrix(300, 120, 5)
    plan = PivotPlan.build(pattern)
    if spoil == "zero":
        matrix.data[:] = 0
    elif spoil == "nan":
        matrix.data[5] = np.nan
    else:
        matrix.data[matrix.indptr[7] : matrix.indptr[8]] = 0
    assert FrontLU.believed(plan, matrix) is None
    if spoil == "column":
        found = factor_reduced(matrix.data, ReducedMethod(pattern, None, "pivoting", plan))
        assert isinstance(found, SparseQR)
        assert found.singularity is not None


def test_the_plan_eliminates_each_column_once_and_children_first():
    pattern = reduced_pattern(2000, 300, 0)
    plan = PivotPlan.build(pattern)
    tree, seen = plan.tree, []
    for f, front in enumerate(tree):
        begin, pivots, width = front[front_tree.FIRST], front[front_tree.PIVOT_COUNT], front[front_tree.WIDTH]
        columns = plan.columns[begin : begin + width]
        assert np.unique(columns).size == width
        seen.extend(columns[:pivots].tolist())
        up = front[front_tree.PARENT]
        if up < 0:
            assert width == pivots
        else:
            assert up > f
            above = plan.columns[tree[up, front_tree.FIRST] :]
            np.testing.assert_array_equal(above[plan.relative[begin + pivots : begin + width]], columns[pivots:])
    assert sorted(seen) == list(range(pattern.order))
    children = np.bincount(tree[tree[:, front_tree.PARENT] >= 0, front_tree.PARENT], minlength=tree.shape[0])
    np.testing.assert_array_equal(children, tree[:, front_tree.CHILDREN])
    assert plan.pairs.shape[0] > 300
    assert plan.entries.size == pattern.indices.size - np.count_nonzero(plan.tail)


def test_one_unknown_of_each_separator_costs_a_fraction_of_two():
    pattern = reduced_pattern(100_000, 250, 0)
    assert crossing(pattern) > 220
    method = ReducedMethod.choose(pattern)
    assert method.kind == "pivoting"
    assert 3 * PivotPlan.build(pattern).numbers < FrontPlan.build(pattern).numbers
    assert not method.cost.operations.exact
    assert method.cost.operations.factor > FrontPlan.build(pattern).cost.operations.factor


def test_short_links_and_few_links_keep_counts_that_are_exact():
    n = 60_000
    rows = np.arange(10, n - 40, 100)
    matrix = stridiag.StridiagMatrix.from_diagonals(
        {-1: 1.0, 0: 4.0, 1: 1.0}, (rows, rows + 30, np.ones(rows.size)), shape=n
    )
    for A in (matrix, stridiag.random(n, (-1, 0, 1), 100, rng=0)):
        layout = CondensationLayout.build(ChainLayout(A.structure, 1))
        assert crossing(layout.reduced) < 220
        assert layout.reduced_method.kind == "frontal"
        assert layout.reduced_method.cost.operations.exact


@pytest.mark.parametrize("values", ["random", "dominant", "constant", "signs"])
def test_many_links_are_solved_backward_stably(values):
    from stridiag.cli.bench.problem import Case, Problem

    problem = Problem(Case(1, 1, 350), 8_000, values)
    A, b = problem.matrix, problem.right
    F = A.factor(method="chain")
    assert F.plan.layout.reduced_method.kind == "pivoting"
    for matrix, trans in ((A, "N"), (A.T, "T")):
        x = F.solve(b, trans=trans)
        size = np.abs(matrix.to_scipy()).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
        assert np.abs(matrix @ x - b).max() < 30 * np.finfo(float).eps * size
    sign, log = F.slogdet()
    expected = stridiag.StridiagMatrix(A.structure, A.values).factor(method="sparse-lu").slogdet()
    assert sign == expected.sign
    assert abs(log - expected.logabsdet) < 1e-9 * abs(expected.logabsdet)


def test_products_in_vectors_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    for rows, width, pivots in ((1, 1, 1), (7, 13, 3), (40, 37, 16), (33, 250, 5)):
        step = front_lu.row_step(width)
        a = np.zeros((rows + pivots) * step)
        table = a.reshape(-1, step)
        table[:, :width] = rng.standard_normal((rows + pivots, width))
        left = min(pivots, width)
        expected = table.copy()
        expected[pivots:, left:] -= table[pivots:, :left] @ table[:left, left:]
        twin = a.astype(np.complex128)
        _products(a, step, pivots, rows + pivots, 0, left, left, width)
        _products(twin, step, pivots, rows + pivots, 0, left, left, width)
        np.testing.assert_allclose(a.reshape(-1, step), expected, atol=1e-13)
        np.testing.assert_allclose(twin, a, atol=1e-13)


def test_solutions_in_vectors_are_those_of_plain_loops():
    rng = np.random.default_rng(1)
    pattern, matrix = reduced_matrix(300, 60, 0)
    lu = FrontLU(PivotPlan.build(pattern), matrix)
    pivots = lu._head[:, front_lu.DONE]
    # Fronts by rows, of two panels and of one.
    assert pivots.max() > front_panels.MOST
    assert ((pivots > front_panels.LANES) & (pivots <= front_panels.MOST)).any()
    head, ids, n = lu._head, lu._ids, matrix.shape[0]
    b = rng.standard_normal((n, 2))
    found = []
    for kind in (np.float64, np.complex128):
        values = np.concatenate((lu._values, np.zeros(front_panels.LANES))).astype(kind)[: lu._values.size]
        x, y = b.astype(kind), np.empty((2, n), kind)
        FrontPanels(head, values, ids, n).solve(x, np.empty(lu.widest, kind))
        for right, solution in zip(b.T.astype(kind), y, strict=True):
            front_substitution.solve_vector_adjoint(
                head, values, ids, right.copy(), solution, np.empty(lu.widest + 8, kind)
            )
        found.append((x, y))
    for real, plain in zip(*found, strict=True):
        np.testing.assert_allclose(real, plain, rtol=1e-8, atol=1e-10 * np.abs(plain).max())


def test_panels_hold_the_same_factors_as_rows():
    pattern, matrix = reduced_matrix(400, 60, 0, kind="signs")
    for dtype in (np.float64, np.complex128):
        lu = FrontLU(PivotPlan.build(pattern), matrix.astype(dtype))
        if not lu._complete:
            continue
        b = np.random.default_rng(0).standard_normal((matrix.shape[0], 5)).astype(dtype)
        # More right-hand sides than a few go by rows.
        together = lu.solve(b.copy())
        for count in (1, 2, 4):
            one = lu.solve(b[:, :count].copy())
            np.testing.assert_allclose(one, together[:, :count], rtol=0, atol=1e-11 * np.abs(together).max())
            # How many there are changes nothing.
            np.testing.assert_array_equal(one[:, :1], lu.solve(b[:, :1].copy()))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
def test_stretches_in_vectors_are_those_of_plain_loops(count):
    rng = np.random.default_rng(count)
    for kind in (np.float64, np.complex128):
        source, target = rng.standard_normal((2, 64)).astype(kind)
        before = target.copy()
        _add(source, 3, count, target, 5)
        np.testing.assert_array_equal(target[5 : 5 + count], before[5 : 5 + count] + source[3 : 3 + count])
        np.testing.assert_array_equal(np.delete(target, slice(5, 5 + count)), np.delete(before, slice(5, 5 + count)))
        target[:] = before
        _copy(source, 3, count, target, 5)
        np.testing.assert_array_equal(target[5 : 5 + count], source[3 : 3 + count])
        np.testing.assert_array_equal(target[:5], before[:5])
        np.testing.assert_array_equal(target[5 + count + stretches.SPILL :], before[5 + count + stretches.SPILL :])
        target[:] = np.nan
        _clear(target, 5, 5 + count)
        assert not target[5 : 5 + count].any()
        assert np.isnan(target[:5]).all()
        assert np.isnan(target[5 + count + stretches.SPILL :]).all()


def test_what_most_is_passed_on_from_comes_first():
    """Places in the parent follow one another, but where the parent's pivots are left out."""
    plan = PivotPlan.build(reduced_pattern(4000, 500, 0))
    tree = plan.tree
    rest = tree[:, front_tree.WIDTH] - tree[:, front_tree.PIVOT_COUNT]
    for f in range(tree.shape[0]):
        children = np.flatnonzero(tree[:, front_tree.PARENT] == f)
        if not children.size:
            continue
        child = children[np.argmax(rest[children])]
        begin = tree[child, front_tree.FIRST] + tree[child, front_tree.PIVOT_COUNT]
        places = plan.relative[begin : begin + rest[child]]
        own = places[places < tree[f, front_tree.PIVOT_COUNT]]
        others = places[places >= tree[f, front_tree.PIVOT_COUNT]]
        np.testing.assert_array_equal(own, np.arange(own.size))
        np.testing.assert_array_equal(others, tree[f, front_tree.PIVOT_COUNT] + np.arange(others.size))


@kernel
def _add(source, begin, count, target, to):
    stretches.add_stretch(source, begin, count, target, to)


@kernel
def _copy(source, begin, count, target, to):
    stretches.copy_stretch(source, begin, count, target, to)


@kernel
def _clear(a, begin, end):
    stretches.clear(a, begin, end)


@kernel
def _products(a, step, first, last, begin, end, left, right):
    front_block.subtract_products(a, step, first, last, begin, end, left, right)


def test_few_links_stay_with_reflections():
    layout = CondensationLayout.build(ChainLayout(stridiag.random(5000, (-1, 0, 1), 60, rng=1).structure, 1))
    entries = np.random.default_rng(0).standard_normal(layout.reduced.indices.size)
    assert isinstance(factor_reduced(entries, layout.reduced_method), FrontHouseholder)
