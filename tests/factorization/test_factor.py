"""What users do with a factor: every method over the zoo, right-hand sides, batches, warnings, errors."""

import concurrent.futures
import pickle
import warnings

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix, StructureError
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio, zoo

METHODS = ("auto", "chain", "band", "forest", "sparse-lu", "sparse-qr", "dense")


def square(**options):
    return [case for case in zoo(**options) if case.matrix.structure.is_square]


def factored(A, method):
    """Return the factor, or None where the method does not serve the structure."""
    try:
        return A.factor(method=method)
    except StructureError:
        if method != "forest":
            raise
        return None


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_solves_and_products_are_backward_stable_over_the_zoo(method, dtype):
    sizes = (0, 1, 2, 3, 5, 10, 50, 333, 2000) if (method, dtype) == ("auto", "float64") else (1, 2, 3, 10, 50)
    if dtype in ("float32", "complex64"):
        sizes = (1, 3, 10)
    rng = np.random.default_rng(0)
    failures = []
    solved = 0
    for case in square(sizes=sizes, dtypes=[dtype]):
        A, n = case.matrix, case.matrix.shape[0]
        F = factored(A, method)
        if F is None or F.singular:
            continue
        solution = rng.standard_normal((n, 2)).astype(dtype)
        for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
            b = op @ solution
            if not np.isfinite(b).all():
                continue
            try:
                x = F.solve(b, trans=trans)
            except SingularMatrixError:
                # The nonzeros admit no inverse, though rounding left a pivot.
                assert "singular" in case.tags
                continue
            if np.isfinite(x).all() or not case.tags & {"singular", "ill-conditioned"}:
                solved += 1
                ratio = solve_ratio(A, x, b, trans)
                if not ratio < THRESHOLD:
                    failures.append((case.name, trans, ratio))
        if n <= 10:
            ratio = factor_ratio(A, F.reconstruct())
            if not ratio < THRESHOLD:
                failures.append((case.name, "reconstruct", ratio))
    assert solved > 80
    assert not failures


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_determinants_over_the_zoo(method, dtype):
    eps = np.finfo(dtype).eps
    failures = []
    sizes = (0, 1, 2, 3, 5, 10, 50) if dtype == "float64" else (1, 3, 10)
    for case in square(sizes=sizes, dtypes=[dtype]):
        A, n = case.matrix, case.matrix.shape[0]
        wide = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
        sigma = np.linalg.svd(wide, compute_uv=False) if n else np.ones(1)
        if sigma[-1] <= 10 * max(n, 1) * eps * sigma[0]:
            continue
        F = factored(A, method)
        if F is None:
            continue
        result = F.slogdet()
        condition = sigma[0] / sigma[-1]
        ratio = slogdet_ratio(result, np.linalg.slogdet(wide), n, condition, dtype=dtype)
        if not ratio < THRESHOLD:
            failures.append((case.name, ratio, result))
    assert not failures


def test_exactly_singular_cases_are_found_or_have_a_tiny_rcond():
    for case in square(sizes=(2, 3, 5, 10, 50), dtypes=["float64"]):
        if "singular" in case.tags:
            F = case.matrix.factor()
            assert F.singular or F.rcond < 1e-15, case.name
            if F.singular:
                assert F.slogdet() == (0.0, -np.inf)
                assert F.rcond == 0.0
                with pytest.raises(SingularMatrixError):
                    F.solve(np.ones(case.matrix.shape[0]))


# ---------------------------------------------------------------------- right-hand sides


@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-2, 0, 2), (-3, 0, 2)])
def test_shapes_and_kinds_of_right_hand_sides(offsets):
    n = 120
    A = stridiag.random(n, offsets, 4, rng=0, dominant=True)
    F = A.factor()
    x = np.arange(n, dtype=float)
    b = A @ x
    assert F.solve(b).shape == (n,)
    np.testing.assert_allclose(F.solve(b), x, atol=1e-12)
    np.testing.assert_allclose(F.solve(b.tolist()), x, atol=1e-12)
    block = np.stack([b, 2 * b, b - 1], axis=1)
    expected = F.solve(block)
    np.testing.assert_allclose(expected, np.stack([F.solve(column) for column in block.T], axis=1), atol=1e-12)
    for form in (block, np.asfortranarray(block), np.repeat(block, 2, axis=1)[:, ::2], block[None][0]):
        np.testing.assert_array_equal(F.solve(form), expected)
    frozen = block.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(F.solve(frozen), expected)
    np.testing.assert_array_equal(frozen, block)
    np.testing.assert_allclose(F.solve(np.arange(n)), F.solve(np.arange(n, dtype=float)))
    assert F.solve(np.zeros((n, 0))).shape == (n, 0)
    assert F.solve(np.stack([block, block])).shape == (2, n, 3)


