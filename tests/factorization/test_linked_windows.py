"""Long chains with links in one pass: proved near the links, or left to the sweeps."""

import numpy as np
import pytest
from scipy.sparse.linalg import splu, spsolve

import stridiag
from stridiag import linalg
from stridiag._kernels import linked_windows as kernels
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.window_columns import columns as columns_of_inverse
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


KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "graded": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.uniform(-1, 1, size=n),
}


def random(n, stride, links, seed, kind="normal"):
    """Chains that decay without being dominant, with links."""
    structure = stridiag.random(n, (-stride, 0, stride), links, rng=seed).structure
    return stridiag.StridiagMatrix(structure, KINDS[kind](np.random.default_rng(seed), structure.nnz))


def normwise_error(A, x, b):
    """Of all rows together."""
    return abs(A @ x - b).max() / (abs(A.to_scipy()).sum(axis=1).max() * abs(x).max() + abs(b).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [1, 8, 16])
@pytest.mark.parametrize("links", [1, 40, 400])
def test_solutions_with_interchanges(tried, stride, links, kind):
    A, b = random(60_000, stride, links, links * stride, kind), right(60_000)
    x = linalg.solve(A, b)
    assert normwise_error(A, x, b) < 4 * EPS
    if kind == "normal":
        assert tried == [True]
    expected = splu(A.to_scipy().tocsc()).solve(b)
    np.testing.assert_allclose(x, expected, rtol=0.0, atol=1e-7 * abs(expected).max())


def test_links_near_each_other_with_interchanges(tried):
    # As above, and strong: each time the same places.
    b = right(60_000)
    rows = [100, 5000, 9000, 9010, 9010, 9010, 0, 59_999, 0, 59_999, 7000, 7001, 7002]
    places = [5003, 8997, 98, 12, 100, 9013, 59_999, 0, 40, 300, 7002, 7004, 6990]
    T = random(60_000, 1, 0, 3)
    order = np.lexsort((places, rows))
    structure = stridiag.Structure(T.shape, T.structure.offsets, (np.array(rows)[order], np.array(places)[order]))
    for size in (0.01, 1.0, 100.0):
        links = size * np.random.default_rng(4).normal(size=len(rows))
        A = stridiag.StridiagMatrix(structure, np.concatenate((T.values, links)))
        assert normwise_error(A, linalg.solve(A, b), b) < 4 * EPS
        log = linalg.slogdet(A).logabsdet
        assert log == pytest.approx(reference(A)[1], rel=1e-12)
        # Those in circles have a part in it.
        assert abs(log - linalg.slogdet(T).logabsdet) > 1e-6
    assert len(tried) == 3
    assert tried[0]


def test_columns_that_reach_farther_are_looked_for_farther_away(tried):
    # Around one link the chain is a stretch of second differences, which forget nothing.
    A, b = random(60_000, 1, 12, 5), right(60_000)
    values, starts, row = A.values.copy(), A.structure.starts, int(A.structure.link_rows[6])
    here = slice(row - 120, row + 120)
    for part, number in enumerate((-1.0, 2.0, -1.0)):
        values[starts[part] :][here] = number
    A = A.with_values(values)
    made = LinkedWindows.of(ChainLayout(A.structure, 1), A.values)
    assert made._near[0][4].shape[1] == 4 * made._margin + 1
    x = linalg.solve(A, b)
    assert normwise_error(A, x, b) < 4 * EPS


def test_what_forgets_nothing_is_swept(tried):
    # Random signs: errors shrink over some hundred rows and more.
    structure = stridiag.random(60_000, links=20, rng=0).structure
    A = stridiag.StridiagMatrix(structure, np.random.default_rng(0).choice([-1.0, 1.0], structure.nnz))
    b = right(60_000)
    x = linalg.solve(A, b)
    assert normwise_error(A, x, b) < 5 * EPS
    assert tried == []


def test_links_that_all_feel_each_other_are_swept(tried):
    structure = stridiag.random(60_000, links=0, rng=0).structure
    rows, places = np.divmod(np.arange(400), 20)
    structure = stridiag.Structure(structure.shape, structure.offsets, (5000 + rows, 5100 + places))
    A = stridiag.StridiagMatrix(structure, np.random.default_rng(0).normal(size=structure.nnz))
    b = right(60_000)
    assert normwise_error(A, linalg.solve(A, b), b) < 5 * EPS
    assert tried == [False]


def test_circles_that_grow_are_swept(tried):
    # Two links that hand on to each other what they have multiplied: no sum of rounds converges.
    T = random(60_000, 1, 0, 6)
    structure = stridiag.Structure(T.shape, T.structure.offsets, ([300, 8000], [8000, 300]))
    A = stridiag.StridiagMatrix(structure, np.concatenate((T.values, [1e3, 1e3])))
    b = right(60_000)
    x = linalg.solve(A, b)
    assert tried == [False]
    assert normwise_error(A, x, b) < 5 * EPS


