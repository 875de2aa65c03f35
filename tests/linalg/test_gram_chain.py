"""The quickest way, for very long chains of a very clear rank: the same ranks and products as of the other ways."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag._kernels import thread_count
from stridiag._kernels.compile import COMPILES
from stridiag.cli.bench.problem import Case, Problem
from stridiag.factorization.gram_lanes import LaneLayout
from stridiag.linalg import gram_chain
from stridiag.linalg.direct_chain import DirectChain
from stridiag.linalg.gram_chain import GramChain
from stridiag.linalg.mended_chain import MendedChain

from .test_direct_chain import EPS, N, deficient

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")


@pytest.fixture(autouse=True)
def short_chains(monkeypatch):
    monkeypatch.setattr(gram_chain, "_FROM", 64)
    # Which would come first.
    monkeypatch.setattr(MendedChain, "settle", lambda *_: None)


def settled(A, rtol=1e-11, atol=0.0):
    return GramChain.settle(A, rtol, atol)


@pytest.mark.parametrize("links", [0, 3, 10])
@pytest.mark.parametrize("corank", [0, 1, 2, 5])
def test_agreement_with_numpy(links, corank):
    A = deficient(N, links, corank, seed=3)
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
    np.testing.assert_allclose(null.T @ null, np.eye(corank), atol=1e-14)
    np.testing.assert_allclose(np.abs(M @ null).max(initial=0.0), 0.0, atol=1e-14 * sigma[0])
    for width in (1, 3, 7):
        b = rng.standard_normal((N, width))
        z = b + 1j * rng.standard_normal((N, width))
        for adjoint, D in ((False, theirs), (True, theirs.T)):
            for right in (b, z, 1e-100 * b):
                error = np.linalg.norm(chain.apply(right, adjoint=adjoint) - D @ right)
                assert error <= bound * np.linalg.norm(right)
    found = np.empty((N, N))
    chain.write(found, adjoint=False)
    assert np.linalg.norm(found - theirs, 2) < bound


def test_no_wrong_rank():
    """What is settled has the rank of its singular values, and none of them within a factor of two of the cutoff."""
    number = undecided = 0
    rng = np.random.default_rng(6)
    for trial in range(200):
        n = int(rng.integers(70, 120))
        A = stridiag.random(n, (-1, 0, 1), int(rng.integers(0, 4)), rng=rng)
        values = A.values.copy()
        kind = trial % 6
        if kind == 1:
            values = rng.choice([-1.0, 1.0], values.size)
        if kind == 2:
            values = rng.choice([-1.0, 0.0, 1.0], values.size, p=[0.45, 0.1, 0.45])
        if kind == 3:
            values[rng.integers(0, values.size, 3)] *= 10.0 ** -rng.uniform(5, 16, 3)
        if kind == 4:
            values = values * 10.0 ** -(rng.random(values.size) * rng.uniform(0, 4))
        if kind == 5:
            A, values = (B := deficient(n, 2, 2, seed=trial)), B.values
        A = A.with_values(values)
        sigma = np.linalg.svd(A.toarray(), compute_uv=False)
        for rtol in (1e-11, 10.0 ** -rng.uniform(7, 12)):
            chain = settled(A, rtol)
            if chain is None:
                undecided += 1
                continue
            number += 1
            cutoff = rtol * sigma[0]
            assert chain.dropped == (sigma <= cutoff).sum()
            assert not (
                (sigma > 0.5 * cutoff + 50 * EPS * sigma[0]) & (sigma < 2.0 * cutoff - 50 * EPS * sigma[0])
            ).any()
    assert number > 80
    assert undecided > 50


def test_what_is_not_clear_is_left_to_the_other_ways():
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, shape=N)
    sigma = np.linalg.svd(A.toarray(), compute_uv=False)[::-1]
    assert settled(A, 1.01 * sigma[19] / sigma[-1]) is None
    assert settled(A, 0.0) is None
    assert settled(A.with_values(0.0 * A.values), 1e-12) is None
    assert settled(A, 1e-11, 1e-3) is None
    assert settled(A, 1e-11, 1e300) is None
    assert settled(A * 1e-305) is None
    assert settled(A.astype("complex128")) is None
    assert settled(stridiag.random(N, (-2, 0, 1), rng=0)) is None
    assert settled(stridiag.random(N, (-1, 0, 1), 60, rng=0)) is None
    assert settled(deficient(N, 0, 9)) is None
    up = np.ones(N - 1)
    up[100] = 0.0
    assert settled(StridiagMatrix.from_diagonals({0: 3.0 * np.ones(N), 1: up, -1: up})) is None
    # A null vector is constant, but values that are kept come too close to it for semi-normal equations.
    n = 20_000
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, ([0, n - 1], [n - 1, 0], [1.0, 1.0]), shape=n)
    assert settled(A, n * EPS) is None
    assert DirectChain.settle(A, n * EPS, 0.0) is not None


@pytest.mark.parametrize("scale", [2.0**300, 3e-7])
def test_scales(scale):
    A = deficient(N, 5, 2)
    b = np.random.default_rng(0).standard_normal((N, 2)) * [1.0, 2.0**900]
    expected = settled(A).apply(b, adjoint=False)
    np.testing.assert_allclose(
        settled(A * scale).apply(b, adjoint=False) * scale,
        expected,
        rtol=0,
        atol=1e-9 * np.abs(expected).max(axis=0).min() * np.array([1.0, 2.0**900]).max(),
    )


@pytest.mark.parametrize("links", [0, 8])
def test_results_do_not_depend_on_the_number_of_threads(links):
    A = Problem(Case(1, 1, links), 30_000, "singular").matrix
    b = np.random.default_rng(0).standard_normal(30_000)
    found = []
    for threads in (1, 2):
        with thread_count.num_threads(threads):
            P = linalg.pinv(A)
            assert isinstance(P._parts[0].chain, GramChain)
            found.append((P @ b, P.T @ b))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_the_way_of_blocks(monkeypatch):
    A = deficient(100, 2, 1)
    chain = settled(A)
    expected = np.empty((100, 100))
    chain.write(expected, adjoint=True)
    other = settled(A)
    monkeypatch.setattr(DirectChain, "settle", lambda *_: None)
    found = np.empty((100, 100))
    other.write(found, adjoint=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_single_precision_and_what_is_not_finite():
    A = deficient(N, 3, 2).astype("float32")
    P = linalg.pinv(A, rtol=1e-9)
    assert isinstance(P._parts[0].chain, GramChain)
    theirs = np.linalg.pinv(A.toarray().astype(float), rcond=1e-9)
    b = np.random.default_rng(0).standard_normal(N).astype(np.float32)
    found = P @ b
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, theirs @ b, rtol=0, atol=2.0**-20 * np.abs(theirs @ b).max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not (P @ np.zeros(N)).any()
        assert not (P @ np.zeros((N, 0))).size
        b[3] = np.nan
        assert np.isnan(P @ b).any()


def test_layouts():
    rng = np.random.default_rng(0)
    for n, links in ((64, 0), (65, 1), (1000, 7), (5000, 40)):
        rows, columns = rng.integers(0, n, (2, links))
        layout = LaneLayout(n, rows, columns)
        places = layout.places(np.arange(n))
        assert np.unique(places).size == n
        assert places.max() < layout.size
        assert np.isin(np.concatenate((rows, columns)), layout.kept).all()
        inner = np.setdiff1d(np.arange(n), layout.kept)
        assert layout.sizes.sum() == inner.size
        # Kept columns come in runs of two or more.
        run = np.split(layout.kept, np.flatnonzero(np.diff(layout.kept) > 1) + 1)
        assert all(part.size >= 2 for part in run)
