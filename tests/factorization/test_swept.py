"""Long chains, solved in sweeps over segments: as accurate as any other way, and as careful."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import sweeps
from stridiag.factorization.sweeps import Sweeps
from stridiag.factorization.swept import SweptChains, SweptCondensation
from stridiag.planning.chain import SWEPT
from stridiag.testing import recording

EPS = np.finfo(np.float64).eps


def backward_error(A, x, b):
    size = abs(A.to_scipy()).sum(axis=1).max()
    return np.abs(b - A @ x).max() / (size * np.abs(x).max() + np.abs(b).max())


def constant(n, below, on, above, links=0, stride=1):
    base = stridiag.random(n, (-stride, 0, stride), links, rng=n)
    values, starts = base.values.copy(), base.structure.starts
    for number, first, end in zip((below, on, above), starts[:-1], starts[1:], strict=True):
        values[first:end] = number
    return base.with_values(values)


def signs(n, links=0):
    rng = np.random.default_rng(n)
    base = stridiag.random(n, links=links, rng=n)
    return base.with_values(rng.choice([-1.0, 1.0], size=base.nnz))


CHAINS = {
    "random": lambda n, links: stridiag.random(n, links=links, rng=n),
    "dominant": lambda n, links: stridiag.random(n, links=links, rng=n, dominant=True),
    "growing": lambda n, links: constant(n, -0.9, 0.99, 1.0, links),
    "ones": lambda n, links: constant(n, 1.0, -1.0, -1.0, links),
    "no main diagonal": lambda n, links: constant(n, 1.0, 0.0, 1.0, links),
    "signs": signs,
    "graded": lambda n, links: graded(n, links),
}


def graded(n, links):
    base = stridiag.random(n, links=links, rng=n, dominant=True)
    return base.with_values(base.values * np.exp(np.random.default_rng(0).normal(size=base.nnz) * 4))


@pytest.mark.parametrize("links", [0, 1, 7, 40])
@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("n", [SWEPT, 2001, 40_000])
def test_backward_errors(n, kind, links):
    A = CHAINS[kind](n, links)
    b = np.random.default_rng(1).normal(size=n)
    with warnings.catch_warnings():
        # Some are ill-conditioned, or singular to working precision: a backward error is small whatever they are.
        warnings.simplefilter("ignore", stridiag.IllConditionedWarning)
        F = A.factor()
        try:
            x = F.solve(b)
        except stridiag.SingularMatrixError:
            assert linalg.matrix_rank(A) < n
            return
        assert backward_error(A, x, b) < 5 * EPS
        assert (F.solve(b) == x).all()
        assert (linalg.solve(A, b) == x).all()
        y = F.solve(b, trans="T")
        # With links the transpose is solved with stored factors, whose errors may add up on a constant chain.
        assert backward_error(A.T, y, b) < 20 * EPS


@pytest.mark.parametrize("stride", [2, 5, 16])
def test_several_chains(stride):
    A = stridiag.random(3000, (-stride, 0, stride), 5, rng=0)
    b = np.random.default_rng(1).normal(size=3000)
    assert isinstance(A.factor()._members[0], SweptCondensation)
    assert backward_error(A, linalg.solve(A, b), b) < 2 * EPS
    A = stridiag.random(3000, (-stride, 0, stride), rng=0)
    assert isinstance(A.factor()._members[0], SweptChains)
    assert backward_error(A, linalg.solve(A, b), b) < 2 * EPS


def test_short_chains_are_not_swept():
    for A in (stridiag.random(SWEPT - 1, rng=0), stridiag.random(4000, (-400, 0, 400), rng=0)):
        assert not isinstance(A.factor()._members[0], SweptChains)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.complex64])
@pytest.mark.parametrize("links", [0, 6])
def test_other_types(dtype, links):
    A = stridiag.random(2500, links=links, rng=3, dominant=True, dtype=dtype)
    x = np.ones(2500, dtype)
    for solve in (linalg.solve, lambda a, b: a.factor().solve(b)):
        found = solve(A, A @ x)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, x, rtol=100 * np.finfo(dtype).eps)


def test_blocks_of_columns_and_batches():
    A = stridiag.random(2000, links=4, rng=0, dominant=True)
    X = np.random.default_rng(0).normal(size=(2000, 6))
    F = A.factor()
    for columns in (1, 2, 3, 4, 6):
        np.testing.assert_allclose(F.solve(A @ X[:, :columns]), X[:, :columns], rtol=1e-10)
        np.testing.assert_allclose(F.solve(A.T @ X[:, :columns], trans="T"), X[:, :columns], rtol=1e-10)
    batch = A.with_values(np.stack([A.values, 2 * A.values, -A.values]))
    b = np.broadcast_to(A @ X[:, :1], (3, 2000, 1))
    np.testing.assert_allclose(batch.factor().solve(b)[1], X[:, :1] / 2, rtol=1e-10)


def test_numbers_of_threads_do_not_matter(monkeypatch):
    # All groups of segments are worth a thread.
    for name in ("sweeps._GRAIN", "sweeps._CARRIED_GRAIN", "determinant._GRAIN"):
        monkeypatch.setattr(f"stridiag.factorization.{name}", 1)
    monkeypatch.setattr("stridiag.factorization.determinant._ORDERED_GRAIN", 1)
    for links, offsets in ((0, (-1, 0, 1)), (9, (-1, 0, 1)), (0, (-8, 0, 8))):
        A = stridiag.random(60_000, offsets, links, rng=0)
        b = np.ones(60_000)
        found = []
        for count in (1, 2, 5):
            with stridiag.num_threads(count):
                F = A.factor()
                found.append((F.solve(b), F.solve(b), F.solve(b, trans="T"), np.array(linalg.slogdet(A))))
        for others in zip(*found, strict=True):
            assert all((other == others[0]).all() for other in others)


def test_singular_matrices_are_told():
    A = stridiag.random(2000, rng=0)
    values, starts = A.values.copy(), A.structure.starts
    # Column 777 becomes zero.
    values[[starts[0] + 777, starts[1] + 777, starts[2] + 776]] = 0.0
    F = A.with_values(values).factor()
    with pytest.raises(stridiag.SingularMatrixError):
        F.solve(np.ones(2000))
    assert F.singular
    with pytest.raises(stridiag.SingularMatrixError):
        linalg.solve(A.with_values(values), np.ones(2000))
    integers = constant(2000, 1.0, 0.0, 1.0).with_values(constant(2000, 1.0, 0.0, 1.0).values)
    assert linalg.slogdet(integers).sign == 1.0
    odd = constant(2001, 1.0, 0.0, 1.0)
    with pytest.raises(stridiag.SingularMatrixError):
        odd.factor().solve(np.ones(2001))


@pytest.mark.parametrize("links", [0, 3])
def test_ill_conditioned_matrices_are_told(links):
    A = stridiag.random(3000, links=links, rng=0, dominant=True)
    values, starts = A.values.copy(), A.structure.starts
    values[[starts[0] + 1500, starts[1] + 1500, starts[2] + 1499]] *= 1e-18
    bad = A.with_values(values)
    for solve in (linalg.solve, lambda a, b: a.factor().solve(b)):
        with pytest.warns(stridiag.IllConditionedWarning):
            solve(bad, np.ones(3000))


@pytest.mark.parametrize("place", [0, 1234, 2999])
def test_nan_in_the_right_side_is_refused(place):
    A = stridiag.random(3000, links=2, rng=0)
    b = np.ones(3000)
    F = A.factor()
    for wrong in (np.nan, np.inf):
        b[place] = wrong
        with pytest.raises(stridiag.NonFiniteError):
            linalg.solve(A, b)
        with pytest.raises(stridiag.NonFiniteError):
            F.solve(b)


@pytest.mark.parametrize("links", [0, 5])
@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_the_ends_of_the_range(links, scale):
    A = stridiag.random(2000, links=links, rng=0, dominant=True)
    x = linalg.solve(A.with_values(A.values * scale), np.full(2000, scale))
    np.testing.assert_allclose(x, linalg.solve(A, np.ones(2000)), rtol=1e-12)


@pytest.mark.parametrize("links", [0, 5])
def test_refactor(links):
    A, B = (
        stridiag.random(2000, links=links, rng=0).with_values(
            np.random.default_rng(k).normal(size=stridiag.random(2000, links=links, rng=0).nnz)
        )
        for k in (1, 2)
    )
    b = np.ones(2000)
    F = A.factor()
    F.solve(b)
    G = F.refactor(B.values)
    assert (G.solve(b) == linalg.solve(B, b)).all()
    assert (F.solve(b) == linalg.solve(A, b)).all()
    H = F.refactor(B.values, overwrite=True)
    assert (H.solve(b) == linalg.solve(B, b)).all()
    assert H.slogdet() == linalg.slogdet(B)


@pytest.mark.parametrize(("n", "stride", "links"), [(1500, 1, 0), (1513, 2, 0), (2007, 1, 2), (2100, 3, 1)])
def test_operations_are_what_is_executed(n, stride, links):
    A = stridiag.random(n, (-stride, 0, stride), links, rng=1)
    F = A.factor()
    planned = F.plan.operations
    assert planned.exact
    layout = F.plan.layout if links else F.plan.layout.segments
    b = layout.chain.vector_to_chains(np.ones(n))
    with recording() as executed:
        sweeps = Sweeps(layout, layout.chain.entries(A.values), A.values)
        x, _ = sweeps.solve(b)
    assert executed[0] == planned.factor + planned.solve
    with recording() as executed:
        sweeps.solve(b)
    assert executed[0] == planned.solve
    assert sweeps.nbytes <= F.plan.bytes
    np.testing.assert_allclose(layout.chain.vector_from_chains(x), F.solve(np.ones(n)), rtol=1e-6)


@pytest.mark.parametrize(
    ("n", "stride", "links"), [(1500, 1, 3), (2100, 3, 5), (2001, 1, 7), (3000, 8, 20), (1503, 1, 0)]
)
@pytest.mark.parametrize("kind", CHAINS)
def test_determinants(n, stride, links, kind):
    base = CHAINS[kind](n, 0)
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n)
    A = A.with_values(np.resize(base.values, A.nnz))
    sign, log = np.linalg.slogdet(A.toarray())
    if not np.isfinite(log) or A.factor().rcond < 1e-12:
        return
    found = linalg.slogdet(A)
    assert found.sign == sign
    np.testing.assert_allclose(found.logabsdet, log, rtol=1e-12, atol=1e-9)
    assert A.factor().slogdet() == found
    assert A.factor()._members[0].slogdet_at_once() is not None


def test_a_link_at_the_first_column():
    # No segment begins its chain.
    links = ([0, 900, 1999], [1999, 0, 700], [0.5, 0.25, -0.5])
    A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 3.0, 1: 1.0}, links, shape=2000)
    assert (A.factor().plan.layout.neighbours[:, 1] >= 0).all()
    sign, log = np.linalg.slogdet(A.toarray())
    assert linalg.slogdet(A).sign == sign
    np.testing.assert_allclose(linalg.slogdet(A).logabsdet, log, rtol=1e-13)
    b = np.random.default_rng(0).normal(size=2000)
    assert backward_error(A, linalg.solve(A, b), b) < 5 * EPS


@pytest.mark.parametrize("links", [0, 4])
def test_nothing_is_taken_from_memory_that_was_used_before(monkeypatch, links):
    A = stridiag.random(2500, links=links, rng=0, dominant=True)
    b = np.ones(2500)
    expected = (linalg.solve(A, b), linalg.slogdet(A))
    empty = np.empty

    def full_of_nan(*arguments, **options):
        result = empty(*arguments, **options)
        if result.dtype.kind == "f":
            result.fill(np.nan)
        return result

    monkeypatch.setattr(np, "empty", full_of_nan)
    np.testing.assert_array_equal(linalg.solve(A, b), expected[0])
    assert linalg.slogdet(A) == expected[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "stride", "links"), [(1600, 1, 0), (3001, 8, 0), (2500, 1, 20), (4001, 9, 3)])
def test_solving_again_gives_the_same_bits(n, stride, links, dtype):
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n, dominant=True).astype(dtype)
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(4, n)).astype(dtype)
    F = A.factor(method="chain")
    first = F.solve(sides[0]).copy()
    for b in sides[1:]:
        x = F.solve(b)
        np.testing.assert_array_equal(x, A.factor(method="chain").solve(b))
        # Transposes of chains without links are swept as well.
        np.testing.assert_array_equal(F.solve(b, trans="T"), A.factor(method="chain").solve(b, trans="T"))
    np.testing.assert_array_equal(F.solve(sides[0]), first)
    if COMPILES:
        assert F.nbytes > 4 * n * np.dtype(dtype).itemsize
    assert backward_error(A, x, sides[3]) < 5 * np.finfo(dtype).eps


def test_what_leaves_no_notes_is_eliminated_anew():
    A = stridiag.random(2000, rng=0) * 1e-160
    layout = A.factor().plan.layout.segments
    tridiagonal = layout.chain.entries(A.values)
    again = Sweeps(layout, tridiagonal, A.values)
    for k in range(3):
        b = np.random.default_rng(k).normal(size=2000) * 1e-160
        x, size = again.solve(b)
        np.testing.assert_array_equal(x, Sweeps(layout, tridiagonal, A.values).solve(b)[0])
        assert size == 0
        assert backward_error(A, x, b) < 5 * EPS
    assert again.nbytes < 8 * 2000


@pytest.mark.parametrize("wrong", [0.0, 1e-300])
def test_what_looks_dominant_and_is_not_is_reflected(wrong):
    A = stridiag.random(3000, rng=0, dominant=True)
    values = A.values.copy()
    main = A.structure.slots(np.arange(3000), np.arange(3000))
    values[main[2000]] = wrong
    B = A.with_values(values)
    chain = B.factor(method="chain").plan.layout.segments
    sweeps = Sweeps(chain, chain.chain.entries(B.values), B.values)
    assert (sweeps._reflecting is None) == COMPILES
    x, size = sweeps.solve(np.ones(3000))
    assert sweeps._reflecting
    assert np.isfinite(size)
    assert backward_error(B, x, np.ones(3000)) < 5 * EPS
    reflected = Sweeps(chain, chain.chain.entries(B.values), B.values)
    reflected._reflecting = True
    np.testing.assert_array_equal(x, reflected.solve(np.ones(3000))[0])


def test_notes_are_kept_from_long_chains(monkeypatch):
    monkeypatch.setattr(sweeps, "NOTED", 1999)
    A = stridiag.random(2000, rng=0, dominant=True)
    F = A.factor()
    F.solve(np.ones(2000))
    before = F.nbytes
    F.solve(np.ones(2000))
    assert F.nbytes == before


@pytest.mark.parametrize("links", [0, 7])
def test_what_is_evidently_regular_is_solved_in_one_pass(monkeypatch, links):
    # The probe rides along with the first solution: nothing is solved to ask for a singularity.
    passes = []
    solve = Sweeps.solve

    def noted(self, b, *, probing=False):
        passes.append(probing)
        return solve(self, b, probing=probing)

    monkeypatch.setattr(Sweeps, "solve", noted)
    A = stridiag.random(20_000, links=links, rng=0, dominant=True)
    factor = A.factor()
    factor.solve(np.ones(20_000))
    assert passes == [True]
    factor.solve(np.ones(20_000))
    assert passes == [True, False]


def test_other_values_in_the_same_factor():
    A, other = stridiag.random(3000, rng=0), stridiag.random(3000, rng=1)
    b = np.random.default_rng(1).normal(size=3000)
    F = A.factor()
    F.solve(b)
    F.solve(b, trans="T")
    F.refactor(other.values, overwrite=True)
    assert backward_error(other, F.solve(b), b) < 5 * EPS
    assert backward_error(other.T, F.solve(b, trans="T"), b) < 5 * EPS


def test_singular_by_rounding_is_singular_for_determinant_and_solve():
    rng, found = np.random.default_rng(0), 0
    for n in rng.integers(2000, 9000, 12).tolist():
        structure = stridiag.Structure(n, (-1, 0, 1), tuple(rng.integers(0, n, (2, 30))))
        values = np.ones(structure.nnz)
        values[structure.diagonal_slots(-1)], values[structure.diagonal_slots(1)] = 3.0, 0.2
        F = stridiag.StridiagMatrix(structure, values).factor()
        # Before anything else is asked.
        sign = F.slogdet().sign
        assert F.singular == (sign == 0)
        if F.singular:
            found += 1
            assert F.rcond == 0
            for b in (np.ones(n), np.ones((n, 5))):
                for trans in ("N", "T"):
                    with pytest.raises(stridiag.errors.SingularMatrixError):
                        F.solve(b, trans=trans)
    assert found
