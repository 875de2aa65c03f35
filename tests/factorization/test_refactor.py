"""Refactoring in place: the same numbers, no new storage, and nothing half-written on bad input."""

import tracemalloc

import numpy as np
import pytest

import stridiag
from stridiag import NonFiniteError, StructureError

CASES = [
    (50, (-1, 0, 1), 0, "auto"),
    (51, (-4, 0, 4), 0, "auto"),
    (7, (-5, 0, 5), 0, "auto"),
    (60, (-2, 0, 2), 4, "chain"),
    (600, (-1, 0, 1), 3, "chain"),
    (40, (-3, 0, 2), 5, "sparse-lu"),
    (40, (-3, 0, 2), 5, "dense"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(("n", "offsets", "links", "method"), CASES)
def test_overwriting_gives_what_a_new_factor_gives(n, offsets, links, method, dtype):
    A = stridiag.random(n, offsets, links, rng=0, dominant=True, dtype=dtype)
    F = A.factor(method=method)
    b = np.linspace(-1.0, 1.0, n).astype(dtype)
    first = A.factor(method=method).solve(b)
    rng = np.random.default_rng(1)
    for _ in range(4):
        values = A.values * rng.uniform(0.5, 2.0, A.nnz).astype(np.empty(0, dtype).real.dtype)
        assert F.refactor(values, overwrite=True) is F
        fresh = A.with_values(values).factor(method=method)
        for trans in "NTH":
            np.testing.assert_array_equal(F.solve(b, trans=trans), fresh.solve(b, trans=trans))
        assert F.slogdet() == fresh.slogdet()
        assert F.rcond == fresh.rcond
        np.testing.assert_array_equal(F.inverse_diagonal(), fresh.inverse_diagonal())
        np.testing.assert_array_equal(F.matrix.values, values)
        refined = F.solve(b, refine=True, return_bounds=True)
        np.testing.assert_array_equal(refined.x, fresh.solve(b, refine=True))
    # Nobody's arrays but the factor's own have been written to.
    np.testing.assert_array_equal(A.factor(method=method).solve(b), first)


def test_singular_values_come_and_go():
    A = stridiag.random(30, (-1, 0, 1), rng=0, dominant=True)
    for matrix in (A, A.with_values(np.stack([A.values] * 3))):
        F = matrix.factor()
        F.refactor(np.zeros_like(matrix.values), overwrite=True)
        assert np.all(F.singular)
        F.refactor(matrix.values, overwrite=True)
        assert not np.any(F.singular)
        np.testing.assert_array_equal(F.solve(np.ones(30)), matrix.factor().solve(np.ones(30)))


def test_values_at_the_ends_of_the_exponent_range():
    for members in (1, 3):
        A = stridiag.random(20, (-1, 0, 1), rng=0, dominant=True)
        A = A.with_values(np.stack([A.values] * members)) if members > 1 else A
        F = A.factor()
        for scale in (1e300, 1.0, 1e-300, 1.0):
            F.refactor(A.values * scale, overwrite=True)
            np.testing.assert_array_equal(F.solve(np.full(20, scale)), (A * scale).factor().solve(np.full(20, scale)))


@pytest.mark.parametrize("members", [1, 4])
def test_bad_input_changes_nothing(members):
    A = stridiag.random(50, (-2, 0, 2), 3, rng=0, dominant=True)
    A = A if members == 1 else A.with_values(np.stack([A.values] * members))
    F = A.factor()
    b = np.ones(50)
    before = F.solve(b)
    nan = A.values.copy()
    nan[..., -1] = np.nan
    bad = [
        (nan, NonFiniteError, "values must be finite"),
        (A.values[..., :-1], StructureError, "overwrite needs values of shape"),
        (np.stack([A.values] * 2), StructureError, "overwrite needs values of shape"),
        (A.values.astype("float32"), TypeError, "overwrite needs values of float64, got float32"),
        (A.values.astype("complex128"), TypeError, "overwrite needs values of float64"),
        (["a"] * A.nnz, TypeError, "values must hold"),
    ]
    for values, error, message in bad:
        with pytest.raises(error, match=message):
            F.refactor(values, overwrite=True)
        np.testing.assert_array_equal(F.solve(b), before)
        np.testing.assert_array_equal(F.matrix.values, A.values)


def test_an_interrupted_overwrite_is_made_good(monkeypatch):
    A = stridiag.random(50, (-1, 0, 1), 3, rng=0, dominant=True)
    F = A.factor(method="chain")
    before = F.solve(np.ones(50))
    calls = []

    def once(entries, fronts):
        calls.append(entries)
        if len(calls) == 1:
            raise MemoryError
        return original(entries, fronts)

    original = stridiag.factorization.reduced.FrontHouseholder
    monkeypatch.setattr(stridiag.factorization.reduced, "FrontHouseholder", once)
    with pytest.raises(MemoryError):
        F.refactor(3 * A.values, overwrite=True)
    np.testing.assert_array_equal(F.solve(np.ones(50)), before)


def peak(F, values):
    tracemalloc.start()
    F.refactor(values, overwrite=True)
    _, top = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return top


@pytest.mark.parametrize(("members", "stride", "dtype"), [(1, 1, "float64"), (1, 3, "complex64"), (50, 1, "float64")])
def test_chains_allocate_nothing_of_the_size_of_the_matrix(members, stride, dtype):
    n = 40_000 // members
    A = stridiag.random(n, (-stride, 0, stride), rng=0, dominant=True, dtype=dtype)
    A = A if members == 1 else A.with_values(np.stack([A.values] * members))
    F = A.factor()
    values = 2 * A.values
    for _ in range(2):
        F.refactor(values, overwrite=True)
    # The matrix itself takes about a million bytes.
    assert A.values.nbytes > 900_000
    assert peak(F, values) < values.nbytes / 10


def test_chains_with_links_allocate_no_more_than_the_reduced_system():
    n = 40_000
    A = stridiag.random(n, (-1, 0, 1), 4, rng=0, dominant=True)
    F = A.factor(method="chain")
    for _ in range(2):
        F.refactor(2 * A.values, overwrite=True)
    kept = F.plan.layout.columns.size
    assert kept < n / 50
    new = peak(F, A.values)
    assert new < 2000 * kept


def test_members_that_overwrite_keep_the_old_plan():
    A = stridiag.random(50, (-1, 0, 1), rng=0, dominant=True)
    F = A.factor()
    planned = F.plan
    assert F.refactor(2 * A.values, overwrite=True).plan is planned
    G = F.refactor(3 * A.values)
    assert G is not F
    np.testing.assert_allclose(G.solve(np.ones(50)) * 3, F.solve(np.ones(50)) * 2, rtol=1e-14)
