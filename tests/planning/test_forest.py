"""Peeling, the order of elimination, the core, the counts, and when the forest is chosen."""

import numpy as np
import pytest
from scipy.sparse import coo_array

import stridiag
from stridiag import Structure, StructureError
from stridiag._kernels import determinant, forest
from stridiag.planning.forest import ForestLayout
from stridiag.planning.layout import NotApplicable
from stridiag.testing import count, counted


def graph(n, edges, rng, extra=0):
    """Return a structure with a random tree thinned out to so many edges, some of them one-sided, and further edges."""
    label = rng.permutation(n)
    child = rng.permutation(np.arange(1, n))[:edges]
    ends = label[child], label[(rng.random(child.size) * child).astype(int)]
    ends = tuple(np.append(part, rng.integers(0, n, extra)) for part in ends)
    kept = rng.random((2, ends[0].size)) < 0.8
    rows = np.concatenate((ends[0][kept[0]], ends[1][kept[1]]))
    columns = np.concatenate((ends[1][kept[0]], ends[0][kept[1]]))
    return Structure(n, (0,) if rng.random() < 0.5 else (), (rows, columns))


def two_core(structure):
    """Return the vertices left when those with fewer than two neighbours are removed until none is."""
    near = [set() for _ in range(structure.shape[0])]
    for i, j in zip(*(part.tolist() for part in structure.coordinates()), strict=True):
        if i != j:
            near[i].add(j)
            near[j].add(i)
    left = set(range(len(near)))
    while thin := {v for v in left if len(near[v] & left) < 2}:
        left -= thin
    return sorted(left)


@pytest.mark.parametrize("extra", [0, 1, 2, 9])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 40, 150])
def test_layouts_of_random_graphs(n, extra):
    rng = np.random.default_rng(n + extra)
    built = 0
    for _ in range(20):
        S = graph(n, int(rng.integers(0, n)), rng, extra)
        core = two_core(S)
        if len(core) == n:
            with pytest.raises(NotApplicable, match="cycle"):
                ForestLayout.build(S)
            continue
        built += 1
        L = ForestLayout.build(S)
        edges = L.parent.size
        assert sorted(L.order.tolist()) == list(range(n))
        assert L.order[L.trees :].tolist() == core
        assert (L.core is None) == (not core)
        # Children come before their parents, siblings stand together, and roots have no parent.
        assert (L.parent > np.arange(edges)).all()
        assert (np.diff(L.parent) >= 0).all()
        rows, columns = S.coordinates()
        own, above = L.order[:edges], L.order[L.parent]
        np.testing.assert_array_equal(S.slots(own, above), L.up)
        np.testing.assert_array_equal(S.slots(above, own), L.down)
        np.testing.assert_array_equal(S.slots(L.order, L.order), L.diagonal)
        assert ((L.up >= 0) | (L.down >= 0)).all()
        # Every entry is on the diagonal, on an edge of a tree, or within the core.
        inside = 0 if L.core is None else L.core.slots.size
        on_diagonal = np.count_nonzero(rows == columns)
        assert on_diagonal + np.count_nonzero(L.up >= 0) + np.count_nonzero(L.down >= 0) + inside == S.nnz
        if L.core is not None:
            np.testing.assert_array_equal(np.array(core)[L.core.rows], rows[L.core.slots])
            np.testing.assert_array_equal(np.array(core)[L.core.columns], columns[L.core.slots])
            assert L.core.attached.tolist() == np.unique(L.parent[L.parent >= L.trees] - L.trees).tolist()
    assert built > 0


def test_one_sided_and_two_sided_entries_are_one_edge():
    # Indices so far apart that sums of squares differ only in their last digits.
    n = 3_000_000
    S = Structure(n, (0,), ([0, n - 2, n - 1, 0], [n - 2, 0, 0, n - 1]))
    L = ForestLayout.build(S)
    assert L.parent.size == 2
    assert L.order[L.parent].tolist() == [0, 0]
    assert L.roots == n - 2


def test_the_method_says_why_it_does_not_serve():
    with pytest.raises(StructureError, match=r"'forest' does not serve .* every index lies on a cycle"):
        stridiag.plan(Structure(3, (-2, -1, 0, 1, 2)), method="forest")


def test_what_auto_takes():
    rng = np.random.default_rng(0)
    tree = graph(500, 499, rng)
    P = stridiag.plan(tree)
    assert P.method == "forest"
    assert P.operations.exact
    assert f"{P.layout.roots} trees" in str(P)
    assert "close no cycle" in P.reason
    assert stridiag.plan(Structure(500, (-1, 0, 1))).method == "chain"
    # Trees on a small core: the core is planned by itself.
    cycle = 1000 + np.arange(60)
    links = np.concatenate((graph(1061, 1000, rng).coordinates(), [cycle, np.roll(cycle, 1)]), axis=1)
    P = stridiag.plan(Structure(1061, (0,), tuple(links)))
    assert P.method == "forest"
    assert not P.operations.exact
    assert P.layout.core is not None
    assert f"core of order {P.layout.core.structure.shape[0]}" in str(P)
    # A core with hardly a tree is no forest.
    n = 400
    S = Structure(n, (-7, 0, 5), ([n - 1], [0]))
    assert stridiag.plan(S).method != "forest"


