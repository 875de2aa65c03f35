"""Small linked chains solved once: what is accepted is proved, and what cannot be proved goes the stable way."""

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix, Structure, linalg, plan
from stridiag._kernels import static_lu as kernels
from stridiag._kernels import static_order
from stridiag.factorization import static_lu
from stridiag.testing import count, counted, plain_twin

EPS = np.finfo(float).eps
CASES = [
    (4, 1, 3),
    (5, 1, 2),
    (12, 1, 3),
    (13, 6, 4),
    (40, 20, 8),
    (65, 1, 10),
    (100, 1, 10),
    (333, 7, 20),
    (900, 1, 60),
]


def matrix(n, g, links, kind):
    A = stridiag.random(n, (-g, 0, g), links, rng=n, dominant=kind == "dominant")
    if kind == "constant":
        parts = (np.full(n - g, -0.9), np.full(n, 0.99), np.ones(n - g), np.ones(A.structure.link_count))
        return A.with_values(np.concatenate(parts))
    if kind == "signs":
        return A.with_values(np.where(np.random.default_rng(n).random(A.nnz) < 0.5, -1.0, 1.0))
    return A


def solved_once(A, b):
    """Return the solution, and whether it was proved."""
    layout = plan(A.structure, method="chain").layout
    x = np.full(b.size, np.nan)
    found = static_lu.solve_once(layout, A.values, b, x)
    return x, found is not None and found[2] < np.inf


def entrywise_error(A, x, b):
    """Return the smallest relative change of the entries that makes `x` exact; residuals in extended precision."""
    long = A.toarray().astype(np.longdouble)
    residual = np.abs(b - long @ x)
    weight = np.abs(long) @ np.abs(x) + np.abs(b)
    return float(np.max(residual / np.where(weight > 0, weight, 1)))


@pytest.mark.parametrize("kind", ["dominant", "random", "constant", "signs"])
@pytest.mark.parametrize(("n", "g", "links"), CASES)
def test_what_is_accepted_is_backward_stable_entry_by_entry(n, g, links, kind):
    A = matrix(n, g, min(links, n), kind)
    b = np.random.default_rng(0).standard_normal(n)
    x, proved = solved_once(A, b)
    # All but those whose pivots happen to be zero, or that are singular.
    assert proved or kind in ("signs", "constant")
    if proved:
        assert entrywise_error(A, x, b) <= 8 * EPS


def test_a_right_hand_side_of_few_numbers():
    A = matrix(900, 1, 20, "dominant")
    for b in (np.eye(900)[450], np.zeros(900), 1e-250 * np.ones(900), 1e250 * np.ones(900)):
        x, proved = solved_once(A, b)
        assert proved
        size = np.abs(b).max()
        assert np.abs(A @ x - b).max() <= 20 * EPS * size * (1 + np.abs(A.values).max())


def test_pivots_that_are_zero_or_lead_nowhere():
    links = ([3, 20], [25, 7])
    structure = Structure(30, (-1, 0, 1), links)
    rng = np.random.default_rng(1)
    values = rng.standard_normal(structure.nnz)
    b = rng.standard_normal(30)
    for pivot in (0.0, 1e-300):
        values[structure.diagonal_slots(0)] = pivot
        A = StridiagMatrix(structure, values)
        _, proved = solved_once(A, b)
        assert not proved
        x = linalg.solve(A, b)
        assert np.abs(A @ x - b).max() <= 1e-14 * (np.abs(values).max() * np.abs(x).max() + np.abs(b).max())


def test_small_pivots_are_made_up_for():
    A = matrix(300, 1, 12, "random")
    main = A.structure.diagonal_slots(0)
    values = A.values.copy()
    values[main] *= 1e-4
    b = np.ones(300)
    x, proved = solved_once(A.with_values(values), b)
    assert proved
    assert entrywise_error(A.with_values(values), x, b) <= 8 * EPS


