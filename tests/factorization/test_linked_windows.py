"""Long dominant chains with links in one pass: proved row by row, or left to the sweeps."""

import numpy as np
import pytest
from scipy.sparse.linalg import splu, spsolve

import stridiag
from stridiag import linalg
from stridiag._kernels import linked_windows as kernels
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import swept
from stridiag.factorization.linked_windows import LinkedWindows
from stridiag.factorization.sweeps import Sweeps
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

EPS = np.finfo(np.float64).eps
N = 13_001


@pytest.fixture(autouse=True)
def tried(watched):
    """Solve short chains in windows too; return what became of each trial."""
    return watched(LinkedWindows)


def linked(rows, columns, links, stride=1, n=N):
    """A dominant chain with these links, which the main diagonal does not allow for."""
    T = stridiag.random(n, (-stride, 0, stride), rng=n, dominant=True)
    order = np.lexsort((columns, rows))
    structure = stridiag.Structure((n, n), T.structure.offsets, (np.array(rows)[order], np.array(columns)[order]))
    return stridiag.StridiagMatrix(structure, np.concatenate((T.values, np.array(links, float)[order])))


def right(n=N):
    return np.random.default_rng(0).normal(size=n)


def backward_error(A, x, b):
    """Of each row by itself, the largest."""
    return (abs(A @ x - b) / (abs(A.to_scipy()) @ abs(x) + abs(b) + 1e-300)).max()


@pytest.mark.parametrize("stride", [1, 8, 16])
@pytest.mark.parametrize("links", [1, 10, 200])
def test_solutions(tried, stride, links):
    n = 20_000
    A = stridiag.random(n, (-stride, 0, stride), links, rng=links, dominant=True)
    b = right(n)
    x = linalg.solve(A, b)
    assert tried == [True]
    assert backward_error(A, x, b) < 4.5 * EPS
    np.testing.assert_allclose(x, A.factor().solve(b), rtol=1e-10, atol=1e-13)


def test_links_near_each_other(tried):
    # In a row, each ending where the next begins; in a circle; several in a row and in a column; at the ends.
    rng, b = np.random.default_rng(2), right()
    rows = [100, 5000, 9000, 9010, 9010, 9010, 0, N - 1, 0, N - 1, 7000, 7001, 7002]
    columns = [5003, 8997, 98, 12, 100, 9013, N - 1, 0, 40, 300, 7002, 7004, 6990]
    for size in (0.1, 0.3, 1.0):
        A = linked(rows, columns, size * rng.normal(size=len(rows)))
        x = linalg.solve(A, b)
        assert backward_error(A, x, b) < 4.5 * EPS
        np.testing.assert_allclose(x, spsolve(A.to_scipy().tocsc(), b), rtol=1e-9, atol=1e-12)
    assert tried == [True] * 3


def test_links_that_are_zero_or_tiny(tried):
    A, b = linked([50, 2000, 4000], [9000, 70, 12_000], [0.0, 1e-300, 1e-17]), right()
    assert backward_error(A, linalg.solve(A, b), b) < 4.5 * EPS
    assert tried == [True]


def test_strong_links_are_proved_or_swept():
    # From what changes nothing to what is next to singular, and beyond.
    b = right()
    A = linked([300, 8000], [8003, 298], [1.0, 1.0])
    near = np.linalg.inv(A.toarray()[7900:8100, 7900:8100])[103, 100]
    far = np.linalg.inv(A.toarray()[200:400, 200:400])[98, 100]
    for size in (1e-8, 0.1, 0.9, 1.1, 30.0, 1e6):
        # At size 1 the product of both links and what comes between is 1, and the matrix singular.
        strong = A.with_values(np.concatenate((A.values[:-2], [1.0 / near, size / far])))
        x = linalg.solve(strong, b)
        scale = abs(strong.to_scipy()).max() * abs(x).max() + abs(b).max()
        assert abs(strong @ x - b).max() < 4.5 * EPS * scale


@pytest.mark.parametrize("off", [0.0, 1e-17])
def test_links_that_make_the_matrix_singular_are_told(off):
    A = linked([300], [300 + 17], [1.0])
    values = A.values.copy()
    starts = A.structure.starts
    # Rows and columns 300 and 317 by themselves, joined by nothing but the link and its counterpart on the diagonal.
    for row in (300, 317):
        values[[starts[0] + row - 1, starts[0] + row, starts[2] + row - 1, starts[2] + row]] = 0.0
    values[starts[1] + 317] = off
    with pytest.raises(stridiag.SingularMatrixError) if off == 0.0 else pytest.warns(stridiag.IllConditionedWarning):
        linalg.solve(A.with_values(values), right())


