"""Products of matrices with blocks: threads, batches, orders of memory."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import compile as compiler
from stridiag._kernels import products

DTYPES = ["float32", "float64", "complex64", "complex128"]


def draw(rng, shape, dtype):
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else values).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vectors", [1, 3, 64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_threads_do_not_change_a_bit(monkeypatch, dtype, vectors, order):
    # Small enough pieces that several threads have something to do.
    monkeypatch.setattr("stridiag.structure.product._GRAIN", 1)
    n = 3 * products.BLOCK + 7 if compiler.COMPILES else products.BLOCK + 7
    A = stridiag.random(n, (-700, -1, 0, 2), 50, rng=0, dtype=dtype)
    x = np.asarray(draw(np.random.default_rng(1), (n, vectors), dtype), order=order)
    results = []
    for count in (1, 2, 5):
        with stridiag.num_threads(count):
            results.append((A @ x, A.T @ x, A.H @ x, A @ x[:, 0]))
    for others in results[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(results[0], others, strict=True))
    S = A.to_scipy()
    eps = np.finfo(dtype).eps
    for ours, exact in zip(results[0], (S @ x, S.T @ x, S.conj().T @ x, S @ x[:, 0]), strict=True):
        assert ours.dtype == dtype
        assert abs(ours - exact).max() <= 50 * eps * abs(exact).max()


def test_large_blocks_are_written_past_the_caches(monkeypatch):
    monkeypatch.setattr("stridiag.structure.product._LARGE", 1)
    A = stridiag.random(200, (-3, 0, 1), 9, rng=0)
    for vectors in (64, 40, 8):
        x = draw(np.random.default_rng(2), (200, vectors), "float64")
        y = A @ x
        assert y.shape == x.shape
        assert y.ctypes.data % 64 == 0
        assert abs(y - A.toarray() @ x).max() < 1e-13


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vectors", [0, 1, 3, 33])
@pytest.mark.parametrize(
    ("own", "others"), [((), (2, 3)), ((2, 3), ()), ((3,), (2, 1)), ((2, 1), (3,)), ((0,), (0,)), ((4,), (1,))]
)
@pytest.mark.parametrize("shape", [(40, 37), (5, 0), (0, 5)])
def test_batches_broadcast(dtype, vectors, own, others, shape):
    rng = np.random.default_rng(0)
    pattern = stridiag.random(shape, (-2, 0, 3) if shape[0] == 40 else (0,), 4 if shape[0] == 40 else 0, rng=0)
    A = pattern.with_values(draw(rng, (*own, pattern.nnz), dtype))
    x = draw(rng, (*others, shape[1], vectors), dtype)
    expected = A.toarray() @ x
    for given in (x, np.asfortranarray(x)):
        y = A @ given
        assert y.shape == expected.shape
        assert y.dtype == expected.dtype
        assert np.allclose(y, expected, rtol=0, atol=300 * np.finfo(dtype).eps)


def test_mixed_types():
    A = stridiag.random(30, rng=0, dtype="float32")
    x = draw(np.random.default_rng(0), (30, 4), "complex128")
    assert (A @ x).dtype == np.complex128
    assert np.allclose(A @ x, A.toarray() @ x)
    B = A.with_values(np.stack([A.values] * 3))
    assert np.allclose(B @ x, A.toarray() @ x)


def test_transpose_is_made_once():
    A = stridiag.random(30, rng=0)
    assert A.T is A.T
    assert A.H is A.T
    C = stridiag.random(30, rng=0, dtype="complex128")
    assert C.H is C.H
    assert C.H is not C.T
