"""Many right-hand sides in lanes of columns: what one right-hand side after another gives."""

import numpy as np
import pytest
from numba import config

import stridiag
from stridiag._kernels.vectors import BYTES
from stridiag._kernels.wide_vectors import COLUMNS, column_of
from stridiag._results import fresh
from stridiag.factorization import columns
from stridiag.factorization.band import BandLU
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.tridiagonal import TridiagonalLU
from stridiag.planning.band import BandLayout
from stridiag.planning.band_condensation import build
from stridiag.testing import THRESHOLD, solve_ratio

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")

CASES = [
    (1, 1, 0),
    (2, 1, 0),
    (3, 1, 0),
    (40, 1, 0),
    (700, 1, 0),
    (701, 8, 0),
    (60, 30, 0),
    (60, 1, 1),
    (700, 1, 3),
    (701, 8, 5),
    (400, 64, 9),
    (90, 40, 3),
]


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("m", [8, 11, 16, 64, 77, 150])
@pytest.mark.parametrize(("n", "stride", "links"), CASES)
def test_columns_are_solved_as_one_by_one(n, stride, links, m, dtype, monkeypatch):
    # So short that there are several blocks.
    monkeypatch.setattr("stridiag.factorization.tridiagonal._BLOCK", 16)
    offsets = (-stride, 0, stride) if n > stride else (0,)
    A = stridiag.random(n, offsets, links, rng=n).astype(dtype)
    F = A.factor(method="chain")
    member = F._members[0]
    assert isinstance(member, Condensation if links else TridiagonalLU)
    b = np.random.default_rng(0).standard_normal((n, m)).astype(dtype)
    given = b.copy()
    in_lanes = m >= BYTES // b.itemsize
    assert member.spares(m, adjoint=False) == in_lanes
    x = F.solve(b)
    np.testing.assert_array_equal(b, given)
    assert solve_ratio(A, x, b) < THRESHOLD
    for c in {0, 7, m - 1}:
        # Reduced systems round differently for several right-hand sides.
        single = F.solve(b[:, c].copy())
        scale = 1e3 * np.finfo(dtype).eps * abs(x[:, c]).max() * max(abs(x[:, c]).max(), 1)
        assert abs(x[:, c] - single).max() <= scale
    with stridiag.num_threads(1):
        np.testing.assert_array_equal(F.solve(b), x)
    with stridiag.num_threads(3):
        np.testing.assert_array_equal(F.solve(b), x)
    np.testing.assert_array_equal(F.solve(np.asfortranarray(b)), x)
    assert solve_ratio(A.T, F.solve(b, trans="T"), b) < THRESHOLD


def test_a_number_that_is_not_finite_stays_in_its_column():
    for links in (0, 3):
        A = stridiag.random(300, (-1, 0, 1), links, rng=1, dominant=True)
        F = A.factor(method="chain")
        b = np.random.default_rng(0).standard_normal((300, 21))
        x = F.solve(b)
        others = np.arange(21) != 18
        for bad in (np.nan, np.inf):
            c = b.copy()
            c[150, 18] = bad
            y = F.solve(c, check_finite=False)
            np.testing.assert_array_equal(y[:, others], x[:, others])
            assert not np.isfinite(y[:, 18]).all()
            with pytest.raises(stridiag.NonFiniteError, match=r"\[150, 18\]"):
                F.solve(c)


def _members():
    """Yield one of each kind that serves many right-hand sides in lanes, with its matrix."""
    rng = np.random.default_rng(3)
    for offsets, links in (((-1, 0, 1), 0), ((-7, 0, 7), 0), ((-1, 0, 1), 3), ((-1, 0, 1), 40), ((-200, 0, 200), 2)):
        A = stridiag.random(600, offsets, links, rng=rng, dominant=True)
        yield A, A.factor(method="chain")._members[0]
    for offsets in ((-3, 0, 2), (-1, 0, 2)):
        A = stridiag.random(600, offsets, rng=rng, dominant=True)
        yield A, BandLU(BandLayout.build(A.structure), A.values)
    for links in (2, 9):
        A = stridiag.random(600, (-3, 0, 2), links, rng=rng, dominant=True)
        yield A, BandCondensation(build(A.structure), A.values)