@pytest.mark.parametrize("stride", [1, 8])
def test_what_links_make_singular_with_interchanges_is_told(stride):
    # The link takes from an entry of the main diagonal what makes the matrix singular, on its way through a chain.
    T = random(60_000, stride, 0, 7)
    here = 4000 + stride * np.arange(400)
    near = np.linalg.inv(T.to_scipy().tocsr()[here][:, here].toarray())
    structure = stridiag.Structure(T.shape, T.structure.offsets, ([4000 + 200 * stride], [4000 + 203 * stride]))
    A = stridiag.StridiagMatrix(structure, np.concatenate((T.values, [-1.0 / near[203, 200]])))
    with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
        linalg.solve(A, right(60_000))


def test_a_link_on_a_row_that_is_singular_without_it(tried):
    # Without its link the chain has no solution.
    T = random(60_000, 1, 0, 8)
    values, starts = T.values.copy(), T.structure.starts
    values[[starts[0] + 8999, starts[0] + 9000, starts[1] + 9000, starts[2] + 9000, starts[2] + 8999]] = 0.0
    structure = stridiag.Structure(T.shape, T.structure.offsets, ([8900, 9000], [9000, 8900]))
    A = stridiag.StridiagMatrix(structure, np.concatenate((values, [2.0, 1.0])))
    b = right(60_000)
    x = linalg.solve(A, b)
    assert tried == [False]
    assert normwise_error(A, x, b) < 5 * EPS
    assert linalg.slogdet(A).logabsdet == pytest.approx(reference(A)[1], rel=1e-12)


@pytest.mark.parametrize("power", [-1000, -400, 300, 900])
def test_numbers_near_the_ends_of_the_range_with_interchanges(power):
    A = random(60_000, 1, 30, 9)
    b = right(60_000)
    x = linalg.solve(A, b)
    scaled = A.with_values(np.ldexp(A.values, power))
    found = linalg.solve(scaled, b)
    np.testing.assert_allclose(np.ldexp(found, power), x, rtol=0.0, atol=1e-6 * abs(x).max())


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


@pytest.mark.parametrize(("stride", "links"), [(1, 1), (1, 10), (8, 100), (16, 100), (1, 100)])
def test_determinants_with_interchanges(by_windows, stride, links):
    A = random(60_000, stride, links, links)
    sign, log = linalg.slogdet(A)
    expected = reference(A)
    assert sign == expected[0]
    assert log == pytest.approx(expected[1], rel=1e-14)
    assert A.factor().slogdet() == (sign, log)


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


@pytest.mark.parametrize("off", [1e-10, 1e-13])
def test_a_determinant_of_links_that_make_chains_regular(tried, off):
    # Rows 300 and 301 of the chains are nearly multiples of each other, and by themselves; with links they are not.
    A = linked([300, 304], [304, 300], [1.0, 1.0])
    values, starts = A.values.copy(), A.structure.starts
    values[[starts[0] + 299, starts[2] + 299, starts[0] + 301, starts[2] + 301]] = 0.0
    values[starts[1] + 300], values[starts[2] + 300] = 1.3, 0.7
    values[starts[0] + 300], values[starts[1] + 301] = 1.1, 1.1 * 0.7 / 1.3 * (1.0 + off)
    A = A.with_values(values)
    sign, log = linalg.slogdet(A)
    expected = reference(A)
    assert sign == expected[0]
    assert abs(log - expected[1]) < 1e-10


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
    for stride, dominant in ((1, True), (8, True), (1, False), (8, False)):
        A, b = stridiag.random(80_000, (-stride, 0, stride), 90, rng=1, dominant=dominant), right(80_000)
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
    R, c = random(60_000, 1, 30, 3), right(60_000)
    G = R.factor()
    assert all((G.solve(c) == linalg.solve(R, c)).all() for _ in range(3))
    assert normwise_error(R.T, G.solve(c, trans="T"), c) < 5 * EPS
    assert all(tried)
    other = stridiag.random(N, links=30, rng=4, dominant=True)
    F.refactor(A.values * 2.0, overwrite=True)
    np.testing.assert_array_equal(F.solve(b), x / 2.0)
    assert other.structure != A.structure


def test_notes_are_replayed_once_they_are_worth_their_price(tried):
    A, b = stridiag.random(N, links=30, rng=3, dominant=True), right()
    x, F = linalg.solve(A, b), A.factor()
    assert all((F.solve(b) == x).all() for _ in range(swept.BY_WINDOWS))
    windows = 1 + swept.BY_WINDOWS
    assert tried == [True] * windows
    y = F.solve(b)
    assert (F.solve(b) == y).all()
    assert 0.0 < abs(x - y).max() < 1e-13 * abs(x).max()
    # Other values begin anew, in the same storage too.
    for overwrite in (False, True):
        assert (F.refactor(2.0 * A.values, overwrite=overwrite).solve(b) == x / 2.0).all()
    # Two windows for the new values, and none more for the old ones.
    assert tried == [True] * (windows + 2)


