"""Windows of dominant chains in lanes, against plain loops over one window at a time."""

import numpy as np
import pytest

from stridiag._kernels import lane_windows
from stridiag._kernels.compile import COMPILES

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

PIECE, MARGIN = 64, 32


def chains(n, stride, beyond=0, seed=0):
    """Return `stride` interleaved dominant chains; the outer diagonals have entries to spare, which are not zero."""
    rng = np.random.default_rng(seed)
    dl, du = rng.normal(size=(2, n - stride + beyond))
    d = 2.0 + rng.random(n) + 2 * rng.random(n)
    d[: n - stride] += abs(du[: n - stride])
    d[stride:] += abs(dl[: n - stride])
    dl[n - stride :] = du[n - stride :] = 0.0
    return dl, d, du, rng.normal(size=n)


def solved(kernel, dl, d, du, b, stride, probing):
    beside = 1 if stride == 1 else 16 if stride % 16 == 0 else 8
    lanes = 16 if stride == 1 else 16 // beside
    height = -(-d.size // stride)
    groups = -(-height // (lanes * PIECE)) * (1 if stride == 1 else stride // beside)
    probe = np.random.default_rng(1).normal(size=PIECE + 2 * MARGIN) if probing else None
    x, borders = np.full(d.size, 7.0), np.zeros((groups, 2, 16))
    largest, squares = np.empty((2, groups))
    kernel(dl, d, du, b, probe, stride, PIECE, MARGIN, 0, groups, x, borders, largest, squares)
    return x, borders, largest, squares


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize(
    ("n", "stride", "beyond"), [(5000, 1, 0), (3100, 1, 1), (2048, 1, 0), (4099, 8, 0), (9000, 24, 24), (12_345, 16, 0)]
)
def test_lanes_do_what_plain_loops_do(n, stride, beyond, probing):
    dl, d, du, b = chains(n, stride, beyond)
    found = solved(lane_windows.solve_windows, dl, d, du, b, stride, probing)
    plain = solved(lane_windows.plain_solve_windows, dl, d, du, b, stride, probing)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    x, borders, largest, squares = found
    assert largest.max() == max(abs(part).max() for part in (dl, d, du))
    assert (squares > 0).all() if probing else (squares == 0).all()
    residual = d * x - b
    residual[: n - stride] += du[: n - stride] * x[stride:]
    residual[stride:] += dl[: n - stride] * x[: n - stride]
    assert abs(residual).max() < 1e-14
    assert lane_windows.agree(dl, d, du, stride, PIECE, MARGIN, x, borders, 1e-15)


def test_neighbors_that_differ_are_noticed():
    for stride in (1, 8):
        dl, d, du, b = chains(6000, stride)
        x, borders, _, _ = solved(lane_windows.solve_windows, dl, d, du, b, stride, False)
        for which in (lane_windows.AHEAD, lane_windows.BEHIND):
            for change in (1e-10, np.nan, np.inf):
                other = borders.copy()
                other[1, which, 3] += change
                assert not lane_windows.agree(dl, d, du, stride, PIECE, MARGIN, x, other, 1e-15)


@pytest.mark.parametrize("kernel", [lane_windows.solve_windows, lane_windows.plain_solve_windows])
def test_pivots_that_cannot_be_trusted_are_told(kernel):
    for bad in (0.0, 1e-9, np.nan):
        dl, d, du, b = chains(6000, 1)
        d[3333] = bad
        dl[3332:3334] = du[3332:3334] = 3.0
        # In the elimination of the column before, rounding cannot help it.
        dl[3332] = 0.0
        _, _, _, squares = solved(kernel, dl, d, du, b, 1, False)
        assert np.isnan(squares[3333 // (16 * PIECE)])
        assert squares[0] == 0.0


def test_decay_is_that_of_the_multipliers():
    d = np.full(1000, 2.5)
    beside = np.full(999, -1.0)
    # From the second block on pivots are 2, and multipliers a half; the first pivots are larger.
    assert lane_windows.decay(beside, d, beside, 1, 500, 32) == pytest.approx(2.0**-32, rel=1e-3)
    assert lane_windows.decay(beside, 0 * d, beside, 1, 500, 32) != lane_windows.decay(beside, d, beside, 1, 500, 32)
    assert np.isnan(lane_windows.decay(beside, 0 * d, beside, 1, 500, 32))
    # One of the chains alone is looked at.
    d[1::2] = 100.0
    assert lane_windows.decay(beside[1:], d, beside[1:], 2, 400, 32) == pytest.approx(2.0**-32, rel=1e-3)
