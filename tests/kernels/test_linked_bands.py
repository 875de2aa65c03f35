"""Columns of the inverse of a band near links: against dense inverses, and what is refused."""

import numpy as np
import pytest
from scipy.sparse.linalg import splu

import stridiag
from stridiag._kernels import lane_numbers
from stridiag._kernels import linked_bands as kernels
from stridiag._kernels.compile import COMPILES, kernel
from stridiag.planning.links_apart import LinksApart
from stridiag.testing import plain_twin

N, MARGIN = 4200, 60


@kernel
def step(a, pivot, side, least, row, lower, upper):
    lane_numbers.eliminate_step(a, pivot, side, least, row, lower, upper, 0.5)
    lane_numbers.substitute_step(a, pivot, side, upper)
    lane_numbers.set_lanes(a, 0, 7.0)


@pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")
@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (3, 2), (2, 4)])
def test_steps_in_vectors_are_the_plain_ones(lower, upper):
    rng = np.random.default_rng(lower)
    lanes = lane_numbers.LANES
    row = (lower + upper + 1) * lanes
    a = rng.standard_normal((12 + lower) * row)
    least = a.size - 2 * lanes
    b = a.copy()
    given = (2 * row + lower * lanes, 8 * row, least, row, lower, upper)
    step(a, *given)
    plain_twin(step)(b, *given)
    np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14)
    assert (a[:lanes] == 7.0).all()


def apart_of(A):
    found = LinksApart.of(A.structure, int(np.gcd.reduce(A.structure.offsets)))
    assert found is not None
    return found


def near(A, margin=MARGIN, columns_near=kernels.columns_near, room=16):
    apart = apart_of(A)
    flat, base = apart.band.diagonals(A.values)
    count = apart.slots.size
    rows, z, spans = np.empty(count, np.int64), np.empty((count, 2 * margin + 1)), np.empty((count, 2), np.int64)
    (ends, pair_ends), pair_rows = np.empty((2, count + 1), np.int64), np.empty(room * count, np.int64)
    given = (flat, base, apart.band.lower, apart.band.n, margin, apart.rows, apart.columns, A.values[apart.slots])
    made = (rows, ends, z, spans, pair_ends, pair_rows, np.empty(room * count))
    return columns_near(*given, *made), *made


def linked(offsets, rows, columns, link, *, n=N, size=3.0):
    """A dominant band, with links that its diagonal does not allow for."""
    structure = stridiag.Structure((n, n), offsets, (np.array(rows), np.array(columns)))
    values = np.random.default_rng(n).standard_normal(structure.nnz)
    main = structure.diagonal_slots(0)
    values[main] = size * len(offsets) * np.sign(values[main])
    values[structure.starts[-1] :] = link
    return stridiag.StridiagMatrix(structure, values)


SCATTERED = ([0, 1, 700, 701, 2000, 2000, N - 1, N - 3], [3000, N - 1, 702, 9, 699, 5, 0, 1999])


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 3), (-1, 0, 2), (-4, 0, 4, 1), (-6, 0, 9), (-2, -1, 0, 1)])
def test_columns_are_those_of_the_inverse(offsets):
    A = linked(tuple(sorted(offsets)), *SCATTERED, 0.5)
    apart = apart_of(A)
    count, found, ends, z, spans, *_ = near(A)
    assert count == np.unique(A.structure.link_rows).size >= 6
    assert ends[count] == A.structure.link_count >= 7
    T, order = linked(tuple(sorted(offsets)), *SCATTERED, 0.0).to_scipy(), apart.band.chain.order
    inverse = splu(T.tocsc()).solve(np.eye(N)[:, order[found[:count]]])[order]
    for k in range(count):
        full = np.zeros(N + 2 * MARGIN)
        full[found[k] : found[k] + 2 * MARGIN + 1] = z[k]
        np.testing.assert_allclose(full[MARGIN : MARGIN + N], inverse[:, k], atol=1e-15)
        outside = np.r_[full[:MARGIN], full[MARGIN + N :], z[k, : spans[k, 0]], z[k, spans[k, 1] :]]
        assert not outside.any()


def test_plain_loops_do_the_same():
    A = linked((-3, 0, 2), *SCATTERED, 0.5)
    compiled, plain = near(A), near(A, columns_near=plain_twin(kernels.columns_near))
    assert compiled[0] == plain[0] == 6
    for one, other in zip(compiled[1:3], plain[1:3], strict=True):
        np.testing.assert_array_equal(one[: compiled[0]], other[: compiled[0]])
    np.testing.assert_allclose(compiled[3][: compiled[0]], plain[3][: compiled[0]], rtol=1e-12, atol=1e-20)


def test_what_is_refused():
    A = linked((-3, 0, 2), *SCATTERED, 0.5)
    assert near(A)[0] == 6
    # Pivots that cannot be taken as they come; a stretch that is too short; links that are too large, or not finite.
    assert near(A.with_values(np.where(np.arange(A.nnz) >= A.structure.starts[-1], 0.5, 1.0)))[0] == 0
    assert near(A, 12)[0] == -1
    for bad in (1e3, np.inf, np.nan):
        values = A.values.copy()
        values[-1] = bad
        assert near(A.with_values(values))[0] == 0
    # A zero pivot; numbers of the band that are not finite.
    main = A.structure.diagonal_slots(0)
    for bad in (0.0, np.inf, np.nan):
        values = A.values.copy()
        for slots in map(A.structure.diagonal_slots, A.structure.offsets):
            values[slots][2000 if slots == main else 1997 : 2001] = 0.0
        values[main.start + 2000] = bad
        assert near(A.with_values(values))[0] <= 0
    # No room for all pairs of links.
    close = linked((-3, 0, 2), np.repeat(np.arange(2000, 2010), 2), np.tile([2100, 2011], 10), 1e-3)
    assert near(close)[0] == 10
    assert near(close, room=1)[0] == 0


def test_sums_of_columns_are_bounded():
    # Each link by itself is small; all of them in a few rows next to each other are not.
    rows = np.arange(2000, 2040)
    small = linked((-3, 0, 2), rows, rows + 1500, 0.5)
    large = linked((-3, 0, 2), rows, rows + 1500, 8.0)
    assert near(small)[0] == 40
    assert near(large)[0] == 0
