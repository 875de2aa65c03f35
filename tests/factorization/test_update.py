"""Updates of a few entries: right wherever factoring anew is, and never silently wrong."""

import pickle

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, NonFiniteError, SingularMatrixError, StridiagMatrix, StructureError
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio


def changed(A, rows, columns, values):
    dense = A.toarray()
    dense[..., rows, columns] = values
    return dense


def check(F, dense, b):
    """Assert that F is a factor of `dense` in every respect."""
    dtype, n = F.dtype, dense.shape[0]
    np.testing.assert_array_equal(F.matrix.toarray(), dense)
    for trans, op in (("N", dense), ("T", dense.T), ("H", dense.conj().T)):
        assert solve_ratio(op, F.solve(b, trans=trans), b) < THRESHOLD
    wide = dense.astype(np.result_type(dtype, np.float64))
    condition = np.linalg.cond(wide)
    assert slogdet_ratio(F.slogdet(), np.linalg.slogdet(wide), n, condition, dtype=dtype) < THRESHOLD
    assert 0.1 < F.rcond * np.linalg.cond(wide, 1) < 3.1
    assert factor_ratio(dense, F.reconstruct()) < THRESHOLD


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(
    ("offsets", "links", "method"),
    [((-1, 0, 1), 0, "auto"), ((-2, 0, 2), 3, "chain"), ((-3, 0, 2), 6, "sparse-lu"), ((-3, 0, 2), 0, "dense")],
)
@pytest.mark.parametrize("where", ["stored", "new", "both", "row", "column", "none"])
def test_an_update_is_the_factor_of_the_changed_matrix(offsets, links, method, dtype, where):
    n = 60
    A = stridiag.random(n, offsets, links, rng=0, dominant=True, dtype=dtype)
    rows, columns = {
        "stored": ([5, 20, 59], [5, 20, 59]),
        "new": ([0, 50, 7], [40, 3, 33]),
        "both": ([30, 31], [30, 2]),
        "row": ([9] * 5, [9, 30, 31, 40, 55]),
        "column": ([9, 30, 31, 40, 55], [9] * 5),
        "none": ([], []),
    }[where]
    rng = np.random.default_rng(1)
    values = rng.standard_normal(len(rows)) + 3.0
    values = (values + (1j if np.dtype(dtype).kind == "c" else 0)).astype(dtype)
    b = rng.standard_normal((n, 2)).astype(dtype)
    F = A.factor(method=method)
    before = F.solve(b)
    for how in ("low-rank", "refactor", "auto"):
        G = F.updated(rows, columns, values, method=how)
        check(G, changed(A, rows, columns, values), b)
        rank = min(len(set(rows)), len(set(columns)))
        if how == "low-rank":
            assert G.method.startswith(f"update of rank {rank} of {F.method}")
        elif how == "refactor":
            assert "update" not in G.method
    np.testing.assert_array_equal(F.solve(b), before)
    np.testing.assert_array_equal(F.matrix.toarray(), A.toarray())


def test_a_link_where_one_is_takes_the_new_value():
    A = stridiag.random(40, (-1, 0, 1), 3, rng=0, dominant=True)
    i, j = A.structure.link_rows[:1], A.structure.link_columns[:1]
    G = A.factor().updated(i, j, [0.25], method="low-rank")
    assert G.matrix.structure == A.structure
    assert G.matrix[i[0], j[0]] == 0.25
    assert G.plan is A.factor().plan
    check(G, changed(A, i, j, [0.25]), np.ones((40, 1)))


def test_chained_updates_start_from_the_first_factor():
    A = stridiag.random(80, (-7, -1, 0, 3), 10, rng=0, dominant=True)
    G = A.factor(method="sparse-lu")
    dense = A.toarray()
    rng = np.random.default_rng(2)
    for step in range(6):
        i, j = int(rng.integers(80)), int(rng.integers(80))
        G = G.updated([i], [j], [0.5 + step], method="low-rank")
        dense[i, j] = 0.5 + step
        assert G.method == f"update of rank {step + 1} of sparse LU by SuperLU"
        check(G, dense, np.ones((80, 1)))
    # Taking a change back lowers the rank.
    assert G.updated([i], [j], [A[i, j]], method="low-rank").method == "update of rank 5 of sparse LU by SuperLU"


