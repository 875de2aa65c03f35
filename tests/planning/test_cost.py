"""Operations predicted by the plan, against operations executed by the kernels' own loops on counting numbers."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import (
    condensation,
    condensed_sides,
    determinant,
    reduced_sums,
    separator_tree,
    tridiagonal_batch,
    tridiagonal_lu,
)
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.reduced import factor_reduced
from stridiag.planning import condensation as planned
from stridiag.planning import inverse_cost
from stridiag.planning.chain import ChainLayout, TridiagonalLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.testing import count, counted, recording


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
            # All right-hand sides share the reciprocals of the pivots.
            executed = count(solve, *factors, counted(rng.standard_normal((n, m))))
            assert executed == m * predicted.solve - (m - 1) * n
    assert count(determinant.log_product, counted(np.linspace(1e-3, 1e200, n))) == predicted.slogdet
    assert predicted.inverse == inverse_cost.chain_inverse([n])


STRUCTURES = [(30, 1, 1), (60, 1, 3), (60, 2, 2), (90, 3, 4), (17, 1, 5), (40, 20, 6), (25, 1, 20)]


def count_condensation(A, stride):
    """Run everything that `Condensation` does on counting numbers; return factor, solve, adjoint solve, slogdet."""
    layout = CondensationLayout.build(ChainLayout(A.structure, stride))
    tree, segments, n = layout.tree, layout.first.size, layout.chain.n
    stretches = (layout.first, layout.last, layout.neighbours)
    rows, nodes = counted(np.zeros((n, 8))), counted(np.zeros((tree.tail.size, separator_tree.WIDTH)))
    leftover = counted(np.zeros((segments + tree.tail.size, 2, 5)))
    tridiagonal = tuple(map(counted, layout.chain.tridiagonal(A.values)))
    factor = count(condensation.condense, *tridiagonal, *stretches, rows, leftover)
    factor += count(separator_tree.eliminate, tree.children, segments, leftover, nodes, counted(np.zeros((4, 7))))
    links = counted(A.values[layout.link_slots])
    reduced = layout.reduced
    listed = (reduced.place, reduced.sources, reduced.linked, reduced.ends)
    sums = counted(np.zeros(reduced.indices.size))
    factor += count(reduced_sums.add_up, counted(A.values), *tridiagonal, leftover, links, *listed, sums)
    r = layout.core.size
    with recording() as inner:
        reduced = factor_reduced(np.random.default_rng(0).random(layout.reduced.indices.size), layout.reduced_method)
    factor += inner[0]
    x, z = (counted(np.ones((size, 1))) for size in (n, layout.columns.size))
    last_row_links = (layout.link_start, layout.link_kept, links)
    tree_part = (nodes, tree.slots, tree.around, tree.tail, *last_row_links, x, z)
    solves = []
    for backwards, substitute, substitute_nodes in (
        (False, condensed_sides.back_substitute, separator_tree.substitute_nodes),
        (True, condensation.forward_substitute_adjoint, separator_tree.substitute_nodes_adjoint),
    ):
        executed = count(condensed_sides.reflect, rows, *stretches, x, backwards)
        executed += count(separator_tree.reflect_nodes, nodes, tree.slots, x, backwards)
        with recording() as inner:
            reduced.solve(np.ones((r, 1)), adjoint=backwards)
        executed += inner[0]
        executed += count(substitute, rows, *stretches, *last_row_links, z, x) + count(substitute_nodes, *tree_part)
        solves.append(executed)
    interior = n - layout.columns.size
    pivots = [counted(np.ones(size)) for size in (interior, 2 * tree.tail.size, r)]
    slogdet = sum(count(determinant.log_product, part) for part in pivots) + 2  # their sum
    return layout, factor, *solves, slogdet


@pytest.mark.parametrize("segment", [5, 256])
@pytest.mark.parametrize(("n", "stride", "links"), STRUCTURES)
def test_condensation_counts_are_exact(monkeypatch, n, stride, links, segment):
    monkeypatch.setattr(planned, "SEGMENT", segment)
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n)
    layout, factor, solve, adjoint, slogdet = count_condensation(A, stride)
    predicted = layout.cost.operations
    assert predicted.exact
    assert (factor, solve, adjoint, slogdet) == (predicted.factor, predicted.solve, predicted.solve, predicted.slogdet)
    # One block of columns, which share the reciprocals of the pivots: see test_inverse_cost.py.
    assert predicted.inverse == n * solve - (n - 1) * (n - layout.columns.size)
    assert Condensation(layout, A.values).nbytes == layout.cost.bytes


def test_counts_grow_linearly_with_n():
    small = stridiag.plan(stridiag.random(10_000, (-2, 0, 2), 20, rng=0).structure)
    large = stridiag.plan(stridiag.random(100_000, (-2, 0, 2), 20, rng=0).structure)
    assert small.operations.exact
    assert large.operations.exact
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


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("members", [1, 4, 6])
def test_a_batch_takes_the_operations_of_its_members(n, members):
    rng = np.random.default_rng(n)
    values = rng.standard_normal((members, 3 * n))
    values[:, [n - 1, 3 * n - 1]] = 0.0
    source = np.arange(3 * n).reshape(3, n)
    factors = [counted(np.zeros((members, n))) for _ in range(4)]
    factors.append(np.zeros((members, n), bool))
    carry = counted(np.zeros((2, tridiagonal_batch.LANES)))
    predicted = TridiagonalLayout(ChainLayout(stridiag.Structure(n), 1)).cost.operations
    info = np.zeros(members, np.int64)
    executed = count(tridiagonal_batch.factor, counted(values), source, *factors, info, carry)
    assert executed == members * predicted.factor
    for solve in (tridiagonal_batch.solve, tridiagonal_batch.solve_adjoint):
        for m in (1, 3):
            right = counted(rng.standard_normal((members, n, m)))
            assert count(solve, *factors, right) == members * (m * predicted.solve - (m - 1) * n)