def test_complex_right_hand_sides_of_a_real_matrix():
    A = stridiag.random(90, (-1, 0, 1), 3, rng=1, dominant=True)
    z = np.linspace(0, 1, 90) + 1j * np.linspace(1, 0, 90)
    for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
        np.testing.assert_allclose(A.factor().solve(op @ z, trans=trans), z, atol=1e-12)


def test_dtype_of_the_result():
    single = stridiag.random(20, rng=0, dtype="float32", dominant=True).factor()
    assert single.solve(np.ones(20, "float32")).dtype == "float32"
    assert single.solve(np.ones(20)).dtype == "float64"
    assert single.solve(np.ones(20, "complex64")).dtype == "complex64"
    assert single.slogdet().logabsdet.dtype == "float32"


def test_results_do_not_depend_on_earlier_calls():
    A = stridiag.random(500, (-2, 0, 2), 20, rng=0)
    b = np.ones(500)
    F = A.factor()
    first = F.solve(b)
    np.testing.assert_array_equal(F.solve(b), first)
    np.testing.assert_array_equal(A.factor().solve(b), first)


def test_a_factor_is_shared_by_threads():
    A = stridiag.random(3000, (-1, 0, 1), 30, rng=0, dominant=True)
    F = A.factor()
    columns = np.random.default_rng(0).standard_normal((40, 3000))
    expected = [A.factor().solve(b) for b in columns]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for x, y in zip(pool.map(F.solve, columns), expected, strict=True):
            np.testing.assert_array_equal(x, y)


def test_refactor_keeps_the_plan_and_leaves_the_old_factor_alone():
    A = stridiag.random(200, (-1, 0, 1), 5, rng=0, dominant=True)
    F = A.factor()
    b = np.ones(200)
    before = F.solve(b)
    G = F.refactor(2 * A.values)
    assert G.plan is F.plan
    np.testing.assert_allclose(G.solve(b), before / 2, rtol=1e-13)
    np.testing.assert_array_equal(F.solve(b), before)
    with pytest.raises(stridiag.StructureError, match="values must have shape"):
        F.refactor(A.values[:-1])


def test_pickle_of_a_factor_solves_as_before():
    A = stridiag.random(60, (-1, 0, 1), 3, rng=0)
    for method in ("auto", "dense", "sparse-qr"):
        F = A.factor(method=method)
        b = np.ones(60)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(F)).solve(b), F.solve(b))


def test_repr_and_method_say_what_was_done():
    F = stridiag.random(400, (-1, 0, 1), 3, rng=0).factor(method="chain")
    assert "orthogonal condensation" in repr(F)
    assert F.method == "orthogonal condensation"
    assert F.nbytes > 0
    assert F.shape == (400, 400)


# ---------------------------------------------------------------------- batches


def batch():
    A = stridiag.random(30, (-1, 0, 1), 2, rng=0, dominant=True)
    scale = np.array([[1.0, 2.0, 4.0], [-1.0, 0.5, 3.0]])
    return A.with_values(scale[..., None] * A.values), A, scale


def test_batches_solve_member_by_member():
    B, A, scale = batch()
    F = B.factor()
    b = np.arange(30.0)
    one = A.factor().solve(b)
    np.testing.assert_allclose(F.solve(b), one / scale[..., None], rtol=1e-13)
    stacked = np.broadcast_to(b[:, None], (3, 30, 2))
    assert F.solve(stacked).shape == (2, 3, 30, 2)
    sign, log = F.slogdet()
    assert sign.shape == log.shape == (2, 3)
    single = A.factor().slogdet()
    np.testing.assert_allclose(log, single.logabsdet + 30 * np.log(np.abs(scale)), rtol=1e-13)
    np.testing.assert_array_equal(sign, single.sign * np.sign(scale) ** 30)
    assert F.reconstruct().shape == (2, 3, 30, 30)
    np.testing.assert_allclose(F.reconstruct(), B.toarray(), atol=1e-14)
    np.testing.assert_allclose(F.rcond, np.full((2, 3), A.factor().rcond))


def test_a_singular_member_does_not_spoil_the_others():
    B, A, _ = batch()
    values = B.values.copy()
    values[1, 2] = 0.0
    F = B.with_values(values).factor()
    assert F.singular.tolist() == [[False, False, False], [False, False, True]]
    b = np.ones(30)
    with pytest.warns(IllConditionedWarning, match=r"1 matrices of the batch.*\(1, 2\)"):
        x = F.solve(b)
    assert np.isnan(x[1, 2]).all()
    np.testing.assert_array_equal(x[0, 0], A.factor().solve(b))
    assert np.isfinite(np.delete(x.reshape(6, 30), 5, axis=0)).all()
    assert F.slogdet().logabsdet[1, 2] == -np.inf
    with pytest.raises(SingularMatrixError, match="1 of 6 matrices are singular"):
        stridiag.linalg.solve(B.with_values(values), b)


