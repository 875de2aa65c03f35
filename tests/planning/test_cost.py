"""Operations predicted by the plan, against operations executed by the kernels' own loops on counting numbers."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import condensation, determinant, tridiagonal_lu
from stridiag.planning import condensation as planned
from stridiag.planning.chain import ChainLayout, TridiagonalLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.testing import count, counted


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 57])
@pytest.mark.parametrize("kind", ["random", "dominant", "zero diagonal"])
def test_tridiagonal_counts_are_exact(n, kind):
    rng = np.random.default_rng(n)
    dl, d, du = rng.standard_normal((3, n))
    dl[-1:] = du[-1:] = 0
    d += 5.0 * (kind == "dominant")
    d *= kind != "zero diagonal" or np.arange(n) == n - 1
    factors = (*map(counted, (dl, d, du, np.zeros(n))), np.zeros(n, bool))
    predicted = TridiagonalLayout(ChainLayout(stridiag.Structure(n), 1)).cost.operations
    assert predicted.exact
    assert count(tridiagonal_lu.factor, *factors) == predicted.factor
    for solve in (tridiagonal_lu.solve, tridiagonal_lu.solve_adjoint):
        for m in (1, 3):
            assert count(solve, *factors, counted(rng.standard_normal((n, m)))) == m * predicted.solve
    assert count(determinant.log_product, counted(np.linspace(1e-3, 1e200, n))) == predicted.slogdet
    assert predicted.inverse == n * predicted.solve


@pytest.mark.parametrize(("n", "stride", "links"), [(30, 1, 1), (60, 1, 3), (60, 2, 2), (90, 3, 4), (17, 1, 5)])
def test_condensation_counts_are_never_exceeded(n, stride, links):
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, stride))
    segments = (layout.first, layout.last, layout.neighbours)
    rows = counted(np.zeros((n, 8)))
    leftover = counted(np.zeros((layout.first.size, 2, 5)))
    interior = n - layout.columns.size
    executed = count(
        condensation.condense, *map(counted, layout.chain.tridiagonal(A.values)), *segments, rows, leftover
    )
    assert executed == planned.CONDENSE * interior + planned.CONDENSE_SEGMENT * layout.first.size
    x = counted(np.ones((n, 1)))
    z = counted(np.ones((layout.columns.size, 1)))
    numbers = counted(A.values[layout.link_slots])
    bound = planned.CONDENSED_SOLVE * interior + 3 * numbers.size + 2 * layout.first.size
    for substitute, backwards in (
        (condensation.back_substitute, False),
        (condensation.forward_substitute_adjoint, True),
    ):
        executed = count(condensation.reflect, rows, *segments, x, backwards)
        executed += count(substitute, rows, *segments, layout.link_start, layout.link_kept, numbers, z, x)
        # A bound, and not a loose one: only the ends of chains and segments do less.
        assert 0.7 * bound < executed <= bound


def test_counts_grow_linearly_with_n():
    small = stridiag.plan(stridiag.random(10_000, (-2, 0, 2), 20, rng=0).structure)
    large = stridiag.plan(stridiag.random(100_000, (-2, 0, 2), 20, rng=0).structure)
    assert not small.operations.exact
    assert large.operations.factor < 10.5 * small.operations.factor
    assert large.operations.solve < 10.5 * small.operations.solve


def test_bounds_hold_for_the_sparse_factorizations():
    A = stridiag.random(400, (-3, 0, 2), 30, rng=1)
    P = stridiag.plan(A.structure, method="sparse-qr")
    F = A.factor(method="sparse-qr")
    assert F.nbytes <= P.bytes
    lu = stridiag.plan(A.structure, method="sparse-lu")
    assert lu.operations.factor > P.operations.factor > 0
    assert A.factor(method="sparse-lu").nbytes <= 2 * lu.bytes


def test_bytes_of_chains_are_those_of_the_factor():
    A = stridiag.random(1000, (-5, 0, 5), 0, rng=1)
    assert A.factor().nbytes == stridiag.plan(A.structure).bytes
    B = stridiag.random(1000, (-5, 0, 5), 8, rng=1)
    assert B.factor().nbytes <= stridiag.plan(B.structure).bytes
