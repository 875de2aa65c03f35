"""solve, inv, det and slogdet against numpy.linalg, and identities that hold whatever numpy says."""

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, StructureError, linalg
from stridiag.testing import THRESHOLD, closed_forms, inverse_ratio, zoo

pytestmark = pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_inverses_over_the_zoo(dtype):
    checked = 0
    sizes = (0, 1, 2, 3, 5, 10, 50) if dtype == "float64" else (1, 3, 10)
    for case in zoo(sizes=sizes, dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or case.tags & {"singular", "ill-conditioned"}:
            continue
        inverse = linalg.inv(A)
        assert inverse.dtype == A.dtype
        ratio = inverse_ratio(A, inverse)
        assert ratio < THRESHOLD, (case.name, ratio)
        checked += 1
    assert checked > 60


@pytest.mark.parametrize("n", [1, 2, 3, 5, 60, 401])
def test_closed_forms(n):
    eps = np.finfo(float).eps
    A = closed_forms.second_difference(n)
    sign, log = linalg.slogdet(A)
    assert (sign, log) == (1.0, pytest.approx(np.log(n + 1), abs=20 * n * eps))
    error = np.abs(linalg.inv(A) - closed_forms.second_difference_inverse(n)).max()
    assert error < 4 * eps * (n + 1) ** 3

    sign, log = linalg.slogdet(closed_forms.circulant(n, 0.9))
    assert (sign, log) == (1.0, pytest.approx(closed_forms.circulant_slogdet(n, 0.9)[1], abs=100 * eps * n))
    inverse = linalg.inv(closed_forms.circulant(n, 0.5))
    np.testing.assert_allclose(inverse, closed_forms.circulant_inverse(n, 0.5), atol=20 * eps)

    sign, log = linalg.slogdet(closed_forms.clement(n))
    expected_sign, expected = closed_forms.clement_slogdet(n)
    assert sign == expected_sign
    assert log == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("sub", "main", "super_"), [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("n", [100, 999, 3000])
def test_determinants_of_constant_chains_are_exact_to_rounding(sub, main, super_, n):
    expected = closed_forms.toeplitz_slogdet(n, sub, main, super_)
    for method in ("chain", "sparse-qr"):
        sign, log = closed_forms.toeplitz(n, sub, main, super_).factor(method=method).slogdet()
        if expected[0] == 0.0:
            # Rounding leaves a pivot of the last column: at most about n eps.
            assert log < np.log(n * 1e-14)
        else:
            assert sign == expected[0]
            assert log == pytest.approx(expected[1], abs=1e-11)


def test_determinant_identities():
    rng = np.random.default_rng(0)
    for offsets in ((-1, 0, 1), (-2, 0, 2), (-3, 0, 2)):
        A = stridiag.random(150, offsets, 6, rng=rng, dominant=True)
        B = stridiag.random(150, offsets, 3, rng=rng, dominant=True)
        a, b, ab = linalg.slogdet(A), linalg.slogdet(B), linalg.slogdet(A @ B)
        assert ab.logabsdet == pytest.approx(a.logabsdet + b.logabsdet, rel=1e-13)
        assert ab.sign == a.sign * b.sign
        t = linalg.slogdet(A.T)
        assert (t.sign, t.logabsdet) == (a.sign, pytest.approx(a.logabsdet, rel=1e-14))
        scaled = linalg.slogdet(-2.0 * A)
        assert scaled.logabsdet == pytest.approx(a.logabsdet + 150 * np.log(2.0), rel=1e-14)


def test_determinants_neither_overflow_nor_underflow():
    A = stridiag.random(5000, (-1, 0, 1), 10, rng=0, dominant=True)
    assert np.isfinite(linalg.slogdet(1e250 * A).logabsdet)
    assert linalg.det(1e250 * A) in (np.inf, -np.inf)
    assert linalg.det(1e-250 * A) == 0.0
    assert linalg.slogdet(1e-250 * A).sign != 0.0


def test_complex_phase():
    A = stridiag.random(40, (-2, 0, 2), 4, rng=1, dtype="complex128")
    ours, theirs = linalg.slogdet(A), np.linalg.slogdet(A.toarray())
    assert ours.sign == pytest.approx(theirs.sign, abs=1e-11)
    assert abs(ours.sign) == pytest.approx(1.0, abs=1e-15)
    assert ours.logabsdet == pytest.approx(theirs.logabsdet, rel=1e-13)


def test_empty_and_single():
    empty = StridiagMatrix.from_diagonals({0: np.zeros(0)})
    assert linalg.det(empty) == 1.0
    assert linalg.slogdet(empty) == (1.0, 0.0)
    assert linalg.inv(empty).shape == (0, 0)
    assert linalg.solve(empty, np.zeros(0)).shape == (0,)
    one = StridiagMatrix.from_diagonals({0: [-4.0]})
    assert linalg.det(one) == -4.0
    np.testing.assert_array_equal(linalg.inv(one), [[-0.25]])


def test_types_follow_numpy():
    A = stridiag.random(6, rng=0, dtype="float32", dominant=True)
    assert linalg.det(A).dtype == np.linalg.det(A.toarray()).dtype
    assert linalg.inv(A).dtype == np.linalg.inv(A.toarray()).dtype
    assert linalg.solve(A, np.ones(6, "float32")).dtype == "float32"


def test_the_higher_precision_of_the_two_is_that_of_the_computation():
    for dtype in ("float32", "complex64"):
        A = stridiag.random(30, (-1, 0, 1), 2, rng=0, dtype=dtype, dominant=True)
        b = np.linspace(0.0, 1.0, 30)
        wide = A.toarray().astype("complex128" if dtype == "complex64" else "float64")
        np.testing.assert_allclose(linalg.solve(A, b), np.linalg.solve(wide, b), rtol=1e-12)
        np.testing.assert_allclose(linalg.lstsq(A, b).x, np.linalg.solve(wide, b), rtol=1e-12)


def test_batches_follow_numpy():
    A = stridiag.random(7, (-2, 0, 2), 2, rng=0, dominant=True)
    B = A.with_values(np.stack([A.values, -3.0 * A.values]))
    np.testing.assert_allclose(linalg.det(B), np.linalg.det(B.toarray()), rtol=1e-12)
    np.testing.assert_allclose(linalg.inv(B), np.linalg.inv(B.toarray()), atol=1e-13)
    b = np.arange(14.0).reshape(7, 2)
    np.testing.assert_allclose(linalg.solve(B, b), np.linalg.solve(B.toarray(), b), atol=1e-13)
    np.testing.assert_allclose(linalg.solve(B, np.ones(7)), np.linalg.solve(B.toarray(), np.ones(7)), atol=1e-13)


@pytest.mark.parametrize("function", [linalg.det, linalg.slogdet, linalg.inv, lambda a: linalg.solve(a, np.ones(2))])
def test_refusals(function):
    with pytest.raises(TypeError, match=r"expected a StridiagMatrix, got ndarray; make one with .*from_dense"):
        function(np.eye(2))
    with pytest.raises(StructureError, match="only square"):
        function(stridiag.random((2, 3), (0,), rng=0))
    with pytest.raises(stridiag.NonFiniteError):
        function(StridiagMatrix.from_diagonals({0: [1.0, np.nan]}))


@pytest.mark.filterwarnings("always")
def test_warnings_point_at_the_caller():
    nearly = StridiagMatrix.from_diagonals({0: [1.0, 1e-17]})
    unclear = StridiagMatrix.from_diagonals({0: [1.0, 4e-16]})
    for call in (
        lambda: linalg.solve(nearly, np.ones(2)),
        lambda: linalg.inv(nearly),
        lambda: nearly.factor().solve(np.ones(2)),
        lambda: linalg.pinv(unclear),
        lambda: linalg.lstsq(unclear, np.ones(2)),
        lambda: linalg.matrix_rank(unclear),
    ):
        with pytest.warns(RuntimeWarning) as caught:
            call()
        assert [w.filename for w in caught] == [__file__]


def test_singular_matrices():
    A = StridiagMatrix.from_diagonals({0: [1.0, 0.0, 2.0]})
    assert linalg.det(A) == 0.0
    assert linalg.slogdet(A) == (0.0, -np.inf)
    for function in (linalg.inv, lambda a: linalg.solve(a, np.ones(3))):
        with pytest.raises(stridiag.SingularMatrixError, match="row 1"):
            function(A)


@pytest.mark.parametrize("n", [30, 999, 1000, 5000, 40_000])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slogdet_of_chains_needs_no_factor(n, stride, dtype):
    A = stridiag.random(n, (-stride, 0, stride), rng=n).astype(dtype)
    found, expected = linalg.slogdet(A), A.factor().slogdet()
    assert found.sign == expected.sign
    assert found.sign.dtype == found.logabsdet.dtype == dtype
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    assert found.logabsdet == pytest.approx(expected.logabsdet, rel=tolerance)


@pytest.mark.parametrize("n", [999, 1000, 40_000])
def test_slogdet_of_the_second_difference_is_known(n):
    A = stridiag.StridiagMatrix.from_diagonals({-1: 1.0, 0: -2.0, 1: 1.0}, shape=n)
    sign, logarithm = linalg.slogdet(A)
    assert sign == (-1) ** n
    # Rounding moves each of n numbers, and the determinant by as much as its condition, n^2 / 8 at the worst.
    assert logarithm == pytest.approx(np.log(n + 1), abs=2.0**-52 * n)


def test_slogdet_of_chains_that_take_another_way():
    n = 2000
    tiny = stridiag.random(n, rng=0) * 1e-30
    assert linalg.slogdet(tiny).logabsdet == pytest.approx(tiny.factor().slogdet().logabsdet, rel=1e-13)
    d = np.ones(n)
    d[1234] = 0.0
    assert linalg.slogdet(stridiag.StridiagMatrix.from_diagonals({0: d, 1: 1.0})) == (0.0, -np.inf)
    d[1234] = np.nan
    with pytest.raises(stridiag.NonFiniteError):
        linalg.slogdet(stridiag.StridiagMatrix.from_diagonals({0: d, 1: 1.0, -1: 2.0}))
