"""The direct pseudoinverse of large blocks: forced on smaller ones by a low limit, so that numpy can be the oracle."""

import math
import warnings

import numpy as np
import pytest

import stridiag
from stridiag import AmbiguousRankWarning, SizeLimitError, StridiagMatrix, linalg
from stridiag.linalg import blocks, direct, extremes, subspaces
from stridiag.linalg.extremes import two_norm
from stridiag.linalg.parts import ChainPart, DirectPart
from stridiag.testing import THRESHOLD, adjoint_ratio, zoo

N = 200
LARGE = (ChainPart, DirectPart)
RNG = np.random.default_rng(0)
from_diagonals = StridiagMatrix.from_diagonals


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(blocks, "DENSE_SIDE", 8)


def repeated_columns(matrix, count):
    """Copy `count` columns to a place three further, and so drop the rank by that much."""
    dense = matrix.toarray()
    step = dense.shape[1] // (count + 1)
    for k in range(1, count + 1):
        dense[:, k * step] = dense[:, k * step - 3]
    return StridiagMatrix.from_dense(dense)


def chain(shape=N, links=0, offsets=(-1, 0, 1), dtype="float64"):
    return stridiag.random(shape, offsets, links, rng=RNG, dtype=dtype)


def cases():
    up, down = RNG.random(N - 1) + 0.1, RNG.random(N - 1) + 0.1
    graded = np.logspace(0, -8, N)
    signs = [RNG.choice([-1.0, 1.0], N - k) for k in (1, 0, 1)]
    corner = ([0, N - 1], [N - 1, 0], [1.0, 1.0])
    tall = chain((N + 50, N), 3, (-2, -1, 0, 1))
    wave = chain(links=5, dtype="complex128")
    two = repeated_columns(chain(links=3), 2)
    yield "random", chain(), N
    yield "links", chain(links=20), N
    yield "different offsets", chain(links=10, offsets=(-3, 0, 2)), N
    yield "corank 1", repeated_columns(chain(links=3), 1), N - 1
    yield "corank 2", two, N - 2
    yield "corank 10", repeated_columns(chain(links=3), 10), N - 10
    yield "graded", from_diagonals({0: graded, 1: graded[1:], -1: graded[1:] / 2}), None
    yield "signs", from_diagonals(dict(zip((-1, 0, 1), signs, strict=True))), None
    yield "growth", from_diagonals({-1: -0.9, 0: 0.99, 1: 1.0}, shape=N), N
    yield "periodic", from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, corner, shape=N), N - 1
    yield "difference", from_diagonals({0: -1.0, 1: 1.0}, ([N - 1], [0], [1.0]), shape=N), N - 1
    yield "generator", from_diagonals({1: up, -1: down, 0: -np.append(up, 0) - np.append(0, down)}), N - 1
    yield "tall", tall, N
    yield "very tall", chain((2 * N, N), 0, (-N, -1, 0, 1)), N
    yield "wide", chain((N, N + 50), 0, (-1, 0, 1, 2)), N
    yield "tall, corank 4", repeated_columns(tall, 4), N - 4
    yield "wide, corank 4", repeated_columns(tall, 4).T, N - 4
    yield "complex", wave, N
    yield "complex, corank 3", repeated_columns(wave, 3), N - 3
    yield "complex wide, corank 2", repeated_columns(chain((N + 9, N), 2, dtype="complex128"), 2).T, N - 2
    yield "single precision", chain(links=5, dtype="float32"), N
    yield "single precision, corank 3", repeated_columns(chain(links=2), 3).astype("float32"), N - 3
    yield "huge", two * 1e300, N - 2
    yield "tiny", two * 1e-300, N - 2


CASES = list(cases())


def reference(A, rtol):
    """Return numpy's pseudoinverse of the matrix divided by its largest entry, that entry, and singular values."""
    scale = float(np.abs(A.values).max())
    M = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64") / scale
    return np.linalg.pinv(M, rcond=rtol), scale, np.linalg.svd(M, compute_uv=False)


