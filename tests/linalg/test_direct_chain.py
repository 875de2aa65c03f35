"""The quick way for long chains: never another rank than that of the singular values, and the same pseudoinverse."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import AmbiguousRankWarning, StridiagMatrix, linalg
from stridiag._kernels import thread_count
from stridiag.linalg import blocks, direct_chain
from stridiag.linalg.direct_chain import DirectChain
from stridiag.linalg.parts import ChainPart

EPS = 2.0**-52
N = 300


def deficient(n, links, corank, seed=0):
    """Return a random matrix with pairs of proportional rows that share two columns: one block of that corank."""
    rng = np.random.default_rng(seed)
    A = stridiag.random(n, (-1, 0, 1), links, rng=rng)
    structure, values = A.structure, A.values.copy()
    down, main, up = (slice(structure.starts[i], structure.starts[i + 1]) for i in range(3))
    down, main, up = values[down], values[main], values[up]
    taken = set(structure.link_rows.tolist())
    for number in range(1, corank + 1):
        r = number * n // (corank + 1)
        while r in taken or r + 1 in taken:
            r += 1
        down[r - 1] = up[r + 1] = 0.0
        down[r], main[r + 1] = 2.0 * main[r], 2.0 * up[r]
    return A.with_values(values)


def quick(A, rtol=None):
    return DirectChain.settle(A, A.shape[0] * EPS if rtol is None else rtol, 0.0)


def generator(n, spread, seed=0):
    up, down = np.exp(np.random.default_rng(seed).uniform(-spread, spread, (2, n - 1)))
    return StridiagMatrix.from_diagonals({1: up, -1: down, 0: -np.append(up, 0) - np.append(0, down)})


@pytest.mark.parametrize("links", [0, 10])
@pytest.mark.parametrize("corank", [0, 1, 2, 5])
def test_agreement_with_numpy(links, corank):
    A = deficient(N, links, corank)
    P = linalg.pinv(A)
    assert isinstance(P._parts[0], ChainPart)
    assert P.rank == N - corank == linalg.matrix_rank(A)
    M = A.toarray()
    theirs = np.linalg.pinv(M, rcond=N * EPS)
    sigma = np.linalg.svd(M, compute_uv=False)
    bound = 10.0 * EPS * sigma[0] / sigma[N - corank - 1] * np.linalg.norm(theirs, 2)
    assert np.linalg.norm(P.toarray() - theirs, 2) < bound
    assert np.linalg.norm(P.T.toarray() - theirs.T, 2) < bound
    rng = np.random.default_rng(1)
    for shape in ((N,), (N, 3)):
        b = rng.standard_normal(shape)
        for Q, D in ((P, theirs), (P.T, theirs.T), (P.H, theirs.T)):
            assert np.linalg.norm(Q @ b - D @ b) < bound * np.linalg.norm(b)
        z = b + 1j * rng.standard_normal(shape)
        assert np.linalg.norm(P @ z - theirs @ z) < bound * np.linalg.norm(z)
    assert P.rank_info == P.T.rank_info == linalg.rank_info(A)


def test_no_wrong_rank():
    """What is settled has the rank of its singular values, and none of them within a factor of two of the cutoff."""
    settled = undecided = 0
    rng = np.random.default_rng(5)
    for trial in range(400):
        n = int(rng.integers(3, 80))
        A = stridiag.random(n, (-1, 0, 1), int(rng.integers(0, 4)) if n > 20 else 0, rng=rng)
        values = A.values.copy()
        kind = trial % 5
        if kind == 1:
            values = rng.choice([-1.0, 1.0], values.size)
        if kind == 2:
            values = rng.choice([-1.0, 0.0, 1.0], values.size, p=[0.45, 0.1, 0.45])
        if kind == 3:
            values[rng.integers(0, values.size, 3)] *= 10.0 ** -rng.uniform(5, 16, 3)
        if kind == 4:
            values = values * 10.0 ** -(rng.random(values.size) * rng.uniform(0, 4))
        A = A.with_values(values)
        sigma = np.linalg.svd(A.toarray(), compute_uv=False)
        for rtol in (1e-13, 10.0 ** -rng.uniform(3, 13)):
            chain = quick(A, rtol)
            if chain is None:
                undecided += 1
                continue
            settled += 1
            cutoff = rtol * sigma[0]
            assert chain.dropped == (sigma <= cutoff).sum()
            assert not (
                (sigma > 0.5 * cutoff + 50 * EPS * sigma[0]) & (sigma < 2.0 * cutoff - 50 * EPS * sigma[0])
            ).any()
    assert settled > 250
    assert undecided > 50


def test_null_vectors_are_accurate_to_rounding_whatever_the_condition():
    n = 20_000
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, ([0, n - 1], [n - 1, 0], [1.0, 1.0]), shape=n)
    # Of condition 4e7: its null vectors are constant.
    chain = quick(A)
    for vector in (chain.null_vectors()[:, 0], chain._bases[0][0]):
        assert np.abs(np.abs(vector) * np.sqrt(n) - 1.0).max() < 1e-11


def test_generators_settle_or_go_the_general_way():
    ways = set()
    for spread in (0.5, 1.0, 2.0, 3.0):
        A = generator(N, spread)
        P = linalg.pinv(A)
        ways.add(type(P._parts[0]))
        assert P.rank == np.linalg.matrix_rank(A.toarray())
        M, D = A.toarray(), P.toarray()
        unit = N * EPS * np.linalg.norm(M, 1) * np.linalg.norm(D, 1)
        assert np.linalg.norm(D @ M - (D @ M).T, 1) < unit
        assert np.linalg.norm(M @ D - (M @ D).T, 1) < unit
    assert ChainPart in ways


def test_what_is_not_clear_is_left_to_the_general_way():
    A = StridiagMatrix.from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, shape=N)
    sigma = np.linalg.svd(A.toarray(), compute_uv=False)[::-1]
    assert quick(A, 1.01 * sigma[19] / sigma[-1]) is None
    with pytest.warns(AmbiguousRankWarning):
        linalg.pinv(A, atol=1.01 * sigma[19])
    # Three that are clearly below do not help where others are as close above.
    assert quick(A, 1.8 * sigma[2] / sigma[-1]) is None
    assert quick(A, 0.0) is None
    assert quick(A.with_values(0.0 * A.values), 1e-12) is None
    assert DirectChain.settle(A, 1e-13, 1e-3) is None
    assert DirectChain.settle(A, 1e-13, 1e300) is None
    assert quick(A.astype("complex128")) is None
    assert quick(stridiag.random(N, (-2, 0, 1), rng=0)) is None
    assert quick(stridiag.random((N, N - 1), (-1, 0, 1), rng=0)) is None
    assert quick(stridiag.random(N, (-1, 0, 1), 60, rng=0)) is None
    assert quick(deficient(N, 0, 9)) is None
    # Two chains side by side are two blocks.
    d = np.ones(N)
    up = np.ones(N - 1)
    up[100] = 0.0
    assert quick(StridiagMatrix.from_diagonals({0: 3.0 * d, 1: up, -1: up})) is None


def test_blocks_that_hang_together_by_one_side_only():
    # Bidiagonal with zeros on the diagonal: rows and columns still meet.
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(3, 9))
        parts = [rng.integers(0, 2, size) * 1.0 for size in (n - 1, n, n - 1)]
        A = StridiagMatrix.from_diagonals(dict(zip((-1, 0, 1), parts, strict=True)))
        M = np.block([[np.eye(n), A.toarray()], [A.toarray().T, np.eye(n)]])
        together = bool((np.linalg.matrix_power(M, 2 * n) > 0).all())
        assert direct_chain.kernels.survey(*parts)[0] == together


@pytest.mark.parametrize("links", [0, 5])
@pytest.mark.parametrize("scale", [1e300, 1e-300, 3e-7])
def test_scales(links, scale):
    A = deficient(N, links, 2)
    P, Q = linalg.pinv(A), linalg.pinv(A * scale)
    assert isinstance(Q._parts[0], ChainPart)
    expected = P.toarray()
    np.testing.assert_allclose(Q.toarray() * scale, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    b = np.random.default_rng(0).standard_normal((N, 2)) * [1.0, scale]
    np.testing.assert_allclose(
        (Q @ b) * [scale, 1.0], P @ (b / [1.0, scale]), rtol=0, atol=1e-8 * np.abs(expected).max()
    )


def test_single_precision():
    A = deficient(N, 3, 2).astype("float32")
    P = linalg.pinv(A, rtol=1e-9)
    assert isinstance(P._parts[0], ChainPart)
    D = P.toarray()
    assert D.dtype == np.float32
    theirs = np.linalg.pinv(A.toarray().astype(float), rcond=1e-9)
    np.testing.assert_allclose(D, theirs, rtol=0, atol=2.0**-22 * np.abs(theirs).max())
    assert (P @ np.ones(N, np.float32)).dtype == np.float32


@pytest.mark.parametrize("links", [0, 8])
def test_results_do_not_depend_on_the_number_of_threads(links):
    A = deficient(2000, links, 2)
    b = np.random.default_rng(0).standard_normal((2000, 40))
    found = []
    for threads in (1, 2):
        with thread_count.num_threads(threads):
            P = linalg.pinv(A)
            found.append((P @ b, P @ b[:, 0], P.toarray()))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_general_way_for_chains_still_agrees(monkeypatch):
    monkeypatch.setattr(blocks, "DENSE_SIDE", 8)
    for A in (deficient(N, 0, 2), deficient(N, 4, 1), generator(N, 0.5)):
        quickly = linalg.pinv(A)
        with monkeypatch.context() as patch:
            patch.setattr(DirectChain, "settle", lambda *_: None)
            generally = linalg.pinv(A)
        assert isinstance(quickly._parts[0], ChainPart)
        assert not isinstance(generally._parts[0], ChainPart)
        size = np.abs(generally.toarray()).max()
        np.testing.assert_allclose(quickly.toarray(), generally.toarray(), rtol=0, atol=1e-9 * size)


def test_nothing_warns_and_bad_values_are_refused():
    A = deficient(N, 2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linalg.pinv(A) @ np.zeros(N)
        assert not (linalg.pinv(A) @ np.zeros((N, 0))).size
    values = A.values.copy()
    values[7] = np.nan
    with pytest.raises(stridiag.NonFiniteError):
        linalg.pinv(A.with_values(values))
