"""Bands with links: what is kept, what lies between, and the operations of the kernels."""

import numpy as np
import pytest

import stridiag
from stridiag import Structure
from stridiag._kernels import band_condensation as kernels
from stridiag._kernels import determinant
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.reduced import factor_reduced
from stridiag.planning.band_condensation import BandCondensationLayout, build
from stridiag.planning.layout import NotApplicable
from stridiag.planning.residue_band import ResidueBand
from stridiag.testing import Counted, count, counted, recording


def lay_out(structure, longest=512):
    return BandCondensationLayout.build(ResidueBand.of(structure), longest=longest)


def bounds(layout):
    """Return the first and last position of the class of each segment."""
    starts = layout.band.chain.starts
    of = np.searchsorted(starts, layout.segments[:, 0], side="right") - 1
    return starts[of], starts[of + 1] - 1


# ---------------------------------------------------------------------- the band


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ((-3, 0, 2), (1, 3, 2)),
        ((-6, 0, 4), (2, 3, 2)),
        ((-10, -5, 0, 15), (5, 2, 3)),
        ((0, 3), (3, 0, 1)),
        ((-7,), (7, 1, 0)),
        ((1, 2), (1, 0, 2)),
    ],
)
def test_offsets_are_divided_by_their_greatest_common_divisor(offsets, expected):
    band = ResidueBand.of(Structure(40, offsets))
    assert (band.chain.stride, band.lower, band.upper) == expected
    assert band.aside == 0
    assert band.links[0].size == 0


def test_short_diagonals_are_links():
    band = ResidueBand.of(Structure(60, (-2, 0, 1, 55)))
    assert (band.lower, band.upper, band.offsets) == (2, 1, (-2, 0, 1))
    assert band.aside == band.links[0].size == 5
    assert (band.links[2] - band.links[1]).tolist() == [55] * 5


def test_every_entry_is_in_the_band_or_a_link():
    # Links on a diagonal, in the band beside the diagonals, on another class, and outside.
    links = ([0, 0, 9, 20, 30], [2, 4, 8, 23, 2])
    A = stridiag.random(40, (-6, 0, 4), 0, rng=0) + stridiag.StridiagMatrix.from_diagonals(
        {}, (*links, np.arange(1.0, 6.0)), shape=40
    )
    band = ResidueBand.of(A.structure)
    table = band.fill(A.values)
    dense = np.zeros((40, 40))
    for k in range(band.width + 1):
        row = np.arange(40)
        column = row + k - band.lower
        inside = (column >= 0) & (column < 40)
        dense[row[inside], column[inside]] = table[row[inside], k]
        assert not table[row[~inside], k].any()
    slot, row, column = band.links
    dense[row, column] += A.values[slot]
    order = band.chain.positions(np.arange(40))
    np.testing.assert_array_equal(dense[np.ix_(order, order)], A.toarray())
    assert set(band.present.tolist()) >= {0, 3, 5}


# ---------------------------------------------------------------------- the layout


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 4), (-1, 0, 3), (-4, 2), (0, 1, 3), (-2, -1, 0), (-1, 0, 1)])
@pytest.mark.parametrize("longest", [8, 512])
def test_rows_of_segments_are_disjoint_and_hold_links_in_their_last_row_only(offsets, longest):
    rng = np.random.default_rng(len(offsets) + longest)
    for _ in range(30):
        n = int(rng.integers(6, 90))
        pairs = rng.integers(0, n, (2, int(rng.integers(0, 6))))
        layout = lay_out(Structure(n, offsets, pairs), longest)
        lower, upper, width = layout.band.lower, layout.band.upper, layout.band.width
        _, rows, targets = layout.band.links
        kept = np.zeros(n, bool)
        kept[layout.columns] = True
        assert kept[targets].all()
        assert layout.lengths.sum() + layout.columns.size == n
        assert layout.lengths.max(initial=0) <= longest
        used = np.zeros(n, int)
        for (a, b, above, left, below, right, place), start, end in zip(
            layout.segments.tolist(), *bounds(layout), strict=True
        ):
            touching = range(max(start, a - upper), min(end, b + lower) + 1)
            assert (touching[0], touching[-1]) == (a - above, b + below)
            used[touching[0] : touching[-1] + 1] += 1
            assert left == min(width, a - start)
            assert right == min(width, end - b)
            assert kept[a - left : a].all()
            assert kept[b + 1 : b + 1 + right].all()
            assert layout.columns[place - left : place + right].tolist() == [
                *range(a - left, a),
                *range(b + 1, b + 1 + right),
            ]
            linked = rows[(rows >= touching[0]) & (rows <= touching[-1])]
            assert (linked == b + lower).all()
        assert used.max(initial=0) <= 1
        # What belongs to no segment has its entries in kept columns only: the reduced system is square.
        assert np.count_nonzero(used == 0) + (used.sum() - layout.lengths.sum()) == layout.columns.size
        assert np.array_equal(np.unique(layout.leftover), layout.leftover)


