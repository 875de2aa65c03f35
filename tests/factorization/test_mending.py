"""Solutions of condensations and windows whose coefficients are alike: their errors add up, and are corrected."""

import numpy as np
import pytest
from scipy.sparse import csc_array

import stridiag
from stridiag import StridiagMatrix
from stridiag._kernels.watched_rows import alike, look
from stridiag.cli.bench.problem import Case, Problem
from stridiag.factorization import mending
from stridiag.factorization.guard import backward_errors, norms
from stridiag.planning.watched_rows import watched_rows

LIMIT = 4.5 * 2.0**-52

# Sub-diagonal, diagonal, super-diagonal.
NEAR, LAPLACE, FLOW, SKEW = (0.01, 1.0, 0.02), (-1.0, 2.0, -1.0), (-1.1, 2.0, -0.9), (-1.0, 0.1, 1.0)


def constant(case, n, numbers, dtype=float):
    A = Problem(Case(*case), n, "constant").matrix
    values = np.ones(A.nnz, dtype)
    for offset, number in zip((-case[1], 0, case[0]), numbers, strict=True):
        values[A.structure.diagonal_slots(offset)] = number
    return StridiagMatrix(A.structure, values)


def sides(n):
    rng, t = np.random.default_rng(n), np.linspace(0, 1, n)
    smooth = np.column_stack((np.ones(n), np.sin(2 * np.pi * t), t))
    return np.hstack((smooth, rng.standard_normal((n, 13))))


def worst(A, b, x, trans="N"):
    matrix = csc_array(A.to_scipy("csc"))
    matrix = matrix if trans == "N" else matrix.T if trans == "T" else matrix.conj().T
    norm = norms(csc_array(A.to_scipy("csc")))[trans != "N"]
    return backward_errors(matrix, norm, b.reshape(len(b), -1), x.reshape(len(b), -1), adjoint=False)[1].max()


@pytest.mark.parametrize(
    ("case", "n", "numbers"),
    [
        ((1, 1, 10), 1000, NEAR),
        ((1, 1, 10), 10_000, NEAR),
        ((1, 1, 10), 10_000, FLOW),
        ((1, 1, 1000), 10_000, LAPLACE),
        ((8, 8, 100), 10_000, NEAR),
        ((1, 1, 1000), 1000, LAPLACE),
        ((2, 3, 10), 1000, FLOW),
        ((1, 4, 5), 1000, NEAR),
        ((4, 1, 5), 1000, FLOW),
        ((1, 4, 5), 10_000, NEAR),
    ],
)
def test_every_kind_of_solve_is_accurate(case, n, numbers):
    A, b = constant(case, n, numbers), sides(n)
    F = A.factor()
    kept = b.copy()
    for right in (b, *b[:, :4].T.copy()):
        for trans in ("N", "T", "H"):
            assert worst(A, right, F.solve(right, trans=trans), trans) < LIMIT
        assert worst(A, right, stridiag.linalg.solve(A, right)) < LIMIT
    assert np.array_equal(b, kept)


def test_there_is_something_to_mend(monkeypatch):
    monkeypatch.setattr(mending, "watched_by", lambda *_: None)
    A, b = constant((1, 4, 5), 1000, NEAR), sides(1000)
    assert worst(A, b, A.factor().solve(b)) > LIMIT


def test_other_types_and_right_hand_sides():
    b = sides(1000)
    for dtype in ("float32", "complex64", "complex128"):
        A = constant((1, 4, 5), 1000, NEAR, dtype)
        A = A.with_values(A.values * np.exp(0.3j).astype(dtype)) if dtype[0] == "c" else A
        right = (b + 1j * b[:, ::-1] if dtype[0] == "c" else b).astype(dtype)
        for trans in ("N", "T", "H"):
            x = A.factor().solve(right, trans=trans)
            assert x.dtype == A.dtype
            assert worst(A, right, x, trans) < 4.5 * np.finfo(dtype).eps
    A = constant((1, 4, 5), 1000, NEAR)
    both = b + 1j * b[:, ::-1]
    for trans in ("N", "T", "H"):
        assert worst(A, both, A.factor().solve(both, trans=trans), trans) < LIMIT
    single = b.astype(np.float32)
    assert worst(A, single.astype(float), A.factor().solve(single)) < LIMIT


