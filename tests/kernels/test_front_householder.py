"""Sparse QR by dense fronts, by itself, on patterns of all kinds."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import multiply_out
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.planning import front_plan
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.front_plan import FrontPlan
from stridiag.planning.summed import SummedColumns, summed_columns
from stridiag.testing import recording

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def pattern_of(dense):
    rows, columns = np.nonzero(dense)
    return SummedColumns(*summed_columns(rows, columns, dense.shape[0]))


def data_of(dense, pattern):
    return dense.T[dense.T != 0] if pattern.order else np.empty(0)


def random_matrix(n, density, dtype, seed):
    """Return a matrix with a full matching somewhere, and equal neighbouring rows here and there."""
    rng = np.random.default_rng(seed)
    there = rng.random((n, n)) < density
    there[1::3] = there[: n - 1 : 3][: there[1::3].shape[0]]
    there[np.arange(n), rng.permutation(n)] = True
    values = rng.standard_normal((n, n))
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal((n, n))
    return np.where(there, values, 0).astype(dtype)


def check(dense):
    n, eps = dense.shape[0], np.finfo(dense.dtype).eps
    pattern = pattern_of(dense)
    plan = FrontPlan.build(pattern)
    Q = FrontHouseholder(data_of(dense, pattern), plan)
    assert Q.singularity is None
    assert Q.nbytes == (Q._values.nbytes + Q._tau.nbytes)
    wide = dense.astype(np.complex128 if dense.dtype.kind == "c" else np.float64)
    b = np.random.default_rng(n).standard_normal((n, 3)).astype(dense.dtype)
    for matrix, adjoint in ((wide, False), (wide.conj().T, True)):
        x = Q.solve(b.copy(), adjoint=adjoint)
        assert x.dtype == dense.dtype
        one = Q.solve(b[:, 1:2].copy(), adjoint=adjoint)
        np.testing.assert_array_equal(one[:, 0], x[:, 1])
        size = np.abs(matrix).sum(1).max() * np.abs(x).max() + np.abs(b).max()
        assert np.abs(matrix @ x - b).max() <= 30 * eps * size
    eye = np.eye(n, dtype=dense.dtype)
    norm = np.abs(wide).sum()
    assert np.abs(Q.multiply(eye.copy()) - wide).max() <= 30 * eps * norm
    assert np.abs(multiply_out(Q.factors(), eye.copy()) - wide).max() <= 30 * eps * norm
    sign, log = Q.slogdet()
    expected_sign, expected_log = np.linalg.slogdet(wide)
    cond = np.linalg.cond(wide, 1)
    assert abs(sign - expected_sign) <= 30 * n * eps * cond
    assert abs(log - expected_log) <= 30 * n * eps * cond
    inverse = np.linalg.inv(wide)
    assert np.abs(Q.inverse_diagonal() - inverse.diagonal()).max() <= 30 * eps * cond * np.abs(inverse).max()


@pytest.mark.skipif(not COMPILES, reason="plain loops solve as they did the first time")
@pytest.mark.parametrize("n", [1, 2, 7, 20, 60, 150])
def test_solving_again_gives_the_same_bits(n):
    for seed, density in enumerate((0.3, 0.03, 0.01)):
        dense = random_matrix(n, density, np.float64, seed)
        pattern = pattern_of(dense)
        Q = FrontHouseholder(data_of(dense, pattern), FrontPlan.build(pattern))
        b = np.random.default_rng(seed).standard_normal((n, 1))
        first = Q.solve(b.copy())
        before = Q.nbytes
        for _ in range(2):
            np.testing.assert_array_equal(Q.solve(b.copy()), first)
        assert Q.nbytes > before
        size = np.abs(dense).sum(1).max() * np.abs(first).max() + np.abs(b).max()
        assert np.abs(dense @ first - b).max() <= 1e-14 * size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "density"), [(1, 0.5), (2, 0.3), (5, 0.2), (13, 0.1), (30, 0.05), (30, 0.9), (80, 0.02)])
def test_random_patterns(n, density, dtype):
    for seed in range(4):
        check(random_matrix(n, density, dtype, seed))


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_wherever_the_last_front_begins(monkeypatch, share):
    monkeypatch.setattr(front_plan, "_SHARE", share)
    for seed in range(6):
        check(random_matrix(40, 0.05, np.float64, seed))


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
@pytest.mark.parametrize("coefficients", [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 0.0, 1.0)])
@pytest.mark.parametrize("links", [30, 120])
def test_reduced_systems_of_constant_chains(coefficients, links):
    # What is left of the segments' own rounding errors: see `SEGMENT`.
    n = 30_000
    lower, main, upper = coefficients
    rng = np.random.default_rng(links)
    ends = rng.choice(n, 2 * links, replace=False)
    A = stridiag.StridiagMatrix.from_diagonals(
        {-1: lower, 0: main, 1: upper}, (ends[::2], ends[1::2], rng.choice([-1.0, 1.0], links)), shape=n
    )
    assert A.structure.link_count > links // 2
    F = A.factor(method="chain")
    assert F.plan.layout.reduced_method.kind == "frontal"
    assert F.plan.operations.exact
    b = rng.standard_normal(n)
    for matrix, trans in ((A, "N"), (A.T, "T")):
        x = F.solve(b, trans=trans)
        size = np.abs(matrix.to_scipy()).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
        assert np.abs(matrix @ x - b).max() < 5e-15 * size


@pytest.mark.parametrize("scale", [1e-290, 1e290])
def test_extreme_magnitudes(scale):
    dense = random_matrix(20, 0.1, np.float64, 3)
    pattern = pattern_of(dense)
    plan = FrontPlan.build(pattern)
    b = np.ones((20, 1))
    x = FrontHouseholder(data_of(dense, pattern), plan).solve(b.copy())
    scaled = FrontHouseholder(data_of(dense, pattern) * scale, plan).solve(b.copy() * scale)
    np.testing.assert_allclose(scaled, x, rtol=1e-9)


def test_operations_are_exact():
    for seed in range(5):
        dense = random_matrix(25, 0.07, np.float64, seed)
        pattern = pattern_of(dense)
        plan = FrontPlan.build(pattern)
        with recording() as factor:
            Q = FrontHouseholder(data_of(dense, pattern), plan)
        with recording() as solve:
            Q.solve(np.ones((25, 1)))
        with recording() as adjoint:
            Q.solve(np.ones((25, 2)), adjoint=True)
        predicted = plan.cost.operations
        assert (factor[0], solve[0], adjoint[0]) == (predicted.factor, predicted.solve, 2 * predicted.solve)
        assert Q.nbytes == plan.cost.bytes


def test_an_empty_column_is_refused():
    for seed in range(10):
        dense = random_matrix(12, 0.1, np.float64, seed)
        dense[:, seed] = 0
        assert FrontPlan.build(pattern_of(dense)) is None


def test_patterns_without_a_full_matching_are_refused_or_found_singular():
    refused = 0
    for seed in range(30):
        dense = random_matrix(12, 0.1, np.float64, seed)
        if seed % 2:
            dense[4:7] = 0
            dense[4:7, 3] = 1.0
        else:
            dense[4] = 0
        for matrix in (dense, np.ascontiguousarray(dense.T)):
            pattern = pattern_of(matrix)
            plan = FrontPlan.build(pattern)
            if plan is None:
                refused += 1
            else:
                Q = FrontHouseholder(data_of(matrix, pattern), plan)
                assert Q.singularity is not None or Q.slogdet()[1] < -25
    assert refused > 10


def test_too_much_fill_is_refused():
    rng = np.random.default_rng(0)
    n = 900
    dense = np.eye(n) + (rng.random((n, n)) < 4 / n)
    assert FrontPlan.build(pattern_of(dense)) is None


def test_a_dependent_column_is_named():
    dense = random_matrix(15, 0.2, np.float64, 1)
    pattern = pattern_of(dense)
    data = data_of(dense, pattern)
    data[pattern.indptr[6] : pattern.indptr[7]] = 0
    Q = FrontHouseholder(data, FrontPlan.build(pattern))
    assert Q.singularity.column == 6
    assert Q.slogdet() == (0.0, -np.inf)
    assert np.isnan(Q.solve(np.ones((15, 1)))).all()


@pytest.mark.parametrize("place", [0, 7, -1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_seen(place, bad):
    dense = random_matrix(15, 0.2, np.float64, 2)
    pattern = pattern_of(dense)
    data = data_of(dense, pattern)
    data[place] = bad
    Q = FrontHouseholder(data, FrontPlan.build(pattern))
    assert Q.singularity is not None


def test_the_reduced_system_of_a_hundred_links_takes_few_operations():
    structure = stridiag.random(100_000, (-1, 0, 1), 100, rng=0).structure
    method = CondensationLayout.build(ChainLayout(structure, 1)).reduced_method
    # A dense one of the same order would take 85 million.
    assert method.cost.operations.factor < 10**6