def penrose_ratios(P, M):
    """Return Penrose's four conditions, of the array."""
    D = P.toarray()
    right, left = D @ M, M @ D

    def size(X):
        return np.linalg.norm(X, 1)

    unit = max(M.shape) * np.finfo(P.dtype).eps * size(M) * size(D)
    return (
        size(M @ right - M) / (unit * size(M)),
        size(D @ (M @ D) - D) / (unit * size(D)),
        size(left - left.conj().T) / unit,
        size(right - right.conj().T) / unit,
    )


@pytest.mark.parametrize(("A", "rank"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_agreement_with_numpy(A, rank):
    eps = np.finfo(A.dtype).eps
    rtol = max(A.shape) * eps
    P = linalg.pinv(A)
    assert any(isinstance(part, LARGE) for part in P._parts)
    theirs, scale, sigma = reference(A, rtol)
    assert P.rank == (sigma > rtol * sigma[0]).sum()
    assert rank is None or P.rank == rank
    info = P.rank_info
    assert info.certified
    assert not info.ambiguous
    assert info.sigma_max == pytest.approx(scale * sigma[0], rel=1e-10)
    assert info.smallest_kept == pytest.approx(scale * sigma[P.rank - 1], rel=2e-3)
    assert linalg.rank_info(A) == info
    D = P.toarray()
    assert D.dtype == A.dtype
    condition = sigma[0] / sigma[P.rank - 1]
    # The bound of docs/theory/pseudoinverse.md with its factor, which numpy's error shares, at 30.
    assert np.linalg.norm(D * scale - theirs, 2) <= 30 * eps * condition * np.linalg.norm(theirs, 2)
    if 1e-200 < scale < 1e200:
        assert max(penrose_ratios(P, A.toarray())) < THRESHOLD
    # Products with the adjoint come from their own solves.
    assert adjoint_ratio(P) < THRESHOLD


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0, 3.0])
def test_columns_of_the_array_fit_together(spread):
    """With plain residuals a ratio of 1.4e7 was met: order 300, spread 3.1, condition 5e12."""
    worst = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        up, down = np.exp(rng.uniform(-spread, spread, (2, N - 1)))
        A = from_diagonals({1: up, -1: down, 0: -np.append(up, 0) - np.append(0, down)})
        P = linalg.pinv(A)
        assert isinstance(P._parts[0], LARGE)
        worst = max(worst, *penrose_ratios(P, A.toarray()), *penrose_ratios(P.H, A.T.toarray()))
    assert worst < 1.0


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("size", "right"), [(1e300, 1e300), (1e-300, 1e-300), (1.0, 1e304), (1.0, 1e-307)])
def test_right_sides_near_the_ends_of_the_range(dtype, size, right):
    A = repeated_columns(chain((60, 50), 2, dtype=dtype), 2)
    P, Q = (linalg.pinv(matrix, rtol=1e-12) for matrix in (A, A * size))
    assert isinstance(Q._parts[0], DirectPart)
    b = RNG.standard_normal((60, 3)).astype(dtype)
    b[:, 1] = 0.0
    expected = P @ b
    x = (Q @ (b * right)) / (right / size)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(("A", "rank"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_null_spaces(A, rank):
    eps = np.finfo(A.dtype).eps
    V = linalg.null_space(A)
    assert V.shape == (A.shape[1], A.shape[1] - linalg.matrix_rank(A))
    scale = np.abs(A.values).max()
    assert np.abs(V.conj().T @ V - np.eye(V.shape[1])).max(initial=0) < 60 * eps
    assert np.abs((A / scale) @ V).max(initial=0) < 60 * eps


def test_the_zoo():
    checked = 0
    worst = 0.0
    # The direct way takes tolerances of 100 eps (of double precision) and more: n must not be less by default.
    for case in (*zoo(sizes=[102], dtypes=["float64"]), *zoo(sizes=[12], dtypes=["complex64"])):
        A = case.matrix
        try:
            P = linalg.pinv(A)
        except AmbiguousRankWarning:
            continue
        if not any(isinstance(part, LARGE) for part in P._parts):
            continue
        eps = np.finfo(A.dtype).eps
        rtol = max(A.shape) * eps
        theirs, scale, sigma = reference(A, rtol)
        assert P.rank == (sigma > rtol * sigma[0]).sum(), case.name
        D = P.toarray()
        if 1e-30 < scale < 1e30:
            assert max(penrose_ratios(P, A.toarray())) < THRESHOLD, case.name
        bound = eps * sigma[0] / sigma[P.rank - 1] * np.linalg.norm(theirs, 2)
        worst = max(worst, float(np.linalg.norm(D * scale - theirs, 2) / bound))
        checked += 1
    assert checked > 150
    assert worst < 30


def test_operator_forms_agree():
    A = repeated_columns(chain((N + 7, N), 4, dtype="complex128"), 2)
    P = linalg.pinv(A)
    D = P.toarray()
    b = RNG.standard_normal((N + 7, 3))
    near = {"atol": 1e-12 * np.abs(D).max() * N, "rtol": 0}
    np.testing.assert_allclose(P @ b, D @ b, **near)
    np.testing.assert_allclose(P @ b[:, 0], D @ b[:, 0], **near)
    np.testing.assert_allclose(P.T.toarray(), D.T, **near)
    np.testing.assert_allclose(P.H.toarray(), D.conj().T, **near)
    np.testing.assert_allclose(P.H.T.toarray(), D.conj(), **near)
    np.testing.assert_allclose(b.T[:, :N] @ P, b.T[:, :N] @ D, **near)
    real = chain(links=3)
    x = RNG.standard_normal(N) + 1j * RNG.standard_normal(N)
    np.testing.assert_allclose(real @ (linalg.pinv(real) @ x), x, atol=1e-8)


@pytest.mark.parametrize("side", [8, 1000])
def test_entries_on_demand(monkeypatch, side):
    monkeypatch.setattr(blocks, "DENSE_SIDE", side)
    A = repeated_columns(chain((40, 30), 3), 2)
    P = linalg.pinv(A)
    D = P.toarray()
    rows, columns = RNG.integers(0, 30, (5, 6)), RNG.integers(0, 40, (5, 6))
    np.testing.assert_allclose(P.entries(rows, columns), D[rows, columns], atol=1e-10)
    np.testing.assert_allclose(P.entries(3, np.arange(40)), D[3], atol=1e-10)
    np.testing.assert_allclose(P.entries(np.arange(30), 4), D[:, 4], atol=1e-10)
    assert P.entries(2, 5) == pytest.approx(D[2, 5], abs=1e-10)
    with pytest.raises(stridiag.StructureError, match=r"rows must lie in 0 \.\.\. 29, got 0 \.\.\. 30"):
        P.entries([0, 30], 0)
    with pytest.raises(stridiag.StructureError, match="columns must hold integers"):
        P.entries(0, [0.5])


def test_blocks_of_both_kinds_share_one_cutoff(monkeypatch):
    monkeypatch.setattr(blocks, "DENSE_SIDE", 30)
    # A large block, a small one 1e-20 of its size, a zero row and column, and a small one of its own rank.
    big, small = repeated_columns(chain(60, 2), 1).toarray(), np.array([[1.0, 1.0], [1.0, 1.0]])
    M = np.zeros((66, 66))
    M[:60, :60], M[60:62, 60:62], M[62:64, 62:64] = big, 1e-20 * np.eye(2), small
    A = StridiagMatrix.from_dense(M)
    P = linalg.pinv(A, rtol=1e-13)
    assert [isinstance(part, LARGE) for part in P._parts].count(True) == 1
    assert len(P._parts) == 2
    assert P.rank == np.linalg.matrix_rank(M, rtol=1e-13) == 60
    assert P.rank_info.largest_dropped < 1e-15
    np.testing.assert_allclose(P.toarray(), np.linalg.pinv(M, rcond=1e-13), atol=1e-10)
    V = linalg.null_space(A, rtol=1e-13)
    assert V.shape == (66, 6)
    assert np.abs(M @ V).max() < 1e-13
    # And the other way round: all of the large block may lie below the cutoff.
    M[62:64, 62:64] *= 1e30
    Q = linalg.pinv(StridiagMatrix.from_dense(M))
    assert Q.rank == 1
    np.testing.assert_allclose(Q.toarray(), np.linalg.pinv(M, rcond=1e-14), rtol=1e-13)
    assert linalg.null_space(StridiagMatrix.from_dense(M)).shape == (66, 65)


def test_ambiguity_is_flagged():
    # Singular values 2 sin of equal steps: the cutoff is put a little above the twentieth.
    A = from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, shape=N)
    sigma = np.linalg.svd(A.toarray(), compute_uv=False)[::-1]
    with pytest.warns(AmbiguousRankWarning, match="AMBIGUOUS"):
        P = linalg.pinv(A, atol=1.01 * sigma[19])
    assert P.rank == N - 20
    theirs = np.linalg.pinv(A.toarray(), rcond=1.01 * sigma[19] / sigma[-1])
    gap = sigma[20] / (sigma[20] - sigma[19])
    error = np.linalg.norm(P.toarray() - theirs, 2) * sigma[20]
    assert error < 30 * gap * 2.0**-52 * sigma[-1] / sigma[20]
    with pytest.warns(AmbiguousRankWarning):
        info = linalg.rank_info(A, atol=1.01 * sigma[19])
    assert info.largest_dropped == pytest.approx(sigma[19], rel=2e-3)
    assert info.smallest_kept == pytest.approx(sigma[20], rel=2e-3)


@pytest.mark.parametrize("rtol", [1e-9, 1e-4, 0.02])
def test_truncation_far_above_rounding(rtol):
    small = rtol / 30 * np.array([1.0, 0.3, 1e-3])
    # Two chains of nonzero steps would have one small value each: weak couplings make three.
    d = np.ones(N)
    d[[30, 90, 150]] = small
    A = from_diagonals({0: d, 1: np.full(N - 1, 0.1 * small[-1])})
    P = linalg.pinv(A, rtol=rtol)
    assert P.rank == N - 3
    theirs = np.linalg.pinv(A.toarray(), rcond=rtol)
    # All singular values that are kept are one, and so is their pseudoinverse's norm.
    assert np.linalg.norm(P.toarray() - theirs, 2) < 100 * 2.0**-52
    assert P.rank_info.largest_dropped == pytest.approx(small[0], rel=2e-3)


def test_the_rank_is_an_estimate_where_counting_costs_too_much(monkeypatch):
    monkeypatch.setattr(direct, "_COUNT_WORK", 10)
    for name, A, rank in CASES:
        if rank is None:
            continue
        info = linalg.rank_info(A)
        assert info.rank == rank, name
        assert not info.certified
        assert "an estimate" in str(info)
    A = CASES[5][1]
    np.testing.assert_allclose(linalg.pinv(A).toarray(), np.linalg.pinv(A.toarray(), rcond=1e-13), atol=1e-9)


def test_where_the_direct_way_does_not_serve_small_blocks_are_decomposed(monkeypatch):
    A = chain()
    # A cutoff of zero asks about rounding errors.
    assert linalg.matrix_rank(A, rtol=0.0) == N
    P = linalg.pinv(from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, shape=N), rtol=1e-16)
    assert not any(isinstance(part, LARGE) for part in P._parts)
    monkeypatch.setattr(direct, "CORANK_LIMIT", 3)
    singular = repeated_columns(chain(links=3), 5)
    assert not any(isinstance(part, LARGE) for part in linalg.pinv(singular)._parts)
    monkeypatch.setattr(blocks, "BLOCK_LIMIT", 1000)
    with pytest.raises(SizeLimitError, match=r"200 x 200.*5 of its singular values are dropped, more than .*\(3 for"):
        linalg.pinv(singular)
    # The rank needs no vectors.
    assert linalg.matrix_rank(singular) == N - 5
    with pytest.raises(SizeLimitError, match=r"less than 100 eps.*raise rtol or atol"):
        linalg.matrix_rank(A, rtol=0.0)
    monkeypatch.setattr(direct, "_COUNT_WORK", 10)
    with pytest.raises(SizeLimitError, match=r"counting .* would take too many operations, and more than 3"):
        linalg.matrix_rank(singular)
    monkeypatch.setattr(subspaces, "_MAX_STEPS", 1)
    with pytest.raises(stridiag.ConvergenceError, match="have not settled"):
        linalg.pinv(repeated_columns(chain(links=3), 1))


