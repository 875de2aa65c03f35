"""Sweeps over lanes of segments do what the plain loops do, segment by segment."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import lane_condensation, lane_substitution
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.lane_groups import group_size
from stridiag.factorization.chain_windows import frozen
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


def laid_out(n, stride, links, segment, dtype, scale=1.0, dominant=None):
    A = stridiag.random(n, offsets=(-stride, 0, stride), links=links, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, stride), segment)
    dl, d, du = (scale * part.astype(dtype) for part in layout.chain.tridiagonal(A.values))
    if dominant == "rows":
        d = np.copysign(abs(du) + np.roll(abs(dl), 1), d)
    elif dominant == "columns":
        d = np.copysign(abs(dl) + np.roll(abs(du), 1), d)
    if stride == 1:
        # As views of the values have it.
        dl, du = dl[:-1].copy(), du[:-1].copy()
    return layout, (dl.astype(dtype), d.astype(dtype), du.astype(dtype))


def read_only(*given):
    """As factorizations have them: what may be written to is another type, for which everything is compiled again."""
    return [None if part is None else frozen(part) for part in given]


def reduced(kernel, layout, tridiagonal, b, probe, products=None, reflecting=True):
    segments = layout.first.size
    leftover = np.full((segments, 2, 5), np.nan)
    sides = np.full((segments, 2, 2), np.nan)
    groups = -(-segments // group_size(tridiagonal[1].dtype))
    dependent = np.full(groups, 7)
    around = (layout.first, layout.last, layout.neighbours, layout.lanes)
    kernel(reflecting, *read_only(*tridiagonal, b, probe), *around, 0, groups, leftover, sides, dependent, products)
    return leftover, sides, dependent


def expanded(kernel, layout, tridiagonal, b, probe, known, reflecting=True):
    groups = -(-layout.first.size // group_size(tridiagonal[1].dtype))
    x, squares = np.full(b.size, 7, b.dtype), np.full(groups, np.nan)
    around = (layout.first, layout.last, layout.neighbours, layout.lanes)
    kernel(reflecting, *read_only(*tridiagonal, b, probe), known, *around, 0, groups, x, squares)
    return x, squares


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("dominant", [None, "rows", "columns"])
@pytest.mark.parametrize(("n", "stride", "links", "segment"), CASES)
def test_lanes_are_the_plain_loops(n, stride, links, segment, dominant, dtype):
    layout, tridiagonal = laid_out(n, stride, links, segment, dtype, dominant=dominant)
    reflecting = None if dominant else True
    rng = np.random.default_rng(n)
    b, numbers = rng.normal(size=n).astype(dtype), rng.normal(size=200).astype(dtype)
    # Segments by themselves may be ill-conditioned, and twins round differently where two operations fuse into one.
    tolerance = 1e5 * np.finfo(dtype).eps
    for side, probe in ((None, None), (b, None), (b, numbers)):
        found = reduced(lane_condensation.reduce, layout, tridiagonal, side, probe, None, reflecting)
        twin = reduced(lane_condensation.plain_reduce, layout, tridiagonal, side, probe, None, reflecting)
        assert (found[2] == -1).all()
        for one, other in zip(found, twin, strict=True):
            np.testing.assert_allclose(one, other, atol=tolerance * max(1, np.nan_to_num(abs(other)).max()))
        if side is None:
            continue
        known = rng.normal(size=(layout.first.size, 5, 1 if probe is None else 2))
        x, squares = expanded(lane_substitution.expand, layout, tridiagonal, b, probe, known, reflecting)
        y, plain = expanded(lane_substitution.plain_expand, layout, tridiagonal, b, probe, known, reflecting)
        inside = np.ones(n, bool)
        inside[layout.columns] = False
        assert (x[~inside] == 7).all()
        np.testing.assert_allclose(x, y, atol=tolerance * abs(y).max())
        np.testing.assert_allclose(squares, plain, rtol=tolerance, atol=tolerance)
        assert (squares == 0).all() if probe is None else (squares > 0).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e150, 1e200])
def test_what_squares_have_no_room_for_is_scaled(scale):
    layout, tridiagonal = laid_out(700, 1, 3, 30, np.float64, scale)
    b = np.random.default_rng(0).normal(size=700) * scale
    _, plain = laid_out(700, 1, 3, 30, np.float64)
    leftover, sides, _ = reduced(lane_condensation.reduce, layout, tridiagonal, b, None)
    expected, expected_sides, _ = reduced(lane_condensation.reduce, layout, plain, b / scale, None)
    np.testing.assert_allclose(leftover[:, :, :4], expected[:, :, :4] * scale, rtol=1e-8, atol=1e-10 * scale)
    np.testing.assert_allclose(sides[:, :, 0], expected_sides[:, :, 0] * scale, rtol=1e-8, atol=1e-10 * scale)
    known = np.zeros((layout.first.size, 5, 1))
    x, _ = expanded(lane_substitution.expand, layout, tridiagonal, b, None, known)
    y, _ = expanded(lane_substitution.expand, layout, plain, b / scale, None, known)
    np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9 * abs(y).max())


@pytest.mark.parametrize("place", [0, 17, 350, 698, 699])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_told(place, wrong):
    layout, tridiagonal = laid_out(700, 1, 0, 30, np.float64)
    b = np.ones(700)
    b[place] = wrong
    known = np.zeros((layout.first.size, 5, 1))
    for kernel in (lane_substitution.expand, lane_substitution.plain_expand):
        x, squares = expanded(kernel, layout, tridiagonal, b, None, known)
        inside = np.ones(700, bool)
        inside[layout.columns] = False
        assert np.isfinite(x[inside]).all() == np.isfinite(squares).all()


def test_a_dependent_column_is_told():
    layout, (dl, d, du) = laid_out(700, 1, 0, 30, np.float64)
    column = int(layout.first[5]) + 3
    dl[column], d[column], du[column - 1] = 0, 0, 0
    for kernel in (lane_condensation.reduce, lane_condensation.plain_reduce):
        _, _, dependent = reduced(kernel, layout, (dl, d, du), None, None)
        assert column in dependent
        assert np.count_nonzero(dependent >= 0) == 1


@pytest.mark.parametrize("dominant", ["rows", "columns"])
@pytest.mark.parametrize("place", [3, 640, 1500])
@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf, 1e-300, 1e-6])
def test_a_pivot_that_cannot_be_taken_as_it_comes_is_told(dominant, place, wrong):
    layout, (dl, d, du) = laid_out(2000, 1, 3, 30, np.float64, dominant=dominant)
    d[place if place not in layout.columns else place - 3] = wrong
    for kernel in (lane_condensation.reduce, lane_condensation.plain_reduce):
        _, _, dependent = reduced(kernel, layout, (dl, d, du), np.ones(2000), None, None, None)
        assert np.count_nonzero(dependent == lane_condensation.NOT_TO_BE_TRUSTED) == 1
        assert np.count_nonzero(dependent == -1) == dependent.size - 1


def test_nothing_grows_where_pivots_are_taken_as_they_come():
    # Dominance with equality, by rows and by columns; by neither, but step by step by one or the other.
    n = 3000
    rng = np.random.default_rng(5)
    for _ in range(50):
        layout, (dl, d, du) = laid_out(n, 1, 0, 300, np.float64)
        by_rows = abs(du).copy() if du.size == n else np.append(abs(du), 0)
        by_rows[1:] += abs(dl[: n - 1])
        by_columns = np.append(abs(dl[: n - 1]), 0)
        by_columns[1:] += abs(du[: n - 1])
        d = np.where(rng.random(n) < 0.5, by_rows, by_columns) * rng.choice([-1, 1], n)
        leftover, _, dependent = reduced(lane_condensation.reduce, layout, (dl, d, du), None, None, None, None)
        if (dependent == -1).all():
            assert abs(leftover[:, :, :4]).max() <= 4 * abs(d).max()


def test_pieces_do_not_matter():
    layout, tridiagonal = laid_out(2000, 1, 3, 30, np.float64)
    whole = reduced(lane_condensation.reduce, layout, tridiagonal, np.ones(2000), None)
    segments, groups = layout.first.size, -(-layout.first.size // 16)
    leftover, sides, dependent = np.empty((segments, 2, 5)), np.empty((segments, 2, 2)), np.empty(groups, np.int64)
    around = (layout.first, layout.last, layout.neighbours, layout.lanes)
    for group in reversed(range(groups)):
        given = read_only(*tridiagonal, np.ones(2000))
        lane_condensation.reduce(True, *given, None, *around, group, group + 1, leftover, sides, dependent, None)
    assert (leftover == whole[0]).all()
    assert (sides[:, :, 0] == whole[1][:, :, 0]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_of_pivots(dtype):
    layout, tridiagonal = laid_out(1300, 1, 3, 70, dtype)
    segments = layout.first.size
    found = []
    for kernel in (lane_condensation.reduce, lane_condensation.plain_reduce):
        products = np.full((segments, 2), np.nan)
        reduced(kernel, layout, tridiagonal, None, None, products)
        assert (abs(products[:, 0]) >= 0.5).all()
        assert (abs(products[:, 0]) < 2.0).all()
        found.append(np.sign(products[:, 0]) * 1j + np.log2(abs(products[:, 0])) + products[:, 1])
    np.testing.assert_allclose(*found, atol=1e4 * np.finfo(dtype).eps)
