"""The orthogonal factorization by fronts, and counts of singular values, against dense LAPACK."""

import numpy as np
import pytest
import scipy.sparse

import stridiag
from stridiag import SizeLimitError
from stridiag._kernels.sparse_qr import rotation
from stridiag.factorization import front_qr
from stridiag.factorization.counting import SingularValueCounter
from stridiag.factorization.front_qr import FrontQR, front_layout
from stridiag.planning.fronts import FrontLayout, structural_rank

EPS = np.finfo(float).eps


def random_matrices(count, *, tall):
    rng = np.random.default_rng(7)
    for t in range(count):
        n = int(rng.integers(1, 40))
        m = n + int(rng.integers(0 if tall else -8, 12))
        M = scipy.sparse.random_array((max(m, 1), n), density=rng.uniform(0.02, 0.3), rng=rng).toarray()
        if t % 3 == 0:
            M = M * np.exp(1j * rng.uniform(0, 6, M.shape))
        if t % 4 == 0 and n > 2:
            M[:, 1] = M[:, 0]
        yield M


def test_q_is_unitary_and_gives_the_matrix_back():
    for M in random_matrices(120, tall=True):
        m, n = M.shape
        S = scipy.sparse.csr_array(M)
        layout = front_layout(S, 10**12)
        F = FrontQR.of(S, layout)
        Q = F.rotate_back(np.eye(m))
        R = F.multiply_upper(np.eye(n))
        assert np.abs(Q.conj().T @ Q - np.eye(m)).max() < 30 * EPS
        assert np.abs(Q[:, :n] @ R - M[:, layout.order]).max() < 60 * EPS
        assert np.abs(np.tril(R, -1)).max() == 0
        assert np.abs(F.rotate(np.eye(m)) - Q.conj().T).max() < 30 * EPS
        np.testing.assert_array_equal(F.rotate_back(np.eye(m)[:, :n][:n]), F.rotate_back(np.eye(m)[:, :n]))
        assert F.nbytes > 0


def test_a_ridge_below_r():
    for M in random_matrices(60, tall=True):
        n = M.shape[1]
        S = scipy.sparse.csr_array(M)
        F = FrontQR.of(S, front_layout(S, 10**12))
        G = F.with_ridge(0.25)
        R1 = G.multiply_upper(np.eye(n))
        R = F.multiply_upper(np.eye(n))
        assert np.abs(R1.conj().T @ R1 - R.conj().T @ R - np.eye(n) / 16).max() < 200 * EPS
        x = G.solve_upper(G.solve_upper_adjoint(np.eye(n)))
        assert np.abs(x @ (R1.conj().T @ R1) - np.eye(n)).max() < 1e-10


def test_a_matrix_of_deficient_structure_leaves_zero_rows():
    S = scipy.sparse.csr_array(np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 4.0, 0.0]]))
    assert structural_rank(S) == 2
    F = FrontQR.of(S, front_layout(S, 1000))
    assert np.count_nonzero(F.diagonal) == 2
    assert np.isnan(F.solve_upper(np.ones((3, 1)))).all()
    assert np.isnan(F.solve_upper_adjoint(np.ones((3, 1)))).all()


def test_work_of_a_chain_is_linear():
    per_row = []
    for n in (1000, 4000):
        S = scipy.sparse.csr_array(stridiag.random(n, (-1, 0, 1), rng=0).to_scipy())
        layout = FrontLayout.build(S, max_entries=10**6)
        assert layout.widest == 3
        per_row.append(layout.tau_work / n)
        # Two rows a column, each against a front of three: the ridge does not walk up the tree.
        assert FrontQR.of(S, layout).with_ridge(1e-3)._rotations[0].size <= 6 * n
    assert per_row[1] == pytest.approx(per_row[0], rel=0.01)


def test_what_is_too_large_is_refused(monkeypatch):
    S = scipy.sparse.csr_array(stridiag.random(60, (-1, 0, 1), 20, rng=0).to_scipy())
    with pytest.raises(SizeLimitError, match=r"operations, the limit is 1\.0e\+01"):
        front_layout(S, 10)
    assert FrontLayout.build(S, max_entries=10) is None
    layout = front_layout(S, 10**9)
    monkeypatch.setattr(front_qr, "MAX_FACTOR_BYTES", 100)
    with pytest.raises(SizeLimitError, match="more than 100 bytes"):
        front_layout(S, 10**9)
    with pytest.raises(SizeLimitError, match="rotations would take more than 100 bytes"):
        FrontQR.of(S, layout)


def test_rotations_are_stored_in_as_much_room_as_they_need():
    # A dense row in every front: far more rotations than entries.
    rng = np.random.default_rng(0)
    M = np.triu(rng.standard_normal((40, 40)))[::-1].copy()
    M = np.vstack([M, rng.standard_normal((80, 40))])
    S = scipy.sparse.csr_array(M)
    F = FrontQR.of(S, front_layout(S, 10**9))
    R = F.multiply_upper(np.eye(40))
    np.testing.assert_allclose(np.linalg.svd(R)[1], np.linalg.svd(M)[1], rtol=1e-13)


@pytest.mark.parametrize("pivot", [0.0, 1e-310, 1.0, 1e300, 3.0 - 4.0j])
def test_the_rotation_kernel_is_shared(pivot):
    c, s, r = rotation(pivot, 2.0)
    assert abs(c * pivot + s * 2.0 - r) <= 4 * EPS * abs(r)


def test_counts_of_singular_values():
    rng = np.random.default_rng(3)
    wrong = counted = 0
    for t, random in enumerate(random_matrices(150, tall=False)):
        M = random
        if t % 5 == 1:
            M = np.sign(M) * rng.choice([-1.0, 1.0], M.shape)
        if t % 5 == 2:
            n = M.shape[1]
            M = np.diag(rng.integers(-1, 2, n) * 1.0) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
        if t % 5 == 3:
            M = M * np.logspace(0, -12, M.shape[1])
        sigma = np.linalg.svd(M, compute_uv=False)
        largest = sigma[0] or 1.0
        counter = SingularValueCounter(scipy.sparse.csr_array(M), 10**9)
        for bound in [*(largest * 10.0 ** -rng.uniform(0, 14, 5)), 2 * largest]:
            if np.abs(sigma - bound).min() < 100 * EPS * largest:
                continue
            counted += 1
            wrong += counter.below(bound) != (sigma < bound).sum()
    assert counted > 700
    assert wrong == 0


def test_a_count_that_costs_too_much_is_not_offered():
    S = scipy.sparse.csr_array(stridiag.random(200, (-1, 0, 1), 50, rng=0).to_scipy())
    assert not SingularValueCounter(S, 100).affordable