def test_what_an_update_does_not_serve_is_factored_anew():
    A = stridiag.random(50, (-3, 0, 2), 4, rng=0, dominant=True)
    G = A.factor(method="sparse-lu").updated([3], [40], [2.0], method="low-rank")
    dense = changed(A, [3], [40], [2.0])
    np.testing.assert_allclose(G.inverse_diagonal(), np.diag(np.linalg.inv(dense)), atol=1e-13)
    assert "failed its check" not in A.factor().method
    G = A.factor(method="sparse-lu").updated([3], [40], [2.0], method="low-rank")
    product = np.eye(50)
    for factor in reversed(G.factors()):
        product = factor.apply(product)
    np.testing.assert_allclose(product, dense, atol=1e-13)
    H = pickle.loads(pickle.dumps(G))
    np.testing.assert_allclose(H.solve(np.ones(50)), np.linalg.solve(dense, np.ones(50)), rtol=1e-12)
    K = G.refactor(2 * G.matrix.values)
    np.testing.assert_allclose(2 * K.solve(np.ones(50)), G.solve(np.ones(50)), rtol=1e-12)
    G = A.factor(method="sparse-lu").updated([3], [40], [2.0], method="low-rank")
    G.refactor(2 * G.matrix.values, overwrite=True)
    np.testing.assert_allclose(2 * G.solve(np.ones(50)), np.linalg.solve(dense, np.ones(50)), rtol=1e-12)
    assert "update" not in G.method
    refined = (
        A.factor().updated([3], [40], [2.0], method="low-rank").solve(np.ones(50), refine=True, return_bounds=True)
    )
    assert refined.forward_error < 1e-15


# ---------------------------------------------------------------------- where the formula is not stable


def nearly_singular(n, delta):
    """First differences times their transpose: the last pivot is delta."""
    main = np.r_[np.full(n - 1, 2.0), 1.0 + delta]
    main[0] = 1.0
    return StridiagMatrix.from_diagonals({-1: np.full(n - 1, -1.0), 0: main, 1: np.full(n - 1, -1.0)})


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("delta", [1e-4, 1e-8, 1e-11, 1e-13, 1e-15])
def test_a_nearly_singular_base_does_not_spoil_a_harmless_matrix(delta):
    n = 50
    A = nearly_singular(n, delta)
    rng = np.random.default_rng(3)
    for rows, columns, values in (
        ([n - 1], [n - 1], [2.0]),
        ([3, 40], [40, 3], [1.5, 1.0]),
        ([0, 20], [0, 20], [5.0, 5.0]),
    ):
        dense = changed(A, rows, columns, values)
        G = A.factor().updated(rows, columns, values, method="low-rank")
        for _ in range(3):
            b = rng.standard_normal((n, 3))
            for trans, op in (("N", dense), ("T", dense.T)):
                assert solve_ratio(op, G.solve(b, trans=trans), b) < THRESHOLD
        ratio = slogdet_ratio(G.slogdet(), np.linalg.slogdet(dense), n, np.linalg.cond(dense))
        assert ratio < THRESHOLD
        if delta < 1e-10:
            assert "failed its check" in G.method


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_the_formula_alone_would_have_failed_there():
    # So that the test above shows what the checks are for.
    A = nearly_singular(50, 1e-13)
    G = A.factor().updated([49], [49], [2.0], method="low-rank")
    dense = changed(A, [49], [49], [2.0])
    base = A.factor()._members[0]
    z = base.solve(np.eye(50)[:, 49:].copy())
    delta = dense[49, 49] - A[49, 49]
    b = np.random.default_rng(3).standard_normal((50, 1))
    y = base.solve(b.copy())
    x = y - z * (delta * y[49] / (1 + delta * z[49]))
    assert solve_ratio(dense, x, b) > 1e3 * THRESHOLD
    assert solve_ratio(dense, G.solve(b), b) < THRESHOLD


def test_a_singular_base_cannot_serve():
    A = StridiagMatrix.from_diagonals(
        {-1: np.ones(29), 0: np.r_[0.0, np.full(28, 4.0), 0.0], 1: np.r_[0.0, np.ones(28)]}
    )
    F = A.factor()
    assert F.singular
    G = F.updated([0], [0], [1.0], method="low-rank")
    assert "update" not in G.method
    check(G, changed(A, [0], [0], [1.0]), np.ones((30, 1)))


@pytest.mark.parametrize("how", ["auto", "low-rank", "refactor"])
def test_an_update_to_a_singular_matrix_is_found(how):
    A = stridiag.random(30, (-1, 0, 1), 3, rng=0, dominant=True)
    rows, columns = A.structure.coordinates()
    mine = rows == 17
    G = A.factor().updated(rows[mine], columns[mine], np.zeros(mine.sum()), method=how)
    assert G.singular
    assert G.info > 0
    assert G.slogdet() == (0.0, -np.inf)
    with pytest.raises(SingularMatrixError):
        G.solve(np.ones(30))
    # And from there back to a regular one.
    H = G.updated(rows[mine], columns[mine], A.values[mine], method=how)
    np.testing.assert_allclose(H.solve(np.ones(30)), A.factor().solve(np.ones(30)), rtol=1e-13)


def test_an_update_that_is_singular_up_to_rounding_warns():
    A = StridiagMatrix.from_diagonals({-1: np.ones(9), 0: np.full(10, 3.0), 1: np.ones(9)})
    value = A[0, 0] - 1.0 / A.factor().inverse_entries([0], [0])[0]
    G = A.factor().updated([0], [0], [value], method="low-rank")
    if not G.singular:
        with pytest.warns(IllConditionedWarning):
            G.solve(np.ones(10))


# ---------------------------------------------------------------------- cost, batches, bad input


