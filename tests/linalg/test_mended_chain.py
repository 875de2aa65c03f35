"""Chains that are dominant but for the rows that make them singular: the same ranks and products as the other ways."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag._kernels import thread_count
from stridiag._kernels.compile import COMPILES
from stridiag._kernels.strong_rows import dominance, weak_rows
from stridiag.cli.bench.problem import Case, Problem
from stridiag.linalg import mended_chain
from stridiag.linalg.direct_chain import DirectChain
from stridiag.linalg.mended_chain import MendedChain

EPS = 2.0**-52
N = 500

needs_vectors = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")


@pytest.fixture(autouse=True)
def short_chains(monkeypatch):
    monkeypatch.setattr(mended_chain, "_FROM", 64)


def settled(A, rtol=1e-11, atol=0.0):
    return MendedChain.settle(A, rtol, atol)


def singular(weak, links=0, n=N, seed=0, beyond=()):
    """Return a dominant chain with the entries of some rows lowered so that the rank is less by their number.

    The ends of links lie far from these rows. In `beyond` stand factors: entries are lowered by so much more.
    """
    rng = np.random.default_rng(seed)
    free = np.flatnonzero((np.abs(np.arange(n)[:, None] - np.array(weak, int)) > 100).all(axis=1))
    rows, columns = rng.choice(free, (2, links)) if links else np.zeros((2, 0), np.int64)
    keep = np.abs(rows - columns) > 1
    rows, columns = np.unique(np.column_stack((rows, columns))[keep], axis=0).T
    structure = stridiag.Structure((n, n), (-1, 0, 1), (rows, columns))
    values = rng.standard_normal(structure.nnz)
    main = structure.diagonal_slots(0)
    values[main] = 0.0
    others = np.bincount(structure.coordinates()[0], np.abs(values), n)
    values[main] = rng.choice([-1.0, 1.0], n) * (others + rng.uniform(0.5, 1.0, n))
    inverse = np.linalg.inv(StridiagMatrix(structure, values).toarray())
    for number, row in enumerate(weak):
        lowered = (1.0 / inverse[row, row]) * (1.0 + (beyond[number] if beyond else 0.0))
        values[main.start + row] -= lowered
    return StridiagMatrix(structure, values)


WEAK = {0: (), 1: (0,), 2: (0, N - 1), 3: (130, 200, N - 1)}


@needs_vectors
@pytest.mark.parametrize("links", [0, 1, 8])
@pytest.mark.parametrize("corank", [0, 1, 2, 3])
def test_agreement_with_numpy(links, corank):
    A = singular(WEAK[corank], links, seed=3)
    chain = settled(A)
    assert chain is not None
    assert chain.dropped == corank == N - linalg.matrix_rank(A)
    M = A.toarray()
    theirs = np.linalg.pinv(M, rcond=1e-11)
    sigma = np.linalg.svd(M, compute_uv=False)
    bound = 10.0 * EPS * sigma[0] / sigma[N - corank - 1] * np.linalg.norm(theirs, 2)
    rng = np.random.default_rng(1)
    null = chain.null_vectors()
    assert null.shape == (N, corank)
    np.testing.assert_allclose(null.T @ null, np.eye(corank), atol=1e-15)
    np.testing.assert_allclose(np.abs(M @ null).max(initial=0.0), 0.0, atol=4e-15 * sigma[0])
    for width in (1, 3, 7):
        b = rng.standard_normal((N, width))
        z = b + 1j * rng.standard_normal((N, width))
        for adjoint, D in ((False, theirs), (True, theirs.T)):
            for right in (b, z, np.float32(b), 1e-100 * b, np.asfortranarray(b)):
                given = right.copy()
                error = np.linalg.norm(chain.apply(right, adjoint=adjoint) - D @ right)
                assert error <= bound * np.linalg.norm(right)
                np.testing.assert_array_equal(given, right)
    found = np.empty((N, N))
    chain.write(found, adjoint=False)
    assert np.linalg.norm(found - theirs, 2) < bound


@needs_vectors
def test_penrose_conditions_of_single_vectors():
    """What few columns give, not those of blocks, as an array."""
    A = singular((0, 250), 2)
    chain, M = settled(A), A.toarray()
    P = np.column_stack([chain.apply(unit[:, None], adjoint=False)[:, 0] for unit in np.eye(N)])
    sigma = np.linalg.svd(M, compute_uv=False)
    unit = EPS * sigma[0] / sigma[N - 3]
    for left, right in ((P @ M, (P @ M).T), (M @ P, (M @ P).T), (M @ P @ M, M), (P @ M @ P, P)):
        assert np.linalg.norm(left - right, 2) < 20.0 * unit * max(1.0, np.linalg.norm(right, 2))


@needs_vectors
def test_no_wrong_rank():
    """What is settled has the rank of its singular values, and none of them near the cutoff."""
    number = undecided = 0
    rng = np.random.default_rng(6)
    for trial in range(150):
        n = 320
        weak = (0, n - 1) if trial % 2 else (int(rng.integers(0, n)),)
        off = [rng.choice([0.0, 1.0]) * 10.0 ** -rng.uniform(0, 17) for _ in weak]
        A = singular(weak, trial % 3, n, seed=trial, beyond=off)
        if trial % 5 == 0:
            values = A.values.copy()
            values[rng.integers(0, values.size, 2)] *= 10.0 ** -rng.uniform(0, 16)
            A = A.with_values(values)
        sigma = np.linalg.svd(A.toarray(), compute_uv=False)
        for rtol in (1e-11, 10.0 ** -rng.uniform(4, 13)):
            chain = settled(A, rtol)
            if chain is None:
                undecided += 1
                continue
            number += 1
            cutoff = rtol * sigma[0]
            assert chain.dropped == (sigma <= cutoff).sum()
            assert not ((sigma > 0.5 * cutoff + 50 * EPS * sigma[0]) & (sigma < 2.0 * cutoff)).any()
    assert number > 80
    assert undecided > 50


def test_what_is_not_clear_is_left_to_the_other_ways():
    A = singular((0, N - 1), 3)
    assert (settled(A) is not None) == COMPILES
    assert settled(A, 0.0) is None
    assert settled(A, 1e-11, 1e-2) is None
    assert settled(A, 1e-11, 1e300) is None
    assert settled(A.with_values(0.0 * A.values), 1e-12) is None
    assert settled(A * 1e-200) is None
    assert settled(A.astype("complex128")) is None
    assert settled(stridiag.random(N, (-1, 0, 1), rng=0)) is None
    assert settled(stridiag.random(N, (-2, 0, 1), rng=0, dominant=True)) is None
    assert settled(stridiag.random(N, (-1, 0, 1), 60, rng=0, dominant=True)) is None
    # Weak, and not singular; not quite singular.
    assert settled(singular((0, N - 1), beyond=(0.0, 0.1))) is None
    assert settled(singular((0, N - 1), beyond=(0.0, 1e-13))) is None
    # Nearer to one another than their null vectors reach.
    assert settled(singular((100, 103))) is None
    # A link near a weak row.
    structure = stridiag.Structure((N, N), (-1, 0, 1), ([300], [60]))
    assert settled(StridiagMatrix(structure, np.append(singular((0, N - 1)).values, 0.1))) is None
    # A link that is one row's undoing.
    structure = stridiag.Structure((N, N), (-1, 0, 1), ([250], [300]))
    assert settled(StridiagMatrix(structure, np.append(singular(()).values, 50.0))) is None
    # Null vectors that reach far, and two blocks.
    n = 1000
    second = StridiagMatrix.from_diagonals({0: 2.0 * np.ones(n), 1: -np.ones(n - 1), -1: -np.ones(n - 1)})
    assert settled(second) is None
    up = np.ones(N - 1)
    up[100] = 0.0
    assert settled(StridiagMatrix.from_diagonals({0: 3.0 * np.ones(N), 1: up, -1: up})) is None


@needs_vectors
@pytest.mark.parametrize("scale", [2.0**300, 3e-7])
def test_scales(scale):
    A = singular((0, N - 1), 3)
    b = np.random.default_rng(0).standard_normal((N, 3)) * [1.0, 2.0**700, 2.0**-600]
    expected = settled(A).apply(b * [1.0, 2.0**-700, 2.0**600], adjoint=False)
    found = settled(A * scale).apply(b, adjoint=False) * [1.0, 2.0**-700, 2.0**600]
    np.testing.assert_allclose(found * scale, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@needs_vectors
def test_vectors_of_a_few_numbers():
    A = singular((0, N - 1), 3)
    theirs = np.linalg.pinv(A.toarray(), rcond=1e-11)
    for place in (0, 1, 77, N - 1):
        unit = np.zeros((N, 1))
        unit[place] = 3.0
        np.testing.assert_allclose(settled(A).apply(unit, adjoint=False), theirs @ unit, rtol=0, atol=1e-13)


@needs_vectors
@pytest.mark.parametrize("links", [0, 8])
@pytest.mark.parametrize("n", [20_000, 60_000])
def test_long_chains(links, n):
    problem = Problem(Case(1, 1, links), n, "singular")
    A, b = problem.matrix, problem.right
    found = []
    for threads in (1, 2):
        with thread_count.num_threads(threads):
            P = linalg.pinv(A)
            assert isinstance(P._parts[0].chain, MendedChain)
            found.append((P @ b, P.T @ b))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    assert P.rank == n - 2 == P.rank_info.rank
    other = DirectChain.settle(A, n * EPS, 0.0)
    for x, adjoint in zip(found[0], (False, True), strict=True):
        expected = other.apply(b[:, None], adjoint=adjoint)[:, 0]
        np.testing.assert_allclose(x, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@needs_vectors
def test_single_precision_and_what_is_not_finite():
    A = singular((), 3).astype("float32")
    P = linalg.pinv(A, rtol=1e-9)
    assert isinstance(P._parts[0].chain, MendedChain)
    theirs = np.linalg.inv(A.toarray().astype(float))
    b = np.random.default_rng(0).standard_normal(N).astype(np.float32)
    found = P @ b
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, theirs @ b, rtol=0, atol=2.0**-20 * np.abs(theirs @ b).max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not (P @ np.zeros(N)).any()
        assert not (P @ np.zeros((N, 0))).size
        for bad in (np.nan, np.inf):
            b[3] = bad
            assert np.isnan(P @ b).any()


def test_rows_and_columns_that_dominate():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5, 255, 256, 257, 258, 259, 700):
        dl, du = rng.standard_normal((2, max(n - 1, 0)))
        left, right = np.append(0.0, np.abs(dl)), np.append(np.abs(du), 0.0)
        above, below = np.append(0.0, np.abs(du)), np.append(np.abs(dl), 0.0)
        for d in (left + right, above + below, np.maximum(left + right, above + below), 0.5 * (left + right) - 1.0):
            for place in (None, 0, n // 2, n - 1):
                main = d.copy()
                if place is not None:
                    main[place] *= 1.0 - 1e-9
                expected = bool((np.abs(main) >= left + right).all()), bool((np.abs(main) >= above + below).all())
                if n > 1:
                    assert dominance(dl, main, du) == expected
                weak = np.flatnonzero(~(np.abs(main) - (left + right) >= 1e-3))
                rows = np.empty(8, np.int64)
                if n > 1:
                    count = weak_rows(dl, main, du, 1e-3, rows)
                    assert count == min(weak.size, 9)
                    np.testing.assert_array_equal(rows[: min(count, 8)], weak[:8])
