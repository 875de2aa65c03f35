"""The short way of single matrices and vectors: the results of the general way, and nothing hidden."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, NonFiniteError, SingularMatrixError, StridiagMatrix, linalg, plan
from stridiag._kernels import chain_solve, scatter
from stridiag.factorization import solve_without_factor
from stridiag.factorization.batch import MemberList
from stridiag.factorization.condition import probe, rough_condition
from stridiag.factorization.decompose import decompose
from stridiag.factorization.factor import Factor
from stridiag.factorization.single import Single
from stridiag.factorization.survey import survey
from stridiag.testing import count, counted, plain_twin

CASES = [
    (2, 1, 0),
    (3, 1, 0),
    (7, 5, 0),
    (50, 1, 0),
    (51, 4, 0),
    (333, 1, 0),
    (40, 1, 1),
    (60, 2, 4),
    (333, 1, 10),
    (600, 1, 3),
    (900, 7, 5),
]


def matrix(n, g, links, kind):
    A = stridiag.random(n, (-g, 0, g), links, rng=n, dominant=kind == "dominant")
    if kind == "constant":
        values = np.concatenate(
            [np.full(n - g, -0.9), np.full(n, 0.99), np.ones(n - g), np.ones(A.structure.link_count)]
        )
        return A.with_values(values)
    if kind == "signs":
        return A.with_values(np.where(np.random.default_rng(n).random(A.nnz) < 0.5, -1.0, 1.0))
    return A


def general(F):
    """Return the factor of the same matrix that knows no short way."""
    result = Factor(F.plan, F.matrix)
    result._members = MemberList([decompose(F.plan, F.matrix.values)])
    return result


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("kind", ["dominant", "random", "constant", "signs"])
@pytest.mark.parametrize(("n", "g", "links"), CASES)
def test_results_are_those_of_the_general_way(n, g, links, kind):
    A = matrix(n, g, links, kind)
    F = A.factor(method="chain")
    assert isinstance(F._members, Single)
    reference = general(F)
    rng = np.random.default_rng(0)
    if reference.singular:
        with pytest.raises(SingularMatrixError):
            F.solve(np.ones(n))
        return
    for _ in range(3):
        b = rng.standard_normal(n)
        x = F.solve(b)
        np.testing.assert_array_equal(x, reference.solve(b))
        np.testing.assert_array_equal(F.solve(b[:, None])[:, 0], x)
        residual = np.abs(A @ x - b).max()
        assert residual <= 1e-14 * (np.abs(A.values).max() * np.abs(x).max() + np.abs(b).max())
    rough = rough_condition(reference._members[0], A)
    if links:
        # Of the probe that goes along with the right-hand side, by the matrix itself.
        rough = F._members._scale * np.linalg.norm(reference.solve(probe(n, A.dtype)))
    assert F._members._rough == pytest.approx(rough, rel=1e-8)
    np.testing.assert_array_equal(F.solve(b, trans="T"), reference.solve(b, trans="T"))
    assert F.slogdet() == reference.slogdet()
    assert F.nbytes == reference.nbytes
    assert F.method == reference.method
    assert (F.info, F.singular) == (0, False)
    np.testing.assert_array_equal(F.inverse_diagonal(), reference.inverse_diagonal())
    np.testing.assert_array_equal(F.reconstruct(), reference.reconstruct())


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("n", [50, 2000])
def test_the_same_vector_in_another_form_has_the_same_solution(n):
    A = stridiag.random(n, (-2, 0, 2), 10, rng=n)
    main = A.structure.diagonal_slots(0)
    values = A.values.copy()
    values[main] *= 1e-8  # ill-conditioned enough that a factor looks twice
    F = A.with_values(values).factor()
    b = np.random.default_rng(n).integers(-9, 10, n).astype(float)
    x = F.solve(b)
    strided = np.zeros((n, 3))
    strided[:, 1] = b
    for form in (b[::-1].copy()[::-1], strided[:, 1], b.astype(int), b.astype(np.float32), b.tolist(), b.astype(">f8")):
        assert np.array_equal(F.solve(form), x)
        assert np.array_equal(A.with_values(values).factor().solve(form), x)
    with pytest.raises(ValueError, match="must have shape"):
        F.solve(b[1:].tolist())
    with pytest.raises(NonFiniteError):
        F.solve([*b[:-1].tolist(), np.nan])


@pytest.mark.parametrize("links", [0, 3])
def test_the_short_way_is_gone_and_so_is_linalg(links):
    A = stridiag.random(200, (-1, 0, 1), links, rng=0, dominant=True)
    b = np.linspace(-1.0, 1.0, 200)
    F = A.factor(method="chain")
    assert F._members.solve_vector(b) is not None
    np.testing.assert_allclose(linalg.solve(A, b), A.factor().solve(b), rtol=1e-13)
    # What is not a vector of doubles goes the general way, and tells the same.
    for other in (b.tolist(), b.astype(np.float32), b + 0j, np.repeat(b, 2)[::2]):
        assert np.abs(F.solve(other) - F.solve(b)).max() < 1e-6
    assert F._members.solve_vector(np.repeat(b, 2)[::2]) is None
    assert F._members.solve_vector(b.astype(np.float32)) is None
    assert F._members.solve_vector(b[:-1]) is None
    with pytest.raises(ValueError, match="b must have shape"):
        F.solve(b[:-1])


@pytest.mark.parametrize(("n", "g", "links"), [(2, 1, 0), (51, 4, 0), (333, 1, 0), (333, 1, 10), (600, 1, 3)])
def test_one_vector_is_solved_for_without_a_factor(n, g, links):
    A = matrix(n, g, links, "dominant")
    b = np.random.default_rng(n).standard_normal(n)
    x = solve_without_factor(A, b)
    assert x is not None
    agree = np.testing.assert_allclose if links else np.testing.assert_array_equal
    agree(x, A.factor().solve(b), **({"rtol": 1e-13} if links else {}))
    np.testing.assert_array_equal(x, linalg.solve(A, b))
    # Stored zeros are nothing special as long as no row and no column is made of them.
    _, columns = A.structure.coordinates()
    values = np.where((columns == 1) & (np.arange(A.nnz) != A.structure.diagonal_slots(0).start + 1), 0.0, A.values)
    B = A.with_values(values)
    agree(solve_without_factor(B, b), B.factor().solve(b), **({"rtol": 1e-12} if links else {}))


def test_what_is_not_ordinary_is_not_solved_without_a_factor():
    A = stridiag.random(50, (-1, 0, 1), rng=0, dominant=True)
    b = np.ones(50)
    _, columns = A.structure.coordinates()
    assert solve_without_factor(A, b) is not None
    for values in (
        np.where(columns == 7, 0.0, A.values),
        np.where(columns == 7, 1e-18, 1.0) * A.values,
        np.where(columns == 7, np.nan, A.values),
        np.where(columns == 7, np.inf, A.values),
        np.ldexp(A.values, 1010),
        np.ldexp(A.values, -1010),
        np.zeros(A.nnz),
    ):
        assert solve_without_factor(A.with_values(values), b) is None
    for other in (b[:, None], b[:-1], b.astype(np.float32), b + 0j, np.repeat(b, 2)[::2], np.where(b > 0, np.nan, b)):
        assert solve_without_factor(A, other) is None
    assert solve_without_factor(A.astype(np.float32), b) is None
    assert solve_without_factor(A.with_values(np.stack([A.values, A.values])), b) is None
    with pytest.raises(NonFiniteError, match="b must be finite"):
        linalg.solve(A, np.where(b > 0, np.nan, b))
    with pytest.raises(SingularMatrixError, match=r"7 has no pivot|column 7"):
        linalg.solve(A.with_values(np.where(columns == 7, 0.0, A.values)), b)
    with pytest.raises(ValueError, match="b must have shape"):
        linalg.solve(A, b[:-1])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("links", [0, 3])
@pytest.mark.parametrize("place", [0, 100, 199])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(links, place, bad, first):
    A = stridiag.random(200, (-1, 0, 1), links, rng=0, dominant=True)
    F = A.factor(method="chain")
    b = np.ones(200)
    if not first:
        F.solve(b)
    b[place] = bad
    with pytest.raises(NonFiniteError, match=rf"b must be finite.*\[{place}\]"):
        F.solve(b)
    values = A.values.copy()
    values[place] = bad
    with pytest.raises(NonFiniteError, match=rf"values must be finite.*\[{place}\]"):
        A.with_values(values).factor()


@pytest.mark.parametrize(("n", "g", "links"), [(30, 1, 0), (30, 3, 0), (300, 1, 4)])
def test_zero_pivots_are_reported_as_ever(n, g, links):
    A = stridiag.random(n, (-g, 0, g), links, rng=0, dominant=True)
    for column in (0, n // 2, n - 1):
        _, columns = A.structure.coordinates()
        B = A.with_values(np.where(columns == column, 0.0, A.values))
        F = B.factor(method="chain")
        with pytest.raises(SingularMatrixError) as found:
            F.solve(np.ones(n))
        assert found.value.column == column or found.value.row is not None
        assert F.singular
        assert F.slogdet() == (0.0, -np.inf)
    # Singular by its numbers, with no zero among them.
    ones = StridiagMatrix.from_diagonals({-1: np.ones(4), 0: [1.0, 2.0, 2.0, 2.0, 1.0], 1: np.ones(4)})
    F = ones.factor(method="chain")
    assert isinstance(F._members, Single)
    with pytest.raises(SingularMatrixError, match="row 4"):
        F.solve(np.ones(5))


@pytest.mark.parametrize("links", [0, 4])
def test_ill_conditioned_matrices_warn_each_time(links):
    A = stridiag.random(300, (-1, 0, 1), links, rng=0, dominant=True)
    _, columns = A.structure.coordinates()
    B = A.with_values(np.where(columns == 17, 1e-18, 1.0) * A.values)
    F = B.factor(method="chain")
    for _ in range(2):
        with pytest.warns(IllConditionedWarning, match="rcond"):
            F.solve(np.ones(300))
    with pytest.warns(IllConditionedWarning, match="rcond"):
        linalg.solve(B, np.ones(300))


def test_values_at_the_ends_of_the_range():
    A = stridiag.random(50, (-1, 0, 1), rng=0, dominant=True)
    x = A.factor().solve(np.ones(50))
    for exponent in (-1000, -900, 900, 1015):
        scaled = A.with_values(np.ldexp(A.values, exponent))
        found = scaled.factor().solve(np.ldexp(np.ones(50), max(exponent, -1000)))
        np.testing.assert_allclose(found, x, rtol=1e-12)


def test_a_pivot_whose_reciprocal_overflows():
    d = np.array([1.0, 1e-309, 1.0])
    A = StridiagMatrix.from_diagonals({-1: np.zeros(2), 0: d, 1: np.zeros(2)})
    with pytest.warns(IllConditionedWarning):
        x = A.factor(method="chain").solve(d)
    np.testing.assert_allclose(x, np.ones(3), rtol=1e-12)


@pytest.mark.parametrize("links", [0, 4])
def test_threads_that_share_a_fresh_factor(links):
    A = stridiag.random(400, (-1, 0, 1), links, rng=0, dominant=True)
    b = np.random.default_rng(0).standard_normal((32, 400))
    expected = [A.factor().solve(row) for row in b]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            F = A.factor()
            for x, y in zip(pool.map(F.solve, b), expected, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_survey(dtype):
    values = np.array([3.0, -7.0, 0.5], dtype)
    assert survey(values) == (7.0, 0.5)
    assert not survey(values).zeros
    found = survey(np.append(values, -0.0).astype(dtype))
    assert found == (7.0, 0.0)
    assert found.zeros
    assert survey(np.append(values, -np.inf).astype(dtype)).largest == np.inf
    for place in range(3):
        strange = values.copy()
        strange[place] = -np.nan
        assert np.isnan(survey(strange).largest)
    assert survey(np.ones((2, 3), dtype)) == (1.0, 1.0)
    assert survey(np.empty(0, dtype)) is None
    assert survey(np.ones(3, complex)) is None


def test_the_probe_is_spread_evenly():
    numbers = np.empty(100_000)
    scatter.scatter(numbers, 0)
    twin = np.empty(100)
    plain_twin(scatter.scatter)(twin, 0)
    np.testing.assert_array_equal(twin, numbers[:100])
    plain_twin(scatter.scatter)(twin, 5000)
    np.testing.assert_array_equal(twin, numbers[5000:5100])
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.var() - 1.0) < 0.02
    assert np.abs(numbers).max() <= 3**0.5
    # No wave stands out, as it would from a sequence that only fills gaps.
    spectrum = np.abs(np.fft.rfft(numbers)[1:]) / numbers.size**0.5
    assert spectrum.max() < 5


@pytest.mark.parametrize(("n", "g"), [(2, 1), (9, 1), (10, 3), (7, 6)])
def test_the_fused_kernel_executes_one_factorization_and_two_solves(n, g):
    A = stridiag.random(n, (-g, 0, g), rng=1)
    start, b = np.linspace(1.0, 2.0, n), np.linspace(-1.0, 1.0, n)
    operations = plan(A.structure, method="chain").operations
    arguments = [counted(part) for part in (A.values, b, start, np.empty((4, n)), np.empty(n), np.empty(n))]
    values, right, probe, factors, x, y = arguments
    swapped = np.empty(n, bool)
    # The steps at the ends of the chains, where an entry of U is a zero, are not skipped: up to four more at each end.
    executed = count(chain_solve.factor_solve_probe, values, g, right, probe, factors, swapped, x, y)
    assert abs(executed - operations.factor - 2 * operations.solve) <= 9 * g + 6
    np.testing.assert_array_equal(x.astype(float).round(9), A.factor(method="chain").solve(b).round(9))
    again = counted(np.empty(n))
    parts = (factors[0], factors[1], factors[2], factors[3], swapped)
    assert count(chain_solve.solve_vector, *parts, g, right, again) <= operations.solve + 2 * g
    np.testing.assert_array_equal(again.astype(float), x.astype(float))


def test_nothing_is_taken_from_memory_that_was_used_before(monkeypatch):
    # Room for what the segments leave over is not cleared: a chain's first segment leaves one row, not two.
    A = stridiag.random(400, (-1, 0, 1), 4, rng=0, dominant=True)
    b = np.ones(400)
    expected = general(A.factor()).solve(b)
    empty = np.empty

    def full_of_nan(*arguments, **options):
        result = empty(*arguments, **options)
        if result.dtype.kind == "f":
            result.fill(np.nan)
        return result

    monkeypatch.setattr(np, "empty", full_of_nan)
    for method in ("auto", "chain"):
        np.testing.assert_array_equal(A.factor(method=method).solve(b), expected)