def test_a_batch_of_singular_members_only_is_an_error():
    B, *_ = batch()
    with pytest.raises(SingularMatrixError, match="every matrix of the batch"):
        B.with_values(np.zeros_like(B.values)).factor().solve(np.ones(30))


def test_an_empty_batch():
    A = stridiag.random(4, rng=0)
    F = A.with_values(np.zeros((0, A.nnz))).factor()
    assert F.solve(np.ones(4)).shape == (0, 4)
    assert F.slogdet().sign.shape == (0,)
    assert F.singular.dtype == bool


# ---------------------------------------------------------------------- singular and ill-conditioned


def test_the_row_of_a_zero_pivot_is_an_original_row():
    # Stride 3: in chain order row 7 stands elsewhere.
    A = StridiagMatrix.from_diagonals({-3: np.zeros(9), 0: np.where(np.arange(12) == 7, 0.0, 2.0), 3: np.zeros(9)})
    with pytest.raises(SingularMatrixError, match="row 7") as caught:
        A.factor().solve(np.ones(12))
    assert caught.value.row == 7
    assert isinstance(caught.value, np.linalg.LinAlgError)
    assert pickle.loads(pickle.dumps(caught.value)).row == 7


def test_the_column_of_an_orthogonal_plan_is_an_original_column():
    A = stridiag.random(40, (-2, 0, 2), 2, rng=0)
    _, columns = A.structure.coordinates()
    F = A.with_values(np.where(columns == 33, 0.0, A.values)).factor(method="chain")
    with pytest.raises(SingularMatrixError) as caught:
        F.solve(np.ones(40))
    assert caught.value.column == 33
    assert caught.value.row is None


@pytest.mark.parametrize("line", ["row", "column"])
@pytest.mark.parametrize("place", [0, 7, 11])
def test_a_stored_zero_row_or_column_is_singular_for_every_method_alike(line, place):
    A = stridiag.random(12, (-2, 0, 2), 5, rng=0)
    index = A.structure.coordinates()[line == "column"]
    A = A.with_values(np.where(index == place, 0.0, A.values))
    for method in METHODS:
        F = factored(A, method)
        if F is None:
            continue
        assert F.singular
        assert F.slogdet() == (0.0, -np.inf)
        assert F.rcond == 0.0
        with pytest.raises(SingularMatrixError):
            F.solve(np.ones(12))


def test_a_structure_that_admits_no_inverse_is_known_before_any_number():
    # Columns 2 and 5 are all that rows 1, 4 and 7 have.
    few = np.array([(i, j) for i in (1, 4, 7) for j in (2, 5)])
    rest = np.array([(i, j) for i in range(9) if i not in (1, 4, 7) for j in range(9)])
    S = stridiag.Structure(9, (), tuple(np.concatenate((few, rest)).T))
    assert stridiag.plan(S).unmatched is not None
    for seed in range(10):
        A = StridiagMatrix(S, np.random.default_rng(seed).standard_normal(S.nnz))
        for method in METHODS:
            F = factored(A, method)
            if F is None:
                continue
            assert F.slogdet() == (0.0, -np.inf)
            with pytest.raises(SingularMatrixError):
                F.solve(np.ones(9))


def test_ill_conditioned_matrices_warn_once_per_call_and_still_answer():
    A = StridiagMatrix.from_diagonals({0: [1.0, 1.0, 1e-17], 1: [1.0, 1.0]})
    F = A.factor()
    for _ in range(2):
        with pytest.warns(IllConditionedWarning, match="rcond <?= .* < eps") as caught:
            x = F.solve(np.ones(3))
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert np.isfinite(x).all()


def test_a_condition_hidden_from_the_right_hand_side_is_found():
    # All pivots are 1 and this b gives a small x; the inverse holds 2^99.
    n = 100
    A = StridiagMatrix.from_diagonals({0: 1.0, 1: -2.0}, shape=n)
    b = A @ np.ones(n)
    with pytest.warns(IllConditionedWarning):
        A.factor().solve(b)


def test_a_condition_hidden_from_plain_signs_is_found():
    # Every vector of signs cancels in the first row or in the second.
    A = StridiagMatrix.from_diagonals({-1: [-1.0], 0: [1.0, -2.0 + 4.5e-16], 1: [2.0]})
    with pytest.warns(IllConditionedWarning):
        A.factor().solve(np.ones(2))


