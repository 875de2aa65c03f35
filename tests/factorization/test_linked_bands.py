"""Bands with links whose main diagonal dominates: LU of the diagonals, corrected around the links' rows."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg
from stridiag._kernels.thread_count import num_threads
from stridiag.factorization.decompose import decompose

N = 6000


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def error(A, x, b):
    size = abs(A.to_scipy()).sum(axis=1).max()
    return abs(b - A @ x).max() / (size * abs(x).max() + abs(b).max())


def apart(A):
    """Whether the diagonals are solved for by themselves."""
    return decompose(stridiag.plan(A.structure, method="condensation"), A.values)._apart is not None


def solved(A, b, **options):
    F = A.factor(method="condensation")
    first = F.solve(b, **options)
    # With the probe beside it, and by itself.
    np.testing.assert_array_equal(first, F.solve(b, **options))
    return first


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 3), (-9, 0, 6)])
@pytest.mark.parametrize("links", [1, 40, 110])
def test_backward_error(rng, offsets, links):
    A = stridiag.random(15_001, offsets, links, rng=links, dominant=True)
    assert apart(A)
    y = rng.standard_normal(15_001)
    single = np.zeros(15_001)
    single[A.structure.link_columns[0]] = 1.0
    for b in (y, A @ y, A @ np.ones(15_001), single):
        assert error(A, solved(A, b), b) < 4e-16
    many = A.factor(method="condensation").solve(np.stack((y, A @ y) * 8, axis=1))
    assert error(A, many[:, 0], y) < 4e-16
    assert error(A, many[:, 15], A @ y) < 4e-16
    assert error(A.T, A.factor(method="condensation").solve(y, trans="T"), y) < 1e-15


def with_links(rows, columns, links, rng):
    """A dominant matrix, with links that its diagonal does not allow for."""
    T = stridiag.random(N, (-3, 0, 2), rng=3, dominant=True)
    structure = stridiag.Structure((N, N), T.structure.offsets, (np.array(rows), np.array(columns)))
    return stridiag.StridiagMatrix(structure, np.concatenate((T.values, links * rng.standard_normal(len(rows)))))


@pytest.mark.parametrize(("trans", "row"), [("N", 2000), ("N", 5001), ("T", 2000)])
def test_right_hand_sides_outlive_diagonals_that_are_singular(rng, trans, row):
    # They go along with the trial by LU, which a pivot of zero ends; condensing finds one that is next to zero.
    A = with_links([900, 4000], [3000, 700], 0.1, rng)
    rows, columns = A.structure.coordinates()
    pair = (row, row + 2)
    # Two rows that have entries in the same column only; for the transpose, two columns.
    alone = np.isin(columns, pair) & (rows != row) if trans == "T" else np.isin(rows, pair) & (columns != row + 2)
    A = A.with_values(np.where(alone, 0.0, A.values))
    # Nothing near these rows, where solutions would become so large that they hide all else.
    y = np.where(abs(np.arange(N) - row)[:, None] < 600, 0.0, rng.standard_normal((N, 2)))
    b = (A.T if trans == "T" else A) @ y
    with pytest.warns(stridiag.IllConditionedWarning):
        x = A.factor(method="condensation").solve(b if trans == "T" else b[:, 0], trans=trans)
    if trans == "T":
        assert max(error(A.T, x[:, k], b[:, k]) for k in (0, 1)) < 1e-15
    else:
        assert error(A, x, b[:, 0]) < 1e-15


def test_links_near_each_other(rng):
    # In a row, each ending where the next begins; in circles; several in a row and in a column; in the band; at ends.
    rows = [0, 0, 100, 2000, 2000, 2000, 3000, 4000, 4004, 5000, 5001, 5002, N - 1, N - 1]
    columns = [40, N - 1, 5003, 12, 103, 2010, 3001, 2002, 104, 4001, 5010, 5003, 0, 300]
    for size in (1e-300, 0.1, 0.4, 1.0, 3.0, 1e3, 1e6):
        A = with_links(rows, columns, size, rng)
        y = rng.standard_normal(N)
        for b in (y, A @ y):
            assert error(A, solved(A, b), b) < 1e-15
        assert size > 0.1 or apart(A)
        assert size < 1e3 or not apart(A)


def test_a_circle_of_links_that_makes_the_matrix_singular_is_told():
    A = with_links([300, 4000], [4000, 300], 1.0, np.random.default_rng(0))
    values, structure = A.values.copy(), A.structure
    rows, columns = structure.coordinates()
    on = np.isin(rows, (300, 4000)) | np.isin(columns, (300, 4000))
    values[on] = np.where(rows == columns, 1.0, 0.0)[on]
    values[structure.starts[-1] :] = (2.0, 0.5)
    A = A.with_values(values)
    assert not apart(A)
    with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
        A.factor(method="condensation").solve(np.ones(N))


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1.0, 1e150, 1e200])
def test_magnitudes_do_not_matter(rng, scale):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    A = A.with_values(A.values * scale)
    b = rng.standard_normal(N)
    assert error(A, solved(A, b), b) < 4e-16


def test_rows_and_columns_of_all_sizes(rng):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    rows, columns = A.structure.coordinates()
    for rate in (1.0, 1e-3, 1e-2):
        grades = 2.0 ** np.round(3 * np.sin(rate * np.arange(N)))
        for sizes in (grades[rows], grades[columns], grades[rows] * grades[columns]):
            B = A.with_values(A.values * sizes)
            b = B @ rng.standard_normal(N)
            assert error(B, solved(B, b), b) < 1e-15


@pytest.mark.parametrize("kind", ["constant", "signs", "columns", "weak"])
def test_others_are_condensed_or_right(rng, kind):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    values = np.sign(A.values)
    if kind == "constant":
        for k, number in zip(A.structure.offsets, (-0.9, 0.99, 1.0), strict=True):
            values[A.structure.diagonal_slots(k)] = number
    elif kind == "columns":
        A = A.T
        values = A.values
    elif kind == "weak":
        values = A.values.copy()
        values[A.structure.diagonal_slots(0)] *= 0.55
    A = A.with_values(values)
    assert kind == "columns" or not apart(A)
    y = rng.standard_normal(N)
    for b in (y, A @ y):
        assert error(A, solved(A, b), b) < 1e-15


def test_new_values_of_another_kind(rng):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    other, b = rng.standard_normal(A.nnz), rng.standard_normal(N)
    F = A.factor(method="condensation")
    first = F.solve(b)
    G = F.refactor(other)
    assert error(A.with_values(other), G.solve(b), b) < 1e-15
    np.testing.assert_array_equal(G.refactor(A.values).solve(b), first)


def test_the_determinant_and_the_inverse_are_those_of_the_matrix(rng):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    F = A.factor(method="condensation")
    F.solve(rng.standard_normal(N))
    sign, log = F.slogdet()
    expected = stridiag.StridiagMatrix(A.structure, A.values).factor(method="sparse-lu").slogdet()
    assert sign == expected.sign
    np.testing.assert_allclose(log, expected.logabsdet, rtol=1e-12)
    unit = np.zeros(N)
    unit[77] = 1.0
    np.testing.assert_allclose(F.inverse_diagonal()[77], F.solve(unit)[77], rtol=1e-13)


def test_numbers_that_are_not_finite_are_told(rng):
    A = stridiag.random(N, (-3, 0, 2), 30, rng=1, dominant=True)
    for bad in (np.nan, np.inf):
        for place in (0, A.nnz - 1):
            values = A.values.copy()
            values[place] = bad
            with pytest.raises(ValueError, match="finite"):
                A.with_values(values).factor(method="condensation").solve(np.ones(N))
        b = rng.standard_normal((N, 12))
        b[N // 2, 3] = bad
        for given in (b[:, 3], b):
            with pytest.raises(ValueError, match="finite"):
                A.factor(method="condensation").solve(given)


def test_threads_change_nothing(rng):
    A = stridiag.random(30_000, (-3, 0, 2), 60, rng=2, dominant=True)
    b = rng.standard_normal(30_000)
    found = []
    for threads in (1, 2, 3):
        with num_threads(threads):
            found.append(solved(A, b))
    for x in found[1:]:
        np.testing.assert_array_equal(x, found[0])
    np.testing.assert_array_equal(linalg.solve(A, b), found[0])
