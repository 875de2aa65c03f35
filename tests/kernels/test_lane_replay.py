"""Noted reflections, replayed, give what eliminating anew gives: the same bits."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import lane_condensation, lane_replay, lane_substitution
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import group_size
from stridiag.factorization.sweeps import Notes
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout

pytestmark = pytest.mark.skipif(not COMPILES, reason="vectors exist in compiled code only")

CASES = [
    (700, 1, 0, 30),
    (701, 1, 3, 29),
    (702, 3, 2, 37),
    (400, 1, 12, 16),
    (333, 2, 0, 5),
    (1300, 1, 1, 70),
    (50, 1, 0, 62),
]


def laid_out(n, stride, links, segment, dtype, scale=1.0, *, dominant=False):
    A = stridiag.random(n, offsets=(-stride, 0, stride), links=links, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, stride), segment)
    parts = [(scale * part).astype(dtype) for part in layout.chain.tridiagonal(A.values)]
    if dominant:
        parts[1] = 1 + abs(parts[2]) + np.roll(abs(parts[0]), 1)
    for part in parts:
        part.setflags(write=False)
    return layout, tuple(parts)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reflecting", [True, None])
@pytest.mark.parametrize(("n", "stride", "links", "segment"), CASES)
def test_replayed_as_eliminated(n, stride, links, segment, reflecting, dtype):
    layout, tridiagonal = laid_out(n, stride, links, segment, dtype, dominant=not reflecting)
    rng = np.random.default_rng(n)
    segments, groups = layout.first.size, -(-layout.first.size // group_size(np.dtype(dtype)))
    around = (layout.first, layout.last, layout.neighbours, layout.lanes)
    notes = Notes(layout, tridiagonal, reflecting)
    assert notes.useful
    assert notes.nbytes > (6 if reflecting else 4) * layout.lanes.size * np.dtype(dtype).itemsize
    for _ in range(2):
        b = rng.normal(size=n).astype(dtype)
        b.setflags(write=False)
        leftover, dependent = np.empty((segments, 2, 5)), np.empty(groups, np.int64)
        expected, sides = np.full((2, segments, 2, 1), np.nan)
        lane_condensation.reduce(
            reflecting, *tridiagonal, b, None, *around, 0, groups, leftover, expected, dependent, None
        )
        # In two pieces, which do not matter.
        for piece in ((0, groups // 2), (groups // 2, groups)):
            lane_replay.fold(reflecting, b, *notes.tables, notes.turns, *piece, sides)
        np.testing.assert_array_equal(sides, expected)
        known = rng.normal(size=(segments, 5, 1))
        x, y = np.full((2, n), 7, dtype)
        squares, replayed = np.full((2, groups), np.nan)
        lane_substitution.expand(reflecting, *tridiagonal, b, None, known, *around, 0, groups, x, squares)
        for piece in ((0, groups // 2), (groups // 2, groups)):
            lane_replay.unfold(reflecting, b, known, *notes.tables, notes.turns, notes.pivots, *piece, y, replayed)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(replayed, squares)
        assert (replayed == 0).all()


@pytest.mark.parametrize("place", [0, 31, 350, 699])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_told(place, wrong):
    layout, tridiagonal = laid_out(700, 1, 0, 30, np.float64)
    notes = Notes(layout, tridiagonal, True)
    b = np.ones(700)
    b[place] = wrong
    if place in layout.columns:
        return
    b.setflags(write=False)
    known, x, squares = np.zeros((layout.first.size, 5, 1)), np.zeros(700), np.zeros(notes.tables[0].shape[0])
    lane_replay.unfold(True, b, known, *notes.tables, notes.turns, notes.pivots, 0, squares.size, x, squares)
    assert np.isnan(squares).sum() == 1


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_out_of_the_lanes_range_there_are_no_notes(scale):
    assert not Notes(*laid_out(700, 1, 3, 30, np.float64, scale), True).useful
