"""Solutions of LU whose numbers have grown: their backward errors, as the benchmark measures them."""

import numpy as np
import pytest
from scipy.sparse import csc_array
from threadpoolctl import threadpool_limits

import stridiag
from stridiag import StridiagMatrix
from stridiag.cli.bench.problem import Case, Problem
from stridiag.factorization import thinned_window
from stridiag.factorization.corrected import Corrected
from stridiag.factorization.dense import DenseLU, factor_dense
from stridiag.factorization.guard import backward_errors, norms
from stridiag.factorization.sparse_lu import SparseLU, factor_sparse
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.factorization.thinned_window import ThinnedLU
from stridiag.factorization.window_lu import WindowLU

LIMIT = 1e-15

# What LU alone solves with larger errors, with and without links.
GROWING = [
    ((2, 3, 100), 1000, "constant"),
    ((2, 3, 100), 1000, "signs"),
    ((8, 9, 20), 1000, "constant"),
    ((8, 9, 20), 1000, "signs"),
    ((17, 29, 5), 1000, "constant"),
    ((17, 29, 50), 1000, "signs"),
    ((17, 29, 50), 10_000, "signs"),
]


def worst(A, b, x, trans="N"):
    matrix = A.to_scipy("csc")
    if trans == "T":
        matrix = csc_array(matrix.T)
    adjoint = trans == "H"
    columns = (part.reshape(part.shape[0], -1) for part in (b, x))
    _, error = backward_errors(matrix, norms(matrix)[adjoint], *columns, adjoint=adjoint)
    return error.max()


def sides(n, dtype):
    rng = np.random.default_rng(n)
    b = rng.standard_normal((n, 64))
    return (b + 1j * rng.standard_normal((n, 64)) if dtype.kind == "c" else b).astype(dtype)


@pytest.mark.parametrize(("case", "n", "values"), GROWING)
def test_growth_is_mended_in_every_kind_of_solve(case, n, values):
    A = Problem(Case(*case), n, values).matrix
    F = A.factor()
    lu = F._members[0]
    assert isinstance(lu, Corrected)
    assert isinstance(lu.inner, WindowLU)
    b = sides(n, A.dtype)
    # There is something to mend.
    assert max(worst(A, b, lu.inner.solve(b.copy())), worst(A, b, lu.inner.solve(b.copy(), adjoint=True), "H")) > LIMIT
    for right in (b[:, 0].copy(), b):
        kept = right.copy()
        for trans in ("N", "N", "T", "H"):
            assert worst(A, right, F.solve(right, trans=trans), trans) < LIMIT
        assert np.array_equal(right, kept)
        assert worst(A, right, stridiag.linalg.solve(A, right)) < LIMIT


def test_refactored_factors_are_corrected_by_their_own_values():
    problem = Problem(Case(8, 9, 20), 1000, "signs")
    A = problem.matrix
    random = Problem(Case(8, 9, 20), 1000, "random").matrix
    b = sides(1000, A.dtype)
    for F in (random.factor(), A.factor()):
        for values in (A.values, -2 * A.values, random.values):
            for overwrite in (False, True):
                G = F.refactor(values, overwrite=overwrite)
                assert worst(A.with_values(values), b, G.solve(b)) < LIMIT
                assert worst(A.with_values(values), b, G.solve(b, trans="H"), "H") < LIMIT


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
def test_other_types(dtype):
    A = Problem(Case(8, 9, 20), 1000, "signs").matrix
    values = A.values * (0.6 + 0.8j) if dtype[0] == "c" else A.values
    A = StridiagMatrix(A.structure, values.astype(dtype))
    F, b = A.factor(), sides(1000, A.dtype)
    for trans in ("N", "T", "H"):
        x = F.solve(b, trans=trans)
        assert x.dtype == A.dtype
        assert worst(A, b, x, trans) < 4.5 * np.finfo(dtype).eps


