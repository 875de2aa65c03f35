"""Sixteen segments at a time give what one does, and what dense reflections give; operations are counted."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels import band_lanes as kernels
from stridiag.factorization.chain_windows import frozen
from stridiag.testing import count, counted

LOWER, WIDTH = 2, 5


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def problem(rng, dtype, lengths):
    """Return a band of five diagonals, one of them absent, and segments that have kept columns on either side."""
    starts = WIDTH + np.concatenate(([0], np.cumsum(lengths[:-1] + WIDTH)))
    n = int(starts[-1] + lengths[-1]) + WIDTH
    table = rng.standard_normal((WIDTH + 1, n)).astype(dtype)
    base = np.arange(WIDTH + 1) * n
    base[1] = kernels.ABSENT
    table[1] = 0
    return table, base, starts


def aligned(size, dtype):
    # Zeros, as in `stridiag.factorization.band_lanes`: lanes that wait read what stands there.
    room = np.zeros(size + 64, dtype)
    return room[-room.ctypes.data % 64 // room.itemsize :]


def run(lanes, table, base, starts, lengths, x):
    """Return leftovers, factors for links, right-hand sides carried, and solutions for known columns of ones."""
    more = -starts.size % lanes
    starts, lengths = (np.concatenate((part, np.repeat(part[-1:], more))) for part in (starts, lengths))
    flat, count, marks = frozen(table.ravel()), starts.size, (0,) * lanes
    out = [np.empty((count, *rest), table.dtype) for rest in ((WIDTH, 2 * WIDTH), (WIDTH + 1,), (len(x), WIDTH), (2,))]
    work = aligned(kernels.condense_size(WIDTH, len(x), lanes), table.dtype)
    given = (flat, base, starts, lengths, 0, count // lanes)
    kernels.condense((0,) * WIDTH, marks, LOWER, WIDTH, *given, x, *out, work)
    again = np.empty_like(out[2])
    none = out[0][:0]
    kernels.condense((0,) * WIDTH, marks, LOWER, 0, *given, x, none, none[:, 0], again, none[:, 0], work)
    np.testing.assert_array_equal(out[2], again)
    solved = x.copy()
    work = aligned(kernels.substitute_size(WIDTH, len(x), lanes, int(lengths.max())), table.dtype)
    right = np.ones((count, len(x), WIDTH), table.dtype)
    kernels.substitute((0,) * WIDTH, marks, LOWER, *given, solved, right, work)
    return out, solved


def dense(table):
    n = table.shape[1]
    result = np.zeros((n, n), table.dtype)
    for d in range(WIDTH + 1):
        rows = np.arange(max(0, LOWER - d), min(n, n + LOWER - d))
        result[rows, rows - LOWER + d] = table[d, rows]
    return result


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")
def test_lanes_are_the_loop(rng, dtype):
    lengths = np.sort(rng.integers(1, 50, 37))[::-1].copy()
    table, base, starts = problem(rng, dtype, lengths)
    x = rng.standard_normal((2, table.shape[1])).astype(dtype)
    table[LOWER] += 8
    plain, plain_solved = run(1, table, base, starts, lengths, x)
    many, solved = run(128 // np.dtype(dtype).itemsize, table, base, starts, lengths, x)
    for one, other in zip(plain, many, strict=True):
        np.testing.assert_allclose(other[: one.shape[0]], one, rtol=0, atol=200 * np.finfo(dtype).eps * abs(one).max())
    np.testing.assert_allclose(solved, plain_solved, rtol=0, atol=200 * np.finfo(dtype).eps * abs(plain_solved).max())


@pytest.mark.parametrize("length", [1, 2, 7, 16, 33])
def test_what_is_left_over(rng, length):
    lengths = np.full(2, length)
    table, base, starts = problem(rng, np.float64, lengths)
    A = dense(table)
    x = rng.standard_normal((1, table.shape[1]))
    (leftover, entering, carried, extent), _ = run(1, table, base, starts, lengths, x)
    for s, a in enumerate(starts):
        rows = slice(a - WIDTH + LOWER, a + length + LOWER)
        kept = np.r_[a - WIDTH : a, a + length : a + length + WIDTH]
        # The last column is a link of the last row.
        link = np.zeros(length + WIDTH)
        link[-1] = 1.0
        block = np.column_stack((A[rows, a : a + length], A[rows][:, kept], x[0, rows], link))
        left = np.linalg.qr(block, mode="r")[length:, length:] if block.shape[0] <= block.shape[1] else None
        if left is None:
            left = np.linalg.qr(block, mode="complete")[1][length:, length:]
        mine = np.column_stack((leftover[s], carried[s, 0], entering[s, 1:]))
        # The rows are known up to an orthogonal factor.
        np.testing.assert_allclose(mine.T @ mine, left.T @ left, atol=1e-12 * abs(left).max() ** 2)
        assert 0 < extent[s, 0] <= extent[s, 1]


def test_known_unknowns_to_the_right(rng):
    lengths = np.array([40, 23, 8])
    table, base, starts = problem(rng, np.float64, lengths)
    table[LOWER] += 6
    A = dense(table)
    inside = np.zeros(table.shape[1], bool)
    for a, length in zip(starts, lengths, strict=True):
        inside[a : a + length] = True
    truth = np.ones(table.shape[1])
    x = (A @ truth)[None]
    # Without what the kept columns to the left give.
    for a in starts:
        rows = np.arange(a - WIDTH + LOWER, a + LOWER)
        x[0, rows] -= A[rows, a - WIDTH : a].sum(axis=1)
    _, solved = run(1, table, base, starts, lengths, x)
    np.testing.assert_allclose(solved[0, inside], 1.0, atol=1e-12)


def test_a_zero_column_is_reported(rng):
    lengths = np.array([20, 20])
    table, base, starts = problem(rng, np.float64, lengths)
    column = starts[1] + 7
    for d in range(WIDTH + 1):
        table[d, column + LOWER - d] = 0
    (_, _, _, extent), _ = run(1, table, base, starts, lengths, np.zeros((0, table.shape[1])))
    assert extent[0, 0] > 0
    assert extent[1, 0] == 0


@pytest.mark.parametrize("sides", [0, 1, 2])
def test_operations_are_counted(rng, sides):
    lengths = np.array([12, 9, 5])
    table, base, starts = problem(rng, np.float64, lengths)
    columns, segments, w = int(lengths.sum()), lengths.size, WIDTH
    flat, x = counted(table.ravel()), counted(rng.standard_normal((sides, table.shape[1])))
    out = [counted(np.zeros((segments, *rest))) for rest in ((w, 2 * w), (w + 1,), (sides, w), (2,))]
    work = counted(np.zeros(kernels.condense_size(w, sides, 1)))
    given = (flat, base, starts, lengths, 0, segments)
    full = count(kernels.condense, (0,) * w, (0,), LOWER, w, *given, x, *out, work)
    assert full == columns * (8 * w * w + 2 * w + 5 + sides * (4 * w + 2)) + segments * (w + 4)
    carried = count(kernels.condense, (0,) * w, (0,), LOWER, 0, *given, x, *out, work)
    assert carried == columns * (4 * w * w + 2 * w + 5 + sides * (4 * w + 2)) + 2 * segments
    work = counted(np.zeros(kernels.substitute_size(w, sides, 1, 12)))
    right = counted(np.ones((segments, sides, w)))
    solved = count(kernels.substitute, (0,) * w, (0,), LOWER, *given, x, right, work)
    assert solved == columns * (4 * w * w + 4 * w + 5 + sides * (6 * w + 5))
    places = np.arange(1, segments + 1) * w
    z = counted(np.ones(((segments + 1) * w, sides)))
    known = count(kernels.place_known, LOWER, w, flat, base, starts, places, z, x, right)
    # The diagonal that is absent would have w - 1 products for each segment.
    assert known == 2 * segments * sides * (w * (w + 1) // 2 - (w - 1))
