"""Which patterns are triangular or cyclic, in what order, and at what cost."""

import math
import time

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import stridiag
from stridiag._kernels import cyclic_lu, determinant, substitution
from stridiag.factorization.cyclic import CyclicLU
from stridiag.factorization.triangular import triangle
from stridiag.planning.layout import NotApplicable
from stridiag.planning.matching import matched_rows
from stridiag.planning.triangular import CyclicLayout, TriangularLayout
from stridiag.structure import Structure
from stridiag.testing import count, counted


def build(layout, structure):
    try:
        return layout.build(structure)
    except NotApplicable:
        return None


def parts(structure):
    """Return what strong components say: sizes, and entries within, of the matched pattern; None without matching."""
    n = structure.shape[0]
    rows, columns = structure.coordinates()
    matched = matched_rows(rows, columns, n)
    if (matched < 0).any():
        return None
    owner = np.empty(n, int)
    owner[matched] = np.arange(n)
    at, to = owner[rows], columns
    _, labels = connected_components(coo_array((np.ones(at.size), (at, to)), (n, n)).tocsr(), connection="strong")
    sizes = np.bincount(labels)
    inside = (labels[at] == labels[to]) & (at != to)
    return sizes, np.bincount(labels[at[inside]], minlength=sizes.size)


def agrees_with_strong_components(structure):
    found = parts(structure)
    triangular, cyclic = build(TriangularLayout, structure), build(CyclicLayout, structure)
    if found is None:
        assert triangular is None
        assert cyclic is None
        return
    sizes, inside = found
    assert (triangular is not None) == bool((sizes == 1).all())
    assert (cyclic is not None) == bool((inside[sizes > 1] == sizes[sizes > 1]).all())
    if cyclic is not None:
        assert sorted(cyclic.cycle_lengths) == sorted(sizes[sizes > 1])


