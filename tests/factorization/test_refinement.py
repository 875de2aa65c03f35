"""Refined solutions and their bounds, against systems of short numbers whose solutions are known exactly."""

import math

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix, linalg
from stridiag.testing import THRESHOLD, solve_ratio, zoo

pytestmark = pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")


def shortened(A, bits=8):
    """Round the entries to so few bits that products with small integers, and their sums, are exact."""

    def short(part):
        mantissa, exponent = np.frexp(part.astype(float))
        return np.ldexp(np.round(mantissa * 2**bits), exponent - bits)

    v = A.values
    return A.with_values((short(v.real) + 1j * short(v.imag) if v.dtype.kind == "c" else short(v)).astype(v.dtype))


def exact_system(A, rng, m=2):
    """Return x of small integers and b = A x, or None if b is not exact."""
    n = A.shape[0]
    x = rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0], (n, m))
    if A.dtype.kind == "c":
        x = x + 1j * rng.choice([-2.0, -1.0, 1.0, 2.0], (n, m))
    x = x.astype(A.dtype)
    b = A @ x
    wide = np.clongdouble if A.dtype.kind == "c" else np.longdouble
    rows, columns = A.structure.coordinates()
    sums, sizes = np.zeros((n, m), wide), np.zeros((n, m), np.longdouble)
    products = A.values.astype(wide)[:, None] * x[columns].astype(wide)
    np.add.at(sums, rows, products)
    np.add.at(sizes, rows, abs(products))
    same = np.array_equal(sums, b.astype(wide)) and np.isfinite(b).all()
    # That the long sums are exact themselves: adding up in another order changes nothing.
    again = np.zeros((n, m), wide)
    np.add.at(again, rows[::-1], products[::-1])
    return (x, b) if same and np.array_equal(again, sums) else None


def true_error(x, truth):
    """Return the largest error over the largest entry of x, by columns."""
    wide = np.clongdouble if truth.dtype.kind == "c" else np.longdouble
    given = x.astype(wide)
    return (abs(given - truth.astype(wide)).max(axis=0) / abs(given).max(axis=0)).astype(float)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_bounds_hold_over_the_zoo_and_say_something(dtype):
    eps = float(np.finfo(dtype).eps)
    rng = np.random.default_rng(0)
    seen, sharp = 0, []
    for case in zoo(sizes=(1, 3, 10, 50) if dtype == "float64" else (2, 10), dtypes=[dtype]):
        if not case.matrix.structure.is_square or case.matrix.nnz == 0:
            continue
        A = shortened(case.matrix)
        F = A.factor()
        if F.singular or (found := exact_system(A, rng)) is None:
            continue
        x, b = found
        for refine in (False, True):
            result = F.solve(b, refine=refine, return_bounds=True)
            error = true_error(result.x, x)
            seen += 1
            assert (error <= result.forward_error).all(), (case.name, refine, error, result.forward_error)
            if F.rcond > 20 * eps:
                sharp += list(result.forward_error / np.maximum(error, eps))
                if refine:
                    assert (error <= eps).all(), (case.name, error / eps)
                    assert (result.backward_error <= 4 * eps).all(), (case.name, result.backward_error / eps)
    assert seen > 100
    # Rarely far above the error, and never by more than what the condition leaves open.
    assert np.median(sharp) < 1.1
    assert max(sharp) < 10.0