def test_the_cheaper_way_is_taken():
    chain = stridiag.random(5000, (-1, 0, 1), rng=0, dominant=True)
    # A chain is factored in fewer operations than one solve takes.
    assert "update" not in chain.factor().updated([7], [7], [9.0]).method
    wide = stridiag.random(2000, (-300, -41, -7, 0, 1, 20, 500), 100, rng=0, dominant=True)
    F = wide.factor()
    assert F.updated([7], [1900], [9.0]).method.startswith("update of rank 1")
    assert F.updated([7], [7], [9.0]).method.startswith("update of rank 1")
    many = np.random.default_rng(0).permutation(2000)
    assert "update" not in F.updated(many, many[::-1], np.ones(2000)).method


def test_batches_are_factored_anew_member_by_member():
    A = stridiag.random(20, (-1, 0, 1), rng=0, dominant=True)
    B = A.with_values(np.array([[1.0], [2.0], [3.0]]) * A.values)
    F = B.factor()
    for rows, columns in (([3, 4], [3, 4]), ([3, 4], [15, 4])):
        for values in ([5.0, 6.0], [[5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]):
            G = F.updated(rows, columns, values)
            np.testing.assert_array_equal(G.matrix.toarray(), changed(B, rows, columns, values))
            x = G.solve(np.ones(20))
            np.testing.assert_allclose((G.matrix @ x[..., None])[..., 0], np.ones((3, 20)), rtol=1e-12)
    with pytest.raises(StructureError, match=r"values must have shape \(\.\.\., 2\)"):
        F.updated([3, 4], [3, 4], np.ones((2, 2)))


def test_bad_input_is_refused():
    F = stridiag.random(10, (-1, 0, 1), 1, rng=0).factor()
    with pytest.raises(StructureError, match=r"rows must lie in 0 \.\.\. 9, got 3 \.\.\. 10"):
        F.updated([3, 10], [1, 1], [1.0, 1.0])
    with pytest.raises(StructureError, match="columns must lie in"):
        F.updated([3], [-1], [1.0])
    with pytest.raises(StructureError, match="one length, got 2 and 1"):
        F.updated([3, 4], [1], [1.0, 1.0])
    with pytest.raises(StructureError, match=r"distinct, got \(4, 1\) twice"):
        F.updated([4, 3, 4], [1, 1, 1], [1.0, 1.0, 2.0])
    with pytest.raises(StructureError, match="integers"):
        F.updated([0.5], [1], [1.0])
    with pytest.raises(StructureError, match="values must have shape"):
        F.updated([3, 4], [1, 1], [1.0, 2.0, 3.0])
    for bad in (np.nan, np.inf):
        with pytest.raises(NonFiniteError, match=r"values must be finite.*index \[1\]"):
            F.updated([3, 4], [1, 1], [1.0, bad])
    with pytest.raises(TypeError, match="values must be real"):
        F.updated([3], [1], [1.0j])
    with pytest.raises(ValueError, match="method must be one of"):
        F.updated([3], [1], [1.0], method="woodbury")
    single = stridiag.random(10, rng=0, dtype="float32").factor()
    with pytest.raises(NonFiniteError):
        single.updated([3], [1], [1e300])


def test_auto_updates_at_stored_positions_where_factoring_is_dear():
    # A sparse factorization is priced at a rate: a solve must have its share of it, or no update would ever be cheaper.
    A = stridiag.random(500, offsets=(-30, -7, 0, 1, 20), links=100, rng=0, dominant=True)
    F = A.factor(method="sparse-lu")
    assert F.updated([3, 400], [3, 400], [9.0, 9.0]).method == "update of rank 2 of sparse LU by SuperLU"
    everywhere = np.arange(500)
    assert F.updated(everywhere, everywhere, np.full(500, 9.0)).method == "sparse LU by SuperLU"


@pytest.mark.parametrize("offsets", [(-2, 0, 3), (-1, 0, 1)])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_solutions_are_corrected_to_a_unit_of_rounding(offsets, seed):
    # What a check allows for, some root of n units, and up to 6e-15 here, is no reason to leave a solution as it is.
    n, rng = 3000, np.random.default_rng(seed)
    A = stridiag.random(n, offsets, 5, rng=seed)
    values = np.ones(A.nnz)
    for offset, number in zip(offsets, (-1.0, 2.0, -1.0), strict=True):
        values[A.structure.diagonal_slots(offset)] = number
    rows, columns = np.sort(rng.choice(n, 7, replace=False)), rng.integers(0, n, 7)
    F = A.with_values(values).factor().updated(rows, columns, rng.standard_normal(7), method="low-rank")
    assert F.method.startswith("update of rank")
    b = rng.standard_normal((n, 3))
    for trans, B in (("N", F.matrix), ("T", F.matrix.T)):
        x = F.solve(b, trans=trans)
        norm = np.abs(B.to_scipy()).sum(axis=1).max()
        errors = np.abs(b - B @ x).max(axis=0) / (norm * np.abs(x).max(axis=0) + np.abs(b).max(axis=0))
        assert (errors < 1e-15).all()