def test_two_offsets_follow_the_formula():
    for n in range(2, 15):
        for p in range(1, n):
            for q in range(1, n):
                structure, g = Structure(n, (-q, 0, p)), math.gcd(p, q)
                agrees_with_strong_components(structure)
                assert (build(TriangularLayout, structure) is not None) == (p + q >= n + g)
                cyclic = build(CyclicLayout, structure)
                assert (cyclic is not None) == (p + q >= n)
                if cyclic is not None:
                    assert cyclic.cycle_lengths.size == max(n - (p + q - g), 0)
                    assert p + q != n or set(cyclic.cycle_lengths) == {n // g}


def test_any_offsets_and_links_agree_with_strong_components():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(600):
        n = int(rng.integers(1, 11))
        offsets = set(rng.integers(1 - n, n, rng.integers(0, 4)).tolist()) | ({0} if rng.random() < 0.6 else set())
        links = rng.integers(0, n, (2, rng.integers(0, n + 2)))
        structure = Structure(n, offsets, (links[0], links[1]))
        agrees_with_strong_components(structure)
        kinds.add((build(TriangularLayout, structure) is None, build(CyclicLayout, structure) is None, 0 in offsets))
    assert kinds == {(a, b, c) for a, b in ((False, False), (True, False), (True, True)) for c in (False, True)}


def test_the_order_is_triangular_and_each_cycle_leads_to_its_next_column():
    rng = np.random.default_rng(1)
    for n, offsets, links in ((12, (-7, 0, 5), 0), (12, (-7, 0, 6), 2), (9, (1, -8), 0), (10, (-1, 1), 0), (8, (), 20)):
        places = (
            rng.integers(0, n, (2, links)) if offsets else (np.r_[np.arange(8), :3], np.r_[np.arange(8)[::-1], 3:6])
        )
        structure = Structure(n, offsets, (places[0], places[1]))
        layout = build(CyclicLayout, structure)
        if layout is None:
            continue
        order = layout.order
        dense = np.zeros((n, n))
        dense[structure.coordinates()] = np.arange(1, structure.nnz + 1)
        ordered = dense[order.rows][:, order.columns]
        np.testing.assert_array_equal(np.diag(ordered), order.pivots + 1)
        for first, end in zip(layout.starts[:-1], layout.starts[1:], strict=True):
            assert not ordered[first:end, end:].any()
            if end - first > 1:
                following = np.r_[first + 1 : end, first]
                np.testing.assert_array_equal(ordered[np.arange(first, end), following], layout.upper[first:end] + 1)
                assert np.count_nonzero(ordered[first:end, first:end]) == 2 * (end - first)


@pytest.mark.parametrize(
    ("structure", "method", "message"),
    [
        (Structure(9, (-1, 0, 1)), "triangular", r"offsets -1 and 1 close a cycle, since 1 \+ 1 < 9 \+ 1"),
        (Structure(9, (-1, 0, 1)), "cyclic", "offsets -1 and 1 close cycles that meet"),
        (Structure(9, (0, 2), ([5], [1])), "triangular", "a link closes a cycle with the offset 2"),
        (Structure(9, (1,)), "cyclic", "no pairing"),
        (Structure(9, (-8, 8), ([0], [0])), "triangular", "no pairing"),
        (Structure(4, range(-3, 4)), "triangular", "close a cycle"),
        (Structure(4, (), tuple(np.indices((4, 4)).reshape(2, -1))), "triangular", "no row has a single entry"),
        (Structure(4, (), tuple(np.indices((4, 4)).reshape(2, -1))), "cyclic", "less than three entries"),
        (Structure(9, (0, 1), ([5, 8], [2, 1])), "cyclic", "two cycles of its graph meet"),
        (Structure(5, (0,), ([0, 1, 2], [1, 2, 0])), "triangular", "its graph has a cycle"),
    ],
)
def test_why_a_method_does_not_serve(structure, method, message):
    with pytest.raises(stridiag.StructureError, match=message):
        stridiag.plan(structure, method=method)


def test_auto_takes_them_where_they_are_cheapest():
    for structure, method in (
        (Structure(500, (0, 3)), "triangular"),
        (Structure(500, (-300, 0, 250)), "triangular"),
        (Structure(500, (-240, 0, 260)), "cyclic"),
        (Structure(500, (-1, 1)), "triangular"),
        (Structure(500, (-1, 0, 1)), "chain"),
        (Structure(500, (-1, 0, 1), ([3], [400])), "chain"),
    ):
        assert stridiag.plan(structure).method == method
    assert "20 cycles" in str(stridiag.plan(Structure(500, (-240, 0, 260))))


def test_a_million_rows_are_planned_in_a_second_and_bands_refused_at_once():
    n = 10**6
    TriangularLayout.build(Structure(20, (-12, 0, 11)))
    CyclicLayout.build(Structure(20, (-10, 0, 10)))
    rng = np.random.default_rng(0)
    links = rng.integers(0, n, (2, 5000))
    below = Structure(n, (-1, 0), (links.max(axis=0), links.min(axis=0)))
    for layout, structure, seconds in (
        (TriangularLayout, Structure(n, (0, 1, 7)), 0.05),
        (TriangularLayout, below, 3.0),
        (CyclicLayout, Structure(n, (-500_001, 0, 499_999)), 3.0),
        (TriangularLayout, Structure(n, (-1, 0, 1), (links[0], links[1])), 0.05),
        (CyclicLayout, Structure(n, (-3, 0, 2), (links[0], links[1])), 0.05),
    ):
        start = time.perf_counter()
        build(layout, structure)
        # Three times what was measured, for a busy machine.
        assert time.perf_counter() - start < seconds


# ---------------------------------------------------------------------- cost


def structures():
    rng = np.random.default_rng(3)
    yield from (Structure(n, (0,)) for n in (0, 1, 2))
    yield from (Structure(9, (-3, -1, 0)), Structure(9, (0, 1, 8)), Structure(9, (-6, 0, 5)))
    links = rng.integers(0, 12, (2, 15))
    yield Structure(12, (0,), (links.min(axis=0), links.max(axis=0)))


@pytest.mark.parametrize("structure", list(structures()), ids=str)
def test_substitution_counts_are_exact(structure):
    n = structure.shape[0]
    A = stridiag.StridiagMatrix(structure, np.linspace(1, 2, structure.nnz))
    layout = TriangularLayout.build(structure)
    predicted = layout.cost.operations
    member = triangle(layout, A.values)
    for m in (1, 3):
        b = counted(np.linspace(1, 2, n * m).reshape(n, m))
        if layout.order is None:
            places = (member._offsets, member._starts, member._main, counted(A.values), layout.upper)
            assert count(substitution.substitute_diagonals, *places, b) == m * predicted.solve
            places = (-member._offsets, *places[1:4], not layout.upper)
            assert count(substitution.substitute_diagonals, *places, b) == m * predicted.solve
        else:
            rows = (*member._rows[:2], *map(counted, member._rows[2:]))
            assert count(substitution.substitute_rows, *rows, b) == m * predicted.solve
            assert count(substitution.substitute_rows_adjoint, *rows, b) == m * predicted.solve
    assert (predicted.factor, predicted.inverse, predicted.exact) == (0, n * predicted.solve, True)
    assert count(determinant.log_product, counted(np.ones(n))) == predicted.slogdet
    assert member.nbytes == layout.cost.bytes


@pytest.mark.parametrize(
    "structure",
    [Structure(n, (-q, 0, n - q)) for n, q in ((2, 1), (3, 1), (6, 2), (9, 2), (12, 6))]
    + [
        Structure(11, (-5, 0, 6), ([], [])),
        Structure(9, (0,), ([1, 2, 5, 8, 8], [2, 1, 2, 1, 0])),
        Structure(5, (0, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["random", "dominant", "signs"])
def test_cyclic_counts_are_exact(structure, kind):
    n = structure.shape[0]
    rng = np.random.default_rng(n)
    values = rng.choice([-1.0, 1.0], structure.nnz) if kind == "signs" else rng.standard_normal(structure.nnz)
    values[structure.diagonal_slots(0)] += 5.0 * (kind == "dominant")
    layout = CyclicLayout.build(structure)
    predicted = layout.cost.operations
    member = CyclicLU(layout, values)
    upper = np.zeros(n)
    upper[layout.upper >= 0] = values[layout.upper[layout.upper >= 0]]
    cycles = (*map(counted, (values[layout.order.pivots], upper, np.zeros(n))), np.zeros(n, bool))
    assert count(cyclic_lu.factor, layout.starts, *cycles) == predicted.factor
    between = (*member._between[:3], counted(member._between[3]))
    for solve in (cyclic_lu.solve, cyclic_lu.solve_adjoint):
        for m in (1, 3):
            assert count(solve, *between, *cycles, counted(np.ones((n, m)))) == m * predicted.solve
    assert predicted.exact
    assert predicted.inverse == n * predicted.solve
    assert count(determinant.log_product, counted(np.ones(n))) == predicted.slogdet
