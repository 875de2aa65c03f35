"""Windows of chains in lanes, against plain loops over one window at a time."""

import numpy as np
import pytest

from stridiag._kernels import lane_windows, window_checks
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.shared_units import new_units
from stridiag.factorization.chain_windows import frozen

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

PIECE = 64
KINDS = {"as they come": None, "interchanges": True}
MARGINS = {None: 32, True: 256}


def chains(n, stride, beyond=0, seed=0, interchanging=None):
    """Return `stride` interleaved chains, dominant or random; the outer diagonals have entries to spare."""
    rng = np.random.default_rng(seed)
    dl, du = rng.normal(size=(2, n - stride + beyond))
    d = rng.normal(size=n)
    if interchanging is None:
        d = 2.0 + rng.random(n) + 2 * rng.random(n)
        d[: n - stride] += abs(du[: n - stride])
        d[stride:] += abs(dl[: n - stride])
    dl[n - stride :] = du[n - stride :] = 0.0
    return dl, d, du, rng.normal(size=n)


def solved(kernel, how, dl, d, du, b, stride, probing, *, from_end=False):
    beside = 1 if stride == 1 else 16 if stride % 16 == 0 else 8
    lanes = 16 if stride == 1 else 16 // beside
    height = -(-d.size // stride)
    groups = -(-height // (lanes * PIECE)) * (1 if stride == 1 else stride // beside)
    margin = MARGINS[how]
    probe = np.random.default_rng(1).normal(size=PIECE + 2 * margin) if probing else None
    # As factorizations have them: what may be written to is another type, for which everything is compiled again.
    dl, d, du, b, probe = (None if part is None else frozen(part) for part in (dl, d, du, b, probe))
    x, borders = np.full(d.size, 7.0), np.zeros((groups, 4, 16))
    largest, squares = np.empty((2, groups))
    kernel(
        how, dl, d, du, b, probe, stride, PIECE, margin, new_units(0, groups), from_end, x, borders, largest, squares
    )
    return x, borders, largest, squares


def disagreeing(dl, d, du, stride, x, borders, limit=1e-15):
    groups = np.full(borders.shape[0], -1)
    count = window_checks.disagreeing(dl, d, du, stride, PIECE, x, borders, limit, groups)
    assert (groups[count:] == -1).all()
    return list(groups[:count])


@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize(
    ("n", "stride", "beyond"), [(5000, 1, 0), (3100, 1, 1), (2048, 1, 0), (4099, 8, 0), (9000, 24, 24), (12_345, 16, 0)]
)
def test_lanes_do_what_plain_loops_do(n, stride, beyond, probing, how):
    dl, d, du, b = chains(n, stride, beyond, interchanging=how)
    found = solved(lane_windows.solve_windows, how, dl, d, du, b, stride, probing)
    plain = solved(lane_windows.plain_solve_windows, how, dl, d, du, b, stride, probing)
    x, borders, largest, squares = found
    # Of random chains some unknowns are ill-conditioned.
    loss = 1.0 if how is None else 1e5
    np.testing.assert_allclose(x, plain[0], rtol=1e-12 * loss, atol=1e-15 * loss)
    np.testing.assert_allclose(borders[:, :2], plain[1][:, :2], rtol=1e-12 * loss, atol=1e-15 * loss)
    np.testing.assert_allclose(borders[:, 2:].max(2), plain[1][:, 2:].max(2), rtol=1e-12 * loss)
    assert (largest == plain[2]).all()
    np.testing.assert_allclose(squares, plain[3], rtol=1e-12 * loss)
    assert largest.max() == max(abs(part).max() for part in (dl, d, du))
    assert (squares > 0).all() if probing else (squares == 0).all()
    residual = d * x - b
    residual[: n - stride] += du[: n - stride] * x[stride:]
    residual[stride:] += dl[: n - stride] * x[: n - stride]
    assert abs(residual).max() < 2e-15 * (1 + abs(x).max())
    assert disagreeing(dl, d, du, stride, x, borders) == []
    # From the last group to the first, to the last bit.
    other_way = solved(lane_windows.solve_windows, how, dl, d, du, b, stride, probing, from_end=True)
    for one, other in zip(found, other_way, strict=True):
        np.testing.assert_array_equal(one, other)
    heights = borders[:, window_checks.WITHIN].max()
    assert heights == (0.0 if how is None else abs(x).max())


@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
def test_neighbors_that_differ_are_noticed(how):
    for stride in (1, 8):
        dl, d, du, b = chains(6000, stride, interchanging=how)
        x, borders, _, _ = solved(lane_windows.solve_windows, how, dl, d, du, b, stride, False)
        for which in (window_checks.AHEAD, window_checks.BEHIND):
            for change in (1e-10, np.nan, np.inf):
                other = borders.copy()
                other[1, which, 3] += change * (1 + abs(other[1, which, 3]))
                assert disagreeing(dl, d, du, stride, x, other) == [1]
                other[3, which, 5] += change * (1 + abs(other[3, which, 5]))
                assert disagreeing(dl, d, du, stride, x, other) == [1, 3]


@pytest.mark.parametrize("kernel", [lane_windows.solve_windows, lane_windows.plain_solve_windows])
def test_pivots_that_cannot_be_trusted_are_told(kernel):
    for bad in (0.0, 1e-9, np.nan):
        dl, d, du, b = chains(6000, 1)
        d[3333] = bad
        dl[3332:3334] = du[3332:3334] = 3.0
        # In the elimination of the column before, rounding cannot help it.
        dl[3332] = 0.0
        _, _, _, squares = solved(kernel, None, dl, d, du, b, 1, False)
        assert np.isnan(squares[3333 // (16 * PIECE)])
        assert squares[0] == 0.0


@pytest.mark.parametrize("kernel", [lane_windows.solve_windows, lane_windows.plain_solve_windows])
def test_rows_are_interchanged_and_zero_pivots_told(kernel):
    # Without the main diagonal, rows change places in pairs.
    n = 6000
    dl, d, du, b = chains(n, 1)
    d[:] = 0.0
    dl[::2] = du[::2] = 3.0
    dl[1::2] = du[1::2] = 1.0
    x, _, _, squares = solved(kernel, True, dl, d, du, b, 1, False)
    assert (squares == 0.0).all()
    residual = -b
    residual[:-1] += du * x[1:]
    residual[1:] += dl * x[:-1]
    assert abs(residual).max() < 1e-14 * abs(b).max()
    # Columns of zeros, in a piece and in the margin above one; and what is no number.
    for bad in (0.0, np.nan, np.inf):
        for column in (3333, 3072 + PIECE * 5 - 10):
            dl, d, du, b = chains(n, 1, interchanging=True)
            dl[column] = d[column] = du[column - 1] = bad
            _, _, _, squares = solved(kernel, True, dl, d, du, b, 1, False)
            assert np.isnan(squares[column // (16 * PIECE)])
            assert squares[0] == 0.0


@pytest.mark.parametrize("kernel", [lane_windows.solve_windows, lane_windows.plain_solve_windows])
def test_unknowns_are_measured_as_far_below_a_piece_as_a_row_is_carried(kernel):
    end, far = 2048 + PIECE, 20
    group = 2048 // (16 * PIECE)
    for carried, release in ((True, 0), (True, 3), (True, far - 2), (True, far - 1), (False, 0)):
        dl, d, du, b = chains(6000, 1)
        # The row before the end is carried on: the entries that come in are larger than its own, until one is zero.
        dl[end - 2], d[end - 1], du[end - 1] = 0.0, 0.9, 0.9
        dl[end - 1 : end + release], d[end : end + release + 1], du[end : end + release + 1] = 1.0, 0.0, 0.99
        dl[end + release] = 0.0
        if not carried:
            dl[end - 1], d[end] = 0.0, 1.0
        # One unknown that is far larger than the others.
        dl[end + far - 1 : end + far + 1] = du[end + far - 1 : end + far + 1] = 0.0
        d[end + far], b[end + far] = 1e-9, 1.0
        _, borders, _, _ = solved(kernel, True, dl, d, du, b, 1, False)
        # That of the column in which the row is released, and the one behind, count.
        assert (borders[group, window_checks.BELOW].max() > 1e8) == (carried and release + 1 >= far)
        assert borders[group, window_checks.WITHIN].max() > 1e8


def test_decay_is_that_of_the_multipliers():
    d = np.full(1000, 2.5)
    beside = np.full(999, -1.0)
    # From the second block on pivots are 2, and multipliers a half; the first pivots are larger.
    assert window_checks.decay(beside, d, beside, 1, 500, 32) == pytest.approx(2.0**-32, rel=1e-3)
    assert np.isnan(window_checks.decay(beside, 0 * d, beside, 1, 500, 32))
    # A pivot that is smaller than what is beside it and below it cannot be trusted, however fast errors shrink.
    small = np.where(np.arange(1000) == 70, 0.5, d)
    assert np.isnan(window_checks.decay(beside, small, beside, 1, 500, 32))
    # One of the chains alone is looked at.
    d[1::2] = 100.0
    assert window_checks.decay(beside[1:], d, beside[1:], 2, 400, 32) == pytest.approx(2.0**-32, rel=1e-3)


def reach(dl, d, du, stride=1, places=4, rows=200, limit=2.0**-50):
    return window_checks.reach(dl, d, du, stride, places, rows, limit)


def test_reach_is_that_of_the_greens_function():
    n = 4000
    beside = np.full(n - 1, -1.0)
    # Entries of the inverse halve from one to the next.
    assert 48 <= reach(beside, np.full(n, 2.5), beside) <= 52
    assert reach(beside, np.full(n, 2.0), beside) == 200
    # One way they grow: the worse one counts.
    assert reach(4.0 * beside, np.full(n, 2.5), beside / 8.0) == 200
    assert reach(beside / 8.0, np.full(n, 2.5), 4.0 * beside) == 200
    # Interchanges: two rows on, a third.
    far = reach(3.0 * beside, np.full(n, 0.1), beside)
    assert far == 200
    rng = np.random.default_rng(0)
    dl, d, du = rng.normal(size=(3, n))
    assert 40 < reach(dl[1:], d, du[1:]) < 200
    # Several chains are looked at, one at each place.
    d = np.full(n, 2.5)
    assert 48 <= reach(beside[1:], d, beside[1:], stride=2) <= 52
    for chain in (0, 1):
        d[:] = 2.5
        d[chain::2] = 2.0
        assert reach(beside[1:], d, beside[1:], stride=2) == 200


def test_reach_of_what_is_decoupled_or_no_number():
    n = 4000
    zero, d = np.zeros(n - 1), np.ones(n)
    assert reach(zero, d, zero) == 1
    assert reach(zero, np.nan * d, zero) == 200
    assert reach(np.ones(n - 1), 0 * d, np.ones(n - 1)) == 200
