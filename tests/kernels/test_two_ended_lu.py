"""Rows of a band in vectors: the results of the plain loops, with and without right-hand sides along."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import two_ended_lu
from stridiag._kernels.band_lanes import ABSENT
from stridiag._kernels.compile import COMPILES
from stridiag.planning.chain import ChainLayout
from stridiag.planning.two_ended_band import TwoEndedBand

N = 301
NAMES = (
    *("rows", "lower", "pivots", "turned_rows", "turned_lower", "turned_pivots"),
    *("left", "turned", "regular", "x", "core"),
)

pytestmark = pytest.mark.skipif(not COMPILES, reason="vectors exist in compiled code only")


def factored(kernel, A, sides, ends):
    """Return all that a kernel writes, for the ends one by one or both at once."""
    lower, upper = -A.structure.offsets[0], A.structure.offsets[-1]
    band = TwoEndedBand(ChainLayout(A.structure, 1), lower, upper)
    w = band.width
    flat, base = band.diagonals(A.values)
    made = []
    for steps, below in zip(band.steps, (lower, upper), strict=True):
        rows = np.zeros(steps * (w + 1) + two_ended_lu.MARGIN)
        made.append(
            (rows[: steps * (w + 1)].reshape(steps, w + 1), np.zeros((steps, below)), np.zeros(steps, np.uint8))
        )
    left, turned, regular = np.zeros((lower, w + 1)), np.zeros((upper, w + 1)), np.zeros(2, np.bool_)
    x, core = sides.copy(), np.zeros((sides.shape[0], w))
    present = tuple(None if place == ABSENT else 0 for place in base.tolist())
    for first, last in ends:
        kernel(
            *(
                flat,
                base,
                two_ended_lu.turned_base(base, band.n),
                (0,) * upper,
                (0,) * lower,
                present,
                *made,
                first,
                last,
            ),
            *((left, turned), regular, ((0,) * sides.shape[0], x.reshape(-1), core)),
        )
    return [*made[0], *made[1], left, turned, regular, x, core]


@pytest.mark.parametrize(("offsets", "count"), [((-3, 0, 2), 0), ((-3, 0, 2), 2), ((-1, 0, 1, 2), 2)])
def test_vectors_and_plain_loops_agree(offsets, count):
    sides = np.random.default_rng(0).standard_normal((count, N))
    seldom = stridiag.random(N, offsets=offsets, rng=1, dominant=True)
    # One that now and then takes another candidate than the first.
    values = seldom.values.copy()
    values[seldom.structure.diagonal_slots(0)][::40] *= 1e-3
    zero = seldom.values.copy()
    zero[np.isin(seldom.structure.coordinates()[1], (50, N - 50))] = 0
    for matrix in (
        seldom,
        seldom.with_values(values),
        stridiag.random(N, offsets=offsets, rng=2),
        seldom.with_values(zero),
        seldom.with_values(np.where(values == values[7], np.nan, values)),
    ):
        plain = factored(two_ended_lu.factor.plain, matrix, sides, [(0, 2)])
        both = factored(two_ended_lu.factor, matrix, sides, [(0, 2)])
        apart = factored(two_ended_lu.factor, matrix, sides, [(0, 1), (1, 2)])
        np.testing.assert_array_equal(both[8], plain[8])
        for name, one, other in zip(NAMES, both, apart, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
        if plain[8].all():
            for name, one, other in zip(NAMES, both, plain, strict=True):
                # What is fused differs from compiler to compiler.
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=name)
    assert not factored(two_ended_lu.factor, seldom.with_values(zero), sides, [(0, 2)])[8].any()


def test_room_for_right_hand_sides():
    assert [two_ended_lu.room_for(8, w) for w in (2, 5, 6, 7, 8)] == [6, 3, 2, 1, 0]
    assert two_ended_lu.room_for(4, 8) == 8