def test_singular_matrices_are_none_of_its():
    A = matrix(60, 1, 5, "dominant")
    _, columns = A.structure.coordinates()
    b = np.ones(60)
    with pytest.raises(SingularMatrixError):
        linalg.solve(A.with_values(np.where(columns == 9, 0.0, A.values)), b)
    for small in (1e-17, 1e-20):
        with pytest.warns(IllConditionedWarning):
            linalg.solve(A.with_values(np.where(columns == 9, small, 1.0) * A.values), b)
    # Rows that are equal but for rounding: no pivot is zero, and no residual tells.
    d = np.array([1.0, 2.0, 2.0, 2.0, 1.0 + 4 * EPS])
    near = StridiagMatrix.from_diagonals({-1: np.ones(4), 0: d, 1: np.ones(4)}, ([0, 4], [4, 0], [1e-18, 1e-18]))
    with pytest.warns(IllConditionedWarning):
        linalg.solve(near, np.ones(5))


def test_numbers_that_are_not_finite():
    A = matrix(60, 1, 5, "dominant")
    b = np.ones(60)
    for bad in (np.nan, np.inf):
        assert not solved_once(A, np.where(np.arange(60) == 59, bad, b))[1]
        values = A.values.copy()
        values[-1] = bad
        assert not solved_once(A.with_values(values, copy=False), b)[1]


def test_where_numbers_fill_in_the_stable_way_is_gone():
    dense = stridiag.random(600, (-1, 0, 1), 500, rng=0, dominant=True)
    layout = plan(dense.structure, method="chain").layout
    assert static_lu.solve_once(layout, dense.values, np.ones(600), np.empty(600)) is None


def test_the_order_is_one_and_its_twin_finds_the_same():
    rng = np.random.default_rng(3)
    n, g = 70, 2
    rows, columns = rng.integers(0, n, 9), rng.integers(0, n, 9)
    found = []
    for run in (static_order.eliminate, plain_twin(static_order.eliminate)):
        node, start, near = np.empty(n, np.int64), np.empty(n + 1, np.int64), np.empty(8 * n, np.int64)
        pairs = run(n, g, rows, columns, node, start, near)
        found.append((pairs, *node, *start, *near[: start[n]]))
        assert run(n, g, rows, columns, node, start, near[:20]) == -1
    assert found[0] == found[1]
    assert sorted(found[0][1 : n + 1]) == list(range(n))


@pytest.mark.parametrize(("n", "g", "links"), CASES[:5])
def test_operations_are_as_many_as_stated(n, g, links):
    A = matrix(n, g, links, "dominant")
    structure = A.structure
    node, start, near = np.empty(n, np.int64), np.empty(n + 1, np.int64), np.empty(16 * n, np.int64)
    pairs = static_order.eliminate(n, g, structure.link_rows, structure.link_columns, node, start, near)
    pair, slot = np.empty(pairs, np.int64), np.empty(structure.nnz - n, np.int64)
    static_order.places(n, g, structure.link_rows, structure.link_columns, node, start, near[: start[n]], pair, slot)
    v = np.zeros(n + 2 * start[n])
    v[:n] = A.diagonal(0)
    main = structure.diagonal_slots(0)
    v[slot] = np.concatenate((A.values[: main.start], A.values[main.stop :]))
    x = [counted(np.ones(n)), counted(np.ones(n))]
    numbers = counted(v)
    neighbours = np.diff(start)
    solving = int((4 * neighbours + 1).sum())
    arguments = (n, node, start, near)
    executed = count(kernels._factor, *arguments, pair, numbers, *x) + count(kernels._back, *arguments, numbers, *x)
    assert executed == int((2 * neighbours**2 + neighbours + 1).sum()) + 2 * solving
    np.testing.assert_allclose(A @ x[0].astype(float), np.ones(n), rtol=1e-12)
    y = [counted(np.ones(n)), counted(np.ones(n))]
    again = count(kernels._forward, *arguments, numbers, *y) + count(kernels._back, *arguments, numbers, *y)
    assert again == 2 * solving
    np.testing.assert_array_equal(y[0].astype(float), x[0].astype(float))


def test_the_same_numbers_in_another_form_have_the_same_solution():
    A = matrix(100, 1, 10, "random")
    b = np.random.default_rng(0).standard_normal(100)
    x = linalg.solve(A, b)
    for same in (b.tolist(), np.repeat(b, 2)[::2], np.ma.array(b)):
        np.testing.assert_array_equal(linalg.solve(A, same), x)
