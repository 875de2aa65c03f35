"""Simple factors: each by itself, products of all of them over the zoo, triangular matrices, failures."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, csr_array

import stridiag
from stridiag import NonFiniteError, SingularMatrixError, StridiagMatrix, StructureError
from stridiag.factorization import (
    Diagonal,
    Elementary,
    Permutation,
    Reflection,
    Rotation,
    inverse_factors,
    multiply_out,
    triangular_factors,
)
from stridiag.factorization.dense import DenseLU, DenseQR
from stridiag.factorization.elementary import columns_of_triangle
from stridiag.factorization.sparse_lu import SparseLU
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.testing import THRESHOLD, factor_ratio, inverse_ratio, slogdet_ratio, zoo

METHODS = ("auto", "chain", "forest", "sparse-lu", "sparse-qr", "dense")


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


def slogdet_of(factors):
    """Multiply signs and add logarithms."""
    pairs = [factor.slogdet() for factor in factors]
    return np.prod([sign for sign, _ in pairs]), float(sum(log for _, log in pairs))


def condition(A):
    n = A.shape[0]
    wide = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
    sigma = np.linalg.svd(wide / abs(wide).max(), compute_uv=False) if n and wide.any() else np.ones(1)
    return sigma[0] / sigma[-1] if sigma[-1] else np.inf


# ---------------------------------------------------------------------- the factors of a Factor


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_factors_and_their_inverses_multiply_out_over_the_zoo(method, dtype):
    sizes = (0, 1, 2, 3, 5, 10, 50) if dtype != "float32" else (1, 3, 10)
    eps = np.finfo(dtype).eps
    failures = []
    kinds = set()
    inverted = 0
    for case in square(sizes=sizes, dtypes=[dtype]):
        A, n = case.matrix, case.matrix.shape[0]
        F = factored(A, method)
        if F is None:
            continue
        factors = F.factors()
        kinds |= {type(factor) for factor in factors}
        one = np.eye(n, dtype=dtype)
        product = multiply_out(factors, one)
        assert product.dtype == dtype
        ratios = {"product": factor_ratio(A, product)}
        exactly_singular = any(factor.slogdet()[1] == -np.inf for factor in factors)
        assert F.singular or not exactly_singular, case.name
        if exactly_singular:
            with pytest.raises(SingularMatrixError):
                inverse_factors(factors)
        elif not F.singular and max(n, 1) * condition(A) * eps < 0.1:
            inverted += 1
            ratios["inverse"] = inverse_ratio(A, multiply_out(inverse_factors(factors), one))
            # Two ways to add up the same logarithms: no condition enters.
            expected = tuple(np.asarray(part).astype("c16" if part.dtype.kind == "c" else "f8") for part in F.slogdet())
            ratios["slogdet"] = slogdet_ratio(slogdet_of(factors), expected, n, 1.0, dtype=dtype)
        failures += [(case.name, what, ratio) for what, ratio in ratios.items() if not ratio < THRESHOLD]
    assert not failures
    assert inverted > 25
    orthogonal = {"chain": Reflection, "sparse-qr": Rotation}.get(method, Elementary)
    assert {Permutation, Diagonal, Elementary, orthogonal} <= kinds


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_each_factor_is_what_it_says(method, dtype):
    for case in square(sizes=(2, 5, 10), dtypes=[dtype], families=["links", "growth-constant", "offsets"]):
        n = case.matrix.shape[0]
        F = factored(case.matrix, method)
        for factor in F.factors() if F is not None else ():
            dense = factor.toarray()
            assert factor.shape == dense.shape == (n, n)
            assert not factor.is_identity
            assert not (dense == np.eye(n)).all()
            x = np.arange(2.0 * n).reshape(n, 2)
            np.testing.assert_allclose(factor @ x, dense @ x, rtol=1e-13, atol=1e-13 * abs(dense).max())
            np.testing.assert_allclose(factor @ x[:, 0], (factor @ x)[:, 0], rtol=1e-13, atol=1e-13)
            if factor.slogdet()[1] == -np.inf:
                continue
            inverse = factor.inverse()
            assert type(inverse) is type(factor)
            assert inverse_ratio(dense, inverse.toarray()) < 10
            sign, log = np.linalg.slogdet(dense)
            np.testing.assert_allclose(factor.slogdet()[0], sign, atol=1e-13)
            np.testing.assert_allclose(factor.slogdet()[1], log, atol=1e-13 * max(abs(log), 1))
            np.testing.assert_allclose(factor.det(), np.linalg.det(dense), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 50])
def test_decompositions_that_the_guard_seldom_takes(n, dtype):
    offsets, links = ((-1, 0), 0) if n < 4 else ((-3, 0, 2), 2)
    A = stridiag.random(n, [k for k in offsets if abs(k) < n], links, rng=n, dtype=dtype, dominant=n < 4)
    exponents = np.random.default_rng(n).integers(-4, 5, n).astype(np.int32)
    decompositions = (
        DenseLU(A.toarray()),
        DenseQR(A.toarray()),
        SparseLU(A.to_scipy("csc")),
        SparseLU(A.to_scipy("csc"), exponents),
        SparseQR(A.to_scipy("csc")),
    )
    one = np.eye(n, dtype=dtype)
    for decomposition in decompositions:
        factors = decomposition.factors()
        product, inverse = multiply_out(factors, one), multiply_out(inverse_factors(factors), one)
        assert product.dtype == inverse.dtype == dtype
        assert factor_ratio(A, product) < THRESHOLD
        assert inverse_ratio(A, inverse) < THRESHOLD
        sign, log = decomposition.slogdet()
        assert slogdet_ratio(slogdet_of(factors), (sign, log), n, 1.0, dtype=dtype) < THRESHOLD


def test_the_factors_of_a_chain_are_those_of_the_text():
    A = StridiagMatrix.from_diagonals({-1: [4.0, 3.0], 0: [2.0, 5.0, 6.0], 1: [1.0, 7.0]})
    P, L1, L2, D, U3, U2 = A.factor(method="chain").factors()
    assert [type(factor) for factor in (P, L1, L2, D, U3, U2)] == [
        Permutation,
        Elementary,
        Elementary,
        Diagonal,
        Elementary,
        Elementary,
    ]
    assert (L1.column, L2.column, U3.column, U2.column) == (0, 1, 2, 1)
    np.testing.assert_array_equal(D.values[:2], [4, 3])  # the pivots came from the next row
    assert (L1.values, L1.rows) == (0.5, 2)  # the first row is carried to the end


def test_chains_of_a_stride_begin_and_end_with_their_permutation():
    A = stridiag.random(7, offsets=(-2, 0, 2), rng=0, dominant=True)
    first, *_, last = A.factor(method="chain").factors()
    np.testing.assert_array_equal(last.order, [0, 2, 4, 6, 1, 3, 5])
    np.testing.assert_array_equal(first.order, last.inverse().order)


def test_reflections_are_their_own_inverses_and_complex_ones_of_lapack_are_not():
    A = stridiag.random(40, links=2, rng=0, dtype="complex128")
    reflections = [factor for factor in A.factor(method="chain").factors() if isinstance(factor, Reflection)]
    # One for every interior column, and one for every column of the dense reduced system.
    assert len(reflections) == 40
    assert all(factor.inverse() is factor and factor.det() == -1 for factor in reflections)
    H = Reflection(2, [0, 1], [1, 1j], 0.5 + np.sqrt(0.25) * 1j)
    assert H.inverse().tau == np.conj(H.tau)
    np.testing.assert_allclose(H.inverse().toarray(), H.toarray().conj().T)
    np.testing.assert_allclose(H.toarray() @ H.toarray().conj().T, np.eye(2), atol=1e-15)


def test_the_number_of_stored_entries_is_linear_in_n():
    def stored(n):
        A = stridiag.random(n, offsets=(-3, 0, 3), links=4, rng=0, dominant=True)
        sizes = {Permutation: lambda f: f.order.size, Diagonal: lambda f: f.values.size}
        return sum(sizes.get(type(f), lambda f: f.rows.size)(f) for f in A.factor(method="chain").factors())

    # Both of them long enough to be cut, and planned alike.
    assert 1.9 < stored(4000) / stored(2000) < 2.1


def test_a_batch_is_refused_and_empty_and_identity_matrices_have_no_factors():
    A = stridiag.random(5, rng=0)
    with pytest.raises(StructureError, match=r"single matrix, got a batch of shape \(2,\)"):
        A.with_values(np.stack([A.values, A.values])).factor().factors()
    for method in METHODS:
        assert StridiagMatrix.from_dense(np.zeros((0, 0))).factor(method=method).factors() == []
        assert StridiagMatrix.from_diagonals({0: np.ones(4)}).factor(method=method).factors() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dense", [np.zeros((3, 3)), np.eye(3, k=1), np.ones((3, 3)), np.diag([1.0, 0.0, 2.0])])
def test_singular_matrices_are_products_too(method, dense):
    A = StridiagMatrix.from_dense(dense)
    F = factored(A, method)
    if F is None:
        pytest.skip("no trees")
    factors = F.factors()
    np.testing.assert_allclose(multiply_out(factors, np.eye(3)), dense, atol=1e-15)
    if method == "chain" and dense.all():
        # Every column is kept, and all is left to reflections: they find the zeros up to rounding only.
        assert min(abs(factor.det()) for factor in factors) < 1e-30
        return
    assert any(factor.det() == 0 for factor in factors)
    with pytest.raises(SingularMatrixError, match="zero"):
        inverse_factors(factors)


# ---------------------------------------------------------------------- triangular matrices


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("offsets", [(-1, 0), (-3, -1, 0), (-7, 0), (0, 1), (0, 2, 5)])
def test_triangular_matrices_fall_apart_into_elementary_ones(offsets, n, dtype):
    lower = offsets[0] < 0
    rng = np.random.default_rng(n)
    inner = tuple(k for k in offsets if abs(k) < max(n, 1))
    A = stridiag.random(n, inner, rng=rng, dtype=dtype, dominant=True)
    if n > 5:
        rows, columns = np.array([n - 1, n - 2]), np.array([0, 1])
        links = (rows, columns) if lower else (columns, rows)
        A = A + StridiagMatrix.from_diagonals({}, (*links, np.ones(2, dtype)), shape=n)
    factors = triangular_factors(A)
    columns = [factor for factor in factors if isinstance(factor, Elementary)]
    # The diagonal comes last; where it is the identity it is left out.
    assert len(factors) - len(columns) == (not (A.diagonal() == 1).all())
    assert factors[: len(columns)] == columns
    where = [factor.column for factor in columns]
    assert where == sorted(where, reverse=not lower)
    assert all((factor.rows > factor.column).all() == lower for factor in columns)
    one = np.eye(n, dtype=dtype)
    assert factor_ratio(A, multiply_out(factors, one)) < THRESHOLD
    assert inverse_ratio(A, multiply_out(inverse_factors(factors), one)) < THRESHOLD
    for factor in columns:
        np.testing.assert_array_equal(factor.inverse().values, -factor.values)
    expected = np.linalg.slogdet(A.toarray().astype("c16"))
    assert slogdet_ratio(slogdet_of(factors), expected, n, 1.0, dtype=dtype) < THRESHOLD


def test_scipy_arrays_of_any_format_are_triangular_matrices_too():
    dense = np.array([[2, 0, 0], [6, 4, 0], [1, 8, 5]])
    for matrix in (csr_array(dense), csc_array(dense), coo_array(dense), csr_array(dense.T.copy())):
        expected = matrix.toarray()
        np.testing.assert_array_equal(multiply_out(triangular_factors(matrix), np.eye(3)), expected)
    duplicates = coo_array(([1, 1, 3.0, -3.0], ([0, 1, 0, 0], [0, 1, 1, 1])), shape=(2, 2))
    assert triangular_factors(duplicates) == []


def test_entries_below_the_rounding_of_a_quotient_are_kept_by_a_pivot():
    L = csc_array(np.array([[1e-300, 0], [1e100, 1.0]]))  # 1e100 / 1e-300 is no number
    (E,) = triangular_factors(L)
    assert E.pivot == 1e-300
    np.testing.assert_array_equal(E.toarray(), L.toarray())
    with pytest.raises(SingularMatrixError, match="too small"):
        E.inverse()


def test_triangular_factors_says_what_is_wrong():
    with pytest.raises(StructureError, match=r"both sides of the diagonal, as at \(1, 0\) and \(0, 1\)"):
        triangular_factors(StridiagMatrix.from_diagonals({-1: 1.0, 0: 2.0, 1: 1.0}, shape=4))
    for zero in (0, 2, 3):
        d = np.ones(4)
        d[zero] = 0
        with pytest.raises(SingularMatrixError, match=f"zero at {zero}") as caught:
            triangular_factors(StridiagMatrix.from_diagonals({-1: np.ones(3), 0: d}))
        assert (caught.value.row, caught.value.column) == (zero, zero)
    with pytest.raises(StructureError, match="square"):
        triangular_factors(stridiag.random((3, 4), (-1, 0), rng=0))
    with pytest.raises(TypeError, match="scipy sparse array, got ndarray"):
        triangular_factors(np.eye(3))
    L = stridiag.random(4, (-1, 0), rng=0)
    with pytest.raises(StructureError, match=r"batch of shape \(1,\)"):
        triangular_factors(L.with_values(L.values[None]))
    with pytest.raises(NonFiniteError):
        triangular_factors(csc_array(np.array([[1.0, 0], [np.nan, 1]])))


def test_a_triangle_with_zero_pivots_is_still_a_product():
    rng = np.random.default_rng(0)
    U = np.triu(rng.standard_normal((6, 6)))
    U[[1, 2, 5], [1, 2, 5]] = 0
    for divide in ("rows", "columns"):
        upper = columns_of_triangle(csc_array(U), range(5, -1, -1), divide=divide)
        np.testing.assert_allclose(multiply_out(upper, np.eye(6)), U, rtol=1e-15)
        lower = columns_of_triangle(csc_array(U.T), range(6), divide=divide)
        np.testing.assert_allclose(multiply_out(lower, np.eye(6)), U.T, rtol=1e-15)


# ---------------------------------------------------------------------- each kind by itself

EXAMPLES = (
    Permutation([2, 0, 3, 1]),
    Diagonal([2.0, -3.0, 1j, 4.0]),
    Elementary(4, 2, [0, 3], [5.0, -1.0]),
    Elementary(4, 0, [1], [5.0], pivot=-2.0),
    Reflection(4, [1, 3], [1.0, 1.0], 1.0),
    Rotation(4, 3, 1, 0.6, 0.8j),
)


@pytest.mark.parametrize("factor", EXAMPLES, ids=lambda factor: type(factor).__name__)
def test_inverse_determinant_embedding_and_products(factor):
    dense = factor.toarray()
    np.testing.assert_allclose(factor.inverse().toarray(), np.linalg.inv(dense), atol=1e-15)
    np.testing.assert_allclose(factor.det(), np.linalg.det(dense), rtol=1e-14)
    large = np.eye(7, dtype=dense.dtype)
    places = [5, 1, 2, 6]
    large[np.ix_(places, places)] = dense
    np.testing.assert_array_equal(factor.embed(7, places).toarray(), large)
    x = np.arange(4)
    kept = x.copy()
    np.testing.assert_allclose(factor @ x, dense @ x)
    np.testing.assert_array_equal(x, kept)
    assert (factor @ np.zeros((4, 0))).shape == (4, 0)
    assert multiply_out([factor, factor.inverse()], x).dtype == factor.dtype or isinstance(factor, Permutation)
    for wrong in (np.ones(3), np.ones((4, 2, 2)), 1.0):
        with pytest.raises(ValueError, match=r"x must have shape \(4,\) or \(4, m\)"):
            factor @ wrong
    with pytest.raises(TypeError):
        factor @ factor
    with pytest.raises(TypeError):
        np.ones(4) @ factor
    for name in ("order", "values", "column", "vector", "sine"):
        if hasattr(factor, name):
            with pytest.raises(AttributeError):
                setattr(factor, name, 0)


def test_products_of_single_precision_stay_single():
    x = np.ones(4, "float32")
    assert (Permutation([1, 0, 2, 3]) @ x).dtype == "float32"
    assert (Elementary(4, 0, [1], np.ones(1, "float32")) @ x).dtype == "float32"
    assert (Elementary(4, 0, [1], np.ones(1, "float32")) @ x.astype("complex64")).dtype == "complex64"


def test_stored_arrays_are_copies_and_read_only():
    v = np.ones(2)
    E = Elementary(3, 0, [1, 2], v)
    v[0] = 7
    assert E.values[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        E.values[0] = 2


def test_what_no_factor_can_be():
    for order in ([0, 0], [1, 2], [-1, 0]):
        with pytest.raises(StructureError, match="order must hold each of"):
            Permutation(order)
    for column in (-1, 3, 1):
        with pytest.raises(StructureError, match="column must lie"):
            Elementary(3, column, [1], [1.0])
    with pytest.raises(StructureError, match="distinct"):
        Elementary(3, 0, [1, 1], [1.0, 2.0])
    with pytest.raises(StructureError, match=r"rows must lie in \[0, 3\)"):
        Elementary(3, 0, [3], [1.0])
    with pytest.raises(StructureError, match="values must have shape"):
        Elementary(3, 0, [1], [1.0, 2.0])
    with pytest.raises(StructureError, match="pivot must be finite"):
        Elementary(3, 0, [1], [1.0], pivot=np.nan)
    with pytest.raises(NonFiniteError):
        Diagonal([1.0, np.nan])
    for tau in (1.5, np.nan, 2j):
        with pytest.raises(StructureError, match="unitary"):
            Reflection(2, [0, 1], [1.0, 1.0], tau)
    for sine in (0.7, np.nan):
        with pytest.raises(StructureError, match="must be 1"):
            Rotation(2, 0, 1, 0.6, sine)
    with pytest.raises(StructureError, match="distinct"):
        Rotation(2, 1, 1, 0.6, 0.8)
    for singular in (Diagonal([1.0, 0.0]), Elementary(2, 1, [0], [3.0], pivot=0.0)):
        assert singular.det() == 0
        with pytest.raises(SingularMatrixError, match="is zero"):
            singular.inverse()
    with pytest.raises(SingularMatrixError, match="too small"):
        Diagonal([1e-310]).inverse()
