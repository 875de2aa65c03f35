"""Long bands: LU from both ends, and with links, sixteen segments at a time; and what is left to stored factors."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels.thread_count import num_threads
from stridiag.factorization import band_again, two_ended_band
from stridiag.factorization.band import BandLU
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.decompose import decompose
from stridiag.factorization.linked_lanes import LinkedLanes
from stridiag.factorization.two_ended_band import TwoEndedLU
from stridiag.testing import recording

N = 6000
OFFSETS = (-3, 0, 2)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def error(A, x, b):
    size = abs(A.to_scipy()).sum(axis=1).max()
    return abs(b - A @ x).max() / (size * abs(x).max() + abs(b).max())


def of_kind(kind, links, offsets=OFFSETS, n=N):
    A = stridiag.random(n, offsets=offsets, links=links, rng=3, dominant=kind == "dominant")
    if kind == "constant":
        return A.with_values(
            np.concatenate(
                [np.full(A.diagonal(k).size, v) for k, v in zip(offsets, (1.0, -0.9, 0.99), strict=True)]
                + [np.ones(links)]
            )
        )
    return A.with_values(np.sign(A.values)) if kind == "signs" else A


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
@pytest.mark.parametrize("kind", ["dominant", "random", "constant", "signs"])
@pytest.mark.parametrize("links", [0, 40])
def test_backward_error(rng, kind, links):
    A = of_kind(kind, links)
    F = A.factor(method="condensation" if links else "band")
    assert isinstance(decompose(F.plan, A.values), LinkedLanes if links else TwoEndedLU)
    b = rng.standard_normal(N)
    assert error(A, F.solve(b), b) < 1e-15
    assert error(A, F.solve(b), b) < 1e-15
    assert error(A.T, F.solve(b, trans="T"), b) < 1e-15
    both = F.solve(np.stack((b, 2 * b), axis=1))
    assert error(A, both[:, 1], 2 * b) < 1e-15
    many = F.solve(np.tile(b[:, None], 12))
    assert error(A, many[:, 11], b) < 1e-15


@pytest.mark.parametrize("offsets", [(-9, 0, 6), (-1, 0, 2)])
def test_residue_classes(rng, offsets):
    A = of_kind("dominant", 0, offsets, 13_001)
    b = rng.standard_normal(13_001)
    assert isinstance(decompose(stridiag.plan(A.structure), A.values), TwoEndedLU)
    assert error(A, A.factor().solve(b), b) < 1e-15


# With links that dominate, LU of the diagonals takes the place of lanes: see test_linked_bands.py.
WAYS = [("dominant", 0), ("dominant", 40), ("random", 40)]


@pytest.mark.parametrize("links", [0, 40])
def test_single_precision(rng, links):
    A = of_kind("dominant", links).astype(np.float32)
    F = A.factor(method="condensation" if links else "band")
    b = rng.standard_normal(N).astype(np.float32)
    assert error(A, F.solve(b), b) < 1e-6
    assert error(A.T, F.solve(b, trans="T"), b) < 1e-6


@pytest.mark.parametrize(("kind", "links"), WAYS)
def test_threads_change_nothing(rng, kind, links, monkeypatch):
    for name in ("_GRAIN", "_NOTED_GRAIN"):
        monkeypatch.setattr(f"stridiag.factorization.band_lanes.{name}", 1)
    A = of_kind(kind, links)
    b = rng.standard_normal(N)
    found = []
    for threads in (1, 2, 3):
        with num_threads(threads):
            F = A.factor(method="condensation" if links else "band")
            found += [F.solve(b), F.solve(b)]
    # The first of two carries the probe along; that changes nothing either.
    for x in found[1:]:
        np.testing.assert_array_equal(x, found[0])


@pytest.mark.parametrize(("kind", "links"), WAYS)
def test_the_rest_is_left_to_stored_factors(rng, kind, links):
    A = of_kind(kind, links)
    method = "condensation" if links else "band"
    planned = stridiag.plan(A.structure, method=method)
    D = decompose(planned, A.values)
    stored = (BandCondensation if links else BandLU)(planned.layout, A.values)
    assert D.slogdet() == stored.slogdet()
    np.testing.assert_array_equal(D.inverse_diagonal(), stored.inverse_diagonal())
    x = rng.standard_normal((N, 2))
    np.testing.assert_allclose(D.multiply(x.copy()), A @ x, atol=1e-12)
    assert not links or D.nbytes < stored.nbytes
    pattern = D.inverse_on_pattern(transpose=True)
    np.testing.assert_array_equal(pattern, stored.inverse_on_pattern(transpose=True))
    # What the 1-norm of the inverse is known to be at least.
    assert D.rough_norm() > abs(D.inverse_diagonal()).max()


@pytest.mark.parametrize("links", [0, 40])
def test_what_is_taken_by_stored_factors(links):
    A = of_kind("random" if links else "dominant", links)
    planned = stridiag.plan(A.structure, method="condensation" if links else "band")
    plain = BandCondensation if links else BandLU
    assert isinstance(decompose(planned, A.values.astype(complex)), plain)
    # Squares of these vanish, and the reciprocals of those are infinite.
    assert isinstance(decompose(planned, A.values * (1e-160 if links else 1e-310)), plain)
    # A zero column, in a segment.
    values = A.values.copy()
    _, columns = A.structure.coordinates()
    values[columns == 3000] = 0
    D = decompose(planned, values)
    assert isinstance(D, plain)
    assert A.with_values(values).factor(method=planned.method).info != 0


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 8), (-4, 0, 4), (-1, 0, 4), (-4, 0, 1), (-1, 0, 1, 2)])
def test_widths_and_counts(rng, offsets):
    # Both ends run as plain loops here, on numbers that count operations.
    n = 4100 + offsets[-1]
    A = of_kind("random", 0, offsets, n) if len(offsets) == 3 else stridiag.random(n, offsets, rng=3)
    planned = stridiag.plan(A.structure, method="band")
    with recording() as factor:
        D = decompose(planned, A.values)
    assert isinstance(D, TwoEndedLU)
    b = rng.standard_normal((n, 1))
    with recording() as solve:
        x = D.solve(b.copy())
    with recording() as adjoint:
        y = D.solve(b.copy(), adjoint=True)
    assert error(A, x[:, 0], b[:, 0]) < 1e-15
    assert error(A.T, y[:, 0], b[:, 0]) < 1e-15
    operations = planned.operations
    assert operations.exact
    assert (factor[0], solve[0], adjoint[0]) == (operations.factor, operations.solve, operations.solve)
    assert D.nbytes == planned.bytes


@pytest.mark.parametrize("sides", [1, 3])
def test_one_call_or_several_change_nothing(rng, monkeypatch, sides):
    A, b = of_kind("random", 0), rng.standard_normal((N, sides))
    made = []
    for rows in (N + 1, N):
        monkeypatch.setattr(two_ended_band, "_SOLVE_ROWS", rows)
        F = A.factor(method="band")
        made.append((F.solve(b[:, 0]), F.solve(b[:, 0]), F.solve(b)))
    for one, several in zip(*made, strict=True):
        np.testing.assert_array_equal(one, several)
    assert error(A, made[0][2][:, -1], b[:, -1]) < 1e-15


@pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
@pytest.mark.parametrize("offsets", [(-1, 0, 2), (-2, 0, 1), (-1, 0, 1, 2), OFFSETS, (-3, 0, 1), (-2, -1, 0, 1, 2)])
@pytest.mark.parametrize("n", [N, 20_001])
def test_solutions_of_products_again(rng, offsets, n):
    # Where segments are nearly singular, what is noted has to be what was eliminated, bit by bit: otherwise errors are
    # as large as these segments' condition numbers, which a random right-hand side does not show.
    A = stridiag.random(n, offsets, 30, rng=7)
    F, b = A.factor(method="condensation"), A @ rng.standard_normal(n)
    assert isinstance(decompose(F.plan, A.values), LinkedLanes)
    first = F.solve(b)
    assert error(A, first, b) < 1e-15
    for _ in range(2):
        np.testing.assert_array_equal(F.solve(b), first)


@pytest.mark.parametrize("offsets", [OFFSETS, (-6, 0, 4)])
def test_the_right_hand_side_of_a_vector_is_only_read(rng, offsets):
    A, b = of_kind("random", 0, offsets), rng.standard_normal(N)
    F, kept = A.factor(method="band"), b.copy()
    first = F.solve(b)
    b.setflags(write=False)
    np.testing.assert_array_equal(F.solve(b), first)
    np.testing.assert_array_equal(b, kept)
    np.testing.assert_array_equal(F.solve(b[:, None])[:, 0], first)


@pytest.mark.parametrize("offsets", [OFFSETS, (-6, 0, 4)])
@pytest.mark.parametrize("kind", ["dominant", "random"])
def test_solutions_that_are_not_finite_are_noticed(rng, kind, offsets):
    # Wherever that begins, it shows in the last unknowns that are found: the outermost.
    A, b = of_kind(kind, 0, offsets), rng.standard_normal(N)
    D = decompose(stridiag.plan(A.structure, method="band"), A.values)
    assert isinstance(D, TwoEndedLU)
    np.testing.assert_array_equal(D.solve_vector(b), D.solve(b[:, None].copy())[:, 0])
    for place in (0, 1, 17, N // 2 - 3, N // 2, N // 2 + 3, N - 30, N - 1):
        for bad in (np.nan, np.inf, -np.inf):
            other = b.copy()
            other[place] = bad
            assert D.solve_vector(other) is None
            with pytest.raises(stridiag.NonFiniteError):
                A.factor(method="band").solve(other)
    # What overflows on the way, in one place: there the diagonal is tiny, and the row and the column have nothing else.
    for place in (5, N // 2 + 1, N - 7):
        values, (rows, columns) = A.values.copy(), A.structure.coordinates()
        values[(rows == place) | (columns == place)] = 0.0
        values[(rows == place) & (columns == place)] = 1e-200
        D = decompose(stridiag.plan(A.structure, method="band"), values)
        large = b.copy()
        large[place] = 1e200
        assert isinstance(D, TwoEndedLU)
        assert D.solve_vector(large) is None
        assert D.solve_vector(b) is not None


@pytest.mark.parametrize("offsets", [OFFSETS, (-6, 0, 4)])
@pytest.mark.parametrize("kind", ["dominant", "random"])
def test_with_links_vectors_are_only_read_and_what_is_not_finite_is_noticed(rng, kind, offsets, monkeypatch):
    A = of_kind(kind, 40, offsets, 2 * N)
    b, large = A @ rng.standard_normal(2 * N), np.full(2 * N, 1e308)
    plan = stridiag.plan(A.structure, method="condensation")
    D = decompose(plan, A.values)
    assert isinstance(D, LinkedLanes)
    b.setflags(write=False)
    first = D.solve_vector(b.copy())
    # From the second on notes are replayed, in one call or in several; into the right-hand side's own memory too.
    kept = b.copy()
    for long in (10**9, 0):
        monkeypatch.setattr(band_again, "_LONG", long)
        np.testing.assert_array_equal(D.solve_vector(b), first)
        np.testing.assert_array_equal(D.solve(b[:, None].copy())[:, 0], first)
        np.testing.assert_array_equal(b, kept)
        for place in (0, 1, N, A.structure.link_rows[0], A.structure.link_columns[0], 2 * N - 1):
            for bad in (np.nan, np.inf):
                other = b.copy()
                other[place] = bad
                assert D.solve_vector(other) is None
        assert decompose(plan, 1e-3 * A.values).solve_vector(large) is None


def test_other_values_in_the_same_storage(rng):
    A = of_kind("random", 0)
    B = A.with_values(rng.standard_normal(A.values.size))
    b = rng.standard_normal(N)
    F = A.factor(method="band")
    F.solve(b)
    F.slogdet()
    fresh = B.factor(method="band")
    F = F.refactor(B.values)
    np.testing.assert_array_equal(F.solve(b), fresh.solve(b))
    assert F.slogdet() == fresh.slogdet()


def test_replayed_reflections_change_nothing(rng):
    A = of_kind("random", 40)
    b = rng.standard_normal(N)
    F = A.factor(method="condensation")
    first = F.solve(b)
    before = F.nbytes
    np.testing.assert_array_equal(F.solve(b), first)
    # Reflections and what stands behind their pivots, 2 w + 2 numbers for each interior column.
    assert F.nbytes - before > (N - 1500) * 12 * 8
    np.testing.assert_array_equal(F.solve(-b), -first)
    c = b.copy()
    c[7] = np.nan
    with pytest.raises(ValueError, match="b must be finite"):
        F.solve(c)
