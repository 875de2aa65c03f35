"""Chains, kept columns, segments and the reduced pattern."""

import numpy as np
import pytest

import stridiag
from stridiag.planning.chain import ChainLayout, best_stride
from stridiag.planning.compressed import CompressedColumns
from stridiag.planning.condensation import CondensationLayout


@pytest.mark.parametrize(
    ("n", "stride"),
    [(n, g) for n in (0, 1, 2, 3, 7, 12, 23) for g in (1, 2, 3, 5, 11) if g == 1 or g < n],
)
def test_chain_order_is_a_permutation_and_its_own_inverse(n, stride):
    offsets = (0, stride) if n > stride else (0,)
    layout = ChainLayout(stridiag.Structure(n, offsets), stride)
    x = np.arange(2 * n, dtype=float).reshape(n, 2)
    chained = layout.to_chains(x.copy())
    by_hand = [i for c in range(stride) for i in range(c, n, stride)]
    np.testing.assert_array_equal(chained, x[by_hand])
    np.testing.assert_array_equal(layout.from_chains(chained), x)
    np.testing.assert_array_equal(layout.positions(np.array(by_hand, np.int64)), np.arange(n))
    assert [layout.index(k) for k in range(n)] == by_hand
    assert layout.starts[-1] == n


def test_tridiagonal_entries_and_links_make_up_the_matrix():
    rng = np.random.default_rng(0)
    for offsets in ((-3, 0, 3), (0, 3), (-3, 3), (0,), (-3, 0, 3, 19), (-2, 0, 3)):
        A = stridiag.random(20, offsets, 12, rng=rng)
        stride, aside = best_stride(A.structure)
        layout = ChainLayout(A.structure, stride)
        dl, d, du = layout.tridiagonal(A.values)
        T = np.diag(d) + np.diag(dl[:-1], -1) + np.diag(du[:-1], 1)
        slots, rows, columns = layout.links
        T[rows, columns] += A.values[slots]
        order = np.array([layout.index(k) for k in range(20)])
        np.testing.assert_array_equal(T, A.toarray()[np.ix_(order, order)])
        assert slots.size == aside


def test_best_stride_leaves_fewest_links():
    S = stridiag.Structure(50, (-7, -2, 0, 2, 49))
    assert best_stride(S) == (2, 43 + 1)
    assert best_stride(stridiag.Structure(5, ())) == (1, 0)
    # Links count where they lie: those at distance 7 outweigh the shorter diagonal.
    rows = np.arange(7)
    near = stridiag.Structure(50, (7, 0, 8), (rows + 7, rows))
    assert best_stride(near) == (7, 42)


def _layouts():
    rng = np.random.default_rng(1)
    for n in (2, 3, 4, 5, 6, 9, 17, 40):
        for stride in (1, 2, 4):
            if stride < n:
                for links in (1, 2, 5):
                    try:
                        A = stridiag.random(n, (-stride, 0, stride), links, rng=rng)
                    except stridiag.StructureError:
                        continue
                    yield CondensationLayout.build(ChainLayout(A.structure, stride))


def test_segments_and_kept_columns_partition_the_columns():
    for layout in _layouts():
        n = layout.chain.n
        owner = np.zeros(n, int)
        owner[layout.columns] += 1
        for a, b in zip(layout.first, layout.last, strict=True):
            owner[a : b + 1] += 1
        assert (owner == 1).all()
        assert layout.leftover.size == layout.columns.size
        assert (np.diff(layout.leftover) > 0).all()


def test_row_sets_of_segments_are_disjoint_and_free_of_links():
    for layout in _layouts():
        used = np.zeros(layout.chain.n, int)
        _, link_rows, link_columns = layout.chain.links
        for (a, b), sides in zip(zip(layout.first, layout.last, strict=True), layout.neighbours, strict=True):
            rows = np.arange(a - (sides[1] >= 0), b + 1 + (sides[2] >= 0))
            used[rows] += 1
            # Only the last row, the one right of the segment, may carry links.
            assert not np.isin(link_rows, rows[: rows.size - (sides[2] >= 0)]).any()
            for side, column in zip(sides, (a - 2, a - 1, b + 1, b + 2), strict=True):
                assert side < 0 or layout.columns[side] == column
        assert used.max(initial=0) <= 1
        assert np.isin(link_columns, layout.columns).all()


def test_separators_are_two_wide_inside_a_chain():
    for layout in _layouts():
        starts, ends = layout.chain.starts[:-1], layout.chain.starts[1:] - 1
        kept = set(layout.columns.tolist())
        for k in kept:
            inside = k not in starts and k not in ends
            neighbour = (k - 1 in kept and k not in starts) or (k + 1 in kept and k not in ends)
            assert neighbour or not inside


def test_compressed_columns_match_scipy():
    A = stridiag.random(30, (-4, 0, 3), 9, rng=3)
    ours = CompressedColumns.build(A.structure).fill(A.values)
    theirs = A.to_scipy("csc")
    theirs.sort_indices()
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.data, theirs.data)