def test_a_circle_of_links_that_makes_the_matrix_singular_is_told():
    A = linked([300, 8000], [8000, 300], [2.0, 0.5])
    values, starts = A.values.copy(), A.structure.starts
    for row in (300, 8000):
        values[[starts[0] + row - 1, starts[0] + row, starts[2] + row - 1, starts[2] + row]] = 0.0
        values[starts[1] + row] = 1.0
    # Which of the two it is depends on what rounding leaves of a pivot.
    with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
        linalg.solve(A.with_values(values), right())


def test_numbers_that_are_not_finite_are_told():
    A, b = linked([300, 8000], [8003, 298], [0.1, 0.2]), right()
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, 7000, N - 1, A.nnz - 2, A.nnz - 1):
            values = A.values.copy()
            values[place] = bad
            with pytest.raises(stridiag.NonFiniteError):
                linalg.solve(A.with_values(values), b)
        wrong = b.copy()
        wrong[8003] = bad
        with pytest.raises(stridiag.NonFiniteError):
            linalg.solve(A, wrong)


@pytest.mark.parametrize("power", [-1000, 900, 1015])
def test_numbers_near_the_ends_of_the_range(power):
    A = linked([300, 8000], [8003, 298], [0.1, 0.2])
    x = right()
    scaled = A.with_values(np.ldexp(A.values, power))
    np.testing.assert_allclose(linalg.solve(scaled, scaled @ x), x, rtol=1e-11, atol=1e-12)


def test_rows_that_are_scaled_apart(tried):
    # Each row is proved by itself, so that it does not matter how large the others are.
    A = stridiag.random(N, links=40, rng=5, dominant=True)
    rows, _ = A.structure.coordinates()
    b = right()
    scale = np.exp2(np.round(np.linspace(-12, 12, N)))
    graded, c = A.with_values(A.values * scale[rows]), b * scale
    assert backward_error(graded, linalg.solve(graded, c), c) < 4.5 * EPS
    assert tried == [True]


def test_what_is_not_dominant_is_swept(tried):
    A, b = stridiag.random(N, links=20, rng=0), right()
    x = linalg.solve(A, b)
    assert abs(A @ x - b).max() < 5 * EPS * (abs(A.to_scipy()).max() * abs(x).max() + abs(b).max())
    assert tried == []


def test_what_looks_dominant_and_is_not_is_swept(tried):
    A, b = stridiag.random(N, links=20, rng=0, dominant=True), right()
    values = A.values.copy()
    values[[part + 7000 for part in A.structure.starts[:3]]] = 30.0, 1e-3, 30.0
    A = A.with_values(values)
    x = linalg.solve(A, b)
    assert tried == [False]
    assert abs(A @ x - b).max() < 8 * EPS * (60.0 * abs(x).max() + abs(b).max())


def reference(A):
    """Sign and logarithm of the determinant, by SuperLU."""
    lu = splu(A.to_scipy().tocsc())
    diagonal = np.concatenate((lu.L.diagonal(), lu.U.diagonal()))
    sign = np.prod(np.sign(diagonal)) * permutation_parity(lu.perm_r) * permutation_parity(lu.perm_c)
    return sign, np.log(abs(diagonal)).sum()


def permutation_parity(order):
    seen, sign = np.zeros(order.size, bool), 1
    for start in range(order.size):
        at, length = start, 0
        while not seen[at]:
            seen[at] = True
            at, length = order[at], length + 1
        sign *= -1 if length and length % 2 == 0 else 1
    return sign


@pytest.fixture
def by_windows(monkeypatch):
    """Forbid the sweeps' determinant."""

    def forbidden(*args, **options):
        raise AssertionError("swept")

    monkeypatch.setattr(Sweeps, "slogdet", forbidden)


