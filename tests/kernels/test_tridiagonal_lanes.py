"""Lanes over the members of a batch do what the plain loops do."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels import tridiagonal_lanes, tridiagonal_lu
from stridiag._kernels.vectors import BYTES
from stridiag._results import aligned
from stridiag.factorization.chain_windows import frozen

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")


def chains(members, n, stride, dtype, seed=0):
    """Return the values by slot, sub-diagonal first, and where they lie."""
    rng = np.random.default_rng(seed)
    off = n - stride
    values = rng.standard_normal((members, n + 2 * off)).astype(dtype)
    # Along a chain rows are exchanged here and there.
    source = np.full((3, n), -1)
    source[0, :off] = np.arange(off)
    source[1] = off + np.arange(n)
    source[2, :off] = off + n + np.arange(off)
    slots = np.array([0, off, off + n])
    if off < BYTES // np.dtype(dtype).itemsize:
        slots[1] = -2
    return values, source, slots


def plain(values, source, stride):
    """Return the factors of one member by the plain loops, in double precision, and the order of its chains."""
    n = source.shape[1]
    order = np.concatenate([np.arange(c, n, stride) for c in range(min(stride, n))])
    parts = [np.where(where >= 0, values[where], 0)[order].astype(float) for where in source]
    factors = (*parts, np.zeros(n), np.zeros(n, bool))
    return factors, tridiagonal_lu.factor(*factors), order


def run(values, source, slots, stride, b, x, c, z, growth, sizes):
    members, n = values.shape[0], source.shape[1]
    lanes = BYTES // values.itemsize
    starts, reached = np.arange(members), np.empty(members, np.int64)
    tile = aligned((2 * lanes * tridiagonal_lanes.ROW * n,), values.dtype)
    # As factorizations have them: what may be written to is another type, for which everything is compiled again.
    values, b, c = (None if part is None else frozen(part) for part in (values, b, c))
    tridiagonal_lanes.solve_groups(
        values,
        starts * values.shape[1],
        source,
        slots,
        stride,
        b,
        starts * n,
        x,
        c,
        z,
        growth,
        sizes,
        starts * n,
        reached,
        tile,
        lanes,
        0,
        -(-members // (2 * lanes)),
    )
    return reached


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "stride"), [(1, 1), (2, 1), (9, 1), (16, 1), (41, 1), (60, 7), (33, 16)])
@pytest.mark.parametrize("members", [1, 16, 37])
class TestAgainstPlainLoops:
    def test_solutions(self, members, n, stride, dtype):
        values, source, slots = chains(members, n, stride, dtype)
        rng = np.random.default_rng(1)
        b, c = rng.standard_normal((2, members, n)).astype(dtype)
        x, z = np.empty((2, members, n), dtype)
        reached = run(values, source, slots, stride, b, x, c, z, None, None)
        for k in range(members):
            factors, info, order = plain(values[k], source, stride)
            assert info < 0
            assert reached[k] == n
            for right, found, solve in ((b, x, tridiagonal_lu.solve), (c, z, tridiagonal_lu.solve_adjoint)):
                expected = right[k][order][:, None].astype(float)
                solve(*factors, expected)
                size = abs(expected).max()
                # Condition numbers of random chains are in the hundreds, as a rule.
                bound = 1e4 * np.finfo(dtype).eps * size * max(size, 1)
                assert abs(found[k][order] - expected[:, 0]).max() <= bound

    def test_growth_and_sizes(self, members, n, stride, dtype):
        values, source, slots = chains(members, n, stride, dtype)
        probe = np.random.default_rng(1).standard_normal((1, n)).astype(dtype)
        growth, sizes = np.empty((2, members), dtype)
        z = np.empty((members, n), dtype)
        spread = np.repeat(probe, members, axis=0)
        run(values, source, slots, stride, None, None, probe, None, growth, sizes)
        run(values, source, slots, stride, None, None, spread, z, None, None)
        np.testing.assert_array_equal(growth, abs(z).max(axis=1))
        np.testing.assert_array_equal(sizes, abs(values).max(axis=1))

    def test_determinants(self, members, n, stride, dtype):
        values, source, slots = chains(members, n, stride, dtype)
        lanes = BYTES // values.itemsize
        products, units = np.empty((2, members), dtype)
        ordinary = np.empty(members, bool)
        tile = aligned((2 * lanes * tridiagonal_lanes.ROW * n,), values.dtype)
        unit = 2.0**36
        starts = np.arange(members) * values.shape[1]
        groups = -(-members // (2 * lanes))
        tridiagonal_lanes.determinant_groups(
            frozen(values), starts, source, slots, stride, unit, products, units, ordinary, tile, lanes, 0, groups
        )
        assert ordinary.all()
        for k in range(members):
            factors, _, _ = plain(values[k], source, stride)
            sign = np.prod(np.sign(factors[1])) * (-1) ** np.count_nonzero(factors[4])
            log = np.log(abs(factors[1])).sum()
            found = float(units[k]) * np.log(unit) + np.log(abs(float(products[k])))
            assert np.sign(products[k]) == sign
            assert abs(found - log) < 1e4 * np.finfo(dtype).eps * n


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_bad_pivot_is_counted_and_stays_in_its_lane(bad):
    n, members = 20, 37
    values, source, slots = chains(members, n, 1, np.float64)
    b = np.random.default_rng(1).standard_normal((members, n))
    x, y = np.empty((2, members, n))
    run(values, source, slots, 1, b, x, None, None, None, None)
    for place in (0, 9, 36):
        for row in (0, 7, n - 1):
            spoilt = values.copy()
            spoilt[place, slots[1] + row] = bad
            spoilt[place, [slots[0] + row - 1] if row else []] = 0.0
            spoilt[place, [slots[0] + row] if row < n - 1 else []] = 0.0
            reached = run(spoilt, source, slots, 1, b, y, None, None, None, None)
            assert reached[place] == plain(spoilt[place], source, 1)[1]
            others = np.arange(members) != place
            assert (reached[others] == n).all()
            np.testing.assert_array_equal(y[others], x[others])