def test_diagonals_within_a_core_are_found():
    ring = np.arange(200)
    S = Structure(300, (0,), (np.append(ring, np.arange(200, 300)), np.append(np.roll(ring, -1), ring[:100])))
    core = stridiag.plan(S, method="forest").layout.core
    assert core.structure.offsets == (0, 1)
    assert core.plan.method == "cyclic"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 60])
@pytest.mark.parametrize("kind", ["normal", "dominant", "zero diagonal", "signs"])
def test_counts_are_exact_whatever_the_values(n, kind):
    rng = np.random.default_rng(n)
    S = graph(n, max(n - 1 - n // 10, 0), rng) if n else Structure(0)
    L = ForestLayout.build(S)
    edges = L.parent.size
    predicted = L.cost.operations
    assert predicted.exact
    d, alpha = rng.standard_normal(n), np.ones(n)
    up, down = rng.standard_normal((2, edges))
    if kind == "zero diagonal":
        d[:] = 0
    elif kind == "dominant":
        d += 9
    elif kind == "signs":
        d, up, down = np.sign(d), np.sign(up), np.sign(down)
    d, alpha, up, down = map(counted, (d, alpha, up, down))
    m, beside, scales = (counted(np.zeros(edges)) for _ in range(3))
    executed = count(forest.factor, L.parent, up, down, d, alpha, m, beside, scales)
    zero_pivots = sum(float(pivot) == 0.0 for pivot in d[:edges])
    assert executed == predicted.factor - zero_pivots
    for k in (1, 3):
        x, sums = counted(rng.standard_normal((n, k))), counted(np.zeros((1, k)))
        upper = (L.parent, up, down, d, beside, scales, sums, x)
        lower = (L.parent, m, scales, x)
        solve = count(forest.solve_lower, *lower) + count(forest.solve_upper, *upper)
        adjoint = count(forest.solve_upper_adjoint, *upper) + count(forest.solve_lower_adjoint, *lower)
        assert solve == adjoint == k * predicted.solve
    # The reciprocals of the roots' pivots come on top of the loop over the edges.
    z, sums = counted(1 / np.maximum(np.abs(d.astype(float)), 1)), counted(np.zeros(n))
    above, below = counted(np.zeros(edges)), counted(np.zeros(edges))
    selected = (L.parent, up, down, d, m, beside, scales, sums, z, above, below)
    assert count(forest.selected_inverse, *selected) <= 12 * edges
    assert count(forest.rescale, L.parent, m, scales, counted(np.ones(n)), above, below) <= 3 * edges
    assert count(determinant.log_product, counted(np.linspace(1, 2, n))) == predicted.slogdet
    assert predicted.inverse == n * predicted.solve


def test_bytes_and_counts_are_linear_for_stars_too():
    rng = np.random.default_rng(1)
    for structure in (Structure(2000, (0,), ([0] * 1999, range(1, 2000))), graph(2000, 1999, rng)):
        P = stridiag.plan(structure, method="forest")
        A = stridiag.StridiagMatrix(structure, rng.standard_normal(structure.nnz))
        assert A.factor(method="forest").nbytes == P.bytes <= 48 * 2000
        assert P.operations.factor <= 6 * 2000
        assert P.operations.solve <= 12 * 2000


def test_bounds_of_trees_on_a_core():
    rng = np.random.default_rng(2)
    structure = graph(300, 299, rng, extra=6)
    P = stridiag.plan(structure, method="forest")
    assert P.layout.core is not None
    A = stridiag.StridiagMatrix(structure, rng.standard_normal(structure.nnz))
    assert A.factor(method="forest").nbytes <= P.bytes


def test_detection_leaves_a_forest_a_forest():
    # A cable with branches: consecutive numbers along each branch, so that the next diagonals are full but for a few.
    rng = np.random.default_rng(3)
    parent = np.arange(-1, 399)
    ends = rng.choice(np.arange(20, 400), 30, replace=False)
    parent[ends] = (rng.random(30) * (ends - 10)).astype(int)
    child = np.arange(1, 400)
    places = np.concatenate((child, parent[1:], np.arange(400))), np.concatenate((parent[1:], child, np.arange(400)))
    M = coo_array((rng.standard_normal(places[0].size), places), shape=(400, 400))
    found = stridiag.detect(M)
    assert found.offsets == (0,)
    assert found.padding == 0
    assert stridiag.plan(found.matrix.structure).method == "forest"
    np.testing.assert_array_equal(found.matrix.toarray(), M.toarray())
    assert stridiag.detect(M, offsets=(-1, 0, 1)).offsets == (-1, 0, 1)
    # Padding alone closes no cycle: a broken chain stays a chain.
    broken = np.diag(np.ones(50)) + np.diag(np.arange(49) % 7 > 0, 1)
    assert stridiag.detect(broken).offsets == (0, 1)