@pytest.mark.parametrize(("stride", "links"), [(1, 1), (1, 10), (8, 30), (1, 200)])
def test_determinants(by_windows, stride, links):
    A = stridiag.random(N, (-stride, 0, stride), links, rng=links, dominant=True)
    sign, log = linalg.slogdet(A)
    expected = reference(A)
    assert sign == expected[0]
    assert log == pytest.approx(expected[1], rel=1e-14)
    assert A.factor().slogdet() == (sign, log)


@pytest.mark.parametrize("seed", range(6))
def test_determinants_of_links_near_each_other(by_windows, seed):
    # In circles, in a row, by themselves, several in a row and in a column.
    rows = [100, 8997, 5003, 9000, 9010, 9010, 9010, 0, N - 1, 7000, 7001, 7002, 600, 602]
    columns = [5003, 100, 8997, 98, 12, 100, 9013, N - 1, 0, 7002, 7004, 6990, 602, 600]
    A = linked(rows, columns, np.random.default_rng(seed).uniform(-1.0, 1.0, len(rows)))
    # Where main diagonals are small, one link decides on the sign: nothing but rounding may be different.
    sign, log = linalg.slogdet(A)
    expected = reference(A)
    assert sign == expected[0]
    assert abs(log - expected[1]) < 1e-12 * abs(expected[1])
    without = linalg.slogdet(A.with_values(np.concatenate((A.values[: -len(rows)], np.zeros(len(rows))))))
    assert abs(log - without.logabsdet) > 1e-4


def test_what_a_determinant_is_left_to_the_sweeps_for():
    # Too strong for each other; the value changes its sign.
    A = linked([300, 8000], [8003, 298], [1.0, 1.0])
    for size in (40.0, -40.0):
        strong = A.with_values(np.concatenate((A.values[:-2], [size, 40.0])))
        sign, log = linalg.slogdet(strong)
        expected = reference(strong)
        assert sign == expected[0]
        assert log == pytest.approx(expected[1], rel=1e-13)


def test_a_chain_that_does_not_decay_everywhere_has_its_determinant(tried):
    # Second differences for a stretch of rows, with links in it.
    A = linked([6000, 6020, 300], [6010, 6500, 9000], [0.5, -0.25, 1.0])
    values, starts = A.values.copy(), A.structure.starts
    values[starts[0] + 5800 : starts[0] + 6800] = -1.0
    values[starts[1] + 5801 : starts[1] + 6800] = 2.0
    values[starts[2] + 5801 : starts[2] + 6800] = -1.0
    A = A.with_values(values)
    sign, log = linalg.slogdet(A)
    expected = reference(A)
    assert sign == expected[0]
    assert log == pytest.approx(expected[1], rel=1e-12)
    b = right()
    x = linalg.solve(A, b)
    assert abs(A @ x - b).max() < 5 * EPS * (abs(A.to_scipy()).max() * abs(x).max() + abs(b).max())
    assert tried == [False]


def test_determinants_of_what_is_singular_or_not_finite():
    A = linked([300], [8000], [1.0])
    values, starts = A.values.copy(), A.structure.starts
    values[[starts[0] + 299, starts[0] + 300, starts[2] + 299, starts[2] + 300]] = 0.0
    values[starts[1] + 300] = 0.0
    assert linalg.slogdet(A.with_values(values)) == (0.0, -np.inf)
    for place in (0, 7000, A.nnz - 1):
        values = A.values.copy()
        values[place] = np.nan
        with pytest.raises(stridiag.NonFiniteError):
            linalg.slogdet(A.with_values(values))
    for power in (-1000, 900, 1010):
        found = linalg.slogdet(A.with_values(np.ldexp(A.values, power)))
        assert found.logabsdet == pytest.approx(reference(A)[1] + N * power * np.log(2.0), rel=1e-13)


def test_numbers_of_threads_do_not_matter(tried, monkeypatch):
    # Each group of windows is worth a thread.
    for name in ("_GRAIN", "_LONG_GRAIN"):
        monkeypatch.setattr(f"stridiag.factorization.chain_windows.{name}", 1)
    for stride in (1, 8):
        A, b = stridiag.random(80_000, (-stride, 0, stride), 90, rng=1, dominant=True), right(80_000)
        found = []
        for count in (1, 2, 3):
            with stridiag.num_threads(count):
                found.append(linalg.solve(A, b))
        assert all((other == found[0]).all() for other in found)
    assert all(tried)


