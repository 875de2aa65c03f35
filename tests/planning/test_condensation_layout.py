"""Layouts of condensation without links, with other segments, and in lanes; and plans that are evident."""

import numpy as np
import pytest

import stridiag
from stridiag.factorization.condensation import Condensation
from stridiag.planning import choice
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout


@pytest.mark.parametrize("segment", [3, 4, 7, 60, 1000])
@pytest.mark.parametrize(("n", "stride"), [(1, 1), (2, 1), (5, 1), (64, 1), (201, 1), (202, 3), (90, 40)])
def test_chains_without_links(n, stride, segment):
    offsets = (-stride, 0, stride) if n > stride else (0,)
    A = stridiag.random(n, offsets, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, stride), segment=segment)
    assert layout.core.size == layout.reduced.order == 0
    lengths = layout.last - layout.first + 1
    assert lengths.max() <= segment
    assert lengths.sum() + layout.columns.size == n
    C = Condensation(layout, A.values)
    b = np.random.default_rng(0).standard_normal((n, 2))
    dense = A.toarray()
    for matrix, adjoint in ((dense, False), (dense.T, True)):
        x = C.solve(b.copy(), adjoint=adjoint)
        size = np.abs(matrix).sum(1).max() * np.abs(x).max() + np.abs(b).max()
        assert np.abs(matrix @ x - b).max() < 2e-15 * size
    sign, log = C.slogdet()
    expected = np.linalg.slogdet(dense)
    assert sign == expected[0]
    assert abs(log - expected[1]) < 1e-10 * np.linalg.cond(dense)
    assert layout.cost.operations.exact


def test_pieces_of_a_chain_have_equal_lengths():
    layout = CondensationLayout.build(ChainLayout(stridiag.Structure(100_003, (-1, 0, 1)), 1), segment=200)
    lengths = layout.last - layout.first + 1
    assert lengths.max() - lengths.min() <= 1
    assert lengths.max() > 190


def test_segments_may_not_be_too_short():
    chain = ChainLayout(stridiag.Structure(50, (-1, 0, 1)), 1)
    with pytest.raises(ValueError, match="3 columns long or more, got 2"):
        CondensationLayout.build(chain, segment=2)


@pytest.mark.parametrize(
    ("n", "stride", "links"), [(50, 1, 3), (3000, 1, 40), (3000, 8, 40), (3000, 700, 5), (40, 1, 0)]
)
def test_lanes_sort_segments(n, stride, links):
    structure = stridiag.random(n, (-stride, 0, stride), links, rng=1).structure
    layout = CondensationLayout.build(ChainLayout(structure, stride), segment=64)
    lengths = layout.last - layout.first + 1
    np.testing.assert_array_equal(layout.lanes, np.argsort(lengths, kind="stable"))


@pytest.mark.parametrize("links", [30, 1250])
def test_evident_chains_are_planned_without_other_methods(links, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing else has to be asked")

    monkeypatch.setattr(choice, "_first_applicable", refuse)
    monkeypatch.setattr(choice, "_applicable", refuse)
    structure = stridiag.random(10_000, (-4, 0, 4), links, rng=0).structure
    layout, reason = choice.cheapest(structure)
    assert layout.method == "chain"
    assert "too few for another method" in reason


@pytest.mark.parametrize(
    ("n", "offsets", "links"),
    [(1999, (-1, 0, 1), 5), (10_000, (-4, 0, 4, 9_000), 30), (10_000, (-4, 4), 30), (10_000, (-4, 0, 4), 1251)],
)
def test_other_structures_are_not_evident(n, offsets, links):
    structure = stridiag.random(n, offsets, links, rng=0).structure
    assert not choice._evidently_chains(structure, *choice.best_stride(structure))


@pytest.mark.parametrize("links", [90, 750])
def test_evident_chains_are_not_dearer_than_what_would_have_been_asked(links, monkeypatch):
    structure = stridiag.random(6_000, (-2, 0, 2), links, rng=0).structure
    evident, _ = choice.cheapest(structure)
    monkeypatch.setattr(choice, "_evidently_chains", lambda *_: False)
    asked, _ = choice.cheapest(structure)
    assert evident.method == asked.method == "chain"