def test_a_link_keeps_no_more_than_two_separators():
    layout = lay_out(Structure(1000, (-3, 0, 2), ([300], [700])))
    assert layout.columns.tolist() == [*range(298, 303), *range(700, 705)]
    assert layout.link_slots.size == 1


@pytest.mark.parametrize(
    ("structure", "why"),
    [
        (Structure(100, (0,), ([3], [50])), "holds the long diagonals"),
        (Structure(100, (-7, 0, 5), ([3], [50])), "total width 8 or less"),
        (Structure(100, (-4, 0, 4), ([3], [50])), "method 'chain'"),
        (Structure(100, (0, 4), ([3], [50])), "method 'chain'"),
        (Structure(100, (-3, 0, 2)), "no links"),
        (Structure(100, (-3, 0, 2), (np.arange(0, 90, 6), np.arange(90, 0, -6))), "columns would be kept"),
        (Structure(100, (-30, -3, 0, 2)), "total width 8 or less"),
        (Structure(100, (-60, -3, 0, 2)), "of 100 columns would be kept"),
        (Structure(5, (-3, 0, 2), ([0], [4])), "columns would be kept"),
    ],
)
def test_what_condensation_does_not_serve(structure, why):
    with pytest.raises(NotApplicable, match=why):
        build(structure)
    with pytest.raises(stridiag.StructureError, match=why):
        stridiag.plan(structure, method="condensation")


def test_the_plan_takes_it_where_links_are_few_and_says_so():
    structure = stridiag.random(20_000, (-3, 0, 2), 30, rng=0).structure
    plan = stridiag.plan(structure)
    assert plan.method == "condensation"
    assert "bands of widths 3 and 2" in str(plan)
    assert plan.cost.price < plan.alternatives["sparse-lu"].price
    assert stridiag.plan(stridiag.random(20_000, (-3, 0, 2), 4000, rng=0).structure).method == "sparse-lu"


# ---------------------------------------------------------------------- counts


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-1, 0, 3), (-4, 0, 2), (0, 1, 3), (-3, -1, 0), (-2, 0, 1)])
@pytest.mark.parametrize("links", [0, 1, 4])
@pytest.mark.parametrize("longest", [9, 512])
def test_counts_are_exact(offsets, links, longest):
    n = 41
    A = stridiag.random(n, offsets, links, rng=links)
    layout = lay_out(A.structure, longest)
    w, lower, segments = layout.band.width, layout.band.lower, layout.segments
    predicted = layout.cost.operations
    assert predicted.exact
    rows = counted(np.zeros((n, 3 * w + 2)))
    leftover = counted(np.zeros((len(segments), w, 2 * w)))
    entering = counted(np.zeros((len(segments), w + 1)))
    band = counted(layout.band.fill(A.values))
    work = counted(np.zeros(kernels.work_size(w)))
    factor = count(kernels.condense, (0,) * w, lower, segments, band, rows, leftover, entering, work, 1e140)
    assert factor == layout.kernel_operations[0]
    links = counted(np.ones(layout.link_slots.size))
    Counted.total = 0
    sources = layout.reduced.sources(leftover, entering, links, band.ravel()[layout.reduced.outer], counted(A.values))
    # Each is added to its place; links are multiplied by what lets them into pivot rows.
    factor += Counted.total + sources.size + links.size
    r = layout.columns.size
    data = np.random.default_rng(0).standard_normal(layout.reduced.indices.size)
    with recording() as inner:
        reduced = factor_reduced(data, layout.reduced_method)
    factor += inner[0]
    assert factor == predicted.factor
    link_part = (layout.link_start, layout.link_kept, links)
    for m in (1, 2):
        x, z = (counted(np.ones((size, m))) for size in (n, r))
        for backwards, substitute in ((False, kernels.back_substitute), (True, kernels.forward_substitute_adjoint)):
            executed = count(kernels.reflect, lower, segments, rows, x, backwards)
            executed += count(substitute, segments, rows, *link_part, z, x)
            with recording() as inner:
                reduced.solve(np.ones((r, m)), adjoint=backwards)
            executed += inner[0]
            assert executed == m * predicted.solve
    pivots = (counted(np.ones(n - r)), counted(np.ones(r)))
    assert sum(count(determinant.log_product, part) for part in pivots) + 1 == predicted.slogdet
    assert predicted.inverse == n * predicted.solve
    assert BandCondensation(layout, A.values).nbytes == layout.cost.bytes


def test_with_many_kept_columns_counts_are_bounds():
    A = stridiag.random(20_000, (-3, 0, 2), 600, rng=0)
    plan = stridiag.plan(A.structure, method="condensation")
    factor, solve = plan.layout.kernel_operations
    assert not plan.operations.exact
    assert factor < plan.operations.factor
    assert solve < plan.operations.solve
    assert A.factor(method="condensation").nbytes <= plan.bytes


def test_with_few_kept_columns_counts_are_exact():
    A = stridiag.random(8000, (-3, 0, 2), 20, rng=0)
    plan = stridiag.plan(A.structure, method="condensation")
    assert plan.operations.exact
    assert plan.layout.reduced_method.kind == "frontal"
    assert A.factor(method="condensation").nbytes == plan.bytes