def hilbert(n):
    """Return the Hilbert matrix times the least integer that makes it one of integers."""
    scale = math.lcm(*range(1, 2 * n))
    return np.array([[scale // (i + j + 1) for j in range(n)] for i in range(n)], float)


def last_pivot(n, delta):
    """First differences times their transpose, the last pivot changed: determinant delta, condition n^2 / delta."""
    main = np.r_[np.full(n - 1, 2.0), 1.0 + delta]
    main[0] = 1.0
    return StridiagMatrix.from_diagonals({-1: np.full(n - 1, -1.0), 0: main, 1: np.full(n - 1, -1.0)})


def ill_conditioned():
    for n in (4, 8, 10):
        yield f"hilbert-{n}", StridiagMatrix.from_dense(hilbert(n))
    for power in (-20, -35, -42):
        yield f"last-pivot{power}", last_pivot(40, 2.0**power)
        periodic = StridiagMatrix.from_diagonals({}, ([0, 39], [39, 0], [2.0**-3, 2.0**-3]), shape=40)
        yield f"with-links{power}", last_pivot(40, 2.0**power) + periodic
    grown = StridiagMatrix.from_diagonals({-1: -0.8984375, 0: 0.9921875, 1: 1.0}, ([320], [0], [2.0]), shape=333)
    yield "growth", grown


@pytest.mark.parametrize(("name", "A"), list(ill_conditioned()))
@pytest.mark.parametrize("trans", ["N", "T", "H"])
def test_refined_solutions_are_correct_to_working_precision(name, A, trans):
    eps = 2.0**-52
    op = {"N": A, "T": A.T, "H": A.H}[trans]
    x, b = exact_system(op, np.random.default_rng(1), 3)
    for method in ("auto", "sparse-qr", "dense"):
        F = A.factor(method=method)
        result = F.solve(b, trans=trans, refine=True, return_bounds=True)
        error = true_error(result.x, x)
        assert (error <= result.forward_error).all()
        assert (error <= eps).all()
        assert (result.forward_error <= 8 * eps).all()
        assert (result.backward_error <= 4 * eps).all()
        assert (result.steps <= 10).all()
        np.testing.assert_array_equal(F.solve(b, trans=trans, refine=True), result.x)
        plain = F.solve(b, trans=trans, return_bounds=True)
        assert (true_error(plain.x, x) <= plain.forward_error).all()
        np.testing.assert_array_equal(F.solve(b, trans=trans), plain.x)
        assert not plain.steps.any()


def test_an_unrefined_solution_was_not_as_good():
    # So that the tests above show what refinement does.
    A = StridiagMatrix.from_dense(hilbert(10))
    x, b = exact_system(A, np.random.default_rng(1))
    assert (true_error(A.factor().solve(b), x) > 1e6 * 2.0**-52).all()
    assert (A.factor().solve(b, return_bounds=True).forward_error > 1e6 * 2.0**-52).all()


@pytest.mark.parametrize(("dtype", "wide"), [("float32", "float64"), ("complex64", "complex128")])
def test_a_single_precision_factor_refines_to_the_precision_of_the_right_hand_side(dtype, wide):
    A = shortened(stridiag.random(60, (-2, 0, 2), 5, rng=0, dominant=True, dtype=dtype))
    x, b = exact_system(A.astype(wide), np.random.default_rng(2))
    result = A.factor().solve(b, refine=True, return_bounds=True)
    assert result.x.dtype == wide
    assert (true_error(result.x, x) <= 2.0**-52).all()
    assert (true_error(result.x, x) <= result.forward_error).all()
    assert (result.backward_error <= 4 * 2.0**-52).all()
    assert (result.steps >= 2).all()


def test_complex_right_hand_sides_of_a_real_matrix():
    A = last_pivot(30, 2.0**-30)
    x, b = exact_system(A.astype("complex128"), np.random.default_rng(3))
    for trans in "NTH":
        result = A.factor().solve(b, trans=trans, refine=True, return_bounds=True)
        error = true_error(result.x, x)
        assert (error <= 2.0**-52).all()
        assert (error <= result.forward_error).all()


@pytest.mark.parametrize("power", [1000, -1000])
def test_the_ends_of_the_exponent_range(power):
    plain = shortened(stridiag.random(30, (-1, 0, 1), 3, rng=4, dominant=True))
    x, b = exact_system(plain, np.random.default_rng(4))
    scale = 2.0**power
    for A, y in ((plain * scale, x), (plain, x * scale)):
        result = A.factor().solve(b * scale, refine=True, return_bounds=True)
        assert (abs(result.x - y).max(axis=0) <= result.forward_error * abs(y).max(axis=0)).all()
        assert (result.forward_error <= 2.0**-51).all()
        assert (result.backward_error <= 2.0**-50).all()


def test_shapes_and_batches():
    A = stridiag.random(20, (-1, 0, 1), rng=0, dominant=True)
    one = A.factor().solve(np.ones(20), return_bounds=True)
    assert one.x.shape == (20,)
    assert one.backward_error.shape == one.forward_error.shape == one.steps.shape == ()
    none = A.factor().solve(np.ones((20, 0)), return_bounds=True)
    assert none.forward_error.shape == (0,)
    B = A.with_values(np.array([[1.0], [2.0], [0.0]]) * A.values)
    with pytest.warns(IllConditionedWarning, match="1 matrices of the batch"):
        many = B.factor().solve(np.ones((4, 1, 20, 2)), refine=True, return_bounds=True)
    assert many.x.shape == (4, 3, 20, 2)
    assert many.forward_error.shape == many.backward_error.shape == many.steps.shape == (4, 3, 2)
    assert np.isnan(many.x[:, 2]).all()
    assert np.isnan(many.forward_error[:, 2]).all()
    assert (many.forward_error[:, :2] < 1e-15).all()
    np.testing.assert_array_equal(
        many.x[1, 1, :, 0], A.with_values(2 * A.values).factor().solve(np.ones(20), refine=True)
    )
    empty = StridiagMatrix.from_diagonals({0: np.zeros(0)}).factor().solve(np.zeros(0), return_bounds=True)
    assert empty.x.shape == (0,)
    nothing = A.with_values(np.zeros((0, A.nnz))).factor().solve(np.ones(20), return_bounds=True)
    assert nothing.x.shape == (0, 20)


def test_a_zero_right_hand_side_is_solved_exactly():
    result = stridiag.random(10, rng=0).factor().solve(np.zeros(10), refine=True, return_bounds=True)
    assert not result.x.any()
    assert result.forward_error == result.backward_error == result.steps == 0


def test_a_matrix_that_cannot_be_told_from_a_singular_one_has_no_bound():
    # Singular, but rounding leaves a pivot: third column = first + second, in sevenths.
    dense = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0], [7.0, 9.0, 16.0]]) / 7.0
    F = StridiagMatrix.from_dense(dense).factor()
    if not F.singular:
        for refine in (False, True):
            assert F.solve(np.ones(3), refine=refine, return_bounds=True).forward_error == np.inf
    # One that has a pivot on every machine.
    tiny = last_pivot(300, 2.0**-50)
    assert tiny.factor().solve(np.ones(300), return_bounds=True).forward_error == np.inf