@pytest.mark.parametrize("tile", [64, 1024])
def test_wherever_a_number_is_not_finite_it_shows(tile, monkeypatch):
    for module in ("columns", "tridiagonal", "band"):
        monkeypatch.setattr(f"stridiag.factorization.{module}.TILE", tile)
    rng = np.random.default_rng(0)
    for A, member in _members():
        b = rng.standard_normal((600, 11))
        assert member.solve_spared(b)[1]
        for row in range(0, 600, 7):
            c = b.copy()
            c[row, row % 11] = (np.nan, np.inf, -np.inf)[row % 3]
            x, finite = member.solve_spared(c)
            assert not finite, (A, row)
            others = np.arange(11) != row % 11
            np.testing.assert_array_equal(x[:, others], member.solve(b)[:, others])


def test_what_overflows_on_the_way_is_no_fault_of_the_right_hand_side():
    A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: 4.0, 1: 1.0}, shape=300)
    b = np.full((300, 16), 1.7e308)
    b[::2] *= -1
    F = A.factor(method="chain")
    x = F.solve(b)
    assert not np.isfinite(x).all()
    assert not F._members[0].solve_spared(b)[1]
    b[7, 3] = np.nan
    with pytest.raises(stridiag.NonFiniteError, match=r"\[7, 3\]"):
        F.solve(b)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dominant", [True, False])
@pytest.mark.parametrize("lower", [1, 3])
def test_what_a_tile_forgets_changes_no_bit(lower, dominant, dtype, monkeypatch):
    for module in ("columns", "tridiagonal", "band"):
        monkeypatch.setattr(f"stridiag.factorization.{module}.TILE", 32)
    n = 4000
    A = stridiag.random(n, (-lower, 0, lower if lower == 1 else 2), rng=5, dominant=dominant).astype(dtype)
    member = (
        TridiagonalLU(A.factor(method="chain").plan.layout, A.values)
        if lower == 1
        else BandLU(BandLayout.build(A.structure), A.values)
    )
    reach = member._reach
    if lower == 3 and not dominant:
        # Some of what a wide band remembers, it remembers for very long.
        assert reach is None
        return
    assert reach[:-20].min() > 0
    assert reach.max() < 1000
    assert reach[-1] == 0
    # Zeros above, so that solutions decay over all orders of magnitude.
    b = np.random.default_rng(0).standard_normal((n, 21)).astype(dtype)
    b[: n // 2, 5:] = 0
    x = member.solve(b)
    assert solve_ratio(A, x, b) < THRESHOLD
    with stridiag.num_threads(3):
        np.testing.assert_array_equal(member.solve(b), x)
    monkeypatch.setitem(member.__dict__, "_reach", None)
    two_sweeps = member.solve(b)
    # Nothing but what is beyond the fourth power of the unit of rounding.
    limit = np.finfo(dtype).eps ** 4 * abs(x).max(axis=0)
    differ = x != two_sweeps
    np.testing.assert_array_less(abs(two_sweeps - x).max(axis=0), limit + 1e-300)
    assert not differ[:, :5].any()


def test_what_never_forgets_takes_two_sweeps():
    A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=5000)
    F = A.factor(method="chain")
    b = np.random.default_rng(0).standard_normal((5000, 16))
    x = F.solve(b)
    assert F._members[0]._stored._reach is None
    assert solve_ratio(A, x, b) < THRESHOLD


def test_other_values_have_another_reach():
    A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 9.0, 1: -1.0}, shape=5000)
    member = TridiagonalLU(A.factor(method="chain").plan.layout, A.values)
    assert member._reach is not None
    B = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=5000)
    member.refill(B.values)
    assert member._reach is None
    b = np.random.default_rng(0).standard_normal((5000, 16))
    assert solve_ratio(B, member.solve(b), b) < THRESHOLD