def test_growth_of_wilkinson_foster_and_wright():
    """Families for which partial pivoting grows exponentially, cut to a few columns; Wright's in a band, with links."""
    n = 60
    wilkinson = np.eye(n) - np.tril(np.ones((n, n)), -1)
    wilkinson[:, -1] = 1.0
    # Foster: a trapezoidal rule for an integral equation.
    foster = np.eye(n) - 0.7 * np.tril(np.ones((n, n)), -1)
    foster[:, 0] = np.where(np.arange(n) == 0, 1.0, -0.35)
    foster[:, -1] = -1.0 / 1.3
    foster[-1, -1] = 1.0 - 1.0 / 1.3
    # Wright: multiple shooting of y' = M y, with blocks exp(M h).
    step = np.array([[0.93, 0.31], [0.31, 0.93]]) * 1.24
    shooting = np.eye(n)
    for k in range(2, n, 2):
        shooting[k : k + 2, k - 2 : k] = -step
    shooting[:2, -2:] = np.eye(2)
    for dense in (wilkinson, foster, shooting):
        A = StridiagMatrix.from_dense(dense)
        b = sides(n, A.dtype)
        for method in ("auto", "dense", "sparse-lu", "band"):
            F = A.factor(method=method)
            for trans in ("N", "H"):
                assert worst(A, b, F.solve(b, trans=trans), trans) < LIMIT


def test_long_chains_of_rotations_are_corrected():
    A = Problem(Case(8, 9, 20), 10_000, "constant").matrix
    F = A.factor()
    assert isinstance(F._members[0].inner, SparseQR)
    b = sides(10_000, A.dtype)
    for trans in ("N", "H"):
        assert worst(A, b, F.solve(b, trans=trans), trans) < LIMIT


def test_pivots_from_the_diagonal_are_corrected_where_numbers_grow(monkeypatch):
    monkeypatch.setattr(thinned_window, "FROM", 0)
    A = stridiag.random(300, offsets=(-29, 0, 17), links=8, rng=0, dominant=True)
    values, main = A.values.copy(), A.structure.diagonal_slots(0)
    # Multipliers up to ten.
    values[main] *= np.where(np.arange(300) % 40 == 7, 0.1, 1.0)
    A = A.with_values(values)
    F, b = A.factor(method="band"), sides(300, A.dtype)
    lu = F._members[0]
    assert isinstance(lu, Corrected)
    assert isinstance(lu.inner, ThinnedLU)
    for trans in ("N", "H"):
        assert worst(A, b, F.solve(b, trans=trans), trans) < LIMIT


def test_what_a_check_finds_accurate_is_left_alone_and_the_rest_corrected():
    rng = np.random.default_rng(0)
    small = rng.standard_normal((40, 40))
    assert isinstance(factor_dense(small), DenseLU)
    assert isinstance(factor_sparse(csc_array(small)), SparseLU)
    # Growth of two thousand, which the check lets pass.
    n = 12
    grown = np.eye(n) - np.tril(np.ones((n, n)), -1)
    grown[:, -1] = 1.0
    grown[:-1, :-1] += 0.001 * rng.standard_normal((n - 1, n - 1))
    lu = factor_dense(np.kron(np.eye(8), grown))
    b = sides(8 * n, np.dtype(float))
    r, error = backward_errors(np.kron(np.eye(8), grown), norms(np.kron(np.eye(8), grown))[0], b,
                               lu.solve(b.copy()), adjoint=False)  # fmt: skip
    assert r.shape == b.shape
    assert error.max() < LIMIT


def test_no_correction_is_kept_that_makes_a_solution_worse():
    class Wrong:
        """Solves some other system."""

        name = "wrong"
        singularity = None

        def solve(self, b, *, adjoint=False):
            return 3.0 * b

    b = sides(5, np.dtype(float))
    assert np.array_equal(Corrected(Wrong(), np.eye(5)).solve(b.copy()), 3.0 * b)


def test_what_is_not_finite_stays_so():
    A = Problem(Case(8, 9, 20), 1000, "signs").matrix
    b = sides(1000, A.dtype)
    b[7, 3] = np.nan
    x = A.factor().solve(b, check_finite=False)
    assert np.isnan(x[:, 3]).any()
    assert np.isfinite(np.delete(x, 3, axis=1)).all()


def test_the_values_are_counted():
    A = Problem(Case(8, 9, 20), 1000, "signs").matrix
    lu = A.factor()._members[0]
    assert lu.nbytes == lu.inner.nbytes + A.values.nbytes


def test_one_thread_and_two_agree_bit_by_bit():
    A = Problem(Case(8, 9, 20), 1000, "signs").matrix
    b, found = sides(1000, A.dtype), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(A.factor().solve(b))
    assert np.array_equal(*found)