def test_what_is_not_finite_stays_so():
    A, b = constant((1, 4, 5), 1000, NEAR), sides(1000)
    b[7, 3] = np.nan
    x = A.factor().solve(b, check_finite=False)
    assert np.isnan(x[:, 3]).any()
    assert np.isfinite(np.delete(x, 3, axis=1)).all()


def test_numbers_near_the_ends_of_the_range():
    for scale in (1e-300, 1e300):
        A = constant((1, 4, 5), 1000, NEAR)
        A, b = A.with_values(A.values * scale), sides(1000)
        x = A.factor().solve(b * 1e-5 * scale) * 1e5
        assert worst(constant((1, 4, 5), 1000, NEAR), b, x) < LIMIT


def test_random_values_are_not_alike_and_are_left_alone(monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(mending, "errors_in", never)
    for case in ((1, 1, 10), (2, 3, 10), (17, 29, 5)):
        for values in ("random", "dominant"):
            A = Problem(Case(*case), 1000, values).matrix
            starts = np.array(A.structure.starts)
            assert not alike(A.values, starts)
            assert not alike.py_func(A.values, starts)
            A.factor().solve(sides(1000), trans="T")


@pytest.mark.parametrize(("case", "n"), [((1, 4, 5), 3000), ((2, 3, 12), 9000), ((1, 1, 268), 8000)])
def test_small_numbers_at_random_beside_ones_are_alike(case, n):
    A, b = Problem(Case(*case), n, "random").matrix, sides(n)
    values = 0.1 * np.random.default_rng(0).standard_normal(A.nnz)
    values[A.structure.diagonal_slots(0)] = 1.0
    A = A.with_values(values)
    for form in (alike, alike.py_func):
        assert form(values, np.array(A.structure.starts))
    for trans in ("N", "T"):
        assert worst(A, b, A.factor().solve(b, trans=trans), trans) < LIMIT


@pytest.mark.parametrize("change", ["none", "half", "periodic", "noise", "short"])
def test_alike_means_a_stretch_of_like_magnitudes(change):
    A = constant((1, 1, 10), 40 if change == "short" else 1000, NEAR)
    values, rng = A.values.copy(), np.random.default_rng(0)
    rows = A.structure.coordinates()[0]
    if change == "half":
        values = np.where(rows < 500, values, values * rng.standard_normal(values.size))
    elif change == "periodic":
        values *= np.array([1.0, -1.2, 0.9])[rows % 3]
    elif change == "noise":
        values *= 1 + 0.01 * rng.standard_normal(values.size)
    for form in (alike, alike.py_func):
        assert form(values, np.array(A.structure.starts))


@pytest.mark.parametrize("transposed", [False, True])
def test_watched_rows_and_their_errors(transposed):
    A = stridiag.random(50, offsets=(-3, 0, 2, 7), links=9, rng=0)
    A = A.with_values(A.values * (1 + 2j))
    dense = A.to_scipy("csc").toarray()
    dense = dense.T if transposed else dense
    rng = np.random.default_rng(1)
    b, x = rng.standard_normal((2, 50, 3)) + 1j * rng.standard_normal((2, 50, 3))
    for rows in (np.array([0, 1, 5, 20, 48, 49]), np.arange(50), np.empty(0, np.int64)):
        watched = watched_rows(A.structure, rows, transposed=transposed)
        found = np.zeros((rows.size, 50), complex)
        for k in range(rows.size):
            here = slice(watched.starts[k], watched.starts[k + 1])
            np.add.at(found[k], watched.columns[here], A.values[watched.slots[here]])
        assert np.array_equal(found, dense[rows])
        for conjugate in (False, True):
            part = dense[rows].conj() if conjugate else dense[rows]
            work, left = np.empty((3, 3)), np.empty(3, complex)
            for form in (look, look.py_func):
                form(*watched, conjugate, A.values, b, x, left, work)
                if not rows.size:
                    assert not work[0].any()
                    continue
                size = np.abs(part).sum(axis=1).max() * np.abs(x[rows]).max(axis=0) + np.abs(b[rows]).max(axis=0)
                np.testing.assert_allclose(work[0], np.abs(b[rows] - part @ x).max(axis=0) / size, rtol=1e-13)


def test_one_thread_and_two_agree_bit_by_bit():
    A, b, found = constant((1, 1, 10), 60_000, NEAR), sides(60_000), []
    for count in (1, 2):
        with stridiag.num_threads(count):
            found.append((A.factor().solve(b), A.factor().solve(b, trans="T")))
    assert all(np.array_equal(one, two) for one, two in zip(*found, strict=True))