def test_what_windows_refuse_is_swept_from_then_on(tried):
    # Most entries of the right-hand side are zero, which windows do not serve.
    A, b, sparse = stridiag.random(N, links=30, rng=3, dominant=True), right(), np.zeros(N)
    sparse[70] = 1.0
    F = A.factor()
    F.solve(b)
    y = F.solve(sparse)
    assert normwise_error(A, y, sparse) < 4 * EPS
    F.solve(b)
    assert tried == [True, False]


@pytest.mark.parametrize("stride", [1, 3])
def test_what_links_have_to_do_with_each_other(stride):
    n, margin = 60, 16
    T = stridiag.random(n, (-stride, 0, stride), rng=7, dominant=True)
    dl, d, du = (np.array(T.diagonal(k)) for k in (-stride, 0, stride))
    link_rows, columns = np.array([0, 1, 30, 30, 59]), np.array([40, 33, 2, 59, 27])
    links = np.array([1.0, 2, 3, -4, 0.5])
    rows, ends, pair_ends = np.empty(5, np.int64), np.empty(6, np.int64), np.empty(6, np.int64)
    count, largest = kernels.survey(link_rows, columns, links, stride, margin, rows, ends, pair_ends)
    assert (count, largest) == (4, 4.0)
    assert rows[:4].tolist() == [0, 1, 30, 59]
    assert ends[:5].tolist() == [0, 1, 2, 4, 5]
    rows, ends, pair_ends = rows[:4], ends[:5], pair_ends[:5]
    near, sizes, ended = np.empty((4, 2 * margin + 1)), np.empty(4), np.empty(4)
    columns_of_inverse(dl, d, du, stride, margin, rows, near, sizes, ended)
    pair_rows, pairs = np.empty(pair_ends[-1], np.int64), np.empty(pair_ends[-1])
    again = np.empty_like(pair_ends)
    kernels.couplings(columns, links, stride, rows, ends, near, again, pair_rows, pairs)
    np.testing.assert_array_equal(again, pair_ends)
    inverse = np.linalg.inv(T.toarray())
    # What meets within the margins: pairs of a link and a row.
    met = [
        (int(np.searchsorted(rows, row)), int(other), value * inverse[column, rows[other]])
        for row, column, value in zip(link_rows, columns, links, strict=True)
        for other in range(4)
        if abs(column - rows[other]) <= margin * stride and (column - rows[other]) % stride == 0
    ]
    assert met
    assert [(row, other) for row, other, _ in met] == list(
        zip(np.repeat(np.arange(4), np.diff(pair_ends)), pair_rows, strict=True)
    )
    np.testing.assert_allclose(pairs, [value for *_, value in met], rtol=1e-4, atol=1e-9)
    links[3] = np.inf
    assert np.isnan(kernels.survey(link_rows, columns, links, stride, margin, rows, ends, pair_ends)[1])


def test_the_bound_bounds():
    # By the norm of all that links add to the inverse, applied to random signs; unknown where rounds do not end.
    rng = np.random.default_rng(3)
    for size in (0.1, 1.0):
        count, n = 30, 200
        links = rng.normal(size=count)
        rows = rng.choice(n, count, replace=False)
        columns = rng.choice(n, count, replace=False)
        inverse = size * rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.01)
        K = links[:, None] * inverse[np.ix_(columns, rows)]
        order = [np.flatnonzero(row) for row in K]
        pair_ends = np.cumsum([0, *(each.size for each in order)])
        pair_rows, pairs = np.concatenate(order), np.concatenate([row[row != 0] for row in K])
        sizes = abs(inverse[:, rows]).sum(axis=0)
        across = abs(inverse[columns]).sum(axis=1)
        found = kernels.bound(links, np.arange(count + 1), sizes, across, pair_ends, pair_rows, pairs)
        added = inverse[:, rows] @ np.linalg.solve(np.eye(count) + K, links[:, None] * inverse[columns])
        for _ in range(10):
            assert np.linalg.norm(added @ rng.choice([-1.0, 1.0], n)) <= found
    circle = np.array([0, 1, 2]), np.array([1, 0]), np.array([1.5, -1.0])
    one = np.ones(2)
    assert kernels.bound(one, np.arange(3), one, one, *circle) == np.inf
    almost = np.array([0, 1, 2]), np.array([1, 0]), np.array([0.999, -1.0])
    assert kernels.bound(one, np.arange(3), one, one, *almost) == np.inf
    calm = np.array([0, 1, 2]), np.array([1, 0]), np.array([0.5, -0.5])
    assert kernels.bound(one, np.arange(3), one, one, *calm) == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("dominant", [True, False])
def test_what_is_wrong_is_not_accepted(dominant):
    A, b = stridiag.random(60_000, links=30, rng=3, dominant=dominant), right(60_000)
    made = LinkedWindows.of(ChainLayout(A.structure, 1), A.values)
    x = np.empty(60_000)
    assert made.solve(b, x) is not None
    near = made._near[0][4]
    for place in (0, 3, 29):
        kept = near[place].copy()
        near[place, near.shape[1] // 2] *= 1.0 + 1e-9
        assert made.solve(b, x) is None
        near[place] = kept
    assert made.solve(b, x) is not None