def test_least_squares_against_numpy():
    for name, A, rank in CASES:
        if rank is None or name in ("huge", "tiny") or A.dtype.itemsize < 8:
            continue
        b = RNG.standard_normal((A.shape[0], 2))
        ours = linalg.lstsq(A, b)
        theirs = np.linalg.lstsq(A.toarray(), b, rcond=max(A.shape) * 2.0**-52)
        sigma = theirs[3]
        scale = np.linalg.norm(b) / sigma[rank - 1]
        assert np.linalg.norm(ours.x - theirs[0]) < 30 * 2.0**-52 * sigma[0] / sigma[rank - 1] * scale, name
        assert ours.rank == theirs[2]
        assert ours.singular_values is None
        assert ours.residuals.shape == theirs[1].shape, name
        np.testing.assert_allclose(ours.residuals, theirs[1], rtol=1e-9)


def test_a_wide_row_needs_no_square_of_its_length():
    A = from_diagonals({}, (np.zeros(5000, int), np.arange(5000), np.ones(5000)), shape=(1, 5000))
    P = linalg.pinv(A)
    np.testing.assert_allclose(P @ [1.0], np.full(5000, 1 / 5000), rtol=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
def test_long_constant_chains_take_linear_time_and_memory(periodic):
    n = 30_000
    links = ([0, n - 1], [n - 1, 0], [1.0, 1.0]) if periodic else None
    A = from_diagonals({0: -2.0, 1: 1.0, -1: 1.0}, links, shape=n)
    P = linalg.pinv(A)
    largest = 4.0 if periodic else 2.0 + 2.0 * math.cos(math.pi / (n + 1))
    assert P.rank_info.sigma_max == pytest.approx(largest, rel=1e-11)
    assert P.rank == n - periodic
    smallest = 2.0 - 2.0 * math.cos((2.0 if periodic else 1.0) * math.pi / (n + (not periodic)))
    assert P.rank_info.smallest_kept == pytest.approx(smallest, rel=2e-3)
    wave = np.cos(2.0 * math.pi * 1000.0 * np.arange(n) / n)
    if periodic:
        eigenvalue = 2.0 * math.cos(2.0 * math.pi * 1000.0 / n) - 2.0
        np.testing.assert_allclose(P @ (wave + 3.0), wave / eigenvalue, atol=30 * 2.0**-52 * 4.0 / smallest**2 * 1e-4)
        np.testing.assert_allclose(np.abs(linalg.null_space(A)), n**-0.5, rtol=1e-6)
    else:
        x = P @ wave
        assert np.linalg.norm(A @ x - wave) < 30 * 2.0**-52 * 4.0 * np.linalg.norm(x)


def test_two_norm():
    A = chain((300, 260), 5, (-1, 0, 2), "complex64")
    assert two_norm(A) == pytest.approx(np.linalg.norm(A.toarray().astype("complex128"), 2), rel=1e-10)
    assert two_norm(A * 0.0) == 0.0
    assert two_norm(chain() * 1e300) > 1e300
    assert two_norm(A, work_limit=1) == pytest.approx(two_norm(A), rel=1e-6)
    for n in (500, 20_000):
        B = from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=n)
        assert two_norm(B) == pytest.approx(2.0 + 2.0 * math.cos(math.pi / (n + 1)), rel=3 * extremes.ACCURACY)


def test_results_repeat():
    A = repeated_columns(chain(links=3), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = linalg.pinv(A).toarray(), linalg.pinv(A).toarray()
    np.testing.assert_array_equal(first, second)
