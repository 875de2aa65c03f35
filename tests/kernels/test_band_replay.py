"""Reflections that were noted do to a right-hand side what elimination does; operations are counted."""

import numpy as np
import pytest
from numba import config

from stridiag._kernels import band_lanes, band_replay
from stridiag.testing import count, counted
from stridiag.testing.counting import plain_twin

LOWER, WIDTH = 2, 5


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def problem(rng, lanes, lengths):
    """Return a band, one of whose diagonals is absent, segments of it, and a right-hand side."""
    starts = WIDTH + np.concatenate(([0], np.cumsum(lengths[:-1] + WIDTH)))
    n = int(starts[-1] + lengths[-1]) + WIDTH
    table = rng.standard_normal((WIDTH + 1, n))
    base = np.arange(WIDTH + 1) * n
    base[1] = band_lanes.ABSENT
    more = -starts.size % lanes
    starts, lengths = (np.concatenate((part, np.repeat(part[-1:], more))) for part in (starts, lengths))
    return table.ravel(), base, starts, lengths, rng.standard_normal(n)


def room(size):
    """Return zeros that begin with a cache line, as in `stridiag.factorization.band_lanes`."""
    result = np.zeros(size + 64)
    return result[-result.ctypes.data % 64 // 8 :]


def notes(lanes, starts, lengths):
    before = np.concatenate(([0], np.cumsum(lengths.reshape(-1, lanes).max(axis=1))))
    return before, *(room(before[-1] * lines * lanes) for lines in (WIDTH + 2, WIDTH))


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")
def test_replaying_is_eliminating(rng):
    lanes = 16
    flat, base, starts, lengths, x = problem(rng, lanes, np.sort(rng.integers(1, 50, 37))[::-1].copy())
    marks, kind, groups = (0,) * lanes, (0,) * WIDTH, starts.size // lanes
    right = rng.standard_normal((starts.size, 1, WIDTH))
    none = np.empty((0, WIDTH, 2 * WIDTH))
    carried, replayed = np.empty((2, starts.size, 1, WIDTH))
    work = room(band_lanes.condense_size(WIDTH, 1, lanes))
    some = (flat, base, starts, lengths, 0, groups)
    out = (none, none[:, 0], carried, none[:, 0], work)
    band_lanes.condense(kind, marks, LOWER, 0, *some, x[None], *out)
    solved = x[None].copy()
    work = room(band_lanes.substitute_size(WIDTH, 1, lanes, int(lengths.max())))
    band_lanes.substitute(kind, marks, LOWER, *some, solved, right, work)

    before, turns, pivots = notes(lanes, starts, lengths)
    work = room(band_replay.note_size(WIDTH, lanes))
    band_replay.note(kind, marks, LOWER, *some, before, np.empty((0, 1)), turns, pivots, work)
    again = (starts, lengths, 0, groups, before, turns)
    band_replay.fold(kind, marks, LOWER, *again, x, replayed, room(band_replay.fold_size(WIDTH, lanes)))
    np.testing.assert_array_equal(replayed, carried)
    work = room(band_replay.unfold_size(WIDTH, lanes, int(lengths.max())))
    edges = edges_of(starts, lengths, x)
    # What stands in the rows that the edges hold is not looked at.
    b, apart = x.copy(), x.copy()
    b[(starts - (WIDTH - LOWER))[:, None] + np.arange(WIDTH)] = np.nan
    b[starts + lengths - 1 + LOWER] = np.nan
    band_replay.unfold(kind, marks, LOWER, *again, pivots, b, edges, right, apart, work)
    np.testing.assert_array_equal(apart, solved[0])
    band_replay.unfold(kind, marks, LOWER, *again, pivots, x, edges, right, x, work)
    np.testing.assert_array_equal(x, solved[0])


def edges_of(starts, lengths, x):
    """Return the first w rows and the last one of each segment, from which nothing is subtracted."""
    tops = (starts - (WIDTH - LOWER))[:, None] + np.arange(WIDTH)
    return x[np.column_stack((tops, starts + lengths - 1 + LOWER))]


def test_operations_are_counted(rng):
    flat, base, starts, lengths, x = problem(rng, 1, np.array([12, 9, 5]))
    columns, w = int(lengths.sum()), WIDTH
    before, turns, pivots = notes(1, starts, lengths)
    work = np.zeros(band_replay.note_size(w, 1))
    some = (flat, base, starts, lengths, 0, 3)
    plain_twin(band_replay.note)((0,) * w, (0,), LOWER, *some, before, np.empty((0, 1)), turns, pivots, work)
    turns, pivots, x = counted(turns), counted(pivots), counted(x)
    again = (starts, lengths, 0, 3, before, turns)
    carried, work = counted(np.zeros((3, 1, w))), counted(np.zeros(band_replay.fold_size(w, 1)))
    assert count(band_replay.fold, (0,) * w, (0,), LOWER, *again, x, carried, work) == columns * (4 * w + 2)
    work = counted(np.zeros(band_replay.unfold_size(w, 1, 12)))
    right = counted(rng.standard_normal((3, 1, w)))
    unfolding = (*again, pivots, x, edges_of(starts, lengths, x), right, x, work)
    assert count(band_replay.unfold, (0,) * w, (0,), LOWER, *unfolding) == columns * (6 * w + 6)
