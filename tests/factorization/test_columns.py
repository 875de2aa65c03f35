"""Many right-hand sides in lanes of columns: what one right-hand side after another gives."""

import numpy as np
import pytest
from numba import config

import stridiag
from stridiag._kernels.vectors import BYTES
from stridiag.factorization import columns
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.tridiagonal import TridiagonalLU
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
    monkeypatch.setattr("stridiag.factorization.tridiagonal.BUFFER", 1 << 14)
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


def test_pivots_without_a_reciprocal():
    A = stridiag.StridiagMatrix.from_diagonals({0: [1.0, 1e-310, 2.0]}, shape=3)
    b = np.full((3, 8), 1e-310)
    with pytest.warns(stridiag.IllConditionedWarning):
        x = A.factor(method="chain").solve(b)
    np.testing.assert_allclose(x[1], 1.0, rtol=1e-12)


def test_room_is_aligned_and_pieces_are_few_units_wide():
    seen = []
    kind = np.dtype(np.float64)
    columns.in_units(lambda work, *rest: seen.append((work, *rest)), kind, 10**6, 8 * 20 - 3, lambda width: 2 * width)
    covered = sorted((first, last) for _, _, first, last in seen)
    assert [first for first, _ in covered] == [0, *(last for _, last in covered[:-1])]
    assert covered[-1][1] == 20
    for work, lanes, first, last in seen:
        assert work.ctypes.data % BYTES == 0
        assert lanes == 8
        assert last - first <= 8
        assert work.size == 2 * (last - first) * lanes