def test_the_first_solution_takes_no_layout_of_segments(monkeypatch, tried):
    def forbidden(*args, **options):
        raise AssertionError("laid out")

    monkeypatch.setattr(CondensationLayout, "build", forbidden)
    A = stridiag.random(N, links=20, rng=11, dominant=True)
    linalg.solve(A, right())
    assert tried == [True]


def test_a_layout_put_off_is_the_same():
    structure = stridiag.random(N, links=20, rng=12).structure
    chain = ChainLayout(structure, 1)
    later, now = CondensationLayout.later(chain), CondensationLayout.build(chain)
    assert later.swept
    assert now.swept
    for name in ("columns", "core", "leftover", "core_places", "first", "last", "neighbours", "link_start"):
        np.testing.assert_array_equal(getattr(later, name), getattr(now, name))
    assert later.cost == now.cost
    with pytest.raises(AttributeError, match="nothing"):
        _ = later.nothing


def test_factors_of_long_chains(monkeypatch, tried):
    monkeypatch.setattr(swept, "NOTED", 6000)
    A, b = stridiag.random(N, links=30, rng=3, dominant=True), right()
    F = A.factor()
    x = linalg.solve(A, b)
    for _ in range(3):
        assert (F.solve(b) == x).all()
    assert (F.solve(b[:, None])[:, 0] == x).all()
    assert backward_error(A.T, F.solve(b, trans="T"), b) < 50 * EPS
    assert len(tried) >= 4
    assert all(tried)
    assert F.nbytes > 0
    other = stridiag.random(N, links=30, rng=4, dominant=True)
    F.refactor(A.values * 2.0, overwrite=True)
    np.testing.assert_array_equal(F.solve(b), x / 2.0)
    assert other.structure != A.structure


@pytest.mark.parametrize("stride", [1, 3])
def test_columns_of_the_inverse(stride):
    n, margin = 60, 12
    T = stridiag.random(n, (-stride, 0, stride), rng=7, dominant=True)
    dl, d, du = (np.array(T.diagonal(k)) for k in (-stride, 0, stride))
    rows, columns, links = np.array([0, 1, 30, 30, 59]), np.array([40, 33, 2, 59, 27]), np.array([1.0, 2, 3, -4, 0.5])
    near, pairs = np.empty((5, 2 * margin + 1)), np.empty(40)
    (found, ends, pair_ends), pair_rows = np.empty((3, 6), np.int64), np.empty(40, np.int64)
    count, factor, largest = kernels.columns_near(
        dl, d, du, stride, margin, rows, columns, links, found, ends, near, pair_ends, pair_rows, pairs
    )
    assert (count, largest) == (4, 4.0)
    assert factor > 1.0
    assert found[:4].tolist() == [0, 1, 30, 59]
    assert ends[:5].tolist() == [0, 1, 2, 4, 5]
    inverse = np.linalg.inv(T.toarray())
    for place, row in enumerate(found[:4]):
        for k in range(-margin, margin + 1):
            at = row + k * stride
            expected = inverse[at, row] if 0 <= at < n else 0.0
            assert near[place, margin + k] == pytest.approx(expected, abs=1e-4)
    made = {
        (row, pair_rows[pair]): pairs[pair] for row in range(4) for pair in range(pair_ends[row], pair_ends[row + 1])
    }
    assert made
    for (row, other), value in made.items():
        expected = sum(
            links[k] * inverse[columns[k], found[other]]
            for k in range(ends[row], ends[row + 1])
            if abs(columns[k] - found[other]) <= margin * stride and (columns[k] - found[other]) % stride == 0
        )
        assert value == pytest.approx(expected, abs=1e-4)
    # No room for all pairs.
    assert kernels.columns_near(
        dl, d, du, stride, margin, rows, columns, links, found, ends, near, pair_ends, pair_rows, pairs[:1]
    )[:2] == (-1, np.inf)


def test_what_is_wrong_is_not_accepted():
    A, b = stridiag.random(60_000, links=30, rng=3, dominant=True), right(60_000)
    made = LinkedWindows.of(ChainLayout(A.structure, 1), A.values)
    x = np.empty(60_000)
    assert made.solve(b, x) is not None
    near = made._around[4]
    for place in (0, 3, 29):
        kept = near[place].copy()
        near[place, near.shape[1] // 2] *= 1.0 + 1e-9
        assert made.solve(b, x) is None
        near[place] = kept
    assert made.solve(b, x) is not None
