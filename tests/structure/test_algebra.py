"""StridiagMatrix: transposes, sums, scalars, products, and its use as a linear operator."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from hypothesis import given
from hypothesis import strategies as st

import stridiag
from stridiag import StridiagMatrix, StructureError
from stridiag.testing import adjoint_ratio, product_ratio
from stridiag.testing.strategies import matrices, vectors_for

DTYPES = ["float32", "float64", "complex64", "complex128"]
SQUARE = stridiag.random(7, (-2, 0, 3), links=4, rng=1)
TALL = stridiag.random((9, 7), (-3, 0, 1), links=3, rng=2)
BATCH = SQUARE.with_values(np.random.default_rng(0).standard_normal((2, 3, SQUARE.nnz)))
# The bound of `product_ratio` for sums in any order. Where results are compared exactly, the values are small
# integers, whose sums have no rounding at all.
ROUNDING = 2.0


def small(shape, rng=0):
    return np.random.default_rng(rng).integers(-4, 5, shape).astype(float)


INTEGERS = SQUARE.with_values(small(SQUARE.nnz))


# ---------------------------------------------------------------------- unary, sums, scalars


@given(matrices())
def test_transposes(A):
    dense = A.toarray()
    assert np.array_equal(A.T.toarray(), dense.T)
    assert np.array_equal(A.H.toarray(), dense.conj().T)
    assert np.array_equal(A.conj().toarray(), dense.conj())
    assert A.T.T.equals(A)
    assert A.H.H.equals(A)
    assert A.T.dtype == A.H.dtype == A.conj().dtype == A.dtype
    assert A.H is A.H, "computed once"


def test_transposes_of_a_batch():
    dense = BATCH.toarray()
    assert np.array_equal(BATCH.T.toarray(), np.swapaxes(dense, -1, -2))
    complex_batch = BATCH * (1 + 2j)
    assert np.array_equal(complex_batch.H.toarray(), np.swapaxes(complex_batch.toarray(), -1, -2).conj())


@given(st.data())
def test_sums(data):
    A = data.draw(matrices(max_size=6))
    B = data.draw(matrices(max_size=6))
    if A.shape != B.shape:
        for sum_of in (lambda: A + B, lambda: A - B):
            with pytest.raises(StructureError, match=r"shapes must agree, got .* and "):
                sum_of()
        return
    for got, expected in ((A + B, A.toarray() + B.toarray()), (A - B, A.toarray() - B.toarray())):
        assert got.dtype == expected.dtype
        assert np.array_equal(got.toarray(), expected)
    assert (A + A).structure == A.structure
    assert np.array_equal((A - A).values, np.zeros(A.nnz))


def test_sums_of_batches_broadcast():
    other = TALL.T @ TALL
    got = BATCH + other
    assert got.batch_shape == (2, 3)
    assert np.array_equal(got.toarray(), BATCH.toarray() + other.toarray())
    assert np.array_equal((other - BATCH).toarray(), other.toarray() - BATCH.toarray())


def test_sums_refuse_others():
    for other in (1.0, SQUARE.toarray(), None):
        for add in (lambda x: SQUARE + x, lambda x: SQUARE - x, lambda x: x + SQUARE):
            with pytest.raises(TypeError):
                add(other)


@given(
    matrices(),
    st.sampled_from([2, -0.5, 3j, np.float32(0.25), np.complex64(1j), np.int8(3), True, np.array(4.0)]),
)
def test_scalars(A, scalar):
    for got, expected in ((A * scalar, A.toarray() * scalar), (scalar * A, scalar * A.toarray())):
        assert got.dtype == expected.dtype
        assert np.array_equal(got.toarray(), expected)
    quotient = A / scalar
    assert np.array_equal(quotient.values, A.values / scalar)
    assert np.array_equal((-A).toarray(), -A.toarray())
    assert (+A).equals(A)


def test_scalars_refuse_others():
    for other in (np.ones(7), SQUARE):
        with pytest.raises(TypeError, match="for the matrix product use @"):
            SQUARE * other
    with pytest.raises(TypeError, match=r"scalar, got an array of shape \(7,\)"):
        SQUARE / np.ones(7)
    for other in ("2", None, [1], SQUARE):
        with pytest.raises(TypeError):
            SQUARE / other
        with pytest.raises(TypeError):
            other / SQUARE


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_astype(source, target):
    A = SQUARE.astype(source)
    if source.startswith("c") and not target.startswith("c"):
        with pytest.raises(TypeError, match=f"cannot cast {source} to {target}"):
            A.astype(target)
        return
    B = A.astype(target)
    assert B.dtype == target
    assert np.array_equal(B.values, A.values.astype(target))
    assert B.structure == A.structure


def test_astype_refuses_other_types():
    for dtype in (int, "float16", object, np.longdouble):
        with pytest.raises(TypeError, match="dtype must be float32, float64, complex64 or complex128, got"):
            SQUARE.astype(dtype)


# ---------------------------------------------------------------------- products


@given(st.data())
def test_products_with_vectors_and_blocks(data):
    A = data.draw(matrices())
    x = data.draw(vectors_for(A))
    X = data.draw(vectors_for(A, max_columns=3))
    for operand in (x, X):
        got = A @ operand
        assert got.shape == (A.toarray() @ operand).shape
        assert got.dtype == A.dtype
        assert product_ratio(A, operand, got) < ROUNDING
    y = data.draw(vectors_for(A, side="left"))
    assert product_ratio(A.T, y, y @ A) < ROUNDING
    assert product_ratio(A.H, y, A.H @ y) < ROUNDING


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_type_of_products(dtype, other):
    A, x = INTEGERS.astype(dtype), small(7).astype(other)
    for got, expected in ((A @ x, A.toarray() @ x), (x @ A, x @ A.toarray())):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 4), (7, 0), (5, 7, 2), (3, 7, 2), (2, 1, 7, 2)])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_products_of_batches(shape, batch):
    A = INTEGERS.with_values(small((*batch, INTEGERS.nnz), rng=3))
    x = small(shape, rng=4)
    try:
        expected = A.toarray() @ x
    except ValueError:
        with pytest.raises(ValueError, match="broadcast"):
            A @ x
        return
    got = A @ x
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)
    left = np.swapaxes(x, -1, -2) if x.ndim > 1 else x
    assert np.array_equal(left @ A, left @ A.toarray())


X = small((7, 6), rng=5)
OPERANDS = {
    "list": X.tolist(),
    "tuple": tuple(map(tuple, X.tolist())),
    "integers": X.astype(int),
    "booleans": X > 0,
    "strided": np.repeat(X, 2, axis=1)[:, ::2],
    "strided rows": np.repeat(X, 2, axis=0)[::2],
    "reversed": X[::-1][::-1],
    "fortran": np.asfortranarray(X),
    "big-endian": X.astype(">f8"),
    "read-only": np.frombuffer(X.tobytes()).reshape(X.shape),
    "float16": X.astype(np.float16),
}


@pytest.mark.parametrize("name", OPERANDS)
def test_kinds_of_operand(name):
    operand = OPERANDS[name]
    plain = np.asarray(operand).astype(float)
    before = plain.copy()
    got = INTEGERS @ operand
    assert np.array_equal(got, INTEGERS.toarray() @ plain)
    assert np.array_equal(INTEGERS @ np.asarray(operand)[:, 0], INTEGERS.toarray() @ plain[:, 0])
    assert np.array_equal(np.asarray(operand).astype(float), before), "the operand is left alone"
    assert got.flags.writeable


@pytest.mark.parametrize("batch", [(), (2,)])
def test_refused_operands(batch):
    A = SQUARE.with_values(np.ones((*batch, SQUARE.nnz)))
    for bad in (np.ones(6), np.ones((6, 7)), np.ones((7, 7, 6))[:, :6], np.array(1.0)):
        with pytest.raises(ValueError, match=r"A @ x needs x of shape \(7,\) or \(\.\.\., 7, m\), got"):
            A @ bad
    for bad in (np.ones(6), np.ones((7, 6)), np.ones((7, 7, 6)), np.array(1.0)):
        with pytest.raises(ValueError, match=r"x @ A needs x of shape \(7,\) or \(\.\.\., k, 7\), got"):
            bad @ A
    for bad in (np.ones(7, object), np.ones(7, "S1")):
        with pytest.raises(TypeError, match="the right operand must hold"):
            A @ bad
    with pytest.raises(TypeError):
        A @ "vector"
    with pytest.raises(TypeError):
        A @ 2.0


def test_products_with_infinity_follow_the_entries():
    A = StridiagMatrix.from_diagonals({0: [1.0, 2.0, 3.0], 1: [0.0, 1.0]})
    # The interpreted kernel warns, the compiled one does not.
    with np.errstate(invalid="ignore"):
        got = A @ [1.0, np.inf, 1.0]
    assert np.isnan(got[0]), "a stored zero times infinity"
    assert got[1] == np.inf
    assert got[2] == 3


@given(st.data())
def test_products_of_matrices(data):
    A = data.draw(matrices(max_size=6, dtypes=["float64", "complex128"]))
    B = data.draw(matrices(max_size=6, dtypes=["float64", "complex128"]))
    if A.shape[1] != B.shape[0]:
        with pytest.raises(StructureError, match=rf"with {A.shape[1]} rows, got shape"):
            A @ B
        return
    AB = A @ B
    assert isinstance(AB, StridiagMatrix)
    assert AB.shape == (A.shape[0], B.shape[1])
    assert product_ratio(A, B.toarray(), AB.toarray()) < ROUNDING


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.coo_array, sp.dia_array, sp.csr_matrix, sp.lil_matrix])
def test_products_with_scipy_sparse(kind):
    dense = small((7, 7), rng=6) * (small((7, 7), rng=7) > 1)
    S = kind(dense)
    right, left = INTEGERS @ S, S @ INTEGERS
    assert sp.issparse(right)
    assert sp.issparse(left)
    assert np.array_equal(right.toarray(), INTEGERS.toarray() @ dense)
    assert np.array_equal(left.toarray(), dense @ INTEGERS.toarray())


def test_products_of_batches_with_matrices_are_refused():
    for product in (lambda: BATCH @ SQUARE, lambda: BATCH @ sp.eye_array(7), lambda: SQUARE @ BATCH):
        with pytest.raises(StructureError, match=r"takes a single matrix, got a batch of shape \(2, 3\)"):
            product()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_sizes(n):
    A = stridiag.random(n, (0,), rng=0) if n < 2 else stridiag.random(n, rng=0)
    for x in (np.ones(n), np.ones((n, 3)), np.ones((n, 0)), np.ones((4, n, 2))):
        assert np.array_equal(A @ x, A.toarray() @ x)


# ---------------------------------------------------------------------- linear operator


@given(matrices())
def test_operator_methods(A):
    assert adjoint_ratio(A) < ROUNDING
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((size, 2)).astype(A.dtype) for size in A.shape[::-1])
    assert np.array_equal(A.matvec(x[:, 0]), A @ x[:, 0])
    assert np.array_equal(A.matvec(x[:, :1]), A @ x[:, :1])
    assert np.array_equal(A.rmatvec(y[:, 0]), A.H @ y[:, 0])
    assert np.array_equal(A.matmat(x), A @ x)
    assert np.array_equal(A.rmatmat(y), A.H @ y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scipy_takes_it_as_an_operator(dtype):
    A = stridiag.random(60, (-3, 0, 2), links=5, rng=0, dominant=True, dtype=dtype)
    eps = np.finfo(dtype).eps
    operator = spla.aslinearoperator(A)
    assert operator.dtype == A.dtype
    b = np.ones(60, dtype)
    x, info = spla.gmres(A, b, rtol=1e3 * eps, restart=60)
    assert info == 0
    assert np.linalg.norm(A @ x - b) <= 2e3 * eps * np.linalg.norm(b)
    norm = np.linalg.norm(A.toarray(), 1)
    assert 0.3 * norm <= spla.onenormest(A) <= norm * (1 + 100 * eps)
    largest = spla.svds(A, k=2, return_singular_vectors=False, v0=b)
    exact = np.linalg.svd(A.toarray(), compute_uv=False)[:2]
    assert np.allclose(sorted(largest), sorted(exact), rtol=1e3 * eps)


def test_scipy_takes_rectangular_ones_too():
    got = spla.svds(TALL, k=3, return_singular_vectors=False, v0=np.ones(min(TALL.shape)))
    assert np.allclose(sorted(got), sorted(np.linalg.svd(TALL.toarray(), compute_uv=False)[:3]), rtol=1e-12)
    x = spla.lsqr(TALL, np.ones(9), atol=1e-14, btol=1e-14)[0]
    assert np.allclose(x, np.linalg.lstsq(TALL.toarray(), np.ones(9))[0], atol=1e-10)