def test_refinement_does_not_make_ordinary_solutions_worse():
    for case in zoo(sizes=(5, 50), dtypes=["float64"], families=["offsets", "links", "borders", "growth-constant"]):
        A = case.matrix
        F = A.factor()
        if not F.singular and "singular" not in case.tags:
            b = np.ones((A.shape[0], 2))
            assert solve_ratio(A, F.solve(b, refine=True), b) < THRESHOLD


def test_linalg_solve_passes_everything_on():
    A = last_pivot(40, 2.0**-30)
    x, b = exact_system(A, np.random.default_rng(5))
    result = linalg.solve(A, b, refine=True, return_bounds=True)
    np.testing.assert_array_equal(result.x, x)
    np.testing.assert_array_equal(linalg.solve(A, b, refine=True), x)
    B = stridiag.random(9, (-2, 0, 1), rng=0, dominant=True, dtype="complex128")
    np.testing.assert_allclose(B.H @ linalg.solve(B, np.ones(9), trans="H"), np.ones(9), atol=1e-14)
    with pytest.raises(ValueError, match="trans must be one of"):
        linalg.solve(A, b, trans="C")


def test_scans_are_left_out_on_request():
    A = stridiag.random(6, rng=0, dominant=True)
    b = np.array([1.0, np.nan, 1.0, 1.0, 1.0, 1.0])
    with pytest.raises(stridiag.NonFiniteError):
        A.factor().solve(b)
    assert np.isnan(A.factor().solve(b, check_finite=False)).any()
    values = A.values.copy()
    values[0] = np.nan
    with pytest.raises(stridiag.NonFiniteError):
        linalg.solve(A.with_values(values), np.ones(6))
    with pytest.raises(SingularMatrixError):
        # A pivot that is not a number is none.
        linalg.solve(A.with_values(values), np.ones(6), check_finite=False)
    np.testing.assert_array_equal(linalg.solve(A, np.ones(6), check_finite=False), linalg.solve(A, np.ones(6)))