def test_pivots_without_a_reciprocal():
    A = stridiag.StridiagMatrix.from_diagonals({0: [1.0, 1e-310, 2.0]}, shape=3)
    b = np.full((3, 8), 1e-310)
    with pytest.warns(stridiag.IllConditionedWarning):
        x = A.factor(method="chain").solve(b)
    np.testing.assert_allclose(x[1], 1.0, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("m", [16, 35, 64, 77])
@pytest.mark.parametrize(
    ("n", "lower", "upper", "links"),
    [(1, 0, 1, 0), (3, 1, 2, 0), (90, 3, 2, 0), (400, 2, 3, 0), (501, 0, 3, 0), (400, 3, 2, 7), (600, 1, 3, 2),
     (300, 2, 1, 10)],
)  # fmt: skip
def test_columns_of_bands_are_solved_as_one_by_one(n, lower, upper, links, m, dtype, monkeypatch):
    monkeypatch.setattr("stridiag.factorization.band._BLOCK", 16)
    monkeypatch.setattr("stridiag.factorization.band_condensation._BLOCK", 16)
    offsets = sorted({k for k in (-lower, 0, upper) if -n < k < n})
    A = stridiag.random(n, offsets, links, rng=n).astype(dtype)
    if links:
        layout = build(A.structure)
        member = BandCondensation(layout, A.values)
    else:
        member = BandLU(BandLayout.build(A.structure), A.values)
    b = np.random.default_rng(0).standard_normal((n, m)).astype(dtype)
    given = b.copy()
    assert member.spares(m, adjoint=False)
    x = member.solve(b)
    np.testing.assert_array_equal(b, given)
    assert solve_ratio(A, x, b) < THRESHOLD
    for threads in (1, 3):
        with stridiag.num_threads(threads):
            np.testing.assert_array_equal(member.solve(b), x)
    scale = 1e3 * np.finfo(dtype).eps * abs(x).max() * max(abs(x).max(), 1)
    few = member.solve(np.ascontiguousarray(b[:, :3]))
    assert abs(x[:, :3] - few).max() <= scale


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dominant", [True, False])
@pytest.mark.parametrize(("lower", "upper", "dtype"), [(2, 3, "float64"), (1, 2, "float32")])
def test_rows_in_registers_give_what_rows_in_memory_give(lower, upper, dtype, dominant, monkeypatch):
    monkeypatch.setattr("stridiag.factorization.band._NARROW_ORDER", 1)
    monkeypatch.setattr("stridiag.factorization.band._BLOCK", 16)
    for module in ("columns", "band"):
        monkeypatch.setattr(f"stridiag.factorization.{module}.TILE", 32)
    for n in (4, 6, 17, 33, 500, 2000):
        A = stridiag.random(n, (-lower, 0, upper), rng=n, dominant=dominant).astype(dtype)
        member = BandLU(BandLayout.build(A.structure), A.values)
        b = np.random.default_rng(0).standard_normal((n, 77)).astype(dtype)
        given = b.copy()
        assert member._widths is not None
        for reach in {None: None, "found": member._reach}.values():
            monkeypatch.setitem(member.__dict__, "_reach", reach)
            monkeypatch.setattr("stridiag.factorization.band._REGISTERS", 7)
            x, finite = member.solve_spared(b)
            assert finite
            assert solve_ratio(A, x, b) < THRESHOLD
            with stridiag.num_threads(3):
                np.testing.assert_array_equal(member.solve_spared(b)[0], x)
            c = b.copy()
            c[n // 2, 40] = np.nan
            y, finite = member.solve_spared(c)
            assert not finite
            np.testing.assert_array_equal(np.delete(y, 40, axis=1), np.delete(x, 40, axis=1))
            monkeypatch.setattr("stridiag.factorization.band._REGISTERS", 0)
            np.testing.assert_array_equal(member.solve_spared(b)[0], x)
        np.testing.assert_array_equal(b, given)


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_units_cover_all_columns(kind):
    lanes = BYTES // np.dtype(kind).itemsize
    for m in range(lanes, 200):
        covered = set()
        for unit in range(columns.units(np.dtype(kind), m)):
            wide = unit < m // COLUMNS
            at = column_of.py_func(unit, m, lanes)
            assert 0 <= at <= m - (COLUMNS if wide else lanes)
            covered |= set(range(at, at + (COLUMNS if wide else lanes)))
        assert covered == set(range(m))


def test_fresh_memory_is_aligned():
    for n in (300_000, 100_000):
        x = fresh((n, 8), np.dtype(np.float64))
        assert x.shape == (n, 8)
        assert columns.straight(x)
    assert not columns.straight(np.empty((4, 9)))