def test_well_conditioned_matrices_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (1.0, 1e300, 1e-300):
            for n in (1, 2, 3, 50, 5000):
                A = scale * stridiag.random(n, (-1, 0, 1) if n > 1 else (0,), rng=0, dominant=True)
                x = A.factor().solve(np.full(n, scale))
                assert np.isfinite(x).all()


@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-3, 0, 2)])
def test_rcond_is_close_to_the_truth_and_never_below_it(offsets):
    for n, seed in ((1, 0), (2, 1), (3, 2), (30, 3), (150, 4)):
        allowed = tuple(k for k in offsets if abs(k) < n)
        A = stridiag.random(n, allowed, 0, rng=seed)
        F = A.factor()
        for p, estimate in ((1, 1 / F.rcond), (1, F.cond()), (np.inf, F.cond(np.inf))):
            truth = np.linalg.cond(A.toarray(), p)
            assert truth / 3 <= estimate <= truth * (1 + 1e-9)


def test_estimates_repeat_and_leave_the_global_generator_alone():
    A = stridiag.random(2000, (-1, 0, 1), 10, rng=0, dominant=True)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what must not move
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = A.factor().rcond
    assert A.factor().rcond == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    truth = np.linalg.cond(A.toarray(), 1)
    assert 1 / first == pytest.approx(truth, rel=1e-9)


# ---------------------------------------------------------------------- the ends of the exponent range


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("links", [0, 2])
def test_the_ends_of_the_exponent_range(dtype, links):
    limits = np.finfo(dtype)
    A = stridiag.random(40, (-1, 0, 1), links, rng=0, dominant=True, dtype=dtype)
    A = A * (1 / np.abs(A.values).max())
    plain = A.factor()
    b = np.linspace(-1.0, 1.0, 40).astype(dtype)
    # Once, as with the others: the second solution leaves notes behind.
    expected = plain.solve(b)
    for power in (limits.maxexp - 1, limits.minexp + 20):
        scale = limits.dtype.type(2.0**power)
        F = (A * scale).factor()
        assert not F.singular
        np.testing.assert_allclose(F.solve(b * scale), expected, rtol=20 * limits.eps * 40)
        assert F.slogdet().logabsdet == pytest.approx(plain.slogdet().logabsdet + 40 * power * np.log(2.0), rel=1e-6)
        assert F.slogdet().sign == pytest.approx(plain.slogdet().sign)
        np.testing.assert_allclose(F.reconstruct() / scale, A.toarray(), atol=40 * limits.eps)
        assert F.nbytes == plain.nbytes


def test_an_overflow_in_elimination_is_not_taken_for_a_singularity():
    A = StridiagMatrix.from_diagonals({0: [1e308, 1e308], 1: [1e308], -1: [-1e308]})
    np.testing.assert_allclose(A.factor().solve([1e308, 0.0]), [0.5, 0.5])
    assert stridiag.linalg.slogdet(A).logabsdet == pytest.approx(np.log(2.0) + 2 * np.log(1e308))


# ---------------------------------------------------------------------- bad input


def test_bad_right_hand_sides_are_refused():
    F = stridiag.random(5, rng=0).factor()
    with pytest.raises(ValueError, match=r"b must have shape \(5,\) or \(\.\.\., 5, m\), got \(4,\)"):
        F.solve(np.ones(4))
    with pytest.raises(ValueError, match=r"got \(4, 5\)"):
        F.solve(np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"got \(\)"):
        F.solve(1.0)
    with pytest.raises(stridiag.NonFiniteError, match=r"b must be finite, got nan at index \[3\]"):
        F.solve([0, 0, 0, np.nan, 0])
    with pytest.raises(TypeError, match="b must hold float32"):
        F.solve(np.array(["a"] * 5))
    with pytest.raises(ValueError, match="trans must be one of 'N', 'T', 'H', got 'C'"):
        F.solve(np.ones(5), trans="C")
    with pytest.raises(ValueError, match="p must be one of"):
        F.cond(2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 14, -1])
def test_non_finite_matrices_are_refused_before_any_work(bad, place):
    A = stridiag.random(10, rng=0)
    values = A.values.copy()
    values[place] = bad
    with pytest.raises(stridiag.NonFiniteError, match="the matrix's values must be finite"):
        A.with_values(values).factor()


def test_a_right_hand_side_beyond_the_matrix_type_is_refused():
    F = StridiagMatrix.from_diagonals({0: np.full(3, 2.0, "float32")}).factor()
    with pytest.raises(stridiag.NonFiniteError, match=r"float32; linalg\.solve"):
        F.solve([1.0, 1e300, 1.0])


def test_rectangular_matrices_are_refused():
    with pytest.raises(stridiag.StructureError, match="only square matrices are factored"):
        stridiag.random((3, 4), (0,), rng=0).factor()
